/*
 * rows.h: cells of our tables that are more than a number or a text.  Needs a scope (sql.h).
 */
#ifndef SD_STORE_ROWS_H
#define SD_STORE_ROWS_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "consensus/ballot.h"
#include "store/sql.h"
#include "utils/uuid.h"

#define SD_UUID(u) UUIDPGetDatum((pg_uuid_t *) (u))

/* 32 bytes, as a bytea parameter */
extern Datum sd_row_hash_datum(const uint8 *hash);

/* a list of char *, as a text[] parameter */
extern Datum sd_row_texts(List *texts);

/* of the last result, row and column; a hash of another size is corruption */
extern void sd_row_hash(uint64 row, int column, uint8 *hash);
extern pg_uuid_t sd_row_uuid(uint64 row, int column);
extern void sd_row_ref(uint64 row, int column, SdEntryRef *ref);	/* two columns: entry id, hash */

/*
 * In a list that is sorted by kind and identity of objects, bytewise, as the store gives it: the item of this object, or NULL.  name_of
 * says which object an item is of.
 */
typedef void (*SdNameOf) (const void *item, const char **kind, const char **identity);

extern void *sd_row_of_object(List *items, const char *kind, const char *identity, SdNameOf name_of);

#endif							/* SD_STORE_ROWS_H */
