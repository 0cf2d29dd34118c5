# PostgreSQL's own regression scripts, run in one region of a group of three: no crash, no region that ends up with another schema,
# and no statement refused that the list of refusals does not explain.
#
#   make coverage PGSRC=/path/to/postgresql-15.18 [PLAY="create_table alter_table"] [FROM=create_index] [PARTS=suite]
#   make matrix MAJORS=18 DIR=/path/to/postgresql-18.6 ONLY=t/coverage.pl [PLAY=...] [FROM=...] [PARTS=...]
#
# PLAY: these, and test_setup. FROM: from this one on, and before it those that others build on: test_setup, copy and create_*.
# PARTS: "suite" (as it is), "group", or both; with PLAY or FROM the default is "group".
#
# The regions are databases of one server, because the scripts make roles and tablespaces, which are shared, and load a
# library. They run one after another, in the order of parallel_schedule, through psql as pg_regress does it; the same on a
# database that is in no group, to tell what the group refuses from what PostgreSQL refuses. Rows stay in the first region.
#
# First the suite as it is, by pg_regress, twice: on a server without schemadrift and on one that has it loaded and has no group: the
# same scripts must pass.
#
# The list of refusals is the table of docs/coverage.md: a statement that is refused here and not by PostgreSQL must be in a row of it, by SQLSTATE and by what
# message or DETAIL says; what follows from a refusal must look like that.  make writes the rows that were met, with their counts and statements, to build/coverage.md.
use strict;
use warnings FATAL => 'all';

use Cwd 'abs_path';
use File::Basename;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

use SchemaDrift::Group;

my $src = ($ENV{PGSRC} || die "PGSRC is not set: make coverage PGSRC=...\n") . '/src/test/regress';
my @wanted = split ' ', $ENV{PLAY} // '';
my $from = $ENV{FROM} // '';
my %parts = map { $_ => 1 } split ' ', $ENV{PARTS} || (@wanted || $from ne '' ? 'group' : 'suite group');
my $tmp = abs_path($PostgreSQL::Test::Utils::tmp_check);
my ($version) = qx{pg_config --version} =~ /([0-9]+)/;

die "no regression scripts in $src\n" if !-e "$src/parallel_schedule";

sub contents
{
	my ($path) = @_;

	open my $file, '<:raw', $path or die "$path: $!\n";
	local $/;
	return scalar readline $file;
}

# The scripts write into their own directory, and read what is in it.
my $dir = "$tmp/regress";
mkdir $dir or die "$dir: $!";
system_or_bail('cp', '-R', "$src/.", $dir);
my $headers = qx{pg_config --includedir-server} =~ s/\s+\z//r;
foreach my $file (grep { -e } "$src/regress.c", map { "$src/../../../contrib/spi/$_.c" } qw(autoinc refint))
{
	system_or_bail('cc', '-shared', '-fPIC', '-O1', '-o', "$dir/" . basename($file, '.c') . '.so', $file, "-I$headers");
}
mkdir "$dir/results";
mkdir "$dir/testtablespace";

my @schedule = map { /^test:\s*(.*?)\s*$/ ? split ' ', $1 : () } split /\n/, contents("$dir/parallel_schedule");
foreach my $name (@wanted, $from eq '' ? () : $from)
{
	die "there is no script $name in parallel_schedule\n" if !grep { $_ eq $name } @schedule;
}
my @played = @schedule;
@played = grep { my $script = $_; grep { $_ eq $script } 'test_setup', @wanted } @schedule if @wanted;
if ($from ne '')
{
	my $reached = 0;
	@played = grep { $reached ||= $_ eq $from; $reached || /^(?:test_setup$|copy$|create_)/ } @played;
}

$ENV{PGTZ} = 'PST8PDT';
$ENV{PGDATESTYLE} = 'Postgres, MDY';
$ENV{PG_ABS_SRCDIR} = $ENV{PG_ABS_BUILDDIR} = $ENV{PG_LIBDIR} = $dir;
$ENV{PG_DLSUFFIX} = '.so';

# ---- the suite as it is ----

# Scripts that fail, as pg_regress sees it.
sub regress
{
	my ($name, $preload) = @_;
	my $out = "$tmp/$name";
	mkdir $out;
	append_to_file("$out.conf", "max_prepared_transactions = 10\nmax_worker_processes = 20\n"
		. ($preload ? "shared_preload_libraries = 'schemadrift'\n" : ''));
	my $log = qx{$ENV{PG_REGRESS} --temp-instance=$out/instance --temp-config=$out.conf --inputdir=$dir --outputdir=$out --dlpath=$dir --no-locale --encoding=UTF8 --bindir=@{[ qx{pg_config --bindir} =~ s/\s+\z//r ]} --schedule=$dir/parallel_schedule 2>&1};
	my @failed = $log =~ /^not ok/m ? ($log =~ /^not ok \d+\s+[-+]\s+(\S+)/mg) : ($log =~ /^(?:test)?\s+(\S+)\s+\.\.\. FAILED/mg);
	my $ran = () = $log =~ /\.\.\. (?:ok|FAILED)|^(?:not )?ok \d+/mg;

	note($log) if !$ran;
	return ($ran, sort @failed);
}

if ($parts{suite})
{
	my ($n, @without) = regress('plain', 0);
	my ($m, @with) = regress('loaded', 1);
	# the test build has a provider of labels, and the script security_label expects that there is none
	my %also = map { $_ => 1 } @without, 'security_label';
	my @only = grep { !$also{$_} } @with;

	cmp_ok($n, '>', 150, "pg_regress runs $n scripts without schemadrift, of which " . @without . " fail: @without");
	is($m, $n, '... and as many with it');
	is("@only", '', 'schemadrift loaded, no group: what passed without it passes with it');
	diag("coverage: suite as it is: $n scripts; " . @without . " fail without schemadrift (@without), and with it " . @with);
}

# ---- in a group ----

if (!$parts{group})
{
	done_testing();
	exit 0;
}

# Superusers that the scripts make, which a region must name, and what one of them is called later.
sub superusers
{
	return sort keys %{ { map { $_ => 1 } 'regress_schemauser_renamed', map { contents($_) =~ /^\s*(?:CREATE|ALTER)\s+(?:ROLE|USER)\s+(\w+)\s(?:[^;]*\s)?SUPERUSER\b/gim } glob "$dir/sql/*.sql" } };
}

my $g = SchemaDrift::Group->new(regions => [qw(first second third regression)], databases => 1, extension => 0, conf => <<"CONF");
schemadrift.heartbeat_interval = 250ms
max_prepared_transactions = 10
max_locks_per_transaction = 500
max_worker_processes = 30
logging_collector = on
log_destination = jsonlog
log_directory = 'said'
log_filename = 'all'
log_rotation_size = 0
log_rotation_age = 0
log_min_error_statement = error
lc_messages = 'C'
schemadrift.allowed_roles = '@{[ join ', ', '*', superusers() ]}'
CONF
my $server = $g->region('first');
my @regions = qw(first second third);
foreach my $name (@regions, 'regression')
{
	$g->sql($name, qq{ALTER DATABASE "$name" SET $_}) foreach "lc_messages TO 'C'", "lc_monetary TO 'C'", "lc_numeric TO 'C'", "lc_time TO 'C'",
	  "bytea_output TO 'hex'", "timezone_abbreviations TO 'Default'", "intervalstyle TO 'postgres_verbose'";
}
$g->sql($_, 'CREATE EXTENSION schemadrift') foreach @regions;
$g->sql('first', 'GRANT schemadrift_peer TO region_peer');
$g->make_group(names => \@regions, mode => 'coordinate');

# What a hint says to write instead of CREATE TABLE AS and SELECT INTO, so that the rest of the script has its tables.
my $in_two_steps = 0;
sub in_two_steps
{
	my ($text) = @_;
	my $name = qr/[\w.]+/;
	my $how = qr/(?:\s+USING\s+\w+|\s+WITH\s*\([^)]*\)|\s+TABLESPACE\s+\w+)*/i;

	# not of what a function runs, nor of what has no rows
	$in_two_steps += $text =~ s/^(CREATE\s+(?:UNLOGGED\s+)?TABLE\s+($name)(?:\s*\([\w\s,]+\))?$how\s+AS\s+)((?:SELECT|VALUES|TABLE|WITH)\b[^;\$]*?)(?<!NO\sDATA)(?:\s+WITH\s+DATA)?\s*;(?!.*\bLANGUAGE\b)/$1$3 WITH NO DATA; INSERT INTO $2 $3;/gim;
	$in_two_steps += $text =~ s/^(SELECT\s[^;\$]*?)\sINTO\s+TABLE\s+($name)(\s[^;\$]*|);/CREATE TABLE $2 AS $1$3 WITH NO DATA; INSERT INTO $2 $1$3;/gim;
	return $text;
}

# Roles, their memberships and tablespaces are the server's, so they change in all regions at once: a server for each region would still have
# them while it is behind.  Asked in a session of its own, because the script may be anybody then; who waited in vain once need not again.
append_to_file("$dir/wait", sprintf <<'SH', ($server->connstr('first')) x 2);
[ ! -e waited-in-vain ] || exit 0
export PGAPPNAME=wait PGOPTIONS='-c statement_timeout=60s'
version=$(psql -XAtq -d "%s" -c 'SELECT max(version) FROM schemadrift.migrations')
psql -Xq -d "%s" -c "CALL schemadrift.wait_for($version)" || touch waited-in-vain
SH

# Has every region look for drift that is gone.
append_to_file("$dir/look", "export PGAPPNAME=wait\n" . join '', map { sprintf qq{psql -Xq -d "%s" -c 'SELECT * FROM schemadrift.verify()'\n}, $server->connstr($_) } @regions);

sub for_the_group
{
	my ($text) = @_;

	# catalog DML is drift, and from then on the table is not changed for others (SD008; t/247_past_hooks.pl)
	$text =~ s/^UPDATE pg_class\s+SET reloptions\b[^;]*;//gim;
	# a role that is renamed is another one in the definitions of what it owns: the refusal stands (SD008), and then it is renamed back
	$text =~ s{^(?=DROP ROLE regress_schemauser_renamed;)}
	  {ALTER ROLE regress_schemauser_renamed RENAME TO regress_schemauser2;\n\\! sh ./look\nDROP SCHEMA testns CASCADE;\nALTER ROLE regress_schemauser2 RENAME TO regress_schemauser_renamed;\n}m;
	# what a script says of its own database is true of each region's
	$text =~ s/\bON DATABASE regression\b/ON DATABASE first, second, third/gi;
	$text =~ s/^(?=(?:DROP|ALTER)\s+(?:ROLE|USER|GROUP|TABLESPACE)\s+\w|(?:GRANT|REVOKE)\s(?:(?!\bON\s+(?!DATABASE\b))[^;])*;)/\\! sh .\/wait\n/gim;
	return $text;
}

# Run one script; undef, or what went wrong with psql itself.
sub run_script
{
	my ($script, $database) = @_;
	my $file = "$tmp/script.sql";
	unlink $file;
	my $text = in_two_steps(contents("$dir/sql/$script.sql"));
	# the group could not empty a tablespace, which is the server's, and was to be dropped; from 16 on test_setup makes it
	my $again = $script ne 'tablespace' ? '' : "\\! sh ./wait\nDROP TABLESPACE IF EXISTS regress_tblspace_renamed;\nDROP ROLE IF EXISTS regress_tablespace_user1, regress_tablespace_user2;\n"
	  . (contents("$dir/sql/test_setup.sql") =~ /^(SET allow_in_place_tablespaces[^;]*;\nCREATE TABLESPACE [^;]*;\n)/m ? "$1RESET allow_in_place_tablespaces;\n" : '');
	append_to_file($file, $database eq 'regression' ? "$again$text" : for_the_group($text));
	local $ENV{PGAPPNAME} = "coverage/$script";
	my @command = ('psql', '-X', '-q', '-v', 'HIDE_TABLEAM=on', '-v', 'HIDE_TOAST_COMPRESSION=on', '-d', $server->connstr($database), '-f', $file);
	my $pid = fork() // die "fork: $!";

	if (!$pid)
	{
		open STDOUT, '>', "$tmp/out.$database.$script";
		open STDERR, '>&', \*STDOUT;
		chdir $dir;
		exec @command;
	}
	my $end = time() + 900;
	my $done = 0;
	while (!$done && time() < $end)
	{
		$done = waitpid($pid, 1);
		Time::HiRes::sleep(0.05) if !$done;
	}
	return if $done && $? == 0;
	kill 'KILL', $pid;
	return $done ? 'psql ends with status ' . ($? >> 8) : 'takes longer than 15 minutes';
}

# Errors of each script and database since the last call: { database => [ { state, message, detail, hint, statement } ] }.
my $read = 0;
my $marks = 0;
sub errors
{
	my %found;
	my $mark = sprintf 'no such column %d', ++$marks;
	my $end = time() + $SchemaDrift::Session::timeout;

	# what sessions said goes through the collector, in their order
	$server->try(qq{SELECT "$mark"}, dbname => 'postgres');
	while (index(contents($server->data_dir . '/said/all.json'), $mark) < 0)
	{
		die "the server's log is not written\n" if time() > $end;
		Time::HiRes::sleep(0.05);
	}
	open my $log, '<:raw', $server->data_dir . '/said/all.json' or die "log: $!";
	seek $log, $read, 0;
	while (my $line = <$log>)
	{
		last if $line !~ /\n\z/;
		$read += length $line;
		my $entry = eval { decode_json($line) } or next;
		# of a parallel worker: its leader says the same, and in which database
		next if !defined $entry->{dbname};
		next if ($entry->{error_severity} // '') !~ /^(?:ERROR|FATAL|PANIC)$/ || ($entry->{application_name} // '') !~ m{^coverage/};
		push @{ $found{ $entry->{dbname} } }, $entry;
	}
	return \%found;
}

sub crashed { return contents($server->data_dir . '/said/all.json') =~ /was terminated by signal/; }

sub reasons
{
	return join '; ', map { my $why = $g->sql($_, q{SELECT reason FROM schemadrift.status WHERE state = 'halted'}); $why eq '' ? () : "$_: $why" } @regions;
}

# Rows of docs/coverage.md, | SQLSTATE | `words of message or DETAIL` | ..., under this heading: what explains a refusal, and what may follow from one.
sub rows_under
{
	my ($heading) = @_;
	my ($text) = contents('docs/coverage.md') =~ /^\Q$heading\E(.*?)(?=^What follows|\z)/ms or die "docs/coverage.md has no \"$heading\"\n";

	return map { /^\| (\w{5}) \| `([^`]+)` \|/ ? { state => $1, words => $2, found => [] } : () } split /\n/, $text;
}
my @explained = rows_under('## What was refused');
my @follows = rows_under('What follows from a refusal');
cmp_ok(scalar @explained, '>', 10, 'docs/coverage.md explains ' . @explained . ' sorts of refusals');
cmp_ok(scalar @follows, '<', 15, '... and ' . @follows . ' sorts of what follows from one');

sub row_of
{
	my ($e, @rows) = @_;
	my $said = join ' ', map { $_ // '' } @$e{qw(message detail)};
	my ($row) = grep { $e->{state_code} eq $_->{state} && index($said, $_->{words}) >= 0 } @rows;

	return $row;
}

# An error, so that it can be compared with that of another database.
sub same_error { return join ' ', $_[0]->{state_code}, $_[0]->{message} =~ s/\b(?:first|regression)\b/DATABASE/gr; }

sub statement_of
{
	my ($e) = @_;
	my $text = ($e->{statement} // '') =~ s/\s+/ /gr;

	return length $text > 160 ? substr($text, 0, 160) . ' ...' : $text;
}

my (%followed, @halts);
my ($scripts, $begun, $refused) = (0, time(), 0);
foreach my $script (@played)
{
	my $steps = $in_two_steps;
	my $bad = run_script($script, 'first');

	ok(!$bad, "$script: runs to its end") or diag($bad);
	ok(!crashed(), "$script: no process crashed") or last;
	$steps = $in_two_steps - $steps;
	run_script($script, 'regression');
	$in_two_steps -= $steps;
	my $errors = errors();
	my (%plain, @unexplained, @without_hint);
	my $before = $refused;
	$plain{ same_error($_) }++ foreach @{ $errors->{regression} // [] };
	foreach my $e (@{ $errors->{first} // [] })
	{
		my $same = same_error($e);

		my $of_both = ($plain{$same} // 0) > 0;

		$plain{$same}-- if $of_both;
		if (my $row = row_of($e, @explained))
		{
			push @{ $row->{found} }, [ $script, statement_of($e) ];
			push @without_hint, $same if ($e->{hint} // '') eq '';
			$refused++;
		}
		elsif ($of_both)
		{
			next;
		}
		elsif ($refused > $before && row_of($e, @follows))
		{
			$followed{$script}++;
			note("$script: follows: $same: " . statement_of($e));
		}
		else
		{
			push @unexplained, join "\n", $same, map({ "$_: " . ($e->{$_} // '') } qw(detail hint)), 'statement: ' . statement_of($e);
		}
	}
	is(join("\n", @unexplained), '', "$script: docs/coverage.md explains what was refused (" . ($refused - $before) . ')');
	is("@without_hint", '', "$script: refusals say what to do instead");
	my $equal = $g->converged(@regions);
	if (!ok($equal, "$script: all regions are equal"))
	{
		push @halts, "$script: " . reasons();
		diag($halts[-1]);
		last;
	}
	$scripts++;
}

foreach my $name (@regions)
{
	is($g->sql($name, q{SELECT count(*) FROM schemadrift.verify()}), 0, "$name: nothing differs from the log that went past the hooks");
}
is(scalar(keys %{ { map { $_ => 1 } map { $g->sql($_, 'SELECT schemadrift_store.digest_rebuild()') } @regions } }), 1, 'a full look says so, too');

# Not by our own digests: pg_dump is asked, too.  Local are user mappings, and options of foreign servers.
my %dump;
foreach my $name (@regions)
{
	system_or_bail('pg_dump', '--schema-only', '--no-publications', '--no-subscriptions', '-d', $server->connstr($name), '-f', "$tmp/dumped");
	$dump{$name} = contents("$tmp/dumped") =~ s/^\\(?:un)?restrict .*\n//gmr;
	append_to_file("$tmp/dump.$name", $dump{$name});
}
cmp_ok(length $dump{first}, '>', 1000, 'pg_dump finds a schema in the first region');
foreach my $name (grep { $_ ne 'first' } @regions)
{
	ok($dump{$name} eq $dump{first}, "... and the same in $name") or diag(scalar qx{diff $tmp/dump.first $tmp/dump.$name});
}

# ---- what was refused ----

my $versions = $g->sql('first', 'SELECT count(*) FROM schemadrift.migrations');
my @met = grep { @{ $_->{found} } } @explained;
diag("coverage: PostgreSQL $version: $scripts scripts in a group in " . int(time() - $begun) . " s: $versions versions, $refused statements refused, of " . @met . " sorts, $in_two_steps played in two steps");
diag("coverage: $_: $followed{$_} errors that follow from refusals") foreach sort keys %followed;
diag("table: | SQLSTATE | says | times in $version |\ntable: | --- | --- | --- |");
diag(sprintf 'table: | %s | `%s` | %d |', $_->{state}, $_->{words}, scalar @{ $_->{found} }) foreach @met;
diag("table: \ntable: | says | script | statement |\ntable: | --- | --- | --- |");
foreach my $row (@met)
{
	foreach my $found (@{ $row->{found} })
	{
		my ($script, $statement) = map { s/\|/\\|/gr } @$found;

		diag("table: | $row->{words} | $script | `$statement` |");
	}
}
done_testing();
