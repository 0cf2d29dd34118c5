/*
 * preflight_here.c: what may be in the way of a script in this region; see preflight.h.
 *
 * Locks: none that anybody waits for.  The analysis runs with the author's rights, because planning may evaluate the author's
 * expressions; what others hold is read with the extension owner's.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "analysis/analyze.h"
#include "ddl/allowed.h"
#include "ddl/drift.h"
#include "ddl/names.h"
#include "ddl/script.h"
#include "functions/look.h"
#include "functions/preflight.h"
#include "functions/rehearse_queries.h"
#include "gate/mode.h"
#include "gate/policy.h"
#include "paste.h"
#include "settings.h"
#include "store/drift.h"
#include "store/names.h"
#include "store/rows.h"
#include "texts.h"

/* From then on a transaction is long. */
#define LONG_S		60

/* More of them say nothing more. */
#define HOLDERS_MOST	20

/* A monitoring system reads metrics more often than that. */
#define METRICS_MS	(5 * 60 * 1000)

typedef struct Look
{
	const char *up;
	List	   *steps;			/* of SdStep */
	List	   *relations;		/* that are there already: identities, of char *, ... */
	Datum		oids;			/* ... and themselves, oid[] */
	bool		queries;
	TimestampTz frozen_at;
	List	   *findings;
} Look;

static void
add(Look *look, const char *check, const char *status, char *detail, char *remedy)
{
	SdFinding  *finding = palloc(sizeof(SdFinding));

	*finding = (SdFinding) {check, status, detail, remedy};
	look->findings = lappend(look->findings, finding);
}

/* ---- the script ---- */

static void
analyze(void *arg)
{
	Look	   *look = arg;
	SdGroundRules ground = sd_gate_ground_rules(NULL);

	ground.frozen_at = look->frozen_at;
	look->steps = sd_analyze(look->up, &ground);
}

/* As drift has it, whatever it is called in the script. */
static char *
identity_of(Oid relation)
{
	StringInfoData out;

	initStringInfo(&out);
	sd_append_relation(&out, relation);
	return out.data;
}

static void
find_targets(Look *look)
{
	List	   *found = NIL;
	Datum	   *oids;
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, look->steps)
		foreach(inner, ((SdStep *) lfirst(cell))->relations)
		{
			SdStepRelation *relation = lfirst(inner);

			found = relation->members ? list_concat(found, list_copy(relation->members)) : lappend_oid(found, relation->oid);
		}
	oids = palloc(sizeof(Datum) * list_length(found));
	foreach(cell, found)
	{
		oids[foreach_current_index(cell)] = ObjectIdGetDatum(lfirst_oid(cell));
		look->relations = lappend(look->relations, identity_of(lfirst_oid(cell)));
	}
	look->oids = PointerGetDatum(construct_array(oids, list_length(found), OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

static void
check_verdicts(Look *look)
{
	ListCell   *cell;
	int			seen = 0;

	foreach(cell, look->steps)
	{
		SdStep	   *step = lfirst(cell);

		if (step->verdict != SD_STEP_UNSAFE)
			continue;
		add(look, "analysis", SD_FINDING_WARNING,
			psprintf("statement %d, at line %d, %s, is unsafe: %s", step->number, step->line, step->command, step->why ? step->why : step->rule),
			step->safer ? step->safer : pstrdup("SELECT * FROM schemadrift.analyze(...)"));
		seen++;
	}
	if (seen == 0)
		add(look, "analysis", SD_FINDING_OK, psprintf(list_length(look->steps) == 1 ? "%d statement, not unsafe" : "%d statements, none is unsafe", list_length(look->steps)), NULL);
}

/* ---- names ---- */

static void
check_needs(Look *look, List *needs)
{
	SdScope		scope;
	char	   *names;
	int64		version;
	ListCell   *cell;
	int			missing = 0;

	sd_store_enter(&scope);
	names = sd_names_own(&version);
	MemoryContextSwitchTo(scope.caller);
	foreach(cell, needs)
	{
		const char *need = lfirst(cell);
		const char *name = strchr(need, ':') ? strchr(need, ':') + 1 : need;
		char	   *remedy;

		if (sd_names_missing(names, list_make1(unconstify(char *, need))) == NULL)
			continue;
		missing++;
		if (strncmp(need, "role:", 5) == 0)
			remedy = psprintf("CREATE ROLE %s;", quote_identifier(name));
		else if (strncmp(need, "extension:", 10) == 0)
			remedy = psprintf("-- install the files of extension %s on that server", sd_paste_identifier(name));
		else if (strncmp(need, "tablespace:", 11) == 0)
			remedy = psprintf("CREATE TABLESPACE %s LOCATION '...';", quote_identifier(name));
		else
			remedy = sd_paste_comment(psprintf("bring %s to that server", need));
		add(look, "names", SD_FINDING_FAILED, psprintf("there is no %.*s \"%s\"", (int) (name - need - 1), need, name), remedy);
	}
	sd_store_leave(&scope);
	if (missing == 0)
		add(look, "names", SD_FINDING_OK, psprintf("no role, extension or the like is missing (it names %d)", list_length(needs)), NULL);
}

/* Policy "roles" has the same statements run everywhere; whether roles are the same nothing else shows. */
static void
check_roles(Look *look, List *told)
{
	List	   *unlike = told == NIL ? NIL : sd_preflight_unlike_roles(told);
	ListCell   *cell;

	if (told == NIL)
		return;
	foreach(cell, unlike)
		add(look, "roles", SD_FINDING_WARNING, lfirst(cell),
			pstrdup("SET schemadrift.ddl_mode = off; -- and make it what it is there, or there what it is here"));
	if (unlike == NIL)
		add(look, "roles", SD_FINDING_OK, psprintf(list_length(told) == 1 ? "%d role is the same" : "%d roles are the same", list_length(told)), NULL);
}

/* Names that the script needs, and what is told of roles. */
static List *
take_roles(List **needs)
{
	List	   *roles = NIL;
	List	   *others = NIL;
	ListCell   *cell;

	foreach(cell, *needs)
	{
		if (strncmp(lfirst(cell), SD_PREFLIGHT_ROLE, strlen(SD_PREFLIGHT_ROLE)) == 0)
			roles = lappend(roles, lfirst(cell));
		else
			others = lappend(others, lfirst(cell));
	}
	*needs = others;
	return roles;
}

static void
check_author(Look *look, const SdRunAs *run_as)
{
	const char *why = sd_role_refused(run_as->user);

	if (why == NULL)
		why = sd_role_refused(run_as->session_user);
	if (why)
		add(look, "author", SD_FINDING_FAILED, psprintf("%s", why), psprintf("%s", sd_role_allow_hint(run_as->user)));
	else
		add(look, "author", SD_FINDING_OK, psprintf("what role \"%s\" changes is run", run_as->user), NULL);
}

/* ---- who is in the way ---- */

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
is_in_the_way(const Look *look, Oid relation, LOCKMODE held)
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
static void
check_holders(Look *look)
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
		add(look, "locks", seconds * 1000 > sd_lock_timeout ? SD_FINDING_FAILED : SD_FINDING_WARNING,
			psprintf("pid %s of role %s has held %s on %s, in a transaction that began " INT64_FORMAT " s ago and is %s%s%s", pid,
					 sd_store_text(i, 6), sd_store_text(i, 5), table, seconds, sd_store_text(i, 8),
					 look->queries && query ? ": " : "", look->queries && query ? query : ""),
			psprintf("SELECT pg_terminate_backend(%s);", pid));
	}
	sd_store_leave(&scope);
	if (found == 0)
		add(look, "locks", SD_FINDING_OK, pstrdup("nobody holds a lock that what it changes would wait for"), NULL);
}

static void
check_long(Look *look)
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
		add(look, "long transactions", SD_FINDING_WARNING,
			psprintf("pid %s of role %s has a transaction open for " INT64_FORMAT " s (%s)", sd_store_text(i, 1), sd_store_text(i, 2),
					 sd_store_int64(i, 3), sd_store_text(i, 4)),
			psprintf("SELECT pg_terminate_backend(%s);", sd_store_text(i, 1)));
	sd_store_leave(&scope);
	if (n == 0)
		add(look, "long transactions", SD_FINDING_OK, psprintf("none is open for %d s", LONG_S), NULL);
}

static void
check_prepared(Look *look)
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

		add(look, "prepared transactions", table ? SD_FINDING_FAILED : SD_FINDING_WARNING,
			psprintf("%s of role %s, prepared " INT64_FORMAT " s ago%s%s", gid, sd_store_text(i, 2), sd_store_int64(i, 3),
					 table ? ", holds a lock on " : "", table ? table : ""),
			psprintf("COMMIT PREPARED %s; -- or ROLLBACK PREPARED %s", gid, gid));
	}
	sd_store_leave(&scope);
	if (n == 0)
		add(look, "prepared transactions", SD_FINDING_OK, pstrdup("there are none"), NULL);
}

/* ---- the region ---- */

static bool
is_about(const SdDriftRow *row, const List *relations)
{
	ListCell   *cell;

	foreach(cell, relations)
		if (sd_drift_hangs_on(row, lfirst(cell)))
			return true;
	return false;
}

static void
check_drift(Look *look)
{
	SdScope		scope;
	List	   *rows;
	ListCell   *cell;
	int			others = 0;
	int			own = 0;

	sd_store_enter(&scope);
	rows = sd_drift_rows(NULL);
	sd_store_leave(&scope);
	foreach(cell, rows)
	{
		SdDriftRow *row = lfirst(cell);

		if (!is_about(row, look->relations))
		{
			others++;
			continue;
		}
		own++;
		add(look, "drift", SD_FINDING_FAILED, psprintf("%s %s, which it changes, is not what the log says", row->kind, row->identity),
			pstrdup("SELECT * FROM schemadrift.repair_plan();"));
	}
	if (others > 0)
		add(look, "drift", SD_FINDING_WARNING, psprintf("%d other objects are not what the log says", others),
			pstrdup("SELECT * FROM schemadrift.drift;"));
	else if (own == 0)
		add(look, "drift", SD_FINDING_OK, pstrdup("the schema is what the log says"), NULL);
}

/* ---- what applications rely on ---- */

static bool
is_target(const Look *look, Oid relation)
{
	ArrayType  *oids = DatumGetArrayTypeP(look->oids);
	const Oid  *oid = (const Oid *) ARR_DATA_PTR(oids);

	for (int i = 0; i < ArrayGetNItems(ARR_NDIM(oids), ARR_DIMS(oids)); i++)
		if (oid[i] == relation)
			return true;
	return false;
}

/* What a plan uses, and whether the script is about that. */
static char *
plan_text(const Look *look, const SdQueryPlan *plan)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	appendStringInfoString(&out, plan->indexes == NIL ? "uses no index" : "uses ");
	foreach(cell, plan->indexes)
		appendStringInfo(&out, "%s%s", foreach_current_index(cell) > 0 ? ", " : "", ((SdIndexUse *) lfirst(cell))->name);
	foreach(cell, plan->relations)
		if (is_target(look, lfirst_oid(cell)))
		{
			appendStringInfo(&out, "; depends on %s, which the script changes", get_rel_name(lfirst_oid(cell)));
			break;
		}
	return out.data;
}

/* As they are planned now; the script is not run, so how afterwards is dry_run()'s to say. */
static void
check_queries(Look *look, Oid asker)
{
	List	   *live = sd_queries_live();
	int			nest_level = NewGUCNestLevel();
	ListCell   *cell;

	sd_set_lock_timeout(sd_dry_run_lock_timeout, GUC_ACTION_SAVE);
	foreach(cell, live)
	{
		SdQuery    *query = lfirst(cell);
		SdQueryPlan plan;
		char	   *withheld = sd_query_withheld(query, asker);
		ErrorData  *error;

		if (withheld)
		{
			add(look, "queries", SD_FINDING_UNKNOWN, withheld,
				psprintf("-- call preflight() as a member of that role, or register query %s as the role of the application", sd_paste_literal(query->name)));
			continue;
		}
		error = sd_query_try(query, &plan);
		if (error == NULL)
			add(look, "queries", SD_FINDING_OK, psprintf("query \"%s\" %s", query->name, plan_text(look, &plan)), NULL);
		else if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
			add(look, "queries", SD_FINDING_UNKNOWN, psprintf("query \"%s\" was not planned: %s", query->name, error->message),
				pstrdup("SELECT * FROM pg_locks WHERE NOT granted OR mode = 'AccessExclusiveLock';"));
		else
			add(look, "queries", SD_FINDING_WARNING, psprintf("query \"%s\" fails already: %s (%s)", query->name, error->message,
															  unpack_sql_state(error->sqlerrcode)),
				psprintf("SELECT schemadrift.unregister_query(%s); -- or mend what it needs", sd_paste_literal(query->name)));
	}
	AtEOXact_GUC(false, nest_level);
	if (live == NIL)
		add(look, "queries", SD_FINDING_OK, pstrdup("no query is registered that is live"), NULL);
}

static void
check_region(Look *look)
{
	SdHere	   *here = sd_here();
	int64		lag = here->db && here->coordinator ? here->db->lag_ms : -1;

	if (here->db == NULL || !here->coordinator)
		add(look, "state", SD_FINDING_FAILED, pstrdup("no coordinator runs"), pstrdup("SELECT * FROM schemadrift.status;"));
	else if (here->db->halted_at > 0)
		add(look, "state", SD_FINDING_FAILED, psprintf("it is halted before version " INT64_FORMAT, here->db->halted_at),
			pstrdup("SELECT * FROM schemadrift.status;"));
	else if (here->applied.version < Max(here->head.version, here->db->heard_head))
		add(look, "state", SD_FINDING_WARNING, psprintf("version " INT64_FORMAT " of " INT64_FORMAT " is applied", here->applied.version,
														Max(here->head.version, here->db->heard_head)),
			psprintf("CALL schemadrift.wait_for(" INT64_FORMAT ");", Max(here->head.version, here->db->heard_head)));
	else
		add(look, "state", SD_FINDING_OK, psprintf("version " INT64_FORMAT " is applied, the newest", here->applied.version), NULL);

	if (lag < 0)
		add(look, "replica lag", SD_FINDING_UNKNOWN, pstrdup("not known, or nothing is replicated"), pstrdup("SELECT * FROM pg_stat_replication;"));
	else
		add(look, "replica lag", sd_replication_lag_limit > 0 && lag > sd_replication_lag_limit ? SD_FINDING_WARNING : SD_FINDING_OK,
			psprintf("replicas and subscribers are " INT64_FORMAT " ms behind", lag),
			sd_replication_lag_limit > 0 && lag > sd_replication_lag_limit ? pstrdup("SELECT * FROM pg_stat_replication;") : NULL);
}

/* Whoever watches will see what the change does. */
static void
check_metrics(Look *look)
{
	SdDatabase *db = sd_shared_mine();
	TimestampTz at = 0;

	if (db)
	{
		LWLockAcquire(&db->lock, LW_SHARED);
		at = db->metrics_read_at;
		LWLockRelease(&db->lock);
	}
	if (at == 0 || TimestampDifferenceMilliseconds(at, GetCurrentTimestamp()) > METRICS_MS)
		add(look, "metrics", SD_FINDING_WARNING, pstrdup(at ? "nobody has read view metrics for five minutes" : "nobody has read view metrics since the server's start"),
			pstrdup("SELECT * FROM schemadrift.metrics; -- by a monitoring system: docs/monitoring"));
	else
		add(look, "metrics", SD_FINDING_OK, pstrdup("view metrics is read"), NULL);
}

List *
sd_preflight(const char *up, const SdRunAs *run_as, List *needs, List *extensions, bool queries, TimestampTz frozen_at)
{
	Look		look = {.up = up, .queries = queries, .frozen_at = frozen_at};
	List	   *roles = take_roles(&needs);

	(void) sd_gate_group_mode();
	check_region(&look);
	check_metrics(&look);
	check_author(&look, run_as);
	check_needs(&look, needs);
	check_roles(&look, roles);
	look.findings = list_concat(look.findings, sd_extension_findings(extensions));
	/* where the role is missing nothing can be looked at with its rights */
	if (!OidIsValid(get_role_oid(run_as->user, true)) || sd_role_refused(run_as->user))
		return look.findings;
	sd_script_work_as(run_as, SD_EXECUTING_ENTRY, analyze, &look);
	find_targets(&look);
	check_verdicts(&look);
	check_holders(&look);
	check_long(&look);
	check_prepared(&look);
	check_drift(&look);
	look.findings = list_concat(look.findings, sd_disk_findings(look.steps));
	check_queries(&look, get_role_oid(run_as->user, false));
	return look.findings;
}
