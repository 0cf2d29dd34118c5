# What is taken back before a region came to it: that region runs it, and what takes it back, as all others did; it skips both
# only where it cannot run.  Databases of one server are the regions.  r3 stands at a version that it cannot apply while the
# others go on: it has the whole log, and then comes to one version after the other.  r4 joins at the end.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Scenario;
use Test::More;

my $g = SchemaDrift::Group->new(
	regions   => [qw(r1 r2 r3 r4)],
	databases => 1,
	conf      => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 300ms
schemadrift.lease_duration = 1s
schemadrift.ddl_hold_limit = 300ms
CONF
my @group = qw(r1 r2 r3);

$g->sql($_, 'CREATE TABLE t (a int, b text); CREATE TABLE two (a int)') foreach $g->names;
$g->make_group(names => \@group, mode => 'coordinate');

sub change
{
	my ($name, $up, $down) = @_;

	return $g->sql('r1', sprintf q{SELECT schemadrift.apply('%s', $x$%s$x$, %s)}, $name, $up, defined $down ? "\$x\$$down\$x\$" : 'NULL');
}

sub revert
{
	my ($name, $expected) = @_;
	my $version = $g->sql('r1', "SELECT schemadrift.revert('$name')");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($g->sql('r1', "SELECT kind FROM schemadrift_store.log WHERE version = $version"), $expected, "$name is taken back: $expected");
}

# How a region dealt with a migration and with what takes it back.
sub dealt_with
{
	my ($where, $name) = @_;

	return $g->sql($where, "SELECT coalesce(string_agg(e.state, ', ' ORDER BY version), 'not yet') FROM schemadrift_store.execution e
		JOIN schemadrift_store.log l USING (version) WHERE l.name = '$name'");
}

sub reason
{
	my ($where, $name) = @_;

	return $g->sql($where, "SELECT e.reason FROM schemadrift_store.execution e JOIN schemadrift_store.log l USING (version)
		WHERE l.name = '$name' AND l.kind = 'migration'");
}

# What migration_status has of a migration in that region itself (and not of what takes it back).
sub told
{
	my ($where, $name, $what) = @_;

	return "SELECT $what FROM schemadrift.migration_status s JOIN schemadrift_store.log l USING (version)
		WHERE l.name = '$name' AND l.kind = 'migration' AND s.region = '$where'";
}

sub stands_at
{
	my ($where, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($g->wait_until($where, told($where, $name, 's.state'), 'failed'), "$where stands at $name");
}

# ---- r3 is behind ----

$g->sql('r3', "INSERT INTO t VALUES (7, 'x')");
change('first', 'ALTER TABLE t ADD CHECK (a < 5)');
stands_at('r3', 'first');

# nothing in a catalog says that the second needs the first
change('maker', 'CREATE FUNCTION five() RETURNS int LANGUAGE sql IMMUTABLE RETURN 5', 'DROP FUNCTION five()');
change('user', 'CREATE TABLE used (n int); INSERT INTO used SELECT five()');
revert('maker', 'supersede');

# the second cannot run without the first
change('strict', q{ALTER TABLE t ADD CONSTRAINT strict CHECK (b <> 'x')}, 'ALTER TABLE t DROP CONSTRAINT strict');
change('named', 'ALTER TABLE t RENAME CONSTRAINT strict TO named', 'ALTER TABLE t RENAME CONSTRAINT named TO strict');
revert('named', 'supersede');
revert('strict', 'supersede');

# chosen although its client gave up, applied nowhere, and nothing undoes it: it could run in r3, and must not
SKIP:
{
	skip 'wait points are in the test build only', 5 if !testing_build($g);
	my $s = $g->session('r1');
	my $id = begun($g, 'r1', sub {
		stop_at($s, 'after-majority');
		$s->send(q{SELECT schemadrift.apply('nowhere', $x$CREATE TABLE nowhere (); DO $$ BEGIN
			IF current_setting('application_name') LIKE 'schemadrift applier%' AND current_database() <> 'r3' THEN RAISE 'not here'; END IF; END $$$x$);});
		stopped($s);
	});

	accepted($g, 'r1', $id, qw(r2 r3));
	$s->cancel;
	go_on($s);
	is($s->result->{sqlstate}, '40003', 'a client gives up');
	stands_at($_, 'nowhere') foreach qw(r1 r2);
	revert('nowhere', 'supersede');
	ok($g->converged('r1', 'r2'), '... which ends that');
	$s->quit;
}

change('locked', 'ALTER TABLE two ADD y int', 'ALTER TABLE two DROP y');
revert('locked', 'supersede');
change('last', 'CREATE TABLE last ()');

# ---- r3 goes on ----

my $locker = $g->session('r3');
$locker->query('BEGIN; LOCK TABLE two IN ACCESS SHARE MODE;');
$g->sql('r3', 'UPDATE t SET a = 1');
like($g->try('r3', 'SELECT schemadrift.retry()')->{sqlstate}, qr/^(?:00000|55000)$/, 'what was in the way is mended');
stands_at('r3', 'locked');
cmp_ok($g->sql('r3', told('r3', 'locked', 's.attempts')), '>=', 3, '... for a lock');
is(dealt_with('r3', 'locked'), 'not yet', '... which is no reason to skip it');
$locker->query('COMMIT;');
$g->try('r3', 'SELECT schemadrift.retry()');
ok($g->converged(@group), 'all are equal');
is(dealt_with('r3', 'maker'), 'applied, applied', 'what can run is run, and taken back then');
is($g->sql('r3', 'SELECT n FROM used'), 5, '... and what needs it finds it');
is(dealt_with('r3', 'locked'), 'applied, applied', '... also after waiting for a lock');
is(dealt_with('r3', $_), 'skipped, skipped', "$_ cannot run: it is skipped, and so is what takes it back") foreach qw(strict named);
like(reason('r3', 'strict'), qr/^taken back by version \d+; here it failed: check constraint "strict" .* is violated by some row$/, '... which says why');
is($g->sql('r3', "SELECT max(attempts) FROM schemadrift_store.execution e JOIN schemadrift_store.log l USING (version) WHERE l.name = 'strict'"), 1,
	'... at once');
SKIP:
{
	skip 'no wait points', 2 if !testing_build($g);
	is(dealt_with('r3', 'nowhere'), 'skipped, skipped', 'what nothing can undo is not tried');
	like(reason('r3', 'nowhere'), qr/^taken back by version \d+$/, '... which says so');
}

# ---- a trouble that does not pass ----

$locker->query('BEGIN; LOCK TABLE two IN ACCESS SHARE MODE;');
change('blocked', 'ALTER TABLE two ADD z int', 'ALTER TABLE two DROP z');
stands_at('r3', 'blocked');
revert('blocked', 'supersede');
for my $turn (1 .. 20)
{
	last if dealt_with('r3', 'blocked') ne 'not yet';
	my $before = $g->sql('r3', told('r3', 'blocked', 's.attempts')) || 0;

	$g->try('r3', 'SELECT schemadrift.retry()');
	$g->wait_until('r3', told('r3', 'blocked', "s.state = 'skipped' OR s.attempts > $before"), 't');
}
ok($g->converged(@group), 'a lock that nobody lets go of holds nothing up for ever');
is(dealt_with('r3', 'blocked'), 'skipped, skipped', '... skipped');
is($g->sql('r3', "SELECT max(attempts) FROM schemadrift_store.execution e JOIN schemadrift_store.log l USING (version) WHERE l.name = 'blocked'"), 10,
	'... the tenth time');
$locker->query('COMMIT;');

# ---- a region that joins ----

# where all have applied it, what takes it back is a revert; the newcomer comes to both, and its rows are others
change('rows', 'ALTER TABLE t ADD CONSTRAINT has_a CHECK (a IS NOT NULL)', 'ALTER TABLE t DROP CONSTRAINT has_a');
ok($g->converged(@group), 'all are equal');
my $version = $g->sql('r1', 'SELECT version FROM schemadrift_store.applied');
$g->wait_until('r1', "SELECT bool_and(applied_version >= $version) FROM schemadrift.regions", 't');
revert('rows', 'revert');
$g->sql('r4', 'INSERT INTO t VALUES (NULL, NULL)');
$g->join('r4', 'r1');
ok($g->converged, 'a region has joined, and all are equal');
is(dealt_with('r4', 'rows'), 'skipped, skipped', 'it has skipped what it cannot run');
is(dealt_with('r4', $_), 'applied, applied', "... and run $_") foreach qw(maker strict named locked);
is($g->sql('r4', 'SELECT n FROM used'), 5, '... in order');
$g->sql('r4', 'CREATE TABLE from_r4 ()');
ok($g->converged, 'it changes the schema');

$locker->quit;
done_testing();
