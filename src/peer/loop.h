/*
 * loop.h: one wait for the latch, the postmaster's death and the sockets of all peers.
 *
 * Process: the coordinator.  It keeps the WaitEventSet right while libpq changes sockets under it, which is
 * the part that is easy to get wrong: a socket closed and another opened may carry the same number, and the
 * old registration is gone all the same.
 */
#ifndef SD_LOOP_H
#define SD_LOOP_H

#include "peer/connection.h"

typedef struct SdLoop SdLoop;

extern SdLoop *sd_loop_create(MemoryContext parent);
extern void sd_loop_free(SdLoop *loop);	/* frees no peer */

/* The peers to wait for; the loop keeps the pointers, remove a peer before freeing it. */
extern void sd_loop_add(SdLoop *loop, SdPeer *peer);
extern void sd_loop_remove(SdLoop *loop, SdPeer *peer);

/*
 * Wait until the latch is set, a peer has something to do, or deadline_us; then step the peers concerned.  Returns
 * true if the latch was set; it has been reset then.  Exits when the postmaster is dead.  The caller does
 * CHECK_FOR_INTERRUPTS.  Peers may be added and removed between calls and inside done().
 */
extern bool sd_loop_wait(SdLoop *loop, int64 deadline_us, uint32 wait_event_info);

/* Send to every peer what it can be sent now; calls no done(). */
extern void sd_loop_send(SdLoop *loop);

/*
 * When all sockets were last looked at and what they brought was told, but not more than about a second ago.  A deadline that passed
 * later is not over: the answer may lie in a socket, if the caller was busy.
 */
extern int64 sd_loop_looked_at(const SdLoop *loop);

#endif							/* SD_LOOP_H */
