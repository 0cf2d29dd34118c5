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

	sd_lease_refused(&r->lease, &r->lease.ballot, &r->mem.promised);
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

/* Another region was told that it may have it. */
static void
give_up(World *w, int region)
{
	Region	   *r = &w->region[region];

	r->given = r->lease.ballot;
	r->given_at = sim_clock(w, region);
	sd_lease_drop(&r->lease);
}

/* The change is over: keep its ballot, if it may be kept and nobody was told that it is given up. */
void
sim_lease_end(World *w, int region)
{
	Region	   *r = &w->region[region];

	if (r->handed)
		give_up(w, region);
	else
		sd_lease_keep(&r->lease, &r->change);
	r->handed = false;
}

/*
 * Is what this server holds left to another for a moment?  To a region that waits for longer than this change; or it was given
 * up, and its new holder has not asked this acceptor yet: "who is quicker because nearer must not win".
 */
static bool
is_left(World *w, Attempt *a, const SdConfig *config)
{
	Region	   *r = &w->region[a->region];
	int64_t		now = sim_clock(w, a->region);
	bool		usable = sd_lease_usable(&r->lease, config, r->mem.head + 1, now);
	const SdWaiting *first = usable ? sd_line_first(&r->line, now) : NULL;
	bool		wait;

	if (first != NULL && first->since < a->asked && !SIM_MISTAKE(UNFAIR))
	{
		if (r->left_at == 0)
			r->left_at = now;
		wait = now - r->left_at < 1 * SECOND;
	}
	else
		wait = r->given_at > 0 && now - r->given_at < 1 * SECOND && !SIM_MISTAKE(UNFAIR) &&
			sd_ballot_compare(&r->grant.ballot, &r->given) == 0;
	if (!wait)
		r->left_at = r->given_at = 0;
	return wait;
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

/* One answer of a round says that another region has a lease. */
void
sim_lease_told(World *w, const Call *call)
{
	Region	   *r = &w->region[call->from];

	r->leased = call->lease;
	r->leased_until = sim_clock(w, call->from) + call->lease_left;
}

static void
ask_holder(World *w, int region)
{
	Region	   *r = &w->region[region];

	for (int place = 0; place < w->places; place++)
	{
		Call	   *call;

		if (strcmp(w->region[w->at[place]].name, r->blocked.region) != 0)
			continue;
		call = sim_call(w, region, place, CALL_HANDOVER);
		call->lease = r->blocked;
		call->waited = sim_clock(w, region) - r->blocked_since;
		call->tried = r->change.ballot;
		sim_send(w, call);
	}
	/* the product waits longer, unless it hears of the end of the holder's change */
	r->ask_after = w->now + 100 * MS;
}

/* A round came to nothing because of it. */
void
sim_lease_blocked(World *w, int region)
{
	Region	   *r = &w->region[region];
	int64_t		now = sim_clock(w, region);

	if (sd_ballot_compare(&r->blocked, &r->leased) != 0)
	{
		/* a client that had to give up and comes again has not lost its place */
		if (r->blocked_since == 0)
			r->blocked_since = r->gave_up_at > 0 && now - r->gave_up_at < SD_LINE_PATIENCE ? r->gave_up_since : now;
		r->blocked_until = 0;
	}
	memset(&r->over, 0, sizeof(r->over));
	r->blocked = r->leased;
	if (r->blocked_until < r->leased_until)
		r->blocked_until = r->leased_until;
	sd_lease_drop(&r->lease);
	ask_holder(w, region);
}

void
sim_lease_unblocked(World *w, int region)
{
	Region	   *r = &w->region[region];

	memset(&r->blocked, 0, sizeof(r->blocked));
	memset(&r->over, 0, sizeof(r->over));
	r->blocked_since = r->blocked_until = 0;
}

/* a client has waited in vain */
void
sim_lease_gave_up(World *w, int region)
{
	Region	   *r = &w->region[region];

	if (sd_ballot_is_none(&r->blocked))
		return;
	r->gave_up_at = sim_clock(w, region);
	r->gave_up_since = r->blocked_since;
}

/* May a round be tried now?  If not, the holder is asked. */
bool
sim_lease_may_try(World *w, Attempt *a, const SdConfig *config)
{
	Region	   *r = &w->region[a->region];
	int64_t		now = sim_clock(w, a->region);

	if (sd_ballot_is_none(&r->blocked) || !sd_ballot_is_none(&r->over) || now >= r->blocked_until)
		return !is_left(w, a, config);
	if (w->now >= r->ask_after)
		ask_holder(w, a->region);
	return false;
}

/*
 * Somebody asks for the lease: "between transactions: released at once", to who has waited longest; "with an open DDL transaction:
 * busy; after ddl_hold_limit the transaction is doomed (40001) and it is released."
 */
void
sim_handover_asked(World *w, int region, Call *call)
{
	Region	   *r = &w->region[region];
	Attempt    *a = r->changing;
	const char *caller = w->region[call->from].name;
	int64_t		now = sim_clock(w, region);
	bool		overstayed = a != NULL && a->state == ATTEMPT_RUNNING && w->now - a->granted >= HOLD_LIMIT;
	SdBallot	tried = call->tried;

	call->tried = r->change.ballot;
	if (sd_ballot_compare(&r->lease.ballot, &call->lease) != 0)
	{
		/* two that asked at once are each in the other's way: "the lower ballot yields" */
		call->released = strcmp(r->blocked.region, caller) != 0 || sd_ballot_compare(&r->change.ballot, &tried) < 0;
	}
	else
	{
		SdLineVerdict verdict = sd_line_ask(&r->line, caller, now - call->waited, r->handed, a != NULL, overstayed, now);

		call->released = verdict == SD_LINE_GIVEN || verdict == SD_LINE_ENDED;
		if (call->released && a == NULL)
			give_up(w, region);
		else if (call->released)
			r->handed = true;
		if (verdict == SD_LINE_ENDED)
		{
			sim_say(w, region, "%s has been open for too long: %s waits", sim_entry(w, a->entry), w->region[call->from].label);
			w->times[SIM_DOOMED]++;
			sim_client_cancel(w, a);
		}
	}
	if (!call->released)
		return;
	sim_say(w, region, "releases the lease of %s for %s", sim_ballot(w, &call->lease), w->region[call->from].label);
	w->times[SIM_HANDED_OVER]++;
}

void
sim_handover_answered(World *w, const Call *call)
{
	Region	   *r = &w->region[call->from];

	if (!call->released || sd_ballot_compare(&r->blocked, &call->lease) != 0)
		return;
	r->over = r->blocked;
	if (r->over.round < call->tried.round)
		r->over.round = call->tried.round;
	sim_backend_hurry(w, call->from);
}

/* what a coordinator knows of leases dies with it */
void
sim_lease_forget(World *w, int region)
{
	Region	   *r = &w->region[region];

	sd_lease_drop(&r->lease);
	r->handed = false;
	r->given_at = r->left_at = r->gave_up_at = 0;
	sim_lease_unblocked(w, region);
}
