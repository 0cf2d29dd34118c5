-- Who may do what: every function, view and table of the extension, as roles that are no superuser.  A new one without a row
-- here fails: decide who may, and add it.  The RPC schema is for peers alone, the store for nobody.
SET client_min_messages = warning;
SELECT format('host=%s port=%s dbname=%s application_name=hidden_conninfo', :'HOST', :'PORT', :'DBNAME') AS me \gset

CREATE ROLE regress_rights_admin IN ROLE schemadrift_admin;
CREATE ROLE regress_rights_migrator IN ROLE schemadrift_migrator;
CREATE ROLE regress_rights_monitor IN ROLE schemadrift_monitor;
CREATE ROLE regress_rights_pg_monitor IN ROLE pg_monitor;
CREATE ROLE regress_rights_peer IN ROLE schemadrift_peer;
CREATE ROLE regress_rights_nobody;

-- nobody can log in as ours, and they have none of each other's rights, nor any of the server's
SELECT rolname, rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS can_more,
	(SELECT string_agg(g.rolname, ',') FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid) AS member_of
	FROM pg_roles r WHERE rolname LIKE 'schemadrift\_%' ORDER BY rolname;

-- decisions: function, who may call it.  admin, migrator, monitor (with pg_monitor), peer; all: everybody
CREATE TEMPORARY TABLE decided_call (function text PRIMARY KEY, who text);
INSERT INTO decided_call VALUES
	-- the group
	('schemadrift.init', 'admin'),
	('schemadrift.compare', 'admin'),
	('schemadrift.diff', 'admin migrator'),
	('schemadrift.repair_plan', 'admin migrator'),
	('schemadrift.drift_text', 'admin migrator'),
	('schemadrift.verify', 'admin migrator'),
	('schemadrift.accept_drift', 'admin'),
	('schemadrift.join', 'admin'),
	('schemadrift.leave', 'admin'),
	('schemadrift.remove_region', 'admin'),
	('schemadrift.alter_region', 'admin'),
	('schemadrift.step_down', 'admin'),
	('schemadrift.step_up', 'admin'),
	('schemadrift.suspend_region', 'admin'),
	('schemadrift.resume_region', 'admin'),
	('schemadrift.set_peer_conninfo', 'admin'),
	('schemadrift.rejoin', 'admin'),
	('schemadrift.void_identity', 'admin'),
	('schemadrift.confirm_failover', 'admin'),
	-- superusers alone
	('schemadrift.force_new_group', ''),
	('schemadrift.set_policy', 'admin'),
	('schemadrift.transfer_lease', 'admin'),
	-- changes
	('schemadrift.apply', 'migrator'),
	('schemadrift.apply_online', 'migrator'),
	('schemadrift.revert', 'migrator'),
	('schemadrift.retry', 'admin migrator'),
	('schemadrift.mark_applied', 'admin'),
	('schemadrift.wait_for', 'admin migrator monitor'),
	-- whoever may change the schema by plain DDL may be left with an unknown outcome
	('schemadrift.outcome', 'all'),
	('schemadrift.analyze', 'all'),
	('schemadrift.dry_run', 'admin migrator'),
	('schemadrift.preflight', 'admin migrator'),
	('schemadrift.register_query', 'admin migrator'),
	('schemadrift.unregister_query', 'admin migrator'),
	-- decides by itself: below
	('schemadrift.migration_text', 'all');
-- the types' own functions, operators and aggregates: they compute
INSERT INTO decided_call SELECT 'schemadrift.' || f, 'all' FROM unnest(ARRAY['increment', 'merge', 'max', 'min', 'hlc', 'timestamptz']) f
	UNION ALL SELECT 'schemadrift.version_vector_' || f, 'all' FROM unnest(ARRAY['in', 'out', 'recv', 'send', 'eq', 'ne', 'lt', 'le', 'gt', 'ge',
		'concurrent', 'merge', 'counter', 'hash', 'hash_extended']) f
	UNION ALL SELECT 'schemadrift.hlc_' || f, 'all' FROM unnest(ARRAY['in', 'out', 'recv', 'send', 'eq', 'ne', 'lt', 'le', 'gt', 'ge', 'cmp', 'hash', 'hash_extended',
		'larger', 'smaller']) f;
-- views: who may read them
CREATE TEMPORARY TABLE decided_view (view text PRIMARY KEY, who text);
INSERT INTO decided_view VALUES
	('schemadrift.status', 'admin migrator monitor'),
	('schemadrift.lease', 'admin migrator monitor'),
	('schemadrift.regions', 'admin migrator monitor'),
	('schemadrift.migrations', 'admin migrator monitor'),
	('schemadrift.migration_status', 'admin migrator monitor'),
	('schemadrift.decisions', 'admin migrator monitor'),
	('schemadrift.drift', 'admin migrator monitor'),
	('schemadrift.tasks', 'admin migrator monitor'),
	('schemadrift.alerts', 'admin migrator monitor'),
	('schemadrift.version_vectors', 'admin migrator monitor'),
	('schemadrift.metrics', 'admin migrator monitor'),
	('schemadrift.policy', 'admin migrator monitor'),
	('schemadrift.registered_queries', 'admin migrator'),
	('schemadrift.compatibility_matrix', 'admin migrator monitor'),
	('schemadrift.peer_conninfo', 'admin');

CREATE TEMPORARY TABLE actor (role text, member text);
INSERT INTO actor VALUES ('regress_rights_admin', 'admin'), ('regress_rights_migrator', 'migrator'), ('regress_rights_monitor', 'monitor'),
	('regress_rights_pg_monitor', 'monitor'), ('regress_rights_peer', 'peer'), ('regress_rights_nobody', '');

-- what belongs to the extension; the test build's own helpers are made by tests, outside of it
CREATE TEMPORARY VIEW ours AS
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'schemadrift';
CREATE TEMPORARY VIEW call AS
	SELECT p.oid, n.nspname || '.' || p.proname AS function, n.nspname, p.prokind, p.prorettype,
		CASE n.nspname WHEN 'schemadrift_rpc' THEN 'peer' WHEN 'schemadrift_store' THEN '' ELSE d.who END AS who,
		format('%s %s.%s(%s)', CASE p.prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT' END, n.nspname, p.proname,
			-- a strict function of a constant null is no call: PostgreSQL does not even look whether it may be made
			(SELECT string_agg(format(CASE p.prokind WHEN 'p' THEN 'NULL::%s' ELSE '(SELECT NULL::%s)' END, format_type(t, NULL)), ', ' ORDER BY i) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a(t, i))) AS text
	FROM ours JOIN pg_proc p ON p.oid = ours.objid JOIN pg_namespace n ON n.oid = p.pronamespace
		LEFT JOIN decided_call d ON d.function = n.nspname || '.' || p.proname
	WHERE ours.classid = 'pg_proc'::regclass;
CREATE TEMPORARY VIEW relation AS
	SELECT c.oid, n.nspname || '.' || c.relname AS view, c.relkind, CASE n.nspname WHEN 'schemadrift' THEN d.who ELSE '' END AS who
	FROM ours JOIN pg_class c ON c.oid = ours.objid JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN decided_view d ON d.view = n.nspname || '.' || c.relname
	WHERE ours.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S');
GRANT SELECT ON decided_call, decided_view, actor, ours, call, relation TO PUBLIC;

-- nothing without a decision, no decision for what is gone
SELECT function AS undecided FROM call WHERE who IS NULL UNION ALL SELECT view FROM relation WHERE who IS NULL;
SELECT function AS gone FROM decided_call EXCEPT SELECT function FROM call UNION ALL (SELECT view FROM decided_view EXCEPT SELECT view FROM relation);
SELECT count(*) FILTER (WHERE nspname = 'schemadrift') >= 19 AS functions, count(*) FILTER (WHERE nspname = 'schemadrift_rpc') >= 10 AS calls,
	(SELECT count(*) >= 7 FROM relation WHERE relkind = 'v') AS views, (SELECT count(*) >= 12 FROM relation WHERE relkind = 'r') AS tables
	FROM call;
-- every one of them says what it is
SELECT function AS without_comment FROM call WHERE nspname = 'schemadrift' AND obj_description(oid, 'pg_proc') IS NULL
UNION ALL SELECT view FROM relation WHERE relkind = 'v' AND obj_description(oid, 'pg_class') IS NULL
UNION ALL SELECT view || '.' || attname FROM relation JOIN pg_attribute ON attrelid = oid
	WHERE relkind = 'v' AND attnum > 0 AND NOT attisdropped AND col_description(oid, attnum) IS NULL;

-- by the catalogs ...
SELECT function, role, may, should FROM call, actor,
	LATERAL (SELECT has_schema_privilege(role, nspname, 'USAGE') AND has_function_privilege(role, call.oid, 'EXECUTE') AS may,
		who = 'all' OR (member <> '' AND member = ANY (string_to_array(who, ' '))) AS should) m
	WHERE may IS DISTINCT FROM should ORDER BY 1, 2;
SELECT view, role, may, should FROM relation, actor,
	LATERAL (SELECT CASE WHEN relkind = 'S' THEN has_sequence_privilege(role, relation.oid, 'USAGE, SELECT, UPDATE')
			ELSE has_table_privilege(role, relation.oid, 'SELECT') END AS may,
		member <> '' AND member = ANY (string_to_array(who, ' ')) AS should) m
	WHERE may IS DISTINCT FROM should ORDER BY 1, 2;
-- nobody writes, or gives on what was given
SELECT view, role FROM relation, actor WHERE relkind <> 'S' AND has_table_privilege(role, relation.oid,
	'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, SELECT WITH GRANT OPTION');
SELECT nspname, role FROM pg_namespace, actor WHERE nspname LIKE 'schemadrift%' AND has_schema_privilege(role, nspname, 'CREATE, USAGE WITH GRANT OPTION');
SELECT nspname, string_agg(role, ' ' ORDER BY role) FILTER (WHERE has_schema_privilege(role, nspname, 'USAGE')) AS usage
	FROM pg_namespace, actor WHERE nspname LIKE 'schemadrift%' GROUP BY 1 ORDER BY 1;

-- ... and by trying: each function with nulls, as each of them.  Whoever may gets another answer than 42501.
CREATE FUNCTION pg_temp.tried(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text := 'works';
BEGIN
	BEGIN
		EXECUTE format('SET LOCAL ROLE %I', role);
		EXECUTE statement;
	EXCEPTION WHEN insufficient_privilege THEN
		result := 'denied';
	WHEN OTHERS THEN
		result := 'another error';
	END;
	RESET ROLE;
	RETURN result;
END $$;
SELECT function, role, answer, should FROM call, actor,
	LATERAL (SELECT pg_temp.tried(role, call.text) AS answer, who = 'all' OR (member <> '' AND member = ANY (string_to_array(who, ' '))) AS should) m
	WHERE prorettype <> 'trigger'::regtype AND (answer <> 'denied') IS DISTINCT FROM should ORDER BY 1, 2;
SELECT view, role, answer, should FROM relation, actor,
	LATERAL (SELECT pg_temp.tried(role, format('SELECT * FROM %s', view)) AS answer, member <> '' AND member = ANY (string_to_array(who, ' ')) AS should) m
	WHERE (answer = 'works') IS DISTINCT FROM should ORDER BY 1, 2;

-- in a group: what is hidden stays hidden, in whatever column
SELECT schemadrift.init('us-east', :'me');
GRANT CREATE ON SCHEMA public TO regress_rights_migrator, regress_rights_nobody;
SET SESSION AUTHORIZATION regress_rights_migrator;
SELECT schemadrift.apply('hers', 'CREATE TABLE public.hers (); COMMENT ON TABLE public.hers IS ''hidden_text''', 'DROP TABLE public.hers /* hidden_text */') > 0;
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_rights_nobody;
CREATE TABLE public.his (hidden_text int);
SELECT count(*) FROM schemadrift.migrations;
RESET SESSION AUTHORIZATION;
CREATE FUNCTION pg_temp.shown(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	shown text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	EXECUTE format('SELECT string_agg(v::text, '''') FROM (%s) v', statement) INTO shown;
	RESET ROLE;
	RETURN shown;
END $$;
SELECT view, role, shown ~ 'hidden_conninfo' AS conninfo, shown ~ 'hidden_text' AS text
	FROM relation, actor, LATERAL (SELECT pg_temp.shown(role, format('SELECT * FROM %s', view)) AS shown) s
	WHERE relkind = 'v' AND member = ANY (string_to_array(who, ' ')) AND shown ~ 'hidden' ORDER BY 1, 2;
-- text: administrators, migrators, and who wrote it
SELECT role, name, pg_temp.tried(role, format('SELECT schemadrift.migration_text(%s)', version)) AS text
	FROM actor, schemadrift_store.log WHERE kind IN ('baseline', 'migration') AND (name IS NULL OR name = 'hers') ORDER BY role, version;
SELECT role, pg_temp.tried(role, format('SELECT schemadrift.migration_text(%s)', version)) AS text
	FROM actor, schemadrift_store.log WHERE kind = 'migration' AND name <> 'hers' ORDER BY role, version;
SET ROLE regress_rights_admin;
SELECT t.* FROM schemadrift.migrations m, schemadrift.migration_text(m.version) t ORDER BY m.version;
SELECT * FROM schemadrift.migration_text(99);
SELECT conninfo ~ 'hidden_conninfo' AS conninfo FROM schemadrift.peer_conninfo;
RESET ROLE;

-- the gate's exit is for administrators, with a reason; the setting alone opens nothing
SET SESSION AUTHORIZATION regress_rights_nobody;
SET schemadrift.ddl_mode = 'off';
SET schemadrift.bypass_reason = 'because';
CREATE TABLE public.sneaked ();
RESET SESSION AUTHORIZATION;
RESET schemadrift.ddl_mode;
RESET schemadrift.bypass_reason;
-- settings of the region are the server's
SET SESSION AUTHORIZATION regress_rights_admin;
SET schemadrift.allowed_roles = 'regress_rights_nobody';
SET schemadrift.max_entry_size = '64kB';
ALTER SYSTEM SET schemadrift.allowed_roles = 'regress_rights_nobody';
RESET SESSION AUTHORIZATION;

-- a text runs as its author: who takes it back must be allowed to be that
CREATE ROLE regress_rights_other IN ROLE schemadrift_migrator;
SET SESSION AUTHORIZATION regress_rights_other;
SELECT schemadrift.revert('hers');
RESET SESSION AUTHORIZATION;
GRANT regress_rights_migrator TO regress_rights_other;
SET SESSION AUTHORIZATION regress_rights_other;
SELECT schemadrift.revert('hers') > 0;
RESET SESSION AUTHORIZATION;
-- an administrator of the group is not by that a migrator, nor the other way round
SET SESSION AUTHORIZATION regress_rights_admin;
SELECT schemadrift.apply('x', 'SELECT 1');
SELECT schemadrift.set_policy('{"require_down": true}') > 0;
SELECT schemadrift.leave();
RESET SESSION AUTHORIZATION;
DROP TABLE public.his;
REVOKE CREATE ON SCHEMA public FROM regress_rights_migrator, regress_rights_nobody;
DROP ROLE regress_rights_admin, regress_rights_migrator, regress_rights_monitor, regress_rights_pg_monitor, regress_rights_peer,
	regress_rights_nobody, regress_rights_other;
