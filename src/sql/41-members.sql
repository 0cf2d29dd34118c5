-- What a member is, and where this region reaches it.

CREATE TABLE schemadrift_store.peer_address
(
	region text PRIMARY KEY,
	conninfo text NOT NULL
);
COMMENT ON TABLE schemadrift_store.peer_address IS 'addresses of other regions that are used here instead of those in the log';

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

REVOKE ALL ON FUNCTION schemadrift.alter_region(text, text, text, integer), schemadrift.step_down(), schemadrift.step_up(),
	schemadrift.suspend_region(text, text), schemadrift.resume_region(text), schemadrift.set_peer_conninfo(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.alter_region(text, text, text, integer), schemadrift.step_down(), schemadrift.step_up(),
	schemadrift.suspend_region(text, text), schemadrift.resume_region(text), schemadrift.set_peer_conninfo(text, text) TO schemadrift_admin;
GRANT SELECT ON schemadrift.peer_conninfo TO schemadrift_admin;
GRANT EXECUTE ON FUNCTION schemadrift_store.peer_conninfo() TO schemadrift_admin;
