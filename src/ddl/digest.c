/*
 * digest.c: digests of the whole schema: scan, rebuild, root; see digest.h.
 *
 * Backend, coordinator and applier, inside a transaction.  Reads catalogs under AccessShareLock on themselves, which only VACUUM
 * FULL and CLUSTER of a catalog conflict with; writes the digest tables, which only the holder of the DDL lock does.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/catversion.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "ddl/beside.h"
#include "ddl/canonical.h"
#include "ddl/digest.h"
#include "ddl/frozen.h"
#include "ddl/hash.h"
#include "store/object.h"
#include "store/sql.h"

typedef struct RowList
{
	SdObjectRow *rows;
	int			n;
	int			size;
} RowList;

static void
collect(void *arg, const SdDescription *description, SdObjectRow *row)
{
	RowList    *list = arg;

	(void) description;
	if (list->n == list->size)
	{
		list->size *= 2;
		list->rows = repalloc_huge(list->rows, list->size * sizeof(SdObjectRow));
	}
	list->rows[list->n++] = *row;
}

static RowList
scan_rows(SdHasher *hasher)
{
	RowList		list = {.size = 1024};

	list.rows = palloc(list.size * sizeof(SdObjectRow));
	sd_scan_objects(hasher, collect, &list);
	return list;
}

SdObjectDigest *
sd_object_digest(const SdObjectRow *row, bool dropped, const SdObjectRow *old)
{
	SdObjectDigest *object = palloc(sizeof(SdObjectDigest));

	object->classid = row->classid;
	object->objid = row->objid;
	object->kind = pstrdup(row->kind);
	object->identity = pstrdup(row->identity);
	memcpy(object->hash.byte, row->hash, SD_DIGEST_LENGTH);
	object->dropped = dropped;
	object->existed = old != NULL;
	if (old)
		memcpy(object->was.byte, old->hash, SD_DIGEST_LENGTH);
	object->frozen_by = 0;
	return object;
}

int
sd_object_digest_compare(const ListCell *a, const ListCell *b)
{
	const SdObjectDigest *x = lfirst(a);
	const SdObjectDigest *y = lfirst(b);
	int			order = strcmp(x->kind, y->kind);

	return order ? order : strcmp(x->identity, y->identity);
}

List *
sd_digest_scan(void)
{
	int			guc_level = sd_canonical_enter();
	SdHasher   *hasher = sd_hasher_create();
	RowList		list = scan_rows(hasher);
	List	   *result = NIL;

	for (int i = 0; i < list.n; i++)
		result = lappend(result, sd_object_digest(&list.rows[i], false, NULL));
	sd_hasher_free(hasher);
	sd_canonical_leave(guc_level);
	return result;
}

static void
add_object(SdHasher *hasher, SdDigest *sum, const SdObjectDigest *object)
{
	SdObjectRow row = {.kind = object->kind, .identity = object->identity};

	memcpy(row.hash, object->hash.byte, SD_OBJECT_HASH_SIZE);
	sd_root_add(hasher, sum, &row);
}

SdDigest
sd_digest_root_of(List *objects)
{
	SdHasher   *hasher = sd_hasher_create();
	SdDigest	root = {{0}};
	ListCell   *cell;

	foreach(cell, objects)
		add_object(hasher, &root, lfirst(cell));
	sd_hasher_free(hasher);
	return root;
}

void
sd_digest_buckets(List *objects, SdDigest *sums)
{
	SdHasher   *hasher = sd_hasher_create();
	ListCell   *cell;

	memset(sums, 0, SD_BUCKETS * sizeof(SdDigest));
	foreach(cell, objects)
	{
		SdObjectDigest *object = lfirst(cell);

		add_object(hasher, &sums[sd_hash_bucket(hasher, object->kind, object->identity)], object);
	}
	sd_hasher_free(hasher);
}

List *
sd_digest_in_buckets(List *objects, const bool *wanted)
{
	SdHasher   *hasher = sd_hasher_create();
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, objects)
	{
		SdObjectDigest *object = lfirst(cell);

		if (wanted[sd_hash_bucket(hasher, object->kind, object->identity)])
			result = lappend(result, object);
	}
	sd_hasher_free(hasher);
	return result;
}

SdDigest
sd_digest_root(void)
{
	SdScope		scope;
	SdDigestRow row;
	SdDigest	root = {{0}};

	sd_store_enter(&scope);
	if (sd_digest_row_read(&row))
		memcpy(root.byte, row.root, SD_DIGEST_LENGTH);
	sd_store_leave(&scope);
	return root;
}

/* --- making the table equal to the schema --- */

typedef struct Located
{
	Oid			key[2];			/* classid, objid */
	const SdObjectRow *row;
	bool		seen;
} Located;

static int
compare_names(const void *a, const void *b)
{
	const SdObjectRow *left = *(const SdObjectRow *const *) a;
	const SdObjectRow *right = *(const SdObjectRow *const *) b;
	int			result = strcmp(left->kind, right->kind);

	return result != 0 ? result : strcmp(left->identity, right->identity);
}

static const SdObjectRow **
sort_by_name(const SdObjectRow *rows, int n)
{
	const SdObjectRow **sorted = palloc_extended(Max(n, 1) * sizeof(SdObjectRow *), MCXT_ALLOC_HUGE);

	for (int i = 0; i < n; i++)
		sorted[i] = &rows[i];
	qsort(sorted, n, sizeof(SdObjectRow *), compare_names);
	return sorted;
}

static bool
same_row(const SdObjectRow *a, const SdObjectRow *b)
{
	return strcmp(a->kind, b->kind) == 0 && strcmp(a->identity, b->identity) == 0 &&
		memcmp(a->hash, b->hash, SD_OBJECT_HASH_SIZE) == 0 && a->names == b->names;
}

/* What belongs to the work of an online entry keeps the rows it has, whatever was found. */
static void
keep_frozen(RowList *now, const SdObjectRow *old, int nold)
{
	SdFrozen   *frozen = sd_frozen_read();
	int			n = 0;

	if (frozen == NULL)
		return;
	for (int i = 0; i < now->n; i++)
		if (sd_frozen_by(frozen, now->rows[i].classid, now->rows[i].objid, now->rows[i].identity) == 0)
			now->rows[n++] = now->rows[i];
	now->n = n;
	for (int i = 0; i < nold; i++)
		if (sd_frozen_by(frozen, old[i].classid, old[i].objid, old[i].identity) != 0)
			collect(now, NULL, (SdObjectRow *) &old[i]);
}

static HTAB *
locate(const SdObjectRow *rows, int n)
{
	HASHCTL		control = {.keysize = 2 * sizeof(Oid), .entrysize = sizeof(Located), .hcxt = CurrentMemoryContext};
	HTAB	   *located = hash_create("schemadrift objects by OID", Max(n, 16), &control,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	for (int i = 0; i < n; i++)
	{
		Oid			key[2] = {rows[i].classid, rows[i].objid};
		Located    *entry = hash_search(located, key, HASH_ENTER, NULL);

		entry->row = &rows[i];
		entry->seen = false;
	}
	return located;
}

/* NULL: there is no row for that object. */
static Located *
find_located(HTAB *located, const SdObjectRow *row)
{
	Oid			key[2] = {row->classid, row->objid};

	return hash_search(located, key, HASH_FIND, NULL);
}

/* Rows are compared by OID, because that is how they are stored ... */
static void
write_differences(const SdObjectRow *old, int nold, const RowList *now)
{
	HTAB	   *located = locate(old, nold);
	SdObjectRow *put = palloc_extended(Max(now->n, 1) * sizeof(SdObjectRow), MCXT_ALLOC_HUGE);
	Oid		   *classids = palloc(Max(nold, 1) * sizeof(Oid));
	Oid		   *objids = palloc(Max(nold, 1) * sizeof(Oid));
	int			nput = 0;
	int			ndelete = 0;

	for (int i = 0; i < now->n; i++)
	{
		Located    *entry = find_located(located, &now->rows[i]);

		if (entry)
			entry->seen = true;
		if (entry == NULL || !same_row(entry->row, &now->rows[i]))
			put[nput++] = now->rows[i];
	}
	for (int i = 0; i < nold; i++)
	{
		Located    *entry = find_located(located, &old[i]);

		if (!entry->seen)
		{
			classids[ndelete] = old[i].classid;
			objids[ndelete++] = old[i].objid;
		}
	}
	sd_objects_delete(classids, objids, ndelete);
	sd_objects_put(put, nput);
}

/* Told that they are new, nobody looks for their rows under other OIDs: those are in the set, too. */
static void
add_suspect(SdTouched *set, const SdFrozen *frozen, const SdObjectRow *row, bool is_new, int *n)
{
	if (sd_frozen_by(frozen, row->classid, row->objid, row->identity) != 0)
		return;
	if (is_new)
		sd_touched_object_access(set, OAT_POST_CREATE, row->classid, row->objid, 0, NULL);
	else
		sd_touched_add(set, row->classid, row->objid);
	(*n)++;
}

typedef struct Comparison
{
	const RowList *objects;
	HTAB	   *now;			/* of Located, the same by OID */
	bool	   *seen;			/* by number of the object: there is a row for it */
	SdTouched  *set;
	SdFrozen   *frozen;
	int			n;				/* suspects */
} Comparison;

/* A visitor of sd_objects_each(). */
static void
compare_stored(void *arg, const SdObjectRow *stored)
{
	Comparison *comparison = arg;
	Located    *entry = find_located(comparison->now, stored);

	if (entry)
		comparison->seen[entry->row - comparison->objects->rows] = true;
	if (entry == NULL || !same_row(entry->row, stored))
		add_suspect(comparison->set, comparison->frozen, entry ? entry->row : stored, false, &comparison->n);
}

/* The same for what no digest counts. */
static void
compare_beside(Comparison *comparison)
{
	const RowList *now = comparison->objects;
	List	   *rows;

	if (!sd_beside_kept())
		return;
	if (!sd_beside_filled())
	{
		/* then all is looked at */
		comparison->n = Max(comparison->n, 1);
		return;
	}
	rows = sd_beside_all();
	for (int i = 0; i < now->n; i++)
	{
		const SdObjectRow *object = &now->rows[i];
		const SdBeside *row = rows != NIL ? sd_beside_row(rows, object->kind, object->identity) : NULL;

		if (strcmp(object->beside, row ? row->text : "") != 0 || object->beside_apart != (row && row->apart))
			add_suspect(comparison->set, comparison->frozen, object, false, &comparison->n);
	}
}

int64
sd_digest_suspects(SdTouched *set, int *n)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "schemadrift digest", ALLOCSET_DEFAULT_SIZES);
	Comparison	comparison = {.set = set};
	SdScope		scope;
	int			guc_level;
	SdHasher   *hasher;
	RowList		now;

	MemoryContextSwitchTo(context);
	sd_store_enter(&scope);
	guc_level = sd_canonical_enter();
	hasher = sd_hasher_create();
	now = scan_rows(hasher);
	comparison.objects = &now;
	comparison.now = locate(now.rows, now.n);
	comparison.seen = palloc0(Max(now.n, 1) * sizeof(bool));
	comparison.frozen = sd_frozen_read();
	sd_objects_each(compare_stored, &comparison);
	for (int i = 0; i < now.n; i++)
		if (!comparison.seen[i])
			add_suspect(set, comparison.frozen, &now.rows[i], true, &comparison.n);
	compare_beside(&comparison);
	sd_hasher_free(hasher);
	sd_canonical_leave(guc_level);
	sd_store_leave(&scope);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	*n = comparison.n;
	return now.n;
}

/* ... but changes are named by name: an index that got another OID is no change. */
static List *
list_differences(const SdObjectRow *old, int nold, const RowList *now)
{
	const SdObjectRow **before = sort_by_name(old, nold);
	const SdObjectRow **after = sort_by_name(now->rows, now->n);
	List	   *changed = NIL;
	int			i = 0;
	int			j = 0;

	while (i < nold || j < now->n)
	{
		int			order = i == nold ? 1 : j == now->n ? -1 : compare_names(&before[i], &after[j]);

		if (order < 0)
			changed = lappend(changed, sd_object_digest(before[i], true, before[i]));
		else if (order > 0 || memcmp(before[i]->hash, after[j]->hash, SD_OBJECT_HASH_SIZE) != 0)
			changed = lappend(changed, sd_object_digest(after[j], false, order > 0 ? NULL : before[i]));
		i += order <= 0;
		j += order >= 0;
	}
	pfree(before);
	pfree(after);
	return changed;
}

static void
settle_beside(const SdObjectRow *old, int nold, const RowList *now, List **beside, MemoryContext caller)
{
	const SdObjectRow **before = palloc_extended(Max(nold, 1) * sizeof(SdObjectRow *), MCXT_ALLOC_HUGE);
	const SdObjectRow **after = palloc_extended(Max(now->n, 1) * sizeof(SdObjectRow *), MCXT_ALLOC_HUGE);

	for (int i = 0; i < nold; i++)
		before[i] = &old[i];
	for (int i = 0; i < now->n; i++)
		after[i] = &now->rows[i];
	sd_beside_settle(before, nold, after, now->n, true, beside, caller);
}

SdDigest
sd_digest_rebuild_changed(List **changed, List **beside)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "schemadrift digest", ALLOCSET_DEFAULT_SIZES);
	SdScope		scope;
	int			guc_level;
	SdHasher   *hasher;
	SdObjectRow *old;
	int			nold;
	RowList		now;
	SdDigest	root = {{0}};
	SdDigestRow row = {.form = SD_DIGEST_FORM, .catalog_version = CATALOG_VERSION_NO};

	MemoryContextSwitchTo(context);
	CommandCounterIncrement();
	sd_store_enter(&scope);
	guc_level = sd_canonical_enter();
	hasher = sd_hasher_create();

	old = sd_objects_all(&nold);
	/* SPI leaves its own context behind, and what is found now is needed after SPI is gone */
	MemoryContextSwitchTo(context);
	now = scan_rows(hasher);
	keep_frozen(&now, old, nold);
	MemoryContextSwitchTo(context);
	for (int i = 0; i < now.n; i++)
		sd_root_add(hasher, &root, &now.rows[i]);
	write_differences(old, nold, &now);
	(void) sd_local_patterns(&row.local);
	memcpy(row.root, root.byte, SD_DIGEST_LENGTH);
	sd_digest_row_write(&row);
	settle_beside(old, nold, &now, beside, caller);

	sd_hasher_free(hasher);
	sd_canonical_leave(guc_level);
	sd_store_leave(&scope);
	MemoryContextSwitchTo(caller);
	if (changed)
		*changed = list_differences(old, nold, &now);
	MemoryContextDelete(context);
	return root;
}

SdDigest
sd_digest_rebuild(void)
{
	return sd_digest_rebuild_changed(NULL, NULL);
}
