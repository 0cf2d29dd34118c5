# The settings that change what DDL means travel with it, one by one: at the origin the session has a value, the other regions'
# databases have a third one.  What the statement leaves there is what it leaves at the origin, and on a plain server with the
# origin's value; on a plain server with the third one it leaves something else, or fails.
#
# Elsewhere: text, roles and settings of an entry (sql/gate.sql), what a script sets by itself (sql/gate_script.sql), a role's settings (t/040_apply.pl),
# what an entry of a hostile region may set (t/230_security.pl).
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use Test::More;

my $before = <<'SQL';
CREATE SCHEMA sp1; CREATE SCHEMA sp2;
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
CREATE ACCESS METHOD heap3 TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE remarked (id int);
CREATE TABLE filled (id int, t text); INSERT INTO filled VALUES (1, 'x');
CREATE VIEW "View" AS SELECT id FROM filled;
CREATE TABLE secret (id int); INSERT INTO secret VALUES (1), (2), (3);
ALTER TABLE secret ENABLE ROW LEVEL SECURITY; CREATE POLICY one ON secret USING (id = 1);
GRANT SELECT ON secret TO sd_author; GRANT ALL ON SCHEMA public TO sd_author;
CREATE TABLE hers (id int); INSERT INTO hers VALUES (1); ALTER TABLE hers OWNER TO sd_author;
CREATE FUNCTION secrets() RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT count(*) FROM public.secret';
CREATE FUNCTION viewed() RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM public."View"); END';
CREATE FUNCTION which() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'DECLARE x int := 1; BEGIN RETURN (SELECT x FROM (SELECT 2 AS x) s); END';
CREATE FUNCTION rows() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'DECLARE x int; BEGIN SELECT id INTO x FROM public.secret; RETURN 1; EXCEPTION WHEN too_many_rows THEN RETURN 2; END';
CREATE FUNCTION asserts() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN ASSERT false; RETURN 1; EXCEPTION WHEN assert_failure THEN RETURN 2; END';
CREATE FUNCTION companion() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
	IF tg_tag = 'CREATE TABLE' AND EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE 'public.accompanied%') THEN
		EXECUTE (SELECT format('COMMENT ON TABLE %s IS %L', object_identity, 'seen') FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table');
	END IF; END $$;
CREATE EVENT TRIGGER companion ON ddl_command_end EXECUTE FUNCTION companion();
SQL

# What a default made of the rows that were there.
sub value { my ($column) = @_; return "SELECT $column FROM public.filled"; }
sub default_of { my ($table) = @_; return "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'public.$table'::regclass"; }

# A statement, and what came of it.
sub keeping
{
	my ($name) = @_;

	return ("CREATE FUNCTION public.keeps_$name() RETURNS int LANGUAGE sql SET $name FROM CURRENT AS 'SELECT 1'", "SELECT proconfig FROM pg_proc WHERE proname = 'keeps_$name'");
}

my $remark = q{SELECT obj_description('public.remarked'::regclass)};

# setting, at the origin, in the other regions ('': cannot be), statement, what came of it, from which major
my @cases = (
	[ 'search_path', 'sp1', 'sp2', 'CREATE TABLE placed (id int)', q{SELECT relnamespace::regnamespace FROM pg_class WHERE relname = 'placed'} ],
	[ 'check_function_bodies', 'off', 'on', q{CREATE FUNCTION public.unchecked() RETURNS int LANGUAGE sql AS 'SELECT a FROM nothing'}, q{SELECT prosrc FROM pg_proc WHERE proname = 'unchecked'} ],
	[ 'default_tablespace', 'sd_space1', 'sd_space2', 'CREATE TABLE public.spaced (id int)', q{SELECT spcname FROM pg_class c JOIN pg_tablespace t ON t.oid = reltablespace WHERE relname = 'spaced'} ],
	[ 'default_table_access_method', 'heap2', 'heap3', 'CREATE TABLE public.heaped (id int)', q{SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relname = 'heaped'} ],
	[ 'default_toast_compression', 'lz4', 'pglz', q{ALTER TABLE public.filled ALTER t TYPE text USING repeat('x', 10000)}, 'SELECT pg_column_compression(t) FROM public.filled' ],
	[ 'default_text_search_config', 'pg_catalog.english', 'pg_catalog.simple', q{ALTER TABLE public.filled ADD ts tsvector DEFAULT to_tsvector('the cats')}, value('ts') ],
	[ 'standard_conforming_strings', 'off', 'on', q{COMMENT ON TABLE public.remarked IS 'a\\\\b'}, $remark ],
	[ 'backslash_quote', 'on', 'off', q{COMMENT ON TABLE public.remarked IS E'it\\'s'}, $remark ],
	[ 'transform_null_equals', 'on', 'off', 'CREATE VIEW public.nulls AS SELECT id FROM public.filled WHERE id = NULL', q{SELECT pg_get_viewdef('public.nulls'::regclass)} ],
	[ 'array_nulls', 'off', 'on', q{CREATE TABLE public.array (a text[] DEFAULT '{NULL}')}, default_of('array') ],
	[ 'quote_all_identifiers', 'on', 'off', q{ALTER TABLE public.filled ADD quoted text DEFAULT pg_get_viewdef('public."View"'::regclass)}, value('quoted') ],
	[ 'TimeZone', 'Asia/Kolkata', 'America/Lima', q{CREATE TABLE public.zone (a timestamptz DEFAULT '2020-01-01 00:00')}, default_of('zone') ],
	[ 'timezone_abbreviations', 'Australia', 'India', q{CREATE TABLE public.abbreviation (a timestamptz DEFAULT '2020-01-01 00:00 EST')}, default_of('abbreviation') ],
	[ 'DateStyle', 'ISO, DMY', 'ISO, MDY', q{CREATE TABLE public.date (a date DEFAULT '01/02/2020')}, default_of('date') ],
	[ 'IntervalStyle', 'iso_8601', 'sql_standard', q{ALTER TABLE public.filled ADD iv text DEFAULT ('1 day 2 hours'::interval)::text}, value('iv') ],
	[ 'extra_float_digits', '-5', '1', q{ALTER TABLE public.filled ADD fl text DEFAULT (1::float8 / 3)::text}, value('fl') ],
	[ 'bytea_output', 'escape', 'hex', q{ALTER TABLE public.filled ADD bo text DEFAULT ('\x41'::bytea)::text}, value('bo') ],
	[ 'xmlbinary', 'hex', 'base64', q{ALTER TABLE public.filled ADD xb text DEFAULT xmlelement(name x, '\x4142'::bytea)::text}, value('xb') ],
	[ 'xmloption', 'content', 'document', q{CREATE TABLE public.xml (a xml DEFAULT 'no document')}, default_of('xml') ],
	# what these change needs other locales, or roles of another server: a function keeps the value itself
	[ 'lc_monetary', 'POSIX', 'C', keeping('lc_monetary') ],
	[ 'lc_numeric', 'POSIX', 'C', keeping('lc_numeric') ],
	[ 'lc_time', 'POSIX', 'C', keeping('lc_time') ],
	[ 'createrole_self_grant', 'set', 'inherit', keeping('createrole_self_grant'), 16 ],
	[ 'row_security', 'on', 'off', q{SET ROLE sd_author; ALTER TABLE public.hers ADD n bigint DEFAULT public.secrets()}, 'SELECT n FROM public.hers' ],
	# a region with a session_replication_role has no vote
	[ 'session_replication_role', 'replica', '', 'CREATE TABLE public.accompanied (id int)', q{SELECT coalesce(obj_description('public.accompanied'::regclass), 'null')} ],
	[ 'event_triggers', 'off', 'on', 'CREATE TABLE public.accompanied2 (id int)', q{SELECT coalesce(obj_description('public.accompanied2'::regclass), 'null')}, 17 ],
	[ 'event_triggers', 'on', 'off', 'CREATE TABLE public.accompanied3 (id int)', q{SELECT coalesce(obj_description('public.accompanied3'::regclass), 'null')}, 17 ],
	[ 'allow_system_table_mods', 'on', 'off', 'CREATE TABLE pg_catalog.in_catalog (id int)', q{SELECT relnamespace::regnamespace FROM pg_class WHERE relname = 'in_catalog'} ],
	[ 'icu_validation_level', 'disabled', 'error', q{CREATE COLLATION public.nonsense (provider = icu, locale = 'nonsense-nowhere')}, q{SELECT count(*) FROM pg_collation WHERE collname = 'nonsense'}, 16 ],
	[ 'icu_validation_level', 'warning', 'error', q{CREATE COLLATION public.nonsense2 (provider = icu, locale = 'nonsense-nowhere')}, q{SELECT count(*) FROM pg_collation WHERE collname = 'nonsense2'}, 16 ],
	[ 'restrict_nonsystem_relation_kind', '', 'view', 'ALTER TABLE public.filled ADD vw bigint DEFAULT public.viewed()', value('vw') ],
	[ 'plpgsql.variable_conflict', 'use_column', 'use_variable', 'ALTER TABLE public.filled ADD vc int DEFAULT public.which()', value('vc') ],
	[ 'plpgsql.extra_errors', 'none', 'too_many_rows', 'ALTER TABLE public.filled ADD xe int DEFAULT public.rows()', value('xe') ],
	[ 'plpgsql.extra_errors', 'too_many_rows', 'none', 'ALTER TABLE public.filled ADD xe2 int DEFAULT public.rows()', value('xe2') ],
	[ 'plpgsql.check_asserts', 'off', 'on', 'ALTER TABLE public.filled ADD ca int DEFAULT public.asserts()', value('ca') ],
	[ 'plpgsql.check_asserts', 'on', 'off', 'ALTER TABLE public.filled ADD ca2 int DEFAULT public.asserts()', value('ca2') ]);

# The manual's list is this one.
open my $in, '<', "$FindBin::Bin/../docs/statements.md" or die "docs/statements.md: $!";
my $manual = do { local $/ = undef; <$in> };
close $in;
my ($listed) = $manual =~ /settings that change what DDL means: (.*?)\n\n/s;
my %tested = map { $_->[0] => 1 } @cases;
is(join(' ', sort(($listed // '') =~ /`([^`]+)`/g)), join(' ', sort keys %tested), 'docs/statements.md lists the settings that are tested here');

my $g = SchemaDrift::Group->new(regions => [qw(r1 r2 r3)], databases => 1);
my $server = $g->region('r1');
my $major = int($g->sql('r1', 'SHOW server_version_num') / 10000);

$server->sql('CREATE ROLE sd_author', dbname => 'postgres');
foreach my $space (qw(sd_space1 sd_space2))
{
	$server->sql("SET allow_in_place_tablespaces = on; CREATE TABLESPACE $space LOCATION ''", dbname => 'postgres');
}
foreach my $db (qw(origin third))
{
	$server->sql("CREATE DATABASE $db", dbname => 'postgres');
	$server->sql($before, dbname => $db);
}
$g->make_group(before => $before, mode => 'coordinate');

# Each setting that this server has is a row of the manual's table, or one of the list.
my $settings = $g->sql('r1', q{LOAD 'plpgsql'; SELECT string_agg(name, ' ' ORDER BY name) FROM pg_settings
	WHERE context IN ('user', 'superuser') AND name NOT LIKE 'schemadrift.%'});
my %argued;
foreach my $line (grep { /^\|/ } split /\n/, ($manual =~ /^### Settings that do not travel\n(.*?)(?=^#)/ms)[0] // '')
{
	my ($first) = $line =~ /^\| (.*?) \|/;
	$argued{$_} = 1 foreach ($first // '') =~ /`([^`]+)`/g;
}
my @patterns = map { my $p = quotemeta; $p =~ s/\\\*/.*/g; qr/^$p$/ } sort keys %argued;
is(join(' ', grep { my $name = $_; !$tested{$name} && !grep { $name =~ $_ } @patterns } split / /, $settings), '',
	'docs/statements.md says of each other setting of the server why it does not travel');
is(join(' ', grep { $argued{$_} } sort keys %tested), '', '... and of none that does');

# the third value is the database's: appliers have it from their start
my $neutral = q{SET search_path = public; SET "DateStyle" = 'ISO, YMD'; SET "IntervalStyle" = postgres; SET "TimeZone" = 'UTC'; SET quote_all_identifiers = off;
	SET extra_float_digits = 1; SET bytea_output = hex; SET xmlbinary = base64; SET row_security = on; SET standard_conforming_strings = on;
	SET restrict_nonsystem_relation_kind = '';};

sub installed
{
	my ($name, $value, $from) = @_;

	return 0 if ($from // 0) > $major;
	return 1 if $name =~ /\./;
	return $g->sql('r1', "SELECT count(*) FROM pg_settings WHERE name = '$name' AND (enumvals IS NULL OR '$value' = ANY (enumvals))") eq '1';
}

sub found
{
	my ($dbname, $probe) = @_;
	my $r = $server->try("$neutral $probe", dbname => $dbname);

	return $r->{ok} ? $r->{out} : "$r->{sqlstate} $r->{message}";
}

foreach my $case (@cases)
{
	my ($name, $here, $third, $ddl, $probe, $from) = @$case;
	my $what = "$name = '$here', elsewhere '$third'";

	SKIP:
	{
		skip("$what: not on this server", 1) if !installed($name, $here, $from);
		if ($third ne '')
		{
			foreach my $region (qw(r2 r3))
			{
				$server->sql("ALTER DATABASE $region SET $name = " . ($name eq 'search_path' || $name eq 'DateStyle' ? $third : "'$third'"), dbname => 'postgres');
				# the next one is a process that has it
				$server->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$region' AND backend_type = 'schemadrift applier'", dbname => 'postgres');
			}
		}
		my $set = sub { my ($v) = @_; return "SELECT set_config('$name', '$v', false); $ddl"; };
		$server->try($set->($here), dbname => 'origin');
		$server->try($set->($third eq '' ? 'origin' : $third), dbname => 'third');
		my $expected = found('origin', $probe);
		isnt(found('third', $probe), $expected, "$what: a plain server makes a difference");
		my $since = $g->sql('r1', 'SELECT max(version) FROM schemadrift_store.log');
		my $r = $g->try('r1', $set->($here));
		is($r->{sqlstate}, '00000', '... the origin does it') or diag($r->{err});
		is($g->sql('r1', "SELECT count(*) FROM schemadrift_store.log WHERE version > $since"), 1, '... as one version');
		ok($g->converged, '... the regions are equal') or BAIL_OUT($what);
		is(join(' / ', map { found($_, $probe) } qw(r1 r2 r3)), join(' / ', ($expected) x 3), '... to a plain server with that value');
		$server->sql("ALTER DATABASE $_ RESET $name", dbname => 'postgres') foreach qw(r2 r3);
	}
}

# Who may set what not everybody may is the author's business: a region does no more for an entry than PostgreSQL would for him.
$server->sql('GRANT SET ON PARAMETER session_replication_role TO sd_author', dbname => 'postgres');
$g->sql('r1', 'SET ROLE sd_author; SET session_replication_role = replica; CREATE TABLE public.granted (id int)');
ok($g->converged, 'a role that may set session_replication_role');
$g->sql('r1', 'SET session_replication_role = replica; SET ROLE sd_author; CREATE TABLE public.granted2 (id int)');
ok($g->converged, '... or whose session user may');

# a script that disables triggers for itself, and one that runs where they are disabled
$g->sql('r1', q{SELECT schemadrift.apply('script', 'CREATE TABLE audit (t text); CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO audit VALUES (''seen''); RETURN NULL; END $$; CREATE TRIGGER seen AFTER INSERT ON remarked EXECUTE FUNCTION seen()')});
$g->sql('r1', q{SET session_replication_role = replica; SELECT schemadrift.apply('rows', 'INSERT INTO remarked VALUES (1)')});
ok($g->converged, 'a script under session_replication_role = replica');
is(join(' ', map { $g->sql($_, 'SELECT count(*) FROM audit') } $g->names), '0 0 0', '... fires the triggers of no region');

foreach my $name ($g->names)
{
	is($g->sql($name, 'SELECT count(*) FROM schemadrift.verify()'), 0, "$name looks at all of its schema, and finds no drift");
}
done_testing();
