# What analyze() says in `safer` is pasted into psql as it stands, in a copy of the database, and must end where the statement itself
# would have: the same catalogs, by the fingerprint.  Where something has to be filled in, or the end is meant to be another one, the
# table says so.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Analyze;
use SchemaDrift::Group;
use Test::More;

my $g = SchemaDrift::Group->new(regions => ['plain'], databases => 1);
my $server = $g->region('plain');

$server->sql('CREATE DATABASE shop', dbname => 'postgres');
$server->sql(<<'SQL', dbname => 'shop');
CREATE EXTENSION schemadrift;
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, place text, UNIQUE (id, place));
INSERT INTO customer SELECT n, n, 'here' FROM generate_series(1, 100) n;
CREATE TABLE orders (id int PRIMARY KEY, customer int, place text, paid boolean, at timestamptz, total numeric, code text COLLATE "C", memo varchar(20));
INSERT INTO orders SELECT n, n, 'here', true, now(), n, n, n FROM generate_series(1, 100) n;
CREATE TABLE "Odd Table" ("Id" int, "a,b" text, "select" int);
INSERT INTO "Odd Table" SELECT n, n, n FROM generate_series(1, 100) n;
CREATE TABLE nokey (a int, b int, c text);
INSERT INTO nokey SELECT n, n, n FROM generate_series(1, 100) n;
CREATE TABLE void (a int, b int);
CREATE TABLE par (a int);
CREATE TABLE chi () INHERITS (par);
INSERT INTO par VALUES (1);
CREATE TABLE ev (id int NOT NULL, at date, kind text) PARTITION BY RANGE (id);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (100);
CREATE TABLE "Ev 2" PARTITION OF ev FOR VALUES FROM (100) TO (200);
INSERT INTO ev SELECT n, '2026-01-01', n FROM generate_series(1, 150) n;
CREATE TABLE nev (id int NOT NULL, at date) PARTITION BY RANGE (id);
CREATE TABLE nev1 PARTITION OF nev FOR VALUES FROM (0) TO (100);
CREATE SCHEMA other;
CREATE TABLE other.pt (a int) PARTITION BY LIST (a);
CREATE TABLE other.pt1 PARTITION OF other.pt FOR VALUES IN (1);
INSERT INTO other.pt VALUES (1);
CREATE TABLE head (id int PRIMARY KEY, customer int REFERENCES customer);
CREATE TABLE line (id int PRIMARY KEY, head int CONSTRAINT "of head" REFERENCES head);
CREATE VIEW heads AS SELECT id FROM head;
INSERT INTO head SELECT n, n FROM generate_series(1, 100) n;
INSERT INTO line SELECT n, n FROM generate_series(1, 100) n;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE "enum_Users_status" AS ENUM ('active', 'it''s gone', 'new');
CREATE TABLE "Users" (id int, status "enum_Users_status", mood mood);
INSERT INTO "Users" VALUES (1, 'active', 'ok');
CREATE DOMAIN "Pos Int" AS int CHECK (VALUE > 0 OR VALUE::text = 'VALUE');
CREATE DOMAIN plain AS int;
CREATE TABLE uses (a plain, b "Pos Int");
INSERT INTO uses VALUES (1, 2);
CREATE INDEX orders_long ON orders (length(memo));
CREATE TABLE published (id int PRIMARY KEY, kind text, secret text);
INSERT INTO published VALUES (1, 'a', 'b');
CREATE PUBLICATION "Pub 1" FOR TABLE published WHERE (id > 10 AND kind <> 'it''s');
CREATE PUBLICATION pub2 FOR TABLE published;
SQL

# A partition each of what is written once for all of them.
sub each_partition
{
	my ($text, @partitions) = @_;
	my ($index) = $text =~ /^-- on each partition: (.*)/m;
	my ($attach) = $text =~ /^-- and for each: (.*)/m;
	my $n = 0;

	foreach my $partition (@partitions)
	{
		my ($name, $shown) = @$partition;

		foreach my $line ($index, $attach)
		{
			(my $one = $line) =~ s/<name>/$name/g;
			$one =~ s/<partition>/$shown/g;
			$one =~ s/ATTACH PARTITION /ATTACH PARTITION other./ if $shown =~ /^other\./;
			$text .= "\n$one";
		}
	}
	return $text;
}

# What has to be uncommented, too.
sub uncommented
{
	my ($text, $line) = @_;

	$text =~ s/^-- ($line)/$1/mg;
	return $text;
}

# statement | how it ends: '' the same; else why not | what is filled in | what must be there afterwards, where it is not the same
my @cases = (
	# foreign keys
	['ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customer ON DELETE CASCADE'],
	['ALTER TABLE orders ADD CONSTRAINT "by Place" FOREIGN KEY (customer, place) REFERENCES customer (id, place) MATCH FULL ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED'],
	['ALTER TABLE orders ADD FOREIGN KEY (customer, place) REFERENCES public.customer (id, place) ON DELETE SET DEFAULT (place)'],
	['ALTER TABLE orders ADD COLUMN agent int NOT NULL DEFAULT 1 REFERENCES customer (id) ON DELETE RESTRICT DEFERRABLE'],
	['ALTER TABLE orders ADD agent int CONSTRAINT its_agent REFERENCES customer ON UPDATE CASCADE INITIALLY DEFERRED CHECK (agent > 0)'],
	['ALTER TABLE "Odd Table" ADD CONSTRAINT "a, b" FOREIGN KEY ("Id") REFERENCES customer (id)'],

	# UNIQUE, PRIMARY KEY
	['ALTER TABLE orders ADD UNIQUE (customer, at) INCLUDE (total)'],
	['ALTER TABLE orders ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (code) WITH (fillfactor = 70, deduplicate_items = off) DEFERRABLE INITIALLY DEFERRED'],
	['ALTER TABLE orders ADD CONSTRAINT u UNIQUE (code) USING INDEX TABLESPACE pg_default DEFERRABLE'],
	['ALTER TABLE nokey ADD PRIMARY KEY (a, b) INCLUDE (c)'],
	['ALTER TABLE "Odd Table" ADD CONSTRAINT "The Key" PRIMARY KEY ("Id")'],
	['ALTER TABLE orders ADD COLUMN sign text COLLATE "C" CONSTRAINT "the sign" UNIQUE DEFERRABLE'],
	['ALTER TABLE "Users" ADD COLUMN n int NOT NULL DEFAULT 7 UNIQUE'],
	['ALTER TABLE void ADD COLUMN n varchar(5) COLLATE "C" NOT NULL UNIQUE WITH (fillfactor = 50)'],
	['ALTER TABLE void ADD COLUMN n bigint PRIMARY KEY'],

	# columns
	['ALTER TABLE void ADD COLUMN "N n" text COLLATE "POSIX" NOT NULL'],
	[q{ALTER TABLE orders ADD COLUMN n text COLLATE "C" DEFAULT 'a,b  -- c' CHECK (n <> 'x' AND length(n) < 10)}],
	['ALTER TABLE orders ADD COLUMN n int DEFAULT (random() * 10)::int CHECK (n >= 0)', 'rows that are there have no value'],
	['ALTER TABLE orders ADD COLUMN n timestamptz NOT NULL DEFAULT now()', '', sub { $_[0] =~ s/<one value for all regions>/2026-01-01/r }],
	['ALTER TABLE orders ADD COLUMN n uuid DEFAULT gen_random_uuid() UNIQUE', 'rows that are there have no value'],
	['ALTER TABLE orders ADD COLUMN n json', 'jsonb', undef, q{SELECT format_type(atttypid, atttypmod) = 'jsonb' FROM pg_attribute WHERE attname = 'n' AND attrelid = 'orders'::regclass}],
	['ALTER TABLE orders ADD COLUMN n "Pos Int" DEFAULT 5', 'the type below the domain', undef, q{SELECT pg_get_constraintdef(oid) = 'CHECK (((n > 0) OR ((n)::text = ''VALUE''::text)))' FROM pg_constraint WHERE conname = 'orders_n_domain'}],

	# CHECK, NOT NULL
	['ALTER TABLE orders ADD CHECK (total >= 0)'],
	['ALTER TABLE par ADD CONSTRAINT c CHECK (a > 0) NO INHERIT'],
	[q{ALTER TABLE "Odd Table" ADD CONSTRAINT "It's" CHECK ("select" IS NOT NULL AND "a,b" <> 'x; -- y')}],
	['ALTER TABLE ev ADD CHECK (kind IS NOT NULL)'],
	['ALTER TABLE orders ALTER COLUMN paid SET NOT NULL'],
	['ALTER TABLE "Odd Table" ALTER "select" SET NOT NULL'],

	# several commands
	['ALTER TABLE orders ADD COLUMN note text, ALTER COLUMN paid SET NOT NULL'],
	[q{ALTER TABLE orders ADD note text DEFAULT 'a, b', ADD CHECK (total IN (1, 2) OR total > 0), ALTER COLUMN place SET DEFAULT 'here', ADD UNIQUE (code), ALTER paid SET NOT NULL}],
	['ALTER TABLE IF EXISTS ONLY "Odd Table" ADD PRIMARY KEY ("Id"), ADD COLUMN x int, ALTER "select" SET NOT NULL'],
	['ALTER TABLE orders ADD COLUMN agent int REFERENCES customer, ADD COLUMN n int, ALTER n SET DEFAULT 4'],
	['ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customer, ADD COLUMN n text, ADD CONSTRAINT n_long CHECK (length(n) > 2)'],
	['ALTER TABLE orders ALTER memo TYPE varchar(30), ALTER paid SET DEFAULT false'],

	# indexes
	['CREATE INDEX ON orders (at)'],
	["-- an index for the list\n/* another /* index */ */ CREATE INDEX ON orders (at) -- it's an index"],
	[q{CREATE /* unique index */ UNIQUE -- index
		INDEX IF NOT EXISTS "My Index" ON orders USING btree (lower(code) DESC, customer) INCLUDE (total) WITH (fillfactor = 60) WHERE place <> 'an index  -- here'}],
	['CREATE INDEX "index" ON "Odd Table" ("a,b", ("select" + 1))'],
	['CREATE INDEX ev_kind ON ev USING hash (kind) WHERE id > 3', '', sub { each_partition($_[0], [qw(ev1_kind_idx public.ev1)], [ '"Ev 2_kind_idx"', 'public."Ev 2"' ]) }],
	['CREATE UNIQUE INDEX "Ev U" ON ev (id, at) INCLUDE (kind) WITH (fillfactor = 60)', '', sub { each_partition($_[0], [qw(ev1_id_at_kind_idx public.ev1)], [ '"Ev 2_id_at_kind_idx"', 'public."Ev 2"' ]) }],
	['CREATE UNIQUE INDEX ON nev (id) WHERE at > $$2026-01-01$$', '', sub { each_partition($_[0], [qw(nev1_id_idx public.nev1)]) }],
	['CREATE INDEX ON other.pt (a)', '', sub { each_partition($_[0], [qw(pt1_a_idx other.pt1)]) }],
	['DROP INDEX orders_long'],
	['ALTER TABLE ev ADD CONSTRAINT "Ev P" PRIMARY KEY (id) INCLUDE (kind) DEFERRABLE', '', sub {
			my ($text) = @_;
			my ($index, $add) = $text =~ /^-- on each partition: (.*), then\n-- (.*), then on the parent/m;

			return join "\n", (map { my ($name, $partition) = @$_; map { s/<name>/$name/gr =~ s/<partition>/$partition/gr . ';' } $index, $add }
					[ 'ev1_pkey', 'public.ev1' ], [ '"Ev 2_pkey"', 'public."Ev 2"' ]), $text;
		}],

	# types
	[q{ALTER TYPE "enum_Users_status" RENAME VALUE 'it''s gone' TO 'left'}, 'the old label stays, as long as rows have it', undef,
		q{SELECT array_agg(enumlabel ORDER BY enumsortorder)::text = '{active,left,"it''s gone",new}' FROM pg_enum WHERE enumtypid = '"enum_Users_status"'::regtype}],
	[q{ALTER TYPE public.mood RENAME VALUE 'ok' TO 'Well'}, 'the old label stays, as long as rows have it', undef,
		q{SELECT array_agg(enumlabel ORDER BY enumsortorder)::text = '{sad,Well,ok}' FROM pg_enum WHERE enumtypid = 'mood'::regtype}],
	[q{ALTER TYPE mood ADD VALUE 'fine'}, 'nothing is safer'],
	['ALTER DOMAIN "Pos Int" ADD CHECK (VALUE < 1000 AND VALUE <> 7)'],
	['ALTER DOMAIN plain ADD CONSTRAINT "small enough" CHECK (VALUE < 1000)'],
	['ALTER DOMAIN plain SET NOT NULL', 'a CHECK', undef, q{SELECT convalidated AND pg_get_constraintdef(oid) ~ 'VALUE IS NOT NULL' FROM pg_constraint WHERE conname = 'plain_not_null'}],
	['ALTER TABLE orders ALTER total TYPE bigint', 'another column', undef, q{SELECT atttypid = 'bigint'::regtype FROM pg_attribute WHERE attname = 'total_new'}],
	['ALTER TABLE orders ALTER memo TYPE varchar(30)'],

	# DROP
	['DROP TABLE line'],
	['DROP TABLE head CASCADE'],
	['DROP TABLE orders, head, line CASCADE'],
	['DROP TABLE ev1'],
	['DROP TABLE customer CASCADE'],
	['ALTER TABLE orders DROP COLUMN memo'],

	# publications: the new column is not in them yet
	['ALTER TABLE published ADD COLUMN n int', 'narrowed publications', undef,
		q{SELECT string_agg(concat_ws(' ', pubname, attnames, rowfilter), '; ' ORDER BY pubname) = $$Pub 1 {id,kind,secret} ((id > 10) AND (kind <> 'it''s'::text)); pub2 {id,kind,secret}$$ FROM pg_publication_tables}],
	['ALTER TABLE published ADD COLUMN n int REFERENCES customer ON DELETE CASCADE, ADD COLUMN o text', 'narrowed publications', undef,
		q{SELECT string_agg(concat_ws(' ', pubname, attnames, rowfilter), '; ' ORDER BY pubname) = $$Pub 1 {id,kind,secret} ((id > 10) AND (kind <> 'it''s'::text)); pub2 {id,kind,secret}$$ FROM pg_publication_tables}]);

my ($same, $copies) = (0, 0);
foreach my $case (@cases)
{
	my ($statement, $other, $fill, $check) = ($case->[0], $case->[1] // '', @{$case}[ 2, 3 ]);
	my $copy = 'copy_' . ++$copies;

	$server->sql("CREATE DATABASE $copy TEMPLATE shop", dbname => 'postgres');
	my $s = $server->session(dbname => $copy);
	$s->query('SET schemadrift.large_table = 1;') if $statement =~ /json|DROP INDEX/;
	my $digest = sub { return $s->query('SELECT schemadrift_store.digest_rebuild();')->{out} };
	my $r = $s->query('SELECT safer FROM schemadrift.analyze(' . literal($statement) . ') WHERE safer IS NOT NULL;');
	my $safer = $r->{out};

	ok($r->{ok}, $statement) or diag($r->{err});
	note($safer);
	if ($other eq 'nothing is safer')
	{
		is($safer, '', "... $other");
		$s->quit;
		$server->sql("DROP DATABASE $copy", dbname => 'postgres');
		next;
	}
	isnt($safer, '', '... has a safer way');
	my $before = $digest->();
	$r = $s->query("BEGIN;\n$statement\n;");
	ok($r->{ok}, '... runs') or diag($r->{err});
	my $end = $digest->();
	$s->query('ROLLBACK;');
	isnt($end, $before, '... and changes something');
	$safer = $fill->($safer) if $fill;
	my ($code) = join "\n", grep { !/^--/ } split /\n/, $safer;
	unlike($code, qr/<[a-z]/, '... nothing is left to be filled in');
	$r = $s->query("$safer\n");
	ok($r->{ok}, '... the safer way runs') or diag("$safer\n$r->{err}");
	if ($check)
	{
		is($s->query("$check;")->{out}, 't', "... and ends elsewhere: $other") or diag($safer);
	}
	else
	{
		is($digest->(), $end, '... and ends there, too') or diag($safer);
		$same++;
	}
	$s->quit;
	$server->sql("DROP DATABASE $copy", dbname => 'postgres');
}
note("$same of " . @cases . ' end with the same catalogs');

# ---- a statement begins with its first word, and not with what is said above it ----
{
	my $s = $server->session(dbname => 'shop');
	my $script = "-- one\n\n/* two\n /* and */ -- three\n*/ALTER TABLE void ADD COLUMN x int; -- of void\n\n-- the index\nCREATE INDEX ON void (x) /* last */ -- one\n;\n-- nothing";

	is($s->query('SELECT string_agg(line::text, $$ $$ ORDER BY step) FROM schemadrift.analyze(' . literal($script) . ');')->{out}, '5 8', 'lines of statements');
	$s->quit;
}

done_testing;
