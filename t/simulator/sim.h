/*
 * sim.h: the deterministic simulator's world.
 *
 * One seed decides everything: delays, losses, repeats, crashes, pauses, cuts, what clients do.  The consensus
 * code under test is the very object files of src/consensus; what is simulated here is the rest of a server:
 * tables with a flush, row locks, the DDL lock, backends, a coordinator, an applier, a network.
 *
 * A *place* is a region's name and address; a *server* is what runs there: another one after a failover, and for a
 * while perhaps two, when the old primary lives on.  Functions take the number of a server unless they say place.
 *
 * Files: world.c (time, events, locks, trace), tables.c (what is stored), invariants.c (what must hold), calls.c (network and
 * acceptor), coordinator.c, backend.c (clients' transactions, applier), schema.c (what entries do, halts, taking back),
 * online.c (online entries), members.c (configurations, who asks for which change of them), identity.c (the fence: may this
 * server vote), lease.c (leading), clock.c (clocks), faults.c (what goes wrong), chaos.c (how often), fair.c (nobody
 * starves), schedule.c (one whole schedule), main.c (arguments), report.c (the table of mistakes).
 */
#ifndef SD_SIM_H
#define SD_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "causality/hlc.h"
#include "consensus/acceptor.h"
#include "consensus/ballot.h"
#include "consensus/lease.h"
#include "consensus/membership.h"
#include "consensus/mistakes.h"
#include "consensus/proposer.h"

#define MS				INT64_C(1000)
#define SECOND			INT64_C(1000000)

#define MAX_PLACES		6
#define MAX_SERVERS		14			/* every failover takes one more */
#define MAX_INCARNATION	30
#define MAX_VERSION		140
#define MAX_ENTRIES		800
#define MAX_CHANGES		500			/* of which clients make so many, before everything is well */
#define MAX_ROWS		16			/* log rows carried by one message */
#define MAX_REPORTS		8
#define RELATIONS		4

/* the server's settings, as far as they matter here */
#define QUORUM_TIMEOUT	(5 * SECOND)
#define CALL_TIMEOUT	(1500 * MS)
#define LOCK_TIMEOUT	(1000 * MS)
#define HEARTBEAT		(1 * SECOND)
#define SETTLE_AFTER	(1 * SECOND)	/* how long an accepted, unlearned entry is left to its proposer */
#define HOLD_LIMIT		(2 * SECOND)	/* how long an open transaction is protected from who asks for the lease */
#define YIELD			(400 * MS)	/* how long a live proposer is waited for */
#define HEAL_BOUND		(32 * SECOND)	/* invariant 12: 3 x lease_duration + 2 s */

/* mistakes in the server around the core; those of the core are in consensus/mistakes.h */
#define SIM_MISTAKE_ACK_EARLY		(UINT64_C(1) << 16)
#define SIM_MISTAKE_SELF_FIRST		(UINT64_C(1) << 17)
#define SIM_MISTAKE_SELF_READ		(UINT64_C(1) << 18)
#define SIM_MISTAKE_ASYNC_COMMIT	(UINT64_C(1) << 19)
#define SIM_MISTAKE_NO_CAS			(UINT64_C(1) << 20)
#define SIM_MISTAKE_PREP_ONE		(UINT64_C(1) << 21)
#define SIM_MISTAKE_NO_FENCE		(UINT64_C(1) << 22)	/* a server that lost votes goes on voting */
#define SIM_MISTAKE_REJOIN_READ		(UINT64_C(1) << 23)	/* ... copies what the others hold, and votes */
#define SIM_MISTAKE_ALPHA2			(UINT64_C(1) << 24)	/* s + 1 is proposed before s is known to be chosen */
#define SIM_MISTAKE_PAUSED_HOLDER	(UINT64_C(1) << 26)	/* the lease is trusted instead of the own promise, at the last moment */
#define SIM_MISTAKE_WALL_CLOCK		(UINT64_C(1) << 27)	/* entries are labelled by the wall clock alone */
#define SIM_MISTAKE_LIFE_REUSE		(UINT64_C(1) << 25)	/* a restored void server keeps the life that it asked to be readmitted under */

#define SIM_MISTAKE_UNFAIR			(UINT64_C(1) << 33)	/* who holds a lease goes on with it whoever waits */
#define SIM_MISTAKE_NO_55006		(UINT64_C(1) << 28)	/* others do not keep off what an online entry works on */
#define SIM_MISTAKE_SKIP_ALONE		(UINT64_C(1) << 29)	/* a region that cannot apply an entry skips it, superseded or not */
#define SIM_MISTAKE_SKIP_UNTRIED	(UINT64_C(1) << 34)	/* what is superseded is skipped without being tried */
#define SIM_MISTAKE_RESULT_EARLY	(UINT64_C(1) << 30)	/* a result is applied before the own share is settled */
#define SIM_MISTAKE_SECOND_RESULT	(UINT64_C(1) << 31)	/* nobody looks again whether a result is there already */
#define SIM_MISTAKE_STALE_REPORT	(UINT64_C(1) << 32)	/* what a former incarnation has done counts for the new one */

#define SIM_MISTAKE(name) ((w->mistakes & SIM_MISTAKE_##name) != 0)

typedef struct World World;
typedef struct Event Event;
typedef struct Region Region;
typedef struct Attempt Attempt;
typedef struct Members Members;

typedef void (*EventFn) (World *w, int region, void *p);

struct Event
{
	int64_t		time;
	uint64_t	seq;			/* ties are broken by age: the order is total */
	int			region;
	int			boot;			/* process lives this event belongs to; -1: any */
	int			life;			/* same for the coordinator */
	bool		held_up;		/* its server is paused */
	EventFn		fn;
	void	   *p;
};

/* ---------- locks: one holder, first come first served ---------- */

typedef struct Waiter
{
	int64_t		session;
	bool		waiting;
	EventFn		got;
	EventFn		late;
	void	   *p;
	struct Waiter *next;
} Waiter;

typedef struct Lock
{
	int64_t		holder;			/* session, 0 = free */
	Waiter	   *first;
} Lock;

/* ---------- what a region stores ---------- */

typedef struct Accepted
{
	bool		known;
	SdBallot	ballot;
	int			entry;
} Accepted;

/* table peer: the most that was ever heard of a place */
typedef struct Remembered
{
	int32_t		incarnation;
	int64_t		vote_seq;
} Remembered;

/* this region's share of an online entry */
typedef enum TaskState
{
	TASK_NONE,					/* none, or its result is applied */
	TASK_OPEN,
	TASK_BEGUN,
	TASK_DONE,
	TASK_FAILED,
	TASK_CLEANED
} TaskState;

/* what another region told in its last exchange */
typedef struct Told
{
	int32_t		incarnation;
	int64_t		applied;
	uint8_t		task[MAX_VERSION + 1];
} Told;

typedef struct Tables
{
	/* self */
	int32_t		incarnation;	/* 0 = never admitted */
	bool		is_void;
	int64_t		server;			/* system identifier and timeline that this is true of */
	uint64_t	life;			/* under which it asks to be admitted; new whenever it becomes void */
	Remembered	peer[MAX_PLACES];

	SdBallot	promised;
	int64_t		vote_seq;
	int64_t		head;
	int			log[MAX_VERSION + 1];	/* entry numbers; [0] unused */
	uint64_t	chain[MAX_VERSION + 1];
	Accepted	accepted[MAX_VERSION + 2];
	int64_t		applied;
	int			n_executed;		/* how many entries were executed or skipped here */
	uint64_t	schema[RELATIONS];
	int			n_skipped;		/* of those whose way back is still to come */
	bool		skipped[MAX_VERSION + 1];
	bool		untried[MAX_VERSION + 1];	/* ... although it could have run */
	uint8_t		task[MAX_VERSION + 1];	/* TaskState of online entries */
	int64_t		round_seq;		/* a sequence, for BALLOT_REUSE */
} Tables;

typedef struct Settle
{
	bool		active;
	int			serial;
	int64_t		not_before;
	const Members *members;		/* in force for the version that is settled */
	SdProposer	machine;
} Settle;

/* a server */
struct Region
{
	char		name[SD_NAME_SIZE];	/* of its place */
	char		label[SD_NAME_SIZE + 8];	/* for the trace: tells the servers of one place apart */
	int			place;
	bool		witness;		/* has no schema */
	bool		unfit;			/* its settings or tables forbid a vote, for now */
	bool		elsewhere;		/* a copy that nobody's address leads to */
	bool		retired;		/* never comes back: another server has its place */
	int64_t		server;			/* its system identifier and timeline, as they are */
	bool		heard[MAX_PLACES];	/* who has told, since this server started, which votes of ours it remembers */
	bool		wants_in;		/* somebody has called join() here */
	Tables		backup;			/* what it stored some time ago, to be rolled back to */
	Tables		standby;		/* the same, younger */

	/* disk: what survives a crash.  mem: what transactions see; the same, unless commits do not wait for the flush */
	Tables		mem;
	Tables		disk;

	/* processes; all below dies with them */
	bool		up;
	int			boot;
	int64_t		paused_until;
	Lock		rows;			/* the acceptor's rows, in their one order, as one lock */
	Lock		ddl;
	bool		applier_running;
	bool		halted;			/* it cannot apply the next version */
	bool		task_running;
	Told		told[MAX_PLACES];
	int64_t		open_since[MAX_VERSION + 1];	/* online entries */

	double		clock_rate;
	int64_t		wall_offset;	/* ms */
	SdHlc		hlc;			/* shared memory: the newest it has seen */
	SdGrant		grant;			/* what its acceptor gave its word to */

	/* coordinator */
	int			life;
	SdLease		lease;			/* what it was granted, and keeps */
	bool		handed;			/* somebody was told that it is given up */
	SdLine		line;			/* shared memory: who waits for what it holds */
	SdBallot	given;			/* the last ballot that it gave up for another region, and when */
	int64_t		given_at;
	int64_t		left_at;		/* since when its lease is left to who waits longer */
	SdBallot	leased;			/* another's lease, as the round under way was told */
	int64_t		leased_until;
	SdBallot	blocked;		/* ... for which it waits */
	int64_t		blocked_since;
	int64_t		blocked_until;
	SdBallot	over;			/* its holder has released all up to this one */
	int64_t		gave_up_at;		/* a client that waited in vain, and since when */
	int64_t		gave_up_since;
	int64_t		ask_after;
	int64_t		max_round;
	Attempt    *changing;		/* whose change the machine below is */
	int			change_serial;
	const Members *change_members;
	SdProposer	change;
	Settle		settle;
	bool		doubt[MAX_VERSION + 2];	/* somebody needs a definite answer about this version */
	int64_t		accepted_seen[MAX_VERSION + 2];
	int64_t		promise_seen;	/* when the promise here last moved */
};

/* ---------- clients ---------- */

typedef enum AttemptState
{
	ATTEMPT_LOCKING,			/* waits for the DDL lock */
	ATTEMPT_WAITING,			/* nothing has run: head not applied, something undecided, s taken */
	ATTEMPT_PREPARING,			/* phase 1 */
	ATTEMPT_RUNNING,			/* statements run */
	ATTEMPT_PROPOSED,			/* pre-commit, waits for the others */
	ATTEMPT_FINAL,				/* has or waits for the row locks */
	ATTEMPT_COMMITTING,			/* own vote written, commit record on its way to disk */
	ATTEMPT_OVER
} AttemptState;

typedef enum ClientOutcome
{
	CLIENT_OPEN,
	CLIENT_SUCCESS,
	CLIENT_DEFINITE,			/* "nothing happened" */
	CLIENT_UNKNOWN
} ClientOutcome;

/* what a config entry may do */
typedef enum MemberChange
{
	MEMBER_NONE,
	MEMBER_ADMIT,				/* as observer, always */
	MEMBER_PROMOTE,				/* observer to voter, or witness: when it has applied the head */
	MEMBER_STEP_DOWN,
	MEMBER_REMOVE,
	MEMBER_SUSPEND,
	MEMBER_RESUME,
	MEMBER_REJOIN				/* the same with a new incarnation */
} MemberChange;

/* what an entry of a client is */
typedef enum Work
{
	WORK_PLAIN,
	WORK_ONLINE,
	WORK_RESULT,				/* of an online entry */
	WORK_TAKE_BACK				/* revert or supersede */
} Work;

typedef enum Result
{
	RESULT_OK,
	RESULT_FAILED,
	RESULT_CANCELLED
} Result;

/* what an applier can do with a version */
typedef enum Applying
{
	APPLY_RUN,
	APPLY_SKIP,
	APPLY_HALT
} Applying;

struct Members
{
	SdConfig	config;
	int			place[MAX_PLACES];	/* of each member of config */
	uint64_t	life[MAX_PLACES];	/* from here on by place: under which it was admitted last */
	int32_t		ever[MAX_PLACES];	/* highest incarnation ever */
};

typedef enum Answer
{
	ANSWER_NONE,
	ANSWER_YES,
	ANSWER_NO
} Answer;

struct Attempt
{
	int			entry;			/* number of its entry; also names the attempt */
	int			region;
	bool		noop;			/* an entry made by a settlement, no client */
	MemberChange change;		/* a config entry: what it is to do, and for which place */
	int			target;
	uint64_t	life;
	int32_t		incarnation;	/* that the target had when this was asked for */
	Members    *members;		/* what it makes of the members, once it is built; baseline too */
	SdHlc		hlc;
	Work		work;
	int			relation;
	unsigned	poison;			/* places where it cannot be applied, or its work cannot be done */
	unsigned	by_hand;		/* places where somebody has done what its text could not */
	bool		depends;		/* it needs what another version made, ... */
	int64_t		needs;			/* ... this one, as was found where it was made */
	uint64_t	digest;			/* of the relation, where it was made */
	int64_t		of_version;		/* RESULT, TAKE_BACK */
	Result		result;
	bool		supersedes;		/* TAKE_BACK: not everybody was known to have applied it */
	AttemptState state;
	ClientOutcome outcome;
	Answer		answer;			/* of outcome(entry), once it was asked */
	int64_t		started;
	int64_t		ended;
	int64_t		asked;			/* when it first had the DDL lock, by its server's clock */
	int64_t		deadline;
	int64_t		session;
	int			serial;			/* of the machine that works for it */
	int64_t		version;
	uint64_t	chain;			/* of the version before */
	int64_t		wait_for;		/* version that went to another: not before it is in the log here */
	SdBallot	ballot;
	bool		chosen;
	bool		holds_rows;
	int64_t		granted;		/* when its statements began */
	bool		trusts_lease;	/* PAUSED_HOLDER */
	int64_t		in_log_at;		/* 0 = in nobody's log */
	bool		retry;			/* one of the changes after everything is well: tried again until it succeeds */
};

/* ---------- calls between regions (and to the own acceptor) ---------- */

typedef enum CallKind
{
	CALL_PREPARE,
	CALL_ACCEPT,
	CALL_LEARN,
	CALL_EXCHANGE,				/* heartbeat and fetch: read-only */
	CALL_HANDOVER,				/* please let us have your lease */
	CALL_ASK					/* please propose this change of the members; no answer */
} CallKind;

typedef struct Call
{
	CallKind	kind;
	int			from;
	int			to_place;
	int			to;				/* the server that this address leads to */
	int			from_boot;
	int			from_life;
	bool		over;			/* the caller has had its answer, or has closed the socket */
	bool		silent;			/* a repeated request: nobody waits for its answer */
	bool		settle;			/* which machine asked */
	int			serial;
	int			voter;
	int64_t		session;		/* at the answering side */

	SdBallot	ballot;
	int64_t		version;
	uint64_t	chain;
	int			entry;

	Remembered	remembered;		/* what the caller remembers of the callee */
	MemberChange change;		/* ASK */
	uint64_t	life;
	int64_t		applied;

	/* leases; times are of the clock of who says them */
	int64_t		lease_wanted;	/* for how long, with PREPARE, ACCEPT, EXCHANGE */
	int64_t		sent;
	SdBallot	over_lease;		/* PREPARE: of a lease that its holder has released */
	SdBallot	lease;			/* EXCHANGE, HANDOVER: whose; the answer to PREPARE, if leased */
	bool		leased;			/* answers: PREPARE: no, because of lease; EXCHANGE: renewed */
	int64_t		lease_left;
	bool		released;
	int64_t		waited;			/* HANDOVER: for so long */
	SdBallot	tried;			/* the caller's newest; the answer: the callee's */

	/* LEARN: rows told; answers: rows that the caller lacks */
	int64_t		rows_from;
	int			n_rows;
	int			rows[MAX_ROWS];
	uint64_t	chains[MAX_ROWS];

	/* answer */
	bool		error;
	SdAcceptorDecision decision;
	int			n_reports;
	SdReport	reports[MAX_REPORTS];
	int64_t		head;
	int32_t		incarnation;	/* who answers: "acceptors always answer with (region, incarnation)" */
	int64_t		vote_seq;
	SdHlc		hlc;			/* EXCHANGE */
	uint8_t		task[MAX_VERSION + 1];
	Remembered	remembers;		/* EXCHANGE: what the callee remembers of the caller */
	bool		is_void;		/* and whether it may have forgotten that, too */
} Call;

/* ---------- evidence ---------- */

typedef struct Acceptance
{
	int64_t		version;
	SdBallot	ballot;
	int			entry;
	uint32_t	incarnations[MAX_PLACES];	/* by place, bit masks */
} Acceptance;

/* who promised a ballot, at whichever version: a promise is for that version and all later ones */
typedef struct Promise
{
	SdBallot	ballot;
	uint32_t	incarnations[MAX_PLACES];
} Promise;

typedef struct CountedVote
{
	int			region;
	int32_t		incarnation;
	bool		accept;
	int64_t		version;
	SdBallot	ballot;
	int			entry;
} CountedVote;

/* counted, so that a run can show that it did what it is meant to do */
typedef enum Happening
{
	SIM_CONFIG_CHOSEN,
	SIM_ADMITTED,
	SIM_REJOINED,
	SIM_LOST_STATE,
	SIM_TOLD_VOID,				/* recognised by vote_seq alone */
	SIM_FAILED_OVER,
	SIM_OLD_PRIMARY_LIVED,
	SIM_CLONED,
	SIM_REQUIRED,
	SIM_UNFIT,
	SIM_OUTRUN,
	SIM_BY_LEASE,
	SIM_LEASED,
	SIM_HANDED_OVER,
	SIM_DOOMED,
	SIM_JUMPED,
	SIM_SKIPPED,
	SIM_HALTED,
	SIM_ONLINE,
	SIM_NOT_WELL,
	SIM_TAKEN_BACK,
	SIM_HAPPENINGS
} Happening;

typedef enum Bias
{
	BIAS_NONE,
	BIAS_OWN_ROWS,
	BIAS_LIVES,
	BIAS_RESTORE,
	BIAS_MEMBERS,
	BIAS_OVERTAKE,
	BIAS_HOLDER,
	BIAS_LATE,
	BIAS_FAIR,					/* not one of those that are drawn: fair.c */
	BIASES,
	BIAS_DRAWN = BIASES			/* by the seed */
} Bias;

typedef struct Options
{
	uint64_t	mistakes;
	Bias		bias;
	bool		harm_only;		/* overlook broken evidence (2 to 6): wait for what a user would notice */
	FILE	   *trace;
} Options;

typedef struct Chaos
{
	double		loss;
	double		repeat;
	double		learn_loss;		/* of what is pushed; heartbeats fetch it later */
	double		fetch_loss;		/* of what heartbeats fetch */
	double		answer_loss;	/* of answers to an accept */
	double		slow_links;		/* share of links, each way, whose answers to a prepare are held up ... */
	double		slow_answers;	/* ... now and then: this share of them, */
	int64_t		slow_answer;	/* for so long */
	int64_t		unfit_every;	/* 0 = never: a server that may not vote for a moment */
	int64_t		unfit_length;
	double		thrifty;		/* who asks no more voters than it needs, at first */
	double		crash_at_point;	/* at each named point */
	double		coordinator_kill;
	double		client_cancel;
	double		client_rollback;
	double		required;		/* a policy that waits for one voter besides a majority */
	double		forget;			/* an open transaction */
	double		online;			/* share of changes that are online entries */
	double		poison;			/* share of changes that some regions cannot apply */
	double		take_back;
	double		depends;		/* share of changes that need what an earlier one made in another relation */
	double		late_failure;	/* after the final check, before the commit record */
	int64_t		delay;			/* mean, one way */
	int64_t		flush;
	int64_t		slow_disk;		/* of the first server; 0: it has one like everybody */
	int64_t		statements;
	int64_t		think;
	int64_t		crash_every;	/* 0 = never */
	int64_t		cut_every;
	int64_t		cut_length;
	double		one_link;		/* cuts of one link, not of sides */
	double		one_way;
	int64_t		pause_every;
	int64_t		jump_every;		/* of wall clocks */
	int64_t		lease;			/* duration; 0: none are wanted */
	int64_t		lose_every;		/* lost state */
	int64_t		backup_every;
	double		fail_over;		/* ... by a promotion, not a restore */
	double		old_primary_lives;
	double		clone;			/* ... by a copy that runs beside its original */
	int64_t		operate_every;	/* changes of the members */
	bool		calm;			/* no fault at all in this schedule */
} Chaos;

/* schedules in which everybody always wants something */
typedef struct Fair
{
	bool		going;
	bool		over;
	int			passed[MAX_SERVERS];	/* changes of others while this one waits */
	int64_t		since[MAX_SERVERS];
	int			changes[MAX_SERVERS];
	int			again;			/* told that nothing happened, and tried again */
	int			most;
	int64_t		longest;
} Fair;

struct World
{
	uint64_t	seed;
	uint64_t	random;
	uint64_t	mistakes;
	int64_t		now;
	uint64_t	seq;
	int64_t		steps;
	int64_t		next_session;
	bool		healing;		/* no more faults, no new clients */

	int			places;
	int			n;				/* servers */
	Region		region[MAX_SERVERS];
	int			at[MAX_PLACES];	/* server that has the place now */
	bool		cut[MAX_SERVERS][MAX_SERVERS];	/* [from][to] */
	bool		slow[MAX_SERVERS][MAX_SERVERS];	/* answers to a prepare are held up */
	bool		hidden[MAX_SERVERS][MAX_SERVERS];	/* never heard of: the old primary and who has not heard of the new */
	bool		wants_vote[MAX_PLACES];	/* an observer there asks to be promoted */
	bool		some_old_primary;	/* or some copy: at most one lives on at a time */
	bool		shared_address;	/* ... and it is a copy at its original's address */
	int64_t		last_server;
	uint64_t	latest_wall;	/* the latest time that any wall clock has shown, in ms */
	int			fencing;		/* server that was rolled back without a trace and is not recognised yet, or -1 */
	Bias		bias;
	Chaos		chaos;
	Fair		fair;
	int64_t		times[SIM_HAPPENINGS];	/* how often the interesting things happened */

	int			n_attempts;		/* entry number = index; 0 unused */
	Attempt    *attempt[MAX_ENTRIES];

	/* agreement as seen from above */
	int64_t		given[MAX_PLACES][MAX_INCARNATION + 2];	/* votes of each incarnation: the highest vote_seq */
	int			chosen[MAX_VERSION + 2];
	uint64_t	schema[MAX_VERSION + 2][RELATIONS];
	bool		finished[MAX_VERSION + 2];	/* online entries that have a result */
	uint32_t	done[MAX_VERSION + 2][MAX_PLACES];	/* which incarnations have told that their share is done */
	int			n_acceptances;
	int			max_acceptances;
	Acceptance *acceptances;
	int			n_promises;
	int			max_promises;
	Promise    *promises;
	int			n_counted;
	int			max_counted;
	CountedVote *counted;

	int			n_events;
	int			max_events;
	Event	  **events;
	int			n_memory;
	int			max_memory;
	void	  **memory;

	FILE	   *trace;
	int			violated;		/* number of the invariant, 0 = none */
	bool		harm_only;
	char		violation[300];
};

/* world.c */
extern uint64_t sim_random(World *w);
extern int64_t sim_below(World *w, int64_t n);
extern bool sim_chance(World *w, double p);
extern int64_t sim_about(World *w, int64_t mean);
extern int64_t sim_flush_time(World *w, int region);
extern void *sim_alloc(World *w, size_t size);
extern void sim_free_all(World *w);
extern void sim_post(World *w, int region, int64_t delay, EventFn fn, void *p);
extern void sim_post_process(World *w, int region, int64_t delay, EventFn fn, void *p);
extern void sim_post_coordinator(World *w, int region, int64_t delay, EventFn fn, void *p);
extern bool sim_step(World *w);
extern void sim_wake_paused(World *w);
extern void sim_lock(World *w, int region, Lock *lock, int64_t session, int64_t timeout, EventFn got, EventFn late, void *p);
extern void sim_unlock(World *w, int region, Lock *lock, int64_t session);
extern void sim_say(World *w, int region, const char *format,...) __attribute__((format(printf, 3, 4)));
extern const char *sim_ballot(const World *w, const SdBallot *ballot);
extern const char *sim_entry(const World *w, int entry);

/* tables.c */
extern SdEntryRef sim_entry_ref(int entry);
extern int	sim_entry_number(const SdEntryRef *ref);
extern SdChain sim_chain(uint64_t chain);
extern uint64_t sim_next_chain(uint64_t chain, int entry);
extern int	sim_new_entry(World *w, int region, bool noop);
extern void sim_view(World *w, int region, int64_t version, SdAcceptorView *view);
extern void sim_store_promise(World *w, int region, const SdBallot *ballot);
extern void sim_store_accepted(World *w, int region, int64_t version, const SdBallot *ballot, int entry);
extern void sim_store_log(World *w, int region, int64_t version, int entry);
extern void sim_store_applied(World *w, int region, int64_t version, int entry, bool skip);
extern void sim_commit(World *w, int region);
extern void sim_lose_memory(World *w, int region);

/* invariants.c */
extern void sim_violation(World *w, int invariant, const char *format,...) __attribute__((format(printf, 3, 4)));
extern void sim_note_sent(World *w, int region, int64_t version, const SdBallot *ballot, int entry);
extern void sim_note_vote(World *w, int region);
extern void sim_note_promise(World *w, int region, const SdBallot *ballot);
extern bool sim_lacks_votes(const World *w, int region);
extern void sim_note_accepted(World *w, int region, int64_t version, const SdBallot *ballot, int entry);
extern void sim_note_unflushed(World *w, int region, int64_t version, const SdBallot *ballot);
extern void sim_note_log(World *w, int region, int64_t version, int entry);
extern void sim_check_counted(World *w, int region);
extern void sim_count_vote(World *w, int region, int32_t incarnation, bool accept, int64_t version,
						   const SdBallot *ballot, int entry);
extern void sim_client_told(World *w, Attempt *a, ClientOutcome outcome, const char *why);
extern void sim_client_asked(World *w, Attempt *a, Answer answer);
extern bool sim_all_equal(World *w, char *why, size_t size);

/* members.c */
extern const Members *sim_members(World *w, int region, int64_t version);
extern const Members *sim_true_members(World *w, int64_t version);
extern int64_t sim_true_head(World *w);
extern const SdMember *sim_member(const Members *m, int place);
extern bool sim_takes_part(World *w, int region);
extern Members *sim_build_members(World *w, const Attempt *a);
extern bool sim_quorum_remains(World *w, int lost_place);
extern bool sim_members_pending(World *w);
extern void sim_asked(World *w, int region, const Call *call);
extern void sim_ask_around(World *w, int region, void *p);
extern void sim_operate(World *w, int region, void *p);

/* identity.c */
extern bool sim_identity_valid(World *w, int region);
extern void sim_identity_start(World *w, int region);
extern void sim_told(World *w, int region, int from_place, const Remembered *remembered);
extern void sim_remember(World *w, int region, int place, int32_t incarnation, int64_t vote_seq);
extern void sim_become_void(World *w, int region, const char *why);
extern void sim_adopt(World *w, int region, int64_t version, const Members *m);
extern bool sim_is_contradicted(World *w, int region, const Tables *older);

/* calls.c */
extern int	sim_resolve(const World *w, int from, int place);
extern Call *sim_call(World *w, int from, int to_place, CallKind kind);
extern void sim_send(World *w, Call *call);
extern bool sim_crash_point(World *w, int region, const char *where);

/* coordinator.c */
extern void sim_coordinator_start(World *w, int region);
extern void sim_coordinator_kill(World *w, int region);
extern void sim_coordinator_answer(World *w, Call *call, SdVoterStatus failure);
extern void sim_coordinator_change(World *w, int region, Attempt *a, int64_t version);
extern void sim_coordinator_propose(World *w, int region, Attempt *a);
extern void sim_coordinator_own_vote(World *w, int region, Attempt *a, SdOwnVote what);
extern void sim_coordinator_close(World *w, int region, Attempt *a);
extern void sim_coordinator_learned(World *w, int region, int64_t version, int entry);
extern void sim_coordinator_settle(World *w, int region);

/* backend.c */
extern void sim_client_begin(World *w, Attempt *a);
extern Attempt *sim_client_start(World *w, int region, bool retry);
extern Attempt *sim_member_change_start(World *w, int region, MemberChange change, int target, uint64_t life,
										int32_t incarnation);
extern void sim_backend_hurry(World *w, int region);
extern void sim_backend_granted(World *w, Attempt *a);
extern void sim_backend_ready(World *w, Attempt *a, const SdBallot *ballot, bool chosen);
extern void sim_backend_done(World *w, Attempt *a, SdOutcome outcome);
extern void sim_backend_coordinator_gone(World *w, int region);
extern void sim_backend_processes_gone(World *w, int region);
extern void sim_client_cancel(World *w, Attempt *a);
extern void sim_applier_wake(World *w, int region);

/* clock.c */
extern int64_t sim_clock(const World *w, int region);
extern void sim_hlc_label(World *w, int region, Attempt *a);
extern void sim_hlc_heard(World *w, int region, SdHlc heard);
extern void sim_check_hlc(World *w, int64_t version, int entry);
extern void sim_jump_clocks(World *w, int region, void *p);

/* schema.c */
extern int64_t sim_result_of(World *w, const Tables *t, int64_t version);
extern void sim_work_draw(World *w, Attempt *a);
extern void sim_take_back_start(World *w, int region, int64_t version);
extern bool sim_take_back_here(const Region *r, const Attempt *a);
extern bool sim_work_build(World *w, Attempt *a);
extern Applying sim_work_look(World *w, int region, int64_t version);
extern void sim_work_apply(World *w, int region, int64_t version, bool skip);
extern void sim_note_schema(World *w, int64_t version, int entry);
extern void sim_check_schema(World *w, int region, int64_t version);
extern void sim_look_after(World *w, int region, void *p);

/* online.c */
extern void sim_result_start(World *w, int region, int64_t version, Result result);
extern bool sim_result_build(World *w, Attempt *a);
extern bool sim_result_may_apply(World *w, int region, int64_t version);
extern int64_t sim_open_task(const Tables *t);
extern void sim_online_look(World *w, int region, void *p);
extern void sim_note_reported(World *w, int region);
extern void sim_check_online(World *w, int64_t version, int entry);
extern void sim_check_task(World *w, int region, int64_t version);

/* lease.c */
extern bool sim_lease_forbids(World *w, int region, Call *call);
extern void sim_lease_grant(World *w, int region, const Call *call);
extern void sim_lease_renew(World *w, int region, Call *call);
extern const SdKept *sim_lease_take(World *w, int region, const SdConfig *config, int64_t version);
extern void sim_lease_granted(World *w, const Call *call, const SdBallot *ballot);
extern void sim_lease_end(World *w, int region);
extern void sim_lease_want(World *w, int region, Call *call);
extern void sim_lease_blocked(World *w, int region);
extern void sim_lease_unblocked(World *w, int region);
extern bool sim_lease_may_try(World *w, Attempt *a, const SdConfig *config);
extern void sim_lease_gave_up(World *w, int region);
extern void sim_lease_told(World *w, const Call *call);
extern void sim_handover_asked(World *w, int region, Call *call);
extern void sim_handover_answered(World *w, const Call *call);
extern void sim_lease_forget(World *w, int region);

/* faults.c */
extern void sim_crash(World *w, int region, const char *why);
extern void sim_restart(World *w, int region, void *p);
extern void sim_faults_start(World *w);
extern void sim_heal(World *w);
extern void sim_wipe(World *w, int place);
extern void sim_keep_copies(World *w, int region);

/* fair.c */
extern void sim_fair_start(World *w);
extern void sim_fair_told(World *w, const Attempt *a);
extern bool sim_fair_is_over(World *w);
extern int	sim_fair_rounds(const World *w);

/* chaos.c */
extern const char *const sim_bias_names[BIASES];
extern void sim_choose_chaos(World *w, Bias bias);
extern const char *sim_choose_shape(World *w);

/* schedule.c */
extern void sim_serve(World *w, int region);
extern bool sim_run(World *w, uint64_t seed, const Options *options);

/* report.c */
extern int	sim_report(uint64_t first_seed, int64_t steps, bool only, bool harm);
extern void sim_report_mistake(const char *name, Options *options, bool biased);
extern int	sim_report_one(uint64_t seed, const Options *options);
extern int	sim_report_hunt(const char *name, uint64_t first_seed, const Options *options);

#endif							/* SD_SIM_H */
