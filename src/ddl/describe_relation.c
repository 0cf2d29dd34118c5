/*
 * describe_relation.c: canonical definitions of tables, views, sequences and indexes; see describe.h.
 *
 * Backend and workers, inside a transaction.  Works from catalog rows: a relation is never opened.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl/canonical.h"
#include "ddl/describe.h"
#include "ddl/local.h"
#include "ddl/names.h"
#include "ddl/rows.h"

typedef struct Column
{
	FormData_pg_attribute fixed;
	char	   *options;
	char	   *fdw_options;
	int			statistics;
	char	   *initial;		/* canonical default or generation expression */
	Datum		acl;
	bool		has_acl;
} Column;

static int
compare_name(const void *a, const void *b)
{
	return strcmp(NameStr(((const Column *) a)->fixed.attname), NameStr(((const Column *) b)->fixed.attname));
}

static void
read_defaults(Oid relation, Column *columns, int n)
{
	SdRows		rows = sd_rows_find(SD_ROWS_DEFAULT, relation);

	for (int row = 0; row < rows.n; row++)
	{
		Form_pg_attrdef attrdef = (Form_pg_attrdef) GETSTRUCT(rows.tuple[row]);
		bool		isnull;
		Datum		tree = heap_getattr(rows.tuple[row], Anum_pg_attrdef_adbin, rows.desc, &isnull);

		for (int i = 0; i < n && !isnull; i++)
		{
			StringInfoData canonical;

			if (columns[i].fixed.attnum != attrdef->adnum)
				continue;
			initStringInfo(&canonical);
			sd_append_canonical(&canonical, TextDatumGetCString(tree), relation);
			columns[i].initial = canonical.data;
		}
	}
}

/* The live columns in their order. */
static Column *
read_columns(Oid relation, int natts, int *n)
{
	Column	   *columns = palloc0(Max(natts, 1) * sizeof(Column));
	SdRows		rows = sd_rows_find(SD_ROWS_COLUMN, relation);
	bool		has_default = false;

	*n = 0;
	for (int row = 0; row < rows.n && *n < natts; row++)
	{
		Column	   *column = &columns[*n];
		Datum		value;
		bool		isnull;

		memcpy(&column->fixed, GETSTRUCT(rows.tuple[row]), ATTRIBUTE_FIXED_PART_SIZE);
		if (column->fixed.attisdropped)
			continue;
		value = heap_getattr(rows.tuple[row], Anum_pg_attribute_attoptions, rows.desc, &isnull);
		column->options = sd_join_options(value, isnull);
		value = heap_getattr(rows.tuple[row], Anum_pg_attribute_attfdwoptions, rows.desc, &isnull);
		column->fdw_options = sd_join_options(value, isnull);
		value = sd_column_statistics(rows.tuple[row], rows.desc, &isnull);
		column->statistics = isnull ? -1 : sd_statistics_target(value);
		value = heap_getattr(rows.tuple[row], Anum_pg_attribute_attacl, rows.desc, &isnull);
		column->has_acl = !isnull;
		if (!isnull)
			column->acl = PointerGetDatum(DatumGetAclPCopy(value));
		has_default |= column->fixed.atthasdef;
		(*n)++;
	}
	if (has_default)
		read_defaults(relation, columns, *n);
	return columns;
}

static void
put_column(SdDescription *description, const Column *column, bool legacy_child)
{
	const FormData_pg_attribute *fixed = &column->fixed;
	StringInfoData line;

	initStringInfo(&line);
	sd_append_identifier(&line, NameStr(fixed->attname));
	appendStringInfoChar(&line, ' ');
	sd_append_type(&line, fixed->atttypid, fixed->atttypmod);
	if (OidIsValid(fixed->attcollation) && fixed->attcollation != get_typcollation(fixed->atttypid))
	{
		appendStringInfoString(&line, " collate ");
		sd_append_collation(&line, fixed->attcollation);
	}
	if (fixed->attnotnull)
		appendStringInfoString(&line, " not null");
	if (fixed->attidentity)
		appendStringInfo(&line, " identity %c", fixed->attidentity);
	if (fixed->attgenerated)
		appendStringInfo(&line, " generated %c", fixed->attgenerated);
	if (fixed->attstorage != get_typstorage(fixed->atttypid))
		appendStringInfo(&line, " storage %c", fixed->attstorage);
	if (fixed->attcompression)
		appendStringInfo(&line, " compression %c", fixed->attcompression);
	if (column->statistics >= 0)
		appendStringInfo(&line, " statistics %d", column->statistics);
	if (legacy_child && fixed->attislocal)
		appendStringInfoString(&line, " local");
	if (column->options)
		appendStringInfo(&line, " options (%s)", column->options);
	if (column->fdw_options)
		appendStringInfo(&line, " fdw options (%s)", column->fdw_options);
	if (column->initial)
		appendStringInfo(&line, " default %s", column->initial);
	sd_put(description, "column", line.data);
	if (column->has_acl)
	{
		StringInfoData property;

		initStringInfo(&property);
		appendStringInfoString(&property, "column ");
		sd_append_identifier(&property, NameStr(fixed->attname));
		appendStringInfoString(&property, " privileges");
		sd_put_privileges(description, property.data, column->acl, OBJECT_COLUMN, NULL);
	}
	sd_add_name(description, NameStr(fixed->attname), fixed->attnum);
}

/* Puts "inherits" lines, in order, and says whether there are any. */
static bool
put_parents(SdDescription *description, Oid relation, const char *property)
{
	SdRows		rows = sd_rows_find(SD_ROWS_PARENT, relation);	/* by inhseqno: in the order that matters */

	for (int row = 0; row < rows.n; row++)
	{
		Form_pg_inherits inherits = (Form_pg_inherits) GETSTRUCT(rows.tuple[row]);

		sd_put_name(description, property, sd_append_relation, inherits->inhparent);
		sd_put_flag(description, "detach pending", inherits->inhdetachpending);
	}
	return rows.n > 0;
}

static void
put_partition_key(SdDescription *description, Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(relation));
	Form_pg_partitioned_table key;
	oidvector  *opclasses;
	oidvector  *collations;
	List	   *expressions = NIL;
	Datum		value;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return;
	key = (Form_pg_partitioned_table) GETSTRUCT(tuple);
	opclasses = (oidvector *) DatumGetPointer(SysCacheGetAttr(PARTRELID, tuple, Anum_pg_partitioned_table_partclass,
															  &isnull));
	collations = (oidvector *) DatumGetPointer(SysCacheGetAttr(PARTRELID, tuple,
															   Anum_pg_partitioned_table_partcollation, &isnull));
	value = SysCacheGetAttr(PARTRELID, tuple, Anum_pg_partitioned_table_partexprs, &isnull);
	if (!isnull)
		expressions = sd_canonical_members(TextDatumGetCString(value), relation);

	sd_put_char(description, "partition strategy", key->partstrat, '\0');
	for (int i = 0; i < key->partnatts; i++)
	{
		StringInfoData line;

		initStringInfo(&line);
		if (key->partattrs.values[i] != 0)
			sd_append_column(&line, relation, key->partattrs.values[i]);
		else if (expressions != NIL)
		{
			appendStringInfoString(&line, linitial(expressions));
			expressions = list_delete_first(expressions);
		}
		appendStringInfoChar(&line, ' ');
		sd_append_opclass(&line, opclasses->values[i]);
		if (OidIsValid(collations->values[i]))
		{
			appendStringInfoString(&line, " collate ");
			sd_append_collation(&line, collations->values[i]);
		}
		sd_put(description, "partition key", line.data);
	}
	ReleaseSysCache(tuple);
}

static void
put_foreign(SdDescription *description, Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(FOREIGNTABLEREL, ObjectIdGetDatum(relation));
	HeapTuple	server;
	Datum		options;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return;
	server = SearchSysCache1(FOREIGNSERVEROID,
							 ObjectIdGetDatum(((Form_pg_foreign_table) GETSTRUCT(tuple))->ftserver));
	if (HeapTupleIsValid(server))
	{
		sd_put(description, "server", NameStr(((Form_pg_foreign_server) GETSTRUCT(server))->srvname));
		ReleaseSysCache(server);
	}
	options = SysCacheGetAttr(FOREIGNTABLEREL, tuple, Anum_pg_foreign_table_ftoptions, &isnull);
	sd_put_options(description, "foreign options", options, isnull);
	ReleaseSysCache(tuple);
}

static void
put_toast_options(SdDescription *description, Oid toast)
{
	HeapTuple	tuple;
	Datum		options;
	bool		isnull;

	if (!OidIsValid(toast))
		return;
	tuple = sd_rows_relation(toast);
	if (!HeapTupleIsValid(tuple))
		return;
	options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	sd_put_options(description, "toast options", options, isnull);
}

static void
put_view_query(SdDescription *description, Oid relation)
{
	Relation	catalog = table_open(RewriteRelationId, AccessShareLock);
	ScanKeyData keys[2];
	NameData	name;
	SysScanDesc scan;
	HeapTuple	tuple;

	namestrcpy(&name, "_RETURN");
	ScanKeyInit(&keys[0], Anum_pg_rewrite_ev_class, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
	ScanKeyInit(&keys[1], Anum_pg_rewrite_rulename, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&name));
	scan = systable_beginscan(catalog, RewriteRelRulenameIndexId, true, NULL, 2, keys);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		action = heap_getattr(tuple, Anum_pg_rewrite_ev_action, RelationGetDescr(catalog), &isnull);

		if (!isnull)
		{
			StringInfoData canonical;

			initStringInfo(&canonical);
			sd_append_canonical_view(&canonical, TextDatumGetCString(action));
			sd_put(description, "query", canonical.data);
		}
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
put_sequence(SdDescription *description, Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(relation));
	Oid			table;
	int32		column;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_sequence sequence = (Form_pg_sequence) GETSTRUCT(tuple);

		sd_put_type(description, "type", sequence->seqtypid, -1);
		sd_put_int(description, "start", sequence->seqstart, 1);
		sd_put_int(description, "increment", sequence->seqincrement, 1);
		sd_put_int(description, "minimum", sequence->seqmin, 1);
		appendStringInfo(&description->definition, "maximum: " INT64_FORMAT "\n", sequence->seqmax);
		sd_put_int(description, "cache", sequence->seqcache, 1);
		sd_put_flag(description, "cycle", sequence->seqcycle);
		ReleaseSysCache(tuple);
	}
	if (sequenceIsOwned(relation, DEPENDENCY_AUTO, &table, &column) ||
		sequenceIsOwned(relation, DEPENDENCY_INTERNAL, &table, &column))
	{
		StringInfoData owner;

		initStringInfo(&owner);
		sd_append_relation(&owner, table);
		appendStringInfoChar(&owner, '.');
		sd_append_column(&owner, table, column);
		sd_put(description, "owned by", owner.data);
	}
}

/* Keys, included columns, expressions and predicate. */
static void
put_index_columns(SdDescription *description, HeapTuple tuple, const Column *columns, int ncolumns)
{
	Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);
	List	   *expressions = NIL;
	oidvector  *opclasses;
	oidvector  *collations;
	int2vector *flags;
	Datum		value;
	bool		isnull;

	collations = (oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indcollation, &isnull));
	opclasses = (oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indclass, &isnull));
	flags = (int2vector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indoption, &isnull));
	value = SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indexprs, &isnull);
	if (!isnull)
		expressions = sd_canonical_members(TextDatumGetCString(value), index->indrelid);

	for (int i = 0; i < index->indnatts; i++)
	{
		bool		is_key = i < index->indnkeyatts;
		StringInfoData line;

		initStringInfo(&line);
		if (index->indkey.values[i] != 0)
			sd_append_column(&line, index->indrelid, index->indkey.values[i]);
		else if (expressions != NIL)
		{
			appendStringInfoString(&line, linitial(expressions));
			expressions = list_delete_first(expressions);
		}
		if (is_key)
		{
			appendStringInfoChar(&line, ' ');
			sd_append_opclass(&line, opclasses->values[i]);
			if (OidIsValid(collations->values[i]))
			{
				appendStringInfoString(&line, " collate ");
				sd_append_collation(&line, collations->values[i]);
			}
			if (flags->values[i] != 0)
				appendStringInfo(&line, " flags %d", flags->values[i]);
		}
		for (int j = 0; j < ncolumns; j++)
		{
			if (columns[j].fixed.attnum != i + 1)
				continue;
			if (columns[j].options)
				appendStringInfo(&line, " options (%s)", columns[j].options);
			if (columns[j].statistics >= 0)
				appendStringInfo(&line, " statistics %d", columns[j].statistics);
		}
		sd_put(description, is_key ? "key" : "include", line.data);
	}
	value = SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indpred, &isnull);
	sd_put_expression(description, "where", value, isnull, index->indrelid);
}

static void
put_index(SdDescription *description, Oid relation, int natts)
{
	HeapTuple	tuple = sd_rows_index(relation);
	Form_pg_index index;
	Column	   *columns;
	int			ncolumns;

	if (!HeapTupleIsValid(tuple))
		return;
	index = (Form_pg_index) GETSTRUCT(tuple);
	sd_put_name(description, "table", sd_append_relation, index->indrelid);
	sd_put_flag(description, "unique", index->indisunique);
	sd_put_flag(description, "nulls not distinct", index->indnullsnotdistinct);
	sd_put_flag(description, "primary", index->indisprimary);
	sd_put_flag(description, "exclusion", index->indisexclusion);
	sd_put_flag(description, "deferrable", !index->indimmediate);
	sd_put_flag(description, "replica identity", index->indisreplident);
	sd_put_flag(description, "invalid", !index->indisvalid);
	sd_put_flag(description, "not ready", !index->indisready || !index->indislive);
	columns = read_columns(relation, natts, &ncolumns);
	put_index_columns(description, tuple, columns, ncolumns);
}

static void
put_table(SdDescription *description, HeapTuple tuple)
{
	Form_pg_class class = (Form_pg_class) GETSTRUCT(tuple);
	bool		legacy_child;
	Column	   *columns;
	int			n;

	legacy_child = put_parents(description, class->oid, "inherits") && !class->relispartition;
	if (class->relispartition)
	{
		bool		isnull;
		Datum		bound = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &isnull);

		sd_put_expression(description, "partition bound", bound, isnull, InvalidOid);
	}
	columns = read_columns(class->oid, class->relnatts, &n);

	/* a restored dump puts an inheritance child's inherited columns first, so there the order says nothing */
	if (legacy_child)
		qsort(columns, n, sizeof(Column), compare_name);
	for (int i = 0; i < n; i++)
		put_column(description, &columns[i], legacy_child);
}

const char *
sd_relation_kind(char relkind)
{
	switch (relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			return "table";
		case RELKIND_FOREIGN_TABLE:
			return "foreign table";
		case RELKIND_VIEW:
			return "view";
		case RELKIND_MATVIEW:
			return "materialized view";
		case RELKIND_SEQUENCE:
			return "sequence";
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			return "index";
		default:
			return NULL;		/* TOAST tables; composite types, which are described as types */
	}
}

static bool
is_covered(SdDescriber *describer, Form_pg_class class)
{
	HeapTuple	index;
	HeapTuple	table;
	bool		covered = false;

	if (class->relpersistence == RELPERSISTENCE_TEMP)
		return false;
	if (class->relkind != RELKIND_INDEX && class->relkind != RELKIND_PARTITIONED_INDEX)
		return sd_name_is_covered(describer, class->relnamespace, NameStr(class->relname)) &&
			!sd_is_extension_member(describer, RelationRelationId, class->oid);

	/* indexes are the business of whoever has the table */
	index = sd_rows_index(class->oid);
	if (!HeapTupleIsValid(index) ||
		sd_local_is_leftover(NameStr(class->relname), ((Form_pg_index) GETSTRUCT(index))->indisvalid))
		return false;
	table = sd_rows_relation(((Form_pg_index) GETSTRUCT(index))->indrelid);
	if (HeapTupleIsValid(table))
	{
		Form_pg_class of = (Form_pg_class) GETSTRUCT(table);

		covered = sd_name_is_covered(describer, of->relnamespace, NameStr(of->relname)) &&
			!sd_is_extension_member(describer, RelationRelationId, of->oid);
	}
	return covered;
}

bool
sd_describe_relation(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_class class = (Form_pg_class) GETSTRUCT(tuple);
	const char *kind = sd_relation_kind(class->relkind);
	Datum		options;
	bool		isnull;

	if (kind == NULL || !is_covered(describer, class))
		return false;
	description->kind = kind;
	description->objid = class->oid;
	sd_append_qualified(&description->identity, class->relnamespace, NameStr(class->relname));

	if (class->relkind != RELKIND_INDEX && class->relkind != RELKIND_PARTITIONED_INDEX)
		sd_put_char(description, "persistence", class->relpersistence, RELPERSISTENCE_PERMANENT);
	sd_put_name(description, "access method", sd_append_access_method, class->relam);
	sd_put_type(description, "of type", class->reloftype, -1);
	sd_put_flag(description, "row security", class->relrowsecurity);
	sd_put_flag(description, "force row security", class->relforcerowsecurity);
	options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	sd_put_options(description, "options", options, isnull);

	switch (class->relkind)
	{
		case RELKIND_SEQUENCE:
			put_sequence(description, class->oid);
			break;
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			put_index(description, class->oid, class->relnatts);
			(void) put_parents(description, class->oid, "attached to");
			break;
		default:
			sd_put_char(description, "replica identity", class->relreplident,
						class->relkind == RELKIND_VIEW || class->relkind == RELKIND_FOREIGN_TABLE ?
						REPLICA_IDENTITY_NOTHING : REPLICA_IDENTITY_DEFAULT);
			put_toast_options(description, class->reltoastrelid);
			if (class->relkind == RELKIND_PARTITIONED_TABLE)
				put_partition_key(description, class->oid);
			if (class->relkind == RELKIND_FOREIGN_TABLE)
				put_foreign(description, class->oid);
			put_table(description, tuple);
			if (class->relhastriggers)
				sd_put_share_states(description, class->oid);
			if (class->relkind == RELKIND_VIEW || class->relkind == RELKIND_MATVIEW)
				put_view_query(description, class->oid);
			break;
	}
	return true;
}
