# The list of kinds and properties, t/digest/properties.tsv: for tests of what a change of each of them does.
package SchemaDrift::Kinds;

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;

# Roles belong to the server, so a test makes them itself, wherever a region is.
sub roles
{
	return 'CREATE ROLE kinds_alice; CREATE ROLE kinds_bob; CREATE ROLE kinds_super SUPERUSER; GRANT kinds_alice, kinds_bob TO CURRENT_USER';
}

# What this major can do: hashes of schema, setup, change, kind, identity, property.
sub rows
{
	my ($major) = @_;
	my @rows;
	my $n = 0;

	foreach my $line (split /\n/, slurp_file('t/digest/properties.tsv'))
	{
		next if $line =~ /^#/ || $line eq '';
		my $schema = 'p' . ++$n;
		my ($setup, $change, $kind, $identity, $property, $from) = map { s/\@/$schema/gr } split /\t/, $line;

		die "properties.tsv: too few fields: $line\n" unless defined $property;
		next if defined $from && $from > $major;
		push @rows, { schema => $schema, setup => $setup, change => $change, kind => $kind, identity => $identity, property => $property };
	}
	return @rows;
}

# Makes what the changes need, in one script; settings of one row are none of the next one's business.
sub setup
{
	my (@rows) = @_;
	return join '', map { "CREATE SCHEMA $_->{schema};\n" . ($_->{setup} ne '' ? "$_->{setup};\nRESET ALL;\n" : '') } @rows;
}

1;
