/*
 * offset.h: how far another region's clock is from ours, and how far away that region is: the clock filter of RFC 5905.
 *
 * An exchange gives four times: T1 ours at the question, T2 and T3 theirs at its arrival and at the answer, T4 ours at
 * the answer's arrival.  Queues only ever add to the delay, so of the last eight exchanges the one with the least delay
 * knows the offset best; half of its delay is how wrong it can be at most, however unequal the two ways are.
 *
 * T1 and T4 are taken from our monotonic clock, and their offset from our wall clock is known at T4 only: so our own
 * clock may be set at any time, also between T1 and T4, and no sample has to be thrown away for it.  When theirs was
 * set, the samples contradict each other, and the older ones go.
 *
 * Pure C11: times are passed in, microseconds; both wall clocks count from the same epoch.
 */
#ifndef SD_OFFSET_H
#define SD_OFFSET_H

#include <stdbool.h>
#include <stdint.h>

#define SD_OFFSET_SAMPLES	8
#define SD_OFFSET_DRIFT_PPM	15	/* RFC 5905's PHI: with every second a sample may be so many microseconds more wrong */

typedef struct SdOffsetSample
{
	int64_t		offset_us;		/* their wall clock minus our monotonic clock */
	int64_t		delay_us;		/* of the network, both ways */
	int64_t		at_us;			/* T4, monotonic */
} SdOffsetSample;

typedef struct SdOffset
{
	SdOffsetSample sample[SD_OFFSET_SAMPLES];
	uint32_t	next;
	uint32_t	n;				/* 0: nothing below is valid */
	int64_t		wall_us;		/* our wall clock minus our monotonic clock, at the last exchange */
	int64_t		smoothed_us;	/* delay, of each new one an eighth */
} SdOffset;

typedef struct SdExchangeTimes
{
	int64_t		asked_us;		/* T1, monotonic */
	int64_t		their_arrival_us;	/* T2, their wall clock */
	int64_t		their_answer_us;	/* T3, their wall clock */
	int64_t		heard_us;		/* T4, monotonic */
	int64_t		heard_wall_us;	/* T4, our wall clock */
} SdExchangeTimes;

extern void sd_offset_init(SdOffset *offset);

/* An exchange.  False, and nothing is learned: such times cannot be (their clock was set meanwhile, or they are nonsense). */
extern bool sd_offset_add(SdOffset *offset, const SdExchangeTimes *times);

/*
 * Their clock minus ours, as at the last exchange, and how far to either side the truth may be at now_us.  False: not
 * known yet.
 */
extern bool sd_offset_get(const SdOffset *offset, int64_t now_us, int64_t *offset_us, int64_t *error_us);

/* Round trip without the time that the answer took to make, smoothed, and the least of the last eight; -1: not known. */
extern int64_t sd_offset_round_trip_us(const SdOffset *offset);
extern int64_t sd_offset_round_trip_min_us(const SdOffset *offset);

#endif							/* SD_OFFSET_H */
