# Real schemas: a copy made by dump and restore is equal, and single changes behind the gate are found, named and taken back.
#
#   make schemas DIR=/path [CHANGES=20] [SEED=1]
#
# DIR has a file of SQL for each schema (pg_dump -s -O makes one), to be read by everybody.  Each is loaded into a database, copied by pg_dump into
# another, and the two become a group.  Then the second is changed behind the gate, at random but by SEED, one property of one
# object at a time; view drift in the first has to name that object and that property, and repair_plan() has to bring it back.
use strict;
use warnings FATAL => 'all';

use File::Basename;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

use SchemaDrift::Group;

my @files   = sort glob(($ENV{SCHEMAS} || die "SCHEMAS is not set: make schemas DIR=...\n") . '/*.sql');
my $changes = $ENV{CHANGES} || 20;
my $seed    = $ENV{SEED}    || 1;

die "no file of SQL in $ENV{SCHEMAS} can be read\n" if !grep { -r } @files;

# What may be done to an object: kind and property as view drift has them, and a query for its identity and a statement.
# Each takes one object at random ($order), and none whose change would change another object, too.  For good: nothing
# takes it back, repair_plan() says so, and accept_drift() makes it the group's.
my $own   = q{n.nspname !~ '^(pg_|information_schema|schemadrift)' AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e' AND e.objid = };
my $table = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND $own c.oid)";
my $column = "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0 AND c.relkind = 'r' AND $own c.oid)";
my $plain = "AND NOT a.attgenerated <> '' AND a.attidentity = ''";
my $index = "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind = 'i' AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid) AND $own c.oid)";
my $constraint = "FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE k.coninhcount = 0 AND k.conparentid = 0 AND c.relkind = 'r' AND NOT c.relispartition AND $own c.oid)";
my $function = "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prokind = 'f' AND $own p.oid)";
my $trigger = "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND c.relkind = 'r' AND $own c.oid)";
my $view = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'v' AND $own c.oid)";
my $sequence = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND $own c.oid)";
my $enum = "FROM pg_type y JOIN pg_namespace n ON n.oid = y.typnamespace WHERE y.typtype = 'e' AND $own y.oid)";
my $named = q{format('%I.%I', n.nspname, c.relname)};
my $part  = sub { "format('%I.%I.%I', n.nspname, c.relname, $_[0])" };

my @kinds = (
	[ table => qr/column drift_x/, $named, q{format('ALTER TABLE %I.%I ADD COLUMN drift_x int', n.nspname, c.relname)}, "$table AND NOT c.relispartition" ],
	[ table => qr/comment/, $named, q{format('COMMENT ON TABLE %I.%I IS %L', n.nspname, c.relname, 'drift')}, $table ],
	[ table => qr/privileges/, $named, q{format('GRANT SELECT ON %I.%I TO drift_role', n.nspname, c.relname)}, $table ],
	[ table => qr/owner/, $named, q{format('ALTER TABLE %I.%I OWNER TO drift_role', n.nspname, c.relname)},
		"$table AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_class s ON s.oid = d.objid WHERE d.refobjid = c.oid AND s.relkind = 'S')" ],
	[ table => qr/options/, $named, q{format('ALTER TABLE %I.%I SET (fillfactor = 71)', n.nspname, c.relname)}, "$table AND c.relkind = 'r'" ],
	[ table => qr/row security/, $named, q{format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', n.nspname, c.relname)}, "$table AND NOT c.relrowsecurity" ],
	[ table => qr/replica identity/, $named, q{format('ALTER TABLE %I.%I REPLICA IDENTITY FULL', n.nspname, c.relname)}, "$table AND c.relreplident <> 'f'" ],
	[ table => qr/column/, $named, q{format('ALTER TABLE %I.%I ALTER COLUMN %I DROP NOT NULL', n.nspname, c.relname, a.attname)},
		"$column $plain AND a.attnotnull AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey))
			AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid)" ],
	[ table => qr/column/, $named, q{format('ALTER TABLE %I.%I ALTER COLUMN %I SET DEFAULT NULL', n.nspname, c.relname, a.attname)},
		"$column $plain AND a.atthasdef AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid)" ],
	[ table => qr/column/, $named, q{format('ALTER TABLE %I.%I ALTER COLUMN %I SET STATISTICS 77', n.nspname, c.relname, a.attname)}, $column ],
	[ table => qr/column/, $named, q{format('COMMENT ON COLUMN %I.%I.%I IS %L', n.nspname, c.relname, a.attname, 'drift')}, $column ],
	[ table => qr/column/, $named, q{format('GRANT UPDATE (%I) ON %I.%I TO drift_role', a.attname, n.nspname, c.relname)}, $column ],
	[ index => undef, $named, q{format('DROP INDEX %I.%I', n.nspname, c.relname)}, $index ],
	[ index => qr/options/, $named, q{format('ALTER INDEX %I.%I SET (fillfactor = 61)', n.nspname, c.relname)}, "$index AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')" ],
	[ constraint => undef, $part->('k.conname'), q{format('ALTER TABLE %I.%I DROP CONSTRAINT %I', n.nspname, c.relname, k.conname)}, "$constraint AND k.contype IN ('c', 'f')" ],
	[ constraint => qr/deferrable/, $part->('k.conname'), q{format('ALTER TABLE %I.%I ALTER CONSTRAINT %I DEFERRABLE', n.nspname, c.relname, k.conname)},
		"$constraint AND k.contype = 'f' AND NOT k.condeferrable" ],
	[ constraint => qr/comment/, $part->('k.conname'), q{format('COMMENT ON CONSTRAINT %I ON %I.%I IS %L', k.conname, n.nspname, c.relname, 'drift')}, "$constraint AND k.contype IN ('c', 'f', 'p', 'u')" ],
	[ function => qr/cost/, q{format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))},
		q{format('ALTER FUNCTION %s COST 7', p.oid::regprocedure)}, $function ],
	[ function => qr/volatil/, q{format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))},
		q{format('ALTER FUNCTION %s STABLE', p.oid::regprocedure)}, "$function AND p.provolatile <> 's'" ],
	[ trigger => qr/enabled|state/, $part->('t.tgname'), q{format('ALTER TABLE %I.%I DISABLE TRIGGER %I', n.nspname, c.relname, t.tgname)}, "$trigger AND t.tgenabled <> 'D'" ],
	[ trigger => undef, $part->('t.tgname'), q{format('DROP TRIGGER %I ON %I.%I', t.tgname, n.nspname, c.relname)}, $trigger ],
	[ view => qr/options/, $named, q{format('ALTER VIEW %I.%I SET (security_barrier)', n.nspname, c.relname)}, $view ],
	[ view => qr/comment/, $named, q{format('COMMENT ON VIEW %I.%I IS %L', n.nspname, c.relname, 'drift')}, $view ],
	[ sequence => qr/increment/, $named, q{format('ALTER SEQUENCE %I.%I INCREMENT 3', n.nspname, c.relname)}, "$sequence AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i')" ],
	[ type => qr/label/, q{format('%I.%I', n.nspname, y.typname)}, q{format('ALTER TYPE %I.%I ADD VALUE %L', n.nspname, y.typname, 'drift')}, $enum, 'for good' ]);

# Another object each time; undef: the schema has none of this sort.
my $drawn = 0;

sub draw
{
	my ($g, $name, $kind) = @_;
	my ($what, undef, $identity, $statement, $from) = @$kind;
	my $order = sprintf q{md5('%s-%s' || %s)}, $seed, ++$drawn, $identity;
	my $out = $g->sql($name, "SELECT $identity || E'\\x01' || $statement $from ORDER BY $order LIMIT 1");

	return $out eq '' ? () : split /\x01/, $out;
}

# Without regard to quotes, and to the names of a function's arguments.
sub plain
{
	my ($identity) = @_;

	return $identity =~ s/"//gr =~ s/\(.*//sr;
}

sub drift
{
	my ($g, $where) = @_;

	return $g->sql($where, q{SELECT string_agg(object_type || E'\x01' || identity || E'\x01' || difference || E'\x01' || coalesce(property, ''), E'\x02'
		ORDER BY object_type, identity) FROM schemadrift.drift WHERE region = 'copy'});
}

sub behind_the_gate
{
	my ($g, $sql) = @_;

	return $g->try('copy', "SET schemadrift.ddl_mode = 'off'; SET schemadrift.bypass_reason = 'test'; $sql");
}

foreach my $file (grep { -r } @files)
{
	my $what = basename($file, '.sql');
	my $g = SchemaDrift::Group->new(regions => [qw(original copy)], databases => 1, extension => 0, conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
max_locks_per_transaction = 2000
max_worker_processes = 20
CONF
	my $server = $g->region('original');
	my $dump = "$PostgreSQL::Test::Utils::tmp_check/$what.dump";
	my $connstr = sub { return $server->connstr($_[0]) };

	$server->sql('CREATE ROLE drift_role');
	system_or_bail('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $connstr->('original'), '-f', $file);
	system_or_bail('pg_dump', '-s', '-d', $connstr->('original'), '-f', $dump);
	# other OIDs than in the original
	$g->sql('copy', "DO 'BEGIN FOR i IN 1 .. 50 LOOP EXECUTE ''CREATE TABLE gone (i int)''; EXECUTE ''DROP TABLE gone''; END LOOP; END'");
	system_or_bail('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $connstr->('copy'), '-f', $dump);
	my $tables = $g->sql('original', "SELECT count(*) $table");

	$g->create_extension;
	$g->make_group;    # joins only if it is equal
	is($g->sql('original', 'SELECT encode(digest, \'hex\') FROM schemadrift_store.applied'),
		$g->sql('copy', 'SELECT encode(digest, \'hex\') FROM schemadrift_store.applied'), "$what: a restored dump of $tables tables has the same fingerprint");
	$g->sql('original', q{SELECT schemadrift.set_policy('{"mode": "coordinate"}')});
	$g->converged or die "$what: not equal\n";

	my ($done, $n) = (0, 0);
	while ($done < $changes && $n < 4 * $changes)
	{
		my $kind = $kinds[ $n++ % @kinds ];
		my ($identity, $statement) = draw($g, 'copy', $kind) or next;
		my $r = behind_the_gate($g, $statement);

		# a view that depends on it, say
		next if !$r->{ok};
		$done++;
		$g->wait_until('original', q{SELECT count(*) > 0 FROM schemadrift.drift WHERE region = 'copy'});
		my @found = map { [ split /\x01/, $_, -1 ] } split /\x02/, drift($g, 'original');
		my $right = @found == 1 && $found[0][0] eq $kind->[0] && plain($found[0][1]) eq plain($identity)
		  && ($kind->[1] ? $found[0][2] eq 'changed' && $found[0][3] =~ $kind->[1] : $found[0][2] eq 'missing');
		ok($right, "$what: $statement: found and named") or diag("$kind->[0] $identity, but it says: " . join('; ', map { "@$_" } @found));

		my $gone = q{SELECT count(*) FROM schemadrift.drift WHERE region = 'copy'};
		if ($kind->[5])
		{
			is($g->sql('original', q{SELECT count(*) FROM schemadrift.repair_plan('copy') WHERE statement IS NULL AND note <> ''}), 1,
				"$what: repair_plan() says that it cannot take this back");
			$r = $g->try('copy', sprintf q{SELECT schemadrift.accept_drift('copy', '%s')}, $found[0][1]);
			ok($r->{ok} && $g->wait_until('original', $gone, 0), "$what: and made the group's by accept_drift()") or diag($r->{err} . drift($g, 'copy')), last;
			next;
		}
		my $plan = $g->sql('original', q{SELECT string_agg(statement, E'\n' ORDER BY step) FROM schemadrift.repair_plan('copy')});
		$plan =~ s/^-- (?=ALTER|DROP)//mg;    # what loses data is for a person to agree to
		$r = behind_the_gate($g, $plan);
		ok($r->{ok} && $g->wait_until('original', $gone, 0), "$what: and taken back by repair_plan()")
		  or diag("$plan\n$r->{err}" . drift($g, 'copy')), last;
	}
	cmp_ok($done, '>=', $changes, "$what: $changes changes");
	ok($g->converged, "$what: the group goes on");
	is($g->sql('copy', 'SELECT schemadrift_store.digest_rebuild()'), $g->sql('original', 'SELECT schemadrift_store.digest_rebuild()'), "$what: equal at the end");
	$server->stop('fast');
}
done_testing();
