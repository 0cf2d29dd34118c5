/*
 * moment.c: values in a statement of DDL that are fixed when it runs, and differ from one run to the next.
 *
 * Runs in a backend, in the utility hook, on the raw statement; looks types up in the catalogs, and takes no lock.
 *
 * A partition's bounds, and constants like 'now' of the date and time types, are computed once, by the statement itself,
 * and become part of the schema.  Each region would compute its own, and the first of them to differ would halt.  What
 * is computed later, for each row (DEFAULT now(), CHECK (t < now())), is the same text everywhere and no concern here.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"

#include "ddl/moment.h"
#include "ddl/stored.h"

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

/* 'today 12:00', ' now', '[today,tomorrow)': the words may stand among others */
bool
sd_moment_is_word(const char *text)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};

	while (*text)
	{
		size_t		length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

		for (size_t i = 0; i < lengthof(words); i++)
			if (length == strlen(words[i]) && pg_strncasecmp(text, words[i], length) == 0)
				return true;
		text += Max(length, 1);
	}
	return false;
}

static bool
is_moment_word(Node *node)
{
	return node && IsA(node, A_Const) && !((A_Const *) node)->isnull &&
		IsA(&((A_Const *) node)->val, String) && sd_moment_is_word(strVal(&((A_Const *) node)->val));
}

static bool
is_date_or_time(Oid type)
{
	return type == DATEOID || type == TIMEOID || type == TIMETZOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
}

bool
sd_moment_is_type(Oid type)
{
	return sd_stored_holds(type, is_date_or_time);
}

/* 'now'::timestamp, '[today,tomorrow)'::daterange, 'now' as the default of such a column */
static bool
is_moment_constant(Node *value, Oid type)
{
	return is_moment_word(value) && sd_moment_is_type(type);
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
	return raw_expression_tree_walker(node, has_moment, context);
}

bool
sd_moment_in_expression(Node *expression)
{
	return has_moment(expression, NULL) || sd_stored_in_value(expression, InvalidOid, is_moment_constant);
}

static bool
datums_have_moment(List *datums, bool range, const RangeVar *parent)
{
	ListCell   *cell;

	foreach(cell, datums)
	{
		Oid			type = sd_stored_key_type(parent, range ? foreach_current_index(cell) : 0);

		if (has_moment(lfirst(cell), NULL) || sd_stored_in_value(lfirst(cell), type, is_moment_constant))
			return true;
		/* in a list the bare word may be a text; a range of texts from 'today' makes no sense */
		if (range && !OidIsValid(type) && is_moment_word(lfirst(cell)))
			return true;
	}
	return false;
}

static bool
bound_has_moment(PartitionBoundSpec *bound, const RangeVar *parent)
{
	return bound && IsA(bound, PartitionBoundSpec) &&
		(datums_have_moment(bound->listdatums, false, parent) || datums_have_moment(bound->lowerdatums, true, parent) ||
		 datums_have_moment(bound->upperdatums, true, parent));
}

static bool
has_moment_bound(Node *stmt)
{
	ListCell   *cell;

	if (IsA(stmt, CreateStmt) || IsA(stmt, CreateForeignTableStmt))
		return ((CreateStmt *) stmt)->inhRelations != NIL &&
			bound_has_moment(((CreateStmt *) stmt)->partbound, linitial(((CreateStmt *) stmt)->inhRelations));
	if (IsA(stmt, AlterTableStmt))
	{
		foreach(cell, ((AlterTableStmt *) stmt)->cmds)
		{
			AlterTableCmd *cmd = lfirst_node(AlterTableCmd, cell);

			if (cmd->subtype == AT_AttachPartition && cmd->def && IsA(cmd->def, PartitionCmd) &&
				bound_has_moment(((PartitionCmd *) cmd->def)->bound, ((AlterTableStmt *) stmt)->relation))
				return true;
		}
	}
	else if (IsA(stmt, CreateSchemaStmt))
	{
		foreach(cell, ((CreateSchemaStmt *) stmt)->schemaElts)
			if (has_moment_bound(lfirst(cell)))
				return true;
	}
	return false;
}

static Moment
moment_in(Node *stmt)
{
	if (has_moment_bound(stmt))
		return MOMENT_IN_BOUND;
	return sd_stored_any(stmt, is_moment_constant) ? MOMENT_IN_CONSTANT : MOMENT_NONE;
}

const char *
sd_moment_constant_reason(const char **hint)
{
	*hint = "Use now() or CURRENT_DATE, which are computed when they are used, or write the value.";
	return "'now', 'today', 'tomorrow' and 'yesterday' become a constant when a region runs the statement, each at another time.";
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
			return sd_moment_constant_reason(hint);
		case MOMENT_NONE:
			break;
	}
	return NULL;
}
