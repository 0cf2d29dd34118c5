/*
 * form.c: which forms of the compatibility matrix a statement has: what the families of statements share.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_node.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/routine.h"
#include "attempt.h"
#include "ddl/value.h"
#include "texts.h"

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
		{
			match->command = form->command;
			return match;
		}
	}
	match = palloc0(sizeof(SdMatch));
	match->rule = rule;
	match->command = form->command;
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
	sd_match_cast_new(match, role, thing);
}

void
sd_match_cast_new(SdMatch *match, SdRuleRole role, SdThing *thing)
{
	SdCast	   *cast = palloc(sizeof(SdCast));

	cast->role = role;
	cast->thing = thing;
	cast->shown = thing->shown;
	cast->alone = false;
	match->casts = lappend(match->casts, cast);
	match->roles |= SD_ROLE_BIT(role);
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
	SdInstead  *instead = palloc0(sizeof(SdInstead));
	va_list		args;

	va_start(args, format);
	instead->text = formatted(format, args);
	va_end(args);
	instead->command = match->command;
	match->safer = lappend(match->safer, instead);
}

void
sd_match_remark(SdMatch *match, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	((SdInstead *) llast(match->safer))->remark = formatted(format, args);
	va_end(args);
}

void
sd_match_safer_not_null(SdMatch *match, const SdThing *table, List *columns)
{
	List	   *checks = NIL;
	ListCell   *cell;
	ListCell   *check;

	foreach(cell, columns)
	{
		/* not the name that 18 gives the NOT NULL itself */
		checks = lappend(checks, unconstify(char *, sd_quoted(makeObjectName(table->name, lfirst(cell), "non_null"))));
		sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID", table->shown, (char *) llast(checks),
					   sd_quoted(lfirst(cell)));
	}
	foreach(check, checks)
		sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, (char *) lfirst(check));
	forboth(cell, columns, check, checks)
	{
		sd_match_safer(match, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", table->shown, sd_quoted(lfirst(cell)));
		sd_match_safer(match, "ALTER TABLE %s DROP CONSTRAINT %s", table->shown, (char *) lfirst(check));
	}
}

char *
sd_form_part(const SdForm *form)
{
	return form->head ? psprintf("%s %s", form->head, (char *) list_nth(form->commands, form->command)) : pstrdup(form->text);
}

void
sd_form_fails(SdForm *form, int sqlerrcode, const char *format,...)
{
	const char *unseen = sd_world_out_of_sight(form->world);
	va_list		args;
	char	   *message;

	va_start(args, format);
	message = psprintf("%s (%s)", formatted(format, args), unpack_sql_state(sqlerrcode));
	va_end(args);
	/* the server stops at the first one, too */
	if (unseen && form->unsure == NULL)
		form->unsure = psprintf("%s, unless what %s ran before it has changed that", message, unseen);
	else if (unseen == NULL && form->fails == NULL)
		form->fails = message;
}

void
sd_form_unsure(SdForm *form, const char *format,...)
{
	va_list		args;

	if (form->unsure)
		return;
	va_start(args, format);
	form->unsure = formatted(format, args);
	va_end(args);
}

void
sd_form_object(SdForm *form, const char *name)
{
	if (!sd_texts_have(form->objects, name))
		form->objects = lappend(form->objects, pstrdup(name));
}

/* What is to be said of what is below it is said there. */
static void
leave_alone(SdMatch *match, const SdThing *thing)
{
	ListCell   *cell;

	foreach(cell, match->casts)
	{
		if (((SdCast *) lfirst(cell))->thing == thing)
			((SdCast *) lfirst(cell))->alone = true;
	}
}

/* Partitions or children, many of them as one. */
static void
cast_below(SdForm *form, SdMatch *match, SdRuleRole role, SdThing *table, List *oids)
{
	ListCell   *cell;

	if (list_length(oids) > NAMED_MOST)
	{
		sd_match_cast(match, role, sd_world_below(form->world, table, oids));
		return;
	}
	sd_match_cast_oids(form, match, role, oids);
	/* what is below these is among them */
	foreach(cell, oids)
		leave_alone(match, sd_world_of(form->world, lfirst_oid(cell)));
}

void
sd_match_cast_whole(SdForm *form, SdMatch *match, SdRuleRole role, SdThing *thing)
{
	sd_match_cast(match, role, thing);
	if (thing == NULL || thing->made || thing->kind != RELKIND_PARTITIONED_TABLE)
		return;
	leave_alone(match, thing);
	cast_below(form, match, role, thing, sd_fact_descendants(thing->oid));
}

SdMatch *
sd_form_match_table(SdForm *form, const char *rule, SdThing *table, bool recurse)
{
	SdMatch    *match = sd_form_match(form, rule);
	List	   *oids = recurse && !table->made ? sd_fact_descendants(table->oid) : NIL;
	bool		partitioned = table->kind == RELKIND_PARTITIONED_TABLE;

	sd_match_cast(match, SD_ROLE_TABLE, table);
	if (partitioned || oids != NIL)
		sd_match_cast(match, SD_ROLE_PARENT, table);
	leave_alone(match, table);
	cast_below(form, match, partitioned ? SD_ROLE_PARTITIONS : SD_ROLE_CHILD, table, oids);
	return match;
}

void
sd_match_cast_children(SdForm *form, SdMatch *match, SdThing *table)
{
	if (!table->made)
		cast_below(form, match, table->kind == RELKIND_PARTITIONED_TABLE ? SD_ROLE_PARTITIONS : SD_ROLE_CHILD, table, sd_fact_children(table->oid));
}

/* Of what DROP names the server has its own opinion. */
static int
missing_code(Node *stmt)
{
	ObjectType	type = IsA(stmt, DropStmt) ? ((DropStmt *) stmt)->removeType : OBJECT_TABLE;

	return type == OBJECT_INDEX || type == OBJECT_FOREIGN_TABLE ? ERRCODE_UNDEFINED_OBJECT : ERRCODE_UNDEFINED_TABLE;
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
	if (!missing_ok && sd_world_may_be_chosen(form->world, name->relname))
		sd_form_unsure(form, "no relation \"%s\" is known, but the server chose the names of some that the script had made", name->relname);
	else if (!missing_ok)
		sd_form_fails(form, missing_code(form->stmt), "relation \"%s%s%s\" does not exist", name->schemaname ? name->schemaname : "",
					  name->schemaname ? "." : "", name->relname);
	return NULL;
}

SdColumn *
sd_form_column(SdForm *form, SdThing *table, const char *name, bool missing_ok)
{
	SdColumn   *column = sd_thing_column(table, name);

	if (column == NULL && !missing_ok)
		sd_form_fails(form, ERRCODE_UNDEFINED_COLUMN, "column \"%s\" of relation \"%s\" does not exist", name, table->name);
	return column;
}

bool
sd_form_in_partition_key(SdForm *form, SdThing *table, const SdColumn *column, const char *what)
{
	ListCell   *cell;

	if (table->made || column->number <= 0)
		return false;
	foreach(cell, lcons_oid(table->oid, sd_fact_descendants(table->oid)))
	{
		SdThing    *thing = get_rel_relkind(lfirst_oid(cell)) == RELKIND_PARTITIONED_TABLE ? sd_world_of(form->world, lfirst_oid(cell)) : NULL;
		SdColumn   *its = thing && !thing->gone ? sd_thing_column(thing, column->name) : NULL;

		if (its == NULL || !bms_is_member(its->number, sd_fact_partition_key(thing->oid)))
			continue;
		sd_form_fails(form, ERRCODE_INVALID_TABLE_DEFINITION, "cannot %s column \"%s\" because it is part of the partition key of relation \"%s\"", what, column->name, thing->name);
		return true;
	}
	return false;
}

char *
sd_form_chosen_name(SdForm *form, const SdThing *table, List *columns, const char *label)
{
	StringInfoData joined;
	ListCell   *cell;
	char	   *name;

	initStringInfo(&joined);
	foreach(cell, columns)
		appendStringInfo(&joined, "%s%s", joined.len ? "_" : "", (char *) lfirst(cell));
	/* as the server does before it makes room for the table's */
	joined.data[Min(joined.len, NAMEDATALEN - 1)] = '\0';
	name = makeObjectName(table->name, columns ? joined.data : NULL, label);
	for (int i = 1; sd_world_find(form->world, makeRangeVar(table->schema, name, -1)) ||
		 sd_follow_constraint(form->world, table, name); i++)
		name = makeObjectName(table->name, columns ? joined.data : NULL, psprintf("%s%d", label, i));
	return name;
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

void
sd_form_cast_query(SdForm *form, SdMatch *match, Node *query)
{
	ListCell   *cell;

	foreach(cell, sd_form_relations_in(query))
		sd_match_cast(match, SD_ROLE_TABLE, sd_world_find(form->world, lfirst_node(RangeVar, cell)));
}

static bool
find_words(Node *node, List **words)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		Node	   *last = llast(((ColumnRef *) node)->fields);

		*words = lappend(*words, IsA(last, String) ? strVal(last) : "*");
		return false;
	}
	return raw_expression_tree_walker(node, find_words, words);
}

void
sd_form_remember_query(SdForm *form, SdThing *view, Node *query)
{
	List	   *words = NIL;
	List	   *sources = sd_form_relations_in(query);
	List	   *things = NIL;
	ListCell   *cell;

	if (query && !IsA(query, ExecuteStmt))
		find_words(query, &words);
	foreach(cell, sources)
	{
		SdThing    *source = sd_world_find(form->world, lfirst_node(RangeVar, cell));

		if (source && source != view)
			things = list_append_unique_ptr(things, source);
	}
	sd_world_read(form->world, view, things, words);
}

static void
add_sources(SdForm *form, const SdThing *view, List **sources)
{
	List	   *own = list_copy(view->sources);
	ListCell   *cell;

	check_stack_depth();
	if (own == NIL && OidIsValid(view->oid))
	{
		foreach(cell, sd_fact_sources(view->oid))
			own = lappend(own, sd_world_of(form->world, lfirst_oid(cell)));
	}
	foreach(cell, own)
	{
		SdThing    *source = lfirst(cell);

		/* views can read each other */
		if (source == NULL || source->gone || list_member_ptr(*sources, source))
			continue;
		*sources = lappend(*sources, source);
		if (source->kind == RELKIND_VIEW)
			add_sources(form, source, sources);
	}
}

List *
sd_form_sources(SdForm *form, const SdThing *view)
{
	List	   *sources = NIL;

	add_sources(form, view, &sources);
	return sources;
}

static bool
is_identity(const ColumnDef *column)
{
	ListCell   *cell;

	foreach(cell, column->constraints)
	{
		if (lfirst_node(Constraint, cell)->contype == CONSTR_IDENTITY)
			return true;
	}
	return false;
}

bool
sd_form_is_serial(const TypeName *type)
{
	static const char *const names[] = {"smallserial", "serial2", "serial", "serial4", "bigserial", "serial8"};

	if (type == NULL || list_length(type->names) != 1 || type->arrayBounds)
		return false;
	for (size_t i = 0; i < lengthof(names); i++)
	{
		if (strcmp(strVal(linitial(type->names)), names[i]) == 0)
			return true;
	}
	return false;
}

void
sd_form_owned_sequence(SdForm *form, SdThing *table, ColumnDef *column)
{
	SdThing    *sequence;
	MemoryContext old;

	if (!sd_form_is_serial(column->typeName) && !is_identity(column))
		return;
	sequence = sd_world_make_beside(form->world, table, sd_form_chosen_name(form, table, list_make1(column->colname), "seq"),
									RELKIND_SEQUENCE);
	sequence->table = table;
	old = MemoryContextSwitchTo(GetMemoryChunkContext(sequence));
	sequence->over = list_make1(pstrdup(column->colname));
	MemoryContextSwitchTo(old);
}

/* ---- how far values can differ ---- */

typedef struct Volatility
{
	SdForm	   *form;
	SdVolatility worst;
} Volatility;

static void
worse(Volatility *found, SdVolatility volatility)
{
	found->worst = Max(found->worst, volatility);
}

/* by name alone: of those that are called so, with that number of arguments, the most volatile one */
static SdVolatility
function_volatility(SdForm *form, FuncCall *call)
{
	SdCalled	called;

	sd_routine_called(form, call->funcname, list_length(call->args), &called);
	if (!called.found || called.worst == PROVOLATILE_VOLATILE)
		return SD_VALUES_VOLATILE;
	return called.worst == PROVOLATILE_STABLE ? SD_VALUES_STABLE : SD_VALUES_CONSTANT;
}

typedef struct Differing
{
	SdForm	   *form;
	bool		certain;
	const char *doubtful;
} Differing;

static bool
is_compiled(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			language;

	if (!HeapTupleIsValid(tuple))
		return false;
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	return language == INTERNALlanguageId || language == ClanguageId;
}

/* its author said what it is, or it is somebody's and says what functions say by default */
static void
look_at_call(FuncCall *call, Differing *differing)
{
	FuncCandidateList candidate;
	SdCalled	called;
	bool		found = false;

	for (candidate = sd_routine_candidates(differing->form, call->funcname, -1, false); candidate; candidate = candidate->next)
	{
		if (!OidIsValid(candidate->oid) || candidate->nargs < list_length(call->args))
			continue;
		found = true;
		if (func_volatile(candidate->oid) == PROVOLATILE_IMMUTABLE)
			continue;
		if (candidate->oid < FirstNormalObjectId || is_compiled(candidate->oid))
			differing->certain = true;
		else
			differing->doubtful = NameListToString(call->funcname);
	}
	/* the script's own, or nobody's */
	sd_routine_called(differing->form, call->funcname, list_length(call->args), &called);
	if (!found && (!called.found || called.worst != PROVOLATILE_IMMUTABLE))
		differing->doubtful = NameListToString(call->funcname);
}

static bool
look_for_differing(Node *node, Differing *differing)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
		differing->certain = true;
	else if (IsA(node, FuncCall))
		look_at_call((FuncCall *) node, differing);
	return raw_expression_tree_walker(node, look_for_differing, differing);
}

bool
sd_form_query_differs(SdForm *form, Node *query, const char **doubtful)
{
	Differing	differing = {.form = form};

	look_for_differing(query, &differing);
	*doubtful = differing.doubtful;
	return differing.certain;
}

static bool
look_at_raw(Node *node, Volatility *found)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
		worse(found, SD_VALUES_STABLE);
	else if (IsA(node, FuncCall))
		worse(found, function_volatility(found->form, (FuncCall *) node));
	return raw_expression_tree_walker(node, look_at_raw, found);
}

SdVolatility
sd_form_query_volatility(SdForm *form, Node *query)
{
	Volatility	found = {form, SD_VALUES_CONSTANT};

	look_at_raw(query, &found);
	return found.worst;
}

/* as the server does when it runs the statement: analyzed, with functions inlined and constants folded; settings go with the entry */
static SdVolatility
cooked_volatility(Node *expression, Oid type, int32 typmod)
{
	ParseState *pstate = make_parsestate(NULL);
	Node	   *cooked = cookDefault(pstate, copyObject(expression), type, typmod, "?", '\0');

	free_parsestate(pstate);
	cooked = (Node *) expression_planner((Expr *) cooked);
	if (contain_volatile_functions(cooked))
		return SD_VALUES_VOLATILE;
	return sd_value_is_of_moment(cooked) ? SD_VALUES_STABLE : SD_VALUES_CONSTANT;
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
sd_form_volatility(SdForm *form, Node *expression, Oid type, int32 typmod, char **note)
{
	Cooking		cooking = {.expression = expression,.type = type,.typmod = typmod};
	ErrorData  *error;

	*note = NULL;
	if (!OidIsValid(type) || sd_routine_by_script(form, expression))
		return sd_form_query_volatility(form, expression);
	error = sd_attempt(cook, &cooking, true);
	if (error == NULL)
		return cooking.volatility;
	*note = error->message;
	return sd_form_query_volatility(form, expression);
}
