# Real migration tools against a real group of three: Sqitch, Knex, node-pg-migrate, Sequelize with Umzug, pg_dump, pg_restore, psql
# and libpq's pipelines.  Started by make tools, which brings the tools (t/setup.sh, t/tools/package.json).
#
# A tool's own role works in its own schema.  Its files are in t/tools/*.files.  TOOLS="knex pg_dump" runs only these.
# SCHEMAS=DIR: files of SQL that pg_dump | psql is tried with, besides the one made here.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use Cwd 'abs_path';
use File::Basename;
use File::Path 'make_path';
use PostgreSQL::Test::Utils;
use SchemaDrift::Scenario;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = $ENV{SD_TOOLS} // die "SD_TOOLS is not set: start me by make tools\n";
my %only = map { $_ => 1 } split ' ', $ENV{TOOLS} // '';
my ($us, $ap, $eu) = qw(us-east ap-south eu-west);
my $work = abs_path($PostgreSQL::Test::Utils::tmp_check) . '/tools';

# history: what it writes down, as one text; late: the last of its migrations that it says it has done, of late_12 to late_15
my %tools = (
	sqitch => {
		history => q{SELECT string_agg(t, E'\n' ORDER BY t) FROM (SELECT 'change ' || c::text FROM sqitch.changes c
			UNION ALL SELECT 'event ' || e::text FROM sqitch.events e UNION ALL SELECT 'tag ' || x::text FROM sqitch.tags x
			UNION ALL SELECT 'dependency ' || d::text FROM sqitch.dependencies d UNION ALL SELECT 'project ' || p::text FROM sqitch.projects p) AS all_of_it (t)},
		done   => 'SELECT change FROM sqitch.changes',
		up     => [qw(sqitch deploy db:pg:)],
		down   => [qw(sqitch revert --to @HEAD^ -y db:pg:)],
		error  => qr/no quorum/,
		record => [qw(sqitch deploy --log-only db:pg:)],
		idle   => qr/Nothing to deploy \(up-to-date\)/,
		rights => 'GRANT CREATE ON DATABASE postgres TO t_sqitch',
	},
	knex => {
		history => q{SELECT string_agg(k::text, E'\n' ORDER BY id) FROM knex_migrations k},
		done    => 'SELECT name FROM knex_migrations',
		up      => [ 'node', "$node/node_modules/.bin/knex", 'migrate:latest' ],
		down    => [ 'node', "$node/node_modules/.bin/knex", 'migrate:down' ],
		# all of them are one transaction, which had asked before the cut: it may have gone out, or not
		error   => qr/no quorum|it is not known yet whether the schema change happens/,
		idle    => qr/Already up to date/,
	},
	'node-pg-migrate' => {
		history => q{SELECT string_agg(p::text, E'\n' ORDER BY id) FROM pgmigrations p},
		done    => 'SELECT name FROM pgmigrations',
		up      => [ 'node', "$node/node_modules/.bin/node-pg-migrate", qw(up --no-verbose --schema t_node_pg_migrate) ],
		down    => [ 'node', "$node/node_modules/.bin/node-pg-migrate", qw(down --no-verbose --schema t_node_pg_migrate) ],
		error   => qr/no quorum|it is not known yet whether the schema change happens/,
		idle    => qr/No migrations to run!/,
	},
	sequelize => {
		history => q{SELECT string_agg(s::text, E'\n' ORDER BY name) FROM "SequelizeMeta" s},
		done    => 'SELECT name FROM "SequelizeMeta"',
		up      => [qw(node migrate.js up)],
		down    => [qw(node migrate.js down)],
		error   => qr/no quorum/,
		record  => 1,
		idle    => qr/applied 0 migrations/,
		schema  => 'public',		# it says "public" by itself
		rights  => 'GRANT CREATE ON SCHEMA public TO t_sequelize',
	});
my @tools = grep { !%only || $only{$_} } sort keys %tools;

sub role { my ($tool) = @_; return 't_' . $tool =~ s/-/_/gr; }
sub wanted { my ($part) = @_; return !%only || $only{$part}; }

my $g;
$g = made_group(3, before => join ";\n", map {
	my $role = role($_);
	("CREATE ROLE $role LOGIN", $tools{$_}{schema} ? () : "CREATE SCHEMA $role AUTHORIZATION $role", $tools{$_}{rights} // ())
} sort keys %tools) if @tools;

# ---- running a tool ----

# Its files: "== path" begins one.  From a part ("11", "cut", "window") only what is below it.
sub unpack_files
{
	my ($tool, $part) = @_;
	my $out;

	foreach my $line (split /^/, slurp_file("$FindBin::Bin/tools/$tool.files"))
	{
		if ($line =~ m{^== (?:(11|cut|window)/)?(.*)})
		{
			my ($of, $path) = ($1 // '', "$work/$tool/$2");

			undef $out;
			next if $of ne $part;
			make_path(dirname($path));
			open $out, '>>', $path or die "$path: $!\n";
		}
		elsif ($out)
		{
			print $out $line;
		}
	}
	close $out if $out;
	return;
}

# Start a command in the tool's directory, as its role, connected to a region; its process id.
sub begin
{
	my ($tool, $region, @command) = @_;
	my $server = $g->region($region);
	my $pid = fork() // die "fork: $!\n";

	return $pid if $pid;
	chdir "$work/$tool" or die "$work/$tool: $!\n";
	delete @ENV{ grep { /^PG/ } keys %ENV };
	@ENV{qw(PGHOST PGPORT PGDATABASE PGUSER NODE_PATH NO_COLOR SQITCH_FULLNAME SQITCH_EMAIL)} =
	  ($server->host, $server->port, 'postgres', role($tool), "$node/node_modules", 1, 'Migrations', 'migrations@example.org');
	open STDIN,  '<', '/dev/null' or die "/dev/null: $!\n";
	open STDOUT, '>', "$work/$tool.out" or die "$work/$tool.out: $!\n";
	open STDERR, '>&', \*STDOUT or die "stderr: $!\n";
	exec { $command[0] } @command or POSIX::_exit(127);
}

sub ended
{
	my ($tool, $pid) = @_;

	waitpid $pid, 0;
	return { status => $?, out => slurp_file("$work/$tool.out") };
}

sub run_tool
{
	my ($tool, $region, $what) = @_;

	return ended($tool, begin($tool, $region, @{ $tools{$tool}{$what} }));
}

sub works
{
	my ($tool, $region, $what, $name) = @_;
	my $r = run_tool($tool, $region, $what);

	note("$tool $what in $region:\n$r->{out}");
	ok(!$r->{status}, "$tool: $name") or diag $r->{out};
	return $r;
}

sub as { my ($tool, $region, $sql) = @_; return $g->sql($region, $sql, user => role($tool)); }

# All regions say so.
sub everywhere
{
	my ($tool, $sql, $expected, $what) = @_;

	return is_deeply([ $g->converged ? map { as($tool, $_, $sql) } $g->names : () ], [ ($expected) x 3 ], "$tool: $what");
}

# One schema, by fingerprint and by pg_dump, and one history.
sub same_everywhere
{
	my ($tool, $done, $what) = @_;
	my (%dumps, %histories);

	ok($g->converged, "$tool: $what: the same fingerprint everywhere") or return;
	foreach my $name ($g->names)
	{
		my $dump = dumped($name, '-n', $tools{$tool}{schema} // role($tool));

		push @{ $dumps{$dump} }, $name;
		push @{ $histories{ as($tool, $name, $tools{$tool}{history}) } }, $name;
	}
	is(keys %dumps, 1, "$tool: $what: the same dump") or diag explain [ sort values %dumps ];
	is(keys %histories, 1, "$tool: $what: the same history") or diag explain \%histories;
	is(as($tool, $us, "SELECT count(*) FROM ($tools{$tool}{done}) AS d"), $done, "$tool: $what: $done migrations are recorded");
	return;
}

sub dumped
{
	my ($name, @what) = @_;
	my $server = $g->region($name);

	my $dump = run_simple('pg_dump', '-s', @what, '-d', $server->connstr('postgres'));
	$dump =~ s/^\\(?:un)?restrict .*\n//mg;    # another word in each dump of newer minor versions
	return $dump;
}

sub run_simple
{
	my (@command) = @_;
	my ($out, $err) = run_command(\@command);

	die "@command: $err\n" if $err ne '' && $out eq '';
	return $out;
}

# ---- each tool ----

# Of the last three migrations, what is recorded is what is there.
sub recorded_is_done
{
	my ($tool, $name) = @_;
	my $recorded = as($tool, $name, "SELECT string_agg(substring(n, 'late_..'), ' ' ORDER BY n) FROM ($tools{$tool}{done}) AS d (n) WHERE n ~ 'late_'");
	my $there = as($tool, $name, q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname ~ '^late_' AND relkind = 'r' AND relnamespace = current_schema()::regnamespace});

	note("$tool: $name has $there");
	return is($recorded, $there, "$tool: $name has what is recorded there, and nothing else");
}

# Run what a part adds in a region that loses the others while a migration waits for a lock of ours.
sub cut_off
{
	my ($tool, $part) = @_;

	unpack_files($tool, $part);
	my $holder = $g->session($us);
	$holder->query('SELECT pg_advisory_lock(4711);');
	my $pid = begin($tool, $us, @{ $tools{$tool}{up} });
	$g->wait_until($us, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted}, 1)
	  or diag slurp_file("$work/$tool.out");
	$g->isolate($us);
	$g->wait_until($us, q{SELECT state FROM schemadrift.status}, qr/no.quorum/);
	$holder->quit;
	return ended($tool, $pid);
}

# What records alone can be cut off between the DDL and its record: nothing is recorded that did not happen, but the reverse can be, as
# after a crash with one database.  Writing it down in one region does it.
sub not_recorded
{
	my ($tool) = @_;
	my $r = cut_off($tool, 'window');

	note("$tool, cut off before it records:\n$r->{out}");
	isnt($r->{status}, 0, "$tool: cut off before it records it fails") or diag $r->{out};
	like($r->{out}, $tools{$tool}{error}, "$tool: and says why");
	$g->heal_all;
	ok($g->reached, "$tool: after that cut");
	same_everywhere($tool, 14, 'done and not recorded');
	everywhere($tool, q{SELECT to_regclass('late_15') IS NOT NULL}, 't', 'it is done everywhere');
	$r = run_tool($tool, $us, 'up');
	note("$tool, again:\n$r->{out}");
	# (Sequelize's CREATE TABLE has IF NOT EXISTS: again is no error there)
	isnt($r->{status}, 0, "$tool: again is an error") if $tool eq 'sqitch';
	works($tool, $us, record => 'writing down what was done') if ref $tools{$tool}{record};
	same_everywhere($tool, 15, 'written down');
	return;
}

sub whole_life
{
	my ($tool) = @_;
	my $t = $tools{$tool};
	my $start = time();

	unpack_files($tool, '');
	works($tool, $us, up => 'ten migrations in one region');
	same_everywhere($tool, 10, 'after ten');
	everywhere($tool, q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'legacy' AND NOT attisdropped}, 0, 'a column is gone');
	everywhere($tool, q{SELECT to_regclass('tariffs') IS NOT NULL AND to_regclass('plans') IS NULL}, 't', 'a table has its new name');
	everywhere($tool, q{SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid = 'users'::regclass AND pg_get_indexdef(indexrelid) ~ 'btree \(age\)'}, 1,
		'the index built concurrently is valid');
	is(join(' ', map { as($tool, $_, 'SELECT count(*) FROM tariffs') } $g->names), '2 0 0', "$tool: rows of a seed stay where they were written");

	works($tool, $us, down => 'revert the last one');
	same_everywhere($tool, 9, 'after a revert');
	everywhere($tool, q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'legacy' AND NOT attisdropped}, 1, 'the column is there again');

	works($tool, $ap, up => 'the tenth again, from another region');
	same_everywhere($tool, 10, 'after the tenth');
	foreach my $name ($us, $eu)
	{
		my $head = head($g, $name);

		my $r = works($tool, $name, up => "run in $name, too");
		like($r->{out}, $t->{idle}, "$tool: there is nothing to do");
		is(head($g, $name), $head, "$tool: and no version was made");
	}

	unpack_files($tool, '11');
	works($tool, $eu, up => 'a new migration from a third region');
	same_everywhere($tool, 11, 'after the eleventh');

	# The region loses the others while the thirteenth waits for us.
	my $r = cut_off($tool, 'cut');
	note("$tool, cut off:\n$r->{out}");
	isnt($r->{status}, 0, "$tool: cut off from the others it fails") or diag $r->{out};
	like($r->{out}, $t->{error}, "$tool: and says why");
	recorded_is_done($tool, $us);
	$g->heal_all;
	ok($g->reached, "$tool: after the cut");
	ok($g->converged, "$tool: all are equal before the retry");
	recorded_is_done($tool, $_) foreach $g->names;
	$r = works($tool, $us, up => 'a retry');
	same_everywhere($tool, 14, 'after the retry');
	recorded_is_done($tool, $_) foreach $g->names;

	not_recorded($tool) if $t->{record};
	note(sprintf '%s: %.0f s', $tool, time() - $start);
	return 1;
}

foreach my $tool (@tools)
{
	# the others are to be seen even so
	eval { whole_life($tool) } or fail("$tool: $@");
	$g->heal_all;
}

if (@tools)
{
	log_is_sound($g, 5);
	$g->region($_)->stop('fast') foreach $g->names;
}

# ---- dumps, psql and libpq: the regions are databases of one server ----

sub joined
{
	$g = SchemaDrift::Group->new(regions => [qw(r1 r2 r3)], databases => 1, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
schemadrift.max_entry_size = 16MB
schemadrift.quorum_timeout = 60s
max_locks_per_transaction = 2000
CONF
	$g->region('r1')->sql($_, dbname => 'postgres') foreach 'CREATE DATABASE source', 'CREATE ROLE app';
	$g->make_group(mode => 'coordinate');
	return;
}

# In the directory of what runs; $r1, $source: where to connect.
sub shell
{
	my ($command) = @_;
	my $server = $g->region('r1');

	make_path("$work/sh");
	local @ENV{qw(PGHOST PGPORT PGDATABASE PGOPTIONS)} = ($server->host, $server->port, 'r1', '');
	my ($out, $err) = run_command([ 'sh', '-c', "cd '$work/sh' && { $command ; } 2>&1; echo \"status \$?\"" ]);
	my ($status) = $out =~ /status (\d+)\n?\z/ or die "$command: $out$err\n";
	return { status => $status, out => $out };
}

sub file
{
	my ($name, $text) = @_;

	make_path("$work/sh");
	open my $fh, '>', "$work/sh/$name" or die "$name: $!\n";
	print $fh $text;
	close $fh;
	return;
}

# It works, as so many versions, and all regions are equal.
sub makes
{
	my ($versions, $command, $what) = @_;
	my $before = head($g, 'r1');
	my ($seconds, $r) = took(sub { return shell($command) });

	note(sprintf '%s: %.1f s', $what, $seconds);
	is($r->{status}, 0, $what) or diag $r->{out};
	ok($g->converged, "$what: the same fingerprint everywhere");
	is(head($g, 'r1') - $before, $versions, "$what: versions") if defined $versions;
	my %dumps;
	push @{ $dumps{ dump_of($_) } }, $_ foreach $g->names;
	is(keys %dumps, 1, "$what: the same dump");
	return $r;
}

# Without what only a region of a group has.
sub dump_of
{
	my ($database) = @_;
	my $dump = run_simple('pg_dump', '-s', '-d', $g->region('r1')->connstr($database));

	$dump =~ s/^\\(?:un)?restrict .*\n//mg;
	$dump =~ s/^(?:CREATE|ALTER|COMMENT ON) (?:EXTENSION (?:IF NOT EXISTS )?|SCHEMA )schemadrift[^\n]*\n//mg;
	$dump =~ s/^--[^\n]*\n|^\n//mg;
	return $dump;
}

# Some of everything, many times.
my $some_of_everything = q{
CREATE EXTENSION IF NOT EXISTS plpgsql;
CREATE SCHEMA shop;
CREATE TYPE shop.state AS ENUM ('new', 'paid', 'gone');
CREATE DOMAIN shop.email AS text CHECK (VALUE ~ '@');
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := now(); RETURN NEW; END $$;
CREATE TABLE shop.events (id bigint, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
DO $do$ BEGIN
	FOR i IN 1 .. 150 LOOP
		EXECUTE format('CREATE TABLE shop.t%1$s (id bigserial PRIMARY KEY, mail shop.email, state shop.state DEFAULT ''new'', at timestamptz DEFAULT now(), up bigint %2$s,
			twice int GENERATED ALWAYS AS (2 * 21) STORED, CONSTRAINT positive CHECK (id > 0))', i, CASE WHEN i > 1 THEN 'REFERENCES shop.t' || i - 1 END);
		EXECUTE format('CREATE INDEX ON shop.t%1$s (lower(mail)) WHERE state <> ''gone''; CREATE TRIGGER touch BEFORE UPDATE ON shop.t%1$s FOR EACH ROW EXECUTE FUNCTION shop.touch();
			COMMENT ON COLUMN shop.t%1$s.mail IS ''of somebody''; GRANT SELECT ON shop.t%1$s TO app; ALTER TABLE shop.t%1$s OWNER TO app', i);
		EXECUTE format('CREATE VIEW shop.v%1$s AS SELECT id, state FROM shop.t%1$s WHERE mail IS NOT NULL', i);
		CONTINUE WHEN i > 12;
		EXECUTE format('CREATE TABLE shop.events_%1$s PARTITION OF shop.events FOR VALUES FROM (%2$L) TO (%3$L)', i, make_date(2026, i, 1), make_date(2026, i, 28));
		EXECUTE format('ALTER TABLE shop.t%1$s ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON shop.t%1$s TO app USING (id > 0)', i);
	END LOOP;
END $do$;
CREATE MATERIALIZED VIEW shop.m AS SELECT count(*) FROM shop.t1;
};

my %schemas = (everything => $some_of_everything, map { (basename($_, '.sql') => slurp_file($_)) } $ENV{SCHEMAS} ? glob "$ENV{SCHEMAS}/*.sql" : ());

foreach my $name (wanted('pg_dump') ? sort keys %schemas : ())
{
	joined();
	file('schema.sql', $schemas{$name});
	my $r = shell('psql -XAtq -v ON_ERROR_STOP=1 -d source -f schema.sql');
	is($r->{status}, 0, "$name: loaded into a database") or diag $r->{out};
	my $tables = $g->region('r1')->sql(q{SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND oid >= 16384}, dbname => 'source');

	makes(1, 'set -e; pg_dump -s source > dump.sql; psql -XAtq1 -v ON_ERROR_STOP=1 -f dump.sql', "$name: pg_dump -s | psql -1 of $tables tables");
	is(dump_of('r2'), dump_of('source'), "$name: another region has what the source has");
	$g->region('r1')->stop('fast');

	# pg_restore: one connection, or four
	foreach my $how ('-1', '-j 4')
	{
		next if $name ne 'everything';
		joined();
		file('schema.sql', $schemas{$name});
		shell('psql -XAtq -v ON_ERROR_STOP=1 -d source -f schema.sql; pg_dump -Fc -s source -f dump.custom');
		makes($how eq '-1' ? 1 : undef, "pg_restore $how -d r1 dump.custom", "$name: pg_restore $how");
		note("versions: " . head($g, 'r1'));
		is(dump_of('r2'), dump_of('source'), "$name: after pg_restore $how another region has what the source has");
		$g->region('r1')->stop('fast');
	}
}

if (wanted('psql'))
{
	joined();

	file('data.sql', "CREATE TABLE towns (id int PRIMARY KEY, name text);\nCOPY towns FROM stdin;\n1\tUlm\n2\tLinz\n\\.\nALTER TABLE towns ADD CHECK (id > 0);\n");
	my $r = makes(1, 'psql -Xq1 -v ON_ERROR_STOP=1 -f data.sql', 'psql -1 -f with COPY data');
	like($r->{out}, qr/NOTICE:  rows written to public\.towns stay in this region/, 'it is said that the rows stay');
	is(join(' ', map { $g->sql($_, 'SELECT count(*) FROM towns') } $g->names), '2 0 0', 'and they do');

	file('inner.sql', "CREATE TABLE inner_one (a int);\nCREATE INDEX ON inner_one (a);\n");
	file('outer.sql', "CREATE TABLE outer_one (a int);\n\\i inner.sql\nALTER TABLE inner_one ADD b int;\n");
	makes(1, 'psql -Xq1 -v ON_ERROR_STOP=1 -f outer.sql', 'psql -1 with \i');
	file('gexec.sql', "SELECT format('CREATE TABLE made_%s (a int)', i) FROM generate_series(1, 3) AS i\n\\gexec\n");
	makes(3, 'psql -Xq -v ON_ERROR_STOP=1 -f gexec.sql', '\gexec, each by itself');
	file('gexec.sql', "SELECT format('DROP TABLE made_%s', i) FROM generate_series(1, 3) AS i\n\\gexec\n");
	makes(1, 'psql -Xq1 -v ON_ERROR_STOP=1 -f gexec.sql', '\gexec in psql -1');
	makes(1, q{psql -Xq -c 'CREATE TABLE c1 (a int); CREATE TABLE c2 (a int)'}, 'two statements of one -c');
	makes(2, q{psql -Xq -c 'CREATE TABLE c3 (a int)' -c 'CREATE TABLE c4 (a int)'}, 'two -c');
	my ($major) = qx{psql --version} =~ / (\d+)/;
	makes(1, q{echo 'CREATE TABLE bound (a int) \bind \g' | psql -Xq -v ON_ERROR_STOP=1}, '\bind') if $major >= 16;
}

if (wanted('pipeline'))
{
	joined() if !wanted('psql');
	make_path("$work/sh");
	my $program = "$work/sh/pipeline";
	my ($include, $lib) = map { my $d = qx{pg_config --$_}; chomp $d; $d } qw(includedir libdir);
	system_or_bail('gcc', '-Wall', '-Wextra', '-Werror', '-o', $program, "-I$include", "$FindBin::Bin/tools/pipeline.c", "-L$lib", "-Wl,-rpath,$lib", '-lpq');
	makes(2, q{./pipeline '' prepared 'CREATE TABLE p1 (a int)' 'ALTER TABLE p1 ADD b int'}, 'prepared statements');
	makes(3, q{./pipeline '' pipelined 'CREATE TABLE p2 (a int)' 'ALTER TABLE p2 ADD b int' 'CREATE INDEX ON p2 (a)'}, 'a pipeline with a sync after each');
	makes(1, q{./pipeline '' one 'CREATE TABLE p3 (a int)' 'ALTER TABLE p3 ADD b int' 'CREATE INDEX ON p3 (a)'}, 'a pipeline with one sync');
	makes(1, q{./pipeline '' one 'BEGIN' 'CREATE TABLE p4 (a int)' 'CREATE TABLE p5 (a int)' 'COMMIT'}, 'a transaction in a pipeline');
	my $r = shell(q{./pipeline '' one 'CREATE TABLE p6 (a int)' 'CREATE TABLE p1 (a int)'});
	like($r->{out}, qr/^42P07 /, 'an error in a pipeline');
	makes(0, 'true', 'leaves nothing');
	$r = shell(q{./pipeline '' pipelined 'CREATE TABLE p7 AS SELECT 1 AS a' 'CREATE TABLE p8 (a int)'});
	like($r->{out}, qr/^SD004 /, 'what is refused is refused there, too');

	# node-postgres, statements of the extended protocol
	file('extended.js', <<'JS');
const { Client } = require('pg');
(async () => {
	const client = new Client();
	await client.connect();
	await client.query({ text: 'CREATE TABLE x1 (a int)', queryMode: 'extended' });
	await client.query({ name: 'add', text: 'ALTER TABLE x1 ADD b int' });
	await client.query('BEGIN');
	await client.query({ text: 'CREATE TABLE x2 (a int)', queryMode: 'extended' });
	await client.query('INSERT INTO schema_migrations VALUES ($1)', ['x2']);
	await client.query('COMMIT');
	await client.end();
})().catch((e) => { console.log(e.message); process.exit(1); });
JS
	$g->sql('r1', 'CREATE TABLE schema_migrations (version text PRIMARY KEY)');
	makes(3, "NODE_PATH='$node/node_modules' node extended.js", 'node-postgres with the extended protocol');
	is(join(' ', map { $g->sql($_, 'SELECT version FROM schema_migrations') } $g->names), 'x2 x2 x2', 'a row by a parameter is everywhere');
}
done_testing();
