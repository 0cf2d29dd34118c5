# Torture::Checker: does a history hold what docs/protocol.md promises?
#
#   my $c = Torture::Checker->new;
#   $c->add($event) foreach @events;      # in the order of their times
#   my @violations = $c->finish;
#   $c->counts;                           # what was checked, and how often
#
# Knows no server and no network: events are all it sees, so it can be fed doctored ones (t/890_torture_checker.pl) and an old run's
# (t/torture/check).  It looks at each event once, and once more at each version and each migration: linear in time.
#
# Events, hashes with e, t (seconds, monotonic) and more:
#   invoke   op, key, region           a client begins an attempt at a migration, whose name in the log is its key
#   open     op                        it has its place, and leaves its transaction open for a while
#   return   op, result, sqlstate, entry      ok, failed (definite), unknown, none (nothing was sent)
#   answer   region, entry, answer     of outcome(): applied, chosen, rejected, undecided or empty
#   apart    a, b / together a, b      no call between them can be answered, from the first on until the second
#   silent   region / heard region     the region stands still or is dead
#   lost     region                    its tables are from now on those of an earlier time; its incarnation must not vote
#   cloned   region                    a second server lives with its identity for a while: the first one may become void, too
#   left     region                    it leaves the group, to join it again with nothing of what it was
#   sample   region, incarnation, state, vote_seq, promise [round, region, nonce], accepted [[version, ballot, entry] ...],
#            log [row ...]             one look at its tables; log and accepted: some newest rows; final: all of them; further
#            server, asked, applied, peers [[region, incarnation, applied, vote_seq] ...], skipped [version ...], bypassed
#   log row  version, entry, kind, name, origin, incarnation, n, hlc, target, barrier, hash, chain, body_hash, members, outcome, hold_limit
#   applied  region, version, chain, digest          at the end
#   schema   region, sha, wanted       of its dump, and of the one of a server that ran the log's migrations in order
#   healed   / converged took, within  all faults ended; all equal so much later, or not (took undefined); the bound for it
#   changed  region, ok                at the end every region changes the schema once more
package Torture::Checker;

use strict;
use warnings FATAL => 'all';

use Digest::SHA 'sha256_hex';
use Torture::Rows;

sub new
{
	my ($class, %o) = @_;

	# seconds that a handover may take besides
	return bless { round_trip => $o{round_trip} // 3,
		counts => {}, violations => [], op => {}, key => {}, entry => {}, region => {}, log => {}, ballot => {}, vote => {},
		away => {}, last => 0
	}, $class;
}

sub counts { my ($self) = @_; return $self->{counts}; }

# One thing that must be: counted, and kept if it is not.
sub _must
{
	my ($self, $what, $ok, $detail) = @_;

	$self->{counts}{$what}++;
	push @{ $self->{violations} }, "$what: $detail" if !$ok;
	return $ok;
}

sub add
{
	my ($self, $event) = @_;
	my $method = "_on_$event->{e}";

	$self->{last} = $event->{t} // $self->{last};
	$self->$method($event) if $self->can($method);
	return;
}

# ---- clients ----

sub _on_invoke
{
	my ($self, $e) = @_;
	my $key = $self->{key}{ $e->{key} } //= { start => $e->{t}, tries => 0 };

	$key->{tries}++;
	$self->{op}{ $e->{op} } = { %$e, try => $key->{tries} };
	return;
}

sub _on_open { my ($self, $e) = @_; $self->{op}{ $e->{op} }{open} = $e->{t}; return; }

sub _on_return
{
	my ($self, $e) = @_;
	my $op = $self->{op}{ $e->{op} };
	my $key = $self->{key}{ $op->{key} };

	$op->{end} = $e->{t};
	$op->{result} = $e->{result};
	$key->{ $e->{result} }++;
	$key->{end} = $e->{t};
	$key->{ok_at} //= $e->{t} if $e->{result} eq 'ok';
	$self->{entry}{ $e->{entry} }{unknown} = 1 if defined $e->{entry};
	return;
}

sub _on_answer
{
	my ($self, $e) = @_;
	my $entry = $self->{entry}{ $e->{entry} } //= {};
	my %means = (applied => 'in', chosen => 'in', rejected => 'out');
	my $now = $means{ $e->{answer} } // '';

	$self->_must('8: outcome() never changes its answer', $entry->{said} eq $now,
		"entry $e->{entry} was \"$entry->{said}\" by $entry->{by}, $e->{region} says $e->{answer} at $e->{t}")
	  if $now ne '' && defined $entry->{said};
	# within one region it does not go back to "undecided" either
	$self->_must('8: outcome() never forgets its answer', $now ne '' || $e->{answer} eq '',
		"entry $e->{entry}: $e->{region} knew, and says $e->{answer} at $e->{t}")
	  if $entry->{told}{ $e->{region} } && !$self->{region}{ $e->{region} }{lost};
	if ($now ne '')
	{
		$entry->{told}{ $e->{region} } = 1;
		$entry->{by} //= $e->{region};
		$entry->{said} //= $now;
	}
	$entry->{finally}{ $e->{region} } = $e->{answer};
	return;
}

# ---- the network, and who is there ----

sub _on_apart    { my ($self, $e) = @_; $self->_away("$e->{a} $e->{b}", $e->{t}); return; }
sub _on_together { my ($self, $e) = @_; $self->_back("$e->{a} $e->{b}", $e->{t}); return; }
sub _on_silent   { my ($self, $e) = @_; $self->_away($e->{region}, $e->{t}); return; }
sub _on_heard    { my ($self, $e) = @_; $self->_back($e->{region}, $e->{t}); return; }

sub _away
{
	my ($self, $what, $t) = @_;

	push @{ $self->{away}{$what} }, [ $t, 9**99 ];
	return;
}

sub _back
{
	my ($self, $what, $t) = @_;

	$self->{away}{$what}[-1][1] = $t if $self->{away}{$what};
	return;
}

# Were two regions without each other from start to end, all the time and for one reason?
sub _without
{
	my ($self, $a, $b, $start, $end) = @_;

	foreach my $what ("$a $b", "$b $a", $b)
	{
		my $last = $self->_last_away($what, $start);

		return 1 if $last && $last->[1] >= $end;
	}
	return 0;
}

# The last interval that begins by then.
sub _last_away
{
	my ($self, $what, $t) = @_;
	my $list = $self->{away}{$what} or return;
	my ($low, $high) = (0, scalar @$list);

	while ($low < $high)
	{
		my $middle = int(($low + $high) / 2);

		$list->[$middle][0] <= $t ? $low = $middle + 1 : ($high = $middle);
	}
	return $low > 0 ? $list->[ $low - 1 ] : undef;
}

# Was anybody away from anybody, at any time in between?
sub _ever_away
{
	my ($self, $start, $end) = @_;

	return scalar grep { my $last = $self->_last_away($_, $end); $last && $last->[1] > $start } keys %{ $self->{away} };
}

# ---- tables ----

sub _on_lost
{
	my ($self, $e) = @_;
	my $region = $self->{region}{ $e->{region} } //= {};

	$region->{lost}++;
	$region->{may_be_void} = 1;
	# what this incarnation does from here on, if it comes back at all, is judged by another rule
	$region->{rolled_back}{ $region->{incarnation} } = 1 if defined $region->{incarnation};
	# what comes back has cast no more votes than were seen before
	delete $region->{head};
	return;
}

sub _on_cloned
{
	my ($self, $e) = @_;

	my $region = $self->{region}{ $e->{region} } //= {};

	$region->{may_be_void} = 1;
	# what others hear of this incarnation may be the second one's
	$region->{cloned}{ $region->{incarnation} } = 1 if defined $region->{incarnation};
	return;
}

sub _on_left
{
	my ($self, $e) = @_;
	my $region = $self->{region}{ $e->{region} } //= {};

	delete @$region{qw(incarnation state vote_seq promise head rolled_back may_be_void newest applied cloned)};
	delete $self->{$_}{ $e->{region} } foreach qw(claims known due);
	$region->{lost}++;
	return;
}

sub _on_sample
{
	my ($self, $e) = @_;
	my $region = $self->{region}{ $e->{region} } //= {};
	my $same = defined $region->{incarnation} && $region->{incarnation} == $e->{incarnation};
	my $rolled_back = $region->{rolled_back}{ $e->{incarnation} };

	if ($rolled_back || ($same && $region->{state} eq 'void' && $e->{state} eq 'void'))
	{
		my $why = $rolled_back ? 'after losing votes' : 'though void';

		$self->_must('6: an incarnation that lost its votes, or is void, never votes', $e->{vote_seq} <= $region->{vote_seq},
			"$e->{region}, incarnation $e->{incarnation}, voted $why: vote_seq $region->{vote_seq}, then $e->{vote_seq} at $e->{t}")
		  if $same && defined $region->{vote_seq};
	}
	elsif ($same && defined $region->{vote_seq})
	{
		$self->_must('3: promises never go down', _ballot_compare($e->{promise}, $region->{promise}) >= 0,
			"$e->{region}, incarnation $e->{incarnation}: @{$region->{promise}}, then @{$e->{promise}} at $e->{t}");
		$self->_must('3: votes are counted upwards', $e->{vote_seq} >= $region->{vote_seq},
			"$e->{region}, incarnation $e->{incarnation}: vote_seq $region->{vote_seq}, then $e->{vote_seq} at $e->{t}");
	}
	$self->_must('5: who lost nothing keeps its incarnation', $same && ($e->{state} ne 'void' || $region->{state} eq 'void'),
		"$e->{region}: incarnation $region->{incarnation} ($region->{state}), then $e->{incarnation} ($e->{state}) at $e->{t}")
	  if defined $region->{incarnation} && !$region->{may_be_void};
	# it has come back; a copy of an earlier life has not, yet
	$region->{may_be_void} = 0 if $e->{incarnation} > ($region->{newest} // $e->{incarnation});
	$region->{newest} = $e->{incarnation} if $e->{incarnation} > ($region->{newest} // 0);
	$self->_see_votes($e, $region);
	$self->_see_log($e, $region);
	Torture::Rows::see($self, $e, $region);
	@$region{qw(incarnation state vote_seq promise)} = @$e{qw(incarnation state vote_seq promise)};
	return;
}

sub _ballot_compare
{
	my ($a, $b) = @_;

	# a nonce tells two ballots apart, and has no order that tables could show
	return $a->[0] <=> $b->[0] || $a->[1] cmp $b->[1];
}

sub _see_votes
{
	my ($self, $e, $region) = @_;

	foreach my $row (@{ $e->{accepted} })
	{
		my ($version, $ballot, $entry) = @$row;
		my $first = $self->{ballot}{"$version $ballot"} //= $entry;

		next if $self->{vote}{$version}{ $e->{region} }{"$ballot $entry"}++;
		$self->_must('4: one entry per version and ballot', $first eq $entry,
			"version $version, ballot $ballot: $first, and $entry in $e->{region}");
		# cast since the last look, under this incarnation or the one before
		$self->{voted_as}{$version}{ $e->{region} }{$_} = 1
		  foreach $e->{incarnation}, defined $region->{incarnation} ? $region->{incarnation} : ();
	}
	return;
}

sub _see_log
{
	my ($self, $e, $region) = @_;
	my $next;

	foreach my $row (@{ $e->{log} })
	{
		my $version = $row->{version};
		my $known = $self->{log}{$version};

		$self->_must('7: the log has no gaps', $version == $next, "$e->{region} has version $version where $next should be, at $e->{t}")
		  if defined $next;
		$next = $version + 1;
		if (!$known)
		{
			$self->{log}{$version} = { %$row, seen => $e->{t} };
			next;
		}
		foreach my $what (qw(entry hash chain))
		{
			$self->_must('1: one entry per version, everywhere', $known->{$what} eq $row->{$what},
				"version $version: $what $known->{$what}, but $row->{$what} in $e->{region} at $e->{t}");
		}
		$self->_must('1: an entry is the bytes that it says', $row->{body_hash} eq $row->{hash},
			"version $version in $e->{region}: the body is not what was agreed")
		  if $e->{final} && defined $row->{body_hash};
	}
	my $head = $next ? $next - 1 : 0;

	$self->_must('7: the log does not become shorter', $head >= $region->{head}, "$e->{region} had $region->{head}, then $head at $e->{t}")
	  if defined $region->{head};
	$self->_must('7: the log begins at 1', @{ $e->{log} } && $e->{log}[0]{version} == 1, $e->{region}) if $e->{final};
	$region->{head} = $head;
	return;
}

# ---- at the end ----

sub _on_applied   { my ($self, $e) = @_; $self->{applied}{ $e->{region} } = $e; return; }
sub _on_converged { my ($self, $e) = @_; $self->{converged} = $e; return; }

sub _on_schema
{
	my ($self, $e) = @_;

	$self->_must('7: the schema is that of one server that ran the log in order', $e->{sha} eq $e->{wanted},
		"$e->{region}: $e->{difference}");
	return;
}

sub _on_changed
{
	my ($self, $e) = @_;

	$self->_must('12: every region changes the schema again', $e->{ok}, "$e->{region}: $e->{message}");
	return;
}

sub finish
{
	my ($self) = @_;

	$self->_finish_log;
	$self->_finish_votes;
	$self->_finish_keys;
	$self->_finish_entries;
	$self->_finish_order;
	$self->_finish_majorities;
	$self->_finish_applied;
	Torture::Rows::finish($self);
	if (my $c = $self->{converged})
	{
		$self->_must('12: all equal, and nobody in doubt, soon after the last fault', defined $c->{took}, $c->{message});
		$self->_must('12: within the bound that settings and machine give', $c->{took} <= $c->{within},
			sprintf 'it took %.1f s, the bound is %.1f s', $c->{took}, $c->{within})
		  if defined $c->{took} && defined $c->{within};
	}
	return @{ $self->{violations} };
}

sub _versions
{
	my ($self) = @_;

	return sort { $a <=> $b } keys %{ $self->{log} };
}

sub _finish_log
{
	my ($self) = @_;
	my ($before, %dot);

	foreach my $version ($self->_versions)
	{
		my $row = $self->{log}{$version};

		if ($before)
		{
			$self->_must('1: the chain is over all entries before', $row->{chain} eq sha256_hex(pack 'H*H*', $before->{chain}, $row->{hash}),
				"version $version");
			$self->_must('hybrid clocks go up along the log', $row->{hlc} > $before->{hlc}, "version $version: $before->{hlc}, $row->{hlc}");
		}
		$self->_must('11: a dot is one event', !$dot{"$row->{origin} $row->{incarnation} $row->{n}"}++,
			"version $version: $row->{origin} $row->{incarnation} $row->{n}");
		$before = $row;
	}
	return;
}

# "Every log row has a majority of matching acceptances", as far as rows are kept: a later ballot overwrites the row
# of an earlier one, but once the entry was chosen it can only bear the same entry.
sub _finish_votes
{
	my ($self) = @_;
	my @voters;

	foreach my $version ($self->_versions)
	{
		my $row = $self->{log}{$version};
		my $quorum = int(@voters / 2) + 1;
		my ($for, $gone, %at) = (0, 0);

		foreach my $voter ($version > 1 ? @voters : ())
		{
			my ($region, $incarnation) = @$voter;
			my $votes = $self->{vote}{$version}{$region} // {};
			my @ballots = map { /^(.*) \Q$row->{entry}\E$/ ? $1 : () } keys %$votes;

			if (@ballots && $self->{voted_as}{$version}{$region}{$incarnation})
			{
				$for++;
				$at{$_}++ foreach @ballots;
			}
			elsif ($self->{region}{$region}{rolled_back}{$incarnation} || $self->{region}{$region}{cloned}{$incarnation})
			{
				# lost, or in the tables of the second server, which nobody looks at: it votes until it is found out
				$gone++;
			}
		}
		if ($version > 1 && $for < $quorum && $for + $gone >= $quorum)
		{
			$self->{counts}{'(2: versions whose votes nobody could look at: lost with a server, or a clone\'s)'}++;
		}
		elsif ($version > 1)
		{
			$self->_must('2: a majority of the voters in force accepted it', $for >= $quorum,
				"version $version: $for of " . scalar(@voters) . " accepted $row->{entry}");
			$self->{counts}{'(2: of these, seen at one ballot)'}++ if grep { $_ >= $quorum } values %at;
		}
		$self->_finish_later_ballots($version, $row, \%at, $quorum);
		@voters = map { [ @$_{qw(region incarnation)} ] } grep { $_->{role} ne 'observer' } @{ $row->{members} } if $row->{members};
	}
	return;
}

# What a majority accepted at one ballot is in every acceptance at a higher one.
sub _finish_later_ballots
{
	my ($self, $version, $row, $at, $quorum) = @_;
	my ($lowest) = sort { _ballot_compare([ split / /, $a ], [ split / /, $b ]) } grep { $at->{$_} >= $quorum } keys %$at;

	return if !defined $lowest;
	foreach my $region (keys %{ $self->{vote}{$version} })
	{
		foreach my $vote (keys %{ $self->{vote}{$version}{$region} })
		{
			my ($ballot, $entry) = $vote =~ /^(.*) (\S+)$/;

			next if _ballot_compare([ split / /, $ballot ], [ split / /, $lowest ]) <= 0;
			$self->_must('1: later ballots carry what was chosen', $entry eq $row->{entry},
				"version $version: $row->{entry} was chosen at ($lowest), but $region accepted $entry at ($ballot)");
		}
	}
	return;
}

sub _finish_keys
{
	my ($self) = @_;
	my %versions;

	foreach my $version ($self->_versions)
	{
		my $row = $self->{log}{$version};

		push @{ $versions{ $row->{name} } }, $version if defined $row->{name} && $row->{kind} =~ /^(?:migration|online)$/;
		# what took "k1" back is the migration "revert k1" of a client
		if ($row->{kind} =~ /^(?:revert|supersede)$/ && (my $of = $self->{log}{ $row->{target} }))
		{
			push @{ $versions{ 'revert ' . ($of->{name} // '') } }, $version;
		}
	}
	foreach my $name (sort keys %{ $self->{key} })
	{
		my $key = $self->{key}{$name};
		my @at = @{ $versions{$name} // [] };

		$key->{version} = $at[0];
		if ($key->{ok})
		{
			$self->_must('8: a success is in the log once', @at == 1, "$name is in the log at (@at), its client was told at $key->{end}");
		}
		elsif (($key->{failed} // 0) + ($key->{none} // 0) == $key->{tries})
		{
			$self->_must('8: what "did not happen" is not in the log', !@at, "$name is in the log at (@at), its client was told at $key->{end}");
		}
		else
		{
			$self->_must('8: an unknown one is in the log at most once', @at <= 1, "$name is in the log at (@at)");
		}
	}
	return;
}

sub _finish_entries
{
	my ($self) = @_;
	my %version = map { $self->{log}{$_}{entry} => $_ } keys %{ $self->{log} };

	foreach my $id (sort keys %{ $self->{entry} })
	{
		my $entry = $self->{entry}{$id};

		next if !$entry->{finally};
		my @answers = map { "$_: $entry->{finally}{$_}" } sort keys %{ $entry->{finally} };

		# a region that was restored may have forgotten, alone, that it ever began this
		$self->_must('8: in the end nobody is in doubt', !grep({ /: undecided$/ } @answers)
			  && (defined $entry->{said} || grep { $_->{lost} } values %{ $self->{region} }), "entry $id: @answers")
		  if $self->{converged};
		$self->_must('8: what outcome() says is what the log says', ($entry->{said} eq 'in') == exists $version{$id},
			"entry $id: @answers; in the log: " . ($version{$id} // 'no'))
		  if defined $entry->{said};
	}
	return;
}

# success(a) before start(b) => version(a) < version(b): from the newest version down, nothing may have succeeded before
# something earlier in the log began.
sub _finish_order
{
	my ($self) = @_;
	my @keys = sort { $a->{version} <=> $b->{version} } grep { defined $_->{version} } values %{ $self->{key} };
	my $latest = -1;
	my $by;

	foreach my $key (@keys)
	{
		$self->_must('9: who began after a success has a later version', $key->{ok_at} >= $latest,
			"version $key->{version} had succeeded at $key->{ok_at}, before version $by began at $latest")
		  if defined $key->{ok_at} && defined $by;
		($latest, $by) = @$key{qw(start version)} if $key->{start} > $latest;
	}
	return;
}

sub _finish_majorities
{
	my ($self) = @_;
	my @configs = map { [ $_, $self->{log}{$_}{members} ] } grep { $self->{log}{$_}{members} } $self->_versions;
	my @ops = sort { $a->{version} <=> $b->{version} }
	  map { { %$_, version => $self->{key}{ $_->{key} }{version} } }
	  grep { ($_->{result} // '') eq 'ok' && $_->{try} == 1 && defined $self->{key}{ $_->{key} }{version} } values %{ $self->{op} };

	foreach my $op (@ops)
	{
		shift @configs while @configs > 1 && $configs[1][0] < $op->{version};
		my @voters = map { $_->{region} } grep { $_->{role} ne 'observer' } @{ $configs[0][1] };
		my @there = grep { $_ eq $op->{region} || !$self->_without($op->{region}, $_, $op->{t}, $op->{end}) } @voters;

		$self->_must('10: no success without a majority', @there > @voters / 2,
			"$op->{key} in $op->{region} from $op->{t} to $op->{end}: there were only @there of @voters");
		$self->{counts}{'(10: of these, while somebody was away)'}++ if @there < @voters;
	}
	return;
}

sub _finish_applied
{
	my ($self) = @_;
	my ($head) = reverse $self->_versions;
	my %digest;

	foreach my $name (sort keys %{ $self->{applied} // {} })
	{
		my $applied = $self->{applied}{$name};

		$self->_must('7: all of the log is applied', $applied->{version} == $head, "$name applied $applied->{version} of $head");
		$self->_must('7: what is applied is this log', $applied->{chain} eq $self->{log}{ $applied->{version} }{chain}, $name);
		$digest{ $applied->{digest} } = $name;
	}
	$self->_must('1: the fingerprints are equal', 1 == keys %digest, join ' ', %digest) if $self->{applied};
	return;
}

1;
