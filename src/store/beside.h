/*
 * beside.h: SQL on the table of what objects have beside their digest.
 *
 * MAINTAIN, a privilege of 17: two regions of it compare it, and no digest counts it, since 15 and 16 have the same digests and
 * know no such thing (docs/fingerprint.md).  A row an object that has something to tell.
 *
 * All functions need a scope (store/sql.h).  What they return is allocated in the context in which that was entered.
 */
#ifndef SD_STORE_BESIDE_H
#define SD_STORE_BESIDE_H

#include "compat.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct SdBeside
{
	char	   *kind;
	char	   *identity;
	char	   *text;			/* lines as a definition has them */
	bool		apart;			/* otherwise than its other rights would have it; of what an entry says: not told */
} SdBeside;

/* On a server that knows more than the oldest, with a table for it. */
extern bool sd_beside_kept(void);

/* Have all objects been looked at since there is a table? */
extern bool sd_beside_filled(void);
extern void sd_beside_set_filled(void);

/* Of SdBeside, by kind and identity: all, or those of these names (lists of char *, equally long). */
extern List *sd_beside_all(void);
extern List *sd_beside_find(List *kinds, List *identities);

/* In such a list; NULL, and "" of the text: there is nothing to tell of that object. */
extern const SdBeside *sd_beside_row(List *rows, const char *kind, const char *identity);
extern const char *sd_beside_text(List *rows, const char *kind, const char *identity);

/* Inserts, overwrites, or deletes if there is nothing to tell. */
extern void sd_beside_put(const char *kind, const char *identity, const char *text, bool apart);

/* What an entry says (the array of its payload; NULL: nothing) of objects that are here, where this is kept: of SdBeside, text may be "". */
extern List *sd_beside_said(Jsonb *array);

#endif							/* SD_STORE_BESIDE_H */
