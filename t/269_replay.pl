# make replay, over a small history: it passes where a group gets what a single server has, and fails, by both comparisons, where it does not.
use strict;
use warnings FATAL => 'all';

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my %files = (
	'001_orders' => [ 'CREATE TABLE orders (id bigint PRIMARY KEY, note text);', 'DROP TABLE orders;' ],
	'002_index' => [ 'CREATE INDEX orders_note ON orders (note);', 'DROP INDEX orders_note;' ],
	'003_no_note' => [ 'ALTER TABLE orders DROP COLUMN note; INSERT INTO orders VALUES (1);', 'ALTER TABLE orders ADD COLUMN note text;' ],
	# what a group does and a single server does not
	'004_by_group' => [ q{DO 'BEGIN IF EXISTS (SELECT FROM schemadrift_store.self) THEN COMMENT ON TABLE orders IS $$of a group$$; END IF; END';} ]);

foreach my $name (sort keys %files)
{
	PostgreSQL::Test::Utils::append_to_file("$dir/$name.up.sql", $files{$name}[0]);
	PostgreSQL::Test::Utils::append_to_file("$dir/$name.down.sql", $files{$name}[1]) if defined $files{$name}[1];
}

# exit code and output
sub replay
{
	my (%o) = @_;
	# each with data directories of its own
	my $own = PostgreSQL::Test::Utils::tempdir;
	local %ENV = (%ENV, TESTDIR => $own, TESTDATADIR => "$own/tmp_check", TESTLOGDIR => "$own/log", HISTORY => $dir,
		VIA => 'apply', SEED => 1, FAULTS => 0, REVERTS => 100, FIRST => 1, %o);
	my $out = qx{$^X '$FindBin::Bin/replay.pl' 2>&1};

	return ($? >> 8, $out);
}

my ($code, $out) = replay(LAST => 3);
is($code, 0, 'regions that are equal to a single server: it passes') or diag($out);
like($out, qr/^# replay: seed 1: 3 migrations in .*: 3 by apply\(\)/m, '... what it did');
like($out, qr/^# replay: .* 2 taken back and done again$/m, '... each whose down restores the schema was taken back');
like($out, qr/^# replay: 3 downs: 2 restore the schema exactly, 1 leave another one, 0 fail$/m, '... what downs do');
like($out, qr/^ok \d+ - COMMENT ON TABLE orders IS 'planted' in us-east only: the fingerprints differ\nok \d+ - \.\.\. and the dumps$/m, '... and a difference that is planted is found by both comparisons');
like($out, qr/^# replay: differences planted afterwards, and found by both comparisons: a comment in us-east, a storage parameter in ap-south, a column in eu-west$/m, '... in each region');

($code, $out) = replay(FIRST => 1, REVERTS => 0);
isnt($code, 0, 'a group that is not the schema of the single server: it fails');
like($out, qr/^not ok \d+ - at the end: \.\.\. and equal to the single server$/m, '... by the fingerprint');
like($out, qr/^not ok \d+ - at the end: \.\.\. and so is what each has, looked at anew$/m, '... by that of what is there');
like($out, qr/^not ok \d+ - at the end: each region is dumped as the single server$/m, '... and by the dumps');
like($out, qr/^# .*COMMENT ON TABLE public\.orders IS 'of a group';$/m, '... which say in what');
unlike($out, qr/planted/, '... and nothing is planted any more');

done_testing();
