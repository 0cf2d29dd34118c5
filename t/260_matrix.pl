# The compatibility matrix is true: each row's example is run on a real server, and what it locks, rewrites and scans, and what it does
# to prepared statements, is what the row says, of these relations and of no others.  A row that is wrong fails; so does one that nobody runs and says not why.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use SchemaDrift::Matrix;
use Test::More;

my $g = SchemaDrift::Group->new(regions => ['plain'], databases => 1);
my $server = $g->region('plain');
my $matrix = SchemaDrift::Matrix->new($server);
my @modes = ('', 'ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE',
	'ACCESS EXCLUSIVE');
my %level = map { my $name = join '', map { ucfirst lc } split ' ', $modes[$_]; ("${name}Lock" => $_, $modes[$_] => $_) } 1 .. 8;

# ---- what is seen ----

# Relations by OID: name, kind, table of an index, files, sequential scans.  Statistics of a transaction go on from those of
# earlier ones that were not reported yet, so only differences count.
sub relations
{
	my ($session, $scans) = @_;
	my $r = $session->query(qq{SELECT c.oid, CASE n.nspname WHEN 'h' THEN '' ELSE n.nspname || '.' END || c.relname, c.relkind,
			coalesce(i.indrelid, 0), coalesce(pg_relation_filenode(c.oid), 0), $scans(c.oid)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
		WHERE n.nspname ~ '^h[x2]?\$' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I');});
	my %found;

	die $r->{err} if !$r->{ok};
	foreach my $line (split /\n/, $r->{out})
	{
		my ($oid, @fields) = split /\|/, $line;
		@{ $found{$oid} }{qw(name kind table file scans)} = @fields;
	}
	return \%found;
}

# The strongest lock on each relation that a backend has, or waits for.
sub locks
{
	my ($session, $pid) = @_;
	my %strongest;

	foreach my $line (split /\n/, $session->query("SELECT relation, mode FROM pg_locks WHERE pid = $pid AND locktype = 'relation' AND
		database = (SELECT oid FROM pg_database WHERE datname = (SELECT datname FROM pg_stat_activity WHERE pid = $pid));")->{out})
	{
		my ($oid, $mode) = split /\|/, $line;
		$strongest{$oid} = $level{$mode} if $level{$mode} > ($strongest{$oid} // 0);
	}
	return \%strongest;
}

# What an example did to the relations that were there before: { locks, scanned, rewritten: each by name }, kinds, indexes' tables.
sub seen
{
	my ($before, $after, $locks) = @_;
	my %seen = (locks => {}, scanned => {}, rewritten => {}, kind => {}, indexes => {});
	my %index = map { $_->{name} => $_ } grep { $_->{kind} eq 'i' } values %$after;

	foreach my $oid (keys %$before)
	{
		my $was = $before->{$oid};
		my $name = $was->{name};
		# an index that is built again may be another one of the same name
		my $is = $after->{$oid} // ($was->{kind} eq 'i' ? $index{$name} : undef);

		$seen{kind}{$name} = $was->{kind};
		push @{ $seen{indexes}{ $before->{ $was->{table} }{name} } }, $name if $was->{kind} eq 'i';
		$seen{locks}{$name} = $locks->{$oid} if $locks->{$oid};
		next if !$is;
		$seen{scanned}{$name} = 1 if $was->{kind} =~ /[rm]/ && $is->{scans} > $was->{scans};
		$seen{rewritten}{$name} = 1 if $is->{file} != $was->{file};
	}
	return \%seen;
}

# ---- what the row says ----

# All that is otherwise than a row says.
sub complaints
{
	my ($e, $seen) = @_;
	my (%lock, %phases, %scanned, %rewritten, %anyhow, @wrong);
	my $of = sub { return map { @{ $e->{roles}{$_} // (push @wrong, "no relation is $_")[ 1 .. 0 ] // [] } } split /, | and /, $_[0] };

	if ($e->{lock} ne 'none')
	{
		foreach (split /, /, $e->{lock})
		{
			my ($role, $modes) = /^(\w+): (.*)$/;
			foreach my $name ($of->($role))
			{
				$phases{$name} = $modes;
				$lock{$name} = $level{ (split / then /, $modes)[-1] };
			}
		}
	}
	if ($e->{rewrite} =~ /^indexes of (.*)$/)
	{
		$rewritten{$_} = 'indexes' foreach $of->($1);
	}
	elsif ($e->{rewrite} ne 'no')
	{
		my ($roles, $indexes) = $e->{rewrite} =~ /^(.*?)( and indexes|, emptied)?$/;
		foreach my $name ($of->($roles))
		{
			$rewritten{$name} = 'files';
			$rewritten{$_} = 'files' foreach $indexes ? @{ $seen->{indexes}{$name} // [] } : ();
			$anyhow{$name} = 1;
		}
	}
	$scanned{$_} = 1 foreach map { $of->($_) } grep { !/^(?:no|with the rewrite)$/ } split /, /, $e->{scan};

	my %mapped = map { $_ => 1 } map { @$_ } values %{ $e->{roles} };
	foreach my $name (sort keys %{ $seen->{kind} })
	{
		my ($want, $have) = ($lock{$name} // 0, $seen->{locks}{$name} // 0);
		my $index = $seen->{kind}{$name} =~ /i/i;

		# what is read in passing, and indexes of what is locked, are not the row's business
		push @wrong, "$name: lock is " . ($modes[$have] || 'none') . ', not ' . ($modes[$want] || 'none')
		  if $have != $want && ($want || $mapped{$name} || ($have > 1 && !$index));
		push @wrong, "$name: lock is $seen->{phases}{$name}, not $phases{$name}"
		  if $phases{$name} && ($seen->{phases}{$name} // $phases{$name}) ne $phases{$name};
		push @wrong, "$name: scanned" if $seen->{scanned}{$name} && !$scanned{$name} && !$anyhow{$name};
		push @wrong, "$name: not scanned" if !$seen->{scanned}{$name} && $scanned{$name};
		if (($rewritten{$name} // '') eq 'indexes')
		{
			push @wrong, "$name: rewritten, not only its indexes" if $seen->{rewritten}{$name};
			push @wrong, "$name: no index is built again" if !grep { $seen->{rewritten}{$_} } @{ $seen->{indexes}{$name} // [] };
			$rewritten{$_} //= 'perhaps' foreach @{ $seen->{indexes}{$name} // [] };
		}
	}
	foreach my $name (sort keys %{ $seen->{kind} })
	{
		my $want = $rewritten{$name} // 'no';
		next if $want eq 'indexes' || $want eq 'perhaps';
		push @wrong, "$name: rewritten" if $seen->{rewritten}{$name} && $want eq 'no';
		push @wrong, "$name: not rewritten" if !$seen->{rewritten}{$name} && $want eq 'files';
	}
	push @wrong, "prepared: $seen->{prepared}"
	  if $seen->{prepared} && $seen->{prepared} ne ($e->{prepared} eq 'other results' ? 'none' : $e->{prepared});
	return @wrong;
}

# The row made wrong, in each way that it can be.
sub wrong_ones
{
	my ($e, $seen) = @_;
	my @wrong;

	if ($e->{lock} eq 'none')
	{
		push @wrong, { %$e, lock => 'table: SHARE', roles => { table => ['t'] } };
	}
	else
	{
		my ($rest, $last, $mode) = $e->{lock} =~ /^(?:(.*), )?(\w+): ([A-Z ]+)(?: then [A-Z ]+)?$/i;
		my $other = $mode eq 'ACCESS EXCLUSIVE' ? 'EXCLUSIVE' : 'ACCESS EXCLUSIVE';

		push @wrong, { %$e, lock => $rest // 'none' }, { %$e, lock => join ', ', $rest // (), "$last: $other" };
	}
	push @wrong, { %$e, roles => { %{ $e->{roles} }, table => ['t'] }, rewrite => $e->{rewrite} eq 'no' ? 'table' : 'no' };
	push @wrong, { %$e, roles => { %{ $e->{roles} }, table => ['t'] }, scan => $e->{scan} eq 'no' ? 'table' : 'no' } if $e->{scan} ne 'with the rewrite';
	push @wrong, { %$e, prepared => $e->{prepared} eq 'star fails' ? 'none' : 'star fails' } if $seen->{prepared};
	return @wrong;
}

# ---- running ----

my %session;

sub session
{
	my ($dbname) = @_;

	return $session{$dbname} //= $server->session(dbname => $dbname);
}

sub done_with
{
	my ($dbname) = @_;

	$session{$dbname}->quit;
	delete $session{$dbname};
	$matrix->drop($dbname);
	return;
}

# DETACH PARTITION CONCURRENTLY, cancelled while it waits for who uses the partition.
sub detach_halfway
{
	my ($dbname) = @_;
	my $holder = $server->session(dbname => $dbname);
	my $s = session($dbname);

	$holder->query('BEGIN; LOCK TABLE pt1 IN ACCESS SHARE MODE;');
	$s->send('ALTER TABLE pt DETACH PARTITION pt1 CONCURRENTLY;');
	$server->wait_until('SELECT ' . $holder->pid . ' = ANY (pg_blocking_pids(' . $s->pid . '))', 't', undef, dbname => 'postgres') or die 'it does not wait';
	$s->cancel;
	is($s->result->{sqlstate}, '57014', 'a partition is detached halfway');
	$holder->quit;
	return;
}

# What becomes of statements that were prepared before, as column prepared has it.
sub prepare
{
	my ($s, $e) = @_;
	my ($name) = map { @{ $e->{roles}{$_} // [] } } qw(table view matview parent);

	$s->query('DEALLOCATE ALL;');
	return 0 if !$name;
	my $columns = $s->query("SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '$name'::regclass
		AND attnum > 0 AND NOT attisdropped;")->{out};
	return $s->query("PREPARE star AS SELECT * FROM $name LIMIT 0; PREPARE list AS SELECT $columns FROM $name LIMIT 0; EXECUTE star; EXECUTE list;")->{ok};
}

sub prepared
{
	my ($s) = @_;
	my %state;

	foreach my $statement (qw(star list))
	{
		$s->query('SAVEPOINT s;');
		$state{$statement} = $s->query("EXECUTE $statement;")->{sqlstate};
		$s->query('ROLLBACK TO s;');
	}
	return $state{star} ne '0A000' ? 'none' : $state{list} ne '0A000' ? 'star fails' : 'all fail';
}

# In a transaction that is rolled back.
sub inside
{
	my ($e, $dbname) = @_;
	my $s = session($dbname);

	detach_halfway($dbname) if $e->{holder} eq 'detached halfway';
	my $prepared = prepare($s, $e);
	$s->query('BEGIN;');
	my $before = relations($s, 'pg_stat_get_xact_numscans');
	my $r = $s->query("$e->{example};");
	my $seen = $r->{ok} ? seen($before, relations($s, 'pg_stat_get_xact_numscans'), locks($s, $s->pid)) : undef;
	$seen->{prepared} = prepared($s) if $seen && $prepared;
	$s->query('ROLLBACK;');
	return ($r, $seen);
}

# What cannot run in a transaction: while another session keeps it waiting, as it would be by an open writer.
sub outside
{
	my ($e, $dbname) = @_;
	my $s = session($dbname);
	my $watcher = session('postgres');
	my (%strongest, %phases);

	my $before = relations($s, 'pg_stat_get_numscans');
	my @holders = map { my $h = $server->session(dbname => $dbname); $h->query("BEGIN; $_;"); $h } split / \| /, $e->{holder};
	$s->send("$e->{example};");
	foreach my $holder (@holders)
	{
		$server->wait_until('SELECT ' . $holder->pid . ' = ANY (pg_blocking_pids(' . $s->pid . '))', 't', undef, dbname => 'postgres')
		  or die "$e->{example} does not wait for: $e->{holder}";
		my $locks = locks($watcher, $s->pid);
		foreach my $oid (keys %$locks)
		{
			$strongest{$oid} = $locks->{$oid} if $locks->{$oid} > ($strongest{$oid} // 0);
			push @{ $phases{$oid} }, $modes[ $locks->{$oid} ];
		}
		$holder->query('COMMIT;');
		$holder->quit;
	}
	my $r = $s->result;
	$s->query('SELECT pg_stat_force_next_flush();');
	my $after = relations($s, 'pg_stat_get_numscans');
	my $seen = seen($before, $after, \%strongest);
	foreach my $oid (keys %phases)
	{
		my $last = '';
		$seen->{phases}{ $before->{$oid}{name} // '' } = join ' then ', grep { my $new = $_ ne $last; $last = $_; $new } @{ $phases{$oid} };
	}
	return ($r, $seen);
}

my (@untested, %ran, $advice, $planted, @unseen);
my @examples = $matrix->examples('plain');
foreach my $e (@examples)
{
	my $name = "$e->{rule}: $e->{example}";

	if ($e->{lock} eq '-')
	{
		$advice++;
		next;
	}
	if ($e->{untested} ne '')
	{
		push @untested, "$e->{rule} ($e->{untested})";
		next;
	}
	$ran{ $e->{here} eq 'true' ? 'here' : 'elsewhere' }++;
	next if $e->{here} ne 'true';

	my $dbname = $matrix->database($e);
	my ($r, $seen) = $e->{holder} =~ /^[A-Z]/ ? outside($e, $dbname) : inside($e, $dbname);
	done_with($dbname) if $e->{setup} ne '' || $e->{holder} ne '';
	if ($e->{lock} eq 'error')
	{
		is($r->{sqlstate}, $e->{sqlstate} // 'no sqlstate in cases.tsv', "$name: refused") or diag($r->{message} // 'worked');
		next;
	}
	my @wrong = $r->{ok} ? complaints($e, $seen) : ("$r->{sqlstate} $r->{message}");
	is(join('; ', @wrong), '', $name);
	next if @wrong;
	foreach my $w (wrong_ones($e, $seen))
	{
		$planted++;
		push @unseen, "$e->{rule}: $w->{lock} / $w->{rewrite} / $w->{scan}" if !complaints($w, $seen);
	}
}

is(join("\n", @unseen), '', "of $planted rows that were made wrong, each is seen");
note("$ran{here} rows were run on this server, " . ($ran{elsewhere} // 0) . ' are of other majors, ' . "$advice about the text; not run: " . join ', ', @untested);
cmp_ok($ran{here}, '>', 200, "$ran{here} rows were run");
cmp_ok(scalar @untested, '<', 10, scalar @untested . ' have a reason why they cannot');

# docs/analysis.md says which rows are about each rule of other tools
open my $docs, '<', "$FindBin::Bin/../docs/analysis.md" or die "docs/analysis.md: $!";
my ($beside) = join('', <$docs>) =~ /^(## Beside .*)/ms or die 'docs/analysis.md has no such part any more';
my %rule = map { $_->{rule} => 1 } @examples;
is(join(' ', grep { !$rule{$_} } $beside =~ /\b([A-O][0-9]{1,2})\b/g), '', 'docs/analysis.md names rules that there are');
done_testing;
