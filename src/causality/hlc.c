/*
 * hlc.c: hybrid logical clock.  Pure; see hlc.h.
 */
#include "causality/hlc.h"

#include <stdio.h>

SdHlc
sd_hlc_make(uint64_t ms, uint64_t counter)
{
	if (ms > SD_HLC_MS_MAX)
		ms = SD_HLC_MS_MAX;
	return (ms << SD_HLC_COUNTER_BITS) | (counter & SD_HLC_COUNTER_MAX);
}

uint64_t
sd_hlc_ms(SdHlc hlc)
{
	return hlc >> SD_HLC_COUNTER_BITS;
}

uint32_t
sd_hlc_counter(SdHlc hlc)
{
	return (uint32_t) (hlc & SD_HLC_COUNTER_MAX);
}

void
sd_hlc_init(SdHlcClock *clock, SdHlc persisted, uint64_t max_offset_ms)
{
	clock->last = persisted;
	clock->max_offset_ms = max_offset_ms;
}

/*
 * The published rule "l = max(l, pt); c = (l unchanged) ? c + 1 : 0", as arithmetic on the packed number: one
 * more than the last value, or the physical time if that is later.  A counter that overflows carries into the
 * milliseconds, which keeps the order without waiting a tick.
 */
SdHlc
sd_hlc_now(SdHlcClock *clock, uint64_t wall_ms)
{
	SdHlc		physical = sd_hlc_make(wall_ms, 0);

	clock->last = physical > clock->last ? physical : clock->last + 1;
	return clock->last;
}

bool
sd_hlc_receive(SdHlcClock *clock, SdHlc remote, uint64_t wall_ms)
{
	if (sd_hlc_ms(remote) > wall_ms && sd_hlc_ms(remote) - wall_ms > clock->max_offset_ms)
		return false;
	/* the next value given out is greater than remote, which is all that happens-before asks for */
	if (remote > clock->last)
		clock->last = remote;
	return true;
}

char *
sd_hlc_format(SdHlc hlc, char *buffer, size_t size)
{
	uint64_t	ms = sd_hlc_ms(hlc);
	uint64_t	days = ms / UINT64_C(86400000);
	unsigned	in_day = (unsigned) (ms % UINT64_C(86400000));

	/* days since 1970 to a date of the proleptic Gregorian calendar (Hinnant's civil_from_days) */
	uint64_t	z = days + 719468;
	uint64_t	era = z / 146097;
	unsigned	doe = (unsigned) (z % 146097);
	unsigned	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned	mp = (5 * doy + 2) / 153;
	unsigned	day = doy - (153 * mp + 2) / 5 + 1;
	unsigned	month = mp < 10 ? mp + 3 : mp - 9;
	unsigned	year = (unsigned) (yoe + era * 400 + (month <= 2));

	(void) snprintf(buffer, size, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ+%04u", year, month, day,
			 in_day / 3600000, in_day / 60000 % 60, in_day / 1000 % 60, in_day % 1000, sd_hlc_counter(hlc));
	return buffer;
}
