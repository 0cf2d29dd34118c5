/*
 * schedule.c: one schedule from a seed: who takes part, what goes wrong, and what must hold at the end.
 */
#include "sim.h"

#include <string.h>

static const char *const region_names[MAX_PLACES] = {"us-east", "eu-west", "ap-south", "sa-east", "af-north", "me-west"};

/* ---------- clients ---------- */

static void
client_arrives(World *w, int region, void *p)
{
	(void) p;
	if (w->healing)
		return;
	if (w->region[region].retired)
		return;
	/* who has no member to connect to seldom tries */
	if (w->region[region].up && !w->region[region].witness && (sim_takes_part(w, region) || sim_chance(w, 0.1)))
		sim_client_start(w, region, false);
	sim_post(w, region, sim_about(w, w->chaos.think), client_arrives, NULL);
}

/* a server begins to have clients, and standbys and backups */
void
sim_serve(World *w, int region)
{
	if (w->bias != BIAS_FAIR)
		sim_post(w, region, sim_below(w, w->chaos.think), client_arrives, NULL);
	sim_keep_copies(w, region);
}

/* its own region; another member where that is lost, removed or readmitted only later */
static int
where_to_ask(World *w, const Attempt *a)
{
	int			server = w->at[w->region[a->region].place];

	return sim_takes_part(w, server) ? server : w->at[sim_below(w, w->places)];
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
		Region	   *r;

		if (a->outcome != CLIENT_UNKNOWN)
			continue;
		r = &w->region[where_to_ask(w, a)];
		if (!r->up || r->paused_until > w->now)
			continue;
		if (a->answer != ANSWER_NONE && !sim_chance(w, 0.05))
			continue;
		if (r->mem.head >= a->version)
		{
			Answer		answer = r->mem.log[a->version] == a->entry ? ANSWER_YES : ANSWER_NO;

			sim_client_asked(w, a, answer);
		}
		else if (a->version <= MAX_VERSION)
			r->doubt[a->version] = true;
	}
	sim_post(w, -1, 300 * MS + sim_below(w, 400 * MS), clients_ask, NULL);
}

/* ---------- a schedule ---------- */

/* version 1, the baseline, is everywhere from the start; who may join later knows it, too, and nothing else */
static void
store_baseline(World *w, const char *shape)
{
	SdBallot	ballot;
	int			entry = sim_new_entry(w, 0, true);
	Members    *m = sim_alloc(w, sizeof(Members));

	w->attempt[entry]->members = m;
	for (int i = 0; i < w->n; i++)
	{
		SdMember   *member = &m->config.member[m->config.n];

		if (shape[i] == '.')
			continue;
		memcpy(member->region, w->region[i].name, SD_NAME_SIZE);
		member->incarnation = m->ever[i] = 1;
		member->role = shape[i] == 'v' ? SD_ROLE_VOTER : shape[i] == 'o' ? SD_ROLE_OBSERVER : SD_ROLE_WITNESS;
		m->place[m->config.n++] = i;
	}

	sd_ballot_set(&ballot, 1, w->region[0].name, 0);
	for (int i = 0; i < w->n; i++)
	{
		w->region[i].mem.incarnation = shape[i] == '.' ? 0 : 1;
		w->region[i].mem.server = w->region[i].server;
		if (shape[i] != '.')
			sim_store_accepted(w, i, 1, &ballot, entry);
	}
	for (int i = 0; i < w->n; i++)
	{
		Region	   *r = &w->region[i];

		if (shape[i] != '.')
			sim_store_promise(w, i, &ballot);
		sim_store_log(w, i, 1, entry);
		if (!r->witness)
			sim_store_applied(w, i, 1, entry, false);
		r->mem.is_void = shape[i] == '.';
		r->disk = r->backup = r->standby = r->mem;
	}
}

/* v voter, o observer, w witness, . a region that may join later */
static void
choose_places(World *w)
{
	const char *shape = sim_choose_shape(w);

	w->places = w->n = (int) strlen(shape);
	w->fencing = -1;
	for (int i = 0; i < w->n; i++)
	{
		Region	   *r = &w->region[i];

		strncpy(r->name, region_names[i], SD_NAME_SIZE - 1);
		memcpy(r->label, r->name, SD_NAME_SIZE);
		r->place = w->at[i] = i;
		r->witness = shape[i] == 'w';
		r->server = ++w->last_server;
		r->clock_rate = w->chaos.calm ? 1 : 0.8 + 0.05 * (double) sim_below(w, 10);
		r->up = shape[i] != '.';
		w->wants_vote[i] = shape[i] == 'v' || shape[i] == 'w';
		for (int j = 0; j < MAX_PLACES; j++)
			r->heard[j] = true;
	}
	for (int i = 0; i < MAX_SERVERS; i++)
	{
		for (int j = 0; j < MAX_SERVERS; j++)
			w->slow[i][j] = sim_chance(w, w->chaos.slow_links);
	}
	store_baseline(w, shape);
}

static void
run_until(World *w, int64_t until)
{
	while (w->violated == 0 && w->n_events > 0 && w->events[0]->time <= until)
		sim_step(w);
	if (w->violated == 0)
		w->now = until;
}

/* Invariant 12: "no doubt left, everyone equal, and every region can change the schema again". */
static void
check_healed(World *w)
{
	char		why[200] = "";
	int64_t		until = w->now + HEAL_BOUND;
	Attempt    *last[MAX_PLACES] = {NULL};
	bool		all;

	while (w->violated == 0 && !sim_all_equal(w, why, sizeof(why)))
	{
		if (w->now >= until && w->n_attempts + 2 >= MAX_ENTRIES)
			return;				/* out of entry numbers: a very busy schedule, nothing to complain of */
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
		const Members *m = sim_true_members(w, sim_true_head(w) + 1);

		all = true;
		for (int j = 0; j < m->config.n; j++)
		{
			int			i = m->place[j];

			if (w->region[w->at[i]].witness || (last[i] != NULL && last[i]->outcome == CLIENT_SUCCESS))
				continue;
			all = false;
			if (last[i] == NULL || last[i]->outcome != CLIENT_OPEN)
				last[i] = sim_client_start(w, w->at[i], true);
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
sim_run(World *w, uint64_t seed, const Options *options)
{
	const Members *m;

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->random = seed * UINT64_C(0xD1342543DE82EF95) + 1;
	w->mistakes = options->mistakes;
	sd_mistakes = options->mistakes & 0xFFFF;
	w->harm_only = options->harm_only;
	w->trace = options->trace;

	sim_choose_chaos(w, options->bias);
	choose_places(w);
	m = sim_true_members(w, 2);
	sim_say(w, -1, "seed %llu: %d members, %d voters, delay %lld ms, loss %.0f %%%s", (unsigned long long) seed, m->config.n,
			sd_config_voters(&m->config), (long long) (w->chaos.delay / MS), w->chaos.loss * 100,
			w->chaos.calm ? ", no faults" : "");
	sim_say(w, -1, "bias: %s", sim_bias_names[w->bias]);
	for (int i = 0; i < w->n; i++)
	{
		if (w->region[i].up)
			sim_coordinator_start(w, i);
		w->region[i].up = true;
		sim_serve(w, i);
	}
	sim_post(w, -1, 300 * MS, clients_ask, NULL);
	sim_faults_start(w);
	sim_post(w, -1, 600 * MS, sim_look_after, NULL);

	if (w->bias == BIAS_FAIR)
	{
		sim_fair_start(w);
		while (w->violated == 0 && !sim_fair_is_over(w))
			run_until(w, w->now + 100 * MS);
	}
	else
		run_until(w, 15 * SECOND + sim_below(w, 15 * SECOND));
	if (w->violated == 0)
	{
		sim_heal(w);
		check_healed(w);
	}
	return w->violated == 0;
}
