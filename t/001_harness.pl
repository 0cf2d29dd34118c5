# The harness itself: real servers at addresses of their own, cuts that cut, and ways back.
use strict;
use warnings FATAL => 'all';

use File::Spec;
use IPC::Open2;
use Test::More;
use Time::HiRes 'time';

use SchemaDrift::Disk;
use SchemaDrift::Group;

my $g = SchemaDrift::Group->new(regions => 3, extension => 0);
my ($us, $ap, $eu) = $g->names;

# Can a region reach another one, by TCP from its own network?  Each is asked for a time that suits the answer that is right: on a
# busy machine a connection may take long to be made.
sub reaches
{
	my ($from, $to) = @_;
	my $r = $g->try($to, 'SELECT 1', from => $from, connect_timeout => 30);

	return $r->{ok} && $r->{out} eq '1' ? 1 : 0;
}

sub is_cut_off
{
	my ($from, $to) = @_;

	return $g->try($to, 'SELECT 1', from => $from, connect_timeout => 4)->{ok} ? 0 : 1;
}

my $ids = {};
$ids->{ $g->sql($_, 'SELECT system_identifier FROM pg_control_system()') }++ foreach $g->names;
is(scalar keys %$ids, 3, 'every region has a system identifier of its own');
is($g->sql($us, 'SHOW fsync'), 'on', 'servers flush');

SKIP:
{
	skip 'needs network namespaces', 17 if !$g->net->is_real;

	foreach my $from ($g->names)
	{
		ok(reaches($from, $_), "$from reaches $_") foreach grep { $_ ne $from } $g->names;
	}

	$g->cut($us, $eu);
	is(join('', map { is_cut_off(@$_) } [ $us, $eu ], [ $eu, $us ]), '11', 'a cut cuts both ways');
	is(join('', map { reaches(@$_) } [ $us, $ap ], [ $ap, $eu ]), '11', 'and nothing else');
	ok($g->sql($eu, 'SELECT true'), 'the Unix socket works during a cut');
	$g->heal($us, $eu);
	is(join('', map { reaches(@$_) } [ $us, $eu ], [ $eu, $us ]), '11', 'heal heals');

	$g->isolate($eu);
	is(join('', is_cut_off($us, $eu), is_cut_off($eu, $ap), reaches($us, $ap)), '111', 'isolate takes one region away');
	$g->rejoin($eu);

	$g->cut($us, $eu, reset => 1);
	my $r = $g->try($eu, 'SELECT 1', from => $us, connect_timeout => 20);
	like($r->{err}, qr/refused|reset/, 'a cut with reset is told at once');
	$g->heal_all;

	$g->net->unplug($ap);
	is(join('', is_cut_off($us, $ap), reaches($us, $eu)), '11', 'a link taken down');
	$g->net->plug($ap);
	ok(reaches($us, $ap), 'and put back');

	is(within_a_second($us, 'IO::Socket::INET->new(PeerAddr => shift, PeerPort => 1) or print $!', $g->net->black_hole),
		'no answer', 'a black hole answers nothing');
	$g->net->silence_resolver($us, $g->region($us)->basedir);
	is(within_a_second($us, 'print gethostbyname("nobody.example") ? "found" : "not found"'),
		'no answer', 'nor does a silent name server');
	$g->region($us)->restart;

	# One-way: what us-east sends vanishes, what eu-west sends arrives.  A datagram tells the two apart.
	$g->cut($us, $eu, one_way => 1);
	is(join('', map { datagram(@$_) } [ $us, $eu ], [ $eu, $us ]), '01', 'a one-way cut is one-way');
	$g->heal_all;
}

# What a piece of perl prints in a region's network, if it does so in time.
sub within_a_second
{
	my ($name, $code, @args) = @_;

	open my $out, '-|', $g->net->prefix($name), 'timeout', 1, $^X, '-MIO::Socket::INET', '-e', $code, @args
	  or die "perl: $!";
	my $answer = readline $out;
	close $out;
	return $answer // ($? >> 8 == 124 ? 'no answer' : "status $?");
}

# The time that something takes on a busy machine: the least of several, until it is short enough.
sub quickest
{
	my ($code, $enough) = @_;
	my $least;

	foreach (1 .. 10)
	{
		my $start = time();
		$code->();
		my $took = time() - $start;
		$least = $took if !defined $least || $took < $least;
		last if $least < $enough;
	}
	return $least;
}

# Send a datagram from one region's network to another's; did it arrive?
sub datagram
{
	my ($from, $to) = @_;
	my $address = $g->region($to)->{sd_link}{host};

	# it waits from the moment on when the datagram has left
	my $pid = open2(my $receiver, my $left, $g->net->prefix($to), $^X, '-MIO::Socket::INET', '-e', <<'PERL', $address);
		$| = 1;
		my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => $ARGV[0], LocalPort => 9999) or die;
		print "ready\n";
		readline STDIN;
		vec(my $in, fileno $s, 1) = 1;
		print select($in, undef, undef, 4) > 0 ? "1\n" : "0\n";
PERL
	readline $receiver;
	system($g->net->prefix($from), $^X, '-MIO::Socket::INET', '-e', <<'PERL', $address) == 0 or die 'sender';
		IO::Socket::INET->new(Proto => 'udp', PeerAddr => $ARGV[0], PeerPort => 9999)->send('x') or die;
PERL
	close $left;
	my $answer = readline $receiver;
	chomp $answer;
	waitpid $pid, 0;
	return $answer;
}

# Sessions
my $s = $g->session($us);
$s->send('SELECT pg_sleep(60);');
ok($s->is_busy, 'a session runs in the background');
like($s->pid, qr/^\d+$/, 'and its backend is known');
$s->cancel;
my $r = $s->result;
is("$r->{sqlstate} $r->{message}", '57014 canceling statement due to user request', 'cancel, with the SQLSTATE');
$r = $s->query("DO \$\$ BEGIN RAISE 'x %', 1 USING errcode = 'SD001', detail = E'one\\ntwo', hint = 'three'; END \$\$;");
is(join('|', @$r{qw(sqlstate message detail hint)}), "SD001|x 1|one\ntwo|three", 'errors come in parts');
is($s->query("SELECT 1; SELECT 'two';")->{out}, "1\ntwo", 'and the session goes on');
$s->send("SELECT 'begun'; SELECT pg_sleep(60);");
ok($s->wait_for(qr/begun/), 'output of what still runs');
$s->terminate;
$r = $s->result;
is("$r->{sqlstate} $r->{gone}", '57P01 1', 'a terminated session is gone');

# Pause, crash, restart
my $eu_server = $g->region($eu);
$eu_server->pause;
$s = $g->session($eu);
$s->send('SELECT 1;');
is_deeply([ grep { $_ !~ /[TZ]/ } map { SchemaDrift::Region::process_state($_) } $eu_server->pids ], [], 'pause stops every process');
$eu_server->resume;
is($s->result->{out}, '1', 'resume lets it answer');

my @pids = $eu_server->pids;
cmp_ok(scalar @pids, '>', 4, 'a server is several processes');
$eu_server->kill9;
is(scalar(grep { kill 0, $_ } @pids), 0, 'kill9 leaves none of them');
$r = $s->query('SELECT 1;');
ok($r->{gone}, 'its clients notice');
$eu_server->start;
is($g->sql($eu, 'SELECT 1'), '1', 'and it starts again');
$eu_server->restart;
ok($g->wait_until($eu, 'SELECT 1', '1'), 'restart');
ok($eu_server->wait_log(qr/database system is ready/), 'the log is found');

# The server has no rights that the test has
open my $status, '<', '/proc/' . ($eu_server->pids)[0] . '/status' or die "status: $!";
is_deeply([ map { /^Cap(?:Eff|Prm|Amb):\s+(\S+)/ ? $1 =~ tr/0//cdr eq $1 ? 'none' : $1 : () } readline $status ],
	[ ('none') x 3 ], 'servers run without capabilities');

# Without preloading
my $bare = SchemaDrift::Region->make($g->net, 'bare', conf => "shared_preload_libraries = ''");
$bare->start;
$r = $bare->try('CREATE EXTENSION schemadrift');
is(join(' ', $r->{sqlstate}, $r->{message} // ''), '55000 schemadrift must be preloaded', 'CREATE EXTENSION without preloading');
like($r->{hint} // '', qr/shared_preload_libraries/, 'and the hint says what to do');

# A clock of its own
SKIP:
{
	skip 'needs a compiler', 2 if !SchemaDrift::Region::clock_library();
	my $own = SchemaDrift::Region->make($g->net, 'clock', clock => 1, conf => "shared_preload_libraries = ''");

	$own->start;
	my $s = $own->session;
	my $now = $s->query('SELECT extract(epoch FROM now())::bigint;')->{out};
	$own->set_clock(-3600);
	cmp_ok(abs($s->query('SELECT extract(epoch FROM now())::bigint;')->{out} + 3600 - $now), '<', 60, 'a clock set back, under a running session');
	$own->set_clock(0);
	cmp_ok(abs($own->sql('SELECT extract(epoch FROM now())::bigint') - $now), '<', 60, 'and right again');
	$own->stop;
}

# Disks of its own
SKIP:
{
	skip 'needs root, loop devices and mkfs.ext4', 8 if !SchemaDrift::Disk->possible;
	my $own = SchemaDrift::Region->make($g->net, 'own', disks => 1,
		conf => "shared_preload_libraries = ''\nwal_writer_delay = 10s\nautovacuum = off\nmax_wal_size = 64MB\nmin_wal_size = 32MB");

	$own->start;
	$own->sql('CREATE TABLE kept (n int); CREATE TABLE big (t text)');
	$own->sql('INSERT INTO kept VALUES (1)');
	PostgreSQL::Test::Utils::append_to_file($own->basedir . '/unflushed', 'x');
	$own->sql('BEGIN; SET LOCAL synchronous_commit = off; INSERT INTO kept VALUES (2); COMMIT');
	$own->power_loss;
	ok(!-e $own->basedir . '/unflushed', 'a power cut takes what was not flushed');
	$own->start;
	is($own->sql('SELECT sum(n) FROM kept'), '1', 'and nothing else');

	$own->{sd_disks}{data}->fill;
	$r = $own->try("INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
	is($r->{sqlstate}, '53100', 'a full disk');
	$own->{sd_disks}{data}->free;
	ok($own->try("INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 20000)")->{ok}, 'no longer full');

	my $since = $own->log_size;
	$own->{sd_disks}{wal}->fill;
	$own->try('INSERT INTO kept VALUES (0); SELECT pg_switch_wal()') foreach 1 .. 9;
	ok($own->wait_log(qr/PANIC:  .*No space left on device/, $since), 'WAL finds no room');
	$own->{sd_disks}{wal}->free;
	$own->kill9;
	$own->start;
	is($own->sql('SELECT sum(n) FROM kept'), '1', 'the server comes back');

	$since = $own->log_size;
	$_->cut_power foreach values %{ $own->{sd_disks} };
	isnt($own->try('INSERT INTO kept VALUES (2)')->{sqlstate}, '00000', 'nothing is told to have been written to a broken disk');
	$own->kill9;
	$_->repair foreach values %{ $own->{sd_disks} };
	$own->start;
	is($own->sql('SELECT sum(n) FROM kept'), '1', 'nor was it');
	$own->stop;
}

# Databases as regions
my $d = SchemaDrift::Group->new(regions => 5, databases => 1, extension => 0);
is(join(' ', map { $d->sql($_, 'SELECT current_database()') } $d->names), join(' ', $d->names), 'databases as regions');
is($d->try('us-east', 'SELECT 1', from => 'server')->{out}, '1', 'reachable by TCP');

# The proxy
my $p = SchemaDrift::Group->new(regions => 2, proxied => 1, extension => 0);
SKIP:
{
	skip 'needs network namespaces', 5 if !$p->net->is_real;

	$s = $p->session('ap-south', from => 'us-east');
	is($s->query('SELECT 1;')->{out}, '1', 'through the proxy');
	$p->net->quality('us-east', 'ap-south', latency => 0.15);
	$p->net->quality('ap-south', 'us-east', latency => 0.15);
	my $took = quickest(sub { $s->query('SELECT 1;') }, 0.6);
	ok($took > 0.3 && $took < 0.6, "latency both ways: $took");
	$p->net->quality('us-east', 'ap-south', latency => 0);
	$p->net->quality('ap-south', 'us-east', latency => 0, rate => 100_000);
	$took = quickest(sub { $s->query("SELECT repeat('x', 50000);") }, 1);
	ok($took > 0.4 && $took < 1, "bandwidth: $took");
	$p->net->quality('ap-south', 'us-east', rate => 0, stall => 1);
	$s->send('SELECT 1;');
	ok(!eval { $s->result(timeout => 0.5) }, 'a stalled link says nothing');
	$p->net->drop('us-east', 'ap-south');
	ok($s->result->{gone}, 'a dropped connection is told');
}

# What is built is built of what is there, whatever the times of files are
my $tree = "$PostgreSQL::Test::Utils::tmp_check/tree";
my $copy = File::Spec->rel2abs('t/lib/copy.pl');
mkdir $_ or die "$_: $!" foreach $tree, "$tree/src";

sub copied
{
	my ($contents, $time) = @_;
	my @files = ('src/a.h', 'Makefile');

	foreach my $file (@files)
	{
		PostgreSQL::Test::Utils::append_to_file("$tree/new", $contents);
		rename "$tree/new", "$tree/$file" or die $!;
		utime $time, $time, "$tree/$file" or die $!;
	}
	system('sh', '-c', 'cd "$0" && exec "$@"', $tree, $^X, $copy, 'copy', 'src', 'Makefile') == 0 or die 'copy.pl failed';
	return join ' ', map { (stat "$tree/copy/$_")[9] } @files;
}
my $hour_ago = int(time()) - 3600;
copied("one\n", $hour_ago);
PostgreSQL::Test::Utils::append_to_file("$tree/copy/$_", 'x') foreach 'src/a.o', 'src/gone.h';
utime $hour_ago, $hour_ago, map { "$tree/copy/$_" } 'src/a.h', 'Makefile' or die $!;
utime $hour_ago + 60, $hour_ago + 60, "$tree/copy/src/a.o" or die $!;
is(copied("one\n", $hour_ago + 120), "$hour_ago $hour_ago", 'a file with the same contents is as old as it was: nothing is built again');
ok(-e "$tree/copy/src/a.o" && !-e "$tree/copy/src/gone.h", 'objects stay, what was removed goes');
is(scalar(grep { $_ > $hour_ago + 60 } split ' ', copied("two\n", $hour_ago - 60)), 2, 'one with others is newer than its objects, also if it is older in the tree that it comes from');
is(PostgreSQL::Test::Utils::slurp_file("$tree/copy/src/a.h"), "two\n", 'and is that file');

# Targets that begin by installing what is missing begin where PostgreSQL's headers are missing.  make only says what it would do;
# FAULTS keeps torture from asking another make.
sub without_headers
{
	my ($target) = @_;
	my $none = "$PostgreSQL::Test::Utils::tmp_check/no/pg_config";
	my $out = qx{make -n '$target' PG_CONFIG='$none' DIR=/tmp PGSRC=/tmp FAULTS=cut 2>&1};

	return ($? >> 8, $out);
}
my ($phony) = PostgreSQL::Test::Utils::slurp_file('t/test.mk') =~ /^\.PHONY: (.*)$/m;
foreach my $target (split ' ', $phony)
{
	my ($code, $out) = without_headers($target);
	is($code, 0, "make $target starts without PostgreSQL") or diag($out);
	# folders of their own, and no server at all
	like($out, qr{t/setup\.sh}, '... and installs it') if $target !~ /^(?:matrix|arrows)$/;
}
my ($code, $out) = without_headers('all');
is($code, 2, 'make all does not');
like($out, qr/install PostgreSQL's server development files/, '... and says what to install');

done_testing();
