/*
 * verify.c: the whole schema against its digests, now and then: what went past every hook is found here.
 *
 * The process: short-lived, one a database, started by the coordinator like the applier.  It looks first, as a reader that holds
 * no lock others wait for, and only if something does not fit it takes the DDL lock, looks at those objects again, and
 * writes down what did change (ddl/drift.h).  So a change under way is never taken for drift, and where all is well nothing is written.
 *
 * The coordinator's part: soon after its start, each schemadrift.verify_interval, and at once when a transaction has committed that
 * changed catalogs in other ways than the gate looks at (gate/suspect.h).
 */
#include "compat.h"

#include "access/transam.h"
#include "access/xact.h"
#include "commands/dbcommands.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "clock.h"
#include "ddl/drift.h"
#include "ddl/lock.h"
#include "progress.h"
#include "settings.h"
#include "store/drift.h"
#include "store/life.h"
#include "store/vote.h"
#include "worker/coordinator.h"
#include "worker/worker.h"

/* The first look, at the soonest and at the latest; pause after one that failed. */
#define FIRST_US		(2 * SD_US_PER_S)
#define FIRST_SPREAD_US	(3 * SD_US_PER_S)
#define RETRY_US		(5 * SD_US_PER_S)

/* ---- the process ---- */

extern PGDLLEXPORT void sd_verify_main(Datum main_arg);

/* Transactions whose COMMIT PREPARED calls for another look (gate/suspect.c). */
static void
look_at_prepared(SdDatabase *db)
{
	TransactionId before;
	uint32		notes;
	bool		gone;

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	if (!db->prepared_known)
	{
		/* all that there are, and have been; they may be about roles */
		db->prepared_known = true;
		db->prepared_before = ReadNextTransactionId();
		db->prepared_elsewhere = true;
	}
	before = db->prepared_before;
	notes = db->prepared_notes;
	LWLockRelease(&db->lock);
	if (!TransactionIdIsValid(before))
		return;
	gone = !sd_prepared_before(before);
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	if (gone && db->prepared_notes == notes)
	{
		db->prepared_before = InvalidTransactionId;
		db->prepared_elsewhere = false;
	}
	LWLockRelease(&db->lock);
}

static int64
look(SdDatabase *db, SdTouched *set, int *n)
{
	SdScope		scope;
	int64		objects;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pgstat_report_activity(STATE_RUNNING, "comparing the schema with its digests");
	sd_store_enter(&scope);
	/* first: what is committed after this look at them calls for the next one */
	look_at_prepared(db);
	objects = sd_drift_kept() ? sd_drift_suspect(set, n) : 0;
	sd_store_leave(&scope);
	CommitTransactionCommand();
	return objects;
}

static void
settle(SdTouched *set)
{
	SdScope		scope;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pgstat_report_activity(STATE_RUNNING, "writing down drift");
	sd_set_lock_timeout(sd_lock_timeout, GUC_ACTION_LOCAL);
	sd_ddl_lock();
	sd_store_enter(&scope);
	sd_drift_settle(set);
	sd_store_leave(&scope);
	CommitTransactionCommand();
}

void
sd_verify_main(Datum main_arg)
{
	Oid			database = DatumGetObjectId(main_arg);
	SdDatabase *db;
	MemoryContext context;
	SdTouched  *set;
	int64		began_us = sd_monotonic_us();

	sd_worker_signals();
	db = sd_worker_claim(SD_WORKER_VERIFY, database);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	sd_worker_pin_settings();
	if (!sd_worker_has_extension(db))
		proc_exit(0);
	context = AllocSetContextCreate(TopMemoryContext, "schemadrift verify", ALLOCSET_DEFAULT_SIZES);
	set = sd_touched_create(context);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		int			n = 0;
		int64		objects = look(db, set, &n);

		if (n > 0)
			settle(set);
		sd_progress_verified(db, objects, sd_monotonic_us() - began_us);
	}
	PG_CATCH();
	{
		ErrorData  *error = sd_worker_recover(context);

		sd_progress_not_verified(db, error->message);
		ereport(LOG,
				(errmsg("schemadrift could not compare the schema with its digests: %s", error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0));
	}
	PG_END_TRY();
	proc_exit(0);
}

/* ---- the coordinator's part ---- */

/* Regions of one server, or started together, shall not all look at the same time. */
static int64
next_pause(void)
{
	return (int64) ((0.9 + 0.2 * pg_prng_double(&pg_global_prng_state)) * sd_verify_interval * SD_US_PER_S);
}

static void
set_ended(SdCoordinator *c)
{
	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	c->db->verify_ended = c->db->verify_begun;
	LWLockRelease(&c->db->lock);
	ConditionVariableBroadcast(&c->db->changed);
}

void
sd_verify_create(SdCoordinator *c)
{
	set_ended(c);
	c->verified_us = sd_monotonic_us();
	LWLockAcquire(&c->db->lock, LW_SHARED);
	c->verify_failed = c->db->verify_failed_at != 0;
	LWLockRelease(&c->db->lock);
	c->verify_pause_us = FIRST_US + (int64) (pg_prng_double(&pg_global_prng_state) * FIRST_SPREAD_US);
	c->verify_after_us = 0;
}

static bool
has_schema(const SdCoordinator *c)
{
	return c->joined && c->self.state && strcmp(c->self.state, "witness") != 0;
}

static bool
is_called_for(SdCoordinator *c)
{
	bool		now;

	LWLockAcquire(&c->db->lock, LW_SHARED);
	now = c->db->verify_called != c->db->verify_begun;
	LWLockRelease(&c->db->lock);
	return now;
}

static int64
due_us(SdCoordinator *c)
{
	/* a shorter interval is one from now on, and not when the pause by the longer one has ended */
	int64		longest_us = (int64) (1.1 * sd_verify_interval * SD_US_PER_S);
	int64		due = sd_verify_interval > 0 ? c->verified_us + Min(c->verify_pause_us, longest_us) : SD_NEVER;

	/* also where nothing is looked at but what is called for: what failed has not been */
	if (c->verify_failed)
		due = Min(due, c->verified_us + RETRY_US);

	return Max(is_called_for(c) ? 0 : due, c->verify_after_us);
}

/* One that an earlier coordinator has started may be at it yet. */
static bool
is_at_it(const SdCoordinator *c)
{
	bool		is;

	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	is = c->db->verify_pid != 0;
	LWLockRelease(&sd_shared->lock);
	return is;
}

static void
start(SdCoordinator *c, void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(c->context);

	(void) arg;
	c->verifier = sd_worker_start(SD_WORKER_VERIFY, MyDatabaseId, get_database_name(MyDatabaseId));
	MemoryContextSwitchTo(old);
}

/* It has ended, and may have written down what it found. */
static void
take_end(SdCoordinator *c, int64 now)
{
	bool		told;

	LWLockAcquire(&c->db->lock, LW_SHARED);
	told = c->db->verify_told;
	LWLockRelease(&c->db->lock);
	if (!told)
		sd_progress_not_verified(c->db, "the process that looks ended before it was done");
	LWLockAcquire(&c->db->lock, LW_SHARED);
	c->verify_failed = c->db->verify_failed_at != 0;
	LWLockRelease(&c->db->lock);
	set_ended(c);
	c->verified_us = now;
	c->verify_pause_us = next_pause();
	/* a session that changes catalogs all the time shall not keep a process of ours busy all the time */
	c->verify_after_us = now + (int64) sd_heartbeat_interval * SD_US_PER_MS / 2;
	c->look = true;
}

void
sd_verify_drive(SdCoordinator *c, int64 now)
{
	bool		had = c->verifier != NULL;

	if (!sd_worker_has_ended(&c->verifier))
		return;
	if (had)
		take_end(c, now);
	if (!has_schema(c) || due_us(c) > now)
		return;
	if (is_at_it(c))
	{
		c->verify_after_us = now + SD_US_PER_S;
		return;
	}
	/* what comes from now on may come too late for it */
	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	c->db->verify_begun = c->db->verify_called;
	c->db->verify_told = false;
	LWLockRelease(&c->db->lock);
	if (!sd_coordinator_transaction(c, start, NULL, false) || c->verifier == NULL)
	{
		LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
		c->db->verify_begun = c->db->verify_ended;
		LWLockRelease(&c->db->lock);
		c->verify_after_us = now + SD_US_PER_S;
		sd_progress_not_verified(c->db, "no background worker is to be had: raise max_worker_processes");
	}
}

int64
sd_verify_deadline(SdCoordinator *c, int64 now)
{
	/* its end wakes us */
	if (!has_schema(c) || c->verifier != NULL)
		return SD_NEVER;
	return Max(due_us(c), now);
}
