/*
 * query_plan.c: how the server would run a query now; see query_plan.h.
 *
 * Runs in backends.  The planner is asked itself, because EXPLAIN knows generic plans from 16 on only.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "nodes/plannodes.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parsetree.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "analysis/query_plan.h"
#include "ddl/capture.h"

/* ---- what may be a query ---- */

static bool
is_query(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_SelectStmt:
			return ((SelectStmt *) stmt)->intoClause == NULL;
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			return true;
		default:
			return false;
	}
}

RawStmt *
sd_query_parse(const char *text)
{
	List	   *parsed = sd_parse_quietly(text);

	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a query is one statement, and this text has %d", list_length(parsed)),
				 errhint("Register each by a name of its own.")));
	if (!is_query(linitial_node(RawStmt, parsed)->stmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("only SELECT, INSERT, UPDATE, DELETE and MERGE can be planned")));
	return linitial_node(RawStmt, parsed);
}

/* ---- what a plan uses ---- */

typedef struct Walk
{
	const PlannedStmt *planned;
	SdQueryPlan *result;
} Walk;

static void walk(Walk *w, Plan *plan);

static void
walk_list(Walk *w, List *plans)
{
	ListCell   *cell;

	foreach(cell, plans)
		walk(w, lfirst(cell));
}

static void
use_index(Walk *w, Oid index)
{
	SdIndexUse *use = palloc(sizeof(SdIndexUse));
	char	   *name = get_rel_name(index);

	use->index = index;
	use->table = IndexGetRelation(index, true);
	use->name = name ? quote_qualified_identifier(get_namespace_name(get_rel_namespace(index)), name) : psprintf("%u", index);
	w->result->indexes = lappend(w->result->indexes, use);
}

static void
walk(Walk *w, Plan *plan)
{
	if (plan == NULL)
		return;
	check_stack_depth();
	switch (nodeTag(plan))
	{
		case T_SeqScan:
			w->result->whole = list_append_unique_oid(w->result->whole, rt_fetch(((Scan *) plan)->scanrelid, w->planned->rtable)->relid);
			break;
		case T_IndexScan:
			use_index(w, ((IndexScan *) plan)->indexid);
			break;
		case T_IndexOnlyScan:
			use_index(w, ((IndexOnlyScan *) plan)->indexid);
			break;
		case T_BitmapIndexScan:
			use_index(w, ((BitmapIndexScan *) plan)->indexid);
			break;
		case T_Append:
			walk_list(w, ((Append *) plan)->appendplans);
			break;
		case T_MergeAppend:
			walk_list(w, ((MergeAppend *) plan)->mergeplans);
			break;
		case T_BitmapAnd:
			walk_list(w, ((BitmapAnd *) plan)->bitmapplans);
			break;
		case T_BitmapOr:
			walk_list(w, ((BitmapOr *) plan)->bitmapplans);
			break;
		case T_SubqueryScan:
			walk(w, ((SubqueryScan *) plan)->subplan);
			break;
		case T_CustomScan:
			walk_list(w, ((CustomScan *) plan)->custom_plans);
			break;
		default:
			break;
	}
	walk(w, outerPlan(plan));
	walk(w, innerPlan(plan));
}

static void
look_at_plan(const PlannedStmt *planned, SdQueryPlan *result)
{
	Walk		w = {planned, result};

	walk(&w, planned->planTree);
	walk_list(&w, planned->subplans);
	result->relations = list_concat_unique_oid(result->relations, planned->relationOids);
}

void
sd_query_plan(const char *text, SdQueryPlan *plan)
{
	RawStmt    *stmt = sd_query_parse(text);
	Oid		   *types = NULL;
	int			n_types = 0;
	List	   *queries;
	List	   *plans;
	bool		reads;
	ListCell   *cell;

	memset(plan, 0, sizeof(*plan));
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	queries = pg_analyze_and_rewrite_varparams(stmt, text, &types, &n_types, NULL);
	/* views and policies are part of it by now, and nothing is left out yet because it is not needed */
	plan->calls_volatile = contain_volatile_functions((Node *) queries);
	plans = pg_plan_queries(queries, text, CURSOR_OPT_PARALLEL_OK | CURSOR_OPT_GENERIC_PLAN, NULL);
	reads = n_types == 0 && list_length(plans) == 1;
	foreach(cell, plans)
	{
		PlannedStmt *planned = lfirst_node(PlannedStmt, cell);

		/* a rule may have made NOTIFY of it */
		if (planned->utilityStmt)
			continue;
		sd_compat_check_rights(planned);
		look_at_plan(planned, plan);
		reads &= planned->commandType == CMD_SELECT && !planned->hasModifyingCTE && planned->rowMarks == NIL;
	}
	PopActiveSnapshot();
	plan->may_be_run = reads && !plan->calls_volatile;
	plan->calls_volatile &= reads;
}

SdIndexUse *
sd_query_plan_uses(const SdQueryPlan *plan, const SdIndexUse *use)
{
	ListCell   *cell;

	foreach(cell, plan->indexes)
	{
		SdIndexUse *other = lfirst(cell);

		if (other->index == use->index || strcmp(other->name, use->name) == 0)
			return other;
	}
	return NULL;
}
