/*
 * clock.h: the one monotonic clock.
 *
 * Deadlines, leases, back-off and round-trip times are int64 microseconds of this clock; the wall clock
 * is for people (views) and for the hybrid logical clock.  Any process, no locking.
 */
#ifndef SD_CLOCK_H
#define SD_CLOCK_H

#include "compat.h"

#define SD_US_PER_MS	INT64CONST(1000)
#define SD_US_PER_S		INT64CONST(1000000)

/* A deadline that never comes. */
#define SD_NEVER		PG_INT64_MAX

/* Microseconds since some moment in the past; never goes back, also not when somebody sets the time. */
extern int64 sd_monotonic_us(void);

/*
 * The time-out for WaitEventSetWait or WaitLatch until deadline_us: milliseconds, rounded up so that the
 * loop does not spin through the last one; 0 if it has passed, -1 for SD_NEVER.
 */
extern long sd_monotonic_timeout_ms(int64 deadline_us, int64 now_us);

#endif							/* SD_CLOCK_H */
