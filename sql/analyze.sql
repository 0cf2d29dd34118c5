-- What a script would do, found without doing it: columns, rules, verdicts, what earlier statements of the script change, errors,
-- and that nothing is left behind.  That every rule of the matrix is named by its own example: t/261_analyze.pl.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA shop;
SET search_path = shop;

CREATE TABLE customer (id int PRIMARY KEY, name varchar(20) NOT NULL, email text, born timestamp, score numeric(10, 2));
CREATE TABLE sale (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, note varchar(20), total int,
	CONSTRAINT total_known CHECK (total IS NOT NULL));
CREATE INDEX sale_note ON sale (lower(note));
CREATE INDEX customer_name ON customer (name);
CREATE SEQUENCE customer_number;
CREATE TABLE schema_migrations (version varchar PRIMARY KEY);
CREATE VIEW customers AS SELECT id, name FROM customer;
CREATE TABLE event (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE event_2030 PARTITION OF event FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
CREATE TABLE event_rest PARTITION OF event DEFAULT;
CREATE TABLE event_2031 (LIKE event, CHECK (at >= '2031-01-01' AND at < '2032-01-01'));
INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 1000) i;
INSERT INTO sale SELECT i, i, 'n', i FROM generate_series(1, 1000) i;

CREATE FUNCTION brief(script text, OUT step int, OUT command text, OUT verdict text, OUT rules text, OUT lock text, OUT rewrites text,
		OUT scans text, OUT gate text) RETURNS SETOF record LANGUAGE sql AS $$
	-- without advice on the text, which has a test of its own below
	SELECT step, command, verdict, (SELECT string_agg(r, ' ' ORDER BY i) FROM unnest(rules) WITH ORDINALITY u(r, i) WHERE r !~ '^O'), replace(lock, 'shop.', ''), replace(array_to_string(rewrites, ' '), 'shop.', ''),
		replace(array_to_string(scans, ' '), 'shop.', ''), gate FROM schemadrift.analyze(script)
$$;

-- all columns
\x
SELECT * FROM schemadrift.analyze('ALTER TABLE sale ALTER COLUMN note SET NOT NULL');
\x

-- from the catalog: indexes on expressions, plain ones, views, keys both ways, proofs
SELECT * FROM brief($$
	ALTER TABLE sale ALTER COLUMN note TYPE varchar(40);
	ALTER TABLE customer ALTER COLUMN email TYPE varchar;
	ALTER TABLE customer ALTER COLUMN name TYPE text;
	ALTER TABLE sale ALTER COLUMN total SET NOT NULL;
	ALTER TABLE sale ALTER COLUMN total TYPE bigint;
	ALTER TABLE sale ALTER COLUMN customer TYPE bigint;
	ALTER TABLE customer ALTER COLUMN score TYPE numeric(12, 2);
	ALTER TABLE customer ALTER COLUMN score TYPE numeric(12, 4);
	ALTER TABLE customer ALTER COLUMN born TYPE timestamptz;
	DROP TABLE customer;
	DROP TABLE sale;
	ALTER TABLE event ATTACH PARTITION event_2031 FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
	ALTER TABLE event ADD COLUMN who text;
$$);
SET TimeZone = 'Europe/Berlin';
SELECT * FROM brief('ALTER TABLE customer ALTER COLUMN born TYPE timestamptz; SET TimeZone = UTC; ALTER TABLE customer ALTER COLUMN born TYPE timestamptz');
SET TimeZone = 'UTC';

-- defaults by what their functions are
CREATE FUNCTION always() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION sometimes() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN 1; END';
SELECT * FROM brief($$
	ALTER TABLE customer ADD COLUMN a int;
	ALTER TABLE customer ADD COLUMN b int DEFAULT always();
	ALTER TABLE customer ADD COLUMN c int DEFAULT sometimes();
	ALTER TABLE customer ADD COLUMN d timestamptz DEFAULT now();
	ALTER TABLE customer ADD COLUMN e uuid DEFAULT gen_random_uuid();
	ALTER TABLE customer ADD COLUMN f bigserial;
	ALTER TABLE customer ADD COLUMN g int NOT NULL;
	ALTER TABLE customer ADD COLUMN a int;
	ALTER TABLE customer ADD COLUMN IF NOT EXISTS a int;
$$);

-- what the script itself made, renamed, dropped and proved
SELECT * FROM brief($$
	CREATE TABLE parcel (id int PRIMARY KEY, sale int REFERENCES sale);
	CREATE INDEX ON parcel (sale);
	ALTER TABLE parcel ADD COLUMN weight int NOT NULL DEFAULT 0, ADD COLUMN made timestamptz DEFAULT now();
	INSERT INTO parcel VALUES (1, 1);
	ALTER TABLE parcel ADD COLUMN seen timestamptz DEFAULT now();
	ALTER TABLE parcel RENAME TO box;
	ALTER TABLE parcel ADD COLUMN x int;
	ALTER TABLE box ADD COLUMN x int;
	ALTER TABLE sale ADD CONSTRAINT note_known CHECK (note IS NOT NULL) NOT VALID;
	ALTER TABLE sale VALIDATE CONSTRAINT note_known;
	ALTER TABLE sale ALTER COLUMN note SET NOT NULL;
	ALTER TABLE sale DROP CONSTRAINT note_known;
	ALTER TABLE sale DROP CONSTRAINT note_known;
	ALTER TABLE sale RENAME COLUMN note TO remark;
	ALTER TABLE sale ALTER COLUMN note DROP NOT NULL;
	DROP TABLE box;
	CREATE SCHEMA depot;
	SET search_path = depot;
	CREATE TABLE shelf (id int);
	ALTER TABLE shelf ADD PRIMARY KEY (id);
	DROP SCHEMA depot CASCADE;
	ALTER TABLE shelf ADD COLUMN x int;
$$);

-- large is what the session says is large
SELECT verdict, why FROM schemadrift.analyze('CREATE INDEX ON sale (total)');
SET schemadrift.large_table = '8kB';
SELECT verdict, why, safer FROM schemadrift.analyze('CREATE INDEX ON sale (total)');

-- a lock lasts until the commit: what is cheap by itself is not behind it
SELECT step, verdict, rule, why, safer FROM schemadrift.analyze('ALTER TABLE sale ADD CONSTRAINT k CHECK (total > 0) NOT VALID; ALTER TABLE sale VALIDATE CONSTRAINT k');
SELECT step, verdict, rule FROM schemadrift.analyze('ALTER TABLE sale ADD CONSTRAINT k CHECK (total > 0) NOT VALID; COMMIT; ALTER TABLE sale VALIDATE CONSTRAINT k');
SELECT step, verdict, rule FROM schemadrift.analyze('ALTER TABLE sale ADD CONSTRAINT k CHECK (total > 0) NOT VALID; CREATE INDEX CONCURRENTLY ON sale (total); ALTER TABLE sale VALIDATE CONSTRAINT k');
RESET schemadrift.large_table;

-- what commits by itself, in a transaction block and after it
SELECT step, command, verdict, rule, why FROM schemadrift.analyze('BEGIN; CREATE INDEX CONCURRENTLY ON sale (total); VACUUM sale; COMMIT; CREATE INDEX CONCURRENTLY ON sale (total)');

-- a type that the script made is nobody's yet
SELECT step, verdict, rule, restores, why FROM schemadrift.analyze($$CREATE TYPE mood AS ENUM ('a'); ALTER TYPE mood ADD VALUE 'b'$$);

-- a column twice, but not two elements of one
SELECT command, rules FROM schemadrift.analyze('UPDATE sale SET total = 1, note = NULL, total = 2; INSERT INTO sale (id, id) VALUES (1, 2); CREATE VIEW twice (a, a) AS SELECT 1, 2; UPDATE sale SET note[1] = 1, note[2] = 2');

-- with replication: what stops it, and what does not
SET client_min_messages = error;	-- wal_level
CREATE PUBLICATION out FOR TABLE customer, sale (id, customer);
SET client_min_messages = warning;
SELECT verdict, why, safer FROM schemadrift.analyze('ALTER TABLE customer ADD COLUMN a int; ALTER TABLE sale ADD COLUMN a int');
SELECT step, verdict FROM schemadrift.analyze('ALTER TABLE sale DROP COLUMN total; ALTER TABLE sale DROP COLUMN id');
DROP PUBLICATION out;

-- no matrix: refused, local, code, rows, nothing
SELECT * FROM brief($$
	CREATE TABLE copied AS SELECT 1 AS a;
	VACUUM sale;
	CREATE ROLE somebody;
	DO 'BEGIN END';
	UPDATE sale SET note = 'x';
	INSERT INTO schema_migrations VALUES ('1');
	INSERT INTO sale SELECT 1;
	SELECT setval('shop.s', 1), setval('customer_number', 1);
	SELECT 1;
	SET lock_timeout = '1s';
	BEGIN;
	CREATE OPERATOR CLASS x FOR TYPE int USING btree AS STORAGE int;
	CREATE INDEX CONCURRENTLY ON sale (total);
	CREATE TEMPORARY TABLE scratch (a int);
$$);

-- advice on the text, which no verdict follows from
SELECT step, verdict, rules, why FROM schemadrift.analyze($$
	SET lock_timeout = '1s';
	CREATE TABLE IF NOT EXISTS shop.visit (id int PRIMARY KEY, who serial, at timestamp, place varchar(20));
	CREATE INDEX IF NOT EXISTS visit_all ON shop.visit (id, who, at, place);
	ALTER TABLE shop.sale ADD CONSTRAINT again FOREIGN KEY (customer) REFERENCES shop.customer NOT VALID;
	ALTER TABLE shop.sale ADD COLUMN note_of_the_clerk_who_sold_it_and_of_everybody_else_who_was_in_the_shop text;
	CREATE TYPE shop.size AS ENUM ('s', 'l');
	COMMIT;
$$);

-- it would fail, and is no error; no SQL is one
SELECT rule, why FROM schemadrift.analyze($$
	ALTER TABLE nowhere ADD COLUMN a int;
	ALTER TABLE sale DROP COLUMN nothing;
	CREATE TABLE sale (a int);
	CREATE TABLE nowhere.t (a int);
	ALTER TABLE sale ALTER COLUMN note TYPE int;
	ALTER TABLE customer ALTER COLUMN name TYPE varchar(30);
	ALTER TABLE sale ADD PRIMARY KEY (id);
	DROP VIEW nothing;
	TRUNCATE customer;
$$);
SELECT * FROM schemadrift.analyze('CREATE TABLE a (b int);

ALTER TABL a');
SELECT * FROM schemadrift.analyze('');
SELECT * FROM schemadrift.analyze(NULL);

-- whoever asks: what may be looked at is, for the rest the matrix speaks
CREATE ROLE regress_analyze;
GRANT USAGE ON SCHEMA shop TO regress_analyze;
SET ROLE regress_analyze;
SELECT rules, rewrites, why FROM schemadrift.analyze('ALTER TABLE shop.sale ALTER COLUMN total TYPE bigint');
RESET ROLE;
BEGIN READ ONLY;
SELECT rules, rewrites, why FROM schemadrift.analyze('ALTER TABLE sale ALTER COLUMN total TYPE bigint');
COMMIT;

-- nothing is left: no schema for temporary tables, no lock that is strong, and the transaction may still be prepared
SELECT count(*) FROM pg_class WHERE relname LIKE '%probe%';
\c -
SET client_min_messages = warning;
BEGIN;
SELECT count(*) FROM schemadrift.analyze('ALTER TABLE shop.sale ALTER COLUMN total TYPE bigint');
SELECT pg_my_temp_schema();
SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation >= 16384
	AND relation::regclass::text !~ '^schemadrift_store';
COMMIT;

DROP SCHEMA shop CASCADE;
DROP ROLE regress_analyze;
