# A directory of migrations, checked for a pipeline: what analyze() says of each where those before it have run, whether a group takes
# it, and whether its down restores the schema.  Fails where LEVEL says so.
#
#   make check-migrations DIR=/path [LEVEL=unsafe|caution|down] [FIRST=n] [LAST=n]     (those before FIRST are run, and not checked)
#
# DIR: see t/lib/SchemaDrift/History.pm.  Two databases of a server that is made for it: `alone` runs every migration as a single server does,
# and is where they are analysed and downs are rehearsed; the other one is a group, which is asked to apply them.  Where it refuses, it starts again from a
# copy of the first, so that one refusal is not counted for all that follow.
use strict;
use warnings FATAL => 'all';

use JSON::PP;
use Test::More;

use SchemaDrift::Group;
use SchemaDrift::History;

my $level = $ENV{LEVEL} || 'unsafe';
my @history = history($ENV{HISTORY} || die "HISTORY is not set: make check-migrations DIR=...\n");
my ($first, $last) = ($ENV{FIRST} || 1, $ENV{LAST} || scalar @history);

die "LEVEL is unsafe, caution or down\n" if $level !~ /^(?:unsafe|caution|down)$/;

my $g = SchemaDrift::Group->new(regions => ['alone'], databases => 1, conf => <<'CONF');
schemadrift.heartbeat_interval = 1s
max_locks_per_transaction = 1000
CONF
my $server = $g->region('alone');
my $alone = $g->session('alone');
my ($scratch, $copies) = (undef, 0);
my (@found, @bad);

sub quoted { my ($text) = @_; return defined $text ? q{'} . ($text =~ s/'/''/gr) . q{'} : 'NULL'; }

# A group of one, in a copy of what is there now.
sub start_group
{
	my ($before, $name) = ($copies ? "group_$copies" : undef, 'group_' . ++$copies);

	$_->quit foreach grep { defined } $alone, $scratch;
	$server->sql(qq{DROP DATABASE "$before" WITH (FORCE)}, dbname => 'postgres') if defined $before;
	$server->sql(qq{CREATE DATABASE "$name" TEMPLATE alone}, dbname => 'postgres');
	$alone = $g->session('alone');
	$scratch = $server->session(dbname => $name);
	foreach my $sql (
		'SELECT schemadrift.init(' . quoted('scratch') . ', ' . quoted($server->conninfo($name)) . ');',
		q{SELECT schemadrift.set_policy('{"mode": "coordinate", "on_unsafe": "pass"}');})
	{
		my $r = $scratch->query($sql);

		die "$sql: $r->{err}" if !$r->{ok};
	}
	return;
}

sub digest
{
	my $r = $alone->query('SELECT schemadrift_store.digest_rebuild();');

	die "digest: $r->{err}" if !$r->{ok};
	return $r->{out};
}

# Rows of analyze(), as it is before the migration runs.
sub analysis
{
	my ($m) = @_;
	my $r = $alone->query('SELECT coalesce(json_agg(json_build_object(' . join(', ', map { "'$_', $_" }
		qw(step line command objects verdict rule rules gate reversible restores why safer)) . ')), \'[]\') FROM schemadrift.analyze(' . quoted($m->{up}) . ');');

	return $r->{ok} ? decode_json($r->{out} =~ s/\n/ /gr) : [ { verdict => 'unsafe', rule => 'fails', why => $r->{message}, reversible => '', restores => 'rehearse' } ];
}

# What a group says to it; undef: it takes it.
sub refusal
{
	my ($m) = @_;
	my $arguments = join ', ', map { quoted($_) } @$m{qw(name up down)};
	my $r = $scratch->query($m->{alone} ? "CALL schemadrift.apply_online($arguments);" : "SELECT schemadrift.apply($arguments);");

	return $r->{ok} ? undef : { map { $_ => $r->{$_} } qw(sqlstate message detail hint) };
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
	my $before = defined $m->{down} ? digest() : undef;
	my $r = $alone->query("BEGIN; $m->{up}\n;");
	my ($down, $why) = ('none', undef);

	if ($r->{ok} && defined $m->{down})
	{
		my $d = $alone->query("SAVEPOINT done; $m->{down}\n;");

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

my %told = (
	yes => ' (another one could restore the schema exactly)', rehearse => ' (analysis: only a rehearsal tells)',
	no => ' (analysis said so: a column comes back as the last one)');

sub check
{
	my ($m) = @_;
	my $steps = analysis($m);
	my $refused = refusal($m);
	my ($down, $why) = rehearse($m);
	my $foretold = foretold(map { $_->{restores} } @$steps);
	my %verdicts = map { $_->{verdict} => 1 } @$steps;
	my $is_bad = $down =~ /^(?:differs|fails|failed)$/ || ($level ne 'down' && ($refused || $verdicts{unsafe})) || ($level eq 'caution' && $verdicts{caution});

	push @found, { name => $m->{name}, statements => $steps, refused => $refused, down => $down, down_error => $why, down_foretold => $foretold };
	push @bad, $m->{name} if $is_bad;
	start_group() if $refused;
	my @mistaken = $down eq 'failed' ? () : grep { grep { $_ eq 'fails' } @{ $_->{rules} // [] } } @$steps;
	report("$m->{name}: statement $_->{step} was said to fail, and ran; that is a mistake of schemadrift") foreach @mistaken;
	return if !$is_bad && !$verdicts{unsafe} && !$refused;
	report("$m->{name}");
	report_steps($steps);
	report("  refused by a group: $refused->{sqlstate} $refused->{message}") if $refused;
	report("  down: $down" . (defined $why ? ": $why" : '') . ($down =~ /^(?:differs|fails)$/ ? $told{$foretold} : ''));
	return;
}

# those before have run, unseen
foreach my $m (@history[ 0 .. $first - 2 ])
{
	my $r = $alone->query($m->{alone} ? "$m->{up};" : "BEGIN; $m->{up}\n; COMMIT;");

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
note('json: ' . JSON::PP->new->ascii->canonical->encode(\@found));
is("@bad", '', "nothing that level $level does not allow");
$_->quit foreach $alone, $scratch;
done_testing();
