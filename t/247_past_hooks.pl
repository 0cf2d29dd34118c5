# What goes past every hook, or past the first of them: C code of other extensions, the apply worker of a subscription, catalog DML in a
# transaction that is prepared, or in that of a change, which is refused.  Each of the others is found, gets a dot in the vector, and is rows of drift in every region.
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
use Time::HiRes 'time';

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

# a look that finds something while somebody changes the schema cannot write it down, and is made again
$g->sql('r1', 'ALTER TABLE t SET (fillfactor = 50)');
ok($g->converged(@two), 'a table with an option');
my $other = $g->session('r2');
$superuser = $g->session('r2');
ok($other->query('BEGIN; CREATE TABLE by_other (a int);')->{ok}, 'a change is open');
$superuser->query(q{UPDATE pg_class SET reloptions = '{fillfactor=13}' WHERE oid = 't'::regclass;});
ok($g->wait_until('r2', q{SELECT count(*) FROM schemadrift.alerts WHERE id = 'unverified' AND region = 'r2'}, 1), '... so what goes past it is not looked at to the end');
$other->query('ROLLBACK;');
found('and then it', 'table public.t changed verify', 'table public.t changed options');
ok($g->wait_until('r2', q{SELECT count(*) FROM schemadrift.alerts WHERE id = 'unverified'}, 0), '... the alert is over');
$superuser->query(q{UPDATE pg_class SET reloptions = '{fillfactor=50}' WHERE oid = 't'::regclass;});
gone('and taken back it');
$g->sql('r1', 'ALTER TABLE t RESET (fillfactor)');
ok($g->converged(@two), 'everywhere');
$_->quit foreach $other, $superuser;

# ---- catalog DML in the transaction of a change ----

$g->sql('r1', q{CREATE TABLE c (a int, b text); CREATE INDEX c_a ON c (a); CREATE VIEW v AS SELECT a FROM c; COMMENT ON COLUMN c.a IS 'a'});
$g->sql('r1', q{SELECT schemadrift.apply('by_function', $$CREATE FUNCTION by_function() RETURNS void LANGUAGE plpgsql AS
	'BEGIN UPDATE pg_class SET reloptions = ''{fillfactor=13}'' WHERE oid = ''c''::regclass; END'$$, 'DROP FUNCTION by_function()')});
ok($g->converged(@two), 'a table with an index, a view and a comment');
my $option = q{UPDATE pg_class SET reloptions = '{fillfactor=13}' WHERE oid = 'c'::regclass};
my $comment = q{'c'::regclass, 'pg_class'::regclass, 0, 'by hand'};
my $log = q{SELECT max(version) FROM schemadrift_store.log};

# Neither is done, and no region has a version of it.
sub not_both
{
	my ($what, $sql, $detail) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $head = $g->sql('r2', $log);
	my $r = $g->try('r2', "BEGIN; $sql; COMMIT");
	refused($r, 'SD004', "$what: refused");
	like($r->{detail}, $detail, '... by what, and what it wrote') or diag($r->{err});
	is($g->sql($_, $log), $head, "... $_ has no version of it") foreach @two;
	return;
}

# The regions come to the same.
sub both
{
	my ($what, $sql) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = $g->try('r2', $sql);
	ok($r->{ok}, "$what: done") or diag($r->{err});
	ok($g->converged(@two), '... everywhere');
	is($g->sql('r2', q{SELECT count(*) FROM schemadrift.verify()}), 0, '... and there is nothing else');
	return;
}

not_both('UPDATE, then DDL', "$option; ALTER TABLE c ADD x int", qr/^UPDATE wrote to pg_catalog\.pg_class: table c\.\n.*the change \(ALTER TABLE\)/ms);
not_both('DDL, then UPDATE', q{ALTER TABLE c ADD x int; UPDATE pg_attribute SET attnotnull = true WHERE attrelid = 'c'::regclass AND attname IN ('a', 'x')},
	qr/^UPDATE wrote to pg_catalog\.pg_attribute: column a of table c, column x of table c\.$/m);
not_both('of another table', "$option; CREATE TABLE c2 (a int)", qr/pg_class: table c\.\n.*CREATE TABLE/ms);
not_both('DELETE', q{ALTER TABLE c ADD x int; DELETE FROM pg_depend WHERE refobjid = 'c'::regclass AND classid = 'pg_rewrite'::regclass}, qr/^DELETE wrote to pg_catalog\.pg_depend: rule _RETURN on view v\.$/m);
not_both('of rows that DDL made', q{CREATE TABLE c2 (a int); DELETE FROM pg_depend WHERE objid = 'c2'::regclass}, qr/pg_depend: table c2\.$/m);
not_both('INSERT', "INSERT INTO pg_description VALUES ($comment); ALTER TABLE c ADD x int", qr/^INSERT wrote to pg_catalog\.pg_description: table c\.$/m);
not_both('MERGE', q{MERGE INTO pg_class USING (VALUES ('c'::regclass)) AS w (o) ON oid = o WHEN MATCHED THEN UPDATE SET reloptions = '{fillfactor=13}'; ALTER TABLE c ADD x int},
	qr/^MERGE wrote to pg_catalog\.pg_class: table c\.$/m);
not_both('COPY', q{COPY pg_description FROM PROGRAM 'echo } . $g->sql('r2', q{SELECT 'c'::regclass::oid || ',' || 'pg_class'::regclass::oid}) . q{,0,copied' (FORMAT csv); ALTER TABLE c ADD x int},
	qr/^COPY wrote to pg_catalog\.pg_description: table c\.$/m);
not_both('in a query', "WITH w AS ($option RETURNING 1) SELECT * FROM w; ALTER TABLE c ADD x int", qr/^SELECT wrote to pg_catalog\.pg_class: table c\.$/m);
not_both('in DO', "DO \$\$ BEGIN $option; END \$\$; ALTER TABLE c ADD x int", qr/^UPDATE wrote to pg_catalog\.pg_class: table c\.$/m);
not_both('in a function', 'ALTER TABLE c ADD x int; SELECT by_function()', qr/^UPDATE wrote to pg_catalog\.pg_class: table c\.$/m);
not_both('both of them in DO', "DO \$\$ BEGIN ALTER TABLE c ADD x int; $option; END \$\$", qr/^UPDATE wrote to pg_catalog\.pg_class: table c\.$/m);
not_both('before apply()', "$option; SELECT schemadrift.apply('too_much', 'ALTER TABLE c ADD x int')", qr/pg_class: table c\.\n.*the change \(too_much\)/ms);
not_both('before revert()', "$option; SELECT schemadrift.revert('by_function')", qr/pg_class: table c\.$/m);
not_both('several commands, many objects', q{UPDATE pg_class SET relacl = NULL WHERE relname ~ '^pg_stat'; UPDATE pg_enum SET enumlabel = enumlabel; INSERT INTO pg_description VALUES ('c'::regclass, 'pg_class'::regclass, 1234, 'x');
	DELETE FROM pg_description WHERE objsubid = 1234; ALTER TABLE c ADD x int},
	qr/\AUPDATE wrote to pg_catalog\.pg_class: (?:(?:table|view|index) \w+, ){5}and others\.\nINSERT wrote to pg_catalog\.pg_description: .*c\.\nDELETE wrote to pg_catalog\.pg_description: .*c\.\nOther/);

both('rolled back to a savepoint', "BEGIN; SAVEPOINT s; $option; ROLLBACK TO s; ALTER TABLE c ADD x1 int; COMMIT");
both('rolled back by a handler', "DO \$\$ BEGIN ALTER TABLE c ADD x2 int; BEGIN $option; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END; END \$\$");
not_both('what was released is not', "SAVEPOINT s; $option; RELEASE s; ALTER TABLE c ADD x int; SAVEPOINT s; $option; ROLLBACK TO s", qr/^UPDATE wrote to pg_catalog\.pg_class: table c\.$/m);
both('no row', "BEGIN; $option AND false; ALTER TABLE c ADD x3 int; COMMIT");
both('only shown', "BEGIN; EXPLAIN $option; ALTER TABLE c ADD x4 int; COMMIT");
both('rows that are in no definition', q{BEGIN; INSERT INTO c VALUES (1); DELETE FROM pg_statistic WHERE starelid = 'c'::regclass; SELECT lo_from_bytea(4711, 'x'); UPDATE pg_largeobject SET data = 'y' WHERE loid = 4711;
	UPDATE pg_largeobject_metadata SET lomacl = NULL; UPDATE information_schema.sql_features SET comments = NULL WHERE feature_id = 'T031'; ALTER TABLE c ADD x5 int; SELECT lo_unlink(4711); COMMIT});
both('DDL that is taken back by itself', "BEGIN; SAVEPOINT s; ALTER TABLE c ADD x int; ROLLBACK TO s; UPDATE pg_class SET reloptions = reloptions WHERE oid = 'c'::regclass; COMMIT");
both('DDL that does nothing', "BEGIN; CREATE TABLE IF NOT EXISTS c (a int); UPDATE pg_class SET reloptions = reloptions WHERE oid = 'c'::regclass; COMMIT");
both('in a text that all run', "SELECT schemadrift.apply('all_run_it', \$\$ALTER TABLE c ADD x6 int; $option\$\$)");
is($g->sql('r1', q{SELECT reloptions FROM pg_class WHERE oid = 'c'::regclass}), '{fillfactor=13}', '... and all have it');
both('with the policy', q{BEGIN; UPDATE pg_class SET reloptions = reloptions WHERE oid = 'c'::regclass; SELECT schemadrift.set_policy('{"on_caution": "warn"}'); COMMIT});

# scripts of extensions write catalogs, and run wherever the statement is run; event triggers, too
SKIP:
{
	skip 'no contrib modules here', 12 if $g->sql('r1', q{SELECT count(*) FROM pg_available_extensions WHERE name IN ('btree_gist', 'seg')}) < 2;
	both('an extension whose script writes catalogs', 'CREATE EXTENSION btree_gist; CREATE EXTENSION seg VERSION \'1.1\'');
	both('... and that of its update', 'BEGIN; ALTER EXTENSION seg UPDATE; ALTER TABLE c ADD x7 int; COMMIT');
	both('... and it goes', 'DROP EXTENSION seg, btree_gist');
	not_both('... beside one', "CREATE EXTENSION seg; $option", qr/\AUPDATE wrote to pg_catalog\.pg_class: table c\.\n.*the change \(CREATE EXTENSION\)/);
}
$g->sql('r1', q{CREATE FUNCTION marks() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE pg_class SET reloptions = '{fillfactor=14}' WHERE oid = 'c'::regclass; END $$});
$g->sql('r1', q{CREATE EVENT TRIGGER marks ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION marks()});
both('an event trigger that writes to the catalog of another table', 'CREATE TABLE c3 (a int)');
is($g->sql($_, q{SELECT reloptions FROM pg_class WHERE oid = 'c'::regclass}), '{fillfactor=14}', "... in $_, too") foreach @two;
$g->sql('r1', 'DROP EVENT TRIGGER marks');

# by itself it is drift as before, and with COPY, too; outside of the log nothing is refused
ok($g->converged(@two), 'no event trigger any more');
$g->sql('r2', q{COPY pg_description FROM PROGRAM 'echo } . $g->sql('r2', q{SELECT 'c'::regclass::oid || ',' || 'pg_class'::regclass::oid}) . q{,0,copied' (FORMAT csv)});
found('COPY to a catalog', 'table public.c changed verify', 'table public.c changed comment');
$g->sql('r2', q{DELETE FROM pg_description WHERE objoid = 'c'::regclass AND objsubid = 0});
gone('by DML it');
ok($g->try('r2', "SET schemadrift.bypass_reason = 'both'; SET schemadrift.ddl_mode = off; BEGIN; $option; ALTER TABLE c ADD y int; COMMIT")->{ok}, 'in mode off a transaction may have both');
ok($g->wait_until('r2', $rows, 'table public.c changed bypass'), '... it is drift') or diag($g->sql('r2', $rows));
$g->sql('r2', q{SET schemadrift.bypass_reason = 'back'; SET schemadrift.ddl_mode = off; BEGIN; ALTER TABLE c DROP y; UPDATE pg_class SET reloptions = '{fillfactor=14}' WHERE oid = 'c'::regclass; COMMIT});
gone('the same way it');
is($g->sql('r2', $rows), '', 'no drift is left');
ok($g->try('r1', 'DROP TABLE c3; ALTER TABLE c RESET (fillfactor)')->{ok} && $g->converged(@two), 'and both regions go on');

# what calls for one look after another keeps a change from waiting for more than the look that was called for when it began
my $file = $g->sql('r2', q{SELECT pg_relation_filenode('c_a')});
my $endless = $g->session('r2');
$endless->send(q{SELECT 'REINDEX INDEX c_a' FROM generate_series(1, 1000000) \gexec});
ok($g->wait_until('r2', "SELECT pg_relation_filenode('c_a') <> $file", 't'), 'endless REINDEX');
my @took;
foreach my $i (1 .. 5)
{
	my $start = time();
	ok($g->try('r2', "ALTER TABLE c ADD COLUMN beside$i int")->{ok}, 'a change beside endless REINDEX');
	push @took, time() - $start;
}
$file = $g->sql('r2', q{SELECT pg_relation_filenode('c_a')});
ok($g->wait_until('r2', "SELECT pg_relation_filenode('c_a') <> $file", 't'), '... which goes on still');
cmp_ok((sort { $a <=> $b } @took)[0], '<', 4, '... does not wait as long as it would at most (5 s)') or diag("@took");
$endless->terminate;
ok($g->converged(@two), 'everywhere');

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
