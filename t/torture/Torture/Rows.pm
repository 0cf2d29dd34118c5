# Torture::Rows: what the rows of the log and of the tables beside it must be to each other; Torture::Checker's second half.
#
#   Torture::Rows::see($checker, $sample, $region);       # with each look at a region's tables
#   Torture::Rows::finish($checker);                      # at the end, once for each version
#
# "By the time": a look is asked for at one time and answered at a later one; what one answer says is compared with the truth as
# looks show it that were asked for after that.
package Torture::Rows;

use strict;
use warnings FATAL => 'all';

# ---- with each look ----

sub see
{
	my ($c, $e, $region) = @_;

	$c->_must('7: a region\'s tables are its own', $e->{server} eq $e->{region}, "the server of $e->{server} says that it is $e->{region}")
	  if defined $e->{server};
	_see_barriers($c, $e);
	_see_applied($c, $e, $region) if defined $e->{applied};
	foreach my $row (@{ $e->{peers} // [] })
	{
		my ($name, $incarnation, $applied, $votes) = @$row;

		push @{ $c->{claims}{$name} }, [ $e->{t}, $incarnation, $applied, $votes, $e->{region} ];
	}
	$c->{bypassed}{ $e->{region} } = 1 if $e->{bypassed};
	$c->{skipped}{ $e->{region} }{$_} = 1 foreach @{ $e->{skipped} // [] };
	return;
}

# What others have heard of a region it has reached: applied versions, and votes cast.
sub _see_applied
{
	my ($c, $e, $region) = @_;
	my $asked = $e->{asked} // $e->{t};
	my $claims = $c->{claims}{ $e->{region} } // [];
	my $known = $c->{known}{ $e->{region} } //= {};
	my $lost = $region->{rolled_back}{ $e->{incarnation} };

	while (@$claims && $claims->[0][0] <= $asked)
	{
		my (undef, $incarnation, @claim) = @{ shift @$claims };

		foreach my $i (0, 1)
		{
			$known->{$incarnation}[$i] = [ $claim[$i], $claim[2] ] if $claim[$i] > ($known->{$incarnation}[$i][0] // -1);
		}
	}
	if (!$lost && !$region->{cloned}{ $e->{incarnation} } && (my $most = $known->{ $e->{incarnation} }))
	{
		$c->_must('11: nobody has heard of more than is applied', $most->[0][0] <= $e->{applied},
			"$most->[0][1] has heard that $e->{region} applied $most->[0][0], which has $e->{applied} at $e->{t}");
		$c->_must('11: nobody has heard of more votes than were cast', $most->[1][0] <= $e->{vote_seq},
			"$most->[1][1] remembers vote $most->[1][0] of $e->{region}, which has cast $e->{vote_seq} at $e->{t}");
	}
	$c->_must('7: what is applied is in the log', $e->{applied} <= $e->{log}[-1]{version}, "$e->{region}: $e->{applied} at $e->{t}")
	  if @{ $e->{log} };
	$c->_must('7: applied versions go up', $e->{applied} >= $region->{applied},
		"$e->{region} had applied $region->{applied}, then $e->{applied} at $e->{t}")
	  if defined $region->{applied} && !$lost && defined $region->{incarnation} && $region->{incarnation} == $e->{incarnation};
	$region->{applied} = $e->{applied};

	my $due = $c->{due}{ $e->{region} } // [];

	while (@$due && $due->[0][0] <= $asked)
	{
		my (undef, $incarnation, $barrier, $version) = @{ shift @$due };

		$c->_must('a barrier is passed when all serving regions have applied it', $e->{applied} >= $barrier,
			"version $version has barrier $barrier, and $e->{region} has applied $e->{applied} at $e->{t}")
		  if $incarnation == $e->{incarnation} && !$lost;
	}
	return;
}

# A version that is seen for the first time: by then all that serve have applied its barrier.
sub _see_barriers
{
	my ($c, $e) = @_;

	foreach my $row (@{ $e->{log} })
	{
		next if $row->{version} <= ($c->{newest} // 0);
		$c->{newest} = $row->{version};
		if ($row->{barrier})
		{
			push @{ $c->{due}{ $_->{region} } }, [ $e->{t}, $_->{incarnation}, $row->{barrier}, $row->{version} ]
			  foreach grep { $_->{role} ne 'witness' && !$_->{suspended} } @{ $c->{members} // [] };
		}
		$c->{members} = $row->{members} if $row->{members};
	}
	return;
}

# ---- at the end ----

sub finish
{
	my ($c) = @_;
	my (%next, %ended, %result, %incarnation, $members);

	foreach my $version ($c->_versions)
	{
		my $row = $c->{log}{$version};

		_finish_dot($c, $row, \%next);
		$c->_must('an entry\'s origin is a member of that incarnation',
			scalar(grep { $_->{region} eq $row->{origin} && $_->{incarnation} == $row->{incarnation} } @$members),
			"version $version is of $row->{origin}, incarnation $row->{incarnation}")
		  if $members;
		_finish_target($c, $row, \%result, \%ended) if $row->{kind} =~ /^(?:result|revert|supersede)$/;
		$c->_must('a barrier is an earlier version', $row->{barrier} < $version, "version $version: $row->{barrier}") if $row->{barrier};
		next if !$row->{members};
		_finish_members($c, $row, $members, \%incarnation);
		$members = $row->{members};
	}
	_finish_online($c, \%result, \%ended) if $c->{converged};
	foreach my $name (sort keys %{ $c->{skipped} // {} })
	{
		_finish_skipped($c, $name, $c->{skipped}{$name}, \%ended);
	}
	_finish_holds($c);
	return;
}

# Skipped is what a later version supersedes; and that one, too, where it has nothing to take back.
sub _finish_skipped
{
	my ($c, $name, $skipped, $ended) = @_;

	foreach my $version (sort { $a <=> $b } keys %$skipped)
	{
		my $row = $c->{log}{$version} // next;
		my $undoes_nothing = $row->{kind} =~ /^(?:revert|supersede)$/ && $skipped->{ $row->{target} };

		$c->_must('7: what is skipped was superseded', $ended->{$version} || $undoes_nothing, "$name skipped version $version, $row->{kind}");
	}
	return;
}

# The n-th event of an origin comes after its (n-1)-th.
sub _finish_dot
{
	my ($c, $row, $next) = @_;
	my $origin = "$row->{origin} $row->{incarnation}";
	my $wanted = ($next->{$origin} // 0) + 1;
	my $n = $row->{n};

	$c->_must('11: dots of an origin go up without gaps', $c->{bypassed}{ $row->{origin} } ? $n >= $wanted : $n == $wanted,
		"version $row->{version} is event $n of $origin, $wanted was to come");
	$next->{$origin} = $n;
	return;
}

# A result has its online version, what is taken back was there: once each.
sub _finish_target
{
	my ($c, $row, $result, $ended) = @_;
	my $target = $row->{target} // 0;
	my $of = $c->{log}{$target};
	my $what = "version $row->{version}, $row->{kind} of $target";

	if ($row->{kind} eq 'result')
	{
		$c->_must('an online version has one result, after it', $of && $of->{kind} eq 'online' && $target < $row->{version} && !$result->{$target}, $what);
		$result->{$target} = $row->{outcome} // '';
		return;
	}
	$c->_must('what is taken back is an earlier change, once', $of && $of->{kind} =~ /^(?:migration|online)$/ && $target < $row->{version} && !$ended->{$target},
		$what);
	$ended->{$target} = $row->{version};
	return;
}

# One voter more or less at a time; an incarnation never comes again.
sub _finish_members
{
	my ($c, $row, $before, $newest) = @_;
	my %voters = map { ("$_->{region} $_->{incarnation}" => 1) } grep { $_->{role} ne 'observer' } @{ $row->{members} };
	my %voted = map { ("$_->{region} $_->{incarnation}" => 1) } grep { $_->{role} ne 'observer' } @{ $before // [] };
	my %changed = map { ((split / /)[0] => 1) } (grep { !$voted{$_} } keys %voters), grep { !$voters{$_} } keys %voted;

	$c->_must('members: one voter changes at a time', keys %changed <= 1, "version $row->{version}: " . join ' ', sort keys %changed)
	  if $before;
	foreach my $member (@{ $row->{members} })
	{
		my ($name, $incarnation) = @$member{qw(region incarnation)};

		$c->_must('members: incarnations go up', $incarnation >= ($newest->{$name} // 0), "version $row->{version}: $name $incarnation");
		$newest->{$name} = $incarnation;
	}
	return;
}

# In the end each online version has its result, and a client was told of it what it is.
sub _finish_online
{
	my ($c, $result, $ended) = @_;

	foreach my $version (grep { $c->{log}{$_}{kind} eq 'online' } $c->_versions)
	{
		my $row = $c->{log}{$version};
		my $key = $c->{key}{ $row->{name} // '' };

		$c->_must('an online version comes to an end', defined $result->{$version} || $ended->{$version}, "version $version");
		$c->_must('8: an online change that succeeded has the result ok', ($result->{$version} // '') eq 'ok',
			"version $version, $row->{name}: " . ($result->{$version} // 'none'))
		  if $key && $key->{ok};
	}
	return;
}

my $hold_limit = 60;    # schemadrift.ddl_hold_limit, where no policy says otherwise

# A client's transaction that stays open, and has its place in the log: whoever waits for it elsewhere waits for ddl_hold_limit.
sub _finish_holds
{
	my ($c) = @_;
	my @ops = sort { $a->{t} <=> $b->{t} } grep { defined $_->{end} } values %{ $c->{op} };
	my @limits = map { [ $c->{log}{$_}{seen}, $c->{log}{$_}{hold_limit} ] } grep { defined $c->{log}{$_}{hold_limit} } $c->_versions;
	my $from = 0;

	foreach my $holder (sort { $a->{t} <=> $b->{t} } grep { defined $_->{open} && $_->{result} eq 'ok' } @ops)
	{
		$from++ while $from < @ops && $ops[$from]{t} < $holder->{open};
		for (my $i = $from; $i < @ops && $ops[$i]{t} < $holder->{end}; $i++)
		{
			my $waiter = $ops[$i];

			# who cannot ask for it, or is not told that it was given up, waits for other reasons
			next if $waiter->{region} eq $holder->{region} || $c->_ever_away($waiter->{t} - 5, $holder->{end});
			my $until = $waiter->{end} < $holder->{end} ? $waiter->{end} : $holder->{end};
			# of the limits that were in force meanwhile the longest; a region may hear of one late, and first there is the default
			my @before = grep { $_->[0] < $holder->{open} } @limits;
			my ($limit) = sort { $b <=> $a } @before ? $before[-1][1] : $hold_limit,
			  map { $_->[1] } grep { $_->[0] >= $holder->{open} - 5 && $_->[0] <= $until } @limits;

			$c->_must('13: no open transaction blocks another region for longer than ddl_hold_limit',
				$until - $waiter->{t} <= $limit + $c->{round_trip},
				sprintf '%s in %s waited %.1f s for %s in %s, the limit is %.1f s', $waiter->{key}, $waiter->{region}, $until - $waiter->{t},
				$holder->{key}, $holder->{region}, $limit);
		}
	}
	return;
}

1;
