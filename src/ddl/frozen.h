/*
 * frozen.h: objects whose digests stand still while an online entry works on them.
 *
 * From the version that records the intent to the version that records the result, the rows of the relations that the
 * entry works on, and of everything that hangs on these (indexes, constraints, triggers, rules, policies), are kept as
 * they were: regions build at their own pace, and digests of versions in between must be the same everywhere.  Both versions
 * are in the log, so the set is the same in all regions at the same version.
 */
#ifndef SD_DDL_FROZEN_H
#define SD_DDL_FROZEN_H

#include "ddl/touched.h"

typedef struct SdFrozen SdFrozen;

/* Needs a scope; in the current memory context.  NULL: nothing is frozen. */
extern SdFrozen *sd_frozen_read(void);

/* NULL frozen: no.  Otherwise the version whose work it belongs to, else 0. */
extern int64 sd_frozen_by(const SdFrozen *frozen, Oid classid, Oid objid, const char *identity);

/*
 * Touch what an entry of the log froze, to be hashed again now that its task is closed: what is there of it, and what
 * has a digest although it is gone.  relations: the names, a list of char *.  Needs a scope.
 */
extern void sd_frozen_touch(SdTouched *set, List *relations);

#endif							/* SD_DDL_FROZEN_H */
