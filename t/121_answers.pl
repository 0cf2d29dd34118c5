# Answers that come late, and answers of a region whose log is another one: what a change's client is told is true all the same.  Calls of
# a region are replaced by others of the same name, which answer when and what this test wants; three regions of one server.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use SchemaDrift::Scenario;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(r1 r2 r3)], databases => 1, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
# each change asks for its promises
schemadrift.lease_duration = 0
max_worker_processes = 30
CONF
$g->sql($_, 'CREATE SEQUENCE calls_of_prepare; CREATE SEQUENCE calls_of_accept; CREATE TABLE may_answer (a int)') foreach $g->names;
$g->make_group(mode => 'coordinate');

my %arguments = (
	prepare => 'protocol integer, group_id uuid, generation integer, callee text, caller text, caller_incarnation integer, known_vote_seq bigint,
		round bigint, nonce bigint, version bigint, chain bytea, lease_ms integer, over_round bigint, over_region text, over_nonce bigint',
	accept => 'protocol integer, group_id uuid, generation integer, callee text, caller text, caller_incarnation integer, known_vote_seq bigint,
		round bigint, nonce bigint, version bigint, chain bytea, entry bytea, lease_ms integer');
my %passed = map { $_ => join ', ', map { "\$$_" } 1 .. split(/,/, $arguments{$_}) } keys %arguments;
my $off = q{SET schemadrift.bypass_reason = 'test'; SET schemadrift.ddl_mode = off; SET client_min_messages = error;};
my %hidden;

sub types { return join ', ', map { (split ' ')[1] } split /,/, $arguments{ $_[0] }; }

# Instead of the call: what plpgsql code does and answers; SELF is the start of a row of an answer.
sub answers
{
	my ($name, $call, $code) = @_;
	my $types = types($call);

	$code =~ s/\bTRUE\b/(SELECT a FROM schemadrift_rpc.true_$call($passed{$call}) a LIMIT 1)/g;
	$code =~ s/\bSELF\b/s.incarnation, s.vote_seq, (SELECT max(l.version) FROM schemadrift_store.log l)/g;
	$g->sql($name, "$off ALTER FUNCTION schemadrift_rpc.$call($types) RENAME TO true_$call") if !$hidden{"$name $call"}++;
	$g->sql($name, "$off DROP FUNCTION IF EXISTS schemadrift_rpc.$call($types);
		CREATE FUNCTION schemadrift_rpc.$call($arguments{$call}) RETURNS TABLE (answer text, incarnation integer, vote_seq bigint,
			at_version bigint, ballot_round bigint, ballot_region text, ballot_nonce bigint, reason text, entry_chain bytea, body bytea,
			left_ms integer) LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS \$call\$
			#variable_conflict use_column
			BEGIN PERFORM nextval('public.calls_of_$call'); $code END \$call\$;
		GRANT EXECUTE ON FUNCTION schemadrift_rpc.$call($types) TO schemadrift_peer");
	return;
}

sub truth
{
	foreach my $what (sort keys %hidden)
	{
		my ($name, $call) = split / /, $what;
		my $types = types($call);

		$g->sql($name, "$off DROP FUNCTION schemadrift_rpc.$call($types); ALTER FUNCTION schemadrift_rpc.true_$call($types) RENAME TO $call");
	}
	%hidden = ();
	return;
}

# How often the other's call was called; to be compared only while nobody else asks for anything.
sub calls { my ($name, $call) = @_; return $g->sql($name, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.calls_of_$call"); }

sub waits_for_call
{
	my ($name, $call, $before, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok(await(sub { calls($name, $call) > $before }), $what);
}

my $no_vote = q{RETURN QUERY SELECT 'no_vote', SELF, NULL::bigint, NULL::text, NULL::bigint, 'not now', NULL::bytea, NULL::bytea, NULL::integer
	FROM schemadrift_store.self s;};
my $refused = q{RETURN QUERY SELECT 'refused', SELF, round + 10, 'r2', 1::bigint, NULL::text, NULL::bytea, NULL::bytea, NULL::integer
	FROM schemadrift_store.self s;};

# --- "no vote" to a prepare comes when the accept is out: it is not the answer to that

# r3 may not vote when it is asked, says so late, and may vote again by then; r2 has promised, and refuses the accept
my $s = $g->session('r1');
my $before = calls('r3', 'prepare');
answers('r3', 'prepare', "WHILE NOT EXISTS (SELECT FROM public.may_answer) LOOP PERFORM pg_sleep(0.01); END LOOP; $no_vote");
my $id = begun($g, 'r1', sub { ok($s->query('BEGIN; CREATE TABLE late (a int);')->{ok}, 'r1 and r2 are a majority') });
waits_for_call('r3', 'prepare', $before, '... and r3 has not answered yet');
$before = calls('r2', 'accept');
answers('r2', 'accept', $refused);
answers('r2', 'prepare', $no_vote);
$s->send('COMMIT;');
waits_for_call('r2', 'accept', $before, '... the accepts are out, and r2 refuses its own');
$g->sql('r3', 'INSERT INTO may_answer VALUES (1)');
my $r = $s->result;
is($r->{sqlstate}, '00000', '... r3 answers to the prepare, and accepts: that is a majority') or diag($r->{err});
truth();
is(settles($g, $id), 'applied', '... what was said is so');

# --- what is chosen in another log is not chosen in ours

# r2 accepts, and says that the version is taken: by the entry of another log (one that it has at another version)
my $foreign = q{RETURN QUERY SELECT 'chosen', SELF, NULL::bigint, NULL::text, NULL::bigint, NULL::text, NULL::bytea, NULL::bytea, NULL::integer
	FROM schemadrift_store.self s;
	RETURN QUERY SELECT 'log', s.incarnation, s.vote_seq, version, NULL::bigint, NULL::text, NULL::bigint, NULL::text, sha256('another log'),
		(SELECT l.body FROM schemadrift_store.log l ORDER BY l.version DESC LIMIT 1), NULL::integer FROM schemadrift_store.self s;};

$s  = $g->session('r1');
$id = begun($g, 'r1', sub { ok($s->query('BEGIN; CREATE TABLE foreign_accept (a int);')->{ok}, 'a change of r1') });
answers('r3', 'accept', $no_vote);
answers('r2', 'accept', "PERFORM TRUE; $foreign");
$s->send('COMMIT;');
$r = $s->result;
# r2 may settle meanwhile what it has accepted
like($r->{sqlstate}, qr/^(?:00000|40003)$/, "a region that has accepted says that another log's entry is chosen: $r->{sqlstate}, not \"nothing happened\"") or diag($r->{err});
is($g->sql('r1', q{SELECT count(*) FROM schemadrift_store.log WHERE chain = sha256('another log')}), 0, '... nothing of it is learned');
truth();
is(settles($g, $id), 'applied', '... which would have been wrong');

answers('r3', 'prepare', $no_vote);
answers('r2', 'prepare', $foreign);
$r = $g->try('r1', 'CREATE TABLE foreign_prepare (a int)');
refused($r, 'SD001', 'told so before anything ran: no quorum');
like($r->{err}, qr/Region r2: its log differs from ours/, '... and why');
truth();

all_can_change($g);
done_testing();
