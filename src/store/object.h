/*
 * object.h: SQL on the tables of object digests.
 *
 * All functions need a scope (store/sql.h).  What they return is allocated in the context in which that was entered.
 */
#ifndef SD_STORE_OBJECT_H
#define SD_STORE_OBJECT_H

#include "compat.h"

#include "nodes/pg_list.h"

#define SD_OBJECT_HASH_SIZE	32

typedef struct SdObjectRow
{
	Oid			classid;
	Oid			objid;
	char	   *kind;
	char	   *identity;
	uint8		hash[SD_OBJECT_HASH_SIZE];
	int64		names;
	const char *beside;			/* of what was described: what no digest counts (ddl/beside.h), or ""; NULL: a row of the table */
	bool		beside_apart;
} SdObjectRow;

/* The rows of these objects, as far as there are any; n_found says how many. */
extern SdObjectRow *sd_objects_find(const Oid *classids, const Oid *objids, int n, int *n_found);
extern SdObjectRow *sd_objects_named(List *kinds, List *identities, int *n_found);	/* lists of char *, equally long */
extern SdObjectRow *sd_objects_all(int *n_found);

/* Each row, which is valid during the call; no statement may be run in it. */
typedef void (*SdObjectVisitor) (void *arg, const SdObjectRow *row);
extern void sd_objects_each(SdObjectVisitor visit, void *arg);
extern int64 sd_objects_count(void);

extern void sd_objects_delete(const Oid *classids, const Oid *objids, int n);
extern void sd_objects_put(const SdObjectRow *rows, int n);	/* inserts or overwrites */

/* The row over all of them.  all but root: how they were made. */
typedef struct SdDigestRow
{
	int			form;
	int			catalog_version;
	char	   *local;
	uint8		root[SD_OBJECT_HASH_SIZE];
} SdDigestRow;

/*
 * Keeps other changes of digests out until the end of the transaction: first of the rows that are locked (state.h).  Whoever changes the
 * schema outside the log does not have the DDL lock, and the row's root is read to be changed.
 */
extern void sd_digest_row_lock(void);

/* false if never written */
extern bool sd_digest_row_read(SdDigestRow *row);
extern void sd_digest_row_write(const SdDigestRow *row);

#endif							/* SD_STORE_OBJECT_H */
