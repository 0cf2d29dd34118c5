/*
 * databases.c: extensions and databases that come and go.
 *
 * Runs in backends.  Object access tells which rows of pg_extension and pg_database a transaction touched, whichever
 * statement did it (DROP SCHEMA ... CASCADE and DROP OWNED drop extensions too); the catalogs are asked at pre-commit
 * what came of it, rolled back savepoints included; the launcher is told after the commit.
 *
 * Locking: SdShared.lock, briefly.  A hold is a count in the slot.  It is released by the callback of the
 * transaction's end, which a FATAL error reaches too; a crash resets shared memory.
 */
#include "compat.h"

#include <signal.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "clock.h"
#include "databases.h"
#include "shared.h"
#include "waitpoint.h"
#include "waits.h"

#define HOLD_TIMEOUT_US		(5 * SD_US_PER_S)	/* as long as the commands themselves wait */
#define PEER_PREFIX			"schemadrift "	/* application_name of a peer's connection */

/* What this transaction did so far. */
static bool extension_touched;
static bool extension_exists;	/* as of pre-commit */
static Oid	database_touched;	/* made or altered */
static bool databases_touched;	/* more than that one */
static Oid	database_dropped;

static Oid	held;				/* by this transaction; its slot counts it */


/* Is this row of pg_extension ours?  SnapshotSelf: a row just made is not visible to anything else yet. */
static bool
is_own_extension(Oid extension)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		ours = false;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		ours = strcmp(NameStr(((Form_pg_extension) GETSTRUCT(tuple))->extname), "schemadrift") == 0;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return ours;
}

static void transaction_event(XactEvent event, void *arg);

/* There is something to tell or let go of at the end: other sessions' transactions do not pay for it. */
static void
watch_transaction(void)
{
	static bool watching = false;

	if (!watching)
		RegisterXactCallback(transaction_event, NULL);
	watching = true;
}

void
sd_databases_object_access(ObjectAccessType access, Oid class_id, Oid object_id)
{
	if (class_id == ExtensionRelationId)
	{
		watch_transaction();
		if ((access == OAT_POST_CREATE || access == OAT_DROP) && is_own_extension(object_id))
			extension_touched = true;
	}
	else if (class_id == DatabaseRelationId)
	{
		watch_transaction();
		/* altered: ALLOW_CONNECTIONS may have opened a database that has the extension */
		if (access == OAT_POST_CREATE || access == OAT_POST_ALTER)
		{
			if (OidIsValid(database_touched) && database_touched != object_id)
				databases_touched = true;
			database_touched = object_id;
		}
		else if (access == OAT_DROP)
			database_dropped = object_id;
	}
}

/* May this role run such a command?  Who may not shall not be able to stop our workers by trying. */
static bool
may_hold(Oid database)
{
	HeapTuple	tuple;
	bool		allowed;

	if (sd_compat_owns_database(database, GetUserId()))
		return true;
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (!HeapTupleIsValid(tuple))
		return false;
	allowed = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	if (!allowed)
		return false;

	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(tuple))
		return false;
	allowed = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	ReleaseSysCache(tuple);
	return allowed;
}

/* Have the launcher look for the extension there.  Caller holds SdShared.lock. */
static void
look_at(Oid database)
{
	if (sd_shared->n_look_at < SD_LOOK_AT)
		sd_shared->look_at[sd_shared->n_look_at++] = database;
	else
		sd_shared->check_all = true;
}

static void
release(void)
{
	SdDatabase *db;

	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	db = sd_shared_find(held, false);
	if (db != NULL)
	{
		Assert(db->held > 0);
		db->held--;
		if (!db->wanted)
			look_at(held);		/* no probe was sent meanwhile */
	}
	sd_shared_wake_launcher();
	LWLockRelease(&sd_shared->lock);
	held = InvalidOid;
}

/* Peers connect again later, by themselves.  Their end is waited for by the command that follows. */
static void
terminate_peers_connections(Oid database)
{
	pgstat_clear_backend_activity_snapshot();
	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		PgBackendStatus *status = sd_compat_backend_status(i);

		if (status != NULL && status->st_databaseid == database && status->st_backendType == B_BACKEND &&
			status->st_procpid != MyProcPid &&
			strncmp(status->st_appname, PEER_PREFIX, strlen(PEER_PREFIX)) == 0)
			(void) kill(status->st_procpid, SIGTERM);
	}
	pgstat_clear_backend_activity_snapshot();
}

/*
 * Free a database of our processes and of peers' connections, until the end of the transaction.  Peers connect again within
 * milliseconds: so the lock that the command itself takes is taken first, for which new connections wait.
 */
static void
hold(Oid database, LOCKMODE mode)
{
	SdDatabase *db;
	int64		give_up_us;

	Assert(!OidIsValid(held));
	watch_transaction();
	LockSharedObject(DatabaseRelationId, database, 0, mode);
	give_up_us = sd_monotonic_us() + HOLD_TIMEOUT_US;

	/* also where no slot is known: the launcher may be about to find the extension there */
	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	db = sd_shared_find(database, true);
	if (db != NULL)
	{
		held = database;
		db->held++;
		sd_shared_stop(db);
	}
	LWLockRelease(&sd_shared->lock);

	terminate_peers_connections(database);
	if (db == NULL)
		return;

	/* If this takes too long, the command itself says who is still there. */
	ConditionVariablePrepareToSleep(&db->changed);
	for (;;)
	{
		int64		left_us = give_up_us - sd_monotonic_us();
		bool		empty;

		LWLockAcquire(&sd_shared->lock, LW_SHARED);
		empty = db->coordinator_pid == 0 && db->applier_pid == 0 && db->task_pid == 0 &&
			db->result_pid == 0 && db->verify_pid == 0;
		LWLockRelease(&sd_shared->lock);
		if (empty || left_us <= 0)
			break;
		(void) ConditionVariableTimedSleep(&db->changed, left_us / SD_US_PER_MS + 1,
										   sd_wait_event(SD_WAIT_STOP));
	}
	ConditionVariableCancelSleep();
}

/* The database that must be free of other sessions for this statement; InvalidOid: none. */
static Oid
database_to_empty(Node *stmt)
{
	ListCell   *lc;

	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			return get_database_oid(((DropdbStmt *) stmt)->dbname, true);

		case T_CreatedbStmt:
			foreach(lc, ((CreatedbStmt *) stmt)->options)
			{
				DefElem    *option = lfirst_node(DefElem, lc);

				if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
					return get_database_oid(defGetString(option), true);
			}
			return get_database_oid("template1", true);

		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType == OBJECT_DATABASE)
				return get_database_oid(((RenameStmt *) stmt)->subname, true);
			return InvalidOid;

		case T_AlterDatabaseStmt:
			foreach(lc, ((AlterDatabaseStmt *) stmt)->options)
				if (strcmp(lfirst_node(DefElem, lc)->defname, "tablespace") == 0)
					return get_database_oid(((AlterDatabaseStmt *) stmt)->dbname, true);
			return InvalidOid;

		default:
			return InvalidOid;
	}
}

void
sd_databases_before(Node *stmt, ProcessUtilityContext context)
{
	Oid			database;

	/* in a block or function these commands fail at once, so nothing shall be stopped for them */
	if (sd_shared == NULL || context != PROCESS_UTILITY_TOPLEVEL || IsTransactionBlock())
		return;
	database = database_to_empty(stmt);
	if (!OidIsValid(database) || database == held || !may_hold(database))
		return;
	/* one's own database can be copied, anything else is refused */
	if (database == MyDatabaseId && !IsA(stmt, CreatedbStmt))
		return;
	if (OidIsValid(held))
		release();
	hold(database, IsA(stmt, CreatedbStmt) ? ShareLock : AccessExclusiveLock);
}

/* After the commit: nothing here can fail. */
static void
tell_launcher(void)
{
	SdDatabase *db;

	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	if (extension_touched)
	{
		db = sd_shared_find(MyDatabaseId, extension_exists);
		if (db != NULL)
		{
			db->wanted = extension_exists;
			db->notices++;
			db->failures = 0;
			db->start_at_us = 0;
		}
		else if (extension_exists || sd_shared->n_unplaced > 0)
			sd_shared->check_all = true;	/* no slot is free: count again how many would be needed */
	}
	if (OidIsValid(database_dropped))
	{
		db = sd_shared_find(database_dropped, false);
		if (db != NULL)
			db->wanted = false;
	}
	if (OidIsValid(database_touched))
	{
		if (databases_touched)
			sd_shared->check_all = true;
		else
			look_at(database_touched);
	}
	sd_shared_wake_launcher();
	LWLockRelease(&sd_shared->lock);
}

static void
transaction_event(XactEvent event, void *arg)
{
	(void) arg;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (extension_touched)
				extension_exists = OidIsValid(get_extension_oid("schemadrift", true));
			break;

		case XACT_EVENT_PRE_PREPARE:
			if (extension_touched)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot prepare a transaction that creates or drops extension schemadrift"),
						 errdetail("Its workers start and stop with the commit, which another session would make."),
						 errhint("Use COMMIT.")));
			break;

		case XACT_EVENT_COMMIT:
			if (sd_shared != NULL &&
				(extension_touched || OidIsValid(database_touched) || OidIsValid(database_dropped)))
			{
				tell_launcher();
				sd_waitpoint("launcher-told");
			}
			/* fall through */

		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			extension_touched = false;
			database_touched = InvalidOid;
			databases_touched = false;
			database_dropped = InvalidOid;
			if (OidIsValid(held))
				release();
			break;

		default:
			break;
	}
}

char *
sd_databases_trouble(bool *workers)
{
	SdDatabase *db;
	char		trouble[SD_TEXT_SIZE] = "";

	*workers = false;
	if (sd_shared == NULL)
		return NULL;
	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	db = sd_shared_find(MyDatabaseId, false);
	if (db != NULL && db->coordinator_pid != 0)
		 /* all is well */ ;
	else if (RecoveryInProgress())
		strlcpy(trouble, "this server is a standby: workers start when it is promoted", sizeof(trouble));
	else if (sd_shared->launcher_pid == 0)
		strlcpy(trouble, "the launcher is not running: see the server's log, and max_worker_processes", sizeof(trouble));
	else if (sd_shared->trouble[0] != '\0')
	{
		*workers = true;
		strlcpy(trouble, sd_shared->trouble, sizeof(trouble));
	}
	else if (db != NULL && db->held > 0)
		strlcpy(trouble, "a database command is under way that needs this database free of workers", sizeof(trouble));
	else if (db != NULL && db->failures > 0)
		snprintf(trouble, sizeof(trouble), "the coordinator ended early %d times in a row: see the server's log",
				 db->failures);
	LWLockRelease(&sd_shared->lock);
	return trouble[0] != '\0' ? pstrdup(trouble) : NULL;
}
