/*
 * rpc.c: the calls other regions make (schema schemadrift_rpc), each one autocommit statement.
 *
 * Runs in a backend that the other region's coordinator connected to.  Locks rows in the store's order
 * through store/vote.c; writes telemetry into shared memory under SdDatabase.lock.  The rules of
 * docs/protocol.md, "Acceptor calls".
 */
#include "compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errors.h"
#include "functions/rpc.h"
#include "settings.h"
#include "shared.h"
#include "store/life.h"
#include "store/protocol.h"
#include "store/vote.h"
#include "waitpoint.h"

PG_FUNCTION_INFO_V1(sd_rpc_prepare);
PG_FUNCTION_INFO_V1(sd_rpc_accept);
PG_FUNCTION_INFO_V1(sd_rpc_learn);
PG_FUNCTION_INFO_V1(sd_rpc_fetch);

/* the first seven arguments of every call between members */
enum
{
	ARG_PROTOCOL, ARG_GROUP, ARG_GENERATION, ARG_CALLEE, ARG_CALLER, ARG_INCARNATION, ARG_VOTE_SEQ, ARGS_COMMON
};

void
sd_rpc_refuse(int sqlstate, const char *message, const char *detail)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("%s", message),
			 detail ? errdetail("%s", detail) : 0));
}

void
sd_rpc_guard_session(int32 protocol)
{
	if (XactIsoLevel != XACT_READ_COMMITTED)
		sd_rpc_refuse(ERRCODE_ACTIVE_SQL_TRANSACTION, "calls between regions run in READ COMMITTED only",
			   "An older snapshot would hide the newest promise.");
	if (IsTransactionBlock() || IsSubTransaction())
		sd_rpc_refuse(ERRCODE_ACTIVE_SQL_TRANSACTION, "calls between regions cannot run in a transaction block",
			   "The answer must not leave before the commit that makes it true.");
	if (RecoveryInProgress())
		sd_rpc_refuse(ERRCODE_READ_ONLY_SQL_TRANSACTION, "this server is a standby", NULL);
	if (SessionReplicationRole != SESSION_REPLICATION_ROLE_ORIGIN)
		sd_rpc_refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "session_replication_role is not \"origin\"", NULL);
	if (protocol < SD_PROTOCOL_OLDEST || protocol > SD_PROTOCOL + 1)
		sd_rpc_refuse(ERRCODE_PROTOCOL_VIOLATION, "the other region speaks another protocol",
			   psprintf("It speaks %d; this library speaks %d to %d.", protocol, SD_PROTOCOL_OLDEST, SD_PROTOCOL));
}

/*
 * force_new_group() made the group anew.  The number in the DETAIL is read by the coordinator of a region that was left
 * behind: it stops voting then.
 */
static void
refuse_generation(const SdSelf *self, int32 caller)
{
	ereport(ERROR,
			(errcode(SD_ERRCODE_GENERATION),
			 errmsg("region \"%s\" is in generation %d of the group, the caller in %d", self->region, self->generation, caller),
			 errdetail("generation %d", self->generation),
			 errhint("SELECT schemadrift.leave() in the region of the older generation, and join() the newer one.")));
}

int
sd_rpc_member(const SdCaller *caller, const SdMembers *members, bool older)
{
	int			i = sd_config_find(&members->config, caller->region);
	int			incarnation = i >= 0 ? members->config.member[i].incarnation : 0;

	if (i < 0 || incarnation < caller->incarnation || (incarnation > caller->incarnation && !older))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\", incarnation %d, is no member of this group", caller->region, caller->incarnation)));
	return i;
}

SdCaller
sd_rpc_guard(FunctionCallInfo fcinfo, bool vote)
{
	SdCaller	caller;
	SdScope		scope;

	for (int i = 0; i < PG_NARGS(); i++)
		if (i < ARGS_COMMON && PG_ARGISNULL(i))
			sd_rpc_refuse(ERRCODE_NULL_VALUE_NOT_ALLOWED, "a call between regions lacks its first arguments", NULL);

	caller.region = text_to_cstring(PG_GETARG_TEXT_PP(ARG_CALLER));
	caller.incarnation = PG_GETARG_INT32(ARG_INCARNATION);
	if (strlen(caller.region) >= SD_NAME_SIZE)
		sd_rpc_refuse(ERRCODE_NAME_TOO_LONG, "region name is too long", NULL);
	sd_rpc_guard_session(PG_GETARG_INT32(ARG_PROTOCOL));

	/* undone with this transaction; nobody waits long for a row that another call holds */
	sd_set_lock_timeout(1000, GUC_ACTION_LOCAL);
	if (vote)
		sd_vote_force_sync();

	sd_store_enter(&scope);
	if (!sd_self_read(&caller.self))
		sd_rpc_refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "this database is in no group", NULL);
	sd_store_leave(&scope);

	if (memcmp(&caller.self.group_id, PG_GETARG_UUID_P(ARG_GROUP), UUID_LEN) != 0)
		sd_rpc_refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "this region is in another group", NULL);
	if (caller.self.generation != PG_GETARG_INT32(ARG_GENERATION))
		refuse_generation(&caller.self, PG_GETARG_INT32(ARG_GENERATION));
	if (strcmp(caller.self.region, text_to_cstring(PG_GETARG_TEXT_PP(ARG_CALLEE))) != 0)
		sd_rpc_refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the call was meant for another region",
			   psprintf("This is region \"%s\".", caller.self.region));
	return caller;
}

void
sd_rpc_require_args(FunctionCallInfo fcinfo, int from, int to)
{
	for (int i = from; i <= to; i++)
		if (PG_ARGISNULL(i))
			sd_rpc_refuse(ERRCODE_NULL_VALUE_NOT_ALLOWED, "a call between regions lacks an argument", NULL);
}

static SdBallot
ballot_of(const SdCaller *caller, int64 round, int64 nonce)
{
	SdBallot	ballot;

	if (round <= 0)
		sd_rpc_refuse(ERRCODE_INVALID_PARAMETER_VALUE, "a ballot's round must be positive", NULL);
	sd_ballot_set(&ballot, round, caller->region, (uint64) nonce);
	return ballot;
}

SdChain
sd_rpc_chain_arg(FunctionCallInfo fcinfo, int arg)
{
	SdChain		chain;
	bytea	   *bytes;

	if (PG_ARGISNULL(arg))
		sd_rpc_refuse(ERRCODE_NULL_VALUE_NOT_ALLOWED, "a call between regions lacks an argument", NULL);
	bytes = PG_GETARG_BYTEA_PP(arg);
	if (VARSIZE_ANY_EXHDR(bytes) != SD_SHA_SIZE)
		sd_rpc_refuse(ERRCODE_INVALID_PARAMETER_VALUE, "a chain must have 32 bytes", NULL);
	memcpy(chain.sha, VARDATA_ANY(bytes), SD_SHA_SIZE);
	return chain;
}

/*
 * A version so far ahead, or a ballot so far above what was promised (store/vote.h), is nobody's: such a version would be told to
 * every proposer until it is reached.
 */
#define MAX_VERSIONS_AHEAD	1000000

static void
refuse_far(int64 version, const SdBallot *ballot)
{
	SdHead		head;
	SdBallot	promised;

	sd_log_head(&head);
	if (version <= 0 || version - head.version > MAX_VERSIONS_AHEAD)
		sd_rpc_refuse(ERRCODE_PROTOCOL_VIOLATION, "a call between regions is about a version that cannot be",
			   psprintf("It says version " INT64_FORMAT "; the log here ends at " INT64_FORMAT ".", version, head.version));
	if (ballot == NULL)
		return;
	sd_promise_read(&promised);
	if (ballot->round - promised.round > SD_ROUNDS_AHEAD)
		sd_rpc_refuse(ERRCODE_PROTOCOL_VIOLATION, "a call between regions has a ballot that cannot be",
			   psprintf("It is of round " INT64_FORMAT "; the promise here is of " INT64_FORMAT ".", ballot->round, promised.round));
}

Datum
sd_rpc_bytea(const uint8 *data, size_t size)
{
	bytea	   *bytes = palloc(VARHDRSZ + size);

	SET_VARSIZE(bytes, VARHDRSZ + size);
	memcpy(VARDATA(bytes), data, size);
	return PointerGetDatum(bytes);
}

#define ANSWER_COLUMNS 11

static void
put_row(ReturnSetInfo *result, const char *answer, const SdVote *vote, int64 version, const SdBallot *ballot,
		const char *reason, const SdChain *chain, bytea *bytes)
{
	Datum		values[ANSWER_COLUMNS] = {0};
	bool		nulls[ANSWER_COLUMNS] = {0};

	values[0] = CStringGetTextDatum(answer);
	values[1] = Int32GetDatum(vote->incarnation);
	values[2] = Int64GetDatum(vote->vote_seq);
	values[3] = Int64GetDatum(version);
	nulls[4] = nulls[5] = nulls[6] = ballot == NULL;
	if (ballot)
	{
		values[4] = Int64GetDatum(ballot->round);
		values[5] = CStringGetTextDatum(ballot->region);
		values[6] = Int64GetDatum((int64) ballot->nonce);
	}
	nulls[7] = reason == NULL;
	if (reason)
		values[7] = CStringGetTextDatum(reason);
	nulls[8] = chain == NULL;
	if (chain)
		values[8] = sd_rpc_bytea(chain->sha, SD_SHA_SIZE);
	nulls[9] = bytes == NULL;
	values[9] = PointerGetDatum(bytes);
	/* the SQL objects may be older than this library */
	if (result->setDesc->natts > 10)
		values[10] = Int32GetDatum(vote->left_ms);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* "chosen" carries rows that the caller lacks; the rest it fetches. */
#define CHOSEN_BYTES (1024 * 1024)

static void
put_vote(FunctionCallInfo fcinfo, const SdVote *vote, int64 version)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	if (vote->verdict == SD_ACCEPTOR_DIVERGED)
		ereport(ERROR,
				(errcode(SD_ERRCODE_DIVERGED),
				 errmsg("the logs of the two regions differ below version " INT64_FORMAT, version),
				 errhint("Compare view schemadrift.migrations of both regions; one of them was restored or changed by hand.")));

	put_row(result, sd_verdict_text(vote->verdict), vote, vote->head,
			vote->verdict == SD_ACCEPTOR_REFUSED || vote->verdict == SD_ACCEPTOR_LEASED ? &vote->promised : NULL,
			vote->reason, NULL, NULL);
	foreach(lc, vote->accepted)
	{
		SdAccepted *accepted = lfirst(lc);

		put_row(result, "report", vote, accepted->version, &accepted->ballot, NULL, NULL, accepted->bytes);
	}
	if (vote->verdict == SD_ACCEPTOR_CHOSEN)
	{
		int64		sent = 0;

		for (int64 v = version; v <= vote->head && (v == version || sent < CHOSEN_BYTES); v++)
		{
			SdEntry    *entry = sd_log_entry(v);
			SdChain		chain;

			if (entry == NULL || !sd_log_find(v, &chain, NULL))
				break;
			put_row(result, "log", vote, v, NULL, NULL, &chain, entry->bytes);
			sent += VARSIZE_ANY_EXHDR(entry->bytes);
		}
	}
}

/* What a call tells about other processes' work: somebody else proposes, and has a lease; we are behind. */
static void
note_call(const SdVote *vote, int64 version, bool promised, const SdBallot *ballot, int64 lease)
{
	SdDatabase *db = sd_shared_mine();

	if (db == NULL)
		return;
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	if (promised)
	{
		db->foreign_promise_us = sd_monotonic_us();
		db->foreign_promise_for = version;
		sd_grant_note(&db->grant, ballot, lease, db->foreign_promise_us);
	}
	if (vote->behind && db->heard_head < version - 1)
		db->heard_head = version - 1;
	LWLockRelease(&db->lock);
	if (vote->behind)
		sd_shared_wake(db);
}

/* Who asks for a lease in a call, or for how long; callers of the older protocol do not. */
static int64
lease_arg(FunctionCallInfo fcinfo, int arg)
{
	return PG_NARGS() > arg && !PG_ARGISNULL(arg) ? (int64) Min(PG_GETARG_INT32(arg), SD_LEASE_MAX_MS) * SD_US_PER_MS : 0;
}

/*
 * Another region has our word that we promise to nobody else for a while: nothing is written, and the caller is told whom
 * to ask.  Who speaks the older protocol would not understand that; a lease is a courtesy, so it is not kept waiting.
 */
static bool
is_leased(FunctionCallInfo fcinfo, const SdCaller *caller, SdVote *vote)
{
	SdDatabase *db = sd_shared_mine();
	int64		now = sd_monotonic_us();
	SdBallot	over = {0};
	bool		forbids;

	if (db == NULL || PG_GETARG_INT32(ARG_PROTOCOL) < 2 || PG_NARGS() < 15)
		return false;
	if (!PG_ARGISNULL(12) && !PG_ARGISNULL(13) && !PG_ARGISNULL(14) && PG_GETARG_INT64(12) > 0)
		sd_ballot_set(&over, PG_GETARG_INT64(12), text_to_cstring(PG_GETARG_TEXT_PP(13)), (uint64) PG_GETARG_INT64(14));

	LWLockAcquire(&db->lock, LW_SHARED);
	forbids = sd_grant_forbids(&db->grant, caller->region, &over, now);
	memset(vote, 0, sizeof(*vote));
	vote->promised = db->grant.ballot;
	vote->left_ms = (int32) Max((db->grant.until - now) / SD_US_PER_MS, 1);
	LWLockRelease(&db->lock);

	vote->verdict = SD_ACCEPTOR_LEASED;
	vote->incarnation = caller->self.incarnation;
	vote->vote_seq = caller->self.vote_seq;
	return forbids;
}

/*
 * "Prepare and accept carry the caller's memory of the callee": who asks for a version after the one that began our
 * incarnation means that one; a caller that is further behind may mean an earlier life.
 */
static void
check_memory(FunctionCallInfo fcinfo, const SdCaller *caller, int64 version)
{
	if (caller->self.valid && caller->self.has_life && version > caller->self.since)
		(void) sd_life_contradicted(&caller->self, caller->region, caller->self.incarnation, PG_GETARG_INT64(ARG_VOTE_SEQ));
}

Datum
sd_rpc_prepare(PG_FUNCTION_ARGS)
{
	SdCaller	caller = sd_rpc_guard(fcinfo, true);
	SdBallot	ballot = ballot_of(&caller, PG_GETARG_INT64(7), PG_GETARG_INT64(8));
	int64		version = PG_GETARG_INT64(9);
	SdChain		chain = sd_rpc_chain_arg(fcinfo, 10);
	SdScope		scope;
	SdVote		vote;

	sd_rpc_require_args(fcinfo, 7, 9);
	InitMaterializedSRF(fcinfo, 0);
	if (is_leased(fcinfo, &caller, &vote))
	{
		put_vote(fcinfo, &vote, version);
		return (Datum) 0;
	}
	sd_store_enter(&scope);
	refuse_far(version, &ballot);
	check_memory(fcinfo, &caller, version);
	/* a vote that is being written may be about to give another region our word */
	sd_vote_lock();
	if (!is_leased(fcinfo, &caller, &vote))
		vote = sd_vote_prepare(&ballot, version, &chain);
	put_vote(fcinfo, &vote, version);
	sd_store_leave(&scope);
	sd_waitpoint("promise-written");
	sd_waitpoint_at_commit("promise-flushed");
	note_call(&vote, version, vote.verdict == SD_ACCEPTOR_PROMISED, &ballot, lease_arg(fcinfo, 11));
	return (Datum) 0;
}

Datum
sd_rpc_accept(PG_FUNCTION_ARGS)
{
	SdCaller	caller = sd_rpc_guard(fcinfo, true);
	SdBallot	ballot = ballot_of(&caller, PG_GETARG_INT64(7), PG_GETARG_INT64(8));
	int64		version = PG_GETARG_INT64(9);
	SdChain		chain = sd_rpc_chain_arg(fcinfo, 10);
	SdEntry    *entry;
	SdScope		scope;
	SdVote		vote;

	sd_rpc_require_args(fcinfo, 7, 11);
	entry = sd_entry_decode(PG_GETARG_BYTEA_P(11));
	sd_entry_require_sound(entry);
	InitMaterializedSRF(fcinfo, 0);
	sd_store_enter(&scope);
	refuse_far(version, &ballot);
	check_memory(fcinfo, &caller, version);
	vote = sd_vote_accept(&ballot, version, &chain, entry);
	put_vote(fcinfo, &vote, version);
	sd_store_leave(&scope);
	sd_waitpoint("accept-written");
	sd_waitpoint_at_commit("accept-flushed");
	/* should its proposer not be heard of again, our coordinator has to know that there is something to settle */
	if (vote.verdict == SD_ACCEPTOR_ACCEPTED && sd_shared_mine())
		sd_shared_wake_at_commit(sd_shared_mine());
	note_call(&vote, version, vote.verdict == SD_ACCEPTOR_ACCEPTED, &ballot, lease_arg(fcinfo, 12));
	return (Datum) 0;
}

Datum
sd_rpc_learn(PG_FUNCTION_ARGS)
{
	SdCaller	caller = sd_rpc_guard(fcinfo, true);
	int64		version = PG_GETARG_INT64(7);
	SdChain		hash = sd_rpc_chain_arg(fcinfo, 9);
	SdChain		chain = sd_rpc_chain_arg(fcinfo, 10);
	SdEntry    *entry = PG_ARGISNULL(11) ? NULL : sd_entry_decode(PG_GETARG_BYTEA_P(11));
	SdEntryRef	ref;
	SdScope		scope;
	SdVote		vote;
	SdDatabase *db = sd_shared_mine();
	TupleDesc	tupdesc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	(void) caller;
	sd_rpc_require_args(fcinfo, 7, 8);
	memcpy(ref.id, PG_GETARG_UUID_P(8)->data, SD_ENTRY_ID_SIZE);
	memcpy(ref.sha, hash.sha, SD_SHA_SIZE);
	if (entry)
	{
		SdEntryRef	sent = sd_entry_ref(entry);

		if (!sd_entry_equal(&sent, &ref))
			sd_rpc_refuse(ERRCODE_PROTOCOL_VIOLATION, "the entry sent is not the one announced", NULL);
		sd_entry_require_sound(entry);
	}
	sd_store_enter(&scope);
	refuse_far(version, NULL);
	vote = sd_vote_learn(version, &ref, &chain, entry);
	if (vote.verdict == SD_ACCEPTOR_DIVERGED)
		ereport(ERROR,
				(errcode(SD_ERRCODE_DIVERGED),
				 errmsg("another entry is in the log here at version " INT64_FORMAT, version)));
	sd_store_leave(&scope);

	if (db)
	{
		LWLockAcquire(&db->lock, LW_EXCLUSIVE);
		if (db->heard_head < version)
			db->heard_head = version;
		LWLockRelease(&db->lock);
		sd_shared_wake_at_commit(db);
	}

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(sd_verdict_text(vote.verdict));
	values[1] = Int64GetDatum(vote.head);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

void
sd_rpc_put_log(ReturnSetInfo *result, int64 from, int64 to, int64 max_bytes)
{
	int64		sent = 0;

	for (int64 v = from; v <= to && (v == from || sent < max_bytes); v++)
	{
		SdEntry    *entry = sd_log_entry(v);
		SdChain		chain;
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		if (entry == NULL || !sd_log_find(v, &chain, NULL))
			break;
		values[0] = Int64GetDatum(v);
		values[1] = sd_rpc_bytea(chain.sha, SD_SHA_SIZE);
		values[2] = PointerGetDatum(entry->bytes);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		sent += VARSIZE_ANY_EXHDR(entry->bytes);
	}
}

Datum
sd_rpc_fetch(PG_FUNCTION_ARGS)
{
	SdCaller	caller = sd_rpc_guard(fcinfo, false);
	SdMemberHistory history;
	SdScope		scope;
	SdHead		head;

	sd_rpc_require_args(fcinfo, 7, 8);
	InitMaterializedSRF(fcinfo, 0);
	sd_store_enter(&scope);
	sd_log_head(&head);

	/* a region that was removed learns of that, and of nothing that came after */
	sd_members_history(caller.region, caller.incarnation, &history);
	sd_rpc_put_log((ReturnSetInfo *) fcinfo->resultinfo, PG_GETARG_INT64(7),
				   history.removed_by > 0 ? history.removed_by : head.version, PG_GETARG_INT64(8));
	sd_store_leave(&scope);
	return (Datum) 0;
}
