#!/usr/bin/perl
# rules.pl RULES.TSV: the compatibility matrix as C data (rules_data.h), on standard output.
#
# Each word of a column that programs read must be known here; a mistake in a row stops the build and says where it is.
use strict;
use warnings;

my ($file) = @ARGV;
my @columns = qw(id section form min_major max_major lock rewrite scan old_app new_app prepared receives sends gate undo linters note
  safer evidence untested example restores);
my %role = map { $_ => 'SD_ROLE_' . uc } qw(table parent partitions partition default child referenced referencing view matview
  sequence index);
my %mode = map { my $name = $_; $name =~ s/(\w)(\w*) ?/$1\L$2/g; $_ => "${name}Lock" } 'ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE',
  'SHARE UPDATE EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE';
my %answer = (yes => 'YES', depends => 'DEPENDS', no => 'NO', '-' => 'NONE');
my %prepared = (none => 'NOTHING', 'star fails' => 'STAR', 'all fail' => 'ALL', 'other results' => 'RESULTS');
# from good to bad, as in rules.h
my @replication = ([ '-' => 'NONE' ], [ 'works' => 'WORKS' ], [ 'depends' => 'DEPENDS' ], [ 'works if all use UTC' => 'DEPENDS' ],
	[ 'works until used' => 'UNTIL_USED' ], [ 'replicated' => 'REPLICATED' ], [ 'stalls' => 'STALLS' ],
	[ 'writer fails' => 'WRITER_FAILS' ], [ 'wedges' => 'WEDGES' ], [ 'diverges' => 'DIVERGES' ]);
my %gate = ('-' => 'NONE', G0 => 'ANY', G1 => 'ALL_THEN_USE', G2 => 'NARROW_FIRST', G3 => 'DRAIN_FIRST', G4 => 'CONTRACT',
	G5 => 'CUT_OVER', GD => 'NONDETERMINISTIC');
my @gate = qw(- G0 G1 G2 G3 G4 G5 GD);
my %undo = (lossless => 'LOSSLESS', lossy => 'LOSSY', none => 'IMPOSSIBLE', depends => 'DEPENDS', nothing => 'NOTHING', '-' => 'NOTHING');
my %restores = ('-' => 'NOTHING', yes => 'YES', rehearse => 'REHEARSE');
my %seen;

sub wrong
{
	die "$file:$.: " . join('', @_) . "\n";
}

sub quoted
{
	my ($text) = @_;

	wrong("not plain ASCII: $text") if $text =~ /[^ -~]/;
	$text =~ s/(["\\])/\\$1/g;
	$text =~ s/\\\\n/\\n/g;    # between statements
	return "\"$text\"";
}

sub word
{
	my ($column, $text, $known) = @_;

	return $known->{$text} // wrong("$column: \"$text\" is not one of: " . join(', ', sort keys %$known));
}

sub bits
{
	my ($column, $text) = @_;

	return join ' | ', map { 'SD_ROLE_BIT(' . word($column, $_, \%role) . ')' } split /, | and /, $text;
}

# "table: SHARE, referenced: SHARE UPDATE EXCLUSIVE then ACCESS EXCLUSIVE"
sub locks
{
	my ($text) = @_;
	my @locks;

	return () if $text =~ /^(?:none|error|depends|-)$/;
	foreach my $lock (split /, /, $text)
	{
		my ($role, $modes) = $lock =~ /^(\w+): ([A-Z ]+(?: then [A-Z ]+)?)$/ or wrong("lock: \"$lock\"");
		my @modes = map { word('lock', $_, \%mode) } split / then /, $modes;
		push @locks, '{' . word('lock', $role, \%role) . ", $modes[-1]}";
	}
	wrong('more locks than SD_RULE_LOCKS') if @locks > 4;
	return @locks;
}

# what is rewritten, and which relations
sub rewrite
{
	my ($text) = @_;

	return ('NONE', 0) if $text eq 'no' || $text eq '-';
	return ('INDEXES', bits('rewrite', $1)) if $text =~ /^indexes of (.*)$/;
	return ('EMPTY', bits('rewrite', $1)) if $text =~ /^(.*), emptied$/;
	return ('ALL', bits('rewrite', $1)) if $text =~ /^(.*) and indexes$/;
	return ('RELATION', bits('rewrite', $text));
}

sub scan
{
	my ($text) = @_;

	$text =~ s/^with the rewrite(?:, |$)//;
	return 0 if $text =~ /^(?:no|-|)$/;
	return bits('scan', $text);
}

sub replication
{
	my ($column, $text) = @_;
	my $worst = 0;

	foreach my $part (split /, /, $text)
	{
		my ($at) = grep { $replication[$_][0] eq $part } 0 .. $#replication;
		$worst = $at if ($at // wrong("$column: \"$part\" is not known")) > $worst;
	}
	return "SD_REPLICATION_$replication[$worst][1]";
}

sub gate
{
	my ($text) = @_;
	my $strictest;

	return 'SD_GATE_NONE' if $text eq '-';
	$text =~ s/;.*//;    # what follows is another way to do it
	foreach my $class ($text =~ /\b(G[0-5D])\b/g)
	{
		my ($at) = grep { $gate[$_] eq $class } 0 .. $#gate;
		$strictest = $at if $at > ($strictest // 0);
	}
	return 'SD_GATE_' . $gate{ $gate[ $strictest // wrong("gate: \"$text\"") ] };
}

open my $in, '<', $file or die "$file: $!\n";
chomp(my $head = <$in>);
wrong("columns are not: @columns") if $head ne join "\t", @columns;
print "/* made by rules.pl from rules.tsv */\n\nconst SdRule sd_rules[] = {\n";
while (<$in>)
{
	chomp;
	my @fields = split /\t/, $_, -1;
	my %r;

	wrong(scalar @fields, ' columns') if @fields != @columns;
	@r{@columns} = @fields;
	wrong("id: \"$r{id}\"") if $r{id} !~ /^[A-Z][0-9]+$/;
	wrong("$r{id}: majors $r{min_major} to $r{max_major}") if "$r{min_major}-$r{max_major}" !~ /^[0-9]+-[0-9]*$/;
	foreach my $major ($r{min_major} .. ($r{max_major} eq '' ? 99 : $r{max_major}))
	{
		wrong("$r{id}: two rows for PostgreSQL $major") if $seen{"$r{id} $major"}++;
	}

	my @locks = locks($r{lock});
	my ($rewrites, $rewritten) = rewrite($r{rewrite});
	my ($undo) = $r{undo} =~ /^(-|\w+)/;
	print "\t{", join(', ', map({ quoted($r{$_}) } qw(id section form)), $r{min_major}, $r{max_major} eq '' ? 'INT_MAX' : $r{max_major}),
	  ",\n\t\t", join(', ', map { quoted($r{$_}) } @columns[ 5 .. 15 ]), ",\n\t\t",
	  join(",\n\t\t", map { quoted($r{$_}) } @columns[ 16 .. 20 ]), ",\n\t\t",
	  join(', ', map({ $r{lock} eq $_ ? 'true' : 'false' } 'error', '-'), scalar @locks, '{' . (join(', ', @locks) || '{0}') . '}',
		"SD_REWRITE_$rewrites", $rewritten, scan($r{scan}), map({ 'SD_ANSWER_' . word($_, $r{$_}, \%answer) } qw(old_app new_app)),
		'SD_PREPARED_' . word('prepared', $r{prepared}, \%prepared), replication('receives', $r{receives}), replication('sends', $r{sends}),
		gate($r{gate}), $r{gate} =~ /\+REFRESH/ ? 'true' : 'false', 'SD_UNDO_' . word('undo', $undo // $r{undo}, \%undo), 'SD_RESTORES_' . word('restores', $r{restores}, \%restores)),
	  "},\n";
}
print "};\n";
