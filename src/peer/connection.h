/*
 * connection.h: one asynchronous libpq connection to another region, and the calls made over it.
 *
 * Process: the coordinator, one thread, one loop.  No locking, no shared memory: what the loop wants others
 * to see it copies from the functions below.  Nothing here blocks, except what libpq itself does with local
 * files (service file, passfile, certificates) and with Kerberos or LDAP where the conninfo asks for them.
 *
 * The loop (loop.h does it):
 *		build the wait set again if a peer's sd_peer_generation() changed, or modify its events
 *		wait for sd_peer_socket() / sd_peer_wait_events(), at most until the least sd_peer_next_deadline()
 *		sd_peer_step(peer, events, now)		for each peer with an event or a deadline that has passed
 *
 * Calls.  One call is in flight a peer; others queue by priority.  Each submitted call ends in exactly one
 * call of its `done`, always from within sd_peer_step or sd_peer_free, never from within submit or withdraw.
 * Inside `done` one may submit and withdraw calls of any peer; not step or free this one.  `done` may
 * raise an error: the peer is consistent before it is called, and its PGresult is cleared by the next step, so
 * the worker may catch it at its task's boundary, or die.
 *
 * Errors.  Trouble with the network or the peer is never raised: it is an outcome of calls, and text for
 * people.  What can be raised is out of memory.  The libpq connection, the descriptors and
 * the lookup belong to the peer's memory context by a reset callback: deleting that context (or
 * its parent, or leaving the process) closes them, without calling anybody's `done`.
 */
#ifndef SD_CONNECTION_H
#define SD_CONNECTION_H

#include "compat.h"

#include <libpq-fe.h>

#include "shared.h"				/* SdCircuit */

typedef struct SdPeer SdPeer;
typedef struct SdCall SdCall;

typedef enum SdPeerPhase
{
	SD_PEER_WAITING,			/* not connected; next attempt at sd_peer_retry_at() */
	SD_PEER_RESOLVING,			/* waiting for the name server */
	SD_PEER_CONNECTING,			/* libpq connects and authenticates */
	SD_PEER_READY,				/* connected, no call in flight */
	SD_PEER_BUSY				/* a call is in flight */
} SdPeerPhase;

/* Most urgent first. */
typedef enum SdPriority
{
	SD_PRIORITY_VOTE,			/* prepare, accept */
	SD_PRIORITY_LEARN,
	SD_PRIORITY_FETCH,
	SD_PRIORITY_HEARTBEAT
} SdPriority;
#define SD_PRIORITIES	(SD_PRIORITY_HEARTBEAT + 1)

typedef enum SdCallStatus
{
	SD_CALL_OK,					/* all results OK, stream ended, no transaction open: it committed */
	SD_CALL_ERROR,				/* the peer answered with an error, and is idle again */
	SD_CALL_UNANSWERED,			/* sent, perhaps in part: what it did is unknown */
	SD_CALL_NOT_SENT			/* not a byte of it left: it did nothing */
} SdCallStatus;

typedef struct SdCallResult
{
	SdCallStatus status;
	bool		warning;		/* a WARNING came during the call: OK, but not a vote */
	PGresult   *rows;			/* with SD_CALL_OK; cleared after done() unless it takes it (sets NULL) */
	int			sqlstate;		/* as MAKE_SQLSTATE, of an error from the peer; 0 none */
	const char *message;		/* why, for people; of a warning its text; NULL when all is well.  Lives, like
								 * detail and hint, until done() returns */
	const char *detail;			/* NULL if none */
	const char *hint;			/* NULL if none */
	int64		sent_us;		/* monotonic; 0 if not sent */
	int64		elapsed_us;		/* since then */
} SdCallResult;

typedef void (*SdCallDone) (SdPeer *peer, SdCall *call, SdCallResult *result, void *arg);

/*
 * What to send.  The arrays are copied; `sql` and what `values` point to stay the caller's and must live until
 * done() (a body of 64 MB is copied once, into libpq's send buffer).
 */
typedef struct SdCallSpec
{
	const char *sql;			/* one statement, no transaction control */
	int			n_params;
	const Oid  *types;			/* NULL: the peer infers them */
	const char *const *values;
	const int  *lengths;		/* needed for binary ones */
	const int  *formats;		/* NULL: all text */
	bool		binary_result;
	bool		repeated;		/* the same sql often: prepare it, which is one round trip more the first time; sql must be static */
	SdPriority	priority;
	int64		deadline_us;	/* monotonic; from submit to done */
	bool		at_once;		/* after a failure: do not wait for the attempt that is under way, end NOT_SENT */
	SdCallDone	done;
	void	   *arg;
} SdCallSpec;

/*
 * A peer.  Memory of the peer lives in a context below `parent`.  own_region becomes its application_name.
 * Connecting starts with the first step.  A conninfo that cannot be used is kept, and shown in last_error.
 */
extern SdPeer *sd_peer_create(MemoryContext parent, const char *own_region,
							  const char *region, const char *conninfo);

/*
 * Close and free.  Calls end here: NOT_SENT if queued or submitted by a done() meanwhile, UNANSWERED if in flight.  Not
 * from within its step.
 */
extern void sd_peer_free(SdPeer *peer);

/* Another conninfo: used from the next attempt on, which is at once unless a call is in flight. */
extern void sd_peer_set_conninfo(SdPeer *peer, const char *conninfo);

/* We were told something new, for example it has just contacted us: if waiting, try now. */
extern void sd_peer_wake(SdPeer *peer);

/* Something the caller hangs on a peer. */
extern void sd_peer_set_arg(SdPeer *peer, void *arg);
extern void *sd_peer_arg(const SdPeer *peer);

/* ---- events ---- */

/* Changes whenever the socket may be another one, be its number the same: build the wait set again. */
extern uint32 sd_peer_generation(const SdPeer *peer);
extern pgsocket sd_peer_socket(const SdPeer *peer); /* PGINVALID_SOCKET: nothing to wait for */
extern uint32 sd_peer_wait_events(const SdPeer *peer);	/* WL_SOCKET_READABLE, WL_SOCKET_WRITEABLE */

/* When to step without an event; SD_NEVER if not at all. */
extern int64 sd_peer_next_deadline(const SdPeer *peer);

/* `events` are those of the wait set (0 for a deadline).  Calls done() of what has ended. */
extern void sd_peer_step(SdPeer *peer, uint32 events, int64 now_us);

/* Send what was submitted without waiting for the step, if nothing is under way: the caller is about to be busy for long. */
extern void sd_peer_send(SdPeer *peer);

/* ---- calls ---- */

/* Never fails; the handle is valid until done(). */
extern SdCall *sd_peer_submit(SdPeer *peer, const SdCallSpec *spec);

/*
 * No longer wanted.  True if it was not yet sent: done() follows with NOT_SENT.  False if it was sent: it ends
 * when answered or at its deadline, because closing the connection would make its outcome unknown.
 */
extern bool sd_call_withdraw(SdCall *call);

extern void *sd_call_arg(const SdCall *call);

/* ---- what a person may ask ---- */

extern const char *sd_peer_region(const SdPeer *peer);
extern SdPeerPhase sd_peer_phase(const SdPeer *peer);
extern SdCircuit sd_peer_circuit(const SdPeer *peer);
extern const char *sd_peer_last_error(const SdPeer *peer);	/* short; empty when calls go through */
extern int	sd_peer_failures(const SdPeer *peer);	/* in a row */
extern int64 sd_peer_retry_at(const SdPeer *peer);	/* monotonic; SD_NEVER unless waiting */
extern int64 sd_peer_heard_us(const SdPeer *peer);	/* monotonic: when something last came during a call */
extern int64 sd_peer_rtt(const SdPeer *peer);	/* of the last answered call, us; -1 none yet */
extern int	sd_peer_queued(const SdPeer *peer); /* calls not yet sent */

#endif							/* SD_CONNECTION_H */
