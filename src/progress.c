/*
 * progress.c: how far this region's schema has followed the log; see progress.h.
 *
 * Applier, coordinator and backends.  SdDatabase.lock, briefly.
 */
#include "compat.h"

#include "access/xact.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errors.h"
#include "progress.h"
#include "settings.h"

#define FIRST_RETRY_MS	1000

static SdDatabase *at_commit = NULL;
static int64 at_commit_version;

bool
sd_error_passes(int sqlstate)
{
	return sqlstate == ERRCODE_LOCK_NOT_AVAILABLE ||
		sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED ||
		sqlstate == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		sqlstate == ERRCODE_QUERY_CANCELED ||
		ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_INSUFFICIENT_RESOURCES;
}

bool
sd_progress_is_held(const SdDatabase *db)
{
	return db->halted_at > 0 && db->halt_sqlstate == SD_ERRCODE_POLICY;
}

/* Caller holds db->lock. */
static void
forget_failure(SdDatabase *db)
{
	db->halted_at = 0;
	db->halt_sqlstate = 0;
	db->attempts = 0;
	db->halt_since = 0;
	db->retry_us = 0;
	db->retry_now = false;
	db->halt_error[0] = '\0';
	db->halt_detail[0] = '\0';
}

int
sd_progress_start(SdDatabase *db, int64 version)
{
	int			failed;

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->applying = version;
	db->applying_since = GetCurrentTimestamp();
	db->retry_now = false;
	failed = db->attempts;
	if (failed > 0)
		db->counts[SD_COUNT_APPLY_RETRIED]++;
	LWLockRelease(&db->lock);
	return failed;
}

void
sd_progress_stop(SdDatabase *db)
{
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->applying = 0;
	db->applying_since = 0;
	LWLockRelease(&db->lock);
}

void
sd_progress_applied(SdDatabase *db, int64 version)
{
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	/* a coordinator that read the tables later may have been quicker */
	if (db->applied < version)
		db->applied = version;
	if (db->halted_at <= version)
		forget_failure(db);
	LWLockRelease(&db->lock);
	ConditionVariableBroadcast(&db->changed);
	sd_shared_wake(db);
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	(void) arg;
	if (at_commit == NULL)
		return;
	if (event == XACT_EVENT_COMMIT)
		sd_progress_applied(at_commit, at_commit_version);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		at_commit = NULL;
}

void
sd_progress_applied_at_commit(SdDatabase *db, int64 version)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(at_end_of_transaction, NULL);
	registered = true;
	at_commit = db;
	at_commit_version = version;
}

bool
sd_progress_failed(SdDatabase *db, int64 version, const ErrorData *error)
{
	TimestampTz now = GetCurrentTimestamp();
	char		message[SD_TEXT_SIZE];
	char		detail[SD_DETAIL_SIZE];
	int64		pause_ms;
	bool		halts;

	/* memory is allocated and errors can happen before the lock only */
	sd_shared_copy(message, sizeof(message), error->message);
	if (error->detail && error->context)
		sd_shared_copy(detail, sizeof(detail), psprintf("%s\n%s", error->detail, error->context));
	else
		sd_shared_copy(detail, sizeof(detail), error->detail ? error->detail : error->context);

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->applying = 0;
	db->applying_since = 0;
	db->attempts++;
	db->counts[SD_COUNT_APPLY_FAILED]++;
	pause_ms = (int64) FIRST_RETRY_MS << Min(db->attempts - 1, 30);
	db->retry_us = sd_monotonic_us() + Min(pause_ms, sd_retry_max_interval) * SD_US_PER_MS;
	db->halt_sqlstate = error->sqlerrcode;
	strlcpy(db->halt_error, message, sizeof(db->halt_error));
	strlcpy(db->halt_detail, detail, sizeof(db->halt_detail));
	halts = db->halted_at != version &&
		(!sd_error_passes(error->sqlerrcode) || db->attempts >= SD_PASSING_ATTEMPTS);
	if (halts)
	{
		db->halted_at = version;
		db->halt_since = now;
	}
	/* what differs may have gone past the hooks before: known as drift, it is in nobody's way any more */
	if (error->sqlerrcode == SD_ERRCODE_DIVERGED)
		db->verify_called++;
	LWLockRelease(&db->lock);
	ConditionVariableBroadcast(&db->changed);
	sd_shared_wake(db);
	return halts;
}

bool
sd_progress_gives_up(SdDatabase *db, const ErrorData *error)
{
	int			attempts;

	LWLockAcquire(&db->lock, LW_SHARED);
	attempts = db->attempts + 1;
	LWLockRelease(&db->lock);
	return !sd_error_passes(error->sqlerrcode) || attempts >= SD_GIVE_UP_ATTEMPTS;
}

/* ---- the whole schema ---- */

void
sd_progress_verified(SdDatabase *db, int64 objects, int64 took_us)
{
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->verify_told = true;
	db->verify_failed_at = 0;
	db->verify_error[0] = '\0';
	db->verified_at = GetCurrentTimestamp();
	db->verify_ms = (int32) (took_us / SD_US_PER_MS);
	db->verify_objects = objects;
	LWLockRelease(&db->lock);
	ConditionVariableBroadcast(&db->changed);
}

void
sd_progress_not_verified(SdDatabase *db, const char *error)
{
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->verify_told = true;
	if (db->verify_failed_at == 0)
		db->verify_failed_at = GetCurrentTimestamp();
	sd_shared_copy(db->verify_error, sizeof(db->verify_error), error);
	LWLockRelease(&db->lock);
}
