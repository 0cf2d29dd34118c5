# Knowing before it runs, in every region at once: dry_run() and preflight().  Each check is provoked, and nothing is left afterwards.
#
# Regions are databases of one server, but for the cut, which is a region whose database takes no connections.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use Test::More;

use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(databases => 1, regions => 3, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
schemadrift.connect_timeout = 1s
schemadrift.dry_run_lock_timeout = 300ms
schemadrift.dry_run_timeout = 60s
schemadrift.preflight_propagation = off
max_prepared_transactions = 5
CONF
$g->make_group(mode => 'coordinate', before => <<'SQL');
CREATE TABLE public.orders (id bigint PRIMARY KEY, note text, total numeric(10,2) DEFAULT 0);
CREATE TABLE public.items (id bigint PRIMARY KEY, order_id bigint REFERENCES public.orders DEFERRABLE INITIALLY DEFERRED);
CREATE SEQUENCE public.counter;
INSERT INTO public.orders SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i;
SQL
my ($us, $ap, $eu) = $g->names;
my $server = $g->region($us);

# rows "region|status|..." of a dry run, by region
sub dry_run
{
	my ($where, $args, $columns, %o) = @_;
	my $out = $g->sql($where, ($o{before} // '') . "SELECT region, concat_ws('|', $columns) FROM schemadrift.dry_run($args) ORDER BY region");
	return { map { /^([^|]+)\|(.*)$/s ? ($1, $2) : () } split /\n(?=(?:$us|$ap|$eu)\|)/, $out };
}

# What a dry run must not change, in every region.
sub traces
{
	return join "\n", map { $_ . ': ' . $g->sql($_, <<'SQL') } $us, $ap, $eu;
SELECT concat_ws(' ', (SELECT max(version) FROM schemadrift_store.log), (SELECT applied_version FROM schemadrift.regions WHERE region = (SELECT region FROM schemadrift.status)),
	(SELECT md5(string_agg(o::text, ',' ORDER BY kind, identity)) FROM schemadrift_store.object o),
	(SELECT count(*) FROM schemadrift_store.drift WHERE region = (SELECT region FROM schemadrift.status)), (SELECT count(*) FROM schemadrift_store.bypass),
	(SELECT count(*) FROM public.orders), (SELECT string_agg(relname || relfilenode, ',' ORDER BY oid) FROM pg_class WHERE oid >= 16384 AND relnamespace = 'public'::regnamespace))
SQL
}

# Of the server, in force in new sessions; the value as SHOW says it.
sub setting
{
	my ($name, $value) = @_;

	$g->sql($us, "ALTER SYSTEM SET schemadrift.$name = '$value'");
	$g->sql($us, 'SELECT pg_reload_conf()');
	return $g->wait_until($us, "SHOW schemadrift.$name", $value);
}

sub every { my ($what) = @_; return { map { $_ => $what } $us, $ap, $eu }; }

my $before = traces();

# --- dry_run(): what is good

is_deeply(dry_run($us, q{'ALTER TABLE public.orders ADD paid boolean; CREATE INDEX ON public.items (order_id)', 'DROP INDEX public.items_order_id_idx; ALTER TABLE public.orders DROP paid'},
	'status, same, restored, sqlstate, detail, locks'),
	every('ok|t|t|public.orders: ACCESS EXCLUSIVE, public.items: SHARE'), 'a good script: everywhere the same, and its way back restores');
is($g->sql($us, q{SELECT count(DISTINCT fingerprint) = 1 AND bool_and(up_ms > 0 AND down_ms > 0 AND length(fingerprint) = 64)
	FROM schemadrift.dry_run('CREATE TABLE public.n (id int)', 'DROP TABLE public.n')}), 't', 'times and fingerprints');
is_deeply(dry_run($us, q{'CREATE TABLE public.n (id int)'}, 'status, same, restored'), every('ok|t'), 'without a way back');
is_deeply(dry_run($us, q{'CREATE TABLE public.n (id int); INSERT INTO public.orders VALUES (0); NOTIFY hello'}, 'status, same'), every('ok|t'), 'rows and notifications, too');
is(traces(), $before, 'nothing is left');

# --- preflight()

# rows "check region status detail" that are not ok
sub preflight
{
	my ($up, %o) = @_;

	return $g->sql($us, ($o{before} // '') . "SELECT concat_ws(' ', check_name, region, status, detail, '=>', remedy) FROM schemadrift.preflight(" . $o{quote} . "$up$o{quote}) WHERE status <> 'ok'
		AND check_name NOT IN ('replica lag', 'clock', 'latency') ORDER BY 1");
}

sub flies { my ($up, %o) = @_; return preflight($up, quote => '$up$', %o); }

my $change = 'ALTER TABLE public.orders ADD paid boolean';

like(flies($change), qr/^(?:metrics \S+ warning nobody has read view metrics since the server's start => SELECT .*\n?){3}$/, 'nobody watches');
$g->sql($_, 'SELECT count(*) FROM schemadrift.metrics') foreach $us, $ap, $eu;
is(flies($change), '', 'nothing is in the way');
is($g->sql($us, "SELECT count(DISTINCT region) || ' ' || count(DISTINCT check_name) FROM schemadrift.preflight('$change')"), '3 16', 'it looks at all of that, in all regions');
is($g->sql($us, "SELECT count(*) FROM schemadrift.preflight('$change') WHERE remedy IS NULL <> (status = 'ok')"), 0, 'each that is not ok has a remedy');
my $sitter = $g->session($eu);
$sitter->query('BEGIN; SELECT count(*) FROM public.orders;');
like(flies($change), qr/^locks \Q$eu\E (?:warning|failed) pid \d+ of role \S+ has held ACCESS SHARE on public\.orders, in a transaction that began \d+ s ago and is idle in transaction: .*SELECT count.* => SELECT pg_terminate_backend\(\d+\); -- in \Q$eu\E$/,
	'who holds the table in another region');
$sitter->query('ROLLBACK;');
$sitter->quit;
$g->sql($ap, "BEGIN; LOCK TABLE public.orders IN SHARE MODE; PREPARE TRANSACTION 'stuck'");
like(flies($change), qr/^prepared transactions \Q$ap\E failed 'stuck' of role \S+ prepared \d+ s ago, holds a lock on public\.orders => COMMIT PREPARED 'stuck'; -- or ROLLBACK PREPARED 'stuck' -- in \Q$ap\E$/m,
	'a prepared transaction');
$g->sql($ap, "ROLLBACK PREPARED 'stuck'");
like(flies('ALTER TABLE public.orders ALTER id TYPE numeric', before => "SET schemadrift.large_table = '64kB'; "), qr/^analysis \Q$us\E warning statement 1, at line 1, ALTER TABLE, is unsafe/m,
	'what is unsafe');
$g->sql($eu, "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; ALTER TABLE public.orders ADD extra int");
like(flies($change), qr/^drift \Q$eu\E failed table public\.orders, which it changes, is not what the log says => SELECT \* FROM schemadrift\.repair_plan\(\); -- in \Q$eu\E/m, 'a target that drifted');
$g->sql($eu, "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; ALTER TABLE public.orders DROP extra");
$before = traces();

# --- what is bad everywhere

is_deeply(dry_run($us, q{'ALTER TABLE public.orders DROP total', 'ALTER TABLE public.orders ADD total numeric(10,2)'}, 'status, restored'), every('warning|f'),
	'a way back that does not restore the default');
like(dry_run($us, q{'ALTER TABLE public.orders DROP total', 'ALTER TABLE public.orders ADD id int'}, 'status, sqlstate, detail')->{$eu},
	qr/^warning\|42701\|down fails: column "id" of relation "orders" already exists\n.*statement 1 of the script, at line 1/s, 'a way back that fails');
like(dry_run($us, q{E'CREATE TABLE public.n (id int);\nALTER TABLE public.nowhere ADD a int'}, 'status, sqlstate, detail')->{$ap},
	qr/^failed\|42P01\|relation "public.nowhere" does not exist\nstatement 2 of the script, at line 2/, 'a script that fails says where');
like(dry_run($us, q{'INSERT INTO public.items VALUES (1, 99999)'}, 'status, sqlstate')->{$eu}, qr/^failed\|23503$/, 'what waits for the commit is checked');
like(dry_run($us, q{'CREATE INDEX CONCURRENTLY ON public.orders (note)'}, 'status, sqlstate')->{$eu}, qr/^failed\|SD004$/, 'CONCURRENTLY cannot be tried');
like(dry_run($us, q{'COMMIT'}, 'status, sqlstate')->{$us}, qr/^failed\|SD004$/, 'nor can COMMIT');
my $superuser = $g->sql($us, 'SELECT current_user');
like(dry_run($us, "'$_'", 'status, sqlstate')->{$eu}, qr/^failed\|42501$/, "elsewhere, $_ is refused")
  foreach 'SET SESSION AUTHORIZATION DEFAULT', 'RESET ROLE', "SET ROLE $superuser";

# --- a large table

like(dry_run($us, q{'ALTER TABLE public.orders ALTER id TYPE numeric'}, 'status')->{$eu}, qr/^ok/, 'a table that is not large is rewritten');
$g->sql($_, "ALTER DATABASE \"" . $g->sql($_, 'SELECT current_database()') . "\" SET schemadrift.large_table = '64kB'") foreach $us, $ap, $eu;
my $r = dry_run($us, q{'ALTER TABLE public.orders ALTER id TYPE numeric'}, 'status, sqlstate, detail');
like($r->{$_}, qr/^failed\|54000\|not run: it would rewrite public\.orders, which has \d+ kB/, "one that is, is not, in $_") foreach $us, $ap, $eu;
like(dry_run($us, q{'ALTER TABLE public.orders ADD CHECK (id > 0)'}, 'status, detail')->{$ap}, qr/^failed\|not run: it would scan public\.orders/, 'nor scanned');
$g->sql($_, 'ALTER DATABASE "' . $g->sql($_, 'SELECT current_database()') . '" RESET schemadrift.large_table') foreach $us, $ap, $eu;
is(traces(), $before, 'nothing is left');

# --- one region alone

my $holder = $g->session($eu);
$holder->query('BEGIN; SELECT count(*) FROM public.orders;');
my ($seconds, $held) = took(sub { dry_run($us, q{'ALTER TABLE public.orders ADD paid boolean'}, 'status, sqlstate') });
is_deeply($held, { $us => 'ok', $ap => 'ok', $eu => 'failed|55P03' }, 'a lock that somebody holds in one region');
setting('dry_run_timeout', '700ms');
is_deeply(dry_run($us, q{'DO $$ BEGIN PERFORM pg_sleep(100); END $$'}, 'status, sqlstate'), every('failed|57014'), 'a limit over all, in every region');
setting('dry_run_timeout', '1min');
$holder->query('ROLLBACK;');
$holder->quit;
is($g->sql($eu, q{SELECT count(*) FROM pg_locks l WHERE locktype = 'object' AND classid = 'pg_extension'::regclass}), 0, 'nobody holds the DDL lock');

$g->sql($eu, "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; ALTER TABLE public.items ADD extra int; CREATE TABLE public.hotfix (id int)");
$g->wait_until($us, "SELECT count(*) FROM schemadrift.drift WHERE region = '$eu'", 2);
$r = dry_run($us, q{'ALTER TABLE public.orders ADD paid boolean'}, 'status, same, detail');
is($r->{$us}, 'ok|t', 'beside a region that drifted: as it should here');
like($r->{$eu}, qr/^warning\|f\|the schema is not that of region "\Q$us\E" already/, '... the same effect there, on another schema');
$r = dry_run($us, q{'CREATE TABLE public.hotfix (id int)'}, 'status, sqlstate');
is_deeply($r, { $us => 'ok', $ap => 'ok', $eu => 'failed|42P07' }, 'up fails in one region only');
$r = dry_run($us, q{'ALTER TABLE public.items ADD b int'}, 'status, same, detail');
like($r->{$eu}, qr/^warning\|f\|it leaves something else here/, 'another effect');
$g->sql($eu, "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; ALTER TABLE public.items DROP extra; DROP TABLE public.hotfix");
$g->wait_until($us, "SELECT count(*) FROM schemadrift.drift WHERE region = '$eu'", 0);

# --- who may, and where

$g->sql($us, 'CREATE ROLE dry_author LOGIN IN ROLE schemadrift_migrator; CREATE ROLE dry_nobody LOGIN');
my $as = "SET SESSION AUTHORIZATION dry_author; ";
like($g->try($us, "SET SESSION AUTHORIZATION dry_nobody; SELECT * FROM schemadrift.dry_run('SELECT 1')")->{err}, qr/permission denied for function dry_run/, 'not everybody');
is_deeply(dry_run($us, q{'ALTER TABLE public.orders ADD paid boolean'}, 'status, sqlstate', before => $as), every('failed|42501'), 'with the rights of the caller, everywhere');
like($g->try($us, "BEGIN; CREATE TABLE public.mine (id int); SELECT * FROM schemadrift.dry_run('SELECT 1')")->{err}, qr/cannot be in a transaction that changes the schema/,
	'not beside a change');
setting('dry_run_for_regions', 'off');
is_deeply(dry_run($us, q{'SELECT 1'}, 'status, sqlstate'), { $us => 'ok', $ap => 'failed|SD005', $eu => 'failed|SD005' }, 'a region may decline');
setting('dry_run_for_regions', 'on');

# --- a region that is away

my $gone = $g->sql($ap, 'SELECT current_database()');
$g->sql($us, "ALTER DATABASE \"$gone\" ALLOW_CONNECTIONS false");
$g->sql($us, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '$gone' AND backend_type = 'client backend'");
($seconds, $r) = took(sub { dry_run($us, q{'CREATE TABLE public.n (id int)'}, 'status') });
is_deeply($r, { $us => 'ok', $ap => 'failed', $eu => 'ok' }, 'a region that is away is a row');
cmp_ok($seconds, '<', 20, "... and not waited for: $seconds s");
like(flies($change), qr/^reach \Q$ap\E failed not reached: /m, '... of preflight(), too');
$g->sql($us, "ALTER DATABASE \"$gone\" ALLOW_CONNECTIONS true");
$g->reached;
is((traces() =~ s/^(\S+: \S+ \S+ \S+ \S+) \S+/$1 -/gmr), ($before =~ s/^(\S+: \S+ \S+ \S+ \S+) \S+/$1 -/gmr), 'nothing is left but the notes of what was done outside the log');
ok(can_change($g, $us), 'the schema can be changed');

done_testing();
