/*
 * drift.h: SQL on the table of drift: objects that are otherwise than the log says.
 *
 * All functions need a scope (sql.h).  region NULL: this one.  An older install of the SQL objects has no such table: nothing
 * is read then, and nothing written.  The rules that rows of this region follow are in ddl/drift.h.
 */
#ifndef SD_STORE_DRIFT_H
#define SD_STORE_DRIFT_H

#include "compat.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "store/object.h"

/* How it was seen; column "found". */
#define SD_FOUND_BYPASS		"bypass"
#define SD_FOUND_OBSERVE	"observe"
#define SD_FOUND_VERIFY		"verify"
#define SD_FOUND_ADOPT		"adopt"
#define SD_FOUND_REPLAY		"replay"

typedef struct SdDriftRow
{
	char	   *kind;
	char	   *identity;
	bool		has_expected;	/* false: by the log there is no such object */
	uint8		expected[SD_OBJECT_HASH_SIZE];
	bool		has_actual;		/* false: there is none here */
	uint8		actual[SD_OBJECT_HASH_SIZE];
	char	   *expected_definition;	/* NULL: not known, or there is none */
	char	   *actual_definition;
	TimestampTz since;
	int64		change;			/* 0: none */
	char	   *found;
	char	   *acknowledged;	/* NULL: it is not */
	char	   *author;			/* of that change; NULL: not known.  Written of other regions only: of this one bypass says it */
} SdDriftRow;

/* Is there a table for it? */
extern bool sd_drift_kept(void);

/* Of SdDriftRow *, by kind and identity; allocated in the context in which the scope was entered. */
extern List *sd_drift_rows(const char *region);

/* Among rows as they came; NULL: there is none of this object. */
extern SdDriftRow *sd_drift_row_of(List *rows, const char *kind, const char *identity);

/* Of these objects, as far as there are rows: lists of char *, equally long. */
extern List *sd_drift_find(const char *region, List *kinds, List *identities);

/* Rows of this region that these objects depend on, themselves or by what hangs on them, and that are not among them. */
extern List *sd_drift_needed(List *kinds, List *identities);

/* Inserts or overwrites. */
extern void sd_drift_put(const char *region, const SdDriftRow *row);
extern void sd_drift_delete(const char *region, const char *kind, const char *identity);

/* A copy of what another region told: these rows and no others. */
extern void sd_drift_replace(const char *region, List *rows);

/* Whatever was told by regions that are not among these (char *) goes. */
extern void sd_drift_keep_regions(List *regions);

/* Of SdDriftRow *: of this region, what exists by the log and is not known how; so many of them, others each time. */
extern List *sd_drift_undefined(int most);

/* The definition by the log of an object of this region, if the row still has that digest; false: it has not. */
extern bool sd_drift_learn_definition(const char *kind, const char *identity, const uint8 *expected, const char *definition);

/* Of own rows: "table public.t is defined differently here, since ..., by ...", a line each, at most `lines`. */
extern char *sd_drift_lines(List *kinds, List *identities, int lines);

/* An object as an entry says it is, beside what is here. */
typedef struct SdSaid
{
	bool		exists;			/* by the entry */
	uint8		hash[SD_OBJECT_HASH_SIZE];
	bool		is_here;
	SdObjectRow here;			/* kind and identity in any case */
} SdSaid;

/* objects: the array of an entry's payload.  Of SdSaid *, by kind and identity; reads table object as a whole. */
extern List *sd_drift_said(Jsonb *objects);

/* ---- what is asked of others, to say in what a replay differs: table said ---- */

/* The objects of that version's entry, instead of what is there; version 0: none. */
extern void sd_said_replace(int64 version);

/* As sd_drift_undefined() and sd_drift_learn_definition(); only kind and identity of the rows are set. */
extern List *sd_said_undefined(int most);
extern bool sd_said_learn_definition(const char *kind, const char *identity, const uint8 *hash, const char *definition);

/* NULL: no region has told it. */
extern char *sd_said_definition(const char *kind, const char *identity, const uint8 *hash);

/* ---- changes outside the log, in table bypass ---- */

/* Of this region: no drift is left of it.  Marks those that are not marked yet. */
extern void sd_bypass_settle(void);

/* The newest one that is not settled although no drift refers to it: what it did was not seen yet.  0: none. */
extern int64 sd_bypass_unseen(void);

#endif							/* SD_STORE_DRIFT_H */
