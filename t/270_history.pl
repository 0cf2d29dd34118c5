# Rows of migration tools' histories: part of the entry, written in every region exactly once.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";
use SchemaDrift::Group;
use Test::More;

my $g = SchemaDrift::Group->new(
	regions   => [qw(r1 r2 r3)],
	databases => 1,
	conf      => <<'CONF');
schemadrift.heartbeat_interval = 200ms
schemadrift.lease_duration = 1s
CONF
$g->make_group(mode => 'coordinate');

sub everywhere
{
	my ($sql, $expected, $what) = @_;
	ok($g->converged, "$what: applied everywhere");
	is_deeply([ map { $g->sql($_, $sql) } $g->names ], [ ($expected) x 3 ], $what);
}
sub head { return $g->sql('r1', 'SELECT max(version) FROM schemadrift_store.log'); }

# ---- the first run of a tool ----

my $r = $g->try('r1', q{BEGIN; CREATE TABLE schema_migrations (version varchar NOT NULL PRIMARY KEY);
	CREATE TABLE users (id int PRIMARY KEY); INSERT INTO schema_migrations VALUES ('20300101'); COMMIT});
ok($r->{ok}, 'first run') or diag $r->{err};
everywhere('SELECT version FROM schema_migrations', '20300101', 'row of a table made in the same transaction');

my $before = head();
$r = $g->try('r2', q{INSERT INTO schema_migrations VALUES ('20300102')});
ok($r->{ok}, 'a row alone') or diag $r->{err};
is(head(), $before + 1, 'is a version');
everywhere(q{SELECT string_agg(version, ' ' ORDER BY version) FROM schema_migrations}, '20300101 20300102', 'row alone');

done_testing;
