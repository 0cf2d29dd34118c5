/*
 * kept_later.c: constants whose type nothing but their place says, in a statement that is not run now; see kept.h.
 *
 * Runs in a backend.  The expressions of the statement are analysed as PostgreSQL would, over a row that has the columns which they may name,
 * by the catalogs and by the statement itself; what comes of its strings is looked at as in kept.c.  No relation is opened, but by a subquery,
 * for which nobody waits.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "attempt.h"
#include "ddl/kept.h"
#include "ddl/stored.h"
#include "ddl/targets.h"
#include "settings.h"

typedef struct Column
{
	char	   *name;
	Oid			type;
	int32		typmod;
	Oid			collation;
} Column;

typedef struct Expression
{
	Node	   *raw;
	Oid			type;			/* what it becomes; InvalidOid: what it is */
} Expression;

typedef struct Later
{
	Node	   *stmt;
	ParseExprKind kind;
	List	   *columns;		/* Column: of the row that the expressions are about */
	List	   *names;			/* of char *: what that row is called; NIL: there is none */
	List	   *expressions;	/* Expression */
	Node	   *query;			/* or a query instead */
	bool		other_types;	/* it also changes types of columns */
	char	   *tree;			/* what was made of them */
} Later;

/* ---- columns ---- */

static void
add_column(Later *later, const char *name, Oid type, int32 typmod)
{
	Column	   *column = palloc(sizeof(Column));

	*column = (Column) {pstrdup(name), type, typmod, get_typcollation(type)};
	later->columns = lappend(later->columns, column);
}

static void
add_columns_of(Later *later, Oid relation)
{
	HeapTuple	tuple;

	if (!OidIsValid(relation))
		elog(ERROR, "there is no such relation");
	for (AttrNumber i = 1; HeapTupleIsValid(tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(i))); i++)
	{
		Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(tuple);

		if (!attribute->attisdropped)
			add_column(later, NameStr(attribute->attname), attribute->atttypid, attribute->atttypmod);
		ReleaseSysCache(tuple);
	}
}

static bool
has_column(const Later *later, const char *name)
{
	ListCell   *cell;

	foreach(cell, later->columns)
		if (strcmp(((Column *) lfirst(cell))->name, name) == 0)
			return true;
	return false;
}

static void
add_type(Later *later, const char *name, const TypeName *type)
{
	Oid			oid;
	int32		typmod;

	typenameTypeIdAndMod(NULL, type, &oid, &typmod);
	add_column(later, name, oid, typmod);
}

/* The base type of a domain, as which VALUE is read. */
static void
add_value(Later *later, const TypeName *name)
{
	int32		typmod;
	Oid			type;

	typenameTypeIdAndMod(NULL, name, &type, &typmod);
	type = getBaseTypeAndTypmod(type, &typmod);
	add_column(later, "value", type, typmod);
	later->names = list_make1("domain");
}

/* ---- expressions ---- */

static void
add_expression(Later *later, Node *raw, Oid type)
{
	Expression *expression;

	if (raw == NULL)
		return;
	expression = palloc(sizeof(Expression));
	*expression = (Expression) {raw, type};
	later->expressions = lappend(later->expressions, expression);
}

static void
add_index_elements(Later *later, List *elements)
{
	ListCell   *cell;

	foreach(cell, elements)
		add_expression(later, lfirst_node(IndexElem, cell)->expr, InvalidOid);
}

static void
add_constraint(Later *later, const Constraint *constraint)
{
	ListCell   *cell;

	add_expression(later, constraint->raw_expr, InvalidOid);
	add_expression(later, constraint->where_clause, InvalidOid);
	/* pairs of an element and an operator */
	foreach(cell, constraint->exclusions)
		add_index_elements(later, list_make1(linitial(lfirst_node(List, cell))));
}

static void
add_constraints(Later *later, List *constraints)
{
	ListCell   *cell;

	foreach(cell, constraints)
		add_constraint(later, lfirst_node(Constraint, cell));
}

static void
add_column_definition(Later *later, const ColumnDef *column)
{
	/* of a partition, or a table of a type, it may be one that is there */
	if (column->typeName && !has_column(later, column->colname))
		add_type(later, column->colname, column->typeName);
	add_constraints(later, column->constraints);
	add_expression(later, column->raw_default, InvalidOid);
}

/* ---- statements ---- */

static void
read_create(Later *later, CreateStmt *stmt)
{
	ListCell   *cell;

	later->names = list_make1(stmt->relation->relname);
	foreach(cell, stmt->inhRelations)
		add_columns_of(later, sd_target_relation(lfirst_node(RangeVar, cell)));
	if (stmt->ofTypename)
		add_columns_of(later, get_typ_typrelid(typenameTypeId(NULL, stmt->ofTypename)));
	foreach(cell, stmt->tableElts)
	{
		Node	   *element = lfirst(cell);

		if (IsA(element, TableLikeClause))
			add_columns_of(later, sd_target_relation(((TableLikeClause *) element)->relation));
		else if (IsA(element, ColumnDef))
			add_column_definition(later, (ColumnDef *) element);
		else
			add_constraint(later, castNode(Constraint, element));
	}
	add_constraints(later, stmt->constraints);
	foreach(cell, stmt->partspec ? stmt->partspec->partParams : NIL)
		add_expression(later, lfirst_node(PartitionElem, cell)->expr, InvalidOid);
}

static void
read_alter(Later *later, AlterTableStmt *stmt)
{
	ListCell   *cell;

	later->names = list_make1(stmt->relation->relname);
	add_columns_of(later, sd_target_relation(stmt->relation));
	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype == AT_AddColumn)
			add_column_definition(later, castNode(ColumnDef, command->def));
		else if (command->subtype == AT_AddConstraint)
			add_constraint(later, castNode(Constraint, command->def));
		else if (command->subtype == AT_ColumnDefault || SD_COMPAT_AT_SET_EXPRESSION(command->subtype))
			add_expression(later, command->def, InvalidOid);
		later->other_types |= command->subtype == AT_AlterColumnType;
	}
}

static void
read_routine(Later *later, CreateFunctionStmt *stmt)
{
	ListCell   *cell;

	later->names = list_make1(strVal(llast(stmt->funcname)));
	foreach(cell, stmt->parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, cell);

		add_expression(later, parameter->defexpr, InvalidOid);
		if (parameter->name && parameter->argType)
			add_type(later, parameter->name, parameter->argType);
	}
	if (stmt->sql_body && IsA(stmt->sql_body, ReturnStmt))
		add_expression(later, ((ReturnStmt *) stmt->sql_body)->returnval, stmt->returnType ? typenameTypeId(NULL, stmt->returnType) : InvalidOid);
}

static void
read_table(Later *later, const RangeVar *table, Node *one, Node *other)
{
	later->names = list_make1(table->relname);
	add_columns_of(later, sd_target_relation(table));
	add_expression(later, one, InvalidOid);
	add_expression(later, other, InvalidOid);
}

/* What is not read here is not known. */
static void
read_statement(Later *later)
{
	Node	   *stmt = later->stmt;
	ListCell   *cell;

	later->kind = EXPR_KIND_CHECK_CONSTRAINT;
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			read_create(later, (CreateStmt *) stmt);
			break;
		case T_AlterTableStmt:
			read_alter(later, (AlterTableStmt *) stmt);
			break;
		case T_IndexStmt:
			read_table(later, ((IndexStmt *) stmt)->relation, ((IndexStmt *) stmt)->whereClause, NULL);
			add_index_elements(later, ((IndexStmt *) stmt)->indexParams);
			break;
		case T_CreateStatsStmt:
			read_table(later, linitial_node(RangeVar, ((CreateStatsStmt *) stmt)->relations), NULL, NULL);
			foreach(cell, ((CreateStatsStmt *) stmt)->exprs)
				add_expression(later, lfirst_node(StatsElem, cell)->expr, InvalidOid);
			break;
		case T_CreatePolicyStmt:
			later->kind = EXPR_KIND_POLICY;
			read_table(later, ((CreatePolicyStmt *) stmt)->table, ((CreatePolicyStmt *) stmt)->qual, ((CreatePolicyStmt *) stmt)->with_check);
			break;
		case T_AlterPolicyStmt:
			later->kind = EXPR_KIND_POLICY;
			read_table(later, ((AlterPolicyStmt *) stmt)->table, ((AlterPolicyStmt *) stmt)->qual, ((AlterPolicyStmt *) stmt)->with_check);
			break;
		case T_CreateTrigStmt:
			later->kind = EXPR_KIND_TRIGGER_WHEN;
			read_table(later, ((CreateTrigStmt *) stmt)->relation, ((CreateTrigStmt *) stmt)->whenClause, NULL);
			later->names = list_make2("old", "new");
			break;
		case T_CreateDomainStmt:
			add_value(later, ((CreateDomainStmt *) stmt)->typeName);
			add_constraints(later, ((CreateDomainStmt *) stmt)->constraints);
			break;
		case T_AlterDomainStmt:
			add_value(later, makeTypeNameFromNameList(((AlterDomainStmt *) stmt)->typeName));
			if (((AlterDomainStmt *) stmt)->subtype == 'T')
				add_expression(later, ((AlterDomainStmt *) stmt)->def, InvalidOid);
			else
				add_constraint(later, castNode(Constraint, ((AlterDomainStmt *) stmt)->def));
			break;
		case T_CreateFunctionStmt:
			read_routine(later, (CreateFunctionStmt *) stmt);
			break;
		case T_ViewStmt:
			later->query = ((ViewStmt *) stmt)->query;
			break;
		case T_CreateTableAsStmt:
			later->query = ((CreateTableAsStmt *) stmt)->query;
			break;
		default:
			break;
	}
}

/* ---- analysis ---- */

/* A query that gives such a row. */
static Query *
row_of(List *columns)
{
	Query	   *query = makeNode(Query);
	ListCell   *cell;

	query->commandType = CMD_SELECT;
	foreach(cell, columns)
	{
		Column	   *column = lfirst(cell);

		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) makeNullConst(column->type, column->typmod, column->collation),
													(AttrNumber) (foreach_current_index(cell) + 1), column->name, false));
	}
	return query;
}

static Node *
analysed(ParseState *pstate, const Expression *expression, ParseExprKind kind)
{
	Node	   *node = transformExpr(pstate, copyObject(expression->raw), kind);

	if (!OidIsValid(expression->type) || exprType(node) != UNKNOWNOID)
		return node;
	return coerce_to_target_type(pstate, node, UNKNOWNOID, expression->type, -1, COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
}

static void
analyse(void *arg)
{
	Later	   *later = arg;
	ParseState *pstate = make_parsestate(NULL);
	List	   *trees = NIL;
	ListCell   *cell;

	/* of what a subquery names */
	sd_set_lock_timeout(SD_FREE_LOCK_MS, GUC_ACTION_LOCAL);
	read_statement(later);
	foreach(cell, later->names)
		addNSItemToQuery(pstate, addRangeTableEntryForSubquery(pstate, row_of(later->columns), makeAlias(lfirst(cell), NIL), false, true),
						 false, true, true);
	foreach(cell, later->expressions)
		trees = lappend(trees, analysed(pstate, lfirst(cell), later->kind));
	if (later->query)
		trees = lappend(trees, parse_sub_analyze(copyObject(later->query), pstate, NULL, false, true));
	free_parsestate(pstate);
	later->tree = nodeToString(trees);
}

static int
words_in(List *strings)
{
	int			n = 0;
	ListCell   *cell;

	foreach(cell, strings)
		n += sd_kept_is_word(lfirst(cell));
	return n;
}

/* Was each such string of the statement in what was analysed? */
static bool
is_whole(const Later *later)
{
	int			n = later->query ? words_in(sd_stored_strings_in(later->query)) : 0;
	ListCell   *cell;

	foreach(cell, later->expressions)
		n += words_in(sd_stored_strings_in(((Expression *) lfirst(cell))->raw));
	return n >= words_in(sd_stored_strings(later->stmt)) && !later->other_types;
}

const char *
sd_kept_reason_later(Node *stmt, bool *unknown, const char **hint)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "schemadrift kept constants", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	SdKept	   *kept = sd_kept_before(stmt);
	Later		later = {.stmt = stmt};
	const char *reason = NULL;
	bool		known = true;

	if (kept)
	{
		/* what is wrong with it will be said when it runs */
		known = sd_attempt(analyse, &later, false) == NULL;
		if (known)
			reason = sd_kept_reason_in(kept, later.tree, hint);
		known = known && is_whole(&later);
	}
	if (unknown)
		*unknown = !known && reason == NULL;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return reason;
}
