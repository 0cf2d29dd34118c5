# What differs between two definitions of one object, in words that a DBA reads.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use SchemaDrift::Net;
use SchemaDrift::Region;
use Test::More;

my $region = SchemaDrift::Region->make(SchemaDrift::Net->new, 'properties');
$region->start;

sub sql
{
	return $region->sql($_[0], dbname => 'postgres');
}

sql(<<'SQL');
CREATE EXTENSION schemadrift;
CREATE SCHEMA testing;
CREATE FUNCTION testing.differ(a text, b text, OUT property text, OUT was text, OUT becomes text) RETURNS SETOF record
	LANGUAGE c AS 'schemadrift', 'sd_testing_properties';
CREATE FUNCTION testing.lines(a text, b text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(property || '=' || coalesce(was, '-') || '>' || coalesce(becomes, '-'), ';' ORDER BY n), '')
	FROM testing.differ(a, b) WITH ORDINALITY AS d (property, was, becomes, n) WHERE property IS NOT NULL
$$;
SQL

# ---- texts ----

sub differ
{
	my ($a, $b, $expected, $what) = @_;
	is(sql('SELECT testing.lines(' . join(', ', map { defined ? "E'" . s/([\\'])/\\$1/gr =~ s/\n/\\n/gr . "'" : 'NULL' } $a, $b) . ')'),
		$expected, $what);
	return;
}

differ("owner: \"x\"\n", "owner: \"x\"\n", '', 'nothing');
differ("owner: \"x\"\n", "owner: \"y\"\n", 'owner="x">"y"', 'a value');
differ("owner: x\n", "cost: 1\n", 'owner=x>-;cost=->1', 'what only one has');
differ(undef, "cost: 1\n", '', 'a missing object differs as a whole');
differ("source: a\\nb\\\\n\n", "source: a\n", "source=a\nb\\n>a", 'values come without their escapes');
differ("label: 'a'\nlabel: 'b'\n", "label: 'b'\nlabel: 'a'\n", q{labels='a', 'b'>'b', 'a'}, 'lines of one name together');
differ("column: a integer\ncolumn: c text\n", "column: a integer\ncolumn: b bigint\ncolumn: c text\n", 'column b=->b bigint',
	'a column in the middle is one difference');
differ("column: a integer\ncolumn: b text\n", "column: b text\ncolumn: a integer\n", 'column order=a, b>b, a', 'the order of columns');
differ("column: a integer not null\ncolumn: b text\n", "column: b text\ncolumn: a integer\n", 'column a: not null=yes>-;column order=a, b>b, a',
	'order and property');
differ(
	"column: \"x not null\" character varying(10) collate pg_catalog.\"C\" not null identity a storage x compression l statistics 100 local options (n_distinct=5) default {CONST} not null\n",
	"column: \"x not null\" character varying(20) generated s options (n_distinct=6, n_distinct_inherited=2) default x\n",
	'column "x not null": type=character varying(10)>character varying(20);column "x not null": collation=pg_catalog."C">-;'
	  . 'column "x not null": not null=yes>-;column "x not null": identity=a>-;column "x not null": generated=->s;'
	  . 'column "x not null": storage=x>-;column "x not null": compression=l>-;column "x not null": statistics=100>-;'
	  . 'column "x not null": defined locally=yes>-;column "x not null": options=n_distinct=5>n_distinct=6, n_distinct_inherited=2;'
	  . 'column "x not null": default={CONST} not null>x',
	'each part of a column');
differ("column: a \"s default\".\"t\"\"( not null\"\n", "column: a integer\n", 'column a: type="s default"."t""( not null">integer', 'quoted names of types');
differ("attribute: a integer\n", "attribute: a text\n", 'attribute a: type=integer>text', 'attributes');
differ("nonsense\ncolumn: \"half\n", "column: (((\n", 'nonsense=>-;column "half="half>-;column (((=->(((', 'nonsense is no harm');
is(sql(q{SELECT was FROM testing.differ(E'a: 1\nb: 1\nc: 1\nd: 1\n', '') WHERE property IS NULL}), 'a, b and 2 more', 'a few names');

# ---- of real objects ----

sql(<<'SQL');
CREATE TYPE public.mood AS ENUM ('sad', 'ok');
CREATE TABLE public.t (a int PRIMARY KEY, b text, "C d" numeric(10,2) DEFAULT 0, m public.mood);
CREATE FUNCTION public.f(x int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE testing.before AS SELECT kind, identity, definition FROM schemadrift_store.digest_scan();
CREATE FUNCTION testing.found() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(b.kind || ' ' || b.identity || ': ' || d.property, '; ' ORDER BY b.kind, b.identity, d.property)
	FROM testing.before b JOIN schemadrift_store.digest_scan() n USING (kind, identity), testing.differ(b.definition, n.definition) d
	WHERE d.property IS NOT NULL AND b.identity LIKE 'public.%'
$$;
SQL

foreach (
	[ 'ALTER TABLE public.t ADD e int', 'table public.t: column e' ],
	[ 'ALTER TABLE public.t ALTER b SET NOT NULL', 'table public.t: column b: not null' ],
	[ 'ALTER TABLE public.t ALTER "C d" TYPE numeric(12,2)', 'table public.t: column "C d": default; table public.t: column "C d": type' ],	# cast
	[ 'ALTER TABLE public.t ALTER "C d" DROP DEFAULT', 'table public.t: column "C d": default' ],
	[ 'ALTER TABLE public.t DROP b, ADD b text', 'table public.t: column order' ],
	[ q{ALTER TYPE public.mood ADD VALUE 'meh'}, 'type public.mood: labels' ],
	[ 'ALTER FUNCTION public.f(int) STABLE', 'function public.f(integer): volatility' ])
{
	my ($change, $found) = @$_;
	is(sql("BEGIN; $change; SELECT testing.found(); ROLLBACK") =~ s/\A(?:[A-Z ]+\n)+|\n(?:[A-Z]+\n?)+\z//gr, $found, $change);
}

done_testing();
