# SchemaDrift::Disk: a file system of its own, which can be full, break, or lose what was written and not flushed.
#
#   SchemaDrift::Disk->possible;                      # in the sandbox, as root, with loop devices
#   my $disk = SchemaDrift::Disk->new($dir, 1024);    # an empty ext4 of so many MB on a directory
#   $disk->fill;  $disk->free;                        # no byte left for anybody; as before
#   $disk->cut_power;                                 # from now on all reads of files not in memory, and all writes, fail
#   $disk->repair;                                    # what a disk has after the power is back; nobody may use it meanwhile
#
# The image is a file in the sandbox's memory (/dev/shm), attached to a loop device.  cut_power is ext4's own emergency stop
# (EXT4_IOC_SHUTDOWN without a flush of its journal): from that moment nothing reaches the device any more, so what repair mounts again
# has what was flushed, what the kernel happened to have written back by itself, and nothing else.  What the device was given it keeps:
# a disk with a volatile cache that lies about flushes is not emulated.
package SchemaDrift::Disk;

use strict;
use warnings FATAL => 'all';

use Carp;
use Fcntl;
use Time::HiRes 'sleep';

# where t/sandbox makes device files for the test's user
my $devices = '/dev/shm/disks';
my $get_free = 0x4C82;        # LOOP_CTL_GET_FREE
my $shutdown = 0x8004587D;    # EXT4_IOC_SHUTDOWN
my $no_log_flush = 2;
my $disks = 0;

sub possible
{
	return -w "$devices/loop-control" && grep { -x "$_/mkfs.ext4" } split /:/, $ENV{PATH};
}

sub new
{
	my ($class, $dir, $megabytes) = @_;
	my $self = bless { dir => $dir, image => sprintf '%s/%d.%d', $devices, $$, ++$disks }, $class;

	open my $fh, '>', $self->{image} or croak "$self->{image}: $!";
	truncate $fh, $megabytes * 1024 * 1024 or croak "$self->{image}: $!";
	close $fh;
	_run('mkfs.ext4', '-q', '-m', 0, '-E', "nodiscard,root_owner=$>:" . ($) + 0), $self->{image});
	$self->_mount;
	rmdir "$dir/lost+found";
	return $self;
}

sub dir { my ($self) = @_; return $self->{dir}; }

sub _run
{
	my (@command) = @_;

	system(@command) == 0 or croak "failed: @command";
	return;
}

sub _mount
{
	my ($self) = @_;

	# somebody else may be faster with the same device
	foreach my $try (1 .. 50)
	{
		open my $control, '+<', "$devices/loop-control" or croak "loop-control: $!";
		my $n = ioctl $control, $get_free, 0;

		croak "no loop device is free: $!" if !defined $n;
		my $device = "$devices/loop" . ($n + 0);

		if (system("losetup '$device' '$self->{image}' 2>/dev/null") == 0)
		{
			# what nobody flushes stays in memory for long: the journal commits every 5 min instead of 5 s.  Freed blocks are given back.
			# Without new privileges mount(8), which is set-user-ID, keeps the capability we have.
			_run('setpriv', '--no-new-privs', 'mount', '-t', 'ext4', '-o', 'commit=300,discard', $device, $self->{dir});
			# from now on the device goes with its mount, and that with the sandbox
			_run('losetup', '-d', $device);
			return;
		}
		sleep 0.1;
	}
	croak "no loop device for $self->{image}";
}

sub fill
{
	my ($self) = @_;
	my $file = "$self->{dir}/full";
	my $size = 1024 * 1024 * 1024;

	# large pieces, then small ones, until there is no room for the smallest
	open my $fh, '>', $file or return;
	close $fh;
	while ($size >= 4096)
	{
		my $at = -s $file;

		$size /= 2 if system("fallocate -o $at -l $size '$file' 2>/dev/null") != 0;
	}
	return;
}

sub free
{
	my ($self) = @_;

	unlink "$self->{dir}/full";
	return;
}

sub cut_power
{
	my ($self) = @_;

	sysopen my $fh, $self->{dir}, O_RDONLY or croak "$self->{dir}: $!";
	my $flags = pack 'L', $no_log_flush;
	ioctl $fh, $shutdown, $flags or croak "$self->{dir}: the file system cannot be stopped: $!";
	return;
}

sub repair
{
	my ($self) = @_;

	# a process that has just ended may not be gone
	foreach my $try (1 .. 100)
	{
		last if system("setpriv --no-new-privs umount '$self->{dir}' 2>/dev/null") == 0;
		croak "$self->{dir}: still in use" if $try == 100;
		sleep 0.05;
	}
	$self->_mount;
	return;
}

1;
