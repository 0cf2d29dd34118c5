/*
 * shared.h: what processes of one server share.
 *
 * One SdDatabase a database that has (or may have) the extension, found by its oid.  Everything here is
 * lost at a crash restart and built again from tables; nothing here decides safety.
 *
 * Locking, whole protocol:
 * - SdShared.lock guards the list (which slot belongs to which database) and each slot's process
 *	 fields (wanted, held, coordinator, applier); launcher, hooks and workers take it, briefly.
 * - SdDatabase.lock guards everything else in that slot.  Backends and the coordinator take it to
 *	 exchange a proposal, the coordinator and call backends to write telemetry, views to read.
 * - Never take two of them at once, never hold one across a wait, an SPI call or anything that can
 *	 raise an error.
 * - `changed` is broadcast after any change that somebody may be waiting for: the proposal answered,
 *	 log head or applied version moved, a peer heard of.
 */
#ifndef SD_SHARED_H
#define SD_SHARED_H

#include "compat.h"

#include "datatype/timestamp.h"
#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/latch.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "utils/uuid.h"

#include "consensus/lease.h"

#define SD_TEXT_SIZE		256		/* short texts: errors, remedies */
#define SD_DETAIL_SIZE		2048	/* one line a region */
#define SD_MAX_TASKS		8		/* online entries that may be open at one time */
#define SD_DECISIONS		128		/* newest decisions kept for the view */
#define SD_VECTOR_TEXT_SIZE		4096	/* text of a version vector; one that is longer is not told */
#define SD_ALERT_SIZE		24		/* the id of an alert: a word */

/* What a region says of itself; column "state" of the views. */
typedef enum SdRegionState
{
	SD_REGION_NOT_JOINED,
	SD_REGION_HEALTHY,
	SD_REGION_DEGRADED,			/* works, but could not lose one more region */
	SD_REGION_NO_QUORUM,
	SD_REGION_HALTED,			/* an entry cannot be applied here */
	SD_REGION_VOID				/* identity does not match: learns, never votes */
} SdRegionState;

typedef enum SdCircuit
{
	SD_CIRCUIT_CLOSED,			/* calls go through */
	SD_CIRCUIT_HALF_OPEN,		/* one attempt is under way after failures */
	SD_CIRCUIT_OPEN				/* waiting before the next attempt */
} SdCircuit;

/* How far a region is with an online entry: its task, see store/task.h. */
typedef struct SdTaskReport
{
	int64		version;		/* 0: none */
	char		state[16];
	int64		done;			/* of a build that runs */
	int64		total;			/* 0: not known */
	char		what[SD_TEXT_SIZE]; /* what it does, or why it cannot */
} SdTaskReport;

/*
 * What the schema of a region contains and how it stands to the log, all of it as of one snapshot of its tables, when the schema
 * had followed the log to `version`.  Compared as bytes: zeroed before it is filled.
 */
typedef struct SdStanding
{
	int64		version;		/* 0: it does not say, or has no schema */
	int32		form;			/* SD_DIGEST_FORM of its digests: others are not to be compared */
	int32		drifted;		/* objects that are not what the log says */
	int64		drift_tag;		/* of which, and how: another number whenever that changes; 0: none */
	int64		outside;		/* changes outside the log that are not settled */
	int64		skipped;		/* versions that it skipped */
	uint8		logged[SD_SHA_SIZE];	/* root of what the log says of the schema */
	char		vector[SD_VECTOR_TEXT_SIZE]; /* empty: none, or too long */
} SdStanding;

/* What went otherwise than planned, counted since the server's start. */
typedef enum SdCounter
{
	SD_COUNT_APPLY_FAILED,		/* attempts of the applier that failed */
	SD_COUNT_APPLY_RETRIED,		/* attempts after one that failed */
	SD_COUNT_CHANGES,			/* changes of this region that were chosen */
	SD_COUNT_PREEMPTED,			/* 40001: another region changed the schema first */
	SD_COUNT_UNKNOWN,			/* 40003 */
	SD_COUNT_NO_QUORUM,			/* refused: SD001, and so on */
	SD_COUNT_NOT_ORIGIN,
	SD_COUNT_BEHIND,
	SD_COUNT_NAMES_MISSING,		/* a name that another region lacks: SD004 of that kind */
	SD_COUNT_POLICY,
	SD_COUNT_NO_COORDINATOR,
	SD_COUNT_BLOCKED,
	SD_COUNT_TAKEOVERS,			/* decided what another process or region had begun */
	SD_COUNTERS
} SdCounter;

/* What a region tells of itself in every exchange. */
typedef struct SdTelemetry
{
	int32		incarnation;
	int64		boot_id;		/* random, new with every start of its coordinator */
	int64		head;			/* newest version in its log */
	int64		applied;
	uint8		digest[SD_SHA_SIZE];
	int64		vote_seq;
	int64		hlc;
	SdRegionState state;
	int64		halted_at;		/* version it cannot apply; 0 none */
	int32		attempts;
	char		halt_error[SD_TEXT_SIZE];
	SdTaskReport tasks[SD_MAX_TASKS];

	/* what came with the notes (store/telemetry.h); 0 from who does not send them */
	int32		protocol;		/* the newest it speaks */
	bool		held;			/* halted, because it does not run what that role changes */
	SdBallot	lease;			/* that it holds; none: none */
	int32		lease_ms;		/* for how long still */
	int32		lease_wanted_ms;	/* whoever has granted it shall grant it for so long from now on; 0: as it is */
	bool		lease_in_use;	/* a change is open there */
	int32		lease_pid;		/* whose change */
	int32		lease_held_ms;	/* open for so long */
	SdBallot	granted;		/* the lease that its acceptor has granted */
	int32		granted_ms;
	pg_uuid_t	life;			/* of a void region: in whose name it asks to come back */
	int32		cloned;			/* incarnation of ours in whose name it hears two servers speak; 0 none */
	uint64		server;			/* the same in databases of one server; 0: it does not say */
	SdStanding	standing;
	TimestampTz verified_at;	/* when it last compared its whole schema with its digests; 0: not since its start */
	char		verify_error[SD_TEXT_SIZE];	/* why the newest attempt at that failed; empty: it did not */
	int64		lag_ms;			/* its largest replication lag; -1: not known, or nothing is replicated */
	int64		lag_bytes;
	int64		counts[SD_COUNTERS];

	/* by its wall clock, with an answer: when the question came, when this was written; 0: it does not say */
	TimestampTz asked_at;
	TimestampTz answered_at;

	/* by its own monotonic clock; and the newest such time that it had heard from the region that it tells this */
	int64		at;
	int64		heard_boot_id;
	int64		heard_at;
	int32		remembers_of;	/* incarnation of ours ... */
	int64		remembers;		/* ... of which it remembers so many votes; 0, 0: it does not say */
	int64		pulse;			/* with an answer: its number, if a pulse may repeat it (functions/rpc_exchange.c); 0: none may */
} SdTelemetry;


/* The lease this region holds, for whoever asks to have it handed over. */
typedef struct SdHolding
{
	SdBallot	ballot;			/* none: it holds none */
	int64		until_us;
	bool		in_use;			/* a change is under way: protected for ddl_hold_limit at most */
	bool		asking;			/* a round is under way that may give us a lease */
	bool		handed;			/* given up for another region: not to be used for another change */
	bool		keep;			/* policy wants this region to lead: renew it without use, too */
	int64		commits_until_us;	/* its change commits: until then it is not ended for having had its time; 0: it does not */
	SdLine		line;			/* monotonic times of this machine */
} SdHolding;

/* What may be wrong with a region, as the coordinator sees it at each look (worker/watch.c). */
typedef enum SdWatched
{
	SD_WATCH_UNREACHABLE,		/* missed, and it is not void */
	SD_WATCH_VOID,
	SD_WATCH_HALTED,
	SD_WATCH_NO_QUORUM,			/* says that region */
	SD_WATCH_BEHIND,			/* has not applied what is in our log */
	SD_WATCH_DIVERGED,			/* says that the log means something else at the version where we are, too */
	SD_WATCH_DRIFT,
	SD_WATCH_UNCOPIED,			/* what is kept here of its drift is not what it has, and it does not tell */
	SD_WATCH_CLOCK,				/* further from ours than schemadrift.clock_offset_limit, whatever the error */
	SD_WATCH_LAG,				/* more than schemadrift.replication_lag_limit */
	SD_WATCH_UNVERIFIED,		/* comparing its schema with its digests fails */
	SD_WATCH_OLDER,				/* speaks an older protocol than we */
	SD_WATCH_DOWN,				/* has stepped down */
	SD_WATCH_TASK,				/* cannot do its share of an online version */
	SD_WATCH_UNDECIDED,			/* of ourselves: a version is accepted here and not decided */
	SD_WATCHED
} SdWatched;

/* One other region.  Written by the coordinator, and by the backend serving that region's exchange. */
typedef struct SdPeerState
{
	char		region[SD_NAME_SIZE];
	SdTelemetry told;
	TimestampTz last_heard;		/* 0: never since start */
	int64		last_heard_us;	/* monotonic */
	int64		last_called_us;	/* monotonic: when it last reached us by a call of its own; 0 never */
	int64		doubted_us;		/* monotonic: when somebody void, or started anew, last spoke in its name; 0 never */
	SdCircuit	circuit;		/* of our connection to it */
	int32		rtt_us;			/* smoothed; -1 unknown */
	int32		rtt_min_us;		/* the least of late; -1 unknown */
	TimestampTz retry_at;		/* of an open circuit */
	char		last_error[SD_TEXT_SIZE];	/* why our calls fail; empty when they do not */

	/* by worker/watch.c */
	bool		clock_known;
	int64		clock_offset_us;	/* its wall clock minus ours ... */
	int64		clock_error_us; /* ... to either side of that by so much at most */
	double		suspicion;		/* phi: what its silence says (causality/phi.h) */
	TimestampTz since[SD_WATCHED];	/* since when that is so; 0: it is not */

	/* when we heard that it has applied what it tells, and of the newest no-op of ours that it has applied; monotonic */
	int64		applied_us;
	int64		noop_version;
	int64		noop_us;

	/* the most votes that it told of, under which incarnation; what table peer says is not in here */
	int32		counted;
	int64		vote_seq;

	/* it remembers no more votes of ours than we have: of this incarnation of ours; 0: it has not said so yet */
	int32		confirmed;
	int64		confirmed_us;	/* monotonic: when it said so last */

	/* "boot ids alternate": who else spoke in its name; since when both are known, and which of them has lived after that */
	int64		other_boot_id;
	int64		both_us;		/* monotonic; 0: there is one only */
	bool		lives;			/* who spoke last */
	bool		other_lives;
	int32		cloned;			/* the incarnation in whose name two servers speak; 0 none */
	TimestampTz cloned_at;		/* when that was noticed */
} SdPeerState;

/* A backend's request to its coordinator, and the result. */
typedef enum SdRequest
{
	SD_REQUEST_NONE,			/* free: the last one was taken */
	SD_REQUEST_GRANT,			/* step 1: phase 1 for the next version */
	SD_REQUEST_NEEDS,			/* do the serving regions have these names? */
	SD_REQUEST_ACCEPT,			/* step 3: have the entry accepted by the other voters */
	SD_REQUEST_PREEMPTED,		/* step 3: own promise is above the ballot, nothing written; go on waiting */
	SD_REQUEST_CLOSE,			/* the backend gives up waiting: judge what is known, now */
	SD_REQUEST_COMMITTED,		/* step 4: the commit record is flushed */
	SD_REQUEST_ABORTED			/* the transaction ended without it, or before it asked for votes */
} SdRequest;

typedef enum SdResult
{
	SD_RESULT_NONE,				/* none yet */
	SD_RESULT_GRANTED,			/* version, ballot and chain are valid */
	SD_RESULT_AGAIN,			/* the log moved on: let go of the DDL lock until `version` is applied */
	SD_RESULT_ACCEPTED,			/* enough others accepted: cast the own vote */
	SD_RESULT_CHOSEN,			/* the entry is chosen already: record it */
	SD_RESULT_NAMES_THERE,
	SD_RESULT_NO_QUORUM,		/* SD001, detail names the missing */
	SD_RESULT_BLOCKED,			/* 55P03: another region's lease was not to be had in time */
	SD_RESULT_NOT_ORIGIN,		/* SD002 */
	SD_RESULT_BEHIND,			/* SD003 */
	SD_RESULT_POLICY,			/* SD005: a region that must agree is missing, or the barrier is not met */
	SD_RESULT_NAMES_MISSING,	/* SD004: a role or extension is missing somewhere */
	SD_RESULT_NO_COORDINATOR,	/* SD009: it stopped before anything of this change was sent */
	SD_RESULT_LOST,				/* 40001: another entry is chosen, or ours never can be */
	SD_RESULT_UNKNOWN			/* 40003 */
} SdResult;

typedef struct SdProposal
{
	/* written by the backend that holds the DDL lock */
	SdRequest	request;
	int			pid;
	pg_uuid_t	entry_id;
	char		subject[SD_TEXT_SIZE];	/* migration name, for messages, decisions and outcome(name) */
	bool		supersedes;		/* may be proposed while this region is halted */
	bool		config;			/* of the group itself: may be proposed while this region is suspended */
	int64		deadline_us;	/* monotonic */
	dsm_handle	data;			/* GRANT, NEEDS: what it needs, a line each (gate/change.h); ACCEPT: the entry's bytes */
	Size		data_size;

	/* written by the coordinator */
	SdResult	result;
	int64		version;
	SdBallot	ballot;
	SdChain		chain;			/* of version - 1 */
	char		message[SD_TEXT_SIZE];
	char		detail[SD_DETAIL_SIZE];
	char		hint[SD_TEXT_SIZE];
} SdProposal;

/* One line of the view "decisions". */
typedef struct SdDecision
{
	TimestampTz at;
	int64		hlc;
	char		kind[24];		/* grant, refusal, preemption, settlement, bypass, would-have ... */
	char		subject[SD_NAME_SIZE];
	char		outcome[24];
	char		votes[SD_NAME_SIZE * 2];
	char		reason[SD_TEXT_SIZE];
} SdDecision;

/* A script, and its way back, of which dry_run() found nothing bad in any region. */
#define SD_REHEARSED	64

typedef struct SdRehearsed
{
	uint8		sha[SD_SHA_SIZE];
	TimestampTz at;
} SdRehearsed;

typedef struct SdDatabase
{
	/* first, and never made anew: a late process of the database that had the slot before may still use them */
	LWLock		lock;			/* guards turn_us and all that follows */
	ConditionVariable changed;

	/* under SdShared.lock */
	Oid			database;		/* InvalidOid: slot is free */
	bool		wanted;			/* the extension is installed: keep a coordinator */
	uint32		notices;		/* commits that created or dropped it here */
	int			held;			/* database commands under way: keep none meanwhile */
	int			coordinator_pid;	/* 0: none */
	Latch	   *coordinator_latch;
	int			applier_pid;
	Latch	   *applier_latch;
	int			task_pid;		/* works on an online entry */
	int			result_pid;		/* proposes the result of one, or a no-op */
	int			verify_pid;		/* compares the whole schema with its digests */
	bool		told_to_stop;	/* the coordinator's end is no failure */
	int64		started_us;		/* monotonic time of the coordinator's last start */
	TimestampTz ended_at;		/* when the last coordinator ended; 0: there was none since the server's start */
	int64		start_at_us;	/* not before: back-off after failures */
	int			failures;		/* ends in a row without a good minute between them */

	/* under lock, from here on */
	int64		turn_us;		/* monotonic time when the coordinator began its last turn */

	/* own region, as last seen by the coordinator; tables decide, this is for views and quick refusals */
	char		region[SD_NAME_SIZE];
	SdRegionState state;
	int64		head;			/* newest version in our log */
	int64		applied;
	int64		heard_head;		/* newest version any peer told us of: we are behind while larger */
	bool		connected;		/* enough voters heard of to decide, ourselves included */
	pg_atomic_uint64 history_policy;	/* another number when policy "history_tables" may say something else, 0: it says nothing;
										 * by who puts a policy into force, and the coordinator; read without the lock */
	int64		undecided;		/* version accepted here and not learned; 0 none */
	int64		foreign_promise_us; /* monotonic time of our newest promise to another region */
	int64		foreign_promise_for;	/* the version it was for */
	char		reason[SD_TEXT_SIZE];
	char		remedy[SD_TEXT_SIZE];
	char		alert[SD_ALERT_SIZE];	/* what the reason is about: the id of an alert; empty: nothing is wrong */
	TimestampTz alert_since;

	/* written by the coordinator */
	TimestampTz since[SD_WATCHED];	/* of this region, as in SdPeerState */
	SdStanding	standing;
	int64		lag_ms;			/* as in SdTelemetry */
	int64		lag_bytes;

	/* written by whoever compares the whole schema with its digests (worker/verify.c, verify()); not kept over a restart */
	TimestampTz verified_at;	/* when that last came to its end, whatever it found */
	bool		verify_told;	/* the process that looks has said what came of it */
	TimestampTz verify_failed_at;	/* since when it does not; 0: it does */
	char		verify_error[SD_TEXT_SIZE];
	int32		verify_ms;		/* how long the last one took, and ... */
	int64		verify_objects; /* ... how many objects it looked at; 0: none yet */

	/* how often something may have gone past the hooks, so that the coordinator shall have it looked at; and how many of these ... */
	uint64		verify_called;
	uint64		verify_begun;	/* ... the last look, or the one under way, saw; written by the coordinator */
	uint64		verify_ended;	/* ... have been looked at, whatever came of it; likewise */

	/* transactions that are prepared and did such a thing: their commit, whoever does it, calls for that look */
	bool		prepared_known; /* false: which there were before the server's start nobody has asked yet */
	TransactionId prepared_before;	/* such a one may have an xid before this; invalid: there is none */
	uint32		prepared_notes; /* how often one was added */
	bool		prepared_elsewhere;	/* one of them may be about a role, which other databases name */

	int64		counts[SD_COUNTERS];	/* sd_shared_count_event() */

	TimestampTz metrics_read_at;	/* 0: not since the server's start */

	/* scripts that dry_run() found to be good everywhere (gate/rehearsed.h), the oldest is overwritten */
	SdRehearsed rehearsed[SD_REHEARSED];
	uint32		n_rehearsed;	/* ever */

	/* no-ops by which preflight() measures (functions/propagation.h), by who proposes them; monotonic times */
	uint32		noop_attempts;	/* ended so far */
	int64		noop_version;	/* the newest one that was chosen; 0: none since the server's start */
	int64		noop_begun_us;
	int64		noop_chosen_us;
	char		noop_error[SD_TEXT_SIZE];	/* of the last attempt; empty: it was chosen */

	/*
	 * The incarnation of ours whose votes enough other regions have confirmed since the server was started: it may vote.
	 * 0: none.  A crash forgets it with everything else here, as it should.
	 */
	int32		proved;

	/* rejoin(): what a backend wants of the coordinator, and what came of the last attempt */
	int64		rejoin_until_us;	/* monotonic: until then it is to try, whatever the policy says */
	uint32		rejoin_attempts;	/* answered so far */
	int			rejoin_sqlstate;	/* of the last answer; 0: it was admitted */
	char		rejoin_error[SD_TEXT_SIZE];
	char		rejoin_detail[SD_DETAIL_SIZE];

	/* why the applier halted; written by the applier */
	int64		halted_at;		/* version; 0: it has not */
	int			halt_sqlstate;
	int32		attempts;
	TimestampTz halt_since;
	int64		retry_us;		/* monotonic: when it may try again */
	bool		retry_now;		/* retry(name), or the cause may be gone */
	char		halt_error[SD_TEXT_SIZE];
	char		halt_detail[SD_TEXT_SIZE];
	int64		applying;		/* version under way; 0 none */
	TimestampTz applying_since;
	int64		waits_for_task; /* version of a result that the applier cannot apply before our own task is settled; 0 none */
	int64		task_version;	/* online version that is worked on just now; 0 none */
	int			task_runner;	/* by this process */

	/* the local transaction that changes the schema */
	int			ddl_pid;		/* holder of the DDL lock that was granted a version; 0 none */
	int64		ddl_version;	/* that version */
	TimestampTz ddl_since;
	int64		ddl_since_us;	/* the same, monotonic */
	int64		ddl_hold_limit_us;	/* how long it is protected from others */
	bool		doomed;			/* its version was taken, or others waited too long for it: it ends with 40001 */
	bool		overstayed;		/* the latter: it has had its time, so no grace */

	/* leases: what our acceptor has granted, what we hold, whom we wait for */
	SdGrant		grant;
	SdHolding	holding;
	int64		lead_until_us;	/* the coordinator shall try to lead until then; 0: not wanted */
	SdBallot	tried;			/* the newest ballot of a change here */
	SdBallot	blocked_by;		/* the lease that our change waits for; none: it waits for none */
	int			blocked_by_pid;
	TimestampTz blocked_by_since;

	int64		names_version;	/* of the names an entry may need here (store/names.h), as some process read them ... */
	int64		names_at;		/* ... then, monotonic */

	uint64		boot_id;		/* of this coordinator; random */
	uint64		hlc;			/* newest hybrid time seen */

	SdProposal	proposal;

	int			n_decisions;	/* ever made; ring index is modulo SD_DECISIONS */
	SdDecision	decisions[SD_DECISIONS];

	int			n_peers;
	SdPeerState peers[FLEXIBLE_ARRAY_MEMBER];	/* sd_max_regions of them */
} SdDatabase;

#define SD_LOOK_AT			16
#define SD_WAL_MARKS		64

/* Where the end of this server's WAL was, and when. */
typedef struct SdWalMark
{
	int64		at_us;			/* monotonic */
	int64		position;
} SdWalMark;

/* The launcher's side; all of it under lock. */
typedef struct SdShared
{
	LWLock		lock;
	int			launcher_pid;
	Latch	   *launcher_latch;
	bool		check_all;		/* look for the extension in every database: at start, after a lost notice */
	int			n_look_at;
	Oid			look_at[SD_LOOK_AT];	/* databases made or opened since: look there */
	int			n_unplaced;		/* databases that have the extension and found no slot */
	char		trouble[SD_TEXT_SIZE];	/* why a worker could not be started, with the remedy; empty: none */
	int64		lag_at_us;		/* monotonic: when a coordinator last looked at this server's replication; 0 never */
	int64		lag_ms;			/* what it saw: as in SdTelemetry */
	int64		lag_bytes;
	SdWalMark	lag_marks[SD_WAL_MARKS];	/* where the end of the WAL was, oldest first (worker/lag.c) */
	int			n_lag_marks;
	int			n_databases;	/* slots */
} SdShared;

extern SdShared *sd_shared;

extern void sd_shared_init(void);	/* from _PG_init: hooks for request and startup */

/* Slot number i, 0 <= i < sd_shared->n_databases. */
extern SdDatabase *sd_shared_slot(int i);

/* The slot of a database; NULL if it has none. */
extern SdDatabase *sd_shared_database(Oid database);

/* The same for who holds sd_shared->lock, exclusively to create: takes a free slot (NULL: all are taken). */
extern SdDatabase *sd_shared_find(Oid database, bool create);

/*
 * Does the coordinator stand in the commit of a vote, which a synchronous standby does not confirm?  It answers nobody meanwhile.
 * Takes both locks, one after the other.
 */
extern bool sd_shared_waits_for_standby(SdDatabase *db);

/* Wake the launcher; caller holds sd_shared->lock. */
extern void sd_shared_wake_launcher(void);

/* This backend's database; cached.  NULL: no coordinator was ever wanted here. */
extern SdDatabase *sd_shared_mine(void);

/* Wake the coordinator of a slot, if one runs. */
extern void sd_shared_wake(SdDatabase *db);

/* Wake the applier of a slot, if one runs: the log has moved, or nobody is there any more to wait for. */
extern void sd_shared_wake_applier(SdDatabase *db);

/* Tell all processes of a database to end; caller holds sd_shared->lock exclusively. */
extern void sd_shared_stop(SdDatabase *db);

/* The hybrid time of a new event here, later than all that this region has seen; seen: of what the caller has just read. */
extern int64 sd_shared_next_hlc(SdDatabase *db, int64 seen);

/* As sd_shared_wake() once this transaction is committed: what it shall look at is in the tables then. */
extern void sd_shared_wake_at_commit(SdDatabase *db);

/* A no-op by which preflight() measures was chosen.  Caller holds db->lock exclusively. */
extern void sd_shared_noop_chosen(SdDatabase *db, int64 version, int64 begun_us, int64 now_us);

/* Take in what a region told; true if there was news in it.  Caller holds db->lock exclusively. */
extern bool sd_shared_hear(SdDatabase *db, SdPeerState *peer, const SdTelemetry *told, int64 now_us);

/*
 * Did somebody void, or started anew, speak in its name a moment ago?  Then both sides tell all in each heartbeat, as often as they can: who
 * hears what is of the essence then.
 */
extern bool sd_shared_doubted(int64 doubted_us, int64 now_us);

/* It told (region, incarnation) of so many votes.  Caller holds db->lock exclusively. */
extern void sd_shared_count(SdPeerState *peer, int32 incarnation, int64 vote_seq);

/*
 * Its answer said how many votes of ours it remembers, and we have as many.  An answer: what it says in a call of its own may
 * be from before we lost them.  A region that speaks the first protocol cannot say it, and is taken for one that
 * remembers none.  Caller holds db->lock exclusively.
 */
extern void sd_shared_confirm(SdPeerState *peer, const SdTelemetry *told, int32 incarnation, int64 now_us);

/* A void region's way back, where the coordinator cannot say it better. */
#define SD_REMEDY_VOID "SELECT schemadrift.rejoin(); -- when the coordinator runs"

extern const char *sd_region_state_text(SdRegionState state);
extern SdRegionState sd_region_state_parse(const char *text);

/* A text, or NULL for an empty one, into one of the fields here, which are short. */
extern void sd_shared_copy(char *to, Size size, const char *from);

/* One more of these.  Takes db->lock. */
extern void sd_shared_count_event(SdDatabase *db, SdCounter what);

/* Remember a decision for the view; all texts are cut to fit.  Takes db->lock. */
extern void sd_shared_decide(SdDatabase *db, const char *kind, const char *subject,
							 const char *outcome, const char *votes, const char *reason);

/* Who leads, as far as this region knows. */
typedef struct SdLeader
{
	SdBallot	ballot;			/* its region is the holder */
	int64		left_us;		/* until it runs out */
	int			pid;			/* that has a change open there; 0: none, or not known */
	int64		held_us;		/* for so long */
} SdLeader;

/* False: nobody does.  Caller holds db->lock. */
extern bool sd_shared_leader(const SdDatabase *db, int64 now_us, SdLeader *leader);

/* The peer's telemetry, made if new; NULL when the table is full.  Caller holds db->lock exclusively. */
extern SdPeerState *sd_shared_peer(SdDatabase *db, const char *region);

#endif							/* SD_SHARED_H */
