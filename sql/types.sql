-- Types version_vector and hlc: text and binary form, operators, what the planner may do with them, and what nobody may.
SET search_path = schemadrift, public;

-- ---- text form of version_vector ----
SELECT v::version_vector FROM (VALUES
	('{}'), (' { } '), ('{ap-south:3,eu-west:7,us-east:7,us-east~2:1}'), ('{us-east~2:1, us-east:7 ,
	eu-west : 7,ap-south:3}'), ('{us-east~10:1,us-east~9:1,us-east-2:1}'), ('{a:0}'), ('{b:1,a:0,c:2}'), ('{a~1:007}'),
	('{"a b":1,"q\"":2,"back\\slash":3,"{:,}~2":4,"plain":5}'), ('{a~2147483647:9223372036854775807}'), ('{Zürich:1,Aarhus:2}')) t(v);
-- what is written is read again as the same
SELECT bool_and(v::text::version_vector = v) FROM (VALUES ('{"a b":1,"q\"":2,"\\":3}'::version_vector), ('{}'), ('{Zürich~3:1}')) t(v);

-- errors say where, and how it is written
SELECT ''::version_vector;
SELECT 'us-east:7'::version_vector;
SELECT '{us-east}'::version_vector;
SELECT '{us-east=7}'::version_vector;
SELECT '{us-east:}'::version_vector;
SELECT '{us-east:7 eu-west:3}'::version_vector;
SELECT '{us-east:7,}'::version_vector;
SELECT '{us-east:7'::version_vector;
SELECT '{us-east:7} {}'::version_vector;
SELECT '{"us-east:7}'::version_vector;
SELECT '{us-east~0:7}'::version_vector;
SELECT '{Zürich:1,us-east~x:7}'::version_vector;
SELECT '{us-east:7,eu-west:3,"us-east~1":8}'::version_vector;
-- with a code for each kind
CREATE FUNCTION pg_temp.code(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
BEGIN
	EXECUTE statement;
	RETURN 'works';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN sqlstate || ': ' || left(message, 90) || E'\n     ' || detail;
END $$;
\pset format unaligned
\pset tuples_only on
SELECT pg_temp.code($$SELECT '{x'::version_vector$$);
SELECT pg_temp.code($$SELECT '{us-east:-1}'::version_vector$$);
SELECT pg_temp.code($$SELECT '{us-east:9223372036854775808}'::version_vector$$);
SELECT pg_temp.code(format('SELECT %L::version_vector', '{' || repeat('x', 64) || ':1}'));
SELECT pg_temp.code(format('SELECT %L::version_vector', '{' || repeat('x', 63) || '~2:1}'));
-- so many members and no more
SELECT '{' || string_agg('r~' || i || ':1', ',') || '}' AS most, '{' || string_agg('r~' || i || ':1', ',') || ',s:1}' AS too_many
	FROM generate_series(1, 4096) i \gset
SELECT pg_temp.code(format('SELECT %L::version_vector', :'most'));
SELECT pg_temp.code(format('SELECT %L::version_vector', :'too_many'));
SELECT pg_temp.code(format('SELECT %L::version_vector | ''{s:1}''', :'most'));
SELECT pg_temp.code(format('SELECT increment(%L, ''s'')', :'most'));
SELECT increment(:'most', 'r~4096') -> 'r~4096';
SELECT pg_temp.code($$SELECT increment('{us-east:9223372036854775807}', 'us-east')$$);
SELECT pg_temp.code($$SELECT increment('{}', 'us-east~0')$$);
SELECT pg_temp.code($$SELECT increment('{}', '')$$);
SELECT pg_temp.code($$SELECT '{}'::version_vector -> 'a~b'$$);
SELECT pg_temp.code($$SELECT '{}'::version_vector -> repeat('x', 64)$$);
\pset format aligned
\pset tuples_only off
SELECT increment('{}', 'a~b');

-- ---- operators ----
CREATE TABLE pairs (a version_vector, b version_vector);
INSERT INTO pairs VALUES ('{}', '{}'), ('{}', '{a:1}'), ('{a:1,b:2}', '{b:2,a:1}'), ('{a:1}', '{a:2}'), ('{a:2}', '{a:1}'),
	('{a:1}', '{b:1}'), ('{a:1,b:2}', '{a:2,b:1}'), ('{a:1}', '{a:1,a~2:1}'), ('{a~2:1}', '{a:1}'), (NULL, '{}');
SELECT a, b, a = b AS "=", a <> b AS "<>", a < b AS "<", a <= b AS "<=", a > b AS ">", a >= b AS ">=", a <||> b AS "<||>", a | b AS "|" FROM pairs;
SELECT v -> 'us-east' AS us_east, v -> 'us-east~1' AS same, v -> 'us-east~2' AS again, v -> 'a b' AS a_b, v -> 'eu-west' AS absent
	FROM (VALUES ('{us-east:7,us-east~2:1,"a b":5}'::version_vector)) t(v);
SELECT increment('{}', 'us-east'), increment('{us-east:7}', 'us-east'), increment('{us-east:7}', 'us-east~2'), increment(vector => '{z:1}', member => 'a b'),
	increment(NULL, 'a') IS NULL AS "null";
-- exactly one of four; and what the one says of two the other says of them the other way round
SELECT count(*) FILTER (WHERE (a = b)::int + (a < b)::int + (a > b)::int + (a <||> b)::int <> 1) AS not_one_of_four,
	count(*) FILTER (WHERE (a < b) <> (b > a) OR (a <= b) <> (b >= a) OR (a <||> b) <> (b <||> a) OR (a | b) <> (b | a)) AS not_reversed,
	count(*) FILTER (WHERE (a <= b) <> ((a | b) = b)) AS not_the_least
	FROM (SELECT x.a, y.b FROM pairs x, pairs y WHERE x.a IS NOT NULL) p;
-- the planner turns NOT (a < b) into nothing else, as concurrent vectors are neither
EXPLAIN (COSTS off) SELECT FROM pairs WHERE NOT (a < b);
EXPLAIN (COSTS off) SELECT FROM pairs WHERE NOT (a = b);
EXPLAIN (COSTS off) SELECT FROM pairs WHERE '{a:1}'::version_vector < a;
SELECT oprname, oprcom::regoper, oprnegate::regoper, oprcanhash, oprcanmerge, oprrest, oprjoin FROM pg_operator
	WHERE oprleft = 'version_vector'::regtype ORDER BY oprname COLLATE "C";

-- ---- what a hash class is for ----
CREATE TABLE vectors (id integer, v version_vector);
INSERT INTO vectors SELECT i, format('{us-east:%s,"r %s":1}', i % 10 + 1, i % 3)::version_vector FROM generate_series(1, 300) i;
ANALYZE vectors;
SET enable_sort = off;
EXPLAIN (COSTS off) SELECT v, count(*) FROM vectors GROUP BY v;
SELECT count(*), min(n), max(n) FROM (SELECT v, count(*) AS n FROM vectors GROUP BY v) g;
SELECT count(*) FROM (SELECT DISTINCT v FROM vectors) d;
SET enable_nestloop = off;
EXPLAIN (COSTS off) SELECT count(*) FROM vectors x JOIN vectors y USING (v);
SELECT count(*) FROM vectors x JOIN vectors y USING (v);
RESET enable_nestloop;
RESET enable_sort;
SELECT count(*) FROM (SELECT v FROM vectors INTERSECT SELECT v FROM vectors) i;
CREATE INDEX ON vectors USING hash (v);
SET enable_seqscan = off;
EXPLAIN (COSTS off) SELECT count(*) FROM vectors WHERE v = '{us-east:3,"r 1":1}';
SELECT count(*) FROM vectors WHERE v = '{"r 1":1, us-east:3}';
SELECT count(*) FROM vectors WHERE v IN ('{us-east:3,"r 1":1}', '{us-east:4,"r 0":1}', '{}');
RESET enable_seqscan;
CREATE TABLE parts (v version_vector) PARTITION BY HASH (v);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT v FROM vectors;
SELECT count(*) > 0 AS some FROM parts_0 UNION ALL SELECT count(*) > 0 FROM parts_1;
SELECT count(*) FROM parts JOIN (SELECT DISTINCT v FROM vectors) d USING (v);
-- equal vectors have equal hashes, by whichever way they came to be
SELECT bool_and(version_vector_hash(a) = version_vector_hash(b) AND version_vector_hash_extended(a, 7) = version_vector_hash_extended(b, 7)) AS same,
	count(*) FROM pairs WHERE a = b;
SELECT count(DISTINCT version_vector_hash(v)) > 25 AS spread, count(DISTINCT version_vector_hash_extended(v, 1)) > 25 AS spread_too,
	bool_and(version_vector_hash(v) = version_vector_hash_extended(v, 0)::bit(32)::int) AS lower_half FROM (SELECT DISTINCT v FROM vectors) d;

-- ---- aggregate, also in parallel ----
SELECT merge(v) FROM vectors;
SELECT merge(a), merge(a) FILTER (WHERE false) AS of_none FROM pairs;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS off) SELECT merge(v) FROM vectors;
SELECT merge(v) FROM vectors;
COMMIT;

-- ---- nothing sorts by causality ----
\set VERBOSITY terse
SELECT v FROM vectors ORDER BY v;
SELECT v FROM vectors ORDER BY v USING <;
SELECT min(v) FROM vectors;
SELECT count(DISTINCT v) FROM vectors;
SELECT row_number() OVER (PARTITION BY v) FROM vectors;
SELECT row_number() OVER (ORDER BY v) FROM vectors;
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY v) FROM vectors;
CREATE INDEX ON vectors (v);
CREATE TABLE unique_vectors (v version_vector UNIQUE);
CREATE TABLE ranges (v version_vector) PARTITION BY RANGE (v);
SELECT x FROM vectors x ORDER BY x;
SELECT ARRAY[v] FROM vectors ORDER BY 1;
SELECT greatest(a, b) FROM pairs;
\set VERBOSITY default
SELECT opfmethod, amname FROM pg_opclass JOIN pg_opfamily f ON f.oid = opcfamily JOIN pg_am a ON a.oid = opcmethod
	WHERE opcintype = 'version_vector'::regtype AND amname <> 'hash';
-- and no cast leads to what does, unasked
SELECT castsource::regtype, casttarget::regtype, castcontext FROM pg_cast WHERE 'version_vector'::regtype IN (castsource, casttarget);

-- ---- stored: larger than a page, compressed ----
CREATE TABLE large (v version_vector);
INSERT INTO large VALUES (:'most');
INSERT INTO large SELECT merge(format('{%s:%s}', md5(i::text), i)::version_vector) FROM generate_series(1, 1000) i;
SELECT length(v::text), v -> 'r~4096' AS last, v -> 'c4ca4238a0b923820dcc509a6f75849b' AS one, pg_column_size(v) < 20000 AS compressed FROM large;
SELECT x.v = y.v AS "=", x.v <||> y.v AS "<||>", count(*) FROM large x, large y GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) FROM large x JOIN large y ON x.v = y.v;
-- together they are too many
SELECT merge(v) FROM large;

-- ---- binary form ----
SELECT version_vector_send('{}'), version_vector_send('{b~2:258,a:1}');
\getenv directory PG_ABS_BUILDDIR
\set file :directory '/results/types.bin'
CREATE TABLE written (id integer, v version_vector, h hlc);
INSERT INTO written SELECT id, v, (id * 1000::bigint * 65536 + id)::hlc FROM vectors;
INSERT INTO written SELECT 1000 + row_number() OVER (), v, '2024-05-01T12:34:56.789Z+0003' FROM large;
INSERT INTO written VALUES (2000, '{}', '1970-01-01T00:00:00Z'), (2001, '{Zürich:9223372036854775807}', '6429-10-17T02:45:55.327Z+65535'), (2002, NULL, NULL);
COPY written TO :'file' (FORMAT binary);
CREATE TABLE read (LIKE written);
COPY read FROM :'file' (FORMAT binary);
SELECT count(*) FROM read;
(TABLE written EXCEPT TABLE read) UNION ALL (TABLE read EXCEPT TABLE written);
-- in another encoding a name has other bytes, and may have another place; the value is the same
SET client_encoding = 'latin1';
COPY (SELECT id, v, h FROM written WHERE id = 2001) TO :'file' (FORMAT binary);
RESET client_encoding;
SELECT position('\xfc'::bytea IN pg_read_binary_file(:'file')) > 0 AS latin1;
TRUNCATE read;
SET client_encoding = 'latin1';
COPY read FROM :'file' (FORMAT binary);
RESET client_encoding;
SELECT v -> 'Zürich' AS zurich FROM read;

-- what is not such a form is refused, whatever it is
CREATE FUNCTION pg_temp.receive(type text, file text, VARIADIC parts text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	bytes bytea := decode(array_to_string(parts, ''), 'hex');
	large oid;
	result text;
BEGIN
	large := lo_from_bytea(0, '\x5047434f50590aff0d0a00' || int4send(0) || int4send(0) || int2send(1::int2) || int4send(length(bytes)) || bytes || int2send((-1)::int2));
	PERFORM lo_export(large, file), lo_unlink(large);
	EXECUTE format('CREATE TEMPORARY TABLE received (x %s)', type);
	BEGIN
		EXECUTE format('COPY received FROM %L (FORMAT binary)', file);
		EXECUTE 'SELECT x::text FROM received' INTO result;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS result = PG_EXCEPTION_DETAIL;
		result := sqlstate || ': ' || sqlerrm || coalesce(nullif('; ' || result, '; '), '');
	END;
	DROP TABLE received;
	RETURN result;
END $$;
\pset format unaligned
\pset tuples_only on
SELECT pg_temp.receive('version_vector', :'file', '01', '00000000');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000002', '00000001', '62', '00000002', '0000000000000007', '00000001', '61', '00000001', '0000000000000000');
SELECT pg_temp.receive('version_vector', :'file', '');
SELECT pg_temp.receive('version_vector', :'file', '02', '00000000');
SELECT pg_temp.receive('version_vector', :'file', '01', '0000');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001');
SELECT pg_temp.receive('version_vector', :'file', '01', 'ffffffff');
SELECT pg_temp.receive('version_vector', :'file', '01', '00001000');
SELECT pg_temp.receive('version_vector', :'file', '01', '00001001');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001', 'ffffffff', '61', '00000001', '0000000000000001');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001', '7fffffff', '61', '00000001', '0000000000000001');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001', '00000000', '00000001', '0000000000000001');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001', '00000001', '00', '00000001', '0000000000000001');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001', '00000001', 'ff', '00000001', '0000000000000001');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001', '00000001', '7e', '00000001', '0000000000000001');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001', '00000040', repeat('61', 64), '00000001', '0000000000000001');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001', '00000001', '61', '00000000', '0000000000000001');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001', '00000001', '61', '80000000', '0000000000000001');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001', '00000001', '61', '00000001', 'ffffffffffffffff');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000001', '00000001', '61', '00000001', '0000000000000001', '00');
SELECT pg_temp.receive('version_vector', :'file', '01', '00000002', '00000001', '61', '00000001', '0000000000000001', '00000001', '61', '00000001', '0000000000000000');
SELECT pg_temp.receive('hlc', :'file', '018f3dd2f2550003');
SELECT pg_temp.receive('hlc', :'file', 'ffffffffffffffff');
SELECT pg_temp.receive('hlc', :'file', '00');
SELECT pg_temp.receive('hlc', :'file', '000000000000000000');
\pset format aligned
\pset tuples_only off

-- ---- hlc ----
SELECT h::hlc, h::hlc::bigint, h::hlc::timestamptz AT TIME ZONE 'UTC' AS at FROM (VALUES ('1970-01-01T00:00:00Z'), (' 2024-05-01T12:34:56.789Z+0003 '),
	('2024-02-29T23:59:59.9Z+65535'), ('6429-10-17T02:45:55.327Z+65535')) t(h);
SELECT 112355432694054915::hlc;
SELECT (-1)::bigint::hlc;
SELECT '2024-05-01 12:34:56'::hlc;
SELECT '2023-02-29T00:00:00Z'::hlc;
SELECT '2024-05-01T12:34:56.789Z+65536'::hlc;
SELECT '6429-10-17T02:45:55.328Z'::hlc;
SELECT a, b, a = b AS "=", a <> b AS "<>", a < b AS "<", a <= b AS "<=", a > b AS ">", a >= b AS ">=", hlc_cmp(a, b)
	FROM (VALUES ('2024-05-01T00:00:00Z+1'::hlc, '2024-05-01T00:00:00Z+2'::hlc), ('2024-05-01T00:00:00Z+2', '2024-05-01T00:00:00Z+2'),
		('2024-05-02T00:00:00Z', '2024-05-01T00:00:00Z+65535')) t(a, b);
CREATE TABLE events (h hlc PRIMARY KEY);
INSERT INTO events SELECT ((i * 7919 % 1000) * 65536::bigint)::hlc FROM generate_series(0, 999) i;
SELECT min(h), max(h), count(DISTINCT h) FROM events;
SET enable_seqscan = off;
CREATE FUNCTION pg_temp.uses(statement text, what text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || statement LOOP
		IF line ~ what THEN RETURN true; END IF;
	END LOOP;
	RETURN false;
END $$;
SELECT pg_temp.uses($$SELECT max(h) FROM events WHERE h < '1970-01-01T00:00:00.5Z'$$, 'Scan Backward using events_pkey');
SELECT max(h) FROM events WHERE h < '1970-01-01T00:00:00.5Z';
SELECT h FROM events ORDER BY h DESC LIMIT 2;
RESET enable_seqscan;
SELECT count(*) FROM events x JOIN events y USING (h);
SELECT bool_and(hlc_hash(h) = hashint8(h::bigint)) AS as_int8, bool_and(h::text::hlc = h) AS read_again FROM events;
-- never taken for a number or a time unasked
SELECT '2024-05-01T00:00:00Z'::hlc + 1;
SELECT '2024-05-01T00:00:00Z'::hlc < now();

-- ---- asked whether it is valid, an input function says so and raises nothing, where PostgreSQL can ask (16) ----
CREATE FUNCTION pg_temp.refused(input text, type text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	why text;
BEGIN
	IF EXISTS (SELECT FROM pg_proc WHERE proname = 'pg_input_error_info') THEN
		EXECUTE $q$ SELECT sql_error_code || ': ' || message || '; ' || coalesce(detail, '') FROM pg_input_error_info($1, $2) $q$ INTO why USING input, type;
		RETURN why;
	END IF;
	EXECUTE format('SELECT %L::%s', input, type);
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	-- where it cannot ask
	GET STACKED DIAGNOSTICS why = PG_EXCEPTION_DETAIL;
	RETURN CASE WHEN EXISTS (SELECT FROM pg_proc WHERE proname = 'pg_input_error_info') THEN 'raised ' ELSE '' END || sqlstate || ': ' || sqlerrm || '; ' || why;
END $$;
SELECT input, pg_temp.refused(input, type) FROM (VALUES (1, '{a:1}', 'version_vector'), (2, '{a}', 'version_vector'),
	(3, '{a:9223372036854775808}', 'version_vector'), (4, '1970-01-01T00:00:00Z', 'hlc'), (5, 'now', 'hlc')) t(i, input, type) ORDER BY i;

-- ---- everything is described, everybody's, and safe where the planner uses it ----
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'schemadrift'
	WHERE (p.proname ~ '^(version_vector|hlc)' OR 'version_vector'::regtype = ANY (p.proargtypes) OR 'hlc'::regtype = ANY (p.proargtypes))
		AND ((p.prokind = 'f' AND NOT p.proisstrict) OR p.provolatile <> 'i' OR p.proparallel <> 's' OR NOT has_function_privilege('pg_read_all_data', p.oid, 'EXECUTE')
			OR obj_description(p.oid, 'pg_proc') IS NULL);
SELECT o.oid::regoperator FROM pg_operator o WHERE oprleft IN ('version_vector'::regtype, 'hlc'::regtype) AND obj_description(o.oid, 'pg_operator') IS NULL;
SELECT obj_description('version_vector'::regtype) IS NOT NULL AND obj_description('hlc'::regtype) IS NOT NULL AS described,
	amvalidate(c.oid) AS sound, opcname, opcdefault, obj_description(c.oid, 'pg_opclass') IS NOT NULL AS and_this
	FROM pg_opclass c WHERE opcintype IN ('version_vector'::regtype, 'hlc'::regtype) ORDER BY opcname, opcmethod;

DROP TABLE pairs, vectors, parts, large, written, read, events;
