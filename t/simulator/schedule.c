/*
 * schedule.c: one schedule from a seed: who takes part, what goes wrong, and what must hold at the end.
 */
#include "sim.h"

#include <string.h>

static const char *const region_names[MAX_REGIONS] = {"us-east", "eu-west", "ap-south", "sa-east", "af-north", "me-west"};

/* ---------- faults ---------- */

static void
restart(World *w, int region, void *p)
{
	Region	   *r = &w->region[region];

	(void) p;
	if (r->up)
		return;
	r->up = true;
	r->boot++;
	r->paused_until = 0;
	sim_say(w, region, "+++ restarts: head %lld, applied %lld, promise %s", (long long) r->mem.head,
			(long long) r->mem.applied, sim_ballot(w, &r->mem.promised));
	sim_coordinator_start(w, region);
}

void
sim_crash(World *w, int region, const char *why)
{
	Region	   *r = &w->region[region];

	if (!r->up)
		return;
	sim_say(w, region, "--- killed: %s", why);
	r->up = false;
	r->boot++;
	r->life++;
	memset(&r->rows, 0, sizeof(r->rows));
	memset(&r->ddl, 0, sizeof(r->ddl));
	r->applier_running = false;
	r->changing = NULL;
	r->settle.active = false;
	sim_lose_memory(w, region);
	sim_backend_processes_gone(w, region);
	sim_post(w, region, sim_about(w, 500 * MS), restart, NULL);
}

static void
crash_somebody(World *w, int region, void *p)
{
	(void) region;
	(void) p;
	if (w->healing)
		return;
	if (sim_chance(w, w->chaos.coordinator_kill))
	{
		int			victim = (int) sim_below(w, w->n);

		if (w->region[victim].up)
			sim_coordinator_kill(w, victim);
	}
	else
		sim_crash(w, (int) sim_below(w, w->n), "kill -9");
	sim_post(w, -1, sim_about(w, w->chaos.crash_every), crash_somebody, NULL);
}

static void
mend(World *w, int region, void *p)
{
	(void) region;
	(void) p;
	memset(w->cut, 0, sizeof(w->cut));
	sim_say(w, -1, "=== links mended");
}

static void
cut_something(World *w, int region, void *p)
{
	unsigned	side = (unsigned) sim_below(w, 1 << w->n);
	bool		one_way = sim_chance(w, 0.3);
	bool		one_link = sim_chance(w, 0.3);
	int			a = (int) sim_below(w, w->n);
	int			b = (int) sim_below(w, w->n);

	(void) region;
	(void) p;
	if (w->healing)
		return;
	for (int i = 0; i < w->n; i++)
	{
		for (int j = 0; j < w->n; j++)
		{
			bool		across = ((side >> i) & 1) != ((side >> j) & 1);

			if (one_link)
				across = (i == a && j == b) || (!one_way && i == b && j == a);
			else if (one_way)
				across = across && ((side >> i) & 1);
			if (i != j && across)
				w->cut[i][j] = true;
		}
	}
	sim_say(w, -1, "=== cut: %s%s, side %x, link %s-%s", one_link ? "link" : "sides", one_way ? ", one way" : "", side,
			w->region[a].name, w->region[b].name);
	sim_post(w, -1, sim_about(w, 1500 * MS), mend, NULL);
	sim_post(w, -1, sim_about(w, w->chaos.cut_every), cut_something, NULL);
}

static void
pause_somebody(World *w, int region, void *p)
{
	int			victim = (int) sim_below(w, w->n);

	(void) region;
	(void) p;
	if (w->healing)
		return;
	w->region[victim].paused_until = w->now + sim_about(w, 800 * MS);
	sim_say(w, victim, "--- paused until %.3f", (double) w->region[victim].paused_until / SECOND);
	sim_post(w, -1, sim_about(w, w->chaos.pause_every), pause_somebody, NULL);
}

/* ---------- clients ---------- */

static void
client_arrives(World *w, int region, void *p)
{
	(void) p;
	if (w->healing)
		return;
	if (w->region[region].up)
		sim_client_start(w, region, false);
	sim_post(w, region, sim_about(w, w->chaos.think), client_arrives, NULL);
}

/* a client in doubt asks outcome() until it gets an answer; that is what makes its region settle the version */
static void
clients_ask(World *w, int region, void *p)
{
	(void) region;
	(void) p;
	for (int i = 1; i <= w->n_attempts; i++)
	{
		Attempt    *a = w->attempt[i];
		Region	   *r = &w->region[a->region];

		if (a->outcome != CLIENT_UNKNOWN || !r->up || r->paused_until > w->now)
			continue;
		if (a->answer != ANSWER_NONE && !sim_chance(w, 0.05))
			continue;
		if (r->mem.head >= a->version)
		{
			Answer		answer = r->mem.log[a->version] == a->entry ? ANSWER_YES : ANSWER_NO;

			sim_client_asked(w, a, answer);
		}
		else
			r->doubt[a->version] = true;
	}
	sim_post(w, -1, 300 * MS + sim_below(w, 400 * MS), clients_ask, NULL);
}

/* ---------- a schedule ---------- */

static int64_t
pick(World *w, int64_t a, int64_t b, int64_t c)
{
	switch (sim_below(w, 3))
	{
		case 0:
			return a;
		case 1:
			return b;
		default:
			return c;
	}
}

static void
choose_chaos(World *w)
{
	Chaos	   *c = &w->chaos;

	c->delay = pick(w, 2 * MS, 20 * MS, 80 * MS);
	c->flush = pick(w, 1 * MS, 1 * MS, 20 * MS);
	c->statements = pick(w, 2 * MS, 50 * MS, 400 * MS);
	c->think = pick(w, 300 * MS, 1500 * MS, 4 * SECOND);
	c->client_rollback = 0.05;
	c->calm = sim_chance(w, 0.1);
	if (c->calm)
	{
		if (c->delay > 20 * MS)
			c->delay = 20 * MS;
		c->flush = 1 * MS;
		return;
	}
	c->loss = (double) pick(w, 0, 5, 20) / 100;
	c->repeat = 0.1;
	c->crash_at_point = (double) pick(w, 0, 3, 15) / 100;
	c->coordinator_kill = 0.3;
	c->client_cancel = 0.1;
	c->late_failure = 0.05;
	c->crash_every = pick(w, 0, 1500 * MS, 5 * SECOND);
	c->cut_every = pick(w, 0, 2 * SECOND, 6 * SECOND);
	c->pause_every = pick(w, 0, 1500 * MS, 5 * SECOND);
}

static void
choose_members(World *w)
{
	static const char *const shapes[] = {"vvv", "vvv", "vvv", "vvvvv", "vvvvv", "vvvvv", "vvvo", "vvw", "vv", "vvvv", "v", "vo"};
	const char *shape = shapes[sim_below(w, sizeof(shapes) / sizeof(shapes[0]))];

	w->n = (int) strlen(shape);
	w->config.n = w->n;
	for (int i = 0; i < w->n; i++)
	{
		Region	   *r = &w->region[i];

		strncpy(r->name, region_names[i], SD_NAME_SIZE - 1);
		r->role = shape[i] == 'v' ? SD_ROLE_VOTER : shape[i] == 'o' ? SD_ROLE_OBSERVER : SD_ROLE_WITNESS;
		r->up = true;
		memcpy(w->config.member[i].region, r->name, SD_NAME_SIZE);
		w->config.member[i].incarnation = 1;
		w->config.member[i].role = r->role;
	}
	w->config.since = 1;
}

/* version 1, the baseline, is everywhere from the start */
static void
store_baseline(World *w)
{
	SdBallot	ballot;
	int			entry = sim_new_entry(w, 0, true);

	sd_ballot_set(&ballot, 1, w->region[0].name, 0);
	for (int i = 0; i < w->n; i++)
		sim_store_accepted(w, i, 1, &ballot, entry);
	for (int i = 0; i < w->n; i++)
	{
		sim_store_promise(w, i, &ballot);
		sim_store_log(w, i, 1, entry);
		if (w->region[i].role != SD_ROLE_WITNESS)
			sim_store_applied(w, i, 1, entry);
		w->region[i].disk = w->region[i].mem;
	}
}

static void
run_until(World *w, int64_t until)
{
	while (w->violated == 0 && w->n_events > 0 && w->events[0]->time <= until)
		sim_step(w);
	if (w->violated == 0)
		w->now = until;
}

static void
heal(World *w)
{
	sim_say(w, -1, "=== no more faults");
	w->healing = true;
	memset(w->cut, 0, sizeof(w->cut));
	w->chaos.loss = 0;
	w->chaos.repeat = 0;
	if (w->chaos.delay > 20 * MS)
		w->chaos.delay = 20 * MS;
	for (int i = 0; i < w->n; i++)
	{
		w->region[i].paused_until = 0;
		restart(w, i, NULL);
	}
}

/* Invariant 12: "no doubt left, everyone equal, and every region can change the schema again". */
static void
check_healed(World *w)
{
	char		why[200] = "";
	int64_t		until = w->now + HEAL_BOUND;
	Attempt    *last[MAX_REGIONS] = {NULL};
	bool		all;

	while (w->violated == 0 && !sim_all_equal(w, why, sizeof(why)))
	{
		if (w->now >= until)
		{
			sim_violation(w, 12, "32 s after the last fault %s", why);
			return;
		}
		run_until(w, w->now + 250 * MS);
	}

	sim_say(w, -1, "=== everybody is equal; now every region changes something");
	until = w->now + HEAL_BOUND;
	do
	{
		all = true;
		for (int i = 0; i < w->n; i++)
		{
			if (w->region[i].role == SD_ROLE_WITNESS)
				continue;
			if (last[i] != NULL && last[i]->outcome == CLIENT_SUCCESS)
				continue;
			all = false;
			if (last[i] == NULL || last[i]->outcome != CLIENT_OPEN)
				last[i] = sim_client_start(w, i, true);
			if (last[i] == NULL)
				return;			/* out of entry numbers: a very busy schedule, nothing to complain of */
		}
		if (!all && w->now >= until)
		{
			sim_violation(w, 12, "a region cannot change the schema 32 s after everything was well");
			return;
		}
		run_until(w, w->now + 250 * MS);
	} while (!all && w->violated == 0);

	until = w->now + HEAL_BOUND;
	while (w->violated == 0 && !sim_all_equal(w, why, sizeof(why)))
	{
		if (w->now >= until)
		{
			sim_violation(w, 12, "32 s after the last change %s", why);
			return;
		}
		run_until(w, w->now + 250 * MS);
	}
}

/* True if no invariant was violated.  The caller frees the world. */
bool
sim_run(World *w, uint64_t seed, uint32_t mistakes, bool harm_only, FILE *trace)
{
	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->random = seed * UINT64_C(0xD1342543DE82EF95) + 1;
	w->mistakes = mistakes;
	sd_mistakes = mistakes & 0xFFFF;
	w->harm_only = harm_only;
	w->trace = trace;

	choose_members(w);
	choose_chaos(w);
	store_baseline(w);
	sim_say(w, -1, "seed %llu: %d regions, %d voters, delay %lld ms, loss %.0f %%%s", (unsigned long long) seed, w->n,
			sd_config_voters(&w->config), (long long) (w->chaos.delay / MS), w->chaos.loss * 100,
			w->chaos.calm ? ", no faults" : "");
	for (int i = 0; i < w->n; i++)
	{
		sim_coordinator_start(w, i);
		if (w->region[i].role != SD_ROLE_WITNESS)
			sim_post(w, i, sim_below(w, w->chaos.think), client_arrives, NULL);
	}
	sim_post(w, -1, 300 * MS, clients_ask, NULL);
	if (w->chaos.crash_every > 0)
		sim_post(w, -1, sim_about(w, w->chaos.crash_every), crash_somebody, NULL);
	if (w->chaos.cut_every > 0)
		sim_post(w, -1, sim_about(w, w->chaos.cut_every), cut_something, NULL);
	if (w->chaos.pause_every > 0)
		sim_post(w, -1, sim_about(w, w->chaos.pause_every), pause_somebody, NULL);

	run_until(w, 15 * SECOND + sim_below(w, 15 * SECOND));
	if (w->violated == 0)
	{
		heal(w);
		check_healed(w);
	}
	return w->violated == 0;
}
