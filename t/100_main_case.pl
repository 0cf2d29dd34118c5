# The case that must always work: a table with rows; one region adds a column while another is cut off half-way.  The
# majority goes on, the minority refuses its own DDL, reads and writes go on everywhere, and the heal makes all equal.
use strict;
use warnings FATAL => 'all';

use Test::More;
use Time::HiRes qw(sleep time);

use SchemaDrift::Scenario;

my $g = made_group(3, before => q{
	CREATE TABLE orders (id int PRIMARY KEY, what text NOT NULL);
	INSERT INTO orders SELECT i, 'thing ' || i FROM generate_series(1, 1000) i;
	CREATE TABLE ticks (at timestamptz);});
my ($us, $ap, $eu) = $g->names;
my $since = 1 + head($g, $us);

# Somebody who writes and reads all the time, everywhere; nobody's outage is theirs.
my %clients = map { $_ => $g->session($_) } $g->names;
sub ordinary_work
{
	my ($when) = @_;
	my $slow = 0;

	foreach my $name ($g->names)
	{
		my ($s, $r) = took(sub {
			$clients{$name}->query('SET synchronous_commit = off; SET statement_timeout = 9000; INSERT INTO ticks VALUES (now());
				INSERT INTO orders (id, what) SELECT max(id) + 1, \'new\' FROM orders; SELECT count(*) FROM orders;');
		});
		$slow = "$name: $r->{err}" if !$r->{ok};
		$slow = "$name: $s s" if $s > $in_time;
	}
	return is($slow, 0, "reads and writes go on everywhere: $when");
}

ordinary_work('before');

# --- cut off half-way

my $dba = $g->session($us);
my $r = $dba->query('BEGIN; ALTER TABLE orders ADD COLUMN paid boolean NOT NULL DEFAULT false;');
is($r->{sqlstate}, '00000', "$us begins") or diag($r->{err});
$g->isolate($eu);
my ($s, $done) = took(sub { $dba->query('COMMIT;') });
is($done->{sqlstate}, '00000', "$us commits while $eu is cut off") or diag($done->{err});
cmp_ok($s, '<', $in_time, "... without waiting for $eu");
ok($g->wait_until($ap, 'SELECT count(*) FROM orders WHERE NOT paid', 1001), "$ap has the column");
is(join(' ', columns($g, 'orders', $eu)), 'id,what', "$eu has not");
ordinary_work('while one region is away');

# The first refusal may wait for the quorum; it holds no lock on anything of the users meanwhile.
my $minority = $g->session($eu);
$minority->send('ALTER TABLE orders ADD COLUMN forked int;');
ordinary_work('while the minority waits for its quorum');
$r = $minority->result;
refused($r, 'SD001', "$eu refuses its own change");
like($r->{message}, qr/no quorum/, 'in words');
like($r->{detail} // '', qr/\Q$us\E/, "the detail names $us");
like($r->{detail} // '', qr/\Q$ap\E/, "... and $ap");
isnt($r->{hint} // '', '', '... and there is something to do next');
wait_for_state($g, $eu, 'no_quorum');
# Now that it knows: at once, or when the attempt to connect that is under way has failed, as much time as there may be for a quorum.
$minority->query('SET schemadrift.quorum_timeout = 30000;');
my @took;
foreach (1 .. 12)
{
	($s, $r) = took(sub { $minority->query('ALTER TABLE orders ADD COLUMN forked int;') });
	refused($r, 'SD001', 'again');
	push @took, $s;
	sleep rand 0.3;    # at any point of the attempts, which come at their own times
}
is(join(' ', grep { $_ >= $in_time } @took), '', 'at once, now that it knows') or diag("@took");
refused($g->try($eu, 'DO $$ BEGIN ALTER TABLE orders ADD COLUMN forked int; END $$'), 'SD001', 'from a function too');
refused($g->try($eu, q{SELECT schemadrift.apply('fork', 'ALTER TABLE orders ADD COLUMN forked int')}), 'SD001', 'and by apply()');
is(head($g, $eu), $since - 1, "$eu has nothing new in its log");

# The majority goes on.
foreach my $name ($us, $ap, $us)
{
	ok(can_change($g, $name), "$name goes on changing the schema");
}
is($g->sql($us, q{SELECT schemadrift.apply('paid-index', 'CREATE INDEX orders_paid ON orders (paid)', 'DROP INDEX orders_paid')}),
	head($g, $us), 'apply() too');
ordinary_work('after four more versions');

$g->rejoin($eu);
my ($heal) = took(sub { ok($g->converged, 'all regions are equal after the heal') });
cmp_ok($heal, '<', 30, sprintf 'in %.1f s', $heal);
is(join(' ', columns($g, 'orders')), join(' ', ('id,what,paid') x 3), 'the column is everywhere, the fork nowhere');
is($g->sql($_, 'SELECT count(*) || \' \' || count(*) FILTER (WHERE what = \'new\') FROM orders WHERE NOT paid'),
	'1004 4', "nothing is lost in $_") foreach $g->names;
is(scalar(keys %{ { map { $_ => 1 } map { $g->sql($_, 'SELECT version, encode(digest, \'hex\') FROM schemadrift_store.applied') } $g->names } }),
	1, 'same version, same digest');
all_can_change($g, 'after the heal');

# --- cuts of other shapes

$g->cut($us, $eu, one_way => 1);
$g->cut($ap, $eu, one_way => 1);
# It was the last to change the schema and so has the lease: until it misses the others it would find out at COMMIT only.
wait_for_state($g, $eu, 'no_quorum');
refused($g->try($eu, 'ALTER TABLE orders ADD COLUMN forked int'), 'SD001', "$eu can be heard but hears nobody: refused");
ok(can_change($g, $us), '... and the others go on');
$g->heal_all;
all_can_change($g, 'after one-way cuts to a region');

$g->cut($eu, $us, one_way => 1);
$g->cut($eu, $ap, one_way => 1);
wait_for_state($g, $eu, 'no_quorum');
refused($g->try($eu, 'ALTER TABLE orders ADD COLUMN forked int'), 'SD001', "$eu hears but is not heard: refused");
ok(can_change($g, $ap), '... and the others go on');
$g->heal_all;
all_can_change($g, 'after one-way cuts from a region');

$g->isolate($eu, reset => 1);
wait_for_state($g, $eu, 'no_quorum');
($s, $r) = took(sub { $g->try($eu, 'ALTER TABLE orders ADD COLUMN forked int') });
refused($r, 'SD001', 'connections are reset: refused');
cmp_ok($s, '<', $in_time, '... which is known at once') or diag("$s s");
ok(can_change($g, $us), '... and the others go on');
$g->heal_all;
all_can_change($g, 'after resets');

# One link only: everybody still reaches a majority.
$g->cut($us, $eu);
ok(can_change($g, $_), "$_ changes the schema while $us and $eu do not hear each other") foreach $g->names;
$g->heal_all;
ok($g->converged, 'all regions are equal');

# --- the minority has a change open when it is cut off

$dba = $g->session($eu);
$r = $dba->query('BEGIN; ALTER TABLE orders ADD COLUMN late int;');
is($r->{sqlstate}, '00000', "$eu begins");
$g->isolate($eu);
$r = $dba->query('COMMIT;');
# Known to be nothing only where the cut was noticed first, so that no copy of the entry was sent: on a busy machine.
like($r->{sqlstate}, qr/^(?:40003|SD001)$/, '... and is cut off before COMMIT: unknown, or refused before anything was sent') or diag($r->{err});
is(join(' ', columns($g, 'orders', $eu)), 'id,what,paid', 'nothing of it is visible');
my $id;
if ($r->{sqlstate} eq '40003')
{
	($id) = ($r->{hint} // '') =~ /outcome\('([0-9a-f-]{36})'/;
	ok($id, 'the hint names the entry') or diag($r->{err});
	is($g->sql($eu, "SELECT schemadrift.outcome('$id'::uuid)"), 'undecided', 'outcome() says so');
}
ok(can_change($g, $us), 'the others go on');
$g->heal_all;
like(settles($g, $id), qr/^(?:applied|rejected)$/, 'and it settles with the heal') if $id;
all_can_change($g, 'after a change in doubt');
log_is_sound($g, $since);
ordinary_work('at the end');

done_testing();
