# Online entries while regions crash, are cut off, and come back: three servers.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use SchemaDrift::Scenario;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(us eu ap)], conf => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 1s
CONF
$g->make_group(mode => 'coordinate', before => 'CREATE TABLE t (a int, b int); INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i;
	CREATE TABLE u (a int)');

sub index_is
{
	my ($index, $expected, $what) = @_;
	is_deeply([ map { $g->sql($_, "SELECT coalesce((SELECT CASE WHEN indisvalid THEN 'valid' ELSE 'invalid' END FROM pg_index
		WHERE indexrelid = to_regclass('$index')), 'none')") } $g->names ], [ ($expected) x 3 ], $what);
}

my $states = "SELECT string_agg(region || ' ' || state, ', ' ORDER BY region) FROM schemadrift.tasks";

# ---- a server dies half-way through its build ----

my $old = $g->session('eu');
$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
my $builder = $g->session('us');
$builder->send('CREATE INDEX CONCURRENTLY t_a ON t (a);');
ok($g->wait_until('us', $states, 'ap done, eu open, us done'), 'two regions have built, one waits');
ok($g->wait_until('eu', "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('t_a')", 'f'), 'and has half an index');
$g->region('eu')->kill9;
$g->region('eu')->start;
ok($builder->result->{ok}, 'started again it begins anew, and the build ends');
ok($g->converged, 'all regions are equal');
index_is('t_a', 'valid', 'the index is valid everywhere');
is($g->sql('eu', 'SELECT count(*) FROM pg_index WHERE NOT indisvalid'), 0, 'nothing invalid is left');

# ---- a region that is cut off does it later ----

$g->isolate('ap');
ok($g->wait_until('us', "SELECT state FROM schemadrift.regions WHERE region = 'ap'", 'unreachable'), 'a region is away');
my $r = $g->try('us', 'CREATE INDEX CONCURRENTLY t_b ON t (b)');
ok($r->{ok}, 'a build without it returns') or diag $r->{err};
like($r->{err}, qr/WARNING.*not everywhere yet.*ap: not heard of lately/s, 'with a warning that names it');
is($g->try('eu', 'ALTER TABLE t ADD c int')->{sqlstate}, '55006', 'the table is still being worked on');
ok($g->try('eu', 'ALTER TABLE u ADD c int')->{ok}, 'another one is not');
$g->rejoin('ap');
ok($g->wait_until('us', 'SELECT count(*) FROM schemadrift.tasks', 0), 'back again it does it, and the version is finished');
ok($g->converged, 'all regions are equal');
index_is('t_b', 'valid', 'the index is valid everywhere');
ok($g->try('eu', 'ALTER TABLE t ADD c int')->{ok}, 'and the table can be changed');

# ---- the origin goes away: another one finishes it ----

$old = $g->session('eu');
$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
$builder->send('CREATE UNIQUE INDEX CONCURRENTLY t_u ON t (b);');
ok($g->wait_until('ap', $states, 'ap done, eu open, us done'), 'a build that waits');
$g->region('us')->kill9;
$old->query('COMMIT;');
# nothing is shown once its result is there
ok($g->wait_until('ap', $states, qr/^(?:ap done, eu done, us done)?$/), 'done everywhere');
ok($g->wait_until('ap', "SELECT state FROM schemadrift.migrations WHERE kind = 'online' ORDER BY version DESC LIMIT 1", 'applied'),
	'its result is proposed without its origin');
isnt($g->sql('ap', "SELECT origin FROM schemadrift.migrations WHERE kind = 'result' ORDER BY version DESC LIMIT 1"), 'us', 'by another region');
$g->region('us')->start;
ok($g->converged, 'all regions are equal');
index_is('t_u', 'valid', 'the index is valid everywhere');

# ---- a failure in a region, while another one is away: that one cleans up, or never begins ----

$g->sql('eu', 'UPDATE t SET c = 1 WHERE a <= 2');
$g->isolate('ap');
ok($g->wait_until('us', "SELECT state FROM schemadrift.regions WHERE region = 'ap'", 'unreachable'), 'a region is away');
$r = $g->try('us', 'CREATE UNIQUE INDEX CONCURRENTLY t_c ON t (c)');
is($r->{sqlstate}, '23505', 'another one has duplicates');
like($r->{err}, qr/Region "eu"/, 'and is named');
$g->rejoin('ap');
ok($g->converged, 'all regions are equal');
index_is('t_c', 'none', 'it is nowhere');
is($g->sql('ap', "SELECT state FROM schemadrift.migration_status WHERE region = 'ap' AND version = (SELECT max(version)
	FROM schemadrift.migrations WHERE kind = 'online')"), 'failed', 'and shown as failed');

done_testing;
