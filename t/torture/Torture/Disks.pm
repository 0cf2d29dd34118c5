# Torture::Disks: a region's power fails, its disks are full, or break.  Its tables must come back as they were: whoever loses power has
# lost nothing that it voted for.
package Torture::Disks;

use strict;
use warnings FATAL => 'all';

use IO::Handle;
use SchemaDrift::Region;
use Time::HiRes 'time';

our %faults = (
	power_loss => [ 4, \&_power_loss ],
	disk_full  => [ 2, \&_disk_full ],
	wal_full   => [ 2, \&_wal_full ],
	disk_fails => [ 1, \&_disk_fails ],
);

# Two files, one of them flushed: does the emulation do what it says?
sub _mark
{
	my ($region) = @_;
	my $dir = $region->basedir;

	foreach my $what (qw(flushed written))
	{
		open my $fh, '>', "$dir/$what" or return;
		print $fh $what;
		$fh->flush or return;
		$what eq 'written' || $fh->sync || return;
	}
	return 1;
}

sub _look_at_marks
{
	my ($n, $region) = @_;
	my $dir = $region->basedir;

	die "$dir: a power cut took what was flushed\n" if !-s "$dir/flushed";
	$n->{counts}{'power losses that took what was not flushed'}++ if !-s "$dir/written";
	unlink "$dir/flushed", "$dir/written";
	return;
}

sub _power_loss
{
	my ($n) = @_;
	my $name = $n->well // return;
	my $region = $n->{g}->region($name);
	my $marked = _mark($region);

	$n->{held}{$name} = 1;
	$n->{history}->event('silent', region => $name);
	$region->power_loss;
	_look_at_marks($n, $region) if $marked;
	$n->{clients}->forget($name);
	$n->{tables}->forget($name);
	return (rand() < 0.5 ? rand(1) : rand(6), sub { $n->start_server($name) }, $name);
}

# Nobody can write there any more; the server goes on as far as it gets, and may end.
sub _full
{
	my ($n, $name, $disk, $meanwhile) = @_;

	$n->{held}{$name} = 1;
	$disk->fill;
	$meanwhile->() if $meanwhile;
	return (1 + rand(6), sub {
		$disk->free;
		$n->start_server($name) if !$n->is_up($name);
		delete $n->{held}{$name};
	}, $name);
}

sub _disk_full
{
	my ($n) = @_;
	my $name = $n->well // return;

	return _full($n, $name, $n->{g}->region($name)->{sd_disks}{data});
}

# Segments of WAL that are there already do: until they are used up.
sub _wal_full
{
	my ($n) = @_;
	my $name = $n->well // return;

	return _full($n, $name, $n->{g}->region($name)->{sd_disks}{wal}, sub {
		foreach (1 .. 6)
		{
			last if !defined $n->ask($name, q{SELECT pg_logical_emit_message(false, 'torture', ''), pg_switch_wal()});
		}
	});
}

# Every write and every flush fails; then the disk is mounted again, as it was when it broke.
sub _disk_fails
{
	my ($n) = @_;
	my $name = $n->well // return;
	my $region = $n->{g}->region($name);
	my @disks = values %{ $region->{sd_disks} };

	$n->{held}{$name} = 1;
	$_->cut_power foreach @disks;
	return (0.3 + rand(3), sub {
		$n->kill_server($name);
		$_->repair foreach @disks;
		$n->start_server($name);
	}, $name);
}

1;
