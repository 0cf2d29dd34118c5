# What cannot be made safe is refused before anything happens; what people set for their own sessions, or do to our tables,
# does not weaken a vote.
use strict;
use warnings FATAL => 'all';

use Test::More;
use Time::HiRes qw(sleep time);

use SchemaDrift::Scenario;

my $g = made_group(3, before => q{CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY);}, conf => <<'CONF');
max_prepared_transactions = 5
wal_writer_delay = 10s
CONF
my ($us, $ap, $eu) = $g->names;
my $since = 1 + head($g, $us);
my ($r, $s, $took);

sub nothing_happened
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is(join(' ', map { /forbidden/ ? 1 : 0 } columns($g, 't')), '0 0 0', "... and nothing happened: $what");
}

# --- transactions that end otherwise

$s = $g->session($us);
refused($s->query(q{BEGIN; ALTER TABLE t ADD COLUMN forbidden int; PREPARE TRANSACTION 'p';}), 'SD004', 'PREPARE TRANSACTION with a schema change');
$s->query('ROLLBACK;');
is($g->sql($us, 'SELECT count(*) FROM pg_prepared_xacts'), 0, '... leaves none');
refused($s->query(q{BEGIN; SELECT schemadrift.apply('forbidden', 'ALTER TABLE t ADD COLUMN forbidden int'); PREPARE TRANSACTION 'p';}), 'SD004',
	'... by apply(), too');
$s->query('ROLLBACK;');
is($s->query(q{BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p';})->{sqlstate}, '00000',
	'... without one it works');
nothing_happened('PREPARE TRANSACTION');

foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	$r = $s->query("BEGIN ISOLATION LEVEL $level; ALTER TABLE t ADD COLUMN forbidden int;");
	refused($r, '25001', "$level is refused");
	like($r->{hint} // '', qr/READ COMMITTED/, '... with the way that works');
	$s->query('ROLLBACK;');
	refused($s->query("SET default_transaction_isolation = '$level'; ALTER TABLE t ADD COLUMN forbidden int;"), '25001', '... as a default, too');
	refused($s->query(q{SELECT schemadrift.apply('forbidden', 'ALTER TABLE t ADD COLUMN forbidden int');}), '25001', '... by apply(), too');
	is($s->query("BEGIN; INSERT INTO t SELECT max(id) + 1 FROM t; COMMIT;")->{sqlstate}, '00000', '... ordinary work is not');
	$s->query('RESET default_transaction_isolation;');
}
nothing_happened('isolation');

refused($g->try($us, 'SET default_transaction_read_only = on; ALTER TABLE t ADD COLUMN forbidden int'), '25006', 'a read-only session changes nothing');
nothing_happened('read only');

# --- what a server's own settings are must not matter between regions

foreach my $setting ("default_transaction_isolation = 'serializable'", 'default_transaction_read_only = on', "lock_timeout = '1ms'",
	"search_path = 'nowhere'", "DateStyle = 'German'")
{
	foreach my $name ($ap, $eu)
	{
		$g->sql($name, "ALTER SYSTEM SET $setting");
		$g->sql($name, 'SELECT pg_reload_conf()');
	}
	ok(can_change($g, $us), "the others have $setting: changes go on");
	ok($g->converged, '... and are applied there');
	ok(can_change($g, $eu, 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL search_path = public; SET LOCAL lock_timeout = 0;
		ALTER TABLE t ADD COLUMN odd_' . ++$took . ' int; COMMIT;'), '... and are made there');
	foreach my $name ($ap, $eu)
	{
		$g->sql($name, 'BEGIN READ WRITE; COMMIT; ALTER SYSTEM RESET ' . $setting =~ s/ =.*//r);
		$g->sql($name, 'SELECT pg_reload_conf()');
	}
	ok($g->converged, '... all are equal');
}

# --- the commit of a change is flushed, whatever the session says; and so is every vote

foreach my $name ($g->names)
{
	$g->sql($name, 'ALTER SYSTEM SET synchronous_commit = off');
	$g->sql($name, 'SELECT pg_reload_conf()');
}
$s = $g->session($us);
$s->query('SET synchronous_commit = off;');
$r = $s->query('CREATE UNLOGGED TABLE warm (); INSERT INTO t SELECT max(id) + 1 FROM t; SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn();');
foreach (1 .. 50)    # somebody else may flush in between
{
	$r = $s->query('INSERT INTO t SELECT max(id) + 1 FROM t; SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn();');
	last if $r->{out} eq 't';
}
is($r->{out}, 't', 'synchronous_commit = off: ordinary commits are not flushed');
$r = $s->query(q{BEGIN; ALTER TABLE t ADD COLUMN flushed int; INSERT INTO t SELECT max(id) + 1 FROM t; COMMIT;});
is($r->{sqlstate}, '00000', '... a schema change') or diag($r->{err});
$g->region($_)->kill9 foreach $g->names;
$g->region($_)->start foreach $g->names;
ok($g->reached, '... all regions crash at once');
ok($g->converged, '... and it survives');
is(join(' ', map { /flushed/ ? 1 : 0 } columns($g, 't')), '1 1 1', '... everywhere');
log_is_sound($g, $since);

# ... and with it the memory of the votes that it was made with: one of them may be lost there
$g->cut($us, $ap, reset => 1);
ok(can_change($g, $us), "$us and $eu change the schema");
my $votes = $g->sql($eu, 'SELECT vote_seq FROM schemadrift_store.self');
$g->region($us)->kill9;
$g->isolate($us);
$g->region($us)->start;
is($g->sql($us, "SELECT vote_seq FROM schemadrift_store.peer WHERE region = '$eu' ORDER BY incarnation DESC LIMIT 1"), $votes,
	"... $us crashes, and hears of nobody: it knows all votes of $eu");
$g->heal_all;
ok($g->reached && $g->converged, '... all are equal');

foreach my $name ($g->names)
{
	$g->sql($name, 'ALTER SYSTEM RESET synchronous_commit');
	$g->sql($name, 'SELECT pg_reload_conf()');
}

# --- calls of regions that lack arguments are refused

my $zero = q{decode(repeat('00', 32), 'hex')};
my $common = "2, (SELECT group_id FROM schemadrift_store.self), 1, '$us', '$eu', 1, 0";
foreach my $call ("prepare($common, 1, 1, NULL, $zero, 0, 1, NULL, NULL)", "accept($common, 1, 1, 900, $zero, NULL::bytea, 0)",
	"learn($common, 900, NULL, $zero, $zero, NULL)", "fetch($common, NULL, NULL)")
{
	$r = $g->try($us, "SELECT * FROM schemadrift_rpc.$call");
	refused($r, '22004', $call =~ s/\(.*//r . ' without all its arguments');
}

# --- a large script

$g->sql($us, 'CREATE TABLE big (what text)');
($took, $r) = took(sub {
	$g->try($us, q{SELECT schemadrift.apply('big',
		(SELECT string_agg('INSERT INTO big VALUES (''' || repeat(chr(65 + i), 1000000) || ''');', E'\n') FROM generate_series(1, 20) i)
		|| 'ALTER TABLE big ADD COLUMN done int;')});
});
is($r->{sqlstate}, '00000', sprintf 'a script of 20 MB commits, in %.1f s', $took) or diag(substr $r->{err}, 0, 1000);
ok($g->converged, '... and arrives everywhere');
is($g->sql($_, 'SELECT count(*), sum(length(what)), count(done) FROM big'), '20|20000000|0', "... whole in $_") foreach $g->names;
$r = $g->try($us, q{SELECT schemadrift.apply('too big', 'SELECT ''' || repeat('x', 65 * 1024 * 1024) || '''')});
isnt($r->{sqlstate}, '00000', 'one of 65 MB is refused');
like($r->{message} // '', qr/larg|size|64/i, '... in words') or diag(substr $r->{err}, 0, 1000);
ok(can_change($g, $us), '... and disturbs nobody');

# --- a role that is missing somewhere

$g->sql($us, 'CREATE ROLE keeper; CREATE ROLE alice LOGIN');
$g->sql($_, 'CREATE ROLE keeper') foreach $eu;
$s = $g->session($us);
$s->query('BEGIN;');
$r = $s->query('ALTER TABLE t OWNER TO keeper;');
refused($r, 'SD004', 'a role is missing in one region: refused');
like($r->{message}, qr/keeper/, '... naming the role');
like($r->{message}, qr/\Q$ap\E/, '... and the region');
unlike($r->{message}, qr/\Q$eu\E|\Q$us\E/, '... and no other');
is($g->sql($us, q{SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND mode ~ 'Exclusive'}), 0, '... before any lock');
$s->query('ROLLBACK;');
refused($g->try($us, q{SELECT schemadrift.apply('own', 'ALTER TABLE t OWNER TO keeper')}), 'SD004', '... by apply(), too');
refused($g->try($us, 'CREATE TABLE forbidden (a int)', user => 'alice'), 'SD004', 'the author is missing elsewhere: refused');
$g->sql($ap, 'CREATE ROLE keeper');
$g->sql($_, 'CREATE ROLE alice LOGIN') foreach $ap, $eu;
$r = $g->try($us, 'ALTER TABLE t OWNER TO keeper');
is($r->{sqlstate}, '00000', 'the role is created: no need to wait') or diag($r->{err});
$g->sql($us, 'GRANT CREATE ON SCHEMA public TO alice');
$r = $g->try($us, 'CREATE TABLE public.of_alice (a int)', user => 'alice');
is($r->{sqlstate}, '00000', 'the author, too') or diag($r->{err});
ok($g->converged, 'all regions are equal');
is($g->sql($_, q{SELECT tableowner FROM pg_tables WHERE tablename = 'of_alice'}), 'alice', "... with its owner in $_") foreach $g->names;

# --- names that stand before ours

$g->sql($us, <<'SQL');
BEGIN;
CREATE SCHEMA evil;
GRANT ALL ON SCHEMA evil TO alice;
CREATE FUNCTION evil.hit() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked' USING errcode = 'XX999'; END $$;
CREATE FUNCTION evil.hit(anyelement, anyelement) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked' USING errcode = 'XX999'; END $$;
CREATE FUNCTION evil.eq(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT evil.hit()';
CREATE FUNCTION evil.eq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.hit()';
CREATE FUNCTION evil.eq(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT evil.hit()';
CREATE FUNCTION evil.eq(bytea, bytea) RETURNS boolean LANGUAGE sql AS 'SELECT evil.hit()';
CREATE FUNCTION evil.eq(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT evil.hit()';
CREATE FUNCTION evil.eq(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT evil.hit()';
CREATE FUNCTION evil.plus(bigint, integer) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint WHERE evil.hit()';
CREATE FUNCTION evil.cat(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'x' WHERE evil.hit() $$;
CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = uuid, RIGHTARG = uuid);
CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = bytea, RIGHTARG = bytea);
CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = oid, RIGHTARG = oid);
CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = name, RIGHTARG = name);
CREATE OPERATOR evil.< (FUNCTION = evil.eq, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR evil.> (FUNCTION = evil.eq, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR evil.+ (FUNCTION = evil.plus, LEFTARG = bigint, RIGHTARG = integer);
CREATE OPERATOR evil.|| (FUNCTION = evil.cat, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION evil.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea WHERE evil.hit() $$;
CREATE FUNCTION evil.pg_get_constraintdef(oid) RETURNS text LANGUAGE sql AS $$ SELECT ''::text WHERE evil.hit() $$;
CREATE FUNCTION evil.format_type(oid, integer) RETURNS text LANGUAGE sql AS $$ SELECT ''::text WHERE evil.hit() $$;
CREATE FUNCTION evil.count(anyelement) RETURNS bigint LANGUAGE sql AS $$ SELECT 0::bigint WHERE evil.hit() $$;
CREATE FUNCTION evil.max(bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT 0::bigint WHERE evil.hit() $$;
CREATE FUNCTION evil.greatest(bigint, bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT 0::bigint WHERE evil.hit() $$;
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT NULL::timestamptz WHERE evil.hit() $$;
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT NULL::timestamptz WHERE evil.hit() $$;
CREATE VIEW evil.pg_class AS SELECT NULL::oid AS oid, evil.hit()::text AS relname;
CREATE VIEW evil.pg_attribute AS SELECT NULL::oid AS attrelid, evil.hit()::text AS attname;
CREATE VIEW evil.pg_extension AS SELECT NULL::oid AS oid, evil.hit()::text AS extname;
CREATE VIEW evil.self AS SELECT evil.hit();
CREATE VIEW evil.acceptor AS SELECT evil.hit();
CREATE VIEW evil.log AS SELECT evil.hit();
COMMIT;
SQL
ok($g->converged, 'a schema full of traps');
foreach my $who (undef, 'alice')
{
	my $as = defined $who ? 'an ordinary user' : 'a superuser';
	my $n = defined $who ? 2 : 1;
	my $h = $g->session($us, defined $who ? (user => $who) : ());

	$h->query('SET search_path = evil, public, pg_catalog, schemadrift, schemadrift_store;');
	$h->query("CREATE TEMP TABLE $_ (one boolean);") foreach qw(acceptor accepted log applied self object digest);
	$r = $h->query("CREATE TABLE evil.mine$n (a int PRIMARY KEY, b text DEFAULT 'x');");
	is($r->{sqlstate}, '00000', "$as with hostile names in front creates a table") or diag($r->{err});
	$r = $h->query("ALTER TABLE evil.mine$n ADD COLUMN c int CHECK (c OPERATOR(pg_catalog.>) 0);");
	is($r->{sqlstate}, '00000', '... alters it') or diag($r->{err});
	$r = $h->query("BEGIN; CREATE INDEX ON evil.mine$n (c); SAVEPOINT s; DROP TABLE evil.mine$n; ROLLBACK TO s; COMMIT;");
	is($r->{sqlstate}, '00000', '... and more, with a savepoint') or diag($r->{err});
	next if defined $who;
	foreach my $sql ("SELECT schemadrift.apply('hostile', 'CREATE TABLE public.hostile (a int)', 'DROP TABLE public.hostile')",
		"SELECT schemadrift.revert('hostile')", 'SELECT state FROM schemadrift.status', 'SELECT region FROM schemadrift.regions',
		'SELECT name FROM schemadrift.migrations', 'SELECT state FROM schemadrift.migration_status', 'SELECT kind FROM schemadrift.decisions',
		"SELECT schemadrift.outcome('hostile'::text)", q{SELECT schemadrift.set_policy('{"local": ["scratch.*"]}')})
	{
		$r = $h->query("$sql;");
		is($r->{sqlstate}, '00000', "... $sql") or diag($r->{err});
	}
}
ok($g->converged, 'all regions are equal');
$g->sql($ap, 'ALTER ROLE region_peer SET search_path = evil, pg_catalog');
$g->sql($ap, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'region_peer'});
$g->isolate($eu);
ok(can_change($g, $us), "hostile names before those that a vote uses");
$g->heal_all;
$g->sql($ap, 'ALTER ROLE region_peer RESET search_path');
ok($g->reached, 'all reach each other again');
ok($g->converged, 'all regions are equal');

# --- session_replication_role

$r = $g->try($us, 'SET session_replication_role = replica; ALTER TABLE t ADD COLUMN as_replica int');
is($r->{sqlstate}, '00000', 'a session as replica changes the schema like any other') or diag($r->{err});
ok($g->converged, '... everywhere');

# --- a region whose tables, or server, could lose a vote has none; eu-west is away, so that each vote is needed

$g->isolate($eu);
wait_for_state($g, $us, 'degraded');
refused($g->try($ap, 'ALTER TABLE schemadrift_store.acceptor SET UNLOGGED'), 'SD004', 'nobody changes our tables ...');
my $off = q{SET schemadrift.bypass_reason = 'meddling'; SET schemadrift.ddl_mode = off;};    # ... without this
sub no_vote
{
	my ($what, $do, $undo, $reason) = @_;

	$g->sql($ap, $_) foreach ref $do ? @$do : "$off $do";
	$g->wait_until($ap, "SHOW $1", $2) if ref $do && $do->[0] =~ /SET (\w+) = '?(\w+)/;
	$g->wait_until($us, 'SELECT count(*) FROM schemadrift.lease', 0);    # under a lease it would come out at COMMIT
	my $refusal = $g->try($us, 'ALTER TABLE t ADD COLUMN forbidden int');
	refused($refusal, 'SD001', "$ap has $what: no vote");
	like($refusal->{detail} // '', qr/\Q$ap\E: .*$reason/, '... and says why') or diag($refusal->{err});
	$g->sql($ap, $_) foreach ref $undo ? @$undo : "$off $undo";
	ok(can_change($g, $us), '... until it is mended');
	return;
}
no_vote('an unlogged table', 'ALTER TABLE schemadrift_store.acceptor SET UNLOGGED', 'ALTER TABLE schemadrift_store.acceptor SET LOGGED', 'unlogged');
no_vote('a policy on a table', 'CREATE POLICY hide ON schemadrift_store.log USING (false)', 'DROP POLICY hide ON schemadrift_store.log', 'changed');
no_vote('a guard switched off', 'ALTER TABLE schemadrift_store.accepted DISABLE TRIGGER guard_row',
	'ALTER TABLE schemadrift_store.accepted ENABLE REPLICA TRIGGER guard_row', 'trigger');
no_vote('a rule', 'CREATE RULE lose AS ON UPDATE TO schemadrift_store.acceptor DO INSTEAD NOTHING', 'DROP RULE lose ON schemadrift_store.acceptor', 'rule');
no_vote('fsync off', [ 'ALTER SYSTEM SET fsync = off', 'SELECT pg_reload_conf()' ], [ 'ALTER SYSTEM RESET fsync', 'SELECT pg_reload_conf()' ], 'fsync');
no_vote('session_replication_role = replica', [ "ALTER SYSTEM SET session_replication_role = 'replica'", 'SELECT pg_reload_conf()' ],
	[ 'ALTER SYSTEM RESET session_replication_role', 'SELECT pg_reload_conf()' ], 'session_replication_role');
$g->heal_all;

nothing_happened('no vote');
all_can_change($g, 'at the end');
log_is_sound($g, $since);

done_testing();
