# Joining a production database of 800 tables, equal and empty, while the schema goes on changing elsewhere.
use strict;
use warnings FATAL => 'all';

use Test::More;
use Time::HiRes 'time';

use SchemaDrift::Group;

my $g = SchemaDrift::Group->new(regions => [qw(us eu ap sa)], databases => 1, extension => 0, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
max_locks_per_transaction = 1000
CONF
my $server = $g->region('us');

# Seconds that a step may take on a busy test machine: a production database is not locked out of changes for longer.
my $in_time = 30;

# without TOAST tables and sequences, which would double the files that the test's disk has to make
my $schema = <<'SQL';
DO $do$
BEGIN
	FOR i IN 1 .. 800 LOOP
		EXECUTE format('CREATE TABLE app_%s (id bigint PRIMARY KEY, parent bigint REFERENCES app_%s,
			name varchar(40) NOT NULL DEFAULT %L, amount numeric(12, 2) CHECK (amount >= 0), at timestamptz NOT NULL DEFAULT now())',
			i, greatest(i - 1, 1), 'name ' || i);
		EXECUTE format('CREATE INDEX ON app_%s (name, at)', i);
	END LOOP;
END $do$;
SQL

# Somebody deploys in a region, dozens of changes a second, until told to stop.
sub deploying
{
	my ($where, $what) = @_;
	my $s = $g->session($where);

	$s->pid;
	$s->send(<<"SQL");
DO \$do\$
DECLARE
	n int := 0;
BEGIN
	WHILE NOT EXISTS (SELECT FROM scratch.stop) LOOP
		n := n + 1;
		EXECUTE format('ALTER TABLE app_%s ADD COLUMN deployed_${what}_%s int DEFAULT %s', n % 800 + 1, n, n);
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP;
	RAISE NOTICE 'deployed %', n;
END \$do\$;
SQL
	return $s;
}

sub deployed
{
	my ($s, $where) = @_;

	$g->sql($where, 'INSERT INTO scratch.stop VALUES (1)');
	my $r = $s->result;
	$g->sql($where, 'DELETE FROM scratch.stop');
	ok($r->{ok}, 'every change made meanwhile succeeded') or diag($r->{err});
	return $r->{err} =~ /deployed (\d+)/ ? $1 : 0;
}

sub head { return $g->sql($_[0], 'SELECT max(version) FROM schemadrift_store.log'); }

# Wait until so many versions more are in the log: the deployment is under way.
sub goes_on
{
	my ($where, $more) = @_;

	return $g->wait_until($where, sprintf 'SELECT max(version) >= %d FROM schemadrift_store.log', head($where) + $more);
}

sub join_sql
{
	my ($name, $via, $options) = @_;

	return sprintf q{SELECT schemadrift.join('%s', '%s', '%s', options => '%s')}, $g->conninfo($via), $name,
	  $g->conninfo($name), $options // '{}';
}

sub timed
{
	my ($what, $code) = @_;
	my $start = time();
	my $r = $code->();

	cmp_ok(time() - $start, '<', $in_time, "$what: in time");
	note(sprintf '%s: %.1f s', $what, time() - $start);
	return $r;
}

# --- the schema in production, and two copies of it
$g->sql('us', $schema);
foreach my $copy (qw(eu ap))
{
	$server->sql("DROP DATABASE $copy", dbname => 'postgres');
	$server->sql("CREATE DATABASE $copy TEMPLATE us", dbname => 'postgres');
}
$g->create_extension;
$g->sql('us', sprintf q{SELECT schemadrift.init('us', '%s')}, $g->conninfo('us'));
my $r = timed('equal, nothing moving', sub { $g->try('eu', join_sql('eu', 'us')) });
ok($r->{ok}, 'an equal database of 800 tables joins') or diag($r->{err});
ok($g->wait_until('us', q{SELECT role FROM schemadrift.regions WHERE region = 'eu'}, 'voter'), 'and votes');
$g->sql('us', q{SELECT schemadrift.set_policy('{"mode": "coordinate", "local": ["scratch.*"]}')});
ok($g->converged(qw(us eu)), 'both coordinate');
$g->sql('us', 'CREATE SCHEMA scratch; CREATE TABLE scratch.stop (id int)');

# --- equal, with a copy that is some changes old, while changes go on
my $s = deploying('us', 'first');
ok(goes_on('us', 20), 'somebody deploys in us');
my $before = head('us');
$r = timed('equal, while changes go on', sub { $g->try('ap', join_sql('ap', 'eu')) });
ok($r->{ok}, 'a database that is some changes behind joins') or diag($r->{err});
like($r->{err}, qr/Versions \d+ to \d+ are applied from now on/, 'what it lacks is applied by itself');
ok($g->wait_until('us', q{SELECT role FROM schemadrift.regions WHERE region = 'ap'}, 'voter'), 'it catches up with what goes on, and votes');
ok(goes_on('us', 3), 'which goes on with its vote');
cmp_ok(deployed($s, 'us'), '>', 5, 'changes all the time');
cmp_ok(head('us'), '>', $before, 'while it joined, too');
ok(timed('catching up', sub { $g->converged(qw(us eu ap)) }), 'all are equal');

# --- empty, while changes go on: the error gives the dump, the rest is replayed
$s = deploying('us', 'second');
ok(goes_on('us', 2), 'somebody deploys in us again');
$r = $g->try('sa', join_sql('sa', 'us', '{"schema": "empty"}'));
is($r->{sqlstate}, '55000', 'the baseline is not in the log');
my ($dump) = $r->{err} =~ /(pg_dump .*)$/m;
# as an administrator of both, by the Unix socket; what policy calls local is no part of the group's schema
$dump =~ s/ -d '[^']*dbname=$_[^']*'/' -d "' . $server->connstr($_) . '"'/e foreach qw(us sa);
$dump =~ s/pg_dump/pg_dump --exclude-schema=scratch/;
# how long that takes is PostgreSQL's business and the disk's; nobody waits for it
ok(!system(qq{($dump) >/dev/null}), 'the dump that the error gives loads');
$before = head('us');
ok(goes_on('us', 2), 'changes go on meanwhile');
$r = timed('joining by it', sub { $g->try('sa', join_sql('sa', 'eu')) });
ok($r->{ok}, 'a database that was empty joins') or diag($r->{err});
ok($g->wait_until('eu', q{SELECT role FROM schemadrift.regions WHERE region = 'sa'}, 'voter'), 'it catches up, and votes');
deployed($s, 'us');
ok(timed('catching up again', sub { $g->converged }), 'all are equal');
is($g->sql($_, q{SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'app\_%'}), 800, "$_ has 800 tables") foreach $g->names;
is(scalar(keys %{ { map { $g->sql($_, q{SELECT md5(string_agg(attrelid::regclass || '.' || attname, ',' ORDER BY attrelid::regclass::text COLLATE "C", attname))
	FROM pg_attribute WHERE attname LIKE 'deployed\_%'}) => 1 } $g->names } }), 1, 'and the same columns, as a look at the catalogs confirms');

done_testing();
