/*
 * lease.c: who leads: the view "lease", and handing leadership over.
 *
 * Runs in backends.  Reads shared memory under SdDatabase.lock; the lease itself is the coordinators' (worker/lease.c).
 */
#include "compat.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errors.h"
#include "functions/group.h"
#include "peer/client.h"
#include "settings.h"
#include "waits.h"

PG_FUNCTION_INFO_V1(sd_lease_rows);
PG_FUNCTION_INFO_V1(sd_transfer_lease);

static Datum
interval_datum(int64 us)
{
	Interval   *interval = palloc0(sizeof(Interval));

	/* nobody reads a microsecond */
	interval->time = us - us % SD_US_PER_MS;
	return IntervalPGetDatum(interval);
}

/* One row while somebody leads, as far as this region knows. */
Datum
sd_lease_rows(PG_FUNCTION_ARGS)
{
	SdDatabase *db = sd_shared_mine();
	SdLeader	leader = {0};
	bool		known = false;

	InitMaterializedSRF(fcinfo, 0);
	if (db)
	{
		LWLockAcquire(&db->lock, LW_SHARED);
		known = sd_shared_leader(db, sd_monotonic_us(), &leader);
		LWLockRelease(&db->lock);
	}
	if (known)
	{
		ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
		bool		held = leader.pid != 0;
		Datum		values[] = {
			CStringGetTextDatum(leader.ballot.region),
			CStringGetTextDatum(psprintf(INT64_FORMAT ".%s.%016llx", leader.ballot.round, leader.ballot.region,
										 (unsigned long long) leader.ballot.nonce)),
			interval_datum(leader.left_us),
			Int32GetDatum(leader.pid),
			interval_datum(leader.held_us)
		};
		bool		nulls[lengthof(values)] = {false, false, false, !held, !held};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static int
find_leader(const SdMembers *members, const char *region)
{
	int			i = sd_group_find(members, region);

	if (members->config.member[i].role == SD_ROLE_WITNESS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" is a witness: it never changes the schema, so it cannot lead", region)));
	if (members->config.member[i].suspended)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" is suspended", region),
				 errhint("SELECT schemadrift.resume_region('%s').", region)));
	return i;
}

/* Ask a region to take the lease: ourselves by shared memory, another one by a call. */
static void
ask_to_lead(SdDatabase *db, const SdSelf *self, const SdMembers *members, int i)
{
	const char *region = members->config.member[i].region;
	SdClient   *client;

	if (strcmp(region, self->region) == 0)
	{
		LWLockAcquire(&db->lock, LW_EXCLUSIVE);
		db->lead_until_us = sd_monotonic_us() + (int64) sd_quorum_timeout * SD_US_PER_MS;
		LWLockRelease(&db->lock);
		sd_shared_wake(db);
		return;
	}
	sd_protocol_require_region(region, 2, "a lease");
	client = sd_client_connect(members->conninfo[i], self->region);
	sd_client_set_region(client, region);
	(void) sd_client_query(client, "SELECT schemadrift_rpc.lead($1::int, $2::uuid, $3::int, $4, $5, $6::int, 0)", 6, NULL,
						   (const char *const[]) {
							   psprintf("%d", sd_protocol_own()), sd_uuid_text(&self->group_id), psprintf("%d", self->generation),
							   region, self->region, psprintf("%d", self->incarnation)
						   }, false);
	sd_client_close(client);
}

static void
raise_not_taken(const char *region, bool known, const SdLeader *leader)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("region \"%s\" has not taken the lease within schemadrift.quorum_timeout", region),
			 !known ? errdetail("Nobody has it, as far as this region knows.")
			 : leader->pid != 0 ? errdetail("Region \"%s\" has it: pid %d has had a schema change open for %.1f s.",
											leader->ballot.region, leader->pid, (double) leader->held_us / SD_US_PER_S)
			 : errdetail("Region \"%s\" has it, for another %.1f s.", leader->ballot.region,
						 (double) leader->left_us / SD_US_PER_S),
			 errhint("SELECT * FROM schemadrift.lease, in that region, too.")));
}

/*
 * "Hand leadership over": that region asks for the lease, and gets it between changes.  Returns when this region knows
 * that it has it.  Nothing depends on it: a region that wants to change the schema takes the lease by itself.
 */
Datum
sd_transfer_lease(PG_FUNCTION_ARGS)
{
	char	   *region = sd_group_text_arg(fcinfo, 0, "region");
	SdDatabase *db = sd_shared_mine();
	int64		deadline = sd_monotonic_us() + (int64) sd_quorum_timeout * SD_US_PER_MS;
	SdSelf		self;
	SdMembers	members;
	SdLeader	leader = {0};
	SdScope		scope;
	bool		known;

	sd_group_check_session("transfer_lease");
	sd_group_require(&self, &members);
	sd_store_enter(&scope);
	MemoryContextSwitchTo(scope.caller);
	sd_addresses_override(&members);
	sd_store_leave(&scope);
	if (db == NULL)
		ereport(ERROR,
				(errcode(SD_ERRCODE_NO_COORDINATOR),
				 errmsg("no coordinator runs in this region")));
	if (sd_lease_duration == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there are no leases here"),
				 errdetail("schemadrift.lease_duration is 0: every change asks for its promises.")));
	ask_to_lead(db, &self, &members, find_leader(&members, region));

	ConditionVariablePrepareToSleep(&db->changed);
	for (;;)
	{
		int64		now = sd_monotonic_us();

		LWLockAcquire(&db->lock, LW_SHARED);
		known = sd_shared_leader(db, now, &leader);
		LWLockRelease(&db->lock);
		if ((known && strcmp(leader.ballot.region, region) == 0) || now >= deadline)
			break;
		ConditionVariableTimedSleep(&db->changed, sd_monotonic_timeout_ms(deadline, now), sd_wait_event(SD_WAIT_QUORUM));
	}
	ConditionVariableCancelSleep();
	if (!known || strcmp(leader.ballot.region, region) != 0)
		raise_not_taken(region, known, &leader);
	PG_RETURN_VOID();
}
