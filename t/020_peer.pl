# Connections to other regions: whatever one peer does, the loop and the other peers do not notice.
#
# sd_testing_peers (src/peer/testing.c, in test builds) drives several peers from one loop in a backend and says what
# came of their calls, and for how long the loop did not look at its sockets.
use strict;
use warnings FATAL => 'all';

# A name server that never answers: in a sandbox this test takes a network and a resolv.conf of its own.  First of all,
# before PostgreSQL::Test::Utils redirects the output.
BEGIN
{
	if (($ENV{SD_SANDBOX} // '') eq 'net' && !$ENV{SD_TEST_SILENT_NAME_SERVER})
	{
		$ENV{SD_TEST_SILENT_NAME_SERVER} = 1;
		exec qw(unshare --mount --net), $^X, (map { "-I$_" } @INC), $0 or die "unshare: $!";
	}
}

use Cwd 'abs_path';
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $silent = $ENV{SD_TEST_SILENT_NAME_SERVER} && silence_name_server();

# The most the loop may be away.  Its own work takes some milliseconds, the rest is for a busy test machine.  A name
# server takes 5 s, connect() to a black hole a minute.
use constant AWAY_US => 300_000;

my $here = PostgreSQL::Test::Cluster->new('here');
my $good = PostgreSQL::Test::Cluster->new('good');
my $bad  = PostgreSQL::Test::Cluster->new('bad');

foreach my $node ($here, $good, $bad)
{
	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nmax_connections = 30\n");
	$node->append_conf('pg_hba.conf', "host all all 127.0.0.1/32 trust\n");
}
my $service = abs_path($here->basedir) . '/service.conf';
append_to_file($service, sprintf "[good]\nhost=localhost\nport=%d\ndbname=postgres\n", $good->port);
$here->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'schemadrift'
schemadrift.connect_timeout = 20s
schemadrift.retry_max_interval = 1s
CONF
{
	local $ENV{PGSERVICEFILE} = $service;
	local $ENV{HOME} = abs_path($here->basedir);    # where libpq looks for certificates
	$here->start;
}
$_->start foreach $good, $bad;

$here->safe_psql('postgres', <<'SQL');
CREATE FUNCTION peers(conninfos text[], sqls text[], seconds float8, interval_ms int, timeout_ms int, body_bytes int,
	at_once bool, max_calls int) RETURNS text AS '$libdir/schemadrift', 'sd_testing_peers' LANGUAGE C STRICT;
CREATE FUNCTION conninfo_check(text) RETURNS void AS '$libdir/schemadrift', 'sd_testing_conninfo' LANGUAGE C STRICT;
CREATE FUNCTION rules(text, text) RETURNS text AS '$libdir/schemadrift', 'sd_testing_rules' LANGUAGE C STRICT;
SQL
$good->safe_psql('postgres', 'CREATE DATABASE other');
# we log in as superuser: what is called must seem to belong to one
$_->[0]->safe_psql($_->[1], 'CREATE SCHEMA schemadrift_rpc') foreach [ $good, 'postgres' ], [ $good, 'other' ], [ $bad, 'postgres' ];

my $healthy = conninfo($good, '');

# How long a connection may take to be made.  Where a peer does not answer, a short time makes the test short; where all
# answer it is a long one, as a busy machine may keep a process that starts waiting for the processor.
sub connect_timeout
{
	my ($limit) = @_;
	$here->safe_psql('postgres', "ALTER SYSTEM SET schemadrift.connect_timeout = '$limit'");
	$here->reload;
	$here->poll_query_until('postgres', "SELECT current_setting('schemadrift.connect_timeout') = '$limit'") or die;
}

# Calls to some peers; a hash of what was reported.  others => N: each peer that is well must have answered more calls than
# that, and nothing else, and the loop may not have been away.  enough => code: what else must be so of a report.  Both are given
# several chances, as a busy machine may keep any process waiting, for some seconds at a time, while a loop that waits for a
# peer does so every time.
sub peers
{
	my ($conninfos, %o) = @_;
	my $report;

	foreach (1 .. ($o{others} || $o{enough} ? 10 : 1))
	{
		$report = peers_once($conninfos, %o);
		last if (!$o{others} || goes_on($conninfos, $report, $o{others})) && (!$o{enough} || $o{enough}->($report));
	}
	return $report;
}

sub goes_on
{
	my ($conninfos, $report, $others) = @_;
	my @well = grep { $conninfos->[$_] eq $healthy } 0 .. $#$conninfos;

	return $report->{longest_block_us} < AWAY_US
	  && !grep { $_->{ok} <= $others || $_->{not_sent} + $_->{unanswered} > 0 } @{ $report->{peers} }[@well];
}

sub peers_once
{
	my ($conninfos, %o) = @_;
	my $array = sub {
		return 'ARRAY[' . join(',', map { s/'/''/gr =~ s/^(.*)$/'$1'/sr } @_) . ']::text[]';
	};
	my $out = $here->safe_psql('postgres', sprintf 'SELECT peers(%s, %s, %s, %d, %d, %d, %s, %d)',
		$array->(@$conninfos), $array->(@{ $o{sqls} // ['SELECT 42'] }), $o{seconds} // 30, $o{interval} // 10,
		$o{timeout} // 20_000, $o{body} // 0, $o{at_once} ? 'true' : 'false', $o{calls} // 0);
	my $report = decode_json($out);

	# Every run must give back what it took.  A lookup that is still out keeps a pipe's end and the resolver's socket.
	$report->{tidy} = $report->{threads} <= 1 + ($o{lookups} // 0)
	  && $report->{descriptors} <= 2 * ($report->{threads} - 1);
	diag "descriptors $report->{descriptors}, threads $report->{threads}" if !$report->{tidy};
	return $report;
}

sub conninfo
{
	my ($node, $more) = @_;
	return 'host=127.0.0.1 port=' . $node->port . " dbname=postgres $more";
}

sub one
{
	my $report = peers(@_);
	ok($report->{tidy}, 'nothing is left open');
	return $report->{peers}[0];
}

# ---- calls ----

my $p = one([$healthy], calls => 200, interval => 0);
is("$p->{ok} $p->{value} $p->{circuit} $p->{phase}", '200 42 closed ready', 'calls are answered');
note "median of a call: $p->{median_us} us";

$p = one([$healthy], sqls => [q{DO $$BEGIN RAISE WARNING 'careful'; END$$}], calls => 2);
is("$p->{ok} $p->{warnings} $p->{text}", '2 2 careful||', 'a WARNING marks a call');

$p = one([ $healthy . q{ options='-c client_min_messages=error'} ],
	sqls => [q{DO $$BEGIN RAISE WARNING 'careful'; END$$}], calls => 1);
is($p->{warnings}, 1, 'and cannot be hidden');

$p = one([$healthy], calls => 2,
	sqls => [q{DO $$BEGIN RAISE 'no' USING DETAIL = 'why', HINT = 'what to do', ERRCODE = 'SD001'; END$$}]);
is("$p->{error} $p->{sqlstate} $p->{text} $p->{circuit}", '2 SD001 no|why|what to do closed',
	'an error keeps SQLSTATE, DETAIL and HINT, and is an answer');

$p = one([$healthy], sqls => ['BEGIN'], calls => 1);
is("$p->{unanswered} $p->{text}", '1 the call left a transaction open||', 'rows without a commit are no answer');
$p = one([$healthy], sqls => ['COPY (SELECT 1) TO STDOUT'], calls => 1);
is($p->{unanswered}, 1, 'nor is COPY');

$p = one([$healthy], sqls => [ 'SELECT 1', 'SELECT pg_terminate_backend(pg_backend_pid())' ], calls => 2);
is("$p->{ok} $p->{unanswered} $p->{sqlstate}", '1 1 57P01', 'a backend killed during a call leaves it unanswered');

$p = one([$healthy], sqls => [ 'SELECT 1', 'SELECT pg_sleep(8)' ], timeout => 3000, calls => 4,
	enough => sub { my ($report) = @_; return $report->{peers}[0]{ok} == 2 });    # the others in time
like("$p->{ok} $p->{unanswered} $p->{text}", qr/^2 2 timed out after [3-7]\.\d s \(no answer to a call\)\|\|$/,
	'a deadline leaves it unanswered, and the next call has a new connection');
$good->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(8)%'
	AND pid <> pg_backend_pid())}) or die;
unlike(slurp_file($good->logfile), qr/canceling statement/, 'nothing was cancelled');

$p = one([$healthy], sqls => [q{SELECT current_setting('application_name') || '|' || current_setting('search_path') ||
	'|' || current_setting('transaction_isolation')}], calls => 1);
is($p->{value}, 'schemadrift here|pg_catalog|read committed', 'the session is set up');

is($here->safe_psql('postgres', sprintf q{SELECT rules('%s', '%s')}, $healthy, $healthy =~ s/postgres/other/r), <<'END' =~ s/\n\z//r, 'rules');
priorities: ok vote; ok vote 2; ok learn; ok heartbeat; 
withdraw: 0; 1; not sent (withdrawn); not sent (timed out behind an earlier call); ok flying; 
in done: ok once; ok again; ok last; ok raises; caught; ok next; 
new conninfo: ok postgres; ok other; 
wake: not sent (no such file or directory); 1; ok found; 
free: unanswered (the connection was closed here); not sent (the connection was closed here); not sent (the connection was closed here); 
END

# ---- large bodies ----

my $report = peers([ ($healthy) x 2 ], sqls => ['SELECT length($1)'], body => 64 * 1024 * 1024, calls => 1,
	timeout => 60_000);
is(join(' ', map { "$_->{ok} $_->{value}" } @{ $report->{peers} }), '1 67108864 1 67108864', 'bodies of 64 MB arrive');
note "64 MB: $report->{peers}[0]{median_us} us, loop away $report->{longest_block_us} us";

# ---- one bad peer does not delay a good one ----

connect_timeout('500ms');

# A port that takes connections and says nothing.
my $hole = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64) or die "listen: $!";
my $nobody = PostgreSQL::Test::Cluster::get_free_port();
my %bad = (
	'refused port' => [ "host=127.0.0.1 port=$nobody", qr/^connection refused$/ ],
	'black hole' => [ 'host=127.0.0.1 port=' . $hole->sockport, qr/^timed out after (?:0\.[5-9]|[1-4]\.\d) s \(no answer to connect\)$/ ],
	'missing socket' => [ "host=/nonexistent port=$nobody", qr/^no such file or directory$/ ],
	'missing database' => [ conninfo($good, 'dbname=nowhere'), qr/^database "nowhere" does not exist$/ ],
	'missing service' => [ 'service=nowhere', qr/^definition of service "nowhere" not found$/ ],
	'senseless conninfo' => [ 'password=secret host', qr/^the conninfo cannot be parsed$/ ],
	'bad value' => [ 'sslmode=perhaps', qr/^invalid sslmode value: "perhaps"$/ ],
);
$bad{'silent name server'} = [ 'host=db.example.com dbname=postgres', qr/^the name server did not answer$/ ] if $silent;

foreach my $what (sort keys %bad)
{
	my ($conninfo, $error) = @{ $bad{$what} };
	my $report = peers([ $healthy, $conninfo, $healthy ], seconds => 0.9, interval => 5, lookups => 1, others => 15,
		enough => sub { my $worse = $_[0]{peers}[1]; return $worse->{last_error} =~ $error && $worse->{not_sent} > 0 });
	my ($first, $worse, $last) = @{ $report->{peers} };

	like($worse->{last_error}, $error, "$what: told in words");
	is("$worse->{ok} $worse->{circuit}", '0 ' . ($worse->{phase} eq 'waiting' ? 'open' : 'half-open'), "$what: circuit");
	cmp_ok($worse->{not_sent}, '>', 0, "$what: calls come back not sent");
	cmp_ok($_->{ok}, '>', 15, "$what: others are called") foreach $first, $last;
	is($first->{not_sent} + $first->{unanswered} + $last->{not_sent} + $last->{unanswered}, 0, "$what: and answer");
	cmp_ok($report->{longest_block_us}, '<', AWAY_US, "$what: the loop does not wait for it");
	ok($report->{tidy}, "$what: nothing is left open");
}

my @all = map { $_->[0] } values %bad;
$report = peers([ $healthy, @all, @all, @all ], seconds => 2, interval => 5, lookups => 3, others => 30,
	enough => sub { my ($report) = @_; return $report->{peers}[0]{median_us} < 50_000 });
$p = $report->{peers}[0];
ok($report->{tidy}, 'all at once: nothing is left open, one lookup a peer');
cmp_ok($p->{ok}, '>', 30, 'all at once: the good one is called');
cmp_ok($p->{median_us}, '<', 50_000, 'all at once: and quick');
cmp_ok($report->{longest_block_us}, '<', AWAY_US, 'all at once: the loop does not wait');
note "all at once: median $p->{median_us} us, loop away $report->{longest_block_us} us";

# ---- hosts ----

connect_timeout('20s');

SKIP:
{
	skip 'no silent name server here', 2 if !$silent;
	my $p = one([ sprintf 'host=db.example.com hostaddr=127.0.0.1 port=%d dbname=postgres', $good->port ], calls => 1);
	is($p->{ok}, 1, 'hostaddr needs no name server');
}
$p = one([ 'host=localhost dbname=postgres port=' . $good->port ], calls => 1);
is($p->{ok}, 1, 'a name is looked up');
$p = one([ 'postgresql://127.0.0.1:' . $good->port . '/postgres?application_name=x' ], calls => 1,
	sqls => ['SHOW application_name']);
is($p->{value}, 'schemadrift here', 'an URI; our name wins');
$p = one(['service=good'], calls => 1);
is($p->{ok}, 1, 'a service');
is($here->psql('postgres', q{SELECT conninfo_check('host=a sslmode=perhaps')}), 3, 'a conninfo is checked');
is($here->psql('postgres', q{SELECT conninfo_check('host=a,b dbname=c')}), 0, 'without connecting');

SKIP:
{
	my $certificate = abs_path($good->data_dir) . '/server.crt';
	skip 'no TLS here', 2
	  if system("cd '" . $good->data_dir . "' && openssl req -new -x509 -nodes -subj /CN=localhost -keyout server.key"
		  . ' -out server.crt && chmod 600 server.key') != 0
	  || $good->psql('postgres', 'ALTER SYSTEM SET ssl = on') != 0;
	$good->reload;
	$good->poll_query_until('postgres', q{SELECT current_setting('ssl') = 'on'}) or die;
	my $p = one([ sprintf 'host=localhost port=%d dbname=postgres sslmode=verify-full sslrootcert=%s', $good->port,
		$certificate ], calls => 1, sqls => ['SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()']);
	is("$p->{value} $p->{last_error}", 't ', 'a certificate is checked against the name, not the address');
}

# each has so long
connect_timeout('4s');
$p = one([ sprintf 'host=127.0.0.1,127.0.0.1,localhost port=%d,%d,%d dbname=postgres', $nobody, $hole->sockport,
	$good->port ], calls => 3);
is($p->{ok}, 3, 'each host of a list is tried, past a refusal and a black hole');
connect_timeout('20s');

# ---- statements that are prepared ----

my $prepared = '/* repeated */ SELECT count(*) FROM pg_prepared_statements';
$p = one([$healthy], sqls => [$prepared], calls => 20, interval => 0);
is("$p->{ok} $p->{value} $p->{circuit}", '20 1 closed', 'what is repeated is prepared once');
$p = one([$healthy], sqls => [ $prepared, 'SELECT pg_terminate_backend(pg_backend_pid())' ], calls => 20, interval => 0);
is("$p->{ok} $p->{unanswered} $p->{value}", '10 10 1', 'and again on another connection');
# as behind a pooler: the third call finds nothing prepared, and the fifth does not count on it
$p = one([$healthy], sqls => [ $prepared, 'DEALLOCATE ALL' ], calls => 5, interval => 0);
is("$p->{ok} $p->{error} $p->{sqlstate} $p->{value} $p->{circuit}", '4 1 26000 0 closed', 'and not, where that does not last');
$p = one([$healthy], sqls => [ q{PREPARE schemadrift AS SELECT 'of somebody else'}, $prepared, $prepared ], calls => 3, interval => 0);
is("$p->{ok} $p->{error} $p->{sqlstate} $p->{value}", '2 1 42P05 1', 'or where the name is taken');
$p = one([$healthy], sqls => ['/* repeated */ SELECT nonsense'], calls => 3, interval => 0);
is("$p->{error} $p->{sqlstate} $p->{circuit}", '3 42703 closed', 'what cannot be prepared is an error of the call');

# ---- the circuit ----

connect_timeout('500ms');

$p = one([ $bad{'refused port'}[0] ], calls => 20, interval => 1,
	enough => sub { my ($report) = @_; return $report->{peers}[0]{not_sent_us} < AWAY_US });
is("$p->{not_sent} $p->{circuit}", '20 open', 'calls on an open circuit come back');
cmp_ok($p->{not_sent_us}, '<', AWAY_US, 'at once');

# Each later attempt takes half a second: a call waits for one that is under way, unless it shall be at once.
$p = one([ $bad{'black hole'}[0] ], seconds => 5, enough => sub { my ($report) = @_; return $report->{peers}[0]{late} > 1 });
cmp_ok($p->{late}, '>', 1, 'calls wait for an attempt to connect') or diag(explain($p));
$p = one([ $bad{'black hole'}[0] ], seconds => 5, at_once => 1, enough => sub { my ($report) = @_; return $report->{peers}[0]{late} == 1 });
is($p->{late}, 1, '... but for the first not when they shall be at once') or diag(explain($p));

# Reconnecting, five hundred times.
connect_timeout('20s');
my $begun = time;
$p = one([$healthy], sqls => [ 'SELECT 1', 'SELECT pg_terminate_backend(pg_backend_pid())' ], calls => 1000,
	interval => 0, seconds => 120);
is("$p->{ok} $p->{unanswered}", '500 500', 'five hundred reconnects') or diag("circuit $p->{circuit}: $p->{last_error}");
note sprintf '%.1f ms a reconnect', (time - $begun) * 2;
connect_timeout('500ms');

# A whole server stands still, goes on, dies, comes back.  Its kernel still accepts connections.
sub server_pids
{
	my ($node) = @_;
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	my @children = split ' ', slurp_file("/proc/$postmaster/task/$postmaster/children");
	return ($postmaster, @children);
}

my @stopped = server_pids($bad);
kill 'STOP', @stopped;
my $in_words = qr/^timed out after (?:0\.[5-9]|[1-4]\.\d) s/;
$report = peers([ $healthy, conninfo($bad, '') ], seconds => 1.5, interval => 5, timeout => 400, others => 25,
	enough => sub { my ($report) = @_; return $report->{peers}[1]{last_error} =~ $in_words });
kill 'CONT', @stopped;
cmp_ok($report->{peers}[0]{ok}, '>', 25, 'a stopped server: others are called');
cmp_ok($report->{longest_block_us}, '<', AWAY_US, 'a stopped server: the loop does not wait for it');
like($report->{peers}[1]{last_error}, $in_words, 'a stopped server: told in words');
is($report->{peers}[1]{ok} + $report->{peers}[1]{unanswered}, 0, 'a stopped server: nothing was sent');

# Something happens while calls are made; again, as in peers(), if the loop was away, or a busy machine let more calls wait, or less
# of it happen in time.
sub during
{
	my ($what, %o) = @_;
	my $report;

	foreach (1 .. 5)
	{
		my $pid = fork // die "fork: $!";
		if ($pid == 0)
		{
			# calls are under way
			$bad->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'schemadrift here' AND query <> ''});
			$what->();
			POSIX::_exit(0);
		}
		$report = peers_once([ $healthy, conninfo($bad, '') ], interval => 5, timeout => 400, %o);
		waitpid $pid, 0;
		last if $report->{longest_block_us} < AWAY_US && $o{enough}->($report->{peers}[1]);
	}
	return $report;
}

$report = during(
	# for longer than a call waits
	sub { @stopped = server_pids($bad); kill 'STOP', @stopped; sleep 1; kill 'CONT', reverse @stopped },
	seconds => 5, enough => sub { my ($p) = @_; return $p->{unanswered} == 1 && $p->{circuit} eq 'closed' });
$p = $report->{peers}[1];
is($p->{unanswered}, 1, 'stopped during calls: one is unanswered');
is("$p->{circuit} $p->{last_error}", 'closed ', 'and when it goes on the circuit closes');
cmp_ok($report->{longest_block_us}, '<', AWAY_US, 'all the while the loop went on');

$report = during(sub { $bad->stop('immediate'); $bad->start }, seconds => 7, enough => sub { my ($p) = @_; return $p->{unanswered} <= 1 && $p->{circuit} eq 'closed' });
$p = $report->{peers}[1];
cmp_ok($p->{unanswered}, '<=', 1, 'a restart leaves at most the call in flight unanswered');
is("$p->{circuit} $p->{last_error}", 'closed ', 'and is found again');

# A standby cannot vote.
connect_timeout('20s');
$bad->stop;
$bad->set_standby_mode;
$bad->start;
$p = one([ conninfo($bad, '') ], calls => 1);
is("$p->{not_sent} $p->{last_error}", '1 server is in hot standby mode', 'a standby is no peer');
$p = one([ sprintf 'host=127.0.0.1,127.0.0.1 port=%d,%d dbname=postgres', $bad->port, $good->port ], calls => 1,
	sqls => ['SHOW port']);
is($p->{value}, $good->port, 'the primary behind it in the list is');
$bad->promote;
$p = one([ conninfo($bad, '') ], calls => 1);
is($p->{ok}, 1, 'once promoted it is');

unlike(slurp_file($here->logfile), qr/was terminated by signal|PANIC/, 'no backend died with a lookup under way');
$_->stop foreach $here, $good, $bad;
done_testing();

# mount(8) wants root; the system call wants only the capability.
sub silence_name_server
{
	my %mount = (x86_64 => 165, aarch64 => 40);
	my $number = $mount{ (POSIX::uname())[4] } or return 0;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/resolv.conf';
	my $target = '/etc/resolv.conf';

	append_to_file($file, "nameserver 127.0.0.1\n");
	local $ENV{XTABLES_LOCKFILE} = "$file.lock";
	return
	  system(qw(ip link set lo up)) == 0
	  && system(qw(iptables -w -A INPUT -p udp --dport 53 -j DROP)) == 0
	  && syscall($number, $file, $target, my $none = '', 4096, 0) == 0;
}
