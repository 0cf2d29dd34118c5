# A region whose server was rolled back, copied or upgraded.  Some of it shows in the server itself, some only in what the
# other regions remember; in each case it does not vote before it is a new incarnation.
use strict;
use warnings FATAL => 'all';

use Cwd ();
use PostgreSQL::Test::Utils 'slurp_file';
use Test::More;
use Time::HiRes 'sleep';

use SchemaDrift::Scenario;

my $g = made_group(3, streaming => 'physical', before => 'CREATE TABLE t (id int PRIMARY KEY)', conf => <<'CONF');
max_connections = 60
shared_buffers = 16MB
max_prepared_transactions = 5
archive_mode = on
archive_command = 'cp %p ../archives/%f'
CONF
my ($us, $ap, $eu) = $g->names;
my $region = $g->region($eu);
my $incarnation = 1;

sub status
{
	my ($name, $column) = @_;

	return $g->sql($name, "SELECT $column FROM schemadrift.status");
}

# It was found out, and comes back with the next incarnation and with all that the others have.
sub comes_back
{
	my ($what, $cause) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$incarnation++;
	ok($g->wait_until($eu, 'SELECT incarnation || state FROM schemadrift_store.self', "${incarnation}voter"), "$what: votes again")
	  or diag(status($eu, 'state, reason, remedy'));
	ok($g->wait_until($us, "SELECT incarnation || state FROM schemadrift.regions WHERE region = '$eu'", "${incarnation}healthy"),
		"... as incarnation $incarnation");
	like(slurp_file($region->logfile), qr/its identity is void: .*$cause/, '... and it said why it had not') if defined $cause;
	ok(can_change($g, $eu), '... it changes the schema') ;
	ok($g->converged, '... of all');
	return;
}

# --- restored with recovery: a new timeline
$region->backup('first');
my $entry = begun($g, $us, sub { $g->sql($us, 'CREATE TABLE after_first (a int)') });
$g->converged;
$region->stop;
$region->restore('first', recovery => "restore_command = 'false'");
$region->start;
comes_back('a base backup restored with recovery', qr/promoted or restored/);
is(settles($g, $entry), 'applied', 'what it had voted for and forgotten is a success still');

# --- to a point in time
$g->sql($eu, q{SELECT pg_create_restore_point('then')});
$region->backup('second');
$g->sql($eu, q{SELECT pg_create_restore_point('later')});
ok(can_change($g, $us, 'CREATE TABLE after_then (a int)'), 'a change after the point');
$g->converged;
$g->sql($eu, 'SELECT pg_switch_wal()');
ok($g->wait_until($eu, 'SELECT last_archived_wal IS NOT NULL AND NOT EXISTS (SELECT FROM pg_ls_archive_statusdir()
	WHERE name LIKE \'%.ready\') FROM pg_stat_archiver', 't'), 'archived');
$region->stop;
$region->restore('second', recovery => "restore_command = 'cp ../archives/%f %p'\nrecovery_target_name = 'later'\nrecovery_target_action = promote");
$region->start;
$region->wait_until('SELECT pg_is_in_recovery()', 'f');
comes_back('a point in time', qr/promoted or restored/);

# --- without recovery: the same timeline; the others remember
$region->backup('third');
$g->sql($us, "CREATE TABLE after_third_$_ (a int)") foreach 1 .. 3;
$g->converged;
$region->stop;
$region->restore('third');
$region->start;
comes_back('a data directory put back, on the same timeline', qr/region "(?:$us|$ap)" remembers vote \d+ of this region, which knows of \d+ only/);

# --- the same, told by a call for a vote before an exchange did; of an earlier life nothing is concluded
sub prepare
{
	my ($version, $known) = @_;

	return $g->sql($eu, "SELECT answer || coalesce(': ' || reason, '') FROM schemadrift_rpc.prepare(2,
		(SELECT group_id FROM schemadrift_store.self), 1, '$eu', '$us', 1, $known, 1, 1, $version,
		(SELECT chain FROM schemadrift_store.log WHERE version = $version - 1)) LIMIT 1");
}
my $since = $g->sql($eu, 'SELECT since FROM schemadrift_store.life');
is(prepare($since, 1000), 'chosen', 'who is behind our incarnation means an earlier one');
is($g->sql($eu, 'SELECT state FROM schemadrift_store.self'), 'voter', '... and that says nothing');
is(prepare(1 + head($g, $eu), 0), 'refused', 'a call for a vote by one that remembers no more than we do is answered');
like(prepare(1 + head($g, $eu), 1000), qr/^no_vote: region "$us" remembers vote 1000/, 'by one that remembers more, it gets no vote');
comes_back('rolled back, it was told', qr/remembers vote 1000/);

# --- a token file: a copy without it is found out at once, by nobody's memory
my $token = $region->basedir . '/token';
open my $fh, '>', $token or die $!;
print $fh "this is $eu\n";
close $fh;
like($g->try($eu, "ALTER SYSTEM SET schemadrift.token_file = '" . $region->data_dir . "/token'")->{err},
	qr/outside the data directory|absolute path/, 'a token in the data directory would prove nothing');
$g->sql($eu, "ALTER SYSTEM SET schemadrift.token_file = '" . Cwd::abs_path($token) . "'");
$g->sql($eu, 'SELECT pg_reload_conf()');
ok($g->wait_until($eu, 'SELECT token IS NOT NULL FROM schemadrift_store.life', 't'), 'the token is kept with the identity');
$g->sql($us, q{SELECT schemadrift.set_policy('{"auto_rejoin": false}')});
$g->converged;
$region->stop;
rename $token, "$token.away" or die $!;
$region->start;
ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'void'), 'without its token it is void');
like(status($eu, 'reason'), qr/token_file names cannot be read/, '... and says so');
refused($g->try($eu, 'CREATE TABLE no (a int)'), 'SD002', '... it changes nothing');
rename "$token.away", $token or die $!;
like(status($eu, 'reason'), qr/token_file names cannot be read/, '... and stays so when the file comes back');
like(status($eu, 'remedy'), qr/rejoin\(\)/, '... the way back is said');
is($g->sql($eu, 'SELECT schemadrift.rejoin()'), $incarnation + 1, '... and works');
comes_back('with its token', qr/token_file names cannot be read/);
$g->sql($us, q{SELECT schemadrift.set_policy('{"auto_rejoin": null}')});
$g->converged;

# --- declared by a person
$g->sql($eu, q{SELECT schemadrift.void_identity('restored from a snapshot')});
comes_back('void_identity()', qr/declared void by \S+: restored from a snapshot/);

# --- what a server sent before its end comes late, from several connections: that is no second server
my $signs = $g->sql($eu, 'SELECT incarnation || state FROM schemadrift_store.self');
foreach my $n (1 .. 8)
{
	my $at = $g->sql($us, qq{SELECT clock_timestamp() FROM (SELECT schemadrift_rpc.exchange(2, s.group_id, s.generation, s.region, '$eu', $incarnation,
		0, 4242, a.version, a.version, a.digest, 0, 0, 'healthy', 0, 0, NULL, 0, '') FROM schemadrift_store.self s, schemadrift_store.applied a) e});

	$g->wait_until($us, "SELECT last_heard > timestamptz '$at' + interval '300 ms' FROM schemadrift.regions WHERE region = '$eu'", 't');
}
is($g->sql($eu, 'SELECT incarnation || state FROM schemadrift_store.self'), $signs, 'late words of a former server void nobody');

# --- a copy that runs beside the original
SKIP:
{
	skip 'a copy needs the region\'s network', 12 if !$g->net->is_real;
	my $clone = $region->clone;

	$clone->start;
	ok($g->wait_until($eu, 'SELECT incarnation FROM schemadrift_store.self', $incarnation + 1),
		'two servers in one name: found out, and the one at the region\'s address goes on as a new incarnation')
	  or diag(status($eu, 'state, reason, remedy'), $clone->sql('SELECT state, reason, remedy FROM schemadrift.status'));
	comes_back('beside its copy');
	ok($clone->wait_until('SELECT state FROM schemadrift.status', 'void'), 'the copy is void');
	ok($clone->wait_until('SELECT remedy FROM schemadrift.status', qr/another server answers at the address/),
		'... and is told that it is one');
	refused($clone->try('CREATE TABLE no (a int)'), 'SD002', '... it changes nothing');
	ok($clone->wait_until("SELECT version = @{[ head($g, $us) ]} FROM schemadrift.status", 't'), '... and follows the log');
	ok($clone->try('SELECT schemadrift.leave()')->{ok}, '... leave() there ends it');
	$clone->stop;
	is($g->sql($us, "SELECT incarnation FROM schemadrift.regions WHERE region = '$eu'"), $incarnation, '... here, nothing changes');
}

# --- pg_upgrade: the same tables in a new server
{
	$region->stop;
	$region->pg_upgrade($region->bindir);
	$region->start;
	comes_back('pg_upgrade', qr/not the one that joined/);
}

# --- an old prepared transaction
$g->sql($eu, 'UPDATE schemadrift_store.life SET begun = now() + interval \'1 hour\'');
$g->sql($eu, "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'old'");
$region->restart;
ok($g->wait_until($eu, 'SELECT state || reason FROM schemadrift.status', qr/^degraded.*prepared transaction 'old' of role/s),
	'an old prepared transaction is named');
$g->sql($eu, "ROLLBACK PREPARED 'old'");
ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'healthy'), '... until it is gone');

# --- settings and tables that would lose a vote
$g->sql($eu, 'ALTER SYSTEM SET full_page_writes = off');
$g->sql($eu, 'SELECT pg_reload_conf()');
ok($g->wait_until($eu, 'SELECT state || reason FROM schemadrift.status', qr/^degraded.*does not vote: full_page_writes is off/s),
	'full_page_writes off: no vote');
refused($g->try($eu, 'CREATE TABLE no (a int)'), 'SD002', '... no change');
$g->sql($eu, 'ALTER SYSTEM SET schemadrift.atomic_page_writes = on');
$g->sql($eu, 'SELECT pg_reload_conf()');
ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'healthy'), '... unless the storage is said to do without it');

# --- a log that is not what it was
$g->sql($eu, q{UPDATE schemadrift_store.log SET body = 'x' WHERE version = 3});
$region->restart;
ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'void'), 'a damaged log');
like(status($eu, 'reason'), qr/damaged: version 3/, '... is found at start');
refused($g->try($eu, 'SELECT schemadrift.rejoin()'), '55000', '... and is nothing that a new incarnation would mend');
ok(can_change($g, $us), 'the others go on');

# --- the majority is lost for ever
ok(can_change($g, $us, 'CREATE TABLE before_the_end (a int)'), 'a last change');
$g->converged($us, $ap);
$g->region($_)->stop foreach $ap, $eu;
ok($g->wait_until($us, 'SELECT state FROM schemadrift.status', 'no_quorum'), 'one of three is left');
my $r = $g->try($us, 'SELECT schemadrift.force_new_group()');
refused($r, '22023', 'force_new_group() wants to hear that it is meant');
like($r->{detail}, qr/Region $ap is left out.*Region $eu is left out/s, '... says who is left out');
like($r->{hint}, qr/force_new_group\('$us'\)/, '... and what to type');
my $undecided = begun($g, $us, sub { $r = $g->try($us, 'CREATE TABLE undecided (a int)') });
refused($r, 'SD001', 'nothing can be decided');
ok($g->try($us, "SELECT schemadrift.force_new_group('$us')")->{ok}, 'it is forced');
ok($g->wait_until($us, 'SELECT state FROM schemadrift.status', 'healthy'), 'and the region goes on alone');
ok(can_change($g, $us, 'CREATE TABLE alone (a int)'), '... it changes the schema');
is($g->sql($us, 'SELECT generation FROM schemadrift_store.self'), 2, '... in generation 2');
$g->region($ap)->start;
ok($g->wait_until($ap, 'SELECT state FROM schemadrift.status', 'void'), 'one that comes back after all is void');
like(status($ap, 'reason'), qr/region "$us" goes on in generation 2 of the group, without this region/, '... and is told why');
ok($g->try($ap, 'SELECT schemadrift.leave()')->{ok}, '... it leaves');
$g->join($ap, $us);
ok($g->converged($us, $ap), '... joins, and is equal');
ok(can_change($g, $ap), '... and a voter');

done_testing();
