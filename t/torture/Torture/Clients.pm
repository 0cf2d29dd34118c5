# Torture::Clients: some clients in every region, each of which appends migrations in a way that it draws, and now and then behaves badly.
#
#   my $clients = Torture::Clients->new($g, $history, per_region => 2, waitpoints => 1);
#   $clients->step;                      # often; returns at once
#   $clients->forget('us-east');         # its server is another one now
#   $clients->away('us-east');  ->back('us-east');     # nobody is there meanwhile
#   $clients->stop;  $clients->idle;     # begin nothing more; have all ended?
#   $clients->effects;                   # { before, up { key => SQL }, down { key => SQL } }: what each migration does
#
# Each migration has a key, which is its name in the log.  "failed" is only what the server said by an ERROR other than 40003; a lost
# connection, FATAL and 40003 are "unknown".  Entries that 40003 names are asked about by outcome(), again and again.
package Torture::Clients;

use strict;
use warnings FATAL => 'all';

use SchemaDrift::Region;
use Time::HiRes 'time';

my $before = join "\n", map { "CREATE TABLE shared_$_ (id int PRIMARY KEY); INSERT INTO shared_$_ SELECT generate_series(1, 20);" } 0 .. 7;

# name => [ how often, its SQL, its effect, what takes it back ]; #: the key; S: a shared table.  %: the key that a revert takes back.
# "|" is where a client that leaves transactions open stops for a while.
my %kinds = (
	apply     => [ 6, q{SELECT schemadrift.apply('#', 'CREATE TABLE m_# (id int PRIMARY KEY, v text)', 'DROP TABLE m_#');},
		'CREATE TABLE m_# (id int PRIMARY KEY, v text)', 'DROP TABLE m_#' ],
	column    => [ 6, q{BEGIN; ALTER TABLE S ADD COLUMN c_# int; | COMMIT;},
		'ALTER TABLE S ADD COLUMN c_# int' ],
	view      => [ 3, q{CREATE VIEW v_# AS SELECT id FROM S;},
		'CREATE VIEW v_# AS SELECT id FROM S' ],
	savepoint => [ 3, q{BEGIN; SAVEPOINT a; CREATE TABLE x_# (id int); ROLLBACK TO a;
		CREATE TABLE m_# (id int); SAVEPOINT b; DROP TABLE m_#; ROLLBACK TO b; | COMMIT;}, 'CREATE TABLE m_# (id int)' ],
	toggle_on => [ 2, q{BEGIN; ALTER TABLE shared_0 ADD COLUMN toggled int; | COMMIT;},
		'ALTER TABLE shared_0 ADD COLUMN toggled int' ],
	toggle_off => [ 2, q{BEGIN; ALTER TABLE shared_0 DROP COLUMN toggled; | COMMIT;},
		'ALTER TABLE shared_0 DROP COLUMN toggled' ],
	serializable => [ 1, q{BEGIN ISOLATION LEVEL SERIALIZABLE; CREATE TABLE m_# (id int); COMMIT;},
		'CREATE TABLE m_# (id int)' ],
	prepared  => [ 1, q{BEGIN; CREATE TABLE m_# (id int); PREPARE TRANSACTION '#';},
		'CREATE TABLE m_# (id int)' ],
	online    => [ 1, q{CREATE INDEX CONCURRENTLY i_# ON S (id);},
		'CREATE INDEX i_# ON S (id)', 'DROP INDEX IF EXISTS i_#' ],
	script    => [ 1, q{CALL schemadrift.apply_online('#', 'CREATE INDEX CONCURRENTLY i_# ON S (id); ALTER TABLE S ADD COLUMN o_# int',
		'ALTER TABLE S DROP COLUMN o_#; DROP INDEX CONCURRENTLY i_#');},
		'CREATE INDEX i_# ON S (id); ALTER TABLE S ADD COLUMN o_# int',
		'DROP INDEX IF EXISTS i_#; ALTER TABLE S DROP COLUMN IF EXISTS o_#' ],
	barrier   => [ 2, q{SELECT schemadrift.apply('#', 'ALTER TABLE S ADD COLUMN c_# int', options => '{"barrier": "previous"}');},
		'ALTER TABLE S ADD COLUMN c_# int' ],
	# of a migration of this client that succeeded: its key is "revert" and the other one's
	revert    => [ 2, q{SELECT schemadrift.revert('%');} ],
);
my @bad = qw(cancel terminate kill vanish);
my @points = qw(change-granted before-accept after-majority before-commit-record after-commit);

sub new
{
	my ($class, $g, $history, %o) = @_;
	my $self = bless {
		g => $g, history => $history, n => 0, stopped => 0, doubt => {}, left => [], clients => [], waitpoints => $o{waitpoints} // 0,
		pause => $o{pause} // 1, effects => { before => $before, up => {}, down => {} }, counts => {}
	}, $class;

	foreach my $name ($g->names)
	{
		$self->add($name) foreach 1 .. $o{per_region} // 2;
	}
	return $self;
}

# One more client in a region; server: of another server than the region's that is there in its name.
sub add
{
	my ($self, $name, $server) = @_;
	my $c = { region => $name, next => 0, server => $server };

	push @{ $self->{clients} }, $c;
	return $c;
}

# It vanishes for ever.
sub remove
{
	my ($self, $c) = @_;

	$self->_ended($c, 'unknown', 'gone') if defined $c->{op} && $c->{begun};
	$self->_leave($c);
	@{ $self->{clients} } = grep { $_ != $c } @{ $self->{clients} };
	return;
}

sub before  { return $before; }
sub effects { my ($self) = @_; return $self->{effects}; }
sub stop    { my ($self) = @_; $self->{stopped} = 1; return; }
sub idle    { my ($self) = @_; return !grep { defined $_->{op} } @{ $self->{clients} }; }
sub counts  { my ($self) = @_; return $self->{counts}; }

# Who still waits, in words.
sub waiting
{
	my ($self) = @_;

	return map { "$_->{region}: $_->{sql}" } grep { defined $_->{op} } @{ $self->{clients} };
}

sub step
{
	my ($self) = @_;

	foreach my $c (@{ $self->{clients} })
	{
		if (!$c->{session})
		{
			next if $self->{away}{ $c->{region} };
			$self->_connect($c) if time() >= $c->{next} && !$self->{stopped};
		}
		elsif ($c->{session}->is_busy)
		{
			$self->_while_busy($c);
		}
		elsif (!defined $c->{pid})
		{
			$self->_connected($c);
		}
		elsif (defined $c->{op})
		{
			$self->_answered($c);
		}
		elsif (!$self->{stopped} && time() >= $c->{next})
		{
			$self->_begin($c);
		}
	}
	$self->_wake_left if time() >= ($self->{wake} // 0);
	$self->_ask_about_doubts;
	return;
}

# Nobody else would wake what stands at a wait point after its client has left.
sub _wake_left
{
	my ($self) = @_;

	$self->{wake} = time() + 1;
	@{ $self->{left} } = grep { kill 0, $_->[1] } @{ $self->{left} };
	foreach my $left (@{ $self->{left} })
	{
		kill 'CONT', $left->[1] if !$self->{g}->region($left->[0])->{sd_paused};
	}
	return;
}

sub _connect
{
	my ($self, $c) = @_;
	my @name = (application_name => 'torture client');

	$c->{session} = $c->{server} ? $c->{server}->session(@name) : $self->{g}->session($c->{region}, @name);
	$c->{session}->send('SELECT pg_backend_pid();');
	$c->{give_up} = time() + 5;
	return;
}

sub _connected
{
	my ($self, $c) = @_;
	my $r = $c->{session}->result;

	return $self->_leave($c, 0.5) if !$r->{ok};
	$c->{pid} = $r->{out};
	return;
}

sub _leave
{
	my ($self, $c, $pause) = @_;

	# the server's process may stand at its wait point, or come there yet
	push @{ $self->{left} }, [ $c->{region}, $c->{pid} ] if $c->{point} && defined $c->{pid};
	$c->{session}->kill if $c->{session};
	delete @$c{qw(session pid op rest open_until point stands bad give_up)};
	$c->{next} = time() + rand(2 * ($pause // $self->{pause}));
	return;
}

sub _begin
{
	my ($self, $c) = @_;
	my ($kind, $key) = $self->_draw($c);
	my ($often, $sql) = @{ $kinds{$kind} };
	my $op = ++$self->{n};

	$c->{retry} = undef;
	$sql =~ s/\s+/ /g;
	$sql =~ s/\bS\b/$self->{shared}{$key}/g if defined $self->{shared}{$key};
	$sql =~ s/#/$key/g;
	my ($of) = $key =~ /^revert (.*)/;

	$sql =~ s/%/$of/ if defined $of;
	$c->{hold} = rand() < 0.1 ? rand(4) : 0;
	($sql, $c->{rest}) = $sql =~ /^(.*)\|(.*)$/ if $c->{hold} && $sql =~ /\|/;
	$sql =~ s/\|//g;
	# all of it is one message: what fails, or is cancelled, takes with it what comes after
	$sql =~ s/;(?=.*;)/\\;/g if $kind ne 'script';
	# more than a few may end by a bad client's doing
	$c->{bad} = rand() < 0.15 ? $bad[ rand @bad ] : undef;
	$c->{point} = $self->{waitpoints} && rand() < 0.06 ? $points[ rand @points ] : undef;
	@$c{qw(op key kind sql begun)} = ($op, $key, $kind, $sql, 0);
	$c->{session}->send("ROLLBACK; RESET ALL; SET client_min_messages = error;"
		  . ($sql =~ /schemadrift\.(?:apply|revert)/ ? '' : "SET schemadrift.migration_name = '$key';")
		  . ($c->{point} ? "SET schemadrift.testing_waitpoint = '$c->{point}';" : ''));
	return;
}

# The settings are made; now the migration itself.
sub _send
{
	my ($self, $c) = @_;

	$c->{begun} = 1;
	$c->{bad_at} = time() + (rand() < 0.7 ? rand(0.15) : rand(2));
	$self->{counts}{ $c->{kind} }++;
	$self->{history}->event('invoke', op => $c->{op}, key => $c->{key}, region => $c->{region}, kind => $c->{kind});
	$c->{session}->send($c->{sql});
	return;
}

# A new migration; or, blindly, the one that this client does not know the outcome of.
sub _draw
{
	my ($self, $c) = @_;

	return ('apply', $c->{retry}) if defined $c->{retry};
	my @all = map { my $kind = $_; map { $kind } 1 .. $kinds{$kind}[0] } sort keys %kinds;
	my $kind = $all[ rand @all ];
	# once only: what was reverted may be applied again, and nobody does
	return (revert => 'revert ' . shift @{ $c->{done} }) if $kind eq 'revert' && @{ $c->{done} // [] };
	$kind = 'apply' if $kind eq 'revert';
	my $key = sprintf 'k%d', $self->{n} + 1;
	my $shared = 'shared_' . (1 + int rand 7);
	my (undef, undef, $up, $down) = @{ $kinds{$kind} };

	$self->{shared}{$key} = $shared;
	foreach my $pair ([ up => $up ], [ down => $down ])
	{
		my ($what, $effect) = @$pair;

		next if !defined $effect;
		$self->{effects}{$what}{$key} = $effect =~ s/\bS\b/$shared/gr =~ s/#/$key/gr;
	}
	return ($kind, $key);
}

sub _while_busy
{
	my ($self, $c) = @_;

	if (!defined $c->{pid})
	{
		$self->_leave($c, 0.5) if time() > $c->{give_up};
		return;
	}
	return if !$c->{begun};
	$self->_handle_stopped($c) if $c->{point};
	return if !$c->{bad} || time() < $c->{bad_at};
	my $bad = delete $c->{bad};

	$self->{counts}{$bad}++;
	kill 'INT',  $c->{pid} if $bad eq 'cancel';
	kill 'TERM', $c->{pid} if $bad eq 'terminate';
	kill 'KILL', $c->{pid} if $bad eq 'kill';
	return if $bad ne 'vanish';
	$self->_ended($c, 'unknown', 'gone');
	$self->_leave($c);
	return;
}

# It stands at its wait point: after a while it goes on, or dies there.
sub _handle_stopped
{
	my ($self, $c) = @_;

	return if SchemaDrift::Region::process_state($c->{pid}) ne 'T' || $self->{g}->region($c->{region})->{sd_paused};
	if (!$c->{stands})
	{
		$c->{stands} = time() + rand(3);
		$self->{counts}{"stopped at $c->{point}"}++;
	}
	return if time() < $c->{stands};
	# the second signal takes effect once it goes on
	kill 'KILL', $c->{pid} if rand() < 0.3;
	kill 'CONT', $c->{pid};
	delete @$c{qw(stands)};
	return;
}

sub _answered
{
	my ($self, $c) = @_;
	my $r = $c->{session}->result;

	if (!$c->{begun})
	{
		return $r->{ok} ? $self->_send($c) : $self->_leave($c, 0.5);
	}
	if ($r->{ok} && defined $c->{rest} && !defined $c->{open_until})
	{
		$c->{open_until} = time() + $c->{hold};
		$self->{history}->event('open', op => $c->{op});
		return;
	}
	if (defined $c->{rest} && $r->{ok})
	{
		return if time() < $c->{open_until};
		$c->{session}->send(delete $c->{rest});
		delete $c->{open_until};
		return;
	}
	delete @$c{qw(rest open_until)};
	my ($entry) = $r->{err} =~ /Entry ([0-9a-f-]{36}) for version/;
	my $fatal = $r->{err} =~ /^(?:psql:\S+ )?(?:FATAL|PANIC):/m;
	my $result =
	    $r->{ok} ? 'ok'
	  : $r->{gone} || $fatal || $r->{sqlstate} eq '40003' || $r->{sqlstate} =~ /^08/ ? 'unknown'
	  # once an online entry is agreed only the wait for it can fail, as the error's DETAIL says
	  : $c->{kind} =~ /^(?:online|script)$/ && $r->{sqlstate} !~ /^(?:SD001|40001)$/ ? 'unknown'
	  :   'failed';

	$self->_ended($c, $result, $r->{sqlstate}, entry => $entry, message => $r->{message});
	# who held a transaction open and failed has not sent its COMMIT: a new session is rid of it
	return $self->_leave($c) if $r->{gone} || $c->{hold} || rand() < 0.05;
	push @{ $c->{done} }, $c->{key} if $result eq 'ok' && $c->{kind} eq 'apply';
	$c->{retry} = $c->{key} if $result eq 'unknown' && $c->{kind} eq 'apply' && rand() < 0.5;
	$c->{next} = time() + rand(2 * $self->{pause});
	return;
}

sub _ended
{
	my ($self, $c, $result, $sqlstate, %more) = @_;

	delete $more{$_} foreach grep { !defined $more{$_} } keys %more;
	$self->{doubt}{ $more{entry} } = { asked => 0, next => 0 } if defined $more{entry};
	$self->{counts}{"answer $result"}++;
	$self->{history}->event('return', op => $c->{op}, result => $result, sqlstate => $sqlstate, %more);
	delete @$c{qw(op rest open_until stands bad)};
	return;
}

# The region's server is another one now, or dead: psql may take long to notice.
sub forget
{
	my ($self, $name) = @_;

	foreach my $c (grep { $_->{region} eq $name && !$_->{server} } @{ $self->{clients} })
	{
		$self->_ended($c, 'unknown', 'gone') if defined $c->{op} && $c->{begun};
		$self->_leave($c, 0.5);
	}
	return;
}

sub away { my ($self, $name) = @_; $self->{away}{$name} = 1; return $self->forget($name); }
sub back { my ($self, $name) = @_; delete $self->{away}{$name}; return; }

# ---- what became of it ----

# One question at a time, to any region.
sub _ask_about_doubts
{
	my ($self) = @_;
	my $q = $self->{question};

	if ($q)
	{
		return if $q->{session}->is_busy && time() < $q->{asked} + 10;
		my $r = $q->{session}->is_busy ? { ok => 0 } : $q->{session}->result;

		$self->{history}->event('answer', region => $q->{region}, entry => $q->{entry}, answer => $r->{out}) if $r->{ok};
		$q->{session}->kill;
		$self->{question} = undef;
	}
	my ($entry) = grep { time() >= $self->{doubt}{$_}{next} } keys %{ $self->{doubt} };
	return if !defined $entry || $self->{stopped};
	my $doubt = $self->{doubt}{$entry};
	my @names = $self->{g}->names;
	my $name = $names[ rand @names ];

	$doubt->{next} = time() + ++$doubt->{asked} * 2;
	$self->{question} = { region => $name, entry => $entry, asked => time(), session => $self->{g}->session($name) };
	$self->{question}{session}->send("SELECT schemadrift.outcome('$entry'::uuid);");
	return;
}

# How many entries were in doubt when settled() looked last.
sub undecided { my ($self) = @_; return $self->{undecided} // 0; }

# At the end every region is asked, twice, about every entry that any of them ever began; true when none is in doubt any more.
sub settled
{
	my ($self) = @_;
	my %all = map { $_ => 1 } keys %{ $self->{doubt} };
	my $undecided = 0;

	foreach my $name ($self->{g}->names)
	{
		my $r = eval { $self->{g}->try($name, 'SELECT entry_id FROM schemadrift_store.attempt', timeout => 20) };

		return 0 if !$r || !$r->{ok};
		$all{$_} = 1 foreach split /\n/, $r->{out};
	}
	my $ids = join ',', map { "'$_'::uuid" } sort keys %all;

	foreach my $name ($self->{g}->names, $self->{g}->names)
	{
		my $r = eval { $self->{g}->try($name, "SELECT id, schemadrift.outcome(id) FROM unnest(ARRAY[$ids]::uuid[]) id", timeout => 20) };

		return 0 if !$r || !$r->{ok};
		foreach my $line (split /\n/, $r->{out})
		{
			my ($entry, $answer) = split /\|/, $line, -1;

			$undecided++ if $answer eq 'undecided';
			$self->{history}->event('answer', region => $name, entry => $entry, answer => $answer);
		}
	}
	$self->{undecided} = $undecided;
	return !$undecided;
}

1;
