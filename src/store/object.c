/*
 * object.c: SQL on the tables of object digests; see object.h.
 *
 * Sets travel as arrays, so a change of ten thousand objects is as few statements as one of one.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "store/object.h"
#include "store/rows.h"
#include "store/sql.h"

static Datum
oid_array(const Oid *oids, int n)
{
	Datum	   *elements = palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		elements[i] = ObjectIdGetDatum(oids[i]);
	return PointerGetDatum(construct_array(elements, n, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

static void
read_hash(SdObjectRow *row, const bytea *hash)
{
	if (VARSIZE_ANY_EXHDR(hash) != SD_OBJECT_HASH_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the digest of %s \"%s\" is damaged", row->kind, row->identity),
				 errhint("Somebody changed the tables of schema schemadrift_store by hand.")));
	memcpy(row->hash, VARDATA_ANY(hash), SD_OBJECT_HASH_SIZE);
}

static SdObjectRow *
read_rows(uint64 n)
{
	SdObjectRow *rows = SPI_palloc(Max(n, 1) * sizeof(SdObjectRow));

	for (uint64 i = 0; i < n; i++)
	{
		bytea	   *hash = sd_store_bytea(i, 5);
		bool		isnull;

		rows[i].classid = DatumGetObjectId(sd_store_value(i, 1, &isnull));
		rows[i].objid = DatumGetObjectId(sd_store_value(i, 2, &isnull));
		rows[i].kind = sd_store_text(i, 3);
		rows[i].identity = sd_store_text(i, 4);
		read_hash(&rows[i], hash);
		pfree(hash);
		rows[i].names = sd_store_int64(i, 6);
		rows[i].beside = NULL;
		rows[i].beside_apart = false;
	}
	return rows;
}

SdObjectRow *
sd_objects_find(const Oid *classids, const Oid *objids, int n, int *n_found)
{
	/* nested loops into the primary key, whatever the planner thinks of the arrays' and the table's sizes */
	static SdStatement statement = {
		.sql = "SELECT o.classid, o.objid, o.kind, o.identity, o.hash, o.names"
		" FROM unnest($1, $2) AS k (classid, objid),"
		" LATERAL (SELECT * FROM schemadrift_store.object s WHERE s.classid = k.classid AND s.objid = k.objid"
		" OFFSET 0) AS o",
		.nargs = 2, .types = {OIDARRAYOID, OIDARRAYOID}
	};
	Datum		values[] = {oid_array(classids, n), oid_array(objids, n)};

	*n_found = sd_store_run(&statement, values, NULL, SD_ANY_ROWS);
	return read_rows(*n_found);
}

SdObjectRow *
sd_objects_named(List *kinds, List *identities, int *n_found)
{
	/* as above; DISTINCT: a name that is asked for twice is found once */
	static SdStatement statement = {
		.sql = "SELECT o.classid, o.objid, o.kind, o.identity, o.hash, o.names"
		" FROM (SELECT DISTINCT * FROM unnest($1, $2) AS n (kind, identity)) AS k,"
		" LATERAL (SELECT * FROM schemadrift_store.object s WHERE s.kind = k.kind COLLATE \"C\""
		" AND s.identity = k.identity COLLATE \"C\" OFFSET 0) AS o",
		.nargs = 2, .types = {TEXTARRAYOID, TEXTARRAYOID}
	};
	Datum		values[] = {sd_row_texts(kinds), sd_row_texts(identities)};

	*n_found = sd_store_run(&statement, values, NULL, SD_ANY_ROWS);
	return read_rows(*n_found);
}

typedef struct Visit
{
	SdObjectVisitor visit;
	void	   *arg;
	StringInfoData kind;
	StringInfoData identity;
} Visit;

static char *
terminated(StringInfo buffer, Datum value)
{
	text	   *string = DatumGetTextPP(value);

	resetStringInfo(buffer);
	appendBinaryStringInfo(buffer, VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
	return buffer->data;
}

static void
visit_slot(void *arg, TupleTableSlot *slot)
{
	Visit	   *visit = arg;
	SdObjectRow row;

	row.classid = DatumGetObjectId(slot->tts_values[0]);
	row.objid = DatumGetObjectId(slot->tts_values[1]);
	row.kind = terminated(&visit->kind, slot->tts_values[2]);
	row.identity = terminated(&visit->identity, slot->tts_values[3]);
	read_hash(&row, DatumGetByteaPP(slot->tts_values[4]));
	row.names = DatumGetInt64(slot->tts_values[5]);
	row.beside = NULL;
	row.beside_apart = false;
	visit->visit(visit->arg, &row);
}

void
sd_objects_each(SdObjectVisitor visitor, void *arg)
{
	static SdStatement statement = {
		.sql = "SELECT classid, objid, kind, identity, hash, names FROM schemadrift_store.object"
	};
	Visit		visit = {.visit = visitor, .arg = arg};

	initStringInfo(&visit.kind);
	initStringInfo(&visit.identity);
	sd_store_each(&statement, visit_slot, &visit);
	pfree(visit.kind.data);
	pfree(visit.identity.data);
}

typedef struct RowArray
{
	SdObjectRow *rows;
	int			n;
	int			size;
} RowArray;

static void
keep_row(void *arg, const SdObjectRow *row)
{
	RowArray   *array = arg;

	if (array->n == array->size)
	{
		array->size *= 2;
		array->rows = repalloc_huge(array->rows, array->size * sizeof(SdObjectRow));
	}
	array->rows[array->n] = *row;
	array->rows[array->n].kind = pstrdup(row->kind);
	array->rows[array->n++].identity = pstrdup(row->identity);
}

SdObjectRow *
sd_objects_all(int *n_found)
{
	RowArray	array = {.size = 1024};

	array.rows = palloc(array.size * sizeof(SdObjectRow));
	sd_objects_each(keep_row, &array);
	*n_found = array.n;
	return array.rows;
}

int64
sd_objects_count(void)
{
	static SdStatement statement = {.sql = "SELECT count(*) FROM schemadrift_store.object"};

	sd_store_run(&statement, NULL, NULL, 1);
	return sd_store_int64(0, 1);
}

void
sd_objects_delete(const Oid *classids, const Oid *objids, int n)
{
	static SdStatement statement = {
		.sql = "DELETE FROM schemadrift_store.object o USING unnest($1, $2) AS k (classid, objid)"
		" WHERE o.classid = k.classid AND o.objid = k.objid",
		.nargs = 2, .types = {OIDARRAYOID, OIDARRAYOID}
	};
	Datum		values[] = {oid_array(classids, n), oid_array(objids, n)};

	if (n > 0)
		sd_store_run(&statement, values, NULL, n);
}

void
sd_objects_put(const SdObjectRow *rows, int n)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.object AS o (classid, objid, kind, identity, hash, names)"
		" SELECT * FROM unnest($1, $2, $3, $4, $5, $6)"
		" ON CONFLICT (classid, objid) DO UPDATE SET kind = excluded.kind, identity = excluded.identity,"
		" hash = excluded.hash, names = excluded.names",
		.nargs = 6, .types = {OIDARRAYOID, OIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BYTEAARRAYOID, INT8ARRAYOID}
	};
	Oid		   *oids;
	Datum	   *elements;
	Datum		values[6];

	if (n == 0)
		return;
	oids = palloc(n * sizeof(Oid));
	elements = palloc(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
		oids[i] = rows[i].classid;
	values[0] = oid_array(oids, n);
	for (int i = 0; i < n; i++)
		oids[i] = rows[i].objid;
	values[1] = oid_array(oids, n);
	for (int i = 0; i < n; i++)
		elements[i] = CStringGetTextDatum(rows[i].kind);
	values[2] = PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
	for (int i = 0; i < n; i++)
		elements[i] = CStringGetTextDatum(rows[i].identity);
	values[3] = PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
	for (int i = 0; i < n; i++)
		elements[i] = PointerGetDatum(cstring_to_text_with_len((const char *) rows[i].hash, SD_OBJECT_HASH_SIZE));
	values[4] = PointerGetDatum(construct_array(elements, n, BYTEAOID, -1, false, TYPALIGN_INT));
	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(rows[i].names);
	values[5] = PointerGetDatum(construct_array(elements, n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	sd_store_run(&statement, values, NULL, n);
}

void
sd_digest_row_lock(void)
{
	static SdStatement statement = {.sql = "SELECT FROM schemadrift_store.digest FOR UPDATE"};

	sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
}

bool
sd_digest_row_read(SdDigestRow *row)
{
	static SdStatement statement = {.sql = "SELECT form, catalog_version, local, root FROM schemadrift_store.digest"};
	bytea	   *bytes;

	if (sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return false;
	row->form = sd_store_int32(0, 1);
	row->catalog_version = sd_store_int32(0, 2);
	row->local = sd_store_text(0, 3);
	bytes = sd_store_bytea(0, 4);
	if (VARSIZE_ANY_EXHDR(bytes) != SD_OBJECT_HASH_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the digest of the schema is damaged"),
				 errhint("Somebody changed the tables of schema schemadrift_store by hand.")));
	memcpy(row->root, VARDATA_ANY(bytes), SD_OBJECT_HASH_SIZE);
	return true;
}

void
sd_digest_row_write(const SdDigestRow *row)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.digest (form, catalog_version, local, root)"
		" VALUES ($1, $2, $3, $4) ON CONFLICT (one) DO UPDATE SET form = excluded.form,"
		" catalog_version = excluded.catalog_version, local = excluded.local, root = excluded.root",
		.nargs = 4, .types = {INT4OID, INT4OID, TEXTOID, BYTEAOID}
	};
	Datum		values[] = {
		Int32GetDatum(row->form),
		Int32GetDatum(row->catalog_version),
		CStringGetTextDatum(row->local),
		PointerGetDatum(cstring_to_text_with_len((const char *) row->root, SD_OBJECT_HASH_SIZE))
	};

	sd_store_run(&statement, values, NULL, 1);
}
