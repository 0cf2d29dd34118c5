/*
 * tables.c: what servers store: entries and chains, an acceptor's view, writes, the flush.
 *
 * Every write tells invariants.c, which looks at it from above.
 */
#include "sim.h"

#include <string.h>

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
	view->identity_valid = sim_identity_valid(w, region);
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

/* ---------- writes (inside a transaction that holds the row locks; sim_commit makes them last) ---------- */

void
sim_store_promise(World *w, int region, const SdBallot *ballot)
{
	Tables	   *t = &w->region[region].mem;

	if (sd_ballot_compare(ballot, &t->promised) < 0)
		sim_violation(w, 3, "the promise of %s goes down from %s to %s", w->region[region].label,
					  sim_ballot(w, &t->promised), sim_ballot(w, ballot));
	if (sd_ballot_compare(ballot, &t->promised) != 0)
		w->region[region].promise_seen = w->now;
	t->promised = *ballot;
	t->vote_seq++;
	sim_note_vote(w, region);
}

void
sim_store_accepted(World *w, int region, int64_t version, const SdBallot *ballot, int entry)
{
	Region	   *r = &w->region[region];

	r->mem.accepted[version].known = true;
	r->mem.accepted[version].ballot = *ballot;
	r->mem.accepted[version].entry = entry;
	r->accepted_seen[version] = w->now;
	sim_note_accepted(w, region, version, ballot, entry);
}

void
sim_store_log(World *w, int region, int64_t version, int entry)
{
	Region	   *r = &w->region[region];
	Tables	   *t = &r->mem;

	if (version != t->head + 1)
		sim_violation(w, 7, "the log of %s would have a gap: head %lld, insert %lld", r->label, (long long) t->head,
					  (long long) version);
	t->head = version;
	t->log[version] = entry;
	t->chain[version] = sim_next_chain(t->chain[version - 1], entry);
	sim_note_log(w, region, version, entry);

	/* a witness has no schema: its position is its log head */
	if (r->witness)
		sim_store_applied(w, region, version, entry, false);
}

/* The DDL itself, and the row that says so; what a config entry says about this region becomes true with it. */
void
sim_store_applied(World *w, int region, int64_t version, int entry, bool skip)
{
	Region	   *r = &w->region[region];
	Tables	   *t = &r->mem;

	t->applied = version;
	if (++t->n_executed != version || version > t->head || t->log[version] != entry)
		sim_violation(w, 7, "%s executed %s as number %d of its schema, at version %lld", r->label,
					  sim_entry(w, entry), t->n_executed, (long long) version);
	if (!r->witness)
		sim_work_apply(w, region, version, skip);
	if (w->attempt[entry]->members != NULL)
		sim_adopt(w, region, version, w->attempt[entry]->members);
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

/* kill -9 or power loss: what was not flushed is gone */
void
sim_lose_memory(World *w, int region)
{
	Region	   *r = &w->region[region];

	for (int64_t v = 1; v <= MAX_VERSION; v++)
	{
		const Accepted *had = &r->mem.accepted[v];
		const Accepted *has = &r->disk.accepted[v];

		if (had->known && (!has->known || sd_ballot_compare(&had->ballot, &has->ballot) != 0))
			sim_note_unflushed(w, region, v, &had->ballot);
	}
	r->mem = r->disk;
	sim_check_counted(w, region);
}
