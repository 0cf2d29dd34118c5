/*
 * watch.c: what the coordinator sees of the other regions: their rhythm, how far away they are, their clocks, and since when
 * something is wrong with one of them.
 *
 * Process: the coordinator, each turn; writes SdPeerState under db->lock.  For people only: nothing decides by it.
 */
#include "compat.h"

#include "utils/timestamp.h"

#include "online_regions.h"
#include "settings.h"
#include "store/protocol.h"
#include "worker/coordinator.h"

static int64
interval_ms(void)
{
	return sd_heartbeat_interval;
}

/* Two regions that have nothing new to tell each begin a heartbeat every second interval, and hear one an interval. */
static SdPhiSettings
rhythm(void)
{
	return (SdPhiSettings) {
		.interval_ms = (int32) interval_ms(),
		.pause_ms = (int32) Max(SD_PHI_PAUSE_MS, 3 * interval_ms()),
		.deviation_ms = SD_PHI_DEVIATION_MS,
		.own_gap_ms = (int32) (4 * interval_ms() + 1000),
		.threshold = SD_PHI_THRESHOLD
	};
}

void
sd_watch_begin(SdRemote *remote)
{
	sd_offset_init(&remote->offset);
}

void
sd_watch_measure(SdRemote *remote, const SdCallResult *result, TimestampTz arrival, TimestampTz answer, int64 now)
{
	SdExchangeTimes times = {
		.asked_us = result->sent_us, .their_arrival_us = arrival, .their_answer_us = answer,
		.heard_us = now, .heard_wall_us = GetCurrentTimestamp()
	};

	(void) sd_offset_add(&remote->offset, &times);
}

/* Its heartbeats came by its calls and by its answers: shared memory has the newest of either. */
static void
hear_rhythm(SdRemote *remote, const SdPeerState *state, int64 now)
{
	SdPhiSettings settings;

	if (state->last_heard_us > remote->phi_us)
	{
		if (remote->phi_us == 0)
		{
			settings = rhythm();
			sd_phi_init(&remote->phi, &settings, state->last_heard_us);
		}
		else
			sd_phi_heard(&remote->phi, state->last_heard_us);
		remote->phi_us = state->last_heard_us;
	}
	if (remote->phi_us > 0)
		sd_phi_tick(&remote->phi, now);
}

static void
note(TimestampTz *since, SdWatched what, bool is_so)
{
	if (!is_so)
		since[what] = 0;
	else if (since[what] == 0)
		since[what] = GetCurrentTimestamp();
}

/* Only what was written of the same version, in the same form, can differ; a region that skipped a version may. */
static bool
comparable(const SdStanding *a, const SdStanding *b)
{
	return a->version > 0 && a->version == b->version && a->form == b->form && a->skipped == 0 && b->skipped == 0;
}

static bool
clock_is_off(const SdPeerState *state)
{
	return sd_clock_offset_limit > 0 && state->clock_known &&
		llabs((long long) state->clock_offset_us) - state->clock_error_us > (int64) sd_clock_offset_limit * SD_US_PER_MS;
}

static bool
lags(int64 lag_ms)
{
	return sd_replication_lag_limit > 0 && lag_ms > sd_replication_lag_limit;
}

static void
judge(SdRemote *remote, SdPeerState *state)
{
	SdCoordinator *c = remote->coordinator;
	const SdTelemetry *told = &state->told;
	TimestampTz *s = state->since;
	int			i = sd_config_find(&c->members.config, remote->region);
	bool		has_schema = i >= 0 && !sd_members_is_witness(&c->members, i);

	note(s, SD_WATCH_UNREACHABLE, remote->missed && told->state != SD_REGION_VOID);
	note(s, SD_WATCH_VOID, told->state == SD_REGION_VOID);
	note(s, SD_WATCH_HALTED, told->halted_at > 0);
	note(s, SD_WATCH_NO_QUORUM, told->state == SD_REGION_NO_QUORUM);
	note(s, SD_WATCH_BEHIND, has_schema && state->last_heard != 0 && told->applied < c->head.version);
	/* sticky while there is nothing to compare */
	if (comparable(&told->standing, &c->db->standing))
		note(s, SD_WATCH_DIVERGED, memcmp(told->standing.logged, c->db->standing.logged, SD_SHA_SIZE) != 0);
	note(s, SD_WATCH_DRIFT, told->standing.drifted > 0);
	note(s, SD_WATCH_UNCOPIED, !remote->missed && sd_drift_uncopied(remote));
	note(s, SD_WATCH_CLOCK, clock_is_off(state));
	note(s, SD_WATCH_LAG, lags(told->lag_ms));
	note(s, SD_WATCH_UNVERIFIED, told->verify_error[0] != '\0');
	note(s, SD_WATCH_DOWN, i >= 0 && c->members.stepped_down[i]);
	note(s, SD_WATCH_TASK, sd_online_any_fails(told->tasks));
	note(s, SD_WATCH_OLDER, state->last_heard != 0 && Max(told->protocol, SD_PROTOCOL_OLDEST) < c->protocol);
}

void
sd_watch_show(SdRemote *remote, SdPeerState *state, int64 now)
{
	int64		rtt = sd_offset_round_trip_us(&remote->offset);

	hear_rhythm(remote, state, now);
	/* the rest is for people, who do not look more often */
	if (now < remote->watch_us)
		return;
	remote->watch_us = now + interval_ms() * SD_US_PER_MS / 2;
	if (rtt < 0)
		rtt = sd_peer_rtt(remote->peer);	/* it tells no times */
	state->rtt_us = (int32) Min(rtt, PG_INT32_MAX);
	state->rtt_min_us = (int32) Min(sd_offset_round_trip_min_us(&remote->offset), PG_INT32_MAX);
	state->clock_known = sd_offset_get(&remote->offset, now, &state->clock_offset_us, &state->clock_error_us);
	state->suspicion = remote->phi_us > 0 ? sd_phi_value(&remote->phi, now) : 0;
	judge(remote, state);
}

void
sd_watch_own(SdCoordinator *c)
{
	TimestampTz *s = c->db->since;
	bool		has_schema = c->me >= 0 && !sd_members_is_witness(&c->members, c->me);

	note(s, SD_WATCH_BEHIND, c->joined && has_schema && c->db->applied < Max(c->db->heard_head, c->head.version));
	/* one that another region has in its log is decided: that it is not in ours is another trouble */
	note(s, SD_WATCH_UNDECIDED, c->joined && c->undecided > c->db->heard_head);
	note(s, SD_WATCH_LAG, lags(c->db->lag_ms));
	note(s, SD_WATCH_TASK, c->joined && sd_online_any_fails(c->own.tasks));
}
