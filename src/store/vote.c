/*
 * vote.c: prepare, accept and learn on this region's tables; see vote.h.
 */
#include "compat.h"

#include "access/xact.h"
#include "utils/guc.h"

#include "consensus/mistakes.h"
#include "store/life.h"
#include "store/vote.h"

static const struct
{
	SdAcceptorVerdict verdict;
	const char *text;
}			verdicts[] = {
	{SD_ACCEPTOR_PROMISED, "promised"},
	{SD_ACCEPTOR_ACCEPTED, "accepted"},
	{SD_ACCEPTOR_REFUSED, "refused"},
	{SD_ACCEPTOR_CHOSEN, "chosen"},
	{SD_ACCEPTOR_NO_VOTE, "no_vote"},
	{SD_ACCEPTOR_LEASED, "leased"},
	{SD_ACCEPTOR_LEARNED, "learned"},
	{SD_ACCEPTOR_KNOWN, "known"},
	{SD_ACCEPTOR_BEHIND, "behind"},
	{SD_ACCEPTOR_BODY_MISSING, "body_missing"},
	{SD_ACCEPTOR_DIVERGED, "diverged"},
	{SD_ACCEPTOR_BALLOT_REUSED, "ballot_reused"},
};

const char *
sd_verdict_text(SdAcceptorVerdict verdict)
{
	for (size_t i = 0; i < lengthof(verdicts); i++)
		if (verdicts[i].verdict == verdict)
			return verdicts[i].text;
	elog(ERROR, "unknown verdict %d", (int) verdict);
	return NULL;
}

bool
sd_verdict_parse(const char *text, SdAcceptorVerdict *verdict)
{
	for (size_t i = 0; i < lengthof(verdicts); i++)
		if (strcmp(verdicts[i].text, text) == 0)
		{
			*verdict = verdicts[i].verdict;
			return true;
		}
	return false;
}

void
sd_vote_force_sync(void)
{
	if (SD_MISTAKE(ASYNC_COMMIT))
	{
		(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
		return;
	}
	(void) set_config_option("synchronous_commit", synchronous_commit > SYNCHRONOUS_COMMIT_REMOTE_FLUSH ? "remote_apply" : "on",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	ForceSyncCommit();
}

void
sd_vote_lock(void)
{
	SdSelf		self;

	sd_self_lock_joined(&self);
}

/* Lock and read what the decision about version needs.  self must exist. */
static void
read_view(int64 version, SdAcceptorView *view, SdVote *vote, List **accepted)
{
	SdSelf		self;
	SdHead		head;
	const char *unfit = sd_store_unfit();
	const char *unproved;

	memset(view, 0, sizeof(*view));
	memset(vote, 0, sizeof(*vote));

	sd_self_lock_joined(&self);
	sd_promise_lock(&view->promised);
	*accepted = sd_accepted_from(version);
	sd_log_head(&head);

	unproved = self.valid ? sd_life_unproved(&self) : NULL;
	view->identity_valid = self.valid && unfit == NULL && unproved == NULL;
	view->head = head.version;
	view->chain_known = version == 1 || sd_log_find(version - 1, &view->chain, NULL);
	view->chosen_known = sd_log_find(version, NULL, &view->chosen);
	if (*accepted != NIL)
	{
		SdAccepted *first = linitial(*accepted);

		if (first->version == version)
		{
			view->accepted_known = true;
			view->accepted_ballot = first->ballot;
			view->accepted = first->entry;
		}
	}

	strlcpy(vote->region, self.region, SD_NAME_SIZE);
	vote->incarnation = self.incarnation;
	vote->vote_seq = self.vote_seq;
	vote->head = head.version;
	vote->reason = unfit ? unfit : unproved ? unproved : self.valid ? NULL : pstrdup(self.mismatch);
	vote->replicated = self.replicated;
}

/* Write what the decision says. */
static void
carry_out(const SdAcceptorDecision *decision, int64 version, const SdBallot *ballot, const SdEntry *entry, SdVote *vote)
{
	vote->verdict = decision->verdict;
	vote->promised = decision->promised;
	vote->behind = decision->behind;

	if (decision->store_promise)
		sd_promise_store(&decision->promised);
	if (decision->store_accepted)
		sd_accepted_store(version, ballot, entry);
	if (decision->count_vote)
	{
		sd_self_count_vote(vote->replicated);
		vote->vote_seq++;
	}
	if (decision->stop_voting)
	{
		vote->reason = "two entries came under one ballot";
		sd_life_end(0, SD_VOID_BALLOT, vote->reason);
		ereport(LOG,
				(errmsg("schemadrift: this region stops voting: version " INT64_FORMAT " came twice under one ballot of region \"%s\", with different entries",
						version, ballot->region),
				 errhint("That region was restored or copied. SELECT * FROM schemadrift.status;")));
	}
}

SdVote
sd_vote_prepare(const SdBallot *ballot, int64 version, const SdChain *chain)
{
	SdAcceptorView view;
	SdAcceptorDecision decision;
	SdVote		vote;
	List	   *accepted;

	read_view(version, &view, &vote, &accepted);
	decision = sd_acceptor_prepare(&view, ballot, version, chain);
	if (SD_MISTAKE(SELF_READ) && strcmp(ballot->region, vote.region) == 0)
		decision.store_promise = decision.count_vote = false;
	carry_out(&decision, version, ballot, NULL, &vote);

	/* all versions >= s: an acceptor may hold s + 1 accepted before it has learned s */
	if (vote.verdict == SD_ACCEPTOR_PROMISED)
		vote.accepted = SD_MISTAKE(PREP_ONE) && !view.accepted_known ? NIL :
			SD_MISTAKE(PREP_ONE) ? list_truncate(accepted, 1) : accepted;
	return vote;
}

SdVote
sd_vote_accept(const SdBallot *ballot, int64 version, const SdChain *chain, const SdEntry *entry)
{
	SdEntryRef	ref = sd_entry_ref(entry);
	SdAcceptorView view;
	SdAcceptorDecision decision;
	SdVote		vote;
	List	   *accepted;

	read_view(version, &view, &vote, &accepted);
	decision = sd_acceptor_accept(&view, ballot, version, chain, &ref);
	carry_out(&decision, version, ballot, entry, &vote);
	return vote;
}

SdVote
sd_vote_learn(int64 version, const SdEntryRef *ref, const SdChain *chain, const SdEntry *entry)
{
	SdAcceptorView view;
	SdAcceptorDecision decision;
	SdChain		computed = {0};
	SdVote		vote;
	List	   *accepted;

	read_view(version, &view, &vote, &accepted);
	/* once it is in the log the accepted row has no body any more */
	if (entry == NULL && !view.chosen_known && view.accepted_known && sd_entry_equal(&view.accepted, ref))
		entry = sd_entry_decode(((SdAccepted *) linitial(accepted))->bytes);
	if (entry != NULL && view.chain_known)
		computed = sd_entry_chain(&view.chain, entry);

	decision = sd_acceptor_learn(&view, version, ref, entry != NULL, chain, &computed);
	carry_out(&decision, version, NULL, entry, &vote);
	if (decision.store_log)
	{
		sd_log_insert(version, entry, &computed);
		sd_accepted_strip(version);
		vote.head = version;
	}
	return vote;
}

SdFinalVerdict
sd_vote_final(const SdBallot *ballot, int64 version, const SdChain *chain, const SdEntry *entry, bool chosen)
{
	SdEntryRef	ref = sd_entry_ref(entry);
	SdAcceptorView view;
	SdVote		vote;
	List	   *accepted;
	SdFinalVerdict verdict;

	read_view(version, &view, &vote, &accepted);
	verdict = sd_acceptor_final(&view, ballot, version, chain, &ref, chosen);
	if (verdict == SD_FINAL_VOTE)
	{
		sd_accepted_store(version, ballot, entry);
		sd_accepted_strip(version);
		sd_promise_store(ballot);
		sd_self_count_vote(vote.replicated);
	}
	if ((verdict == SD_FINAL_VOTE || verdict == SD_FINAL_CHOSEN) && !view.chosen_known)
	{
		SdChain		next = sd_entry_chain(chain, entry);

		sd_log_insert(version, entry, &next);
	}
	return verdict;
}
