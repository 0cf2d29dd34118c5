# apply, revert and the applier: the same change in every region, as its author, exactly once; and the ways on when a
# region cannot apply.  Three databases of one server are the regions.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use Test::More;
use Time::HiRes qw(time);

my $g = SchemaDrift::Group->new(
	regions   => [qw(r1 r2 r3)],
	databases => 1,
	conf      => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 300ms
schemadrift.retry_max_interval = 60s
schemadrift.handover_grace = 500ms
schemadrift.lease_duration = 1s
schemadrift.ddl_hold_limit = 300ms
CONF
$g->sql($_, 'GRANT ALL ON SCHEMA public TO PUBLIC; CREATE TABLE t (a int, b text)') foreach $g->names;
$g->sql('r1', 'CREATE ROLE alice LOGIN; CREATE ROLE bob NOLOGIN; CREATE ROLE carol LOGIN;
	GRANT schemadrift_migrator TO alice, bob, carol');
$g->make_group(mode => 'coordinate');

# It does so by itself, too: then there is nothing to retry.
sub try_again
{
	my ($name, $which) = @_;

	like($g->try($name, 'SELECT schemadrift.retry(' . ($which // '') . ')')->{sqlstate}, qr/^(?:00000|55000)$/, "$name is to try again");
	return;
}

sub applied { my ($name) = @_; return $g->sql($name, 'SELECT version FROM schemadrift_store.applied'); }
sub state_of { my ($where, $name) = @_;
	return $g->sql($where, "SELECT state FROM schemadrift.migrations WHERE name = '$name' AND kind = 'migration' ORDER BY version DESC LIMIT 1"); }

sub halts
{
	my ($where, $name) = @_;
	return $g->wait_until($where, "SELECT state FROM schemadrift.migration_status WHERE name = '$name' AND region = '$where'
		ORDER BY version DESC LIMIT 1", 'failed');
}

sub is_everywhere
{
	my ($sql, $expected, $what) = @_;
	is_deeply([ map { $g->sql($_, $sql) } $g->names ], [ ($expected) x 3 ], $what);
}

# ---- apply ----

my $r = $g->try('r1', q{SELECT schemadrift.apply('add c', 'ALTER TABLE t ADD c int; CREATE INDEX t_c ON t (c)', 'ALTER TABLE t DROP c')});
ok($r->{ok}, 'apply works') or diag $r->{err};
my $version = $r->{out};
like($r->{err}, qr/entry ([0-9a-f-]{36}) for version $version/, 'it tells the entry id');
my ($id) = $r->{err} =~ /entry ([0-9a-f-]{36})/;
$g->sql('r1', "CALL schemadrift.wait_for($version)");
ok($g->converged, 'all regions have the same version, chain and digest');
is_everywhere("SELECT count(*) FROM pg_indexes WHERE indexname = 't_c'", 1, 'the index is everywhere');
is_everywhere("SELECT schemadrift.outcome('$id')", 'applied', 'outcome by id');
is_everywhere("SELECT schemadrift.outcome('add c')", 'applied', 'outcome by name');
is($g->sql('r1', q{SELECT schemadrift.outcome('nothing') IS NULL AND schemadrift.outcome(gen_random_uuid()) IS NULL}), 't',
	'no outcome of what was never heard of');

$r = $g->try('r2', q{SELECT schemadrift.apply('add c', 'ALTER TABLE t ADD c int; CREATE INDEX t_c ON t (c)')});
is($r->{out}, $version, 'the same again: the same version, from any region');
like($r->{err}, qr/NOTICE.*nothing was run/s, 'and a notice');
is($g->try('r2', q{SELECT schemadrift.apply('add c', 'SELECT 1')})->{sqlstate}, 'SD007', 'another text under the name is refused');

# ---- what only the origin's session has ----

$g->sql('r1', q{CREATE TEMP TABLE mine (a int); CREATE FUNCTION reads_mine() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM mine';
	CREATE PROCEDURE fills_mine() LANGUAGE sql AS 'INSERT INTO mine VALUES (1)'});
$r = $g->try('r1', q{CREATE TABLE placed (a int) TABLESPACE pg_default});
ok($r->{ok}, 'a tablespace that every region has is no reason to refuse') or diag $r->{err};
$r = $g->try('r1', q{CREATE TABLE placed_nowhere (a int) TABLESPACE nowhere});
is($r->{sqlstate}, '42704', 'what exists nowhere is PostgreSQL\'s to refuse');
$g->sql('r1', "CALL schemadrift.wait_for(" . applied('r1') . ")");
ok($g->converged, 'a function may name a temporary table of its origin');
is_everywhere("SELECT count(*) FROM pg_proc WHERE proname IN ('reads_mine', 'fills_mine')", 2, 'it is everywhere');

# ---- what is rolled back is nowhere ----

my $head = applied('r1');
$g->sql('r1', q{BEGIN; SELECT schemadrift.apply('gone', 'CREATE TABLE gone ()'); ROLLBACK});
$g->sql('r1', q{BEGIN; SAVEPOINT s; SELECT schemadrift.apply('gone', 'CREATE TABLE gone ()'); ROLLBACK TO s; COMMIT});
$g->sql('r1', q{DO $$ BEGIN PERFORM schemadrift.apply('gone', 'CREATE TABLE gone (); SELECT 1/0');
	EXCEPTION WHEN division_by_zero THEN NULL; END $$});
is($g->try('r1', q{SELECT schemadrift.apply('gone', 'CREATE TABLE gone (); SELECT 1/0')})->{sqlstate}, '22012', 'an error is passed on');
is(applied('r1'), $head, 'nothing of it became a version');
is($g->sql('r1', q{SELECT coalesce(schemadrift.outcome('gone'), 'null') IN ('rejected', 'undecided', 'null')}), 't', 'nor was it chosen');
$r = $g->try('r1', q{BEGIN; SAVEPOINT s; SELECT schemadrift.apply('one', 'CREATE TABLE one ()'); ROLLBACK TO s;
	SELECT schemadrift.apply('two', 'CREATE TABLE two ()'); COMMIT});
ok($r->{ok}, 'another one after ROLLBACK TO') or diag $r->{err};
is($g->sql('r1', "SELECT to_regclass('one') IS NULL AND to_regclass('two') IS NOT NULL"), 't', 'only that one happened');
is($g->sql('r1', q{SELECT schemadrift.outcome('two')}), 'applied', 'and it is in the log');
is($g->try('r1', q{BEGIN; SELECT schemadrift.apply('three', 'CREATE TABLE three ()'); CREATE TABLE four (); COMMIT})->{sqlstate},
	'SD004', 'one migration a transaction');
is($g->try('r1', q{SELECT schemadrift.apply('nested', $$SELECT schemadrift.apply('inner', 'SELECT 1')$$)})->{sqlstate}, 'SD004',
	'no apply in apply');
is($g->try('r1', q{SELECT schemadrift.apply('slow', 'SELECT pg_sleep(60)', options => '{"timeout": "50ms"}')})->{sqlstate}, '57014',
	'option timeout');

# ---- as its author ----

$r = $g->try('r1', q{ALTER ROLE alice SET default_transaction_read_only = on; ALTER ROLE alice SET search_path = nowhere;
	ALTER ROLE alice SET statement_timeout = '1ms'});
ok($r->{ok}, 'settings of the role') or diag $r->{err};
$g->sql('r1', q{SELECT schemadrift.apply('hers', 'CREATE TABLE hers (a int PRIMARY KEY); RESET ROLE; CREATE TABLE hers2 ()')}, user => 'alice',
	options => '-c default_transaction_read_only=off -c search_path=public -c statement_timeout=0');
ok($g->converged, 'a migration by a plain role');
is_everywhere("SELECT string_agg(tableowner, ',') FROM pg_tables WHERE tablename IN ('hers', 'hers2')", 'alice,alice', 'is hers everywhere');
$g->sql('r1', 'ALTER ROLE alice RESET ALL');

$g->sql('r1', q{SET SESSION AUTHORIZATION bob; SELECT schemadrift.apply('his', 'CREATE TABLE his (who text, id int PRIMARY KEY)')});
ok($g->converged, 'a migration by a role that cannot log in');
is_everywhere("SELECT tableowner FROM pg_tables WHERE tablename = 'his'", 'bob', 'is his everywhere');

# what is left for the commit runs with the author's rights, too
$g->sql('r1', q{SET SESSION AUTHORIZATION bob; SELECT schemadrift.apply('trap', $m$
	CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO his VALUES (current_user, NEW.id + 100); RETURN NULL; END $$;
	CREATE TABLE traps (id int);
	CREATE CONSTRAINT TRIGGER trap AFTER INSERT ON traps DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trap();
	INSERT INTO traps VALUES (1);
	CREATE FUNCTION held() RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN
		INSERT INTO his VALUES (current_user, 200); RETURN 'x'; END $$;
	DECLARE c CURSOR WITH HOLD FOR SELECT held()$m$)});
ok($g->converged, 'a migration that leaves work for its commit');
is_everywhere("SELECT count(*) FROM his WHERE who <> 'bob'", 0, 'nobody else ran it');
is_everywhere("SELECT count(*) FROM his WHERE id = 101", 1, 'the deferred trigger ran');

$g->sql('r1', q{CREATE FUNCTION make_it() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS
	$$ BEGIN EXECUTE 'CREATE TABLE definers ()'; END $$});
$g->sql('r1', 'SELECT make_it()', user => 'alice');
ok($g->converged, 'DDL in a SECURITY DEFINER function');
is_everywhere("SELECT tableowner = (SELECT rolname FROM pg_roles WHERE oid = 10) FROM pg_tables WHERE tablename = 'definers'", 't',
	'belongs to its definer');

# nothing of one entry's session is seen by the next
$g->sql('r1', q{SELECT schemadrift.apply('temp', 'CREATE TEMP TABLE t (x int); CREATE TABLE real1 ()')});
$g->sql('r1', q{SELECT schemadrift.apply('real', 'ALTER TABLE t ADD d int')});
ok($g->converged, 'a temporary table does not outlive its entry');

# ---- one region cannot ----

my $listener = $g->session('r2');
$listener->query('LISTEN schemadrift;');
$g->sql('r2', 'INSERT INTO t (a) VALUES (1), (1)');
$g->sql('r1', q{SELECT schemadrift.apply('uniq', 'ALTER TABLE t ADD CONSTRAINT t_a UNIQUE (a)', 'ALTER TABLE t DROP CONSTRAINT t_a')});
ok(halts('r2', 'uniq'), 'a region whose data differs halts');
$g->sql('r1', 'CREATE TABLE after_halt ()');
$version = $g->sql('r1', 'SELECT max(version) FROM schemadrift_store.log');
$g->sql('r1', "CALL schemadrift.wait_for($version, '{r1,r3}')");
ok($g->converged('r1', 'r3'), 'the others go on');
$g->wait_until('r2', 'SELECT state FROM schemadrift.status', 'halted');
like($g->sql('r2', 'SELECT reason FROM schemadrift.status'), qr/could not create unique index/, 'status says why');
ok($g->wait_until('r1', "SELECT state FROM schemadrift.regions WHERE region = 'r2'", 'halted'), 'and the others know');
like($g->sql('r1', "SELECT error || remedy FROM schemadrift.migration_status WHERE name = 'uniq' AND region = 'r2'"),
	qr/could not create unique index.*retry/s, 'with the error and the remedy');
is($g->sql('r2', "SELECT schemadrift.outcome('uniq')"), 'chosen', 'there it is chosen');
$r = $g->try('r2', 'CREATE TABLE not_now ()');
is($r->{sqlstate}, 'SD003', 'a halted region originates nothing') or diag $r->{err};
like($g->sql('r1', "SELECT remedy FROM schemadrift.migration_status WHERE name = 'uniq' AND region = 'r2'"),
	qr/^in r2: mend the cause, then .*retry\('uniq'\); or do it there by hand, .*mark_applied\('uniq', 'why'\); or, if it was given a down, anywhere: .*revert\('uniq'\)$/, 'all ways out');
$r = $g->try('r1', "CALL schemadrift.wait_for($version, timeout => '100ms')");
is($r->{sqlstate}, 'SD003', 'wait_for says');
like($r->{detail}, qr/^r2 is halted at version \d+: could not create unique index/, 'who is behind, and why');

is($g->try('r2', "SELECT schemadrift.retry('other')")->{sqlstate}, '22023', 'retry of another name');
is($g->try('r1', 'SELECT schemadrift.retry()')->{sqlstate}, '55000', 'retry where nothing is halted');
is($g->try('r2', "SELECT schemadrift.retry()", user => 'carol')->{sqlstate}, '42501', 'retry by who may not be the author');
is($g->try('r2', "SELECT schemadrift.mark_applied('uniq', 'by hand')")->{sqlstate}, 'SD008', 'not done by hand yet');
$g->sql('r2', 'DELETE FROM t');
try_again('r2', "'uniq'");
ok($g->converged, 'mended and retried: equal again');
is(state_of('r2', 'uniq'), 'applied', 'applied');
ok($g->wait_until('r2', 'SELECT state FROM schemadrift.status', 'healthy'), 'and healthy');

# by hand
# (once mended, the region that tries again must not succeed before it is told)
$g->sql('r2', 'INSERT INTO t (b) VALUES (NULL)');
$g->sql('r1', q{SELECT schemadrift.apply('notnull', 'ALTER TABLE t ADD CONSTRAINT t_b CHECK (b IS NOT NULL)')});
ok(halts('r2', 'notnull'), 'halted again');
$r = $g->try('r1', "SELECT schemadrift.revert('notnull')");
is($r->{sqlstate}, '55000', 'there is no down');
like($r->{hint}, qr/mark_applied\('notnull', 'why'\)/, '... and the way out of the halt');
$r = $g->try('r2', "SELECT schemadrift.mark_applied('notnull', 'cleaned')");
is($r->{sqlstate}, 'SD008', 'the digest does not fit');
like($r->{detail}, qr/public\.t/, 'and it names the object');
$g->sql('r2', q{SET schemadrift.bypass_reason = 'mending'; SET schemadrift.ddl_mode = off; DELETE FROM t; ALTER TABLE t ADD CONSTRAINT t_b CHECK (b IS NOT NULL)});
$g->sql('r2', "SELECT schemadrift.mark_applied('notnull', 'cleaned')");
ok($g->converged, 'done by hand and marked: equal again');
is($g->sql('r2', "SELECT reason FROM schemadrift_store.execution ORDER BY version DESC LIMIT 1"), 'by hand: cleaned', 'the reason is kept');

# taken back, from a region that has applied it
$g->sql('r3', 'INSERT INTO t (a, b) VALUES (7, $$x$$)');
$g->sql('r1', q{SELECT schemadrift.apply('check', 'ALTER TABLE t ADD CHECK (a < 5)', 'ALTER TABLE t DROP CONSTRAINT t_a_check')});
ok(halts('r3', 'check'), 'another region halts');
$g->sql('r2', "SELECT schemadrift.revert('check')");
is($g->sql('r2', "SELECT kind FROM schemadrift_store.log ORDER BY version DESC LIMIT 1"), 'supersede', 'a supersede');
ok($g->converged, 'equal again');
is(state_of('r3', 'check'), 'skipped', 'the halted region skipped it');
is(state_of('r1', 'check'), 'reverted', 'the others reverted it');
# whoever lost his connection while he did it again is not to take the old one for his own
is_everywhere(q{SELECT schemadrift.outcome('check')}, 'reverted', 'outcome by name');
is_everywhere(q{SELECT schemadrift.outcome((SELECT entry_id FROM schemadrift.migrations WHERE name = 'check' AND kind = 'migration'))}, 'applied', '... and by id');

# taken back, from the halted region itself
$g->sql('r1', q{SELECT schemadrift.apply('check', 'ALTER TABLE t ADD CHECK (a < 6)', 'ALTER TABLE t DROP CONSTRAINT t_a_check')});
ok(halts('r3', 'check'), 'applied again under its name, with another text: it halts');
is($g->sql('r1', q{SELECT schemadrift.outcome('check')}), 'applied', 'the newest of that name');
$r = $g->try('r3', "SELECT schemadrift.revert('check')");
ok($r->{ok}, 'revert in the halted region') or diag $r->{err};
ok($g->converged, 'equal again');
is(state_of('r3', 'check'), 'skipped', 'skipped');
$g->sql('r3', 'CREATE TABLE from_r3 ()');
ok($g->converged, 'and that region changes the schema again');

# ---- revert ----

$g->sql('r1', q{SELECT schemadrift.apply('m1', 'CREATE TABLE m (a int)', 'DROP TABLE m')});
$g->sql('r1', q{SELECT schemadrift.apply('m2', 'ALTER TABLE m ADD b int', 'ALTER TABLE m DROP b')});
ok($g->converged, 'two migrations');
$r = $g->try('r2', "SELECT schemadrift.revert('m1')");
is($r->{sqlstate}, '2BP01', 'not below a later one');
like($r->{message}, qr/"m2"/, 'which it names');
is($g->try('r2', "SELECT schemadrift.revert('m2')", user => 'carol')->{sqlstate}, '42501', 'not by who may not be the author');
$g->sql('r1', q{SELECT schemadrift.apply('n1', 'CREATE TABLE n (a int)', 'DROP TABLE n')});
$g->sql('r1', 'CREATE INDEX n_a ON n (a)');
$r = $g->try('r1', "SELECT schemadrift.revert('n1')");
is($r->{sqlstate}, '2BP01', 'nor what would take a later index with it');
is($r->{detail}, 'Both change index public.n_a.', 'which it names');
$g->sql('r1', 'DROP INDEX n_a');
$r = $g->try('r1', "SELECT schemadrift.revert('n1')");
ok($r->{ok}, 'without the index it can go') or diag $r->{err};
ok($g->converged, 'equal');
$version = $g->sql('r1', 'SELECT max(version) FROM schemadrift_store.log');
$g->wait_until('r2', "SELECT bool_and(applied_version >= $version) FROM schemadrift.regions", 't');
$g->sql('r2', "SELECT schemadrift.revert('m2')");
is($g->sql('r2', "SELECT kind FROM schemadrift_store.log ORDER BY version DESC LIMIT 1"), 'revert', 'where all have applied it: a revert');
ok($g->converged, 'equal');
$g->sql('r3', "SELECT schemadrift.revert('m1')");
ok($g->converged, 'equal');
is_everywhere("SELECT to_regclass('m') IS NULL", 't', 'gone everywhere');
like($g->try('r1', "SELECT schemadrift.revert('m1')")->{err}, qr/NOTICE.*taken back/s, 'once more: a notice');
is($g->try('r1', "SELECT schemadrift.revert('notnull')")->{sqlstate}, '55000', 'no way back was recorded');
$r = $g->try('r1', q{SELECT schemadrift.apply('no way', 'CREATE TABLE no_way (a int)', 'DROP TABLE no_way; CREATE TABLE way AS SELECT 1 AS a')});
is($r->{sqlstate}, 'SD004', 'a way back that would be refused is refused before it is needed');
like($r->{context}, qr/^statement 2 of the script.*text "down" of the migration/s, '... and where that is');
$r = $g->try('r1', q{SELECT schemadrift.apply('a way', 'CREATE TABLE a_way (a int)', 'CREATE TEMPORARY TABLE way AS SELECT 1 AS a; DROP TABLE a_way')});
ok($r->{ok}, 'a temporary table may be filled so') or diag $r->{err};
ok($g->converged && $g->try('r1', q{SELECT schemadrift.revert('a way')})->{ok} && $g->converged, '... and it does run');
is($g->try('r1', "SELECT schemadrift.revert('no such')")->{sqlstate}, '42704', 'no such migration');
is_everywhere("SELECT state FROM schemadrift.migrations WHERE name = 'm1' AND kind = 'migration'", 'reverted', 'state');

# a superuser takes back what a user wrote: with the user's rights
$g->sql('r1', q{SELECT schemadrift.apply('evil', 'CREATE TABLE evil ()', 'DROP TABLE evil; CREATE ROLE conquered SUPERUSER')}, user => 'alice');
ok($g->converged, 'equal');
is($g->try('r1', "SELECT schemadrift.revert('evil')")->{sqlstate}, '42501', 'the way back runs as its author');

# a role that is not there when the entry's turn comes
my $locker = $g->session('r2');
$g->sql('r1', 'CREATE ROLE dora NOLOGIN; GRANT schemadrift_migrator TO dora');
$locker->query('BEGIN; LOCK TABLE two;');
$g->sql('r1', q{SELECT schemadrift.apply('wait here', 'ALTER TABLE two ADD v int')});
$g->sql('r1', q{SET SESSION AUTHORIZATION dora; SELECT schemadrift.apply('doras', 'CREATE TABLE doras ()')});
ok($g->converged('r1', 'r3'), 'equal, but for one that waits for a lock');
$g->sql('r1', 'ALTER ROLE dora RENAME TO dorothy');
$locker->query('COMMIT;');
$g->try('r2', 'SELECT schemadrift.retry()');
ok(halts('r2', 'doras'), 'the author is missing: halted');
like($g->sql('r2', "SELECT error FROM schemadrift.migration_status WHERE name = 'doras' AND region = 'r2'"), qr/role "dora" does not exist/, 'it says so');
$g->sql('r1', 'ALTER ROLE dorothy RENAME TO dora');
try_again('r2');
ok($g->converged, 'the author is back: equal');

# names of others in front of ours
$g->sql('r1', q{SELECT schemadrift.apply('evil schema', $m$CREATE SCHEMA evil;
	CREATE FUNCTION evil.no(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
	CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.no);
	CREATE OPERATOR evil.> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.no);
	CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql AS 'SELECT (1/0)::text'$m$)});
$r = $g->try('r1', q{SET search_path = evil, pg_catalog, public; SELECT schemadrift.apply('hostile path', 'CREATE TABLE public.hp ()', 'DROP TABLE public.hp');
	SELECT count(*) FROM schemadrift.migrations; SELECT count(*) FROM schemadrift.migration_status});
ok($r->{ok}, 'a hostile search_path') or diag $r->{err};
ok($g->converged, 'equal');
$r = $g->try('r1', q{SET search_path = evil, pg_catalog, public; SELECT schemadrift.revert('hostile path')});
ok($r->{ok}, 'reverted under it') or diag $r->{err};
ok($g->converged, 'equal');

# ---- drift is noticed ----

$g->sql('r3', q{SET schemadrift.bypass_reason = 'testing'; SET schemadrift.ddl_mode = off; ALTER TABLE two ADD local_only int});
$g->sql('r1', q{CREATE TABLE elsewhere ()});
ok($g->wait_until('r3', "SELECT to_regclass('elsewhere') IS NOT NULL", 't'), 'an object that did not drift');
$g->sql('r1', q{SELECT schemadrift.apply('on drifted', 'ALTER TABLE two ADD x int')});
ok(halts('r3', 'on drifted'), 'one that did');
like($g->sql('r3', "SELECT error FROM schemadrift.migration_status WHERE name = 'on drifted' AND region = 'r3'"),
	qr/does not leave here what it left at its origin/, 'says so');
$g->sql('r3', q{SET schemadrift.bypass_reason = 'testing'; SET schemadrift.ddl_mode = off; ALTER TABLE two DROP local_only});
try_again('r3');
ok($g->converged, 'taken back by hand: equal again');

# ---- locks ----

$locker->query('BEGIN; LOCK TABLE two;');
$g->sql('r1', q{SELECT schemadrift.apply('locked', 'ALTER TABLE two ADD y int')});
ok($g->wait_until('r2', "SELECT attempts > 0 AND error LIKE '%lock timeout%' FROM schemadrift.migration_status
	WHERE name = 'locked' AND region = 'r2'", 't'), 'an attempt fails on a lock');
is($g->sql('r2', "SELECT state = 'failed' AND attempts < 3 FROM schemadrift.migration_status WHERE name = 'locked' AND region = 'r2'"), 'f',
	'which is no halt before the third');
$locker->query('COMMIT;');
$g->try('r2', 'SELECT schemadrift.retry()') if applied('r2') < applied('r1');
ok($g->converged, 'then it is applied');

# a client's open change whose version another region takes
my $open = $g->session('r2');
$open->query('BEGIN; CREATE TABLE mine_open ();');
my $since = time;
$r = $g->try('r1', 'CREATE TABLE mine_r1 ()');
ok($r->{ok}, 'an open transaction elsewhere blocks nobody') or diag $r->{err};
ok($g->converged, 'its region applies what was chosen');
ok(time - $since < 30, 'soon');    # its next attempt would be a minute later
ok(!$open->query('COMMIT;')->{ok} || $g->sql('r2', "SELECT to_regclass('mine_open') IS NULL") eq 't', 'and it was ended');
$open->quit;

# the same while it runs a statement
$open = $g->session('r2');
$open->send('BEGIN; CREATE TABLE mine_open (); SELECT pg_sleep(50);');
$g->wait_until('r2', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'r2' AND wait_event = 'PgSleep'", 1);
$g->sql('r1', 'CREATE TABLE mine_again ()');
ok($g->converged, 'a running one is cancelled');
like($open->result->{sqlstate}, qr/^(?:40001|57P01)$/, 'it is told why');
$open->quit;

# ---- the process ----

$g->sql('r2', q{ALTER SYSTEM SET schemadrift.lock_timeout = '30s'});
$g->sql('r2', 'SELECT pg_reload_conf()');
$g->wait_until('r2', 'SHOW schemadrift.lock_timeout', '30s');
$locker->query('BEGIN; LOCK TABLE two;');
$g->sql('r1', q{SELECT schemadrift.apply('killed', 'ALTER TABLE two ADD z int')});
ok($g->wait_until('r2', "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'schemadrift applier'
	AND application_name ~ 'version [0-9]+ killed' AND query ~ 'applying version' AND datname = 'r2'", 't'),
	'pg_stat_activity shows what is applied');
$g->sql('r2', 'ALTER SYSTEM RESET schemadrift.lock_timeout');
$g->sql('r2', 'SELECT pg_reload_conf()');
$g->sql('r2', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'schemadrift applier' AND datname = 'r2'");
$locker->query('COMMIT;');
ok($g->wait_until('r2', "SELECT count(*) FROM information_schema.columns WHERE table_name = 'two' AND column_name = 'z'", 1),
	'a killed applier is started again');
ok($g->converged, 'equal');

$version = $g->sql('r1', q{SELECT schemadrift.apply('heard', 'CREATE TABLE heard ()')});
$g->sql('r1', "CALL schemadrift.wait_for($version)");
my $heard = $listener->query('SELECT 1;')->{out};
like($heard, qr/"event":"applied","version":$version,"name":"heard"/, 'NOTIFY schemadrift: applied');
is(scalar(() = $heard =~ /"event":"halted","version":\d+,"name":"uniq","sqlstate":"23505"/g), 1, 'halted, once');

# ---- what another region has filled, and this one has not ----

$g->sql('r1', 'CREATE MATERIALIZED VIEW mv1 AS SELECT 1 AS a WITH NO DATA; REFRESH MATERIALIZED VIEW mv1; CREATE VIEW over_mv1 AS SELECT * FROM mv1');
$g->sql('r1', 'CREATE MATERIALIZED VIEW mv2 AS SELECT sum(a) AS a FROM (SELECT * FROM over_mv1) AS o');
$g->sql('r1', 'CREATE UNIQUE INDEX ON mv2 (a)');
ok($g->converged, 'a materialized view over one that was refreshed in one region only halts nobody');
my $filled = q{SELECT string_agg(matviewname || ' ' || ispopulated, ', ' ORDER BY matviewname) FROM pg_matviews WHERE matviewname IN ('mv1', 'mv2')};
is($g->sql('r1', $filled), 'mv1 true, mv2 true', 'it has its rows where the other has them');
is($g->sql('r2', $filled), 'mv1 false, mv2 false', 'and none where the other has none');
$g->sql('r2', 'REFRESH MATERIALIZED VIEW mv1; REFRESH MATERIALIZED VIEW mv2');
is($g->sql('r2', 'SELECT a FROM mv2'), 1, '... until both are refreshed there');
$g->sql('r2', 'CREATE MATERIALIZED VIEW mv3 AS SELECT a FROM mv2');
ok($g->converged, 'and one more');
is($g->sql($_->[0], q{SELECT ispopulated FROM pg_matviews WHERE matviewname = 'mv3'}), $_->[1], "... is as good as what it reads in $_->[0]")
  foreach [ r1 => 't' ], [ r2 => 't' ], [ r3 => 'f' ];
like(PostgreSQL::Test::Utils::slurp_file($g->region('r3')->logfile), qr/materialized view "mv3" is made without rows in this region/, 'the log says so');

# ---- size ----

my $large = join '', map { "INSERT INTO large VALUES ($_, '" . ('x' x 1000) . "');\n" } 1 .. 20000;
$since = time;
$r = $g->try('r1', "SET schemadrift.quorum_timeout = '60s';\nCREATE TABLE large (a int, b text);\nSELECT schemadrift.apply('large', \$large\$$large\$large\$);", timeout => 120);
ok($r->{ok}, sprintf('a script of %.0f MB: %.1f s at its origin', length($large) / 1e6, time - $since)) or diag substr $r->{err}, 0, 2000;
ok($g->converged, sprintf('%.1f s everywhere', time - $since));
is_everywhere('SELECT count(*) FROM large', 20000, 'all of it');

# ---- modes ----

is($g->try('r1', q{SET schemadrift.bypass_reason = 'x'; SET schemadrift.ddl_mode = off; SELECT schemadrift.apply('off', 'SELECT 1')})->{sqlstate},
	'SD005', 'no apply in a session that is switched off');
$g->sql('r1', q{SELECT schemadrift.set_policy('{"mode": "require_apply"}')});
ok($g->converged, 'policy');
ok($g->try('r2', q{SELECT schemadrift.apply('required', 'CREATE TABLE required ()')})->{ok}, 'require_apply: apply is the way');
ok($g->converged, 'equal');
$g->sql('r1', q{SELECT schemadrift.set_policy('{"mode": "observe"}')});
ok($g->converged, 'policy');
is($g->try('r2', q{SELECT schemadrift.apply('observed', 'SELECT 1')})->{sqlstate}, 'SD005', 'observe: nothing is sent, so no apply');
$g->sql('r1', q{SELECT schemadrift.set_policy('{"mode": "coordinate"}')});
ok($g->converged, 'policy');

# two regions, one name, at once: one migration
my @both = map { $g->session($_) } qw(r1 r3);
$_->send(q{SELECT schemadrift.apply('same', 'CREATE TABLE same ()');}) foreach @both;
my @answers = map { $_->result } @both;
ok((grep { $_->{ok} } @answers) >= 1, 'one at least succeeds');
ok(!(grep { $_->{sqlstate} !~ /^(00000|4000[13])$/ } @answers), 'the other too, or is told that it did not, or that it is not known yet') or diag map { $_->{err} } @answers;
ok($g->converged, 'equal');
is_everywhere("SELECT count(*) FROM schemadrift.migrations WHERE name = 'same'", 1, 'it is there once');

# ---- a time limit ends with what it limits ----

ok($g->try('r1', q{SELECT schemadrift.apply('fails later', 'SELECT 1', 'SELECT 1/0', options => '{"timeout": "400ms"}')})->{ok}, 'a way back that fails');
foreach my $call (q{schemadrift.apply('fails', 'SELECT 1/0', options => '{"timeout": "400ms"}')}, q{schemadrift.revert('fails later')})
{
	my $caught = "DO \$x\$ BEGIN PERFORM $call; EXCEPTION WHEN division_by_zero THEN PERFORM pg_sleep(1); END \$x\$";

	# a machine that stands still may not come to the error within that time
	foreach (1 .. 5)
	{
		$r = $g->try('r1', $caught);
		last if $r->{ok};
	}
	is($r->{sqlstate}, '00000', "who catches the error of $call has its time limit no more") or diag($r->{err});
	$r = $g->try('r1', "SET statement_timeout = '700ms'; $caught");
	is($r->{sqlstate}, '57014', '... and the one of his own still');
}
ok($g->converged, 'equal');

# ---- what PostgreSQL says, and what it costs ----

$r = $g->try('r1', 'CREATE EXTENSION not_on_this_server');
is($r->{sqlstate}, '0A000', 'an extension that this server has not is PostgreSQL\'s to refuse') or diag($r->{err});
my $dear = $g->session('r1');
$dear->query(q{SET enable_seqscan = off; SELECT schemadrift.outcome('nothing'); CREATE TABLE dear ();});
is($dear->query(q{SELECT pg_read_file('/proc/self/maps') ~ 'llvmjit';})->{out}, 'f', 'our own queries are not compiled, however dear they look');
$dear->quit;

# ---- wait_for ----

is($g->try('r1', "CALL schemadrift.wait_for(1, '{nowhere}')")->{sqlstate}, '42704', 'wait_for an unknown region');
is($g->try('r1', 'BEGIN; CALL schemadrift.wait_for(1); COMMIT')->{sqlstate}, '25001', 'wait_for in a transaction block');
ok($g->try('r1', "CALL schemadrift.wait_for(1, '{r2}')")->{ok}, 'wait_for what is long done');

$_->quit foreach $locker, $listener, @both;
done_testing();
