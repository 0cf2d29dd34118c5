# What no linter of a single database can know: the examples of docs/analysis.md, done.  Two databases of one server; rows go from east
# to west by logical replication, and nobody coordinates.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(east west)], databases => 1, streaming => 'logical', conf => <<'CONF');
wal_retrieve_retry_interval = 100ms
CONF
my $server = $g->region('east');
my $marker = 0;

$g->sql($_, <<'SQL') foreach qw(east west);
CREATE TABLE orders (id int PRIMARY KEY, qty int);
CREATE TABLE items (id int PRIMARY KEY, order_id int);
CREATE TABLE mark (id int PRIMARY KEY);
SQL
$g->sql('east', q{CREATE PUBLICATION p FOR ALL TABLES});
$g->sql('east', q{SELECT pg_create_logical_replication_slot('west', 'pgoutput')});
$g->sql('west', sprintf q{CREATE SUBSCRIPTION west CONNECTION '%s dbname=east' PUBLICATION p WITH (create_slot = false)},
	$server->connstr =~ s/\s*dbname=\S+//r =~ s/'/''/gr);

sub word
{
	my ($rule, $column) = @_;

	return $g->sql('west', "SELECT $column FROM schemadrift.compatibility_matrix WHERE here AND rule = '$rule'");
}

sub passes
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$g->sql('east', 'INSERT INTO mark VALUES (' . ++$marker . ')');
	return ok($g->wait_until('west', "SELECT count(*) FROM mark WHERE id = $marker", 1), "$what: rows pass");
}

# The apply fails, and again after that.
sub stopped
{
	my ($what) = @_;
	my $errors = $g->sql('west', 'SELECT apply_error_count FROM pg_stat_subscription_stats');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($g->wait_until('west', "SELECT apply_error_count >= $errors + 2 FROM pg_stat_subscription_stats", 't'), "$what: replication has stopped");
}

passes('before anything');

# ---- regions at different versions ----

is(word('A1', 'sends'), 'stalls', 'A1: a new column, what it says');
$g->sql('east', 'ALTER TABLE orders ADD COLUMN note text');
$g->sql('east', 'INSERT INTO orders (id, qty) VALUES (1, 1)');
stopped('the new column that nobody writes');
my $log = PostgreSQL::Test::Utils::slurp_file($server->logfile);
like($log, qr/"public\.orders" is missing replicated column: "note"/, 'and why');
$g->sql('west', 'ALTER TABLE orders ADD COLUMN note text');
passes('when both have it');

is(word('E2', 'receives'), 'wedges', 'E2: CHECK NOT VALID, what it says');
$g->sql('west', 'ALTER TABLE orders ADD CONSTRAINT positive CHECK (qty > 0) NOT VALID');
$g->sql('east', 'INSERT INTO orders (id, qty) VALUES (2, 0)');
stopped('a row that the region ahead forbids');
$g->sql('east', 'ALTER TABLE orders ADD CONSTRAINT positive CHECK (qty > 0) NOT VALID');
stopped('and when both have the constraint');
$g->sql('west', 'ALTER TABLE orders DROP CONSTRAINT positive');
passes('when it is taken back where it was first');

# ---- logical replication ----

is(word('G1', 'gate'), 'G1+REFRESH', 'G1: a new table, what it says');
$g->sql($_, 'CREATE TABLE extra (id int PRIMARY KEY)') foreach qw(east west);
$g->sql('east', 'INSERT INTO extra VALUES (1)');
passes('with a table that the subscription does not know');
is($g->sql('west', 'SELECT count(*) FROM extra'), 0, 'but not its row, and nothing says so');
$g->sql('west', 'ALTER SUBSCRIPTION west REFRESH PUBLICATION WITH (copy_data = false)');
$g->sql('east', 'INSERT INTO extra VALUES (2)');
ok($g->wait_until('west', 'SELECT string_agg(id::text, $$ $$) FROM extra', 2), 'after the refresh the next one, and never the first');

is(word('E9', 'receives'), 'diverges', 'E9: a foreign key, what it says');
$g->sql('west', 'ALTER TABLE items ADD CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders');
$g->sql('east', 'INSERT INTO items VALUES (1, 99)');
passes('with a foreign key');
is($g->sql('west', q{SELECT convalidated FROM pg_constraint WHERE conname = 'of_order'}) . ' ' .
	$g->sql('west', 'SELECT count(*) FROM items LEFT JOIN orders o ON o.id = order_id WHERE o.id IS NULL'), 't 1', 'an orphan under a valid key');

is(word('E25', 'sends'), 'writer fails', 'E25: no primary key any more, what it says');
$g->sql('east', 'ALTER TABLE extra DROP CONSTRAINT extra_pkey');
like($g->try('east', 'UPDATE extra SET id = 3 WHERE id = 2')->{message}, qr/^cannot update table "extra" because it does not have a replica identity/,
	'who writes has the error');
$g->sql('east', 'INSERT INTO extra VALUES (4)');
ok($g->wait_until('west', 'SELECT count(*) FROM extra WHERE id = 4', 1), 'an INSERT passes');
$g->sql('east', 'ALTER TABLE extra ADD PRIMARY KEY (id)');

is(word('G8', 'sends'), 'diverges', 'G8: SET UNLOGGED, what it says');
$g->sql('east', 'ALTER TABLE extra SET UNLOGGED');
$g->sql('east', 'INSERT INTO extra VALUES (5)');
passes('with a table that is unlogged');
is($g->sql('west', 'SELECT count(*) FROM extra WHERE id = 5'), 0, 'but not its row, and nothing says so');

# ---- results that differ ----

# A query's rows, in both, as text.
sub both
{
	my ($query) = @_;

	return map { $g->sql($_, "SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM ($query) x") } qw(east west);
}

sub same
{
	my ($query, $what) = @_;
	my ($east, $west) = both($query);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($east, $west, $what);
}

sub other
{
	my ($query, $what) = @_;
	my ($east, $west) = both($query);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return isnt($east, $west, $what);
}

foreach my $case ([ 'A4', 'made', 'timestamptz NOT NULL DEFAULT now()' ], [ 'A6', 'u', 'uuid DEFAULT gen_random_uuid()' ])
{
	my ($rule, $name, $definition) = @$case;
	my $id = 10 + $marker;

	is(word($rule, 'gate'), 'GD', "$rule: what it says");
	$g->sql('east', "INSERT INTO orders (id, qty) VALUES ($id, 1)");
	passes("$rule: the same row in both");
	$g->sql($_, "ALTER TABLE orders ADD COLUMN $name $definition") foreach qw(west east);
	isnt($g->sql('east', "SELECT $name FROM orders WHERE id = $id"), $g->sql('west', "SELECT $name FROM orders WHERE id = $id"),
		"$rule: the same statement, and another value");
	passes($rule);
}

# The same rows in both; they lie in another order on disk, and no subscription knows the table.
$g->sql($_, 'CREATE TABLE visits (id int PRIMARY KEY, at timestamp)') foreach qw(east west);
$g->sql('east', q{INSERT INTO visits VALUES (1, '2026-11-22 12:00'), (2, '2026-11-22 13:00')});
$g->sql('west', q{INSERT INTO visits VALUES (2, '2026-11-22 13:00'), (1, '2026-11-22 12:00')});
same('TABLE visits', 'the same rows');

is(word('C20', 'gate'), 'GD', 'C20: what it says');
$g->sql('east', q{SET TimeZone = 'UTC'; ALTER TABLE visits ALTER COLUMN at TYPE timestamptz});
$g->sql('west', q{SET TimeZone = 'Asia/Kolkata'; ALTER TABLE visits ALTER COLUMN at TYPE timestamptz});
other('SELECT id, extract(epoch FROM at) FROM visits', 'C20: the same statement, and another time');

is(word('A7', 'gate'), 'GD', 'A7: what it says');
$g->sql($_, 'ALTER TABLE visits ADD COLUMN n serial') foreach qw(east west);
other('SELECT id, n FROM visits', 'A7: the same statement, and another number');

is(word('G4', 'gate'), 'GD', 'G4: what it says');
my $holder = $g->session('west');
$holder->query('BEGIN; LOCK TABLE orders IN SHARE MODE;');
$g->sql('east', 'INSERT INTO orders (id, qty) VALUES (1000, 1)');
$g->sql($_, 'CREATE TABLE seen AS SELECT id FROM orders') foreach qw(east west);
$holder->query('COMMIT;');
$holder->quit;
passes('G4: the row that was on its way');
same('SELECT id FROM orders', 'G4: in the end the rows are the same');
other('SELECT id FROM seen', 'G4: what was made of them is not');

is(word('N1', 'gate'), 'GD', 'N1: what it says');
same('SELECT id, qty FROM orders', 'N1: the same rows');
$g->sql('east', 'UPDATE orders SET qty = qty + 1');
passes('N1: the rows of one region');
same('SELECT id, qty FROM orders', 'N1: run in one region, the same rows still');
$g->sql('west', 'UPDATE orders SET qty = qty + 1');
other('SELECT id, qty FROM orders', 'N1: run in every region, others');
$g->sql('west', 'ALTER SUBSCRIPTION west DISABLE');
done_testing;
