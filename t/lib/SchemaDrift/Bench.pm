# SchemaDrift::Bench: measuring, for t/bench.pl: timed sessions, series of figures, tables to read.
#
#   use SchemaDrift::Bench;
#
#   my $s = stopwatch($g->session('us-east'));    # psql tells how long each statement takes
#   my @ms = clock($s, 'BEGIN; ALTER TABLE t ADD c int; COMMIT;');     # dies if one of them fails
#   note_sample('commit', $ms[2]);                # a series of this name
#   median('commit');  spread('commit');          # "3.10 .. 9.70", lowest and highest
#   heading('...');  row('what', 'median', ...);  say_('...');        # to where people look
#   $region->sql(many_tables(100));  script_of_300(100);    # tables of an application, and ten forms of DDL on them
#   my %cpu = cpu_seconds($region->pids);         # by process, exact to the nanosecond
#
# Times are of psql's own clock around each statement, in milliseconds, so neither perl nor the pipes count.  The
# machine is never quiet: what is compared is measured in the same block, one after the other, and told as the
# median over blocks, with the lowest and the highest beside it.
package SchemaDrift::Bench;

use strict;
use warnings FATAL => 'all';

use Carp;
use Exporter 'import';

our @EXPORT = qw(on_screen stopwatch clock note_sample rename_samples series_names median lowest spread samples forget_samples
  ratio heading row say_ cpu_seconds machine many_tables script_of_300);

my $screen;
my %series;

sub on_screen
{
	my ($handle) = @_;

	$screen = $handle;
	$screen->autoflush(1);
	return;
}

sub say_
{
	my ($text) = @_;

	print $screen "$text\n";
	return;
}

sub heading
{
	my ($title, @columns) = @_;

	print $screen "\n$title\n\n";
	row(@columns) if @columns;
	return;
}

sub row
{
	my ($first, @rest) = @_;

	print $screen sprintf('  %-44s', $first) . join(' ', map { sprintf '%16s', $_ } @rest) . "\n";
	return;
}

# ---- series ----

sub note_sample
{
	my ($name, $value) = @_;

	push @{ $series{$name} }, $value;
	return;
}

# What was noted as "change commit" and so on belongs, as is known now, to "by lease commit" and so on.
sub rename_samples
{
	my ($from, $to) = @_;

	foreach my $name (grep { /^\Q$from\E / } keys %series)
	{
		push @{ $series{ $name =~ s/^\Q$from\E/$to/r } }, @{ delete $series{$name} };
	}
	return;
}

sub series_names
{
	return sort keys %series;
}

sub samples
{
	my ($name) = @_;

	return @{ $series{$name} // croak "nothing was measured as $name" };
}

sub forget_samples
{
	%series = ();
	return;
}

sub median
{
	my ($name) = @_;
	my @sorted = sort { $a <=> $b } samples($name);
	my $middle = $#sorted / 2;

	return ($sorted[ int $middle ] + $sorted[ int($middle + 0.5) ]) / 2;
}

sub lowest
{
	my ($name) = @_;

	return (sort { $a <=> $b } samples($name))[0];
}

sub spread
{
	my ($name, $format) = @_;
	my @sorted = sort { $a <=> $b } samples($name);

	return sprintf +($format // '%.2f') . ' .. ' . ($format // '%.2f'), $sorted[0], $sorted[-1];
}

# Of two medians, or of a median and a number.
sub ratio
{
	my ($name, $to) = @_;

	return sprintf '%.2f', median($name) / ($to =~ /^[0-9.e+-]+$/ ? $to : median($to));
}

# ---- time ----

sub stopwatch
{
	my ($session) = @_;

	$session->query('\timing on');
	return $session;
}

sub clock
{
	my ($session, $sql) = @_;
	my $r = $session->query($sql);

	croak "$sql\n$r->{err}" if !$r->{ok};
	return $r->{out} =~ /^Time: ([0-9.]+) ms/mg;
}

sub cpu_seconds
{
	my %cpu;

	foreach my $pid (@_)
	{
		open my $fh, '<', "/proc/$pid/schedstat" or next;    # ended meanwhile
		my ($ns) = split ' ', readline($fh) // next;
		$cpu{$pid} = $ns / 1e9;
	}
	return %cpu;
}

# What the figures were made on, in a line.
sub machine
{
	open my $fh, '<', '/proc/loadavg' or die "/proc/loadavg: $!";
	my ($load) = split ' ', readline $fh;
	my $processors = grep { /^processor/ } do { open my $c, '<', '/proc/cpuinfo' or die "/proc/cpuinfo: $!"; readline $c };

	return "$processors processors, load average $load";
}

# ---- a schema, and a script ----

# app_1 to app_$n, or from another one on: two indexes each, a foreign key, a check and a default; many transactions, because of the locks.
sub many_tables
{
	my ($n, $from) = @_;

	return sprintf <<'SQL', $from // 1, $n;
DO $do$
BEGIN
	FOR i IN %d .. %d LOOP
		EXECUTE format('CREATE TABLE app_%%1$s (id bigint PRIMARY KEY, parent bigint REFERENCES app_%%2$s,
			name varchar(40) NOT NULL DEFAULT %%3$L, amount numeric(12, 2) CHECK (amount >= 0), at timestamptz NOT NULL DEFAULT now());
			CREATE INDEX ON app_%%1$s (name, at)', i, greatest(i - 1, 1), 'name ' || i);
		IF i %% 500 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END $do$
SQL
}

# 300 statements on as many tables: thirty that need a copy of the table, and nine others of each ten.
sub script_of_300
{
	my ($n) = @_;
	my @kinds = ('ALTER TABLE %s ALTER COLUMN name TYPE varchar(60)', 'ALTER TABLE %s ADD COLUMN note text', "ALTER TABLE %s ADD COLUMN seen timestamptz NOT NULL DEFAULT '2030-01-01'",
		'CREATE INDEX ON %s (amount)', 'ALTER TABLE %s ALTER COLUMN parent SET NOT NULL', 'ALTER TABLE %s DROP COLUMN amount',
		'ALTER TABLE %s ADD CONSTRAINT positive CHECK (id > 0) NOT VALID', 'ALTER TABLE %s RENAME COLUMN at TO made',
		'CREATE TABLE new_%s (id bigint PRIMARY KEY, other bigint REFERENCES app_1)', "COMMENT ON TABLE %s IS 'of the bench'");
	my @script;

	foreach my $i (0 .. 299)
	{
		push @script, sprintf $kinds[ $i % @kinds ], 'app_' . (1 + int($i * ($n - 1) / 300));
	}
	return join ";\n", @script;
}

1;
