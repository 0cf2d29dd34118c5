# A region goes to another major of PostgreSQL by pg_upgrade while the others change the schema: by docs/playbook.md, "Major upgrade
# of PostgreSQL", with --link, without step_down(), and back to the old server.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils qw(slurp_file command_ok);
use Test::More;
use Time::HiRes 'sleep';

use SchemaDrift::Scenario;

my @majors = majors();
my ($old, $new) = @majors[ 0, -1 ];
my ($us, $ap, $eu) = qw(us-east ap-south eu-west);
my $g = made_group([ $us, $ap, $eu ], bindir => { map { $_ => $old->[1] } $us, $ap, $eu },
	before => 'CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL, at timestamptz DEFAULT now());
		CREATE VIEW by_item AS SELECT item, count(*) AS n FROM orders GROUP BY item;');
my %incarnation = map { $_ => 1 } $g->names;
my $tables = 0;

sub others { my ($name) = @_; return [ grep { $_ ne $name } $g->names ]; }

sub major
{
	my ($name) = @_;

	return int $g->sql($name, 'SHOW server_version_num') / 10000;
}

# pg_upgrade of a server that is down, its start, and what one does then.  Returns the old data directory.
sub upgrade
{
	my ($name, @options) = @_;
	my $region = $g->region($name);

	my $kept = $region->pg_upgrade($new->[1], @options);
	$region->start;
	is(major($name), $new->[0], "$name runs $new->[0]");
	command_ok([ "$new->[1]/vacuumdb", '--all', '--analyze-in-stages', '--host', $region->host, '--port', $region->port ], '... has its statistics');
	return $kept;
}

# Changes in the other regions while this goes on.  Two that change the schema at once get in each other's way; and one that
# asks the region that has just gone may have to ask again.  Nothing else may happen, and not often.
sub while_others_go_on
{
	my ($name, $n, $what) = @_;
	my $seen = traffic($g, $n, others($name), $what);

	is(join(' ', grep { !/^(?:00000|40001|40003|55P03|SD001|SD003)$/ } sort keys %$seen), '', "$name is away: no change elsewhere fails")
	  || diag(explain($seen));
	cmp_ok($seen->{'00000'}, '>=', 0.8 * $n * 2, '... nearly all succeed') || diag(explain($seen));
	return;
}

# The next incarnation, in that role, in its own eyes and in those of the others.
sub comes_back
{
	my ($name, $role, $what) = @_;
	my $incarnation = ++$incarnation{$name};
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($g->wait_until($name, 'SELECT incarnation || state FROM schemadrift_store.self', "$incarnation$role"), "$what: $name is $role again")
	  or diag($g->sql($name, 'SELECT state, reason, remedy FROM schemadrift.status'));
	ok($g->wait_until($_, "SELECT incarnation || role FROM schemadrift.regions WHERE region = '$name'", "$incarnation$role"),
		"... as incarnation $incarnation in the eyes of $_")
	  foreach @{ others($name) };
	return;
}

# Equal, by digests that a full scan confirms; every region votes and changes the schema; rows are there.
sub sound
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($g->converged, "$what: all are equal");
	is($g->sql($_, 'SELECT schemadrift_store.digest_rebuild() = (SELECT digest FROM schemadrift_store.applied)'), 't',
		"... and $_ has what its digest says")
	  foreach $g->names;
	all_can_change($g, $what);
	is($g->sql($_, 'SELECT sum(n) FROM by_item'), '1000', "... $_ has its rows") foreach $g->names;
	return;
}

$g->sql($_, q{INSERT INTO orders SELECT i, 'item ' || i % 7 FROM generate_series(1, 1000) i}) foreach $g->names;
is(join(' ', map { major($_) } $g->names), "$old->[0] $old->[0] $old->[0]", "a group of $old->[0]");

# --- by the book
my $version = $g->sql($eu, 'SELECT schemadrift.step_down()');
ok($g->try($eu, "CALL schemadrift.wait_for($version)")->{ok}, "$eu steps down, and the others know");
my $kept;
while_others_go_on($eu, 60, sub
{
	$g->region($eu)->stop;
	$kept = upgrade($eu);
	comes_back($eu, 'observer', 'upgraded');
	ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'degraded'), '... is well, but for having stepped down');
	like($g->sql($eu, 'SELECT remedy FROM schemadrift.status'), qr/step_up\(\)/, '... which it says');
	ok($g->wait_until($eu, 'SELECT version >= head - 1 FROM schemadrift.status', 't'), '... follows the changes made meanwhile');
	ok(step_up($eu), '... steps up');
});
ok($g->wait_until($eu, 'SELECT state FROM schemadrift_store.self', 'voter'), '... and votes');
sound("$old->[0], $old->[0], $new->[0]");

# A chosen step_up() needs the version, which the others want, too.
sub step_up
{
	my ($name) = @_;

	return can_change($g, $name, 'SELECT schemadrift.step_up()');
}

# --- with --link
$version = $g->sql($ap, 'SELECT schemadrift.step_down()');
ok($g->try($ap, "CALL schemadrift.wait_for($version)")->{ok}, "$ap steps down, and the others know");
while_others_go_on($ap, 60, sub
{
	$g->region($ap)->stop;
	my $linked = upgrade($ap, '--link');
	ok(!-e "$linked/global/pg_control" && -e "$linked/global/pg_control.old", '... and its old server cannot be started any more');
	comes_back($ap, 'observer', 'upgraded by --link');
	ok(step_up($ap), '... steps up');
});
ok($g->wait_until($ap, 'SELECT state FROM schemadrift_store.self', 'voter'), '... and votes');
sound("$old->[0], $new->[0], $new->[0]");

# --- nobody stepped down: the region is missing as a voter, void when it is back, and comes back by itself
my $log = $g->region($us)->log_size;
ok(can_change($g, $us, 'CREATE TABLE its_last_vote (a int)'), "$us changes the schema");
$g->region($us)->stop;
ok(can_change($g, $_), "... is stopped without step_down, and $_ goes on") foreach $ap, $eu;
upgrade($us);
comes_back($us, 'voter', 'upgraded without step_down()');
like(substr(slurp_file($g->region($us)->logfile), $log), qr/its identity is void: this server is not the one that joined/,
	'... having had no vote before that');
sound("$new->[0], $new->[0], $new->[0]");
is($g->sql($_, q{SELECT count(*) FROM pg_class WHERE relname = 'its_last_vote'}), 1, "... $_ has what it had voted for") foreach $g->names;

# before the next step, which loses votes, and with them what shows who voted for what
log_is_sound($g, 1 + $version);

# --- back to the server as it was before pg_upgrade, with all that it had forgotten meanwhile
$g->region($eu)->stop;
$g->region($eu)->use_data($kept);
$g->region($eu)->use_bindir($old->[1]);
$g->region($eu)->start;
is(major($eu), $old->[0], "$eu is what it was");
comes_back($eu, 'voter', 'an old server');
sound("$new->[0], $new->[0], $old->[0]");

done_testing();
