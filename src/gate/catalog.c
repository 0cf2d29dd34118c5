/*
 * catalog.c: rows of system catalogs that this transaction wrote by itself; see catalog.h.
 *
 * Runs in backends; takes AccessShareLock on a catalog, and only where an entry is about to be made by a transaction that has such a
 * command.  A command is noted by its number before it writes.  Whether it wrote, and what, is read from the catalog itself at
 * the end: a row says by which command of its transaction it was made or taken away.  So a command that found no row, or was rolled
 * back to a savepoint, has done nothing, and DDL's own rows are told from these.
 */
#include "compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_description.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_range.h"
#include "catalog/pg_replication_origin.h"
#include "catalog/pg_seclabel.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_statistic_ext_data.h"
#include "catalog/pg_subscription_rel.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_config_map.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "storage/proc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "ddl/classify.h"
#include "errors.h"
#include "gate/catalog.h"

/* So many objects are named. */
#define MAX_NAMED	5

typedef struct Note
{
	Oid			catalog;
	CommandTag	tag;
	Bitmapset  *commands;		/* their numbers */
} Note;

/* In TopTransactionContext, and of this transaction only. */
static List *notes = NIL;
static LocalTransactionId noted_in = InvalidLocalTransactionId;

/* ---- while it runs ---- */

/* What lies in it is in no definition of any object, and no DDL goes by it: what regions make of a statement is the same. */
static bool
is_apart(Oid catalog)
{
	switch (catalog)
	{
		case StatisticRelationId:
		case StatisticExtDataRelationId:
		case LargeObjectRelationId:
		case SubscriptionRelRelationId:
		case DbRoleSettingRelationId:
		case ReplicationOriginRelationId:
			return true;
		case AuthIdRelationId:	/* local, but definitions have names of roles */
			return false;
		default:
			/* tables of information_schema are none */
			return !IsCatalogRelationOid(catalog) || sd_is_local_catalog(catalog);
	}
}

static Note *
find_note(Oid catalog, CommandTag tag)
{
	ListCell   *lc;
	Note	   *note;

	foreach(lc, notes)
	{
		note = lfirst(lc);
		if (note->catalog == catalog && note->tag == tag)
			return note;
	}
	note = palloc0(sizeof(Note));
	note->catalog = catalog;
	note->tag = tag;
	notes = lappend(notes, note);
	return note;
}

void
sd_catalog_note(Oid catalog, CommandTag tag)
{
	MemoryContext old;
	Note	   *note;

	if (is_apart(catalog))
		return;
	if (noted_in != sd_compat_lxid())
		notes = NIL;
	noted_in = sd_compat_lxid();
	old = MemoryContextSwitchTo(TopTransactionContext);
	note = find_note(catalog, tag);
	note->commands = bms_add_member(note->commands, (int) GetCurrentCommandId(false));
	MemoryContextSwitchTo(old);
}

/* ---- what it wrote ---- */

/* Catalogs whose rows have no name of their own: of what kind of object is a row, and in which column is that one's OID? */
static const struct
{
	Oid			catalog;
	Oid			class_id;
	AttrNumber	column;
	AttrNumber	sub_column;		/* number of a column of a table; 0: none */
	AttrNumber	class_column;	/* where rows themselves say the kind; 0: they do not */
}			owners[] =
{
	{AttributeRelationId, RelationRelationId, Anum_pg_attribute_attrelid, Anum_pg_attribute_attnum, 0},
	{AttrDefaultRelationId, RelationRelationId, Anum_pg_attrdef_adrelid, Anum_pg_attrdef_adnum, 0},
	{IndexRelationId, RelationRelationId, Anum_pg_index_indexrelid, 0, 0},
	{InheritsRelationId, RelationRelationId, Anum_pg_inherits_inhrelid, 0, 0},
	{PartitionedRelationId, RelationRelationId, Anum_pg_partitioned_table_partrelid, 0, 0},
	{SequenceRelationId, RelationRelationId, Anum_pg_sequence_seqrelid, 0, 0},
	{ForeignTableRelationId, RelationRelationId, Anum_pg_foreign_table_ftrelid, 0, 0},
	{AggregateRelationId, ProcedureRelationId, Anum_pg_aggregate_aggfnoid, 0, 0},
	{EnumRelationId, TypeRelationId, Anum_pg_enum_enumtypid, 0, 0},
	{RangeRelationId, TypeRelationId, Anum_pg_range_rngtypid, 0, 0},
	{TSConfigMapRelationId, TSConfigRelationId, Anum_pg_ts_config_map_mapcfg, 0, 0},
	{DependRelationId, InvalidOid, Anum_pg_depend_objid, Anum_pg_depend_objsubid, Anum_pg_depend_classid},
	{DescriptionRelationId, InvalidOid, Anum_pg_description_objoid, Anum_pg_description_objsubid, Anum_pg_description_classoid},
	{SecLabelRelationId, InvalidOid, Anum_pg_seclabel_objoid, Anum_pg_seclabel_objsubid, Anum_pg_seclabel_classoid},
};

static Datum
column_of(HeapTuple row, Relation catalog, AttrNumber column)
{
	bool		isnull;

	/* all of these are NOT NULL, and stand before what need not be there */
	return heap_getattr(row, column, RelationGetDescr(catalog), &isnull);
}

static ObjectAddress
object_of(HeapTuple row, Relation catalog)
{
	ObjectAddress object = {.classId = RelationGetRelid(catalog)};

	for (size_t i = 0; i < lengthof(owners); i++)
	{
		if (owners[i].catalog != object.classId)
			continue;
		object.classId = owners[i].class_column ? DatumGetObjectId(column_of(row, catalog, owners[i].class_column)) : owners[i].class_id;
		object.objectId = DatumGetObjectId(column_of(row, catalog, owners[i].column));
		/* int2 of pg_attribute and pg_attrdef, int4 of the others */
		if (owners[i].sub_column)
			object.objectSubId = TupleDescAttr(RelationGetDescr(catalog), owners[i].sub_column - 1)->atttypid == INT2OID ?
				DatumGetInt16(column_of(row, catalog, owners[i].sub_column)) : DatumGetInt32(column_of(row, catalog, owners[i].sub_column));
		return object;
	}
	if (is_objectclass_supported(object.classId))
		object.objectId = DatumGetObjectId(column_of(row, catalog, get_object_attnum_oid(object.classId)));
	return object;
}

/* NULL: it is gone, or has no name. */
static char *
name_of(HeapTuple row, Relation catalog)
{
	ObjectAddress object = object_of(row, catalog);
	char	   *name;

	if (!OidIsValid(object.objectId) || !is_objectclass_supported(object.classId))
		return NULL;
	name = getObjectDescription(&object, true);
	/* of a column that is not there */
	if (name == NULL && object.objectSubId != 0)
	{
		object.objectSubId = 0;
		name = getObjectDescription(&object, true);
	}
	return name;
}

/* Was this row made, or taken away, by one of these commands?  What was rolled back is not of the current transaction. */
static bool
is_written(const HeapTupleHeader row, const Bitmapset *commands)
{
	if (TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row)) && bms_is_member((int) HeapTupleHeaderGetCmin(row), commands))
		return true;
	if ((row->t_infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(row->t_infomask))
		return false;
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(row)) &&
		bms_is_member((int) HeapTupleHeaderGetCmax(row), commands);
}

/* of char *; *n: rows and former rows */
static List *
written_objects(const Note *note, int64 *n)
{
	Relation	catalog = table_open(note->catalog, AccessShareLock);
	TableScanDesc scan = table_beginscan(catalog, SnapshotAny, 0, NULL);
	List	   *names = NIL;
	HeapTuple	row;

	*n = 0;
	while ((row = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Buffer		buffer = ((HeapScanDesc) scan)->rs_cbuf;
		bool		written;
		char	   *name;

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		written = is_written(row->t_data, note->commands);
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		if (!written)
			continue;
		(*n)++;
		/* one more than is shown tells that there are more */
		name = list_length(names) <= MAX_NAMED ? name_of(row, catalog) : NULL;
		if (name && !list_member(names, makeString(name)))
			names = lappend(names, makeString(name));
	}
	table_endscan(scan);
	table_close(catalog, AccessShareLock);
	return names;
}

static void
append_note(StringInfo out, const Note *note, List *names)
{
	ListCell   *lc;

	appendStringInfo(out, "%s%s wrote to pg_catalog.%s", out->len > 0 ? "\n" : "", GetCommandTagName(note->tag), get_rel_name(note->catalog));
	foreach(lc, names)
	{
		if (foreach_current_index(lc) == MAX_NAMED)
		{
			appendStringInfoString(out, ", and others");
			break;
		}
		appendStringInfo(out, "%s%s", foreach_current_index(lc) == 0 ? ": " : ", ", strVal(lfirst(lc)));
	}
	appendStringInfoChar(out, '.');
}

void
sd_catalog_refuse(const char *subject)
{
	StringInfoData detail;
	ListCell   *lc;

	if (likely(noted_in != sd_compat_lxid()))
		return;
	initStringInfo(&detail);
	foreach(lc, notes)
	{
		int64		n;
		List	   *names = written_objects(lfirst(lc), &n);

		if (n > 0)
			append_note(&detail, lfirst(lc), names);
	}
	if (detail.len == 0)
		return;
	ereport(ERROR,
			(errcode(SD_ERRCODE_CANNOT_COORDINATE),
			 errmsg("cannot coordinate a change in a transaction that writes to system catalogs by itself"),
			 errdetail("%s\nOther regions would run the change (%s) without that, and come to something else.", detail.data, subject),
			 errhint("Nothing happened. Make the change by DDL alone. What only DML on a catalog can do is drift of this region, in a transaction of its own.")));
}
