/*
 * fair.c: nobody starves: schedules without a fault in which every region always wants to change something.
 *
 * A region waits from the moment it asks for its next change.  While it waits the others may get so many changes, and no
 * more; and nobody waits in vain.
 */
#include "sim.h"

/*
 * Who waits longest is the next, once its question has reached the holder.  Before that it waits for what seems to be under way
 * (YIELD), and now and then two are told at once that they may have it: a change takes some milliseconds here, so others get some.
 */
#define MOST_OTHERS		60
#define LONGEST_WAIT	(2 * QUORUM_TIMEOUT)

static void
wants_again(World *w, int region, void *p)
{
	(void) p;
	if (w->fair.over)
		return;
	(void) sim_client_start(w, region, true);
}

/* A client has its answer. */
void
sim_fair_told(World *w, const Attempt *a)
{
	/* a program that does one thing after the other, and tries again what did not happen */
	sim_post(w, a->region, 1 + sim_below(w, 5 * MS), wants_again, NULL);
	if (a->outcome != CLIENT_SUCCESS)
	{
		w->fair.again++;
		return;
	}
	for (int i = 0; i < w->n; i++)
	{
		if (i == a->region || w->region[i].witness)
			continue;
		if (++w->fair.passed[i] > w->fair.most)
			w->fair.most = w->fair.passed[i];
		if (w->fair.passed[i] > MOST_OTHERS)
			sim_violation(w, 16, "%s waits while others change the schema %d times", w->region[i].label, w->fair.passed[i]);
	}
	if (w->now - w->fair.since[a->region] > w->fair.longest)
		w->fair.longest = w->now - w->fair.since[a->region];
	if (w->fair.longest > LONGEST_WAIT)
		sim_violation(w, 16, "%s waited longer than %lld s", w->region[a->region].label, (long long) (LONGEST_WAIT / SECOND));
	w->fair.changes[a->region]++;
	w->fair.passed[a->region] = 0;
	w->fair.since[a->region] = w->now;
}

/* How often everybody has had its turn. */
int
sim_fair_rounds(const World *w)
{
	int			least = MAX_VERSION;

	for (int i = 0; i < w->n; i++)
	{
		if (!w->region[i].witness && w->fair.changes[i] < least)
			least = w->fair.changes[i];
	}
	return least;
}

void
sim_fair_start(World *w)
{
	w->fair.going = true;
	for (int i = 0; i < w->n; i++)
	{
		if (!w->region[i].witness)
			sim_post(w, i, 1 + sim_below(w, 100 * MS), wants_again, NULL);
	}
}

/* Enough for one schedule: what is under way ends by itself. */
bool
sim_fair_is_over(World *w)
{
	w->fair.over = sim_true_head(w) > MAX_VERSION - 40;
	return w->fair.over;
}
