# Monitoring: what is wrong is in view alerts, in status and at the exporter, in the same words, and goes when it is over.  With the
# real postgres_exporter and Prometheus's own check of rules.
use strict;
use warnings FATAL => 'all';

use HTTP::Tiny;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils 'slurp_file';
use SchemaDrift::Alerts ();
use SchemaDrift::Scenario;
use Test::More;
use Time::HiRes qw(sleep time);

my $docs = 'docs/monitoring';

# ---- every alert is explained ----

my %known = SchemaDrift::Alerts::known_alerts();
cmp_ok(scalar keys %known, '>', 25, 'alerts.c has a table of alerts');
my (%explained, $severity);
foreach (split /\n/, slurp_file("$docs/alerts.md"))
{
	$severity = lc $1 if /^## (\w+)$/;
	$explained{$1} = $severity if /^### `(\w+)`$/;
}
is_deeply(\%explained, \%known, 'each has a section in alerts.md, under its severity');

# ---- rules ----

sub runs
{
	my ($name, $dir, @command) = @_;
	my $ok = IPC::Run::run(\@command, '<', \'', '>&', \my $out, init => sub { chdir $dir or die "$dir: $!" });

	ok($ok, $name) or diag($out);
	return;
}

runs('promtool: rules', $docs, qw(promtool check rules rules.yml));
runs('promtool: what they do', $docs, qw(promtool test rules rules_test.yml));

# ---- a group, and an exporter beside one of its servers ----

my $clock = SchemaDrift::Region::clock_library() ? 1 : 0;
my $g = made_group(3, clock => $clock, before => 'CREATE TABLE t (id int PRIMARY KEY)', conf => <<'CONF');
schemadrift.behind_limit = 1s
CONF
my ($us, $ap, $eu) = $g->names;
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $exporter;

$g->sql($us, 'CREATE ROLE watcher LOGIN IN ROLE schemadrift_monitor');

# The sandbox's network has a loopback that is down.
system('ip', 'link', 'set', 'lo', 'up') if ($ENV{SD_SANDBOX} // '') eq 'net';

sub start_exporter
{
	my $server = $g->region($us);

	# what it collects by itself differs from version to version, and so do the flags that turn it off
	my @off = map { "--no-collector.$_" } qx{prometheus-postgres-exporter --help 2>&1} =~ /^\s*--(?:\[no-\])?collector\.(\w+)(?![\w.=])/mg;

	local $ENV{DATA_SOURCE_NAME} = sprintf 'host=%s port=%d user=watcher dbname=postgres sslmode=disable', $server->host, $server->port;
	$exporter = IPC::Run::start(['prometheus-postgres-exporter', '--disable-default-metrics', '--disable-settings-metrics',
			@off, "--extend.query-path=$docs/postgres_exporter.yml",
			"--web.listen-address=127.0.0.1:$port"], '<', '/dev/null', '>&', "$PostgreSQL::Test::Utils::log_path/exporter.log");
	return;
}
END
{
	my $status = $?;

	$exporter->kill_kill(grace => 5) if $exporter;
	$? = $status;
}

sub scraped
{
	my $answer = HTTP::Tiny->new(timeout => 30)->get("http://127.0.0.1:$port/metrics");

	return $answer->{success} ? $answer->{content} : '';
}

# Wait until what is scraped matches, or does not.
sub scrape_has
{
	my ($pattern, $not) = @_;
	my $end = time() + 60;
	my $got;

	while (1)
	{
		$got = scraped();
		return 1 if $got =~ /^schemadrift_up\{/m && ($not ? $got !~ $pattern : $got =~ $pattern);
		last if time() > $end;
		sleep 0.2;
	}
	diag($got);
	return 0;
}

sub alerts
{
	my ($where) = @_;

	return $g->sql($where, q{SELECT string_agg(DISTINCT id || coalesce(' ' || region, ''), ', ') FROM schemadrift.alerts});
}

sub no_alerts
{
	my ($when) = @_;

	foreach my $where ($g->names)
	{
		ok($g->wait_until($where, 'SELECT count(*) FROM schemadrift.alerts', 0), "$when: no alert in $where")
		  or diag($g->sql($where, 'TABLE schemadrift.alerts'));
		ok($g->wait_until($where, 'SELECT concat(state, reason, remedy) FROM schemadrift.status', 'healthy'), '... and status has nothing to say');
	}
	return;
}

# Fires in $where, status says a thing that is an alert, word by word; and if that is the watched region, it is scraped.
sub fires
{
	my ($where, $id, $region, $severity, $what) = @_;

	SchemaDrift::Alerts::was_seen($id);
	ok($g->wait_until($where, "SELECT severity || ': ' || what FROM schemadrift.alerts WHERE id = '$id' AND region = '$region'",
			qr/^$severity: .*$what/s), "$where: $id in $region") or diag($g->sql($where, 'TABLE schemadrift.alerts'));
	ok($g->wait_until($where, "SELECT since IS NOT NULL AND since <= clock_timestamp() AND remedy <> '' FROM schemadrift.alerts
		WHERE id = '$id' AND region = '$region'", 't'), '... since when, and what to do');
	# the seconds in the words of the one may be a second later than those of the other
	ok($g->wait_until($where, q{SELECT count(*) FROM schemadrift.status s WHERE NOT EXISTS (SELECT FROM schemadrift.alerts a
		WHERE s.reason IN (a.what, a.region || ': ' || a.what) AND a.remedy = s.remedy)
		AND NOT (s.reason LIKE 'missing: %' AND EXISTS (SELECT FROM schemadrift.alerts a WHERE a.id = 'unreachable'))}, '0'),
		'... status says what an alert says') or diag($g->sql($where, 'TABLE schemadrift.status; TABLE schemadrift.alerts'));
	ok(scrape_has(qr/^schemadrift_alert_firing\{id="$id",region="$region",[^}]*severity="$severity"\} 1$/m), '... scraped')
	  if $where eq $us;
	return;
}

sub gone
{
	my ($where, $id, $region) = @_;

	ok($g->wait_until($where, "SELECT count(*) FROM schemadrift.alerts WHERE id = '$id' AND region = '$region'", 0), "$where: no $id in $region any more")
	  or diag($g->sql($where, 'TABLE schemadrift.alerts'));
	ok(scrape_has(qr/^schemadrift_alert_firing\{id="$id",region="$region"/m, 1), '... scraped') if $where eq $us;
	return;
}

sub by_hand
{
	my ($where, $sql) = @_;

	$g->sql($where, "SET schemadrift.bypass_reason = 'test'; SET schemadrift.ddl_mode = 'off'; $sql");
	return;
}

$g->reached;
start_exporter();
no_alerts('a group that is well');

# ---- what is scraped is what the view says ----

ok(scrape_has(qr/^schemadrift_region_in_sync\{region="$eu"/m), 'the exporter serves');
my $scraped;
my @missing;
# the view is looked at a moment later than what was scraped: what is new by then is there the next time
await(sub
{
	$scraped = scraped();
	@missing = ();
	foreach my $line (split /\n/, $g->sql($us, q{SELECT name || ' ' || labels || ' ' || type FROM schemadrift.metrics}, user => 'watcher'))
	{
		my ($name, $labels, $type) = split / /, $line;
		my $set = join ',', sort split /,/, $labels;

		push @missing, $line if $scraped !~ /^# TYPE $name $type$/m
		  || !grep { (join ',', sort grep { !/^server=/ } split /,/, $_) eq $set } $scraped =~ /^$name\{([^}]*)\} /mg;
	}
	return !@missing;
});
is_deeply(\@missing, [], 'every number of view metrics is scraped, with its labels, as a gauge or counter');
is(join(' ', sort { $a <=> $b } $scraped =~ /^schemadrift_region_applied_version\{region="[^"]*"[^}]*\} (\S+)$/mg),
	join(' ', (head($g, $us)) x 3), '... and its value');
my $lint = '';
IPC::Run::run([qw(promtool check metrics)], '<', \join('', map { "$_\n" } grep { /schemadrift/ } split /\n/, $scraped), '>&', \$lint);
is($lint, '', 'promtool finds nothing wrong with the names');
is($g->sql($us, 'SELECT count(*) FROM (SELECT name, labels FROM schemadrift.metrics GROUP BY 1, 2 HAVING count(*) > 1) d'), '0', 'each number is there once');

# ---- what regions say of each other ----

ok($g->wait_until($us, q{SELECT string_agg(concat_ws(' ', region, state, relation, in_sync, confidence > 0.4, rtt_ms > 0 AND abs(clock_offset_ms) - clock_error_ms < 50), E'\n' ORDER BY region <> 'us-east', region)
	FROM schemadrift.regions}, "$us healthy equal t t\n$ap healthy equal t t t\n$eu healthy equal t t t"), 'all regions are the same, and known well');
ok($g->wait_until($us, 'SELECT count(DISTINCT vector::text) FROM schemadrift.version_vectors', 1), 'one vector');

# An idle group writes nothing: a while without a byte of WAL, in which each region compares its whole schema with its digests
# from the beginning to the end, and tells the others that it did.
sub quiet
{
	foreach (1 .. 10)
	{
		my @before = map { $g->sql($_, 'SELECT pg_current_wal_insert_lsn()') } $g->names;
		my $since = $g->sql($us, 'SELECT clock_timestamp()');

		foreach my $name ($g->names)
		{
			# the first one that ends may have begun before; the second has not
			foreach (1 .. 2)
			{
				my $own = "SELECT verified_at FROM schemadrift_store.regions() WHERE region = '$name'";
				my $last = $g->sql($name, $own);

				$g->wait_until($name, "SELECT v.verified_at > '$last' FROM ($own) v", 't');
			}
			my $last = $g->sql($name, "SELECT verified_at FROM schemadrift_store.regions() WHERE region = '$name'");
			$g->wait_until($_, "SELECT verified_at >= '$last' FROM schemadrift_store.regions() WHERE region = '$name'", 't') foreach $g->names;
		}
		$g->wait_until($us, "SELECT min(last_heard) > '$since'::timestamptz + interval '3 s' FROM schemadrift.regions WHERE region <> '$us'");
		return 1 if "@before" eq join ' ', map { $g->sql($_, 'SELECT pg_current_wal_insert_lsn()') } $g->names;
	}
	return 0;
}
sub verify_each
{
	my ($setting) = @_;

	foreach my $name ($g->names)
	{
		$g->sql($name, "ALTER SYSTEM $setting");
		$g->sql($name, 'SELECT pg_reload_conf()');
	}
	return;
}
verify_each('SET schemadrift.verify_interval = 1');
foreach my $name ($g->names)
{
	ok($g->wait_until($name, "SELECT verified_at IS NOT NULL FROM schemadrift_store.regions() WHERE region = '$name'", 't'), "$name has verified its schema");
}
ok(quiet(), 'an idle group that is watched, and compares its schemas with its digests, writes no WAL');
verify_each('RESET schemadrift.verify_interval');

# ---- a region stops ----

$g->region($eu)->stop('fast');
fires($us, 'unreachable', $eu, 'warning', 'not heard of for|connect');
ok($g->wait_until($us, "SELECT state || coalesce(in_sync::text, ' not known') FROM schemadrift.regions WHERE region = '$eu'", 'unreachable not known'),
	'what it said is not believed for long');
ok($g->wait_until($us, "SELECT confidence < 0.3 FROM schemadrift.regions WHERE region = '$eu'", 't', 60), 'confidence goes');
$g->region($ap)->stop('fast');
fires($us, 'no_quorum', $us, 'critical', '1 of 3 voters are there');
my $r = $g->try($us, 'CREATE TABLE refused ()');
is($r->{sqlstate}, 'SD001', 'a change is refused');
ok(scrape_has(qr/^schemadrift_region_refusals_total\{reason="no_quorum",region="$us"[^}]*\} 1$/m), '... and counted');
ok(scrape_has(qr/^schemadrift_up\{region="$us"[^}]*\} 0$/m), '... it cannot take part');
$g->region($_)->start foreach $ap, $eu;
ok($g->reached, 'both are back');
gone($us, 'unreachable', $eu);
no_alerts('everybody is back');

# ---- outside the log ----

by_hand($eu, 'CREATE TABLE blocked (id int)');
fires($eu, 'bypass', $eu, 'warning', '1 change outside the log');
fires($eu, 'drift', $eu, 'warning', 'not what the log says');
fires($us, 'drift', $eu, 'warning', 'not what the log says');
ok($g->wait_until($us, "SELECT relation || outside_changes FROM schemadrift.version_vectors WHERE region = '$eu'", 'ahead1'), 'its vector contains more than ours');
ok($g->wait_until($eu, "SELECT relation FROM schemadrift.version_vectors WHERE region = '$us'", 'behind'), '... and ours less than its');
ok($g->wait_until($us, "SELECT in_sync FROM schemadrift.regions WHERE region = '$eu'", 'f'), '... so it is not in sync');
by_hand($ap, 'CREATE TABLE elsewhere (id int)');
ok($g->wait_until($ap, "SELECT relation FROM schemadrift.version_vectors WHERE region = '$eu'", 'concurrent'), 'two who did something on their own are concurrent');
by_hand($ap, 'DROP TABLE elsewhere');
gone($us, 'drift', $ap);

# ---- and that halts it ----

$g->sql($us, 'CREATE TABLE blocked (id int, v int)');
fires($us, 'halted', $eu, 'critical', 'already exists');
fires($eu, 'halted', $eu, 'critical', 'already exists');
ok(scrape_has(qr/^schemadrift_region_apply_failures_total\{region="$eu"[^}]*\} [1-9]/m), 'its failures are counted');
by_hand($eu, 'DROP TABLE blocked');
ok($g->converged, 'it is mended');
gone($us, 'halted', $eu);
no_alerts('all is undone');
ok($g->wait_until($us, 'SELECT count(DISTINCT vector::text) FROM schemadrift.version_vectors', 1), 'one vector again');

# ---- clocks ----

SKIP:
{
	SchemaDrift::Alerts::was_seen('clock_offset') if !$clock;
	skip 'needs a compiler', 4 if !$clock;
	$g->region($ap)->set_clock(20);
	fires($us, 'clock_offset', $ap, 'warning', 'ahead of ours');
	ok($g->wait_until($us, "SELECT clock_offset_ms > 19000 FROM schemadrift.regions WHERE region = '$ap'"), '... by so much');
	$g->region($ap)->set_clock(0);
	gone($us, 'clock_offset', $ap);
}
no_alerts('at the end');

SchemaDrift::Alerts::all_brought_about();
done_testing();
