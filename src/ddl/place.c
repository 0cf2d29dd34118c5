/*
 * place.c: where an object that a statement touched lives; see place.h.
 *
 * Runs in a backend, in the object access hook and after a statement; reads the catalogs through their caches and
 * pg_depend, takes no lock on any user's object.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl/place.h"

static SdPlace
place_by_namespace(Oid namespace)
{
	if (!OidIsValid(namespace))
		return SD_PLACE_UNKNOWN;
	return isTempOrTempToastNamespace(namespace) ? SD_PLACE_TEMPORARY : SD_PLACE_ORDINARY;
}

SdPlace
sd_place_of(Oid class_id, Oid object_id)
{
	HeapTuple	tuple;
	Oid			namespace = InvalidOid;

	switch (class_id)
	{
		case RelationRelationId:
			return place_by_namespace(get_rel_namespace(object_id));
		case ProcedureRelationId:
			return place_by_namespace(get_func_namespace(object_id));
		case TypeRelationId:
			tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(object_id));
			if (HeapTupleIsValid(tuple))
			{
				namespace = ((Form_pg_type) GETSTRUCT(tuple))->typnamespace;
				ReleaseSysCache(tuple);
			}
			return place_by_namespace(namespace);
		case NamespaceRelationId:
			if (get_namespace_name(object_id) == NULL)
				return SD_PLACE_UNKNOWN;
			/* a session's temporary schema is made on first use */
			return isAnyTempNamespace(object_id) ? SD_PLACE_TEMPORARY : SD_PLACE_ORDINARY;
		case ConstraintRelationId:
		case AttrDefaultRelationId:
		case TriggerRelationId:
		case RewriteRelationId:
		case PolicyRelationId:
			return SD_PLACE_WITH_TABLE;
		case StatisticExtRelationId:
			tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(object_id));
			if (HeapTupleIsValid(tuple))
			{
				namespace = ((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxnamespace;
				ReleaseSysCache(tuple);
			}
			/* what PostgreSQL puts into pg_temp may be of a permanent table */
			return place_by_namespace(namespace) == SD_PLACE_TEMPORARY ? SD_PLACE_TEMPORARY : SD_PLACE_WITH_TABLE;
		default:
			return SD_PLACE_OTHER;
	}
}

/*
 * A domain over a temporary table's row type, a default from a temporary sequence, a trigger that calls a function of
 * pg_temp: PostgreSQL makes them where they are told to be, and drops them with this session.  The other regions could
 * not make them, and nobody would tell them of the end.
 *
 * What is part of a temporary table (DEPENDENCY_AUTO, INTERNAL) is temporary itself: a constraint that a temporary child
 * inherits from its permanent parent.
 */
bool
sd_place_leans_on_temporary(ObjectAddress *object, ObjectAddress *on)
{
	Relation	catalog;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		leans = false;
	bool		is_part = false;

	/* the hook announces a default by its table's OID and its column's number */
	if (object->classId == AttrDefaultRelationId && object->objectSubId != 0)
		ObjectAddressSet(*object, AttrDefaultRelationId, GetAttrDefaultOid(object->objectId, object->objectSubId));
	if (sd_place_of(object->classId, object->objectId) == SD_PLACE_TEMPORARY)
		return false;
	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object->classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object->objectId));
	scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);

		if (sd_place_of(depend->refclassid, depend->refobjid) != SD_PLACE_TEMPORARY)
			continue;
		if (depend->deptype != DEPENDENCY_NORMAL)
			is_part = true;
		else if (!leans)
		{
			ObjectAddressSet(*on, depend->refclassid, depend->refobjid);
			leans = true;
		}
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return leans && !is_part;
}
