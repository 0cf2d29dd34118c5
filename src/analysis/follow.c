/*
 * follow.c: the live catalogs without what the script dropped before; see follow.h.
 *
 * Runs in a backend; reads catalogs by their indexes, takes no lock on anybody's object.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/index.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_rewrite.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "analysis/follow.h"

bool
sd_follow_is_gone(SdWorld *world, Oid class_id, Oid object)
{
	return sd_world_fate(world, class_id, object, 0) == SD_FATE_GONE;
}

bool
sd_follow_is_changed(SdWorld *world, Oid class_id, Oid object)
{
	return sd_world_fate(world, class_id, object, 0) == SD_FATE_CHANGED;
}

void
sd_follow_change(SdWorld *world, Oid class_id, Oid object)
{
	if (OidIsValid(object) && sd_world_fate(world, class_id, object, 0) == SD_FATE_NONE)
		sd_world_mark(world, class_id, object, 0, SD_FATE_CHANGED);
}

/* Does the new text of a view that the script replaced name the relation, and the column? */
static bool
may_read(SdWorld *world, Oid view, Oid relation, AttrNumber column)
{
	SdThing    *thing = sd_world_of(world, view);
	char	   *name = column > 0 ? get_attname(relation, column, true) : NULL;
	ListCell   *cell;

	if (thing == NULL || !list_member_ptr(thing->sources, sd_world_of(world, relation)))
		return false;
	if (name == NULL)
		return true;
	foreach(cell, thing->words)
	{
		if (strcmp(lfirst(cell), "*") == 0 || strcmp(lfirst(cell), name) == 0)
			return true;
	}
	return false;
}

/* ---- what goes ---- */

static bool
is_of_detached(SdWorld *world, Oid relation)
{
	char		kind = get_rel_relkind(relation);
	Oid			table = kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX ? IndexGetRelation(relation, true) : InvalidOid;

	return OidIsValid(table) && sd_follow_is_changed(world, RelationRelationId, table);
}

/* Does it go with the object that it depends on?  A partition that was detached, a sequence with another owner do not. */
static bool
goes_along(SdWorld *world, const SdDependent *dependent, bool cascade)
{
	bool		relation = dependent->object.classId == RelationRelationId && dependent->object.objectSubId == 0;

	switch (dependent->type)
	{
		case DEPENDENCY_AUTO:
			return !relation || !sd_follow_is_changed(world, RelationRelationId, dependent->object.objectId);
		case DEPENDENCY_INTERNAL:
		case DEPENDENCY_EXTENSION:
			return true;
		case DEPENDENCY_PARTITION_PRI:
		case DEPENDENCY_PARTITION_SEC:
			return !relation || !is_of_detached(world, dependent->object.objectId);
		default:
			return cascade;
	}
}

static void doom(SdWorld *world, Oid class_id, Oid object, AttrNumber column, bool cascade);

static void
doom_dependents(SdWorld *world, Oid class_id, Oid object, AttrNumber column, bool cascade)
{
	ListCell   *cell;

	CHECK_FOR_INTERRUPTS();
	foreach(cell, sd_fact_dependents(class_id, object, column))
	{
		SdDependent *dependent = lfirst(cell);
		Oid			owner;

		if (!goes_along(world, dependent, cascade))
			continue;
		doom(world, dependent->object.classId, dependent->object.objectId, dependent->object.objectSubId, cascade);
		/* a view goes with its rule */
		if (dependent->object.classId == RewriteRelationId && dependent->type == DEPENDENCY_NORMAL)
		{
			owner = sd_fact_owner_of(&dependent->object);
			if (OidIsValid(owner) && (get_rel_relkind(owner) == RELKIND_VIEW || get_rel_relkind(owner) == RELKIND_MATVIEW))
				doom(world, RelationRelationId, owner, 0, cascade);
		}
	}
}

static void
doom(SdWorld *world, Oid class_id, Oid object, AttrNumber column, bool cascade)
{
	check_stack_depth();
	if (sd_world_fate(world, class_id, object, column) >= SD_FATE_GOING)
		return;
	sd_world_mark(world, class_id, object, column, SD_FATE_GOING);
	doom_dependents(world, class_id, object, column, cascade);
}

void
sd_follow_drop(SdWorld *world, Oid class_id, Oid object, AttrNumber column)
{
	if (OidIsValid(object))
		doom(world, class_id, object, column, false);
}

static void
bury(SdWorld *world, const ObjectAddress *object)
{
	SdThing    *thing;

	sd_world_mark(world, object->classId, object->objectId, object->objectSubId, SD_FATE_GONE);
	if (object->classId != RelationRelationId)
		return;
	/* one that is asked for later is found to be gone then */
	thing = object->objectSubId > 0 ? sd_world_of(world, object->objectId) : sd_world_known(world, object->objectId);
	if (thing == NULL || thing->gone)
		return;
	if (object->objectSubId > 0)
		sd_thing_lose_column(thing, object->objectSubId);
	else
		sd_world_drop(world, thing);
}

void
sd_follow_cascade(SdWorld *world)
{
	ListCell   *cell;

	foreach(cell, sd_world_going(world))
	{
		ObjectAddress *object = lfirst(cell);

		doom_dependents(world, object->classId, object->objectId, object->objectSubId, true);
	}
}

void
sd_follow_done(SdWorld *world, bool cascade)
{
	ListCell   *cell;

	if (cascade)
	{
		sd_follow_cascade(world);
		sd_world_cascade(world);
	}
	foreach(cell, sd_world_going(world))
		bury(world, lfirst(cell));
	sd_world_gone(world);
}

/* ---- the facts that are left ---- */

List *
sd_follow_indexes(SdWorld *world, const SdThing *table)
{
	List	   *left = NIL;
	ListCell   *cell;

	foreach(cell, sd_fact_indexes(table->oid))
	{
		if (!sd_follow_is_gone(world, RelationRelationId, ((SdIndex *) lfirst(cell))->oid))
			left = lappend(left, lfirst(cell));
	}
	return left;
}

List *
sd_follow_constraints(SdWorld *world, const SdThing *table)
{
	List	   *left = NIL;
	ListCell   *cell;

	foreach(cell, sd_fact_constraints(table->oid))
	{
		if (!sd_follow_is_gone(world, ConstraintRelationId, ((SdTableConstraint *) lfirst(cell))->oid))
			left = lappend(left, lfirst(cell));
	}
	return left;
}

SdTableConstraint *
sd_follow_constraint(SdWorld *world, const SdThing *table, const char *name)
{
	SdConstraint *changed = sd_thing_constraint(table, name);
	Oid			renamed = changed && !changed->gone ? changed->object : InvalidOid;
	ListCell   *cell;

	foreach(cell, sd_follow_constraints(world, table))
	{
		SdTableConstraint *constraint = lfirst(cell);

		if (OidIsValid(renamed) ? constraint->oid == renamed :
			strcmp(constraint->name, name) == 0 && !sd_follow_is_changed(world, ConstraintRelationId, constraint->oid))
			return constraint;
	}
	return NULL;
}

static List *
keys_left(SdWorld *world, List *keys)
{
	List	   *left = NIL;
	ListCell   *cell;

	foreach(cell, keys)
	{
		if (!sd_follow_is_gone(world, ConstraintRelationId, ((SdForeignKey *) lfirst(cell))->constraint))
			left = lappend(left, lfirst(cell));
	}
	return left;
}

List *
sd_follow_foreign_keys(SdWorld *world, const SdThing *table)
{
	return keys_left(world, sd_fact_foreign_keys(table->oid));
}

List *
sd_follow_referencing(SdWorld *world, const SdThing *table)
{
	return keys_left(world, sd_fact_referencing(table->oid));
}

List *
sd_follow_dependents(SdWorld *world, Oid class_id, Oid object, AttrNumber column)
{
	List	   *left = NIL;
	ListCell   *cell;

	foreach(cell, sd_fact_dependents(class_id, object, column))
	{
		SdDependent *dependent = lfirst(cell);
		SdFate		fate = sd_world_fate(world, dependent->object.classId, dependent->object.objectId,
										 dependent->object.objectSubId);

		if (fate >= SD_FATE_GOING)
			continue;
		if (fate == SD_FATE_CHANGED && dependent->object.classId == RewriteRelationId)
		{
			if (class_id != RelationRelationId ||
				!may_read(world, sd_fact_owner_of(&dependent->object), object, dependent->column))
				continue;
			dependent->doubtful = true;
		}
		left = lappend(left, dependent);
	}
	return left;
}

/* ---- columns ---- */

void
sd_follow_default(SdWorld *world, const SdThing *table, const SdColumn *column)
{
	Oid			value = OidIsValid(table->oid) && column->number > 0 ? sd_fact_default(table->oid, column->number) : InvalidOid;

	if (OidIsValid(value))
		sd_world_mark(world, AttrDefaultRelationId, value, 0, SD_FATE_GONE);
}

bool
sd_follow_uses_type(SdThing *table, Oid type)
{
	bool		direct = false;

	for (AttrNumber number = 1;; number++)
	{
		HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(table->oid), Int16GetDatum(number));
		Oid			has;
		bool		dropped;
		const SdColumn *column;

		if (!HeapTupleIsValid(tuple))
			break;
		has = ((Form_pg_attribute) GETSTRUCT(tuple))->atttypid;
		dropped = ((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped;
		ReleaseSysCache(tuple);
		if (dropped || (has != type && get_element_type(has) != type && getBaseType(has) != type))
			continue;
		direct = true;
		column = sd_thing_numbered(table, number);
		if (column == NULL || (!column->gone && !column->altered))
			return true;
	}
	/* by way of a composite type or a domain over an array, which is not followed */
	return !direct;
}
