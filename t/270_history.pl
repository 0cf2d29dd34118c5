# Rows of migration tools' histories: part of the entry, written in every region exactly once.  Three databases of one server
# are the regions; what needs a network to cut is in t/271_history_outages.pl.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use Test::More;

my $g = SchemaDrift::Group->new(
	regions   => [qw(r1 r2 r3)],
	databases => 1,
	conf      => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 300ms
schemadrift.lease_duration = 1s
schemadrift.retry_max_interval = 60s
schemadrift.max_entry_size = 1MB
max_prepared_transactions = 5
CONF
$g->sql($_, 'GRANT ALL ON SCHEMA public TO PUBLIC') foreach $g->names;
$g->sql('r1', 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; GRANT schemadrift_migrator TO alice');
$g->make_group(mode => 'coordinate');

sub head { my ($where) = @_; return $g->sql($where // 'r1', 'SELECT max(version) FROM schemadrift_store.log'); }

# Do it, and find the same everywhere.
sub everywhere
{
	my ($sql, $expected, $what) = @_;
	my @found = $g->converged ? map { $g->sql($_, $sql) } $g->names : ();

	return is_deeply(\@found, [ ($expected) x 3 ], $what);
}

sub works
{
	my ($where, $sql, $what, %o) = @_;
	my $before = head($where);
	my $r = $g->try($where, $sql, %o);

	ok($r->{ok}, $what) or diag $r->{err};
	is(head($where), $before + ($o{versions} // 1), $what . ': ' . ($o{versions} // 1) . ' version');
	return $r;
}

# ---- the first run of a tool, and the next ones ----

works('r1', q{BEGIN; CREATE TABLE schema_migrations (version varchar NOT NULL PRIMARY KEY);
	CREATE TABLE users (id int PRIMARY KEY); INSERT INTO schema_migrations VALUES ('1'); COMMIT}, 'a table made with its first row');
everywhere('SELECT version FROM schema_migrations', '1', 'is everywhere');
works('r2', q{INSERT INTO schema_migrations VALUES ('2')}, 'a row alone');
everywhere(q{SELECT string_agg(version, ' ' ORDER BY version) FROM schema_migrations}, '1 2', 'is everywhere');
works('r3', q{BEGIN; INSERT INTO schema_migrations VALUES ('3'); ALTER TABLE users ADD a int; COMMIT}, 'a row before its DDL');
everywhere(q{SELECT string_agg(version, ' ' ORDER BY version) FROM schema_migrations}, '1 2 3', 'is everywhere, too');
is($g->try($_, q{INSERT INTO schema_migrations VALUES ('2')})->{sqlstate}, '23505', "in $_ it is done already") foreach $g->names;
is($g->sql('r1', q{SELECT count(*) FROM schemadrift.migrations WHERE name LIKE 'r2-%'}), 1, 'it has a name like plain DDL');

works('r2', q{SET schemadrift.migration_name = 'named'; ALTER TABLE users ADD b2 int; INSERT INTO schema_migrations VALUES ('4'); DELETE FROM schema_migrations WHERE version = '4'},
	'DDL and its row, one after the other, in a session with a name', versions => 3);
is($g->sql('r2', q{SELECT count(*) FILTER (WHERE name = 'named') || ' ' || count(*) FROM schemadrift.migrations WHERE name = 'named' OR name LIKE 'r2-%'}), '1 4',
	'the first one has it') if $g->converged;

# ---- every way to write ----

$g->sql('r1', 'CREATE TABLE flyway_schema_history (installed_rank int PRIMARY KEY, version text, script text, ok boolean DEFAULT true)');
my $content = q{SELECT coalesce(string_agg(installed_rank || coalesce(version, '-') || ok, ' ' ORDER BY installed_rank), '') FROM flyway_schema_history};
works('r1', q{INSERT INTO flyway_schema_history VALUES (1, 'a'), (2, 'b'), (3, 'c')}, 'insert');
everywhere($content, '1atrue 2btrue 3ctrue', 'insert');
works('r2', q{UPDATE flyway_schema_history SET version = upper(version) WHERE installed_rank > 1}, 'update');
everywhere($content, '1atrue 2Btrue 3Ctrue', 'update');
works('r3', q{UPDATE flyway_schema_history SET installed_rank = installed_rank + 10}, 'update of the key');
everywhere($content, '11atrue 12Btrue 13Ctrue', 'update of the key');
works('r1', q{DELETE FROM flyway_schema_history WHERE installed_rank = 12}, 'delete');
everywhere($content, '11atrue 13Ctrue', 'delete');
works('r1', q{INSERT INTO flyway_schema_history VALUES (11, 'x'), (14, NULL) ON CONFLICT (installed_rank) DO UPDATE SET version = 'again'}, 'upsert');
everywhere($content, '11againtrue 13Ctrue 14-true', 'upsert');
works('r1', q{INSERT INTO flyway_schema_history VALUES (11, 'x') ON CONFLICT DO NOTHING}, 'upsert of nothing', versions => 0);
works('r1', q{UPDATE flyway_schema_history SET version = version}, 'update that changes nothing', versions => 0);
works('r1', q{UPDATE flyway_schema_history SET ok = false WHERE installed_rank = 99}, 'update of nothing', versions => 0);
works('r1', q{BEGIN; SELECT * FROM flyway_schema_history FOR UPDATE; LOCK TABLE flyway_schema_history; COMMIT}, 'locks alone', versions => 0);
works('r1', q{MERGE INTO flyway_schema_history h USING (VALUES (13, 'm'), (15, 'n')) v (rank, version) ON h.installed_rank = v.rank
	WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.rank, v.version)}, 'merge');
everywhere($content, '11againtrue 14-true 15ntrue', 'merge');
works('r2', "COPY flyway_schema_history (installed_rank, version) FROM PROGRAM 'echo 16,copied' WITH (FORMAT csv)", 'copy');
everywhere($content, '11againtrue 14-true 15ntrue 16copiedtrue', 'copy');
works('r2', q{WITH gone AS (DELETE FROM flyway_schema_history RETURNING *) SELECT count(*) FROM gone}, 'a query that deletes');
everywhere($content, '', 'a query that deletes');
works('r1', q{PREPARE p (int) AS INSERT INTO flyway_schema_history VALUES ($1, 'prepared'); EXECUTE p (1); EXECUTE p (2)}, 'prepared', versions => 2);
works('r1', q{DO $$ BEGIN INSERT INTO flyway_schema_history VALUES (3, 'done'); END $$}, 'in a DO block');
works('r1', q{BEGIN; INSERT INTO flyway_schema_history VALUES (4, 'kept'); SAVEPOINT s; INSERT INTO flyway_schema_history VALUES (5, 'gone');
	UPDATE flyway_schema_history SET ok = false; DELETE FROM flyway_schema_history WHERE installed_rank = 1; ROLLBACK TO s;
	SAVEPOINT t; UPDATE flyway_schema_history SET version = 'kept, too' WHERE installed_rank = 4; RELEASE t; COMMIT}, 'savepoints');
everywhere($content, '1preparedtrue 2preparedtrue 3donetrue 4kept, tootrue', 'savepoints');
works('r1', q{BEGIN; INSERT INTO flyway_schema_history VALUES (6, 'gone'); ROLLBACK}, 'rolled back', versions => 0);
works('r1', q{BEGIN; SAVEPOINT s; INSERT INTO flyway_schema_history VALUES (6, 'gone'); ROLLBACK TO s; COMMIT}, 'all of it rolled back', versions => 0);
works('r1', q{BEGIN; INSERT INTO flyway_schema_history VALUES (6, 'gone'); DELETE FROM flyway_schema_history WHERE installed_rank = 6; COMMIT},
	'taken back', versions => 0);
works('r1', q{EXPLAIN INSERT INTO flyway_schema_history VALUES (6, 'gone')}, 'explained', versions => 0);
everywhere($content, '1preparedtrue 2preparedtrue 3donetrue 4kept, tootrue', 'nothing of that is anywhere');

# ---- numbers from sequences ----

works('r1', q{BEGIN; CREATE TABLE knex_migrations (id serial PRIMARY KEY, name text, batch int);
	CREATE TABLE "SequelizeMeta" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, long text GENERATED ALWAYS AS (name || '!') STORED);
	INSERT INTO knex_migrations (name, batch) VALUES ('a', 1), ('b', 1); INSERT INTO "SequelizeMeta" (name) VALUES ('a'); COMMIT}, 'serial and identity');
works('r2', q{BEGIN; INSERT INTO knex_migrations (name, batch) VALUES ('c', 2); INSERT INTO "SequelizeMeta" (name) VALUES ('b'); COMMIT},
	'the next numbers, from another region') if $g->converged;
works('r3', q{BEGIN; INSERT INTO knex_migrations (name, batch) VALUES ('d', 3); INSERT INTO "SequelizeMeta" (name) VALUES ('c'); COMMIT},
	'and from the third') if $g->converged;
everywhere(q{SELECT string_agg(id || name, ' ' ORDER BY id) FROM knex_migrations}, '1a 2b 3c 4d', 'the same numbers everywhere');
everywhere(q{SELECT string_agg(id || long, ' ' ORDER BY id) FROM "SequelizeMeta"}, '1a! 2b! 3c!', 'identity always, and a generated column');

# ---- no key ----

works('r1', q{BEGIN; CREATE TABLE alembic_version (version_num varchar(32) NOT NULL); INSERT INTO alembic_version VALUES ('ae1'); COMMIT}, 'no key');
works('r1', q{UPDATE alembic_version SET version_num = 'ae2' WHERE version_num = 'ae1'}, 'update without a key');
everywhere('SELECT version_num FROM alembic_version', 'ae2', 'update without a key');
works('r1', q{INSERT INTO alembic_version VALUES ('twice'), ('twice'), ('twice')}, 'the same row three times');
works('r2', q{DELETE FROM alembic_version WHERE ctid = (SELECT min(ctid) FROM alembic_version WHERE version_num = 'twice')}, 'one of three') if $g->converged;
everywhere('SELECT version_num, count(*) FROM alembic_version GROUP BY 1 ORDER BY 1', "ae2|1\ntwice|2", 'the others stay');

# ---- values ----

works('r1', q{CREATE TYPE mood AS ENUM ('so lala', 'très bien'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN small AS int CHECK (VALUE < 10)}, 'types', versions => 3);
works('r1', q{CREATE TABLE django_migrations (id int PRIMARY KEY, app text, name text, applied timestamptz, b bytea, a text[], j json, jb jsonb,
	i interval, d date, f float8, n numeric, m mood, p pair, pa pair[], s small, x xml, r tstzrange, c "char", o oid, t time with time zone, mo money, l regclass)}, 'many types');
ok($g->converged, 'in r2, too');
works('r2', q{SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'iso_8601'; SET bytea_output = 'escape'; SET extra_float_digits = -10;
	SET standard_conforming_strings = on; SET search_path = pg_temp, public;
	INSERT INTO django_migrations VALUES (1, E'quote '' double " back\\\\ new\nline tab\t', 'Straße 日本', '01/02/2030 03:04:05.678901', '\x00ff5c27',
	ARRAY['NULL', NULL, 'a,b', '{"}', ''], '{"a" : 1,  "a":2}', '{"b":[1, null]}', '1 year 2 months -3 days 04:05:06.7', '03/04/2030', 0.1::float8 + 0.2, 1.50, 'très bien',
	(1, 'a"b'), ARRAY[(1,'x')::pair, NULL, (NULL,'')::pair], 7, '<a>&amp;</a>', '[2030-01-01 00:00+05:30, infinity)', 'z', 4000000000, '12:00+05:45', 12.34, 'users'),
	(2, '', NULL, 'infinity', '', '{}', 'null', 'null', NULL, '-infinity', 'NaN', 'NaN', NULL, NULL, NULL, NULL, NULL, 'empty', NULL, NULL, NULL, NULL, NULL)}, 'their values');
{
	my $all = q{SET TimeZone = 'UTC'; SET extra_float_digits = 3; SELECT md5(string_agg(d::text, '|' ORDER BY id)) FROM django_migrations d};
	my ($one) = $g->sql('r2', $all) =~ /(\w{32})/;
	everywhere($all, $one, 'are the same everywhere');
	is($g->sql('r3', q{SELECT name || j || b::text FROM django_migrations WHERE id = 1}), 'Straße 日本{"a" : 1,  "a":2}\x00ff5c27', 'such as these');
}
works('r1', q{UPDATE django_migrations SET a = NULL, app = 'x' WHERE id = 1}, 'an update of them');
everywhere(q{SELECT a IS NULL AND app = 'x' AND m = 'très bien' FROM django_migrations WHERE id = 1}, 't', 'is everywhere');

# ---- where tables are, and what is none ----

works('r1', q{CREATE SCHEMA "My Tool"; CREATE TABLE "My Tool"."__EFMigrationsHistory" ("MigrationId" text PRIMARY KEY, "ProductVersion" text)}, 'names to quote', versions => 2);
works('r2', q{INSERT INTO "My Tool"."__EFMigrationsHistory" VALUES ('a', 'b')}, 'a row there') if $g->converged;
everywhere(q{SELECT "ProductVersion" FROM "My Tool"."__EFMigrationsHistory"}, 'b', 'is everywhere');
works('r1', q{CREATE TEMP TABLE schema_migrations (version text); INSERT INTO schema_migrations VALUES ('temporary')}, 'a temporary table', versions => 0);
works('r1', q{CREATE TABLE migrations (species text, kilometers int)}, 'birds');
works('r1', q{INSERT INTO migrations VALUES ('stork', 10000)}, 'birds are no history', versions => 0);
works('r1', q{CREATE SCHEMA sqitch; CREATE TABLE sqitch.changes (change_id text PRIMARY KEY, change text, project text, planner_email text);
	CREATE TABLE sqitch.dependencies (change_id text REFERENCES sqitch.changes ON UPDATE CASCADE ON DELETE CASCADE, type text, dependency text, dependency_id text, PRIMARY KEY (change_id, dependency));
	CREATE TABLE sqitch.events (event text, change_id text, change text, project text, committer_email text, committed_at timestamptz DEFAULT clock_timestamp(), PRIMARY KEY (change_id, committed_at))},
	'a schema of its own', versions => 4);
works('r1', q{BEGIN; LOCK TABLE sqitch.changes IN EXCLUSIVE MODE; INSERT INTO sqitch.changes VALUES ('c1', 'one', 'p', 'a@b'), ('c2', 'two', 'p', 'a@b');
	INSERT INTO sqitch.dependencies VALUES ('c2', 'require', 'one', 'c1'); INSERT INTO sqitch.events VALUES ('deploy', 'c2', 'two', 'p', 'a@b'); COMMIT}, 'its rows');
everywhere(q{SELECT md5(string_agg(e::text, '')) || (SELECT count(*) FROM sqitch.dependencies) FROM sqitch.events e},
	$g->sql('r1', q{SELECT md5(string_agg(e::text, '')) || 1 FROM sqitch.events e}), 'are everywhere, with the time that the origin had');
works('r2', q{DELETE FROM sqitch.changes WHERE change_id = 'c2'}, 'a delete that cascades');
everywhere(q{SELECT (SELECT count(*) FROM sqitch.changes) || ' ' || (SELECT count(*) FROM sqitch.dependencies)}, '1 0', 'takes the same rows everywhere');

works('r1', q{CREATE TABLE pgmigrations (id int, name text, run_on date) PARTITION BY RANGE (id);
	CREATE TABLE pgmigrations_low PARTITION OF pgmigrations (PRIMARY KEY (id)) FOR VALUES FROM (0) TO (100);
	CREATE TABLE pgmigrations_rest PARTITION OF pgmigrations DEFAULT}, 'a partitioned one', versions => 3);
works('r1', q{INSERT INTO pgmigrations VALUES (1, 'low', '2030-01-01'), (1000, 'high', '2030-01-01')}, 'rows of partitions');
works('r2', q{UPDATE pgmigrations SET id = id + 99}, 'moved to another') if $g->converged;
works('r3', q{DELETE FROM pgmigrations_rest WHERE id = 1099}, 'deleted from a partition by its name') if $g->converged;
everywhere('SELECT tableoid::regclass, id FROM pgmigrations ORDER BY 2', 'pgmigrations_rest|100', 'partitions');

# ---- row security, triggers, rules ----

works('r1', q{CREATE TABLE goose_db_version (id serial PRIMARY KEY, version_id bigint, is_applied boolean, who text DEFAULT current_user);
	CREATE TABLE audit (what text); CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (TG_OP); RETURN NEW; END $$;
	CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON goose_db_version FOR EACH ROW EXECUTE FUNCTION audit();
	ALTER TABLE goose_db_version ENABLE ALWAYS TRIGGER audit;
	ALTER TABLE goose_db_version ENABLE ROW LEVEL SECURITY; ALTER TABLE goose_db_version FORCE ROW LEVEL SECURITY;
	CREATE POLICY mine ON goose_db_version USING (who = current_user AND current_setting('app.tool', true) = 'goose');
	GRANT ALL ON goose_db_version, audit TO alice; GRANT ALL ON SEQUENCE goose_db_version_id_seq TO alice}, 'row security and triggers', versions => 10);
works('r1', q{SET app.tool = 'goose'; INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)}, 'a row that only such a session may write', user => 'alice');
everywhere('SELECT version_id, who FROM goose_db_version', '1|alice', 'is everywhere');
is($g->sql('r1', 'SELECT count(*) FROM audit'), 1, 'the trigger fired where it was written');
is($g->sql('r2', 'SELECT count(*) FROM audit'), 0, 'and nowhere else');
works('r1', q{SET app.tool = 'goose'; UPDATE goose_db_version SET is_applied = false}, 'an update', user => 'alice');
everywhere('SELECT is_applied FROM goose_db_version', 'f', 'is everywhere');

works('r1', q{CREATE TABLE kysely_migration (name text PRIMARY KEY, timestamp text); GRANT SELECT ON kysely_migration TO bob; GRANT UPDATE (timestamp) ON kysely_migration TO bob;
	INSERT INTO kysely_migration VALUES ('a', 'then')}, 'a role with few rights', versions => 4);
works('r1', q{UPDATE kysely_migration SET timestamp = 'now'}, 'may write one column', user => 'bob');
everywhere('SELECT timestamp FROM kysely_migration', 'now', 'everywhere');
works('r1', q{CREATE FUNCTION note_it(text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$INSERT INTO kysely_migration VALUES ($1, 'by function')$$}, 'a function that records');
works('r1', q{SELECT note_it('b')}, 'is called by one who may not', user => 'alice');
everywhere(q{SELECT timestamp FROM kysely_migration WHERE name = 'b'}, 'by function', 'everywhere');

# ---- apply() and revert() ----

works('r1', q{SELECT schemadrift.apply('text', $$CREATE TABLE by_text (); INSERT INTO schema_migrations VALUES ('text')$$)}, 'rows of a text');
everywhere(q{SELECT count(*) FROM schema_migrations WHERE version = 'text'}, 1, 'are written by the text alone');
works('r1', q{SELECT schemadrift.apply('numbers', $$INSERT INTO alembic_version VALUES ('by text')$$)}, 'without a key');
everywhere(q{SELECT count(*) FROM alembic_version WHERE version_num = 'by text'}, 1, 'once');
works('r1', q{BEGIN; INSERT INTO schema_migrations VALUES ('before');
	SELECT schemadrift.apply('beside', $$CREATE TABLE beside (); INSERT INTO alembic_version VALUES ('text')$$, 'DROP TABLE beside; DELETE FROM alembic_version WHERE version_num = $$text$$');
	INSERT INTO schema_migrations VALUES ('after'); UPDATE alembic_version SET version_num = 'client' WHERE version_num = 'text';
	DELETE FROM schema_migrations WHERE version = '1'; COMMIT}, 'rows beside a text');
everywhere(q{SELECT string_agg(version, ' ' ORDER BY version) FROM schema_migrations}, '2 3 after before text', 'rows beside a text');
everywhere(q{SELECT count(*) FILTER (WHERE version_num = 'client') || ' ' || count(*) FILTER (WHERE version_num = 'text') FROM alembic_version}, '1 0', 'a row of the text, changed beside it');
works('r2', q{SELECT schemadrift.revert('beside')}, 'revert');
everywhere(q{SELECT string_agg(version, ' ' ORDER BY version) FROM schema_migrations}, '1 2 3 text', 'takes the rows back');
everywhere(q{SELECT to_regclass('beside') IS NULL}, 't', 'with the schema');
works('r1', q{BEGIN; SELECT schemadrift.apply('runner', 'CREATE TABLE runner ()', 'DROP TABLE runner'); INSERT INTO schema_migrations VALUES ('runner'); COMMIT}, 'a runner of its own');
works('r3', q{BEGIN; SELECT schemadrift.revert('runner'); DELETE FROM schema_migrations WHERE version = 'runner'; INSERT INTO alembic_version VALUES ('undone'); COMMIT},
	'that takes its row back itself') if $g->converged;
everywhere(q{SELECT (SELECT count(*) FROM schema_migrations WHERE version = 'runner') || ' ' || (SELECT count(*) FROM alembic_version WHERE version_num = 'undone')}, '0 1', 'once');
is($g->try('r1', q{BEGIN; INSERT INTO schema_migrations VALUES ('x'); SELECT schemadrift.set_policy('{"require_down": false}'); COMMIT})->{sqlstate}, 'SD004',
	'no rows with another policy');
is($g->try('r1', q{BEGIN; SELECT schemadrift.set_policy('{"require_down": false}'); INSERT INTO schema_migrations VALUES ('x'); COMMIT})->{sqlstate}, 'SD004',
	'in whatever order');

# ---- emptied, rewritten ----

works('r1', q{BEGIN; TRUNCATE schema_migrations; INSERT INTO schema_migrations VALUES ('77'); COMMIT}, 'a tool that keeps one row');
everywhere('SELECT version FROM schema_migrations', '77', 'keeps it everywhere');
works('r2', q{BEGIN; INSERT INTO schema_migrations VALUES ('78'); ALTER TABLE schema_migrations ALTER version TYPE int USING version::int; COMMIT}, 'rewritten');
everywhere('SELECT sum(version) FROM schema_migrations', 155, 'rewritten with its rows');
works('r2', q{BEGIN; ALTER TABLE schema_migrations ALTER version TYPE text; INSERT INTO schema_migrations VALUES ('79'); COMMIT}, 'a row after a rewrite');
everywhere(q{SELECT string_agg(version, ' ' ORDER BY version) FROM schema_migrations}, '77 78 79', 'a row after a rewrite');
works('r2', q{BEGIN; INSERT INTO schema_migrations VALUES ('80'); ALTER TABLE schema_migrations RENAME version TO filename; ALTER TABLE schema_migrations ADD at int DEFAULT 5; COMMIT}, 'columns');
everywhere(q{SELECT sum(filename::int) || ' ' || sum(at) FROM schema_migrations}, '314 20', 'renamed and added');
works('r1', q{BEGIN; INSERT INTO schema_migrations VALUES ('81'); DROP TABLE schema_migrations; COMMIT}, 'dropped with it');
everywhere(q{SELECT to_regclass('schema_migrations') IS NULL}, 't', 'nothing is left');

# ---- size ----

works('r1', q{INSERT INTO flyway_schema_history SELECT 1000 + n, repeat(md5(n::text), 10) FROM generate_series(1, 1000) n}, 'a thousand rows');
everywhere('SELECT count(*) FROM flyway_schema_history WHERE installed_rank > 1000', 1000, 'are everywhere');
{
	my $r = $g->try('r1', q{INSERT INTO flyway_schema_history SELECT 3000 + n, repeat(md5(n::text), 100) FROM generate_series(1, 1000) n});
	is($r->{sqlstate}, '54000', 'too much for an entry is refused') or diag $r->{err};
	like($r->{hint}, qr/"-public\.flyway_schema_history"/, 'with a way out');
	is($g->sql('r1', 'SELECT count(*) FROM flyway_schema_history WHERE installed_rank > 3000'), 0, 'nothing happened');
}

# ---- two tools at once ----

{
	my ($one, $two) = map { $g->session($_) } qw(r1 r2);

	ok($_->query('BEGIN;')->{ok}, 'begin') foreach $one, $two;
	ok($one->query(q{INSERT INTO knex_migrations (name, batch) VALUES ('same', 9); CREATE TABLE same ();})->{ok}, 'the first one writes');
	$two->send(q{INSERT INTO knex_migrations (name, batch) VALUES ('same', 9); CREATE TABLE same ();});
	ok($one->query('COMMIT;')->{ok}, 'and commits');
	my $r = $two->result;
	isnt($r->{sqlstate}, '00000', "the second one is told: $r->{sqlstate}") or diag $r->{err};
	$two->query('ROLLBACK;');
	$_->quit foreach $one, $two;
	everywhere(q{SELECT count(*) FROM knex_migrations WHERE name = 'same'}, 1, 'it is done once');
}

# ---- what stays ----

{
	my $r = works('r1', q{BEGIN; ALTER TABLE users ADD b int; INSERT INTO users (id) VALUES (1); INSERT INTO users (id) VALUES (2); COMMIT}, 'rows of another table');
	is(() = $r->{err} =~ /NOTICE.*?rows written to public.users stay in this region/g, 1, 'one notice');
	$r = works('r1', q{BEGIN; INSERT INTO users (id) VALUES (3); ALTER TABLE users ADD c int; COMMIT}, 'rows before DDL');
	like($r->{err}, qr/rows written to public.users stay/, 'the notice, too');
	$r = works('r1', q{BEGIN; INSERT INTO users (id) VALUES (4); COMMIT; ALTER TABLE users ADD d int}, 'rows of another transaction');
	unlike($r->{err}, qr/stay/, 'no notice');
	$r = works('r1', q{SELECT schemadrift.apply('both', 'ALTER TABLE users ADD e int; UPDATE users SET e = id')}, 'rows of a text');
	unlike($r->{err}, qr/stay/, 'no notice');
	$r = works('r1', q{CREATE TEMP TABLE mine (a int); BEGIN; INSERT INTO mine VALUES (1); ALTER TABLE users ADD f int; COMMIT}, 'rows of a temporary table');
	unlike($r->{err}, qr/stay/, 'no notice');
	$g->converged;
	is($g->sql('r2', 'SELECT count(*) FROM users'), 0, 'they did stay');
}

# ---- what tools' sessions do ----

works('r1', q{BEGIN\; CREATE TABLE batch_1 ()\; INSERT INTO knex_migrations (name) VALUES ('batch')\; CREATE TABLE batch_2 ()\; COMMIT}, 'several statements in one query');
works('r1', q{CREATE TABLE batch_3 ()\; INSERT INTO knex_migrations (name) VALUES ('implicit')}, 'without BEGIN');
is($g->try('r1', q{INSERT INTO knex_migrations (name) VALUES ('fails')\; SELECT 1/0})->{sqlstate}, '22012', 'an error among them');
works('r1', q{SELECT pg_advisory_lock(4711); BEGIN; SET LOCAL ROLE alice; SET LOCAL search_path = public; CREATE TABLE hers ();
	RESET ROLE; INSERT INTO knex_migrations (name) VALUES ('roles'); COMMIT; SELECT pg_advisory_unlock(4711)}, 'advisory locks, roles and paths');
everywhere(q{SELECT string_agg(name, ' ' ORDER BY id) || ' ' || (SELECT tableowner FROM pg_tables WHERE tablename = 'hers') FROM knex_migrations WHERE name IN ('batch', 'implicit', 'fails', 'roles')},
	'batch implicit roles alice', 'all that was committed');
foreach my $protocol (qw(extended prepared))
{
	my $before = head();
	my $file = "$ENV{HOME}/$protocol.sql";

	PostgreSQL::Test::Utils::append_to_file($file, "BEGIN;\nCREATE TABLE by_$protocol (a int);\nINSERT INTO knex_migrations (name) VALUES ('$protocol');\nCOMMIT;\n");
	PostgreSQL::Test::Utils::command_ok([ 'pgbench', '-n', '-t', '1', '-M', $protocol, '-f', $file, '-h', $g->region('r1')->host, '-p', $g->region('r1')->port, 'r1' ],
		"$protocol protocol");
	is(head(), $before + 1, '... is a version');
	everywhere(qq{SELECT count(*) || (to_regclass('by_$protocol') IS NOT NULL)::text FROM knex_migrations WHERE name = '$protocol'}, '1true', '... and everywhere');
}
{
	my $s = $g->session('r1');

	ok($s->query('BEGIN; LOCK TABLE sqitch.changes IN EXCLUSIVE MODE;')->{ok}, 'a registry that is locked');
	works('r1', 'CREATE TABLE by_psql ()', 'while another connection runs the script');
	ok($s->query(q{INSERT INTO sqitch.changes VALUES ('c9', 'nine', 'p', 'a@b'); COMMIT;})->{ok}, 'is written afterwards');
	$s->quit;
	everywhere(q{SELECT count(*) FROM sqitch.changes WHERE change_id = 'c9'}, 1, 'and everywhere');
}

# ---- refused ----

{
	my $r = $g->try('r1', q{BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO knex_migrations (name) VALUES ('x'); COMMIT});
	is($r->{sqlstate}, '25001', 'not with SERIALIZABLE');
	$r = $g->try('r1', q{BEGIN; INSERT INTO knex_migrations (name) VALUES ('x'); PREPARE TRANSACTION 'x'});
	is($r->{sqlstate}, 'SD004', 'not prepared') or diag $r->{err};
	is($g->try('r1', q{SET default_transaction_read_only = on; INSERT INTO knex_migrations (name) VALUES ('x')})->{sqlstate}, '25006', 'not read only');
	$g->sql('r1', q{SELECT schemadrift.set_policy('{"lock": {"objects": ["public.knex_*"], "reason": "a test"}}')});
	is($g->try('r1', q{INSERT INTO knex_migrations (name) VALUES ('x')})->{sqlstate}, 'SD005', 'not where it is locked');
	$g->sql('r1', q{SELECT schemadrift.set_policy('{"lock": null}')});
	is($g->try('r1', q{SET schemadrift.scope = 'local'; INSERT INTO knex_migrations (name) VALUES ('x')})->{sqlstate}, 'SD005', 'not where all is to be local');
	is($g->sql('r1', q{SELECT count(*) FROM knex_migrations WHERE name = 'x'}), 0, 'nothing of it is there');
}

# ---- modes and policy ----

works('r1', q{SET schemadrift.ddl_mode = 'off'; SET schemadrift.bypass_reason = 'a test'; INSERT INTO knex_migrations (name) VALUES ('off')}, 'switched off', versions => 0);
is($g->sql('r1', q{SELECT outcome FROM schemadrift.decisions WHERE kind = 'bypass' AND subject = 'rows of public.knex_migrations'}), 'not coordinated', 'it is told in decisions');
$g->sql('r1', q{DELETE FROM knex_migrations WHERE name = 'off'});
ok($g->converged, 'a delete of what others do not have');
works('r1', q{SET schemadrift.ddl_mode = 'require_apply'; INSERT INTO knex_migrations (name) VALUES ('required')}, 'rows are no DDL');
$g->sql('r1', q{SELECT schemadrift.set_policy('{"mode": "observe"}')});
$g->converged;
works('r2', q{INSERT INTO knex_migrations (name) VALUES ('observed')}, 'observed', versions => 0);
is($g->sql('r2', q{SELECT count(*) FROM schemadrift.decisions WHERE kind = 'would-have' AND subject = 'rows of public.knex_migrations'}), 1, 'noted');
$g->sql('r2', q{DELETE FROM knex_migrations WHERE name = 'observed'});
$g->sql('r1', q{SELECT schemadrift.set_policy('{"mode": null, "history_tables": ["public.deployments", "-public.knex_migrations", "-*.flyway*"]}')});
$g->converged;
works('r1', q{CREATE TABLE deployments (n int PRIMARY KEY); CREATE TABLE bystanders (n int)}, 'a tool of one\'s own', versions => 2);
{
	my $s = $g->session('r1');

	ok($s->query(q{INSERT INTO deployments VALUES (1);})->{ok}, 'its row');
	everywhere('SELECT n FROM deployments', 1, 'is everywhere');
	works('r1', q{INSERT INTO knex_migrations (name) VALUES ('taken out')}, 'a known tool that was taken out', versions => 0);
	ok($s->query(q{INSERT INTO bystanders VALUES (1);})->{ok}, 'a row of no history');
	$g->sql('r2', q{SELECT schemadrift.set_policy('{"history_tables": ["public.deployments", "public.bystanders"]}')});
	$g->converged;
	ok($s->query(q{INSERT INTO bystanders VALUES (2);})->{ok}, 'which is one by now, in the same session');
	everywhere('SELECT count(*) FROM bystanders WHERE n = 2', 1, 'and goes everywhere');
	ok($s->query(q{ALTER TABLE bystanders RENAME TO others; INSERT INTO others VALUES (3);})->{ok}, 'renamed');
	ok($g->converged, 'the renaming is everywhere');
	is($g->sql('r2', 'SELECT count(*) FROM others WHERE n = 3'), 0, 'it is none any more');
	ok($s->query(q{ALTER TABLE others RENAME TO bystanders; INSERT INTO bystanders VALUES (4);})->{ok}, 'and back');
	everywhere('SELECT count(*) FROM bystanders WHERE n = 4', 1, 'it is one again');
	$s->quit;
}
is($g->try('r1', q{SELECT schemadrift.set_policy('{"history_tables": ["nodot"]}')})->{sqlstate}, '22023', 'a pattern has a dot');

# ---- a region that has it already, or otherwise ----

$g->sql('r1', q{SELECT schemadrift.set_policy('{"history_tables": null}')});
$g->converged;
my $off = q{SET schemadrift.ddl_mode = 'off'; SET schemadrift.bypass_reason = 'a test';};
$g->sql('r2', "$off INSERT INTO kysely_migration VALUES ('there', 'equal'), ('other', 'here')");
works('r1', q{INSERT INTO kysely_migration VALUES ('there', 'equal'), ('other', 'log'); DELETE FROM kysely_migration WHERE name = 'a'}, 'rows that a region has', versions => 2);
everywhere(q{SELECT string_agg(name || timestamp, ' ' ORDER BY name) FROM kysely_migration}, 'bby function otherlog thereequal', 'the log wins');
$g->sql('r1', 'ALTER TABLE kysely_migration ADD CONSTRAINT once UNIQUE (timestamp)');
$g->converged;
$g->sql('r2', "$off INSERT INTO kysely_migration VALUES ('in the way', 'taken')");
$g->sql('r1', q{INSERT INTO kysely_migration VALUES ('comes', 'taken')});
$g->wait_until('r2', 'SELECT state FROM schemadrift.status', 'halted');
my $r;
like($g->sql('r2', 'SELECT what FROM schemadrift.alerts'), qr/once/, 'another unique column in the way halts it, and says so');
$g->sql('r2', "$off DELETE FROM kysely_migration WHERE name = 'in the way'");
$g->try('r2', 'SELECT schemadrift.retry()');
everywhere(q{SELECT name FROM kysely_migration WHERE timestamp = 'taken'}, 'comes', 'it goes on');


# ---- by hand ----

$g->sql('r1', 'CREATE TABLE hand (a int)');
$g->converged;
$g->sql('r2', "$off CREATE TABLE by_hand (a int)");
works('r1', q{BEGIN; CREATE TABLE by_hand (a int); INSERT INTO kysely_migration VALUES ('by hand', 'h'); COMMIT}, 'a table that a region has, with a row');
$g->wait_until('r2', 'SELECT state FROM schemadrift.status', 'halted');
my ($name) = $g->sql('r2', q{SELECT name FROM schemadrift.migrations ORDER BY version DESC LIMIT 1});
$r = $g->try('r2', "SELECT schemadrift.mark_applied('$name', 'it was there')");
ok($r->{ok}, 'mark_applied') or diag $r->{err};
everywhere(q{SELECT count(*) FROM kysely_migration WHERE name = 'by hand'}, 1, 'writes the row');
$g->sql('r2', "$off INSERT INTO kysely_migration VALUES ('in the way again', 'again')");
works('r1', q{INSERT INTO kysely_migration VALUES ('comes again', 'again')}, 'a row that cannot be written somewhere');
$g->wait_until('r2', 'SELECT state FROM schemadrift.status', 'halted');
($name) = $g->sql('r2', q{SELECT name FROM schemadrift.migrations ORDER BY version DESC LIMIT 1});
$r = $g->try('r2', "SELECT schemadrift.mark_applied('$name', 'leave it')");
ok($r->{ok}, 'mark_applied gets past it') or diag $r->{err};
like($r->{err}, qr/WARNING.*rows of a migration tool's history were not written: duplicate key.*"once"/s, 'and warns');

# beside a change that regions do not run; mark_applied() where there is nothing to mark
$r = $g->try('r1', q{BEGIN; INSERT INTO kysely_migration VALUES ('with policy', 'p'); SELECT schemadrift.set_policy('{"ddl_hold_limit": "1 min"}'); COMMIT});
is($r->{sqlstate}, 'SD004', 'a row beside a change of the policy') or diag $r->{err};
like($r->{err}, qr/cannot run schemadrift\.set_policy\(\) in a transaction that has changed the schema.*COMMIT first/s, '... is refused, and says so');
$g->sql('r2', "$off CREATE TABLE taken ()");
$r = $g->try('r1', q{SELECT schemadrift.apply('taken', 'CREATE TABLE taken ()', 'DROP TABLE taken')});
ok($r->{ok} && $g->wait_until('r2', 'SELECT state FROM schemadrift.status', 'halted'), 'a change that halts a region') or diag $r->{err};
$r = $g->try('r1', q{BEGIN; INSERT INTO kysely_migration VALUES ('beside', 'b'); SELECT schemadrift.revert('taken'); COMMIT});
is($r->{sqlstate}, 'SD004', 'a row beside taking that back') or diag $r->{err};
like($r->{err}, qr/rows of a migration tool's history cannot be part of this transaction.*kind "supersede".*COMMIT between the two/s, '... is refused, and says so');
is($g->try('r1', q{SELECT schemadrift.revert('taken')})->{sqlstate}, '00000', '... by itself it is not');
$g->sql('r2', "$off DROP TABLE taken");
everywhere(q{SELECT count(*) FROM kysely_migration WHERE name IN ('beside', 'with policy')}, 0, '... and there is no row of those');
is($g->try('r2', q{BEGIN; CREATE TABLE marked (); SELECT schemadrift.mark_applied('x', 'y')})->{sqlstate}, 'SD004', 'mark_applied() in a change');
is($g->try('r2', q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT schemadrift.mark_applied('x', 'y')})->{sqlstate}, '25001', '... or at another isolation level');

# a history table that is otherwise in a region
$g->sql('r2', "$off ALTER TABLE kysely_migration RENAME TO kept; ALTER TABLE kept RENAME name TO called");
works('r1', q{INSERT INTO kysely_migration VALUES ('nowhere to go', 'n')}, 'a row of a table that one region does not have');
my $says = sub
{
	my ($pattern, $what) = @_;

	return ok($g->wait_until('r2', "SELECT reason ~ '$pattern' FROM schemadrift.status", 't'), $what) || diag($g->sql('r2', 'SELECT state, reason FROM schemadrift.status'));
};
$says->('history table public.kysely_migration does not exist in this region', 'halts it');
$g->sql('r2', "$off ALTER TABLE kept RENAME TO kysely_migration");
$g->try('r2', 'SELECT schemadrift.retry()');
$says->('history table public.kysely_migration has no column "name" in this region', 'so does one without the column');
$g->sql('r2', "$off ALTER TABLE kysely_migration RENAME TO kept; ALTER TABLE kept RENAME called TO name; CREATE VIEW kysely_migration AS SELECT * FROM kept");
$g->try('r2', 'SELECT schemadrift.retry()');
$says->('kysely_migration is no table into which rows of a tool.s history could be written', 'and a view');
$g->sql('r2', "$off DROP VIEW kysely_migration; ALTER TABLE kept RENAME TO kysely_migration");
$g->try('r2', 'SELECT schemadrift.retry()');
everywhere(q{SELECT count(*) FROM kysely_migration WHERE name = 'nowhere to go'}, 1, 'mended, it has the row');
works('r1', 'DROP TABLE hand', 'the group goes on');
ok($g->converged, 'all regions are equal');

done_testing;
