# Drift: what is otherwise in a region than the log says is a row an object, whoever made it so and however; it goes when it is taken
# back, it keeps a region from changing that object for others, and a replay that leaves something else than its origin halts.
# Three databases of one server are the regions; a fourth one joins with a schema of its own.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use SchemaDrift::Scenario;
use Test::More;

my @three = qw(r1 r2 r3);
my $g = SchemaDrift::Group->new(
	regions   => [qw(r1 r2 r3 r4)],
	databases => 1,
	conf      => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 2s
schemadrift.verify_interval = 0
max_worker_processes = 30
CONF
$g->sql($_, 'CREATE TABLE t (a int, b text); CREATE VIEW v AS SELECT a FROM t; CREATE TABLE other (a int)') foreach @three;
$g->make_group(names => \@three, mode => 'coordinate');
my $server = $g->region('r1');

my $off = q{SET schemadrift.bypass_reason = 'a fire'; SET schemadrift.ddl_mode = off;};
my $rows = q{SELECT string_agg(kind || ' ' || identity || ' ' || CASE WHEN expected IS NULL THEN 'extra' WHEN actual IS NULL THEN 'missing'
	ELSE 'changed' END || ' ' || found, ', ' ORDER BY kind, identity) FROM schemadrift_store.drift
	WHERE region = (SELECT region FROM schemadrift_store.self)};
my $unsettled = 'SELECT count(*) FROM schemadrift_store.bypass WHERE settled IS NULL';

# What entries carry is the root of what the log says, whatever the regions have of their own.
sub logged_roots_fit
{
	my ($what) = @_;
	my ($version) = $g->sql('r1', 'SELECT max(version) FROM schemadrift_store.log');
	my $bodies = q{SELECT version || ' ' || ((convert_from(substring(body FROM position('\x0a'::bytea IN body) + 1), 'UTF8')::json)->>'%s')
		FROM schemadrift_store.log WHERE kind = 'migration' ORDER BY version};
	my @before = map { [split] } split /\n/, $g->sql('r1', sprintf $bodies, 'before');
	my %after = map { split } split /\n/, $g->sql('r1', sprintf $bodies, 'after');
	my @torn = grep { exists $after{ $_->[0] - 1 } && $after{ $_->[0] - 1 } ne $_->[1] } @before;

	is(scalar @torn, 0, $what);
	return;
}

# ---- a change outside the log ----

$g->sql('r3', "$off BEGIN; ALTER TABLE t ADD COLUMN c int; CREATE TABLE mine (a int); COMMIT");
is($g->sql('r3', $rows), 'table public.mine extra bypass, table public.t changed bypass', 'a change outside the log is a row an object');
is($g->sql('r3', 'SELECT count(DISTINCT change) FROM schemadrift_store.drift'), 1, 'of one dot');
is($g->sql('r3', "SELECT mode || ' ' || reason || ' ' || (settled IS NULL) FROM schemadrift_store.bypass"), 'off a fire true', 'that says why');
like($g->sql('r3', "SELECT actual_definition FROM schemadrift_store.drift WHERE identity = 'public.t'"), qr/column: c integer/, 'with the definition');
is($g->sql('r2', $rows), '', 'and nothing elsewhere');
is($g->sql('r3', q{SELECT object_type || ' ' || identity || ' ' || difference FROM schemadrift.verify() ORDER BY 1}),
	"table public.mine extra\ntable public.t changed", 'verify() tells it');

# ---- at the origin ----

my $r = $g->try('r3', 'ALTER TABLE t ADD COLUMN d int');
refused($r, 'SD008', 'a drifted region does not change that object for others');
like($r->{detail}, qr/table public\.t is defined differently here, since .* \(by \S+, ddl_mode off: a fire\)/, 'it says what, since when, by whom');
like($r->{hint}, qr/repair_plan\(\); .*accept_drift\('r3', 'table public\.t'\);/, 'and what to do');
refused($g->try('r3', q{SELECT schemadrift.apply('x', 'ALTER TABLE t ADD COLUMN d int')}), 'SD008', 'nor by apply()');
refused($g->try('r3', 'DROP TABLE mine'), 'SD008', 'nor drops it');
refused($g->try('r3', 'CREATE INDEX CONCURRENTLY t_a ON t (a)'), 'SD008', 'nor builds an index on it');
refused($g->try('r3', "BEGIN; $off CREATE TABLE x (); RESET schemadrift.ddl_mode; CREATE TABLE y (); COMMIT"), 'SD004',
	'one transaction is not both in the log and outside of it');
refused($g->try('r3', "BEGIN; CREATE TABLE y (); $off CREATE TABLE x (); COMMIT"), 'SD004', 'nor the other way round');
$g->sql('r3', 'ALTER TABLE other ADD COLUMN b int');
ok($g->wait_until('r1', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'other'::regclass AND attname = 'b'}, 1), 'other objects it does');
is($g->sql('r1', $rows), '', 'which others apply as they always do');

# ---- others change what did not drift, and what did ----

$g->sql('r1', 'ALTER TABLE other ADD COLUMN c int');
ok($g->wait_until('r3', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'other'::regclass AND attname = 'c'}, 1), 'a drifted region applies the rest');
is($g->sql('r3', $rows), 'table public.mine extra bypass, table public.t changed bypass', 'and keeps its drift');
$g->sql('r1', q{SELECT schemadrift.apply('on t', 'ALTER TABLE t ADD COLUMN e int')});
ok($g->wait_until('r3', 'SELECT state FROM schemadrift.status', 'halted'), 'at a change of what drifted it halts');
like($g->sql('r3', q{SELECT halt_error || ' ' || halt_detail FROM (SELECT error AS halt_error, '' AS halt_detail
	FROM schemadrift.migration_status WHERE name = 'on t' AND region = 'r3') s}), qr/does not leave here what it left at its origin/, 'and says so');
is($g->sql('r3', 'SELECT count(*) FROM pg_attribute WHERE attrelid = $$t$$::regclass AND attname = $$e$$'), 0, 'nothing of it happened');
ok($g->wait_until('r3', q{SELECT count(*) FROM schemadrift_store.said WHERE definition IS NOT NULL}, 1), 'another region tells how it should be');
$g->try('r3', q{SELECT schemadrift.retry()});
ok($g->wait_until('r3', q{SELECT reason ~ 'table public\.t is defined differently here, column c: at its origin none, here ' FROM schemadrift.status}, 't'),
	'then the halt says in what it is not') or diag($g->sql('r3', 'SELECT reason FROM schemadrift.status'));
ok($server->wait_log(qr/HINT: .*schemadrift\.diff\('r3', 'r1'\).*schemadrift\.retry\('on t'\).*schemadrift\.revert\('on t'\)/), 'and what to type');

# policy may say: go on
is($g->sql('r1', q{SELECT value FROM schemadrift.policy WHERE key = 'on_drift'}), '"halt"', 'by default');
refused($g->try('r1', q{SELECT schemadrift.set_policy('{"on_drift": "ignore"}')}), '22023', 'there is no third way');
$g->sql('r1', q{SELECT schemadrift.set_policy('{"on_drift": "warn"}')});
$g->try('r3', q{SELECT schemadrift.retry()});
ok($g->wait_until('r3', 'SELECT version FROM schemadrift_store.applied', $g->sql('r1', 'SELECT max(version) FROM schemadrift_store.log')),
	'with on_drift "warn" it goes on');
is($g->sql('r3', $rows), 'table public.mine extra bypass, table public.t changed replay', 'and the difference is drift');
ok($g->wait_until('r3', 'SELECT count(*) FROM schemadrift_store.said', 0), 'what was asked of others is forgotten');
ok($server->wait_log(qr/WARNING: .*was applied all the same/), 'with a warning in the log');
$g->sql('r1', q{SELECT schemadrift.set_policy('{"on_drift": null}')});

# ---- taken back ----

$g->sql('r3', "$off ALTER TABLE t DROP COLUMN c; DROP TABLE mine");
is($g->sql('r3', $rows), '', 'what is taken back is no drift');
is($g->sql('r3', $unsettled), 0, 'and its dots are settled');
ok($g->converged(@three), 'equal again');
$g->sql('r3', 'ALTER TABLE t ADD COLUMN d int');
ok($g->converged(@three), 'and it changes that object again');
logged_roots_fit('the roots in the log follow one another, drift or none');

# ---- what a replay makes more than its origin ----

$g->sql('r2', 'CREATE TABLE who (name text); INSERT INTO who VALUES (NULL)');
ok($g->converged(@three), 'a table with a row of r2 alone');
$g->sql('r1', q{SELECT schemadrift.apply('data', 'DO $$ BEGIN IF EXISTS (SELECT FROM who) THEN CREATE TABLE surprise (); END IF; ALTER TABLE other ADD COLUMN d int; END $$')});
ok($g->wait_until('r2', 'SELECT state FROM schemadrift.status', 'halted'), 'what a replay makes more than its origin halts, too');
ok($server->wait_log(qr/table public\.surprise was made here, not at its origin/), 'and it is named');
$g->sql('r2', 'DELETE FROM who');
$g->try('r2', 'SELECT schemadrift.retry()');
ok($g->converged(@three), 'mended, and tried again');

# ---- past every hook ----

$g->sql('r2', q{UPDATE pg_attribute SET attnotnull = true WHERE attrelid = 'other'::regclass AND attname = 'a'});
ok($g->wait_until('r2', $rows, 'table public.other changed verify'), 'an update of the catalogs is found by itself');
is($g->sql('r2', q{SELECT mode || ':' || author FROM schemadrift_store.bypass WHERE settled IS NULL}), 'found:', 'and gets a dot; nobody knows by whom');
refused($g->try('r2', 'ALTER TABLE other DROP COLUMN b'), 'SD008', 'it is drift like any other');
$g->sql('r2', q{UPDATE pg_attribute SET attnotnull = false WHERE attrelid = 'other'::regclass AND attname = 'a'});
ok($g->wait_until('r2', $rows, ''), 'taken back the same way, it goes by itself');
is($g->sql('r2', $unsettled), 0, 'settled');
$g->sql('r2', "$off CREATE INDEX CONCURRENTLY other_a ON other (a)");
ok($g->wait_until('r2', $rows, 'index public.other_a extra verify'), 'what commits by itself in the middle is found');
is($g->sql('r2', q{SELECT string_agg(mode, ' ') FROM schemadrift_store.bypass WHERE settled IS NULL}), 'off', 'as what the session had said of it');
$g->sql('r2', "$off DROP INDEX other_a");
is($g->sql('r2', "$rows") . $g->sql('r2', $unsettled), '0', 'taken back');

$g->sql('r2', 'INSERT INTO other (a) VALUES (1), (1)');
$g->try('r2', "$off CREATE UNIQUE INDEX CONCURRENTLY other_a ON other (a)");
ok($g->wait_until('r2', $rows, 'index public.other_a extra verify'), 'so is an index that a failed build left behind');
$g->sql('r2', 'DELETE FROM other; REINDEX INDEX other_a');
ok($g->wait_until('r2', q{SELECT actual_definition !~ 'invalid: yes' FROM schemadrift_store.drift WHERE region = 'r2'}, 't'),
	'and that REINDEX made it valid');
$g->sql('r2', "$off DROP INDEX other_a");
is($g->sql('r2', "$rows") . $g->sql('r2', $unsettled), '0', 'taken back, too');

# a role's other name, given in a database without schemadrift, is in the definitions of all others
$server->sql('CREATE ROLE mary', dbname => 'postgres');
$g->sql('r1', 'CREATE TABLE of_mary (a int); ALTER TABLE of_mary OWNER TO mary');
ok($g->converged(@three), 'a table of mary');
$server->sql('ALTER ROLE mary RENAME TO marie', dbname => 'postgres');
ok($g->wait_until($_, $rows, 'table public.of_mary changed verify'), "$_ finds that she has another name") foreach @three;
is($g->sql('r1', q{SELECT string_agg(region || ' ' || property || ' ' || coalesce(by, '-'), ', ' ORDER BY region) FROM schemadrift.drift WHERE region = 'r1'}),
	'r1 (not known yet) -', 'nobody knows by whom, and no region has it as it was');
$server->sql('ALTER ROLE marie RENAME TO mary', dbname => 'postgres');
ok($g->wait_until($_, $rows, ''), "$_ finds it taken back") foreach @three;

# nothing to see: maintenance, temporary objects
my $verified = $g->sql('r2', 'SELECT count(*) FROM schemadrift_store.bypass');
$g->sql('r2', 'REINDEX TABLE other; CLUSTER; ANALYZE; CREATE TEMP TABLE scratch (a int PRIMARY KEY)');
$g->sql('r2', 'SELECT * FROM schemadrift.verify()');
is($g->sql('r2', 'SELECT count(*) FROM schemadrift_store.bypass'), $verified, 'maintenance and temporary objects are none');
$g->sql('r2', 'CREATE INDEX other_b ON other (b)');
ok($g->converged(@three), 'an index');
$g->sql('r2', 'REINDEX INDEX CONCURRENTLY other_b');
is($g->sql('r2', 'SELECT count(*) FROM schemadrift.verify()'), 0, 'built again under another OID it is the same');

# and built again twice while what was seen of the first time waits to be looked at
$server->sql("ALTER SYSTEM SET schemadrift.lock_timeout = '60s'", dbname => 'postgres');
$server->sql('SELECT pg_reload_conf()', dbname => 'postgres');
my $holder = $g->session('r2');
$holder->query('BEGIN; CREATE TABLE held (a int);');
$g->sql('r2', 'REINDEX INDEX CONCURRENTLY other_b');
my $verifying = q{SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'schemadrift verify'};
ok($g->wait_until('r2', "$verifying AND wait_event_type = 'Lock'", 1), 'the worker that verifies waits for a change under way');
$g->sql('r2', 'REINDEX INDEX CONCURRENTLY other_b') foreach 1, 2;
$holder->query('COMMIT;');
ok($g->wait_until('r2', $verifying, 0), 'and ends');
is($g->sql('r2', $rows), '', 'an index with yet another OID is the same, too');
$server->sql('ALTER SYSTEM RESET schemadrift.lock_timeout', dbname => 'postgres');
$server->sql('SELECT pg_reload_conf()', dbname => 'postgres');
ok($g->converged(@three), 'all regions are equal');

# a change under way is no drift
my $open = $g->session('r2');
$open->query('BEGIN; ALTER TABLE other ADD COLUMN under_way int;');
is($g->sql('r2', 'SELECT count(*) FROM schemadrift.verify()'), 0, 'a change that is not committed is not looked at');
$open->query('COMMIT;');
ok($g->converged(@three), 'it commits');

# nor is an online version
my $hold = $g->session('r1');
$hold->query('BEGIN; LOCK TABLE other IN ROW EXCLUSIVE MODE;');
my $build = $g->session('r2');
$build->send('CREATE INDEX CONCURRENTLY other_c ON other (c);');
ok($g->wait_until('r2', q{SELECT string_agg(state, '') FROM schemadrift_store.task WHERE state NOT IN ('applied', 'cancelled')}, 'done'),
	'an index is built, and elsewhere is not yet');
is($g->sql('r2', 'SELECT count(*) FROM schemadrift.verify()'), 0, 'which is no drift');
$g->sql('r2', "$off ALTER TABLE other ADD CONSTRAINT meddled CHECK (a > 0) NOT VALID");
like($g->sql('r2', $rows), qr/table public\.other changed bypass/, 'but who meddles with it outside the log is seen');
$g->sql('r2', "$off ALTER TABLE other DROP CONSTRAINT meddled");
$hold->query('COMMIT;');
is($build->result->{sqlstate} || q{00000}, q{00000}, "the build ends");
ok($g->converged(@three), 'the index is there');
is($g->sql('r2', $rows), '', 'and nothing is left of what was taken back in time');

# ---- verify() ----

refused($g->try('r2', 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM schemadrift.verify()'), '25001', 'verify() at another isolation level');
refused($g->try('r2', 'BEGIN; CREATE TABLE x (); SELECT * FROM schemadrift.verify()'), '25001', 'in a schema change');
$g->sql('r2', q{CREATE ROLE nobody LOGIN});
refused($g->try('r2', 'SELECT * FROM schemadrift.verify()', user => 'nobody'), '42501', 'by anybody');

# ---- by hand ----

$g->sql('r3', 'CREATE TABLE h (a int); INSERT INTO h VALUES (NULL)');
ok($g->converged(@three), 'a table');
$g->sql('r1', q{SELECT schemadrift.apply('by hand', 'ALTER TABLE h ADD CONSTRAINT h_a CHECK (a IS NOT NULL)')});
ok($g->wait_until('r3', 'SELECT state FROM schemadrift.status', 'halted'), 'cannot be applied');
$g->sql('r3', "$off DELETE FROM h; ALTER TABLE h ADD CONSTRAINT h_a CHECK (a IS NOT NULL)");
like($g->sql('r3', $rows), qr/constraint public\.h\.h_a extra bypass/, 'done by hand it is drift');
$g->sql('r3', q{SELECT schemadrift.mark_applied('by hand', 'done')});
is($g->sql('r3', $rows) . $g->sql('r3', $unsettled), '0', 'until it is marked');
ok($g->converged(@three), 'equal');

# ---- local objects ----

$g->sql('r1', q{SELECT schemadrift.set_policy('{"local": ["scratch.*"]}')});
ok($g->converged(@three), 'a policy on local objects');
$g->sql('r2', 'CREATE SCHEMA scratch; CREATE TABLE scratch.mine (a int)');
is($g->sql('r2', $rows), '', 'what is local is no drift');
$g->sql('r1', q{SELECT schemadrift.set_policy('{"local": null}')});
ok($g->wait_until('r2', $rows, 'schema scratch extra verify, table scratch.mine extra verify'), 'what is local no longer is drift');
is($g->sql('r1', $rows) // '', '', 'where it is');
$g->sql('r1', 'ALTER TABLE other DROP COLUMN under_way');
ok($g->wait_until('r2', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'other'::regclass AND attname = 'under_way'}, 0), 'which halts nobody');
$g->sql('r2', "$off DROP SCHEMA scratch CASCADE");
ok($g->converged(@three), 'equal');

# ---- nothing is written when nothing is found; and what is known outlives a crash ----

$g->sql('r1', "$off CREATE TABLE kept (a int)");
$server->kill9;
$server->start;
is($g->sql('r1', $rows), 'table public.kept extra bypass', 'drift outlives a crash');
ok($g->reached(@three), 'all hear each other again');
$g->sql('r1', "$off DROP TABLE kept");
my $quiet = q{SELECT coalesce(max(xmin::text::bigint), 0) || ' ' || (SELECT count(*) FROM schemadrift_store.drift) FROM schemadrift_store.digest};
my $before = $g->sql('r1', "$quiet") . $g->sql('r1', 'SELECT txid_current_if_assigned() IS NULL');
$g->sql('r1', 'DO $$ BEGIN PERFORM schemadrift.verify(); IF txid_current_if_assigned() IS NOT NULL THEN RAISE EXCEPTION $m$it writes$m$; END IF; END $$');
is($g->sql('r1', "$quiet") . $g->sql('r1', 'SELECT txid_current_if_assigned() IS NULL'), $before, 'a look that finds nothing writes nothing');

# ---- beside a change that is being agreed ----

SKIP:
{
	skip 'wait points are in the test build only', 7 if !testing_build($g);
	my $agreed = $g->session('r1');
	stop_at($agreed, 'after-majority');
	$agreed->send('ALTER TABLE other ADD COLUMN agreed int;');
	stopped($agreed);
	my $beside = $g->session('r1');
	$beside->query($off);
	$beside->send('ALTER TABLE h ADD COLUMN beside int;');
	ok($g->wait_until('r1', q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%ADD COLUMN beside%' AND pid <> pg_backend_pid()}, 1),
		'a change outside the log waits for the one that is being agreed');
	go_on($agreed);
	# others may have finished it, where it stood for long
	like($agreed->result->{sqlstate}, qr/^(?:00000|40003)$/, 'this one commits');
	ok($g->wait_until('r1', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'other'::regclass AND attname = 'agreed'}, 1), '... and is there');
	is($beside->result->{sqlstate} || '00000', '00000', 'then that one');
	is($g->sql('r1', $rows), 'table public.h changed bypass', 'each is what it is');
	is($g->sql('r1', 'SELECT schemadrift_store.digest_root() = (SELECT digest FROM schemadrift_store.applied)
		AND schemadrift_store.digest_root() = schemadrift_store.digest_rebuild()'), 't', 'and the digest has both');
	$g->sql('r1', "$off ALTER TABLE h DROP COLUMN beside");
	ok($g->converged(@three), 'equal');
}

# ---- adopted by the log ----

$g->sql('r3', "$off BEGIN; ALTER TABLE t ADD COLUMN own int DEFAULT 7; CREATE TABLE ours (a int PRIMARY KEY, b text); CREATE INDEX ours_b ON ours (b);
	ALTER TABLE other ADD CONSTRAINT dup CHECK (a > 0); CREATE FUNCTION trf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
	CREATE TRIGGER dup BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION trf(); CREATE TABLE same (a int); COMMIT");
$g->sql('r2', "$off CREATE TABLE same (a int)");
refused($g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.nothing')}), '42704', 'what is no drift cannot be accepted');
$r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.other.dup')});
refused($r, '42P08', 'nor what is two things');
like($r->{hint}, qr/'constraint public\.other\.dup'/, 'it says how to name it');
$r = $g->try('r1', q{SELECT schemadrift.accept_drift('r3', 'public.t')});
refused($r, '22023', 'nor from elsewhere');
ok($g->wait_until('r3', q{SELECT expected_definition IS NOT NULL FROM schemadrift_store.drift
	WHERE identity = 'public.t' AND region = 'r3'}, 't'), 'others tell what it should be');
$r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.t')});
ok($r->{ok}, 'a column is accepted') or diag($r->{err});
ok($g->wait_until($_, q{SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'own'}, 1), "$_ has it") foreach @three;
unlike($g->sql('r3', $rows), qr/public\.t /, 'it is no drift any more');
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'table public.ours')});
ok($g->wait_until('r1', q{SELECT count(*) FROM pg_class WHERE relname IN ('ours', 'ours_pkey', 'ours_b')}, 3), 'a table, with what hangs on it');
is($g->sql('r1', $rows), '', 'which leaves no drift there');
unlike($g->sql('r3', $rows), qr/ours/, 'nor here');
$g->sql('r3', "SELECT schemadrift.accept_drift('r3', '$_')") foreach 'public.trf()', 'constraint public.other.dup', 'trigger public.other.dup', 'public.same';
ok($g->converged(@three), 'the rest, too: all are equal');
is($g->sql($_, $rows) . $g->sql($_, $unsettled), '0', "$_ has no drift, and nothing that is not settled") foreach @three;
is($g->sql('r1', 'SELECT count(*) FROM pg_class WHERE relname = $$same$$'), 1, 'where it was missing it was made, where somebody had made it it was not');
$g->sql('r3', "$off ALTER TABLE t DROP COLUMN own");
ok($g->wait_until('r3', q{SELECT expected_definition IS NOT NULL FROM schemadrift_store.drift
	WHERE identity = 'public.t' AND region = 'r3'}, 't'), 'a column that is gone');
$r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.t')});
refused($r, 'SD004', 'to lose it everywhere is not accepted by the way');
$g->sql('r1', 'ALTER TABLE t DROP COLUMN IF EXISTS own');
ok($g->converged(@three), 'but by saying so');
is($g->sql('r3', $rows), '', 'then it is no drift');

# ---- joining with another schema ----

$g->sql('r4', 'CREATE TABLE t (a int, b text); CREATE TABLE legacy (a int PRIMARY KEY)');
refused($g->try('r4', sprintf q{SELECT schemadrift.join('%s', 'r4', '%s')}, map { $g->conninfo($_) =~ s/'/''/gr } qw(r1 r4)), 'SD008',
	'who has another schema does not join by the way');
$g->sql('r1', "$off CREATE TABLE of_r1 ()");
$r = $g->try('r4', sprintf q{SELECT schemadrift.join('%s', 'r4', '%s', options => '{"schema": "adopt"}')}, map { $g->conninfo($_) =~ s/'/''/gr } qw(r1 r4));
refused($r, 'SD008', 'nor by a region that has drifted itself');
like($r->{hint}, qr/another region/, 'but by another one');
$g->sql('r1', "$off DROP TABLE of_r1");
$g->join('r4', 'r1', options => '{"schema": "adopt", "reason": "legacy"}');
like($g->sql('r4', $rows), qr/constraint public\.legacy\.legacy_pkey extra adopt.*table public\.legacy extra adopt.*table public\.other missing adopt.*table public\.t changed adopt/,
	'joined with what differs as drift');
is($g->sql('r4', "SELECT DISTINCT acknowledged FROM schemadrift_store.drift"), 'legacy', 'acknowledged');
is($g->sql('r4', "SELECT mode || ' ' || reason FROM schemadrift_store.bypass"), 'adopt legacy', 'one dot');
$g->sql('r1', 'CREATE TABLE fresh (a int)');
ok($g->wait_until('r4', q{SELECT count(*) FROM pg_class WHERE relname = 'fresh'}, 1), 'it applies what comes');
$r = $g->try('r4', 'ALTER TABLE t ADD COLUMN z int');
refused($r, 'SD008', 'and does not change what it has otherwise');
like($r->{detail}, qr/acknowledged: legacy/, 'as everybody knows');
$g->sql('r4', "$off DROP TABLE legacy");
unlike($g->sql('r4', $rows), qr/legacy/, 'what is taken back is no drift');
$g->sql('r4', 'CREATE TABLE from_r4 (a int)');
ok($g->converged(@three), 'it changes the schema for all');

# ---- a group that only observes ----

$g->sql('r1', q{SELECT schemadrift.set_policy('{"mode": "observe"}')});
ok($g->converged(@three), 'the group observes');
$g->sql('r2', 'CREATE TABLE seen (a int)');
is($g->sql('r2', $rows), 'table public.seen extra observe', 'what is recorded only is drift');
$g->sql('r2', 'DROP TABLE seen');
is($g->sql('r2', $rows) . $g->sql('r2', $unsettled), '0', 'until it is taken back');
$g->sql($_, 'BEGIN; CREATE TABLE rolled_out (a int PRIMARY KEY); ALTER TABLE t ADD COLUMN rolled int; COMMIT') foreach qw(r1 r2);
$g->sql('r1', q{SELECT schemadrift.set_policy('{"mode": "coordinate"}')});
ok($g->converged(qw(r1 r2)), 'what was rolled out by hand while the group observed is the same drift in two regions');
ok($g->wait_until('r1', q{SELECT count(*) FROM schemadrift_store.drift WHERE region = 'r1' AND expected IS NOT NULL AND expected_definition IS NULL}, 0),
	'what it should be is told by the third');
$r = $g->try('r1', q{SELECT schemadrift.accept_drift('r1', '*')});
ok($r->{ok}, 'one of them makes it all the group\'s') or diag($r->{err});
ok($g->converged(@three), 'and all have it, also who had not');
is($g->sql($_, $rows) . $g->sql($_, $unsettled), '0', "$_ has no drift") foreach @three;

done_testing();
