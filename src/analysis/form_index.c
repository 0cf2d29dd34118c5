/*
 * form_index.c: CREATE INDEX and REINDEX.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/heap.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "parser/parse_target.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/heirs.h"
#include "analysis/routine.h"
#include "paste.h"

/* ---- CREATE INDEX ---- */

static List *
indexed_columns(const IndexStmt *stmt)
{
	List	   *names = NIL;
	ListCell   *cell;

	/* with what it includes */
	foreach(cell, list_concat_copy(stmt->indexParams, stmt->indexIncludingParams))
	{
		IndexElem  *element = lfirst_node(IndexElem, cell);
		char	   *name = element->name ? element->name : FigureIndexColname(element->expr);

		names = lappend(names, name ? name : "expr");
	}
	return names;
}

char *
sd_form_concurrently(const SdWords *words)
{
	/* CREATE [UNIQUE] INDEX */
	int			rest = sd_words_is(words, 1, "unique") ? 3 : 2;

	return psprintf("%s CONCURRENTLY %s", sd_words_some(words, 0, rest), sd_words_some(words, rest, words->n));
}

/* Of a partitioned table it is built partition by partition: that of the whole is valid when all of them are attached. */
static void
advise_by_partition(SdForm *form, const SdThing *table, const IndexStmt *stmt, const char *name, SdMatch *match)
{
	const char *create = stmt->unique ? "CREATE UNIQUE INDEX" : "CREATE INDEX";
	char	   *rest = sd_words_some(form->words, sd_words_behind_name(form->words, sd_words_at(form->words, stmt->relation->location)),
									 form->words->n);
	char	   *shown = sd_paste_qualified(table->schema, name);

	sd_match_safer(match, "%s %s%s ON ONLY %s %s", create, stmt->if_not_exists ? "IF NOT EXISTS " : "", sd_quoted(name), table->shown, rest);
	sd_match_safer(match, "%s", sd_paste_comment(psprintf("on each partition: %s CONCURRENTLY <name> ON <partition> %s;", create, rest)));
	sd_match_safer(match, "-- and for each: ALTER INDEX %s ATTACH PARTITION <name>;", shown);
	sd_match_safer(match, "-- (a partition that is partitioned itself: ON ONLY it, and the same with its own partitions first)");
}

static void
remember_index(SdThing *table, SdThing *index, const IndexStmt *stmt)
{
	IndexElem  *first = stmt->indexParams ? linitial_node(IndexElem, stmt->indexParams) : NULL;
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(index));
	ListCell   *cell;

	index->table = table;
	foreach(cell, stmt->indexParams)
	{
		if (lfirst_node(IndexElem, cell)->name)
			index->over = lappend(index->over, pstrdup(lfirst_node(IndexElem, cell)->name));
	}
	if (first && first->name && stmt->whereClause == NULL)
		table->leading = lappend(table->leading, pstrdup(first->name));
	MemoryContextSwitchTo(old);
}

void
sd_form_index(SdForm *form, IndexStmt *stmt)
{
	SdThing    *table = sd_form_relation(form, stmt->relation, false);
	SdThing    *known;
	const char *rule;
	SdMatch    *match;
	const char *name;
	ListCell   *cell;

	if (table == NULL)
		return;
	known = stmt->idxname ? sd_world_find(form->world, makeRangeVar(table->schema, stmt->idxname, -1)) : NULL;
	if (known)
	{
		if (stmt->if_not_exists)
			sd_form_match_table(form, "F2", table, false)->harmless = true;
		else
			sd_form_fails(form, ERRCODE_DUPLICATE_TABLE, "relation \"%s\" already exists", stmt->idxname);
		return;
	}
	foreach(cell, stmt->indexParams)
	{
		IndexElem  *element = lfirst_node(IndexElem, cell);

		if (element->name && !table->made && sd_thing_column(table, element->name) == NULL &&
			SystemAttributeByName(element->name) == NULL)
			sd_form_fails(form, ERRCODE_UNDEFINED_COLUMN, "column \"%s\" does not exist", element->name);
		sd_routine_use(form, table, element->expr, "functions in index expression must be marked IMMUTABLE");
	}
	sd_routine_use(form, table, stmt->whereClause, "functions in index predicate must be marked IMMUTABLE");
	if (table->kind == RELKIND_PARTITIONED_TABLE)
		rule = stmt->relation->inh ? "F6" : "F7";
	else if (stmt->concurrent)
		rule = stmt->unique ? "F5" : "F3";
	else
		rule = stmt->unique ? "F4" : "F1";
	match = sd_form_match_table(form, rule, table, table->kind == RELKIND_PARTITIONED_TABLE && stmt->relation->inh);
	name = stmt->idxname ? stmt->idxname : sd_form_chosen_name(form, table, indexed_columns(stmt), "idx");
	if (table->kind == RELKIND_PARTITIONED_TABLE && stmt->unique)
		advise_by_partition(form, table, stmt, name, sd_form_match_table(form, "F4", table, stmt->relation->inh));
	if (table->kind == RELKIND_PARTITIONED_TABLE && stmt->concurrent)
		sd_form_fails(form, ERRCODE_FEATURE_NOT_SUPPORTED, "cannot create index on partitioned table \"%s\" concurrently", table->name);
	if (rule[1] == '1' || rule[1] == '4')
	{
		sd_match_safer(match, "%s", sd_form_concurrently(form->words));
		sd_match_remark(match, "by itself, outside of a transaction; or CALL schemadrift.apply_online(name, text)");
	}
	else if (rule[1] == '6')
		advise_by_partition(form, table, stmt, name, match);
	if (table->kind == RELKIND_PARTITIONED_TABLE && stmt->relation->inh)
		sd_heirs_choose(form, table);
	remember_index(table, sd_world_make_beside(form->world, table, name, table->kind == RELKIND_PARTITIONED_TABLE ?
											   RELKIND_PARTITIONED_INDEX : RELKIND_INDEX), stmt);
}

static bool
is_concurrent(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "concurrently") == 0)
			return defGetBoolean(lfirst_node(DefElem, cell));
	}
	return false;
}

SdThing *
sd_form_table_of(SdForm *form, SdThing *index)
{
	if (index->table)
		return index->table;
	if (!OidIsValid(index->oid))
		return NULL;
	return sd_world_of(form->world, IndexGetRelation(index->oid, true));
}

void
sd_form_reindex(SdForm *form, ReindexStmt *stmt)
{
	SdThing    *thing = stmt->relation ? sd_form_relation(form, stmt->relation, false) : NULL;
	const char *rule = is_concurrent(stmt->params) ? "F15" : stmt->kind == REINDEX_OBJECT_INDEX ? "F13" : "F14";
	SdMatch    *match;

	if (stmt->relation && thing == NULL)
		return;
	match = sd_form_match(form, rule);
	if (!is_concurrent(stmt->params))
		sd_match_safer(match, "REINDEX (CONCURRENTLY) %s", thing == NULL ? "SCHEMA ..." :
					   psprintf("%s %s", stmt->kind == REINDEX_OBJECT_INDEX ? "INDEX" : "TABLE", thing->shown));
	if (thing == NULL)
	{
		form->takes = lappend(form->takes, psprintf("all indexes of the %s, one table after the other, are built again%s",
													stmt->kind == REINDEX_OBJECT_SCHEMA ? "schema" : "database",
													is_concurrent(stmt->params) ? "" : ", with SHARE on the table: writes wait"));
		return;
	}
	if (stmt->kind == REINDEX_OBJECT_INDEX)
	{
		sd_match_cast(match, SD_ROLE_INDEX, thing);
		thing = sd_form_table_of(form, thing);
	}
	if (thing)
		sd_form_match_table(form, rule, thing, thing->kind == RELKIND_PARTITIONED_TABLE);
}
