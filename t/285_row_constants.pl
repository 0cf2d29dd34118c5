# A constant of a row type keeps the layout of the day it was made, also where ALTER TABLE has given the columns other types since.
# Whatever its bytes would be as the new types: the server goes on, verify() and diff() answer, and digests are the same everywhere.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(a b)], databases => 1, conf => <<'CONF');
schemadrift.heartbeat_interval = 200ms
max_worker_processes = 30
CONF
my $started = $g->sql('a', 'SELECT pg_postmaster_start_time()');

# Types, what has a constant of them, and which columns get which types then.
my @ways = (
	[ 'a length of 64 MB', 'CREATE TABLE # (a int)', q{CREATE VIEW #v AS SELECT '(268435456)'::# AS x}, 'a text' ],
	[ 'a length of 1 kB', 'CREATE TABLE # (a int)', q{CREATE VIEW #v AS SELECT '(4096)'::# AS x}, 'a text' ],
	[ 'a length of nothing', 'CREATE TABLE # (a int)', q{CREATE VIEW #v AS SELECT '(0)'::# AS x}, 'a text' ],
	[ 'one external', 'CREATE TABLE # (a int)', q{CREATE VIEW #v AS SELECT '(4609)'::# AS x}, 'a text' ],
	[ 'one compressed', 'CREATE TABLE # (a int)', q{CREATE VIEW #v AS SELECT '(18)'::# AS x}, 'a text' ],
	[ 'an array', 'CREATE TABLE # (a int)', q{CREATE VIEW #v AS SELECT '{"(268435456)","(4096)"}'::#[] AS x}, 'a text' ],
	[ 'a domain', 'CREATE TYPE # AS (a int); CREATE DOMAIN #d AS #', q{CREATE VIEW #v AS SELECT '(268435456)'::#d AS x},
		'a text' ],
	[ 'an array of a domain', 'CREATE TYPE # AS (a int); CREATE DOMAIN #d AS #', q{CREATE VIEW #v AS SELECT '{"(268435456)"}'::#d[] AS x},
		'a text' ],
	[ 'a range', 'CREATE TYPE # AS (a int); CREATE TYPE #range AS RANGE (subtype = #, multirange_type_name = #_multi)',
		q{CREATE VIEW #v AS SELECT '["(4096)","(268435456)")'::#range AS x, '{["(4096)","(268435456)")}'::#_multi AS y},
		'a text' ],
	[ 'a row in a row', 'CREATE TABLE # (a int); CREATE TYPE #o AS (b text, c #, d #[])', q{CREATE VIEW #v AS SELECT '(x,"(268435456)","{""(4096)""}")'::#o AS x},
		'a text' ],
	[ 'what becomes a row', 'CREATE TABLE # (a bytea); CREATE TYPE #o AS (b text, c text[])', q{CREATE VIEW #v AS SELECT '(\\\\x} . 'ff' x 60 . q{)'::# AS x},
		'a #o' ],
	[ 'what becomes jsonb', 'CREATE TABLE # (a bytea)', q{CREATE VIEW #v AS SELECT '(\\\\xffffff0fffffff7fffffffff)'::# AS x},
		'a jsonb' ],
	[ 'what becomes an array', 'CREATE TABLE # (a bytea)',
		q{CREATE VIEW #v AS SELECT '(\\\\x01000000000000001900000000ffff0f01000000)'::# AS x, '(\\\\x0600000000000000190000} . 'ff' x 48 . q{)'::# AS y},
		'a text[]' ],
	[ 'what becomes a polygon', 'CREATE TABLE # (a bytea)', q{CREATE VIEW #v AS SELECT '(\\\\xffffff0f} . '00' x 32 . q{)'::# AS x},
		'a polygon' ],
	[ 'what becomes a tsvector', 'CREATE TABLE # (a bytea)', q{CREATE VIEW #v AS SELECT '(\\\\xffffff0fffffffff)'::# AS x},
		'a tsvector' ],
	[ 'what becomes a range', 'CREATE TABLE # (a bytea)', q{CREATE VIEW #v AS SELECT '(\\\\x240f0000ffffffff02)'::# AS x},
		'a numrange' ],
	[ 'what becomes a multirange', 'CREATE TABLE # (a bytea)', q{CREATE VIEW #v AS SELECT '(\\\\xb4110000ffffff7fffffffff)'::# AS x},
		'a nummultirange' ],
	[ 'what becomes bits', 'CREATE TABLE # (a bytea)', q{CREATE VIEW #v AS SELECT '(\\\\xffffff0f00)'::# AS x}, 'a varbit' ],
	[ 'what becomes a numeric', 'CREATE TABLE # (a bytea)', q{CREATE VIEW #v AS SELECT '(\\\\x00)'::# AS x, '(\\\\xff7fffff)'::# AS y, '(\\\\x0080ffff)'::# AS z},
		'a numeric' ],
	[ 'what becomes an address', 'CREATE TABLE # (a bytea)', q{CREATE VIEW #v AS SELECT '(\\\\x03)'::# AS x, '(\\\\x77ff)'::# AS y}, 'a inet' ],
	[ 'what becomes text', 'CREATE TABLE # (a bytea)', q{CREATE VIEW #v AS SELECT '(\\\\xff00ff)'::# AS x}, 'a text' ],
	[ 'what becomes a time', 'CREATE TABLE # (a bigint, b bigint, c int)', q{CREATE VIEW #v AS SELECT '(9223372036854775806,-1,2147483646)'::# AS x},
		'a timestamptz', 'b time', 'c date' ],
	[ 'what becomes a label', 'CREATE TABLE # (a int); CREATE TYPE #e AS ENUM (\'l\')', q{CREATE VIEW #v AS SELECT '(77)'::# AS x}, 'a #e' ],
	[ 'what is longer', 'CREATE TABLE # (a int, b int)', q{CREATE VIEW #v AS SELECT '(1,2)'::# AS x}, 'a uuid' ],
	[ 'what is shorter', 'CREATE TABLE # (a bigint)', q{CREATE VIEW #v AS SELECT '(1)'::# AS x}, 'a smallint' ],
	[ 'a check, a policy, an argument', 'CREATE TABLE # (a int)',
		q{CREATE TABLE #k (b int CHECK (('(268435456)'::#) IS NULL OR b > 0)); CREATE POLICY #p ON #k USING (('(268435456)'::#) IS NULL OR b > 0);
		CREATE FUNCTION #f(x # DEFAULT '(268435456)') RETURNS int LANGUAGE sql AS 'SELECT 1'},
		'a text' ],
);
my $definitions = q{SELECT identity || E'\n' || definition FROM schemadrift_store.digest_scan() WHERE identity ~ 'row\d+' ORDER BY 1};

# ALTER TABLE did this until PostgreSQL refused it where a constant is in the way (15.20, for one); such constants stay.
sub retype
{
	my ($relation, $column, $type) = split ' ', shift;
	return "UPDATE pg_attribute a SET atttypid = t.oid, attlen = typlen, attbyval = typbyval, attalign = typalign, attstorage = typstorage
		FROM pg_type t WHERE attrelid = '$relation'::regclass AND attname = '$column' AND t.oid = '$type'::regtype";
}

foreach my $region (qw(a b))
{
	my $n = 0;

	$g->sql($region, join ";\n", map { my $way = $_; $n++;
		map { s/#/row$n/gr } @$way[ 1, 2 ], map { retype("# $_") } @$way[ 3 .. $#$way ] } @ways);
}
$g->make_group(mode => 'coordinate');

my ($here, $there) = map { $g->sql($_, $definitions) } qw(a b);
is($here, $there, 'the same definitions in both, whatever the OIDs');
is($g->sql('a', $definitions), $here, 'and the same each time');
my $unreadable = () = $here =~ /unreadable \(\d+ bytes\)/g;
cmp_ok($unreadable, '>', 20, 'what does not fit is said to be unreadable');
foreach (qw(a b))
{
	is($g->sql($_, 'SELECT count(*) FROM schemadrift.verify()'), 0, "verify() in $_");
	is($g->sql($_, 'SELECT schemadrift_store.digest_root() = schemadrift_store.digest_rebuild()'), 't', "what was kept in $_ is what a scan finds");
}
is($g->sql('a', q{SELECT count(*) FROM schemadrift.diff('b')}), 0, 'diff() finds them equal');

# what differs is told, and no statement is made of it: pg_get_viewdef() would read the bytes as what they are not
$g->sql('b', "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; DROP VIEW row1v; DROP VIEW row12v");
is($g->sql('a', q{SELECT string_agg(identity, ' ' ORDER BY identity) FROM schemadrift.diff('b')}), 'public.row12v public.row1v', 'diff() tells what is missing');
my $plan = $g->sql('a', q{SELECT * FROM schemadrift.repair_plan('b')});
my $refused = () = $plan =~ /a constant of a row type/g;
is($refused, 2, 'repair_plan() says why it has no statement') or diag($plan);
is($g->sql('a', 'SELECT pg_postmaster_start_time()'), $started, 'the server has never stopped');

done_testing();
