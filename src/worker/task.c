/*
 * task.c: the process that does this region's share of an online entry.
 *
 * A dynamic background worker for one task; it ends when that is done, failed, told to be cleaned up, or has to wait.  It is
 * connected as the entry's author where that role can connect, else as the bootstrap superuser with the role set.  Only
 * statements that commit by themselves run under the set role: their index expressions run as the table's owner, restricted,
 * so no text of the author's runs where RESET ROLE would reach the superuser.  Other statements run like the applier's.
 *
 * Every step can be begun again: what a crash left invalid is dropped and built anew, what is there is not done twice.
 *
 * Locking: none of ours during a build.  A statement of plain DDL takes the DDL lock for its own transaction.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"

#include "ddl/lock.h"
#include "ddl/online.h"
#include "ddl/fill.h"
#include "ddl/options.h"
#include "ddl/roles.h"
#include "ddl/script.h"
#include "progress.h"
#include "settings.h"
#include "store/task.h"
#include "store/vote.h"
#include "waitpoint.h"
#include "worker/applier.h"
#include "worker/task.h"
#include "worker/worker.h"

/* travels in bgw_extra */
typedef struct SdTaskFor
{
	int64		version;
	Oid			role;
} SdTaskFor;

/* The task under way; in memory that outlives transactions. */
typedef struct Work
{
	SdDatabase *db;
	MemoryContext context;
	SdTask		task;			/* as it was when this process began */
	char	   *up;
	char	   *down;			/* NULL: none */
	SdRunAs    *run_as;
	Jsonb	   *options;
	TimestampTz frozen_at;		/* ddl/fill.h */
	List	   *steps;
} Work;

BackgroundWorkerHandle *
sd_task_start(Oid database, int64 version, const char *author)
{
	SdTaskFor	who = {.version = version, .role = sd_applier_role(database, author)};

	return sd_worker_start_with(SD_WORKER_TASK, database, get_database_name(database), &who, sizeof(who));
}

/* ---- our own tables ---- */

static void
begin(SdScope *scope)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* what others are told of must not be lost to a crash */
	sd_vote_force_sync();
	sd_store_enter(scope);
}

static void
end(Work *work, SdScope *scope)
{
	sd_store_leave(scope);
	CommitTransactionCommand();
	MemoryContextSwitchTo(work->context);
	sd_shared_wake(work->db);
}

static void
set_step(Work *work, int step, bool begun)
{
	SdScope		scope;

	begin(&scope);
	sd_task_set_step(work->task.version, step, begun);
	end(work, &scope);
	work->task.step = step;
	work->task.begun = begun;
}

static void
set_state(Work *work, SdTaskState state)
{
	SdScope		scope;

	begin(&scope);
	sd_task_set_state(work->task.version, state);
	end(work, &scope);
}

/* Has the result come meanwhile, so that what we do is not wanted any more? */
static bool
still(Work *work, SdTaskState state)
{
	SdScope		scope;
	SdTask		now;
	bool		same;

	begin(&scope);
	same = sd_task_read(work->task.version, &now) && now.state == state;
	end(work, &scope);
	return same;
}

/* false: nothing to be done */
static bool
load(Work *work, int64 version)
{
	SdScope		scope;
	SdEntry    *entry;
	Jsonb	   *payload;
	bool		found;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(work->context);
	sd_store_enter(&scope);
	found = sd_task_read(version, &work->task) &&
		(work->task.state == SD_TASK_OPEN || work->task.state == SD_TASK_UNDO);
	entry = found ? sd_log_entry(version) : NULL;
	if (found && entry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the text of version " INT64_FORMAT " is not kept in this region any more", version)));
	if (found)
	{
		Jsonb	   *run_as;

		MemoryContextSwitchTo(work->context);
		payload = sd_entry_payload(entry);
		work->up = sd_json_text(payload, "up");
		work->down = sd_json_text(payload, "down");
		work->options = sd_json_object(payload, "options");
		work->frozen_at = sd_entry_frozen_at(payload);
		work->steps = sd_online_steps_read(sd_json_object(payload, "steps"));
		run_as = sd_json_object(payload, "run_as");
		if (work->up == NULL || run_as == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("the online entry says nothing that could be run")));
		work->run_as = sd_run_as_from_json(sd_json_serialized(run_as));
	}
	sd_store_leave(&scope);
	CommitTransactionCommand();
	MemoryContextSwitchTo(work->context);
	return found;
}

/* For the whole process: statements that commit in the middle would lose what is set for a transaction. */
static void
become_author(Work *work)
{
	const SdRunAs *run_as = work->run_as;

	StartTransactionCommand();
	sd_capture_set_settings(run_as, GUC_ACTION_SET);
	if (GetUserId() != get_role_oid(run_as->user, false))
		SetConfigOption("role", run_as->user, PGC_USERSET, PGC_S_SESSION);
	CommitTransactionCommand();
	MemoryContextSwitchTo(work->context);
}

/* ---- one step ---- */

typedef enum IndexState
{
	INDEX_NONE,
	INDEX_INVALID,
	INDEX_VALID,
	INDEX_OTHER					/* the name is something else's */
} IndexState;

static IndexState
index_state(Work *work, const SdOnlineStep *step)
{
	IndexState	state = INDEX_NONE;
	Oid			namespace;
	Oid			index;

	StartTransactionCommand();
	namespace = get_namespace_oid(step->schema, true);
	index = OidIsValid(namespace) ? get_relname_relid(step->name, namespace) : InvalidOid;
	if (OidIsValid(index))
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));

		state = INDEX_OTHER;
		if (HeapTupleIsValid(tuple))
		{
			Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
			char	   *table = get_rel_name(form->indrelid);

			if (table && strcmp(table, step->table) == 0)
				state = form->indisvalid && form->indisready ? INDEX_VALID : INDEX_INVALID;
			ReleaseSysCache(tuple);
		}
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(work->context);
	return state;
}

static char *
index_name(const SdOnlineStep *step)
{
	return quote_qualified_identifier(step->schema, step->name);
}

/*
 * Waits of a build block nobody, and giving up would mean to begin again: no lock_timeout.  That an index of this name
 * is ours and not somebody else's, "begun" says, which is on disk before the build begins.
 */
static void
create_index(Work *work, int i, const SdOnlineStep *step, const char *text)
{
	IndexState	state = index_state(work, step);

	sd_set_lock_timeout(0, GUC_ACTION_SET);
	if (work->task.begun && state == INDEX_VALID)
		return;
	if (work->task.begun && state == INDEX_INVALID)
		sd_script_run_alone(psprintf("DROP INDEX CONCURRENTLY %s", index_name(step)), NULL);
	else if (state != INDEX_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", step->name),
				 errdetail("It was made outside of the log.")));
	set_step(work, i, true);
	sd_waitpoint("task-begun");
	sd_script_run_alone(text, step->name);
}

static void
drop_index(Work *work, const SdOnlineStep *step)
{
	if (step->name == NULL)
		return;
	sd_set_lock_timeout(0, GUC_ACTION_SET);
	if (index_state(work, step) != INDEX_NONE)
		sd_script_run_alone(psprintf("DROP INDEX CONCURRENTLY %s", index_name(step)), NULL);
}

/*
 * Its last part locks the partition against readers: not for longer than lock_timeout; what is left then is finished by
 * FINALIZE at the next attempt.
 */
static void
detach(Work *work, const SdOnlineStep *step)
{
	Oid			namespace;
	Oid			partition;
	bool		attached = false;
	bool		pending = false;

	if (step->name == NULL)
		return;
	StartTransactionCommand();
	namespace = get_namespace_oid(step->name_schema, true);
	partition = OidIsValid(namespace) ? get_relname_relid(step->name, namespace) : InvalidOid;
	if (OidIsValid(partition) && get_rel_relispartition(partition))
	{
		Oid			parent = get_partition_parent(partition, true);

		attached = strcmp(get_rel_name(parent), step->table) == 0;
		pending = attached && PartitionHasPendingDetach(partition);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(work->context);
	if (!attached)
		return;
	sd_set_lock_timeout(sd_lock_timeout, GUC_ACTION_SET);
	sd_script_run_alone(psprintf("ALTER TABLE %s DETACH PARTITION %s %s",
								 quote_qualified_identifier(step->schema, step->table),
								 quote_qualified_identifier(step->name_schema, step->name),
								 pending ? "FINALIZE" : "CONCURRENTLY"), NULL);
}

typedef struct Plain
{
	const Work *work;
	const char *text;
} Plain;

static void
execute_plain(void *arg)
{
	const Plain *plain = arg;

	sd_script_execute_as(plain->text, plain->work->run_as, SD_EXECUTING_ENTRY);
}

/* Statement and step are one transaction: it is done exactly once. */
static void
run_plain(Work *work, const SdOnlineStep *step, const char *text, int up_to, int undo_up_to)
{
	SdScope		scope;
	SdTimeLimit limit;

	sd_set_lock_timeout(sd_lock_timeout, GUC_ACTION_SET);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	sd_vote_force_sync();
	if (step->is_ddl)
		sd_ddl_lock();
	limit = sd_time_limit_start(sd_options_timeout_ms(work->options));
	sd_roles_begin_entry(NULL);
	sd_fill_work_frozen(work->frozen_at, execute_plain, &(Plain) {work, text});
	sd_roles_end_entry();
	sd_time_limit_end(&limit);
	sd_script_settle_as(work->run_as);
	sd_store_enter(&scope);
	if (up_to >= 0)
		sd_task_set_step(work->task.version, up_to, false);
	else
		sd_task_set_undo_step(work->task.version, undo_up_to);
	end(work, &scope);
}

static void
show(Work *work, const char *what, int n)
{
	char	   *text = psprintf("schemadrift task: version " INT64_FORMAT " %s", work->task.version, work->task.name);

	sd_worker_set_name(text);
	pgstat_report_activity(STATE_RUNNING, psprintf("%s: %s of statement %d", text, what, n));
}

/* What its statements need is looked up in the catalogs. */
static SdScript *
parse(Work *work, const char *text)
{
	SdScript   *script;

	StartTransactionCommand();
	MemoryContextSwitchTo(work->context);
	script = sd_script_parse_online(text);
	CommitTransactionCommand();
	MemoryContextSwitchTo(work->context);
	return script;
}

/*
 * Only what commits by itself may run alone: there the role is set, and any other text could set it back.  What a step is,
 * the entry says; what the text is, PostgreSQL.
 */
static void
require_kind(Work *work, const SdOnlineStep *step, const char *text)
{
	SdOnlineKind kind;

	StartTransactionCommand();
	kind = sd_online_kind(linitial_node(RawStmt, sd_parse_quietly(text))->stmt);
	CommitTransactionCommand();
	MemoryContextSwitchTo(work->context);
	if (kind != step->kind)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the online entry says of a statement what it is not"),
				 errdetail("Statement: %s", text)));
}

static void
do_steps(Work *work)
{
	SdScript   *script = parse(work, work->up);
	int			n = list_length(work->steps);

	if (sd_script_statements(script) != n)
		elog(ERROR, "version " INT64_FORMAT " has %d statements, and %d were recorded",
			 work->task.version, sd_script_statements(script), n);
	for (int i = work->task.step; i < n; i++)
	{
		SdOnlineStep *step = list_nth(work->steps, i);
		char	   *text = sd_script_statement(script, i);

		require_kind(work, step, text);
		sd_worker_check(0);
		if (!still(work, SD_TASK_OPEN))
			return;
		show(work, "work", i + 1);
		switch (step->kind)
		{
			case SD_ONLINE_CREATE_INDEX:
				create_index(work, i, step, text);
				break;
			case SD_ONLINE_DROP_INDEX:
				drop_index(work, step);
				break;
			case SD_ONLINE_DETACH:
				detach(work, step);
				break;
			case SD_ONLINE_PLAIN:
				run_plain(work, step, text, i + 1, 0);
				work->task.step = i + 1;
				work->task.begun = false;
				continue;
		}
		set_step(work, i + 1, false);
	}
	if (still(work, SD_TASK_OPEN))
		set_state(work, SD_TASK_DONE);
}

/* ---- the way back ---- */

/* What the way back wants to remove may never have been made. */
static bool
is_missing(int sqlstate)
{
	return sqlstate == ERRCODE_UNDEFINED_OBJECT || sqlstate == ERRCODE_UNDEFINED_TABLE ||
		sqlstate == ERRCODE_UNDEFINED_COLUMN;
}

static void
undo_statement(Work *work, const char *text, int i)
{
	SdOnlineStep step = {0};
	MemoryContext context = CurrentMemoryContext;

	StartTransactionCommand();
	{
		Node	   *stmt = linitial_node(RawStmt, sd_parse_quietly(text))->stmt;

		step.kind = sd_online_kind(stmt);
		step.is_ddl = step.kind == SD_ONLINE_PLAIN && GetCommandLogLevel(stmt) == LOGSTMT_DDL;
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		if (step.kind == SD_ONLINE_PLAIN)
			run_plain(work, &step, text, -1, i + 1);
		else
		{
			sd_set_lock_timeout(step.kind == SD_ONLINE_DETACH ? sd_lock_timeout : 0, GUC_ACTION_SET);
			sd_script_run_alone(text, NULL);
		}
	}
	PG_CATCH();
	{
		if (!is_missing(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		(void) sd_worker_recover(context);
		sd_roles_end_entry();
	}
	PG_END_TRY();
}

static void
run_down(Work *work)
{
	SdScript   *script = parse(work, work->down);

	for (int i = work->task.undo_step; i < sd_script_statements(script); i++)
	{
		SdScope		scope;

		sd_worker_check(0);
		show(work, "way back", i + 1);
		undo_statement(work, sd_script_statement(script, i), i);
		begin(&scope);
		sd_task_set_undo_step(work->task.version, i + 1);
		end(work, &scope);
	}
}

static void
undo_steps(Work *work)
{
	int			last = work->task.step - (work->task.begun ? 0 : 1);

	if (last >= 0 && work->down)
		run_down(work);
	else
		for (int i = Min(last, list_length(work->steps) - 1); i >= 0; i--)
		{
			SdOnlineStep *step = list_nth(work->steps, i);

			sd_worker_check(0);
			show(work, "way back", i + 1);
			sd_set_lock_timeout(0, GUC_ACTION_SET);
			if (sd_online_inverse(step) && (index_state(work, step) == INDEX_VALID || index_state(work, step) == INDEX_INVALID))
				sd_script_run_alone(sd_online_inverse(step), NULL);
		}
	set_state(work, SD_TASK_UNDONE);
}

/* ---- failures ---- */

/*
 * For good, if trying again cannot help and what was begun can be taken back: then everybody takes it back.  Otherwise it
 * is tried again and again, and shown: somebody has to mend what is in the way.
 */
static bool
fails_for_good(Work *work, const ErrorData *error)
{
	char	   *outcome;

	if (sd_error_passes(error->sqlerrcode) || work->steps == NIL ||
		(work->down == NULL && !sd_online_reverts_itself(work->steps)))
		return false;
	/* all others could: so will we */
	return sd_task_result(work->task.version, &outcome) == 0;
}

static void
record_failure(Work *work, int64 version, const ErrorData *error)
{
	SdScope		scope;
	SdTask		now;
	bool		good;
	int64		pause;
	char	   *text = psprintf("%s: %s%s%s%s", unpack_sql_state(error->sqlerrcode), error->message,
								error->detail ? " (" : "", error->detail ? error->detail : "", error->detail ? ")" : "");

	begin(&scope);
	/* stopped because the result has come: no failure */
	if (sd_task_read(version, &now) && (now.state == work->task.state || work->task.version == 0))
	{
		good = now.state == SD_TASK_OPEN && fails_for_good(work, error);
		pause = Min((int64) 1000 << Min(now.attempts, 20), sd_retry_max_interval);
		sd_task_set_trouble(version, good ? SD_TASK_FAILED : now.state, pause, text);
		ereport(good ? WARNING : LOG,
				(errcode(error->sqlerrcode),
				 good ? errmsg("schemadrift cannot do version " INT64_FORMAT " in this region: %s", version, error->message)
				 : errmsg("schemadrift could not do version " INT64_FORMAT " yet: %s", version, error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 error->context ? errcontext("%s", error->context) : 0));
	}
	end(work, &scope);
}

/* ---- the process ---- */

static void
at_exit(int code, Datum arg)
{
	SdDatabase *db = (SdDatabase *) DatumGetPointer(arg);

	(void) code;
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->task_version = 0;
	db->task_runner = 0;
	/* the applier may go on, or has to look why not */
	db->waits_for_task = 0;
	LWLockRelease(&db->lock);
	ConditionVariableBroadcast(&db->changed);
	sd_shared_wake(db);
}

void
sd_task_main(Datum main_arg)
{
	Oid			database = DatumGetObjectId(main_arg);
	SdTaskFor	who;
	Work		work = {0};

	memcpy(&who, MyBgworkerEntry->bgw_extra, sizeof(who));
	sd_worker_signals();
	work.db = sd_worker_claim(SD_WORKER_TASK, database);
	BackgroundWorkerInitializeConnectionByOid(database, who.role, SD_COMPAT_ANY_ROLE_FLAG);
	before_shmem_exit(at_exit, PointerGetDatum(work.db));
	sd_worker_pin_settings();
	if (!sd_worker_has_extension(work.db))
		proc_exit(0);
	LWLockAcquire(&work.db->lock, LW_EXCLUSIVE);
	work.db->task_version = who.version;
	work.db->task_runner = MyProcPid;
	LWLockRelease(&work.db->lock);

	work.context = AllocSetContextCreate(TopMemoryContext, "schemadrift task", ALLOCSET_DEFAULT_SIZES);
	PG_TRY();
	{
		if (load(&work, who.version))
		{
			become_author(&work);
			if (work.task.state == SD_TASK_OPEN)
				do_steps(&work);
			else
				undo_steps(&work);
		}
	}
	PG_CATCH();
	{
		ErrorData  *error = sd_worker_recover(work.context);

		record_failure(&work, who.version, error);
	}
	PG_END_TRY();
	proc_exit(0);
}
