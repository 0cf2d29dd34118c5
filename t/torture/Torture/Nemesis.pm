# Torture::Nemesis: breaks things at random, one or two at a time, and mends them again.
#
#   my $nemesis = Torture::Nemesis->new($g, $history, $clients, $tables, kinds => [...]);
#   $nemesis->step;                      # often
#   $nemesis->heal;                      # end all faults, start all servers
#
# A fault is a function that begins it and returns how many seconds it lasts and a function that ends it.  What the checker must know
# of it goes into the history: who cannot reach whom, who is silent, who lost what it had written.
package Torture::Nemesis;

use strict;
use warnings FATAL => 'all';

use SchemaDrift::Region;
use Time::HiRes qw(sleep time);
use Torture::Disks;
use Torture::Lost;
use Torture::Orders;

# name => [ how often, function ]
my %faults = (
	cut            => [ 4, \&_cut ],
	isolate        => [ 4, \&_isolate ],
	one_way        => [ 3, \&_one_way ],
	halves         => [ 3, \&_halves ],
	ring           => [ 1, \&_ring ],
	unplug         => [ 1, \&_unplug ],
	pause          => [ 3, \&_pause ],
	kill_region    => [ 4, \&_kill_region ],
	kill_postmaster => [ 1, \&_kill_postmaster ],
	kill_worker    => [ 3, \&_kill_worker ],
	kill_backend   => [ 2, \&_kill_backend ],
	restart        => [ 1, \&_restart ],
	lose_host      => [ 2, \&_lose_host ],
	clock          => [ 2, \&_clock ],
	slow           => [ 3, \&_slow ],
	half_open      => [ 2, \&_half_open ],
	%Torture::Disks::faults, %Torture::Lost::faults, %Torture::Orders::faults,
);

sub new
{
	my ($class, $g, $history, $clients, $tables, %o) = @_;
	my @kinds = $o{kinds} ? @{ $o{kinds} } : sort keys %faults;

	@kinds = grep { !/^(?:slow|half_open)$/ } @kinds if !$o{proxied};
	@kinds = grep { !$Torture::Disks::faults{$_} } @kinds if !$o{disks};
	@kinds = grep { $_ ne 'clock' } @kinds if !$o{clock};
	my @weighted = map { my $kind = $_; map { $kind } 1 .. ($faults{$kind} // die "there is no fault $kind\n")->[0] } @kinds;

	return bless {
		g => $g, history => $history, clients => $clients, tables => $tables, draw => [ map { $weighted[ rand @weighted ] } 1 .. 5000 ], going => [], next => time() + 2,
		apart => {}, orders => [], wake => {}, waitpoints => $o{waitpoints}, counts => {}, pause => $o{pause} // 3
	}, $class;
}

sub counts { my ($self) = @_; return $self->{counts}; }

sub step
{
	my ($self) = @_;

	my @over = grep { time() >= $_->{until} } @{ $self->{going} };

	$self->_end($_) foreach @over;
	Torture::Orders::step($self);
	return if time() < $self->{next} || @{ $self->{going} } > 1;
	$self->{next} = time() + rand(2 * $self->{pause});
	my $kind = shift @{ $self->{draw} };

	push @{ $self->{draw} }, $kind;
	my ($seconds, $end, $about) = $faults{$kind}[1]->($self);

	return if !defined $seconds;
	$self->{counts}{$kind}++;
	$self->{history}->event('fault', kind => $kind, about => $about, seconds => $seconds);
	push @{ $self->{going} }, { kind => $kind, until => time() + $seconds, end => $end };
	return;
}

sub _end
{
	my ($self, $fault) = @_;

	@{ $self->{going} } = grep { $_ != $fault } @{ $self->{going} };
	$fault->{end}->() if $fault->{end};
	$self->{history}->event('mended', kind => $fault->{kind});
	return;
}

sub heal
{
	my ($self) = @_;

	my @all = @{ $self->{going} };

	$self->_end($_) foreach @all;
	return;
}

# After heal: is what operators must take back taken back, and all awake that stood at wait points?
sub settled
{
	my ($self) = @_;

	Torture::Orders::step($self);
	return !@{ $self->{orders} } && !grep { $_ > time() } values %{ $self->{wake} };
}

# What has not been taken back yet, in words.
sub waiting
{
	my ($self) = @_;

	return map { "$_->{name}: $_->{sql}" } @{ $self->{orders} };
}

# Is anything broken, but for what asks?
sub busy { my ($self) = @_; return @{ $self->{going} } > 0; }

# A question to a region that may not answer: undef.
sub ask
{
	my ($self, $name, $sql) = @_;
	my $region = $self->{g}->region($name);

	return if !$region->{_pid} || $region->{sd_paused};
	my $session = $self->{g}->session($name);
	my $r = eval { $session->query("$sql;", timeout => 5) };

	$session->kill;
	return $r && $r->{ok} ? $r->{out} : undef;
}

# ---- who ----

sub any
{
	my ($self) = @_;
	my @names = $self->{g}->names;

	return $names[ rand @names ];
}

sub shuffled
{
	my ($self) = @_;
	my %order = map { $_ => rand } $self->{g}->names;

	return sort { $order{$a} <=> $order{$b} } sort keys %order;
}

# A region that runs, and that no other fault holds.
sub well
{
	my ($self) = @_;
	my @well = grep { my $r = $self->{g}->region($_); $r->{_pid} && !$r->{sd_paused} && !$self->{held}{$_} } $self->shuffled;

	return $well[0];
}

# ---- cables ----

# Cut pairs ([a, b] ...), each only if nothing cut it before; what mends them.
sub _apart
{
	my ($self, $about, $seconds, $options, @pairs) = @_;
	my $net = $self->{g}->net;
	my @mine = grep { !$self->{apart}{ join ' ', sort @$_ } } @pairs;

	foreach my $pair (@mine)
	{
		$self->{apart}{ join ' ', sort @$pair } = 1;
		$net->cut(@$pair, %$options);
		$self->{history}->event('apart', a => $pair->[0], b => $pair->[1]);
	}
	return if !@mine;
	return ($seconds, sub {
		foreach my $pair (@mine)
		{
			$self->{history}->event('together', a => $pair->[0], b => $pair->[1]);
			$net->heal(@$pair);
			delete $self->{apart}{ join ' ', sort @$pair };
		}
	}, $about);
}

sub _how   { return rand() < 0.3 ? { reset => 1 } : {}; }
sub _while { my ($most) = @_; return 0.5 + rand($most // 8); }

sub _cut
{
	my ($self) = @_;
	my ($a, $b) = $self->shuffled;

	return $self->_apart("$a $b", _while(), _how(), [ $a, $b ]);
}

sub _isolate
{
	my ($self) = @_;
	my ($a, @others) = $self->shuffled;

	return $self->_apart($a, _while(), _how(), map { [ $a, $_ ] } @others);
}

sub _one_way
{
	my ($self) = @_;
	my ($a, @others) = $self->shuffled;

	@others = ($others[0]) if rand() < 0.5;
	return $self->_apart("$a to @others", _while(), { one_way => 1 },
		rand() < 0.5 ? map { [ $a, $_ ] } @others : map { [ $_, $a ] } @others);
}

sub _halves
{
	my ($self) = @_;
	my @all = $self->shuffled;
	my @side = splice @all, 0, int(@all / 2);

	return $self->_apart("@side | @all", _while(), _how(), map { my $a = $_; map { [ $a, $_ ] } @all } @side);
}

# Everyone reaches two others at most.
sub _ring
{
	my ($self) = @_;
	my @all = $self->shuffled;

	return if @all < 4;
	return $self->_apart("ring @all", _while(), {}, map { my $i = $_; map { [ $all[$i], $all[$_] ] }
			grep { $_ - $i > 1 && !($i == 0 && $_ == $#all) } $i + 1 .. $#all } 0 .. $#all);
}

sub _unplug
{
	my ($self) = @_;
	my $name = $self->any;
	my $net = $self->{g}->net;

	return if $self->{held}{"cable of $name"}++;
	$net->unplug($name);
	return (_while(4), sub { $net->plug($name); delete $self->{held}{"cable of $name"} }, $name);
}

# Slow, and now and then slower: both ways, or one.
sub _slow
{
	my ($self) = @_;
	my ($a, $b) = $self->shuffled;
	my $net = $self->{g}->net;

	$net->quality($a, $b, latency => 0.02 + rand(0.3));
	$net->quality($b, $a, latency => rand(0.1)) if rand() < 0.7;
	return (_while(), sub { $net->quality(@$_, latency => 0) foreach [ $a, $b ], [ $b, $a ] }, "$a $b");
}

# Connections stay, and nothing comes through them; new ones are made.
sub _half_open
{
	my ($self) = @_;
	my ($a, $b) = $self->shuffled;
	my $net = $self->{g}->net;

	$net->quality($a, $b, stall => 1);
	return (_while(), sub { $net->quality($a, $b, stall => 0) }, "$a to $b");
}

# ---- servers ----

sub _pause
{
	my ($self) = @_;
	my $name = $self->well // return;

	$self->{g}->region($name)->pause;
	$self->{held}{$name} = 1;
	$self->{history}->event('silent', region => $name);
	return (rand() < 0.1 ? 20 + rand(40) : _while(), sub {
		$self->{history}->event('heard', region => $name);
		$self->{g}->region($name)->resume;
		delete $self->{held}{$name};
	}, $name);
}

sub _kill_region
{
	my ($self) = @_;
	my $name = $self->well // return;

	$self->kill_server($name);
	return (rand() < 0.5 ? rand(1) : _while(), sub { $self->start_server($name) }, $name);
}

sub kill_server
{
	my ($self, $name) = @_;

	$self->{g}->region($name)->kill9;
	$self->{held}{$name} = 1;
	$self->{history}->event('silent', region => $name);
	$self->{clients}->forget($name);
	$self->{tables}->forget($name);
	return;
}

# Does its postmaster live?
sub is_up
{
	my ($self, $name) = @_;
	my $pid = $self->{g}->region($name)->{_pid};

	return defined $pid && SchemaDrift::Region::process_state($pid) =~ /^[^Z]/;
}

sub start_server
{
	my ($self, $name) = @_;
	my $region = $self->{g}->region($name);

	# it may have ended by itself, and some of its processes may not have noticed
	$self->kill_server($name) if $region->{_pid} && !$self->is_up($name);
	$self->{history}->event('heard', region => $name);
	$region->start(fail_ok => 1) or die "$name does not start again\n";
	return delete $self->{held}{$name};
}

# The postmaster alone: its children notice and leave.
sub _kill_postmaster
{
	my ($self) = @_;
	my $name = $self->well // return;
	my $region = $self->{g}->region($name);
	my ($postmaster, @children) = $region->pids;

	kill 'KILL', $postmaster;
	foreach my $pid ($postmaster, @children)
	{
		sleep 0.01 while kill(0, $pid) && SchemaDrift::Region::process_state($pid) ne 'T';
		kill 'KILL', $pid;    # one that stands at a wait point would stand for ever
	}
	$region->{_pid} = undef;
	$self->kill_server($name);
	return (rand(2), sub { $self->start_server($name) }, $name);
}

sub _restart
{
	my ($self) = @_;
	my $name = $self->well // return;

	$self->{clients}->forget($name);
	$self->{tables}->forget($name);
	$self->{g}->region($name)->stop(rand() < 0.5 ? 'fast' : 'immediate', fail_ok => 1) or $self->kill_server($name);
	$self->{held}{$name} = 1;
	$self->{history}->event('silent', region => $name);
	return (rand(1), sub { $self->start_server($name) }, $name);
}

# A host vanishes without a word, and comes back with a kernel that knows of no connection.
sub _lose_host
{
	my ($self) = @_;
	my $name = $self->well // return;
	my $net = $self->{g}->net;

	return if $self->{held}{"cable of $name"};
	$self->{held}{"cable of $name"} = 1;
	$net->vanish($name);
	$self->kill_server($name);
	return (_while(), sub {
		$net->reappear($name);
		delete $self->{held}{"cable of $name"};
		$self->start_server($name);
	}, $name);
}

# A wall clock jumps, now and then twice, and back.
sub _clock
{
	my ($self) = @_;
	my $name = $self->any;
	my $region = $self->{g}->region($name);
	my $jump = sub { (rand() < 0.5 ? 1 : -1) * (1 + int rand(rand() < 0.3 ? 10 : 100_000)) };
	my $seconds = $jump->();

	return if $self->{held}{"clock of $name"}++;
	$region->set_clock($seconds);
	return (_while(15), sub { $region->set_clock(0); delete $self->{held}{"clock of $name"} }, "$name $seconds");
}

# The processes of a server whose title matches.
sub _processes
{
	my ($self, $name, $pattern) = @_;

	return grep { _title($_) =~ $pattern } grep { $_ != ($self->{g}->region($name)->{_pid} // 0) } $self->{g}->region($name)->pids;
}

# What a process calls itself; nothing when it has gone meanwhile.
sub _title
{
	my ($pid) = @_;

	open my $fh, '<', "/proc/$pid/cmdline" or return '';
	return readline($fh) // '';
}

sub _kill_worker
{
	my ($self) = @_;
	my $name = $self->well // return;
	my @pids = $self->_processes($name, qr/schemadrift/) or return;
	my $pid = $pids[ rand @pids ];

	# killed it takes the whole server down, terminated it is only started again
	kill rand() < 0.5 ? 'KILL' : 'TERM', $pid;
	return (0.5, undef, $name);
}

sub _kill_backend
{
	my ($self) = @_;
	my $name = $self->well // return;
	my @pids = $self->_processes($name, qr/^postgres: .*(?:\[local\]|\(\d+\))/) or return;

	kill rand() < 0.3 ? 'KILL' : 'TERM', $pids[ rand @pids ];
	return (0.5, undef, $name);
}

1;
