/*
 * task.h: this region's share of online entries: table schemadrift_store.task.
 *
 * A row is made in the transaction that records the intent (the origin's commit, the applier), moved on by the task's
 * worker (worker/task.c), and closed in the transaction that applies the result.  All functions need a scope (sql.h).
 */
#ifndef SD_STORE_TASK_H
#define SD_STORE_TASK_H

#include "compat.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef enum SdTaskState
{
	SD_TASK_OPEN,				/* to be done */
	SD_TASK_DONE,				/* by this region */
	SD_TASK_FAILED,				/* for good, in this region */
	SD_TASK_UNDO,				/* the result says failed: to be cleaned up */
	SD_TASK_UNDONE,
	SD_TASK_APPLIED,			/* closed */
	SD_TASK_CANCELLED			/* closed */
} SdTaskState;

typedef struct SdTask
{
	int64		version;
	SdTaskState state;
	int			step;			/* statements finished */
	bool		begun;			/* the next one was begun */
	int			undo_step;
	int			attempts;		/* that failed, at this step */
	TimestampTz retry_at;		/* 0: at once */
	char	   *error;			/* NULL: none */
	char	   *origin;			/* of the entry */
	char	   *author;
	char	   *name;
} SdTask;

/* Without the table (store/protocol.h) there are no tasks, and none can be made. */
extern const char *sd_task_state_text(SdTaskState state);

/* relations: JSON array of identities.  adopted: recorded elsewhere before our time, so what is there counts as ours. */
extern void sd_task_insert(int64 version, Jsonb *relations, bool adopted);
extern bool sd_task_read(int64 version, SdTask *task);
extern List *sd_task_list(void);	/* of SdTask *, those not closed, by version */

extern void sd_task_set_state(int64 version, SdTaskState state);
extern void sd_task_set_step(int64 version, int step, bool begun);
extern void sd_task_set_undo_step(int64 version, int step);
extern void sd_task_set_trouble(int64 version, SdTaskState state, int64 pause_ms, const char *error);
extern void sd_task_retry_now(int64 version);

/* What is worked on: identities of all tasks that are not closed. */
typedef struct SdTaskRelation
{
	int64		version;
	char	   *identity;
} SdTaskRelation;

extern List *sd_task_relations(void);	/* of SdTaskRelation * */

/* Online entries that are recorded as applied here, have no result in our log and no task; oldest first, at most one. */
extern int64 sd_task_missing(void);

/* The result of an online entry in our log; 0: none yet.  outcome may be NULL. */
extern int64 sd_task_result(int64 version, char **outcome);

#endif							/* SD_STORE_TASK_H */
