# What a script does to analyze()'s picture of the world: what a parent got its partitions have, a type is known by its schema, what a
# statement makes beside what it names is not said to be missing.  Each script is run, too: what runs is not said to fail.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Analyze;
use SchemaDrift::Bench;
use SchemaDrift::Group;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(plain)], databases => 1);
my $server = $g->region('plain');
my $s = $server->session;

# What the script is: '' where it runs and nothing is said to fail or unknown; "unknown 2,3": these steps may fail; "fails 2".
sub said
{
	my @rows = @_;
	my $of = sub { my ($rule) = @_; return join ',', map { $_->{step} } grep { ",$_->{rules}," =~ /,$rule,/ } @rows };

	return join ' ', map { my $steps = $of->($_); $steps eq '' ? () : "$_ $steps" } qw(fails unknown);
}

sub runs
{
	my ($script) = @_;
	my $r = $s->query("BEGIN; $script; ROLLBACK;");

	$s->query('ROLLBACK;') if !$r->{ok};
	return $r;
}

my $r = $s->query(q{SET lock_timeout = '5s';
	CREATE TABLE p (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
	CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (9) TO (19) PARTITION BY RANGE (id);
	CREATE TABLE p21 PARTITION OF p2 FOR VALUES FROM (9) TO (12);
	CREATE TABLE loose (id int NOT NULL, v int);
	CREATE TABLE o (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, t text UNIQUE);
	CREATE TABLE parent (a int, b int, CONSTRAINT old CHECK (a > 0)); CREATE TABLE child (c int, b int, CONSTRAINT own CHECK (c > 0)) INHERITS (parent); CREATE TABLE grand () INHERITS (child);
	CREATE SCHEMA a; CREATE SCHEMA b; CREATE SCHEMA e; CREATE TYPE b.status AS ENUM ('x'); CREATE TABLE b.t (s b.status, id int); CREATE TYPE a.word AS ENUM ('x'); CREATE TABLE held (w a.word);
	CREATE FUNCTION a.f(a.word) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION a.f() RETURNS int VOLATILE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
	CREATE SCHEMA types; CREATE TYPE types.only AS ENUM ('x'); CREATE TABLE uses (w types.only); CREATE SCHEMA colls; CREATE COLLATION colls.c (locale = 'C'); CREATE SCHEMA seqs; CREATE SEQUENCE seqs.s; CREATE TABLE counted (id int DEFAULT nextval('seqs.s'));
	CREATE TYPE ct AS (a int, b text); CREATE TABLE tt OF ct; INSERT INTO tt SELECT g, 'x' FROM generate_series(1, 1000) g;
	CREATE TABLE tt_child () INHERITS (tt); CREATE TYPE free AS (a int); CREATE TABLE l (x int);
	CREATE FUNCTION make_partitions() RETURNS int LANGUAGE plpgsql AS $$BEGIN CREATE TABLE made_by_it (id int); RETURN 1; END$$;
	CREATE SCHEMA "a.b"; CREATE TABLE "a.b".c (x int); CREATE TABLE a."b.c" (y int);
	CREATE ROLE script_reader; GRANT CREATE ON DATABASE plain TO script_reader;
	CREATE EXTENSION schemadrift; GRANT USAGE ON SCHEMA schemadrift TO script_reader; GRANT EXECUTE ON FUNCTION schemadrift.analyze(text) TO script_reader;
	CREATE SCHEMA shut; CREATE TABLE shut.twins (x int); CREATE SCHEMA wide; GRANT USAGE, CREATE ON SCHEMA wide TO script_reader; CREATE TABLE wide.twins (y int); ALTER TABLE wide.twins OWNER TO script_reader;});
ok($r->{ok}, 'a schema') or diag($r->{err});

# ---- what runs is not said to fail ----
foreach my $case (
	# types that come along with something else
	q{CREATE TABLE y1 (x int); CREATE VIEW y2 AS SELECT 1 AS z; CREATE TYPE y3 AS RANGE (subtype = int); CREATE TYPE y4 AS RANGE (subtype = int, multirange_type_name = many_y4); CREATE TYPE y5 AS ENUM ('a'); CREATE TYPE y6 AS (a int); CREATE TYPE y7; CREATE TEMP TABLE y8 (x int); CREATE MATERIALIZED VIEW y9 AS SELECT 1 AS a; } .
	q{CREATE TABLE y (a y1, b y2, c y3_multirange, d many_y4, e _y5, f y5[3][4], g public.y6[], h y8, i y9, j "char", k pg_catalog.int4, l serial, m interval day to second, n bit varying(3), o ct, p free[]) },
	q{CREATE TEMP TABLE y (a int); CREATE TEMP TABLE yy (b y, c pg_temp.y); CREATE TABLE y1 (x int); ALTER TABLE y1 RENAME TO y2; CREATE TABLE y3 (z y2); ALTER TYPE free RENAME TO freed; ALTER TABLE y3 ADD a freed; ALTER TYPE freed SET SCHEMA a; ALTER TABLE y3 ADD b a.freed; SET LOCAL search_path = public, a; ALTER TABLE y3 ADD c freed},
	# partitions and children have what their parent got
	'ALTER TABLE p ADD COLUMN x int; CREATE INDEX ON p1 (x); ALTER TABLE p ADD CONSTRAINT c CHECK (x > 0) NOT VALID; ALTER TABLE p1 VALIDATE CONSTRAINT c; ALTER TABLE p21 VALIDATE CONSTRAINT c',
	'ALTER TABLE p RENAME COLUMN v TO w; CREATE INDEX ON p1 (w); CREATE INDEX ON p21 (w); ALTER TABLE p DROP COLUMN w; ALTER TABLE p ADD COLUMN w int; CREATE INDEX ON p21 (w)',
	'ALTER TABLE p ADD CONSTRAINT c CHECK (v > 0); ALTER TABLE p RENAME CONSTRAINT c TO d; ALTER TABLE p DROP CONSTRAINT d; ALTER TABLE p21 ADD CONSTRAINT c CHECK (v > 0); ALTER TABLE p21 ADD CONSTRAINT d CHECK (v > 0)',
	'ALTER TABLE p ADD CONSTRAINT r FOREIGN KEY (v) REFERENCES o; ALTER TABLE p1 VALIDATE CONSTRAINT r; ALTER TABLE p DROP CONSTRAINT r; ALTER TABLE p1 ADD CONSTRAINT r CHECK (v > 0)',
	'ALTER TABLE parent ADD COLUMN x int; ALTER TABLE child ALTER x SET DEFAULT 1; ALTER TABLE grand ALTER x SET DEFAULT 1; ALTER TABLE parent RENAME a TO aa; CREATE INDEX ON grand (aa)',
	'ALTER TABLE parent DROP COLUMN b; CREATE INDEX ON child (b); ALTER TABLE parent DROP COLUMN a; ALTER TABLE child ADD COLUMN a int; CREATE INDEX ON grand (a)',
	'ALTER TABLE parent DROP CONSTRAINT old; ALTER TABLE child ADD CONSTRAINT old CHECK (c > 1); ALTER TABLE child ADD CONSTRAINT new CHECK (c > 1); ALTER TABLE child RENAME CONSTRAINT new TO newer; ALTER TABLE grand VALIDATE CONSTRAINT newer',
	'ALTER TABLE child ADD CONSTRAINT twin CHECK (a > 2); ALTER TABLE parent ADD CONSTRAINT twin CHECK (a > 2); ALTER TABLE parent DROP CONSTRAINT twin; ALTER TABLE child DROP CONSTRAINT twin; ALTER TABLE grand ADD CONSTRAINT twin CHECK (a > 2)',
	'ALTER TABLE child NO INHERIT parent; ALTER TABLE parent ADD COLUMN x int; ALTER TABLE child ADD COLUMN x int; ALTER TABLE grand ALTER x SET DEFAULT 1',
	'ALTER TABLE p DETACH PARTITION p2; ALTER TABLE p ADD COLUMN x int; ALTER TABLE p2 ADD COLUMN x int; CREATE INDEX ON p21 (x)',
	'ALTER TABLE p ATTACH PARTITION loose FOR VALUES FROM (30) TO (40); ALTER TABLE p ADD COLUMN x int; CREATE INDEX ON loose (x)',
	'CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (50) TO (60); ALTER TABLE p ADD CONSTRAINT c CHECK (v > 0) NOT VALID; ALTER TABLE p3 VALIDATE CONSTRAINT c',
	# types by their schema
	q{CREATE TYPE a.status AS ENUM ('y'); DROP TYPE a.status; ALTER TYPE b.status ADD VALUE 'z'},
	q{ALTER TYPE a.word SET SCHEMA b; ALTER TYPE b.word ADD VALUE 'y'; CREATE TYPE a.word AS ENUM ('x'); ALTER TYPE b.word RENAME TO words; DROP TYPE b.words CASCADE},
	q{ALTER SCHEMA a RENAME TO a2; ALTER TYPE a2.word ADD VALUE 'y'; ALTER FUNCTION a2.f(a2.word) STABLE; ALTER TABLE l ALTER x SET DEFAULT a2.f(); CREATE SCHEMA a; CREATE FUNCTION a.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE a.word AS ENUM ('x')},
	q{ALTER SCHEMA a RENAME TO a2; SET search_path = a2, public; ALTER TYPE word ADD VALUE 'y'; ALTER FUNCTION f(word) STABLE; ALTER TABLE l ALTER x SET DEFAULT f(); CREATE TABLE n (w word)},
	q{CREATE TYPE a.made AS (x int); CREATE FUNCTION a.g() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER SCHEMA a RENAME TO a2; DROP FUNCTION a2.g(); DROP TYPE a2.made},
	q{CREATE SCHEMA x; CREATE TYPE x.t AS ENUM ('x'); CREATE FUNCTION x.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP SCHEMA x CASCADE; CREATE SCHEMA x; CREATE FUNCTION x.f() RETURNS int LANGUAGE sql AS 'SELECT 1'},
	q{CREATE TABLE n (v varchar(20), w numeric(10,2)[], x interval day to second(3), s b.status[]); ALTER TYPE b.status RENAME TO state; ALTER TABLE n ADD COLUMN t b.state[], ADD COLUMN u varchar(7)},
	# tables of a type
	'ALTER TYPE ct ALTER ATTRIBUTE a TYPE bigint CASCADE',
	'ALTER TYPE ct ADD ATTRIBUTE c int CASCADE; CREATE INDEX ON tt (c); ALTER TYPE ct RENAME ATTRIBUTE c TO d CASCADE; CREATE INDEX ON tt (d); ALTER TYPE ct DROP ATTRIBUTE d CASCADE',
	'CREATE TABLE of_tt () INHERITS (tt); ALTER TYPE ct ADD ATTRIBUTE n int CASCADE; CREATE INDEX ON tt_child (n); ALTER TYPE ct DROP ATTRIBUTE n CASCADE; ALTER TABLE tt_child ADD COLUMN n int; ALTER TYPE ct RENAME ATTRIBUTE a TO aa CASCADE; CREATE INDEX ON tt_child (aa)',
	'ALTER TYPE free ADD ATTRIBUTE c int; ALTER TYPE free ALTER ATTRIBUTE c TYPE bigint; ALTER TYPE free RENAME ATTRIBUTE c TO d; ALTER TYPE free DROP ATTRIBUTE d',
	'ALTER TYPE free RENAME TO freed; ALTER TYPE freed ADD ATTRIBUTE c int; ALTER TYPE freed SET SCHEMA b; ALTER TYPE b.freed ADD ATTRIBUTE d int; CREATE TABLE free (a int); DROP TYPE b.freed; CREATE TABLE b.freed (a int)',
	'CREATE TYPE made AS (a int); ALTER TYPE made RENAME TO made2; ALTER TYPE made2 ADD ATTRIBUTE b int; DROP TYPE made2; CREATE TABLE made2 (a int)',
	# what a statement makes besides
	'CREATE SCHEMA s CREATE INDEX ON t (a) CREATE VIEW v AS SELECT a FROM t CREATE TABLE t (a int REFERENCES public.o, q int DEFAULT 1) CREATE SEQUENCE q; ALTER TABLE s.t ADD b int; DROP VIEW s.v; DROP INDEX s.t_a_idx; DROP SEQUENCE s.q',
	'CREATE SCHEMA AUTHORIZATION CURRENT_USER; DO $$BEGIN NULL; END$$',
	'ALTER TABLE p ADD COLUMN g int GENERATED ALWAYS AS (1) STORED; ALTER TABLE p ALTER g DROP EXPRESSION',
	'ALTER TABLE o ADD COLUMN b bigint NOT NULL; ALTER TABLE o ALTER b ADD GENERATED ALWAYS AS IDENTITY; ALTER TABLE o ALTER b DROP IDENTITY',
	# a dot in a name
	'ALTER TABLE "a.b".c ADD COLUMN z int; ALTER TABLE a."b.c" ADD COLUMN z int; DROP TABLE "a.b".c; ALTER TABLE a."b.c" DROP COLUMN z; CREATE TABLE "a.b".c (x int)')
{
	my @rows = analyze($s, $case);
	my $ran = runs($case);

	ok($ran->{ok}, "runs: $case") or diag($ran->{err});
	is(said(@rows), '', '... and is not said to fail') or diag(join "\n", map { "$_->{step}: $_->{why}" } @rows);
}

# ---- what cannot be known ----
foreach my $case (
	[ 'CREATE TABLE c (LIKE o INCLUDING ALL); ALTER INDEX c_pkey RENAME TO c_pk; ALTER INDEX c_pk SET (fillfactor = 90); ALTER SEQUENCE c_n_seq RESTART', 'unknown 2,3,4' ],
	[ 'CREATE INDEX ON p (v); ALTER INDEX p1_v_idx RENAME TO shorter', 'unknown 2' ],
	[ 'CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (50) TO (60); ALTER TABLE p3 RENAME CONSTRAINT p3_pkey TO p3_pk; ALTER INDEX p3_pk RENAME TO p3_key', 'unknown 3' ],
	[ 'ALTER TABLE p ATTACH PARTITION loose FOR VALUES FROM (30) TO (40); ALTER INDEX loose_pkey RENAME TO loose_key', 'unknown 2' ],
	[ 'ALTER TABLE parent ADD CONSTRAINT c CHECK (b > 0); ALTER TABLE child ADD CONSTRAINT c CHECK (b > 0); ALTER TABLE parent DROP CONSTRAINT c; ALTER TABLE child DROP CONSTRAINT c', 'unknown 2' ],
	[ 'INSERT INTO l SELECT make_partitions(); ALTER TABLE made_by_it ADD COLUMN x int', 'unknown 2' ],
	[ 'UPDATE l SET x = make_partitions() WHERE false; ALTER TABLE l ADD COLUMN y int', '' ],
	[ 'CREATE TABLE got AS SELECT make_partitions(); ALTER TABLE made_by_it ADD COLUMN x int', 'unknown 2' ],
	[ 'PREPARE made AS SELECT make_partitions(); CREATE TABLE got AS EXECUTE made; ALTER TABLE made_by_it ADD COLUMN x int; DEALLOCATE made', 'unknown 3' ],
	[ 'SELECT make_partitions() INTO got; ALTER TABLE made_by_it ADD COLUMN x int', 'unknown 2' ],
	[ 'ALTER EXTENSION schemadrift UPDATE; ALTER TABLE l ADD COLUMN y int', '' ])
{
	my ($script, $said) = @$case;
	my @rows = analyze($s, $script);
	my $ran = runs($script);

	ok($ran->{ok}, "runs: $script") or diag($ran->{err});
	is(said(@rows), $said, '... and may fail: ' . ($said || 'nothing of it')) or diag(join "\n", map { "$_->{step}: $_->{why}" } @rows);
}
foreach my $script ('ALTER EXTENSION schemadrift UPDATE; ALTER TABLE its_own ADD COLUMN x int',
	'CREATE EXTENSION postgres_fdw; CREATE SERVER there FOREIGN DATA WRAPPER postgres_fdw; IMPORT FOREIGN SCHEMA x FROM SERVER there INTO public; ALTER TABLE imported RENAME TO i',
	'ALTER EXTENSION hstore SET SCHEMA b; DROP TYPE b.hstore CASCADE')
{
	my @rows = analyze($s, $script);

	is($rows[-1]{verdict} . ' ' . said($rows[-1]), "caution unknown $rows[-1]{step}", "not known: $script");
}

# ---- what fails ----
foreach my $case (
	[ 'CREATE TABLE y (a nosuch)', 1 ], [ 'ALTER TABLE loose ADD a b.nosuch', 1 ], [ 'ALTER TABLE loose ALTER v TYPE nosuch', 1 ], [ 'CREATE TYPE y AS (a int); DROP TYPE y; CREATE TABLE yy (a y[])', 3 ],
	[ 'ALTER TABLE p RENAME COLUMN v TO w; CREATE INDEX ON p1 (v)', 2 ],
	[ 'ALTER TABLE parent ADD COLUMN x int; ALTER TABLE child ADD COLUMN y int; ALTER TABLE parent DROP COLUMN x; CREATE INDEX ON child (x)', 4 ],
	[ 'ALTER TABLE p DETACH PARTITION p1; ALTER TABLE p ADD COLUMN x int; CREATE INDEX ON p1 (x)', 3 ],
	[ 'ALTER TABLE parent ADD CONSTRAINT c CHECK (a > 1) NO INHERIT; ALTER TABLE child DROP CONSTRAINT c', 2 ],
	[ 'ALTER TABLE p ADD CONSTRAINT c CHECK (v > 0); ALTER TABLE p1 ADD CONSTRAINT c CHECK (v > 0)', 2 ],
	[ 'ALTER TABLE parent ADD COLUMN x int; ALTER TABLE child ADD COLUMN x int', 2 ],
	[ 'ALTER TABLE p ATTACH PARTITION p FOR VALUES FROM (90) TO (99)', 1 ], [ 'ALTER TABLE p2 ATTACH PARTITION p FOR VALUES FROM (13) TO (14)', 1 ],
	[ 'ALTER TABLE parent INHERIT parent', 1 ], [ 'ALTER TABLE parent INHERIT grand', 1 ], [ 'CREATE TABLE one (); CREATE TABLE two () INHERITS (one); ALTER TABLE one INHERIT two', 3 ],
	[ 'DROP SCHEMA pg_catalog CASCADE', 1 ], [ 'ALTER SCHEMA a RENAME TO b', 1 ], [ 'CREATE SCHEMA x; ALTER SCHEMA x RENAME TO x', 2 ],
	[ q{ALTER TYPE a.word SET SCHEMA b; ALTER TYPE a.word ADD VALUE 'y'}, 2 ],
	[ q{CREATE TYPE a.status AS ENUM ('y'); DROP TYPE a.status; DROP TYPE a.status}, 3 ],
	[ q{CREATE TYPE a.status AS ENUM ('y'); DROP TYPE b.status}, 2 ],
	[ 'ALTER SCHEMA a RENAME TO a2; DROP FUNCTION a.f()', 2 ],
	[ 'DROP SCHEMA types', 1 ], [ 'DROP SCHEMA seqs', 1 ], [ 'CREATE FUNCTION e.f() RETURNS int LANGUAGE sql AS $$SELECT 1$$; DROP SCHEMA a', 2 ],
	[ 'DROP TYPE ct', 1 ], [ 'ALTER TYPE ct ALTER ATTRIBUTE a TYPE bigint', 1 ], [ 'ALTER TYPE ct ADD ATTRIBUTE z int', 1 ], [ 'ALTER TYPE ct DROP ATTRIBUTE a', 1 ], [ 'ALTER TYPE ct RENAME ATTRIBUTE a TO z', 1 ],
	[ 'CREATE SCHEMA s CREATE TABLE t (a int); ALTER TABLE s.u ADD b int', 2 ],
	[ 'CREATE TABLE c (LIKE o); ALTER INDEX c_pkey RENAME TO c_pk', 2 ],
	[ 'DROP TABLE "a.b".c; ALTER TABLE "a.b".c ADD z int', 2 ])
{
	my ($script, $at) = @$case;
	my @rows = analyze($s, $script);

	is(join(',', map { $_->{step} } grep { ",$_->{rules}," =~ /,fails,/ } @rows), $at, "fails at $at: $script") or diag(join "\n", map { "$_->{step}: $_->{why}" } @rows);
	ok(!runs($script)->{ok}, '... and it does');
}

# ---- what it does ----
{
	my ($made, $dropped) = analyze($s, q{CREATE TYPE a.status AS ENUM ('y'); DROP TYPE b.status CASCADE});

	is("$dropped->{verdict} $dropped->{rule} $dropped->{lock}", 'caution I6 b.t: ACCESS EXCLUSIVE', 'a type of the same name elsewhere does not hide what a DROP takes');
	($dropped) = analyze($s, 'DROP SCHEMA types CASCADE');
	is("$dropped->{verdict} $dropped->{lock}", 'caution public.uses: ACCESS EXCLUSIVE', 'a schema without tables takes columns of others');
	($dropped) = analyze($s, 'DROP SCHEMA seqs CASCADE');
	is("$dropped->{verdict} $dropped->{lock}", 'caution public.counted: ACCESS EXCLUSIVE, seqs.s: ACCESS EXCLUSIVE', '... and defaults');
	($dropped) = analyze($s, 'DROP SCHEMA colls CASCADE');
	is($dropped->{verdict}, 'caution', '... and who knows what of a collation');
	($dropped) = analyze($s, 'DROP SCHEMA e');
	is("$dropped->{verdict}", 'safe', '... one with nothing in it none');
	(undef, $dropped) = analyze($s, 'ALTER TYPE types.only SET SCHEMA e; DROP SCHEMA e CASCADE');
	is("$dropped->{verdict} $dropped->{lock}", 'caution public.uses: ACCESS EXCLUSIVE', '... nor what was moved there');

	my ($typed) = analyze($s, 'ALTER TYPE ct ALTER ATTRIBUTE a TYPE bigint CASCADE');
	like($typed->{lock}, qr/public.tt: ACCESS EXCLUSIVE/, 'another type for an attribute: a table of that type is locked');
	is($typed->{rewrites}, 'public.tt,public.tt_child', '... and rewritten, and its child');
	like($typed->{rules}, qr/C11/, '... by the rule for a column');
	($typed) = analyze($s, 'ALTER TYPE ct ADD ATTRIBUTE c int CASCADE');
	like($typed->{lock}, qr/public.tt: ACCESS EXCLUSIVE/, 'a new attribute locks it');
	($typed) = analyze($s, 'DROP TYPE ct CASCADE');
	is("$typed->{verdict} $typed->{lock}", 'caution public.tt: ACCESS EXCLUSIVE', 'a type that is dropped takes its tables');
	like($typed->{why}, qr/table public\.tt/, '... and says so');
	($typed) = analyze($s, 'ALTER TYPE ct DROP ATTRIBUTE a CASCADE');
	is("$typed->{verdict} $typed->{lock}", 'caution public.tt: ACCESS EXCLUSIVE, public.tt_child: ACCESS EXCLUSIVE', 'one that is dropped takes the column');
	(undef, $typed) = analyze($s, 'ALTER TABLE tt NOT OF; ALTER TYPE ct ALTER ATTRIBUTE a TYPE bigint');
	is(said($typed), '', 'a table that is not of it any more is not in its way');

	my ($schema) = analyze($s, 'CREATE SCHEMA s CREATE TABLE t (a int REFERENCES public.o)');
	is("$schema->{verdict} $schema->{lock}", 'caution public.o: SHARE ROW EXCLUSIVE', 'what a schema is made with locks what it refers to');

	if ($server->sql(q{SELECT current_setting('server_version_num')::int / 10000}) >= 17)
	{
		my (undef, $generated) = analyze($s, 'ALTER TABLE o ADD COLUMN g int GENERATED ALWAYS AS (id) STORED; ALTER TABLE o ALTER g SET EXPRESSION AS (id + 1)');

		is("$generated->{rule} $generated->{rewrites}", 'D19 public.o', 'a stored column that the script generates is written again with another expression');
	}
	my @twice = analyze($s, 'ALTER TABLE "a.b".c ADD COLUMN z int; ALTER TABLE a."b.c" ADD COLUMN z int');
	is(join(' ', map { $_->{lock} } @twice), '"a.b".c: ACCESS EXCLUSIVE a."b.c": ACCESS EXCLUSIVE', 'a dot in a name is not the one between two');
}

# ---- a schema of search_path without the right to use it ----
{
	my $reader = $server->session;

	my $set = $reader->query('SET ROLE script_reader; SET search_path = shut, wide, public; SELECT count(*) FROM schemadrift.analyze($$SELECT 1$$);');
	ok($set->{ok}, 'a role without rights on a schema') or diag($set->{err});
	my $told = sub {
		my ($what, $script) = @_;
		my $told = $reader->query("SELECT string_agg($what, ' ' ORDER BY step) FROM schemadrift.analyze(" . literal($script) . ');');

		diag($told->{err}) if !$told->{ok};
		return $told->{out};
	};
	is($told->('lock', 'ALTER TABLE twins ADD COLUMN z int; CREATE TABLE n (x int); ALTER TABLE n ADD COLUMN z int'), 'wide.twins: ACCESS EXCLUSIVE none none', 'a schema that one may not use is not searched');
	is($told->(q{array_to_string(objects, ',')}, 'CREATE TABLE n (x int)'), 'wide.n', '... nor is anything made there');
	unlike($told->('rule', 'SET ROLE postgres; ALTER TABLE shut.twins ADD COLUMN z int; CREATE INDEX ON twins (z)'), qr/fails/, '... where the script becomes somebody else that is not known');
	$reader->quit;
}

# ---- what fails for want of a right, or of a role: as the server says it ----
{
	my $reader = $server->session;
	my $told = sub {
		my ($script) = @_;

		return join '; ', map { $_->{why} =~ /^It will fail: (.*?)\.(?: |$)/ ? $1 : () } analyze($reader, $script);
	};
	my $done = sub {
		my ($script) = @_;
		my $r = $reader->query("BEGIN; $script; ROLLBACK;");

		$reader->query('ROLLBACK;') if !$r->{ok};
		return $r->{ok} ? '' : "$r->{message} ($r->{sqlstate})" . ($r->{sqlstate} eq '42501' ? ', as role "script_reader"' : '');
	};

	$s->query('CREATE SEQUENCE public.of_others; CREATE VIEW public.view_of_others AS SELECT 1 AS a; CREATE MATERIALIZED VIEW public.rows_of_others AS SELECT 1 AS a;');
	$reader->query('SET ROLE script_reader; SET search_path = public;');
	foreach my $script (
		'ALTER TABLE o ADD z int', 'ALTER TABLE IF EXISTS o DROP t', 'ALTER VIEW view_of_others ALTER a SET DEFAULT 1', 'ALTER TABLE p ADD CHECK (v > 0)', 'CREATE INDEX ON o (n)', 'CREATE INDEX ON p (v)', 'DROP TABLE IF EXISTS nothing, o', 'DROP INDEX o_pkey', 'DROP SEQUENCE of_others', 'ALTER SEQUENCE of_others RESTART', 'ALTER SEQUENCE of_others RENAME TO of_nobody', 'ALTER SEQUENCE IF EXISTS nothing RESTART',
		'DROP VIEW view_of_others', 'DROP MATERIALIZED VIEW rows_of_others', 'ALTER TABLE o RENAME TO oo', 'ALTER TABLE o RENAME n TO nn', 'ALTER INDEX o_pkey RENAME TO o_key', 'ALTER TABLE o SET SCHEMA wide', 'CREATE POLICY x ON o', 'CREATE RULE x AS ON DELETE TO o DO NOTHING',
		'CREATE TRIGGER x AFTER UPDATE ON o FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()', 'CREATE TABLE x ()', 'CREATE TABLE public.x ()', 'CREATE TABLE IF NOT EXISTS o ()', 'CREATE TABLE x AS SELECT 1 AS a WITH NO DATA', 'CREATE VIEW x AS SELECT 1 AS a', 'CREATE SEQUENCE x',
		q{CREATE TYPE x AS ENUM ('a')}, 'CREATE TYPE x AS (a int)', 'CREATE DOMAIN x AS int', q{CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'}, 'CREATE TABLE shut.x ()', 'ALTER TABLE shut.twins ADD z int', 'DROP TABLE shut.twins', 'CREATE TABLE wide.x (); ALTER TABLE o ADD z int',
		# roles
		'ALTER TABLE wide.twins OWNER TO role_of_nobody', 'GRANT SELECT ON wide.twins TO script_reader, role_of_nobody', 'REVOKE SELECT ON wide.twins FROM role_of_nobody', 'CREATE SCHEMA AUTHORIZATION role_of_nobody', 'ALTER SCHEMA wide OWNER TO role_of_nobody',
		'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO role_of_nobody', 'CREATE POLICY x ON wide.twins TO role_of_nobody, PUBLIC', 'CREATE POLICY x ON wide.twins TO PUBLIC, role_of_nobody',
		# what one may
		'ALTER TABLE wide.twins ADD z int', 'CREATE TABLE wide.x (a int); CREATE INDEX ON wide.x (a); ALTER TABLE wide.x ADD b int; DROP TABLE wide.x', 'CREATE SCHEMA x; CREATE TABLE x.y (); CREATE VIEW x.z AS SELECT 1 AS a', 'CREATE TEMP TABLE x (a int); ALTER TABLE x ADD b int; CREATE INDEX ON x (b)',
		'GRANT SELECT ON wide.twins TO script_reader, PUBLIC, CURRENT_USER', 'DROP TABLE IF EXISTS nothing', 'ALTER TABLE IF EXISTS nothing ADD a int', 'CREATE SCHEMA x CREATE TABLE y (a int) CREATE INDEX ON y (a)', 'ALTER TABLE wide.twins OWNER TO CURRENT_USER')
	{
		my $error = $done->($script);

		is($told->($script), $error, "as one with few rights: $script" . ($error eq '' ? ': runs' : ''));
	}
	my ($row) = analyze($reader, 'ALTER TABLE o ADD COLUMN c timestamptz DEFAULT clock_timestamp()');
	is("$row->{verdict} $row->{lock}", 'unsafe public.o: ACCESS EXCLUSIVE', 'what somebody else would do by it ...');
	like($row->{why}, qr/^It will fail: must be owner of table o \(42501\), as role "script_reader"\. .*differs from region to region/, '... is told all the same');
	foreach my $script ('SET ROLE postgres; ALTER TABLE o ADD z int', q{SELECT set_config('role', 'postgres', false); ALTER TABLE o ADD z int}, 'GRANT CREATE ON SCHEMA public TO script_reader; CREATE TABLE x ()', 'DO $$BEGIN NULL; END$$; ALTER TABLE o ADD z int',
		'GRANT pg_write_all_data TO script_reader; ALTER TABLE o ADD z int')
	{
		unlike((analyze($reader, $script))[1]{rules}, qr/fails/, "who may what by then is not known: $script");
	}
	$reader->query('RESET ROLE;');
	foreach my $script ('CREATE ROLE script_new; ALTER TABLE o OWNER TO script_new; GRANT SELECT ON o TO script_new', 'CREATE ROLE script_new; ALTER ROLE script_new RENAME TO script_newer; GRANT SELECT ON o TO script_new', 'CREATE ROLE script_new; DROP ROLE script_new; ALTER TABLE o OWNER TO script_new')
	{
		my $error = $done->($script);

		is($told->($script), $error, 'roles of the script: ' . ($error || 'runs'));
	}
	$s->query('DROP SEQUENCE public.of_others; DROP VIEW public.view_of_others; DROP MATERIALIZED VIEW public.rows_of_others;');
	$reader->quit;
}

# ---- many tables ----
{
	$r = $s->query(q{CREATE SCHEMA many; DO $$BEGIN FOR i IN 1 .. 500 LOOP EXECUTE format('CREATE TABLE many.t%s (id int)', i); END LOOP;
		FOR i IN 1 .. 50 LOOP EXECUTE format('CREATE SCHEMA d%s CREATE TABLE t (id int)', i); END LOOP; END$$;});
	ok($r->{ok}, 'a schema of 500 tables') or diag($r->{err});
	my $script = join '; ', map { "ALTER SCHEMA d$_ RENAME TO dd$_; DROP SCHEMA dd$_ CASCADE" } 1 .. 50;
	my $started = $s->query("BEGIN; SELECT pg_stat_get_xact_numscans('pg_class'::regclass);")->{out};
	my @rows = analyze($s, $script);
	is($rows[99]{lock}, 'dd50.t: ACCESS EXCLUSIVE', 'fifty schemas are renamed and dropped');
	my $read = $s->query("SELECT pg_stat_get_xact_numscans('pg_class'::regclass);")->{out} - $started;
	cmp_ok($read, q{<}, 10, '... without a look through all of pg_class for each') or diag("$read of them");
	$s->query('ROLLBACK;');
}

# ---- what it reads of the catalogs: of what the script is about, however much else there is ----
{
	# rows of catalogs and entries of their indexes that are found for a script, for the first time in a session; how often a whole catalog is read
	# (PostgreSQL reads these two so, which are small)
	my %oids = map { $_ => $s->query("SELECT array_agg(oid) FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ($_)
		AND relname NOT IN ('pg_publication', 'pg_am');")->{out} } q{'r'}, q{'r', 'i'};
	my $read = sub {
		my ($script, $run) = @_;
		my $reader = $server->session;
		my $so_far = sub { return split /\|/, $reader->query("SELECT (SELECT sum(pg_stat_get_xact_tuples_returned(c)) FROM unnest('$oids{q{'r', 'i'}}'::oid[]) c),
			(SELECT sum(pg_stat_get_xact_numscans(c)) FROM unnest('$oids{q{'r'}}'::oid[]) c);")->{out}; };

		$reader->query('BEGIN;');
		my ($rows, $whole) = $so_far->();
		my @steps = $run ? () : analyze($reader, $script);
		$reader->query("$script;") if $run;
		my ($rows_now, $whole_now) = $so_far->();
		$reader->query('ROLLBACK;');
		$reader->quit;
		return ($rows_now - $rows, scalar @steps, $whole_now - $whole);
	};
	my $all = script_of_300(100);
	# to change a type PostgreSQL itself looks through all of pg_index, of a copy, too
	my ($retype) = $all =~ /^(ALTER TABLE app_1 ALTER COLUMN \w+ TYPE .*);$/m or die 'no change of a type';
	my $statements = join ";\n", grep { !/ TYPE / } split /;\n/, $all;
	my $parted = join '; ', map { "ALTER TABLE parted ADD COLUMN c$_ int" } 1 .. 20;
	my $partitions = sub {
		my ($from, $n) = @_;
		return "DO \$\$BEGIN FOR i IN $from .. $n LOOP EXECUTE format('CREATE TABLE parted_%s PARTITION OF parted FOR VALUES FROM (%s) TO (%s)', i, i, i + 1); END LOOP; END\$\$;";
	};

	$r = $s->query(many_tables(100) . ';CREATE TABLE parted (id int PRIMARY KEY, n int CHECK (n > 0)) PARTITION BY RANGE (id); CREATE PUBLICATION pub FOR TABLE parted;' . $partitions->(1, 30));
	ok($r->{ok}, '100 tables and 30 partitions') or diag($r->{err});
	my ($few, $steps, $whole) = $read->($statements);
	is($steps, 270, "270 statements of nine forms read $few rows of catalogs");
	cmp_ok($whole, '<', 10, '... and next to none as a whole') or diag("$whole times");
	my ($tenth) = $read->(join ";\n", (split /;\n/, $statements)[ 0 .. 26 ]);
	cmp_ok($few, '<', 10 * $tenth, "... a tenth of them $tenth: it grows with the script, no faster");
	my ($narrow) = $read->($parted);
	$r = $s->query(many_tables(600, 101) . ';' . $partitions->(31, 120));
	ok($r->{ok}, '500 tables and 90 partitions more') or diag($r->{err});
	my ($many) = $read->($statements);
	cmp_ok($many, '<', 1.1 * $few, "... do not count: $many rows");
	my $wide;
	my ($copied) = $read->($retype);
	my ($itself) = $read->($retype, 1);
	cmp_ok($copied, '<', 2 * $itself, "a change of a type, which is tried, reads $copied; run, $itself");
	($wide, undef, $whole) = $read->($parted);
	cmp_ok($whole, '<', 10, 'a table with 120 partitions: no catalog is read as a whole for each') or diag("$whole times");
	cmp_ok($wide, '<', 4.8 * $narrow, "of four times the partitions it reads no more than four times as much: $wide rows, $narrow before");
}
$s->quit;
done_testing;
