#!/usr/bin/perl
# regress.pl KIND NAME: pg_regress (KIND regress) or pg_isolation_regress (isolation) on a server made for it.
#
# pg_regress could make the server itself (--temp-instance), but it starts it with fsync off, and a region with
# fsync off has no vote.  Output goes to the directory NAME.
use strict;
use warnings;

use File::Basename;
use File::Path 'make_path';

my ($kind, $name, $stdout);

BEGIN
{
	# PostgreSQL::Test::Utils takes STDOUT for its log
	open $stdout, '>&', \*STDOUT or die "stdout: $!\n";
	($kind, $name) = @ARGV;
	make_path("$name/tmp_check/log");
	# where PostgreSQL::Test::Utils puts what it makes: the first up to 15, the others from 16 on
	@ENV{qw(TESTDIR TESTDATADIR TESTLOGDIR)} = ($name, "$name/tmp_check", "$name/tmp_check/log");
}

use SchemaDrift::Net;
use SchemaDrift::Region;

my $isolation = $kind eq 'isolation';
my $input     = $isolation ? 't/isolation' : '.';
my @tests     = map { basename($_) =~ s/\.\w+$//r } sort glob $isolation ? "$input/specs/*.spec" : "$input/sql/*.sql";

die "$kind: no tests\n" if !@tests;
# tests and results are in the language of the C locale, in UTF-8
my $region = SchemaDrift::Region->make(SchemaDrift::Net->new, $kind, conf => "timezone = 'UTC'\n", streaming => 'logical');
$region->start;
my @command = ($isolation ? $ENV{PG_ISOLATION} : $ENV{PG_REGRESS}, "--inputdir=$input", "--outputdir=$name",
	'--bindir=' . $region->config_data('--bindir'), '--host=' . $region->host, '--port=' . $region->port,
	'--dbname=contrib_regression', '--load-extension=schemadrift', @tests);
open my $regress, '-|', @command or die "$command[0]: $!\n";
my ($passed, $failed) = (0, 0);
while (<$regress>)
{
	print $stdout $_;
	# 15: "test name ... ok 12 ms"; 16 and newer: "ok 1 - name 12 ms"
	if (/^(?:test|     )\s+\S+\s+\.\.\. (ok|FAILED)/ || /^(ok|not ok) \d+/)
	{
		$1 eq 'ok' ? $passed++ : $failed++;
	}
}
my $clean = close $regress;
$failed++ if !$clean && !$failed;
$failed += @tests - $passed - $failed if $passed + $failed < @tests;

$region->stop;
printf $stdout "%s: %d passed, %d failed\n", $name, $passed, $failed;
exit($failed ? 1 : 0);
