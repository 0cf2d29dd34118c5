# SchemaDrift::Analyze: analyze() as a test calls it.
#
#   use SchemaDrift::Analyze;
#
#   my @rows = analyze($session, 'DROP TABLE t');    # a hash each: step verdict rule rules lock rewrites scans why
#   literal("it's");                                 # 'it''s'
package SchemaDrift::Analyze;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';

our @EXPORT = qw(analyze literal);

sub literal
{
	my ($text) = @_;

	$text =~ s/'/''/g;
	return "'$text'";
}

sub analyze
{
	my ($session, $script) = @_;
	my @columns = qw(step verdict rule rules lock rewrites scans why);
	my $r = $session->query("SELECT concat_ws(chr(9), step, verdict, rule, array_to_string(rules, ','), lock, array_to_string(rewrites, ','),
		array_to_string(scans, ','), replace(coalesce(why, ''), chr(10), ' ')) FROM schemadrift.analyze(" . literal($script) . ');');

	die "$script: $r->{err}" if !$r->{ok};
	return map { my %row; @row{@columns} = split /\t/, $_, -1; \%row } split /\n/, $r->{out};
}

1;
