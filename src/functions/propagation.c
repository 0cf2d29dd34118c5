/*
 * propagation.c: how long an entry takes from this region to the others; see propagation.h.
 *
 * Proposed by a process of its own (worker/task_result.c), since this transaction would commit too late.  Waits on SdDatabase.changed, for
 * a few seconds at most; takes SdDatabase.lock.
 */
#include "compat.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "clock.h"
#include "ddl/capture.h"
#include "functions/propagation.h"
#include "gate/change.h"
#include "shared.h"
#include "waits.h"
#include "worker/task.h"
#include "worker/worker.h"

/* Figures that are younger are good enough: who calls often fills no log. */
#define FRESH_US	(60 * SD_US_PER_S)

static const char *
why_not_now(const SdHere *here)
{
	SdLeader	leader = {0};

	if (here->db == NULL || !here->coordinator)
		return "no coordinator runs";
	if (sd_change_active() || !sd_capture_is_empty())
		return "this transaction has changed the schema";
	if (!here->db->connected)
		return "too few voters can be reached";
	if (here->db->state != SD_REGION_HEALTHY && here->db->state != SD_REGION_DEGRADED)
		return "this region is not healthy: SELECT * FROM schemadrift.status";
	if (here->db->ddl_pid != 0 || (sd_shared_leader(here->db, sd_monotonic_us(), &leader) && leader.pid != 0))
		return "a schema change is open";
	return NULL;
}

/* A no-op of this region that is fresh. */
static bool
read_noop(SdDatabase *db, SdPropagation *result, int64 *begun)
{
	LWLockAcquire(&db->lock, LW_SHARED);
	*begun = db->noop_begun_us;
	result->version = db->noop_version;
	result->chosen_us = db->noop_chosen_us - db->noop_begun_us;
	LWLockRelease(&db->lock);
	result->age_us = sd_monotonic_us() - *begun;
	return result->version > 0 && result->age_us < FRESH_US;
}

static const char *
propose(SdDatabase *db, int64 deadline)
{
	BackgroundWorkerHandle *worker;
	uint32		attempts;
	const char *why = NULL;

	LWLockAcquire(&db->lock, LW_SHARED);
	attempts = db->noop_attempts;
	LWLockRelease(&db->lock);
	worker = sd_task_start_result(MyDatabaseId, 0);
	if (worker == NULL)
		return "every background worker is in use (max_worker_processes)";
	for (;;)
	{
		bool		done;
		bool		ended = sd_worker_has_ended(&worker);
		int64		now = sd_monotonic_us();

		/* both set our latch: the broadcast of who proposed, and the postmaster when that process has ended, perhaps without a word */
		ConditionVariablePrepareToSleep(&db->changed);
		LWLockAcquire(&db->lock, LW_SHARED);
		done = db->noop_attempts != attempts;
		if (done && db->noop_error[0])
			why = pstrdup(db->noop_error);
		LWLockRelease(&db->lock);
		if (done)
			break;
		if (ended || now >= deadline)
		{
			why = ended ? "another process is proposing just now" : "it was not decided in time";
			break;
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, sd_monotonic_timeout_ms(deadline, now),
						 sd_wait_event(SD_WAIT_QUORUM));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	ConditionVariableCancelSleep();
	return why;
}

/* Under SdDatabase.lock.  False: it has not applied it yet, as far as is known. */
static bool
look_at(const SdDatabase *db, const char *region, int64 version, int64 begun, int64 *us)
{
	for (int i = 0; i < db->n_peers; i++)
	{
		const SdPeerState *peer = &db->peers[i];

		if (strcmp(peer->region, region) != 0)
			continue;
		if (peer->noop_version != version)
			return false;
		*us = peer->noop_us - begun;
		break;
	}
	return true;
}

static void
await_regions(SdDatabase *db, List *regions, SdPropagation *result, int64 begun)
{
	int64		deadline = begun + SD_PROPAGATION_LIMIT_US;

	ConditionVariablePrepareToSleep(&db->changed);
	for (;;)
	{
		bool		all = true;
		int64		now = sd_monotonic_us();
		ListCell   *cell;

		LWLockAcquire(&db->lock, LW_SHARED);
		foreach(cell, regions)
			all &= look_at(db, lfirst(cell), result->version, begun, &result->applied_us[foreach_current_index(cell)]);
		LWLockRelease(&db->lock);
		if (all || now >= deadline)
			break;
		ConditionVariableTimedSleep(&db->changed, sd_monotonic_timeout_ms(deadline, now), sd_wait_event(SD_WAIT_APPLIED));
	}
	ConditionVariableCancelSleep();
}

void
sd_propagation_measure(const SdHere *here, List *regions, SdPropagation *result)
{
	SdDatabase *db = sd_shared_mine();
	int64		begun;

	memset(result, 0, sizeof(*result));
	result->applied_us = palloc(sizeof(int64) * Max(1, list_length(regions)));
	for (int i = 0; i < list_length(regions); i++)
		result->applied_us[i] = -1;
	if (db && !read_noop(db, result, &begun))
	{
		result->why_not = why_not_now(here);
		if (result->why_not == NULL)
			result->why_not = propose(db, sd_monotonic_us() + SD_PROPAGATION_LIMIT_US);
		if (result->why_not == NULL && !read_noop(db, result, &begun))
			result->why_not = "it was not decided in time";
	}
	else if (db == NULL)
		result->why_not = "no coordinator runs";
	if (result->why_not == NULL)
		await_regions(db, regions, result, begun);
}
