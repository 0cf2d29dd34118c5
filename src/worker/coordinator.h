/*
 * coordinator.h: the coordinator's own state, shared by its source files.
 *
 * Process: the coordinator, one a database, single-threaded.  Nothing here is seen by other processes; what
 * they need it copies to shared memory (shared.h).
 *
 *	coordinator.c	the loop; reads the tables, serves requests, starts the applier
 *	describe.c		how the region is, in a word and a sentence
 *	round.c			carries out what consensus/proposer.h says
 *	votes.c			its prepares and accepts, and the own acceptor
 *	request.c		what the local backend that changes the schema asks, and the results
 *	demands.c		what a change wants of the others before it may be proposed
 *	lease.c			leading, and waiting for who leads
 *	settle.c		finishing what others began
 *	members.c		the group's members, as the log has them
 *	gossip.c		one connection a member: learn, fetch, promotion
 *	heartbeat.c		exchanges and pulses with them
 *	watch.c			what is seen of them: rhythm, distance, clock, since when something is wrong
 *	standing.c		what the schema here contains, for them and for views
 *	lag.c			how far the replication of rows is behind
 *	drift.c			copies of what others tell of their drift, definitions of what is otherwise here
 *	lost.c			whether this region may vote: what others remember of it, being void, coming back
 */
#ifndef SD_WORKER_COORDINATOR_H
#define SD_WORKER_COORDINATOR_H

#include "compat.h"

#include "postmaster/bgworker.h"

#include "causality/offset.h"
#include "causality/phi.h"
#include "clock.h"
#include "consensus/proposer.h"
#include "peer/calls.h"
#include "peer/loop.h"
#include "shared.h"
#include "store/life.h"
#include "store/policy.h"
#include "store/state.h"

typedef struct SdCoordinator SdCoordinator;

/* Another member of the group, and our connection to it. */
typedef struct SdRemote
{
	SdCoordinator *coordinator;
	SdPeer	   *peer;
	char		region[SD_NAME_SIZE];
	SdRole		role;
	bool		serves;			/* has the schema, and is not suspended */
	char	   *conninfo;

	SdTelemetry told;			/* newest answer */
	int64		heard_us;		/* when it came; 0 never */
	int32		incarnation;	/* the newest that it has told of, or table peer has; the next four are of it */
	int64		known_vote_seq;	/* the most ever heard, or kept in table peer */
	int64		remembered_applied; /* what table peer says */
	int64		remembered_vote_seq;
	int64		remembered_boot_id;
	bool		contradicted;	/* its last answer remembered votes that we do not have */
	int32		cloned;			/* the incarnation in whose name two servers speak; 0 none */

	bool		plain;			/* it does not know the exchange with notes: it is of protocol 1 */
	bool		exchanging;		/* a call of that kind is under way */
	bool		fetching;
	bool		learning;
	int64		next_exchange_us;	/* 0: at once */
	int64		exchange_us;	/* when the newest was sent */
	int64		shown_us;		/* when a call of its own told what we have in told; 0: none did */
	int32		counted;		/* as in SdPeerState */
	int64		counted_vote_seq;
	int64		called_us;		/* when it last called us; 0 never */
	int64		doubted_us;		/* when somebody last called in its name who may not be it; 0 never */

	/* what the newest exchange said and brought, for a pulse to repeat */
	SdTelemetry said;
	int32		said_generation;
	int64		said_vote_seq;
	int32		said_protocol;
	SdTelemetry answer;
	int64		pulse;			/* its number; 0: none */
	bool		quiet;			/* and it was repeated: nothing is new */

	SdOffset	offset;			/* of its clock, and how far away it is */
	SdPhi		phi;			/* of its heartbeats; settings.threshold 0: none came yet */
	int64		phi_us;			/* when the newest of them came */
	int64		watch_us;		/* not before that time is more of it shown */
	bool		missed;			/* as of the last turn: it cannot be reached, and should be */

	int64		lease_wanted_us;	/* for how long it asked to renew our lease; 0: it did not */
	int64		fetch_began_us;
	int64		fetch_after_us; /* the last fetch brought nothing: not before then */
	int64		push;			/* newest version it shall be told of; 0 none */

	/* drift.c */
	bool		drift_known;	/* what table drift has of it was looked at: ... */
	int64		drift_tag;		/* ... it is of this number; 0: nothing */
	bool		drift_asking;
	int64		drift_after_us;
	int			drift_failures;
	int			drift_others;	/* fetches in a row of a number that is not the one that it tells */

	char	   *names;			/* roles and extensions there; NULL not known yet */
	int64		names_version;
	int64		names_us;
} SdRemote;

/* An entry that a round may have to send.  A call that waits to be sent holds it, too, and may outlive the round. */
typedef struct SdBody
{
	SdEntryRef	ref;
	int			holders;
	bytea	   *bytes;
} SdBody;

/* One proposer and its calls. */
typedef struct SdRound
{
	SdCoordinator *coordinator;
	SdProposer	p;
	bool		active;			/* started and not done */
	uint32		number;			/* late answers to an older round are told by it */
	MemoryContext context;		/* the list of bodies */
	List	   *bodies;			/* of SdBody */
	SdChain		chain;			/* of version - 1 */
	int64		wake_us;
	int64		put_at_us;		/* chosen, and left to our backend's commit until then; SD_NEVER: it is not */
	SdOutcome	outcome;
	pg_uuid_t	entry_id;		/* CHANGE: whose; zeros: nobody's, it is only to lead */
	bool		by_lease;		/* granted under a kept ballot: there was no phase 1 */
	bool		noted;			/* CHANGE: the attempt is in the tables, flushed */
	SdBallot	lease;			/* in our way, as the newest answer said; none: none was */
	int64		lease_until_us;
	char		errors[SD_MAX_REGIONS][SD_TEXT_SIZE];	/* why a voter's answer failed, by index */
} SdRound;

/* Another region has the lease, and we want to change the schema. */
typedef struct SdBlocked
{
	SdBallot	lease;			/* none: nobody is in our way */
	int64		until_us;		/* when it runs out */
	SdBallot	over;			/* up to that round its holder has given its leases up for us; none: it has not */
	bool		asking;			/* a call to it is under way */
	int64		asked_us;
	int64		ask_us;			/* not before */

	/* what it said */
	bool		silent;			/* nothing */
	int			pid;
	int64		held_since_us;
	int64		protected_until_us;
	char		subject[SD_TEXT_SIZE];
	char		next[SD_NAME_SIZE];
} SdBlocked;

struct SdCoordinator
{
	SdDatabase *db;
	SdLoop	   *loop;
	MemoryContext context;		/* for the life of the process */
	MemoryContext turn;			/* for one turn of the loop */

	/* what the tables say of that which heartbeats tell, as of so many changes (sd_store_changes()); 0: not known */
	uint64		own_changes;
	SdTelemetry own;
	bool		own_valid;

	struct SdCounted *counted;	/* standing.c: what of the log is in the vector already */
	uint64		standing_changes;	/* as of so many changes; 0: not known */

	/* what the tables say, as of the last look */
	int32		protocol;		/* that this region speaks */
	bool		joined;
	char	   *why_not;		/* not joined: more to say than that */
	SdSelf		self;
	int			me;				/* index in members; -1 not there */
	SdHead		head;
	SdApplied	applied;
	MemoryContext members_context;
	SdMembers	members;		/* in force for head + 1; with our own addresses for them */
	char	   *addresses;		/* which those are; NULL none */
	bool		reconnect;		/* members or addresses changed */
	MemoryContext policy_context;
	SdPolicy	policy;			/* in force for head + 1 */
	int64		undecided;		/* head + 1 if it is accepted here and not learned; else 0 */
	SdBallot	undecided_ballot;
	int64		undecided_since_us;
	int64		settle_at_us;
	int64		max_round;		/* highest round seen anywhere */
	bool		look;			/* the tables may have changed */
	int64		told_head;		/* what an exchange was hurried for, so that others know of it */
	int64		told_applied;
	uint8		told_digest[SD_SHA_SIZE];	/* of the schema: a change outside the log moves nothing else */

	char		step_error[SD_TEXT_SIZE];	/* of the last transaction that failed */
	char		learn_error[SD_TEXT_SIZE];	/* why what others have chosen cannot be written to our log; empty: it can */
	int64		learn_after_us;		/* monotonic: not before, where that failed */

	List	   *remotes;		/* of SdRemote */

	/* drift.c */
	bool		drift_look;		/* remotes came or went: look what table drift has of them */
	int64		drift_after_us;	/* not before */
	int64		said_version;	/* table said has what this version says, because we are halted there; 0: nothing; -1: not looked at */
	bool		said_wanted;	/* and lacks definitions */
	int64		said_after_us;	/* not to be written before */
	int64		defined_tag;	/* of our own drift when all was defined by the log */
	bool		defining;		/* another region was asked */
	int			define_turn;	/* so many of them were, in vain */
	int64		define_after_us;
	int			define_failures;

	bool		promoting;		/* we asked to become what we joined to be */
	int64		promote_after_us;

	/* lost.c */
	SdSuccessor successor;		/* of our incarnation, as the log says */
	bool		lacks_life;		/* the row of table life is to be written */
	bool		life_foreign;	/* and is another server's, if we are void */
	bool		finds_token;	/* the identity has no token yet, and there is this one */
	uint8		token[SD_SHA_SIZE];
	const char *unfit;			/* why the tables or settings forbid a vote; a constant; NULL: they do not */
	char		unproved[SD_TEXT_SIZE];	/* whom we wait for before we vote; empty: for nobody */
	bool		log_checked;	/* since this process started */
	char	   *old_prepared;	/* a prepared transaction from before; NULL: none */
	char	   *old_prepared_remedy;
	int64		look_prepared_us;	/* when to look for one */
	bool		prepared_due;	/* at the next look */
	bool		rejoining;		/* we asked to be readmitted */
	int64		rejoin_after_us;
	int64		rejoin_pause_us;	/* after the next refusal that time alone will not mend */
	int			rejoin_turn;	/* whom to ask next */

	/* the local backend's change */
	SdRequest	serving;		/* GRANT, NEEDS or ACCEPT that has no result yet; else NONE */
	SdProposal	asked;			/* copy of what it asked */
	List	   *needs;			/* names that must exist elsewhere; in needs_context */
	SdRequired	require;		/* who else must agree, in its own words; there, too */
	int64		barrier;		/* 0 none */
	bool		barrier_newest; /* the newest version, if that is more */
	bool		required[SD_MAX_REGIONS];	/* by index in members: who must agree besides a majority */
	MemoryContext needs_context;
	int64		asked_us;
	SdRound		change;
	SdRound		settle;
	int64		doubt;			/* version for which a client waits for a definite answer */

	SdLease		lease;			/* what we hold, and the ballot that we keep */
	SdBlocked	blocked;
	SdBallot	handed;			/* the lease that we gave up for another region, and when; 0: none of late */
	int64		handed_us;
	int64		waits_since_us; /* the change that asks: since when its turn would have come, whatever it had to do again */
	int64		gave_up_us;		/* a client waited for a lease until then, in vain */
	int64		left_us;		/* since when we leave our lease to a region that waits longer; 0: we do not */
	int64		acquire_after_us;	/* for policy's sake: not before */
	SdBallot	turn_of;		/* by rotation: whose turn it is, and since when */
	int64		turn_since_us;
	bool		acquiring;		/* the change under way, if there is one, is to lead and proposes nothing */

	List	   *notices;		/* of char *: payloads for NOTIFY, sent at the end of the turn */

	struct SdTaskDrive *tasks;	/* online entries */

	BackgroundWorkerHandle *applier;
	int64		applier_from;	/* version before it started */

	BackgroundWorkerHandle *verifier;
	int64		verified_us;	/* monotonic: when the last one ended; 0: none yet */
	bool		verify_failed;
	int64		verify_pause_us;	/* until the next one, if nothing calls for it before */
	int64		verify_after_us;	/* not before */
};

/* coordinator.c */

/*
 * Run body in a transaction of its own, inside a store scope; flushed when vote.  False, and a LOG message, if it
 * failed: then nothing of it happened.
 */
extern bool sd_coordinator_transaction(SdCoordinator *c, void (*body) (SdCoordinator *, void *), void *arg, bool vote);

/*
 * NOTIFY schemadrift, at the end of this turn: chosen, applied (at the origin; elsewhere the applier says it), void,
 * no_quorum, healthy.  version 0: none.
 */
extern void sd_coordinator_notify(SdCoordinator *c, const char *event, int64 version, const char *reason);

/* Put rows that others have chosen into our log, as far as they continue it. */
extern bool sd_coordinator_learn(SdCoordinator *c, List *rows);

/* ---- describe.c ---- */

/* Voters heard of lately, ourselves included; by_index, unless NULL, says which members. */
extern int	sd_coordinator_reachable(SdCoordinator *c, bool *by_index);

/* Finds out how the region is, tells those who listen, writes it to shared memory. */
extern void sd_coordinator_describe(SdCoordinator *c);

/* A call that takes longer than this is unanswered. */
#define SD_CALL_TIMEOUT_US	(5 * SD_US_PER_S)

/* A proposer that lives is left alone for so long: another region holds our fresh promise. */
#define SD_YIELD_US			(400 * SD_US_PER_MS)

/* round.c */
extern void sd_round_init(SdRound *round, SdCoordinator *c);

/*
 * Start for head + 1.  noop: SETTLE, to be proposed if nothing was accepted; its body is kept in the round already.
 * kept: CHANGE, the ballot to use without phase 1; NULL: none.
 */
extern void sd_round_start(SdRound *round, SdProposerMode mode, int64 deadline, const SdEntryRef *noop, const SdKept *kept);
extern void sd_round_forget_bodies(SdRound *round);
extern void sd_round_keep_body(SdRound *round, const SdEntryRef *ref, const bytea *bytes);

extern SdBody *sd_round_find_body(SdRound *round, const SdEntryRef *ref);
extern void sd_round_release_body(SdBody *body);	/* one holder less; the last frees it */

/* Take the proposer's effects and do them; after every event. */
extern void sd_round_carry_out(SdRound *round);

/* What it chose into our log, if it is not there, and to everybody. */
extern void sd_round_put_chosen(SdRound *round);

/* The log may have moved past the round's version: whatever brought it, that decides the round. */
extern void sd_round_notice(SdRound *round, int64 now);

extern char *sd_round_missing(SdRound *round, const char *lead);	/* a line for each voter that did not say yes */
/* "2 of 3" voters said yes; own_commit: the commit that has just happened is one of them */
extern char *sd_round_votes(SdRound *round, bool own_commit);

/* request.c */
extern void sd_request_take(SdCoordinator *c);	/* what a backend asks */
extern void sd_request_drive(SdCoordinator *c, int64 now);	/* time passed, tables changed */
extern int64 sd_request_deadline(SdCoordinator *c);
extern void sd_request_finish(SdCoordinator *c, SdResult result, const char *message, const char *detail,
							  const char *hint);
extern void sd_request_change_done(SdRound *round, SdOutcome outcome);

/* demands.c */
extern void sd_demands_take(SdCoordinator *c, char *lines);	/* what a backend needs; lines are taken apart, in needs_context */

/* What the change needs and a serving region lacks: a sentence, and a hint; NULL if nothing; *wait: it is asked there once more first. */
extern char *sd_demands_missing_name(SdCoordinator *c, bool *wait, const char **hint);

/* Policy "quorum", the option "require", the barrier: false: refused, or to be asked again later. */
extern bool sd_demands_met(SdCoordinator *c);

/* Phase 1 failed for want of a region that must agree: refuses, and true.  False: there was no majority. */
extern bool sd_demands_required_missing(SdCoordinator *c, SdRound *round);
/* The attempt into the tables, flushed, if it is not there yet; false: that failed. */
extern bool sd_round_note(SdRound *round);
extern void sd_round_tick(SdRound *round);

/* votes.c: what a SEND effect asks for, of another voter and of ourselves; answers come back as events */
extern void sd_votes_send(SdRound *round, const SdEffect *effect);
extern void sd_votes_cast_here(SdRound *round, const SdEffect *effect);

/* lease.c */
extern int64 sd_lead_duration_us(const SdRound *round);
extern void sd_lead_begin(SdCoordinator *c, const SdBallot *ballot);
extern void sd_lead_granted(SdCoordinator *c, const SdBallot *ballot, const char *region, int64 sent_us, int64 duration_us);
extern void sd_lead_end(SdCoordinator *c);
extern void sd_lead_drop(SdCoordinator *c);
extern void sd_lead_members(SdCoordinator *c);
extern bool sd_lead_commits(SdCoordinator *c, int64 deadline_us);
extern void sd_lead_refused(SdCoordinator *c, const SdBallot *ballot, const SdBallot *promise);
extern const SdKept *sd_lead_take(SdCoordinator *c, int64 now, bool *wait);
extern void sd_lead_blocked(SdCoordinator *c, const SdBallot *lease, int64 until_us);
extern void sd_lead_unblocked(SdCoordinator *c);
extern bool sd_lead_may_try(SdCoordinator *c, int64 now);
extern void sd_lead_stand_in_line(SdCoordinator *c, int64 now);
extern const SdBallot *sd_lead_over(const SdCoordinator *c);	/* what was given up for us; or none */
extern void sd_lead_gave_up(SdCoordinator *c);
extern int64 sd_lead_deadline(SdCoordinator *c);
extern char *sd_lead_blocked_text(SdCoordinator *c);
extern void sd_lead_drive(SdCoordinator *c, int64 now);

/* settle.c */
extern void sd_settle_drive(SdCoordinator *c, int64 now);
extern int64 sd_settle_deadline(SdCoordinator *c, int64 now);
extern void sd_settle_done(SdRound *round, SdOutcome outcome);

/* drift.c */
extern void sd_drift_drive(SdCoordinator *c, int64 now);
/* Our copy of its drift is old, and fetching it fails. */
extern bool sd_drift_uncopied(const SdRemote *remote);
extern int64 sd_drift_deadline(const SdCoordinator *c, int64 now);

/* members.c */

/* Who they are and where we reach them, if that changed; c->reconnect says so. */
extern void sd_members_look(SdCoordinator *c, const SdHead *head);

/* A witness: applied is the log's head. */
extern void sd_members_follow_log(SdCoordinator *c);

/* Would anybody miss member i?  Not one that is suspended and has no vote. */
extern bool sd_members_missed(const SdCoordinator *c, int i);

/* Nothing is wrong with the group; what people did to this region stays to be said.  False: nothing. */
extern bool sd_members_say(const SdCoordinator *c, SdRegionState *state, char *reason, char *remedy);

/* task_drive.c */
typedef struct SdTaskDrive SdTaskDrive;
extern SdTaskDrive *sd_task_drive_create(MemoryContext parent);
extern void sd_task_drive_look(SdCoordinator *c);	/* in the transaction of a look at the tables */
extern void sd_task_drive(SdCoordinator *c, int64 now);
extern int64 sd_task_deadline(SdCoordinator *c, int64 now);

/* gossip.c */
extern void sd_gossip_members(SdCoordinator *c);	/* connections as the configuration says */
extern void sd_gossip_drive(SdCoordinator *c, int64 now);
extern SdRemote *sd_gossip_find(SdCoordinator *c, const char *region);
extern void sd_gossip_push(SdCoordinator *c, int64 version);	/* tell everybody that it is chosen */
extern SdCallHead sd_gossip_head(SdCoordinator *c, SdRemote *remote);
extern void sd_gossip_speak(SdCoordinator *c, int32 protocol);

/* An answer told of so many votes of that region. */
extern void sd_gossip_count(SdRemote *remote, int32 incarnation, int64 vote_seq);

/* What is known of the others' votes into table peer, not flushed; false: that failed. */
extern bool sd_gossip_keep_votes(SdCoordinator *c);

/* heartbeat.c */
extern void sd_heartbeat_drive(SdCoordinator *c, int64 now);
extern int64 sd_heartbeat_deadline(SdCoordinator *c);
extern void sd_heartbeat_hurry(SdCoordinator *c);	/* exchange with everybody now */

/* watch.c */

/* Of a remote just made. */
extern void sd_watch_begin(SdRemote *remote);

/* The four times of a call: when it was sent, when it was there and answered by that region's clock, and now. */
extern void sd_watch_measure(SdRemote *remote, const SdCallResult *result, TimestampTz arrival, TimestampTz answer, int64 now);

/* Each turn, for what people may ask.  Caller holds db->lock exclusively. */
extern void sd_watch_show(SdRemote *remote, SdPeerState *state, int64 now);
extern void sd_watch_own(SdCoordinator *c);

/* standing.c */
typedef struct SdCounted SdCounted;
extern SdCounted *sd_standing_create(MemoryContext parent);
extern void sd_standing_look(SdCoordinator *c, uint64 changes);	/* unless nothing was written since so many changes */

/* lag.c */
extern void sd_lag_look(SdCoordinator *c, int64 now);

/* lost.c */

/* In look()'s transaction. */
extern void sd_lost_look(SdCoordinator *c);
extern void sd_lost_forget(SdCoordinator *c);

/* What a member said of our own votes. */
extern void sd_lost_hear(SdCoordinator *c, SdRemote *remote, const SdTelemetry *told, int64 now);

/* It is in another generation of the group. */
extern void sd_lost_generation(SdCoordinator *c, SdRemote *remote, const char *detail);

extern void sd_lost_drive(SdCoordinator *c, int64 now);
extern int64 sd_lost_deadline(SdCoordinator *c, int64 now);

/* Why this region does not vote now; NULL: it does. */
extern const char *sd_lost_no_vote(SdCoordinator *c);

/* How a void region is, and its way back. */
extern void sd_lost_describe(SdCoordinator *c, char *reason, char *remedy, Size size);

/* ---- verify.c: the whole schema against its digests, now and then ---- */

/* Before the first turn. */
extern void sd_verify_create(SdCoordinator *c);
extern void sd_verify_drive(SdCoordinator *c, int64 now);
extern int64 sd_verify_deadline(SdCoordinator *c, int64 now);

#endif							/* SD_WORKER_COORDINATOR_H */
