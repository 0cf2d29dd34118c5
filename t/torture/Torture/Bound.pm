# Torture::Bound: how long after the last fault a group may take until all are equal and nobody is in doubt, by its settings.
#
#   my $bound = Torture::Bound::after_faults($g);        # seconds
#   Torture::Bound::explained($g);                       # of what, in words
#   Torture::Bound::slowness($g);                        # 1 on a quiet machine, more on a busy one
#
# Invariant 12 ("within 3 x lease_duration + 2 s") is about a group whose regions talk to each other again.  Until they do,
# calls that were sent into a cut have to time out, and connections to be made; and what waits for that may come one after another.
package Torture::Bound;

use strict;
use warnings FATAL => 'all';

use Time::HiRes 'time';

# of src/worker: SD_CALL_TIMEOUT_US, SETTLE_BOUND_US (doubled at random), SD_YIELD_US, the pause after a settlement in vain, check_address()
my %fixed = (call => 5, settle => 2 * 1.5 + 0.4, settle_again => 3, address => 2);

sub _parts
{
	my ($g) = @_;
	my ($first) = $g->names;
	my %s = map { split /\|/ } split /\n/, $g->sql($first,
		q{SELECT replace(name, 'schemadrift.', ''), setting::float / 1000 FROM pg_settings
			WHERE (name ~ '^schemadrift\.' OR name = 'idle_in_transaction_session_timeout') AND unit = 'ms'});
	my ($beat, $lease, $retry) = @s{qw(heartbeat_interval lease_duration retry_max_interval)};
	my $pause = $retry < 5 * $beat ? $retry : 5 * $beat;

	return (
		[ 'a transaction that its client left open ends' => $s{idle_in_transaction_session_timeout} ],
		[ 'a call into a cut times out, and its connection is made anew' => $fixed{call} + $pause + $s{connect_timeout} + $beat ],
		[ 'a region that lost votes is readmitted' => 2 * $beat + $fixed{address} + $lease + $fixed{call} ],
		[ 'what is undecided is settled, the second time' => $fixed{settle} + $fixed{settle_again} + $lease ],
		[ 'a client or an operator has an answer' => $s{quorum_timeout} + 0.5 ],
		[ 'the applier, and then a task, try again' => 2 * $retry ]);
}

sub after_faults
{
	my ($g) = @_;
	my $sum = 0;

	$sum += $_->[1] foreach _parts($g);
	return $sum;
}

sub explained
{
	my ($g) = @_;

	return join '; ', map { sprintf '%.2f s: %s', $_->[1], $_->[0] } _parts($g);
}

# What a new session takes, which is a tenth of a second or less.
sub slowness
{
	my ($g) = @_;
	my ($first) = $g->names;
	my @took = sort { $a <=> $b } map { my $start = time(); $g->try($first, 'SELECT 1'); time() - $start } 1 .. 7;
	my $slow = $took[3] / 0.1;

	return $slow < 1 ? 1 : $slow;
}

1;
