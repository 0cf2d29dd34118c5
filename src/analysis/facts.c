/*
 * facts.c: questions to the live catalogs; see facts.h.
 *
 * Runs in a backend.  Scans catalogs by their indexes, so that a question costs the same in a large database.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "texts.h"

Relation
sd_fact_open(Oid oid)
{
	Relation	relation;

	if (!OidIsValid(oid) || !ConditionalLockRelationOid(oid, AccessShareLock))
		return NULL;
	relation = try_relation_open(oid, NoLock);
	if (relation == NULL)
		UnlockRelationOid(oid, AccessShareLock);
	return relation;
}

/* ---- sizes ---- */

static int64
bytes_by_catalog(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	int64		bytes = 0;

	if (HeapTupleIsValid(tuple))
	{
		bytes = (int64) ((Form_pg_class) GETSTRUCT(tuple))->relpages * BLCKSZ;
		ReleaseSysCache(tuple);
	}
	return bytes;
}

static int64
bytes_of_one(Oid oid)
{
	Relation	relation = sd_fact_open(oid);
	Oid			toast = InvalidOid;
	int64		bytes;

	/* whoever holds it exclusively may do so for long: the planner's figure is good enough then */
	if (relation == NULL)
		return bytes_by_catalog(oid);
	bytes = RELKIND_HAS_STORAGE(relation->rd_rel->relkind) ? (int64) RelationGetNumberOfBlocks(relation) * BLCKSZ : 0;
	toast = relation->rd_rel->reltoastrelid;
	relation_close(relation, AccessShareLock);
	return bytes + (OidIsValid(toast) ? bytes_of_one(toast) : 0);
}

int64
sd_fact_bytes_of_all(List *relations)
{
	int64		bytes = 0;
	ListCell   *cell;

	foreach(cell, relations)
		bytes += bytes_of_one(lfirst_oid(cell));
	return bytes;
}

int64
sd_fact_bytes(Oid relation)
{
	return bytes_of_one(relation) + sd_fact_bytes_of_all(sd_fact_descendants(relation));
}

/* ---- indexes ---- */

static Bitmapset *
columns_of(Datum value)
{
	Bitmapset  *offset = NULL;
	Bitmapset  *columns = NULL;
	int			member = -1;

	pull_varattnos(stringToNode(TextDatumGetCString(value)), 1, &offset);
	while ((member = bms_next_member(offset, member)) >= 0)
	{
		if (member + FirstLowInvalidHeapAttributeNumber > 0)
			columns = bms_add_member(columns, member + FirstLowInvalidHeapAttributeNumber);
	}
	return columns;
}

static Bitmapset *
columns_in(Relation catalog, HeapTuple tuple, int attribute)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attribute, RelationGetDescr(catalog), &isnull);

	return isnull ? NULL : columns_of(value);
}

List *
sd_fact_indexes(Oid table)
{
	Relation	catalog;
	List	   *indexes = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(table))
		return NIL;
	catalog = table_open(IndexRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
		SdIndex    *index = palloc0(sizeof(SdIndex));

		index->oid = form->indexrelid;
		index->unique = form->indisunique;
		index->primary = form->indisprimary;
		index->exclusion = form->indisexclusion;
		index->valid = form->indisvalid;
		index->identity = form->indisreplident;
		index->leading = form->indkey.values[0];
		for (int i = 0; i < form->indnatts; i++)
		{
			if (form->indkey.values[i] > 0)
				index->keys = bms_add_member(index->keys, form->indkey.values[i]);
			if (form->indkey.values[i] > 0 && i < form->indnkeyatts)
				index->own = bms_add_member(index->own, form->indkey.values[i]);
		}
		index->expressions = columns_in(catalog, tuple, Anum_pg_index_indexprs);
		index->predicate = columns_in(catalog, tuple, Anum_pg_index_indpred);
		indexes = lappend(indexes, index);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return indexes;
}

Oid
sd_fact_replica_index(Oid table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	char		identity;
	ListCell   *cell;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	identity = ((Form_pg_class) GETSTRUCT(tuple))->relreplident;
	ReleaseSysCache(tuple);
	foreach(cell, sd_fact_indexes(table))
	{
		SdIndex    *index = lfirst(cell);

		if ((identity == REPLICA_IDENTITY_DEFAULT && index->primary) ||
			(identity == REPLICA_IDENTITY_INDEX && index->identity))
			return index->oid;
	}
	return InvalidOid;
}

/* ---- dependencies ---- */

List *
sd_fact_dependents(Oid class_id, Oid object, AttrNumber column)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	List	   *dependents = NIL;
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(class_id));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(column));
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, column > 0 ? 3 : 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		SdDependent *dependent = palloc0(sizeof(SdDependent));

		ObjectAddressSubSet(dependent->object, form->classid, form->objid, form->objsubid);
		dependent->column = form->refobjsubid;
		dependent->type = form->deptype;
		dependents = lappend(dependents, dependent);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return dependents;
}

/* one column of a catalog by another one, as some have no system cache for that */
static Oid
owner_by_scan(Oid catalog_id, Oid index, AttrNumber key_column, AttrNumber owner_column, Oid oid)
{
	Relation	catalog = table_open(catalog_id, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	ScanKeyInit(&key, key_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
	scan = systable_beginscan(catalog, index, true, NULL, 1, &key);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		owner = DatumGetObjectId(heap_getattr(tuple, owner_column, RelationGetDescr(catalog), &isnull));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return owner;
}

Oid
sd_fact_owner_of(const ObjectAddress *object)
{
	switch (object->classId)
	{
		case RewriteRelationId:
			return owner_by_scan(RewriteRelationId, RewriteOidIndexId, Anum_pg_rewrite_oid, Anum_pg_rewrite_ev_class,
								 object->objectId);
		case TriggerRelationId:
			return owner_by_scan(TriggerRelationId, TriggerOidIndexId, Anum_pg_trigger_oid, Anum_pg_trigger_tgrelid,
								 object->objectId);
		case PolicyRelationId:
			return owner_by_scan(PolicyRelationId, PolicyOidIndexId, Anum_pg_policy_oid, Anum_pg_policy_polrelid,
								 object->objectId);
		case AttrDefaultRelationId:
			return owner_by_scan(AttrDefaultRelationId, AttrDefaultOidIndexId, Anum_pg_attrdef_oid,
								 Anum_pg_attrdef_adrelid, object->objectId);
		case ConstraintRelationId:
			return owner_by_scan(ConstraintRelationId, ConstraintOidIndexId, Anum_pg_constraint_oid,
								 Anum_pg_constraint_conrelid, object->objectId);
		case RelationRelationId:
			return object->objectId;
		default:
			return InvalidOid;
	}
}

Oid
sd_fact_default(Oid table, AttrNumber column)
{
	Relation	catalog = table_open(AttrDefaultRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			oid = InvalidOid;

	ScanKeyInit(&keys[0], Anum_pg_attrdef_adrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	ScanKeyInit(&keys[1], Anum_pg_attrdef_adnum, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(column));
	scan = systable_beginscan(catalog, AttrDefaultIndexId, true, NULL, 2, keys);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
		oid = ((Form_pg_attrdef) GETSTRUCT(tuple))->oid;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return oid;
}

List *
sd_fact_owned_sequences(Oid table, AttrNumber column)
{
	List	   *sequences = NIL;
	ListCell   *cell;

	if (!OidIsValid(table))
		return NIL;
	foreach(cell, sd_fact_dependents(RelationRelationId, table, column))
	{
		SdDependent *dependent = lfirst(cell);

		if (dependent->object.classId == RelationRelationId && dependent->column > 0 &&
			(dependent->type == DEPENDENCY_AUTO || dependent->type == DEPENDENCY_INTERNAL) &&
			get_rel_relkind(dependent->object.objectId) == RELKIND_SEQUENCE)
			sequences = list_append_unique_oid(sequences, dependent->object.objectId);
	}
	return sequences;
}

List *
sd_fact_sources(Oid view)
{
	List	   *sources = NIL;
	Oid			rule = owner_by_scan(RewriteRelationId, RewriteRelRulenameIndexId, Anum_pg_rewrite_ev_class, Anum_pg_rewrite_oid, view);
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(RewriteRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(rule));
	scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->refclassid == RelationRelationId && form->refobjid != view)
			sources = list_append_unique_oid(sources, form->refobjid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return sources;
}

static List *
add_type_users(List *tables, Oid type, List **seen)
{
	ListCell   *cell;
	Oid			array;

	if (list_member_oid(*seen, type))
		return tables;
	check_stack_depth();
	*seen = lappend_oid(*seen, type);
	foreach(cell, sd_fact_dependents(TypeRelationId, type, 0))
	{
		SdDependent *dependent = lfirst(cell);

		if (dependent->object.classId == RelationRelationId && dependent->object.objectSubId > 0)
		{
			char		kind = get_rel_relkind(dependent->object.objectId);

			if (kind == RELKIND_COMPOSITE_TYPE)
				tables = add_type_users(tables, get_rel_type_id(dependent->object.objectId), seen);
			else if (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE || kind == RELKIND_MATVIEW)
				tables = list_append_unique_oid(tables, dependent->object.objectId);
		}
		else if (dependent->object.classId == TypeRelationId)
			tables = add_type_users(tables, dependent->object.objectId, seen);
	}
	array = get_array_type(type);
	return OidIsValid(array) ? add_type_users(tables, array, seen) : tables;
}

List *
sd_fact_type_users(Oid type)
{
	List	   *seen = NIL;

	return add_type_users(NIL, type, &seen);
}

List *
sd_fact_typed_tables(Oid type)
{
	List	   *tables = NIL;
	ListCell   *cell;

	foreach(cell, sd_fact_dependents(TypeRelationId, type, 0))
	{
		SdDependent *dependent = lfirst(cell);
		HeapTuple	tuple;

		if (dependent->object.classId != RelationRelationId || dependent->object.objectSubId != 0)
			continue;
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(dependent->object.objectId));
		if (!HeapTupleIsValid(tuple))
			continue;
		if (((Form_pg_class) GETSTRUCT(tuple))->reloftype == type)
			tables = lappend_oid(tables, dependent->object.objectId);
		ReleaseSysCache(tuple);
	}
	return tables;
}

/* As has_subclass(), of a relation that somebody may have dropped by now. */
static bool
may_have_descendants(Oid table)
{
	HeapTuple	tuple = OidIsValid(table) ? SearchSysCache1(RELOID, ObjectIdGetDatum(table)) : NULL;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_class) GETSTRUCT(tuple))->relhassubclass;
	ReleaseSysCache(tuple);
	return result;
}

List *
sd_fact_descendants(Oid table)
{
	if (!may_have_descendants(table))
		return NIL;
	return list_delete_first(find_all_inheritors(table, NoLock, NULL));
}

List *
sd_fact_children(Oid table)
{
	return may_have_descendants(table) ? find_inheritance_children(table, NoLock) : NIL;
}

Oid
sd_fact_partition_parent(Oid table)
{
	if (!OidIsValid(table) || !get_rel_relispartition(table))
		return InvalidOid;
	return get_partition_parent(table, true);
}

Bitmapset *
sd_fact_partition_key(Oid table)
{
	HeapTuple	tuple = OidIsValid(table) ? SearchSysCache1(PARTRELID, ObjectIdGetDatum(table)) : NULL;
	Form_pg_partitioned_table form;
	Bitmapset  *columns = NULL;
	Datum		expressions;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_partitioned_table) GETSTRUCT(tuple);
	for (int i = 0; i < form->partnatts; i++)
	{
		if (form->partattrs.values[i] > 0)
			columns = bms_add_member(columns, form->partattrs.values[i]);
	}
	expressions = SysCacheGetAttr(PARTRELID, tuple, Anum_pg_partitioned_table_partexprs, &isnull);
	if (!isnull)
		columns = bms_union(columns, columns_of(expressions));
	ReleaseSysCache(tuple);
	return columns;
}

/* ---- statistics ---- */

bool
sd_fact_has_nulls(Oid table, AttrNumber column)
{
	HeapTuple	tuple;
	bool		nulls = false;

	if (pg_class_aclcheck(table, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return false;
	tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(table), Int16GetDatum(column), BoolGetDatum(false));
	if (HeapTupleIsValid(tuple))
	{
		nulls = ((Form_pg_statistic) GETSTRUCT(tuple))->stanullfrac > 0;
		ReleaseSysCache(tuple);
	}
	return nulls;
}
