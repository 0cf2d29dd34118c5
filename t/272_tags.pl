# Every command tag that PostgreSQL has is in t/gate/tags.tsv, with examples of its statements, and each of these does in a group
# what the table says.  A tag of a newer server that nobody has looked at fails here.  docs/statements.md lists the same tags as local.
#
# Columns of the table: tag; from which major; class; statements, separated by ";;",
# of which the last is the example and the others come before it; why.  Rows lean on those above them.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use SchemaDrift::Scenario 'await';
use Test::More;

my $config = $ENV{PG_CONFIG} || 'pg_config';
my %known  = map { $_ => 1 } ('coordinated', 'local', 'temporary', 'refused', 'alone', 'not DDL', 'never a statement');
my (@rows, %rows);

open my $in, '<', "$FindBin::Bin/gate/tags.tsv" or die "t/gate/tags.tsv: $!";
while (<$in>)
{
	next if $. == 1 || /^#/;
	chomp;
	my %row;
	@row{qw(tag from class statements why)} = split /\t/, $_, -1;
	die "t/gate/tags.tsv: line $." if !defined $row{why} || !$known{ $row{class} };
	$row{line} = $.;
	push @rows, \%row;
	push @{ $rows{ $row{tag} } }, \%row;
}
close $in;

# ---- the server's list, the table, and the manual ----

chomp(my $include = qx($config --includedir-server));
my %tags;
open $in, '<', "$include/tcop/cmdtaglist.h" or die "$include/tcop/cmdtaglist.h: $!";
while (<$in>)
{
	$tags{$1} = 1 if /^PG_CMDTAG\(\w+, "(.*?)"/;
}
close $in;
cmp_ok(scalar keys %tags, '>=', 190, 'the server has a list of tags');

my $g = SchemaDrift::Group->new(regions => [qw(r1 r2 r3)], databases => 1, conf => 'max_prepared_transactions = 5');
my $major = int($g->sql('r1', 'SHOW server_version_num') / 10000);
is(join(', ', grep { !$rows{$_} } sort keys %tags), '', 'each tag of the server is in the table');
is(join(', ', grep { !$tags{$_} && $rows{$_}[0]{from} <= $major } sort keys %rows), '', 'and no other');
is(join(', ', map { "$_->{tag} ($_->{line})" } grep { $_->{class} eq 'local' && $_->{why} eq '' } @rows), '', 'for what is local there is a reason');

sub local_tags
{
	my ($always) = @_;
	my @tags = grep {
		my $all = @{ $rows{$_} };
		my $local = grep { $_->{class} eq 'local' } @{ $rows{$_} };
		$always ? $local == $all : $local > 0 && $local < $all
	} sort keys %rows;

	return join ', ', @tags;
}

sub documented
{
	my ($text, $begin) = @_;
	my ($line) = $text =~ /^\Q$begin\E (.*)\.$/m;

	return join ', ', sort(($line // '') =~ /`([^`]+)`/g);
}

open $in, '<', "$FindBin::Bin/../docs/statements.md" or die "docs/statements.md: $!";
my $manual = do { local $/ = undef; <$in> };
close $in;
is(documented($manual, 'Command tags that are always local:'), local_tags(1), 'docs/statements.md: the tags that are always local');
is(documented($manual, 'Local in some forms:'), local_tags(0), '... and those that are in some forms');

# ---- each example ----

$g->make_group(mode => 'coordinate');
my %session = map { $_ => $g->session($_) } $g->names;
my $own = $g->session('r1');
$own->query('\set QUIET off');
my $position = q{SELECT version || ' ' || encode(chain, 'hex') || ' ' || encode(digest, 'hex') FROM schemadrift_store.applied;};

sub asked { my ($name, $sql) = @_; return $session{$name}->query($sql)->{out}; }
sub head  { return asked('r1', 'SELECT max(version) FROM schemadrift_store.log;'); }

# All regions at the newest version, equal; asked in sessions that stay, as there are many examples.
sub equal
{
	my $head = head();
	my @at;

	return 1 if await(sub { @at = map { asked($_, $position) } $g->names; !grep { $_ !~ /^$head / || $_ ne $at[0] } @at });
	diag(join ' | ', @at);
	diag(asked($_, 'SELECT * FROM schemadrift.status;')) foreach $g->names;
	return 0;
}

sub new_kinds
{
	my ($since) = @_;

	return asked('r1', "SELECT string_agg(kind, ' ' ORDER BY version) FROM schemadrift_store.log WHERE version > $since;");
}

# psql says the tag of what returns no rows; what is refused names it itself.
sub tag_is_meant
{
	my ($row, $r) = @_;

	return $r->{message} =~ /^\Q$row->{tag}\E cannot be coordinated/ || $row->{tag} =~ /^PREPARE TRANSACTION/ if $row->{class} eq 'refused';
	return 1 if $row->{tag} =~ /^(?:SELECT|SHOW|EXPLAIN|EXECUTE|FETCH|CREATE TABLE AS|CREATE MATERIALIZED VIEW)/;
	return $r->{out} =~ /^\Q$row->{tag}\E\b/m;
}

foreach my $row (@rows)
{
	my $what = "$row->{line}: $row->{tag}, $row->{class}";

	if ($row->{class} eq 'never a statement')
	{
		is($row->{statements}, '', "$what: $row->{why}");
		next;
	}
	next if $row->{from} > $major;
	my @before = split / ;; /, $row->{statements};
	my $statement = pop @before;
	my $r;

	foreach my $sql (@before)
	{
		$r = $own->query("$sql;");
		is($r->{sqlstate}, '00000', "$row->{line}: $sql") or diag($r->{err});
	}
	equal() or die "$what: not equal before it";
	my $head = head();
	$r = $own->query("$statement;");
	my $ended = $row->{class} eq 'refused' ? 'SD004' : '00000';

	is($r->{sqlstate}, $ended, "$what: $statement") or diag($r->{err});
	$own->query('ROLLBACK;') if @before && $before[0] eq 'BEGIN' || $statement =~ /^(?:BEGIN|START)/;
	ok(tag_is_meant($row, $r), '... is of that tag') or diag("$r->{out}\n$r->{err}");
	isnt($r->{hint} // '', '', '... and a hint says what to do') if $row->{class} eq 'refused';
	is(new_kinds($head), { coordinated => 'migration', alone => 'online result' }->{ $row->{class} } // '', '... in the log');
	ok(equal(), '... and all regions are equal') or BAIL_OUT($what);
	$own->query('SET search_path = tag, public;') if $statement eq 'DISCARD ALL';
}

# what was local or no DDL has changed nobody's schema behind the digests' back
foreach my $name ($g->names)
{
	is(asked($name, 'SELECT count(*) FROM schemadrift.verify();'), 0, "$name looks at all of its schema, and finds no drift");
}
$_->quit foreach $own, values %session;
done_testing();
