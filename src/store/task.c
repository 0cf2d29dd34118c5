/*
 * task.c: this region's share of online entries; see task.h.
 *
 * Coordinator, applier, task worker, backends.  Rows are locked by the statements that write them, for moments.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/protocol.h"
#include "store/sql.h"
#include "store/task.h"

static const char *const state_texts[] = {
	[SD_TASK_OPEN] = "open",
	[SD_TASK_DONE] = "done",
	[SD_TASK_FAILED] = "failed",
	[SD_TASK_UNDO] = "undo",
	[SD_TASK_UNDONE] = "undone",
	[SD_TASK_APPLIED] = "applied",
	[SD_TASK_CANCELLED] = "cancelled",
};

const char *
sd_task_state_text(SdTaskState state)
{
	return state_texts[state];
}

static SdTaskState
parse_state(const char *text)
{
	for (size_t i = 0; i < lengthof(state_texts); i++)
		if (strcmp(text, state_texts[i]) == 0)
			return (SdTaskState) i;
	elog(ERROR, "unknown state of a task: \"%s\"", text);
}

void
sd_task_insert(int64 version, Jsonb *relations, bool adopted)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.task (version, state, begun, relations) VALUES ($1, 'open', $2, $3)",
		.nargs = 3, .types = {INT8OID, BOOLOID, JSONBOID}
	};

	sd_store_run(&statement, (Datum[]) {Int64GetDatum(version), BoolGetDatum(adopted), JsonbPGetDatum(relations)}, NULL, 1);
}

#define COLUMNS \
	"SELECT t.version, t.state, t.step, t.begun::int, t.undo_step, t.attempts, t.retry_at, t.error, l.origin, l.author, " \
	"coalesce(l.name, l.kind) FROM schemadrift_store.task t JOIN schemadrift_store.log l ON l.version = t.version "

static void
fill(SdTask *task, uint64 row)
{
	bool		isnull;
	Datum		retry;

	task->version = sd_store_int64(row, 1);
	task->state = parse_state(sd_store_text(row, 2));
	task->step = sd_store_int32(row, 3);
	task->begun = sd_store_int32(row, 4) != 0;
	task->undo_step = sd_store_int32(row, 5);
	task->attempts = sd_store_int32(row, 6);
	retry = sd_store_value(row, 7, &isnull);
	task->retry_at = isnull ? 0 : DatumGetTimestampTz(retry);
	task->error = sd_store_text(row, 8);
	task->origin = sd_store_text(row, 9);
	task->author = sd_store_text(row, 10);
	task->name = sd_store_text(row, 11);
}

bool
sd_task_read(int64 version, SdTask *task)
{
	static SdStatement statement = {.sql = COLUMNS "WHERE t.version = $1", .nargs = 1, .types = {INT8OID}};

	if (!sd_store_has("task") ||
		sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) == 0)
		return false;
	fill(task, 0);
	return true;
}

List *
sd_task_list(void)
{
	static SdStatement statement = {.sql = COLUMNS "WHERE t.state NOT IN ('applied', 'cancelled') ORDER BY t.version"};
	uint64		n = sd_store_has("task") ? sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) : 0;
	List	   *tasks = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		SdTask	   *task = palloc0(sizeof(SdTask));

		fill(task, i);
		tasks = lappend(tasks, task);
	}
	return tasks;
}

void
sd_task_set_state(int64 version, SdTaskState state)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.task SET state = $2, attempts = 0, retry_at = NULL, "
		"error = CASE WHEN $2 IN ('done', 'undone') THEN NULL ELSE error END, "
		"ended = CASE WHEN $2 = 'done' THEN clock_timestamp() ELSE ended END WHERE version = $1",
		.nargs = 2, .types = {INT8OID, TEXTOID}
	};

	sd_store_run(&statement, (Datum[]) {Int64GetDatum(version), CStringGetTextDatum(state_texts[state])}, NULL, 1);
}

void
sd_task_set_step(int64 version, int step, bool begun)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.task SET step = $2, begun = $3, "
		"attempts = CASE WHEN step = $2 THEN attempts ELSE 0 END, error = CASE WHEN step = $2 THEN error END WHERE version = $1",
		.nargs = 3, .types = {INT8OID, INT4OID, BOOLOID}
	};

	sd_store_run(&statement, (Datum[]) {Int64GetDatum(version), Int32GetDatum(step), BoolGetDatum(begun)}, NULL, 1);
}

void
sd_task_set_undo_step(int64 version, int step)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.task SET undo_step = $2, attempts = 0 WHERE version = $1",
		.nargs = 2, .types = {INT8OID, INT4OID}
	};

	sd_store_run(&statement, (Datum[]) {Int64GetDatum(version), Int32GetDatum(step)}, NULL, 1);
}

void
sd_task_set_trouble(int64 version, SdTaskState state, int64 pause_ms, const char *error)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.task SET state = $2, attempts = attempts + 1, error = $4, "
		"retry_at = clock_timestamp() + $3 * interval '1 ms' WHERE version = $1 AND state IN ('open', 'undo')",
		.nargs = 4, .types = {INT8OID, TEXTOID, INT8OID, TEXTOID}
	};
	Datum		values[] = {
		Int64GetDatum(version), CStringGetTextDatum(state_texts[state]), Int64GetDatum(pause_ms), CStringGetTextDatum(error)
	};

	sd_store_run(&statement, values, NULL, SD_ANY_ROWS);
}

void
sd_task_retry_now(int64 version)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.task SET retry_at = NULL WHERE version = $1", .nargs = 1, .types = {INT8OID}
	};

	sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS);
}

List *
sd_task_relations(void)
{
	static SdStatement statement = {
		.sql = "SELECT t.version, r FROM schemadrift_store.task t, jsonb_array_elements_text(t.relations) r "
		"WHERE t.state NOT IN ('applied', 'cancelled')"
	};
	uint64		n = sd_store_has("task") ? sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) : 0;
	List	   *relations = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		SdTaskRelation *relation = palloc(sizeof(SdTaskRelation));

		relation->version = sd_store_int64(i, 1);
		relation->identity = sd_store_text(i, 2);
		relations = lappend(relations, relation);
	}
	return relations;
}

int64
sd_task_missing(void)
{
	static SdStatement statement = {
		.sql = "SELECT l.version FROM schemadrift_store.log l, schemadrift_store.applied a "
		"WHERE l.kind = 'online' AND l.version <= a.version "
		"AND NOT EXISTS (SELECT FROM schemadrift_store.log r WHERE r.target = l.version AND r.kind = 'result') "
		"AND NOT EXISTS (SELECT FROM schemadrift_store.task t WHERE t.version = l.version) ORDER BY 1 LIMIT 1"
	};

	if (!sd_store_has("task") || sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return 0;
	return sd_store_int64(0, 1);
}

int64
sd_task_result(int64 version, char **outcome)
{
	static SdStatement statement = {
		.sql = "SELECT version, schemadrift_store.result_outcome(body) FROM schemadrift_store.log "
		"WHERE target = $1 AND kind = 'result' ORDER BY version LIMIT 1",
		.nargs = 1, .types = {INT8OID}
	};

	if (!sd_store_has("task") ||
		sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) == 0)
		return 0;
	if (outcome)
		*outcome = sd_store_text(0, 2);
	return sd_store_int64(0, 1);
}
