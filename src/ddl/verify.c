/*
 * verify.c: did an entry leave here what it left at its origin?  See verify.h.
 *
 * Applier, and the backend that calls mark_applied().  No locking: the caller holds the DDL lock.
 */
#include "compat.h"

#include "utils/builtins.h"

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

/* With what to type, as far as it is known here. */
static void
pg_attribute_noreturn()
halt(int64 version, const char *differ)
{
	SdEntry    *entry = sd_log_entry(version);
	const char *name = quote_literal_cstr(entry && entry->name ? entry->name : "");
	SdSelf		self;

	if (!sd_self_read(&self) || entry == NULL)
		elog(ERROR, "version " INT64_FORMAT " is not in the log", version);
	ereport(ERROR,
			(errcode(SD_ERRCODE_DIVERGED),
			 errmsg("version " INT64_FORMAT " does not leave here what it left at its origin", version),
			 errdetail_internal("%s", differ),
			 errhint("Compare: SELECT * FROM schemadrift.diff(%s, %s); and the data that the migration depends on. Mend it here with schemadrift.ddl_mode = off, then "
					 "SELECT schemadrift.retry(%s), or if it is done by hand: SELECT schemadrift.mark_applied(%s, 'why'); "
					 "or take it back, if it was given a down: SELECT schemadrift.revert(%s); "
					 "or go on with the difference: SELECT schemadrift.set_policy('{\"on_drift\": \"warn\"}').",
					 quote_literal_cstr(self.region), quote_literal_cstr(entry->origin), name, name, name)));
}

static void
verify_digests(int64 version, Jsonb *payload, List *rows, const SdDigest *before, List *changed, const SdDigest *after)
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
	if (has_after && sd_digest_equal(after, &origin_after) && rows == NIL)
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
	halt(version, differ);
}

void
sd_verify_entry(int64 version, Jsonb *payload, const SdDigest *before, List *changed, List *beside, const SdDigest *after)
{
	List	   *rows = sd_drift_rows(NULL);

	verify_digests(version, payload, rows, before, changed, after);
	sd_drift_beside_applied(payload, rows, beside);
}
