# A region that was changed behind the gate is brought back by what repair_plan() says: run there, nothing is left of the drift.
# Where there is no way, the plan says so, and of nothing else.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use PostgreSQL::Test::Utils;
use SchemaDrift::Group;
use SchemaDrift::Kinds;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(a b)], databases => 1);
my $server = $g->region('a');
my ($major) = $g->sql('a', 'SHOW server_version_num') =~ /^(..)/;

# ---- what is changed ----

# Every property of every kind.  Not those for which a role is renamed or dropped, which all databases of the server see.
# Nor updates of the catalogs, which are another test's (t/240_drift.pl), and operators that another one names before they are made,
# which takes two rounds.
my @kinds = grep { "$_->{setup} $_->{change}" !~ /ROLE (?!kinds)|OWNED BY \w+_|UPDATE pg_|negator = OPERATOR\(\w+\.#!/ } SchemaDrift::Kinds::rows($major);

# Of which there is no statement that brings them back: kind, property, what is said, and which of those with this property.
my @refused = (
	[ 'table', qr/^column order$/, qr/cannot move columns/ ],
	[ 'table', qr/^column b: generated$/, qr/cannot make a column generated/ ],
	[ 'table', qr/^column a: defined locally$/, qr/cannot be changed/ ],
	[ 'table', qr/^inherits$/, qr/columns of its own/, qr/INHERITS \(\w+\.p, \w+\.q\)/ ],
	[ 'table', qr/^partition (?:strategy|key)$/, qr/cannot change it/ ],
	[ 'foreign table', qr/^server$/, qr/cannot change it/ ],
	[ 'server', qr/^(?:type|wrapper)$/, qr/its wrapper or type differs/ ],
	[ 'index', qr/^attached to$/, qr/cannot be detached/ ],
	[ 'constraint', qr/^trigger state$/, qr/names are made of OIDs/ ],
	[ 'table', qr/^trigger state$/, qr/names are made of OIDs/ ],
	[ 'constraint', qr/^defined locally$/, qr/a CHECK of its own/, qr/ALTER TABLE \w+\.k ADD/ ],
	[ 'domain', qr/^(?:base|collation)$/, qr/cannot change what a domain is made of/ ],
	[ 'extension', qr/^version$/, qr/no script leads/ ],
	[ 'operator family', qr/^(?:operator|function)$/, qr/cannot be written here/ ],
	[ 'operator class', qr/^(?:type|family|default|storage)$/, qr/cannot be written here/ ],
	[ 'type', qr/^labels$/, qr/cannot take labels away/, qr/ADD VALUE/ ],
	[ 'type', qr/^(?:kind|shell)$/, qr/another kind/ ],
	[ 'type', qr/^attribute order$/, qr/cannot move attributes/ ],
	[ 'type', qr/^(?!owner|privileges|comment|security label|shell)/, qr/base type is changed/, qr/textin/ ]);

sub is_refused
{
	my ($row, $entry) = @_;

	return $row->{kind} eq $entry->[0] && $row->{property} =~ $entry->[1] && (!$entry->[3] || "$row->{setup} $row->{change}" =~ $entry->[3]);
}

# Whole objects, and several at once; @ is the schema, which exists.  Setup, change.
my @others = (
	[ 'CREATE TABLE @.t (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY (START 5), a text NOT NULL DEFAULT \'x\' COLLATE "C", g int GENERATED ALWAYS AS (id + 1) STORED);
		ALTER TABLE @.t ALTER a SET STORAGE EXTERNAL, ALTER a SET STATISTICS 50, ALTER a SET (n_distinct = 7); ALTER TABLE @.t SET (fillfactor = 70, toast.autovacuum_enabled = off);
		CREATE UNIQUE INDEX ti ON @.t (lower(a), id DESC) INCLUDE (n) WHERE n > 0; ALTER TABLE @.t ADD CONSTRAINT c CHECK (n > 0) NOT VALID; ALTER TABLE @.t ADD EXCLUDE (id WITH =);
		CREATE FUNCTION @.f() RETURNS trigger LANGUAGE plpgsql AS \'BEGIN RETURN NEW; END\'; CREATE TRIGGER tr BEFORE INSERT OR UPDATE OF a ON @.t FOR EACH ROW WHEN (NEW.a > \'b\') EXECUTE FUNCTION @.f(\'x\');
		ALTER TABLE @.t ENABLE ALWAYS TRIGGER tr; CREATE POLICY p ON @.t AS RESTRICTIVE FOR UPDATE TO kinds_alice, kinds_bob USING (n > 0) WITH CHECK (n > 1); ALTER TABLE @.t ENABLE ROW LEVEL SECURITY;
		CREATE RULE r AS ON DELETE TO @.t DO INSTEAD NOTHING; GRANT SELECT, INSERT (a) ON @.t TO kinds_bob; COMMENT ON TABLE @.t IS \'it is\'; COMMENT ON COLUMN @.t.a IS \'a\'; COMMENT ON INDEX @.ti IS \'i\';
		CREATE TABLE @.u (t int REFERENCES @.t ON DELETE CASCADE DEFERRABLE); CREATE VIEW @.v AS SELECT a, count(*) FROM @.t GROUP BY 1; ALTER TABLE @.t OWNER TO kinds_alice; ALTER TABLE @.t REPLICA IDENTITY USING INDEX t_pkey',
	  'DROP TABLE @.t CASCADE' ],
	[ 'SELECT 1', 'CREATE TYPE @.m AS ENUM (\'a\'); CREATE TABLE @.t (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, m @.m UNIQUE); CREATE INDEX ON @.t (n); CREATE TABLE @.u (t int REFERENCES @.t);
		CREATE VIEW @.v AS SELECT * FROM @.t; CREATE VIEW @.w AS SELECT * FROM @.v; CREATE FUNCTION @.f() RETURNS trigger LANGUAGE plpgsql AS \'BEGIN RETURN NEW; END\';
		CREATE TRIGGER tr BEFORE INSERT ON @.t FOR EACH ROW EXECUTE FUNCTION @.f(); CREATE SEQUENCE @.s; CREATE DOMAIN @.d AS int CHECK (VALUE > 0); CREATE MATERIALIZED VIEW @.mv AS SELECT 1 AS a; CREATE INDEX ON @.mv (a);
		CREATE STATISTICS @.st ON id, n FROM @.t; CREATE AGGREGATE @.g(int) (SFUNC = int4pl, STYPE = int); CREATE OPERATOR @.## (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int); CREATE PROCEDURE @.pr() LANGUAGE sql AS \'SELECT 1\';
		CREATE COLLATION @.co FROM "C"; CREATE TYPE @.rg AS RANGE (SUBTYPE = int); CREATE TEXT SEARCH CONFIGURATION @.ts (COPY = simple); ALTER DEFAULT PRIVILEGES IN SCHEMA @ GRANT SELECT ON TABLES TO kinds_bob;
		CREATE TABLE @.pt (a int PRIMARY KEY) PARTITION BY LIST (a); CREATE TABLE @.p1 PARTITION OF @.pt FOR VALUES IN (1); CREATE POLICY p ON @.t; CREATE RULE r AS ON DELETE TO @.t DO INSTEAD NOTHING' ],
	[ 'CREATE TYPE @.m AS ENUM (\'a\', \'b\'); CREATE DOMAIN @.d AS text COLLATE "C" DEFAULT \'x\' NOT NULL CONSTRAINT short CHECK (length(VALUE) < 9); CREATE TYPE @.c AS (a int, b text COLLATE "C");
		CREATE TYPE @.rg AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi); CREATE SEQUENCE @.s AS int START 7 CYCLE; CREATE FUNCTION @.f(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql STABLE COST 3 SET work_mem = \'1MB\' AS \'SELECT a\';
		CREATE PROCEDURE @.pr(INOUT x int) LANGUAGE sql BEGIN ATOMIC SELECT x; END; CREATE AGGREGATE @.g(int) (SFUNC = int4pl, STYPE = int, INITCOND = \'1\', COMBINEFUNC = int4pl, PARALLEL = safe);
		CREATE OPERATOR @.## (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int); CREATE COLLATION @.co FROM "C"; CREATE CAST (@.m AS bytea) WITH INOUT AS ASSIGNMENT; CREATE MATERIALIZED VIEW @.mv AS SELECT 2 AS a; CREATE UNIQUE INDEX mvi ON @.mv (a);
		CREATE TEXT SEARCH CONFIGURATION @.ts (COPY = simple); CREATE FUNCTION @.e() RETURNS event_trigger LANGUAGE plpgsql AS \'BEGIN END\'; CREATE EVENT TRIGGER e_@ ON sql_drop WHEN TAG IN (\'DROP OWNED\') EXECUTE FUNCTION @.e();
		GRANT ALL ON FUNCTION @.f TO kinds_bob WITH GRANT OPTION; REVOKE ALL ON FUNCTION @.f FROM PUBLIC; GRANT USAGE ON TYPE @.m TO kinds_alice; COMMENT ON TYPE @.c IS \'c\'; COMMENT ON COLUMN @.c.b IS \'cb\'; COMMENT ON CONSTRAINT short ON DOMAIN @.d IS \'s\'',
	  'DROP EVENT TRIGGER e_@; DROP CAST (@.m AS bytea); DROP TYPE @.m, @.c, @.rg; DROP DOMAIN @.d; DROP SEQUENCE @.s; DROP FUNCTION @.f, @.e; DROP PROCEDURE @.pr; DROP AGGREGATE @.g(int); DROP OPERATOR @.##(int, int); DROP COLLATION @.co;
		DROP MATERIALIZED VIEW @.mv; DROP TEXT SEARCH CONFIGURATION @.ts' ],
	[ 'CREATE TABLE @.pt (a int, b int, CONSTRAINT pt_pkey PRIMARY KEY (a)) PARTITION BY RANGE (a); CREATE TABLE @.p1 (b int, a int NOT NULL); ALTER TABLE @.pt ATTACH PARTITION @.p1 FOR VALUES FROM (1) TO (9);
		CREATE TABLE @.p2 PARTITION OF @.pt DEFAULT; CREATE INDEX pi ON @.pt (b); ALTER TABLE @.pt ADD CHECK (b > 0); CREATE FUNCTION @.f() RETURNS trigger LANGUAGE plpgsql AS \'BEGIN RETURN NEW; END\';
		CREATE TRIGGER tr BEFORE INSERT ON @.pt FOR EACH ROW EXECUTE FUNCTION @.f()', 'DROP TABLE @.p1' ],
	[ 'CREATE TABLE @.pt (a int, b int, CONSTRAINT pt_pkey PRIMARY KEY (a)) PARTITION BY RANGE (a); CREATE TABLE @.p1 PARTITION OF @.pt FOR VALUES FROM (1) TO (9); CREATE INDEX pi ON @.pt (b); ALTER TABLE @.pt ADD CHECK (b > 0)',
	  'DROP TABLE @.pt' ],
	[ 'CREATE TABLE @.pt (a int, b int) PARTITION BY RANGE (a); CREATE TABLE @.p1 PARTITION OF @.pt FOR VALUES FROM (1) TO (9)',
	  'ALTER TABLE @.pt ADD c int DEFAULT 4, ADD PRIMARY KEY (a), ADD CHECK (b > 0), ALTER b TYPE bigint; CREATE INDEX ON @.pt (b)' ],
	[ 'CREATE TABLE @.pt (a int, b int, c text) PARTITION BY RANGE (a); CREATE TABLE @.p1 PARTITION OF @.pt FOR VALUES FROM (1) TO (9); CREATE INDEX pi ON @.pt (b)',
	  'ALTER TABLE @.pt DROP c; DROP INDEX @.pi' ],
	[ 'CREATE TABLE @.h (a int, b int); CREATE TABLE @.k (c int) INHERITS (@.h); ALTER TABLE @.k ALTER b SET DEFAULT 3', 'ALTER TABLE @.h ADD z int; DROP TABLE @.k' ],
	[ 'CREATE TABLE @.t (a int, b varchar(10), c int DEFAULT 1); CREATE VIEW @.v AS SELECT a, b FROM @.t; CREATE VIEW @.w AS SELECT b FROM @.v; GRANT SELECT ON @.w TO kinds_bob; COMMENT ON VIEW @.v IS \'v\';
		CREATE FUNCTION @.f() RETURNS trigger LANGUAGE plpgsql AS \'BEGIN RETURN NEW; END\'; CREATE TRIGGER tr INSTEAD OF INSERT ON @.v FOR EACH ROW EXECUTE FUNCTION @.f()',
	  'ALTER TABLE @.t ALTER c DROP DEFAULT, ALTER c TYPE text, ALTER c SET DEFAULT \'1\'; DROP VIEW @.w, @.v; ALTER TABLE @.t ALTER b TYPE varchar(20); CREATE VIEW @.v AS SELECT b, a FROM @.t' ],
	[ 'CREATE TABLE @.t (a int, b text); CREATE VIEW @.v AS SELECT a FROM @.t; CREATE VIEW @.w AS SELECT a FROM @.v; CREATE FUNCTION @.r() RETURNS SETOF @.v LANGUAGE sql AS \'SELECT 1\'',
	  'DROP VIEW @.v CASCADE; CREATE VIEW @.v AS SELECT a, b FROM @.t' ],
	[ 'CREATE TABLE @.t (a int, b text DEFAULT \'q\'); CREATE INDEX ti ON @.t (a); CREATE VIEW @.v AS SELECT a FROM @.t; ALTER TABLE @.t ADD CONSTRAINT c CHECK (a > 0); CREATE FUNCTION @.f() RETURNS int LANGUAGE sql AS \'SELECT 1\'',
	  'ALTER TABLE @.t RENAME b TO bb; ALTER TABLE @.t RENAME CONSTRAINT c TO cc; ALTER FUNCTION @.f RENAME TO ff' ],
	[ 'CREATE TABLE @.t (a int, b text); CREATE INDEX ti ON @.t (a)', 'ALTER TABLE @.t RENAME TO tt' ],
	[ 'CREATE TYPE @.m AS ENUM (\'a\', \'c\', \'x y\', \'d\'\'e\'); CREATE TYPE @.n AS ENUM (\'a\', \'b\'); CREATE TABLE @.t (m @.m DEFAULT \'c\')',
	  'ALTER TABLE @.t ALTER m DROP DEFAULT, ALTER m TYPE text; DROP TYPE @.m; CREATE TYPE @.m AS ENUM (\'x y\'); ALTER TYPE @.n RENAME VALUE \'b\' TO \'bb\'' ],
	[ 'CREATE TABLE @.t (a int PRIMARY KEY, b int UNIQUE); CREATE TABLE @.u (t int REFERENCES @.t)', 'CREATE FUNCTION @.nf() RETURNS int LANGUAGE sql AS \'SELECT 1\'; ALTER TABLE @.t ALTER b SET DEFAULT @.nf(); ALTER TABLE @.t DROP CONSTRAINT t_pkey CASCADE; ALTER TABLE @.t ADD CONSTRAINT t_pkey PRIMARY KEY (a) INCLUDE (b)' ],
	[ 'CREATE TABLE @."Odd ""T" ("select" int, "user" text, "a b" int); CREATE VIEW @."table" AS SELECT "select" FROM @."Odd ""T"; CREATE INDEX "in dex" ON @."Odd ""T" ("user"); COMMENT ON COLUMN @."Odd ""T"."user" IS \'u\'',
	  'DROP VIEW @."table"; DROP INDEX @."in dex"; ALTER TABLE @."Odd ""T" ADD "order" int, ALTER "user" SET DEFAULT 1; COMMENT ON COLUMN @."Odd ""T"."user" IS NULL; CREATE TABLE @."group" (a int)' ],
	[ 'CREATE TABLE @.t (a int, b int); CREATE FUNCTION @.f(x int) RETURNS int LANGUAGE sql IMMUTABLE AS \'SELECT x\'; CREATE INDEX ti ON @.t (@.f(a)); CREATE VIEW @.v AS SELECT @.f(a) FROM @.t; ALTER TABLE @.t ADD CHECK (@.f(b) > 0)',
	  'DROP FUNCTION @.f CASCADE; CREATE FUNCTION @.f(y int) RETURNS bigint LANGUAGE sql IMMUTABLE AS \'SELECT 1::bigint\'' ],
	[ 'CREATE SCHEMA @_x; CREATE TABLE @_x.t (a int); GRANT USAGE ON SCHEMA @_x TO kinds_bob', 'DROP SCHEMA @_x CASCADE' ],
	# many, between which others are dropped and made again for each other's sake
	[ q{DO $$ BEGIN FOR i IN 1 .. 400 LOOP EXECUTE format('CREATE FUNCTION @.many%s() RETURNS int LANGUAGE sql AS ''SELECT 1''', i); END LOOP; END $$},
	  q{DO $$ BEGIN FOR i IN 1 .. 400 LOOP EXECUTE format('ALTER FUNCTION @.many%s() COST 5', i); END LOOP; END $$} ],
	[ 'CREATE EXTENSION pageinspect SCHEMA @', 'DROP EXTENSION pageinspect' ],
	[ 'SELECT 1', 'CREATE EXTENSION pg_freespacemap SCHEMA @' ]);
my $n = 0;
my @whole = map { my ($setup, $change) = @$_; my $schema = 'w' . ++$n; +{ schema => $schema, setup => $setup =~ s/\@/$schema/gr, change => $change =~ s/\@/$schema/gr } } @others;

sub in_schema
{
	my ($row, $statements) = @_;

	return "SET search_path = $row->{schema}, public;\n$statements;\nRESET search_path;\n";
}

sub script
{
	my ($region, $what, $sql) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/repair_$what.sql";

	unlink $file;
	append_to_file($file, $sql);
	return $g->try($region, "\\set ON_ERROR_STOP on\n\\i $file\n");
}


my $off = "SET schemadrift.ddl_mode = off;\nSET schemadrift.bypass_reason = 'test';\n";

# ---- the same schema in both regions, then b is changed ----

$server->sql(SchemaDrift::Kinds::roles() . '; GRANT schemadrift_admin TO kinds_alice', dbname => 'postgres');
foreach my $region ($g->names)
{
	my $r = script($region, "setup_$region", SchemaDrift::Kinds::setup(@kinds) . join '', map { "CREATE SCHEMA $_->{schema};\n" . in_schema($_, $_->{setup}) } @whole);

	ok($r->{ok}, "$region: made what is to be changed") or BAIL_OUT($r->{err});
}
$g->make_group(mode => 'coordinate');

my $r = script('b', 'changes', $off . join '', map { "BEGIN;\n" . in_schema($_, $_->{change}) . "COMMIT;\n" } @kinds, @whole);
ok($r->{ok}, 'b: changed behind the gate') or BAIL_OUT($r->{err});

my $drifted = "SELECT string_agg(kind || ' ' || identity, E'\n' ORDER BY kind, identity) FROM schemadrift_store.drift WHERE region = 'b'";
my $n_drifted = () = $g->sql('b', $drifted) =~ /^/mg;
cmp_ok($n_drifted, '>', @kinds, "b: $n_drifted objects have drifted");

# a must have heard of all of it
my $tell = "SELECT count(*) || ' ' || count(*) FILTER (WHERE actual IS NULL OR actual_definition IS NOT NULL) FROM schemadrift_store.drift WHERE region = 'b'";
ok($g->wait_until('a', $tell, "$n_drifted $n_drifted"), 'a: knows of each, and what it is there');

# ---- the plan ----

sub plan_of
{
	my ($where, $region) = @_;

	return @{ decode_json($g->sql($where, "SELECT coalesce(json_agg(p ORDER BY step), '[]') FROM schemadrift.repair_plan('$region') p")) };
}

my @plan = plan_of('a', 'b');
my @by_other = plan_of('b', 'b');
is(join("\n", map { $_->{statement} // '' } @by_other), join("\n", map { $_->{statement} // '' } @plan), 'b itself says the same');
is(scalar(grep { $_->{object_type} !~ /^(?:session|maintain on .*)$/ && $_->{note} !~ /says region a/ } @by_other), 0, 'in the name of region a');

is(join(' ', map { $_->{statement} } @plan[ 0, 1 ]), "SET schemadrift.ddl_mode = 'off'; SET schemadrift.bypass_reason = 'repair';", 'how to run it comes first');
my @lossy = grep { ($_->{note} // '') =~ /^commented out, because/ } @plan;
cmp_ok(scalar(@lossy), '>', 10, scalar(@lossy) . ' steps lose data');
is(join("\n", grep { !/^-- / } map { split /\n/, $_->{statement} } @lossy), '', 'and are commented out');
my @live = grep { defined $_->{statement} && $_->{statement} !~ /^-- / } @plan;
is(join("\n", grep { /\bDROP (?:TABLE|COLUMN|SEQUENCE|EXTENSION|ATTRIBUTE|CASCADE)\b/ } map { $_->{statement} } @live), '', 'and no others do');

my @expected = sort map { "$_->{kind} $_->{identity}" } grep { my $row = $_; grep { is_refused($row, $_) } @refused } @kinds;
my %told = map { ("$_->{object_type} $_->{identity}" => $_->{note}) } grep { !defined $_->{statement} } @plan;
is(join("\n", sort keys %told), join("\n", @expected), 'what cannot be written, and nothing else, is said to be so');
foreach my $entry (@refused)
{
	my @rows = grep { is_refused($_, $entry) } @kinds;

	cmp_ok(scalar(@rows), '>', 0, "$entry->[0], $entry->[1]: there is one");
	is(scalar(grep { ($told{"$_->{kind} $_->{identity}"} // '') !~ $entry->[2] } @rows), 0, 'and the reason is said');
}

# ---- as a person would run it, who has decided that the data may go ----

$r = script('b', 'plan', join "\n", map { defined $_->{statement} ? $_->{statement} =~ s/^-- //mgr : () } @plan);
ok($r->{ok}, 'b: the plan runs') or diag($r->{err});
is($g->sql('b', $drifted), join("\n", @expected), 'b: what could be brought back is back, and the rest is as it was');

is(join("\n", map { $_->{statement} // () } plan_of('b', 'b')), '', 'there is nothing more to run');
is($g->sql('b', 'SELECT count(*) FROM schemadrift.repair_plan()'), scalar @expected, 'without a name, it is about the region itself');
ok($g->wait_until('a', "SELECT count(*) FROM schemadrift_store.drift WHERE region = 'b'", scalar @expected), 'a has heard of it');

# ---- and otherwise ----

is(scalar(plan_of('b', 'a')), 0, 'a: no plan where nothing is wrong');
is($g->try('a', q{SELECT schemadrift.repair_plan('c')})->{sqlstate}, '42704', 'nor for what is no region');

# somebody's DDL in flight is not waited for for ever
$r = script('b', 'locked', "$off ALTER TABLE w9.t ALTER a SET DEFAULT 5");
ok($g->wait_until('a', q{SELECT count(*) FROM schemadrift_store.drift WHERE region = 'b' AND identity = 'w9.t'}, 1), 'another change');
my $session = $g->session('a');
$session->query('BEGIN; LOCK TABLE w10.v IN ACCESS EXCLUSIVE MODE;');
ok($g->try('a', q{SELECT * FROM schemadrift.repair_plan('b')})->{ok}, 'what is not described is not waited for');
$session->query('ROLLBACK; BEGIN; LOCK TABLE w9.v IN ACCESS EXCLUSIVE MODE;');
$r = script('b', 'view', "$off DROP VIEW w9.v CASCADE");
ok($g->wait_until('a', q{SELECT count(*) FROM schemadrift_store.drift WHERE region = 'b' AND identity = 'w9.v'}, 1), 'and another');
$r = $g->try('a', q{SELECT * FROM schemadrift.repair_plan('b')});
is($r->{sqlstate}, '55P03', 'what is described is, for two seconds');
like($r->{context}, qr/statements for (?:table w9\.t|view w9\.v)/, 'and is named');
$session->query('ROLLBACK;');

# ---- what another region may say ----

# One answer for each kind, name and definition there: the SQLSTATE.  Of an object that is here, as it is expected to be.
sub answers
{
	my @calls = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/repair_calls.sql";
	my ($out, $err);

	unlink $file;
	append_to_file($file, join '', map {
		my ($kind, $identity, $there) = map { s/'/''/gr } @$_;
		"SELECT count(*) FROM schemadrift_rpc.repair(2, ARRAY['$kind'], ARRAY['$identity'], ARRAY[coalesce((SELECT encode(hash, 'hex')
			FROM schemadrift_store.object o WHERE o.kind = '$kind' AND o.identity = '$identity'), '')], ARRAY['+$there']);\n\\echo :SQLSTATE\n"
	} @calls);
	$server->psql('a', "\\set ON_ERROR_STOP 0\n\\i $file", stdout => \$out, stderr => \$err, on_error_stop => 0);
	return $out =~ /^([0-9A-Z]{5})$/mg;
}

my @bad = map { my $kind = $_; map { [ $kind, $_, 'x: y' ] } '', '(', $kind eq 'table' ? () : ('x', '"x', 'x.y') }
	('constraint', 'domain constraint', 'trigger', 'rule', 'policy', 'default privileges', 'table');
is(join(' ', answers(@bad)), join(' ', ('08P01') x @bad), 'names that are none are refused');

my @nonsense = ('', 'x', ': ', 'column: ', 'column: "', "column: a\nlabel: \"\nkey:  statistics ", "privileges: \" by : *,\nowner: ", 'options: a=,=', "inherits: \npartition bound: ",
	'owned by: x', "index: \nattached to: ", 'table: .', 'multirange: ', 'defaults: ({"\\');
my @odd = map { my $there = $_; map { [ @$_, $there ] } [ 'table', 'w10.t' ], [ 'table', 'w10.gone' ], [ 'type', 'w13.n' ], [ 'sequence', 'w1.t_id_seq' ], [ 'index', 'w1.ti' ],
	[ 'view', 'w10.v' ], [ 'function', 'w4.f()' ], [ 'constraint', 'w1.t.c' ], [ 'constraint', 'w9.gone.c' ], [ 'trigger', '"w""9".gone.c' ], [ 'default privileges', 'for role "' ],
	[ 'default privileges', 'for role x in schema  on tables on' ], [ 'nonsense', '(x' ], [ 'cast', '(' ], [ 'operator', 'w9.+(-,' ] } @nonsense;
my @codes = answers(@odd);
is(scalar(@codes), scalar(@odd), 'each definition that is none has an answer');
is(join(' ', grep { !/^(?:00000|08P01|42602)$/ } @codes), '', 'and a clean one');

done_testing();
