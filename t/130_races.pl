# Several want to change the schema at once: exactly one is first, the other waits its turn or may run it again; a pipeline
# that deploys to one region after the other needs no pauses; a transaction left open stops nobody.
use strict;
use warnings FATAL => 'all';

use Test::More;
use Time::HiRes qw(sleep time);

use SchemaDrift::Scenario;

my $g = made_group(3, before => q{CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY);},
	conf => "schemadrift.handover_grace = 10s\nschemadrift.ddl_hold_limit = 200ms");
my ($us, $ap, $eu) = $g->names;
my $since = 1 + head($g, $us);

# --- two at once

my %sessions = map { $_ => $g->session($_) } $g->names;

# Run it again for as long as the group says that this is safe; how often that was.  57P01: where the machine stood still before it could
# say COMMIT, it was ended as one that nobody comes back to.
sub until_done
{
	my ($name, $sql, $r) = @_;
	my $again = 0;

	while ($r->{sqlstate} =~ /^(?:4000[13]|57P01)$/ && $again < 10)
	{
		# rare: the other's promise came between the look and the last check; the answer is as good as 40001, but later
		return ($again, { %$r, ok => 1, sqlstate => '00000' })
		  if $r->{sqlstate} eq '40003' && settles($g, $r->{hint} =~ /outcome\('([0-9a-f-]{36})'/) eq 'applied';
		$sessions{$name} = $g->session($name) if $r->{gone};
		$sessions{$name}->query('ROLLBACK;');
		$r = $sessions{$name}->query($sql);
		$again++;
	}
	return ($again, $r);
}

my @pairs = ([ $us, $eu ], [ $ap, $us ], [ $eu, $ap ]);
my (@neither, @wrong, @stubborn, @missing);
my ($first_time, $retried, $unknown) = (0, 0, 0);

foreach my $round (1 .. 30)
{
	my @names = @{ $pairs[ $round % 3 ] };
	my $open  = $round % 2;    # statements of their own, or transactions that both have a grant when they commit
	my %sql   = map { $_ => "ALTER TABLE t ADD COLUMN r${round}_" . $_ =~ tr/-/_/r . ' int;' } @names;
	my %r;

	if ($open)
	{
		foreach my $name (@names)
		{
			my $r = $sessions{$name}->query("BEGIN; $sql{$name}");
			push @wrong, "$round $name $r->{sqlstate}" if !$r->{ok};
			$sql{$name} = "BEGIN; $sql{$name} COMMIT;";
		}
		$sessions{$_}->send('COMMIT;') foreach @names;
	}
	else
	{
		$sessions{$_}->send($sql{$_}) foreach @names;
	}
	$r{$_} = $sessions{$_}->result foreach @names;
	push @neither, "$round: " . join ' ', map { $r{$_}{sqlstate} } @names if !grep { $r{$_}{ok} || $r{$_}{sqlstate} eq '40003' } @names;
	foreach my $name (@names)
	{
		push @wrong, "$round $name: $r{$name}{err}" if $r{$name}{sqlstate} !~ ($open ? qr/^(?:00000|4000[13]|57P01)$/ : qr/^(?:00000|4000[13])$/);
		$unknown++ if $r{$name}{sqlstate} eq '40003';
		$first_time++ if $r{$name}{ok};
		my ($again, $last) = until_done($name, $sql{$name}, $r{$name});
		push @stubborn, "$round $name: $again times, then $last->{sqlstate}" if !$last->{ok} || $again > 3;
		$retried += $again;
	}
}
is("@neither", '', 'thirty rounds of two at once: never neither');
is("@wrong", '', '... each is done, or told that it may be run again');
is("@stubborn", '', '... and running it again a few times is enough');
note("$first_time of 60 were done at the first time, $retried were run again, $unknown were unknown at first");
cmp_ok($unknown, '<', 12, '... and hardly ever unknown at first');
ok($g->converged, '... all regions are equal');
is($g->sql($_, q{SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname ~ '^r[0-9]+_'}), 60,
	"... everything is in $_") foreach $g->names;
is($g->sql($us, "SELECT count(*) - 60 FROM schemadrift_store.log WHERE version >= $since AND kind = 'migration'"), 0,
	'... once');

# The same change from two regions: one makes it, the other is told that it is there.
my %made;
foreach my $round (1 .. 5)
{
	$sessions{$_}->send("ALTER TABLE u ADD COLUMN same$round int;") foreach $us, $eu;
	foreach my $name ($us, $eu)
	{
		my ($again, $r) = until_done($name, "ALTER TABLE u ADD COLUMN same$round int;", $sessions{$name}->result);
		$made{ $r->{sqlstate} }++;
	}
}
is_deeply(\%made, { '00000' => 5, '42701' => 5 }, 'the same change from two regions is made once');

# --- a pipeline: here, there, here, without a pause

my @failed;
my $start = time();
foreach my $i (1 .. 10)
{
	foreach my $name ($us, $eu, $us, $ap)
	{
		my $r = $g->try($name, sprintf q{SELECT schemadrift.apply('deploy-%d-%d', 'ALTER TABLE u ADD COLUMN d%d_%d int')},
			$i, scalar @failed + $made{deploy}++, $i, $made{deploy});
		push @failed, "$i $name: $r->{err}" if !$r->{ok};
	}
}
is("@failed", '', 'forty deployments, region after region, without a pause: no error');
note(sprintf '%.1f ms each, with a new session each', (time() - $start) * 1000 / 40);
foreach my $i (1 .. 10)
{
	foreach my $name ($eu, $us, $ap, $us)
	{
		my $r = $g->try($name, "ALTER TABLE u ADD COLUMN p${i}_" . ++$made{plain} . ' int');
		push @failed, "$i $name: $r->{err}" if !$r->{ok};
	}
}
is("@failed", '', 'the same with plain DDL');
ok($g->converged, '... all regions are equal');

# --- a transaction left open

my ($took, $r, $s);

$s = $g->session($us);
$s->query('BEGIN; ALTER TABLE t ADD COLUMN open_commits int;');
($took, $r) = took(sub { $g->try($eu, 'ALTER TABLE t ADD COLUMN passing int') });
is($r->{sqlstate}, '00000', "$us has an open change: $eu makes its own") or diag($r->{err});
cmp_ok($took, '<', $in_time, sprintf '... promptly (%.2f s)', $took);
($took, $r) = took(sub { $s->query('COMMIT;') });
like($r->{sqlstate}, qr/^(?:40001|57P01)$/, '... the open one may be run again, or was ended') or diag($r->{err});
like($r->{hint} // '', qr/again/i, '... and is told so') if $r->{sqlstate} eq '40001';
cmp_ok($took, '<', $in_time, '... at once');
ok($g->converged, '... all regions are equal');

$s = $g->session($us);
my $open_pid = $s->pid;
$s->query('BEGIN; ALTER TABLE t ADD COLUMN open_goes_on int;');
ok(can_change($g, $eu), "open again, $eu makes another change");
# what comes in its way is here; or it has been applied, and the open one is gone
$g->wait_until($us, "SELECT max(version) > (SELECT version FROM schemadrift_store.applied) OR (SELECT count(*) FROM pg_stat_activity WHERE pid = $open_pid) = 0
	FROM schemadrift_store.log", 't');
$r = $s->query('ALTER TABLE t ADD COLUMN open_goes_on_2 int;');
like($r->{sqlstate}, qr/^(?:40001|57P01)$/, '... its next statement is told') or diag($r->{err});
$s->query('ROLLBACK;') if !$r->{gone};
ok($g->converged, '... all regions are equal');

foreach my $state ('idle', 'running')
{
	$s = $g->session($us);
	$s->query('BEGIN; ALTER TABLE t ADD COLUMN open_forgotten int;');
	$s->send('SELECT pg_sleep(50);') if $state eq 'running';
	($took) = took(sub {
		ok(can_change($g, $eu), "open and $state, nobody comes back to it: $eu makes its change");
		ok($g->converged, "... and $us follows");
	});
	cmp_ok($took, '<', 2 + 2 * $in_time, sprintf '... soon after its ddl_hold_limit (%.1f s)', $took);
	$r = $state eq 'running' ? $s->result : $s->query('SELECT 1;');
	isnt($r->{sqlstate}, '00000', '... the open transaction was ended') or diag("$r->{out} $r->{err}");
	unlike($r->{sqlstate}, qr/^40003/, '... with nothing in doubt');
}
is(join(' ', map { /open_/ ? 1 : 0 } columns($g, 't')), '0 0 0', 'nothing of the open transactions happened');
all_can_change($g, 'after open transactions');

# --- two sessions of one region

$s = $g->session($us);
$s->query('BEGIN; ALTER TABLE t ADD COLUMN first int;');
refused($g->try($us, 'SET lock_timeout = 300; ALTER TABLE u ADD COLUMN second int;'), '55P03',
	'a change waits for the one before it in its region, no longer than lock_timeout');
my $second = $g->session($us);
$second->send('ALTER TABLE u ADD COLUMN second int;');
$g->wait_until($us, 'SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = \'Lock\' AND pid = ' . $second->pid, 1);
is($s->query('COMMIT;')->{sqlstate}, '00000', 'the first commits');
is($second->result->{sqlstate}, '00000', '... and the second follows');

$second = $g->session($us);
$second->query('BEGIN; LOCK TABLE u IN ACCESS EXCLUSIVE MODE;');
$s->query('BEGIN; ALTER TABLE t ADD COLUMN third int;');
$second->send('ALTER TABLE u ADD COLUMN fourth int;');
$g->wait_until($us, 'SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = \'Lock\' AND pid = ' . $second->pid, 1);
$s->send('ALTER TABLE u ADD COLUMN fifth int;');
my @r = map { $_->result } $s, $second;
is(join(' ', sort map { $_->{sqlstate} } @r), '00000 40P01', 'a deadlock with the DDL lock is found')
  or diag(join ' ', map { $_->{err} } @r);
$s->query('ROLLBACK;');
$second->query('ROLLBACK;');
ok($g->converged, 'all regions are equal');
all_can_change($g, 'at the end');
log_is_sound($g, $since);

done_testing();
