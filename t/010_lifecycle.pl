# The launcher keeps exactly one coordinator in each database that has the extension, through everything that can
# happen to databases, extensions, workers and servers.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# Where a database command used to fail it did so after five seconds; what it does otherwise are flushes.
use constant QUICK => 20;

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'schemadrift'
max_worker_processes = 60
max_connections = 40
restart_after_crash = on
max_prepared_transactions = 2
allow_in_place_tablespaces = on
# shows each start of a worker
log_min_messages = debug1
CONF
$node->start;

sub sql
{
	my ($sql, $db) = @_;
	return $node->safe_psql($db // 'postgres', $sql);
}

# Databases with a coordinator, one mention for each coordinator.
sub coordinators_are
{
	my ($expected, $what, $on) = @_;
	my $list = join ',', sort split / /, $expected;
	ok( ($on // $node)->poll_query_until(
			'template1',
			q{SELECT coalesce(string_agg(datname::text, ',' ORDER BY datname COLLATE "C"), '') FROM pg_stat_activity
			  WHERE backend_type = 'schemadrift coordinator'},
			$list),
		$what);
}

sub pid_of
{
	my ($db) = @_;
	return sql(
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'schemadrift coordinator' AND datname = '$db'");
}

# How often a coordinator was started for a database since an offset in the log.
sub starts
{
	my ($db, $offset) = @_;
	my $log = slurp_file($node->logfile, $offset // 0);
	return scalar(() = $log =~ /starting background worker process "schemadrift coordinator for \Q$db\E"/g);
}

sub takes_less
{
	my ($limit, $what, $code) = @_;
	my $start = time();
	$code->();
	my $took = time() - $start;
	ok($took < $limit, $what) or diag sprintf 'took %.2f s', $took;
}

# A launcher that has acted on what came before has also acted on this; so absence can be tested without waiting.
sub settle
{
	sql('CREATE EXTENSION schemadrift', 'marker');
	coordinators_are(join(' ', @_, 'marker'), 'the marker database got its coordinator, no other did');
	sql('DROP EXTENSION schemadrift', 'marker');
	coordinators_are(join(' ', @_), '... and lost it');
}

sql('CREATE DATABASE marker');
sql('CREATE DATABASE one');
sql('CREATE DATABASE two');

# --- the library alone

ok($node->poll_query_until('postgres', q{SELECT string_agg(backend_type, ',') FROM pg_stat_activity WHERE backend_type ~ '^schemadrift'
	AND backend_type <> 'schemadrift probe'}, 'schemadrift launcher'), 'without the extension only the launcher runs');
is(slurp_file($node->logfile) =~ /schemadrift probe for template0/ ? 'yes' : 'no',
	'no', 'no probe is sent where nobody can connect');

# --- CREATE and DROP EXTENSION, committed and not

takes_less(QUICK, 'a coordinator starts as soon as CREATE EXTENSION is committed', sub {
	sql('CREATE EXTENSION schemadrift', 'one');
	coordinators_are('one', 'CREATE EXTENSION starts a coordinator');
});
sql('BEGIN; CREATE EXTENSION schemadrift; ROLLBACK', 'two');
sql('BEGIN; SAVEPOINT s; CREATE EXTENSION schemadrift; ROLLBACK TO s; COMMIT', 'two');
settle('one');
is(starts('two'), 0, 'CREATE EXTENSION that was rolled back starts nothing');

my $pid = pid_of('one');
sql('BEGIN; DROP EXTENSION schemadrift; ROLLBACK', 'one');
sql('BEGIN; SAVEPOINT s; DROP EXTENSION schemadrift; ROLLBACK TO s; COMMIT', 'one');
settle('one');
is(pid_of('one'), $pid, 'DROP EXTENSION that was rolled back stops nothing');

my ($rc, $out, $err) = $node->psql('two', q{BEGIN; CREATE EXTENSION schemadrift; PREPARE TRANSACTION 'x'});
like($err, qr/cannot prepare a transaction that creates or drops extension schemadrift/, 'PREPARE TRANSACTION is refused');

sql(q{DO $$BEGIN CREATE EXTENSION schemadrift; END$$}, 'two');
coordinators_are('one two', 'CREATE EXTENSION in a DO block starts a coordinator');
sql(q{DO $$BEGIN DROP EXTENSION schemadrift; END$$}, 'two');
coordinators_are('one', 'DROP EXTENSION in a DO block stops it');
sql('CREATE EXTENSION schemadrift', 'two');
coordinators_are('one two', 'created again');
sql('DROP SCHEMA schemadrift CASCADE', 'two');
coordinators_are('one', 'DROP SCHEMA ... CASCADE stops it');
sql('BEGIN; CREATE EXTENSION schemadrift; DROP EXTENSION schemadrift; CREATE EXTENSION schemadrift; COMMIT', 'two');
coordinators_are('one two', 'created, dropped and created in one transaction');
takes_less(QUICK, 'DROP EXTENSION does not wait for the coordinator', sub { sql('DROP EXTENSION schemadrift', 'two') });
coordinators_are('one', 'DROP EXTENSION stops it');

# --- database commands

# a session that looks like a peer's connection, and stays
sub peer_session
{
	my ($db) = @_;
	local $ENV{PGAPPNAME} = 'schemadrift us-east';
	my $psql = $node->background_psql($db, on_error_stop => 0);
	$psql->query('SELECT 1');
	return $psql;
}

my $peer = peer_session('one');
takes_less(QUICK, 'CREATE DATABASE ... TEMPLATE of a database with coordinator and peer', sub {
	sql('CREATE DATABASE copy TEMPLATE one');
});
coordinators_are('one copy', 'the original has its coordinator again, the copy has its own');
eval { $peer->quit };
takes_less(QUICK, 'ALTER DATABASE ... RENAME', sub { sql('ALTER DATABASE copy RENAME TO renamed') });
coordinators_are('one renamed', 'it has its coordinator under the new name');
sql("CREATE TABLESPACE space LOCATION ''");
takes_less(QUICK, 'ALTER DATABASE ... SET TABLESPACE', sub { sql('ALTER DATABASE renamed SET TABLESPACE space') });
coordinators_are('one renamed', 'it has its coordinator in the other tablespace');

sql('CREATE ROLE nobody LOGIN');
$pid = pid_of('renamed');
($rc, $out, $err) = $node->psql('postgres', 'DROP DATABASE renamed', extra_params => [ '-U', 'nobody' ]);
like($err, qr/must be owner of database renamed/, 'who may not drop it is refused');
($rc, $out, $err) = $node->psql('postgres', "BEGIN;\nDROP DATABASE renamed");
like($err, qr/cannot run inside a transaction block/, 'a command in a block is refused');
settle('one', 'renamed');
is(pid_of('renamed'), $pid, 'refused commands stop nothing');

my $user = $node->background_psql('renamed', on_error_stop => 0);
$user->query('SELECT 1');
($rc, $out, $err) = $node->psql('postgres', 'ALTER DATABASE renamed RENAME TO copy');
like($err, qr/is being accessed by other users/, "a user's session makes the command fail as ever");
coordinators_are('one renamed', 'the coordinator comes back after a command that failed');

# FATAL: no PG_CATCH runs, the transaction's callbacks do
my $dropper = $node->background_psql('postgres', on_error_stop => 0);
my $dropper_pid = $dropper->query('SELECT pg_backend_pid()');
$dropper->query_until(qr/^go$/m, "\\echo go\nDROP DATABASE renamed;\n");
coordinators_are('one', 'a command that waits keeps the coordinator away');
sql("SELECT pg_terminate_backend($dropper_pid)");
coordinators_are('one renamed', 'the coordinator comes back when the session of the command is terminated');
eval { $dropper->quit };
$user->quit;

$peer = peer_session('renamed');
takes_less(QUICK, 'DROP DATABASE', sub { sql('DROP DATABASE renamed') });
coordinators_are('one', 'its coordinator is gone');
eval { $peer->quit };
sql('CREATE DATABASE copy TEMPLATE one');
coordinators_are('one copy', 'once more');
takes_less(QUICK, 'CREATE DATABASE ... TEMPLATE of the own database', sub {
	sql('CREATE DATABASE own TEMPLATE copy', 'copy');
});
coordinators_are('one copy own', 'both have a coordinator');
sql('DROP DATABASE own');
takes_less(QUICK, 'DROP DATABASE ... WITH (FORCE)', sub { sql('DROP DATABASE copy WITH (FORCE)') });
coordinators_are('one', 'its coordinator is gone, too');

sql('CREATE DATABASE closed TEMPLATE one');
coordinators_are('closed one', 'a copy has a coordinator');
sql('ALTER DATABASE closed ALLOW_CONNECTIONS false');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'closed'});
settle('one');
sql('ALTER DATABASE closed ALLOW_CONNECTIONS true');
coordinators_are('closed one', 'a database that is opened again gets its coordinator');
# the launcher hears of that before the caches of catalogs do
sql('ALTER DATABASE closed ALLOW_CONNECTIONS false');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'closed'});
settle('one');
my $told = -s $node->logfile;
my $opening = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SET schemadrift.testing_waitpoint = 'launcher-told'",
	'-c', 'ALTER DATABASE closed ALLOW_CONNECTIONS true' ]);
$node->wait_for_log(qr/stopped at wait point launcher-told, pid \d+/, $told);
my ($stopped) = slurp_file($node->logfile, $told) =~ /stopped at wait point launcher-told, pid (\d+)/;
coordinators_are('closed one', 'also while the commit that opened it is not over');
kill 'CONT', $stopped;
ok($opening->finish, 'which then ends');
coordinators_are('closed one', 'and it still has one');
sql('DROP DATABASE closed');

# --- workers that end

my $offset = -s $node->logfile;
sql('SELECT pg_terminate_backend(' . pid_of('one') . ')');
$node->wait_for_log(qr/coordinator for database "one" ended after [\d.]+ s, it is started again in 1\.000 s/, $offset);
coordinators_are('one', 'a coordinator that ended is started again');
$offset = -s $node->logfile;
sql('SELECT pg_terminate_backend(' . pid_of('one') . ')');
ok($node->wait_for_log(qr/coordinator for database "one" ended after [\d.]+ s, it is started again in 2\.000 s/, $offset),
	'with a longer pause the second time');
coordinators_are('one', 'and is started again');
is(starts('one', $offset), 1, 'exactly once');

$pid = pid_of('one');
my $launcher = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'schemadrift launcher'};
my $old = sql($launcher);
sql("SELECT pg_terminate_backend($old)");
$node->poll_query_until('postgres', "SELECT EXISTS ($launcher) AND NOT EXISTS ($launcher AND pid = $old)");
settle('one');
is(pid_of('one'), $pid, 'a new launcher finds the coordinators that run');
sql("SELECT pg_terminate_backend($pid)");
ok( $node->poll_query_until(
		'postgres',
		"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'schemadrift coordinator' AND pid <> $pid)"),
	'and starts those that end');

$pid = pid_of('one');
kill 'KILL', $pid;
# connections fail while the server restarts
ok( $node->poll_query_until(
		'postgres',
		"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'schemadrift coordinator' AND pid <> $pid)"),
	'kill -9 of a coordinator: after the crash restart there is one again');
coordinators_are('one', 'and only one');

# --- a standby

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^schemadrift'}),
	'0', 'a hot standby runs nothing');
$standby->promote;
coordinators_are('one', 'after promotion it does', $standby);
$standby->stop;

# --- many databases, shutdown, too few workers

my @many = ('one');
foreach my $i (1 .. 24)
{
	my $db = sprintf 'db%02d', $i;
	sql("CREATE DATABASE $db TEMPLATE one");
	push @many, $db;
}
coordinators_are("@many", 'twenty-five databases, a coordinator each');
takes_less(QUICK, 'a fast shutdown does not wait for workers', sub { $node->stop('fast') });
$node->start;
coordinators_are("@many", 'a restarted server finds them all');
$node->stop('immediate');

$node->append_conf('postgresql.conf', 'max_worker_processes = 6');
$offset = -s $node->logfile;
$node->start;
ok($node->wait_for_log(qr/could not start a schemadrift worker for database/, $offset), 'too few workers: the log says so');
my ($needed) = slurp_file($node->logfile, $offset) =~ /Set max_worker_processes to at least (\d+) and restart/;
# twenty-five coordinators and as many appliers, the launcher, the server's logical replication launcher
is($needed, 52, 'and names the number that is needed');
$node->stop;
$node->append_conf('postgresql.conf', "max_worker_processes = $needed");
$node->start;
coordinators_are("@many", "with $needed background workers all are started");
$node->stop;

done_testing();
