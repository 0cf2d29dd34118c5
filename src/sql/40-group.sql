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

CREATE FUNCTION schemadrift.alter_region(region text, conninfo text DEFAULT NULL, role text DEFAULT NULL,
	priority integer DEFAULT NULL) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_alter_region';
COMMENT ON FUNCTION schemadrift.alter_region(text, text, text, integer) IS
	'changes a region''s address, role or priority (0 to 1000, the higher the rather it leads), as the version returned; null leaves as is';

CREATE FUNCTION schemadrift.step_down() RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_step_down';
COMMENT ON FUNCTION schemadrift.step_down() IS
	'this region gives up its vote, as the version returned: before a planned switchover or upgrade';

CREATE FUNCTION schemadrift.step_up() RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_step_up';
COMMENT ON FUNCTION schemadrift.step_up() IS
	'this region votes again after step_down(), as the version returned';

CREATE FUNCTION schemadrift.suspend_region(region text, reason text) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_suspend_region';
COMMENT ON FUNCTION schemadrift.suspend_region(text, text) IS
	'nobody waits for that region any more, and its own schema changes are refused; its vote is unchanged; the version is returned';

CREATE FUNCTION schemadrift.resume_region(region text) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_resume_region';
COMMENT ON FUNCTION schemadrift.resume_region(text) IS
	'takes suspend_region() back, as the version returned';

CREATE FUNCTION schemadrift.set_peer_conninfo(region text, conninfo text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_set_peer_conninfo';
COMMENT ON FUNCTION schemadrift.set_peer_conninfo(text, text) IS
	'how this region alone reaches another one, instead of the address in the log; null: by that again';

CREATE FUNCTION schemadrift_store.peer_conninfo(OUT region text, OUT conninfo text, OUT overridden boolean,
	OUT in_log text)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 5 AS 'MODULE_PATHNAME', 'sd_peer_conninfo_rows';
COMMENT ON FUNCTION schemadrift_store.peer_conninfo() IS 'rows of view schemadrift.peer_conninfo';

CREATE VIEW schemadrift.peer_conninfo AS SELECT * FROM schemadrift_store.peer_conninfo();
COMMENT ON VIEW schemadrift.peer_conninfo IS 'the regions'' addresses, without passwords';
COMMENT ON COLUMN schemadrift.peer_conninfo.region IS 'name of the region';
COMMENT ON COLUMN schemadrift.peer_conninfo.conninfo IS 'how this region reaches it';
COMMENT ON COLUMN schemadrift.peer_conninfo.overridden IS 'true: by set_peer_conninfo(), here alone';
COMMENT ON COLUMN schemadrift.peer_conninfo.in_log IS 'its address in the log, for everybody';

CREATE FUNCTION schemadrift.set_policy(policy jsonb) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_set_policy';
COMMENT ON FUNCTION schemadrift.set_policy(jsonb) IS
	'changes the group''s policy by key, as the version returned; null takes a key back to its default; see view policy';

CREATE FUNCTION schemadrift_store.policy(OUT key text, OUT value jsonb, OUT since_version bigint, OUT set_by text,
	OUT set_at timestamptz, OUT description text)
	RETURNS SETOF record
	LANGUAGE c STABLE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'sd_policy_rows';
COMMENT ON FUNCTION schemadrift_store.policy() IS 'rows of view schemadrift.policy';

CREATE VIEW schemadrift.policy AS SELECT * FROM schemadrift_store.policy();
COMMENT ON VIEW schemadrift.policy IS 'the group''s policy; no row: this database is in no group';
COMMENT ON COLUMN schemadrift.policy.key IS 'key, for set_policy()';
COMMENT ON COLUMN schemadrift.policy.value IS 'value in force';
COMMENT ON COLUMN schemadrift.policy.since_version IS 'version of the log that set it; null: the default';
COMMENT ON COLUMN schemadrift.policy.set_by IS 'who set it';
COMMENT ON COLUMN schemadrift.policy.set_at IS 'when it was set';
COMMENT ON COLUMN schemadrift.policy.description IS 'what it means';

REVOKE ALL ON FUNCTION schemadrift.init(text, text, text), schemadrift.compare(text),
	schemadrift.join(text, text, text, text, jsonb), schemadrift.remove_region(text), schemadrift.leave(),
	schemadrift.alter_region(text, text, text, integer), schemadrift.step_down(), schemadrift.step_up(),
	schemadrift.suspend_region(text, text), schemadrift.resume_region(text), schemadrift.set_peer_conninfo(text, text),
	schemadrift.set_policy(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.init(text, text, text), schemadrift.compare(text),
	schemadrift.join(text, text, text, text, jsonb), schemadrift.remove_region(text), schemadrift.leave(),
	schemadrift.alter_region(text, text, text, integer), schemadrift.step_down(), schemadrift.step_up(),
	schemadrift.suspend_region(text, text), schemadrift.resume_region(text), schemadrift.set_peer_conninfo(text, text),
	schemadrift.set_policy(jsonb) TO schemadrift_admin;
GRANT SELECT ON schemadrift.peer_conninfo TO schemadrift_admin;
GRANT EXECUTE ON FUNCTION schemadrift_store.peer_conninfo() TO schemadrift_admin;
GRANT SELECT ON schemadrift.policy TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
GRANT EXECUTE ON FUNCTION schemadrift_store.policy() TO schemadrift_admin, schemadrift_migrator, schemadrift_monitor;
