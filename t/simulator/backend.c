/*
 * backend.c: clients' transactions at their origin ("Committing a change", steps 1 to 5), and the applier.
 */
#include "sim.h"

#include <string.h>

static void attempt_begin(World *w, int region, void *p);
static void final_check(World *w, int region, void *p);
static void final_late(World *w, int region, void *p);

static void
release(World *w, Attempt *a)
{
	Region	   *r = &w->region[a->region];

	sim_unlock(w, a->region, &r->rows, a->session);
	sim_unlock(w, a->region, &r->ddl, a->session);
	a->holds_rows = false;
}

static void
finish(World *w, Attempt *a, ClientOutcome outcome, const char *why)
{
	release(w, a);
	sim_client_told(w, a, outcome, why);
}

/* ---------- step 1: before anything has run ---------- */

/* "release, wait for the live proposer, the settlement or the applier, and start again, all within quorum_timeout" */
static void
wait_and_start_again(World *w, Attempt *a)
{
	release(w, a);
	if (w->now >= a->deadline)
	{
		sim_lease_gave_up(w, a->region);
		finish(w, a, CLIENT_DEFINITE, "could not begin in time");
		return;
	}
	a->state = ATTEMPT_WAITING;
	a->session = ++w->next_session;
	sim_post_process(w, a->region, 20 * MS + sim_below(w, 100 * MS), attempt_begin, a);
}

/* "void ... originates nothing"; "suspended: its own DDL is refused"; a witness never does */
static bool
may_originate(World *w, const Attempt *a)
{
	const Region *r = &w->region[a->region];
	const SdMember *member = sim_member(sim_members(w, a->region, r->mem.head + 1), r->place);

	if (r->witness || !sim_takes_part(w, a->region))
		return false;
	return !member->suspended || a->change != MEMBER_NONE;
}

/* "Wait for the live proposer", a moment; what it holds then is asked for, or settled by phase 1. */
static bool
is_our_turn(World *w, Attempt *a)
{
	const Tables *t = &w->region[a->region].mem;

	if (a->asked == 0)
		a->asked = sim_clock(w, a->region);
	return !t->accepted[t->head + 1].known || sim_clock(w, a->region) - a->asked >= YIELD;
}

static void
attempt_locked(World *w, int region, void *p)
{
	Attempt    *a = p;
	Region	   *r = &w->region[region];
	const Tables *t = &r->mem;

	if (a->state != ATTEMPT_LOCKING)
		return;
	if (!may_originate(w, a))
	{
		finish(w, a, CLIENT_DEFINITE, "not a member that may change anything");
		return;
	}
	if (t->head >= MAX_VERSION - (a->retry ? 2 : 40))
	{
		finish(w, a, CLIENT_DEFINITE, "enough for one schedule");
		return;
	}
	if (SIM_MISTAKE(ALPHA2) && !w->chaos.calm && a->change == MEMBER_NONE && sim_identity_valid(w, region) &&
		t->applied == t->head && t->accepted[t->head + 1].known && r->changing == NULL)
	{
		a->state = ATTEMPT_PREPARING;
		sim_coordinator_change(w, region, a, t->head + 2);
		return;
	}
	if (!sim_identity_valid(w, region) || t->head < a->wait_for || (t->applied != t->head && !sim_take_back_here(r, a)) ||
		r->changing != NULL || r->settle.active || !is_our_turn(w, a) ||
		!sim_lease_may_try(w, a, &sim_members(w, region, t->head + 1)->config))
	{
		wait_and_start_again(w, a);
		return;
	}
	a->state = ATTEMPT_PREPARING;
	sim_coordinator_change(w, region, a, t->head + 1);
}

static void
attempt_late(World *w, int region, void *p)
{
	Attempt    *a = p;

	(void) region;
	if (a->state == ATTEMPT_LOCKING)
		finish(w, a, CLIENT_DEFINITE, "the DDL lock was not to be had in time");
}

static void
attempt_begin(World *w, int region, void *p)
{
	Attempt    *a = p;

	if (a->state != ATTEMPT_WAITING)
		return;
	a->state = ATTEMPT_LOCKING;
	sim_lock(w, region, &w->region[region].ddl, a->session, QUORUM_TIMEOUT, attempt_locked, attempt_late, a);
}

/* What they waited for may be there: who waits tries now. */
void
sim_backend_hurry(World *w, int region)
{
	for (int i = 1; i <= w->n_attempts; i++)
	{
		if (w->attempt[i]->region == region && w->attempt[i]->state == ATTEMPT_WAITING)
			sim_post_process(w, region, 1, attempt_begin, w->attempt[i]);
	}
}

static void
maybe_cancel(World *w, int region, void *p)
{
	(void) region;
	sim_client_cancel(w, p);
}

void
sim_client_begin(World *w, Attempt *a)
{
	int			region = a->region;

	a->session = ++w->next_session;
	a->deadline = w->now + QUORUM_TIMEOUT;
	a->state = ATTEMPT_WAITING;
	sim_say(w, region, "client begins %s", sim_entry(w, a->entry));
	if (!w->healing && sim_chance(w, w->chaos.client_cancel))
		sim_post_process(w, region, sim_below(w, 3 * SECOND), maybe_cancel, a);
	attempt_begin(w, region, a);
}

Attempt *
sim_client_start(World *w, int region, bool retry)
{
	int			entry = w->n_attempts >= MAX_CHANGES && !retry ? 0 : sim_new_entry(w, region, false);

	if (entry == 0)
		return NULL;
	w->attempt[entry]->retry = retry;
	sim_work_draw(w, w->attempt[entry]);
	sim_client_begin(w, w->attempt[entry]);
	return w->attempt[entry];
}

/* the same with a config entry; incarnation: the target's, when this was asked for */
Attempt *
sim_member_change_start(World *w, int region, MemberChange change, int target, uint64_t life, int32_t incarnation)
{
	int			entry = sim_new_entry(w, region, false);
	Attempt    *a;

	if (entry == 0)
		return NULL;
	a = w->attempt[entry];
	a->retry = w->healing;
	a->change = change;
	a->target = target;
	a->life = life;
	a->incarnation = incarnation;
	sim_client_begin(w, a);
	return a;
}

/* ---------- step 2: the statements; then step 3: pre-commit ---------- */

static void
propose(World *w, int region, void *p)
{
	Attempt    *a = p;

	if (a->state != ATTEMPT_PROPOSED)
		return;
	sim_say(w, region, "pre-commit of %s for version %lld", sim_entry(w, a->entry), (long long) a->version);
	sim_coordinator_propose(w, region, a);
}

static void
own_vote_first(World *w, int region, void *p)
{
	Attempt    *a = p;

	if (a->state != ATTEMPT_PROPOSED)
		return;
	a->holds_rows = true;
	propose(w, region, p);
}

static void
statements_done(World *w, int region, void *p)
{
	Attempt    *a = p;

	if (a->state != ATTEMPT_RUNNING)
		return;
	if (w->region[region].changing != a)
	{
		/* the coordinator that held the ballot is gone: nothing of this entry was ever sent */
		finish(w, a, CLIENT_DEFINITE, "the coordinator was restarted");
		return;
	}
	if (!w->healing && sim_chance(w, w->chaos.client_rollback))
	{
		sim_coordinator_close(w, region, a);
		return;
	}
	if ((a->change != MEMBER_NONE && (a->members = sim_build_members(w, a)) == NULL) || !sim_work_build(w, a))
	{
		sim_say(w, region, "%s is refused", sim_entry(w, a->entry));
		sim_coordinator_close(w, region, a);
		return;
	}
	sim_hlc_label(w, region, a);
	a->state = ATTEMPT_PROPOSED;
	if (SIM_MISTAKE(SELF_FIRST))
		sim_lock(w, region, &w->region[region].rows, a->session, 0, own_vote_first, own_vote_first, a);
	else
		propose(w, region, a);
}

void
sim_backend_granted(World *w, Attempt *a)
{
	if (a->state != ATTEMPT_PREPARING)
		return;
	a->state = ATTEMPT_RUNNING;
	a->granted = w->now;
	sim_say(w, a->region, "statements of %s run", sim_entry(w, a->entry));
	if (SIM_MISTAKE(ALPHA2) && a->version > w->region[a->region].mem.applied + 1)
		sim_unlock(w, a->region, &w->region[a->region].ddl, a->session);
	/* now and then somebody forgets an open transaction */
	sim_post_process(w, a->region, !w->healing && sim_chance(w, w->chaos.forget) ? 8 * SECOND :
					 sim_about(w, w->chaos.statements), statements_done, a);
}

/* ---------- the own vote ---------- */

typedef struct OwnVote
{
	Attempt    *a;
	SdOwnVote	what;
} OwnVote;

static void
own_vote_told(World *w, int region, void *p)
{
	OwnVote    *vote = p;

	sim_coordinator_own_vote(w, region, vote->a, vote->what);
}

static void
tell_own_vote(World *w, Attempt *a, SdOwnVote what)
{
	OwnVote    *vote = sim_alloc(w, sizeof(OwnVote));

	vote->a = a;
	vote->what = what;
	sim_post_coordinator(w, a->region, 1 + sim_below(w, 300), own_vote_told, vote);
}

/*
 * What the transaction has run is applied with it.  Who takes back what it has not applied, or says that something failed
 * here, has run nothing: that is left to the applier.
 */
static void
apply_own(World *w, int region, const Attempt *a)
{
	bool		ran = a->work == WORK_PLAIN || a->work == WORK_ONLINE;
	Applying	what = ran ? APPLY_RUN : sim_work_look(w, region, a->version);

	if (ran || (w->region[region].mem.applied == a->version - 1 && what != APPLY_HALT))
		sim_store_applied(w, region, a->version, a->entry, what == APPLY_SKIP);
}

/* "The commit record is the decision." */
static void
commit(World *w, int region, void *p)
{
	Attempt    *a = p;
	Region	   *r = &w->region[region];
	bool		new_row = r->mem.head < a->version;

	if (a->state != ATTEMPT_COMMITTING)
		return;
	if (!a->chosen)
	{
		sim_store_accepted(w, region, a->version, &a->ballot, a->entry);
		sim_store_promise(w, region, &a->ballot);
	}
	if (new_row)
		sim_store_log(w, region, a->version, a->entry);
	apply_own(w, region, a);
	sim_commit(w, region);
	sim_say(w, region, "%s is committed at version %lld, ballot %s", sim_entry(w, a->entry), (long long) a->version,
			sim_ballot(w, &a->ballot));
	finish(w, a, CLIENT_SUCCESS, "committed");
	if (sim_crash_point(w, region, "after the commit, before the learn"))
		return;
	tell_own_vote(w, a, SD_OWN_COMMITTED);
	sim_applier_wake(w, region);
}

/* ALPHA2: its turn has not come, because the version before is not in the log and applied yet */
static void
final_again(World *w, int region, void *p)
{
	Attempt    *a = p;

	if (a->state == ATTEMPT_FINAL)
		sim_lock(w, region, &w->region[region].rows, a->session, LOCK_TIMEOUT, final_check, final_late, a);
}

/* step 3's end: "take the row locks in order under our own short lock_timeout; if the log already holds s ..." */
static void
final_check(World *w, int region, void *p)
{
	Attempt    *a = p;
	Region	   *r = &w->region[region];
	SdAcceptorView view;
	SdEntryRef	entry = sim_entry_ref(a->entry);
	SdChain		chain = sim_chain(a->chain);

	if (a->state != ATTEMPT_FINAL)
		return;
	if (SIM_MISTAKE(ALPHA2) && r->mem.applied == a->version - 1 && r->ddl.holder == 0)
		r->ddl.holder = a->session;
	if (SIM_MISTAKE(ALPHA2) && (r->mem.applied != a->version - 1 || r->ddl.holder != a->session))
	{
		sim_unlock(w, region, &r->rows, a->session);
		sim_post_process(w, region, 50 * MS, w->now < a->deadline + QUORUM_TIMEOUT ? final_again : final_late, a);
		return;
	}
	sim_view(w, region, a->version, &view);
	if (SIM_MISTAKE(PAUSED_HOLDER) && a->trusts_lease)
		view.promised = a->ballot;
	switch (sd_acceptor_final(&view, &a->ballot, a->version, &chain, &entry, a->chosen))
	{
		case SD_FINAL_VOTE:
			a->chosen = false;
			break;
		case SD_FINAL_CHOSEN:
			a->chosen = true;
			break;
		case SD_FINAL_PREEMPTED:
			sim_say(w, region, "final check of %s: own promise %s is above %s", sim_entry(w, a->entry),
					sim_ballot(w, &view.promised), sim_ballot(w, &a->ballot));
			sim_unlock(w, region, &r->rows, a->session);
			a->state = ATTEMPT_PROPOSED;
			if (r->changing == a)
				tell_own_vote(w, a, SD_OWN_PREEMPTED);
			else
				finish(w, a, CLIENT_UNKNOWN, "preempted, and the coordinator is gone");
			return;
		case SD_FINAL_LOST:
			tell_own_vote(w, a, SD_OWN_LOST);
			finish(w, a, CLIENT_DEFINITE, "another entry was chosen");
			return;
		default:
			tell_own_vote(w, a, SD_OWN_ABORTED);
			finish(w, a, CLIENT_UNKNOWN, "own state does not permit the commit");
			return;
	}
	if (!w->healing && sim_chance(w, w->chaos.late_failure))
	{
		sim_say(w, region, "%s fails after its final check", sim_entry(w, a->entry));
		tell_own_vote(w, a, SD_OWN_ABORTED);
		finish(w, a, CLIENT_UNKNOWN, "failed in commit");
		return;
	}
	a->state = ATTEMPT_COMMITTING;
	if (sim_crash_point(w, region, "before the commit record"))
		return;
	sim_post_process(w, region, sim_flush_time(w, region), commit, a);
}

static void
final_late(World *w, int region, void *p)
{
	Attempt    *a = p;

	(void) region;
	if (a->state != ATTEMPT_FINAL)
		return;
	tell_own_vote(w, a, SD_OWN_ABORTED);
	finish(w, a, CLIENT_UNKNOWN, "own rows were locked for too long");
}

void
sim_backend_ready(World *w, Attempt *a, const SdBallot *ballot, bool chosen)
{
	if (a->state != ATTEMPT_PROPOSED)
		return;
	a->state = ATTEMPT_FINAL;
	a->ballot = *ballot;
	a->chosen = chosen;
	if (a->holds_rows)
		final_check(w, a->region, a);
	else
		sim_lock(w, a->region, &w->region[a->region].rows, a->session, LOCK_TIMEOUT, final_check, final_late, a);
}

/* ---------- how it ends ---------- */

void
sim_backend_done(World *w, Attempt *a, SdOutcome outcome)
{
	/* between the final check and the commit record nothing from outside can stop it any more */
	if (a->state == ATTEMPT_FINAL || a->state == ATTEMPT_COMMITTING)
		return;
	switch (outcome)
	{
		case SD_OUTCOME_TAKEN:
		case SD_OUTCOME_PREEMPTED:
		case SD_OUTCOME_LEASED:
			if (a->state == ATTEMPT_PREPARING)
			{
				if (outcome == SD_OUTCOME_TAKEN)
					a->wait_for = a->version;
				wait_and_start_again(w, a);
				return;
			}
			finish(w, a, CLIENT_DEFINITE, "the version went to another");
			break;
		case SD_OUTCOME_NO_QUORUM:
			finish(w, a, CLIENT_DEFINITE, "no quorum");
			break;
		case SD_OUTCOME_NOTHING_SENT:
			finish(w, a, CLIENT_DEFINITE, "nothing was sent");
			break;
		case SD_OUTCOME_LOST:
			finish(w, a, CLIENT_DEFINITE, "lost to another entry");
			break;
		case SD_OUTCOME_REFUSED:
			finish(w, a, CLIENT_DEFINITE, "refused by everybody");
			break;
		case SD_OUTCOME_UNKNOWN:
			finish(w, a, CLIENT_UNKNOWN, "not settled in time");
			break;
		default:
			break;
	}
}

void
sim_client_cancel(World *w, Attempt *a)
{
	switch (a->state)
	{
		case ATTEMPT_LOCKING:
		case ATTEMPT_WAITING:
			finish(w, a, CLIENT_DEFINITE, "cancelled");
			break;
		case ATTEMPT_PREPARING:
		case ATTEMPT_RUNNING:
		case ATTEMPT_PROPOSED:
			sim_say(w, a->region, "client cancels %s", sim_entry(w, a->entry));
			a->state = ATTEMPT_RUNNING;	/* deaf to "ready" from here on */
			sim_coordinator_close(w, a->region, a);
			break;
		case ATTEMPT_FINAL:
		case ATTEMPT_COMMITTING:
		case ATTEMPT_OVER:
			break;				/* interrupts are held */
	}
}

void
sim_backend_coordinator_gone(World *w, int region)
{
	for (int i = 1; i <= w->n_attempts; i++)
	{
		Attempt    *a = w->attempt[i];

		if (a->region != region)
			continue;
		if (a->state == ATTEMPT_PREPARING)
			finish(w, a, CLIENT_DEFINITE, "the coordinator died");
		else if (a->state == ATTEMPT_PROPOSED)
			finish(w, a, CLIENT_UNKNOWN, "the coordinator died");
	}
}

/* the whole server died: connections are lost, in the middle of whatever it was */
void
sim_backend_processes_gone(World *w, int region)
{
	for (int i = 1; i <= w->n_attempts; i++)
	{
		Attempt    *a = w->attempt[i];

		if (a->region != region || a->state == ATTEMPT_OVER)
			continue;
		if (a->state == ATTEMPT_PROPOSED || a->state == ATTEMPT_FINAL || a->state == ATTEMPT_COMMITTING)
			sim_client_told(w, a, CLIENT_UNKNOWN, "connection lost in commit");
		else
			sim_client_told(w, a, CLIENT_DEFINITE, "connection lost before commit");
	}
}

/* ---------- the applier ---------- */

typedef struct Apply
{
	int64_t		session;
	int64_t		version;
} Apply;

static void
apply_retry(World *w, int region, void *p)
{
	(void) p;
	w->region[region].applier_running = false;
	sim_applier_wake(w, region);
}

/* "It halts at s, keeps its state, goes on learning and voting, ... retries" */
static void
apply_again(World *w, int region, const Apply *apply)
{
	Region	   *r = &w->region[region];

	if (!r->halted)
	{
		sim_say(w, region, "cannot apply version %lld", (long long) apply->version);
		w->times[SIM_HALTED]++;
	}
	r->halted = true;
	sim_unlock(w, region, &r->ddl, apply->session);
	sim_post_process(w, region, 100 * MS + sim_below(w, 300 * MS), apply_retry, NULL);
}

static void
apply_commit(World *w, int region, void *p)
{
	Apply	   *apply = p;
	Region	   *r = &w->region[region];

	/* "UPDATE ... SET version = s WHERE version = s - 1, one row or error" */
	if (r->mem.applied == apply->version - 1 || SIM_MISTAKE(NO_CAS))
	{
		Applying	what = sim_work_look(w, region, apply->version);

		if (what == APPLY_HALT)
		{
			apply_again(w, region, apply);
			return;
		}
		sim_say(w, region, "%s %s, version %lld", what == APPLY_SKIP ? "skips" : "applies",
				sim_entry(w, r->mem.log[apply->version]), (long long) apply->version);
		sim_store_applied(w, region, apply->version, r->mem.log[apply->version], what == APPLY_SKIP);
		sim_commit(w, region);
	}
	r->halted = false;
	sim_unlock(w, region, &r->ddl, apply->session);
	r->applier_running = false;
	sim_applier_wake(w, region);
}

static void
apply_run(World *w, int region, void *p)
{
	sim_post_process(w, region, sim_about(w, 5 * MS), apply_commit, p);
}

void
sim_applier_wake(World *w, int region)
{
	Region	   *r = &w->region[region];
	Apply	   *apply;

	if (r->applier_running || r->witness || r->mem.applied >= r->mem.head)
		return;
	r->applier_running = true;
	apply = sim_alloc(w, sizeof(Apply));
	apply->session = ++w->next_session;
	apply->version = r->mem.applied + 1;
	sim_lock(w, region, &r->ddl, apply->session, 0, apply_run, NULL, apply);
}
