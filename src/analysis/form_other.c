/*
 * form_other.c: types, views, functions, triggers, sequences, publications, extensions, maintenance, and rows.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteDefine.h"
#include "commands/trigger.h"
#include "rewrite/rewriteSupport.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "ddl/history_tables.h"

/* ---- types ---- */

static void
make_type(SdForm *form, List *names, const char *rule)
{
	sd_form_object(form, NameListToString(names));
	sd_form_match(form, rule);
	sd_world_note(form->world, "type", strVal(llast(names)), InvalidOid);
}

static void
alter_enum(SdForm *form, AlterEnumStmt *stmt)
{
	bool		made;
	int32		typmod;
	Oid			type = sd_form_type(form, makeTypeNameFromNameList(stmt->typeName), &typmod, &made);
	SdMatch    *match;

	sd_form_object(form, NameListToString(stmt->typeName));
	if (!OidIsValid(type) && !made)
		sd_form_fails(form, "type \"%s\" does not exist", NameListToString(stmt->typeName));
	match = sd_form_match(form, stmt->oldVal ? "I2" : "I1");
	if (!OidIsValid(type) && made)
		match->harmless = true;
	if (OidIsValid(type))
	{
		bool		renamed = sd_world_noted(form->world, "label", psprintf("%u %s", type, stmt->newVal), NULL);
		bool		there = !renamed && SearchSysCacheExists2(ENUMTYPOIDNAME, ObjectIdGetDatum(type), CStringGetDatum(stmt->newVal));

		if (there && stmt->skipIfNewValExists)
			match->harmless = true;
		else if (there)
			sd_form_fails(form, "enum label \"%s\" already exists", stmt->newVal);
		/* nobody locks them, but their rows are what is affected */
		sd_match_cast_oids(form, match, SD_ROLE_TABLE, sd_fact_type_users(type));
	}
	if (stmt->oldVal && OidIsValid(type))
		sd_world_note(form->world, "label", psprintf("%u %s", type, stmt->oldVal), InvalidOid);
	if (stmt->oldVal)
	{
		const char *name = NameListToString(stmt->typeName);

		sd_match_safer(match, "ALTER TYPE %s ADD VALUE %s", name, quote_literal_cstr(stmt->newVal));
		sd_match_safer(match, "-- when all regions have it and all applications understand it, in batches, in ONE region:\n"
					   "-- UPDATE <table> SET <column> = %s WHERE <column> = %s AND <a range of the key>",
					   quote_literal_cstr(stmt->newVal), quote_literal_cstr(stmt->oldVal));
	}
}

static void
alter_domain(SdForm *form, AlterDomainStmt *stmt)
{
	bool		made;
	int32		typmod;
	Oid			type = sd_form_type(form, makeTypeNameFromNameList(stmt->typeName), &typmod, &made);
	const char *name = NameListToString(stmt->typeName);
	bool		not_valid = false;
	const char *rule = "I13";
	SdMatch    *match;

	sd_form_object(form, name);
	if (!OidIsValid(type))
	{
		if (!made && !stmt->missing_ok)
			sd_form_fails(form, "type \"%s\" does not exist", name);
	}
	switch (stmt->subtype)
	{
		case 'C':
			not_valid = stmt->def && castNode(Constraint, stmt->def)->skip_validation;
			rule = not_valid ? "I10" : "I9";
			break;
		case 'V':
			rule = "I11";
			break;
		case 'O':
			rule = "I12";
			break;
		default:
			break;
	}
	match = sd_form_match(form, rule);
	if (OidIsValid(type))
		sd_match_cast_oids(form, match, SD_ROLE_TABLE, sd_fact_type_users(type));
	if (strcmp(rule, "I9") == 0)
	{
		Constraint *constraint = castNode(Constraint, stmt->def);

		sd_match_safer(match, "ALTER DOMAIN %s ADD CONSTRAINT %s CHECK (<the condition>) NOT VALID", name,
					   constraint->conname ? sd_quoted(constraint->conname) : "<name>");
		sd_match_safer(match, "-- VALIDATE takes SHARE on every table that uses it (rule I11): when that is bearable\n"
					   "ALTER DOMAIN %s VALIDATE CONSTRAINT %s", name, constraint->conname ? sd_quoted(constraint->conname) : "<name>");
	}
	else if (strcmp(rule, "I12") == 0)
		sd_match_safer(match, "ALTER DOMAIN %s ADD CONSTRAINT <name> CHECK (VALUE IS NOT NULL) NOT VALID", name);
}

static void
define(SdForm *form, DefineStmt *stmt)
{
	sd_form_object(form, NameListToString(stmt->defnames));
	if (stmt->kind == OBJECT_TYPE)
		sd_world_note(form->world, "type", strVal(llast(stmt->defnames)), InvalidOid);
	if (stmt->kind == OBJECT_AGGREGATE)
		sd_world_note(form->world, "function", strVal(llast(stmt->defnames)), InvalidOid);
	sd_form_match(form, "I4");
}

/* ---- views, functions ---- */

static void
cast_relations(SdForm *form, SdMatch *match, Node *query)
{
	ListCell   *cell;

	foreach(cell, sd_form_relations_in(query))
		sd_match_cast(match, SD_ROLE_TABLE, sd_world_find(form->world, lfirst_node(RangeVar, cell)));
}

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
		cast_relations(form, match, stmt->query);
		sd_form_remember_query(form, sd_world_make(form->world, stmt->view, RELKIND_VIEW), stmt->query);
		return;
	}
	if (!stmt->replace)
	{
		sd_form_fails(form, "relation \"%s\" already exists", stmt->view->relname);
		return;
	}
	if (removes_columns(known, stmt))
	{
		match = sd_form_match(form, "J3");
		sd_match_cast(match, SD_ROLE_VIEW, known);
		sd_match_safer(match, "DROP VIEW %s", shown);
		sd_match_safer(match, "CREATE VIEW %s AS ...  -- in the same transaction; then its GRANTs again", shown);
		sd_form_fails(form, "cannot drop or rename columns of view \"%s\"", stmt->view->relname);
		return;
	}
	sd_match_cast(sd_form_match(form, "J2"), SD_ROLE_VIEW, known);
	sd_form_remember_query(form, known, stmt->query);
	if (OidIsValid(known->oid))
		sd_follow_change(form->world, RewriteRelationId, get_rewrite_oid(known->oid, ViewSelectRuleName, true));
}

/* The function that CREATE OR REPLACE would replace. */
static bool
function_exists(SdForm *form, CreateFunctionStmt *stmt)
{
	Oid			oid;
	int32		typmod;
	ObjectWithArgs *object = makeNode(ObjectWithArgs);
	ListCell   *cell;

	object->objname = stmt->funcname;
	foreach(cell, stmt->parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, cell);

		if (parameter->mode == FUNC_PARAM_OUT || parameter->mode == FUNC_PARAM_TABLE)
			continue;
		/* a type that the script makes, or none */
		if (!OidIsValid(sd_form_type(form, parameter->argType, &typmod, NULL)))
			return false;
		object->objargs = lappend(object->objargs, parameter->argType);
	}
	oid = LookupFuncWithArgs(OBJECT_ROUTINE, object, true);
	return OidIsValid(oid) && sd_world_fate(form->world, ProcedureRelationId, oid, 0) == SD_FATE_NONE;
}

static void
make_function(SdForm *form, CreateFunctionStmt *stmt)
{
	bool		there = function_exists(form, stmt);
	const char *name = NameListToString(stmt->funcname);

	sd_form_object(form, name);
	if (there && !stmt->replace)
		sd_form_fails(form, "function \"%s\" already exists with same argument types", strVal(llast(stmt->funcname)));
	sd_form_match(form, there ? "J10" : "J9");
	sd_world_note(form->world, "function", strVal(llast(stmt->funcname)), InvalidOid);
}

static void
make_trigger(SdForm *form, CreateTrigStmt *stmt)
{
	SdThing    *table = sd_form_relation(form, stmt->relation, false);
	bool		there = false;

	if (table == NULL)
		return;
	there = stmt->replace && OidIsValid(table->oid) && OidIsValid(get_trigger_oid(table->oid, stmt->trigname, true));
	sd_form_match_table(form, there ? "J15" : table->kind == RELKIND_PARTITIONED_TABLE ? "J14" : "J12", table, true);
}

/* ---- GRANT, COMMENT ---- */

static void
grant(SdForm *form, GrantStmt *stmt)
{
	SdMatch    *match = sd_form_match(form, stmt->is_grant ? "J22" : "J23");
	ListCell   *cell;

	if (stmt->targtype != ACL_TARGET_OBJECT || stmt->objtype != OBJECT_TABLE)
		return;
	foreach(cell, stmt->objects)
	{
		SdThing    *thing = sd_form_relation(form, lfirst_node(RangeVar, cell), false);

		sd_match_cast(match, SD_ROLE_TABLE, thing);
	}
}

static void
comment(SdForm *form, CommentStmt *stmt)
{
	SdMatch    *match = sd_form_match(form, "G21");
	List	   *names;

	switch (stmt->objtype)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_INDEX:
		case OBJECT_FOREIGN_TABLE:
			names = castNode(List, stmt->object);
			break;
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
		case OBJECT_RULE:
		case OBJECT_POLICY:
			names = castNode(List, stmt->object);
			names = list_copy_head(names, list_length(names) - 1);
			break;
		default:
			return;
	}
	if (names)
		sd_match_cast(match, SD_ROLE_TABLE, sd_form_relation(form, makeRangeVarFromNameList(names), false));
}

/* ---- sequences ---- */

static bool
only_owner(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "owned_by") != 0)
			return false;
	}
	return options != NIL;
}

static bool
sets_owner(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "owned_by") == 0)
			return true;
	}
	return false;
}

static void
make_sequence(SdForm *form, CreateSeqStmt *stmt)
{
	char	   *shown = sd_world_shown(form->world, stmt->sequence);
	SdThing    *known = sd_world_find(form->world, makeRangeVar(stmt->sequence->schemaname, stmt->sequence->relname, -1));

	sd_form_object(form, shown);
	if (known && strcmp(known->shown, shown) == 0)
	{
		if (!stmt->if_not_exists)
			sd_form_fails(form, "relation \"%s\" already exists", stmt->sequence->relname);
		else
			sd_form_match(form, "G3")->harmless = true;
		return;
	}
	sd_match_cast(sd_form_match(form, "K1"), SD_ROLE_SEQUENCE, sd_world_make(form->world, stmt->sequence, RELKIND_SEQUENCE));
}

static void
alter_sequence(SdForm *form, AlterSeqStmt *stmt)
{
	SdThing    *thing = sd_form_relation(form, stmt->sequence, stmt->missing_ok);

	if (thing == NULL)
		return;
	sd_match_cast(sd_form_match(form, only_owner(stmt->options) ? "K3" : "K2"), SD_ROLE_SEQUENCE, thing);
	if (sets_owner(stmt->options))
	{
		thing->table = NULL;
		sd_follow_change(form->world, RelationRelationId, thing->oid);
	}
}

/* ---- publications, extensions ---- */

static void
publish(SdForm *form, List *objects, const char *rule)
{
	SdMatch    *match = sd_form_match(form, rule);
	ListCell   *cell;

	foreach(cell, objects)
	{
		PublicationObjSpec *object = lfirst_node(PublicationObjSpec, cell);

		if (object->pubobjtype == PUBLICATIONOBJ_TABLE && object->pubtable)
			sd_match_cast(match, SD_ROLE_TABLE, sd_form_relation(form, object->pubtable->relation, false));
	}
}

static void
alter_publication(SdForm *form, AlterPublicationStmt *stmt)
{
	sd_form_object(form, stmt->pubname);
	publish(form, stmt->pubobjects, stmt->pubobjects != NIL && stmt->action != AP_AddObjects ? "L2" : "L1");
}

/* ---- maintenance ---- */

static void
vacuum(SdForm *form, VacuumStmt *stmt)
{
	bool		full = false;
	SdMatch    *match;
	ListCell   *cell;

	foreach(cell, stmt->options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "full") == 0)
			full = defGetBoolean(lfirst_node(DefElem, cell));
	}
	match = sd_form_match(form, full ? "M1" : "M4");
	foreach(cell, stmt->rels)
	{
		RangeVar   *name = lfirst_node(VacuumRelation, cell)->relation;

		if (name)
			sd_match_cast(match, SD_ROLE_TABLE, sd_form_relation(form, name, false));
	}
}

/* Tables that refer to these, and to those. */
static void
cast_referencing(SdForm *form, SdMatch *match, SdThing *table, List **seen)
{
	ListCell   *cell;

	if (list_member_oid(*seen, table->oid))
		return;
	*seen = lappend_oid(*seen, table->oid);
	foreach(cell, sd_follow_referencing(form->world, table))
	{
		SdThing    *other = sd_world_of(form->world, ((SdForeignKey *) lfirst(cell))->from);

		if (other == NULL || other->gone || other == table)
			continue;
		sd_match_cast(match, SD_ROLE_REFERENCING, other);
		form->takes = lappend(form->takes, psprintf("rows of %s", other->shown));
		cast_referencing(form, match, other, seen);
	}
}

static void
truncate_tables(SdForm *form, TruncateStmt *stmt)
{
	bool		cascade = stmt->behavior == DROP_CASCADE;
	List	   *seen = NIL;
	List	   *tables = NIL;
	ListCell   *cell;
	ListCell   *other;

	foreach(cell, stmt->relations)
	{
		SdThing    *table = sd_form_relation(form, lfirst_node(RangeVar, cell), false);

		if (table)
			tables = lappend(tables, table);
	}
	foreach(cell, tables)
	{
		((SdThing *) lfirst(cell))->filled = false;
		((SdThing *) lfirst(cell))->emptied = true;
	}
	foreach(cell, tables)
	{
		SdThing    *table = lfirst(cell);
		SdMatch    *match = sd_form_match_table(form, cascade ? "G7" : "G6", table, true);

		if (cascade)
			cast_referencing(form, match, table, &seen);
		else
		{
			foreach(other, sd_follow_referencing(form->world, table))
			{
				SdThing    *from = sd_world_of(form->world, ((SdForeignKey *) lfirst(other))->from);

				if (from && !from->gone && !list_member_ptr(tables, from))
					sd_form_fails(form, "cannot truncate a table referenced in a foreign key constraint");
			}
		}
	}
}

static void
lock_tables(SdForm *form, LockStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->relations)
	{
		SdThing    *table = sd_form_relation(form, lfirst_node(RangeVar, cell), false);

		if (table)
			sd_form_match_table(form, "G22", table, lfirst_node(RangeVar, cell)->inh);
	}
}

/* ---- rows ---- */

/* setval('schema.sequence', ...): the name is looked up where it is one that needs no quotes */
static void
set_sequence(SdForm *form, FuncCall *call)
{
	SdMatch    *match = sd_form_match(form, "K5");
	A_Const    *name = call->args ? (A_Const *) linitial(call->args) : NULL;
	const char *text;
	const char *dot;
	RangeVar   *sequence;

	if (name && IsA(name, TypeCast))
		name = (A_Const *) ((TypeCast *) name)->arg;
	if (name == NULL || !IsA(name, A_Const) || name->isnull || !IsA(&name->val, String))
		return;
	text = strVal(&name->val);
	dot = strchr(text, '.');
	if (text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.")] != '\0')
		return;
	sequence = dot ? makeRangeVar(pnstrdup(text, dot - text), pstrdup(dot + 1), -1) : makeRangeVar(NULL, pstrdup(text), -1);
	sd_match_cast(match, SD_ROLE_SEQUENCE, sd_form_relation(form, sequence, false));
}

static bool
find_setval(Node *node, SdForm *form)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncCall) && strcmp(strVal(llast(((FuncCall *) node)->funcname)), "setval") == 0)
		set_sequence(form, (FuncCall *) node);
	return raw_expression_tree_walker(node, find_setval, form);
}

static bool
find_any_function(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncCall))
		return true;
	return raw_expression_tree_walker(node, find_any_function, context);
}

/* The first that may run statements of its own: volatile, and somebody's, of this database or of the script. */
static bool
find_code(Node *node, List **names)
{
	FuncCandidateList candidate;

	if (node == NULL || *names != NIL)
		return false;
	if (IsA(node, FuncCall))
	{
		List	   *called = ((FuncCall *) node)->funcname;
		int			nargs = list_length(((FuncCall *) node)->args);
		bool		any = false;

		for (candidate = FuncnameGetCandidates(called, -1, NIL, false, false, false, true); candidate; candidate = candidate->next)
		{
			any = true;
			if (candidate->nargs >= nargs && candidate->oid >= FirstNormalObjectId && func_volatile(candidate->oid) == PROVOLATILE_VOLATILE)
				*names = called;
		}
		if (!any)
			*names = called;
	}
	return raw_expression_tree_walker(node, find_code, names);
}

static void
change_rows(SdForm *form, const char *rule, RangeVar *name, Node *stmt)
{
	SdThing    *table = sd_form_relation(form, name, false);
	SdMatch    *match = sd_form_match(form, rule);
	const char *function;

	sd_match_cast(match, SD_ROLE_TABLE, table);
	if (table)
	{
		table->emptied = IsA(form->stmt, DeleteStmt) && ((DeleteStmt *) form->stmt)->whereClause == NULL;
		table->filled |= !IsA(form->stmt, DeleteStmt) && !IsA(form->stmt, UpdateStmt);
	}
	if (table && OidIsValid(table->oid) && sd_history_is(sd_history_root(table->oid), form->history))
	{
		match->deterministic = true;
		sd_match_why(match, "It is a migration tool's history: its rows go with the change to every region.");
		return;
	}
	match->differs = sd_form_query_differs(stmt, &function);
	if (match->differs)
		sd_match_why(match, "It calls functions that give another result in each region, or in each run.");
	else if (function)
		sd_match_why(match, "It calls %s(), which is not IMMUTABLE, and few functions say that they are: if it does not give the same in every region, rows differ.",
					 function);
}

/* Code that nobody looks into here: it may make, drop and fill anything. */
static void
run_code(SdForm *form, const char *what)
{
	form->runs = pstrdup(what);
	sd_world_filled(form->world);
	sd_world_lose_sight(form->world, what);
}

static void
select_rows(SdForm *form, SelectStmt *stmt)
{
	List	   *code = NIL;

	if (stmt->intoClause)
	{
		sd_form_create_table_as(form, stmt->intoClause, (Node *) stmt, OBJECT_TABLE, false);
		return;
	}
	find_code((Node *) stmt, &code);
	if (code != NIL)
		run_code(form, psprintf("function %s", NameListToString(code)));
	find_setval((Node *) stmt, form);
	if (stmt->lockingClause)
		cast_relations(form, sd_form_match(form, "N4"), (Node *) stmt->fromClause);
	if (find_any_function((Node *) stmt, NULL))
		sd_world_filled(form->world);
}

/* ---- everything else ---- */

static void
make_schema(SdForm *form, CreateSchemaStmt *stmt)
{
	const char *name = stmt->schemaname ? stmt->schemaname : stmt->authrole && stmt->authrole->rolename ? stmt->authrole->rolename : "?";

	sd_form_object(form, sd_quoted(name));
	if (sd_world_has_schema(form->world, name))
	{
		if (!stmt->if_not_exists)
			sd_form_fails(form, "schema \"%s\" already exists", name);
		else
			sd_form_match(form, "G3")->harmless = true;
		return;
	}
	sd_form_match(form, "I4");
	sd_world_make_schema(form->world, name);
}

void
sd_form_other(SdForm *form)
{
	Node	   *stmt = form->stmt;

	switch (nodeTag(stmt))
	{
			/* types */
		case T_CompositeTypeStmt:
			make_type(form, list_make1(makeString(((CompositeTypeStmt *) stmt)->typevar->relname)), "I4");
			(void) sd_world_make(form->world, ((CompositeTypeStmt *) stmt)->typevar, RELKIND_COMPOSITE_TYPE);
			break;
		case T_CreateEnumStmt:
			make_type(form, ((CreateEnumStmt *) stmt)->typeName, "I4");
			break;
		case T_CreateRangeStmt:
			make_type(form, ((CreateRangeStmt *) stmt)->typeName, "I4");
			break;
		case T_CreateDomainStmt:
			make_type(form, ((CreateDomainStmt *) stmt)->domainname, "I4");
			break;
		case T_AlterEnumStmt:
			alter_enum(form, (AlterEnumStmt *) stmt);
			break;
		case T_AlterDomainStmt:
			alter_domain(form, (AlterDomainStmt *) stmt);
			break;
		case T_DefineStmt:
			define(form, (DefineStmt *) stmt);
			break;
		case T_CreateSchemaStmt:
			make_schema(form, (CreateSchemaStmt *) stmt);
			break;

			/* views, functions, triggers, rules, policies, rights */
		case T_ViewStmt:
			make_view(form, (ViewStmt *) stmt);
			break;
		case T_CreateTableAsStmt:
			sd_form_create_table_as(form, ((CreateTableAsStmt *) stmt)->into, ((CreateTableAsStmt *) stmt)->query,
									((CreateTableAsStmt *) stmt)->objtype, ((CreateTableAsStmt *) stmt)->if_not_exists);
			break;
		case T_RefreshMatViewStmt:
			{
				SdMatch    *match = sd_form_match(form, ((RefreshMatViewStmt *) stmt)->concurrent ? "J8" : "J7");
				SdThing    *matview = sd_form_relation(form, ((RefreshMatViewStmt *) stmt)->relation, false);

				sd_match_cast(match, SD_ROLE_MATVIEW, matview);
				if (matview && !matview->made)
					sd_match_cast_oids(form, match, SD_ROLE_TABLE, sd_fact_sources(matview->oid));
				if (!((RefreshMatViewStmt *) stmt)->concurrent)
					sd_match_safer(match, "REFRESH MATERIALIZED VIEW CONCURRENTLY %s  -- needs a unique index on it",
								   form->objects ? (char *) linitial(form->objects) : "...");
			}
			break;
		case T_CreateFunctionStmt:
			make_function(form, (CreateFunctionStmt *) stmt);
			break;
		case T_AlterFunctionStmt:
			sd_form_object(form, NameListToString(((AlterFunctionStmt *) stmt)->func->objname));
			sd_form_match(form, "J10");
			break;
		case T_CreateTrigStmt:
			make_trigger(form, (CreateTrigStmt *) stmt);
			break;
		case T_RuleStmt:
			{
				SdThing    *table = sd_form_relation(form, ((RuleStmt *) stmt)->relation, false);

				if (table)
					sd_form_match_table(form, "J18", table, false);
			}
			break;
		case T_CreatePolicyStmt:
		case T_AlterPolicyStmt:
			{
				RangeVar   *name = IsA(stmt, CreatePolicyStmt) ? ((CreatePolicyStmt *) stmt)->table : ((AlterPolicyStmt *) stmt)->table;
				SdThing    *table = sd_form_relation(form, name, false);

				if (table)
					sd_form_match_table(form, "J21", table, false);
			}
			break;
		case T_GrantStmt:
			grant(form, (GrantStmt *) stmt);
			break;
		case T_AlterDefaultPrivilegesStmt:
			sd_form_match(form, ((AlterDefaultPrivilegesStmt *) stmt)->action->is_grant ? "J22" : "J23");
			break;
		case T_CommentStmt:
			comment(form, (CommentStmt *) stmt);
			break;
		case T_CreateStatsStmt:
			{
				ListCell   *cell;
				SdMatch    *match = sd_form_match(form, "J24");

				foreach(cell, ((CreateStatsStmt *) stmt)->relations)
				{
					if (IsA(lfirst(cell), RangeVar))
						sd_match_cast(match, SD_ROLE_TABLE, sd_form_relation(form, lfirst(cell), false));
				}
			}
			break;
		case T_AlterStatsStmt:
			sd_form_match(form, "J24");
			break;

			/* sequences */
		case T_CreateSeqStmt:
			make_sequence(form, (CreateSeqStmt *) stmt);
			break;
		case T_AlterSeqStmt:
			alter_sequence(form, (AlterSeqStmt *) stmt);
			break;

			/* publications, extensions */
		case T_CreatePublicationStmt:
			sd_form_object(form, ((CreatePublicationStmt *) stmt)->pubname);
			publish(form, ((CreatePublicationStmt *) stmt)->pubobjects, "L1");
			break;
		case T_AlterPublicationStmt:
			alter_publication(form, (AlterPublicationStmt *) stmt);
			break;
		case T_CreateExtensionStmt:
			{
				SdMatch    *match = sd_form_match(form, "L4");
				ListCell   *cell;

				sd_form_object(form, ((CreateExtensionStmt *) stmt)->extname);
				if (!OidIsValid(get_extension_oid(((CreateExtensionStmt *) stmt)->extname, true)))
					sd_world_lose_sight(form->world, psprintf("CREATE EXTENSION %s", sd_quoted(((CreateExtensionStmt *) stmt)->extname)));
				foreach(cell, ((CreateExtensionStmt *) stmt)->options)
				{
					if (strcmp(lfirst_node(DefElem, cell)->defname, "new_version") == 0)
						return;
				}
				sd_match_safer(match, "CREATE EXTENSION %s VERSION '<the one that all regions have>'",
							   sd_quoted(((CreateExtensionStmt *) stmt)->extname));
			}
			break;
		case T_AlterExtensionStmt:
		case T_AlterExtensionContentsStmt:
			sd_form_object(form, IsA(stmt, AlterExtensionStmt) ? ((AlterExtensionStmt *) stmt)->extname :
						   ((AlterExtensionContentsStmt *) stmt)->extname);
			sd_form_match(form, "L5");
			break;

			/* maintenance */
		case T_VacuumStmt:
			vacuum(form, (VacuumStmt *) stmt);
			break;
		case T_ClusterStmt:
			{
				SdMatch    *match = sd_form_match(form, "M1");

				if (((ClusterStmt *) stmt)->relation)
					sd_match_cast(match, SD_ROLE_TABLE, sd_form_relation(form, ((ClusterStmt *) stmt)->relation, false));
			}
			break;
		case T_TruncateStmt:
			truncate_tables(form, (TruncateStmt *) stmt);
			break;
		case T_LockStmt:
			lock_tables(form, (LockStmt *) stmt);
			break;

			/* rows */
		case T_UpdateStmt:
			change_rows(form, "N1", ((UpdateStmt *) stmt)->relation, stmt);
			break;
		case T_MergeStmt:
			change_rows(form, "N1", ((MergeStmt *) stmt)->relation, stmt);
			break;
		case T_DeleteStmt:
			change_rows(form, "N2", ((DeleteStmt *) stmt)->relation, stmt);
			break;
		case T_InsertStmt:
			change_rows(form, "N3", ((InsertStmt *) stmt)->relation, stmt);
			break;
		case T_CopyStmt:
			if (((CopyStmt *) stmt)->is_from && ((CopyStmt *) stmt)->relation)
				change_rows(form, "N3", ((CopyStmt *) stmt)->relation, NULL);
			break;
		case T_SelectStmt:
			select_rows(form, (SelectStmt *) stmt);
			break;
		case T_DoStmt:
		case T_CallStmt:
		case T_ExecuteStmt:
			run_code(form, GetCommandTagName(CreateCommandTag(stmt)));
			break;
		default:
			break;
	}
}
