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
 * logged root (ddl/drift.h) before the entry ran, NULL where that is not known (the change was made by hand).  changed: what
 * came out, as sd_digest_update() listed it.  Regions that were at the same schema, by the log, must be so after it, in
 * everything; what had drifted here is drift still, but for the objects that the entry changed.  One that had skipped a version
 * must agree on each object that the entry changed.  With policy "on_drift": "warn" a difference becomes drift and a warning.
 * Needs a scope, the DDL lock, and the digest table up to date.
 */
extern void sd_verify_entry(int64 version, Jsonb *payload, const SdDigest *before, List *changed, List *beside, const SdDigest *after);

#endif							/* SD_DDL_VERIFY_H */
