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

#include "access/xact.h"
#include "common/string.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "causality/hlc.h"
#include "clock.h"
#include "ddl/capture.h"
#include "ddl/digest.h"
#include "ddl/lock.h"
#include "errors.h"
#include "gate/change.h"
#include "settings.h"
#include "shared.h"
#include "store/telemetry.h"
#include "store/vote.h"
#include "waitpoint.h"
#include "waits.h"

typedef enum Stage
{
	STAGE_NONE,
	STAGE_ASKED,				/* the coordinator works for us */
	STAGE_GRANTED,				/* statements run */
	STAGE_SENT,					/* accepts may have been sent: from here on a failure is unknown */
	STAGE_VOTED					/* own vote written, interrupts held; the commit record decides */
} Stage;

static struct
{
	Stage		stage;
	SdDatabase *db;
	int64		version;
	SdBallot	ballot;
	SdChain		chain;
	pg_uuid_t	entry_id;
	bool		supersedes;

	/* what the entry will be; in TopTransactionContext */
	char		subject[SD_TEXT_SIZE];
	char	   *kind;			/* NULL: the captured commands of plain DDL */
	char	   *name;
	int64		target;
	char	   *payload;
	bool		applies;
	int			level;			/* of the subtransaction that described it */
}			change;

/* ---- talking to the coordinator ---- */

/* Wait for something in shared memory; returns false when the deadline has passed. */
static bool
wait_changed(SdDatabase *db, int64 deadline)
{
	int64		left = deadline - sd_monotonic_us();

	if (left <= 0)
		return false;
	ConditionVariableTimedSleep(&db->changed, Max(left / 1000, 1), sd_wait_event(SD_WAIT_QUORUM));
	return true;
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

static void
put_request(SdRequest request, dsm_handle data, Size data_size, int64 deadline)
{
	SdProposal *p = &change.db->proposal;

	LWLockAcquire(&change.db->lock, LW_EXCLUSIVE);
	p->request = request;
	p->pid = MyProcPid;
	p->entry_id = change.entry_id;
	strlcpy(p->subject, change.subject, sizeof(p->subject));
	p->supersedes = change.supersedes;
	p->deadline_us = deadline;
	p->data = data;
	p->data_size = data_size;
	p->result = SD_RESULT_NONE;
	p->message[0] = p->detail[0] = p->hint[0] = '\0';
	LWLockRelease(&change.db->lock);
	sd_shared_wake(change.db);
}

/*
 * Tell the coordinator how it ended.  Nothing here can fail: it runs in the commit callback.  The request
 * is picked up even if nobody waits; the next change waits for the slot to be free.
 */
static void
tell_end(SdRequest request)
{
	if (change.db != NULL && change.stage >= STAGE_ASKED)
		put_request(request, DSM_HANDLE_INVALID, 0, 0);
}

/*
 * Put a request and wait for its result, at most until the deadline (and a little: the coordinator judges
 * the deadline, this is the net under it).  Interruptible.
 */
static SdResult
ask(SdRequest request, const void *data, Size size, int64 deadline, SdProposal *answer)
{
	SdDatabase *db = change.db;
	dsm_segment *segment = NULL;
	int64		net = deadline + 1000000;
	SdResult	result = SD_RESULT_NONE;

	/* the end of the transaction before ours may still lie there */
	ConditionVariablePrepareToSleep(&db->changed);
	for (;;)
	{
		SdRequest	pending;

		LWLockAcquire(&db->lock, LW_SHARED);
		pending = db->proposal.request;
		LWLockRelease(&db->lock);
		/* within a change the slot is ours; a new one waits until the end of the last is taken */
		if (pending == SD_REQUEST_NONE || request != SD_REQUEST_GRANT)
			break;
		if (!coordinator_runs(db) || !wait_changed(db, net))
			break;
	}

	if (size > 0)
	{
		segment = dsm_create(size, 0);
		memcpy(dsm_segment_address(segment), data, size);
	}
	put_request(request, segment ? dsm_segment_handle(segment) : DSM_HANDLE_INVALID, size, deadline);

	for (;;)
	{
		LWLockAcquire(&db->lock, LW_SHARED);
		result = db->proposal.result;
		*answer = db->proposal;
		LWLockRelease(&db->lock);
		if (result != SD_RESULT_NONE)
			break;
		if (!coordinator_runs(db) || !wait_changed(db, net))
		{
			result = request == SD_REQUEST_ACCEPT || request == SD_REQUEST_PREEMPTED || request == SD_REQUEST_CLOSE
				? SD_RESULT_UNKNOWN : SD_RESULT_NO_COORDINATOR;
			break;
		}
	}
	ConditionVariableCancelSleep();
	if (segment)
		dsm_detach(segment);
	return result;
}

/* ---- refusals ---- */

static void
pg_attribute_noreturn()
raise_result(SdResult result, const SdProposal *answer)
{
	const char *message = answer->message;
	const char *detail = answer->detail;
	const char *hint = answer->hint;
	int			code = 0;

	switch (result)
	{
		case SD_RESULT_NO_QUORUM:
			code = SD_ERRCODE_NO_QUORUM;
			message = "no quorum: the schema change was refused, nothing happened";
			break;
		case SD_RESULT_NOT_ORIGIN:
			code = SD_ERRCODE_MAY_NOT_ORIGINATE;
			break;
		case SD_RESULT_BEHIND:
			code = SD_ERRCODE_BEHIND;
			break;
		case SD_RESULT_NAMES_MISSING:
			code = SD_ERRCODE_CANNOT_COORDINATE;
			break;
		case SD_RESULT_NO_COORDINATOR:
			code = SD_ERRCODE_NO_COORDINATOR;
			message = "schemadrift's coordinator is not running in this database";
			detail = "Nothing happened.";
			hint = "Look for \"schemadrift\" in the server's log; max_worker_processes may be too small.";
			break;
		case SD_RESULT_LOST:
			code = SD_ERRCODE_PREEMPTED;
			message = "another region changed the schema first";
			hint = "Nothing happened. Run the transaction again.";
			break;
		default:
			elog(ERROR, "unexpected result %d of a proposal", (int) result);
	}
	ereport(ERROR,
			(errcode(code),
			 errmsg_internal("%s", message),
			 detail[0] ? errdetail_internal("%s", detail) : 0,
			 hint[0] ? errhint("%s", hint) : 0));
}

static void
pg_attribute_noreturn()
raise_unknown(const char *why)
{
	ereport(ERROR,
			(errcode(SD_ERRCODE_UNKNOWN_OUTCOME),
			 errmsg("it is not known yet whether the schema change happens"),
			 errdetail("Entry %s for version " INT64_FORMAT " may have been accepted by other regions: %s%s",
					   sd_uuid_text(&change.entry_id), change.version, why,
					   pg_str_endswith(why, ".") ? "" : "."),
			 errhint("Ask SELECT schemadrift.outcome('%s'); do not run the change again before it answers.",
					 sd_uuid_text(&change.entry_id))));
}

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

static void
refuse_doomed(void)
{
	bool		doomed;

	LWLockAcquire(&change.db->lock, LW_SHARED);
	doomed = change.db->doomed && change.db->ddl_pid == MyProcPid;
	LWLockRelease(&change.db->lock);
	if (doomed)
	{
		SdProposal	nothing = {0};

		raise_result(SD_RESULT_LOST, &nothing);
	}
}

/* ---- step 1 ---- */

/* "own deadline = least of our setting and what was left of statement_timeout" */
static int64
deadline_of_statement(void)
{
	int64		deadline = sd_monotonic_us() + (int64) sd_quorum_timeout * 1000;

	if (StatementTimeout > 0)
	{
		int64		used = GetCurrentTimestamp() - GetCurrentStatementStartTimestamp();
		int64		left = (int64) StatementTimeout * 1000 - used;

		deadline = Min(deadline, sd_monotonic_us() + Max(left, 1000));
	}
	return deadline;
}

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

/* Wait, without the DDL lock, until the applier has brought this region to the version. */
static void
wait_applied(int64 version, int64 deadline)
{
	SdDatabase *db = change.db;
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
		if (!wait_changed(db, deadline))
			ereport(ERROR,
					(errcode(SD_ERRCODE_BEHIND),
					 halted_at > 0 ? errmsg("this region is halted at version " INT64_FORMAT, halted_at)
					 : errmsg("this region has applied version " INT64_FORMAT " of " INT64_FORMAT, applied, version),
					 error[0] ? errdetail("Nothing happened. The last attempt failed: %s", error)
					 : errdetail("Nothing happened. It did not catch up within schemadrift.quorum_timeout."),
					 halted_at > 0 ? errhint("SELECT * FROM schemadrift.status; mend the cause, then SELECT schemadrift.retry(name).")
					 : errhint("SELECT * FROM schemadrift.status; then run the transaction again.")));
	}
	ConditionVariableCancelSleep();
}

static void
begin(List *needs, bool supersedes)
{
	SdDatabase *db = sd_shared_mine();
	int64		deadline;
	Size		size;
	char	   *lines = join_needs(needs, &size);
	SdProposal	answer = {0};
	SdResult	result;

	if (change.stage >= STAGE_GRANTED)
	{
		refuse_doomed();
		/* what it is has been said, and this would not be part of it: happen here, and nowhere else */
		if (change.kind != NULL)
			ereport(ERROR,
					(errcode(SD_ERRCODE_CANNOT_COORDINATE),
					 errmsg("cannot change the schema again in this transaction"),
					 errdetail("It has made an entry of the log already (%s), and one transaction makes one.", change.subject),
					 errhint("COMMIT first.")));
		if (needs != NIL)
		{
			result = ask(SD_REQUEST_NEEDS, lines, size, deadline_of_statement(), &answer);
			if (result != SD_RESULT_NAMES_THERE)
				raise_result(result, &answer);
		}
		return;
	}

	refuse_isolation();
	if (db == NULL || !coordinator_runs(db))
		raise_result(SD_RESULT_NO_COORDINATOR, &answer);

	change.db = db;
	change.supersedes = supersedes;
	sd_uuid_make(&change.entry_id);
	deadline = deadline_of_statement();
	for (;;)
	{
		sd_ddl_lock();
		PG_TRY();
		{
			change.stage = STAGE_ASKED;
			result = ask(SD_REQUEST_GRANT, lines, size, deadline, &answer);
			if (result != SD_RESULT_GRANTED)
			{
				tell_end(SD_REQUEST_ABORTED);
				change.stage = STAGE_NONE;
				sd_ddl_unlock();
			}
		}
		PG_CATCH();
		{
			/* cancelled: the error may be caught by a function's handler, so the transaction may live on */
			tell_end(SD_REQUEST_ABORTED);
			change.stage = STAGE_NONE;
			sd_ddl_unlock();
			PG_RE_THROW();
		}
		PG_END_TRY();

		if (result == SD_RESULT_GRANTED)
			break;
		if (result != SD_RESULT_AGAIN)
			raise_result(result, &answer);
		wait_applied(answer.version, deadline);
	}
	change.stage = STAGE_GRANTED;
	change.version = answer.version;
	change.ballot = answer.ballot;
	change.chain = answer.chain;
	sd_waitpoint("change-granted");
}

void
sd_change_begin(List *needs)
{
	begin(needs, false);
}

void
sd_change_begin_supersede(List *needs)
{
	begin(needs, true);
}

bool
sd_change_active(void)
{
	return change.stage >= STAGE_GRANTED;
}

int64
sd_change_version(void)
{
	Assert(sd_change_active());
	return change.version;
}

const pg_uuid_t *
sd_change_entry_id(void)
{
	Assert(sd_change_active());
	return &change.entry_id;
}

void
sd_change_set_subject(const char *name)
{
	strlcpy(change.subject, name ? name : "", sizeof(change.subject));
}

void
sd_change_describe(const char *kind, const char *name, int64 target, const char *payload, bool applies)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	Assert(sd_change_active());
	change.kind = pstrdup(kind);
	change.name = name ? pstrdup(name) : NULL;
	change.target = target;
	change.payload = pstrdup(payload);
	change.applies = applies;
	change.level = GetCurrentTransactionNestLevel();
	sd_change_set_subject(name);
	MemoryContextSwitchTo(old);
}

/* ---- step 3 ---- */

static char *
generated_name(const SdSelf *self)
{
	if (sd_migration_name && sd_migration_name[0])
		return sd_migration_name;
	return psprintf("%s-%.8s", self->region, sd_uuid_text(&change.entry_id));
}

static int64
next_hlc(SdDatabase *db)
{
	SdHlcClock	clock;
	int64		hlc;
	uint64		wall_ms = (uint64) ((GetCurrentTimestamp() + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000);

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	sd_hlc_init(&clock, db->hlc, 0);
	hlc = (int64) sd_hlc_now(&clock, wall_ms);
	db->hlc = (uint64) hlc;
	LWLockRelease(&db->lock);
	return hlc;
}

static void
append_hash(StringInfo out, const char *key, const uint8 *hash)
{
	appendStringInfo(out, ",\"%s\":\"", key);
	for (int i = 0; i < SD_SHA_SIZE; i++)
		appendStringInfo(out, "%02x", hash[i]);
	appendStringInfoChar(out, '"');
}

/* The entry's bytes; *after is this region's digest once it is applied. */
static SdEntry
build_entry(List *commands, const SdApplied *applied, SdDigest *after)
{
	SdEntry		entry = {0};
	StringInfoData payload;
	List	   *changed = NIL;
	ListCell   *lc;
	SdSelf		self;

	if (!sd_self_read(&self))
		elog(ERROR, "this database is in no group");
	*after = sd_digest_update(sd_capture_touched(), &changed);

	initStringInfo(&payload);
	appendStringInfoChar(&payload, '{');
	if (change.kind)
		appendStringInfoString(&payload, change.payload);
	else
		appendStringInfo(&payload, "\"commands\":%s", sd_commands_to_json(commands));
	append_hash(&payload, "before", applied->digest);
	append_hash(&payload, "after", after->byte);
	appendStringInfo(&payload, ",\"form\":%d,\"objects\":[", SD_DIGEST_FORM);
	foreach(lc, changed)
	{
		SdObjectDigest *object = lfirst(lc);

		appendStringInfo(&payload, "%s{\"kind\":", foreach_current_index(lc) > 0 ? "," : "");
		escape_json(&payload, object->kind);
		appendStringInfoString(&payload, ",\"identity\":");
		escape_json(&payload, object->identity);
		if (object->dropped)
			appendStringInfoString(&payload, ",\"dropped\":1");
		else
			append_hash(&payload, "hash", object->hash.byte);
		appendStringInfoChar(&payload, '}');
	}
	appendStringInfoString(&payload, "]}");

	entry.id = change.entry_id;
	entry.kind = change.kind ? change.kind : SD_KIND_MIGRATION;
	entry.name = change.kind ? change.name : generated_name(&self);
	entry.origin = pstrdup(self.region);
	entry.incarnation = self.incarnation;
	entry.n = sd_log_next_dot(self.region, self.incarnation);
	entry.hlc = next_hlc(change.db);
	entry.author = GetUserNameFromId(GetSessionUserId(), false);
	entry.protocol = SD_PROTOCOL;
	entry.target = change.target;
	sd_entry_encode(&entry, payload.data);
	if (entry.name)
		sd_change_set_subject(entry.name);
	return entry;
}

/* Has our own acceptor promised a higher ballot?  A look without locks; the final check has the last word. */
static bool
own_promise_higher(void)
{
	SdBallot	promised;

	sd_promise_read(&promised);
	return sd_ballot_compare(&promised, &change.ballot) > 0;
}

/*
 * Until enough others have accepted.  A cancelled wait asks for the judgement on what is known so far: it
 * may be definite, if every copy was answered by a refusal.
 */
static bool
get_accepted(const SdEntry *entry)
{
	int64		deadline = deadline_of_statement();
	SdProposal	answer = {0};
	MemoryContext context = CurrentMemoryContext;
	SdResult volatile result = SD_RESULT_NONE;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		result = ask(SD_REQUEST_ACCEPT, VARDATA_ANY(entry->bytes), VARSIZE_ANY_EXHDR(entry->bytes), deadline, &answer);
		while (result == SD_RESULT_ACCEPTED)
		{
			change.ballot = answer.ballot;	/* it may have taken another one */
			if (!own_promise_higher())
				break;
			result = ask(SD_REQUEST_PREEMPTED, NULL, 0, deadline, &answer);
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		ConditionVariableCancelSleep();
		HOLD_INTERRUPTS();
		result = ask(SD_REQUEST_CLOSE, NULL, 0, sd_monotonic_us() + 1000000, &answer);
		RESUME_INTERRUPTS();
		if (result == SD_RESULT_LOST)
			ReThrowError(error);	/* definite: the error as it was */
		raise_unknown(error->message);
	}
	PG_END_TRY();

	if (result == SD_RESULT_UNKNOWN)
		raise_unknown(answer.detail[0] ? answer.detail : "the coordinator did not answer in time");
	if (result != SD_RESULT_ACCEPTED && result != SD_RESULT_CHOSEN)
		raise_result(result, &answer);
	return result == SD_RESULT_CHOSEN;
}

static void
commit_entry(List *commands)
{
	SdScope		scope;
	SdApplied	applied;
	SdDigest	after;
	SdEntry		entry;
	SdChain		chain;
	bool		chosen;
	TimestampTz since = GetCurrentTransactionStartTimestamp();
	SdFinalVerdict verdict;

	sd_store_enter(&scope);
	sd_applied_read(&applied);
	entry = build_entry(commands, &applied, &after);

	sd_waitpoint("before-accept");
	change.stage = STAGE_SENT;
	chosen = get_accepted(&entry);
	sd_waitpoint("after-majority");

	/* our own vote is the last one; under our own short lock_timeout */
	sd_vote_force_sync();
	(void) set_config_option("lock_timeout", "1s", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	PG_TRY();
	{
		sd_applied_lock(&applied);
		verdict = sd_vote_final(&change.ballot, change.version, &change.chain, &entry, chosen);
		if (verdict == SD_FINAL_VOTE || verdict == SD_FINAL_CHOSEN)
		{
			chain = sd_entry_chain(&change.chain, &entry);
			if (change.kind == NULL || change.applies)
			{
				sd_applied_advance(change.version, &chain, after.byte);
				sd_execution_insert(change.version, "applied", since, 1, NULL);
			}
		}
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(scope.caller);
		error = CopyErrorData();
		FlushErrorState();
		raise_unknown(error->message);
	}
	PG_END_TRY();

	switch (verdict)
	{
		case SD_FINAL_VOTE:
		case SD_FINAL_CHOSEN:
			break;
		case SD_FINAL_LOST:
			{
				SdProposal	nothing = {0};

				raise_result(SD_RESULT_LOST, &nothing);
			}
		case SD_FINAL_PREEMPTED:
			raise_unknown("this region promised another region's ballot meanwhile");
		case SD_FINAL_IDENTITY:
			raise_unknown("this region's identity is not valid any more");
		case SD_FINAL_DIVERGED:
			raise_unknown("this region's log is not the one the change was made for");
	}
	sd_store_leave(&scope);

	/* from the own vote to the commit callback nothing may interrupt; an error would end the holdoff itself */
	HOLD_INTERRUPTS();
	change.stage = STAGE_VOTED;
	sd_waitpoint("before-commit-record");
}

/* ---- changes outside the log ---- */

/*
 * Mode off, or observe: the change is made here alone.  The digest follows the schema; each command is a
 * dot of this region and an alert until it is adopted or taken back.
 */
static void
record_outside(List *commands, const char *mode, const char *reason)
{
	SdScope		scope;
	SdApplied	applied;
	SdDigest	after;
	SdSelf		self;
	SdDatabase *db = sd_shared_mine();
	ListCell   *lc;

	sd_store_enter(&scope);
	if (sd_self_read(&self))
	{
		sd_applied_lock(&applied);
		after = sd_digest_update(sd_capture_touched(), NULL);
		sd_applied_set_digest(after.byte);
		foreach(lc, commands)
		{
			SdCommand  *command = lfirst(lc);

			sd_bypass_insert(sd_log_next_dot(self.region, self.incarnation),
							 GetUserNameFromId(GetSessionUserId(), false), mode, reason, command->text);
			if (db)
				sd_shared_decide(db, strcmp(mode, "off") == 0 ? "bypass" : "would-have", command->tag,
								 "not coordinated", "", reason);
		}
	}
	sd_store_leave(&scope);
}

/* ---- transaction callbacks ---- */

static void
forget(void)
{
	memset(&change, 0, sizeof(change));
}

static void
pre_commit(void)
{
	List	   *commands = sd_capture_commands(SD_DISPOSE_COORDINATE);
	List	   *observed = sd_capture_commands(SD_DISPOSE_OBSERVE);
	List	   *bypassed = sd_capture_commands(SD_DISPOSE_BYPASS);

	if (observed == NIL && bypassed == NIL && change.stage == STAGE_NONE)
		return;

	PushActiveSnapshot(GetTransactionSnapshot());
	if (bypassed != NIL)
		record_outside(bypassed, "off", sd_bypass_reason);
	if (observed != NIL)
		record_outside(observed, "observe", "policy \"mode\" is \"observe\"");
	if (change.stage == STAGE_GRANTED && (commands != NIL || change.kind != NULL))
		commit_entry(commands);
	PopActiveSnapshot();
}

static void
at_transaction_event(XactEvent event, void *arg)
{
	(void) arg;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pre_commit();
			break;
		case XACT_EVENT_COMMIT:
			if (change.stage == STAGE_VOTED)
			{
				sd_waitpoint("after-commit");
				tell_end(SD_REQUEST_COMMITTED);
				RESUME_INTERRUPTS();
			}
			else
				tell_end(SD_REQUEST_ABORTED);
			forget();
			break;
		case XACT_EVENT_ABORT:
			tell_end(SD_REQUEST_ABORTED);
			forget();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (change.stage != STAGE_NONE)
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

/* What was described in a subtransaction that is rolled back has not happened and must not be proposed. */
static void
at_subtransaction_event(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	(void) mine;
	(void) parent;
	(void) arg;
	if (change.kind == NULL || change.level < level)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		change.level = level - 1;
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		change.kind = NULL;
		change.name = NULL;
		change.payload = NULL;
		change.target = 0;
	}
}

void
sd_change_init(void)
{
	RegisterSubXactCallback(at_subtransaction_event, NULL);
	RegisterXactCallback(at_transaction_event, NULL);
}
