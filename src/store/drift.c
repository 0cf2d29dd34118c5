/*
 * drift.c: SQL on the table of drift; see drift.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/drift.h"
#include "store/entry.h"
#include "store/protocol.h"
#include "store/rows.h"
#include "store/sql.h"
#include "store/state.h"

#define COLUMNS "kind, identity, expected, actual, expected_definition, actual_definition, since, change, found, acknowledged"
#define AUTHOR	", CASE region WHEN (SELECT region FROM schemadrift_store.self) THEN " \
	"(SELECT nullif(b.author, '') FROM schemadrift_store.bypass b WHERE b.n = change) ELSE author END"
#define REGION	"coalesce($1, (SELECT region FROM schemadrift_store.self))"

bool
sd_drift_kept(void)
{
	return sd_store_has("drift");
}

static Datum
text_datum(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

static bool
read_hash(uint64 i, int column, uint8 *hash)
{
	bool		isnull;

	(void) sd_store_value(i, column, &isnull);
	if (!isnull)
		sd_row_hash(i, column, hash);
	return !isnull;
}

static List *
read_rows(uint64 n)
{
	List	   *rows = NIL;
	SdDriftRow *row = SPI_palloc(Max(n, 1) * sizeof(SdDriftRow));
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(row));

	for (uint64 i = 0; i < n; i++, row++)
	{
		bool		isnull;

		row->kind = sd_store_text(i, 1);
		row->identity = sd_store_text(i, 2);
		row->has_expected = read_hash(i, 3, row->expected);
		row->has_actual = read_hash(i, 4, row->actual);
		row->expected_definition = sd_store_text(i, 5);
		row->actual_definition = sd_store_text(i, 6);
		row->since = DatumGetTimestampTz(sd_store_value(i, 7, &isnull));
		row->change = sd_store_int64(i, 8);
		row->found = sd_store_text(i, 9);
		row->acknowledged = sd_store_text(i, 10);
		row->author = sd_store_text(i, 11);
		rows = lappend(rows, row);
	}
	MemoryContextSwitchTo(old);
	return rows;
}

List *
sd_drift_rows(const char *region)
{
	static SdStatement statement = {
		.sql = "SELECT " COLUMNS AUTHOR " FROM schemadrift_store.drift WHERE region = " REGION " ORDER BY kind, identity",
		.nargs = 1, .types = {TEXTOID}
	};
	bool		isnull;
	Datum		values[] = {text_datum(region, &isnull)};

	if (!sd_drift_kept())
		return NIL;
	return read_rows(sd_store_run(&statement, values, &isnull, SD_ANY_ROWS));
}

static void
name_of_row(const void *item, const char **kind, const char **identity)
{
	*kind = ((const SdDriftRow *) item)->kind;
	*identity = ((const SdDriftRow *) item)->identity;
}

SdDriftRow *
sd_drift_row_of(List *rows, const char *kind, const char *identity)
{
	return sd_row_of_object(rows, kind, identity, name_of_row);
}

List *
sd_drift_find(const char *region, List *kinds, List *identities)
{
	static SdStatement statement = {
		.sql = "SELECT " COLUMNS AUTHOR " FROM schemadrift_store.drift WHERE region = " REGION
		" AND (kind, identity) IN (SELECT * FROM unnest($2, $3)) ORDER BY kind, identity",
		.nargs = 3, .types = {TEXTOID, TEXTARRAYOID, TEXTARRAYOID}
	};
	bool		nulls[3] = {false, false, false};
	Datum		values[3];

	if (kinds == NIL || !sd_drift_kept())
		return NIL;
	values[0] = text_datum(region, &nulls[0]);
	values[1] = sd_row_texts(kinds);
	values[2] = sd_row_texts(identities);
	return read_rows(sd_store_run(&statement, values, nulls, SD_ANY_ROWS));
}

/*
 * With an object counts what hangs on it in pg_depend: a view's rule, a default.  Of what these refer to, a row type is its table's, an array
 * its element's.  What is otherwise in a schema, or in a function, keeps nobody from making what names it.
 */
List *
sd_drift_needed(List *kinds, List *identities)
{
	static SdStatement statement = {
		.sql = "WITH RECURSIVE part AS (SELECT classid, objid FROM schemadrift_store.object WHERE (kind, identity) IN (SELECT * FROM unnest($1, $2)) "
		"UNION SELECT d.classid, d.objid FROM part p JOIN pg_depend d ON d.refclassid = p.classid AND d.refobjid = p.objid "
		"WHERE d.deptype IN ('a', 'i', 'P', 'S')), "
		"used (classid, objid) AS (SELECT d.refclassid, d.refobjid FROM part p JOIN pg_depend d ON d.classid = p.classid AND d.objid = p.objid "
		"UNION SELECT d.refclassid, d.refobjid FROM used u JOIN pg_depend d ON d.classid = u.classid AND d.objid = u.objid WHERE d.deptype = 'i') "
		"SELECT " COLUMNS AUTHOR " FROM schemadrift_store.drift WHERE region = (SELECT region FROM schemadrift_store.self) "
		"AND (expected IS NULL OR kind IN ('table', 'foreign table', 'view', 'materialized view', 'type', 'domain')) "
		"AND (kind, identity) IN (SELECT o.kind, o.identity FROM used JOIN schemadrift_store.object o USING (classid, objid)) "
		"AND (kind, identity) NOT IN (SELECT * FROM unnest($1, $2)) ORDER BY kind, identity",
		.nargs = 2, .types = {TEXTARRAYOID, TEXTARRAYOID}
	};

	return read_rows(sd_store_run(&statement, (Datum[]) {sd_row_texts(kinds), sd_row_texts(identities)}, NULL, SD_ANY_ROWS));
}

void
sd_drift_put(const char *region, const SdDriftRow *row)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.drift AS d (region, " COLUMNS ", author) VALUES (" REGION ", $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) "
		"ON CONFLICT (region, kind, identity) DO UPDATE SET expected = excluded.expected, actual = excluded.actual, "
		"expected_definition = excluded.expected_definition, actual_definition = excluded.actual_definition, "
		"since = excluded.since, change = excluded.change, found = excluded.found, acknowledged = excluded.acknowledged, "
		"author = excluded.author",
		.nargs = 12, .types = {TEXTOID, TEXTOID, TEXTOID, BYTEAOID, BYTEAOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID,
		TEXTOID, TEXTOID, TEXTOID}
	};
	bool		nulls[12] = {false};
	Datum		values[12];

	if (!sd_drift_kept())
		return;
	values[0] = text_datum(region, &nulls[0]);
	values[1] = CStringGetTextDatum(row->kind);
	values[2] = CStringGetTextDatum(row->identity);
	nulls[3] = !row->has_expected;
	values[3] = row->has_expected ? sd_row_hash_datum(row->expected) : (Datum) 0;
	nulls[4] = !row->has_actual;
	values[4] = row->has_actual ? sd_row_hash_datum(row->actual) : (Datum) 0;
	values[5] = text_datum(row->expected_definition, &nulls[5]);
	values[6] = text_datum(row->actual_definition, &nulls[6]);
	values[7] = TimestampTzGetDatum(row->since);
	nulls[8] = row->change == 0;
	values[8] = Int64GetDatum(row->change);
	values[9] = CStringGetTextDatum(row->found);
	values[10] = text_datum(row->acknowledged, &nulls[10]);
	values[11] = text_datum(region ? row->author : NULL, &nulls[11]);
	sd_store_run(&statement, values, nulls, 1);
}

void
sd_drift_delete(const char *region, const char *kind, const char *identity)
{
	static SdStatement statement = {
		.sql = "DELETE FROM schemadrift_store.drift WHERE region = " REGION " AND kind = $2 AND identity = $3",
		.nargs = 3, .types = {TEXTOID, TEXTOID, TEXTOID}
	};
	bool		nulls[3] = {false, false, false};
	Datum		values[3];

	if (!sd_drift_kept())
		return;
	values[0] = text_datum(region, &nulls[0]);
	values[1] = CStringGetTextDatum(kind);
	values[2] = CStringGetTextDatum(identity);
	sd_store_run(&statement, values, nulls, SD_ANY_ROWS);
}

void
sd_drift_replace(const char *region, List *rows)
{
	static SdStatement statement = {
		.sql = "DELETE FROM schemadrift_store.drift WHERE region = $1", .nargs = 1, .types = {TEXTOID}
	};
	ListCell   *cell;

	if (!sd_drift_kept())
		return;
	sd_store_run(&statement, (Datum[]) {CStringGetTextDatum(region)}, NULL, SD_ANY_ROWS);
	foreach(cell, rows)
		sd_drift_put(region, lfirst(cell));
}

void
sd_drift_keep_regions(List *regions)
{
	static SdStatement statement = {
		.sql = "DELETE FROM schemadrift_store.drift WHERE region <> (SELECT region FROM schemadrift_store.self) AND region <> ALL ($1)",
		.nargs = 1, .types = {TEXTARRAYOID}
	};

	if (sd_drift_kept())
		sd_store_run(&statement, (Datum[]) {sd_row_texts(regions)}, NULL, SD_ANY_ROWS);
}

List *
sd_drift_undefined(int most)
{
	static SdStatement statement = {
		.sql = "SELECT " COLUMNS AUTHOR " FROM schemadrift_store.drift WHERE region = (SELECT region FROM schemadrift_store.self) "
		"AND expected IS NOT NULL AND expected_definition IS NULL ORDER BY random() LIMIT $1",
		.nargs = 1, .types = {INT4OID}
	};

	if (!sd_drift_kept())
		return NIL;
	return read_rows(sd_store_run(&statement, (Datum[]) {Int32GetDatum(most)}, NULL, SD_ANY_ROWS));
}

bool
sd_drift_learn_definition(const char *kind, const char *identity, const uint8 *expected, const char *definition)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.drift SET expected_definition = $4 "
		"WHERE region = (SELECT region FROM schemadrift_store.self) AND kind = $1 AND identity = $2 AND expected = $3",
		.nargs = 4, .types = {TEXTOID, TEXTOID, BYTEAOID, TEXTOID}
	};
	Datum		values[4];

	if (!sd_drift_kept())
		return false;
	values[0] = CStringGetTextDatum(kind);
	values[1] = CStringGetTextDatum(identity);
	values[2] = sd_row_hash_datum(expected);
	values[3] = CStringGetTextDatum(definition);
	return sd_store_run(&statement, values, NULL, SD_ANY_ROWS) > 0;
}

char *
sd_drift_lines(List *kinds, List *identities, int lines)
{
	static SdStatement statement = {
		.sql = "SELECT string_agg(line, E'\\n' ORDER BY n) || CASE WHEN max(total) > $3 THEN format(E'\\nand %s more', max(total) - $3) "
		"ELSE '' END FROM (SELECT row_number() OVER (ORDER BY d.kind, d.identity) AS n, count(*) OVER () AS total, "
		"format('%s %s %s, since %s%s', d.kind, d.identity, "
		"CASE WHEN d.actual IS NOT DISTINCT FROM d.expected THEN 'was changed while an online version worked on it' "
		"WHEN d.expected IS NULL THEN 'is here only' WHEN d.actual IS NULL THEN 'does not exist here' ELSE 'is defined differently here' END, "
		"date_trunc('second', d.since), "
		"CASE WHEN d.acknowledged IS NOT NULL THEN format(' (acknowledged: %s)', d.acknowledged) "
		"WHEN b.mode = 'found' THEN ' (not known by whom)' "
		"WHEN b.n IS NOT NULL THEN format(' (by %s, ddl_mode %s: %s)', b.author, b.mode, b.reason) ELSE '' END) AS line "
		"FROM schemadrift_store.drift d LEFT JOIN schemadrift_store.bypass b ON b.n = d.change "
		"WHERE d.region = (SELECT region FROM schemadrift_store.self) "
		"AND (d.kind, d.identity) IN (SELECT * FROM unnest($1, $2))) l WHERE n <= $3",
		.nargs = 3, .types = {TEXTARRAYOID, TEXTARRAYOID, INT4OID}
	};
	Datum		values[] = {sd_row_texts(kinds), sd_row_texts(identities), Int32GetDatum(lines)};

	sd_store_run(&statement, values, NULL, 1);
	return sd_store_text(0, 1);
}

List *
sd_drift_said(Jsonb *objects)
{
	/* an object that was made again under its old name is listed as dropped, too */
	static SdStatement statement = {
		.sql = "WITH entry AS (SELECT * FROM jsonb_to_recordset($1) AS e(kind text, identity text, hash text, dropped int)) "
		"SELECT e.kind, e.identity, decode(e.hash, 'hex'), h.hash, h.classid::bigint, h.objid::bigint "
		"FROM entry e LEFT JOIN schemadrift_store.object h ON h.kind = e.kind AND h.identity = e.identity "
		"WHERE e.dropped IS NULL OR NOT EXISTS (SELECT FROM entry a WHERE a.kind = e.kind AND a.identity = e.identity "
		"AND a.dropped IS NULL) ORDER BY e.kind COLLATE \"C\", e.identity COLLATE \"C\"",
		.nargs = 1, .types = {JSONBOID}
	};
	List	   *list = NIL;
	SdSaid	   *said;
	uint64		n;
	MemoryContext old;

	if (objects == NULL || !JB_ROOT_IS_ARRAY(objects))
		return NIL;
	n = sd_store_run(&statement, (Datum[]) {JsonbPGetDatum(objects)}, NULL, SD_ANY_ROWS);
	said = SPI_palloc(Max(n, 1) * sizeof(SdSaid));
	old = MemoryContextSwitchTo(GetMemoryChunkContext(said));
	for (uint64 i = 0; i < n; i++, said++)
	{
		said->here.kind = sd_store_text(i, 1);
		said->here.identity = sd_store_text(i, 2);
		said->exists = read_hash(i, 3, said->hash);
		said->is_here = read_hash(i, 4, said->here.hash);
		said->here.classid = (Oid) sd_store_int64(i, 5);
		said->here.objid = (Oid) sd_store_int64(i, 6);
		list = lappend(list, said);
	}
	MemoryContextSwitchTo(old);
	return list;
}

/* ---- what is asked of others ---- */

void
sd_said_replace(int64 version)
{
	static SdStatement forget = {.sql = "DELETE FROM schemadrift_store.said"};
	static SdStatement fill = {
		.sql = "INSERT INTO schemadrift_store.said (kind, identity, hash) "
		"SELECT DISTINCT ON (kind, identity) kind, identity, decode(hash, 'hex') FROM jsonb_to_recordset($1) AS e (kind text, identity text, hash text) "
		"WHERE kind IS NOT NULL AND identity IS NOT NULL AND hash ~ '^[0-9a-f]{64}$'",
		.nargs = 1, .types = {JSONBOID}
	};
	SdEntry    *entry;
	Jsonb	   *objects;

	if (!sd_store_has("said"))
		return;
	sd_store_run(&forget, NULL, NULL, SD_ANY_ROWS);
	entry = version > 0 ? sd_log_entry(version) : NULL;
	objects = entry ? sd_json_object(sd_entry_payload(entry), "objects") : NULL;
	if (objects && JB_ROOT_IS_ARRAY(objects))
		sd_store_run(&fill, (Datum[]) {JsonbPGetDatum(objects)}, NULL, SD_ANY_ROWS);
}

List *
sd_said_undefined(int most)
{
	static SdStatement statement = {
		.sql = "SELECT kind, identity FROM schemadrift_store.said WHERE definition IS NULL ORDER BY random() LIMIT $1",
		.nargs = 1, .types = {INT4OID}
	};
	List	   *rows = NIL;
	SdDriftRow *row;
	uint64		n;
	MemoryContext old;

	if (!sd_store_has("said"))
		return NIL;
	n = sd_store_run(&statement, (Datum[]) {Int32GetDatum(most)}, NULL, SD_ANY_ROWS);
	row = SPI_palloc(Max(n, 1) * sizeof(SdDriftRow));
	old = MemoryContextSwitchTo(GetMemoryChunkContext(row));
	memset(row, 0, Max(n, 1) * sizeof(SdDriftRow));
	for (uint64 i = 0; i < n; i++, row++)
	{
		row->kind = sd_store_text(i, 1);
		row->identity = sd_store_text(i, 2);
		rows = lappend(rows, row);
	}
	MemoryContextSwitchTo(old);
	return rows;
}

bool
sd_said_learn_definition(const char *kind, const char *identity, const uint8 *hash, const char *definition)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.said SET definition = $4 WHERE kind = $1 AND identity = $2 AND hash = $3 AND definition IS NULL",
		.nargs = 4, .types = {TEXTOID, TEXTOID, BYTEAOID, TEXTOID}
	};
	Datum		values[4];

	if (!sd_store_has("said"))
		return false;
	values[0] = CStringGetTextDatum(kind);
	values[1] = CStringGetTextDatum(identity);
	values[2] = sd_row_hash_datum(hash);
	values[3] = CStringGetTextDatum(definition);
	return sd_store_run(&statement, values, NULL, SD_ANY_ROWS) > 0;
}

char *
sd_said_definition(const char *kind, const char *identity, const uint8 *hash)
{
	static SdStatement statement = {
		.sql = "SELECT definition FROM schemadrift_store.said WHERE kind = $1 AND identity = $2 AND hash = $3 AND definition IS NOT NULL",
		.nargs = 3, .types = {TEXTOID, TEXTOID, BYTEAOID}
	};
	Datum		values[3];

	if (!sd_store_has("said"))
		return NULL;
	values[0] = CStringGetTextDatum(kind);
	values[1] = CStringGetTextDatum(identity);
	values[2] = sd_row_hash_datum(hash);
	return sd_store_run(&statement, values, NULL, SD_ANY_ROWS) > 0 ? sd_store_text(0, 1) : NULL;
}

/* ---- changes outside the log ---- */

#define REFERRED "EXISTS (SELECT FROM schemadrift_store.drift d WHERE d.change = b.n " \
	"AND d.region = (SELECT region FROM schemadrift_store.self))"

void
sd_bypass_settle(void)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.bypass b SET settled = clock_timestamp() WHERE settled IS NULL AND NOT " REFERRED
	};

	if (sd_drift_kept())
		sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
}

int64
sd_bypass_unseen(void)
{
	static SdStatement statement = {
		.sql = "SELECT coalesce(max(n), 0) FROM schemadrift_store.bypass b WHERE settled IS NULL AND NOT " REFERRED
	};

	if (!sd_drift_kept())
		return 0;
	sd_store_run(&statement, NULL, NULL, 1);
	return sd_store_int64(0, 1);
}
