/*
 * settle.c: finishing what others began.
 *
 * Process: the coordinator.  "A coordinator that sees an accepted, unlearned entry at head + 1 for longer than a bound,
 * or has a client in doubt": a higher ballot, both phases on all voters, the accepted value with the highest
 * ballot, else a noop if somebody needs a definite answer.
 */
#include "compat.h"

#include "common/pg_prng.h"
#include "miscadmin.h"

#include "store/protocol.h"
#include "worker/coordinator.h"

typedef struct Noop
{
	MemoryContext context;
	SdEntry		entry;
} Noop;

static void
make_noop(SdCoordinator *c, void *arg)
{
	Noop	   *noop = arg;
	MemoryContext old;
	bytea	   *bytes;

	sd_uuid_make(&noop->entry.id);
	noop->entry.kind = SD_KIND_NOOP;
	noop->entry.origin = c->self.region;
	noop->entry.incarnation = c->self.incarnation;
	noop->entry.n = sd_log_next_dot(c->self.region, c->self.incarnation);
	noop->entry.hlc = sd_shared_next_hlc(c->db, sd_log_newest_hlc());
	noop->entry.author = GetUserNameFromId(GetUserId(), false);
	noop->entry.protocol = SD_PROTOCOL_OLDEST;
	sd_entry_encode(&noop->entry, "{}");
	old = MemoryContextSwitchTo(noop->context);
	bytes = palloc(VARSIZE_ANY(noop->entry.bytes));
	memcpy(bytes, noop->entry.bytes, VARSIZE_ANY(noop->entry.bytes));
	MemoryContextSwitchTo(old);
	noop->entry.bytes = bytes;
}

/* Nothing else here waits for a lease. */
static bool
is_alone(const SdCoordinator *c)
{
	return c->serving == SD_REQUEST_NONE && !c->change.active && !c->acquiring;
}

/*
 * Finish what others began: something is accepted here and not learned for longer than a bound, or a client
 * waits for a definite answer.
 */
void
sd_settle_drive(SdCoordinator *c, int64 now)
{
	SdRound    *round = &c->settle;
	int64		next = c->head.version + 1;
	Noop		noop = {.context = round->context};
	SdEntryRef	ref;

	if (round->active)
	{
		sd_round_tick(round);
		return;
	}
	if (c->doubt > 0 && c->doubt < next)
		c->doubt = 0;			/* decided meanwhile */
	if (c->undecided != next && c->doubt != next)
	{
		/* whom it waited for has done it */
		if (round->outcome == SD_OUTCOME_LEASED && is_alone(c))
			sd_lead_unblocked(c);
		round->outcome = SD_OUTCOME_NONE;
		return;
	}
	if (sd_lost_no_vote(c) || c->settle_at_us > now)
		return;

	/* our own change is at it: that is its round */
	if (c->change.active && c->change.p.version == next && c->change.p.phase != SD_PHASE_GRANTED &&
		c->change.p.phase != SD_PHASE_UNDECIDED)
	{
		c->settle_at_us = now + SD_YIELD_US;
		return;
	}
	/* "look first (a live proposer with a higher promise -> wait)" */
	if (c->db->foreign_promise_for == next && now - c->db->foreign_promise_us < SD_YIELD_US)
	{
		c->settle_at_us = c->db->foreign_promise_us + SD_YIELD_US;
		return;
	}
	/* who leads is asked to let it be settled, as by a change: a lease may be renewed for as long as a transaction stays open, or for ever */
	if (!sd_ballot_is_none(&c->blocked.lease) && !c->change.active && !sd_lead_may_try(c, now))
	{
		c->settle_at_us = now + SD_YIELD_US;
		return;
	}
	if (c->doubt == next)
	{
		sd_round_forget_bodies(round);
		if (!sd_coordinator_transaction(c, make_noop, &noop, false))
		{
			c->settle_at_us = now + SD_US_PER_S;	/* the log has said why; not a thousand times a second */
			return;
		}
		ref = sd_entry_ref(&noop.entry);
		sd_round_keep_body(round, &ref, noop.entry.bytes);
		sd_round_start(round, SD_PROPOSER_SETTLE, now + SD_CALL_TIMEOUT_US, &ref, NULL);
	}
	else
		sd_round_start(round, SD_PROPOSER_SETTLE, now + SD_CALL_TIMEOUT_US, NULL, NULL);
}

void
sd_settle_done(SdRound *round, SdOutcome outcome)
{
	SdCoordinator *c = round->coordinator;
	int64		now = sd_monotonic_us();
	bool		alone = is_alone(c);

	if (alone && outcome != SD_OUTCOME_LEASED)
		sd_lead_unblocked(c);
	if (outcome == SD_OUTCOME_SETTLED)
	{
		sd_shared_decide(c->db, "settlement", psprintf("version " INT64_FORMAT, round->p.version), "chosen",
						 sd_round_votes(round, false), "finished what another attempt began");
		sd_shared_count_event(c->db, SD_COUNT_TAKEOVERS);
		/* the log ends a doubt; where it could not be written it is tried again */
		c->settle_at_us = now + SD_US_PER_S;
	}
	else if (outcome == SD_OUTCOME_LEASED)
	{
		/* its holder is at it, or is asked; if it is silent, the lease runs out */
		if (alone)
		{
			if (sd_ballot_is_none(&c->blocked.lease))
				c->waits_since_us = now;
			sd_lead_blocked(c, &round->lease, round->lease_until_us);
		}
		c->settle_at_us = now + SD_YIELD_US;
	}
	else
	{
		/* again later, unless somebody else settles it meanwhile; random, so that two regions do not keep meeting */
		c->settle_at_us = now + SD_US_PER_S + (int64) (pg_prng_double(&pg_global_prng_state) * 2 * SD_US_PER_S);
	}
	c->look = true;
}

int64
sd_settle_deadline(SdCoordinator *c, int64 now)
{
	if (c->settle.active)
		return c->settle.wake_us;
	if (sd_lost_no_vote(c) == NULL && (c->undecided > 0 || c->doubt > 0))
		return Max(c->settle_at_us, now + SD_US_PER_MS);
	return SD_NEVER;
}
