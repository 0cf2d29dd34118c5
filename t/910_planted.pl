# Situations made on purpose in which one wrong choice does harm (t/torture/Torture/Situations.pm), on three real servers, judged like all
# torture.  Without a mistake nothing may be found; "make torture MISTAKE=NAME" plants one and runs what provokes it, which must be found out:
#
#   MISTAKE  a deliberate one of src/consensus/mistakes.h, in all servers        SITUATIONS  others than those for it
#
# The history is in history_planted.jsonl beside the servers' logs; t/torture/check reads it again.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/torture";
use PostgreSQL::Test::Utils;
use SchemaDrift::Scenario;
use Test::More;
use Time::HiRes qw(sleep time);
use Torture::Checker;
use Torture::History;
use Torture::Provoke;
use Torture::Situations;
use Torture::Tables;

my $mistake = $ENV{MISTAKE} // '';
my @what = $ENV{SITUATIONS} ? split ' ', $ENV{SITUATIONS} : $mistake ? Torture::Situations::of($mistake) : Torture::Situations::names();

BAIL_OUT("nothing provokes $mistake") if !@what;
# what fails is a finding here, and no reason to wait long
$SchemaDrift::Session::timeout = 60;

my $history = Torture::History->new("$PostgreSQL::Test::Utils::log_path/history_planted.jsonl");
my $g = made_group(3, streaming => 'logical', conf => Torture::Provoke::conf());
plan skip_all => 'needs networks of its own' if !$g->net->is_real;
plan skip_all => 'needs the test build' if !testing_build($g);

my $tables  = Torture::Tables->new($g, $history);
my $provoke = Torture::Provoke->new($g, $history, $tables);
my $begun = time();
my @died;

if ($mistake)
{
	$provoke->make_mistake($mistake);
}
foreach my $name (@what)
{
	note("$name: " . Torture::Situations::about($name));
	my $ok = $provoke->run($name);

	# with a mistake it may come to anything
	ok($ok, "$name was brought about") if !$mistake;
}

my $ended = time();

# --- all must come to an end
$history->event('healed');
my $healed = time();
my $took = eval {
	# who was void in the last situation is admitted by entries that are still to come
	$provoke->all_voters if !$mistake;
	$provoke->wait_equal($mistake ? 15 : 60);
	time() - $healed;
};
$history->event('converged', defined $took ? (took => $took) : (), message => $@);
eval { $tables->finally($provoke->effects); 1 } or push @died, "the schemas cannot be compared: $@";

# --- was all well?
my $checker = Torture::Checker->new;
$checker->add($_) foreach $history->events;
my @violations = ($checker->finish, @died);
my $counts = $checker->counts;

note(sprintf '%.0f s: %s', time() - $begun, join ', ', map { "$_ $provoke->{counts}{$_}" } sort keys %{ $provoke->counts });
note('checked: ' . join ', ', map { "$_ $counts->{$_}" } sort keys %$counts);
if ($mistake)
{
	my %first;

	foreach my $violation (@violations)
	{
		my ($rule, $detail) = $violation =~ /^(\d+: [^:]*|[^:]*): (.*)/s;
		$first{$rule} //= $detail;
	}
	# that the group does not become equal again says nothing of what went wrong
	my @rules = sort grep { /^\d+/ && !/^12/ } keys %first;

	cmp_ok(scalar @rules, '>', 0, "$mistake is found out") or diag("nothing was found\n" . join "\n", @violations);
	note(sprintf 'found: %s in %.0f s (%s)', $mistake, $ended - $begun, join ' ', @what);
	note("found:   $_: " . substr($first{$_}, 0, 200) =~ s/\n/ /gr) foreach @rules, grep { !/^\d+/ || /^12/ } sort keys %first;
}
else
{
	is(scalar @violations, 0, 'no violation') or diag(join "\n", splice @violations, 0, 40);
}
done_testing();
