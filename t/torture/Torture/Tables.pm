# Torture::Tables: looks into every region's tables all the time, without ever waiting for one, and says in the history what it saw.
#
#   my $tables = Torture::Tables->new($g, $history);
#   $tables->step;                       # often; returns at once
#   $tables->look_now('us-east');        # waits for one look, if the region answers
#   $tables->finally;                    # all rows of all regions, and the schemas
package Torture::Tables;

use strict;
use warnings FATAL => 'all';

use Digest::SHA 'sha1_hex';
use JSON::PP;
use Time::HiRes 'time';

my $json = JSON::PP->new;
my $interval = 0.7;

# One statement: one snapshot.
my $look = <<'SQL';
SELECT json_build_object(
	'region', (SELECT region FROM schemadrift_store.self), 'incarnation', (SELECT incarnation FROM schemadrift_store.self),
	'state', (SELECT state FROM schemadrift_store.self), 'vote_seq', (SELECT vote_seq FROM schemadrift_store.self),
	'promise', (SELECT json_build_array(round, region, nonce::text) FROM schemadrift_store.acceptor),
	'accepted', (SELECT coalesce(json_agg(json_build_array(version, concat_ws(' ', round, region, nonce), entry_id)), '[]')
		FROM schemadrift_store.accepted WHERE version >= SINCE),
	'log', (SELECT coalesce(json_agg(json_strip_nulls(json_build_object('version', version, 'entry', entry_id, 'kind', kind,
			'name', name, 'origin', origin, 'incarnation', incarnation, 'n', n, 'hlc', hlc, 'target', target, 'barrier', nullif(barrier, 0),
			'hash', encode(hash, 'hex'), 'chain', encode(chain, 'hex'), 'body_hash', encode(sha256(body), 'hex'),
			'members', CASE WHEN kind IN ('baseline', 'config') THEN payload -> 'members' END,
			'outcome', CASE WHEN kind = 'result' THEN payload ->> 'outcome' END,
			'hold_limit', CASE WHEN kind = 'policy' THEN coalesce(extract(epoch FROM (payload -> 'policy' -> 'ddl_hold_limit' ->> 'value')::interval), 60) END)) ORDER BY version), '[]')
		FROM (SELECT *, CASE WHEN kind IN ('baseline', 'config', 'result', 'policy')
			THEN substr(convert_from(body, 'UTF8'), strpos(convert_from(body, 'UTF8'), E'\n'))::json END AS payload
			FROM schemadrift_store.log WHERE version >= SINCE) log),
	'applied', (SELECT version FROM schemadrift_store.applied),
	'skipped', (SELECT coalesce(json_agg(version), '[]') FROM schemadrift_store.execution WHERE state = 'skipped' AND version >= SINCE),
	'bypassed', (SELECT count(*) FROM schemadrift_store.bypass),
	'peers', (SELECT coalesce(json_agg(json_build_array(region, incarnation, applied, vote_seq)), '[]') FROM schemadrift_store.peer))
	WHERE EXISTS (SELECT FROM schemadrift_store.self);
SQL

sub new
{
	my ($class, $g, $history) = @_;
	my $self = bless { g => $g, history => $history, region => { map { $_ => { next => 0, since => 1 } } $g->names } }, $class;

	$look =~ s/\n/ /g;
	return $self;
}

sub step
{
	my ($self) = @_;

	foreach my $name ($self->{g}->names)
	{
		my $r = $self->{region}{$name};

		if ($r->{session} && $r->{session}->is_busy)
		{
			# a look may take its time, but not for ever: the server may be gone
			$self->forget($name) if time() > $r->{asked} + 20;
		}
		elsif ($r->{session} && $r->{asked})
		{
			$self->_take($name);
		}
		elsif (time() >= $r->{next})
		{
			$self->_ask($name);
		}
	}
	return;
}

# The region's server is another one now: whatever was asked, the answer would be of the old one.
sub forget
{
	my ($self, $name) = @_;
	my $r = $self->{region}{$name};

	$r->{session}->kill if $r->{session};
	@$r{qw(session asked)} = ();
	$r->{since} = 1;
	$r->{next} = time() + $interval;
	return;
}

sub _ask
{
	my ($self, $name, $since) = @_;
	my $r = $self->{region}{$name};

	my $sql = $look =~ s{SINCE}{$since // $r->{since}}ger;
	$r->{session} //= $self->{g}->session($name);
	$r->{session}->send($sql);
	$r->{asked} = time();
	$r->{asked_at} = $self->{history}->now;
	return;
}

sub _take
{
	my ($self, $name, %more) = @_;
	my $r = $self->{region}{$name};
	my $got = $r->{session}->result(timeout => $more{final} ? 120 : 20);

	$r->{asked} = undef;
	$r->{next} = time() + $interval;
	if (!$got->{ok})
	{
		die "$name cannot be looked at: $got->{err}" if $got->{sqlstate} =~ /^(?:22|42)/;
		$self->forget($name) if $got->{gone};
		return;
	}
	return if $got->{out} eq '';    # in no group
	my $row = $json->decode($got->{out});

	# what may have changed since: the newest few rows
	$r->{since} = @{ $row->{log} } ? $row->{log}[-1]{version} - 3 : 1;
	$r->{since} = 1 if $r->{since} < 1;
	$self->{history}->event('sample', %$row, server => $name, asked => $r->{asked_at}, %more);
	return 1;
}

sub look_now
{
	my ($self, $name, %more) = @_;
	my $r = $self->{region}{$name};

	$self->forget($name);
	return eval {
		$self->_ask($name, $more{final} ? 1 : undef);
		$self->_take($name, %more);
	};
}

# ---- at the end ----

sub finally
{
	my ($self, $effects) = @_;
	my $g = $self->{g};
	my $wanted = _dump($g, ($g->names)[0], $self->_reference($effects));

	foreach my $name ($g->names)
	{
		my ($version, $chain, $digest) = split /\|/, $g->sql($name,
			q{SELECT version, encode(chain, 'hex'), encode(digest, 'hex') FROM schemadrift_store.applied});
		my $dump = _dump($g, $name, 'postgres');

		$self->look_now($name, final => JSON::PP::true) or die "$name does not answer at the end";
		$self->{history}->event('applied', region => $name, version => $version + 0, chain => $chain, digest => $digest);
		$self->{history}->event('schema', region => $name, sha => sha1_hex($dump), wanted => sha1_hex($wanted),
			difference => _difference($dump, $wanted));
	}
	return;
}

# One database without schemadrift in it runs what the clients wanted, in the order of the log.
sub _reference
{
	my ($self, $effects) = @_;
	my $g = $self->{g};
	my ($first) = $g->names;
	my $server = $g->region($first);
	my @sql = ('SET client_min_messages = error;', $effects->{before});
	my %name;

	foreach my $row (split /\n/, $g->sql($first, q{SELECT version, kind, coalesce(name, ''), coalesce(target, 0),
		CASE WHEN kind = 'result' THEN schemadrift_store.result_outcome(body) END FROM schemadrift_store.log ORDER BY version}))
	{
		my ($version, $kind, $name, $target, $outcome) = split /\|/, $row, -1;

		$name{$version} = $name;
		push @sql, $effects->{up}{$name} // die "version $version: who is \"$name\"?" if $kind eq 'migration';
		push @sql, $effects->{up}{ $name{$target} } if $kind eq 'result' && $outcome eq 'ok';
		push @sql, $effects->{down}{ $name{$target} } if $kind eq 'revert' || $kind eq 'supersede';
	}
	$server->sql('CREATE DATABASE reference', dbname => 'postgres');
	my $session = $server->session(dbname => 'reference');
	foreach my $sql (@sql)
	{
		my $r = $session->query("$sql;");

		die "the reference server cannot run: $sql\n$r->{err}" if !$r->{ok};
	}
	$session->quit;
	return 'reference';
}

sub _dump
{
	my ($g, $name, $dbname) = @_;
	my $connstr = $g->region($name)->connstr($dbname);
	my $dump = qx{pg_dump --schema-only --schema=public --dbname="$connstr"};

	die "$name: pg_dump failed" if $?;
	return join '', grep { !/^(?:--|\\(?:un)?restrict|SET |SELECT pg_catalog|$)/ } map { "$_\n" } split /\n/, $dump;
}

sub _difference
{
	my ($got, $wanted) = @_;
	my %got = map { $_ => 1 } split /\n/, $got;
	my %wanted = map { $_ => 1 } split /\n/, $wanted;

	return substr join('; ', (map { "too much: $_" } grep { !$wanted{$_} } sort keys %got),
		(map { "missing: $_" } grep { !$got{$_} } sort keys %wanted), $got ne $wanted ? 'another order' : ()), 0, 500;
}

1;
