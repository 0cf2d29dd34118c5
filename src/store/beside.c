/*
 * beside.c: SQL on the table of what objects have beside their digest; see beside.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "store/beside.h"
#include "store/protocol.h"
#include "store/rows.h"
#include "store/sql.h"

bool
sd_beside_kept(void)
{
	return SD_COMPAT_ACL_MAINTAIN != ACL_NO_RIGHTS && sd_store_has("beside");
}

/* A row without a name, of no object. */
bool
sd_beside_filled(void)
{
	static SdStatement statement = {.sql = "SELECT FROM schemadrift_store.beside WHERE kind = '' AND identity = ''"};

	return sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) > 0;
}

void
sd_beside_set_filled(void)
{
	static SdStatement statement = {.sql = "INSERT INTO schemadrift_store.beside VALUES ('', '', '', false) ON CONFLICT DO NOTHING"};

	sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
}

static List *
read_rows(uint64 n)
{
	List	   *rows = NIL;
	SdBeside   *row = SPI_palloc(Max(n, 1) * sizeof(SdBeside));
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(row));

	for (uint64 i = 0; i < n; i++, row++)
	{
		bool		isnull;

		row->kind = sd_store_text(i, 1);
		row->identity = sd_store_text(i, 2);
		row->text = sd_store_text(i, 3);
		row->apart = DatumGetBool(sd_store_value(i, 4, &isnull));
		rows = lappend(rows, row);
	}
	MemoryContextSwitchTo(old);
	return rows;
}

List *
sd_beside_all(void)
{
	static SdStatement statement = {
		.sql = "SELECT kind, identity, definition, apart FROM schemadrift_store.beside WHERE kind <> '' ORDER BY kind, identity"
	};

	return read_rows(sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS));
}

List *
sd_beside_find(List *kinds, List *identities)
{
	/* nested loops into the primary key, whatever the planner thinks of the arrays' and the table's sizes */
	static SdStatement statement = {
		.sql = "SELECT b.kind, b.identity, b.definition, b.apart FROM (SELECT DISTINCT * FROM unnest($1, $2) AS n (kind, identity)) AS k,"
		" LATERAL (SELECT * FROM schemadrift_store.beside s WHERE s.kind = k.kind COLLATE \"C\""
		" AND s.identity = k.identity COLLATE \"C\" OFFSET 0) AS b ORDER BY b.kind, b.identity",
		.nargs = 2, .types = {TEXTARRAYOID, TEXTARRAYOID}
	};

	if (kinds == NIL)
		return NIL;
	return read_rows(sd_store_run(&statement, (Datum[]) {sd_row_texts(kinds), sd_row_texts(identities)}, NULL, SD_ANY_ROWS));
}

static void
name_of(const void *item, const char **kind, const char **identity)
{
	*kind = ((const SdBeside *) item)->kind;
	*identity = ((const SdBeside *) item)->identity;
}

const SdBeside *
sd_beside_row(List *rows, const char *kind, const char *identity)
{
	return sd_row_of_object(rows, kind, identity, name_of);
}

const char *
sd_beside_text(List *rows, const char *kind, const char *identity)
{
	const SdBeside *row = sd_beside_row(rows, kind, identity);

	return row ? row->text : "";
}

void
sd_beside_put(const char *kind, const char *identity, const char *text, bool apart)
{
	static SdStatement put = {
		.sql = "INSERT INTO schemadrift_store.beside AS b VALUES ($1, $2, $3, $4) "
		"ON CONFLICT (kind, identity) DO UPDATE SET definition = excluded.definition, apart = excluded.apart",
		.nargs = 4, .types = {TEXTOID, TEXTOID, TEXTOID, BOOLOID}
	};
	static SdStatement forget = {
		.sql = "DELETE FROM schemadrift_store.beside WHERE kind = $1 AND identity = $2",
		.nargs = 2, .types = {TEXTOID, TEXTOID}
	};
	Datum		values[] = {CStringGetTextDatum(kind), CStringGetTextDatum(identity), CStringGetTextDatum(text), BoolGetDatum(apart)};

	sd_store_run(*text || apart ? &put : &forget, values, NULL, SD_ANY_ROWS);
}

List *
sd_beside_said(Jsonb *array)
{
	static SdStatement statement = {
		.sql = "SELECT e.kind, e.identity, e.definition, false FROM jsonb_to_recordset($1) AS e(kind text, identity text, definition text) "
		"JOIN schemadrift_store.object o ON o.kind = e.kind AND o.identity = e.identity WHERE e.definition IS NOT NULL "
		"ORDER BY e.kind COLLATE \"C\", e.identity COLLATE \"C\"",
		.nargs = 1, .types = {JSONBOID}
	};

	if (array == NULL || !JB_ROOT_IS_ARRAY(array) || !sd_beside_kept())
		return NIL;
	return read_rows(sd_store_run(&statement, (Datum[]) {JsonbPGetDatum(array)}, NULL, SD_ANY_ROWS));
}
