/*
 * commit.c: committing a change: docs/protocol.md, "Committing a change", steps 3 and 5.
 *
 * Backend only, in XACT_EVENT_PRE_COMMIT.  Locking: row locks on our tables, in the store's order, after the other
 * voters have accepted; the own vote is the last one.
 */
#include "compat.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "clock.h"
#include "consensus/mistakes.h"
#include "ddl/capture.h"
#include "ddl/digest.h"
#include "ddl/drift.h"
#include "ddl/history_rows.h"
#include "ddl/online.h"
#include "errors.h"
#include "gate/change.h"
#include "gate/internal.h"
#include "gate/online.h"
#include "settings.h"
#include "store/drift.h"
#include "store/history.h"
#include "store/protocol.h"
#include "store/task.h"
#include "store/object.h"
#include "store/vote.h"
#include "waitpoint.h"

/* only_rows: many a tool writes its row after the DDL, in a transaction of its own, and the session's name is taken by then */
static char *
plain_name(const SdSelf *self, bool only_rows)
{
	int64		version;
	int64		taken_back;
	bool		taken;

	if (sd_migration_name && sd_migration_name[0])
	{
		version = sd_history_newest(sd_migration_name, &taken_back);
		taken = version > 0 && taken_back == 0;
		if (taken && !only_rows)
			ereport(ERROR,
					(errcode(SD_ERRCODE_NAME_USED),
					 errmsg("migration \"%s\" is version " INT64_FORMAT " already", sd_migration_name, version),
					 errdetail("Nothing happened."),
					 errhint("RESET schemadrift.migration_name, or SET LOCAL a name of its own for each transaction.")));
		if (!taken)
			return sd_migration_name;
	}
	return psprintf("%s-%.8s", self->region, sd_uuid_text(&sd_change.entry_id));
}

static void
append_hash(StringInfo out, const char *key, const uint8 *hash)
{
	appendStringInfo(out, ",\"%s\":\"", key);
	for (int i = 0; i < SD_SHA_SIZE; i++)
		appendStringInfo(out, "%02x", hash[i]);
	appendStringInfoChar(out, '"');
}

static void
append_roles(StringInfo out)
{
	ListCell   *lc;

	foreach(lc, sd_change.roles)
	{
		appendStringInfoString(out, foreach_current_index(lc) == 0 ? ",\"" SD_ROLES_KEY "\":[" : ",");
		escape_json(out, lfirst(lc));
	}
	appendStringInfoString(out, sd_change.roles != NIL ? "]" : "");
	if (sd_change.names_database)
	{
		appendStringInfoString(out, ",\"" SD_DATABASE_KEY "\":");
		escape_json(out, get_database_name(MyDatabaseId));
	}
}

/* What an online entry will work on must be what the log says it is, here as everywhere. */
static void
refuse_drifted_relations(void)
{
	Jsonb	   *payload = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("{%s}", sd_change.payload))));
	Jsonb	   *relations = sd_json_object(payload, "relations");

	if (relations)
		sd_drift_refuse_relations(sd_online_names_read(relations));
}

/* The entry's bytes; *after is this region's digest once it is applied. */
static SdEntry
build_entry(List *commands, List *rows, const SdApplied *applied, SdDigest *after)
{
	SdEntry		entry = {0};
	StringInfoData payload;
	List	   *changed = NIL;
	List	   *beside = NIL;
	char	   *said;
	ListCell   *lc;
	SdSelf		self;
	SdDigest	before;
	SdDigest	logged;

	if (!sd_self_read(&self))
		elog(ERROR, "this database is in no group");
	*after = sd_digest_update(sd_capture_touched(), &changed, &beside);
	foreach(lc, changed)
	{
		SdObjectDigest *object = lfirst(lc);

		if (object->frozen_by != 0)
			sd_online_refuse(object->frozen_by, object->identity);
	}
	sd_drift_refuse(changed);
	sd_drift_beside_refuse(beside);
	if (sd_change.kind && strcmp(sd_change.kind, SD_KIND_ONLINE) == 0)
		refuse_drifted_relations();
	if (sd_change.kind && strcmp(sd_change.kind, SD_KIND_RESULT) == 0 && sd_change.applies)
		sd_drift_thaw();
	memcpy(before.byte, applied->digest, SD_DIGEST_LENGTH);
	before = sd_drift_logged_root_of(&before);
	if (sd_change.accepted != NIL)
		changed = list_concat(changed, sd_drift_accept(sd_change.accepted, &beside));
	logged = sd_drift_logged_root_of(after);

	initStringInfo(&payload);
	appendStringInfoChar(&payload, '{');
	if (sd_change.kind)
		appendStringInfoString(&payload, sd_change.payload);
	else if (commands != NIL)
		appendStringInfo(&payload, "\"commands\":%s", sd_commands_to_json(commands));
	if (rows != NIL)
		appendStringInfo(&payload, "%s\"" SD_ROWS_KEY "\":%s", sd_change.kind || commands != NIL ? "," : "", sd_history_to_json(rows));
	if (sd_change.frozen)
		appendStringInfo(&payload, ",\"" SD_FROZEN_KEY "\":\"%s\"", sd_time_text(GetCurrentTransactionStartTimestamp()));
	append_roles(&payload);
	append_hash(&payload, "before", before.byte);
	append_hash(&payload, "after", logged.byte);
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
	appendStringInfoChar(&payload, ']');
	said = sd_drift_beside_to_json(beside);
	if (said)
		appendStringInfo(&payload, ",\"" SD_BESIDE_KEY "\":[%s]", said);
	appendStringInfoChar(&payload, '}');

	entry.id = sd_change.entry_id;
	entry.kind = sd_change.kind ? sd_change.kind : SD_KIND_MIGRATION;
	entry.name = sd_change.name;
	if (entry.name == NULL && (sd_change.kind == NULL || strcmp(sd_change.kind, SD_KIND_ONLINE) == 0))
		entry.name = plain_name(&self, sd_change.kind == NULL && commands == NIL);
	entry.origin = pstrdup(self.region);
	entry.incarnation = self.incarnation;
	entry.n = sd_log_next_dot(self.region, self.incarnation);
	entry.hlc = sd_shared_next_hlc(sd_change.db, sd_log_newest_hlc());
	entry.author = GetUserNameFromId(GetSessionUserId(), false);
	entry.protocol = rows != NIL ? 2 : sd_change.kind ? sd_change.protocol : SD_PROTOCOL_OLDEST;
	if (sd_change.frozen)
		entry.protocol = Max(entry.protocol, SD_PROTOCOL_FREEZES);
	entry.target = sd_change.target;
	entry.barrier = sd_change.barrier;
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
	return sd_ballot_compare(&promised, &sd_change.ballot) > 0;
}

/* request: ACCEPT, or PREEMPTED to go on after our own acceptor has promised a higher ballot. */
static SdResult
ask_accepted(const SdEntry *entry, SdRequest request, int64 deadline, SdProposal *answer)
{
	for (;;)
	{
		bool		first = request == SD_REQUEST_ACCEPT;
		SdResult	result = sd_ask(request, first ? VARDATA_ANY(entry->bytes) : NULL,
									first ? VARSIZE_ANY_EXHDR(entry->bytes) : 0, deadline, answer);

		/* accepts are out: of those a coordinator that ended, or its successor, can say nothing */
		if (!first && result == SD_RESULT_NO_COORDINATOR)
			return SD_RESULT_UNKNOWN;
		if (result != SD_RESULT_ACCEPTED)
			return result;
		sd_change.ballot = answer->ballot;	/* it may have taken another one */
		if (!own_promise_higher())
			return result;
		request = SD_REQUEST_PREEMPTED;
	}
}

/*
 * Until enough others have accepted; true: the entry is chosen already.  A cancelled wait asks for the judgement on what
 * is known so far: it may be definite, if every copy was answered by a refusal.
 */
static bool
get_accepted(const SdEntry *entry, SdRequest request, int64 deadline)
{
	SdProposal	answer = {0};
	MemoryContext context = CurrentMemoryContext;
	SdResult volatile result = SD_RESULT_NONE;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		result = ask_accepted(entry, request, deadline, &answer);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		ConditionVariableCancelSleep();
		if (sd_ask_withdraw_accept())
			ReThrowError(error);	/* definite: nobody had taken it over */
		HOLD_INTERRUPTS();
		result = sd_ask(SD_REQUEST_CLOSE, NULL, 0, sd_monotonic_us() + 1000000, &answer);
		RESUME_INTERRUPTS();
		if (result == SD_RESULT_LOST || result == SD_RESULT_NO_QUORUM)
			ReThrowError(error);	/* definite: the error as it was */
		sd_ask_raise_unknown(error->message);
	}
	PG_END_TRY();

	if (result == SD_RESULT_UNKNOWN)
		sd_ask_raise_unknown(answer.detail[0] ? answer.detail :
							 sd_shared_waits_for_standby(sd_change.db) ? "the coordinator waits for a synchronous standby to confirm a vote" :
							 "the coordinator did not answer in time");
	if (result != SD_RESULT_ACCEPTED && result != SD_RESULT_CHOSEN)
		sd_ask_raise(result, &answer);
	return result == SD_RESULT_CHOSEN;
}

/* ---- the own vote ---- */

/* How often the rows are locked for it, at most, and for how long each time. */
#define MAX_OWN_VOTES	5
#define OWN_VOTE_LOCK_TIMEOUT_MS	1000
#define OWN_VOTE_LOCK_LEAST_MS		100

static int
own_vote_lock_timeout(int64 deadline)
{
	int64		left = (deadline - sd_monotonic_us()) / SD_US_PER_MS;

	return (int) Min(Max(left, OWN_VOTE_LOCK_LEAST_MS), OWN_VOTE_LOCK_TIMEOUT_MS);
}

/*
 * What fails between our own vote and the commit record (ON COMMIT actions, the queue of NOTIFY, another library's
 * callback) is raised by code that knows nothing of us, and would tell the client that all was rolled back; but the others
 * may have a majority, or get it.  So it is told as what it is while it is being raised.
 */
static void
tell_unknown(void *arg)
{
	MemoryContext context = MemoryContextSwitchTo(TopTransactionContext);
	ErrorData  *error = CopyErrorData();

	(void) arg;
	MemoryContextSwitchTo(context);
	if (error->elevel == ERROR || error->elevel == FATAL)
		(void) sd_ask_err_unknown(error->message);
	FreeErrorData(error);
}

static ErrorContextCallback unknown_callback = {.callback = tell_unknown};

void
sd_commit_done(void)
{
	Assert(error_context_stack == &unknown_callback);
	error_context_stack = unknown_callback.previous;
	RESUME_INTERRUPTS();
}

/* Locks the rows in their order, checks for the last time, and writes vote, log row and applied row. */
static SdFinalVerdict
check_and_write(const SdEntry *entry, bool chosen, const SdDigest *after)
{
	SdApplied	applied;
	SdChain		chain;
	SdDigest	rebased;
	SdFinalVerdict verdict;

	sd_applied_lock(&applied);
	verdict = sd_vote_final(&sd_change.ballot, sd_change.version, &sd_change.chain, entry, chosen);
	if ((verdict == SD_FINAL_VOTE || verdict == SD_FINAL_CHOSEN) && (sd_change.kind == NULL || sd_change.applies))
	{
		chain = sd_entry_chain(&sd_change.chain, entry);
		sd_applied_advance(sd_change.version, &chain, after->byte);
		sd_execution_insert(sd_change.version, "applied", GetCurrentTransactionStartTimestamp(), 1, NULL);
		if (strcmp(entry->kind, SD_KIND_ONLINE) == 0)
			sd_task_insert(sd_change.version, sd_json_object(sd_entry_payload(entry), "relations"), false);
		if (strcmp(entry->kind, SD_KIND_POLICY) == 0)
			(void) sd_drift_rebase(&rebased);
	}
	return verdict;
}

/* In a subtransaction; what went wrong comes back in *error. */
static SdFinalVerdict
try_own_vote(const SdEntry *entry, bool chosen, const SdDigest *after, ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	SdFinalVerdict volatile verdict = SD_FINAL_DIVERGED;

	*error = NULL;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		verdict = check_and_write(entry, chosen, after);
		if (verdict == SD_FINAL_VOTE || verdict == SD_FINAL_CHOSEN)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return verdict;
}

/*
 * "Take the row locks in order under our own short lock_timeout": so that they can be let go of and taken again.  A
 * promise to another region may come between the look without locks and this one; and a subscription to all tables locks
 * our rows in an order of its own before the guard discards what it brings.
 */
static SdFinalVerdict
cast_own_vote(const SdEntry *entry, bool chosen, const SdDigest *after, int64 deadline)
{
	for (int attempt = 1;; attempt++)
	{
		ErrorData  *error;
		SdFinalVerdict verdict = try_own_vote(entry, chosen, after, &error);

		if (error)
		{
			bool		passes = error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
				error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;

			if (!passes || attempt == MAX_OWN_VOTES || sd_monotonic_us() >= deadline)
				sd_ask_raise_unknown(error->message);
		}
		else if (verdict == SD_FINAL_PREEMPTED && attempt < MAX_OWN_VOTES)
			chosen = get_accepted(entry, SD_REQUEST_PREEMPTED, deadline);
		else
			return verdict;
	}
}

#ifdef SD_TESTING
/* The mistake PAUSED_HOLDER: the lease that runs now is believed to run still at the last moment. */
static void
trust_lease(void)
{
	SdHolding  *holding = &sd_change.db->holding;

	if (!SD_MISTAKE(PAUSED_HOLDER))
		return;
	LWLockAcquire(&sd_change.db->lock, LW_SHARED);
	sd_mistakes &= ~SD_MISTAKE_NO_SELFCHECK;
	if (holding->until_us > sd_monotonic_us() && sd_ballot_compare(&holding->ballot, &sd_change.ballot) == 0)
		sd_mistakes |= SD_MISTAKE_NO_SELFCHECK;
	LWLockRelease(&sd_change.db->lock);
}
#else
#define trust_lease() ((void) 0)
#endif

void
sd_commit_entry(List *commands, List *rows)
{
	SdScope		scope;
	SdApplied	applied;
	SdDigest	after;
	SdEntry		entry;
	bool		chosen;
	int64		deadline;
	SdProposal	nothing = {0};
	SdFinalVerdict verdict = SD_FINAL_VOTE;

	/* not within the scope, whose settings end with it: the commit record is the vote, and a standby is to have it, too */
	sd_vote_force_sync();
	sd_store_enter(&scope);
	sd_digest_row_lock();
	sd_applied_read(&applied);
	entry = build_entry(commands, rows, &applied, &after);

	trust_lease();
	sd_waitpoint("before-accept");
	sd_change.stage = SD_STAGE_SENT;
	deadline = sd_ask_deadline();
	if (SD_MISTAKE(SELF_FIRST))
		verdict = cast_own_vote(&entry, false, &after, deadline);
	chosen = get_accepted(&entry, SD_REQUEST_ACCEPT, deadline);
	sd_waitpoint("after-majority");

	/* our own vote is the last one; under our own short lock_timeout */
	sd_set_lock_timeout(own_vote_lock_timeout(deadline), GUC_ACTION_SAVE);
	if (!SD_MISTAKE(SELF_FIRST))
		verdict = cast_own_vote(&entry, chosen, &after, deadline);
	switch (verdict)
	{
		case SD_FINAL_VOTE:
		case SD_FINAL_CHOSEN:
			break;
		case SD_FINAL_LOST:
			sd_ask_raise(SD_RESULT_LOST, &nothing);
		case SD_FINAL_PREEMPTED:
			sd_ask_raise_unknown("this region promised another region's ballot meanwhile");
		case SD_FINAL_IDENTITY:
			sd_ask_raise_unknown("this region's identity is not valid any more");
		case SD_FINAL_DIVERGED:
			sd_ask_raise_unknown("this region's log is not the one the change was made for");
	}
	sd_store_leave(&scope);

	/* from the own vote to the commit callback nothing may interrupt; an error would end the holdoff itself */
	HOLD_INTERRUPTS();
	sd_change.stage = SD_STAGE_VOTED;
	unknown_callback.previous = error_context_stack;
	error_context_stack = &unknown_callback;
	sd_waitpoint("before-commit-record");
}

/* ---- changes outside the log ---- */

static char *
joined_text(List *commands)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, commands)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ";\n" : "", ((SdCommand *) lfirst(lc))->text);
	return text.data;
}

/* It commits by itself in the middle, so what it does is not to be seen yet. */
static bool
has_alone(List *commands)
{
	ListCell   *lc;

	foreach(lc, commands)
		if (((SdCommand *) lfirst(lc))->class == SD_CLASS_ALONE)
			return true;
	return false;
}

/*
 * Mode off, or observe: the change is made here alone.  The digest follows the schema, and what is otherwise now than the log
 * says becomes drift; the transaction is a dot of this region until that is adopted or taken back.
 */
void
sd_commit_outside(List *bypassed, List *observed)
{
	bool		off = bypassed != NIL;
	const char *reason = off ? sd_bypass_reason : "policy \"mode\" is \"observe\"";
	List	   *commands = list_concat_copy(bypassed, observed);
	SdScope		scope;
	SdApplied	applied;
	SdDigest	after;
	SdSelf		self;
	SdDatabase *db = sd_shared_mine();
	List	   *changed;
	List	   *beside;
	ListCell   *lc;
	int64		dot;

	sd_store_enter(&scope);
	if (sd_self_read(&self))
	{
		sd_digest_row_lock();
		sd_applied_lock(&applied);
		changed = beside = NIL;
		/* a witness has no schema; and in another canonical form every object would seem to have changed */
		if (strcmp(self.state, "witness") != 0 && !sd_drift_rebase(&after))
		{
			after = sd_digest_update(sd_capture_touched(), &changed, &beside);
			sd_applied_set_digest(after.byte);
		}
		dot = sd_log_next_dot(self.region, self.incarnation);
		sd_bypass_insert(dot, GetUserNameFromId(GetSessionUserId(), false), off ? "off" : "observe", reason,
						 joined_text(commands));
		sd_drift_outside(changed, dot, off ? SD_FOUND_BYPASS : SD_FOUND_OBSERVE);
		sd_drift_beside_outside(beside, dot, off ? SD_FOUND_BYPASS : SD_FOUND_OBSERVE);
		if (!has_alone(commands))
			sd_bypass_settle();
		foreach(lc, commands)
			if (db)
				sd_shared_decide(db, off ? "bypass" : "would-have", ((SdCommand *) lfirst(lc))->tag, "not coordinated", "", reason);
		if (db)
			sd_shared_wake_at_commit(db);
	}
	sd_store_leave(&scope);
}
