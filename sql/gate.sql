-- What the gate does with statements, and what it captures.  Needs the test build.
\set VERBOSITY terse
CREATE SCHEMA gate_t;
SET search_path = gate_t;
DO $$
BEGIN
	CREATE FUNCTION group_mode(mode text) RETURNS void LANGUAGE c STRICT AS 'schemadrift', 'sd_testing_group_mode';
EXCEPTION WHEN undefined_function THEN
	NULL;						-- a release build
END $$;
SELECT to_regproc('group_mode') IS NULL AS release \gset
\if :release
DROP SCHEMA gate_t;
\quit
\endif
CREATE FUNCTION captured(OUT disposition text, OUT class text, OUT tag text, OUT "user" text, OUT local_user bool,
	OUT search_path text, OUT text text) RETURNS SETOF record LANGUAGE c AS 'schemadrift', 'sd_testing_captured';
CREATE FUNCTION captured_json() RETURNS text LANGUAGE c AS 'schemadrift', 'sd_testing_captured_json';
CREATE FUNCTION replay(entry text) RETURNS void LANGUAGE c STRICT AS 'schemadrift', 'sd_testing_replay';
CREATE FUNCTION script(sql text) RETURNS int LANGUAGE c STRICT AS 'schemadrift', 'sd_testing_script';
CREATE VIEW change AS SELECT tag, text FROM captured() WHERE disposition = 'coordinate';
GRANT ALL ON change TO PUBLIC;
SET client_min_messages = warning;
SET "TimeZone" = 'Europe/Paris';
\pset format unaligned
\pset tuples_only on
\pset fieldsep ' | '
SELECT group_mode('coordinate');

-- one transaction, several statements; the text is the statement's own
BEGIN;
CREATE TABLE a (id int PRIMARY KEY);   -- a comment after it
  ALTER TABLE a ADD b serial, ADD CHECK (b > 0);
CREATE TABLE p (id int) PARTITION BY LIST (id)\; CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)\; CREATE INDEX ON p (id);
GRANT SELECT ON a TO PUBLIC;
COMMENT ON TABLE a IS 'with; a semicolon';
ALTER TABLE a ENABLE ROW LEVEL SECURITY;
ALTER TABLE a REPLICA IDENTITY FULL;
INSERT INTO a VALUES (1);
SELECT * FROM change;
COMMIT;
SELECT count(*) FROM change;

-- savepoints
BEGIN;
CREATE TABLE s1 (id int);
SAVEPOINT one;
CREATE TABLE s2 (id int);
SAVEPOINT two;
CREATE TABLE s3 (id int);
ROLLBACK TO two;
CREATE TABLE s4 (id int);
RELEASE one;
SAVEPOINT three;
DROP TABLE s1;
ROLLBACK TO three;
SELECT text FROM change;
ROLLBACK;
BEGIN;
SAVEPOINT one;
CREATE TABLE s1 (id int);
ROLLBACK TO one;
SELECT script('CREATE TABLE s5 (id int)');
SELECT count(*) FROM change;
ROLLBACK;

-- DO, functions, exceptions
BEGIN;
DO $$
BEGIN
	CREATE TABLE d1 (id int);
	BEGIN
		EXECUTE 'CREATE TABLE d2 (id int)';
		RAISE EXCEPTION 'undone';
	EXCEPTION WHEN OTHERS THEN
		EXECUTE format('CREATE TABLE %I (id int)', 'd 3');
	END;
	FOR i IN 1..2 LOOP
		EXECUTE format('ALTER TABLE d1 ADD c%s int', i);
	END LOOP;
END $$;
CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'CREATE TABLE d4 (id int); COMMENT ON TABLE d4 IS ''x''';
SELECT f();
SELECT * FROM change;
ROLLBACK;

-- a procedure that commits: a change for each transaction
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$
BEGIN
	CREATE TABLE c1 (id int);
	COMMIT;
	CREATE TABLE c2 (id int);
	RAISE WARNING '%', (SELECT string_agg(text, ', ') FROM change);
END $$;
CALL commits();

-- extensions and event triggers belong to the statement that runs them
CREATE FUNCTION made() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF tg_tag = 'CREATE TABLE' AND to_regclass('made_by_trigger') IS NULL THEN
		CREATE TABLE made_by_trigger (id int);
	END IF;
END $$;
CREATE EVENT TRIGGER made ON ddl_command_end EXECUTE FUNCTION made();
BEGIN;
CREATE EXTENSION hstore;
CREATE TABLE e1 (h hstore);
CREATE SCHEMA e2 CREATE TABLE t (id int PRIMARY KEY) CREATE VIEW v AS SELECT id FROM t;
SELECT * FROM change;
ROLLBACK;
-- what an event trigger does at a temporary table is a change by itself
BEGIN;
CREATE TEMP TABLE e3 (id int);
SELECT * FROM change;
ROLLBACK;
DROP EVENT TRIGGER made;

-- temporary objects are left alone
BEGIN;
CREATE TEMP TABLE t1 (id serial PRIMARY KEY, x text);
CREATE INDEX ON t1 (x);
CREATE VIEW t1v AS SELECT * FROM t1;
CREATE TEMP TABLE t2 AS SELECT 1 AS id;
ALTER TABLE t1 ADD y int;
CREATE FUNCTION pg_temp.tf(t1) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE STATISTICS ts ON x, y FROM t1;
COMMENT ON TABLE t1 IS 'x';
DROP TABLE t1 CASCADE;
SELECT count(*) FROM change;
SAVEPOINT x;
CREATE TABLE t3 (id int);
DROP TABLE t2, t3;
ROLLBACK TO x;
SELECT group_mode('none');
CREATE FUNCTION uses_temp(t2) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT group_mode('coordinate');
DROP TABLE t2 CASCADE;
ROLLBACK;

-- statements that turn out to do nothing
CREATE TYPE n_enum AS ENUM ('a');
CREATE TABLE n (id int, CONSTRAINT c CHECK (id > 0));
CREATE INDEX n_index ON n (id);
BEGIN;
CREATE TABLE IF NOT EXISTS n (id int);
CREATE TABLE IF NOT EXISTS n AS SELECT 1 WITH NO DATA;
CREATE INDEX IF NOT EXISTS n_index ON n (id);
CREATE SCHEMA IF NOT EXISTS public;
CREATE EXTENSION IF NOT EXISTS plpgsql;
ALTER EXTENSION plpgsql UPDATE;
DROP TABLE IF EXISTS nothing;
DROP FUNCTION IF EXISTS nothing();
ALTER TABLE IF EXISTS nothing ADD x int;
ALTER TABLE IF EXISTS nothing ENABLE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS nothing RENAME TO something;
ALTER TABLE n ADD IF NOT EXISTS id int, DROP COLUMN IF EXISTS nothing, DROP CONSTRAINT IF EXISTS nothing;
ALTER TYPE n_enum ADD VALUE IF NOT EXISTS 'a';
ALTER SEQUENCE IF EXISTS nothing INCREMENT 2;
SELECT count(*) FROM change;
CREATE TABLE IF NOT EXISTS n2 (id int);
DROP TABLE IF EXISTS n2, nothing;
ALTER TABLE IF EXISTS n ENABLE ROW LEVEL SECURITY;
ALTER TABLE n ADD IF NOT EXISTS id int, FORCE ROW LEVEL SECURITY;
ALTER TABLE n DROP CONSTRAINT IF EXISTS c;
ALTER TYPE n_enum ADD VALUE IF NOT EXISTS 'b';
SELECT * FROM change;
ROLLBACK;

-- local statements
BEGIN;
TRUNCATE n;
REINDEX TABLE n;
CREATE ROLE sd_gate_r1;
GRANT sd_gate_r1 TO CURRENT_USER;
CREATE SEQUENCE seq;
ALTER SEQUENCE seq RESTART 7;
SELECT text FROM change;
ROLLBACK;

-- refused before they run
\set VERBOSITY default
CREATE TABLE r AS SELECT 1 AS a;
BEGIN;
CREATE INDEX CONCURRENTLY ON n (id);
ROLLBACK;
\set VERBOSITY terse
SELECT 1 AS a INTO r;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) CREATE TABLE r AS SELECT 1 AS a;
BEGIN;
DROP INDEX CONCURRENTLY n_index;
ROLLBACK;
DO $$ DECLARE v int := 3; BEGIN CREATE TABLE r AS SELECT v AS a WITH NO DATA; END $$;
PREPARE q AS SELECT 1 AS a;
CREATE TABLE r AS EXECUTE q WITH NO DATA;
SELECT count(*) FROM pg_class WHERE relname = 'r';
BEGIN READ ONLY;
CREATE TABLE r (id int);
ROLLBACK;
BEGIN;
CREATE TABLE r (id int);
\set VERBOSITY default
PREPARE TRANSACTION 'sd';
\set VERBOSITY terse
ROLLBACK;

-- a region does not vanish by accident
DROP EXTENSION schemadrift;
DROP SCHEMA schemadrift CASCADE;
\set VERBOSITY default
DROP EXTENSION IF EXISTS schemadrift CASCADE;
\set VERBOSITY terse

-- who ran it: SET ROLE, SECURITY DEFINER, settings
CREATE ROLE sd_gate_owner;
CREATE ROLE sd_gate_definer;
CREATE SCHEMA roles;
GRANT ALL ON SCHEMA roles TO sd_gate_owner, sd_gate_definer;
SET ROLE sd_gate_definer;
CREATE FUNCTION roles.definer() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = roles AS
	'BEGIN CREATE TABLE by_definer (id int); END';
RESET ROLE;
BEGIN;
SET LOCAL search_path = roles, gate_t;
SET ROLE sd_gate_owner;
CREATE TABLE by_owner (id int);
RESET ROLE;
SELECT roles.definer();
SET LOCAL "TimeZone" = 'Asia/Kolkata';
SET LOCAL default_toast_compression = 'pglz';
CREATE TABLE roles.by_user (at timestamptz DEFAULT '2020-01-01 00:00');
SELECT tag, "user" = current_user, CASE WHEN "user" LIKE 'sd%' THEN "user" END, local_user, search_path, text FROM captured();
SELECT captured_json() AS json \gset
ROLLBACK;
SELECT jsonb_pretty(jsonb_path_query_array(:'json'::jsonb, '$.run_as[*].settings.TimeZone')),
	jsonb_array_length(:'json'::jsonb -> 'run_as');
-- the applier's way: nothing captured, same owners, same meaning, settings back afterwards
BEGIN;
SET LOCAL "TimeZone" = 'UTC';
SELECT replay(:'json');
SELECT count(*) FROM captured();
SELECT current_setting('TimeZone'), current_setting('search_path'), current_user = session_user;
SELECT relname, CASE WHEN relowner::regrole::text LIKE 'sd%' THEN relowner::regrole::text END FROM pg_class WHERE relnamespace = 'roles'::regnamespace ORDER BY 1;
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'roles.by_user'::regclass;
ROLLBACK;

-- quotes, backslashes, dollars and every awkward character survive
BEGIN;
CREATE TABLE "odd ""name" (a text DEFAULT E'tab\there\\ "quoted" ''single'' $tag$');
COMMENT ON TABLE "odd ""name" IS $x$line
two	tab \ backslash é ☃$x$;
SELECT captured_json() AS json \gset
SELECT text FROM change;
ROLLBACK;
BEGIN;
SELECT replay(:'json');
SELECT obj_description('"odd ""name"'::regclass);
ROLLBACK;
BEGIN;
SET LOCAL standard_conforming_strings = off;
SET LOCAL escape_string_warning = off;
COMMENT ON TABLE n IS 'a\\b';
SELECT captured_json() AS json \gset
ROLLBACK;
BEGIN;
SELECT replay(:'json');
SELECT obj_description('n'::regclass);
ROLLBACK;
-- read under one setting, run under another: the text no longer says what ran
SET standard_conforming_strings = off\; COMMENT ON TABLE n IS 'a\\b';
RESET standard_conforming_strings;

-- one migration a transaction
BEGIN;
CREATE TABLE m1 (id int);
\set VERBOSITY default
SELECT script('CREATE TABLE m2 (id int)');
ROLLBACK;
BEGIN;
SELECT script('CREATE TABLE m1 (id int); ALTER TABLE m1 ADD x int; INSERT INTO m1 VALUES (1, 2); SELECT * FROM m1');
\set VERBOSITY terse
SELECT count(*) FROM change;
CREATE TEMP TABLE allowed (id int);
SAVEPOINT x;
CREATE TABLE m2 (id int);
ROLLBACK TO x;
SELECT script('CREATE TABLE m2 (id int)');
ROLLBACK;
SELECT script('SELECT script(''CREATE TABLE m2 (id int)'')');

-- modes
SELECT group_mode('observe');
BEGIN;
CREATE TABLE o1 (id int);
CREATE TABLE o2 AS SELECT 1 AS a;
SELECT disposition, class, text FROM captured();
COMMIT;
CREATE INDEX CONCURRENTLY o_index ON o1 (id);
SELECT indisvalid FROM pg_index WHERE indexrelid = 'o_index'::regclass;
SET schemadrift.ddl_mode = coordinate;
CREATE TABLE o3 AS SELECT 1 AS a;
RESET schemadrift.ddl_mode;

-- what would go with this session's temporary objects
SELECT group_mode('coordinate');
CREATE TEMP TABLE lean (id serial, t text);
CREATE FUNCTION pg_temp.lean_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION pg_temp.lean_value(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE TABLE upright (id int, t text);
CREATE TEMP TABLE upright_child (CHECK (pg_temp.lean_value(id) > 0)) INHERITS (upright);
\set VERBOSITY default
CREATE DOMAIN lean_domain AS lean[];
\set VERBOSITY terse
CREATE TYPE lean_type AS (a lean);
CREATE FUNCTION lean_arg(l lean) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION lean_body() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM lean; END;
ALTER TABLE upright ALTER id SET DEFAULT nextval('lean_id_seq');
CREATE TRIGGER lean_trigger BEFORE INSERT ON upright FOR EACH ROW EXECUTE FUNCTION pg_temp.lean_trigger();
CREATE RULE lean_rule AS ON INSERT TO upright DO ALSO INSERT INTO lean (t) VALUES (NEW.t);
CREATE INDEX lean_index ON upright (pg_temp.lean_value(id));
ALTER TABLE upright ADD CHECK (pg_temp.lean_value(id) > 0);
SELECT script('CREATE DOMAIN lean_domain AS lean');
CREATE TABLE lean_like (LIKE lean);
CREATE TABLE lean_as AS WITH q AS (SELECT * FROM lean) SELECT * FROM q WITH NO DATA;
BEGIN;
CREATE DOMAIN pg_temp.lean_domain AS lean;
CREATE FUNCTION upright_text() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM lean';
ALTER TABLE upright ADD b int CHECK (b > 0), ALTER t TYPE varchar;
SELECT text FROM change;
ROLLBACK;

SELECT group_mode('require_apply');
\set VERBOSITY default
CREATE TABLE q1 (id int);
\set VERBOSITY terse
BEGIN;
SELECT script('CREATE TABLE q1 (id int)');
COMMIT;
CREATE TEMP TABLE q2 (id int);
TRUNCATE q1;
SET schemadrift.ddl_mode = observe;
DROP TABLE q1;
SET schemadrift.ddl_mode = off;
\set VERBOSITY default
DROP TABLE q1;
\set VERBOSITY terse
SET schemadrift.bypass_reason = 'the building burns';
SET ROLE sd_gate_owner;
CREATE TABLE roles.q3 (id int);
RESET ROLE;
BEGIN;
DROP TABLE q1;
CREATE TABLE q4 AS SELECT 1 AS a;
SELECT disposition, class, text FROM captured();
COMMIT;
DROP INDEX CONCURRENTLY o_index;
BEGIN;
CREATE TABLE q5 (id int);
PREPARE TRANSACTION 'sd';
ROLLBACK;
RESET schemadrift.ddl_mode;
RESET schemadrift.bypass_reason;
SELECT group_mode('none');
DROP SCHEMA roles CASCADE;
DROP ROLE sd_gate_owner;
DROP ROLE sd_gate_definer;
DROP SCHEMA gate_t CASCADE;
