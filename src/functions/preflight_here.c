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
#include "functions/preflight_look.h"
#include "functions/rehearse_queries.h"
#include "gate/mode.h"
#include "gate/policy.h"
#include "paste.h"
#include "settings.h"
#include "store/drift.h"
#include "store/names.h"
#include "store/rows.h"
#include "texts.h"

/* A monitoring system reads metrics more often than that. */
#define METRICS_MS	(5 * 60 * 1000)

void
sd_preflight_add(SdPreflightLook *look, const char *check, const char *status, char *detail, char *remedy)
{
	SdFinding  *finding = palloc(sizeof(SdFinding));

	*finding = (SdFinding) {check, status, detail, remedy};
	look->findings = lappend(look->findings, finding);
}

/* ---- the script ---- */

static void
analyze(void *arg)
{
	SdPreflightLook *look = arg;
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
find_targets(SdPreflightLook *look)
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
check_verdicts(SdPreflightLook *look)
{
	ListCell   *cell;
	int			seen = 0;

	foreach(cell, look->steps)
	{
		SdStep	   *step = lfirst(cell);

		if (step->verdict != SD_STEP_UNSAFE)
			continue;
		sd_preflight_add(look, "analysis", SD_FINDING_WARNING,
			psprintf("statement %d, at line %d, %s, is unsafe: %s", step->number, step->line, step->command, step->why ? step->why : step->rule),
			step->safer ? step->safer : pstrdup("SELECT * FROM schemadrift.analyze(...)"));
		seen++;
	}
	if (seen == 0)
		sd_preflight_add(look, "analysis", SD_FINDING_OK, psprintf(list_length(look->steps) == 1 ? "%d statement, not unsafe" : "%d statements, none is unsafe", list_length(look->steps)), NULL);
}

/* ---- names ---- */

static void
check_needs(SdPreflightLook *look, List *needs)
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
			remedy = sd_paste_comment(psprintf("install the files of extension %s on that server", name));
		else if (strncmp(need, "tablespace:", 11) == 0)
			remedy = psprintf("CREATE TABLESPACE %s LOCATION '...';", quote_identifier(name));
		else
			remedy = sd_paste_comment(psprintf("bring %s to that server", need));
		sd_preflight_add(look, "names", SD_FINDING_FAILED, psprintf("there is no %.*s \"%s\"", (int) (name - need - 1), need, name), remedy);
	}
	sd_store_leave(&scope);
	if (missing == 0)
		sd_preflight_add(look, "names", SD_FINDING_OK, psprintf("no role, extension or the like is missing (it names %d)", list_length(needs)), NULL);
}

/* Policy "roles" has the same statements run everywhere; whether roles are the same nothing else shows. */
static void
check_roles(SdPreflightLook *look, List *told)
{
	List	   *unlike = told == NIL ? NIL : sd_preflight_unlike_roles(told);
	ListCell   *cell;

	if (told == NIL)
		return;
	foreach(cell, unlike)
		sd_preflight_add(look, "roles", SD_FINDING_WARNING, lfirst(cell),
			pstrdup("SET schemadrift.ddl_mode = off; SET schemadrift.bypass_reason = 'repair'; -- and make it what it is there, or there what it is here"));
	if (unlike == NIL)
		sd_preflight_add(look, "roles", SD_FINDING_OK, psprintf(list_length(told) == 1 ? "%d role is the same" : "%d roles are the same", list_length(told)), NULL);
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
check_author(SdPreflightLook *look, const SdRunAs *run_as)
{
	const char *why = sd_role_refused(run_as->user);

	if (why == NULL)
		why = sd_role_refused(run_as->session_user);
	if (why)
		sd_preflight_add(look, "author", SD_FINDING_FAILED, psprintf("%s", why), psprintf("%s", sd_role_allow_hint(run_as->user)));
	else
		sd_preflight_add(look, "author", SD_FINDING_OK, psprintf("what role \"%s\" changes is run", run_as->user), NULL);
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
check_drift(SdPreflightLook *look)
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
		sd_preflight_add(look, "drift", SD_FINDING_FAILED, psprintf("%s %s, which it changes, is not what the log says", row->kind, row->identity),
			pstrdup("SELECT * FROM schemadrift.repair_plan();"));
	}
	if (others > 0)
		sd_preflight_add(look, "drift", SD_FINDING_WARNING, psprintf("%d other objects are not what the log says", others),
			pstrdup("SELECT * FROM schemadrift.drift;"));
	else if (own == 0)
		sd_preflight_add(look, "drift", SD_FINDING_OK, pstrdup("the schema is what the log says"), NULL);
}

/* ---- what applications rely on ---- */

static bool
is_target(const SdPreflightLook *look, Oid relation)
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
plan_text(const SdPreflightLook *look, const SdQueryPlan *plan)
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
check_queries(SdPreflightLook *look, Oid asker)
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
			sd_preflight_add(look, "queries", SD_FINDING_UNKNOWN, withheld,
				psprintf("-- call preflight() as a member of that role, or register query %s as the role of the application", sd_paste_literal(query->name)));
			continue;
		}
		error = sd_query_try(query, &plan);
		if (error == NULL)
			sd_preflight_add(look, "queries", SD_FINDING_OK, psprintf("query \"%s\" %s", query->name, plan_text(look, &plan)), NULL);
		else if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
			sd_preflight_add(look, "queries", SD_FINDING_UNKNOWN, psprintf("query \"%s\" was not planned: %s", query->name, error->message),
				pstrdup("SELECT * FROM pg_locks WHERE NOT granted OR mode = 'AccessExclusiveLock';"));
		else
			sd_preflight_add(look, "queries", SD_FINDING_WARNING, psprintf("query \"%s\" fails already: %s (%s)", query->name, error->message,
															  unpack_sql_state(error->sqlerrcode)),
				psprintf("SELECT schemadrift.unregister_query(%s); -- or mend what it needs", sd_paste_literal(query->name)));
	}
	AtEOXact_GUC(false, nest_level);
	if (live == NIL)
		sd_preflight_add(look, "queries", SD_FINDING_OK, pstrdup("no query is registered that is live"), NULL);
}

static void
check_region(SdPreflightLook *look)
{
	SdHere	   *here = sd_here();
	int64		lag = here->db && here->coordinator ? here->db->lag_ms : -1;
	int			me = sd_config_find(&here->members.config, here->self.region);

	if (me >= 0 && here->members.config.member[me].suspended)
		sd_preflight_add(look, "state", SD_FINDING_WARNING, pstrdup("it is suspended: no change is made here, and nobody waits for it"),
						 psprintf("SELECT schemadrift.resume_region(%s);", sd_paste_literal(here->self.region)));
	else if (here->db == NULL || !here->coordinator)
		sd_preflight_add(look, "state", SD_FINDING_FAILED, pstrdup("no coordinator runs"), pstrdup("SELECT * FROM schemadrift.status;"));
	else if (here->db->halted_at > 0)
		sd_preflight_add(look, "state", SD_FINDING_FAILED, psprintf("it is halted before version " INT64_FORMAT, here->db->halted_at),
			pstrdup("SELECT * FROM schemadrift.status;"));
	else if (here->applied.version < Max(here->head.version, here->db->heard_head))
		sd_preflight_add(look, "state", SD_FINDING_WARNING, psprintf("version " INT64_FORMAT " of " INT64_FORMAT " is applied", here->applied.version,
														Max(here->head.version, here->db->heard_head)),
			psprintf("CALL schemadrift.wait_for(" INT64_FORMAT ");", Max(here->head.version, here->db->heard_head)));
	else
		sd_preflight_add(look, "state", SD_FINDING_OK, psprintf("version " INT64_FORMAT " is applied, the newest", here->applied.version), NULL);

	if (lag < 0)
		sd_preflight_add(look, "replica lag", SD_FINDING_UNKNOWN, pstrdup("not known, or nothing is replicated"), pstrdup("SELECT * FROM pg_stat_replication;"));
	else
		sd_preflight_add(look, "replica lag", sd_replication_lag_limit > 0 && lag > sd_replication_lag_limit ? SD_FINDING_WARNING : SD_FINDING_OK,
			psprintf("replicas and subscribers are " INT64_FORMAT " ms behind", lag),
			sd_replication_lag_limit > 0 && lag > sd_replication_lag_limit ? pstrdup("SELECT * FROM pg_stat_replication;") : NULL);
}

/* Whoever watches will see what the change does. */
static void
check_metrics(SdPreflightLook *look)
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
		sd_preflight_add(look, "metrics", SD_FINDING_WARNING, pstrdup(at ? "nobody has read view metrics for five minutes" : "nobody has read view metrics since the server's start"),
			pstrdup("SELECT * FROM schemadrift.metrics; -- by a monitoring system: docs/monitoring"));
	else
		sd_preflight_add(look, "metrics", SD_FINDING_OK, pstrdup("view metrics is read"), NULL);
}

List *
sd_preflight(const char *up, const SdRunAs *run_as, List *needs, List *extensions, bool queries, TimestampTz frozen_at)
{
	SdPreflightLook look = {.up = up, .queries = queries, .frozen_at = frozen_at};
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
	sd_preflight_holders(&look);
	sd_preflight_long(&look);
	sd_preflight_prepared(&look);
	check_drift(&look);
	look.findings = list_concat(look.findings, sd_disk_findings(look.steps));
	check_queries(&look, get_role_oid(run_as->user, false));
	return look.findings;
}
