/*
 * rpc_rejoin.c: a region that lost votes asks to go on as a new incarnation.
 *
 * Runs in a backend that the void region's coordinator connected to.  Makes a config entry of this call's transaction,
 * chosen by the votes of the others: a void region has none.  "Copying the others' state and voting again is not safe":
 * only an entry of the log tells everybody from which version on the new incarnation's votes count.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/uuid.h"

#include "clock.h"
#include "errors.h"
#include "functions/group.h"
#include "functions/rpc.h"
#include "store/life.h"
#include "waits.h"

PG_FUNCTION_INFO_V1(sd_rpc_readmit);

enum
{
	ARG_PROTOCOL, ARG_GROUP, ARG_GENERATION, ARG_CALLEE, ARG_CALLER, ARG_INCARNATION, ARG_VOTE_SEQ,
	ARG_LIFE, ARG_HEAD, ARG_CHAIN
};

/* The version that readmitted this very life, as the incarnation that is in force; 0: none did. */
static int64
readmitted(const char *region, int32 incarnation, const pg_uuid_t *life, int32 in_force)
{
	SdSelf		as_asking = {.incarnation = incarnation, .life = *life, .has_life = true, .life_fits = true};
	SdSuccessor successor;
	SdScope		scope;

	strlcpy(as_asking.region, region, SD_NAME_SIZE);
	sd_store_enter(&scope);
	sd_life_successor(&as_asking, &successor);
	sd_store_leave(&scope);
	return successor.ours && successor.incarnation == in_force ? successor.version : 0;
}

/*
 * Its log must be a part of ours: what it has and we lack would be in doubt, and what differs was never agreed on.
 */
static void
check_log(const char *region, int64 head, const uint8 *chain)
{
	SdScope		scope;
	SdHead		own;
	SdChain		known = {{0}};
	bool		found;

	sd_store_enter(&scope);
	sd_log_head(&own);
	found = head == 0 || sd_log_find(head, &known, NULL);
	sd_store_leave(&scope);
	if (head > own.version)
		ereport(ERROR,
				(errcode(SD_ERRCODE_BEHIND),
				 errmsg("this region cannot judge the log of region \"%s\" yet", region),
				 errdetail("It ends at version " INT64_FORMAT ", the log here at " INT64_FORMAT ".", head, own.version)));
	if (!found || memcmp(known.sha, chain, SD_SHA_SIZE) != 0)
		ereport(ERROR,
				(errcode(SD_ERRCODE_DIVERGED),
				 errmsg("the log of region \"%s\" is not the group's", region),
				 errdetail("At version " INT64_FORMAT " its hash chain is another one than here.", head),
				 errhint("SELECT schemadrift.leave() there, remove_region('%s') here, and join it again.", region)));
}

/* What we heard at the region's address, by a call of ours: nobody else can speak from there. */
typedef enum Heard
{
	HEARD_NOTHING,
	HEARD_VALID,				/* a region that is well */
	HEARD_ANOTHER,				/* a void one with another life */
	HEARD_IT
} Heard;

static Heard
hear(SdDatabase *db, const char *region, const pg_uuid_t *life)
{
	Heard		heard = HEARD_NOTHING;

	LWLockAcquire(&db->lock, LW_SHARED);
	for (int i = 0; i < db->n_peers; i++)
	{
		const SdPeerState *peer = &db->peers[i];

		if (strcmp(peer->region, region) != 0 || peer->last_heard_us == 0 || peer->circuit != SD_CIRCUIT_CLOSED)
			continue;
		if (peer->told.state != SD_REGION_VOID)
			heard = HEARD_VALID;
		else
			heard = memcmp(&peer->told.life, life, UUID_LEN) == 0 ? HEARD_IT : HEARD_ANOTHER;
	}
	LWLockRelease(&db->lock);
	return heard;
}

/*
 * Of several servers that speak in one name the one at the address in the log is the region; the calls of void regions
 * themselves are not believed in anything.  Its answer to our next exchange may still be under way.
 */
static void
check_address(const char *region, const pg_uuid_t *life)
{
	SdDatabase *db = sd_shared_mine();
	int64		deadline = sd_monotonic_us() + 2 * SD_US_PER_S;
	Heard		heard;

	if (db == NULL)
		ereport(ERROR,
				(errcode(SD_ERRCODE_NO_COORDINATOR),
				 errmsg("no coordinator runs in this region")));
	ConditionVariablePrepareToSleep(&db->changed);
	while ((heard = hear(db, region, life)) != HEARD_IT && sd_monotonic_us() < deadline)
		ConditionVariableTimedSleep(&db->changed, sd_monotonic_timeout_ms(deadline, sd_monotonic_us()),
									sd_wait_event(SD_WAIT_APPLIED));
	ConditionVariableCancelSleep();

	if (heard == HEARD_NOTHING)
		ereport(ERROR,
				(errcode(SD_ERRCODE_BEHIND),
				 errmsg("region \"%s\" cannot be readmitted yet", region),
				 errdetail("It is not reached at its address.")));
	if (heard != HEARD_IT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("another server answers at the address of region \"%s\"", region),
				 heard == HEARD_VALID ? errdetail("It is well, so who asks is a copy.") :
				 errdetail("It is void, too."),
				 errhint("SELECT schemadrift.leave() in the copy; alter_region() if the address has changed.")));
}

Datum
sd_rpc_readmit(PG_FUNCTION_ARGS)
{
	SdCaller	caller = sd_rpc_guard(fcinfo, false);
	pg_uuid_t  *life;
	bytea	   *chain;
	SdSelf		self;
	SdMembers	members;
	int			i = -1;

	if (PG_ARGISNULL(ARG_LIFE) || PG_ARGISNULL(ARG_HEAD) || PG_ARGISNULL(ARG_CHAIN))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a call between regions lacks an argument")));
	life = PG_GETARG_UUID_P(ARG_LIFE);
	chain = PG_GETARG_BYTEA_PP(ARG_CHAIN);
	if (VARSIZE_ANY_EXHDR(chain) != SD_SHA_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a chain must have 32 bytes")));

	sd_rpc_wait_a_while_only();
	for (int pass = 1; pass <= 2; pass++)
	{
		int64		version;

		if (pass == 2)
			sd_group_begin("rejoin", caller.region);
		sd_group_require(&self, &members);
		i = sd_rpc_member(&caller, &members, true);
		/* asked before: it has not learned of the answer yet */
		version = readmitted(caller.region, caller.incarnation, life, members.config.member[i].incarnation);
		if (version > 0)
			PG_RETURN_INT64(version);
		if (pass == 1)
			check_address(caller.region, life);
		check_log(caller.region, PG_GETARG_INT64(ARG_HEAD), (uint8 *) VARDATA_ANY(chain));
	}
	members.config.member[i].incarnation++;
	PG_RETURN_INT64(sd_group_propose_more(&members, "rejoin", caller.region,
										  psprintf(",\"incarnation\":%d,\"life\":\"%s\"",
												   members.config.member[i].incarnation, sd_uuid_text(life))));
}
