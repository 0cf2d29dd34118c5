# Torture::Lost: faults after which a region's tables are those of an earlier time: a standby that lacks the newest votes is promoted, a
# base backup is restored with recovery (another timeline) or without (the same one; then only the others can know); or a second
# server lives with them beside the first one, in the same name.
#
# "Not promised": a majority that loses its disks at once, and a rollback on the same timeline that no reachable peer can
# contradict.  So one region at a time loses something, until it votes again as a new incarnation; and what is restored without
# recovery is restored only when all others remember newer votes, and nothing else is broken.  And of two voters neither may lose
# anything, as neither could admit the other again: nobody steps down meanwhile.
package Torture::Lost;

use strict;
use warnings FATAL => 'all';


our %faults = (
	promote         => [ 3, \&_promote ],
	restore         => [ 2, \&_restore ],
	restore_rewound => [ 2, \&_restore_rewound ],
	clone           => [ 2, \&_clone ],
);

# Is whoever lost something last a voter again, in the eyes of all?
sub back
{
	my ($n) = @_;
	my $last = $n->{last_lost} // return 1;

	if ($last->{copied})
	{
		my $now = $n->ask($last->{name}, 'SELECT incarnation FROM schemadrift_store.self') // return 0;

		# the original was not found out, as its copy was at once or never: it is back when all see it well as it was
		$last->{incarnation}-- if $now == $last->{incarnation};
		delete $last->{copied};
	}
	foreach my $where ($n->{g}->names)
	{
		my $r = $n->ask($where, "SELECT count(*) FROM schemadrift.regions WHERE region = '$last->{name}'
			AND incarnation > $last->{incarnation} AND state IN ('healthy', 'degraded')") // return 0;
		return 0 if $r ne '1';
	}
	delete $n->{last_lost};
	return 1;
}

# The region to lose something, or none.
sub _victim
{
	my ($n) = @_;

	return if !back($n);
	return if $n->{losing} || $n->{member} || @{ $n->{orders} };
	my $name = $n->well // return;

	return if ($n->ask($name, "SELECT count(*) FROM schemadrift.regions WHERE role = 'voter'") // 0) < 3;

	# whoever is void for another reason has nothing to lose
	return if ($n->ask($name, 'SELECT state FROM schemadrift_store.self') // '') ne 'voter';
	return $name;
}

# What the region was, for the checker, and the end of its server.
sub _gone
{
	my ($n, $name) = @_;
	my $incarnation = $n->ask($name, 'SELECT incarnation FROM schemadrift_store.self');

	return if !defined $incarnation;
	$n->{tables}->look_now($name);
	$n->kill_server($name);
	$n->{history}->event('lost', region => $name);
	$n->{last_lost} = { name => $name, incarnation => $incarnation };
	return 1;
}

# Backups and data directories that nobody needs any more; on small disks.
sub _tidy
{
	my ($region, @more) = @_;

	system 'rm', '-rf', glob($region->backup_dir . '/*'), glob($region->data_dir . '.[0-9]*'), @more;
	return;
}

sub _promote
{
	my ($n) = @_;
	my $name = _victim($n) // return;
	my $region = $n->{g}->region($name);
	my $standby = eval { local $SchemaDrift::Session::timeout = 20; $region->standby } // return;

	$standby->stop;
	$n->{losing} = $n->{held}{$name} = 1;
	return (1 + rand(5), sub {
		delete $n->{losing};
		if (_gone($n, $name))
		{
			$standby->start;
			$region->fail_over($standby) or die "$name: the standby is not promoted\n";
			$n->{history}->event('heard', region => $name);
		}
		_tidy($region, $standby->basedir);
		delete $n->{held}{$name};
	}, $name);
}

# A copy starts beside its original and speaks in its name; clients change the schema there, too.  It votes for nobody else: calls go to
# the region's address.
sub _clone
{
	my ($n) = @_;

	return if $n->{member};
	my $name = _victim($n) // return;
	my $incarnation = $n->ask($name, 'SELECT incarnation FROM schemadrift_store.self') // return;
	my $clone = eval { $n->{g}->region($name)->clone } // return;

	$n->{history}->event('cloned', region => $name);
	$n->{last_lost} = { name => $name, incarnation => $incarnation };
	$n->{clone} = 1;
	$clone->start;
	my @there = map { $n->{clients}->add($name, $clone) } 1 .. 2;
	return (4 + rand(15), sub {
		my $state = eval { $clone->sql('SELECT state FROM schemadrift_store.self') } // 'gone';

		$n->{clients}->remove($_) foreach @there;
		$clone->kill9;
		delete $n->{clone};
		$n->{counts}{"clones that were $state at their end"}++;
		$n->{last_lost}{copied} = 1 if $n->{last_lost};
		_tidy($n->{g}->region($name), $clone->basedir);
	}, $name);
}

sub _backup
{
	my ($n, $then) = @_;
	my $name = _victim($n) // return;
	my $region = $n->{g}->region($name);
	my $backup = 'torture' . ++$n->{backups};

	eval { $region->backup($backup); 1 } or return;
	my $votes = $n->ask($name, 'SELECT vote_seq FROM schemadrift_store.self') // return;
	$n->{losing} = $n->{held}{$name} = 1;
	return (2 + rand(6), sub {
		delete @{$n}{qw(losing)};
		if ($then->($name, $votes) && _gone($n, $name))
		{
			$region->restore($backup, @{ $n->{restore_how}{$name} // [] });
			$n->start_server($name);
		}
		_tidy($region);
		delete $n->{held}{$name};
	}, $name);
}

sub _restore
{
	my ($n) = @_;

	return _backup($n, sub {
		my ($name) = @_;

		$n->{restore_how}{$name} = [ recovery => "restore_command = 'false'" ];
		return 1;
	});
}

# Without recovery: a server that was only copied back.
sub _restore_rewound
{
	my ($n) = @_;

	return _backup($n, sub {
		my ($name, $votes) = @_;
		my $remembered = sub {
			foreach my $other (grep { $_ ne $name } $n->{g}->names)
			{
				my $r = $n->ask($other, "SELECT max(p.vote_seq) FROM schemadrift_store.peer p WHERE p.region = '$name' AND p.incarnation =
					(SELECT max(incarnation) FROM schemadrift_store.peer WHERE region = '$name')") // return 0;
				return 0 if $r eq '' || $r <= $votes;
			}
			return 1;
		};

		return 0 if $n->busy || !$remembered->();
		# and what they remember is on their disks: a commit that waits for that
		$n->ask($_, "SELECT pg_logical_emit_message(true, 'torture', '')") // return 0 foreach grep { $_ ne $name } $n->{g}->names;
		$n->{restore_how}{$name} = [];
		return $remembered->();
	});
}

1;
