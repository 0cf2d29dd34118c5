/*
 * peer.c: a peer as its owner sees it: made, freed, waited for, asked about.
 *
 * Process: the coordinator.  No locking.
 */
#include "compat.h"

#include "storage/latch.h"
#include "utils/memutils.h"

#include "clock.h"
#include "peer/peer.h"

/* Reset callback of the peer's context. */
static void
peer_release(void *arg)
{
	SdPeer	   *peer = arg;

	sd_peer_clear_results(peer);
	sd_peer_close(peer);
	sd_peer_drop_lookup(peer);
}

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
	peer->closing = true;
	sd_peer_abandon_call(peer, "the connection was closed here", sd_monotonic_us());
	sd_peer_refuse_calls(peer, "the connection was closed here");
	/* done() may submit again: such a call comes back NOT_SENT, too */
	while (!dlist_is_empty(&peer->ended))
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
	sd_peer_drop_lookup(peer);
	if (peer->phase == SD_PEER_READY || peer->phase == SD_PEER_BUSY)
	{
		peer->conninfo_changed = true;
		return;
	}
	sd_peer_close(peer);
	peer->retry_at = 0;
	sd_peer_enter(peer, SD_PEER_WAITING);
}

void
sd_peer_wake(SdPeer *peer)
{
	if (peer->phase == SD_PEER_WAITING)
		peer->retry_at = Min(peer->retry_at, peer->failures > 0 ? peer->failed_at + SD_RETRY_MIN_US : 0);
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
sd_peer_heard_us(const SdPeer *peer)
{
	return peer->heard_at;
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
