/*
 * replay.h: one version of the log, carried out in this region.
 */
#ifndef SD_DDL_REPLAY_H
#define SD_DDL_REPLAY_H

#include "compat.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "store/state.h"

typedef enum SdReplay
{
	SD_REPLAY_ADVANCE,			/* nothing of it changes the schema */
	SD_REPLAY_RUN,				/* text to run, as its author */
	SD_REPLAY_ONLINE,			/* its intent is recorded; the work is this region's task */
	SD_REPLAY_RESULT,			/* of an online entry: to be applied once our own task is settled */
	SD_REPLAY_SKIP				/* nothing: it is taken back and never ran here, or belongs to such a version */
} SdReplay;

typedef struct SdPlan
{
	int64		version;
	SdReplay	action;
	SdEntry    *entry;
	SdChain		chain;			/* of this version */
	int64		taken_back_by;	/* of RUN, ONLINE: a later version in our log; 0: none.  Then it may be given up */
	char	   *reason;			/* of a skip, for people */
} SdPlan;

/*
 * What to do with the next version; false: this region has applied its whole log.  Needs a scope, and a
 * context for what outlives it; errors if the entry is one that this library does not know.
 */
extern bool sd_replay_plan(const SdApplied *applied, MemoryContext context, SdPlan *plan);

/*
 * Skip what cannot be applied here and is taken back.  Not before it was tried: a later version may depend on it that is not
 * taken back, or is by a version that expects it to have run.  error: why it failed; NULL: it is not even to be tried.
 */
extern void sd_replay_give_up(SdPlan *plan, const char *error);

/* The roles as which its text runs, the author first; of char *, some twice. */
extern List *sd_replay_roles(const SdPlan *plan);

/*
 * Of a RESULT: is this region's task where the result can be applied?  If not, it is told to go there, in the current
 * transaction, which the caller commits.  Needs a scope.
 */
extern bool sd_replay_ready(const SdPlan *plan);

/*
 * A region that joined, or was restored, with an online entry's intent among what it has applied makes its task then: the
 * first one that lacks it.  Needs a scope.
 */
extern bool sd_replay_adopt(void);

/* In the transaction that applies or proposes a result: closes the task, touches what it worked on.  Needs a scope. */
extern void sd_replay_close_task(int64 target, bool ok);

/*
 * Do it, in the current transaction, outside of any scope, as the session's user; the caller holds the DDL lock and the
 * applied row.  attempts: how many this one makes.
 */
extern void sd_replay_execute(const SdPlan *plan, const SdApplied *applied, TimestampTz since, int attempts);

/* The same where it was done by hand: runs nothing, verifies that the schema is what the entry says, advances. */
extern void sd_replay_mark(const SdPlan *plan, TimestampTz since, int attempts, const char *reason);

#endif							/* SD_DDL_REPLAY_H */
