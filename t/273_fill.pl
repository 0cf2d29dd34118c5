# A new column whose values in the rows that are there each region would make for itself is refused; on an empty table, and
# where the value is the same everywhere, it is not.
use strict;
use warnings FATAL => 'all';

use Test::More;

use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(regions => 2, databases => 1);
my ($here, $there) = $g->names;
$g->make_group(mode => 'coordinate', before => q{
	CREATE TABLE full_t (id int PRIMARY KEY);
	INSERT INTO full_t VALUES (1), (2);
	CREATE TABLE empty_t (id int PRIMARY KEY);
	CREATE TABLE parent (id int) PARTITION BY LIST (id);
	CREATE TABLE child PARTITION OF parent FOR VALUES IN (1);
	INSERT INTO parent VALUES (1);
	CREATE DOMAIN moment AS timestamptz DEFAULT now();
	CREATE FUNCTION dice() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT ceil(random() * 6)::int';
	CREATE FUNCTION looks() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM full_t';
	CREATE FUNCTION more(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';});

my @differ = (
	'ADD COLUMN c timestamptz DEFAULT now()', 'ADD COLUMN c timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP',
	'ADD COLUMN c date DEFAULT CURRENT_DATE', 'ADD COLUMN c text DEFAULT now()::text', 'ADD COLUMN c uuid DEFAULT gen_random_uuid()',
	'ADD COLUMN c double precision DEFAULT random()', 'ADD COLUMN c timestamptz DEFAULT clock_timestamp()', 'ADD COLUMN c serial',
	'ADD COLUMN c bigserial', 'ADD COLUMN c int GENERATED ALWAYS AS IDENTITY', 'ADD COLUMN c moment', 'ADD COLUMN c int DEFAULT dice()',
	'ADD COLUMN c bigint DEFAULT looks()', 'ADD COLUMN c interval DEFAULT age(timestamp \'2020-01-01\')', 'ADD COLUMN c text DEFAULT current_database()',
	'ADD COLUMN a int, ADD COLUMN c timestamptz DEFAULT now()', 'ALTER COLUMN id TYPE bigint USING (random() * 100)::bigint');
my @same = (
	'ADD COLUMN c timestamptz', 'ADD COLUMN c int DEFAULT 7', 'ADD COLUMN c int DEFAULT more(7)', 'ADD COLUMN c timestamptz DEFAULT \'2020-01-01\'',
	'ADD COLUMN c text DEFAULT current_user', 'ADD COLUMN c text DEFAULT to_char(timestamptz \'2020-01-01 00:00+00\', \'HH24\')',
	'ADD COLUMN c int GENERATED ALWAYS AS (id + 1) STORED', 'ADD COLUMN IF NOT EXISTS id int DEFAULT random()', 'ADD COLUMN c moment DEFAULT NULL');

foreach my $command (@differ)
{
	my $r = $g->try($here, "ALTER TABLE full_t $command");

	refused($r, 'SD004', $command);
	like(($r->{detail} // '') . ($r->{hint} // ''), qr/full_t has rows.*(?:SET DEFAULT)/s, '... with the reason, and the form that can');
	next if $command =~ /TYPE/;
	$r = $g->try($here, "BEGIN; ALTER TABLE empty_t $command; ALTER TABLE empty_t DROP COLUMN c" . ($command =~ /COLUMN a/ ? ', DROP COLUMN a' : '') . '; COMMIT');
	ok($r->{ok}, '... but for an empty table') or diag($r->{err});
}
foreach my $command (@same)
{
	my $r = $g->try($here, "BEGIN; ALTER TABLE full_t $command; ALTER TABLE full_t DROP COLUMN IF EXISTS c; COMMIT");

	ok($r->{ok}, $command) or diag($r->{err});
}
refused($g->try($here, 'ALTER TABLE parent ADD COLUMN c timestamptz DEFAULT now()'), 'SD004', 'the rows are in a partition');
refused($g->try($here, q{SELECT schemadrift.apply('fill', 'SELECT 1; ALTER TABLE full_t ADD COLUMN c timestamptz DEFAULT now()')}), 'SD004', 'by apply()');
refused($g->try($here, q{DO 'BEGIN ALTER TABLE full_t ADD COLUMN c timestamptz DEFAULT now(); END'}), 'SD004', 'in a function');
my $r = $g->try($here, q{BEGIN; ALTER TABLE full_t ADD COLUMN c timestamptz NOT NULL DEFAULT '2026-01-01'; ALTER TABLE full_t ALTER COLUMN c SET DEFAULT now(); COMMIT});
ok($r->{ok}, 'what the hint says to do works') or diag($r->{err});
$r = $g->try($here, 'BEGIN; CREATE TABLE made (id int); INSERT INTO made VALUES (1); TRUNCATE made; ALTER TABLE made ADD COLUMN c serial; COMMIT');
ok($r->{ok}, 'a table without rows any more') or diag($r->{err});
$r = $g->try($here, 'ALTER TABLE full_t ADD COLUMN d int DEFAULT nonsense()');
is($r->{sqlstate}, '42883', 'a statement that is wrong has PostgreSQL\'s own error');

# who writes at that moment has rows, too
my $writer = $g->session($here);
$writer->query('BEGIN; INSERT INTO empty_t VALUES (1);');
refused($g->try($here, 'ALTER TABLE empty_t ADD COLUMN c serial'), 'SD004', 'rows that are not committed yet');
$writer->query('ROLLBACK;');
is($g->sql($here, q{SELECT count(*) FROM pg_locks WHERE relation = 'full_t'::regclass}), 0, 'no lock is left');
ok($g->converged, 'both regions are equal');
is($g->sql($there, q{SELECT count(*) FROM full_t WHERE c = '2026-01-01'}), 2, '... and so are the rows');
done_testing();
