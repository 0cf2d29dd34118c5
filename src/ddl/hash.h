/*
 * hash.h: from canonical definitions to digests, and their sum.
 */
#ifndef SD_DDL_HASH_H
#define SD_DDL_HASH_H

#include "compat.h"

#include "ddl/describe.h"
#include "ddl/digest.h"
#include "store/object.h"

/* One SHA-256 context for many hashes; freed with its memory context, or by sd_hasher_free() for the library's part. */
typedef struct SdHasher SdHasher;

extern SdHasher *sd_hasher_create(void);
extern void sd_hasher_free(SdHasher *hasher);

/* Of the text in UTF-8: the same whatever the database's encoding. */
extern void sd_hash_text(SdHasher *hasher, const char *string, int length, SdDigest *digest);

extern void sd_root_add(SdHasher *hasher, SdDigest *root, const SdObjectRow *row);
extern void sd_root_subtract(SdHasher *hasher, SdDigest *root, const SdObjectRow *row);

/* Which of the buckets that regions compare it lies in: the first byte of SHA-256(kind, 0, identity). */
extern int	sd_hash_bucket(SdHasher *hasher, const char *kind, const char *identity);

/* The row for a description, strings copied to the current memory context. */
extern SdObjectRow sd_hash_description(SdHasher *hasher, const SdDescription *description);

/* Every object of the schema, described and hashed; the description is valid during the call. */
typedef void (*SdScanVisitor) (void *arg, const SdDescription *description, SdObjectRow *row);
extern void sd_scan_objects(SdHasher *hasher, SdScanVisitor visit, void *arg);

/* The patterns of local objects as of the applied version: for sd_describer_create(), and as one string to compare. */
extern List *sd_local_patterns(char **joined);

/* sd_digest_rebuild(), with what changed, as sd_digest_update(). */
extern SdDigest sd_digest_rebuild_changed(List **changed, List **beside);

/* old: what there was under that name before, or NULL; of a dropped object row itself. */
extern SdObjectDigest *sd_object_digest(const SdObjectRow *row, bool dropped, const SdObjectRow *old);

#endif							/* SD_DDL_HASH_H */
