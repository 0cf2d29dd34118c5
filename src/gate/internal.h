/*
 * internal.h: the change of the current transaction, shared by the gate's own files.
 *
 *	change.c	step 1, what the entry will be, transaction callbacks
 *	ask.c		requests to the coordinator and its results
 *	doomed.c	statements that are cancelled for another region's sake
 *	commit.c	steps 3 and 4: the entry, the votes of others, the own vote; changes outside the log
 */
#ifndef SD_GATE_INTERNAL_H
#define SD_GATE_INTERNAL_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "shared.h"

typedef enum SdStage
{
	SD_STAGE_NONE,
	SD_STAGE_ASKED,				/* the coordinator works for us */
	SD_STAGE_GRANTED,				/* statements run */
	SD_STAGE_SENT,					/* accepts may have been sent: from here on a failure is unknown */
	SD_STAGE_VOTED					/* own vote written, interrupts held; the commit record decides */
} SdStage;

typedef struct SdChange
{
	SdStage		stage;
	SdDatabase *db;
	int64		version;
	SdBallot	ballot;
	SdChain		chain;
	pg_uuid_t	entry_id;
	bool		supersedes;
	bool		config;			/* a change of the group itself */
	List	   *roles;			/* of char *: made by it */
	bool		names_database; /* by the name that this one has here */
	bool		frozen;			/* other regions need the time of this transaction: ddl/fill.h */
	int64		barrier;

	/* what the entry will be; in TopTransactionContext */
	char		subject[SD_TEXT_SIZE];
	char	   *kind;			/* NULL: the captured commands of plain DDL */
	char	   *name;
	int64		target;
	char	   *payload;
	int32		protocol;		/* that the entry needs */
	bool		applies;
	List	   *accepted;		/* of SdDriftRow: what the entry makes the group's; NIL: it changes what its text changes */
	int			level;			/* of the subtransaction that described it */
} SdChange;

extern SdChange sd_change;

/* ---- ask.c ---- */

/* "own deadline = least of our setting and what was left of statement_timeout" */
extern int64 sd_ask_deadline(void);

/*
 * Put a request and wait for its result, at most until the deadline (and a little: the coordinator judges the
 * deadline, this is the net under it).  Interruptible.
 */
extern SdResult sd_ask(SdRequest request, const void *data, Size size, int64 deadline, SdProposal *answer);

/* Of an entry that no coordinator has taken over nothing was sent; now none will take it.  False: one has, or the result is there. */
extern bool sd_ask_withdraw_accept(void);

/*
 * Tell the coordinator how it ended.  Nothing here can fail: it runs in the commit callback.  The request is picked up
 * even if nobody waits; the next change waits for the slot to be free.
 */
extern void sd_ask_tell_end(SdRequest request);

extern bool sd_ask_coordinator_runs(SdDatabase *db);

/* Wait for something in shared memory; false when the deadline has passed. */
extern bool sd_ask_wait(SdDatabase *db, int64 deadline);

/* A change is refused for this reason: counts it, and returns it, for errcode(). */
extern int	sd_ask_refused(int sqlstate);

/* The error that a result is; and the one for an outcome that is not known. */
extern void sd_ask_raise(SdResult result, const SdProposal *answer) pg_attribute_noreturn();
extern void sd_ask_raise_unknown(const char *why) pg_attribute_noreturn();

/* What the latter says, of an error that is being raised. */
extern int	sd_ask_err_unknown(const char *why);

/* ---- doomed.c ---- */

/* From now on this session's statements say why they are cancelled. */
extern void sd_doomed_watch(void);

/* Around a statement; enter: false, nothing to leave. */
extern bool sd_doomed_enter(ErrorContextCallback *callback);
extern void sd_doomed_leave(const ErrorContextCallback *callback);

/* ---- commit.c ---- */

/* commands: of SdCommand; rows: of SdHistoryRows, which go with it */
extern void sd_commit_entry(List *commands, List *rows);

/* The commit record of what sd_commit_entry() voted for is written. */
extern void sd_commit_done(void);

/* What mode off, or observe, let pass: lists of SdCommand. */
extern void sd_commit_outside(List *bypassed, List *observed);

#endif							/* SD_GATE_INTERNAL_H */
