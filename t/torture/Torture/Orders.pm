# Torture::Orders: what operators do in the middle of it all: members step down and up, are suspended and resumed, leave and join again,
# the lease is moved, the policy changed, every process of a region stopped at a wait point.
#
# Statements are sent and looked at later.  Options: must => 1, those that must succeed in the end (the way back) are repeated until they
# do, or are refused; must => 'ever', also when they are refused; gives => what they must answer, or the end of it; then => what comes
# after, told all that they ever answered.
package Torture::Orders;

use strict;
use warnings FATAL => 'all';

use SchemaDrift::Region;
use Time::HiRes 'time';

our %faults = (
	step_down => [ 2, \&_step_down ],
	suspend   => [ 1, \&_suspend ],
	remove    => [ 2, \&_remove ],
	lease     => [ 2, \&_lease ],
	policy    => [ 1, \&_policy ],
	waitpoint => [ 4, \&_waitpoint ],
);

# "nothing happened", "not known", or no server: to be said again.  Anything else is an answer.
my $again = qr/^(?:SD00[1-9]|4000[13]|55P03|57...|08...)$/;

sub order
{
	my ($n, $name, $sql, %o) = @_;

	push @{ $n->{orders} }, { name => $name, sql => $sql, %o, next => 0, until => time() + 15 };
	return;
}

sub step
{
	my ($n) = @_;
	my @then;

	foreach my $order (@{ $n->{orders} })
	{
		if (!$order->{session})
		{
			next if time() < $order->{next};
			$order->{session} = $n->{g}->session($order->{name});
			$order->{session}->send("$order->{sql};");
			$order->{asked} = time();
		}
		elsif ($order->{session}->is_busy && time() < $order->{asked} + ($order->{patience} // 15))
		{
			next;
		}
		else
		{
			my $r = $order->{session}->is_busy ? { ok => 0, sqlstate => '57014' } : $order->{session}->result;

			$order->{session}->kill;
			delete $order->{session};
			$order->{next} = time() + 0.5;
			$n->{counts}{"$order->{what} done"}++ if $r->{ok} && $order->{what};
			my $done = $r->{ok} && (!defined $order->{gives} || $r->{out} =~ /^\Q$order->{gives}\E\z/m);
			push @{ $order->{answers} }, $r->{out} // '';

			next if !$done && ($order->{must} // '') eq 'ever';
			$order->{over} = 1 if $done || !$order->{must} || $r->{sqlstate} !~ $again;
			push @then, $order if $order->{over} && $order->{then};
		}
	}
	@{ $n->{orders} } = grep { !$_->{over} } @{ $n->{orders} };
	$_->{then}->(@{ $_->{answers} }) foreach @then;
	foreach my $name (grep { $n->{wake}{$_} > time() } keys %{ $n->{wake} })
	{
		my $region = $n->{g}->region($name);

		kill 'CONT', $_ foreach $region->{sd_paused} ? () : grep { SchemaDrift::Region::process_state($_) eq 'T' } $region->pids;
	}
	return;
}

# One change of members at a time, and it is taken back.
sub _member
{
	my ($n, $name, $there, $from, $back, $what) = @_;

	return if $n->{member}++;
	order($n, $name, $there, what => $what);
	return (3 + rand(8), sub { order($n, $from, $back, must => 1); delete $n->{member} }, $name);
}

sub _step_down
{
	my ($n) = @_;
	my $name = $n->any;

	return if $n->{losing} || !Torture::Lost::back($n);
	return _member($n, $name, 'SELECT schemadrift.step_down()', $name, 'SELECT schemadrift.step_up()', 'step_down');
}

sub _suspend
{
	my ($n) = @_;
	my ($name, $by) = $n->shuffled;

	return _member($n, $by, "SELECT schemadrift.suspend_region('$name', 'torture')", $by, "SELECT schemadrift.resume_region('$name')",
		'suspend');
}

# A region leaves, or is removed by another one; forgets the group; and joins it again with the schema that it has.
sub _remove
{
	my ($n) = @_;
	my ($name, $by) = $n->shuffled;

	# a copy of a region that was removed learns of it, and what its clients do is its own affair from then on
	return if $n->{losing} || $n->{member} || $n->{clone} || !Torture::Lost::back($n);
	$n->{member} = 1;
	# what its clients did then would be its own affair
	$n->{clients}->away($name);
	my $back = sub {
		order($n, $name, sprintf(q{SELECT schemadrift.join('%s', '%s', '%s') WHERE NOT EXISTS (SELECT FROM schemadrift_store.self)},
			$n->{g}->conninfo($by), $name, $n->{g}->conninfo($name)), must => 'ever', patience => 60, what => 'join again', then => sub {
				$n->{clients}->back($name);
				delete $n->{member};
		});
	};
	# what online versions under way had made there is nobody's now, and in the way of coming back
	my $clean = sub {
		my %open = map { /^open (\S+)/mg ? ($1 => 1) : () } map { split /\n/ } @_;
		my @down = map { $n->{clients}->effects->{down}{$_} // () } sort keys %open;

		# a look that was asked for before saw what it was before
		$n->{tables}->forget($name);
		$n->{history}->event('left', region => $name);
		return $back->() if !@down;
		order($n, $name, join(';', @down), must => 'ever', then => $back);
	};
	my $forget = sub {
		$n->{tables}->look_now($name) if $n->is_up($name) && !$n->{g}->region($name)->{sd_paused};
		$n->{history}->event('left', region => $name);
		order($n, $name, q{SELECT 'open ' || l.name FROM schemadrift_store.log l WHERE l.kind = 'online' AND NOT EXISTS (
				SELECT FROM schemadrift_store.log r WHERE r.kind IN ('result', 'revert', 'supersede') AND r.target = l.version
				AND r.version <= (SELECT version FROM schemadrift_store.applied));
			SELECT schemadrift.leave() WHERE EXISTS (SELECT FROM schemadrift_store.self) \g /dev/null}
			  . "\n" . 'SELECT count(*) FROM schemadrift_store.self', must => 'ever', gives => '0', then => $clean);
	};
	order($n, $name, q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'torture client'},
		must => 'ever', gives => '0', then => sub {
			order($n, rand() < 0.5 ? ($name, 'SELECT schemadrift.leave()') : ($by, "SELECT schemadrift.remove_region('$name')"),
				must => 1, what => 'remove', then => $forget);
	});
	return (0.5, undef, "$name by $by");
}

sub _lease
{
	my ($n) = @_;
	my ($name, $to) = $n->shuffled;

	order($n, $name, "SELECT schemadrift.transfer_lease('$to')", what => 'transfer_lease');
	return (0.5, undef, "$name to $to");
}

sub _policy
{
	my ($n) = @_;
	my $seconds = 1 + int rand 30;
	my ($to, $back) = @{ (
		[ qq{"ddl_hold_limit": "${seconds}s"}, '"ddl_hold_limit": null' ],
		[ '"mode": "require_apply"', '"mode": "coordinate"' ],
		[ '"quorum": "all"', '"quorum": null' ],
		[ '"lock": {"objects": ["public.shared_1", "public.shared_2"], "reason": "torture"}', '"lock": null' ],
		[ '"leadership": "rotate"', '"leadership": null' ])[ rand 5 ] };

	return if $n->{policy}++;
	order($n, $n->any, "SELECT schemadrift.set_policy('{$to}')", what => 'set_policy');
	return (1 + rand(6), sub { order($n, $n->any, "SELECT schemadrift.set_policy('{$back}')", must => 'ever', then => sub { delete $n->{policy} }) }, $to);
}

# Every process of a region that comes there stops, until all go on, or the server is killed just so.
sub _waitpoint
{
	my ($n) = @_;
	my @points = qw(promise-written promise-flushed accept-written accept-flushed before-accept after-majority before-commit-record
	  after-commit task-begun);
	my $point = $points[ rand @points ];
	my $name = $n->well // return;
	my $region = $n->{g}->region($name);
	my $set = sub {
		$region->append_conf('postgresql.conf', "schemadrift.testing_waitpoint = '$_[0]'\n");
		$region->flush_disks;
		kill 'HUP', $region->{_pid} if $region->{_pid};
	};

	return if !$n->{waitpoints};
	$set->($point);
	$n->{held}{$name} = 1;
	return (0.5 + rand(3), sub {
		my @stand = grep { SchemaDrift::Region::process_state($_) eq 'T' } $region->pids;

		$n->{counts}{"stood at $point"} += @stand;
		$n->kill_server($name) if rand() < 0.5;
		$set->('');
		$n->start_server($name) if !$region->{_pid};
		delete $n->{held}{$name};
		$n->{wake}{$name} = time() + 3;
	}, "$name $point");
}

1;
