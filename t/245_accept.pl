# accept_drift(): what one region has of its own becomes the group's.  With a way back, with losses that somebody wants, with new labels of
# enums and what uses them; of objects that drifted in several regions; beside another change; while a region is away.
# Databases of one server are the regions.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use SchemaDrift::Scenario;
use Test::More;

my @three = qw(r1 r2 r3);
my $g = SchemaDrift::Group->new(regions => [@three], databases => 1, conf => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 2s
schemadrift.verify_interval = 0
schemadrift.retry_max_interval = 1s
max_worker_processes = 30
CONF
$g->sql($_, <<'SQL') foreach @three;
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE e AS ENUM ('a');
CREATE TABLE te (a e DEFAULT 'a');
CREATE TABLE l (a int, b text);
CREATE TABLE whole (a int PRIMARY KEY);
CREATE TABLE t (a int);
CREATE TABLE base (a int);
INSERT INTO l VALUES (1, 'x');
SQL
$g->make_group(names => \@three, mode => 'coordinate');

my $off = q{SET schemadrift.bypass_reason = 'a fire'; SET schemadrift.ddl_mode = off;};
my $rows = q{SELECT string_agg(kind || ' ' || identity, ', ' ORDER BY kind, identity) FROM schemadrift_store.drift
	WHERE region = (SELECT region FROM schemadrift_store.self)};
my $known = q{SELECT count(*) FROM schemadrift_store.drift WHERE region = 'r3' AND expected IS NOT NULL AND expected_definition IS NULL};

sub drifted
{
	my ($what, $sql, $objects) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$g->sql('r3', "$off $sql");
	is($g->sql('r3', $rows), $objects, $what);
	ok($g->wait_until('r3', $known, 0), '... and others have told what it should be');
	return;
}

sub equal
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($g->converged(@three), $what);
	return is(join('', map { $g->sql($_, $rows) } @three), '', '... and nobody has drifted');
}

# ---- a way back ----

drifted('a function with another body', q{CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'}, 'function public.f()');
ok($g->wait_until('r1', q{SELECT count(*) FROM schemadrift.drift WHERE region = 'r3'}, 1), 'as others know');
my $down = $g->sql('r1', q{SELECT string_agg(statement, E'\n') FROM schemadrift.repair_plan('r3') WHERE object_type <> 'session'});
like($down, qr/SELECT 1/, 'repair_plan() has the way back');
refused($g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.f()', down => 'no SQL')}), '42601', 'which is to be SQL');
my $version = $g->sql('r3', "SELECT schemadrift.accept_drift('r3', 'public.f()', down => \$down\$$down\$down\$)");
equal('accepted with it');
is($g->sql('r2', 'SELECT f()'), 2, 'others have what r3 had');
$g->sql('r2', "SELECT schemadrift.revert((SELECT name FROM schemadrift.migrations WHERE version = $version))");
equal('reverted');
is(join(' ', map { $g->sql($_, 'SELECT f()') } @three), '1 1 1', 'everywhere it is again what the log said before');

# ---- labels, and what depends on other drift ----

drifted('a new label, and a default that uses it', q{ALTER TYPE e ADD VALUE 'b'; ALTER TABLE te ALTER a SET DEFAULT 'b'}, 'table public.te, type public.e');
my $r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.te')});
refused($r, '55000', 'the default alone could not be made elsewhere');
like($r->{detail}, qr/otherwise: type public\.e\./, 'it says why');
$r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', '*')});
ok($r->{ok}, 'all of it') or diag($r->{err});
like($r->{err}, qr/only new labels of enums are accepted now.*type public\.e/s, 'is the label first');
ok($g->wait_until('r1', q{SELECT count(*) FROM pg_enum WHERE enumtypid = 'e'::regtype}, 2), 'which others get');
is($g->sql('r3', $rows), 'table public.te', 'the rest is drift still');
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', '*')});
equal('then the rest');
is($g->sql('r1', 'INSERT INTO te DEFAULT VALUES RETURNING a'), 'b', 'of which others have what it needs');

drifted('a view of a table of its own', 'CREATE TABLE own (a int); CREATE VIEW of_own AS SELECT a FROM own; CREATE FUNCTION of_rows(own[]) RETURNS int LANGUAGE sql RETURN 1',
	'function public.of_rows(public.own[]), table public.own, view public.of_own');
refused($g->try('r3', "SELECT schemadrift.accept_drift('r3', '$_')"), '55000', "$_ needs the table") foreach 'public.of_own', 'public.of_rows(public.own[])';
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.own')});
$g->sql('r3', "SELECT schemadrift.accept_drift('r3', '$_')") foreach 'public.of_own', 'public.of_rows(public.own[])';
equal('one after the other');

# ---- losses ----

drifted('a column and a table are gone', 'ALTER TABLE l DROP COLUMN b; DROP TABLE whole', 'constraint public.whole.whole_pkey, index public.whole_pkey, table public.l, table public.whole');
$r = $g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.l')});
refused($r, 'SD004', 'data of others is not lost by the way');
like($r->{hint}, qr/loss => 'reason'/, 'but by saying so');
refused($g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'public.l', loss => '')}), '22023', 'with a reason');
$version = $g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.l', loss => 'nobody reads it')});
ok($g->wait_until('r1', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'l'::regclass AND attname = 'b'}, 0), 'then they are lost');
is($g->sql('r1', "SELECT convert_from(substring(body FROM position('\\x0a'::bytea IN body) + 1), 'UTF8')::json->>'loss' FROM schemadrift_store.log WHERE version = $version"),
	'nobody reads it', 'and the log says why');
is($g->sql('r1', 'SELECT count(*) FROM l'), 1, 'nothing else is');
refused($g->try('r1', "SELECT schemadrift.revert((SELECT name FROM schemadrift.migrations WHERE version = $version))"), '55000', 'there is no way back');
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.whole', loss => 'nor that')});
equal('a table, too');
is($g->sql('r2', q{SELECT to_regclass('whole') IS NULL}), 't', 'is gone');

# ---- drifted in several regions, in several ways ----

drifted('a column of r3', 'ALTER TABLE t ADD COLUMN y int', 'table public.t');
$g->sql('r2', "$off ALTER TABLE t ADD COLUMN x text");
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.t')});
ok($g->wait_until('r1', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'y'}, 1), 'who has none of its own gets it');
ok($g->wait_until('r2', 'SELECT state FROM schemadrift.status', 'halted'), 'who has, halts');
is($g->sql('r2', $rows), 'table public.t', 'and keeps what it has');
$g->sql('r2', "$off ALTER TABLE t DROP COLUMN x");
$g->try('r2', 'SELECT schemadrift.retry()');
equal('until it has taken that back');

# ---- beside another change of the same object ----

drifted('a function again', q{CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 3'}, 'function public.f()');
my $first = $g->session('r3');
$first->query('BEGIN; CREATE TABLE never (a int);');
my $accept = $g->session('r3');
$accept->send(q{SELECT schemadrift.accept_drift('r3', 'public.f()');});
ok($g->wait_until('r3', q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT schemadrift.accept_drift%'
	AND pid <> pg_backend_pid()}, 1), 'while who accepts it waits for another change');
$g->sql('r3', "$off CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 4'");
$first->query('ROLLBACK;');
refused($accept->result, '40001', 'somebody changes it again: it is not what he looked at');
is($g->sql('r3', $rows), 'function public.f()', 'it is drift still');
ok($g->wait_until('r3', $known, 0), 'what it is by the log is known');
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.f()')});
equal('once more');
is($g->sql('r1', 'SELECT f()'), 4, 'as it is now');

# ---- a region that is away ----

drifted('an index', 'CREATE INDEX base_a ON base (a)', 'index public.base_a');
$g->sql('r1', 'ALTER DATABASE r2 ALLOW_CONNECTIONS false');
$g->sql('r1', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'r2'});
$g->sql('r3', q{SELECT schemadrift.accept_drift('r3', 'public.base_a')});
ok($g->converged(qw(r1 r3)), 'while a region is away');
$g->sql('r1', 'ALTER DATABASE r2 ALLOW_CONNECTIONS true');
equal('it gets it later');
is($g->sql('r2', q{SELECT to_regclass('base_a') IS NOT NULL}), 't', 'and has it then');

done_testing();
