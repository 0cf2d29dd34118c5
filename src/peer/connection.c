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

static void peer_begin_attempt(SdPeer *peer, int64 now_us);
static void peer_try_endpoints(SdPeer *peer, int64 now_us);

/* ---- small parts ---- */

void
sd_peer_enter(SdPeer *peer, SdPeerPhase phase)
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

void
sd_peer_close(SdPeer *peer)
{
	if (peer->conn == NULL)
		return;
	PQfinish(peer->conn);
	peer->conn = NULL;
	ReleaseExternalFD();
	peer->flushing = false;
	peer->checking = false;
	peer->recycle_at = SD_NEVER;
	peer->prepared = NULL;
	peer->preparing = peer->cannot_prepare = false;
	peer->farewell[0] = '\0';
	peer->generation++;
}

void
sd_peer_drop_lookup(SdPeer *peer)
{
	if (peer->lookup)
		sd_lookup_release(peer->lookup);
	peer->lookup = NULL;
}

/*
 * 1 s, 2 s, 4 s ..., each made up to a half shorter so that regions do not try in step; at most five heartbeats,
 * because a heal must be noticed soon: everybody is equal again within a bounded time after the last fault.
 */
static int64
peer_backoff(int failures)
{
	int64		most = Min((int64) sd_retry_max_interval, 5 * (int64) sd_heartbeat_interval) * SD_US_PER_MS;
	int64		wait = SD_RETRY_MIN_US << Min(Max(failures - 1, 0), 20);

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
	sd_peer_close(peer);
	sd_peer_enter(peer, SD_PEER_WAITING);
}

/* An attempt has come to nothing. */
static void
peer_attempt_failed(SdPeer *peer, const char *reason, int64 now_us)
{
	peer_fail(peer, reason, now_us);
	sd_peer_refuse_calls(peer, peer->last_error);
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

/* Close and connect again at once; no failure. */
static void
peer_reconnect(SdPeer *peer, int64 now_us)
{
	Assert(peer->current == NULL);
	sd_peer_close(peer);
	sd_peer_enter(peer, SD_PEER_WAITING);
	peer_begin_attempt(peer, now_us);
}

/* A call was queued: it waits for its turn, or, while there is no connection, for one; or it goes back at once. */
void
sd_peer_admit(SdPeer *peer, SdCall *call)
{
	bool		connected = peer->phase == SD_PEER_READY || peer->phase == SD_PEER_BUSY;
	bool		tries = peer->phase != SD_PEER_WAITING || peer->retry_at <= sd_monotonic_us();

	if (peer->closing)
		sd_call_refuse(call, "the connection was closed here");
	else if (!connected && peer->failures > 0 && (call->spec.at_once || !tries))
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
		sd_peer_enter(peer, SD_PEER_RESOLVING);
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
		sd_peer_enter(peer, SD_PEER_RESOLVING);
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
	sd_peer_drop_lookup(peer);
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
		sd_peer_close(peer);
		return false;
	}
	peer->poll_events = WL_SOCKET_WRITEABLE;
	peer->phase_deadline = now_us + (int64) sd_connect_timeout * SD_US_PER_MS;
	sd_peer_enter(peer, SD_PEER_CONNECTING);
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
	sd_peer_close(peer);
	peer->tried++;
	peer_try_endpoints(peer, now_us);
}

static void
peer_connected(SdPeer *peer)
{
	peer->checking = false;
	peer->preferred = (peer->preferred + peer->tried) % peer->n_endpoints;
	peer->farewell[0] = '\0';
	if (peer->failures == 0)
		peer->last_error[0] = '\0'; /* of a place tried before this one */
	sd_peer_enter(peer, SD_PEER_READY);
}

static void
peer_authenticated(SdPeer *peer, int64 now_us)
{
	if (PQsetnonblocking(peer->conn, 1) != 0)
		peer_endpoint_failed(peer, NULL, now_us);
	else if (!sd_endpoint_is_superuser(peer->conn))
		peer_connected(peer);
	else if (!PQsendQuery(peer->conn, sd_endpoint_check) || PQflush(peer->conn) < 0)
		peer_endpoint_failed(peer, NULL, now_us);
	else
	{
		peer->checking = true;
		peer->poll_events = WL_SOCKET_READABLE;
	}
}

static void
peer_continue_check(SdPeer *peer, int64 now_us)
{
	if (!PQconsumeInput(peer->conn) || PQflush(peer->conn) < 0)
	{
		peer_endpoint_failed(peer, NULL, now_us);
		return;
	}
	while (!PQisBusy(peer->conn))
	{
		PGresult   *result = PQgetResult(peer->conn);
		bool		ours = result == NULL || (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
											  PQgetisnull(result, 0, 0));
		char		reason[SD_REASON_SIZE] = "";

		if (!ours && PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
			sd_libpq_reason(PQgetvalue(result, 0, 0), reason, sizeof(reason));
		PQclear(result);
		if (!ours)
		{
			peer_endpoint_failed(peer, reason[0] ? reason : NULL, now_us);
			return;
		}
		if (result == NULL)
		{
			peer_connected(peer);
			return;
		}
	}
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
			peer_authenticated(peer, now_us);
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
	if (events & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE) && peer->checking)
		peer_continue_check(peer, now_us);
	else if (events & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
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
		peer_reconnect(peer, now_us);
}

void
sd_peer_send(SdPeer *peer)
{
	if (!peer->in_step && peer->phase == SD_PEER_READY && !peer->conninfo_changed)
		sd_peer_send_next(peer, sd_monotonic_us());
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
