# analyze() names each rule of the compatibility matrix for that rule's own example, with the relations and locks, rewrites and scans
# that t/260_matrix.pl finds to be so; and whatever it is given, it changes nothing, waits for nobody and leaves nothing behind.
#
# PGSRC=/path/to/postgresql: also over every statement of the server's own regression scripts.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use SchemaDrift::Matrix;
use Test::More;

my $g = SchemaDrift::Group->new(regions => [qw(plain member)], databases => 1);
my $server = $g->region('plain');
my $matrix = SchemaDrift::Matrix->new($server);
my %session;

# Rules that no catalog can tell from another one.
my %cannot = (B2 => 'B1: whether an application names the column is not in the catalog');

sub session
{
	my ($dbname) = @_;

	if (!$session{$dbname})
	{
		$server->sql('CREATE EXTENSION schemadrift', dbname => $dbname);
		$session{$dbname} = $server->session(dbname => $dbname);
	}
	return $session{$dbname};
}

sub literal
{
	my ($text) = @_;

	$text =~ s/'/''/g;
	return "'$text'";
}

# Rows of analyze(), one hash each.
sub analyze
{
	my ($s, $script) = @_;
	my @columns = qw(step verdict rule rules lock rewrites scans why);
	my $r = $s->query("SELECT concat_ws(chr(9), step, verdict, rule, array_to_string(rules, ','), lock, array_to_string(rewrites, ','),
		array_to_string(scans, ','), replace(coalesce(why, ''), chr(10), ' ')) FROM schemadrift.analyze(" . literal($script) . ');');

	die "$script: $r->{message}" if !$r->{ok};
	return map { my %row; @row{@columns} = split /\t/, $_, -1; \%row } split /\n/, $r->{out};
}

# All that a database is, as far as it has files and names.
sub fingerprint
{
	my ($dbname) = @_;

	return $server->sql(q{SELECT md5(string_agg(concat_ws(',', c.oid, relname, relnamespace, relfilenode, relnatts, relchecks, relhasindex), ';' ORDER BY c.oid))
			FROM pg_class c} . " UNION ALL SELECT count(*)::text FROM pg_namespace UNION ALL SELECT count(*)::text FROM pg_attribute
			UNION ALL SELECT count(*)::text FROM pg_depend UNION ALL SELECT count(*)::text FROM pg_constraint", dbname => $dbname);
}

# ---- each rule ----

sub qualified
{
	my ($name) = @_;

	return $name =~ /\./ ? $name : "h.$name";
}

# What the row says of which relations: locks, rewritten, scanned.
sub expected
{
	my ($e) = @_;
	my (%lock, %rewritten, %scanned);
	my $of = sub { return map { qualified($_) } map { @{ $e->{roles}{$_} // [] } } split /, | and /, $_[0] };

	foreach (grep { /: / } split /, /, $e->{lock})
	{
		my ($role, $mode) = /^(\w+): (.*)$/;
		$lock{$_} = $mode foreach $of->($role);
	}
	if ($e->{rewrite} =~ /^indexes of (.*)$/)
	{
		$rewritten{"indexes of $_"} = 1 foreach $of->($1);
	}
	elsif ($e->{rewrite} !~ /^(?:no|-)$|emptied$/)
	{
		my ($roles) = $e->{rewrite} =~ /^(.*?)(?: and indexes)?$/;
		$rewritten{$_} = 1 foreach $of->($roles);
	}
	$scanned{$_} = 1 foreach map { $of->($_) } grep { !/^(?:no|-|with the rewrite)$/ } split /, /, $e->{scan};
	# nothing to read where there is nothing
	delete @scanned{ grep { $rewritten{$_} } keys %scanned };
	return join ' | ', (join ', ', map { "$_: $lock{$_}" } sort keys %lock), (join ',', sort keys %rewritten), join ',', sort keys %scanned;
}

sub found
{
	my ($row) = @_;

	return join ' | ', ($row->{lock} eq 'none' ? '' : join ', ', map { "$_->[0]: $_->[1]" } sort { $a->[0] cmp $b->[0] } map { [ split /: / ] } split /, /, $row->{lock}), (join ',', sort split /,/, $row->{rewrites}),
	  join ',', sort split /,/, $row->{scans};
}

my ($named, $worst, $compared, @without) = (0, 0, 0);
my $before;
foreach my $e ($matrix->examples('plain'))
{
	if ($e->{here} ne 'true' || $e->{example} eq '')
	{
		push @without, $e->{rule} if $e->{here} eq 'true';
		next;
	}
	my $s = session($matrix->database($e));
	$before //= fingerprint($matrix->database($e)) if $e->{setup} eq '' && $e->{holder} eq '';
	my @rows = analyze($s, $e->{example});
	my %rules = map { $_ => 1 } map { split /,/, $_->{rules} } @rows;

	if ($cannot{ $e->{rule} })
	{
		ok(!$rules{ $e->{rule} }, "$e->{rule} is not told from $cannot{$e->{rule}}");
		next;
	}
	ok($rules{ $e->{rule} }, "$e->{rule}: $e->{example}") or diag(join '; ', map { $_->{rules} } @rows);
	$named++;
	$worst++ if grep { $_->{rule} eq $e->{rule} } @rows;

	# one statement, one rule: it must say what the row says of these relations
	next if @rows != 1 || $e->{lock} =~ / then |^(?:error|depends|-)$/ || $e->{untested} ne '' || (grep { !/^O|^local$/ } split /,/, $rows[0]{rules}) != 1;
	is(found($rows[0]), expected($e), "$e->{rule}: locks | rewrites | scans");
	$compared++;
}
note("$named rules named by their examples, $worst of them as the one that decides, $compared compared; without an example: @without");
cmp_ok($named, '>', 230, "$named rules are named");
cmp_ok($compared, '>', 150, "of $compared, locks, rewrites and scans are what the matrix says");
my $common = $matrix->database({ setup => '', holder => '' });
is(fingerprint($common), $before, 'nothing has changed');

# ---- it waits for nobody ----
{
	my $holder = $server->session(dbname => $common);
	my $s = session($common);

	$holder->query('BEGIN; LOCK TABLE t; LOCK TABLE pt;');
	$s->query("SET statement_timeout = '60s';");
	my ($row) = analyze($s, 'ALTER TABLE t ALTER COLUMN i4 TYPE bigint');
	is($row->{rules} =~ /C11/ && $row->{rewrites}, 'h.t', 'a table that somebody holds exclusively: the matrix speaks');
	like($row->{why}, qr/somebody holds the table exclusively/, 'and it says so');
	ok(analyze($s, 'ALTER TABLE t ALTER COLUMN i4 SET NOT NULL; ALTER TABLE pt ATTACH PARTITION nopk FOR VALUES FROM (900) TO (950)'),
		'proofs are not waited for');
	$holder->query('ROLLBACK;');
	$holder->quit;
}

# ---- it leaves nothing in its transaction ----
{
	my $s = $server->session(dbname => $common);

	$s->query('BEGIN;');
	ok(analyze($s, 'ALTER TABLE t ALTER COLUMN i4 TYPE bigint; ALTER TABLE t ALTER COLUMN v TYPE text'), 'two copies are made and go');
	is($s->query('SELECT pg_my_temp_schema();')->{out}, '0', 'no schema for temporary objects is left');
	is($s->query("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation >= 16384
		AND relation::regclass::text !~ '^schemadrift_store';")->{out}, '0', 'nor a lock on anything but tables of our own');
	is($s->query("COMMIT; SELECT count(*) FROM pg_class WHERE relname ~ 'probe' OR relpersistence = 't';")->{out}, '0', 'nor a table');

	# one's own temporary table of before stays what it was
	$s->query('CREATE TEMPORARY TABLE own (a int); INSERT INTO own VALUES (1);');
	ok(analyze($s, 'ALTER TABLE t ALTER COLUMN i4 TYPE bigint'), 'beside a temporary table');
	is($s->query('SELECT a FROM own;')->{out}, '1', 'which is still there');

	# cancelled in the middle of many copies
	$s->query('CREATE TABLE wide (' . join(', ', map { "c$_ int" } 1 .. 500) . ');');
	$s->send('SELECT count(*) FROM schemadrift.analyze(' . literal(join ';', map { "ALTER TABLE wide ALTER COLUMN c$_ TYPE bigint" } 1 .. 500) . ');');
	$server->wait_until('SELECT backend_xid IS NOT NULL FROM pg_stat_activity WHERE pid = ' . $s->pid, 't', undef, dbname => 'postgres');
	$s->cancel;
	is($s->result->{sqlstate}, '57014', 'it can be cancelled');
	is($s->query("SELECT count(*) FROM pg_class WHERE relname ~ 'probe';")->{out}, '0', 'which leaves nothing');
	is($s->query('SELECT a FROM own;')->{out}, '1', 'and takes nothing');
	$s->quit;
}

# ---- nor in the log ----
{
	$g->make_group(names => ['member'], mode => 'coordinate');
	my $s = $g->session('member');

	$g->sql('member', q{SELECT schemadrift.apply('one', 'CREATE TABLE public.one (a int, b varchar(10)); CREATE INDEX ON public.one (lower(b))')});
	my $versions = $g->sql('member', 'SELECT max(version) FROM schemadrift.migrations');
	my ($row) = analyze($s, 'ALTER TABLE public.one ALTER COLUMN b TYPE varchar(20)');
	is($row->{rules} =~ /C3/ && $row->{rewrites}, 'indexes of public.one', 'in a group, it is found out just as well');
	is($g->sql('member', 'SELECT max(version) FROM schemadrift.migrations'), $versions, 'no version comes of it');
	is($g->sql('member', 'SELECT count(*) FROM schemadrift.verify()'), '0', 'and no drift');
	$s->query("BEGIN; SELECT count(*) FROM schemadrift.analyze('ALTER TABLE public.one ALTER COLUMN b TYPE varchar(20)'); COMMIT;");
	is($g->sql('member', 'SELECT max(version) FROM schemadrift.migrations'), $versions, 'nor in a transaction of one\'s own');
	$s->quit;
}

# ---- the server's own regression scripts ----
SKIP:
{
	my $dir = ($ENV{PGSRC} // '') . '/src/test/regress/sql';
	my ($statements, $broken, @failed) = (0, 0);

	skip 'PGSRC names no source of PostgreSQL', 2 if !-d $dir;
	my $s = session($common);
	my $print = fingerprint($common);
	foreach my $file (sort glob "$dir/*.sql")
	{
		local $/ = undef;
		open my $in, '<', $file or die "$file: $!";
		# as psql would split them, roughly: what is no SQL then is a syntax error, which is none of ours
		foreach my $statement (split /;[ \t]*(?:--[^\n]*)?\n/, <$in>)
		{
			$statement =~ s/^\\.*$//mg;
			my $r = $s->query('SELECT count(*) FROM schemadrift.analyze(' . literal($statement) . ');');

			$statements++;
			$broken++ if !$r->{ok};
			push @failed, "$file: $r->{sqlstate} $r->{message}: " . substr $statement, 0, 200 if !$r->{ok} && ($r->{sqlstate} // 'gone') !~ /^(?:42601|22025|0A000|22P0[26]|42622|22021|42P0[12]|22019|42939)$/;
			last if !$r->{ok} && !defined $r->{sqlstate};
		}
	}
	is(join("\n", @failed), '', "$statements statements of the server's own tests, $broken of which are no SQL by themselves");
	is(fingerprint($common), $print, 'have changed nothing');
}
done_testing;
