# Rows of migration tools' histories while regions are away, die, replicate data beside us, or join later: three servers.
use strict;
use warnings FATAL => 'all';

use Test::More;

use SchemaDrift::Alerts;
use SchemaDrift::Scenario;

my $g = made_group(3, streaming => 'logical', before => 'CREATE TABLE schema_migrations (version text PRIMARY KEY); CREATE TABLE alembic_version (version_num text)',
	conf => <<'CONF');
max_logical_replication_workers = 10
wal_retrieve_retry_interval = 100ms
CONF
my ($us, $ap, $eu) = $g->names;
my $user = $g->sql($us, 'SELECT current_user');
my $versions = q{SELECT string_agg(version, ' ' ORDER BY version) FROM schema_migrations};

sub everywhere
{
	my ($sql, $expected, $what) = @_;
	my @found = $g->converged ? map { $g->sql($_, $sql) } $g->names : ();

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_deeply(\@found, [ ($expected) x 3 ], $what);
}

# ---- a region is away ----

# a lease that the region has given which is cut off now is none, and the change under it is told to run again (40001)
$g->wait_until($us, 'SELECT count(*) FROM schemadrift.lease', 0);
$g->isolate($ap);
my $r = $g->try($us, q{BEGIN; CREATE TABLE a (); INSERT INTO schema_migrations VALUES ('1'); COMMIT});
ok($r->{ok}, 'two of three record it') or diag $r->{err};
$r = $g->try($us, q{INSERT INTO schema_migrations VALUES ('2')});
ok($r->{ok}, 'a row alone, too') or diag $r->{err};
wait_for_state($g, $ap, 'no_quorum');
$r = $g->try($ap, q{INSERT INTO schema_migrations VALUES ('9')});
is($r->{sqlstate}, 'SD001', 'it records nothing') or diag $r->{err};
like($r->{detail}, qr/$us/, 'and says who is missing');
$r = $g->try($ap, q{BEGIN; INSERT INTO schema_migrations VALUES ('9'); CREATE TABLE nine (); COMMIT});
is($r->{sqlstate}, 'SD001', 'nor beside DDL');
is($g->sql($ap, 'SELECT count(*) FROM schema_migrations'), 0, 'there is no row');
ok($g->try($ap, q{CREATE TABLE IF NOT EXISTS schema_migrations (version text); BEGIN; SELECT pg_advisory_xact_lock(1); SELECT * FROM schema_migrations FOR UPDATE; COMMIT})->{sqlstate} =~ /^(?:SD001|00000)$/,
	'what a tool reads first');
$g->rejoin($ap);
everywhere($versions, '1 2', 'back again it has what it missed, once');
ok($g->reached, 'all regions reach each other');
$r = $g->try($ap, q{BEGIN; INSERT INTO schema_migrations VALUES ('3'); CREATE TABLE three (); COMMIT});
ok($r->{ok}, 'the retry succeeds') or diag $r->{err};
everywhere($versions, '1 2 3', 'everywhere');

# ---- the origin dies in its commit ----

SKIP:
{
	skip 'wait points are in the test build only', 8 if !testing_build($g);
	my %expected = ('before-accept' => 'rejected', 'after-majority' => 'applied');

	foreach my $point (sort keys %expected)
	{
		my $s = $g->session($us);
		my $id = begun($g, $us, sub {
			stop_at($s, $point);
			$s->send(qq{INSERT INTO schema_migrations VALUES ('at $point');});
			stopped($s);
		});

		accepted($g, $us, $id, $ap, $eu) if $point eq 'after-majority';
		my $logged = $g->region($us)->log_size;
		kill 'KILL', $s->pid;
		ok($s->result->{gone}, "backend killed at $point");
		$g->region($us)->restarted($logged);
		is(settles($g, $id), $expected{$point}, "... $expected{$point}");
		everywhere(qq{SELECT count(*) FROM schema_migrations WHERE version = 'at $point'}, $expected{$point} eq 'applied' ? 1 : 0, '... and so is its row');
		ok($g->reached, '... all regions reach each other');
	}
}

# ---- cut while a tool is in its transaction ----

my $s = $g->session($eu);
ok($s->query(q{BEGIN; CREATE TABLE cut ();})->{ok}, 'a tool begins');
$g->isolate($eu);
$r = $s->query(q{INSERT INTO schema_migrations VALUES ('cut'); COMMIT;});
like($r->{sqlstate}, qr/^(?:SD001|40001|40003)$/, "cut off before it commits: $r->{sqlstate}") or diag $r->{err};
$s->quit;
$g->rejoin($eu);
ok($g->reached, 'all regions reach each other');
settles($g, $1) if ($r->{hint} // '') =~ /outcome\('([0-9a-f-]{36})'\)/;
ok($g->converged, 'all regions are equal');
{
	my ($there, @others) = map { $g->sql($_, q{SELECT count(*) || (to_regclass('cut') IS NOT NULL)::text FROM schema_migrations WHERE version = 'cut'}) } $g->names;
	like($there, qr/^(?:0false|1true)$/, 'the row is there if the table is');
	is_deeply(\@others, [ ($there) x 2 ], 'everywhere the same');
}

# ---- data replication brings the rows, too ----

$g->sql($us, 'CREATE PUBLICATION p FOR TABLE schema_migrations, alembic_version');
(my $conninfo = $g->conninfo($us)) =~ s/user=\S+/user=$user/;
$g->sql($ap, "CREATE SUBSCRIPTION \"s\nSELECT 1\" CONNECTION '$conninfo' PUBLICATION p WITH (copy_data = false, slot_name = 's')");
ok($g->wait_until($us, q{SELECT count(*) FROM pg_stat_replication WHERE application_name ~ '^s' AND state = 'streaming'}, 1), 'a subscription');
like(fires($g, $ap, 'history_replicated', $ap, qr/public\.alembic_version, public\.schema_migrations come by subscription "s\nSELECT 1"/, since => 0),
	qr/^ALTER PUBLICATION p DROP TABLE public.alembic_version, public.schema_migrations; -- .* ALTER SUBSCRIPTION U&"s\\000aSELECT 1" REFRESH PUBLICATION$/, '... with the way to end it');
is($g->sql($_, q{SELECT count(*) FROM schemadrift.alerts WHERE id = 'history_replicated'}), 0, "not in $_") foreach $us, $eu;

# the row comes by replication first: the applier waits for a lock that we hold, for the version before
my $holder = $g->session($ap);
my $before = $g->sql($us, 'SELECT max(version) FROM schemadrift_store.log');
ok($holder->query(q{BEGIN; LOCK TABLE a IN ACCESS SHARE MODE;})->{ok}, 'our applier is held back');
ok($g->try($us, 'ALTER TABLE a ADD x int')->{ok}, '... by a version before');
$r = $g->try($us, q{INSERT INTO schema_migrations VALUES ('both'); INSERT INTO alembic_version VALUES ('both')});
ok($r->{ok}, 'rows that come both ways') or diag $r->{err};
ok($g->wait_until($ap, q{SELECT count(*) FROM schema_migrations WHERE version = 'both'}, 1), 'one by replication');
ok($g->wait_until($ap, q{SELECT count(*) FROM alembic_version WHERE version_num = 'both'}, 1), 'and the one without a key');
$holder->query('ROLLBACK;');
$holder->quit;
everywhere(q{SELECT count(*) FROM schema_migrations WHERE version = 'both'}, 1, 'it is there once');
everywhere(q{SELECT count(*) FROM alembic_version WHERE version_num = 'both'}, 1, 'without a key, too');
is($g->sql($us, 'SELECT max(version) FROM schemadrift_store.log'), $before + 3, 'what an apply worker writes is no change');
$g->sql($us, $g->sql($ap, q{SELECT remedy FROM schemadrift.alerts WHERE id = 'history_replicated'}));
$g->sql($ap, 'ALTER SUBSCRIPTION U&"s\\000aSELECT 1" REFRESH PUBLICATION');
gone($g, $ap, 'history_replicated', $ap);
$g->sql($ap, 'DROP SUBSCRIPTION U&"s\\000aSELECT 1"');

# ---- comparing and joining ----

sub off { my ($sql) = @_; return "SET schemadrift.ddl_mode = 'off'; SET schemadrift.bypass_reason = 'a test'; $sql"; }

is($g->sql($ap, sprintf q{SELECT * FROM schemadrift.compare('%s')}, $g->conninfo($us)), '', 'regions with the same rows are equal');
$g->sql($ap, off(q{DELETE FROM schema_migrations WHERE version = '1'}));
is($g->sql($ap, sprintf q{SELECT * FROM schemadrift.compare('%s')}, $g->conninfo($us)), 'history rows|public.schema_migrations|changed', 'compare shows other rows');
$g->sql($ap, off(q{INSERT INTO schema_migrations VALUES ('1')}));
is($g->sql($ap, sprintf q{SELECT * FROM schemadrift.compare('%s')}, $g->conninfo($us)), '', 'until they are the same');

$g->sql($us, "SELECT schemadrift.remove_region('$ap')");
ok($g->wait_until($ap, 'SELECT count(*) FROM schemadrift.regions', qr/./), 'removed');
$g->wait_until($ap, q{SELECT count(*) FROM schemadrift.alerts WHERE id = 'removed'}, 1);
$g->sql($ap, 'SELECT schemadrift.leave(); DELETE FROM alembic_version');
$r = $g->try($ap, sprintf q{SELECT schemadrift.join('%s', '%s', '%s')}, $g->conninfo($us), $ap, $g->conninfo($ap));
ok($r->{ok}, 'joining with the same schema') or diag $r->{err};
like($r->{err}, qr/WARNING.*other histories here than in region "$us".*begins from another point here: public\.alembic_version\..*pg_dump --data-only --table='public\.alembic_version' /s, 'other rows are told, with the way to copy them');
unlike($r->{err}, qr/schema_migrations/, 'equal ones are not');
ok($g->wait_until($us, "SELECT role FROM schemadrift.regions WHERE region = '$ap'", 'voter'), 'it is a voter again');
my ($command) = $r->{err} =~ /^(pg_dump .*)$/m;
# by the sockets, as from outside nothing reaches the regions' network
my ($from, $to) = map { $g->region($_)->connstr('postgres') =~ s/'//gr } $us, $ap;
$command =~ s/ -d '[^']*' \| / -d '$from' | /;
$command =~ s/ -d 'dbname=\S+'$/ -d '$to'/;
is(system($command), 0, 'the command works');
everywhere('SELECT version_num FROM alembic_version', 'both', 'and makes them the same');

all_brought_about();
done_testing;
