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

/* ---- parsing ---- */

typedef struct Reader
{
	const char *text;
	size_t		length;
	size_t		at;
} Reader;

static bool
skip(Reader *r, char c)
{
	if (r->at == r->length || r->text[r->at] != c)
		return false;
	r->at++;
	return true;
}

static void
skip_spaces(Reader *r)
{
	while (r->at < r->length && (r->text[r->at] == ' ' || (r->text[r->at] >= '\t' && r->text[r->at] <= '\r')))
		r->at++;
}

/* From least to most digits; stays where it was if they are not there, or the number is not in the range. */
static bool
read_digits(Reader *r, unsigned least, unsigned most, unsigned low, unsigned high, unsigned *number)
{
	unsigned	n = 0;

	*number = 0;
	for (; n < most && r->at + n < r->length && r->text[r->at + n] >= '0' && r->text[r->at + n] <= '9'; n++)
		*number = *number * 10 + (unsigned) (r->text[r->at + n] - '0');
	if (n < least || *number < low || *number > high)
		return false;
	r->at += n;
	return true;
}

static unsigned
days_in_month(unsigned year, unsigned month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 1u : 0u);
}

/* Hinnant's days_from_civil, from 1970 on. */
static uint64_t
days_since_1970(unsigned year, unsigned month, unsigned day)
{
	unsigned	y = month <= 2 ? year - 1 : year;
	unsigned	yoe = y % 400;
	unsigned	doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return (uint64_t) (y / 400) * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* The fraction of a second in ms: one to three digits. */
static bool
read_fraction(Reader *r, unsigned *ms)
{
	size_t		begin = r->at;

	if (!read_digits(r, 1, 3, 0, 999, ms))
		return false;
	for (size_t n = r->at - begin; n < 3; n++)
		*ms *= 10;
	return true;
}

static const char *
read_hlc(Reader *r, SdHlc *hlc)
{
	unsigned	year;
	unsigned	month;
	unsigned	day;
	unsigned	hour;
	unsigned	minute;
	unsigned	second;
	unsigned	counter = 0;
	unsigned	ms = 0;
	uint64_t	since;

	skip_spaces(r);
	if (!read_digits(r, 4, 4, 1970, 6429, &year))
		return "a year from 1970 to 6429 is expected";
	if (!skip(r, '-') || !read_digits(r, 2, 2, 1, 12, &month))
		return "\"-\" and a month are expected";
	if (!skip(r, '-') || !read_digits(r, 2, 2, 1, days_in_month(year, month), &day))
		return "\"-\" and a day of that month are expected";
	if (!skip(r, 'T') || !read_digits(r, 2, 2, 0, 23, &hour))
		return "\"T\" and an hour are expected";
	if (!skip(r, ':') || !read_digits(r, 2, 2, 0, 59, &minute))
		return "\":\" and a minute are expected";
	if (!skip(r, ':') || !read_digits(r, 2, 2, 0, 59, &second))
		return "\":\" and a second are expected";
	if (skip(r, '.') && !read_fraction(r, &ms))
		return "milliseconds are expected";
	if (!skip(r, 'Z'))
		return "\"Z\" is expected";
	if (skip(r, '+') && !read_digits(r, 1, 5, 0, SD_HLC_COUNTER_MAX, &counter))
		return "a counter from 0 to 65535 is expected";
	skip_spaces(r);
	if (r->at != r->length)
		return "the end is expected";
	since = days_since_1970(year, month, day) * UINT64_C(86400000) + ((hour * 60 + minute) * 60 + second) * UINT64_C(1000) + ms;
	if (since > SD_HLC_MS_MAX)
	{
		r->at = 0;
		return "the time is after 6429-10-17T02:45:55.327Z";
	}
	*hlc = sd_hlc_make(since, counter);
	return NULL;
}

const char *
sd_hlc_parse(const char *text, size_t length, SdHlc *hlc, size_t *at)
{
	Reader		r = {text, length, 0};
	const char *error = read_hlc(&r, hlc);

	*at = r.at;
	return error;
}
