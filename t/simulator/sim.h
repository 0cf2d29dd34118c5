/*
 * sim.h: the deterministic simulator's world.
 *
 * One seed decides everything: delays, losses, repeats, crashes, pauses, cuts, what clients do.  The consensus
 * code under test is the very object files of src/consensus; what is simulated here is the rest of a server:
 * tables with a flush, row locks, the DDL lock, backends, a coordinator, an applier, a network.
 *
 * Files: world.c (time, events, locks, trace), tables.c (what is stored, and the invariants), calls.c (network and
 * acceptor), coordinator.c, backend.c (clients' transactions, applier), schedule.c (faults, one whole schedule),
 * main.c (arguments, the table of mistakes).
 */
#ifndef SD_SIM_H
#define SD_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "consensus/acceptor.h"
#include "consensus/ballot.h"
#include "consensus/membership.h"
#include "consensus/mistakes.h"
#include "consensus/proposer.h"

#define MS				INT64_C(1000)
#define SECOND			INT64_C(1000000)

#define MAX_REGIONS		6
#define MAX_VERSION		140
#define MAX_ENTRIES		500
#define MAX_ROWS		16			/* log rows carried by one message */
#define MAX_REPORTS		8

/* the server's settings, as far as they matter here */
#define QUORUM_TIMEOUT	(5 * SECOND)
#define CALL_TIMEOUT	(1500 * MS)
#define LOCK_TIMEOUT	(1000 * MS)
#define HEARTBEAT		(1 * SECOND)
#define SETTLE_AFTER	(1 * SECOND)	/* how long an accepted, unlearned entry is left to its proposer */
#define HEAL_BOUND		(32 * SECOND)	/* invariant 12: 3 x lease_duration + 2 s */

/* mistakes in the server around the core; those of the core are in consensus/mistakes.h */
#define SIM_MISTAKE_ACK_EARLY		(1u << 16)
#define SIM_MISTAKE_SELF_FIRST		(1u << 17)
#define SIM_MISTAKE_SELF_READ		(1u << 18)
#define SIM_MISTAKE_ASYNC_COMMIT	(1u << 19)
#define SIM_MISTAKE_NO_CAS			(1u << 20)
#define SIM_MISTAKE_PREP_ONE		(1u << 21)

#define SIM_MISTAKE(name) ((w->mistakes & SIM_MISTAKE_##name) != 0)

typedef struct World World;
typedef struct Event Event;
typedef struct Region Region;
typedef struct Attempt Attempt;

typedef void (*EventFn) (World *w, int region, void *p);

struct Event
{
	int64_t		time;
	uint64_t	seq;			/* ties are broken by age: the order is total */
	int			region;
	int			boot;			/* process lives this event belongs to; -1: any */
	int			life;			/* same for the coordinator */
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

typedef struct Tables
{
	SdBallot	promised;
	int64_t		vote_seq;
	int64_t		head;
	int			log[MAX_VERSION + 1];	/* entry numbers; [0] unused */
	uint64_t	chain[MAX_VERSION + 1];
	Accepted	accepted[MAX_VERSION + 2];
	int64_t		applied;
	int			n_executed;		/* the schema: which entries ran here, in order */
	int			executed[2 * MAX_VERSION];
	int64_t		round_seq;		/* a sequence, for BALLOT_REUSE */
} Tables;

typedef struct Settle
{
	bool		active;
	int			serial;
	int64_t		not_before;
	SdProposer	machine;
} Settle;

struct Region
{
	char		name[SD_NAME_SIZE];
	SdRole		role;

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

	/* coordinator */
	int			life;
	int64_t		max_round;
	Attempt    *changing;		/* whose change the machine below is */
	int			change_serial;
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
	AttemptState state;
	ClientOutcome outcome;
	Answer		answer;			/* of outcome(entry), once it was asked */
	int64_t		started;
	int64_t		ended;
	int64_t		deadline;
	int64_t		session;
	int			serial;			/* of the machine that works for it */
	int64_t		version;
	int64_t		wait_for;		/* version that went to another: not before it is in the log here */
	SdBallot	ballot;
	bool		chosen;
	bool		holds_rows;
	int64_t		in_log_at;		/* 0 = in nobody's log */
	bool		retry;			/* one of the changes after everything is well: tried again until it succeeds */
};

/* ---------- calls between regions (and to the own acceptor) ---------- */

typedef enum CallKind
{
	CALL_PREPARE,
	CALL_ACCEPT,
	CALL_LEARN,
	CALL_EXCHANGE				/* heartbeat and fetch: read-only */
} CallKind;

typedef struct Call
{
	CallKind	kind;
	int			from;
	int			to;
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
} Call;

/* ---------- evidence ---------- */

typedef struct Acceptance
{
	int64_t		version;
	SdBallot	ballot;
	int			entry;
	unsigned	regions;		/* bit mask */
} Acceptance;

typedef struct CountedVote
{
	int			region;
	bool		accept;
	int64_t		version;
	SdBallot	ballot;
	int			entry;
} CountedVote;

typedef struct Chaos
{
	double		loss;
	double		repeat;
	double		crash_at_point;	/* at each named point */
	double		coordinator_kill;
	double		client_cancel;
	double		client_rollback;
	double		late_failure;	/* after the final check, before the commit record */
	int64_t		delay;			/* mean, one way */
	int64_t		flush;
	int64_t		statements;
	int64_t		think;
	int64_t		crash_every;	/* 0 = never */
	int64_t		cut_every;
	int64_t		pause_every;
	bool		calm;			/* no fault at all in this schedule */
} Chaos;

struct World
{
	uint64_t	seed;
	uint64_t	random;
	uint32_t	mistakes;
	int64_t		now;
	uint64_t	seq;
	int64_t		steps;
	int64_t		next_session;
	bool		healing;		/* no more faults, no new clients */

	SdConfig	config;
	int			n;
	Region		region[MAX_REGIONS];
	bool		cut[MAX_REGIONS][MAX_REGIONS];	/* [from][to] */
	Chaos		chaos;

	int			n_attempts;		/* entry number = index; 0 unused */
	Attempt    *attempt[MAX_ENTRIES];

	/* agreement as seen from above */
	int			chosen[MAX_VERSION + 2];
	int			n_acceptances;
	int			max_acceptances;
	Acceptance *acceptances;
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
	bool		harm_only;		/* overlook broken evidence (2 to 5): wait for what a user would notice */
	char		violation[300];
};

/* world.c */
extern uint64_t sim_random(World *w);
extern int64_t sim_below(World *w, int64_t n);
extern bool sim_chance(World *w, double p);
extern int64_t sim_about(World *w, int64_t mean);
extern void *sim_alloc(World *w, size_t size);
extern void sim_free_all(World *w);
extern void sim_post(World *w, int region, int64_t delay, EventFn fn, void *p);
extern void sim_post_process(World *w, int region, int64_t delay, EventFn fn, void *p);
extern void sim_post_coordinator(World *w, int region, int64_t delay, EventFn fn, void *p);
extern bool sim_step(World *w);
extern void sim_lock(World *w, int region, Lock *lock, int64_t session, int64_t timeout, EventFn got, EventFn late, void *p);
extern void sim_unlock(World *w, int region, Lock *lock, int64_t session);
extern void sim_say(World *w, int region, const char *format,...) __attribute__((format(printf, 3, 4)));
extern const char *sim_ballot(const World *w, const SdBallot *ballot);
extern const char *sim_entry(const World *w, int entry);

/* tables.c */
extern void sim_violation(World *w, int invariant, const char *format,...) __attribute__((format(printf, 3, 4)));
extern SdEntryRef sim_entry_ref(int entry);
extern int	sim_entry_number(const SdEntryRef *ref);
extern SdChain sim_chain(uint64_t chain);
extern uint64_t sim_next_chain(uint64_t chain, int entry);
extern int	sim_new_entry(World *w, int region, bool noop);
extern void sim_view(World *w, int region, int64_t version, SdAcceptorView *view);
extern void sim_store_promise(World *w, int region, const SdBallot *ballot);
extern void sim_store_accepted(World *w, int region, int64_t version, const SdBallot *ballot, int entry);
extern void sim_store_log(World *w, int region, int64_t version, int entry);
extern void sim_store_applied(World *w, int region, int64_t version, int entry);
extern void sim_commit(World *w, int region);
extern void sim_lose_memory(World *w, int region);
extern void sim_count_vote(World *w, int region, bool accept, int64_t version, const SdBallot *ballot, int entry);
extern void sim_note_sent(World *w, int region, int64_t version, const SdBallot *ballot, int entry);
extern void sim_client_told(World *w, Attempt *a, ClientOutcome outcome, const char *why);
extern void sim_client_asked(World *w, Attempt *a, Answer answer);
extern bool sim_all_equal(World *w, char *why, size_t size);

/* calls.c */
extern Call *sim_call(World *w, int from, int to, CallKind kind);
extern void sim_send(World *w, Call *call);
extern bool sim_crash_point(World *w, int region, const char *where);

/* coordinator.c */
extern void sim_coordinator_start(World *w, int region);
extern void sim_coordinator_kill(World *w, int region);
extern void sim_coordinator_answer(World *w, Call *call, SdVoterStatus failure);
extern void sim_coordinator_change(World *w, int region, Attempt *a);
extern void sim_coordinator_propose(World *w, int region, Attempt *a);
extern void sim_coordinator_own_vote(World *w, int region, Attempt *a, SdOwnVote what);
extern void sim_coordinator_close(World *w, int region, Attempt *a);
extern void sim_coordinator_learned(World *w, int region, int64_t version, int entry);
extern void sim_coordinator_settle(World *w, int region);

/* backend.c */
extern Attempt *sim_client_start(World *w, int region, bool retry);
extern void sim_backend_granted(World *w, Attempt *a);
extern void sim_backend_ready(World *w, Attempt *a, const SdBallot *ballot, bool chosen);
extern void sim_backend_done(World *w, Attempt *a, SdOutcome outcome);
extern void sim_backend_coordinator_gone(World *w, int region);
extern void sim_backend_processes_gone(World *w, int region);
extern void sim_client_cancel(World *w, Attempt *a);
extern void sim_applier_wake(World *w, int region);

/* schedule.c */
extern void sim_crash(World *w, int region, const char *why);
extern bool sim_run(World *w, uint64_t seed, uint32_t mistakes, bool harm_only, FILE *trace);

#endif							/* SD_SIM_H */
