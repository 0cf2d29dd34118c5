# A history of migrations, replayed in a group with cuts and restarts, is the schema that a single server gets from the same files.
#
#   make replay DIR=/path [VIA=apply|plain|mixed] [SEED=1] [FAULTS=10] [REVERTS=20] [FIRST=n] [LAST=n]
#
# DIR: see t/lib/SchemaDrift/History.pm.  VIA: by apply(), as plain DDL in a transaction, or one or the other at random.  FAULTS and
# REVERTS are percentages: how often a migration is preceded, or hit, by a fault, and how often it is taken back and done again.
# What is not to be in a transaction goes by apply_online(), and where that does not take it, statement by statement.
#
# analyze() is asked before each: what it says to fail must not run, what is refused it must have told, and where it says
# that a down can restore the schema, the migration's own one does, or does less or more than the migration did.
#
# At the end each region gets a difference of its own, outside of the log: both comparisons have to name it.
#
# At most one region is away at a time, for some migrations; the change is tried in a region at random, also in one
# that is cut off, where it has to be refused.  A client whose migration fails for a reason that may pass asks
# outcome() and tries again elsewhere, as a tool would.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use SchemaDrift::History;
use SchemaDrift::Scenario;

my $seed = $ENV{SEED} // 1;
my $via  = $ENV{VIA} || 'mixed';
my %percent = map { my $given = $ENV{ uc $_->[0] } // ''; ($_->[0] => length $given ? $given : $_->[1]) } [ faults => 10 ], [ reverts => 20 ];
my @history = history($ENV{HISTORY} || die "HISTORY is not set: make replay DIR=...\n");
my ($first, $last) = ($ENV{FIRST} // 1, $ENV{LAST} // scalar @history);

die "VIA is apply, plain or mixed\n" if $via !~ /^(?:apply|plain|mixed)$/;
srand $seed;
note("seed $seed, $via, ", scalar @history, ' migrations');

my %count = map { $_ => 0 } qw(migrations apply plain online pieces adapted refused alike faults hits retried reverted downs restoring differing failing steps unknown);
my (@differing, %foretold);
my (@refused, $planted);
# where analyze() was wrong: it expected a statement to fail, or to be refused, and it ran; nothing, and it was refused; that a down
# can restore the schema, and one that takes back what was done leaves another
my (@mistaken, @let_through, @not_foreseen, @misjudged);

my $g = SchemaDrift::Group->new(regions => [qw(us-east ap-south eu-west alone)], conf => <<'CONF');
schemadrift.heartbeat_interval = 250ms
schemadrift.quorum_timeout = 6s
schemadrift.lease_duration = 1s
schemadrift.lock_timeout = 1s
schemadrift.retry_max_interval = 2s
max_locks_per_transaction = 1000
CONF
my @regions = qw(us-east ap-south eu-west);
$g->make_group(names => \@regions, mode => 'coordinate');
# what these histories do is theirs to answer for; what matters here is that it happens
$g->sql('us-east', q{SELECT schemadrift.set_policy('{"on_unsafe": "pass"}')});
my $alone = $g->session('alone');

sub by_chance { my ($n) = @_; return rand(100) < $n; }

sub is_blank { my ($text) = @_; return ($text =~ s/--[^\n]*//gr) !~ /\S/; }

sub quoted { my ($text) = @_; return $text =~ s/'/''/gr; }

# ---- the single server ----

# The digest of what is there now.  Inside of a transaction, too.
sub digest_alone
{
	my $r = $alone->query('SELECT schemadrift_store.digest_rebuild();');

	die "digest: $r->{err}" if !$r->{ok};
	return $r->{out};
}

# What analyze() says of it there: statements that it expects to fail or to be refused, and whether a down can restore the schema.
sub analyze_alone
{
	my ($m) = @_;
	my $r = $alone->query(sprintf q{SELECT concat_ws(chr(9), array_to_string(rules, ','), coalesce(restores, ''), format('statement %%s, %%s: %%s', step, command, replace(why, chr(10), ' ')))
		FROM schemadrift.analyze('%s');}, quoted($m->{up}));

	die "$m->{name}: analyze: $r->{err}" if !$r->{ok} && $r->{sqlstate} ne '42601';
	my @steps = map { [ split /\t/, $_, 3 ] } split /\n/, $r->{ok} ? $r->{out} : '';
	$m->{saying} = { map { my $rule = $_; $rule => [ map { $_->[2] } grep { ",$_->[0]," =~ /,$rule,/ } @steps ] } qw(fails SD004 unknown) };
	$m->{why} = join "\n", map { $_->[2] } @steps;
	$m->{foretold} = foretold(map { $_->[1] } @steps);
	$m->{steps} = @steps;
	return;
}

# Does it say why this was refused, in the same words?
sub is_foreseen
{
	my ($m, $r) = @_;
	my $reason = ($r->{detail} // $r->{message}) =~ s/\n/ /gr;

	return index($m->{why}, $reason) >= 0 || ($r->{context} // '') =~ /"down"/;
}

# Objects there and what is said of each, now.
my $scan = q{SELECT kind || ' ' || identity || E'\n' || definition FROM schemadrift_store.digest_scan()};

sub objects_alone
{
	my $r = $alone->query("SELECT string_agg(d, E'\\x01') FROM ($scan) x (d);");

	die "scan: $r->{err}" if !$r->{ok};
	return { map { my ($object, $definition) = split /\n/, $_, 2; $object => $definition // '' } split /\x01/, $r->{out} };
}

# Its down leaves another schema: what is there too much, too little, and otherwise than before?  Begins anew, and does it again.
sub difference_alone
{
	my ($m) = @_;
	my $after = objects_alone();

	$alone->query('ROLLBACK;');
	my $before = objects_alone();
	$alone->query("BEGIN; $m->{up}\n;");
	return {
		left  => [ grep { !exists $before->{$_} } sort keys %$after ],
		gone  => [ grep { !exists $after->{$_} } sort keys %$before ],
		other => [ map { "$_, was: $before->{$_}; is: $after->{$_}" } grep { exists $after->{$_} && $after->{$_} ne $before->{$_} } sort keys %$before ],
	};
}

# Run it there as a tool does.  With a down that is in a transaction, it is rehearsed: does it restore the schema?
sub run_alone
{
	my ($m) = @_;

	return $m->{pieces} ? run_pieces_alone($m) : $alone->query("$m->{up};") if $m->{alone};
	my $before = defined $m->{down} ? digest_alone() : undef;
	my $r = $alone->query("BEGIN; $m->{up}\n;");
	if ($r->{ok} && defined $m->{down})
	{
		my $d = $alone->query("SAVEPOINT done; $m->{down}\n;");

		$count{downs}++;
		$m->{restores} = $d->{ok} && digest_alone() eq $before;
		$count{ $m->{restores} ? 'restoring' : $d->{ok} ? 'differing' : 'failing' }++;
		$foretold{ $m->{restores} ? 'restores' : 'does not' }{ $m->{foretold} }++;
		my $how = !$d->{ok} ? "its down fails: $d->{message}" : 'its down leaves another schema';
		if ($d->{ok} && !$m->{restores} && $m->{foretold} eq 'yes')
		{
			my $is = difference_alone($m);

			$how .= join '', map { "; $_: " . join ', ', @{ $is->{$_} } } grep { @{ $is->{$_} } } qw(left gone other);
			# one that forgets something, or takes away more, is not what was spoken of
			push @misjudged, "$m->{name}: $how" if !@{ $is->{left} } && !@{ $is->{gone} };
		}
		else
		{
			$alone->query('ROLLBACK TO SAVEPOINT done;');
		}
		push @differing, "$m->{name}: $how (foretold: $m->{foretold})" if !$m->{restores};
		push @differing, "$m->{name}: its down restores the schema (foretold: no)" if $m->{restores} && $m->{foretold} eq 'no';
	}
	$alone->query($r->{ok} ? 'COMMIT;' : 'ROLLBACK;');
	return $r;
}

# ---- faults ----

my ($away, $back, $healed_in);    # the region, how it comes back, after how many migrations

sub bring_back
{
	return if !$away;
	$back->();
	($away, $back) = ();
	$g->reached(@regions) or die 'the regions do not reach each other again';
	return;
}

sub break_one
{
	my ($which) = @_;
	my $name = $which // $regions[ rand @regions ];
	my $region = $g->region($name);
	my @kinds = (
		[ sub { $g->isolate($name) }, sub { $g->rejoin($name) } ],
		[ sub { $region->kill9 }, sub { $region->start } ],
		[ sub { $region->pause }, sub { $region->resume } ]);
	my $kind = $kinds[ rand @kinds ];

	$kind->[0]->();
	($away, $back, $healed_in) = ($name, $kind->[1], 1 + int rand 5);
	$count{faults}++;
	return;
}

# ---- the group ----

sub statement_of
{
	my ($m, $how) = @_;
	my $down = defined $m->{down} ? "'" . quoted($m->{down}) . "'" : 'NULL';

	return sprintf "SELECT schemadrift.apply('%s', '%s', %s);", quoted($m->{name}), quoted($m->{up}), $down if $how eq 'apply';
	return sprintf "CALL schemadrift.apply_online('%s', '%s', %s);", quoted($m->{name}), quoted($m->{up}), $down if $how eq 'online';
	# psql goes on after an error, and COMMIT is a rollback then
	return sprintf "BEGIN; SET LOCAL schemadrift.migration_name = '%s'; %s\n; COMMIT;", quoted($m->{name}), $m->{up};
}

# What became of it, asked until it is definite; '' if nobody knows it.
sub outcome_of
{
	my ($m) = @_;
	my $end = time() + $SchemaDrift::Session::timeout;

	while (time() < $end)
	{
		my @said = map { $g->try($_, sprintf q{SELECT schemadrift.outcome('%s')}, quoted($m->{name}))->{out} }
		  grep { !$away || $_ ne $away } @regions;

		return 'chosen' if grep { /^(?:applied|chosen)$/ } @said;
		return '' if !grep { $_ eq 'undecided' } @said;
		sleep 0.1;
	}
	die "$m->{name} stays undecided\n";
}

# Does its text change rows itself?  Rows of a transaction with plain DDL stay in their region, where data replication would
# fetch them; there is none here, so such a migration goes by apply(), which runs its text everywhere.  What fills a materialized
# view stays there, too, and the view cannot be read elsewhere.
sub changes_rows
{
	my ($m) = @_;
	my $text = $m->{up} =~ s/--[^\n]*//gr;

	$text =~ s/\bAS\s+(\$\w*\$).*?\1//gsi;    # of functions
	return scalar($text =~ /\b(?:INSERT\s+INTO|DELETE\s+FROM|TRUNCATE|REFRESH\s+MATERIALIZED)\b|\bUPDATE\b[^;]*?\bSET\b/si);
}

# What the HINT of a refusal says to write instead.
sub adapted
{
	my ($m, $r) = @_;
	my $up = $m->{up};

	if ($r->{hint} =~ /transaction control/)
	{
		my $other = { %$m, map { $_ => bare($m->{$_}) } qw(up down) };

		return $other->{up} eq $up && ($other->{down} // '') eq ($m->{down} // '') ? undef : $other;
	}
	$up =~ s/^(CREATE\s+TABLE\s+(\S+)\s+AS\s+)([^;]*);/$1$3 WITH NO DATA; INSERT INTO $2 $3;/gim if $r->{hint} =~ /WITH NO DATA/;
	$up =~ s/'now'::(?:text::)?/now()::/gi if $r->{hint} =~ /now\(\)/;
	return $up eq $m->{up} ? undef : { %$m, up => $up };
}

# Statement by statement, as a tool runs what is not to be in a transaction: migrations of their own here.
sub pieces_of
{
	my ($m) = @_;
	my (@pieces, $n);

	while ($m->{up} =~ m{\G((?:--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"[^"]*"|(\$\w*\$).*?\2|[^;])+);?}gs)
	{
		my $text = $1;

		push @pieces, $text if !is_blank($text);
	}

	return [ map { $n++; +{ name => "$m->{name}#$n", up => $_, alone => scalar(/\bCONCURRENTLY\b/i) } } @pieces ];
}

sub run_pieces_alone
{
	my ($m) = @_;

	foreach my $piece (@{ $m->{pieces} })
	{
		my $r = $alone->query("$piece->{up};");

		return $r if !$r->{ok};
	}
	return { ok => 1 };
}

# The first that is refused ends it.
sub run_pieces
{
	my ($m) = @_;

	foreach my $piece (@{ $m->{pieces} })
	{
		my $r = run_in_group($piece, $piece->{alone} ? 'online' : changes_rows($piece) ? 'apply' : 'plain');

		return $r if !$r->{ok};
	}
	return { ok => 1 };
}

# SQLSTATEs of what another attempt may not meet.
my $passing = qr/^(?:40001|40003|40P01|55006|SD001|SD003|SD009|08006|57P0.|55P03|25006)$/;

# Run it in one region, perhaps with a fault in the midst.  Returns the result.
sub attempt
{
	my ($m, $how) = @_;
	my $where = $regions[ rand @regions ];

	# a paused server answers nobody
	return { ok => 0, sqlstate => '08006', message => 'nobody answers' } if $away && $where eq $away && $g->region($where)->{sd_paused};
	my $session = $g->session($where);
	$session->send(statement_of($m, $how));
	if (!$away && by_chance($percent{faults} / 3))
	{
		sleep rand 0.1;
		$count{hits}++ if $session->is_busy;
		break_one(by_chance(50) ? $where : undef);
		bring_back() if $g->region($where)->{sd_paused};
	}
	my $r = $session->result(timeout => 3 * $SchemaDrift::Session::timeout);
	$session->quit;
	return $r;
}

# Until it is in the log, or is refused for good; returns the last result.
sub run_in_group
{
	my ($m, $how) = @_;
	my $r;

	foreach my $try (1 .. 20)
	{
		$r = attempt($m, $how);
		return $r if $r->{ok} && (!$away || outcome_of($m));
		if (!$r->{ok} && $r->{sqlstate} !~ $passing)
		{
			# words of an attempt that nobody had heard of may have been on their way; or the region that is away has it: all are asked when
			# all have heard of it
			return $try > 1 && ($r->{sqlstate} eq 'SD007' || (settled() && outcome_of($m))) ? { ok => 1 } : $r;
		}
		$count{retried}++;
		return { ok => 1 } if outcome_of($m);
		# a table that is being worked on waits for all regions
		settled() if $try % 5 == 0 || ($r->{sqlstate} // '') eq '55006';
	}
	return $r;
}

# What is built by each region at its own pace is in the digest when all have it.
sub settled
{
	bring_back();
	$g->wait_until($regions[0], q{SELECT count(*) FILTER (WHERE kind = 'online') - count(*) FILTER (WHERE kind = 'result') FROM schemadrift.migrations}, 0)
	  or return 0;
	return $g->converged(@regions);
}

sub is_equal
{
	my ($what) = @_;
	my $end = digest_alone();

	ok(settled(), "$what: all regions are equal") or return 0;
	my $equal = is('\x' . $g->sql($regions[0], q{SELECT encode(digest, 'hex') FROM schemadrift_store.applied}), $end,
		"$what: ... and equal to the single server");

	diag(sides()) if !$equal;
	# that is what they have written down; this is what is there
	return is(join(' ', unlike_when_scanned()), '', "$what: ... and so is what each has, looked at anew") && $equal;
}

# Fingerprints of all objects that are there now, whatever is written down of them; those of the regions that are not as the single server's.
sub scanned
{
	my ($name) = @_;

	return $g->sql($name, q{SELECT md5(string_agg(kind || ' ' || identity || ' ' || encode(hash, 'hex'), ',' ORDER BY kind, identity)) FROM schemadrift_store.digest_scan()});
}

sub unlike_when_scanned
{
	my $end = scanned('alone');

	return grep { scanned($_) ne $end } @regions;
}

# What pg_dump says, which knows nothing of fingerprints.
sub dump_of
{
	my ($name) = @_;
	my ($dump, $err) = run_command([ 'pg_dump', '-s', '-d', $g->region($name)->connstr('postgres') ]);

	die "pg_dump: $err\n" if $err ne '';
	$dump =~ s/^\\(?:un)?restrict .*\n//mg;    # another word in each dump of newer minor versions
	return $dump;
}

sub unlike_when_dumped
{
	my $end = dump_of('alone');

	return grep { dump_of($_) ne $end } @regions;
}

sub dumps_are_equal
{
	my ($what) = @_;
	my @unlike = unlike_when_dumped();

	diag("$_: " . difference(dump_of('alone'), dump_of($_))) foreach @unlike;
	return is("@unlike", '', "$what: each region is dumped as the single server");
}

# Would these comparisons notice?  One region after the other gets something of its own, outside of the log, and each comparison has to
# name just those that have.
sub plant
{
	my @tables = split /\n/, $g->sql('alone', q{SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
		WHERE relkind = 'r' AND relpersistence = 'p' AND nspname !~ '^(pg_|information_schema|schemadrift)' AND reloptions IS NULL AND reloftype = 0
			AND obj_description(c.oid, 'pg_class') IS NULL AND NOT EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent))
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND deptype = 'e') ORDER BY 1});
	my @changes = ([ 'a comment', q{COMMENT ON TABLE %s IS 'planted'} ], [ 'a storage parameter', 'ALTER TABLE %s SET (fillfactor = 71)' ],
		[ 'a column', 'ALTER TABLE %s ADD COLUMN planted int' ]);
	my (@planted, @said);

	cmp_ok(scalar @tables, '>', 0, 'there is a table to plant a difference in') or return;
	foreach my $i (0 .. $#regions)
	{
		my ($what, $change) = @{ $changes[$i] };
		my $sql = sprintf $change, $tables[ rand @tables ];

		$g->sql($regions[$i], "SET schemadrift.bypass_reason = 'planted'; SET schemadrift.ddl_mode = off; $sql");
		push @planted, $regions[$i];
		is(join(' ', unlike_when_scanned()), "@planted", "$sql in $regions[$i] only: the fingerprints differ");
		is(join(' ', unlike_when_dumped()), "@planted", '... and the dumps');
		push @said, "$what in $regions[$i]";
	}
	$planted = join ', ', @said;
	return;
}

# Lines of two texts that are in one of them only.
sub difference
{
	my @texts = @_;
	my %n;

	foreach my $i (0, 1) { $n{$_} += $i ? 1 : -1 foreach split /\n/, $texts[$i] }
	return join "\n", map { my $line = $_; ($n{$line} < 0 ? '-' : '+') . $line } grep { $n{$_} } sort keys %n;
}

# What the single server has, and what the group has, where they differ.
sub sides
{
	my %side = (group => { map { $_ => 1 } split /\x01/, $g->sql($regions[0], "SELECT string_agg(d, E'\\x01') FROM ($scan) x (d)") });
	my $objects = objects_alone();

	$side{alone} = { map { ("$_\n$objects->{$_}" => 1) } keys %$objects };
	return join "\n", map { my ($here, $there) = @$_; map { "only in $here: $_" } grep { !$side{$there}{$_} } sort keys %{ $side{$here} } }
	  [ 'group', 'alone' ], [ 'alone', 'group' ];
}

# The same, of the single server without this migration.
sub without
{
	my ($m) = @_;

	$alone->query("BEGIN; $m->{down}\n;");
	my $difference = sides();
	$alone->query('ROLLBACK;');
	return $difference;
}

# Taken back and done again.
sub take_back
{
	my ($m, $how, $before) = @_;
	my $there = sub { grep { !$away || $_ ne $away } @regions };
	my $r;

	foreach (1 .. 20)
	{
		my $session = $g->session(($there->())[0]);

		# once more where it is taken back already is a NOTICE
		$r = $session->query(sprintf q{SELECT schemadrift.revert('%s');}, quoted($m->{name}));
		$session->quit;
		last if $r->{ok} || $r->{sqlstate} !~ $passing;
		$count{retried}++;
	}
	ok($r->{ok}, "$m->{name} is taken back") or diag($r->{err});
	ok(settled(), '... everywhere');
	is('\x' . $g->sql($regions[0], q{SELECT encode(digest, 'hex') FROM schemadrift_store.applied}), $before, '... and the schema is what it was')
	  or diag(without($m));
	$r = run_in_group($m, $how);
	ok($r->{ok}, '... and can be done again') or diag($r->{err});
	$count{reverted}++;
	return;
}

my $begun = time();
foreach my $i ($first - 1 .. $last - 1)
{
	my $m = $history[$i];
	my $how = $m->{alone} ? 'online' : $via eq 'mixed' ? (by_chance(50) ? 'apply' : 'plain') : $via;
	my $before = digest_alone();

	analyze_alone($m);
	$how = 'apply' if $how eq 'plain' && changes_rows($m);
	# apply() wants a text, a tool runs none
	$how = 'plain' if is_blank($m->{up});
	$m = { %$m, map { $_ => bare($m->{$_}) } qw(up down) } if $how eq 'plain';
	break_one() if !$away && by_chance($percent{faults});
	my $r = run_in_group($m, $how);
	if (!$r->{ok} && $r->{sqlstate} eq 'SD004' && ($r->{hint} // '') =~ /apply_online/)
	{
		$how = 'online';
		$r = run_in_group($m, $how);
	}
	if (!$r->{ok} && $r->{sqlstate} eq 'SD004' && $m->{alone})
	{
		$m->{pieces} = pieces_of($m);
		$how = 'pieces';
		$r = run_pieces($m);
	}
	for (1 .. 3)
	{
		# apply() reads a way back before it goes there
		if (!$r->{ok} && $r->{sqlstate} =~ /^(?:42601|SD004)$/ && ($r->{context} // '') =~ /"down"/ && ($r->{hint} // '') !~ /transaction control/)
		{
			push @differing, "$m->{name}: its down is refused: $r->{message}";
			$m = { %$m, down => undef };
			$r = run_in_group($m, $how);
		}
		my $other = !$r->{ok} && $r->{sqlstate} eq 'SD004' ? adapted($m, $r) : undef;

		last if !$other;
		push @not_foreseen, "$m->{name}: $r->{message}" if !is_foreseen($m, $r);
		push @refused, "$m->{name}: $r->{message}; replayed in the form of the hint: $r->{hint}";
		$count{adapted}++;
		$m = $other;
		$how = 'apply';
		analyze_alone($m);
		$r = run_in_group($m, $how);
	}
	$count{migrations}++;
	$count{steps} += $m->{steps};
	$count{unknown} += @{ $m->{saying}{unknown} };
	if ($r->{ok})
	{
		my $a = run_alone($m);

		$count{$how}++;
		if (!$a->{ok})
		{
			fail("$m->{name}: the group ran what a single server does not");
			diag($a->{err});
			last;
		}
		push @mistaken, map { "$m->{name}: $_" } @{ $m->{saying}{fails} };
		push @let_through, map { "$m->{name} ($how): $_" } @{ $m->{saying}{SD004} };
		take_back($m, $how, $before) if $how eq 'apply' && $m->{restores} && by_chance($percent{reverts});
	}
	elsif ($r->{sqlstate} eq 'SD004')
	{
		$count{refused}++;
		push @not_foreseen, "$m->{name}: $r->{message}" if !is_foreseen($m, $r);
		push @refused, "$m->{name}: $r->{message}" . ($r->{detail} ? " ($r->{detail})" : '');
	}
	else
	{
		my $a = $alone->query("BEGIN; $m->{up}\n;");
		my $same = !$a->{ok} && $a->{sqlstate} eq $r->{sqlstate};

		$alone->query('ROLLBACK;');
		$count{alike}++ if $same;
		diag("$m->{name}: left out, a single server refuses it, too: $r->{message}") if $same;
		ok($same, "$m->{name} ($how)") or diag($r->{err}), last;
	}
	bring_back() if $away && --$healed_in <= 0;
	is_equal("after $m->{name} (" . ($i + 1) . ')') or last if ($i + 1) % 25 == 0;
}
my @equal = (is_equal('at the end'), dumps_are_equal('at the end'));
is(join("\n", @mistaken), '', "no statement of $count{steps} that ran was said to fail");
is(join("\n", @let_through), '', '... or to be refused');
is(join("\n", @not_foreseen), '', 'what was refused was foretold');
is(join("\n", @misjudged), '', 'where a way back was foretold, a down that takes back what was done leads there');
foreach my $name (@regions)
{
	is($g->sql($name, q{SELECT count(*) FROM (SELECT name FROM schemadrift.migrations WHERE kind = 'migration' AND name IS NOT NULL
		AND state = 'applied' GROUP BY name HAVING count(*) > 1) x}), 0, "$name: each exactly once");
}

# last of all: nothing is equal after it
plant() if !grep { !$_ } @equal;

# for the screen: make shows these lines
sub summary { my ($line) = @_; return diag("replay: $line"); }

summary(sprintf 'seed %s: %d migrations in %.0f s: %d by apply(), %d as plain DDL, %d by apply_online(), %d statement by statement, %d in another form, as the hint says, %d refused, %d that a single server refuses, too',
	$seed, $count{migrations}, time() - $begun, @count{qw(apply plain online pieces adapted refused alike)});
summary(sprintf '%d faults (%d of them during a migration), %d attempts that had to be repeated, %d taken back and done again', @count{qw(faults hits retried reverted)});
summary(sprintf '%d downs: %d restore the schema exactly, %d leave another one, %d fail', @count{qw(downs restoring differing failing)});
foreach my $what ('restores', 'does not')
{
	summary("downs of which each $what: analysis foretold " . join ', ', map { ($foretold{$what}{$_} // 0) . " times \"$_\"" } qw(yes rehearse no));
}
summary(sprintf 'analysis: %d statements, %d of which it could not judge; %d said to fail that ran, %d said to be refused that were not, %d refused and not foretold, %d ways back that are none',
	@count{qw(steps unknown)}, scalar @mistaken, scalar @let_through, scalar @not_foreseen, scalar @misjudged);
summary("differences planted afterwards, and found by both comparisons: $planted") if defined $planted && Test::More->builder->is_passing;
summary("said to fail, and ran: $_") foreach @mistaken;
summary("said to be refused, and ran: $_") foreach @let_through;
summary("refused, and not foretold: $_") foreach @not_foreseen;
summary("said to have a way back: $_") foreach @misjudged;
summary("refused: $_") foreach @refused;
summary("down: $_") foreach @differing;
done_testing();
