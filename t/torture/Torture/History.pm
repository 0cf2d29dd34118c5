# Torture::History: what happened, in order: kept for the checker, and written to a file, one line of JSON an event.
#
#   my $h = Torture::History->new($file);
#   $h->event(invoke => op => 1, key => 'k1', region => 'us-east');
#   my @events = $h->events;
#   my @events = Torture::History::read($file);
package Torture::History;

use strict;
use warnings FATAL => 'all';

use JSON::PP;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $json = JSON::PP->new->canonical;

sub new
{
	my ($class, $file) = @_;

	open my $fh, '>', $file or die "$file: $!";
	$fh->autoflush(1);
	return bless { fh => $fh, events => [], start => clock_gettime(CLOCK_MONOTONIC) }, $class;
}

# Seconds since the beginning, by a clock that nothing here moves.
sub now
{
	my ($self) = @_;

	return sprintf('%.4f', clock_gettime(CLOCK_MONOTONIC) - $self->{start}) + 0;
}

sub event
{
	my ($self, $e, %more) = @_;
	my $event = { e => $e, t => $self->now, %more };

	push @{ $self->{events} }, $event;
	print { $self->{fh} } $json->encode($event), "\n";
	return $event->{t};
}

sub events { my ($self) = @_; return @{ $self->{events} }; }

sub read
{
	my ($file) = @_;

	open my $fh, '<', $file or die "$file: $!";
	return map { $json->decode($_) } <$fh>;
}

1;
