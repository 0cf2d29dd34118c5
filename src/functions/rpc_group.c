/*
 * rpc_group.c: calls by regions that want to become members, or more than they are.
 *
 * Runs in a backend that the other region's coordinator, or a person's join() there, connected to.  describe,
 * objects and history only read.  admit and promote make a config entry of this call's transaction: it commits with a
 * quorum, or nothing happened.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "clock.h"
#include "ddl/digest.h"
#include "errors.h"
#include "functions/group.h"
#include "functions/rpc.h"
#include "gate/change.h"
#include "settings.h"
#include "waits.h"

PG_FUNCTION_INFO_V1(sd_rpc_describe);
PG_FUNCTION_INFO_V1(sd_rpc_objects);
PG_FUNCTION_INFO_V1(sd_rpc_history);
PG_FUNCTION_INFO_V1(sd_rpc_admit);
PG_FUNCTION_INFO_V1(sd_rpc_promote);

static void
refuse_null_args(FunctionCallInfo fcinfo)
{
	for (int i = 0; i < PG_NARGS(); i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a call between regions lacks an argument")));
}

static Datum
row_datum(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

static Datum
digest_datum(const uint8 *digest)
{
	bytea	   *bytes = palloc(VARHDRSZ + SD_DIGEST_LENGTH);

	SET_VARSIZE(bytes, VARHDRSZ + SD_DIGEST_LENGTH);
	memcpy(VARDATA(bytes), digest, SD_DIGEST_LENGTH);
	return PointerGetDatum(bytes);
}

static bool
is_witness(const SdSelf *self, const SdMembers *members)
{
	int			me = sd_config_find(&members->config, self->region);

	return me >= 0 && sd_members_is_witness(members, me);
}

/* ---- reading ---- */

Datum
sd_rpc_describe(PG_FUNCTION_ARGS)
{
	SdScope		scope;
	SdSelf		self;
	SdMembers	members;
	SdHead		head;
	SdApplied	applied;
	Datum		values[7] = {0};
	bool		nulls[7] = {true, true, true, true, true, true, false};

	refuse_null_args(fcinfo);
	sd_rpc_guard_session(PG_GETARG_INT32(0));
	values[6] = Int32GetDatum(SD_DIGEST_FORM);

	sd_store_enter(&scope);
	if (sd_self_read(&self) && sd_self_removed(&self) == 0)
	{
		sd_members_read(&members);
		sd_log_head(&head);
		sd_applied_read(&applied);
		MemoryContextSwitchTo(scope.caller);
		memset(nulls, false, sizeof(nulls));
		values[0] = UUIDPGetDatum(&self.group_id);
		values[1] = Int32GetDatum(self.generation);
		values[2] = CStringGetTextDatum(self.region);
		values[3] = Int64GetDatum(head.version);
		values[4] = Int64GetDatum(applied.version);
		values[5] = digest_datum(applied.digest);
		nulls[5] = is_witness(&self, &members);
	}
	sd_store_leave(&scope);
	return row_datum(fcinfo, values, nulls);
}

Datum
sd_rpc_objects(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	SdScope		scope;
	List	   *objects;
	ListCell   *lc;

	refuse_null_args(fcinfo);
	sd_rpc_guard_session(PG_GETARG_INT32(0));
	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;

	sd_store_enter(&scope);
	MemoryContextSwitchTo(scope.caller);
	objects = sd_digest_scan();
	sd_store_leave(&scope);
	foreach(lc, objects)
	{
		SdObjectDigest *object = lfirst(lc);
		Datum		values[] = {
			CStringGetTextDatum(object->kind), CStringGetTextDatum(object->identity), digest_datum(object->hash.byte)
		};
		bool		nulls[lengthof(values)] = {false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static void
require_group(const SdSelf *self, const pg_uuid_t *group_id)
{
	if (memcmp(&self->group_id, group_id, UUID_LEN) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this region is in another group")));
}

/* The log for who is about to join. */
Datum
sd_rpc_history(PG_FUNCTION_ARGS)
{
	SdScope		scope;
	SdSelf		self;
	SdMembers	members;
	SdHead		head;

	refuse_null_args(fcinfo);
	sd_rpc_guard_session(PG_GETARG_INT32(0));
	sd_group_require(&self, &members);
	require_group(&self, PG_GETARG_UUID_P(1));
	InitMaterializedSRF(fcinfo, 0);

	sd_store_enter(&scope);
	sd_log_head(&head);
	sd_rpc_put_log((ReturnSetInfo *) fcinfo->resultinfo, PG_GETARG_INT64(2), head.version, PG_GETARG_INT64(3));
	sd_store_leave(&scope);
	return (Datum) 0;
}

/* ---- admit ---- */

/*
 * May a region of this name come in?  A name that is in the group already may be there of a join that failed after
 * its admission: nothing of that life has ever been heard, so a new one takes its place.
 */
static void
check_admission(const SdSelf *self, const SdMembers *members, const char *region)
{
	int			i = sd_config_find(&members->config, region);
	const char *why;

	if (i >= 0)
	{
		const SdMember *member = &members->config.member[i];
		int64		heard;
		SdScope		scope;

		sd_store_enter(&scope);
		heard = sd_peer_applied(member->region, member->incarnation);
		sd_store_leave(&scope);
		if (members->wants[i] == member->role || members->stepped_down[i] || heard > 0 || sd_group_reaches(self, member, &why))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("region \"%s\" is in the group already", region),
					 errdetail("It is incarnation %d, a%s %s.", member->incarnation,
							   member->role == SD_ROLE_OBSERVER ? "n" : "", sd_role_text(member->role)),
					 errhint("Choose another name; if that region is gone, SELECT schemadrift.remove_region('%s') in region \"%s\".",
							 region, self->region)));
	}
	else if (members->config.n >= Min(sd_max_regions, SD_MAX_REGIONS))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("the group has %d regions already", members->config.n),
				 errhint("Raise schemadrift.max_regions in every region; %d is the limit.", SD_MAX_REGIONS)));
}

/* The new member, an observer: "every join is admitted as observer and becomes voter by a second entry". */
static int32
put_member(SdMembers *members, const char *region, const char *conninfo, SdRole wants)
{
	int			i = sd_config_find(&members->config, region);
	SdMemberHistory history;
	SdScope		scope;

	sd_store_enter(&scope);
	sd_members_history(region, 0, &history);
	sd_store_leave(&scope);
	sd_members_put(members, i < 0 ? members->config.n : i, region, history.last_incarnation + 1, conninfo, wants);
	return history.last_incarnation + 1;
}

void
sd_rpc_wait_a_while_only(void)
{
	/* who asked gives up some time, and must not be admitted afterwards */
	sd_set_lock_timeout(sd_quorum_timeout, GUC_ACTION_LOCAL);
}

Datum
sd_rpc_admit(PG_FUNCTION_ARGS)
{
	char	   *region;
	char	   *conninfo;
	SdRole		wants;
	SdSelf		self;
	SdMembers	members;
	SdScope		scope;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	refuse_null_args(fcinfo);
	sd_rpc_guard_session(PG_GETARG_INT32(0));
	region = text_to_cstring(PG_GETARG_TEXT_PP(2));
	conninfo = text_to_cstring(PG_GETARG_TEXT_PP(3));
	sd_group_check_region(region);
	sd_group_check_conninfo(conninfo);
	wants = sd_group_check_role(text_to_cstring(PG_GETARG_TEXT_PP(4)));
	sd_rpc_wait_a_while_only();

	for (int pass = 1; pass <= 2; pass++)
	{
		if (pass == 2)
			sd_group_begin("join", region);
		sd_group_require(&self, &members);
		require_group(&self, PG_GETARG_UUID_P(1));
		check_admission(&self, &members, region);
	}
	values[1] = Int32GetDatum(put_member(&members, region, conninfo, wants));
	values[0] = Int64GetDatum(sd_group_propose(&members, "join", region));
	sd_store_enter(&scope);
	sd_protocol_require_newcomer(region, PG_GETARG_INT32(0), sd_change_protocol());
	sd_store_leave(&scope);
	return row_datum(fcinfo, values, nulls);
}

/* ---- promote ---- */

/* What we heard of an observer, for the judgement. */
typedef struct Progress
{
	const char *why;			/* not reached, NULL: reached */
	bool		calls_us;
	int64		applied;
	int64		needed;
} Progress;

static bool
look_at(const SdSelf *self, const SdMember *member, SdDatabase *db, Progress *progress)
{
	progress->applied = 0;
	progress->calls_us = false;
	(void) sd_group_reaches(self, member, &progress->why);
	LWLockAcquire(&db->lock, LW_SHARED);
	for (int p = 0; p < db->n_peers; p++)
		if (strcmp(db->peers[p].region, member->region) == 0)
		{
			progress->applied = db->peers[p].told.applied;
			progress->calls_us = db->peers[p].last_called_us > 0;
		}
	LWLockRelease(&db->lock);
	return progress->why == NULL && progress->calls_us && progress->applied >= progress->needed;
}

/*
 * "Once it has applied the head and both directions are connected."  It asks as soon as it has applied the head, and
 * its next exchange, which tells us so, may still be under way: wait for that, a moment.  The head is that of the beginning:
 * where somebody deploys all the time, every member is always a little behind.  Before the second look we have the next
 * version to ourselves.
 */
static void
check_promotion(const SdSelf *self, SdMembers *members, int i)
{
	SdDatabase *db = sd_shared_mine();
	const SdMember *member = &members->config.member[i];
	int64		deadline = sd_monotonic_us() + 2 * SD_US_PER_S;
	Progress	progress = {0};
	bool		ready;

	if (db == NULL)
		ereport(ERROR,
				(errcode(SD_ERRCODE_NO_COORDINATOR),
				 errmsg("no coordinator runs in this region")));
	LWLockAcquire(&db->lock, LW_SHARED);
	progress.needed = db->applied;
	LWLockRelease(&db->lock);
	ConditionVariablePrepareToSleep(&db->changed);
	while (!(ready = look_at(self, member, db, &progress)) && sd_monotonic_us() < deadline)
		ConditionVariableTimedSleep(&db->changed, sd_monotonic_timeout_ms(deadline, sd_monotonic_us()),
									sd_wait_event(SD_WAIT_APPLIED));
	ConditionVariableCancelSleep();

	if (!ready)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" cannot become a %s yet", member->region, sd_role_text(members->wants[i])),
				 progress.why ? errdetail("Region \"%s\" does not reach it: %s.", self->region, progress.why)
				 : !progress.calls_us ? errdetail("It has not reached region \"%s\" by a call of its own.", self->region)
				 : errdetail("It has applied version " INT64_FORMAT " of " INT64_FORMAT ".", progress.applied, progress.needed)));
	members->config.member[i].role = members->wants[i];
	sd_group_require_quorum(self, members, psprintf("making region \"%s\" a %s", member->region, sd_role_text(member->role)));
}

Datum
sd_rpc_promote(PG_FUNCTION_ARGS)
{
	SdCaller	caller = sd_rpc_guard(fcinfo, false);
	SdSelf		self;
	SdMembers	members;

	sd_rpc_wait_a_while_only();
	for (int pass = 1; pass <= 2; pass++)
	{
		int			i;

		if (pass == 2)
			sd_group_begin("promote", caller.region);
		sd_group_require(&self, &members);
		i = sd_rpc_member(&caller, &members, false);

		/* asked before: it has not learned of the answer yet, or not that it was told to step down */
		if (members.config.member[i].role == members.wants[i] || members.stepped_down[i])
			PG_RETURN_INT64(members.config.since);
		check_promotion(&self, &members, i);
	}
	PG_RETURN_INT64(sd_group_propose(&members, "promote", caller.region));
}
