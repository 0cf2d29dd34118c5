/*
 * rpc_exchange.c: heartbeats of other regions: an exchange tells all, a pulse that nothing has changed since.
 *
 * Runs in a backend that the other region's coordinator connected to.  Writes telemetry into shared memory under
 * SdDatabase.lock, and nothing to a table (an idle group makes no WAL), unless what the caller remembers shows that this region
 * has lost votes.
 *
 * A pulse is an exchange of which both sides know what it would say.  The answer to an exchange has a random number.  The caller
 * that would say the same again, in the same session, sends that number; it is told our time if the whole answer would be the
 * same, and else nothing, and an exchange follows.  What tables say is looked at again whenever a transaction has ended that
 * wrote anything, so an answer never says more, or less, than an exchange would have.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/pg_prng.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errors.h"
#include "functions/rpc.h"
#include "settings.h"
#include "shared.h"
#include "store/life.h"
#include "store/names.h"
#include "store/protocol.h"
#include "store/telemetry.h"

PG_FUNCTION_INFO_V1(sd_rpc_exchange);
PG_FUNCTION_INFO_V1(sd_rpc_pulse);

/* What the tables, and the token file, say that an answer depends on.  Compared as bytes: zeroed before it is filled. */
typedef struct Known
{
	pg_uuid_t	group_id;
	int32		generation;
	char		region[SD_NAME_SIZE];
	bool		valid;
	bool		is_member;		/* the caller, in whatever incarnation */
	int32		incarnation;	/* of that member, in force */
	int64		remembered;		/* votes of the caller's incarnation, in table peer */
	int64		names_version;
	bool		has_token;
	uint8		token[SD_SHA_SIZE];
	SdTelemetry own;			/* without shared memory's part */
} Known;

/* The newest exchange of this session. */
static struct
{
	int64		pulse;			/* its number; 0: none that could be repeated */
	uint64		changes;		/* sd_store_changes() when the tables were read */
	char		region[SD_NAME_SIZE];	/* the caller */
	SdTelemetry told;
	Known		known;
	SdTelemetry own;			/* what was answered, without the number, and not when */
} newest;

/*
 * In a scope.  Returns the names whose version is in `known`: read once, for to read them again frees these if they are stale by
 * then, and a version must not be kept of which the caller was not told.
 */
static char *
read_known(SdDatabase *db, const SdSelf *self, const SdMembers *members, const char *region, int32 incarnation, Known *known)
{
	int			i = sd_config_find(&members->config, region);

	memset(known, 0, sizeof(*known));
	known->group_id = self->group_id;
	known->generation = self->generation;
	strlcpy(known->region, self->region, SD_NAME_SIZE);
	known->valid = self->valid;
	known->is_member = i >= 0;
	known->incarnation = i >= 0 ? members->config.member[i].incarnation : 0;
	known->remembered = sd_peer_vote_seq(region, incarnation);
	known->has_token = sd_token_read(known->token);
	sd_telemetry_from_tables(db, self, &known->own);
	return sd_names_own(&known->names_version);
}

static void
own_telemetry(SdDatabase *db, const Known *known, const char *region, int32 incarnation, SdTelemetry *own)
{
	*own = known->own;
	sd_telemetry_add_shared(db, known->valid, own);
	sd_telemetry_remember(db, region, incarnation, known->remembered, own);
}

/* What a member says of our own votes and of who else speaks in our name; true: we are void now. */
static bool
hear_of_ourselves(const SdCaller *caller, const SdTelemetry *told)
{
	const SdSelf *self = &caller->self;

	if (sd_life_contradicted(self, caller->region, told->remembers_of, told->remembers))
		return true;
	if (self->valid && told->cloned == self->incarnation)
	{
		sd_life_end(self->incarnation, SD_VOID_CLONE,
					psprintf("region \"%s\" hears two servers speak in the name of this region", caller->region));
		ForceSyncCommit();
		return true;
	}
	return false;
}

/*
 * Another life of a member, or a region that was removed, is told what we know and is not counted.  Nor is a
 * void one: it may be a copy that speaks in the name of a region that is well.  If it is the region itself our own
 * exchange, which goes to the address in the log, hears so.  True: we are in doubt who speaks in that name.
 */
static bool
take_in(SdDatabase *db, const char *region, const Known *known, const SdTelemetry *told, SdTelemetry *own)
{
	SdPeerState *peer;
	int64		now = sd_monotonic_us();
	bool		news = false;
	bool		doubted;

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	peer = known->is_member ? sd_shared_peer(db, region) : NULL;
	if (peer && told->state == SD_REGION_VOID)
	{
		/* now, not at our next turn: who judges whether it may come back waits for that */
		news = !sd_shared_doubted(peer->doubted_us, now);
		peer->doubted_us = now;
	}
	else if (peer && known->incarnation == told->incarnation)
	{
		/* it is back: no need to wait for our next attempt to connect */
		news = peer->circuit == SD_CIRCUIT_OPEN && peer->told.boot_id != told->boot_id;
		peer->last_called_us = now;
		news |= sd_shared_hear(db, peer, told, now);

		/* only of what we have not given to another ballot since */
		if (told->lease_wanted_ms > 0 && sd_ballot_compare(&db->grant.ballot, &told->lease) == 0)
		{
			own->granted_ms = Min(told->lease_wanted_ms, SD_LEASE_MAX_MS);
			sd_grant_note(&db->grant, &told->lease, (int64) own->granted_ms * SD_US_PER_MS, now);
			own->granted = told->lease;
		}
	}
	doubted = peer && sd_shared_doubted(peer->doubted_us, now);
	LWLockRelease(&db->lock);
	if (news)
	{
		ConditionVariableBroadcast(&db->changed);
		sd_shared_wake(db);
	}
	return doubted;
}

static bool
is_doubted(SdDatabase *db, const char *region)
{
	int64		now = sd_monotonic_us();
	bool		doubted = false;

	LWLockAcquire(&db->lock, LW_SHARED);
	for (int i = 0; i < db->n_peers; i++)
		if (strcmp(db->peers[i].region, region) == 0)
			doubted = sd_shared_doubted(db->peers[i].doubted_us, now);
	LWLockRelease(&db->lock);
	return doubted;
}

static void
read_told(FunctionCallInfo fcinfo, const SdCaller *caller, SdTelemetry *told)
{
	sd_telemetry_clear(told);
	told->incarnation = caller->incarnation;
	told->boot_id = PG_GETARG_INT64(7);
	told->head = PG_GETARG_INT64(8);
	told->applied = PG_GETARG_INT64(9);
	memcpy(told->digest, sd_rpc_chain_arg(fcinfo, 10).sha, SD_SHA_SIZE);
	told->vote_seq = PG_GETARG_INT64(11);
	told->hlc = PG_GETARG_INT64(12);
	told->state = sd_region_state_parse(text_to_cstring(PG_GETARG_TEXT_PP(13)));
	told->halted_at = PG_GETARG_INT64(14);
	told->attempts = PG_GETARG_INT32(15);
	if (!PG_ARGISNULL(16))
		sd_shared_copy(told->halt_error, SD_TEXT_SIZE, text_to_cstring(PG_GETARG_TEXT_PP(16)));
	if (PG_NARGS() > 18 && !PG_ARGISNULL(18))
		sd_telemetry_read_notes(text_to_cstring(PG_GETARG_TEXT_PP(18)), told);
}

/* How far an online version's build is, and for how long a lease is good still, are other numbers each time. */
static bool
may_repeat(const SdTelemetry *told)
{
	return told->tasks[0].version == 0 && sd_ballot_is_none(&told->lease) && sd_ballot_is_none(&told->granted);
}

/* Keep what a pulse may repeat, and give it a number. */
static void
note_exchange(uint64 changes, const SdCaller *caller, const SdTelemetry *told, const Known *known, SdTelemetry *own)
{
	newest.changes = changes;
	strlcpy(newest.region, caller->region, SD_NAME_SIZE);
	newest.told = *told;
	newest.known = *known;
	newest.own = *own;
	own->pulse = newest.pulse = (int64) (pg_prng_uint64(&pg_global_prng_state) >> 1) | 1;
}

/* Heartbeat.  The caller tells where it is, we answer where we are. */
Datum
sd_rpc_exchange(PG_FUNCTION_ARGS)
{
	SdCaller	caller = sd_rpc_guard(fcinfo, false);
	SdDatabase *db = sd_shared_mine();
	int64		names_seen = PG_ARGISNULL(17) ? 0 : PG_GETARG_INT64(17);
	char	   *names;
	uint64		changes;
	SdTelemetry told;
	SdTelemetry own;
	bool		contradicted = false;
	bool		doubted;
	SdMembers	members;
	SdScope		scope;
	Known		known;
	TupleDesc	tupdesc;
	Datum		values[14];
	bool		nulls[14] = {0};

	sd_rpc_require_args(fcinfo, 7, 15);
	if (db == NULL)
		sd_rpc_refuse(SD_ERRCODE_NO_COORDINATOR, "no coordinator runs in this region",
					  "The launcher has not started one yet.");
	read_told(fcinfo, &caller, &told);

	changes = sd_store_changes();	/* before anything is read: what ends meanwhile is looked at by the next pulse */
	sd_store_enter(&scope);
	sd_members_read(&members);
	if (sd_config_find(&members.config, caller.region) >= 0)
		contradicted = hear_of_ourselves(&caller, &told);
	if (!sd_self_read(&caller.self))
		sd_rpc_refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "this database is in no group", NULL);
	names = read_known(db, &caller.self, &members, caller.region, caller.incarnation, &known);
	sd_store_leave(&scope);
	own_telemetry(db, &known, caller.region, caller.incarnation, &own);
	doubted = take_in(db, caller.region, &known, &told, &own);
	if (contradicted)
		sd_shared_wake_at_commit(db);
	newest.pulse = 0;
	if (!contradicted && !doubted && told.protocol >= 2 && may_repeat(&told) && may_repeat(&own))
		note_exchange(changes, &caller, &told, &known, &own);
	own.at = sd_monotonic_us();
	own.heard_boot_id = told.boot_id;
	own.heard_at = told.at;
	own.asked_at = GetCurrentStatementStartTimestamp();
	own.answered_at = GetCurrentTimestamp();

	values[0] = Int32GetDatum(own.incarnation);
	values[1] = Int64GetDatum(own.boot_id);
	values[2] = Int64GetDatum(own.head);
	values[3] = Int64GetDatum(own.applied);
	values[4] = sd_rpc_bytea(own.digest, SD_SHA_SIZE);
	values[5] = Int64GetDatum(own.vote_seq);
	values[6] = Int64GetDatum(own.hlc);
	values[7] = CStringGetTextDatum(sd_region_state_text(own.state));
	values[8] = Int64GetDatum(own.halted_at);
	values[9] = Int32GetDatum(own.attempts);
	values[10] = CStringGetTextDatum(own.halt_error);
	values[11] = Int64GetDatum(known.names_version);
	nulls[12] = known.names_version == names_seen;
	values[12] = nulls[12] ? (Datum) 0 : CStringGetTextDatum(names);
	values[13] = CStringGetTextDatum(sd_telemetry_write_notes(&own));
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

static bool
token_is_same(const Known *known)
{
	uint8		token[SD_SHA_SIZE] = {0};

	return sd_token_read(token) == known->has_token && memcmp(token, known->token, SD_SHA_SIZE) == 0;
}

/* Would an exchange find in tables and files what the newest one found? */
static bool
known_is_same(SdDatabase *db)
{
	uint64		changes = sd_store_changes();
	SdMembers	members;
	SdSelf		self;
	SdScope		scope;
	Known		known;
	bool		same = false;

	if (changes != 0 && changes == newest.changes && sd_names_fresh() && token_is_same(&newest.known))
		return true;
	sd_store_enter(&scope);
	if (sd_self_read(&self))
	{
		sd_members_read(&members);
		(void) read_known(db, &self, &members, newest.region, newest.told.incarnation, &known);
		/* both begin as zeroes; padding that differs all the same costs an exchange, no more */
		/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c) */
		same = memcmp(&known, &newest.known, sizeof(known)) == 0;
	}
	sd_store_leave(&scope);
	newest.changes = changes;
	return same;
}

Datum
sd_rpc_pulse(PG_FUNCTION_ARGS)
{
	SdDatabase *db = sd_shared_mine();
	SdTelemetry own;

	sd_rpc_guard_session(SD_PROTOCOL);
	sd_rpc_require_args(fcinfo, 0, 0);
	if (db == NULL || newest.pulse == 0 || newest.pulse != PG_GETARG_INT64(0))
		PG_RETURN_NULL();
	if (!is_doubted(db, newest.region) && known_is_same(db))
	{
		own_telemetry(db, &newest.known, newest.region, newest.told.incarnation, &own);
		/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c): as above */
		if (memcmp(&own, &newest.own, sizeof(own)) == 0)
		{
			(void) take_in(db, newest.region, &newest.known, &newest.told, &own);
			PG_RETURN_TIMESTAMPTZ(GetCurrentTimestamp());
		}
	}
	newest.pulse = 0;
	PG_RETURN_NULL();
}
