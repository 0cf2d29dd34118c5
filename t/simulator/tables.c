/*
 * tables.c: what regions store, and the invariants of protocol.md, checked where something changes.
 *
 * The checks look from above, at every region at once; nothing in them is known to the code under test.
 */
#include "sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void
sim_violation(World *w, int invariant, const char *format,...)
{
	va_list		args;

	if (w->violated != 0 || (w->harm_only && invariant >= 2 && invariant <= 5))
		return;
	w->violated = invariant;
	va_start(args, format);
	vsnprintf(w->violation, sizeof(w->violation), format, args);
	va_end(args);
	sim_say(w, -1, "*** invariant %d violated: %s", invariant, w->violation);
}

/* ---------- entries and chains ---------- */

SdEntryRef
sim_entry_ref(int entry)
{
	SdEntryRef	ref;

	memset(&ref, 0, sizeof(ref));
	memcpy(ref.id, &entry, sizeof(entry));
	memset(ref.sha, entry & 0xFF, sizeof(ref.sha));
	return ref;
}

int
sim_entry_number(const SdEntryRef *ref)
{
	int			entry;

	memcpy(&entry, ref->id, sizeof(entry));
	return entry;
}

SdChain
sim_chain(uint64_t chain)
{
	SdChain		c;

	memset(&c, 0, sizeof(c));
	memcpy(c.sha, &chain, sizeof(chain));
	return c;
}

uint64_t
sim_next_chain(uint64_t chain, int entry)
{
	return (chain ^ (uint64_t) entry) * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

int
sim_new_entry(World *w, int region, bool noop)
{
	Attempt    *a;

	if (w->n_attempts + 1 >= MAX_ENTRIES)
		return 0;
	a = sim_alloc(w, sizeof(Attempt));
	a->entry = ++w->n_attempts;
	a->region = region;
	a->noop = noop;
	a->started = w->now;
	a->state = noop ? ATTEMPT_OVER : ATTEMPT_LOCKING;
	w->attempt[a->entry] = a;
	return a->entry;
}

/* ---------- what an acceptor's transaction reads ---------- */

void
sim_view(World *w, int region, int64_t version, SdAcceptorView *view)
{
	const Tables *t = &w->region[region].mem;

	memset(view, 0, sizeof(*view));
	view->identity_valid = true;
	view->promised = t->promised;
	view->head = t->head;
	view->chain_known = version - 1 <= t->head;
	if (view->chain_known)
		view->chain = sim_chain(t->chain[version - 1]);
	view->chosen_known = version <= t->head;
	if (view->chosen_known)
		view->chosen = sim_entry_ref(t->log[version]);
	view->accepted_known = t->accepted[version].known;
	if (view->accepted_known)
	{
		view->accepted_ballot = t->accepted[version].ballot;
		view->accepted = sim_entry_ref(t->accepted[version].entry);
	}
}

/* ---------- evidence ---------- */

static Acceptance *
find_acceptance(World *w, int64_t version, const SdBallot *ballot)
{
	for (int i = 0; i < w->n_acceptances; i++)
	{
		Acceptance *a = &w->acceptances[i];

		if (a->version == version && sd_ballot_compare(&a->ballot, ballot) == 0)
			return a;
	}
	return NULL;
}

/* Invariant 4, "one entry per (version, ballot)": looked at when it is sent and when it is accepted. */
static Acceptance *
evidence(World *w, int region, int64_t version, const SdBallot *ballot, int entry)
{
	Acceptance *a = find_acceptance(w, version, ballot);

	if (a == NULL)
	{
		if (w->n_acceptances == w->max_acceptances)
		{
			w->max_acceptances = w->max_acceptances ? 2 * w->max_acceptances : 256;
			w->acceptances = realloc(w->acceptances, sizeof(Acceptance) * (size_t) w->max_acceptances);
			if (w->acceptances == NULL)
				abort();
		}
		a = &w->acceptances[w->n_acceptances++];
		memset(a, 0, sizeof(*a));
		a->version = version;
		a->ballot = *ballot;
		a->entry = entry;
	}
	else if (a->entry != entry)
		sim_violation(w, 4, "version %lld, ballot %s carries %s and, at %s, %s", (long long) version,
					  sim_ballot(w, ballot), sim_entry(w, a->entry), w->region[region].name, sim_entry(w, entry));
	return a;
}

void
sim_note_sent(World *w, int region, int64_t version, const SdBallot *ballot, int entry)
{
	(void) evidence(w, region, version, ballot, entry);
}

static bool
has_majority(World *w, int64_t version, int entry)
{
	for (int i = 0; i < w->n_acceptances; i++)
	{
		Acceptance *a = &w->acceptances[i];
		int			votes = 0;

		if (a->version != version || a->entry != entry)
			continue;
		for (int r = 0; r < w->n; r++)
		{
			if ((a->regions & (1u << r)) && sd_member_votes(&w->config.member[r]))
				votes++;
		}
		if (votes >= sd_config_quorum(&w->config))
			return true;
	}
	return false;
}

/* ---------- writes (inside a transaction that holds the row locks; sim_commit makes them last) ---------- */

void
sim_store_promise(World *w, int region, const SdBallot *ballot)
{
	Tables	   *t = &w->region[region].mem;

	if (sd_ballot_compare(ballot, &t->promised) < 0)
		sim_violation(w, 3, "the promise of %s goes down from %s to %s", w->region[region].name,
					  sim_ballot(w, &t->promised), sim_ballot(w, ballot));
	if (sd_ballot_compare(ballot, &t->promised) != 0)
		w->region[region].promise_seen = w->now;
	t->promised = *ballot;
	t->vote_seq++;
}

void
sim_store_accepted(World *w, int region, int64_t version, const SdBallot *ballot, int entry)
{
	Region	   *r = &w->region[region];

	r->mem.accepted[version].known = true;
	r->mem.accepted[version].ballot = *ballot;
	r->mem.accepted[version].entry = entry;
	r->accepted_seen[version] = w->now;
	evidence(w, region, version, ballot, entry)->regions |= 1u << region;
}

void
sim_store_log(World *w, int region, int64_t version, int entry)
{
	Tables	   *t = &w->region[region].mem;
	Attempt    *a = w->attempt[entry];

	if (version != t->head + 1)
		sim_violation(w, 7, "the log of %s would have a gap: head %lld, insert %lld", w->region[region].name,
					  (long long) t->head, (long long) version);
	t->head = version;
	t->log[version] = entry;
	t->chain[version] = sim_next_chain(t->chain[version - 1], entry);

	if (w->chosen[version] != 0 && w->chosen[version] != entry)
		sim_violation(w, 1, "version %lld holds %s and, at %s, %s", (long long) version,
					  sim_entry(w, w->chosen[version]), w->region[region].name, sim_entry(w, entry));
	if (a->in_log_at != 0 && a->in_log_at != version)
		sim_violation(w, 8, "%s is in the log at version %lld and at %lld", sim_entry(w, entry),
					  (long long) a->in_log_at, (long long) version);
	if (!has_majority(w, version, entry))
		sim_violation(w, 2, "%s has %s in its log at version %lld, which no majority accepted at one ballot",
					  w->region[region].name, sim_entry(w, entry), (long long) version);
	if (a->outcome == CLIENT_DEFINITE || a->answer == ANSWER_NO)
		sim_violation(w, 8, "the client was told that %s never happened, and it is in the log at version %lld",
					  sim_entry(w, entry), (long long) version);
	if (w->chosen[version] == 0 && !a->noop)
	{
		for (int i = 1; i <= w->n_attempts; i++)
		{
			Attempt    *b = w->attempt[i];

			if (b->outcome == CLIENT_SUCCESS && b->ended < a->started && b->in_log_at >= version)
				sim_violation(w, 9, "%s succeeded before %s began, but has version %lld, and that has %lld",
							  sim_entry(w, i), sim_entry(w, entry), (long long) b->in_log_at, (long long) version);
		}
	}
	w->chosen[version] = entry;
	a->in_log_at = version;
}

/* The DDL itself, and the row that says so. */
void
sim_store_applied(World *w, int region, int64_t version, int entry)
{
	Tables	   *t = &w->region[region].mem;

	t->applied = version;
	if (t->n_executed < 2 * MAX_VERSION)
		t->executed[t->n_executed++] = entry;
	if (t->n_executed != version || version > t->head || t->log[version] != entry)
		sim_violation(w, 7, "%s executed %s as number %d of its schema, at version %lld", w->region[region].name,
					  sim_entry(w, entry), t->n_executed, (long long) version);
}

static void
background_flush(World *w, int region, void *p)
{
	(void) p;
	w->region[region].disk = w->region[region].mem;
}

/*
 * The commit.  PostgreSQL shows a transaction's work to others only when its commit record is flushed, so both
 * change at once; that is also why an answer sent afterwards is durable.
 */
void
sim_commit(World *w, int region)
{
	if (SIM_MISTAKE(ASYNC_COMMIT))
		sim_post_process(w, region, sim_about(w, 200 * MS), background_flush, NULL);
	else
		background_flush(w, region, NULL);
}

/* Invariant 5: "every counted vote survives kill -9 and power loss". */
void
sim_lose_memory(World *w, int region)
{
	Region	   *r = &w->region[region];

	for (int64_t v = 1; v <= MAX_VERSION; v++)
	{
		const Accepted *had = &r->mem.accepted[v];
		const Accepted *has = &r->disk.accepted[v];

		if (had->known && (!has->known || sd_ballot_compare(&had->ballot, &has->ballot) != 0))
			find_acceptance(w, v, &had->ballot)->regions &= ~(1u << region);
	}
	r->mem = r->disk;
	for (int i = 0; i < w->n_counted; i++)
	{
		const CountedVote *vote = &w->counted[i];

		if (vote->region != region)
			continue;
		if (sd_ballot_compare(&r->disk.promised, &vote->ballot) < 0 && vote->version > r->disk.head)
			sim_violation(w, 5, "%s lost its promise to %s for version %lld, which was counted", r->name,
						  sim_ballot(w, &vote->ballot), (long long) vote->version);
		if (vote->accept && vote->version > r->disk.head &&
			(!r->disk.accepted[vote->version].known ||
			 sd_ballot_compare(&r->disk.accepted[vote->version].ballot, &vote->ballot) < 0))
			sim_violation(w, 5, "%s lost its acceptance of %s at version %lld, ballot %s, which was counted", r->name,
						  sim_entry(w, vote->entry), (long long) vote->version, sim_ballot(w, &vote->ballot));
	}
}

void
sim_count_vote(World *w, int region, bool accept, int64_t version, const SdBallot *ballot, int entry)
{
	CountedVote *vote;

	if (w->n_counted == w->max_counted)
	{
		w->max_counted = w->max_counted ? 2 * w->max_counted : 256;
		w->counted = realloc(w->counted, sizeof(CountedVote) * (size_t) w->max_counted);
		if (w->counted == NULL)
			abort();
	}
	vote = &w->counted[w->n_counted++];
	vote->region = region;
	vote->accept = accept;
	vote->version = version;
	vote->ballot = *ballot;
	vote->entry = entry;
}

/* ---------- clients ---------- */

/* Invariants 8 and 10, from the client's side. */
void
sim_client_told(World *w, Attempt *a, ClientOutcome outcome, const char *why)
{
	static const char *const names[] = {"open", "success", "nothing happened", "unknown"};

	if (a->outcome != CLIENT_OPEN)
		return;
	a->outcome = outcome;
	a->ended = w->now;
	a->state = ATTEMPT_OVER;
	sim_say(w, a->region, "client of %s is told: %s (%s)", sim_entry(w, a->entry), names[outcome], why);
	if (outcome == CLIENT_SUCCESS && a->in_log_at == 0)
		sim_violation(w, 8, "success of %s, which is in no log", sim_entry(w, a->entry));
	else if (outcome == CLIENT_SUCCESS && !has_majority(w, a->in_log_at, a->entry))
		sim_violation(w, 10, "success of %s without a majority", sim_entry(w, a->entry));
	if (outcome == CLIENT_DEFINITE && a->in_log_at != 0)
		sim_violation(w, 8, "\"nothing happened\" about %s, which is in the log at version %lld", sim_entry(w, a->entry),
					  (long long) a->in_log_at);
	if (outcome == CLIENT_UNKNOWN && w->chaos.calm)
		sim_violation(w, 12, "no fault in this schedule, and %s ends as unknown", sim_entry(w, a->entry));
}

void
sim_client_asked(World *w, Attempt *a, Answer answer)
{
	sim_say(w, a->region, "outcome of %s: %s", sim_entry(w, a->entry), answer == ANSWER_YES ? "in the log" : "never happened");
	if (a->answer != ANSWER_NONE && a->answer != answer)
		sim_violation(w, 8, "outcome of %s changed its answer", sim_entry(w, a->entry));
	a->answer = answer;
	if (answer == ANSWER_NO && a->in_log_at != 0)
		sim_violation(w, 8, "outcome says that %s never happened, and it is in the log at version %lld",
					  sim_entry(w, a->entry), (long long) a->in_log_at);
}

/* Invariant 12, first half: no doubt left, everyone equal. */
bool
sim_all_equal(World *w, char *why, size_t size)
{
	const Tables *first = &w->region[0].mem;

	for (int i = 1; i <= w->n_attempts; i++)
	{
		Attempt    *a = w->attempt[i];

		if (!a->noop && a->outcome == CLIENT_OPEN)
		{
			snprintf(why, size, "the transaction of %s does not end", sim_entry(w, i));
			return false;
		}
		if (a->outcome == CLIENT_UNKNOWN && a->answer == ANSWER_NONE)
		{
			snprintf(why, size, "%s is still in doubt", sim_entry(w, i));
			return false;
		}
		if (a->outcome == CLIENT_SUCCESS && first->log[a->in_log_at] != i)
		{
			snprintf(why, size, "%s succeeded and is not in the log of %s", sim_entry(w, i), w->region[0].name);
			return false;
		}
	}
	for (int r = 0; r < w->n; r++)
	{
		const Tables *t = &w->region[r].mem;

		if (t->head != first->head || t->chain[t->head] != first->chain[first->head])
		{
			snprintf(why, size, "the logs of %s and %s differ: heads %lld and %lld", w->region[0].name, w->region[r].name,
					 (long long) first->head, (long long) t->head);
			return false;
		}
		if (w->region[r].role != SD_ROLE_WITNESS && t->applied != t->head)
		{
			snprintf(why, size, "%s has applied %lld of %lld", w->region[r].name, (long long) t->applied, (long long) t->head);
			return false;
		}
		if (t->accepted[t->head + 1].known)
		{
			snprintf(why, size, "%s holds an undecided entry at version %lld", w->region[r].name, (long long) t->head + 1);
			return false;
		}
	}
	return true;
}
