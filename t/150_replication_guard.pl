# Data replication beside us: FOR ALL TABLES publications ship our tables like any other, in both directions, with initial
# copy and TRUNCATE.  No promise, no vote, no row of the log and nobody's identity moves by that.
use strict;
use warnings FATAL => 'all';

use Test::More;
use Time::HiRes qw(sleep time);

use SchemaDrift::Scenario;

# 15 has no subscription option "origin": a trigger ends the echo of each row
my $g = made_group(3, streaming => 'logical', before => q{
	CREATE TABLE t (id int PRIMARY KEY, what text);
	CREATE FUNCTION no_echo() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN IF EXISTS (SELECT FROM public.t WHERE id = NEW.id) THEN RETURN NULL; END IF; RETURN NEW; END $$;
	CREATE TRIGGER no_echo BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no_echo();
	ALTER TABLE t ENABLE ALWAYS TRIGGER no_echo;},
	conf => <<'CONF');
max_logical_replication_workers = 10
max_sync_workers_per_subscription = 4
wal_retrieve_retry_interval = 100ms
CONF
my ($us, $ap, $eu) = $g->names;
my $since = 1 + head($g, $us);
my @tables = qw(self acceptor accepted log applied execution attempt object digest);
my $user = $g->sql($us, 'SELECT current_user');

# Everything that must not move, as text.
sub state_in
{
	my ($name) = @_;

	return join "\n", map {
		"$_: " . $g->sql($name, "SELECT coalesce(string_agg(md5(x::text), ' ' ORDER BY x::text), '') FROM schemadrift_store.$_ x")
	} @tables;
}

my $marker = 0;

# What one region published before is dealt with in the other, once this has arrived.
sub passes
{
	my ($from, $to, $what) = @_;

	$g->sql($from, "INSERT INTO t (id, what) VALUES (" . ++$marker . ", 'from $from')");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($g->wait_until($to, "SELECT count(*) FROM t WHERE id = $marker", 1), "$what: rows pass from $from to $to");
}

# The regions' votes differ: us-east was away while the others promised, and learned the entries afterwards.  Unless it was asked to
# promise something else once it was back: then again.
my %promise;
foreach my $round (1 .. 5)
{
	$g->isolate($us);
	wait_for_state($g, $_, 'degraded') foreach $eu, $ap;    # then nothing is sent there that could arrive later
	ok(can_change($g, $_), "$_ changes the schema while $us is away") foreach $eu, $ap;
	ok($g->wait_until($_, 'SELECT count(*) FROM schemadrift.lease', 0), '... and leads no more: who does asks everybody again')
	  foreach $eu, $ap;
	$g->heal_all;
	ok($g->converged, 'and it follows');
	%promise = map { $_ => $g->sql($_, 'SELECT round, region, nonce FROM schemadrift_store.acceptor') } $g->names;
	last if $promise{$us} ne $promise{$eu};
}
isnt($promise{$us}, $promise{$eu}, 'promises of two regions differ');

# --- initial copy, both ways

my %before = map { $_ => state_in($_) } $us, $eu;
$g->sql($us, 'CREATE PUBLICATION everything FOR ALL TABLES');
$g->sql($eu, q{CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert, update, delete')});
foreach my $way ([ $us, $eu ], [ $eu, $us ])
{
	my ($to, $from) = @$way;
	my $conninfo = $g->conninfo($from) =~ s/user=\S+/user=$user/r;

	$g->sql($to, 'CREATE SUBSCRIPTION from_' . $from =~ tr/-/_/r . " CONNECTION '$conninfo' PUBLICATION everything WITH (copy_data = true)");
}
foreach my $name ($us, $eu)
{
	ok($g->wait_until($name, q{SELECT string_agg(DISTINCT srsubstate::text, '') FROM pg_subscription_rel}, 'r'), "the initial copy to $name is done");
	cmp_ok($g->sql($name, q{SELECT count(*) FROM pg_subscription_rel WHERE srrelid::regclass::text ~ '^schemadrift_store\.'}), '>=', scalar @tables,
		'... of our tables, too');
}
passes($us, $eu, 'after the copy');
passes($eu, $us, 'after the copy');
is(state_in($_), $before{$_}, "nothing of ours moved in $_") foreach $us, $eu;
ok($g->converged, 'all regions are equal');

# --- rows of ours, published as they change, and as somebody touches them

$g->sql($us, "UPDATE schemadrift_store.$_ SET one = one") foreach qw(self acceptor applied digest);
$g->sql($us, 'UPDATE schemadrift_store.accepted SET body = body; UPDATE schemadrift_store.log SET kind = kind WHERE version = 1');
$g->sql($eu, "UPDATE schemadrift_store.$_ SET one = one") foreach qw(self acceptor applied digest);
passes($us, $eu, 'after updates of our tables');
passes($eu, $us, 'after updates of our tables');
is(state_in($_), $before{$_}, "nothing of ours moved in $_") foreach $us, $eu;
is(join(' ', map { $g->sql($_, 'SELECT region FROM schemadrift_store.self') } $us, $eu), "$us $eu", 'each is who it was');

# A row that only one region has: nobody else gets it, and nobody else loses it.
$g->sql($us, q{INSERT INTO schemadrift_store.peer VALUES ('nobody', 1, 0, 0, 0)});
$g->sql($eu, q{INSERT INTO schemadrift_store.peer VALUES ('nobody else', 1, 0, 0, 0)});
passes($us, $eu, 'after an insert');
is($g->sql($eu, q{SELECT count(*) FROM schemadrift_store.peer WHERE region = 'nobody'}), 0, 'an inserted row of ours does not pass');
$g->sql($us, q{INSERT INTO schemadrift_store.peer VALUES ('nobody else', 1, 0, 0, 0)});
$g->sql($us, q{DELETE FROM schemadrift_store.peer WHERE region ~ '^nobody'});
passes($us, $eu, 'after a delete');
is($g->sql($eu, q{SELECT count(*) FROM schemadrift_store.peer WHERE region = 'nobody else'}), 1, 'a deleted row of ours stays elsewhere');
$g->sql($eu, q{DELETE FROM schemadrift_store.peer WHERE region ~ '^nobody'});

# --- the group works on

all_can_change($g, 'beside replication');
$g->sql($eu, 'ALTER TABLE t ADD COLUMN more int NOT NULL DEFAULT 3');
ok($g->converged, 'a replicated table is changed');
passes($us, $eu, 'after that');
passes($eu, $us, 'after that');
$g->isolate($eu);
ok(can_change($g, $us), "$eu is away: the others go on");
refused($g->try($eu, 'ALTER TABLE t ADD COLUMN forked int'), 'SD001', '... and it refuses');
$g->heal_all;
ok($g->converged, '... and follows after the heal');
passes($us, $eu, 'after a cut');

# --- TRUNCATE

passes($eu, $us, 'and back');    # with it the echo of the row before, which would come after the TRUNCATE
$g->sql($us, 'TRUNCATE t');
ok($g->wait_until($eu, 'SELECT count(*) FROM t', 0), 'TRUNCATE of a table of the users passes');
foreach my $table (@tables, 'peer')
{
	refused($g->try($us, "TRUNCATE schemadrift_store.$table"), '42501', "TRUNCATE of $table is refused");
}
refused($g->try($us, 'TRUNCATE t, schemadrift_store.peer'), '42501', '... together with others, too');

# Where somebody has switched the guard off, the other region's stands.
$before{$eu} = state_in($eu);
my $peers = $g->sql($eu, 'SELECT count(*) FROM schemadrift_store.peer');
my $offset = $g->region($eu)->log_size;
$g->sql($us, q{SET schemadrift.bypass_reason = 'meddling'; SET schemadrift.ddl_mode = off;
	ALTER TABLE schemadrift_store.peer DISABLE TRIGGER guard_truncate; TRUNCATE schemadrift_store.peer;
	ALTER TABLE schemadrift_store.peer ENABLE ALWAYS TRIGGER guard_truncate;});
ok($g->region($eu)->wait_log(qr/cannot truncate "peer"/, $offset), 'a replicated TRUNCATE of ours is refused where it arrives');
is($g->sql($eu, 'SELECT count(*) FROM schemadrift_store.peer'), $peers, '... and nothing is lost');
is(state_in($eu), $before{$eu}, '... nothing of ours moved');
$g->sql($eu, 'ALTER SUBSCRIPTION from_us_east DISABLE');

all_can_change($g, 'at the end');
log_is_sound($g, $since);

done_testing();
