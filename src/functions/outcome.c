/*
 * outcome.c: what became of a change: outcome(), and wait_for() it in other regions.
 *
 * Runs in backends; reads tables, and what other regions told in shared memory (SdDatabase.lock).
 */
#include "compat.h"

#include <limits.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "clock.h"
#include "errors.h"
#include "functions/change.h"
#include "shared.h"
#include "store/history.h"
#include "store/state.h"
#include "store/task.h"
#include "waitpoint.h"
#include "waits.h"

PG_FUNCTION_INFO_V1(sd_outcome_id);
PG_FUNCTION_INFO_V1(sd_outcome_name);
PG_FUNCTION_INFO_V1(sd_wait_for);

Datum
sd_outcome_id(PG_FUNCTION_ARGS)
{
	SdScope		scope;
	const char *outcome;

	sd_store_enter(&scope);
	outcome = sd_history_outcome(PG_GETARG_UUID_P(0));
	sd_store_leave(&scope);
	if (outcome == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(outcome));
}

/* Only what uuid_out() writes. */
static bool
looks_like_id(const char *text)
{
	for (int i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	return text[36] == '\0';
}

/*
 * By name.  An id in quotes comes here, too: PostgreSQL takes a literal of no stated type for a text.
 */
Datum
sd_outcome_name(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *outcome = NULL;
	SdScope		scope;

	sd_store_enter(&scope);
	if (looks_like_id(name))
		outcome = sd_history_outcome(DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(name))));
	if (outcome == NULL)
		outcome = sd_history_outcome_of_name(name);
	sd_store_leave(&scope);
	if (outcome == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(outcome));
}

/* ---- wait_for ---- */

typedef struct Waited
{
	int			n;
	char		region[SD_MAX_REGIONS][SD_NAME_SIZE];
	char		own[SD_NAME_SIZE];
} Waited;

static void
add_region(Waited *waited, const char *region)
{
	for (int i = 0; i < waited->n; i++)
		if (strcmp(waited->region[i], region) == 0)
			return;
	strlcpy(waited->region[waited->n++], region, SD_NAME_SIZE);
}

/* Those named, which must be members that have the schema; or all that serve. */
static void
choose_regions(FunctionCallInfo fcinfo, int arg, Waited *waited)
{
	SdScope		scope;
	SdSelf		self;
	SdMembers	members;
	Datum	   *names;
	bool	   *nulls;
	int			n;

	sd_change_require_group();
	sd_store_enter(&scope);
	(void) sd_self_read(&self);
	sd_members_read(&members);
	sd_store_leave(&scope);
	strlcpy(waited->own, self.region, SD_NAME_SIZE);

	if (PG_ARGISNULL(arg))
	{
		for (int i = 0; i < members.config.n; i++)
			if (sd_members_serves(&members, i))
				add_region(waited, members.config.member[i].region);
		return;
	}
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *region = nulls[i] ? "" : TextDatumGetCString(names[i]);
		int			at = sd_config_find(&members.config, region);

		if (at < 0 || sd_members_is_witness(&members, at))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 at < 0 ? errmsg("there is no region \"%s\" in the group", region)
					 : errmsg("region \"%s\" is a witness: it applies nothing", region),
					 errhint("SELECT region, role FROM schemadrift.regions;")));
		add_region(waited, members.config.member[at].region);
	}
}

/* A line for each region that is behind; "" if none is.  Caller holds db->lock. */
static void
who_is_behind(SdDatabase *db, const Waited *waited, int64 version, char *lines, Size size)
{
	lines[0] = '\0';
	for (int i = 0; i < waited->n; i++)
	{
		const char *region = waited->region[i];
		SdPeerState *peer = NULL;
		int64		applied = db->applied;
		int64		halted_at = db->halted_at;
		const char *error = db->halt_error;
		char		line[SD_TEXT_SIZE * 2];

		if (strcmp(region, waited->own) != 0)
		{
			for (int p = 0; p < db->n_peers; p++)
				if (strcmp(db->peers[p].region, region) == 0)
					peer = &db->peers[p];
			applied = peer ? peer->told.applied : 0;
			halted_at = peer ? peer->told.halted_at : 0;
			error = peer ? peer->told.halt_error : "";
		}
		if (applied >= version)
			continue;
		if (halted_at > 0)
			snprintf(line, sizeof(line), "%s is halted at version " INT64_FORMAT ": %s", region, halted_at, error);
		else if (strcmp(region, waited->own) != 0 && (peer == NULL || peer->last_heard == 0))
			snprintf(line, sizeof(line), "%s was not heard of since this region's start", region);
		else
			snprintf(line, sizeof(line), "%s has applied version " INT64_FORMAT "%s%s", region, applied,
					 peer && peer->last_error[0] ? ", and cannot be reached: " : "", peer ? peer->last_error : "");
		if (lines[0])
			strlcat(lines, "\n", size);
		strlcat(lines, line, size);
	}
}

static int64
timeout_us(FunctionCallInfo fcinfo, int arg)
{
	Interval   *timeout;
	double		us;

	if (PG_ARGISNULL(arg))
		return (int64) INT_MAX * SD_US_PER_S;
	timeout = PG_GETARG_INTERVAL_P(arg);
	us = timeout->time + (timeout->day + timeout->month * (double) DAYS_PER_MONTH) * USECS_PER_DAY;
	if (us < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a timeout cannot be negative")));
	return (int64) Min(us, (double) INT_MAX * SD_US_PER_S);
}

/*
 * An online version is applied where its result is.  The version to wait for; 0: it has no result yet.  here: does this region
 * know of the version?  What others told may be newer than what is read here.
 */
static int64
version_to_wait_for(int64 version, bool *here)
{
	SdScope		scope;
	SdApplied	applied;
	SdEntry    *entry;
	int64		result = version;
	char	   *outcome = NULL;

	sd_store_enter(&scope);
	sd_applied_read(&applied);
	entry = sd_log_entry(version);
	if (entry && strcmp(entry->kind, SD_KIND_ONLINE) == 0)
		result = sd_task_result(version, &outcome);
	/* old entries may be gone */
	*here = entry != NULL || version <= applied.version;
	sd_waitpoint("wait-for-look");
	sd_store_leave(&scope);
	if (outcome && strcmp(outcome, "ok") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version " INT64_FORMAT " did not succeed", version),
				 errdetail("Version " INT64_FORMAT " says: %s.", result, outcome),
				 errhint("SELECT * FROM schemadrift.migration_status WHERE version = " INT64_FORMAT ".", version)));
	return result;
}

Datum
sd_wait_for(PG_FUNCTION_ARGS)
{
	SdDatabase *db = sd_shared_mine();
	Waited		waited = {0};
	int64		version;
	int64		deadline;
	char		behind[SD_DETAIL_SIZE];
	bool		runs = false;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("wait_for() needs a version")));
	sd_change_require_top_call(fcinfo, "schemadrift.wait_for()");
	version = PG_GETARG_INT64(0);
	deadline = sd_monotonic_us() + timeout_us(fcinfo, 2);
	choose_regions(fcinfo, 1, &waited);
	if (db)
	{
		LWLockAcquire(&sd_shared->lock, LW_SHARED);
		runs = db->coordinator_pid != 0;
		LWLockRelease(&sd_shared->lock);
	}
	if (db == NULL || !runs)
		ereport(ERROR,
				(errcode(SD_ERRCODE_NO_COORDINATOR),
				 errmsg("schemadrift's coordinator is not running in this database"),
				 errhint("SELECT * FROM schemadrift.status;")));

	/* an entry that is looked at may be large, and looks are many */
	context = AllocSetContextCreate(PortalContext, "schemadrift wait", ALLOCSET_DEFAULT_SIZES);
	ConditionVariablePrepareToSleep(&db->changed);
	for (;;)
	{
		int64		left;
		int64		wanted;
		bool		here;

		MemoryContextSwitchTo(context);
		wanted = version_to_wait_for(version, &here);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(context);
		if (wanted == 0)
			strlcpy(behind, "Regions are at work on it: SELECT * FROM schemadrift.tasks;", sizeof(behind));
		else
		{
			LWLockAcquire(&db->lock, LW_SHARED);
			who_is_behind(db, &waited, wanted, behind, sizeof(behind));
			LWLockRelease(&db->lock);
			if (behind[0] == '\0' && !here)
				strlcpy(behind, "This region's log has not come to it.", sizeof(behind));
		}
		if (behind[0] == '\0')
			break;
		left = deadline - sd_monotonic_us();
		if (left <= 0)
			ereport(ERROR,
					(errcode(SD_ERRCODE_BEHIND),
					 errmsg("version " INT64_FORMAT " is not applied everywhere yet", version),
					 errdetail_internal("%s", behind),
					 errhint("SELECT * FROM schemadrift.migration_status WHERE version = " INT64_FORMAT ".", version)));
		/* builds would wait for this transaction, and we for them */
		sd_store_commit();
		ConditionVariableTimedSleep(&db->changed, Min(left / SD_US_PER_MS + 1, INT_MAX), sd_wait_event(SD_WAIT_APPLIED));
	}
	ConditionVariableCancelSleep();
	MemoryContextDelete(context);
	PG_RETURN_VOID();
}
