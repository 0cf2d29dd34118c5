# Every kind of object, changed behind the gate in one region, is seen in another one: exactly that object, and that property.
# t/digest/properties.tsv has the changes; docs/fingerprint.md what is covered.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use Test::More;

use SchemaDrift::Kinds;
use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(databases => 1, regions => 2, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
max_worker_processes = 30
max_locks_per_transaction = 1000
CONF
my ($us, $eu) = $g->names;
my $server = $g->region($us);
my ($major) = $server->sql('SHOW server_version_num', dbname => 'postgres') =~ /^(..)/;

# roles belong to the server that both regions are on; and whoever is not allowed to switch the gate off cannot go behind it
my @rows = grep { "$_->{setup}; $_->{change}" !~ /\b(?:CREATE|ALTER|DROP|SET LOCAL) ROLE\b/ } SchemaDrift::Kinds::rows($major);

# Long texts, in a file each; every statement by itself.
sub script
{
	my ($where, $what, $sql) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$what.sql";
	my ($out, $err);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	append_to_file($file, $sql);
	$server->psql($where, "\\i $file", stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=terse' ]);
	return is(join("\n", grep { /ERROR/ } split /\n/, $err), '', "$what: without an error");
}

$server->sql(SchemaDrift::Kinds::roles(), dbname => 'postgres');
script($_, "setup_$_", SchemaDrift::Kinds::setup(@rows)) foreach $us, $eu;
$g->make_group(mode => 'coordinate');
is($g->sql($us, "SELECT count(*) FROM schemadrift.diff('$eu')"), 0, 'two regions with ' . $g->sql($us, 'SELECT count(*) FROM schemadrift_store.object') . ' objects of all kinds');

script($eu, 'changes', "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test';\n" . join '', map { "BEGIN; $_->{change}; COMMIT;\n" } @rows);
ok($g->wait_until($eu, 'SELECT count(*) FROM schemadrift.drift', scalar(@rows)), scalar(@rows) . ' changes behind the gate are known where they were made')
  or diag($g->sql($eu, 'SELECT count(*) FROM schemadrift.drift'));
ok($g->wait_until($us, "SELECT count(*) FROM schemadrift.drift WHERE region = '$eu' AND property IS DISTINCT FROM '(not known yet)'", scalar(@rows)), '... and in the other region, with their properties')
  or diag($g->sql($us, 'SELECT property, count(*) FROM schemadrift.drift GROUP BY 1 ORDER BY 2 DESC LIMIT 3'));

my %seen;
foreach my $row (split /\n/, $g->sql($us, q{SELECT object_type || ' ' || identity || '|' || difference || '|' || coalesce(property, '') FROM schemadrift.drift}))
{
	my ($object, $difference, $property) = split /\|/, $row, 3;

	$seen{$object} = $difference eq 'extra' ? '+' : $difference eq 'missing' ? '-' : $property;
}
my $wrong = '';
foreach my $row (@rows)
{
	my $properties = delete($seen{"$row->{kind} $row->{identity}"}) // 'nothing';

	# a row of the view names three
	$wrong .= "$row->{change}\n\tis seen as $properties of $row->{kind} $row->{identity}, not as $row->{property}\n"
	  unless $properties =~ / and [0-9]+ more$/ || grep { $_ eq $row->{property} } split /, /, $properties;
}
is($wrong, '', 'each is seen as what it is');
is(join(', ', sort keys %seen), '', 'and nothing else');

done_testing();
