/*
 * vote.h: prepare, accept and learn on this region's tables.
 *
 * Called by the calls of other regions (functions/rpc.c, a backend each) and by our own coordinator for
 * its own acceptor; in both cases as a transaction of its own whose flushed commit precedes the answer.
 * The decisions are consensus/acceptor.h's; here rows are locked, read, and written as it says.
 * Each needs a scope (sql.h) and locks self, acceptor, accepted, log, in that order.
 */
#ifndef SD_STORE_VOTE_H
#define SD_STORE_VOTE_H

#include "compat.h"

#include "consensus/acceptor.h"
#include "store/state.h"

/*
 * Rounds grow by one.  A ballot so far above what is known is nobody's, in a call or in an answer: taken, it would leave no room for
 * the ballots of others.
 */
#define SD_ROUNDS_AHEAD	(INT64CONST(1) << 32)

typedef struct SdVote
{
	SdAcceptorVerdict verdict;
	char		region[SD_NAME_SIZE];	/* whose vote: counted by (region, incarnation) */
	int32		incarnation;
	int64		vote_seq;
	SdBallot	promised;		/* with refused; with leased: the lease's */
	int32		left_ms;		/* with leased: how long it runs still */
	int64		head;			/* newest version in the log here */
	List	   *accepted;		/* with promised: SdAccepted of all versions >= s */
	const char *reason;			/* with no_vote */
	bool		behind;			/* we lack versions the caller knows */
	bool		replicated;		/* all votes of this incarnation so far: see SdSelf */
} SdVote;

/* Waits until no other vote of this region is being written; the next one waits for the end of this transaction. */
extern void sd_vote_lock(void);

extern SdVote sd_vote_prepare(const SdBallot *ballot, int64 version, const SdChain *chain);
extern SdVote sd_vote_accept(const SdBallot *ballot, int64 version, const SdChain *chain, const SdEntry *entry);

/* entry: NULL when the caller believes that we hold it as accepted. */
extern SdVote sd_vote_learn(int64 version, const SdEntryRef *ref, const SdChain *chain, const SdEntry *entry);

/*
 * The origin's last step, in the change's own transaction, with the applied row locked already: the own
 * vote and the log row.  Writes nothing unless the verdict is SD_FINAL_VOTE or SD_FINAL_CHOSEN.
 * "Our own vote is the last one": written first it would hold the acceptor's row during the network wait,
 * and two regions doing so block each other for ever.
 */
extern SdFinalVerdict sd_vote_final(const SdBallot *ballot, int64 version, const SdChain *chain,
									const SdEntry *entry, bool chosen);

/* The verdict as the word that travels. */
extern const char *sd_verdict_text(SdAcceptorVerdict verdict);
extern bool sd_verdict_parse(const char *text, SdAcceptorVerdict *verdict);

/*
 * Every vote's transaction: flushed, and replicated where the server is set up so.  A function's SET
 * clause would be undone before the commit (measured), so this is done inside.
 */
extern void sd_vote_force_sync(void);

#endif							/* SD_STORE_VOTE_H */
