/*
 * round.c: carries out what consensus/proposer.h says.
 *
 * Two rounds at most run in a coordinator: `change`, for the local backend that holds the DDL lock, and
 * `settle`, finishing what others (or an earlier change of ours) began.  A round's effects become calls on the peers'
 * connections, transactions on the own acceptor, and results for the waiting backend.
 */
#include "compat.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/dsm.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "settings.h"
#include "store/names.h"
#include "store/vote.h"
#include "worker/coordinator.h"

#define CALL_TIMEOUT_US		(5 * SD_US_PER_S)
#define MAX_BALLOTS			8
#define BACKOFF_BASE_US		(20 * SD_US_PER_MS)
#define BACKOFF_MAX_US		(1 * SD_US_PER_S)

/* Another region holds our fresh promise: it is about to change the schema, let it. */
#define YIELD_US			(400 * SD_US_PER_MS)

/* How long a missing role is looked for again before the change is refused. */
#define NAMES_PATIENCE_US	(1500 * SD_US_PER_MS)

static void carry_out(SdRound *round);

void
sd_round_init(SdRound *round, SdCoordinator *c)
{
	round->coordinator = c;
	round->wake_us = SD_NEVER;
	round->context = AllocSetContextCreate(c->context, "schemadrift round", ALLOCSET_SMALL_SIZES);
}

/* ---- bodies ---- */

static const SdBody *
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
keep_body(SdRound *round, const SdEntryRef *ref, const bytea *bytes)
{
	MemoryContext old;
	SdBody	   *body;

	if (find_body(round, ref))
		return;
	old = MemoryContextSwitchTo(round->context);
	body = palloc0(sizeof(SdBody));
	body->ref = *ref;
	body->bytes = palloc(VARSIZE_ANY_EXHDR(bytes) + VARHDRSZ);
	SET_VARSIZE(body->bytes, VARSIZE_ANY_EXHDR(bytes) + VARHDRSZ);
	memcpy(VARDATA(body->bytes), VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	round->bodies = lappend(round->bodies, body);
	MemoryContextSwitchTo(old);
}

/* ---- results for the backend ---- */

static void
finish_request(SdCoordinator *c, SdResult result, const char *message, const char *detail, const char *hint)
{
	SdProposal *p = &c->db->proposal;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
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
		c->db->ddl_since = GetCurrentTimestamp();
		c->db->doomed = false;
	}
	strlcpy(p->message, message ? message : "", sizeof(p->message));
	strlcpy(p->detail, detail ? detail : "", sizeof(p->detail));
	strlcpy(p->hint, hint ? hint : "", sizeof(p->hint));
	p->result = result;
	LWLockRelease(&c->db->lock);
	c->serving = SD_REQUEST_NONE;
	ConditionVariableBroadcast(&c->db->changed);
}

static void
finish_again(SdCoordinator *c, int64 version)
{
	c->asked.version = version;
	finish_request(c, SD_RESULT_AGAIN, NULL, NULL, NULL);
}

/* One line a voter that did not say yes, and why. */
static char *
missing_voters(SdRound *round, const char *lead)
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

		if (!voter->votes)
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
			case SD_VOTER_NO_VOTE:
			case SD_VOTER_ERROR:
				why = round->errors[i];
				break;
		}
		appendStringInfo(&out, "%sRegion %s: %s", out.len > 0 ? "\n" : "", region, why);
		if (remote && remote->heard_us > 0 && voter->status != SD_VOTER_REFUSED)
			appendStringInfo(&out, " (last heard %.1f s ago)", (double) (now - remote->heard_us) / SD_US_PER_S);
		else if (remote && remote->heard_us == 0)
			appendStringInfoString(&out, " (never heard since this server started)");
		appendStringInfoChar(&out, '.');
	}
	return out.data;
}

static char *
votes_text(SdRound *round)
{
	StringInfoData out;
	int			yes = 0;

	initStringInfo(&out);
	for (int i = 0; i < round->p.config.n; i++)
		if (round->p.voter[i].votes &&
			(round->p.voter[i].status == SD_VOTER_PROMISED || round->p.voter[i].status == SD_VOTER_ACCEPTED))
			yes++;
	appendStringInfo(&out, "%d of %d", yes, sd_config_voters(&round->p.config));
	return out.data;
}

/* ---- votes ---- */

typedef struct VoteCall
{
	SdRound    *round;
	uint32		number;
	int			voter;
	SdBallot	ballot;
	bool		accept;
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
			keep_body(round, &report->entry, report->bytes);
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
		feed(round, vote.voter, &vote.ballot, vote.accept, sd_peer_region(peer), &answer);
	carry_out(round);
}

static void
send_vote(SdRound *round, const SdEffect *effect)
{
	SdCoordinator *c = round->coordinator;
	SdRemote   *remote = sd_gossip_find(c, round->p.config.member[effect->voter].region);
	bool		accept = effect->kind == SD_EFFECT_SEND_ACCEPT;
	int64		deadline = sd_monotonic_us() + CALL_TIMEOUT_US;
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
	if (accept)
	{
		const SdBody *body = find_body(round, &effect->entry);

		if (body == NULL)
			elog(ERROR, "the body of an entry to be proposed is not at hand");
		sd_call_accept(remote->peer, &head, &effect->ballot, effect->version, &round->chain, body->bytes,
					   deadline, vote_done, vote);
	}
	else
		sd_call_prepare(remote->peer, &head, &effect->ballot, effect->version, &round->chain,
						deadline, vote_done, vote);
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
		if (round == &c->change)
			sd_attempt_insert(&c->asked.entry_id, effect->version);
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

static void
vote_here(SdRound *round, const SdEffect *effect)
{
	SdCoordinator *c = round->coordinator;
	OwnVote		own = {.round = round, .effect = effect};

	if (sd_coordinator_transaction(c, own_vote, &own, true))
		feed(round, effect->voter, &effect->ballot, effect->kind == SD_EFFECT_SEND_ACCEPT, c->self.region, &own.answer);
	else
	{
		strlcpy(round->errors[effect->voter], "this region's own tables could not be written; see the server's log", SD_TEXT_SIZE);
		sd_proposer_failed(&round->p, effect->voter, &effect->ballot, SD_VOTER_ERROR, sd_monotonic_us());
	}
}

/* ---- effects ---- */

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
	SdEntry    *entry = sd_entry_decode(chosen->body->bytes);
	SdChain		chain = sd_entry_chain(&chosen->round->chain, entry);

	(void) c;
	(void) sd_vote_learn(chosen->version, &chosen->body->ref, &chain, entry);
}

/* Chosen: into our log, unless our own commit put it there, and to everybody. */
static void
put_chosen(SdRound *round, const SdEffect *effect)
{
	SdCoordinator *c = round->coordinator;
	Chosen		chosen = {.round = round, .body = find_body(round, &effect->entry), .version = effect->version};

	if (chosen.body && c->head.version < effect->version)
		(void) sd_coordinator_transaction(c, learn_chosen, &chosen, true);
	sd_gossip_push(c, effect->version);
	c->look = true;
}

static void
close_attempt(SdCoordinator *c, void *arg)
{
	(void) c;
	sd_attempt_close(arg);
}

static void
change_done(SdRound *round, SdOutcome outcome)
{
	SdCoordinator *c = round->coordinator;
	const char *subject = c->asked.subject;
	SdRequest	serving = c->serving;

	switch (outcome)
	{
		case SD_OUTCOME_SUCCESS:
			sd_shared_decide(c->db, "change", subject, "chosen", votes_text(round), "");
			return;
		case SD_OUTCOME_NOTHING_SENT:
			break;
		case SD_OUTCOME_TAKEN:
			if (serving == SD_REQUEST_GRANT)
				finish_again(c, round->p.version);
			else if (serving != SD_REQUEST_NONE)
				finish_request(c, SD_RESULT_LOST, NULL, NULL, NULL);
			else
			{
				/* the statements ran for a version that is taken: the transaction ends with 40001 */
				LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
				c->db->doomed = c->db->ddl_pid != 0;
				LWLockRelease(&c->db->lock);
			}
			sd_shared_decide(c->db, "preemption", subject, "taken", votes_text(round), "another region's entry has the version");
			break;
		case SD_OUTCOME_LOST:
		case SD_OUTCOME_REFUSED:
			if (serving != SD_REQUEST_NONE)
				finish_request(c, SD_RESULT_LOST, NULL, NULL, NULL);
			sd_shared_decide(c->db, "preemption", subject, "lost", votes_text(round), "another region changed the schema first");
			break;
		case SD_OUTCOME_NO_QUORUM:
			if (serving != SD_REQUEST_NONE)
				finish_request(c, SD_RESULT_NO_QUORUM, NULL, missing_voters(round, ""),
							   "SELECT * FROM schemadrift.regions; then run the change again, or run it in a region of the majority.");
			sd_shared_decide(c->db, "refusal", subject, "no_quorum", votes_text(round), missing_voters(round, ""));
			break;
		case SD_OUTCOME_PREEMPTED:
			if (serving != SD_REQUEST_NONE)
				finish_request(c, SD_RESULT_LOST, NULL, missing_voters(round, ""), NULL);
			sd_shared_decide(c->db, "preemption", subject, "preempted", votes_text(round), missing_voters(round, ""));
			break;
		case SD_OUTCOME_UNKNOWN:
			if (serving != SD_REQUEST_NONE)
				finish_request(c, SD_RESULT_UNKNOWN, NULL, missing_voters(round, "no answer from enough voters"), NULL);
			sd_shared_decide(c->db, "change", subject, "unknown", votes_text(round), "being settled");
			c->doubt = round->p.version;
			return;
		case SD_OUTCOME_NONE:
		case SD_OUTCOME_SETTLED:
		case SD_OUTCOME_NOTHING:
			break;
	}
	/* definite: outcome() says "rejected" from now on */
	if (round->p.version > 0 && outcome != SD_OUTCOME_TAKEN)
		(void) sd_coordinator_transaction(c, close_attempt, &c->asked.entry_id, false);
}

static void
settle_done(SdRound *round, SdOutcome outcome)
{
	SdCoordinator *c = round->coordinator;
	int64		now = sd_monotonic_us();

	if (outcome == SD_OUTCOME_SETTLED)
	{
		sd_shared_decide(c->db, "settlement", psprintf("version " INT64_FORMAT, round->p.version), "chosen",
						 votes_text(round), "finished what another attempt began");
		if (c->doubt == round->p.version)
			c->doubt = 0;
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

static void
carry_out(SdRound *round)
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
					sd_shared_decide(c->db, "grant", c->asked.subject, "granted", votes_text(round), "");
					finish_request(c, SD_RESULT_GRANTED, NULL, NULL, NULL);
					break;
				case SD_EFFECT_READY:
					finish_request(c, effect->chosen ? SD_RESULT_CHOSEN : SD_RESULT_ACCEPTED, NULL, NULL, NULL);
					break;
				case SD_EFFECT_CHOSEN:
					put_chosen(round, effect);
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
					round->active = false;
					round->outcome = effect->outcome;
					if (round == &c->change)
						change_done(round, effect->outcome);
					else
						settle_done(round, effect->outcome);
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

static void
start(SdRound *round, SdProposerMode mode, int64 deadline, const SdEntryRef *noop)
{
	SdCoordinator *c = round->coordinator;
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
	};

	if (noop)
		s.noop = *noop;
	else
		MemoryContextReset(round->context), round->bodies = NIL;
	if (!pg_strong_random(&s.seed, sizeof(s.seed)))
		elog(ERROR, "could not generate random values");
	round->number++;
	round->active = true;
	round->outcome = SD_OUTCOME_NONE;
	round->wake_us = SD_NEVER;
	round->chain = c->head.chain;
	memset(round->errors, 0, sizeof(round->errors));
	sd_proposer_start(&round->p, &s, sd_monotonic_us());
	carry_out(round);
}

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
	noop->entry.hlc = (int64) c->db->hlc;
	noop->entry.author = GetUserNameFromId(GetUserId(), false);
	noop->entry.protocol = SD_PROTOCOL;
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
static void
drive_settle(SdCoordinator *c, int64 now)
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
			carry_out(round);
		}
		return;
	}
	if (c->doubt > 0 && c->doubt < next)
		c->doubt = 0;			/* decided meanwhile */
	if ((c->undecided != next && c->doubt != next) || !c->self.valid || c->settle_at_us > now)
		return;

	/* our own change is at it: that is its round */
	if (c->change.active && (c->change.p.phase == SD_PHASE_ACCEPT || c->change.p.phase == SD_PHASE_OWN_VOTE))
		return;
	/* "look first (a live proposer with a higher promise -> wait)" */
	if (c->db->foreign_promise_for == next && now - c->db->foreign_promise_us < YIELD_US)
	{
		c->settle_at_us = c->db->foreign_promise_us + YIELD_US;
		return;
	}
	if (c->doubt == next)
	{
		MemoryContextReset(round->context);
		round->bodies = NIL;
		if (!sd_coordinator_transaction(c, make_noop, &noop, false))
			return;
		ref = sd_entry_ref(&noop.entry);
		keep_body(round, &ref, noop.entry.bytes);
		start(round, SD_PROPOSER_SETTLE, now + CALL_TIMEOUT_US, &ref);
	}
	else
		start(round, SD_PROPOSER_SETTLE, now + CALL_TIMEOUT_US, NULL);
}

/* ---- requests ---- */

/* What the change needs and a serving region lacks: a sentence; NULL if nothing; *wait: ask there once more first. */
static char *
missing_names(SdCoordinator *c, bool *wait)
{
	int64		now = sd_monotonic_us();
	ListCell   *lc;

	*wait = false;
	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);
		const char *need;

		if (remote->role == SD_ROLE_WITNESS || remote->names == NULL)
			continue;
		need = sd_names_missing(remote->names, c->needs);
		if (need == NULL)
			continue;
		if (remote->names_us < c->asked_us && now - c->asked_us < NAMES_PATIENCE_US &&
			sd_peer_circuit(remote->peer) == SD_CIRCUIT_CLOSED)
		{
			/* it may have been created since the last exchange */
			if (!remote->exchanging)
				remote->next_exchange_us = 0;
			*wait = true;
			continue;
		}
		return psprintf("%.*s \"%s\" does not exist in region %s",
						(int) strcspn(need, ":"), need, strchr(need, ':') + 1, remote->region);
	}
	return NULL;
}

/* Step 1: may this region originate now?  Then phase 1. */
static void
serve_grant(SdCoordinator *c, int64 now)
{
	const SdMember *me = c->me >= 0 ? &c->members.config.member[c->me] : NULL;
	char	   *missing;
	bool		wait;

	if (!c->joined)
		finish_request(c, SD_RESULT_NOT_ORIGIN, "this database is in no group", "", "SELECT schemadrift.init(...) or schemadrift.join(...).");
	else if (!c->self.valid)
		finish_request(c, SD_RESULT_NOT_ORIGIN, "this region may not change the schema: its identity is void",
					   psprintf("Nothing happened. Reason: %s.", c->self.mismatch),
					   "SELECT * FROM schemadrift.status says what to do.");
	else if (me == NULL)
		finish_request(c, SD_RESULT_NOT_ORIGIN, "this region is not a member of the group any more", "Nothing happened.",
					   "SELECT schemadrift.leave(), and join again.");
	else if (me->role == SD_ROLE_WITNESS)
		finish_request(c, SD_RESULT_NOT_ORIGIN, "this region is a witness: it has no schema", "Nothing happened.", "");
	else if (c->applied.version < c->head.version && !c->asked.supersedes)
		finish_again(c, c->head.version);
	else if ((missing = missing_names(c, &wait)) != NULL)
		finish_request(c, SD_RESULT_NAMES_MISSING, missing, "Nothing happened.",
					   "Create it there first, then run the change again.");
	else if (wait)
		return;
	else if (c->settle.active)
		return;					/* what is undecided comes first */
	else if (c->db->foreign_promise_for == c->head.version + 1 &&
			 now - c->db->foreign_promise_us < YIELD_US && now - c->asked_us < YIELD_US)
		return;					/* wait for the live proposer, a moment */
	else if (!c->change.active)
		start(&c->change, SD_PROPOSER_CHANGE, c->asked.deadline_us, NULL);
}

static void
serve_needs(SdCoordinator *c)
{
	bool		wait;
	char	   *missing = missing_names(c, &wait);

	if (missing)
		finish_request(c, SD_RESULT_NAMES_MISSING, missing, "Nothing happened.",
					   "Create it there first, then run the change again.");
	else if (!wait)
		finish_request(c, SD_RESULT_NAMES_THERE, NULL, NULL, NULL);
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

static void
take_needs(SdCoordinator *c)
{
	MemoryContext old;
	char	   *lines;

	MemoryContextReset(c->needs_context);
	c->needs = NIL;
	lines = attach(c, c->needs_context);
	old = MemoryContextSwitchTo(c->needs_context);
	for (char *line = lines ? strtok(lines, "\n") : NULL; line; line = strtok(NULL, "\n"))
		c->needs = lappend(c->needs, line);
	MemoryContextSwitchTo(old);
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

static void
serve_accept(SdCoordinator *c, int64 now)
{
	SdRound    *round = &c->change;
	Proposed	proposed;
	char	   *data;

	if (!round->active || round->p.phase != SD_PHASE_GRANTED)
	{
		/* taken meanwhile, or granted by a coordinator that is gone: nothing of this change was ever sent */
		if (round->outcome == SD_OUTCOME_TAKEN)
			finish_request(c, SD_RESULT_LOST, NULL, NULL, NULL);
		else
			finish_request(c, SD_RESULT_NO_COORDINATOR, NULL, NULL, NULL);
		return;
	}
	data = attach(c, c->turn);
	if (data == NULL)
	{
		finish_request(c, SD_RESULT_NO_COORDINATOR, NULL, NULL, NULL);
		return;
	}
	proposed.bytes = MemoryContextAllocHuge(c->turn, c->asked.data_size + VARHDRSZ);
	SET_VARSIZE(proposed.bytes, c->asked.data_size + VARHDRSZ);
	memcpy(VARDATA(proposed.bytes), data, c->asked.data_size);
	if (!sd_coordinator_transaction(c, read_ref, &proposed, false))
	{
		finish_request(c, SD_RESULT_NO_COORDINATOR, NULL, NULL, NULL);
		return;
	}
	keep_body(round, &proposed.ref, proposed.bytes);
	sd_proposer_propose(&round->p, &proposed.ref, c->asked.deadline_us, now);
	carry_out(round);
}

/* The backend's transaction is over. */
static void
end_change(SdCoordinator *c, bool committed, int64 now)
{
	SdRound    *round = &c->change;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	c->db->ddl_pid = 0;
	c->db->doomed = false;
	LWLockRelease(&c->db->lock);
	c->serving = SD_REQUEST_NONE;
	c->look = true;

	if (round->active)
	{
		sd_proposer_own_vote(&round->p, committed ? SD_OWN_COMMITTED : SD_OWN_ABORTED, now);
		carry_out(round);
	}
	else if (committed)
		sd_gossip_push(c, round->p.version);
	if (committed)
		sd_gossip_hurry(c);
}

void
sd_round_request(SdCoordinator *c)
{
	SdProposal *p = &c->db->proposal;
	SdRequest	request;
	int64		now = sd_monotonic_us();

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	request = p->request;
	if (request != SD_REQUEST_NONE)
	{
		pg_uuid_t	granted = c->asked.entry_id;

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
			take_needs(c);
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
			sd_proposer_own_vote(&c->change.p, SD_OWN_PREEMPTED, now);
			carry_out(&c->change);
			break;
		case SD_REQUEST_CLOSE:
			c->serving = SD_REQUEST_ACCEPT;
			if (c->change.active)
			{
				sd_proposer_close(&c->change.p, now);
				carry_out(&c->change);
			}
			if (c->serving != SD_REQUEST_NONE)
				finish_request(c, sd_outcome_is_definite(c->change.outcome) ? SD_RESULT_LOST : SD_RESULT_UNKNOWN,
							   NULL, NULL, NULL);
			break;
		case SD_REQUEST_COMMITTED:
			end_change(c, true, now);
			break;
		case SD_REQUEST_ABORTED:
			end_change(c, false, now);
			break;
	}
}

/* ---- one turn ---- */

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
static void
notice_decided(SdRound *round, int64 now)
{
	SdCoordinator *c = round->coordinator;
	Decided		decided = {.version = round->p.version};

	if (!round->active || c->head.version < round->p.version)
		return;
	if (sd_coordinator_transaction(c, read_decided, &decided, false) && decided.found)
	{
		sd_proposer_chosen(&round->p, decided.version, &decided.entry, now);
		carry_out(round);
	}
}

void
sd_round_drive(SdCoordinator *c, int64 now)
{
	notice_decided(&c->change, now);
	notice_decided(&c->settle, now);
	if (c->serving == SD_REQUEST_GRANT && !c->change.active)
		serve_grant(c, now);
	else if (c->serving == SD_REQUEST_NEEDS)
		serve_needs(c);
	if (c->serving == SD_REQUEST_GRANT && !c->change.active && c->asked.deadline_us <= now)
		finish_request(c, SD_RESULT_NO_QUORUM, NULL,
					   c->settle.active ? missing_voters(&c->settle, "") : "An earlier change is not settled yet.",
					   "SELECT * FROM schemadrift.regions; then run the change again.");
	if (c->change.active && c->change.wake_us <= now)
	{
		sd_proposer_tick(&c->change.p, now);
		carry_out(&c->change);
	}
	drive_settle(c, now);
}

int64
sd_round_deadline(SdCoordinator *c)
{
	int64		deadline = SD_NEVER;

	if (c->change.active)
		deadline = Min(deadline, c->change.wake_us);
	if (c->settle.active)
		deadline = Min(deadline, c->settle.wake_us);
	if ((c->serving == SD_REQUEST_GRANT && !c->change.active) || c->serving == SD_REQUEST_NEEDS)
	{
		deadline = Min(deadline, c->asked.deadline_us);
		deadline = Min(deadline, sd_monotonic_us() + YIELD_US / 4);
	}
	return deadline;
}
