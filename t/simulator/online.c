/*
 * online.c: entries whose work cannot be part of a commit: agreed first, done afterwards in each region, and then a result.
 */
#include "sim.h"

#define RESULT_TURN		(2 * SECOND)	/* who is not the origin waits for so long, and the next one for as long again */

/* ---------- the work in each region ---------- */

typedef struct Step
{
	int64_t		version;
	TaskState	to;
} Step;

/* what this region's share is waiting for: TASK_NONE if there is nothing to do */
static TaskState
next_state(World *w, int region, int64_t version)
{
	const Tables *t = &w->region[region].mem;
	int64_t		result = sim_result_of(w, t, version);

	if (result != 0 && w->attempt[t->log[result]]->result != RESULT_OK)
		return t->task[version] == TASK_CLEANED ? TASK_NONE : TASK_CLEANED;
	if (t->task[version] == TASK_OPEN)
		return TASK_BEGUN;
	/* what was chosen to be well is tried until it is */
	if (t->task[version] == TASK_BEGUN || (t->task[version] == TASK_FAILED && result != 0))
		return (w->attempt[t->log[version]]->poison & (1u << w->region[region].place)) ? TASK_FAILED : TASK_DONE;
	return TASK_NONE;
}

static void
task_step(World *w, int region, void *p)
{
	Step	   *work = p;
	Region	   *r = &w->region[region];

	r->task_running = false;
	/* a look at the table again: a result may have come, and been applied, meanwhile */
	if (r->mem.task[work->version] == TASK_NONE || next_state(w, region, work->version) != work->to)
		return;
	if (r->mem.task[work->version] == work->to)
		return;
	sim_say(w, region, "online version %lld: %s", (long long) work->version,
			work->to == TASK_BEGUN ? "begun" : work->to == TASK_DONE ? "done" : work->to == TASK_FAILED ? "failed" : "cleaned up");
	r->mem.task[work->version] = work->to;
	sim_commit(w, region);
	sim_applier_wake(w, region);
}

/* "One process a database works on one task at a time, in the order of versions." */
static void
work_on(World *w, int region)
{
	Region	   *r = &w->region[region];

	for (int64_t v = 2; v <= r->mem.applied && !r->task_running; v++)
	{
		TaskState	to;
		Step	   *work;

		if (r->mem.task[v] == TASK_NONE || (to = next_state(w, region, v)) == TASK_NONE || to == r->mem.task[v])
			continue;
		work = sim_alloc(w, sizeof(Step));
		work->version = v;
		work->to = to;
		r->task_running = true;
		sim_post_process(w, region, sim_about(w, to == TASK_DONE || to == TASK_FAILED ? 200 * MS : 5 * MS), task_step, work);
	}
}

/* ---------- the result ---------- */

typedef enum Verdict
{
	VERDICT_WAIT,
	VERDICT_OK,
	VERDICT_FAILED
} Verdict;

/* "When every serving region (not witness, not suspended) is done, or one has failed" */
static Verdict
judge(World *w, int region, int64_t version)
{
	const Region *r = &w->region[region];
	const Members *m = sim_members(w, region, r->mem.head + 1);
	Verdict		verdict = VERDICT_OK;

	for (int i = 0; i < m->config.n; i++)
	{
		const SdMember *member = &m->config.member[i];
		const Told *told = &r->told[m->place[i]];
		TaskState	state = m->place[i] == r->place ? (TaskState) r->mem.task[version] :
			told->incarnation == member->incarnation || SIM_MISTAKE(STALE_REPORT) ? (TaskState) told->task[version] : TASK_NONE;

		if (member->role == SD_ROLE_WITNESS || w->region[w->at[m->place[i]]].witness || member->suspended)
			continue;
		if (state == TASK_FAILED)
			return VERDICT_FAILED;
		if (state != TASK_DONE)
			verdict = VERDICT_WAIT;
	}
	return verdict == VERDICT_OK && r->mem.task[version] != TASK_DONE ? VERDICT_WAIT : verdict;
}

void
sim_result_start(World *w, int region, int64_t version, Result result)
{
	int			entry = sim_new_entry(w, region, false);
	Attempt    *a;

	if (entry == 0)
		return;
	a = w->attempt[entry];
	a->work = WORK_RESULT;
	a->result = result;
	a->of_version = version;
	a->relation = w->attempt[w->region[region].mem.log[version]]->relation;
	a->retry = w->healing;
	sim_client_begin(w, a);
}

/* "Whoever gets the version looks again, and finds it there." */
bool
sim_result_build(World *w, Attempt *a)
{
	const Tables *t = &w->region[a->region].mem;
	Verdict		verdict;

	if (sim_result_of(w, t, a->of_version) != 0 && !SIM_MISTAKE(SECOND_RESULT))
		return false;
	if (a->result == RESULT_CANCELLED)
		return true;
	sim_note_reported(w, a->region);
	verdict = judge(w, a->region, a->of_version);
	if (verdict == VERDICT_WAIT && SIM_MISTAKE(SECOND_RESULT))
		return true;
	return a->result == (verdict == VERDICT_OK ? RESULT_OK : RESULT_FAILED) && verdict != VERDICT_WAIT;
}

/* "A region applies a result when its own task is settled: done for ok, cleaned up for failed and cancelled." */
bool
sim_result_may_apply(World *w, int region, int64_t version)
{
	const Tables *t = &w->region[region].mem;
	const Attempt *a = w->attempt[t->log[version]];

	if (SIM_MISTAKE(RESULT_EARLY))
		return true;
	return t->task[a->of_version] == (a->result == RESULT_OK ? TASK_DONE : TASK_CLEANED);
}

/* Whose turn is it to propose a result?  The origin's, then the others' one after the other. */
static bool
is_my_turn(World *w, int region, int64_t version)
{
	const Region *r = &w->region[region];
	int			origin = w->region[w->attempt[r->mem.log[version]]->region].place;
	int			turns = (r->place - origin + w->places) % w->places;

	return w->now - r->open_since[version] >= turns * RESULT_TURN;
}

static bool
is_proposing(World *w, int region)
{
	for (int i = w->n_attempts; i >= 1; i--)
	{
		const Attempt *a = w->attempt[i];

		if (a->region == region && a->outcome == CLIENT_OPEN && a->work == WORK_RESULT)
			return true;
	}
	return false;
}

/* The coordinator's look at what is open: start the work, propose results. */
void
sim_online_look(World *w, int region, void *p)
{
	Region	   *r = &w->region[region];
	bool		proposing = w->n_attempts >= MAX_CHANGES && !w->healing;

	(void) p;
	if (!r->witness)
		work_on(w, region);
	for (int i = w->n_attempts; i >= 1; i--)
		proposing |= w->attempt[i]->region == region && w->attempt[i]->outcome == CLIENT_OPEN && w->attempt[i]->work == WORK_RESULT;
	for (int64_t v = 2; v <= r->mem.applied && !proposing && !r->witness && sim_takes_part(w, region); v++)
	{
		Verdict		verdict;

		if (w->attempt[r->mem.log[v]]->work != WORK_ONLINE || sim_result_of(w, &r->mem, v) != 0 || !is_my_turn(w, region, v))
			continue;
		verdict = judge(w, region, v);
		if (verdict == VERDICT_WAIT || is_proposing(w, region))
			continue;
		sim_result_start(w, region, v, verdict == VERDICT_OK ? RESULT_OK : RESULT_FAILED);
		proposing = true;
	}
	sim_post_coordinator(w, region, 100 * MS + sim_below(w, 200 * MS), sim_online_look, NULL);
}

/* ---------- from above ---------- */

int64_t
sim_open_task(const Tables *t)
{
	for (int64_t v = 2; v <= t->applied; v++)
	{
		if (t->task[v] != TASK_NONE)
			return v;
	}
	return 0;
}

/* It tells others, or its own proposer, how far its shares are. */
void
sim_note_reported(World *w, int region)
{
	const Region *r = &w->region[region];

	for (int64_t v = 2; v <= r->mem.applied; v++)
	{
		if (r->mem.task[v] == TASK_DONE)
			w->done[v][r->place] |= 1u << r->mem.incarnation;
	}
}

/* An entry is chosen: one result for each online entry, by what everybody has done; others keep off the relation. */
void
sim_check_online(World *w, int64_t version, int entry)
{
	const Attempt *a = w->attempt[entry];
	const Members *m = sim_true_members(w, version);

	if (a->noop || a->change != MEMBER_NONE)
		return;
	for (int64_t v = 2; v < version; v++)
	{
		const Attempt *b = w->attempt[w->chosen[v]];

		if (b->work == WORK_ONLINE && b->relation == a->relation && a->work != WORK_RESULT && !w->finished[v])
			sim_violation(w, 15, "%s is chosen at version %lld while online version %lld works on the same relation",
						  sim_entry(w, entry), (long long) version, (long long) v);
	}
	if (a->work != WORK_RESULT)
		return;
	if (w->finished[a->of_version])
		sim_violation(w, 15, "%s is a second result of online version %lld", sim_entry(w, entry), (long long) a->of_version);
	w->finished[a->of_version] = true;
	w->times[a->result == RESULT_OK ? SIM_ONLINE : SIM_NOT_WELL]++;
	for (int i = 0; i < m->config.n && a->result == RESULT_OK; i++)
	{
		const SdMember *member = &m->config.member[i];

		if (member->suspended || w->region[w->at[m->place[i]]].witness)
			continue;
		if (!(w->done[a->of_version][m->place[i]] & (1u << member->incarnation)))
			sim_violation(w, 15, "%s says that all is well with online version %lld, which %s has not done",
						  sim_entry(w, entry), (long long) a->of_version, member->region);
	}
}

/* "So a version after the result finds the same schema everywhere." */
void
sim_check_task(World *w, int region, int64_t version)
{
	const Region *r = &w->region[region];
	const Attempt *a = w->attempt[r->mem.log[version]];

	if (!r->witness && r->mem.task[a->of_version] != (a->result == RESULT_OK ? TASK_DONE : TASK_CLEANED))
		sim_violation(w, 15, "%s applies the result of online version %lld, and its own share is not settled", r->label,
					  (long long) a->of_version);
}
