# Regions of different majors of PostgreSQL in one group: the same changes, made in turn in each, make the same schema with the
# same digest; cuts and joins across majors; and what only a newer one understands.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils qw(append_to_file slurp_file command_ok);
use Test::More;

use SchemaDrift::Scenario;

my @majors = majors();
my ($old, $new) = @majors[ 0, -1 ];
# three regions: the newest, the oldest, and one between if there is
my %major = ('us-east' => $new, 'ap-south' => $old, 'eu-west' => $majors[ @majors > 2 ? 1 : -1 ]);
my ($us, $ap, $eu) = qw(us-east ap-south eu-west);
my $g = made_group([ $us, $ap, $eu ], bindir => { map { $_ => $major{$_}[1] } keys %major }, conf => "max_worker_processes = 40\n");
my $since = head($g, $us);
my $scan = q{SELECT kind || ' ' || identity || E'\n' || definition FROM schemadrift_store.digest_scan() ORDER BY 1};

note(join ', ', map { "$_: " . $g->sql($_, 'SHOW server_version') } $g->names);
is(join(' ', map { int $g->sql($_, 'SHOW server_version_num') / 10000 } $us, $ap, $eu), join(' ', map { $major{$_}[0] } $us, $ap, $eu),
	'regions of ' . join(', ', map { $_->[0] } @majors));

# The same definitions, and not only because nobody looked.
sub same_schema
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($g->converged, "$what: all are equal");
	my $here = $g->sql($us, $scan);
	is($g->sql($_, $scan), $here, "$what: $_ has the definitions that $us has") foreach $ap, $eu;
	is($g->sql($_, 'SELECT schemadrift_store.digest_rebuild() = (SELECT digest FROM schemadrift_store.applied)'), 't',
		"$what: the digest of $_ is that of a full scan")
	  foreach $g->names;
	return;
}

# --- what all of them know, made in turn in each
sub lines { return grep { /^[^-\s]/ } split /\n/, slurp_file($_[0]); }

my @turn = ($us, $ap, $eu);
foreach my $file ('schema', 'changes')
{
	# what an extension's name stands for differs from major to major; a temporary table is its session's
	my @statements = map { s/(EXTENSION IF NOT EXISTS citext)(?: WITH)?/$1 WITH VERSION '1.6'/r } grep { !/\btmp\b/ }
	  lines("t/digest/$file.sql");
	my @wrong;

	while (my @some = splice @statements, 0, 6)
	{
		# what was made in the region before may not be here yet, and a statement that names it would fail
		$g->wait_until($turn[0], 'SELECT version FROM schemadrift_store.applied', head($g, $turn[-1]));
		my $r = $g->try($turn[0], 'SET client_min_messages = error; BEGIN; ' . join(' ', @some) . ' COMMIT;');

		push @wrong, "$turn[0]: $r->{err} in: @some" if !$r->{ok};
		push @turn, shift @turn;
	}
	is(join("\n", @wrong), '', "changes of t/digest/$file.sql, six at a time, in turn in each region");
	same_schema($file);
}
all_can_change($g, 'single changes');

# --- cuts: any two majors are a majority
foreach my $away ($g->names)
{
	my @others = grep { $_ ne $away } $g->names;

	$g->isolate($away);
	foreach my $name (@others)
	{
		ok(can_change($g, $name), "without $away, $name ($major{$name}[0]) changes the schema");
	}
	$g->rejoin($away);
	ok($g->converged, '... which it gets when it is back');
}

# --- joins, into a database of an empty schema and into one restored from a dump, both ways
foreach my $case ([ $us, $ap ], [ $ap, $us ])
{
	my ($via, $where) = @$case;
	my $server = $g->region($where);

	foreach my $schema ('empty', 'equal')
	{
		my $name = "$schema-$major{$where}[0]";
		my $what = "a region of $major{$where}[0] joins one of $major{$via}[0] with a schema that is $schema";
		my $sql = sub { return $server->sql($_[0], dbname => $name) };

		$server->sql(qq{CREATE DATABASE "$name" TEMPLATE template0});
		if ($schema eq 'equal')
		{
			my $dump = "$PostgreSQL::Test::Utils::tmp_check/$name.sql";

			command_ok([ "$new->[1]/pg_dump", '--schema-only', '--host', $g->region($via)->host, '--port', $g->region($via)->port, '--file', $dump,
					'postgres' ], "$what: dumped");
			# and that version is not in a dump
			append_to_file("$dump.new", slurp_file($dump) =~ s/(EXTENSION IF NOT EXISTS citext)(?: WITH)?/$1 WITH VERSION '1.6'/r);
			rename "$dump.new", $dump or die $!;
			# a newer pg_dump sets what an older server does not know
			my $err;
			$server->psql($name, "\\i $dump", stderr => \$err, on_error_stop => 0);
			is(join("\n", grep { /ERROR/ && !/unrecognized configuration parameter/ } split /\n/, $err), '', "$what: restored");
		}
		else
		{
			$sql->('CREATE EXTENSION schemadrift');
		}
		my $r = $server->try(sprintf(q{SELECT schemadrift.join('%s', '%s', '%s', options => '{"schema": "%s"}')}, $g->conninfo($via), $name,
			$server->conninfo($name), $schema), dbname => $name);
		ok($r->{ok}, $what) or diag($r->{err});
		ok($server->wait_until("SELECT role FROM schemadrift.regions WHERE region = '$name'", 'voter', undef, dbname => $name), '... is a voter');
		ok($server->wait_until('SELECT version FROM schemadrift_store.applied', head($g, $via), undef, dbname => $name), '... has applied everything');
		is($sql->($scan), $g->sql($via, $scan), '... has the definitions that the others have');
		ok($server->try('CREATE TABLE from_' . ($name =~ tr/-/_/r) . ' ()', dbname => $name)->{ok}, '... changes the schema');
		ok($g->converged, '... of all');
		is($server->try('SELECT schemadrift.leave()', dbname => $name)->{sqlstate}, '00000', '... leaves');
		ok($g->wait_until($_, "SELECT count(*) FROM schemadrift.regions WHERE region = '$name'", 0), "... $_ knows") foreach $g->names;
	}
}
all_can_change($g, 'after joins');

# --- online builds
ok($g->try($_, "CREATE INDEX CONCURRENTLY online_" . substr($_, 0, 2) . " ON x.oc (v)")->{ok}, "CREATE INDEX CONCURRENTLY from $_")
  foreach $g->names;
same_schema('online builds');

# --- drift, in the oldest and in the newest, seen and taken back from the other one
sub by_hand
{
	my ($where, $sql) = @_;

	$g->sql($where, "SET client_min_messages = error; SET schemadrift.bypass_reason = 'test'; SET schemadrift.ddl_mode = off; $sql");
	return;
}

sub drift_in
{
	my ($where, $of) = @_;

	return $g->sql($where, "SELECT string_agg(format('%s %s: %s: %s', object_type, identity, difference, property), E'\n' ORDER BY object_type, identity) FROM schemadrift.drift WHERE region = '$of'");
}

sub difference
{
	my ($where, $of_a, $of_b) = @_;

	return $g->sql($where, "SET client_min_messages = error; SELECT string_agg(format('%s %s: %s: %s', object_type, identity, difference, property), E'\n' ORDER BY object_type, identity) FROM schemadrift.diff('$of_a', '$of_b')");
}

sub repaired
{
	my ($where, $of) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/repair_$of.sql";
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	unlink $file;
	append_to_file($file, $g->sql($where, "SELECT statement FROM schemadrift.repair_plan('$of') WHERE statement IS NOT NULL") =~ s/^-- //mgr);
	my $r = $g->try($of, "\\set ON_ERROR_STOP on\n\\i $file\n");
	ok($r->{ok}, "the plan of $where runs in $of") or diag($r->{err}, slurp_file($file));
	ok($g->wait_until($_, "SELECT count(*) FROM schemadrift.drift WHERE region = '$of'", 0), "... and $_ knows of no drift any more") or diag($g->sql($_, 'TABLE schemadrift.drift'))
	  foreach $where, $of;
	return;
}

foreach my $case ([ $us, $ap ], [ $ap, $us ])
{
	my ($where, $of) = @$case;
	my $expected = "function x.merge1(): changed: body\ntable x.oc: changed: column extra\nview x.w7: missing: ";

	by_hand($of, 'ALTER TABLE x.oc ADD extra int; DROP VIEW x.w7 CASCADE; CREATE OR REPLACE FUNCTION x.merge1() RETURNS void LANGUAGE sql BEGIN ATOMIC
		MERGE INTO x.oc USING (VALUES (1, 2)) AS s (k, v) ON oc.k = s.k WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v); END');
	ok($g->wait_until($where, "SELECT count(*) FILTER (WHERE property IS DISTINCT FROM '(not known yet)') FROM schemadrift.drift WHERE region = '$of'", 3), "$where hears of drift in $of");
	is(drift_in($where, $of), $expected, '... by object and property');
	is($g->sql($where, "SELECT count(DISTINCT identity) FROM schemadrift.verify('$of')"), 3, '... verify() agrees');
	is(difference($where, $of, $where), $expected , '... and so does diff()');
	repaired($where, $of);
	is(difference($where, $of, $where), '', '... and nothing differs');
}

# what 15 and 16 do not have is compared among those that have it, and not with the others; ALL is ALL
SKIP:
{
	skip 'no major before 17, or none after', 1 if $old->[0] >= 17 || $new->[0] < 17;

	ok($g->try($us, 'GRANT ALL ON x.ci TO PUBLIC')->{ok} && $g->try($ap, 'GRANT ALL ON x.e3 TO PUBLIC; REVOKE TRIGGER ON x.ci FROM PUBLIC')->{ok}, 'GRANT ALL, in either');
	same_schema('ALL');
	# what is left of ALL without TRIGGER is MAINTAIN, where there is such a thing
	my $ci = 'maintain on table x.ci: unverified: maintain';
	my $comparable = $major{$eu}[0] >= 17;

	is(difference($ap, $us, $ap), $ci, '... and nothing is said of a region that does not have MAINTAIN');
	is(difference($ap, $us, $eu), $comparable ? '' : $ci, '... or of one that may');
	by_hand($us, 'GRANT MAINTAIN ON x.oc TO PUBLIC');
	my $oc = 'maintain on table x.oc: %s: maintain';
	is(drift_in($us, $us), sprintf($oc, 'changed'), 'MAINTAIN is seen where it is');
	is(difference($ap, $us, $ap), $ci . "\n" . sprintf($oc, 'unverified'), '... and nothing is said of a region that does not have it');
	is(difference($ap, $us, $eu), $comparable ? sprintf($oc, 'changed') : $ci . "\n" . sprintf($oc, 'unverified'), '... or of one that may');
	my $head = head($g, $us);

	# it would halt those that do not have the word
	my $not_accepted = sub
	{
		my ($what) = @_;
		my $r = $g->try($us, "SELECT schemadrift.accept_drift('$us', 'maintain on table $what')");
		local $Test::Builder::Level = $Test::Builder::Level + 1;

		refused($r, 'SD004', "accept_drift() of MAINTAIN on $what");
		like($r->{message}, qr/^region (?:$ap|$eu) runs PostgreSQL 1[56], and this statement is understood from PostgreSQL 17 on$/, '... says who does not have it');
		return is(head($g, $us), $head, '... and there is no entry');
	};
	$not_accepted->('x.oc');
	by_hand($us, 'REVOKE MAINTAIN ON x.oc FROM PUBLIC; REVOKE MAINTAIN ON x.e3 FROM PUBLIC');
	$not_accepted->('x.e3');
	my $e3 = 'maintain on table x.e3: %s: maintain';
	is(drift_in($us, $us), sprintf($e3, 'changed'), 'beside ALL, too');
	is(difference($ap, $us, $ap), $ci . "\n" . sprintf($e3, 'unverified'), '... and nothing is said of a region that does not have it');
	is(difference($ap, $us, $eu), $comparable ? sprintf($e3, 'changed') : $ci . "\n" . sprintf($e3, 'unverified'), '... or of one that may');
	ok($g->try($ap, 'ALTER TABLE x.e3 ADD later int')->{ok} && $g->converged, '... which halts nobody');
	is($g->sql($_, 'SELECT count(*) FROM schemadrift.drift'), 1, "... and $_ knows") foreach $g->names;
	by_hand($us, 'GRANT MAINTAIN ON x.e3 TO PUBLIC');
	is(drift_in($us, $us), '', '... and it is taken back');
}

# --- what only a newer one understands is refused before it halts the older ones; nothing has happened
my %newer = (
	16 => [ 'CREATE TABLE newer (a text STORAGE external)', 'CREATE VIEW newer AS SELECT * FROM (SELECT 1 AS a)',
		'CREATE VIEW newer AS SELECT JSON_ARRAY(1, 2) AS a', 'CREATE STATISTICS ON k, v FROM x.oc', 'CREATE TABLE newer (a text DEFAULT system_user)',
		'ALTER TABLE x.oc ALTER w SET STORAGE DEFAULT' ],
	17 => [ 'GRANT MAINTAIN ON x.oc TO PUBLIC', "CREATE VIEW newer AS SELECT JSON_EXISTS(jsonb '1', '\$') AS a", 'CREATE DOMAIN newer AS int; ALTER DOMAIN newer ADD NOT NULL',
		'ALTER TABLE x.gen ALTER b SET EXPRESSION AS (a * 3)', 'ALTER TABLE x.oc SET ACCESS METHOD DEFAULT',
		'CREATE FUNCTION newer() RETURNS void LANGUAGE sql BEGIN ATOMIC MERGE INTO x.oc USING (VALUES (1)) AS s (a) ON k = a WHEN NOT MATCHED BY SOURCE THEN DELETE; END',
		'CREATE VIEW newer AS SELECT now() AT LOCAL AS a' ],
	18 => [ 'CREATE TABLE newer (a int, b int GENERATED ALWAYS AS (a + 1))', 'ALTER TABLE x.oc ADD CHECK (k > -1) NOT ENFORCED',
		'CREATE TABLE newer (a int4range, b daterange, PRIMARY KEY (a, b WITHOUT OVERLAPS))', 'CREATE TABLE newer (a uuid DEFAULT uuidv7())',
		'CREATE TABLE newer (a int, CONSTRAINT n NOT NULL a)', 'ALTER TABLE x.oc ADD CONSTRAINT n NOT NULL v NOT VALID',
		'ALTER TABLE x.inh1 DROP CONSTRAINT inh1_later_not_null',
		'CREATE FUNCTION newer() RETURNS int LANGUAGE sql BEGIN ATOMIC UPDATE x.oc SET v = 1 RETURNING WITH (OLD AS o) o.v; END' ]);

# an automatic name, so that there is something for the last but one
ok($g->try($ap, 'ALTER TABLE x.inh1 ALTER later DROP NOT NULL; ALTER TABLE x.inh1 ALTER later SET NOT NULL')->{ok}, 'NOT NULL, made by the oldest')
  if $new->[0] >= 18;
my $head = head($g, $us);
foreach my $major (grep { $_ > $old->[0] && $_ <= $new->[0] } sort keys %newer)
{
	foreach my $sql (@{ $newer{$major} })
	{
		my ($before, $last) = $sql =~ /^(?:(.*); )?(.*)/;
		my $r = $g->try($us, 'BEGIN; ' . ($before ? "$before; " : '') . "$last; ROLLBACK");

		refused($r, 'SD004', "of $major: $last");
		like($r->{message}, qr/^region (?:$ap|$eu) runs PostgreSQL \d+, and this statement is understood from PostgreSQL $major on$/, '... who does not understand it');
	}
	my $script = $newer{$major}[0];
	refused(my $r = $g->try($us, "SELECT schemadrift.apply('newer', \$\$SELECT 1; $script\$\$)"), 'SD004', "of $major: in a script");
	my ($who) = $r->{message} =~ /^region (\S+)/;
	like($r->{hint}, qr/^Write it so that PostgreSQL $major{$who}[0] understands it, or upgrade/, '... what to do');
}

is(head($g, $us), $head, 'nothing of what was refused is in the log');

# --- what cannot be told beforehand halts the older one; it is taken back, and others are not held up meanwhile
SKIP:
{
	skip 'all of them understand 1_000', 6 if $old->[0] >= 16;
	my $r = $g->try($us, q{SELECT schemadrift.apply('underscores', 'CREATE TABLE underscores (a int DEFAULT 1_000)', 'DROP TABLE underscores')});
	ok($r->{ok}, 'a number that 15 does not understand') or diag($r->{err});
	ok(wait_for_state($g, $ap, 'halted'), "... halts $ap");
	like($g->sql($ap, 'SELECT reason FROM schemadrift.status'), qr/cannot be applied: .*syntax error|cannot be applied: .*trailing junk/, '... which says why');
	ok(can_change($g, $us), '... the others go on');
	is($g->try($us, q{SELECT schemadrift.revert('underscores')})->{sqlstate}, '00000', '... it is taken back');
	ok($g->converged, '... and all are equal');
}
all_can_change($g, 'in the end');

log_is_sound($g, $since);
done_testing();
