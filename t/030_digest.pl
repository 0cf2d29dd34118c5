# Digests of the schema: what is kept after a change is what a full scan finds, a restored dump has the same digests, and
# nothing of this ever waits for a lock on a user's object.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use SchemaDrift::Net;
use SchemaDrift::Region;

my $region = SchemaDrift::Region->make(SchemaDrift::Net->new, 'digest', conf => "max_worker_processes = 30\n");
$region->start;

my $scan = q{SELECT kind || ' ' || identity || E'\n' || definition FROM schemadrift_store.digest_scan() ORDER BY 1};

sub sql
{
	my ($db, $sql) = @_;
	return $region->safe_psql($db, $sql);
}

sub make_database
{
	my ($db, $options) = @_;
	sql('postgres', "CREATE DATABASE $db TEMPLATE template0 " . ($options // ''));
	sql($db, 'CREATE EXTENSION schemadrift');
	sql($db, <<'SQL');
CREATE FUNCTION schemadrift_store.step(sql text, OUT kind text, OUT identity text, OUT dropped boolean)
	RETURNS SETOF record LANGUAGE c AS 'schemadrift', 'sd_testing_digest_step';
CREATE PROCEDURE schemadrift_store.check_step(sql text, seen boolean DEFAULT false) LANGUAGE plpgsql AS $$
DECLARE
	kept bytea := schemadrift_store.digest_root();
BEGIN
	PERFORM schemadrift_store.step(sql);
	IF seen AND kept = schemadrift_store.digest_root() THEN
		RAISE WARNING 'the digest does not see: %', sql;
	END IF;
	kept := schemadrift_store.digest_root();
	IF kept IS DISTINCT FROM schemadrift_store.digest_rebuild() THEN
		RAISE WARNING 'digests differ after: %', sql;
	END IF;
END $$;
SELECT schemadrift_store.digest_rebuild();
SQL
	return;
}

sub lines
{
	my ($file) = @_;
	return grep { /^[^-\s]/ } split /\n/, slurp_file($file);
}

# Kept digests equal a full scan's after each of these.  Of what is new in a major, each has its own digest.
sub check_steps
{
	my ($db, $what, @statements) = @_;
	my ($out, $err);
	my $seen = $what =~ /^new/ ? 'true' : 'false';
	my $status = $region->psql($db, join('', map { 'CALL schemadrift_store.check_step($step$' . s/;\s*$//r . "\$step\$, $seen);\n" } @statements),
		stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=terse' ]);
	my @wrong = grep { /WARNING|ERROR/ } split /\n/, $err;
	is("$status:" . join("\n", @wrong), '0:', "$what: after each of " . @statements . ' changes, kept digests are true');
	return;
}

my @changes = lines('t/digest/changes.sql');
my @schema  = lines('t/digest/schema.sql');
my $tries   = 0;

make_database('kept');
check_steps('kept', 'changes', @changes);
check_steps('kept', 'schema',  @schema);

# what this major, and each before it, brought
my ($major) = sql('postgres', 'SHOW server_version_num') =~ /^(..)/;
my @news = map { s/.*changes-//r =~ s/\.sql//r } sort glob 't/digest/changes-*.sql';
my %news = map { $_ => [ lines("t/digest/changes-$_.sql") ] } grep { $_ <= $major } @news;
check_steps('kept', "new in $_", @{ $news{$_} }) foreach sort keys %news;

# what a rolled-back subtransaction touched may stay in the set
check_steps('kept', 'savepoint', <<'SQL');
DO $$ BEGIN CREATE TABLE stays (a int); BEGIN CREATE TABLE goes (a int); ALTER TABLE stays ADD b int; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END; END $$
SQL
# and what it dropped is there again
check_steps('kept', 'savepoint', 'CREATE TABLE back (a int PRIMARY KEY DEFAULT 1 CHECK (a > 0)); CREATE VIEW backv AS SELECT a FROM back',
	map { "DO \$\$ BEGIN $_; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN ALTER TABLE back SET (fillfactor = " . (50 + ++$tries) . "); END \$\$" }
	  'DROP TABLE back CASCADE', 'ALTER TABLE back ALTER a DROP DEFAULT', 'ALTER TABLE back DROP CONSTRAINT back_a_check',
	'ALTER TABLE back RENAME TO elsewhere', 'DROP VIEW backv; DROP TABLE back; CREATE TABLE back (b int)');

# REINDEX CONCURRENTLY is local: nobody tells that the index has another OID now
sql('kept', 'CREATE TABLE r (a int PRIMARY KEY, b int); CREATE INDEX rb ON r (b); SELECT schemadrift_store.digest_rebuild()');
sql('kept', 'REINDEX TABLE CONCURRENTLY r');
check_steps('kept', 'reindexed', 'ALTER INDEX rb RENAME TO rbb');
sql('kept', 'REINDEX TABLE CONCURRENTLY r');
check_steps('kept', 'reindexed', 'DROP INDEX rbb', 'DROP TABLE r');

# names swapped within one transaction
check_steps('kept', 'swap',
	'DO $$ BEGIN CREATE TABLE s1 (a int PRIMARY KEY); CREATE TABLE s2 (b text); END $$',
	'DO $$ BEGIN ALTER TABLE s1 RENAME TO s3; ALTER TABLE s2 RENAME TO s1; ALTER TABLE s3 RENAME TO s2; END $$');

# --- copies ---

sub same_as_copy
{
	my ($db, $what, $options) = @_;
	my $dump = "$PostgreSQL::Test::Utils::tmp_check/$db.sql";

	sql('postgres', 'DROP DATABASE IF EXISTS copy');
	sql('postgres', "CREATE DATABASE copy TEMPLATE template0 $options");
	command_ok([ 'pg_dump', '--schema-only', '--port', $region->port, '--host', $region->host, '--file', $dump, $db ],
		"$what: dumped");
	my ($out, $err);
	$region->psql('copy', "\\i $dump", stdout => \$out, stderr => \$err);
	is($err, '', "$what: restored");
	is($region->safe_psql('copy', $scan, extra_params => ['-q']), sql($db, $scan), "$what: a restored copy has the same definitions");
	is( sql('copy', 'SELECT schemadrift_store.digest_rebuild()'),
		sql($db,    'SELECT schemadrift_store.digest_rebuild()'),
		"$what: and the same digest");
	return;
}

make_database('original', q{ENCODING 'UTF8'});
sql('original', join "\n", @schema);
same_as_copy('original', 'schema', q{ENCODING 'UTF8'});
if (%news)
{
	sql('original', join "\n", map { @{ $news{$_} } } sort keys %news);
	same_as_copy('original', "new until $major", q{ENCODING 'UTF8'});
}

# the list of changes, stopped at points where much exists
my $rest = join "\n", @changes;
my $n = 0;
foreach my $stop (qr/^CREATE AGGREGATE /m, qr/^ALTER TABLE app.part ATTACH PARTITION app.part2 /m, qr/^CREATE VIEW app.rf /m,
	qr/^ALTER SCHEMA app RENAME/m, qr/^ALTER TABLE application.tt REPLICA IDENTITY DEFAULT/m)
{
	$rest =~ $stop or die "no such statement: $stop\n";
	my $next = index $rest, "\n", $-[0];
	sql('original', substr $rest, 0, $next);
	$rest = substr $rest, $next;
	same_as_copy('original', 'stop ' . ++$n, q{ENCODING 'UTF8'});
}

# another encoding and locale: definitions are hashed in UTF-8
sql('postgres', 'DROP DATABASE copy');
sql('postgres', q{CREATE DATABASE copy TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'});
$region->psql('copy', "\\i $PostgreSQL::Test::Utils::tmp_check/original.sql");
is( sql('copy', 'SELECT schemadrift_store.digest_rebuild()'),
	sql('original', 'SELECT schemadrift_store.digest_rebuild()'),
	'the same digest in another encoding');

# --- locks ---

my $holder = $region->session(dbname => 'original');
$holder->query('BEGIN;');
$holder->query(<<'SQL');
DO $$ DECLARE r record; BEGIN
	FOR r IN SELECT oid::regclass AS name FROM pg_class
			 WHERE relkind IN ('r', 'p', 'v') AND relnamespace::regnamespace::text IN ('x', 'app', 'application', 'public')
	LOOP EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', r.name); END LOOP;
	FOR r IN SELECT oid::regclass AS name FROM pg_class WHERE relkind = 'm'
	LOOP EXECUTE format('ALTER MATERIALIZED VIEW %s SET (fillfactor = 90)', r.name); END LOOP;
	FOR r IN SELECT oid::regclass AS name FROM pg_class WHERE relkind IN ('i', 'I') AND relnamespace::regnamespace::text IN ('x', 'app', 'application')
	LOOP BEGIN EXECUTE format('ALTER INDEX %s RESET (fillfactor)', r.name); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP;
END $$;
SQL
cmp_ok(sql('original', "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = 'original')"),
	'>', 50, 'another session holds the strongest lock on everything');
my ($status, $out, $err) = (0, '', '');
$status = $region->psql('original', "SET lock_timeout = 1; SELECT count(*) > 100 FROM schemadrift_store.digest_scan(); SELECT schemadrift_store.digest_rebuild() IS NOT NULL",
	stdout => \$out, stderr => \$err);
is("$status:$out:$err", "0:t\nt:", 'a scan waits for none of it');
is($holder->query('ROLLBACK;')->{sqlstate}, '00000', 'the holder ends');

# a change of one object whose dependents another session has locked
sql('original', 'CREATE TABLE x.hub (id int PRIMARY KEY, name text); CREATE TABLE x.spoke (id int REFERENCES x.hub, h x.hub);
	CREATE VIEW x.rim AS SELECT s.id, (s.h).name FROM x.spoke s; SELECT schemadrift_store.digest_rebuild()');
$holder->query('BEGIN;');
is($holder->query('LOCK TABLE x.spoke, x.rim IN ACCESS EXCLUSIVE MODE;')->{sqlstate}, '00000', 'dependents are locked');
$status = $region->psql('original', q{SET lock_timeout = 1; SELECT string_agg(identity, ' ' ORDER BY kind) FROM
	schemadrift_store.step('ALTER TABLE x.hub RENAME COLUMN name TO label') WHERE kind IS NOT NULL}, stdout => \$out, stderr => \$err);
is("$status:$out:$err", '0:x.hub x.rim:', 'their digests follow without waiting');
$holder->query('ROLLBACK;');
$holder->quit;

# --- the same whatever a session's settings are ---

sub root_with
{
	my ($settings) = @_;
	return sql('original', "SET client_min_messages = error; $settings; SELECT encode(schemadrift_store.digest_rebuild(), 'hex')");
}
my $plain = root_with('SELECT 1 WHERE false');
is(root_with($_), $plain, "not changed by: $_")
  foreach "SET search_path = x, app, public", "SET search_path = ''", "SET \"DateStyle\" = 'German, DMY'", "SET \"TimeZone\" = 'Asia/Kathmandu'",
  "SET \"IntervalStyle\" = 'iso_8601'", "SET bytea_output = 'escape'", "SET extra_float_digits = -5", "SET quote_all_identifiers = on",
  "SET lc_monetary = 'C'", "SET xmlbinary = 'hex'", "SET session_replication_role = replica", "SET enable_seqscan = off";

# --- in a group, by way of the gate: plain DDL, and the policy's local objects ---

make_database('grouped');
sql('grouped', "SELECT schemadrift.init('one', 'port=" . $region->port . " dbname=grouped')");
my $kept_is_true = q{SELECT (SELECT digest FROM schemadrift_store.applied) = schemadrift_store.digest_root()
	AND schemadrift_store.digest_root() = schemadrift_store.digest_rebuild()};
my $listed = q{SELECT string_agg(identity, ' ' ORDER BY identity) FROM schemadrift_store.object WHERE kind = 'table'};
my $wrong = '';
foreach my $statement (@schema)
{
	# one transaction each, as psql sends them
	my $answer = sql('grouped', "SET client_min_messages = error;\n$statement\n$kept_is_true");
	$wrong .= "$statement\n" if $answer ne 't';
}
is($wrong, '', 'the gate collects what ' . @schema . ' changes touch');
sql('grouped', 'DROP SCHEMA x CASCADE; DROP TABLE IF EXISTS "Odd Name" CASCADE; CREATE SCHEMA scratch; CREATE TABLE scratch.a (id int PRIMARY KEY); CREATE TABLE b (id int)');
is(sql('grouped', $listed), 'public.b scratch.a', 'before the policy');
sql('grouped', q{SELECT schemadrift.set_policy('{"local": ["scratch.*"]}')});
sql('grouped', 'CREATE TABLE scratch.c (id int)');
sql('grouped', 'CREATE TABLE d (id int)');
is(sql('grouped', $listed), 'public.b public.d', 'local objects are left out from the next change on');
my $version = sql('grouped', 'SELECT version FROM schemadrift_store.applied');
sql('grouped', 'ALTER DEFAULT PRIVILEGES IN SCHEMA scratch GRANT SELECT ON TABLES TO PUBLIC');
is(sql('grouped', 'SELECT version FROM schemadrift_store.applied'), $version, 'default privileges in a local schema are local, too');
sql('grouped', 'ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC; GRANT INSERT ON d TO PUBLIC; COMMENT ON TABLE d IS \'x\'');
is( sql('grouped', q{SELECT string_agg(identity, ', ' ORDER BY identity) FROM schemadrift_store.object WHERE kind = 'default privileges'}) =~ s/role "[^"]*"/role/r,
	'for role in schema public on tables', 'and in no digest');
is(sql('grouped', $kept_is_true), 't', 'and everywhere alike');

$region->stop;
done_testing();
