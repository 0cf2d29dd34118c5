# Regions with the library and the SQL objects of a released version, the real ones, in a group with this one: OLD_PG_CONFIG
# is the pg_config of another installation of the same PostgreSQL major that has it (docs/verification.md).
use strict;
use warnings FATAL => 'all';

use Test::More;
use Time::HiRes qw(sleep time);

use SchemaDrift::Scenario;

plan skip_all => 'OLD_PG_CONFIG names no installation of a released version' if !$ENV{OLD_PG_CONFIG};

my $bindir = qx{$ENV{OLD_PG_CONFIG} --bindir};
chomp $bindir;
my ($us, $ap, $eu) = qw(us-east ap-south eu-west);
my $g = made_group([ $us, $ap, $eu ], bindir => { map { $_ => $bindir } $us, $ap, $eu },
	before => 'CREATE TABLE t (id int PRIMARY KEY);');
my $since = 1 + head($g, $us);
my $n = 0;
my @sums;

sub works
{
	my ($name, $sql, $what) = @_;
	my $r = $g->try($name, $sql);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is($r->{sqlstate}, '00000', $what) || diag($r->{err});
}

sub says
{
	my ($r, $sqlstate, $pattern, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	refused($r, $sqlstate, $what);
	return like($r->{err} // '', $pattern, '... and says so');
}

sub change_everywhere
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $name ($g->names, $g->names)
	{
		$n++;
		works($name, "CREATE TABLE plain_$n (a int)", "$what: $name changes the schema");
		works($name, "SELECT schemadrift.apply('m$n', 'CREATE TABLE made_$n ()', 'DROP TABLE made_$n')", "$what: $name applies");
	}
	return ok(follow(), "$what: all are equal");
}

# Changes everywhere but where the server goes away.  Several regions at once get in each other's way: what then is said of a
# change is one of these, and true in the end (log_is_sound); nothing else may happen, and not often.
sub busy
{
	my ($what, $names, $meanwhile) = @_;
	my $seen = traffic($g, 40, $names, $meanwhile);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	push @sums, sprintf '%-45s %s', $what, join ', ', map { "$seen->{$_} x $_" } sort keys %$seen;
	is(join(' ', grep { !/^(?:00000|40001|40003|55P03|SD003)$/ } sort keys %$seen), '', "$what: no change fails") || diag(explain($seen));
	cmp_ok($seen->{'00000'}, '>=', 0.8 * 40 * @$names, "$what: nearly all succeed");
	return ok(follow(), "$what: all are equal");
}

# All have applied the log, and the same; digests of libraries that are not of one version have nothing to say to each other.
my %is_new;
sub follow
{
	my %group;

	push @{ $group{ $is_new{$_} // 0 } }, $_ foreach $g->names;
	return !(grep { !$g->converged(@$_) } values %group)
	  && await(sub { my %log = map { s/ \w+\z//r => 1 } $g->positions; return keys %log == 1 });
}

sub others { my ($name) = @_; return [ grep { $_ ne $name } $g->names ]; }

sub healthy
{
	my ($name) = @_;

	return $g->wait_until($name, 'SELECT state FROM schemadrift.status', 'healthy');
}

is($g->sql($_, "SELECT extversion FROM pg_extension WHERE extname = 'schemadrift'"), '0.1', "$_ is old") foreach $g->names;
change_everywhere('all are old');
busy('all are old', [ $g->names ], sub { });

# --- the first region: a new library, first with the old objects

sub new_library
{
	my ($name, $how) = @_;

	$how eq 'kill' ? $g->region($name)->kill9 : $g->region($name)->stop;
	$g->region($name)->use_bindir(undef);
	$g->region($name)->start;
	$is_new{$name} = 1;
	return ok(healthy($name), "$name has the new library");
}

busy("new library in $us", others($us), sub { new_library($us, 'stop') });
change_everywhere("two old libraries");
like($g->sql($us, 'SELECT reason FROM schemadrift.status'), qr/SQL objects in this database of 0\.1/, 'status tells');
busy("new objects in $us", [ $g->names ], sub { works($us, 'ALTER EXTENSION schemadrift UPDATE', "$us is updated") });
change_everywhere("$us is new, two are old");
is($g->sql($us, "SELECT string_agg(region || ' ' || protocol, ', ' ORDER BY region) FROM schemadrift.regions"), "$ap 1, $eu 1, $us 2",
	'it sees who is old');
is($g->sql($us, 'SELECT count(*) FROM schemadrift.lease'), '0', 'a lease needs a majority that knows leases');
says($g->try($us, "SELECT schemadrift.step_down()"), '0A000', qr/Region $ap: speaks protocol 1\.\nRegion $eu: speaks protocol 1\./,
	'what old ones do not know waits');

# a new and an old one are a quorum, whoever proposes
foreach my $away ($ap, $us)
{
	$g->isolate($away);
	ok($g->wait_until($eu, "SELECT state FROM schemadrift.regions WHERE region = '$away'", 'unreachable'), "$eu misses $away");
	works($_, 'CREATE TABLE ' . substr($_, 0, 2) . "_without_" . substr($away, 0, 2) . ' ()', "without $away, $_ changes the schema") foreach @{ others($away) };
	$g->heal_all;
	ok($g->reached, 'all see each other');
	ok(follow(), 'all are equal');
}

# --- the second: killed, at that

busy("new library in $ap", others($ap), sub { new_library($ap, 'kill') });
change_everywhere('the second has a new library');
my $update = $g->session($ap);
$update->query('BEGIN; ALTER EXTENSION schemadrift UPDATE;');
busy("$ap dies in its update", others($ap), sub { $g->region($ap)->kill9; $g->region($ap)->start; healthy($ap) });
$update->quit;
is($g->sql($ap, "SELECT extversion FROM pg_extension WHERE extname = 'schemadrift'"), '0.1', 'it is as it was');
# what an old one lets pass and a new one would refuse is carried out, and can be taken back
my $copies = q{COPY from_file FROM '/dev/null'};
works($eu, "SELECT schemadrift.apply('copies', \$\$CREATE TABLE from_file (id int); $copies\$\$, \$\$$copies; DROP TABLE from_file\$\$)", 'an old one copies a file');
ok(follow(), '... and all follow');
works($us, q{SELECT schemadrift.revert('copies')}, 'a new one takes it back');
ok(follow(), '... and all follow');
says($g->try($us, "SELECT schemadrift.apply('copies_too', \$\$CREATE TABLE from_file (id int); $copies\$\$)"), 'SD004', qr/COPY FROM a file/, 'it copies none itself');
$g->isolate($ap);
ok($g->wait_until($ap, 'SELECT state FROM schemadrift.status', 'no_quorum'), "$ap is alone");
works($ap, 'ALTER EXTENSION schemadrift UPDATE', 'an update needs nobody');
$g->heal_all;
ok($g->reached, 'all see each other');
change_everywhere('two are new, one is old');
ok($g->wait_until($us, "SELECT protocol FROM schemadrift.regions WHERE region = '$ap'", 2), "$us knows");
busy('two are new, one is old', [ $g->names ], sub { });
foreach my $name ($g->names)
{
	my $start = time();

	works($name, 'CREATE TABLE lead_' . substr($name, 0, 2) . ' ()', "$name changes the schema");
	cmp_ok(time() - $start, '<', $in_time, '... and waits for nobody');
	is($g->sql($us, 'SELECT count(*) FROM schemadrift.lease'), 0, '... and nobody leads');
}

# --- an entry that the old library does not know: its applier halts, its vote goes on

SKIP:
{
	skip 'only the test build can claim more than it knows', 13 if !testing_build($g);
	$g->region($eu)->stop;
	$g->region($eu)->use_bindir(undef);
	$g->region($eu)->start;
	$g->sql($eu, 'ALTER DATABASE postgres SET schemadrift.testing_protocol = 2');
	$g->region($eu)->restart;
	ok($g->wait_until($us, "SELECT protocol FROM schemadrift.regions WHERE region = '$eu'", 2), "$eu claims to be new");
	works($us, qq[SELECT schemadrift.set_policy('{"require_down": false}')], 'so a newer entry is made');
	ok(follow(), 'all are equal');
	$g->sql($eu, 'ALTER DATABASE postgres RESET schemadrift.testing_protocol');
	$g->region($eu)->stop;
	$g->region($eu)->use_bindir($bindir);
	$g->region($eu)->start;
	ok($g->reached, 'all see each other');
	works($us, qq[SELECT schemadrift.set_policy('{"leadership": "work"}')], 'once there is one, there may be another');
	ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'halted'), 'the old library halts there');
	like($g->sql($eu, 'SELECT reason FROM schemadrift.status'), qr/protocol 2, is newer than this region's schemadrift/, '... and says why');
	$g->isolate($ap);
	ok($g->wait_until($us, "SELECT state FROM schemadrift.regions WHERE region = '$ap'", 'unreachable'), "$us misses $ap");
	works($us, 'CREATE TABLE voted (a int)', 'its vote is needed, and given');
	$g->heal_all;
	ok($g->reached, 'all see each other');
	is($g->sql($eu, 'SELECT max(version) FROM schemadrift_store.log'), head($g, $us), 'it learns');
	is($g->sql($eu, "SELECT count(*) FROM pg_class WHERE relname = 'voted'"), '0', 'it does not apply');
}

# --- the last

# its applier stands at the newer entry until its SQL objects are new, too
$g->region($eu)->stop;
$g->region($eu)->use_bindir(undef);
$g->region($eu)->start;
ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', testing_build($g) ? 'halted' : 'healthy'), "$eu has the new library");
busy("new objects in $eu", others($eu), sub { works($eu, 'ALTER EXTENSION schemadrift UPDATE', "$eu is updated") });
change_everywhere('all are new');
busy('all are new', [ $g->names ], sub { });
ok($g->wait_until($_, 'SELECT count(*) FROM schemadrift.regions WHERE protocol = 2', 3), "$_ knows") foreach $g->names;
ok($g->wait_until($_, 'SELECT state || coalesce(reason, $$$$) FROM schemadrift.status', 'healthy'), "$_ is healthy") foreach $g->names;
works($eu, 'SELECT schemadrift.step_down()', 'what waited goes now');
works($eu, 'SELECT schemadrift.step_up()', '... and back');
works($us, "SELECT schemadrift.transfer_lease('$eu')", 'all can lead');
ok(follow(), 'all are equal');
log_is_sound($g, $since);
diag("what became of changes:\n", map { "$_\n" } @sums);
done_testing;
