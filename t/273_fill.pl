# A new column whose values in the rows that are there each region would make for itself is refused; on an empty table, and
# where the value is the same everywhere, it is not.  Where the time is frozen, what follows the clock is one value in all of them.
use strict;
use warnings FATAL => 'all';

use Test::More;

use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(regions => 3, databases => 1);
my ($here, $there, $third) = $g->names;
$g->make_group(mode => 'coordinate', before => q{
	CREATE TABLE full_t (id int PRIMARY KEY);
	INSERT INTO full_t VALUES (1), (2);
	CREATE TABLE empty_t (id int PRIMARY KEY);
	CREATE TABLE parent (id int) PARTITION BY LIST (id);
	CREATE TABLE child PARTITION OF parent FOR VALUES IN (1);
	INSERT INTO parent VALUES (1);
	CREATE TYPE color AS ENUM ('red', 'green');
	CREATE DOMAIN moment AS timestamptz DEFAULT now();
	CREATE FUNCTION dice() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT ceil(random() * 6)::int';
	CREATE FUNCTION looks() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM full_t';
	-- nobody has marked it, but what it comes to is the same everywhere
	CREATE FUNCTION plain(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 2';
	CREATE FUNCTION more(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';});

my @differ = (
	'ADD COLUMN c timestamptz DEFAULT now()', 'ADD COLUMN c timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP',
	'ADD COLUMN c date DEFAULT CURRENT_DATE', 'ADD COLUMN c text DEFAULT now()::text', 'ADD COLUMN c uuid DEFAULT gen_random_uuid()',
	'ADD COLUMN c double precision DEFAULT random()', 'ADD COLUMN c timestamptz DEFAULT clock_timestamp()', 'ADD COLUMN c serial',
	'ADD COLUMN c bigserial', 'ADD COLUMN c int GENERATED ALWAYS AS IDENTITY', 'ADD COLUMN c moment', 'ADD COLUMN c int DEFAULT dice()',
	'ADD COLUMN c bigint DEFAULT looks()', 'ADD COLUMN c interval DEFAULT age(timestamp \'2020-01-01\')', 'ADD COLUMN c text DEFAULT current_database()',
	'ADD COLUMN c text DEFAULT current_setting(\'app.tenant\', true)', 'ADD COLUMN c text DEFAULT lower(current_setting(concat(\'app.\', \'tenant\'), true))',
	'ALTER COLUMN id TYPE text USING id || current_setting(\'app.tenant\', true)',
	'ADD COLUMN a int, ADD COLUMN c timestamptz DEFAULT now()', 'ALTER COLUMN id TYPE bigint USING (random() * 100)::bigint', 'ALTER COLUMN id TYPE bigint USING dice()', 'ALTER COLUMN id TYPE bigint USING more(dice())',
	'ALTER COLUMN id TYPE bigint USING id + looks()', 'ALTER COLUMN id TYPE uuid USING gen_random_uuid()', 'ALTER COLUMN id TYPE text USING public.dice()::text');
my @same = (
	'ADD COLUMN c timestamptz', 'ADD COLUMN c int DEFAULT 7', 'ADD COLUMN c int DEFAULT more(7)', 'ADD COLUMN c timestamptz DEFAULT \'2020-01-01\'',
	'ADD COLUMN c text DEFAULT current_user', 'ADD COLUMN c text DEFAULT to_char(timestamptz \'2020-01-01 00:00+00\', \'HH24\')',
	'ADD COLUMN c jsonb DEFAULT to_jsonb(\'x\'::text)', 'ADD COLUMN c text DEFAULT format(\'%s\', 1)', 'ADD COLUMN c text DEFAULT current_setting(\'TimeZone\')',
	'ADD COLUMN c date DEFAULT (\'2026-01-01\'::text)::date', 'ADD COLUMN c money DEFAULT 3.5', 'ADD COLUMN c color DEFAULT \'red\'::text::color',
	'ADD COLUMN c int GENERATED ALWAYS AS (id + 1) STORED', 'ADD COLUMN IF NOT EXISTS id int DEFAULT random()', 'ADD COLUMN c moment DEFAULT NULL');

# What analyze() says of the last statement: the rule that decides, the first reason, the first line of what to do instead.
sub foreseen
{
	my ($script) = @_;

	return split /\t/, $g->sql($here, q{SELECT concat_ws(chr(9), rule, split_part(why, chr(10), 1), split_part(safer, chr(10), 1)) FROM schemadrift.analyze(} .
		'$x$' . $script . '$x$) ORDER BY step DESC LIMIT 1');
}

foreach my $command (@differ)
{
	my $r = $g->try($here, "ALTER TABLE full_t $command");

	refused($r, 'SD004', $command);
	like(($r->{detail} // '') . ($r->{hint} // ''), qr/full_t has rows.*(?:SET DEFAULT)/s, '... with the reason, and the form that can');
	my ($rule, $why, $safer) = foreseen("ALTER TABLE full_t $command");
	is($rule, 'SD004', '... as analyze() says beforehand');
	is($why, $r->{detail}, '... with the same reason');
	is($safer, "-- $r->{hint}", '... and the same way out');
	isnt((foreseen("ALTER TABLE empty_t $command"))[0], 'SD004', '... and not of an empty table');
	isnt((foreseen("TRUNCATE full_t; ALTER TABLE full_t $command"))[0], 'SD004', '... nor of one that the script itself empties');
	next if $command =~ /TYPE/;
	$r = $g->try($here, "BEGIN; ALTER TABLE empty_t $command; ALTER TABLE empty_t DROP COLUMN c" . ($command =~ /COLUMN a/ ? ', DROP COLUMN a' : '') . '; COMMIT');
	ok($r->{ok}, '... but for an empty table') or diag($r->{err});
}
foreach my $command (@same)
{
	my $r = $g->try($here, "BEGIN; ALTER TABLE full_t $command; ALTER TABLE full_t DROP COLUMN IF EXISTS c; COMMIT");

	ok($r->{ok}, $command) or diag($r->{err});
	isnt((foreseen("ALTER TABLE full_t $command"))[0], 'SD004', '... as analyze() says');
	is($g->sql($here, "SELECT gate = 'GD' OR coalesce(why, '') ~ 'differs? from region' FROM schemadrift.analyze(\$x\$ALTER TABLE full_t $command\$x\$)"), 'f',
		'... nor that it differs by region');
}
is(join(' ', (foreseen('INSERT INTO empty_t VALUES (7); ALTER TABLE empty_t ADD COLUMN c serial'))[ 0, 1 ]),
	'SD004 public.empty_t has rows, and each region would compute the values of column "c" for itself: they would differ.', 'rows that the script itself writes');
my $perhaps = q{SELECT rule || ' ' || why FROM schemadrift.analyze('INSERT INTO empty_t SELECT id FROM full_t WHERE id < 0; ALTER TABLE empty_t ADD COLUMN c serial') WHERE step = 2};
like($g->sql($here, $perhaps), qr/^A7 .*^public\.empty_t may have rows, and each region would compute the values of column "c" for itself: they would differ\. Then it is refused \(SD004\)\. /ms,
	'rows that it may write');
isnt((foreseen('INSERT INTO empty_t VALUES (7); DELETE FROM empty_t; UPDATE empty_t SET id = 1; ALTER TABLE empty_t ADD COLUMN c serial'))[0], 'SD004', '... and none that it takes away again');
refused($g->try($here, 'ALTER TABLE parent ADD COLUMN c timestamptz DEFAULT now()'), 'SD004', 'the rows are in a partition');
refused($g->try($here, q{SELECT schemadrift.apply('fill', 'SELECT 1; ALTER TABLE full_t ADD COLUMN c timestamptz DEFAULT now()')}), 'SD004', 'by apply()');
refused($g->try($here, q{DO 'BEGIN ALTER TABLE full_t ADD COLUMN c timestamptz DEFAULT now(); END'}), 'SD004', 'in a function');
my $r = $g->try($here, q{BEGIN; ALTER TABLE full_t ADD COLUMN c timestamptz NOT NULL DEFAULT '2026-01-01'; ALTER TABLE full_t ALTER COLUMN c SET DEFAULT now(); COMMIT});
ok($r->{ok}, 'what the hint says to do works') or diag($r->{err});
$r = $g->try($here, 'BEGIN; CREATE TABLE made (id int); INSERT INTO made VALUES (1); TRUNCATE made; ALTER TABLE made ADD COLUMN c serial; COMMIT');
ok($r->{ok}, 'a table without rows any more') or diag($r->{err});
# the same expressions in a table that is not there yet, and in columns that the script makes, are judged by the names of their functions
is((foreseen('ALTER TABLE full_t ADD COLUMN e int; ALTER TABLE full_t ALTER COLUMN e TYPE bigint USING e + dice()'))[0], 'SD004', 'USING of a column that the script makes');
isnt((foreseen('ALTER TABLE full_t ADD COLUMN e int; ALTER TABLE full_t ALTER COLUMN e TYPE text USING lower(e::text)'))[0], 'SD004', '... that is the same everywhere');
isnt((foreseen('CREATE FUNCTION later(int) RETURNS int IMMUTABLE LANGUAGE sql AS \'SELECT 1\'; ALTER TABLE full_t ALTER COLUMN id TYPE bigint USING later(id)'))[0], 'SD004', '... nor by a function that the script makes');
foreach my $using ('plain(id)', 'more(id)', 'id * 2', '(id::text || 1)::int')
{
	$r = $g->try($here, "ALTER TABLE full_t ALTER COLUMN id TYPE bigint USING $using");
	ok($r->{ok}, "USING $using, which is the same everywhere") or diag($r->{err});
	$r = $g->try($here, "ALTER TABLE full_t ALTER COLUMN id TYPE int");
	ok($r->{ok}, '... and back') or diag($r->{err});
}
# ... and not by their names only because somebody has the table just now
my ($holder, $waiter) = map { $g->session($here) } 1 .. 2;
$g->sql($here, 'CREATE FUNCTION more(text) RETURNS int LANGUAGE sql VOLATILE AS \'SELECT 1\'');
$holder->query('BEGIN; LOCK TABLE full_t IN ACCESS EXCLUSIVE MODE;');
$waiter->send('ALTER TABLE full_t ALTER COLUMN id TYPE bigint USING more(id);');
ok($g->wait_until($here, 'SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $waiter->pid, 'Lock'), 'a statement waits for the table');
$holder->query('COMMIT;');
$r = $waiter->result;
ok($r->{ok}, '... and is judged by what is there') or diag($r->{err});
$r = $g->try($here, 'ALTER TABLE full_t ALTER COLUMN id TYPE int; DROP FUNCTION more(text)');
ok($r->{ok}, '... and back') or diag($r->{err});
$r = $g->try($here, 'ALTER TABLE empty_t ALTER COLUMN id TYPE bigint USING dice()');
ok($r->{ok}, 'USING what differs where there are no rows') or diag($r->{err});
$r = $g->try($here, 'ALTER TABLE empty_t ALTER COLUMN id TYPE int');
ok($r->{ok}, '... and back') or diag($r->{err});
$r = $g->try($here, 'ALTER TABLE full_t ALTER COLUMN id TYPE int USING nonsense()');
is($r->{sqlstate}, '42883', 'USING what is not there has PostgreSQL\'s own error');
$r = $g->try($here, 'ALTER TABLE full_t ADD COLUMN d int DEFAULT nonsense()');
is($r->{sqlstate}, '42883', 'a statement that is wrong has PostgreSQL\'s own error');

# the server computes a default at once, rows or not: what only this session has would halt the others
my $setting = q{ALTER TABLE empty_t ADD COLUMN c text DEFAULT current_setting('app.tenant')};
$r = $g->try($here, "SET app.tenant = 'x'; $setting");
refused($r, 'SD004', 'a default by a setting that the others have not');
like($r->{detail}, qr/^The default of column "c" reads a setting that does not go with the change, and is computed at once/, '... with the reason');
is((foreseen($setting))[0], 'SD004', '... as analyze() says beforehand');
$r = $g->try($here, q{ALTER TABLE empty_t ADD COLUMN c text; ALTER TABLE empty_t ALTER COLUMN c SET DEFAULT current_setting('app.tenant'); ALTER TABLE empty_t DROP COLUMN c});
ok($r->{ok}, '... and what the hint says works') or diag($r->{err});
$g->sql($here, 'CREATE TABLE zoned (at timestamp); INSERT INTO zoned VALUES (now())');
unlike($g->sql($here, q{SELECT verdict || ' ' || safer FROM schemadrift.analyze($x$ALTER TABLE zoned ALTER COLUMN at TYPE timestamptz USING at AT TIME ZONE 'UTC'$x$)}),
	qr/unsafe|say which one/, 'USING ... AT TIME ZONE is neither unsafe nor told to say which zone');

# who writes at that moment has rows, too
my $writer = $g->session($here);
$writer->query('BEGIN; INSERT INTO empty_t VALUES (1);');
refused($g->try($here, 'ALTER TABLE empty_t ADD COLUMN c serial'), 'SD004', 'rows that are not committed yet');
$writer->query('ROLLBACK;');
is($g->sql($here, q{SELECT count(*) FROM pg_locks WHERE relation = 'full_t'::regclass}), 0, 'no lock is left');
ok($g->converged, 'both regions are equal');
is($g->sql($there, q{SELECT count(*) FROM full_t WHERE c = '2026-01-01'}), 2, '... and so are the rows');

# ---- the time, frozen ----

# what the rows of a table hold, and the defaults of its columns, in each region
sub same_rows
{
	my ($table, $what) = @_;
	my %rows = map { $_ => $g->sql($_, "SELECT string_agg(t::text, ' ' ORDER BY id) FROM $table t") } $g->names;

	is($rows{$there}, $rows{$here}, "$what: the same rows in the second region");
	is($rows{$third}, $rows{$here}, '... and in the third');
	return $rows{$here};
}

sub default_of
{
	my ($region, $table, $column) = @_;

	return $g->sql($region, "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute a ON attrelid = adrelid AND attnum = adnum WHERE adrelid = '$table'::regclass AND attname = '$column'");
}

my $frozen = q('{"freeze_time": true}');
$g->sql($here, 'CREATE TABLE frozen (id int PRIMARY KEY)');
ok($g->converged, 'a table to fill');
$g->sql($_, 'INSERT INTO frozen VALUES (1), (2)') foreach $g->names;

$r = $g->try($here, 'ALTER TABLE frozen ADD COLUMN c timestamptz DEFAULT now()');
refused($r, 'SD004', 'not frozen unless somebody says so');
like($r->{hint}, qr/"freeze_time": true/, '... but offered');
unlike($g->try($here, 'ALTER TABLE frozen ADD COLUMN c text DEFAULT current_database()')->{hint}, qr/freeze_time/, '... and not where it would not help');
refused($g->try($here, qq{SELECT schemadrift.apply('nonsense', 'SELECT 1', NULL, '{"freeze_time": "yes"}')}), '22023', 'true or false');

# every form, in a session whose settings read and write dates otherwise
$g->session($here)->query(qq{SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = sql_standard; SET extra_float_digits = 0;
	SELECT schemadrift.apply('forms', \$\$ALTER TABLE frozen ADD COLUMN c timestamptz NOT NULL DEFAULT now(), ADD COLUMN d date DEFAULT CURRENT_DATE,
	ADD COLUMN e timestamp(3) DEFAULT LOCALTIMESTAMP, ADD COLUMN f text DEFAULT 'at ' || now(), ADD COLUMN g timetz DEFAULT CURRENT_TIME(1),
	ADD COLUMN h interval DEFAULT now() - (transaction_timestamp() + interval '1 day -2 hours'), ADD COLUMN i double precision DEFAULT extract(epoch FROM statement_timestamp()),
	ADD COLUMN j timestamptz[] DEFAULT ARRAY[now(), NULL], ADD COLUMN k time DEFAULT LOCALTIME, ADD COLUMN l timestamptz(0) DEFAULT CURRENT_TIMESTAMP,
	ADD COLUMN m moment DEFAULT now(), ADD COLUMN n timestamptz DEFAULT now(), ALTER COLUMN n SET DEFAULT 'epoch'\$\$, NULL, $frozen);});
ok($g->converged, 'all forms of the clock, frozen: the fingerprints are equal');
same_rows('frozen', 'all forms');
is($g->sql($_, q{SELECT count(*) FROM frozen WHERE c = n AND c = m AND d = (c AT TIME ZONE 'Asia/Tokyo')::date AND e = (c AT TIME ZONE 'Asia/Tokyo')::timestamp(3) AND
		k = (c AT TIME ZONE 'Asia/Tokyo')::time AND j[1] = c AND j[2] IS NULL AND h = - interval '1 day -2 hours' AND l = c::timestamptz(0) AND abs(i - extract(epoch FROM c)) < 0.01}), 2,
	"$_: each is that of the same moment, in the author's time zone") foreach $g->names;
is($g->sql($here, q{SELECT (SELECT DISTINCT c FROM frozen) BETWEEN now() - interval '5 min' AND now()}), 't', '... that of the change');
foreach my $region ($g->names)
{
	is(default_of($region, 'frozen', 'c'), 'now()', "$region: the default still follows the clock");
	is(default_of($region, 'frozen', 'd'), 'CURRENT_DATE', '... CURRENT_DATE, too');
	like(default_of($region, 'frozen', 'n'), qr/1970-01-01/, '... unless the statement says otherwise itself');
}
is($g->sql($there, q{BEGIN; INSERT INTO frozen VALUES (3); SELECT c = now() FROM frozen WHERE id = 3; ROLLBACK}), 't', 'a new row has the time of its own');

# what is not the clock's alone
foreach my $command ('ADD COLUMN z double precision DEFAULT random()', 'ADD COLUMN z timestamptz DEFAULT clock_timestamp()', 'ADD COLUMN z serial', 'ADD COLUMN z moment',
	'ADD COLUMN z bigint DEFAULT looks()', 'ADD COLUMN z text DEFAULT current_database() || now()', 'ADD COLUMN y timestamptz DEFAULT now(), ADD COLUMN z uuid DEFAULT gen_random_uuid()')
{
	refused($g->try($here, "SELECT schemadrift.apply('not the clock', 'ALTER TABLE frozen $command', NULL, $frozen)"), 'SD004', "$command, frozen");
}
refused($g->try($here, "SET schemadrift.large_table = 0; SELECT schemadrift.apply('other rules', 'ALTER TABLE frozen ADD COLUMN z timestamptz DEFAULT now(), ALTER COLUMN id TYPE bigint', NULL, $frozen)"), 'SD005',
	'freezing says nothing of what else is unsafe in the statement');

# a partition that has the column already keeps its own default, so that cannot be frozen
$r = $g->try($here, q{BEGIN; CREATE TABLE mother (id int); CREATE TABLE daughter (c timestamptz DEFAULT 'epoch') INHERITS (mother); COMMIT});
ok($r->{ok} && $g->converged, 'a child with the column') or diag($r->{err});
$g->sql($_, 'INSERT INTO mother VALUES (1)') foreach $g->names;
refused($g->try($here, "SELECT schemadrift.apply('child', 'ALTER TABLE mother ADD COLUMN c timestamptz DEFAULT now()', NULL, $frozen)"), 'SD004', 'a child has the column already');
$r = $g->try($here, "SELECT schemadrift.apply('partitions', 'ALTER TABLE parent ADD COLUMN c timestamptz DEFAULT now()', NULL, $frozen)");
ok($r->{ok}, 'of a partitioned table') or diag($r->{err});
ok($g->converged, '... all regions are equal');
is(default_of($third, 'child', 'c'), 'now()', '... its partition, too');
like($g->sql($here, 'SELECT c FROM child'), qr/^20/, '... whose rows are filled');

# a function, and a way back
$r = $g->try($here, qq{SELECT schemadrift.apply('in a function', \$\$DO 'BEGIN ALTER TABLE frozen ADD COLUMN o timestamptz DEFAULT now(); END'\$\$, 'ALTER TABLE frozen DROP COLUMN o', $frozen)});
ok($r->{ok}, 'in a DO block') or diag($r->{err});
$r = $g->try($here, qq{SELECT schemadrift.apply('gone', 'ALTER TABLE frozen DROP COLUMN k', 'ALTER TABLE frozen ADD COLUMN k time DEFAULT LOCALTIME', '{"freeze_time": true, "allow": ["B1", "B2"]}')});
ok($r->{ok}, 'a way back that follows the clock') or diag($r->{err});
ok($g->converged, '... all regions are equal');
$r = $g->try($there, q{SELECT schemadrift.revert('gone')});
ok($r->{ok}, '... taken by another region') or diag($r->{err});
ok($g->converged, '... all regions are equal');
same_rows('frozen', '... and what it filled in is');

# by policy, for plain DDL of tools
$g->sql($here, q{SELECT schemadrift.set_policy('{"freeze_time": true}')});
ok($g->converged, 'policy "freeze_time"');
$r = $g->try($there, 'ALTER TABLE frozen ADD COLUMN p timestamptz NOT NULL DEFAULT now(), ADD COLUMN q timestamptz DEFAULT CURRENT_TIMESTAMP');
ok($r->{ok}, '... plain DDL in another region') or diag($r->{err});
$r = $g->try($there, q{DO 'BEGIN ALTER TABLE frozen ADD COLUMN r date DEFAULT CURRENT_DATE; END'});
ok($r->{ok}, '... also in a function') or diag($r->{err});
refused($g->try($there, q{SELECT schemadrift.apply('not this one', 'ALTER TABLE frozen ADD COLUMN s timestamptz DEFAULT now()', NULL, '{"freeze_time": false}')}), 'SD004', '... a migration may say no');
refused($g->try($there, 'ALTER TABLE frozen ADD COLUMN s double precision DEFAULT random()'), 'SD004', '... random() stays refused');

# a region that applies much later gives the same values; what was rolled back leaves nothing
my $reader = $g->session($third);
$reader->query('BEGIN; SELECT count(*) FROM frozen;');
$r = $g->try($here, 'BEGIN; SAVEPOINT s; ALTER TABLE frozen ADD COLUMN t timestamptz DEFAULT now(); ROLLBACK TO s; ALTER TABLE frozen ADD COLUMN u timestamptz NOT NULL DEFAULT now(); COMMIT');
ok($r->{ok}, 'while one region is kept from applying') or diag($r->{err});
$g->wait_until($third, q{SELECT attempts > 0 FROM schemadrift.migration_status WHERE state = 'failed' AND region = 'eu-west'}, 't');
$reader->query('ROLLBACK;');
ok($g->converged, '... it follows, and all regions are equal');
same_rows('frozen', '... later');
is($g->sql($third, q{SELECT (SELECT count(DISTINCT p) || ' ' || count(DISTINCT u) FROM frozen) || ' ' || (SELECT bool_and(p < u AND r - p::date IN (0, 1)) FROM frozen)}), '1 1 true', '... the times of the changes');

# statement by statement, outside of one transaction
$r = $g->try($here, q{CALL schemadrift.apply_online('online', 'ALTER TABLE frozen ADD COLUMN v timestamptz DEFAULT now(); CREATE INDEX CONCURRENTLY frozen_c ON frozen (c)')});
ok($r->{ok}, 'in a script for apply_online') or diag($r->{err});
ok($g->converged, '... all regions are equal');
same_rows('frozen', '... online');
$g->sql($here, q{SELECT schemadrift.set_policy('{"freeze_time": null}')});
refused($g->try($here, 'ALTER TABLE frozen ADD COLUMN w timestamptz DEFAULT now()'), 'SD004', 'the policy taken back');
done_testing();
