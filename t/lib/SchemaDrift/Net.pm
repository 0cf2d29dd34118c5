# SchemaDrift::Net: the network between the regions of one group, and ways to break it.
#
#   my $net  = SchemaDrift::Net->new(proxied => 0);
#   my $link = $net->add('us-east', $port, $data_dir);   # { listen, host, port }: where to listen, where others connect
#   $net->prefix('us-east');                  # words to put before a command that runs in the region's network
#   $net->cut('us-east', 'eu-west');          # both ways; nothing is told to anybody (packets vanish)
#   $net->cut('us-east', 'eu-west', one_way => 1);    # only what us-east sends to eu-west vanishes
#   $net->cut('us-east', 'eu-west', reset => 1);      # connections are reset, new ones refused
#   $net->heal('us-east', 'eu-west');  $net->heal_all;
#   $net->quality('us-east', 'eu-west', latency => 0.05, rate => 1e6, stall => 0, refuse => 0);
#   $net->black_hole;                         # an address that swallows everything (in the sandbox only)
#   $net->silence_resolver('us-east', $dir);  # names are not resolved, and that takes its time (in the sandbox only)
#   $net->vanish('us-east');  $net->reappear('us-east');     # its host is gone; it is back with a new kernel (in the sandbox only)
#   $net->redirect('us-east', 'eu-west', $port, $other);   # us-east's calls to that port go to another one there; without: no more
#                                             # (in the sandbox only)
#   $net->drop('us-east', 'eu-west');         # reset the connections that us-east has to eu-west, now
#
# quality() is for what us-east sends to eu-west: seconds one way, bytes a second, stand still, refuse new
# connections.  It needs proxied => 1, and goes through t/lib/proxy.pl.
#
# Two kinds.  In the sandbox (t/sandbox) each region has a network namespace with one address, 10.77.0.n, on a
# bridge in a namespace of the group; cuts are iptables rules at the receiver.  The namespaces are anonymous, each
# held by a process that ends when this one does.  Elsewhere (SD_SANDBOX=none) servers listen on loopback and a
# proxy stands before each, which knows who calls from the owner of the calling socket; cut and reset then close
# or stall connections.
package SchemaDrift::Net;

use strict;
use warnings FATAL => 'all';

use Carp;
use File::Basename 'dirname';
use IPC::Open2;

my $proxy = dirname(__FILE__) . '/../proxy.pl';

sub new
{
	my ($class, %o) = @_;
	my $kind = ($ENV{SD_SANDBOX} // 'none') eq 'net' ? 'SchemaDrift::Net::Namespaces' : 'SchemaDrift::Net::Loopback';

	return $kind->_new(%o);
}

# Has each region a network of its own?  If not, cuts are the proxy's.
sub is_real
{
	my ($self) = @_;

	return $self->isa('SchemaDrift::Net::Namespaces');
}

sub names
{
	my ($self) = @_;

	return sort keys %{ $self->{regions} };
}

sub heal_all
{
	my ($self) = @_;
	my @names = $self->names;

	foreach my $a (@names)
	{
		$self->heal($a, $_) foreach grep { $a lt $_ } @names;
	}
	return;
}

# A region away from all others.
sub isolate
{
	my ($self, $name, %o) = @_;

	$self->cut($name, $_, %o) foreach grep { $_ ne $name } $self->names;
	return;
}

sub rejoin
{
	my ($self, $name) = @_;

	$self->heal($name, $_) foreach grep { $_ ne $name } $self->names;
	return;
}

# Start a proxy; it ends with this process, at the end of its input.
sub _start_proxy
{
	my ($self, @prefix) = @_;
	my %p;

	$p{pid} = open2($p{from}, $p{to}, @prefix, $^X, $proxy);
	return \%p;
}

# One order to a proxy, and its acknowledgement.
sub _order
{
	my ($self, $p, @words) = @_;
	my $to = $p->{to};

	print $to "@words\n";
	$to->flush;
	my $answer = readline $p->{from};
	chomp $answer if defined $answer;
	croak "proxy: @words: " . ($answer // 'it is gone') if ($answer // '') ne 'ok';
	return;
}

package SchemaDrift::Net::Namespaces;

use strict;
use warnings FATAL => 'all';

our @ISA = ('SchemaDrift::Net');

use Carp;
use IPC::Open2;

my $proxy_port = 7077;
my $proxy_mark = 77;
my $black_hole = '10.77.0.250';

sub _new
{
	my ($class, %o) = @_;
	my $self = bless { regions => {}, rules => {}, proxied => $o{proxied} // 0 }, $class;

	$self->{hub} = _hold();
	_inside($self->{hub}, 'ip', 'link', 'add', 'bridge', 'type', 'bridge');
	_inside($self->{hub}, 'ip', 'link', 'set', 'bridge', 'up');
	_inside($self->{hub}, 'ip', 'address', 'add', "$black_hole/24", 'dev', 'bridge');
	_inside($self->{hub}, 'iptables', '-w', '-A', 'INPUT', '-j', 'DROP');
	return $self;
}

# A network namespace, kept by a cat that ends with this process (the pipes close on exec).
sub _hold
{
	my %holder;

	$holder{pid} = open2($holder{from}, $holder{to}, 'unshare', '--net', 'sh', '-c', 'echo made; exec cat');
	my $made = readline $holder{from};
	croak 'could not make a network namespace' if ($made // '') ne "made\n";
	return \%holder;
}

sub _enter
{
	my ($holder) = @_;

	return ('nsenter', "--net=/proc/$holder->{pid}/ns/net");
}

sub _inside
{
	my ($holder, @command) = @_;

	system(_enter($holder), @command) == 0 or croak "failed: @command";
	return;
}

sub add
{
	my ($self, $name, $port) = @_;
	my $n  = 1 + scalar keys %{ $self->{regions} };

	$self->_put($name, { address => "10.77.0.$n", port => "port$n" });
	return { listen => "10.77.0.$n", host => "10.77.0.$n", port => $port };
}

# A kernel of the region's own, and its cable.
sub _put
{
	my ($self, $name, $ns) = @_;

	%$ns = (%$ns, %{ _hold() });
	_inside($self->{hub}, qw(ip link add), $ns->{port}, qw(type veth peer name eth0 netns), $ns->{pid});
	_inside($self->{hub}, qw(ip link set), $ns->{port}, qw(master bridge up));
	_inside($ns, qw(ip link set lo up));
	_inside($ns, qw(ip address add), "$ns->{address}/24", qw(dev eth0));
	_inside($ns, qw(ip link set eth0 up));
	$self->{regions}{$name} = $ns;
	$self->_divert($name) if $self->{proxied};
	return;
}

# The region's host is gone without a word: its cable is out, for good.  Then its processes may end.
sub vanish
{
	my ($self, $name) = @_;

	_inside($self->{hub}, qw(ip link delete), $self->{regions}{$name}{port});
	return;
}

# The host is there again, and its kernel knows nothing of any connection.  Its processes have all ended.
sub reappear
{
	my ($self, $name) = @_;
	my $old = $self->{regions}{$name};

	foreach my $p ($old, $old->{proxy} // ())
	{
		close $p->{to};
		waitpid $p->{pid}, 0;
	}
	$self->_put($name, { map { $_ => $old->{$_} } grep { defined $old->{$_} } qw(address port resolver) });
	foreach my $way (keys %{ $self->{rules} })
	{
		_inside($self->{regions}{$name}, 'iptables', '-w', '-I', @{ $self->{rules}{$way} }) if $way =~ />\Q$name\E$/;
	}
	return;
}

sub prefix
{
	my ($self, $name) = @_;
	my $ns = $self->{regions}{$name} // croak "no region $name";

	return (_enter($ns), $ns->{resolver} ? ('unshare', '--mount', $ns->{resolver}) : (),
		qw(setpriv --inh-caps=-all --ambient-caps=-all --no-new-privs));
}

# An address that takes everything and answers nothing.
sub black_hole
{
	return $black_hole;
}

# From its next start on the region's server asks a name server that never answers.
sub silence_resolver
{
	my ($self, $name, $dir) = @_;
	my $script = "$dir/silent-resolver";

	PostgreSQL::Test::Utils::append_to_file("$script.conf", "nameserver $black_hole\n");
	# without new privileges mount(8), which is set-user-ID, keeps the capability we have
	PostgreSQL::Test::Utils::append_to_file($script,
		"#!/bin/sh\nsetpriv --no-new-privs mount --bind $script.conf /etc/resolv.conf && exec \"\$@\"\n");
	chmod 0755, $script or croak "$script: $!";
	$self->{regions}{$name}{resolver} = $script;
	return;
}

# The cable out, and in again.
sub unplug
{
	my ($self, $name, $state) = @_;

	_inside($self->{hub}, qw(ip link set), $self->{regions}{$name}{port}, $state // 'down');
	return;
}

sub plug
{
	my ($self, $name) = @_;

	return $self->unplug($name, 'up');
}

sub cut
{
	my ($self, $from, $to, %o) = @_;
	# the resets themselves must get through
	my @how = $o{reset} ? qw(-p tcp ! --tcp-flags RST RST -j REJECT --reject-with tcp-reset) : qw(-j DROP);

	foreach my $way ([ $from, $to ], $o{one_way} ? () : [ $to, $from ])
	{
		my ($a, $b) = @$way;
		my @rule = ('INPUT', '-s', $self->{regions}{$a}{address}, @how);

		next if $self->{rules}{"$a>$b"};
		_inside($self->{regions}{$b}, 'iptables', '-w', '-I', @rule);
		$self->{rules}{"$a>$b"} = \@rule;
	}
	return;
}

sub heal
{
	my ($self, $from, $to, %o) = @_;

	foreach my $way ([ $from, $to ], $o{one_way} ? () : [ $to, $from ])
	{
		my ($a, $b) = @$way;
		my $rule = delete $self->{rules}{"$a>$b"} or next;

		_inside($self->{regions}{$b}, 'iptables', '-w', '-D', @$rule);
	}
	return;
}

# New connections from a region to a port of another one go to another port there, where another server listens.
sub redirect
{
	my ($self, $from, $to, $port, $other) = @_;
	my $rules = $self->{regions}{$from}{redirected} //= {};
	my @rule = (qw(OUTPUT -p tcp -d), $self->{regions}{$to}{address}, '--dport', $port, qw(-j DNAT --to-destination));
	my $before = delete $rules->{"$to $port"};

	_inside($self->{regions}{$from}, qw(iptables -w -t nat -D), @$before) if $before;
	return if !defined $other;
	push @rule, "$self->{regions}{$to}{address}:$other";
	_inside($self->{regions}{$from}, qw(iptables -w -t nat -A), @rule);
	$rules->{"$to $port"} = \@rule;
	return;
}

# Connections that a region makes go through a proxy in its own network, without their knowing.
sub _divert
{
	my ($self, $name) = @_;
	my $ns = $self->{regions}{$name};

	$ns->{proxy} = $self->_start_proxy(_enter($ns));
	$self->_order($ns->{proxy}, 'transparent', $name, $proxy_port, $proxy_mark);
	_inside($ns, qw(iptables -w -t nat -A OUTPUT -p tcp -d), $ns->{address}, qw(-j ACCEPT));
	_inside($ns, qw(iptables -w -t nat -A OUTPUT -p tcp -d 10.77.0.0/24 -m mark ! --mark),
		$proxy_mark, qw(-j REDIRECT --to-ports), $proxy_port);
	foreach my $other ($self->names)
	{
		my $o = $self->{regions}{$other};

		$self->_order($ns->{proxy}, 'peer', $other, $o->{address});
		$self->_order($o->{proxy},  'peer', $name,  $ns->{address});
	}
	return;
}

sub quality
{
	my ($self, $from, $to, %q) = @_;

	croak 'quality() needs a group made with proxied => 1' if !$self->{proxied};
	foreach my $name ($from, $to)
	{
		$self->_order($self->{regions}{$name}{proxy}, 'quality', $from, $to, map { "$_=$q{$_}" } sort keys %q);
	}
	return;
}

sub drop
{
	my ($self, $from, $to) = @_;

	croak 'drop() needs a group made with proxied => 1' if !$self->{proxied};
	$self->_order($self->{regions}{$from}{proxy}, 'drop', $from, $to);
	return;
}

package SchemaDrift::Net::Loopback;

use strict;
use warnings FATAL => 'all';

our @ISA = ('SchemaDrift::Net');

use Carp;

sub _new
{
	my ($class, %o) = @_;
	my $self = bless { regions => {}, reset => {} }, $class;

	$self->{proxy} = $self->_start_proxy;
	return $self;
}

sub add
{
	my ($self, $name, $port, $data_dir) = @_;
	my $n       = 1 + scalar keys %{ $self->{regions} };
	my $address = "127.77.0.$n";

	$self->_order($self->{proxy}, 'region', $name, "$data_dir/postmaster.pid");
	$self->_order($self->{proxy}, 'listen', $name, $address, $port, '127.0.0.1', $port);
	$self->{regions}{$name} = { address => $address };
	return { listen => '127.0.0.1', host => $address, port => $port };
}

sub prefix
{
	return;
}

sub unplug
{
	my ($self, $name) = @_;

	return $self->isolate($name);
}

sub plug
{
	my ($self, $name) = @_;

	return $self->rejoin($name);
}

sub cut
{
	my ($self, $from, $to, %o) = @_;

	foreach my $way ([ $from, $to ], $o{one_way} ? () : [ $to, $from ])
	{
		$self->quality(@$way, $o{reset} ? (refuse => 1) : (stall => 1));
		$self->drop(@$way) if $o{reset};
	}
	return;
}

sub heal
{
	my ($self, $from, $to, %o) = @_;

	foreach my $way ([ $from, $to ], $o{one_way} ? () : [ $to, $from ])
	{
		$self->quality(@$way, stall => 0, refuse => 0);
	}
	return;
}

sub quality
{
	my ($self, $from, $to, %q) = @_;

	$self->_order($self->{proxy}, 'quality', $from, $to, map { "$_=$q{$_}" } sort keys %q);
	return;
}

sub drop
{
	my ($self, $from, $to) = @_;

	$self->_order($self->{proxy}, 'drop', $from, $to);
	return;
}

1;
