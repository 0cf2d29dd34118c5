/*
 * rows.c: the catalog rows that belong to an object; see rows.h.
 *
 * Backend and workers, inside a transaction.  Locks catalogs only, and only while it reads them.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl/rows.h"

/* A catalog, its index, and the columns that the index is on: an object, and a number in it (0: none). */
typedef struct Source
{
	Oid			catalog;
	Oid			index;
	AttrNumber	object;
	AttrNumber	number;
	bool		positive;		/* only rows with a number above zero */
} Source;

static const Source sources[SD_ROWS_KINDS] = {
	[SD_ROWS_COLUMN] = {AttributeRelationId, AttributeRelidNumIndexId,
	Anum_pg_attribute_attrelid, Anum_pg_attribute_attnum, true},
	[SD_ROWS_DEFAULT] = {AttrDefaultRelationId, AttrDefaultIndexId, Anum_pg_attrdef_adrelid, Anum_pg_attrdef_adnum, false},
	[SD_ROWS_PARENT] = {InheritsRelationId, InheritsRelidSeqnoIndexId,
	Anum_pg_inherits_inhrelid, Anum_pg_inherits_inhseqno, false},
	[SD_ROWS_CONSTRAINT_TRIGGER] = {TriggerRelationId, TriggerConstraintIndexId, Anum_pg_trigger_tgconstraint, 0, false},
	[SD_ROWS_RELATION] = {RelationRelationId, ClassOidIndexId, Anum_pg_class_oid, 0, false},
	[SD_ROWS_INDEX] = {IndexRelationId, IndexRelidIndexId, Anum_pg_index_indexrelid, 0, false},
};

/* What was read in one pass, sorted by object and number. */
typedef struct Key
{
	Oid			object;
	int32		number;
	HeapTuple	tuple;
} Key;

typedef struct Preloaded
{
	Key		   *key;
	HeapTuple  *tuple;			/* in the same order */
	int			n;
	TupleDesc	desc;
} Preloaded;

static Preloaded preloaded[SD_ROWS_KINDS];

static int
compare_keys(const void *a, const void *b)
{
	const Key  *x = a;
	const Key  *y = b;

	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* The first key that is not before this one. */
static int
lower_bound(const Preloaded *p, Oid object, int32 number)
{
	Key			wanted = {.object = object, .number = number};
	int			low = 0;
	int			high = p->n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (compare_keys(&p->key[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Rows of one object, or, with InvalidOid, of all users' objects, in no order. */
static SdRows
scan(const Source *source, Oid object)
{
	Relation	catalog = table_open(source->catalog, AccessShareLock);
	int			size = OidIsValid(object) ? 16 : 65536;
	SdRows		rows = {.tuple = palloc(size * sizeof(HeapTuple)), .desc = CreateTupleDescCopy(RelationGetDescr(catalog))};
	ScanKeyData keys[2];
	int			nkeys = 0;
	SysScanDesc systable;
	HeapTuple	tuple;

	if (OidIsValid(object))
		ScanKeyInit(&keys[nkeys++], source->object, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	else
		ScanKeyInit(&keys[nkeys++], source->object, BTGreaterEqualStrategyNumber, F_OIDGE, ObjectIdGetDatum(FirstNormalObjectId));
	if (source->positive)
		ScanKeyInit(&keys[nkeys++], source->number, BTGreaterStrategyNumber, F_INT2GT, Int16GetDatum(0));
	systable = systable_beginscan(catalog, source->index, OidIsValid(object), NULL, nkeys, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(systable)))
	{
		if (rows.n == size)
		{
			size *= 2;
			rows.tuple = repalloc_huge(rows.tuple, size * sizeof(HeapTuple));
		}
		rows.tuple[rows.n++] = heap_copytuple(tuple);
	}
	systable_endscan(systable);
	table_close(catalog, AccessShareLock);
	return rows;
}

static void
forget(void *arg)
{
	(void) arg;
	memset(preloaded, 0, sizeof(preloaded));
}

static void
preload(Preloaded *p, const Source *source)
{
	SdRows		rows = scan(source, InvalidOid);

	p->desc = rows.desc;
	p->n = rows.n;
	p->tuple = rows.tuple;
	p->key = MemoryContextAllocHuge(CurrentMemoryContext, Max(rows.n, 1) * sizeof(Key));
	for (int i = 0; i < rows.n; i++)
	{
		bool		isnull;

		p->key[i].object = DatumGetObjectId(heap_getattr(rows.tuple[i], source->object, rows.desc, &isnull));
		if (source->number == 0)
			p->key[i].number = 0;
		else if (TupleDescAttr(rows.desc, source->number - 1)->atttypid == INT2OID)
			p->key[i].number = DatumGetInt16(heap_getattr(rows.tuple[i], source->number, rows.desc, &isnull));
		else
			p->key[i].number = DatumGetInt32(heap_getattr(rows.tuple[i], source->number, rows.desc, &isnull));
		p->key[i].tuple = rows.tuple[i];
	}
	qsort(p->key, p->n, sizeof(Key), compare_keys);
	for (int i = 0; i < rows.n; i++)
		p->tuple[i] = p->key[i].tuple;
}

void
sd_rows_preload(void)
{
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	callback->func = forget;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	for (int i = 0; i < SD_ROWS_KINDS; i++)
		preload(&preloaded[i], &sources[i]);
}

SdRows
sd_rows_find(SdRowsOf kind, Oid object)
{
	const Preloaded *p = &preloaded[kind];
	SdRows		rows = {.desc = p->desc};
	int			first;

	if (p->desc == NULL || object < FirstNormalObjectId)
		return scan(&sources[kind], object);
	first = lower_bound(p, object, PG_INT32_MIN);
	while (first + rows.n < p->n && p->key[first + rows.n].object == object)
		rows.n++;
	rows.tuple = p->tuple + first;
	return rows;
}

static HeapTuple
only_row(SdRowsOf kind, int cache, Oid object)
{
	SdRows		rows;

	if (preloaded[kind].desc == NULL || object < FirstNormalObjectId)
		return SearchSysCacheCopy1(cache, ObjectIdGetDatum(object));
	rows = sd_rows_find(kind, object);
	return rows.n > 0 ? rows.tuple[0] : NULL;
}

HeapTuple
sd_rows_relation(Oid relation)
{
	return only_row(SD_ROWS_RELATION, RELOID, relation);
}

HeapTuple
sd_rows_index(Oid index)
{
	return only_row(SD_ROWS_INDEX, INDEXRELID, index);
}

const char *
sd_rows_column_name(Oid relation, AttrNumber number)
{
	const Preloaded *p = &preloaded[SD_ROWS_COLUMN];
	int			at;
	Form_pg_attribute column;

	if (p->desc == NULL)
		return NULL;
	at = lower_bound(p, relation, number);
	if (at == p->n || p->key[at].object != relation || p->key[at].number != number)
		return NULL;
	column = (Form_pg_attribute) GETSTRUCT(p->tuple[at]);
	return column->attisdropped ? NULL : NameStr(column->attname);
}
