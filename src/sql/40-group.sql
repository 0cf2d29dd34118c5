-- Making a group, joining, leaving, and its policy.

CREATE FUNCTION schemadrift.init(region text, conninfo text, role text DEFAULT 'voter') RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_init';
COMMENT ON FUNCTION schemadrift.init(text, text, text) IS
	'this database becomes the first region of a new group; conninfo: how other regions reach it';

CREATE FUNCTION schemadrift.compare(via text, OUT object_type text, OUT identity text, OUT difference text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'sd_compare';
COMMENT ON FUNCTION schemadrift.compare(text) IS
	'objects that are missing, extra or changed here, compared with the region at conninfo via; changes nothing';

CREATE FUNCTION schemadrift.join(via text, region text, conninfo text, role text DEFAULT 'voter',
	options jsonb DEFAULT '{}') RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_join';
COMMENT ON FUNCTION schemadrift.join(text, text, text, text, jsonb) IS
	'this database becomes a region of the group of the one at conninfo via; options: {"schema": "equal" | "empty"}';

CREATE FUNCTION schemadrift.remove_region(region text) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_remove_region';
COMMENT ON FUNCTION schemadrift.remove_region(text) IS
	'takes another region out of the group, as the version returned; its schema stays as it is';

CREATE FUNCTION schemadrift.leave() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_leave';
COMMENT ON FUNCTION schemadrift.leave() IS
	'this region leaves its group; called again, forgets the group; its schema stays as it is';

CREATE FUNCTION schemadrift.set_policy(policy jsonb) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_set_policy';
COMMENT ON FUNCTION schemadrift.set_policy(jsonb) IS
	'changes the group''s policy by key, as the version returned; null takes a key back to its default; see view policy';

CREATE FUNCTION schemadrift_store.policy(OUT key text, OUT value jsonb, OUT since_version bigint, OUT set_by text,
	OUT set_at timestamptz, OUT description text)
	RETURNS SETOF record
	LANGUAGE c STABLE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'sd_policy_rows';
COMMENT ON FUNCTION schemadrift_store.policy() IS 'rows of view schemadrift.policy';

CREATE VIEW schemadrift.policy AS
	SELECT key, value, since_version, set_by, pg_catalog.date_trunc('second', set_at) AS set_at, description FROM schemadrift_store.policy();
COMMENT ON VIEW schemadrift.policy IS 'the group''s policy; no row: this database is in no group';
COMMENT ON COLUMN schemadrift.policy.key IS 'key, for set_policy()';
COMMENT ON COLUMN schemadrift.policy.value IS 'value in force';
COMMENT ON COLUMN schemadrift.policy.since_version IS 'version of the log that set it; null: the default';
COMMENT ON COLUMN schemadrift.policy.set_by IS 'who set it';
COMMENT ON COLUMN schemadrift.policy.set_at IS 'when it was set';
COMMENT ON COLUMN schemadrift.policy.description IS 'what it means';

REVOKE ALL ON FUNCTION schemadrift.init(text, text, text), schemadrift.compare(text),
	schemadrift.join(text, text, text, text, jsonb), schemadrift.remove_region(text), schemadrift.leave(),
	schemadrift.set_policy(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.init(text, text, text), schemadrift.compare(text),
	schemadrift.join(text, text, text, text, jsonb), schemadrift.remove_region(text), schemadrift.leave(),
	schemadrift.set_policy(jsonb) TO schemadrift_admin;
GRANT SELECT ON schemadrift.policy TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
GRANT EXECUTE ON FUNCTION schemadrift_store.policy() TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
