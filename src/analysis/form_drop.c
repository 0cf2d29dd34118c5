/*
 * form_drop.c: DROP of anything, with what goes along.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/catalog.h"
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
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/routine.h"
#include "analysis/type.h"

#define TAKES_MOST	12			/* things of a schema that are named */

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
			sd_form_fails(form, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot drop %s %s because other objects depend on it",
						  thing->kind == RELKIND_VIEW ? "view" : thing->kind == RELKIND_SEQUENCE ? "sequence" :
						  thing->kind == RELKIND_MATVIEW ? "materialized view" : "table", thing->name);
	}
	if (doubtful)
		sd_form_unsure(form, "a view that the script replaced may read %s still", thing->shown);
	if (!cascade)
		form->takes = NIL;
}

/* What is to be done before, each of it in a transaction of its own, so that the tables at the other end are not held along with all the rest. */
static void
do_before(SdForm *form, const char *text, const char *remark)
{
	SdInstead  *instead = palloc0(sizeof(SdInstead));

	instead->text = pstrdup(text);
	instead->remark = remark ? pstrdup(remark) : NULL;
	form->before = lappend(form->before, instead);
}

static void
drop_key_before(SdForm *form, const SdThing *table, const SdForeignKey *key)
{
	/* that of a partition goes with its parent's, or becomes its own when it is detached */
	if (!OidIsValid(key->parent))
		do_before(form, psprintf("ALTER TABLE %s DROP CONSTRAINT %s", table->shown, sd_quoted(key->name)), NULL);
}

static void
drop_table(SdForm *form, DropStmt *stmt, SdThing *table)
{
	Oid			parent = sd_follow_is_changed(form->world, RelationRelationId, table->oid) ? InvalidOid : sd_fact_partition_parent(table->oid);
	SdMatch    *match = NULL;
	ListCell   *cell;

	if (OidIsValid(parent) || table->parent)
	{
		SdThing    *above = table->parent ? table->parent : sd_world_of(form->world, parent);
		SdThing    *other = sd_form_default_of(form, above);

		match = sd_form_match_table(form, "B18", table, true);
		sd_match_cast(match, SD_ROLE_PARENT, above);
		sd_match_cast(match, SD_ROLE_TABLE, other);
		if (OidIsValid(parent))
			do_before(form, psprintf("ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY", sd_world_of(form->world, parent)->shown, table->shown),
					  other ? "by itself, or in schemadrift.apply_online(); not while it has a default partition" : "by itself, or in schemadrift.apply_online()");
	}
	foreach(cell, sd_follow_foreign_keys(form->world, table))
	{
		SdForeignKey *key = lfirst(cell);
		SdThing    *other = sd_world_of(form->world, key->to);

		if (other == NULL || other == table || other->gone)
			continue;
		match = sd_form_match_table(form, "B16", table, true);
		sd_match_cast_whole(form, match, SD_ROLE_REFERENCED, other);
		drop_key_before(form, table, key);
	}
	foreach(cell, sd_follow_referencing(form->world, table))
	{
		SdForeignKey *key = lfirst(cell);
		SdThing    *other = sd_world_of(form->world, key->from);

		if (other == NULL || other == table || other->gone || is_going(form, other))
			continue;
		match = sd_form_match_table(form, "B17", table, true);
		sd_match_cast(match, SD_ROLE_REFERENCING, other);
		drop_key_before(form, other, key);
	}
	if (match == NULL)
		match = sd_form_match_table(form, "B15", table, true);
	drop_dependents(form, stmt, table, match);
}

/* Foreign keys and partitions first, of all tables that the statement names, then the statement. */
static void
advise_tables(SdForm *form)
{
	ListCell   *cell;
	ListCell   *inner;

	if (form->before == NIL)
		return;
	foreach(cell, form->matches)
	{
		SdMatch    *match = lfirst(cell);

		if (strcmp(match->rule, "B16") != 0 && strcmp(match->rule, "B17") != 0 && strcmp(match->rule, "B18") != 0)
			continue;
		sd_match_safer(match, "-- each in a transaction of its own:");
		foreach(inner, form->before)
			match->safer = lappend(match->safer, lfirst(inner));
		sd_match_safer(match, "%s", form->text);
	}
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
	{
		sd_match_safer(match, "DROP INDEX CONCURRENTLY %s", index->shown);
		sd_match_remark(match, "by itself, or in schemadrift.apply_online()");
	}
	if (OidIsValid(index->oid) && index->oid == sd_fact_replica_index(table->oid))
		sd_form_match_table(form, "F12", table, false);
	if (OidIsValid(index->oid) && OidIsValid(get_index_constraint(index->oid)))
		sd_form_fails(form, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot drop index %s because constraint %s on table %s requires it", index->name,
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

/* Types, functions and sequences of the catalog that are in it by now; of ObjectAddress. */
static List *
others_in_schema(SdForm *form, const char *name)
{
	List	   *others = list_concat(sd_types_in_schema(form, name), sd_routines_in_schema(form, name));
	ListCell   *cell;

	foreach(cell, sd_world_sequences_in_schema(form->world, name))
	{
		ObjectAddress *object;

		if (((SdThing *) lfirst(cell))->made)
			continue;
		object = palloc(sizeof(ObjectAddress));
		ObjectAddressSet(*object, RelationRelationId, ((SdThing *) lfirst(cell))->oid);
		others = lappend(others, object);
	}
	return others;
}

/* Is there anything else in it, of kinds that are not followed?  That goes with CASCADE, and what depends on it. */
static bool
has_more(SdForm *form, const char *name)
{
	Oid			schema = sd_world_schema_oid(form->world, name);
	ListCell   *cell;

	foreach(cell, OidIsValid(schema) ? sd_follow_dependents(form->world, NamespaceRelationId, schema, 0) : NIL)
	{
		const SdDependent *dependent = lfirst(cell);

		if (dependent->type == DEPENDENCY_NORMAL && dependent->object.classId != RelationRelationId &&
			dependent->object.classId != TypeRelationId && dependent->object.classId != ProcedureRelationId)
			return true;
	}
	return false;
}

/* Columns of a type, and what calls a function or a sequence, in tables of other schemas. */
static void
take_other(SdForm *form, SdMatch *match, List *things, const ObjectAddress *other)
{
	bool		type = other->classId == TypeRelationId;
	List	   *users = type ? sd_fact_type_users(other->objectId) : NIL;
	ListCell   *cell;

	if (other->classId == RelationRelationId)
		sd_match_cast_new(match, SD_ROLE_SEQUENCE, sd_world_of(form->world, other->objectId));

	foreach(cell, type ? sd_form_typed_tables(form, other->objectId) : NIL)
	{
		SdThing    *table = lfirst(cell);

		if (list_member_ptr(things, table))
			continue;
		sd_match_cast(match, SD_ROLE_TABLE, table);
		takes(form, "table", table);
	}
	foreach(cell, type ? NIL : sd_follow_dependents(form->world, other->classId, other->objectId, 0))
		users = list_append_unique_oid(users, sd_fact_owner_of(&((SdDependent *) lfirst(cell))->object));
	foreach(cell, users)
	{
		SdThing    *table = OidIsValid(lfirst_oid(cell)) ? sd_world_of(form->world, lfirst_oid(cell)) : NULL;

		if (table == NULL || table->gone || table->oid == other->objectId || list_member_ptr(things, table))
			continue;
		sd_match_cast(match, table->kind == RELKIND_VIEW ? SD_ROLE_VIEW : SD_ROLE_TABLE, table);
		if (list_length(form->takes) < TAKES_MOST)
			takes(form, type ? "columns of" : "something of", table);
	}
}

static void
drop_schema(SdForm *form, DropStmt *stmt, const char *name)
{
	SdMatch    *match;
	List	   *things;
	List	   *others;
	ListCell   *cell;

	sd_form_object(form, sd_quoted(name));
	if (!sd_world_has_schema(form->world, name))
	{
		if (!stmt->missing_ok)
			sd_form_fails(form, ERRCODE_UNDEFINED_SCHEMA, "schema \"%s\" does not exist", name);
		else
			sd_form_match(form, "B20")->harmless = true;
		return;
	}
	if (!sd_world_made_schema(form->world, name) && IsPinnedObject(NamespaceRelationId, sd_world_schema_oid(form->world, name)))
	{
		sd_form_fails(form, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot drop schema %s because it is required by the database system", name);
		return;
	}
	things = sd_world_in_schema(form->world, name);
	match = sd_form_match(form, "B19");
	match->harmless = sd_world_made_schema(form->world, name);
	others = match->harmless ? NIL : others_in_schema(form, name);
	if (things == NIL && others == NIL && !has_more(form, name))
	{
		match->lossless = true;
		match->backward = SD_ANSWER_YES;
	}
	else if (stmt->behavior != DROP_CASCADE && things == NIL && others == NIL)
		sd_form_unsure(form, "there are objects in schema %s that are not followed", sd_quoted(name));
	if (stmt->behavior != DROP_CASCADE && (things != NIL || others != NIL))
		sd_form_fails(form, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot drop schema %s because other objects depend on it", name);
	foreach(cell, things)
	{
		SdThing    *thing = lfirst(cell);

		sd_match_cast_new(match, thing->kind == RELKIND_VIEW ? SD_ROLE_VIEW : SD_ROLE_TABLE, thing);
		if (list_length(form->takes) < 6 && !match->harmless)
			takes(form, thing->kind == RELKIND_VIEW ? "view" : "table", thing);
	}
	if (list_length(things) > 6 && !match->harmless)
		form->takes = lappend(form->takes, psprintf("%d more", list_length(things) - 6));
	foreach(cell, others)
		take_other(form, match, things, lfirst(cell));
	if (!match->harmless)
		sd_follow_drop(form->world, NamespaceRelationId, sd_world_schema_oid(form->world, name), 0);
	sd_world_drop_schema(form->world, name);
	sd_type_move_schema(form, name, NULL);
	sd_routine_move_schema(form, name, NULL);
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
	sd_type_drop(form, name->names);
	if (!OidIsValid(type))
	{
		/* a column of before may have been converted to it */
		if (made)
			sd_form_match(form, domain ? "I14" : "I6")->harmless = stmt->behavior != DROP_CASCADE;
		else if (stmt->missing_ok)
			sd_form_match(form, "B20")->harmless = true;
		else
			sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "type \"%s\" does not exist", TypeNameToString(name));
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
			sd_form_fails(form, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot drop type %s because other objects depend on it", TypeNameToString(name));
	}
	foreach(cell, sd_form_typed_tables(form, type))
	{
		if (is_going(form, lfirst(cell)))
			continue;
		used = true;
		sd_match_cast(match, SD_ROLE_TABLE, lfirst(cell));
		takes(form, "table", lfirst(cell));
		if (stmt->behavior != DROP_CASCADE)
			sd_form_fails(form, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot drop type %s because other objects depend on it", TypeNameToString(name));
	}
	if (!used)
		match->lossless = true;
}

/* One of the catalog that this very statement drops. */
static Oid
going_function(SdForm *form, ObjectType type, ObjectWithArgs *function)
{
	Oid			oid = sd_routine_in_catalog(form, type, function);

	return OidIsValid(oid) && sd_world_fate(form->world, ProcedureRelationId, oid, 0) == SD_FATE_GOING ? oid : InvalidOid;
}

/* What the script made that uses it: whether that is still so is not followed. */
static void
look_at_users(SdForm *form, DropStmt *stmt, SdMatch *match, const SdRoutine *routine, Oid oid)
{
	ListCell   *cell;

	foreach(cell, sd_routine_users(form, routine, oid))
	{
		SdThing    *table = lfirst(cell);

		if (stmt->behavior == DROP_CASCADE)
			sd_match_cast(match, SD_ROLE_TABLE, table);
		else
			sd_form_unsure(form, "the script itself made something of %s that calls function %s", table->shown,
						   routine ? routine->name : get_func_name(oid));
	}
}

static void
drop_function(SdForm *form, DropStmt *stmt, ObjectWithArgs *function)
{
	SdMatch    *match;
	SdRoutine  *routine;
	Oid			oid = sd_routine_resolve(form, stmt->removeType, function, &routine);
	const char *name = NameListToString(function->objname);
	ListCell   *cell;

	sd_form_object(form, name);
	/* what the statement names has been doomed */
	if (!OidIsValid(oid) && routine == NULL)
		oid = going_function(form, stmt->removeType, function);
	if (!OidIsValid(oid) && routine == NULL)
	{
		if (stmt->missing_ok)
			sd_form_match(form, "B20")->harmless = true;
		else
			sd_form_fails(form, ERRCODE_UNDEFINED_FUNCTION, "function %s does not exist", name);
		return;
	}
	match = sd_form_match(form, "J11");
	look_at_users(form, stmt, match, routine, oid);
	if (routine)
	{
		routine->gone = true;
		oid = routine->oid;
	}
	if (!OidIsValid(oid))
	{
		match->harmless = true;
		return;
	}
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
			sd_form_fails(form, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot drop function %s because other objects depend on it", name);
	}
}

static void
drop_statistics(SdForm *form, List *names)
{
	SdMatch    *match = sd_form_match(form, "J24");
	Oid			statistics = get_statistics_object_oid(names, true);
	HeapTuple	tuple = OidIsValid(statistics) ? SearchSysCache1(STATEXTOID, ObjectIdGetDatum(statistics)) : NULL;

	sd_form_object(form, NameListToString(names));
	if (!HeapTupleIsValid(tuple))
		return;
	sd_match_cast(match, SD_ROLE_TABLE, sd_world_of(form->world, ((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxrelid));
	ReleaseSysCache(tuple);
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
		case OBJECT_AGGREGATE:
			{
				SdRoutine  *routine;
				Oid			oid = sd_routine_resolve(form, stmt->removeType, castNode(ObjectWithArgs, object), &routine);

				sd_follow_drop(form->world, ProcedureRelationId, routine ? routine->oid : oid, 0);
			}
			break;
		case OBJECT_EXTENSION:
			sd_follow_drop(form->world, ExtensionRelationId, get_extension_oid(strVal(object), true), 0);
			break;
		default:
			break;
	}
}

/* What loses something, but stays. */
static void
cast_loser(SdForm *form, SdMatch *match, const ObjectAddress *lost)
{
	Oid			owner = sd_fact_owner_of(lost);
	SdThing    *table = OidIsValid(owner) ? sd_world_of(form->world, owner) : NULL;
	ListCell   *cell;

	if (table == NULL || table->gone || is_going(form, table))
		return;
	foreach(cell, match->casts)
	{
		if (((SdCast *) lfirst(cell))->thing == table)
			return;
	}
	sd_match_cast_new(match, SD_ROLE_REFERENCING, table);
}

/* Sequences that a table owns; with CASCADE views of views, and tables whose policies or keys name what goes. */
static void
cast_what_goes(SdForm *form, bool cascade)
{
	SdMatch    *match = form->matches ? linitial(form->matches) : NULL;
	ListCell   *cell;

	foreach(cell, match ? sd_world_going(form->world) : NIL)
	{
		const ObjectAddress *object = lfirst(cell);
		char		kind = object->classId == RelationRelationId && object->objectSubId == 0 ? get_rel_relkind(object->objectId) : '\0';
		SdThing    *thing;

		CHECK_FOR_INTERRUPTS();
		if (cascade && (object->classId == PolicyRelationId || object->classId == ConstraintRelationId))
			cast_loser(form, match, object);
		if (kind != RELKIND_SEQUENCE && kind != RELKIND_VIEW && kind != RELKIND_MATVIEW)
			continue;
		thing = sd_world_of(form->world, object->objectId);
		if (thing && !thing->gone)
			sd_match_cast_new(match, kind == RELKIND_SEQUENCE ? SD_ROLE_SEQUENCE : kind == RELKIND_VIEW ? SD_ROLE_VIEW : SD_ROLE_MATVIEW, thing);
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
	if (stmt->behavior == DROP_CASCADE)
		sd_follow_cascade(form->world);
	cast_what_goes(form, stmt->behavior == DROP_CASCADE);
	advise_tables(form);
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
			case OBJECT_RULE:
			case OBJECT_POLICY:
				sd_form_drop_attached(form, stmt, castNode(List, object));
				break;
			case OBJECT_TYPE:
			case OBJECT_DOMAIN:
				drop_type(form, stmt, castNode(TypeName, object));
				break;
			case OBJECT_FUNCTION:
			case OBJECT_PROCEDURE:
			case OBJECT_ROUTINE:
			case OBJECT_AGGREGATE:
				drop_function(form, stmt, castNode(ObjectWithArgs, object));
				break;
			case OBJECT_STATISTIC_EXT:
				drop_statistics(form, castNode(List, object));
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
