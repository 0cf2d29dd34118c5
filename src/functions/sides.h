/*
 * sides.h: two schemas side by side: this database's and a region's, or those of two regions.
 *
 * Runs in backends; reads, and changes nothing.  A comparison goes down a tree: 256 sums of each side, then the objects of the
 * buckets whose sums differ.  So it is two calls to a region, and another for definitions, whatever the size of its schema.
 */
#ifndef SD_FUNCTIONS_SIDES_H
#define SD_FUNCTIONS_SIDES_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "ddl/digest.h"
#include "store/beside.h"
#include "peer/client.h"

typedef struct SdSide
{
	SdClient   *client;			/* NULL: this database */
	const char *region;			/* for messages; NULL: this database, which is in no group */
	int64		version;		/* that its schema has followed the log to; 0: in no group */
	int			major;			/* of PostgreSQL */
	List	   *objects;		/* of this database: all of them, hashed at first need */
	SdDigest	sums[SD_BUCKETS];
} SdSide;

/* region: as in the struct.  The client stays the caller's. */
extern SdSide *sd_side_here(const char *region);
extern SdSide *sd_side_there(SdClient *client, const char *region);

typedef struct SdDifference
{
	char	   *kind;
	char	   *identity;
	const char *difference;		/* of a, seen from b: SD_MISSING, SD_EXTRA, SD_CHANGED */
} SdDifference;

#define SD_MISSING	"missing"
#define SD_EXTRA	"extra"
#define SD_CHANGED	"changed"

/* List of SdDifference, ordered by kind and identity.  Both are as they are now. */
extern List *sd_sides_differ(SdSide *a, SdSide *b);

/*
 * Canonical definitions, as they are now, of objects with these names (lists of char *, equally long): a list of char *
 * beside them, NULL where there is none, or it is too long.  What another region told is what it has a digest of.
 */
extern List *sd_side_definitions(SdSide *side, List *kinds, List *identities);

/*
 * What no digest counts (ddl/beside.h), as it is kept: of SdBeside, by kind and identity.  *known false: that region cannot say, its server or its
 * schemadrift being too old, or not having looked at its objects yet.
 */
extern List *sd_side_beside(SdSide *side, bool *known);

#endif							/* SD_FUNCTIONS_SIDES_H */
