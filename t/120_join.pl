# Joining and removing while networks and servers fail: a join that fails leaves the group able to go on and can be
# repeated, whatever it got done.
use strict;
use warnings FATAL => 'all';

use Test::More;
use Time::HiRes qw(time);

use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(regions => 4, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
schemadrift.retry_max_interval = 2s
schemadrift.ddl_hold_limit = 300ms
CONF
my ($us, $ap, $eu, $sa) = $g->names;

$g->sql($_, 'CREATE TABLE t (id int PRIMARY KEY)') foreach $g->names;
$g->make_group(names => [ $us, $ap, $eu ], mode => 'coordinate');

sub joining
{
	my ($via) = @_;

	return sprintf q{SELECT schemadrift.join('%s', '%s', '%s');}, $g->conninfo($via // $us), $sa, $g->conninfo($sa);
}

sub nothing_here
{
	my ($what) = @_;

	is($g->sql($sa, 'SELECT count(*) FROM schemadrift_store.log') . $g->sql($sa, 'SELECT count(*) FROM schemadrift_store.self'),
		'00', "$what: nothing is left of it");
	return;
}

# --- the member does not answer
$g->cut($us, $sa);
my $start = time();
my $r = $g->try($sa, joining());
is($r->{sqlstate}, '08001', 'a member that does not answer');
cmp_ok(time() - $start, '<', 5 + $in_time, 'is given up after connect_timeout');
$g->sql($sa, q{ALTER SYSTEM SET schemadrift.connect_timeout = '30s'});
$g->sql($sa, 'SELECT pg_reload_conf()');
$g->wait_until($sa, 'SHOW schemadrift.connect_timeout', '30s');
my $s = $g->session($sa);
$s->pid;
$s->send(joining());
$s->cancel;
is($s->result->{sqlstate}, '57014', 'the wait can be cancelled');
$g->sql($sa, 'ALTER SYSTEM RESET schemadrift.connect_timeout');
$g->sql($sa, 'SELECT pg_reload_conf()');
$g->heal_all;
nothing_here('a join that reached nobody');
is(head($g, $us), head($g, $ap), 'and nobody heard of it');

# --- the group has no quorum
$g->cut($us, $_) foreach $ap, $eu;
$g->wait_until($us, 'SELECT state FROM schemadrift.status', 'no_quorum');
$r = $g->try($sa, joining());
is($r->{sqlstate}, 'SD001', 'a member without quorum admits nobody');
like($r->{err}, qr/call to region "$us"/, 'the error says who said so');
$r = $g->try($us, "SELECT schemadrift.remove_region('$eu')");
is($r->{sqlstate}, 'SD001', 'and removes nobody');
$g->heal_all;
nothing_here('a join that was refused');
ok($g->reached($us, $ap, $eu), 'all reach each other again');

SKIP:
{
	skip 'wait points are in the test build only', 9 if !testing_build($g);

	# --- the new region's server dies after the admission
	$s = $g->session($sa);
	stop_at($s, 'join-admitted');
	$s->send(joining());
	stopped($s);
	is($g->sql($us, "SELECT role FROM schemadrift.regions WHERE region = '$sa'"), 'observer', 'admitted');
	my $logged = $g->region($sa)->log_size;
	kill 'KILL', $s->pid;
	ok($s->result->{gone}, 'killed after the admission');
	$g->region($sa)->restarted($logged);
	nothing_here('a join that was killed');
	ok(can_change($g, $_), "$_ goes on with a member that never comes") foreach $us, $eu;

	# --- the connection is lost after the admission
	$s = $g->session($sa);
	stop_at($s, 'join-admitted');
	$s->send(joining($ap));
	stopped($s);
	$g->cut($ap, $sa, reset => 1);
	go_on($s);
	$r = $s->result;
	like($r->{sqlstate}, qr/^08/, 'connection lost after the admission');
	like($r->{hint}, qr/admitted this region already.*join again/, 'the error says how things are');
	$g->heal_all;
	nothing_here('a join that was cut off');
}

# --- another region's change comes first, between the answer and the commit of the admission
SKIP:
{
	skip 'wait points are in the test build only', 4 if !testing_build($g);

	stop_all_at($g, $ap, 'before-accept');
	$s = $g->session($sa);
	$s->pid;
	$s->send(joining($ap));
	my ($pid) = stopped_somewhere($g, $ap);
	stop_all_at($g, $ap, '');
	ok(can_change($g, $us), 'a change elsewhere takes the version of the admission');
	kill 'CONT', $pid;
	$r = $s->result;
	ok($r->{ok}, 'the join asks again') or diag($r->{err});
	ok($g->wait_until($_, "SELECT role FROM schemadrift.regions WHERE region = '$sa'", 'voter'), "a voter in the eyes of $_")
	  foreach $us, $sa;
	$g->sql($sa, 'SELECT schemadrift.leave()');
	$g->wait_until($us, "SELECT count(*) FROM schemadrift.regions WHERE region = '$sa'", 0);
	$g->converged($us, $ap, $eu);
}

# --- the same name joins again; migrations go on meanwhile
my $other = $g->session($us);
$other->send(join ' ', map { "CREATE TABLE meanwhile_$_ (id int);" } 1 .. 10);
$r = $g->try($sa, joining($eu));
ok($r->{ok}, 'then it joins') or diag($r->{err});
# a change beside others may be told to run again, or, when they come between its last look and its votes, that it is not known yet
is(join(' ', grep { !/^4000[13]$/ } $other->result->{err} =~ /^ERROR:  (\w{5})/mg), '', 'while migrations go on');
ok($g->wait_until($_, "SELECT role FROM schemadrift.regions WHERE region = '$sa'", 'voter'), "a voter in the eyes of $_")
  foreach $us, $sa;
ok($g->converged, 'all are equal');

# --- removed while it is cut off, with a change of its own that has no quorum
$g->isolate($sa);
$g->wait_until($sa, 'SELECT state FROM schemadrift.status', 'no_quorum');
is($g->try($sa, 'CREATE TABLE alone ()')->{sqlstate}, 'SD001', 'cut off, it changes nothing');
ok($g->try($us, "SELECT schemadrift.remove_region('$sa')")->{ok}, 'the others remove it');
ok(can_change($g, $_), "$_ goes on") foreach $us, $ap, $eu;
$g->rejoin($sa);
ok($g->wait_until($sa, 'SELECT state FROM schemadrift.status', 'not_joined'), 'back, it learns of that');
is($g->sql($sa, "SELECT kind FROM schemadrift_store.log ORDER BY version DESC LIMIT 1"), 'config', 'and of nothing after that');
ok($g->try($sa, joining($ap))->{ok}, 'it joins again');
ok($g->wait_until($_, "SELECT role FROM schemadrift.regions WHERE region = '$sa'", 'voter'), "a voter in the eyes of $_")
  foreach $us, $sa;
ok($g->converged, 'all are equal');
ok(can_change($g, $sa), 'and it changes the schema');
ok($g->converged, 'of all');

done_testing();
