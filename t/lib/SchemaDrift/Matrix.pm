# SchemaDrift::Matrix: the examples of the compatibility matrix, and a schema to run them on.
#
#   my $m = SchemaDrift::Matrix->new($server);      # makes database fixture from t/analysis/schema.sql
#   foreach my $e ($m->examples('plain')) { ... }   # rows of the view in database plain that hold for this server's major
#
# Each is the row of schemadrift.compatibility_matrix as a hash, and of t/analysis/cases.tsv
#   roles    { table => ['t'], ... }   which relation is what; not given: { table => ['t'] }
#   sqlstate the error that it must end with
#   setup    statements to run before it; committed, as their locks are not the example's
#   holder   what another session does and leaves open while it runs outside of a transaction, "|" between several
# $m->load($dbname) puts the schema, h, into another database.
# $m->database($e) is one to run it in: that of all, or, with a setup, a copy in which that was run; $m->drop($dbname)
# takes a copy away, with the sessions in it.
package SchemaDrift::Matrix;

use strict;
use warnings FATAL => 'all';

use Carp;
use FindBin;

my $folder = "$FindBin::Bin/analysis";

sub new
{
	my ($class, $server) = @_;
	my $self = bless { server => $server, copies => 0 }, $class;

	$server->sql(q{SET allow_in_place_tablespaces = on; CREATE TABLESPACE hts LOCATION ''}, dbname => 'postgres');
	$server->sql('CREATE DATABASE fixture', dbname => 'postgres');
	$self->load('fixture');
	return $self;
}

sub load
{
	my ($self, $dbname) = @_;

	$self->{server}->sql("\\i $folder/schema.sql\nSELECT 1", dbname => $dbname);
	return;
}

sub examples
{
	my ($self, $dbname) = @_;
	my @columns = qw(rule form versions here lock rewrite scan prepared untested example);
	my $rows = $self->{server}->sql('SELECT concat_ws(chr(9), ' . join(', ', map { "coalesce(${_}::text, '')" } @columns) . ')
		FROM schemadrift.compatibility_matrix', dbname => $dbname);
	my (%case, @examples);

	open my $in, '<', "$folder/cases.tsv" or croak "$folder/cases.tsv: $!";
	while (<$in>)
	{
		next if $. == 1;
		chomp;
		my ($id, $roles, $setup, $holder) = split /\t/, $_, -1;
		my %o = map { split /=/ } split ' ', $roles;

		$case{$id} = { setup => $setup, holder => $holder, sqlstate => delete $o{sqlstate}, roles => { map { $_ => [ split /,/, $o{$_} ] } keys %o } };
	}
	foreach my $row (split /\n/, $rows)
	{
		my %example;

		@example{@columns} = split /\t/, $row, -1;
		push @examples, { setup => '', holder => '', roles => {}, %{ $case{ $example{rule} } // {} }, %example };
		$examples[-1]{roles} = { table => ['t'] } if !%{ $examples[-1]{roles} };
	}
	delete @case{ map { $_->{rule} } @examples };
	croak 'cases.tsv: no rules are ' . join ', ', sort keys %case if %case;
	return @examples;
}

sub copy
{
	my ($self) = @_;
	my $name = 'copy_' . ++$self->{copies};

	$self->{server}->sql("CREATE DATABASE $name TEMPLATE fixture; ALTER DATABASE $name SET search_path = h;
		-- the check of a foreign key reads both tables, whatever the plan; as a hash join it is seen in their statistics
		ALTER DATABASE $name SET enable_mergejoin = off; ALTER DATABASE $name SET enable_nestloop = off", dbname => 'postgres');
	return $name;
}

sub database
{
	my ($self, $e) = @_;

	return $self->{common} //= $self->copy if $e->{setup} eq '' && $e->{holder} eq '';
	my $name = $self->copy;
	(my $setup = $e->{setup}) =~ s/:db\b/$name/g;
	$self->{server}->sql($setup, dbname => $name) if $setup ne '';
	return $name;
}

sub drop
{
	my ($self, $name) = @_;

	$self->{server}->sql("DROP DATABASE $name WITH (FORCE)", dbname => 'postgres');
	return;
}

1;
