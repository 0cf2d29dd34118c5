# SchemaDrift::Group: N regions, made, broken and watched.
#
#   use SchemaDrift::Group;
#   use Test::More;
#
#   my $g = SchemaDrift::Group->new(regions => 3);              # started, with the extension, not yet a group
#   $g->make_group;                                             # init, join, wait until all are voters and equal
#   $g->sql('us-east', 'SELECT 1');                             # dies on error
#   my $r = $g->try('eu-west', 'ALTER TABLE t ADD c int');      # { ok, out, sqlstate, message, detail, hint, ... }
#   my $s = $g->session('ap-south');                            # SchemaDrift::Session: send now, look later
#   $g->cut('us-east', 'eu-west'); $g->isolate('eu-west'); $g->heal_all;     # SchemaDrift::Net
#   $g->region('us-east')->kill9; ->start; ->pause; ->resume; ->stop; ->restart;   # SchemaDrift::Region
#   $g->wait_until('us-east', $sql, 'expected');
#   ok($g->reached, 'all regions hear each other again');       # before something is demanded that needs a quorum
#   ok($g->converged, 'all regions have the same version, chain and digest');
#
# Options of new: regions (a number, or names), conf (lines for postgresql.conf), streaming ('physical',
# 'logical'), proxied (latency, rate, stall by $g->net->quality), start => 0 and extension => 0 to leave that out,
# disks => 1: each has disks of its own, which can be full or lose power (SchemaDrift::Disk), clock => 1: each has a wall clock that
# $g->region($name)->set_clock moves,
# databases => 1: the regions are databases of one server (cheap; nothing to cut, one to kill);
# version => { region => '0.1' }: SQL objects of that version there; bindir => { region => dir }: a server of another installation.
package SchemaDrift::Group;

use strict;
use warnings FATAL => 'all';

use Carp;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use SchemaDrift::Net;
use SchemaDrift::Region;
use SchemaDrift::Session;

my @names = qw(us-east ap-south eu-west sa-north af-south us-west eu-north ap-east me-central);

sub new
{
	my ($class, %o) = @_;
	my $regions = $o{regions} // 3;
	my @wanted = ref $regions ? @$regions : map { $names[$_] // "region-$_" } 0 .. $regions - 1;
	my $self = bless { names => \@wanted, databases => $o{databases} // 0, version => $o{version} // {} }, $class;

	$self->{net} = SchemaDrift::Net->new(proxied => $o{proxied});
	if ($self->{databases})
	{
		my $server = SchemaDrift::Region->make($self->{net}, 'server', conf => $o{conf}, streaming => $o{streaming});
		$self->{servers} = [$server];
		$self->{region}{$_} = $server foreach @wanted;
	}
	else
	{
		foreach my $name (@wanted)
		{
			$self->{region}{$name} = SchemaDrift::Region->make($self->{net}, $name, conf => $o{conf},
				streaming => $o{streaming}, bindir => $o{bindir}{$name}, disks => $o{disks},
				clock => $o{clock});
			push @{ $self->{servers} }, $self->{region}{$name};
		}
	}
	return $self if exists $o{start} && !$o{start};

	$_->start foreach @{ $self->{servers} };
	foreach my $server (@{ $self->{servers} })
	{
		$server->sql('CREATE ROLE region_peer LOGIN', dbname => 'postgres');
	}
	foreach my $name ($self->{databases} ? @wanted : ())
	{
		$self->{servers}[0]->sql(qq{CREATE DATABASE "$name"}, dbname => 'postgres');
	}
	$self->create_extension if !exists $o{extension} || $o{extension};
	return $self;
}

sub create_extension
{
	my ($self) = @_;

	$self->sql($_, 'CREATE EXTENSION schemadrift' . (defined $self->{version}{$_} ? " VERSION '$self->{version}{$_}'" : '') . ";
		DO \$\$ BEGIN
			IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'schemadrift_peer') THEN
				GRANT schemadrift_peer TO region_peer;
			END IF;
		END \$\$") foreach @{ $self->{names} };
	return;
}

sub names  { my ($self) = @_; return @{ $self->{names} }; }
sub net    { my ($self) = @_; return $self->{net}; }
sub region { my ($self, $name) = @_; return $self->{region}{$name} // croak "no region $name"; }

# How the other regions reach this one.
sub conninfo
{
	my ($self, $name) = @_;

	return $self->region($name)->conninfo($self->_dbname($name));
}

sub _dbname
{
	my ($self, $name) = @_;

	return $self->{databases} ? $name : 'postgres';
}

sub session
{
	my ($self, $name, %o) = @_;

	return $self->region($name)->session(dbname => $self->_dbname($name), %o);
}

sub try
{
	my ($self, $name, $sql, %o) = @_;

	return $self->region($name)->try($sql, dbname => $self->_dbname($name), %o);
}

sub sql
{
	my ($self, $name, $sql, %o) = @_;

	return $self->region($name)->sql($sql, dbname => $self->_dbname($name), %o);
}

sub wait_until
{
	my ($self, $name, $sql, $expected, $timeout) = @_;

	return $self->region($name)->wait_until($sql, $expected, $timeout, dbname => $self->_dbname($name));
}

sub cut      { my ($self, @args) = @_; return $self->{net}->cut(@args); }
sub heal     { my ($self, @args) = @_; return $self->{net}->heal(@args); }
sub heal_all { my ($self) = @_; return $self->{net}->heal_all; }
sub isolate  { my ($self, @args) = @_; return $self->{net}->isolate(@args); }
sub rejoin   { my ($self, @args) = @_; return $self->{net}->rejoin(@args); }

# One group of all regions, through the front door.  Returns when all are voters and equal, dies if that does not
# happen.  before: SQL to run in each region first (same => everywhere), such as tables to start from.
sub make_group
{
	my ($self, %o) = @_;
	my ($first, @others) = @{ $o{names} // $self->{names} };

	if (defined $o{before})
	{
		$self->sql($_, $o{before}) foreach $first, @others;
	}
	$self->sql($first, sprintf q{SELECT schemadrift.init('%s', '%s')}, $first, _quoted($self->conninfo($first)));
	foreach my $name (@others)
	{
		$self->join($name, $first);
	}
	if (defined $o{mode})
	{
		$self->sql($first, sprintf q{SELECT schemadrift.set_policy('{"mode": "%s"}')}, $o{mode});
	}
	$self->converged($first, @others) or croak 'the new group does not become equal';
	return;
}

# One region joins the group of another; returns when it is a voter in the eyes of both.
sub join
{
	my ($self, $name, $via, %o) = @_;

	$self->sql($name, sprintf q{SELECT schemadrift.join('%s', '%s', '%s', options => '%s')},
		_quoted($self->conninfo($via)), $name, _quoted($self->conninfo($name)), _quoted($o{options} // '{}'));
	return if exists $o{wait} && !$o{wait};
	foreach my $where ($via, $name)
	{
		$self->wait_until($where, "SELECT role FROM schemadrift.regions WHERE region = '$name'", 'voter')
		  or croak "$name does not become a voter";
	}
	return;
}

sub _quoted
{
	my ($text) = @_;

	$text =~ s/'/''/g;
	return $text;
}

# Wait until each of these regions (default: all) has heard each other one since now, and could call it; true if that
# happened in time.  After a cut or a restart this takes some seconds: a connection that was tried in vain is tried again later.
sub reached
{
	my ($self, @only) = @_;

	@only = $self->names if !@only;
	foreach my $where (@only)
	{
		my $others = CORE::join ', ', map { "'$_'" } grep { $_ ne $where } @only;
		my $since = $self->sql($where, 'SELECT clock_timestamp()');

		next if !$others || $self->wait_until($where, "SELECT count(*) FROM schemadrift.regions
			WHERE region IN ($others) AND last_heard > '$since' AND state <> 'unreachable' AND circuit = 'closed'", @only - 1);
		diag("$where: " . $self->try($where, 'SELECT region, state, circuit, last_heard, error, now() FROM schemadrift.regions')->{out});
		return 0;
	}
	return 1;
}

# What each region has applied: version, chain, digest; from the tables, not from views about them.
sub positions
{
	my ($self, @only) = @_;

	return map {
		$self->try($_, q{SELECT version || ' ' || encode(chain, 'hex') || ' ' || encode(digest, 'hex')
			FROM schemadrift_store.applied})->{out}
	} @only ? @only : $self->names;
}

# Wait until all regions (or those named) have applied the same version of the same log with the same schema, and
# nothing more is waiting; true if that happened in time.
sub converged
{
	my ($self, @only) = @_;
	my $end = time() + $SchemaDrift::Session::timeout;
	my %seen;

	@only = $self->names if !@only;
	while (time() < $end)
	{
		my @behind = grep {
			$self->try($_, 'SELECT coalesce((SELECT max(version) FROM schemadrift_store.log), -1)
				= (SELECT version FROM schemadrift_store.applied)')->{out} ne 't'
		} @only;

		%seen = ();
		push @{ $seen{$_} }, 1 foreach $self->positions(@only);
		return 1 if !@behind && keys %seen == 1 && !exists $seen{''};
		sleep 0.05;
	}
	diag('not converged: ' . CORE::join(' | ', map { "$_: " . ($self->positions($_))[0] } @only));
	foreach my $name (@only)
	{
		my $r = $self->try($name, 'SELECT * FROM schemadrift.status');
		diag("$name: $r->{out}$r->{err}");
	}
	return 0;
}

1;
