/*
 * loop.c: one wait for the latch, the postmaster's death and the sockets of all peers.
 *
 * Process: the coordinator.  No locking.
 */
#include "compat.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "clock.h"
#include "peer/loop.h"

typedef struct LoopEntry
{
	SdPeer	   *peer;			/* NULL: removed, swept by the next wait */
	uint32		generation;		/* as registered */
	uint32		registered;		/* events */
	int			position;		/* in the set; -1: no socket */
	uint32		fired;			/* events of this wait */
} LoopEntry;

struct SdLoop
{
	MemoryContext context;
	MemoryContextCallback release;
	LoopEntry  *entries;
	int			n;
	int			size;
	WaitEventSet *set;
	WaitEvent  *events;
	bool		stale;			/* entries were added or removed */
	int			first;			/* whose turn it is */
	int64		looked_at;
};

#define FIXED_EVENTS	2		/* latch, postmaster */
#define LONG_STEP_US	(5 * SD_US_PER_MS)

/* While bodies of many megabytes go out without pause, deadlines come no later than this: every peer has had its turn by then. */
#define LOOKED_AT_LATE_US	(1 * SD_US_PER_S)

static void
loop_drop_set(SdLoop *loop)
{
	if (loop->set)
		FreeWaitEventSet(loop->set);
	loop->set = NULL;
}

static void
loop_release(void *arg)
{
	loop_drop_set(arg);
}

SdLoop *
sd_loop_create(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "schemadrift loop", ALLOCSET_SMALL_SIZES);
	SdLoop	   *loop = MemoryContextAllocZero(context, sizeof(SdLoop));

	loop->context = context;
	loop->size = 8;
	loop->entries = MemoryContextAllocZero(context, loop->size * sizeof(LoopEntry));
	loop->events = MemoryContextAllocZero(context, (loop->size + FIXED_EVENTS) * sizeof(WaitEvent));
	loop->stale = true;
	loop->release.func = loop_release;
	loop->release.arg = loop;
	MemoryContextRegisterResetCallback(context, &loop->release);
	return loop;
}

void
sd_loop_free(SdLoop *loop)
{
	MemoryContextDelete(loop->context);
}

void
sd_loop_add(SdLoop *loop, SdPeer *peer)
{
	if (loop->n == loop->size)
	{
		loop->size *= 2;
		loop->entries = repalloc(loop->entries, loop->size * sizeof(LoopEntry));
		loop->events = repalloc(loop->events, (loop->size + FIXED_EVENTS) * sizeof(WaitEvent));
	}
	loop->entries[loop->n++] = (LoopEntry) {.peer = peer, .position = -1};
	loop->stale = true;
}

void
sd_loop_remove(SdLoop *loop, SdPeer *peer)
{
	for (int i = 0; i < loop->n; i++)
	{
		if (loop->entries[i].peer == peer)
			loop->entries[i].peer = NULL;
	}
	loop->stale = true;
}

static void
loop_sweep(SdLoop *loop)
{
	int			kept = 0;

	for (int i = 0; i < loop->n; i++)
	{
		if (loop->entries[i].peer)
			loop->entries[kept++] = loop->entries[i];
	}
	loop->n = kept;
}

static void
loop_build_set(SdLoop *loop)
{
	loop_drop_set(loop);
	loop_sweep(loop);
	loop->set = sd_compat_wait_event_set(loop->n + FIXED_EVENTS);
	AddWaitEventToSet(loop->set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(loop->set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < loop->n; i++)
	{
		LoopEntry  *e = &loop->entries[i];
		pgsocket	socket = sd_peer_socket(e->peer);

		e->generation = sd_peer_generation(e->peer);
		e->registered = sd_peer_wait_events(e->peer);
		/* user_data is the index: entries may move, but then the set is built again */
		e->position = socket == PGINVALID_SOCKET ? -1 :
			AddWaitEventToSet(loop->set, e->registered, socket, NULL, (void *) (intptr_t) i);
	}
	loop->stale = false;
}

/* Make the set fit the peers. */
static void
loop_refresh_set(SdLoop *loop)
{
	for (int i = 0; !loop->stale && i < loop->n; i++)
		loop->stale = loop->entries[i].generation != sd_peer_generation(loop->entries[i].peer);
	if (loop->stale || loop->set == NULL)
	{
		loop_build_set(loop);
		return;
	}
	for (int i = 0; i < loop->n; i++)
	{
		LoopEntry  *e = &loop->entries[i];
		uint32		events = sd_peer_wait_events(e->peer);

		if (e->position >= 0 && e->registered != events)
		{
			ModifyWaitEvent(loop->set, e->position, events, NULL);
			e->registered = events;
		}
	}
}

/*
 * Step the peers that have an event or whose deadline had passed when the sockets were looked at.  A deadline that passed
 * since then waits for the next look: the answer may have come while we were busy with another peer.
 *
 * To hand a body of many megabytes to libpq takes a tenth of a second.  After such a step the caller and the
 * sockets get their turn first; who was not stepped still has its event, and is the first next time.  Returns false then.
 */
static bool
loop_step_peers(SdLoop *loop, int64 looked_at)
{
	int			n = loop->n;	/* done() may add and remove peers: no pointer is kept across a step */

	for (int k = 0; k < n; k++)
	{
		int			i = (loop->first + k) % n;
		SdPeer	   *peer = loop->entries[i].peer;
		uint32		fired = loop->entries[i].fired;
		int64		begun = sd_monotonic_us();

		/* another one's answer made it send, and it found its connection lost: that event was the old socket's */
		if (peer && loop->entries[i].generation != sd_peer_generation(peer))
			fired = 0;
		if (peer == NULL || (fired == 0 && sd_peer_next_deadline(peer) > looked_at))
			continue;
		sd_peer_step(peer, fired, fired ? begun : looked_at);
		if (sd_monotonic_us() - begun > LONG_STEP_US)
		{
			loop->first = (i + 1) % n;
			return false;
		}
	}
	return true;
}

bool
sd_loop_wait(SdLoop *loop, int64 deadline_us, uint32 wait_event_info)
{
	bool		latch_set = false;
	int64		looked_at;
	int			n_events;

	loop_refresh_set(loop);
	for (int i = 0; i < loop->n; i++)
	{
		loop->entries[i].fired = 0;
		deadline_us = Min(deadline_us, sd_peer_next_deadline(loop->entries[i].peer));
	}

	n_events = WaitEventSetWait(loop->set, sd_monotonic_timeout_ms(deadline_us, sd_monotonic_us()),
								loop->events, loop->n + FIXED_EVENTS, wait_event_info);
	looked_at = sd_monotonic_us();
	for (int i = 0; i < n_events; i++)
	{
		WaitEvent  *event = &loop->events[i];

		if (event->events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			latch_set = true;
		}
		else
			loop->entries[(intptr_t) event->user_data].fired = event->events;
	}

	if (loop_step_peers(loop, looked_at) || looked_at - loop->looked_at > LOOKED_AT_LATE_US)
		loop->looked_at = looked_at;
	return latch_set;
}

int64
sd_loop_looked_at(const SdLoop *loop)
{
	return loop->looked_at;
}

void
sd_loop_send(SdLoop *loop)
{
	for (int i = 0; i < loop->n; i++)
		if (loop->entries[i].peer)
			sd_peer_send(loop->entries[i].peer);
}
