#!/usr/bin/perl
# demo.pl: the main case, to look at: three servers, each with an address of its own; one is cut off while the
# schema changes; it refuses to change the schema on its own; after the heal all three are equal.
#
# Started by t/run.pl (make demo) in the sandbox.  KEEP=1: the servers stay, and it says how to connect.
# SD_COLOR=1: colours.  Ends with status 0 only if everything it claims was seen to be so.
use strict;
use warnings FATAL => 'all';

my $screen;

BEGIN
{
	# PostgreSQL::Test::Utils takes STDOUT for its log
	open $screen, '>&', \*STDOUT or die "stdout: $!\n";
	require IO::Handle;
	$screen->autoflush(1);
}

use IPC::Run ();
use Test::More;
use Time::HiRes qw(sleep time);

use SchemaDrift::Group;

my %colour = (say => '1;36', sql => '1', good => '32', bad => '31', note => '2');
my $wrong  = 0;

sub paint
{
	my ($kind, $text) = @_;

	return $ENV{SD_COLOR} ? "\e[$colour{$kind}m$text\e[0m" : $text;
}

sub say_
{
	my ($text) = @_;

	print $screen "\n", paint(say => $text), "\n";
	return;
}

sub note_
{
	my ($text) = @_;

	print $screen paint(note => $text), "\n";
	return;
}

# What must be true for the demonstration to have shown anything.
sub check
{
	my ($ok, $text) = @_;

	print $screen $ok ? paint(good => "  yes: $text") : paint(bad => "  NO: $text"), "\n";
	$wrong++ if !$ok;
	return;
}

my $g = SchemaDrift::Group->new(regions => 3, start => 0, conf => "log_min_messages = warning\n");
my ($us, $ap, $eu) = $g->names;

END
{
	print $screen paint(bad => "\nthe demonstration ended early: see build/log/demo\n") if $? && !$wrong;
}

# A statement as one would type it, and psql's answer, whatever it is.
sub type
{
	my ($name, $sql) = @_;
	my $region = $g->region($name);
	my ($out, $err) = ('', '');
	my $shown = $sql =~ s/^\t+//mgr;

	print $screen "\n", paint(sql => "$name=> $shown"), "\n";
	IPC::Run::run([ 'psql', '-X', '-q', '-P', 'footer=off', '-d', $region->connstr('postgres'), '-c', $sql ], '>', \$out, '2>',
		\$err);
	print $screen $out;
	print $screen paint(($err =~ /^(?:ERROR|FATAL)/m ? 'bad' : 'note'), $err =~ s/^/  /mgr) if $err ne '';
	return $err;
}

# One row a region, side by side.
sub compare_regions
{
	my %row = map {
		$_ => [ split /\|/, $g->sql($_, q{
			SELECT s.state, s.version, coalesce((SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
					WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped), ''),
				(SELECT left(encode(digest, 'hex'), 12) FROM schemadrift_store.applied)
			FROM schemadrift.status s}) ]
	} $g->names;
	my %same;

	printf $screen "\n  %-10s %-10s %7s  %-28s %s\n", qw(region state version), 'columns of orders', 'digest';
	foreach my $name ($g->names)
	{
		my $line = sprintf '  %-10s %-10s %7s  %-28s %s', $name, @{ $row{$name} };
		print $screen paint($row{$name}[0] eq 'healthy' ? 'good' : 'bad', $line), "\n";
		$same{"@{ $row{$name} }[1 .. 3]"} = 1;
	}
	return keys %same == 1;
}

# Ordinary work in every region; the slowest statement, in milliseconds.
sub work
{
	my %slowest;

	foreach my $name ($g->names)
	{
		my $session = $g->session($name);

		$session->pid;
		$slowest{$name} = 0;
		foreach my $n (1 .. 50)
		{
			my $start = time();
			my $r = $session->query("INSERT INTO orders (item) VALUES ('item $n') RETURNING id; SELECT count(*) FROM orders;");
			my $took = 1000 * (time() - $start);

			$slowest{$name} = $took if $took > $slowest{$name};
			die "$name: $r->{err}" if !$r->{ok};
		}
		$session->quit;
		printf $screen "  %-10s 50 times one row written and all counted; the slowest took %.0f ms\n", $name, $slowest{$name};
	}
	# one that waited for the region that is away would wait for as long as changes of the schema do (quorum_timeout: 10 s); the disk may
	# stand still for seconds
	check(!(grep { $_ > 8000 } values %slowest), 'reads and writes go on in every region');
	return;
}

my $begin = time();
say_('Three PostgreSQL servers, one a region' . ($g->net->is_real ? ', each in a network of its own.' : '.'));
note_('This machine gives us no network namespaces: the servers are on loopback, and a proxy makes the cut.')
  if !$g->net->is_real;
foreach my $name ($g->names)
{
	my $region = $g->region($name);

	$region->start;
	$region->sql('CREATE ROLE region_peer LOGIN');
	printf $screen "  %-10s %s\n", $name, $region->conninfo =~ s/ dbname.*//r;
}
$g->create_extension;

say_('They become a group. The table orders exists everywhere; from here on its shape is agreed.');
$g->make_group(mode => 'coordinate',
	before => q{CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item text NOT NULL);
		INSERT INTO orders (item) SELECT 'item ' || n FROM generate_series(1, 1000) n});
type($us, 'SELECT region, role, state, applied_version FROM schemadrift.regions ORDER BY region;');
check(compare_regions(), 'all regions start equal');

say_("$us changes the table. Half-way, before the commit, the network to $eu fails.");
my $up = 'ALTER TABLE orders ADD COLUMN status text NOT NULL DEFAULT $$new$$';
my $session = $g->session($us);
foreach my $sql ('BEGIN;', "SELECT schemadrift.apply('orders-status', '$up');")
{
	print $screen paint(sql => "$us=> $sql"), "\n";
	my $r = $session->query($sql);
	print $screen "  $r->{out}\n" if $r->{out} ne '';
	die $r->{err} if !$r->{ok};
}
$g->isolate($eu);
print $screen paint(bad => "  -- $eu is cut off: nothing it sends arrives, nothing sent to it arrives --"), "\n";
print $screen paint(sql => "$us=> COMMIT;"), "\n";
my $start = time();
my $r = $session->query('COMMIT;');
check($r->{ok}, sprintf '%s and %s are a majority: committed in %.0f ms', $us, $ap, 1000 * (time() - $start));
print $screen paint(bad => $r->{err}) if !$r->{ok};

say_("$ap has followed, $eu cannot know.");
check($g->wait_until($ap, q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'status'}, '1'),
	"$ap has the column");
check(!compare_regions(), "$eu does not");

say_("$eu must not change the schema on its own: it refuses, and says why and what to do.");
my $err = type($eu, 'ALTER TABLE orders ADD COLUMN note text;');
check($err =~ /^ERROR/m, "$eu refuses");
type($eu, 'SELECT state, reason, remedy FROM schemadrift.status;');

say_('Ordinary work does not notice.');
work();

say_('The network heals. Nobody types anything.');
$g->heal_all;
$start = time();
check($g->converged, sprintf 'all regions are equal after %.1f s', time() - $start);
$g->wait_until($_, 'SELECT state FROM schemadrift.status', 'healthy') foreach $g->names;
check(compare_regions(), 'same version, same columns, same digest');
type($eu, 'SELECT version, name, kind, state, origin FROM schemadrift.migrations ORDER BY version DESC LIMIT 3;');
check(type($eu, 'ALTER TABLE orders ADD COLUMN note text;') !~ /^ERROR/m, "$eu can change the schema again");
check($g->converged && compare_regions(), 'and all follow');

say_("Somebody changes the table in $ap only, behind everybody's back: with the superuser's right to break the glass.");
type($ap, q{SET schemadrift.ddl_mode = 'off'; SET schemadrift.bypass_reason = 'hotfix';
	ALTER TABLE orders ALTER COLUMN status DROP DEFAULT;});
my $heartbeat = $g->sql($us, "SELECT setting::int / 1000.0 FROM pg_settings WHERE name = 'schemadrift.heartbeat_interval'");
$start = time();
check($g->wait_until($us, 'SELECT count(*) FROM schemadrift.drift', 1),
	sprintf '%s knows of it after %.1f s; regions tell each other every %g s', $us, time() - $start, $heartbeat);
type($us, 'SELECT region, object_type, identity, difference, property FROM schemadrift.drift;');
type($us, 'SELECT region, vector, relation FROM schemadrift.version_vectors;');
type($us, "SELECT statement FROM schemadrift.repair_plan('$ap') ORDER BY step;");
note_("  -- what that says is pasted into psql in $ap --");
my $plan = $g->sql($us, "SELECT string_agg(statement, E'\n' ORDER BY step) FROM schemadrift.repair_plan('$ap')");
check($g->try($ap, $plan)->{ok}, 'it runs');
check($g->wait_until($us, 'SELECT count(*) FROM schemadrift.drift', 0) && compare_regions(), 'and nothing differs any more');
printf $screen "\n%s\n", $wrong ? paint(bad => "$wrong things were not as they should be") : paint(good =>
	  sprintf 'That was it, in %.0f seconds.', time() - $begin);

if ($ENV{KEEP} && !$wrong)
{
	say_('The servers stay. To look around:');
	printf $screen "  psql -h %s -p %d -U %s postgres    # %s\n", $g->region($_)->host, $g->region($_)->port,
	  scalar getpwuid($>), $_ foreach $g->names;
	print $screen "\0";
	# until somebody ends the sandbox, and everything in it
	sleep 3600 while 1;
}
exit($wrong ? 1 : 0);
