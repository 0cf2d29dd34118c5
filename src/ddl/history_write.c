/*
 * history_write.c: rows of a tool's history, written as an entry of the log says; see history_rows.h.
 *
 * Runs in the applier, and in the backend that reverts.  Locks: the table as any INSERT does; a sequence that is moved on, until the
 * end of the transaction.
 *
 * Rows go past triggers, rules and row policies, as in replication: what those did at the origin to other tables is that region's, and
 * what they did to other history tables is in the entry.  Whose rows they are decides what may be written: privileges of the role
 * that wrote them are looked at, and the table's own code (checks, expressions of indexes) runs with its rights.
 */
#include "compat.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ddl/allowed.h"
#include "ddl/classify.h"
#include "ddl/history_rows.h"
#include "ddl/history_tables.h"
#include "store/sql.h"

/* A row of the entry, to be met by one of the table. */
typedef struct Wanted
{
	char	   *joined;			/* key, or all columns where there is none */
	char	  **image;
	bool		insert;
	bool		met;			/* a deleted one: found; an inserted one: there already */
} Wanted;

typedef struct Writing
{
	const SdHistoryRows *rows;
	Relation	rel;
	List	   *numbers;		/* of its columns */
	List	   *all;			/* indexes of all columns in an image, and ... */
	List	   *key;			/* ... of those of the key */
	bool		may_be_there;	/* no key, and replication may have brought the row */
	Wanted	   *wanted;
	int			n_wanted;
} Writing;

/* ---- the table ---- */

static Oid
find_table(const SdHistoryRows *rows)
{
	Oid			schema = get_namespace_oid(rows->schema, true);

	return OidIsValid(schema) ? get_relname_relid(rows->table, schema) : InvalidOid;
}

List *
sd_history_existing(List *rows)
{
	List	   *existing = NIL;
	ListCell   *lc;

	foreach(lc, rows)
		if (OidIsValid(find_table(lfirst(lc))))
			existing = lappend(existing, lfirst(lc));
	return existing;
}

static bool
may(Oid relation, AclMode mode)
{
	return pg_class_aclcheck(relation, GetUserId(), mode) == ACLCHECK_OK ||
		pg_attribute_aclcheck_all(relation, GetUserId(), mode, ACLMASK_ANY) == ACLCHECK_OK;
}

/* An UPDATE was made two of it, so the right to do that is enough.  What belongs to a partition is written by its root. */
static void
require_rights(Relation rel)
{
	Oid			relation = RelationGetRelid(rel);
	Oid			root = sd_history_root(relation);

	if (!may(relation, ACL_INSERT | ACL_UPDATE | ACL_DELETE) && !may(root, ACL_INSERT | ACL_UPDATE | ACL_DELETE))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(rel));
}

static void
require_plain_table(Relation rel, const SdHistoryRows *rows)
{
	if (rel->rd_rel->relkind != RELKIND_RELATION || RelationGetRelid(rel) < FirstNormalObjectId ||
		sd_is_own_schema(rows->schema) || RelationUsesLocalBuffers(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s.%s is no table into which rows of a tool's history could be written", rows->schema, rows->table)));
}

static void
map_columns(Writing *w)
{
	ListCell   *lc;

	foreach(lc, w->rows->columns)
	{
		AttrNumber	number = get_attnum(RelationGetRelid(w->rel), lfirst(lc));

		if (number <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("history table %s.%s has no column \"%s\" in this region", w->rows->schema, w->rows->table,
							(char *) lfirst(lc))));
		w->numbers = lappend_int(w->numbers, number);
		w->all = lappend_int(w->all, foreach_current_index(lc));
	}
	foreach(lc, w->rows->key)
	{
		ListCell   *column;

		foreach(column, w->rows->columns)
			if (strcmp(lfirst(lc), lfirst(column)) == 0)
				w->key = lappend_int(w->key, foreach_current_index(column));
	}
	if (w->key == NIL)
		w->key = w->all;
}

/* ---- which rows are there ---- */

static int
compare_wanted(const void *a, const void *b)
{
	const Wanted *wa = a;
	const Wanted *wb = b;
	int			order = strcmp(wa->joined, wb->joined);

	/* of one key, what is to go comes first */
	return order != 0 ? order : (int) wa->insert - (int) wb->insert;
}

static void
add_wanted(Writing *w, List *images, bool insert)
{
	ListCell   *lc;

	foreach(lc, images)
		w->wanted[w->n_wanted++] = (Wanted) {.joined = sd_history_joined(lfirst(lc), w->key), .image = lfirst(lc), .insert = insert};
}

static Wanted *
first_wanted(const Writing *w, const char *joined)
{
	int			low = 0;
	int			high = w->n_wanted;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (strcmp(w->wanted[middle].joined, joined) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < w->n_wanted && strcmp(w->wanted[low].joined, joined) == 0 ? &w->wanted[low] : NULL;
}

static bool
same_image(const Writing *w, char *const *a, char *const *b)
{
	return strcmp(sd_history_joined(a, w->all), sd_history_joined(b, w->all)) == 0;
}

/* A row of the table: has it to go?  What the entry says of its key is noted. */
static bool
has_to_go(Writing *w, char *const *image)
{
	const char *joined = sd_history_joined(image, w->key);
	Wanted	   *wanted = first_wanted(w, joined);
	Wanted	   *end = w->wanted + w->n_wanted;
	bool		by_key = w->rows->key != NIL;

	for (; wanted && wanted < end && strcmp(wanted->joined, joined) == 0; wanted++)
	{
		if (wanted->met)
			continue;
		if (!wanted->insert)
		{
			/* replaced, by a row that is perhaps there already: the next one of this key says */
			wanted->met = true;
			if (!by_key || wanted + 1 == end || strcmp(wanted[1].joined, joined) != 0)
				return true;
			continue;
		}
		if (by_key || w->may_be_there || w->rows->whole)
		{
			wanted->met = same_image(w, wanted->image, image);
			return !wanted->met;
		}
	}
	return w->rows->whole;
}

/* Without a key a row that is there may be another one that looks the same; unless something else than we writes here, too. */
static bool
is_subscribed(Oid relation)
{
	static SdStatement statement = {
		.sql = "SELECT FROM pg_subscription_rel WHERE srrelid = $1", .nargs = 1, .types = {OIDOID}
	};
	Datum		value = ObjectIdGetDatum(relation);
	SdScope		scope;
	bool		found;

	sd_store_enter(&scope);
	found = sd_store_run(&statement, &value, NULL, SD_ANY_ROWS) > 0;
	sd_store_leave(&scope);
	return found;
}

static void
remove_rows(Writing *w, Snapshot snapshot)
{
	MemoryContext each = AllocSetContextCreate(CurrentMemoryContext, "schemadrift history row", ALLOCSET_DEFAULT_SIZES);
	TupleTableSlot *slot = table_slot_create(w->rel, NULL);
	TableScanDesc scan = table_beginscan(w->rel, snapshot, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(each);
		bool		goes;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		goes = has_to_go(w, sd_history_image(RelationGetDescr(w->rel), w->numbers, slot->tts_values, slot->tts_isnull));
		MemoryContextSwitchTo(old);
		if (goes)
			simple_table_tuple_delete(w->rel, &slot->tts_tid, snapshot);
		MemoryContextReset(each);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(each);
}

/* ---- rows that come ---- */

static void
read_values(const Writing *w, char *const *image, TupleTableSlot *slot)
{
	TupleDesc	desc = RelationGetDescr(w->rel);
	ListCell   *lc;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * desc->natts);
	memset(slot->tts_values, 0, sizeof(Datum) * desc->natts);
	foreach(lc, w->numbers)
	{
		const char *text = image[foreach_current_index(lc)];
		Form_pg_attribute column = TupleDescAttr(desc, lfirst_int(lc) - 1);
		Oid			function;
		Oid			parameter;

		getTypeInputInfo(column->atttypid, &function, &parameter);
		/* a domain looks at NULL, too */
		if (text || get_typtype(column->atttypid) == TYPTYPE_DOMAIN)
			slot->tts_values[lfirst_int(lc) - 1] = OidInputFunctionCall(function, unconstify(char *, text), parameter, column->atttypmod);
		slot->tts_isnull[lfirst_int(lc) - 1] = text == NULL;
	}
	ExecStoreVirtualTuple(slot);
}

static void
insert_rows(const Writing *w)
{
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	TupleTableSlot *slot = table_slot_create(w->rel, NULL);

	InitResultRelInfo(result, w->rel, 0, NULL, 0);
	result->ri_TrigDesc = NULL; /* none of them fires */
	estate->es_output_cid = GetCurrentCommandId(true);
	ExecOpenIndices(result, false);
	for (int i = 0; i < w->n_wanted; i++)
	{
		int			guc_level;

		if (!w->wanted[i].insert || w->wanted[i].met)
			continue;
		CHECK_FOR_INTERRUPTS();
		guc_level = sd_history_pin();
		read_values(w, w->wanted[i].image, slot);
		AtEOXact_GUC(true, guc_level);
		ExecSimpleRelationInsert(result, estate, slot);
		ResetPerTupleExprContext(estate);
	}
	ExecCloseIndices(result);
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
}

/* ---- sequences ---- */

/* The largest of a column's values; false: there is none that is a whole number. */
static bool
largest(const SdHistoryRows *rows, const char *column, int64 *value)
{
	bool		any = false;
	int			i = 0;
	ListCell   *lc;

	foreach(lc, rows->columns)
	{
		if (strcmp(lfirst(lc), column) == 0)
			break;
		i++;
	}
	foreach(lc, rows->inserted)
	{
		char	  **image = lfirst(lc);
		char	   *end;
		int64		one;

		if (i >= list_length(rows->columns) || image[i] == NULL)
			continue;
		errno = 0;
		one = strtoll(image[i], &end, 10);
		if (errno != 0 || *end != '\0')
			continue;
		*value = any ? Max(*value, one) : one;
		any = true;
	}
	return any;
}

/*
 * The tool's next run may be in this region: it shall not take the same number again.  The lock keeps others from taking one between
 * our look and our change.
 */
static void
move_sequences(const SdHistoryRows *rows, Oid relation)
{
	static SdStatement owned = {
		.sql = "SELECT d.objid, a.attname::text FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' "
		"JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid "
		"WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN ($1, $2) "
		"AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 ORDER BY 1",
		.nargs = 2, .types = {OIDOID, OIDOID}
	};
	static SdStatement move = {
		.sql = "SELECT pg_catalog.setval(s.seqrelid::regclass, $2) FROM pg_sequence s WHERE s.seqrelid = $1 AND s.seqincrement > 0 "
		"AND $2 BETWEEN s.seqmin AND s.seqmax AND coalesce(pg_sequence_last_value(s.seqrelid::regclass), s.seqmin - 1) < $2",
		.nargs = 2, .types = {OIDOID, INT8OID}
	};
	SdScope		scope;
	uint64		n;
	Oid		   *sequences;
	char	  **columns;

	if (rows->inserted == NIL)
		return;
	sd_store_enter(&scope);
	n = sd_store_run(&owned, (Datum[]) {ObjectIdGetDatum(relation), ObjectIdGetDatum(sd_history_root(relation))}, NULL, SD_ANY_ROWS);
	sequences = palloc(sizeof(Oid) * Max(n, 1));
	columns = palloc(sizeof(char *) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
	{
		bool		isnull;

		sequences[i] = DatumGetObjectId(sd_store_value(i, 1, &isnull));
		columns[i] = sd_store_text(i, 2);
	}
	for (uint64 i = 0; i < n; i++)
	{
		int64		value;

		if (!largest(rows, columns[i], &value))
			continue;
		LockRelationOid(sequences[i], ShareRowExclusiveLock);
		(void) sd_store_run(&move, (Datum[]) {ObjectIdGetDatum(sequences[i]), Int64GetDatum(value)}, NULL, SD_ANY_ROWS);
	}
	sd_store_leave(&scope);
}

/* ---- one table ---- */

static void
write_table(void *arg)
{
	Writing		w = {.rows = arg};
	Oid			relation = find_table(w.rows);
	Snapshot	snapshot;
	int			guc_level;

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("history table %s.%s does not exist in this region", w.rows->schema, w.rows->table)));
	w.rel = table_open(relation, RowExclusiveLock);
	require_plain_table(w.rel, w.rows);
	require_rights(w.rel);
	map_columns(&w);
	w.may_be_there = w.rows->key == NIL && is_subscribed(relation);
	w.wanted = palloc(sizeof(Wanted) * Max(1, list_length(w.rows->deleted) + list_length(w.rows->inserted)));
	add_wanted(&w, w.rows->deleted, false);
	add_wanted(&w, w.rows->inserted, true);
	qsort(w.wanted, w.n_wanted, sizeof(Wanted), compare_wanted);

	CommandCounterIncrement();
	snapshot = GetTransactionSnapshot();
	PushActiveSnapshot(snapshot);
	guc_level = sd_history_pin();
	remove_rows(&w, GetActiveSnapshot());
	AtEOXact_GUC(true, guc_level);
	CommandCounterIncrement();
	insert_rows(&w);
	PopActiveSnapshot();
	CommandCounterIncrement();
	table_close(w.rel, NoLock);
}

static void
say_table(void *arg)
{
	const SdHistoryRows *rows = arg;

	errcontext("rows of the history table %s.%s", rows->schema, rows->table);
}

void
sd_history_write(List *rows, SdExecuting as)
{
	ListCell   *lc;

	foreach(lc, rows)
	{
		SdHistoryRows *one = lfirst(lc);
		ErrorContextCallback where = {error_context_stack, say_table, one};

		error_context_stack = &where;
		sd_allowed_require_run_as(one->run_as);
		sd_script_work_as(one->run_as, as, write_table, one);
		move_sequences(one, find_table(one));
		error_context_stack = where.previous;
	}
}
