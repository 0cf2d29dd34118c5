/*
 * heartbeat.c: exchanges and pulses with the other members, and what they bring.
 *
 * Process: the coordinator.  An exchange tells both sides all there is to tell.  A pulse says that nothing has changed since
 * (functions/rpc_exchange.c has the other side of it).  As both bring news both ways, two regions that have nothing new to tell
 * each begin one every second interval only.
 */
#include "compat.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "causality/hlc.h"
#include "clock.h"
#include "errors.h"
#include "settings.h"
#include "store/protocol.h"
#include "store/telemetry.h"
#include "worker/coordinator.h"

/*
 * An answer that takes longer tells nothing about now, and until it is given up a change would wait for that region:
 * long enough for the longest round trip on Earth several times over, short enough to refuse soon after a cut.
 */
#define EXCHANGE_TIMEOUT_US	(2 * SD_US_PER_S)

static int64
interval(void)
{
	return (int64) sd_heartbeat_interval * SD_US_PER_MS;
}

/* ---- what is heard ---- */

static void
remember(SdCoordinator *c, void *arg)
{
	SdRemote   *remote = arg;

	(void) c;
	sd_peer_remember(remote->region, remote->incarnation, remote->told.applied, remote->known_vote_seq, remote->told.boot_id);
}

static void
hear(SdRemote *remote, const SdTelemetry *told, int64 now)
{
	SdCoordinator *c = remote->coordinator;
	SdHlcClock	clock;
	bool		news = false;
	uint64		wall_ms = (uint64) ((GetCurrentTimestamp() +
									 (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000);

	/* of notes we learn that it knows them, or that its server was started anew and may know them now */
	if (told->protocol > 0 || (remote->told.boot_id != 0 && remote->told.boot_id != told->boot_id))
		remote->plain = false;
	remote->told = *told;
	remote->heard_us = now;
	sd_gossip_count(remote, told->incarnation, told->vote_seq);

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	{
		SdPeerState *state = sd_shared_peer(c->db, remote->region);

		if (state)
			news = sd_shared_hear(c->db, state, told, now);

		/* a clock that is far ahead is not taken in: it would push everybody's */
		sd_hlc_init(&clock, c->db->hlc, 60000);
		if (sd_hlc_receive(&clock, (SdHlc) told->hlc, wall_ms))
			c->db->hlc = Max(c->db->hlc, (uint64) told->hlc);
	}
	LWLockRelease(&c->db->lock);
	if (news)
		ConditionVariableBroadcast(&c->db->changed);

	/* an idle group writes nothing: only news goes to the table, and only what a restart must not forget */
	if (told->incarnation == remote->incarnation &&
		(remote->known_vote_seq > remote->remembered_vote_seq || told->applied > remote->remembered_applied ||
		 told->boot_id != remote->remembered_boot_id))
	{
		if (sd_coordinator_transaction(c, remember, remote, false))
		{
			remote->remembered_vote_seq = remote->known_vote_seq;
			remote->remembered_applied = Max(remote->remembered_applied, told->applied);
			remote->remembered_boot_id = told->boot_id;
		}
	}
	sd_lost_hear(c, remote, told, now);
}

/* ---- exchange ---- */

static void
exchange_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	SdRemote   *remote = arg;
	int64		now = sd_monotonic_us();
	SdTelemetry told;
	int64		names_version;
	char	   *names;

	(void) peer;
	(void) call;
	remote->exchanging = false;
	if (result->status == SD_CALL_ERROR && result->sqlstate == SD_ERRCODE_GENERATION)
		sd_lost_generation(remote->coordinator, remote, result->detail);
	if (result->status == SD_CALL_ERROR && result->sqlstate == ERRCODE_UNDEFINED_FUNCTION && !remote->plain)
	{
		/* it is older: once more, without notes */
		remote->plain = true;
		remote->next_exchange_us = 0;
	}
	if (result->status != SD_CALL_OK)
		return;
	if (!sd_call_decode_exchange(result->rows, &told, &names_version, &names))
	{
		ereport(LOG, (errmsg("schemadrift: region \"%s\" answered an exchange with nonsense", remote->region)));
		return;
	}
	if (names)
	{
		if (remote->names)
			pfree(remote->names);
		remote->names = MemoryContextStrdup(remote->coordinator->context, names);
		remote->names_version = names_version;
	}
	/* not when it was heard: what was made while the answer was under way is not in it */
	remote->names_us = remote->exchange_us;
	if (told.asked_at != 0)
		sd_watch_measure(remote, result, told.asked_at, told.answered_at, now);
	told.asked_at = told.answered_at = 0;
	remote->pulse = told.pulse;
	told.pulse = 0;
	remote->answer = told;
	if (!sd_ballot_is_none(&told.granted) && remote->lease_wanted_us > 0)
		sd_lead_granted(remote->coordinator, &told.granted, remote->region, remote->exchange_us, remote->lease_wanted_us);
	hear(remote, &told, now);
}

/* ---- pulse ---- */

static void
pulse_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	SdRemote   *remote = arg;
	int64		now = sd_monotonic_us();
	TimestampTz answered_at;
	bool		same;

	(void) peer;
	(void) call;
	remote->exchanging = false;
	if (result->status == SD_CALL_OK && sd_call_decode_pulse(result->rows, &same, &answered_at) && same)
	{
		SdTelemetry told = remote->answer;

		/* it was there and answered at about that time; what lies between counts as the network's */
		sd_watch_measure(remote, result, answered_at, answered_at, now);
		remote->quiet = true;
		remote->names_us = remote->exchange_us;
		hear(remote, &told, now);
		return;
	}
	/* it has something else to say, or the connection is another one: tell all again; at once, if an answer is to be expected */
	remote->quiet = false;
	remote->pulse = 0;
	if (result->status == SD_CALL_OK || result->status == SD_CALL_ERROR)
		remote->next_exchange_us = 0;
}

/* Would an exchange tell what the newest one told? */
static bool
says_the_same(const SdRemote *remote, const SdCallHead *head, const SdTelemetry *tell)
{
	/* both begin as zeroes; padding that differs all the same costs an exchange, no more */
	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c) */
	return memcmp(&remote->said, tell, sizeof(*tell)) == 0 && remote->said_generation == head->self->generation &&
		remote->said_vote_seq == head->known_vote_seq && remote->said_protocol == head->protocol;
}

static void
begin(SdRemote *remote, const SdTelemetry *own, int64 now)
{
	SdCoordinator *c = remote->coordinator;
	SdCallHead	head = sd_gossip_head(c, remote);
	SdTelemetry tell = *own;

	tell.remembers_of = remote->incarnation;
	tell.remembers = remote->known_vote_seq;
	tell.cloned = remote->cloned;
	remote->exchanging = true;
	remote->exchange_us = now;
	remote->lease_wanted_us = (int64) own->lease_wanted_ms * SD_US_PER_MS;
	remote->next_exchange_us = now + interval();
	if (remote->pulse != 0 && !sd_shared_doubted(remote->doubted_us, now) && says_the_same(remote, &head, &tell))
	{
		sd_call_pulse(remote->peer, remote->pulse, now + EXCHANGE_TIMEOUT_US, pulse_done, remote);
		return;
	}
	remote->quiet = false;
	remote->pulse = 0;
	remote->said = tell;
	remote->said_generation = head.self->generation;
	remote->said_vote_seq = head.known_vote_seq;
	remote->said_protocol = head.protocol;

	/* when it is told, and after what, is another thing each time */
	tell.at = sd_monotonic_us();
	tell.heard_boot_id = remote->told.boot_id;
	tell.heard_at = remote->told.at;
	sd_call_exchange(remote->peer, &head, &tell, remote->names_version, !remote->plain, now + EXCHANGE_TIMEOUT_US,
					 exchange_done, remote);
}

/* ---- when ---- */

/* A region that was removed tells that to who does not know it yet, and falls silent when it has heard so. */
static bool
has_news_for(SdCoordinator *c, SdRemote *remote)
{
	return c->me >= 0 || remote->heard_us == 0 || remote->told.applied < c->members.config.since;
}

/*
 * Every interval; if there was nothing new last time, every second one, as long as the other region begins the others.  What
 * looks as if somebody spoke in its name is looked into at its address.
 */
static int64
due_at(const SdRemote *remote)
{
	int64		due = remote->next_exchange_us;

	if (remote->quiet && due > 0 && !sd_shared_doubted(remote->doubted_us, remote->exchange_us))
		due = Max(due, Min(remote->exchange_us + 2 * interval(), remote->called_us + 2 * interval() + interval() / 4));
	return due;
}

static bool
is_due(SdCoordinator *c, SdRemote *remote, int64 by)
{
	return !remote->exchanging && due_at(remote) <= by && has_news_for(c, remote);
}

/* What the tables say is read again if it may be another by now; a token's file, or the progress of a build, always may. */
static void
read_own(SdCoordinator *c, void *arg)
{
	uint64	   *now = arg;
	uint64		changes = sd_store_changes();
	SdSelf		self;

	*now = changes;
	if (changes == 0 || changes != c->own_changes)
	{
		c->own_changes = 0;
		if (!sd_self_read(&self))
		{
			sd_telemetry_clear(&c->own);
			c->own.protocol = sd_protocol_own();
			c->own_valid = false;
			return;
		}
		sd_telemetry_from_tables(c->db, &self, &c->own);
		c->own_valid = self.valid;
		if (!self.has_token && c->own.tasks[0].version == 0)
			c->own_changes = changes;
	}
}

/* One look at our tables for all whose turn is near: so they stay together from then on. */
static void
begin_with_due(SdCoordinator *c, int64 now)
{
	int64		by = now + interval() / 4;
	SdTelemetry own;
	uint64		changes;
	ListCell   *lc;

	if (!sd_coordinator_transaction(c, read_own, &changes, false))
	{
		/* not at once again: it may fail for long */
		foreach(lc, c->remotes)
			if (is_due(c, lfirst(lc), by))
				((SdRemote *) lfirst(lc))->next_exchange_us = now + interval();
		return;
	}
	sd_standing_look(c, changes);
	sd_lag_look(c, now);
	own = c->own;
	if (own.incarnation > 0)
		sd_telemetry_add_shared(c->db, c->own_valid, &own);
	sd_gossip_speak(c, own.protocol);
	foreach(lc, c->remotes)
		if (is_due(c, lfirst(lc), by))
			begin(lfirst(lc), &own, now);
}

void
sd_heartbeat_drive(SdCoordinator *c, int64 now)
{
	bool		due = false;
	ListCell   *lc;

	foreach(lc, c->remotes)
		due |= is_due(c, lfirst(lc), now);
	if (due)
		begin_with_due(c, now);
}

int64
sd_heartbeat_deadline(SdCoordinator *c)
{
	int64		deadline = SD_NEVER;
	ListCell   *lc;

	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);

		if (!remote->exchanging && has_news_for(c, remote))
			deadline = Min(deadline, due_at(remote));
	}
	return deadline;
}

void
sd_heartbeat_hurry(SdCoordinator *c)
{
	ListCell   *lc;

	foreach(lc, c->remotes)
		((SdRemote *) lfirst(lc))->next_exchange_us = 0;
}
