# SchemaDrift::Scenario: what the scenario tests have in common: stop a process at a wait point, ask what became of an
# entry, look at the invariants.
#
#   use SchemaDrift::Scenario;
#
#   my $s = $g->session('us-east');
#   stop_at($s, 'before-accept');                 # from now on this session's process stops itself there
#   $s->send('ALTER TABLE t ADD c int;');
#   stopped($s);                                  # waits until it stands; the process id
#   go_on($s);
#   my $id = entry_of($g, 'us-east', sub { ... }); # the entry that was begun meanwhile
#   settles($g, $id);                             # waits for one definite answer everywhere; 'applied' or 'rejected'
#   all_can_change($g);                           # every region in turn, and all follow
#   traffic($g, 40, [ 'us-east' ], sub { ... });   # forty changes there while this goes on; { sqlstate => how many }
#   log_is_sound($g, 5);                          # the invariants of docs/protocol.md, from version 5 on
#   ok(await(sub { ... }), 'becomes true');       # what wait_until cannot ask
#   my @majors = majors();                        # [ [ 15, '/usr/lib/postgresql/15/bin' ], ... ], oldest first; or skips the test
package SchemaDrift::Scenario;

use strict;
use warnings FATAL => 'all';

use Carp;
use Exporter 'import';
use PostgreSQL::Test::Utils 'slurp_file';
use SchemaDrift::Group;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(made_group testing_build stop_at stop_all_at stopped stopped_somewhere go_on state_of took begun accepted settles
  becomes_answered outcome_everywhere can_change all_can_change log_is_sound head coordinator columns refused wait_for_state
  traffic majors await $in_time);

my $changes = 0;

# Seconds that suffice, on a busy machine too, for what waits for nobody: less than the quorum_timeout below, which is what
# it would take if it did wait.
our $in_time = 10;

# A group of regions with tables to change, in mode coordinate.
sub made_group
{
	my ($regions, %o) = @_;
	my $g = SchemaDrift::Group->new(regions => $regions, streaming => $o{streaming}, version => $o{version}, bindir => $o{bindir},
		proxied => $o{proxied}, disks => $o{disks}, clock => $o{clock}, conf => <<"CONF");
schemadrift.heartbeat_interval = 250ms
schemadrift.quorum_timeout = 12s
schemadrift.lease_duration = 1s
schemadrift.lock_timeout = 1s
schemadrift.retry_max_interval = 2s
deadlock_timeout = 200ms
@{[ $o{conf} // '' ]}
CONF
	$g->make_group(mode => 'coordinate', before => $o{before});
	return $g;
}

# The majors of PostgreSQL that have the test build: this one's and those of OTHER_PG_CONFIG (t/run.pl).  With one, the test is
# skipped.
sub majors
{
	my %bindir = map { split /:/, $_, 2 } split ' ', $ENV{SD_OTHER_MAJORS} // '';
	my ($own) = qx{pg_config --version} =~ / ([0-9]+)/;

	delete $bindir{$own};
	plan skip_all => "PostgreSQL $own only: OTHER_PG_CONFIG names no other major; make matrix has several in one folder" if !%bindir;
	chomp($bindir{$own} = qx{pg_config --bindir});
	return map { [ $_, $bindir{$_} ] } sort { $a <=> $b } keys %bindir;
}

# Wait points are in the test build only.
sub testing_build
{
	my ($g) = @_;

	return $g->try(($g->names)[0], 'SHOW schemadrift.testing_waitpoint')->{ok};
}

# Each of these regions changes the schema so many times, one change after another, while something goes on; how often
# it came to what: { '00000' => 78, '40001' => 2 }.  Several at once get in each other's way.
sub traffic
{
	my ($g, $n, $names, $meanwhile) = @_;
	my $round = ++$changes;
	my @sessions = map { $g->session($_) } @$names;
	my %seen;

	foreach my $i (0 .. $#sessions)
	{
		$sessions[$i]->send(CORE::join "\n", map { "CREATE TABLE traffic_${round}_${i}_$_ (a int); SELECT pg_sleep(0.1);" } 1 .. $n);
	}
	$meanwhile->();
	foreach my $session (@sessions)
	{
		my $err = $session->result(timeout => 5 * $SchemaDrift::Session::timeout)->{err};
		my @errors = $err =~ /^(?:ERROR|FATAL|PANIC):  (\w{5}): /mg;
		$seen{$_}++ foreach @errors;
		$seen{gone}++ if $err =~ /^(?:server closed the connection|no connection|connection to server)/m;
		$seen{'00000'} += $n - @errors;
		$session->quit;
	}
	return \%seen;
}

# ---- stopping at a wait point ----

sub stop_at
{
	my ($session, $point) = @_;
	my $r = $session->query("SET schemadrift.testing_waitpoint = '$point';");

	croak $r->{err} if !$r->{ok};
	$session->pid;    # now, while it can answer
	return;
}

# Every process of a region stops there ('' ends that).
sub stop_all_at
{
	my ($g, $name, $point) = @_;

	$g->sql($name, "ALTER SYSTEM SET schemadrift.testing_waitpoint = '$point'");
	$g->sql($name, 'SELECT pg_reload_conf()');
	# the server tells its children before it takes another connection
	$point eq '' || $g->wait_until($name, 'SHOW schemadrift.testing_waitpoint', $point) || croak "$name does not read its settings";
	return;
}

# R, S, T ..., or undef for a process that is gone
sub state_of
{
	my ($pid) = @_;

	open my $fh, '<', "/proc/$pid/stat" or return;
	my $line = readline $fh // return;
	return $line =~ /\) (\S)/ ? $1 : undef;
}

sub stopped
{
	my ($session) = @_;
	my $pid = $session->pid;
	my $end = time() + $SchemaDrift::Session::timeout;

	while ((state_of($pid) // croak "process $pid is gone: $session->{err}") ne 'T')
	{
		croak "process $pid does not stop: $session->{out} $session->{err}" if time() > $end || !$session->is_busy;
		sleep 0.005;
	}
	return $pid;
}

# The processes of a region that stand at a wait point; waits for as many.
sub stopped_somewhere
{
	my ($g, $name, $n) = @_;
	my $end = time() + $SchemaDrift::Session::timeout;

	while (1)
	{
		my @stopped = grep { (state_of($_) // '') eq 'T' } $g->region($name)->pids;
		return @stopped if @stopped >= ($n // 1);
		croak "no process of $name stops" if time() > $end;
		sleep 0.005;
	}
}

sub go_on
{
	my ($session) = @_;

	kill 'CONT', $session->pid;
	return;
}

sub coordinator
{
	my ($g, $name) = @_;

	return $g->sql($name, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'schemadrift coordinator'
		AND datname = current_database()");
}

# ---- looking ----

# What code says, as soon as that is true; what it says in the end, if it does not become so in time.
sub await
{
	my ($code) = @_;
	my $end = time() + $SchemaDrift::Session::timeout;
	my $r;

	sleep 0.02 while !($r = $code->()) && time() < $end;
	return $r;
}

# Seconds that it took, and what it returned.
sub took
{
	my ($code) = @_;
	my $start = time();
	my $r = $code->();

	return (time() - $start, $r);
}

sub head
{
	my ($g, $name) = @_;

	return $g->sql($name, 'SELECT max(version) FROM schemadrift_store.log');
}

# Columns of a table, region by region.
sub columns
{
	my ($g, $table, @names) = @_;

	return map {
		$g->sql($_, "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
			WHERE attrelid = to_regclass('$table') AND attnum > 0 AND NOT attisdropped")
	} @names ? @names : $g->names;
}

sub wait_for_state
{
	my ($g, $name, $state) = @_;

	return $g->wait_until($name, 'SELECT state FROM schemadrift.status', $state);
}

# A statement must fail in this way.
sub refused
{
	my ($r, $sqlstate, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is($r->{sqlstate}, $sqlstate, $what) || diag("$r->{out} $r->{err}");
}

# The entry that a region began while code ran: it is in its table of attempts from the first promise on.
sub begun
{
	my ($g, $name, $code) = @_;
	my %known = map { $_ => 1 } split /\n/, $g->sql($name, 'SELECT entry_id FROM schemadrift_store.attempt');

	$code->();
	my @new = grep { !$known{$_} } split /\n/, $g->sql($name, 'SELECT entry_id FROM schemadrift_store.attempt');
	croak "$name began " . @new . ' entries' if @new != 1;
	return $new[0];
}

# Wait until these regions have accepted an entry (of begun()).  One of two suffices for an origin that goes on, not for one that
# dies before its own vote, which is the last: then it may as well become nothing.
sub accepted
{
	my ($g, $origin, $id, @names) = @_;
	my $version = $g->sql($origin, "SELECT version FROM schemadrift_store.attempt WHERE entry_id = '$id'");

	foreach my $name (@names)
	{
		$g->wait_until($name, "SELECT count(*) FROM schemadrift_store.accepted WHERE version = $version", 1) || croak "$name has accepted nothing";
	}
	return;
}

# What each region says became of an entry ('' where it never heard of it).
sub outcome_everywhere
{
	my ($g, $id, @names) = @_;

	return map { $g->try($_, "SELECT schemadrift.outcome('$id'::uuid)")->{out} } @names ? @names : $g->names;
}

# Wait until every region that heard of the entry has the same definite answer, and compare it with the log.
sub settles
{
	my ($g, $id, @names) = @_;
	my $end = time() + $SchemaDrift::Session::timeout;
	my @answers;

	@names = $g->names if !@names;
	while (1)
	{
		@answers = outcome_everywhere($g, $id, @names);
		# who was away hears of it by and by
		last if grep { $_ ne '' } @answers
		  and !grep { $_ eq 'undecided' || $_ eq 'chosen' } @answers
		  and !(grep { $_ eq '' } @answers and grep { $_ eq 'applied' } @answers);
		if (time() > $end)
		{
			diag("entry $id does not settle: @answers");
			return "unsettled: @answers";
		}
		sleep 0.05;
	}
	my @in_log = map { $g->sql($_, "SELECT count(*) FROM schemadrift_store.log WHERE entry_id = '$id'") } @names;
	my %said = map { $_ => 1 } grep { $_ ne '' } @answers;

	return 'applied' if "@in_log" eq join(' ', (1) x @names) && "@answers" eq join(' ', ('applied') x @names);
	return 'rejected' if "@in_log" eq join(' ', (0) x @names) && join(' ', keys %said) eq 'rejected';
	diag("entry $id: regions say (@answers), in their logs: (@in_log)");
	return "contradictory: @answers, @in_log";
}

# A schema change there, within a time that the group is given to recover ("within 3 x lease_duration + 2 s ...").
sub can_change
{
	my ($g, $name, $sql, $timeout) = @_;
	my $end = time() + ($timeout // 32);
	my $own = !defined $sql;
	my $r;

	do
	{
		$sql = sprintf 'CREATE TABLE change_%d_%d (a int)', $$, ++$changes if $own;
		$r = $g->try($name, $sql);
		return 1 if $r->{ok};
	} while (time() < $end && ($r->{sqlstate} =~ /^(?:SD001|SD003|SD009|40001|55P03)$/ || $own && $r->{sqlstate} eq '40003'));
	diag("$name: $sql: $r->{err}");
	return 0;
}

sub all_can_change
{
	my ($g, $what) = @_;
	my @cannot = grep { !can_change($g, $_) } $g->names;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is("@cannot", '', ($what // 'afterwards') . ': every region can change the schema');
	return ok($g->converged, '... and all follow');
}

# The invariants that tables can show: one entry a version everywhere, no gaps, one chain; every row from a version on
# (since when all were voters) has a majority of acceptances of the same entry.
sub log_is_sound
{
	my ($g, $since) = @_;
	my (%entry, %votes, @faults);
	my @names = $g->names;

	foreach my $name (@names)
	{
		my $expected = 1;

		foreach my $row (split /\n/, $g->sql($name,
			q{SELECT version, entry_id, encode(chain, 'hex') FROM schemadrift_store.log ORDER BY version}))
		{
			my ($version, $id, $chain) = split /\|/, $row;

			push @faults, "$name has $version after " . ($expected - 1) if $version != $expected++;
			$entry{$version} //= "$id $chain";
			push @faults, "$name has another entry at $version" if $entry{$version} ne "$id $chain";
		}
		foreach my $row (split /\n/, $g->sql($name,
			q{SELECT version, entry_id FROM schemadrift_store.accepted}))
		{
			my ($version, $id) = split /\|/, $row;

			$votes{$version}{$id}++;
		}
	}
	foreach my $version (grep { $_ >= $since } keys %entry)
	{
		my ($id) = split / /, $entry{$version};

		# not at one ballot: a settlement that is late raises the ballot of some of these rows, to the same entry
		push @faults, "version $version was not accepted by a majority" if ($votes{$version}{$id} // 0) * 2 <= @names;
	}
	# what a server says when two regions do not mean the same, or when it died by itself
	foreach my $name (@names)
	{
		push @faults, "$name says: $1" if slurp_file($g->region($name)->logfile) =~
		  /(.*(?:PANIC:  |TRAP: |Segmentation fault|is malformed|differs? from ours|regions differ|another entry is in the log|under one ballot).*)/;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join('; ', @faults), '', 'the logs are one log, each version voted for by a majority');
}

1;
