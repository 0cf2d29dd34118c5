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
#include "catalog/pg_namespace.h"
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
	[SD_ROWS_TRIGGER] = {TriggerRelationId, TriggerRelidNameIndexId, Anum_pg_trigger_tgrelid, 0, false},
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
	int			near;			/* where somebody was found last */
} Preloaded;

static Preloaded preloaded[SD_ROWS_KINDS];

/* Rows that end together: one after another in big blocks, which is half the memory of a palloc() each. */
#define BLOCK_SIZE	(256 * 1024)

typedef struct Block
{
	char	   *at;
	Size		left;
} Block;

static inline bool
is_before(const Key *key, Oid object, int32 number)
{
	return key->object < object || (key->object == object && key->number < number);
}

static int
compare_keys(const void *a, const void *b)
{
	const Key  *x = a;
	const Key  *y = b;

	return is_before(x, y->object, y->number) ? -1 : is_before(y, x->object, x->number);
}

/*
 * The first key that is not before this one.  Mostly it is close to where the last one was, because objects are asked for about in the order of
 * their OIDs: from there in steps that grow, and then by halves.
 */
static int
lower_bound(Preloaded *p, Oid object, int32 number)
{
	int			low = 0;		/* all before it are before the wanted key */
	int			high = p->n;	/* it and all after it are not */
	int			at = Min(p->near, high);

	if (at < high && is_before(&p->key[at], object, number))
		for (int step = 1; low = at + 1, at += step, at < high; step *= 2)
		{
			if (is_before(&p->key[at], object, number))
				continue;
			high = at;
			break;
		}
	else
		for (int step = 1; high = at, at -= step, at >= 0; step *= 2)
		{
			if (!is_before(&p->key[at], object, number))
				continue;
			low = at + 1;
			break;
		}
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (is_before(&p->key[middle], object, number))
			low = middle + 1;
		else
			high = middle;
	}
	return p->near = low;
}

static HeapTuple
copy_row(Block *block, HeapTuple tuple)
{
	Size		size = MAXALIGN(HEAPTUPLESIZE + tuple->t_len);
	HeapTuple	copy;

	if (size > block->left)
	{
		block->left = Max(size, BLOCK_SIZE);
		block->at = palloc(block->left);
	}
	copy = (HeapTuple) block->at;
	block->at += size;
	block->left -= size;
	*copy = *tuple;
	copy->t_data = (HeapTupleHeader) ((char *) copy + HEAPTUPLESIZE);
	memcpy(copy->t_data, tuple->t_data, tuple->t_len);
	return copy;
}

/* What is read of one object, in the order of the index, or of all users' objects, in no order. */
static SysScanDesc
begin_scan(const Source *source, Relation catalog, Oid object)
{
	ScanKeyData keys[2];
	int			nkeys = 0;

	if (OidIsValid(object))
		ScanKeyInit(&keys[nkeys++], source->object, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	else
		ScanKeyInit(&keys[nkeys++], source->object, BTGreaterEqualStrategyNumber, F_OIDGE, ObjectIdGetDatum(FirstNormalObjectId));
	if (source->positive)
		ScanKeyInit(&keys[nkeys++], source->number, BTGreaterStrategyNumber, F_INT2GT, Int16GetDatum(0));
	return systable_beginscan(catalog, source->index, OidIsValid(object), NULL, nkeys, keys);
}

static SdRows
scan(const Source *source, Oid object)
{
	Relation	catalog = table_open(source->catalog, AccessShareLock);
	int			size = 16;
	SdRows		rows = {.tuple = palloc(size * sizeof(HeapTuple)), .desc = CreateTupleDescCopy(RelationGetDescr(catalog))};
	SysScanDesc systable = begin_scan(source, catalog, object);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(systable)))
	{
		if (rows.n == size)
		{
			size *= 2;
			rows.tuple = repalloc(rows.tuple, size * sizeof(HeapTuple));
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

static Key
key_of(const Source *source, HeapTuple tuple, TupleDesc desc)
{
	Key			key = {.tuple = tuple};
	bool		isnull;

	key.object = DatumGetObjectId(heap_getattr(tuple, source->object, desc, &isnull));
	if (source->number == 0)
		key.number = 0;
	else if (TupleDescAttr(desc, source->number - 1)->atttypid == INT2OID)
		key.number = DatumGetInt16(heap_getattr(tuple, source->number, desc, &isnull));
	else
		key.number = DatumGetInt32(heap_getattr(tuple, source->number, desc, &isnull));
	return key;
}

/* A third of all columns are those of TOAST tables and their indexes. */
static bool
is_needed(const Source *source, HeapTuple tuple, Oid object)
{
	HeapTuple	relation = tuple;
	Form_pg_class class;

	if (source->catalog == AttributeRelationId || source->catalog == IndexRelationId)
		relation = sd_rows_relation(object);
	else if (source->catalog != RelationRelationId)
		return true;
	if (!HeapTupleIsValid(relation))
		return false;
	class = (Form_pg_class) GETSTRUCT(relation);
	return class->relnamespace != PG_TOAST_NAMESPACE || (relation == tuple && class->relkind != RELKIND_INDEX);
}

static void
preload(Preloaded *p, const Source *source)
{
	Relation	catalog = table_open(source->catalog, AccessShareLock);
	TupleDesc	desc = CreateTupleDescCopy(RelationGetDescr(catalog));
	SysScanDesc systable = begin_scan(source, catalog, InvalidOid);
	Block		block = {0};
	int			size = 1024;
	HeapTuple	tuple;

	p->key = palloc(size * sizeof(Key));
	while (HeapTupleIsValid(tuple = systable_getnext(systable)))
	{
		Key			key = key_of(source, tuple, desc);

		if (!is_needed(source, tuple, key.object))
			continue;
		if (p->n == size)
		{
			size *= 2;
			p->key = repalloc_huge(p->key, size * sizeof(Key));
		}
		key.tuple = copy_row(&block, tuple);
		p->key[p->n++] = key;
	}
	systable_endscan(systable);
	table_close(catalog, AccessShareLock);
	qsort(p->key, p->n, sizeof(Key), compare_keys);
	p->tuple = MemoryContextAllocHuge(CurrentMemoryContext, Max(p->n, 1) * sizeof(HeapTuple));
	for (int i = 0; i < p->n; i++)
		p->tuple[i] = p->key[i].tuple;
	/* from now on it is looked at */
	p->desc = desc;
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
	Preloaded  *p = &preloaded[kind];
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
	Preloaded  *p = &preloaded[SD_ROWS_COLUMN];
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
