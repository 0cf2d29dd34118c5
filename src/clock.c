/*
 * clock.c: the one monotonic clock.
 *
 * CLOCK_MONOTONIC by name, not instr_time: before 16 a port without it makes instr_time the wall clock,
 * and a lease or a deadline must not depend on that.
 */
#include "compat.h"

#include <limits.h>

#include <time.h>

#include "clock.h"

int64
sd_monotonic_us(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
		elog(PANIC, "could not read the monotonic clock: %m");
	return (int64) ts.tv_sec * SD_US_PER_S + ts.tv_nsec / 1000;
}

long
sd_monotonic_timeout_ms(int64 deadline_us, int64 now_us)
{
	int64		left;

	if (deadline_us == SD_NEVER)
		return -1;
	if (deadline_us <= now_us)
		return 0;
	left = (deadline_us - now_us + SD_US_PER_MS - 1) / SD_US_PER_MS;
	return (long) Min(left, (int64) PG_INT32_MAX);
}
