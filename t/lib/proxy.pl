#!/usr/bin/perl
# proxy.pl: a TCP proxy between regions, for slow, narrow, stalled and refused connections.
#
# One process, one select loop, orders on standard input (one a line, answered with "ok" or "error ..."); it ends
# with its input.  What flows from one region to another has a quality: latency in seconds one way, rate in bytes a
# second, stall (1: nothing moves, nobody is told), refuse (1: new connections are reset at once).
#
#   transparent FROM PORT MARK        take connections that iptables redirected here; FROM is who makes them
#   peer NAME ADDRESS                 who lives at an address (for transparent)
#   listen TO ADDRESS PORT TADDRESS TPORT      stand before a server
#   region NAME PIDFILE               who a caller is, by the server whose process owns the calling socket
#   quality FROM TO key=value ...     of what FROM sends to TO
#   drop FROM TO                      reset the connections that FROM made to TO
use strict;
use warnings;

use Errno;
use IO::Handle;
use Socket qw(:DEFAULT SOL_SOCKET SO_LINGER SO_REUSEADDR IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use constant {
	SO_MARK         => 36,
	SO_ORIGINAL_DST => 80,
	CHUNK           => 65536,
	HELD            => 1 << 20,    # a direction that holds this much is not read from
};

my (%listener, %pidfile, %peer, %quality, @connections);
my $orders = '';

$| = 1;
$SIG{PIPE} = 'IGNORE';

while (1)
{
	my $now = time();
	my ($wait, %read, %write) = (60);

	foreach my $c (@connections)
	{
		foreach my $d (@{ $c->{directions} })
		{
			my $q = $quality{ $d->{key} } // {};

			next if $q->{stall};
			$read{ fileno $d->{from} } = $d if !$d->{eof} && $d->{held} < HELD;
			next if !@{ $d->{queue} };
			my $due = $d->{queue}[0][0];
			if ($due <= $now)
			{
				$write{ fileno $d->{to} } = $d;
			}
			elsif ($due - $now < $wait)
			{
				$wait = $due - $now;
			}
		}
	}
	my $in = '';
	vec($in, $_, 1) = 1 foreach 0, keys %read, keys %listener;
	my $out = '';
	vec($out, $_, 1) = 1 foreach keys %write;
	next if select($in, $out, undef, $wait) < 0;

	read_orders() if vec($in, 0, 1);
	foreach my $fd (keys %listener)
	{
		accept_connection($listener{$fd}) if vec($in, $fd, 1);
	}
	foreach my $fd (keys %read)
	{
		receive($read{$fd}) if vec($in, $fd, 1);
	}
	foreach my $fd (keys %write)
	{
		transmit($write{$fd}) if vec($out, $fd, 1);
	}
	@connections = grep { !$_->{closed} } @connections;
}

sub read_orders
{
	my $n = sysread(STDIN, $orders, CHUNK, length $orders);

	exit 0 if !$n;
	while ($orders =~ s/^(.*)\n//)
	{
		my ($verb, @words) = split ' ', $1;
		my $ok = eval { order($verb, @words); 1 };

		print $ok ? "ok\n" : "error $@\n";
	}
	return;
}

sub order
{
	my ($verb, @w) = @_;

	if ($verb eq 'transparent')
	{
		listen_at('0.0.0.0', $w[1], from => $w[0], mark => $w[2]);
	}
	elsif ($verb eq 'peer')
	{
		$peer{ $w[1] } = $w[0];
	}
	elsif ($verb eq 'listen')
	{
		listen_at($w[1], $w[2], to => $w[0], target => pack_sockaddr_in($w[4], inet_aton($w[3])));
	}
	elsif ($verb eq 'region')
	{
		$pidfile{ $w[0] } = $w[1];
	}
	elsif ($verb eq 'quality')
	{
		my ($from, $to, @values) = @w;

		foreach my $value (@values)
		{
			$value =~ /^(latency|rate|stall|refuse)=([0-9.e+-]+)$/ or die "no such quality: $value";
			$quality{"$from>$to"}{$1} = $2;
		}
	}
	elsif ($verb eq 'drop')
	{
		reset_connection($_) foreach grep { $_->{made} eq "$w[0]>$w[1]" } @connections;
		@connections = grep { !$_->{closed} } @connections;
	}
	else
	{
		die "unknown order $verb";
	}
	return;
}

sub listen_at
{
	my ($address, $port, %o) = @_;

	socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
	setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1) or die "SO_REUSEADDR: $!";
	bind($s, pack_sockaddr_in($port, inet_aton($address))) or die "bind to $address:$port: $!";
	listen($s, 100) or die "listen: $!";
	$listener{ fileno $s } = { %o, socket => $s };
	return;
}

sub accept_connection
{
	my ($l) = @_;
	my $caller = accept(my $client, $l->{socket}) or return;
	my ($from, $to, $target) = @$l{qw(from to target)};

	if (defined $from)
	{
		$target = getsockopt($client, IPPROTO_IP(), SO_ORIGINAL_DST) // '';
		$target = substr $target, 0, 16;
		$to = $peer{ inet_ntoa((unpack_sockaddr_in($target))[1]) } // '?';
	}
	else
	{
		$from = owner($caller) // '?';
	}

	my $c = { made => "$from>$to", client => $client };
	if (($quality{"$from>$to"} // {})->{refuse})
	{
		reset_connection($c);
		return;
	}
	# A loopback or bridge away: connecting takes no time worth not waiting for, unless the server is cut off, and
	# then this socket waits without blocking.
	socket(my $server, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
	$c->{server} = $server;
	if ($l->{mark})
	{
		setsockopt($server, SOL_SOCKET, SO_MARK, pack 'i', $l->{mark}) or die "SO_MARK: $!";
	}
	$_->blocking(0) foreach $client, $server;
	if (!connect($server, $target) && !$!{EINPROGRESS})
	{
		reset_connection($c);
		return;
	}
	setsockopt($_, IPPROTO_TCP, TCP_NODELAY, 1) foreach $client, $server;
	$c->{directions} = [
		direction($c, $client, $server, "$from>$to"),
		direction($c, $server, $client, "$to>$from")
	];
	push @connections, $c;
	return;
}

sub IPPROTO_IP { return 0; }

sub direction
{
	my ($c, $from, $to, $key) = @_;

	return { connection => $c, from => $from, to => $to, key => $key, queue => [], held => 0, eof => 0, free => 0 };
}

# Which region does the calling process belong to?  The socket's inode, its owner, the owner's postmaster.
sub owner
{
	my ($caller) = @_;
	my ($port, $address) = unpack_sockaddr_in($caller);
	my $local = sprintf '%08X:%04X', unpack('L', $address), $port;
	my $inode;

	open my $tcp, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!";
	while (<$tcp>)
	{
		my @f = split;
		$inode = $f[9] if $f[1] eq $local;
	}
	return if !$inode;
	foreach my $name (keys %pidfile)
	{
		open my $fh, '<', $pidfile{$name} or next;    # not running
		my $postmaster = <$fh>;
		chomp $postmaster;
		foreach my $pid ($postmaster, children($postmaster))
		{
			return $name if grep { (readlink // '') eq "socket:[$inode]" } glob "/proc/$pid/fd/*";
		}
	}
	return;
}

sub children
{
	my ($postmaster) = @_;
	my @pids;

	foreach my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $fh, '<', $stat or next;    # ended meanwhile
		my $line = <$fh> // next;
		push @pids, $1 if $line =~ /^([0-9]+) \(.*\) \S ([0-9]+) / && $2 == $postmaster;
	}
	return @pids;
}

sub receive
{
	my ($d) = @_;
	my $q = $quality{ $d->{key} } // {};
	my $now = time();

	return if $d->{connection}{closed};
	my $n = sysread($d->{from}, my $data, $q->{rate} ? 4096 : CHUNK);
	if (!defined $n)
	{
		return if $!{EAGAIN} || $!{EINTR} || $!{ENOTCONN};
		reset_connection($d->{connection});
		return;
	}
	$d->{eof} = 1 if !$n;
	my $start = $d->{free} > $now ? $d->{free} : $now;
	$d->{free} = $q->{rate} ? $start + $n / $q->{rate} : $start;
	push @{ $d->{queue} }, [ $d->{free} + ($q->{latency} // 0), $data ];    # no data: the end
	$d->{held} += $n;
	return;
}

sub transmit
{
	my ($d) = @_;
	my $now = time();

	return if $d->{connection}{closed};
	while (@{ $d->{queue} } && $d->{queue}[0][0] <= $now)
	{
		my $piece = $d->{queue}[0];

		if (!length $piece->[1])
		{
			shutdown($d->{to}, 1);
			$d->{done} = 1;
			$d->{connection}{closed} = 1 if !grep { !$_->{done} } @{ $d->{connection}{directions} };
			shift @{ $d->{queue} };
			return;
		}
		my $n = syswrite($d->{to}, $piece->[1]);
		if (!defined $n)
		{
			return if $!{EAGAIN} || $!{EINTR};
			reset_connection($d->{connection});
			return;
		}
		$d->{held} -= $n;
		substr($piece->[1], 0, $n) = '';
		return if length $piece->[1];
		shift @{ $d->{queue} };
	}
	return;
}

# Both ends see a reset, not an end.
sub reset_connection
{
	my ($c) = @_;

	$c->{closed} = 1;
	foreach my $s (grep { defined } @$c{qw(client server)})
	{
		setsockopt($s, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0);
		close $s;
	}
	delete $c->{directions};    # they hold the connection, which holds them
	return;
}
