# One change of the schema, by every way in that a client has: how many versions it makes, what is in them (text, author, role), and
# that the regions are equal after it.
#
# Elsewhere: what is captured, without a group: sql/gate.sql (savepoints, DO, functions, EXCEPTION, event triggers, extensions, temporary objects,
# no-ops, roles, awkward characters), sql/gate_script.sql; apply() as its author: t/040_apply.pl; settings: t/273_settings.pl; each command tag: t/272_tags.pl;
# sessions of migration tools: t/270_history.pl.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use SchemaDrift::Group;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(r1 r2 r3)], databases => 1);
my $server = $g->region('r1');
my $n = 0;

$server->sql('CREATE ROLE sd_ann LOGIN; CREATE ROLE sd_ben; GRANT sd_ben TO sd_ann', dbname => 'postgres');
$g->make_group(mode => 'coordinate', before => <<'SQL');
CREATE TABLE t (id int); CREATE TABLE anns (id int); ALTER TABLE anns OWNER TO sd_ann; CREATE TABLE bens (id int); ALTER TABLE bens OWNER TO sd_ben;
CREATE TABLE fires (id int);
CREATE FUNCTION add(what text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('ALTER TABLE t ADD %I int', what); END $$;
CREATE FUNCTION nested(what text) RETURNS void LANGUAGE sql AS 'SELECT public.add(what)';
CREATE FUNCTION by_sql() RETURNS void LANGUAGE sql AS 'ALTER TABLE public.t ADD by_sql int';
CREATE FUNCTION definer() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN ALTER TABLE public.t ADD definer int; END';
CREATE PROCEDURE commits() LANGUAGE plpgsql AS 'BEGIN ALTER TABLE t ADD before_commit int; COMMIT; ALTER TABLE t ADD after_commit int; END';
CREATE PROCEDURE half() LANGUAGE plpgsql AS 'BEGIN ALTER TABLE t ADD kept_half int; COMMIT; ALTER TABLE t ADD lost_half int; ROLLBACK; END';
CREATE FUNCTION row_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN ALTER TABLE t ADD by_trigger int; RETURN NULL; END';
CREATE TRIGGER row_trigger AFTER INSERT ON fires FOR EACH ROW EXECUTE FUNCTION row_trigger();
CREATE FUNCTION follow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
	IF tg_tag = 'CREATE SEQUENCE' THEN ALTER TABLE public.t ADD followed int; END IF;
	IF tg_tag = 'CREATE DOMAIN' THEN PERFORM schemadrift.apply('inside', 'ALTER TABLE public.t ADD inside int'); END IF; END $$;
CREATE EVENT TRIGGER follow ON ddl_command_end EXECUTE FUNCTION follow();
SQL

sub typed { my ($sql, %o) = @_; return sub { return $g->try('r1', $sql, %o); }; }

# Another program than the harness' psql, with SQL of its own in a file.
sub by_file
{
	my ($text, @command) = @_;

	return sub {
		my $file = $server->basedir . '/way' . ++$n . '.sql';

		PostgreSQL::Test::Utils::append_to_file($file, $text);
		my ($out, $err) = ('', '');
		my $ok = IPC::Run::run([ map { $_ eq 'FILE' ? $file : $_ eq 'DB' ? $server->connstr('r1') : $_ } @command ], '>', \$out, '2>', \$err);
		return { ok => $ok, sqlstate => $ok ? '00000' : '?', out => $out, err => "$out$err" };
	};
}
sub pgbench { my ($mode, $text) = @_; return by_file($text, 'pgbench', '-n', '-t', 1, '-M', $mode, '-f', 'FILE', 'DB'); }

# Texts, in order, and who ran them, of the versions after this one; from the entries as they are kept in another region.
sub entries
{
	my ($since) = @_;

	return [ split /\n/, $g->sql('r2', qq{SELECT string_agg(l.author || ' ' || (j #> '{commands,run_as}' -> (c ->> 'run_as')::int ->> 'user') ||
			CASE WHEN (j #> '{commands,run_as}' -> (c ->> 'run_as')::int ->> 'local_user')::bool THEN ' local' ELSE '' END || ': ' || (c ->> 'text'), E'\\n' ORDER BY l.version, u.nth)
		FROM schemadrift_store.log l, LATERAL (SELECT split_part(convert_from(body, 'UTF8'), E'\\n', 2)::jsonb AS j) b,
			LATERAL jsonb_array_elements(j #> '{commands,commands}') WITH ORDINALITY AS u (c, nth)
		WHERE l.version > $since AND l.kind = 'migration'}) ];
}
my $me = $g->sql('r1', 'SELECT current_user');
sub mine { my (@texts) = @_; return [ map { "$me $me: $_" } @texts ]; }

# where a statement begins that a comment precedes, the server's parser says: from 18 on behind it
my $two = $g->region('r1')->sql('SHOW server_version_num', dbname => 'postgres') >= 180000 ? '' : '/* two */ ';

# what, how, versions, texts
my @ways = (
	[ 'alone', typed('ALTER TABLE t ADD alone int'), 1, mine('ALTER TABLE t ADD alone int') ],
	[ 'a string of two statements', typed("ALTER TABLE t ADD s1 int\\;  /* two */ ALTER TABLE t ADD s2 int"), 1, mine('ALTER TABLE t ADD s1 int', "${two}ALTER TABLE t ADD s2 int") ],
	[ 'a string with queries between', typed("SELECT 1\\; ALTER TABLE t ADD s3 int\\; SELECT 2"), 1, mine('ALTER TABLE t ADD s3 int') ],
	[ 'a string that fails in the end', typed("ALTER TABLE t ADD s4 int\\; SELECT 1/0"), 0, [], '22012' ],
	[ 'a string that is a transaction', typed("BEGIN\\; ALTER TABLE t ADD s5 int\\; ALTER TABLE t ADD s6 int\\; COMMIT"), 1, mine('ALTER TABLE t ADD s5 int', 'ALTER TABLE t ADD s6 int') ],
	[ 'a string with COMMIT in it', typed("ALTER TABLE t ADD s7 int\\; COMMIT\\; ALTER TABLE t ADD s8 int"), 2, mine('ALTER TABLE t ADD s7 int', 'ALTER TABLE t ADD s8 int') ],
	[ 'a string that commits, then fails', typed("ALTER TABLE t ADD s9 int\\; COMMIT\\; ALTER TABLE t ADD s10 int\\; SELECT 1/0"), 1, mine('ALTER TABLE t ADD s9 int'), '22012' ],
	[ 'COMMIT AND CHAIN', typed('BEGIN; ALTER TABLE t ADD ch1 int; COMMIT AND CHAIN; ALTER TABLE t ADD ch2 int; COMMIT'), 2, mine('ALTER TABLE t ADD ch1 int', 'ALTER TABLE t ADD ch2 int') ],
	[ 'ROLLBACK AND CHAIN', typed('BEGIN; ALTER TABLE t ADD rc1 int; ROLLBACK AND CHAIN; ALTER TABLE t ADD rc2 int; COMMIT'), 1, mine('ALTER TABLE t ADD rc2 int') ],
	[ 'AUTOCOMMIT off', typed("\\set AUTOCOMMIT off\nALTER TABLE t ADD ac1 int; ALTER TABLE t ADD ac2 int; COMMIT"), 1, mine('ALTER TABLE t ADD ac1 int', 'ALTER TABLE t ADD ac2 int') ],
	[ 'built by a query: \gexec', typed("SELECT format('ALTER TABLE t ADD ge%s int', i) FROM generate_series(1, 2) i \\gexec\nSELECT 1"), 2, mine('ALTER TABLE t ADD ge1 int', 'ALTER TABLE t ADD ge2 int') ],
	[ 'psql -1', by_file("ALTER TABLE t ADD one1 int;\nALTER TABLE t ADD one2 int;\n", 'psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-f', 'FILE', '-d', 'DB'), 1, mine('ALTER TABLE t ADD one1 int', 'ALTER TABLE t ADD one2 int') ],
	[ 'psql -1 that fails', by_file("ALTER TABLE t ADD two1 int;\nSELECT 1/0;\n", 'psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-f', 'FILE', '-d', 'DB'), 0, [], '?' ],
	[ 'the simple protocol', pgbench('simple', "ALTER TABLE t ADD pb1 int;\n"), 1, mine('ALTER TABLE t ADD pb1 int') ],
	[ 'the extended protocol', pgbench('extended', "ALTER TABLE t ADD pb2 int;\n"), 1, mine('ALTER TABLE t ADD pb2 int') ],
	[ 'a prepared statement', pgbench('prepared', "ALTER TABLE t ADD pb3 int;\n"), 1, mine('ALTER TABLE t ADD pb3 int') ],
	[ 'prepared statements in a transaction', pgbench('prepared', "BEGIN;\nALTER TABLE t ADD pb4 int;\nSELECT 1;\nALTER TABLE t ADD pb5 int;\nCOMMIT;\n"), 1, mine('ALTER TABLE t ADD pb4 int', 'ALTER TABLE t ADD pb5 int') ],
	[ 'a pipeline', pgbench('extended', "\\startpipeline\nALTER TABLE t ADD pl1 int;\nALTER TABLE t ADD pl2 int;\n\\endpipeline\n"), 1, mine('ALTER TABLE t ADD pl1 int', 'ALTER TABLE t ADD pl2 int') ],
	[ 'a pipeline of prepared statements with two transactions', pgbench('prepared', "\\startpipeline\nBEGIN;\nALTER TABLE t ADD pl3 int;\nCOMMIT;\nBEGIN;\nALTER TABLE t ADD pl4 int;\nCOMMIT;\n\\endpipeline\n"), 2, mine('ALTER TABLE t ADD pl3 int', 'ALTER TABLE t ADD pl4 int') ],
	[ 'a pipeline that fails', pgbench('extended', "\\startpipeline\nALTER TABLE t ADD pl5 int;\nSELECT 1/0;\n\\endpipeline\n"), 0, [], '?' ],
	[ 'a function', typed(q{SELECT add('fn')}), 1, mine('ALTER TABLE t ADD fn int') ],
	[ 'a function of SQL', typed('SELECT by_sql()'), 1, mine('ALTER TABLE public.t ADD by_sql int') ],
	[ 'a function in a function', typed(q{SELECT nested('ne')}), 1, mine('ALTER TABLE t ADD ne int') ],
	[ 'a function for each row', typed(q{SELECT add('fr' || i) FROM generate_series(1, 3) i}), 1, mine(map { "ALTER TABLE t ADD fr$_ int" } 1 .. 3) ],
	[ 'a DO block', typed('DO $$ BEGIN ALTER TABLE t ADD do1 int; PERFORM add(\'do2\'); END $$'), 1, mine('ALTER TABLE t ADD do1 int', 'ALTER TABLE t ADD do2 int') ],
	[ 'a DO block that commits', typed('DO $$ BEGIN ALTER TABLE t ADD do3 int; COMMIT; ALTER TABLE t ADD do4 int; END $$'), 2, mine('ALTER TABLE t ADD do3 int', 'ALTER TABLE t ADD do4 int') ],
	[ 'a procedure that commits', typed('CALL commits()'), 2, mine('ALTER TABLE t ADD before_commit int', 'ALTER TABLE t ADD after_commit int') ],
	[ 'a procedure that commits and rolls back', typed('CALL half()'), 1, mine('ALTER TABLE t ADD kept_half int') ],
	[ 'a trigger', typed('INSERT INTO fires VALUES (1)'), 1, mine('ALTER TABLE t ADD by_trigger int') ],
	[ 'an event trigger of others', typed('CREATE SEQUENCE followed'), 1, mine('CREATE SEQUENCE followed') ],
	[ 'an event trigger that calls apply()', typed('CREATE DOMAIN inside AS int'), 0, [], 'SD004' ],
	[ 'an extension', typed('CREATE EXTENSION hstore'), 1, mine('CREATE EXTENSION hstore') ],
	[ 'savepoints', typed('BEGIN; ALTER TABLE t ADD sv1 int; SAVEPOINT a; ALTER TABLE t ADD sv2 int; SAVEPOINT b; ALTER TABLE t ADD sv3 int; RELEASE b; ROLLBACK TO a;
		ALTER TABLE t ADD sv4 int; SAVEPOINT c; ALTER TABLE t ADD sv5 int; RELEASE c; COMMIT'), 1, mine(map { "ALTER TABLE t ADD sv$_ int" } 1, 4, 5) ],
	[ 'all rolled back to a savepoint', typed('BEGIN; SAVEPOINT a; ALTER TABLE t ADD sv6 int; ROLLBACK TO a; COMMIT'), 0, [] ],
	[ 'EXCEPTION', typed('DO $$ BEGIN BEGIN ALTER TABLE t ADD ex1 int; PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN ALTER TABLE t ADD ex2 int; END;
		BEGIN ALTER TABLE t ADD ex3 int; EXCEPTION WHEN OTHERS THEN NULL; END; END $$'), 1, mine('ALTER TABLE t ADD ex2 int', 'ALTER TABLE t ADD ex3 int') ],
	[ 'temporary objects between', typed('BEGIN; CREATE TEMP TABLE x (id int); ALTER TABLE t ADD tm1 int; ALTER TABLE x ADD y int; CREATE INDEX ON x (id); DROP TABLE x; ALTER TABLE t ADD tm2 int; COMMIT'),
		1, mine('ALTER TABLE t ADD tm1 int', 'ALTER TABLE t ADD tm2 int') ],
	[ 'temporary objects only', typed('BEGIN; CREATE TEMP TABLE x (id int); ALTER TABLE x ADD y int; COMMIT'), 0, [] ],
	[ 'what is there already', typed('BEGIN; CREATE TABLE IF NOT EXISTS t (id int); ALTER TABLE t ADD IF NOT EXISTS id int; DROP TABLE IF EXISTS nothing; COMMIT'), 0, [] ],
	[ 'what is there already, and more', typed('BEGIN; CREATE TABLE IF NOT EXISTS t (id int); ALTER TABLE t ADD IF NOT EXISTS ie1 int; COMMIT'), 1, mine('ALTER TABLE t ADD IF NOT EXISTS ie1 int') ],
	[ 'a plain role', typed('ALTER TABLE anns ADD own int', user => 'sd_ann'), 1, ['sd_ann sd_ann: ALTER TABLE anns ADD own int'] ],
	[ 'SET ROLE', typed('SET ROLE sd_ben; ALTER TABLE bens ADD role int', user => 'sd_ann'), 1, ['sd_ann sd_ben: ALTER TABLE bens ADD role int'] ],
	[ 'SET LOCAL ROLE for one of two', typed('BEGIN; ALTER TABLE anns ADD r1 int; SET LOCAL ROLE sd_ben; ALTER TABLE bens ADD r2 int; COMMIT', user => 'sd_ann'), 1,
		[ 'sd_ann sd_ann: ALTER TABLE anns ADD r1 int', 'sd_ann sd_ben: ALTER TABLE bens ADD r2 int' ] ],
	[ 'SET SESSION AUTHORIZATION', typed('SET SESSION AUTHORIZATION sd_ben; ALTER TABLE bens ADD auth int'), 1, ['sd_ben sd_ben: ALTER TABLE bens ADD auth int'] ],
	[ 'SECURITY DEFINER', typed('SELECT definer()', user => 'sd_ann'), 1, ["sd_ann $me local: ALTER TABLE public.t ADD definer int"] ],
	# sd_ann has sd_ben's rights, not he hers
	[ 'who may not', typed('ALTER TABLE bens ADD stolen int; SET ROLE sd_ben; ALTER TABLE anns ADD stolen int', user => 'sd_ann'), 1, ['sd_ann sd_ann: ALTER TABLE bens ADD stolen int'], '42501' ]);
my ($psql) = qx{psql --version} =~ /\) (\d+)/;

push @ways, [ 'psql \bind', typed("ALTER TABLE t ADD bound int \\bind \\g\nSELECT 1"), 1, mine('ALTER TABLE t ADD bound int') ] if $psql >= 16;

foreach my $way (@ways)
{
	my ($what, $how, $versions, $texts, $sqlstate) = @$way;
	my $since = $g->sql('r1', 'SELECT max(version) FROM schemadrift_store.log');
	my $r = $how->();

	is($r->{sqlstate}, $sqlstate // '00000', $what) or diag($r->{err});
	is($g->sql('r1', "SELECT count(*) FROM schemadrift_store.log WHERE version > $since"), $versions, "$what: $versions versions");
	ok($g->converged, '... all regions are equal') or BAIL_OUT($what);
	is_deeply(entries($since), $texts, '... the entry says who and what');
}
is($g->sql($_, q{SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'followed'}), 1, "the event trigger did in $_ what it does") foreach $g->names;
is($g->sql($_, 'SELECT count(*) FROM schemadrift.verify()'), 0, "$_ looks at all of its schema, and finds no drift") foreach $g->names;
done_testing();
