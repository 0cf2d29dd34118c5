# Constants that a statement keeps, and that would be others in each region: 'now' and its kin, an object's OID.  Each statement that keeps an
# expression is refused with them, and leaves nothing; what only looks like one is not refused, and makes the regions equal.  Where no type is
# written beside the word, and its place says what it is (c > 'now'), the statement is refused when it has run.
#
# Elsewhere: what is judged by its form alone, without a group: sql/classify.sql; values that are written into rows: t/273_fill.pl.
use strict;
use warnings FATAL => 'all';

use Test::More;

use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(regions => 2, databases => 1);
my ($here, $there) = $g->names;

$g->make_group(mode => 'coordinate', before => q{
	CREATE TABLE t (id int, c timestamptz, d date, w text, o regclass, days daterange, all_c timestamptz[]);
	CREATE TABLE audit (o regclass); CREATE FUNCTION audit(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
	CREATE VIEW seen AS SELECT id, c FROM t;
	CREATE DOMAIN stamp AS timestamptz;
	CREATE TYPE event AS (name text, at timestamptz);
	CREATE TABLE by_day (d date, w text) PARTITION BY RANGE (d);
	CREATE TABLE by_word (w text) PARTITION BY LIST (w);
	CREATE TABLE by_text (w text) PARTITION BY RANGE (w);
	CREATE TABLE by_date (d date) PARTITION BY LIST (d);
	CREATE TABLE loose (d date);
	CREATE TABLE by_next_day (d date) PARTITION BY LIST ((d + 1));
	CREATE TABLE others (id int, c timestamptz CHECK (c > '2020-01-01'));
	CREATE POLICY old_policy ON t USING (true);
	CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';});

# Every way to keep an expression: VALUE is the constant with its type, WORD the constant of a column, parameter or domain of the type TYPE, whose name in t is COLUMN.
my @ways = (
	'CREATE TABLE x (a TYPE DEFAULT WORD)', 'CREATE TABLE x (a text DEFAULT VALUE::text)', 'CREATE TABLE x (a int CHECK (VALUE IS NULL))', 'CREATE TABLE x (a int, CHECK (VALUE IS NULL))',
	'CREATE TABLE x (a TYPE GENERATED ALWAYS AS (WORD) STORED)', 'CREATE TABLE x (a int, EXCLUDE (a WITH =) WHERE (VALUE IS NULL))', 'CREATE TABLE x (a int, EXCLUDE ((VALUE IS NULL) WITH =))',
	'CREATE TABLE x (a int) PARTITION BY LIST ((VALUE IS NULL))', 'CREATE TABLE x PARTITION OF by_day (CHECK (VALUE IS NULL)) DEFAULT',
	'ALTER TABLE t ADD COLUMN x TYPE DEFAULT WORD', 'ALTER TABLE t ALTER COLUMN SET DEFAULT WORD', 'ALTER TABLE t ALTER w SET DEFAULT VALUE::text', 'ALTER TABLE t ADD CHECK (VALUE IS NULL)',
	'CREATE VIEW x AS SELECT VALUE', 'CREATE VIEW x AS WITH y AS (SELECT VALUE AS z) SELECT z FROM y', 'CREATE MATERIALIZED VIEW x AS SELECT VALUE', 'CREATE MATERIALIZED VIEW x AS SELECT VALUE WITH NO DATA',
	'CREATE MATERIALIZED VIEW IF NOT EXISTS x AS SELECT id FROM t WHERE VALUE IS NULL', 'CREATE OR REPLACE RECURSIVE VIEW x (a) AS SELECT VALUE',
	'CREATE INDEX x ON t (id) WHERE VALUE IS NULL', 'CREATE INDEX x ON t ((VALUE IS NULL))', 'CREATE STATISTICS x ON (VALUE IS NULL) FROM t',
	'CREATE POLICY x ON t USING (VALUE IS NULL)', 'CREATE POLICY x ON t WITH CHECK (VALUE IS NULL)', 'ALTER POLICY old_policy ON t USING (VALUE IS NULL)',
	'CREATE TRIGGER x AFTER UPDATE ON t FOR EACH ROW WHEN (VALUE IS NULL) EXECUTE FUNCTION fires()', 'CREATE RULE x AS ON DELETE TO t WHERE VALUE IS NULL DO NOTHING', 'CREATE RULE x AS ON DELETE TO t DO ALSO SELECT VALUE',
	'CREATE DOMAIN x AS TYPE DEFAULT WORD', 'CREATE DOMAIN x AS int CHECK (VALUE IS NULL)', 'CREATE FUNCTION x(a TYPE DEFAULT WORD) RETURNS void LANGUAGE sql AS $$ $$',
	'CREATE FUNCTION x(a t.COLUMN%TYPE = WORD) RETURNS void LANGUAGE sql AS $$ $$', 'CREATE FUNCTION x() RETURNS TYPE RETURN VALUE', 'CREATE FUNCTION x() RETURNS TYPE BEGIN ATOMIC SELECT VALUE; END',
	'CREATE PROCEDURE x(a text DEFAULT VALUE::text) LANGUAGE sql AS $$ $$', 'CREATE SCHEMA x CREATE VIEW v AS SELECT VALUE', 'CREATE SCHEMA x CREATE TABLE y (a TYPE DEFAULT WORD)');

# SET DEFAULT in the way above names the column itself
sub way
{
	my ($statement, $value, $word, $type, $column) = @_;

	$statement =~ s/ALTER COLUMN SET/ALTER $column SET/;
	$statement =~ s/\bVALUE\b/$value/g;
	$statement =~ s/\bWORD\b/$word/g;
	$statement =~ s/\bTYPE\b(?<!%TYPE)/$type/g;
	$statement =~ s/\bCOLUMN%TYPE/$column%TYPE/;
	$statement =~ s/\bFIELD\b/$column/g;
	return $statement;
}

my $oid = $g->sql($here, q{SELECT 't'::regclass::oid});
my @moments = (
	(map { way($_, q{'now'::timestamptz}, q{'now'}, 'timestamptz', 'c') } @ways),
	# the words, the types, and how they are written
	(map { "CREATE VIEW x AS SELECT $_ AS a" } q{date 'today'}, q{CAST('yesterday' AS timestamp)}, q{'NOW'::time}, q{'now'::timetz}, q{' now'::timestamptz}, q{'today 12:00'::timestamptz}, q{'12:00 tomorrow'::timestamptz},
		q{'[today,tomorrow)'::daterange}, q{'{[2020-01-01,today)}'::datemultirange}, q{'{now,2020-01-01}'::timestamptz[]}, q{'now'::stamp}, q{'(it,now)'::event}, q{date('now')}, q{pg_catalog.timestamptz('now')}),
	(map { "ALTER TABLE t ALTER $_" } q{c SET DEFAULT 'today 12:00'}, q{d SET DEFAULT ' Today'}, q{days SET DEFAULT '[today,tomorrow)'}, q{all_c SET DEFAULT '{now}'}),
	q{ALTER VIEW seen ALTER c SET DEFAULT 'now'}, q{ALTER DOMAIN stamp SET DEFAULT 'now'}, q{ALTER DOMAIN stamp ADD CHECK (VALUE > 'now'::timestamptz)}, q{CREATE TABLE x (a stamp DEFAULT 'now')},
	q{CREATE TABLE x OF event (at DEFAULT 'now')}, q{CREATE TABLE x PARTITION OF by_day (d DEFAULT 'today') FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')},
	# bounds are computed when the statement runs
	q{CREATE TABLE x PARTITION OF by_day FOR VALUES FROM ('today') TO ('tomorrow')}, q{CREATE TABLE x PARTITION OF by_day FOR VALUES FROM ('2020-01-01') TO ('today 00:00')}, q{CREATE TABLE x PARTITION OF by_date FOR VALUES IN ('today')},
	q{ALTER TABLE by_day ATTACH PARTITION loose FOR VALUES FROM ('today') TO (MAXVALUE)}, q{CREATE SCHEMA x CREATE TABLE y PARTITION OF public.by_day FOR VALUES FROM (now()) TO (MAXVALUE)});
my @oids = (
	(map { way($_, qq{'$oid'::regclass}, qq{'$oid'}, 'regclass', 'o') } @ways), (map { way($_, "$oid\::regclass", $oid, 'regclass', 'o') } @ways),
	qq{ALTER TABLE t ALTER o SET DEFAULT $oid}, qq{CREATE VIEW x AS SELECT '{$oid}'::regclass[] AS a}, qq{CREATE VIEW x AS SELECT regclass('$oid') AS a});
# The type is that of what stands beside it.  FIELD of t has it; a statement that has no column of its own to compare with makes a table.
my @contexts = (
	'ALTER TABLE t ADD CHECK (FIELD > WORD)', 'ALTER TABLE t ADD CHECK (FIELD > WORD) NOT VALID', 'ALTER TABLE t ADD COLUMN x int CHECK (FIELD IN (WORD, NULL))', 'ALTER TABLE t ALTER w SET DEFAULT coalesce(NULL::TYPE, WORD)::text',
	'CREATE TABLE x (a TYPE CHECK (a > WORD))', 'CREATE TABLE x (a TYPE, CONSTRAINT x CHECK (coalesce(a, WORD) IS NOT NULL))', 'CREATE TABLE x (a TYPE, b bool GENERATED ALWAYS AS (a = WORD) STORED)',
	'CREATE TABLE x (a TYPE DEFAULT coalesce(NULL::TYPE, WORD))', 'CREATE TABLE x (a int, b TYPE, EXCLUDE (a WITH =) WHERE (b = WORD))', 'CREATE TABLE x (a TYPE, EXCLUDE ((a = WORD) WITH =))', 'CREATE TABLE x (a TYPE) PARTITION BY LIST ((a = WORD))',
	'CREATE TABLE x (LIKE t, CHECK (FIELD <> WORD))',
	'CREATE VIEW x AS SELECT coalesce(FIELD, WORD) AS a FROM t', 'CREATE VIEW x AS SELECT id FROM t WHERE FIELD > WORD', 'CREATE VIEW x AS SELECT FIELD FROM t UNION SELECT WORD', 'CREATE VIEW x AS SELECT CASE WHEN id = 1 THEN WORD ELSE FIELD END FROM t',
	'CREATE VIEW x AS WITH y AS (SELECT id FROM t WHERE WORD = ANY (ARRAY[FIELD])) SELECT * FROM y', 'CREATE OR REPLACE VIEW seen AS SELECT id, c FROM t WHERE FIELD > WORD',
	'CREATE MATERIALIZED VIEW x AS SELECT id FROM t WHERE FIELD > WORD', 'CREATE MATERIALIZED VIEW x AS SELECT id FROM t WHERE FIELD > WORD WITH NO DATA',
	'CREATE INDEX x ON t (id) WHERE FIELD > WORD', 'CREATE INDEX x ON t ((FIELD = WORD))', 'CREATE INDEX CONCURRENTLY x ON t (id) WHERE FIELD > WORD', 'CREATE INDEX CONCURRENTLY x ON t ((FIELD = WORD))', 'CREATE STATISTICS x ON (FIELD = WORD) FROM t',
	'CREATE POLICY x ON t USING (FIELD > WORD)', 'CREATE POLICY x ON t WITH CHECK (FIELD > WORD)', 'ALTER POLICY old_policy ON t USING (FIELD > WORD)',
	'CREATE TRIGGER x AFTER UPDATE ON t FOR EACH ROW WHEN (OLD.FIELD < WORD) EXECUTE FUNCTION fires()', 'CREATE RULE x AS ON DELETE TO t WHERE OLD.FIELD > WORD DO NOTHING', 'CREATE RULE x AS ON DELETE TO t DO ALSO INSERT INTO t (FIELD) VALUES (WORD)',
	'CREATE RULE x AS ON DELETE TO t DO ALSO UPDATE t SET FIELD = WORD', 'CREATE DOMAIN x AS TYPE CHECK (VALUE > WORD)', 'CREATE DOMAIN x AS TYPE DEFAULT coalesce(NULL::TYPE, WORD)',
	'CREATE FUNCTION x(a TYPE DEFAULT coalesce(NULL::TYPE, WORD)) RETURNS void LANGUAGE sql AS $$ $$', 'CREATE FUNCTION x(a TYPE) RETURNS bool RETURN a > WORD', 'CREATE FUNCTION x() RETURNS TYPE RETURN coalesce(NULL::TYPE, WORD)',
	'CREATE FUNCTION x() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM t WHERE FIELD > WORD; END', 'CREATE PROCEDURE x() BEGIN ATOMIC INSERT INTO t (FIELD) VALUES (WORD); END', 'CREATE SCHEMA x CREATE TABLE y (a TYPE CHECK (a > WORD))', 'CREATE SCHEMA x CREATE VIEW v AS SELECT id FROM public.t WHERE FIELD > WORD');
my @moments_here = (
	(map { way($_, 'VALUE', q{'now'}, 'timestamptz', 'c') } @contexts), (map { way($_, 'VALUE', q{'today'}, 'date', 'd') } @contexts),
	q{ALTER TABLE t ADD CHECK (c > ' Tomorrow 12:00')}, q{ALTER TABLE t ADD CHECK (c BETWEEN '2020-01-01' AND 'now')}, q{ALTER TABLE t ADD CHECK (days && '[today,tomorrow)')}, q{ALTER TABLE t ADD CHECK (all_c <> '{now}')},
	q{ALTER TABLE t ADD CHECK (c = ANY ('{2020-01-01,yesterday}'))}, q{ALTER TABLE t ADD CHECK (c::time < 'now')}, q{ALTER TABLE t ADD CHECK (c::timestamp(0) < 'now')}, q{ALTER TABLE t ADD CHECK (age(c, 'now') < '1 day')},
	q{ALTER TABLE t ADD CHECK (w <> 'today' AND d <> 'tomorrow')}, q{CREATE TABLE x (a event CHECK (coalesce(a, '(it,now)') IS NOT NULL))}, q{CREATE TABLE x (a stamp CHECK (a < 'now'))}, q{ALTER DOMAIN stamp ADD CHECK (VALUE > 'now')}, q{ALTER DOMAIN stamp ADD CHECK (VALUE > 'now') NOT VALID},
	q{CREATE TABLE x PARTITION OF by_day (CHECK (d < 'today')) DEFAULT}, q{CREATE TABLE x PARTITION OF by_next_day FOR VALUES IN ('tomorrow')}, q{CREATE TABLE x (a int DEFAULT 1, b text DEFAULT to_char('today' - date '2020-01-01', '9'))});
# what a regclass is compared with is an oid, which may be any number
my @oids_here = ((map { way(s/(?<!SET )\b([\w.]+) [<>=]+ WORD/coalesce($1, WORD) IS NOT NULL/r, 'VALUE', qq{'$oid'}, 'regclass', 'o') } grep { !/\bIN \(WORD|WORD =/ } @contexts), qq{CREATE TABLE x (a int DEFAULT nextval('$oid'))}, qq{CREATE VIEW x AS SELECT coalesce(ARRAY[o], '{t,$oid}') AS a FROM t});
my @same = (
	q{ALTER TABLE t ADD CHECK (w IN ('now', 'later'))}, q{ALTER TABLE t ADD CHECK (w <> 'today' AND c > '2020-01-01' AND d > '2020-01-01')}, q{ALTER TABLE t ADD CHECK (w <> 'now' AND d <= CURRENT_DATE)}, qq{ALTER TABLE t ADD CHECK (w <> '$oid' AND id <> '$oid')},
	q{CREATE VIEW v0 AS SELECT coalesce(w, 'now') AS a, coalesce(o, 'others') AS b FROM t WHERE w > 'yesterday' AND c > 'epoch'}, q{CREATE INDEX i0 ON t (id) WHERE w > 'now' AND c > '2020-01-01'}, q{ALTER TABLE others ADD CHECK (c < 'infinity'), ADD w text DEFAULT 'today'},
	q{CREATE TABLE t0 (status text CHECK (status IN ('now','later')), at timestamptz DEFAULT now() CHECK (at > '2020-01-01'))}, q{CREATE POLICY p0 ON t USING (w = 'today' AND d > '2020-01-01')}, q{CREATE FUNCTION f0(a text) RETURNS bool RETURN a > 'now'}, q{CREATE TABLE p0 PARTITION OF by_next_day FOR VALUES IN ('2020-01-01')},
	q{CREATE TRIGGER t0 AFTER UPDATE ON t FOR EACH ROW WHEN (OLD.w = 'now') EXECUTE FUNCTION fires()}, q{CREATE RULE r0 AS ON DELETE TO t DO ALSO INSERT INTO t (w) VALUES ('now')},
	(map { "ALTER TABLE t ALTER $_" } q{w SET DEFAULT 'now'}, q{w SET DEFAULT 'today'::text}, q{c SET DEFAULT now()}, q{c SET DEFAULT '2020-01-01'}, q{d SET DEFAULT CURRENT_DATE}, q{o SET DEFAULT 't'}, qq{id SET DEFAULT $oid},
		q{c SET DEFAULT 'epoch'}, q{d SET DEFAULT 'infinity'}),
	q{CREATE TABLE w (a text DEFAULT 'now' CHECK (a <> 'today'), b varchar(9) DEFAULT 'tomorrow')}, q{CREATE VIEW v AS SELECT 'now' AS a, 'today'::text AS b, 'known'::text AS c FROM t WHERE w <> 'now'},
	q{CREATE MATERIALIZED VIEW m AS SELECT 'now'::text AS a, now() AS b}, qq{CREATE VIEW called AS SELECT audit($oid) AS a FROM t}, qq{CREATE MATERIALIZED VIEW m2 AS SELECT $oid AS a, 't'::regclass AS b}, q{CREATE TABLE made AS SELECT 'now'::timestamptz AS a WITH NO DATA},
	q{CREATE FUNCTION f(a text DEFAULT 'now', b timestamptz DEFAULT now()) RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'now'::timestamptz $$}, q{CREATE FUNCTION g() RETURNS text RETURN 'now'},
	q{CREATE DOMAIN word AS text DEFAULT 'now'}, q{ALTER DOMAIN word SET DEFAULT 'today'}, q{CREATE POLICY p ON t USING (w <> 'now' AND c < now())}, q{CREATE SCHEMA s CREATE TABLE y (a text DEFAULT 'now') CREATE VIEW v AS SELECT 'now'::text AS a},
	q{CREATE TABLE p1 PARTITION OF by_word FOR VALUES IN ('now')}, q{CREATE TABLE p2 PARTITION OF by_text FOR VALUES FROM ('now') TO ('tomorrow')}, q{CREATE TABLE p3 PARTITION OF by_day (w DEFAULT 'now') FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')},
	q{CREATE INDEX CONCURRENTLY i1 ON t (id) WHERE w > 'now' AND c > '2020-01-01'},
	q{CALL schemadrift.apply_online('b', $x$ALTER TABLE t ADD CONSTRAINT x CHECK (w <> 'now' AND c > '2020-01-01') NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT x; CREATE INDEX CONCURRENTLY i2 ON t (id) WHERE w > 'today'$x$)});

sub standing { return join ' ', map { $g->sql($_, 'SELECT version, digest FROM schemadrift_store.applied') } $g->names; }

# What analyze() says of it beforehand.
sub foretold
{
	my ($statement) = @_;

	return $g->sql($here, "SELECT string_agg(concat_ws(' ', verdict, rule, CASE WHEN 'unknown' = ANY (rules) THEN 'unknown' END), ', ') FROM schemadrift.analyze(\$analyzed\$$statement\$analyzed\$)");
}

my $before = standing();
my @not_foretold;
foreach my $statement (@moments, @moments_here, @oids, @oids_here)
{
	my $said = foretold($statement);

	next if $said eq 'unsafe SD004' || $said eq 'unsafe fails';
	push @not_foretold, $statement;
	like($said, qr/^(?:caution|unsafe) .*unknown$/, "at least analyze() does not know: $statement");
}
# what analysis of an expression by itself cannot tell
is_deeply([ grep { !/^CREATE RULE|BEGIN ATOMIC|^CREATE SCHEMA|FOR VALUES IN|^CREATE FOREIGN/ } @not_foretold ], [], 'everything else analyze() calls unsafe, SD004');
cmp_ok(scalar @not_foretold, '<', 30, 'which are not many');
like($g->sql($here, q{SELECT concat_ws('|', why, safer) FROM schemadrift.analyze($$ALTER TABLE t ADD CHECK (c > 'now')$$)}), qr/^'now'.* become a constant when a region runs the statement.*-- Use now\(\) or CURRENT_DATE/s, '... with the reason and what to write');
unlike(foretold($_), qr/SD004/, "not $_") foreach @same;
like(foretold(q{CREATE TABLE x (a timestamptz); ALTER TABLE x ADD CHECK (a > 'now')}), qr/, caution .*unknown$/, 'of what the script itself has made it does not know');
like(foretold(q{ALTER TABLE t ALTER d TYPE text; ALTER TABLE t ADD CHECK (d > 'now')}), qr/, (?:unsafe|caution) .*unknown$/, '... nor of what it has altered');
foreach ([ qr/become a constant|bounds are computed/, @moments, @moments_here ], [ qr/stands for an object by its OID/, @oids, @oids_here ])
{
	my ($why, @statements) = @$_;

	foreach my $statement (@statements)
	{
		my $r = $g->try($here, $statement);

		refused($r, 'SD004', $statement);
		like($r->{detail} // '', $why, '... and why');
	}
}
is($g->sql($here, q{SELECT count(*) FROM pg_class WHERE relname = 'x'}), 0, 'nothing is left');
is(standing(), $before, '... in no region');
foreach my $statement ($moments[10], $moments[15], $oids[15], $moments_here[0], $moments_here[14], $moments_here[19], $oids_here[0])
{
	refused($g->try($here, "SELECT schemadrift.apply('a', \$x\$SELECT 1; $statement\$x\$)"), 'SD004', "by apply(): $statement");
	is($g->sql($here, "SELECT sqlstate FROM schemadrift.dry_run(\$x\$SELECT 1; $statement\$x\$) WHERE region = '$here'"), 'SD004', '... and by dry_run()');
	refused($g->try($here, "DO \$x\$ BEGIN EXECUTE \$y\$$statement\$y\$; END \$x\$"), 'SD004', '... and in a function');
}
is(standing(), $before, 'nothing is left of those either');
foreach my $statement (q{CREATE INDEX CONCURRENTLY x ON t (id) WHERE c > 'now'}, q{CREATE INDEX x ON t ((d = 'today'))}, q{ALTER TABLE t ADD CONSTRAINT x CHECK (w <> 'now' AND c > 'now') NOT VALID}, qq{ALTER TABLE t ADD CHECK (coalesce(o, '$oid') IS NOT NULL)})
{
	refused($g->try($here, "CALL schemadrift.apply_online('a', \$x\$$statement\$x\$)"), 'SD004', "by apply_online(): $statement");
}
# what nobody coordinates is nobody's concern
foreach my $statement (q{CREATE TEMP TABLE x (a date CHECK (a > 'today'))}, q{CREATE TEMP VIEW x AS SELECT id FROM t WHERE c > 'now'},
	q{SET LOCAL schemadrift.bypass_reason = 'a test'; SET LOCAL schemadrift.ddl_mode = off; ALTER TABLE t ADD CHECK (c > 'now')})
{
	my $r = $g->try($here, "BEGIN; $statement; ROLLBACK");

	ok($r->{ok}, $statement) or diag($r->{err});
}
is(standing(), $before, '... and leaves nothing');
foreach my $statement (@same)
{
	my $r = $g->try($here, $statement);

	ok($r->{ok}, $statement) or diag($r->{err});
}
ok($g->converged, 'the regions are equal');
done_testing();
