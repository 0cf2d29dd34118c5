# What goes past every hook, or past the first of them: C code of other extensions, the apply worker of a subscription, catalog DML in a
# transaction that is prepared.  Each is found, gets a dot in the vector, and is rows of drift in every region.
# Two databases of one server are the regions; a third one feeds a table of the second.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use Cwd qw(abs_path);
use PostgreSQL::Test::Utils;
use SchemaDrift::Group;
use SchemaDrift::Scenario;
use Test::More;

my @two = qw(r1 r2);
my $g = SchemaDrift::Group->new(
	regions   => [@two],
	databases => 1,
	conf      => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.verify_interval = 0
max_worker_processes = 30
max_prepared_transactions = 5
wal_level = logical
max_wal_senders = 5
max_replication_slots = 5
wal_retrieve_retry_interval = 200ms
CONF
my $server = $g->region('r1');

# an extension's library, compiled by whoever runs the tests; never installed
my $library = abs_path($PostgreSQL::Test::Utils::tmp_check) . "/past.so";
my ($include) = qx{pg_config --includedir-server} =~ /(.+)/;
system('cc', '-Wall', '-fPIC', '-shared', "-I$include", '-o', $library, "$FindBin::Bin/past/past.c") == 0 or BAIL_OUT('t/past/past.c cannot be compiled');

$g->sql($_, <<"SQL") foreach @two;
CREATE FUNCTION past_define(text) RETURNS void LANGUAGE c STRICT AS '$library', 'past_define';
CREATE FUNCTION past_drop(regclass) RETURNS void LANGUAGE c STRICT AS '$library', 'past_drop';
CREATE FUNCTION past_not_null(regclass, text, bool) RETURNS void LANGUAGE c STRICT AS '$library', 'past_not_null';
CREATE FUNCTION past_comment(regclass, text) RETURNS void LANGUAGE c AS '$library', 'past_comment';
CREATE TABLE t (a int, b text);
CREATE TABLE fed (statement text);
CREATE FUNCTION run_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE NEW.statement; RETURN NEW; END';
CREATE TRIGGER run_it AFTER INSERT ON fed FOR EACH ROW EXECUTE FUNCTION run_it();
ALTER TABLE fed ENABLE ALWAYS TRIGGER run_it;
SQL
$g->make_group(names => [@two], mode => 'coordinate');

my $rows = q{SELECT string_agg(kind || ' ' || identity || ' ' || CASE WHEN expected IS NULL THEN 'extra' WHEN actual IS NULL THEN 'missing'
	ELSE 'changed' END || ' ' || found, ', ' ORDER BY kind, identity) FROM schemadrift_store.drift
	WHERE region = (SELECT region FROM schemadrift_store.self)};
my $seen = q{SELECT string_agg(object_type || ' ' || identity || ' ' || difference || coalesce(' ' || property, ''), ', ' ORDER BY identity) FROM schemadrift.drift
	WHERE region = 'r2'};
my $outside = q{SELECT outside_changes || ' ' || relation FROM schemadrift.version_vectors WHERE region = 'r2'};

# In r2, what was just done there: found there; and in r1 a row of drift and a dot of r2's vector.
sub found
{
	my ($what, $here, $there) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($g->wait_until('r2', $rows, $here), "$what: found") or diag($g->sql('r2', $rows));
	ok($g->wait_until('r1', $seen, $there), '... seen in the other region') or diag($g->sql('r1', $seen));
	ok($g->wait_until('r1', $outside, '1 ahead'), '... whose vector says that it has something of its own') or diag($g->sql('r1', $outside));
	return;
}

sub gone
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($g->wait_until('r2', $rows, ''), "$what: taken back");
	ok($g->wait_until('r1', $outside, '0 equal'), '... and the vectors are equal') or diag($g->sql('r1', $outside));
	return is($g->sql('r2', 'SELECT count(*) FROM schemadrift_store.bypass WHERE settled IS NULL'), 0, '... its dot is settled');
}

# ---- C code ----

ok($g->wait_until('r1', $outside, '0 equal'), 'at first the vectors are equal');
$g->sql('r2', q{SELECT past_define('by_c')});
found('a table that C code makes', 'table public.by_c extra verify', 'table public.by_c extra');
is($g->sql('r2', q{SELECT mode || ':' || author FROM schemadrift_store.bypass WHERE settled IS NULL}), 'found:', 'nobody knows by whom');
$g->sql('r2', q{SELECT past_drop('by_c')});
gone('C code drops it');

$g->sql('r2', q{SELECT past_not_null('t', 'a', true)});
is($g->sql('r2', q{SELECT identity || ' ' || difference FROM schemadrift.verify()}), 'public.t changed', 'a row of a catalog that C code writes: verify() finds it');
found('and then it', 'table public.t changed verify', 'table public.t changed column a: not null');
refused($g->try('r2', 'ALTER TABLE t ADD COLUMN c int'), 'SD008', 'drift like any other');
$g->sql('r2', q{SELECT past_not_null('t', 'a', false)});
$g->sql('r2', q{SELECT * FROM schemadrift.verify()});
gone('and verify() sees that it');

# a change of the same object right after it waits for that look, and is refused; the other regions know nothing of it
$g->sql('r1', 'ALTER TABLE t SET (fillfactor = 50)');
ok($g->converged(@two), 'a table with an option');
my $version = $g->sql('r1', 'SELECT max(version) FROM schemadrift_store.log');
my $superuser = $g->session('r2');
$superuser->query(q{UPDATE pg_class SET reloptions = '{fillfactor=13}' WHERE oid = 't'::regclass;});
refused($superuser->query('ALTER TABLE t RESET (fillfactor);'), 'SD008', 'a change right after catalog DML of the same table');
is($g->sql($_, 'SELECT max(version) FROM schemadrift_store.log'), $version, "$_ has no version of it") foreach @two;
$superuser->query(q{UPDATE pg_class SET reloptions = '{fillfactor=50}' WHERE oid = 't'::regclass;});
ok($superuser->query('ALTER TABLE t RESET (fillfactor);')->{ok}, 'and right after that was taken back by catalog DML it is done');
ok($g->converged(@two), 'everywhere');
$superuser->quit;

# by itself: at the next look
$g->sql('r2', q{SELECT past_comment('t', 'by C')});
$server->sql(q{ALTER SYSTEM SET schemadrift.verify_interval = '1s'}, dbname => 'postgres');
$server->sql('SELECT pg_reload_conf()', dbname => 'postgres');
found('a comment that C code makes, at the next interval', 'table public.t changed verify', 'table public.t changed comment');
$g->sql('r2', q{SELECT past_comment('t', NULL)});
gone('the same way it');
$server->sql(q{ALTER SYSTEM SET schemadrift.verify_interval = 0}, dbname => 'postgres');
$server->sql('SELECT pg_reload_conf()', dbname => 'postgres');
ok($g->wait_until($_, 'SHOW schemadrift.verify_interval', 0), "$_ looks by itself no more") foreach @two;

# ---- catalog DML in a transaction that is prepared ----

my $verified = q{SELECT coalesce(extract(epoch FROM verified_at), 0) FROM schemadrift_store.regions() WHERE region = 'r2'};
my $dml = q{UPDATE pg_attribute SET attnotnull = %s WHERE attrelid = 't'::regclass AND attname = 'a'};

$g->sql('r2', 'BEGIN; ' . sprintf($dml, 'true') . q{; PREPARE TRANSACTION 'dml'});
$g->sql('r2', q{SELECT * FROM schemadrift.verify()});
is($g->sql('r2', $rows), '', 'prepared, it is not there yet');
$g->sql('r2', q{COMMIT PREPARED 'dml'});
found('its commit by another session', 'table public.t changed verify', 'table public.t changed column a: not null');
$g->sql('r2', 'BEGIN; ' . sprintf($dml, 'false') . q{; PREPARE TRANSACTION 'back'});
$server->restart;
ok($g->reached(@two), 'a restart');
$g->sql('r2', q{SELECT * FROM schemadrift.verify()});
is($g->sql('r2', $rows), 'table public.t changed verify', 'what was prepared before it is not there yet');
$g->sql('r2', q{COMMIT PREPARED 'back'});
gone('its commit after the restart is looked at, too: it');

# when none is left that did such a thing, others cost nothing
$g->sql('r2', q{BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'rows'});
my $before = $g->sql('r2', $verified);
$g->sql('r2', q{COMMIT PREPARED 'rows'});
$g->sql('r2', 'CREATE TABLE later (a int)');
ok($g->converged(@two), 'a prepared transaction with rows alone, and a change');
is($g->sql('r2', $verified), $before, '... has nothing looked at');

# ---- the apply worker of a subscription ----

$server->sql('CREATE DATABASE feed', dbname => 'postgres');
$server->sql('CREATE TABLE fed (statement text); CREATE PUBLICATION p FOR TABLE fed', dbname => 'feed');
$server->sql(q{SELECT pg_create_logical_replication_slot('feed', 'pgoutput')}, dbname => 'feed');
my $conninfo = $g->conninfo('r2') =~ s/dbname=\S+/dbname=feed/r;
my $user = $g->sql('r2', 'SELECT current_user');
$conninfo =~ s/user=\S+/user=$user/;
$g->sql('r2', "CREATE SUBSCRIPTION s CONNECTION '$conninfo' PUBLICATION p WITH (create_slot = false, slot_name = 'feed', copy_data = false)");

sub feed
{
	my ($statement) = @_;

	return $server->sql("INSERT INTO fed VALUES (\$feed\$$statement\$feed\$)", dbname => 'feed');
}

my $started = $server->sql('SELECT pg_postmaster_start_time()', dbname => 'postgres');
feed('CREATE TABLE public.by_feed (a int)');
found('DDL of a trigger in an apply worker', 'table public.by_feed extra verify', 'table public.by_feed extra');
is($g->sql('r1', q{SELECT to_regclass('by_feed') IS NULL}), 't', 'which is in no version of the log');
feed('DROP TABLE public.by_feed');
gone('and with DROP there it');
feed('ALTER TABLE public.t ADD COLUMN fed int; COMMENT ON TABLE public.t IS $$fed$$');
found('several at once', 'table public.t changed verify', 'table public.t changed column fed, comment');
feed('ALTER TABLE public.t DROP COLUMN fed; COMMENT ON TABLE public.t IS NULL');
gone('also');
feed(q{SELECT public.past_define('by_both')});
found('C code in an apply worker', 'table public.by_both extra verify', 'table public.by_both extra');
feed(q{SELECT public.past_drop('public.by_both')});
gone('and that');
is($server->sql('SELECT pg_postmaster_start_time()', dbname => 'postgres'), $started, 'no process of the server was harmed');
$g->sql('r2', 'ALTER TABLE t ADD COLUMN c int');
ok($g->converged(@two), 'and regions change their schemas as ever');

# ---- vectors that are long, last: for them origins in the log are given other names ----

my $many = $g->session('r1');
$many->query("COMMENT ON TABLE t IS '$_';") foreach 1 .. 70;
cmp_ok(head($g, 'r1'), '>', 70, 'many versions');
ok($g->converged(@two), 'seventy versions');

# As of 32 regions with names of 60 bytes; in so many lives.
sub vectors_of
{
	my ($lives) = @_;

	$g->sql($_, "UPDATE schemadrift_store.log SET origin = rpad('region-' || version % 32 || '-', 60, 'x'), incarnation = 1 + version / 32 % $lives") foreach @two;
	$server->restart;
	return ok($g->reached(@two), "32 regions of $lives lives");
}

my $length = q{SELECT coalesce(length(vector::text) > 2000, false) || ' ' || relation FROM schemadrift.version_vectors WHERE region = 'r2'};
vectors_of(1);
ok($g->wait_until('r1', $length, 'true equal'), 'two thousand bytes are told') or diag($g->sql('r1', $length));
vectors_of(3);
ok($g->wait_until('r1', $length, 'false unknown'), 'what is too long is not told, and that is said') or diag($g->sql('r1', $length));
is($g->sql('r1', q{SELECT relation FROM schemadrift.regions WHERE region = 'r2'}), 'unknown', '... in view regions, too');

done_testing();
