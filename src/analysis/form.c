/*
 * form.c: which forms of the compatibility matrix a statement has: what the families of statements share.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_node.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "analysis/facts.h"
#include "analysis/form.h"
#include "attempt.h"

#define NAMED_MOST	4			/* partitions that are named one by one */

SdMatch *
sd_form_match(SdForm *form, const char *rule)
{
	SdMatch    *match;
	ListCell   *cell;

	foreach(cell, form->matches)
	{
		match = lfirst(cell);
		if (strcmp(match->rule, rule) == 0)
			return match;
	}
	match = palloc0(sizeof(SdMatch));
	match->rule = rule;
	match->backward = SD_ANSWER_NONE;
	form->matches = lappend(form->matches, match);
	return match;
}

void
sd_match_cast(SdMatch *match, SdRuleRole role, SdThing *thing)
{
	SdCast	   *cast;
	ListCell   *cell;

	if (thing == NULL)
		return;
	foreach(cell, match->casts)
	{
		cast = lfirst(cell);
		if (cast->role == role && cast->thing == thing)
			return;
	}
	cast = palloc(sizeof(SdCast));
	cast->role = role;
	cast->thing = thing;
	cast->shown = thing->shown;
	match->casts = lappend(match->casts, cast);
}

/* One thing that stands for many. */
static SdThing *
many(List *oids, const char *what, const SdThing *of)
{
	SdThing    *thing = palloc0(sizeof(SdThing));
	ListCell   *cell;

	thing->kind = RELKIND_RELATION;
	thing->many = true;
	thing->shown = psprintf("%d %s of %s", list_length(oids), what, of->shown);
	thing->name = thing->schema = thing->shown;
	foreach(cell, oids)
		thing->bytes += sd_fact_bytes(lfirst_oid(cell));
	return thing;
}

void
sd_match_cast_oids(SdForm *form, SdMatch *match, SdRuleRole role, List *oids)
{
	ListCell   *cell;

	foreach(cell, oids)
	{
		SdThing    *thing = sd_world_of(form->world, lfirst_oid(cell));

		if (thing && !thing->gone)
			sd_match_cast(match, role, thing);
	}
}

static char *pg_attribute_printf(1, 0)
formatted(const char *format, va_list args)
{
	StringInfoData out;

	initStringInfo(&out);
	for (;;)
	{
		va_list		again;
		int			needed;

		va_copy(again, args);
		needed = appendStringInfoVA(&out, format, again);
		va_end(again);
		if (needed == 0)
			return out.data;
		enlargeStringInfo(&out, needed);
	}
}

void
sd_match_why(SdMatch *match, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	match->why = lappend(match->why, formatted(format, args));
	va_end(args);
}

void
sd_match_safer(SdMatch *match, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	match->safer = lappend(match->safer, formatted(format, args));
	va_end(args);
}

void
sd_form_fails(SdForm *form, const char *format,...)
{
	va_list		args;

	/* the server stops at the first one, too */
	if (form->fails)
		return;
	va_start(args, format);
	form->fails = formatted(format, args);
	va_end(args);
}

void
sd_form_object(SdForm *form, const char *name)
{
	ListCell   *cell;

	foreach(cell, form->objects)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return;
	}
	form->objects = lappend(form->objects, pstrdup(name));
}

SdMatch *
sd_form_match_table(SdForm *form, const char *rule, SdThing *table, bool recurse)
{
	SdMatch    *match = sd_form_match(form, rule);
	List	   *oids;
	bool		partitioned = table->kind == RELKIND_PARTITIONED_TABLE;
	SdRuleRole	role = partitioned ? SD_ROLE_PARTITIONS : SD_ROLE_CHILD;

	sd_match_cast(match, SD_ROLE_TABLE, table);
	if (partitioned)
		sd_match_cast(match, SD_ROLE_PARENT, table);
	if (!recurse || table->made || (oids = sd_fact_descendants(table->oid)) == NIL)
		return match;
	sd_match_cast(match, SD_ROLE_PARENT, table);
	if (list_length(oids) <= NAMED_MOST)
		sd_match_cast_oids(form, match, role, oids);
	else
	{
		ListCell   *cell;

		/* once a match */
		foreach(cell, match->casts)
		{
			if (((SdCast *) lfirst(cell))->role == role)
				return match;
		}
		sd_match_cast(match, role, many(oids, partitioned ? "partitions" : "children", table));
	}
	return match;
}

SdThing *
sd_form_relation(SdForm *form, const RangeVar *name, bool missing_ok)
{
	SdThing    *thing = sd_world_find(form->world, name);

	if (thing)
	{
		sd_form_object(form, thing->shown);
		return thing;
	}
	sd_form_object(form, name->schemaname ? quote_qualified_identifier(name->schemaname, name->relname) :
				   quote_identifier(name->relname));
	if (!missing_ok)
		sd_form_fails(form, "relation \"%s%s%s\" does not exist", name->schemaname ? name->schemaname : "",
					  name->schemaname ? "." : "", name->relname);
	return NULL;
}

SdColumn *
sd_form_column(SdForm *form, SdThing *table, const char *name, bool missing_ok)
{
	SdColumn   *column = sd_thing_column(table, name);

	if (column == NULL && !missing_ok)
		sd_form_fails(form, "column \"%s\" of relation \"%s\" does not exist", name, table->name);
	return column;
}

static bool
find_relations(Node *node, List **found)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
	{
		*found = lappend(*found, node);
		return false;
	}
	return raw_expression_tree_walker(node, find_relations, found);
}

List *
sd_form_relations_in(Node *query)
{
	List	   *found = NIL;

	/* CREATE TABLE ... AS EXECUTE: the walker knows queries only */
	if (query && !IsA(query, ExecuteStmt))
		find_relations(query, &found);
	return found;
}

/* ---- how far values can differ ---- */

typedef struct Volatility
{
	SdVolatility worst;
} Volatility;

static void
worse(Volatility *found, SdVolatility volatility)
{
	found->worst = Max(found->worst, volatility);
}

/* by name alone: of those that are called so, with that number of arguments, the most volatile one */
static SdVolatility
function_volatility(List *names, int nargs)
{
	FuncCandidateList candidate;
	SdVolatility worst = SD_VALUES_CONSTANT;
	bool		found = false;

	for (candidate = FuncnameGetCandidates(names, -1, NIL, false, false, false, true); candidate; candidate = candidate->next)
	{
		if (candidate->nargs < nargs && !OidIsValid(candidate->oid))
			continue;
		found = true;
		switch (func_volatile(candidate->oid))
		{
			case PROVOLATILE_VOLATILE:
				worst = SD_VALUES_VOLATILE;
				break;
			case PROVOLATILE_STABLE:
				worst = Max(worst, SD_VALUES_STABLE);
				break;
			default:
				break;
		}
	}
	return found ? worst : SD_VALUES_VOLATILE;
}

static bool
look_at_raw(Node *node, Volatility *found)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
		worse(found, SD_VALUES_STABLE);
	else if (IsA(node, FuncCall))
		worse(found, function_volatility(((FuncCall *) node)->funcname, list_length(((FuncCall *) node)->args)));
	return raw_expression_tree_walker(node, look_at_raw, found);
}

SdVolatility
sd_form_query_volatility(Node *query)
{
	Volatility	found = {SD_VALUES_CONSTANT};

	look_at_raw(query, &found);
	return found.worst;
}

/* as the server does when it runs the statement: analyzed, with functions inlined and constants folded */
static SdVolatility
cooked_volatility(Node *expression, Oid type, int32 typmod)
{
	ParseState *pstate = make_parsestate(NULL);
	Node	   *cooked = cookDefault(pstate, copyObject(expression), type, typmod, "?", '\0');

	free_parsestate(pstate);
	cooked = (Node *) expression_planner((Expr *) cooked);
	if (contain_volatile_functions(cooked))
		return SD_VALUES_VOLATILE;
	return contain_mutable_functions(cooked) ? SD_VALUES_STABLE : SD_VALUES_CONSTANT;
}

typedef struct Cooking
{
	Node	   *expression;
	Oid			type;
	int32		typmod;
	SdVolatility volatility;
} Cooking;

static void
cook(void *arg)
{
	Cooking    *cooking = arg;

	cooking->volatility = cooked_volatility(cooking->expression, cooking->type, cooking->typmod);
}

SdVolatility
sd_form_volatility(Node *expression, Oid type, int32 typmod, char **note)
{
	Cooking		cooking = {.expression = expression,.type = type,.typmod = typmod};
	ErrorData  *error;

	*note = NULL;
	if (!OidIsValid(type))
		return sd_form_query_volatility(expression);
	error = sd_attempt(cook, &cooking, true);
	if (error == NULL)
		return cooking.volatility;
	*note = error->message;
	return sd_form_query_volatility(expression);
}
