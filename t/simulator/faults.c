/*
 * faults.c: what goes wrong: crashes, cuts, pauses, and servers that come back with less than they had.
 */
#include "sim.h"

#include <string.h>

/* ---------- crashes, cuts, pauses ---------- */

void
sim_restart(World *w, int region, void *p)
{
	Region	   *r = &w->region[region];

	(void) p;
	if (r->up || r->retired)
		return;
	r->up = true;
	r->boot++;
	r->paused_until = 0;
	sim_say(w, region, "+++ restarts: incarnation %d%s, head %lld, applied %lld, promise %s", r->mem.incarnation,
			r->mem.is_void ? " (void)" : "", (long long) r->mem.head, (long long) r->mem.applied,
			sim_ballot(w, &r->mem.promised));
	sim_identity_start(w, region);
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
	memset(&r->grant, 0, sizeof(r->grant));
	memset(&r->line, 0, sizeof(r->line));
	r->hlc = 0;
	r->applier_running = r->halted = r->task_running = false;
	memset(&r->told, 0, sizeof(r->told));
	r->changing = NULL;
	r->settle.active = false;
	sim_lose_memory(w, region);
	sim_backend_processes_gone(w, region);
	sim_post(w, region, sim_about(w, 500 * MS), sim_restart, NULL);
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
	bool		one_way = sim_chance(w, w->chaos.one_way);
	bool		one_link = sim_chance(w, w->chaos.one_link);
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
			w->region[a].label, w->region[b].label);
	sim_post(w, -1, sim_about(w, w->chaos.cut_length), mend, NULL);
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
	/* now and then for longer than any lease */
	w->region[victim].paused_until = w->now + sim_about(w, sim_chance(w, 0.15) ? 6 * SECOND : 800 * MS);
	sim_say(w, victim, "--- paused until %.3f", (double) w->region[victim].paused_until / SECOND);
	sim_post(w, -1, sim_about(w, w->chaos.pause_every), pause_somebody, NULL);
}

static void
fit_again(World *w, int region, void *p)
{
	(void) p;
	if (w->region[region].unfit)
		sim_say(w, region, "+++ may vote again");
	w->region[region].unfit = false;
}

/* "A region whose tables lack them ... does not vote; nor does one with fsync = off": until somebody mends it. */
static void
make_unfit(World *w, int region, void *p)
{
	int			victim = (int) sim_below(w, w->n);

	(void) region;
	(void) p;
	if (w->healing)
		return;
	if (!w->region[victim].unfit)
	{
		w->region[victim].unfit = true;
		w->times[SIM_UNFIT]++;
		sim_say(w, victim, "--- may not vote for a moment");
		sim_post(w, victim, sim_about(w, w->chaos.unfit_length), fit_again, NULL);
	}
	sim_post(w, -1, sim_about(w, w->chaos.unfit_every), make_unfit, NULL);
}

/* ---------- lost state ---------- */

static void
roll_back(World *w, int region, const Tables *to)
{
	Region	   *r = &w->region[region];

	r->mem = r->disk = *to;
	sim_say(w, region, "--- its state is that of incarnation %d%s, head %lld, applied %lld, %lld votes",
			r->mem.incarnation, r->mem.is_void ? " (void)" : "", (long long) r->mem.head, (long long) r->mem.applied,
			(long long) r->mem.vote_seq);
	w->times[SIM_LOST_STATE]++;
}

/* May a server come up with these older tables, and nothing but its peers' memory tell? */
static bool
may_be_silent(World *w, int region, const Tables *older)
{
	return !w->some_old_primary && !sim_members_pending(w) && !older->is_void && !w->region[region].disk.is_void &&
		sim_is_contradicted(w, region, older);
}

/* An older state on the same server: a disk that was rolled back, or a base backup with or without recovery. */
static void
restore(World *w, int region)
{
	Region	   *r = &w->region[region];
	const Tables *older = sim_chance(w, 0.5) ? &r->backup : &r->standby;
	bool		silent = may_be_silent(w, region, older);

	sim_crash(w, region, silent ? "its storage is rolled back" : "it is restored from a backup");
	if (!silent)
		r->server = ++w->last_server;
	else if (!SIM_MISTAKE(NO_FENCE) && !SIM_MISTAKE(REJOIN_READ))
		w->fencing = region;
	roll_back(w, region, older);
}

static void
old_primary_ends(World *w, int region, void *p)
{
	Region	   *r = &w->region[region];

	(void) p;
	if (r->retired)
		return;
	sim_crash(w, region, "it is switched off for good");
	r->retired = true;
	if (w->fencing == region)
		w->fencing = -1;
	w->some_old_primary = w->shared_address = false;
	memset(w->hidden, 0, sizeof(w->hidden));
}

/* Two servers of one place: some know only one of them, the others only the other. */
static void
share_address(World *w, int a, int b)
{
	w->hidden[a][b] = w->hidden[b][a] = true;
	for (int i = 0; i < w->n; i++)
	{
		int			hidden = sim_chance(w, 0.5) ? a : b;

		if (i != a && i != b)
			w->hidden[i][hidden] = w->hidden[hidden][i] = true;
	}
}

/* "Old primary alive after promotion" */
static void
leave_old_primary(World *w, int old, int new)
{
	w->some_old_primary = true;
	w->times[SIM_OLD_PRIMARY_LIVED]++;
	share_address(w, old, new);
	sim_post(w, old, sim_about(w, 5 * SECOND), old_primary_ends, NULL);
}

/* another server for the place of this one */
static int
add_server(World *w, const Region *old)
{
	int			new = w->n++;
	Region	   *r = &w->region[new];
	char		name[SD_NAME_SIZE];

	memcpy(r->name, old->name, SD_NAME_SIZE);
	memcpy(name, old->name, SD_NAME_SIZE);
	snprintf(r->label, sizeof(r->label), "%s'%d", name, new);
	r->place = old->place;
	r->witness = old->witness;
	r->clock_rate = old->clock_rate;
	r->wall_offset = old->wall_offset;
	r->wants_in = old->wants_in;
	r->backup = old->standby;
	r->standby = old->standby;
	return new;
}

/*
 * A copy of this server is started beside it: one identity, one timeline.  Either its address is another one, and it calls
 * others in its original's name, or the address leads some to the copy and some to the original.
 */
static void
clone(World *w, int region, const Tables *older)
{
	const Region *old = &w->region[region];
	int			new = add_server(w, old);
	Region	   *r = &w->region[new];

	r->server = old->server;
	r->elsewhere = sim_chance(w, 0.5);
	w->some_old_primary = true;
	w->shared_address = !r->elsewhere;
	if (!r->elsewhere)
		share_address(w, region, new);
	if (!SIM_MISTAKE(NO_FENCE) && !SIM_MISTAKE(REJOIN_READ))
		w->fencing = new;
	w->times[SIM_CLONED]++;
	sim_say(w, new, "--- a copy of %s, %s", old->label, r->elsewhere ? "elsewhere" : "at the same address");
	roll_back(w, new, older);
	r->backup = r->standby = *older;
	sim_post(w, new, sim_about(w, 500 * MS), sim_restart, NULL);
	sim_post(w, new, 2 * SECOND + sim_about(w, 5 * SECOND), old_primary_ends, NULL);
	sim_serve(w, new);
}

/* A standby is promoted: another server, with what had been replicated. */
static void
fail_over(World *w, int region)
{
	Region	   *old = &w->region[region];
	int			new = add_server(w, old);
	Region	   *r = &w->region[new];
	bool		lives = !w->some_old_primary && sim_chance(w, w->chaos.old_primary_lives);

	r->server = ++w->last_server;
	w->at[r->place] = new;
	w->times[SIM_FAILED_OVER]++;
	if (lives)
		leave_old_primary(w, region, new);
	else
	{
		sim_crash(w, region, "it is lost, and its standby is promoted");
		old->retired = true;
	}
	roll_back(w, new, &r->standby);
	sim_post(w, new, sim_about(w, 500 * MS), sim_restart, NULL);
	sim_serve(w, new);
}

/* Does somebody take part still whom these older tables know?  Who knows nobody to ask comes back by hand only. */
static bool
knows_somebody(World *w, int region, const Tables *older)
{
	const Members *m = sim_true_members(w, sim_true_head(w) + 1);
	const Members *known = sim_true_members(w, older->head + 1);

	for (int i = 0; i < known->config.n; i++)
	{
		if (known->place[i] != w->region[region].place && sim_member(m, known->place[i]) != NULL)
			return true;
	}
	return false;
}

static void
lose_somebody(World *w, int region, void *p)
{
	int			victim = w->at[sim_below(w, w->places)];
	const Tables *older = sim_chance(w, 0.5) ? &w->region[victim].backup : &w->region[victim].standby;

	(void) region;
	(void) p;
	if (w->healing)
		return;
	/* one at a time that nothing but its peers' memory can recognise; and "at most a minority of voters" */
	if (w->fencing < 0 && !w->shared_address && w->region[victim].up && knows_somebody(w, victim, &w->region[victim].backup) &&
		sim_quorum_remains(w, w->region[victim].place))
	{
		if (w->n < MAX_SERVERS && sim_chance(w, w->chaos.clone) && may_be_silent(w, victim, older))
			clone(w, victim, older);
		else if (w->n < MAX_SERVERS && sim_chance(w, w->chaos.fail_over))
			fail_over(w, victim);
		else
			restore(w, victim);
	}
	sim_post(w, -1, sim_about(w, w->chaos.lose_every), lose_somebody, NULL);
}

static void
take_standby(World *w, int region, void *p)
{
	Region	   *r = &w->region[region];

	(void) p;
	r->standby = r->disk;
	sim_post(w, region, sim_about(w, 500 * MS), take_standby, NULL);
}

static void
take_backup(World *w, int region, void *p)
{
	Region	   *r = &w->region[region];

	(void) p;
	r->backup = r->disk;
	sim_post(w, region, sim_about(w, w->chaos.backup_every), take_backup, NULL);
}

/* leave() and join(): a new region under an old name, with a copy of somebody's log and schema, and nothing else */
void
sim_wipe(World *w, int place)
{
	int			region = w->at[place];
	Region	   *r = &w->region[region];
	const Members *m = sim_true_members(w, sim_true_head(w) + 1);
	const Region *source = &w->region[w->at[m->place[sim_below(w, m->config.n)]]];
	Tables		new;

	if (!r->up || w->some_old_primary || source->witness)
		return;
	sim_crash(w, region, "leave(), and join() again");
	new = source->disk;
	if (r->witness)
		new.n_executed = (int) (new.applied = new.head);
	new.incarnation = 0;
	new.is_void = true;
	new.server = r->server;
	new.life = sim_random(w);
	new.vote_seq = 0;
	memset(&new.promised, 0, sizeof(new.promised));
	memset(&new.accepted, 0, sizeof(new.accepted));
	memset(&new.peer, 0, sizeof(new.peer));
	r->mem = r->disk = r->backup = r->standby = new;
	r->wants_in = true;
}

/* ---------- all of them ---------- */

void
sim_keep_copies(World *w, int region)
{
	if (w->chaos.lose_every == 0)
		return;
	sim_post(w, region, sim_about(w, 500 * MS), take_standby, NULL);
	sim_post(w, region, sim_about(w, w->chaos.backup_every), take_backup, NULL);
}

void
sim_faults_start(World *w)
{
	if (w->chaos.crash_every > 0)
		sim_post(w, -1, sim_about(w, w->chaos.crash_every), crash_somebody, NULL);
	if (w->chaos.cut_every > 0)
		sim_post(w, -1, sim_about(w, w->chaos.cut_every), cut_something, NULL);
	if (w->chaos.pause_every > 0)
		sim_post(w, -1, sim_about(w, w->chaos.pause_every), pause_somebody, NULL);
	if (w->chaos.unfit_every > 0)
		sim_post(w, -1, sim_about(w, w->chaos.unfit_every), make_unfit, NULL);
	if (w->chaos.jump_every > 0)
		sim_post(w, -1, sim_about(w, w->chaos.jump_every), sim_jump_clocks, NULL);
	if (w->chaos.lose_every > 0)
		sim_post(w, -1, sim_about(w, w->chaos.lose_every), lose_somebody, NULL);
	if (w->chaos.operate_every > 0)
		sim_post(w, -1, sim_about(w, w->chaos.operate_every), sim_operate, NULL);
}

void
sim_heal(World *w)
{
	sim_say(w, -1, "=== no more faults");
	w->healing = true;
	memset(w->cut, 0, sizeof(w->cut));
	w->chaos.loss = 0;
	w->chaos.slow_disk = 0;
	w->chaos.repeat = 0;
	w->chaos.learn_loss = w->chaos.fetch_loss = w->chaos.answer_loss = 0;
	if (w->chaos.delay > 20 * MS)
		w->chaos.delay = 20 * MS;
	memset(w->slow, 0, sizeof(w->slow));
	sim_wake_paused(w);
	for (int i = 0; i < w->n; i++)
	{
		fit_again(w, i, NULL);
		if (w->at[w->region[i].place] != i)
			old_primary_ends(w, i, NULL);
		sim_restart(w, i, NULL);
	}
}
