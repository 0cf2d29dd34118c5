/*
 * connection.c: the life of a connection to another region: attempts, circuit, events.
 *
 * Process: the coordinator.  No locking.  connection.h has the rules for callers, peer.h the phases.
 */
#include "compat.h"

#include "common/pg_prng.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "clock.h"
#include "settings.h"
#include "peer/peer.h"

/* The first wait after a failure, and the least time between a failure and an attempt that somebody asks for. */
#define RETRY_MIN_US	SD_US_PER_S

static void peer_begin_attempt(SdPeer *peer, int64 now_us);
static void peer_try_endpoints(SdPeer *peer, int64 now_us);

/* ---- small parts ---- */

static void
peer_enter(SdPeer *peer, SdPeerPhase phase)
{
	peer->phase = phase;
	peer->generation++;
}

static void
peer_set_error(SdPeer *peer, const char *reason)
{
	if (reason != peer->last_error)
		strlcpy(peer->last_error, reason, sizeof(peer->last_error));
}

static void
peer_close(SdPeer *peer)
{
	if (peer->conn == NULL)
		return;
	PQfinish(peer->conn);
	peer->conn = NULL;
	ReleaseExternalFD();
	peer->flushing = false;
	peer->recycle_at = SD_NEVER;
	peer->farewell[0] = '\0';
	peer->generation++;
}

static void
peer_drop_lookup(SdPeer *peer)
{
	if (peer->lookup)
		sd_lookup_release(peer->lookup);
	peer->lookup = NULL;
}

/* Reset callback of the peer's context. */
static void
peer_release(void *arg)
{
	SdPeer	   *peer = arg;

	sd_peer_clear_results(peer);
	peer_close(peer);
	peer_drop_lookup(peer);
}

/*
 * 1 s, 2 s, 4 s ..., each made up to a half shorter so that regions do not try in step; at most five heartbeats,
 * because a heal must be noticed soon: everybody is equal again within a bounded time after the last fault.
 */
static int64
peer_backoff(int failures)
{
	int64		most = Min((int64) sd_retry_max_interval, 5 * (int64) sd_heartbeat_interval) * SD_US_PER_MS;
	int64		wait = RETRY_MIN_US << Min(Max(failures - 1, 0), 20);

	wait = Max(Min(wait, most), SD_US_PER_MS);
	return wait - (int64) (pg_prng_double(&pg_global_prng_state) * wait / 2);
}

static void
peer_fail(SdPeer *peer, const char *reason, int64 now_us)
{
	Assert(peer->current == NULL);
	peer_set_error(peer, reason);
	peer->failures++;
	peer->failed_at = now_us;
	peer->circuit = SD_CIRCUIT_OPEN;
	peer->retry_at = now_us + peer_backoff(peer->failures);
	peer_close(peer);
	peer_enter(peer, SD_PEER_WAITING);
}

/* An attempt has come to nothing. */
static void
peer_attempt_failed(SdPeer *peer, const char *reason, int64 now_us)
{
	peer_fail(peer, reason, now_us);
	sd_peer_refuse_calls(peer, peer->last_error);
}

static void
peer_try_soon(SdPeer *peer)
{
	peer->retry_at = Min(peer->retry_at,
						 peer->failures > 0 ? peer->failed_at + RETRY_MIN_US : 0);
}

/* ---- the circuit, as calls see it ---- */

void
sd_peer_answered(SdPeer *peer)
{
	peer->failures = 0;
	peer->circuit = SD_CIRCUIT_CLOSED;
	peer->last_error[0] = '\0';
}

/*
 * A connection that had answered calls is tried again at once, and queued calls wait for that; one that never did is not
 * better than a failed attempt: a server that crashes on each call must not be hammered.
 */
void
sd_peer_lost(SdPeer *peer, const char *reason, int64 now_us)
{
	char		text[SD_REASON_SIZE];
	bool		worked = peer->failures == 0;

	if (reason == NULL && peer->farewell[0] != '\0')
		strlcpy(text, peer->farewell, sizeof(text));
	else if (reason == NULL)
		sd_libpq_reason(PQerrorMessage(peer->conn), text, sizeof(text));
	else
		strlcpy(text, reason, sizeof(text));

	if (worked)
	{
		peer_fail(peer, text, now_us);
		peer_begin_attempt(peer, now_us);
	}
	else
		peer_attempt_failed(peer, text, now_us);
}

void
sd_peer_reconnect(SdPeer *peer, int64 now_us)
{
	Assert(peer->current == NULL);
	peer_close(peer);
	peer_enter(peer, SD_PEER_WAITING);
	peer_begin_attempt(peer, now_us);
}

/* A call was queued while there is no connection: wait for one, ask for one, or go back at once. */
void
sd_peer_admit(SdPeer *peer, SdCall *call)
{
	int64		now_us;

	if (peer->phase != SD_PEER_WAITING || peer->failures == 0)
		return;
	now_us = sd_monotonic_us();
	if (call->spec.probe && now_us >= peer->failed_at + RETRY_MIN_US)
		peer->retry_at = now_us;
	if (peer->retry_at > now_us)
		sd_call_refuse(call, peer->last_error);
}

/* ---- an attempt ---- */

static void
peer_begin_attempt(SdPeer *peer, int64 now_us)
{
	const char *reason;
	char	   *error = NULL;
	MemoryContext old;

	Assert(peer->phase == SD_PEER_WAITING && peer->conn == NULL);
	if (peer->failures > 0)
		peer->circuit = SD_CIRCUIT_HALF_OPEN;
	peer->conninfo_changed = false;
	peer->phase_deadline = now_us + (int64) sd_connect_timeout * SD_US_PER_MS;

	/* At most one lookup a peer: if the last one is still out, its answer is as good as a new one's. */
	if (peer->lookup)
	{
		peer_enter(peer, SD_PEER_RESOLVING);
		return;
	}

	MemoryContextReset(peer->attempt_context);
	peer->endpoints = NULL;
	peer->tried = 0;
	old = MemoryContextSwitchTo(peer->attempt_context);
	peer->info = sd_conninfo_parse(peer->conninfo, &error);
	MemoryContextSwitchTo(old);
	if (peer->info == NULL)
	{
		peer_attempt_failed(peer, error, now_us);
		return;
	}
	if (peer->info->n_names == 0)
	{
		peer->endpoints = peer->info->endpoints;
		peer->n_endpoints = peer->info->n_endpoints;
		peer_try_endpoints(peer, now_us);
		return;
	}
	peer->lookup = sd_lookup_start(peer->info->n_names, peer->info->names, &reason);
	if (peer->lookup)
		peer_enter(peer, SD_PEER_RESOLVING);
	else
		peer_attempt_failed(peer, reason, now_us);
}

/* The name server has answered, in time or so late that the attempt is over: either way the answer is fresh. */
static void
peer_resolved(SdPeer *peer, int64 now_us)
{
	char	   *error = NULL;
	MemoryContext old = MemoryContextSwitchTo(peer->attempt_context);

	peer->endpoints = sd_conninfo_resolve(peer->info, peer->lookup, &peer->n_endpoints, &error);
	MemoryContextSwitchTo(old);
	peer->tried = 0;
	peer_drop_lookup(peer);
	if (peer->n_endpoints == 0)
		peer_attempt_failed(peer, error, now_us);
	else
	{
		if (error)
			peer_set_error(peer, error);
		peer_try_endpoints(peer, now_us);
	}
}

/* Open the socket to one place; false if that fails at once. */
static bool
peer_start_connect(SdPeer *peer, const SdEndpoint *endpoint, int64 now_us)
{
	MemoryContext old;

	/* as libpq's users in core do: the descriptor is libpq's, the budget is fd.c's */
	if (!AcquireExternalFD())
	{
		peer_set_error(peer, "too many open files");
		return false;
	}
	old = MemoryContextSwitchTo(peer->attempt_context);
	peer->conn = sd_endpoint_connect(peer->info, endpoint, peer->own_region);
	MemoryContextSwitchTo(old);
	if (peer->conn == NULL)
	{
		ReleaseExternalFD();
		peer_set_error(peer, "out of memory");
		return false;
	}
	PQsetNoticeReceiver(peer->conn, sd_peer_notice, peer);
	if (PQstatus(peer->conn) == CONNECTION_BAD)
	{
		sd_libpq_reason(PQerrorMessage(peer->conn), peer->last_error, sizeof(peer->last_error));
		peer_close(peer);
		return false;
	}
	peer->poll_events = WL_SOCKET_WRITEABLE;
	peer->phase_deadline = now_us + (int64) sd_connect_timeout * SD_US_PER_MS;
	peer_enter(peer, SD_PEER_CONNECTING);
	return true;
}

/* The next places, beginning with the one that worked last, until one takes our call or none is left. */
static void
peer_try_endpoints(SdPeer *peer, int64 now_us)
{
	for (; peer->tried < peer->n_endpoints; peer->tried++)
	{
		int			i = (peer->preferred + peer->tried) % peer->n_endpoints;

		if (peer_start_connect(peer, &peer->endpoints[i], now_us))
			return;
	}
	peer_attempt_failed(peer, peer->last_error, now_us);
}

static void
peer_endpoint_failed(SdPeer *peer, const char *reason, int64 now_us)
{
	if (reason)
		peer_set_error(peer, reason);
	else
		sd_libpq_reason(PQerrorMessage(peer->conn), peer->last_error, sizeof(peer->last_error));
	peer_close(peer);
	peer->tried++;
	peer_try_endpoints(peer, now_us);
}

static void
peer_connected(SdPeer *peer, int64 now_us)
{
	if (PQsetnonblocking(peer->conn, 1) != 0)
	{
		peer_endpoint_failed(peer, NULL, now_us);
		return;
	}
	peer->preferred = (peer->preferred + peer->tried) % peer->n_endpoints;
	peer->farewell[0] = '\0';
	if (peer->failures == 0)
		peer->last_error[0] = '\0'; /* of a place tried before this one */
	peer_enter(peer, SD_PEER_READY);
}

static void
peer_continue_connect(SdPeer *peer, int64 now_us)
{
	PostgresPollingStatusType status = PQconnectPoll(peer->conn);

	/* libpq may have closed its socket and opened another, with the same number even */
	peer->generation++;
	switch (status)
	{
		case PGRES_POLLING_READING:
			peer->poll_events = WL_SOCKET_READABLE;
			break;
		case PGRES_POLLING_WRITING:
			peer->poll_events = WL_SOCKET_WRITEABLE;
			break;
		case PGRES_POLLING_OK:
			peer_connected(peer, now_us);
			break;
		default:
			peer_endpoint_failed(peer, NULL, now_us);
			break;
	}
}

/* ---- steps, one a phase ---- */

static void
step_waiting(SdPeer *peer, int64 now_us)
{
	if (peer->lookup && sd_lookup_finished(peer->lookup))
	{
		if (peer->failures > 0)
			peer->circuit = SD_CIRCUIT_HALF_OPEN;
		peer_resolved(peer, now_us);
	}
	else if (peer->retry_at <= now_us)
		peer_begin_attempt(peer, now_us);
}

static void
step_resolving(SdPeer *peer, int64 now_us)
{
	if (sd_lookup_finished(peer->lookup))
		peer_resolved(peer, now_us);
	else if (peer->phase_deadline <= now_us)
		peer_attempt_failed(peer, "the name server did not answer", now_us);
}

static void
step_connecting(SdPeer *peer, uint32 events, int64 now_us)
{
	if (events & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
		peer_continue_connect(peer, now_us);
	else if (peer->phase_deadline <= now_us)
	{
		char		reason[SD_REASON_SIZE];

		snprintf(reason, sizeof(reason), "timed out after %.1f s (no answer to connect)",
				 sd_connect_timeout / 1000.0);
		peer_endpoint_failed(peer, reason, now_us);
	}
}

/* Idle, something arrived: parameter changes, or the server's last words. */
static void
step_ready(SdPeer *peer, uint32 events, int64 now_us)
{
	if (events & WL_SOCKET_READABLE)
	{
		/* PQisBusy parses what came, so that last words reach sd_peer_notice */
		if (!PQconsumeInput(peer->conn) || PQisBusy(peer->conn) ||
			PQstatus(peer->conn) == CONNECTION_BAD)
		{
			sd_peer_lost(peer, NULL, now_us);
			return;
		}
	}
	if (peer->conninfo_changed || (peer->recycle_at <= now_us && peer->n_queued == 0))
		sd_peer_reconnect(peer, now_us);
}

void
sd_peer_step(SdPeer *peer, uint32 events, int64 now_us)
{
	Assert(!peer->in_step);
	peer->in_step = true;
	PG_TRY();
	{
		switch (peer->phase)
		{
			case SD_PEER_WAITING:
				step_waiting(peer, now_us);
				break;
			case SD_PEER_RESOLVING:
				step_resolving(peer, now_us);
				break;
			case SD_PEER_CONNECTING:
				step_connecting(peer, events, now_us);
				break;
			case SD_PEER_READY:
				step_ready(peer, events, now_us);
				break;
			case SD_PEER_BUSY:
				sd_peer_continue_call(peer, events, now_us);
				break;
		}
		sd_peer_expire_calls(peer, now_us);
		/* first tell, then send: what done() submits may be more urgent than what waits */
		sd_peer_deliver(peer);
		if (peer->phase == SD_PEER_READY && !peer->conninfo_changed)
			sd_peer_send_next(peer, now_us);
	}
	PG_FINALLY();
	{
		peer->in_step = false;
	}
	PG_END_TRY();
}

/* ---- for the loop ---- */

uint32
sd_peer_generation(const SdPeer *peer)
{
	return peer->generation;
}

pgsocket
sd_peer_socket(const SdPeer *peer)
{
	if (peer->conn)
		return PQsocket(peer->conn);
	if (peer->lookup)
		return sd_lookup_socket(peer->lookup);
	return PGINVALID_SOCKET;
}

uint32
sd_peer_wait_events(const SdPeer *peer)
{
	if (peer->phase == SD_PEER_CONNECTING)
		return peer->poll_events;
	return WL_SOCKET_READABLE | (peer->flushing ? WL_SOCKET_WRITEABLE : 0);
}

int64
sd_peer_next_deadline(const SdPeer *peer)
{
	int64		least = sd_peer_calls_deadline(peer);

	switch (peer->phase)
	{
		case SD_PEER_WAITING:
			return Min(least, peer->retry_at);
		case SD_PEER_RESOLVING:
		case SD_PEER_CONNECTING:
			return Min(least, peer->phase_deadline);
		case SD_PEER_READY:
			if (peer->n_queued > 0 || peer->conninfo_changed)
				return 0;
			return Min(least, peer->recycle_at);
		case SD_PEER_BUSY:
			break;
	}
	return least;
}

/* ---- for the owner ---- */

SdPeer *
sd_peer_create(MemoryContext parent, const char *own_region, const char *region, const char *conninfo)
{
	MemoryContext context = AllocSetContextCreate(parent, "schemadrift peer", ALLOCSET_SMALL_SIZES);
	SdPeer	   *peer = MemoryContextAllocZero(context, sizeof(SdPeer));

	peer->context = context;
	peer->attempt_context = AllocSetContextCreate(context, "schemadrift connection attempt",
												  ALLOCSET_SMALL_SIZES);
	peer->region = MemoryContextStrdup(context, region);
	peer->own_region = MemoryContextStrdup(context, own_region);
	peer->conninfo = MemoryContextStrdup(context, conninfo);
	peer->phase = SD_PEER_WAITING;
	peer->circuit = SD_CIRCUIT_CLOSED;
	peer->recycle_at = SD_NEVER;
	peer->rtt = -1;
	for (int i = 0; i < SD_PRIORITIES; i++)
		dlist_init(&peer->queue[i]);
	dlist_init(&peer->ended);
	peer->release.func = peer_release;
	peer->release.arg = peer;
	MemoryContextRegisterResetCallback(context, &peer->release);
	return peer;
}

void
sd_peer_free(SdPeer *peer)
{
	Assert(!peer->in_step);
	sd_peer_abandon_call(peer, "the connection was closed here", sd_monotonic_us());
	sd_peer_refuse_calls(peer, "the connection was closed here");
	sd_peer_deliver(peer);
	MemoryContextDelete(peer->context);
}

void
sd_peer_set_conninfo(SdPeer *peer, const char *conninfo)
{
	char	   *before = peer->conninfo;

	if (strcmp(before, conninfo) == 0)
		return;
	peer->conninfo = MemoryContextStrdup(peer->context, conninfo);
	pfree(before);
	peer->preferred = 0;
	peer->failures = 0;
	peer->circuit = SD_CIRCUIT_CLOSED;
	peer_drop_lookup(peer);
	if (peer->phase == SD_PEER_READY || peer->phase == SD_PEER_BUSY)
	{
		peer->conninfo_changed = true;
		return;
	}
	peer_close(peer);
	peer->retry_at = 0;
	peer_enter(peer, SD_PEER_WAITING);
}

void
sd_peer_wake(SdPeer *peer)
{
	if (peer->phase == SD_PEER_WAITING)
		peer_try_soon(peer);
}

void
sd_peer_set_arg(SdPeer *peer, void *arg)
{
	peer->arg = arg;
}

void *
sd_peer_arg(const SdPeer *peer)
{
	return peer->arg;
}

const char *
sd_peer_region(const SdPeer *peer)
{
	return peer->region;
}

SdPeerPhase
sd_peer_phase(const SdPeer *peer)
{
	return peer->phase;
}

SdCircuit
sd_peer_circuit(const SdPeer *peer)
{
	return peer->circuit;
}

const char *
sd_peer_last_error(const SdPeer *peer)
{
	return peer->last_error;
}

int
sd_peer_failures(const SdPeer *peer)
{
	return peer->failures;
}

int64
sd_peer_retry_at(const SdPeer *peer)
{
	return peer->phase == SD_PEER_WAITING ? peer->retry_at : SD_NEVER;
}

int64
sd_peer_rtt(const SdPeer *peer)
{
	return peer->rtt;
}

int
sd_peer_queued(const SdPeer *peer)
{
	return peer->n_queued;
}
