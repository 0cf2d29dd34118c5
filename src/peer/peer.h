/*
 * peer.h: SdPeer from the inside, for connection.c (connecting, circuit), call.c (calls) and peer.c (the rest)
 * only.
 *
 * Phases and what makes them change:
 *
 *		WAITING     -> RESOLVING    time to try, a name to look up (or a lookup still out from before)
 *		WAITING     -> CONNECTING   time to try, no name to look up
 *		RESOLVING   -> CONNECTING   the name server answered
 *		CONNECTING  -> CONNECTING   this place failed, next place
 *		CONNECTING  -> READY        connected; calls may go
 *		READY      <-> BUSY         a call is sent, its answer is complete
 *		any         -> WAITING      the attempt failed, or the connection is lost
 *
 * Circuit: CLOSED until something fails and again when a call was answered (to connect proves little: a frozen
 * server's kernel still accepts); OPEN while waiting after a failure; HALF_OPEN from the next attempt on.
 */
#ifndef SD_PEER_H
#define SD_PEER_H

#include "lib/ilist.h"

#include "peer/connection.h"
#include "peer/endpoint.h"

#define SD_REASON_SIZE	256

/* The first wait after a failure, and the least time between a failure and an attempt that somebody asks for. */
#define SD_RETRY_MIN_US	SD_US_PER_S

typedef enum SdCallState
{
	SD_CALL_QUEUED,				/* in queue[priority] */
	SD_CALL_IN_FLIGHT,			/* the peer's current */
	SD_CALL_ENDED				/* in ended, or inside its done() */
} SdCallState;

struct SdCall
{
	dlist_node	node;
	SdCallState state;
	SdPeer	   *peer;
	SdCallSpec	spec;			/* arrays are ours, allocated with the call */
	int64		sent_us;
	PGresult   *error;			/* the first error of the answer */
	SdCallResult result;
	char		reason[SD_REASON_SIZE]; /* message of our own */
	char		warning[SD_REASON_SIZE];
#ifdef SD_TESTING
	bool		told_early;		/* by mistake */
#endif
};

struct SdPeer
{
	MemoryContext context;
	MemoryContextCallback release;
	char	   *region;
	char	   *own_region;
	char	   *conninfo;
	void	   *arg;
	bool		in_step;
	bool		closing;		/* inside sd_peer_free */

	SdPeerPhase phase;
	uint32		generation;
	int64		phase_deadline;	/* RESOLVING, CONNECTING */

	/* the attempt; its memory is reset when the next one begins anew */
	MemoryContext attempt_context;
	SdConninfo *info;
	SdLookup   *lookup;			/* may stay out after its attempt has failed */
	SdEndpoint *endpoints;
	int			n_endpoints;
	int			tried;			/* of them */
	int			preferred;		/* where the last success was */

	/* libpq */
	PGconn	   *conn;			/* each non-NULL conn has one AcquireExternalFD */
	uint32		poll_events;	/* CONNECTING: what PQconnectPoll wants */
	bool		checking;		/* CONNECTING: asks whether what is called there would be ours */
	bool		flushing;		/* BUSY: not all is sent */
	bool		conninfo_changed;	/* while BUSY: connect again after the call */
	int64		recycle_at;		/* free libpq's buffers, grown by a large call; SD_NEVER: not needed */
	const char *prepared;		/* the statement that is prepared under our name for it; NULL: none */
	bool		preparing;		/* BUSY: that of the current call is; the call itself comes next */
	bool		cannot_prepare;	/* it did not last, or another session's is in the way: something pools connections */
	char		farewell[SD_REASON_SIZE];	/* what the server said before it closed an idle connection */

	/* circuit */
	SdCircuit	circuit;
	int			failures;
	int64		failed_at;		/* end of the last failed attempt */
	int64		retry_at;		/* WAITING; 0 at once */
	char		last_error[SD_REASON_SIZE];

	/* calls */
	dlist_head	queue[SD_PRIORITIES];
	int			n_queued;
	SdCall	   *current;		/* BUSY */
	dlist_head	ended;			/* done() not called yet */
	SdCall	   *delivering;		/* inside its done(); left here if that raised an error */
	int64		rtt;
	int64		heard_at;		/* when something last came */
};

/* ---- connection.c ---- */

extern void sd_peer_enter(SdPeer *peer, SdPeerPhase phase);
extern void sd_peer_close(SdPeer *peer);
extern void sd_peer_drop_lookup(SdPeer *peer);

/* The connection is of no use any more: close it, decide when to try again.  A call in flight has been ended before. */
extern void sd_peer_lost(SdPeer *peer, const char *reason, int64 now_us);

/* A call was queued: decide whether it may wait. */
extern void sd_peer_admit(SdPeer *peer, SdCall *call);

/* A call was answered completely: the circuit closes. */
extern void sd_peer_answered(SdPeer *peer);

/* ---- call.c ---- */

/* READY: send the most urgent call, if there is one. */
extern void sd_peer_send_next(SdPeer *peer, int64 now_us);

/* BUSY: the socket is ready, or time has passed. */
extern void sd_peer_continue_call(SdPeer *peer, uint32 events, int64 now_us);

/* End the call in flight, if any, as UNANSWERED. */
extern void sd_peer_abandon_call(SdPeer *peer, const char *reason, int64 now_us);

/* End a queued call as NOT_SENT. */
extern void sd_call_refuse(SdCall *call, const char *reason);

/* End all queued calls as NOT_SENT. */
extern void sd_peer_refuse_calls(SdPeer *peer, const char *reason);

/* End queued calls whose deadline has passed. */
extern void sd_peer_expire_calls(SdPeer *peer, int64 now_us);

/* The least deadline of queued calls and the one in flight; 0 if done() is to be called. */
extern int64 sd_peer_calls_deadline(const SdPeer *peer);

/* Call done() of what has ended. */
extern void sd_peer_deliver(SdPeer *peer);

/* Something the server said outside of an answer; runs inside libpq and must not raise errors. */
extern void sd_peer_notice(void *arg, const PGresult *notice);

/* Forget libpq's results of calls; runs while the context goes away. */
extern void sd_peer_clear_results(SdPeer *peer);

#endif							/* SD_PEER_H */
