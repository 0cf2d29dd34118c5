/*
 * moment.c: values in a statement of DDL that are fixed when it runs, and differ from one run to the next.
 *
 * Runs in a backend, in the utility hook, on the raw statement; takes no lock and reads no catalog.
 *
 * A partition's bounds, and constants like 'now' of the date and time types, are computed once, by the statement itself,
 * and become part of the schema.  Each region would compute its own, and the first of them to differ would halt.  What
 * is computed later, for each row (DEFAULT now(), CHECK (t < now())), is the same text everywhere and no concern here.
 */
#include "compat.h"

#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"

#include "ddl/moment.h"

typedef enum Moment
{
	MOMENT_NONE,
	MOMENT_IN_BOUND,			/* FOR VALUES FROM (now()) TO ... */
	MOMENT_IN_CONSTANT			/* DEFAULT 'now', 'today'::date in a view */
} Moment;

static bool
is_one_of(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		if (pg_strcasecmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

/* the last part of a name, if nothing or pg_catalog stands before it */
static const char *
system_name(List *names)
{
	if (names == NIL || list_length(names) > 2 ||
		(list_length(names) == 2 && strcmp(strVal(linitial(names)), "pg_catalog") != 0))
		return "";
	return strVal(llast(names));
}

bool
sd_moment_is_clock(const SQLValueFunction *function)
{
	switch (function->op)
	{
		case SVFOP_CURRENT_DATE:
		case SVFOP_CURRENT_TIME:
		case SVFOP_CURRENT_TIME_N:
		case SVFOP_CURRENT_TIMESTAMP:
		case SVFOP_CURRENT_TIMESTAMP_N:
		case SVFOP_LOCALTIME:
		case SVFOP_LOCALTIME_N:
		case SVFOP_LOCALTIMESTAMP:
		case SVFOP_LOCALTIMESTAMP_N:
			return true;
		default:
			return false;
	}
}

bool
sd_moment_is_word(const char *text)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};

	return is_one_of(text, words, lengthof(words));
}

static bool
is_moment_word(Node *node)
{
	return node && IsA(node, A_Const) && !((A_Const *) node)->isnull &&
		IsA(&((A_Const *) node)->val, String) && sd_moment_is_word(strVal(&((A_Const *) node)->val));
}

static bool
is_date_or_time(TypeName *type)
{
	static const char *const types[] = {"date", "time", "timetz", "timestamp", "timestamptz"};

	return type && is_one_of(system_name(type->names), types, lengthof(types));
}

/* 'now'::timestamp, anywhere in an expression */
static bool
has_moment_constant(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, TypeCast) && is_date_or_time(((TypeCast *) node)->typeName) &&
		is_moment_word(((TypeCast *) node)->arg))
		return true;
	return raw_expression_tree_walker(node, has_moment_constant, context);
}

/* also functions, for what is computed by the statement itself */
static bool
has_moment(Node *node, void *context)
{
	static const char *const functions[] = {
		"now", "transaction_timestamp", "statement_timestamp", "clock_timestamp", "timeofday", "random",
		"gen_random_uuid", "nextval", "pg_current_xact_id", "txid_current", "current_database"
	};

	if (node == NULL)
		return false;
	/* users: an entry runs as the same everywhere */
	if (IsA(node, SQLValueFunction))
		return sd_moment_is_clock((SQLValueFunction *) node) || ((SQLValueFunction *) node)->op == SVFOP_CURRENT_CATALOG;
	if (IsA(node, FuncCall) && is_one_of(system_name(((FuncCall *) node)->funcname), functions, lengthof(functions)))
		return true;
	if (has_moment_constant(node, context))
		return true;
	return raw_expression_tree_walker(node, has_moment, context);
}

bool
sd_moment_in_expression(Node *expression)
{
	return has_moment(expression, NULL);
}

static bool
bound_has_moment(PartitionBoundSpec *bound)
{
	ListCell   *cell;

	if (bound == NULL || !IsA(bound, PartitionBoundSpec))
		return false;
	/* in a list the bare word may be a text; a range of texts from 'today' makes no sense */
	foreach(cell, bound->lowerdatums)
	{
		if (is_moment_word(lfirst(cell)))
			return true;
	}
	foreach(cell, bound->upperdatums)
	{
		if (is_moment_word(lfirst(cell)))
			return true;
	}
	return has_moment((Node *) bound->listdatums, NULL) || has_moment((Node *) bound->lowerdatums, NULL) ||
		has_moment((Node *) bound->upperdatums, NULL);
}

static bool
element_has_moment(Node *element)
{
	ColumnDef  *column = (ColumnDef *) element;
	ListCell   *cell;

	if (IsA(element, Constraint))
		return has_moment_constant(((Constraint *) element)->raw_expr, NULL);
	if (!IsA(element, ColumnDef))
		return false;
	foreach(cell, column->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, cell);

		if (constraint->contype == CONSTR_DEFAULT && is_date_or_time(column->typeName) &&
			is_moment_word(constraint->raw_expr))
			return true;
		if (has_moment_constant(constraint->raw_expr, NULL))
			return true;
	}
	return false;
}

static Moment
moment_in_create(CreateStmt *stmt)
{
	ListCell   *cell;

	if (bound_has_moment(stmt->partbound))
		return MOMENT_IN_BOUND;
	foreach(cell, stmt->tableElts)
	{
		if (element_has_moment(lfirst(cell)))
			return MOMENT_IN_CONSTANT;
	}
	return MOMENT_NONE;
}

static Moment
moment_in_alter(AlterTableStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, cell);

		switch (cmd->subtype)
		{
			case AT_AttachPartition:
				if (cmd->def && IsA(cmd->def, PartitionCmd) && bound_has_moment(((PartitionCmd *) cmd->def)->bound))
					return MOMENT_IN_BOUND;
				break;
			case AT_AddColumn:
			case AT_AddConstraint:
				if (cmd->def && element_has_moment(cmd->def))
					return MOMENT_IN_CONSTANT;
				break;
			case AT_ColumnDefault:
				if (has_moment_constant(cmd->def, NULL))
					return MOMENT_IN_CONSTANT;
				break;
			default:
				break;
		}
	}
	return MOMENT_NONE;
}

static Moment
moment_in(Node *stmt)
{
	Node	   *expression = NULL;

	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			return moment_in_create((CreateStmt *) stmt);
		case T_AlterTableStmt:
			return moment_in_alter((AlterTableStmt *) stmt);
		case T_ViewStmt:
			expression = ((ViewStmt *) stmt)->query;
			break;
		case T_IndexStmt:
			expression = ((IndexStmt *) stmt)->whereClause;
			break;
		default:
			break;
	}
	return has_moment_constant(expression, NULL) ? MOMENT_IN_CONSTANT : MOMENT_NONE;
}

const char *
sd_moment_reason(Node *stmt, const char **hint)
{
	switch (moment_in(stmt))
	{
		case MOMENT_IN_BOUND:
			*hint = "Write the values into the statement.";
			return "The partition's bounds are computed when a region runs the statement, each at another time.";
		case MOMENT_IN_CONSTANT:
			*hint = "Use now() or CURRENT_DATE, which are computed when they are used, or write the value.";
			return "'now', 'today', 'tomorrow' and 'yesterday' become a constant when a region runs the statement, each at another time.";
		case MOMENT_NONE:
			break;
	}
	return NULL;
}
