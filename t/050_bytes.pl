# Bytes from outside: what the fuzzers start from and what once broke something (t/fuzz/corpus), through each reader; and
# calls between regions with bodies that are nearly right.  Clean errors only, nothing crashes, nothing changes.
use strict;
use warnings FATAL => 'all';

use File::Basename;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use SchemaDrift::Group;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(us eu)], databases => 1);
$g->make_group(mode => 'coordinate');
my $us = $g->region('us');
$g->sql('us', q{SELECT schemadrift.apply('first', 'CREATE TABLE t (a int)', 'DROP TABLE t'); ALTER TABLE t ADD b text});
$g->sql('us', 'CREATE INDEX CONCURRENTLY t_a ON t (a)');
ok($g->converged, 'a group with entries of several kinds');

# ---- the readers ----

# in a database of no group
$us->sql(<<'SQL', dbname => 'postgres');
CREATE SCHEMA bytes;
CREATE FUNCTION bytes.parse(target text, bytes bytea) RETURNS void LANGUAGE c AS '$libdir/schemadrift', 'sd_testing_parse';
CREATE FUNCTION bytes.try(target text, bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM bytes.parse(target, bytes);
	RETURN 'good';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate;
END $$;
SQL

my %found;
foreach my $file (sort glob "$FindBin::Bin/fuzz/corpus/*/*")
{
	my $name = basename(dirname($file)) . '/' . basename($file);

	$found{$name} = $us->sql(sprintf(q{SELECT bytes.try('%s', '\x%s')}, basename(dirname($file)), unpack 'H*', slurp_file($file)),
		dbname => 'postgres');
	like($found{$name}, qr/^(good|22...|08P01|42...|54...|0A000|SD004|XX001)$/, "$name: an answer or a clean error");
}
# one line for each that once broke something
is($found{'commands/nested-settings'}, 'XX001', 'an object as the value of a setting is none: its members were written beyond the array');
is($found{'run_as/nested-settings'}, 'XX001', 'the same in the other reader');
is($found{'members/scalars'}, 'XX001', 'members that are no objects were read as if they were');
is($found{'members/long-name'}, 'XX001', 'a region whose name would be cut is none');
is($found{'steps/no-name'}, 'XX001', 'a step without a name took the worker of every region');
is($found{'steps/unknown-kind'}, 'XX001', 'a step of a newer kind is no plain statement');
is($found{'entry/zero-byte'}, '22021', 'a zero byte in a header made everything behind it be read from beyond a copy');
is($found{'entry/zero-byte-in-payload'}, '22021', 'and in a payload');
is($found{'entry/range'}, '08P01', 'an incarnation beyond its type is not another one');
is($found{'policy/not-an-interval'}, 'good', 'a policy that one region cannot read does not stop it');
is($found{'reason/half-character'}, 'good', 'a message that ends within a character');
is($found{'answer/half-character'}, 'good', 'an answer with half a character');
is($found{'notes/half-character'}, 'good', 'a note that is cut within a character');
is($found{'properties/one-name-twice'}, 'good', 'a definition with two columns of one name does not differ from itself');

# ---- the calls ----

my ($group, $head) = split /\|/, $g->sql('us', 'SELECT group_id, (SELECT max(version) FROM schemadrift_store.log) FROM schemadrift_store.self');
my %body = map { split /\|/ } split /\n/, $g->sql('us', q{SELECT version, encode(body, 'hex') FROM schemadrift_store.log});
my %chain = map { split /\|/ } split /\n/, $g->sql('us', q{SELECT version, encode(chain, 'hex') FROM schemadrift_store.log});
my $state = q{SELECT md5(string_agg(l::text, ',' ORDER BY version)) FROM schemadrift_store.log l};
my $votes = q{SELECT vote_seq, (SELECT count(*) FROM schemadrift_store.accepted) FROM schemadrift_store.self};
my $began = $g->sql('us', 'SELECT pg_postmaster_start_time()');
my @before = map { $g->sql('us', $_) } $state, $votes;

# the same each time, unless somebody wants others
my $seed = $ENV{SD_TEST_SEED} // 1;
srand $seed;
note "SD_TEST_SEED=$seed";

# Nearly an entry: bits flipped, a part cut, doubled or taken from another one, a number made huge.
sub mutated
{
	my @all   = sort keys %body;
	my $bytes = pack 'H*', $body{ $all[ rand @all ] };
	my $other = pack 'H*', $body{ $all[ rand @all ] };

	foreach (0 .. rand 3)
	{
		my $at = int rand length $bytes;
		my $n  = int rand 40;
		my $way = int rand 7;

		if    ($way == 0) { vec($bytes, 8 * $at + int rand 8, 1) ^= 1 }
		elsif ($way == 1) { $bytes = substr $bytes, 0, $at }
		elsif ($way == 2) { substr($bytes, $at, 0) = substr $bytes, $at, $n }
		elsif ($way == 3) { substr($bytes, $at) = substr $other, int rand length $other }
		elsif ($way == 4) { $bytes =~ s/\d+/join '', map { int rand 10 } 0 .. rand 40/e }
		elsif ($way == 5) { substr($bytes, $at, $n) = join '', map { chr rand 256 } 1 .. $n }
		else              { $bytes =~ s/\n/rand() < 0.5 ? '' : '[' x 20000/e }
		return 'x' if $bytes eq '';
	}
	return $bytes;
}

sub any
{
	my @of = @_;
	return $of[ rand @of ];
}

sub call
{
	my ($function, @arguments) = @_;
	my @first = (any(1, 2, 2, 2, 2, 3, -1), any("'$group'", "'$group'", "'$group'", 'NULL'), any(1, 1, 1, 2), any(q{'us'}, q{'us'}, q{'us'}, q{'eu'}),
		any(q{'eu'}, q{'eu'}, q{'eu'}, q{repeat('x', 70)}, q{''}), any(1, 1, 1, 0, 2147483647), any(0, 1));

	return "SELECT 1 FROM schemadrift_rpc.$function(" . join(', ', @first, @arguments) . ');';
}

# Of versions that are chosen, so that nothing of this is a vote.  Nobody claims to remember more votes than there were: that is
# no nonsense but a lie, and voids the region that hears it (docs/protocol.md).
my @calls;
foreach (1 .. 150)
{
	my $entry = unpack 'H*', mutated();
	my $version = any(1 .. $head, 0, -1, '9223372036854775807');
	my $chain = any("'\\x" . ($chain{ $version - 1 } // '00' x 32) . "'", q{'\x00'}, 'NULL');

	push @calls, call('accept', any(1, 0, '9223372036854775807'), any(0, -1, 77), any(1 .. $head), $chain, "'\\x$entry'", any(0, -1, 2147483647, 'NULL'));
	push @calls, call('learn', any(1 .. $head), q{'00000000-0000-0000-0000-000000000000'}, "'\\x" . '00' x 32 . q{'}, $chain, any("'\\x$entry'", 'NULL'));
	push @calls, call('fetch', $version, any(0, -1, '9223372036854775807'));
	push @calls, call('handover', any(0, 1, '-9223372036854775808'), 1, any(0, -1, '9223372036854775807'), 1, any(1, 'NULL'));
	push @calls, call('exchange', 1, any(1, -1, 'NULL'), 1, any(q{'\x00'}, 'NULL'), 1, '9223372036854775807', any(q{'healthy'}, q{'nonsense'}, 'NULL'),
		any(0, -1), 2147483647, any(q{repeat('ä', 500)}, q{''}, 'NULL'), any(0, -1, '9223372036854775807'),
		any(q{repeat('task 1 open 1 1 ä' || chr(10), 99)}, q{E'lease 1 ä 1\ngranted\nlife zz\n'}, 'NULL', "convert_from('" . ('\\x' . unpack 'H*', 'task 9 ' . 'x' x int rand 300) . "', 'UTF8')"));
}
my $session = $g->session('us', user => 'region_peer');
my $r = $session->query(join("\n", @calls), timeout => 120);
my %states;
$states{$_}++ foreach $r->{err} =~ /ERROR:  (\w{5}):/g;
note join ', ', map { "$_: $states{$_}" } sort keys %states;
ok(!$r->{gone}, scalar(@calls) . ' calls, and the session lives');
cmp_ok($states{'08P01'} // 0, '>', 20, 'many were malformed');
is($states{XX000}, undef, 'nothing impossible happened') or diag grep { /XX000/ } split /^/, $r->{err};
$session->quit;

is($g->sql('us', 'SELECT pg_postmaster_start_time()'), $began, 'the server was not restarted');
is($g->sql('us', $state), $before[0], 'the log is what it was');
is($g->sql('us', $votes), $before[1], 'no vote was cast');
$g->sql('us', "SELECT * FROM schemadrift.$_") foreach qw(status regions migrations migration_status tasks lease);
ok($g->wait_until('us', q{SELECT bool_and(state IN ('healthy', 'degraded')) FROM schemadrift.regions}, 't'), 'what was told in the name of a region is forgotten when it speaks itself')
  or diag $g->sql('us', 'TABLE schemadrift.regions');
ok($g->try('eu', 'ALTER TABLE t ADD c int')->{ok}, 'the group changes its schema');
ok($g->converged, 'and is equal');

# ---- entries of a region that does not keep to the rules ----

# What is learned is looked at only as far as everybody reads it; the applier then halts at the rest, and shows why.  Each of
# these took the process that read it, and with it the server, again after each restart.
sub learned
{
	my ($name, $kind, $payload, $field, $before) = @_;

	$us->sql("CREATE DATABASE $name", dbname => 'postgres');
	my $sql = sub { $us->sql($_[0], dbname => $name) };
	$sql->($before // '');
	$sql->('CREATE EXTENSION schemadrift');
	$sql->(sprintf q{SELECT schemadrift.init('%s', '%s')}, $name, $us->conninfo($name));
	$sql->(to_learn($name, $kind, $payload, $field));
	return;
}

sub to_learn
{
	my ($name, $kind, $payload, $field) = @_;
	my $entry = sprintf q{{"id":"00000000-0000-4000-8000-000000000001","kind":"%s","name":"nonsense","origin":"elsewhere","incarnation":1,"n":1,"barrier":0,"hlc":1,"author":"%s","protocol":1%s}},
	  $kind, $ENV{USER} // getpwuid $>, $field // '';
	my $bytes = unpack 'H*', "$entry\n$payload";

	return "SELECT schemadrift_rpc.learn(2, group_id, 1, '$name', 'elsewhere', 1, 0, 2, '00000000-0000-4000-8000-000000000001',
		sha256('\\x$bytes'), sha256(l.chain || sha256('\\x$bytes')), '\\x$bytes')
		FROM schemadrift_store.self, schemadrift_store.log l WHERE version = 1";
}

my $run_as = sprintf '{"session_user":"%1$s","user":"%1$s","local_user":false,"settings":{}}', $ENV{USER} // getpwuid $>;
my $nested = $run_as =~ s/\{\}/'{"x":{' . join(',', map { qq{"$_":"y"} } 1 .. 100) . '}}'/er;
learned('settings',  'migration', qq({"commands":{"run_as":[$nested],"commands":[]}}));
learned('objects',   'migration', qq({"up":"SELECT 1","run_as":$run_as,"after":"@{['00' x 32]}"}));
learned('relations', 'online', qq({"up":"SELECT 1","run_as":$run_as,"steps":[{"kind":"plain"}]}));
learned('steps',     'online', qq({"up":"SELECT 1","run_as":$run_as,"steps":[{"kind":"drop_index","name":"i"}],"relations":[]}));
learned('nobody',    'migration', '{"up":"SELECT 1","down":"SELECT 1"}');

# rows go past triggers and row security, so it matters into what, and as whom
my $rows = sub { my ($schema, $table, $who) = @_;
	return qq({"rows":[{"schema":"$schema","table":"$table","run_as":$who,"columns":["version"],"key":[],"delete":[],"insert":[["mine"]]}]}); };
learned('rows',    'migration', qq({"rows":[{"schema":"public","table":"t","run_as":$run_as,"columns":["a"],"key":[],"delete":[],"insert":["a"]}]}));
learned('system',  'migration', $rows->('pg_catalog', 'pg_authid', $run_as));
learned('own',     'migration', $rows->('schemadrift_store', 'self', $run_as));
learned('rights',  'migration', $rows->('public', 'schema_migrations', $run_as =~ s/"user":"[^"]*"/"user":"no_rights"/r), undef,
	'CREATE ROLE no_rights; CREATE TABLE schema_migrations (version text)');
learned('granted', 'migration', $rows->('public', 'schema_migrations', $run_as =~ s/"user":"[^"]*"/"user":"no_rights"/r), undef,
	'CREATE TABLE schema_migrations (version text); GRANT INSERT ON schema_migrations TO no_rights');
# registered queries are read by preflight() and its like, all of them
$us->sql('CREATE DATABASE queries', dbname => 'postgres');
$us->sql(sprintf(q{CREATE EXTENSION schemadrift; SELECT schemadrift.init('queries', '%s')}, $us->conninfo('queries')), dbname => 'queries');
foreach (q({}), q({"queries":"q"}), q({"queries":[1]}), q({"queries":[["name"]]}), q({"queries":[{"query":"SELECT 1"}]}), q({"queries":[{"name":"q"}]}),
	q({"queries":[{"name":"q","query":"SELECT 1"}]}), q({"queries":[{"name":"q","query":"SELECT 1","run_as":[]}]}), qq({"queries":[{"name":"q","query":"SELECT 1","run_as":$run_as,"since":"soon"}]}))
{
	like($us->try(to_learn('queries', 'query', $_, undef), dbname => 'queries')->{sqlstate}, qr/^(?:08P01|22...)$/, "not learned: $_");
}
is($us->try(to_learn('queries', 'query', q({"queries":[{"name":"q","query":"SELEC","run_as":{},"until":"3000-01-01"},{"name":"r","removed":1}]}), undef), dbname => 'queries')->{sqlstate}, '00000',
	'a query that is none is learned');
like($us->sql(q{SELECT status || detail FROM schemadrift.preflight('SELECT 1') WHERE check_name = 'queries'}, dbname => 'queries'), qr/^warningquery "q" fails already: malformed/, '... and does no harm');
is($us->sql('SELECT name, live, run_as FROM schemadrift.registered_queries', dbname => 'queries'), 'q|t|', '... and is shown');
foreach ([ rows => qr/malformed rows of a history table/ ], [ system => qr/pg_authid is no table into which/ ], [ own => qr/self is no table into which/ ],
	[ rights => qr/permission denied for table schema_migrations/ ], [ settings => qr/malformed list of commands/ ], [ relations => qr/does not say what it works on/ ])
{
	my ($name, $error) = @$_;
	ok($us->wait_until(q{SELECT state || ' ' || coalesce(reason, '') FROM schemadrift.status}, qr/^halted .*$error/s, undef, dbname => $name),
		"nonsense for its $name halts the region");
}
ok($us->wait_until('SELECT version FROM schema_migrations', 'mine', undef, dbname => 'granted'), 'who may write the table may write it from the log');
ok($us->wait_until('SELECT state FROM schemadrift.status', 'healthy', undef, dbname => 'objects'), 'an entry that names no objects does no harm');
ok($us->wait_until(q{SELECT error FROM schemadrift.tasks}, qr/does not say what it works on/, undef, dbname => 'steps'), 'a step that lacks a name fails');
ok($us->wait_until('SELECT state FROM schemadrift.status', 'halted', undef, dbname => 'nobody'), 'a text of nobody halts the region');
my $reverted = $us->try(q{SELECT schemadrift.revert('nonsense')}, dbname => 'nobody');
ok(!$reverted->{gone} && $reverted->{err} =~ /ERROR:  (?!XX000)\w{5}:/, 'and its way back is refused') or diag $reverted->{err};
is($g->sql('us', 'SELECT pg_postmaster_start_time()'), $began, 'all that in one life of the server');
unlike(slurp_file($us->logfile), qr/was terminated by signal/, 'no process crashed');

done_testing();
