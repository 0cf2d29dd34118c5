/*
 * applier.c: the process that carries out the log in this region.
 *
 * A dynamic background worker, one at a time a database, started by the coordinator when the log is ahead of what is
 * applied.  It is connected as the author of the next version, so that RESET ROLE in a migration reaches nobody else, or
 * as the bootstrap superuser where that role cannot connect: then the text runs under a local change of user, in which
 * SET and RESET ROLE fail (ddl/script.c).  It goes on while the author stays the same.  When the log is applied it stays a
 * moment, in no transaction and with no lock, because to start a process takes longer than most migrations and one
 * seldom comes alone.  It ends when nothing came, at another author, or when an attempt failed; why, and when to try
 * again, it leaves in shared memory.
 *
 * Locking: the DDL lock, then the applied row, then what the migration locks, all within lock_timeout.  Rows of self,
 * acceptor and accepted are never locked here, so a region that applies, or cannot, goes on voting and learning.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "commands/dbcommands.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "ddl/lock.h"
#include "progress.h"
#include "settings.h"
#include "store/object.h"
#include "store/vote.h"
#include "waits.h"
#include "worker/applier.h"
#include "ddl/replay.h"
#include "worker/worker.h"

/* After an open transaction was told to end: how long it may take before it is told again, more firmly. */
#define ENDING_MS	1000

/* When the log is applied: how long it stays for what may come next. */
#define LINGER_US		(5 * SD_US_PER_S)

/* travels in bgw_extra */
typedef struct SdApplierFor
{
	Oid			role;			/* to connect as */
	char		author[NAMEDATALEN];
} SdApplierFor;

StaticAssertDecl(sizeof(SdApplierFor) <= BGW_EXTRALEN, "the author's name fits");

/* ---- starting it ---- */

Oid
sd_applier_role(Oid database, const char *author)
{
	HeapTuple	tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(author));
	Oid			role = BOOTSTRAP_SUPERUSERID;

	/* a role that is missing here fails where its text is to be run, with an error that says so */
	if (!HeapTupleIsValid(tuple))
		return role;
	{
		Form_pg_authid row = (Form_pg_authid) GETSTRUCT(tuple);

		if ((row->rolcanlogin || SD_COMPAT_ANY_ROLE) && sd_compat_may_connect(database, row->oid))
			role = row->oid;
	}
	ReleaseSysCache(tuple);
	return role;
}

BackgroundWorkerHandle *
sd_applier_start(Oid database, const char *author)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;
	SdApplierFor who = {0};

	Assert(IsTransactionState());
	who.role = sd_applier_role(database, author);
	strlcpy(who.author, author, sizeof(who.author));

	memset(&worker, 0, sizeof(worker));
	snprintf(worker.bgw_name, BGW_MAXLEN, "schemadrift applier for %s", get_database_name(database));
	strlcpy(worker.bgw_type, "schemadrift applier", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;	/* the coordinator knows when */
	strlcpy(worker.bgw_library_name, "schemadrift", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "sd_applier_main", sizeof(worker.bgw_function_name));
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	memcpy(worker.bgw_extra, &who, sizeof(who));
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : NULL;
}

/* ---- a local transaction in the way ---- */

/* The backend that holds the DDL lock for a version which another entry has taken; 0: none. */
static int
doomed_backend(SdDatabase *db)
{
	int			pid;

	LWLockAcquire(&db->lock, LW_SHARED);
	pid = db->doomed ? db->ddl_pid : 0;
	LWLockRelease(&db->lock);
	return pid;
}

/* It was protected from others for ddl_hold_limit already. */
static bool
overstayed(SdDatabase *db)
{
	bool		result;

	LWLockAcquire(&db->lock, LW_SHARED);
	result = db->overstayed;
	LWLockRelease(&db->lock);
	return result;
}

/*
 * Its transaction can only fail, and all regions' changes wait for this one here: end it.  Cancelled if it runs a
 * statement, terminated if it idles or was told before.  Not if it has let go of the DDL lock, which the coordinator hears a moment later.
 */
static void
end_backend(SdDatabase *db, int pid, bool firmly)
{
	static SdStatement statement = {
		.sql = "SELECT CASE WHEN state = 'active' AND NOT $2 THEN pg_cancel_backend(pid) ELSE pg_terminate_backend(pid) END, "
		"usename::text, state FROM pg_stat_activity WHERE pid = $1 AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = $1 AND granted "
		"AND locktype = 'object' AND classid = 'pg_extension'::regclass AND mode = 'ExclusiveLock' AND database = "
		"(SELECT oid FROM pg_database WHERE datname = current_database()))",
		.nargs = 2, .types = {INT4OID, BOOLOID}
	};
	SdScope		scope;

	StartTransactionCommand();
	sd_store_enter(&scope);
	if (doomed_backend(db) == pid &&
		sd_store_run(&statement, (Datum[]) {Int32GetDatum(pid), BoolGetDatum(firmly)}, NULL, SD_ANY_ROWS) > 0)
	{
		char	   *reason = psprintf("pid %d of role %s was %s and held the DDL lock for a version that is taken",
									  pid, sd_store_text(0, 2), sd_store_text(0, 3));

		sd_shared_decide(db, "handover", NULL, "ended", NULL, reason);
		ereport(LOG, (errmsg("schemadrift applier ends an open schema change: %s", reason)));
	}
	sd_store_leave(&scope);
	CommitTransactionCommand();
}

static void
begin_transaction(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* what others rely on as applied must not be lost to a crash */
	sd_vote_force_sync();
}

/* false: somebody held it all that time; then no transaction is open. */
static bool
try_ddl_lock(int64 ms)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool taken = false;

	begin_transaction();
	sd_set_lock_timeout(Max(ms, 1), GUC_ACTION_LOCAL);
	PG_TRY();
	{
		sd_ddl_lock();
		sd_set_lock_timeout(sd_lock_timeout, GUC_ACTION_LOCAL);
		taken = true;
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	return taken;
}

/*
 * Begin the transaction with the DDL lock taken.  A client's transaction that has it may finish what it does; but one
 * whose version is taken by another entry has handover_grace, from when we first see it.
 */
static void
begin_with_ddl_lock(SdDatabase *db)
{
	int64		give_up = 0;
	int64		grace_ends = 0;
	int			told = 0;		/* a backend that was told to end */

	for (;;)
	{
		int64		now = sd_monotonic_us();
		int			pid = doomed_backend(db);

		if (pid == 0)
		{
			give_up = give_up ? give_up : now + sd_lock_timeout * SD_US_PER_MS;
			if (try_ddl_lock((give_up - now) / SD_US_PER_MS))
				return;
			if (doomed_backend(db) == 0 && sd_monotonic_us() >= give_up)
				ereport(ERROR,
						(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						 errmsg("could not get the DDL lock of this region within %d ms", sd_lock_timeout),
						 errhint("SELECT * FROM schemadrift.status shows who changes the schema here.")));
			continue;
		}

		grace_ends = grace_ends ? grace_ends : now + (overstayed(db) ? Min(sd_handover_grace, ENDING_MS) : sd_handover_grace) * SD_US_PER_MS;
		if (now < grace_ends)
		{
			if (try_ddl_lock((grace_ends - now) / SD_US_PER_MS))
				return;
			continue;
		}
		end_backend(db, pid, told == pid);
		told = pid;
		if (try_ddl_lock(ENDING_MS))
			return;
	}
}

/* ---- one version ---- */

static void
show(const SdPlan *plan)
{
	char	   *what = psprintf("version " INT64_FORMAT "%s%s", plan->version,
								plan->entry->name ? " " : "", plan->entry->name ? plan->entry->name : "");

	sd_worker_set_name(psprintf("schemadrift applier: %s", what));
	pgstat_report_activity(STATE_RUNNING, psprintf("%s %s (%s by %s of %s)",
												   plan->action == SD_REPLAY_SKIP ? "skipping" : "applying", what,
												   plan->entry->kind, plan->entry->author, plan->entry->origin));
}

static void
notify(const char *event, int64 version, const char *name, int sqlstate)
{
	StringInfoData json;

	/* a listener that sleeps in a transaction can fill the queue: who is not told can ask, but a full queue must not halt us */
	if (DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0)) > 0.9)
		return;
	initStringInfo(&json);
	appendStringInfo(&json, "{\"event\":\"%s\",\"version\":" INT64_FORMAT, event, version);
	if (name)
	{
		appendStringInfoString(&json, ",\"name\":");
		escape_json(&json, name);
	}
	/* not the message: it may quote statements and rows, and everybody who can connect may LISTEN */
	if (sqlstate)
		appendStringInfo(&json, ",\"sqlstate\":\"%s\"", unpack_sql_state(sqlstate));
	appendStringInfoChar(&json, '}');
	Async_Notify("schemadrift", json.data);
}

/* Nothing of an entry's session may reach into the next one: each was written in a session of its own. */
static void
forget_session(void)
{
	PortalHashTableDeleteAll();
	DropAllPreparedStatements();
	Async_UnlistenAll();
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetSequenceCaches();
	StartTransactionCommand();
	ResetTempTableNamespace();
	CommitTransactionCommand();
}

static void
set_waiting(SdDatabase *db, int64 version)
{
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->waits_for_task = version;
	LWLockRelease(&db->lock);
}

/* A version that failed and is to be skipped in the next turn, because our log takes it back. */
typedef struct SdGivenUp
{
	int64		version;		/* 0: none */
	char		error[SD_TEXT_SIZE];
} SdGivenUp;

/* In a scope. */
static bool
plan_next(const SdApplied *applied, const SdGivenUp *given_up, MemoryContext context, SdPlan *plan)
{
	if (!sd_replay_plan(applied, context, plan))
		return false;
	if (plan->taken_back_by > 0 && plan->version == given_up->version)
	{
		MemoryContext scope = MemoryContextSwitchTo(context);

		sd_replay_give_up(plan, given_up->error);
		MemoryContextSwitchTo(scope);
	}
	return true;
}

/* What the next version needs, looked at without any lock. */
static bool
peek(SdDatabase *db, const SdGivenUp *given_up, SdPlan *plan, bool *ready)
{
	SdScope		scope;
	SdApplied	applied;
	bool		found;

	sd_store_enter(&scope);
	sd_applied_read(&applied);
	found = plan_next(&applied, given_up, scope.caller, plan);
	*ready = true;
	if (found && plan->action == SD_REPLAY_RESULT)
	{
		/* said before it is looked at: a worker that ends takes it back after what it did is to be seen */
		set_waiting(db, plan->version);
		*ready = sd_replay_ready(plan);
		if (*ready)
			set_waiting(db, 0);
	}
	sd_store_leave(&scope);
	return found;
}

/* What is being applied; in memory that outlives the transaction. */
typedef struct SdUnderWay
{
	MemoryContext context;		/* emptied before each version */
	int64		version;		/* 0: not known yet */
	char	   *name;
	bool		may_give_up;	/* it runs now, and is taken back later: an error is about itself */
} SdUnderWay;

typedef enum SdStep
{
	SD_STEP_DONE,				/* that version is applied, skipped, or was marked so by somebody else */
	SD_STEP_NOTHING,			/* there is none */
	SD_STEP_WAITS,				/* a result, and this region's task is not settled: its worker starts us again */
	SD_STEP_NOT_MINE			/* it is for a process that is connected as another role */
} SdStep;

/* One version.  *now is for whoever catches an error. */
static SdStep
apply_next(SdDatabase *db, const SdApplierFor *who, const SdGivenUp *given_up, SdUnderWay *now)
{
	TimestampTz since;
	SdScope		scope;
	SdApplied	applied;
	SdPlan		plan = {0};
	bool		found;
	bool		ready;
	int			attempts;

	begin_transaction();
	PG_TRY();
	{
		found = peek(db, given_up, &plan, &ready);
	}
	PG_CATCH();
	{
		/* not even planned: an unknown kind, for example */
		now->version = plan.version;
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (!found)
	{
		CommitTransactionCommand();
		return SD_STEP_NOTHING;
	}
	if (!ready)
	{
		CommitTransactionCommand();
		sd_shared_wake(db);
		return SD_STEP_WAITS;
	}
	/* a role may have been dropped, made again, or changed since this process was connected */
	if (plan.action == SD_REPLAY_RUN &&
		(strcmp(plan.entry->author, who->author) != 0 || sd_applier_role(MyDatabaseId, who->author) != who->role))
	{
		CommitTransactionCommand();
		return SD_STEP_NOT_MINE;
	}
	now->version = plan.version;
	now->name = MemoryContextStrdup(now->context, plan.entry->name ? plan.entry->name : plan.entry->kind);
	attempts = sd_progress_start(db, plan.version) + 1;
	show(&plan);
	CommitTransactionCommand();

	begin_with_ddl_lock(db);
	since = GetCurrentTimestamp();
	sd_store_enter(&scope);
	sd_digest_row_lock();
	sd_applied_lock(&applied);
	found = applied.version == now->version - 1 && plan_next(&applied, given_up, scope.caller, &plan);
	sd_store_leave(&scope);
	if (!found)
	{
		/* mark_applied() was quicker */
		CommitTransactionCommand();
		return SD_STEP_DONE;
	}
	now->may_give_up = plan.action != SD_REPLAY_SKIP && plan.taken_back_by > 0;
	sd_replay_execute(&plan, &applied, since, attempts);
	notify(plan.action == SD_REPLAY_SKIP ? "skipped" : "applied", now->version, now->name, 0);
	/* told to end just after the commit: whoever waits is still told of it */
	HOLD_INTERRUPTS();
	CommitTransactionCommand();
	sd_progress_applied(db, now->version);
	RESUME_INTERRUPTS();
	ereport(LOG,
			(errmsg("schemadrift %s version " INT64_FORMAT " \"%s\" in %ld ms",
					plan.action == SD_REPLAY_SKIP ? "skipped" : "applied", now->version, now->name,
					TimestampDifferenceMilliseconds(since, GetCurrentTimestamp()))));
	if (plan.action == SD_REPLAY_RUN)
		forget_session();
	return SD_STEP_DONE;
}

/* ---- failures ---- */

static void
tell_halted(const SdUnderWay *now, const ErrorData *error)
{
	StartTransactionCommand();
	notify("halted", now->version, now->name, error->sqlerrcode);
	CommitTransactionCommand();
}

static void
fail(SdDatabase *db, const SdUnderWay *now, const ErrorData *error)
{
	bool		halts = sd_progress_failed(db, now->version, error);

	ereport(halts ? WARNING : LOG,
			(errcode(error->sqlerrcode),
			 halts ? errmsg("schemadrift is halted in this database: version " INT64_FORMAT " \"%s\" cannot be applied: %s",
							now->version, now->name, error->message)
			 : errmsg("schemadrift could not apply version " INT64_FORMAT " \"%s\": %s",
					  now->version, now->name, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0,
			 error->context ? errcontext("%s", error->context) : 0));
	if (halts)
		tell_halted(now, error);
}

/* Its text may have left in this session what does not go with a transaction. */
static void
give_up_on(const SdUnderWay *now, const ErrorData *error, SdGivenUp *given_up)
{
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("schemadrift could not apply version " INT64_FORMAT " \"%s\", which is taken back: %s",
					now->version, now->name, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0));
	given_up->version = now->version;
	sd_shared_copy(given_up->error, sizeof(given_up->error), error->message);
	forget_session();
}

/* ---- the process ---- */

static void
at_exit(int code, Datum arg)
{
	(void) code;
	sd_progress_stop((SdDatabase *) DatumGetPointer(arg));
}

static int64
shared_head(SdDatabase *db)
{
	int64		head;

	LWLockAcquire(&db->lock, LW_SHARED);
	head = db->head;
	LWLockRelease(&db->lock);
	return head;
}

static bool
coordinator_runs(SdDatabase *db)
{
	bool		runs;

	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	runs = db->coordinator_pid != 0;
	LWLockRelease(&sd_shared->lock);
	return runs;
}

/*
 * Wait until the log is no more what it was before we found nothing in it to apply; false: nothing came.  A coordinator
 * that starts anew would start an applier of its own, so with the old one goes this process.
 */
static bool
linger(SdDatabase *db, int64 head)
{
	int64		until = sd_monotonic_us() + LINGER_US;

	sd_progress_stop(db);
	sd_worker_set_name("schemadrift applier");
	pgstat_report_activity(STATE_IDLE, NULL);
	for (;;)
	{
		int64		now = sd_monotonic_us();

		sd_worker_check(0);
		if (shared_head(db) != head)
			return true;
		if (now >= until || !coordinator_runs(db))
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, sd_monotonic_timeout_ms(until, now),
						 sd_wait_event(SD_WAIT_APPLIER));
		ResetLatch(MyLatch);
	}
}

void
sd_applier_main(Datum main_arg)
{
	Oid			database = DatumGetObjectId(main_arg);
	SdApplierFor who;
	SdDatabase *db;
	SdUnderWay	now = {0};
	SdGivenUp	given_up = {0};
	bool		more = true;

	memcpy(&who, MyBgworkerEntry->bgw_extra, sizeof(who));
	sd_worker_signals();
	db = sd_worker_claim(SD_WORKER_APPLIER, database);
	BackgroundWorkerInitializeConnectionByOid(database, who.role, SD_COMPAT_ANY_ROLE_FLAG);
	before_shmem_exit(at_exit, PointerGetDatum(db));
	sd_worker_pin_settings();
	if (!sd_worker_has_extension(db))
		proc_exit(0);

	now.context = AllocSetContextCreate(TopMemoryContext, "schemadrift applier", ALLOCSET_DEFAULT_SIZES);
	while (more)
	{
		int64		head = shared_head(db);
		volatile SdStep step = SD_STEP_NOT_MINE;

		MemoryContextReset(now.context);
		MemoryContextSwitchTo(now.context);
		now.version = 0;
		now.name = "";
		now.may_give_up = false;
		sd_worker_check(0);
		PG_TRY();
		{
			step = apply_next(db, &who, &given_up, &now);
		}
		PG_CATCH();
		{
			ErrorData  *error = sd_worker_recover(now.context);

			if (now.may_give_up && sd_progress_gives_up(db, error))
			{
				give_up_on(&now, error, &given_up);
				step = SD_STEP_DONE;
			}
			else
				fail(db, &now, error);
		}
		PG_END_TRY();
		more = step == SD_STEP_DONE || (step == SD_STEP_NOTHING && linger(db, head));
	}
	proc_exit(0);
}
