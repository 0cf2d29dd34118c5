/*
 * preflight_locks.c: who is in the way of a script in this region: holders of locks, long and prepared transactions; see preflight.h.
 *
 * Runs in backends.  Reads what others hold with the extension owner's rights; takes no lock itself.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "analysis/analyze.h"
#include "functions/preflight_look.h"
#include "paste.h"
#include "settings.h"
#include "store/rows.h"

/* From then on a transaction is long. */
#define LONG_S		60

/* More of them say nothing more. */
#define HOLDERS_MOST	20

static LOCKMODE
mode_of(const char *name)
{
	for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
		if (strcmp(GetLockmodeName(DEFAULT_LOCKMETHOD, mode), name) == 0)
			return mode;
	return NoLock;
}

/* Would a statement of the script wait for it? */
static bool
is_in_the_way(const SdPreflightLook *look, Oid relation, LOCKMODE held)
{
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, look->steps)
		foreach(inner, ((SdStep *) lfirst(cell))->relations)
		{
			SdStepRelation *wanted = lfirst(inner);

			if ((wanted->oid == relation || list_member_oid(wanted->members, relation)) && DoLockModesConflict(wanted->lock, held))
				return true;
		}
	return false;
}

/* Sessions; prepared transactions have a check of their own. */
void
sd_preflight_holders(SdPreflightLook *look)
{
	static SdStatement statement = {
		.sql = "SELECT l.pid::text, l.relation::regclass::text, l.mode, l.relation::int8, "
		"upper(regexp_replace(replace(l.mode, 'Lock', ''), '([a-z])([A-Z])', '\\1 \\2', 'g')), coalesce(a.usename::text, 'nobody'), coalesce(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start)), 0)::bigint, "
		"coalesce(a.state, ''), left(regexp_replace(a.query, '\\s+', ' ', 'g'), 100) "
		"FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
		"WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY ($1) "
		"AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.pid <> pg_backend_pid() "
		"ORDER BY 7 DESC, 1, 2, array_position(ARRAY['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', "
		"'ShareLock', 'ShareUpdateExclusiveLock', 'RowExclusiveLock', 'RowShareLock', 'AccessShareLock'], l.mode)",
		.nargs = 1, .types = {OIDARRAYOID}
	};
	SdScope		scope;
	const char *pid_before = "";
	const char *table_before = "";
	int			found = 0;
	uint64		n;

	sd_store_enter(&scope);
	n = sd_store_run(&statement, &look->oids, NULL, SD_ANY_ROWS);
	MemoryContextSwitchTo(scope.caller);
	for (uint64 i = 0; i < n && found < HOLDERS_MOST; i++)
	{
		char	   *pid = sd_store_text(i, 1);
		char	   *table = sd_store_text(i, 2);
		LOCKMODE	mode = mode_of(sd_store_text(i, 3));
		int64		seconds = sd_store_int64(i, 7);
		char	   *query = sd_store_text(i, 9);

		/* the strongest of a session says it */
		if (strcmp(pid, pid_before) == 0 && strcmp(table, table_before) == 0)
			continue;
		if (!is_in_the_way(look, (Oid) sd_store_int64(i, 4), mode))
			continue;
		pid_before = pid;
		table_before = table;
		found++;
		sd_preflight_add(look, "locks", seconds * 1000 > sd_lock_timeout ? SD_FINDING_FAILED : SD_FINDING_WARNING,
			psprintf("pid %s of role %s has held %s on %s, in a transaction that began " INT64_FORMAT " s ago and is %s%s%s", pid,
					 sd_store_text(i, 6), sd_store_text(i, 5), table, seconds, sd_store_text(i, 8),
					 look->queries && query ? ": " : "", look->queries && query ? query : ""),
			psprintf("SELECT pg_terminate_backend(%s);", pid));
	}
	sd_store_leave(&scope);
	if (found == 0)
		sd_preflight_add(look, "locks", SD_FINDING_OK, pstrdup("nobody holds a lock that what it changes would wait for"), NULL);
}

void
sd_preflight_long(SdPreflightLook *look)
{
	static SdStatement statement = {
		.sql = "SELECT pid::text, coalesce(usename::text, 'nobody'), extract(epoch FROM clock_timestamp() - xact_start)::bigint, coalesce(state, '') "
		"FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' "
		"AND xact_start < clock_timestamp() - make_interval(secs => $1) ORDER BY xact_start LIMIT 5",
		.nargs = 1, .types = {FLOAT8OID}
	};
	SdScope		scope;
	uint64		n;

	sd_store_enter(&scope);
	n = sd_store_run(&statement, (Datum[]) {Float8GetDatum(LONG_S)}, NULL, SD_ANY_ROWS);
	MemoryContextSwitchTo(scope.caller);
	for (uint64 i = 0; i < n; i++)
		sd_preflight_add(look, "long transactions", SD_FINDING_WARNING,
			psprintf("pid %s of role %s has a transaction open for " INT64_FORMAT " s (%s)", sd_store_text(i, 1), sd_store_text(i, 2),
					 sd_store_int64(i, 3), sd_store_text(i, 4)),
			psprintf("SELECT pg_terminate_backend(%s);", sd_store_text(i, 1)));
	sd_store_leave(&scope);
	if (n == 0)
		sd_preflight_add(look, "long transactions", SD_FINDING_OK, psprintf("none is open for %d s", LONG_S), NULL);
}

void
sd_preflight_prepared(SdPreflightLook *look)
{
	static SdStatement statement = {
		.sql = "SELECT p.gid, p.owner::text, extract(epoch FROM clock_timestamp() - p.prepared)::bigint, "
		"(SELECT min(l.relation::regclass::text) FROM pg_locks l WHERE l.locktype = 'relation' AND l.pid IS NULL AND l.relation = ANY ($1) "
		"AND l.virtualtransaction IN (SELECT t.virtualtransaction FROM pg_locks t WHERE t.locktype = 'transactionid' AND t.pid IS NULL "
		"AND t.transactionid = p.transaction)) FROM pg_prepared_xacts p WHERE p.database = current_database() ORDER BY p.prepared LIMIT 10",
		.nargs = 1, .types = {OIDARRAYOID}
	};
	SdScope		scope;
	uint64		n;

	sd_store_enter(&scope);
	n = sd_store_run(&statement, &look->oids, NULL, SD_ANY_ROWS);
	MemoryContextSwitchTo(scope.caller);
	for (uint64 i = 0; i < n; i++)
	{
		char	   *table = sd_store_text(i, 4);
		char	   *gid = sd_paste_literal(sd_store_text(i, 1));

		sd_preflight_add(look, "prepared transactions", table ? SD_FINDING_FAILED : SD_FINDING_WARNING,
			psprintf("%s of role %s, prepared " INT64_FORMAT " s ago%s%s", gid, sd_store_text(i, 2), sd_store_int64(i, 3),
					 table ? ", holds a lock on " : "", table ? table : ""),
			psprintf("COMMIT PREPARED %s; -- or ROLLBACK PREPARED %s", gid, gid));
	}
	sd_store_leave(&scope);
	if (n == 0)
		sd_preflight_add(look, "prepared transactions", SD_FINDING_OK, pstrdup("there are none"), NULL);
}
