# Torture::Provoke: brings one of Torture::Situations about: real servers, real cuts, kill -9, processes that stand at wait points.
#
#   my $p = Torture::Provoke->new($g, $history, $tables);
#   $p->make_mistake('ACK_EARLY');
#   $p->run($_) foreach Torture::Situations::of('ACK_EARLY');     # each by itself, in a group that is well
#   $p->heal;  $p->effects;  $p->counts;                          # as Torture::Nemesis and Torture::Clients
#
# The rest is the words that situations are told in: regions are apart and together, killed and started, lose what they had;
# clients open a change, commit it up to a wait point, go on.
package Torture::Provoke;

use strict;
use warnings FATAL => 'all';

use SchemaDrift::Region;
use Time::HiRes qw(sleep time);
use Torture::Situations;

# What the servers need besides.
sub conf
{
	return <<'CONF';
wal_level = logical
# what no commit waits for is lost when a server dies
wal_writer_delay = 10s
schemadrift.quorum_timeout = 6s
max_logical_replication_workers = 4
wal_retrieve_retry_interval = 200ms
CONF
}

sub new
{
	my ($class, $g, $history, $tables) = @_;

	return bless {
		g => $g, history => $history, tables => $tables, n => 0, counts => {}, clients => [], apart => {}, doubt => {}, undo => [],
		effects => { before => '', up => {}, down => {} }
	}, $class;
}

sub effects { my ($self) = @_; return $self->{effects}; }
sub counts  { my ($self) = @_; return $self->{counts}; }
sub doubts  { my ($self) = @_; return $self->{doubt}; }

# In all servers, from now on.
sub make_mistake
{
	my ($self, $mistake) = @_;

	$self->setting($_, 'schemadrift.testing_mistakes', $mistake) foreach $self->{g}->names;
	return;
}

# True if it came as far as it was meant to; a server that makes mistakes may spoil it.
sub run
{
	my ($self, $name) = @_;
	my (undef, undef, $lease, $code) = @{ $Torture::Situations::all{$name} // die "there is no situation $name\n" };

	$self->{history}->event('fault', kind => $name, about => join(' ', $self->{g}->names), seconds => 0);
	my $ok = eval {
		$self->setting($_, 'schemadrift.lease_duration', "${lease}ms") foreach $self->{g}->names;
		$self->all_reached;
		# of the situation before: its holder may be the one that nobody reaches in this
		$lease || $self->wait_for_sql($_, 'SELECT count(*) = 0 FROM schemadrift.lease') foreach $self->{g}->names;
		$code->($self, $self->{g}->names);
		1;
	};
	my $error = $@;

	$self->{counts}{ $ok ? $name : "$name, not all of it" }++;
	$self->heal;
	Test::More::note("$name: $error") if !$ok;
	return $ok;
}

sub heal
{
	my ($self) = @_;

	$self->look;
	$self->together(split / /) foreach sort keys %{ $self->{apart} };
	$_->() foreach splice @{ $self->{undo} };
	foreach my $name ($self->{g}->names)
	{
		my $region = $self->{g}->region($name);

		kill 'CONT', grep { SchemaDrift::Region::process_state($_) eq 'T' } $region->pids;
		$self->setting($name, 'schemadrift.testing_waitpoint', '') if $self->{points}{$name};
		$self->start_server($name) if !$region->{_pid};
		kill 'CONT', grep { SchemaDrift::Region::process_state($_) eq 'T' } $region->pids;
	}
	eval { $self->ended($_) } foreach @{ $self->{clients} };
	$_->{session}->kill foreach splice @{ $self->{clients} };
	$self->look;
	return;
}

# ---- waiting ----

# Until it is so; the tables are looked at meanwhile.
sub wait_for
{
	my ($self, $what, $code, $seconds) = @_;
	my $end = time() + ($seconds // 40);

	while (1)
	{
		my $got = $code->();

		return $got if $got;
		die "waited in vain: $what\n" if time() > $end;
		$self->{tables}->step;
		sleep 0.02;
	}
}

sub wait_for_sql
{
	my ($self, $name, $sql, $seconds) = @_;

	return $self->wait_for("$name: $sql", sub { my $r = $self->{g}->try($name, $sql, timeout => 20); $r->{ok} && $r->{out} eq 't' }, $seconds);
}

# Do calls from one region to the other get through now?
sub reached
{
	my ($self, $from, $to) = @_;
	my $now = $self->{g}->sql($from, 'SELECT clock_timestamp()');

	return $self->wait_for_sql($from, "SELECT circuit = 'closed' AND last_heard > '$now' FROM schemadrift.regions WHERE region = '$to'");
}

sub all_reached
{
	my ($self) = @_;

	foreach my $from ($self->{g}->names)
	{
		$self->reached($from, $_) foreach grep { $_ ne $from } $self->{g}->names;
		$self->wait_for_sql($from, q{SELECT state = 'healthy' FROM schemadrift.status});
	}
	$self->wait_equal(40);
	return;
}

# Until all know that all vote.
sub all_voters
{
	my ($self) = @_;

	$self->all_reached;
	$self->wait_for_sql($_, q{SELECT bool_and(role = 'voter' AND state = 'healthy') FROM schemadrift.regions}) foreach $self->{g}->names;
	return;
}

# Until all regions have the same log and schema, and nothing that was accepted is undecided; dies if that takes longer.
sub wait_equal
{
	my ($self, $seconds) = @_;

	$self->wait_for('all are equal', sub {
		my %seen = map { $self->{g}->try($_, q{SELECT a.version || ' ' || encode(a.chain, 'hex') || ' ' || encode(a.digest, 'hex')
			FROM schemadrift_store.applied a WHERE a.version = (SELECT max(version) FROM schemadrift_store.log)
			AND NOT EXISTS (SELECT FROM schemadrift_store.accepted x WHERE x.version > a.version)}, timeout => 20)->{out} => 1 } $self->{g}->names;

		1 == keys %seen && !exists $seen{''};
	}, $seconds);
	return;
}

sub look
{
	my ($self) = @_;

	foreach my $name ($self->{g}->names)
	{
		my $region = $self->{g}->region($name);

		$self->{tables}->look_now($name) if $region->{_pid} && !$region->{sd_paused};
	}
	return;
}

# ---- regions ----

sub setting
{
	my ($self, $name, $setting, $value) = @_;
	my $region = $self->{g}->region($name);

	$region->append_conf('postgresql.conf', "$setting = '$value'\n");
	return if !$region->{_pid};
	kill 'HUP', $region->{_pid};
	# the postmaster tells its children right after it has read it
	$self->wait_for_sql($name, "SELECT current_setting('$setting')::text IN ('$value', '" . ($value =~ s/000ms$/s/r) . "', '"
		  . ($value =~ s/ms$//r) . "')");
	return;
}

# Every process of a region that comes to this wait point stops there.
sub stop_at
{
	my ($self, $name, $point) = @_;

	$self->{points}{$name} = 1;
	return $self->setting($name, 'schemadrift.testing_waitpoint', $point);
}

sub stands_in
{
	my ($self, $name) = @_;

	return $self->wait_for("a process of $name stands",
		sub { grep { SchemaDrift::Region::process_state($_) eq 'T' } $self->{g}->region($name)->pids });
}

# Connections are reset: what only vanished would be sent again by the kernel, also for who died since, and arrive after the cut.
sub apart
{
	my ($self, $a, $b) = @_;

	return if $self->{apart}{"$a $b"}++;
	$self->{g}->cut($a, $b, reset => 1);
	$self->{history}->event('apart', a => $a, b => $b);
	return;
}

sub together
{
	my ($self, $a, $b) = @_;

	delete $self->{apart}{"$a $b"} // return;
	$self->{history}->event('together', a => $a, b => $b);
	$self->{g}->heal($a, $b);
	return;
}

sub kill_server
{
	my ($self, $name, %o) = @_;

	$self->{tables}->look_now($name) if !$o{at_once};
	$self->{tables}->forget($name);
	$self->{g}->region($name)->kill9;
	$self->{history}->event('silent', region => $name);
	return;
}

sub start_server
{
	my ($self, $name) = @_;

	$self->{history}->event('heard', region => $name);
	$self->{g}->region($name)->start(fail_ok => 1) or die "$name does not start again\n";
	return;
}

# The region's server dies, and what takes its place is of an earlier time.
sub loses
{
	my ($self, $name, $code) = @_;

	$self->kill_server($name);
	$self->{history}->event('lost', region => $name);
	$code->($self->{g}->region($name));
	$self->{history}->event('heard', region => $name);
	$self->{tables}->look_now($name);
	return;
}

sub votes_again
{
	my ($self, $name, $seconds) = @_;

	return $self->wait_for_sql($name, q{SELECT (SELECT s.state = 'voter' FROM schemadrift_store.self s)
		AND (SELECT t.state IN ('healthy', 'degraded') FROM schemadrift.status t)}, $seconds);
}

# ---- clients ----

# BEGIN and apply, up to the open transaction: the promises are given.
sub opened
{
	my ($self, $name) = @_;

	return $self->has_begun($self->begin($name));
}

# It has what it needs, and does nothing.
sub left_open
{
	my ($self, $c) = @_;

	$self->{history}->event('open', op => $c->{op});
	return;
}

sub begin
{
	my ($self, $name) = @_;
	my $op = ++$self->{n};
	my $key = "p$op";
	my $c = { region => $name, key => $key, op => $op, session => $self->{g}->session($name) };

	$self->{effects}{up}{$key} = "CREATE TABLE m_$key (id int)";
	$c->{session}->pid;
	$self->{history}->event('invoke', op => $op, key => $key, region => $name, kind => 'apply');
	push @{ $self->{clients} }, $c;
	$c->{session}->send("BEGIN; SELECT schemadrift.apply('$key', 'CREATE TABLE m_$key (id int)');");
	return $c;
}

sub has_begun
{
	my ($self, $c) = @_;

	$self->wait_for("a transaction in $c->{region} is open", sub { !$c->{session}->is_busy });
	$c->{begun} = $c->{session}->result;
	if (!$c->{begun}{ok})
	{
		$self->returned($c, $c->{begun});
		die "$c->{region}: $c->{begun}{message}\n";
	}
	return $c;
}

# COMMIT; point: where it stops.
sub commit
{
	my ($self, $c, $point) = @_;

	$c->{session}->send(($point ? "SET LOCAL schemadrift.testing_waitpoint = '$point'; " : '') . 'COMMIT;');
	$self->stands($c, $point) if $point;
	return $c;
}

sub stands
{
	my ($self, $c, $point) = @_;

	return $self->wait_for("a client of $c->{region} stands $point", sub {
		die "$c->{region}: it did not come $point\n" if !$c->{session}->is_busy;
		SchemaDrift::Region::process_state($c->{session}->pid) eq 'T';
	});
}

sub go_on
{
	my ($self, $c) = @_;

	kill 'CONT', $c->{session}->pid;
	return;
}

sub returned
{
	my ($self, $c, $r) = @_;
	my ($entry) = $r->{err} =~ /Entry ([0-9a-f-]{36}) for version/;
	my $fatal = $r->{err} =~ /^(?:psql:\S+ )?(?:FATAL|PANIC):/m;
	my $result = $r->{ok} ? 'ok' : $r->{gone} || $fatal || $r->{sqlstate} =~ /^(?:40003|08...)$/ ? 'unknown' : 'failed';

	$c->{over} = 1;
	$self->{doubt}{$entry} = 1 if defined $entry;
	$self->{counts}{"answer $result"}++;
	$self->{history}->event('return', op => $c->{op}, result => $result, sqlstate => $r->{sqlstate}, defined $entry ? (entry => $entry) : (),
		$r->{ok} ? () : (message => $r->{message}));
	return $result;
}

# Its answer, or that there is none.
sub ended
{
	my ($self, $c, $seconds) = @_;

	return if $c->{over};
	my $answered = eval { $self->wait_for('an answer', sub { !$c->{session}->is_busy }, $seconds // 30) };

	return $self->returned($c, $answered ? $c->{session}->result : { ok => 0, err => '', sqlstate => 'gone', gone => 1, message => 'no answer' });
}

# A whole change.
sub change
{
	my ($self, $name) = @_;

	return $self->ended($self->commit($self->opened($name)));
}

1;
