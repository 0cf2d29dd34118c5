/*
 * frozen.c: objects whose digests stand still while an online entry works on them; see frozen.h.
 *
 * Backend, applier, result worker, inside a transaction.  Reads system caches only.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "ddl/frozen.h"
#include "ddl/names.h"
#include "ddl/touched_set.h"
#include "store/object.h"
#include "store/sql.h"
#include "store/task.h"

struct SdFrozen
{
	List	   *relations;		/* of SdTaskRelation */
};

SdFrozen *
sd_frozen_read(void)
{
	List	   *relations = sd_task_relations();
	SdFrozen   *frozen;

	if (relations == NIL)
		return NULL;
	frozen = palloc(sizeof(SdFrozen));
	frozen->relations = relations;
	return frozen;
}

/* the relation itself, or something that carries its name and a dot before its own */
static bool
belongs(const char *identity, const char *relation)
{
	size_t		length = strlen(relation);

	return strncmp(identity, relation, length) == 0 && (identity[length] == '\0' || identity[length] == '.');
}

int64
sd_frozen_by(const SdFrozen *frozen, Oid classid, Oid objid, const char *identity)
{
	Oid			table = InvalidOid;
	StringInfoData name;
	ListCell   *cell;

	if (frozen == NULL)
		return 0;
	if (classid == RelationRelationId)
		table = IndexGetRelation(objid, true);
	initStringInfo(&name);
	if (OidIsValid(table))
		sd_append_relation(&name, table);
	foreach(cell, frozen->relations)
	{
		SdTaskRelation *relation = lfirst(cell);

		if (belongs(identity, relation->identity) || strcmp(name.data, relation->identity) == 0)
		{
			pfree(name.data);
			return relation->version;
		}
	}
	pfree(name.data);
	return 0;
}

/* by the name that a digest's row carries: there is no other way to find what is gone */
static void
touch_rows(SdTouched *set, const char *relation)
{
	static SdStatement statement = {
		.sql = "SELECT classid::bigint, objid::bigint FROM schemadrift_store.object "
		"WHERE identity = $1 OR starts_with(identity, $1 || '.')",
		.nargs = 1, .types = {TEXTOID}
	};
	uint64		n = sd_store_run(&statement, (Datum[]) {CStringGetTextDatum(relation)}, NULL, SD_ANY_ROWS);

	for (uint64 i = 0; i < n; i++)
		sd_touched_add(set, (Oid) sd_store_int64(i, 1), (Oid) sd_store_int64(i, 2));
}

static bool
has_row(Oid relation)
{
	Oid			catalog = RelationRelationId;
	int			n;

	(void) sd_objects_find(&catalog, &relation, 1, &n);
	return n > 0;
}

/*
 * An index that has no row was made by the entry, or by REINDEX CONCURRENTLY, which gives it another OID: then the row under its
 * name goes.  Told that it is new, nobody looks for its row everywhere.
 */
static void
touch_indexes(SdTouched *set, Oid table)
{
	Relation	catalog = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid			index = ((Form_pg_index) GETSTRUCT(tuple))->indexrelid;
		StringInfoData name;

		if (has_row(index))
		{
			sd_touched_add(set, RelationRelationId, index);
			continue;
		}
		initStringInfo(&name);
		sd_append_relation(&name, index);
		touch_rows(set, name.data);
		sd_touched_object_access(set, OAT_POST_CREATE, RelationRelationId, index, 0, NULL);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

void
sd_frozen_touch(SdTouched *set, List *relations)
{
	ListCell   *cell;

	foreach(cell, relations)
	{
		char	   *identity = lfirst(cell);
		List	   *names = sd_compat_name_list(identity);
		Oid			namespace = get_namespace_oid(strVal(linitial(names)), true);
		Oid			relation = OidIsValid(namespace) ? get_relname_relid(strVal(llast(names)), namespace) : InvalidOid;

		touch_rows(set, identity);
		if (!OidIsValid(relation))
			continue;
		if (get_rel_relkind(relation) == RELKIND_INDEX)
			continue;			/* its table is in the list, too */
		sd_touched_add(set, RelationRelationId, relation);
		touch_indexes(set, relation);
	}
}
