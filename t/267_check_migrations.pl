# make check-migrations, as a pipeline runs it: its exit code, its JSON, and what LEVEL, FIRST and LAST do.
#
# The recipe for psql: t/266_pipeline.pl.
use strict;
use warnings FATAL => 'all';

use FindBin;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my %files = (
	'001_orders' => [ 'CREATE TABLE orders (id bigint PRIMARY KEY, item text NOT NULL, note text); INSERT INTO orders VALUES (1, $$x$$);', 'DROP TABLE orders;' ],
	'002_seen' => [ 'ALTER TABLE orders ADD COLUMN seen timestamptz NOT NULL DEFAULT now();', 'ALTER TABLE orders DROP COLUMN seen;' ],
	'003_no_item' => [ 'ALTER TABLE orders DROP COLUMN item;', 'ALTER TABLE orders ADD COLUMN item text NOT NULL DEFAULT $$?$$;' ],
	'004_index' => [ 'CREATE INDEX orders_note ON orders (note);', 'DROP INDEX orders_note;' ],
	# downs that analysis does not judge: one brings back another index, one fails
	'005_no_index' => [ 'DROP INDEX orders_note;', 'CREATE INDEX orders_note ON orders (note, id);' ],
	'006_view' => [ 'CREATE VIEW notes AS SELECT note FROM orders;', 'DROP VIEW other_notes;' ],
	# what one region does otherwise
	'007_by_region' => [ q{DO 'BEGIN IF current_database() LIKE $$second%$$ THEN CREATE TABLE theirs (a int); END IF; END';}, 'DROP TABLE IF EXISTS theirs;' ],
	# a down that goes wrong on the single server only: nobody can have said so
	'008_alone' => [ 'CREATE TABLE more (a int);', q{DROP TABLE more; DO 'BEGIN IF current_database() = $$alone$$ THEN COMMENT ON TABLE orders IS $$left$$; END IF; END';} ],
	# a down that is no SQL: apply takes neither
	'009_typo' => [ 'CREATE TABLE one (a int);', 'DROP TABEL one;' ],
	# its own transaction
	'010_begin' => [ "-- ten\nBEGIN;\nCREATE TABLE ten (a int);\nCOMMIT;", 'BEGIN; DROP TABLE ten; COMMIT' ]);

foreach my $name (sort keys %files)
{
	PostgreSQL::Test::Utils::append_to_file("$dir/$name.up.sql", $files{$name}[0]);
	PostgreSQL::Test::Utils::append_to_file("$dir/$name.down.sql", $files{$name}[1]);
}

# exit code, what is found, by migration, and the report
sub check
{
	my (%o) = @_;
	# each with data directories of its own
	my $own = PostgreSQL::Test::Utils::tempdir;
	local %ENV = (%ENV, TESTDIR => $own, TESTDATADIR => "$own/tmp_check", TESTLOGDIR => "$own/log", HISTORY => $dir, LEVEL => '', FIRST => '', LAST => '', DRY_RUN => '', %o);
	my $out = qx{$^X '$FindBin::Bin/check-migrations.pl' 2>&1};
	my $code = $? >> 8;
	my ($json) = $out =~ /^# json: (.*)$/m;

	diag($out) if !defined $json;
	return ($code, { map { $_->{name} => $_ } @{ decode_json($json // '[]') } }, join "\n", $out =~ /^# check: (.*)$/mg);
}

# by migration, in order
sub each_of { my ($found, $value) = @_; return join ' ', map { $value->($found->{$_}) } sort keys %$found; }

my ($code, $found, $report) = check();
isnt($code, 0, 'something is wrong: an exit code');
is(join(' ', sort keys %$found), join(' ', sort keys %files), '... in the JSON all migrations');
is(each_of($found, sub { $_[0]{down} }), 'ok ok differs ok differs fails ok differs fails ok', '... whether the downs restore');
is(each_of($found, sub { $_[0]{down_foretold} }), 'yes yes no yes rehearse yes rehearse yes yes yes', '... what analysis said of that');
is(each_of($found, sub { join('+', @{ $_[0]{down_told} }) || '-' }), '- - analyze+dry_run - dry_run dry_run - - dry_run+refusal -', '... and who said beforehand that they do not');
is(each_of($found, sub { $_[0]{refused} ? $_[0]{refused}{sqlstate} : '-' }), '- SD004 - - - - - - 42601 SD004', '... what a group refuses');
like($found->{'002_seen'}{refused}{hint}, qr/freeze_time/, '... with its hint');
is($found->{'003_no_item'}{statements}[0]{rule}, 'B3', '... and statements with their rules');
like($report, qr/^002_seen\n  unsafe: statement 1 \(line 1\), ALTER TABLE, rule SD004\n.*^  refused by a group: SD004/ms, 'the report says it for people');
unlike($report, qr/^004_index$/m, '... and nothing of what is good');

# the dry run, in two regions
sub tried { my ($name) = @_; return join ' ', map { my $row = $_; join '|', map { $row->{$_} // '-' } qw(region status same restored sqlstate) } @{ $found->{$name}{dry_run}{regions} }; }
is(tried('001_orders'), 'first|ok|1|1|- second|ok|1|1|-', 'dry_run in both regions: the same, and back');
like(tried('002_seen'), qr/^first\|failed\|-\|-\|SD004 /, '... what is refused does not run');
is(tried('005_no_index'), 'first|warning|1|0|- second|warning|1|0|-', '... a down that leaves another schema');
is(tried('006_view'), 'first|warning|1|0|42P01 second|warning|1|0|42P01', '... one that fails');
is(tried('007_by_region'), 'first|ok|1|1|- second|warning|0|1|-', '... one region does something else');
like($report, qr/^005_no_index\n.*^  dry_run in first and second: warning, not restored\n    down does not restore the schema/ms, 'the report has it');
like($report, qr/^  down: differs \(analysis: only a rehearsal tells; beforehand it was said by dry_run\)$/m, '... and who said so');

# the second region
is(join(' ', grep { $found->{$_}{differs} } sort keys %$found), '007_by_region', 'the one after which the regions are not equal');
like($found->{'007_by_region'}{differs}{detail}, qr/second is halted/, '... why');
like($report, qr/^007_by_region\n.*^  the second region differs: .*second is halted/ms, '... in the report');

# a mistake is a failure
is(scalar(() = $report =~ /a mistake of schemadrift/g), 2, 'one migration with mistakes');
like($report, qr/^008_alone\n.*^  a mistake of schemadrift: nobody said that its down does not restore the schema$/ms, 'a down that nobody spoke of');
like($report, qr/^downs that do not, 5: beforehand analyze said so of 1, dry_run of 4; only that apply refuses it was said of 0; nothing of 1$/m, '... is counted');

($code, $found, $report) = check(FIRST => 8, LAST => 8, LEVEL => 'down');
isnt($code, 0, '... at any level');
($code, $found, $report) = check(LAST => 1, DRY_RUN => 'off');
is("$code " . join(' ', sort keys %$found), '0 001_orders', 'LAST: nothing is wrong up to there');
is($found->{'001_orders'}{dry_run}, undef, 'DRY_RUN=off: none is made');
unlike($report, qr/dry_run/, '... and none spoken of');
($code, $found, $report) = check(FIRST => 4, LAST => 4, LEVEL => 'caution');
is(join(' ', sort keys %$found), '004_index', 'FIRST: those before are run, and not checked');
isnt($code, 0, 'LEVEL: a case for caution is wrong, too');

done_testing();
