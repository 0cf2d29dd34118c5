# Three or five real servers that a nemesis cuts, kills and stops at random while clients in all regions change the schema; then
# everything that happened is checked (t/torture/).  "make torture" runs it longer and with more:
#
#   MINUTES  of torture            SEED  of all that is drawn           SERVERS  3 or 5
#   MISTAKE  a deliberate one of src/consensus/mistakes.h, in all servers       FAULTS, CLIENTS  fewer kinds, other numbers
#
# A seed draws the same kinds of faults again, in the same order; when and whom they strike depends on the machine.  The history
# is in history.jsonl beside the servers' logs; t/torture/check reads it again.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/torture";
use PostgreSQL::Test::Utils;
use SchemaDrift::Disk;
use SchemaDrift::Scenario;
use Test::More;
use Time::HiRes qw(sleep time);
use Torture::Bound;
use Torture::Checker;
use Torture::Clients;
use Torture::History;
use Torture::Nemesis;
use Torture::Tables;

my $minutes = $ENV{MINUTES} || 2;
my $seed    = $ENV{SEED}    || 4;
my $servers = $ENV{SERVERS} || 3;
my $mistake = $ENV{MISTAKE} // '';
my $proxied = $ENV{PROXIED} // 0;
my $disks   = SchemaDrift::Disk->possible;
my $clock   = defined SchemaDrift::Region::clock_library();
# Torture::Bound says what it may take, on a machine that does its work at once, and how slow this one is.  It is waited for longer, so
# that the rest can be judged: as long as something happens at least every so many seconds.
my $standstill = 60;
my $limit = 240;

$SchemaDrift::Session::timeout = 120;

my $file = "$PostgreSQL::Test::Utils::log_path/history.jsonl";
my $history = Torture::History->new($file);
my $g = made_group($servers, streaming => 'physical', proxied => $proxied, disks => $disks, clock => $clock, before => Torture::Clients::before(), conf => <<"CONF");
schemadrift.quorum_timeout = 6s
max_connections = 60
shared_buffers = 16MB
max_prepared_transactions = 5
# so that WAL is used up soon when its disk is full
min_wal_size = 32MB
max_wal_size = 96MB
# what no commit waits for is lost when a server dies
wal_writer_delay = 5s
idle_in_transaction_session_timeout = 30s
@{[ $mistake ? "schemadrift.testing_mistakes = '$mistake'" : '' ]}
CONF
plan skip_all => 'needs networks of its own' if !$g->net->is_real;

my $tables  = Torture::Tables->new($g, $history);
my $clients = Torture::Clients->new($g, $history, per_region => $ENV{CLIENTS} || ($servers > 3 ? 1 : 2), waitpoints => testing_build($g));
srand $seed;
my $nemesis = Torture::Nemesis->new($g, $history, $clients, $tables, proxied => $proxied, disks => $disks, clock => $clock, waitpoints => testing_build($g),
	$ENV{FAULTS} ? (kinds => [ split ' ', $ENV{FAULTS} ]) : ());

note("seed $seed, $servers servers, $minutes minutes" . ($mistake ? ", mistake $mistake" : '')
	  . ($disks ? '' : '; no loop devices of root here, or no mkfs.ext4: no power is lost, and no disk full'));
$history->event('begin', seed => $seed, servers => $servers, mistake => $mistake);

# --- faults
my $end = time() + 60 * $minutes;
while (time() < $end)
{
	$clients->step;
	$tables->step;
	$nemesis->step;
	sleep 0.02;
}

# --- none any more: everything must come to an end, soon
$clients->stop;
$nemesis->heal;
$history->event('healed');
my $healed = time();
my $bound = Torture::Bound::after_faults($g);
my $slow  = Torture::Bound::slowness($g);
my ($took, $ended, $message);
my ($moved, $seen) = ($healed, '');

while (time() < $moved + $standstill && time() < $healed + $limit)
{
	my $now = state_of_all();

	($moved, $seen) = (time(), $now) if $now ne $seen;
	$nemesis->settled;
	$clients->step;
	$tables->step;
	$ended //= time() - $healed if $clients->idle;
	if (defined $ended && $nemesis->settled && all_equal() && $clients->settled)
	{
		$took = time() - $healed;
		last;
	}
	sleep 0.2;
}
if (!defined $took)
{
	$message = join ' | ', $nemesis->waiting, $clients->waiting, $clients->undecided . ' entries in doubt', map { "$_: " . $g->try($_, q{SELECT s.state || ', version ' || s.version || ', ' || coalesce(s.reason, '')
		FROM schemadrift.status s})->{out} } $g->names;
}
$history->event('converged', took => $took, within => $bound * $slow, message => $message // '');

# A suspension that was slow, or in doubt, may have come after the word that took it back: operators see it in view regions.
foreach my $name (defined $took ? split /\n/, $g->sql(($g->names)[0], 'SELECT region FROM schemadrift.regions WHERE suspended') : ())
{
	my ($by) = grep { $_ ne $name } $g->names;

	can_change($g, $by, "SELECT schemadrift.resume_region('$name')", 120);
}

# --- each region changes the schema once more
foreach my $name ($g->names)
{
	my $key = "last_$name" =~ s/\W/_/gr;
	my $sql = "CREATE TABLE m_$key (id int)";
	my $ok = can_change($g, $name, "SELECT schemadrift.apply('$key', '$sql')", 120);

	$clients->effects->{up}{$key} = $sql;
	$history->event('changed', region => $name, ok => $ok, message => $ok ? '' : 'it cannot');
}
ok(all_equal_soon(), 'all regions are equal at the end');
$tables->finally($clients->effects) if defined $took;

# --- was all well?
my $checker = Torture::Checker->new;
$checker->add($_) foreach $history->events;
my @violations = $checker->finish;

note(sprintf 'equal and without doubts after %.1f s; the bound is %.1f s on a quiet machine, this one is %.1f times as slow', $took, $bound, $slow)
  if defined $took;
note('the bound: ' . Torture::Bound::explained($g));
note_counts('clients', $clients->counts);
note_counts('faults',  $nemesis->counts);
note_counts('checked', $checker->counts);
foreach my $name ($g->names)
{
	my $log = slurp_file($g->region($name)->logfile);

	# a server may give up when its disk is full or broken, for no other reason
	my @panics = $log =~ /PANIC:  (.*)/g;
	my @rightly = grep { /No space left on device|Input\/output error/ } @panics;
	my @aborts = $log =~ /terminated by signal 6\b/g;

	push @violations, map { "$name says: PANIC: $_" } grep { !/No space left on device|Input\/output error/ } @panics;
	push @violations, "$name: " . @aborts . ' processes aborted, ' . @rightly . ' because of their disks' if @aborts > @rightly;
	push @violations, "$name says: $1"
	  if $log =~ /(.*(?:TRAP: |Segmentation fault|terminated by signal (?:7|8|11)|is malformed|differs? from ours|regions differ|another entry is in the log|under one ballot).*)/;
}
is(scalar @violations, 0, 'no violation') or diag("seed $seed, history in $file\n" . join "\n", splice @violations, 0, 40);
cmp_ok($checker->counts->{'9: who began after a success has a later version'} // 0, '>', 2, 'and there was something to check');
done_testing();

sub note_counts
{
	my ($what, $counts) = @_;

	note($what . ': ' . join ', ', map { "$_ $counts->{$_}" } sort keys %$counts);
	return;
}

# All that moves towards the end.
sub state_of_all
{
	return join '; ', $nemesis->waiting, $clients->waiting, $clients->undecided, map {
		$nemesis->ask($_, q{SELECT (SELECT concat_ws(' ', incarnation, state) FROM schemadrift_store.self),
			(SELECT max(version) FROM schemadrift_store.log), (SELECT version FROM schemadrift_store.applied),
			(SELECT string_agg(concat_ws(' ', version, state, step, undo_step), ',' ORDER BY version) FROM schemadrift_store.task)}) // 'no answer'
	} $g->names;
}

# Same version, chain and digest, nothing more to apply, nobody void; one look each.
sub all_equal
{
	my %seen;

	foreach my $name ($g->names)
	{
		my $r = eval { $g->try($name, q{SELECT a.version || ' ' || encode(a.chain, 'hex') || ' ' || encode(a.digest, 'hex')
			FROM schemadrift_store.applied a, schemadrift_store.self s
			WHERE a.version = (SELECT max(version) FROM schemadrift_store.log) AND s.state <> 'void'
			AND NOT EXISTS (SELECT FROM schemadrift_store.log o WHERE o.kind = 'online' AND NOT EXISTS (
				SELECT FROM schemadrift_store.log r WHERE r.kind IN ('result', 'revert', 'supersede') AND r.target = o.version))}, timeout => 20) };

		return 0 if !$r || !$r->{ok} || $r->{out} eq '';
		$seen{ $r->{out} } = 1;
	}
	return 1 == keys %seen;
}

sub all_equal_soon
{
	my $end = time() + 120;

	while (!all_equal())
	{
		return 0 if time() > $end;
		sleep 0.2;
	}
	return 1;
}
