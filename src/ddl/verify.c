/*
 * verify.c: did an entry leave here what it left at its origin?  See verify.h.
 *
 * Applier, and the backend that calls mark_applied().  No locking: the caller holds the DDL lock.
 */
#include "compat.h"

#include "ddl/verify.h"
#include "errors.h"
#include "store/entry.h"
#include "store/history.h"

#define SHOWN_OBJECTS	20

/* false: the entry has no such key, or of another length. */
static bool
hash_of(Jsonb *json, const char *key, uint8 *hash)
{
	char	   *hex = sd_json_text(json, key);

	if (hex == NULL || strlen(hex) != 2 * SD_DIGEST_LENGTH)
		return false;
	for (int i = 0; i < SD_DIGEST_LENGTH; i++)
	{
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		hash[i] = (uint8) byte;
	}
	pfree(hex);
	return true;
}

void
sd_verify_entry(int64 version, Jsonb *payload, const uint8 *before, const SdDigest *after)
{
	SdDigest	origin_before;
	SdDigest	origin_after;
	char	   *differ;
	bool		whole;

	/* digests of another canonical form say nothing about ours: a region still on an older release cannot check */
	if (sd_json_int64(payload, "form", SD_DIGEST_FORM) != SD_DIGEST_FORM)
		return;
	if (hash_of(payload, "after", origin_after.byte) && sd_digest_equal(after, &origin_after))
		return;

	whole = before != NULL && hash_of(payload, "before", origin_before.byte) &&
		memcmp(before, origin_before.byte, SD_DIGEST_LENGTH) == 0;
	differ = sd_history_differences(sd_json_object(payload, "objects"), SHOWN_OBJECTS);
	if (differ == NULL && !whole)
		return;
	ereport(ERROR,
			(errcode(SD_ERRCODE_DIVERGED),
			 errmsg("version " INT64_FORMAT " does not leave here what it left at its origin", version),
			 differ ? errdetail_internal("%s", differ) :
			 errdetail("Every object that it changed at its origin is equal here, but it changed others too."),
			 errhint("Compare these objects with the origin's and the data they depend on. "
					 "Then SELECT schemadrift.retry(), or revert() the migration.")));
}
