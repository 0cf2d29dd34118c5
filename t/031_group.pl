# Groups: made, compared, joined in every way, left, and mended, with the databases of one server as regions.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use Test::More;

use SchemaDrift::Group;

my $g = SchemaDrift::Group->new(regions => [qw(us eu ap sa af)], databases => 1,
	conf => "schemadrift.heartbeat_interval = 200ms\n");
my $server = $g->region('us');

sub fails
{
	my ($name, $sql, $state, $pattern, $what) = @_;
	my $r = $g->try($name, $sql);

	is($r->{sqlstate}, $state, "$what: SQLSTATE");
	like($r->{err}, $pattern, $what);
	return $r;
}

sub join_sql
{
	my ($name, $via, $options, $role) = @_;

	return sprintf q{SELECT schemadrift.join('%s', '%s', '%s', '%s', '%s')}, $g->conninfo($via), $name,
	  $g->conninfo($name), $role // 'voter', $options // '{}';
}

sub is_voter
{
	my ($where, $who) = @_;

	return $g->wait_until($where, "SELECT role FROM schemadrift.regions WHERE region = '$who'", 'voter');
}

# --- a group whose baseline has tables; compare, join with the same schema
my $schema = 'CREATE TABLE public.t (id int PRIMARY KEY, v text); CREATE VIEW public.w AS SELECT id FROM public.t';

$g->sql('us', $schema);
$g->sql('us', sprintf q{SELECT schemadrift.init('us', '%s')}, $g->conninfo('us'));
is($g->sql('us', q{SELECT value FROM schemadrift.policy WHERE key = 'mode'}), '"observe"',
	'a group begins by observing where there are tables');
$g->sql('eu', 'CREATE TABLE public.t (id int PRIMARY KEY, v varchar); CREATE TABLE public.x ()');
is($g->sql('eu', sprintf q{SELECT string_agg(concat_ws(' ', difference, object_type, identity), ', ' ORDER BY identity, object_type)
	FROM schemadrift.compare('%s') WHERE object_type IN ('table', 'view')}, $g->conninfo('us')),
	'changed table public.t, missing view public.w, extra table public.x', 'compare shows what differs');
fails('eu', join_sql('eu', 'us'), 'SD008', qr/not the group's at any version.*table public\.t: changed.*schemadrift\.compare/s,
	'a schema that differs does not join');
is($g->sql('us', 'SELECT max(version) FROM schemadrift_store.log'), 1, 'and nobody was asked to admit it');
is($g->sql('eu', 'SELECT count(*) FROM schemadrift_store.log'), 0, 'and nothing is left of the attempt');

$g->sql('eu', "DROP TABLE public.t, public.x; $schema");
is($g->sql('eu', sprintf q{SELECT count(*) FROM schemadrift.compare('%s')}, $g->conninfo('us')), 0, 'now they are equal');
my $joined = $g->try('eu', join_sql('eu', 'us'));
ok($joined->{ok}, 'an equal schema joins') or diag($joined->{err});
like($joined->{err}, qr/group of two voters/, 'two voters are warned of');
ok(is_voter($_, 'eu'), "eu is a voter in the eyes of $_") foreach qw(us eu);

# --- an empty database: the dump that the error gives, and what happens meanwhile
my $r = fails('ap', join_sql('ap', 'us', '{"schema": "empty"}'), '55000', qr/pg_dump --schema-only.*"schema": "equal"/s,
	'where the baseline is not in the log, the error gives the dump');
my ($dump) = $r->{err} =~ /(pg_dump .*)$/m;

like($dump, qr/ -d '[^']*dbname=us[^']*' \| psql .* -d '[^']*dbname=ap[^']*'$/, 'from the one into the other');
# as an administrator of both, by the Unix socket
$dump =~ s/ -d '[^']*dbname=$_[^']*'/' -d "' . $server->connstr($_) . '"'/e foreach qw(us ap);
$g->sql('us', q{SELECT schemadrift.set_policy('{"mode": "coordinate"}')});
ok(!system(qq{($dump) >/dev/null}), 'the dump loads') or diag($dump);
$g->sql('eu', 'ALTER TABLE public.t ADD meanwhile int');
$g->sql('us', 'CREATE INDEX ON public.t (meanwhile)');
ok($g->try('ap', join_sql('ap', 'eu'))->{ok}, 'and then it joins, by another member');
ok(is_voter($_, 'ap'), "ap is a voter in the eyes of $_") foreach qw(us eu ap);
ok($g->converged(qw(us eu ap)), 'what happened meanwhile was replayed');

$g->sql($_, "CREATE TABLE public.by_$_ (id int)") foreach qw(us eu ap);
ok($g->converged(qw(us eu ap)), 'every region changes the schema of all');
is($g->sql('ap', q{SELECT count(*) FROM pg_class WHERE relname LIKE 'by\_%'}), 3, 'as a look at the catalog confirms');

# --- policy
is($g->sql('eu', q{SELECT schemadrift.set_policy('{"local": ["scratch.*"]}')}),
	$g->sql('eu', 'SELECT max(version) FROM schemadrift_store.log'), 'set_policy returns its version');
ok($g->converged(qw(us eu ap)), 'a policy reaches every region');
is($g->sql('us', q{SELECT value::text || ' ' || (since_version > 1) FROM schemadrift.policy WHERE key = 'local'}),
	'["scratch.*"] true', 'and is shown there');
$g->sql('ap', 'CREATE SCHEMA scratch; CREATE TABLE scratch.s ()');
is($g->sql('us', q{SELECT count(*) FROM pg_namespace WHERE nspname = 'scratch'}), 0, 'what policy calls local stays local');
$g->sql('ap', 'DROP SCHEMA scratch CASCADE');

# --- names that are taken, and a join that failed after its admission
$g->sql('sa', $schema);
fails('sa', join_sql('us', 'eu'), '42710', qr/"us" is in the group already.*call to region "eu"/s, 'a name that is taken');
fails('sa', "BEGIN; " . join_sql('sa', 'eu') . "; COMMIT", '25001', qr/transaction block/, 'join in a block');
my $group = $g->sql('us', 'SELECT group_id FROM schemadrift_store.self');
like($g->sql('us', "SELECT incarnation FROM schemadrift_rpc.admit(1, '$group', 'sa', '" . $g->conninfo('sa') . "', 'observer')"),
	qr/^1$/, 'an admission whose join never came');
fails('sa', "SELECT schemadrift_rpc.describe(1); SELECT schemadrift.leave()", '55000', qr/in no group/, 'no member yet');
$g->sql('us', q{SELECT schemadrift.remove_region('sa')});
$g->sql('us', "SELECT schemadrift_rpc.admit(1, '$group', 'sa', '" . $g->conninfo('sa') . "', 'voter')");
ok($g->try('sa', join_sql('sa', 'ap'))->{ok}, 'the same name joins again');
ok(is_voter('us', 'sa'), 'and is promoted');
is($g->sql('us', q{SELECT incarnation FROM schemadrift.regions WHERE region = 'sa'}), 3, 'as another incarnation');
ok($g->converged(qw(us eu ap sa)), 'four voters are equal; the log from the baseline on was replayed');

# --- observers
$g->sql('af', $schema);
ok($g->try('af', join_sql('af', 'us', '{}', 'observer'))->{ok}, 'an observer joins');
ok($g->converged(qw(us eu ap sa af)), 'and follows');
$g->sql('af', 'CREATE TABLE public.by_af ()');
ok($g->converged(qw(us eu ap sa af)), 'and may change the schema');
is($g->sql('us', q{SELECT role FROM schemadrift.regions WHERE region = 'af'}), 'observer', 'and remains one');
$g->sql('af', 'SELECT schemadrift.leave()');
is($g->wait_until('af', 'SELECT state FROM schemadrift.status', 'not_joined'), 1, 'and leaves');

# --- removal of a region that is away, and its return
my $us_heads = sub { return $g->sql('us', 'SELECT max(version) FROM schemadrift_store.log') };

$g->sql('us', 'ALTER DATABASE sa ALLOW_CONNECTIONS false');
$g->sql('us', q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'sa'});
$g->sql('us', q{SELECT schemadrift.remove_region('sa')});
$g->sql('us', 'CREATE TABLE public.without_sa ()');
ok($g->converged(qw(us eu ap)), 'the others go on without it');
$g->sql('us', 'ALTER DATABASE sa ALLOW_CONNECTIONS true');
ok($g->wait_until('sa', 'SELECT state FROM schemadrift.status', 'not_joined'), 'back, it learns that it was removed');
like($g->sql('sa', 'SELECT reason || remedy FROM schemadrift.status'), qr/taken out of its group.*schemadrift\.leave/,
	'and says so');
is($g->sql('sa', q{SELECT to_regclass('public.without_sa') IS NULL}), 't', 'what came after its removal is not for it');
$g->sql('sa', 'CREATE TABLE public.own ()');
$g->sql('sa', 'DROP TABLE public.own');
fails('sa', q{SELECT schemadrift.set_policy('{}')}, '55000', qr/no member of its group any more/, 'it originates nothing');
ok($g->try('sa', join_sql('sa', 'eu'))->{ok}, 'it joins again');
ok(is_voter('us', 'sa'), 'and votes again');
ok($g->converged(qw(us eu ap sa)), 'and is equal again');

# --- leaving, down to the last
$g->sql('sa', 'SELECT schemadrift.leave()');
ok($g->wait_until('sa', 'SELECT schemadrift.leave(); SELECT count(*) FROM schemadrift_store.self', "\n0"),
	'once the others know, the second leave() forgets');
fails('us', q{SELECT schemadrift.remove_region('us')}, '22023', qr/leave\(\)/, 'nobody removes himself');
$g->sql('ap', 'SELECT schemadrift.leave()');
ok($g->converged(qw(us eu)), 'two are left');
$g->sql('eu', 'CREATE TABLE public.of_two ()');
ok($g->converged(qw(us eu)), 'and change the schema');

$g->sql('us', 'ALTER DATABASE eu ALLOW_CONNECTIONS false');
$g->sql('us', q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'eu'});
fails('us', q{SELECT schemadrift.remove_region('eu')}, 'SD001', qr/no quorum/, 'of two, one cannot remove the other that is away');
fails('us', q{SELECT schemadrift.leave()}, 'SD001', qr/cannot decide.*eu/s, 'and cannot leave it alone');
$g->sql('us', 'ALTER DATABASE eu ALLOW_CONNECTIONS true');
ok($g->wait_until('us', q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'eu' AND backend_type = 'schemadrift coordinator'}, 1),
	'it is back');
ok($g->wait_until($_->[0], "SELECT circuit FROM schemadrift.regions WHERE region = '$_->[1]'", 'closed'), "$_->[0] reaches $_->[1]")
	foreach [ 'us', 'eu' ], [ 'eu', 'us' ];
$g->sql('eu', 'SELECT schemadrift.leave()');
ok($g->wait_until('us', 'SELECT count(*) FROM schemadrift.regions', 1), 'one is left');
$g->sql('us', 'CREATE TABLE public.of_one ()');
$g->sql('us', 'SELECT schemadrift.leave()');
is($g->sql('us', 'SELECT count(*) FROM schemadrift_store.log'), 0, 'and the last one leaves at once');

# --- another group in the same databases: an empty baseline, replayed from the start
$g->sql($_, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public') foreach qw(us af);
$g->sql('us', sprintf q{SELECT schemadrift.init('us', '%s')}, $g->conninfo('us'));
is($g->sql('us', 'SELECT mode FROM schemadrift.status'), 'coordinate', 'an empty database coordinates from the start');
$g->sql('us', 'CREATE TABLE public.one (id int)');
$g->sql('us', q{CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'});
$g->sql('us', 'ALTER TABLE public.one ADD CHECK (id > 0)');
fails('ap', join_sql('ap', 'us', '{"schema": "empty"}'), '55000', qr/not empty/, 'a database with tables is not empty');
$r = $g->try('af', join_sql('af', 'us', '{"schema": "empty"}'));
ok($r->{ok}, 'an empty one joins, straight from its old group') or diag($r->{err});
ok($g->converged(qw(us af)), 'and everything is replayed');
ok(is_voter('us', 'af'), 'then it votes');
is($g->sql('af', 'SELECT public.f()'), 1, 'and works');

# --- a copy of a region's database is no region, and can forget that it looks like one
$server->sql('CREATE DATABASE copy TEMPLATE af', dbname => 'postgres');
ok($server->wait_until('SELECT state FROM schemadrift.status', 'void', undef, dbname => 'copy'), 'a copy is void');
$g->sql('af', 'CREATE TABLE public.beside_the_copy ()');
ok($g->converged(qw(us af)), 'it does not disturb its original');
$r = $server->try('CREATE TABLE public.in_the_copy ()', dbname => 'copy');
is($r->{sqlstate}, 'SD002', 'and originates nothing');
$r = $server->try('SELECT schemadrift.leave()', dbname => 'copy');
ok($r->{ok}, 'it can leave without asking anybody') or diag($r->{err});
like($r->{err}, qr/still has region "af" as a member/, 'with a warning');
is($g->sql('us', q{SELECT count(*) FROM schemadrift.regions WHERE region = 'af'}), 1, 'its original stays');
ok($server->try('DROP EXTENSION schemadrift', dbname => 'copy')->{ok}, 'and the extension can go from it');
$g->sql('af', 'CREATE TABLE public.in_the_original ()');
ok($g->converged(qw(us af)), 'the original works on');

# --- a caller without rights, an address without an answer
$g->sql('us', 'CREATE ROLE stranger LOGIN');
fails('eu', sprintf(q{SELECT * FROM schemadrift.compare('%s')}, $g->conninfo('us') =~ s/region_peer/stranger/r), '42501',
	qr/permission denied.*GRANT schemadrift_peer/s, 'a role without schemadrift_peer');
fails('eu', q{SELECT * FROM schemadrift.compare('host=127.0.0.1 port=1 dbname=x password=hidden')}, '08001',
	qr/^(?!.*hidden).*refused/s, 'a port where nobody listens');

done_testing();
