# SchemaDrift::Alerts: alerts as a DBA meets them: seen, understood, and mended by pasting the remedy.
#
#   use SchemaDrift::Alerts;
#
#   fires($g, 'eu', 'halted', 'eu', qr/already exists/);      # seen in eu, about eu: severity, words, since, remedy
#   fires($g, 'r4', 'not_joined', undef, qr/no group/, since => 0);        # since when is not to be known
#   was_seen('standby');                                      # by other means
#   only($g, 'eu', 'halted eu', 'behind us');                 # these and no others, once that is so
#   paste($g, 'us', 'halted', 'eu');                          # runs the remedy that us shows, where it says: here, or "-- in eu"
#   gone($g, 'us', 'halted', 'eu');
#   no_alerts($g, 'in the end');
#   all_brought_about();                                      # at the end of a test: all that the table below says it does
#
# Every alert has a line in the table: a new one without a test fails t/251_alerts.pl, and so does a test that does not bring about
# what the table says.
package SchemaDrift::Alerts;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Basename 'basename';
use PostgreSQL::Test::Utils 'slurp_file';
use Test::More;

our @EXPORT = qw(known_alerts covered_alerts fires was_seen only paste gone no_alerts all_brought_about);

# Which test brings about what.
my %brought_about_by = (
	'246_hostile_answers.pl' => [qw(drift_stale)],
	'250_monitoring.pl' => [qw(bypass clock_offset drift halted no_quorum unreachable)],
	'251_alerts.pl' => [
		qw(behind bypass ddl_hold diverged drift drift_known halted log_stuck not_joined not_running not_serving
		  protocol_older removed starting task_failing task_waiting two_voters unverified verify_overdue version_mismatch void workers_missing)
	],
	'271_history_outages.pl' => [qw(history_replicated)],
	'252_alerts_servers.pl' => [qw(cloned held no_quorum no_vote prepared replication_lag standby standby_wait undecided unreachable void)],
);

my %known;
my %fired;

# { id => severity }, as the source has them
sub known_alerts
{
	return %known if %known;
	my ($table) = slurp_file('src/functions/alerts.c') =~ /^\}\s+known\[\] = \{\n(.*?)^\};/ms;
	%known = map { lc } ($table // '') =~ /\{"(\w+)", SD_(\w+)\}/g;
	return %known;
}

sub covered_alerts
{
	return map { @$_ } values %brought_about_by;
}

sub _about
{
	my ($id, $region) = @_;

	return "id = '$id' AND region " . (defined $region ? "= '$region'" : 'IS NULL');
}

sub _all
{
	my ($g, $where) = @_;

	return $g->try($where, 'SELECT id, severity, region, what, since, remedy FROM schemadrift.alerts')->{out};
}

# Returns the remedy.
sub fires
{
	my ($g, $where, $id, $region, $what, %o) = @_;
	my %severity = known_alerts();
	my $about = _about($id, $region);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$fired{$id}++;
	# the tables may say that it is so a moment before the coordinator has noticed since when; all of it at one look, as it may pass
	my $since = $o{since} // 1 ? "since <= clock_timestamp() AND since > clock_timestamp() - interval '1 h'" : 'since IS NULL';
	my $remedy;

	ok($g->wait_until($where, "SELECT count(*) || E'\\n' || string_agg(concat_ws(E'\\n', severity || ': ' || what, $since, remedy), E'\\n')
			FROM schemadrift.alerts WHERE $about", qr/^1\n\Q$severity{$id}\E: [^|]*?$what.*?\nt\n(.*)\z(?{ $remedy = $^N })/s, $o{timeout}),
		"$where: $id" . (defined $region ? " in $region" : '') . ', since when')
	  or diag(_all($g, $where));
	_pastes($remedy // '');
	return $remedy;
}

sub was_seen
{
	my ($id) = @_;

	$fired{$id}++;
	return;
}

# Statements, each with its semicolon, then a comment; or a comment alone.  Not so long that nobody reads it.
sub _pastes
{
	my ($remedy) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	like($remedy, qr/^(?:(?:SELECT|ALTER|CALL) [^\n]*?;(?: -- [^\n]+)?|-- [^\n]+)\z/, '... what to paste');
	cmp_ok(length $remedy, '<', 220, '... which can be read');
	return;
}

# Region and id of all that is shown there, in the end.
sub only
{
	my ($g, $where, @alerts) = @_;
	my $expected = join ', ', sort @alerts;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok($g->wait_until($where, q{SELECT string_agg(concat_ws(' ', id, region), ', ' ORDER BY concat_ws(' ', id, region) COLLATE "C")
		FROM schemadrift.alerts}, $expected), "... and nothing else: $expected") || diag(_all($g, $where));
}

# The remedy as it stands there, typed where it says.  or: what an error may say that comes when all is mended by itself meanwhile.
sub paste
{
	my ($g, $where, $id, $region, %o) = @_;
	my $about = _about($id, $region);
	my $remedy = $g->sql($where, "SELECT remedy FROM schemadrift.alerts WHERE $about");
	my ($elsewhere) = grep { defined && $_ ne 'any' && $_ ne 'the' } $remedy =~ / -- in ([\w-]+)/;
	my $r = $g->try($elsewhere // $where, "$remedy\nSELECT 'pasted';");
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($r->{out} =~ /^pasted$/m && ($r->{ok} || ($o{or} && $r->{err} =~ $o{or})), "... pasted: $remedy") or diag($r->{err});
	return $r->{out};
}

sub gone
{
	my ($g, $where, $id, $region) = @_;
	my $about = _about($id, $region);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok($g->wait_until($where, "SELECT count(*) FROM schemadrift.alerts WHERE $about", 0),
		"$where: no $id" . (defined $region ? " in $region" : '') . ' any more') || diag(_all($g, $where));
}

sub no_alerts
{
	my ($g, $when, @names) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $where (@names ? @names : $g->names)
	{
		ok($g->wait_until($where, 'SELECT count(*) FROM schemadrift.alerts', 0), "$when: no alert in $where") or diag(_all($g, $where));
		ok($g->wait_until($where, 'SELECT concat(state, reason, remedy) FROM schemadrift.status', 'healthy'), '... and status has nothing to say');
	}
	return;
}

sub all_brought_about
{
	my $test = basename($0);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is_deeply([ sort keys %fired ], [ sort @{ $brought_about_by{$test} // [] } ], 'brought about: what t/lib/SchemaDrift/Alerts.pm says');
}

1;
