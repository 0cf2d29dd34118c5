/*
 * offset.c: clock offset and round trip from exchanges.  Pure; see offset.h.
 */
#include "causality/offset.h"

#include <stddef.h>

/* Times beyond these (18,000 years) are nonsense, and all differences of others can be computed. */
#define TIME_MAX	(INT64_C(1) << 59)

/* Two clocks are read one after the other, and halves are whole numbers. */
#define READING_US	4

/* An answer may seem to have taken longer than the exchange: their clock is being pushed (adjtime: 500 ppm at most). */
#define PUSHED_PPM	1000

static int64_t
ppm(int64_t us, int64_t parts)
{
	return us / 1000000 * parts + us % 1000000 * parts / 1000000;
}

void
sd_offset_init(SdOffset *offset)
{
	*offset = (SdOffset) {.n = 0};
}

static bool
is_possible(const SdExchangeTimes *t)
{
	const int64_t all[] = {t->asked_us, t->their_arrival_us, t->their_answer_us, t->heard_us, t->heard_wall_us};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] > TIME_MAX || all[i] < -TIME_MAX)
			return false;
	return t->heard_us >= t->asked_us && t->their_answer_us >= t->their_arrival_us;
}

/* How wrong the sample may be, looked at at that time. */
static int64_t
error_of(const SdOffsetSample *sample, int64_t now_us)
{
	int64_t		age = now_us > sample->at_us ? now_us - sample->at_us : 0;

	return (sample->delay_us + 1) / 2 + READING_US + ppm(age, SD_OFFSET_DRIFT_PPM);
}

static bool
contradict(const SdOffsetSample *old, const SdOffsetSample *new)
{
	int64_t		apart = new->offset_us - old->offset_us;
	int64_t		allowed = error_of(old, new->at_us) + error_of(new, new->at_us);

	return apart > allowed || apart < -allowed;
}

/* The least delay; of equals the newest. */
static const SdOffsetSample *
best(const SdOffset *offset)
{
	const SdOffsetSample *found = NULL;

	for (uint32_t i = 0; i < offset->n; i++)
	{
		const SdOffsetSample *s = &offset->sample[i];

		if (!found || s->delay_us < found->delay_us || (s->delay_us == found->delay_us && s->at_us > found->at_us))
			found = s;
	}
	return found;
}

bool
sd_offset_add(SdOffset *offset, const SdExchangeTimes *t)
{
	SdOffsetSample sample;
	const SdOffsetSample *known = best(offset);
	int64_t		took;

	if (!is_possible(t))
		return false;
	took = t->heard_us - t->asked_us;
	sample.at_us = t->heard_us;
	sample.offset_us = (t->their_arrival_us - t->asked_us + (t->their_answer_us - t->heard_us)) / 2;
	sample.delay_us = took - (t->their_answer_us - t->their_arrival_us);
	if (sample.delay_us < -READING_US - ppm(took, PUSHED_PPM))
		return false;
	if (sample.delay_us < 0)
		sample.delay_us = 0;

	offset->smoothed_us = known ? offset->smoothed_us + (sample.delay_us - offset->smoothed_us) / 8 : sample.delay_us;
	offset->wall_us = t->heard_wall_us - t->heard_us;
	if (known && contradict(known, &sample))
		offset->n = offset->next = 0;
	offset->sample[offset->next] = sample;
	offset->next = (offset->next + 1) % SD_OFFSET_SAMPLES;
	if (offset->n < SD_OFFSET_SAMPLES)
		offset->n++;
	return true;
}

bool
sd_offset_get(const SdOffset *offset, int64_t now_us, int64_t *offset_us, int64_t *error_us)
{
	const SdOffsetSample *known = best(offset);

	if (!known)
		return false;
	*offset_us = known->offset_us - offset->wall_us;
	*error_us = error_of(known, now_us);
	return true;
}

int64_t
sd_offset_round_trip_us(const SdOffset *offset)
{
	return offset->n > 0 ? offset->smoothed_us : -1;
}

int64_t
sd_offset_round_trip_min_us(const SdOffset *offset)
{
	const SdOffsetSample *known = best(offset);

	return known ? known->delay_us : -1;
}
