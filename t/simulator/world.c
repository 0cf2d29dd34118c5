/*
 * world.c: random numbers, time and events, locks, the trace.
 */
#include "sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---------- randomness: one generator, one seed ---------- */

uint64_t
sim_random(World *w)
{
	uint64_t	z = (w->random += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

int64_t
sim_below(World *w, int64_t n)
{
	return n <= 0 ? 0 : (int64_t) (sim_random(w) % (uint64_t) n);
}

bool
sim_chance(World *w, double p)
{
	if (p <= 0)
		return false;
	return (double) (sim_random(w) >> 11) / 9007199254740992.0 < p;
}

/* Mostly around the mean, now and then ten times as long: that is what reorders things. */
int64_t
sim_about(World *w, int64_t mean)
{
	int64_t		t = 1 + sim_below(w, 2 * mean);

	return sim_chance(w, 0.05) ? t * 10 : t;
}

/* how long a commit takes here */
int64_t
sim_flush_time(World *w, int region)
{
	return sim_about(w, region == 0 && w->chaos.slow_disk > 0 ? w->chaos.slow_disk : w->chaos.flush);
}

void *
sim_alloc(World *w, size_t size)
{
	if (w->n_memory == w->max_memory)
	{
		w->max_memory = w->max_memory ? 2 * w->max_memory : 1024;
		w->memory = realloc(w->memory, sizeof(void *) * (size_t) w->max_memory);
		if (w->memory == NULL)
			abort();
	}
	w->memory[w->n_memory] = calloc(1, size);
	if (w->memory[w->n_memory] == NULL)
		abort();
	return w->memory[w->n_memory++];
}

void
sim_free_all(World *w)
{
	for (int i = 0; i < w->n_memory; i++)
		free(w->memory[i]);
	free(w->memory);
	for (int i = 0; i < w->n_events; i++)
		free(w->events[i]);
	free(w->events);
	free(w->acceptances);
	free(w->promises);
	free(w->counted);
}

/* ---------- events: a binary heap by (time, seq) ---------- */

static bool
event_before(const Event *a, const Event *b)
{
	return a->time != b->time ? a->time < b->time : a->seq < b->seq;
}

static void
event_push(World *w, Event *e)
{
	int			i;

	if (w->n_events == w->max_events)
	{
		w->max_events = w->max_events ? 2 * w->max_events : 256;
		w->events = realloc(w->events, sizeof(Event *) * (size_t) w->max_events);
		if (w->events == NULL)
			abort();
	}
	i = w->n_events++;
	while (i > 0 && event_before(e, w->events[(i - 1) / 2]))
	{
		w->events[i] = w->events[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	w->events[i] = e;
}

static Event *
event_pop(World *w)
{
	Event	   *first = w->events[0];
	Event	   *last = w->events[--w->n_events];
	int			i = 0;

	while (2 * i + 1 < w->n_events)
	{
		int			child = 2 * i + 1;

		if (child + 1 < w->n_events && event_before(w->events[child + 1], w->events[child]))
			child++;
		if (!event_before(w->events[child], last))
			break;
		w->events[i] = w->events[child];
		i = child;
	}
	w->events[i] = last;
	return first;
}

static void
post(World *w, int region, int64_t delay, EventFn fn, void *p, int boot, int life)
{
	Event	   *e = malloc(sizeof(Event));

	if (e == NULL)
		abort();
	e->time = w->now + delay;
	e->seq = w->seq++;
	e->region = region;
	e->boot = boot;
	e->life = life;
	e->held_up = false;
	e->fn = fn;
	e->p = p;
	event_push(w, e);
}

/* happens whatever becomes of the region's processes: messages on the wire, the world's own doings */
void
sim_post(World *w, int region, int64_t delay, EventFn fn, void *p)
{
	post(w, region, delay, fn, p, -1, -1);
}

/* dies with the region's server */
void
sim_post_process(World *w, int region, int64_t delay, EventFn fn, void *p)
{
	post(w, region, delay, fn, p, w->region[region].boot, -1);
}

/* dies with the region's coordinator too */
void
sim_post_coordinator(World *w, int region, int64_t delay, EventFn fn, void *p)
{
	post(w, region, delay, fn, p, w->region[region].boot, w->region[region].life);
}

/* One step: the next event.  False when nothing is left. */
bool
sim_step(World *w)
{
	Event	   *e;
	Region	   *r;

	if (w->n_events == 0)
		return false;
	e = event_pop(w);
	w->now = e->time;
	if (e->region >= 0)
	{
		r = &w->region[e->region];
		if (e->boot >= 0 && (!r->up || e->boot != r->boot || (e->life >= 0 && e->life != r->life)))
		{
			free(e);
			return true;
		}
		/* stopped, not dead: everything of this region happens when it goes on, in the same order */
		if (r->up && r->paused_until > w->now)
		{
			e->time = r->paused_until;
			e->held_up = true;
			event_push(w, e);
			return true;
		}
	}
	w->steps++;
	e->fn(w, e->region, e->p);
	free(e);
	return true;
}

/* All paused servers go on now: what was held up happens at once. */
void
sim_wake_paused(World *w)
{
	Event	  **events = w->events;
	int			n = w->n_events;

	for (int i = 0; i < w->n; i++)
		w->region[i].paused_until = 0;
	w->events = NULL;
	w->n_events = w->max_events = 0;
	for (int i = 0; i < n; i++)
	{
		if (events[i]->held_up && events[i]->time > w->now)
			events[i]->time = w->now;
		event_push(w, events[i]);
	}
	free(events);
}

/* ---------- locks ---------- */

static void
waiter_late(World *w, int region, void *p)
{
	Waiter	   *waiter = p;

	if (waiter->waiting)
	{
		waiter->waiting = false;
		waiter->late(w, region, waiter->p);
	}
}

void
sim_lock(World *w, int region, Lock *lock, int64_t session, int64_t timeout, EventFn got, EventFn late, void *p)
{
	Waiter	   *waiter;
	Waiter	  **last = &lock->first;

	if (lock->holder == 0)
	{
		lock->holder = session;
		sim_post_process(w, region, 1 + sim_below(w, 50), got, p);
		return;
	}
	waiter = sim_alloc(w, sizeof(Waiter));
	waiter->session = session;
	waiter->waiting = true;
	waiter->got = got;
	waiter->late = late;
	waiter->p = p;
	while (*last != NULL)
		last = &(*last)->next;
	*last = waiter;
	if (timeout > 0)
		sim_post_process(w, region, timeout, waiter_late, waiter);
}

/* Give up the lock, or the wait for it. */
void
sim_unlock(World *w, int region, Lock *lock, int64_t session)
{
	for (Waiter *waiter = lock->first; waiter != NULL; waiter = waiter->next)
	{
		if (waiter->session == session)
			waiter->waiting = false;
	}
	if (lock->holder != session)
		return;
	lock->holder = 0;
	while (lock->first != NULL)
	{
		Waiter	   *next = lock->first;

		lock->first = next->next;
		if (next->waiting)
		{
			next->waiting = false;
			lock->holder = next->session;
			sim_post_process(w, region, 1 + sim_below(w, 50), next->got, next->p);
			return;
		}
	}
}

/* ---------- trace ---------- */

void
sim_say(World *w, int region, const char *format,...)
{
	va_list		args;

	if (w->trace == NULL)
		return;
	fprintf(w->trace, "%11.6f  %-9s ", (double) w->now / SECOND, region < 0 ? "" : w->region[region].label);
	va_start(args, format);
	vfprintf(w->trace, format, args);
	va_end(args);
	fputc('\n', w->trace);
}

/* for the trace: a few buffers, so that one line can show several ballots */
const char *
sim_ballot(const World *w, const SdBallot *ballot)
{
	static char buffers[4][SD_NAME_SIZE + 40];
	static int	next;
	char	   *buffer = buffers[next++ % 4];

	(void) w;
	if (sd_ballot_is_none(ballot))
		snprintf(buffer, sizeof(buffers[0]), "none");
	else
		snprintf(buffer, sizeof(buffers[0]), "%lld.%s.%04x", (long long) ballot->round, ballot->region,
				 (unsigned) (ballot->nonce & 0xFFFF));
	return buffer;
}

const char *
sim_entry(const World *w, int entry)
{
	static const char *const kinds[] = {"", "admit", "promote", "step_down", "remove", "suspend", "resume", "rejoin"};
	static char buffers[4][SD_NAME_SIZE + 40];
	static int	next;
	char	   *buffer = buffers[next++ % 4];
	const Attempt *a = w->attempt[entry];

	static const char *const works[] = {"change", "online", "result", "take_back"};

	snprintf(buffer, sizeof(buffers[0]), "%s#%d(%s)",
			 a->change != MEMBER_NONE ? kinds[a->change] : a->noop ? "noop" : works[a->work],
			 entry, a->change != MEMBER_NONE ? w->region[w->at[a->target]].name : w->region[a->region].name);
	return buffer;
}
