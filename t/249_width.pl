# What psql shows of the views fits a terminal: the queries of docs/monitoring/README.md, in a group that is well and in one that is not; and
# no view shows more digits than anybody reads.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

use SchemaDrift::Scenario;

my ($us, $eu, $ap) = qw(us-east eu-west ap-south);
my $g = made_group([ $us, $eu, $ap ], conf => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.behind_limit = 1s
schemadrift.retry_max_interval = 1s
CONF
my @views = qw(status regions version_vectors migrations migration_status tasks drift alerts decisions metrics lease policy);

sub shown
{
	my ($where, $sql) = @_;
	my ($out, $err);

	$g->region($where)->psql('postgres', $sql, stdout => \$out, stderr => \$err, extra_params => [ '-P', 'tuples_only=off', '-P', 'format=aligned', '-P', 'footer=off' ]);
	return $out;
}

sub width
{
	my ($out) = @_;
	my $widest = 0;

	foreach (split /\n/, $out) { s/\s+$//; $widest = length if length > $widest; }
	return $widest;
}

my ($block) = slurp_file('docs/monitoring/README.md') =~ /^```\n((?:SELECT [^\n]+\n)+)```$/m;
my @narrow = split /\n/, $block;
is(scalar @narrow, 9, 'docs/monitoring/README.md has narrow queries');

sub fits
{
	my ($what) = @_;

	foreach my $where ($us, $ap)
	{
		my %all = map { $_ => shown($where, "SELECT * FROM schemadrift.$_") } @views;

		note("$what, $where: " . join(', ', map { "$_ " . width($all{$_}) } @views));
		# values of metrics are for machines; and a lease's name, which ends in a hexadecimal number after a point, is no number
		is(join(' ', map { $all{$_} =~ /(?<![\w.])(-?\d+\.\d{4,})(?!\w)/ ? "$_: $1" : () } grep { $_ ne 'metrics' } @views), '', "$what, $where: no view shows more than three decimals");
		foreach my $i (0 .. $#narrow)
		{
			my $out = shown($where, $narrow[$i]);

			cmp_ok(width($out), '<=', $i < 3 ? 100 : 130, "$what, $where: $narrow[$i]") or diag($out);
		}
		next if $what ne 'healthy';
		cmp_ok(width($all{$_}), '<=', 100, "$what, $where: all of $_") foreach qw(status version_vectors tasks lease);
	}
	return;
}

$g->sql($us, 'CREATE TABLE orders (id bigint PRIMARY KEY, state text)');
$g->sql($us, q{SELECT schemadrift.apply('2026-11-22-add-customers-reference', 'CREATE TABLE customers (id bigint)', 'DROP TABLE customers')});
ok($g->converged, 'all is well');
fits('healthy');
# who is void stays so: else that may be over before it is seen
$g->sql($us, q{SELECT schemadrift.set_policy('{"auto_rejoin": false}')});
ok($g->converged, 'a policy');
$g->sql($eu, "SET schemadrift.bypass_reason = 'a fire'; SET schemadrift.ddl_mode = off; ALTER TABLE orders ADD hotfix text; CREATE TABLE hotfix (a int)");
ok($g->wait_until($us, "SELECT count(*) FROM schemadrift.drift WHERE region = '$eu'", 2), 'drift');
$g->sql($ap, "SET schemadrift.bypass_reason = 'a fire'; SET schemadrift.ddl_mode = off; CREATE TABLE stands_in_the_way (a int)");
$g->sql($us, 'CREATE TABLE stands_in_the_way (a int, b int)');
ok(wait_for_state($g, $ap, 'halted'), 'halted');
fits('halted');
$g->isolate($eu);
ok($g->wait_until($us, "SELECT state FROM schemadrift.regions WHERE region = '$eu'", 'unreachable'), 'cut');
fits('cut');
$g->rejoin($eu);
$g->sql($ap, 'SELECT schemadrift.void_identity()');
ok(wait_for_state($g, $ap, 'void'), 'void');
fits('void');
done_testing();
