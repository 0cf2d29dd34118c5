# Knowing before it runs, in every region at once: dry_run() and preflight().  Each check is provoked, here, in t/275 (roles), t/281 (queries)
# or t/282 (what is between regions), and nothing is left afterwards.  Not provoked: that nothing is known yet (latency, clock), that free
# space cannot be told (disk), that no coordinator runs (state).
#
# Regions are databases of one server, but for the cut, which is a region whose database takes no connections.
use strict;
use warnings FATAL => 'all';

use Cwd 'abs_path';
use PostgreSQL::Test::Utils;
use Test::More;

use SchemaDrift::Disk;
use SchemaDrift::Scenario;

my $g = SchemaDrift::Group->new(databases => 1, regions => 3, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
schemadrift.dry_run_lock_timeout = 10s
schemadrift.dry_run_timeout = 60s
schemadrift.preflight_propagation = off
max_prepared_transactions = 5
CONF
$g->make_group(mode => 'coordinate', before => <<'SQL');
CREATE TABLE public.orders (id bigint PRIMARY KEY, note text, total numeric(10,2) DEFAULT 0);
CREATE TABLE public.items (id bigint PRIMARY KEY, order_id bigint REFERENCES public.orders DEFERRABLE INITIALLY DEFERRED);
CREATE SEQUENCE public.counter;
INSERT INTO public.orders SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i;
SQL
my ($us, $ap, $eu) = $g->names;
# Seconds that a busy machine may take longer.
my $slack = 10;
my $server = $g->region($us);

# rows "region|status|..." of a dry run, by region
sub dry_run
{
	my ($where, $args, $columns, %o) = @_;
	my $out = $g->sql($where, ($o{before} // '') . "SELECT region, concat_ws('|', $columns) FROM schemadrift.dry_run($args) ORDER BY region");
	return { map { /^([^|]+)\|(.*)$/s ? ($1, $2) : () } split /\n(?=(?:$us|$ap|$eu)\|)/, $out };
}

# What a dry run must not change, in every region.
sub traces
{
	return join "\n", map { $_ . ': ' . $g->sql($_, <<'SQL') } $us, $ap, $eu;
SELECT concat_ws(' ', (SELECT max(version) FROM schemadrift_store.log), (SELECT applied_version FROM schemadrift.regions WHERE region = (SELECT region FROM schemadrift.status)),
	(SELECT md5(string_agg(o::text, ',' ORDER BY kind, identity)) FROM schemadrift_store.object o),
	(SELECT count(*) FROM schemadrift_store.drift WHERE region = (SELECT region FROM schemadrift.status)), (SELECT count(*) FROM schemadrift_store.bypass),
	(SELECT count(*) FROM public.orders), (SELECT string_agg(relname || relfilenode, ',' ORDER BY oid) FROM pg_class WHERE oid >= 16384 AND relnamespace = 'public'::regnamespace))
SQL
}

sub quoted
{
	my ($text) = @_;

	return q{'} . $text =~ s/'/''/gr . q{'};
}

# Of the server, in force in new sessions; the value as SHOW says it.
sub setting
{
	my ($name, $value) = @_;

	$g->sql($us, "ALTER SYSTEM SET schemadrift.$name = '$value'");
	$g->sql($us, 'SELECT pg_reload_conf()');
	return $g->wait_until($us, "SHOW schemadrift.$name", $value);
}

sub every { my ($what) = @_; return { map { $_ => $what } $us, $ap, $eu }; }

my $before = traces();

# --- dry_run(): what is good

is_deeply(dry_run($us, q{'ALTER TABLE public.orders ADD paid boolean; CREATE INDEX ON public.items (order_id)', 'DROP INDEX public.items_order_id_idx; ALTER TABLE public.orders DROP paid'},
	'status, same, restored, sqlstate, detail, locks'),
	every('ok|t|t|public.orders: ACCESS EXCLUSIVE, public.items: SHARE'), 'a good script: everywhere the same, and its way back restores');
is($g->sql($us, q{SELECT count(DISTINCT fingerprint) = 1 AND bool_and(up_ms > 0 AND down_ms > 0 AND length(fingerprint) = 64)
	FROM schemadrift.dry_run('CREATE TABLE public.n (id int)', 'DROP TABLE public.n')}), 't', 'times and fingerprints');
is_deeply(dry_run($us, q{'CREATE TABLE public.n (id int)'}, 'status, same, restored'), every('ok|t'), 'without a way back');
is_deeply(dry_run($us, q{'CREATE TABLE public.n (id int); INSERT INTO public.orders VALUES (0); NOTIFY hello'}, 'status, same'), every('ok|t'), 'rows and notifications, too');
is(traces(), $before, 'nothing is left');

# --- options, and what apply() refuses when it runs

my $now = 'ALTER TABLE public.orders ADD COLUMN at timestamptz NOT NULL DEFAULT now()';
my $told = q{; DO $x$ BEGIN RAISE EXCEPTION 'at % of %', (SELECT string_agg(DISTINCT at::text, ',') FROM public.orders), (SELECT count(DISTINCT at) FROM public.orders); END $x$};
my $r0 = dry_run($us, "'$now'", 'status, sqlstate, detail, remedy');
like($r0->{$us}, qr/^failed\|SD004\|ALTER TABLE cannot be coordinated in this form\npublic\.orders has rows, and each region would compute the values of column "at" for itself: they would differ\.\nstatement 1 of the script, at line 1: .*freeze_time/s,
	'what differs is refused where the change would be made');
like($r0->{$eu}, qr/^ok/, '... and the other regions would run it');
is_deeply(dry_run($us, qq{'$now', 'ALTER TABLE public.orders DROP COLUMN at', '{"freeze_time": true}'}, 'status, same, restored, detail'), every('ok|t|t'), 'option freeze_time');
my $at = dry_run($us, "\$up\$$now$told\$up\$" . q{, options => '{"freeze_time": true}'}, 'detail');
like($at->{$us}, qr/^at \d{4}-\d\d-\d\d \S+ of 1\n/, '... gives the rows one value');
is((split /\n/, $at->{$_})[0], (split /\n/, $at->{$us})[0], "... the same in $_") foreach $ap, $eu;
$g->sql($us, q{SELECT schemadrift.set_policy('{"freeze_time": true}')});
ok($g->converged, 'policy freeze_time');
is_deeply(dry_run($us, "'$now'", 'status, same, detail'), every('ok|t'), '... holds for a dry run');
like(dry_run($us, qq{'$now', options => '{"freeze_time": false}'}, 'status, sqlstate')->{$us}, qr/^failed\|SD004/, '... unless the option says otherwise');
is($g->sql($us, "SELECT count(*) FROM schemadrift.preflight('$now') WHERE check_name = 'analysis' AND detail ~ 'each region would compute'"), 0, '... and for preflight()');
$g->sql($us, q{SELECT schemadrift.set_policy('{"freeze_time": null}')});
ok($g->converged, 'policy taken back');
is($g->sql($us, "SELECT count(*) FROM schemadrift.preflight('$now') WHERE check_name = 'analysis' AND detail ~ 'each region would compute'"), 3, 'preflight() says what differs');
is($g->sql($us, "SELECT why FROM schemadrift.analyze('$now')") =~ tr/\n//, 0, '... and analyze(), once');
is($g->sql($us, qq[SELECT count(*) FROM schemadrift.preflight('$now', '{"freeze_time": true}') WHERE check_name = 'analysis' AND detail ~ 'each region would compute']), 0, '... but not with the option');
foreach my $call (q{dry_run('SELECT 1', NULL, '{"nonsense": 1}')}, q{dry_run('SELECT 1', options => '[]')}, q{dry_run('SELECT 1', options => '{"freeze_time": "yes"}')}, q{preflight('SELECT 1', '{"nonsense": 1}')}, q{preflight(NULL)}, q{dry_run(' ')})
{
	is($g->try($us, "SELECT * FROM schemadrift.$call")->{sqlstate}, '22023', "refused: $call");
}
is_deeply(dry_run($us, q{'SELECT 1', NULL, '{"timeout": "1s", "barrier": "previous", "allow": ["C11"]}'}, 'status'), every('ok'), 'other options of apply() are taken, and play no part');
is_deeply(dry_run($us, q{'SELECT 1', NULL, NULL}, 'status'), every('ok'), '... nor do none');
like(dry_run($us, q{'DO $x$ BEGIN CREATE TABLE public.n AS SELECT 1; END $x$'}, 'status, sqlstate')->{$us}, qr/^failed\|SD004/, 'what code does is refused, too');
is_deeply(dry_run($us, q{'CREATE TEMPORARY TABLE tt AS SELECT 1 AS a; ALTER TABLE tt ADD COLUMN b timestamptz DEFAULT now()'}, 'status'), every('ok'), '... but not of temporary tables');
like(dry_run($us, q{'CREATE FUNCTION public.bad() RETURNS int LANGUAGE sql AS $x$SELECT nothing$x$'}, 'status, sqlstate')->{$us}, qr/^failed\|42703/, 'the body of a function is checked where the change would be made');
like(dry_run($us, q{'CREATE FUNCTION public.bad() RETURNS int LANGUAGE sql AS $x$SELECT nothing$x$'}, 'status')->{$eu}, qr/^ok/, '... and not elsewhere, as when it is applied');
is_deeply(dry_run($us, q{'DO $x$BEGIN RAISE ''as if'' USING ERRCODE = ''query_canceled''; END$x$'}, q{status, sqlstate, split_part(detail, E'\n', 1)}), every('failed|57014|as if'), 'an error that looks like a cancel is none');
is_deeply(dry_run($us, q{'SELECT 1;' || repeat(E'-- a comment that is long, as are all of them\n', 100000)}, 'status'), every('ok'), 'a script that no socket takes at once');
is_deeply(dry_run($us, q{'CREATE EXTENSION hstore', 'DROP EXTENSION hstore'}, 'status, same, restored'), every('ok|t|t'), 'an extension\'s script is its own business');

# roles of one server for all: what another region has made is there when it runs elsewhere
$g->sql($us, 'CREATE ROLE dry_early LOGIN');
like(dry_run($us, q{'CREATE ROLE dry_early LOGIN'}, 'status, sqlstate')->{$us}, qr/^failed\|42710/, 'a role that is there already');
like(dry_run($us, q{'CREATE ROLE dry_early LOGIN'}, 'status')->{$eu}, qr/^ok/, '... is just so elsewhere');
like(dry_run($us, q{'CREATE ROLE dry_early CREATEDB'}, 'status, sqlstate, detail')->{$eu}, qr/^failed\|42710\|role "dry_early" exists in this server, and is not what the log makes\n.*rolcreatedb is another one/s, '... or another one');
like(dry_run($us, q{'DROP ROLE dry_missing'}, 'status, sqlstate')->{$us}, qr/^failed\|42704/, 'one that is not there');
like(dry_run($us, q{'DROP ROLE dry_missing'}, 'status')->{$eu}, qr/^ok/, '... is gone elsewhere');
is_deeply(dry_run($us, q{'CREATE ROLE dry_new; ALTER ROLE dry_new IN DATABASE "' || current_database() || '" SET work_mem = ''5MB''', 'DROP ROLE dry_new'}, 'status, detail'), every('ok'), 'a new role, and a setting in this database');
is($g->sql($us, q{SELECT count(*) FROM pg_roles WHERE rolname ~ '^(dry_new|schemadrift model)'}), 0, 'no role is left');
$g->sql($us, 'DROP ROLE dry_early');
is($g->sql($_, 'SELECT count(*) FROM schemadrift.verify()'), 0, "and no drift in $_") foreach $us, $ap, $eu;
$before = traces();

# --- preflight()

# rows "check region status detail" that are not ok
sub preflight
{
	my ($up, %o) = @_;

	return $g->sql($us, ($o{before} // '') . "SELECT concat_ws(' ', check_name, region, status, detail, '=>', remedy) FROM schemadrift.preflight(" . $o{quote} . "$up$o{quote}) WHERE status <> 'ok'
		AND check_name NOT IN ('replica lag', 'clock', 'latency') ORDER BY 1");
}

sub flies { my ($up, %o) = @_; return preflight($up, quote => '$up$', %o); }

my $change = 'ALTER TABLE public.orders ADD paid boolean';

# Somebody may be taken for missing for a moment only.
sub nothing_in_the_way
{
	my ($what) = @_;
	my $said;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	await(sub { ($said = flies($change)) eq '' });
	return is($said, '', $what);
}

like(flies($change), qr/^(?:metrics \S+ warning nobody has read view metrics since the server's start => SELECT .*\n?){3}$/, 'nobody watches');
$g->sql($_, 'SELECT count(*) FROM schemadrift.metrics') foreach $us, $ap, $eu;
nothing_in_the_way('nothing is in the way');
is($g->sql($us, "SELECT count(DISTINCT region) || ' ' || count(DISTINCT check_name) FROM schemadrift.preflight('$change')"), '3 16', 'it looks at all of that, in all regions');
is($g->sql($us, "SELECT count(*) FROM schemadrift.preflight('$change') WHERE remedy IS NULL <> (status = 'ok')"), 0, 'each that is not ok has a remedy');

# its answer is an older or newer release's
foreach my $call (qw(preflight dry_run))
{
	my $off = q{SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; SET client_min_messages = error;};
	my $arguments = $g->sql($eu, "SELECT oidvectortypes(proargtypes) FROM pg_proc WHERE oid = 'schemadrift_rpc.$call'::regproc");

	$g->sql($eu, "$off ALTER FUNCTION schemadrift_rpc.$call($arguments) RENAME TO true_$call;
		CREATE FUNCTION schemadrift_rpc.$call($arguments) RETURNS TABLE (nonsense int) LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION schemadrift_rpc.$call($arguments) TO schemadrift_peer");
	is(flies($change), "reach $eu unknown it answered with nonsense => -- bring it to the same version of schemadrift", 'an answer that is none') if $call eq 'preflight';
	is_deeply(dry_run($us, "'$change'", 'status, detail'), { $us => 'ok', $ap => 'ok', $eu => 'failed|it answered with nonsense' }, '... to a dry run, too') if $call eq 'dry_run';
	if ($call eq 'preflight')
	{
		# it says what to paste that nobody should: that these are its words is said before them
		my $lie = sub {
			my ($returns, $language, $body) = @_;
			$g->sql($eu, "$off DROP FUNCTION schemadrift_rpc.$call($arguments); CREATE FUNCTION schemadrift_rpc.$call($arguments) RETURNS $returns LANGUAGE $language AS \$lie\$$body\$lie\$;
				GRANT EXECUTE ON FUNCTION schemadrift_rpc.$call($arguments) TO schemadrift_peer");
		};
		$lie->('TABLE (a text, b text, c text, d text)', 'sql', q{VALUES ('names', 'failed', 'one', 'SELECT 1;'), ('names', 'failed', 'two', E'SELECT 2;\nSELECT 3;')});
		is(flies($change), "names $eu failed one => SELECT 1; -- in $eu\nnames $eu failed two => -- in $eu, which says:\nSELECT 2;\nSELECT 3;", 'what it says is to be pasted');
		$lie->('TABLE (a text, b text, c text, d text)', 'plpgsql', q{BEGIN RAISE 'no' USING HINT = E'SELECT 2;\nSELECT 3;'; END});
		is(flies($change), "reach $eu failed it did not look: no => -- $eu says: SELECT 2;\n-- SELECT 3;", '... and the HINT of its error');
	}
	$g->sql($eu, "$off DROP FUNCTION schemadrift_rpc.$call($arguments); ALTER FUNCTION schemadrift_rpc.true_$call($arguments) RENAME TO $call");
}
nothing_in_the_way('... and one that is, again');

SKIP:
{
	skip 'needs root, loop devices and mkfs.ext4', 8 if !SchemaDrift::Disk->possible;
	my $dir = abs_path(PostgreSQL::Test::Utils::tempdir);
	my $disk = SchemaDrift::Disk->new($dir, 256);
	my $up = 'ALTER TABLE public.on_disk ALTER id TYPE numeric';
	my $of_disk = sub {
		my ($script) = @_;
		my $rows = $g->sql($us, 'SELECT concat_ws(\' \', status, detail) FROM schemadrift.preflight($up$' . ($script // $up) . "\$up\$) WHERE check_name = 'disk' AND region = '$eu'");
		return join "\n", map { /^(\w+ .*?; )/ ? $1 : $_ } split /\n/, $rows;
	};
	my $avail = sub { return (split /\n/, qx{df --output=avail -B1 '$dir'})[1] + 0; };

	$g->sql($us, "CREATE TABLESPACE small LOCATION '$dir'");
	$g->sql($us, 'BEGIN; CREATE TABLE public.on_disk (id int, t text) TABLESPACE small; CREATE INDEX ON public.on_disk (t) TABLESPACE small; CREATE INDEX ON public.on_disk (id); CREATE TABLE public.beside (id int, t text); COMMIT');
	ok($g->converged, 'a table on a disk of its own');
	$g->sql($eu, "INSERT INTO public.on_disk SELECT i, i || repeat('x', 100) FROM generate_series(1, 60000) i");
	my $bytes = $g->sql($eu, q{SELECT pg_relation_size('public.on_disk') + pg_relation_size('public.on_disk_t_idx')});
	my $told = 'it writes ' . $g->sql($eu, "SELECT pg_size_pretty($bytes\::bigint)") . ' anew in tablespace small, and as much WAL; ';
	my $own = 'ok it writes ' . $g->sql($eu, q{SELECT pg_size_pretty(pg_relation_size('public.on_disk_id_idx'))}) . ' anew, and as much WAL; ';
	is(join("\n", sort split /\n/, $of_disk->()), "$own\nok $told", 'which has room, its index included; and the place of its other index, too');
	my $both = "$up; ALTER TABLE public.beside ALTER id TYPE bigint";
	$g->sql($eu, "INSERT INTO public.beside SELECT i, repeat('x', 100) FROM generate_series(1, 300000) i");
	system('fallocate', '-l', $avail->() - 4 * $bytes, "$dir/full") == 0 or die 'fallocate';
	unlike($of_disk->($both), qr/^(?!ok)/m, '... for what it writes there: what is written elsewhere is another place\'s');
	$disk->free;
	my $indexes = 'ALTER TABLE public.on_disk ALTER t TYPE text COLLATE "C"';
	like($of_disk->($indexes), qr/^ok it writes \Q@{[ $g->sql($eu, q{SELECT pg_size_pretty(pg_relation_size('public.on_disk_t_idx'))}) ]}\E anew in tablespace small,/m, 'an index that is built again, without its table');
	system('fallocate', '-l', $avail->() - 2 * $bytes, "$dir/full") == 0 or die 'fallocate';
	like($of_disk->(), qr/^warning \Q$told\E$/m, '... but little');
	$disk->free;
	# the analysis makes empty copies, for which there is room
	system('fallocate', '-l', $avail->() - int($bytes / 2), "$dir/full") == 0 or die 'fallocate';
	like($of_disk->(), qr/^failed \Q$told\E$/m, '... or too little');
	$disk->free;
	like($of_disk->(), qr/^ok \Q$told\E$/m, '... but that has passed');
	$g->sql($us, 'DROP TABLE public.on_disk, public.beside');
	ok($g->converged, 'all are equal');
}

my $sitter = $g->session($eu);
$sitter->query('BEGIN; SELECT count(*) FROM public.orders;');
like(flies($change), qr/^locks \Q$eu\E (?:warning|failed) pid \d+ of role \S+ has held ACCESS SHARE on public\.orders, in a transaction that began \d+ s ago and is idle in transaction: .*SELECT count.* => SELECT pg_terminate_backend\(\d+\); -- in \Q$eu\E$/,
	'who holds the table in another region');
is(flies('CREATE INDEX ON public.orders (note)'), '', '... if the script would wait for him');
$sitter->query('DELETE FROM public.orders WHERE false;');
like(flies('CREATE INDEX ON public.orders (note)'), qr/^locks \Q$eu\E \S+ pid \d+ of role \S+ has held ROW EXCLUSIVE on public\.orders/m, '... the strongest of his locks counts');
$sitter->query('ROLLBACK;');
$sitter->quit;
$g->sql($ap, "BEGIN; LOCK TABLE public.orders IN SHARE MODE; PREPARE TRANSACTION 'stuck'");
like(flies($change), qr/^prepared transactions \Q$ap\E failed 'stuck' of role \S+ prepared \d+ s ago, holds a lock on public\.orders => COMMIT PREPARED 'stuck'; -- or ROLLBACK PREPARED 'stuck' -- in \Q$ap\E$/m,
	'a prepared transaction');
$g->sql($ap, "ROLLBACK PREPARED 'stuck'");

# names that would be a statement if a quote or a comment ended in them
$g->sql($us, 'CREATE ROLE dry_mallory');
my @traps = map { "x${_}ALTER ROLE dry_mallory SUPERUSER; --" } "\n", "\r", "\t\r\n", q{'; }, q{\\'; };
my $trap = $traps[1];
$g->sql($ap, 'BEGIN; LOCK TABLE public.orders IN SHARE MODE; PREPARE TRANSACTION ' . quoted($_)) foreach @traps;
my $paste = $g->sql($us, "SELECT string_agg(remedy, E'\n') FROM schemadrift.preflight('$change') WHERE check_name = 'prepared transactions' AND region = '$ap' AND status = 'failed'");
like($paste, qr/^COMMIT PREPARED E'x\\nALTER ROLE dry_mallory SUPERUSER; --'; -- or ROLLBACK PREPARED E'x\\nALTER ROLE dry_mallory SUPERUSER; --' -- in \Q$ap\E$/m, 'a name of two lines');
is(scalar(grep { !/^COMMIT PREPARED E?'x/ } split /[\r\n]/, $paste), 0, '... and others, each in its own');
$g->sql($ap, "$paste\nSELECT 1");
is($g->sql($ap, 'SELECT count(*) FROM pg_prepared_xacts'), 0, '... pasted, each is what it names');
$g->sql($us, qq{CREATE PUBLICATION "$traps[0]" FOR ALL TABLES});
my $advice = $g->sql($us, "SELECT safer FROM schemadrift.analyze('ALTER TABLE public.orders ADD published int')");
like($advice, qr/^-- publication U&"x\\000aALTER ROLE dry_mallory SUPERUSER; --" takes whole schemas/m, 'a publication of that name, in advice');
is(scalar(grep { /^ALTER ROLE/ } split /[\r\n]/, $advice), 0, '... has no line of its own');
$g->sql($us, qq{DROP PUBLICATION "$traps[0]"});
is(scalar(grep { /^ALTER ROLE/ } split /[\r\n]/, flies('CREATE EXTENSION "' . $traps[0] . '"')), 0, 'nor has an extension');
foreach my $name ($traps[0], 'back\\slash')
{
	$g->sql($us, qq{CREATE ROLE "$name"});
	is($g->sql($us, qq{SELECT count(*) FROM schemadrift.preflight('ALTER TABLE public.orders OWNER TO "$name"') WHERE check_name = 'names' AND status = 'ok'}), 3, 'a role with such a name is one that each region has');
	$g->sql($us, qq{DROP ROLE "$name"});
}
like(flies('ALTER TABLE public.orders ALTER id TYPE numeric', before => "SET schemadrift.large_table = '64kB'; "), qr/^analysis \Q$us\E warning statement 1, at line 1, ALTER TABLE, is unsafe/m,
	'what is unsafe');
$g->sql($eu, "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; ALTER TABLE public.orders ADD \"$trap\" int");
like(flies($change), qr/^drift \Q$eu\E failed table public\.orders, which it changes, is not what the log says => SELECT \* FROM schemadrift\.repair_plan\(\); -- in \Q$eu\E/m, 'a target that drifted');
$paste = $g->sql($eu, q{SELECT string_agg(statement, E'\n') FROM schemadrift.repair_plan()});
like($paste, qr/^-- ALTER TABLE public\.orders DROP COLUMN "x\r-- ALTER ROLE/m, '... by a column whose name ends a line');
$g->sql($eu, "$paste\nSELECT 1");
my $past = "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; ";
$g->sql($eu, "$past ALTER INDEX public.orders_pkey SET (fillfactor = 70)");
like(flies('ALTER TABLE public.orders DROP id'), qr/^drift \Q$eu\E failed index public\.orders_pkey, which it changes, is not what the log says/m, '... and an index of one');
$g->sql($eu, "$past ALTER INDEX public.orders_pkey RESET (fillfactor)");
$g->sql($us, 'CREATE TABLE public."order" (n serial)');
ok($g->wait_until($eu, q{SELECT to_regclass('public."order"') IS NOT NULL}, 't'), 'a table whose name is a keyword');
$g->sql($eu, qq{$past ALTER SEQUENCE public.order_n_seq CACHE 7; ALTER TABLE public."order" ADD extra int});
like(flies('DROP TABLE public."order"'), qr/^drift \Q$eu\E failed $_, which it changes, is not what the log says/m, "... and $_") foreach 'sequence public.order_n_seq', 'table public.order';
$g->sql($eu, qq{$past ALTER SEQUENCE public.order_n_seq CACHE 1; ALTER TABLE public."order" DROP extra});
$g->sql($us, 'DROP TABLE public."order"');
is($g->sql($us, q{SELECT rolsuper FROM pg_roles WHERE rolname = 'dry_mallory'}), 'f', 'nothing that was pasted is a statement of hers');
$g->sql($eu, "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; ALTER TABLE public.orders DROP \"$trap\"");
$before = traces();

# --- what is bad everywhere

is_deeply(dry_run($us, q{'ALTER TABLE public.orders DROP total', 'ALTER TABLE public.orders ADD total numeric(10,2)'}, 'status, restored'), every('warning|f'),
	'a way back that does not restore the default');
like(dry_run($us, q{'ALTER TABLE public.orders DROP total', 'ALTER TABLE public.orders ADD id int'}, 'status, sqlstate, detail')->{$eu},
	qr/^warning\|42701\|down fails: column "id" of relation "orders" already exists\n.*statement 1 of the script, at line 1/s, 'a way back that fails');
like(dry_run($us, q{E'CREATE TABLE public.n (id int);\nALTER TABLE public.nowhere ADD a int'}, 'status, sqlstate, detail')->{$ap},
	qr/^failed\|42P01\|relation "public.nowhere" does not exist\nstatement 2 of the script, at line 2/, 'a script that fails says where');
my $hint = sub { return "'DO \$x\$ BEGIN RAISE ''no'' USING HINT = E''SELECT 2;\\nSELECT 3;''; END \$x\$'" };
is_deeply(dry_run($us, $hint->(), 'status, remedy'), { $us => "failed|SELECT 2;\nSELECT 3;", map { $_ => "failed|-- $_ says: SELECT 2;\n-- SELECT 3;" } $ap, $eu }, 'the HINT of its error is a comment, if it is another region\'s');
is_deeply(dry_run($us, "'SELECT 1', " . $hint->(), 'status, remedy'), { $us => "warning|SELECT 2;\nSELECT 3;", map { $_ => "warning|-- $_ says: SELECT 2;\n-- SELECT 3;" } $ap, $eu }, '... of the way back, too');
like(dry_run($us, q{'INSERT INTO public.items VALUES (1, 99999)'}, 'status, sqlstate')->{$eu}, qr/^failed\|23503$/, 'what waits for the commit is checked');
like(dry_run($us, q{'CREATE INDEX CONCURRENTLY ON public.orders (note)'}, 'status, sqlstate')->{$eu}, qr/^failed\|SD004$/, 'CONCURRENTLY cannot be tried');
like(dry_run($us, q{'COMMIT'}, 'status, sqlstate')->{$us}, qr/^failed\|SD004$/, 'nor can COMMIT');

# --- a large table

like(dry_run($us, q{'ALTER TABLE public.orders ALTER id TYPE numeric'}, 'status')->{$eu}, qr/^ok/, 'a table that is not large is rewritten');
$g->sql($_, "ALTER DATABASE \"" . $g->sql($_, 'SELECT current_database()') . "\" SET schemadrift.large_table = '64kB'") foreach $us, $ap, $eu;
my $r = dry_run($us, q{'ALTER TABLE public.orders ALTER id TYPE numeric'}, 'status, sqlstate, detail');
like($r->{$_}, qr/^failed\|54000\|not run: it would rewrite public\.orders, which has \d+ kB/, "one that is, is not, in $_") foreach $us, $ap, $eu;
like(dry_run($us, q{'ALTER TABLE public.orders ADD CHECK (id > 0)'}, 'status, detail')->{$ap}, qr/^failed\|not run: it would scan public\.orders/, 'nor scanned');
$g->sql($_, 'ALTER DATABASE "' . $g->sql($_, 'SELECT current_database()') . '" RESET schemadrift.large_table') foreach $us, $ap, $eu;
is(traces(), $before, 'nothing is left');

# --- one region alone

# What a reader of table items waits at most in a region while code runs there, in seconds, and what that returned: it takes its lock again and again.
sub longest_wait
{
	my ($where, $code) = @_;
	my %reader = map { $_ => $g->session($_) } @$where;
	my %ends = map { $_ => $g->session($_) } @$where;

	foreach my $name (@$where)
	{
		$ends{$name}->query('SELECT pg_advisory_lock(280);');
		$reader{$name}->send(q{DO $x$ DECLARE longest interval := '0'; began timestamptz; BEGIN LOOP
			began := clock_timestamp(); LOCK TABLE public.items IN ACCESS SHARE MODE; longest := greatest(longest, clock_timestamp() - began); COMMIT;
			EXIT WHEN pg_try_advisory_lock_shared(280); PERFORM pg_sleep(0.01); END LOOP;
			PERFORM set_config('test.longest', extract(epoch FROM longest)::text, false); END $x$; SHOW test.longest;});
		$g->wait_until($name, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'}, 't');
	}
	my $r = $code->();
	$_->query('SELECT pg_advisory_unlock(280);') foreach values %ends;
	my %longest = map { $_ => $reader{$_}->result->{out} } @$where;
	$_->quit foreach values %reader, values %ends;
	return ($r, \%longest);
}

# A dry run that is over its limit holds its lock no longer than that.  A machine that stands still meanwhile may leave it no time for the lock: once more.
sub in_time
{
	my ($where, $limit, $what, $code) = @_;
	my ($r, $longest);

	foreach (1 .. 5)
	{
		($r, $longest) = longest_wait($where, $code);
		last if !grep { $longest->{$_} < 0.5 } @$where;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $name (@$where)
	{
		cmp_ok($longest->{$name}, '>', 0.5, "$what: who reads the table in $name waits: $longest->{$name} s");
		cmp_ok($longest->{$name}, '<', $limit + $slack, "... for $limit s at most");
	}
	return $r;
}

my $holder = $g->session($eu);
$holder->query('BEGIN; SELECT count(*) FROM public.orders;');
setting('dry_run_lock_timeout', '1s');
my ($seconds, $held) = took(sub { dry_run($us, q{'ALTER TABLE public.orders ADD paid boolean'}, 'status, sqlstate') });
is_deeply($held, { $us => 'ok', $ap => 'ok', $eu => 'failed|55P03' }, 'a lock that somebody holds in one region');
cmp_ok($seconds, '>=', 1, "... is waited for, for dry_run_lock_timeout: $seconds s");
cmp_ok($seconds, '<', 1 + $slack, '... and no longer');
setting('dry_run_timeout', '3s');
my $locks = 'ALTER TABLE public.items ADD paid boolean; ';
is_deeply(in_time([ $us, $eu ], 3, 'a limit over all', sub { dry_run($us, "'${locks}DO \$\$ BEGIN PERFORM pg_sleep(100); END \$\$'", 'status, sqlstate') }), every('failed|57014'), '... of which each region says so');
my $stubborn = $locks . 'DO $$ BEGIN %s LOOP BEGIN PERFORM pg_sleep(100); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$';
# a second later (SD_LIMIT_GRACE_MS)
is_deeply(in_time([$eu], 3 + 1, 'a script that catches the cancel', sub { dry_run($us, "'" . sprintf($stubborn, "IF current_database() = ''" . $g->sql($us, 'SELECT current_database()') . "'' THEN RETURN; END IF;") . "'", 'status, sqlstate') }),
	{ $us => 'ok', $ap => 'failed|57P01', $eu => 'failed|57P01' }, '... ends with its process');
like(in_time([$us], 3 + 1, 'where it is called', sub { $g->try($us, "SELECT * FROM schemadrift.dry_run('" . sprintf($stubborn, '') . "')")->{err} }), qr/terminating connection.*dry run that went on when its time was over/s, '... it ends, too');
setting('dry_run_timeout', '1min');
setting('dry_run_lock_timeout', '10s');
$holder->query('ROLLBACK;');
$holder->quit;
is($g->sql($eu, q{SELECT count(*) FROM pg_locks l WHERE locktype = 'object' AND classid = 'pg_extension'::regclass}), 0, 'nobody holds the DDL lock');

$g->sql($eu, "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; ALTER TABLE public.items ADD extra int; CREATE TABLE public.hotfix (id int)");
$g->wait_until($us, "SELECT count(*) FROM schemadrift.drift WHERE region = '$eu'", 2);
$r = dry_run($us, q{'ALTER TABLE public.orders ADD paid boolean'}, 'status, same, detail');
is($r->{$us}, 'ok|t', 'beside a region that drifted: as it should here');
like($r->{$eu}, qr/^warning\|f\|the schema is not that of region "\Q$us\E" already/, '... the same effect there, on another schema');
like(flies($change), qr/^drift \Q$eu\E warning 2 other objects are not what the log says => SELECT \* FROM schemadrift\.drift; -- in \Q$eu\E$/m, '... as preflight() says');
$r = dry_run($us, q{'CREATE TABLE public.hotfix (id int)'}, 'status, sqlstate');
is_deeply($r, { $us => 'ok', $ap => 'ok', $eu => 'failed|42P07' }, 'up fails in one region only');
$r = dry_run($us, q{'ALTER TABLE public.items ADD b int'}, 'status, same, detail');
like($r->{$eu}, qr/^warning\|f\|it leaves something else here/, 'another effect');
$g->sql($eu, "SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'test'; ALTER TABLE public.items DROP extra; DROP TABLE public.hotfix");
$g->wait_until($us, "SELECT count(*) FROM schemadrift.drift WHERE region = '$eu'", 0);

# --- who may, and where

$g->sql($us, 'CREATE ROLE dry_author LOGIN IN ROLE schemadrift_migrator; CREATE ROLE dry_nobody LOGIN');
my $as = "SET SESSION AUTHORIZATION dry_author; ";
like($g->try($us, "SET SESSION AUTHORIZATION dry_nobody; SELECT * FROM schemadrift.dry_run('SELECT 1')")->{err}, qr/permission denied for function dry_run/, 'not everybody');
is_deeply(dry_run($us, q{'ALTER TABLE public.orders ADD paid boolean'}, 'status, sqlstate', before => $as), every('failed|42501'), 'with the rights of the caller, everywhere');
like($g->try($us, "BEGIN; CREATE TABLE public.mine (id int); SELECT * FROM schemadrift.dry_run('SELECT 1')")->{err}, qr/cannot be in a transaction that changes the schema/,
	'not beside a change');

# --- as whom: as the applier is connected, in every region

my $superuser = $g->sql($us, 'SELECT current_user');
is_deeply(dry_run($us, "'$_; CREATE TABLE public.n ()'", 'status, detail'), every('ok'), "a superuser's $_") foreach 'SET SESSION AUTHORIZATION DEFAULT', 'RESET ROLE', "SET ROLE $superuser", 'SET ROLE dry_nobody; RESET ROLE';
$g->sql($us, 'CREATE ROLE dry_owner; ALTER ROLE dry_author NOINHERIT; GRANT EXECUTE ON FUNCTION schemadrift.dry_run TO dry_author; GRANT dry_owner TO dry_author; GRANT CREATE ON SCHEMA public TO dry_owner');
$g->sql($us, 'CREATE TABLE public.owned (id int); ALTER TABLE public.owned OWNER TO dry_owner');
ok($g->converged, 'a table of somebody else');
$before = traces();
is_deeply(dry_run($us, q{'SET ROLE dry_owner; ALTER TABLE public.owned ADD a int; RESET ROLE', 'SET LOCAL ROLE dry_owner; ALTER TABLE public.owned DROP a'}, 'status, restored', before => $as), every('ok|t'),
	'a script that becomes the owner of a table');
like($_, qr/^failed\|42501\|must be owner of table owned/, '... and no longer after RESET ROLE')
  foreach values %{ dry_run($us, q{'SET ROLE dry_owner; RESET ROLE; ALTER TABLE public.owned ADD a int'}, 'status, sqlstate, detail', before => $as) };
my $who = 'DO $$ BEGIN %s RAISE EXCEPTION $m$session %%, user %%$m$, session_user, current_user; END $$';
foreach my $way ('', 'RESET ROLE;', 'RESET SESSION AUTHORIZATION;', 'SET SESSION AUTHORIZATION DEFAULT;', 'SET ROLE NONE;', q{PERFORM set_config('role', 'none', false);})
{
	my $said = dry_run($us, quoted(sprintf $who, $way), 'detail', before => $as);
	# where it is called, the session is whoever has called
	like($said->{$_}, qr/^session dry_author, user dry_author$/m, "in $_ '$way' reaches nobody but the author") foreach $ap, $eu;
}
foreach my $other ($superuser, 'region_peer')
{
	my $said = dry_run($us, quoted("SET ROLE $other"), 'status, sqlstate', before => $as);
	is_deeply([ @$said{ $ap, $eu } ], [ ('failed|42501') x 2 ], "nor is SET ROLE $other to be had");
	$said = dry_run($us, quoted("SET SESSION AUTHORIZATION $other"), 'status, sqlstate', before => $as);
	is_deeply([ @$said{ $ap, $eu } ], [ ('failed|42501') x 2 ], '... nor as its session');
}
$g->sql($us, q{ALTER ROLE dry_author SET schemadrift.dry_run_timeout = '1ms'});
is_deeply(dry_run($us, q{'SET ROLE dry_owner; ALTER TABLE public.owned ADD a int'}, 'status', before => $as), every('ok'), 'limits are those of the region, not what the author has set');
$g->sql($us, 'ALTER ROLE dry_author RESET ALL');

# One whom the applier cannot be connected as: SET ROLE fails there, and it says why.
my $far = $g->sql($ap, 'SELECT current_database()');
$g->sql($us, qq{REVOKE CONNECT ON DATABASE "$far" FROM PUBLIC; GRANT CONNECT ON DATABASE "$far" TO region_peer});
my $cut_off = dry_run($us, q{'SET ROLE dry_owner; ALTER TABLE public.owned ADD a int'}, 'status, sqlstate, remedy', before => $as);
is_deeply([ @$cut_off{ $us, $eu } ], [ 'ok', 'ok' ], 'one who cannot connect to one of the databases');
like($cut_off->{$ap}, qr/^failed\|42501\|-- \Q$ap\E says: Role dry_author cannot be connected to this database, so SET ROLE and RESET ROLE fail .*GRANT CONNECT ON DATABASE "?\Q$far\E"? TO dry_author;/, '... is told so');
is_deeply(dry_run($us, q{'SELECT 1'}, 'status', before => $as), every('ok'), '... and may do the rest');
$g->sql($us, qq{GRANT CONNECT ON DATABASE "$far" TO PUBLIC});

setting('dry_run_for_regions', 'off');
is_deeply(dry_run($us, q{'SELECT 1'}, 'status, sqlstate'), { $us => 'ok', $ap => 'failed|SD005', $eu => 'failed|SD005' }, 'a region may decline');
setting('dry_run_for_regions', 'on');

# --- a region that is away

my $gone = $g->sql($ap, 'SELECT current_database()');
$g->sql($us, "ALTER DATABASE \"$gone\" ALLOW_CONNECTIONS false");
$g->sql($us, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '$gone' AND backend_type = 'client backend'");
($seconds, $r) = took(sub { dry_run($us, q{'CREATE TABLE public.n (id int)'}, 'status') });
is_deeply($r, { $us => 'ok', $ap => 'failed', $eu => 'ok' }, 'a region that is away is a row');
cmp_ok($seconds, '<', 20, "... and not waited for: $seconds s");
like(flies($change), qr/^reach \Q$ap\E failed not reached: /m, '... of preflight(), too');
$g->sql($us, "ALTER DATABASE \"$gone\" ALLOW_CONNECTIONS true");
$g->reached;
is((traces() =~ s/^(\S+: \S+ \S+ \S+ \S+) \S+/$1 -/gmr), ($before =~ s/^(\S+: \S+ \S+ \S+ \S+) \S+/$1 -/gmr), 'nothing is left but the notes of what was done outside the log');
ok(can_change($g, $us), 'the schema can be changed');

done_testing();
