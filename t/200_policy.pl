# Policy and options that need other regions: regions that must agree, locks, barriers, roles whose changes a region holds.
use strict;
use warnings FATAL => 'all';

use Test::More;
use Time::HiRes 'sleep';

use SchemaDrift::Scenario;

my $g = made_group(3, before => 'CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY);');
my ($us, $ap, $eu) = $g->names;
my $since = 1 + head($g, $us);
my $n = 0;

sub policy
{
	my ($name, $policy) = @_;
	my $r = $g->try($name, "SELECT schemadrift.set_policy('$policy')");
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is($r->{sqlstate}, '00000', "set_policy $policy in $name") || diag($r->{err});
}

# apply() of something new
sub apply
{
	my ($name, $options, %o) = @_;

	$n++;
	return $g->try($name, "SELECT schemadrift.apply('m$n', 'CREATE TABLE made_$n ()', 'DROP TABLE made_$n', '$options')", %o);
}

sub says
{
	my ($r, $sqlstate, $pattern, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	refused($r, $sqlstate, $what);
	return like($r->{err} // '', $pattern, '... and says so');
}

sub unreachable
{
	my ($where, $who) = @_;

	return $g->wait_until($where, "SELECT state FROM schemadrift.regions WHERE region = '$who'", 'unreachable');
}

# --- regions that must agree

policy($us, qq{{"quorum": ["$eu"]}});
ok($g->converged, 'the policy is everywhere');
is(apply($_, '{}')->{sqlstate}, '00000', "with $eu there, $_ changes the schema") foreach $us, $ap, $eu;
says($g->try($us, "SELECT schemadrift.remove_region('$eu')"), 'SD005', qr/cannot lose its vote.*Policy "quorum" is \["$eu"\], set by .* in version \d+ at 20.*set_policy/s,
	'a region that the policy names is not removed');
says($g->try($eu, 'SELECT schemadrift.step_down()'), 'SD005', qr/cannot lose its vote/, '... and does not step down');
says($g->try($eu, 'SELECT schemadrift.leave()'), 'SD005', qr/cannot lose its vote/, '... or leave');
$g->isolate($eu);
ok(unreachable($_, $eu), "$_ misses $eu") foreach $us, $ap;
foreach my $name ($us, $ap)
{
	says($g->try($name, 'CREATE TABLE forbidden ()'), 'SD005',
		qr/a region that must agree to it is missing.*Nothing happened.*Region $eu: .*Policy "quorum" is \["$eu"\], set by \S+ in version \d+ at 20\S+\..*set_policy/s,
		"without $eu, $name may not");
	says(apply($name, '{}'), 'SD005', qr/Region $eu/, '... by apply(), either');
}
is($g->sql($us, q{SELECT outcome || ' ' || (reason LIKE '%eu-west%') FROM schemadrift.decisions WHERE kind = 'refusal' ORDER BY at DESC LIMIT 1}),
	'policy true', 'the refusal is a decision');
says(apply($eu, '{}'), 'SD001', qr/Region $us.*Region $ap/s, 'it is no majority by itself, and that is what it says');
my ($took) = took(sub { apply($us, '{}') });
cmp_ok($took, '<', $in_time, sprintf 'it is said at once (%.1f s)', $took);
policy($us, '{"quorum": null}');
is(apply($us, '{}')->{sqlstate}, '00000', 'the policy is changed without it, and then they do without');
says(apply($us, qq{{"require": ["$ap", "$eu"]}}), 'SD005', qr/Region $eu: .*The change's own option "require" says so/s, 'a change may want it by itself');
says(apply($us, '{"require": "all"}'), 'SD005', qr/Region $eu: /, '... or all');
is(apply($us, qq{{"require": ["$ap"]}})->{sqlstate}, '00000', '... or one that is there');
policy($us, '{"quorum": "all"}');
says($g->try($ap, 'CREATE TABLE forbidden ()'), 'SD005', qr/Region $eu: .*Policy "quorum" is "all"/s, 'all means all');
$g->heal_all;
ok($g->reached, 'all are there again');
ok(can_change($g, $ap), 'all agree');
ok($g->converged, 'all are equal');

# the region that must agree vanishes between its promise and the commit
policy($us, qq{{"quorum": ["$eu"]}});
ok($g->converged, '... ');
SKIP:
{
	skip 'wait points are in the test build only', 5 if !testing_build($g);
	my $s = $g->session($us);
	my $id;

	stop_at($s, 'before-accept');
	$id = begun($g, $us, sub {
		$s->send('CREATE TABLE in_between ();');
		stopped($s);
	});
	$g->isolate($eu);
	go_on($s);
	my $r = $s->result;
	isnt($r->{sqlstate}, '00000', "no success without the acceptance of $eu");
	is($r->{sqlstate}, '40003', '... but others have accepted') or diag($r->{err});
	$g->heal_all;
	is(settles($g, $id), 'applied', '... and what a majority has accepted happens');
	is(join(' ', map { $g->sql($_, "SELECT to_regclass('in_between') IS NOT NULL") } $g->names), 't t t', '... everywhere');
	$s->quit;
}
ok($g->reached, 'all are there again');
policy($us, '{"quorum": null}');
ok($g->converged, 'all are equal');

# --- a lock holds in every region, for as long as it says

policy($ap, '{"lock": {"objects": ["public.t"], "reason": "a test"}}');
ok($g->converged, 'the lock is everywhere');
foreach my $name ($g->names)
{
	says($g->try($name, 'ALTER TABLE t ADD COLUMN locked int'), 'SD005', qr/locks public\.t.*Reason: a test\..*Policy "lock" is .*set by \S+ in version \d+/s,
		"the table is locked in $name");
	is($g->try($name, "ALTER TABLE u ADD COLUMN free_$n int")->{sqlstate}, '00000', '... others are not');
	$n++;
}
# a transaction that looked at the policy before: what holds for its version is what it was granted under
{
	my $s = $g->session($us);

	$s->query('BEGIN; SELECT 1;');
	policy($ap, '{"lock": {"objects": ["public.u"], "reason": "another one"}}');
	ok($g->converged, '... ');
	says($s->query('ALTER TABLE u ADD COLUMN late int;'), 'SD005', qr/another one/, 'a lock holds for open transactions, too');
	$s->query('ROLLBACK;');
	is($s->query('ALTER TABLE t ADD COLUMN unlocked int;')->{sqlstate}, '00000', 'the one before it does not any more');
}
my $until = $g->sql($us, q{SELECT clock_timestamp() + interval '1 hour'});
policy($us, qq({"lock": {"all": true, "until": "$until", "reason": "short"}}));
says($g->try($us, 'ALTER TABLE u ADD COLUMN early int'), 'SD005', qr/locks the schema of all regions.*Wait until 20/s, 'a lock with an end');
$until = $g->sql($us, q{SELECT clock_timestamp() + interval '10 s'});    # one that is over before it is set is refused
policy($us, qq({"lock": {"all": true, "until": "$until", "reason": "short"}}));
ok($g->wait_until($us, "SELECT clock_timestamp() > '$until'", 't'), '... comes to it');
is($g->try($us, 'ALTER TABLE u ADD COLUMN in_time int')->{sqlstate}, '00000', '... and is over');
policy($us, '{"lock": null}');
ok($g->converged, 'all are equal');

# --- schemadrift.scope

policy($us, '{"local": ["scratch.*"]}');
ok($g->converged, 'a schema of local objects');
is($g->try($ap, q{BEGIN; SET LOCAL schemadrift.scope = 'local'; CREATE SCHEMA scratch; CREATE TABLE scratch.mine (); COMMIT})->{sqlstate}, '00000',
	'a local object');
is(join(' ', map { $g->sql($_, "SELECT to_regclass('scratch.mine') IS NOT NULL") } $us, $ap, $eu), 'f t f', '... is made here alone');
says($g->try($ap, q{SET schemadrift.scope = 'local'; ALTER TABLE t ADD COLUMN forbidden int}), 'SD005',
	qr/local objects only.*They are: scratch\.\*.*Policy "local" is \["scratch\.\*"\]/s, 'an object of all regions is not');

# --- barriers

# the applier of one region waits for somebody's lock
my $holder = $g->session($eu);
$holder->query('BEGIN; LOCK TABLE t IN ACCESS SHARE MODE;');
$g->sql($us, q{SELECT schemadrift.apply('step 1', 'ALTER TABLE t ADD COLUMN step int')});
my $step = head($g, $us);
ok($g->wait_until($us, "SELECT applied_version FROM schemadrift.regions WHERE region = '$ap'", $step), "$ap has followed, $eu cannot");
says(apply($us, $_), 'SD005', qr/barrier, version $step, is not met.*Region $eu: has applied version @{[ $step - 1 ]}\..*wait_for\($step\)/s, "not met: $_")
  foreach '{"barrier": "previous"}', '{"barrier": true}', qq({"barrier": $step});
unlike($g->try($us, qq{SELECT schemadrift.apply('x', 'SELECT 1', options => '{"barrier": $step}')})->{detail} // '', qr/Region (?:$us|$ap)/,
	'... and only who is behind is named');
is(apply($us, sprintf '{"barrier": %d}', $step - 1)->{sqlstate}, '00000', 'a barrier that is met is none');
says(apply($us, '{"barrier": 1000000}'), 'SD005', qr/does not have that version/, 'one of the future cannot be');
is($g->try($us, "SELECT schemadrift.suspend_region('$eu', 'a test')")->{sqlstate}, '00000', "$eu is suspended");
is(apply($us, qq({"barrier": $step}))->{sqlstate}, '00000', '... and not waited for any more');
is($g->sql($us, qq{SELECT barrier FROM schemadrift_store.log WHERE name = 'm$n'}), $step, '... the log has the barrier');
is($g->try($us, "SELECT schemadrift.resume_region('$eu')")->{sqlstate}, '00000', "$eu is resumed");
says(apply($us, qq({"barrier": $step})), 'SD005', qr/Region $eu/, '... and waited for again');
$holder->query('COMMIT;');
$holder->quit;
is($g->try($us, "CALL schemadrift.wait_for($step)")->{sqlstate}, '00000', "$eu has followed");
is(apply($us, qq({"barrier": $step}))->{sqlstate}, '00000', '... and the barrier is met');
ok($g->converged, 'all are equal');
is($g->sql($_, qq{SELECT barrier FROM schemadrift_store.log WHERE name = 'm$n'}), $step, "... as the log says in $_") foreach $g->names;

# "region r has applied x" is stable: it holds while r is away, and over our own restart
$step = head($g, $us);
ok($g->wait_until($us, "SELECT applied_version FROM schemadrift.regions WHERE region = '$_'", $step), "$us knows of $_") foreach $ap, $eu;
ok($g->wait_until($us, "SELECT max(applied) FROM schemadrift_store.peer WHERE region = '$_'", $step), "... for good") foreach $ap, $eu;
$g->isolate($eu);
$g->region($us)->restart;
ok(unreachable($us, $eu), "$eu is away, $us is new");
ok($g->reached($us, $ap), '... ');
ok($g->wait_until($us, "SELECT circuit <> 'closed' FROM schemadrift.regions WHERE region = '$eu'"), '... and has tried to reach it in vain');
is(apply($us, qq({"barrier": $step}))->{sqlstate}, '00000', '... and remembers what it was told');
says(apply($us, '{"barrier": "previous"}'), 'SD005', qr/Region $eu: has applied version $step when it was heard last/, '... and nothing more');
$g->heal_all;
ok($g->reached, 'all are there again');
ok($g->converged, 'all are equal');

# the other life of a region has applied nothing yet
$g->sql($eu, 'SELECT schemadrift.leave()');
ok($g->wait_until($us, "SELECT count(*) FROM schemadrift.regions", 2), "$eu has left");
ok($g->wait_until($eu, q{SELECT state FROM schemadrift.status}, 'not_joined'), '... and knows it');
ok($g->converged($us, $ap), '... ');
$g->join($eu, $us);
is($g->sql($us, "SELECT incarnation FROM schemadrift.regions WHERE region = '$eu'"), 2, '... and has come back, as another incarnation');
ok($g->converged, 'all are equal');
ok($g->wait_until($us, "SELECT string_agg(incarnation::text, ' ' ORDER BY incarnation) FROM schemadrift_store.peer WHERE region = '$eu'", '1 2'),
	'what the first one told is not what the second one told') or diag($g->sql($us, 'SELECT * FROM schemadrift_store.peer'));

# --- roles whose changes a region holds

sub allow
{
	my ($name, $roles) = @_;

	$g->sql($name, $roles ? "ALTER SYSTEM SET schemadrift.allowed_roles = $roles" : 'ALTER SYSTEM RESET schemadrift.allowed_roles');
	$g->sql($name, 'SELECT pg_reload_conf()');
	return $g->wait_until($name, "SELECT setting FROM pg_settings WHERE name = 'schemadrift.allowed_roles'", $roles ? $roles =~ s/'//gr : '*');
}

# It tries again by itself, too, and may have been quicker.
sub retry
{
	my ($name) = @_;
	my $r = $g->try($eu, "SELECT schemadrift.retry($name)");
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return like($r->{sqlstate}, qr/^(?:00000|55000|22023)$/, 'retry') || diag($r->{err});
}

foreach my $name ($g->names)
{
	$g->sql($name, 'CREATE ROLE alice LOGIN; GRANT schemadrift_migrator TO alice');
}
$g->sql($us, 'GRANT CREATE ON SCHEMA public TO alice');
ok($g->converged, 'alice may make tables in all regions');
is($g->try($us, 'CREATE TABLE by_alice ()', user => 'alice')->{sqlstate}, '00000', 'whoever is no superuser is allowed');
ok($g->converged, '... everywhere');

$g->sql($eu, 'ALTER ROLE alice SUPERUSER');
is($g->try($us, q{SELECT schemadrift.apply('by alice', 'CREATE TABLE held ()', 'DROP TABLE held')}, user => 'alice')->{sqlstate}, '00000', "in $eu alice is a superuser");
my $held = head($g, $us);
ok($g->wait_until($_, "SELECT state FROM schemadrift.migration_status WHERE version = $held AND region = '$eu'", 'held'), "... it is held there, as $_ knows") foreach $eu, $us;
is($g->sql($eu, "SELECT to_regclass('held') IS NULL"), 't', '... nothing of it has run');
ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'halted'), '... the region says that it is halted');
like($g->sql($eu, 'SELECT reason FROM schemadrift.status'), qr/version $held cannot be applied: held: .*"alice".*allowed_roles is "\*"/s, '... why');
like($g->sql($eu, 'SELECT remedy FROM schemadrift.status'), qr/retry.*schemadrift\.allowed_roles.*revert/, '... and what to do');
is($g->sql($eu, "SELECT state FROM schemadrift.migrations WHERE version = $held"), 'held', '... as does its log');
like($g->sql($us, "SELECT remedy FROM schemadrift.migration_status WHERE version = $held AND region = '$eu'"), qr/^in $eu: .*allowed_roles/, '... and other regions tell');
ok(allow($eu, q{'*', 'alice'}), 'alice is listed');
retry(q{'by alice'});
ok($g->converged, '... and it is run');

# a role that it becomes counts, too
$g->sql($_, 'CREATE ROLE boss SUPERUSER; GRANT boss TO alice') foreach $eu;
$g->sql($_, 'CREATE ROLE boss; GRANT boss TO alice; GRANT schemadrift_migrator TO boss') foreach $us, $ap;
$g->sql($us, 'GRANT CREATE ON SCHEMA public TO boss');
ok($g->converged, 'a boss');
$g->try($us, q{SET ROLE boss; SELECT schemadrift.apply('by boss', 'CREATE TABLE by_boss ()', 'DROP TABLE by_boss')}, user => 'alice');
$held = head($g, $us);
ok($g->wait_until($eu, "SELECT state FROM schemadrift.migration_status WHERE version = $held AND region = '$eu'", 'held'), 'alice as boss is held');
is($g->try($us, "SELECT schemadrift.set_policy('{\"leadership\": null}')")->{sqlstate}, '00000', '... the group goes on');
says($g->try($eu, 'SELECT schemadrift.retry()', user => 'region_peer'), '42501', qr/permission denied/, '... a peer may not retry');
is($g->try($eu, q{SELECT schemadrift.revert('by boss')})->{sqlstate}, '00000', '... it can be taken back there');
ok($g->converged, '... which ends that');
is($g->sql($eu, "SELECT state FROM schemadrift.migrations WHERE version = $held"), 'skipped', '... it was never run');
$g->try($us, q{SET ROLE boss; CREATE TABLE by_boss ()}, user => 'alice');
$held = head($g, $us);
ok($g->wait_until($eu, "SELECT state FROM schemadrift.migration_status WHERE version = $held AND region = '$eu'", 'held'), 'the next one is held again');
$g->sql($eu, 'ALTER ROLE boss NOSUPERUSER');
retry('');
ok($g->converged, 'one that is no superuser is not');

# a list without "*"
ok(allow($eu, q{'alice'}), 'only alice');
my $me = $g->sql($us, 'SELECT session_user');
says($g->try($eu, 'CREATE TABLE mine ()'), 'SD005', qr/role "$me" may not change.*allowed_roles is "alice"/s, 'who is not listed is refused where the change is made');
is($g->try($us, 'CREATE TABLE mine ()')->{sqlstate}, '00000', 'in another region it is not');
$held = head($g, $us);
ok($g->wait_until($us, "SELECT state FROM schemadrift.migration_status WHERE version = $held AND region = '$eu'", 'held'), '... and held here');
is($g->try($us, "SELECT schemadrift.set_policy('{\"lock\": null}')")->{sqlstate}, '00000', 'policy and members are nobody\'s text, and not held');
ok(allow($eu, undef), 'everybody again');
retry('');
ok($g->converged, 'all are equal');

# online versions, one that is under way and one that is done: a region that holds their intent is not held up by them for ever
my $s = $g->session($us, user => 'alice');
$s->send(q{CALL schemadrift.apply_online('held 1', 'CREATE INDEX CONCURRENTLY held_1 ON by_alice ((1))');});
ok($g->wait_until($eu, "SELECT state FROM schemadrift.migration_status WHERE name = 'held 1' AND region = '$eu'", 'held'), 'an online version of alice is held');
is($g->try($us, "SELECT schemadrift.revert('held 1')")->{sqlstate}, '00000', '... it is cancelled');
is($s->result->{sqlstate}, '57014', '... as its client is told');
ok($g->converged, '... which ends that');
is($g->sql($eu, "SELECT string_agg(state, ' ' ORDER BY version) FROM schemadrift.migrations WHERE name = 'held 1'"), 'skipped skipped', '... without a trace here');
$g->sql($us, "SELECT schemadrift.suspend_region('$eu', 'holds up an online version')");
is($s->query(q{CALL schemadrift.apply_online('held 2', 'CREATE INDEX CONCURRENTLY held_2 ON by_alice ((2))');})->{sqlstate}, '00000', 'one that the others have done');
is($g->try($us, "SELECT schemadrift.revert('held 2')")->{sqlstate}, '00000', '... is taken back, which is an online version, too');
ok($g->converged, '... which ends that');
is($g->sql($eu, "SELECT string_agg(state, ' ' ORDER BY version) FROM schemadrift.migrations WHERE name = 'held 2'"), 'skipped skipped skipped skipped',
	'... nothing of the four was run here');
$g->sql($us, "SELECT schemadrift.resume_region('$eu')");
$s->quit;

all_can_change($g);
log_is_sound($g, head($g, $us));

done_testing();
