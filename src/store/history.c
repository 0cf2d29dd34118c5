/*
 * history.c: what was proposed and what became of it; see history.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/entry.h"
#include "store/history.h"
#include "store/protocol.h"
#include "store/state.h"
#include "store/task.h"

int64
sd_history_newest(const char *name, int64 *taken_back)
{
	static SdStatement statement = {
		.sql = "SELECT l.version, schemadrift_store.taken_back(l.version) FROM schemadrift_store.log l "
		"WHERE l.name = $1 AND (l.kind = 'migration' OR (l.kind = 'online' AND l.target IS NULL)) ORDER BY l.version DESC LIMIT 1",
		.nargs = 1, .types = {TEXTOID}
	};

	static SdStatement older = {
		.sql = "SELECT l.version, t.version FROM schemadrift_store.log l "
		"LEFT JOIN schemadrift_store.log t ON t.target = l.version AND t.kind IN ('revert', 'supersede') "
		"WHERE l.name = $1 AND l.kind = 'migration' ORDER BY l.version DESC, t.version LIMIT 1",
		.nargs = 1, .types = {TEXTOID}
	};

	*taken_back = 0;
	if (sd_store_run(sd_store_has("task") ? &statement : &older, (Datum[]) {CStringGetTextDatum(name)}, NULL, SD_ANY_ROWS) == 0)
		return 0;
	*taken_back = sd_store_int64(0, 2);
	return sd_store_int64(0, 1);
}

int64
sd_history_taken_back(int64 version)
{
	static SdStatement statement = {
		.sql = "SELECT schemadrift_store.taken_back($1)",
		.nargs = 1, .types = {INT8OID}
	};

	static SdStatement older = {
		.sql = "SELECT min(version) FROM schemadrift_store.log WHERE target = $1 AND kind IN ('revert', 'supersede')",
		.nargs = 1, .types = {INT8OID}
	};

	sd_store_run(sd_store_has("task") ? &statement : &older, (Datum[]) {Int64GetDatum(version)}, NULL, 1);
	return sd_store_int64(0, 1);
}

const char *
sd_history_execution(int64 version)
{
	static SdStatement statement = {
		.sql = "SELECT state FROM schemadrift_store.execution WHERE version = $1", .nargs = 1, .types = {INT8OID}
	};

	if (sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) == 0)
		return NULL;
	return sd_store_text(0, 1);
}

/* Of an online entry: once the result that says so is, too.  One that failed stays chosen, and is never more. */
static bool
is_applied(int64 version)
{
	static SdStatement online = {
		.sql = "SELECT 1 FROM schemadrift_store.log WHERE version = $1 AND kind = 'online'", .nargs = 1, .types = {INT8OID}
	};
	SdApplied	applied;
	int64		result;
	char	   *outcome;

	sd_applied_read(&applied);
	if (applied.version < version || sd_store_run(&online, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) == 0)
		return applied.version >= version;
	result = sd_task_result(version, &outcome);
	return result > 0 && result <= applied.version && strcmp(outcome, "ok") == 0;
}

/*
 * In the log: chosen, for ever.  A version that holds another entry can never hold this one, and an entry is never
 * moved to another version by us; an attempt is closed only where every vote that could count was refused.  So what
 * this answers for an id changes only from undecided to one of the others, and from chosen to applied.
 */
const char *
sd_history_outcome(const pg_uuid_t *entry_id)
{
	static SdStatement tried = {
		.sql = "SELECT version, bool_or(closed) FROM ("
		"SELECT version, closed FROM schemadrift_store.attempt WHERE entry_id = $1 "
		"UNION ALL SELECT version, false FROM schemadrift_store.accepted WHERE entry_id = $1) t "
		"GROUP BY version ORDER BY version DESC LIMIT 1",
		.nargs = 1, .types = {UUIDOID}
	};
	Datum		values[] = {UUIDPGetDatum((pg_uuid_t *) entry_id)};
	int64		version = sd_log_find_id(entry_id);
	SdHead		head;
	bool		isnull;

	if (version > 0)
		return is_applied(version) ? "applied" : "chosen";
	if (sd_store_run(&tried, values, NULL, SD_ANY_ROWS) == 0)
		return NULL;
	version = sd_store_int64(0, 1);
	if (DatumGetBool(sd_store_value(0, 2, &isnull)))
		return "rejected";
	sd_log_head(&head);
	if (head.version < version)
		return "undecided";

	/* learned between our two looks? */
	return sd_log_find_id(entry_id) > 0 ? "chosen" : "rejected";
}

/*
 * Was it taken back, or is it what takes back another of that name?  Either way apply() would run the migration again.  Only told by name:
 * of an id it would be a second answer.
 */
static bool
is_reverted(int64 version)
{
	SdEntry    *entry = version > 0 ? sd_log_entry(version) : NULL;
	int64		by = version > 0 ? sd_history_taken_back(version) : 0;

	if (entry && (strcmp(entry->kind, SD_KIND_REVERT) == 0 || strcmp(entry->kind, SD_KIND_SUPERSEDE) == 0 ||
				  (strcmp(entry->kind, SD_KIND_ONLINE) == 0 && entry->target > 0 && is_applied(version))))
		return true;
	entry = by > 0 ? sd_log_entry(by) : NULL;
	/* a result is its own failure, which was never more than chosen */
	return by > 0 && !(entry && strcmp(entry->kind, SD_KIND_RESULT) == 0);
}

const char *
sd_history_outcome_of_name(const char *name)
{
	/*
	 * An attempt has the name that its transaction began with.  If that was rolled back to a savepoint, its entry may have
	 * become another migration.
	 */
	static SdStatement statement = {
		.sql = "SELECT entry_id, EXISTS (SELECT FROM schemadrift_store.log l WHERE l.entry_id = t.entry_id "
		"AND l.name IS DISTINCT FROM $1) FROM ("
		"SELECT entry_id, version, NULL::timestamptz AS at FROM schemadrift_store.log WHERE name = $1 AND kind IN ('migration', 'online') "
		"UNION ALL SELECT entry_id, version, at FROM schemadrift_store.attempt WHERE name = $1) t "
		"ORDER BY version DESC, at DESC NULLS LAST LIMIT 1",
		.nargs = 1, .types = {TEXTOID}
	};
	bool		isnull;
	pg_uuid_t	entry_id;
	const char *outcome;

	if (sd_store_run(&statement, (Datum[]) {CStringGetTextDatum(name)}, NULL, SD_ANY_ROWS) == 0)
		return NULL;
	if (DatumGetBool(sd_store_value(0, 2, &isnull)))
		return "rejected";
	entry_id = *DatumGetUUIDP(sd_store_value(0, 1, &isnull));
	outcome = sd_history_outcome(&entry_id);
	return outcome && is_reverted(sd_log_find_id(&entry_id)) ? "reverted" : outcome;
}
