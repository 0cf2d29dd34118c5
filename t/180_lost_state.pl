# A region whose server was replaced by a standby: what it may have forgotten never counts, nothing that was told to a client
# is lost, and it comes back by itself.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils 'slurp_file';
use Test::More;
use Time::HiRes qw(time);

use SchemaDrift::Scenario;

my $heartbeat = 0.25;    # made_group's
my $g = made_group(3, streaming => 'physical', before => 'CREATE TABLE t (id int PRIMARY KEY)',
	conf => "max_connections = 60\nshared_buffers = 16MB\n");
my ($us, $ap, $eu) = $g->names;
my $voting_since = head($g, $us);

sub incarnation
{
	my ($where, $who) = @_;

	return $g->sql($where, "SELECT incarnation FROM schemadrift.regions WHERE region = '$who'");
}

# It votes again: the log says so everywhere, it says so itself, and its own table does.
sub comes_back
{
	my ($name, $incarnation, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($g->wait_until($name, 'SELECT incarnation || state FROM schemadrift_store.self', "${incarnation}voter"), "$what: $name votes again")
	  or diag($g->sql($name, 'SELECT state, reason, remedy FROM schemadrift.status'));
	ok($g->wait_until($_, "SELECT incarnation || state FROM schemadrift.regions WHERE region = '$name'", "${incarnation}healthy"),
		"... as incarnation $incarnation in the eyes of $_")
	  foreach $g->names;
	return;
}

# --- votes are not given before others have said what they remember
$g->region($_)->stop foreach $ap, $eu;
$g->region($us)->restart;
ok($g->wait_until($us, 'SELECT state FROM schemadrift.status', 'no_quorum'), 'alone after its start, a region has no quorum');
ok($g->wait_until($us, 'SELECT reason FROM schemadrift.status', qr/does not vote: its server was started, and 1 more of $ap, $eu must say/),
	'... and says whom it waits for before it votes');
refused(my $r = $g->try($us, 'CREATE TABLE nobody (a int)'), 'SD001', '... and changes nothing');
like($r->{detail}, qr/Region $us does not vote yet/, '... for that reason');

# --- the whole group was down, and one region does not come back
$g->region($us)->stop;
$g->region($_)->start foreach $us, $ap;
ok($g->wait_until($_, 'SELECT state FROM schemadrift.status', 'degraded'), "$_ has a quorum without the third") foreach $us, $ap;
ok(can_change($g, $us, 'CREATE TABLE cold (a int)'), 'two of three, started cold, change the schema');
$g->region($eu)->start;
ok(can_change($g, $eu, 'ALTER TABLE cold ADD COLUMN b int'), 'the third one follows and changes it');
ok($g->converged, 'all are equal');

# --- an asynchronous standby, promoted right after a success that it lacks
my $standby = $g->region($us)->standby;
$standby->stop;
ok($g->try($us, 'CREATE TABLE success (a int)')->{ok}, 'a change succeeds');
my $entry = $g->sql($us, 'SELECT entry_id FROM schemadrift_store.log ORDER BY version DESC LIMIT 1');
$g->region($us)->kill9;
$standby->start;
ok($g->region($us)->fail_over($standby), 'its server is lost, and the standby, which does not have it, is promoted');
comes_back($us, 2, 'promoted');
is($g->sql($us, "SELECT count(*) FROM schemadrift_store.log WHERE entry_id = '$entry'"), 1, 'it has learned what it had forgotten');
ok($g->converged, 'and is equal');
is($g->sql($us, "SELECT count(*) FROM pg_class WHERE relname = 'success'"), 1, '... with the table');
is(settles($g, $entry), 'applied', 'the success is one everywhere');
like($g->sql($_, "SELECT schemadrift.outcome('$entry'::uuid)"), qr/applied/, "... $_ says so") foreach $g->names;
all_can_change($g, 'after an asynchronous failover');

# --- how soon
$standby = $g->region($ap)->standby;
$g->region($ap)->stop('fast');
ok($g->region($ap)->fail_over($standby), 'another one is switched over');
my $start = time();
comes_back($ap, 2, 'switched over');
my $soon = time() - $start;
note(sprintf 'back after %.1f s', $soon);
cmp_ok($soon, '<', 10 * $heartbeat + 25, 'soon after it reaches the others');

# --- the second of three, one after the other
$standby = $g->region($us)->standby;
$g->region($us)->stop('fast');
ok($g->region($us)->fail_over($standby), 'and the first one once more');
comes_back($us, 3, 'two of three, one after another');
all_can_change($g, 'after two of three were switched over');

# --- a planned switchover: an observer has no votes to lose
ok($g->try($ap, 'SELECT schemadrift.step_down()')->{ok}, 'a region steps down');
ok($g->wait_until($us, "SELECT role FROM schemadrift.regions WHERE region = '$ap'", 'observer'), '... is an observer');
$standby = $g->region($ap)->standby;
ok(can_change($g, $us, 'CREATE TABLE while_down (a int)'), '... the others go on');
$g->region($ap)->wait_for_catchup($standby);
$g->region($ap)->stop('fast');
ok($g->region($ap)->fail_over($standby), '... and is switched over');
ok($g->wait_until($ap, 'SELECT incarnation || state FROM schemadrift_store.self', '3observer'), 'it rejoins as the observer it was')
  or diag($g->sql($ap, 'SELECT state, reason, remedy FROM schemadrift.status'));
ok($g->converged, '... and is equal');
ok($g->wait_until($ap, "SELECT count(*) FROM schemadrift.regions WHERE state <> 'unreachable'", 3), '... reaches the others');
ok($g->try($ap, 'SELECT schemadrift.step_up()')->{ok}, '... steps up');
comes_back($ap, 3, 'stepped up');
all_can_change($g, 'after a planned switchover');

# --- a synchronous standby: nothing is lost, and that can be proven
$g->sql($us, q{SELECT schemadrift.set_policy('{"auto_rejoin": false}')});
$standby = $g->region($eu)->standby(sync => 1);
ok(can_change($g, $eu, 'CREATE TABLE synchronous (a int)'), 'a change in a region with a synchronous standby');
ok($g->converged, 'all have it');
$g->region($eu)->kill9;
ok($g->region($eu)->fail_over($standby), 'its server is lost, and the standby promoted');
ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'void'), 'it is void');
like($g->sql($eu, 'SELECT remedy FROM schemadrift.status'), qr/confirm_failover\(\); -- if the standby was synchronous/, '... and says how it can go on');
refused($g->try($eu, 'CREATE TABLE no (a int)'), 'SD002', '... it changes nothing');
ok(can_change($g, $us, 'CREATE TABLE meanwhile (a int)'), 'the others do');
ok($g->converged, '... and it follows them');
$r = $g->try($eu, 'SELECT schemadrift.confirm_failover()');
refused($r, '55000', 'it is not confirmed where some votes were cast without the standby');
like($r->{detail}, qr/Not every vote of incarnation 1 was committed with a synchronous standby/, '... which the error says');
$g->isolate($eu);
ok($g->wait_until($eu, "SELECT count(*) FROM schemadrift.regions WHERE state = 'unreachable'", 2), 'cut off');
my $wish = $g->session($eu);
$wish->send('SELECT schemadrift.rejoin();');
ok($g->wait_until($eu, 'SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $wish->pid, 'Extension'), '... rejoin() waits for somebody to answer');
$wish->cancel;
refused($wish->result, '57014', '... and is cancelled');
$wish->quit;
$g->heal_all;
ok($g->wait_until($eu, "SELECT count(*) FROM schemadrift.regions WHERE state = 'unreachable'", 0), '... all are heard again');
ok(can_change($g, $us), '... a change of the others');
ok($g->converged, '... is there, too');
is($g->sql($eu, 'SELECT state FROM schemadrift.status'), 'void', '... and nobody has rejoined any more');
$standby = $g->region($eu)->standby(sync => 1);
is($g->sql($eu, 'SELECT schemadrift.rejoin()'), 2, 'rejoin() by hand works without policy auto_rejoin');
comes_back($eu, 2, 'by hand');
refused($g->try($eu, 'SELECT schemadrift.rejoin()'), '55000', 'who is well does not rejoin');
refused($g->try($eu, 'SELECT schemadrift.confirm_failover()'), '55000', '... and has nothing to confirm');

# every vote of incarnation 2 waits for the standby
ok(can_change($g, $eu, 'CREATE TABLE synchronous_too (a int)'), 'a change, now that each vote of the incarnation is replicated');
ok(can_change($g, $us, 'CREATE TABLE synchronous_voter (a int)'), '... and one of another region that it votes for');
ok($g->converged, 'all have them');
$g->cut($eu, $us);
$g->region($eu)->kill9;
ok($g->region($eu)->fail_over($standby), 'lost again, promoted again');
ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'void'), '... void again');
ok(await(sub { $r = $g->try($eu, 'SELECT schemadrift.confirm_failover()'); $r->{detail} !~ /$ap/ }), '... one of the others answers');
refused($r, '55000', 'it is not confirmed while one of the others cannot be asked');
like($r->{detail}, qr/^Region $us has not said lately which votes of this region it remembers\.$/m, '... which is all that is missing');
unlike($r->{detail}, qr/synchronous|$ap/, '... indeed');
$g->heal_all;
ok($g->wait_until($eu, 'SELECT schemadrift.confirm_failover()', ''), 'it is confirmed when all have answered');
comes_back($eu, 2, 'confirmed');
$g->sql($us, q{SELECT schemadrift.set_policy('{"auto_rejoin": null}')});
all_can_change($g, 'after a confirmed failover');

# --- a synchronous standby is gone: its region cannot vote, and says so; the others go on
$standby = $g->region($ap)->standby(sync => 1);
ok(can_change($g, $ap), 'a region with a synchronous standby');
my $s = $g->session($ap);
my $stands;
$s->query('SET synchronous_commit = local;');
# its coordinator may have to wait for it first, and then says that nothing happened
foreach my $round (1 .. 5)
{
	ok($s->query("BEGIN; CREATE TABLE waits_for_it_$round (a int);")->{ok}, '... changes something in a session that waits for none');
	$standby->kill9;
	$s->send('COMMIT;');
	await(sub { ($stands = $g->sql($ap, "SELECT coalesce(wait_event, '') FROM pg_stat_activity WHERE pid = " . $s->pid)) eq 'SyncRep' || !$s->is_busy });
	$standby->start;
	$r = $s->result;
	last if $stands eq 'SyncRep';
	refused($r, 'SD009', '... or is told that nothing happened');
	ok(can_change($g, $ap), '... until it is there again');
}
is($stands, 'SyncRep', '... whose commit waits for it all the same');
refused($r, '00000', '... until it is there again');
$standby->kill9;
like($g->try($ap, 'CREATE TABLE no_standby (a int)')->{sqlstate}, qr/^(?:SD009|40003)$/, 'that is gone: its changes do not succeed');
ok($g->wait_until($ap, 'SELECT state || reason FROM schemadrift.status', qr/no_quorum.*waits for a synchronous standby/), '... its status says why');
$r = $g->try($ap, 'CREATE TABLE no_standby_either (a int)');
refused($r, 'SD009', '... and so do the errors');
like($r->{detail}, qr/waits for a synchronous standby to confirm a vote\. Nothing happened/, '... with the cause');
like($r->{hint}, qr/take it out of synchronous_standby_names/, '... and what to do');
my $waits = "SELECT wait_event FROM pg_stat_activity WHERE pid = " . coordinator($g, $ap);
ok($g->wait_until($ap, $waits, 'SyncRep'), '... its coordinator waits');
$g->sql($ap, 'SELECT pg_cancel_backend(' . coordinator($g, $ap) . ')');
ok(can_change($g, $us), '... the others go on');
is($g->sql($ap, $waits), 'SyncRep', '... and cancelled it waits still: its vote would count without the standby');
unlike(slurp_file($g->region($ap)->logfile), qr/canceling wait for synchronous replication/, '... as it would be told');
$g->region($ap)->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$g->region($ap)->reload;
all_can_change($g, 'without the standby');

log_is_sound($g, $voting_since);
done_testing();
