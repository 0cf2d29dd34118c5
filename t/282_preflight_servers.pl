# Knowing before it runs, with regions on servers of their own: what each is like, and what is between them; one that is cut off, before and in the
# middle; a role that only some have; a witness; a void region; how long an entry takes to each, and who may ask how often.
use strict;
use warnings FATAL => 'all';

use Test::More;

use SchemaDrift::Scenario;

my $clock = SchemaDrift::Region::clock_library();
my $g = SchemaDrift::Group->new(regions => [qw(us ap eu wit)], clock => $clock ? 1 : 0, streaming => 'logical', conf => <<'CONF');
schemadrift.replication_lag_limit = 1s
schemadrift.heartbeat_interval = 250ms
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

# Somebody may be taken for missing, or behind, for a moment only.
sub flies
{
	my ($where, $check, $expected, $what) = @_;
	my $got;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	await(sub { $got = flight($where, $check); ref $expected ? $got =~ $expected : $got eq $expected });
	return ref $expected ? like($got, $expected, $what) : is($got, $expected, $what);
}

sub noops { return $g->sql('us', q{SELECT count(*) FROM schemadrift.migrations WHERE kind = 'noop'}); }

# --- how long an entry takes

is($g->sql('us', 'SHOW schemadrift.dry_run_timeout') . $g->sql('us', 'SHOW schemadrift.lock_timeout'), '3s5s', 'a dry run holds its locks for less than an applier waits for them');
is($g->try('us', q{SET SESSION AUTHORIZATION nobody_at_all; SELECT * FROM schemadrift.preflight('SELECT 1')})->{sqlstate}, '42501', 'not everybody may ask');
is(flight('us', 'propagation', before => 'SET schemadrift.preflight_propagation = off; '), '', 'not measured if not wanted');
my $open = $g->session('us');
$open->query('BEGIN; CREATE TABLE public.open ();');
is(flight('us', 'propagation'), 'us unknown not measured: a schema change is open', '... nor beside an open change');
like(flight('us', 'lease'), qr/^us warning region "us" leads, and its pid \d+ has had a schema change open for \d+\.\d s$/, '... which check "lease" tells');
$open->query('ROLLBACK;');
$open->quit;
is($g->sql('us', q{BEGIN; CREATE TABLE public.mine (); SELECT detail FROM schemadrift.preflight('SELECT 1') WHERE check_name = 'propagation'; ROLLBACK}),
	'not measured: this transaction has changed the schema', '... nor beside one of its own');
is(noops(), 0, 'none of that is in the log');
my $head = head($g, 'us') + 1;
ok($g->wait_until('us', q{SELECT count(*) FROM schemadrift.preflight('SELECT 1') WHERE check_name = 'propagation' AND status = 'ok'}, 3), 'a no-op comes to every region with a schema');
my $told = flight('us', 'propagation');
like($told, qr/^ap ok version $head was applied there after \d+\.\d ms.*\neu ok version $head was applied there after \d+\.\d ms.*\nus ok a no-op, version $head, was decided in \d+\.\d ms/,
	'... and is measured there');
is(flight('us', 'propagation', before => 'SET SESSION AUTHORIZATION author; '), $told, 'who asks again is told the same') foreach 1 .. 3;
is(noops(), 1, '... fills no log');
ok($g->converged(@full), 'all are equal');

# --- whose statements are shown

my @holders = map { $g->session($_) } qw(us ap);
$_->query('BEGIN; LOCK TABLE public.orders IN SHARE MODE /* private */;') foreach @holders;
sub shown { return join ' ', flight('us', 'locks', before => 'SET SESSION AUTHORIZATION author; ') =~ /^(\w+) .*private/mg; }
is(shown(), '', 'a role like any other sees no texts of others');
$g->sql('us', 'GRANT pg_read_all_stats TO author');
is(shown(), 'us', 'who may read them in his region sees those of his region');
$g->sql('ap', 'GRANT pg_read_all_stats TO author');
is(shown(), 'ap us', '... and of those where he may as well');
$g->sql($_, 'REVOKE pg_read_all_stats FROM author') foreach qw(us ap);
foreach my $holder (@holders)
{
	$holder->query('ROLLBACK;');
	$holder->quit;
}

# --- versions of extensions

is(flight('us', 'extensions'), '', 'no extension, no word');
like(flight('us', 'extensions', up => 'CREATE EXTENSION plpgsql'), qr/^ap ok extension plpgsql comes as version \S+\neu ok .*\nus ok /, 'the same version everywhere');
like(flight('us', 'extensions', up => q{ALTER EXTENSION plpgsql UPDATE TO ''9.9''}), qr/^ap failed extension plpgsql has no version 9\.9 there, only 1\.0$/m, 'a version that there is not');
# servers of this test have the same files: another region's answer is asked for as the region would be
my $call = q{SELECT status || ' ' || detail || ' ' || remedy FROM schemadrift_store.self, schemadrift_rpc.preflight(2, group_id, generation, 'eu', 'us', 1, 0,
	'SELECT 1', '', '{"session_user": "author", "user": "author", "local_user": false, "settings": {}}', false, E'plpgsql\t%s\tdefault', NULL) WHERE check_name = 'extensions'};
is($g->sql('eu', sprintf $call, '0.9'), q{warning extension plpgsql would come as version 1.0 there, as version 0.9 where preflight() was called -- install the files of plpgsql 0.9 on that server},
	'another default version');

# --- a role that one region does not have

$g->sql($_, 'CREATE ROLE half LOGIN IN ROLE schemadrift_migrator') foreach qw(us ap);
my $as = 'SET SESSION AUTHORIZATION half; ';
my $r = dry_run('us', q{'SELECT 1', 'SELECT 2'}, 'status, sqlstate, detail', before => $as);
is_deeply([ @$r{qw(us ap)} ], [ 'ok', 'ok' ], 'a role that is missing in one region: the others try');
like($r->{eu}, qr/^failed\|42704\|role "half" does not exist$/, '... and it says so');
like(flight('us', 'names', before => $as), qr/^eu failed there is no role "half"$/m, '... to preflight(), too');

# --- what each region, and what is between them, is like

flies('us', 'quorum', 'us ok 4 of 4 voters can be reached, 3 are needed', 'all voters are there');
like(flight('us', 'lease'), qr/^us ok (?:region "us" leads|nobody leads just now: the first change asks for it)$/, 'nobody is in the way');
is(join(' ', flight('us', 'latency') =~ /^(\w+ ok) a round trip takes \d+\.\d ms$/mg), 'ap ok eu ok', 'round trips');
like(flight('us', 'disk', up => 'ALTER TABLE public.orders ALTER id TYPE numeric'), qr/^(?:\w+ ok no table with rows is rewritten\n?){3}$/, 'nothing to write anew');
$g->sql('ap', "INSERT INTO public.orders SELECT i, repeat('x', 1000) FROM generate_series(1, 1000) i");
like(flight('us', 'disk', up => 'ALTER TABLE public.orders ALTER id TYPE numeric'), qr/^ap ok it writes \d{4} kB anew, and as much WAL; \d+ \S+ is free$/m, 'rows of one region only');
$g->sql('ap', 'TRUNCATE public.orders');
is(join(' ', flight('us', 'state') =~ /^(\w+ ok) version \d+ is applied, the newest$/mg), 'ap ok eu ok us ok', 'all have applied everything');
is(join(' ', flight('us', 'replica lag') =~ /^(\w+ unknown) /mg), 'ap unknown eu unknown us unknown', 'nothing is replicated');
$g->sql('eu', q{SELECT pg_create_logical_replication_slot('nobody', 'pgoutput')});
$g->sql('eu', 'INSERT INTO public.orders VALUES (1)');
ok($g->wait_until('us', q{SELECT count(*) FROM schemadrift.preflight('SELECT 1') WHERE check_name = 'replica lag' AND region = 'eu' AND status = 'warning' AND detail ~ '\d{4} ms behind'}, 1),
	'a subscriber that is away') or diag(flight('us', 'replica lag'));
$g->sql('eu', q{SELECT pg_drop_replication_slot('nobody'); TRUNCATE public.orders});
$g->sql('eu', q{ALTER SYSTEM SET schemadrift.allowed_roles = 'author'});
$g->sql('eu', 'SELECT pg_reload_conf()');
ok($g->wait_until('eu', 'SHOW schemadrift.allowed_roles', 'author'), 'a region that runs no superuser\'s changes');
like(flight('us', 'author'), qr/^ap ok .*\neu failed schemadrift\.allowed_roles is "author"\nus ok /, '... says so');
is(flight('us', 'author', before => 'SET SESSION AUTHORIZATION author; '), join("\n", map { qq{$_ ok what role "author" changes is run} } sort @full), '... and whose it does');
$g->sql('eu', 'ALTER SYSTEM RESET schemadrift.allowed_roles');
$g->sql('eu', 'SELECT pg_reload_conf()');
ok($g->wait_until('eu', 'SHOW schemadrift.allowed_roles', '*'), 'again');
$g->sql('eu', "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; CREATE TABLE public.in_the_way ()");
$g->sql('us', 'CREATE TABLE public.in_the_way (id int)');
ok($g->wait_until('eu', 'SELECT state FROM schemadrift.status', 'halted'), 'a region that cannot apply a version');
like(flight('us', 'state'), qr/^eu failed it is halted before version \d+$/m, '... says so');
is($g->sql('us', q{SELECT concat_ws(' ', status, sqlstate, regexp_replace(detail, '\d+', 'N'), remedy) FROM schemadrift.dry_run('SELECT 1') WHERE region = 'eu'}),
	'failed SD003 region "eu" is halted at version N -- eu says: SELECT * FROM schemadrift.status;', '... and tries nothing');
$r = $g->try('eu', q{SELECT * FROM schemadrift.dry_run('SELECT 1')});
like("$r->{sqlstate} $r->{message}", qr/^SD003 region "eu" is halted at version \d+: the others are ahead of it$/, '... where nobody else can be asked either');
$g->sql('eu', "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; DROP TABLE public.in_the_way");
$g->try('eu', 'SELECT schemadrift.retry()');
ok($g->converged(@full), 'all are equal');
SKIP:
{
	skip 'needs a compiler', 7 if !$clock;
	my $long = $g->session('eu');

	$g->sql('eu', 'SELECT count(*) FROM schemadrift.metrics');
	like(flight('us', 'metrics'), qr/^eu ok view metrics is read$/m, 'somebody watches');
	$long->query('BEGIN; SELECT 1;');
	is(join(' ', flight('us', 'long transactions') =~ /^(\w+ ok) none is open for 60 s$/mg), 'ap ok eu ok us ok', 'no long transaction');
	$g->region('eu')->set_clock(400);
	like(flight('us', 'long transactions'), qr/^eu warning pid \d+ of role \S+ has a transaction open for [45]\d\d s \(idle in transaction\)$/m, 'one in another region');
	like(flight('us', 'metrics'), qr/^eu warning nobody has read view metrics for five minutes$/m, '... and nobody has watched for long');
	$long->query('ROLLBACK;');
	$long->quit;
	ok($g->wait_until('us', q{SELECT count(*) FROM schemadrift.preflight('SELECT 1') WHERE check_name = 'clock' AND region = 'eu' AND status = 'warning' AND detail ~ 'differs by (39|40)\d{4} ms' AND remedy ~ 'in eu|servers'}, 1),
		'... whose clock is wrong');
	$g->region('eu')->set_clock(0);
	ok($g->wait_until('us', q{SELECT count(*) FROM schemadrift.preflight('SELECT 1') WHERE check_name = 'clock' AND status = 'ok'}, 2), '... and then is not');
	ok($g->converged(@full), 'all are equal');
}

# --- a region that is cut off

$g->isolate('eu');
my ($s, $cut) = took(sub { dry_run('us', q{'CREATE TABLE public.n (id int)', 'DROP TABLE public.n'}, 'status, restored, detail') });
is_deeply([ @$cut{qw(us ap)} ], [ 'ok|t', 'ok|t' ], 'a cut: the others answer');
like($cut->{eu}, qr/^failed\|/, '... that region is failed');
is(join(' ', sort keys %$cut), 'ap eu us', '... and the witness no row');
cmp_ok($s, '<', 40, "... in bounded time: $s s");
my $flown;
($s, $flown) = took(sub { flight('us', 'reach') });
like($flown, qr/^eu failed not reached: /, 'preflight() says so');
cmp_ok($s, '<', 40, "... in bounded time: $s s");
flies('us', 'quorum', 'us warning 3 of 4 voters can be reached, 3 are needed', '... and that no other may go');
ok($g->wait_until('eu', q{SELECT count(*) FROM schemadrift.regions WHERE state = 'unreachable'}, 3), 'it misses the others');
flies('eu', 'quorum', 'eu failed 1 of 4 voters can be reached, 3 are needed', '... and is told that it can change nothing');
is(flight('eu', 'propagation'), '', '... where nothing is to be measured');
$g->heal_all;
ok($g->reached, 'healed');

# --- one that applies nothing for a while

$g->sql('eu', q{ALTER SYSTEM SET schemadrift.lock_timeout = '1min'});
$g->sql('eu', 'SELECT pg_reload_conf()');
ok($g->wait_until('eu', 'SHOW schemadrift.lock_timeout', '1min'), 'one whose applier is patient');
my $holder = $g->session('eu');
ok($holder->query(q{SET schemadrift.bypass_reason = 'test'; SET schemadrift.ddl_mode = off; BEGIN; COMMENT ON EXTENSION schemadrift IS 'held';})->{ok}, '... waits for the DDL lock');
# a machine that stands still may not decide it in time
foreach (1 .. 5)
{
	$told = flight('ap', 'propagation');
	last if $told !~ /not measured/;
}
like($told, qr/^ap ok a no-op, version (\d+), was decided .*\neu warning version \1, a no-op, is not applied there yet\nus \w+ version \1 was applied there after /m, '... and is seen to');
($head) = $told =~ /version (\d+)/;
flies('ap', 'state', qr/^ap ok .*\neu warning version \d+ of $head is applied\nus ok /, '... its region is behind');
$holder->query('ROLLBACK;');
$holder->quit;
ok($g->converged(@full), '... goes on');
ok($g->wait_until('ap', q{SELECT count(*) FROM schemadrift.preflight('SELECT 1') WHERE check_name = 'propagation' AND region = 'eu' AND status = 'warning'
	AND detail ~ ('^version } . $head . q{ was applied there after \d{4,}\.\d ms')}, 1), '... and is told how long it took');
$g->sql('eu', 'ALTER SYSTEM RESET schemadrift.lock_timeout');
$g->sql('eu', 'SELECT pg_reload_conf()');

# in the middle: it runs there, and can neither say so nor hear that nobody waits
foreach (qw(ap eu))
{
	$g->sql($_, q{ALTER SYSTEM SET schemadrift.dry_run_timeout = '25s'});
	$g->sql($_, 'SELECT pg_reload_conf()');
	$g->wait_until($_, 'SHOW schemadrift.dry_run_timeout', '25s');
}
my $dba = $g->session('us');
$dba->send(q{SET schemadrift.dry_run_timeout = '25s'; SELECT region || '=' || status FROM schemadrift.dry_run('ALTER TABLE public.orders ADD a int; DO $$BEGIN PERFORM pg_sleep(12); END$$');});
ok($g->wait_until('eu', q{SELECT count(*) > 0 FROM pg_locks WHERE relation = 'public.orders'::regclass AND mode = 'AccessExclusiveLock'}, 't'), 'a dry run holds a lock there');
($s, $r) = took(sub { $g->isolate('eu'); $dba->result(timeout => 60) });
is(join(' ', sort $r->{out} =~ /^(\w+=\w+)$/mg), 'ap=ok eu=failed us=ok', 'cut in the middle, that region is failed');
cmp_ok($s, '<', 60, "... in bounded time: $s s");
ok($g->wait_until('eu', q{SELECT count(*) FROM pg_locks WHERE relation = 'public.orders'::regclass}, 0), '... and has let go of its lock by itself');
ok($g->wait_until('eu', q{SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_extension'::regclass}, 0), '... and of the DDL lock');
is($g->try('eu', 'SELECT a FROM public.orders')->{sqlstate}, '42703', '... and left nothing');
$dba->quit;
$g->heal_all;
ok($g->reached, 'healed');

# the session there that waits for it ends, and with it the process that runs it
my $runner = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'schemadrift dry run'};
$dba = $g->session('us');
$dba->send(q{SET schemadrift.dry_run_timeout = '25s'; SELECT concat_ws('=', region, status, sqlstate) FROM schemadrift.dry_run('DO $$BEGIN PERFORM pg_sleep(20); END$$');});
ok($g->wait_until('eu', "SELECT count(*) FROM ($runner) r", 1), 'a process runs it there');
$g->sql('eu', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND query ~ 'dry_run' AND pid <> pg_backend_pid()});
ok($g->region('eu')->wait_until("SELECT count(*) FROM ($runner) r", 0, 12), '... and not for nobody');
$dba->cancel;
refused($dba->result, '57014', 'who asks no longer waits');
ok($g->region('ap')->wait_until("SELECT count(*) FROM ($runner) r", 0, 12), '... and what nobody waits for ends elsewhere');
$dba->quit;

# the process that runs it there stands still
$g->sql($_, q{ALTER SYSTEM SET schemadrift.dry_run_timeout = '12s'}) foreach qw(ap eu);
foreach (qw(ap eu))
{
	$g->sql($_, 'SELECT pg_reload_conf()');
	$g->wait_until($_, 'SHOW schemadrift.dry_run_timeout', '12s');
}
$dba = $g->session('us');
$dba->send(q{SET schemadrift.dry_run_timeout = '12s'; SELECT concat_ws('=', region, status, sqlstate, detail) FROM schemadrift.dry_run('DO $$BEGIN PERFORM pg_sleep(7); END$$');});
ok($g->wait_until('eu', "SELECT count(*) FROM ($runner AND wait_event = 'PgSleep') r", 1), 'a process runs it there');
my $pid = $g->sql('eu', $runner);
kill 'STOP', $pid;
$r = $dba->result(timeout => 60);
like($r->{out}, qr/^eu=failed=57014=the process that runs the script gave no answer in \d+ ms\nIt cannot start, or stands still; it is told to end\.$/m, '... and is not waited for for ever');
is(join(' ', sort $r->{out} =~ /^(\w+=ok)$/mg), 'ap=ok us=ok', '... while the others have answered');
is($g->sql('eu', $runner), $pid, '... it stands still yet');
ok($g->wait_until('eu', q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ 'dry_run' AND pid <> pg_backend_pid()}, 0), '... but nobody waits for it');
kill 'CONT', $pid;
ok($g->wait_until('eu', "SELECT count(*) FROM ($runner) r", 0), '... and it ends as soon as it can');

# ... and the session that waits for it: it is waited for as long as a region may need, and no longer
$dba->send(q{SET schemadrift.dry_run_timeout = '5s'; SELECT concat_ws('=', region, status, sqlstate, detail) FROM schemadrift.dry_run('DO $$BEGIN PERFORM pg_sleep(4); END$$');});
my $waits = q{SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query ~ 'dry_run' AND pid <> pg_backend_pid()};
ok($g->wait_until('eu', "SELECT count(*) FROM ($runner AND wait_event = 'PgSleep') r", 1), 'once more');
$pid = $g->sql('eu', $waits);
kill 'STOP', $pid;
($s, $r) = took(sub { $dba->result(timeout => 60) });
kill 'CONT', $pid;
like($r->{out}, qr/^eu=failed=08006=lost the connection to region "eu"\nit sent nothing for 15 s$/m, 'a session there that stands still is not waited for for ever');
cmp_ok($s, '<', 45, "... in bounded time: $s s");
ok($g->wait_until('eu', "SELECT count(*) FROM ($waits) r", 0), '... and ends as soon as it can');
$dba->quit;

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
