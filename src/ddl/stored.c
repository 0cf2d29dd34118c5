/*
 * stored.c: constants that a statement of DDL writes into the schema; see stored.h.
 *
 * Runs in a backend, in the utility hook, on the raw statement.  Looks types up in the catalogs, and takes no lock.
 *
 * A constant's type is known here where it is written ('now'::date, date 'now', date('now')), or is that of the column, domain or parameter
 * whose default it is.  What it is in c > 'now' is known when the statement has run (kept.h).
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl/stored.h"
#include "ddl/targets.h"

/* ---- types ---- */

static Oid
type_of_column(Oid relation, const char *column)
{
	AttrNumber	number = OidIsValid(relation) ? get_attnum(relation, column) : InvalidAttrNumber;

	return number != InvalidAttrNumber ? get_atttype(relation, number) : InvalidOid;
}

/* [schema.]table.column */
static Oid
type_like_column(List *names)
{
	int			n = list_length(names);

	if (n < 2 || n > 3)
		return InvalidOid;
	return type_of_column(sd_target_relation(makeRangeVar(n == 3 ? strVal(linitial(names)) : NULL, strVal(list_nth(names, n - 2)), -1)),
						  strVal(llast(names)));
}

/* Never an error: if the name is wrong, or may not be used, the statement will say so. */
static Oid
type_of_name(List *names)
{
	Oid			namespace;

	if (list_length(names) == 1)
		return TypenameGetTypid(strVal(linitial(names)));
	if (list_length(names) != 2)
		return InvalidOid;
	namespace = get_namespace_oid(strVal(linitial(names)), true);
	if (!OidIsValid(namespace))
		return InvalidOid;
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(strVal(llast(names))), ObjectIdGetDatum(namespace));
}

static Oid
type_of(const TypeName *name)
{
	Oid			type;

	if (name == NULL)
		return InvalidOid;
	if (name->names == NIL)
		return name->typeOid;
	type = name->pct_type ? type_like_column(name->names) : type_of_name(name->names);
	return name->arrayBounds != NIL && OidIsValid(type) ? get_array_type(type) : type;
}

static bool
row_holds(Oid relation, bool (*is_one) (Oid type))
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	int			n = HeapTupleIsValid(tuple) ? ((Form_pg_class) GETSTRUCT(tuple))->relnatts : 0;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	for (int i = 1; i <= n; i++)
		if (sd_stored_holds(get_atttype(relation, i), is_one))
			return true;
	return false;
}

bool
sd_stored_holds(Oid type, bool (*is_one) (Oid type))
{
	check_stack_depth();
	if (!OidIsValid(type))
		return false;
	type = getBaseType(type);
	if (is_one(type))
		return true;
	if (type_is_multirange(type))
		type = get_multirange_range(type);
	if (type_is_range(type))
		return sd_stored_holds(get_range_subtype(type), is_one);
	if (OidIsValid(get_typ_typrelid(type)))
		return row_holds(get_typ_typrelid(type), is_one);
	return sd_stored_holds(get_element_type(type), is_one);
}

Oid
sd_stored_key_type(const RangeVar *parent, int i)
{
	Oid			relation = parent ? sd_target_relation(parent) : InvalidOid;
	HeapTuple	tuple = OidIsValid(relation) ? SearchSysCache1(PARTRELID, ObjectIdGetDatum(relation)) : NULL;
	Form_pg_partitioned_table keys;
	Oid			type = InvalidOid;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	keys = (Form_pg_partitioned_table) GETSTRUCT(tuple);
	if (i < keys->partnatts && keys->partattrs.values[i] != 0)
		type = get_atttype(relation, keys->partattrs.values[i]);
	ReleaseSysCache(tuple);
	return type;
}

/* ---- expressions ---- */

typedef struct Search
{
	SdStoredTest test;			/* NULL: collect */
	List	   *strings;		/* of char * */
} Search;

/* One with a type beside it is none of these. */
static bool
collect(Node *node, Search *search)
{
	if (IsA(node, TypeCast) && IsA(((TypeCast *) node)->arg, A_Const))
		return true;
	if (IsA(node, A_Const) && !((A_Const *) node)->isnull && IsA(&((A_Const *) node)->val, String))
		search->strings = lappend(search->strings, strVal(&((A_Const *) node)->val));
	return false;
}

/* The type that a call of this name casts to, if it is no function: from a number to a row there is no cast. */
static Oid
cast_by_name(List *name, Node *argument)
{
	Oid			type = type_of_name(name);
	bool		number = IsA(argument, A_Const) && !((A_Const *) argument)->isnull && IsA(&((A_Const *) argument)->val, Integer);

	return number && OidIsValid(get_typ_typrelid(type)) ? InvalidOid : type;
}

static bool
in_expression(Node *node, void *context)
{
	Search	   *search = context;

	if (node == NULL)
		return false;
	if (search->test == NULL)
		return collect(node, search) ? false : raw_expression_tree_walker(node, in_expression, context);
	if (IsA(node, TypeCast) && search->test(((TypeCast *) node)->arg, type_of(((TypeCast *) node)->typeName)))
		return true;
	/* date('now') */
	if (IsA(node, FuncCall) && list_length(((FuncCall *) node)->args) == 1)
	{
		Node	   *argument = linitial(((FuncCall *) node)->args);

		if ((IsA(argument, A_Const) || IsA(argument, TypeCast)) && search->test(argument, cast_by_name(((FuncCall *) node)->funcname, argument)))
			return true;
	}
	return raw_expression_tree_walker(node, in_expression, context);
}

static bool
in_value(Node *node, Oid type, Search *search)
{
	return node && ((search->test && search->test(node, type)) || in_expression(node, search));
}

bool
sd_stored_in_value(Node *expression, Oid type, SdStoredTest test)
{
	Search		search = {.test = test};

	return in_value(expression, type, &search);
}

/* A query, or what a routine's body or a rule has of them: what else may stand there is no expression. */
static bool
in_query(Node *node, Search *search)
{
	ListCell   *cell;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
			foreach(cell, (List *) node)
				if (in_query(lfirst(cell), search))
					return true;
			return false;
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			return in_expression(node, search);
		case T_ReturnStmt:
			return in_expression(((ReturnStmt *) node)->returnval, search);
		default:
			return false;
	}
}

/* ---- parts of statements ---- */

static bool
in_index_elements(List *elements, Search *search)
{
	ListCell   *cell;

	foreach(cell, elements)
		if (in_expression(lfirst_node(IndexElem, cell)->expr, search))
			return true;
	return false;
}

static bool
in_constraint(Constraint *constraint, Oid type, Search *search)
{
	bool		is_value = constraint->contype == CONSTR_DEFAULT || constraint->contype == CONSTR_GENERATED;
	ListCell   *cell;

	if (in_value(constraint->raw_expr, is_value ? type : InvalidOid, search) || in_expression(constraint->where_clause, search))
		return true;
	/* EXCLUDE: pairs of an element and an operator */
	foreach(cell, constraint->exclusions)
		if (in_index_elements(list_make1(linitial(lfirst_node(List, cell))), search))
			return true;
	return false;
}

static bool
in_constraints(List *constraints, Oid type, Search *search)
{
	ListCell   *cell;

	foreach(cell, constraints)
		if (in_constraint(lfirst_node(Constraint, cell), type, search))
			return true;
	return false;
}

/* relation: has the column, or one of its name and type */
static bool
in_element(Node *element, Oid relation, Search *search)
{
	ColumnDef  *column = (ColumnDef *) element;
	Oid			type;

	if (element && IsA(element, Constraint))
		return in_constraint((Constraint *) element, InvalidOid, search);
	if (element == NULL || !IsA(element, ColumnDef))
		return false;
	type = column->typeName ? type_of(column->typeName) : type_of_column(relation, column->colname);
	/* USING of another type is its default, too */
	return in_constraints(column->constraints, type, search) || in_value(column->raw_default, type, search);
}

static bool
in_datums(List *datums, bool list, const RangeVar *parent, Search *search)
{
	ListCell   *cell;

	foreach(cell, datums)
		if (in_value(lfirst(cell), sd_stored_key_type(parent, list ? 0 : foreach_current_index(cell)), search))
			return true;
	return false;
}

static bool
in_bound(PartitionBoundSpec *bound, const RangeVar *parent, Search *search)
{
	return bound && (in_datums(bound->listdatums, true, parent, search) || in_datums(bound->lowerdatums, false, parent, search) ||
					 in_datums(bound->upperdatums, false, parent, search));
}

/* ---- statements ---- */

static bool
in_create(CreateStmt *stmt, Search *search)
{
	const RangeVar *parent = stmt->inhRelations != NIL ? linitial_node(RangeVar, stmt->inhRelations) : NULL;
	Oid			like = InvalidOid;
	ListCell   *cell;

	/* columns without a type have it from there */
	if (stmt->ofTypename)
		like = get_typ_typrelid(type_of(stmt->ofTypename));
	else if (stmt->partbound && parent)
		like = sd_target_relation(parent);
	foreach(cell, stmt->tableElts)
		if (in_element(lfirst(cell), like, search))
			return true;
	if (in_bound(stmt->partbound, parent, search))
		return true;
	foreach(cell, stmt->partspec ? stmt->partspec->partParams : NIL)
		if (in_expression(lfirst_node(PartitionElem, cell)->expr, search))
			return true;
	return false;
}

static bool
in_alter(AlterTableStmt *stmt, Search *search)
{
	Oid			relation = sd_target_relation(stmt->relation);
	ListCell   *cell;

	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, cell);

		if (in_element(cmd->def, relation, search))
			return true;
		if ((cmd->subtype == AT_ColumnDefault || SD_COMPAT_AT_SET_EXPRESSION(cmd->subtype)) &&
			in_value(cmd->def, cmd->name ? type_of_column(relation, cmd->name) : InvalidOid, search))
			return true;
		if (cmd->subtype == AT_AttachPartition && in_bound(castNode(PartitionCmd, cmd->def)->bound, stmt->relation, search))
			return true;
	}
	return false;
}

static bool
in_alter_domain(AlterDomainStmt *stmt, Search *search)
{
	if (stmt->subtype == 'T')
		return in_value(stmt->def, type_of_name(stmt->typeName), search);
	return in_element(stmt->def, InvalidOid, search);
}

static bool
in_routine(CreateFunctionStmt *stmt, Search *search)
{
	ListCell   *cell;

	foreach(cell, stmt->parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, cell);

		if (in_value(parameter->defexpr, type_of(parameter->argType), search))
			return true;
	}
	return in_query(stmt->sql_body, search);
}

static bool
in_statistics(CreateStatsStmt *stmt, Search *search)
{
	ListCell   *cell;

	foreach(cell, stmt->exprs)
		if (in_expression(lfirst_node(StatsElem, cell)->expr, search))
			return true;
	return false;
}

static bool
in_statement(Node *stmt, Search *search)
{
	ListCell   *cell;

	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			return in_create((CreateStmt *) stmt, search);
		case T_AlterTableStmt:
			return in_alter((AlterTableStmt *) stmt, search);
		case T_IndexStmt:
			return in_index_elements(((IndexStmt *) stmt)->indexParams, search) || in_expression(((IndexStmt *) stmt)->whereClause, search);
		case T_ViewStmt:
			return in_query(((ViewStmt *) stmt)->query, search);
		case T_CreateTableAsStmt:	/* a table keeps no expression */
			return ((CreateTableAsStmt *) stmt)->objtype == OBJECT_MATVIEW && in_query(((CreateTableAsStmt *) stmt)->query, search);
		case T_CreateDomainStmt:
			return in_constraints(((CreateDomainStmt *) stmt)->constraints, type_of(((CreateDomainStmt *) stmt)->typeName), search);
		case T_AlterDomainStmt:
			return in_alter_domain((AlterDomainStmt *) stmt, search);
		case T_CreatePolicyStmt:
			return in_expression(((CreatePolicyStmt *) stmt)->qual, search) || in_expression(((CreatePolicyStmt *) stmt)->with_check, search);
		case T_AlterPolicyStmt:
			return in_expression(((AlterPolicyStmt *) stmt)->qual, search) || in_expression(((AlterPolicyStmt *) stmt)->with_check, search);
		case T_CreateTrigStmt:
			return in_expression(((CreateTrigStmt *) stmt)->whenClause, search);
		case T_RuleStmt:
			return in_expression(((RuleStmt *) stmt)->whereClause, search) || in_query((Node *) ((RuleStmt *) stmt)->actions, search);
		case T_CreateStatsStmt:
			return in_statistics((CreateStatsStmt *) stmt, search);
		case T_CreateFunctionStmt:
			return in_routine((CreateFunctionStmt *) stmt, search);
		case T_CreateSchemaStmt:
			foreach(cell, ((CreateSchemaStmt *) stmt)->schemaElts)
				if (in_statement(lfirst(cell), search))
					return true;
			return false;
		default:
			return false;
	}
}

bool
sd_stored_any(Node *stmt, SdStoredTest test)
{
	Search		search = {.test = test};

	return in_statement(stmt, &search);
}

List *
sd_stored_strings(Node *stmt)
{
	Search		search = {0};

	(void) in_statement(stmt, &search);
	return search.strings;
}

List *
sd_stored_strings_in(Node *expression)
{
	Search		search = {0};

	(void) in_expression(expression, &search);
	return search.strings;
}
