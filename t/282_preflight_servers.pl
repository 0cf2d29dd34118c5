# Knowing before it runs, with regions on servers of their own: one that is cut off, before and in the middle; a role that only some have; a
# witness; a void region; how long an entry takes to each, and who may ask how often.
use strict;
use warnings FATAL => 'all';

use Test::More;

use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(regions => [qw(us ap eu wit)], conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
schemadrift.connect_timeout = 1s
schemadrift.quorum_timeout = 3s
schemadrift.lease_duration = 1s
schemadrift.retry_max_interval = 2s
CONF
my @full = qw(us ap eu);
$g->make_group(names => \@full, mode => 'coordinate', before => <<'SQL');
CREATE TABLE public.orders (id bigint PRIMARY KEY, note text);
CREATE ROLE author LOGIN IN ROLE schemadrift_migrator;
CREATE ROLE nobody_at_all LOGIN;
GRANT ALL ON SCHEMA public TO author;
SQL
$g->sql('wit', sprintf q{SELECT schemadrift.join('%s', 'wit', '%s', 'witness', '{"schema": "empty"}')}, $g->conninfo('us'), $g->conninfo('wit'));
ok($g->wait_until('us', q{SELECT role FROM schemadrift.regions WHERE region = 'wit'}, 'witness'), 'three regions and a witness');
ok($g->reached, 'all hear each other');

sub dry_run
{
	my ($where, $args, $columns, %o) = @_;

	return { map { split /=/, $_, 2 } split /\n(?=(?:us|ap|eu|wit)=)/, $g->sql($where, ($o{before} // '') . "SELECT region || '=' || concat_ws('|', $columns) FROM schemadrift.dry_run($args) ORDER BY region") };
}

# "region status detail" of one check
sub flight
{
	my ($where, $check, %o) = @_;

	return $g->sql($where, ($o{before} // '') . "SELECT concat_ws(' ', region, status, detail) FROM schemadrift.preflight('" . ($o{up} // 'ALTER TABLE public.orders ADD a int') . "') WHERE check_name = '$check' ORDER BY region");
}

sub noops { return $g->sql('us', q{SELECT count(*) FROM schemadrift.migrations WHERE kind = 'noop'}); }

# --- how long an entry takes

is($g->sql('us', 'SHOW schemadrift.dry_run_timeout') . $g->sql('us', 'SHOW schemadrift.lock_timeout'), '3s5s', 'a dry run holds its locks for less than an applier waits for them');
is($g->try('us', q{SET SESSION AUTHORIZATION nobody_at_all; SELECT * FROM schemadrift.preflight('SELECT 1')})->{sqlstate}, '42501', 'not everybody may ask');
is(flight('us', 'propagation', before => 'SET schemadrift.preflight_propagation = off; '), '', 'not measured if not wanted');
my $open = $g->session('us');
$open->query('BEGIN; CREATE TABLE public.open ();');
is(flight('us', 'propagation'), 'us unknown not measured: a schema change is open', '... nor beside an open change');
$open->query('ROLLBACK;');
$open->quit;
is($g->sql('us', q{BEGIN; CREATE TABLE public.mine (); SELECT detail FROM schemadrift.preflight('SELECT 1') WHERE check_name = 'propagation'; ROLLBACK}),
	'not measured: this transaction has changed the schema', '... nor beside one of its own');
is(noops(), 0, 'none of that is in the log');
my $head = head($g, 'us') + 1;
ok($g->wait_until('us', q{SELECT count(*) FROM schemadrift.preflight('SELECT 1') WHERE check_name = 'propagation' AND status = 'ok'}, 3), 'a no-op comes to every region with a schema');
like(flight('us', 'propagation'), qr/^ap ok version $head was applied there after \d+\.\d ms.*\neu ok version $head was applied there after \d+\.\d ms.*\nus ok a no-op, version $head, was decided in \d+\.\d ms/,
	'... and is measured there');
like(flight('us', 'propagation', before => 'SET SESSION AUTHORIZATION author; '), qr/^ap ok version $head .*^us ok a no-op, version $head, /ms, 'who asks again') foreach 1 .. 3;
is(noops(), 1, '... fills no log');
ok($g->converged(@full), 'all are equal');

# --- versions of extensions

is(flight('us', 'extensions'), '', 'no extension, no word');
like(flight('us', 'extensions', up => 'CREATE EXTENSION plpgsql'), qr/^ap ok extension plpgsql comes as version \S+\neu ok .*\nus ok /, 'the same version everywhere');
like(flight('us', 'extensions', up => q{ALTER EXTENSION plpgsql UPDATE TO ''9.9''}), qr/^ap failed extension plpgsql has no version 9\.9 there, only 1\.0$/m, 'a version that there is not');
# servers of this test have the same files: another region's answer is asked for as the region would be
my $call = q{SELECT status || ' ' || detail || ' ' || remedy FROM schemadrift_store.self, schemadrift_rpc.preflight(2, group_id, generation, 'eu', 'us', 1, 0,
	'SELECT 1', '', '{"session_user": "author", "user": "author", "local_user": false, "settings": {}}', false, E'plpgsql\t%s\tdefault') WHERE check_name = 'extensions'};
is($g->sql('eu', sprintf $call, '0.9'), q{warning extension plpgsql would come as version 1.0 there, as version 0.9 where preflight() was called -- install the files of plpgsql 0.9 on that server},
	'another default version');

# --- a role that one region does not have

$g->sql($_, 'CREATE ROLE half LOGIN IN ROLE schemadrift_migrator') foreach qw(us ap);
my $as = 'SET SESSION AUTHORIZATION half; ';
my $r = dry_run('us', q{'SELECT 1', 'SELECT 2'}, 'status, sqlstate, detail', before => $as);
is_deeply([ @$r{qw(us ap)} ], [ 'ok', 'ok' ], 'a role that is missing in one region: the others try');
like($r->{eu}, qr/^failed\|42704\|role "half" does not exist$/, '... and it says so');
like(flight('us', 'names', before => $as), qr/^eu failed there is no role "half"$/m, '... to preflight(), too');

# --- a region that is cut off

$g->isolate('eu');
my ($s, $cut) = took(sub { dry_run('us', q{'CREATE TABLE public.n (id int)', 'DROP TABLE public.n'}, 'status, restored, detail') });
is_deeply([ @$cut{qw(us ap)} ], [ 'ok|t', 'ok|t' ], 'a cut: the others answer');
like($cut->{eu}, qr/^failed\|/, '... that region is failed');
is(join(' ', sort keys %$cut), 'ap eu us', '... and the witness no row');
cmp_ok($s, '<', 20, "... in bounded time: $s s");
my $flown;
($s, $flown) = took(sub { flight('us', 'reach') });
like($flown, qr/^eu failed not reached: /, 'preflight() says so');
cmp_ok($s, '<', 20, "... in bounded time: $s s");
$g->heal_all;
ok($g->reached, 'healed');

# in the middle: it runs there, and can neither say so nor hear that nobody waits
foreach (qw(ap eu))
{
	$g->sql($_, q{ALTER SYSTEM SET schemadrift.dry_run_timeout = '10s'});
	$g->sql($_, 'SELECT pg_reload_conf()');
	$g->wait_until($_, 'SHOW schemadrift.dry_run_timeout', '10s');
}
my $dba = $g->session('us');
$dba->send(q{SET schemadrift.dry_run_timeout = '10s'; SELECT region || '=' || status FROM schemadrift.dry_run('ALTER TABLE public.orders ADD a int; DO $$BEGIN PERFORM pg_sleep(4); END$$');});
ok($g->wait_until('eu', q{SELECT count(*) > 0 FROM pg_locks WHERE relation = 'public.orders'::regclass AND mode = 'AccessExclusiveLock'}, 't'), 'a dry run holds a lock there');
($s, $r) = took(sub { $g->isolate('eu'); $dba->result(timeout => 60) });
is(join(' ', sort $r->{out} =~ /^(\w+=\w+)$/mg), 'ap=ok eu=failed us=ok', 'cut in the middle, that region is failed');
cmp_ok($s, '<', 40, "... in bounded time: $s s");
ok($g->wait_until('eu', q{SELECT count(*) FROM pg_locks WHERE relation = 'public.orders'::regclass}, 0), '... and has let go of its lock by itself');
ok($g->wait_until('eu', q{SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_extension'::regclass}, 0), '... and of the DDL lock');
is($g->try('eu', 'SELECT a FROM public.orders')->{sqlstate}, '42703', '... and left nothing');
$dba->quit;
$g->heal_all;
ok($g->reached, 'healed');

# --- a void region

$g->sql('us', q{SELECT schemadrift.set_policy('{"auto_rejoin": false}')});
ok($g->converged(@full), 'a void region shall stay so');
$g->sql('eu', 'SELECT schemadrift.void_identity()');
ok($g->wait_until('eu', 'SELECT state FROM schemadrift.status', 'void'), 'one is void');
ok($g->wait_until('us', q{SELECT state FROM schemadrift.regions WHERE region = 'eu'}, 'void'), '... and another one knows it');
$r = dry_run('us', q{'CREATE TABLE public.n (id int)'}, 'status, sqlstate, detail');
is_deeply([ @$r{qw(us ap)} ], [ 'ok', 'ok' ], 'the others try');
is($r->{eu}, 'failed|not reached: its identity is not valid', '... and it is said what it is');
like(flight('us', 'reach'), qr/^eu failed not reached: its identity is not valid$/, '... by preflight(), too');
like($g->try('eu', q{SELECT * FROM schemadrift.dry_run('SELECT 1')})->{err} . '', qr/SD002.*region "eu" is void/s, 'where it is called, too');
like($g->try('wit', q{SELECT * FROM schemadrift.dry_run('SELECT 1')})->{err}, qr/SD002.*is a witness: it has no schema/s, 'nor does a witness');

done_testing();
