# Heartbeats: regions that have nothing new to tell say just that; and not a word of it when there is something new.
use strict;
use warnings FATAL => 'all';

use Test::More;
use Time::HiRes qw(sleep);

use SchemaDrift::Scenario;

# without leases: one runs out only after its time, and until then each heartbeat has something new to tell
my $g = SchemaDrift::Group->new(regions => [qw(us eu ap)], databases => 1,
	conf => "schemadrift.heartbeat_interval = 200ms\nschemadrift.lease_duration = 0\n");
$g->make_group(mode => 'coordinate', before => 'CREATE TABLE t (id int PRIMARY KEY)');
my $server = $g->region('us');

# How many of the connections between regions are in that state, by what was called last.
sub connections
{
	my ($what) = @_;

	return "SELECT count(*) FROM pg_stat_activity WHERE usename = 'region_peer' AND query LIKE '%schemadrift_rpc.$what(%'";
}

sub becomes_quiet
{
	my ($when) = @_;

	ok($g->wait_until('us', connections('pulse'), 6), "$when: pulses everywhere")
	  or diag($server->sql(q{SELECT string_agg(datname || ': ' || query, E'\n') FROM pg_stat_activity WHERE usename = 'region_peer'}));
	return;
}

becomes_quiet('a group that does nothing');
ok($g->wait_until('us', q{SELECT count(*) FROM schemadrift.regions WHERE last_heard > clock_timestamp() - interval '2 s'}, 3),
	'and everybody is heard');

# ---- what a pulse answers ----

# We are a region that nobody knows: it is told what the others know, and disturbs nobody.
my $caller = $g->session('eu');

sub value
{
	my ($session, $sql) = @_;
	my $r = $session->query("$sql;");

	die "$sql: $r->{err}" if !$r->{ok};
	return $r->{out} =~ s/\s+\z//r;
}

sub exchange_sql
{
	my ($columns) = @_;

	return "SELECT $columns FROM schemadrift_rpc.exchange(2, (SELECT group_id FROM schemadrift_store.self), 1, 'eu',
		'stranger', 1, 0, 1, 0, 0, decode(repeat('00', 32), 'hex'), 0, 0, 'healthy', 0, 0, '', 0, E'protocol 2\\n')";
}

my $number = q{substring(peer_notes FROM 'pulse ([0-9]+)')};

sub exchange { my ($columns) = @_; return value($caller, exchange_sql($columns)); }
# The number of what us has to tell: of the last moment, if that changes.
sub number
{
	my $n;

	await(sub { $n = exchange($number); pulse($n) eq $n });
	return $n;
}

# The number, if it is answered with the time there; else 0.
sub pulse
{
	my ($n, $session) = @_;

	return value($session // $caller, "SELECT CASE WHEN timestamptz '2000-01-01 00:00:00+00' + p * interval '1 us'
		BETWEEN statement_timestamp() AND clock_timestamp() THEN $n ELSE coalesce(p, 0) END FROM schemadrift_rpc.pulse($n) p");
}

my $n = number();
like($n, qr/^[1-9][0-9]*$/, 'the answer to an exchange has a number');

# After what the code does a pulse still says: as before.  Something to tell may come up by itself meanwhile, such as that another
# region is missed for a moment, where the machine stands still: then once more.
sub as_before
{
	my ($what, $code) = @_;
	my $answer;

	foreach (1 .. 10)
	{
		$n = number();
		$code->() if $code;
		$answer = pulse($n);
		last if $answer eq $n;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($answer, $n, $what);
}

as_before('a pulse of that number says: as before');
as_before('again', sub { pulse($n) });
is(pulse(1), 0, 'one of another number says nothing');
as_before('and changes nothing', sub { pulse(1) });
my $other = $g->session('eu');
is(pulse($n, $other), 0, 'what one session was told means nothing in another');
like($caller->query('SELECT schemadrift_rpc.pulse(NULL);')->{err}, qr/22004/, 'a call without a number is refused');
like($caller->query("BEGIN; SELECT schemadrift_rpc.pulse($n);")->{err}, qr/25001/, 'and one in a transaction');
$caller->query('ROLLBACK;');
value($caller, 'SET default_transaction_isolation = serializable');
like($caller->query("SELECT schemadrift_rpc.pulse($n);")->{err}, qr/25001/, 'and one with an old snapshot');
value($caller, 'RESET default_transaction_isolation');

# what others write is looked at, and found to be nothing of ours
as_before('other writes change nothing', sub
{
	$server->sql('CREATE TABLE of_another_database (); DROP TABLE of_another_database', dbname => 'postgres');
	$g->sql('eu', 'INSERT INTO t SELECT count(*) FROM t');
});

# what is told is what is committed: not less, and not more
my $vote = $g->session('eu');
my $cast = 'BEGIN; UPDATE schemadrift_store.self SET vote_seq = vote_seq + 1';
as_before('a vote that is not committed is not told', sub { value($vote, "ROLLBACK; $cast") });
my $before = exchange('vote_seq');
$n = number();
value($vote, 'COMMIT');
is(pulse($n), 0, 'one that is ends it');
is(exchange('vote_seq'), $before + 1, 'and the next exchange tells it');

as_before('one that was rolled back does not', sub { value($vote, "$cast; ROLLBACK") });

sub tells
{
	my ($what, $sql, $columns) = @_;

	as_before("before $what");
	my $told = exchange($columns);
	$n = number();
	$g->sql('eu', $sql);
	is(pulse($n), 0, "$what: no pulse");
	isnt(exchange($columns), $told, "$what: told by the next exchange");
	return;
}

tells('a role',            'CREATE ROLE newcomer',                       'names_now');

# one that is made while an exchange is answered is not in that answer, so no pulse may say "as before"
SKIP:
{
	skip 'wait points are in the test build only', 3 if !testing_build($g);
	stop_at($caller, 'names-read');
	$caller->send(exchange_sql("$number, names LIKE '%role:made_meanwhile%'") . ';');
	my $pid = stopped($caller);

	$g->sql('eu', 'CREATE ROLE made_meanwhile');
	go_on($caller);
	# (names that are read twice stop it twice)
	while ($caller->is_busy)
	{
		go_on($caller) if (state_of($pid) // '') eq 'T';
		sleep 0.005;
	}
	my ($told, $has) = split /\|/, $caller->result->{out} =~ s/\s+\z//r;

	is($has, 'f', 'a role that is made while an exchange is answered');
	value($caller, "SET schemadrift.testing_waitpoint = ''");
	is(pulse($told), 0, '... no pulse');
	is(exchange("names LIKE '%role:made_meanwhile%'"), 't', '... told by the next exchange');
}

tells('a remembered vote', q{INSERT INTO schemadrift_store.peer (region, incarnation, applied, vote_seq, boot_id)
	VALUES ('stranger', 1, 0, 77, 1)},                                    'substring(peer_notes FROM $$remembers[^\n]*$$)');
becomes_quiet('after that');
tells('a change',          'ALTER TABLE t ADD COLUMN a int',             'peer_head, peer_digest');
ok($g->converged, 'the others have it');
becomes_quiet('after a change');

# ---- what an answer knows ----

# A change needs a role that was made while an exchange was under way: what that answer says of roles is from before, and no reason to
# refuse the change.
SKIP:
{
	skip 'wait points are in the test build only', 5 if !testing_build($g);
	my $author = $g->session('us');
	my $pid = $author->pid;
	stop_all_at($g, 'us', 'names-read');
	# after any transaction that wrote, a pulse looks whether there is anything new to tell; those answers stay under way
	$g->sql('us', 'INSERT INTO t (id) VALUES (1)');
	ok(await(sub
		{
			my @asked = split /\n/, $server->sql(q{SELECT pid FROM pg_stat_activity WHERE usename = 'region_peer' AND application_name = 'schemadrift us'});
			return @asked == 2 && !grep { (state_of($_) // '') ne 'T' } @asked;
		}), 'one region asks the two others');
	stop_all_at($g, 'us', '');
	$server->sql('CREATE ROLE made_while_asking');
	$author->send('GRANT SELECT ON t TO made_while_asking;');
	# they are given up after two seconds, and others are asked instead
	ok(await(sub { !$author->is_busy || $g->sql('us', "SELECT coalesce(wait_event_type, '') FROM pg_stat_activity WHERE pid = $pid") eq 'Extension' }),
		'a change waits for its grant, or has it');
	while ($author->is_busy)
	{
		kill 'CONT', grep { (state_of($_) // '') eq 'T' } $server->pids;
		sleep 0.005;
	}
	my $granted = $author->result;
	# who asks for longer than two seconds is given up
	if ($granted->{sqlstate} eq 'SD001')
	{
		$g->reached;
		$granted = $author->query('GRANT SELECT ON t TO made_while_asking;');
	}
	is($granted->{err}, '', 'a role made while its region was asked is found');
	ok($g->reached, 'regions hear each other');
	becomes_quiet('after that as well');
}

# ---- what regions say of it ----

# an applier may work in that name, too: it made the entries that admitted others
is($server->sql(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
	WHERE usename = 'region_peer' AND backend_type = 'client backend'}), 6, 'connections end');
becomes_quiet('on new connections');

tells('being void', 'SELECT schemadrift.void_identity()', 'peer_state, incarnation');
ok($g->wait_until('us', q{SELECT state || ' ' || incarnation FROM schemadrift.regions WHERE region = 'eu'}, 'healthy 2'),
	'a void region comes back, between pulses');
ok($g->reached, 'and hears everybody');
becomes_quiet('after that, too');

$g->sql('us', 'ALTER TABLE t ADD COLUMN b int');
ok($g->converged, 'and the group works');

done_testing();
