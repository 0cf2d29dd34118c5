/*
 * phi.h: the phi accrual failure detector (Hayashibara et al., 2004): how much the silence of a region says.
 *
 * phi = -log10 of the probability that a heartbeat is still to come after so long a silence, were everything as it was
 * lately: 1 is wrong once in ten times, 8 once in a hundred million.  A hint for people and for whom to ask first; it
 * decides nothing.
 *
 * Pure C11: time is passed in, microseconds of a monotonic clock, never of the wall clock.
 */
#ifndef SD_PHI_H
#define SD_PHI_H

#include <stdbool.h>
#include <stdint.h>

#define SD_PHI_WINDOW		200		/* newest intervals that are looked at */
#define SD_PHI_MAX			100.0	/* more says nothing more */

typedef struct SdPhiSettings
{
	int32_t		interval_ms;	/* between heartbeats, until some were heard */
	int32_t		pause_ms;		/* added to their mean: a silence of so much more is nothing strange */
	int32_t		deviation_ms;	/* the least standard deviation: a very regular region is no reason for haste */
	int32_t		own_gap_ms;		/* when we ourselves did not look for longer than this, we were stopped */
	double		threshold;		/* a silence of this phi is an outage, and says nothing of the rhythm */
} SdPhiSettings;

/* Known to be of use; interval and own_gap depend on heartbeat_interval. */
#define SD_PHI_PAUSE_MS		3000
#define SD_PHI_DEVIATION_MS	100
#define SD_PHI_THRESHOLD	8.0

typedef struct SdPhi
{
	SdPhiSettings settings;
	int64_t		heard_us;		/* the last heartbeat, moved on by the time that we were stopped */
	int64_t		looked_us;		/* our own last tick */
	bool		odd;			/* the interval that runs is no measurement */
	int32_t		outages;		/* intervals in a row that were left out as such */

	/* the window, and its sums: whole numbers, so that they are exact for ever */
	uint32_t	interval_ms[SD_PHI_WINDOW];
	uint32_t	next;
	uint32_t	n;
	uint64_t	sum;
	uint64_t	squares;
} SdPhi;

/* Begins to watch, as if the region had been heard just now. */
extern void sd_phi_init(SdPhi *phi, const SdPhiSettings *settings, int64_t now_us);

/* We look, whether or not there is news: to be called at least every own_gap_ms. */
extern void sd_phi_tick(SdPhi *phi, int64_t now_us);

/* A heartbeat; is a tick too. */
extern void sd_phi_heard(SdPhi *phi, int64_t now_us);

/*
 * From 0 to SD_PHI_MAX; never falls while nothing is heard and we look.  Who was stopped knows nothing of that time: it
 * does not count, neither here nor afterwards.
 */
extern double sd_phi_value(const SdPhi *phi, int64_t now_us);

/* What it knows of the rhythm. */
extern double sd_phi_mean_ms(const SdPhi *phi);
extern double sd_phi_deviation_ms(const SdPhi *phi);

#endif							/* SD_PHI_H */
