# The recipe of docs/pipelines.md, run by a shell as it stands there: exit codes, JSON, and what it says.
use strict;
use warnings FATAL => 'all';

use FindBin;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use SchemaDrift::Group;

my $g = SchemaDrift::Group->new(regions => ['plain'], databases => 1);
my $server = $g->region('plain');
my $text = slurp_file("$FindBin::Bin/../docs/pipelines.md");
my ($with_jq, $with_psql) = $text =~ /^```sh\n(export MIGRATION=.*?)^```$/msg;
my $dir = PostgreSQL::Test::Utils::tempdir;
my ($host, $port) = map { $server->sql("SHOW $_", dbname => 'plain') } qw(unix_socket_directories port);
my $has_jq = system('jq --version > /dev/null 2>&1') == 0;

$server->sql($_, dbname => 'plain') foreach 'CREATE ROLE dev LOGIN', 'CREATE TABLE orders (id int PRIMARY KEY, item text)',
  q{INSERT INTO orders VALUES (1, 'a book')}, 'ALTER TABLE orders OWNER TO dev', 'GRANT CREATE ON SCHEMA public TO dev';

# Returns the exit code; what it printed and complained of are in $dir.
sub run_recipe
{
	my ($recipe, $migration) = @_;

	open my $out, '>', "$dir/migration.sql" or die "$dir: $!";
	print $out $migration if defined $migration;
	close $out;
	unlink "$dir/migration.sql" if !defined $migration;
	open $out, '>', "$dir/recipe.sh" or die "$dir: $!";
	print $out $recipe;
	close $out;
	# as somebody who may log in and owns a table; the recipe takes the server from the environment
	local %ENV = (%ENV, PGHOST => $host, PGPORT => $port, PGDATABASE => 'plain', PGUSER => 'dev');
	return system('sh', '-c', "cd '$dir' && sh recipe.sh > out 2> err") >> 8;
}

my $safe = "CREATE TABLE shipments (id bigint PRIMARY KEY);\n";
my $unsafe = $safe . "ALTER TABLE orders ADD COLUMN seen timestamptz DEFAULT now();\n-- 'quoted' \"too\" \\ \$\$ :item `date`\nALTER TABLE orders DROP COLUMN nothing;\n";
my $large = join '', map { "ALTER TABLE orders ADD COLUMN c$_ int;  -- " . ('x' x 1000) . "\n" } 1 .. 200;

foreach my $case (
	# what, migration, exit code with jq, by psql alone
	[ 'a safe one', $safe, 0, 0 ],
	[ 'an unsafe one', $unsafe, 1, 3 ],
	[ 'one of 200 kB', $large, 0, 0 ],
	[ 'no SQL', "CREATE TABLE x (id int);\nCREAT TABLE y (id int);\n", 3, 3 ],
	[ 'nothing', '', 1, 1 ],
	[ 'none', undef, 1, 1 ])
{
	my ($what, $migration, $jq, $psql) = @$case;

	is(run_recipe($with_psql, $migration), $psql, "$what: by psql alone");
	like(slurp_file("$dir/err"), qr/line 2: ALTER TABLE, rule SD004: public\.orders has rows.*line 4: ALTER TABLE, rule fails: .*"nothing".*the migration is unsafe/s, '... and it says what')
	  if $what eq 'an unsafe one';
	like(slurp_file("$dir/err"), qr/syntax error at or near "CREAT"/, '... and PostgreSQL says where') if $what eq 'no SQL';
	SKIP:
	{
		skip 'jq is not installed', 1 if !$has_jq;
		is(run_recipe($with_jq, $migration), $jq, "$what: with jq") or diag(slurp_file("$dir/err"));
		next if $what !~ /one/ || $what eq 'none';
		my $steps = decode_json(slurp_file("$dir/analysis.json"));
		is(scalar @$steps, scalar(() = $migration =~ /;/g), '... a statement each, in JSON');
		is(join(' ', map { "$_->{verdict}/$_->{rule}" } @$steps), 'safe/G1 unsafe/SD004 unsafe/fails', '... with verdicts and rules') if $what eq 'an unsafe one';
	}
}
done_testing();
