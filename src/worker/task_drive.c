/*
 * task_drive.c: the coordinator's part in online entries: which task to work on, whose turn it is to propose a result.
 *
 * Process: the coordinator.  While no online entry is open this costs one look at an empty index with each look at the tables.
 */
#include "compat.h"

#include <signal.h>

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "ddl/replay.h"
#include "online_regions.h"
#include "settings.h"
#include "store/task.h"
#include "worker/task.h"
#include "worker/worker.h"

/*
 * How long the next in line waits for the one before it, which may have to wait out the lease of a region that has gone.  And
 * after an attempt that failed the pause is random, so that two who try are not in each other's way again and again.
 */
#define TURN_US			Max(2 * (int64) sd_lease_duration * SD_US_PER_MS, 3 * SD_US_PER_S)
#define PAUSE_US		((int64) ((1 + 3 * pg_prng_double(&pg_global_prng_state)) * SD_US_PER_S))

/* While one is open, what regions told is looked at so often. */
#define LOOK_US			(500 * SD_US_PER_MS)

/* A process that was told to stop is told again after that. */
#define STOP_US			SD_US_PER_S

struct SdTaskDrive
{
	MemoryContext context;
	List	   *tasks;			/* of SdTask *, as of the last look; in that context */
	uint64		told;			/* of their states, what others were told */

	BackgroundWorkerHandle *worker;
	int64		worker_version;
	SdTaskState worker_state;	/* of the task when it was started */
	int64		stop_at_us;
	int64		start_after_us;	/* no worker could be had */

	BackgroundWorkerHandle *proposer;
	int64		look_at_us;
	int64		settled_version;	/* whose result could be proposed ... */
	int64		settled_since_us;	/* ... since */
	int64		propose_after_us;	/* the last attempt was just made */
};

SdTaskDrive *
sd_task_drive_create(MemoryContext parent)
{
	SdTaskDrive *d = MemoryContextAllocZero(parent, sizeof(SdTaskDrive));

	d->context = AllocSetContextCreate(parent, "schemadrift tasks", ALLOCSET_SMALL_SIZES);
	return d;
}

void
sd_task_drive_look(SdCoordinator *c)
{
	SdTaskDrive *d = c->tasks;
	MemoryContext old;
	List	   *tasks;
	ListCell   *lc;
	uint64		told = 0;

	/* a witness has no schema to work on */
	while (strcmp(c->self.state, "witness") != 0 && sd_replay_adopt())
		;
	tasks = sd_task_list();
	MemoryContextReset(d->context);
	old = MemoryContextSwitchTo(d->context);
	d->tasks = NIL;
	foreach(lc, tasks)
	{
		SdTask	   *task = lfirst(lc);
		SdTask	   *copy = palloc(sizeof(SdTask));

		*copy = *task;
		copy->error = NULL;
		copy->origin = pstrdup(task->origin);
		copy->author = pstrdup(task->author);
		copy->name = pstrdup(task->name);
		d->tasks = lappend(d->tasks, copy);
		told = told * 31 + (uint64) task->version * 8 + task->state;
	}
	MemoryContextSwitchTo(old);
	if (told != d->told)
	{
		d->told = told;
		d->look_at_us = 0;
		sd_heartbeat_hurry(c);		/* others wait for what we have done */
	}
}

/* ---- the worker ---- */

/* How long it still waits.  Its time is in a table, so it is one of the wall clock: who sees a longer pause than any had his clock set back. */
static int64
pause_left(const SdTask *task)
{
	int64		left = task->retry_at - GetCurrentTimestamp();

	return left > (int64) sd_retry_max_interval * SD_US_PER_MS ? 0 : Max(left, 0);
}

static bool
is_due(const SdTask *task)
{
	return (task->state == SD_TASK_OPEN || task->state == SD_TASK_UNDO) && pause_left(task) == 0;
}

static void
start_worker(SdCoordinator *c, void *arg)
{
	SdTask	   *task = arg;
	MemoryContext old = MemoryContextSwitchTo(c->context);

	c->tasks->worker = sd_task_start(MyDatabaseId, task->version, task->author);
	MemoryContextSwitchTo(old);
}

/* The result has come while it works: what it does is not wanted any more. */
static void
stop_worker(SdCoordinator *c, int64 now)
{
	SdTaskDrive *d = c->tasks;
	ListCell   *lc;
	int			pid;

	foreach(lc, d->tasks)
	{
		SdTask	   *task = lfirst(lc);

		if (task->version != d->worker_version || task->state == d->worker_state || task->state != SD_TASK_UNDO ||
			d->stop_at_us > now)
			continue;
		LWLockAcquire(&sd_shared->lock, LW_SHARED);
		pid = c->db->task_pid;
		if (pid != 0)
			(void) kill(pid, SIGINT);
		LWLockRelease(&sd_shared->lock);
		d->stop_at_us = now + STOP_US;
	}
}

static void
drive_worker(SdCoordinator *c, int64 now)
{
	SdTaskDrive *d = c->tasks;
	bool		had = d->worker != NULL;
	ListCell   *lc;

	if (!sd_worker_has_ended(&d->worker))
	{
		stop_worker(c, now);
		return;
	}
	if (had)
	{
		/* what it left is in the table; and a crash shall not loop at full speed */
		c->look = true;
		d->start_after_us = now + 100 * SD_US_PER_MS;
		return;
	}
	if (d->start_after_us > now)
		return;
	foreach(lc, d->tasks)
	{
		SdTask	   *task = lfirst(lc);

		if (!is_due(task))
			continue;
		d->worker_version = task->version;
		d->worker_state = task->state;
		d->stop_at_us = 0;
		if (!sd_coordinator_transaction(c, start_worker, task, false) || d->worker == NULL)
			d->start_after_us = now + SD_US_PER_S;
		return;
	}
}

/* ---- the result ---- */

/*
 * The origin, or where that is away the first voter that is not.  Each next one waits longer, so that one that is there
 * but cannot is passed over; -1: not this region's business.
 */
static int
turn(SdCoordinator *c, const SdTask *task, const SdOnlineView *view)
{
	int			before = 0;
	bool		own_votes = false;

	for (int i = 0; i < view->n; i++)
	{
		const SdOnlineRegion *region = &view->region[i];
		bool		is_origin = strcmp(region->region, task->origin) == 0;
		int			at = sd_config_find(&c->members.config, region->region);

		if (region->own)
		{
			if (is_origin)
				return 0;
			own_votes = at >= 0 && c->members.config.member[at].role == SD_ROLE_VOTER;
			if (!own_votes)
				return -1;
		}
		else if (region->heard && (is_origin || (!own_votes && at >= 0 && c->members.config.member[at].role == SD_ROLE_VOTER)))
			before++;
	}
	return before;
}

typedef struct Settled
{
	int64		version;		/* 0: none */
	int			turn;
} Settled;

static void
find_settled(SdCoordinator *c, void *arg)
{
	Settled    *settled = arg;
	ListCell   *lc;

	foreach(lc, c->tasks->tasks)
	{
		SdTask	   *task = lfirst(lc);
		SdOnlineView view;
		SdOnlineVerdict verdict;
		int			who;

		sd_online_view(c->db, task->version, &view);
		verdict = sd_online_verdict(&view, &who);
		if (verdict == SD_ONLINE_WAIT || (verdict == SD_ONLINE_OK && task->state != SD_TASK_DONE) ||
			sd_task_result(task->version, NULL) > 0)
			continue;
		settled->version = task->version;
		settled->turn = turn(c, task, &view);
		if (settled->turn >= 0)
			return;
	}
}

static void
start_proposer(SdCoordinator *c, void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(c->context);

	c->tasks->proposer = sd_task_start_result(MyDatabaseId, *(int64 *) arg);
	MemoryContextSwitchTo(old);
}

static void
drive_result(SdCoordinator *c, int64 now)
{
	SdTaskDrive *d = c->tasks;
	Settled		settled = {0};
	bool		had = d->proposer != NULL;

	(void) sd_worker_has_ended(&d->proposer);
	if (had && d->proposer == NULL)
		d->propose_after_us = now + PAUSE_US;
	if (d->proposer || d->tasks == NIL || d->look_at_us > now)
		return;
	d->look_at_us = now + LOOK_US;
	if (c->me < 0 || !c->self.valid || !sd_coordinator_transaction(c, find_settled, &settled, false))
		return;
	if (settled.version != d->settled_version)
	{
		d->settled_version = settled.version;
		d->settled_since_us = now;
	}
	if (settled.version == 0 || settled.turn < 0 || now < d->settled_since_us + settled.turn * TURN_US ||
		now < d->propose_after_us)
		return;
	(void) sd_coordinator_transaction(c, start_proposer, &settled.version, false);
}

void
sd_task_drive(SdCoordinator *c, int64 now)
{
	drive_worker(c, now);
	drive_result(c, now);
}

int64
sd_task_deadline(SdCoordinator *c, int64 now)
{
	SdTaskDrive *d = c->tasks;
	int64		deadline = SD_NEVER;
	ListCell   *lc;

	if (!c->joined || d->tasks == NIL)
		return deadline;
	/* whoever runs for us wakes us at its end */
	if (d->proposer == NULL)
		deadline = Max(d->look_at_us, now);
	if (d->worker != NULL)
		return deadline;
	foreach(lc, d->tasks)
	{
		SdTask	   *task = lfirst(lc);

		if (task->state == SD_TASK_OPEN || task->state == SD_TASK_UNDO)
			deadline = Min(deadline, Max(d->start_after_us, now + pause_left(task)));
	}
	return deadline;
}
