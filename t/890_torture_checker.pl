# The checker of the torture tests (t/torture/Torture/Checker.pm) must be able to fail: a history that is right passes, and each of
# many that are doctored in one place is found out, by the invariant that it breaks.
use strict;
use warnings FATAL => 'all';

use Digest::SHA 'sha256_hex';
use FindBin;
use lib "$FindBin::Bin/torture";
use Test::More;
use Torture::Checker;

my @names = qw(a b c);

# What is more than a migration in the log: an online change and its result, a revert, members, a policy, a barrier.
sub special
{
	my ($version) = @_;
	my @members = map { { region => $_, incarnation => 1, role => 'voter', suspended => 0 } } @names;

	return $version == 1 ? (kind => 'baseline', members => \@members)
	  : $version == 2  ? (kind => 'migration', hold_limit => 1)
	  : $version == 7  ? (kind => 'migration', barrier => 5)
	  : $version == 9  ? (kind => 'online', name => 'i9')
	  : $version == 10 ? (kind => 'result', target => 9, outcome => 'ok')
	  : $version == 11 ? (kind => 'revert', target => 4)
	  : $version == 12 ? (kind => 'config', members => [ map { { %$_, role => $_->{region} eq 'c' ? 'observer' : 'voter' } } @members ])
	  :                  (kind => 'migration');
}

# A log of migrations that a, b, c made in turn, looked at after each; the eighth one was unknown to its client.
sub history
{
	my (@events, @log, %n);
	my $chain = sha256_hex('');

	foreach my $version (1 .. 12)
	{
		my $origin = $names[ $version % 3 ];
		my $t = $version <= 8 ? 10 * $version : 76 + $version;
		my $hash = sha256_hex($version);
		my %special = special($version);

		$chain = sha256_hex(pack 'H*H*', $chain, $hash);
		push @log, {
			version => $version, entry => "e$version", origin => $origin, incarnation => 1, n => ++$n{$origin}, hlc => 100 + $version,
			hash => $hash, body_hash => $hash, chain => $chain, $special{kind} eq 'migration' ? (name => "k$version") : (), %special };
		if ($version > 8)
		{
			push @events, { e => 'invoke', t => 84, op => 20, key => 'i9', region => $origin } if $version == 9;
			push @events, sample($_, $t + 0.5, $version, $log[-1]) foreach @names;
			push @events, { e => 'return', t => 87, op => 20, result => 'ok' } if $version == 10;
			next;
		}
		push @events, { e => 'invoke', t => $t, op => $version, key => "k$version", region => $origin } if $version > 1;
		push @events, { e => 'open', t => $t + 1, op => 4 } if $version == 4;
		push @events, sample($_, $t + 2, $version, $log[-1]) foreach @names;
		push @events, { e => 'return', t => $t + 3, op => $version, $version == 8 ? (result => 'unknown', entry => 'e8') : (result => 'ok') }
		  if $version > 1;
	}
	push @events, { e => 'invoke', t => 95, op => 9, key => 'k9', region => 'a' }, { e => 'return', t => 96, op => 9, result => 'failed' };
	push @events, { e => 'healed', t => 97 };
	push @events, { e => 'answer', t => 98, region => $_, entry => 'e8', answer => 'applied' } foreach @names, @names;
	push @events, { e => 'converged', t => 99, took => 2, within => 30, message => '' };
	foreach my $name (@names)
	{
		push @events, { e => 'changed', t => 99, region => $name, ok => 1, message => '' },
		  { e => 'applied', t => 100, region => $name, version => 12, chain => $chain, digest => 'd' },
		  { %{ sample($name, 100, 12) }, final => 1, log => [ map { {%$_} } @log ] },
		  { e => 'schema', t => 100, region => $name, sha => 'x', wanted => 'x', difference => '' };
	}
	return @events;
}

sub sample
{
	my ($region, $t, $version, @log) = @_;

	return {
		e => 'sample', t => $t, region => $region, incarnation => 1, state => 'voter', vote_seq => $version, promise => [ $version, 'a', 5 ],
		accepted => [ [ $version, "$version a 5", "e$version" ] ], log => [ map { {%$_} } @log ], server => $region, asked => $t - 0.4,
		applied => $version, skipped => $version > 10 ? [4] : [], bypassed => 0,
		peers => [ map { [ $_, 1, $version - 1, $version - 1 ] } grep { $_ ne $region } @names ] };
}

sub judge
{
	my $checker = Torture::Checker->new;

	$checker->add($_) foreach @_;
	return ($checker, $checker->finish);
}

# Events that are like this.
sub like_this
{
	my ($events, %is) = @_;

	return grep { my $e = $_; !grep { ($e->{$_} // '') ne $is{$_} } keys %is } @$events;
}

my ($checker, @violations) = judge(history());
is("@violations", '', 'a history that is right');
cmp_ok(scalar(grep { $_ > 0 } values %{ $checker->counts }), '>=', 20, '... was looked at in many ways');

# what two servers of one identity vote is one region's vote: the second one's are in tables that nobody looks at
my @cloned = history();
$_->{accepted} = [] foreach grep { $_->{region} ne 'a' } like_this(\@cloned, e => 'sample', t => 52);
my ($before) = grep { $cloned[$_]{t} >= 52 } 0 .. $#cloned;
splice @cloned, $before, 0, { e => 'cloned', t => 51, region => 'b' };
(undef, @violations) = judge(@cloned);
is("@violations", '', 'a version that one voter accepted, and the clone of another one');

my @doctored = (
	[ '1: one entry per version', 'another entry in one region', sub { (like_this($_[0], e => 'sample', region => 'b', t => 52))[0]{log}[0]{entry} = 'other' } ],
	[ '1: one entry per version', 'a row that changes', sub { (like_this($_[0], e => 'sample', region => 'b', final => 1))[0]{log}[3]{hash} = 'f' x 64 } ],
	[ '1: the chain', 'a broken chain', sub { $_->{log}[0]{chain} = 'f' x 64 foreach like_this($_[0], e => 'sample', t => 82) } ],
	[ '1: an entry is the bytes', 'a body that was changed', sub { (like_this($_[0], e => 'sample', region => 'c', final => 1))[0]{log}[3]{body_hash} = '' } ],
	[ '1: later ballots', 'another entry accepted later',
		sub { (like_this($_[0], e => 'sample', region => 'c', t => 52))[0]{accepted} = [ [ 5, '5 a 5', 'e5' ], [ 5, '6 b 6', 'other' ] ] } ],
	[ '1: the fingerprints', 'another schema', sub { (like_this($_[0], e => 'applied', region => 'c'))[0]{digest} = 'other' } ],
	[ '2: a majority', 'a version that one voter accepted',
		sub { $_->{accepted} = [] foreach grep { $_->{region} ne 'a' } like_this($_[0], e => 'sample', t => 52) } ],
	[ '2: a majority', 'votes of an incarnation that is no voter',
		sub { $_->{incarnation} = 2 foreach grep { $_->{region} ne 'a' } like_this($_[0], e => 'sample') } ],
	[ '3: promises', 'a promise that goes down', sub { (like_this($_[0], e => 'sample', region => 'b', t => 52))[0]{promise} = [ 3, 'c', 5 ] } ],
	[ '3: votes', 'votes that are forgotten', sub { (like_this($_[0], e => 'sample', region => 'b', t => 52))[0]{vote_seq} = 3 } ],
	[ '4: one entry per version and ballot', 'a ballot with two entries',
		sub { (like_this($_[0], e => 'sample', region => 'b', t => 52))[0]{accepted}[0][2] = 'other' } ],
	[ '5: who lost nothing', 'a server that is void after it was only killed',
		sub { $_->{incarnation} = 2 foreach grep { $_->{t} > 50 } like_this($_[0], e => 'sample', region => 'b') } ],
	[ '6: an incarnation', 'votes after a loss', sub { push @{ $_[0] }, { e => 'lost', t => 45, region => 'b' } } ],
	[ '6: an incarnation', 'votes after a loss, before anybody looks again', sub {
			@{ $_[0] } = grep { $_->{e} ne 'sample' || $_->{region} ne 'b' || $_->{t} < 45 || $_->{final} } @{ $_[0] };
			push @{ $_[0] }, { e => 'lost', t => 45, region => 'b' } } ],
	[ '6: an incarnation', 'votes though void',
		sub { $_->{state} = 'void' foreach grep { $_->{t} > 50 } like_this($_[0], e => 'sample', region => 'b') } ],
	[ '7: the log has no gaps', 'a gap', sub { splice @{ (like_this($_[0], e => 'sample', region => 'b', final => 1))[0]{log} }, 3, 1 } ],
	[ '7: the log does not become', 'a log that becomes shorter', sub { (like_this($_[0], e => 'sample', region => 'b', final => 1))[0]{log} = [] } ],
	[ '7: all of the log', 'something not applied', sub { (like_this($_[0], e => 'applied', region => 'b'))[0]{version} = 7 } ],
	[ '7: the schema', 'another schema than that of one server', sub { (like_this($_[0], e => 'schema', region => 'b'))[0]{sha} = 'y' } ],
	[ '8: a success', 'a success that is nowhere', sub { (like_this($_[0], e => 'return', op => 9))[0]{result} = 'ok' } ],
	[ '8: a success', 'a success twice', sub { $_->{name} = 'k2' foreach map { $_->{log}[0] } like_this($_[0], e => 'sample', t => 32) } ],
	[ '8: what "did not', 'a failure that happened', sub { (like_this($_[0], e => 'return', op => 5))[0]{result} = 'failed' } ],
	[ '8: outcome() never changes', 'two answers', sub { (like_this($_[0], e => 'answer', region => 'b'))[1]{answer} = 'rejected' } ],
	[ '8: outcome() never forgets', 'an answer that is taken back', sub { (like_this($_[0], e => 'answer', region => 'b'))[1]{answer} = 'undecided' } ],
	[ '8: in the end nobody', 'an entry that nobody knows of', sub { $_->{answer} = 'undecided' foreach like_this($_[0], e => 'answer') } ],
	[ '8: what outcome() says', 'an answer that is not so', sub { $_->{answer} = 'rejected' foreach like_this($_[0], e => 'answer') } ],
	[ '9: who began', 'two in the wrong order', sub {
			(like_this($_[0], e => 'invoke', op => 4))[0]{t} = 64;
			(like_this($_[0], e => 'return', op => 4))[0]{t} = 65 } ],
	[ '10: no success', 'a success alone', sub {
			unshift @{ $_[0] }, { e => 'apart', t => 45, a => 'c', b => 'b' }, { e => 'apart', t => 45, a => 'a', b => 'c' }, { e => 'together', t => 59, a => 'c', b => 'b' } } ],
	[ '10: no success', 'a success while the others are dead', sub {
			unshift @{ $_[0] }, { e => 'silent', t => 45, region => 'a' }, { e => 'silent', t => 45, region => 'b' } } ],
	[ '11: a dot', 'a dot of two events', sub { $_->{log}[0]{n} = 1 foreach like_this($_[0], e => 'sample', t => 52) } ],
	[ '11: dots of an origin', 'an event of an origin that is nowhere', sub { $_->{log}[0]{n} = 3 foreach like_this($_[0], e => 'sample', t => 52) } ],
	[ '11: nobody has heard of more than', 'a version heard of that was not applied',
		sub { (like_this($_[0], e => 'sample', region => 'a', t => 42))[0]{peers}[0][2] = 6 } ],
	[ '11: nobody has heard of more votes', 'votes heard of that were not cast',
		sub { (like_this($_[0], e => 'sample', region => 'a', t => 42))[0]{peers}[0][3] = 6 } ],
	[ '13: no open', 'a wait for an open transaction', sub {
			(like_this($_[0], e => 'return', op => 4))[0]{t} = 60;
			(like_this($_[0], e => 'return', op => 5))[0]{t} = 59 } ],
	[ 'a barrier is passed', 'a change that came before all had applied its barrier',
		sub { $_->{applied} = 4 foreach grep { $_->{t} > 45 } like_this($_[0], e => 'sample', region => 'b') } ],
	[ 'a barrier is an earlier', 'a barrier that is yet to come', sub { $_->{log}[0]{barrier} = 9 foreach like_this($_[0], e => 'sample', t => 72) } ],
	[ 'an online version has one result', 'a result of what is not online', sub { $_->{log}[0]{target} = 3 foreach like_this($_[0], e => 'sample', t => 86.5) } ],
	[ 'an online version comes to an end', 'an online version without a result',
		sub { $_->{log}[0]{target} = 3 foreach like_this($_[0], e => 'sample', t => 86.5) } ],
	[ '8: an online change', 'a success with another result', sub { $_->{log}[0]{outcome} = 'failed' foreach like_this($_[0], e => 'sample', t => 86.5) } ],
	[ 'what is taken back', 'a revert of what cannot be reverted', sub { $_->{log}[0]{target} = 10 foreach like_this($_[0], e => 'sample', t => 87.5) } ],
	[ '7: what is skipped', 'a version skipped that nobody took back', sub { (like_this($_[0], e => 'sample', region => 'b', final => 1))[0]{skipped} = [3] } ],
	[ '7: a region\'s tables', 'tables of another region', sub { $_->{server} = 'c' foreach like_this($_[0], e => 'sample', region => 'b') } ],
	[ '7: applied versions', 'a region that goes back', sub { (like_this($_[0], e => 'sample', region => 'b', t => 52))[0]{applied} = 2 } ],
	[ '7: what is applied is in', 'a version applied that is not agreed', sub { (like_this($_[0], e => 'sample', region => 'b', t => 52))[0]{applied} = 6 } ],
	[ 'an entry\'s origin', 'an entry of who is no member', sub { $_->{log}[0]{incarnation} = 7 foreach like_this($_[0], e => 'sample', t => 52) } ],
	[ 'members: one', 'two voters less at once', sub {
			$_->{log}[0]{members}[1]{role} = 'observer' foreach like_this($_[0], e => 'sample', t => 88.5) } ],
	[ 'members: incarnations', 'an incarnation that comes again', sub { $_->{log}[0]{members}[1]{incarnation} = 0 foreach like_this($_[0], e => 'sample', t => 88.5) } ],
	[ '6: an incarnation', 'votes under an earlier one that was lost', sub {
			push @{ $_[0] }, { e => 'lost', t => 45, region => 'b' };
			$_->{incarnation} = 2 foreach grep { $_->{t} > 55 && $_->{t} < 65 } like_this($_[0], e => 'sample', region => 'b') } ],
	[ '12: all equal', 'no end of doubts', sub { @{ (like_this($_[0], e => 'converged'))[0] }{qw(took message)} = (undef, 'it lasts') } ],
	[ '12: within the bound', 'an end that comes late', sub { (like_this($_[0], e => 'converged'))[0]{took} = 31 } ],
	[ '12: every region', 'a region that cannot go on', sub { (like_this($_[0], e => 'changed', region => 'b'))[0]{ok} = 0 } ],
	[ 'hybrid clocks', 'a clock that goes back', sub { $_->{log}[0]{hlc} = 1 foreach like_this($_[0], e => 'sample', t => 52) } ]);

foreach my $one (@doctored)
{
	my ($invariant, $what, $doctor) = @$one;
	my @events = history();

	$doctor->(\@events);
	my (undef, @found) = judge(sort { $a->{t} <=> $b->{t} } @events);
	ok(scalar(grep { /^\Q$invariant\E/ } @found), "$what: found out") or diag("found: @found");
}
done_testing();
