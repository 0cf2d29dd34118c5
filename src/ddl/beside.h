/*
 * beside.h: what an object has beside its digest: privileges of which the oldest major that we support knows nothing.
 *
 * That is MAINTAIN, of 17.  GRANT ALL gives it there, so the same statement leaves something else in regions of two majors, while
 * their digests are to be equal: no digest, root or entry's "objects" counts it.  What there is to tell of it is kept in a table of
 * its own (store/beside.h), by the same work that keeps digests, and drift of it is a row of its own, of kind "maintain on table"
 * (ddl/drift_beside.c).  On a server that does not know it nothing of this is ever done.
 *
 * A line for each who has it otherwise than the kind has it by default: "maintain: "app": held", with a star where he may hand it on,
 * "none" of an owner who lost it; " by ..." if another than the owner gave it.  Apart is an object where somebody has it and not all other
 * rights, or all others and not it: what one statement does not leave on all majors alike.
 */
#ifndef SD_DDL_BESIDE_H
#define SD_DDL_BESIDE_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "store/beside.h"
#include "store/object.h"

/* The kind under which drift of it is told: with that of the object. */
#define SD_BESIDE_KIND		"maintain on "

/* The payload's key; of an array of {kind, identity, definition}. */
#define SD_BESIDE_KEY		"beside"

typedef struct SdBesideChange
{
	char	   *kind;			/* of the object */
	char	   *identity;
	char	   *was;			/* "": there was nothing to tell */
	char	   *now;			/* NULL: there is no such object any more */
} SdBesideChange;

/*
 * Makes the table fit objects that were looked at: as they were kept, and as they are; whole: they are all there are.  *changes, unless
 * NULL, becomes a List of SdBesideChange, in the caller's context: of objects that there were before.  Needs a scope.
 */
extern void sd_beside_settle(const SdObjectRow **before, int nbefore, const SdObjectRow **after, int nafter, bool whole,
							 List **changes, MemoryContext caller);

/* Is one of such changes of an object that is still there? */
extern bool sd_beside_any_changed(List *changes);

/* By kind and identity, for list_sort(): of SdBeside. */
extern int	sd_beside_compare(const ListCell *a, const ListCell *b);

/* "table" of "maintain on table"; NULL: another kind. */
extern const char *sd_beside_kind_of(const char *kind);

#endif							/* SD_DDL_BESIDE_H */
