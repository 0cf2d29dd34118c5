#!/usr/bin/perl
# tap.pl NAME FILE...: run TAP files, two at a time, and count their assertions.
#
# Not prove: one file that bails out must not stop the others, one that hangs must not hang the run, and the output
# of a file that failed belongs into the log, together with the ends of its servers' logs.
# SD_TEST_JOBS: how many at a time; SD_TEST_FILE_TIMEOUT: seconds for one file.
use strict;
use warnings;

use File::Basename;
use File::Path 'make_path';
use POSIX 'WNOHANG';
use TAP::Parser;
use Time::HiRes qw(sleep time);

my ($name, @files) = @ARGV;
my $jobs    = $ENV{SD_TEST_JOBS}         || 2;
my $timeout = $ENV{SD_TEST_FILE_TIMEOUT} || 1800;
my ($passed, $failed, $skipped) = (0, 0, 0);
my (%running, @failures);

$| = 1;
make_path("$name/tmp_check/log");
# where PostgreSQL::Test::Utils puts what it makes: the first up to 15, the others from 16 on
@ENV{qw(TESTDIR TESTDATADIR TESTLOGDIR)} = ($name, "$name/tmp_check", "$name/tmp_check/log");

while (@files || %running)
{
	while (@files && keys %running < $jobs)
	{
		my $file = shift @files;
		my $pid = fork() // die "fork: $!\n";

		if (!$pid)
		{
			my $out = output($file);

			setpgrp;
			open STDOUT, '>', $out or die "$out: $!\n";
			open STDERR, '>&', \*STDOUT or die "stderr: $!\n";
			exec { $^X } $^X, $file or die "could not run $file: $!\n";
		}
		$running{$pid} = { file => $file, start => time() };
	}
	if ((my $pid = waitpid -1, WNOHANG) > 0)
	{
		judge(delete $running{$pid}, $?) if $running{$pid};
		next;
	}
	foreach my $pid (keys %running)
	{
		my $over = time() - $running{$pid}{start} - $timeout;

		# the second, rude, for what does not heed the first
		kill $over > 20 ? 'KILL' : 'TERM', -$pid if $over > 0 && !$running{$pid}{ $over > 20 ? 'rude' : 'kind' }++;
	}
	sleep 0.05;
}
print "failed: $_\n" foreach @failures;    # last: whoever sees only the end sees these
printf "%s: %d passed, %d failed%s\n", $name, $passed, $failed, $skipped ? ", $skipped skipped" : '';
exit($failed ? 1 : 0);

sub output
{
	my ($file) = @_;

	return "$name/" . basename($file) =~ s/\.pl$/.tap/r;
}

sub judge
{
	my ($test, $status) = @_;
	my $out = output($test->{file});
	my ($p, $f, $s, $skipped_all, @why) = (0, 0, 0);

	open my $fh, '<', $out or die "$out: $!\n";
	my $parser = TAP::Parser->new({ source => $fh });
	while (my $result = $parser->next)
	{
		$skipped_all = $result->explanation if $result->is_plan && $result->has_skip;
		next if !$result->is_test;
		$result->has_skip ? $s++ : $result->is_ok ? $p++ : $f++;
		push @failures, "$test->{file}: " . $result->as_string if !$result->is_ok;
	}
	push @why, 'took too long' if $test->{kind};
	push @why, $status & 127 ? 'died of signal ' . ($status & 127) : 'exited with ' . ($status >> 8) if $status;
	push @why, $parser->parse_errors if !$status;
	push @failures, "$test->{file}: " . join('; ', @why, last_words($test->{file})) if @why;
	$f++ if @why && !$f;
	printf "%-40s %4d passed %3d failed %3d skipped %6.1f s %s\n", $test->{file}, $p, $f, $s, time() - $test->{start},
	  join '; ', @why, defined $skipped_all ? "skipped: $skipped_all" : ();
	$passed  += $p;
	$failed  += $f;
	$skipped += $s || defined $skipped_all;
	show($test->{file}) if $f;
	return;
}

# What perl said when it died: PostgreSQL::Test::Utils keeps STDERR from the output.
sub last_words
{
	my ($file) = @_;
	my $base = basename($file) =~ s/\.pl$//r;
	my @words;

	open my $in, '<', "$ENV{TESTLOGDIR}/regress_log_$base" or return;
	my @lines = <$in>;
	foreach my $i (grep { $lines[$_] =~ /^[^#\[].* at \S+ line \d+\.?$|^ at \S+ line/ } 0 .. $#lines)
	{
		@words = @lines[ $i < 4 ? 0 : $i - 4 .. $i ];
	}
	chomp @words;
	return join "\n    ", @words;
}

# What the file said that was not "ok", and the last words of its servers.
sub show
{
	my ($file) = @_;
	my $base = basename($file) =~ s/\.pl$//r;

	open my $fh, '<', output($file) or return;
	print "    $_" foreach grep { !/^ok / } <$fh>;
	foreach my $log (glob "$ENV{TESTLOGDIR}/${base}_*.log")
	{
		open my $in, '<', $log or next;
		my @lines = <$in>;
		splice @lines, 0, @lines - 25 if @lines > 25;
		print "    -- $log\n", map { "    $_" } @lines;
	}
	return;
}
