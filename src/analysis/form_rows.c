/*
 * form_rows.c: statements on the rows of tables, and maintenance; code that may do anything.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/routine.h"
#include "ddl/history_tables.h"

/* ---- maintenance ---- */

/* Of a partitioned table, all of its partitions. */
static void
maintain(SdForm *form, const char *rule, const RangeVar *name)
{
	SdThing    *table = sd_form_relation(form, name, false);

	if (table)
		sd_form_match_table(form, rule, table, table->kind == RELKIND_PARTITIONED_TABLE);
}

static void
vacuum(SdForm *form, VacuumStmt *stmt)
{
	bool		full = false;
	ListCell   *cell;

	foreach(cell, stmt->options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "full") == 0)
			full = defGetBoolean(lfirst_node(DefElem, cell));
	}
	(void) sd_form_match(form, full ? "M1" : "M4");
	foreach(cell, stmt->rels)
	{
		RangeVar   *name = lfirst_node(VacuumRelation, cell)->relation;

		if (name)
			maintain(form, full ? "M1" : "M4", name);
	}
	if (full && stmt->rels == NIL)
		form->takes = lappend(form->takes, "every table of the database that you may vacuum, one after the other, is rewritten under ACCESS EXCLUSIVE");
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
		sd_match_cast_whole(form, match, SD_ROLE_REFERENCING, other);
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
		((SdThing *) lfirst(cell))->filled = SD_HAS_NONE;
		((SdThing *) lfirst(cell))->emptied = true;
	}
	foreach(cell, tables)
	{
		SdThing    *table = lfirst(cell);
		SdMatch    *match = sd_form_match_table(form, cascade ? "G7" : "G6", table, true);

		if (stmt->restart_seqs)
			sd_match_cast_oids(form, match, SD_ROLE_SEQUENCE, sd_fact_owned_sequences(table->oid, 0));
		if (cascade)
			cast_referencing(form, match, table, &seen);
		else
		{
			foreach(other, sd_fact_checks_references(table->oid) ? sd_follow_referencing(form->world, table) : NIL)
			{
				SdThing    *from = sd_world_of(form->world, ((SdForeignKey *) lfirst(other))->from);

				if (from && !from->gone && !list_member_ptr(tables, from))
					sd_form_fails(form, ERRCODE_FEATURE_NOT_SUPPORTED, "cannot truncate a table referenced in a foreign key constraint");
			}
		}
	}
}

static void
lock_tables(SdForm *form, LockStmt *stmt)
{
	SdMatch    *match;
	ListCell   *cell;
	ListCell   *source;

	foreach(cell, stmt->relations)
	{
		SdThing    *table = sd_form_relation(form, lfirst_node(RangeVar, cell), false);

		if (table == NULL)
			continue;
		match = sd_form_match_table(form, "G22", table, lfirst_node(RangeVar, cell)->inh);
		match->lock = stmt->mode;
		/* with a view the server locks what it reads */
		foreach(source, table->kind == RELKIND_VIEW ? sd_form_sources(form, table) : NIL)
		{
			char		kind = ((SdThing *) lfirst(source))->kind;

			if (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE || kind == RELKIND_VIEW)
				sd_form_match_table(form, "G22", lfirst(source), true);
		}
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

typedef struct Code
{
	SdForm	   *form;
	List	   *names;			/* NIL: none was found yet */
} Code;

/* The first that may run statements of its own: volatile, and somebody's, of this database or of the script. */
static bool
find_code(Node *node, Code *code)
{
	FuncCandidateList candidate;

	if (node == NULL || code->names != NIL)
		return false;
	if (IsA(node, FuncCall))
	{
		List	   *names = ((FuncCall *) node)->funcname;
		int			nargs = list_length(((FuncCall *) node)->args);
		SdCalled	called;

		sd_routine_called(code->form, names, nargs, &called);
		if (!called.found || (called.by_script && called.worst == PROVOLATILE_VOLATILE))
			code->names = names;
		for (candidate = sd_routine_candidates(code->form, names, -1, false); candidate; candidate = candidate->next)
		{
			if (candidate->nargs >= nargs && candidate->oid >= FirstNormalObjectId && func_volatile(candidate->oid) == PROVOLATILE_VOLATILE)
				code->names = names;
		}
	}
	return raw_expression_tree_walker(node, find_code, code);
}

/* stmt: NULL, COPY */
static bool
writes_surely(Node *stmt)
{
	InsertStmt *insert = (InsertStmt *) stmt;

	return stmt && IsA(stmt, InsertStmt) && insert->onConflictClause == NULL &&
		(insert->selectStmt == NULL || castNode(SelectStmt, insert->selectStmt)->valuesLists != NIL);
}

/* What a change leaves in its table.  beside: others of the same statement do not see it, nor it them. */
static void
fill_or_empty(SdThing *table, Node *stmt, bool beside)
{
	if (stmt && IsA(stmt, DeleteStmt))
	{
		table->emptied |= ((DeleteStmt *) stmt)->whereClause == NULL && !beside;
		table->filled = table->emptied ? SD_HAS_NONE : table->filled;
	}
	else if (stmt == NULL || !IsA(stmt, UpdateStmt))
	{
		table->emptied = false;
		table->filled = Max(table->filled, writes_surely(stmt) ? SD_HAS_SOME : SD_HAS_PERHAPS);
	}
}

static bool
is_history(SdForm *form, SdThing *table)
{
	List	   *columns = list_copy(table->defined);
	ListCell   *cell;

	if (OidIsValid(table->oid))
		return sd_history_is(sd_history_root(table->oid), form->history);
	if (table->temporary || (table->kind != RELKIND_RELATION && table->kind != RELKIND_PARTITIONED_TABLE))
		return false;
	foreach(cell, table->columns)
	{
		SdColumn   *column = lfirst(cell);

		if (!column->gone)
			columns = lappend(columns, column->name);
	}
	return sd_history_will_be(table->schema, table->name, columns, form->history);
}

/* stmt: NULL, COPY */
static void
change_rows(SdForm *form, const char *rule, RangeVar *name, Node *stmt, bool beside)
{
	SdThing    *table = sd_form_relation(form, name, false);
	SdMatch    *match = sd_form_match(form, rule);
	bool		first = match->casts == NIL;
	bool		differs;
	const char *function;

	sd_match_cast(match, SD_ROLE_TABLE, table);
	if (table)
		fill_or_empty(table, stmt, beside);
	if (table && is_history(form, table))
	{
		match->deterministic |= first;
		sd_match_why(match, "%s is a migration tool's history: its rows go with the change to every region.", first ? "It" : table->shown);
		if (sd_form_query_differs(form, stmt, &function))
			sd_match_why(match, "In a text for apply() they would be computed in each region: write the values.");
		return;
	}
	match->deterministic = false;
	differs = sd_form_query_differs(form, stmt, &function);
	match->differs |= differs;
	if (differs)
		sd_match_why(match, "It calls functions that give another result in each region, or in each run.");
	else if (function)
		sd_match_why(match, "It calls %s(), which is not IMMUTABLE, and few functions say that they are: if it does not give the same in every region, rows differ.",
					 function);
}

/* Statements that change rows, in WITH and the one that has it, which comes last. */
static bool
find_changes(Node *node, List **changes)
{
	if (node == NULL)
		return false;
	raw_expression_tree_walker(node, find_changes, changes);
	if (IsA(node, InsertStmt) || IsA(node, UpdateStmt) || IsA(node, DeleteStmt) || IsA(node, MergeStmt))
		*changes = lappend(*changes, node);
	return false;
}

static void
change_all_rows(SdForm *form, Node *query)
{
	List	   *changes = NIL;
	ListCell   *cell;

	find_changes(query, &changes);
	foreach(cell, changes)
	{
		Node	   *stmt = lfirst(cell);
		bool		beside = list_length(changes) > 1;

		switch (nodeTag(stmt))
		{
			case T_UpdateStmt:
				change_rows(form, "N1", ((UpdateStmt *) stmt)->relation, stmt, beside);
				break;
			case T_MergeStmt:
				change_rows(form, "N1", ((MergeStmt *) stmt)->relation, stmt, beside);
				break;
			case T_DeleteStmt:
				change_rows(form, "N2", ((DeleteStmt *) stmt)->relation, stmt, beside);
				break;
			default:
				change_rows(form, "N3", ((InsertStmt *) stmt)->relation, stmt, beside);
				break;
		}
	}
}

/* Code that nobody looks into here: it may make, drop and fill anything. */
static void
run_code(SdForm *form, const char *what)
{
	form->runs = pstrdup(what);
	sd_world_filled(form->world);
	sd_world_lose_sight(form->world, what);
}

void
sd_form_run_query(SdForm *form, Node *query)
{
	Code		code = {.form = form};

	/* what was prepared; the walker knows queries only */
	if (query && IsA(query, ExecuteStmt))
	{
		run_code(form, "EXECUTE");
		return;
	}
	find_code(query, &code);
	if (code.names != NIL)
		run_code(form, psprintf("function %s", NameListToString(code.names)));
}

static void
select_rows(SdForm *form, SelectStmt *stmt)
{
	if (stmt->intoClause)
	{
		sd_form_create_table_as(form, stmt->intoClause, (Node *) stmt, OBJECT_TABLE, false);
		return;
	}
	change_all_rows(form, (Node *) stmt);
	sd_form_run_query(form, (Node *) stmt);
	find_setval((Node *) stmt, form);
	if (stmt->lockingClause)
		sd_form_cast_query(form, sd_form_match(form, "N4"), (Node *) stmt->fromClause);
	if (find_any_function((Node *) stmt, NULL))
		sd_world_filled(form->world);
}

void
sd_form_rows(SdForm *form)
{
	Node	   *stmt = form->stmt;

	switch (nodeTag(stmt))
	{
			/* maintenance */
		case T_VacuumStmt:
			vacuum(form, (VacuumStmt *) stmt);
			break;
		case T_ClusterStmt:
			(void) sd_form_match(form, "M1");
			if (((ClusterStmt *) stmt)->relation)
				maintain(form, "M1", ((ClusterStmt *) stmt)->relation);
			else
				form->takes = lappend(form->takes, "every table that was clustered before, one after the other, is rewritten under ACCESS EXCLUSIVE");
			break;
		case T_TruncateStmt:
			truncate_tables(form, (TruncateStmt *) stmt);
			break;
		case T_LockStmt:
			lock_tables(form, (LockStmt *) stmt);
			break;

			/* rows */
		case T_UpdateStmt:
		case T_MergeStmt:
		case T_DeleteStmt:
		case T_InsertStmt:
			change_all_rows(form, stmt);
			sd_form_run_query(form, stmt);
			break;
		case T_CopyStmt:
			if (((CopyStmt *) stmt)->is_from && ((CopyStmt *) stmt)->relation)
				change_rows(form, "N3", ((CopyStmt *) stmt)->relation, NULL, false);
			else
			{
				change_all_rows(form, ((CopyStmt *) stmt)->query);
				sd_form_run_query(form, ((CopyStmt *) stmt)->query);
			}
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
