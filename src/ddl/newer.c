/*
 * newer.c: what a statement says that other majors of PostgreSQL do not understand; see newer.h.
 *
 * Runs in a backend, before the statement; reads the catalog, takes no lock.  Regions announce which majors' language they
 * understand (store/names.c), so in a group of several majors such a statement is refused before it halts the older ones.
 * compat_syntax.h knows the pieces; here is where in a statement they can stand.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "nodes/nodeFuncs.h"
#include "utils/syscache.h"

#include "compat_syntax.h"
#include "ddl/newer.h"

static void
need(int *major, int of)
{
	*major = Max(*major, of);
}

/* ---- expressions and queries ---- */

static bool
look(Node *node, void *context)
{
	int		   *major = context;

	if (node == NULL)
		return false;
	need(major, sd_compat_syntax_expression(node));
	if (IsA(node, FuncCall))
	{
		FuncCall   *call = (FuncCall *) node;

		if (list_length(call->funcname) == 1 || strcmp(strVal(linitial(call->funcname)), "pg_catalog") == 0)
			need(major, sd_compat_syntax_function(strVal(llast(call->funcname)), list_length(call->args)));
	}
	return raw_expression_tree_walker(node, look, context);
}

static void
look_at(void *expression, int *major)
{
	(void) look(expression, major);
}

/* One statement, or a list of them, or of such lists.  What is none of these is none of an expression's nodes, either. */
static void
look_at_query(Node *query, int *major)
{
	ListCell   *cell;

	if (query == NULL)
		return;
	switch (nodeTag(query))
	{
		case T_List:
			foreach(cell, (List *) query)
				look_at_query(lfirst(cell), major);
			break;
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			look_at(query, major);
			break;
		case T_ReturnStmt:
			look_at(((ReturnStmt *) query)->returnval, major);
			break;
		default:
			break;
	}
}

/* ---- parts of tables ---- */

static void
look_at_constraint(const Constraint *constraint, int *major)
{
	need(major, sd_compat_syntax_constraint(constraint));
	look_at(constraint->raw_expr, major);
	look_at(constraint->where_clause, major);
}

static void
look_at_element(Node *element, int *major)
{
	ListCell   *cell;

	if (element == NULL)
		return;
	if (IsA(element, Constraint))
		look_at_constraint((Constraint *) element, major);
	if (!IsA(element, ColumnDef))
		return;
	need(major, sd_compat_syntax_column((ColumnDef *) element));
	foreach(cell, ((ColumnDef *) element)->constraints)
		look_at_constraint(lfirst_node(Constraint, cell), major);
}

static void
look_at_elements(List *elements, int *major)
{
	ListCell   *cell;

	foreach(cell, elements)
		look_at_element(lfirst(cell), major);
}

/* NOT NULL as a constraint with a name: 18 has that, and gives one to those that came without */
static int
not_null_constraint(RangeVar *relation, const char *name)
{
	Oid			relid = relation ? RangeVarGetRelid(relation, NoLock, true) : InvalidOid;
	Oid			constraint = OidIsValid(relid) && name ? get_relation_constraint_oid(relid, name, true) : InvalidOid;
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	bool		found;

	if (!HeapTupleIsValid(tuple))
		return 0;
	found = ((Form_pg_constraint) GETSTRUCT(tuple))->contype == SD_COMPAT_CONSTRAINT_NOTNULL;
	ReleaseSysCache(tuple);
	return found ? 18 : 0;
}

static void
look_at_commands(RangeVar *relation, List *commands, int *major)
{
	ListCell   *cell;

	foreach(cell, commands)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		need(major, sd_compat_syntax_command(command));
		switch (command->subtype)
		{
			case AT_AddColumn:
			case AT_AddConstraint:
				look_at_element(command->def, major);
				break;
			case AT_ColumnDefault:
				look_at(command->def, major);
				break;
			case AT_AlterColumnType:
				look_at(((ColumnDef *) command->def)->raw_default, major);
				break;
			case AT_DropConstraint:
			case AT_ValidateConstraint:
				need(major, not_null_constraint(relation, command->name));
				break;
			default:
				break;
		}
	}
}

/* ---- statements ---- */

static void
look_at_routine(CreateFunctionStmt *stmt, int *major)
{
	ListCell   *cell;

	foreach(cell, stmt->parameters)
		look_at(lfirst_node(FunctionParameter, cell)->defexpr, major);
	/* a body in a string is stored as it is, whatever it says */
	look_at_query(stmt->sql_body, major);
}

static void
look_at_index(IndexStmt *stmt, int *major)
{
	ListCell   *cell;

	foreach(cell, stmt->indexParams)
		look_at(lfirst_node(IndexElem, cell)->expr, major);
	look_at(stmt->whereClause, major);
}

static void
look_at_statistics(CreateStatsStmt *stmt, int *major)
{
	ListCell   *cell;

	foreach(cell, stmt->exprs)
		look_at(lfirst_node(StatsElem, cell)->expr, major);
}

int
sd_newer_major(Node *stmt)
{
	int			major = sd_compat_syntax_statement(stmt);

	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			look_at_elements(((CreateStmt *) stmt)->tableElts, &major);
			break;
		case T_AlterTableStmt:
			look_at_commands(((AlterTableStmt *) stmt)->relation, ((AlterTableStmt *) stmt)->cmds, &major);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType == OBJECT_TABCONSTRAINT)
				need(&major, not_null_constraint(((RenameStmt *) stmt)->relation, ((RenameStmt *) stmt)->subname));
			break;
		case T_CommentStmt:
			if (((CommentStmt *) stmt)->objtype == OBJECT_TABCONSTRAINT)
			{
				List	   *names = castNode(List, ((CommentStmt *) stmt)->object);

				need(&major, not_null_constraint(makeRangeVarFromNameList(list_copy_head(names, list_length(names) - 1)),
												 strVal(llast(names))));
			}
			break;
		case T_CreateDomainStmt:
			look_at_elements(((CreateDomainStmt *) stmt)->constraints, &major);
			break;
		case T_AlterDomainStmt:
			if (((AlterDomainStmt *) stmt)->def && IsA(((AlterDomainStmt *) stmt)->def, Constraint))
				look_at(((Constraint *) ((AlterDomainStmt *) stmt)->def)->raw_expr, &major);
			else
				look_at(((AlterDomainStmt *) stmt)->def, &major);
			break;
		case T_IndexStmt:
			look_at_index((IndexStmt *) stmt, &major);
			break;
		case T_ViewStmt:
			look_at_query(((ViewStmt *) stmt)->query, &major);
			break;
		case T_CreateTableAsStmt:
			look_at_query(((CreateTableAsStmt *) stmt)->query, &major);
			break;
		case T_CreateFunctionStmt:
			look_at_routine((CreateFunctionStmt *) stmt, &major);
			break;
		case T_CreateTrigStmt:
			look_at(((CreateTrigStmt *) stmt)->whenClause, &major);
			break;
		case T_CreatePolicyStmt:
			look_at(((CreatePolicyStmt *) stmt)->qual, &major);
			look_at(((CreatePolicyStmt *) stmt)->with_check, &major);
			break;
		case T_AlterPolicyStmt:
			look_at(((AlterPolicyStmt *) stmt)->qual, &major);
			look_at(((AlterPolicyStmt *) stmt)->with_check, &major);
			break;
		case T_RuleStmt:
			look_at(((RuleStmt *) stmt)->whereClause, &major);
			look_at_query((Node *) ((RuleStmt *) stmt)->actions, &major);
			break;
		case T_CreateStatsStmt:
			look_at_statistics((CreateStatsStmt *) stmt, &major);
			break;
		default:
			look_at_query(stmt, &major);
			break;
	}
	return major;
}
