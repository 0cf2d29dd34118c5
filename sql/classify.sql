-- What a statement is for the gate.  Needs the test build; expected/classify_1.out is what a release build answers.
\set VERBOSITY terse
CREATE SCHEMA classify_t;
SET search_path = classify_t;
DO $$
BEGIN
	CREATE FUNCTION classify(sql text) RETURNS text LANGUAGE c STRICT AS 'schemadrift', 'sd_testing_classify';
EXCEPTION WHEN undefined_function THEN
	NULL;						-- a release build
END $$;
SELECT to_regproc('classify') IS NULL AS release \gset
\if :release
DROP SCHEMA classify_t;
\quit
\endif
CREATE FUNCTION needs(sql text) RETURNS text LANGUAGE c STRICT AS 'schemadrift', 'sd_testing_needs';

SET client_min_messages = warning;
CREATE TABLE perm (id int, t text);
CREATE VIEW perm_view AS SELECT * FROM perm;
CREATE SEQUENCE perm_seq;
CREATE TYPE perm_enum AS ENUM ('a');
CREATE TEMP TABLE temp (id int PRIMARY KEY, t text);
CREATE TEMP SEQUENCE temp_seq;
CREATE TEMP VIEW temp_view AS SELECT 1 AS a;
CREATE TEMP TABLE shadow (id int);
CREATE TABLE classify_t.shadow (id int);
CREATE FUNCTION pg_temp.temp_func() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE DOMAIN pg_temp.temp_domain AS int;
CREATE STATISTICS temp_stats ON id, t FROM temp;
CREATE STATISTICS perm_stats ON id, t FROM perm;
CREATE STATISTICS pg_temp.going ON id, t FROM perm;

CREATE FUNCTION show(statements text[]) RETURNS TABLE (class text, statement text) LANGUAGE sql AS
	'SELECT classify(s), s FROM unnest(statements) WITH ORDINALITY AS u (s, n) ORDER BY n';
\pset format unaligned
\pset tuples_only on
\pset fieldsep ' | '

-- no DDL
SELECT * FROM show(ARRAY[
	'SELECT 1', 'INSERT INTO perm VALUES (1)', 'COPY perm FROM STDIN', 'SET x.y = 1', 'BEGIN', 'PREPARE TRANSACTION ''x''',
	'DO $$BEGIN END$$', 'CALL p()', 'EXPLAIN CREATE TABLE x AS SELECT 1', 'LISTEN x', 'NOTIFY x', 'CHECKPOINT',
	'DECLARE c CURSOR FOR SELECT 1', 'PREPARE s AS SELECT 1', 'DISCARD TEMP', 'SET CONSTRAINTS ALL DEFERRED']);

-- local
SELECT * FROM show(ARRAY[
	'VACUUM', 'ANALYZE perm', 'VACUUM FULL perm', 'REINDEX TABLE CONCURRENTLY perm', 'CLUSTER perm', 'REFRESH MATERIALIZED VIEW perm_view',
	'TRUNCATE perm', 'LOCK TABLE perm', 'ALTER SYSTEM SET work_mem = 1', 'ALTER COLLATION "C" REFRESH VERSION',
	'CREATE DATABASE d', 'DROP DATABASE d', 'ALTER DATABASE d RENAME TO e', 'ALTER DATABASE d SET work_mem = 1', 'ALTER DATABASE d OWNER TO r',
	'COMMENT ON DATABASE d IS ''x''', 'GRANT CONNECT ON DATABASE d TO PUBLIC', 'ALTER DATABASE d SET TABLESPACE s',
	'CREATE TABLESPACE s LOCATION ''/x''', 'DROP TABLESPACE s', 'ALTER TABLESPACE s RENAME TO r', 'ALTER TABLESPACE s SET (seq_page_cost = 1)',
	'GRANT CREATE ON TABLESPACE s TO PUBLIC',
	'CREATE ROLE r', 'CREATE USER r PASSWORD ''x''', 'ALTER ROLE r LOGIN', 'ALTER ROLE r SET work_mem = 1', 'ALTER ROLE r RENAME TO s', 'DROP ROLE r', 'GRANT r TO s', 'REVOKE r FROM s', 'COMMENT ON ROLE r IS ''x''',
	'GRANT SET ON PARAMETER work_mem TO PUBLIC',
	'CREATE PUBLICATION p', 'ALTER PUBLICATION p ADD TABLE perm', 'ALTER PUBLICATION p RENAME TO q', 'ALTER PUBLICATION p OWNER TO r', 'COMMENT ON PUBLICATION p IS ''x''', 'DROP PUBLICATION p',
	'CREATE SUBSCRIPTION s CONNECTION '''' PUBLICATION p', 'ALTER SUBSCRIPTION s DISABLE', 'ALTER SUBSCRIPTION s RENAME TO t', 'DROP SUBSCRIPTION s',
	'CREATE USER MAPPING FOR PUBLIC SERVER s', 'ALTER USER MAPPING FOR PUBLIC SERVER s OPTIONS (a ''b'')', 'DROP USER MAPPING FOR PUBLIC SERVER s',
	'ALTER SERVER s OPTIONS (SET host ''x'')',
	'ALTER SEQUENCE perm_seq RESTART', 'ALTER SEQUENCE perm_seq RESTART WITH 5', 'ALTER TABLE perm ALTER id RESTART WITH 5',
	'COMMENT ON LARGE OBJECT 1 IS ''x''', 'ALTER LARGE OBJECT 1 OWNER TO r', 'GRANT SELECT ON LARGE OBJECT 1 TO PUBLIC',
	'CREATE EXTENSION schemadrift', 'ALTER EXTENSION schemadrift UPDATE', 'DROP EXTENSION schemadrift CASCADE', 'COMMENT ON EXTENSION schemadrift IS ''x''',
	'GRANT USAGE ON SCHEMA schemadrift TO PUBLIC', 'REVOKE ALL ON ALL TABLES IN SCHEMA schemadrift_store FROM PUBLIC',
	'GRANT SELECT ON schemadrift_store.log TO PUBLIC', 'ALTER TABLE schemadrift_store.log SET (autovacuum_enabled = off)']);

-- temporary
SELECT * FROM show(ARRAY[
	'CREATE TEMP TABLE x (a int)', 'CREATE TABLE pg_temp.x (a int)', 'CREATE TEMP TABLE x AS SELECT 1 AS a', 'CREATE TEMP TABLE x (LIKE perm)', 'CREATE TEMP TABLE x (LIKE temp)', 'CREATE TEMP TABLE x AS TABLE temp', 'SELECT 1 AS a INTO TEMP x',
	'CREATE TEMP SEQUENCE x', 'CREATE TEMP VIEW x AS SELECT 1', 'CREATE VIEW x AS SELECT * FROM temp', 'CREATE VIEW x AS SELECT 1 WHERE EXISTS (SELECT FROM pg_temp.temp)',
	'ALTER TABLE temp ADD b int', 'ALTER TABLE pg_temp.temp ADD b int', 'ALTER TABLE temp RENAME TO x', 'ALTER TABLE temp RENAME t TO x', 'ALTER TABLE temp RENAME CONSTRAINT temp_pkey TO x',
	'CREATE INDEX ON temp (t)', 'CREATE INDEX CONCURRENTLY ON temp (t)', 'ALTER INDEX temp_pkey RENAME TO x', 'DROP INDEX CONCURRENTLY temp_pkey',
	'DROP TABLE temp', 'DROP TABLE temp, shadow', 'DROP VIEW temp_view', 'DROP SEQUENCE temp_seq', 'ALTER SEQUENCE temp_seq INCREMENT 2',
	'CREATE TRIGGER x AFTER INSERT ON temp EXECUTE FUNCTION f()', 'DROP TRIGGER x ON temp', 'CREATE RULE x AS ON INSERT TO temp DO NOTHING', 'CREATE POLICY x ON temp', 'DROP POLICY x ON temp',
	'COMMENT ON TABLE temp IS ''x''', 'COMMENT ON COLUMN temp.t IS ''x''', 'COMMENT ON COLUMN pg_temp.temp.t IS ''x''', 'COMMENT ON CONSTRAINT temp_pkey ON temp IS ''x''', 'GRANT SELECT ON temp TO PUBLIC', 'GRANT SELECT (t) ON temp, shadow TO PUBLIC',
	'CREATE FUNCTION pg_temp.g() RETURNS int LANGUAGE sql AS ''SELECT 1''', 'DROP FUNCTION pg_temp.temp_func()', 'ALTER FUNCTION pg_temp.temp_func() STABLE',
	'CREATE DOMAIN pg_temp.d AS int', 'DROP DOMAIN temp_domain', 'ALTER DOMAIN temp_domain SET NOT NULL', 'CREATE TYPE pg_temp.e AS ENUM ()', 'CREATE TYPE pg_temp.c AS (a int)',
	'CREATE STATISTICS x ON id, t FROM temp', 'ALTER STATISTICS temp_stats SET STATISTICS 5', 'DROP STATISTICS temp_stats',
	'CREATE STATISTICS pg_temp.x ON id, t FROM perm', 'ALTER STATISTICS pg_temp.going SET STATISTICS 5', 'DROP STATISTICS pg_temp.going',
	'DROP TABLE shadow', 'DROP TABLE IF EXISTS pg_temp.nothing']);

-- coordinated
SELECT * FROM show(ARRAY[
	'CREATE TABLE x (a int)', 'CREATE TABLE classify_t.x (a int)', 'CREATE UNLOGGED TABLE x (a int)', 'CREATE TABLE x AS SELECT 1 WITH NO DATA', 'CREATE MATERIALIZED VIEW x AS SELECT 1', 'CREATE MATERIALIZED VIEW x AS SELECT 1 WITH NO DATA',
	'CREATE VIEW x AS WITH temp AS (SELECT 1) SELECT * FROM temp', 'CREATE VIEW classify_t.x AS SELECT 1', 'CREATE OR REPLACE VIEW perm_view AS SELECT * FROM perm',
	'ALTER TABLE perm ADD b int', 'ALTER TABLE nothing ADD b int', 'ALTER TABLE classify_t.shadow ADD b int', 'DROP TABLE classify_t.shadow', 'DROP TABLE perm, nothing', 'ALTER TABLE perm RENAME TO x', 'ALTER TABLE perm OWNER TO r', 'ALTER TABLE perm SET SCHEMA s', 'ALTER TABLE perm SET TABLESPACE s',
	'ALTER TABLE perm ENABLE ROW LEVEL SECURITY', 'ALTER TABLE perm REPLICA IDENTITY FULL', 'ALTER TABLE perm DETACH PARTITION x',
	'CREATE INDEX ON perm (t)', 'DROP INDEX nothing', 'CREATE SEQUENCE x', 'ALTER SEQUENCE perm_seq INCREMENT 2', 'ALTER SEQUENCE perm_seq RESTART INCREMENT 2', 'DROP SEQUENCE perm_seq',
	'CREATE SCHEMA x', 'CREATE SCHEMA x CREATE TABLE y (a int)', 'ALTER SCHEMA x RENAME TO y', 'DROP SCHEMA x CASCADE', 'COMMENT ON SCHEMA x IS ''x''', 'GRANT USAGE ON SCHEMA public TO PUBLIC',
	'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT 1''', 'CREATE PROCEDURE p() LANGUAGE sql AS ''''', 'DROP FUNCTION f', 'ALTER FUNCTION f() STABLE', 'DROP ROUTINE f()', 'CREATE AGGREGATE a (int) (SFUNC = int4pl, STYPE = int)', 'CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path FROM CURRENT AS ''SELECT 1''', 'ALTER FUNCTION f() DEPENDS ON EXTENSION plpgsql',
	'CREATE TYPE x AS (a int)', 'CREATE TYPE x AS ENUM (''a'')', 'CREATE TYPE x AS RANGE (SUBTYPE = int)', 'ALTER TYPE perm_enum ADD VALUE ''b''', 'ALTER TYPE perm_enum RENAME TO x', 'DROP TYPE perm_enum', 'CREATE DOMAIN x AS int', 'ALTER DOMAIN x SET NOT NULL', 'ALTER TYPE x SET (STORAGE = plain)',
	'CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)', 'ALTER OPERATOR === (int, int) SET (RESTRICT = NONE)', 'DROP OPERATOR === (int, int)', 'CREATE OPERATOR CLASS x FOR TYPE int USING btree AS OPERATOR 1 <', 'CREATE OPERATOR FAMILY x USING btree', 'DROP OPERATOR FAMILY x USING btree',
	'CREATE CAST (int AS perm) WITHOUT FUNCTION', 'CREATE COLLATION x FROM "C"', 'DROP COLLATION x', 'CREATE CONVERSION x FOR ''UTF8'' TO ''LATIN1'' FROM f', 'CREATE TEXT SEARCH CONFIGURATION x (COPY = english)', 'ALTER TEXT SEARCH CONFIGURATION x DROP MAPPING FOR word', 'CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION f(internal))',
	'CREATE TRIGGER x AFTER INSERT ON perm EXECUTE FUNCTION f()', 'DROP TRIGGER x ON perm', 'CREATE RULE x AS ON INSERT TO perm DO NOTHING', 'CREATE POLICY x ON perm', 'ALTER POLICY x ON perm RENAME TO y',
	'CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION f()', 'ALTER EVENT TRIGGER x DISABLE', 'DROP EVENT TRIGGER x',
	'CREATE STATISTICS x ON id, t FROM perm', 'DROP STATISTICS perm_stats', 'ALTER STATISTICS perm_stats RENAME TO x', 'CREATE STATISTICS x ON a FROM (VALUES (1)) AS y (a)',
	'CREATE EXTENSION hstore', 'ALTER EXTENSION hstore UPDATE', 'DROP EXTENSION hstore', 'COMMENT ON EXTENSION hstore IS ''x''', 'ALTER EXTENSION hstore ADD TABLE perm', 'ALTER EXTENSION hstore SET SCHEMA x',
	'CREATE FOREIGN DATA WRAPPER x', 'ALTER FOREIGN DATA WRAPPER x OPTIONS (a ''b'')', 'CREATE SERVER s FOREIGN DATA WRAPPER x', 'ALTER SERVER s VERSION ''2''', 'ALTER SERVER s RENAME TO t', 'CREATE FOREIGN TABLE x (a int) SERVER s', 'ALTER FOREIGN TABLE x ADD b int', 'CREATE LANGUAGE x HANDLER f', 'CREATE ACCESS METHOD x TYPE INDEX HANDLER f',
	'COMMENT ON TABLE perm IS ''x''', 'COMMENT ON COLUMN perm.t IS ''x''', 'SECURITY LABEL ON TABLE perm IS ''x''', 'GRANT SELECT ON perm TO PUBLIC', 'REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC', 'GRANT EXECUTE ON FUNCTION f() TO PUBLIC', 'GRANT USAGE ON TYPE perm_enum TO PUBLIC', 'GRANT USAGE ON LANGUAGE sql TO PUBLIC', 'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC',
	'DROP OWNED BY r', 'REASSIGN OWNED BY r TO s']);

-- refused, and alone
SELECT * FROM show(ARRAY[
	'CREATE TABLE x AS SELECT 1', 'CREATE TABLE x AS TABLE perm', 'SELECT 1 AS a INTO x', 'CREATE UNLOGGED TABLE x AS SELECT 1', 'EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1',
	'IMPORT FOREIGN SCHEMA x FROM SERVER s INTO public', 'ALTER TABLE ALL IN TABLESPACE s SET TABLESPACE t', 'ALTER SERVER s VERSION ''2'' OPTIONS (a ''b'')', 'ALTER TABLE perm DETACH PARTITION x FINALIZE',
	'CREATE FUNCTION f() RETURNS int LANGUAGE sql SET work_mem FROM CURRENT AS ''SELECT 1''', 'ALTER FUNCTION f() SET work_mem FROM CURRENT',
	'CREATE TABLE x (LIKE temp)', 'CREATE TABLE x AS SELECT * FROM temp WITH NO DATA', 'CREATE TABLE x AS WITH q AS (SELECT FROM perm WHERE id IN (SELECT id FROM pg_temp.temp)) SELECT FROM q WITH NO DATA',
	'DROP TABLE temp, perm', 'DROP TABLE perm, schemadrift_store.log', 'GRANT SELECT ON perm, temp TO PUBLIC', 'DROP EXTENSION schemadrift, hstore',
	'ALTER TABLE schemadrift_store.log ADD x int', 'DROP TABLE schemadrift_store.log', 'CREATE TABLE schemadrift.x (a int)', 'CREATE TRIGGER x AFTER INSERT ON schemadrift_store.log EXECUTE FUNCTION f()', 'DROP SCHEMA schemadrift', 'ALTER SCHEMA schemadrift_store RENAME TO x', 'ALTER TABLE perm SET SCHEMA schemadrift', 'CREATE FUNCTION schemadrift.f() RETURNS int LANGUAGE sql AS ''SELECT 1''', 'CREATE INDEX ON schemadrift_store.log (kind)',
	'CREATE INDEX CONCURRENTLY ON perm (t)', 'DROP INDEX CONCURRENTLY x', 'ALTER TABLE perm DETACH PARTITION x CONCURRENTLY']);

-- values fixed when the statement runs are refused, those computed later are not
SELECT * FROM show(ARRAY[
	'CREATE TABLE x PARTITION OF perm FOR VALUES FROM (MINVALUE) TO (current_timestamp)', 'CREATE TABLE x PARTITION OF perm FOR VALUES FROM (''today'') TO (''tomorrow'')', 'CREATE TABLE x PARTITION OF perm FOR VALUES IN (date_trunc(''day'', now()))', 'ALTER TABLE perm ATTACH PARTITION x FOR VALUES FROM (pg_catalog.random() * 5) TO (MAXVALUE)',
	'CREATE TABLE x (a timestamptz DEFAULT ''now'')', 'CREATE TABLE x (a text DEFAULT ''x'' || ''Today''::date)', 'CREATE TABLE x (a date CHECK (a > date ''yesterday''))', 'CREATE TABLE x (a date, CHECK (a > date ''yesterday''))', 'ALTER TABLE perm ADD b pg_catalog.timestamp DEFAULT ''now''', 'ALTER TABLE perm ALTER t SET DEFAULT ''now''::timestamp', 'CREATE VIEW x AS SELECT FROM perm WHERE t > ''today''::date', 'CREATE INDEX ON perm (t) WHERE t > ''today''::date',
	'CREATE TABLE x PARTITION OF perm FOR VALUES FROM (''2024-01-01'') TO (to_date(''2025'', ''YYYY''))', 'CREATE TABLE x PARTITION OF perm FOR VALUES IN (''now'', current_user)', 'CREATE TABLE x PARTITION OF perm DEFAULT',
	'CREATE TABLE x (a timestamptz DEFAULT now(), b text DEFAULT ''now'', c date DEFAULT CURRENT_DATE, d date CHECK (d < now()), e "x".date DEFAULT ''now'')', 'CREATE VIEW x AS SELECT FROM perm WHERE t > now() AND t <> ''today''', 'ALTER TABLE perm ALTER t SET DEFAULT ''now''', 'CREATE TEMP TABLE x (a timestamptz DEFAULT ''now'')']);

-- an OID for an object is another one's elsewhere; a name, what initdb numbered by hand, and other numbers are not
SELECT * FROM show(ARRAY[
	'CREATE TABLE x (a regclass DEFAULT 17658)', 'CREATE TABLE x (a text DEFAULT 17658::regclass::text)', 'CREATE TABLE x (a oid CHECK (a <> ''17658''::pg_catalog.regrole))', 'CREATE TABLE x (a regclass[] DEFAULT ''{1259,17658}''::regclass[])', 'ALTER TABLE perm ADD b regtype DEFAULT ''17658''',
	'ALTER TABLE perm ALTER t SET DEFAULT regclass(17658)', 'ALTER TABLE perm ALTER t TYPE text USING 17658::oid::regproc::text', 'CREATE INDEX ON perm (t) WHERE tableoid = 17658::regclass', 'CREATE VIEW x AS SELECT CAST(''17658'' AS regnamespace)', 'CREATE TABLE x AS SELECT 17658::regclass WITH NO DATA', 'CREATE POLICY x ON perm USING (17658::regrole = 5)',
	'CREATE DOMAIN x AS regclass DEFAULT 17658', 'CREATE RULE x AS ON UPDATE TO perm DO ALSO (NOTIFY y; DELETE FROM perm WHERE tableoid = 17658::regclass)', 'CREATE FUNCTION f() RETURNS regclass RETURN 17658::regclass', 'CREATE FUNCTION f() RETURNS void BEGIN ATOMIC SELECT 17658::regclass; END',
	'CREATE TABLE x (a regclass DEFAULT ''perm'', b regclass DEFAULT 1259, c oid DEFAULT 17658, d int DEFAULT 17658, e text DEFAULT ''17658'', f "x".regclass DEFAULT 17658, g regclass DEFAULT ''perm_17658'')', 'CREATE VIEW x AS SELECT ''perm''::regclass, 0::regproc, ''-''::regclass', 'CREATE TEMP TABLE x (a regclass DEFAULT 17658)']);

-- a search_path that begins with the temporary schema makes new objects temporary
SET search_path = pg_temp, classify_t;
SELECT * FROM show(ARRAY['CREATE TABLE x (a int)', 'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT 1''', 'ALTER TABLE perm ADD b int', 'CREATE TYPE x AS ENUM ()']);
SET search_path = classify_t;

-- the policy's patterns
CREATE FUNCTION local(pattern text) RETURNS void LANGUAGE c STRICT AS 'schemadrift', 'sd_testing_local';
CREATE SCHEMA scratch;
CREATE TABLE scratch.a (id int PRIMARY KEY);
CREATE TABLE tmp_a (id int);
BEGIN;
SELECT local('scratch.*'), local('classify_t.tmp_*');
SELECT * FROM show(ARRAY['CREATE TABLE scratch.b (a int)', 'CREATE TABLE tmp_b (a int)', 'ALTER TABLE tmp_a ADD b int', 'CREATE INDEX i ON tmp_a (id)', 'DROP INDEX scratch.a_pkey',
	'CREATE FUNCTION scratch.f() RETURNS int LANGUAGE sql AS ''SELECT 1''', 'CREATE SCHEMA scratch', 'DROP SCHEMA scratch', 'GRANT SELECT ON ALL TABLES IN SCHEMA scratch TO PUBLIC', 'CREATE TABLE scratch.c AS SELECT 1',
	'CREATE TABLE tm_b (a int)', 'CREATE TABLE scratchy.b (a int)', 'CREATE SCHEMA classify_t', 'DROP TABLE scratch.a, perm', 'DROP TABLE scratch.a, temp', 'DROP TABLE scratch.a, tmp_a']);
COMMIT;
DROP SCHEMA scratch CASCADE;

-- what it needs in the other regions
CREATE ROLE sd_bob;
CREATE ROLE sd_alice;
SELECT needs(s), s FROM unnest(ARRAY[
	'ALTER TABLE perm OWNER TO sd_bob', 'ALTER TABLE perm OWNER TO CURRENT_USER', 'ALTER FUNCTION f() OWNER TO sd_bob', 'GRANT SELECT ON perm TO sd_bob, sd_alice, PUBLIC', 'CREATE SCHEMA AUTHORIZATION sd_bob', 'CREATE SCHEMA x AUTHORIZATION sd_bob GRANT SELECT ON perm TO sd_alice',
	'CREATE POLICY x ON perm TO sd_bob', 'ALTER POLICY x ON perm TO sd_alice', 'REASSIGN OWNED BY sd_bob TO sd_alice', 'DROP OWNED BY sd_bob', 'ALTER DEFAULT PRIVILEGES FOR ROLE sd_bob GRANT SELECT ON TABLES TO sd_alice',
	'CREATE EXTENSION hstore', 'CREATE TABLE x (a text COLLATE "und-x-icu", b text COLLATE "C") TABLESPACE pg_default', 'ALTER TABLE perm ADD x text COLLATE "und-x-icu", SET TABLESPACE pg_default', 'CREATE INDEX ON perm (t COLLATE "und-x-icu")', 'CREATE DOMAIN x AS text COLLATE "und-x-icu"', 'CREATE TABLE x (a int)', 'GRANT SELECT ON perm TO sd_nobody', 'CREATE TABLE x (a int) TABLESPACE nowhere'
	]) WITH ORDINALITY AS u (s, n) ORDER BY n;
DROP ROLE sd_bob, sd_alice;
DROP SCHEMA classify_t CASCADE;
