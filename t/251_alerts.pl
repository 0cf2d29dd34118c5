# Alerts: each is brought about as it comes about in life, is seen with its severity, its words and since when, and goes when its
# remedy has been pasted or its cause is mended.  Three databases of one server, and a fourth with older objects; what needs
# servers of its own is in t/252_alerts_servers.pl.
use strict;
use warnings FATAL => 'all';

use SchemaDrift::Alerts;
use SchemaDrift::Scenario;
use Test::More;

my %severity = known_alerts();
is_deeply([ sort { $a cmp $b } keys %{ { map { $_ => 1 } covered_alerts() } } ], [ sort keys %severity ],
	'each alert that there is has a test that brings it about, and no other has');

my $g = SchemaDrift::Group->new(regions => [qw(r1 r2 r3 r4)], databases => 1, version => { r4 => '0.1' }, conf => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 500ms
schemadrift.quorum_timeout = 10s
schemadrift.behind_limit = 1s
schemadrift.ddl_hold_limit = 1s
schemadrift.retry_max_interval = 2s
schemadrift.verify_interval = 0
max_worker_processes = 40
max_prepared_transactions = 2
CONF
my $server = $g->region('r1');
my @three = qw(r1 r2 r3);

sub by_hand
{
	my ($where, $sql) = @_;

	return $g->sql($where, "SET schemadrift.bypass_reason = 'a fire'; SET schemadrift.ddl_mode = 'off'; $sql");
}

sub everywhere
{
	my ($sql) = @_;

	$g->sql('r1', $sql);
	ok($g->converged(@three), $sql);
	return;
}

sub set_system
{
	my ($setting) = @_;

	$server->sql("ALTER SYSTEM $setting", dbname => 'postgres');
	$server->sql('SELECT pg_reload_conf()', dbname => 'postgres');
	return;
}

# ---- a group in the making ----

fires($g, 'r3', 'not_joined', undef, qr/in no group/, since => 0);
only($g, 'r3', 'not_joined');
$g->make_group(names => [qw(r1 r2)], mode => 'coordinate');
fires($g, 'r1', 'two_voters', 'r1', qr/the loss of either/);
only($g, 'r1', 'two_voters r1');
$g->join('r3', 'r1');
gone($g, 'r1', 'two_voters', 'r1');
no_alerts($g, 'three voters', @three);

# ---- older objects ----

$g->join('r4', 'r1');
fires($g, 'r1', 'protocol_older', 'r4', qr/it speaks protocol 1/);
only($g, 'r1', 'protocol_older r4');
like($g->sql('r4', 'SELECT reason FROM schemadrift.status'), qr/the library of schemadrift is of version/, 'r4 says why, in status: objects of 0.1 have no view alerts');
paste($g, 'r1', 'protocol_older', 'r4');
no_alerts($g, 'updated', $g->names);
my $version = $g->sql('r4', "SELECT extversion FROM pg_extension WHERE extname = 'schemadrift'");
$g->sql('r4', "UPDATE pg_extension SET extversion = '0.1.9' WHERE extname = 'schemadrift'");
fires($g, 'r4', 'version_mismatch', 'r4', qr/the library of schemadrift is of version \S+, the SQL objects in this database of 0\.1\.9/);
only($g, 'r4', 'version_mismatch r4');
$g->sql('r4', "UPDATE pg_extension SET extversion = '$version' WHERE extname = 'schemadrift'");
no_alerts($g, 'the same again', 'r4');

# ---- outside the log ----

by_hand('r3', 'CREATE TABLE mine (a int)');
fires($g, 'r3', 'bypass', 'r3', qr/1 change outside the log/);
fires($g, 'r3', 'drift', 'r3', qr/1 object is not what the log says/);
only($g, 'r3', 'bypass r3', 'drift r3');
fires($g, 'r1', 'drift', 'r3', qr/1 object is not what the log says/);
only($g, 'r1', 'drift r3');
like(paste($g, 'r3', 'bypass', 'r3'), qr/table\|public\.mine\|extra/, '... which says what');
my ($repair) = paste($g, 'r1', 'drift', 'r3') =~ /(DROP TABLE [^|]*)/;
like($repair, qr/mine/, '... with the statement that mends it');
by_hand('r3', $repair);
no_alerts($g, 'taken back', @three);

# ---- halted ----

by_hand('r3', 'CREATE TABLE blocked (a int)');
$g->sql('r1', 'CREATE TABLE blocked (a int, b int)');
fires($g, 'r3', 'halted', 'r3', qr/cannot be applied: relation "blocked" already exists/);
fires($g, 'r1', 'halted', 'r3', qr/cannot be applied: relation "blocked" already exists/);
only($g, 'r1', 'drift r3', 'halted r3');
by_hand('r3', 'DROP TABLE blocked');
paste($g, 'r1', 'halted', 'r3', or => qr/is not halted/);
ok($g->converged(@three), 'applied');
no_alerts($g, 'mended', @three);

# ---- in nobody's way for long ----

my $open = $g->session('r2');
$open->query('BEGIN; CREATE TABLE held_open ();');
fires($g, 'r2', 'ddl_hold', 'r2', qr/pid \d+ has changed the schema and not committed/);
fires($g, 'r1', 'ddl_hold', 'r2', qr/pid \d+ has changed the schema and not committed/);
only($g, 'r1', 'ddl_hold r2');
paste($g, 'r1', 'ddl_hold', 'r2');
no_alerts($g, 'that session is ended', @three);

# ---- behind ----

everywhere('CREATE TABLE slow (a int)');
$g->sql('r2', 'INSERT INTO slow VALUES (1)');
$g->sql('r1', q{SELECT schemadrift.apply('slow', 'DO $$ BEGIN WHILE EXISTS (SELECT FROM slow) LOOP PERFORM pg_sleep(2); END LOOP; END $$')});
fires($g, 'r2', 'behind', 'r2', qr/has applied version \d+ of \d+/);
fires($g, 'r1', 'behind', 'r2', qr/has applied version \d+/);
only($g, $_, 'behind r2') foreach @three;
like(paste($g, 'r2', 'behind', 'r2'), qr/PgSleep/, '... which shows what its applier does');
like(paste($g, 'r1', 'behind', 'r2'), qr/^behind\|warning\|r2\|/, '... and from elsewhere, where to look');
$g->sql('r2', 'DELETE FROM slow');
no_alerts($g, 'caught up', @three);

# ---- the log cannot be written ----

my $locker = $g->session('r2');
$locker->query('BEGIN; LOCK TABLE schemadrift_store.log IN SHARE MODE;');
$g->sql('r1', 'CREATE TABLE while_stuck ()');
fires($g, 'r2', 'log_stuck', 'r2', qr/cannot be written to the log here: canceling statement due to lock timeout/);
only($g, 'r2', 'behind r2', 'log_stuck r2');
like(paste($g, 'r2', 'log_stuck', 'r2'), qr/\|ShareLock\|t\|/, '... which shows who has the lock');
$locker->query('ROLLBACK;');
no_alerts($g, 'unlocked', @three);

# ---- an online version that one region cannot do ----

everywhere('CREATE TABLE p (a int) PARTITION BY LIST (a)');
everywhere('CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)');
$locker->query('BEGIN; LOCK TABLE p1 IN ACCESS SHARE MODE;');
my $builder = $g->session('r1');
$builder->send('ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;');
fires($g, 'r2', 'task_failing', 'r2', qr/online version \d+ \(open\): 55P03: canceling statement due to lock timeout/);
fires($g, 'r1', 'task_failing', 'r2', qr/online version \d+ \(open\): 55P03: canceling statement due to lock timeout/);
only($g, $_, 'task_failing r2') foreach @three;
like(paste($g, 'r1', 'task_failing', 'r2'), qr/lock timeout/, '... which shows it');
$locker->query('ROLLBACK;');
ok($builder->result->{ok}, 'the partition is detached');
ok($g->converged(@three), '... everywhere');
no_alerts($g, 'detached', @three);

# ---- a build that waits ----

everywhere('CREATE TABLE written (a int)');
$locker->query('BEGIN; INSERT INTO written VALUES (1);');
$builder->send('CREATE INDEX CONCURRENTLY written_a ON written (a);');
fires($g, 'r2', 'task_waiting', 'r2', qr/online version \d+ \(waiting for .*\) has waited for the transaction of pid \d+ for \d+ s/);
only($g, 'r2', 'task_waiting r2');
like(paste($g, 'r2', 'task_waiting', 'r2'), qr/idle in transaction/, '... which shows for whom');
$locker->query('ROLLBACK;');
ok($builder->result->{ok}, 'the index is built');
ok($g->converged(@three), '... everywhere');
no_alerts($g, 'built', @three);

# ---- verification ----

# what went past the hooks is found, and cannot be written down while a change is open
$open = $g->session('r3');
$open->query('BEGIN; CREATE TABLE open_for_long ();');
$g->sql('r3', q{UPDATE pg_class SET reloptions = '{fillfactor=50}' WHERE relname = 'slow'});
fires($g, 'r3', 'unverified', 'r3', qr/comparing the schema with its digests fails: canceling statement due to lock timeout/);
fires($g, 'r1', 'unverified', 'r3', qr/comparing the schema with its digests fails: canceling statement due to lock timeout/);
only($g, 'r1', 'ddl_hold r3', 'unverified r3');
$open->query('ROLLBACK;');
$g->sql('r3', q{UPDATE pg_class SET reloptions = NULL WHERE relname = 'slow'});
paste($g, 'r3', 'unverified', 'r3');
no_alerts($g, 'it can be compared again', @three);

set_system('SET schemadrift.verify_interval = 1');
ok($g->wait_until('r3', "SELECT verified_at > now() - interval '10 s' FROM schemadrift.regions WHERE region = 'r3'", 't'), 'verified now and then');
$locker = $g->session('r3');
$locker->query('BEGIN; LOCK TABLE pg_catalog.pg_seclabel IN ACCESS EXCLUSIVE MODE;');
fires($g, 'r3', 'verify_overdue', 'r3', qr/was not compared with its digests for \d+ s/);
only($g, 'r3', 'verify_overdue r3');
my $remedy = $g->sql('r3', q{SELECT remedy FROM schemadrift.alerts});
set_system(q{SET schemadrift.verify_interval = '1h'});
$locker->query('ROLLBACK;');
ok($g->try('r3', $remedy)->{ok}, '... pasted');
no_alerts($g, 'verified', @three);

# ---- the same log, another schema ----

my $digest = $g->sql('r3', q{SELECT encode(digest, 'hex') FROM schemadrift_store.applied});
$g->sql('r3', q{UPDATE schemadrift_store.applied SET digest = sha256('somebody wrote to our tables')});
fires($g, 'r1', 'diverged', 'r3', qr/at version \d+ the log means another schema there/);
fires($g, 'r3', 'diverged', $_, qr/at version \d+ the log means another schema there/) foreach qw(r1 r2);
only($g, 'r1', 'diverged r3');
is($g->sql('r1', "SELECT in_sync FROM schemadrift.regions WHERE region = 'r3'"), 'f', '... which is not in sync');
paste($g, 'r1', 'diverged', 'r3');
$g->sql('r3', "UPDATE schemadrift_store.applied SET digest = decode('$digest', 'hex')");
no_alerts($g, 'put back', @three);

# ---- what people do to regions ----

$g->sql('r1', q{SELECT schemadrift.suspend_region('r2', 'a move')});
fires($g, 'r1', 'not_serving', 'r2', qr/suspended by .*: a move/);
fires($g, 'r2', 'not_serving', 'r2', qr/suspended by .*: a move/);
only($g, 'r1', 'not_serving r2');
paste($g, 'r1', 'not_serving', 'r2');
no_alerts($g, 'resumed', @three);
$g->sql('r2', 'SELECT schemadrift.step_down()');
fires($g, 'r1', 'not_serving', 'r2', qr/has stepped down/);
fires($g, 'r2', 'not_serving', 'r2', qr/has stepped down/);
paste($g, 'r1', 'not_serving', 'r2');
no_alerts($g, 'stepped up', @three);

$g->sql('r1', q{SELECT schemadrift.set_policy('{"auto_rejoin": false}')});
ok($g->converged(@three), 'who is void stays void');
$g->sql('r3', q{SELECT schemadrift.void_identity('restored')});
fires($g, 'r3', 'void', 'r3', qr/declared void by .*: restored/);
fires($g, 'r1', 'void', 'r3', qr/its identity is void/);
only($g, 'r1', 'void r3');
paste($g, 'r1', 'void', 'r3');
no_alerts($g, 'it is back', @three);

$g->sql('r1', q{SELECT schemadrift.remove_region('r3')});
fires($g, 'r3', 'removed', 'r3', qr/was taken out of its group by version/);
only($g, 'r3', 'removed r3');
paste($g, 'r3', 'removed', 'r3');
fires($g, 'r3', 'not_joined', undef, qr/in no group/, since => 0);
only($g, 'r3', 'not_joined');
$g->sql('r3', 'CREATE TABLE legacy (a int)');
$g->join('r3', 'r1', options => '{"schema": "adopt", "reason": "older than the group"}');
fires($g, $_, 'drift_known', 'r3', qr/1 object is otherwise than the log says since the region joined/) foreach qw(r1 r3);
only($g, 'r1', 'drift_known r3');
like(paste($g, 'r1', 'drift_known', 'r3'), qr/DROP TABLE IF EXISTS public\.legacy/, '... which says how it would be the same');
by_hand('r3', 'DROP TABLE legacy');
no_alerts($g, 'nothing is otherwise', @three);

# ---- its processes ----

my $pid = coordinator($g, 'r2');
kill 'STOP', $pid;
fires($g, 'r2', 'not_running', 'r2', qr/hangs: process $pid has done nothing for \d+ s/);
only($g, 'r2', 'not_running r2');
paste($g, 'r2', 'not_running', 'r2');
kill 'CONT', $pid;
no_alerts($g, 'another coordinator', $g->names);

my $launcher = $server->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'schemadrift launcher'}, dbname => 'postgres');
kill 'STOP', $launcher;
$g->sql('r2', "SELECT pg_terminate_backend(@{[ coordinator($g, 'r2') ]})");
fires($g, 'r2', 'not_running', 'r2', qr/the coordinator of this database is not running/);
only($g, 'r2', 'not_running r2');
kill 'CONT', $launcher;
no_alerts($g, 'started again', $g->names);

# a prepared transaction keeps its locks over a restart
$g->sql('r2', "BEGIN; LOCK TABLE schemadrift_store.accepted; PREPARE TRANSACTION 'lock'");
my $since = $server->log_size;
$server->restart;
fires($g, 'r2', 'starting', 'r2', qr/has just started, and looks at its tables/);
ok($server->wait_log(qr/coordinator of "r2" could not do a step: canceling statement due to lock timeout/, $since), '... in vain');
only($g, 'r2', 'starting r2');
$g->sql('r2', "ROLLBACK PREPARED 'lock'");
no_alerts($g, 'the lock is gone', $g->names);

set_system('SET max_worker_processes = 4');
$server->restart;
# until the two that are left are taken for good, a region lacks its own for a moment only
ok($server->wait_until(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'schemadrift coordinator'}, 2, undef, dbname => 'postgres'),
	'a server with two workers for four regions');
my $lacking;
for (my $end = time() + $SchemaDrift::Session::timeout; !$lacking && time() < $end;)
{
	($lacking) = grep { $g->sql($_, q{SELECT count(*) FROM schemadrift.alerts WHERE id = 'workers_missing'}) } $g->names;
}
fires($g, $lacking, 'workers_missing', $lacking, qr/max_worker_processes is 4, at least \d+ are needed/);
set_system('RESET max_worker_processes');
$server->restart;
no_alerts($g, 'enough workers', $g->names);

all_brought_about();
done_testing();
