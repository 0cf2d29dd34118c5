# Random changes of a schema, outside the log and in it, in transactions with statements that fail and subtransactions that are rolled
# back: after each transaction the digests kept, and the rows of drift, are those that looking at everything would find.
#
#   SD_DRIFT_SEED    a number; else another one each time, which is printed
#   SD_DRIFT_STEPS   how many transactions; 150
#
# t/drift/statements.txt has the statements, t/drift/random.sql what picks and checks.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use SchemaDrift::Group;
use Test::More;

# the same each time, unless somebody wants others
my $seed  = $ENV{SD_DRIFT_SEED}  || 1;
my $steps = $ENV{SD_DRIFT_STEPS} || 150;

note("SD_DRIFT_SEED=$seed SD_DRIFT_STEPS=$steps");
srand($seed);

my $g = SchemaDrift::Group->new(
	regions   => ['r1'],
	databases => 1,
	conf      => <<'CONF');
schemadrift.heartbeat_interval = 500ms
schemadrift.verify_interval = 0
max_locks_per_transaction = 500
CONF
my $server = $g->region('r1');

$g->sql('r1', 'CREATE ROLE fz_a; CREATE ROLE fz_b; CREATE ROLE "fz ""C"');
$g->sql('r1', slurp_file("$FindBin::Bin/drift/random.sql"));
$g->sql('r1', join '', map { "INSERT INTO fuzz.template (t) VALUES (\$fuzz\$$_\$fuzz\$);\n" }
	grep { /^[^#]/ } split /\n/, slurp_file("$FindBin::Bin/drift/statements.txt"));
$g->make_group(names => ['r1'], mode => 'observe');

# What was done in each transaction, and the first in which something was wrong.
sub run
{
	my ($what, $n, @modes) = @_;
	my $session = $g->session('r1');
	my ($tried, $done, @last) = (0, 0);

	$session->query('SET client_min_messages = error; SELECT setseed(' . rand() . ');');
	foreach my $step (1 .. $n)
	{
		my $mode = $modes[ rand @modes ];
		my $many = (1, 1, 1, 2, 4, 8)[ rand 6 ];

		$session->query('BEGIN;');
		$session->query("SET LOCAL schemadrift.bypass_reason = 'random'; SET LOCAL schemadrift.ddl_mode = off;") if $mode eq 'off';
		my $r = $session->query("SELECT fuzz.step() FROM generate_series(1, $many);");
		my $ended = $session->query(rand() < 0.1 ? 'ROLLBACK;' : 'COMMIT;');
		my @ran = grep { $_ ne '' } split /\n/, $r->{out} // '';

		push @last, "-- transaction $step, $mode", @ran, $r->{ok} ? () : "-- $r->{err}", $ended->{ok} ? () : "-- at its end: $ended->{err}";
		splice @last, 0, @last - 60 if @last > 60;
		$tried += $many;
		$done += grep { !/^-- / } @ran;
		my $wrong = $session->query('SELECT fuzz.wrong();');
		next if $wrong->{ok} && $wrong->{out} eq '';
		fail("$what: after each of $n transactions all is as it has to be");
		diag("SD_DRIFT_SEED=$seed\n" . join("\n", @last) . "\n\n$wrong->{out}$wrong->{err}");
		$session->quit;
		return;
	}
	pass("$what: after each of $n transactions all is as it has to be");
	cmp_ok($done, '>', $tried / 4, "$done of $tried statements did something");
	$session->quit;
	return;
}

$g->sql('r1', 'SELECT fuzz.begin()');
$g->sql('r1', $_) foreach 'CREATE SCHEMA fz1', 'CREATE TABLE fz1.p (a int, b text, c date) PARTITION BY RANGE (a)',
	'CREATE FUNCTION fz1.t() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN new; END$$', 'CREATE TYPE fz1.c AS (a int, b text)';
run('outside the log', $steps, 'observe', 'off');
$g->sql('r1', q{SELECT schemadrift.set_policy('{"mode": "coordinate"}')});
run('in the log and outside of it', $steps, 'coordinate', 'coordinate', 'off');

# and by looking at everything
my $drift = q{SELECT count(*) || ' ' || coalesce(md5(string_agg(d::text, '' ORDER BY kind, identity)), '') FROM schemadrift_store.drift d};
my $before = $g->sql('r1', $drift);
$g->sql('r1', 'SELECT count(*) FROM schemadrift.verify()');
is($g->sql('r1', $drift), $before, 'verify() finds the same drift: ' . $before =~ s/ .*//r . ' objects');
is($g->sql('r1', 'SELECT schemadrift_store.digest_root()'), $g->sql('r1', 'SELECT schemadrift_store.digest_rebuild()'), 'and the root is that of a scan');
$server->kill9;
$server->start;
is($g->sql('r1', "$drift") . $g->sql('r1', q{SELECT string_agg(wrong, E'\n') FROM fuzz.wrong() wrong}), $before, 'after a crash, too');

# can it fail at all?
$g->sql('r1', q{UPDATE pg_class SET relname = 'behind' WHERE oid = 'fuzz.name'::regclass});
like($g->sql('r1', 'SELECT * FROM fuzz.wrong()'), qr/^(?:kept digest|drift): table fuzz\.behind|dot \d+ was found: .*fuzz\.behind/m, 'a change behind all hooks is wrong');

done_testing();
