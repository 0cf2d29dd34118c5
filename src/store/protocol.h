/*
 * protocol.h: what this region speaks, what an entry needs, and whether all members have it.
 *
 * Protocol numbers N and N - 1 work together.  A region speaks what both its library and its SQL objects know: between
 * the restart with a new library and ALTER EXTENSION UPDATE that is the older one.  Every region tells it in its exchanges.
 * An entry carries the oldest protocol that understands it, so that most of them go on being understood by older regions;
 * one that needs more is proposed only when all members speak that.
 */
#ifndef SD_STORE_PROTOCOL_H
#define SD_STORE_PROTOCOL_H

#include "compat.h"

#include "utils/jsonb.h"

#define SD_PROTOCOL			2		/* this library speaks it; and one less */
#define SD_PROTOCOL_OLDEST	1
#define SD_PROTOCOL_FREEZES	2	/* obeys SD_FROZEN_KEY (entry.h) */

/*
 * Is there such a table in schema schemadrift_store?  Whoever reads a table that the oldest SQL objects lack asks this, and
 * takes a missing one for empty.  Cheap: from the system caches, so right at once after ALTER EXTENSION UPDATE.
 */
extern bool sd_store_has(const char *table);

/* Version of the SQL objects, as pg_extension says it; in a scope (sql.h).  The library's is SD_VERSION. */
extern char *sd_store_objects_version(void);

/* The newest protocol that this region speaks; in a transaction. */
extern int32 sd_protocol_own(void);
extern char *sd_protocol_text(void);	/* the same, for a parameter of a query */

/* The protocol that an entry needs; *what, if it is more than the oldest: the reason, in words. */
extern int32 sd_protocol_needed(const char *kind, Jsonb *payload, const char **what);

/* An error, 0A000, that names the regions to upgrade, unless all members speak it.  In a scope. */
extern void sd_protocol_require(int32 needed, const char *what);

/* The same for one other region, by what it told. */
extern void sd_protocol_require_region(const char *region, int32 needed, const char *what);

/* The same for a region that wants to join, and says that it speaks this: it must understand what comes.  In a scope. */
extern void sd_protocol_require_newcomer(const char *region, int32 speaks, int32 needed);

#endif							/* SD_STORE_PROTOCOL_H */
