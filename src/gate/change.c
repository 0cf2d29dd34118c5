/*
 * change.c: the schema change of the current transaction; see change.h.
 *
 * Backend only.  The coordinator does what crosses the network; a request and its result go through
 * SdDatabase.proposal, which belongs to the holder of the DDL lock.
 *
 * Locking: the DDL lock first (a heavyweight lock on our extension, under the top transaction's resource owner,
 * so that ROLLBACK TO does not drop it), users' objects after the grant, row locks on our tables last.
 */
#include "compat.h"

#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "clock.h"
#include "ddl/capture.h"
#include "ddl/lock.h"
#include "errors.h"
#include "gate/catalog.h"
#include "gate/change.h"
#include "gate/history.h"
#include "gate/internal.h"
#include "gate/running.h"
#include "settings.h"
#include "store/drift.h"
#include "store/protocol.h"
#include "store/vote.h"
#include "waitpoint.h"

SdChange	sd_change;

/* At most, for a look at what may have gone past the hooks. */
#define VERIFY_WAIT_US	(5 * SD_US_PER_S)

/* ---- refusals ---- */

static void
refuse_isolation(void)
{
	/* a serializable transaction can fail after every pre-commit callback has passed */
	if (XactIsoLevel > XACT_READ_COMMITTED)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("schema changes need READ COMMITTED"),
				 errdetail("At a higher isolation level a transaction can fail after the other regions have agreed."),
				 errhint("BEGIN ISOLATION LEVEL READ COMMITTED.")));
}

/*
 * Under a statement that is captured: an extension's script, an event trigger, a function that the statement calls.  The entry would be what is made
 * here, and the statement in none.
 */
static void
refuse_inside(void)
{
	const SdRunning *statement = sd_running_statement();

	if (statement && statement->owns_inner)
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("another change of the group cannot be made inside %s", GetCommandTagName(statement->tag)),
				 errdetail("One transaction makes one entry of the log, and what runs inside a statement of DDL is part of that statement's: every region runs it."),
				 errhint("Call functions of schemadrift by themselves, not in the script of an extension, an event trigger or a function that DDL calls.")));
}

static void
refuse_doomed(void)
{
	bool		doomed;

	LWLockAcquire(&sd_change.db->lock, LW_SHARED);
	doomed = sd_change.db->doomed && sd_change.db->ddl_pid == MyProcPid;
	LWLockRelease(&sd_change.db->lock);
	if (doomed)
	{
		SdProposal	nothing = {0};

		sd_ask_raise(SD_RESULT_LOST, &nothing);
	}
}

/* ---- step 1 ---- */

static char *
join_needs(List *needs, Size *size)
{
	StringInfoData lines;
	ListCell   *lc;

	initStringInfo(&lines);
	foreach(lc, needs)
		appendStringInfo(&lines, "%s\n", (char *) lfirst(lc));
	*size = needs == NIL ? 0 : lines.len + 1;
	return lines.data;
}

/*
 * The grant was given to a statement that was rolled back to a savepoint.  It says nothing of regions that this change
 * wants to agree, or to have followed.
 */
static void
refuse_late_demands(List *needs)
{
	ListCell   *lc;

	foreach(lc, needs)
		if (strncmp(lfirst(lc), "voter:", 6) == 0 || strncmp(lfirst(lc), "barrier:", 8) == 0)
			ereport(ERROR,
					(errcode(SD_ERRCODE_CANNOT_COORDINATE),
					 errmsg("options \"require\" and \"barrier\" come too late in this transaction"),
					 errdetail("It has begun to change the schema already; that was rolled back to a savepoint."),
					 errhint("ROLLBACK first.")));
}

/* Wait, without the DDL lock, until the applier has brought this region to the version. */
static void
wait_applied(int64 version, int64 deadline)
{
	SdDatabase *db = sd_change.db;
	int64		applied;
	int64		halted_at;
	char		error[SD_TEXT_SIZE];

	ConditionVariablePrepareToSleep(&db->changed);
	for (;;)
	{
		LWLockAcquire(&db->lock, LW_SHARED);
		applied = db->applied;
		halted_at = db->halted_at;
		strlcpy(error, db->halt_error, sizeof(error));
		LWLockRelease(&db->lock);
		if (applied >= version)
			break;
		if (!sd_ask_wait(db, deadline))
			ereport(ERROR,
					(errcode(sd_ask_refused(SD_ERRCODE_BEHIND)),
					 halted_at > 0 ? errmsg("this region is halted at version " INT64_FORMAT, halted_at)
					 : errmsg("this region has applied version " INT64_FORMAT " of " INT64_FORMAT, applied, version),
					 error[0] ? errdetail("Nothing happened. The last attempt failed: %s", error)
					 : errdetail("Nothing happened. It did not catch up within schemadrift.quorum_timeout."),
					 halted_at > 0 ? errhint("SELECT * FROM schemadrift.status; mend the cause, then SELECT schemadrift.retry().")
					 : errhint("SELECT * FROM schemadrift.status; then run the transaction again.")));
	}
	ConditionVariableCancelSleep();
}

/*
 * Something may have gone past every hook a moment ago, and the verify worker is about to look at it: a change of the same object would
 * be believed to have made that, too, and halt the others.  Without the DDL lock, which it may need.  For what was called for until
 * now, however much more comes meanwhile; and not for long: what it cannot look at in that time is found later.
 */
static void
wait_verified(SdDatabase *db)
{
	int64		deadline = sd_monotonic_us() + VERIFY_WAIT_US;
	uint64		called;
	bool		pending;

	LWLockAcquire(&db->lock, LW_SHARED);
	called = db->verify_called;
	pending = db->verify_ended < called;
	LWLockRelease(&db->lock);
	if (!pending)
		return;
	InvalidateCatalogSnapshot();	/* builds of indexes would wait for it */
	ConditionVariablePrepareToSleep(&db->changed);
	do
	{
		LWLockAcquire(&db->lock, LW_SHARED);
		pending = db->verify_ended < called && db->verify_failed_at == 0;
		LWLockRelease(&db->lock);
	} while (pending && sd_ask_coordinator_runs(db) && sd_ask_wait(db, deadline));
	ConditionVariableCancelSleep();
}

/* Of an entry that is described already: would regions write rows that come with it? */
static bool
takes_rows(void)
{
	return strcmp(sd_change.kind, SD_KIND_MIGRATION) == 0 || strcmp(sd_change.kind, SD_KIND_REVERT) == 0;
}

static void
begin(List *needs, bool supersedes, bool rows)
{
	SdDatabase *db = sd_shared_mine();
	int64		deadline;
	Size		size;
	char	   *lines = join_needs(needs, &size);
	SdProposal	answer = {0};
	SdResult	result;

	refuse_inside();
	if (sd_change.stage >= SD_STAGE_GRANTED)
	{
		refuse_doomed();
		/* what it is has been said, and this would not be part of it: happen here, and nowhere else */
		if (sd_change.kind != NULL && !(rows && takes_rows()))
			ereport(ERROR,
					(errcode(SD_ERRCODE_CANNOT_COORDINATE),
					 errmsg("cannot change the schema again in this transaction"),
					 errdetail("It has made an entry of the log already (%s), and one transaction makes one.", sd_change.subject),
					 errhint("COMMIT first.")));
		/* a grant for a supersede does not require that this region has applied the log, anything else does */
		if (sd_change.supersedes && !supersedes)
			ereport(ERROR,
					(errcode(SD_ERRCODE_BEHIND),
					 errmsg("cannot change the schema in a transaction that began with schemadrift.revert()"),
					 errdetail("This region has not applied its log, and the revert was rolled back to a savepoint."),
					 errhint("ROLLBACK first.")));
		refuse_late_demands(needs);
		if (needs != NIL)
		{
			result = sd_ask(SD_REQUEST_NEEDS, lines, size, sd_ask_deadline(), &answer);
			if (result != SD_RESULT_NAMES_THERE)
				sd_ask_raise(result, &answer);
		}
		return;
	}

	refuse_isolation();
	if (db == NULL || !sd_ask_coordinator_runs(db))
		sd_ask_raise(SD_RESULT_NO_COORDINATOR, &answer);

	/* these touch no object: what is done in need shall not wait */
	if (!sd_change.config && !supersedes)
		wait_verified(db);
	sd_change.db = db;
	sd_change.supersedes = supersedes;
	sd_uuid_make(&sd_change.entry_id);
	deadline = sd_ask_deadline();
	for (;;)
	{
		sd_ddl_lock();
		PG_TRY();
		{
			result = sd_ask(SD_REQUEST_GRANT, lines, size, deadline, &answer);
			if (result != SD_RESULT_GRANTED)
			{
				sd_ask_tell_end(SD_REQUEST_ABORTED);
				sd_change.stage = SD_STAGE_NONE;
				sd_ddl_unlock();
			}
		}
		PG_CATCH();
		{
			/* cancelled: the error may be caught by a function's handler, so the transaction may live on */
			sd_ask_tell_end(SD_REQUEST_ABORTED);
			sd_change.stage = SD_STAGE_NONE;
			sd_ddl_unlock();
			PG_RE_THROW();
		}
		PG_END_TRY();

		if (result == SD_RESULT_GRANTED)
			break;
		if (result != SD_RESULT_AGAIN)
			sd_ask_raise(result, &answer);
		wait_applied(answer.version, deadline);
	}
	sd_change.stage = SD_STAGE_GRANTED;
	sd_doomed_watch();
	sd_change.version = answer.version;
	sd_change.ballot = answer.ballot;
	sd_change.chain = answer.chain;
	sd_waitpoint("change-granted");
}

void
sd_change_begin(List *needs)
{
	begin(needs, false, false);
}

void
sd_change_begin_rows(List *needs)
{
	begin(needs, false, true);
}

void
sd_change_begin_supersede(List *needs)
{
	begin(needs, true, false);
}

void
sd_change_set_barrier(int64 version)
{
	Assert(sd_change_active());
	sd_change.barrier = version;
}

void
sd_change_freeze(void)
{
	SdScope		scope;

	Assert(sd_change_active());
	if (sd_change.frozen)
		return;
	sd_store_enter(&scope);
	sd_protocol_require(SD_PROTOCOL_FREEZES, "a time that is frozen");
	sd_store_leave(&scope);
	sd_change.frozen = true;
}

void
sd_change_note_role(const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	Assert(sd_change_active());
	sd_change.roles = lappend(sd_change.roles, pstrdup(name));
	MemoryContextSwitchTo(old);
}

void
sd_change_note_database(void)
{
	Assert(sd_change_active());
	sd_change.names_database = true;
}

void
sd_change_begin_config(void)
{
	sd_change.config = true;
	begin(NIL, false, false);
}

bool
sd_change_active(void)
{
	return sd_change.stage >= SD_STAGE_GRANTED;
}

int64
sd_change_version(void)
{
	Assert(sd_change_active());
	return sd_change.version;
}

const pg_uuid_t *
sd_change_entry_id(void)
{
	Assert(sd_change_active());
	return &sd_change.entry_id;
}

void
sd_change_set_subject(const char *name)
{
	sd_shared_copy(sd_change.subject, sizeof(sd_change.subject), name);
}

/* Before anything of it is proposed: do all members understand such an entry?  The protocol that it needs. */
static int32
require_protocol(const char *kind, const char *payload)
{
	const char *what;
	Jsonb	   *json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("{%s}", payload))));
	int32		protocol = sd_protocol_needed(kind, json, &what);
	SdScope		scope;

	sd_store_enter(&scope);
	sd_protocol_require(protocol, what);
	sd_store_leave(&scope);
	return protocol;
}

void
sd_change_describe(const char *kind, const char *name, int64 target, const char *payload, bool applies)
{
	int32		protocol = require_protocol(kind, payload);
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	Assert(sd_change_active());
	sd_change.protocol = protocol;
	sd_change.kind = pstrdup(kind);
	sd_change.name = name ? pstrdup(name) : NULL;
	sd_change.target = target;
	sd_change.payload = pstrdup(payload);
	sd_change.applies = applies;
	sd_change.level = GetCurrentTransactionNestLevel();
	sd_change_set_subject(name);
	MemoryContextSwitchTo(old);
}

const char *
sd_change_payload(const char *kind)
{
	return sd_change.kind && strcmp(sd_change.kind, kind) == 0 ? sd_change.payload : NULL;
}

void
sd_change_extend(const char *payload)
{
	char	   *old = sd_change.payload;

	Assert(sd_change.kind != NULL);
	sd_change.payload = MemoryContextStrdup(TopTransactionContext, payload);
	pfree(old);
}

void
sd_change_accept(List *rows)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	ListCell   *lc;

	Assert(sd_change.kind != NULL);
	foreach(lc, rows)
	{
		SdDriftRow *row = palloc(sizeof(SdDriftRow));

		*row = *(SdDriftRow *) lfirst(lc);
		row->kind = pstrdup(row->kind);
		row->identity = pstrdup(row->identity);
		sd_change.accepted = lappend(sd_change.accepted, row);
	}
	MemoryContextSwitchTo(old);
}

int32
sd_change_protocol(void)
{
	Assert(sd_change.kind != NULL);
	return sd_change.protocol;
}

/* ---- transaction callbacks ---- */

static void
forget(void)
{
	memset(&sd_change, 0, sizeof(sd_change));
}

/* Written before it was said what the entry is: one that regions do not run, or not all of them. */
static void
refuse_rows(List *rows)
{
	if (rows == NIL || sd_change.kind == NULL || takes_rows())
		return;
	ereport(ERROR,
			(errcode(SD_ERRCODE_CANNOT_COORDINATE),
			 errmsg("rows of a migration tool's history cannot be part of this transaction"),
			 errdetail("It makes an entry of kind \"%s\", with which rows do not go to other regions.", sd_change.kind),
			 errhint("Nothing happened. COMMIT between the two.")));
}

/* Is it an entry whose statements, or rows, all regions run? */
static bool
is_run_elsewhere(void)
{
	return sd_change.kind == NULL || takes_rows() || strcmp(sd_change.kind, SD_KIND_ONLINE) == 0;
}

static void
pre_commit(void)
{
	List	   *commands;
	List	   *observed;
	List	   *bypassed;
	List	   *rows;

	commands = sd_capture_commands(SD_DISPOSE_COORDINATE);
	observed = sd_capture_commands(SD_DISPOSE_OBSERVE);
	bypassed = sd_capture_commands(SD_DISPOSE_BYPASS);
	if (observed == NIL && bypassed == NIL && sd_change.stage == SD_STAGE_NONE && !sd_history_noted)
		return;

	PushActiveSnapshot(GetTransactionSnapshot());
	rows = sd_history_rows();
	if (bypassed != NIL || observed != NIL)
		sd_commit_outside(bypassed, observed);
	if (sd_change.stage == SD_STAGE_GRANTED && (commands != NIL || sd_change.kind != NULL || rows != NIL))
	{
		refuse_rows(rows);
		if (is_run_elsewhere())
			sd_catalog_refuse(sd_change.subject);
		sd_history_tell_others();
		sd_commit_entry(commands, rows);
	}
	PopActiveSnapshot();
}

static pg_noinline void
end_of_change(XactEvent event)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pre_commit();
			break;
		case XACT_EVENT_COMMIT:
			if (sd_change.stage == SD_STAGE_VOTED)
			{
				sd_waitpoint("after-commit");
				if (sd_change.kind && strcmp(sd_change.kind, SD_KIND_POLICY) == 0)
					pg_atomic_write_u64(&sd_change.db->history_policy, (uint64) sd_change.version);
				sd_ask_tell_end(SD_REQUEST_COMMITTED);
				sd_commit_done();
			}
			else
				sd_ask_tell_end(SD_REQUEST_ABORTED);
			forget();
			break;
		case XACT_EVENT_ABORT:
			sd_ask_tell_end(SD_REQUEST_ABORTED);
			forget();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (sd_change.stage != SD_STAGE_NONE)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot prepare a transaction that changes the schema"),
						 errdetail("The other regions agree at commit, and a prepared transaction commits without asking."),
						 errhint("Use COMMIT.")));
			break;
		default:
			break;
	}
}

/* Every transaction of every session comes here, twice at least: so little is done before it is let go. */
static void
at_transaction_event(XactEvent event, void *arg)
{
	(void) arg;
	if (unlikely(sd_change.db != NULL || sd_change.subject[0] != '\0' || sd_change.barrier != 0 || !sd_capture_is_empty() ||
				 sd_history_noted))
		end_of_change(event);
}

/* What was described in a subtransaction that is rolled back has not happened and must not be proposed. */
static void
at_subtransaction_event(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	(void) mine;
	(void) parent;
	(void) arg;
	if (sd_change.kind == NULL || sd_change.level < level)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		sd_change.level = level - 1;
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		sd_change.kind = NULL;
		sd_change.name = NULL;
		sd_change.payload = NULL;
		sd_change.target = 0;
		sd_change.accepted = NIL;
	}
}

void
sd_change_init(void)
{
	RegisterSubXactCallback(at_subtransaction_event, NULL);
	RegisterXactCallback(at_transaction_event, NULL);
}
