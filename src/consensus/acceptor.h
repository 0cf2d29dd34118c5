/*
 * acceptor.h: what an acceptor answers, as a pure function of what its tables say.
 *
 * The caller (store/, or the simulator) locks the rows in the one order `applied` -> `self` -> `acceptor` ->
 * `accepted` -> `log`, reads their *latest* versions into an SdAcceptorView, asks here, writes exactly what the
 * decision says, commits (flushed), and only then answers.  Nothing is decided anywhere else, and nothing is
 * ever answered from memory.
 */
#ifndef SD_ACCEPTOR_H
#define SD_ACCEPTOR_H

#include "consensus/ballot.h"

/* The locked rows, as far as version s of the request is concerned. */
typedef struct SdAcceptorView
{
	bool		identity_valid; /* self matches this server, state is not void, no alarm has stopped the vote */
	SdBallot	promised;		/* the one promise, for the whole log */
	int64_t		head;			/* highest version in log; 0 if empty */
	bool		chain_known;	/* s - 1 is in log, or is 0 */
	SdChain		chain;			/* its chain; all zero for version 0 */
	bool		chosen_known;	/* s is in log */
	SdEntryRef	chosen;
	bool		accepted_known; /* accepted has a row for s */
	SdBallot	accepted_ballot;
	SdEntryRef	accepted;
} SdAcceptorView;

typedef enum SdAcceptorVerdict
{
	SD_ACCEPTOR_PROMISED,		/* answer with the accepted rows of *all* versions >= s */
	SD_ACCEPTOR_ACCEPTED,
	SD_ACCEPTOR_REFUSED,		/* a higher ballot was promised: decision.promised */
	SD_ACCEPTOR_CHOSEN,			/* s is in the log already: answer with rows from s on, the entry of s first */
	SD_ACCEPTOR_NO_VOTE,		/* identity void or changed */
	SD_ACCEPTOR_LEASED,			/* granted to another region; never decided here, see lease.h */
	SD_ACCEPTOR_DIVERGED,		/* alarm, error: two logs that should agree do not */
	SD_ACCEPTOR_BALLOT_REUSED,	/* alarm, error: one (version, ballot) came with two entries; stop voting */
	SD_ACCEPTOR_LEARNED,		/* insert the log row, wake the applier */
	SD_ACCEPTOR_KNOWN,			/* learn of something the log holds already: nothing to do */
	SD_ACCEPTOR_BEHIND,			/* learn of a later version: fetch what is missing first */
	SD_ACCEPTOR_BODY_MISSING	/* learn without a body, and it is not the accepted one: ask for it */
} SdAcceptorVerdict;

typedef struct SdAcceptorDecision
{
	SdAcceptorVerdict verdict;
	SdBallot	promised;		/* the promise in force after this decision; goes with a refusal */

	/* what to store, all in the transaction whose commit precedes the answer */
	bool		store_promise;	/* acceptor.promised := decision.promised */
	bool		store_accepted; /* accepted[s] := (ballot, entry) of the request */
	bool		count_vote;		/* self.vote_seq := vote_seq + 1 */
	bool		store_log;		/* log[s] := the learned entry and chain */
	bool		stop_voting;	/* self.state := void; the alarm is durable */

	/* hints */
	bool		behind;			/* the caller knows versions that are missing here: start a fetch */
} SdAcceptorDecision;

/* chain is the caller's chain of version s - 1 */
extern SdAcceptorDecision sd_acceptor_prepare(const SdAcceptorView *view, const SdBallot *ballot, int64_t version,
											  const SdChain *chain);
extern SdAcceptorDecision sd_acceptor_accept(const SdAcceptorView *view, const SdBallot *ballot, int64_t version,
											 const SdChain *chain, const SdEntryRef *entry);

/*
 * learn(s, entry, chain): told is the chain that the teller has at s; computed is what the entry's bytes give
 * on top of our own chain of s - 1, and is read only if s is the next version and the body is at hand (sent
 * along, or equal to the accepted one), as body_known says.
 */
extern SdAcceptorDecision sd_acceptor_learn(const SdAcceptorView *view, int64_t version, const SdEntryRef *entry,
											bool body_known, const SdChain *told, const SdChain *computed);

/*
 * The origin's last step before its own vote, in the DDL's own transaction, rows locked in order.
 * "If the log already holds s: ours -> go on, another's -> 40001.  Require own identity valid and own promise
 * <= ballot, else unknown."
 */
typedef enum SdFinalVerdict
{
	SD_FINAL_VOTE,				/* write own acceptance, promise, vote_seq + 1, log row, applied row; commit flushed */
	SD_FINAL_CHOSEN,			/* chosen already: write the log row unless it is there, and the applied row; commit */
	SD_FINAL_LOST,				/* another entry was chosen at s: definite, 40001 */
	SD_FINAL_PREEMPTED,			/* own promise is above the ballot: unknown, until settled */
	SD_FINAL_IDENTITY,			/* own identity is not valid: unknown, until settled */
	SD_FINAL_DIVERGED			/* own log is not the one the entry was made for: unknown, alarm */
} SdFinalVerdict;

/*
 * chosen: the proposer reported the entry as chosen already (told by a peer that has it in its log, or by Q
 * others for an origin that is no voter): then no vote of ours is needed and no promise can be in its way.
 */
extern SdFinalVerdict sd_acceptor_final(const SdAcceptorView *view, const SdBallot *ballot, int64_t version,
										const SdChain *chain, const SdEntryRef *entry, bool chosen);

#endif							/* SD_ACCEPTOR_H */
