-- Scripts: how apply() and the applier run a text of many statements.  Needs the test build.
\set VERBOSITY default
CREATE SCHEMA script_t;
SET search_path = script_t;
DO $$
BEGIN
	CREATE FUNCTION group_mode(mode text) RETURNS void LANGUAGE c STRICT AS 'schemadrift', 'sd_testing_group_mode';
EXCEPTION WHEN undefined_function THEN
	NULL;						-- a release build
END $$;
SELECT to_regproc('group_mode') IS NULL AS release \gset
\if :release
DROP SCHEMA script_t;
\quit
\endif
CREATE FUNCTION script(sql text) RETURNS int LANGUAGE c STRICT AS 'schemadrift', 'sd_testing_script';
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
SELECT group_mode('coordinate');

-- later statements see earlier ones; results are discarded; settings end with the script
SELECT script($$
	SET search_path = pg_catalog;
	SET ROLE pg_monitor;
	RESET ROLE;
	CREATE TABLE script_t.s (id int);
	-- a comment
	INSERT INTO script_t.s SELECT generate_series(1, 3);
	ALTER TABLE script_t.s ADD n int GENERATED ALWAYS AS (id * 2) STORED;
	SELECT * FROM script_t.s;
	DO 'BEGIN EXECUTE ''CREATE INDEX ON script_t.s (n)''; END';
	CREATE FUNCTION script_t.f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;
	CREATE RULE r AS ON DELETE TO script_t.s DO ALSO (SELECT 1; SELECT 2);
	EXPLAIN SELECT 1;
	TRUNCATE script_t.s;
	CREATE TEMP TABLE scratch AS SELECT 1 AS a;
	;;
$$);
SHOW search_path;
SELECT count(*) FROM s;
SELECT script('');
SELECT script('  -- nothing');

-- errors say where
SELECT script('CREATE TABLE x (a int);

ALTER TABLE x
	ADD b nosuchtype;
DROP TABLE x');
SELECT script('CREATE TABLE x (a int);
CREATE TABEL y (a int);');
SELECT script('SELECT 1; SELECT 1/0');
SELECT script($$DO 'BEGIN
	PERFORM nothing();
END'$$);

-- what can never be in a script is refused before anything runs
SELECT script('CREATE TABLE x (a int); COMMIT; CREATE TABLE y (a int)');
SELECT script('CREATE TABLE x (a int); CREATE INDEX CONCURRENTLY ON x (a)');
SELECT script('VACUUM s');
SELECT script('LISTEN s');
SELECT script('COPY s FROM STDIN');
SELECT script($$COPY s FROM '/srv/seed.csv'$$);
SELECT script($$COPY s FROM PROGRAM 'true'$$);
SELECT script($$COPY (TABLE s) TO '/srv/s.csv'$$);
SELECT script($$COPY s TO PROGRAM 'true'$$);
SELECT script('CREATE DATABASE x');
SELECT script('REINDEX TABLE CONCURRENTLY s');
SELECT script('CREATE ROLE x PASSWORD ''secret''');
SELECT script('CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (password ''secret'')');
-- and what the gate refuses when its turn comes
SELECT script('CREATE TABLE x (a int); CREATE TABLE y AS TABLE x');
SELECT script($$SET standard_conforming_strings = off; SELECT 'a\', '; COMMIT; --'$$);
SELECT script('DO ''BEGIN COMMIT; END''');
SELECT script('DO ''BEGIN LISTEN s; END''');
-- what is psql's, or a dump's rows
SELECT script(E'SELECT 1;\n\\restrict abc\nSELECT 2');
SELECT script(E'COPY s FROM stdin;\n1\n\\.\n');
SELECT count(*) FROM pg_class WHERE relname IN ('x', 'y');

-- within a subtransaction
DO $$
BEGIN
	PERFORM script('SET search_path = pg_catalog; CREATE TABLE script_t.x (a int); SELECT 1/0');
EXCEPTION WHEN division_by_zero THEN
	RAISE WARNING 'caught: %, search_path %', sqlerrm, current_setting('search_path');
	PERFORM script('CREATE TABLE z (a int)');
END $$;
SELECT relname FROM pg_class WHERE relname IN ('x', 'z');

-- constraints and triggers fire as they do statement by statement
SELECT script('CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent);
INSERT INTO child VALUES (1)');
SELECT group_mode('none');
DROP SCHEMA script_t CASCADE;
