/*
 * touched.c: the set of catalog objects that a transaction's DDL touched; see touched.h.
 *
 * Backend and applier.  The object access hook runs in the middle of commands, often before the change is visible: so objects
 * are only noted here and looked at in sd_digest_update().  Except at a drop, which is announced while the object
 * still exists: what will have to be known of it is read then.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
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

/* The operator family that a row of pg_amop or pg_amproc belongs to, or nothing. */
Oid
sd_family_of(Oid classid, Oid objid)
{
	Relation	catalog;
	AttrNumber	oid_column;
	HeapTuple	tuple;
	Oid			family = InvalidOid;

	if (classid == AccessMethodOperatorRelationId)
		oid_column = Anum_pg_amop_oid;
	else if (classid == AccessMethodProcedureRelationId)
		oid_column = Anum_pg_amproc_oid;
	else
		return InvalidOid;
	catalog = table_open(classid, AccessShareLock);
	tuple = get_catalog_object_by_oid(catalog, oid_column, objid);
	if (HeapTupleIsValid(tuple))
		family = classid == AccessMethodOperatorRelationId ? ((Form_pg_amop) GETSTRUCT(tuple))->amopfamily :
			((Form_pg_amproc) GETSTRUCT(tuple))->amprocfamily;
	table_close(catalog, AccessShareLock);
	return family;
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

/* Links need not lead both ways: where the other one was made first, its own may be missing. */
static void
note_linked_operators(SdTouched *set, Oid dropped)
{
	Relation	catalog = table_open(OperatorRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_operator operator = (Form_pg_operator) GETSTRUCT(tuple);

		if (operator->oid != dropped && (operator->oprcom == dropped || operator->oprnegate == dropped))
			(void) note(set, OperatorRelationId, operator->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/*
 * A member of an operator family is the family's; and an operator is taken out of the definitions of its commutator and negator,
 * without a word.  True: there is nothing else to note.
 */
static bool
note_drop_of_operator(SdTouched *set, Oid classid, Oid objid)
{
	Oid			family = sd_family_of(classid, objid);

	if (OidIsValid(family))
	{
		(void) note(set, OperatorFamilyRelationId, family);
		return true;
	}
	if (classid == OperatorRelationId)
		note_linked_operators(set, objid);
	return false;
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
	if (note_drop_of_operator(set, classid, objid))
		return;
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
