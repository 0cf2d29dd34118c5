/*
 * region_rows.c: rows of the views that show each region as this one knows it: regions, version_vectors, and counters for metrics.
 *
 * Runs in backends, on a look at tables and shared memory (look.h).  Nothing here is asked of another region: it is what
 * heartbeats told.
 */
#include "compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "causality/phi.h"
#include "causality/vector.h"
#include "functions/look.h"
#include "store/protocol.h"

PG_FUNCTION_INFO_V1(sd_region_rows);
PG_FUNCTION_INFO_V1(sd_counter_rows);

/* ---- the region ---- */

static const char *
circuit_text(SdCircuit circuit)
{
	switch (circuit)
	{
		case SD_CIRCUIT_CLOSED:
			return "closed";
		case SD_CIRCUIT_HALF_OPEN:
			return "half_open";
		case SD_CIRCUIT_OPEN:
			return "open";
	}
	return NULL;
}

/* What it told of itself, unless that is too long ago to be true. */
static const char *
peer_state(const SdPeerState *peer)
{
	return sd_here_is_silent(peer) ? "unreachable" : sd_region_state_text(peer->told.state);
}

static void
put_own_region(SdViewRow *row, const SdHere *here)
{
	sd_view_text(row, !here->self.valid ? sd_region_state_text(SD_REGION_VOID) :
				 sd_region_state_text(here->coordinator && !sd_here_is_starting(here) ? here->db->state : SD_REGION_NO_QUORUM));
	sd_view_int64(row, here->applied.version);
	sd_view_time(row, GetCurrentTimestamp());
	sd_view_null(row);
	sd_view_null(row);
	sd_view_text(row, here->db ? here->db->halt_error : NULL);
}

static void
put_peer(SdViewRow *row, const SdPeerState *peer)
{
	sd_view_text(row, peer ? peer_state(peer) : "unreachable");
	sd_view_put(row, peer ? Int64GetDatum(peer->told.applied) : (Datum) 0, peer == NULL || peer->last_heard == 0);
	sd_view_time(row, peer ? peer->last_heard : 0);
	sd_view_put(row, peer ? Float8GetDatum(peer->rtt_us / 1000.0) : (Datum) 0, peer == NULL || peer->rtt_us < 0);
	sd_view_text(row, peer ? circuit_text(peer->circuit) : NULL);
	sd_view_text(row, peer == NULL ? NULL : peer->last_error[0] ? peer->last_error : peer->told.halt_error);
}

/* What people did to it, if it does not take part as it could. */
static char *
why_not_serving(const SdMembers *members, int i)
{
	if (members->config.member[i].suspended)
		return psprintf("suspended by %s at %s: %s", members->suspended_by[i], members->suspended_at[i], members->suspended_reason[i]);
	if (members->stepped_down[i])
		return psprintf("stepped down: it was a %s", sd_role_text(members->wants[i]));
	if (members->wants[i] != members->config.member[i].role)
		return psprintf("becomes a %s once it has applied everything", sd_role_text(members->wants[i]));
	return NULL;
}

/* Who tells none is older than the notes in which it would be. */
static void
put_protocol(SdViewRow *row, const SdHere *here, const char *region)
{
	const SdPeerState *peer = sd_here_peer(here, region);
	bool		own = sd_here_is_own(here, region);
	int32		protocol = own ? sd_protocol_own() : peer ? Max(peer->told.protocol, SD_PROTOCOL_OLDEST) : 0;

	sd_view_put(row, Int32GetDatum(protocol), !own && (peer == NULL || peer->last_heard_us == 0));
}

/* ---- its schema ---- */

/* What was told of a member's schema; NULL: nothing, or nothing of late. */
static const SdStanding *
standing_of(const SdHere *here, const char *region)
{
	const SdPeerState *peer = sd_here_peer(here, region);
	const SdStanding *standing = sd_here_is_own(here, region) ? (here->coordinator ? &here->db->standing : NULL) :
		peer ? &peer->told.standing : NULL;

	return standing && standing->version > 0 ? standing : NULL;
}

static bool
vector_of(const SdStanding *standing, SdVector *vector)
{
	size_t		length = strlen(standing->vector);
	size_t		room = sd_vector_parse_room(length);
	SdVectorBuilder builder;
	size_t		at;

	sd_vector_begin(&builder, palloc(room), room);
	return length > 0 && sd_vector_parse(standing->vector, length, &builder, vector, &at) == SD_VECTOR_OK;
}

/* How its vector compares with ours: "behind": it contains less.  "unknown": one of them is too long to be told.  NULL: nothing was told. */
static const char *
relation_of(const SdHere *here, const SdStanding *standing)
{
	const SdStanding *own = standing_of(here, here->self.region);
	SdVector	theirs;
	SdVector	ours;

	if (standing == NULL || own == NULL)
		return NULL;
	if (!vector_of(standing, &theirs) || !vector_of(own, &ours))
		return "unknown";
	return sd_vector_order_name(sd_vector_compare(theirs, ours));
}

/* The newest version that anybody told of. */
static int64
newest(const SdHere *here)
{
	return here->db ? Max(here->head.version, here->db->heard_head) : here->head.version;
}

static int64
applied_by(const SdHere *here, const char *region)
{
	const SdPeerState *peer = sd_here_peer(here, region);

	return sd_here_is_own(here, region) ? here->applied.version : peer ? peer->told.applied : 0;
}

static bool
is_known(const SdHere *here, const char *region)
{
	const SdPeerState *peer = sd_here_peer(here, region);

	return sd_here_is_own(here, region) || (peer && !sd_here_is_silent(peer));
}

/* At the newest version, without drift, and the log means there what it means here. */
static void
put_in_sync(SdViewRow *row, const SdHere *here, const char *region, const SdStanding *standing)
{
	const SdPeerState *peer = sd_here_peer(here, region);
	bool		in_sync = standing && standing->drifted == 0 && applied_by(here, region) >= newest(here) &&
		(sd_here_is_own(here, region) || peer->since[SD_WATCH_DIVERGED] == 0);

	sd_view_put(row, BoolGetDatum(in_sync), standing == NULL || !is_known(here, region));
}

/*
 * From 0 to 1: how much what is shown of a region can be relied on.  docs/monitoring/README.md has the definition.  Three
 * factors: that it is alive, that its digests are its schema, that it has acknowledged the newest version.
 */
static double
confidence(const SdHere *here, const char *region, TimestampTz verified_at)
{
	const SdPeerState *peer = sd_here_peer(here, region);
	double		alive = sd_here_is_own(here, region) ? 1.0 :
		peer == NULL || peer->last_heard == 0 ? 0.0 : Max(1.0 - peer->suspicion / SD_PHI_THRESHOLD, 0.0);
	int64		missing = newest(here) - applied_by(here, region);
	bool		verified = verified_at != 0 && !sd_here_verify_overdue(verified_at);

	return alive * (verified ? 1.0 : 0.5) / (1 + Max(missing, 0));
}

static void
put_ms(SdViewRow *row, int64 us, bool known)
{
	sd_view_put(row, known ? Float8GetDatum(us / 1000.0) : (Datum) 0, !known);
}

static void
put_lag(SdViewRow *row, int64 ms)
{
	Interval   *lag = palloc0(sizeof(Interval));

	lag->time = ms * 1000;
	sd_view_put(row, IntervalPGetDatum(lag), ms < 0);
}

static void
put_schema(SdViewRow *row, const SdHere *here, const char *region, bool has_schema)
{
	bool		own = sd_here_is_own(here, region);
	const SdPeerState *peer = sd_here_peer(here, region);
	const SdStanding *standing = has_schema ? standing_of(here, region) : NULL;
	TimestampTz verified_at = own ? (here->db ? here->db->verified_at : 0) : peer ? peer->told.verified_at : 0;
	int64		lag_ms = own ? (here->coordinator ? here->db->lag_ms : -1) : peer ? peer->told.lag_ms : -1;
	int64		lag_bytes = own ? (here->coordinator ? here->db->lag_bytes : -1) : peer ? peer->told.lag_bytes : -1;

	sd_view_text(row, standing ? standing->vector : NULL);
	sd_view_text(row, relation_of(here, standing));
	put_in_sync(row, here, region, standing);
	sd_view_time(row, verified_at);
	put_ms(row, peer ? peer->clock_offset_us : 0, peer && peer->clock_known);
	put_ms(row, peer ? peer->clock_error_us : 0, peer && peer->clock_known);
	put_lag(row, lag_ms);
	sd_view_put(row, has_schema ? Float8GetDatum(confidence(here, region, verified_at)) : (Datum) 0, !has_schema);
	sd_view_put(row, peer ? Float8GetDatum(peer->suspicion) : (Datum) 0, peer == NULL || peer->last_heard == 0);
	put_ms(row, peer ? peer->rtt_min_us : 0, peer && peer->rtt_min_us >= 0);
	sd_view_put(row, Int64GetDatum(standing ? standing->drifted : 0), standing == NULL);
	sd_view_put(row, Int64GetDatum(standing ? standing->outside : 0), standing == NULL);
	sd_view_put(row, Int64GetDatum(lag_bytes), lag_bytes < 0);
}

Datum
sd_region_rows(PG_FUNCTION_ARGS)
{
	SdHere	   *here = sd_here();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < here->members.config.n; i++)
	{
		const SdMember *member = &here->members.config.member[i];
		SdViewRow	row = {0};

		sd_view_text(&row, member->region);
		sd_view_text(&row, sd_role_text(member->role));
		sd_view_put(&row, Int32GetDatum(member->incarnation), false);
		if (sd_here_is_own(here, member->region))
			put_own_region(&row, here);
		else
			put_peer(&row, sd_here_peer(here, member->region));
		sd_view_put(&row, Int32GetDatum(here->members.priority[i]), false);
		sd_view_put(&row, BoolGetDatum(member->suspended), false);
		sd_view_text(&row, why_not_serving(&here->members, i));
		put_protocol(&row, here, member->region);
		put_schema(&row, here, member->region, !sd_members_is_witness(&here->members, i));
		sd_view_finish(fcinfo, &row);
	}
	return (Datum) 0;
}

/* ---- counters ---- */

static const struct
{
	const char *name;
	const char *reason;			/* of a refusal */
}			counters[SD_COUNTERS] = {
	[SD_COUNT_APPLY_FAILED] = {"apply_failures", NULL},
	[SD_COUNT_APPLY_RETRIED] = {"apply_retries", NULL},
	[SD_COUNT_CHANGES] = {"changes", NULL},
	[SD_COUNT_PREEMPTED] = {"preemptions", NULL},
	[SD_COUNT_UNKNOWN] = {"unknown_outcomes", NULL},
	[SD_COUNT_NO_QUORUM] = {"refusals", "no_quorum"},
	[SD_COUNT_NOT_ORIGIN] = {"refusals", "not_origin"},
	[SD_COUNT_BEHIND] = {"refusals", "behind"},
	[SD_COUNT_NAMES_MISSING] = {"refusals", "names_missing"},
	[SD_COUNT_POLICY] = {"refusals", "policy"},
	[SD_COUNT_NO_COORDINATOR] = {"refusals", "no_coordinator"},
	[SD_COUNT_BLOCKED] = {"refusals", "blocked"},
	[SD_COUNT_TAKEOVERS] = {"takeovers", NULL}
};

/* This is a part of view metrics: somebody watches. */
static void
note_reading(void)
{
	SdDatabase *db = sd_shared_mine();

	if (db == NULL)
		return;
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->metrics_read_at = GetCurrentTimestamp();
	LWLockRelease(&db->lock);
}

/* Of each region since its server's start, as it told; a row a counter. */
Datum
sd_counter_rows(PG_FUNCTION_ARGS)
{
	SdHere	   *here = sd_here();

	note_reading();
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < here->members.config.n; i++)
	{
		const char *region = here->members.config.member[i].region;
		const SdPeerState *peer = sd_here_peer(here, region);
		const int64 *counts = sd_here_is_own(here, region) ? (here->db ? here->db->counts : NULL) :
			peer && peer->last_heard != 0 ? peer->told.counts : NULL;

		for (int j = 0; counts && j < SD_COUNTERS; j++)
		{
			SdViewRow	row = {0};

			sd_view_text(&row, region);
			sd_view_text(&row, counters[j].name);
			sd_view_text(&row, counters[j].reason);
			sd_view_int64(&row, counts[j]);
			sd_view_finish(fcinfo, &row);
		}
	}
	return (Datum) 0;
}
