#!/usr/bin/perl
# copy.pl TO WHAT...: makes the directory TO a copy of these files and directories of the current one, for make.
#
# What has the same contents as last time keeps its time, what has others is of now.  With the times of the originals make would take
# an object for newer than a file that it was not made of: where the copy before was of another tree, or where somebody wrote while it
# was being built.  A library half of one commit and half of another crashes where a struct has changed.  Objects stay, all else goes.
use strict;
use warnings;

use File::Basename;
use File::Compare;
use File::Find;
use File::Path 'make_path';

my ($to, @what) = @ARGV;
my (%wanted, @old);

# what is no directory it calls ./Makefile
find({ no_chdir => 1, wanted => sub { $wanted{ s{^\./}{}r } = 1 if -f && !/\.o\z/ } }, @what);
delete @wanted{ grep { m{^src/(?:sql/build/|analysis/rules_data\.h$)} } keys %wanted };    # what make has made
make_path($to);
find({ no_chdir => 1, wanted => sub { push @old, $_ if -f && !/\.o\z/ } }, $to);
foreach my $path (@old)
{
	next if $wanted{ substr $path, 1 + length $to };
	unlink $path or die "$path: $!\n";
}
foreach my $path (sort keys %wanted)
{
	my $mode = (stat $path)[2] & 07777;

	next if -e "$to/$path" && ((stat _)[2] & 07777) == $mode && compare($path, "$to/$path") == 0;
	make_path(dirname("$to/$path"));
	open my $in,  '<:raw', $path        or die "$path: $!\n";
	open my $out, '>:raw', "$to/$path" or die "$to/$path: $!\n";
	local $/;
	print $out readline($in) // '';
	close $out or die "$to/$path: $!\n";
	chmod $mode, "$to/$path" or die "$to/$path: $!\n";
}
