/*
 * routine.c: functions, as they are when a script gets there; see routine.h.
 *
 * Runs in a backend; reads system caches, takes no lock.
 */
#include "compat.h"

#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "analysis/follow.h"
#include "analysis/routine.h"

/* ---- names and arguments ---- */

/* Where a new one of this name would be. */
static char *
schema_of(SdForm *form, List *names)
{
	return list_length(names) > 1 ? strVal(list_nth(names, list_length(names) - 2)) : sd_world_creation_schema(form->world);
}

static bool
is_called(SdForm *form, const SdRoutine *routine, List *names)
{
	if (routine->gone || strcmp(routine->name, strVal(llast(names))) != 0)
		return false;
	if (list_length(names) > 1)
		return strcmp(routine->schema, strVal(list_nth(names, list_length(names) - 2))) == 0;
	return sd_world_in_path(form->world, routine->schema);
}

static void
append_type(SdForm *form, StringInfo out, TypeName *type)
{
	int32		typmod;
	Oid			oid = sd_form_type(form, type, &typmod, NULL);

	if (OidIsValid(oid))
		appendStringInfo(out, "%u,", oid);
	else
		appendStringInfo(out, "%s,", TypeNameToString(type));
}

static bool
is_input(const FunctionParameter *parameter)
{
	return parameter->mode != FUNC_PARAM_OUT && parameter->mode != FUNC_PARAM_TABLE;
}

static void
set_arguments(SdForm *form, SdRoutine *routine, List *parameters)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, cell);

		if (!is_input(parameter))
			continue;
		append_type(form, &out, parameter->argType);
		routine->n_arguments++;
		routine->n_defaults += parameter->defexpr != NULL;
		if (parameter->mode == FUNC_PARAM_VARIADIC)
			routine->n_arguments = -1;
		if (routine->n_arguments < 0)
			break;
	}
	routine->arguments = out.data;
}

static char *
arguments_of(SdForm *form, ObjectWithArgs *object)
{
	StringInfoData out;
	ListCell   *cell;

	if (object->args_unspecified)
		return NULL;
	initStringInfo(&out);
	foreach(cell, object->objargs)
	{
		/* of an operator or an aggregate there may be none */
		if (lfirst(cell))
			append_type(form, &out, lfirst_node(TypeName, cell));
	}
	return out.data;
}

/* ---- those of the script ---- */

static SdRoutine *
remember(SdForm *form, const SdRoutine *what)
{
	List	  **routines = sd_world_routines(form->world);
	MemoryContext old = MemoryContextSwitchTo(sd_world_context(form->world));
	SdRoutine  *routine = palloc(sizeof(SdRoutine));

	*routine = *what;
	routine->schema = pstrdup(what->schema);
	routine->name = pstrdup(what->name);
	routine->arguments = what->arguments ? pstrdup(what->arguments) : NULL;
	routine->cascades = sd_world_cascades(form->world);
	*routines = lcons(routine, *routines);
	MemoryContextSwitchTo(old);
	return routine;
}

/* One that stands for a function of the catalog, as that is. */
static SdRoutine *
remember_known(SdForm *form, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	SdRoutine	routine = {.oid = oid};
	Form_pg_proc proc;
	StringInfoData out;
	SdRoutine  *made;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	initStringInfo(&out);
	for (int i = 0; i < proc->pronargs; i++)
		appendStringInfo(&out, "%u,", proc->proargtypes.values[i]);
	routine.schema = get_namespace_name(proc->pronamespace);
	routine.name = NameStr(proc->proname);
	routine.arguments = out.data;
	routine.n_arguments = OidIsValid(proc->provariadic) ? -1 : proc->pronargs;
	routine.n_defaults = proc->pronargdefaults;
	routine.volatility = proc->provolatile;
	routine.inlined = proc->prolang == SQLlanguageId;
	made = routine.schema ? remember(form, &routine) : NULL;
	ReleaseSysCache(tuple);
	return made;
}

static SdRoutine *
standing_for(SdForm *form, Oid oid)
{
	ListCell   *cell;

	foreach(cell, *sd_world_routines(form->world))
	{
		if (((SdRoutine *) lfirst(cell))->oid == oid && OidIsValid(oid))
			return lfirst(cell);
	}
	return NULL;
}

/* ---- what the catalog has ---- */

/* A name in a schema as the catalog has that; NIL: the schema is the script's own, or gone. */
static List *
names_in_catalog(SdForm *form, const char *schema, List *names)
{
	char	   *known = sd_world_schema_in_catalog(form->world, schema);

	return known ? list_make2(makeString(known), llast(names)) : NIL;
}

/* Where a name without a schema leads besides: schemas of the path that the catalog calls otherwise. */
static List *
renamed_in_path(SdForm *form, List *names)
{
	List	   *found = NIL;
	ListCell   *cell;

	foreach(cell, sd_world_path(form->world))
	{
		char	   *known = sd_world_schema_in_catalog(form->world, lfirst(cell));

		if (known && strcmp(known, lfirst(cell)) != 0 && strcmp(lfirst(cell), "pg_temp") != 0)
			found = lappend(found, list_make2(makeString(known), llast(names)));
	}
	return found;
}

FuncCandidateList
sd_routine_candidates(SdForm *form, List *names, int n_arguments, bool expand)
{
	FuncCandidateList found;
	ListCell   *cell;

	if (list_length(names) > 1)
	{
		names = names_in_catalog(form, schema_of(form, names), names);
		return names ? FuncnameGetCandidates(names, n_arguments, NIL, expand, expand, false, true) : NULL;
	}
	found = FuncnameGetCandidates(names, n_arguments, NIL, expand, expand, false, true);
	foreach(cell, renamed_in_path(form, names))
	{
		FuncCandidateList more = FuncnameGetCandidates(lfirst(cell), n_arguments, NIL, expand, expand, false, true);

		while (more)
		{
			FuncCandidateList next = more->next;

			more->next = found;
			found = more;
			more = next;
		}
	}
	return found;
}

Oid
sd_routine_in_catalog(SdForm *form, ObjectType type, ObjectWithArgs *object)
{
	ObjectWithArgs *known = copyObject(object);
	List	   *also = NIL;
	ListCell   *cell;
	Oid			oid;

	foreach(cell, known->objargs)
	{
		int32		typmod;
		Oid			argument = lfirst(cell) ? sd_form_type(form, lfirst_node(TypeName, cell), &typmod, NULL) : InvalidOid;

		/* a type that the script makes, or none */
		if (lfirst(cell) && !OidIsValid(argument))
			return InvalidOid;
		if (lfirst(cell))
			lfirst(cell) = makeTypeNameFromOid(argument, -1);
	}
	if (list_length(object->objname) > 1)
	{
		known->objname = names_in_catalog(form, schema_of(form, object->objname), object->objname);
		if (known->objname == NIL)
			return InvalidOid;
	}
	else
		also = renamed_in_path(form, object->objname);
	oid = LookupFuncWithArgs(type, known, true);
	foreach(cell, OidIsValid(oid) ? NIL : also)
	{
		known->objname = lfirst(cell);
		oid = LookupFuncWithArgs(type, known, true);
		if (OidIsValid(oid))
			break;
	}
	return oid;
}

/* As the catalog has it, still. */
static bool
is_as_known(SdForm *form, Oid oid)
{
	return sd_world_fate(form->world, ProcedureRelationId, oid, 0) == SD_FATE_NONE && standing_for(form, oid) == NULL;
}

Oid
sd_routine_resolve(SdForm *form, ObjectType type, ObjectWithArgs *object, SdRoutine **routine)
{
	char	   *arguments = arguments_of(form, object);
	ListCell   *cell;
	Oid			oid;

	*routine = NULL;
	foreach(cell, *sd_world_routines(form->world))
	{
		SdRoutine  *one = lfirst(cell);

		if (is_called(form, one, object->objname) &&
			(arguments == NULL || one->arguments == NULL || strcmp(arguments, one->arguments) == 0))
		{
			*routine = one;
			return InvalidOid;
		}
	}
	oid = sd_routine_in_catalog(form, type, object);
	return OidIsValid(oid) && is_as_known(form, oid) ? oid : InvalidOid;
}

/* ---- calls ---- */

static void
meet(SdCalled *called, char volatility, bool inlined)
{
	static const char order[] = {PROVOLATILE_IMMUTABLE, PROVOLATILE_STABLE, PROVOLATILE_VOLATILE, '\0'};

	if (!called->found)
		called->all_mutable = true;
	called->found = true;
	if (strchr(order, volatility) > strchr(order, called->worst))
		called->worst = volatility;
	if (volatility == PROVOLATILE_IMMUTABLE || inlined)
		called->all_mutable = false;
}

static bool
is_inlined(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		inlined = HeapTupleIsValid(tuple) && ((Form_pg_proc) GETSTRUCT(tuple))->prolang == SQLlanguageId;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return inlined;
}

void
sd_routine_called(SdForm *form, List *names, int n_arguments, SdCalled *called)
{
	FuncCandidateList candidate;
	ListCell   *cell;

	memset(called, 0, sizeof(*called));
	called->worst = PROVOLATILE_IMMUTABLE;
	foreach(cell, *sd_world_routines(form->world))
	{
		SdRoutine  *routine = lfirst(cell);

		if (!is_called(form, routine, names))
			continue;
		if (routine->n_arguments >= 0 && (n_arguments > routine->n_arguments || n_arguments < routine->n_arguments - routine->n_defaults))
			continue;
		called->by_script = true;
		meet(called, routine->volatility, routine->inlined);
	}
	for (candidate = sd_routine_candidates(form, names, n_arguments, true); candidate; candidate = candidate->next)
	{
		if (!OidIsValid(candidate->oid))
			meet(called, PROVOLATILE_VOLATILE, true);
		else if (is_as_known(form, candidate->oid))
			meet(called, func_volatile(candidate->oid), is_inlined(candidate->oid));
	}
}

typedef struct Calls
{
	SdForm	   *form;
	SdThing    *table;
	const char *immutable;
	bool		by_script;
} Calls;

static bool
find_by_script(Node *node, Calls *calls)
{
	SdCalled	called;

	if (node == NULL || calls->by_script)
		return false;
	if (IsA(node, FuncCall))
	{
		sd_routine_called(calls->form, ((FuncCall *) node)->funcname, list_length(((FuncCall *) node)->args), &called);
		calls->by_script |= called.by_script;
	}
	return raw_expression_tree_walker(node, find_by_script, calls);
}

bool
sd_routine_by_script(SdForm *form, Node *expression)
{
	Calls		calls = {.form = form};

	if (*sd_world_routines(form->world) != NIL)
		find_by_script(expression, &calls);
	return calls.by_script;
}

/* f(x) may be a column of x, or a type */
static bool
may_be_no_function(SdForm *form, const FuncCall *call)
{
	int32		typmod;
	bool		made;

	if (list_length(call->args) == 1 || call->func_variadic)
		return true;
	return OidIsValid(sd_form_type(form, makeTypeNameFromNameList(call->funcname), &typmod, &made)) || made;
}

static bool
look_at_calls(Node *node, Calls *calls)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncCall))
	{
		FuncCall   *call = (FuncCall *) node;
		SdCalled	called;
		ListCell   *cell;
		bool		named = false;

		sd_routine_called(calls->form, call->funcname, list_length(call->args), &called);
		foreach(cell, call->args)
			named |= IsA(lfirst(cell), NamedArgExpr);
		if (!called.found && !may_be_no_function(calls->form, call))
			sd_form_fails(calls->form, ERRCODE_UNDEFINED_FUNCTION, "function %s(%s) does not exist", NameListToString(call->funcname), call->args ? "..." : "");
		else if (called.all_mutable && called.found && calls->immutable && !named && !call->func_variadic)
			sd_form_fails(calls->form, ERRCODE_INVALID_OBJECT_DEFINITION, "%s", calls->immutable);
		if (calls->table)
			sd_routine_use_by(calls->form, calls->table, call->funcname, NULL);
	}
	/* a query in it has names of its own, and may come later than what it calls */
	if (IsA(node, SubLink))
		return false;
	return raw_expression_tree_walker(node, look_at_calls, calls);
}

void
sd_routine_use(SdForm *form, SdThing *table, Node *expression, const char *immutable)
{
	Calls		calls = {.form = form,.table = table,.immutable = immutable};

	look_at_calls(expression, &calls);
}

void
sd_routine_use_constraint(SdForm *form, SdThing *table, const Constraint *constraint)
{
	sd_routine_use(form, table, constraint->raw_expr,
				   constraint->contype == CONSTR_GENERATED ? "generation expression is not immutable" : NULL);
}

void
sd_routine_use_column(SdForm *form, SdThing *table, const ColumnDef *column)
{
	ListCell   *cell;

	sd_routine_use(form, table, column->raw_default, NULL);
	foreach(cell, column->constraints)
		sd_routine_use_constraint(form, table, lfirst_node(Constraint, cell));
}

/* ---- who uses them ---- */

typedef struct Use
{
	char	   *function;		/* its last name */
	SdThing    *table;
	char	   *by;				/* the trigger; NULL: something else */
} Use;

void
sd_routine_use_by(SdForm *form, SdThing *table, List *names, const char *by)
{
	List	  **uses = sd_world_uses(form->world);
	MemoryContext old;
	Use		   *use;

	old = MemoryContextSwitchTo(sd_world_context(form->world));
	use = palloc(sizeof(Use));
	use->function = pstrdup(strVal(llast(names)));
	use->table = table;
	use->by = by ? pstrdup(by) : NULL;
	*uses = lappend(*uses, use);
	MemoryContextSwitchTo(old);
}

void
sd_routine_unuse(SdForm *form, SdThing *table, const char *by)
{
	List	  **uses = sd_world_uses(form->world);
	ListCell   *cell;

	foreach(cell, *uses)
	{
		Use		   *use = lfirst(cell);

		if (use->table == table && use->by && strcmp(use->by, by) == 0)
			*uses = foreach_delete_current(*uses, cell);
	}
}

List *
sd_routine_users(SdForm *form, const SdRoutine *routine, Oid oid)
{
	const char *name = routine ? routine->name : get_func_name(oid);
	List	   *users = NIL;
	ListCell   *cell;

	foreach(cell, *sd_world_uses(form->world))
	{
		Use		   *use = lfirst(cell);

		if (name && !use->table->gone && strcmp(use->function, name) == 0)
			users = list_append_unique_ptr(users, use->table);
	}
	return users;
}

/* ---- statements ---- */

static char
volatility_of(const char *word)
{
	return strcmp(word, "immutable") == 0 ? PROVOLATILE_IMMUTABLE : strcmp(word, "stable") == 0 ? PROVOLATILE_STABLE : PROVOLATILE_VOLATILE;
}

static void
set_options(SdRoutine *routine, List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "volatility") == 0)
			routine->volatility = volatility_of(strVal(option->arg));
		else if (strcmp(option->defname, "language") == 0)
			routine->inlined = strcmp(strVal(option->arg), "sql") == 0;
	}
}

/* The one of the catalog that CREATE OR REPLACE would replace. */
static Oid
known_function(SdForm *form, CreateFunctionStmt *stmt, const char *schema)
{
	ObjectWithArgs *object = makeNode(ObjectWithArgs);
	Oid			oid;
	ListCell   *cell;

	object->objname = list_make2(makeString(pstrdup(schema)), llast(stmt->funcname));
	foreach(cell, stmt->parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, cell);

		if (is_input(parameter))
			object->objargs = lappend(object->objargs, parameter->argType);
	}
	oid = sd_routine_in_catalog(form, OBJECT_ROUTINE, object);
	return OidIsValid(oid) && is_as_known(form, oid) ? oid : InvalidOid;
}

static SdRoutine *
made_function(SdForm *form, const SdRoutine *like)
{
	ListCell   *cell;

	foreach(cell, *sd_world_routines(form->world))
	{
		SdRoutine  *one = lfirst(cell);

		if (!one->gone && strcmp(one->name, like->name) == 0 && strcmp(one->schema, like->schema) == 0 &&
			one->arguments && strcmp(one->arguments, like->arguments) == 0)
			return one;
	}
	return NULL;
}

void
sd_form_function(SdForm *form, CreateFunctionStmt *stmt)
{
	SdRoutine	routine = {.volatility = PROVOLATILE_VOLATILE,.inlined = stmt->sql_body != NULL};
	SdRoutine  *made;
	Oid			known;

	sd_form_object(form, NameListToString(stmt->funcname));
	routine.schema = schema_of(form, stmt->funcname);
	routine.name = strVal(llast(stmt->funcname));
	set_arguments(form, &routine, stmt->parameters);
	set_options(&routine, stmt->options);
	made = made_function(form, &routine);
	known = made ? made->oid : known_function(form, stmt, routine.schema);
	if (list_length(stmt->funcname) > 1 && !sd_world_has_schema(form->world, routine.schema))
		sd_form_fails(form, ERRCODE_UNDEFINED_SCHEMA, "schema \"%s\" does not exist", routine.schema);
	if (!stmt->replace && made && made->cascades != sd_world_cascades(form->world))
		sd_form_unsure(form, "function \"%s\" exists already, unless it went with what was dropped CASCADE", routine.name);
	else if (!stmt->replace && (made || OidIsValid(known)))
		sd_form_fails(form, ERRCODE_DUPLICATE_FUNCTION, "function \"%s\" already exists with same argument types", routine.name);
	sd_form_match(form, made || OidIsValid(known) ? "J10" : "J9");
	if (made && !OidIsValid(made->oid))
		sd_form_match(form, "J10")->harmless = true;
	routine.oid = known;
	if (made)
	{
		made->volatility = routine.volatility;
		made->inlined = routine.inlined;
		made->cascades = sd_world_cascades(form->world);
	}
	else
		(void) remember(form, &routine);
}

void
sd_routine_make_aggregate(SdForm *form, List *names)
{
	SdRoutine	routine = {.volatility = PROVOLATILE_IMMUTABLE,.n_arguments = -1};

	routine.schema = schema_of(form, names);
	routine.name = strVal(llast(names));
	(void) remember(form, &routine);
}

void
sd_form_alter_function(SdForm *form, AlterFunctionStmt *stmt)
{
	SdRoutine  *routine;
	Oid			oid = sd_routine_resolve(form, stmt->objtype, stmt->func, &routine);

	sd_form_object(form, NameListToString(stmt->func->objname));
	if (routine == NULL && !OidIsValid(oid))
		sd_form_fails(form, ERRCODE_UNDEFINED_FUNCTION, "function %s does not exist", NameListToString(stmt->func->objname));
	sd_form_match(form, "J10")->harmless = routine && !OidIsValid(routine->oid);
	routine = routine ? routine : OidIsValid(oid) ? remember_known(form, oid) : NULL;
	if (routine)
		set_options(routine, stmt->actions);
}

void
sd_routine_rename(SdForm *form, ObjectType type, ObjectWithArgs *object, const char *schema, const char *name)
{
	SdRoutine  *routine;
	Oid			oid = sd_routine_resolve(form, type, object, &routine);
	MemoryContext old;

	sd_form_object(form, NameListToString(object->objname));
	if (routine == NULL && !OidIsValid(oid))
	{
		sd_form_fails(form, ERRCODE_UNDEFINED_FUNCTION, "function %s does not exist", NameListToString(object->objname));
		return;
	}
	routine = routine ? routine : remember_known(form, oid);
	if (routine == NULL)
		return;
	old = MemoryContextSwitchTo(sd_world_context(form->world));
	if (schema)
		routine->schema = pstrdup(schema);
	if (name)
		routine->name = pstrdup(name);
	MemoryContextSwitchTo(old);
}

List *
sd_routines_in_schema(SdForm *form, const char *schema)
{
	Oid			namespace = sd_world_schema_oid(form->world, schema);
	List	   *objects = NIL;
	ListCell   *cell;

	foreach(cell, OidIsValid(namespace) ? sd_fact_dependents(NamespaceRelationId, namespace, 0) : NIL)
	{
		ObjectAddress *object = &((SdDependent *) lfirst(cell))->object;

		if (object->classId == ProcedureRelationId && is_as_known(form, object->objectId))
			objects = lappend(objects, object);
	}
	foreach(cell, *sd_world_routines(form->world))
	{
		SdRoutine  *routine = lfirst(cell);
		ObjectAddress *object;

		if (!OidIsValid(routine->oid) || routine->gone || strcmp(routine->schema, schema) != 0)
			continue;
		object = palloc(sizeof(ObjectAddress));
		ObjectAddressSet(*object, ProcedureRelationId, routine->oid);
		objects = lappend(objects, object);
	}
	return objects;
}

void
sd_routine_move_schema(SdForm *form, const char *schema, const char *to)
{
	ListCell   *cell;

	foreach(cell, *sd_world_routines(form->world))
	{
		SdRoutine  *routine = lfirst(cell);

		if (strcmp(routine->schema, schema) != 0)
			continue;
		if (to)
			routine->schema = MemoryContextStrdup(sd_world_context(form->world), to);
		else
			routine->gone = true;
	}
}
