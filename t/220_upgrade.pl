# A region with older SQL objects than its library, in a group with newer ones; ALTER EXTENSION UPDATE while all regions
# change the schema; entries that an older region would not understand; what happens to the extension itself.
use strict;
use warnings FATAL => 'all';

use Test::More;
use Time::HiRes qw(sleep time);

use SchemaDrift::Scenario;

# long leases: whoever waited for one would be seen to
my ($us, $ap, $eu) = qw(us-east ap-south eu-west);
my $g = made_group([ $us, $ap, $eu ], version => { $eu => '0.1' }, before => 'CREATE TABLE t (id int PRIMARY KEY);',
	conf => "schemadrift.lease_duration = 15s\nschemadrift.quorum_timeout = 25s\n");
my $since = 1 + head($g, $us);
my $n = 0;

sub says
{
	my ($r, $sqlstate, $pattern, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	refused($r, $sqlstate, $what);
	return like($r->{err} // '', $pattern, '... and says so');
}

sub works
{
	my ($name, $sql, $what) = @_;
	my $r = $g->try($name, $sql);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is($r->{sqlstate}, '00000', $what) || diag($r->{err});
}

# Plain DDL and apply() from every region; the longest time one of them took.
sub change_everywhere
{
	my ($what) = @_;
	my $longest = 0;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $name ($g->names, $g->names)
	{
		$n++;
		my $start = time();
		works($name, "CREATE TABLE plain_$n (a int)", "$what: $name changes the schema");
		$longest = time() - $start if time() - $start > $longest;
		works($name, "SELECT schemadrift.apply('m$n', 'CREATE TABLE made_$n ()', 'DROP TABLE made_$n')", "$what: $name applies");
	}
	ok($g->converged, "$what: all are equal");
	return $longest;
}

sub speaks
{
	my ($where, $who, $protocol) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok($g->wait_until($where, "SELECT protocol FROM schemadrift.regions WHERE region = '$who'", $protocol),
		"$where knows that $who speaks protocol $protocol");
}

# --- a new library with the SQL objects of 0.1, in one region of three

speaks($us, $us, 2);
speaks($_, $eu, 1) foreach $us, $ap;
speaks($us, $ap, 2);
my $longest = change_everywhere('with the older objects in one region');
cmp_ok($longest, '<', 13, 'nobody waits for a lease that the older region cannot hand over');
is($g->sql($us, "SELECT count(*) FROM schemadrift_store.log WHERE protocol <> 1"), '0', 'entries that it understands carry protocol 1');

my $views = $g->sql($eu, q{SELECT string_agg(c.oid::regclass::text, ' ' ORDER BY relname) FROM pg_class c
	WHERE relkind = 'v' AND relnamespace = 'schemadrift'::regnamespace});
like($views, qr/decisions.*status/, 'the views are there');
works($eu, "SELECT * FROM $_", "$_ can be looked at") foreach split ' ', $views;
like($g->sql($eu, 'SELECT reason, remedy FROM schemadrift.status'),
	qr/^the library of schemadrift is of version 0\.2, the SQL objects in this database of 0\.1\|ALTER EXTENSION schemadrift UPDATE/,
	'status says what to do');
is($g->sql($eu, "SELECT schemadrift.outcome('m1')"), 'applied', 'outcome answers');
works($eu, "SELECT schemadrift.set_policy('{\"local\": [\"scratch.*\"]}')", 'a policy that everybody knows can be set there');
works($us, "SELECT schemadrift.set_policy('{\"local\": null}')", '... and anywhere');
works($us, "SELECT schemadrift.alter_region('$ap', priority => 7)", 'a priority is nothing new');
works($eu, "SELECT schemadrift.revert('m1')", 'revert works there');
ok($g->converged, 'all are equal');

# it would not wait for a lease, and grants none: nobody leads, whoever changes the schema
ok($g->wait_until($us, 'SELECT count(*) FROM schemadrift.lease', 0), 'the lease from before it joined runs out');
foreach my $name ($g->names)
{
	$g->sql($name, 'CREATE TABLE led_by_' . substr($name, 0, 2) . ' ()');
	is($g->sql($us, 'SELECT count(*) FROM schemadrift.lease'), 0, "$name does not lead");
}
says($g->try($us, "SELECT schemadrift.transfer_lease('$eu')"), '0A000', qr/region "$eu" is too old for a lease.*Region $eu: speaks protocol 1.*ALTER EXTENSION/s,
	'it is not made to lead');
$g->isolate($ap);
ok($g->wait_until($us, "SELECT state FROM schemadrift.regions WHERE region = '$ap'", 'unreachable'), "$us misses $ap");
foreach my $name ($us, $eu, $us)
{
	$n++;
	works($name, "CREATE TABLE two_$n ()", "$us and $eu are a quorum: $name changes the schema");
}
$g->heal_all;
ok($g->reached, 'all reach each other again');
ok($g->converged, 'all are equal');

# --- what the older region would not understand is not proposed

my $old = qr/too old for.*Nothing happened\. It needs protocol 2\.\nRegion $eu: speaks protocol 1\.\nHINT: +Upgrade schemadrift there/s;
works($us, 'CREATE TABLE schema_migrations (version text)', 'a history table');
my $head = head($g, $us);
says($g->try($us, q{INSERT INTO schema_migrations VALUES ('1')}), '0A000', $old, 'rows of a migration tool wait');
is($g->sql($us, 'SELECT count(*) FROM schema_migrations'), '0', '... nowhere is one');
says($g->try($us, 'SELECT schemadrift.step_down()'), '0A000', qr/a region that stepped down $old|$old/, 'stepping down waits');
says($g->try($us, "SELECT schemadrift.suspend_region('$ap', 'a test')"), '0A000', $old, 'suspending waits');
says($g->try($ap, qq[SELECT schemadrift.set_policy('{"require_down": true}')]), '0A000', $old, 'new policies wait');
says($g->try($eu, qq[SELECT schemadrift.set_policy('{"require_down": true}')]), '0A000',
	qr/in this region is too old for policy "require_down".*of version 0\.1.*ALTER EXTENSION schemadrift UPDATE/s, '... there, too');
says($g->try($us, q{SELECT schemadrift.register_query('q', 'SELECT 1')}), '0A000', qr/too old for an entry of kind "query"/, 'registered queries wait');
$g->sql($_, 'INSERT INTO t VALUES (1), (2)') foreach $g->names;
my $frozen = q{SELECT schemadrift.apply('seen', 'ALTER TABLE t ADD COLUMN seen timestamptz NOT NULL DEFAULT now()', options => '{"freeze_time": true}')};
says($g->try($us, $frozen), '0A000', qr/too old for a time that is frozen|$old/, 'a time that is frozen waits');
says($g->try($us, $frozen =~ s/'seen'/'in_do'/r =~ s/'(ALTER [^']*)'/'DO \$\$ BEGIN $1; END \$\$'/r), '0A000', $old, '... in a text that is not looked into beforehand, too');
says($g->try($eu, $frozen), '0A000', qr/too old for a time that is frozen/, '... and there');
says($g->try($us, q[SELECT schemadrift.set_policy('{"freeze_time": true}')]), '0A000', $old, '... and the policy that has it');
is($g->sql($_, q{SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'seen'}), 0, "... $_ has no such column") foreach $g->names;
is(head($g, $us), $head, 'nothing of it is in the log');

# --- ALTER EXTENSION UPDATE that takes long, and does not get to its end

my $update = $g->session($eu);
is($update->query("BEGIN; ALTER EXTENSION schemadrift UPDATE;")->{sqlstate}, '00000', 'an update in an open transaction');
$g->isolate($ap);
ok($g->wait_until($us, "SELECT state FROM schemadrift.regions WHERE region = '$ap'", 'unreachable'), "$us misses $ap");
works($us, 'CREATE TABLE while_updated ()', 'meanwhile the region votes');
ok($g->wait_until($eu, 'SELECT max(version) FROM schemadrift_store.log', head($g, $us)), '... and learns');
is($g->sql($eu, "SELECT count(*) FROM pg_class WHERE relname = 'while_updated'"), 0, '... but its schema stays as it is');
$g->region($eu)->kill9;
$update->quit;
$g->heal_all;
$g->region($eu)->start;
is($g->sql($eu, "SELECT extversion FROM pg_extension WHERE extname = 'schemadrift'"), '0.1', 'killed in the middle, it is as it was');
ok($g->reached, 'all reach each other again');
ok($g->converged, 'all are equal');
speaks($us, $eu, 1);

# --- ALTER EXTENSION UPDATE, while everybody changes the schema

# three at once get in each other's way, without leases more than with them: then a change comes too late; and while the
# calls of one region are being replaced, a second one that happens to be busy is one too many (SD001, nothing happened)
my $some = sprintf "SELECT count(*) >= %d FROM pg_class WHERE relname LIKE 'traffic%%'",
	9 + $g->sql($us, "SELECT count(*) FROM pg_class WHERE relname LIKE 'traffic%'");
my $seen = traffic($g, 30, [ $g->names ], sub
	{
		$g->wait_until($us, $some, 't');
		works($eu, 'ALTER EXTENSION schemadrift UPDATE', 'ALTER EXTENSION UPDATE, in the midst of it');
	});
# (where the machine stands still in the middle of one, others may finish it before it knows)
is(join(' ', grep { !/^(?:00000|40001|55P03|SD001|SD003)$/ && !(/^40003$/ && $seen->{$_} <= 2) } sort keys %$seen), '', 'no change is in doubt because of it') || diag(explain($seen));
cmp_ok($seen->{'00000'}, '>=', 50, 'most of ninety succeed');
note(explain($seen));
ok($g->converged, 'all are equal');
is($g->sql($eu, "SELECT extversion FROM pg_extension WHERE extname = 'schemadrift'"), '0.2', 'it is updated');
speaks($_, $eu, 2) foreach $us, $ap, $eu;
$g->sql($us, 'CREATE TABLE led ()');
is($g->sql($us, 'SELECT holder FROM schemadrift.lease'), $us, 'now that all know leases, one leads');
ok($g->wait_until($eu, 'SELECT state || coalesce(reason, $$$$) FROM schemadrift.status', 'healthy'), 'status has nothing to say any more');
is($g->sql($eu, 'SELECT count(*) FROM schemadrift.peer_conninfo'), '3', 'new objects work');
change_everywhere('after the update');
ok($g->wait_until($us, sprintf(q{SELECT count(*) FROM schemadrift_store.peer WHERE region = '%s'}, $eu), '1'), 'the others remember it');

works($us, q{INSERT INTO schema_migrations VALUES ('1')}, 'now rows of a migration tool go');
ok($g->converged, 'all are equal');
is($g->sql($eu, 'SELECT version FROM schema_migrations'), '1', '... everywhere');
works($us, $frozen, 'now a time can be frozen');
ok($g->converged, 'all are equal');
is($g->sql($eu, 'SELECT count(DISTINCT seen), max(seen) FROM t'), '1|' . $g->sql($us, 'SELECT min(seen) FROM t'), '... the same everywhere');
works($us, "SELECT schemadrift.transfer_lease('$eu')", 'now it can lead');
works($us, 'SELECT schemadrift.step_down()', 'now a region can step down');
works($us, 'SELECT schemadrift.step_up()', '... and up');
works($us, qq[SELECT schemadrift.set_policy('{"require_down": false}')], 'now there are new policies');
is($g->sql($us, "SELECT string_agg(DISTINCT protocol::text, ' ' ORDER BY protocol::text) FROM schemadrift_store.log WHERE kind IN ('config', 'policy') AND version > $head"),
	'1 2', 'entries carry the protocol that they need');

# --- an entry that is newer than a region stops its applier, never its vote

SKIP:
{
	skip 'the release build always speaks what it knows', 13 if !testing_build($g);
	$g->sql($eu, 'ALTER DATABASE postgres SET schemadrift.testing_protocol = 1');
	$g->region($eu)->restart;
	speaks($us, $eu, 1);
	ok($g->wait_until($us, "SELECT state FROM schemadrift.regions WHERE region = '$eu'", 'healthy'), "$eu is back");
	my $r = $g->try($us, qq[SELECT schemadrift.set_policy('{"require_down": true}')]);
	is($r->{sqlstate}, '00000', 'once such an entry is in the log, everybody must understand the next one');
	ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'halted'), 'a region that was set back halts');
	like($g->sql($eu, 'SELECT reason FROM schemadrift.status'),
		qr/entry of kind "policy", protocol 2, is newer than this region's schemadrift.*/, '... and says why');
	like($g->sql($eu, 'SELECT reason FROM schemadrift.status'), qr/speaks protocol 1, its library 2\. Upgrade it: ALTER EXTENSION schemadrift UPDATE/,
		'... and what to do');
	$g->isolate($ap);
	ok($g->wait_until($us, "SELECT state FROM schemadrift.regions WHERE region = '$ap'", 'unreachable'), "$us misses $ap");
	works($us, "SELECT schemadrift.apply('voted', 'CREATE TABLE voted ()', 'DROP TABLE voted')", "its vote makes the quorum");
	$g->heal_all;
	$g->sql($eu, 'ALTER DATABASE postgres RESET schemadrift.testing_protocol');
	$g->region($eu)->restart;
	ok($g->converged, 'upgraded, it goes on by itself');
	is($g->sql($eu, "SELECT count(*) FROM pg_class WHERE relname = 'voted'"), '1', '... with what it had voted for');
	ok($g->reached, 'all reach each other again');
	works($us, qq[SELECT schemadrift.set_policy('{"require_down": null}')], 'as before');
	ok($g->converged, 'all are equal');
}

# --- who is too old does not join any more

says($g->try($us, sprintf(q{SELECT schemadrift_rpc.admit(1, (SELECT group_id FROM schemadrift_store.self), 'late', '%s', 'voter')}, $g->conninfo($us))),
	'0A000', qr/region "late" is too old for this group.*speaks protocol 1.*needs 2.*Upgrade schemadrift there/s, 'a newcomer must know what is in the log');

log_is_sound($g, $since);

# --- the extension itself: a local matter, and a member keeps it

$g->isolate($eu);
ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'no_quorum'), "$eu is alone");
works($eu, 'ALTER EXTENSION schemadrift UPDATE', 'what is done to the extension needs no quorum');
my $in_group = qr/cannot drop extension schemadrift while this database is a region of a group.*HINT: .*leave\(\) first, or .*remove_region\(\)/s;
foreach my $sql ('DROP EXTENSION schemadrift', 'DROP EXTENSION schemadrift CASCADE', 'DROP EXTENSION IF EXISTS schemadrift CASCADE')
{
	says($g->try($eu, $sql), '55006', $in_group, "a member keeps its extension: $sql");
}
foreach my $schema (qw(schemadrift schemadrift_store schemadrift_rpc))
{
	says($g->try($eu, "DROP SCHEMA $schema CASCADE"), 'SD004', qr/objects of schemadrift itself are changed by ALTER EXTENSION/, "... DROP SCHEMA $schema CASCADE");
}
is($g->sql($eu, "SELECT count(*) FROM pg_extension WHERE extname = 'schemadrift'"), '1', 'it is still there');
$g->heal_all;
ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'healthy'), 'and healthy');
works($eu, 'SELECT schemadrift.leave()', 'a region leaves');
ok($g->wait_until($us, 'SELECT count(*) FROM schemadrift.regions', 2), 'the others know');
works($eu, 'BEGIN; DROP EXTENSION schemadrift; ROLLBACK', 'removed, it may drop the extension');
works($eu, 'SELECT schemadrift.leave()', 'it forgets the group');
works($eu, 'DROP EXTENSION schemadrift CASCADE', 'then the extension goes');
works($eu, 'DROP SCHEMA schemadrift', 'and its schema');
works($eu, "CREATE EXTENSION schemadrift VERSION '0.1'; ALTER EXTENSION schemadrift UPDATE", 'and comes back, in steps');
works($eu, 'DROP EXTENSION schemadrift; DROP SCHEMA schemadrift', 'in no group it can go at any time');

# a role that owns the extension, and is dropped with all that it owns; a schema that the extension is in
works($eu, 'CREATE ROLE boss SUPERUSER; SET ROLE boss; CREATE EXTENSION schemadrift', 'somebody else creates it');
ok($g->wait_until($eu, sprintf(q{SELECT schemadrift.init('solo', '%s') IS NOT NULL}, $g->conninfo($eu)), 't'), 'a new group');
says($g->try($eu, 'DROP OWNED BY boss CASCADE'), '55006', $in_group, 'DROP OWNED does not take it away');
says($g->try($eu, 'SET ROLE boss; DROP OWNED BY CURRENT_USER'), '55006', $in_group, '... nor by its owner');
is($g->sql($eu, 'SELECT count(*) FROM schemadrift_store.self'), '1', 'all is there');
works($eu, 'SELECT schemadrift.leave()', 'the only region leaves');
works($eu, 'DROP OWNED BY boss CASCADE', 'then it goes with its owner');
done_testing;
