# Attacks: by who may log in, by who may migrate, by another region that speaks nonsense, by who owns a database beside ours.  Each
# claim of docs/security.md that needs a running group is one of the tests here; who may call what is sql/rights.sql, TLS t/175_tls.pl.
#
# Regions are databases of one server.  Nobody but superusers and the peers may connect to ap-south: what others change is
# applied there by a process of the bootstrap superuser, in the author's name.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use Test::More;

use SchemaDrift::Scenario;


my $g = SchemaDrift::Group->new(databases => 1, regions => 3, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
schemadrift.lease_duration = 1s
schemadrift.retry_max_interval = 1s
log_statement = none
CONF
$g->make_group(mode => 'coordinate');
my ($us, $ap, $eu) = $g->names;
my $server = $g->region($us);
my $owner = $g->sql($us, 'SELECT current_user');

$server->sql(<<"SQL", dbname => 'postgres');
CREATE ROLE alice LOGIN IN ROLE schemadrift_migrator; CREATE ROLE bob LOGIN; CREATE ROLE mallory LOGIN CREATEDB;
CREATE ROLE carol LOGIN IN ROLE schemadrift_migrator; CREATE ROLE watcher LOGIN IN ROLE schemadrift_monitor; CREATE ROLE chief LOGIN IN ROLE schemadrift_admin;
REVOKE CONNECT ON DATABASE "$ap" FROM PUBLIC; GRANT CONNECT ON DATABASE "$ap" TO region_peer;
SQL
$g->sql($us, 'GRANT CREATE ON SCHEMA public TO alice, bob');

# Who runs our code?  spy() notes it, and tries on the way to become somebody more powerful.
$g->sql($us, <<'SQL', user => 'alice');
BEGIN;
CREATE TABLE public.seen (who name, session name, what text);
CREATE FUNCTION public.spy(what text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	attempt text;
BEGIN
	FOREACH attempt IN ARRAY ARRAY['RESET ROLE', 'SET ROLE NONE', 'RESET SESSION AUTHORIZATION', 'SELECT set_config(''role'', ''none'', false)']
	LOOP
		BEGIN
			EXECUTE attempt;
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	INSERT INTO public.seen VALUES (current_user, session_user, what);
	RETURN true;
END $$;
COMMIT;
SQL
ok($g->converged, 'a spy is everywhere');

# Nobody but its owner, or who has less, has run it.
sub nobody_else
{
	my ($what, @who) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $named = join ', ', map { "'$_'" } 'alice', @who;

	return is_deeply({ map { $_ => $g->sql($_, "SELECT string_agg(DISTINCT who || ' ' || what, ', ') FROM public.seen WHERE who NOT IN ($named)") } $us, $ap, $eu },
		{ $us => '', $ap => '', $eu => '' }, $what);
}

sub spied
{
	my ($where, $what) = @_;

	return $g->sql($where, "SELECT count(*) > 0 FROM public.seen WHERE what = '$what'") eq 't';
}

sub quoted
{
	my ($text) = @_;

	$text =~ s/'/''/g;
	return "'$text'";
}

# One by alice that must work.
sub apply
{
	my ($name, $up, $down) = @_;

	return $g->sql($us, sprintf('SELECT schemadrift.apply(%s)', join ', ', map { quoted($_) } $name, $up, $down // 'SELECT 1'), user => 'alice');
}

# --- a migration's text runs as its author, until its very end

$g->sql($us, <<'SQL', user => 'alice');
BEGIN;
CREATE TABLE public.first (what text);
CREATE TABLE public.second (what text);
CREATE FUNCTION public.hop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	SET CONSTRAINTS ALL DEFERRED;
	INSERT INTO public.second VALUES (NEW.what);
	RETURN NULL;
END $$;
CREATE FUNCTION public.spy_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.spy(NEW.what); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON public.first DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.hop();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON public.second DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.spy_trigger();
COMMIT;
SQL
apply('late', q{CREATE TABLE public.late (); INSERT INTO public.first VALUES ('deferred trigger')},
	q{DROP TABLE public.late; INSERT INTO public.first VALUES ('deferred again')});
ok($g->converged, 'a migration whose triggers wait for the commit, and defer others then');
ok(spied($_, 'deferred trigger'), "... they ran in $_") foreach $us, $ap, $eu;
nobody_else('... as its author, also where the process that applies it is a superuser\'s');

# who takes it back runs nothing of it with rights of his own, and finds nothing of it in his session afterwards
refused($g->try($us, q{SELECT schemadrift.revert('late')}), '42501', 'a superuser reverts: no trigger of the author\'s is left for his commit');
my %trap = (
	'a temporary table' => 'CREATE TEMPORARY TABLE seen (x int)',
	'a prepared statement' => 'PREPARE trap AS SELECT public.spy(\'prepared\')',
	'a cursor' => 'DECLARE c CURSOR WITH HOLD FOR SELECT public.spy(\'cursor\')',
	'a role' => "SET ROLE \"$owner\"",
	'a session user' => "SET SESSION AUTHORIZATION \"$owner\"",
	'the old role' => 'RESET ROLE');
foreach my $what (sort keys %trap)
{
	apply("trap $what", 'SELECT 1', $trap{$what});
	my $r = $g->try($us, "SELECT schemadrift.revert('trap $what')");

	is($r->{sqlstate}, '42501', "nor does a way back leave $what") or diag($r->{err});
	like($r->{context} // '', qr/way back of migration "trap \Q$what\E", run with the rights of role "alice"/, '... and it says whose text that was');
}
apply('set', 'SELECT 1', q{SET search_path = pg_temp; SELECT public.spy('way back')});
my $session = $g->session($us);
my $r = $session->query(q{SELECT schemadrift.revert('set'); SHOW search_path;});
like($r->{out}, qr/"\$user", public/, 'a setting ends with the way back') or diag($r->{err});
ok($g->converged, '... which runs everywhere');
ok(spied($_, 'way back'), "... in $_") foreach $us, $ap, $eu;
nobody_else('... as its author');
refused($g->try($us, q{SELECT schemadrift.revert('late')}, user => 'carol'), '42501', 'another migrator does not revert what is not hers');
ok($g->try($us, q{SELECT schemadrift.revert('late')}, user => 'alice')->{ok}, 'the author reverts what she wrote, triggers and all');
ok($g->converged, '... everywhere');
nobody_else('... as herself');

# whatever a text says to become somebody else
my %escape = (
	'SET ROLE' => qq{SET ROLE "$owner"},
	'SET LOCAL ROLE' => qq{SET LOCAL ROLE "$owner"},
	'SET SESSION AUTHORIZATION' => qq{SET SESSION AUTHORIZATION "$owner"},
	'set_config' => qq{SELECT set_config('role', '$owner', false)},
	'DO' => qq{DO \$\$ BEGIN EXECUTE 'SET ROLE "$owner"'; END \$\$},
	'a function with SET role' => qq{CREATE FUNCTION public.f() RETURNS void LANGUAGE sql SET role = '$owner' AS ''; SELECT public.f()},
	'ALTER ROLE SET role' => qq{ALTER ROLE "$owner" SET role = 'alice'},
	'pg_catalog' => q{UPDATE pg_authid SET rolsuper = true WHERE rolname = 'alice'},
	'COPY PROGRAM' => q{DO $$ BEGIN COPY public.seen FROM PROGRAM 'id'; END $$},
	'an untrusted function' => q{CREATE FUNCTION public.f() RETURNS void LANGUAGE c AS 'x'},
	'replication role' => q{SET session_replication_role = replica});
foreach my $how (sort keys %escape)
{
	refused($g->try($us, "SELECT schemadrift.apply('escape', \$text\$$escape{$how}\$text\$)", user => 'alice'), '42501', "no escape by $how");
}
apply('resets', q{SELECT public.spy('in the text'); DO $$ BEGIN PERFORM public.spy('in DO'); END $$;
	CREATE FUNCTION public.definer(what text) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'SELECT public.spy(what)'; SELECT public.definer('by SECURITY DEFINER')});
ok($g->converged, 'RESET ROLE and its like, tried wherever the text is run');
ok(spied($ap, $_), "... $_") foreach 'in the text', 'in DO', 'by SECURITY DEFINER';
nobody_else('... reach nobody');

# what a role has set for its own sessions changes nothing where its entries are applied
$server->sql("ALTER ROLE alice SET $_", dbname => 'postgres') foreach 'default_transaction_read_only = on', 'default_transaction_isolation = serializable', "statement_timeout = '1ms'",
  'exit_on_error = on', "schemadrift.scope = 'local'", "schemadrift.ddl_mode = 'off'", 'role = bob', 'search_path = pg_temp', 'lock_timeout = 1';
$g->sql($us, q{SET SESSION AUTHORIZATION alice; SELECT schemadrift.apply('as set', 'CREATE TABLE public.as_set (); SELECT pg_sleep(0.1)', 'DROP TABLE public.as_set')});
ok($g->converged, 'a role with settings of all kinds is applied all the same') or diag($g->sql($us, 'TABLE schemadrift.migration_status'));
$server->sql('ALTER ROLE alice RESET ALL', dbname => 'postgres');

# it runs as her, so she can end it
apply('slow', "CREATE TABLE public.slow (); SELECT pg_sleep(CASE WHEN current_database() = '$eu' THEN 8 ELSE 0 END)", 'DROP TABLE public.slow');
ok($g->wait_until($us, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'schemadrift applier' AND datname = '$eu' AND wait_event = 'PgSleep'", 1), 'a change takes its time');
is($g->sql($us, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'schemadrift applier' AND datname = '$eu'", user => 'alice'), 't',
	'an author ends the process that applies her change');
ok($g->converged, '... which is begun again');

# an online statement about nothing
$r = $g->try($us, q{CALL schemadrift.apply_online('of nothing', 'DROP INDEX CONCURRENTLY IF EXISTS public.nothing')}, user => 'alice');
ok($r->{ok}, 'an online statement of what does not exist ends well') or diag($r->{err});
ok($g->converged, '... everywhere');

# --- what runs while others look at her objects, or change them

$g->sql($us, <<'SQL', user => 'alice');
BEGIN;
CREATE FUNCTION public.quiet(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.spy(what); END $$;
CREATE DOMAIN public.d AS int CHECK (public.quiet('domain'));
CREATE TABLE public.mined (id public.d DEFAULT 1 CHECK (public.quiet('check')), by_default boolean DEFAULT public.quiet('default'), v boolean GENERATED ALWAYS AS (public.quiet('generated')) STORED);
CREATE INDEX mined_i ON public.mined ((public.quiet('index'))) WHERE public.quiet('predicate');
CREATE STATISTICS public.mined_s ON (public.quiet('statistics')), id FROM public.mined;
CREATE POLICY p ON public.mined USING (public.quiet('policy'));
ALTER TABLE public.mined ENABLE ROW LEVEL SECURITY;
CREATE VIEW public.mined_v WITH (security_invoker) AS SELECT public.quiet('view') AS a FROM public.mined;
CREATE RULE r AS ON UPDATE TO public.mined DO ALSO SELECT public.quiet('rule');
CREATE TRIGGER t BEFORE INSERT ON public.mined FOR EACH ROW WHEN (public.quiet('when')) EXECUTE FUNCTION public.spy_trigger();
COMMIT;
SQL
ok($g->converged, 'functions of hers in all that has expressions');
$g->sql($us, q{INSERT INTO public.first SELECT 'x' WHERE false; SELECT schemadrift_store.digest_rebuild(); SELECT count(*) FROM schemadrift_store.digest_scan();
	SELECT count(*) FROM schemadrift_rpc.objects(1);});
$g->sql($us, q{GRANT SELECT ON public.mined TO bob});
$g->sql($us, q{ALTER TABLE public.mined ADD plain int});
$g->sql($us, q{SELECT schemadrift.apply('look', 'COMMENT ON TABLE public.mined IS ''looked at''', 'COMMENT ON TABLE public.mined IS NULL')});
ok($g->converged, 'a superuser changes them, all regions take digests');
$r = $g->try($us, q{CREATE INDEX CONCURRENTLY first_c ON public.first ((public.quiet('concurrent')))}, user => 'alice');
ok($r->{ok}, 'an index is built concurrently on an expression of hers') or diag($r->{err});
ok(spied($_, 'concurrent'), "... which is evaluated in $_") foreach $us, $ap, $eu;
nobody_else('... and no digest, no comparison and no applier calls what is hers');

# names are found in pg_catalog, whatever stands before it
my @hostile = map { my $op = $_; map { [ $op, @$_ ] } [qw(text text)], [qw(bigint bigint)], [qw(name name)], [qw(name text)], [qw(oid oid)], [qw(uuid uuid)], [qw("char" "char")], [qw(integer integer)] } '=', '<>', '<=', '>';
my $i = 0;
$g->sql($us, join('', 'BEGIN;', map { $i++; my ($op, $l, $r) = @$_;
	"CREATE FUNCTION public.hostile_$i($l, $r) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN public.spy(''operator''); END';"
	. "CREATE OPERATOR public.$op (FUNCTION = public.hostile_$i, LEFTARG = $l, RIGHTARG = $r);" } @hostile)
	. join('', map { "CREATE FUNCTION public.$_ LANGUAGE plpgsql AS 'BEGIN PERFORM public.spy(''function''); RETURN NULL; END';" }
		'format(text, text, text) RETURNS text', 'round(numeric, integer) RETURNS numeric', 'clock_timestamp() RETURNS timestamptz',
		'current_database() RETURNS name', 'convert_from(bytea, text) RETURNS text', 'apply(text, text) RETURNS bigint')
	. 'COMMIT;', user => 'alice');
my $path = 'SET search_path = public, pg_catalog, pg_temp;';
$g->sql($us, "$path TABLE schemadrift.$_;") foreach qw(status regions migrations migration_status tasks policy decisions lease peer_conninfo drift);
$g->sql($us, "$path $_;") foreach q{SELECT schemadrift.outcome('late')}, q{SELECT schemadrift.migration_text(7)}, q{CALL schemadrift.wait_for(7)},
  q{SELECT schemadrift.set_policy('{"require_down": false}')}, q{SELECT schemadrift.apply('pathed', 'CREATE TABLE public.pathed ()', 'DROP TABLE public.pathed')},
  q{SELECT schemadrift.revert('pathed')}, q{CALL schemadrift.apply_online('built', 'CREATE INDEX CONCURRENTLY built ON public.first (what)')},
  q{CREATE TABLE public.pathed_ddl ()}, q{SELECT schemadrift_store.digest_rebuild()}, sprintf(q{SELECT schemadrift.compare('%s')}, $g->conninfo($ap)), "SELECT schemadrift.diff('$ap')", 'SELECT schemadrift.drift_text()';
ok($g->converged, 'every view and call, with operators and functions of hers first in the search_path');
nobody_else('... none of them is called');
$g->sql($us, q{CREATE TEMPORARY TABLE pg_class AS SELECT 1 AS oid; CREATE TEMPORARY TABLE pg_namespace (x int); CREATE TEMPORARY VIEW pg_cursors AS SELECT public.spy('temporary view');
	CREATE TEMPORARY VIEW log AS SELECT public.spy('temporary view'); CREATE TABLE public.hidden (); SELECT schemadrift.apply('temped', 'SELECT 1', 'SELECT 1');}, user => 'alice');
ok($g->converged, 'temporary relations in the way of the catalogs\' names');
nobody_else('... are not looked at');

# event triggers of others see who changes the schema, not who applies it
$g->sql($us, q{CREATE FUNCTION public.noted() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (current_user, session_user, 'event trigger'); END $$});
$g->sql($us, 'CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION public.noted()');
$g->sql($us, 'GRANT INSERT ON public.seen TO PUBLIC', user => 'alice');
$g->sql($us, 'CREATE TABLE public.of_bob ()', user => 'bob');
$g->sql($us, 'DROP EVENT TRIGGER noted');
ok($g->converged, 'DDL under an event trigger');
is($g->sql($ap, q{SELECT string_agg(DISTINCT who, ' ') FROM public.seen WHERE what = 'event trigger' AND who <> 'alice'}), "bob", '... runs it as its author, where a superuser\'s process applies it')
  or diag($g->sql($ap, 'SELECT DISTINCT * FROM public.seen'));
$g->sql($us, q{DELETE FROM public.seen WHERE what = 'event trigger'}), $g->sql($_, q{DELETE FROM public.seen WHERE what = 'event trigger'}) foreach $us, $ap, $eu;
refused($g->try($us, 'CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION public.noted()', user => 'alice'), '42501', 'nobody but a superuser makes one');

# --- names

my @names = ('with "quotes" and \'others\'', "back\\slash", "new\nline", "'; DROP TABLE public.seen; --", 'select', '$$', 'ü' x 31, '日本' x 10, '%s %n', "tab\tand\rreturn");
foreach my $name (@names)
{
	(my $quoted = $name) =~ s/"/""/g;
	(my $literal = $name) =~ s/'/''/g;
	my $bad = 0;

	$bad ||= !$g->try($us, qq{CREATE TABLE public."$quoted" ("$quoted" int DEFAULT 1 CONSTRAINT "$quoted" CHECK ("$quoted" > 0)); COMMENT ON TABLE public."$quoted" IS '$literal';}, user => 'alice')->{ok};
	$bad ||= !$g->try($us, qq{CREATE ROLE "role $quoted" LOGIN; GRANT SELECT ON public."$quoted" TO "role $quoted"; GRANT CREATE ON SCHEMA public TO "role $quoted";
		GRANT schemadrift_migrator TO "role $quoted"})->{ok};
	$bad ||= !$g->try($us, qq{SET SESSION AUTHORIZATION "role $quoted"; CREATE TABLE public."by $quoted" ();})->{ok};
	ok(!$bad, 'a table, a column, a constraint, a comment, a role named ' . $name =~ s/[^ -~]/?/gr);
}
ok($g->converged, 'such names arrive everywhere as they are');
is($g->sql($_, 'SELECT count(*) FROM public.seen') > 0, 1, "... and are nothing else in $_") foreach $us, $ap, $eu;
refused($g->try($us, "SELECT schemadrift.apply(E'new\\nline', 'SELECT 1')", user => 'alice'), '22023', 'a migration\'s name has no control characters');
apply('quoted', 'CREATE TABLE public.quoted ()', 'DROP TABLE public.quoted /* Another way back */');
apply(q{o'brien"; SELECT 1}, 'ALTER TABLE public.quoted ADD a int');
$r = $g->try($us, q{SELECT schemadrift.revert('quoted')}, user => 'alice');
like($r->{hint} // '', qr/revert\('o''brien"; SELECT 1'\)/, 'hints are SQL') or diag($r->{err});

# --- what belongs to the extension stays as it is

like($g->try($us, $_, user => 'alice')->{sqlstate}, qr/^(?:42501|SD004|55P02|55006)$/, $_) foreach
  'CREATE FUNCTION schemadrift.apply(text, text) RETURNS bigint LANGUAGE sql AS $$SELECT 1::bigint$$',
  'CREATE OR REPLACE FUNCTION schemadrift.leave() RETURNS void LANGUAGE sql AS \'\'',
  'ALTER FUNCTION schemadrift.leave() OWNER TO alice', 'ALTER SCHEMA schemadrift OWNER TO alice', 'ALTER EXTENSION schemadrift UPDATE',
  'DROP EXTENSION schemadrift', 'CREATE TABLE schemadrift_store.t ()', 'DELETE FROM schemadrift_store.log', 'ALTER TABLE schemadrift_store.log ADD x int',
  'CREATE TRIGGER t BEFORE INSERT ON schemadrift_store.log EXECUTE FUNCTION public.spy_trigger()', 'CREATE RULE r AS ON INSERT TO schemadrift_store.log DO INSTEAD NOTHING',
  'GRANT ALL ON ALL TABLES IN SCHEMA schemadrift_store TO alice', q{SELECT schemadrift.set_policy('{"mode": "observe"}')}, 'SELECT schemadrift.leave()',
  q{ALTER SYSTEM SET schemadrift.allowed_roles = '*'}, q{SET schemadrift.allowed_roles = '*'}, q{SELECT schemadrift_rpc.describe(1)};

# rights to all data are none to ours: who writes the log says what runs, as whom
$server->sql('CREATE ROLE all_data LOGIN; GRANT pg_read_all_data, pg_write_all_data TO all_data', dbname => 'postgres');
$g->sql($us, "SELECT schemadrift.set_peer_conninfo('$eu', 'host=/nowhere password=hush-hush'); SELECT schemadrift.set_peer_conninfo('$ap', NULL)");
my @tables = split /\n/, $g->sql($us, q{SELECT relname FROM pg_class WHERE relnamespace = 'schemadrift_store'::regnamespace AND relkind = 'r'});
cmp_ok(scalar(@tables), '>=', 14, 'all tables of the store');
is($g->sql($us, join(' UNION ALL ', map { "SELECT '$_' FROM schemadrift_store.$_" } @tables), user => 'all_data'), '', '... show nothing to pg_read_all_data');
foreach my $table (@tables)
{
	$g->try($us, "DELETE FROM schemadrift_store.$table", user => 'all_data');
	$g->try($us, "UPDATE schemadrift_store.$table SET " . ($table =~ /^(?:log|accepted)$/ ? "body = ''" : $table eq 'self' ? 'vote_seq = 0' : 'ctid = ctid'), user => 'all_data');
}
refused($g->try($us, "INSERT INTO schemadrift_store.acceptor VALUES (false, 1, 'x', 1)", user => 'all_data'), '42501', '... and take nothing from pg_write_all_data');
is($g->sql($us, q{SELECT (SELECT count(*) FROM schemadrift_store.log) = (SELECT max(version) FROM schemadrift_store.log) AND NOT EXISTS (SELECT FROM schemadrift_store.log WHERE body = '')
	AND (SELECT count(*) FROM schemadrift_store.self) = 1}), 't', '... nothing has changed');
$g->sql($us, "SELECT schemadrift.set_peer_conninfo('$eu')");

# the way out of the gate is not open to who calls a superuser's function
$g->sql($us, q{CREATE FUNCTION public.makes() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN CREATE TABLE public.made_by_definer (); END $$});
refused($g->try($us, q{SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'x'; SELECT public.makes()}, user => 'bob'), '42501', 'a SECURITY DEFINER function does not lend the right to leave the gate');

# --- CREATE EXTENSION where somebody was before

$server->sql('CREATE DATABASE trap', dbname => 'postgres', user => 'mallory');
foreach my $prepared ('CREATE SCHEMA schemadrift', 'CREATE SCHEMA schemadrift_store', 'CREATE SCHEMA schemadrift_rpc')
{
	my ($schema) = $prepared =~ /(\w+)$/;

	$server->sql("$prepared; CREATE FUNCTION $schema.apply(text, text) RETURNS bigint LANGUAGE sql AS \$\$SELECT 1::bigint\$\$;", dbname => 'trap', user => 'mallory');
	refused($server->try('CREATE EXTENSION schemadrift', dbname => 'trap'), '42P06', "CREATE EXTENSION where somebody owns schema $schema");
	$server->sql("ALTER SCHEMA $schema OWNER TO \"$owner\"", dbname => 'trap');
	refused($server->try('CREATE EXTENSION schemadrift', dbname => 'trap'), '42P06', "... or made something in it");
	$server->sql("DROP SCHEMA $schema CASCADE", dbname => 'trap');
}
$server->sql('CREATE SCHEMA schemadrift; GRANT CREATE ON SCHEMA schemadrift TO mallory', dbname => 'trap');
refused($server->try('CREATE EXTENSION schemadrift', dbname => 'trap'), '42P06', '... or may make something in it');
$server->sql('REVOKE CREATE ON SCHEMA schemadrift FROM mallory; CREATE EXTENSION schemadrift', dbname => 'trap');
refused($server->try('CREATE EXTENSION schemadrift', dbname => $_, user => 'mallory'), '42501', "nobody but a superuser makes it in $_") foreach 'template1';
$server->sql('DROP EXTENSION schemadrift; DROP SCHEMA schemadrift', dbname => 'trap');

# --- the server's own rights are not lent to whom it calls

my $types = 'integer, uuid, integer, text, text, integer, bigint, bigint, bigint, bigint, bytea, bigint, bigint, text, bigint, integer, text, bigint, text';
$server->sql("CREATE TABLE public.seen (who name); GRANT INSERT ON public.seen TO PUBLIC; CREATE SCHEMA schemadrift_rpc; GRANT USAGE ON SCHEMA schemadrift_rpc TO PUBLIC;
	CREATE FUNCTION schemadrift_rpc.exchange($types) RETURNS record LANGUAGE sql AS 'INSERT INTO public.seen VALUES (current_user); SELECT 1, 2'", dbname => 'trap', user => 'mallory');
my $place = $server->connstr('trap') =~ s/'/''/gr;
$g->sql($us, "SELECT schemadrift.set_peer_conninfo('$eu', '$place user=$owner')", user => 'chief');
ok($g->wait_until($us, "SELECT error ~ 'belongs to somebody who is no superuser' FROM schemadrift.regions WHERE region = '$eu'", 't'), 'a region does not call as superuser what is not ours')
  or diag($g->sql($us, 'TABLE schemadrift.regions'));
$r = $g->try($us, "SELECT schemadrift.compare('$place user=$owner')", user => 'chief');
like($r->{err}, qr/belongs to somebody who is no superuser/, '... nor does compare()');
is($server->sql('SELECT count(*) FROM public.seen', dbname => 'trap'), '0', '... so nothing of it runs');
$g->sql($us, "SELECT schemadrift.set_peer_conninfo('$eu')", user => 'chief');
ok($g->wait_until($us, "SELECT circuit FROM schemadrift.regions WHERE region = '$eu'", 'closed'), '... and the address is mended');

# --- who sees what

my $listener = $g->session($us, user => 'bob');
$listener->query('LISTEN schemadrift;');
apply('fails there', "DO \$\$ BEGIN IF current_database() = '$ap' THEN RAISE 'the secret of %', current_user; END IF; END \$\$");
ok($g->wait_until($ap, 'SELECT state FROM schemadrift.status', 'halted'), 'a migration that fails in one region');
my $there = $g->session($ap);
like($g->sql($ap, 'SELECT reason FROM schemadrift.status'), qr/the secret of alice/, '... says why to those who may look at the views');
unlike($listener->query('SELECT 1;')->{out} . $listener->{err}, qr/secret/, '... and to nobody else');
$g->sql($us, q{SELECT schemadrift.revert('fails there')}, user => 'alice');
ok($g->converged, '... and is taken back');
foreach my $view (qw(status regions migrations migration_status tasks policy decisions lease peer_conninfo))
{
	refused($g->try($us, "TABLE schemadrift.$view", user => 'bob'), '42501', "an ordinary user does not see $view");
}
refused($g->try($us, 'TABLE schemadrift.peer_conninfo', user => 'watcher'), '42501', 'who watches sees no address');
unlike($g->sql($us, join('; ', map { "TABLE schemadrift.$_" } qw(status regions migrations migration_status tasks policy decisions lease)), user => 'watcher'),
	qr/Another way back|user=region_peer/, '... and no text');

# --- secrets

my $log = $server->log_size;
refused($g->try($us, q{SELECT schemadrift.alter_region('us-east', conninfo => 'host=x password=hush-hush')}), '22023', 'no password becomes part of the log');
refused($g->try($us, q{SELECT schemadrift.alter_region('us-east', conninfo => 'postgresql://u:hush-hush@h/d')}), '22023', '... in a URI, either');
refused($g->try($us, q{SELECT schemadrift.alter_region('us-east', conninfo => 'host=x sslpassword=hush-hush')}), '22023', '... nor a key\'s');
$r = $g->try($us, q{SELECT schemadrift.alter_region('us-east', conninfo => 'host=x password=hush hush-hush')});
refused($r, '22023', '... nor what cannot be parsed');
unlike($r->{err}, qr/hush-hush/, '... which is not repeated');
refused($g->try($us, q{SELECT schemadrift.apply('secret', 'ALTER ROLE alice PASSWORD ''hush-hush''')}), 'SD004', 'nor does a statement with a password');
$g->sql($us, "SELECT schemadrift.set_peer_conninfo('$eu', 'host=/nowhere password=hush-hush')", user => 'chief');
ok($g->wait_until($us, "SELECT circuit <> 'closed' AND error <> '' FROM schemadrift.regions WHERE region = '$eu'", 't'), 'a password in an address of this region alone, which does not work');
unlike($g->sql($us, 'TABLE schemadrift.regions; TABLE schemadrift.status; TABLE schemadrift.peer_conninfo; TABLE schemadrift.decisions'), qr/hush-hush/, '... is in no view');
$g->sql($us, "SELECT schemadrift.set_peer_conninfo('$eu')", user => 'chief');
ok($g->wait_until($us, "SELECT circuit FROM schemadrift.regions WHERE region = '$eu'", 'closed'), '... and mended');
unlike(join('', grep { !/STATEMENT:/ } split /^/, substr slurp_file($server->logfile), $log), qr/hush-hush/, '... nor in the server\'s log');

# --- a dump is not a member

my ($dump, $errors) = run_command([ 'pg_dump', '-d', $server->connstr($us) ]);
unlike($dump, qr/user=region_peer|Another way back|hush-hush|COPY schemadrift_store/, 'a dump has no log, no address and no secret') or diag($errors);
like($dump, qr/CREATE EXTENSION/, '... but the extension');
append_to_file("${PostgreSQL::Test::Utils::tmp_check}/us.sql", $dump);
$server->sql('CREATE DATABASE copy', dbname => 'postgres');
run_command([ 'psql', '-X', '-q', '-d', $server->connstr('copy'), '-f', "${PostgreSQL::Test::Utils::tmp_check}/us.sql" ]);
is($server->sql('SELECT (SELECT state FROM schemadrift.status) || (SELECT count(*) FROM schemadrift_store.self) || (SELECT count(*) FROM schemadrift_store.log)', dbname => 'copy'),
	'not_joined00', 'what is restored from it is in no group');
is($g->sql($us, 'SELECT count(*) FROM schemadrift.regions'), '3', '... and the group has not grown');
$server->sql('DROP DATABASE copy', dbname => 'postgres');

# --- a region that speaks nonsense

my ($group, $generation, $head, $chain) = split /\|/, $g->sql($us, q{SELECT s.group_id, s.generation, l.version, encode(l.chain, 'hex') FROM schemadrift_store.self s,
	(SELECT version, chain FROM schemadrift_store.log ORDER BY version DESC LIMIT 1) l});

# The arguments of a call to us-east in ap-south's name, some of them others.
sub call
{
	my ($function, $args, %common) = @_;
	my %is = (protocol => 2, group => "'$group'::uuid", generation => $generation, callee => "'$us'", caller => "'$ap'", incarnation => 1, vote_seq => 0, %common);

	return "SELECT * FROM schemadrift_rpc.$function(" . join(', ', (map { $is{$_} } qw(protocol group generation callee caller incarnation vote_seq)), @$args) . ')';
}

# An entry's bytes, in hexadecimal.
sub entry
{
	my ($payload, %header) = @_;
	my %is = (id => '6ba7b810-9dad-41d1-80b4-00c04fd430c8', kind => 'migration', name => 'forged', origin => $ap, incarnation => 1, n => 1, barrier => 0, hlc => 1, author => 'alice',
		protocol => 1, %header);
	my $line = join ',', map { my $v = $is{$_}; sprintf '"%s":%s', $_, $v =~ /\A-?\d+\z/ ? $v : qq{"$v"} } sort keys %is;

	return unpack 'H*', "{$line}\n$payload";
}

sub prepare { my ($round, $version, %o) = @_; return call('prepare', [ $round, 1, $version, "'\\x$chain'::bytea" ], %o); }
sub accept_  { my ($round, $version, $bytes, %o) = @_; return call('accept', [ $round, 1, $version, "'\\x$chain'::bytea", $bytes ], %o); }

# the same, of a version that this log would go on with
sub learn
{
	my ($version, $bytes, %o) = @_;

	return call('learn', [ $version, "'6ba7b810-9dad-41d1-80b4-00c04fd430c8'::uuid", "sha256($bytes)", "sha256('\\x$chain'::bytea || sha256($bytes))", $bytes ], %o);
}

sub bytes { return "'\\x" . entry(@_) . "'::bytea"; }

my $state = join ' UNION ALL ', map { "SELECT '$_' || t::text AS row FROM schemadrift_store.$_ t" } qw(self acceptor accepted log applied attempt execution life peer_address task bypass);
my $fingerprint = "SELECT md5(string_agg(row, '' ORDER BY row)) FROM ($state) x";
my $before = $g->sql($us, $fingerprint);
my $pid = coordinator($g, $us);
my $good = bytes('{"up":"SELECT 1"}');
my $next = $head + 1;

# what, SQLSTATE, call
my @nonsense = (
	[ 'an older protocol', '08P01', prepare(5, $next, protocol => 0) ],
	[ 'a newer one', '08P01', prepare(5, $next, protocol => 9) ],
	[ 'a negative one', '08P01', prepare(5, $next, protocol => -2147483648) ],
	[ 'another group', '55000', prepare(5, $next, group => q{'00000000-0000-4000-8000-000000000000'::uuid}) ],
	[ 'another generation', 'SD010', prepare(5, $next, generation => 7) ],
	[ 'another region', '55000', prepare(5, $next, callee => "'$eu'") ],
	[ 'nobody', '22004', prepare(5, $next, caller => 'NULL') ],
	[ 'a name that is too long', '42622', prepare(5, $next, caller => "repeat('x', 100000)") ],
	[ 'nulls', '22004', call('prepare', [ 5, 'NULL', $next, "'\\x$chain'::bytea" ]) ],
	[ 'no ballot', '22023', prepare(0, $next) ],
	[ 'a negative ballot', '22023', prepare('-9223372036854775808', $next) ],
	[ 'a ballot that leaves no room for others', '08P01', prepare('9223372036854775807', $next) ],
	[ 'version 0', '08P01', prepare(5, 0) ],
	[ 'a negative version', '08P01', prepare(5, '(-9223372036854775808)') ],
	[ 'a version out of this world', '08P01', prepare(5, '9223372036854775807') ],
	[ 'a short chain', '22023', call('prepare', [ 5, 1, $next, q{'\\x00'::bytea} ]) ],
	[ 'another chain', 'SD008', call('prepare', [ 5, 1, $next, "sha256('')" ]) ],
	[ 'other types', '42883', call('prepare', [ 'true', 1, $next, "'x'::text" ]) ],
	[ 'no arguments', '42883', 'SELECT schemadrift_rpc.accept()' ],
	[ 'a call in a transaction', '25001', 'BEGIN; ' . prepare(5, $next) ],
	[ 'a call of another isolation', '25001', 'SET default_transaction_isolation = serializable; ' . prepare(5, $next) ],
	[ 'a call as a replica', '42501', 'SET session_replication_role = replica; ' . prepare(5, $next) ],
	[ 'an empty entry', '08P01', accept_(5, $next, q{''::bytea}) ],
	[ 'bytes', '08P01', accept_(5, $next, q{'\\xdeadbeef0aff'::bytea}), '22021' ],
	[ 'a header that is no JSON', '22P02', accept_(5, $next, q{'\\x7b0a7b7d'::bytea}) ],
	[ 'a header that is no object', '08P01', accept_(5, $next, q{convert_to(E'[1]\n{}', 'UTF8')}) ],
	[ 'a header without most', '08P01', accept_(5, $next, q{convert_to(E'{"kind":"migration"}\n{}', 'UTF8')}) ],
	[ 'a header with numbers for texts', '08P01', accept_(5, $next, bytes('{}', kind => 7)) ],
	[ 'a number out of range', '22003', accept_(5, $next, bytes('{}', hlc => '99999999999999999999999')) ],
	[ 'the end of time', '08P01', accept_(5, $next, bytes('{}', hlc => '9223372036854775807')) ],
	[ 'an author who is too long', '08P01', accept_(5, $next, bytes('{}', author => 'a' x 64)) ],
	[ 'a name with control characters', '08P01', accept_(5, $next, bytes('{}', name => 'a\\u0007b')) ],
	[ 'no payload', '22P02', accept_(5, $next, bytes('')) ],
	[ 'a payload that is no object', '08P01', accept_(5, $next, bytes('[]')) ],
	[ 'a payload in no encoding', '22021', accept_(5, $next, bytes("{\"up\":\"\xff\xfe\"}")) ],
	[ 'a payload with a null character', '22P05', accept_(5, $next, bytes('{"up":"\\u0000"}')) ],
	[ 'a group without members', '08P01', accept_(5, $next, bytes('{"members":[]}', kind => 'config')) ],
	[ 'a group of numbers', '08P01', accept_(5, $next, bytes('{"members":[1,2,3]}', kind => 'config')) ],
	[ 'a result of nothing', '08P01', accept_(5, $next, bytes('{"outcome":"ok"}', kind => 'result')) ],
	[ 'a result without outcome', '08P01', accept_(5, $next, bytes('{}', kind => 'result', target => 3)) ],
	[ '200 MB', '08P01', accept_(5, $next, q{convert_to(repeat('x', 200000000), 'UTF8')}) ],
	[ 'a version that is taken, otherwise', 'SD008', learn($head, $good) ],
	[ 'an entry that is not the one announced', '08P01', learn($next, $good) =~ s/sha256\(/sha384(/r, '22023' ],
	[ 'a chain that does not fit', 'SD008', call('learn', [ $next, "'6ba7b810-9dad-41d1-80b4-00c04fd430c8'::uuid", "sha256($good)", "sha256('')", $good ]) ],
	[ 'a version far ahead', '08P01', learn('9223372036854775807', $good) ],
	[ 'a heartbeat of nulls', '22004', call('exchange', [ ('NULL') x 12 ]) ],
	[ 'a promotion of a stranger', '55000', call('promote', [], caller => q{'nobody'}) ],
	[ 'a return of a stranger', '55000', call('readmit', [ q{'6ba7b810-9dad-41d1-80b4-00c04fd430c8'::uuid}, 1, "sha256('')" ], caller => q{'nobody'}) ],
	[ 'a lease for a stranger', '55000', call('handover', [ 1, 1, 1, 1, 1 ], caller => q{'nobody'}) ],
	[ 'a lease of nulls', '22004', call('handover', [ ('NULL') x 5 ]) ],
	[ 'a new region with an impossible name', '42602', "SELECT schemadrift_rpc.admit(2, '$group'::uuid, 'A''; DROP', 'host=x', 'voter')" ],
	[ '... with a password', '22023', "SELECT schemadrift_rpc.admit(2, '$group'::uuid, 'new', 'host=x password=y', 'voter')" ]);

foreach (@nonsense)
{
	my ($what, $sqlstate, $sql, $or) = @$_;
	my $r = $g->try($us, $sql, user => 'region_peer');

	like($r->{sqlstate}, $or ? qr/^(?:$sqlstate|$or)$/ : qr/^$sqlstate$/, "nonsense: $what") or diag(substr($sql, 0, 300), $r->{err});
}
is($g->sql($us, $fingerprint), $before, 'all of that has written nothing');
is(coordinator($g, $us), $pid, '... and the coordinator has not noticed');

# replays: an old promise and an old acceptance change no answer and no entry
my $old = $g->sql($us, 'SELECT format(\'%s %s\', round, nonce) FROM schemadrift_store.acceptor');
$r = $g->try($us, prepare(1, $next), user => 'region_peer');
like($r->{out}, qr/^refused/, 'a ballot of long ago is refused');
$r = $g->try($us, accept_(1, $head, $good), user => 'region_peer');
is($r->{sqlstate} eq 'SD008' || $r->{out} =~ /^(?:refused|chosen)/ ? 1 : 0, 1, 'an entry for a version of long ago is not accepted') or diag($r->{err}, $r->{out});
is($g->sql($us, 'SELECT format(\'%s %s\', round, nonce) FROM schemadrift_store.acceptor'), $old, '... and the promise stands');

# floods
my @flood = map { $g->session($us, user => 'region_peer') } 1 .. 6;
$_->send(join ';', (prepare(5, 0), call('exchange', [ ('NULL') x 12 ]), accept_(5, $next, q{''::bytea})) x 60) foreach @flood;
ok(can_change($g, $_, 'CREATE TABLE public.in_the_flood_' . substr($_, 0, 2) . ' ()'), "$_ changes the schema while us-east is flooded with calls") foreach $us, $eu;
$_->result foreach @flood;
ok($g->converged, '... and all follow');
is(coordinator($g, $us), $pid, '... with the same coordinator');

# --- what one peer's credentials are worth: docs/security.md says all of it; a region's own allowed_roles is the limit

my $forged = 0;

# A version that nobody has chosen, told to one region, which tells the others.
sub forge
{
	my ($payload, %header) = @_;

	$forged++;
	$log = $server->log_size;
	($next, $chain) = split /\|/, $g->sql($us, q{SELECT version + 1, encode(chain, 'hex') FROM schemadrift_store.log ORDER BY version DESC LIMIT 1});
	return $g->sql($us, learn($next, bytes($payload, id => sprintf('6ba7b810-9dad-41d1-80b4-00c04fd4%04x', $forged), name => "forged $forged", %header)) =~ s/00c04fd430c8/sprintf '00c04fd4%04x', $forged/er,
		user => 'region_peer');
}

# It is not run in any region, says why, and is taken back.
sub not_run
{
	my ($state, $why, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $where ($us, $ap, $eu)
	{
		ok($g->wait_until($where, "SELECT state FROM schemadrift.migration_status WHERE name = 'forged $forged' AND region = '$where' ORDER BY version LIMIT 1", $state),
			"$what: not in $where") or diag($g->sql($where, "TABLE schemadrift.migration_status"));
	}
	ok($server->wait_log(qr/$why/, $log), '... as the log says');
	my $r = $g->try($us, "SELECT schemadrift.revert('forged $forged')", user => 'alice');

	ok($r->{ok}, '... and is taken back') or diag($r->{err});
	ok($g->converged, '... everywhere');
	return;
}

my $settings = '{"search_path": "public"}';
sub run_as { my ($user, $more) = @_; return qq|"run_as":{"session_user":"$user","user":"$user","local_user":false,"settings":| . ($more // $settings) . '}'; }

$server->sql("ALTER SYSTEM SET schemadrift.allowed_roles = 'alice'", dbname => 'postgres');
$server->sql('SELECT pg_reload_conf()', dbname => 'postgres');
ok($g->wait_until($_, 'SHOW schemadrift.allowed_roles', 'alice'), 'a region trusts alice, and nobody else') foreach $us, $ap, $eu;
like(forge('{"up":"SELECT public.spy(\'forged\')",' . run_as($owner) . '}', author => $owner), qr/^learned/, 'a peer tells of a version that nobody has chosen');
not_run('held', 'does not run what role', '... of a superuser, it is held');
forge('{"up":"SELECT public.spy(\'forged\')",' . run_as($owner) . '}');
not_run('held', 'does not run what role', '... of alice, run as a superuser');
forge('{"up":"SELECT public.spy(\'forged\')",' . run_as('alice', qq|{"role":"$owner"}|) . '}');
not_run('failed', 'no entry may', '... of alice, with the role as a setting');
forge('{"up":"SELECT public.spy(\'forged\')","relations":[],"steps":[{"kind":"create_index","schema":"public","table":"first","name":"x"}],' . run_as('alice') . '}', kind => 'online');
not_run('failed', 'says of a statement what it is not', '... of an index that is none');
nobody_else('nothing of it has become anybody else');
is($g->sql($_, q{SELECT count(*) FROM public.seen WHERE what = 'forged'}), '0', "... or was run in $_") foreach $us, $ap, $eu;
unlike(slurp_file($server->logfile), qr/was terminated by signal|PANIC/, 'no process has crashed');

done_testing();
