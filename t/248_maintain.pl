# MAINTAIN (17) beside the other rights of a table: in no digest, and seen all the same.  Given or taken behind the gate in one region it is drift
# there, diff() names it, verify() finds what went past every hook, repair_plan() and accept_drift() are the ways out; it halts nobody.
# Before 17 there is nothing of it.  Databases of one server are the regions; several majors: t/230_majors.pl.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use SchemaDrift::Scenario;
use Test::More;

my @three = qw(r1 r2 r3);
my $g = SchemaDrift::Group->new(regions => [@three], databases => 1, conf => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lock_timeout = 2s
schemadrift.verify_interval = 0
max_worker_processes = 30
CONF
my $server = $g->region('r1');
my $has_it = $server->sql('SHOW server_version_num', dbname => 'postgres') >= 170000;

$server->sql('CREATE ROLE app; CREATE ROLE "an ""odd"" one"', dbname => 'postgres');
$g->sql($_, 'CREATE TABLE t (a int); CREATE TABLE other (a int); CREATE VIEW v AS SELECT a FROM t; GRANT ALL ON t, other, v TO app') foreach @three;
$g->make_group(names => \@three, mode => 'coordinate');
my $off = q{SET schemadrift.bypass_reason = 'a fire'; SET schemadrift.ddl_mode = off;};
my $drift = q{SELECT string_agg(format('%%s %%s %%s: %%s', object_type, identity, difference, property), ', ' ORDER BY object_type, identity)
	FROM schemadrift.drift WHERE region = '%s'};
# of table t
my $kept = q{SELECT string_agg(definition || apart, '') FROM schemadrift_store.beside WHERE identity = 'public.t'};
my $diff = q{SELECT string_agg(concat_ws(' | ', object_type, identity, difference, property, 'a: ' || in_a, 'b: ' || in_b), E'\n' ORDER BY 1)
	FROM schemadrift.diff('%s', '%s')};
my $unsettled = 'SELECT count(*) FROM schemadrift_store.bypass WHERE settled IS NULL';

is($g->sql($_, 'SELECT count(*) FROM schemadrift_store.beside'), $has_it ? 4 : 0, "what is kept in $_") foreach @three;
is($g->sql($_, 'SELECT count(*) FROM schemadrift_store.beside WHERE apart'), 0, "... and none of it is unusual in $_") foreach @three;

if (!$has_it)
{
	ok($g->try('r1', 'GRANT TRUNCATE ON t TO app; REVOKE INSERT ON t FROM app')->{ok}, 'a change of rights');
	ok($g->converged, '... reaches all');
	is($g->sql($_, 'SELECT count(*) FROM schemadrift_store.beside'), 0, "... and nothing is kept beside digests in $_") foreach @three;
	is($g->sql('r1', "SELECT count(*) FROM schemadrift.diff('r2', 'r3')"), 0, '... nor does diff() differ');
	is($g->sql('r1', "SELECT count(*) FROM schemadrift_rpc.beside(2)"), 0, '... nor is anything told');
	done_testing();
	exit 0;
}

# ---- behind the gate ----

my $root = $g->sql('r3', 'SELECT root FROM schemadrift_store.digest');
$g->sql('r3', "$off REVOKE MAINTAIN ON t FROM app");
is($g->sql('r3', 'SELECT root FROM schemadrift_store.digest') eq $root, 1, 'the root does not know');
is($g->sql('r3', sprintf $drift, 'r3'), 'maintain on table public.t changed: maintain', 'MAINTAIN taken behind the gate is drift there');
is($g->sql('r3', $unsettled), 1, '... of one dot');
ok($g->wait_until($_, sprintf($drift, 'r3'), 'maintain on table public.t changed: maintain'), "... which $_ hears of") foreach qw(r1 r2);
is($g->sql('r1', sprintf $diff, 'r3', 'r2'), qq(maintain on table | public.t | changed | maintain | b: "app": held), '... diff() says it');
is($g->sql('r3', sprintf $diff, 'r1', 'r3'), qq(maintain on table | public.t | changed | maintain | a: "app": held), '... from either side');
is($g->sql('r1', sprintf $diff, 'r1', 'r2'), '', '... and nothing of the others');
is($g->sql('r1', q{SELECT string_agg(concat_ws(' | ', object_type, identity, difference, property, by_log, here), ',') FROM schemadrift.verify('r3')}),
	q(maintain on table | public.t | changed | maintain | "app": held), '... verify() agrees');
is($g->sql('r1', q{SELECT string_agg(statement, ' ') FROM schemadrift.repair_plan('r3') WHERE object_type <> 'session'}), 'GRANT MAINTAIN ON TABLE public.t TO app;',
	'... and repair_plan() knows what to do');

# it is nobody's halt, and keeps nobody from changing the table
ok($g->try('r1', 'ALTER TABLE t ADD b int')->{ok}, 'another region changes the table');
ok($g->converged, '... everywhere');
ok($g->try('r3', 'ALTER TABLE t ADD c int')->{ok}, '... and so does that region');
ok($g->converged, '... everywhere');
is($g->sql('r3', sprintf $drift, 'r3'), 'maintain on table public.t changed: maintain', '... it stays what it is');
refused($g->try('r3', 'GRANT MAINTAIN ON t TO app'), 'SD008', 'but a change there of just that is refused');
$g->sql('r3', $off . $g->sql('r1', q{SELECT string_agg(statement, ' ') FROM schemadrift.repair_plan('r3') WHERE object_type <> 'session'}));
is($g->sql('r3', sprintf $drift, 'r3'), '', 'taken back, it is no drift');
is($g->sql('r3', $unsettled), 0, '... and settled');
is($g->sql('r3', $kept), qq(maintain: "app": held\nfalse), '... as it was kept');
ok($g->wait_until($_, sprintf($drift, 'r3'), ''), "... as $_ hears") foreach qw(r1 r2);

# ---- by the log ----

ok($g->try('r1', 'REVOKE INSERT ON t FROM app')->{ok}, 'GRANT ALL less one, by the log');
ok($g->converged, '... everywhere');
is($g->sql($_, $kept), qq(maintain: "app": held\ntrue), "... leaves $_ MAINTAIN") foreach @three;
is($g->sql($_, sprintf $drift, $_), '', "... and no drift in $_") foreach @three;
is($g->sql('r1', sprintf $diff, 'r2', 'r3'), '', '... no difference');
ok($g->try('r2', 'REVOKE MAINTAIN ON t FROM app')->{ok}, 'taken by the log');
ok($g->converged, '... everywhere');
is($g->sql($_, $kept), '', "... in $_, too") foreach @three;

# behind the gate first, and then by the log: it is what the log says
$g->sql('r3', "$off GRANT MAINTAIN ON t TO app");
is($g->sql('r3', sprintf $drift, 'r3'), 'maintain on table public.t changed: maintain', 'given in one region');
ok($g->try('r1', 'GRANT MAINTAIN ON t TO app')->{ok}, '... then by the log in another');
ok($g->converged, '... everywhere');
ok($g->wait_until('r3', sprintf($drift, 'r3'), ''), '... is no drift any more');
is($g->sql('r3', $unsettled), 0, '... and settled');

# with another right, which is drift of the object itself
$g->sql('r3', qq{$off GRANT TRUNCATE, MAINTAIN ON v TO "an ""odd"" one" WITH GRANT OPTION});
is($g->sql('r3', sprintf $drift, 'r3'), 'maintain on view public.v changed: maintain, view public.v changed: privileges', 'with another right, both are drift')
  if $g->wait_until('r3', q{SELECT count(*) FROM schemadrift_store.drift WHERE region = 'r3' AND expected_definition IS NULL}, 0);
like($g->sql('r1', sprintf $diff, 'r3', 'r1'), qr/^maintain on view \| public\.v \| changed \| maintain \| a: "an ""odd"" one": held\*/m, '... in full');
ok($g->try('r1', qq{GRANT TRUNCATE, MAINTAIN ON v TO "an ""odd"" one" WITH GRANT OPTION})->{ok}, '... made by the log in another region');
ok($g->converged, '... everywhere');
is($g->sql('r3', sprintf $drift, 'r3'), '', '... neither is drift any more');
is($g->sql('r1', sprintf $diff, 'r3', 'r2'), '', '... and nothing differs');

# ---- made the group's ----

$g->sql('r3', "$off REVOKE MAINTAIN ON other FROM app");
ok($g->try('r3', q{SELECT schemadrift.accept_drift('r3', 'maintain on table public.other')})->{ok}, 'accept_drift()');
ok($g->converged, '... everywhere');
is($g->sql($_, q{SELECT has_table_privilege('app', 'other', 'MAINTAIN')}), 'f', "... taken in $_, too") foreach @three;
is($g->sql($_, sprintf $drift, $_), '', "... no drift in $_") foreach @three;
is($g->sql('r1', sprintf $diff, 'r3', 'r2'), '', '... and nothing differs');

# ---- past every hook, default privileges, and objects that go ----

$g->sql('r3', q{UPDATE pg_class SET relacl = (SELECT array_agg(CASE WHEN a::text LIKE 'app=%' THEN (regexp_replace(a::text, 'm\*?', '') || '')::aclitem ELSE a END)
	FROM unnest(relacl) AS a) WHERE oid = 't'::regclass});
ok($g->wait_until('r3', sprintf($drift, 'r3'), 'maintain on table public.t changed: maintain'), 'a catalog changed by hand is found');
is($g->sql('r3', q{SELECT count(*) FROM schemadrift.verify() WHERE identity = 'public.t'}), 1, '... and by verify()');
ok($g->try('r1', 'ALTER TABLE t RENAME TO t2')->{ok}, 'the table gets another name');
ok($g->converged, '... everywhere');
is($g->sql('r3', sprintf $drift, 'r3'), '', '... and what was noted under the old one is gone');
is($g->sql('r1', sprintf $diff, 'r3', 'r1'), qq(maintain on table | public.t2 | changed | maintain | b: "app": held), '... though they still differ');
ok($g->try('r1', 'DROP TABLE t2 CASCADE')->{ok} && $g->converged, 'and is dropped');
is($g->sql('r1', sprintf $diff, 'r3', 'r1'), '', '... nothing is left');

ok($g->try('r1', 'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app')->{ok} && $g->converged, 'default privileges');
$g->sql('r3', "$off ALTER DEFAULT PRIVILEGES REVOKE MAINTAIN ON TABLES FROM app");
like($g->sql('r3', sprintf $drift, 'r3'), qr/^maintain on default privileges for role \S+ on tables changed: maintain$/, '... less one in one region');
$g->sql('r3', $off . $g->sql('r1', q{SELECT string_agg(statement, ' ') FROM schemadrift.repair_plan('r3') WHERE object_type <> 'session'}))
  if $g->wait_until('r1', q{SELECT count(*) FROM schemadrift.drift WHERE region = 'r3'}, 1);
is($g->sql('r3', sprintf $drift, 'r3'), '', '... repaired');

# of thousands at once everything is hashed again: seen all the same
$g->sql('r1', 'BEGIN; ' . join('', map { "CREATE TABLE many$_ (); " } 1 .. 1100) . 'COMMIT');
ok($g->converged, 'many tables');
$g->sql('r3', "$off GRANT TRUNCATE, MAINTAIN ON ALL TABLES IN SCHEMA public TO PUBLIC");
is($g->sql('r3', q{SELECT count(*) >= 1100 FROM schemadrift_store.drift WHERE kind = 'maintain on table'}), 't', 'MAINTAIN on all of them');
is($g->sql('r3', q{SELECT count(DISTINCT identity) >= 1100 FROM schemadrift.diff('r1') WHERE object_type = 'maintain on table'}), 't', '... in diff(), too');
$g->sql('r3', "$off REVOKE TRUNCATE, MAINTAIN ON ALL TABLES IN SCHEMA public FROM PUBLIC");
is($g->sql('r3', sprintf $drift, 'r3'), '', '... and none of it left');

# what was kept is what a look at everything finds
is($g->sql($_, 'SELECT count(*) FROM schemadrift.verify()'), 0, "$_ finds nothing else") foreach @three;
done_testing();
