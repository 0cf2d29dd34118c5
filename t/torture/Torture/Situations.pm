# Torture::Situations: those in which one wrong choice does harm, made on purpose.  What random faults meet in hours, if ever, is here a
# matter of seconds.
#
#   Torture::Situations::names();  Torture::Situations::about('overtaken');
#   Torture::Situations::of('ACK_EARLY');             # those that this deliberate mistake is caught by
#
# A server that makes no mistake comes out of each with nothing to be said against it.  So none of these says what must
# happen: they bring the situation about as far as the servers let them (Torture::Provoke), and the checker judges.
package Torture::Situations;

use strict;
use warnings FATAL => 'all';

use SchemaDrift::Scenario ();

# name => [ what happens in one line, the mistakes that it is for, the lease in ms, function ]; a, b, c are the three regions
our %all = (
	told_before_commit => [ 'an acceptor dies before its vote is committed', 'ACK_EARLY', 0, \&_told_before_commit ],
	announced          => [ 'an origin dies before its commit', 'ANNOUNCE_FIRST', 0, \&_announced ],
	overtaken          => [ 'a region promises to another one between the majority and its own vote', 'NO_SELFCHECK', 0, \&_overtaken ],
	paused_holder      => [ 'the same, under a lease that runs out meanwhile', 'PAUSED_HOLDER', 1000, \&_paused_holder ],
	lower_ballot_late  => [ 'the lower one of two ballots comes to its acceptor last', 'SELF_READ', 0, \&_lower_ballot_late ],
	round_forgotten    => [ 'a region could not write down its own promise, and dies', 'BALLOT_REUSE', 0, \&_round_forgotten ],
	accepted_late      => [ 'an acceptor commits its vote after the origin has given up', 'LIE_ABORT', 0, \&_accepted_late ],
	unflushed          => [ 'an acceptor dies a moment after it has voted', 'ASYNC_COMMIT', 0, \&_unflushed ],
	promoted           => [ 'a standby is promoted that lacks the newest votes', 'NO_FENCE REJOIN_READ', 0, \&_promoted ],
	void_restored      => [ 'a region is set back to a copy of when it was void', 'LIFE_REUSE', 0, \&_void_restored ],
	old_primary        => [ 'an old primary lives on beside its promoted standby, and part of the group talks to it',
		'COUNT_ANY_INCARNATION', 0, \&_old_primary ],
	left_open          => [ 'a client leaves its transaction open, and another region has a change, too', '', 10000, \&_left_open ],
	replicated         => [ 'data replication brings the rows of our tables from another region', 'REPLICATED_STATE', 0, \&_replicated ],
);

sub names { return sort keys %all; }
sub about { my ($name) = @_; return $all{$name}[0]; }

sub of
{
	my ($mistake) = @_;

	return grep { " $all{$_}[1] " =~ / \Q$mistake\E / } names();
}

sub _told_before_commit
{
	my ($p, $a, $b, $c) = @_;
	my $client = $p->opened($a);

	$p->apart($a, $c);
	$p->stop_at($b, 'accept-precommit');
	$p->commit($client);
	$p->stands_in($b);
	# time for whoever counts too early
	eval { $p->wait_for('the answer', sub { !$client->{session}->is_busy }, 3) };
	$p->kill_server($b);
	return;
}

sub _announced
{
	my ($p, $a, $b, $c) = @_;
	my $client = $p->opened($a);
	my $head = SchemaDrift::Scenario::head($p->{g}, $b);

	$p->apart($a, $c);
	$p->commit($client, 'after-majority');
	# time for whoever tells too early
	eval { $p->wait_for_sql($b, "SELECT max(version) > $head FROM schemadrift_store.log", 2) };
	$p->kill_server($a);
	$p->ended($client);
	return;
}

sub _overtaken
{
	my ($p, $a, $b, $c) = @_;
	my $first = $p->opened($a);

	$p->apart($a, $c);
	$p->commit($first, 'after-majority');    # b has accepted it
	return _overtake($p, $first, $a, $b, $c);
}

# Another region's change is chosen by the promise of the one that has yet to vote for its own, and of whom it cannot hear.
sub _overtake
{
	my ($p, $first, $a, $b, $c) = @_;

	$p->apart($a, $b);
	$p->apart($b, $c);
	$p->together($a, $c);
	$p->reached($c, $a);
	my $second = $p->opened($c);

	$p->commit($second, 'before-commit-record');
	$p->apart($a, $c);
	$p->go_on($second);
	$p->ended($second);
	$p->go_on($first);
	$p->ended($first);
	return;
}

sub _paused_holder
{
	my ($p, $a, $b, $c) = @_;
	my $first = $p->opened($a);
	my $coordinator = SchemaDrift::Scenario::coordinator($p->{g}, $a);

	$p->apart($a, $c);
	$p->commit($first, 'after-majority');
	kill 'STOP', $coordinator;    # so that its lease is not made longer
	_overtake($p, $first, $a, $b, $c);
	kill 'CONT', $coordinator;
	return;
}

sub _lower_ballot_late
{
	my ($p, $a, $b, $c) = @_;

	$p->apart($b, $c);
	my $low = $p->opened($c);    # a and c have promised

	$p->apart($a, $c);
	my $high = $p->opened($a);    # a and b have promised

	$p->commit($high, 'after-majority');
	$p->apart($a, $b);
	$p->together($a, $c);
	$p->reached($c, $a);
	eval { $p->commit($low, 'before-commit-record') };    # whose accept a refuses, if it remembers
	$p->apart($a, $c);
	$p->go_on($low) if !$low->{over};
	$p->ended($low, 5);
	$p->go_on($high);
	$p->ended($high);
	return;
}

sub _round_forgotten
{
	my ($p, $a, $b, $c) = @_;
	my $lock = $p->{g}->session($a);

	# somebody's lock on the row: a has no vote, the others have
	$lock->query('BEGIN; SELECT FROM schemadrift_store.acceptor FOR UPDATE;');
	my $first = $p->opened($a);

	$p->apart($a, $c);
	$p->commit($first, 'after-majority');    # b has accepted it
	$p->apart($a, $b);
	$p->apart($b, $c);
	$p->kill_server($a);
	$lock->kill;
	$p->ended($first);
	$p->together($a, $c);
	$p->start_server($a);
	$p->votes_again($a);
	$p->reached($a, $c);
	eval { $p->change($a) };
	$p->look;
	return;
}

sub _accepted_late
{
	my ($p, $a, $b, $c) = @_;
	my $client = $p->opened($a);

	$p->apart($a, $c);
	$p->stop_at($b, 'accept-written');
	$p->commit($client);
	my @stand = $p->stands_in($b);

	kill 'INT', $client->{session}->pid;
	$p->ended($client);
	# it has given up; then b votes, and settles with c what it knows of
	$p->apart($a, $b);
	$p->setting($b, 'schemadrift.testing_waitpoint', '');
	kill 'CONT', @stand;
	eval { $p->wait_for_sql($b, 'SELECT max(x.version) > (SELECT version FROM schemadrift_store.applied) FROM schemadrift_store.accepted x', 5) };
	return;
}

sub _unflushed
{
	my ($p, $a, $b, $c) = @_;

	$p->apart($a, $c);
	foreach (1 .. 2)
	{
		my $client = $p->opened($a);

		$p->commit($client, 'after-majority');    # b has said that it accepts
		$p->kill_server($b, at_once => 1);
		$p->go_on($client);
		$p->ended($client);
		$p->start_server($b);
		$p->votes_again($b);
		$p->reached($a, $b);
	}
	return;
}

sub _promoted
{
	my ($p, $a, $b, $c) = @_;
	my $standby = $p->{g}->region($b)->standby;

	$standby->stop;
	$p->apart($a, $c);
	$p->change($a);    # with b's vote
	$p->loses($b, sub { $standby->start; $_[0]->fail_over($standby) or die "$b: not promoted\n" });
	$p->together($a, $c);
	eval { $p->votes_again($b); $p->reached($a, $b) };
	$p->apart($a, $c);
	eval { $p->change($a) };
	return;
}

sub _void_restored
{
	my ($p, $a, $b, $c) = @_;
	my $region = $p->{g}->region($b);
	my $standby = $region->standby;
	my $backup = 'void' . ++$p->{n};

	# it is promoted where it cannot ask to come back, and copied
	$p->apart($b, $_) foreach $a, $c;
	$p->loses($b, sub { $_[0]->fail_over($standby) or die "$b: not promoted\n" });
	$p->wait_for_sql($b, q{SELECT state = 'void' FROM schemadrift_store.self});
	$p->wait_for_sql($b, q{SELECT cause IS NOT NULL FROM schemadrift_store.life});
	$region->backup($backup);
	# it comes back, and votes for something that c does not hear of
	$p->together($b, $_) foreach $a, $c;
	$p->votes_again($b);
	$p->all_reached;
	$p->apart($c, $_) foreach $a, $b;
	$p->change($a);
	# it is set back, and has c only to ask
	$p->apart($a, $b);
	$p->loses($b, sub { $_[0]->restore($backup, recovery => "restore_command = 'false'\n"); $_[0]->start });
	$p->together($c, $b);
	eval { $p->votes_again($b, 10) };
	eval { $p->change($c) };
	return;
}

# b's old server goes on, but for its coordinator, which would be told; c is led to the new one.
sub _old_primary
{
	my ($p, $a, $b, $c) = @_;
	my ($g, $net) = ($p->{g}, $p->{g}->net);
	my $region = $g->region($b);
	my $standby = $region->standby;
	my $incarnation = $g->sql($a, "SELECT incarnation FROM schemadrift.regions WHERE region = '$b'");
	my $over = 0;
	my $take_over = sub {
		return if $over++;
		$net->redirect($c, $b, $region->port);
		$p->loses($b, sub { $standby->stop('fast'); $_[0]->use_data($standby->data_dir); $_[0]->start });
	};

	push @{ $p->{undo} }, $take_over;
	$p->{tables}->forget($b);
	kill 'STOP', SchemaDrift::Scenario::coordinator($g, $b);
	$standby->append_conf('postgresql.conf', "listen_addresses = '$region->{sd_link}{listen}'");
	$standby->restart;
	$standby->promote;
	$net->redirect($c, $b, $region->port, $standby->port);
	$p->apart($b, $c);
	$p->wait_for_sql($c, "SELECT circuit <> 'closed' FROM schemadrift.regions WHERE region = '$b'");
	$p->together($b, $c);
	# it is readmitted by a and c
	$p->wait_for_sql($a, "SELECT incarnation > $incarnation FROM schemadrift.regions WHERE region = '$b'");
	$p->apart($a, $c);
	eval { $p->change($a) };    # by a, and the old server
	eval { $p->change($c) };    # by c, and the new one
	$take_over->();
	return;
}

sub _left_open
{
	my ($p, $a, $b, $c) = @_;
	my $limit = 2;

	$p->{g}->sql($a, qq{SELECT schemadrift.set_policy('{"ddl_hold_limit": "${limit}s"}')});
	$p->all_reached;
	# for a while that is allowed, and for much longer
	foreach my $hold (1, $limit + 6)
	{
		my $holder = $p->opened($a);

		$p->left_open($holder);
		my $waiter = $p->begin($hold > $limit ? $b : $c);

		eval { $p->wait_for('the other one has its place', sub { !$waiter->{session}->is_busy }, $hold) };
		$p->commit($holder);
		$p->ended($holder);
		$p->has_begun($waiter);
		$p->ended($p->commit($waiter));
		$p->all_reached;
	}
	return;
}

sub _replicated
{
	my ($p, $a, $b, $c) = @_;
	my $g = $p->{g};
	my $conninfo = $g->conninfo($a) =~ s/user=\S+/"user=" . getpwuid($>)/er;

	$g->sql($a, 'CREATE PUBLICATION everything FOR ALL TABLES');
	push @{ $p->{undo} }, sub {
		$g->try($b, 'DROP SUBSCRIPTION IF EXISTS from_a', timeout => 30);
		$g->try($a, 'DROP PUBLICATION IF EXISTS everything');
	};
	$g->sql($b, "CREATE SUBSCRIPTION from_a CONNECTION '$conninfo' PUBLICATION everything WITH (copy_data = false)");
	$p->wait_for_sql($a, q{SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = 'from_a' AND state = 'streaming'});
	# a's promises change while b is away
	$p->apart($b, $c);
	eval { $p->change($a) } foreach 1 .. 2;
	$p->wait_for_sql($a, q{SELECT replay_lsn >= pg_current_wal_insert_lsn() - 1000 FROM pg_stat_replication WHERE application_name = 'from_a'});
	$p->look;
	eval { $p->change($c) };
	$p->look;
	return;
}

1;
