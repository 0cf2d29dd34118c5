# What an adversary thinks of: errors after the own vote, names that no index takes, savepoints around everything,
# cancels of everything in sight, databases that cannot hold the group's texts.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use Test::More;

use SchemaDrift::Group;
use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(regions => [qw(us eu ap)], databases => 1,
	conf => "schemadrift.heartbeat_interval = 200ms\nschemadrift.lock_timeout = 1s\n");
my $server = $g->region('us');

$g->make_group(mode => 'coordinate');
my $since = 1 + head($g, 'us');

sub fails
{
	my ($name, $sql, $state, $pattern, $what) = @_;
	my $r = $g->try($name, $sql);

	is($r->{sqlstate}, $state, "$what: SQLSTATE");
	like($r->{err}, $pattern, $what);
	return $r;
}

sub exists_everywhere
{
	my ($table) = @_;

	return join ' ', map { $g->sql($_, "SELECT to_regclass('$table') IS NOT NULL") } $g->names;
}

# --- PostgreSQL fails after our own vote: at that time nobody may be told that nothing happened
my $r;
my $id = begun($g, 'us', sub {
	$r = fails('us', q{BEGIN; CREATE TEMP TABLE a (i int PRIMARY KEY) ON COMMIT DELETE ROWS;
		CREATE TEMP TABLE b (i int REFERENCES a) ON COMMIT PRESERVE ROWS; CREATE TABLE public.doubtful (i int); COMMIT},
		'40003', qr/may have been accepted.*unsupported ON COMMIT/s, 'an error between the own vote and the commit record is an unknown outcome');
});
like($r->{err}, qr/outcome\('$id'\)/, 'which names the entry');
# One other has accepted it: whether the settlement hears of that depends on which two of three answer first.
my $settled = settles($g, $id);
like($settled, qr/^(?:applied|rejected)$/, 'it is settled');
is(exists_everywhere('public.doubtful'), $settled eq 'applied' ? 't t t' : 'f f f', 'and the table is in every region, or in none');

# --- a name that the log's index cannot hold would have been accepted, and then learned by nobody
my $long = join '', map { sprintf '%08x', $_ * 2654435761 % 2**32 } 1 .. 400;
fails('eu', "SET schemadrift.migration_name = '$long'; CREATE TABLE public.poison ()", '22023', qr/1 to 200 bytes/,
	'a name that is too long for plain DDL');
fails('eu', qq{BEGIN; CREATE TABLE public.poison (); SET LOCAL schemadrift.migration_name = '$long'; COMMIT}, '22023',
	qr/1 to 200 bytes/, 'set after the first statement it is refused at the commit');
fails('eu', "SET schemadrift.migration_name = E'a\\nb'; CREATE TABLE public.poison ()", '22023', qr/control characters/,
	'control characters in a name for plain DDL');
$g->sql('us', "SET schemadrift.migration_name = 'once'; CREATE TABLE public.once ()");
fails('eu', "SET schemadrift.migration_name = 'once'; CREATE TABLE public.twice ()", 'SD007', qr/"once" is version \d+ already/,
	'a name that is used');
is(exists_everywhere('public.poison') . ' ' . exists_everywhere('public.twice'), 'f f f f f f', 'nothing of that happened');

# --- one transaction, several beginnings
$g->sql('us', q{BEGIN; SAVEPOINT s; SELECT schemadrift.apply('undone', 'CREATE TABLE public.undone ()'); ROLLBACK TO s;
	CREATE TABLE public.kept (); COMMIT});
is($g->sql('us', q{SELECT schemadrift.outcome('undone')}), 'rejected',
	'a migration rolled back to a savepoint has not happened, whatever became of its transaction');
is(exists_everywhere('public.kept'), 't t t', 'what came after it has') if ok($g->converged, 'all follow');

$g->sql('us', 'CREATE TABLE public.h (i int)');
ok($g->converged, 'all follow');
$g->sql('eu', 'INSERT INTO public.h VALUES (1)');
$g->sql('us', q{SELECT schemadrift.apply('narrow', 'ALTER TABLE public.h ADD CHECK (i > 1)', 'ALTER TABLE public.h DROP CONSTRAINT h_i_check')});
ok($g->wait_until('eu', 'SELECT state FROM schemadrift.status', 'halted'), 'a region halts');
fails('eu', q{BEGIN; SAVEPOINT s; SELECT schemadrift.revert('narrow'); ROLLBACK TO s; CREATE TABLE public.behind (); COMMIT},
	'SD003', qr/began with schemadrift\.revert/, 'the grant of a revert in a halted region is good for nothing else');
$g->sql('eu', q{BEGIN; SAVEPOINT s; SELECT schemadrift.revert('narrow'); ROLLBACK TO s; SELECT schemadrift.revert('narrow'); COMMIT});
ok($g->converged, 'the same revert may be tried again');

# --- whoever cancels everything in sight does not stop schema changes
my $workers = q{SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type ~ '^schemadrift (launcher|coordinator)'};
my $before = $g->sql('us', $workers);
$g->sql('us', q{SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE backend_type ~ '^schemadrift'}) foreach 1 .. 5;
$g->sql('us', 'CREATE TABLE public.after_cancel ()');
is($g->sql('us', $workers), $before, 'launcher and coordinators survive pg_cancel_backend');

# --- a database that cannot hold every character of the group's
$server->sql(q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'}, dbname => 'postgres');
$server->sql('CREATE EXTENSION schemadrift', dbname => 'latin');
$r = $server->try(sprintf(q{SELECT schemadrift.join('%s', 'latin', '%s')}, $g->conninfo('us'), $g->conninfo('us')), dbname => 'latin');
is($r->{sqlstate}, '55000', 'another encoding does not join: SQLSTATE');
like($r->{err}, qr/has encoding LATIN1.*has UTF8/s, 'another encoding does not join');

# --- over the border of what the policy calls local, by a new name or schema
$g->sql('us', q{SELECT schemadrift.set_policy('{"local": ["scratch.*", "public.tmp_*"]}')});
$g->sql('us', 'CREATE SCHEMA scratch; CREATE TABLE scratch.t (i int PRIMARY KEY); CREATE TABLE public.tmp_t (); CREATE TABLE public.shared ()');
foreach my $sql ('ALTER TABLE scratch.t SET SCHEMA public', 'ALTER TABLE public.tmp_t RENAME TO t', 'ALTER TABLE public.shared RENAME TO tmp_shared',
	'ALTER TABLE public.shared SET SCHEMA scratch', 'ALTER SCHEMA scratch RENAME TO other')
{
	fails('us', $sql, 'SD004', qr/policy calls local beside others/, $sql);
}
ok($g->try('us', $_)->{ok}, $_) foreach 'ALTER TABLE scratch.t RENAME TO t2', 'ALTER TABLE scratch.t2 RENAME i TO j', 'ALTER TABLE public.tmp_t RENAME TO tmp_u';
$g->sql('us', q{SELECT schemadrift.set_policy('{"local": null}'); });
$g->sql('us', q{SET schemadrift.bypass_reason = 'test'; SET schemadrift.ddl_mode = off; DROP TABLE public.tmp_u; DROP SCHEMA scratch CASCADE});

# --- a transaction that changes the schema of a database while that joins a group
$server->sql('CREATE DATABASE late', dbname => 'postgres');
$server->sql('CREATE EXTENSION schemadrift', dbname => 'late');
my ($early, $old, $joining) = map { $server->session(dbname => 'late') } 1 .. 3;
my $dump = $server->sql(q{SELECT string_agg(format('CREATE TABLE public.%I (%s);', relname,
	(SELECT string_agg(format('%I int', attname), ', ') FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0)), ' ')
	FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'}, dbname => 'us');
$server->sql($dump, dbname => 'late');
$early->query('BEGIN; CREATE TABLE public.sneaked ();');
$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
$joining->pid;
$joining->send(sprintf(q{SELECT schemadrift.join('%s', 'late', '%s');}, $g->conninfo('us'), $g->conninfo('us') =~ s/dbname=us/dbname=late/r));
ok($server->wait_until(sprintf('SELECT wait_event_type FROM pg_stat_activity WHERE pid = %d', $joining->pid), 'Lock', undef, dbname => 'postgres'),
	'join waits for a transaction that has changed the schema');
ok($early->query('ROLLBACK;')->{ok}, 'which ends');
ok($joining->result->{ok}, 'then it joins') or diag $joining->{err};
is($old->query('CREATE TABLE public.sneaked ();')->{sqlstate}, '25001', 'a snapshot from before does not lead past the gate');
is($server->sql('SELECT count(*) FROM pg_class WHERE relname = \'sneaked\'', dbname => 'late'), 0, 'so nothing is there that the group has not');
ok($g->wait_until('us', q{SELECT role FROM schemadrift.regions WHERE region = 'late'}, 'voter'), 'it becomes a voter');

all_can_change($g, 'after all that');
log_is_sound($g, $since);

done_testing();
