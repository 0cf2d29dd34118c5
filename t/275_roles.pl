# Policy "roles": statements on roles become entries of the log like any other DDL, and are refused where two regions share a server.
use strict;
use warnings FATAL => 'all';

use FindBin;
use Test::More;

use SchemaDrift::Scenario;

my $verifier = 'SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2E=$' . 'A' x 43 . '=:' . 'B' x 43 . '=';
my $g = made_group(3, before => 'CREATE ROLE alice LOGIN CREATEROLE CREATEDB; CREATE ROLE here_before; GRANT here_before TO alice WITH ADMIN OPTION; GRANT schemadrift_migrator TO alice; CREATE TABLE t (id int)');
my ($us, $ap, $eu) = $g->names;
my $since = 1 + head($g, $us);

# attributes, memberships, settings and comment of what is not PostgreSQL's or ours, as one text
sub roles_of
{
	my ($name) = @_;

	return $g->sql($name, q{
		SELECT string_agg(concat_ws(' ', r.rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolpassword,
			rolvaliduntil AT TIME ZONE 'UTC', (SELECT string_agg(g.rolname || CASE WHEN admin_option THEN '!' ELSE '' END, ',' ORDER BY g.rolname) FROM pg_auth_members m JOIN pg_authid g ON g.oid = m.roleid WHERE m.member = r.oid),
			(SELECT string_agg((setdatabase = 0)::text || setconfig::text, ',' ORDER BY setdatabase = 0) FROM pg_db_role_setting WHERE setrole = r.oid), shobj_description(r.oid, 'pg_authid'),
			(SELECT provider || '=' || label FROM pg_shseclabel l WHERE l.objoid = r.oid AND l.classoid = 'pg_authid'::regclass)), E'\n' ORDER BY r.rolname)
		FROM pg_authid r WHERE r.oid >= 16384 AND r.rolname !~ '^schemadrift'});
}

sub same_roles
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return 0 if !ok($g->converged, "$what: the regions are equal");
	my $roles = roles_of($us);
	is(roles_of($_), $roles, "... and so are their roles: $_") foreach $ap, $eu;
	return $roles;
}

sub works
{
	my ($name, $sql, $what, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = $g->try($name, $sql, %o);

	ok($r->{ok}, $what) or diag($r->{err});
	return $r;
}

# --- local, unless the group says otherwise

works($us, 'CREATE ROLE mine; DROP ROLE mine', 'without the policy');
my $head = head($g, $us);
works($us, 'CREATE ROLE mine', '... a role is this region\'s');
is(head($g, $us), $head, '... and no entry');
SKIP:
{
	skip 'the release build has nobody who knows security labels', 4 if !testing_build($g);
	works($us, q{SECURITY LABEL FOR testing ON ROLE mine IS 'here'; SECURITY LABEL FOR testing ON ROLE here_before IS 'here'}, 'a security label of a role');
	is(head($g, $us), $head, '... is this region\'s, and no entry');
	is($g->sql($_, 'SELECT count(*) FROM pg_shseclabel'), $_ eq $us ? 2 : 0, "... $_") foreach $us, $eu;
	$g->sql($us, 'SECURITY LABEL FOR testing ON ROLE here_before IS NULL');
}
works($us, 'DROP ROLE mine', '... as before');
refused($g->try($us, q{SELECT schemadrift.set_policy('{"roles": "everywhere"}')}), '22023', 'local or coordinate');
works($us, q{SELECT schemadrift.set_policy('{"roles": "coordinate"}')}, 'policy "roles"');
ok($g->converged, '... is everywhere');

# --- each command tag of roles that t/gate/tags.tsv calls local by default

open my $in, '<', "$FindBin::Bin/gate/tags.tsv" or die "tags.tsv: $!";
my @rows = map { chomp; [split /\t/] } grep { /policy roles/ } <$in>;
close $in;
cmp_ok(scalar @rows, '>=', 10, 'the table of tags has them');
foreach my $row (grep { $_->[0] ne 'SECURITY LABEL' } @rows)
{
	foreach my $statement (split / ;; /, $row->[3])
	{
		$head = head($g, $us);
		works($us, $statement, "$row->[0]: $statement");
		is(head($g, $us), $head + 1, '... is an entry');
	}
}
SKIP:
{
	skip 'the release build has nobody who knows security labels', 8 if !testing_build($g);
	refused($g->try($us, q{SECURITY LABEL FOR testing ON ROLE nobody IS 'x'}), '42704', 'a label of a role that is not there');
	$head = head($g, $us);
	works($us, q{SECURITY LABEL FOR testing ON ROLE here_before IS 'secret'}, 'SECURITY LABEL ON ROLE');
	is(head($g, $us), $head + 1, '... is an entry');
	works($ap, q{SELECT schemadrift.apply('label', $$CREATE ROLE labelled; SECURITY LABEL FOR testing ON ROLE labelled IS 'made with it'$$)}, '... also in a text');
	my $labels = same_roles('labels');
	like($labels, qr/^here_before .*testing=secret$/m, '... it is everywhere');
	like($labels, qr/^labelled .*testing=made with it$/m, '... the other, too');
	works($eu, 'SECURITY LABEL FOR testing ON ROLE here_before IS NULL; DROP ROLE labelled', 'taken away in another region');
	unlike(same_roles('no labels'), qr/testing=/, '... everywhere');
}
works($ap, 'DROP ROLE IF EXISTS tag_r, tag_v', 'taken away in another region');
my $roles = same_roles('all of them');
unlike($roles, qr/^tag_/m, '... nothing is left of them');
$head = head($g, $us);
works($ap, 'DROP ROLE IF EXISTS tag_r', 'what is not there');
is(head($g, $ap), $head, '... is not taken away by an entry');

# --- by somebody who may, in any region; names are known at once

works($ap, "CREATE ROLE app LOGIN CONNECTION LIMIT 7 VALID UNTIL '2040-01-31 18:00' PASSWORD '$verifier' IN ROLE here_before; CREATE ROLE app_owner; GRANT app_owner TO app WITH ADMIN OPTION", 'as alice, in one string', user => 'alice');
works($us, q{GRANT SELECT ON t TO app; COMMENT ON ROLE app IS 'the application'}, 'rights for a role that another region has just made');
works($ap, q{ALTER ROLE app SET work_mem = '5MB'; ALTER ROLE app IN DATABASE postgres SET search_path = app, public; ALTER ROLE app NOINHERIT}, 'settings, attributes', user => 'alice');
works($us, 'BEGIN; CREATE ROLE temporary; GRANT temporary TO app; GRANT SELECT ON t TO temporary; SAVEPOINT s; CREATE ROLE never; ROLLBACK TO s; COMMIT', 'a role and its rights in one transaction');
$roles = same_roles('made by alice');
like($roles, qr/^app f f f f t f f 7 \QSCRAM-SHA-256\E\S+ 2040-01-31 18:00:00 app_owner!,here_before,temporary .*work_mem=5MB.*the application/m, '... what was said');
unlike($roles, qr/never/, '... and not what was rolled back');
is($g->sql($us, q{SELECT author FROM schemadrift.migrations WHERE version = (SELECT min(version) FROM schemadrift_store.log l WHERE convert_from(body, 'UTF8') LIKE '%CREATE ROLE app_owner%')}), 'alice', 'the author is in the log');
refused($g->try($us, 'CREATE ROLE rich SUPERUSER', user => 'alice'), '42501', 'nobody gets a right by it');
$g->sql($us, 'CREATE ROLE bob LOGIN');
ok($g->converged, 'bob is everywhere');
refused($g->try($us, 'CREATE ROLE other', user => 'bob'), '42501', '... and has no CREATEROLE');
works($us, 'BEGIN; ALTER ROLE temporary RENAME TO lasting; DROP OWNED BY lasting; COMMIT', 'rename, with rights in the schema');
same_roles('renamed');
works($us, q{SELECT schemadrift.apply('team', 'CREATE ROLE team; GRANT team TO app; GRANT SELECT ON t TO team', 'REVOKE SELECT ON t FROM team; DROP ROLE team')}, 'by apply()');
like(same_roles('by apply()'), qr/^team /m, '... the team');
works($ap, q{SELECT schemadrift.revert('team')}, '... taken back');
unlike(same_roles('reverted'), qr/^team /m, '... no team');

# --- what analyze() says of them, before they run

sub analyzed
{
	my ($name, $script) = @_;

	$script =~ s/'/''/g;
	return $g->sql($name, "SELECT string_agg(concat_ws(' ', step, verdict, rule, gate, coalesce(backward_compatible::text, '?'), coalesce(forward_compatible::text, '?'), '|' || array_to_string(objects, ','), '|' || why), E'\\n' ORDER BY step) FROM schemadrift.analyze('$script')");
}
my $ours = qr/\|Policy "roles" makes it the group's: every region runs it\./;
my @said = split /^(?=\d+ \w+ \w)/m, analyzed($us, q{CREATE ROLE soon IN ROLE app; GRANT soon TO app; ALTER ROLE soon NOLOGIN; ALTER ROLE soon CREATEDB; ALTER ROLE soon SET work_mem = '5MB';
	COMMENT ON ROLE soon IS 'x'; ALTER ROLE soon RENAME TO late; REVOKE late FROM app; DROP ROLE late; CREATE ROLE late});
like($said[0], qr/^1 safe roles G1 true false \|soon,app $ours\nA region whose server has a role of that name already compares it/, "analyze(): a role is the group's");
like($said[1], qr/^2 safe roles G1 true false \|soon,app $ours/, '... a membership');
like($said[2], qr/^3 caution roles G1 \? \? \|soon $ours\nWho logs in as that role may be refused/, '... what takes a right');
like($said[3], qr/^4 safe roles G1 true false \|soon /, '... what gives one');
like($said[4], qr/^5 caution roles G1 \? \? \|soon $ours\nNew sessions/, '... a setting');
like($said[5], qr/^6 safe roles G0 true true /, '... a comment');
like($said[6], qr/^7 caution roles G4 false true \|soon $ours\nWho logs in by the old name/, '... another name');
like($said[7], qr/^8 caution roles G4 false true \|late,app $ours/, '... a membership that goes');
like($said[8], qr/^9 caution roles G4 false true \|late $ours\nA region whose server has objects/, '... a role that goes');
like($said[9], qr/^10 safe roles /, '... and may come again');
my $fails = analyzed($us, q{CREATE ROLE app; CREATE ROLE pg_x; DROP ROLE nobody_here; DROP ROLE IF EXISTS nobody_here; GRANT nobody_here TO app; ALTER ROLE app RENAME TO bob; CREATE ROLE nobody_here IN ROLE missing_role});
like($fails, qr/^1 unsafe fails .*role "app" already exists \(42710\)\..*^2 unsafe fails .*role name "pg_x" is reserved.*^3 unsafe fails .*role "nobody_here" does not exist.*^4 caution roles .*^5 unsafe fails .*role "nobody_here" does not exist.*^6 unsafe fails .*role "bob" already exists.*^7 unsafe fails .*role "missing_role" does not exist/ms, '... what fails by the roles there are');
like(analyzed($us, 'DROP ROLE app'), qr/^1 caution \w+ .*of this server depends? on role "app"; REASSIGN OWNED BY/, '... one that is in use');
like(analyzed($us, q{CREATE ROLE soon PASSWORD 'hush-hush'}), qr/^1 unsafe SD004 .*It has a password, or a hash that serves as one/, '... a password is refused');
unlike(analyzed($us, q{CREATE ROLE soon PASSWORD 'hush-hush'}), qr/hush/, '... and not repeated');
is($g->sql($us, q{SELECT safer FROM schemadrift.analyze('CREATE ROLE soon PASSWORD ''hush-hush''')}), q{-- Write what the server keeps of it, PASSWORD 'SCRAM-SHA-256$...': psql's \password sends that instead of the password.}, '... and what to write');
like(analyzed($us, "CREATE ROLE soon PASSWORD '$verifier'"), qr/^1 safe roles /, '... but not what a server keeps of it');
like(analyzed($us, q{ALTER ROLE app VALID UNTIL 'tomorrow'}), qr/^1 unsafe SD004 .*'tomorrow'/, '... a time that is another one in each region');
like(analyzed($us, q{ALTER ROLE app IN DATABASE template1 SET work_mem = '5MB'; CREATE DATABASE d}), qr/^1 safe local local .*^2 safe local local /ms, '... what stays local');

# --- passwords

foreach my $secret ("PASSWORD 'hush-hush'", "PASSWORD 'md500112233445566778899aabbccddeeff'")
{
	my $r = $g->try($us, "CREATE ROLE secret LOGIN $secret");

	refused($r, 'SD004', "CREATE ROLE ... $secret");
	like($r->{hint}, qr/SCRAM-SHA-256.*\\password/, '... and what to write');
	unlike("$r->{message} $r->{detail} $r->{hint}", qr/hush|md500/, '... and does not repeat it');
	refused($g->try($us, "ALTER ROLE app $secret"), 'SD004', '... ALTER ROLE');
	refused($g->try($us, "SELECT schemadrift.apply('secret', \$\$ALTER ROLE app $secret\$\$)"), 'SD004', '... apply()');
}
works($us, 'ALTER ROLE app PASSWORD NULL', 'no password');
like(same_roles('no password'), qr/^app f f f f t f f 7 2040/m, '... is none');
is($g->sql($_, q{SELECT count(*) FROM schemadrift_store.log WHERE convert_from(body, 'UTF8') ~ 'hush|md500'}), 0, "no password is in the log of $_") foreach $g->names;
my $member = $g->try($us, q{SELECT schemadrift.migration_text((SELECT name FROM schemadrift.migrations WHERE version = (SELECT min(version) FROM schemadrift_store.log l WHERE convert_from(body, 'UTF8') LIKE '%CREATE ROLE app_owner%'))) ~ 'SCRAM'}, user => 'bob');
isnt($member->{out}, 't', 'nobody but author, migrators and administrators reads what servers keep of one');
refused($g->try($us, q{ALTER ROLE app VALID UNTIL 'tomorrow'}), 'SD004', 'a time that is another one in each region');
refused($g->try($us, q{ALTER ROLE app SET application_name FROM CURRENT}), 'SD004', 'a value of this session');

# --- what is there already, and what is not any more

sub off
{
	my ($name, $sql) = @_;

	return $g->sql($name, "SET schemadrift.bypass_reason = 'test'; SET schemadrift.ddl_mode = off; $sql");
}
off($eu, 'CREATE ROLE early LOGIN CREATEDB');
works($us, 'CREATE ROLE early LOGIN CREATEDB', 'a role that one region has already, just so');
like(same_roles('early'), qr/^early f t f t t/m, '... is everywhere');
off($eu, 'DROP ROLE early');
works($us, 'DROP ROLE early', 'one that is gone already in one region');
same_roles('gone');
off($eu, 'CREATE ROLE otherwise LOGIN CREATEDB IN ROLE here_before');
works($us, 'CREATE ROLE otherwise LOGIN', 'a role that one region has otherwise');
ok($g->wait_until($eu, 'SELECT state FROM schemadrift.status', 'halted'), '... halts it');
like($g->sql($eu, 'SELECT reason FROM schemadrift.status'), qr/role "otherwise" exists in this server, and is not what the log makes.*rolcreatedb is another one: t here, and f by the statement.*is a member of "here_before"/s, '... with the differences');
is($g->sql($eu, q{SELECT count(*) FROM pg_roles WHERE rolname = 'schemadrift model'}), 0, '... what it was compared with is not there');
off($eu, 'ALTER ROLE otherwise NOCREATEDB; REVOKE here_before FROM otherwise');
# it tries again by itself, too, and may have been quicker
like($g->try($eu, q{SELECT schemadrift.retry((SELECT name FROM schemadrift.migrations WHERE version = (SELECT version + 1 FROM schemadrift_store.applied)))})->{sqlstate}, qr/^(?:00000|55000|22023)$/, '... mended, it is to try again');
same_roles('mended');
works($us, 'DROP ROLE otherwise', 'dropped');
off($eu, 'CREATE ROLE only_here');
my $r = $g->try($eu, 'GRANT only_here TO app');
refused($r, 'SD004', 'a role that other regions do not have');
like($r->{message}, qr/role "only_here" does not exist in region/, '... is named');
off($eu, 'DROP ROLE only_here');
my $roles_are = q{SELECT string_agg(concat_ws(' ', region, status, detail), E'\n' ORDER BY region, detail) FROM schemadrift.preflight('SELECT 1') WHERE check_name = 'roles'};
like($g->sql($us, $roles_are), qr/^$ap ok \d+ roles are the same\n$eu ok .*\n$us ok [^\n]*$/, 'preflight() finds the same roles everywhere');
off($eu, 'CREATE ROLE only_here; ALTER ROLE app CREATEDB; ALTER ROLE bob SET work_mem = 99');
off($ap, 'ALTER ROLE app CONNECTION LIMIT 8; DROP ROLE lasting');
is($g->sql($us, $roles_are), qq{$ap warning role "app" has other attributes, memberships or settings here\n$ap warning role "lasting" is not here
$eu warning role "app" has other attributes, memberships or settings here\n$eu warning role "bob" has other attributes, memberships or settings here\n$eu warning role "only_here" is here only
} . $g->sql($us, "SELECT '$us ok ' || count(*) || ' roles are the same' FROM pg_roles WHERE oid <> 10 AND rolname !~ '^(pg|schemadrift)_'"), '... or says which are not');
off($eu, 'DROP ROLE only_here; ALTER ROLE app NOCREATEDB; ALTER ROLE bob RESET work_mem');
off($ap, 'ALTER ROLE app CONNECTION LIMIT 7; CREATE ROLE lasting; GRANT lasting TO app');
same_roles('as before');

my $tried = $g->sql($us, q{SELECT string_agg(concat_ws(' ', region, status, sqlstate), E'\n' ORDER BY region) FROM schemadrift.dry_run('CREATE ROLE bob LOGIN')});
is($tried, "$ap ok\n$eu ok\n$us failed 42710", 'a dry run says what is there already: an error where it would be made, nothing to do where it is just so');
is($g->sql($us, q{SELECT string_agg(DISTINCT concat_ws(' ', status, sqlstate), ',') FROM schemadrift.dry_run('CREATE ROLE robert LOGIN', 'DROP ROLE robert')}), 'ok', '... and what would do');

# --- one that cannot be dropped

works($us, 'CREATE ROLE busy; GRANT SELECT ON t TO busy', 'a role with rights');
refused($g->try($us, 'DROP ROLE busy'), '2BP01', '... is not dropped');
works($us, 'DROP OWNED BY busy; DROP ROLE busy', '... without them it is');
same_roles('not busy any more');

# --- a cut

$g->sql($_, 'INSERT INTO t VALUES (1), (2)') foreach $g->names;
$g->isolate($us);
$g->wait_until($us, q{SELECT count(*) FROM schemadrift.regions WHERE state = 'unreachable'}, 2);
refused($g->try($us, 'CREATE ROLE alone'), 'SD001', 'a region alone changes no role');
is($g->sql($us, q{SELECT count(*) FROM pg_roles WHERE rolname = 'alone'}), 0, '... there is none');
$g->wait_until($ap, "SELECT state FROM schemadrift.regions WHERE region = '$us'", 'unreachable');
works($ap, 'CREATE ROLE meanwhile LOGIN; GRANT meanwhile TO app; ALTER ROLE meanwhile CREATEDB', 'the others do');
works($ap, q{SELECT schemadrift.apply('owned', 'CREATE TABLE made (id int); ALTER TABLE made OWNER TO meanwhile')}, '... and use it');
works($ap, q{SELECT schemadrift.apply('frozen', 'ALTER TABLE t ADD COLUMN made_at timestamptz DEFAULT now()', options => '{"freeze_time": true}')}, 'a column that follows the clock, frozen (t/273_fill.pl)');
$g->heal_all;
ok($g->reached, 'healed');
like(same_roles('after the cut'), qr/^meanwhile f t f t t/m, '... it is everywhere');
is($g->sql($us, 'SELECT count(*), min(made_at), max(made_at) FROM t'), $g->sql($ap, 'SELECT count(*), min(made_at), min(made_at) FROM t'), 'the column has one value, in the region that was away, too');
log_is_sound($g, $since);

# --- taken back

works($ap, q{SELECT schemadrift.set_policy('{"roles": null}')}, 'the policy taken back');
ok($g->converged, '... everywhere');
is($g->sql($us, $roles_are), '', '... preflight() does not look any more');
$head = head($g, $us);
works($us, q{CREATE ROLE mine PASSWORD 'hush-hush'; ALTER ROLE mine LOGIN; DROP ROLE mine}, 'roles are each region\'s again');
like(analyzed($us, 'CREATE ROLE mine; DROP ROLE mine; DROP ROLE mine'), qr/^1 safe local local .*\|As plain SQL it stays in this region.*^2 safe local .*^3 unsafe fails .*role "mine" does not exist/ms, '... and analyze() says so');
like(analyzed($us, q{CREATE ROLE mine PASSWORD 'hush-hush'}), qr/^1 caution local local .*In the text of apply\(\) it is refused \(SD004\)\. It has a password/ms, '... a password cannot be in a script');
is(head($g, $us), $head, '... no entry');

# --- two regions on one server

my $one = SchemaDrift::Group->new(regions => 2, databases => 1);
my ($first, $second) = $one->names;
$one->make_group(mode => 'coordinate');
ok($one->reached, 'two regions on one server');
$r = $one->try($first, q{SELECT schemadrift.set_policy('{"roles": "coordinate"}')});
refused($r, 'SD005', '... are refused the policy');
like("$r->{message} $r->{detail}", qr/share a server.*Regions "$first" and "$second" are databases of one server/s, '... by name');
$r = $one->try($first, qq{SELECT schemadrift.apply('role', 'CREATE ROLE shared LOGIN; ALTER ROLE shared SET work_mem = ''5MB''; ALTER ROLE shared IN DATABASE "$first" SET work_mem = ''6MB''')});
ok($r->{ok}, 'a role in a script') or diag($r->{err});
ok($one->converged, '... is there already in the other region, just so');
is($one->sql($first, q{SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE setconfig = '{work_mem=6MB}'}),
	join(' ', sort $first, $second), '... "in this database" is each region\'s own');
done_testing();
