#!/usr/bin/perl
# bench.pl: what schemadrift costs, in figures; docs/performance.md explains them and keeps some.
#
# Started by t/run.pl (make bench) in the sandbox.  PARTS="network loopback idle gate fingerprint compare analyze policy looks" runs only these; BLOCKS (30) is
# how often each thing is measured, IDLE (60) how many seconds an idle group is watched, RTTS ("1 20 100") the round
# trips in milliseconds, GROUPS_OF ("3 9 25") the sizes of groups made of databases, TABLES ("100 1000 10000") the sizes of
# schemas.  pglogical is measured beside it
# where it is installed, instructions where valgrind is.
#
# Prints; asserts nothing about time.  It ends with an error only if something did not work.
use strict;
use warnings FATAL => 'all';

my $screen;

BEGIN
{
	# PostgreSQL::Test::Utils takes STDOUT for its log
	open $screen, '>&', \*STDOUT or die "stdout: $!\n";
	require IO::Handle;
}

use File::Path 'remove_tree';
use Test::More;
use Time::HiRes qw(sleep time);

use SchemaDrift::Bench;
use SchemaDrift::Group;

my $blocks = $ENV{BLOCKS} || 30;
my $idle   = $ENV{IDLE}   || 60;
my @rtts   = split ' ', $ENV{RTTS}      || '1 20 100';
my @sizes  = split ' ', $ENV{GROUPS_OF} || '3 9 25';
my @tables = split ' ', $ENV{TABLES}    || '100 1000 10000';
my @parts  = ([ network => \&network ], [ loopback => \&loopback ], [ idle => \&idle_groups ], [ gate => \&gate ],
	[ fingerprint => \&fingerprint ], [ compare => \&compare ], [ analyze => \&analyze ],
	[ policy => \&policy ], [ looks => \&looks ]);
my %wanted = map { $_ => 1 } split ' ', $ENV{PARTS} || join ' ', map { $_->[0] } @parts;
my $tables = 'CREATE TABLE t (id int PRIMARY KEY, what text); INSERT INTO t SELECT i FROM generate_series(1, 1000) i;
	CREATE TABLE floor (i int);';
my $column = 0;

on_screen($screen);
say_(machine() . ', ' . `postgres --version` =~ s/\s+\z//r . ". Times in ms: median, and lowest .. highest of $blocks.");
foreach my $part (@parts)
{
	next if !delete $wanted{ $part->[0] };
	forget_samples();
	$part->[1]->();
}
die 'no such part: ' . join(' ', keys %wanted) . "\n" if %wanted;
say_("\n" . machine() . ' at the end');
exit 0;

# ---- what is timed ----

# One transaction that changes the schema twice.  The second statement needs no grant, so the difference is the grant.
sub change
{
	my ($name, $session) = @_;
	my $c = ++$column;
	my (undef, $first, $second, $commit) =
	  clock($session, "BEGIN; ALTER TABLE t ADD COLUMN a$c int; ALTER TABLE t ADD COLUMN b$c int; COMMIT;");

	note_sample("$name first",     $first);
	note_sample("$name statement", $second);
	note_sample("$name grant",     $first - $second);
	note_sample("$name commit",    $commit);
	note_sample("$name locked",    $second + $commit);
	note_sample("$name whole",     $first + $commit);    # as with one statement
	return ($first + $commit, $commit);
}

# A statement that commits one row, durably.
sub write_row
{
	my ($name, $session) = @_;
	my ($ms) = clock($session, 'INSERT INTO floor VALUES (1);');

	note_sample($name, $ms);
	return $ms;
}

# Who waits in each region for a version, and how long after the commit the last of them has it.
sub wait_everywhere
{
	my ($version, %waiters) = @_;

	$waiters{$_}->send("CALL schemadrift.wait_for($version, ARRAY['$_']);") foreach keys %waiters;
	return;
}

sub note_arrival
{
	my ($name, $since, %waiters) = @_;

	foreach my $waiter (values %waiters)
	{
		my $r = $waiter->result;
		die $r->{err} if !$r->{ok};
	}
	note_sample($name, 1000 * (time() - $since));
	return;
}

sub head_of
{
	my ($session) = @_;

	return $session->query('SELECT max(version) FROM schemadrift_store.log;')->{out} =~ /^([0-9]+)$/m ? $1 : die 'no head';
}

# ---- over a network ----

# A server without schemadrift and its synchronous standby, in the same network.
sub replicated_pair
{
	my ($net) = @_;
	my $conf = "shared_preload_libraries = ''\n";
	my $primary = SchemaDrift::Region->make($net, 'primary', conf => $conf, streaming => 1);
	my $standby = SchemaDrift::Region->make($net, 'standby', conf => $conf);
	my $link = $primary->{sd_link};

	$primary->append_conf('pg_hba.conf', 'host replication all 10.77.0.0/16 trust');
	$primary->start;
	$primary->sql($tables);
	remove_tree($standby->data_dir);
	PostgreSQL::Test::Utils::system_or_bail('pg_basebackup', '-d', $primary->connstr('postgres'), '-D', $standby->data_dir,
		'--checkpoint=fast');
	PostgreSQL::Test::Utils::append_to_file($standby->data_dir . '/standby.signal', '');
	$standby->append_conf('postgresql.conf', "port = " . $standby->port . "\nlisten_addresses = '$standby->{sd_link}{listen}'\n"
		. "primary_conninfo = 'host=$link->{host} port=$link->{port} user=" . getpwuid($>) . " application_name=standby'\n");
	$standby->start;
	$primary->append_conf('postgresql.conf', "synchronous_standby_names = 'standby'\n");
	$primary->sql('SELECT pg_reload_conf()');
	$primary->wait_until('SELECT sync_state FROM pg_stat_replication', 'sync') or die 'no synchronous standby';
	return ($primary, $standby);
}

# pglogical, if it is installed: it sends DDL that is handed to it as text, one way.
sub pglogical_pair
{
	my ($net) = @_;
	my $user = getpwuid($>);
	my %server;

	return if !-e `pg_config --pkglibdir` =~ s/\s+\z//r . '/pglogical.so';
	foreach my $name (qw(provider subscriber))
	{
		my $link;

		# with its default, off, the subscriber reports what is flushed once a second
		$server{$name} = SchemaDrift::Region->make($net, $name, streaming => 'logical', conf =>
			"shared_preload_libraries = 'pglogical'\npglogical.synchronous_commit = on\n");
		$link = $server{$name}{sd_link};
		$server{$name}->start;
		$server{$name}->sql($tables);
		# newer minor releases of PostgreSQL ask for it
		if ($server{$name}->sql(q{SELECT 'has it' FROM pg_settings WHERE name = 'output_plugin_libraries'}))
		{
			$server{$name}->append_conf('postgresql.conf', "output_plugin_libraries = 'pgoutput, pglogical_output'\n");
			$server{$name}->sql('SELECT pg_reload_conf()');
		}
		$server{$name}->sql("CREATE EXTENSION pglogical; SELECT pglogical.create_node('$name',
			'host=$link->{host} port=$link->{port} dbname=postgres user=$user')");
	}
	my $link = $server{provider}{sd_link};
	$server{subscriber}->sql("SELECT pglogical.create_subscription('bench',
		'host=$link->{host} port=$link->{port} dbname=postgres user=$user', synchronize_structure := false, synchronize_data := false)");
	my $sender = q{SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'};
	$server{provider}->wait_until($sender, qr/./) or die 'pglogical does not stream';
	my $name = $server{provider}->sql($sender) =~ s/\s+\z//r;
	$server{provider}->append_conf('postgresql.conf', "synchronous_standby_names = '\"$name\"'\n");
	$server{provider}->sql('SELECT pg_reload_conf()');
	$server{provider}->wait_until('SELECT sync_state FROM pg_stat_replication', 'sync') or die 'no synchronous subscriber';
	return @server{qw(provider subscriber)};
}

sub change_by_pglogical
{
	my ($name, $session, $waiter) = @_;
	my $c = 'p' . ++$column;

	$waiter->send("DO \$\$ BEGIN
		WHILE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = '$c') LOOP
			PERFORM pg_sleep(0.0002);
		END LOOP; END \$\$;");
	my (undef, $statement, $commit) = clock($session,
		"BEGIN; SELECT pglogical.replicate_ddl_command('ALTER TABLE public.t ADD COLUMN $c int'); COMMIT;");
	note_arrival("$name arrival", time(), waiter => $waiter);
	note_sample("$name commit", $commit);
	return;
}

# How a group's newest change was granted.
sub grant_of
{
	my ($session) = @_;
	my $r = $session->query("SELECT 'grant: ' || outcome FROM schemadrift.decisions WHERE kind = 'grant' ORDER BY hlc DESC LIMIT 1;");

	return $r->{out} =~ /^grant: (.*)$/m ? $1 : die "no grant: $r->{out}$r->{err}";
}

# Two groups, one of them without leases, and two ways to replicate that PostgreSQL users know, each in its own
# servers and all behind proxies of one kind.
sub network
{
	my %group = map { $_->[0] => SchemaDrift::Group->new(regions => 3, proxied => 1, conf => $_->[1]) }
	  [ leased => '' ], [ unleased => "schemadrift.lease_duration = 0\n" ];
	my $g = $group{leased};
	my ($us, @others) = $g->names;

	if (!$g->net->is_real)
	{
		say_("\nNetwork: not measured, this machine gives us no network namespaces.");
		return;
	}
	$_->make_group(mode => 'coordinate', before => $tables) foreach values %group;
	my @pair = replicated_pair($g->net);
	my @pglogical = pglogical_pair($g->net);
	my (%change, %near, %waiter);
	foreach my $kind (keys %group)
	{
		$change{$kind} = stopwatch($group{$kind}->session($us));
		$near{$kind}   = stopwatch($group{$kind}->session($us));
		$waiter{$kind} = { map { $_ => $group{$kind}->session($_) } @others };
	}
	my %far     = map { $_ => stopwatch($g->session($_, from => $us)) } @others;
	my $bare    = stopwatch($pair[0]->session);
	my $synced  = stopwatch($pair[0]->session);
	my @senders = @pglogical ? map { stopwatch($pglogical[0]->session) } 1 .. 2 : ();
	my $arrived = @pglogical ? $pglogical[1]->session : undef;

	clock($bare, 'SET synchronous_commit = local;');
	clock($senders[0], 'SET synchronous_commit = local;') if @pglogical;
	foreach my $rtt (@rtts)
	{
		my %by_lease;

		forget_samples();
		set_latency($_->net, $rtt / 2000) foreach values %group;
		foreach my $block (0 .. $blocks)
		{
			my $other = $others[ $block % @others ];
			my $row   = sub {
				note_sample('round trip', (clock($far{$other}, 'SELECT 1;'))[0]);
				my $there = write_row('far row', $far{$other});
				note_sample('floor', $there + write_row('near row', $near{leased}));
			};
			my $ours = sub {
				my ($kind) = @_;

				wait_everywhere(1 + head_of($near{$kind}), %{ $waiter{$kind} });
				change('change', $change{$kind});
				# all but the first of a region are meant to be
				my $how = grant_of($near{$kind}) eq 'by lease' ? 'by lease' : 'asked';
				rename_samples('change', $how);
				$by_lease{$kind} += $how eq 'by lease' ? 1 : 0;
				note_arrival('arrival', time(), %{ $waiter{$kind} });
			};
			my @order = ($row, sub { $ours->('leased') }, sub { $ours->('unleased') }, sub { change('bare', $bare) },
				sub { change('synchronous', $synced) },
				@pglogical ? (sub { change_by_pglogical('pglogical', $senders[0], $arrived) },
					sub { change_by_pglogical('synchronous pglogical', $senders[1], $arrived) }) : ());

			# each is after each of the others as often; the first block only warms up, and takes the lease
			push @order, splice @order, 0, $block % @order;
			$_->() foreach @order;
			forget_samples() if $block == 0;
			%by_lease = () if $block == 0;
		}
		heading(sprintf('Three regions, %s ms of round trip (measured: %.1f); by lease %d of %d, and without leases %d',
				$rtt, median('round trip'), $by_lease{leased}, $blocks, $by_lease{unleased}),
			'', 'median', 'lowest .. highest', 'in round trips', 'of the floor', 'lowest of lowest');
		report('floor: a row committed there, another here', 'floor', 'floor');
		foreach my $how ([ 'by lease' => 'by lease' ], [ 'asked' => 'without a lease' ])
		{
			next if !grep { $_ eq "$how->[0] commit" } series_names();
			row($how->[1]);
			report('  grant (before anything is locked)',   "$how->[0] grant");
			report('  statement',                           "$how->[0] statement");
			report('  COMMIT',                              "$how->[0] commit", 'floor');
			report('  locks held: statement and COMMIT',    "$how->[0] locked", 'floor');
			report('  all of it',                           "$how->[0] whole", 'floor');
		}
		report('from COMMIT to applied everywhere',        'arrival');
		report('COMMIT, one server',                       'bare commit');
		report('COMMIT, synchronous standby',              'synchronous commit', 'floor');
		if (@pglogical)
		{
			report('COMMIT, pglogical',                    'pglogical commit');
			report('  from there to the subscriber',       'pglogical arrival');
			report('COMMIT, synchronous pglogical',        'synchronous pglogical commit', 'floor');
		}
		else
		{
			say_('  pglogical: not measured, it is not installed.');
		}
	}
	$_->stop('fast') foreach reverse(@pair, @pglogical), map { my $h = $_; map { $h->region($_) } $h->names } values %group;
	return;
}

sub set_latency
{
	my ($net, $seconds) = @_;

	foreach my $from ($net->names)
	{
		$net->quality($from, $_, latency => $seconds) foreach grep { $_ ne $from } $net->names;
	}
	return;
}

# Medians in round trips and in floors; and the lowest in lowest floors, which says more where the machine is busy.
sub report
{
	my ($what, $name, $floor) = @_;

	row($what, sprintf('%.2f', median($name)), spread($name), ratio($name, 'round trip'),
		$floor ? (ratio($name, $floor), sprintf('%.2f', lowest($name) / lowest($floor))) : ());
	return;
}

# ---- on loopback ----

# The processes that take part in a change made in the first region, by what they are.
sub participants
{
	my ($g, $session) = @_;
	my ($first, @others) = $g->names;
	my %kind = ($session->pid => 'CPU: the backend');

	foreach my $name ($g->names)
	{
		foreach my $line (split /\n/, $g->sql($name, q{SELECT pid, backend_type, usename FROM pg_stat_activity
			WHERE backend_type = 'schemadrift coordinator' OR usename = 'region_peer'}))
		{
			my ($pid, $type, $user) = split /\|/, $line;

			$kind{$pid} = $type =~ /coordinator/
			  ? $name eq $first ? 'CPU: its coordinator' : "CPU: another region's coordinator"
			  : $name eq $first ? undef : "CPU: another region's side of the calls";
		}
	}
	return map { $_ => $kind{$_} } grep { $kind{$_} } keys %kind;
}

# What each of them needs for a change: wherever the machine is busy, this is steadier than time.
sub count_cpu
{
	my ($g, $session, $near, $waiters) = @_;
	my %kind = participants($g, $session);
	my %others = ("CPU: another region's coordinator" => 1, "CPU: another region's side of the calls" => 1);
	my (%sum, %before);

	foreach my $i (0 .. $blocks)
	{
		%before = cpu_seconds(keys %kind) if $i == 1;
		wait_everywhere(1 + head_of($near), %$waiters);
		change('counted', $session);
		note_arrival('counted', time(), %$waiters);
	}
	my %after = cpu_seconds(keys %kind);
	$sum{ $kind{$_} } += 1000 * ($after{$_} - $before{$_}) / $blocks / ($others{ $kind{$_} } ? -1 + $g->names : 1) foreach keys %kind;
	return %sum;
}

sub loopback
{
	my $three = SchemaDrift::Group->new(regions => 3);
	my $alone = SchemaDrift::Group->new(regions => 1);
	my $plain = SchemaDrift::Region->make($three->net, 'plain', conf => "shared_preload_libraries = ''\n");
	my ($first, @others) = $three->names;

	$plain->start;
	$plain->sql($tables);
	$_->make_group(mode => 'coordinate', before => $tables) foreach $three, $alone;
	my %session = (
		plain => stopwatch($plain->session),
		alone => stopwatch($alone->session(($alone->names)[0])),
		three => stopwatch($three->session($first)));
	my %waiter = map { $_ => $three->session($_) } @others;
	my $near   = stopwatch($three->session($first));
	my $far    = stopwatch($three->session($others[0], from => $first));

	foreach my $block (0 .. $blocks)
	{
		forget_samples() if $block == 1;
		my %took;
		# each is first as often as the others
		my @order = qw(plain alone three);
		push @order, splice @order, 0, $block % @order;
		foreach my $name (@order)
		{
			wait_everywhere(1 + head_of($near), %waiter) if $name eq 'three';
			$took{$name} = [ change($name, $session{$name}) ];
			note_arrival('arrival', time(), %waiter) if $name eq 'three';
		}
		note_sample("$_ over plain", $took{$_}[0] - $took{plain}[0]) foreach qw(alone three);
		note_sample('floor', write_row('far row', $far) + write_row('near row', $near));
		my ($ms) = clock($session{three}, "SELECT schemadrift.apply('bench-$block', 'ALTER TABLE t ADD COLUMN d$block int');");
		note_sample('apply', $ms);
	}
	my %cpu = count_cpu($three, $session{three}, $near, \%waiter);
	heading('Loopback', '', 'median', 'lowest .. highest', 'of plain');
	foreach my $name (qw(plain alone three))
	{
		my $who = { plain => 'one server without schemadrift', alone => 'a group of one', three => 'a group of three' }->{$name};

		row($who);
		row("  $_->[0]", sprintf('%.2f', median("$name $_->[1]")), spread("$name $_->[1]"), ratio("$name $_->[1]", "plain $_->[1]"))
		  foreach [ 'ALTER TABLE, the first' => 'first' ], [ 'ALTER TABLE, the second' => 'statement' ], [ COMMIT => 'commit' ],
		  [ 'ALTER TABLE and COMMIT' => 'whole' ];
		row('  more than without', sprintf('%.2f', median("$name over plain")), spread("$name over plain"))
		  if $name ne 'plain';
	}
	row('  apply(), committed', sprintf('%.2f', median('apply')), spread('apply'), ratio('apply', 'plain whole'));
	row('  from COMMIT to applied everywhere', sprintf('%.2f', median('arrival')), spread('arrival'));
	row("  $_", sprintf('%.2f', $cpu{$_})) foreach sort keys %cpu;
	row('  a row committed there, another here', sprintf('%.2f', median('floor')), spread('floor'));
	$_->stop('fast') foreach $plain, $alone->region(($alone->names)[0]), map { $three->region($_) } $three->names;
	return;
}

# ---- doing nothing ----

# CPU seconds and bytes of WAL of a server that nobody uses.
sub watch
{
	my ($server) = @_;
	my $wal = "SELECT pg_current_wal_insert_lsn() - '0/0'";
	my $wal_before = $server->sql($wal);
	sleep 1;    # that session's end is not idleness
	my %before = cpu_seconds($server->pids);
	sleep $idle;
	my %after = cpu_seconds($server->pids);
	my ($cpu, $processes) = (0, scalar keys %after);

	$cpu += $after{$_} - ($before{$_} // 0) foreach keys %after;
	return ($cpu, $server->sql($wal) - $wal_before, $processes);
}

sub idle_groups
{
	heading("Idle for $idle s: groups made of databases of one server, a heartbeat a second", '', 'processes',
		'CPU seconds', '% of a processor', 'bytes of WAL', 'change', 'and everywhere');
	foreach my $n (@sizes)
	{
		my $g = SchemaDrift::Group->new(regions => $n, databases => 1, extension => 0, conf =>
			  'max_connections = ' . ($n * $n + 40) . "\nmax_worker_processes = " . (2 * $n + 8) . "\nshared_buffers = 64MB\n"
			. "schemadrift.heartbeat_interval = '250ms'\n");
		my ($first) = $g->names;
		my $server = $g->region($first);
		my @nothing = watch($server);

		$g->create_extension;
		$g->make_group(mode => 'coordinate', before => $tables);
		$server->sql('ALTER SYSTEM SET schemadrift.heartbeat_interval = 1000');
		$server->sql('SELECT pg_reload_conf()');

		# a few changes, and with them everything that is read once is read
		forget_samples();
		my $session = stopwatch($g->session($first));
		foreach (1 .. 10)
		{
			my $version = 1 + head_of($session);
			my ($whole) = change('change', $session);
			note_sample('everywhere', $whole + (clock($session, "CALL schemadrift.wait_for($version);"))[0]);
		}
		$session->quit;
		$g->converged or die "$n regions do not become equal";
		sleep 10;    # appliers that have nothing to do end

		my @group = watch($server);
		row("$n databases, no group", $nothing[2], sprintf('%.3f', $nothing[0]), sprintf('%.2f', 100 * $nothing[0] / $idle), $nothing[1]);
		row("$n regions", $group[2], sprintf('%.3f', $group[0]), sprintf('%.2f', 100 * $group[0] / $idle), $group[1],
			sprintf('%.1f', median('change whole')), sprintf('%.1f', median('everywhere')));
		$server->stop('fast');
	}
	return;
}

# ---- who runs no DDL ----

# Start a region's server under callgrind; its process id.
sub start_counted
{
	my ($region, $dir) = @_;
	my $pid = fork() // die "fork: $!";

	if (!$pid)
	{
		open STDOUT, '>', "$dir/valgrind.log" or die "$dir/valgrind.log: $!";
		open STDERR, '>&', \*STDOUT or die "stderr: $!";
		exec $region->{sd_net}->prefix($region->{sd_name}), 'valgrind', '--tool=callgrind', "--callgrind-out-file=$dir/out.%p",
		  '--trace-children=yes', 'postgres', '-D', $region->data_dir, '-c', 'autovacuum=off', '-c', 'log_disconnections=on', '-c',
		  'authentication_timeout=10min'
		  or die "valgrind: $!";
	}
	my $end = time() + 120;
	until ($region->try('SELECT 1', timeout => 60)->{ok})
	{
		die "no server under valgrind, see $dir/valgrind.log" if time() > $end;
		sleep 0.2;
	}
	return $pid;
}

# All instructions of a process, as callgrind wrote them down, and those in our library; nothing if it has not written yet.
# A line of costs after "calls=" is what the called function cost.
sub read_counts
{
	my ($file) = @_;
	my (%object, $ours, $called, $total);
	my $in_library = 0;

	open my $fh, '<', $file or return;
	while (my $line = readline $fh)
	{
		if ($line =~ /^(c?)ob=\(([0-9]+)\)(?: (.+))?/)
		{
			$object{$2} = $3 if defined $3;
			$ours = $object{$2} =~ /schemadrift/ if !$1;
		}
		elsif ($line =~ /^calls=/)
		{
			$called = 1;
		}
		elsif ($line =~ /^[-+*0-9]\S* ([0-9]+)$/)
		{
			$in_library += $1 if $ours && !$called;
			$called = 0;
		}
		$total = $1 if $line =~ /^totals: ([0-9]+)/;
	}
	return defined $total ? [ $total, $in_library ] : ();
}

# Instructions of the backend that served one pgbench: of its two connections, the one that did more.
my $runs = 0;

sub instructions
{
	my ($region, $dir, $transactions, @kind) = @_;
	my $tag = 'counted' . ++$runs;
	my $end = time() + 300;
	my @counts;

	PostgreSQL::Test::Utils::system_or_bail('env', "PGAPPNAME=$tag", 'pgbench', '-n', '-c', 1, '-t', $transactions,
		'--random-seed=7', @kind, '-d', $region->connstr('postgres'));
	while (@counts < 2)
	{
		# a process writes its counts after its last line in the log
		@counts = ();
		foreach my $pid (PostgreSQL::Test::Utils::slurp_file("$dir/valgrind.log") =~ /\[([0-9]+)\] $tag LOG:  disconnection/g)
		{
			push @counts, read_counts("$dir/out.$pid");
		}
		die "valgrind wrote no counts to $dir" if time() > $end;
		sleep 0.1;
	}
	return (sort { $b->[0] <=> $a->[0] } @counts)[0];
}

sub gate
{
	my @kinds = ([ 'select-only' => 1000, '-S' ], [ 'TPC-B' => 200, '-b', 'tpcb-like' ]);
	my @who = (
		[ 'without the library' => "shared_preload_libraries = ''\n" ],
		[ 'preloaded, no extension' => '' ],
		[ 'in a group of one' => '' ]);
	my ($first) = map { $_->[0] } @who;
	my %at;

	if (system('valgrind --version >/dev/null 2>&1') != 0)
	{
		say_("\nInstructions: not measured, there is no valgrind.");
		return;
	}
	my $g = SchemaDrift::Group->new(regions => 1);
	$g->make_group(mode => 'coordinate');
	foreach my $who (@who)
	{
		my $name = $who->[0];
		my $region = $name =~ /group/ ? $g->region(($g->names)[0])
		  : SchemaDrift::Region->make($g->net, $name =~ /preloaded/ ? 'preloaded' : 'without', conf => $who->[1]);

		$region->start if $name !~ /group/;
		# its tables are not the subject
		PostgreSQL::Test::Utils::system_or_bail('env', 'PGOPTIONS=' . ($name =~ /group/
			  ? '-c schemadrift.ddl_mode=off -c schemadrift.bypass_reason=bench' : ''),
			'pgbench', '-i', '-q', '-s', 1, '-d', $region->connstr('postgres'));
		$region->sql('CHECKPOINT');
		$region->stop('fast');
		$at{$name} = { region => $region, dir => $region->basedir };
		$at{$name}{pid} = start_counted($region, $at{$name}{dir});
	}
	my $repeats = 3;
	foreach my $kind (@kinds)
	{
		my ($what, $n, @options) = @$kind;

		instructions($at{$_}{region}, $at{$_}{dir}, 100, @options) foreach map { $_->[0] } @who;
		foreach my $repeat (1 .. $repeats)
		{
			foreach my $name (map { $_->[0] } @who)
			{
				# what the start of a backend costs is in both
				my @counts = map { instructions($at{$name}{region}, $at{$name}{dir}, $_, @options) } 100, 100 + $n;

				note_sample("$what $name",         ($counts[1][0] - $counts[0][0]) / $n);
				note_sample("$what $name library", ($counts[1][1] - $counts[0][1]) / $n);
			}
		}
	}
	heading("Instructions a transaction, pgbench (callgrind; median of $repeats)", '', 'median', 'lowest .. highest', 'lowest, more',
		'in the library', '% in the library');
	foreach my $kind (@kinds)
	{
		foreach my $name (map { "$kind->[0] $_->[0]" } @who)
		{
			row($name, sprintf('%.0f', median($name)), spread($name, '%.0f'),
				sprintf('%.0f', lowest($name) - lowest("$kind->[0] $first")), sprintf('%.0f', median("$name library")),
				sprintf('%.3f', 100 * median("$name library") / median("$kind->[0] $first")));
		}
	}
	kill 'INT', map { $_->{pid} } values %at;
	waitpid $_->{pid}, 0 foreach values %at;
	return;
}

# ---- fingerprints ----

# All of it in a new session, as the process that verifies does; the dump that a person would compare; one change.
sub fingerprint
{
	my $repeats = 5;

	heading("Fingerprints; ms: median, and lowest .. highest of $repeats (of a change: $blocks)", '', 'median', 'lowest .. highest', 'of the dump');
	foreach my $n (@tables)
	{
		my $g = SchemaDrift::Group->new(regions => 1, conf => "max_locks_per_transaction = 1000\nmax_wal_size = 4GB\n");
		my ($name) = $g->names;
		my $region = $g->region($name);

		forget_samples();
		$region->sql($_, timeout => 600) foreach many_tables($n), 'CREATE TABLE t (id int)';
		$g->make_group(mode => 'coordinate');
		$region->sql('VACUUM ANALYZE', timeout => 600);
		foreach my $repeat (0 .. $repeats)
		{
			my $session = stopwatch($g->session($name));
			my ($all) = clock($session, 'SELECT count(*) FROM schemadrift.verify();');
			$session->quit;
			my $start = time();
			PostgreSQL::Test::Utils::system_or_bail('sh', '-c', 'pg_dump -s -d "$1" | sha256sum > /dev/null', 'dump', $region->connstr('postgres'));
			my $dump = 1000 * (time() - $start);
			next if !$repeat;
			note_sample('all', $all);
			note_sample('dump', $dump);
			note_sample('times', $dump / $all);
		}
		# not between these: it writes every digest anew, and verify() would read the dead ones, too
		foreach my $repeat (0 .. $repeats)
		{
			my $session = stopwatch($g->session($name));
			my ($rebuild) = clock($session, 'SELECT schemadrift_store.digest_rebuild();');

			$session->quit;
			note_sample('rebuild', $rebuild) if $repeat;
		}
		my $session = stopwatch($g->session($name));
		foreach my $block (0 .. $blocks)
		{
			my (undef, $first, $second, $commit) = clock($session, "BEGIN; ALTER TABLE t ADD COLUMN f$block int; ALTER TABLE t ADD COLUMN g$block int; COMMIT;");

			note_sample('commit', $commit) if $block > 0;
		}
		$session->quit;
		my $objects = $region->sql('SELECT count(*) FROM schemadrift_store.object');
		row("$n tables, $objects objects");
		row('  pg_dump -s | sha256sum', sprintf('%.0f', median('dump')), spread('dump', '%.0f'));
		row('  verify(): all of it, nothing found', sprintf('%.0f', median('all')), spread('all', '%.0f'), sprintf('1/%.1f', median('times')));
		row('  the dump, of verify() beside it: times', sprintf('%.1f', median('times')), spread('times', '%.1f'));
		row('  digest_rebuild()', sprintf('%.0f', median('rebuild')), spread('rebuild', '%.0f'),
			sprintf('1/%.1f', median('dump') / median('rebuild')));
		row('  COMMIT of one changed table, group of one', sprintf('%.2f', median('commit')), spread('commit'));
		$region->stop('fast');
	}
	return;
}

# ---- two regions compared ----

# One table of the other region has another default.  Round trips are statements that its server saw, the connection's own left out.
sub compare
{
	my $repeats = 5;

	heading("One differing object between two regions on this machine, found by diff(); ms: median, and lowest .. highest of $repeats", '', 'median', 'lowest .. highest', 'round trips');
	foreach my $n (@tables)
	{
		my $g = SchemaDrift::Group->new(regions => 2, databases => 1, conf => "max_locks_per_transaction = 1000\nmax_wal_size = 4GB\nlog_statement = all\n");
		my ($here, $there) = $g->names;
		my $trips;

		forget_samples();
		foreach my $name ($here, $there)
		{
			$g->sql($name, $_, timeout => 600) foreach many_tables($n), 'VACUUM ANALYZE';
		}
		$g->make_group(mode => 'coordinate');
		$g->sql($there, "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'bench'; ALTER TABLE app_7 ALTER name SET DEFAULT 'another'");
		foreach my $repeat (0 .. $repeats)
		{
			my $session = stopwatch($g->session($here));
			my $log = $g->region($here)->log_size;
			my ($all) = clock($session, "SELECT * FROM schemadrift.diff('$there');");

			$session->quit;
			$trips = () = PostgreSQL::Test::Utils::slurp_file($g->region($here)->logfile, $log)
			  =~ /schemadrift_rpc\.(?:describe|buckets|bucket_objects|definitions)\(/g;
			note_sample('diff', $all) if $repeat;
		}
		my $objects = $g->sql($here, 'SELECT count(*) FROM schemadrift_store.object');
		my $found = $g->sql($here, "SELECT string_agg(concat_ws(' ', object_type, identity, property), ', ') FROM schemadrift.diff('$there')");

		die "diff() found \"$found\"\n" if $found ne 'table public.app_7 column name: default';
		row("$n tables, $objects objects", sprintf('%.0f', median('diff')), spread('diff', '%.0f'), $trips);
		$g->region($here)->stop('fast');
	}
	return;
}

# ---- what a script would do ----

# Beside the script itself, run on the same tables, which are empty, and rolled back.
sub analyze
{
	my $repeats = 5;

	heading("analyze() of 300 statements; ms: median, and lowest .. highest of $repeats, each in a new session", '', 'median', 'lowest .. highest', 'of running it');
	foreach my $n (@tables)
	{
		my $g = SchemaDrift::Group->new(regions => 1, conf => "max_locks_per_transaction = 1000\nmax_wal_size = 4GB\n");
		my ($name) = $g->names;
		my $region = $g->region($name);
		my $script = script_of_300($n);
		my $quoted = $script =~ s/'/''/gr;

		forget_samples();
		$region->sql($_) foreach many_tables($n), 'VACUUM ANALYZE';
		foreach my $repeat (0 .. $repeats)
		{
			my $session = stopwatch($g->session($name));
			my ($looked) = clock($session, "SELECT count(*) FROM schemadrift.analyze('$quoted');");
			my ($again) = clock($session, "SELECT count(*) FROM schemadrift.analyze('$quoted');");
			$session->quit;
			$session = stopwatch($g->session($name));
			my ($run) = clock($session, "DO \$bench\$ BEGIN $script; RAISE EXCEPTION USING errcode = 'ZZ000'; EXCEPTION WHEN SQLSTATE 'ZZ000' THEN END \$bench\$;");
			$session->quit;
			next if !$repeat;
			note_sample('looked', $looked);
			note_sample('again', $again);
			note_sample('run', $run);
		}
		row("$n tables");
		row('  run, and rolled back', sprintf('%.0f', median('run')), spread('run', '%.0f'));
		row('  analyze()', sprintf('%.0f', median('looked')), spread('looked', '%.0f'), sprintf('%.2f', median('looked') / median('run')));
		row('  analyze() once more', sprintf('%.0f', median('again')), spread('again', '%.0f'), sprintf('%.2f', median('again') / median('run')));
		$region->stop('fast');
	}
	return;
}

# ---- what policy's look at a statement costs ----

# Each statement after another of the same transaction, which has got the grant, and rolled back: so nothing grows, and nothing is flushed.
sub policy
{
	my @kinds = (
		[ 'ADD COLUMN'                         => 'ALTER TABLE t ADD COLUMN c int' ],
		[ 'CREATE INDEX'                       => 'CREATE INDEX ON t (id)' ],
		[ 'CREATE TABLE'                       => 'CREATE TABLE made (id int PRIMARY KEY)' ],
		[ 'ALTER COLUMN TYPE: tried on a copy' => 'ALTER TABLE u ALTER COLUMN what TYPE varchar(30)' ],
		[ 'apply() of ADD COLUMN, with the grant' => "SELECT schemadrift.apply('bench', 'ALTER TABLE t ADD COLUMN c int')" ]);

	heading("What policy's look at a statement costs; ms: median, and lowest .. highest of $blocks", '', 'looks', 'lowest .. highest', 'does not look', 'lowest .. highest', 'more');
	foreach my $n (1, $tables[-1])
	{
		my (%group, %session);

		forget_samples();
		foreach my $who ('looks', 'does not')
		{
			my $g = $group{$who} = SchemaDrift::Group->new(regions => 1, conf => "max_locks_per_transaction = 1000\nmax_wal_size = 4GB\n");
			my ($name) = $g->names;

			$g->region($name)->sql($_, timeout => 600) foreach many_tables($n), 'CREATE TABLE t (id int); CREATE TABLE u (id int, what varchar(20)); INSERT INTO t VALUES (1)';
			$g->make_group(mode => 'coordinate');
			$g->sql($name, q{SELECT schemadrift.set_policy('{"on_unsafe": "pass", "on_caution": "pass"}')}) if $who eq 'does not';
			$g->region($name)->sql('VACUUM ANALYZE', timeout => 600);
			$session{$who} = stopwatch($g->session($name));
			clock($session{$who}, 'SET client_min_messages = error;');
		}
		foreach my $block (0 .. $blocks)
		{
			foreach my $kind (@kinds)
			{
				my ($what, $sql) = @$kind;

				foreach my $who (sort { $block % 2 ? $a cmp $b : $b cmp $a } keys %session)
				{
					my @ms = clock($session{$who}, 'BEGIN; ' . ($sql =~ /^SELECT/ ? '' : 'ALTER TABLE u ADD COLUMN c int; ') . "$sql; ROLLBACK;");

					note_sample("$what $who", $ms[-2]) if $block > 0;
				}
			}
		}
		row($n == 1 ? '1 table more' : "$n tables more");
		foreach my $what (map { $_->[0] } @kinds)
		{
			my ($with, $without) = map { "$what $_" } 'looks', 'does not';

			row("  $what", sprintf('%.2f', median($with)), spread($with), sprintf('%.2f', median($without)), spread($without), sprintf('%.2f', median($with) - median($without)));
		}
		$_->region(($_->names)[0])->stop('fast') foreach values %group;
	}
	return;
}

# ---- a change that waits for a look at the whole schema ----

# A look is called for by REINDEX and by catalog DML.  The change is of another table, in another session.
sub looks
{
	my %beside = (
		'after REINDEX'     => 'REINDEX INDEX other_pkey;',
		'after catalog DML' => q{UPDATE pg_class SET reltuples = reltuples WHERE oid = 'other'::regclass;},
		'after a row'       => 'UPDATE other SET id = id;');
	my @beside = ('after a row', 'after REINDEX', 'after catalog DML');

	heading("A change right after what calls for a look, and beside it; ms: median, and lowest .. highest of $blocks", '', 'median', 'lowest .. highest', 'of after a row');
	foreach my $n (@tables)
	{
		my $g = SchemaDrift::Group->new(regions => 1, conf => "max_locks_per_transaction = 1000\nmax_wal_size = 4GB\nschemadrift.verify_interval = 0\n");
		my ($name) = $g->names;
		my ($session, $other);

		forget_samples();
		$g->region($name)->sql($_, timeout => 600) foreach many_tables($n), $tables, 'CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)';
		$g->make_group(mode => 'coordinate');
		$g->region($name)->sql('VACUUM ANALYZE', timeout => 600);
		$session = stopwatch($g->session($name));
		$other = $g->session($name);
		clock($session, 'SET client_min_messages = error;');
		foreach my $block (0 .. $blocks)
		{
			my @order = @beside;

			push @order, splice @order, 0, $block % @order;
			foreach my $what (@order)
			{
				my $r = $other->query($beside{$what});

				die $r->{err} if !$r->{ok};
				change($what, $session);
			}
			forget_samples() if $block == 0;
		}
		# all the time: each change finds a look under way, and perhaps another one called for
		foreach my $what ('after REINDEX', 'after catalog DML')
		{
			my $during = $what =~ s/after/while there is no end of/r;
			my $loop = $g->session($name);
			my $rows = q{(SELECT string_agg(xmin::text, ' ') FROM pg_class WHERE relname IN ('other', 'other_pkey'))};
			my $before = $g->sql($name, "SELECT $rows");

			$loop->send('SELECT $$' . ($beside{$what} =~ s/;$//r) . '$$ FROM generate_series(1, 100000) \gexec');
			$g->wait_until($name, "SELECT $rows <> '$before'", 't') or die 'nothing goes on beside it';
			change($during, $session) foreach 1 .. $blocks;
			$loop->terminate;
		}
		my $objects = $g->sql($name, 'SELECT count(*) FROM schemadrift_store.object');

		row("$n tables, $objects objects: ALTER TABLE and COMMIT");
		row("  $_", sprintf('%.1f', median("$_ whole")), spread("$_ whole", '%.1f'), ratio("$_ whole", 'after a row whole'))
		  foreach @beside, map { s/after/while there is no end of/r } @beside[ 1, 2 ];
		$g->region($name)->stop('fast');
	}
	return;
}
