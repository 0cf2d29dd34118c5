# Queries that live applications rely on: registered once for all regions, planned in each before and after a script that is tried.
#
# Regions are databases of one server.
use strict;
use warnings FATAL => 'all';

use Test::More;

use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(databases => 1, regions => 3, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
schemadrift.dry_run_timeout = 60s
schemadrift.dry_run_query_timeout = 6s
CONF
$g->make_group(mode => 'coordinate', before => <<'SQL');
CREATE TABLE public.orders (id bigint PRIMARY KEY, note text, customer int, total numeric(10,2) DEFAULT 1);
CREATE INDEX orders_customer ON public.orders (customer);
CREATE TABLE public.other (id int);
CREATE SCHEMA app;
CREATE TABLE app.tags (id int PRIMARY KEY, tag text);
CREATE FUNCTION public.slow() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1; END';
CREATE SEQUENCE public.counter;
CREATE FUNCTION public.sly() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT nextval(''public.counter'')';
INSERT INTO public.orders SELECT i, repeat('x', 100), i, 1 FROM generate_series(1, 3000) i;
ANALYZE public.orders;
SQL
my ($us, $ap, $eu) = my @regions = $g->names;

sub every { my ($what) = @_; return { map { $_ => $what } @regions }; }

# "status|..." of a dry run, by region
sub dry_run
{
	my ($args, $columns, %o) = @_;
	my $out = $g->sql($us, ($o{before} // '') . "SELECT region, concat_ws('|', $columns) FROM schemadrift.dry_run($args) ORDER BY region");
	return { map { /^([^|]+)\|(.*)$/s ? ($1, $2) : () } split /\n(?=(?:$us|$ap|$eu)\|)/, $out };
}

sub all_like
{
	my ($r, $pattern, $what) = @_;

	return is_deeply([ grep { ($r->{$_} // '') !~ $pattern } @regions ], [], $what) || diag(explain($r));
}

sub register { my ($args, %o) = @_; return $g->try($o{in} // $us, ($o{before} // '') . "SELECT schemadrift.register_query($args)"); }

sub says
{
	my ($r, $sqlstate, $pattern, $what) = @_;

	is($r->{sqlstate}, $sqlstate, $what) or diag($r->{err} // $r->{out});
	return like($r->{err} // '', $pattern, '... and says so');
}

# --- what is registered

$g->sql($us, 'CREATE ROLE q_app LOGIN; CREATE ROLE q_nobody LOGIN; CREATE ROLE q_migrator LOGIN IN ROLE schemadrift_migrator');
$g->sql($us, 'GRANT SELECT ON public.orders TO q_app; GRANT EXECUTE ON FUNCTION schemadrift.register_query TO q_app');
says(register(q{'x', 'SELECT 1'}, before => 'SET SESSION AUTHORIZATION q_nobody; '), '42501', qr/permission denied for function register_query/, 'not everybody');
says(register(q{'x', 'CREATE TABLE t ()'}), '22023', qr/only SELECT, INSERT/, 'DDL is no query');
says(register(q{'x', 'SELECT 1; SELECT 2'}), '22023', qr/one statement, and this text has 2/, 'one at a time');
says(register(q{'x', 'SELEC 1'}), '42601', qr/syntax error/, 'SQL');
says(register(q{'x', NULL}), '22004', qr/must not be null/, 'something');
says(register(q{'x', 'SELECT 1', now(), now()}), '22023', qr/would never be live/, 'some time');
says($g->try($us, q{SELECT schemadrift.unregister_query('x')}), '42704', qr/no registered query "x"/, 'only what is there is taken back');
says($g->try($us, q{BEGIN; CREATE TABLE public.mine (); SELECT schemadrift.register_query('x', 'SELECT 1')}), 'SD004', qr/has changed the schema/, 'not beside a change');
says($g->try($us, q{BEGIN; SELECT schemadrift.register_query('x', 'SELECT 1'); CREATE TABLE public.mine ()}), 'SD004', qr/./, '... nor before one');
my $head = sub { $g->sql($us, 'SELECT max(version) FROM schemadrift.migrations') };
is($g->sql($us, 'SELECT count(*) FROM schemadrift.registered_queries'), 0, 'none of them is');

my $r = register(q{'by id', 'SELECT note FROM public.orders WHERE id = $1'});
is($r->{sqlstate}, '00000', 'a query with a parameter') or diag($r->{err});
is($g->try($us, q{SELECT schemadrift.register_query('by id', 'SELECT note FROM public.orders WHERE id = $1')})->{out}, $r->{out}, 'again: the same version');
$r = $g->try($ap, q{BEGIN; SELECT schemadrift.register_query('by customer', 'SELECT note, total FROM orders WHERE customer = 7'),
	schemadrift.register_query('add', 'INSERT INTO orders (id, note) VALUES ($1, $2)'); SELECT schemadrift.register_query('gone', 'SELECT 1');
	SELECT schemadrift.unregister_query('gone'); COMMIT});
is($r->{sqlstate}, '00000', 'several in one transaction, in another region') or diag($r->{err});
is($g->sql($ap, q{SELECT count(*) FROM schemadrift.migrations WHERE kind = 'query'}), 2, '... are one version');
is(register(q{'old', 'SELECT 1', NULL, now() - interval '1 day'})->{sqlstate}, '00000', 'one that is live no more');
is(register(q{'tags', 'SELECT tag FROM tags'}, before => 'SET search_path = app, public; ')->{sqlstate}, '00000', 'one with a search_path of its own');
is(register(q{'as app', 'SELECT count(*) FROM orders'}, before => 'SET ROLE q_app; ')->{sqlstate}, '00000', 'one as the role of the application');
$r = register(q{'future', 'SELECT fancy FROM orders'});
like($r->{err}, qr/WARNING.*query "future" cannot be planned here now: column "fancy" does not exist/, 'one that cannot be planned yet');
ok($g->converged, 'all regions have them');
my $rows = q{SELECT string_agg(concat_ws('|', name, live, run_as, search_path, query, version), E'\n' ORDER BY name) FROM schemadrift.registered_queries};
is($g->sql($_, $rows), $g->sql($us, $rows), "... the same in $_") foreach $ap, $eu;
is($g->sql($eu, q{SELECT string_agg(concat_ws(':', name, live, run_as), ' ' ORDER BY name) FROM schemadrift.registered_queries WHERE run_as = 'q_app' OR NOT live}),
	'as app:t:q_app old:f:' . $g->sql($us, 'SELECT current_user'), 'who, and whether it is live');
is($g->try($us, 'SET SESSION AUTHORIZATION q_nobody; SELECT * FROM schemadrift.registered_queries')->{sqlstate}, '42501', 'not for everybody to read');

$g->sql($us, q{SELECT schemadrift.set_policy('{"mode": "observe"}')});
$r = register(q{'seen', 'SELECT 1'});
is($r->{sqlstate}, '00000', 'it is no change of the schema: also where the group only observes') or diag($r->{err});
is($g->try($us, q{SELECT schemadrift.unregister_query('seen')})->{sqlstate}, '00000', '... it is taken back');
$g->sql($us, q{SELECT schemadrift.set_policy('{"mode": "coordinate"}')});
ok($g->converged, 'all are equal');

# --- dry_run()

is_deeply(dry_run(q{'ALTER TABLE public.other ADD a int', 'ALTER TABLE public.other DROP a'}, 'status, queries, locks'),
	every('ok|5|public.other: ACCESS EXCLUSIVE'), 'what breaks nothing; the queries leave no lock');
like(dry_run(q{'ALTER TABLE public.other ADD a int'}, 'detail')->{$ap}, qr/^query "future" already fails before: column "fancy" does not exist$/, 'what fails anyhow is only said');
is_deeply(dry_run(q{'ALTER TABLE public.orders ADD fancy int'}, 'status, queries'), every('ok|5'), '... and what mends it is good');
$r = dry_run(q{'ALTER TABLE public.orders DROP total', 'ALTER TABLE public.orders ADD total numeric(10,2) DEFAULT 1'}, 'status, detail, remedy');
all_like($r, qr/^warning\|.*query "by customer" fails afterwards: column "total" does not exist \(42703\)$/m, 'a column that is read');
all_like($r, qr/^query "future" .*\|(?:-- \S+ says: )?SELECT schemadrift\.unregister_query\('by customer'\);/ms, '... with a remedy');
all_like(dry_run(q{'ALTER TABLE app.tags RENAME TO labels'}, 'status, detail'), qr/^warning\|query "tags" fails afterwards: relation "tags" does not exist \(42P01\)$/m, 'a table that is found by search_path');
all_like(dry_run(q{'REVOKE SELECT ON public.orders FROM q_app'}, 'status, detail'), qr/^warning\|query "as app" fails afterwards: permission denied for table orders \(42501\)$/m,
	'a right of the application');
all_like(dry_run(q{'DROP INDEX public.orders_customer'}, 'status, detail'), qr/^warning\|query "by customer" no longer uses index public\.orders_customer, and reads all of public\.orders$/m,
	'an index that was used');
all_like(dry_run(q{'ALTER TABLE public.orders DROP CONSTRAINT orders_pkey'}, 'detail'), qr/^query "by id" no longer uses index public\.orders_pkey/m, '... by a query with a parameter');
all_like(dry_run(q{'DROP INDEX public.orders_customer; CREATE INDEX orders_better ON public.orders (customer, total)'}, 'status, detail'),
	qr/^ok\|.*^query "by customer" uses index public\.orders_better instead of public\.orders_customer$/ms, 'another index in its place is no reason not to');
is_deeply(dry_run(q{'ALTER INDEX public.orders_customer RENAME TO renamed'}, 'status'), every('ok'), '... nor is another name');
is_deeply(dry_run(q{'ALTER TABLE public.orders DROP total'}, 'status, queries', before => "SET schemadrift.dry_run_queries = off; "), every('ok|0'), 'not asked for');
is_deeply(dry_run(q{'ALTER TABLE public.other ADD a int'}, 'status', before => 'SET SESSION AUTHORIZATION q_migrator; '), every('failed'), 'the script has the rights of the caller ...');
$g->sql($us, 'GRANT CREATE ON SCHEMA public TO q_migrator');
$g->sql($us, 'GRANT q_app TO q_migrator');
ok($g->converged, 'a migrator may make tables');
my $migrator = 'SET SESSION AUTHORIZATION q_migrator; ';
my $superuser = $g->sql($us, 'SELECT current_user');
$r = dry_run(q{'CREATE TABLE public.his (id int)'}, 'status, queries, detail, remedy', before => $migrator);
all_like($r, qr/^warning\|1\|/, '... the queries those of who registered them: of roles that he may become');
all_like($r, qr/^(?:warning\|1\|)?query "add" was not looked at: it is role "\Q$superuser\E"'s, which role "q_migrator" may not become$/m, '... which others are not');
all_like($r, qr/\|-- (?:\S+ says: )?call dry_run\(\) as a member of that role, or register query 'add' as the role of the application$/, '... and what to do');

# --- run

is(register(q{'slow', 'SELECT slow()'})->{sqlstate}, '00000', 'a query that runs');
is(register(q{'ratio', 'SELECT sum(1 / total) FROM orders'})->{sqlstate}, '00000', 'another one');
ok($g->converged, 'in all regions');
my $slower = q{'CREATE OR REPLACE FUNCTION public.slow() RETURNS int LANGUAGE plpgsql STABLE AS $$BEGIN PERFORM pg_sleep(100); RETURN 1; END$$'};
my $zero = q{'UPDATE public.orders SET total = 0 WHERE id = 1'};
is_deeply(dry_run($slower, 'status'), every('ok'), 'planned only, it is good');
all_like(dry_run($slower, 'status, detail', before => 'SET schemadrift.dry_run_queries = run; '),
	qr/^warning\|query "slow" takes longer than schemadrift\.dry_run_query_timeout, 6000 ms, and did not before$/m, 'run, it is too slow');
all_like(dry_run($zero, 'status, detail', before => 'SET schemadrift.dry_run_queries = run; '), qr/^warning\|query "ratio" fails afterwards: division by zero \(22012\)$/m, '... or fails');
is($g->sql($eu, 'SELECT count(*) FROM public.orders WHERE total = 0'), 0, 'nothing is left');
$r = dry_run($slower, 'status, detail', before => "SET schemadrift.dry_run_queries = run; SET schemadrift.dry_run_query_timeout = '20s'; SET schemadrift.dry_run_timeout = '10s'; ");
like($r->{$us}, qr/^ok\|.*there was no time to run them$/ms, 'where the time is short they are planned');

# one that takes long to plan, in one region: the others' limits are long
my $dear = q{CREATE OR REPLACE FUNCTION public.dear() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN IF current_database() = '%s' THEN PERFORM pg_sleep(100); END IF; RETURN 1; END$$};
$g->sql($us, sprintf $dear, 'nowhere');
is(register(q{'dear', 'SELECT dear()'})->{sqlstate}, '00000', 'a query that calls a function when it is planned');
ok($g->converged, 'in all regions');
$r = dry_run("'" . (sprintf($dear, $us) =~ s/'/''/gr) . "'", 'status, detail', before => "SET schemadrift.dry_run_timeout = '8s'; ");
like($r->{$us}, qr/^(?:warning\|)?query "dear" was not planned afterwards: planning it takes longer than \d+ ms$/m, 'planning that takes too long is said of the query') or diag(explain($r));
like($r->{$ap}, qr/^ok\|/, '... where it does') or diag(explain($r));
$g->sql($us, sprintf $dear, $us);
ok($g->converged, 'it takes long');
$r = dry_run(q{'SELECT 1'}, 'status, detail', before => "SET schemadrift.dry_run_timeout = '8s'; ");
like($r->{$us}, qr/^(?:warning\|)?query "dear" was not planned: planning it takes longer than \d+ ms$/m, '... before, too') or diag(explain($r));
$g->sql($us, q{SELECT schemadrift.unregister_query('dear')});
$g->sql($us, 'DROP FUNCTION public.dear()');
ok($g->converged, 'gone');

my $running = 'SET schemadrift.dry_run_queries = run; ';
all_like(dry_run($slower =~ s/STABLE/VOLATILE/r, 'status, detail', before => $running), qr/^ok\|.*^query "slow" was only planned afterwards: by then it calls a function that is VOLATILE, or changes rows$/ms, 'what is VOLATILE afterwards is not run then');

# what would leave something is not run
my %leaves = ('number' => q{SELECT nextval('counter')}, 'lock' => 'SELECT pg_advisory_lock(281)', 'sly' => 'SELECT sly()');
is(register("'$_', '" . $leaves{$_} =~ s/'/''/gr . "'")->{sqlstate}, '00000', "a query that leaves something: $_") foreach sort keys %leaves;
ok($g->converged, 'in all regions');
my $session = $g->session($us);
$r = $session->query("$running SELECT detail FROM schemadrift.dry_run('ALTER TABLE public.other ADD a int');")->{out};
is(scalar(() = $r =~ /^query "$_" was only planned: it calls a function that is VOLATILE$/mg), 3, "$_ is planned, and not run, as each region says") foreach qw(number lock);
is(scalar(() = $r =~ /^query "sly" already fails before: cannot execute nextval\(\) in a read-only transaction$/mg), 3, 'what says that it is not VOLATILE writes nothing either');
is($session->query(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 281;})->{out}, 0, 'no lock is left');
is($g->sql($_, 'SELECT is_called FROM public.counter'), 'f', "nor a number taken in $_") foreach @regions;
$session->quit;
is($g->try($us, q{BEGIN; SELECT schemadrift.unregister_query(q) FROM unnest(ARRAY['number', 'lock', 'sly']) q; COMMIT})->{sqlstate}, '00000', 'enough of that');
ok($g->converged, 'all are equal');

# --- preflight()

my $flight = sub {
	my ($up) = @_;
	return $g->sql($us, "SELECT concat_ws(' ', region, status, detail, remedy) FROM schemadrift.preflight('$up') WHERE check_name = 'queries' ORDER BY 1");
};
$r = $flight->('ALTER TABLE public.orders DROP total');
is(scalar(split /\n/, $r), 3 * 8, 'a row a query and region');
like($r, qr/^\Q$_\E ok query "by customer" uses public\.orders_customer; depends on orders, which the script changes$/m, "what it uses in $_") foreach @regions;
like($r, qr/^\Q$_\E warning query "future" fails already: column "fancy" does not exist \(42703\) SELECT schemadrift\.unregister_query\('future'\);/m, "what fails in $_") foreach @regions;
like($r, qr/^\Q$_\E ok query "tags" uses no index$/m, "what has to do with something else in $_") foreach @regions;
my $holder = $g->session($eu);
$holder->query('BEGIN; LOCK TABLE app.tags;');
like($flight->('ALTER TABLE public.orders DROP total'), qr/^\Q$eu\E unknown query "tags" was not planned: canceling statement due to lock timeout/m, 'it does not wait for a lock');
$r = dry_run(q{'ALTER TABLE public.other ADD a int'}, 'status, queries, detail');
like($r->{$eu}, qr/^warning\|6\|query "tags" was not planned: canceling statement due to lock timeout$/m, '... nor does dry_run()');
$holder->query('ROLLBACK;');
$holder->quit;

# --- whose rights a query lends: what a script, or the owner of a table, puts where its names lead is evaluated when it is planned

$g->sql($us, 'CREATE TABLE public.his (id int, name text)');
$g->sql($us, 'ALTER TABLE public.his OWNER TO q_migrator; GRANT SELECT ON public.his TO q_app');
$g->sql($us, q{CREATE FUNCTION public.escape() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('role', 'none', false); RETURN 1; END$$});
is(register(q{'of his', 'SELECT name FROM public.his'})->{sqlstate}, '00000', "a superuser's query of a migrator's table");
is(register(q{'his by app', 'SELECT name FROM public.his'}, before => 'SET ROLE q_app; ')->{sqlstate}, '00000', '... and one of the application');
is(register(q{'escape', 'SELECT public.escape()'}, before => 'SET ROLE q_app; ')->{sqlstate}, '00000', '... and one of the application that wants to be somebody else');
ok($g->converged, 'in all regions');
my $trap = q{'ALTER TABLE public.his RENAME TO his_old; CREATE FUNCTION public.trap() RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RAISE ''I am %'', current_user; END$$;
	CREATE VIEW public.his AS SELECT public.trap() AS name FROM public.his_old WHERE public.trap() = ''''; GRANT SELECT ON public.his TO q_app'};
$r = dry_run($trap, 'status, detail', before => $migrator);
all_like($r, qr/^(?:warning\|)?query "of his" was not looked at/m, "a migrator's trap is not planned with a superuser's rights");
all_like($r, qr/^(?:warning\|)?query "his by app" fails afterwards: I am q_app \(P0001\)$/m, '... but with those that he has');
unlike(join("\n", values %$r), qr/I am (?!q_app)/, '... and nobody else\'s');
all_like(dry_run($trap, 'detail'), qr/^query "of his" fails afterwards: I am \Q$superuser\E/m, '... who asks as a superuser has them');
all_like(dry_run(q{'ALTER TABLE public.other ADD a int'}, 'detail'), qr/^query "escape" already fails before: cannot set parameter "role" within security-\S+/m,
	'a query does not leave its role, whoever asks');
says(register(q{'of his', 'SELECT 1'}, before => 'SET SESSION AUTHORIZATION q_app; '), '42501', qr/query "of his" is somebody else's.*unregister_query\('of his'\)/s, 'who may register does not replace the query of somebody else');
says($g->try($us, q{SET SESSION AUTHORIZATION q_app; BEGIN; SELECT schemadrift.register_query('mine', 'SELECT 1'); SELECT schemadrift.register_query('of his', 'SELECT 1')}), '42501',
	qr/somebody else's/, '... behind one of its own neither');
$g->sql($us, 'CREATE ROLE q_gone IN ROLE q_app');
is(register(q{'of one who goes', 'SELECT 1'}, before => 'SET ROLE q_gone; ')->{sqlstate}, '00000', 'a query of a role');
$g->sql($us, 'DROP ROLE q_gone');
says(register(q{'of one who goes', 'SELECT 2'}, before => 'SET SESSION AUTHORIZATION q_app; '), '42501', qr/query "of one who goes" is somebody else's/, '... that is gone is nobody else\'s');
is($g->sql($us, q{SELECT schemadrift.unregister_query('of one who goes') > 0}), 't', '... and migrators take it back');
$r = $g->sql($us, $migrator . q{SELECT concat_ws(' ', region, status, detail) FROM schemadrift.preflight('SELECT 1') WHERE check_name = 'queries' AND detail ~ 'of his' ORDER BY region});
is(scalar(() = $r =~ /^\S+ unknown query "of his" was not looked at: it is role "\Q$superuser\E"'s, which role "q_migrator" may not become$/mg), 3, 'preflight() does not either');
is($g->try($us, q{BEGIN; SELECT schemadrift.unregister_query(q) FROM unnest(ARRAY['of his', 'his by app', 'escape']) q; COMMIT})->{sqlstate}, '00000', 'enough of that');
ok($g->converged, 'all are equal');

# --- policy, and the end

$g->sql($us, q{SELECT schemadrift.set_policy('{"require_dry_run": "1 hour", "on_unsafe": "pass"}')});
ok($g->converged, 'what is not tried is refused');
my $drop = q{'ALTER TABLE public.orders DROP total', 'ALTER TABLE public.orders ADD total numeric(10,2) DEFAULT 1'};
dry_run($drop, 'status');
is_deeply(dry_run(q{'ALTER TABLE public.orders DROP total'}, 'status', before => 'SET schemadrift.dry_run_queries = off; '), every('ok'), 'without a look at queries it is good');
says($g->try($us, q{SELECT schemadrift.apply('drop total', 'ALTER TABLE public.orders DROP total')}), 'SD005', qr/No dry run/, '... which does not count');
says($g->try($us, "SELECT schemadrift.apply('drop total', $drop)"), 'SD005', qr/dry_run\('ALTER TABLE public\.orders DROP total'/, 'what breaks a query has not passed');
is($g->try($us, qq{BEGIN; SELECT schemadrift.unregister_query(q) FROM unnest(ARRAY['by customer', 'ratio', 'future']) q; COMMIT})->{sqlstate}, '00000', 'no live version needs it');
ok($g->converged, '... any more');
# down puts the column elsewhere
is_deeply(dry_run(q{'ALTER TABLE public.orders DROP total'}, 'status'), every('ok'), 'then it passes');
is($g->try($us, q{SELECT schemadrift.apply('drop total', 'ALTER TABLE public.orders DROP total')})->{sqlstate}, '00000', '... and is applied');
is($g->try($us, 'CREATE INDEX CONCURRENTLY orders_note ON public.orders (note)')->{sqlstate}, '00000', 'what cannot be tried needs no dry run');
is($g->try($us, q{CALL schemadrift.apply_online('unindex', 'DROP INDEX CONCURRENTLY public.orders_note')})->{sqlstate}, '00000', '... nor online');
says($g->try($us, 'CREATE TABLE public.plain ()'), 'SD005', qr/Plain DDL has no dry run/, 'plain DDL is refused');
says($g->try($ap, q{SELECT schemadrift.apply('again', 'CREATE TABLE public.n ()')}), 'SD005', qr/No dry run of these texts/, 'another region wants its own dry run');
$g->sql($us, qq{SELECT schemadrift.suspend_region('$eu', 'a test')});
ok($g->converged, 'a region is suspended');
is_deeply(dry_run(q{'CREATE TABLE public.n ()'}, 'status'), { $us => 'ok', $ap => 'ok', $eu => 'failed' }, '... takes part in no dry run');
is($g->try($us, q{SELECT schemadrift.apply('n', 'CREATE TABLE public.n ()')})->{sqlstate}, '00000', '... which is good without it');
$r = $g->try($eu, q{SELECT * FROM schemadrift.dry_run('CREATE TABLE public.m ()')});
is("$r->{sqlstate} $r->{message}", qq{SD002 region "$eu" is suspended: no change is made here}, '... and there it cannot be asked for');
is($r->{hint}, "SELECT schemadrift.resume_region('$eu'); or call dry_run() in another region.", '... but somewhere else');
is($g->sql($_, q{SELECT concat_ws('|', region, status, detail, split_part(remedy, ' --', 1)) FROM schemadrift.preflight('CREATE TABLE public.m ()') WHERE check_name = 'state' AND status <> 'ok'}),
	"$eu|warning|it is suspended: no change is made here, and nobody waits for it|SELECT schemadrift.resume_region('$eu');", "... as preflight() says, asked in $_") foreach $us, $eu;
$g->sql($us, qq{SELECT schemadrift.resume_region('$eu')});
ok($g->converged, 'all are equal');

done_testing();
