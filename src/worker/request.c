/*
 * request.c: what the local backend that changes the schema asks of its coordinator, and what it is told.
 *
 * Process: the coordinator.  Requests and results go through SdDatabase.proposal under SdDatabase.lock; the votes are
 * round.c's.
 */
#include "compat.h"

#include "storage/dsm.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/vote.h"
#include "worker/coordinator.h"

/* ---- results ---- */

void
sd_request_finish(SdCoordinator *c, SdResult result, const char *message, const char *detail, const char *hint)
{
	SdProposal *p = &c->db->proposal;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	/* the backend was cancelled and asks for something else already: it would take this for the answer to that */
	if (p->request != SD_REQUEST_NONE)
	{
		LWLockRelease(&c->db->lock);
		c->serving = SD_REQUEST_NONE;
		return;
	}
	p->version = c->asked.version;
	if (result == SD_RESULT_GRANTED || result == SD_RESULT_ACCEPTED || result == SD_RESULT_CHOSEN)
	{
		p->version = c->change.p.version;
		p->ballot = c->change.p.ballot;
		p->chain = c->change.chain;
	}
	if (result == SD_RESULT_GRANTED)
	{
		c->db->ddl_pid = p->pid;
		c->db->ddl_version = p->version;
		c->db->ddl_since = GetCurrentTimestamp();
		c->db->ddl_since_us = sd_monotonic_us();
		c->db->doomed = c->db->overstayed = false;
		c->gave_up_us = 0;
	}
	sd_shared_copy(p->message, sizeof(p->message), message);
	sd_shared_copy(p->detail, sizeof(p->detail), detail);
	sd_shared_copy(p->hint, sizeof(p->hint), hint);
	p->result = result;
	LWLockRelease(&c->db->lock);
	c->serving = SD_REQUEST_NONE;
	ConditionVariableBroadcast(&c->db->changed);
}

static void
finish_again(SdCoordinator *c, int64 version)
{
	c->asked.version = version;
	sd_request_finish(c, SD_RESULT_AGAIN, NULL, NULL, NULL);
}

static void
close_attempt(SdCoordinator *c, void *arg)
{
	(void) c;
	sd_attempt_close(arg);
}

/* Did any voter refuse the change for another region's sake, or its next ballot? */
static bool
was_refused(const SdRound *round)
{
	for (int i = 0; i < round->p.config.n; i++)
		if (round->p.voter[i].votes && (round->p.voter[i].status == SD_VOTER_REFUSED ||
										round->p.voter[i].status == SD_VOTER_LEASED))
			return true;
	return false;
}

static void
finish_no_quorum(SdCoordinator *c, SdRound *round)
{
	sd_request_finish(c, SD_RESULT_NO_QUORUM, NULL, sd_round_missing(round, ""),
					  "SELECT * FROM schemadrift.regions; then run the change again, or run it in a region of the majority.");
}

static void
finish_blocked(SdCoordinator *c, const char *why)
{
	sd_lead_gave_up(c);
	sd_shared_decide(c->db, "refusal", c->asked.subject, "blocked", "", why);
	sd_request_finish(c, SD_RESULT_BLOCKED, NULL, psprintf("Nothing happened. %s", why),
					  "SELECT * FROM schemadrift.lease; then run the change again.");
}

static void
note_preemption(SdRound *round, const char *outcome, const char *why)
{
	SdCoordinator *c = round->coordinator;

	sd_shared_count_event(c->db, SD_COUNT_PREEMPTED);
	sd_shared_decide(c->db, "preemption", c->asked.subject, outcome, sd_round_votes(round, false), why);
}

/* Nothing of the change has run, and there is nothing to tell its client yet. */
static bool
is_tried_again(SdOutcome outcome)
{
	return outcome == SD_OUTCOME_LEASED || outcome == SD_OUTCOME_PREEMPTED;
}

void
sd_request_change_done(SdRound *round, SdOutcome outcome)
{
	SdCoordinator *c = round->coordinator;
	const char *subject = c->asked.subject;
	SdRequest	serving = c->serving;

	if (outcome == SD_OUTCOME_LEASED)
		sd_lead_blocked(c, &round->lease, round->lease_until_us);
	else
		sd_lead_unblocked(c);
	if (c->acquiring)
	{
		sd_lead_end(c);
		return;
	}
	switch (outcome)
	{
		case SD_OUTCOME_SUCCESS:
			sd_shared_count_event(c->db, SD_COUNT_CHANGES);
			sd_shared_decide(c->db, "change", subject, "chosen", sd_round_votes(round, true), "");
			return;
		case SD_OUTCOME_NOTHING_SENT:
			break;
		case SD_OUTCOME_TAKEN:
			if (serving == SD_REQUEST_GRANT)
				finish_again(c, round->p.version);
			else if (serving != SD_REQUEST_NONE)
				sd_request_finish(c, SD_RESULT_LOST, NULL, NULL, NULL);
			else
			{
				/* the statements ran for a version that is taken: the transaction ends with 40001 */
				LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
				c->db->doomed = c->db->ddl_pid != 0;
				LWLockRelease(&c->db->lock);
			}
			note_preemption(round, "taken", "another region's entry has the version");
			break;
		case SD_OUTCOME_REFUSED:
			if (!was_refused(round))
			{
				/* no copy of the entry ever left this process */
				if (serving != SD_REQUEST_NONE)
					finish_no_quorum(c, round);
				sd_shared_decide(c->db, "refusal", subject, "no_quorum", sd_round_votes(round, false), sd_round_missing(round, ""));
				break;
			}
			/* FALLTHROUGH */
		case SD_OUTCOME_LOST:
			if (serving != SD_REQUEST_NONE)
				sd_request_finish(c, SD_RESULT_LOST, NULL, NULL, NULL);
			note_preemption(round, "lost", "another region changed the schema first");
			break;
		case SD_OUTCOME_NO_QUORUM:
			if (serving == SD_REQUEST_GRANT && sd_demands_required_missing(c, round))
			{
				sd_shared_decide(c->db, "refusal", subject, "policy", sd_round_votes(round, false), sd_round_missing(round, ""));
				break;
			}
			if (serving != SD_REQUEST_NONE)
				finish_no_quorum(c, round);
			sd_shared_decide(c->db, "refusal", subject, "no_quorum", sd_round_votes(round, false), sd_round_missing(round, ""));
			break;
		case SD_OUTCOME_PREEMPTED:
			/* "nothing has run, so this is no error": tried again, as long as the client waits */
			if (serving != SD_REQUEST_NONE && (serving != SD_REQUEST_GRANT || c->asked.deadline_us <= sd_monotonic_us()))
				sd_request_finish(c, SD_RESULT_LOST, NULL, sd_round_missing(round, ""), NULL);
			note_preemption(round, "preempted", sd_round_missing(round, ""));
			break;
		case SD_OUTCOME_UNKNOWN:
			if (serving != SD_REQUEST_NONE)
				sd_request_finish(c, SD_RESULT_UNKNOWN, NULL, sd_round_missing(round, "no answer from enough voters."), NULL);
			sd_shared_count_event(c->db, SD_COUNT_UNKNOWN);
			sd_shared_decide(c->db, "change", subject, "unknown", sd_round_votes(round, false), "being settled");
			c->doubt = round->p.version;
			return;
		case SD_OUTCOME_LEASED:
			if (serving != SD_REQUEST_NONE && serving != SD_REQUEST_GRANT)
				sd_request_finish(c, SD_RESULT_LOST, NULL, sd_round_missing(round, ""), NULL);
			break;				/* the client waits until it is free */
		case SD_OUTCOME_NONE:
		case SD_OUTCOME_SETTLED:
		case SD_OUTCOME_NOTHING:
			break;
	}
	/* definite: outcome() says "rejected" from now on; unless it is tried again */
	if (round->noted && outcome != SD_OUTCOME_TAKEN && !(serving == SD_REQUEST_GRANT && is_tried_again(outcome)))
		(void) sd_coordinator_transaction(c, close_attempt, &round->entry_id, false);
}

/* Step 1: may this region originate now?  Then phase 1. */
static void
serve_grant(SdCoordinator *c, int64 now)
{
	const SdMember *me = c->me >= 0 ? &c->members.config.member[c->me] : NULL;
	char	   *missing;
	const char *hint;
	const SdKept *kept;
	bool		wait;

	if (!c->joined)
		sd_request_finish(c, SD_RESULT_NOT_ORIGIN, "this database is in no group", "", "SELECT schemadrift.init(...) or schemadrift.join(...).");
	else if (!c->self.valid)
		sd_request_finish(c, SD_RESULT_NOT_ORIGIN, "this region may not change the schema: its identity is void",
					   psprintf("Nothing happened. Reason: %s.", c->self.mismatch),
					   "SELECT * FROM schemadrift.status says what to do.");
	else if (me == NULL)
		sd_request_finish(c, SD_RESULT_NOT_ORIGIN, "this region is not a member of the group any more", "Nothing happened.",
					   "SELECT schemadrift.leave(), and join again.");
	else if (sd_members_is_witness(&c->members, c->me))
		sd_request_finish(c, SD_RESULT_NOT_ORIGIN, "this region is a witness: it has no schema, and changes nobody's", "Nothing happened.",
					   "Run it in another region: SELECT region FROM schemadrift.regions WHERE role <> 'witness'.");
	else if (me->suspended && !c->asked.config)
		sd_request_finish(c, SD_RESULT_NOT_ORIGIN, "this region is suspended: it may not change the schema",
					   psprintf("Nothing happened. Suspended by %s at %s: %s", c->members.suspended_by[c->me],
								c->members.suspended_at[c->me], c->members.suspended_reason[c->me]),
					   psprintf("SELECT schemadrift.resume_region('%s'), in any region.", me->region));
	else if (c->applied.version < c->head.version && !c->asked.supersedes)
	{
		sd_lead_stand_in_line(c, now);
		finish_again(c, c->head.version);
	}
	else if ((missing = sd_demands_missing_name(c, &wait, &hint)) != NULL)
		sd_request_finish(c, SD_RESULT_NAMES_MISSING, missing, "Nothing happened.", hint);
	else if (c->unfit && sd_member_votes(me))
		sd_request_finish(c, SD_RESULT_NOT_ORIGIN, "this region may not change the schema: it does not vote",
					   psprintf("Nothing happened. Reason: %s.", c->unfit), "Mend that.");
	else if (wait || (sd_member_votes(me) && sd_lost_no_vote(c)))
		return;					/* the own vote would be missing at the end */
	else if (!sd_demands_met(c))
		return;					/* refused, or what others have applied is asked once more */
	else if (c->settle.active)
		return;					/* what is undecided comes first */
	else if (!sd_lead_may_try(c, now))
		return;					/* another region has the lease */
	else if (sd_ballot_is_none(&c->blocked.over) && c->db->foreign_promise_for == c->head.version + 1 &&
			 now - c->db->foreign_promise_us < SD_YIELD_US && now - c->asked_us < SD_YIELD_US)
		return;					/* wait for the live proposer, a moment */
	else
	{
		kept = sd_lead_take(c, now, &wait);
		if (!wait)
		{
			c->acquiring = false;	/* a round only to lead is over, and this one leads as well */
			sd_round_start(&c->change, SD_PROPOSER_CHANGE, c->asked.deadline_us, NULL, kept);
		}
	}
}

static void
serve_needs(SdCoordinator *c)
{
	bool		wait;
	const char *hint;
	char	   *missing = sd_demands_missing_name(c, &wait, &hint);

	if (missing)
		sd_request_finish(c, SD_RESULT_NAMES_MISSING, missing, "Nothing happened.", hint);
	else if (!wait)
		sd_request_finish(c, SD_RESULT_NAMES_THERE, NULL, NULL, NULL);
}

/* Copy what the backend put into shared memory: names or an entry. */
static char *
attach(SdCoordinator *c, MemoryContext context)
{
	dsm_segment *segment;
	char	   *copy;

	if (c->asked.data == DSM_HANDLE_INVALID || c->asked.data_size == 0)
		return NULL;
	segment = dsm_attach(c->asked.data);
	if (segment == NULL)
		return NULL;			/* the backend is gone */
	copy = MemoryContextAllocHuge(context, c->asked.data_size);
	memcpy(copy, dsm_segment_address(segment), c->asked.data_size);
	dsm_detach(segment);
	return copy;
}

typedef struct Proposed
{
	bytea	   *bytes;
	SdEntryRef	ref;
} Proposed;

static void
read_ref(SdCoordinator *c, void *arg)
{
	Proposed   *proposed = arg;

	(void) c;
	proposed->ref = sd_entry_ref(sd_entry_decode(proposed->bytes));
}

/*
 * Is this coordinator's round the one of the change that asks?  An earlier coordinator's accepts may be out, and this one may
 * have made a round only to lead since.
 */
static bool
is_of_asked(const SdCoordinator *c)
{
	return memcmp(&c->change.entry_id, &c->asked.entry_id, UUID_LEN) == 0;
}

static void
serve_accept(SdCoordinator *c, int64 now)
{
	SdRound    *round = &c->change;
	Proposed	proposed;
	char	   *data;

	if (!round->active || round->p.phase != SD_PHASE_GRANTED || !is_of_asked(c))
	{
		/* taken meanwhile, or granted by a coordinator that is gone: nothing of this change was ever sent */
		if (round->outcome == SD_OUTCOME_TAKEN && is_of_asked(c))
			sd_request_finish(c, SD_RESULT_LOST, NULL, NULL, NULL);
		else
			sd_request_finish(c, SD_RESULT_NO_COORDINATOR, NULL, NULL, NULL);
		return;
	}
	if (!sd_lead_commits(c, c->asked.deadline_us))
	{
		/* the lease is another region's by now, and what goes out under this ballot would meet that one's */
		sd_proposer_close(&round->p, now);
		sd_round_carry_out(round);
		sd_request_finish(c, SD_RESULT_LOST, NULL, "The transaction was open for longer than ddl_hold_limit, and another region waited.", NULL);
		return;
	}
	data = attach(c, c->turn);
	if (data == NULL)
	{
		sd_request_finish(c, SD_RESULT_NO_COORDINATOR, NULL, NULL, NULL);
		return;
	}
	proposed.bytes = MemoryContextAllocHuge(c->turn, c->asked.data_size + VARHDRSZ);
	SET_VARSIZE(proposed.bytes, c->asked.data_size + VARHDRSZ);
	memcpy(VARDATA(proposed.bytes), data, c->asked.data_size);
	if (!sd_coordinator_transaction(c, read_ref, &proposed, false))
	{
		sd_request_finish(c, SD_RESULT_NO_COORDINATOR, NULL, NULL, NULL);
		return;
	}
	if (!sd_round_note(round))
	{
		sd_request_finish(c, SD_RESULT_NO_COORDINATOR, NULL, NULL, NULL);
		return;
	}
	sd_round_keep_body(round, &proposed.ref, proposed.bytes);
	sd_proposer_propose(&round->p, &proposed.ref, c->asked.deadline_us, now);
	sd_round_carry_out(round);
}

/* What is known of a change whose round is over, or was closed. */
static void
finish_by_outcome(SdCoordinator *c)
{
	if (!is_of_asked(c) || !sd_outcome_is_definite(c->change.outcome))
		sd_request_finish(c, SD_RESULT_UNKNOWN, NULL, NULL, NULL);
	else if (c->change.p.chosen_known || was_refused(&c->change))
		sd_request_finish(c, SD_RESULT_LOST, NULL, NULL, NULL);
	else
		finish_no_quorum(c, &c->change);
}

/* The backend's transaction is over. */
static void
end_change(SdCoordinator *c, bool committed, int64 now)
{
	SdRound    *round = &c->change;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	c->db->ddl_pid = 0;
	c->db->doomed = c->db->overstayed = false;
	LWLockRelease(&c->db->lock);
	c->serving = SD_REQUEST_NONE;
	sd_lead_unblocked(c);
	c->look = true;

	/* a round only to lead, of a coordinator that came after the one of the change, is not what was committed */
	if (round->active && !(committed && c->acquiring))
	{
		sd_proposer_own_vote(&round->p, committed ? SD_OWN_COMMITTED : SD_OWN_ABORTED, now);
		sd_round_carry_out(round);
	}
	else if (committed)
		sd_gossip_push(c, c->asked.version);
	else if (round->noted && is_of_asked(c) && is_tried_again(round->outcome))
		(void) sd_coordinator_transaction(c, close_attempt, &round->entry_id, false);	/* its client gave up */
	sd_lead_end(c);
	if (committed)
	{
		if (!c->asked.supersedes)	/* a region that takes back what it cannot apply is told by its applier */
			sd_coordinator_notify(c, "applied", c->asked.version, NULL);
		sd_heartbeat_hurry(c);
	}
}

void
sd_request_take(SdCoordinator *c)
{
	SdProposal *p = &c->db->proposal;
	SdRequest	request;
	int64		now = sd_monotonic_us();

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	request = p->request;
	if (request != SD_REQUEST_NONE)
	{
		pg_uuid_t	granted = c->asked.entry_id;

		/* told to catch up first, it comes again; or another one of a client that waited in vain */
		if (request == SD_REQUEST_GRANT && memcmp(&p->entry_id, &granted, UUID_LEN) != 0 && now - c->gave_up_us >= SD_LINE_PATIENCE)
			c->waits_since_us = now;
		c->asked = *p;
		if (request == SD_REQUEST_COMMITTED || request == SD_REQUEST_ABORTED)
			c->asked.entry_id = granted;
		p->request = SD_REQUEST_NONE;
	}
	LWLockRelease(&c->db->lock);
	if (request == SD_REQUEST_NONE)
		return;
	ConditionVariableBroadcast(&c->db->changed);

	switch (request)
	{
		case SD_REQUEST_NONE:
			break;
		case SD_REQUEST_GRANT:
		case SD_REQUEST_NEEDS:
			MemoryContextReset(c->needs_context);
			sd_demands_take(c, attach(c, c->needs_context));
			c->serving = request;
			c->asked_us = now;
			c->look = true;		/* what the tables say now decides */
			break;
		case SD_REQUEST_ACCEPT:
			c->serving = request;
			serve_accept(c, now);
			break;
		case SD_REQUEST_PREEMPTED:
			c->serving = SD_REQUEST_ACCEPT;
			if (c->change.active && is_of_asked(c))
			{
				sd_proposer_own_vote(&c->change.p, SD_OWN_PREEMPTED, now);
				sd_round_carry_out(&c->change);
			}
			else
				finish_by_outcome(c);	/* it was decided while the backend looked */
			break;
		case SD_REQUEST_CLOSE:
			c->serving = SD_REQUEST_ACCEPT;
			if (c->change.active && is_of_asked(c))
			{
				sd_proposer_close(&c->change.p, now);
				sd_round_carry_out(&c->change);
			}
			if (c->serving != SD_REQUEST_NONE)
				finish_by_outcome(c);
			break;
		case SD_REQUEST_COMMITTED:
			end_change(c, true, now);
			break;
		case SD_REQUEST_ABORTED:
			end_change(c, false, now);
			break;
	}
}

/* The time is over, and no round could be tried. */
static void
finish_late(SdCoordinator *c)
{
	const char *no_vote = sd_lost_no_vote(c);

	if (!sd_ballot_is_none(&c->blocked.lease))
		finish_blocked(c, sd_lead_blocked_text(c));
	else if (c->settle.active || no_vote || c->undecided > 0)
		sd_request_finish(c, SD_RESULT_NO_QUORUM, NULL,
						  c->settle.active ? sd_round_missing(&c->settle, "") :
						  no_vote ? psprintf("Region %s does not vote yet: %s.", c->self.region, no_vote) :
						  "An earlier change is not settled yet.",
						  "SELECT * FROM schemadrift.regions; then run the change again.");
	else
		finish_blocked(c, "Other regions changed the schema all the time, and this one had to catch up with them.");
}

/* ---- one turn ---- */

void
sd_request_drive(SdCoordinator *c, int64 now)
{
	if (c->serving == SD_REQUEST_GRANT && !c->change.active)
		serve_grant(c, now);
	else if (c->serving == SD_REQUEST_NEEDS)
		serve_needs(c);
	if (c->serving == SD_REQUEST_GRANT && !c->change.active && c->asked.deadline_us <= now)
		finish_late(c);
	if (c->change.active && c->change.put_at_us <= now)
		sd_round_put_chosen(&c->change);
	if (c->change.active)
		sd_round_tick(&c->change);
}

int64
sd_request_deadline(SdCoordinator *c)
{
	int64		deadline = c->change.active ? Min(c->change.wake_us, c->change.put_at_us) : SD_NEVER;

	if ((c->serving == SD_REQUEST_GRANT && !c->change.active) || c->serving == SD_REQUEST_NEEDS)
	{
		deadline = Min(deadline, c->asked.deadline_us);
		deadline = Min(deadline, sd_lead_deadline(c));
		deadline = Min(deadline, sd_monotonic_us() + SD_YIELD_US / 4);
	}
	else if (c->acquiring && !c->change.active)
		deadline = Min(deadline, Min(sd_lead_deadline(c), sd_monotonic_us() + SD_US_PER_S));
	return deadline;
}
