# accept_drift(): what one region has of its own becomes the group's.  With a way back, with losses that somebody wants, with new labels of
# enums and what uses them; of objects that drifted in several regions; beside another change; while a region is away.
# Databases of one server are the regions.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use SchemaDrift::Scenario;
use Test::More;

my @three = qw(r1 r2 r3);
my $g = SchemaDrift::Group->new(regions => [@three], databases => 1, conf => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 2s
schemadrift.verify_interval = 0
schemadrift.retry_max_interval = 1s
max_worker_processes = 30
CONF
$g->sql($_, <<'SQL') foreach @three;
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE e AS ENUM ('a');
CREATE TABLE te (a e DEFAULT 'a');
CREATE TABLE l (a int, b text);
CREATE TABLE whole (a int PRIMARY KEY);
CREATE TABLE t (a int);
CREATE TABLE base (a int);
INSERT INTO l VALUES (1, 'x');
SQL
$g->make_group(names => \@three, mode => 'coordinate');

my $off = q{SET schemadrift.bypass_reason = 'a fire'; SET schemadrift.ddl_mode = off;};
my $rows = q{SELECT string_agg(kind || ' ' || identity, ', ' ORDER BY kind, identity) FROM schemadrift_store.drift
	WHERE region = (SELECT region FROM schemadrift_store.self)};
my $known = q{SELECT count(*) FROM schemadrift_store.drift WHERE region = 'r3' AND expected IS NOT NULL AND expected_definition IS NULL};

sub drifted
{
	my ($what, $sql, $objects) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$g->sql('r3', "$off $sql");
	is($g->sql('r3', $rows), $objects, $what);
	ok($g->wait_until('r3', $known, 0), '... and others have told what it should be');
	return;
}

sub equal
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($g->converged(@three), $what);
	return is(join('', map { $g->sql($_, $rows) } @three), '', '... and nobody has drifted');
}

# ---- a way back ----

drifted('a function with another body', q{CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'}, 'function public.f()');
ok($g->wait_until('r1', q{SELECT count(*) FROM schemadrift.drift WHERE region = 'r3'}, 1), 'as others know');
my $down = $g->sql('r1', q{SELECT string_agg(statement, E'\n') FROM schemadrift.repair_plan('r3') WHERE object_type <> 'session'});
like($down, qr/SELECT 1/, 'repair_plan() has the way back');
refused($g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.f()', down => 'no SQL')}), '42601', 'which is to be SQL');
my $version = $g->sql('r3', "SELECT schemadrift.accept_drift('r3', 'public.f()', down => \$down\$$down\$down\$)");
equal('accepted with it');
is($g->sql('r2', 'SELECT f()'), 2, 'others have what r3 had');
$g->sql('r2', "SELECT schemadrift.revert((SELECT name FROM schemadrift.migrations WHERE version = $version))");
equal('reverted');
is(join(' ', map { $g->sql($_, 'SELECT f()') } @three), '1 1 1', 'everywhere it is again what the log said before');

# ---- labels, and what depends on other drift ----

drifted('a new label, and a default that uses it', q{ALTER TYPE e ADD VALUE 'b'; ALTER TABLE te ALTER a SET DEFAULT 'b'}, 'table public.te, type public.e');
my $r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.te')});
refused($r, '55000', 'the default alone could not be made elsewhere');
like($r->{detail}, qr/otherwise: type public\.e\./, 'it says why');
$r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', '*')});
ok($r->{ok}, 'all of it') or diag($r->{err});
like($r->{err}, qr/only new labels of enums are accepted now.*type public\.e/s, 'is the label first');
ok($g->wait_until('r1', q{SELECT count(*) FROM pg_enum WHERE enumtypid = 'e'::regtype}, 2), 'which others get');
is($g->sql('r3', $rows), 'table public.te', 'the rest is drift still');
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', '*')});
equal('then the rest');
is($g->sql('r1', 'INSERT INTO te DEFAULT VALUES RETURNING a'), 'b', 'of which others have what it needs');

drifted('a view of a table of its own', 'CREATE TABLE own (a int); CREATE VIEW of_own AS SELECT a FROM own; CREATE FUNCTION of_rows(own[]) RETURNS int LANGUAGE sql RETURN 1',
	'function public.of_rows(public.own[]), table public.own, view public.of_own');
refused($g->try('r3', "SELECT schemadrift.accept_drift('r3', '$_')"), '55000', "$_ needs the table") foreach 'public.of_own', 'public.of_rows(public.own[])';
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.own')});
$g->sql('r3', "SELECT schemadrift.accept_drift('r3', '$_')") foreach 'public.of_own', 'public.of_rows(public.own[])';
equal('one after the other');

# ---- losses ----

drifted('a column and a table are gone', 'ALTER TABLE l DROP COLUMN b; DROP TABLE whole', 'constraint public.whole.whole_pkey, index public.whole_pkey, table public.l, table public.whole');
$r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.l')});
refused($r, 'SD004', 'data of others is not lost by the way');
like($r->{hint}, qr/loss => 'reason'/, 'but by saying so');
refused($g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.l', loss => '')}), '22023', 'with a reason');
$version = $g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.l', loss => 'nobody reads it')});
ok($g->wait_until('r1', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'l'::regclass AND attname = 'b'}, 0), 'then they are lost');
is($g->sql('r1', "SELECT convert_from(substring(body FROM position('\\x0a'::bytea IN body) + 1), 'UTF8')::json->>'loss' FROM schemadrift_store.log WHERE version = $version"),
	'nobody reads it', 'and the log says why');
is($g->sql('r1', 'SELECT count(*) FROM l'), 1, 'nothing else is');
refused($g->try('r1', "SELECT schemadrift.revert((SELECT name FROM schemadrift.migrations WHERE version = $version))"), '55000', 'there is no way back');
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.whole', loss => 'nor that')});
equal('a table, too');
is($g->sql('r2', q{SELECT to_regclass('whole') IS NULL}), 't', 'is gone');

# ---- drifted in several regions, in several ways ----

drifted('a column of r3', 'ALTER TABLE t ADD COLUMN y int', 'table public.t');
$g->sql('r2', "$off ALTER TABLE t ADD COLUMN x text");
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.t')});
ok($g->wait_until('r1', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'y'}, 1), 'who has none of its own gets it');
ok($g->wait_until('r2', 'SELECT state FROM schemadrift.status', 'halted'), 'who has, halts');
is($g->sql('r2', $rows), 'table public.t', 'and keeps what it has');
$g->sql('r2', "$off ALTER TABLE t DROP COLUMN x");
$g->try('r2', 'SELECT schemadrift.retry()');
equal('until it has taken that back');

# ---- columns whose default is another value in each region ----

$g->sql($_, "$off CREATE TABLE filled (a int); INSERT INTO filled VALUES (1), (2); CREATE TABLE unfilled (a int)") foreach @three;
$g->sql('r1', q{SELECT schemadrift.accept_drift('r1', 'public.filled')});
$g->sql('r1', q{SELECT schemadrift.accept_drift('r1', 'public.unfilled')});
equal('a table with rows everywhere');
drifted('a column that follows the clock', q{SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'German'; ALTER TABLE filled ADD COLUMN at timestamptz NOT NULL DEFAULT now(), ADD COLUMN days date[] DEFAULT ARRAY[CURRENT_DATE - 1, CURRENT_DATE], ADD COLUMN who text DEFAULT session_user || now()::text, ADD COLUMN plain int DEFAULT 5}, 'table public.filled');
$g->sql('r3', q{SET DateStyle = 'SQL, DMY'; SELECT schemadrift.accept_drift('r3', 'public.filled')});
equal('is accepted');
my $values = q{SET TimeZone = 'UTC'; SELECT DISTINCT at, days, who, plain FROM filled};
is($g->sql($_, $values), $g->sql('r3', $values), "... and its rows have the value of r3 in $_") foreach qw(r1 r2);
is($g->sql('r1', q{SELECT string_agg(pg_get_expr(adbin, adrelid), '|' ORDER BY adnum) FROM pg_attrdef WHERE adrelid = 'filled'::regclass}),
	q{now()|ARRAY[(CURRENT_DATE - 1), CURRENT_DATE]|((SESSION_USER)::text || (now())::text)|5}, '... but not for ever');
is($g->sql('r2', "INSERT INTO filled VALUES (3) RETURNING at = now()"), 't', '... new ones have that of their time');

drifted('a column that is random', 'ALTER TABLE filled ADD COLUMN r float DEFAULT random()', 'table public.filled');
$r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.filled')});
refused($r, 'SD004', 'is refused, as apply() would');
like("$r->{detail} $r->{hint}", qr/public\.filled has rows, and each region would compute the values of column "r" for itself.*by hand/s, '... and says why, and what to do');
$g->sql('r3', "$off ALTER TABLE filled DROP COLUMN r, ADD COLUMN id int GENERATED ALWAYS AS IDENTITY");
ok($g->wait_until('r3', $known, 0), 'one with a number instead');
refused($g->try('r3', q{SELECT schemadrift.accept_drift('r3', '*')}), 'SD004', '... too');
$g->sql('r3', "$off ALTER TABLE filled DROP COLUMN id");
equal('without it');

drifted('a column that follows the clock, in a table that was written again', 'ALTER TABLE filled ADD COLUMN later timestamptz DEFAULT now(); VACUUM FULL filled', 'table public.filled');
$r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.filled')});
refused($r, 'SD004', 'what rows had is not known');
like($r->{hint}, qr/Freeze the time.*set_policy\('\{"freeze_time": true\}'\)/, '... but the time can be frozen');
$g->sql('r3', q{SELECT schemadrift.set_policy('{"freeze_time": true}')});
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.filled')});
equal('with policy freeze_time');
is($g->sql('r1', 'SELECT DISTINCT later FROM filled'), $g->sql('r2', 'SELECT DISTINCT later FROM filled'), '... the others have one value');
is($g->sql('r1', q{SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'filled'::regclass AND adnum = 6}), 'now()', '... and the default');
$g->sql('r3', q{SELECT schemadrift.set_policy('{"freeze_time": null}')});
drifted('a table without rows', 'ALTER TABLE unfilled ADD COLUMN r float DEFAULT random(), ADD COLUMN id int GENERATED ALWAYS AS IDENTITY', 'sequence public.unfilled_id_seq, table public.unfilled');
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', '*')});
equal('has nothing to fill');

# ---- beside another change of the same object ----

drifted('a function again', q{CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 3'}, 'function public.f()');
my $first = $g->session('r3');
$first->query('BEGIN; CREATE TABLE never (a int);');
my $accept = $g->session('r3');
$accept->send(q{SELECT schemadrift.accept_drift('r3', 'public.f()');});
ok($g->wait_until('r3', q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT schemadrift.accept_drift%'
	AND pid <> pg_backend_pid()}, 1), 'while who accepts it waits for another change');
$g->sql('r3', "$off CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 4'");
$first->query('ROLLBACK;');
refused($accept->result, '40001', 'somebody changes it again: it is not what he looked at');
is($g->sql('r3', $rows), 'function public.f()', 'it is drift still');
ok($g->wait_until('r3', $known, 0), 'what it is by the log is known');
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.f()')});
equal('once more');
is($g->sql('r1', 'SELECT f()'), 4, 'as it is now');

# ---- a region that is away ----

drifted('an index', 'CREATE INDEX base_a ON base (a)', 'index public.base_a');
$g->sql('r1', 'ALTER DATABASE r2 ALLOW_CONNECTIONS false');
$g->sql('r1', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'r2'});
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.base_a')});
ok($g->converged(qw(r1 r3)), 'while a region is away');
$g->sql('r1', 'ALTER DATABASE r2 ALLOW_CONNECTIONS true');
equal('it gets it later');
is($g->sql('r2', q{SELECT to_regclass('base_a') IS NOT NULL}), 't', 'and has it then');

# ---- what cannot be accepted ----

$g->sql('r1', 'CREATE TABLE ordered (a int, b int)');
equal('a table');
drifted('its columns in another order', 'ALTER TABLE ordered DROP COLUMN a; ALTER TABLE ordered ADD COLUMN a int', 'table public.ordered');
$r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.ordered')});
refused($r, 'SD004', 'which no statement can do');
like($r->{message}, qr/^there is no statement that makes table public\.ordered in the other regions what it is here$/, '... is said');
like("$r->{detail} $r->{hint}", qr/order.*by hand, here or there/s, '... and why, and what to do');
$g->sql('r3', "$off DROP TABLE ordered; CREATE TABLE ordered (a int, b int)");
equal('made anew by hand');

my $server = $g->region('r1');

sub shut
{
	foreach my $name (@_)
	{
		$server->sql("ALTER DATABASE $name ALLOW_CONNECTIONS false", dbname => 'postgres');
		$server->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$name'", dbname => 'postgres');
	}
	return;
}

sub opened
{
	$server->sql("ALTER DATABASE $_ ALLOW_CONNECTIONS true", dbname => 'postgres') foreach @_;
	return;
}

shut(qw(r1 r2));
$g->sql('r3', "$off CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 5'");
$r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.f()')});
refused($r, '55000', 'while nobody tells what the object is elsewhere');
like($r->{message}, qr/^it is not known yet what function public\.f\(\) is in the other regions$/, '... that is said');
opened(qw(r1 r2));
ok($g->wait_until('r3', $known, 0), 'when somebody is back it is known');
ok($g->reached, 'and all are there');
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.f()')});
equal('and accepted');

# ---- what no region has by the log any more: a role is the server's, and is called otherwise in all of its databases at once ----

$server->sql('CREATE ROLE alice', dbname => 'postgres');
$g->sql('r1', 'CREATE TABLE owned (a int PRIMARY KEY); ALTER TABLE owned OWNER TO alice');
equal('a table of a role');
shut('r3');
$server->sql('ALTER ROLE alice RENAME TO bob', dbname => 'postgres');
my $have = q{SELECT string_agg(region, ' ' ORDER BY region) FROM schemadrift.drift WHERE identity = 'public.owned'};
$g->sql('r1', "SELECT * FROM schemadrift.verify('$_')") foreach qw(r1 r2);
is($g->sql('r1', $rows), 'table public.owned', 'a renamed role is drift of what it owns');
ok($g->wait_until('r1', $have, 'r1 r2'), '... in each region that has looked');
refused($g->try('r1', 'ALTER TABLE owned ADD COLUMN b int'), 'SD008', 'its change');
$r = $g->try('r1', q{SELECT schemadrift.accept_drift('r1', 'public.owned')});
refused($r, '55000', 'while not all have told that it is so');
like($r->{detail}, qr/none that has it was reached so far, and region "r3" has not told that it is there as it is here\.$/, '... who has not is said');
opened('r3');
ok($g->reached, 'when all are there');
$g->sql('r1', q{SELECT * FROM schemadrift.verify('r3')});
ok($g->wait_until('r1', $have, 'r1 r2 r3'), '... and have it so');
my $accepted = $g->sql('r1', q{SELECT schemadrift.accept_drift('r1', 'public.owned')});
equal('it is accepted');
is($g->sql('r2', "SELECT up FROM schemadrift.migration_text($accepted)"), '-- every region has it so', '... with nothing to run');
ok($g->try('r2', 'ALTER TABLE owned ADD COLUMN b int')->{ok} && $g->converged(@three), 'and it can be changed again');

# names mean where it is accepted what they meant where it was made, whatever the path of who accepts
$g->sql('r2', 'CREATE TABLE lists (a int[]); CREATE FUNCTION has(int[], int[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT false$$');
$g->sql('r2', 'CREATE OPERATOR public.@> (LEFTARG = int[], RIGHTARG = int[], FUNCTION = has)');
ok($g->converged(@three), 'an operator like one of the system');
$g->sql('r2', "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'x'; SET search_path = pg_catalog;
	CREATE VIEW public.one AS SELECT a @> ARRAY[1] AS x FROM public.lists; CREATE FUNCTION public.many() RETURNS bigint LANGUAGE sql SET search_path = public AS 'SELECT count(*) FROM lists'");
$g->sql('r2', qq{SELECT schemadrift.accept_drift('r2', '$_')}) foreach 'public.one', 'public.many()';
equal('a view that uses the system\'s is accepted as that');

# who accepts works as another role than the one he connected as; rights were given by a third one
$server->sql('CREATE ROLE deployer LOGIN NOINHERIT; CREATE ROLE dba; CREATE ROLE giver; CREATE ROLE reader; GRANT dba TO deployer; GRANT giver TO dba; GRANT schemadrift_admin TO dba, giver',
	dbname => 'postgres');
$g->sql('r1', "CREATE TABLE given_$_ (a int PRIMARY KEY); ALTER TABLE given_$_ OWNER TO dba; GRANT SELECT ON given_$_ TO giver WITH GRANT OPTION") foreach 1, 2;
equal('tables of a role that cannot log in');
$g->sql('r2', "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'x';"
	  . join '', map { "GRANT INSERT ON given_$_ TO reader; SET ROLE giver; GRANT SELECT ON given_$_ TO reader; RESET ROLE;" } 1, 2);
ok($g->wait_until('r2', $known =~ s/r3/r2/r, 0), 'others have told what it should be');
$r = $g->try('r2', q{SET ROLE dba; SELECT schemadrift.accept_drift('r2', '*')}, user => 'deployer');
ok($r->{ok}, 'drift that needs several roles is accepted') or diag($r->{err});
equal('... in every region');
is($g->sql('r3', q{SELECT string_agg(grantor || ' ' || privilege_type, ', ' ORDER BY grantor, privilege_type) FROM information_schema.role_table_grants
	WHERE table_name = 'given_1' AND grantee = 'reader'}), 'dba INSERT, giver SELECT', '... by whom it was');

done_testing();
