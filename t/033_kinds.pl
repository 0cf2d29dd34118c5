# Every kind of object and every property that docs/fingerprint.md lists: changed, it is seen in exactly that object, by the
# digests that are kept as by a full scan; a copy has the same; and no catalog of PostgreSQL is forgotten.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use SchemaDrift::Kinds;
use SchemaDrift::Net;
use SchemaDrift::Region;

my $region = SchemaDrift::Region->make(SchemaDrift::Net->new, 'kinds', conf => "max_worker_processes = 30\n");
$region->start;

my ($major) = $region->safe_psql('postgres', 'SHOW server_version_num') =~ /^(..)/;

sub sql
{
	my ($db, $sql) = @_;
	return $region->safe_psql($db, $sql);
}

# As sql(), but the text stands in a file: it is long.
sub script
{
	my ($db, $what, $sql) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/kinds_$what.sql";
	my ($out, $err);

	append_to_file($file, $sql);
	$region->psql($db, "\\i $file", stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=terse' ]);
	is(join("\n", grep { /ERROR|WARNING/ && !/foreign-data wrapper (?:validator|handler)/ } split /\n/, $err), '', "$what: without an error");
	return $out;
}

sql('postgres', SchemaDrift::Kinds::roles());
sql('postgres', "CREATE DATABASE kinds TEMPLATE template0 ENCODING 'UTF8'");
sql('kinds', 'CREATE EXTENSION schemadrift');
sql('kinds', <<'SQL');
CREATE FUNCTION schemadrift_store.step(sql text, OUT kind text, OUT identity text, OUT dropped boolean)
	RETURNS SETOF record LANGUAGE c AS 'schemadrift', 'sd_testing_digest_step';
CREATE FUNCTION schemadrift_store.coverage(catalog oid) RETURNS text LANGUAGE c AS 'schemadrift', 'sd_testing_digest_coverage';
CREATE FUNCTION schemadrift_store.differ(a text, b text, OUT property text, OUT one text, OUT other text)
	RETURNS SETOF record LANGUAGE c AS 'schemadrift', 'sd_testing_properties';
SQL

# --- one property after the other ---

# what no digest counts is in t/248_maintain.pl
my @rows = grep { $_->{kind} !~ /^maintain on / } SchemaDrift::Kinds::rows($major);
cmp_ok(scalar(@rows), '>=', 300, scalar(@rows) . ' properties');

script('kinds', 'setup', SchemaDrift::Kinds::setup(@rows));
sql('kinds', 'SELECT schemadrift_store.digest_rebuild(); CREATE TABLE schemadrift_store.before AS SELECT * FROM schemadrift_store.digest_scan()');

# what goes past every hook comes last: kept digests know nothing of it
my @known = grep { $_->{change} !~ /^UPDATE pg_/ } @rows;
my @behind = grep { $_->{change} =~ /^UPDATE pg_/ } @rows;

my @seen = split /\n/, script('kinds', 'changes', join '',
	map { "SELECT '$_->{schema}', coalesce(string_agg(kind || ' ' || identity || CASE WHEN dropped THEN ' dropped' ELSE '' END, ', '), 'nothing')
		FROM schemadrift_store.step(\$step\$$_->{change}\$step\$) WHERE kind IS NOT NULL;\n" } @known);
my %seen = map { /^([^|]*)\|(.*)$/ ? ($1 => $2) : () } @seen;
my $wrong = '';
foreach my $row (@known)
{
	my $seen = $seen{ $row->{schema} } // 'no answer';
	$wrong .= "$row->{change}\n\tchanged $seen, not $row->{kind} $row->{identity}\n" if $seen ne "$row->{kind} $row->{identity}";
}
is($wrong, '', 'each change reaches the digest of exactly its object, without looking at the others');

sub same_as_scan
{
	my ($what) = @_;
	is( sql('kinds', q{SELECT string_agg(coalesce(o.kind, s.kind) || ' ' || coalesce(o.identity, s.identity), ', ')
			FROM schemadrift_store.object o FULL JOIN schemadrift_store.digest_scan() s USING (kind, identity) WHERE o.hash IS DISTINCT FROM s.hash}),
		'', "$what: kept digests are those of a full scan");
	my $kept = sql('kinds', 'SELECT schemadrift_store.digest_root()');
	is(sql('kinds', 'SELECT schemadrift_store.digest_rebuild()'), $kept, "$what: and so is the root");
	return;
}
same_as_scan('after all changes');
script('kinds', 'behind', join '', map { "$_->{change};\n" } @behind);

my %properties = map { /^(.*)\|([^|]*)$/ ? ($1 => $2) : () } split /\n/, sql('kinds', q{
	SELECT coalesce(a.kind, b.kind) || ' ' || coalesce(a.identity, b.identity),
		CASE WHEN a.kind IS NULL THEN '+' WHEN b.kind IS NULL THEN '-'
		ELSE (SELECT string_agg(property, ', ') FROM schemadrift_store.differ(a.definition, b.definition)) END
	FROM schemadrift_store.before a FULL JOIN schemadrift_store.digest_scan() b USING (kind, identity)
	WHERE a.hash IS DISTINCT FROM b.hash});
$wrong = '';
foreach my $row (@rows)
{
	my $properties = delete($properties{"$row->{kind} $row->{identity}"}) // 'nothing';
	# where one is changed by making the object anew, another may come with it
	$wrong .= "$row->{change}\n\tchanged $properties, not $row->{property}\n" unless grep { $_ eq $row->{property} } split /, /, $properties;
}
is($wrong, '', 'and of exactly its property');
is(join(', ', sort keys %properties), '', 'nothing else has changed');

# --- a copy ---

# by object
sub definitions
{
	my ($db) = @_;
	return map { split /\|/, $_, 2 } split /\n/, sql($db,
		q{SELECT kind || ' ' || identity || '|' || replace(definition, E'\n', '; ') FROM schemadrift_store.digest_scan()});
}
sql('postgres', 'DROP DATABASE IF EXISTS copy');
sql('postgres', q{CREATE DATABASE original TEMPLATE template0 ENCODING 'UTF8'});
sql('original', 'CREATE EXTENSION schemadrift');
my @copied = grep { $_->{change} !~ /^UPDATE pg_|ROLE|OWNED BY \w+_|CREATE SCHEMA x_|DISABLE TRIGGER ALL/ } @rows;
script('original', 'original', SchemaDrift::Kinds::setup(@copied) . join '', map { "$_->{change};\n" } @copied);
# dropped columns in between
sql('original', q{DO $$ DECLARE r record; BEGIN FOR r IN SELECT oid::regclass AS t FROM pg_class WHERE relkind = 'r' AND relname = 't' AND
	relnamespace::regnamespace::text ~ '^p\d' AND reloftype = 0 AND NOT relispartition LOOP
	EXECUTE format('ALTER TABLE %s ADD gone int', r.t); EXECUTE format('ALTER TABLE %s DROP gone', r.t); END LOOP; END $$});
my $dump = "$PostgreSQL::Test::Utils::tmp_check/kinds_dump.sql";
sql('postgres', q{CREATE DATABASE copy TEMPLATE template0 ENCODING 'UTF8'});
command_ok([ 'pg_dump', '--schema-only', '--port', $region->port, '--host', $region->host, '--file', $dump, 'original' ], 'dumped');
script('copy', 'restore', slurp_file($dump));
my %original = definitions('original');
my %copy     = definitions('copy');
is( join("\n", map { "$_: original " . ($original{$_} // 'has none') . "\n\tcopy " . ($copy{$_} // 'has none') }
		grep { ($original{$_} // '') ne ($copy{$_} // '') } sort keys %{ { %original, %copy } }),
	'', 'a restored copy has the same definitions');
is(sql('copy', 'SELECT schemadrift_store.digest_rebuild()'), sql('original', 'SELECT schemadrift_store.digest_rebuild()'), 'and the same digest');

# --- PostgreSQL's catalogs ---

my %documented;
my $described = slurp_file('docs/fingerprint.md');
$described =~ /^## Every catalog\n(.*?)(?:^## |\z)/ms or die "docs/fingerprint.md has no section on catalogs\n";
foreach my $line (split /\n/, $1)
{
	my @field = $line =~ /^\|\s*([^|]*?)\s*\|\s*([^|]*?)\s*\|/ or next;
	$documented{$_} = $field[1] foreach $field[0] =~ /pg_\w+/g;
}
# those that have OIDs, and those of whose rows PostgreSQL can say what they are
my %coverage = map { split /\|/, $_, 2 } split /\n/, sql('kinds', <<'SQL');
CREATE FUNCTION schemadrift_store.known(catalog oid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_catalog.pg_describe_object(catalog, 1, 0);
	RETURN true;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM !~ 'object class|unrecognized class';
END $$;
SELECT relname, coalesce(schemadrift_store.coverage(c.oid), '') FROM pg_class c
WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND
	(EXISTS (SELECT FROM pg_attribute a WHERE attrelid = c.oid AND attname = 'oid') OR schemadrift_store.known(c.oid));
SQL
cmp_ok(scalar(keys %coverage), '>', 35, scalar(keys %coverage) . ' catalogs have objects');
is(join(', ', sort grep { !defined $documented{$_} } keys %coverage), '', 'docs/fingerprint.md says of each what becomes of it');
is( join(', ', sort grep { ($documented{$_} // '') !~ /^$coverage{$_}/ || $coverage{$_} eq '' && ($documented{$_} // '') !~ /^not/ } keys %coverage),
	'', 'and says the same as the code');

# --- the list of properties

sub documented_as
{
	my ($property) = @_;
	return $property if $property =~ s/^(column|attribute) \S+ (comment|privileges|security label).*/$1 $2/;
	return $property if $property =~ s/ testing$//;
	$property =~ s/^(column|attribute) \S+: //;
	$property =~ s/^(column|attribute) (?!order).*/$1/;
	return $property;
}
$described =~ /^## What is covered\n(.*?)^\*\*Owner/ms or die "docs/fingerprint.md has no list of properties\n";
my %listed;
foreach my $line (split /\n/, $1)
{
	my ($of, $text) = $line =~ /^\|\s*([a-z][^|]*?)\s*\|\s*([^|]*?)\s*\|$/ or next;
	$listed{$of} = { map { $_ => 0 } $text =~ /`([^`]+)`/g };
}
my @unlisted;
foreach my $row (@rows)
{
	my $property = documented_as($row->{property});
	my ($of) = grep { my $k = $_; grep { $_ eq $row->{kind} } split /, /, $k } keys %listed;
	my ($list) = grep { defined $_->{$property} } $listed{ $of // '' } // {}, $listed{any};

	next if $property eq '+';    # the object itself appears
	defined $list ? $list->{$property}++ : push @unlisted, "$row->{kind}: $property";
}
is(join("\n", @unlisted), '', 'docs/fingerprint.md lists each property that was seen');
delete @{ $listed{'constraint, domain constraint'} }{qw(period), 'not enforced'} if $major < 18;
delete $listed{collation}{rules} if $major < 16;
is( join("\n", map { my $k = $_; map { "$k: $_" } grep { !$listed{$k}{$_} && $_ ne 'check_option' } sort keys %{ $listed{$k} } } sort keys %listed),
	'', 'and each that is listed was seen');

my %kinds = map { $_->{kind} => 1 } @rows;
my $have = join ', ', grep { $_ ne 'schema' } sort split /\n/, sql('kinds', 'SELECT DISTINCT kind FROM schemadrift_store.digest_scan()');
is($have, join(', ', grep { $_ ne 'schema' } sort keys %kinds), 'every kind that there is has its changes');

$region->stop;
done_testing();
