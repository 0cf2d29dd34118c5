# SchemaDrift::Region: one real server of a group: PostgreSQL::Test::Cluster with an address of its own.
#
# A region's server runs in the region's network (SchemaDrift::Net), without capabilities, as the same user as the
# test; psql reaches it by Unix socket whatever happens to the networks.
package SchemaDrift::Region;

use strict;
use warnings FATAL => 'all';

use parent -norequire, 'PostgreSQL::Test::Cluster';

use Carp;
use Cwd 'abs_path';
use Fcntl ();
use File::Basename 'dirname';
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(sleep time);

use SchemaDrift::Disk;
use SchemaDrift::Session;

my %made;

# SchemaDrift::Region->make($net, $name, conf => "...", streaming => 'logical', dbname => 'postgres')
# makes the data directory; start() is the caller's.  disks => 1: data and pg_wal are each on a SchemaDrift::Disk, in
# $region->{sd_disks}{data} and {wal}.  clock => 1: set_clock moves the server's wall clock.
sub make
{
	my ($class, $net, $name, %o) = @_;
	# a second group in one test may have a region of the same name
	my $self = $class->new($made{$name}++ ? "$name-$made{$name}" : $name);

	$self->{sd_net}    = $net;
	$self->{sd_dbname} = $o{dbname} // 'postgres';
	$self->{sd_link}   = $net->add($name, $self->port, $self->data_dir);
	$self->{sd_bin}    = $self->basedir . '/bin';
	$self->{sd_bindir}  = $o{bindir};
	$self->{sd_name}   = $name;
	$self->{sd_template} = _template($o{bindir});
	if ($o{clock})
	{
		$self->{sd_clock} = abs_path($self->basedir) . '.clock';
		$self->set_clock(0);
	}
	if ($o{disks})
	{
		my $wal = abs_path($self->basedir) . '.wal';

		mkdir $wal or die "$wal: $!";
		$self->{sd_disks} = { data => SchemaDrift::Disk->new($self->basedir, 2048), wal => SchemaDrift::Disk->new($wal, 768) };
	}
	mkdir $self->{sd_bin} or die "$self->{sd_bin}: $!";
	$self->init(allows_streaming => $o{streaming} // 0);
	$self->_wal_to_its_disk if $self->{sd_disks};

	$self->append_conf('postgresql.conf', <<"CONF");
listen_addresses = '$self->{sd_link}{listen}'
shared_preload_libraries = 'schemadrift'
# a region with fsync off has no vote
fsync = on
restart_after_crash = on
shared_buffers = 16MB
max_connections = 60
max_worker_processes = 24
autovacuum_naptime = 10min
log_statement = none
log_min_messages = info
# a change flushes four times in a row, and a disk may stand still for seconds; so may the processor, while a process starts
schemadrift.quorum_timeout = 10s
schemadrift.connect_timeout = 5s
CONF
	$self->append_conf('postgresql.conf', $o{conf}) if defined $o{conf};
	$self->append_conf('pg_hba.conf', "host all all 10.77.0.0/16 trust\nhost all all 127.0.0.0/8 trust");
	return $self;
}

# How another region reaches this one.
sub conninfo
{
	my ($self, $dbname) = @_;

	return sprintf 'host=%s port=%d dbname=%s user=region_peer', $self->{sd_link}{host}, $self->{sd_link}{port},
	  $dbname // $self->{sd_dbname};
}

# A psql on this server: by its Unix socket, or from => another region: by TCP, from that region's network.
sub session
{
	my ($self, %o) = @_;
	my $connstr = $self->connstr($o{dbname} // $self->{sd_dbname});
	my @prefix;

	if (defined $o{from})
	{
		$connstr = sprintf "host=%s port=%d dbname='%s' connect_timeout=%d", $self->{sd_link}{host},
		  $self->{sd_link}{port}, $o{dbname} // $self->{sd_dbname}, $o{connect_timeout} // 20;
		@prefix = $self->{sd_net}->prefix($o{from});
	}
	$connstr .= " user=$o{user}" if defined $o{user};
	return SchemaDrift::Session->new(
		name    => $self->name,
		connstr => $connstr,
		admin   => $self->connstr('postgres'),
		prefix  => \@prefix,
		map { $_ => $o{$_} } grep { exists $o{$_} } qw(application_name options));
}

# Run SQL in a session of its own and look at what came of it (see SchemaDrift::Session).
sub try
{
	my ($self, $sql, %o) = @_;
	my $session = $self->session(%o);
	my $r = $session->query($sql =~ /;\s*\z/ ? $sql : "$sql;", %o);

	$session->quit;
	return $r;
}

# Run SQL that must work; its output.
sub sql
{
	my ($self, $sql, %o) = @_;
	my $r = $self->try($sql, %o);

	return $r->{out} if $r->{ok} || $self->_has_worked($sql, $r, %o);
	croak $self->name . ": $sql\n$r->{err}";
}

# A machine that stands still in the middle of a commit may let other regions finish what it began.  Then its client is told that it is
# not known yet (40003), and finds out as anybody would; the output is that of a call that returns its version.
sub _has_worked
{
	my ($self, $sql, $r, %o) = @_;
	my @errors = $r->{err} =~ /^(?:ERROR|FATAL|PANIC):  (\w*)/mg;
	my ($id) = ($r->{hint} // '') =~ /outcome\('([0-9a-f-]{36})'\)/;

	return 0 if @errors != 1 || $r->{sqlstate} ne '40003' || !defined $id
	  || !$self->wait_until("SELECT schemadrift.outcome('$id'::uuid)", qr/^(?:applied|rejected)$/, undef, dbname => $o{dbname} // $self->{sd_dbname});
	my ($version) = $self->try("SELECT version FROM schemadrift_store.log WHERE entry_id = '$id'", dbname => $o{dbname} // $self->{sd_dbname})->{out};

	Test::More::note($self->name . ": $sql\n" . ($version eq '' ? 'has not happened' : "others finished it, as version $version"));
	$r->{out} = $version if $r->{out} eq '' && $sql =~ /^\s*SELECT\s+schemadrift\.\w+\(/;
	return $version ne '';
}

# Wait until a query answers with the text (or matches the pattern); true if it did in time.
sub wait_until
{
	my ($self, $sql, $expected, $timeout, @o) = @_;
	my $end = time() + ($timeout // $SchemaDrift::Session::timeout);
	my $got;

	$expected //= 't';
	while (1)
	{
		my $r = $self->try($sql, timeout => 30, @o);
		$got = $r->{ok} ? $r->{out} : "$r->{sqlstate} $r->{message}";
		return 1 if ref $expected ? $got =~ $expected : $got eq $expected;
		last if time() > $end;
		sleep 0.03;
	}
	Test::More::diag($self->name . ": waited in vain for \"$expected\" from: $sql\ngot: $got");
	return 0;
}

# Wait until the server's log holds a line that matches, from an offset on (see log_size).
sub wait_log
{
	my ($self, $pattern, $offset, $timeout) = @_;
	my $end = time() + ($timeout // $SchemaDrift::Session::timeout);

	while (substr(PostgreSQL::Test::Utils::slurp_file($self->logfile), $offset // 0) !~ $pattern)
	{
		if (time() > $end)
		{
			Test::More::diag($self->name . ": waited in vain for $pattern in the log");
			return 0;
		}
		sleep 0.03;
	}
	return 1;
}

# A process was killed when the log was that long: until the server has ended all others for it, and works again.
sub restarted
{
	my ($self, $since) = @_;

	return $self->wait_log(qr/all server processes terminated; reinitializing/, $since) && $self->wait_until('SELECT 1', '1');
}

sub log_size
{
	my ($self) = @_;

	return -s $self->logfile;
}

# All processes of the server, the postmaster first.
sub pids
{
	my ($self) = @_;
	my $postmaster = $self->{_pid} or return;
	my @pids = ($postmaster);

	foreach my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $fh, '<', $stat or next;    # ended meanwhile
		my $line = <$fh> // next;
		push @pids, $1 if $line =~ /^([0-9]+) \(.*\) \S ([0-9]+) / && $2 == $postmaster;
	}
	return @pids;
}

# The whole server dies at once, as by a power cut that spares the disk.
sub kill9
{
	my ($self) = @_;
	my @pids = $self->pids or return;

	kill 'STOP', $pids[0];    # no new children
	@pids = $self->pids;
	kill 'KILL', @pids;
	foreach my $pid (@pids)
	{
		sleep 0.005 while kill 0, $pid;
	}
	$self->{_pid} = undef;
	$self->{sd_paused} = 0;
	return;
}

# The whole server stands still (SIGSTOP), and goes on.  Returns when every process does: a signal takes its time.
sub pause
{
	my ($self) = @_;
	my %stopped;

	# the postmaster first; then until no child is new
	while (my @new = grep { !$stopped{$_}++ } $self->pids)
	{
		kill 'STOP', @new;
	}
	foreach my $pid (keys %stopped)
	{
		sleep 0.005 while process_state($pid) =~ /^[RSD]$/;
	}
	$self->{sd_paused} = 1;
	return;
}

# R running, S sleeping, D in the kernel, T stopped, Z ended but not buried, empty: gone.
sub process_state
{
	my ($pid) = @_;

	open my $fh, '<', "/proc/$pid/stat" or return '';
	return (readline($fh) // '') =~ /\) (\S)/ ? $1 : '';
}

sub resume
{
	my ($self) = @_;

	kill 'CONT', reverse $self->pids;
	$self->{sd_paused} = 0;
	return;
}

# ---- other servers with the data of this region ----

# One in the region's network, of a base backup; started by the caller.  On a Unix socket only: the region's address is the
# region's.
sub _beside
{
	my ($self, $what, $backup, %o) = @_;
	my $name = $self->name . "-$what" . ++$self->{sd_beside};
	my $node = (ref $self)->new($name);

	$node->{$_} = $self->{$_} foreach qw(sd_net sd_dbname sd_link sd_name sd_template sd_bindir sd_clock);
	$node->{sd_bin} = $node->basedir . '/bin';
	mkdir $node->{sd_bin} or die "$node->{sd_bin}: $!";
	$node->init_from_backup($self, $backup, %o);
	$node->append_conf('postgresql.conf', "listen_addresses = ''");
	return $node;
}

# A standby that streams, running.  sync => 1: the region's commits wait for it from now on.
sub standby
{
	my ($self, %o) = @_;
	my $backup = 'standby' . ++$self->{sd_backups};
	my $node;

	$self->backup($backup);
	$node = $self->_beside('standby', $backup, has_streaming => 1);
	$node->start;
	if ($o{sync})
	{
		$self->append_conf('postgresql.conf', "synchronous_standby_names = '*'");
		$self->reload;
		$self->wait_until('SELECT string_agg(sync_state, \',\') FROM pg_stat_replication', 'sync')
		  or croak "$node->{sd_name}: the standby does not become synchronous";
	}
	$self->wait_for_catchup($node);
	return $node;
}

# A server of the same data, beside this one; not yet started.
sub clone
{
	my ($self) = @_;
	my $backup = 'clone' . ++$self->{sd_backups};

	$self->backup($backup);
	return $self->_beside('clone', $backup);
}

# The region's server, which is stopped, goes on with another data directory; start is the caller's.
sub use_data
{
	my ($self, $dir) = @_;
	my $old = $self->data_dir . '.' . ++$self->{sd_old};
	my $host = $self->host;
	my $port = $self->port;

	rename $self->data_dir, $old or die "$old: $!";
	# from one disk to another is a copy
	rename $dir, $self->data_dir or PostgreSQL::Test::Utils::system_or_bail('cp', '-a', $dir, $self->data_dir);
	chmod 0700, $self->data_dir;
	$self->_wal_to_its_disk if $self->{sd_disks};
	$self->append_conf('postgresql.conf', <<"CONF");
port = $port
unix_socket_directories = '$host'
listen_addresses = '$self->{sd_link}{listen}'
CONF
	return $old;
}

# The server's wall clock goes ahead of the true time by so many seconds, or behind it, from now on; monotonic clocks do not change.
sub set_clock
{
	my ($self, $seconds) = @_;

	# the same file, in place: servers have it in their memory
	sysopen my $fh, $self->{sd_clock}, Fcntl::O_WRONLY | Fcntl::O_CREAT or die "$self->{sd_clock}: $!";
	syswrite $fh, pack 'q', $seconds or die "$self->{sd_clock}: $!";
	close $fh;
	return;
}

# The library that moves clocks; undef where it cannot be made.
sub clock_library
{
	my $library = abs_path($PostgreSQL::Test::Utils::tmp_check) . "/clock-$$.so";
	my $source = dirname(__FILE__) . '/../clock.c';

	return $library if -e $library || system("cc -O2 -shared -fPIC -o '$library' '$source' 2>/dev/null") == 0;
	return;
}

sub _wal_to_its_disk
{
	my ($self) = @_;
	my $wal = $self->{sd_disks}{wal}->dir;
	my $here = $self->data_dir . '/pg_wal';

	PostgreSQL::Test::Utils::system_or_bail('sh', '-c', "rm -rf '$wal'/* && mv '$here'/* '$wal' && rmdir '$here' && ln -s '$wal' '$here'");
	return;
}

# What the test itself wrote there (a data directory, settings) is not lost with the next power cut.
sub flush_disks
{
	my ($self) = @_;

	PostgreSQL::Test::Utils::system_or_bail('sync', '-f', $_->dir) foreach values %{ $self->{sd_disks} // {} };
	return;
}

# The region's power fails and comes back: what was written and not flushed is gone.  The server is down then.
sub power_loss
{
	my ($self) = @_;
	my @disks = values %{ $self->{sd_disks} // croak $self->name . ' has no disks of its own' };

	$self->pause if $self->pids && !$self->{sd_paused};
	$_->cut_power foreach @disks;
	$self->kill9;
	$_->repair foreach @disks;
	return;
}

# The standby takes the place of the region's server, which is stopped: it is promoted, and has its address.
sub fail_over
{
	my ($self, $standby) = @_;

	$standby->stop('fast');
	$self->use_data($standby->data_dir);
	$self->start;
	$self->promote;
	return $self->wait_until('SELECT pg_is_in_recovery()', 'f');
}

# The data directory of a server that never ran, of this installation or another one's major, with this one's configuration.
sub new_cluster
{
	my ($self, $bindir) = @_;
	my $dir = $self->basedir . '/new' . ++$self->{sd_old};

	$bindir //= $self->bindir;
	PostgreSQL::Test::Utils::system_or_bail('cp', '-a', _template($bindir), $dir);
	_new_identity($dir, $bindir);
	PostgreSQL::Test::Utils::system_or_bail('cp', '-a', map({ $self->data_dir . "/$_" } qw(postgresql.conf postgresql.auto.conf pg_hba.conf)), $dir);
	return $dir;
}

# The region's server, which is stopped, goes back to a base backup.  recovery: lines for a recovery of its own, which
# ends on a new timeline; without them the server starts as after a crash, on the same one.
sub restore
{
	my ($self, $backup, %o) = @_;
	my $dir = $self->basedir . "/restored" . ++$self->{sd_backups};

	PostgreSQL::Test::Utils::system_or_bail('cp', '-a', $self->backup_dir . "/$backup", $dir);
	$self->use_data($dir);
	return if !defined $o{recovery};
	$self->append_conf('postgresql.conf', $o{recovery});
	open my $signal, '>', $self->data_dir . '/recovery.signal' or die $!;
	close $signal;
	return;
}

# start and restart call pg_ctl by its name: here that is one which first goes into the region's network.
sub start
{
	my ($self, @args) = @_;
	local $ENV{PATH} = $self->_path(pg_ctl => $self->_pg_ctl);

	$self->flush_disks;
	$self->_wait_until_left;
	return $self->SUPER::start(@args);
}

# A server does not start while a process of its predecessor, which was killed, is attached to its shared memory; and the kernel
# lets go of that some time after the process is gone.
sub _wait_until_left
{
	my ($self) = @_;
	my $end = time() + $SchemaDrift::Session::timeout;

	open my $file, '<', $self->data_dir . '/postmaster.pid' or return;
	my @lines = <$file>;
	my (undef, $segment) = split ' ', $lines[6] // '';

	sleep 0.005 while defined $segment && time() < $end && _attached($segment);
	return;
}

# How many processes are attached to a segment of shared memory.
sub _attached
{
	my ($segment) = @_;

	open my $file, '<', '/proc/sysvipc/shm' or return 0;
	while (my $line = <$file>)
	{
		my (undef, $id, undef, undef, undef, undef, $n) = split ' ', $line;

		return $n if $id eq $segment;
	}
	return 0;
}

sub restart
{
	my ($self, @args) = @_;
	local $ENV{PATH} = $self->_path(pg_ctl => $self->_pg_ctl);

	return $self->SUPER::restart(@args);
}

sub teardown_node
{
	my ($self, @args) = @_;

	$self->resume if $self->{sd_paused};
	return $self->SUPER::teardown_node(@args);
}

# pg_upgrade of this server, which is stopped, to the installation in that directory, where it runs from its next start on.
# Returns where the old data directory is now.
sub pg_upgrade
{
	my ($self, $bindir, @options) = @_;
	my $new = $self->new_cluster($bindir);
	my @command = ("$bindir/pg_upgrade", '-b', $self->bindir, '-B', $bindir, '-d', abs_path($self->data_dir), '-D',
		abs_path($new), '-s', $self->host, @options);

	# it writes scripts and logs into the directory that it runs in
	my ($out, $err);
	my $ok = IPC::Run::run(\@command, '<', \'', '>', \$out, '2>', \$err, init => sub { chdir $self->basedir or die $! });
	croak "pg_upgrade: $out$err" if !$ok;
	$self->use_bindir($bindir);
	return $self->use_data($new);
}

# The directory of the server's programs.
sub bindir
{
	my ($self) = @_;

	return $self->{sd_bindir} // _installed('pg_ctl') =~ s{/pg_ctl$}{}r;
}

# From its next start on, the server is another installation's; undef: the one under test.
sub use_bindir
{
	my ($self, $bindir) = @_;

	$self->{sd_bindir} = $bindir;
	return;
}

sub _pg_ctl
{
	my ($self) = @_;

	return (
		$self->{sd_net}->prefix($self->{sd_name}),
		$self->{sd_clock} ? ('env', "SD_TEST_CLOCK=$self->{sd_clock}", 'LD_PRELOAD=' . clock_library()) : (),
		$self->bindir . '/pg_ctl',
		# watched by a sanitizer or by valgrind (t/lib/watched/)
		defined $ENV{SD_TEST_SERVER} && !defined $self->{sd_bindir} ? ('-p', $ENV{SD_TEST_SERVER}) : ());
}

sub _installed
{
	my ($command) = @_;
	my ($path) = grep { -x } map { "$_/$command" } split /:/, $ENV{PATH};

	return $path // die "no $command in PATH\n";
}

# A PATH in which a command stands for other words.
sub _path
{
	my ($self, $command, @words) = @_;
	my $path = "$self->{sd_bin}/$command";

	open my $fh, '>', $path or die "$path: $!";
	print $fh "#!/bin/sh\nexec @words \"\$@\"\n";
	close $fh or die "$path: $!";
	chmod 0755, $path or die "$path: $!";
	return "$self->{sd_bin}:$ENV{PATH}";
}

# initdb takes a good part of a second, a copy a tenth: the first region of all tests makes the template, under a lock;
# one for each major.
sub _template
{
	my ($bindir) = @_;
	my $template = $ENV{SD_TEST_TEMPLATE} // "$PostgreSQL::Test::Utils::tmp_check/template";
	my $initdb = defined $bindir ? "$bindir/initdb" : _installed('initdb');
	my ($major) = qx{'$initdb' --version} =~ / (\d+)/ or die "$initdb: $!\n";

	$template .= "-$major";
	open my $lock, '>', "$template.lock" or die "$template.lock: $!";
	flock $lock, Fcntl::LOCK_EX or die "$template.lock: $!";
	if (!-e "$template/PG_VERSION")
	{
		# 18 has checksums if it is not told; pg_upgrade wants the same on both sides
		my @no_checksums = qx{'$initdb' --help} =~ /(--no-data-checksums)/;

		PostgreSQL::Test::Utils::system_or_bail($initdb, '-D', "$template.new", '-A', 'trust', '-N', '-E', 'UTF8',
			'--locale=C', '-U', getpwuid($>) . '', @no_checksums);
		rename "$template.new", $template or die "$template: $!";
	}
	return $template;
}

# init calls initdb by its name: here that is a copy of the template, which then gets an identity of its own.
sub init
{
	my ($self, @args) = @_;

	{
		# the copy ignores initdb's own arguments, which differ between versions
		my $copy = "cp -a $self->{sd_template} " . $self->data_dir;
		local $ENV{PATH} = $self->_path(initdb => 'sh', '-c', "'$copy'");
		local $ENV{INITDB_TEMPLATE};    # 16 and newer have a way of their own to copy
		delete $ENV{INITDB_TEMPLATE};
		$self->SUPER::init(@args);
	}
	_new_identity($self->data_dir, $self->bindir);
	return;
}

# Copies of one initdb would share the system identifier, which tells servers from their clones.  A new one goes
# into pg_control (its first eight bytes, and the checksum after the last field), and pg_resetwal into the WAL.
sub _new_identity
{
	my ($dir, $bindir) = @_;
	my $control = "$dir/global/pg_control";
	my $bytes   = PostgreSQL::Test::Utils::slurp_file($control);
	my $size;

	for ($size = 200; $size < 600; $size += 4)
	{
		last if _crc32c(substr $bytes, 0, $size) == unpack 'L', substr $bytes, $size, 4;
	}
	die "no checksum found in $control" if $size >= 600;
	substr($bytes, 0, 8) = pack 'Q', (time() << 32) | int rand 2**32;
	substr($bytes, $size, 4) = pack 'L', _crc32c(substr $bytes, 0, $size);
	open my $fh, '>:raw', $control or die "$control: $!";
	print $fh $bytes;
	close $fh or die "$control: $!";
	PostgreSQL::Test::Utils::system_or_bail("$bindir/pg_resetwal", '-f', '-D', $dir);
	return;
}

sub _crc32c
{
	my ($bytes) = @_;
	my $crc = 0xFFFFFFFF;

	foreach my $byte (unpack 'C*', $bytes)
	{
		$crc ^= $byte;
		$crc = $crc & 1 ? ($crc >> 1) ^ 0x82F63B78 : $crc >> 1 for 1 .. 8;
	}
	return $crc ^ 0xFFFFFFFF;
}

1;
