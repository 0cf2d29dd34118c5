/*
 * form_index.c: indexes, and what is dropped, renamed and moved.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/policy.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_target.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteSupport.h"
#include "utils/builtins.h"
#include "catalog/heap.h"
#include "utils/memutils.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"

/* ---- CREATE INDEX ---- */

static List *
indexed_columns(const IndexStmt *stmt)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, stmt->indexParams)
	{
		IndexElem  *element = lfirst_node(IndexElem, cell);
		char	   *name = element->name ? element->name : FigureIndexColname(element->expr);

		names = lappend(names, name ? name : "expr");
	}
	return names;
}

char *
sd_form_concurrently(const char *text)
{
	const char *place = text;

	/* as the lexer has it, CREATE UNIQUE INDEX comes first */
	while (*place)
	{
		if (pg_strncasecmp(place, "index", 5) == 0)
			return psprintf("%.*sINDEX CONCURRENTLY%s", (int) (place - text), text, place + 5);
		place++;
	}
	return pstrdup(text);
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
			sd_form_fails(form, "relation \"%s\" already exists", stmt->idxname);
		return;
	}
	foreach(cell, stmt->indexParams)
	{
		IndexElem  *element = lfirst_node(IndexElem, cell);

		if (element->name && !table->made && sd_thing_column(table, element->name) == NULL &&
			SystemAttributeByName(element->name) == NULL)
			sd_form_fails(form, "column \"%s\" does not exist", element->name);
	}
	if (table->kind == RELKIND_PARTITIONED_TABLE)
		rule = stmt->relation->inh ? "F6" : "F7";
	else if (stmt->concurrent)
		rule = stmt->unique ? "F5" : "F3";
	else
		rule = stmt->unique ? "F4" : "F1";
	match = sd_form_match_table(form, rule, table, table->kind == RELKIND_PARTITIONED_TABLE && stmt->relation->inh);
	name = stmt->idxname ? stmt->idxname : sd_form_chosen_name(form, table, indexed_columns(stmt), "idx");
	if (table->kind == RELKIND_PARTITIONED_TABLE && stmt->unique)
		sd_form_match_table(form, "F4", table, stmt->relation->inh);
	if (table->kind == RELKIND_PARTITIONED_TABLE && stmt->concurrent)
		sd_form_fails(form, "cannot create index on partitioned table \"%s\" concurrently", table->name);
	if (rule[1] == '1' || rule[1] == '4')
		sd_match_safer(match, "%s  -- by itself, outside of a transaction; or CALL schemadrift.apply_online(name, text)", sd_form_concurrently(form->text));
	else if (rule[1] == '6')
	{
		sd_match_safer(match, "CREATE INDEX %s ON ONLY %s (...)", sd_quoted(name), table->shown);
		sd_match_safer(match, "-- on each partition: CREATE INDEX CONCURRENTLY <name> ON <partition> (...)");
		sd_match_safer(match, "-- and for each: ALTER INDEX %s ATTACH PARTITION <name>", sd_quoted(name));
	}
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

static SdThing *
table_of(SdForm *form, SdThing *index)
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
	SdMatch    *match;

	if (stmt->relation && thing == NULL)
		return;
	match = sd_form_match(form, is_concurrent(stmt->params) ? "F15" : stmt->kind == REINDEX_OBJECT_INDEX ? "F13" : "F14");
	if (!is_concurrent(stmt->params))
		sd_match_safer(match, "REINDEX (CONCURRENTLY) %s", stmt->kind == REINDEX_OBJECT_INDEX ?
					   psprintf("INDEX %s", thing->shown) : thing ? psprintf("TABLE %s", thing->shown) : "SCHEMA ...");
	if (thing == NULL)
		return;
	if (stmt->kind == REINDEX_OBJECT_INDEX)
	{
		sd_match_cast(match, SD_ROLE_INDEX, thing);
		thing = table_of(form, thing);
	}
	sd_match_cast(match, SD_ROLE_TABLE, thing);
}

/* ---- DROP ---- */

static void
takes(SdForm *form, const char *what, const SdThing *thing)
{
	form->takes = lappend(form->takes, psprintf("%s %s", what, thing->shown));
}

/* is it dropped by the same statement? */
static bool
is_going(SdForm *form, const SdThing *thing)
{
	return OidIsValid(thing->oid) && sd_world_fate(form->world, RelationRelationId, thing->oid, 0) >= SD_FATE_GOING;
}

static void
drop_dependents(SdForm *form, DropStmt *stmt, SdThing *thing, SdMatch *match)
{
	bool		cascade = stmt->behavior == DROP_CASCADE;
	bool		doubtful = false;
	ListCell   *cell;

	if (!OidIsValid(thing->oid))
		return;
	foreach(cell, sd_follow_dependents(form->world, RelationRelationId, thing->oid, 0))
	{
		SdDependent *dependent = lfirst(cell);
		Oid			owner = sd_fact_owner_of(&dependent->object);
		SdThing    *other = OidIsValid(owner) && owner != thing->oid ? sd_world_of(form->world, owner) : NULL;

		if (dependent->type != DEPENDENCY_NORMAL || other == NULL || other->gone || is_going(form, other))
			continue;
		if (dependent->doubtful && !cascade)
		{
			doubtful = true;
			continue;
		}
		switch (dependent->object.classId)
		{
			case RewriteRelationId:
				sd_match_cast(match, other->kind == RELKIND_MATVIEW ? SD_ROLE_MATVIEW : SD_ROLE_VIEW, other);
				takes(form, other->kind == RELKIND_MATVIEW ? "materialized view" : "view", other);
				break;
			case ConstraintRelationId:
				sd_match_cast(match, SD_ROLE_REFERENCING, other);
				takes(form, "a foreign key of", other);
				break;
			case AttrDefaultRelationId:
				sd_match_cast(match, SD_ROLE_TABLE, other);
				takes(form, "a default of", other);
				break;
			default:
				continue;
		}
		if (!cascade)
			sd_form_fails(form, "cannot drop %s %s because other objects depend on it",
						  thing->kind == RELKIND_VIEW ? "view" : thing->kind == RELKIND_SEQUENCE ? "sequence" :
						  thing->kind == RELKIND_MATVIEW ? "materialized view" : "table", thing->name);
	}
	if (doubtful)
		sd_form_unsure(form, "a view that the script replaced may read %s still", thing->shown);
	if (!cascade)
		form->takes = NIL;
}

static void
drop_table(SdForm *form, DropStmt *stmt, SdThing *table)
{
	Oid			parent = sd_follow_is_changed(form->world, RelationRelationId, table->oid) ? InvalidOid : sd_fact_partition_parent(table->oid);
	SdMatch    *match = NULL;
	ListCell   *cell;

	if (OidIsValid(parent) || table->parent)
	{
		match = sd_form_match(form, "B18");
		sd_match_cast(match, SD_ROLE_TABLE, table);
		sd_match_cast(match, SD_ROLE_PARENT, table->parent ? table->parent : sd_world_of(form->world, parent));
		if (OidIsValid(parent))
		{
			sd_match_safer(match, "ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY  -- by itself, or in schemadrift.apply_online()",
						   sd_world_of(form->world, parent)->shown, table->shown);
			sd_match_safer(match, "DROP TABLE %s", table->shown);
		}
	}
	foreach(cell, sd_follow_foreign_keys(form->world, table))
	{
		SdForeignKey *key = lfirst(cell);
		SdThing    *other = sd_world_of(form->world, key->to);

		if (other == NULL || other == table || other->gone)
			continue;
		match = sd_form_match_table(form, "B16", table, true);
		sd_match_cast(match, SD_ROLE_REFERENCED, other);
		sd_match_safer(match, "ALTER TABLE %s DROP CONSTRAINT %s", table->shown, sd_quoted(key->name));
	}
	if (match && strcmp(match->rule, "B16") == 0)
		sd_match_safer(match, "DROP TABLE %s", table->shown);
	foreach(cell, sd_follow_referencing(form->world, table))
	{
		SdForeignKey *key = lfirst(cell);
		SdThing    *other = sd_world_of(form->world, key->from);

		if (other == NULL || other == table || other->gone || is_going(form, other))
			continue;
		match = sd_form_match_table(form, "B17", table, true);
		sd_match_cast(match, SD_ROLE_REFERENCING, other);
		sd_match_safer(match, "ALTER TABLE %s DROP CONSTRAINT %s", other->shown, sd_quoted(key->name));
	}
	if (match == NULL)
		match = sd_form_match_table(form, "B15", table, true);
	drop_dependents(form, stmt, table, match);
}

static void
drop_index(SdForm *form, DropStmt *stmt, SdThing *index)
{
	SdThing    *table = table_of(form, index);
	SdMatch    *match;

	if (table == NULL)
		return;
	match = sd_form_match_table(form, stmt->concurrent ? "F10" : index->kind == RELKIND_PARTITIONED_INDEX ? "F11" : "F9", table,
								index->kind == RELKIND_PARTITIONED_INDEX);
	sd_match_cast(match, SD_ROLE_INDEX, index);
	if (!stmt->concurrent && index->kind != RELKIND_PARTITIONED_INDEX)
		sd_match_safer(match, "DROP INDEX CONCURRENTLY %s  -- by itself, or in schemadrift.apply_online()", index->shown);
	if (OidIsValid(index->oid) && index->oid == sd_fact_replica_index(table->oid))
		sd_form_match_table(form, "F12", table, false);
	if (OidIsValid(index->oid) && OidIsValid(get_index_constraint(index->oid)))
		sd_form_fails(form, "cannot drop index %s because constraint %s on table %s requires it", index->name,
					  get_constraint_name(get_index_constraint(index->oid)), table->name);
}

static void
drop_relation(SdForm *form, DropStmt *stmt, List *names)
{
	RangeVar   *name = makeRangeVarFromNameList(names);
	SdThing    *thing = sd_form_relation(form, name, stmt->missing_ok);
	SdMatch    *match;

	if (thing == NULL)
	{
		if (stmt->missing_ok && form->matches == NIL)
			sd_form_match(form, "B20")->harmless = true;
		return;
	}
	switch (stmt->removeType)
	{
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
			match = sd_form_match(form, "J4");
			sd_match_cast(match, SD_ROLE_VIEW, thing);
			drop_dependents(form, stmt, thing, match);
			break;
		case OBJECT_SEQUENCE:
			match = sd_form_match(form, "K4");
			sd_match_cast(match, SD_ROLE_SEQUENCE, thing);
			drop_dependents(form, stmt, thing, match);
			break;
		case OBJECT_INDEX:
			drop_index(form, stmt, thing);
			break;
		default:
			drop_table(form, stmt, thing);
			break;
	}
	/* one of the catalog when the statement is done, with all that goes with it */
	if (!OidIsValid(thing->oid))
		sd_world_drop(form->world, thing);
}

static void
drop_schema(SdForm *form, DropStmt *stmt, const char *name)
{
	SdMatch    *match;
	List	   *things;
	ListCell   *cell;

	sd_form_object(form, sd_quoted(name));
	if (!sd_world_has_schema(form->world, name))
	{
		if (!stmt->missing_ok)
			sd_form_fails(form, "schema \"%s\" does not exist", name);
		else
			sd_form_match(form, "B20")->harmless = true;
		return;
	}
	things = sd_world_in_schema(form->world, name);
	match = sd_form_match(form, "B19");
	if (things == NIL)
	{
		match->lossless = true;
		match->backward = SD_ANSWER_YES;
	}
	match->harmless = sd_world_made_schema(form->world, name);
	if (stmt->behavior != DROP_CASCADE && things != NIL)
		sd_form_fails(form, "cannot drop schema %s because other objects depend on it", name);
	foreach(cell, things)
	{
		SdThing    *thing = lfirst(cell);

		sd_match_cast(match, thing->kind == RELKIND_VIEW ? SD_ROLE_VIEW : SD_ROLE_TABLE, thing);
		if (list_length(form->takes) < 6 && !match->harmless)
			takes(form, thing->kind == RELKIND_VIEW ? "view" : "table", thing);
	}
	if (list_length(things) > 6 && !match->harmless)
		form->takes = lappend(form->takes, psprintf("%d more", list_length(things) - 6));
	if (!sd_world_made_schema(form->world, name))
		sd_follow_drop(form->world, NamespaceRelationId, get_namespace_oid(name, true), 0);
	sd_world_drop_schema(form->world, name);
}

static const char *
attached_kind(ObjectType type)
{
	return type == OBJECT_TRIGGER ? "trigger" : type == OBJECT_RULE ? "rule" : "policy";
}

static Oid
attached(SdForm *form, ObjectType type, const SdThing *table, const char *name, Oid *class_id)
{
	Oid			renamed;

	*class_id = type == OBJECT_TRIGGER ? TriggerRelationId : type == OBJECT_RULE ? RewriteRelationId : PolicyRelationId;
	if (sd_world_noted(form->world, attached_kind(type), psprintf("%u %s", table->oid, name), &renamed))
		return renamed;
	return type == OBJECT_TRIGGER ? get_trigger_oid(table->oid, name, true) :
		type == OBJECT_RULE ? get_rewrite_oid(table->oid, name, true) : get_relation_policy_oid(table->oid, name, true);
}

static void
lose_attached(SdForm *form, ObjectType type, SdThing *table, const char *name)
{
	Oid			class_id;
	Oid			object = attached(form, type, table, name, &class_id);

	sd_follow_drop(form->world, class_id, object, 0);
}

/* ... of a table */
static void
drop_attached(SdForm *form, DropStmt *stmt, List *names, const char *rule)
{
	List	   *table_names = list_copy_head(names, list_length(names) - 1);
	SdThing    *table = sd_form_relation(form, makeRangeVarFromNameList(table_names), stmt->missing_ok);
	SdMatch    *match;

	if (table == NULL)
	{
		if (stmt->missing_ok)
			sd_form_match(form, "B20")->harmless = true;
		return;
	}
	match = sd_form_match_table(form, rule, table, stmt->removeType == OBJECT_TRIGGER);
	sd_match_cast(match, SD_ROLE_VIEW, table->kind == RELKIND_VIEW ? table : NULL);
	if (OidIsValid(table->oid))
		lose_attached(form, stmt->removeType, table, strVal(llast(names)));
}

/* functions and types: whose columns and triggers go with them */
static void
drop_type(SdForm *form, DropStmt *stmt, TypeName *name)
{
	bool		domain = stmt->removeType == OBJECT_DOMAIN;
	SdMatch    *match;
	bool		made;
	int32		typmod;
	Oid			type = sd_form_type(form, name, &typmod, &made);
	bool		used = false;
	ListCell   *cell;

	sd_form_object(form, TypeNameToString(name));
	sd_world_forget(form->world, "type", strVal(llast(name->names)));
	if (!OidIsValid(type))
	{
		if (made)
			sd_form_match(form, domain ? "I14" : "I6")->harmless = true;
		else if (stmt->missing_ok)
			sd_form_match(form, "B20")->harmless = true;
		else
			sd_form_fails(form, "type \"%s\" does not exist", TypeNameToString(name));
		return;
	}
	match = sd_form_match(form, domain ? "I14" : "I6");
	foreach(cell, sd_fact_type_users(type))
	{
		SdThing    *table = sd_world_of(form->world, lfirst_oid(cell));

		if (table == NULL || table->gone || is_going(form, table) || !sd_follow_uses_type(table, type))
			continue;
		used = true;
		sd_match_cast(match, SD_ROLE_TABLE, table);
		takes(form, "columns of", table);
		if (stmt->behavior != DROP_CASCADE)
			sd_form_fails(form, "cannot drop type %s because other objects depend on it", TypeNameToString(name));
	}
	if (!used)
		match->lossless = true;
}

static void
drop_function(SdForm *form, DropStmt *stmt, ObjectWithArgs *function)
{
	SdMatch    *match;
	Oid			oid = LookupFuncWithArgs(OBJECT_ROUTINE, function, true);
	const char *name = NameListToString(function->objname);
	ListCell   *cell;

	sd_form_object(form, name);
	if (!OidIsValid(oid) || sd_follow_is_gone(form->world, ProcedureRelationId, oid) || sd_follow_is_changed(form->world, ProcedureRelationId, oid))
	{
		if (sd_world_noted(form->world, "function", strVal(llast(function->objname)), NULL))
			sd_form_match(form, "J11")->harmless = true;
		else if (stmt->missing_ok)
			sd_form_match(form, "B20")->harmless = true;
		else
			sd_form_fails(form, "function %s does not exist", name);
		return;
	}
	match = sd_form_match(form, "J11");
	foreach(cell, sd_follow_dependents(form->world, ProcedureRelationId, oid, 0))
	{
		SdDependent *dependent = lfirst(cell);
		Oid			owner = sd_fact_owner_of(&dependent->object);
		SdThing    *table = OidIsValid(owner) ? sd_world_of(form->world, owner) : NULL;

		if (dependent->type != DEPENDENCY_NORMAL || table == NULL || table->gone)
			continue;
		sd_match_cast(match, table->kind == RELKIND_VIEW ? SD_ROLE_VIEW : SD_ROLE_TABLE, table);
		takes(form, dependent->object.classId == TriggerRelationId ? "a trigger of" : dependent->object.classId == RewriteRelationId ?
			  "view" : "something of", table);
		if (stmt->behavior != DROP_CASCADE)
			sd_form_fails(form, "cannot drop function %s because other objects depend on it", name);
	}
}

/* What the statement names, before it is looked at one by one: none of it stands in another's way. */
static void
doom_named(SdForm *form, DropStmt *stmt, Node *object)
{
	SdThing    *thing;
	int32		typmod;

	switch (stmt->removeType)
	{
		case OBJECT_TABLE:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_INDEX:
			thing = sd_world_find_names(form->world, castNode(List, object));
			if (thing)
				sd_follow_drop(form->world, RelationRelationId, thing->oid, 0);
			break;
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			sd_follow_drop(form->world, TypeRelationId, sd_form_type(form, castNode(TypeName, object), &typmod, NULL), 0);
			break;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
			{
				Oid			oid = LookupFuncWithArgs(OBJECT_ROUTINE, castNode(ObjectWithArgs, object), true);

				if (!sd_follow_is_changed(form->world, ProcedureRelationId, oid))
					sd_follow_drop(form->world, ProcedureRelationId, oid, 0);
			}
			break;
		case OBJECT_EXTENSION:
			sd_follow_drop(form->world, ExtensionRelationId, get_extension_oid(strVal(object), true), 0);
			break;
		default:
			break;
	}
}

static void drop_objects(SdForm *form, DropStmt *stmt);

void
sd_form_drop(SdForm *form, DropStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->objects)
		doom_named(form, stmt, lfirst(cell));
	drop_objects(form, stmt);
	sd_follow_done(form->world, stmt->behavior == DROP_CASCADE);
}

static void
drop_objects(SdForm *form, DropStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->objects)
	{
		Node	   *object = lfirst(cell);

		switch (stmt->removeType)
		{
			case OBJECT_TABLE:
			case OBJECT_FOREIGN_TABLE:
			case OBJECT_VIEW:
			case OBJECT_MATVIEW:
			case OBJECT_SEQUENCE:
			case OBJECT_INDEX:
				drop_relation(form, stmt, castNode(List, object));
				break;
			case OBJECT_SCHEMA:
				drop_schema(form, stmt, strVal(object));
				break;
			case OBJECT_TRIGGER:
				drop_attached(form, stmt, castNode(List, object), "J16");
				break;
			case OBJECT_RULE:
				drop_attached(form, stmt, castNode(List, object), "J18");
				break;
			case OBJECT_POLICY:
				drop_attached(form, stmt, castNode(List, object), "J21");
				break;
			case OBJECT_TYPE:
			case OBJECT_DOMAIN:
				drop_type(form, stmt, castNode(TypeName, object));
				break;
			case OBJECT_FUNCTION:
			case OBJECT_PROCEDURE:
			case OBJECT_ROUTINE:
				drop_function(form, stmt, castNode(ObjectWithArgs, object));
				break;
			case OBJECT_STATISTIC_EXT:
				sd_form_object(form, NameListToString(castNode(List, object)));
				sd_form_match(form, "J24");
				break;
			case OBJECT_EXTENSION:
				sd_form_object(form, strVal(object));
				sd_form_match(form, "L6");
				break;
			case OBJECT_PUBLICATION:
				sd_form_object(form, strVal(object));
				sd_form_match(form, "L3");
				break;
			default:
				return;
		}
	}
}

/* ---- RENAME and SET SCHEMA ---- */

static void
rename_column(SdForm *form, RenameStmt *stmt)
{
	SdThing    *thing = sd_form_relation(form, stmt->relation, stmt->missing_ok);
	SdColumn   *column;
	SdMatch    *match;
	const char *new_name = sd_quoted(stmt->newname);
	const char *name = sd_quoted(stmt->subname);

	if (thing == NULL)
		return;
	if (thing->kind == RELKIND_VIEW || thing->kind == RELKIND_COMPOSITE_TYPE)
	{
		sd_match_cast(sd_form_match(form, thing->kind == RELKIND_VIEW ? "J5" : "I7"), SD_ROLE_VIEW, thing);
		thing->vague = true;
		return;
	}
	column = sd_form_column(form, thing, stmt->subname, false);
	if (column == NULL)
		return;
	if (!thing->made && sd_thing_column(thing, stmt->newname))
		sd_form_fails(form, "column \"%s\" of relation \"%s\" already exists", stmt->newname, thing->name);
	match = sd_form_match_table(form, thing->kind == RELKIND_PARTITIONED_TABLE ? "B11" : "B10", thing, stmt->relation->inh);
	match->column = column;
	sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s %s", thing->shown, new_name, OidIsValid(column->type) ?
				   format_type_with_typemod(column->type, column->typmod) : "<its type>");
	sd_match_safer(match, "-- a trigger BEFORE INSERT OR UPDATE that keeps %s and %s equal, then\n"
				   "ALTER TABLE %s ENABLE ALWAYS TRIGGER <its name>  -- so that rows of other regions get both, too", name, new_name, thing->shown);
	sd_match_safer(match, "-- in batches, in ONE region: UPDATE %s SET %s = %s WHERE %s IS NULL AND <a range of the key>", thing->shown, new_name,
				   name, new_name);
	sd_match_safer(match, "-- when no application names %s: drop the trigger, and ALTER TABLE %s DROP COLUMN %s as rule B2 says", name,
				   thing->shown, name);
	sd_thing_rename_column(thing, column, stmt->newname);
}

/* A constraint of a table, if there is one so called. */
static void
rename_key(SdForm *form, SdThing *table, const char *name, const char *to)
{
	SdConstraint *changed = table ? sd_thing_constraint(table, name) : NULL;
	SdTableConstraint *known = table ? sd_follow_constraint(form->world, table, name) : NULL;
	MemoryContext old;

	if (changed && !changed->gone)
		changed->name = MemoryContextStrdup(GetMemoryChunkContext(table), to);
	else if (known)
	{
		old = MemoryContextSwitchTo(GetMemoryChunkContext(table));
		changed = palloc0(sizeof(SdConstraint));
		changed->name = pstrdup(to);
		changed->type = known->type;
		changed->valid = known->valid;
		table->constraints = lappend(table->constraints, changed);
		MemoryContextSwitchTo(old);
	}
	if (known)
	{
		changed->object = known->oid;
		sd_follow_change(form->world, ConstraintRelationId, known->oid);
	}
}

static void
rename_relation(SdForm *form, RenameStmt *stmt)
{
	SdThing    *thing = sd_form_relation(form, stmt->relation, stmt->missing_ok);
	SdMatch    *match;

	if (thing == NULL)
	{
		if (stmt->missing_ok)
			sd_form_match(form, "B20")->harmless = true;
		return;
	}
	if (sd_world_find(form->world, makeRangeVar(thing->schema, stmt->newname, -1)))
		sd_form_fails(form, "relation \"%s\" already exists", stmt->newname);
	switch (thing->kind)
	{
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			match = sd_form_match(form, "F16");
			sd_match_cast(match, SD_ROLE_INDEX, thing);
			break;
		case RELKIND_VIEW:
			match = sd_form_match(form, "J5");
			sd_match_cast(match, SD_ROLE_VIEW, thing);
			break;
		case RELKIND_SEQUENCE:
			match = sd_form_match(form, "B12");
			sd_match_cast(match, SD_ROLE_TABLE, thing);
			break;
		default:
			match = sd_form_match_table(form, "B12", thing, false);
			sd_match_safer(match, "-- in one transaction; statements of the old application go on through the view\n%s", form->text);
			sd_match_safer(match, "CREATE VIEW %s AS SELECT * FROM %s", thing->shown,
						   quote_qualified_identifier(thing->schema, stmt->newname));
			sd_match_safer(match, "-- where it is published replication matches names: there only pausing writes and draining helps, or keep the name");
			break;
	}
	/* another table of that name was there when the script began */
	if (thing->made)
	{
		SdThing    *was = sd_world_was(form->world, thing->schema, stmt->newname);

		if (was)
		{
			match = sd_form_match(form, "G23");
			match->probed = SD_PROBED_NOTHING;
			sd_match_cast(match, SD_ROLE_TABLE, was);
		}
	}
	if (thing->kind == RELKIND_INDEX || thing->kind == RELKIND_PARTITIONED_INDEX)
		rename_key(form, table_of(form, thing), thing->name, stmt->newname);
	sd_world_rename(form->world, thing, stmt->newname);
}

static void
rename_constraint(SdForm *form, RenameStmt *stmt)
{
	SdThing    *table = sd_form_relation(form, stmt->relation, stmt->missing_ok);
	SdTableConstraint *known;
	SdConstraint *changed;
	SdThing    *index;

	if (table == NULL)
		return;
	known = sd_follow_constraint(form->world, table, stmt->subname);
	changed = sd_thing_constraint(table, stmt->subname);
	if (!table->made && known == NULL && (changed == NULL || changed->gone))
		sd_form_no_constraint(form, table, stmt->subname);
	sd_form_match_table(form, "E30", table, stmt->relation->inh);
	rename_key(form, table, stmt->subname, stmt->newname);
	/* its index has the same name */
	index = sd_world_find(form->world, makeRangeVar(table->schema, stmt->subname, -1));
	if (index && (index->kind == RELKIND_INDEX || index->kind == RELKIND_PARTITIONED_INDEX) && table_of(form, index) == table)
		sd_world_rename(form->world, index, stmt->newname);
}

static void
rename_type(SdForm *form, List *names, const char *to)
{
	int32		typmod;
	bool		made;
	Oid			type = sd_form_type(form, makeTypeNameFromNameList(names), &typmod, &made);

	sd_world_forget(form->world, "type", strVal(llast(names)));
	sd_world_note(form->world, "type", to, type);
	sd_follow_change(form->world, TypeRelationId, type);
}

void
sd_form_rename(SdForm *form, RenameStmt *stmt)
{
	SdThing    *table;

	switch (stmt->renameType)
	{
		case OBJECT_COLUMN:
		case OBJECT_ATTRIBUTE:
			rename_column(form, stmt);
			break;
		case OBJECT_TABLE:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_INDEX:
			rename_relation(form, stmt);
			break;
		case OBJECT_TABCONSTRAINT:
			rename_constraint(form, stmt);
			break;
		case OBJECT_SCHEMA:
			sd_form_object(form, sd_quoted(stmt->subname));
			if (!sd_world_has_schema(form->world, stmt->subname))
			{
				sd_form_fails(form, "schema \"%s\" does not exist", stmt->subname);
				return;
			}
			{
				SdMatch    *match = sd_form_match(form, "B14");
				List	   *things = sd_world_in_schema(form->world, stmt->subname);
				ListCell   *cell;

				/* what is affected, although nothing of it is locked */
				foreach(cell, things)
				{
					if (((SdThing *) lfirst(cell))->kind != RELKIND_VIEW)
						sd_match_cast(match, SD_ROLE_TABLE, lfirst(cell));
				}
				if (sd_world_made_schema(form->world, stmt->subname) || things == NIL)
					match->harmless = true;
				sd_world_rename_schema(form->world, stmt->subname, stmt->newname);
			}
			break;
		case OBJECT_TRIGGER:
		case OBJECT_RULE:
		case OBJECT_POLICY:
			table = sd_form_relation(form, stmt->relation, stmt->missing_ok);
			if (table)
			{
				Oid			class_id;
				Oid			object = OidIsValid(table->oid) ? attached(form, stmt->renameType, table, stmt->subname, &class_id) : InvalidOid;

				sd_form_match_table(form, stmt->renameType == OBJECT_TRIGGER ? "J16" : stmt->renameType == OBJECT_RULE ? "J18" : "J21", table,
									true);
				sd_world_note(form->world, attached_kind(stmt->renameType), psprintf("%u %s", table->oid, stmt->newname), object);
			}
			break;
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
		case OBJECT_DOMCONSTRAINT:
			sd_form_object(form, NameListToString(castNode(List, stmt->object)));
			sd_form_match(form, "I5");
			if (stmt->renameType != OBJECT_DOMCONSTRAINT)
				rename_type(form, castNode(List, stmt->object), stmt->newname);
			break;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_AGGREGATE:
			sd_world_note(form->world, "function", stmt->newname, InvalidOid);
			sd_follow_change(form->world, ProcedureRelationId,
							 LookupFuncWithArgs(stmt->renameType, castNode(ObjectWithArgs, stmt->object), true));
			break;
		default:
			break;
	}
}

void
sd_form_set_schema(SdForm *form, AlterObjectSchemaStmt *stmt)
{
	SdThing    *thing;
	SdMatch    *match;

	if (!sd_world_has_schema(form->world, stmt->newschema))
		sd_form_fails(form, "schema \"%s\" does not exist", stmt->newschema);
	switch (stmt->objectType)
	{
		case OBJECT_TABLE:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_VIEW:
			thing = sd_form_relation(form, stmt->relation, stmt->missing_ok);
			if (thing == NULL)
				return;
			if (thing->kind == RELKIND_VIEW)
			{
				sd_match_cast(sd_form_match(form, "J5"), SD_ROLE_VIEW, thing);
			}
			else
			{
				match = sd_form_match_table(form, "B13", thing, false);
				sd_match_cast_oids(form, match, SD_ROLE_SEQUENCE, sd_fact_owned_sequences(thing->oid, 0));
			}
			sd_world_move(form->world, thing, stmt->newschema);
			break;
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			sd_form_match(form, "I5");
			break;
		default:
			break;
	}
}
