# What analysis says, enforced by policy, in three regions: refusals, exceptions and until when they hold, barriers while a region is
# behind.  What one region shows is in sql/policy.sql.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils qw(slurp_file);
use SchemaDrift::Group;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(r1 r2 r3)], databases => 1, conf => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 300ms
schemadrift.retry_max_interval = 500ms
schemadrift.large_table = 0
CONF
$g->make_group(mode => 'coordinate', before => 'CREATE TABLE t (id int PRIMARY KEY, old int, older int, n int, m int, m2 int, k int); INSERT INTO t VALUES (1), (2)');

sub says
{
	my ($r, $sqlstate, $pattern, $what) = @_;

	is($r->{sqlstate}, $sqlstate, $what) or diag($r->{err} // $r->{out});
	return like($r->{err} // '', $pattern, '... and says so');
}

sub head { return $g->sql('r1', 'SELECT max(version) FROM schemadrift.migrations'); }

# --- refused before anybody is asked; the same in every region

my $before = head();
says($g->try($_, qq{SELECT schemadrift.apply('n-$_', 'ALTER TABLE t ALTER n TYPE bigint')}), 'SD005',
	qr/statement 1 is unsafe.*rule C11: .*Policy "on_unsafe" is not set.*Rather: .*\{"allow": \["C11"\]\}/s, "$_ refuses what is unsafe") foreach $g->names;
is(head(), $before, '... without a version');
my $r = $g->try('r2', q{SELECT schemadrift.apply('n', 'ALTER TABLE t ALTER n TYPE bigint', 'ALTER TABLE t ALTER n TYPE int', '{"allow": {"C11": "two rows"}}')});
is($r->{sqlstate}, '00000', 'an exception is taken') or diag($r->{err});
ok($g->converged, '... everywhere: the appliers do not judge');
is($g->sql('r2', q{SELECT subject || ': ' || outcome FROM schemadrift.decisions WHERE kind = 'exception' AND reason ~ 'rule C11.* by .*two rows'}), 'n: allowed', '... and is a decision where it was made');
is($g->sql($_, q{SELECT count(*) FROM schemadrift.decisions WHERE kind = 'exception'}), 0, "... not in $_") foreach qw(r1 r3);
like(slurp_file($g->region('r2')->logfile), qr/LOG:  schemadrift allowed "n" by exception: .*rule C11.* by .*two rows/, '... and a line of its log, which lasts');
is($g->try('r3', q{SELECT schemadrift.revert('n')})->{sqlstate}, '00000', 'taking back is not judged');
ok($g->converged, '... anywhere');

# --- an exception of the policy ends

$g->sql('r1', q{SELECT schemadrift.set_policy(jsonb_build_object('exceptions', jsonb_build_array(jsonb_build_object(
	'rule', 'C11', 'objects', jsonb_build_array('public.t'), 'reason', 'for now', 'until', (clock_timestamp() + interval '1 hour')::text))))});
ok($g->converged, 'a policy with an exception');
is($g->try('r3', q{SELECT schemadrift.apply('m', 'ALTER TABLE t ALTER m TYPE bigint')})->{sqlstate}, '00000', '... holds in another region');
$r = $g->try('r2', 'ALTER TABLE t ALTER m2 TYPE bigint');
is($r->{sqlstate}, '00000', '... for plain DDL, too');
unlike($r->{err}, qr/unsafe/, '... without a warning');
my $until = $g->sql('r1', q{SELECT clock_timestamp() + interval '300 ms'});
$g->sql('r1', qq{SELECT schemadrift.set_policy('{"exceptions": [{"rule": "C11", "reason": "short", "until": "$until"}]}')});
ok($g->converged, 'one for a moment');
ok($g->wait_until('r1', "SELECT clock_timestamp() > '$until'", 't'), '... that is over');
says($g->try('r3', q{SELECT schemadrift.apply('k', 'ALTER TABLE t ALTER k TYPE bigint')}), 'SD005', qr/rule C11/, '... excepts nothing');
$r = $g->try('r3', 'ALTER TABLE t ALTER k TYPE bigint');
is($r->{sqlstate}, '00000', 'plain DDL goes on');
like($r->{err}, qr/WARNING.*unsafe \(rule C11\)/, '... with a warning again');
ok($g->converged, 'all are equal');

# --- what takes something away waits for a region that is behind

$g->sql('r1', q{SELECT schemadrift.set_policy('{"barriers": "gate", "exceptions": null}')});
ok($g->converged, 'barriers by gate');
my $s = $g->session('r3');
$s->query('BEGIN; LOCK TABLE t;');
is($g->try('r1', q{SELECT schemadrift.apply('add', 'ALTER TABLE t ADD COLUMN new int', 'ALTER TABLE t DROP COLUMN new')})->{sqlstate}, '00000', 'r3 cannot apply a version');
$before = head();
says($g->try($_, qq{SELECT schemadrift.apply('drop-$_', 'ALTER TABLE t DROP COLUMN old')}), 'SD005', qr/its barrier, version $before, is not met.*Region r3: has applied version/s,
	"in $_ a column is not dropped meanwhile") foreach qw(r1 r2);
says($g->try('r1', q{SELECT schemadrift.apply('drop-1', 'ALTER TABLE t DROP COLUMN old', options => '{"barrier": 1}')}), 'SD005', qr/version $before, is not met/, '... an explicit barrier is not less');
says($g->try('r1', 'ALTER TABLE t DROP COLUMN older'), 'SD005', qr/version $before, is not met/, '... nor is plain DDL');
is($g->try('r2', q{SELECT schemadrift.apply('other', 'CREATE TABLE other (id int)')})->{sqlstate}, '00000', 'what adds something does not wait');
$s->query('ROLLBACK;');
$s->quit;
ok($g->converged, 'r3 is there');
is($g->try('r2', q{SELECT schemadrift.apply('drop', 'ALTER TABLE t DROP COLUMN old')})->{sqlstate}, '00000', 'now it is dropped');
ok($g->converged, '... everywhere, which the next one waits for');
is($g->try('r1', 'ALTER TABLE t DROP COLUMN older')->{sqlstate}, '00000', '... by plain DDL, too');
ok($g->converged, 'all are equal');
is($g->sql('r3', q{SELECT barrier = version - 1 FROM schemadrift_store.log WHERE name = 'drop'}), 't', 'the barrier is in the log');

# --- the longest wait for a lock is the policy's

$g->sql('r1', q{SELECT schemadrift.set_policy('{"barriers": null, "max_lock_wait": "2 s"}')});
ok($g->converged, 'a longest wait');
$s = $g->session('r2');
$s->query('BEGIN; LOCK TABLE t;');
says($g->try('r2', q{SELECT schemadrift.apply('waits', 'ALTER TABLE t ADD COLUMN w int')}), '55P03', qr/lock timeout/, 'apply() does not wait longer');
says($g->try('r2', "ALTER TABLE t $_"), '55P03', qr/lock timeout/, "... nor does plain DDL: $_")
  foreach 'ADD COLUMN w int', 'ADD COLUMN w timestamptz DEFAULT now()', 'ALTER COLUMN id TYPE text USING lower(id::text)';
$s->query('ROLLBACK;');
$s->quit;
is($g->try('r2', q{SELECT schemadrift.apply('waits', 'ALTER TABLE t ADD COLUMN w int')})->{sqlstate}, '00000', 'without the other one it is done');
ok($g->converged, 'all are equal');

# --- a policy that comes while a statement waits for the DDL lock; and changes of the policy are not prepared

$g->sql('r1', q{SELECT schemadrift.set_policy('{"max_lock_wait": null}')});
ok($g->converged, 'any wait');
my $first = $g->session('r1');
$first->query(q{BEGIN; SELECT schemadrift.set_policy('{"barriers": "gate"}');});
$s = $g->session('r1');
$s->send('ALTER TABLE t DROP COLUMN w;');
ok($g->wait_until('r1', q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE t DROP COLUMN w%'}, 1), 'a statement waits for another change');
$first->query('COMMIT;');
says($s->result, 'SD005', qr/the schema change is refused: the schema or the policy changed while it waited.*has to wait for every serving region now.*Run the transaction again/s,
	'which makes it one that waits for every region');
ok($g->converged, 'the policy is everywhere');
is($s->query('ALTER TABLE t DROP COLUMN w;')->{sqlstate}, '00000', 'run again, it is done');
$_->quit foreach $first, $s;
says($g->try('r1', q{BEGIN; SELECT schemadrift.set_policy('{"barriers": null}'); PREPARE TRANSACTION 'policy'}), '0A000', qr/cannot prepare a transaction that changes the schema.*Use COMMIT/s,
	'a change of the policy is not prepared');
ok($g->converged, 'all are equal');

done_testing();
