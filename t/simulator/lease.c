/*
 * lease.c: leading: what is kept between two changes of one server, what others granted it, and asking a holder for it.
 *
 * What may be kept and for how long is consensus/lease.c's; here is what the coordinator, the acceptor's calls and
 * the holder's backends do with it.  Grants are in shared memory: a crash forgets them, a dead coordinator does not.
 */
#include "sim.h"

#include <string.h>

/* ---------- the grantor ---------- */

/* "While an acceptor has granted a lease to r, prepare from another region is answered LEASED (no vote, nothing stored)" */
bool
sim_lease_forbids(World *w, int region, Call *call)
{
	const SdGrant *grant = &w->region[region].grant;

	if (call->kind != CALL_PREPARE ||
		!sd_grant_forbids(grant, w->region[call->from].name, &call->over_lease, sim_clock(w, region)))
		return false;
	sim_say(w, region, "has given its word to %s: no promise for %s", grant->ballot.region, w->region[call->from].label);
	w->times[SIM_LEASED]++;
	call->leased = true;
	call->lease = grant->ballot;
	call->lease_left = grant->until - sim_clock(w, region);
	call->incarnation = w->region[region].mem.incarnation;
	call->vote_seq = w->region[region].mem.vote_seq;
	return true;
}

/* with a promise or an acceptance; duration 0: who settles wants no lease */
void
sim_lease_grant(World *w, int region, const Call *call)
{
	sd_grant_note(&w->region[region].grant, &call->ballot, call->lease_wanted, sim_clock(w, region));
}

/* "Renewal by heartbeat only while a DDL transaction is open": only of what was not given to another ballot since */
void
sim_lease_renew(World *w, int region, Call *call)
{
	SdGrant    *grant = &w->region[region].grant;

	call->leased = call->lease_wanted > 0 && sd_ballot_compare(&grant->ballot, &call->lease) == 0;
	if (call->leased)
		sd_grant_note(grant, &call->lease, call->lease_wanted, sim_clock(w, region));
}

/* ---------- the holder ---------- */

/* A change begins.  The kept ballot, if it may be used; else phase 1, with which whatever was kept ends. */
const SdKept *
sim_lease_take(World *w, int region, const SdConfig *config, int64_t version)
{
	Region	   *r = &w->region[region];

	if (!sd_lease_usable(&r->lease, config, version, sim_clock(w, region)))
	{
		sd_lease_drop(&r->lease);
		return NULL;
	}
	sim_say(w, region, "uses its ballot %s for version %lld", sim_ballot(w, &r->lease.kept.ballot), (long long) version);
	w->times[SIM_BY_LEASE]++;
	return &r->lease.kept;
}

/* A call of the change's round was answered with a vote or a renewal. */
void
sim_lease_granted(World *w, const Call *call, const SdBallot *ballot)
{
	Region	   *r = &w->region[call->from];

	if (call->lease_wanted > 0)
		sd_lease_granted(&r->lease, ballot, call->voter, call->sent, call->lease_wanted);
}

/* The change is over: keep its ballot, if it may be kept and nobody was told that it is given up. */
void
sim_lease_end(World *w, int region)
{
	Region	   *r = &w->region[region];

	if (r->handed)
		sd_lease_drop(&r->lease);
	else
		sd_lease_keep(&r->lease, &r->change);
	r->handed = false;
}

/* what heartbeats ask to be renewed */
void
sim_lease_want(World *w, int region, Call *call)
{
	Region	   *r = &w->region[region];

	if (r->changing == NULL || sd_ballot_is_none(&r->lease.ballot))
		return;
	call->lease = r->lease.ballot;
	call->lease_wanted = w->chaos.lease;
	call->sent = sim_clock(w, region);
	for (int i = 0; i < r->change_members->config.n; i++)
	{
		if (r->change_members->place[i] == call->to_place)
			call->voter = i;
	}
}

/* ---------- who waits for it ---------- */

void
sim_lease_blocked(World *w, const Call *call)
{
	Region	   *r = &w->region[call->from];
	int64_t		until = sim_clock(w, call->from) + call->lease_left;

	if (sd_ballot_compare(&r->blocked, &call->lease) != 0)
	{
		r->blocked_over = false;
		r->blocked_until = until;
		r->ask_after = 0;
	}
	r->blocked = call->lease;
	if (r->blocked_until < until)
		r->blocked_until = until;
}

/* May a round be tried now?  If not, the holder is asked. */
bool
sim_lease_may_try(World *w, int region)
{
	Region	   *r = &w->region[region];

	if (sd_ballot_is_none(&r->blocked) || r->blocked_over || sim_clock(w, region) >= r->blocked_until)
		return true;
	if (w->now >= r->ask_after)
	{
		for (int place = 0; place < w->places; place++)
		{
			Call	   *call;

			if (strcmp(w->region[w->at[place]].name, r->blocked.region) != 0)
				continue;
			call = sim_call(w, region, place, CALL_HANDOVER);
			call->lease = r->blocked;
			sim_send(w, call);
		}
		r->ask_after = w->now + 500 * MS;
	}
	return false;
}

/*
 * Somebody asks for the lease: "between transactions: released at once; with an open DDL transaction: busy; after
 * ddl_hold_limit the transaction is doomed (40001) and it is released."
 */
void
sim_handover_asked(World *w, int region, Call *call)
{
	Region	   *r = &w->region[region];
	Attempt    *a = r->changing;

	if (a != NULL && sd_ballot_compare(&r->lease.ballot, &call->lease) == 0)
	{
		if (a->state != ATTEMPT_RUNNING || w->now - a->granted < HOLD_LIMIT)
			return;				/* busy */
		sim_say(w, region, "%s has been open for too long: %s waits", sim_entry(w, a->entry), w->region[call->from].label);
		w->times[SIM_DOOMED]++;
		r->handed = true;
		sim_client_cancel(w, a);
	}
	else if (sd_ballot_compare(&r->lease.ballot, &call->lease) == 0)
		sd_lease_drop(&r->lease);
	sim_say(w, region, "releases the lease of %s for %s", sim_ballot(w, &call->lease), w->region[call->from].label);
	w->times[SIM_HANDED_OVER]++;
	call->released = true;
}

void
sim_handover_answered(World *w, const Call *call)
{
	Region	   *r = &w->region[call->from];

	if (call->released && sd_ballot_compare(&r->blocked, &call->lease) == 0)
		r->blocked_over = true;
}

/* what a coordinator knows of leases dies with it */
void
sim_lease_forget(World *w, int region)
{
	Region	   *r = &w->region[region];

	sd_lease_drop(&r->lease);
	r->handed = false;
	r->blocked_over = false;
	memset(&r->blocked, 0, sizeof(r->blocked));
}
