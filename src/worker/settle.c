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
		if (round->wake_us <= now)
		{
			sd_proposer_tick(&round->p, now);
			sd_round_carry_out(round);
		}
		return;
	}
	if (c->doubt > 0 && c->doubt < next)
		c->doubt = 0;			/* decided meanwhile */
	if ((c->undecided != next && c->doubt != next) || sd_lost_no_vote(c) || c->settle_at_us > now)
		return;

	/* our own change is at it: that is its round */
	if (c->change.active && (c->change.p.phase == SD_PHASE_ACCEPT || c->change.p.phase == SD_PHASE_OWN_VOTE))
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

	if (outcome == SD_OUTCOME_SETTLED)
	{
		sd_shared_decide(c->db, "settlement", psprintf("version " INT64_FORMAT, round->p.version), "chosen",
						 sd_round_votes(round, false), "finished what another attempt began");
		sd_shared_count_event(c->db, SD_COUNT_TAKEOVERS);
		if (c->doubt == round->p.version)
			c->doubt = 0;
	}
	else if (outcome == SD_OUTCOME_LEASED)
	{
		/* its holder is at it, or will be when it is back; if not, the lease runs out */
		c->settle_at_us = Min(round->lease_until_us, now + SD_US_PER_S) + SD_US_PER_MS;
	}
	else
	{
		if (outcome == SD_OUTCOME_NOTHING && c->doubt == round->p.version)
			c->doubt = 0;
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
