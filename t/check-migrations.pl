# A directory of migrations, checked for a pipeline: what analyze() and dry_run() say of each where those before it have run, whether a
# group of two regions takes it and is equal afterwards, and whether its down restores the schema.  Fails where LEVEL says so.
#
#   make check-migrations DIR=/path [LEVEL=unsafe|caution|down] [FIRST=n] [LAST=n] [DRY_RUN=off]     (those before FIRST are run, and not checked)
#
# DIR: see t/lib/SchemaDrift/History.pm.  Three databases of a server that is made for it: `alone` runs every migration as a single server does,
# and is where they are analysed and downs are rehearsed; the others are the regions of a group, which is asked to try and to apply them.  Where it
# refuses, or its regions differ, it starts again from copies of the first, so that one refusal is not counted for all that follow.
#
# A down that does not restore the schema must have been told beforehand, by analyze() or by dry_run(); whatever of these two says what is not so
# is a mistake of schemadrift, and fails at any level.
use strict;
use warnings FATAL => 'all';

use JSON::PP;
use Test::More;

use SchemaDrift::Group;
use SchemaDrift::History;

my $level = $ENV{LEVEL} || 'unsafe';
my @history = history($ENV{HISTORY} || die "HISTORY is not set: make check-migrations DIR=...\n");
my ($first, $last) = ($ENV{FIRST} || 1, $ENV{LAST} || scalar @history);
my $tries = ($ENV{DRY_RUN} || 'on') ne 'off';

die "DRY_RUN is on or off\n" if ($ENV{DRY_RUN} || 'on') !~ /^(?:on|off)$/;
die "LEVEL is unsafe, caution or down\n" if $level !~ /^(?:unsafe|caution|down)$/;

my $g = SchemaDrift::Group->new(regions => ['alone'], databases => 1, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
schemadrift.retry_max_interval = 1s
schemadrift.connect_timeout = 10s
schemadrift.quorum_timeout = 30s
schemadrift.dry_run_timeout = 5min
schemadrift.dry_run_lock_timeout = 20s
max_locks_per_transaction = 1000
CONF
my $server = $g->region('alone');
my $alone = $g->session('alone');
my @regions = qw(first second);
my (%scratch, $copies);
my (@found, @bad, @mistakes);

sub quoted { my ($text) = @_; return defined $text ? q{'} . ($text =~ s/'/''/gr) . q{'} : 'NULL'; }

sub asked
{
	my ($session, $sql) = @_;
	my $r = $session->query("$sql;");

	die "$sql: $r->{err}" if !$r->{ok};
	return $r->{out};
}

# What is told of an error.
sub told { my ($r) = @_; return { map { $_ => $r->{$_} } qw(sqlstate message detail hint) }; }

# A group of two, in copies of what is there now.
sub start_group
{
	my ($old, $new) = map { my $n = $_; +{ map { $_ => "${_}_$n" } @regions } } $copies // 0, ($copies // 0) + 1;

	$_->quit foreach $alone, values %scratch;
	foreach my $region (@regions)
	{
		$server->sql(qq{DROP DATABASE "$old->{$region}" WITH (FORCE)}, dbname => 'postgres') if $copies;
		$server->sql(qq{CREATE DATABASE "$new->{$region}" TEMPLATE alone}, dbname => 'postgres');
	}
	$copies++;
	$alone = $g->session('alone');
	%scratch = map { $_ => $server->session(dbname => $new->{$_}) } @regions;
	my %conninfo = map { $_ => quoted($server->conninfo($new->{$_})) } @regions;
	asked($scratch{first}, "SELECT schemadrift.init('first', $conninfo{first})");
	asked($scratch{second}, "SELECT schemadrift.join($conninfo{first}, 'second', $conninfo{second})");
	foreach my $region (@regions)
	{
		$server->wait_until(q{SELECT role FROM schemadrift.regions WHERE region = 'second'}, 'voter', undef, dbname => $new->{$region})
		  or die "$region: there is no second region\n";
	}
	asked($scratch{first}, q{SELECT schemadrift.set_policy('{"mode": "coordinate", "on_unsafe": "pass"}')});
	die "a new group is not equal: $_->{message}\n" foreach difference();
	return;
}

# Waits until both regions have applied what the first one has, work at one's own pace included; what keeps the second one from it, if anything does,
# or from the same schema.
sub difference
{
	my $end = time() + $SchemaDrift::Session::timeout;
	my ($version, $digest) = split / /, asked($scratch{first}, q{SELECT max(version) || ' ' || (SELECT encode(digest, 'hex') FROM schemadrift_store.applied)
		FROM schemadrift_store.log});
	my ($r, $halted);

	do
	{
		$r = $scratch{first}->query("CALL schemadrift.wait_for($version, timeout => '2s');");
		# a halt may pass: what was in the way is gone at the next attempt
		$halted = $r->{ok} || ($r->{detail} // '') !~ /halted/ ? 0 : ($halted // 0) + 1;
	} while ($r->{sqlstate} eq 'SD003' && $halted < 2 && time() < $end);
	return told($r) if !$r->{ok};
	my @digests = map { asked($scratch{$_}, q{SELECT encode(digest, 'hex') FROM schemadrift_store.applied}) } @regions;

	return $digests[0] eq $digests[1] ? () : { sqlstate => undef, message => 'the fingerprints of the regions differ', detail => "@digests", hint => undef };
}

sub digest { return asked($alone, 'SELECT schemadrift_store.digest_rebuild()'); }

# Rows of analyze(), as it is before the migration runs.
sub analysis
{
	my ($m) = @_;
	my $r = $alone->query('SELECT coalesce(json_agg(json_build_object(' . join(', ', map { "'$_', $_" }
		qw(step line command objects verdict rule rules gate reversible restores why safer)) . ')), \'[]\') FROM schemadrift.analyze(' . quoted($m->{up}) . ');');

	return $r->{ok} ? decode_json($r->{out} =~ s/\n/ /gr) : [ { verdict => 'unsafe', rule => 'fails', why => $r->{message}, reversible => '', restores => 'rehearse' } ];
}

# What dry_run() says of it: a row a region, or the error that it gives; undef: not asked.
sub dry_run
{
	my ($m) = @_;

	return if !$tries || $m->{alone};
	my $r = $scratch{first}->query('SELECT coalesce(json_agg(json_build_object(' . join(', ', map { "'$_', $_" }
		qw(region status up_ms down_ms same restored sqlstate detail remedy)) . ") ORDER BY region = 'first' DESC), '[]') FROM schemadrift.dry_run(" . quoted($m->{up}) . ', ' . quoted($m->{down}) . ');');

	return $r->{ok} ? { regions => decode_json($r->{out} =~ s/\n/ /gr) } : { error => told($r), of_down => scalar(($r->{context} // '') =~ /"down"/) };
}

# Has it said of the down that it does not lead back (1), or that it does (0)?  undef: neither.
sub judged
{
	my ($tried) = @_;
	my @restored = map { defined $_->{restored} ? $_->{restored} ? 0 : 1 : () } @{ $tried->{regions} // [] };

	return $tried->{of_down} ? 1 : @restored ? scalar(grep { $_ } @restored) && 1 : undef;
}

# SQLSTATEs of a busy machine rather than of a migration: the same again is right after each, whether it was applied or not.
my $passing = qr/^(?:40001|40003|40P01|55P03|SD001|SD003)$/;

# What a group says to it; undef: it takes it.
sub refusal
{
	my ($m) = @_;
	my $arguments = join ', ', map { quoted($_) } @$m{qw(name up down)};
	my $r;

	foreach (1 .. 5)
	{
		$r = $scratch{first}->query($m->{alone} ? "CALL schemadrift.apply_online($arguments);" : "SELECT schemadrift.apply($arguments);");
		last if $r->{sqlstate} !~ $passing;
	}
	return $r->{ok} ? undef : told($r);
}

# Runs it as a single server does, and rehearses its down: none, ok, differs, fails, or failed (the migration itself).
sub rehearse
{
	my ($m) = @_;

	if ($m->{alone})
	{
		my $r = $alone->query("$m->{up};");

		return $r->{ok} ? ('not rehearsed', undef) : ('failed', $r->{message});
	}
	my ($up, $taken) = map { bare($_) } @$m{qw(up down)};
	my $before = defined $taken ? digest() : undef;
	my $r = $alone->query("BEGIN; $up\n;");
	my ($down, $why) = ('none', undef);

	if ($r->{ok} && defined $taken)
	{
		my $d = $alone->query("SAVEPOINT done; $taken\n;");

		($down, $why) = !$d->{ok} ? ('fails', $d->{message}) : digest() eq $before ? ('ok', undef) : ('differs', undef);
		$alone->query('ROLLBACK TO SAVEPOINT done;');
	}
	$alone->query($r->{ok} ? 'COMMIT;' : 'ROLLBACK;');
	return $r->{ok} ? ($down, $why) : ('failed', $r->{message});
}

sub report { my ($line) = @_; return diag("check: $line"); }

sub report_steps
{
	my ($steps) = @_;

	foreach my $step (grep { $_->{verdict} ne 'safe' } @$steps)
	{
		report(sprintf '  %s: statement %s (line %s), %s, rule %s', map { $_ // '?' } @$step{qw(verdict step line command rule)});
		report("    $_") foreach split /\n/, $step->{why} // '';
		report("    rather: $_") foreach split /\n/, $step->{safer} // '';
	}
	return;
}

my %said = (
	yes => 'another one could restore the schema exactly', rehearse => 'only a rehearsal tells',
	no => 'a column comes back as the last one');

# Who has said beforehand of a down that does not restore the schema that it would not: analyze, dry_run; or refusal: apply() does not take the migration
# with this down.
sub told_by
{
	my ($entry) = @_;

	return [] if $entry->{down} !~ /^(?:differs|fails)$/;
	return [ $entry->{down_foretold} eq 'no' ? 'analyze' : (), judged($entry->{dry_run}) ? 'dry_run' : (), $entry->{refused} ? 'refusal' : () ];
}

# What analyze() or dry_run() says and is not so.
sub mistakes
{
	my ($entry) = @_;
	my ($tried, $down) = @$entry{qw(dry_run down)};
	my @said;

	push @said, map { "analyze: statement $_->{step} will fail; it ran" } grep { grep { $_ eq 'fails' } @{ $_->{rules} // [] } } @{ $entry->{statements} } if $down ne 'failed';
	push @said, 'nobody said that its down does not restore the schema' if $tries && $down =~ /^(?:differs|fails)$/ && !@{ $entry->{down_told} };
	push @said, 'dry_run: its down does not restore the schema; it does' if $down eq 'ok' && judged($tried);
	push @said, 'dry_run: its down restores the schema; it does not' if $down =~ /^(?:differs|fails)$/ && defined judged($tried) && !judged($tried);
	push @said, 'dry_run: it runs; it is refused' if $entry->{refused} && $tried && !$tried->{error} && !judged($tried) && !grep { $_->{status} eq 'failed' } @{ $tried->{regions} };
	return @said;
}

sub report_dry_run
{
	my ($tried) = @_;

	report("  dry_run: $tried->{error}{sqlstate} $tried->{error}{message}") if $tried->{error};
	my (@texts, %where);
	foreach my $row (grep { $_->{status} ne 'ok' } @{ $tried->{regions} // [] })
	{
		my $text = $row->{status} . join '', map({ my $v = $row->{$_}; defined $v && !$v ? ", not $_" : () } qw(same restored)), map { "\n    $_" } split /\n/, $row->{detail} // '';

		push @texts, $text if !$where{$text};
		push @{ $where{$text} }, $row->{region};
	}
	foreach my $text (@texts)
	{
		report($_) foreach split /\n/, '  dry_run in ' . join(' and ', @{ $where{$text} }) . ": $text";
	}
	return;
}

sub report_entry
{
	my ($entry) = @_;
	my ($down, $why, $refused, $differs) = @$entry{qw(down down_error refused differs)};

	report($entry->{name});
	report_steps($entry->{statements});
	report("  refused by a group: $refused->{sqlstate} $refused->{message}") if $refused;
	report('  the second region differs: ' . join ': ', grep { defined } @$differs{qw(message detail)}) if $differs;
	report_dry_run($entry->{dry_run}) if $entry->{dry_run};
	report("  down: $down" . (defined $why ? ": $why" : '') . ($down =~ /^(?:differs|fails)$/
		? " (analysis: $said{$entry->{down_foretold}}; beforehand it was said by " . (join(' and ', @{ $entry->{down_told} }) || 'nobody') . ')' : ''));
	return;
}

sub check
{
	my ($m) = @_;
	my $steps = analysis($m);
	my $tried = dry_run($m);
	my $refused = refusal($m);
	my ($differs) = $refused ? () : difference();
	my ($down, $why) = rehearse($m);
	my %verdicts = map { $_->{verdict} => 1 } @$steps;
	my $entry = { name => $m->{name}, statements => $steps, dry_run => $tried, refused => $refused, differs => $differs, down => $down, down_error => $why,
		down_foretold => foretold(map { $_->{restores} } @$steps) };

	$entry->{down_told} = told_by($entry);
	push @found, $entry;
	start_group() if $refused || $differs;
	my @wrong = mistakes($entry);
	my $is_bad = $differs || $down =~ /^(?:differs|fails|failed)$/ || ($level ne 'down' && ($refused || $verdicts{unsafe})) || ($level eq 'caution' && $verdicts{caution});
	push @bad, $m->{name} if $is_bad;
	push @mistakes, map { "$m->{name}: $_" } @wrong;
	report_entry($entry) if $is_bad || $verdicts{unsafe} || $refused || @wrong;
	report("  a mistake of schemadrift: $_") foreach @wrong;
	return;
}

# those before have run, unseen
foreach my $m (@history[ 0 .. $first - 2 ])
{
	my $r = $alone->query($m->{alone} ? "$m->{up};" : 'BEGIN; ' . bare($m->{up}) . "\n; COMMIT;");

	report("$m->{name}: fails on a single server: $r->{message}") if !$r->{ok};
	$alone->query('ROLLBACK;') if !$r->{ok};
}
start_group();
check($_) foreach @history[ $first - 1 .. $last - 1 ];
my %downs;
$downs{ $_->{down} }++ foreach @found;
report(sprintf '%d migrations; with something unsafe: %d, with a case for caution: %d, refused by a group: %d', scalar @found,
	(map { my $v = $_; scalar grep { grep { $_->{verdict} eq $v } @{ $_->{statements} } } @found } qw(unsafe caution)), scalar grep { $_->{refused} } @found);
report('down: ' . join ', ', map { "$_ $downs{$_}" } sort keys %downs);
foreach my $what ([ 'restore the schema', 'ok' ], [ 'do not', 'differs', 'fails' ])
{
	my ($text, @which) = @$what;
	my %n;

	foreach my $m (@found) { $n{ $m->{down_foretold} }++ if grep { $m->{down} eq $_ } @which }
	report("downs that $text, and what analysis said beforehand of a way back: " . join ', ', map { "$_ " . ($n{$_} // 0) } qw(yes rehearse no));
}
my @lost = grep { $_->{down} =~ /^(?:differs|fails)$/ } @found;
my @tried = grep { $_->{dry_run} } @found;
my $told_by = sub { my ($who) = @_; return scalar grep { grep { $_ eq $who } @{ $_->{down_told} } } @lost; };
report(sprintf 'downs that do not, %d: beforehand analyze said so of %d, dry_run of %d; only that apply refuses it was said of %d; nothing of %d', scalar @lost,
	(map { $told_by->($_) } qw(analyze dry_run)), map { my $all = $_; scalar grep { "@{ $_->{down_told} }" eq $all } @lost } 'refusal', '') if $tries;
report(sprintf 'dry_run: %d migrations in two regions, the same in both: %d; it said so where a down restores the schema: %d of %d', scalar @tried,
	scalar(grep { my $rows = $_->{dry_run}{regions} // []; @$rows == 2 && !grep { !$_->{same} } @$rows } @tried),
	map { scalar @$_ } [ grep { my $said = judged($_->{dry_run}); defined $said && !$said } grep { $_->{down} eq 'ok' } @tried ], [ grep { $_->{down} eq 'ok' } @tried ]) if $tries;
note('json: ' . JSON::PP->new->ascii->canonical->encode(\@found));
is("@bad", '', "nothing that level $level does not allow");
is(join("\n", @mistakes), '', 'nothing that was said beforehand was wrong');
$_->quit foreach $alone, values %scratch;
done_testing();
