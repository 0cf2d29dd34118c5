# Alerts that need servers of their own: what is cut off, stands still, is copied, or replicates to somebody who is away.  As in
# t/251_alerts.pl each is brought about as it comes about, seen, and goes.  And counters: each moves when what it counts happens.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils 'slurp_file';
use SchemaDrift::Alerts;
use SchemaDrift::Scenario;
use Test::More;

my $g = made_group(3, streaming => 'logical', before => 'CREATE TABLE t (id int PRIMARY KEY)', conf => <<'CONF');
schemadrift.behind_limit = 1s
schemadrift.replication_lag_limit = 1s
schemadrift.verify_interval = 0
max_connections = 60
max_prepared_transactions = 2
wal_receiver_status_interval = 1s
CONF
my ($us, $ap, $eu) = $g->names;

sub set_system
{
	my ($where, $setting) = @_;

	$g->sql($where, "ALTER SYSTEM $setting");
	$g->sql($where, 'SELECT pg_reload_conf()');
	return;
}

sub counter
{
	my ($where, $name, $region, $reason) = @_;

	return "SELECT value FROM schemadrift.metrics WHERE name = 'schemadrift_region_${name}_total'
		AND labels = 'region=\"$region\"" . (defined $reason ? ",reason=\"$reason\"" : '') . "'";
}

# The counter of a region, as another one tells it, goes up by so many (undef: by some) while code runs.
sub counts
{
	my ($name, $region, $reason, $by, $code) = @_;
	my ($other) = grep { $_ ne $region } $g->names;
	my $sql = counter($other, $name, $region, $reason);
	my $before = $g->sql($region, $sql);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$code->();
	ok($g->wait_until($region, "SELECT v.value " . (defined $by ? "= $before + $by" : "> $before") . " FROM ($sql) v", 't'),
		"$name" . (defined $reason ? " ($reason)" : '') . ' is counted');
	return;
}

sub told_alike
{
	my ($name, $region, $reason) = @_;
	my $sql = counter($us, $name, $region, $reason);
	my $value = $g->sql($region, $sql);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok($g->wait_until($_, $sql, $value), "$_ knows $name of $region") foreach grep { $_ ne $region } $g->names;
}

$g->reached;
no_alerts($g, 'a group that is well');

# ---- replication: a subscription, and a standby with a slot ----

$g->sql($_, 'CREATE TABLE rows_of_us (id bigserial PRIMARY KEY, filler text)', ) foreach $us;
$g->converged;
$g->sql($us, 'CREATE PUBLICATION rows_of_us FOR TABLE rows_of_us');
my $conninfo = sprintf 'host=%s port=%d dbname=postgres user=region_peer', $g->region($us)->conninfo =~ /host=(\S+) port=(\d+)/;
$g->sql($us, 'ALTER ROLE region_peer REPLICATION; GRANT SELECT ON rows_of_us TO region_peer');
$g->converged;
$g->sql($eu, "CREATE SUBSCRIPTION from_us CONNECTION '$conninfo' PUBLICATION rows_of_us");
my $insert = q{INSERT INTO rows_of_us (filler) SELECT repeat('x', 100) FROM generate_series(1, 100)};
$g->sql($us, $insert);
ok($g->wait_until($eu, 'SELECT count(*) FROM rows_of_us', 100), 'rows go from one region to another');
ok($g->wait_until($ap, "SELECT replication_lag IS NOT NULL FROM schemadrift.regions WHERE region = '$us'", 't'), "... and $ap knows that they do");
no_alerts($g, 'rows arrive');

$g->sql($eu, 'ALTER SUBSCRIPTION from_us DISABLE');
$g->sql($us, $insert);
fires($g, $us, 'replication_lag', $us, qr/replication is \d+ s behind/);
fires($g, $ap, 'replication_lag', $us, qr/replication is \d+ s behind/);
only($g, $_, "replication_lag $us") foreach $g->names;
ok($g->wait_until($ap, "SELECT replication_lag > '1 s' AND extract(epoch FROM replication_lag) = (SELECT value FROM schemadrift.metrics
	WHERE name = 'schemadrift_region_replication_lag_seconds' AND labels = 'region=\"$us\"') FROM schemadrift.regions WHERE region = '$us'", 't'),
	'... in view regions and in metrics, too');
like(paste($g, $ap, 'replication_lag', $us), qr/^from_us\|pgoutput\|logical\|/m, '... which shows whose slot it is');
$g->sql($eu, 'ALTER SUBSCRIPTION from_us ENABLE');
no_alerts($g, 'subscribed again');
$g->sql($eu, 'DROP SUBSCRIPTION from_us');

$g->sql($us, q{SELECT pg_create_physical_replication_slot('standby', true)});
my $standby = $g->region($us)->standby;
$standby->append_conf('postgresql.conf', "primary_slot_name = 'standby'");
$standby->restart;
ok($g->wait_until($us, q{SELECT count(*) FROM pg_replication_slots WHERE active}, 1), 'a standby with a slot');
no_alerts($g, 'it streams');
my $there = $standby->try('SELECT id, severity, what, since IS NOT NULL, remedy FROM schemadrift.alerts')->{out};
was_seen('standby');
is($there, 'standby|notice|this server is a standby: nothing of schemadrift runs here|t|-- look at its primary', 'the standby says that it is one');
$standby->pause;
$g->sql($us, $insert);
fires($g, $_, 'replication_lag', $us, qr/replication is \d+ s behind/) foreach $us, $eu;
only($g, $eu, "replication_lag $us");
$standby->resume;
no_alerts($g, 'it goes on');
$standby->stop;
$g->sql($us, $insert);
fires($g, $eu, 'replication_lag', $us, qr/replication is \d+ s behind/);
$standby->start;
no_alerts($g, 'it is there again');

# ---- a synchronous standby that is gone ----

set_system($us, q{SET synchronous_standby_names = '*'});
ok($g->wait_until($us, 'SELECT string_agg(sync_state, \',\') FROM pg_stat_replication', 'sync'), 'a synchronous standby');
ok(can_change($g, $us), '... and a change');
$standby->stop('immediate');
set_system($us, q{SET schemadrift.replication_lag_limit = 0});
my $waits = $g->session($us);
$waits->send('CREATE TABLE waits ();');
fires($g, $us, 'standby_wait', $us, qr/waits for a synchronous standby to confirm a vote/);
only($g, $us, "standby_wait $us");
paste($g, $us, 'standby_wait', $us);
# a vote that is not confirmed is not made one by cancelling the wait
is($g->sql($us, 'SELECT pg_cancel_backend(' . coordinator($g, $us) . ')'), 't', 'its coordinator is cancelled');
set_system($us, q{RESET synchronous_standby_names});
$waits->result;
unlike(slurp_file($g->region($us)->logfile), qr/canceling wait for synchronous replication/, '... which changes nothing');
$g->sql($us, q{SELECT pg_drop_replication_slot('standby')});
set_system($us, q{RESET schemadrift.replication_lag_limit});
$g->converged;
no_alerts($g, 'it need not wait any more');

# ---- a role that one region does not trust ----

$g->sql($_, 'CREATE ROLE alice LOGIN IN ROLE schemadrift_migrator') foreach $g->names;
$g->sql($us, 'GRANT CREATE ON SCHEMA public TO alice');
$g->converged;
$g->sql($eu, 'ALTER ROLE alice SUPERUSER');
$g->sql($us, q{SELECT schemadrift.apply('by alice', 'CREATE TABLE by_alice ()')}, user => 'alice');
fires($g, $eu, 'held', $eu, qr/allowed_roles is "\*", and role "alice"/);
fires($g, $us, 'held', $eu, qr/held: this region does not run what role "alice" changes/);
only($g, $us, "held $eu");
counts('apply_retries', $eu, undef, undef, sub { paste($g, $us, 'held', $eu) });
counts('apply_failures', $eu, undef, undef, sub { $g->sql($eu, 'SELECT schemadrift.retry()') });
told_alike('apply_failures', $eu);
$g->sql($eu, 'ALTER ROLE alice NOSUPERUSER');
paste($g, $us, 'held', $eu, or => qr/is not halted/);
no_alerts($g, 'allowed');

# ---- who may not vote ----

set_system($eu, 'SET full_page_writes = off');
fires($g, $eu, 'no_vote', $eu, qr/does not vote: full_page_writes is off/);
only($g, $eu, "no_vote $eu");
counts('refusals', $eu, 'not_origin', 1, sub { refused($g->try($eu, 'CREATE TABLE no ()'), 'SD002', 'and changes nothing') });
set_system($eu, 'RESET full_page_writes');
no_alerts($g, 'full pages again');

$g->sql($eu, q{UPDATE schemadrift_store.life SET begun = now() + interval '1 hour'});
$g->sql($eu, q{BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION E'old\\nSELECT 1'});
$g->region($eu)->restart;
like(fires($g, $eu, 'prepared', $eu, qr/prepared transaction E'old\\nSELECT 1' of role/), qr/^-- COMMIT PREPARED or ROLLBACK PREPARED E'old\\nSELECT 1';/, '... and its name is in one line');
$g->sql($eu, q{ROLLBACK PREPARED E'old\\nSELECT 1'});
no_alerts($g, 'rolled back');

# ---- accepted by a majority, and who knows is cut off ----

SKIP:
{
	skip 'wait points are in the test build only', 1 if !testing_build($g);
	my $origin = $g->session($us);
	my $open = 'SELECT count(*) FROM schemadrift_store.accepted WHERE version > (SELECT max(version) FROM schemadrift_store.log)';

	$g->isolate($eu);
	ok($g->wait_until($us, "SELECT state FROM schemadrift.regions WHERE region = '$eu'", 'unreachable'), "$eu is away");
	ok($g->reached($us, $ap), 'the two others hear each other');
	# nobody gets another promise from the origin's region, so nobody can settle what it began
	stop_all_at($g, $us, 'promise-written');
	stop_at($origin, 'after-majority');
	$origin->send('CREATE TABLE undecided ();');
	stopped($origin);
	ok($g->wait_until($ap, $open, 1), "$ap has accepted it");
	$g->cut($us, $ap);
	fires($g, $ap, 'undecided', $ap, qr/version \d+ is accepted and not decided/);
	fires($g, $ap, 'no_quorum', $ap, qr/1 of 3 voters are there, 2 needed/);
	fires($g, $ap, 'unreachable', $us, qr/not heard of for \d+ s/);
	only($g, $ap, "no_quorum $ap", "undecided $ap", "unreachable $eu", "unreachable $us");
	paste($g, $ap, $_, $ap) foreach qw(undecided no_quorum);
	like(paste($g, $ap, 'unreachable', $us), qr/unreachable/, '... which shows why');
	counts('refusals', $ap, 'no_quorum', 1, sub { refused($g->try($ap, 'CREATE TABLE no ()'), 'SD001', 'nothing changes') });
	counts('takeovers', $ap, undef, undef, sub {
		$g->rejoin($eu);
		$g->cut($us, $_) foreach $ap, $eu;
		ok($g->wait_until($ap, $open, 0), 'the two that are left settle it');
	});
	stop_all_at($g, $us, '');
	kill 'CONT', grep { (state_of($_) // '') eq 'T' } $g->region($us)->pids;
	$origin->result;
	$origin->quit;
	$g->heal_all;
	ok($g->reached, 'all are back');
	ok($g->converged, '... and equal');
	no_alerts($g, 'decided');
}

# ---- two who want to be first ----

set_system($_, q{SET schemadrift.ddl_hold_limit = '500ms'}) foreach $g->names;
my $open = $g->session($us);
ok($open->query('BEGIN; CREATE TABLE first_of_two ();')->{ok}, 'a change is open');
counts('preemptions', $us, undef, 1, sub {
	counts('changes', $eu, undef, 1, sub { ok(can_change($g, $eu, 'CREATE TABLE second_of_two ()'), '... longer than another one waits') });
	ok($g->wait_until($us, 'SELECT max(version) FROM schemadrift_store.log', head($g, $eu)), '... which its region hears of');
	like($open->query('CREATE TABLE third_of_two ();')->{sqlstate}, qr/^(?:40001|57P01)$/, '... so it may be run again, or was ended');
});
told_alike('preemptions', $us);
$open->quit;
set_system($_, 'RESET schemadrift.ddl_hold_limit') foreach $g->names;

# ---- a copy of a server, started beside it ----

SKIP:
{
	skip 'a copy needs the region\'s network', 1 if !$g->net->is_real;
	$g->sql($us, q{SELECT schemadrift.set_policy('{"auto_rejoin": false}')});
	ok($g->converged, 'who is void stays void');
	my $clone = $g->region($eu)->clone;

	$clone->start;
	# not read again: it goes as soon as one of the two is void
	my ($sql) = fires($g, $us, 'cloned', $eu, qr/two servers speak in its name/) =~ /^(.*?;)/;
	fires($g, $eu, 'void', $eu, qr/hears two servers speak in the name of this region/);
	ok($clone->try($sql)->{ok}, "... pasted in the copy: $sql");
	$clone->stop;
	paste($g, $eu, 'void', $eu);
	ok($g->reached, 'all are there');
	no_alerts($g, 'there is one again');
}

all_brought_about();
done_testing();
