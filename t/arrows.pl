#!/usr/bin/perl
# arrows.pl [SRC [INCLUDEDIR-SERVER]]: holds the architecture (docs/architecture.md) to its word.
#
#   functions, worker, gate  ->  analysis  ->  ddl, store, peer, shared  ->  consensus, causality
#
# A file may include what lies below it or beside it, never above; folders beside each other may not include each
# other in a circle; gate and analysis never include peer; consensus and causality include the C11 standard headers and each
# other only; every other .c file includes compat.h first; only compat.h and compat_syntax.h mention PG_VERSION_NUM; no folder is named
# like one of the server's include folders, which -Isrc would put in their place.
#
# Before it judges the sources it proves, on a planted violation of each rule, that it can see one.
use strict;
use warnings;

use File::Find;
use File::Path 'make_path';
use File::Temp 'tempdir';

my %layer = (
	(map { $_ => 4 } qw(functions worker gate)),
	(map { $_ => 3 } qw(analysis)),
	(map { $_ => 2 } qw(ddl store peer .)),
	(map { $_ => 1 } qw(consensus causality)));
my %forbidden = ('gate>peer' => 'the gate never talks to a peer', 'analysis>peer' => 'analysis asks nobody');
my %standard = map { $_ => 1 } map { "$_.h" } qw(assert complex ctype errno fenv float inttypes iso646 limits locale
  math setjmp signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads
  time uchar wchar wctype);

# The whole library is put together in this file.
my %above_all = ('schemadrift.c' => 1);

sub violations
{
	my ($src, @taken) = @_;
	my (%files, %beside, @found);

	find({ no_chdir => 1, wanted => sub { $files{ substr $_, 1 + length $src } = 1 if /\.[ch]$/ } }, $src);
	opendir my $dir, $src or die "$src: $!\n";
	foreach my $folder (grep { -d "$src/$_" && !/^\./ } readdir $dir)
	{
		push @found, "src/$folder: the server has include files in a folder of this name"
		  if grep { $_ eq $folder } @taken;
	}

	foreach my $file (sort keys %files)
	{
		my ($folder) = $file =~ m{^([^/]+)/};
		my $first;

		$folder //= '.';
		push @found, "src/$file: no layer is known for folder $folder" if !$layer{$folder};
		open my $fh, '<', "$src/$file" or die "$src/$file: $!\n";
		while (<$fh>)
		{
			my $where = "src/$file:$.";

			push @found, "$where: only compat.h knows versions of PostgreSQL" if /\bPG_VERSION_NUM\b/ && $file !~ /^compat(?:_syntax)?\.h$/;
			next if !/^\s*#\s*include\s*([<"])([^>"]+)[>"]/;
			my ($quote, $header) = ($1, $2);
			$first //= $header;

			my $known = exists $files{$header};
			my ($to) = $header =~ m{^([^/]+)/};
			$to //= '.';
			if (($layer{$folder} // 0) == 1)
			{
				push @found, "$where: $header in $folder, which is pure C11"
				  if $known ? ($layer{$to} // 0) != 1 : $quote eq '"' || !$standard{$header};
			}
			next if !$known || $above_all{$file} || !$layer{$folder} || !$layer{$to};
			push @found, "$where: $header lies above $folder" if $layer{$to} > $layer{$folder};
			push @found, "$where: $header: $forbidden{\"$folder>$to\"}" if $forbidden{"$folder>$to"};
			$beside{$folder}{$to} = $where
			  if $layer{$to} == $layer{$folder} && $to ne $folder && $to ne '.' && $folder ne '.';
		}
		push @found, "src/$file: must include compat.h first"
		  if $file =~ /\.c$/ && ($layer{$folder} // 0) > 1 && ($first // '') ne 'compat.h';
	}

	foreach my $start (sort keys %beside)
	{
		my (%seen, @reach);

		@reach = keys %{ $beside{$start} };
		while (defined(my $next = pop @reach))
		{
			push @reach, keys %{ $beside{$next} // {} } if !$seen{$next}++;
		}
		push @found, "src/$start: includes itself in a circle: " . join ', ', sort keys %seen if $seen{$start};
	}
	return @found;
}

my $n = 0;
my $failed = 0;

sub ok
{
	my ($ok, $name, @why) = @_;

	printf "%s %d - %s\n", $ok ? 'ok' : 'not ok', ++$n, $name;
	print map { "# $_\n" } $ok ? () : @why;
	$failed++ if !$ok;
	return;
}

my @planted = (
	[ 'nothing wrong', 'gate/a.c', qq{#include "compat.h"\n#include "store/s.h"\n}, undef ],
	[ 'an arrow upwards',        'store/a.c',     qq{#include "compat.h"\n#include "worker/w.h"\n}, qr/lies above/ ],
	[ 'shared above worker',     'shared.h',      qq{#include "gate/g.h"\n},                        qr/lies above/ ],
	[ 'gate to peer',            'gate/a.c',      qq{#include "compat.h"\n#include "peer/p.h"\n},   qr/never talks/ ],
	[ 'analysis to the gate',    'analysis/a.c',  qq{#include "compat.h"\n#include "gate/g.h"\n},   qr/lies above/ ],
	[ 'analysis to peer',        'analysis/a.c',  qq{#include "compat.h"\n#include "peer/p.h"\n},   qr/asks nobody/ ],
	[ 'a server header in the core', 'consensus/a.h', qq{#include "postgres.h"\n},                  qr/pure C11/ ],
	[ 'a system header in the core', 'causality/a.c', qq{#include <unistd.h>\n},                    qr/pure C11/ ],
	[ 'the store in the core',   'consensus/a.c', qq{#include "store/s.h"\n},                       qr/pure C11/ ],
	[ 'PG_VERSION_NUM',          'gate/a.h',      qq{#if PG_VERSION_NUM >= 160000\n},               qr/only compat\.h/ ],
	[ 'a folder storage',        'storage/a.h',   qq{},                                             qr/of this name/ ],
	[ 'a folder of no layer',    'misc/a.h',      qq{},                                             qr/no layer/ ],
	[ 'compat.h not first',      'ddl/a.c',       qq{#include "store/s.h"\n#include "compat.h"\n},  qr/compat\.h first/ ],
	[ 'a circle',                'store/s.h',     qq{#include "ddl/d.h"\n},                         qr/circle/ ]);

foreach my $case (@planted)
{
	my ($name, $path, $text, $expected) = @$case;
	my $dir = tempdir(CLEANUP => 1);
	my %content = (
		'compat.h' => '', 'store/s.h' => '', 'worker/w.h' => '', 'gate/g.h' => '', 'peer/p.h' => '',
		'ddl/d.h' => qq{#include "store/s.h"\n}, $path => $text);

	foreach my $file (keys %content)
	{
		my ($folder) = "$dir/$file" =~ m{(.*)/};
		make_path($folder);
		open my $fh, '>', "$dir/$file" or die "$dir/$file: $!\n";
		print $fh $content{$file};
		close $fh or die "$dir/$file: $!\n";
	}
	my @seen = violations($dir, 'storage');
	ok($expected ? scalar grep(/$expected/, @seen) : !@seen, "sees $name", "saw: @seen");
}

my ($src, $include) = @ARGV;
my @taken = $include ? map { m{([^/]+)/$} } glob "$include/*/" : ();
@taken = qw(access catalog commands common executor lib libpq mb nodes optimizer parser port postmaster replication
  rewrite storage tcop utils) if !@taken;
my @found = violations($src // 'src', @taken);
ok(!@found, 'the sources keep to the architecture', @found);
print "1..$n\n";
printf "arrows: %d passed, %d failed\n", $n - $failed, $failed;
exit($failed ? 1 : 0);
