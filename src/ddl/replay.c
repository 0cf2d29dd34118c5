/*
 * replay.c: one version of the log, carried out in this region; see replay.h.
 *
 * Runs in the applier, and in the backend that calls mark_applied().  The entry's text runs with the rights of its author and no others; our own tables are written in
 * a scope.  Both are one transaction: a version is applied, with its digest verified, or nothing of it happened.
 */
#include "compat.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "attempt.h"
#include "ddl/allowed.h"
#include "ddl/capture.h"
#include "ddl/digest.h"
#include "ddl/drift.h"
#include "ddl/fill.h"
#include "ddl/frozen.h"
#include "ddl/hash.h"
#include "ddl/history_rows.h"
#include "ddl/online.h"
#include "ddl/options.h"
#include "ddl/roles.h"
#include "ddl/script.h"
#include "ddl/verify.h"
#include "store/history.h"
#include "store/protocol.h"
#include "ddl/replay.h"
#include "shared.h"
#include "store/task.h"

typedef enum KindAction
{
	KIND_ADVANCE,
	KIND_RUN,
	KIND_ONLINE,
	KIND_RESULT
} KindAction;

/* The kinds of entries this library knows.  A new kind is a new row. */
static const struct
{
	const char *kind;
	KindAction	action;
}			kinds[] = {
	{SD_KIND_BASELINE, KIND_ADVANCE},
	{SD_KIND_CONFIG, KIND_ADVANCE},
	{SD_KIND_POLICY, KIND_ADVANCE},
	{SD_KIND_NOOP, KIND_ADVANCE},
	{SD_KIND_QUERY, KIND_ADVANCE},
	{SD_KIND_MIGRATION, KIND_RUN},
	{SD_KIND_REVERT, KIND_RUN},
	{SD_KIND_SUPERSEDE, KIND_RUN},
	{SD_KIND_ONLINE, KIND_ONLINE},
	{SD_KIND_RESULT, KIND_RESULT},
};

static KindAction
action_of(const SdEntry *entry)
{
	if (entry->protocol <= sd_protocol_own())
		for (size_t i = 0; i < lengthof(kinds); i++)
			if (strcmp(kinds[i].kind, entry->kind) == 0)
				return kinds[i].action;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("entry of kind \"%s\", protocol %d, is newer than this region's schemadrift", entry->kind, entry->protocol),
			 /* status shows the detail, and no hint */
			 errdetail("This region speaks protocol %d, its library %d. Upgrade it: %s.", sd_protocol_own(), SD_PROTOCOL,
					   entry->protocol <= SD_PROTOCOL && sd_protocol_own() < SD_PROTOCOL
					   ? "ALTER EXTENSION schemadrift UPDATE"
					   : "install the newer package, restart, ALTER EXTENSION schemadrift UPDATE")));
}

/* Out of the scope's memory; the bytes, which may be many, are outside already. */
static SdEntry *
copy_entry(const SdEntry *entry)
{
	SdEntry    *copy = palloc(sizeof(SdEntry));

	*copy = *entry;
	copy->kind = pstrdup(entry->kind);
	copy->name = entry->name ? pstrdup(entry->name) : NULL;
	copy->origin = pstrdup(entry->origin);
	copy->author = pstrdup(entry->author);
	return copy;
}

/* What takes a version back, is its result, or takes it back online has nothing to do where that was skipped. */
static bool
target_was_skipped(const SdEntry *entry)
{
	const char *target = entry->target > 0 ? sd_history_execution(entry->target) : NULL;

	return target && strcmp(target, "skipped") == 0;
}

/* Does our log take it back for good?  *empty: by a version that cannot undo it where it was applied. */
static bool
is_taken_back(int64 version, int64 *by, bool *empty)
{
	SdEntry    *entry;
	char	   *outcome = NULL;

	*by = sd_history_taken_back(version);
	*empty = false;
	if (*by == 0)
		return false;
	entry = sd_log_entry(*by);
	if (entry && strcmp(entry->kind, SD_KIND_SUPERSEDE) == 0)
		*empty = sd_json_text(sd_entry_payload(entry), "up") == NULL;
	/* an online version may still fail, and then what it was to take back stays */
	if (entry && strcmp(entry->kind, SD_KIND_ONLINE) == 0)
		return sd_task_result(*by, &outcome) > 0 && outcome && strcmp(outcome, "ok") == 0;
	return true;
}

bool
sd_replay_plan(const SdApplied *applied, MemoryContext context, SdPlan *plan)
{
	int64		by;
	bool		empty;
	MemoryContext scope = CurrentMemoryContext;

	memset(plan, 0, sizeof(*plan));
	plan->version = applied->version + 1;
	if (!sd_log_find(plan->version, &plan->chain, NULL))
		return false;
	plan->entry = sd_log_entry(plan->version);
	if (plan->entry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the text of version " INT64_FORMAT " is not kept in this region any more", plan->version),
				 errhint("Join the group again from a dump of a region that has applied it.")));

	plan->action = SD_REPLAY_ADVANCE;
	switch (action_of(plan->entry))
	{
		case KIND_ADVANCE:
			break;
		case KIND_RUN:
			plan->action = SD_REPLAY_RUN;
			break;
		case KIND_ONLINE:
			plan->action = SD_REPLAY_ONLINE;
			break;
		case KIND_RESULT:
			plan->action = SD_REPLAY_RESULT;
			break;
	}
	if (target_was_skipped(plan->entry))
	{
		plan->action = SD_REPLAY_SKIP;
		plan->reason = psprintf("version " INT64_FORMAT " was never run here", plan->entry->target);
	}
	/* look ahead: what is taken back later and cannot be applied would otherwise halt us for ever */
	if ((plan->action == SD_REPLAY_RUN || plan->action == SD_REPLAY_ONLINE) && is_taken_back(plan->version, &by, &empty))
	{
		plan->taken_back_by = by;
		if (empty)
			sd_replay_give_up(plan, NULL);
	}
	MemoryContextSwitchTo(context);
	plan->entry = copy_entry(plan->entry);
	plan->reason = plan->reason ? pstrdup(plan->reason) : NULL;
	MemoryContextSwitchTo(scope);
	return true;
}

void
sd_replay_give_up(SdPlan *plan, const char *error)
{
	plan->action = SD_REPLAY_SKIP;
	plan->reason = psprintf("taken back by version " INT64_FORMAT "%s%s", plan->taken_back_by,
							error ? "; here it failed: " : "", error ? error : "");
}

/* Rows of tools' histories, after the text. */
static void
write_rows(Jsonb *payload, SdExecuting as)
{
	sd_history_write(sd_history_existing(sd_history_from_json(sd_json_object(payload, SD_UNDO_ROWS_KEY))), as);
	sd_history_write(sd_history_from_json(sd_json_object(payload, SD_ROWS_KEY)), as);
}

static void
run_payload(const SdEntry *entry, Jsonb *payload)
{
	Jsonb	   *commands = sd_json_object(payload, "commands");
	Jsonb	   *run_as = sd_json_object(payload, "run_as");
	char	   *up = sd_json_text(payload, "up");

	sd_allowed_require(entry->author);
	if (commands)
	{
		List	   *list = sd_commands_from_json(sd_json_serialized(commands));
		ListCell   *lc;

		foreach(lc, list)
			sd_allowed_require_run_as(((SdCommand *) lfirst(lc))->run_as);
		foreach(lc, list)
		{
			SdCommand  *command = lfirst(lc);

			sd_command_execute(command);
			sd_script_settle_as(command->run_as);
		}
	}
	else if (up && run_as)
	{
		SdRunAs    *as = sd_run_as_from_json(sd_json_serialized(run_as));

		sd_allowed_require_run_as(as);
		sd_script_execute_as(up, as, SD_EXECUTING_ENTRY);
		sd_script_settle_as(as);
	}
	else if (sd_json_object(payload, SD_ROWS_KEY))
		return;					/* nothing but rows */
	else if (strcmp(entry->kind, SD_KIND_SUPERSEDE) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version " INT64_FORMAT " was applied here and has no recorded down", entry->target),
				 errdetail("It was taken back when no region was known to have applied it."),
				 errhint("Undo it by hand with schemadrift.ddl_mode = off, then SELECT schemadrift.mark_applied(...).")));
	else
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the entry says nothing that could be run"),
				 errdetail("It is a %s of \"%s\" by region \"%s\".", entry->kind, entry->name ? entry->name : "", entry->origin)));
}

/* ---- online entries ---- */

static bool
says_ok(const SdEntry *result)
{
	const char *outcome = sd_json_text(sd_entry_payload(result), "outcome");

	return outcome && strcmp(outcome, "ok") == 0;
}

static void
record_intent(int64 version, const SdEntry *entry, bool adopted)
{
	Jsonb	   *relations = sd_json_object(sd_entry_payload(entry), "relations");

	(void) sd_online_names_read(relations);	/* or an error, before it is kept */
	sd_task_insert(version, relations, adopted);
}

/* Held here, before anything of it is begun: its task would run as these. */
static void
require_allowed(const SdEntry *entry)
{
	Jsonb	   *run_as = sd_json_object(sd_entry_payload(entry), "run_as");

	sd_allowed_require(entry->author);
	if (run_as)
		sd_allowed_require_run_as(sd_run_as_from_json(sd_json_serialized(run_as)));
}

bool
sd_replay_adopt(void)
{
	int64		version = sd_task_missing();
	SdEntry    *entry = version > 0 ? sd_log_entry(version) : NULL;

	if (entry == NULL)
		return false;
	record_intent(version, entry, true);
	return true;
}

bool
sd_replay_ready(const SdPlan *plan)
{
	bool		ok = says_ok(plan->entry);
	int64		target = plan->entry->target;
	SdTask		task;

	if (!sd_task_read(target, &task))
	{
		SdEntry    *entry = sd_log_entry(target);

		/* the intent was recorded before this region's time: what has never begun needs no cleaning up */
		if (!ok || entry == NULL)
			return true;
		record_intent(target, entry, true);
		return false;
	}
	if (ok)
	{
		/* others could: whatever was in the way here, go on trying */
		if (task.state == SD_TASK_FAILED)
			sd_task_set_state(target, SD_TASK_OPEN);
		return task.state == SD_TASK_DONE || task.state == SD_TASK_APPLIED;
	}
	if (task.state == SD_TASK_OPEN || task.state == SD_TASK_DONE || task.state == SD_TASK_FAILED)
		sd_task_set_state(target, SD_TASK_UNDO);
	return task.state == SD_TASK_UNDONE || task.state == SD_TASK_CANCELLED;
}

void
sd_replay_close_task(int64 target, bool ok)
{
	SdEntry    *entry = sd_log_entry(target);
	Jsonb	   *payload = entry ? sd_entry_payload(entry) : NULL;
	SdTask		task;

	if (sd_task_read(target, &task))
		sd_task_set_state(target, ok ? SD_TASK_APPLIED : SD_TASK_CANCELLED);
	if (payload == NULL || sd_json_object(payload, "plain") != NULL)
		sd_touched_everything(sd_capture_touched());
	else
		sd_frozen_touch(sd_capture_touched(), sd_online_names_read(sd_json_object(payload, "relations")));
}

/* What the entry worked on is hashed again, and must be what it is where the result was proposed. */
static void
close_entry(const SdPlan *plan, const SdDigest *before, SdDigest *after)
{
	Jsonb	   *payload = sd_entry_payload(plan->entry);
	List	   *changed;
	List	   *beside;
	SdScope		scope;

	sd_store_enter(&scope);
	sd_replay_close_task(plan->entry->target, says_ok(plan->entry));
	*after = sd_digest_update(sd_capture_touched(), &changed, &beside);
	sd_verify_entry(plan->version, payload, before, changed, beside, after);
	sd_drift_thaw();
	sd_store_leave(&scope);
}

/* Of what makes the group's what one region had: that region itself, and who did the same, has nothing to run. */
static bool
is_already_there(Jsonb *payload)
{
	SdScope		scope;
	bool		already;

	if (!sd_entry_accepts(payload))
		return false;
	sd_store_enter(&scope);
	already = sd_drift_already(sd_json_object(payload, "objects")) && sd_drift_beside_already(payload);
	sd_store_leave(&scope);
	return already;
}

typedef struct Frozen
{
	const SdEntry *entry;
	Jsonb	   *payload;
} Frozen;

static void
run_frozen(void *arg)
{
	const Frozen *frozen = arg;

	run_payload(frozen->entry, frozen->payload);
}

static void
run(const SdPlan *plan, const SdDigest *before, SdDigest *after)
{
	Jsonb	   *payload = sd_entry_payload(plan->entry);
	SdTimeLimit limit = sd_time_limit_start(sd_options_timeout_ms(sd_json_object(payload, "options")));
	List	   *changed;
	List	   *beside;
	SdScope		scope;

	sd_roles_begin_entry(sd_json_text(payload, SD_DATABASE_KEY));
	if (!is_already_there(payload))
		sd_fill_work_frozen(sd_entry_frozen_at(payload), run_frozen, &(Frozen) {plan->entry, payload});
	sd_roles_end_entry();
	write_rows(payload, SD_EXECUTING_ENTRY);
	sd_time_limit_end(&limit);

	sd_store_enter(&scope);
	*after = sd_digest_update(sd_capture_touched(), &changed, &beside);
	sd_verify_entry(plan->version, payload, before, changed, beside, after);
	sd_store_leave(&scope);
}

List *
sd_replay_roles(const SdPlan *plan)
{
	Jsonb	   *payload = sd_entry_payload(plan->entry);
	Jsonb	   *commands = sd_json_object(payload, "commands");
	Jsonb	   *run_as = sd_json_object(payload, "run_as");
	List	   *roles = list_make1(plan->entry->author);
	List	   *all = NIL;
	ListCell   *lc;

	if (commands)
		foreach(lc, sd_commands_from_json(sd_json_serialized(commands)))
			all = lappend(all, ((SdCommand *) lfirst(lc))->run_as);
	else if (run_as)
		all = lappend(all, sd_run_as_from_json(sd_json_serialized(run_as)));
	foreach(lc, list_concat(sd_history_from_json(sd_json_object(payload, SD_UNDO_ROWS_KEY)),
							sd_history_from_json(sd_json_object(payload, SD_ROWS_KEY))))
		all = lappend(all, ((SdHistoryRows *) lfirst(lc))->run_as);
	foreach(lc, all)
	{
		roles = lappend(roles, ((SdRunAs *) lfirst(lc))->session_user);
		roles = lappend(roles, ((SdRunAs *) lfirst(lc))->user);
	}
	return roles;
}

void
sd_replay_execute(const SdPlan *plan, const SdApplied *applied, TimestampTz since, int attempts)
{
	SdScope		scope;
	SdDigest	before;
	SdDigest	after;

	memcpy(after.byte, applied->digest, SD_DIGEST_LENGTH);
	if (plan->action == SD_REPLAY_RUN || plan->action == SD_REPLAY_RESULT)
	{
		sd_store_enter(&scope);
		before = sd_drift_logged_root_of(&after);
		sd_store_leave(&scope);
	}
	if (plan->action == SD_REPLAY_RUN)
		run(plan, &before, &after);
	/* what it takes back was never run here, but who took it back wrote rows of his own */
	if (plan->action == SD_REPLAY_SKIP && plan->taken_back_by == 0)
		sd_history_write(sd_history_from_json(sd_json_object(sd_entry_payload(plan->entry), SD_ROWS_KEY)), SD_EXECUTING_ENTRY);
	if (plan->action == SD_REPLAY_ONLINE)
		require_allowed(plan->entry);
	if (plan->action == SD_REPLAY_RESULT)
		close_entry(plan, &before, &after);

	sd_store_enter(&scope);
	if (plan->action == SD_REPLAY_ONLINE)
		record_intent(plan->version, plan->entry, false);
	sd_applied_advance(plan->version, &plan->chain, after.byte);
	sd_execution_insert(plan->version, plan->action == SD_REPLAY_SKIP ? "skipped" : "applied", since, attempts,
						plan->reason);
	if (strcmp(plan->entry->kind, SD_KIND_POLICY) == 0)
	{
		(void) sd_drift_rebase(&after);
		/* it is in the log, so it is in force: sessions shall look at it */
		if (sd_shared_mine())
			pg_atomic_write_u64(&sd_shared_mine()->history_policy, (uint64) plan->version);
	}
	sd_store_leave(&scope);
}

/*
 * What was done by hand was the schema: without the row the tool would do it again.  Where that cannot be written the caller, who is
 * past what halted this region, is told.
 */
static void
write_missing_rows(void *arg)
{
	write_rows(arg, SD_EXECUTING_SCRIPT);
}

static void
try_rows(const SdPlan *plan)
{
	ErrorData  *error = sd_attempt(write_missing_rows, sd_entry_payload(plan->entry), true);

	if (error)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("rows of a migration tool's history were not written: %s", error->message),
				 errdetail("They came with version " INT64_FORMAT "; %s.", plan->version, error->context ? error->context : "")));
}

void
sd_replay_mark(const SdPlan *plan, TimestampTz since, int attempts, const char *reason)
{
	SdScope		scope;
	SdDigest	after;
	List	   *changed;
	List	   *beside;

	if (plan->action == SD_REPLAY_RUN)
		try_rows(plan);
	sd_store_enter(&scope);
	if (plan->action == SD_REPLAY_ONLINE)
		record_intent(plan->version, plan->entry, false);
	if (plan->action == SD_REPLAY_RESULT)
		sd_replay_close_task(plan->entry->target, says_ok(plan->entry));
	/* whoever did it by hand may have done it past our hooks */
	after = sd_digest_rebuild_changed(&changed, &beside);
	if (plan->action == SD_REPLAY_RUN || plan->action == SD_REPLAY_RESULT)
		sd_verify_entry(plan->version, sd_entry_payload(plan->entry), NULL, changed, beside, &after);
	else
		sd_drift_found(changed, beside);
	if (plan->action == SD_REPLAY_RESULT)
		sd_drift_thaw();
	sd_applied_advance(plan->version, &plan->chain, after.byte);
	sd_execution_insert(plan->version, plan->action == SD_REPLAY_SKIP ? "skipped" : "applied", since, attempts, reason);
	sd_store_leave(&scope);
}
