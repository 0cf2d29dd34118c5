-- Queries that live versions of an application rely on: planned before and after by dry_run().

CREATE FUNCTION schemadrift.register_query(name text, query text, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_register_query';
COMMENT ON FUNCTION schemadrift.register_query(text, text, timestamptz, timestamptz) IS
	'says that a live version of the application runs this query, as the role and with the search_path of who calls; as the version returned; the same name again replaces it';

CREATE FUNCTION schemadrift.unregister_query(name text) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_unregister_query';
COMMENT ON FUNCTION schemadrift.unregister_query(text) IS
	'no live version of the application runs this query any more; as the version returned';

CREATE FUNCTION schemadrift_store.queries(OUT name text, OUT query text, OUT since timestamptz, OUT until timestamptz, OUT live boolean,
	OUT run_as text, OUT search_path text, OUT version bigint, OUT registered_by text, OUT at timestamptz)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 50 AS 'MODULE_PATHNAME', 'sd_query_rows';
COMMENT ON FUNCTION schemadrift_store.queries() IS 'rows of view schemadrift.registered_queries';

CREATE VIEW schemadrift.registered_queries AS
	SELECT name, live, since, until, run_as, search_path, version, registered_by, at::timestamptz(3) AS at, query FROM schemadrift_store.queries();
COMMENT ON VIEW schemadrift.registered_queries IS 'queries that versions of the application rely on, the same in every region; dry_run() plans the live ones';
COMMENT ON COLUMN schemadrift.registered_queries.name IS 'name, for register_query()';
COMMENT ON COLUMN schemadrift.registered_queries.live IS 'is it looked at now';
COMMENT ON COLUMN schemadrift.registered_queries.since IS 'from when on it is; null: always was';
COMMENT ON COLUMN schemadrift.registered_queries.until IS 'until when; null: until it is unregistered';
COMMENT ON COLUMN schemadrift.registered_queries.run_as IS 'role as which it is planned';
COMMENT ON COLUMN schemadrift.registered_queries.search_path IS 'search_path with which it is planned';
COMMENT ON COLUMN schemadrift.registered_queries.version IS 'version of the log that says so';
COMMENT ON COLUMN schemadrift.registered_queries.registered_by IS 'session user who did';
COMMENT ON COLUMN schemadrift.registered_queries.at IS 'when';
COMMENT ON COLUMN schemadrift.registered_queries.query IS 'its text';

REVOKE ALL ON FUNCTION schemadrift.register_query(text, text, timestamptz, timestamptz), schemadrift.unregister_query(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.register_query(text, text, timestamptz, timestamptz), schemadrift.unregister_query(text)
	TO schemadrift_admin, schemadrift_migrator;
-- text of applications, as text of migrations: not for who only watches
GRANT SELECT ON schemadrift.registered_queries TO schemadrift_admin, schemadrift_migrator;
GRANT EXECUTE ON FUNCTION schemadrift_store.queries() TO schemadrift_admin, schemadrift_migrator;
