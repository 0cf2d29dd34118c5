# A wall clock that jumps: nothing waits for it, and nothing goes wrong.  Leases, deadlines and pauses are by monotonic clocks.
use strict;
use warnings FATAL => 'all';

use SchemaDrift::Scenario;
use Test::More;

plan skip_all => 'needs a compiler' if !SchemaDrift::Region::clock_library();

my $hour = 3600;
my $g = made_group(3, clock => 1, before => 'CREATE TABLE t (id int PRIMARY KEY)');
my ($us, $ap, $eu) = $g->names;

# Changes here only, which is in the way of what the others do.
sub by_hand
{
	my ($sql) = @_;

	$g->sql($eu, "SET schemadrift.bypass_reason = 'test'; SET schemadrift.ddl_mode = 'off'; $sql");
	return;
}

# --- the applier's next attempt
by_hand('CREATE TABLE blocked (id int)');
$g->sql($us, 'CREATE TABLE blocked (id int, v int)');
ok(wait_for_state($g, $eu, 'halted'), 'a region cannot apply a version');
$g->region($eu)->set_clock(-$hour);
by_hand('DROP TABLE blocked');
ok($g->converged, 'its clock goes back by an hour: it tries again soon all the same');

# --- the next attempt of an online version
by_hand('ALTER TABLE t ADD COLUMN blocked int');
my $s = $g->session($us);
$s->send(q{CALL schemadrift.apply_online('online', 'CREATE INDEX CONCURRENTLY i ON t (id); ALTER TABLE t ADD COLUMN blocked text');});
ok($g->wait_until($eu, 'SELECT attempts > 1 AND retry_at IS NOT NULL FROM schemadrift_store.task ORDER BY version DESC LIMIT 1', 't'),
	'it cannot do an online version');
$g->region($eu)->set_clock(-2 * $hour);
by_hand('ALTER TABLE t DROP COLUMN blocked');
my $r = $s->result;
ok($r->{ok}, 'its clock goes back again: it tries again soon') or diag($r->{err});
ok($g->converged, 'and all have it');

# --- ahead, and back
$g->region($eu)->set_clock(24 * $hour);
ok(can_change($g, $eu), 'a region whose clock is ahead by a day changes the schema');
$g->region($eu)->set_clock(0);
all_can_change($g, 'the clock is right again');
is($g->sql($us, 'SELECT count(*) FROM (SELECT hlc <= lag(hlc) OVER (ORDER BY version) AS back FROM schemadrift_store.log) l WHERE back'),
	'0', 'hybrid times go up along the log');
log_is_sound($g, 5);
done_testing();
