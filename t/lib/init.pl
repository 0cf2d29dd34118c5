#!/usr/bin/perl
# init.pl COMMAND...: process 1 of the sandbox's process namespace.
#
# Runs the command, buries orphans (postmasters are daemons: their parent is this process), and ends with the
# command's status; with it ends everything in the namespace.
use strict;
use warnings;

my $child = fork() // die "could not fork: $!\n";
if (!$child)
{
	exec { $ARGV[0] } @ARGV or die "could not run $ARGV[0]: $!\n";
}

foreach my $signal (qw(HUP INT TERM))
{
	$SIG{$signal} = sub { kill 'KILL', -1; exit 130; };
}

while (1)
{
	my $pid = wait();
	next if $pid != $child;
	exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
}
