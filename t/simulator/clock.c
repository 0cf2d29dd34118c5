/*
 * clock.c: what servers take for the time: a monotonic clock with a speed of its own, and a wall clock that jumps.
 *
 * Leases and timeouts use the first.  The second labels entries, by way of the hybrid logical clock (causality/hlc.c);
 * nothing is ever decided by it.
 */
#include "sim.h"

/* when schedules begin, in milliseconds; any time will do */
#define BEGINNING			UINT64_C(1700000000000)
#define MAX_OFFSET_MS		60000

int64_t
sim_clock(const World *w, int region)
{
	return (int64_t) ((double) w->now * w->region[region].clock_rate);
}

static uint64_t
wall_ms(World *w, int region)
{
	uint64_t	ms = BEGINNING + (uint64_t) (sim_clock(w, region) / MS + w->region[region].wall_offset);

	if (ms > w->latest_wall)
		w->latest_wall = ms;
	return ms;
}

/* The newest hybrid time that this server knows, in its shared memory or in its log. */
static SdHlc
newest(const World *w, int region)
{
	const Region *r = &w->region[region];
	SdHlc		logged = r->mem.head > 0 ? w->attempt[r->mem.log[r->mem.head]]->hlc : 0;

	return logged > r->hlc ? logged : r->hlc;
}

/* An entry is made here, on top of this server's log. */
void
sim_hlc_label(World *w, int region, Attempt *a)
{
	Region	   *r = &w->region[region];
	SdHlcClock	clock;

	if (SIM_MISTAKE(WALL_CLOCK))
	{
		a->hlc = sd_hlc_make(wall_ms(w, region), 0);
		return;
	}
	sd_hlc_init(&clock, newest(w, region), 0);
	a->hlc = r->hlc = sd_hlc_now(&clock, wall_ms(w, region));
}

/* Another's, heard in an exchange: "a clock that is far ahead is not taken in". */
void
sim_hlc_heard(World *w, int region, SdHlc heard)
{
	Region	   *r = &w->region[region];
	SdHlcClock	clock;

	sd_hlc_init(&clock, r->hlc, MAX_OFFSET_MS);
	if (sd_hlc_receive(&clock, heard, wall_ms(w, region)))
		r->hlc = clock.last;
}

/* Hybrid times go up along the log, and are never later than any clock was. */
void
sim_check_hlc(World *w, int64_t version, int entry)
{
	const Attempt *a = w->attempt[entry];

	if (version > 1 && w->chosen[version - 1] != 0 && w->attempt[w->chosen[version - 1]]->hlc >= a->hlc)
		sim_violation(w, 14, "%s at version %lld has no later time than version %lld", sim_entry(w, entry), (long long) version,
					  (long long) version - 1);
	/* a counter that overflows carries into the milliseconds: not in one schedule */
	if (sd_hlc_ms(a->hlc) > w->latest_wall)
		sim_violation(w, 14, "the time of %s at version %lld is later than any clock was", sim_entry(w, entry), (long long) version);
}

/* "Jump by an hour, strobe": up to an hour either way, mostly by much less. */
void
sim_jump_clocks(World *w, int region, void *p)
{
	static const int64_t far[] = {50, 2000, 90000, 3600000};
	int			victim = (int) sim_below(w, w->n);
	int64_t		by = sim_below(w, far[sim_below(w, 4)]);

	(void) region;
	(void) p;
	if (w->healing)
		return;
	w->region[victim].wall_offset += sim_chance(w, 0.5) ? by : -by;
	if (w->region[victim].wall_offset < -7200000)
		w->region[victim].wall_offset = 0;
	w->times[SIM_JUMPED]++;
	sim_say(w, victim, "--- its clock jumps: now %lld ms off", (long long) w->region[victim].wall_offset);
	sim_post(w, -1, sim_about(w, w->chaos.jump_every), sim_jump_clocks, NULL);
}
