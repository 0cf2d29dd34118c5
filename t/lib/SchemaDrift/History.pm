# SchemaDrift::History: a directory of migrations, as the common tools lay them out.
#
#   my $word = foretold(@restores);   # of the steps of analyze(up)
#   my @history = history($dir);      # ({ name, up, down, alone }, ...), in order; down: undef where there is none
#   my $text = bare($up);             # without BEGIN and COMMIT around it
#
# alone: not to be run in a transaction.  Known layouts, which may be mixed:
#
#   NAME/up.sql, NAME/down.sql        diesel; metadata.toml may say run_in_transaction = false
#   NAME.up.sql, NAME.down.sql        golang-migrate and others
#   V1__NAME.sql, U1__NAME.sql        Flyway
#   NAME.sql                          a script, or both with lines "-- +goose Up" / "-- +goose Down",
#                                     "-- +migrate Up" / "-- +migrate Down", "-- migrate:up" / "-- migrate:down"
#
# In order: by the number, or time, that a name begins with, then by name.
package SchemaDrift::History;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';

our @EXPORT = qw(history foretold bare);

# What analysis says beforehand of a down, by column "restores" of its steps: that one can restore the schema exactly (yes), that only a
# rehearsal tells, or no.
sub foretold
{
	my %said = map { ($_ // '') => 1 } @_;

	return $said{no} ? 'no' : $said{rehearse} ? 'rehearse' : 'yes';
}

# A file that begins with BEGIN and ends with COMMIT is the transaction that it is run in.
sub bare
{
	my ($text) = @_;
	my $space = qr/(?:\s|--[^\n]*(?:\n|\z))*/;

	return $1 . $2 if defined $text && $text =~ /\A($space)BEGIN\s*;(.*)\bCOMMIT\s*;?$space\z/si;
	return $text;
}

sub read_file
{
	my ($path) = @_;

	open my $file, '<', $path or die "$path: $!\n";
	local $/;
	return scalar readline $file;
}

# The marks of goose, sql-migrate and dbmate.
my $mark = qr/^--\s*(?:\+goose\s+|\+migrate\s+|migrate:)/mi;

# A file that has both, or one, or each several times; goose's marks around statements say nothing to a server.
sub sections
{
	my ($text) = @_;
	my %found;

	return ($text, undef) if $text !~ /${mark}up\b/i;
	while ($text =~ /${mark}(up|down)\b[^\n]*(?:\n|\z)(.*?)(?=${mark}(?:up|down)\b|\z)/gsi)
	{
		my ($which, $part) = (lc $1, $2);

		# the last that was done is taken back first
		$found{$which} = $which eq 'up' ? ($found{up} // '') . $part : $part . ($found{down} // '');
	}
	return @found{qw(up down)};
}

sub says_alone
{
	my ($text) = @_;

	return scalar($text =~ /^--\s*\+goose\s+NO\s+TRANSACTION/mi || $text =~ /^--\s*migrate:up\b.*\btransaction:false/mi || $text =~ /^--\s*\+migrate\s+up\s+notransaction/mi);
}

sub of_directory
{
	my ($dir, $name) = @_;
	my $metadata = -e "$dir/metadata.toml" ? read_file("$dir/metadata.toml") : '';

	return {
		name => $name,
		up   => read_file("$dir/up.sql"),
		down => -e "$dir/down.sql" ? read_file("$dir/down.sql") : undef,
		alone => scalar($metadata =~ /^\s*run_in_transaction\s*=\s*false/m),
	};
}

sub of_file
{
	my ($dir, $file) = @_;
	my $text = read_file("$dir/$file");
	my ($name, $down);

	return if $file =~ /\.down\.sql$/ || $file =~ /^U[0-9]/;
	if ($file =~ /^(.*)\.up\.sql$/)
	{
		$name = $1;
		$down = read_file("$dir/$name.down.sql") if -e "$dir/$name.down.sql";
		return { name => $name, up => $text, down => $down, alone => says_alone($text) };
	}
	$name = $file =~ s/\.sql$//r;
	my ($up, $taken) = sections($text);
	$taken = read_file("$dir/U$1") if $file =~ /^V([0-9].*)$/ && -e "$dir/U$1";
	return { name => $name, up => $up, down => $taken, alone => says_alone($text) };
}

# A short number counts; a long one is a time, of which some tools write more digits than others.
sub order_of
{
	my ($name) = @_;
	my $number = $name =~ /^V?([0-9][0-9-]*)/ ? $1 =~ s/-//gr : return $name;

	return length $number > 8 ? $number : sprintf '%020d', $number;
}

sub history
{
	my ($dir) = @_;
	my @found;

	opendir my $handle, $dir or die "$dir: $!\n";
	foreach my $entry (sort grep { !/^\./ } readdir $handle)
	{
		if (-e "$dir/$entry/up.sql")
		{
			push @found, of_directory("$dir/$entry", $entry);
		}
		elsif ($entry =~ /\.sql$/)
		{
			push @found, of_file($dir, $entry);
		}
	}
	die "$dir: no migration in it\n" if !@found;
	my @ordered = sort { order_of($a->{name}) cmp order_of($b->{name}) || $a->{name} cmp $b->{name} } @found;
	# an empty down takes nothing back
	foreach my $migration (@ordered)
	{
		delete $migration->{down} if defined $migration->{down} && ($migration->{down} =~ s/--.*//gr) !~ /\S/;
	}
	return @ordered;
}

1;
