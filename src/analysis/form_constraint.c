/*
 * form_constraint.c: ALTER TABLE ... ADD, DROP, ALTER and VALIDATE CONSTRAINT.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/heirs.h"
#include "texts.h"

/* ---- ADD ---- */

static char *
column_list(List *names)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, names)
		appendStringInfo(&out, "%s%s", out.len ? ", " : "", sd_quoted(strVal(lfirst(cell))));
	return out.data;
}

/* CHECK (column IS NOT NULL): the column */
static char *
not_null_column(Node *expression)
{
	NullTest   *test = (NullTest *) expression;
	ColumnRef  *reference;

	if (expression == NULL || !IsA(test, NullTest) || test->nulltesttype != IS_NOT_NULL || !IsA(test->arg, ColumnRef))
		return NULL;
	reference = (ColumnRef *) test->arg;
	if (list_length(reference->fields) != 1 || !IsA(linitial(reference->fields), String))
		return NULL;
	return strVal(linitial(reference->fields));
}

/* columns that an expression names; of char * */
static bool
find_columns(Node *node, List **names)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef) && IsA(llast(((ColumnRef *) node)->fields), String))
	{
		*names = sd_texts_add(*names, strVal(llast(((ColumnRef *) node)->fields)));
		return false;
	}
	return raw_expression_tree_walker(node, find_columns, names);
}

static char *
name_of(SdForm *form, const SdThing *table, const Constraint *constraint, List *keys)
{
	List	   *columns = NIL;
	ListCell   *cell;

	if (constraint->conname)
		return constraint->conname;
	if (constraint->indexname)
		return constraint->indexname;
	foreach(cell, keys)
		columns = lappend(columns, strVal(lfirst(cell)));
	foreach(cell, constraint->including)
		columns = lappend(columns, strVal(lfirst(cell)));
	switch (constraint->contype)
	{
		case CONSTR_PRIMARY:
			return sd_form_chosen_name(form, table, NIL, "pkey");
		case CONSTR_UNIQUE:
			return sd_form_chosen_name(form, table, columns, "key");
		case CONSTR_EXCLUSION:
			return sd_form_chosen_name(form, table, columns, "excl");
		case CONSTR_FOREIGN:
			return sd_form_chosen_name(form, table, columns, "fkey");
		case CONSTR_NOTNULL:
			return sd_form_chosen_name(form, table, columns, "not_null");
		default:
			find_columns(constraint->raw_expr, &columns);
			return sd_form_chosen_name(form, table, list_length(columns) == 1 ? columns : NIL, "check");
	}
}

const char *
sd_form_constraint_name(SdForm *form, const SdThing *table, const Constraint *constraint, List *keys)
{
	return sd_quoted(name_of(form, table, constraint, keys));
}

static char
type_of(const Constraint *constraint)
{
	switch (constraint->contype)
	{
		case CONSTR_PRIMARY:
			return CONSTRAINT_PRIMARY;
		case CONSTR_UNIQUE:
			return CONSTRAINT_UNIQUE;
		case CONSTR_EXCLUSION:
			return CONSTRAINT_EXCLUSION;
		case CONSTR_FOREIGN:
			return CONSTRAINT_FOREIGN;
		case CONSTR_NOTNULL:
			return SD_COMPAT_CONSTRAINT_NOTNULL;
		default:
			return CONSTRAINT_CHECK;
	}
}

static bool
has_index(char type)
{
	return type == CONSTRAINT_PRIMARY || type == CONSTRAINT_UNIQUE || type == CONSTRAINT_EXCLUSION;
}

/* An index that is there becomes the constraint's, and takes its name. */
static void
make_index(SdForm *form, SdThing *table, const Constraint *constraint, const SdConstraint *made)
{
	SdThing    *index = constraint->indexname ? sd_world_find(form->world, makeRangeVar(table->schema, constraint->indexname, -1)) : NULL;

	if (index == NULL)
		index = sd_world_make_beside(form->world, table, made->name, table->kind == RELKIND_PARTITIONED_TABLE ?
									 RELKIND_PARTITIONED_INDEX : RELKIND_INDEX);
	else if (strcmp(index->name, made->name) != 0)
		sd_world_rename(form->world, index, made->name);
	index->table = table;
	index->over = made->columns;
}

void
sd_form_remember(SdForm *form, SdThing *table, const Constraint *constraint, List *keys, bool valid, SdThing *other)
{
	char	   *name = name_of(form, table, constraint, keys);
	char		type = type_of(constraint);
	char	   *column = type == CONSTRAINT_CHECK ? not_null_column(constraint->raw_expr) : NULL;
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(table));
	SdConstraint *made = palloc0(sizeof(SdConstraint));
	ListCell   *cell;

	made->name = pstrdup(name);
	made->chosen = constraint->conname == NULL;
	made->type = type;
	made->valid = valid;
	made->not_null = column ? pstrdup(column) : NULL;
	made->no_inherit = constraint->is_no_inherit;
	made->other = other;
	if (type != CONSTRAINT_CHECK)
	{
		foreach(cell, keys)
			made->columns = lappend(made->columns, pstrdup(strVal(lfirst(cell))));
	}
	table->constraints = lappend(table->constraints, made);
	MemoryContextSwitchTo(old);
	if (has_index(type))
		make_index(form, table, constraint, made);
	if (type == CONSTRAINT_PRIMARY)
		table->has_primary = true;
	if (!constraint->is_no_inherit)
		sd_heirs_add_constraint(form, table, made);
}

static void
require_columns(SdForm *form, SdThing *table, List *names)
{
	ListCell   *cell;

	foreach(cell, names)
	{
		char	   *name = strVal(lfirst(cell));

		if (!table->made && sd_thing_column(table, name) == NULL)
			sd_form_fails(form, ERRCODE_UNDEFINED_COLUMN, "column \"%s\" named in key does not exist", name);
	}
}

/* Neither reads the table with a lock that keeps others out: the first does not read it, and the second lets them write. */
static void
advise_in_two(SdForm *form, const SdThing *table, const Constraint *constraint, List *keys, SdMatch *match)
{
	const char *name = sd_form_constraint_name(form, table, constraint, keys);

	sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", table->shown, name, sd_words_constraint(form->words, constraint));
	sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, name);
}

static void
add_check(SdForm *form, SdThing *table, Constraint *constraint, bool recurse)
{
	SdMatch    *match;
	const char *rule = constraint->skip_validation ? "E2" : table->kind == RELKIND_PARTITIONED_TABLE ? "H14" : "E1";

	if (!sd_compat_asks_enforced(constraint))
		rule = "E3";
	match = sd_form_match_table(form, rule, table, recurse);
	if (rule[0] == 'H' || strcmp(rule, "E1") == 0)
		advise_in_two(form, table, constraint, NIL, match);
	sd_form_remember(form, table, constraint, NIL, !constraint->skip_validation && sd_compat_asks_enforced(constraint), NULL);
}

static void
add_foreign_key(SdForm *form, SdThing *table, Constraint *constraint, bool recurse)
{
	SdThing    *other = sd_form_relation(form, constraint->pktable, false);
	bool		partitioned = table->kind == RELKIND_PARTITIONED_TABLE;
	bool		valid = !constraint->skip_validation;
	const char *rule = partitioned ? (valid ? "E14" : "E15") : valid ? "E8" : "E9";
	SdMatch    *match;

	if (!sd_compat_asks_enforced(constraint))
		rule = "E10";
	match = sd_form_match_table(form, rule, table, recurse);
	sd_match_cast_whole(form, match, SD_ROLE_REFERENCED, other);
	require_columns(form, table, constraint->fk_attrs);
	if (valid && rule[1] != '1')
		advise_in_two(form, table, constraint, constraint->fk_attrs, match);
	sd_form_remember(form, table, constraint, constraint->fk_attrs, valid, other);
}

/* of char * */
static List *
nullable_of(SdThing *table, List *names)
{
	List	   *nullable = NIL;
	ListCell   *cell;

	foreach(cell, names)
	{
		SdColumn   *column = sd_thing_column(table, strVal(lfirst(cell)));

		if (column && !column->not_null)
			nullable = lappend(nullable, column->name);
	}
	return nullable;
}

/* the columns of an index that is there; of char * as String nodes */
static List *
index_columns(SdThing *index)
{
	List	   *names = NIL;
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index->oid));
	Form_pg_index form;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	form = (Form_pg_index) GETSTRUCT(tuple);
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	number = form->indkey.values[i];
		char	   *name = number > 0 ? get_attname(form->indrelid, number, true) : NULL;

		if (name)
			names = lappend(names, makeString(name));
	}
	ReleaseSysCache(tuple);
	return names;
}

/* ... USING INDEX: is there one of that name, and of this table?  The server looks up any relation. */
static bool
has_index_named(SdForm *form, SdThing *table, const char *name, List **keys)
{
	SdThing    *index = sd_world_find(form->world, makeRangeVar(table->schema, pstrdup(name), -1));
	SdThing    *its;

	if (index == NULL)
	{
		sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "index \"%s\" does not exist", name);
		return false;
	}
	if (index->kind != RELKIND_INDEX && index->kind != RELKIND_PARTITIONED_INDEX)
	{
		sd_form_fails(form, ERRCODE_WRONG_OBJECT_TYPE, "\"%s\" is not an index", name);
		return false;
	}
	its = sd_form_table_of(form, index);
	if (its && its != table)
	{
		sd_form_fails(form, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "index \"%s\" does not belong to table \"%s\"", name, table->name);
		return false;
	}
	*keys = index_columns(index);
	return true;
}

static void
drop_swapped(SdForm *form, SdThing *table, bool recurse)
{
	ListCell   *cell;

	foreach(cell, table->constraints)
	{
		SdConstraint *constraint = lfirst(cell);

		if (constraint->gone && constraint->type == CONSTRAINT_PRIMARY)
		{
			sd_form_match_table(form, "E26", table, recurse);
			return;
		}
	}
}

static bool
has_primary_key(SdForm *form, SdThing *table)
{
	ListCell   *cell;

	if (table->has_primary)
		return true;
	foreach(cell, sd_follow_constraints(form->world, table))
	{
		if (((SdTableConstraint *) lfirst(cell))->type == CONSTRAINT_PRIMARY)
			return true;
	}
	return false;
}

/* WITH (...), as it is kept */
static char *
options_text(List *options)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		appendStringInfo(&out, "%s%s", out.len ? ", " : " WITH (", sd_quoted(option->defname));
		if (option->arg)
			appendStringInfo(&out, " = %s", IsA(option->arg, String) ? quote_literal_cstr(defGetString(option)) : defGetString(option));
	}
	if (out.len)
		appendStringInfoChar(&out, ')');
	return out.data;
}

void
sd_form_advise_unique(SdForm *form, SdThing *table, const Constraint *constraint, List *keys, List *nullable, SdMatch *match)
{
	const char *name = sd_form_constraint_name(form, table, constraint, keys);

	sd_match_safer_not_null(match, table, nullable);
	if (constraint->indexname == NULL)
	{
		sd_match_safer(match, "CREATE UNIQUE INDEX CONCURRENTLY %s ON %s (%s)%s%s%s%s", name, table->shown, column_list(keys),
					   constraint->including ? psprintf(" INCLUDE (%s)", column_list(constraint->including)) : "",
					   constraint->nulls_not_distinct ? " NULLS NOT DISTINCT" : "", options_text(constraint->options),
					   constraint->indexspace ? psprintf(" TABLESPACE %s", sd_quoted(constraint->indexspace)) : "");
		sd_match_remark(match, "by itself, or in schemadrift.apply_online()");
	}
	sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s%s", table->shown, name,
				   constraint->contype == CONSTR_PRIMARY ? "PRIMARY KEY" : "UNIQUE",
				   constraint->indexname ? sd_quoted(constraint->indexname) : name,
				   constraint->deferrable ? " DEFERRABLE" : "", constraint->initdeferred ? " INITIALLY DEFERRED" : "");
}

static void
add_unique(SdForm *form, SdThing *table, Constraint *constraint, bool recurse)
{
	bool		primary = constraint->contype == CONSTR_PRIMARY;
	List	   *keys = constraint->keys;
	List	   *nullable = NIL;
	const char *rule;
	SdMatch    *match;

	if (constraint->indexname == NULL)
		require_columns(form, table, keys);
	else if (!has_index_named(form, table, constraint->indexname, &keys))
		return;
	if (primary)
	{
		nullable = nullable_of(table, keys);
		drop_swapped(form, table, recurse);
		if (!table->made && has_primary_key(form, table))
			sd_form_fails(form, ERRCODE_INVALID_TABLE_DEFINITION, "multiple primary keys for table \"%s\" are not allowed", table->name);
	}
	if (constraint->indexname)
		rule = !primary ? "E19" : nullable ? "E24" : "E23";
	else if (table->kind == RELKIND_PARTITIONED_TABLE)
		rule = "H13";
	else if (sd_compat_without_overlaps(constraint))
		rule = "E29";
	else if (primary)
		rule = nullable ? "E22" : "E21";
	else
		rule = constraint->nulls_not_distinct ? "E20" : "E18";
	match = sd_form_match_table(form, rule, table, recurse);
	if (sd_rule(rule) && sd_rule(rule)->scanned && rule[0] == 'E' && !sd_compat_without_overlaps(constraint))
		sd_form_advise_unique(form, table, constraint, keys, nullable, match);
	if (rule[0] == 'H')
	{
		/* they become NOT NULL first, in the partitions too */
		if (nullable)
			match->lock = AccessExclusiveLock;
		sd_match_safer(match, "-- on each partition: CREATE UNIQUE INDEX CONCURRENTLY <name> ON <partition> (%s)%s%s, then\n"
					   "-- ALTER TABLE <partition> ADD CONSTRAINT <name> %s USING INDEX <name>%s%s, then on the parent, which finds them:\n%s",
					   column_list(keys), constraint->including ? psprintf(" INCLUDE (%s)", column_list(constraint->including)) : "",
					   constraint->nulls_not_distinct ? " NULLS NOT DISTINCT" : "", primary ? "PRIMARY KEY" : "UNIQUE",
					   constraint->deferrable ? " DEFERRABLE" : "", constraint->initdeferred ? " INITIALLY DEFERRED" : "",
					   sd_form_part(form));
	}
	sd_form_remember(form, table, constraint, keys, true, NULL);
}

static void
add_not_null(SdForm *form, SdThing *table, Constraint *constraint, bool recurse)
{
	const char *rule = constraint->skip_validation ? "D6" : "D8";
	SdMatch    *match = sd_form_match_table(form, rule, table, recurse);
	const char *column = constraint->keys ? strVal(linitial(constraint->keys)) : "?";
	const char *name = sd_form_constraint_name(form, table, constraint, constraint->keys);

	if (!constraint->skip_validation)
	{
		sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s NOT NULL %s NOT VALID", table->shown, name, sd_quoted(column));
		sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, name);
	}
	sd_form_remember(form, table, constraint, constraint->keys, !constraint->skip_validation, NULL);
}

/* The same NOT NULL under the same name: the server adds none then. */
static bool
is_not_null_already(SdThing *table, const Constraint *constraint, const SdTableConstraint *known, const SdConstraint *changed)
{
	const char *column = constraint->keys ? strVal(linitial(constraint->keys)) : "";
	SdColumn   *named;

	if (constraint->contype != CONSTR_NOTNULL)
		return false;
	if (known)
	{
		named = sd_thing_column(table, column);
		return known->type == SD_COMPAT_CONSTRAINT_NOTNULL && (known->valid || constraint->skip_validation) && named &&
			bms_is_member(named->number, known->columns);
	}
	return changed && !changed->gone && changed->type == SD_COMPAT_CONSTRAINT_NOTNULL && (changed->valid || constraint->skip_validation) &&
		sd_texts_have(changed->columns, column);
}

/* Only inherited, it becomes the table's own as well, if it is the same; in a partition it does not. */
static bool
may_merge(const SdThing *table, const SdTableConstraint *known)
{
	return known->type == CONSTRAINT_CHECK && !known->local && !get_rel_relispartition(table->oid);
}

/* ... one that the script gave its parent */
static bool
got_it(const SdThing *table, const SdConstraint *changed)
{
	return !changed->gone && changed->inherited && table->parent == NULL && !get_rel_relispartition(table->oid);
}

void
sd_form_add_constraint(SdForm *form, SdThing *table, AlterTableStmt *stmt, Constraint *constraint)
{
	bool		recurse = stmt->relation->inh;
	SdTableConstraint *known = constraint->conname ? sd_follow_constraint(form->world, table, constraint->conname) : NULL;
	SdConstraint *changed = constraint->conname ? sd_thing_constraint(table, constraint->conname) : NULL;

	if (is_not_null_already(table, constraint, known, changed))
	{
		sd_form_match_table(form, "D11", table, recurse)->harmless = true;
		return;
	}
	if (constraint->contype == CONSTR_CHECK && ((known && may_merge(table, known)) || (changed && got_it(table, changed))))
		sd_form_unsure(form, "constraint \"%s\" of relation \"%s\" is inherited, and has to have the same expression", constraint->conname,
					   table->name);
	else if (known || (changed && !changed->gone && !changed->chosen))
		sd_form_fails(form, ERRCODE_DUPLICATE_OBJECT, "constraint \"%s\" for relation \"%s\" already exists", constraint->conname, table->name);
	switch (constraint->contype)
	{
		case CONSTR_CHECK:
			add_check(form, table, constraint, recurse);
			break;
		case CONSTR_FOREIGN:
			add_foreign_key(form, table, constraint, recurse);
			break;
		case CONSTR_UNIQUE:
		case CONSTR_PRIMARY:
			add_unique(form, table, constraint, recurse);
			break;
		case CONSTR_EXCLUSION:
			sd_form_match_table(form, "E28", table, recurse);
			sd_form_remember(form, table, constraint, NIL, true, NULL);
			break;
		case CONSTR_NOTNULL:
			add_not_null(form, table, constraint, recurse);
			break;
		default:
			break;
	}
}

/* ---- DROP, ALTER, VALIDATE ---- */

/* What the script knows of a constraint before what the catalog does.  type 0: there is none. */
typedef struct Known
{
	char		type;
	bool		valid;
	SdThing    *other;
	Oid			index;
	SdTableConstraint *catalog;
} Known;

static Known
known_constraint(SdForm *form, SdThing *table, const char *name)
{
	SdConstraint *changed = sd_thing_constraint(table, name);
	SdTableConstraint *catalog = sd_follow_constraint(form->world, table, name);
	Known		known = {0};

	if (catalog)
	{
		known.catalog = catalog;
		known.type = catalog->type;
		known.valid = catalog->valid || (changed && changed->valid);
		known.index = catalog->index;
		if (OidIsValid(catalog->other))
			known.other = sd_world_of(form->world, catalog->other);
	}
	else if (changed && !changed->gone)
	{
		known.type = changed->type;
		known.valid = changed->valid;
		known.other = changed->other;
	}
	return known;
}

static SdConstraint *
change_constraint(SdThing *table, const char *name, char type)
{
	SdConstraint *changed = sd_thing_constraint(table, name);
	MemoryContext old;

	if (changed)
		return changed;
	old = MemoryContextSwitchTo(GetMemoryChunkContext(table));
	changed = palloc0(sizeof(SdConstraint));
	changed->name = pstrdup(name);
	changed->type = type;
	table->constraints = lappend(table->constraints, changed);
	MemoryContextSwitchTo(old);
	return changed;
}

/* Foreign keys that go by its index go with it; not those by another one over the same columns. */
static void
look_at_referencing(SdForm *form, SdThing *table, const Known *known, bool cascade, const char *name, SdMatch *match)
{
	ListCell   *cell;

	foreach(cell, sd_follow_referencing(form->world, table))
	{
		SdForeignKey *key = lfirst(cell);
		SdThing    *from = sd_world_of(form->world, key->from);

		if (from == NULL || from->gone || key->index != known->index)
			continue;
		sd_match_cast(match, SD_ROLE_REFERENCING, from);
		form->takes = lappend(form->takes, psprintf("foreign key %s of %s", sd_quoted(key->name), from->shown));
		if (!cascade)
			sd_form_fails(form, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot drop constraint %s on table %s because other objects depend on it", name, table->name);
	}
}

/* The server's choice of a name was guessed: one that is not known may be it. */
void
sd_form_no_constraint(SdForm *form, SdThing *table, const char *name)
{
	bool		chosen = table->chosen;
	ListCell   *cell;

	foreach(cell, table->constraints)
		chosen |= ((SdConstraint *) lfirst(cell))->chosen;
	if (chosen)
	{
		sd_form_unsure(form, "no constraint \"%s\" of relation \"%s\" is known, but the server chooses the names of some that the script makes",
					   name, table->name);
		return;
	}
	sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "constraint \"%s\" of relation \"%s\" does not exist", name, table->name);
}

/* With its index, which the server drops, too. */
static void
lose_constraint(SdForm *form, SdThing *table, const Known *known, AlterTableCmd *command, bool recurse)
{
	SdThing    *index = has_index(known->type) ? sd_world_find(form->world, makeRangeVar(table->schema, command->name, -1)) : NULL;
	SdConstraint *changed = change_constraint(table, command->name, known->type);

	changed->type = known->type;
	changed->gone = true;
	if (known->catalog)
		sd_follow_drop(form->world, ConstraintRelationId, known->catalog->oid, 0);
	if (recurse)
		sd_heirs_drop_constraint(form, table, command->name);
	sd_follow_done(form->world, command->behavior == DROP_CASCADE);
	if (index && !index->gone && (index->table == table || (OidIsValid(index->oid) && IndexGetRelation(index->oid, true) == table->oid)))
		sd_world_drop(form->world, index);
	if (known->type == CONSTRAINT_PRIMARY)
		table->has_primary = false;
}

static void
drop_constraint(SdForm *form, SdThing *table, AlterTableCmd *command, bool recurse)
{
	Known		known = known_constraint(form, table, command->name);
	/* that of a partitioned table goes from its partitions, whatever it says of inheritance */
	bool		stays_above = known.catalog && known.catalog->no_inherit && table->kind != RELKIND_PARTITIONED_TABLE;
	SdMatch    *match;

	if (known.type == 0 && !table->made)
	{
		if (command->missing_ok)
			sd_form_match_table(form, "E31", table, recurse)->harmless = true;
		else
			sd_form_no_constraint(form, table, command->name);
		return;
	}
	if (stays_above)
		recurse = false;
	switch (known.type)
	{
		case CONSTRAINT_FOREIGN:
			match = sd_form_match_table(form, "E16", table, recurse);
			sd_match_cast_whole(form, match, SD_ROLE_REFERENCED, known.other);
			break;
		case CONSTRAINT_PRIMARY:
			match = sd_form_match_table(form, "E25", table, recurse);
			sd_match_safer(match, "ALTER TABLE %s REPLICA IDENTITY FULL", table->shown);
			sd_match_remark(match, "in all regions first, where it is published");
			sd_match_safer(match, "%s", form->text);
			match->whole = true;
			break;
		case CONSTRAINT_UNIQUE:
		case CONSTRAINT_EXCLUSION:
			match = sd_form_match_table(form, "E27", table, recurse);
			break;
		case SD_COMPAT_CONSTRAINT_NOTNULL:
			match = sd_form_match_table(form, "D12", table, recurse);
			break;
		default:
			match = sd_form_match_table(form, "E7", table, recurse);
			break;
	}
	if (!recurse && !stays_above)
		sd_match_cast_children(form, match, table);
	if (known.catalog && OidIsValid(known.index) && known.type != CONSTRAINT_FOREIGN)
	{
		look_at_referencing(form, table, &known, command->behavior == DROP_CASCADE, command->name, match);
		if (known.type != CONSTRAINT_PRIMARY && known.index == sd_fact_replica_index(table->oid))
			sd_form_match_table(form, "F12", table, recurse);
	}
	lose_constraint(form, table, &known, command, recurse);
}

static void
validate_constraint(SdForm *form, SdThing *table, AlterTableCmd *command, bool recurse)
{
	Known		known = known_constraint(form, table, command->name);
	SdMatch    *match;
	SdConstraint *changed;
	ListCell   *cell;

	if (known.type == 0)
	{
		if (!table->made)
			sd_form_no_constraint(form, table, command->name);
		return;
	}
	match = sd_form_match_table(form, known.type == CONSTRAINT_FOREIGN ? "E11" :
								known.type == SD_COMPAT_CONSTRAINT_NOTNULL ? "D7" : "E4", table, recurse);
	sd_match_cast(match, SD_ROLE_REFERENCED, known.other);
	if (known.valid)
	{
		match->probed = SD_PROBED_NOTHING;
		sd_match_why(match, "It is valid already.");
	}
	changed = change_constraint(table, command->name, known.type);
	changed->valid = true;
	foreach(cell, recurse ? sd_heirs(form, table) : NIL)
	{
		SdThing    *heir = lfirst(cell);

		if (known_constraint(form, heir, command->name).type == known.type)
			change_constraint(heir, command->name, known.type)->valid = true;
	}
}

/* What inherits from it gets it, too, and is read for that. */
static void
inherit_not_null(SdForm *form, SdThing *table, const Known *known, const SdConstraint *changed)
{
	char	   *name = known->catalog ? get_attname(table->oid, bms_next_member(known->catalog->columns, -1), true) :
		changed && changed->columns ? linitial(changed->columns) : NULL;
	SdColumn   *column = name ? sd_thing_column(table, name) : NULL;
	List	   *read = column ? sd_form_nulls_below(form, table, column) : NIL;

	if (read != NIL)
		sd_match_cast_oids(form, sd_form_match(form, "D8"), SD_ROLE_CHILD, read);
}

static void
alter_constraint(SdForm *form, SdThing *table, AlterTableCmd *command, bool recurse)
{
	const char *name = sd_compat_altered_name(command);
	Known		known = known_constraint(form, table, name);
	const char *rule = "E17";

	if (known.type == 0 && !table->made)
		sd_form_no_constraint(form, table, name);
	if (sd_compat_alters_enforced(command))
		rule = known.type == CONSTRAINT_CHECK ? (sd_compat_altered_enforced(command) ? "E5" : "E6") :
			sd_compat_altered_enforced(command) ? "E13" : "E12";
	sd_match_cast(sd_form_match_table(form, rule, table, recurse), SD_ROLE_REFERENCED, known.other);
	if (sd_compat_makes_inherited(command) && known.type == SD_COMPAT_CONSTRAINT_NOTNULL)
		inherit_not_null(form, table, &known, sd_thing_constraint(table, name));
}

void
sd_form_constraint(SdForm *form, SdThing *table, AlterTableStmt *stmt, AlterTableCmd *command)
{
	bool		recurse = stmt->relation->inh;

	switch (command->subtype)
	{
		case AT_AddConstraint:
		case AT_AddIndexConstraint:
			sd_form_add_constraint(form, table, stmt, castNode(Constraint, command->def));
			break;
		case AT_DropConstraint:
			drop_constraint(form, table, command, recurse);
			break;
		case AT_ValidateConstraint:
			validate_constraint(form, table, command, recurse);
			break;
		default:
			alter_constraint(form, table, command, recurse);
			break;
	}
}
