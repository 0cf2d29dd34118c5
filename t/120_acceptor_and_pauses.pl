# Others fail around a change: an acceptor dies between its work and its answer, a coordinator is killed, a region stands
# still and goes on.  Votes that were flushed count for ever, others never did.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils 'slurp_file';
use Test::More;
use Time::HiRes qw(time);

use SchemaDrift::Scenario;

my $g = made_group(3, before => q{CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);},
	conf => 'schemadrift.lease_duration = 0');    # each change asks for its promises
my ($us, $ap, $eu) = $g->names;
my $since = 1 + head($g, $us);

plan skip_all => 'wait points are in the test build only' if !testing_build($g);

# A change of us-east that stands at a wait point: the session, and the entry's id.
sub standing_at
{
	my ($point, $column) = @_;
	my $s  = $g->session($us);

	$g->reached or die "the regions do not reach each other\n";
	my $id = begun($g, $us, sub {
		stop_at($s, $point);
		$s->send("ALTER TABLE t ADD COLUMN $column int;");
		stopped($s);
	});

	return ($s, $id);
}

sub wait_for_log
{
	my ($name, $pattern) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok($g->region($name)->wait_log($pattern), "... $name says so");
}

# What the client was told fits what happened, and it happened everywhere or nowhere.
sub fits
{
	my ($r, $id, $column, $what) = @_;
	my $outcome = settles($g, $id);
	my %told = ('00000' => 'applied', '40003' => $outcome, '57P01' => $outcome, '08006' => $outcome);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$what .= ": told $r->{sqlstate}";
	is($outcome, $told{ $r->{sqlstate} } // 'rejected', "$what, and that is so") or diag($r->{err});
	ok($g->converged, "$what: all regions are equal");
	is(join(' ', map { /\b$column\b/ ? 1 : 0 } columns($g, 't')), join(' ', ($outcome eq 'applied' ? 1 : 0) x 3),
		"$what: the column is " . ($outcome eq 'applied' ? 'everywhere' : 'nowhere'));
	return;
}

# --- the only other acceptor dies around its vote

foreach my $end (qw(KILL TERM))
{
	foreach my $point (qw(promise-written promise-flushed accept-written accept-flushed))
	{
		my $column = lc($end) . '_' . $point =~ tr/-/_/r;
		my ($r, $votes);
		my $s  = $g->session($us);
		my $logged = $g->region($ap)->log_size;

		$g->reached or die "the regions do not reach each other\n";
		my $id = begun($g, $us, sub {
			$g->isolate($eu);
			stop_all_at($g, $ap, $point);
			$s->send("ALTER TABLE t ADD COLUMN $column int;");
			my @stopped = stopped_somewhere($g, $ap);
			stop_all_at($g, $ap, '');
			kill $end, @stopped;
			kill 'CONT', @stopped;
			$r = $s->result;
		});
		$g->region($ap)->restarted($logged) if $end eq 'KILL';
		if ($point eq 'accept-flushed')
		{
			$votes = $g->sql($ap, "SELECT count(*) FROM schemadrift_store.accepted WHERE entry_id = '$id'");
			is($votes, 1, "acceptor killed at $point ($end): the vote is there");
		}
		# after a promise that was answered all the same, or given again, the accepts may miss their time
		my $may_be = $point =~ /^accept/ ? qr/^(?:00000|40003)$/ : qr/^(?:00000|SD001|40003)$/;
		like($r->{sqlstate}, $may_be,
			"acceptor killed at $point ($end): $r->{sqlstate}") or diag($r->{err});
		$g->heal_all;
		fits($r, $id, $column, "... $point");
	}
}
all_can_change($g, 'after acceptors died');

# --- the origin's coordinator goes

sub new_coordinator
{
	my ($old) = @_;

	return $g->wait_until($us, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'schemadrift coordinator'
		AND pid <> $old", 1);
}

my ($s, $r, $id, $took);

$s  = $g->session($us);
$id = begun($g, $us, sub { $s->query('BEGIN; ALTER TABLE t ADD COLUMN coordinator_granted int;') });
my $pid = coordinator($g, $us);
$g->sql($us, "SELECT pg_terminate_backend($pid)");
new_coordinator($pid);
ok($g->wait_until($us, 'SELECT blocked_by FROM schemadrift.status', qr/^pid @{[ $s->pid ]} of $us for/), 'a new coordinator knows who has the DDL lock');
$r = $s->query('COMMIT;');
refused($r, 'SD009', 'coordinator terminated after the grant: the change is refused');
fits($r, $id, 'coordinator_granted', '... and');

# it can only fail once its version is taken, and then is in the way for no longer than any other
$g->sql($us, q{ALTER SYSTEM SET schemadrift.handover_grace = '1s'});
$g->sql($us, 'SELECT pg_reload_conf()');
$s  = $g->session($us);
$id = begun($g, $us, sub { $s->query('BEGIN; ALTER TABLE t ADD COLUMN coordinator_orphan int;') });
$pid = coordinator($g, $us);
$g->sql($us, "SELECT pg_terminate_backend($pid)");
new_coordinator($pid);
ok(can_change($g, $eu), 'coordinator terminated after the grant: another region changes the schema');
ok($g->converged, '... and all follow, although that transaction idles');
$r = $s->query('COMMIT;');
isnt($r->{sqlstate}, '00000', '... which is over');
is(join(' ', map { /\bcoordinator_orphan\b/ ? 1 : 0 } columns($g, 't')), '0 0 0', '... and has changed nothing');
$g->sql($us, 'ALTER SYSTEM RESET schemadrift.handover_grace');
$g->sql($us, 'SELECT pg_reload_conf()');

$s  = $g->session($us);
$id = begun($g, $us, sub { $s->query('BEGIN; ALTER TABLE t ADD COLUMN coordinator_accepts int;') });
$g->isolate($us);
$s->send('COMMIT;');
$g->wait_until($us, q{SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT;' AND state = 'active' AND wait_event_type = 'Extension'}, 1);
$pid = coordinator($g, $us);
$g->sql($us, "SELECT pg_terminate_backend($pid)");
$r = $s->result;
like($r->{sqlstate}, qr/^(?:40003|SD001)$/, 'coordinator terminated while the accepts are out: unknown, or none had left') or diag($r->{err});
$g->rejoin($us);
fits($r, $id, 'coordinator_accepts', '... and');

foreach my $point (qw(after-majority before-commit-record after-commit))
{
	my $column = 'coordinator_' . $point =~ tr/-/_/r;

	($s, $id) = standing_at($point, $column);
	$pid = coordinator($g, $us);
	$g->sql($us, "SELECT pg_terminate_backend($pid)");
	new_coordinator($pid);
	ok(can_change($g, $eu), "coordinator terminated, its backend stands at $point: others go on");
	go_on($s);
	$r = $s->result;
	like($r->{sqlstate}, $point eq 'after-majority' ? qr/^(?:00000|40003)$/ : qr/^00000$/, "... the backend goes on: $r->{sqlstate}")
	  or diag($r->{err});
	fits($r, $id, $column, "... $point");
}

$s = $g->session($us);
$id = begun($g, $us, sub { $s->query('BEGIN; ALTER TABLE t ADD COLUMN coordinator_killed int;') });
my $logged = $g->region($us)->log_size;
kill 'KILL', coordinator($g, $us);
$r = $s->query('COMMIT;');
ok($r->{gone}, 'coordinator killed: the server restarts');
$g->region($us)->restarted($logged);
fits($r, $id, 'coordinator_killed', '... and');

$logged = $g->region($ap)->log_size;
kill 'KILL', coordinator($g, $ap);
ok(can_change($g, $us), "coordinator of $ap killed: $us changes the schema");
$g->region($ap)->restarted($logged);
all_can_change($g, 'after coordinators died');

# --- regions that stand still

$g->region($eu)->pause;
($took) = took(sub { ok(can_change($g, $us), "$eu stands still: $us changes the schema") });
cmp_ok($took, '<', $in_time, '... without waiting for it');
ok(can_change($g, $_), "... $_, too") foreach $ap, $us;
$g->region($eu)->resume;
ok($g->converged, '... it goes on and catches up');

$s  = $g->session($us);
$id = begun($g, $us, sub { $s->query('BEGIN; ALTER TABLE t ADD COLUMN all_pause int;') });
$g->region($_)->pause foreach $ap, $eu;
$r = $s->query('COMMIT;');
# to stop two servers takes its time: if a heartbeat has found that out before, the connections are closed and no accept leaves
like($r->{sqlstate}, qr/^(?:40003|SD001)$/, "all others stand still between grant and accept: $r->{sqlstate}") or diag($r->{err});
$g->region($_)->resume foreach $ap, $eu;
fits($r, $id, 'all_pause', '... and');
all_can_change($g, 'after pauses');

# --- the origin stands still in the middle, others go on, it wakes up late

my %late = (
	'change-granted'       => qr/^40001$/,
	'before-accept'        => qr/^40001$/,
	'after-majority'       => qr/^(?:00000|40003)$/,
	'before-commit-record' => qr/^00000$/,
	'after-commit'         => qr/^00000$/);
foreach my $point (qw(change-granted before-accept after-majority before-commit-record after-commit))
{
	my $column = 'slept_' . $point =~ tr/-/_/r;

	($s, $id) = standing_at($point, $column);
	$g->region($us)->pause;
	ok(can_change($g, $eu), "$us stands still at $point: $eu goes on");
	ok(can_change($g, $ap), "... and $ap");
	$g->region($us)->resume;
	$r = $s->result;
	like($r->{sqlstate}, $late{$point}, "... it wakes up: $r->{sqlstate}") or diag($r->{err});
	fits($r, $id, $column, "... $point");
}
all_can_change($g, 'after late wakers');

# the backend alone stands, holding what it holds
foreach my $point (qw(after-majority before-commit-record after-commit))
{
	my $column = 'stood_' . $point =~ tr/-/_/r;

	($s, $id) = standing_at($point, $column);
	ok(can_change($g, $eu), "a backend of $us stands at $point: $eu goes on");
	go_on($s);
	$r = $s->result;
	like($r->{sqlstate}, $late{$point}, "... it goes on: $r->{sqlstate}") or diag($r->{err});
	fits($r, $id, $column, "... $point");
}

# --- a coordinator that stands still

my $waiting = q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event_type = 'Extension' AND pid = };

# it has not taken over the entry that is to be sent: that nobody else has heard of it is known
$g->reached or die "the regions do not reach each other\n";
$s  = $g->session($us);
$id = begun($g, $us, sub { $s->query('BEGIN; ALTER TABLE t ADD COLUMN not_taken int;') });
$pid = coordinator($g, $us);
kill 'STOP', $pid;
$s->send('COMMIT;');
ok($g->wait_until($us, $waiting . $s->pid, 1), "the coordinator of $us stands, and a COMMIT waits for it");
$s->cancel;
$r = $s->result;
kill 'CONT', $pid;
refused($r, '57014', '... cancelled: nothing was sent, and nothing is in doubt');
fits($r, $id, 'not_taken', '... and');

# it has not heard of a commit: what is cancelled behind that is not taken for its end
($s, $id) = standing_at('before-commit-record', 'not_heard_of');
my $stood = $g->sql($us, 'SELECT clock_timestamp()');
$pid = coordinator($g, $us);
kill 'STOP', $pid;
go_on($s);
$r = $s->result;
refused($r, '00000', "the coordinator of $us stands: a change whose votes are there commits");
my $next = $g->session($us);
$next->pid;
$next->send('ALTER TABLE t ADD COLUMN behind_it int;');
ok($g->wait_until($us, $waiting . $next->pid, 1), '... the next one waits');
$next->cancel;
refused($next->result, '57014', '... and is cancelled');
kill 'CONT', $pid;
fits($r, $id, 'not_heard_of', '... the coordinator goes on');
is($g->sql($us, "SELECT string_agg(outcome, ' ') FROM schemadrift.decisions WHERE kind = 'change' AND at > '$stood'"), 'chosen', '... which took the commit for what it was');

# --- a coordinator that cannot read its tables

# What it is woken for it does when it can: nobody wakes it again.
$s = $g->session($ap);
ok($s->query('BEGIN; LOCK TABLE schemadrift_store.peer_address;')->{ok}, "a table of $ap is locked");
ok(can_change($g, $us), '... and the others go on');
ok($g->wait_until($ap, 'SELECT max(version) FROM schemadrift_store.log', head($g, $us)), "... which $ap learns");
wait_for_log($ap, qr/could not do a step: canceling statement due to lock timeout/);
$s->quit;
ok($g->converged, '... and does when the lock is gone');

# An error that comes at once comes again once a heartbeat, not as fast as it can.
my $before = () = slurp_file($g->region($ap)->logfile) =~ /could not do a step/g;
$g->sql($ap, q{UPDATE pg_class SET relname = 'gone' WHERE oid = 'schemadrift_store.applied'::regclass});
my $begun = time();
wait_for_log($ap, qr/could not do a step: relation "applied" does not exist|could not do a step: relation "schemadrift_store.applied" does not exist/);
# for a while, in which it would come thousands of times: it can answer nobody
ok($g->wait_until($us, "SELECT last_heard < clock_timestamp() - interval '3 s' FROM schemadrift.regions WHERE region = '$ap'", 't'), 'a table that is gone: its region is not heard of');
my $watched = time() - $begun;
my $errors = () = slurp_file($g->region($ap)->logfile) =~ /could not do a step/g;
cmp_ok($errors - $before, '<', 40 + 20 * $watched, 'a table that is gone: the log of the server is not flooded');
$g->sql($ap, q{UPDATE pg_class SET relname = 'applied' WHERE oid = 'schemadrift_store.gone'::regclass});
ok(can_change($g, $ap), '... there again');

log_is_sound($g, $since);

done_testing();
