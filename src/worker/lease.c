/*
 * lease.c: leading: the lease this region holds, and waiting for one that another region holds.
 *
 * Process: the coordinator.  What may be kept, and for how long, is consensus/lease.c's; the grants of this region's own
 * acceptor and what it holds are in shared memory (SdDatabase.grant, .holding), where the backends that answer other
 * regions' calls see them (functions/rpc_lease.c).  docs/protocol.md, "Leases".
 */
#include "compat.h"

#include "utils/timestamp.h"

#include "settings.h"
#include "worker/coordinator.h"

/* Without news from the holder it is asked again after so long. */
#define ASK_AGAIN_US		(500 * SD_US_PER_MS)

/* By rotation: how long a region leads. */
#define TURN_US				(2 * (int64) sd_lease_duration * SD_US_PER_MS)

/* A lease that was given up for somebody who waits is left to it for so long. */
#define LEFT_TO_WAITER_US	(1 * SD_US_PER_S)

/*
 * A voter of the older protocol waits for no lease: it would take versions from under the holder's fast path, again and
 * again, and its clients would not be told to wait in line.  And who is of it itself could not be asked to hand over.
 */
static bool
all_know_leases(const SdCoordinator *c)
{
	ListCell   *lc;

	foreach(lc, c->remotes)
	{
		const SdRemote *remote = lfirst(lc);

		if (remote->role != SD_ROLE_OBSERVER && remote->heard_us > 0 && remote->told.protocol < 2)
			return false;
	}
	return c->protocol >= 2;
}

int64
sd_lead_duration_us(const SdRound *round)
{
	/* who settles for others does not want to lead */
	return round == &round->coordinator->change && all_know_leases(round->coordinator) ?
		(int64) sd_lease_duration * SD_US_PER_MS : 0;
}

/* ---- holding ---- */

/* Tell the backends that answer other regions. */
static void
publish(SdCoordinator *c)
{
	SdHolding  *holding = &c->db->holding;
	int64		until = c->joined ? sd_lease_until(&c->lease, &c->members.config) : 0;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	if (sd_ballot_compare(&holding->ballot, &c->lease.ballot) != 0)
		holding->handed = false;
	holding->ballot = c->lease.ballot;
	holding->until_us = until;
	LWLockRelease(&c->db->lock);
}

void
sd_lead_drop(SdCoordinator *c)
{
	if (sd_ballot_is_none(&c->lease.ballot))
		return;
	sd_lease_drop(&c->lease);
	publish(c);
}

void
sd_lead_begin(SdCoordinator *c, const SdBallot *ballot)
{
	sd_lease_begin(&c->lease, ballot);
	publish(c);
	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	c->db->tried = *ballot;
	c->db->holding.asking = true;
	LWLockRelease(&c->db->lock);
}

void
sd_lead_granted(SdCoordinator *c, const SdBallot *ballot, const char *region, int64 sent_us, int64 duration_us)
{
	sd_lease_granted(&c->lease, ballot, sd_config_find(&c->members.config, region), sent_us, duration_us);
	publish(c);
}

/* The open change is about to send its accepts.  False: it has had its time, and the lease was given up. */
bool
sd_lead_commits(SdCoordinator *c, int64 deadline_us)
{
	bool		may;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	may = !c->db->overstayed;
	if (may)
		c->db->holding.commits_until_us = Min(deadline_us, sd_monotonic_us() + SD_CALL_TIMEOUT_US) + SD_US_PER_S;
	LWLockRelease(&c->db->lock);
	return may;
}

/* A kept ballot that a voter refuses is not used again; the lease of those who granted it goes on. */
void
sd_lead_refused(SdCoordinator *c, const SdBallot *ballot, const SdBallot *promise)
{
	sd_lease_refused(&c->lease, ballot, promise);
}

/* Another region was told that it may have it. */
static void
give_up(SdCoordinator *c)
{
	c->handed = c->lease.ballot;
	c->handed_us = sd_monotonic_us();
	sd_lease_drop(&c->lease);
}

/*
 * The change is over: keep its ballot, if it may be kept and nobody was told that we gave it up.  Whoever waits hears
 * of it by an exchange.
 */
void
sd_lead_end(SdCoordinator *c)
{
	SdHolding  *holding = &c->db->holding;
	bool		handed;
	bool		wanted;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	holding->in_use = holding->asking = false;
	holding->commits_until_us = 0;
	handed = holding->handed;
	wanted = holding->line.n > 0;
	LWLockRelease(&c->db->lock);

	if (sd_ballot_is_none(&c->lease.ballot))
		return;
	if (handed)
		give_up(c);
	else
		sd_lease_keep(&c->lease, &c->change.p);
	publish(c);
	if (wanted)
		sd_heartbeat_hurry(c);
}

/* Heard lately from enough voters to get a majority: else phase 1 shall find out before any lock is taken. */
static bool
quorum_is_there(SdCoordinator *c, int64 now)
{
	int			votes = sd_config_find_voter(&c->members.config, c->self.region, c->self.incarnation) >= 0 ? 1 : 0;
	ListCell   *lc;

	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);
		int64		lately = 2 * (int64) sd_heartbeat_interval * SD_US_PER_MS + SD_US_PER_S / 4;

		if (remote->role != SD_ROLE_OBSERVER && remote->told.state != SD_REGION_VOID &&
			remote->heard_us > 0 && now - remote->heard_us < lately &&
			sd_peer_circuit(remote->peer) == SD_CIRCUIT_CLOSED)
			votes++;
	}
	return votes >= sd_config_quorum(&c->members.config);
}

/* Given up, and its new holder has not asked our acceptor yet: who is quicker because nearer must not win.  Caller holds db->lock. */
static bool
is_left_to_waiter(const SdCoordinator *c, int64 now)
{
	return c->handed_us > 0 && now - c->handed_us < LEFT_TO_WAITER_US && sd_ballot_compare(&c->db->grant.ballot, &c->handed) == 0;
}

/*
 * A change begins here.  The kept ballot, if it can be used; *wait: the lease is left to a region that waits longer
 * than we do, try again in a moment.
 */
const SdKept *
sd_lead_take(SdCoordinator *c, int64 now, bool *wait)
{
	SdHolding  *holding = &c->db->holding;
	bool		usable = sd_lease_usable(&c->lease, &c->members.config, c->head.version + 1, now) &&
		quorum_is_there(c, now);
	const SdWaiting *first;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	first = usable && !holding->handed ? sd_line_first(&holding->line, now) : NULL;
	if (first && first->since < c->waits_since_us)
	{
		/* it has heard, or will in a moment, that it may have it */
		if (c->left_us == 0)
			c->left_us = now;
		*wait = now - c->left_us < LEFT_TO_WAITER_US;
	}
	else
		*wait = holding->handed || is_left_to_waiter(c, now);
	if (!*wait)
	{
		c->left_us = c->handed_us = 0;
		holding->in_use = true;
	}
	LWLockRelease(&c->db->lock);

	if (*wait)
		return NULL;
	if (!usable)
		sd_lead_drop(c);
	return usable ? &c->lease.kept : NULL;
}

/* ---- waiting for another region's lease ---- */

/* For status.blocked_by. */
static void
show_blocked(SdCoordinator *c)
{
	const SdBlocked *b = &c->blocked;
	int64		now = sd_monotonic_us();

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	c->db->blocked_by = b->lease;
	c->db->blocked_by_pid = b->pid;
	c->db->blocked_by_since = b->held_since_us ? GetCurrentTimestamp() - (now - b->held_since_us) : 0;
	LWLockRelease(&c->db->lock);
}

/* A round, or our own acceptor's word, says that another region has a lease. */
void
sd_lead_blocked(SdCoordinator *c, const SdBallot *lease, int64 until_us)
{
	SdBlocked  *b = &c->blocked;

	if (sd_ballot_compare(&b->lease, lease) != 0)
	{
		memset(b, 0, sizeof(*b));
		b->lease = *lease;
	}
	memset(&b->over, 0, sizeof(b->over));
	b->until_us = Max(b->until_us, until_us);
	show_blocked(c);
	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	c->db->holding.asking = false;
	LWLockRelease(&c->db->lock);
	/* we have no majority, so no lease: what our own acceptor has granted us shall be in nobody's way */
	sd_lead_drop(c);
}

void
sd_lead_unblocked(SdCoordinator *c)
{
	if (sd_ballot_is_none(&c->blocked.lease))
		return;
	memset(&c->blocked, 0, sizeof(c->blocked));
	show_blocked(c);
}

/* A question about a lease: it may be gone when the answer comes. */
typedef struct Handover
{
	SdCoordinator *coordinator;
	SdBallot	lease;
} Handover;

static void
handover_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	Handover	asked = *(Handover *) arg;
	SdCoordinator *c = asked.coordinator;
	SdBlocked  *b = &c->blocked;
	SdHandover	answer;
	int64		now = sd_monotonic_us();

	(void) peer;
	(void) call;
	pfree(arg);
	if (sd_ballot_compare(&b->lease, &asked.lease) != 0)
		return;
	b->asking = false;
	b->ask_us = now + ASK_AGAIN_US;
	b->silent = result->status != SD_CALL_OK;
	if (b->silent || !sd_call_decode_handover(result->rows, &answer))
		return;
	if (answer.released)
	{
		/* a settlement that waits for it: at once, before who gave it up takes it again */
		if (c->settle.outcome == SD_OUTCOME_LEASED)
			c->settle_at_us = 0;
		b->over = b->lease;
		b->over.round = Max(b->lease.round, answer.upto);
		sd_shared_decide(c->db, "handover", "lease", "taken over", "", psprintf("released by region %s", b->lease.region));
	}
	b->pid = answer.pid;
	sd_shared_copy(b->subject, sizeof(b->subject), answer.subject);
	sd_shared_copy(b->next, sizeof(b->next), answer.next);
	b->held_since_us = answer.pid != 0 ? now - answer.held_ms * SD_US_PER_MS : 0;
	b->protected_until_us = now + answer.left_ms * SD_US_PER_MS;
	if (answer.pid != 0)
		b->ask_us = Min(b->ask_us, Max(b->protected_until_us, now + SD_US_PER_MS));
	show_blocked(c);
}

static const SdBallot *
newest_tried(const SdCoordinator *c)
{
	return sd_ballot_compare(&c->settle.p.ballot, &c->change.p.ballot) > 0 ? &c->settle.p.ballot : &c->change.p.ballot;
}

/* May a round be tried now?  Asks the holder; what it says, and that it is free, comes by itself. */
bool
sd_lead_may_try(SdCoordinator *c, int64 now)
{
	SdBlocked  *b = &c->blocked;
	SdRemote   *holder;

	if (sd_ballot_is_none(&b->lease) || !sd_ballot_is_none(&b->over) || now >= b->until_us)
		return true;
	if (b->asking)
		return false;
	holder = sd_gossip_find(c, b->lease.region);
	if (holder == NULL)
	{
		/* no member any more: who has granted it learns of that, too */
		bool		try = b->ask_us <= now;

		b->ask_us = now + ASK_AGAIN_US / 4;
		return try;
	}

	/* it told of the end of what it was doing, or of another lease than this one */
	if (holder->heard_us > b->asked_us && !(holder->told.lease_in_use &&
											sd_ballot_compare(&holder->told.lease, &b->lease) == 0) &&
		b->next[0] == '\0')
		b->ask_us = now;
	if (b->ask_us <= now)
	{
		SdCallHead	head = sd_gossip_head(c, holder);
		Handover   *asked = MemoryContextAlloc(c->context, sizeof(Handover));

		*asked = (Handover) {.coordinator = c, .lease = b->lease};
		b->asking = true;
		b->asked_us = now;
		sd_call_handover(holder->peer, &head, &b->lease, c->acquiring ? -1 : (now - c->waits_since_us) / SD_US_PER_MS,
						 newest_tried(c), now + SD_CALL_TIMEOUT_US / 2, handover_done, asked);
	}
	return false;
}

/*
 * A change cannot be tried, because this region is behind: but whoever goes on changing the schema is asked already to let
 * us have the lease.  Else a region that follows as slowly as another one changes would never have its turn.
 */
void
sd_lead_stand_in_line(SdCoordinator *c, int64 now)
{
	SdLeader	leader;
	bool		led;

	LWLockAcquire(&c->db->lock, LW_SHARED);
	led = sd_shared_leader(c->db, now, &leader);
	LWLockRelease(&c->db->lock);
	if (!led || strcmp(leader.ballot.region, c->self.region) == 0)
		return;
	if (sd_ballot_is_none(&c->blocked.lease))
		sd_lead_blocked(c, &leader.ballot, now + leader.left_us);
	(void) sd_lead_may_try(c, now);
}

/* When sd_lead_may_try() shall be asked again, if nothing comes. */
int64
sd_lead_deadline(SdCoordinator *c)
{
	const SdBlocked *b = &c->blocked;
	int64		now = sd_monotonic_us();
	int64		due = b->asking ? b->until_us : Min(b->until_us, Max(b->ask_us, b->asked_us));

	if (sd_ballot_is_none(&b->lease))
		return SD_NEVER;
	/* past: a settlement or a demand keeps us from trying, and its end wakes us */
	return due > now ? due : SD_NEVER;
}

/* A client has waited in vain; if it comes again soon it has not lost its place. */
void
sd_lead_gave_up(SdCoordinator *c)
{
	c->gave_up_us = sd_monotonic_us();
}

/* Whom we wait for, as a sentence for the one who waits. */
char *
sd_lead_blocked_text(SdCoordinator *c)
{
	const SdBlocked *b = &c->blocked;
	int64		now = sd_monotonic_us();
	double		left = (double) Max(b->until_us - now, 0) / SD_US_PER_S;

	if (b->pid != 0)
		return psprintf("Region %s: pid %d has a schema change open (%s) for %.1f s; it may go on for %.1f s more before it is ended for another region.",
						b->lease.region, b->pid, b->subject[0] ? b->subject : "nothing captured yet",
						(double) (now - b->held_since_us) / SD_US_PER_S,
						(double) Max(b->protected_until_us - now, 0) / SD_US_PER_S);
	if (b->silent)
		return psprintf("Region %s has the lease and does not answer; it runs out in %.1f s.", b->lease.region, left);
	if (b->next[0])
		return psprintf("Region %s has the lease, and region %s has waited for it longer than this one.", b->lease.region, b->next);
	return psprintf("Region %s has the lease; it runs out in %.1f s.", b->lease.region, left);
}

const SdBallot *
sd_lead_over(const SdCoordinator *c)
{
	return &c->blocked.over;
}

/* The members have changed: a lease that is none's any more binds nobody. */
void
sd_lead_members(SdCoordinator *c)
{
	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	if (!c->joined || sd_config_find(&c->members.config, c->db->grant.ballot.region) < 0)
		memset(&c->db->grant, 0, sizeof(c->db->grant));
	LWLockRelease(&c->db->lock);
	if (!c->change.active)
		sd_lead_drop(c);
}

/* ---- leading without a change ---- */

/* Our own acceptor renews as the others do with every exchange. */
static void
renew_here(SdCoordinator *c, int64 now)
{
	int64		duration = sd_lead_duration_us(&c->change);
	bool		renewed = false;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	if ((c->db->holding.in_use || c->db->holding.keep) && !sd_ballot_is_none(&c->lease.ballot) && now < c->db->grant.until &&
		sd_ballot_compare(&c->db->grant.ballot, &c->lease.ballot) == 0 && c->db->grant.until - now < duration * 3 / 4)
	{
		sd_grant_note(&c->db->grant, &c->lease.ballot, duration, now);
		renewed = true;
	}
	LWLockRelease(&c->db->lock);
	if (renewed)
		sd_lead_granted(c, &c->lease.ballot, c->self.region, now, duration);
}

/* Can this member lead now, as far as we know? */
static bool
can_lead(SdCoordinator *c, int i, const bool *reachable)
{
	return reachable[i] && sd_members_serves(&c->members, i);
}

/* "Leadership moves to whoever has work, or by rotation or priority where policy says so." */
static bool
policy_wants_us(SdCoordinator *c, const SdLeader *leader, int64 now)
{
	const SdConfig *config = &c->members.config;
	bool		reachable[SD_MAX_REGIONS];
	int			next = -1;

	if (c->policy.leadership == SD_LEADERSHIP_WORK || c->me < 0 || !c->self.valid)
		return false;
	(void) sd_coordinator_reachable(c, reachable);
	if (!can_lead(c, c->me, reachable))
		return false;
	if (c->policy.leadership == SD_LEADERSHIP_PRIORITY)
	{
		for (int i = 0; i < config->n; i++)
			if (can_lead(c, i, reachable) &&
				(c->members.priority[i] > c->members.priority[c->me] ||
				 (c->members.priority[i] == c->members.priority[c->me] &&
				  strcmp(config->member[i].region, config->member[c->me].region) < 0)))
				return false;
		return true;
	}

	/* by rotation: the next by name after who leads now, once it has led for a while; if nobody leads, the first */
	if (sd_ballot_compare(&leader->ballot, &c->turn_of) != 0)
	{
		c->turn_of = leader->ballot;
		c->turn_since_us = now;
	}
	if (strcmp(leader->ballot.region, c->self.region) == 0)
		return now - c->turn_since_us < TURN_US;
	if (!sd_ballot_is_none(&leader->ballot) && now - c->turn_since_us < TURN_US)
		return false;
	for (int i = 0; i < config->n; i++)
	{
		bool		after = strcmp(config->member[i].region, leader->ballot.region) > 0;
		bool		next_after = next >= 0 && strcmp(config->member[next].region, leader->ballot.region) > 0;

		if (can_lead(c, i, reachable) && strcmp(config->member[i].region, leader->ballot.region) != 0 &&
			(next < 0 || (after && !next_after) ||
			 (after == next_after && strcmp(config->member[i].region, config->member[next].region) < 0)))
			next = i;
	}
	return next == c->me;
}

/*
 * transfer_lease() wants this region to lead, or the policy does: one round that keeps its ballot and proposes nothing.
 * What policy gives is renewed without use; what it takes from us is not.
 */
static bool
is_wanted(SdCoordinator *c, int64 now)
{
	SdHolding  *holding = &c->db->holding;
	SdLeader	leader;
	bool		wanted;
	bool		by_policy;

	LWLockAcquire(&c->db->lock, LW_SHARED);
	wanted = c->db->lead_until_us > now;
	(void) sd_shared_leader(c->db, now, &leader);
	LWLockRelease(&c->db->lock);

	by_policy = sd_lease_duration > 0 && policy_wants_us(c, &leader, now);
	if (holding->keep != by_policy)
	{
		LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
		holding->keep = by_policy;
		LWLockRelease(&c->db->lock);
	}
	/* who has a change open is not to be disturbed for a policy's sake */
	return wanted || (by_policy && leader.pid == 0 && now >= c->acquire_after_us);
}

void
sd_lead_drive(SdCoordinator *c, int64 now)
{
	bool		wanted = is_wanted(c, now);
	bool		usable = sd_lease_usable(&c->lease, &c->members.config, c->head.version + 1, now);
	bool		handed;
	bool		left;

	LWLockAcquire(&c->db->lock, LW_SHARED);
	handed = c->db->holding.handed && !c->db->holding.in_use;
	left = handed || is_left_to_waiter(c, now);
	LWLockRelease(&c->db->lock);

	if (handed)
	{
		give_up(c);
		publish(c);
	}
	renew_here(c, now);
	if (!c->acquiring && wanted && !usable && !left && c->serving == SD_REQUEST_NONE && !c->change.active && !c->db->ddl_pid &&
		c->applied.version == c->head.version && c->undecided == 0)
		c->acquiring = true;
	if (!c->acquiring || c->change.active)
		return;
	if (!wanted || usable || c->serving != SD_REQUEST_NONE)
	{
		c->acquiring = false;
		c->acquire_after_us = now + SD_US_PER_S;
		LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
		c->db->lead_until_us = 0;
		LWLockRelease(&c->db->lock);
		if (c->serving == SD_REQUEST_NONE)
			sd_lead_unblocked(c);
		ConditionVariableBroadcast(&c->db->changed);
		sd_heartbeat_hurry(c);
	}
	else if (c->self.valid && c->me >= 0 && !c->settle.active && sd_lead_may_try(c, now))
		sd_round_start(&c->change, SD_PROPOSER_CHANGE, now + SD_CALL_TIMEOUT_US, NULL, NULL);
}
