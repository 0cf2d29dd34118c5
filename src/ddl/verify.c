/*
 * verify.c: did an entry leave here what it left at its origin?  See verify.h.
 *
 * Applier, and the backend that calls mark_applied().  No locking: the caller holds the DDL lock.
 */
#include "compat.h"

#include "ddl/drift.h"
#include "ddl/verify.h"
#include "errors.h"
#include "store/drift.h"
#include "store/entry.h"
#include "store/policy.h"
#include "store/state.h"

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

/* As the newest policy says, applied or not: it is a way on for a region that is halted before it. */
static bool
policy_warns(void)
{
	SdPolicy	policy;

	sd_policy_parse(sd_policy_read(), &policy);
	return policy.drift_warns;
}

/* In the log of a region that goes on all the same. */
static void
warn(int64 version, const char *differ)
{
	ereport(WARNING,
			(errcode(SD_ERRCODE_DIVERGED),
			 errmsg("version " INT64_FORMAT " does not leave here what it left at its origin, and was applied all the same", version),
			 errdetail_internal("Policy \"on_drift\" is \"warn\".\n%s", differ),
			 errhint("SELECT * FROM schemadrift.drift; SELECT * FROM schemadrift.repair_plan().")));
}

void
sd_verify_entry(int64 version, Jsonb *payload, const SdDigest *before, List *changed, const SdDigest *after)
{
	Jsonb	   *objects = sd_json_object(payload, "objects");
	SdDigest	origin_before;
	SdDigest	origin_after;
	SdDigest	logged;
	const char *differ;
	bool		has_after;
	bool		whole;
	bool		warns;

	/* digests of another canonical form say nothing about ours: a region still on an older release cannot check */
	if (sd_json_int64(payload, "form", SD_DIGEST_FORM) != SD_DIGEST_FORM)
	{
		sd_drift_applied_unchecked(objects);
		return;
	}
	has_after = hash_of(payload, "after", origin_after.byte);
	if (has_after && sd_digest_equal(after, &origin_after) && sd_drift_rows(NULL) == NIL)
		return;

	whole = before != NULL && hash_of(payload, "before", origin_before.byte) && sd_digest_equal(before, &origin_before);
	warns = policy_warns();
	differ = sd_drift_applied(objects, changed, before == NULL ? SD_DRIFT_HAND : sd_entry_accepts(payload) ? SD_DRIFT_ADOPTED :
							  whole ? SD_DRIFT_ALL : SD_DRIFT_SOME, warns);
	logged = sd_drift_logged_root_of(after);
	if (differ == NULL && whole && has_after && !sd_digest_equal(&logged, &origin_after))
		differ = "Every object that it changed at its origin is equal here, but it changed others too.";
	if (differ == NULL)
		return;
	if (warns)
	{
		warn(version, differ);
		return;
	}
	ereport(ERROR,
			(errcode(SD_ERRCODE_DIVERGED),
			 errmsg("version " INT64_FORMAT " does not leave here what it left at its origin", version),
			 errdetail_internal("%s", differ),
			 errhint("Compare these objects with the origin's, and the data they depend on: SELECT * FROM schemadrift.drift. "
					 "Then SELECT schemadrift.retry(), or revert() the migration; "
					 "or go on with the difference: set_policy('{\"on_drift\": \"warn\"}').")));
}
