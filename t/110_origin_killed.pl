# The origin dies, or its client gives up, at each step of a commit.  However it ends, the entry has one outcome that
# every region tells the same, the log agrees, and every region can change the schema again.
use strict;
use warnings FATAL => 'all';

use Test::More;
use Time::HiRes qw(sleep time);

use SchemaDrift::Scenario;

my $g = made_group(3, before => q{CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);});
my ($us, $ap, $eu) = $g->names;
my $since = 1 + head($g, $us);
my $n = 0;

plan skip_all => 'wait points are in the test build only' if !testing_build($g);

# What may come of it, by where the origin was killed.  Between the first accept and the commit record both may; here
# nothing else is broken, so that the others hold the entry from "after-majority" on and finish it.
my %expected = (
	'change-granted'       => 'rejected',
	'before-accept'        => 'rejected',
	'after-majority'       => 'applied',
	'before-commit-record' => 'applied',
	'after-commit'         => 'applied');
my @points = qw(change-granted before-accept after-majority before-commit-record after-commit);

# A change of t that stands at a wait point: the session, and the entry's id.
sub standing_at
{
	my ($point, $column) = @_;
	my $s  = $g->session($us);

	$g->reached or die "the regions do not reach each other\n";
	my $id = begun($g, $us, sub {
		stop_at($s, $point);
		$s->send("ALTER TABLE t ADD COLUMN $column int NOT NULL DEFAULT 7;");
		stopped($s);
	});

	accepted($g, $us, $id, $ap, $eu) if $point =~ /^(?:after-majority|before-commit-record)$/;
	return ($s, $id);
}

sub is_whole
{
	my ($column, $outcome, $what) = @_;
	my @have = map { /\b$column\b/ ? 1 : 0 } columns($g, 't');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is("@have", join(' ', ($outcome eq 'applied' ? 1 : 0) x 3), "$what: the column is " . ($outcome eq 'applied' ? 'everywhere' : 'nowhere'));
}

# --- the backend dies, and with it the server restarts

foreach my $point (@points)
{
	my $column = 'crash_' . $point =~ tr/-/_/r;
	my ($s, $id) = standing_at($point, $column);

	my $logged = $g->region($us)->log_size;
	kill 'KILL', $s->pid;
	ok($s->result->{gone}, "backend killed at $point");
	$g->region($us)->restarted($logged);
	my $outcome = settles($g, $id);
	is($outcome, $expected{$point}, "... $expected{$point}");
	ok($g->converged, '... all regions are equal');
	is_whole($column, $outcome, '... never half');
	is(join(' ', outcome_everywhere($g, $id)) =~ s/\s*$//r,
		$outcome eq 'applied' ? 'applied applied applied' : 'rejected', '... and the answer stays');
}
all_can_change($g, 'after crash restarts');

# --- the whole region dies; the others go on without it

foreach my $point (@points)
{
	my $column = 'dead_' . $point =~ tr/-/_/r;
	my ($s, $id) = standing_at($point, $column);

	$g->region($us)->kill9;
	ok(can_change($g, $eu), "region killed at $point: $eu goes on");
	my $there = join ' ', outcome_everywhere($g, $id, $ap, $eu);
	if ($expected{$point} eq 'applied')
	{
		ok($g->wait_until($_, "SELECT schemadrift.outcome('$id'::uuid)", 'applied'), "... $_ knows that it is applied") foreach $ap, $eu;
	}
	else
	{
		unlike($there, qr/applied|chosen/, '... and has nothing of it');
	}
	$g->region($us)->start;
	ok($g->converged, '... it comes back and all are equal');
	my $outcome = settles($g, $id);
	is($outcome, $expected{$point}, "... $expected{$point}");
	is_whole($column, $outcome, '... never half');
}
all_can_change($g, 'after dead regions');

# --- the client gives up: while phase 1 waits, nothing was sent, and the answer is definite

$g->isolate($us);
wait_for_state($g, $_, $_ eq $us ? 'no_quorum' : 'degraded') foreach $us, $eu;
$g->rejoin($us);
wait_for_state($g, $_, 'healthy') foreach $us, $eu;

sub waiting_for_promises
{
	my ($prepare) = @_;
	my $s = $g->session($us);

	$s->query($prepare) if $prepare;
	$g->region($ap)->pause;    # nobody refuses, nobody answers
	$g->region($eu)->pause;
	$s->send('ALTER TABLE t ADD COLUMN never int;');
	return $s;
}

sub others_resume
{
	$g->region($_)->resume foreach $ap, $eu;
	wait_for_state($g, $us, 'healthy');
	return;
}

my ($took, $r);
my $s = waiting_for_promises();
$s->cancel;
# SD001, here and below: on a busy machine the origin may give its peers up first
like($s->result->{sqlstate}, qr/^(?:57014|SD001)$/, 'cancelled while waiting for promises: definite');
others_resume();

$s = waiting_for_promises('SET statement_timeout = 300;');
($took, $r) = took(sub { $s->result });
like($r->{sqlstate}, qr/^(?:57014|SD001)$/, 'statement_timeout while waiting for promises: definite');
cmp_ok($took, '<', $in_time, '... and in time') or diag($took);
others_resume();

$s = waiting_for_promises();
($took, $r) = took(sub { $s->result });
refused($r, 'SD001', 'quorum_timeout while waiting for promises: definite');
cmp_ok($took, '<', 12 + $in_time, '... and in time') or diag($took);
others_resume();

$s = waiting_for_promises();
$s->terminate;
like($s->result->{sqlstate}, qr/^(?:57P01|SD001)$/, 'terminated while waiting for promises');
others_resume();

unlike($_, qr/never/, 'nothing of that happened') foreach columns($g, 't');

# nobody tells a backend that its client is gone, so that it may go on and change the schema
$s = waiting_for_promises();
$s->pid;
$s->kill;
others_resume();
all_can_change($g, 'after clients gave up');
is(scalar(keys %{ { map { $_ => 1 } columns($g, 't') } }), 1, '... and all have the same');

# --- the same while the accepts are out

# A change whose promises are there and whose accepts have arrived, but are not answered: the network fails meanwhile.
sub waiting_for_accepts
{
	my ($column, $prepare) = @_;
	my $s  = $g->session($us);

	$g->reached or die "the regions do not reach each other\n";
	stop_all_at($g, $_, 'accept-written') foreach $ap, $eu;
	my $id = begun($g, $us, sub {
		my $r = $s->query("BEGIN; ALTER TABLE t ADD COLUMN $column int;");
		diag($r->{err}) if !$r->{ok};
		$s->query($prepare) if $prepare;
		$s->pid;
	});

	$s->send('COMMIT;');
	stopped_somewhere($g, $_) foreach $ap, $eu;
	$g->isolate($us);
	return ($s, $id);
}

sub settled_after_heal
{
	my ($id, $column, $what) = @_;

	is((outcome_everywhere($g, $id, $us))[0], 'undecided', "$what: undecided for now");
	stop_all_at($g, $_, '') foreach $ap, $eu;
	kill 'CONT', map { stopped_somewhere($g, $_) } $ap, $eu;
	$g->rejoin($us);
	my $outcome = settles($g, $id);
	like($outcome, qr/^(?:applied|rejected)$/, "$what: it settles ($outcome)");
	ok($g->converged, "$what: all regions are equal");
	is_whole($column, $outcome, $what);
	return;
}

my $id;
($s, $id) = waiting_for_accepts('cancelled');
$s->cancel;
($took, $r) = took(sub { $s->result });
refused($r, '40003', 'cancelled while waiting for the quorum: unknown');
like($r->{detail} // '', qr/canceling statement/, '... the detail has the reason');
like($r->{hint} // '', qr/outcome\('$id'\)/, '... the hint has the entry');
cmp_ok($took, '<', $in_time, '... at once');
settled_after_heal($id, 'cancelled', 'cancelled');

($s, $id) = waiting_for_accepts('timed_out', 'SET statement_timeout = 6000; SET schemadrift.quorum_timeout = 40000;');    # by then the accepts have arrived
($took, $r) = took(sub { $s->result });
refused($r, '40003', 'statement_timeout while waiting for the quorum: unknown');
cmp_ok($took, '<', 6 + $in_time, '... and in time');
settled_after_heal($id, 'timed_out', 'statement_timeout');

($s, $id) = waiting_for_accepts('no_quorum');
($took, $r) = took(sub { $s->result });
refused($r, '40003', 'quorum_timeout while waiting for the quorum: unknown');
cmp_ok($took, '<', 12 + $in_time, '... and in time');
settled_after_heal($id, 'no_quorum', 'quorum_timeout');

($s, $id) = waiting_for_accepts('terminated');
$s->terminate;
refused($s->result, '57P01', 'terminated while waiting for the quorum');
settled_after_heal($id, 'terminated', 'terminated');

($s, $id) = waiting_for_accepts('client_gone');
$s->kill;
settled_after_heal($id, 'client_gone', 'client gone');
$s = $g->session($us);
all_can_change($g, 'after clients gave up in the middle');

# --- at the last moment

($s, $id) = standing_at('after-majority', 'late_cancel');
$s->cancel;
go_on($s);
like($s->result->{sqlstate}, qr/^(?:40003|00000)$/, 'cancelled between majority and own vote: unknown or done, never "nothing happened"');
is_whole('late_cancel', settles($g, $id), 'late cancel') if $g->converged;

($s, $id) = standing_at('before-commit-record', 'too_late_cancel');
$s->cancel;
go_on($s);
is($s->result->{sqlstate}, '00000', 'cancelled after the own vote: too late');
is(settles($g, $id), 'applied', '... it is applied');

($s, $id) = standing_at('before-commit-record', 'too_late_terminate');
$s->terminate;
go_on($s);
$s->result;
is(settles($g, $id), 'applied', 'terminated after the own vote: applied');

ok($g->converged, 'all regions are equal');
all_can_change($g, 'at the end');
log_is_sound($g, $since);

done_testing();
