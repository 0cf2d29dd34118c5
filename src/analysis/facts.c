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
#include "catalog/indexing.h"
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_index.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_namespace.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_subscription_rel.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "texts.h"

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
	Relation	relation;
	Oid			toast = InvalidOid;
	int64		bytes;

	/* whoever holds it exclusively may do so for long: the planner's figure is good enough then */
	if (!ConditionalLockRelationOid(oid, AccessShareLock))
		return bytes_by_catalog(oid);
	relation = try_relation_open(oid, NoLock);
	if (relation == NULL)
	{
		UnlockRelationOid(oid, AccessShareLock);
		return 0;
	}
	bytes = RELKIND_HAS_STORAGE(relation->rd_rel->relkind) ? (int64) RelationGetNumberOfBlocks(relation) * BLCKSZ : 0;
	toast = relation->rd_rel->reltoastrelid;
	relation_close(relation, AccessShareLock);
	return bytes + (OidIsValid(toast) ? bytes_of_one(toast) : 0);
}

int64
sd_fact_bytes(Oid relation)
{
	int64		bytes = bytes_of_one(relation);
	ListCell   *cell;

	foreach(cell, sd_fact_descendants(relation))
		bytes += bytes_of_one(lfirst_oid(cell));
	return bytes;
}

/* ---- constraints ---- */

static Bitmapset *
numbers_of(Datum array)
{
	ArrayType  *numbers = DatumGetArrayTypeP(array);
	Bitmapset  *set = NULL;

	for (int i = 0; i < ArrayGetNItems(ARR_NDIM(numbers), ARR_DIMS(numbers)); i++)
	{
		int16		number = ((int16 *) ARR_DATA_PTR(numbers))[i];

		if (number > 0)
			set = bms_add_member(set, number);
	}
	return set;
}

static Bitmapset *
constraint_columns(Relation catalog, HeapTuple tuple, int attribute)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attribute, RelationGetDescr(catalog), &isnull);

	return isnull ? NULL : numbers_of(value);
}

/* of a table, or of a domain */
static List *
constraints_of(Oid table, Oid domain)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	List	   *constraints = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (OidIsValid(table))
		ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	else
		ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(domain));
	scan = systable_beginscan(catalog, OidIsValid(table) ? ConstraintRelidTypidNameIndexId : ConstraintTypidIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		SdTableConstraint *constraint = palloc0(sizeof(SdTableConstraint));

		constraint->oid = form->oid;
		constraint->name = pstrdup(NameStr(form->conname));
		constraint->type = form->contype;
		constraint->valid = form->convalidated;
		constraint->local = form->conislocal;
		constraint->index = form->conindid;
		constraint->other = form->confrelid;
		constraint->columns = constraint_columns(catalog, tuple, Anum_pg_constraint_conkey);
		constraints = lappend(constraints, constraint);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return constraints;
}

List *
sd_fact_constraints(Oid table)
{
	return OidIsValid(table) ? constraints_of(table, InvalidOid) : NIL;
}

List *
sd_fact_domain_constraints(Oid domain)
{
	return constraints_of(InvalidOid, domain);
}

SdTableConstraint *
sd_fact_constraint(Oid table, const char *name)
{
	ListCell   *cell;

	foreach(cell, sd_fact_constraints(table))
	{
		if (strcmp(((SdTableConstraint *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	}
	return NULL;
}

static SdForeignKey *
foreign_key(Relation catalog, HeapTuple tuple, int attribute)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	SdForeignKey *key = palloc0(sizeof(SdForeignKey));

	key->constraint = form->oid;
	key->name = pstrdup(NameStr(form->conname));
	key->from = form->conrelid;
	key->to = form->confrelid;
	key->valid = form->convalidated;
	key->columns = constraint_columns(catalog, tuple, attribute);
	return key;
}

List *
sd_fact_foreign_keys(Oid table)
{
	Relation	catalog;
	List	   *keys = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(table))
		return NIL;
	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_FOREIGN)
			keys = lappend(keys, foreign_key(catalog, tuple, Anum_pg_constraint_conkey));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return keys;
}

/* pg_constraint has no index for this question, but they depend on the table */
List *
sd_fact_referencing(Oid table)
{
	Relation	catalog;
	List	   *keys = NIL;
	Oid			last = InvalidOid;
	ListCell   *cell;

	if (!OidIsValid(table))
		return NIL;
	catalog = table_open(ConstraintRelationId, AccessShareLock);
	foreach(cell, sd_fact_dependents(RelationRelationId, table, 0))
	{
		SdDependent *dependent = lfirst(cell);
		HeapTuple	tuple;
		Form_pg_constraint form;

		if (dependent->object.classId != ConstraintRelationId || dependent->object.objectId == last)
			continue;
		tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(dependent->object.objectId));
		if (!HeapTupleIsValid(tuple))
			continue;
		form = (Form_pg_constraint) GETSTRUCT(tuple);
		/* a key of several columns depends on each */
		if (form->contype == CONSTRAINT_FOREIGN && form->confrelid == table && !OidIsValid(form->conparentid))
		{
			ListCell   *known;
			bool		seen = false;

			foreach(known, keys)
				seen |= ((SdForeignKey *) lfirst(known))->constraint == form->oid;
			if (!seen)
				keys = lappend(keys, foreign_key(catalog, tuple, Anum_pg_constraint_confkey));
			last = form->oid;
		}
		ReleaseSysCache(tuple);
	}
	table_close(catalog, AccessShareLock);
	return keys;
}

static Node *
constraint_expression(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Node	   *expression = NULL;
	Datum		value;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	value = SysCacheGetAttr(CONSTROID, tuple, Anum_pg_constraint_conbin, &isnull);
	if (!isnull)
		expression = stringToNode(TextDatumGetCString(value));
	ReleaseSysCache(tuple);
	return expression;
}

bool
sd_fact_is_not_null_check(Oid constraint, AttrNumber column)
{
	NullTest   *test = (NullTest *) constraint_expression(constraint);

	return test && IsA(test, NullTest) && test->nulltesttype == IS_NOT_NULL && IsA(test->arg, Var) &&
		((Var *) test->arg)->varattno == column;
}

bool
sd_fact_proves_not_null(Oid table, AttrNumber column, bool *unknown)
{
	Relation	relation;
	NullTest   *test = makeNode(NullTest);
	Form_pg_attribute attribute;
	bool		proven;

	*unknown = false;
	if (!ConditionalLockRelationOid(table, AccessShareLock))
	{
		*unknown = true;
		return false;
	}
	relation = try_relation_open(table, NoLock);
	if (relation == NULL)
	{
		UnlockRelationOid(table, AccessShareLock);
		return false;
	}
	if (column > RelationGetNumberOfAttributes(relation))
		proven = false;
	else
	{
		attribute = TupleDescAttr(RelationGetDescr(relation), column - 1);
		test->arg = (Expr *) makeVar(1, column, attribute->atttypid, attribute->atttypmod, attribute->attcollation, 0);
		test->nulltesttype = IS_NOT_NULL;
		test->argisrow = false;
		test->location = -1;
		proven = PartConstraintImpliedByRelConstraint(relation, list_make1(test));
	}
	relation_close(relation, AccessShareLock);
	return proven;
}

/* ---- indexes ---- */

static Bitmapset *
columns_in(Relation catalog, HeapTuple tuple, int attribute)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attribute, RelationGetDescr(catalog), &isnull);
	Bitmapset  *offset = NULL;
	Bitmapset  *columns = NULL;
	int			member = -1;

	if (isnull)
		return NULL;
	pull_varattnos(stringToNode(TextDatumGetCString(value)), 1, &offset);
	while ((member = bms_next_member(offset, member)) >= 0)
	{
		if (member + FirstLowInvalidHeapAttributeNumber > 0)
			columns = bms_add_member(columns, member + FirstLowInvalidHeapAttributeNumber);
	}
	return columns;
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
sd_fact_descendants(Oid table)
{
	if (!OidIsValid(table) || !has_subclass(table))
		return NIL;
	return list_delete_first(find_all_inheritors(table, NoLock, NULL));
}

Oid
sd_fact_partition_parent(Oid table)
{
	if (!OidIsValid(table) || !get_rel_relispartition(table))
		return InvalidOid;
	return get_partition_parent(table, true);
}

/* ---- replication ---- */

static void
published_by(List *publications, SdReplicated *replicated)
{
	ListCell   *cell;

	foreach(cell, publications)
	{
		char	   *name = get_publication_name(lfirst_oid(cell), true);

		if (name == NULL)
			continue;
		replicated->published = true;
		replicated->listed = false;
		replicated->publications = sd_texts_add(replicated->publications, name);
	}
}

/* publications that name it, each with or without a list of its columns */
static void
published_itself(Oid table, Oid asked, SdReplicated *replicated)
{
	ListCell   *cell;

	foreach(cell, GetRelationPublications(table))
	{
		HeapTuple	tuple = SearchSysCache2(PUBLICATIONRELMAP, ObjectIdGetDatum(table), ObjectIdGetDatum(lfirst_oid(cell)));
		char	   *name = get_publication_name(lfirst_oid(cell), true);
		Datum		value;
		bool		isnull;

		if (!HeapTupleIsValid(tuple))
			continue;
		value = SysCacheGetAttr(PUBLICATIONRELMAP, tuple, Anum_pg_publication_rel_prattrs, &isnull);
		if (!replicated->published)
			replicated->listed = true;
		replicated->published = true;
		/* a partition's numbers are its own */
		if (isnull || table != asked)
			replicated->listed = false;
		else
			replicated->columns = bms_union(replicated->columns, numbers_of(value));
		if (name)
			replicated->publications = sd_texts_add(replicated->publications, name);
		ReleaseSysCache(tuple);
	}
}

static void
subscribed(Oid table, SdReplicated *replicated)
{
	Relation	catalog = table_open(SubscriptionRelRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_subscription_rel_srrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	scan = systable_beginscan(catalog, SubscriptionRelSrrelidSrsubidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		char	   *name = get_subscription_name(((Form_pg_subscription_rel) GETSTRUCT(tuple))->srsubid, true);

		replicated->subscribed = true;
		if (name)
			replicated->subscriptions = sd_texts_add(replicated->subscriptions, name);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

void
sd_fact_replicated(Oid table, Oid schema, SdReplicated *replicated)
{
	List	   *tables = NIL;
	ListCell   *cell;

	memset(replicated, 0, sizeof(*replicated));
	if (OidIsValid(table))
	{
		tables = list_make1_oid(table);
		if (get_rel_relispartition(table))
			tables = list_concat(tables, get_partition_ancestors(table));
		schema = get_rel_namespace(table);
	}
	/* of a partitioned table the partitions may be published, each by itself */
	foreach(cell, list_concat_copy(tables, sd_fact_descendants(table)))
	{
		published_itself(lfirst_oid(cell), table, replicated);
		subscribed(lfirst_oid(cell), replicated);
	}
	published_by(GetAllTablesPublications(), replicated);
	if (OidIsValid(schema))
		published_by(GetSchemaPublications(schema), replicated);
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
