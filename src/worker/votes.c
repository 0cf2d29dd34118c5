/*
 * votes.c: a round's prepares and accepts: sent to the other voters, cast on the own acceptor, and what comes back fed to
 * the proposer.
 *
 * Process: the coordinator.  "Phase 1 on the own acceptor is the coordinator's own transaction, committed before it is
 * passed on" (consensus/proposer.h); rows are locked in the store's order by store/vote.c.
 */
#include "compat.h"

#include "store/vote.h"
#include "worker/coordinator.h"

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
	const SdRound *round;
	List	   *reports;		/* of SdAccepted */
	SdEntryRef	chosen;			/* of the first log row */
	bool		follows;		/* and it is of our log's next version: else its region's log is not ours */
	List	   *rows;
} Decoded;

static SdEntryRef
sound(bytea *bytes)
{
	SdEntry    *entry = sd_entry_decode(bytes);

	sd_entry_require_sound(entry);
	return sd_entry_ref(entry);
}

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

		report->entry = sound(report->bytes);
	}
	if (decoded->rows != NIL)
	{
		SdLogRow   *first = linitial(decoded->rows);
		SdChain		chain;

		decoded->chosen = sound(first->bytes);
		chain = sd_entry_chain(&decoded->round->chain, sd_entry_decode(first->bytes));
		decoded->follows = first->version == decoded->round->p.version && sd_chain_equal(&chain, &first->chain);
	}
}

#define MAX_REPORTS 16

/* Taken over, such a ballot would be kept by our own acceptor, and by all others after it. */
static bool
is_far(const SdRound *round, const SdBallot *ballot)
{
	return ballot->round - Max(round->coordinator->max_round, round->p.ballot.round) > SD_ROUNDS_AHEAD;
}

static bool
has_far(const SdRound *round, const SdVoteAnswer *answer)
{
	ListCell   *lc;

	foreach(lc, answer->reports)
		if (is_far(round, &((SdAccepted *) lfirst(lc))->ballot))
			return true;
	return answer->verdict == SD_ACCEPTOR_REFUSED && is_far(round, &answer->promised);
}

/* What a refusal tells whatever became of the round: the next ballot is to be higher, and is not to be this one. */
static void
note_refusal(SdRound *round, const SdBallot *ballot, const SdBallot *promised)
{
	SdCoordinator *c = round->coordinator;

	c->max_round = Max(c->max_round, promised->round);
	sd_lead_refused(c, ballot, promised);
}

/* One voter's answer to prepare or accept, wherever it came from, becomes an event. */
static void
feed(SdRound *round, int voter, const SdBallot *ballot, bool accept, const char *region, SdVoteAnswer *answer)
{
	SdCoordinator *c = round->coordinator;
	int64		now = sd_monotonic_us();
	SdAnswer	who = {.voter = voter, .accept = accept, .ballot = *ballot, .incarnation = answer->incarnation};
	Decoded		decoded = {.round = round, .reports = answer->reports, .rows = answer->rows};

	strlcpy(who.region, region, SD_NAME_SIZE);
	if ((answer->reports != NIL || answer->rows != NIL) &&
		!sd_coordinator_transaction(c, decode_entries, &decoded, false))
	{
		strlcpy(round->errors[voter], "answered with an entry that cannot be read", SD_TEXT_SIZE);
		sd_proposer_failed(&round->p, voter, accept, ballot, SD_VOTER_ERROR, now);
		return;
	}
	if (has_far(round, answer))
	{
		strlcpy(round->errors[voter], "answered with a ballot that cannot be", SD_TEXT_SIZE);
		sd_proposer_failed(&round->p, voter, accept, ballot, SD_VOTER_ERROR, now);
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
		note_refusal(round, ballot, &answer->promised);
		sd_proposer_refused(&round->p, &who, &answer->promised, now);
	}
	else if (answer->verdict == SD_ACCEPTOR_LEASED)
	{
		snprintf(round->errors[voter], SD_TEXT_SIZE, "has promised region %s not to be disturbed for %.1f s",
				 answer->promised.region, (double) answer->left_ms / 1000);
		round->lease = answer->promised;
		round->lease_until_us = Max(round->lease_until_us, now + (int64) answer->left_ms * SD_US_PER_MS);
		sd_proposer_failed(&round->p, voter, accept, ballot, SD_VOTER_LEASED, now);
	}
	else if (answer->verdict == SD_ACCEPTOR_CHOSEN && decoded.rows != NIL)
	{
		/* told by another log it would be a definite answer about an entry that ours may yet get */
		if (decoded.follows)
			sd_proposer_chosen(&round->p, round->p.version, &decoded.chosen, now);
		else
		{
			strlcpy(round->errors[voter], "its log differs from ours", SD_TEXT_SIZE);
			sd_proposer_failed(&round->p, voter, accept, ballot, SD_VOTER_ERROR, now);
		}
		(void) sd_coordinator_learn(c, decoded.rows);
	}
	else
	{
		/* no vote, or nothing that this state machine knows: an accept may have happened or not */
		sd_shared_copy(round->errors[voter], SD_TEXT_SIZE, answer->reason ? answer->reason : sd_verdict_text(answer->verdict));
		sd_proposer_failed(&round->p, voter, accept, ballot,
						   accept && answer->verdict != SD_ACCEPTOR_NO_VOTE ? SD_VOTER_ERROR : SD_VOTER_NO_VOTE, now);
	}
}

static void
count_vote(SdRound *round, SdPeer *peer, const SdVoteAnswer *answer)
{
	SdRemote   *remote = sd_gossip_find(round->coordinator, sd_peer_region(peer));

	if (remote)
		sd_gossip_count(remote, answer->incarnation, answer->vote_seq);
}

/* What an answer tells although its round is over. */
static void
note_late(SdRound *round, SdPeer *peer, const SdBallot *ballot, const SdVoteAnswer *answer)
{
	count_vote(round, peer, answer);
	if (answer->verdict == SD_ACCEPTOR_REFUSED && !is_far(round, &answer->promised))
		note_refusal(round, ballot, &answer->promised);
	else if (answer->verdict == SD_ACCEPTOR_CHOSEN)
		(void) sd_coordinator_learn(round->coordinator, answer->rows);
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
		sd_round_release_body(vote.body);
	if (vote.number != round->number || !round->active)
	{
		/* late: the others were enough */
		if (result->status == SD_CALL_OK && !result->warning && sd_call_decode_vote(result->rows, &answer))
			note_late(round, peer, &vote.ballot, &answer);
		return;
	}
	if (result->message)
		sd_shared_copy(round->errors[vote.voter], SD_TEXT_SIZE, result->message);

	if (result->status == SD_CALL_NOT_SENT)
		sd_proposer_failed(&round->p, vote.voter, vote.accept, &vote.ballot, SD_VOTER_UNSENT, now);
	else if (result->status == SD_CALL_UNANSWERED)
		sd_proposer_failed(&round->p, vote.voter, vote.accept, &vote.ballot, SD_VOTER_UNANSWERED, now);
	else if (result->status == SD_CALL_ERROR || result->warning)
		sd_proposer_failed(&round->p, vote.voter, vote.accept, &vote.ballot, SD_VOTER_ERROR, now);
	else if (!sd_call_decode_vote(result->rows, &answer))
	{
		strlcpy(round->errors[vote.voter], "answered with nonsense", SD_TEXT_SIZE);
		sd_proposer_failed(&round->p, vote.voter, vote.accept, &vote.ballot, SD_VOTER_ERROR, now);
	}
	else
	{
		count_vote(round, peer, &answer);
		if (vote.lease_us > 0 && (answer.verdict == SD_ACCEPTOR_PROMISED || answer.verdict == SD_ACCEPTOR_ACCEPTED))
			sd_lead_granted(round->coordinator, &vote.ballot, sd_peer_region(peer), vote.sent_us, vote.lease_us);
		feed(round, vote.voter, &vote.ballot, vote.accept, sd_peer_region(peer), &answer);
	}
	sd_round_carry_out(round);
}

void
sd_votes_send(SdRound *round, const SdEffect *effect)
{
	SdCoordinator *c = round->coordinator;
	SdRemote   *remote = sd_gossip_find(c, round->p.config.member[effect->voter].region);
	bool		accept = effect->kind == SD_EFFECT_SEND_ACCEPT;
	int64		deadline = sd_monotonic_us() + SD_CALL_TIMEOUT_US;
	SdCallHead	head;
	VoteCall   *vote;

	if (remote == NULL)
	{
		sd_proposer_failed(&round->p, effect->voter, accept, &effect->ballot, SD_VOTER_UNSENT, sd_monotonic_us());
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
		SdBody	   *body = sd_round_find_body(round, &effect->entry);

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

		/*
		 * Who could not be asked is asked again while another one hangs.  If that waited for an attempt to connect,
		 * the attempts of two regions that are away would take turns, and the refusal wait for the deadline.
		 */
		sd_call_prepare(remote->peer, &head, &effect->ballot, effect->version, &round->chain,
						vote->lease_us, sd_lead_over(c), effect->again, deadline, vote_done, vote);
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
	int64		began_us;
	SdVoteAnswer answer;
	bool		notes;			/* out: it has written the attempt, too */
} OwnVote;

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
		const SdBody *body = sd_round_find_body(round, &effect->entry);

		if (body == NULL)
			elog(ERROR, "the body of an entry to be proposed is not at hand");
		vote = sd_vote_accept(&effect->ballot, effect->version, &round->chain, sd_entry_decode(body->bytes));
	}
	else
	{
		/* after the vote of a backend that may be about to give another region our word */
		sd_vote_lock();
		if (is_leased_here(round, &own->answer))
			return;
		vote = sd_vote_prepare(&effect->ballot, effect->version, &round->chain);
		own->notes = round == &c->change && !c->acquiring && !round->noted;
		if (own->notes)
			sd_attempt_insert(&c->asked.entry_id, effect->version, c->asked.subject);
	}

	/* before the next one can look for it */
	if (vote.verdict == SD_ACCEPTOR_PROMISED || vote.verdict == SD_ACCEPTOR_ACCEPTED)
	{
		LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
		sd_grant_note(&c->db->grant, &effect->ballot, sd_lead_duration_us(round), own->began_us);
		LWLockRelease(&c->db->lock);
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

void
sd_votes_cast_here(SdRound *round, const SdEffect *effect)
{
	SdCoordinator *c = round->coordinator;
	bool		accept = effect->kind == SD_EFFECT_SEND_ACCEPT;
	OwnVote		own = {.round = round, .effect = effect, .began_us = sd_monotonic_us()};

	if (!accept && is_leased_here(round, &own.answer))
		feed(round, effect->voter, &effect->ballot, accept, c->self.region, &own.answer);
	else if (sd_coordinator_transaction(c, own_vote, &own, true))
	{
		int64		lease = sd_lead_duration_us(round);

		round->noted = round->noted || own.notes;
		if (lease > 0 && (own.answer.verdict == SD_ACCEPTOR_PROMISED || own.answer.verdict == SD_ACCEPTOR_ACCEPTED))
			sd_lead_granted(c, &effect->ballot, c->self.region, own.began_us, lease);
		feed(round, effect->voter, &effect->ballot, accept, c->self.region, &own.answer);
	}
	else
	{
		strlcpy(round->errors[effect->voter], "this region's own tables could not be written; see the server's log", SD_TEXT_SIZE);
		sd_proposer_failed(&round->p, effect->voter, accept, &effect->ballot, SD_VOTER_ERROR, sd_monotonic_us());
	}
}
