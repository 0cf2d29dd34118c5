/*
 * launcher.c: keeps exactly one coordinator in each database that has the extension.
 *
 * Runs in the launcher, one static background worker a server, started when recovery has finished: so a hot standby
 * has none, and a promoted one gets it.  It is connected to the shared catalogs only.  What it knows:
 *
 * - pg_extension is a table of each database.  At its start the launcher sends a short-lived probe into each database,
 *	 one after another; afterwards backends tell it what their commits did (databases.c).
 * - Slots in shared memory say what is wanted; `workers` says what was started and has not been seen to end.
 *	 A coordinator enters and leaves its slot itself, so a launcher that was restarted finds those that run.
 *
 * Locking: SdShared.lock while it looks at or changes slots, never across anything that may fail.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/relcache.h"

#include "clock.h"
#include "settings.h"
#include "shared.h"
#include "waits.h"
#include "worker/launcher.h"
#include "worker/worker.h"

#define GOOD_RUN_US			(60 * SD_US_PER_S)	/* so long a run makes earlier failures forgotten */
#define FIRST_RETRY_US		SD_US_PER_S
#define LOOK_FIRST_US		(3 * SD_US_PER_S)

static BackgroundWorkerHandle **workers;	/* by slot: its coordinator, until seen to have ended */
static BackgroundWorkerHandle *probe;
static List *to_probe = NIL;	/* oids of databases, in TopMemoryContext */
static int64 look_first_until_us;	/* start coordinators when all is probed, or at this time */
static char *not_started;		/* a database whose worker found no room in this turn */
static int64 wake_at_us;		/* when something is to be done without being told */


static void
wake_at(int64 us)
{
	wake_at_us = Min(wake_at_us, us);
}

static int64
retry_pause_us(int failures)
{
	int64		pause = FIRST_RETRY_US << Min(failures - 1, 30);

	return Min(pause, (int64) sd_retry_max_interval * SD_US_PER_MS);
}

/* Can workers connect to it?  Its name, for messages and pg_stat_activity, in the current memory context. */
static char *
connectable_name(Form_pg_database row)
{
	/* nobody is let into template0, and an interrupted DROP DATABASE leaves a row that nobody can connect to */
	if (!row->datallowconn || row->datconnlimit == DATCONNLIMIT_INVALID_DB)
		return NULL;
	return pstrdup(NameStr(row->datname));
}

/*
 * NULL: gone, or not connectable.  Not by the cache of catalogs: we are told of a commit before caches are, and who still
 * found the database closed in there would not look again.
 */
static char *
look_up_name(Oid database)
{
	MemoryContext caller = CurrentMemoryContext;
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *name = NULL;

	StartTransactionCommand();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_database_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(database));
	scan = systable_beginscan(rel, DatabaseOidIndexId, criticalSharedRelcachesBuilt, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		MemoryContext own = MemoryContextSwitchTo(caller);

		name = connectable_name((Form_pg_database) GETSTRUCT(tuple));
		MemoryContextSwitchTo(own);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return name;
}

static bool
is_probing(void)
{
	return to_probe != NIL || probe != NULL;
}

/*
 * All databases that one can connect to shall be probed.  Coordinators wait for that a little: they could take the
 * last background worker from the probes, and nobody would know then how many are needed.
 */
static void
probe_all(void)
{
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	list_free(to_probe);
	to_probe = NIL;
	StartTransactionCommand();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext own;

		if (connectable_name(row) == NULL)
			continue;
		own = MemoryContextSwitchTo(TopMemoryContext);
		to_probe = lappend_oid(to_probe, row->oid);
		MemoryContextSwitchTo(own);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	look_first_until_us = sd_monotonic_us() + LOOK_FIRST_US;
}

/* Take what backends have left for us. */
static void
take_notices(void)
{
	bool		check_all;
	int			n;
	Oid			look_at[SD_LOOK_AT];

	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	check_all = sd_shared->check_all;
	n = sd_shared->n_look_at;
	memcpy(look_at, sd_shared->look_at, sizeof(Oid) * n);
	sd_shared->check_all = false;
	sd_shared->n_look_at = 0;
	if (check_all)
		sd_shared->n_unplaced = 0;
	LWLockRelease(&sd_shared->lock);

	if (check_all)
		probe_all();
	else
	{
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

		for (int i = 0; i < n; i++)
			to_probe = list_append_unique_oid(to_probe, look_at[i]);
		MemoryContextSwitchTo(caller);
	}
}

/*
 * Say, in the log and for the view `status`, that there are too few background workers, and how many would do:
 * those of others, ourselves, and a coordinator and an applier for each database.
 */
static void
report_too_few(const char *database_name)
{
	int			wanted = 0;
	int			ours = 1;		/* this process */
	int			needed;
	char		trouble[SD_TEXT_SIZE];
	bool		news;

	if (probe != NULL)
		ours++;
	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < sd_shared->n_databases; i++)
	{
		SdDatabase *db = sd_shared_slot(i);

		if (db->database == InvalidOid)
			continue;
		wanted += db->wanted;
		ours += (workers[i] != NULL) + (db->applier_pid != 0) + (db->task_pid != 0) + (db->result_pid != 0) +
			(db->verify_pid != 0);
	}
	wanted += sd_shared->n_unplaced;
	needed = Max(max_worker_processes - ours, 0) + 1 + 2 * Max(wanted, 1);
	snprintf(trouble, sizeof(trouble),
			 "max_worker_processes is %d, at least %d are needed for %d database%s with schemadrift",
			 max_worker_processes, needed, Max(wanted, 1), wanted > 1 ? "s" : "");
	news = strcmp(trouble, sd_shared->trouble) != 0;
	strlcpy(sd_shared->trouble, trouble, sizeof(sd_shared->trouble));
	LWLockRelease(&sd_shared->lock);

	if (news)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a schemadrift worker for database \"%s\"", database_name),
				 errdetail("All %d background workers of the server are in use.", max_worker_processes),
				 errhint("Set max_worker_processes to at least %d and restart the server.", needed)));
}

static void
forget_trouble(void)
{
	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	sd_shared->trouble[0] = '\0';
	LWLockRelease(&sd_shared->lock);
}

/* One probe at a time. */
static void
manage_probes(void)
{
	static int	failures = 0;
	static int64 start_at_us = 0;

	if (!sd_worker_has_ended(&probe))
		return;
	if (start_at_us > sd_monotonic_us())
	{
		wake_at(start_at_us);
		return;
	}
	while (to_probe != NIL && probe == NULL)
	{
		Oid			database = linitial_oid(to_probe);
		SdDatabase *db;
		bool		needless;
		char	   *name;
		MemoryContext caller;

		LWLockAcquire(&sd_shared->lock, LW_SHARED);
		db = sd_shared_find(database, false);
		/* found already, or held: then we are told when that ends */
		needless = db != NULL && (db->wanted || db->held > 0);
		LWLockRelease(&sd_shared->lock);

		name = needless ? NULL : look_up_name(database);
		if (name != NULL)
		{
			caller = MemoryContextSwitchTo(TopMemoryContext);
			probe = sd_worker_start(SD_WORKER_PROBE, database, name);
			MemoryContextSwitchTo(caller);
			if (probe == NULL)
			{
				not_started = name;
				start_at_us = sd_monotonic_us() + retry_pause_us(++failures);
				wake_at(start_at_us);
				return;
			}
			failures = 0;
		}
		to_probe = list_delete_first(to_probe);
	}
}

/* A coordinator that we started has ended. */
static void
coordinator_ended(int slot)
{
	SdDatabase *db = sd_shared_slot(slot);
	int64		now = sd_monotonic_us();
	int64		ran_us = 0;
	int64		pause_us = 0;
	bool		failed;
	Oid			database;

	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	failed = db->wanted && !db->told_to_stop && db->coordinator_pid == 0;
	database = db->database;
	db->told_to_stop = false;
	if (failed)
	{
		ran_us = now - db->started_us;
		if (ran_us >= GOOD_RUN_US)
			db->failures = 0;
		db->failures++;
		pause_us = retry_pause_us(db->failures);
		db->start_at_us = now + pause_us;
	}
	LWLockRelease(&sd_shared->lock);

	if (failed)
	{
		char	   *name = look_up_name(database);

		ereport(LOG,
				(errmsg("schemadrift coordinator for database \"%s\" ended after %.3f s, it is started again in %.3f s",
						name ? name : "?", ran_us / 1e6, pause_us / 1e6)));
	}
}

static void
start_coordinator(int slot)
{
	SdDatabase *db = sd_shared_slot(slot);
	int64		now = sd_monotonic_us();
	char	   *name = look_up_name(db->database);
	MemoryContext caller;

	if (name != NULL)
	{
		caller = MemoryContextSwitchTo(TopMemoryContext);
		workers[slot] = sd_worker_start(SD_WORKER_COORDINATOR, db->database, name);
		MemoryContextSwitchTo(caller);
	}

	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	if (name == NULL)
		db->wanted = false;		/* gone, or closed: its ALTER DATABASE will tell us to look again */
	else if (workers[slot] != NULL)
		db->started_us = now;
	else
	{
		db->failures++;
		db->start_at_us = now + retry_pause_us(db->failures);
		wake_at(db->start_at_us);
	}
	LWLockRelease(&sd_shared->lock);

	if (name != NULL && workers[slot] == NULL)
		not_started = name;
}

/* Bring one slot nearer to what is wanted; true: a coordinator is wanted there and has been started. */
static bool
manage_slot(int slot)
{
	SdDatabase *db = sd_shared_slot(slot);
	bool		ended = workers[slot] != NULL && sd_worker_has_ended(&workers[slot]);
	bool		start = false;
	bool		missing;

	if (ended)
		coordinator_ended(slot);

	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	if (db->database == InvalidOid)
		 /* free */ ;
	else if (db->held > 0)
		 /* whoever holds it has stopped our processes */ ;
	else if (!db->wanted)
	{
		sd_shared_stop(db);
		if (workers[slot] == NULL && db->coordinator_pid == 0 && db->applier_pid == 0 &&
			db->task_pid == 0 && db->result_pid == 0 && db->verify_pid == 0)
		{
			db->database = InvalidOid;
			/* now there is room for one that found none */
			if (sd_shared->n_unplaced > 0)
			{
				sd_shared->check_all = true;
				SetLatch(MyLatch);
			}
		}
	}
	else if (workers[slot] == NULL && db->coordinator_pid == 0)
	{
		int64		start_at_us = Max(db->start_at_us, is_probing() ? look_first_until_us : 0);

		start = start_at_us <= sd_monotonic_us();
		if (!start)
			wake_at(start_at_us);
	}
	LWLockRelease(&sd_shared->lock);

	if (start)
		start_coordinator(slot);

	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	missing = db->database != InvalidOid && db->wanted && db->held == 0 &&
		workers[slot] == NULL && db->coordinator_pid == 0;
	LWLockRelease(&sd_shared->lock);
	return !missing;
}

static void
leave(int code, Datum arg)
{
	(void) code;
	(void) arg;
	LWLockReleaseAll();
	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	sd_shared->launcher_pid = 0;
	sd_shared->launcher_latch = NULL;
	LWLockRelease(&sd_shared->lock);
}

static void
enter(void)
{
	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	sd_shared->launcher_pid = MyProcPid;
	sd_shared->launcher_latch = MyLatch;
	/* a notice that an earlier launcher took may not have been acted on */
	sd_shared->check_all = true;
	LWLockRelease(&sd_shared->lock);
	on_shmem_exit(leave, (Datum) 0);
}

void
sd_launcher_main(Datum main_arg)
{
	MemoryContext turn;

	(void) main_arg;
	sd_worker_signals();
	enter();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): it is an array of pointers */
	workers = MemoryContextAllocZero(TopMemoryContext, sizeof(*workers) * sd_shared->n_databases);
	turn = AllocSetContextCreate(TopMemoryContext, "schemadrift launcher", ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		long		pause_ms;
		bool		all_started = true;

		/* not 0, or the postmaster would take it for the end of our work and never start us again */
		sd_worker_check(1);
		MemoryContextSwitchTo(turn);
		MemoryContextReset(turn);
		wake_at_us = SD_NEVER;

		not_started = NULL;
		take_notices();
		manage_probes();
		for (int i = 0; i < sd_shared->n_databases; i++)
			all_started &= manage_slot(i);
		if (not_started != NULL)
			report_too_few(not_started);
		else if (all_started && !is_probing() && sd_shared->n_unplaced == 0)
			forget_trouble();

		pause_ms = sd_monotonic_timeout_ms(wake_at_us, sd_monotonic_us());
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (pause_ms >= 0 ? WL_TIMEOUT : 0), pause_ms,
						 sd_wait_event(SD_WAIT_LAUNCHER));
		ResetLatch(MyLatch);
	}
}

/* A probe: tells the launcher that the database it was sent to has the extension. */
void
sd_probe_main(Datum main_arg)
{
	Oid			database = DatumGetObjectId(main_arg);
	SdDatabase *db;
	bool		held;
	bool		found;

	sd_worker_signals();

	/* about to be dropped, perhaps; if it is not, the launcher is told to look again */
	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	db = sd_shared_find(database, false);
	held = db != NULL && db->held > 0;
	LWLockRelease(&sd_shared->lock);
	if (held)
		return;

	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	StartTransactionCommand();
	found = OidIsValid(get_extension_oid("schemadrift", true));
	CommitTransactionCommand();

	/* if it was dropped since, the coordinator will see */
	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	if (found)
	{
		db = sd_shared_find(database, true);
		if (db != NULL)
			db->wanted = true;
		else
			sd_shared->n_unplaced++;
	}
	sd_shared_wake_launcher();
	LWLockRelease(&sd_shared->lock);
}

void
sd_launcher_init(void)
{
	BackgroundWorker worker;

	/* pg_upgrade's servers shall change nothing by themselves */
	if (IsBinaryUpgrade)
		return;
	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_name, "schemadrift launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "schemadrift launcher", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "schemadrift", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "sd_launcher_main", sizeof(worker.bgw_function_name));
	RegisterBackgroundWorker(&worker);
}
