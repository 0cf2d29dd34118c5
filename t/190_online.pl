# Online entries: what commits by itself in the middle is agreed first, then done by every region at its own pace, and ends
# the same in all of them.  Three databases of one server are the regions.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use SchemaDrift::Scenario;
use Test::More;
use Time::HiRes qw(sleep time);

my $g = SchemaDrift::Group->new(
	regions   => [qw(r1 r2 r3)],
	databases => 1,
	conf      => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 1s
max_worker_processes = 40
CONF
$g->sql($_, 'CREATE TABLE t (a int, b text, c int); INSERT INTO t SELECT i, i::text, i FROM generate_series(1, 1000) i;
	CREATE TABLE u (a int); CREATE TABLE p (a int) PARTITION BY RANGE (a);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)')
  foreach $g->names;
$g->make_group(mode => 'coordinate');

sub is_everywhere
{
	my ($sql, $expected, $what) = @_;
	is_deeply([ map { $g->sql($_, $sql) } $g->names ], [ ($expected) x 3 ], $what);
}

sub index_is
{
	my ($index, $expected, $what) = @_;
	is_everywhere("SELECT coalesce((SELECT CASE WHEN indisvalid THEN 'valid' ELSE 'invalid' END FROM pg_index
		WHERE indexrelid = to_regclass('$index')), 'none')", $expected, $what);
}

# ---- a build ----

my $r = $g->try('r1', 'CREATE INDEX CONCURRENTLY t_b ON t (b)');
ok($r->{ok}, 'a build') or diag $r->{err};
ok($g->converged, 'all regions are equal');
index_is('t_b', 'valid', 'the index is valid everywhere');
is($g->sql('r1', "SELECT state FROM schemadrift.migrations WHERE kind = 'online' ORDER BY version DESC LIMIT 1"), 'applied', 'its version is applied');
my ($id) = $r->{err} =~ /entry ([0-9a-f-]{36})/;
is_everywhere("SELECT schemadrift.outcome('$id')", 'applied', 'its outcome');
is($g->sql('r2', 'SELECT count(*) FROM schemadrift.tasks'), 0, 'no task is left');

my $head = head($g, 'r1');
$r = $g->try('r1', 'CREATE INDEX CONCURRENTLY IF NOT EXISTS t_b ON t (b)');
ok($r->{ok} && $r->{err} =~ /already exists, skipping/, 'IF NOT EXISTS: a notice') or diag $r->{err};
$r = $g->try('r1', 'DROP INDEX CONCURRENTLY IF EXISTS nothing');
ok($r->{ok} && $r->{err} =~ /does not exist, skipping/, 'IF EXISTS: a notice') or diag $r->{err};
is($g->try('r1', 'CREATE INDEX CONCURRENTLY t_b ON t (b)')->{sqlstate}, '42P07', 'a name that is taken');
is($g->try('r1', 'CREATE INDEX CONCURRENTLY ON t (nothing)')->{sqlstate}, '42703', 'a column that is not there');
is($g->try('r1', 'CREATE INDEX CONCURRENTLY ON p (a)')->{sqlstate}, '0A000', 'a partitioned table');
is($g->try('r1', 'DROP INDEX CONCURRENTLY nothing')->{sqlstate}, '42704', 'an index that is not there');
is($g->try('r1', 'BEGIN; CREATE INDEX CONCURRENTLY ON t (b); COMMIT')->{sqlstate}, '25001', 'not in a transaction block');
is($g->try('r1', q{DO $$ BEGIN EXECUTE 'CREATE INDEX CONCURRENTLY ON t (b)'; END $$})->{sqlstate}, '25001', 'not in a function');
$r = $g->try('r1', q{SELECT schemadrift.apply('conc', 'CREATE INDEX CONCURRENTLY ON t (b)')});
is($r->{sqlstate}, 'SD004', 'not in apply');
like($r->{err}, qr/apply_online/, 'which says where');
is($g->try('r1', q{BEGIN; CALL schemadrift.apply_online('conc', 'CREATE INDEX CONCURRENTLY ON t (b)'); COMMIT})->{sqlstate}, '25001',
	'apply_online not in a block');
$r = $g->try('r1', q{CALL schemadrift.apply_online('conc', 'SET work_mem = 99; CREATE INDEX CONCURRENTLY ON t (b)')});
is($r->{sqlstate}, 'SD004', 'no SET in apply_online') or diag $r->{err};
like($r->{err}, qr/SET cannot be part of an online migration.*SET it in this session before the CALL/s, 'which says where');
is($g->try('r1', 'REINDEX INDEX CONCURRENTLY t_b')->{sqlstate}, '00000', 'REINDEX CONCURRENTLY is local');
is(head($g, 'r1'), $head, 'nothing of that became a version');

$r = $g->try('r2', 'CREATE INDEX CONCURRENTLY ON t (c, (a + 1))');
ok($r->{ok}, 'an index without a name') or diag $r->{err};
index_is('t_c_expr_idx', 'valid', 'has the same one everywhere');

# ---- builds wait for snapshots, and nobody for them ----

# what there is to see when a build does not come forward
sub tasks_now
{
	return join "\n", map { $g->sql($_, q{SELECT concat_ws(' ', region, version, state, phase) FROM schemadrift.tasks
		UNION ALL SELECT concat_ws(' ', datname, pid, backend_type, state, wait_event, pg_blocking_pids(pid), left(query, 80))
		FROM pg_stat_activity WHERE backend_type LIKE 'schemadrift%' OR state <> 'idle'}) } $g->names;
}

my $old = $g->session('r2');
$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
my $builder = $g->session('r1');
$builder->send('CREATE INDEX CONCURRENTLY t_c ON t (c);');
ok($g->wait_until('r1', "SELECT string_agg(region || ' ' || state, ',' ORDER BY region) FROM schemadrift.tasks", 'r1 done,r2 open,r3 done'),
	'two regions have built, one waits for an old snapshot');
ok($g->wait_until('r2', "SELECT phase FROM schemadrift.tasks WHERE region = 'r2'", qr/waiting for old snapshots/), 'which its view says');
ok($g->wait_until('r1', "SELECT phase FROM schemadrift.tasks WHERE region = 'r2'", qr/waiting for old snapshots/), 'and the others know');
is($g->sql('r3', "SELECT schemadrift.outcome(name) FROM schemadrift.migrations WHERE kind = 'online' ORDER BY version DESC LIMIT 1"), 'chosen',
	'meanwhile it is chosen');
foreach my $name ($g->names)
{
	$r = $g->try($name, "ALTER TABLE u ADD c_$name int");
	ok($r->{ok}, "$name changes another table meanwhile") or diag $r->{err};
}
ok($g->converged, 'all regions have that');
# a waiter for the DDL lock must not hold up the build
my $holder = $g->session('r2');
$holder->query('BEGIN; CREATE TABLE held (a int);');
my $waiter = $g->session('r2');
$waiter->send('CREATE TABLE waits (a int);');
my $waiter_pid = $waiter->pid;
ok($g->wait_until('r2', "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $waiter_pid", 'Lock'), 'a change waits for another');
my $task = $g->sql('r2', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'schemadrift task' AND datname = 'r2'");
ok($g->wait_until('r2', "SELECT pg_blocking_pids($task)", '{' . $old->pid . '}'), 'the old transaction alone is in the way of the build');
is($g->sql('r2', "SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE pid = $waiter_pid"), 't', 'the waiter holds no snapshot');
my $builder_pid = $builder->pid;
# between its looks at the tables
ok($g->wait_until('r1', "SELECT state || ' ' || (backend_xmin IS NULL) || ' ' || (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid)
	FROM pg_stat_activity a WHERE pid = $builder_pid", 'active true 0'), 'nor does the client of the build, or any lock');
$holder->query('COMMIT;');
ok($waiter->result->{ok}, 'the waiter goes on');

# ---- others keep off ----

$r = $g->try('r3', 'ALTER TABLE t ADD d int');
is($r->{sqlstate}, '55006', 'the table is being worked on');
like($r->{err}, qr/r2: open/, 'the regions\' states');
like($r->{err}, qr/schemadrift\.revert/, 'and what to do');
is($g->try('r3', q{SELECT schemadrift.apply('touch t', 'ALTER TABLE t ADD d int')})->{sqlstate}, '55006', 'in apply');
is($g->try('r1', 'DROP INDEX CONCURRENTLY t_b')->{sqlstate}, '55006', 'another online one');
is($g->try('r1', 'DROP INDEX t_c')->{sqlstate}, '55006', 'its own index');
is($g->try('r3', 'CREATE TABLE refers (a int REFERENCES t)')->{sqlstate}, '55006', 'a foreign key to it, which would wait for the build');
is($g->try('r3', 'CREATE TABLE refers () INHERITS (t)')->{sqlstate}, '55006', 'a child of it');
is($g->try('r3', 'DROP SCHEMA public CASCADE')->{sqlstate}, '55006', 'by CASCADE');
# local, but what it leaves behind would be there when the result is compared
is($g->try('r1', $_)->{sqlstate}, '55006', $_) foreach 'REINDEX TABLE t', 'REINDEX INDEX CONCURRENTLY t_c', 'REINDEX SCHEMA public';
$old->query('COMMIT;');
ok($builder->result->{ok}, 'the build ends');
ok($g->converged, 'all regions are equal');
index_is('t_c', 'valid', 'the index is valid everywhere');
$g->sql('r3', 'ALTER TABLE t ADD d int');
ok($g->converged, 'then the table can be changed again');

# A build waits for the end of each transaction that has a snapshot at the moment when it looks.  Who waits for the build looks at
# tables now and then; caught at that, it must not go on waiting in the same transaction.
foreach my $case ([ 'wait-for-look', 'CALL schemadrift.wait_for(%d);', 'CREATE INDEX CONCURRENTLY t_w1 ON t (c, b);' ],
	[ 'online-look', q{CALL schemadrift.apply_online('w %d', 'CREATE INDEX CONCURRENTLY t_w2 ON t (c, a)');} ])
{
	my ($point, $call, $build) = @$case;
	my $looks = $g->session('r1');
	my $end = time() + 60;

	stop_at($looks, $point);
	$looks->send(sprintf $call, head($g, 'r1') + 1);
	my $pid = stopped($looks);
	$builder->send($build) if $build;
	ok($g->wait_until('r1', "SELECT phase FROM schemadrift.tasks WHERE region = 'r1'", qr/waiting for old snapshots/), "$point: the build waits for it")
	  or diag(tasks_now());
	# it stops at each look
	while ($looks->is_busy && time() < $end)
	{
		kill 'CONT', $pid;
		sleep 0.02;
	}
	ok(!$looks->is_busy && $looks->result->{ok}, '... not for long') or diag(tasks_now());
	ok($builder->result->{ok}, '... and ends') if $build;
	$looks->quit;
}
ok($g->converged, 'all regions are equal');

# ---- a failure in one region ----

$g->sql('r3', 'INSERT INTO t VALUES (1, 1, 1)');
$r = $g->try('r1', 'CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)');
is($r->{sqlstate}, '23505', 'duplicates in one region');
like($r->{err}, qr/could not create unique index "t_a".*Key \(a\)=\(1\)/s, 'its error');
like($r->{err}, qr/Region "r3"/, 'names the region');
ok($g->converged, 'all regions are equal');
index_is('t_a', 'none', 'it is cleaned up everywhere');
is($g->sql('r2', "SELECT string_agg(DISTINCT state, ',') FROM schemadrift.migration_status WHERE version =
	(SELECT max(version) FROM schemadrift.migrations WHERE kind = 'online')"), 'failed', 'and shown as failed');
$g->sql('r3', 'DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t WHERE a = 1)');
$r = $g->try('r1', 'CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)');
ok($r->{ok}, 'mended, it works') or diag $r->{err};
index_is('t_a', 'valid', 'everywhere');

# ---- cancel ----

$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
$builder->send(q{CALL schemadrift.apply_online('index d', 'CREATE INDEX CONCURRENTLY t_d ON t (d)');});
ok($g->wait_until('r1', "SELECT count(*) FROM schemadrift.tasks WHERE state = 'done'", 2), 'a build that waits') or diag(tasks_now());
foreach my $limit ('4s', '15s', '30s')    # until it has come as far as waiting for the build
{
	$r = $g->try('r1', qq{SET statement_timeout = '$limit'; CALL schemadrift.apply_online('index d', 'CREATE INDEX CONCURRENTLY t_d ON t (d)')});
	last if $r->{err} =~ /every region goes on with it/;
}
is($r->{sqlstate}, '57014', 'the same again waits for it, too');
like($r->{err}, qr/every region goes on with it/, 'and says that a cancelled wait stops nothing');
is($g->try('r1', q{CALL schemadrift.apply_online('index d', 'SELECT 1')})->{sqlstate}, 'SD007', 'another text under the name');
$g->sql('r3', q{SELECT schemadrift.revert('index d')});
is($builder->result->{sqlstate}, '57014', 'its client is told');
ok($g->converged, 'all regions are equal, although the old snapshot is still there');
index_is('t_d', 'none', 'it is gone everywhere');
$old->query('COMMIT;');
is($g->sql('r1', q{SELECT schemadrift.outcome('index d')}), 'chosen', 'it never was applied');
$r = $g->try('r1', q{CALL schemadrift.apply_online('index d', 'CREATE INDEX CONCURRENTLY t_d ON t (d)')});
ok($r->{ok}, 'it can be done again') or diag $r->{err};
index_is('t_d', 'valid', 'everywhere');

# ---- take back what is finished ----

my $back = $g->sql('r2', q{SELECT schemadrift.revert('index d')});
$g->sql('r2', "CALL schemadrift.wait_for($back)");
ok($g->converged, 'reverted');
index_is('t_d', 'none', 'the index is gone');
is($g->sql('r2', "SELECT state FROM schemadrift.migrations WHERE name = 'index d' AND kind = 'online' AND version < $back ORDER BY version DESC LIMIT 1"),
	'reverted', 'and shown as reverted');

# ---- dropping, detaching, scripts ----

$r = $g->try('r3', 'DROP INDEX CONCURRENTLY t_b');
ok($r->{ok}, 'a drop') or diag $r->{err};
ok($g->converged, 'all regions are equal');
index_is('t_b', 'none', 'everywhere');
$r = $g->try('r2', 'ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY');
ok($r->{ok}, 'a detach') or diag $r->{err};
ok($g->converged, 'all regions are equal');
is_everywhere("SELECT relispartition FROM pg_class WHERE relname = 'p1'", 'f', 'detached everywhere');

my $script = q{CREATE INDEX CONCURRENTLY t_x ON t (b, c);
	ALTER TABLE t ADD CONSTRAINT t_c_positive CHECK (c > 0) NOT VALID;
	UPDATE t SET d = a WHERE a <= 10;
	ALTER TABLE t VALIDATE CONSTRAINT t_c_positive;
	DROP INDEX CONCURRENTLY t_c;};
$r = $g->try('r1', "CALL schemadrift.apply_online('script', \$s\$$script\$s\$,
	'CREATE INDEX CONCURRENTLY t_c ON t (c); ALTER TABLE t DROP CONSTRAINT t_c_positive; DROP INDEX CONCURRENTLY t_x')");
ok($r->{ok}, 'a script') or diag $r->{err};
ok($g->converged, 'all regions are equal');
index_is('t_x', 'valid', 'built');
index_is('t_c', 'none', 'dropped');
is_everywhere("SELECT convalidated || ' ' || (SELECT count(*) FROM t WHERE d IS NOT NULL) FROM pg_constraint WHERE conname = 't_c_positive'",
	'true 10', 'plain statements ran');
$r = $g->try('r2', "CALL schemadrift.apply_online('script', \$s\$$script\$s\$)");
like($r->{err}, qr/nothing was run/, 'the same again is a notice');
is($g->try('r1', q{CALL schemadrift.apply_online('f', 'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$')})->{sqlstate}, 'SD004',
	'what is about no relation goes into apply');
$back = $g->sql('r1', q{SELECT schemadrift.revert('script')});
$g->sql('r1', "CALL schemadrift.wait_for($back)");
ok($g->converged, 'the script taken back');
index_is('t_c', 'valid', 'by its down');
index_is('t_x', 'none', 'all of it');

# ---- as its author ----

$g->sql('r1', q{CREATE ROLE nologin NOLOGIN});
$g->sql('r1', q{GRANT CREATE ON SCHEMA public TO nologin; GRANT schemadrift_migrator TO nologin});
$r = $g->try('r1', q{SET SESSION AUTHORIZATION nologin; CREATE TABLE his (a int)\; CREATE INDEX CONCURRENTLY his_a ON his (a)});
is($r->{sqlstate}, '25001', 'two statements in one message are a transaction block');
$g->sql('r1', q{SET SESSION AUTHORIZATION nologin; CREATE TABLE his (a int)});
my $his = $g->session('r1');
$his->query('SET SESSION AUTHORIZATION nologin;');
is($his->query('CREATE INDEX CONCURRENTLY ON t (d);')->{sqlstate}, '42501', 'not on a table of somebody else');
ok($his->query('CREATE INDEX CONCURRENTLY his_a ON his (a);')->{ok}, 'on his own, by a role that cannot log in');
is_everywhere("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'his_a'", 'nologin', 'is his everywhere');

# ---- crashes ----

$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
$builder->send('CREATE INDEX CONCURRENTLY t_k ON t (d);');
ok($g->wait_until('r1', "SELECT count(*) FROM schemadrift.tasks WHERE state = 'done'", 2), 'a build that waits') or diag(tasks_now());
$g->sql('r2', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'schemadrift task' AND datname = 'r2'");
ok($g->wait_until('r2', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'schemadrift task' AND datname = 'r2'", 1),
	'a task that is terminated is begun again');
$g->region('r1')->kill9;
$g->region('r1')->start;
ok($g->wait_until('r2', "SELECT state FROM schemadrift.migrations WHERE kind = 'online' ORDER BY version DESC LIMIT 1", 'applied'),
	'after a crash of the server it is finished');
ok($g->converged, 'all regions are equal');
index_is('t_k', 'valid', 'valid everywhere');
is_everywhere("SELECT count(*) FROM pg_index WHERE NOT indisvalid", 0, 'and nothing invalid is left');

# ---- what REINDEX CONCURRENTLY has, and leaves, is local as it is ----

ok($g->reached, 'all hear each other again');
ok($g->try('r1', 'CREATE INDEX u_a ON u (a)')->{ok} && $g->converged, 'an index');
my $writer = $g->session('r1');
my $reindexer = $g->session('r1');
my $invalid = q{SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('u_a_ccnew') AND NOT indisvalid};
$writer->query('BEGIN; INSERT INTO u (a) VALUES (1);');
$reindexer->send('REINDEX INDEX CONCURRENTLY u_a;');
ok($g->wait_until('r1', $invalid, 1), 'it is made again, and waits for a writer');
is($g->sql('r1', 'SELECT count(*) FROM schemadrift.verify()'), 0, 'its own index is no drift');
$reindexer->cancel;
is($reindexer->result->{sqlstate}, '57014', 'it is cancelled');
$writer->query('COMMIT;');
is($g->sql('r1', $invalid), 1, 'and leaves that index');
is($g->sql('r1', 'SELECT count(*) FROM schemadrift.verify()'), 0, 'which is no drift');
$r = $g->try('r1', 'ALTER TABLE u ADD after_reindex int');
ok($r->{ok}, 'the table can be changed') or diag($r->{err});
my $before_drop = head($g, 'r1');
$r = $g->try('r1', 'DROP INDEX u_a_ccnew');
ok($r->{ok}, 'it can be dropped') or diag($r->{err});
is($g->sql('r1', $invalid) . ' ' . head($g, 'r1'), "0 $before_drop", '... here alone, which is no version');
ok($g->converged, 'all regions are equal');

done_testing;
