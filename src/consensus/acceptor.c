/*
 * acceptor.c: an acceptor's decisions.  Pure; see acceptor.h for the caller's part (locks, flush, answer).
 */
#include "consensus/acceptor.h"

#include <string.h>

#include "consensus/mistakes.h"

/*
 * What prepare and accept have in common, in protocol.md's order.  True if the request may go on to the
 * promise check; otherwise the decision is made.
 */
static bool
acceptor_admits(SdAcceptorDecision *decision, const SdAcceptorView *view, int64_t version, const SdChain *chain)
{
	memset(decision, 0, sizeof(*decision));
	decision->promised = view->promised;

	/* "Identity changed, or state void -> no vote": a promise may be missing here that was given before. */
	if (!view->identity_valid)
	{
		decision->verdict = SD_ACCEPTOR_NO_VOTE;
		return false;
	}

	/* "Version s already in the log -> chosen": what is chosen needs no more votes, and must get none for another. */
	if (view->chosen_known)
	{
		decision->verdict = SD_ACCEPTOR_CHOSEN;
		return false;
	}

	/*
	 * "Chains differ -> alarm, error, no vote."  Where s - 1 is unknown here there is nothing to compare: the
	 * chain is checked when the missing versions are learned.
	 */
	if (view->chain_known && !sd_chain_equal(&view->chain, chain))
	{
		decision->verdict = SD_ACCEPTOR_DIVERGED;
		return false;
	}
	decision->behind = version > view->head + 1;
	return true;
}

SdAcceptorDecision
sd_acceptor_prepare(const SdAcceptorView *view, const SdBallot *ballot, int64_t version, const SdChain *chain)
{
	SdAcceptorDecision decision;

	if (!acceptor_admits(&decision, view, version, chain))
		return decision;

	/* "Lower than promised -> refused, with the promise." */
	if (sd_ballot_compare(ballot, &view->promised) < 0)
	{
		decision.verdict = SD_ACCEPTOR_REFUSED;
		return decision;
	}

	/*
	 * "A repeat locks and commits again; it is never answered from memory": the row is written even if nothing
	 * changes, because a transaction that wrote nothing would flush nothing.
	 */
	decision.verdict = SD_ACCEPTOR_PROMISED;
	decision.promised = *ballot;
	decision.store_promise = true;
	decision.count_vote = true;
	return decision;
}

SdAcceptorDecision
sd_acceptor_accept(const SdAcceptorView *view, const SdBallot *ballot, int64_t version, const SdChain *chain,
				   const SdEntryRef *entry)
{
	SdAcceptorDecision decision;

	if (!acceptor_admits(&decision, view, version, chain))
		return decision;

	/*
	 * "Same (version, ballot) with another entry -> alarm, stop voting."  Looked at before the promise: it is
	 * proof that a ballot was used twice, also when this call would be refused.
	 */
	if (view->accepted_known && sd_ballot_compare(ballot, &view->accepted_ballot) == 0 &&
		!sd_entry_equal(entry, &view->accepted))
	{
		decision.verdict = SD_ACCEPTOR_BALLOT_REUSED;
		decision.stop_voting = true;
		return decision;
	}

	if (sd_ballot_compare(ballot, &view->promised) < 0)
	{
		decision.verdict = SD_ACCEPTOR_REFUSED;
		return decision;
	}

	/* "Store, raise the promise, count vote_seq." */
	decision.verdict = SD_ACCEPTOR_ACCEPTED;
	decision.promised = *ballot;
	decision.store_promise = true;
	decision.store_accepted = true;
	decision.count_vote = true;
	return decision;
}

SdAcceptorDecision
sd_acceptor_learn(const SdAcceptorView *view, int64_t version, const SdEntryRef *entry, bool body_known,
				  const SdChain *told, const SdChain *computed)
{
	SdAcceptorDecision decision;

	/* A void region goes on learning: identity does not matter here. */
	memset(&decision, 0, sizeof(decision));
	decision.promised = view->promised;

	if (version <= view->head)
	{
		/* two entries chosen at one version: nothing may be overwritten, everybody must hear of it */
		if (view->chosen_known && !sd_entry_equal(&view->chosen, entry))
			decision.verdict = SD_ACCEPTOR_DIVERGED;
		else
			decision.verdict = SD_ACCEPTOR_KNOWN;
	}
	else if (version > view->head + 1)
	{
		/* "ignored unless s is the next version": the log has no gaps */
		decision.verdict = SD_ACCEPTOR_BEHIND;
		decision.behind = true;
	}
	else if (!body_known)
		decision.verdict = SD_ACCEPTOR_BODY_MISSING;
	else if (!sd_chain_equal(told, computed))
		decision.verdict = SD_ACCEPTOR_DIVERGED;
	else
	{
		decision.verdict = SD_ACCEPTOR_LEARNED;
		decision.store_log = true;
	}
	return decision;
}

SdFinalVerdict
sd_acceptor_final(const SdAcceptorView *view, const SdBallot *ballot, int64_t version, const SdChain *chain,
				  const SdEntryRef *entry, bool chosen)
{
	/* "if the log already holds s: ours -> go on, another's -> 40001" */
	if (view->chosen_known)
		return sd_entry_equal(&view->chosen, entry) ? SD_FINAL_CHOSEN : SD_FINAL_LOST;

	/* The entry was validated against s - 1 of this very log; the DDL lock has kept it the head since. */
	if (view->head != version - 1 || !view->chain_known || !sd_chain_equal(&view->chain, chain))
		return SD_FINAL_DIVERGED;

	if (chosen)
		return SD_FINAL_CHOSEN;

	/*
	 * "Require own identity valid and own promise <= ballot, else unknown."  Without this a settlement that
	 * this acceptor has promised to meanwhile could choose another entry while this commit chooses ours.
	 */
	if (!view->identity_valid)
		return SD_FINAL_IDENTITY;
	if (sd_ballot_compare(&view->promised, ballot) > 0 && !SD_MISTAKE(NO_SELFCHECK))
		return SD_FINAL_PREEMPTED;
	if (view->accepted_known && sd_ballot_compare(ballot, &view->accepted_ballot) == 0 &&
		!sd_entry_equal(entry, &view->accepted))
		return SD_FINAL_DIVERGED;
	return SD_FINAL_VOTE;
}
