/*
 * rows.c: cells of our tables; see rows.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "store/rows.h"

Datum
sd_row_hash_datum(const uint8 *hash)
{
	bytea	   *bytes = palloc(VARHDRSZ + SD_SHA_SIZE);

	SET_VARSIZE(bytes, VARHDRSZ + SD_SHA_SIZE);
	memcpy(VARDATA(bytes), hash, SD_SHA_SIZE);
	return PointerGetDatum(bytes);
}

void
sd_row_hash(uint64 row, int column, uint8 *hash)
{
	bytea	   *bytes = sd_store_bytea(row, column);

	if (bytes == NULL || VARSIZE_ANY_EXHDR(bytes) != SD_SHA_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a hash in schema schemadrift_store has the wrong size")));
	memcpy(hash, VARDATA_ANY(bytes), SD_SHA_SIZE);
	pfree(bytes);
}

pg_uuid_t
sd_row_uuid(uint64 row, int column)
{
	bool		isnull;

	return *DatumGetUUIDP(sd_store_value(row, column, &isnull));
}

/* two columns: entry id, hash */
void
sd_row_ref(uint64 row, int column, SdEntryRef *ref)
{
	pg_uuid_t	id = sd_row_uuid(row, column);

	memcpy(ref->id, id.data, SD_ENTRY_ID_SIZE);
	sd_row_hash(row, column + 1, ref->sha);
}

Datum
sd_row_texts(List *texts)
{
	Datum	   *elements = palloc(Max(list_length(texts), 1) * sizeof(Datum));
	ListCell   *cell;

	foreach(cell, texts)
		elements[foreach_current_index(cell)] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(elements, list_length(texts), TEXTOID, -1, false, TYPALIGN_INT));
}

void *
sd_row_of_object(List *items, const char *kind, const char *identity, SdNameOf name_of)
{
	int			low = 0;
	int			high = list_length(items);

	while (low < high)
	{
		int			middle = (low + high) / 2;
		const char *its_kind;
		const char *its_identity;
		int			order;

		name_of(list_nth(items, middle), &its_kind, &its_identity);
		order = strcmp(kind, its_kind);
		if (order == 0)
			order = strcmp(identity, its_identity);
		if (order == 0)
			return list_nth(items, middle);
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
