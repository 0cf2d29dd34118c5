/*
 * proposer.h: one attempt to get one version decided, as a state machine without memory, network or clock.
 *
 * The coordinator owns it (and the simulator, with the same object file).  Two modes:
 *
 * SD_PROPOSER_CHANGE: an origin's own change ("Committing a change").
 *		start -> phase 1 on all voters, the own acceptor included, as a transaction of its own
 *		  -> GRANTED: the statements may run
 *		propose(entry) -> accepts to the *other* voters
 *		  -> READY: the origin's backend makes the final check and commits; that commit is the own vote
 *		own_vote(COMMITTED) -> CHOSEN, DONE(SUCCESS)
 *
 * SD_PROPOSER_SETTLE: finishing what others began.
 *		start -> phase 1 and phase 2 on all voters, the own acceptor included, every call autocommit
 *		  -> CHOSEN, DONE(SETTLED), or DONE(NOTHING) if there was no entry and no noop was given
 *
 * Use: call an event function, then take effects with sd_proposer_next() until it returns false, carry them
 * out, feed what comes of them back as events.  Time is int64 microseconds of one monotonic clock.
 * Randomness comes from the seed given to start.
 *
 * The caller owes this:
 * - A call is one statement: it is executed once or not at all, and its answer is passed on only when every
 *   result was OK, the stream has ended, the connection is idle and no WARNING came.  Otherwise the answer is
 *   sd_proposer_failed(SD_VOTER_UNANSWERED), the socket is closed and the call is never cancelled.
 * - Every SEND effect gets exactly one answer or failure, with the ballot that was sent.
 * - Phase 1 on the own acceptor is the coordinator's own transaction, committed before it is passed on.  It is
 *   never a look at the tables by the DDL's transaction.
 */
#ifndef SD_PROPOSER_H
#define SD_PROPOSER_H

#include "consensus/ballot.h"
#include "consensus/membership.h"

typedef enum SdProposerMode
{
	SD_PROPOSER_CHANGE,
	SD_PROPOSER_SETTLE
} SdProposerMode;

typedef enum SdProposerPhase
{
	SD_PHASE_IDLE,				/* never started */
	SD_PHASE_PREPARE,			/* phase 1 is out */
	SD_PHASE_BACKOFF,			/* preempted: waiting before the next ballot */
	SD_PHASE_GRANTED,			/* CHANGE: a majority promised, no entry yet */
	SD_PHASE_ACCEPT,			/* phase 2 is out; p->settling says whose entry */
	SD_PHASE_OWN_VOTE,			/* CHANGE: enough others accepted, the origin may commit */
	SD_PHASE_UNDECIDED,			/* CHANGE: this attempt cannot find out; a settlement (anybody's) will */
	SD_PHASE_DONE
} SdProposerPhase;

/* What the last call to a voter came to: the reasons behind "no quorum". */
typedef enum SdVoterStatus
{
	SD_VOTER_IDLE,				/* not asked in this phase */
	SD_VOTER_ASKED,				/* no answer yet */
	SD_VOTER_PROMISED,
	SD_VOTER_ACCEPTED,
	SD_VOTER_REFUSED,			/* promised a higher ballot */
	SD_VOTER_WRONG_INCARNATION, /* answered under another incarnation: not counted */
	SD_VOTER_NO_VOTE,			/* void or stopped */
	SD_VOTER_LEASED,			/* has granted a lease to another region: it promised nothing */
	SD_VOTER_ERROR,				/* answered with an error or a WARNING: may have happened or not */
	SD_VOTER_UNANSWERED,		/* timeout, closed socket: may have happened or not */
	SD_VOTER_UNSENT				/* no connection: the call never left this process */
} SdVoterStatus;

typedef enum SdOutcome
{
	SD_OUTCOME_NONE,
	/* CHANGE, success */
	SD_OUTCOME_SUCCESS,			/* committed here, hence chosen */
	/* CHANGE, definite: nothing happened */
	SD_OUTCOME_NOTHING_SENT,	/* closed before any accept of this entry was sent */
	SD_OUTCOME_TAKEN,			/* s was decided for somebody else before our entry was sent: learn, start again */
	SD_OUTCOME_LOST,			/* our entry was sent, another one is chosen at s: 40001 */
	SD_OUTCOME_REFUSED,			/* our entry was sent and can never be chosen (rule of step 5): 40001 */
	/* CHANGE, not definite: 40003 */
	SD_OUTCOME_UNKNOWN,
	/* both modes; in CHANGE nothing of ours was sent */
	SD_OUTCOME_NO_QUORUM,		/* too few promises; status of each voter says why.  SD001 */
	SD_OUTCOME_PREEMPTED,		/* others kept higher ballots until the deadline or the last ballot */
	SD_OUTCOME_LEASED,			/* too few promises, because another region has a lease: ask it, or wait it out */
	/* SETTLE */
	SD_OUTCOME_SETTLED,			/* chosen: p->chosen */
	SD_OUTCOME_NOTHING			/* nobody in a majority accepted anything at s, and no noop was given */
} SdOutcome;

typedef enum SdEffectKind
{
	SD_EFFECT_SEND_PREPARE,		/* to voter: ballot, version */
	SD_EFFECT_SEND_ACCEPT,		/* to voter: ballot, version, entry */
	SD_EFFECT_GRANTED,			/* CHANGE: run the statements, then propose */
	SD_EFFECT_MUST_SETTLE,		/* an accepted entry was reported and is proposed first; keep its body at hand */
	SD_EFFECT_READY,			/* CHANGE: wake the backend for its final check; ballot, entry, chosen */
	SD_EFFECT_CHOSEN,			/* entry is chosen at version: put it into the log here, tell everybody */
	SD_EFFECT_UNDECIDED,		/* CHANGE: start a settlement of version; feed sd_proposer_chosen when it ends */
	SD_EFFECT_WAIT,				/* call sd_proposer_tick at until, unless something happens first */
	SD_EFFECT_DONE				/* outcome; nothing more will be sent */
} SdEffectKind;

typedef struct SdEffect
{
	SdEffectKind kind;
	int			voter;			/* SEND: index into config.member; may be the own region */
	bool		again;			/* SEND_PREPARE: it had no answer before, and must not keep others' refusals waiting */
	bool		chosen;			/* READY: pass to sd_acceptor_final */
	SdOutcome	outcome;		/* DONE */
	int64_t		version;
	int64_t		until;			/* WAIT */
	SdBallot	ballot;
	SdEntryRef	entry;
} SdEffect;

/* An accepted entry that a promise carried along. */
typedef struct SdReport
{
	int64_t		version;
	SdBallot	ballot;
	SdEntryRef	entry;
} SdReport;

/* Who answered, and what: "acceptors always answer with (region, incarnation); the proposer decides what counts". */
typedef struct SdAnswer
{
	int			voter;			/* index that the effect named */
	bool		accept;			/* the call that is answered was an accept; else a prepare */
	SdBallot	ballot;			/* of that call */
	char		region[SD_NAME_SIZE];	/* as the answer says */
	int32_t		incarnation;
} SdAnswer;

/*
 * A ballot that may be used once more: a majority has promised it for `version` and all later ones, and none of them
 * had accepted anything there.  See lease.h.
 */
typedef struct SdKept
{
	bool		known;
	SdBallot	ballot;
	int64_t		version;		/* the only one it may be used for */
	int64_t		config_since;	/* of the configuration that the promises were counted in */
} SdKept;

typedef struct SdProposerStart
{
	SdProposerMode mode;
	const SdConfig *config;		/* in force for version; copied */
	const char *region;			/* self */
	int32_t		incarnation;
	int64_t		version;		/* s, log head + 1 here */
	int64_t		max_round;		/* highest round ever seen here: own promise, heartbeats, refusals */
	uint64_t	seed;			/* 64 random bits, fresh for every start: nonces and jitter come from it */
	int64_t		deadline;		/* CHANGE: of phase 1, until GRANTED */
	int64_t		retry_after;	/* pause before a failed call is sent again, while others are waited for (accept: CHANGE) */
	int64_t		backoff_base;	/* first pause after a preemption, doubled each time, with jitter */
	int64_t		backoff_max;
	int			max_ballots;	/* ballots before giving up */

	/*
	 * SETTLE: propose this if nothing is reported: a noop, because somebody needs a definite answer, or any
	 * entry that commits nothing here by itself.
	 */
	bool		has_noop;
	SdEntryRef	noop;

	/*
	 * CHANGE: voters, by index in config, whose promise and acceptance are waited for besides a majority's; NULL: none.
	 * A demand of people, never a weaker quorum: what a majority accepted is chosen whatever these say.
	 */
	const bool *required;

	/* CHANGE: granted at once under this ballot, without phase 1; NULL: with phase 1.  For version and config.  Not used with
	 * required voters, which are to be heard now. */
	const SdKept *kept;
} SdProposerStart;

typedef struct SdProposerVoter
{
	bool		votes;			/* a voter of config */
	bool		self;
	bool		required;		/* its yes is waited for besides a majority */
	SdVoterStatus status;		/* last answer in the phase under way */
	SdVoterStatus first_accept; /* first answer to an accept at the ballot under way; IDLE = never sent */
	SdBallot	promise;		/* with REFUSED: what it promised instead */
} SdProposerVoter;

/* one step emits at most a send a voter and a handful besides; the caller takes them all before the next event */
#define SD_PROPOSER_EFFECTS (SD_MAX_REGIONS + 8)

typedef struct SdProposer
{
	/* given by start */
	SdProposerMode mode;
	SdConfig	config;
	char		region[SD_NAME_SIZE];
	int32_t		incarnation;
	int64_t		version;
	int64_t		deadline;
	int64_t		retry_after;
	int64_t		backoff_base;
	int64_t		backoff_max;
	int			max_ballots;
	bool		has_noop;
	SdEntryRef	noop;

	/* where it stands */
	SdProposerPhase phase;
	SdOutcome	outcome;		/* when DONE */
	SdBallot	ballot;			/* under way */
	int			ballots;		/* used so far */
	int64_t		max_round;		/* seen anywhere */
	int64_t		wake;			/* BACKOFF: next ballot; PREPARE, ACCEPT: next repeat; 0 = none */
	uint64_t	random;			/* generator state */
	SdProposerVoter voter[SD_MAX_REGIONS];	/* parallel to config.member */

	/* highest-ballot accepted entry reported for version by the promises of this ballot */
	bool		reported_known;
	SdReport	reported;

	/* for who wants to keep the ballot */
	bool		promised;		/* a majority has promised it */
	bool		reported_later; /* one of them had accepted something at a later version */

	/* "A (version, ballot) carries one entry, ever": what this ballot is spent on */
	bool		spent_known;
	SdEntryRef	spent;
	bool		settling;		/* what is spent is not our own entry */

	/* our own entry (CHANGE) */
	bool		proposed;		/* propose() was called */
	SdEntryRef	entry;
	bool		sent;			/* at least one accept of it was handed out to be sent */
	bool		tainted;		/* at some ballot some other voter's first answer was not a higher-promise refusal */
	bool		closed;			/* no own vote, no more sends */

	bool		chosen_known;
	SdEntryRef	chosen;

	int			first_effect;
	int			n_effects;
	SdEffect	effects[SD_PROPOSER_EFFECTS];
	SdEffect	dropped;		/* where the effects of a caller that never takes them go */
} SdProposer;

/* What became of the origin's own vote. */
typedef enum SdOwnVote
{
	SD_OWN_COMMITTED,			/* the commit record is flushed: from the commit callback only */
	SD_OWN_PREEMPTED,			/* final check: own promise above the ballot; nothing written; still waiting */
	SD_OWN_LOST,				/* final check: another entry is in the log at s */
	SD_OWN_ABORTED				/* the transaction is over without a commit, whatever the reason */
} SdOwnVote;

/*
 * Events.  An answer to a ballot that is no longer under way is ignored, whatever it says; and so is one to a prepare when
 * accepts are out.  Under one ballot a voter is asked twice, and a promise that others made needless may be answered (by "no
 * vote", say) while the accept is on its way: taken for the answer to that it would hide that the entry was accepted.
 */
extern void sd_proposer_start(SdProposer *p, const SdProposerStart *start, int64_t now);
extern void sd_proposer_promise(SdProposer *p, const SdAnswer *answer, const SdReport *reports, int n_reports, int64_t now);
extern void sd_proposer_accepted(SdProposer *p, const SdAnswer *answer, int64_t now);
extern void sd_proposer_refused(SdProposer *p, const SdAnswer *answer, const SdBallot *promise, int64_t now);

/* why: NO_VOTE, LEASED, ERROR, UNANSWERED or UNSENT; accept, ballot: of the call, as in SdAnswer */
extern void sd_proposer_failed(SdProposer *p, int voter, bool accept, const SdBallot *ballot, SdVoterStatus why, int64_t now);

/* An entry is known to be in somebody's log at version: a "chosen" answer, a learn, a settlement.  Any source will do. */
extern void sd_proposer_chosen(SdProposer *p, int64_t version, const SdEntryRef *entry, int64_t now);

/* CHANGE, when GRANTED: the entry is built.  deadline: how long the backend will wait. */
extern void sd_proposer_propose(SdProposer *p, const SdEntryRef *entry, int64_t deadline, int64_t now);
extern void sd_proposer_own_vote(SdProposer *p, SdOwnVote what, int64_t now);

/*
 * CHANGE: the backend gave up or went away: judge what is known, now.  From here on the backend must not vote:
 * a commit after a "definite" answer would make it a lie.  SETTLE: stop.
 */
extern void sd_proposer_close(SdProposer *p, int64_t now);

/*
 * The round is over, or nothing of its ballot was ever sent: may the ballot be used once more?  Only if it is not spent,
 * or spent on our own entry and that is chosen: "unless that entry is learned at s, ballot and lease are dropped".
 */
extern void sd_proposer_keep(const SdProposer *p, SdKept *kept);

/* A round that was seen elsewhere: the next ballot's is higher. */
extern void sd_proposer_see_round(SdProposer *p, int64_t round);

/* Time passed. */
extern void sd_proposer_tick(SdProposer *p, int64_t now);

/* Take the next effect; false when there is none. */
extern bool sd_proposer_next(SdProposer *p, SdEffect *effect);

/* "definite" in the sense of step 5: nothing happened, and nothing will.  (outcome.c) */
extern bool sd_outcome_is_definite(SdOutcome outcome);

#endif							/* SD_PROPOSER_H */
