# analyze() of partitioned tables, maintenance and keys says what the server does: each statement is looked at, then run, and the locks and
# scans that are seen are those that were told.  And whatever a name is the name of, nothing crashes, and no code of a statement runs.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Analyze;
use SchemaDrift::Group;
use SchemaDrift::Matrix;
use Test::More;

my $g = SchemaDrift::Group->new(regions => ['plain'], databases => 1);
my $server = $g->region('plain');
my $matrix = SchemaDrift::Matrix->new($server);
my $s = $server->session(dbname => 'plain');

# ---- a name of the user's choice may be that of anything ----
{
	$server->sql('CREATE ROLE nobody LOGIN', dbname => 'postgres');
	my $log = $server->log_size;
	my $nobody = $server->session(dbname => 'plain', user => 'nobody');

	$s->query(q{CREATE TABLE public.plain (a int); CREATE VIEW public.seen AS SELECT 1 AS a; CREATE SEQUENCE public.counted; CREATE TYPE public.pair AS (a int);
		CREATE TABLE public.parts (a int) PARTITION BY RANGE (a); CREATE INDEX parts_a ON public.parts (a); CREATE TABLE public.two (a int); CREATE UNIQUE INDEX two_a ON public.two (a);
		ALTER TABLE public.plain OWNER TO nobody; ALTER TABLE public.two OWNER TO nobody;});
	foreach my $name (qw(plain seen counted pair parts))
	{
		my ($row) = analyze($nobody, "ALTER TABLE public.plain ADD CONSTRAINT u UNIQUE USING INDEX $name");

		is("$row->{rule}: $row->{why}", qq{fails: It will fail: "$name" is not an index (42809).}, "the index of a constraint is $name, and no index");
		is($s->query("ALTER TABLE public.plain ADD CONSTRAINT u UNIQUE USING INDEX $name;")->{message}, qq{"$name" is not an index}, '... as the server says');
	}
	my ($row) = analyze($nobody, 'ALTER TABLE public.plain ADD CONSTRAINT u UNIQUE USING INDEX two_a');
	is($row->{why}, 'It will fail: index "two_a" does not belong to table "plain" (55000).', 'the index of another table');
	is($s->query('ALTER TABLE public.plain ADD CONSTRAINT u UNIQUE USING INDEX two_a;')->{message}, 'index "two_a" does not belong to table "plain"', '... as the server says');
	($row) = analyze($nobody, 'ALTER TABLE public.two ADD CONSTRAINT u UNIQUE USING INDEX two_a');
	is($row->{rule}, 'E19', 'its own');

	# each example of the matrix, with a relation of each kind, and what is none, in the place of each relation that it names
	$server->sql('CREATE EXTENSION schemadrift', dbname => 'fixture');
	my $fixture = $server->session(dbname => 'fixture', user => 'nobody');
	my $superuser = $server->session(dbname => 'fixture');
	my @kinds = qw(t pt pt1 ptd_def vw mv sq t_vi_idx pt_z_only comp mood nopk t_pkey cfk nothing pg_class columns);
	my @examples = map { $_->{example} } grep { $_->{example} ne '' && $_->{here} eq 'true' } $matrix->examples('plain');
	my $names = join '|', qw(t ref cfk nopk2? empty_t ul pt1? ptd_parent ptd_def p2x? p3c?n? par kid parkid swap ident vw mv sq t_vi_idx t_nn_uidx nopk2?_uidx pt_z_only pt1_z comp h2\.other);
	my %looked;

	foreach my $session ($superuser, $fixture)
	{
		$session->query("SET search_path = h, public, information_schema; SET client_min_messages = warning;");
		foreach my $kind (@kinds)
		{
			my @changed = map { my $e = $_; $e =~ s/(?<![\w.])(?:$names)(?![\w.])/$kind/g; $e } @examples;
			my $r = $session->query('SELECT count(a.step) FROM unnest(ARRAY[' . join(', ', map { literal($_) } @changed) . ']) e, LATERAL schemadrift.analyze(e) a;');

			$looked{ $r->{out} } .= "$kind " if $r->{ok};
			diag("$kind: $r->{err}") if !$r->{ok};
		}
	}
	is(scalar keys %looked, 1, 'each example is looked at with ' . @kinds . ' other names, whatever they are');
	cmp_ok((keys %looked)[0] // 0, '>=', scalar @examples, '... ' . @examples . ' examples each time');
	is($server->log_size >= $log && $nobody->query('SELECT 1;')->{out}, '1', 'and no session was ended');
	$_->quit foreach $nobody, $fixture, $superuser;
}

# ---- no code runs ----
{
	$s->query(q{CREATE TABLE code_ran (x int); CREATE SEQUENCE code_runs;
		CREATE FUNCTION bound() RETURNS int LANGUAGE plpgsql AS $$BEGIN INSERT INTO code_ran VALUES (1); RETURN nextval('code_runs'); END$$;
		CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN bound(); END';
		CREATE FUNCTION fits(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN bound() > 0; END';
		CREATE FUNCTION same(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
		CREATE FUNCTION stably() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN bound(); END';
		CREATE OPERATOR @+ (LEFTARG = int, RIGHTARG = int, FUNCTION = plus);
		CREATE DOMAIN fitting AS int CHECK (fits(VALUE));
		CREATE TABLE r (id int) PARTITION BY RANGE (id); CREATE TABLE l (id int) PARTITION BY LIST (id); CREATE TABLE d (id fitting) PARTITION BY RANGE (id);
		CREATE TABLE q (id int NOT NULL CHECK (id >= 1 AND id < 100)); INSERT INTO q VALUES (1); CREATE TABLE qd (id fitting);});
	foreach my $case (
		[ 'ALTER TABLE r ATTACH PARTITION q FOR VALUES FROM (bound()) TO (100)', 'H3' ],
		[ 'ALTER TABLE r ATTACH PARTITION q FOR VALUES FROM (1) TO (100 @+ 1)', 'H3' ],
		[ 'ALTER TABLE l ATTACH PARTITION q FOR VALUES IN (1, bound())', 'H3' ],
		[ 'ALTER TABLE l ATTACH PARTITION q FOR VALUES IN ((SELECT bound()))', 'fails' ],
		[ 'ALTER TABLE d ATTACH PARTITION qd FOR VALUES FROM (1) TO (100)', 'H3' ],
		[ q{ALTER TABLE d ATTACH PARTITION qd FOR VALUES FROM ('1') TO (MAXVALUE)}, 'H3' ],
		[ 'ALTER TABLE r ATTACH PARTITION q FOR VALUES FROM (1, bound()) TO (100)', 'fails' ],
		[ 'ALTER TABLE r ATTACH PARTITION q FOR VALUES FROM (bound(1)) TO (100)', 'fails' ],
		[ 'CREATE TABLE new PARTITION OF r FOR VALUES FROM (bound()) TO (100)', 'H1' ],
		[ q{CREATE FUNCTION own() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN bound(); END'; ALTER TABLE r ATTACH PARTITION q FOR VALUES FROM (own()) TO (100)}, 'H3' ],
		# and what can be known is
		[ 'ALTER TABLE r ATTACH PARTITION q FOR VALUES FROM (same(1)) TO (50 + 50)', 'H4' ],
		[ q{ALTER TABLE r ATTACH PARTITION q FOR VALUES FROM ('1') TO (100::bigint)}, 'H4' ],
		[ 'ALTER TABLE l ATTACH PARTITION q FOR VALUES IN (1, 2)', 'H3' ])
	{
		my ($script, $rule) = @$case;
		my @rows = analyze($s, $script);

		is($rows[-1]{rules} =~ /^([^,]*)/ ? $1 : '', $rule, $script) or diag($rows[-1]{why});
	}
	my @others = ('ALTER TABLE q ADD COLUMN x fitting DEFAULT 1', 'ALTER TABLE q ALTER id TYPE fitting', 'ALTER TABLE q ADD COLUMN x int DEFAULT bound()',
		'ALTER TABLE q ADD COLUMN x int DEFAULT 1 @+ 2', 'ALTER TABLE q ADD COLUMN x int DEFAULT stably()', 'ALTER TABLE q ADD COLUMN x int DEFAULT stably(); ALTER TABLE q ALTER id TYPE bigint',
		'ALTER TABLE q ALTER id TYPE bigint USING bound()', 'ALTER TABLE q ALTER id TYPE bigint USING stably()', 'ALTER TABLE q ALTER id SET DEFAULT stably()', 'ALTER TABLE q ADD CHECK (fits(id))',
		'CREATE INDEX ON q (bound())', 'UPDATE q SET id = bound()', 'SELECT bound(), stably()', 'INSERT INTO q SELECT bound()', 'CREATE TABLE x AS SELECT bound()', 'CREATE VIEW x AS SELECT stably()',
		'ALTER DOMAIN fitting ADD CHECK (fits(VALUE))', 'CREATE TABLE x (id fitting DEFAULT 1)', q{SELECT set_config('search_path', bound()::text, false)}, 'EXECUTE bound(1)', 'COPY q FROM PROGRAM \'false\'',
		'SELECT setval(\'code_runs\', bound())', 'CALL called(bound())', q{DO 'BEGIN PERFORM bound(); END'});
	cmp_ok(scalar(map { analyze($s, $_) } @others), '>=', scalar @others, scalar @others . ' other statements that would run code are looked at');
	is($s->query('SELECT count(*) FROM code_ran;')->{out}, '0', 'no bound was evaluated that is not IMMUTABLE');
	is($s->query('SELECT is_called FROM code_runs;')->{out}, 'f', '... nor rolled back');
	my ($row) = analyze($s, 'ALTER TABLE r ATTACH PARTITION q FOR VALUES FROM (bound()) TO (100)');
	like($row->{why}, qr/Its bounds are known only when it runs/, 'which is said');
}

# ---- locks and scans are those that are seen ----

# Of relations of schema parts: the strongest lock, from ROW SHARE on; what is read from end to end.
sub really
{
	my ($session, $sql, $whole) = @_;
	my $relations = q{pg_class c WHERE relnamespace = 'parts'::regnamespace AND relkind IN ('r', 'p', 'm')};
	my @modes = ('RowShare', 'RowExclusive', 'ShareUpdateExclusive', 'Share', 'ShareRowExclusive', 'Exclusive', 'AccessExclusive');
	my %scans;

	$session->query('BEGIN;');
	$scans{$_->[0]} = -$_->[1] foreach map { [ split /\|/ ] } split /\n/, $session->query("SELECT relname, pg_stat_get_xact_numscans(oid) FROM $relations;")->{out};
	my $old = $session->query("SELECT string_agg(oid::text, ',') FROM $relations;")->{out};
	my $r = $session->query("$sql;");
	die "$sql: $r->{err}" if !$r->{ok};
	my $locks = $session->query("SELECT string_agg(relname || ': ' || upper(regexp_replace(m, '(?<=[a-z])(?=[A-Z])', ' ', 'g')), ', ' ORDER BY relname) FROM
		(SELECT relation, (array_agg(m ORDER BY o DESC))[1] m FROM pg_locks l JOIN unnest(ARRAY['" . join("', '", @modes) . "']) WITH ORDINALITY u (m, o) ON l.mode = m || 'Lock'
			WHERE pid = pg_backend_pid() AND locktype = 'relation' GROUP BY relation) l JOIN pg_class c ON c.oid = relation
		WHERE c.oid IN ($old);");
	die $locks->{err} if !$locks->{ok};
	$scans{$_->[0]} += $_->[1] foreach map { [ split /\|/ ] } grep { $_ } split /\n/, $session->query("SELECT relname, pg_stat_get_xact_numscans(oid) FROM $relations AND oid IN ($old);")->{out};
	$session->query('ROLLBACK;');
	# where only the partitioned one is told
	return "$locks->{out} | " . join ', ', sort keys %{ { map { $whole && /^${whole}\d$/ ? $whole : $_ => 1 } grep { $scans{$_} > 0 } keys %scans } };
}

# The same as it was told, of a script's last statement, or with what its earlier ones lock of all of them.  New relations are nobody's.
sub told
{
	my (@rows) = @_;
	my @modes = ('ROW SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE');
	my %level = map { $modes[$_] => $_ } 0 .. $#modes;
	my (%lock, %scan);

	foreach my $row (@rows)
	{
		foreach (grep { /: / } split /, /, $row->{lock})
		{
			my ($name, $mode) = /^(?:parts\.)?(.*): (.*)$/;
			$lock{$name} = $mode if !$lock{$name} || $level{$mode} > $level{ $lock{$name} };
		}
		# what gets new files is read for that
		s/^parts\.//, $scan{$_} = 1 foreach grep { !/^(?:indexes of .*)?$/ } split /,/, "$row->{scans},$row->{rewrites}";
	}
	return join(', ', map { "$_: $lock{$_}" } sort keys %lock) . ' | ' . join ', ', sort keys %scan;
}

my $parts = $server->session(dbname => 'plain');
{
	$parts->query(q{CREATE SCHEMA parts; SET search_path = parts; SET enable_nestloop = off; SET enable_mergejoin = off; SET enable_indexscan = off;
		SET enable_indexonlyscan = off; SET enable_bitmapscan = off;
		CREATE FUNCTION bound() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT nextval(''public.code_runs'')::int * 0'; CREATE TABLE r (id int, v int) PARTITION BY RANGE (id); CREATE TABLE ref (id int PRIMARY KEY); INSERT INTO ref SELECT generate_series(0, 999);
		CREATE TABLE pref (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE pref1 PARTITION OF pref FOR VALUES FROM (0) TO (500); CREATE TABLE pref2 PARTITION OF pref FOR VALUES FROM (500) TO (1000);
		INSERT INTO pref SELECT generate_series(0, 999);
		-- with a default that has a partition, without one
		CREATE TABLE d (id int, v int) PARTITION BY RANGE (id); CREATE TABLE dd PARTITION OF d DEFAULT PARTITION BY RANGE (id); CREATE TABLE dd1 PARTITION OF dd FOR VALUES FROM (5000) TO (9000);
		INSERT INTO d SELECT generate_series(6000, 6100);
		CREATE TABLE e (id int, v int) PARTITION BY RANGE (id); CREATE TABLE ed PARTITION OF e DEFAULT; CREATE TABLE e1 PARTITION OF e FOR VALUES FROM (2000) TO (3000); INSERT INTO e SELECT i, i - 6000 FROM generate_series(6000, 6100) i; INSERT INTO e VALUES (2000, 1);
		CREATE TABLE ec (id int, v int) PARTITION BY RANGE (id); CREATE TABLE ecd (id int CHECK (id > 5000), v int); ALTER TABLE ec ATTACH PARTITION ecd DEFAULT; INSERT INTO ec SELECT generate_series(6000, 6100);
		-- with an index, a primary key, foreign keys
		CREATE TABLE i (id int, v int) PARTITION BY RANGE (id); CREATE INDEX i_v ON i (v); CREATE INDEX i_e ON i ((v + 1)) WHERE v > 0;
		CREATE TABLE k (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
		CREATE TABLE f (id int, v int REFERENCES ref) PARTITION BY RANGE (id); CREATE TABLE f1 PARTITION OF f FOR VALUES FROM (2000) TO (3000);
		CREATE TABLE fp (id int, v int REFERENCES pref) PARTITION BY RANGE (id); CREATE TABLE fp1 PARTITION OF fp FOR VALUES FROM (2000) TO (3000);
		CREATE TABLE from_pref (id int REFERENCES pref); INSERT INTO from_pref SELECT generate_series(500, 600);
		CREATE TABLE from_k (id int REFERENCES k); CREATE TABLE k1 PARTITION OF k FOR VALUES FROM (2000) TO (3000); INSERT INTO k SELECT generate_series(2000, 2100), 1; INSERT INTO from_k VALUES (2000);
		DELETE FROM from_k;
		CREATE TABLE twice (id int CONSTRAINT twice_pkey PRIMARY KEY); ALTER TABLE twice ADD CONSTRAINT twice_dup UNIQUE (id); CREATE TABLE from_twice (id int REFERENCES twice);
		CREATE TABLE with_note (id int, note text NOT NULL, other int NOT NULL, PRIMARY KEY (id) INCLUDE (note)); INSERT INTO with_note SELECT i, 'x', i FROM generate_series(1, 100) i;
		CREATE UNIQUE INDEX with_note_other ON with_note (other); ALTER TABLE with_note REPLICA IDENTITY USING INDEX with_note_other;
		CREATE TABLE m (id int PRIMARY KEY, v int) PARTITION BY RANGE (id); CREATE INDEX m_v ON m (v); CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (500); CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (500) TO (1000);
		INSERT INTO m SELECT i, i FROM generate_series(0, 999) i;
		CREATE TABLE ty (id int, v varchar(10), w varchar(10), x varchar(10), n int) PARTITION BY RANGE (id);
		CREATE TABLE ty1 (w varchar(10), v varchar(10), n int, x varchar(10), id int); ALTER TABLE ty ATTACH PARTITION ty1 FOR VALUES FROM (0) TO (100);
		CREATE TABLE ty2 PARTITION OF ty FOR VALUES FROM (100) TO (200) PARTITION BY LIST (x);
		CREATE TABLE ty3 PARTITION OF ty FOR VALUES FROM (200) TO (300) PARTITION BY LIST ((n + 1)); CREATE TABLE ty31 PARTITION OF ty3 DEFAULT;
		INSERT INTO ty SELECT i, 'v', 'w', 'x', i FROM generate_series(1, 250) i WHERE i NOT BETWEEN 100 AND 199;
		CREATE INDEX ON ty1 (lower(v)); CREATE INDEX ON ty31 (x); ALTER TABLE ty31 ADD CHECK (w <> 'y');
		CREATE TABLE tpar (id int, v varchar(10)); CREATE TABLE tkid () INHERITS (tpar); INSERT INTO tkid VALUES (1, 'x'); CREATE INDEX ON tkid (id) WHERE v > 'a';
		-- to be attached: with nothing, with a proof, and with more
		CREATE TABLE q (id int NOT NULL, v int); CREATE TABLE qc (id int NOT NULL CHECK (id >= 0 AND id < 1000), v int);
		CREATE TABLE qn (id int CHECK (id >= 0 AND id < 1000), v int);
		CREATE TABLE qi (v int, id int NOT NULL CHECK (id >= 0 AND id < 1000)); CREATE INDEX ON qi (v); CREATE INDEX ON qi ((v + 1)) WHERE v > 0;
		CREATE TABLE qu (id int NOT NULL CHECK (id >= 0 AND id < 1000), v int); CREATE UNIQUE INDEX qu_id ON qu (id);
		CREATE TABLE qk (id int PRIMARY KEY CHECK (id >= 0 AND id < 1000), v int);
		CREATE TABLE qf (id int NOT NULL CHECK (id >= 0 AND id < 1000), v int REFERENCES ref);
		CREATE TABLE qf2 (id int NOT NULL CHECK (id >= 0 AND id < 1000), v int REFERENCES ref ON DELETE CASCADE);
		CREATE TABLE qr (id int PRIMARY KEY CHECK (id >= 1000 AND id < 2000));
		CREATE TABLE qp (id int NOT NULL CHECK (id >= 0 AND id < 1000), v int) PARTITION BY RANGE (id); CREATE TABLE qp1 PARTITION OF qp FOR VALUES FROM (0) TO (500);
		CREATE TABLE qpn (id int NOT NULL, v int) PARTITION BY RANGE (id); CREATE TABLE qpn1 PARTITION OF qpn FOR VALUES FROM (0) TO (500); CREATE INDEX ON qpn1 (v);} .
		join('', map { "INSERT INTO $_ (id, v) SELECT i, i FROM generate_series(0, 99) i;" } qw(q qc qn qi qu qk qf qf2 qp qpn)) . ' ANALYZE;');
	foreach my $case (
		# a parent without anything
		[ 'ALTER TABLE r ATTACH PARTITION q FOR VALUES FROM (0) TO (1000)', 'H3' ],
		[ 'ALTER TABLE r ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'H4' ],
		[ 'ALTER TABLE r ATTACH PARTITION qn FOR VALUES FROM (0) TO (1000)', 'H5' ],
		[ 'ALTER TABLE r ATTACH PARTITION qp FOR VALUES FROM (0) TO (1000)', 'H4' ],
		[ 'ALTER TABLE r ATTACH PARTITION qpn FOR VALUES FROM (0) TO (1000)', 'H3' ],
		# with a default
		[ 'ALTER TABLE e ATTACH PARTITION q FOR VALUES FROM (0) TO (1000)', 'H6,H3' ],
		[ 'ALTER TABLE e ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'H6,H4' ],
		[ 'ALTER TABLE e ATTACH PARTITION qn FOR VALUES FROM (0) TO (1000)', 'H6,H5' ],
		[ 'ALTER TABLE ec ATTACH PARTITION q FOR VALUES FROM (0) TO (1000)', 'H6,H3' ],
		[ 'ALTER TABLE ec ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'H6,H4' ],
		[ 'ALTER TABLE d ATTACH PARTITION q FOR VALUES FROM (0) TO (1000)', 'H6,H3' ],
		[ 'ALTER TABLE e ATTACH PARTITION q FOR VALUES FROM (bound()) TO (1000)', 'H6,H3' ],
		[ 'CREATE TABLE new PARTITION OF e FOR VALUES FROM (0) TO (1000)', 'H2' ],
		[ 'CREATE TABLE new PARTITION OF d FOR VALUES FROM (0) TO (1000)', 'H2' ],
		# indexes
		[ 'ALTER TABLE i ATTACH PARTITION q FOR VALUES FROM (0) TO (1000)', 'H3,H15' ],
		[ 'ALTER TABLE i ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'H4,H15' ],
		[ 'ALTER TABLE i ATTACH PARTITION qi FOR VALUES FROM (0) TO (1000)', 'H4' ],
		[ 'ALTER TABLE i ATTACH PARTITION qpn FOR VALUES FROM (0) TO (1000)', 'H3,H15' ],
		[ 'ALTER TABLE k ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'H4,H15,H21' ],
		[ 'ALTER TABLE k ATTACH PARTITION qu FOR VALUES FROM (0) TO (1000)', 'H4,H15,H21' ],
		[ 'ALTER TABLE k ATTACH PARTITION qk FOR VALUES FROM (0) TO (1000)', 'H4,H21' ],
		[ 'CREATE TABLE new PARTITION OF i FOR VALUES FROM (0) TO (1000)', 'H1' ],
		# foreign keys
		[ 'ALTER TABLE f ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'H4,H16' ],
		[ 'ALTER TABLE f ATTACH PARTITION qf FOR VALUES FROM (0) TO (1000)', 'H4,H20' ],
		[ 'ALTER TABLE f ATTACH PARTITION qf2 FOR VALUES FROM (0) TO (1000)', 'H4,H16' ],
		[ 'ALTER TABLE fp ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'H4,H16' ],
		[ 'CREATE TABLE new PARTITION OF f FOR VALUES FROM (0) TO (1000)', 'H1,H17' ],
		[ 'CREATE TABLE new PARTITION OF fp FOR VALUES FROM (0) TO (1000)', 'H1,H17' ],
		[ 'CREATE TABLE new PARTITION OF k FOR VALUES FROM (0) TO (1000)', 'H1,H22' ],
		[ 'CREATE TABLE new PARTITION OF pref FOR VALUES FROM (1000) TO (2000)', 'H1,H22' ],
		[ 'ALTER TABLE pref ATTACH PARTITION qr FOR VALUES FROM (1000) TO (2000)', 'H4,H21' ],
		[ 'ALTER TABLE f DETACH PARTITION f1', 'H8,H19' ],
		[ 'ALTER TABLE fp DETACH PARTITION fp1', 'H8,H19' ],
		[ 'ALTER TABLE pref DETACH PARTITION pref1', 'H8,H18', 'fp', 'pref1' ],
		[ 'ALTER TABLE k DETACH PARTITION k1', 'H8,H18', '', 'k1' ],
		[ 'ALTER TABLE e ADD FOREIGN KEY (v) REFERENCES pref', 'E14' ],
		[ 'ALTER TABLE qc ADD FOREIGN KEY (v) REFERENCES pref', 'E8' ],
		[ 'ALTER TABLE qc ADD FOREIGN KEY (v) REFERENCES pref NOT VALID', 'E9' ],
		[ 'ALTER TABLE from_pref DROP CONSTRAINT from_pref_id_fkey', 'E16' ],
		[ 'CREATE TABLE new (id int REFERENCES pref)', 'G2' ],
		[ 'ALTER TABLE qc ADD CONSTRAINT nv FOREIGN KEY (v) REFERENCES pref NOT VALID; ALTER TABLE qc VALIDATE CONSTRAINT nv', 'E11', 'pref' ],
		[ 'ALTER TABLE from_pref DROP COLUMN id', 'B5' ],
		[ 'ALTER TABLE q ADD COLUMN x int REFERENCES pref', 'A16' ],
		# keys over the same columns, columns that an index only includes
		[ 'ALTER TABLE twice DROP CONSTRAINT twice_dup', 'E27' ],
		[ 'ALTER TABLE twice DROP CONSTRAINT twice_dup CASCADE', 'E27' ],
		[ 'ALTER TABLE from_twice DROP CONSTRAINT from_twice_id_fkey; ALTER TABLE twice DROP CONSTRAINT twice_pkey', 'E25' ],
		[ 'ALTER TABLE twice DROP CONSTRAINT twice_pkey CASCADE', 'E25' ],
		[ 'ALTER TABLE with_note ALTER note DROP NOT NULL', 'D12' ],
		[ 'ALTER TABLE with_note ALTER note DROP NOT NULL, ALTER id TYPE bigint', 'D12,C11' ],
		# a type, where partitions or children have more than the table
		[ 'ALTER TABLE ty ALTER v TYPE varchar(20)', 'C1,C36,C3' ],
		[ 'ALTER TABLE ty ALTER w TYPE text', 'C6,C36,C5' ],
		[ 'ALTER TABLE tpar ALTER v TYPE varchar(20)', 'C1,C4' ],
		# by a script
		[ 'ALTER TABLE q ADD CHECK (id >= 0 AND id < 1000); ALTER TABLE q ADD COLUMN x int; ALTER TABLE r ADD COLUMN x int; ALTER TABLE r ATTACH PARTITION q FOR VALUES FROM (0) TO (1000)', 'H3' ],
		[ 'CREATE INDEX ON qc (v); CREATE INDEX ON qc ((v + 1)) WHERE v > 0; ALTER TABLE i ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'H4' ],
		[ 'CREATE INDEX ON r (v); ALTER TABLE r ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'H4,H15' ],
		[ 'DROP INDEX i_v; DROP INDEX i_e; ALTER TABLE i ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'H4' ],
		[ 'ALTER TABLE qu ADD PRIMARY KEY USING INDEX qu_id; ALTER TABLE k ATTACH PARTITION qu FOR VALUES FROM (0) TO (1000)', 'H4,H21' ],
		[ 'ALTER TABLE f DROP CONSTRAINT f_v_fkey; ALTER TABLE f ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'H4' ],
		[ 'CREATE TABLE new (LIKE f); ALTER TABLE f ATTACH PARTITION new FOR VALUES FROM (0) TO (1000)', 'H3,H16' ])
	{
		my ($script, $rules, $whole, $planned) = @$case;
		my @rows = analyze($parts, $script);
		is(join(',', grep { !/^O/ } split /,/, $rows[-1]{rules}), $rules, $script) or diag($rows[-1]{why});
		my $really = really($parts, $script, $whole);
		# whether it is read is the planner's choice
		$really =~ s/, $planned$// if $planned;
		is(told(@rows), $really, '... locks and reads what is told');
	}

	foreach my $case (
		[ 'ALTER TABLE ty ALTER id TYPE bigint', qr/cannot alter column "id" because it is part of the partition key of relation "ty"/ ],
		[ 'ALTER TABLE ty ALTER x TYPE varchar(20)', qr/cannot alter column "x" because it is part of the partition key of relation "ty2"/ ],
		[ 'ALTER TABLE ty ALTER n TYPE bigint', qr/cannot alter column "n" because it is part of the partition key of relation "ty3"/ ],
		[ 'ALTER TABLE ty DROP COLUMN id', qr/cannot drop column "id" because it is part of the partition key of relation "ty"/ ],
		[ 'ALTER TABLE ty DROP COLUMN n', qr/cannot drop column "n" because it is part of the partition key of relation "ty3"/ ],
		[ 'ALTER TABLE twice DROP CONSTRAINT twice_pkey', qr/cannot drop constraint twice_pkey on table twice because other objects depend on it/ ],
		[ 'ALTER TABLE with_note ALTER id DROP NOT NULL', qr/column "id" is in a primary key/ ],
		[ 'ALTER TABLE with_note ALTER other DROP NOT NULL', qr/column "other" is in index used as replica identity/ ])
	{
		my ($statement, $message) = @$case;
		my ($row) = analyze($parts, $statement);

		is($row->{rule}, 'fails', "$statement fails");
		like($row->{why}, $message, '... in these words');
		like($parts->query("$statement;")->{message}, $message, '... of the server');
	}
	# what is read under the lock of its own statement is judged, if it is large
	$parts->query("SET schemadrift.large_table = '8kB';");
	foreach my $case (
		[ 'ALTER TABLE e ATTACH PARTITION q FOR VALUES FROM (0) TO (1000)', 'unsafe', 'H6,H3', qr/parts\.q \(8192 bytes, large\) is read from end to end under ACCESS EXCLUSIVE/ ],
		[ 'ALTER TABLE ec ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'caution', 'H6,H4' ],
		[ 'ALTER TABLE i ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'unsafe', 'H4,H15', qr/parts\.qc has no equal of index i_v of parts\.i: it is built/ ],
		[ 'ALTER TABLE f ATTACH PARTITION qc FOR VALUES FROM (0) TO (1000)', 'unsafe', 'H4,H16', qr/parts\.ref \(.*, large\) is read from end to end under SHARE ROW EXCLUSIVE/ ],
		[ 'VACUUM FULL m', 'unsafe', 'M1,local', qr/parts\.m1 \(.*, large\) is rewritten/ ])
	{
		my ($statement, $verdict, $rules, $why) = @$case;
		my ($row) = analyze($parts, $statement);

		is("$row->{verdict} " . join(',', grep { !/^O/ } split /,/, $row->{rules}), "$verdict $rules", "of large tables: $statement") or diag($row->{why});
		like($row->{why}, $why, '... for that reason') if $why;
	}
	$parts->query('RESET schemadrift.large_table;');
	my @rows = analyze($parts, 'ALTER TABLE m ADD COLUMN x int; UPDATE m SET v = v');
	like($rows[1]{why}, qr/parts\.m \(.*\) is read from end to end under ACCESS EXCLUSIVE, which an earlier statement holds/,
		'rows of a partitioned table, under a lock that is held');
}

# ---- CONCURRENTLY ----
{
	my ($row) = analyze($parts, 'ALTER TABLE pref DETACH PARTITION pref1 CONCURRENTLY');
	my $holder = $server->session(dbname => 'plain');

	like($row->{lock}, qr/^parts\.fp: ACCESS EXCLUSIVE, parts\.from_pref: ACCESS EXCLUSIVE, parts\.pref1: ACCESS EXCLUSIVE, parts\.pref: SHARE UPDATE EXCLUSIVE$/,
		'DETACH CONCURRENTLY of a table that is referred to is told to lock the others against reads, too');
	$holder->query('BEGIN; LOCK TABLE parts.from_pref IN ACCESS SHARE MODE;');
	$parts->send('ALTER TABLE pref DETACH PARTITION pref1 CONCURRENTLY;');
	$server->wait_until('SELECT ' . $holder->pid . ' = ANY (pg_blocking_pids(' . $parts->pid . '))', 't', undef, dbname => 'postgres') or die 'it does not wait';
	is($holder->query("SELECT relation::regclass || ' ' || mode FROM pg_locks WHERE NOT granted AND pid = " . $parts->pid . ';')->{out},
		'parts.from_pref AccessExclusiveLock', '... and it waits for that');
	$holder->query('COMMIT;');
	$holder->quit;
	ok($parts->result->{ok}, '... and is done then');
}

# ---- maintenance, which runs in no transaction ----
{
	my $files = sub {
		return map { [ split /\|/ ] } split /\n/, $parts->query("SELECT CASE WHEN i.indrelid IS NULL THEN c.relname ELSE 'indexes of ' || i.indrelid::regclass END, pg_relation_filenode(c.oid)
			FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE relnamespace = 'parts'::regnamespace AND relkind IN ('r', 'i') ORDER BY c.oid;")->{out};
	};
	foreach my $statement ('VACUUM FULL m', 'VACUUM m', 'CLUSTER m USING m_pkey', 'REINDEX TABLE m', 'REINDEX INDEX m_v', 'REINDEX INDEX m1_v_idx', 'REINDEX TABLE m1')
	{
		my ($row) = analyze($parts, $statement);
		my @before = $files->();
		my $r = $parts->query("$statement;");
		die $r->{err} if !$r->{ok};
		my @after = $files->();
		my %new = map { $after[$_][0] => 1 } grep { $after[$_][1] != $before[$_][1] } 0 .. $#after;
		delete @new{ map { "indexes of $_" } keys %new };

		$row->{rewrites} =~ s/parts\.//g;
		is($row->{rewrites}, join(',', sort keys %new), "$statement: new files are those that were told");
	}
	my %says = ('VACUUM FULL' => 'M1', 'CLUSTER' => 'M1', 'REINDEX SCHEMA parts' => 'F14', 'REINDEX (CONCURRENTLY) SCHEMA parts' => 'F15', 'REINDEX DATABASE plain' => 'F14');
	foreach my $statement (sort keys %says)
	{
		my ($row) = analyze($parts, $statement);

		is("$row->{verdict} $row->{rule}", "caution $says{$statement}", "$statement: more than it names");
		like($row->{why}, qr/It takes more than it names: (?:every table|all indexes) of|every table that was clustered/, '... which is said');
	}
	is((analyze($parts, 'VACUUM'))[0]{verdict}, 'safe', 'VACUUM blocks nobody');
}

done_testing;
