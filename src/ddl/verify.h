/*
 * verify.h: did an entry leave here what it left at its origin?
 *
 * An entry carries the digest of the schema before and after it, and the digest of each object it changed.
 */
#ifndef SD_DDL_VERIFY_H
#define SD_DDL_VERIFY_H

#include "utils/jsonb.h"

#include "ddl/digest.h"

/*
 * Error SD008, naming the objects, unless this region's schema has become what the entry says.  before: this region's
 * digest before the entry ran, NULL where that is not known (the change was made by hand).  Regions that were equal
 * before must be equal after it, in everything.  One that had drifted, or skipped a version, must agree on each object
 * that the entry changed.  Needs a scope, and the digest table up to date.
 */
extern void sd_verify_entry(int64 version, Jsonb *payload, const uint8 *before, const SdDigest *after);

#endif							/* SD_DDL_VERIFY_H */
