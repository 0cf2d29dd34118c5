/*
 * calls.h: the calls between regions, encoded and decoded.
 *
 * Process: the coordinator.  Each function submits one call on a peer's connection; its parameters live in a
 * memory context of their own that ends with the call.  What comes back is bytes from outside: the decode
 * functions believe nothing, and say false for any nonsense.
 */
#ifndef SD_CALLS_H
#define SD_CALLS_H

#include "compat.h"

#include "consensus/acceptor.h"
#include "ddl/define.h"
#include "peer/connection.h"
#include "shared.h"
#include "store/state.h"

/* Who calls whom: the first arguments of every call. */
typedef struct SdCallHead
{
	const SdSelf *self;
	int64		known_vote_seq;	/* the most we ever heard of the callee's */
	int32		protocol;		/* that we speak */
	int32		callee_protocol;	/* that the callee told; 0: none yet */
} SdCallHead;

/*
 * Do both sides know leases?  Else votes go without, by the calls of protocol 1, and nobody may count on a lease there: the
 * callee would grant none, and a caller without the newer SQL objects could not be asked to hand one over.
 */
extern bool sd_call_has_leases(const SdCallHead *head);

/* A list of char * as the text of a text[].  Needs no transaction. */
extern char *sd_call_texts(List *texts);

/* body: the entry's bytes; must live until done. */
/*
 * lease_us: for how long the callee shall promise to nobody else; 0: no lease is wanted.  over: a lease that its holder
 * has given up.  at_once: as in SdCallSpec.
 */
extern SdCall *sd_call_prepare(SdPeer *peer, const SdCallHead *head, const SdBallot *ballot, int64 version,
							   const SdChain *chain, int64 lease_us, const SdBallot *over, bool at_once,
							   int64 deadline_us, SdCallDone done, void *arg);
extern SdCall *sd_call_accept(SdPeer *peer, const SdCallHead *head, const SdBallot *ballot, int64 version,
							  const SdChain *chain, const bytea *body, int64 lease_us,
							  int64 deadline_us, SdCallDone done, void *arg);
extern SdCall *sd_call_handover(SdPeer *peer, const SdCallHead *head, const SdBallot *lease, int64 waited_ms,
								const SdBallot *tried, int64 deadline_us, SdCallDone done, void *arg);
extern SdCall *sd_call_learn(SdPeer *peer, const SdCallHead *head, int64 version, const SdEntryRef *entry,
							 const SdChain *chain, const bytea *body, int64 deadline_us, SdCallDone done, void *arg);
extern SdCall *sd_call_fetch(SdPeer *peer, const SdCallHead *head, int64 from, int64 deadline_us,
							 SdCallDone done, void *arg);
/* notes: by the call that takes notes, which protocol 1 does not have */
extern SdCall *sd_call_exchange(SdPeer *peer, const SdCallHead *head, const SdTelemetry *own, int64 names_seen, bool notes,
								int64 deadline_us, SdCallDone done, void *arg);
/* Once more what the exchange of that number told, on the same connection. */
extern SdCall *sd_call_pulse(SdPeer *peer, int64 pulse, int64 deadline_us, SdCallDone done, void *arg);
extern SdCall *sd_call_drift(SdPeer *peer, const SdCallHead *head, int64 deadline_us, SdCallDone done, void *arg);
/* kinds, identities: as sd_call_texts() writes them */
extern SdCall *sd_call_definitions(SdPeer *peer, const SdCallHead *head, const char *kinds, const char *identities,
								   int64 deadline_us, SdCallDone done, void *arg);
extern SdCall *sd_call_promote(SdPeer *peer, const SdCallHead *head, int64 deadline_us, SdCallDone done, void *arg);

extern SdCall *sd_call_readmit(SdPeer *peer, const SdCallHead *call_head, const SdHead *head, int64 deadline_us,
							   SdCallDone done, void *arg);

/* A row of somebody's log. */
typedef struct SdLogRow
{
	int64		version;
	SdChain		chain;
	bytea	   *bytes;
} SdLogRow;

/* An answer to prepare or accept; memory of the current context. */
typedef struct SdVoteAnswer
{
	SdAcceptorVerdict verdict;
	int32		incarnation;
	int64		vote_seq;
	int64		head;
	SdBallot	promised;		/* with refused; with leased: the lease's */
	int32		left_ms;		/* with leased: how long it runs still */
	char	   *reason;			/* NULL: none */
	List	   *reports;		/* of SdAccepted: promised */
	List	   *rows;			/* of SdLogRow: chosen */
} SdVoteAnswer;

extern bool sd_call_decode_vote(const PGresult *result, SdVoteAnswer *answer);
/* What the holder of a lease says to who wants it. */
typedef struct SdHandover
{
	bool		released;
	int64		upto;			/* with released: its leases up to that round are over */
	int			pid;			/* whose change is open; 0: none */
	char	   *subject;		/* what it is */
	int64		held_ms;		/* open for so long */
	int64		left_ms;		/* protected for so long still */
	char	   *next;			/* a region that waits longer; empty: none */
} SdHandover;

extern bool sd_call_decode_handover(const PGresult *result, SdHandover *answer);
extern bool sd_call_decode_learn(const PGresult *result, SdAcceptorVerdict *verdict, int64 *head);
extern bool sd_call_decode_rows(const PGresult *result, List **rows);

/* names: NULL when the peer has no newer ones than names_seen */
extern bool sd_call_decode_exchange(const PGresult *result, SdTelemetry *told, int64 *names_version, char **names);

/* 0: an exchange is needed */

/* same: nothing has changed, said at that time by its clock. */
extern bool sd_call_decode_pulse(const PGresult *result, bool *same, TimestampTz *answered_at);

/* What a region told of its drift: of SdDriftRow, and the number over them.  Texts are text, and no longer than they may be. */
extern bool sd_call_decode_drift(const PGresult *r, int64 *tag, List **rows);

/* Of SdDefinition; a definition may be NULL: too long to be sent.  Whether the hash is its hash is not looked at. */
extern bool sd_call_decode_definitions(const PGresult *r, List **definitions);

#endif							/* SD_CALLS_H */
