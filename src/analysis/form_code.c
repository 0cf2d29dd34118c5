/*
 * form_code.c: what is run when somebody uses a table: views, functions, triggers, rules, policies.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_rewrite.h"
#include "nodes/makefuncs.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteSupport.h"
#include "utils/lsyscache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/routine.h"

/* Names of the columns that a query gives, where its text says them all; false: it does not. */
static bool
column_names(Node *query, List *aliases, List **names)
{
	SelectStmt *select = (SelectStmt *) query;
	ListCell   *cell;

	*names = NIL;
	while (select && IsA(select, SelectStmt) && select->op != SETOP_NONE)
		select = select->larg;
	if (select == NULL || !IsA(select, SelectStmt) || select->targetList == NIL)
		return false;
	foreach(cell, select->targetList)
	{
		ResTarget  *target = lfirst_node(ResTarget, cell);
		char	   *name = target->name;

		if (aliases && foreach_current_index(cell) < list_length(aliases))
			name = strVal(list_nth(aliases, foreach_current_index(cell)));
		else if (name == NULL && IsA(target->val, ColumnRef) && IsA(llast(((ColumnRef *) target->val)->fields), String))
			name = strVal(llast(((ColumnRef *) target->val)->fields));
		if (name == NULL)
			return false;
		*names = lappend(*names, name);
	}
	return true;
}

/* Would the server refuse to replace it, because a column goes, or has another name? */
static bool
removes_columns(SdThing *view, ViewStmt *stmt)
{
	List	   *names;

	if (!OidIsValid(view->oid) || view->vague || !column_names(stmt->query, stmt->aliases, &names))
		return false;
	for (AttrNumber number = 1;; number++)
	{
		char	   *old = get_attname(view->oid, number, true);

		if (old == NULL)
			return false;
		if (number > list_length(names) || strcmp(old, list_nth(names, number - 1)) != 0)
			return true;
	}
}

static void
make_view(SdForm *form, ViewStmt *stmt)
{
	char	   *shown = sd_world_shown(form->world, stmt->view);
	SdThing    *known = sd_world_find(form->world, makeRangeVar(stmt->view->schemaname, stmt->view->relname, -1));
	SdMatch    *match;

	sd_form_object(form, shown);
	if (known == NULL || strcmp(known->shown, shown) != 0)
	{
		match = sd_form_match(form, "J1");
		sd_form_cast_query(form, match, stmt->query);
		sd_form_remember_query(form, sd_world_make(form->world, stmt->view, RELKIND_VIEW), stmt->query);
		return;
	}
	if (!stmt->replace)
	{
		sd_form_fails(form, ERRCODE_DUPLICATE_TABLE, "relation \"%s\" already exists", stmt->view->relname);
		return;
	}
	if (removes_columns(known, stmt))
	{
		match = sd_form_match(form, "J3");
		sd_match_cast(match, SD_ROLE_VIEW, known);
		sd_match_safer(match, "DROP VIEW %s", shown);
		sd_match_safer(match, "CREATE VIEW %s AS ...", shown);
		sd_match_remark(match, "in the same transaction; then its GRANTs again");
		sd_form_fails(form, ERRCODE_INVALID_TABLE_DEFINITION, "cannot drop or rename columns of view \"%s\"", stmt->view->relname);
		return;
	}
	sd_match_cast(sd_form_match(form, "J2"), SD_ROLE_VIEW, known);
	sd_form_remember_query(form, known, stmt->query);
	if (OidIsValid(known->oid))
		sd_follow_change(form->world, RewriteRelationId, get_rewrite_oid(known->oid, ViewSelectRuleName, true));
}

void
sd_form_code(SdForm *form)
{
	Node	   *stmt = form->stmt;

	switch (nodeTag(stmt))
	{
		case T_ViewStmt:
			make_view(form, (ViewStmt *) stmt);
			break;
		case T_RefreshMatViewStmt:
			{
				SdMatch    *match = sd_form_match(form, ((RefreshMatViewStmt *) stmt)->concurrent ? "J8" : "J7");
				SdThing    *matview = sd_form_relation(form, ((RefreshMatViewStmt *) stmt)->relation, false);
				ListCell   *cell;

				sd_match_cast(match, SD_ROLE_MATVIEW, matview);
				foreach(cell, matview && !matview->made ? sd_form_sources(form, matview) : NIL)
					sd_match_cast(match, SD_ROLE_TABLE, lfirst(cell));
				if (!((RefreshMatViewStmt *) stmt)->concurrent)
				{
					sd_match_safer(match, "REFRESH MATERIALIZED VIEW CONCURRENTLY %s", form->objects ? (char *) linitial(form->objects) : "...");
					sd_match_remark(match, "needs a unique index on it");
				}
			}
			break;
		case T_CreateFunctionStmt:
			sd_form_function(form, (CreateFunctionStmt *) stmt);
			break;
		case T_AlterFunctionStmt:
			sd_form_alter_function(form, (AlterFunctionStmt *) stmt);
			break;
		case T_CreateTrigStmt:
		case T_RuleStmt:
		case T_CreatePolicyStmt:
		case T_AlterPolicyStmt:
			sd_form_make_attached(form);
			break;
		default:
			break;
	}
}
