/*
 * rehearsed.c: which scripts dry_run() has found to be good; see rehearsed.h.
 *
 * Runs in backends; under SdDatabase.lock.
 */
#include "compat.h"

#include "lib/stringinfo.h"
#include "utils/timestamp.h"

#include "gate/rehearsed.h"
#include "shared.h"
#include "store/entry.h"

static void
hash_of(const char *up, const char *down, uint8 *sha)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	/* with the zero between them no other pair has these bytes */
	appendBinaryStringInfo(&bytes, up, strlen(up) + 1);
	appendStringInfoString(&bytes, down ? down : "");
	sd_sha256(bytes.data, bytes.len, sha);
	pfree(bytes.data);
}

void
sd_dry_run_note(const char *up, const char *down)
{
	SdDatabase *db = sd_shared_mine();
	SdRehearsed *slot;
	uint8		sha[SD_SHA_SIZE];
	TimestampTz now = GetCurrentTimestamp();

	if (db == NULL)
		return;
	hash_of(up, down, sha);
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	slot = &db->rehearsed[db->n_rehearsed++ % SD_REHEARSED];
	memcpy(slot->sha, sha, SD_SHA_SIZE);
	slot->at = now;
	LWLockRelease(&db->lock);
}

bool
sd_dry_run_noted(const char *up, const char *down, TimestampTz *at)
{
	SdDatabase *db = sd_shared_mine();
	uint8		sha[SD_SHA_SIZE];

	*at = 0;
	if (db == NULL)
		return false;
	hash_of(up, down, sha);
	LWLockAcquire(&db->lock, LW_SHARED);
	for (int i = 0; i < SD_REHEARSED; i++)
		if (memcmp(db->rehearsed[i].sha, sha, SD_SHA_SIZE) == 0)
			*at = Max(*at, db->rehearsed[i].at);
	LWLockRelease(&db->lock);
	return *at != 0;
}
