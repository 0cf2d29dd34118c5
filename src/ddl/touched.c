/*
 * touched.c: the set of catalog objects that a transaction's DDL touched; see touched.h.
 *
 * Backend and applier.  The object access hook runs in the middle of commands, often before the change is visible: so objects
 * are only noted here and looked at in sd_digest_update().  Except at a drop, which is announced while the object
 * still exists: what will have to be known of it is read then.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "ddl/touched.h"
#include "ddl/touched_set.h"

/* The table in which a constraint makes a column NOT NULL, or the domain that it makes so; or nothing. */
ObjectAddress
sd_not_null_of(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	ObjectAddress of = InvalidObjectAddress;

	if (!HeapTupleIsValid(tuple))
		return of;
	if (((Form_pg_constraint) GETSTRUCT(tuple))->contype == SD_COMPAT_CONSTRAINT_NOTNULL)
	{
		Oid			relation = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid;

		if (OidIsValid(relation))
			ObjectAddressSet(of, RelationRelationId, relation);
		else
			ObjectAddressSet(of, TypeRelationId, ((Form_pg_constraint) GETSTRUCT(tuple))->contypid);
	}
	ReleaseSysCache(tuple);
	return of;
}

SdTouched *
sd_touched_create(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "schemadrift touched objects", ALLOCSET_SMALL_SIZES);
	SdTouched  *set = MemoryContextAllocZero(context, sizeof(SdTouched));
	HASHCTL		control = {.keysize = sizeof(SdTouchedKey), .entrysize = sizeof(SdTouchedObject), .hcxt = context};

	set->context = context;
	set->objects = hash_create("schemadrift touched objects", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return set;
}

void
sd_touched_free(SdTouched *set)
{
	MemoryContextDelete(set->context);
}

static SdTouchedObject *
note(SdTouched *set, Oid classid, Oid objid)
{
	SdTouchedKey key = {classid, objid};
	bool		found;
	SdTouchedObject *object;

	object = hash_search(set->objects, &key, HASH_ENTER, &found);
	if (!found)
		object->created = object->dropped = object->was_index = false;
	return object;
}

void
sd_touched_add(SdTouched *set, Oid classid, Oid objid)
{
	(void) note(set, classid, objid);
}

void
sd_touched_everything(SdTouched *set)
{
	set->everything = true;
}

bool
sd_touched_is_empty(const SdTouched *set)
{
	return !set->everything && hash_get_num_entries(set->objects) == 0;
}

static void
note_drop(SdTouched *set, Oid classid, Oid objid, int subid)
{
	SdTouchedObject *object;

	if (classid == AttrDefaultRelationId)
	{
		/* a default is its table's; afterwards nobody knows which */
		ObjectAddress column = GetAttrDefaultColumnAddress(objid);

		if (OidIsValid(column.objectId))
			(void) note(set, RelationRelationId, column.objectId);
		return;
	}
	if (classid == ConstraintRelationId)
	{
		/* the same with NOT NULL, where that is a constraint */
		ObjectAddress of = sd_not_null_of(objid);

		if (OidIsValid(of.objectId))
			(void) note(set, of.classId, of.objectId);
	}
	if (subid != 0)
	{
		(void) note(set, classid, objid);
		return;
	}
	object = note(set, classid, objid);
	object->dropped = true;
	if (classid == RelationRelationId)
	{
		char		relkind = get_rel_relkind(objid);

		object->was_index = (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX) &&
			!isAnyTempNamespace(get_rel_namespace(objid)) && get_rel_namespace(objid) != PG_TOAST_NAMESPACE;
	}
}

void
sd_touched_object_access(SdTouched *set, ObjectAccessType access, Oid classid, Oid objid, int subid, void *arg)
{
	(void) arg;
	switch (access)
	{
		case OAT_POST_CREATE:
			/* a default is announced by its table's OID and its column's number */
			if (classid == AttrDefaultRelationId)
				(void) note(set, RelationRelationId, objid);
			else if (subid == 0)
				note(set, classid, objid)->created = true;
			else
				(void) note(set, classid, objid);
			break;
		case OAT_POST_ALTER:
			/* an extension's update or changed membership may add and take away anything */
			if (classid == ExtensionRelationId)
				set->everything = true;
			/* these two rows are announced by the relation's OID, not by their own */
			if (classid == InheritsRelationId || classid == IndexRelationId)
				classid = RelationRelationId;
			(void) note(set, classid, objid);
			break;
		case OAT_DROP:
			note_drop(set, classid, objid, subid);
			break;
		default:
			break;
	}
}

/* Without a lock, and without an error if there is none: then the statement will say so itself. */
static void
note_range(SdTouched *set, const RangeVar *range)
{
	Oid			relation;

	if (range == NULL)
		return;
	relation = RangeVarGetRelidExtended(range, NoLock, RVR_MISSING_OK, NULL, NULL);
	if (OidIsValid(relation))
		(void) note(set, RelationRelationId, relation);
}

void
sd_touched_statement(SdTouched *set, Node *parsetree)
{
	ListCell   *cell;

	switch (nodeTag(parsetree))
	{
		case T_AlterTableStmt:
			note_range(set, ((AlterTableStmt *) parsetree)->relation);
			foreach(cell, ((AlterTableStmt *) parsetree)->cmds)
			{
				AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

				/* ATTACH and DETACH PARTITION: the other table or index */
				if (command->def && IsA(command->def, PartitionCmd))
					note_range(set, ((PartitionCmd *) command->def)->name);
			}
			break;
		case T_IndexStmt:
			note_range(set, ((IndexStmt *) parsetree)->relation);
			break;
		case T_AlterExtensionContentsStmt:
			set->everything = true;
			break;
		default:
			break;
	}
}
