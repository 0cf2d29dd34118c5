# SchemaDrift::Session: one psql, driven without blocking.
#
#   my $s = $region->session;              # or $region->session(dbname => 'app', user => 'alice')
#   $s->send('BEGIN; ALTER TABLE t ADD c int;');
#   $s->is_busy;                           # true until the answer is complete
#   my $r = $s->result;                    # waits; { ok, out, err, sqlstate, message, detail, hint, context, gone }
#   my $r = $s->query('COMMIT;');          # send and result in one
#   $s->wait_for(qr/some text/);           # waits for output (stdout or stderr) of the statement that runs
#   $s->pid;                               # of the backend
#   $s->cancel;  $s->terminate;            # pg_cancel_backend, pg_terminate_backend
#   $s->kill;    $s->quit;                 # the client vanishes; leaves politely
#
# Statements end with a semicolon, as typed in psql.  sqlstate is that of the first error, '00000' without one.
# gone: psql has ended, because the connection was lost or could not be made.
package SchemaDrift::Session;

use strict;
use warnings FATAL => 'all';

use Carp;
use Errno;
use IO::Select;
use IPC::Open3;
use POSIX ();
use Symbol 'gensym';
use Time::HiRes 'time';

our $timeout = $ENV{SD_TEST_TIMEOUT} || 60;
my $sentinel = '@@ schemadrift session: answer complete @@';
my $sessions = 0;

sub new
{
	my ($class, %o) = @_;
	my $self = bless {
		out => '', err => '', in => '', busy => 0, gone => 0, name => $o{name} // 'session',
		admin => $o{admin} // $o{connstr},
		application_name => $o{application_name} // sprintf('test %d.%d', $$, ++$sessions),
	}, $class;

	local $ENV{PGAPPNAME}  = $self->{application_name};
	local $ENV{PGOPTIONS}  = $o{options} // '';
	$self->{errfh} = gensym;
	$self->{pid_psql} = open3($self->{infh}, $self->{outfh}, $self->{errfh}, @{ $o{prefix} // [] }, 'psql', '-XAtq',
		'-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=0', '-d', $o{connstr});
	$self->{infh}->blocking(0);
	$self->{outfh}->blocking(0);
	$self->{errfh}->blocking(0);
	return $self;
}

# Send SQL without waiting for anything.
sub send
{
	my ($self, $sql) = @_;

	croak "$self->{name}: the previous statement is not complete" if $self->{busy};
	$self->{out} = $self->{err} = '';
	$self->{busy} = 1;
	$self->{sql}  = $sql;
	$self->{in} .= "$sql\n\\echo '$sentinel'\n\\warn '$sentinel'\n";
	$self->_pump(0);
	return $self;
}

sub is_busy
{
	my ($self) = @_;

	$self->_pump(0);
	return $self->{busy};
}

# The answer to what was sent; dies when it does not come in time.
sub result
{
	my ($self, %o) = @_;
	my $end = time() + ($o{timeout} // $timeout);

	while ($self->{busy})
	{
		my $left = $end - time();
		croak "$self->{name}: no answer in time to: " . substr($self->{sql}, 0, 200) . "\n$self->{out}$self->{err}"
		  if $left <= 0;
		$self->_pump($left);
	}
	return $self->_result;
}

sub query
{
	my ($self, $sql, %o) = @_;

	return $self->send($sql)->result(%o);
}

# Output so far, waited for until it matches; the statement may go on running.
sub wait_for
{
	my ($self, $pattern, %o) = @_;
	my $end = time() + ($o{timeout} // $timeout);

	while ("$self->{out}\n$self->{err}" !~ $pattern)
	{
		my $left = $end - time();
		croak "$self->{name}: $pattern did not come; there was: $self->{out}$self->{err}"
		  if $left <= 0 || !$self->{busy};
		$self->_pump($left);
	}
	return 1;
}

# The backend's process id; can be asked while a statement runs.
sub pid
{
	my ($self) = @_;

	$self->{pid} //= $self->_from_outside('pid', 'true');
	return $self->{pid};
}

# Cancel and terminate come from another session, once the statement has reached the server: a psql that reads a
# pipe leaves at SIGINT.
sub cancel
{
	my ($self) = @_;

	return $self->_from_outside('pg_cancel_backend(pid)', "state = 'active'");
}

sub terminate
{
	my ($self) = @_;

	return $self->_from_outside('pg_terminate_backend(pid)', 'true');
}

sub _from_outside
{
	my ($self, $what, $condition) = @_;
	my $other = SchemaDrift::Session->new(name => "$self->{name} (helper)", connstr => $self->{admin});
	my $end   = time() + $timeout;

	while (1)
	{
		my $r = $other->query("SELECT $what FROM pg_stat_activity
			WHERE application_name = '$self->{application_name}' AND $condition;");

		croak "$self->{name}: $r->{err}" if !$r->{ok};
		return $r->{out} if $r->{out} ne '';
		return '' if $condition ne 'true' && !$self->is_busy;    # it has ended by itself; its result says how
		$self->_pump(0.01);
		croak "$self->{name}: the server does not know this session: $self->{err}" if time() > $end || $self->{gone};
	}
}

# The client vanishes without a word.
sub kill
{
	my ($self) = @_;

	kill 'KILL', $self->{pid_psql} if !$self->{reaped};
	$self->_reap;
	return;
}

sub quit
{
	my ($self) = @_;

	return if $self->{reaped};
	# psql leaves at the end of its input, but only after its statement; nobody waits for that
	return $self->{busy} ? $self->kill : $self->_reap;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!, $@);

	$self->quit;
	return;
}

sub _reap
{
	my ($self) = @_;

	return if $self->{reaped}++;
	close $_ foreach grep { defined } @$self{qw(infh outfh errfh)};
	waitpid $self->{pid_psql}, 0;
	$self->{gone} = 1;
	$self->{busy} = 0;
	return;
}

# Move bytes for at most so many seconds, until something moved.
sub _pump
{
	my ($self, $seconds) = @_;

	return if $self->{reaped};
	local $SIG{PIPE} = 'IGNORE';
	my $readers = IO::Select->new(grep { defined } @$self{qw(outfh errfh)});
	my $writers = IO::Select->new(length $self->{in} ? $self->{infh} : ());
	my ($r, $w) = IO::Select->select($readers, $writers, undef, $seconds);

	if ($w && @$w)
	{
		my $n = syswrite($self->{infh}, $self->{in}, 65536);
		if (defined $n)
		{
			substr($self->{in}, 0, $n) = '';
		}
		elsif (!$!{EAGAIN} && !$!{EINTR})
		{
			$self->{in} = '';    # psql is gone; its output says why
		}
	}
	foreach my $which (qw(out err))
	{
		my $fh = $self->{"${which}fh"};
		next if !$fh;
		while (1)
		{
			my $n = sysread($fh, $self->{$which}, 65536, length $self->{$which});
			next if $n;
			if (defined $n || (!$!{EAGAIN} && !$!{EINTR}))
			{
				close $fh;
				$self->{"${which}fh"} = undef;
			}
			last;
		}
	}
	if (!$self->{outfh} && !$self->{errfh})
	{
		$self->_reap;
	}
	elsif ($self->{busy} && $self->{out} =~ /^\Q$sentinel\E$/m && $self->{err} =~ /^\Q$sentinel\E$/m)
	{
		s/^\Q$sentinel\E\n//m foreach @$self{qw(out err)};
		$self->{busy} = 0;
	}
	return;
}

sub _result
{
	my ($self) = @_;
	my ($out, $err) = @$self{qw(out err)};
	my %r = (gone => $self->{gone}, err => $err, sqlstate => '00000');

	chomp $out;
	$r{out} = $out;
	if ($err =~ /^(?:psql:\S+ )?(?:ERROR|FATAL|PANIC):  (?:([0-9A-Z]{5}): )?(.*?)$(.*)/ms)
	{
		my $rest = $3;

		@r{qw(sqlstate message)} = ($1 // '08006', $2);
		foreach my $field (qw(DETAIL HINT CONTEXT))
		{
			$r{ lc $field } = $1 if $rest =~ /^$field:  (.*?)(?=^(?:[A-Z]+(?: [0-9]+)?:  )|\z)/ms;
			chomp $r{ lc $field } if defined $r{ lc $field };
		}
	}
	elsif ($self->{gone} || $err =~ /^(?:server closed the connection unexpectedly|no connection to the server)$/m)
	{
		# psql may notice only at its next statement that a connection is lost, and go on until then
		$err =~ /(.*)/;
		@r{qw(sqlstate message gone)} = ('08006', $1, 1);
	}
	$r{ok} = $r{sqlstate} eq '00000' ? 1 : 0;
	return \%r;
}

1;
