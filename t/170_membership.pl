# Membership: two regions and a witness on three servers, with real cuts; stepping down and up, suspending, other roles and
# addresses, and changes of the group made in two regions at once.
use strict;
use warnings FATAL => 'all';

use Test::More;

use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(regions => [qw(us eu wit)], conf => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 1s
schemadrift.retry_max_interval = 2s
CONF
my @both = qw(us eu);
my @all  = $g->names;

sub fails
{
	my ($name, $sql, $state, $pattern, $what) = @_;
	my $r = $g->try($name, $sql);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($r->{sqlstate}, $state, "$what: SQLSTATE") or diag("$r->{out} $r->{err}");
	like($r->{err}, $pattern, $what);
	return $r;
}

sub join_as
{
	my ($name, $via, $role, $options) = @_;

	return sprintf q{SELECT schemadrift.join('%s', '%s', '%s', '%s', '%s')}, $g->conninfo($via), $name,
	  $g->conninfo($name), $role, $options // '{}';
}

sub sees
{
	my ($where, $who, $column, $expected, $timeout) = @_;

	return $g->wait_until($where, "SELECT $column FROM schemadrift.regions WHERE region = '$who'", $expected, $timeout);
}

sub role_is
{
	my ($who, $role, @where) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok(!(grep { !sees($_, $who, 'role', $role) } @where ? @where : @all), "$who is $role for everybody");
}

# Everybody hears everybody.
sub mended
{
	$g->heal_all;
	return $g->reached(@all);
}

sub follows
{
	return $g->wait_until('wit', sprintf q{SELECT version = %d FROM schemadrift_store.applied}, head($g, 'us'));
}

# --- two voters, and a witness
$g->sql($_, 'CREATE TABLE t (id int PRIMARY KEY)') foreach @both;
$g->sql('us', sprintf q{SELECT schemadrift.init('us', '%s')}, $g->conninfo('us'));
my $r = $g->try('eu', join_as('eu', 'us', 'voter'));
like($r->{err}, qr/WARNING: .*a group of two voters.*witness/s, 'two voters are warned of');
role_is('eu', 'voter', @both);
$g->sql('us', q{SELECT schemadrift.set_policy('{"mode": "coordinate"}')});
ok($g->wait_until('us', q{SELECT state || ': ' || reason FROM schemadrift.status}, qr/^degraded: two voters/), 'and stay degraded');

$g->sql('wit', 'CREATE TABLE own (id int)');
$r = $g->try('wit', join_as('wit', 'us', 'witness', '{"schema": "empty"}'));
ok($r->{ok}, 'a witness joins, whatever is in its database') or diag($r->{err});
unlike($r->{err}, qr/WARNING/, 'and there is no warning any more');
role_is('wit', 'witness');
ok(wait_for_state($g, $_, 'healthy'), "$_ is healthy") foreach @all;

$g->sql($_, 'CREATE ROLE only_where_the_schema_is') foreach @both;
$g->sql('us', 'CREATE TABLE by_us (id int); GRANT SELECT ON by_us TO only_where_the_schema_is');
$g->sql('eu', q{SELECT schemadrift.apply('by-eu', 'CREATE TABLE by_eu (id int)', 'DROP TABLE by_eu')});
ok($g->converged(@both), 'both have it');
$g->sql('us', q{SELECT schemadrift.revert('by-eu')});
ok($g->converged(@both), 'both regions follow');
ok(follows(), 'the witness is at the head of the log');
is($g->sql('wit', q{SELECT string_agg(relname, ' ') FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace}), 'own',
	'and has no table of it');
is($g->sql('wit', q{SELECT string_agg(DISTINCT state || ' ' || reason, ',') FROM schemadrift_store.execution}),
	'skipped this region is a witness', 'it ran nothing');
is($g->sql('wit', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'schemadrift applier'}), 0, 'and has no applier');

# --- no change comes from a witness
fails('wit', 'CREATE TABLE x (id int)', 'SD002', qr/witness: it has no schema.*HINT.*another region/s, 'DDL in a witness');
fails('wit', q{SELECT schemadrift.apply('x', 'CREATE TABLE x (id int)')}, 'SD002', qr/witness/, 'apply in a witness');
fails('wit', q{SELECT schemadrift.remove_region('eu')}, 'SD002', qr/witness/, 'changing the group in a witness');
fails('wit', q{SELECT schemadrift.step_down()}, 'SD002', qr/alter_region\('wit', role => 'observer'\)/, 'stepping down by itself');
fails('wit', q{SELECT schemadrift.leave()}, 'SD002', qr/remove_region\('wit'\)/, 'leaving by itself');
ok($g->try('wit', 'CREATE TEMP TABLE x (id int)')->{ok}, 'its temporary tables are its own');
fails('eu', sprintf(q{SELECT * FROM schemadrift.compare('%s')}, $g->conninfo('wit')), 'SD002', qr/"wit" is a witness/, 'comparing with a witness');
fails('us', q{SELECT schemadrift.alter_region('wit', role => 'voter')}, '55000', qr/has no schema/, 'a witness never is a voter');
fails('us', q{SELECT schemadrift.alter_region('eu', role => 'witness')}, '55000', qr/has the schema/, 'nor the other way round');
fails('us', q{SELECT schemadrift.suspend_region('wit', 'x')}, '55000', qr/nobody waits/, 'suspending a witness');
fails('us', q{CALL schemadrift.wait_for(1, '{wit}')}, '42704', qr/applies nothing/, 'waiting for a witness');
ok($g->try('us', sprintf q{CALL schemadrift.wait_for(%d)}, head($g, 'us'))->{ok}, 'by default nobody waits for it');

# --- each pair of the three can change the schema
foreach my $away (@all)
{
	$g->isolate($away);
	foreach my $there (grep { $_ ne $away && $_ ne 'wit' } @all)
	{
		ok($g->wait_until($there, sprintf(q{SELECT reason FROM schemadrift.status}), "missing: $away"), "$there misses $away");
		ok(can_change($g, $there), "without $away, $there changes the schema");
	}
	fails($away, 'CREATE TABLE alone (id int)', 'SD001', qr/no quorum/, "$away alone does not") if $away ne 'wit';
	ok(mended(), "$away is back");
	ok($g->converged(@both) && follows(), 'and all follow');
}
$g->region('wit')->kill9;
$g->region('wit')->start;
ok($g->reached(@all), 'killed and back, the witness is reached');
$g->isolate('us');
ok(can_change($g, 'eu'), 'and its vote counts');
ok(mended() && $g->converged(@both) && follows(), 'all follow');
is($g->sql('wit', q{SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace}), 1,
	'after all that the witness has its own table and no other');

# --- a vote is not taken where those that stay could not decide
$g->isolate('wit');
$g->wait_until($_, q{SELECT reason FROM schemadrift.status}, 'missing: wit') foreach @both;
fails('eu', 'SELECT schemadrift.step_down()', 'SD001', qr/"eu" would leave a group that cannot decide.*1 of its 2 voters.*wit: /s, 'stepping down');
fails('us', q{SELECT schemadrift.alter_region('eu', role => 'observer')}, 'SD001', qr/wit: /, 'demoting');
fails('us', q{SELECT schemadrift.remove_region('eu')}, 'SD001', qr/wit: /, 'removing');
fails('us', q{SELECT schemadrift.leave()}, 'SD001', qr/wit: /, 'leaving');
ok($g->try('us', q{SELECT schemadrift.alter_region('eu', priority => 5)})->{ok}, 'what takes no vote is done');
ok(mended(), 'the witness is back');
ok(sees($_, 'eu', 'priority', 5), "$_ knows") foreach @all;

# --- stepping down and up
my $down = $g->sql('eu', 'SELECT schemadrift.step_down()');
is($down, head($g, 'eu'), 'step_down returns its version');
role_is('eu', 'observer');
ok(sees('us', 'eu', 'reason', 'stepped down: it was a voter'), 'and everybody sees why');
ok($g->wait_until('eu', 'SELECT remedy FROM schemadrift.status', 'SELECT schemadrift.step_up();'), 'status says how it comes back');
fails('eu', 'SELECT schemadrift.step_down()', '55000', qr/stepped down already/, 'twice');
fails('us', 'SELECT schemadrift.step_up()', '55000', qr/not stepped down.*It votes/s, 'stepping up without having stepped down');
my $group = $g->sql('us', 'SELECT group_id FROM schemadrift_store.self');
$g->isolate('eu');
ok(sees('us', 'eu', 'state', 'unreachable'), 'it is away');
fails('us', "SELECT schemadrift_rpc.admit(1, '$group', 'eu', 'host=x', 'voter')", '42710', qr/already/, 'no other one takes its place');
ok(can_change($g, 'us'), 'the two others go on');
fails('eu', 'SELECT schemadrift.step_up()', 'SD001', qr/./, 'away, it does not step up');
ok(mended(), 'it is back');
ok($g->converged(@both), 'and follows');

# an observer's change needs a quorum of the others
ok(can_change($g, 'eu'), 'an observer changes the schema');
$g->isolate('wit');
$g->wait_until('eu', 'SELECT count(*) FROM schemadrift.lease', 0);    # under its lease it would come out at COMMIT
fails('eu', 'CREATE TABLE with_one_vote (id int)', 'SD001', qr/wit/, 'but not with one vote of two');
ok(mended(), 'the witness is back');

# both directions
$g->sql($_, q{SELECT schemadrift.set_peer_conninfo('eu', 'host=127.0.0.1 port=1')}) foreach qw(us wit);
ok($g->wait_until($_, q{SELECT circuit || ' ' || error FROM schemadrift.regions WHERE region = 'eu'}, qr/^(?:open|half_open) .*refused/),
	"$_ does not reach eu") foreach qw(us wit);
# what was on its way when the witness was cut off comes when TCP sends it again, and would be a call
my $callers = q{FROM pg_stat_activity WHERE application_name LIKE 'schemadrift %' AND backend_type = 'client backend'};
$g->sql('eu', "SELECT pg_terminate_backend(pid) $callers");
ok($g->wait_until('eu', "SELECT count(*) $callers", 0), 'nobody calls eu');
# of a call that does not come, time is the only sign: "lately" is four seconds
my $silent_since = $g->sql('eu', 'SELECT clock_timestamp()');
ok($g->wait_until('eu', "SELECT clock_timestamp() > '$silent_since'::timestamptz + interval '4 s'"), 'for a while');
fails('eu', 'SELECT schemadrift.step_up()', 'SD001', qr/has not called this region lately/, 'a region that nobody can call does not step up');
$g->sql($_, q{SELECT schemadrift.set_peer_conninfo('eu')}) foreach qw(us wit);
ok($g->try('eu', 'SELECT schemadrift.step_up()')->{ok}, 'it waits until it is called, and steps up');
role_is('eu', 'voter');
ok(wait_for_state($g, $_, 'healthy'), "$_ is healthy") foreach @all;

# --- a witness steps down and up by another region
$g->sql('us', q{SELECT schemadrift.alter_region('wit', role => 'observer')});
role_is('wit', 'observer');
ok(can_change($g, 'eu'), 'the change of two');
ok(follows(), 'it still has no schema to change');
fails('wit', 'CREATE TABLE x (id int)', 'SD002', qr/witness/, 'and still changes nothing');
ok($g->wait_until('wit', 'SELECT remedy FROM schemadrift.status', qr/role => 'witness'/), 'status says how it comes back');
$g->sql('eu', q{SELECT schemadrift.alter_region('wit', role => 'witness')});
role_is('wit', 'witness');

# --- suspended
my $listener = $g->session('us');
$listener->query('LISTEN schemadrift;');
$g->sql('us', q{SELECT schemadrift.suspend_region('eu', 'moving to another data centre')});
ok(sees($_, 'eu', q{suspended || ' ' || reason}, qr/^true suspended by \S+ at \d{4}-.* UTC: moving to another data centre$/), "$_ knows why")
  foreach @all;
my $told = '';
foreach (1 .. 600)
{
	$told .= $listener->query('SELECT pg_sleep(0.1);')->{out} . $listener->{out};
	last if $told =~ /"members"/;
}
like($told, qr/"event":"members","version":\d+,"reason":"suspend eu"/,
	'and who listens is told');
fails('us', q{SELECT schemadrift.suspend_region('eu', 'again')}, '55000', qr/already.*moving to another data centre/s, 'suspended twice');
fails('us', q{SELECT schemadrift.suspend_region('us', 'x')}, '55000', qr/last one that serves/, 'the last one that serves');
fails('eu', 'CREATE TABLE x (id int)', 'SD002', qr/is suspended.*moving to another data centre.*resume_region\('eu'\)/s, 'its own DDL');
ok($g->wait_until('eu', 'SELECT state || reason FROM schemadrift.status', qr/^degradedsuspended by/), 'it says so');
ok(can_change($g, 'us'), 'the others change the schema');
ok($g->converged(@both), 'it follows');
$g->isolate('wit');
ok(can_change($g, 'us'), 'and it votes');
ok(mended(), 'all are back');
my $lock = $g->session('eu');
$lock->query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE;');
$g->sql('us', 'ALTER TABLE t ADD c int');
ok($g->try('us', sprintf q{CALL schemadrift.wait_for(%d, timeout => '1s')}, head($g, 'us'))->{ok}, 'nobody waits for it');
ok($g->try('eu', q{SELECT schemadrift.resume_region('eu')})->{sqlstate} eq 'SD003', 'it cannot resume itself while it is behind');
$g->sql('us', q{SELECT schemadrift.resume_region('eu')});
ok(sees('eu', 'eu', 'suspended', 'f'), 'it hears that it is resumed');
fails('eu', 'CREATE TABLE x (id int)', 'SD003', qr/./, 'resumed, it must have caught up first');
$lock->query('ROLLBACK;');
ok(can_change($g, 'eu'), 'and then it changes the schema');
$g->sql('eu', q{SELECT schemadrift.suspend_region('eu', 'by itself')});
ok($g->try('eu', q{SELECT schemadrift.resume_region('eu')})->{ok}, 'a suspended region may resume itself');
fails('eu', q{SELECT schemadrift.resume_region('eu')}, '55000', qr/not suspended/, 'resumed twice');

# --- addresses
my $right = $g->conninfo('eu');
my $wrong = $right =~ s/port=\d+/port=1/r;
my $pid   = $g->sql('us', q{SELECT count(*) FROM schemadrift.peer_conninfo WHERE overridden});

is($pid, 0, 'what was taken back is gone');
$g->sql('us', "BEGIN; SELECT schemadrift.set_peer_conninfo('eu', '$wrong'); ROLLBACK");
is($g->sql('us', q{SELECT count(*) FROM schemadrift.peer_conninfo WHERE overridden}), 0, 'nor is there what was rolled back');
$g->sql('us', "SELECT schemadrift.alter_region('eu', conninfo => '$wrong')");
ok(sees($_, 'eu', 'circuit', qr/open/), "$_ takes the address from the log") foreach qw(us wit);
$g->sql('us', "SELECT schemadrift.set_peer_conninfo('eu', '$right password=hidden')");
ok(sees('us', 'eu', 'circuit', 'closed'), 'us takes its own, at once');
is($g->sql('us', q{SELECT overridden, conninfo ~ 'hidden', in_log ~ 'port=1( |$)' FROM schemadrift.peer_conninfo WHERE region = 'eu'}), 't|f|t',
	'as its view shows, without the password');
like($g->sql('wit', q{SELECT circuit FROM schemadrift.regions WHERE region = 'eu'}), qr/open/, 'the witness does not');
$g->sql('us', "SELECT schemadrift.alter_region('eu', conninfo => '$right')");
$g->sql('us', q{SELECT schemadrift.set_peer_conninfo('eu')});
ok(mended(), 'the log has the right one again');

# --- changes of the group in two regions at once

# Others may finish what one has begun: seldom, and then it is told that it is not known yet.
sub known
{
	my ($r, @where) = @_;

	return $r if $r->{sqlstate} ne '40003';
	my $applied = settles($g, $r->{hint} =~ /outcome\('([0-9a-f-]{36})'/, @where) eq 'applied';
	return { %$r, ok => $applied, sqlstate => $applied ? '00000' : '40001', err => $applied ? '' : '40001' };
}

my @both_at_once = map { $g->session($_) } @both;
$both_at_once[$_]->send("SELECT schemadrift.suspend_region('eu', 'by $both[$_]');") foreach 0, 1;
my @results = map { known($_->result, @both) } @both_at_once;
is(scalar(grep { $_->{ok} } @results), 1, 'two regions suspend a third at once: one wins');
my ($loser) = grep { !$_->{ok} } @results;
like($loser->{sqlstate} . ' ' . $loser->{err}, qr/^(?:55000 .*suspended already|40001)/s, 'the other is told why not');
$g->sql('us', q{SELECT schemadrift.resume_region('eu')});
ok($g->converged(@both), 'both have the same');
$both_at_once[0]->send(q{SELECT schemadrift.remove_region('eu');});
$both_at_once[1]->send(q{SELECT schemadrift.remove_region('us');});
# who is out hears no more of it
@results = map { known($_->result, 'wit') } @both_at_once;
is(scalar(grep { $_->{ok} } @results), 1, 'two regions remove each other at once: one wins');
($loser) = grep { !$_->{ok} } @results;
like($loser->{sqlstate}, qr/^(?:SD001|SD002|40001|55000)$/, 'the other is told that nothing happened') or diag($loser->{err});
my ($stays, $gone) = $results[0]{ok} ? @both : reverse @both;

# --- the last voter with a schema
ok($g->wait_until($gone, 'SELECT state FROM schemadrift.status', 'not_joined'), "$gone learns that it is out");
ok($g->wait_until($stays, q{SELECT count(*) FROM schemadrift.regions}, 2), "$stays and the witness stay");
ok(can_change($g, $stays), 'and go on');
fails($stays, 'SELECT schemadrift.step_down()', '55000', qr/last voter/, 'it cannot step down');
fails($stays, 'SELECT schemadrift.leave()', '55000', qr/last voter/, 'nor leave');
fails($stays, "SELECT schemadrift.alter_region('$stays', role => 'observer')", '55000', qr/last voter/, 'nor become an observer');
fails('wit', "SELECT schemadrift.remove_region('$stays')", '55000', qr/last voter/, 'nor does the witness remove it');

# --- the other one comes back, first to look on
$g->sql($gone, "DROP TABLE IF EXISTS x");
ok($g->try($gone, join_as($gone, $stays, 'observer'))->{ok}, "$gone joins as observer");
ok($g->converged(@both), 'and follows');
fails($gone, 'SELECT schemadrift.step_up()', '55000', qr/observer by its role.*alter_region/s, 'an observer by its role does not step up');
fails($gone, 'SELECT schemadrift.step_down()', '55000', qr/does not vote/, 'nor down');
$r = $g->try($stays, "SELECT schemadrift.alter_region('$gone', role => 'voter')");
like($r->{err}, qr/becomes a voter once it has applied everything/, 'a role is given in two steps');
role_is($gone, 'voter');
ok(can_change($g, $_), "$_ changes the schema") foreach @both;
ok($g->converged(@both) && follows(), 'all follow');
$g->sql('us', q{SELECT schemadrift.remove_region('wit')});
ok($g->wait_until('wit', 'SELECT schemadrift.leave(); SELECT count(*) FROM schemadrift_store.self', "\n0"), 'a witness that was removed forgets');
is($g->sql('wit', q{SELECT count(*) FROM own}), 0, 'and its own table is as it was');

done_testing();
