# What differs between two regions, and in what: diff(), in how many calls; view drift in regions other than the one that drifted;
# verify() of another region; and what the calls behind all that do with nonsense.
#
# Regions are databases of one server, which writes down every statement: the calls are counted there.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use Test::More;

use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(databases => 1, regions => 3, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
schemadrift.connect_timeout = 3s
log_statement = all
CONF
$g->make_group(mode => 'coordinate', before => <<'SQL');
CREATE TABLE public.orders (id bigint PRIMARY KEY, note text, total numeric(10,2) DEFAULT 0);
CREATE VIEW public.recent AS SELECT id FROM public.orders WHERE total > 10;
CREATE FUNCTION public.tax(a numeric) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RETURN a * 0.19; /* and so on, and so on, at some length */ END $$;
CREATE TABLE public.parts (a int, b int) PARTITION BY LIST (a);
DO $$ BEGIN FOR i IN 1..200 LOOP EXECUTE format('CREATE TABLE public.many_%s (id int PRIMARY KEY, v text)', i); END LOOP; END $$;
SQL
my ($us, $ap, $eu) = $g->names;
my $server = $g->region($us);

sub behind_the_gate
{
	my ($where, $sql) = @_;

	return $g->sql($where, "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; $sql");
}

# Rows of a diff without the padding; how many calls that took.
sub diff_calls
{
	my ($where, $args, %o) = @_;
	my $log = $server->log_size;
	my $out = $g->sql($where, "SELECT concat_ws(' ', object_type, identity, difference, property, in_a, in_b) FROM schemadrift.diff($args)", %o);
	my $calls = () = slurp_file($server->logfile, $log) =~ /schemadrift_rpc\.(?:describe|buckets|bucket_objects|definitions)\(/g;

	return ($out, $calls);
}

# --- equal, and one object different among many

# coordinators call, too, now and then
my ($out, $calls);
foreach (1 .. 5)
{
	($out, $calls) = diff_calls($us, "'$eu'");
	last if $calls == 2;
}
is($out, '', 'two equal regions');
is($calls, 2, '... in two calls');
behind_the_gate($eu, 'ALTER TABLE public.orders ALTER note TYPE varchar(20)');
($out, $calls) = diff_calls($us, "'$eu'");
is($out, 'table public.orders changed column note: type character varying(20) text', 'one object in another region: which, and in what');
cmp_ok($calls, '<', 20, "... found in $calls calls, among " . $g->sql($us, 'SELECT count(*) FROM schemadrift_store.object') . ' objects');
is((diff_calls($eu, "'$us'"))[0], 'table public.orders changed column note: type text character varying(20)', 'seen from there');
($out, $calls) = diff_calls($ap, "'$us', '$eu'");
is($out, 'table public.orders changed column note: type text character varying(20)', 'a third region asks both');
cmp_ok($calls, '<', 20, "... in $calls calls");
is((diff_calls($ap, "'$us'"))[0], '', 'and the other two are equal');

# --- every word, and values that a terminal can bear

behind_the_gate($eu, <<'SQL');
CREATE TABLE public.hotfix (id int);
DROP VIEW public.recent;
CREATE OR REPLACE FUNCTION public.tax(a numeric) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RETURN a * 0.20; /* and so on, and so on, at some length */ END $$;
ALTER TABLE public.many_7 ALTER v SET DEFAULT 'a text that is long enough to be cut somewhere before its end, which is here';
SQL
is((diff_calls($us, "'$eu'"))[0], <<'ROWS' =~ s/\n\z//r, 'missing, extra, changed');
function public.tax(numeric) changed source ...URN a * 0.20; /* and so on, and so on, a... ...URN a * 0.19; /* and so on, and so on, a...
table public.hotfix extra
table public.many_7 changed column v: default {CONST text "a text that is long enough ...
table public.orders changed column note: type character varying(20) text
view public.recent missing
ROWS
is((diff_calls($us, "'$us', '$eu'"))[0] =~ s/^.*?(extra|missing)$/$1/gmr =~ s/^[^em].*\n//gmr, "missing\nextra", 'and the other way round');
is($g->sql($us, "SELECT count(*) FROM schemadrift.compare('" . $g->conninfo($eu) . "')"), 5, 'compare() finds the same objects');

# what went past every hook
$g->sql($ap, q{UPDATE pg_catalog.pg_proc SET prosecdef = true WHERE proname = 'tax'});
is((diff_calls($us, "'$ap'"))[0], 'function public.tax(numeric) changed security definer yes', 'a change of the catalogs themselves');
$g->sql($ap, q{UPDATE pg_catalog.pg_proc SET prosecdef = false WHERE proname = 'tax'});

# --- many objects, in parts

behind_the_gate($ap, q{DO $$ BEGIN FOR i IN 1..200 LOOP EXECUTE format('ALTER TABLE public.many_%s ALTER v SET DEFAULT 1', i); EXECUTE format('CREATE INDEX ON public.many_%s (v)', i); END LOOP; END $$});
($out, $calls) = diff_calls($us, "'$ap'");
is(scalar(split /\n/, $out), 400, 'four hundred differences');
cmp_ok($calls, '<', 20, "... in $calls calls");

# --- who may, and what is refused

$server->sql('CREATE ROLE watcher LOGIN IN ROLE schemadrift_monitor; CREATE ROLE maker LOGIN IN ROLE schemadrift_migrator; CREATE ROLE chief LOGIN IN ROLE schemadrift_admin', dbname => 'postgres');
refused($g->try($us, "SELECT * FROM schemadrift.diff('$eu')", user => 'watcher'), '42501', 'who watches sees no definitions');
is((diff_calls($us, "'$eu'", user => $_))[0], (diff_calls($us, "'$eu'"))[0], "$_ may") foreach 'maker', 'chief';
refused($g->try($us, $_->[0]), $_->[1], $_->[2]) foreach
  [ "SELECT * FROM schemadrift.diff('nowhere')", '42704', 'a region that there is not' ],
  [ "SELECT * FROM schemadrift.diff('$us')", '22023', 'with itself' ],
  [ 'SELECT * FROM schemadrift.diff(NULL)', '22004', 'with nothing' ];

$g->sql($us, "SELECT schemadrift.set_peer_conninfo('$eu', 'host=127.0.0.1 port=1 dbname=x password=hush-hush')");
my $r = $g->try($us, "SELECT * FROM schemadrift.diff('$eu')", user => 'maker');
is($r->{sqlstate}, '08001', 'a region that cannot be reached') or diag($r->{err});
like($r->{message}, qr/^region "$eu" cannot be reached/, '... is named');
like($r->{detail}, qr/refused/, '... with the reason');
like($r->{hint}, qr/schemadrift\.regions/, '... and what to do');
unlike($r->{err}, qr/hush|port=1/, '... and without its address');
$g->sql($us, "SELECT schemadrift.set_peer_conninfo('$eu', '" . $g->conninfo($ap) . "')");
$r = $g->try($us, "SELECT * FROM schemadrift.diff('$eu')");
is($r->{sqlstate}, '55000', 'another region at its address') or diag($r->{err});
like($r->{detail} // '', qr/"$ap" of this group/, '... is named');
$g->sql($us, "SELECT schemadrift.set_peer_conninfo('$eu')");

# regions at different versions are compared all the same
my $hold = $g->session($ap);
$hold->query('BEGIN; LOCK TABLE public.parts;');
ok($g->try($us, 'ALTER TABLE public.parts ADD c int')->{ok}, 'a change that one region cannot apply just now');
my $head = $g->sql($us, 'SELECT version FROM schemadrift.status');
ok($g->wait_until($eu, 'SELECT version FROM schemadrift.status', $head), '... and the others do');
$r = $g->try($us, "SELECT * FROM schemadrift.diff('$eu', '$ap') WHERE identity = 'public.parts'");
like($r->{err}, qr/at different versions.*"$eu" is at version $head, region "$ap" at version [0-9]+/s, 'a diff says who is late');
like($r->{out}, qr/public\.parts\|changed\|column c/, '... and what with') or diag($r->{out});
$hold->query('ROLLBACK;');

# --- drift, as all regions know it

sub drift_of
{
	my ($where, $of) = @_;

	return $g->sql($where, "SELECT string_agg(concat_ws('|', object_type, identity, difference, property), E'\n' ORDER BY object_type, identity) FROM schemadrift.drift WHERE region = '$of'");
}
ok($g->wait_until($_, "SELECT count(*) FROM schemadrift.drift WHERE region = '$eu' AND property IS DISTINCT FROM '(not known yet)'", 5), "$_ knows what was changed in $eu behind the gate") foreach $g->names;
is(drift_of($_, $eu), <<'ROWS' =~ s/\n\z//r, '... and in what') foreach $g->names;
function|public.tax(numeric)|changed|source
table|public.hotfix|extra
table|public.many_7|changed|column v: default
table|public.orders|changed|column note: type
view|public.recent|missing
ROWS
my $owner = $g->sql($us, 'SELECT session_user');
is($g->sql($us, "SELECT DISTINCT by || ' ' || remedy FROM schemadrift.drift WHERE region = '$eu'"), "$owner SELECT * FROM schemadrift.repair_plan('$eu')", '... by whom, and what to do');
is($g->sql($us, "SELECT count(DISTINCT since) FROM schemadrift.drift WHERE region = '$eu' AND since > now() - interval '1 hour'") > 0, 1, '... and since when');
is($g->sql($us, "SELECT count(*) FROM schemadrift.drift WHERE region = '$us'"), 0, 'one has not drifted');
is($g->sql($us, "SELECT substring(expected from 'column: note [a-z ]+') || ', ' || substring(actual from 'column: note [a-z ]+') FROM schemadrift.drift_text('$eu', 'table public.orders')", user => 'maker'),
	'column: note text, column: note character varying', 'both definitions, for who may see them');
refused($g->try($us, 'SELECT * FROM schemadrift.drift_text()', user => 'watcher'), '42501', '... and nobody else');
is($g->sql($us, 'SELECT count(*) > 5 FROM schemadrift.drift', user => 'watcher'), 't', 'who watches sees what there is');

behind_the_gate($eu, <<'SQL');
DROP TABLE public.hotfix;
ALTER TABLE public.orders ALTER note TYPE text;
CREATE VIEW public.recent AS SELECT id FROM public.orders WHERE total > 10;
ALTER TABLE public.many_7 ALTER v DROP DEFAULT;
SQL
ok($g->wait_until($_, "SELECT string_agg(identity, ' ') FROM schemadrift.drift WHERE region = '$eu'", 'public.tax(numeric)'), "$_ knows what was taken back") foreach $g->names;
is($g->sql($us, "SELECT string_agg(identity, ' ') FROM schemadrift.diff('$eu')"), 'public.tax(numeric)', '... and so it is');

# what one region told is known when it is gone, and after a restart, without being told again
ok($g->reached, 'all regions hear each other');
$g->wait_until($us, "SELECT count(*) FROM schemadrift.drift WHERE region = '$ap' AND property = '(not known yet)'", 0);
my $rows = drift_of($us, $ap);
$server->restart;
ok($g->reached, 'all regions have been started anew');
is(drift_of($us, $ap), $rows, '... and know what they knew');

# the other way: verify() of another region, which finds what went past every hook
$g->sql($ap, q{SET session_replication_role = replica; UPDATE pg_catalog.pg_class SET relrowsecurity = true WHERE relname = 'many_9'});
$r = $g->try($us, "SELECT difference || ' ' || property || ' ' || coalesce(here, '') FROM schemadrift.verify('$ap') WHERE identity = 'public.many_9' AND property ~ 'row'", user => 'maker');
like($r->{out}, qr/^changed row security.* yes/, 'a region is verified from another one') or diag($r->{err});
ok($g->wait_until($eu, "SELECT count(*) FROM schemadrift.drift WHERE region = '$ap' AND identity = 'public.many_9' AND property ~ 'row security'", 1), '... and a third hears of it');
$r = $g->try($us, q{SELECT * FROM schemadrift.verify('nowhere')});
is($r->{sqlstate}, '42704', 'not one that there is not') or diag($r->{err});

# --- calls from outside

sub nonsense
{
	my ($sql, $sqlstate, $what) = @_;
	my $r = $g->try($us, $sql, user => 'region_peer');
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is($r->{sqlstate}, $sqlstate, "nonsense: $what") || diag($r->{err});
}
nonsense("SELECT schemadrift_rpc.$_->[0]", $_->[1], $_->[2]) foreach
  [ 'buckets(NULL)', '22004', 'no protocol' ],
  [ 'buckets(0)', '08P01', 'a protocol that there is not' ],
  [ 'bucket_objects(2, NULL)', '22004', 'no buckets' ],
  [ q{bucket_objects(2, '{256}')}, '22023', 'a bucket too far' ],
  [ q{bucket_objects(2, '{-1}')}, '22023', 'a bucket before the first' ],
  [ q{bucket_objects(2, '{1,NULL}')}, '22023', 'a null among them' ],
  [ q{bucket_objects(2, '{{1,2},{3,4}}')}, '22023', 'a list in a list' ],
  [ 'bucket_objects(2, array_fill(1, ARRAY[1000000]))', '22023', 'a million buckets' ],
  [ q{definitions(2, '{table}', '{}', true)}, '22023', 'lists of different lengths' ],
  [ q{definitions(2, array_fill('table'::text, ARRAY[100000]), array_fill('public.x'::text, ARRAY[100000]), true)}, '22023', 'a hundred thousand names' ],
  [ q{definitions(2, '{table}', ARRAY[repeat('x', 100000000)], true)}, '22023', 'a name of 100 MB' ],
  [ q{definitions(2, '{NULL}', '{NULL}', true)}, '22023', 'names that are null' ],
  map { (
	[ "$_(NULL, NULL, NULL, NULL, NULL, NULL, NULL)", '22004', "$_ of nothing" ],
	[ "$_(2, '6ba7b810-9dad-11d1-80b4-00c04fd430c8', 1, '$us', '$eu', 1, 0)", '55000', "$_ of another group" ],
	[ "$_(2, (SELECT group_id FROM schemadrift_rpc.describe(2)), 1, '$eu', '$us', 1, 0)", '55000', "$_ of another region" ]) } 'drift', 'verify';
is($g->sql($us, q{SELECT count(*) FROM schemadrift_rpc.definitions(2, '{table,no}', '{public.none,such}', true)}, user => 'region_peer'), 0, 'what is not there has no definition');
is($g->sql($us, q{SELECT bool_and(hash = sha256(convert_to(definition, 'UTF8'))) FROM schemadrift_rpc.definitions(2, '{table,view}', '{public.orders,public.recent}', false)}, user => 'region_peer'), 't',
	'a definition has its digest');

done_testing();
