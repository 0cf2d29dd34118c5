#!/usr/bin/perl
# run.pl [TAP FILE...]: builds, installs and tests everything; the last line counts what passed and failed.
#
# Runs in the source tree, as root or whoever may install into PostgreSQL's directories.  Nothing is built in the
# source tree: copies go to build/testing (with -DSD_TESTING: wait points and planted mistakes) and build/release.
# Servers and tests run in a fresh directory of an unprivileged user, in t/sandbox.  Every step's output is in
# build/log, and there its last line of the form "name: N passed, N failed" is its result; a step without such a
# line counts as one, by its exit status.
#
# STEPS="arrows unit ..." in the environment runs only these.  With TAP files: only the test build and these files.
# OTHER_PG_CONFIG: pg_configs of other majors of PostgreSQL, for the tests that need more than one; the test build is installed
# there, too.
#
# SD_TEST_TMP (default: TMPDIR or /tmp) is where the fresh directory is made; it goes when all passed.
use strict;
use warnings;

use Cwd 'getcwd';
use Fcntl ':flock';
use File::Basename;
use File::Copy 'copy';
use File::Path qw(make_path remove_tree);
use File::Temp 'tempdir';
use POSIX ();
use Time::HiRes qw(sleep time);

my @files = @ARGV;
my $source = getcwd();
my $log    = "$source/build/log";
my $config = $ENV{PG_CONFIG} || 'pg_config';
my $pgxs   = pg_config('--pgxs');
my $bindir = pg_config('--bindir');
my $cores  = qx{nproc} + 0 || 1;
my ($passed, $failed, @failures) = (0, 0);
my ($run, $sandbox, %lock, %child);

die "run.pl: start me in the source tree\n" if !-e 'schemadrift.control';
$| = 1;
$ENV{PATH} .= ':/usr/sbin:/sbin';    # iptables, for one, is where only root looks for commands
delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};    # our makes have goals and variables of their own
$SIG{$_} = \&interrupted foreach qw(HUP INT TERM);
remove_tree($log);
make_path($log);

my @steps = (
	[ arrows    => sub { run('arrows', 'perl', 't/arrows.pl', 'src', pg_config('--includedir-server')) } ],
	[ unit      => sub { run('unit', 'make', '-s', 'unit') } ],
	[ simulate  => sub { pure() } ],
	[ model     => sub { pure() } ],
	[ build     => sub { build('testing', $config, 'SD_TESTING=1') } ],
	[ others    => sub { others() } ],
	[ regress   => sub { regress('regress', 'testing') } ],
	[ isolation => sub { regress('isolation', 'testing') } ],
	# the longest are the last by number, and would keep one core waiting at the end
	[ tap       => sub { tap('tap', @files ? @files : glob 't/9*.pl t/[0-8]*.pl') } ],
	[ release   => sub { build('release', $config) && symbols() } ],
	[ again     => sub { regress('regress', 'release') & tap('tap-release', glob 't/[0-9]*_main*.pl') } ],
	[ demo      => sub { demo() } ],
	[ bench     => sub { bench() } ],
	[ sanitize  => sub { watched('sanitize', 'asan', 'SD_SANITIZE=1') } ],
	[ valgrind  => sub { watched('valgrind', 'valgrind') } ],
	[ fuzz      => sub { fuzz() } ]);
my %on_screen = (demo => 1, bench => 1);    # not tests, and they have the terminal
my %asked_for = (%on_screen, sanitize => 1, valgrind => 1, fuzz => 1);
my %wanted = map { $_ => 1 } split ' ',
    $ENV{STEPS} ? $ENV{STEPS}
  : @files      ? 'build others tap'
  :               join ' ', grep { !$asked_for{$_} } map { $_->[0] } @steps;

foreach my $name (sort keys %wanted)
{
	die "run.pl: there is no step \"$name\"; steps are: " . join(' ', map { $_->[0] } @steps) . "\n" if !grep { $_->[0] eq $name } @steps;
}
$wanted{release} = 1 if grep { $on_screen{$_} } keys %wanted;
foreach my $step (@steps)
{
	$step->[1]->() if $wanted{ $step->[0] };
	# without a library there is nothing more to learn
	last if grep { /^build-/ } @failures;
}
remove_tree($run) if $run && !$failed;
exit($failed ? 1 : 0) if $ENV{STEPS} && $on_screen{ $ENV{STEPS} };

if (@failures)
{
	print "\nfailed: @failures\n";
	print "logs are in build/log", $run ? ", data directories in $run\n" : "\n";
}
print "$passed passed, $failed failed\n";
exit($failed ? 1 : 0);

sub pg_config
{
	my ($what, $of) = @_;
	my $answer = qx{@{[ $of // $config ]} $what};

	die "run.pl: $config $what failed\n" if $?;
	chomp $answer;
	return $answer;
}

# One step: its output to a log, its count to ours.
sub run
{
	my ($name, @command) = @_;

	return judge($name, start($name, @command), time());
}

# Its end, and what it comes to.
sub judge
{
	my ($name, $pid, $start) = @_;
	my ($p, $f, $more) = (0, 0, '');

	printf '%-16s ', $name;
	waitpid $pid, 0;
	my $status = $?;
	delete $child{$pid};
	open my $fh, '<', "$log/$name.log" or die "$log/$name.log: $!\n";
	while (<$fh>)
	{
		($p, $f, $more) = ($1, $2, $3) if /^[\w-]+: (\d+) passed, (\d+) failed(.*)/;
	}
	$p = 1 if !$p && !$f && !$status;
	$f = 1 if !$f && $status;
	printf "%5d passed  %3d failed%s  %4.0f s\n", $p, $f, $more, time() - $start;
	$passed += $p;
	$failed += $f;
	if ($f)
	{
		push @failures, $name;
		show("$log/$name.log", 80);
	}
	return !$f;
}

sub start
{
	my ($name, @command) = @_;
	my $pid = fork() // die "fork: $!\n";

	if (!$pid)
	{
		open STDIN,  '<',  '/dev/null'      or die "/dev/null: $!\n";
		open STDOUT, '>>', "$log/$name.log" or die "$log/$name.log: $!\n";
		open STDERR, '>&', \*STDOUT         or die "stderr: $!\n";
		exec { $command[0] } @command or die "could not run $command[0]: $!\n";
	}
	$child{$pid} = 1;
	return $pid;
}

# What needs a core each and no server, side by side.
sub pure
{
	my @names = grep { delete $wanted{$_} } qw(simulate model);
	my $start = time();
	my %pid   = map { $_ => start($_, 'make', '-s', $_) } @names;

	judge($_, $pid{$_}, $start) foreach @names;
	return;
}

# Everything in the sandbox ends with it, a moment later; then its directory can go.
sub interrupted
{
	kill 'KILL', keys %child;
	chdir '/';
	foreach (1 .. 100)
	{
		remove_tree($run, { error => \my $still }) if $run;
		last if !$run || !-e $run;
		sleep 0.1;
	}
	POSIX::_exit(130);
}

# The end of a log, for those who have nothing but this output.
sub show
{
	my ($path, $lines) = @_;

	open my $fh, '<', $path or return;
	my @all = <$fh>;
	splice @all, 0, @all - $lines if @all > $lines;
	print "---- $path\n", @all, "----\n";
	return;
}

# One run at a time in one PostgreSQL: each installs its builds there, one after the other.  Ends with this process.
sub alone
{
	my ($dir) = @_;

	return if $lock{$dir};
	open $lock{$dir}, '<', $dir or die "$dir: $!\n";
	return if flock $lock{$dir}, LOCK_EX | LOCK_NB;
	print "another run installs into this PostgreSQL; waiting for its end\n";
	flock $lock{$dir}, LOCK_EX or die "$dir: $!\n";
	return;
}

# A copy of the sources, built and installed.  Objects stay from run to run: only what changed is built again.
sub build
{
	my ($kind, $of, @flags) = @_;
	my $dir = pg_config('--pkglibdir', $of);
	my $sudo = -w $dir ? '' : 'sudo --non-interactive';

	alone($dir);

	# a missing function of ours would be found only when a server loads the library
	return run("build-$kind", 'sh', '-e', '-c', <<"SH");
		mkdir -p build/$kind
		# objects of another PostgreSQL are no good
		$of > build/$kind.new
		cmp -s build/$kind.new build/$kind.pg || rm -rf build/$kind/src
		mv build/$kind.new build/$kind.pg
		perl t/lib/copy.pl build/$kind Makefile META.json schemadrift.control src t
		cd build/$kind
		make -s -j$cores PG_CONFIG='$of' @flags
		if nm --undefined-only schemadrift.so | grep ' sd_'; then exit 1; fi
		$sudo make -s PG_CONFIG='$of' @flags install
SH
}

# The test build for other majors; tests find them by major in SD_OTHER_MAJORS.
sub others
{
	my @found;

	foreach my $of (split ' ', $ENV{OTHER_PG_CONFIG} // '')
	{
		my ($major) = pg_config('--version', $of) =~ / ([0-9]+)/;

		return 0 if !build("testing-$major", $of, 'SD_TESTING=1');
		push @found, "$major:" . pg_config('--bindir', $of);
	}
	$ENV{SD_OTHER_MAJORS} = "@found";
	return 1;
}

# No wait point, no planted mistake in what people run.
sub symbols
{
	return run('symbols', 'sh', '-c', 'symbols=$(nm build/release/schemadrift.so) || exit 1
		! echo "$symbols" | grep -i sd_testing');
}

# The fresh directory, and the environment that tests find there.
sub prepare
{
	my $tmp = $ENV{SD_TEST_TMP} || $ENV{TMPDIR} || '/tmp';

	if (!$run)
	{
		$run = tempdir('schemadrift-test-XXXXXX', DIR => $tmp);
		system('sh', '-c', 'for f in Makefile schemadrift.control sql expected t docs src/functions/alerts.c; do [ ! -e $f ] || cp -a --parents $f "$0"/ || exit 1; done', $run) == 0
		  or die "could not copy the tests to $run\n";
		# what t/setup.sh has unpacked instead of installing it
		if (-d 'build/tools/usr/bin')
		{
			system('cp', '-r', 'build/tools/usr/bin', "$run/tools") == 0 or die "could not copy build/tools to $run\n";
			$ENV{PATH} = "$run/tools:$ENV{PATH}";
		}
		if ($ENV{SD_TOOLS})
		{
			system('cp', '-r', $ENV{SD_TOOLS}, "$run/node") == 0 or die "could not copy $ENV{SD_TOOLS} to $run\n";
			$ENV{SD_TOOLS} = "$run/node";
		}
		my $user = $> ? undef : $ENV{SD_TEST_USER} || (defined getpwnam('postgres') ? 'postgres' : 'nobody');
		system('chown', '-R', "$user:", $run) == 0 or die "could not give $run to $user\n" if $user;
		chmod 0755, $run;
	}
	$ENV{PATH}             = "$bindir:$ENV{PATH}" if $ENV{PATH} !~ /^\Q$bindir\E:/;
	$ENV{PERL5LIB}         = "$run/t/lib:" . dirname($pgxs) . '/../test/perl';
	$ENV{PG_REGRESS}       = dirname($pgxs) . '/../test/regress/pg_regress';
	$ENV{PG_ISOLATION}     = dirname($pgxs) . '/../test/isolation/pg_isolation_regress';
	$ENV{SD_TEST_TEMPLATE} = "$run/template";
	$ENV{HOME}             = $run;
	# sockets too go with the directory, if their paths (107 bytes at most) are not too long then
	$ENV{TMPDIR} = $run if length $run < 60;
	if (!$sandbox)
	{
		$sandbox = qx{"$run/t/sandbox" sh -c 'echo \$SD_SANDBOX' 2>&1};
		print "no network namespaces here: tests that cut real networks are skipped\n" if $sandbox !~ /^net$/;
	}
	return;
}

sub inside
{
	my ($name, @command) = @_;

	prepare();
	chdir $run or die "$run: $!\n";
	my $ok = run($name, "$run/t/sandbox", @command);
	chdir $source or die "$source: $!\n";
	return $ok;
}

sub regress
{
	my ($kind, $build) = @_;
	my $name = $build eq 'testing' ? $kind : "$kind-$build";

	my @tests = glob($kind eq 'isolation' ? 't/isolation/specs/*.spec' : 'sql/*.sql');
	return 1 if !@tests;
	my $ok = inside($name, 'perl', 't/lib/regress.pl', $kind, $name);
	keep("$run/$name");
	show($_, 400) foreach $ok ? () : glob "$log/$name/regression.diffs $log/$name/*_$kind.log";
	return $ok;
}

sub tap
{
	my ($name, @tests) = @_;

	return 1 if !@tests;
	my $ok = inside($name, 'perl', 't/lib/tap.pl', $name, @tests);
	keep("$run/$name");
	return $ok;
}

# Servers that are watched (t/lib/watched/): whatever is said of any of their processes is a failure.
sub watched
{
	my ($name, $watcher, @flags) = @_;

	if (build(@flags ? $name : 'testing', $config, 'SD_TESTING=1', @flags))
	{
		prepare();
		local $ENV{SD_TEST_SERVER}       = "$run/t/lib/watched/$watcher";
		local $ENV{SD_TEST_WATCH}        = "$run/said-$name";
		local $ENV{SD_TEST_FILE_TIMEOUT} = 3600;
		mkdir $ENV{SD_TEST_WATCH};
		chmod 01777, $ENV{SD_TEST_WATCH};
		regress('regress', $name) if !@files;
		tap("tap-$name", @files) if @files;
		run("said-$name", 'sh', '-c', 'cd "$0" && find . -type f ! -name first.so -size +0 -exec head -c 20000 {} + | tee /dev/stderr | wc -c | grep -qx 0',
			$ENV{SD_TEST_WATCH});
		keep($ENV{SD_TEST_WATCH});
	}
	# the library that was watched is no good for servers that are not
	return !@flags || build('testing', $config, 'SD_TESTING=1');
}

# Nothing is installed: the library is named by its path.
sub fuzz
{
	my $minutes = $ENV{MINUTES} // 1;

	return if !run('build-fuzz', 'sh', '-e', '-c', <<"SH");
		perl t/lib/copy.pl build/fuzz Makefile META.json schemadrift.control src t
		cd build/fuzz
		make -s -j$cores PG_CONFIG='$config' SD_TESTING=1 SD_FUZZ=1
SH
	prepare();
	copy('build/fuzz/schemadrift.so', "$run/fuzz.so") or die "$run/fuzz.so: $!\n";
	chmod 0755, "$run/fuzz.so";
	inside('fuzz', 't/fuzz/run', "$run/fuzz.so", 60 * $minutes, split ' ', $ENV{TARGETS} // '');
	print grep { /^\w+ +\d+ inputs/ } do { open my $fh, '<', "$log/fuzz.log"; $fh ? <$fh> : () };
	keep("$run/found");
	return;
}

# Logs and differences of a step, out of the directory that goes.
sub keep
{
	my ($from) = @_;
	my $to = "$log/" . basename($from);

	make_path($to);
	copy($_, $to) foreach grep { -f } glob "$from/*.tap $from/*-crash-* $from/*-timeout-* $from/asan* $from/ubsan* $from/valgrind* $from/*.out $from/*.diffs $from/tmp_check/log/* $from/*.log";
	return;
}

# Figures: no passing and failing, except of the whole.
sub bench
{
	return if $failed;
	prepare();
	chdir $run or die "$run: $!\n";
	local @ENV{qw(TESTDIR TESTDATADIR TESTLOGDIR)} = ('.', './tmp_check', './tmp_check/log');
	if (system('sh', '-c', 'exec "$@" </dev/null 2>bench.log', 'sh', "$run/t/sandbox", 'perl', "$run/t/bench.pl"))
	{
		show("$run/bench.log", 20);
		$failed++;
	}
	chdir $source or die "$source: $!\n";
	return;
}

# The demonstration has the terminal.  With KEEP=1 its sandbox stays behind, and this tells how to end it.
sub demo
{
	return if $failed;
	prepare();
	chdir $run or die "$run: $!\n";
	local $ENV{SD_COLOR} = -t STDOUT && !$ENV{NO_COLOR} ? 1 : 0;
	local $ENV{SD_SANDBOX_KEEP} = $ENV{KEEP} ? 1 : 0;
	local @ENV{qw(TESTDIR TESTDATADIR TESTLOGDIR)} = ('.', './tmp_check', './tmp_check/log');
	# What stays behind must hold neither our terminal nor the pipe that somebody reads from us.
	my $pid = open my $out, '-|', 'sh', '-c', 'exec "$@" </dev/null 2>>demo.log', 'sh', 'setsid', "$run/t/sandbox", 'perl',
	  "$run/t/demo.pl";
	die "demo: $!\n" if !$pid;
	$child{$pid} = 1;
	my $stays = 0;
	while (!$stays && sysread $out, my $text, 8192)
	{
		$stays = $text =~ s/\0//;    # its last word, when the servers stay
		print $text;
	}
	if ($stays)
	{
		print "To end it all: kill -9 $pid; rm -r $run\n";
		POSIX::_exit(0);    # the end of the pipe would wait for it
	}
	close $out;
	show("$run/demo.log", 20) if $?;
	$failed++ if $?;
	chdir $source or die "$source: $!\n";
	make_path("$log/demo");
	copy($_, "$log/demo") foreach glob "$run/tmp_check/log/*";
	return;
}
