/*
 * history_rows.c: what a transaction did to rows of a tool's history; see history_rows.h.
 *
 * Runs in backends, in XACT_EVENT_PRE_COMMIT; no lock but the one of reading the table.
 *
 * One scan with SnapshotAny tells it, whatever made the change: a row that this transaction inserted and has not deleted is new, one that was
 * there before and that it deleted or replaced is gone.  So savepoints, ON CONFLICT, MERGE, COPY, triggers and cascades all come
 * out right.  What a text did that all regions run is told apart by its command numbers.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "storage/proc.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ddl/history_rows.h"
#include "ddl/canonical.h"
#include "errors.h"
#include "store/entry.h"

/* ---- what texts did ---- */

typedef struct Range
{
	CommandId	from;
	CommandId	to;				/* the first one after it */
} Range;

static Range *ranges = NULL;
static int	n_ranges = 0;
static int	max_ranges = 0;
static LocalTransactionId ranges_of = InvalidLocalTransactionId;

CommandId
sd_history_text_begin(void)
{
	CommandCounterIncrement();
	return GetCurrentCommandId(false);
}

void
sd_history_text_end(CommandId from)
{
	CommandId	to;

	CommandCounterIncrement();
	to = GetCurrentCommandId(false);
	if (ranges_of != sd_compat_lxid())
	{
		ranges = NULL;			/* went with its transaction */
		n_ranges = max_ranges = 0;
		ranges_of = sd_compat_lxid();
	}
	if (to == from)
		return;
	/* a dump is thousands of statements, one after the other */
	if (n_ranges > 0 && ranges[n_ranges - 1].to == from)
	{
		ranges[n_ranges - 1].to = to;
		return;
	}
	if (n_ranges == max_ranges)
	{
		max_ranges = Max(16, max_ranges * 2);
		ranges = ranges ? repalloc(ranges, max_ranges * sizeof(Range))
			: MemoryContextAlloc(TopTransactionContext, max_ranges * sizeof(Range));
	}
	ranges[n_ranges++] = (Range) {from, to};
}

static bool
is_of_text(CommandId command)
{
	if (ranges_of != sd_compat_lxid())
		return false;
	for (int i = 0; i < n_ranges; i++)
		if (command >= ranges[i].from && command < ranges[i].to)
			return true;
	return false;
}

/* ---- images ---- */

int
sd_history_pin(void)
{
	int			guc_level = sd_canonical_enter();

	(void) set_config_option("array_nulls", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("xmloption", "content", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return guc_level;
}

char **
sd_history_image(TupleDesc desc, List *numbers, const Datum *values, const bool *nulls)
{
	char	  **image = palloc(sizeof(char *) * Max(1, list_length(numbers)));
	ListCell   *lc;

	foreach(lc, numbers)
	{
		int			number = lfirst_int(lc);
		Oid			function;
		bool		is_varlena;

		image[foreach_current_index(lc)] = NULL;
		if (nulls[number - 1])
			continue;
		getTypeOutputInfo(TupleDescAttr(desc, number - 1)->atttypid, &function, &is_varlena);
		image[foreach_current_index(lc)] = OidOutputFunctionCall(function, values[number - 1]);
	}
	return image;
}

char *
sd_history_joined(char *const *image, List *indexes)
{
	StringInfoData out;
	ListCell   *lc;

	initStringInfo(&out);
	foreach(lc, indexes)
	{
		const char *value = image[lfirst_int(lc)];

		if (value)
			appendStringInfo(&out, "%zu:%s,", strlen(value), value);
		else
			appendStringInfoString(&out, "-,");
	}
	return out.data;
}

/* Numbers of the columns whose values rows have; their names to *names. */
static List *
columns_of(Relation rel, List **names)
{
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *numbers = NIL;

	*names = NIL;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped || column->attgenerated != '\0')
			continue;
		numbers = lappend_int(numbers, i + 1);
		*names = lappend(*names, pstrdup(NameStr(column->attname)));
	}
	return numbers;
}

/* Primary key, else the index that is the replica identity; NIL: neither. */
static List *
key_of(Relation rel, List *numbers)
{
	Bitmapset  *key = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	List	   *names = NIL;
	int			i = -1;

	if (bms_is_empty(key))
		key = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_IDENTITY_KEY);
	while ((i = bms_next_member(key, i)) >= 0)
	{
		int			number = i + FirstLowInvalidHeapAttributeNumber;

		if (!list_member_int(numbers, number))
			return NIL;			/* a generated column: every region has its own */
		names = lappend(names, pstrdup(NameStr(TupleDescAttr(RelationGetDescr(rel), number - 1)->attname)));
	}
	return names;
}

/* ---- collecting ---- */

typedef enum Fate
{
	FATE_NONE,
	FATE_INSERTED,
	FATE_DELETED
} Fate;

/* Others may lock the row just now, so its header is looked at under the buffer's lock. */
static Fate
fate_of(TupleTableSlot *slot, bool whole)
{
	HeapTuple	tuple = ((HeapTupleTableSlot *) slot)->tuple;
	Buffer		buffer = ((BufferHeapTupleTableSlot *) slot)->buffer;
	HeapTupleHeader header = tuple->t_data;
	bool		in;
	bool		out;
	bool		in_by_text = false;
	bool		out_by_text = false;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	in = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(header));
	out = (header->t_infomask & HEAP_XMAX_INVALID) == 0 && !HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask) &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(header));
	if (in)
		in_by_text = is_of_text(HeapTupleHeaderGetCmin(header));
	if (out)
		out_by_text = is_of_text(HeapTupleHeaderGetCmax(header));
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);

	if (whole)
		return in && !out ? FATE_INSERTED : FATE_NONE;
	if (in && !in_by_text)
		return out ? FATE_NONE : FATE_INSERTED;
	return out && !out_by_text ? FATE_DELETED : FATE_NONE;
}

static int
compare_joined(const ListCell *a, const ListCell *b)
{
	return strcmp(((char **) lfirst(a))[0], ((char **) lfirst(b))[0]);
}

/* Each with its joined form in front, to be sorted. */
static List *
with_joined(List *images, List *all)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, images)
	{
		char	  **pair = palloc(sizeof(char *) * 2);

		pair[0] = sd_history_joined(lfirst(lc), all);
		pair[1] = (char *) lfirst(lc);
		result = lappend(result, pair);
	}
	list_sort(result, compare_joined);
	return result;
}

/* A row that was written as it had been is none that has changed. */
static void
cancel_out(SdHistoryRows *rows)
{
	List	   *all = NIL;
	List	   *deleted;
	List	   *inserted;
	int			i = 0;
	int			j = 0;

	if (rows->deleted == NIL || rows->inserted == NIL)
		return;
	for (int c = 0; c < list_length(rows->columns); c++)
		all = lappend_int(all, c);
	deleted = with_joined(rows->deleted, all);
	inserted = with_joined(rows->inserted, all);
	while (i < list_length(deleted) && j < list_length(inserted))
	{
		char	  **gone = list_nth(deleted, i);
		char	  **made = list_nth(inserted, j);
		int			order = strcmp(gone[0], made[0]);

		if (order == 0)
		{
			rows->deleted = list_delete_ptr(rows->deleted, gone[1]);
			rows->inserted = list_delete_ptr(rows->inserted, made[1]);
		}
		i += order <= 0;
		j += order >= 0;
	}
}

/* One table, or partition; NULL: nothing of it has changed. */
static SdHistoryRows *
collect_table(Oid relation, const SdHistoryNote *note)
{
	Relation	rel = try_relation_open(relation, AccessShareLock);
	SdHistoryRows *rows;
	TableScanDesc scan;
	TupleTableSlot *slot;
	List	   *numbers;
	int			guc_level;

	if (rel == NULL)
		return NULL;
	/* of another access method nothing is known of who wrote a row: digests see it */
	if (table_slot_callbacks(rel) != &TTSOpsBufferHeapTuple)
	{
		relation_close(rel, NoLock);
		return NULL;
	}
	rows = palloc0(sizeof(SdHistoryRows));
	rows->schema = get_namespace_name(RelationGetNamespace(rel));
	rows->table = pstrdup(RelationGetRelationName(rel));
	rows->run_as = note->run_as;
	/* all that is in a rewritten table is new: then the whole of it is told */
	rows->whole = note->truncated || sd_compat_was_rewritten(rel);
	numbers = columns_of(rel, &rows->columns);
	rows->key = key_of(rel, numbers);

	guc_level = sd_history_pin();
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, SnapshotAny, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		Fate		fate = fate_of(slot, rows->whole);
		char	  **image;

		CHECK_FOR_INTERRUPTS();
		if (fate == FATE_NONE)
			continue;
		slot_getallattrs(slot);
		image = sd_history_image(RelationGetDescr(rel), numbers, slot->tts_values, slot->tts_isnull);
		if (fate == FATE_INSERTED)
			rows->inserted = lappend(rows->inserted, image);
		else
			rows->deleted = lappend(rows->deleted, image);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	AtEOXact_GUC(true, guc_level);
	relation_close(rel, NoLock);
	cancel_out(rows);
	return rows->whole || rows->inserted != NIL || rows->deleted != NIL ? rows : NULL;
}

List *
sd_history_collect(List *notes)
{
	List	   *all = NIL;
	ListCell   *lc;

	foreach(lc, notes)
	{
		const SdHistoryNote *note = lfirst(lc);
		char		kind = get_rel_relkind(note->relation);
		List	   *relations = kind == RELKIND_PARTITIONED_TABLE ? find_all_inheritors(note->relation, AccessShareLock, NULL)
			: list_make1_oid(note->relation);
		ListCell   *part;

		foreach(part, relations)
		{
			SdHistoryRows *rows;

			/* it was dropped, or has nothing by itself */
			if (get_rel_relkind(lfirst_oid(part)) != RELKIND_RELATION)
				continue;
			rows = collect_table(lfirst_oid(part), note);
			if (rows)
				all = lappend(all, rows);
		}
	}
	return all;
}

/* ---- all rows ---- */

SdDigest
sd_history_digest(Oid relation)
{
	Relation	rel = table_open(relation, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	MemoryContext each = AllocSetContextCreate(CurrentMemoryContext, "schemadrift history row", ALLOCSET_DEFAULT_SIZES);
	int			guc_level = sd_history_pin();
	SdDigest	sum = {0};
	List	   *names;
	List	   *numbers = columns_of(rel, &names);
	List	   *all = NIL;

	for (int i = 0; i < list_length(numbers); i++)
		all = lappend_int(all, i);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(each);
		char	   *joined;
		uint8		hash[SD_SHA_SIZE];

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		joined = sd_history_joined(sd_history_image(RelationGetDescr(rel), numbers, slot->tts_values, slot->tts_isnull), all);
		sd_sha256(joined, strlen(joined), hash);
		/* a sum, so that their order does not matter, and the same row twice is not none */
		for (int i = 0, carry = 0; i < SD_DIGEST_LENGTH; i++)
		{
			carry += sum.byte[i] + hash[i];
			sum.byte[i] = (uint8) carry;
			carry >>= 8;
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(each);
	}
	AtEOXact_GUC(true, guc_level);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	MemoryContextDelete(each);
	table_close(rel, AccessShareLock);
	return sum;
}

/* ---- inverse ---- */

List *
sd_history_inverse(List *rows, const char **lost)
{
	List	   *inverse = NIL;
	ListCell   *lc;

	*lost = NULL;
	foreach(lc, rows)
	{
		SdHistoryRows *one = palloc(sizeof(SdHistoryRows));

		*one = *(SdHistoryRows *) lfirst(lc);
		if (one->whole)
		{
			*lost = psprintf("%s.%s", one->schema, one->table);
			one->whole = false;
		}
		one->deleted = ((SdHistoryRows *) lfirst(lc))->inserted;
		one->inserted = ((SdHistoryRows *) lfirst(lc))->deleted;
		inverse = lcons(one, inverse);
	}
	return inverse;
}
