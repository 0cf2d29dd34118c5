/*
 * form_drop.c: DROP of anything, with what goes along.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/policy.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteSupport.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"

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
	SdThing    *table = sd_form_table_of(form, index);
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

const char *
sd_form_attached_kind(ObjectType type)
{
	return type == OBJECT_TRIGGER ? "trigger" : type == OBJECT_RULE ? "rule" : "policy";
}

Oid
sd_form_attached(SdForm *form, ObjectType type, const SdThing *table, const char *name, Oid *class_id)
{
	Oid			renamed;

	*class_id = type == OBJECT_TRIGGER ? TriggerRelationId : type == OBJECT_RULE ? RewriteRelationId : PolicyRelationId;
	if (sd_world_noted(form->world, sd_form_attached_kind(type), psprintf("%u %s", table->oid, name), &renamed))
		return renamed;
	return type == OBJECT_TRIGGER ? get_trigger_oid(table->oid, name, true) :
		type == OBJECT_RULE ? get_rewrite_oid(table->oid, name, true) : get_relation_policy_oid(table->oid, name, true);
}

static void
lose_attached(SdForm *form, ObjectType type, SdThing *table, const char *name)
{
	Oid			class_id;
	Oid			object = sd_form_attached(form, type, table, name, &class_id);

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
