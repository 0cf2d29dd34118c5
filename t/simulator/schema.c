/*
 * schema.c: what entries do to a region's schema, regions that cannot apply one, and taking entries back.
 *
 * A schema is a number for each of a few relations: the sum of the entries that changed it and were not taken back.  So a
 * digest is the number itself, and what the log makes of it can be computed from above.  Some entries need what an earlier one
 * made in another relation while they run (they call a function, say): nothing keeps that one from being taken back later.
 */
#include "sim.h"

#include <string.h>

static uint64_t
effect(int entry)
{
	return ((uint64_t) entry + 1) * UINT64_C(0x9E3779B97F4A7C15);
}

static bool
is_plain(const Attempt *a)
{
	return !a->noop && a->change == MEMBER_NONE && a->work == WORK_PLAIN;
}

/* ---------- what the log says ---------- */

/* The version that takes this one back, as far as this server's log goes; 0: none. */
static int64_t
taken_back(World *w, const Tables *t, int64_t version)
{
	for (int64_t v = version + 1; v <= t->head; v++)
	{
		const Attempt *a = w->attempt[t->log[v]];

		if (a->work == WORK_TAKE_BACK && a->of_version == version)
			return v;
	}
	return 0;
}

/* The version of an online entry's result; 0: it is open. */
int64_t
sim_result_of(World *w, const Tables *t, int64_t version)
{
	for (int64_t v = version + 1; v <= t->head; v++)
	{
		const Attempt *a = w->attempt[t->log[v]];

		if (a->work == WORK_RESULT && a->of_version == version)
			return v;
	}
	return 0;
}

/* From which version on it counts as having changed its relation; 0: it never did. */
static int64_t
changed_at(World *w, const Tables *t, int64_t version)
{
	const Attempt *a = w->attempt[t->log[version]];
	int64_t		result;

	if (is_plain(a))
		return version;
	if (a->work != WORK_ONLINE || (result = sim_result_of(w, t, version)) == 0)
		return 0;
	return w->attempt[t->log[result]]->result == RESULT_OK ? result : 0;
}

/* "revert refuses while a later, unreverted version touches the same objects" */
static bool
may_take_back(World *w, const Tables *t, int64_t version)
{
	int64_t		changed = changed_at(w, t, version);

	if (changed == 0 || taken_back(w, t, version) != 0)
		return false;
	for (int64_t v = 2; v <= t->head; v++)
	{
		if (v != version && w->attempt[t->log[v]]->relation == w->attempt[t->log[version]]->relation &&
			changed_at(w, t, v) > changed && taken_back(w, t, v) == 0)
			return false;
	}
	return true;
}

/* Is an online entry under way on this relation?  (55006) */
static bool
is_busy(World *w, const Tables *t, int relation)
{
	for (int64_t v = 2; v <= t->head; v++)
	{
		const Attempt *a = w->attempt[t->log[v]];

		if (a->work == WORK_ONLINE && a->relation == relation && sim_result_of(w, t, v) == 0)
			return true;
	}
	return false;
}

/* ---------- proposing ---------- */

/* A new change: to which relation, and where it cannot be applied. */
void
sim_work_draw(World *w, Attempt *a)
{
	a->relation = (int) sim_below(w, RELATIONS);
	if (w->fair.going)
		return;
	if (sim_chance(w, w->chaos.online))
		a->work = WORK_ONLINE;
	if (!w->healing && sim_chance(w, w->chaos.poison))
		a->poison = (unsigned) sim_below(w, 1 << w->places);
	a->depends = sim_chance(w, w->chaos.depends);
}

/* The newest version that this one could depend on, in another relation; 0: none. */
static int64_t
needed(World *w, const Tables *t, const Attempt *a)
{
	for (int64_t v = t->head; v >= 2; v--)
	{
		const Attempt *other = w->attempt[t->log[v]];

		if (is_plain(other) && other->relation != a->relation && taken_back(w, t, v) == 0)
			return v;
	}
	return 0;
}

/*
 * A person takes something back: by the log of the region asked, where it need not have been applied.  An online entry
 * that is under way is cancelled.
 */
void
sim_take_back_start(World *w, int region, int64_t version)
{
	const Tables *t = &w->region[region].mem;
	int			target = t->log[version];
	Attempt    *a;
	int			entry;

	if (w->attempt[target]->work == WORK_ONLINE && sim_result_of(w, t, version) == 0)
	{
		sim_result_start(w, region, version, RESULT_CANCELLED);
		return;
	}
	if (!may_take_back(w, t, version) || (entry = sim_new_entry(w, region, false)) == 0)
		return;
	a = w->attempt[entry];
	a->work = WORK_TAKE_BACK;
	a->of_version = version;
	a->relation = w->attempt[target]->relation;
	a->retry = w->healing;
	sim_client_begin(w, a);
}

/* Has every region that serves applied this, as far as this one was told? */
static bool
is_applied_everywhere(World *w, int region, int64_t version)
{
	const Region *r = &w->region[region];
	const Members *m = sim_members(w, region, r->mem.head + 1);

	for (int i = 0; i < m->config.n; i++)
	{
		const Told *told = &r->told[m->place[i]];

		if (m->place[i] == r->place || m->config.member[i].role == SD_ROLE_WITNESS)
			continue;
		if (told->incarnation != m->config.member[i].incarnation || told->applied < version)
			return false;
	}
	return true;
}

/* Does this take back what was not applied here?  Then it does not wait for the applier. */
bool
sim_take_back_here(const Region *r, const Attempt *a)
{
	return a->work == WORK_TAKE_BACK && r->mem.applied < a->of_version;
}

/* Pre-commit, with the head of the log in hand.  False: it is refused. */
bool
sim_work_build(World *w, Attempt *a)
{
	const Region *r = &w->region[a->region];
	const Tables *t = &r->mem;

	if (a->noop || a->change != MEMBER_NONE)
		return true;
	if (a->work == WORK_RESULT)
		return sim_result_build(w, a);
	if (is_busy(w, t, a->relation) && !SIM_MISTAKE(NO_55006))
		return false;
	if (a->work == WORK_TAKE_BACK)
	{
		if (!may_take_back(w, t, a->of_version))
			return false;
		a->supersedes = !is_applied_everywhere(w, a->region, a->of_version);
	}
	else if (a->work == WORK_PLAIN)
	{
		a->digest = t->schema[a->relation] + effect(a->entry);
		a->needs = a->depends ? needed(w, t, a) : 0;
	}
	return true;
}

/* ---------- applying ---------- */

/* Does this text run here, and leave what it left at its origin? */
static bool
runs(const Region *r, const Attempt *a)
{
	const Tables *t = &r->mem;
	unsigned	here = 1u << r->place;

	if (a->needs != 0 && t->skipped[a->needs] && !(a->by_hand & here))
		return false;
	return !(a->poison & here) && t->schema[a->relation] + effect(a->entry) == a->digest;
}

/*
 * "It halts at s": can this version be applied here now?  "The applier looks ahead in the log for it when s fails": what fails
 * and is taken back later is skipped, and so is what takes that back.
 */
Applying
sim_work_look(World *w, int region, int64_t version)
{
	const Region *r = &w->region[region];
	const Tables *t = &r->mem;
	const Attempt *a = w->attempt[t->log[version]];

	if (is_plain(a))
	{
		int64_t		back = taken_back(w, t, version);

		if (SIM_MISTAKE(SKIP_UNTRIED) && back != 0 && w->attempt[t->log[back]]->supersedes)
			return APPLY_SKIP;
		if (!runs(r, a))
		{
			if (back != 0 || SIM_MISTAKE(SKIP_ALONE))
				return APPLY_SKIP;
			if (a->needs != 0 && t->untried[a->needs] && !(a->by_hand & (1u << r->place)))
				sim_violation(w, 7, "%s cannot apply version %lld: it has skipped version %lld, which could run there", r->label,
							  (long long) version, (long long) a->needs);
			return APPLY_HALT;
		}
	}
	if (a->work == WORK_TAKE_BACK && t->skipped[a->of_version])
		return APPLY_SKIP;
	if (a->work == WORK_RESULT && !sim_result_may_apply(w, region, version))
		return APPLY_HALT;
	return APPLY_RUN;
}

/* In the transaction that applies it: the origin's own, or the applier's. */
void
sim_work_apply(World *w, int region, int64_t version, bool skip)
{
	Tables	   *t = &w->region[region].mem;
	const Attempt *a = w->attempt[t->log[version]];

	t->skipped[version] = skip;
	if (is_plain(a) && skip)
	{
		t->untried[version] = runs(&w->region[region], a);
		t->n_skipped++;
		w->times[SIM_SKIPPED]++;
	}
	else if (is_plain(a))
		t->schema[a->relation] += effect(a->entry);
	else if (a->work == WORK_TAKE_BACK && skip)
		t->n_skipped--;
	else if (a->work == WORK_TAKE_BACK)
		t->schema[a->relation] -= effect(t->log[a->of_version]);
	else if (a->work == WORK_ONLINE)
	{
		t->task[version] = TASK_OPEN;
		w->region[region].open_since[version] = w->now;
	}
	else if (a->work == WORK_RESULT)
	{
		if (a->result == RESULT_OK)
			t->schema[a->relation] += effect(t->log[a->of_version]);
		sim_check_task(w, region, version);
		t->task[a->of_version] = TASK_NONE;
	}
	sim_check_schema(w, region, version);
}

/* ---------- from above ---------- */

/* What the log makes of the schema, version by version, while it is chosen. */
void
sim_note_schema(World *w, int64_t version, int entry)
{
	const Attempt *a = w->attempt[entry];

	memcpy(w->schema[version], w->schema[version - 1], sizeof(w->schema[version]));
	if (version == 1)
		return;
	if (is_plain(a))
		w->schema[version][a->relation] += effect(entry);
	else if (a->work == WORK_TAKE_BACK)
	{
		w->schema[version][a->relation] -= effect(w->chosen[a->of_version]);
		w->times[SIM_TAKEN_BACK]++;
	}
	else if (a->work == WORK_RESULT && a->result == RESULT_OK)
		w->schema[version][a->relation] += effect(w->chosen[a->of_version]);
	sim_check_online(w, version, entry);
}

/* Invariant 7: with nothing skipped that is not taken back yet, every region has what the log says. */
void
sim_check_schema(World *w, int region, int64_t version)
{
	const Region *r = &w->region[region];

	if (r->witness || r->mem.n_skipped > 0)
		return;
	if (memcmp(r->mem.schema, w->schema[version], sizeof(r->mem.schema)) != 0)
		sim_violation(w, 7, "the schema of %s at version %lld is not what the log says", r->label, (long long) version);
}

/* ---------- people who look after it ---------- */

/* some version worth taking back: where the region is halted, or any of the newest */
static int64_t
candidate(World *w, int region, bool halted)
{
	const Tables *t = &w->region[region].mem;
	int64_t		v = halted ? t->applied + 1 : t->head - sim_below(w, 4);

	return v >= 2 && v <= t->head ? v : 0;
}

/* Who is halted has the cause mended, or it is taken back, there or elsewhere; now and then anything is taken back. */
void
sim_look_after(World *w, int region, void *p)
{
	(void) region;
	(void) p;
	for (int place = 0; place < w->places; place++)
	{
		Region	   *r = &w->region[w->at[place]];
		int			asked = w->at[sim_below(w, w->places)];
		int64_t		version;

		if (!r->up || r->paused_until > w->now || !w->region[asked].up)
			continue;
		if (r->mem.applied == r->mem.head)
			r->halted = false;
		if (r->halted && sim_chance(w, 0.3))
		{
			Attempt    *a = w->attempt[r->mem.log[r->mem.applied + 1]];

			sim_say(w, w->at[place], "what is in the way of version %lld is mended", (long long) r->mem.applied + 1);
			a->poison &= ~(1u << place);
			a->by_hand |= 1u << place;
			if (a->work == WORK_RESULT)
				w->attempt[r->mem.log[a->of_version]]->poison &= ~(1u << place);
		}
		else if (r->halted || sim_chance(w, w->healing ? 0 : w->chaos.take_back))
		{
			if (!r->halted || sim_chance(w, 0.5))
				asked = w->at[place];
			version = r->halted ? r->mem.applied + 1 : candidate(w, asked, false);
			if (version >= 2 && version <= w->region[asked].mem.head && sim_takes_part(w, asked) && !w->region[asked].witness)
				sim_take_back_start(w, asked, version);
		}
	}
	sim_post(w, -1, 200 * MS + sim_below(w, 800 * MS), sim_look_after, NULL);
}
