# A region whose answers are nonsense, lies, or from an older release: what compares, verifies, repairs and copies there says so, ends, and
# believes nothing that has not the digest it should have.  The calls of one region are replaced by others of the same name.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Alerts;
use SchemaDrift::Group;
use SchemaDrift::Scenario;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(r1 r2)], databases => 1, conf => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.verify_interval = 0
max_worker_processes = 30
CONF
$g->sql($_, 'CREATE TABLE t (a int); CREATE TABLE u (a int)') foreach $g->names;
$g->make_group(mode => 'coordinate');
my $server = $g->region('r1');
my $off = q{SET schemadrift.bypass_reason = 'test'; SET schemadrift.ddl_mode = off;};
my $pid = $g->sql('r1', 'SELECT pg_postmaster_start_time()');

my %call = (
	buckets        => [ 'integer', 'version bigint, sums bytea' ],
	bucket_objects => [ 'integer, integer[]', 'kind text, identity text, hash bytea' ],
	definitions    => [ 'integer, text[], text[], boolean', 'kind text, identity text, hash bytea, definition text' ],
	drift          => [ 'integer, uuid, integer, text, text, integer, bigint', 'tag bigint, kind text, identity text, expected bytea, actual bytea,
		expected_definition text, actual_definition text, since timestamptz, change bigint, found text, acknowledged text, author text' ],
	verify         => [ 'integer, uuid, integer, text, text, integer, bigint', 'tag bigint, kind text, identity text, expected bytea, actual bytea,
		expected_definition text, actual_definition text, since timestamptz, change bigint, found text, acknowledged text, author text' ],
	repair         => [ 'integer, text[], text[], text[], text[]', 'kind text, identity text, phase integer, step_order integer, statement text, note text' ]);

# a vote, as protocols 1 and 2 have it
my $vote = 'answer text, incarnation integer, vote_seq bigint, at_version bigint, ballot_round bigint, ballot_region text, ballot_nonce bigint,
	reason text, entry_chain bytea, body bytea, left_ms integer';
$call{prepare} = [ 'integer, uuid, integer, text, text, integer, bigint, bigint, bigint, bigint, bytea, integer, bigint, text, bigint', $vote ];

my %hidden;

# Instead of the call: a query, with columns of its own if it has any.
sub answers
{
	my ($name, $query, $columns) = @_;
	my ($arguments, $own) = @{ $call{$name} };

	$columns //= $own;
	$g->sql('r2', "$off ALTER FUNCTION schemadrift_rpc.$name($arguments) RENAME TO true_$name") if !$hidden{$name}++;
	$g->sql('r2', "$off SET client_min_messages = error; DROP FUNCTION IF EXISTS schemadrift_rpc.$name($arguments)");
	return if !defined $query;
	$g->sql('r2', "$off CREATE FUNCTION schemadrift_rpc.$name($arguments) RETURNS TABLE ($columns) LANGUAGE sql VOLATILE AS \$call\$ $query \$call\$;
		GRANT EXECUTE ON FUNCTION schemadrift_rpc.$name($arguments) TO schemadrift_peer");
	return;
}

sub truth
{
	my ($name) = @_;
	my ($arguments) = @{ $call{$name} };

	delete $hidden{$name};
	$g->sql('r2', "$off SET client_min_messages = error; DROP FUNCTION IF EXISTS schemadrift_rpc.$name($arguments);
		ALTER FUNCTION schemadrift_rpc.true_$name($arguments) RENAME TO $name");
	return;
}

# Refused with a clean error, which names the region.
sub said
{
	my ($what, $sql, $codes) = @_;
	my $r = $g->try('r1', "SET statement_timeout = '60s'; $sql");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($r->{sqlstate}, qr/^(?:$codes)$/, $what) or diag("$r->{out}$r->{err}");
	return like("$r->{err}", qr/r2/, '... and says which region');
}

# ---- diff() ----

my $diff = q{SELECT * FROM schemadrift.diff('r2')};
my $wrong = '08P01|XX001|22P02|22023';
foreach my $answer (
	[ 'no sums', q{SELECT 1::bigint, ''::bytea} ],
	[ 'one sum too few', q{SELECT 1::bigint, decode(repeat('00', 255 * 32), 'hex')} ],
	[ 'a null', q{SELECT NULL::bigint, NULL::bytea} ],
	[ 'nothing', q{SELECT 1::bigint, ''::bytea WHERE false} ],
	[ 'other types', q{SELECT 'x', 1}, 'version text, sums integer' ],
	[ 'fewer columns', q{SELECT 1::bigint}, 'version bigint' ],
	[ 'sums of 50 MB', q{SELECT 1::bigint, decode(repeat('00', 50000000), 'hex')} ])
{
	answers('buckets', $answer->[1], $answer->[2]);
	said("buckets: $answer->[0]", $diff, "$wrong|42703");
}
answers('buckets', undef);
said('buckets: an older release has none', $diff, '42883|0A000|08P01');
truth('buckets');
is($g->sql('r1', "SELECT count(*) FROM ($diff) d"), 0, 'the truth again');

$g->sql('r2', "$off ALTER TABLE t ADD COLUMN b int");
foreach my $answer (
	[ 'nulls', q{SELECT NULL::text, NULL::text, NULL::bytea} ],
	[ 'short digests', q{SELECT 'table', 'public.t', '\x00'::bytea} ],
	[ 'objects of other buckets', q{SELECT 'table', 'public.' || n, sha256('x') FROM generate_series(1, 1000) n} ],
	[ 'one object a hundred thousand times', q{SELECT 'table', 'public.t', sha256('x') FROM generate_series(1, 100000)} ],
	[ 'other types', q{SELECT 1, 2, 3}, 'kind integer, identity integer, hash integer' ])
{
	answers('bucket_objects', $answer->[1], $answer->[2]);
	my $r = $g->try('r1', "SET statement_timeout = '60s'; $diff");
	like($r->{sqlstate} // '', qr/^(?:00000|$wrong|55006)?$/, "bucket_objects: $answer->[0]: a clean end") or diag($r->{err});
}
truth('bucket_objects');
foreach my $answer (
	[ 'a lie', q{SELECT 'table', 'public.t', sha256('x'), 'column: z integer'} ],
	[ 'nulls', q{SELECT NULL::text, NULL::text, NULL::bytea, NULL::text} ],
	[ 'what nobody asked for', q{SELECT 'table', 'public.zzz', sha256('x'), 'x'} ],
	[ '20 MB', q{SELECT 'table', 'public.t', sha256(convert_to(repeat('x', 20000000), 'UTF8')), repeat('x', 20000000)} ],
	[ 'other types', q{SELECT 1, 2, 3, 4}, 'kind integer, identity integer, hash integer, definition integer' ])
{
	answers('definitions', $answer->[1], $answer->[2]);
	my $r = $g->try('r1', "SET statement_timeout = '60s'; $diff");
	like($r->{sqlstate} // '', qr/^(?:00000|$wrong)?$/, "definitions: $answer->[0]: a clean end") or diag($r->{err});
	unlike($r->{out} // '', qr/column z/, '... and nothing of it is believed') if $answer->[0] eq 'a lie';
}
truth('definitions');

# ---- verify() there, and the copies of its drift ----

foreach my $answer (
	[ 'nulls', 'SELECT 1::bigint, NULL::text, NULL::text, NULL::bytea, NULL::bytea, NULL::text, NULL::text, NULL::timestamptz, NULL::bigint, NULL::text, NULL::text, NULL::text' ],
	[ 'short digests', q{SELECT 1::bigint, 'table', 'public.t', '\x00'::bytea, '\x01'::bytea, NULL::text, NULL::text, now(), 1::bigint, 'bypass', NULL::text, NULL::text} ],
	[ 'other columns', 'SELECT 1', 'one integer' ])
{
	answers($_, $answer->[1], $answer->[2]) foreach qw(verify drift);
	said("verify: $answer->[0]", q{SELECT * FROM schemadrift.verify('r2')}, $wrong);
}
my $copies = q{SELECT coalesce(string_agg(identity, ' '), '') FROM schemadrift_store.drift WHERE region = 'r2'};
answers('drift', q{SELECT 1::bigint, 'table', 'public.u', sha256('x'), sha256('y'), 'not x', 'not y', now(), 1::bigint, 'bypass', NULL::text, NULL::text});
$g->sql('r2', "$off ALTER TABLE t ADD COLUMN c int");
ok($server->wait_log(qr/what region "r2" says of its drift could not be copied/), 'a copy whose definitions have other digests is not taken');
unlike($g->sql('r1', $copies), qr/public\.u/, '... nothing of it');
fires($g, 'r1', 'drift_stale', 'r2', 'cannot be copied');
truth($_) foreach qw(verify drift);
$g->sql('r2', "$off ALTER TABLE u ADD COLUMN c int");
ok($g->wait_until('r1', $copies . q{ AND identity = 'public.u'}, 'public.u'), 'the truth is copied again');
gone($g, 'r1', 'drift_stale', 'r2');

# ---- repair_plan() ----

answers('definitions', 'SELECT NULL::text, NULL::text, NULL::bytea, NULL::text WHERE false');
$g->sql('r1', "$off ALTER TABLE u ADD COLUMN own int");
foreach my $answer (
	[ 'nulls', 'SELECT NULL::text, NULL::text, NULL::integer, NULL::integer, NULL::text, NULL::text' ],
	[ 'a phase that there is not', q{SELECT 'table', 'public.u', 99, 1, 'DROP DATABASE postgres', NULL::text} ],
	[ 'what nobody asked for', q{SELECT 'table', 'public.zzz', 3, 1, 'DROP TABLE zzz', NULL::text} ],
	[ 'other types', q{SELECT 'table', 'public.u', 'x', 'y', 1, 2}, 'kind text, identity text, phase text, step_order text, statement integer, note integer' ],
	[ 'fewer columns', 'SELECT 1', 'one integer' ])
{
	answers('repair', $answer->[1], $answer->[2]);
	my $r = $g->try('r1', q{SET statement_timeout = '60s'; SELECT statement, note FROM schemadrift.repair_plan('r1') WHERE object_type <> 'session'});
	like($r->{sqlstate} // '', qr/^(?:00000|$wrong|42703)?$/, "repair: $answer->[0]: a clean end") or diag($r->{err});
	is(join(' ', grep { /DROP/ && !/says region r2/ } split /\n/, $r->{out} // ''), '', '... and of each statement, who says so');
}
truth($_) foreach qw(repair definitions);

# ---- a ballot of a round that nobody comes to: it would be everybody's from then on ----

$g->wait_until('r1', 'SELECT count(*) FROM schemadrift.lease', 0);
my $known = $g->sql('r2', q{SELECT concat_ws(', ', incarnation, vote_seq || '::bigint') FROM schemadrift_store.self});
foreach my $round (9223372036854775807, 9223372036854775805, 2**40)
{
	answers('prepare', "SELECT 'refused', $known, 0::bigint, ${round}::bigint, 'r2', 1::bigint, NULL::text, NULL::bytea, NULL::bytea, NULL::integer");
	my $r = $g->try('r1', 'CREATE TABLE refused (a int)');
	is($r->{sqlstate}, 'SD001', "refused for round $round: no quorum");
	like($r->{err}, qr/Region r2: answered with a ballot that cannot be/, '... and why');
}
truth('prepare');
ok(can_change($g, 'r1'), 'told the truth, r1 changes the schema');
ok($g->wait_until('r2', 'SELECT version FROM schemadrift_store.applied', head($g, 'r1')), '... for all');
is($g->sql($_, 'SELECT round < 1000000 FROM schemadrift_store.acceptor'), 't', "... and $_ has promised nothing absurd") foreach qw(r1 r2);

is($g->sql('r1', 'SELECT pg_postmaster_start_time()'), $pid, 'no process has crashed');
done_testing();
