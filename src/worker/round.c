/*
 * round.c: carries out what consensus/proposer.h says.
 *
 * Two rounds at most run in a coordinator: `change`, for the local backend that holds the DDL lock, and
 * `settle`, finishing what others (or an earlier change of ours) began.  A round's effects become calls on the peers'
 * connections, transactions on the own acceptor, and results for the waiting backend.
 */
#include "compat.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "store/vote.h"
#include "worker/coordinator.h"

#define MAX_BALLOTS			8
#define BACKOFF_BASE_US		(20 * SD_US_PER_MS)
#define BACKOFF_MAX_US		(1 * SD_US_PER_S)

void
sd_round_init(SdRound *round, SdCoordinator *c)
{
	round->coordinator = c;
	round->wake_us = round->put_at_us = SD_NEVER;
	round->context = AllocSetContextCreate(c->context, "schemadrift round", ALLOCSET_SMALL_SIZES);
}

/* ---- bodies ---- */

static SdBody *
find_body(SdRound *round, const SdEntryRef *ref)
{
	ListCell   *lc;

	foreach(lc, round->bodies)
	{
		SdBody	   *body = lfirst(lc);

		if (sd_entry_equal(&body->ref, ref))
			return body;
	}
	return NULL;
}

static void
release_body(SdBody *body)
{
	if (--body->holders > 0)
		return;
	pfree(body->bytes);
	pfree(body);
}

void
sd_round_forget_bodies(SdRound *round)
{
	ListCell   *lc;

	foreach(lc, round->bodies)
		release_body(lfirst(lc));
	MemoryContextReset(round->context);
	round->bodies = NIL;
}

void
sd_round_keep_body(SdRound *round, const SdEntryRef *ref, const bytea *bytes)
{
	MemoryContext old;
	SdBody	   *body;

	if (find_body(round, ref))
		return;
	old = MemoryContextSwitchTo(round->coordinator->context);
	body = palloc0(sizeof(SdBody));
	body->ref = *ref;
	body->holders = 1;
	body->bytes = palloc(VARSIZE_ANY_EXHDR(bytes) + VARHDRSZ);
	SET_VARSIZE(body->bytes, VARSIZE_ANY_EXHDR(bytes) + VARHDRSZ);
	memcpy(VARDATA(body->bytes), VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	MemoryContextSwitchTo(round->context);
	round->bodies = lappend(round->bodies, body);
	MemoryContextSwitchTo(old);
}

/* ---- how it stands, in words ---- */

/* One line a voter that did not say yes, and why. */
char *
sd_round_missing(SdRound *round, const char *lead)
{
	SdCoordinator *c = round->coordinator;
	StringInfoData out;
	int64		now = sd_monotonic_us();

	initStringInfo(&out);
	appendStringInfoString(&out, lead);
	for (int i = 0; i < round->p.config.n; i++)
	{
		SdProposerVoter *voter = &round->p.voter[i];
		const char *region = round->p.config.member[i].region;
		SdRemote   *remote = sd_gossip_find(c, region);
		const char *why = NULL;

		/* in phase 2 our own vote is the last one: it was not asked for; and a lease is not what is missing here */
		if (!voter->votes || (voter->self && (voter->status == SD_VOTER_IDLE || voter->status == SD_VOTER_LEASED)))
			continue;
		switch (voter->status)
		{
			case SD_VOTER_PROMISED:
			case SD_VOTER_ACCEPTED:
				continue;
			case SD_VOTER_REFUSED:
				why = psprintf("has promised version " INT64_FORMAT " to region %s", round->p.version, voter->promise.region);
				break;
			case SD_VOTER_WRONG_INCARNATION:
				why = "answered under another incarnation";
				break;
			case SD_VOTER_IDLE:
			case SD_VOTER_ASKED:
			case SD_VOTER_UNANSWERED:
			case SD_VOTER_UNSENT:
				why = round->errors[i][0] ? round->errors[i] : "no answer";
				if (remote && sd_peer_last_error(remote->peer)[0])
					why = sd_peer_last_error(remote->peer);
				break;
			case SD_VOTER_LEASED:
			case SD_VOTER_NO_VOTE:
			case SD_VOTER_ERROR:
				why = round->errors[i];
				break;
		}
		appendStringInfo(&out, "%sRegion %s: %s", out.len > 0 ? "\n" : "", region, why);
		if (remote && remote->heard_us > 0 && voter->status != SD_VOTER_REFUSED)
			appendStringInfo(&out, "; last heard %.1f s ago", (double) (now - remote->heard_us) / SD_US_PER_S);
		else if (remote && remote->heard_us == 0)
			appendStringInfoString(&out, "; never heard since this server started");
		appendStringInfoChar(&out, '.');
	}
	return out.data;
}

char *
sd_round_votes(SdRound *round, bool own_commit)
{
	int			yes = own_commit && sd_config_find_voter(&round->p.config, round->p.region, round->p.incarnation) >= 0 ? 1 : 0;

	for (int i = 0; i < round->p.config.n; i++)
		if (round->p.voter[i].votes && !(own_commit && round->p.voter[i].self) &&
			(round->p.voter[i].status == SD_VOTER_PROMISED || round->p.voter[i].status == SD_VOTER_ACCEPTED))
			yes++;
	return psprintf("%d of %d", yes, sd_config_voters(&round->p.config));
}

/* ---- votes ---- */

typedef struct VoteCall
{
	SdRound    *round;
	uint32		number;
	int			voter;
	SdBallot	ballot;
	bool		accept;
	SdBody	   *body;			/* held until the call is over; NULL with prepare */
	int64		sent_us;
	int64		lease_us;		/* that was asked for with it */
} VoteCall;

typedef struct Decoded
{
	List	   *reports;		/* of SdAccepted */
	SdEntryRef	chosen;			/* of the first log row */
	List	   *rows;
} Decoded;

/* Entries' headers are read in a transaction: conversion between encodings needs catalogs. */
static void
decode_entries(SdCoordinator *c, void *arg)
{
	Decoded    *decoded = arg;
	ListCell   *lc;

	(void) c;
	foreach(lc, decoded->reports)
	{
		SdAccepted *report = lfirst(lc);

		report->entry = sd_entry_ref(sd_entry_decode(report->bytes));
	}
	if (decoded->rows != NIL)
		decoded->chosen = sd_entry_ref(sd_entry_decode(((SdLogRow *) linitial(decoded->rows))->bytes));
}

#define MAX_REPORTS 16

/* One voter's answer to prepare or accept, wherever it came from, becomes an event. */
static void
feed(SdRound *round, int voter, const SdBallot *ballot, bool accept, const char *region, SdVoteAnswer *answer)
{
	SdCoordinator *c = round->coordinator;
	int64		now = sd_monotonic_us();
	SdAnswer	who = {.voter = voter, .ballot = *ballot, .incarnation = answer->incarnation};
	Decoded		decoded = {.reports = answer->reports, .rows = answer->rows};

	strlcpy(who.region, region, SD_NAME_SIZE);
	if ((answer->reports != NIL || answer->rows != NIL) &&
		!sd_coordinator_transaction(c, decode_entries, &decoded, false))
	{
		strlcpy(round->errors[voter], "answered with an entry that cannot be read", SD_TEXT_SIZE);
		sd_proposer_failed(&round->p, voter, ballot, SD_VOTER_ERROR, now);
		return;
	}

	if (answer->verdict == SD_ACCEPTOR_PROMISED)
	{
		SdReport	reports[MAX_REPORTS];
		int			n = 0;
		ListCell   *lc;

		foreach(lc, answer->reports)
		{
			SdAccepted *report = lfirst(lc);

			/* with alpha = 1 there are two at most */
			if (n == MAX_REPORTS)
				break;
			sd_round_keep_body(round, &report->entry, report->bytes);
			reports[n++] = (SdReport) {.version = report->version, .ballot = report->ballot, .entry = report->entry};
		}
		sd_proposer_promise(&round->p, &who, reports, n, now);
	}
	else if (answer->verdict == SD_ACCEPTOR_ACCEPTED)
		sd_proposer_accepted(&round->p, &who, now);
	else if (answer->verdict == SD_ACCEPTOR_REFUSED)
	{
		c->max_round = Max(c->max_round, answer->promised.round);
		sd_proposer_refused(&round->p, &who, &answer->promised, now);
	}
	else if (answer->verdict == SD_ACCEPTOR_LEASED)
	{
		snprintf(round->errors[voter], SD_TEXT_SIZE, "has promised region %s not to be disturbed for %.1f s",
				 answer->promised.region, (double) answer->left_ms / 1000);
		round->lease = answer->promised;
		round->lease_until_us = Max(round->lease_until_us, now + (int64) answer->left_ms * SD_US_PER_MS);
		sd_proposer_failed(&round->p, voter, ballot, SD_VOTER_LEASED, now);
	}
	else if (answer->verdict == SD_ACCEPTOR_CHOSEN && decoded.rows != NIL)
	{
		SdLogRow   *first = linitial(decoded.rows);

		sd_proposer_chosen(&round->p, first->version, &decoded.chosen, now);
		sd_coordinator_learn(c, decoded.rows);
	}
	else
	{
		/* no vote, or nothing that this state machine knows: an accept may have happened or not */
		strlcpy(round->errors[voter], answer->reason ? answer->reason : sd_verdict_text(answer->verdict), SD_TEXT_SIZE);
		sd_proposer_failed(&round->p, voter, ballot,
						   accept && answer->verdict != SD_ACCEPTOR_NO_VOTE ? SD_VOTER_ERROR : SD_VOTER_NO_VOTE, now);
	}
}

static void
vote_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	VoteCall	vote = *(VoteCall *) arg;
	SdRound    *round = vote.round;
	SdVoteAnswer answer;
	int64		now = sd_monotonic_us();

	(void) call;
	pfree(arg);
	if (vote.body)
		release_body(vote.body);
	if (vote.number != round->number || !round->active)
		return;
	if (result->message)
		strlcpy(round->errors[vote.voter], result->message, SD_TEXT_SIZE);

	if (result->status == SD_CALL_NOT_SENT)
		sd_proposer_failed(&round->p, vote.voter, &vote.ballot, SD_VOTER_UNSENT, now);
	else if (result->status == SD_CALL_UNANSWERED)
		sd_proposer_failed(&round->p, vote.voter, &vote.ballot, SD_VOTER_UNANSWERED, now);
	else if (result->status == SD_CALL_ERROR || result->warning)
		sd_proposer_failed(&round->p, vote.voter, &vote.ballot, SD_VOTER_ERROR, now);
	else if (!sd_call_decode_vote(result->rows, &answer))
	{
		strlcpy(round->errors[vote.voter], "answered with nonsense", SD_TEXT_SIZE);
		sd_proposer_failed(&round->p, vote.voter, &vote.ballot, SD_VOTER_ERROR, now);
	}
	else
	{
		SdRemote   *remote = sd_gossip_find(round->coordinator, sd_peer_region(peer));

		if (remote)
			sd_gossip_count(remote, answer.incarnation, answer.vote_seq);
		if (vote.lease_us > 0 && (answer.verdict == SD_ACCEPTOR_PROMISED || answer.verdict == SD_ACCEPTOR_ACCEPTED))
			sd_lead_granted(round->coordinator, &vote.ballot, sd_peer_region(peer), vote.sent_us, vote.lease_us);
		feed(round, vote.voter, &vote.ballot, vote.accept, sd_peer_region(peer), &answer);
	}
	sd_round_carry_out(round);
}

static void
send_vote(SdRound *round, const SdEffect *effect)
{
	SdCoordinator *c = round->coordinator;
	SdRemote   *remote = sd_gossip_find(c, round->p.config.member[effect->voter].region);
	bool		accept = effect->kind == SD_EFFECT_SEND_ACCEPT;
	int64		deadline = sd_monotonic_us() + SD_CALL_TIMEOUT_US;
	SdCallHead	head;
	VoteCall   *vote;

	if (remote == NULL)
	{
		sd_proposer_failed(&round->p, effect->voter, &effect->ballot, SD_VOTER_UNSENT, sd_monotonic_us());
		return;
	}
	head = sd_gossip_head(c, remote);
	vote = MemoryContextAllocZero(c->context, sizeof(VoteCall));
	vote->round = round;
	vote->number = round->number;
	vote->voter = effect->voter;
	vote->ballot = effect->ballot;
	vote->accept = accept;
	vote->sent_us = sd_monotonic_us();
	vote->lease_us = sd_call_has_leases(&head) ? sd_lead_duration_us(round) : 0;
	if (accept)
	{
		SdBody	   *body = find_body(round, &effect->entry);

		if (body == NULL)
			elog(ERROR, "the body of an entry to be proposed is not at hand");

		/*
		 * The call may wait behind another one for longer than this round takes: with the memory of the next
		 * round's entry in its place it would send that one under a ballot that is spent on this one.
		 */
		vote->body = body;
		body->holders++;
		/* a long script takes its time on a long line: a microsecond a byte is a megabyte a second */
		deadline += VARSIZE_ANY_EXHDR(body->bytes);
		sd_call_accept(remote->peer, &head, &effect->ballot, effect->version, &round->chain, body->bytes,
					   vote->lease_us, deadline, vote_done, vote);
	}
	else
		sd_call_prepare(remote->peer, &head, &effect->ballot, effect->version, &round->chain,
						vote->lease_us, sd_lead_over(c), deadline, vote_done, vote);
}

/*
 * The own acceptor: "through the coordinator's own transaction, never by reading our tables in this one".
 * In the same transaction as the first promise of a change its attempt is written, so that
 * outcome() can answer for it after a crash without one more flush.
 */
typedef struct OwnVote
{
	SdRound    *round;
	const SdEffect *effect;
	SdVoteAnswer answer;
} OwnVote;

static void
own_vote(SdCoordinator *c, void *arg)
{
	OwnVote    *own = arg;
	SdRound    *round = own->round;
	const SdEffect *effect = own->effect;
	MemoryContext old;
	ListCell   *lc;
	SdVote		vote;

	if (effect->kind == SD_EFFECT_SEND_ACCEPT)
	{
		const SdBody *body = find_body(round, &effect->entry);

		if (body == NULL)
			elog(ERROR, "the body of an entry to be proposed is not at hand");
		vote = sd_vote_accept(&effect->ballot, effect->version, &round->chain, sd_entry_decode(body->bytes));
	}
	else
	{
		vote = sd_vote_prepare(&effect->ballot, effect->version, &round->chain);
		if (round == &c->change && !c->acquiring && !round->noted)
			sd_attempt_insert(&c->asked.entry_id, effect->version, c->asked.subject);
	}

	/* out of this transaction's memory */
	own->answer.verdict = vote.verdict;
	own->answer.incarnation = vote.incarnation;
	own->answer.vote_seq = vote.vote_seq;
	own->answer.head = vote.head;
	own->answer.promised = vote.promised;
	old = MemoryContextSwitchTo(c->turn);
	own->answer.reason = vote.reason ? pstrdup(vote.reason) : NULL;
	foreach(lc, vote.accepted)
	{
		SdAccepted *copy = palloc(sizeof(SdAccepted));
		SdAccepted *accepted = lfirst(lc);

		*copy = *accepted;
		copy->bytes = palloc(VARSIZE_ANY(accepted->bytes));
		memcpy(copy->bytes, accepted->bytes, VARSIZE_ANY(accepted->bytes));
		own->answer.reports = lappend(own->answer.reports, copy);
	}
	if (vote.verdict == SD_ACCEPTOR_CHOSEN)
	{
		SdLogRow   *row = palloc0(sizeof(SdLogRow));
		SdEntry    *entry = sd_log_entry(effect->version);

		row->version = effect->version;
		sd_log_find(effect->version, &row->chain, NULL);
		row->bytes = palloc(VARSIZE_ANY(entry->bytes));
		memcpy(row->bytes, entry->bytes, VARSIZE_ANY(entry->bytes));
		own->answer.rows = list_make1(row);
	}
	MemoryContextSwitchTo(old);
}

/* Our own acceptor's word to another region binds us like anybody. */
static bool
is_leased_here(SdRound *round, SdVoteAnswer *answer)
{
	SdCoordinator *c = round->coordinator;
	int64		now = sd_monotonic_us();
	bool		forbids;

	LWLockAcquire(&c->db->lock, LW_SHARED);
	forbids = sd_grant_forbids(&c->db->grant, c->self.region, sd_lead_over(c), now);
	answer->promised = c->db->grant.ballot;
	answer->left_ms = (int32) Max((c->db->grant.until - now) / SD_US_PER_MS, 1);
	LWLockRelease(&c->db->lock);
	answer->verdict = SD_ACCEPTOR_LEASED;
	answer->incarnation = c->self.incarnation;
	return forbids;
}

static void
vote_here(SdRound *round, const SdEffect *effect)
{
	SdCoordinator *c = round->coordinator;
	bool		accept = effect->kind == SD_EFFECT_SEND_ACCEPT;
	OwnVote		own = {.round = round, .effect = effect};
	int64		now = sd_monotonic_us();

	if (!accept && is_leased_here(round, &own.answer))
		feed(round, effect->voter, &effect->ballot, accept, c->self.region, &own.answer);
	else if (sd_coordinator_transaction(c, own_vote, &own, true))
	{
		int64		lease = sd_lead_duration_us(round);

		if (own.answer.verdict == SD_ACCEPTOR_PROMISED || own.answer.verdict == SD_ACCEPTOR_ACCEPTED)
		{
			if (round == &c->change && !c->acquiring)
				round->noted = true;
			LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
			sd_grant_note(&c->db->grant, &effect->ballot, lease, now);
			LWLockRelease(&c->db->lock);
			if (lease > 0)
				sd_lead_granted(c, &effect->ballot, c->self.region, now, lease);
		}
		feed(round, effect->voter, &effect->ballot, accept, c->self.region, &own.answer);
	}
	else
	{
		strlcpy(round->errors[effect->voter], "this region's own tables could not be written; see the server's log", SD_TEXT_SIZE);
		sd_proposer_failed(&round->p, effect->voter, &effect->ballot, SD_VOTER_ERROR, sd_monotonic_us());
	}
}

static void
note_attempt(SdCoordinator *c, void *arg)
{
	SdRound    *round = arg;

	sd_attempt_insert(&c->asked.entry_id, round->p.version, c->asked.subject);
}

bool
sd_round_note(SdRound *round)
{
	if (!round->noted)
		round->noted = sd_coordinator_transaction(round->coordinator, note_attempt, round, true);
	return round->noted;
}

/* ---- effects ---- */

/* The statements may run; a round that is only to lead has reached its end. */
static void
granted(SdRound *round)
{
	SdCoordinator *c = round->coordinator;

	if (c->acquiring)
	{
		sd_proposer_close(&round->p, sd_monotonic_us());
		return;
	}
	sd_lead_unblocked(c);
	sd_shared_decide(c->db, "grant", c->asked.subject, round->by_lease ? "by lease" : "granted",
					 round->by_lease ? "" : sd_round_votes(round, false), "");
	sd_request_finish(c, SD_RESULT_GRANTED, NULL, NULL, NULL);
	/* while the statements run: before an accept leaves, outcome() must be able to answer after a crash */
	(void) sd_round_note(round);
}

typedef struct Chosen
{
	SdRound    *round;
	const SdBody *body;
	int64		version;
} Chosen;

static void
learn_chosen(SdCoordinator *c, void *arg)
{
	Chosen	   *chosen = arg;
	SdEntry    *entry;
	SdChain		chain;

	(void) c;
	/* our own commit put it there: nothing to lock, write and flush before the others are told */
	if (sd_log_find(chosen->version, NULL, NULL))
		return;
	entry = sd_entry_decode(chosen->body->bytes);
	chain = sd_entry_chain(&chosen->round->chain, entry);
	(void) sd_vote_learn(chosen->version, &chosen->body->ref, &chain, entry);
}

/* Chosen: into our log, unless our own commit put it there, and to everybody. */
void
sd_round_put_chosen(SdRound *round)
{
	SdCoordinator *c = round->coordinator;
	Chosen		chosen = {.round = round, .body = find_body(round, &round->p.chosen), .version = round->p.version};

	round->put_at_us = SD_NEVER;
	if (chosen.body && c->head.version < chosen.version)
		(void) sd_coordinator_transaction(c, learn_chosen, &chosen, true);
	sd_gossip_push(c, chosen.version);
	c->look = true;
}

/*
 * Others are a majority without us while our backend commits the same: it writes the row.  If both did, each would wait
 * for the other's locks and flush.  It is ours to write if the commit comes to nothing, or does not come.
 */
static void
note_chosen(SdRound *round)
{
	if (round == &round->coordinator->change && round->p.phase == SD_PHASE_OWN_VOTE &&
		round->coordinator->head.version < round->p.version)
		round->put_at_us = sd_monotonic_us() + SD_YIELD_US;
	else
		sd_round_put_chosen(round);
}

void
sd_round_carry_out(SdRound *round)
{
	SdCoordinator *c = round->coordinator;
	SdEffect	effects[SD_PROPOSER_EFFECTS];
	int			n = 0;

	/* all effects of an event are taken before the next event, and the own vote is such an event */
	for (;;)
	{
		n = 0;
		while (n < SD_PROPOSER_EFFECTS && sd_proposer_next(&round->p, &effects[n]))
			n++;
		if (n == 0)
			break;
		round->wake_us = SD_NEVER;
		if (round == &c->change && round->p.mode == SD_PROPOSER_CHANGE)
			sd_lead_begin(c, &round->p.ballot);
		for (int i = 0; i < n; i++)
		{
			const SdEffect *effect = &effects[i];

			switch (effect->kind)
			{
				case SD_EFFECT_SEND_PREPARE:
				case SD_EFFECT_SEND_ACCEPT:
					if (round->p.voter[effect->voter].self)
						break;	/* below, after the others are on their way */
					send_vote(round, effect);
					break;
				case SD_EFFECT_GRANTED:
					granted(round);
					break;
				case SD_EFFECT_READY:
					sd_request_finish(c, effect->chosen ? SD_RESULT_CHOSEN : SD_RESULT_ACCEPTED, NULL, NULL, NULL);
					break;
				case SD_EFFECT_CHOSEN:
					note_chosen(round);
					break;
				case SD_EFFECT_UNDECIDED:
					c->doubt = effect->version;
					c->settle_at_us = 0;
					break;
				case SD_EFFECT_WAIT:
					round->wake_us = Min(round->wake_us, effect->until);
					break;
				case SD_EFFECT_MUST_SETTLE:
					break;		/* its body was kept when it was reported */
				case SD_EFFECT_DONE:
					if (round->put_at_us != SD_NEVER)
						sd_round_put_chosen(round);
					round->active = false;
					round->outcome = effect->outcome;
					if (round == &c->change)
						sd_request_change_done(round, effect->outcome);
					else
						sd_settle_done(round, effect->outcome);
					break;
			}
		}
		for (int i = 0; i < n; i++)
			if ((effects[i].kind == SD_EFFECT_SEND_PREPARE || effects[i].kind == SD_EFFECT_SEND_ACCEPT) &&
				round->p.voter[effects[i].voter].self)
				vote_here(round, &effects[i]);
	}
}

/* ---- starting rounds ---- */

void
sd_round_start(SdRound *round, SdProposerMode mode, int64 deadline, const SdEntryRef *noop, const SdKept *kept)
{
	SdCoordinator *c = round->coordinator;
	const bool *required = round == &c->change && !c->acquiring ? c->required : NULL;
	SdProposerStart s = {
		.mode = mode,
		.config = &c->members.config,
		.region = c->self.region,
		.incarnation = c->self.incarnation,
		.version = c->head.version + 1,
		.max_round = c->max_round,
		.deadline = deadline,
		.retry_after = SD_US_PER_S / 2,
		.backoff_base = BACKOFF_BASE_US,
		.backoff_max = BACKOFF_MAX_US,
		.max_ballots = MAX_BALLOTS,
		.has_noop = noop != NULL,
		.required = required,
	};

	/* who must agree besides a majority is to be heard now */
	for (int i = 0; required && i < c->members.config.n; i++)
		if (required[i])
			kept = NULL;
	s.kept = kept;
	if (noop)
		s.noop = *noop;
	else
		sd_round_forget_bodies(round);
	if (!pg_strong_random(&s.seed, sizeof(s.seed)))
		elog(ERROR, "could not generate random values");
	round->number++;
	round->active = true;
	round->outcome = SD_OUTCOME_NONE;
	round->wake_us = round->put_at_us = SD_NEVER;
	memset(&round->entry_id, 0, sizeof(round->entry_id));
	if (round == &c->change && !c->acquiring)
		round->entry_id = c->asked.entry_id;
	round->chain = c->head.chain;
	round->noted = false;
	memset(&round->lease, 0, sizeof(round->lease));
	round->lease_until_us = 0;
	memset(round->errors, 0, sizeof(round->errors));
	/* our own higher ballot is the end of the one that we kept */
	if (kept == NULL)
		sd_lead_drop(c);
	sd_proposer_start(&round->p, &s, sd_monotonic_us());
	round->by_lease = kept != NULL && sd_ballot_compare(&round->p.ballot, &kept->ballot) == 0;
	sd_round_carry_out(round);
}

/* ---- the log moved ---- */

typedef struct Decided
{
	int64		version;
	SdEntryRef	entry;
	bool		found;
} Decided;

static void
read_decided(SdCoordinator *c, void *arg)
{
	Decided    *decided = arg;

	(void) c;
	decided->found = sd_log_find(decided->version, NULL, &decided->entry);
}

/* The log moved past a round's version: whatever brought it, that decides the round. */
void
sd_round_notice(SdRound *round, int64 now)
{
	SdCoordinator *c = round->coordinator;
	Decided		decided = {.version = round->p.version};

	if (!round->active || c->head.version < round->p.version)
		return;
	if (sd_coordinator_transaction(c, read_decided, &decided, false) && decided.found)
	{
		sd_proposer_chosen(&round->p, decided.version, &decided.entry, now);
		sd_round_carry_out(round);
	}
}
