# What analyze() says of locks, of what earlier statements of a script hold, of rows that a script changes and of what will fail,
# against what the server does with the same statements; and that policy judges what analysis takes for a failure, too.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Analyze;
use SchemaDrift::Group;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(plain member)], databases => 1);
my $server = $g->region('plain');
my $s = $server->session(dbname => 'plain');
my $major = $s->query("SELECT current_setting('server_version_num')::int / 10000;")->{out};
my @modes = ('ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE',
	'ACCESS EXCLUSIVE');
my %level = map { my $name = join '', map { ucfirst lc } split ' ', $modes[$_]; ("${name}Lock" => $_ + 1, $modes[$_] => $_ + 1) } 0 .. 7;

sub run_ok
{
	my ($script) = @_;
	my $r = $s->query($script);

	die "$script: $r->{err}" if !$r->{ok};
	return $r->{out};
}

# Files, scans and, in its own transaction, locks of the relations of schema public; tables, views, sequences and indexes.
sub relations
{
	my %found;

	foreach (split /\n/, run_ok(q{SELECT concat_ws('|', c.oid, 'public.' || relname, relkind, coalesce(pg_relation_filenode(c.oid), 0), pg_stat_get_xact_numscans(c.oid),
		(SELECT string_agg(l.mode, ',') FROM pg_locks l WHERE l.relation = c.oid AND l.pid = pg_backend_pid())) FROM pg_class c
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'm', 'v', 'S', 'i', 'I');}))
	{
		my ($oid, @fields) = split /\|/, $_, -1;
		@{ $found{$oid} }{qw(name kind file scans locks)} = @fields;
	}
	return \%found;
}

# Runs a script in a transaction, and takes it back.  What it did to relations that were there: locks stronger than those of writers,
# new files, scans, of tables and of the indexes that are named; in the words of said().
sub done
{
	my ($script, @indexes) = @_;
	my (@locks, @rewritten, @scanned);

	run_ok('BEGIN;');
	my $before = relations();
	run_ok("$script;");
	my $after = relations();
	run_ok('ROLLBACK;');
	foreach my $oid (sort { $before->{$a}{name} cmp $before->{$b}{name} } keys %$before)
	{
		# what is dropped was locked with the strongest one
		my ($was, $is) = ($before->{$oid}, $after->{$oid} // { %{ $before->{$oid} }, locks => 'AccessExclusiveLock' });
		my $name = $was->{name};
		next if $was->{kind} !~ /[rpmvS]/ && !grep { $_ eq $name } @indexes;
		my ($mode) = sort { $level{$b} <=> $level{$a} } grep { $level{$_} > 3 } split /,/, $is->{locks} // '';

		push @locks, "$name: $modes[ $level{$mode} - 1 ]" if $mode;
		push @rewritten, $name if $is->{file} != $was->{file} && $was->{kind} ne 'S';
		push @scanned, $name if $was->{kind} =~ /[rm]/ && $is->{file} == $was->{file} && $is->{scans} > $was->{scans};
	}
	return join ' | ', join(', ', @locks), join(',', @rewritten), join ',', @scanned;
}

# The same, as analyze() has it.
sub said
{
	my ($script) = @_;
	my (%lock, %rewritten, %scanned);

	foreach my $row (analyze($s, $script))
	{
		foreach (grep { /: / } split /, /, $row->{lock})
		{
			my ($name, $mode) = split /: /;
			$lock{$name} = $level{$mode} if $level{$mode} > ($lock{$name} // 3);
		}
		$rewritten{$_} = 1 foreach grep { !/^indexes of/ } split /,/, $row->{rewrites};
		$scanned{$_} = 1 foreach split /,/, $row->{scans};
	}
	delete @scanned{ keys %rewritten };
	return join ' | ', join(', ', map { "$_: $modes[ $lock{$_} - 1 ]" } sort keys %lock), join(',', sort keys %rewritten), join ',', sort keys %scanned;
}

sub agrees
{
	my ($script, @indexes) = @_;

	return is(said($script), done($script, @indexes), $script);
}

sub runs
{
	my ($script) = @_;
	my $r = $s->query("BEGIN; $script;");

	ok($r->{ok}, "runs: $script") or diag($r->{err});
	$s->query('ROLLBACK;');
	return is(join(' ', map { "$_->{step}: $_->{why}" } grep { ",$_->{rules}," =~ /,fails,/ } analyze($s, $script)), '', '... and is not said to fail');
}

# ---- what earlier statements hold, where there are many partitions ----

run_ok(<<'SQL');
SET enable_mergejoin = off; SET enable_nestloop = off;
CREATE TABLE many (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE few (id int, v int) PARTITION BY RANGE (id);
DO $$BEGIN
	FOR i IN 1..6 LOOP EXECUTE format('CREATE TABLE many_%s PARTITION OF many FOR VALUES FROM (%s) TO (%s)', i, i * 10, i * 10 + 10); END LOOP;
	FOR i IN 1..3 LOOP EXECUTE format('CREATE TABLE few_%s PARTITION OF few FOR VALUES FROM (%s) TO (%s)', i, i * 10, i * 10 + 10); END LOOP;
END$$;
CREATE TABLE parent (id int, v int);
DO $$BEGIN FOR i IN 1..6 LOOP EXECUTE format('CREATE TABLE child_%s () INHERITS (parent)', i); END LOOP; END$$;
INSERT INTO many SELECT i, i FROM generate_series(10, 69) i;
INSERT INTO few SELECT i, i FROM generate_series(10, 39) i;
INSERT INTO child_3 VALUES (1, 1);
ALTER TABLE many ADD CONSTRAINT own CHECK (v > 0) NOT VALID;
ALTER TABLE few ADD CONSTRAINT own CHECK (v > 0) NOT VALID;
SQL
foreach my $case ([ 'few', 'public\.few_1' ], [ 'many', '6 partitions of public\.many' ], [ 'parent', '6 children of public\.parent' ])
{
	my ($table, $shown) = @$case;
	my $add = "ALTER TABLE $table ADD CONSTRAINT c CHECK (v > 0) NOT VALID";
	my $validate = "ALTER TABLE $table VALIDATE CONSTRAINT c";
	my $held = qr/$shown \([^)]*\) is read from end to end under ACCESS EXCLUSIVE, which an earlier statement holds until the commit/;

	like((analyze($s, "$add; $validate"))[1]{why}, $held, "$table: validated under the lock of the statement before");
	like((analyze($s, "$add; ALTER TABLE $table ALTER v SET DEFAULT 1; DROP TABLE IF EXISTS nothing; $validate"))[3]{why}, $held, '... of one some statements before');
	like((analyze($s, "$add; ALTER TABLE $table RENAME TO other; ALTER TABLE other VALIDATE CONSTRAINT c"))[2]{why}, qr/other \([^)]*\) is read from end to end under ACCESS EXCLUSIVE, which/,
		'... whatever it is called then') if $table ne 'few';
	unlike((analyze($s, "BEGIN; $add; COMMIT; BEGIN; $validate; COMMIT"))[4]{why}, qr/earlier statement/, '... not over a commit');
	unlike((analyze($s, $validate))[0]{why}, qr/earlier statement/, '... nor when it was never locked');
	is((analyze($s, "ALTER TABLE $table ADD COLUMN n int DEFAULT 1"))[0]{lock} =~ s/.*?($shown)/$1/gr =~ s/$shown: [A-Z ]+//gr =~ /$shown/ ? 'twice' : 'once', 'once', '... and its partitions are named once');
}
like((analyze($s, 'ALTER TABLE many ADD COLUMN n int; ALTER TABLE many_2 VALIDATE CONSTRAINT own'))[1]{why},
	qr/public\.many_2 \([^)]*\) is read from end to end under ACCESS EXCLUSIVE, which an earlier statement holds/, 'one of the many, by its own name');
foreach my $case ([ 'few', 'public\.few_2' ], [ 'many', 'public\.many_2' ])
{
	my ($table, $shown) = @$case;
	my ($row) = reverse analyze($s, "LOCK TABLE ${table}_2; ALTER TABLE $table VALIDATE CONSTRAINT own");

	like($row->{why}, qr/$shown \([^)]*\) is read from end to end under ACCESS EXCLUSIVE, which an earlier statement holds/, "$table: one that is held by itself, read with all of them");
	is(() = $row->{why} =~ /is read from end to end/g, 1, '... and it alone');
}
run_ok(join '', map { "CREATE TABLE held_$_ (id int, v int); INSERT INTO held_$_ VALUES (1, 1);" } 1 .. 40);
is(scalar(grep { $_->{why} =~ /which an earlier statement holds/ } analyze($s, join ';', (map { "ALTER TABLE held_$_ ADD CONSTRAINT c CHECK (v > 0) NOT VALID" } 1 .. 40),
	map { "ALTER TABLE held_$_ VALIDATE CONSTRAINT c" } 1 .. 40)), 40, 'many tables, each held');

# ---- partitions of partitions, a default one, triggers and keys of partitions ----

run_ok(<<'SQL');
CREATE TABLE tree (id int NOT NULL, v int, w varchar(10)) PARTITION BY RANGE (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (1) TO (100);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
CREATE TABLE tree_21 PARTITION OF tree_2 FOR VALUES FROM (100) TO (150);
CREATE TABLE tree_d PARTITION OF tree DEFAULT;
CREATE INDEX tree_w ON tree (w);
INSERT INTO tree SELECT i, i, i FROM generate_series(1, 149) i;
INSERT INTO tree VALUES (300, 300, 300);
CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE node (id int PRIMARY KEY, up int REFERENCES node) PARTITION BY RANGE (id);
CREATE TABLE node_1 PARTITION OF node FOR VALUES FROM (1) TO (100);
CREATE TABLE node_2 PARTITION OF node FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
CREATE TABLE node_21 PARTITION OF node_2 FOR VALUES FROM (100) TO (150);
CREATE TABLE node_22 (id int NOT NULL, up int);
INSERT INTO node SELECT i, 100 FROM generate_series(1, 149) i;
INSERT INTO node_22 VALUES (150, 1);
CREATE TABLE pointer (id int REFERENCES node);
INSERT INTO pointer SELECT 1 FROM generate_series(1, 100);
SQL
agrees($_) foreach 'ALTER TABLE tree ALTER w TYPE varchar(20)', 'ALTER TABLE tree ALTER w TYPE varchar(10)', 'ALTER TABLE tree ALTER v TYPE int', 'ALTER TABLE tree ADD PRIMARY KEY (id)',
  'ALTER TABLE tree ADD PRIMARY KEY (id, v)', 'ALTER TABLE tree ADD UNIQUE (id, v)', 'DROP TABLE tree_1', 'DROP TABLE tree_2', 'DROP TABLE tree_d', 'ALTER TABLE tree DETACH PARTITION tree_1',
  'ALTER TABLE tree DETACH PARTITION tree_2', (map { "CREATE TRIGGER fires AFTER INSERT ON tree FOR EACH $_ EXECUTE FUNCTION fired()" } 'STATEMENT', 'ROW'),
  'CREATE TABLE node_3 PARTITION OF node FOR VALUES FROM (200) TO (300)', 'ALTER TABLE node_2 ATTACH PARTITION node_22 FOR VALUES FROM (150) TO (200)';
run_ok('ALTER TABLE tree ADD CONSTRAINT tree_pair UNIQUE (id, v);');
agrees('ALTER TABLE tree DROP CONSTRAINT tree_pair');
run_ok('ALTER TABLE tree DROP CONSTRAINT tree_pair;');
like((analyze($s, 'ALTER TABLE tree ALTER w TYPE varchar(20)'))[0]{rewrites}, qr/indexes of public\.tree_1\b/, 'an index of a partitioned table is built again in its partitions, whatever the type');
run_ok('CREATE TRIGGER fires AFTER INSERT ON tree FOR EACH ROW EXECUTE FUNCTION fired();');
agrees($_) foreach 'ALTER TABLE tree DETACH PARTITION tree_2', 'DROP TRIGGER fires ON tree', 'ALTER TABLE tree DISABLE TRIGGER fires', 'ALTER TRIGGER fires ON tree RENAME TO fired';
{
	my ($row) = analyze($s, 'ALTER TABLE node DETACH PARTITION node_1');

	like($row->{lock}, qr/public\.$_: /, "a table that refers to itself: $_ is locked with a partition that is detached") foreach qw(node_2 node_21 pointer);
	like($row->{scans}, qr/public\.$_\b/, "... and $_ is read") foreach qw(node_21 pointer);
}

# ---- children, of which ONLY says nothing ----

run_ok(<<'SQL');
CREATE TABLE one (id int CONSTRAINT alone UNIQUE, v int, w int, CONSTRAINT positive CHECK (v > 0), CONSTRAINT own CHECK (w > 0) NO INHERIT);
CREATE TABLE one_child () INHERITS (one);
CREATE TABLE one_grandchild () INHERITS (one_child);
INSERT INTO one SELECT i, i, i FROM generate_series(1, 100) i;
INSERT INTO one_child SELECT i, i, i FROM generate_series(1, 100) i;
SQL
agrees("ALTER TABLE $_") foreach 'ONLY one DROP COLUMN v', 'ONLY one DROP CONSTRAINT positive', 'ONLY one DROP CONSTRAINT alone', 'one DROP CONSTRAINT positive', 'one DROP CONSTRAINT alone', 'one DROP CONSTRAINT own',
  'one ADD PRIMARY KEY (v)', 'one ADD CHECK (id > 0)';
agrees('CREATE TRIGGER fires AFTER INSERT ON one FOR EACH ROW EXECUTE FUNCTION fired()');
run_ok('CREATE TRIGGER fires AFTER INSERT ON one FOR EACH ROW EXECUTE FUNCTION fired();');
agrees($_) foreach 'DROP TRIGGER fires ON one', 'ALTER TABLE one DISABLE TRIGGER fires', 'ALTER TABLE one ENABLE ALWAYS TRIGGER fires', "COMMENT ON TRIGGER fires ON one IS 'x'", "COMMENT ON CONSTRAINT own ON one IS 'x'",
  "COMMENT ON COLUMN one.v IS 'x'";

# ---- what goes along: sequences, views of views ----

run_ok(<<'SQL');
CREATE TABLE counted (id serial, i int GENERATED ALWAYS AS IDENTITY, v int);
INSERT INTO counted (v) SELECT i FROM generate_series(1, 100) i;
CREATE SEQUENCE apart;
CREATE VIEW first_view AS SELECT v FROM counted;
CREATE VIEW second_view AS SELECT v FROM first_view;
CREATE MATERIALIZED VIEW seen_by_both AS SELECT v FROM second_view;
CREATE STATISTICS about (ndistinct) ON id, v FROM counted;
CREATE TABLE secured (v int);
CREATE POLICY by_count ON secured USING (v IN (SELECT v FROM second_view));
CREATE SCHEMA beyond;
CREATE TABLE beyond.far (id serial);
CREATE VIEW near AS SELECT id FROM beyond.far;
CREATE VIEW nearer AS SELECT id FROM near;
SQL
agrees($_) foreach 'DROP TABLE counted CASCADE', 'DROP VIEW first_view CASCADE', 'DROP MATERIALIZED VIEW seen_by_both', 'ALTER TABLE counted SET UNLOGGED',
  'REFRESH MATERIALIZED VIEW seen_by_both', 'CREATE MATERIALIZED VIEW another AS SELECT v FROM second_view', 'DROP STATISTICS about', 'DROP SEQUENCE apart';
like((analyze($s, 'DROP SCHEMA beyond CASCADE'))[0]{lock}, qr/(?:^|, )\Q$_\E: ACCESS EXCLUSIVE/, "DROP SCHEMA locks $_, too") foreach 'public.near', 'public.nearer', 'beyond.far_id_seq';
is((analyze($s, 'ALTER SEQUENCE apart SET UNLOGGED'))[0]{lock}, 'public.apart: ACCESS EXCLUSIVE', 'a sequence that is unlogged is locked against reads');
like((analyze($s, 'TRUNCATE counted RESTART IDENTITY'))[0]{lock}, qr/public\.counted_id_seq: ACCESS EXCLUSIVE/, 'TRUNCATE ... RESTART IDENTITY locks sequences');
like((analyze($s, 'TRUNCATE r CASCADE'))[0]{lock}, qr/public\.ref_1: ACCESS EXCLUSIVE/, 'TRUNCATE CASCADE locks partitions of what refers to it') if run_ok(q{CREATE TABLE r (id int PRIMARY KEY);
	CREATE TABLE ref (id int REFERENCES r) PARTITION BY LIST (id); CREATE TABLE ref_1 PARTITION OF ref FOR VALUES IN (1);}) eq '';
agrees('ALTER TABLE r ALTER id TYPE bigint');
run_ok('DROP TABLE r, ref;');

# ---- rows that are changed somewhere within a statement ----

run_ok(<<'SQL');
CREATE TABLE orders (id int PRIMARY KEY, v int);
CREATE TABLE archive (id int, v int);
INSERT INTO orders SELECT i, i FROM generate_series(1, 10) i;
SQL
foreach my $case (
	[ 'WITH d AS (DELETE FROM orders RETURNING 1) SELECT count(*) FROM d', 'N2', 'public.orders' ],
	[ 'INSERT INTO archive WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d', 'N2,N3', 'public.archive,public.orders' ],
	[ 'WITH d AS (DELETE FROM orders RETURNING *) INSERT INTO archive SELECT * FROM d', 'N2,N3', 'public.archive,public.orders' ],
	[ 'WITH i AS (INSERT INTO archive VALUES (1, 2) RETURNING v), u AS (UPDATE orders SET v = 1) SELECT * FROM i', 'N1,N3', 'public.archive,public.orders' ],
	[ 'WITH i AS (INSERT INTO archive VALUES (1, 2) RETURNING v) DELETE FROM orders USING i WHERE orders.v = i.v', 'N2,N3', 'public.archive,public.orders' ],
	[ 'COPY (DELETE FROM orders RETURNING *) TO STDOUT', 'N2', 'public.orders' ],
	[ 'EXPLAIN ANALYZE DELETE FROM orders', 'N2', 'public.orders' ],
	[ 'EXPLAIN (ANALYZE true, COSTS off) WITH d AS (DELETE FROM orders RETURNING 1) SELECT * FROM d', 'N2', 'public.orders' ],
	[ 'EXPLAIN DELETE FROM orders', 'none', '' ],
	[ 'EXPLAIN (ANALYZE off) DELETE FROM orders', 'none', '' ],
	[ 'WITH d AS (SELECT * FROM orders) SELECT count(*) FROM d', 'none', '' ])
{
	my ($script, $rules, $tables) = @$case;
	my ($row) = analyze($s, $script);

	is(join(',', sort grep { !/^O/ } split /,/, $row->{rules}), $rules, $script);
	is(join(',', sort map { s/:.*//r } grep { /ROW EXCLUSIVE/ } split /, /, $row->{lock}), $tables, '... on these tables');
	is($row->{verdict}, $rules eq 'none' ? 'safe' : 'caution', '... a case for caution') if $rules eq 'none' || $rules !~ /N1/;
}
foreach my $case (
	[ 'CREATE TABLE f (id int); WITH i AS (INSERT INTO f VALUES (1) RETURNING 1) SELECT * FROM i', 'SD004' ],
	[ 'CREATE TABLE f (id int); EXPLAIN ANALYZE INSERT INTO f VALUES (1)', 'SD004' ],
	[ 'CREATE TABLE f (id int); WITH i AS (INSERT INTO f VALUES (1) RETURNING 1) DELETE FROM f', 'SD004' ],
	[ 'CREATE TABLE f (id int); INSERT INTO f VALUES (1); WITH d AS (DELETE FROM f RETURNING 1) SELECT * FROM d', 'A4' ])
{
	my ($script, $rule) = @$case;

	is((analyze($s, "$script; ALTER TABLE f ADD COLUMN at timestamptz DEFAULT now()"))[-1]{rule}, $rule, "$script: what follows on the same table");
}
like((analyze($s, 'WITH i AS (INSERT INTO archive SELECT random() * 10 RETURNING 1) INSERT INTO archive SELECT 1'))[0]{why}, qr/Each region would write other rows/, 'rows that differ, of one of two');

# ---- the other table of a foreign key ----

run_ok(<<'SQL');
CREATE TABLE r (c varchar(10) PRIMARY KEY, n int UNIQUE, b bigint UNIQUE);
CREATE TABLE f (c varchar(10) REFERENCES r, n int REFERENCES r (n), b bigint REFERENCES r (b));
INSERT INTO r SELECT i, i, i FROM generate_series(1, 100) i;
INSERT INTO f SELECT i, i, i FROM generate_series(1, 100) i;
ANALYZE r, f;
SQL
agrees($_) foreach 'ALTER TABLE f ALTER c TYPE varchar(20)', 'ALTER TABLE f ALTER c TYPE text', 'ALTER TABLE f ALTER c TYPE varchar(5)', 'ALTER TABLE f ALTER b TYPE int',
  'ALTER TABLE r ALTER c TYPE varchar(20)', 'ALTER TABLE r ALTER c TYPE varchar(5)', 'ALTER TABLE f ALTER n TYPE bigint', 'ALTER TABLE r ALTER n TYPE bigint';
run_ok('CREATE TABLE own (id varchar(10) PRIMARY KEY, up varchar(10) REFERENCES own); INSERT INTO own VALUES (1, 1);');
agrees($_) foreach 'ALTER TABLE own ALTER up TYPE varchar(20)', 'ALTER TABLE own ADD FOREIGN KEY (up) REFERENCES own NOT VALID';
unlike((analyze($s, $_))[0]{why}, qr/[Oo]ther table/, '... and it is no other table') foreach 'ALTER TABLE own ALTER up TYPE varchar(20)', 'ALTER TABLE own ADD FOREIGN KEY (up) REFERENCES own NOT VALID';
like((analyze($s, 'ALTER TABLE f ALTER c TYPE varchar(20)'))[0]{why}, qr/The other table, public\.r, is locked with ACCESS EXCLUSIVE/, 'and it is told');
like((analyze($s, 'ALTER TABLE f ALTER c TYPE varchar(20); ALTER TABLE r ADD CONSTRAINT positive CHECK (n > 0) NOT VALID; ALTER TABLE r VALIDATE CONSTRAINT positive'))[2]{why},
	qr/public\.r \([^)]*\) is read from end to end under ACCESS EXCLUSIVE, which an earlier statement holds/, '... and held');

# ---- rows of those whose rows the caller may not see ----

run_ok(<<'SQL');
CREATE ROLE curious LOGIN;
GRANT schemadrift_migrator TO curious;
GRANT CREATE ON SCHEMA public TO curious;
CREATE SCHEMA other;
GRANT USAGE ON SCHEMA other TO curious;
CREATE TABLE other.empty (id int);
CREATE TABLE other.secret (id int);
INSERT INTO other.secret VALUES (1);
CREATE TABLE other.open (id int);
INSERT INTO other.open VALUES (1);
GRANT SELECT ON other.open TO curious;
SQL
{
	my $curious = $server->session(dbname => 'plain');
	my %said;

	$curious->query('SET SESSION AUTHORIZATION curious;');
	foreach my $table (qw(empty secret open))
	{
		my ($row) = analyze($curious, "ALTER TABLE other.$table ADD COLUMN c timestamptz DEFAULT now()");
		$said{$table} = join(' ', $row->{rule}, $row->{why}) =~ s/\b(?:other\.)?$table\b/table/gr;
	}
	is($said{secret}, $said{empty}, 'whether a table that the caller may not read has rows is not told');
	like($said{secret}, qr/table may have rows/, '... but that it may');
	like($said{open}, qr/table has rows/, 'of one that he may read it is');
	$curious->quit;
}

# ---- settings ----
{
	my ($row) = analyze($s, 'SET lock_timeout TO 1, 2');

	is("$row->{verdict} $row->{rule}", 'unsafe fails', 'a setting with two values: an answer, not an error');
	like($row->{why}, qr/SET lock_timeout takes only one argument/, '... which says why');
	ok(!$s->query('SET lock_timeout TO 1, 2;')->{ok}, '... and it fails');
	is((analyze($s, 'SET lock_timeout TO 1, 2; CREATE TABLE x (id int)'))[1]{rule}, 'G1', '... and what follows it is looked at');
	is((analyze($s, q{SET search_path TO other, public; ALTER TABLE secret ADD COLUMN b int}))[1]{lock}, 'other.secret: ACCESS EXCLUSIVE', 'several where they may be');
}

# ---- SET NOT NULL ----

run_ok(<<'SQL');
CREATE TABLE base (c int, d int, CONSTRAINT base_c CHECK (c IS NOT NULL) NO INHERIT, CONSTRAINT base_d CHECK (d IS NOT NULL));
CREATE TABLE derived (CHECK (d > 0)) INHERITS (base);
INSERT INTO base SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO derived SELECT i, i FROM generate_series(1, 100) i;
CREATE TABLE single (a int, b int);
INSERT INTO single SELECT i, i FROM generate_series(1, 100) i;
SQL
agrees($_) foreach 'ALTER TABLE base ALTER c SET NOT NULL', 'ALTER TABLE base ALTER d SET NOT NULL', 'ALTER TABLE ONLY derived ALTER d SET NOT NULL',
  'ALTER TABLE derived ALTER c SET NOT NULL; ALTER TABLE base ALTER c SET NOT NULL';
foreach my $case (
	[ 'ALTER TABLE single ADD CONSTRAINT n CHECK (a IS NOT NULL); ALTER TABLE single RENAME a TO aa; ALTER TABLE single ALTER aa SET NOT NULL', 'D4' ],
	[ 'ALTER TABLE single ADD CONSTRAINT n CHECK (a IS NOT NULL); ALTER TABLE single RENAME a TO aa; ALTER TABLE single RENAME b TO a; ALTER TABLE single ALTER a SET NOT NULL', 'D3' ],
	[ 'ALTER TABLE base DROP CONSTRAINT base_d; ALTER TABLE base ADD CONSTRAINT n CHECK (d IS NOT NULL) NO INHERIT; ALTER TABLE base ALTER d SET NOT NULL', 'D3' ],
	[ 'ALTER TABLE base ADD CONSTRAINT n CHECK (c IS NOT NULL); ALTER TABLE base ALTER c SET NOT NULL', 'D4' ])
{
	my ($script, $rule) = @$case;
	my $last = (analyze($s, $script))[-1];

	is((grep { /^D[34]$/ } reverse sort split /,/, $last->{rules})[0] eq $rule || ",$last->{rules}," =~ /,$rule,/ ? $rule : $last->{rules}, $rule, $script);
}

# ---- LOCK TABLE ----

agrees("LOCK TABLE orders$_") foreach '', ' IN SHARE UPDATE EXCLUSIVE MODE', ' IN SHARE MODE', ' IN SHARE ROW EXCLUSIVE MODE', ' IN EXCLUSIVE MODE', ' IN ACCESS SHARE MODE';
agrees('LOCK TABLE few IN SHARE MODE');
run_ok('CREATE VIEW seen AS SELECT o.id FROM orders o JOIN few USING (id); CREATE VIEW again AS SELECT id FROM seen UNION SELECT id FROM archive;');
agrees("LOCK TABLE again IN $_ MODE") foreach 'SHARE', 'ACCESS EXCLUSIVE';
agrees('LOCK TABLE ONLY few IN SHARE MODE');
is((analyze($s, 'LOCK TABLE orders IN ROW EXCLUSIVE MODE'))[0]{lock}, 'public.orders: ROW EXCLUSIVE', 'a weak one is said, too');
unlike((analyze($s, 'LOCK TABLE few IN ROW EXCLUSIVE MODE; ALTER TABLE few ADD CONSTRAINT c CHECK (v > 0) NOT VALID'))[0]{why}, qr/ACCESS EXCLUSIVE/, '... and not judged as the strongest');
like((analyze($s, 'LOCK TABLE orders IN SHARE MODE; ALTER TABLE orders ADD CONSTRAINT c CHECK (v > 0) NOT VALID'))[0]{lock}, qr/^public\.orders: SHARE$/, '... whatever follows');

# ---- indexes ----

run_ok(<<'SQL');
CREATE TABLE doc (id int, w tsvector, box box);
CREATE INDEX doc_gin ON doc USING gin (w);
CREATE INDEX doc_brin ON doc USING brin (id);
CREATE INDEX doc_gist ON doc USING gist (box);
CREATE INDEX doc_id ON doc (id);
SQL
foreach my $case ([ 'SET (fastupdate = off)', 'doc_gin' ], [ 'SET (gin_pending_list_limit = 128)', 'doc_gin' ], [ 'RESET (fastupdate)', 'doc_gin' ],
	[ 'SET (pages_per_range = 64)', 'doc_brin' ], [ 'SET (autosummarize = on)', 'doc_brin' ], [ 'SET (buffering = on)', 'doc_gist' ],
	[ 'SET (fillfactor = 80)', 'doc_id' ], [ 'SET (fillfactor = 80, fastupdate = off)', 'doc_gin' ], [ 'RENAME TO doc_new', 'doc_id' ])
{
	my ($change, $index) = @$case;

	next if $change =~ /fillfactor/ && $index eq 'doc_gin';
	agrees("ALTER INDEX $index $change", "public.$index");
	agrees("ALTER TABLE $index $change", "public.$index");
}

# ---- types, where nothing can be tried out ----

run_ok(<<'SQL');
CREATE DOMAIN short AS varchar(10);
CREATE DOMAIN long AS varchar(30);
CREATE DOMAIN free AS varchar;
CREATE TABLE ty (a varchar(10)[], b varchar(20), s short, l long, tm time(3), iv interval(3), iy interval day, ts timestamp(3), v varchar);
INSERT INTO ty SELECT ARRAY['a'], 'b', 's', 'l', '12:00', '1 day', '1 year', '2026-01-01', 'v' FROM generate_series(1, 100);
SQL
{
	my @changes = map { "ALTER TABLE ty ALTER $_" } 'a TYPE varchar(20)[]', 'a TYPE varchar[]', 'a TYPE varchar(5)[]', 's TYPE varchar(5)', 's TYPE varchar(10)', 's TYPE varchar', 's TYPE varchar(20)',
	  'b TYPE short', 'b TYPE long', 'b TYPE free', 'v TYPE short', 'v TYPE free', 'tm TYPE time(6)', 'tm TYPE time(1)', 'ts TYPE timestamp(6)', 'ts TYPE timestamp(0)', 'iv TYPE interval(6)', 'iv TYPE interval(1)',
	  'iv TYPE interval', 'iy TYPE interval year', 'l TYPE varchar(30)', 'b TYPE varchar(30)', 'b TYPE varchar(10)';
	my %real = map { $_ => done($_) } @changes;
	my $holder = $server->session(dbname => 'plain');

	$holder->query('BEGIN; LOCK TABLE ty;');
	foreach my $change (@changes)
	{
		my ($row) = analyze($s, $change);

		like($row->{why}, qr/not tried on an empty copy/, "not tried: $change");
		is(said($change), $real{$change}, '... and yet as it is');
	}
	$holder->query('ROLLBACK;');
	$holder->quit;
	is(said($_), $real{$_}, "tried: $_") foreach @changes;
}

# ---- what is said to fail, and runs ----

run_ok(<<'SQL');
CREATE TABLE above (v int, w int, CONSTRAINT c CHECK (v > 0), CONSTRAINT d CHECK (w > 0));
CREATE TABLE below () INHERITS (above);
CREATE TABLE whole (v int, CONSTRAINT c CHECK (v > 0)) PARTITION BY RANGE (v);
CREATE TABLE part PARTITION OF whole FOR VALUES FROM (1) TO (10);
SQL
runs('ALTER TABLE below ADD CONSTRAINT c CHECK (v > 0)');
run_ok('CREATE VIEW ring AS SELECT 1 AS id; CREATE VIEW round AS SELECT id FROM ring; CREATE OR REPLACE VIEW ring AS SELECT id FROM round;');
runs($_) foreach 'LOCK TABLE ring IN SHARE MODE', 'ALTER TABLE IF EXISTS nothing SET SCHEMA nowhere', 'DROP VIEW ring CASCADE';
run_ok(q{SELECT set_config('search_path', ' ', false);});
runs('CREATE SCHEMA fresh CREATE VIEW seen AS SELECT id FROM things CREATE TABLE things (id int)');
run_ok('RESET search_path;');
foreach my $script ('ALTER TABLE below ADD CONSTRAINT c CHECK (v > 1)', 'ALTER TABLE part ADD CONSTRAINT c CHECK (v > 0)',
	'ALTER TABLE above ADD CONSTRAINT c CHECK (v > 0)', 'ALTER TABLE below ADD CONSTRAINT c UNIQUE (v)')
{
	my ($row) = analyze($s, $script);

	ok(!$s->query("$script;")->{ok}, "fails: $script");
	like($row->{rules}, qr/\b(?:fails|unknown)\b/, '... as it is said to, or as not known');
	like($row->{rules}, qr/\bfails\b/, '... for certain') if $script !~ /v > 1/;
}
if ($major >= 18)
{
	run_ok(<<'SQL');
CREATE TABLE loose (id int PRIMARY KEY);
CREATE TABLE lax (id int REFERENCES loose NOT ENFORCED);
CREATE TABLE tight (id int PRIMARY KEY, other int REFERENCES loose NOT ENFORCED);
CREATE TABLE lax2 (id int REFERENCES tight NOT ENFORCED);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER nothing BEFORE INSERT ON tight FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TABLE named (a int CONSTRAINT n NOT NULL, b int);
INSERT INTO named VALUES (1, 1);
CREATE TABLE top (a int, CONSTRAINT nn NOT NULL a NO INHERIT);
CREATE TABLE middle () INHERITS (top);
CREATE TABLE bottom () INHERITS (middle);
CREATE TABLE beside (a int NOT NULL) INHERITS (top);
INSERT INTO middle VALUES (1); INSERT INTO bottom VALUES (1); INSERT INTO beside VALUES (1); INSERT INTO top VALUES (1);
SQL
	runs($_) foreach 'TRUNCATE loose', 'ALTER TABLE named ADD CONSTRAINT n NOT NULL a';
	agrees('ALTER TABLE named ADD CONSTRAINT n NOT NULL a');
	agrees('ALTER TABLE top ALTER CONSTRAINT nn INHERIT');
	agrees('ALTER TABLE top ALTER CONSTRAINT nn NO INHERIT; ALTER TABLE top ALTER CONSTRAINT nn INHERIT');
	foreach my $script ('TRUNCATE tight', 'ALTER TABLE named ADD CONSTRAINT n NOT NULL b')
	{
		my ($row) = analyze($s, $script);

		ok(!$s->query("$script;")->{ok}, "fails: $script");
		like($row->{rules}, qr/\bfails\b/, '... as it is said to');
	}
}

# ---- policy judges it all the same ----

$g->make_group(names => ['member'], mode => 'coordinate', before => <<'SQL');
CREATE TABLE key (id int PRIMARY KEY, n int);
INSERT INTO key SELECT i, i FROM generate_series(1, 100) i;
CREATE TABLE sales (id int NOT NULL, at date);
INSERT INTO sales SELECT i, '2026-01-01' FROM generate_series(1, 100) i;
CREATE TABLE heir (id int NOT NULL CHECK (id >= 1 AND id < 1000), at date);
INSERT INTO heir SELECT * FROM sales;
SQL
$g->sql('member', q{SELECT schemadrift.set_policy('{"on_unsafe": {"plain": "refuse", "apply": "refuse"}}')});
my $m = $g->session('member');
$m->query('SET schemadrift.large_table = 0;');
sub refused
{
	my ($script, $pattern, $what) = @_;
	my $r = $m->query($script);

	is($r->{sqlstate}, 'SD005', $what) or diag($r->{err});
	like($r->{err}, $pattern, '... and says why');
	return $m->query('ROLLBACK;');
}

my $wrong = 'ALTER TABLE key ALTER id DROP NOT NULL, ALTER n TYPE bigint';
is((analyze($m, $wrong))[0]{rule}, 'fails', 'a statement that is said to fail, and is unsafe besides');
refused("SELECT schemadrift.apply('wrong', " . literal($wrong) . ');', qr/statement 1 is unsafe.*rule [^:]*C11.*It will fail: .*Should it not: .*is rewritten/s, '... is refused for that, should analysis be mistaken');
refused("$wrong;", qr/ALTER TABLE is refused: it is unsafe.*rule [^:]*C11/s, '... as plain DDL, too');
is($m->query('ALTER TABLE key ALTER missing TYPE bigint;')->{sqlstate}, '42703', 'what fails and nothing else is the server\'s to say');
is($m->query('ALTER TABLE key ALTER id DROP NOT NULL;')->{sqlstate}, '42P16', '... as is what is only said to fail');

# a new table that takes an old one along
my $new = 'BEGIN; ALTER TABLE sales RENAME TO sales_old; CREATE TABLE sales (LIKE sales_old) PARTITION BY RANGE (id);';
refused("$new ALTER TABLE sales ATTACH PARTITION sales_old FOR VALUES FROM (1) TO (1000);", qr/ALTER TABLE is refused: it is unsafe.*sales_old \([^)]*\) is read from end to end under ACCESS EXCLUSIVE/s,
	'an old table is attached to a new one');
ok($m->query('BEGIN; CREATE TABLE fresh (id int PRIMARY KEY, n int); ALTER TABLE fresh ADD COLUMN at timestamptz DEFAULT now(), ALTER n TYPE bigint; ROLLBACK;')->{ok}, 'what is about new tables alone is not judged');
$new = 'BEGIN; CREATE TABLE over (id int, at date) PARTITION BY RANGE (id); ALTER TABLE over ATTACH PARTITION heir FOR VALUES FROM (1) TO (1000);';
ok($m->query("$new ROLLBACK;")->{ok}, 'one that is not read is');
refused("$new CREATE INDEX ON over (at);", qr/CREATE INDEX is refused: it is unsafe.*public\.heir/s, '... and an index of the new one is built on it');
refused("$new ALTER TABLE over ALTER at TYPE timestamptz;", qr/ALTER TABLE is refused: it is unsafe/, '... as it is rewritten with it');
ok($m->query('BEGIN; CREATE TABLE over (id int) PARTITION BY RANGE (id); CREATE TABLE over_1 PARTITION OF over DEFAULT; CREATE INDEX ON over (id); ALTER TABLE over ALTER id SET NOT NULL; ROLLBACK;')->{ok}, 'all of them new');
$g->sql('member', q{SELECT schemadrift.set_policy('{"on_caution": {"plain": "refuse", "apply": "refuse"}}')});
refused('BEGIN; CREATE TABLE fresh (id int); ALTER TABLE fresh ADD FOREIGN KEY (id) REFERENCES key;', qr/The other table, public\.key, is locked with SHARE ROW EXCLUSIVE/, 'a foreign key of a new table locks an old one');
refused('BEGIN; CREATE TABLE fresh (id int); ALTER TABLE fresh ADD COLUMN k int REFERENCES key;', qr/The other table, public\.key, is locked with SHARE ROW EXCLUSIVE/, '... with its column, too');
ok($m->query('BEGIN; CREATE TABLE fresh (id int); ALTER TABLE fresh ADD CHECK (id > 0); ROLLBACK;')->{ok}, 'another constraint does not');
$m->quit;

# what looks before something runs sees many partitions, too
{
	$g->sql('member', q{SELECT schemadrift.set_policy('{"on_unsafe": null, "on_caution": null}')});
	$g->sql('member', 'CREATE TABLE many (id int, v int) PARTITION BY RANGE (id)');
	$g->sql('member', "CREATE TABLE many_$_ PARTITION OF many FOR VALUES FROM ($_) TO ($_ + 1)") foreach 1 .. 6;
	$g->sql('member', 'INSERT INTO many SELECT i % 6 + 1, i FROM generate_series(1, 60000) i');
	my $holder = $g->session('member');
	my $alter = 'ALTER TABLE many ALTER v TYPE bigint';

	$holder->query('BEGIN; LOCK TABLE many_4 IN ROW EXCLUSIVE MODE;');
	is($g->sql('member', "SELECT count(*) FROM schemadrift.preflight('$alter') WHERE check_name = 'locks' AND detail ~ 'ROW EXCLUSIVE on public.many_4'"), 1, 'preflight() sees who holds one of many partitions');
	is($g->sql('member', "SELECT count(*) FROM schemadrift.preflight('$alter') WHERE check_name = 'disk' AND detail ~ 'it writes .* anew'"), 1, '... and what is written');
	$holder->quit;
	my $r = $g->try('member', "SET schemadrift.large_table = '1MB'; SELECT schemadrift.dry_run('$alter')");
	like(($r->{err} // '') . ($r->{out} // ''), qr/it would rewrite 6 partitions of public\.many, which have/, 'dry_run() does not rewrite many partitions that are large together');
}

# who may not alter a table does not wait for it, and hears nothing of its rows
{
	my $curious = $g->session('member');
	my $holder = $g->session('member');

	$g->sql('member', q{SELECT schemadrift.set_policy('{"on_unsafe": null, "on_caution": null}')});
	$holder->query('BEGIN; LOCK TABLE key;');
	$curious->query("SET SESSION AUTHORIZATION curious; SET lock_timeout = '5s';");
	my $r = $curious->query('ALTER TABLE key ADD COLUMN at timestamptz DEFAULT now();');
	is($r->{sqlstate}, '42501', 'one that the caller does not own, which somebody holds: refused without a wait') or diag($r->{err});
	$_->quit foreach $holder, $curious;
}

# ---- each group has its own online entries ----
{
	my $one = $g->session('member');
	my $two = $g->session('member');
	my $head = sub { return $g->sql('member', 'SELECT max(version) FROM schemadrift_store.log') };

	ok($one->query('ALTER TABLE sales ADD COLUMN one int;')->{ok}, 'a statement finds no online entry under way');
	my $version = $head->();
	$g->sql('member', 'SELECT schemadrift.leave()');
	$g->make_group(names => ['member'], mode => 'coordinate');
	$g->sql('member', 'ALTER TABLE heir ADD COLUMN c' . $head->() . ' int') while $head->() < $version - 2;
	my $holder = $g->session('member');
	$holder->query('BEGIN; LOCK TABLE sales IN ROW EXCLUSIVE MODE;');
	$two->send('CREATE INDEX CONCURRENTLY sales_at ON sales (at);');
	ok($g->wait_until('member', 'SELECT count(*) FROM schemadrift.tasks', 1), 'in another group one is');
	is($head->(), $version - 1, '... as the version before');
	$one->query("SET lock_timeout = '5s';");
	my $r = $one->query('ALTER TABLE sales ADD COLUMN two int;');
	is($r->{sqlstate}, '55006', '... and is found, although the same version of the group before had none');
	like($r->{err}, qr/public\.sales is being worked on by version/, '... and named');
	$holder->quit;
	ok($two->result->{ok}, 'it is done then');
	$_->quit foreach $one, $two;
}
$s->quit;
done_testing;
