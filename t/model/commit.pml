/*
 * commit.pml: one version of the log, three acceptors, three ballots, checked exhaustively.
 *
 * What it models: "Committing a change" with the origin's commit record as its own, last vote; refusals, new
 * ballots and repeats of accepts; what the client may be told; settlements by anybody, with both phases on all
 * voters.  Each ballot belongs to one session of one region, begun in any order and left at any point.
 *
 * How faults appear: a message is a bit that stays set until somebody takes it, or for ever, so delay, reordering
 * and loss are choices of order.  A crash of a proposer is a session that takes no further step.  A crash of an
 * acceptor loses nothing, because its answer exists only once its transaction is committed; so it is no step.
 * An accept is executed at most once a copy (one statement on one connection); copies are repeated explicitly.
 *
 * Three things keep the state small, and lose nothing:
 * - A copy that is still unread at an acceptor with a higher promise can only be refused, so "refused" is that,
 *   and no step.  A copy that never left its sender is one that is unread when that is found out; it is taken
 *   back then.
 * - Left out is what only takes behaviour away: acceptors that know the version's entry and vote no more, and
 *   prepares that arrive when their session is further already.
 * - What no rule reads any more is set back to zero.
 *
 * Safety only.  The deliberate mistakes are -D switches: see t/model/check.
 */
#define NB		3				/* ballots 1 .. 3 */
#define IX(b,a)	((b) * 3 + (a))
#define NOOP(b)	(NB + (b))		/* values: 1 .. NB entries of changes, then a noop a ballot, then entries of re-used ballots */
#define AGAIN(b) (2 * NB + (b))

/* sessions */
#define IDLE		0
#define PREPARING	1
#define ACCEPTING	2
#define LEFT		3

/* copies of an accept */
#define NOT_SENT	0
#define SENT		1			/* unread */
#define ACCEPTED	2

/* what clients were told */
#define NOTHING		0
#define SUCCESS		1
#define DEFINITE	2			/* "nothing happened" */
#define GONE		3			/* nobody is left to be told */

byte promised[3];				/* acceptors: durable */
byte acc_ballot[3];
byte acc_value[3];

byte state[4];					/* sessions, by ballot */
byte owner[4];					/* its region */
byte entry[4];					/* the change it works for, 0 in a settlement */
byte value[4];					/* what the ballot is spent on */
byte report_ballot[12];			/* promise of acceptor a to ballot b: 0 = none, else 1 + the accepted ballot it reports */
byte report_value[12];
byte first[12];					/* first copy of accept b to a */
byte again[12];					/* its repeat, sent after the first was given up as unanswered */
byte told[10];					/* by entry */

byte announced;					/* what somebody, a client or a region, was told is chosen */
byte decided;					/* seen from above: accepted at one ballot by a majority */
byte vote[12];					/* seen from above: value accepted at (b, a) */

/* ---------- what must hold ---------- */

#define VOTES(b,v)	((vote[IX(b,0)] == v) + (vote[IX(b,1)] == v) + (vote[IX(b,2)] == v))

inline note_vote(b, a, v)
{
	vote[IX(b, a)] = v;
	if
	:: VOTES(b, v) >= 2 ->
		/* 1: one entry per version, everywhere, for ever */
		assert(decided == 0 || decided == v);
		assert(announced == 0 || announced == v);
		/* 8: "nothing happened" => never in the log */
		assert(told[v] != DEFINITE);
		decided = v
	:: else
	fi
}

inline announce(v)
{
	assert(decided == 0 || decided == v);
	assert(announced == 0 || announced == v);
	assert(told[v] != DEFINITE);
	announced = v
}

#define OTHERS_ALL(b,T)	((owner[b] == 0 || T(b,0)) && (owner[b] == 1 || T(b,1)) && (owner[b] == 2 || T(b,2)))
#define OTHERS_ANY(b,T)	((owner[b] != 0 && T(b,0)) || (owner[b] != 1 && T(b,1)) || (owner[b] != 2 && T(b,2)))
#define OWN_PHASE_2(b)	(state[b] == ACCEPTING && value[b] == entry[b])

/* ---------- sessions begin ---------- */

#define BEGIN(b) \
	:: d_step { state[b] == IDLE -> state[b] = PREPARING }						/* a settlement */ \
	:: d_step { state[b] == IDLE -> state[b] = PREPARING; entry[b] = b }		/* a change */

#define REFUSED(c,b,a)		(c[IX(b,a)] == SENT && promised[a] > b)
#define LAST_REFUSED(b,a)	(REFUSED(again,b,a) || (again[IX(b,a)] == NOT_SENT && REFUSED(first,b,a)))
#define UNREAD(b,a)			(again[IX(b,a)] == NOT_SENT && first[IX(b,a)] != ACCEPTED)	/* refused, or never sent */
#define LAST_HARMLESS(b,a)	(LAST_REFUSED(b,a) || UNREAD(b,a))
#define TAKE_BACK(b,a)		if :: value[b] == entry[b] && UNREAD(b,a) -> first[IX(b,a)] = NOT_SENT :: else fi
#define FORGET_REPORTS(b)	report_ballot[IX(b,0)] = 0; report_ballot[IX(b,1)] = 0; report_ballot[IX(b,2)] = 0; \
	report_value[IX(b,0)] = 0; report_value[IX(b,1)] = 0; report_value[IX(b,2)] = 0

/*
 * "Preempted, and every accept of the old ballot answered refused -> a new ballot and phase 1 again"; also when
 * nothing of the attempt's own was sent at the old ballot.
 */
#define MAY_MOVE_ON(b)	(state[b] == PREPARING || (state[b] == ACCEPTING && value[b] != entry[b]) || \
	(OWN_PHASE_2(b) && OTHERS_ALL(b,LAST_HARMLESS) && OTHERS_ANY(b,LAST_REFUSED)))

#define MOVE_ON(b,old) \
	:: d_step { state[b] == IDLE && owner[b] == owner[old] && entry[old] != 0 && entry[old] <= NB && \
		told[entry[old]] == NOTHING && MAY_MOVE_ON(old) -> \
		state[b] = PREPARING; entry[b] = entry[old]; state[old] = LEFT; FORGET_REPORTS(old); \
		TAKE_BACK(old,0); TAKE_BACK(old,1); TAKE_BACK(old,2) }

/* ---------- that the interesting things happen at all: each must be found ---------- */

#if defined(REACH_SECOND_BALLOT)		/* a change succeeds at its second ballot, having sent its entry at both */
#define REACHED_COMMIT(b)	assert(!(b == 2 && entry[2] == 1 && value[1] == 1))
#define REACHED_SAY(e)		skip
#define REACHED_SETTLED(b)	skip
#elif defined(REACH_DEFINITE)			/* a client is told "nothing happened" after two ballots' accepts */
#define REACHED_COMMIT(b)	skip
#define REACHED_SAY(e)		assert(!(WAS_SENT(1,e) && WAS_SENT(2,e)))
#define REACHED_SETTLED(b)	skip
#elif defined(REACH_SETTLED_CHANGE)		/* somebody else finishes a change */
#define REACHED_COMMIT(b)	skip
#define REACHED_SAY(e)		skip
#define REACHED_SETTLED(b)	assert(!(value[b] <= NB && owner[b] != owner[value[b]]))
#elif defined(REACH_REPEAT)				/* a change succeeds by the acceptance of a repeat alone */
#define REACHED_COMMIT(b)	assert(!(b == 1 && !OTHERS_ANY(b,FIRST_ACKED)))
#define REACHED_SAY(e)		skip
#define REACHED_SETTLED(b)	skip
#else
#define REACHED_COMMIT(b)	skip
#define REACHED_SAY(e)		skip
#define REACHED_SETTLED(b)	skip
#endif
#define FIRST_ACKED(b,a)	(first[IX(b,a)] == ACCEPTED)

/* ---------- phase 1 ---------- */

#ifdef SELF_READ				/* the own promise is only read, in the transaction's snapshot */
#define RAISES_PROMISE(b,a) (entry[b] == 0 || owner[b] != a)
#else
#define RAISES_PROMISE(b,a) true
#endif

#define PROMISE(b,a) \
	:: d_step { state[b] == PREPARING && report_ballot[IX(b,a)] == 0 && promised[a] <= b -> \
		if :: RAISES_PROMISE(b,a) -> promised[a] = b :: else fi; \
		report_ballot[IX(b,a)] = 1 + acc_ballot[a]; report_value[IX(b,a)] = acc_value[a] }

/* x's report is the highest of the majority {x, y}; what three report, some two of them report */
#define GRANTED(b,x,y) (state[b] == PREPARING && report_ballot[IX(b,x)] != 0 && report_ballot[IX(b,y)] != 0 && \
	report_ballot[IX(b,x)] >= report_ballot[IX(b,y)])

/* own change: to the others; another's entry, or a noop: to all */
#define PROPOSE(b,x,y) \
	:: d_step { GRANTED(b,x,y) -> \
		if :: report_ballot[IX(b,x)] > 1 -> value[b] = report_value[IX(b,x)] \
		:: report_ballot[IX(b,x)] == 1 && entry[b] != 0 -> value[b] = entry[b] \
		:: report_ballot[IX(b,x)] == 1 && entry[b] == 0 -> value[b] = NOOP(b) fi; \
		state[b] = ACCEPTING; FORGET_REPORTS(b); \
		if :: value[b] != entry[b] || owner[b] != 0 -> first[IX(b,0)] = SENT :: else fi; \
		if :: value[b] != entry[b] || owner[b] != 1 -> first[IX(b,1)] = SENT :: else fi; \
		if :: value[b] != entry[b] || owner[b] != 2 -> first[IX(b,2)] = SENT :: else fi }

/* ---------- phase 2 at the acceptors ---------- */

/* (a ballot seen with another value: alarm, no vote) */
#define CAN_ACCEPT(b,a)	(promised[a] <= b && !(acc_ballot[a] == b && acc_value[a] != value[b]))

#define ACCEPT(c,b,a) \
	:: d_step { c[IX(b,a)] == SENT && CAN_ACCEPT(b,a) -> \
		c[IX(b,a)] = ACCEPTED; promised[a] = b; acc_ballot[a] = b; acc_value[a] = value[b]; note_vote(b, a, value[b]) }

#ifdef ACK_EARLY				/* answered, then killed before the commit */
#define ACCEPT_EARLY(b,a) \
	:: d_step { first[IX(b,a)] == SENT && CAN_ACCEPT(b,a) -> first[IX(b,a)] = ACCEPTED }
#else
#define ACCEPT_EARLY(b,a)
#endif

/* the answer to the first copy did not come: another one; whatever the first came to is never heard */
#define REPEAT(b,a) \
	:: d_step { OWN_PHASE_2(b) && told[entry[b]] == NOTHING && first[IX(b,a)] != NOT_SENT && again[IX(b,a)] == NOT_SENT -> \
		again[IX(b,a)] = SENT }

#ifdef NO_REPEATS
#define REPEATS
#else
#define REPEATS REPEAT(1,0) REPEAT(1,1) REPEAT(1,2) REPEAT(2,0) REPEAT(2,1) REPEAT(2,2)	/* above 3 nothing can preempt */
#endif

/* ---------- the own vote: the commit ---------- */

#define ACKED(b,a)	(first[IX(b,a)] == ACCEPTED || again[IX(b,a)] == ACCEPTED)

#ifdef NO_SELFCHECK
#define SELF_CHECK(b) true
#else
#define SELF_CHECK(b) (promised[owner[b]] <= b)
#endif

#define COMMIT(b) \
	:: d_step { OWN_PHASE_2(b) && told[entry[b]] == NOTHING && OTHERS_ANY(b,ACKED) && SELF_CHECK(b) -> \
		REACHED_COMMIT(b); \
		promised[owner[b]] = b; acc_ballot[owner[b]] = b; acc_value[owner[b]] = value[b]; \
		note_vote(b, owner[b], value[b]); announce(value[b]); told[entry[b]] = SUCCESS; CLOSE(value[b]) } \
	ANNOUNCE(b)

#ifdef ANNOUNCE_FIRST
#define ANNOUNCE(b) :: d_step { OWN_PHASE_2(b) && OTHERS_ANY(b,ACKED) && announced == 0 -> announce(value[b]) }
#else
#define ANNOUNCE(b)
#endif

/* a settlement's majority */
#define SETTLED(b) \
	:: d_step { state[b] == ACCEPTING && value[b] != entry[b] && announced == 0 && \
		(ACKED(b,0) + ACKED(b,1) + ACKED(b,2)) >= 2 -> REACHED_SETTLED(b); announce(value[b]) }

/* ---------- what the client may be told ---------- */

#ifdef REF_RETRY				/* a refused repeat is taken for a refusal */
#define HARMLESS(b,a)	(UNREAD(b,a) || REFUSED(again,b,a))
#else
#define HARMLESS(b,a)	UNREAD(b,a)
#endif

#define WAS_SENT(b,e)	(entry[b] == e && value[b] == e)
#ifdef REF_LAST					/* only the last ballot is looked at */
#define BALLOT_HARMLESS(b,e)	(!WAS_SENT(b,e) || state[b] == LEFT || OTHERS_ALL(b,HARMLESS))
#else
#define BALLOT_HARMLESS(b,e)	(!WAS_SENT(b,e) || OTHERS_ALL(b,HARMLESS))
#endif

/* "at every ballot under which this entry was ever sent, every other voter's first answer was a refusal" */
#define ALL_REFUSED(e)	(BALLOT_HARMLESS(1,e) && BALLOT_HARMLESS(2,e) && BALLOT_HARMLESS(3,e))

/* two refusals of three, the own acceptor's among them */
#define TWO_REFUSE(b,e)	(WAS_SENT(b,e) && state[b] == ACCEPTING && \
	((REFUSED(first,b,0) + REFUSED(first,b,1) + REFUSED(first,b,2) + (promised[owner[b]] > b)) >= 2))

#if defined(LIE_ABORT)
#define MAY_SAY_NOTHING_HAPPENED(e) true
#elif defined(REF_MAJ)
#define MAY_SAY_NOTHING_HAPPENED(e) (ALL_REFUSED(e) || TWO_REFUSE(1,e) || TWO_REFUSE(2,e) || TWO_REFUSE(3,e))
#else
#define MAY_SAY_NOTHING_HAPPENED(e) ALL_REFUSED(e)
#endif

/* unread copies are refused or were never sent: where that is the reason, nobody ever reads them */
#define NEVER_READ(b,e)	if :: WAS_SENT(b,e) && ALL_REFUSED(e) -> TAKE_BACK(b,0); TAKE_BACK(b,1); TAKE_BACK(b,2) :: else fi

#define SAY(e) \
	:: d_step { entry[e] == e && told[e] == NOTHING && (WAS_SENT(1,e) || WAS_SENT(2,e) || WAS_SENT(3,e)) && \
		MAY_SAY_NOTHING_HAPPENED(e) -> \
		REACHED_SAY(e); assert(decided != e && announced != e); told[e] = DEFINITE; \
		NEVER_READ(1,e); NEVER_READ(2,e); NEVER_READ(3,e); CLOSE(e) }

/* the attempt is over: of its sessions only unread copies are left */
#define FORGET_COPY(c,b,a) if :: c[IX(b,a)] == ACCEPTED -> c[IX(b,a)] = NOT_SENT :: else fi
#define FORGET_COPIES(b)	FORGET_COPY(first,b,0); FORGET_COPY(first,b,1); FORGET_COPY(first,b,2); \
	FORGET_COPY(again,b,0); FORGET_COPY(again,b,1); FORGET_COPY(again,b,2)
#define LEAVE(b,e) if :: entry[b] == e -> state[b] = LEFT; FORGET_REPORTS(b); FORGET_COPIES(b) :: else fi
#define CLOSE(e) LEAVE(1,e); LEAVE(2,e); LEAVE(3,e)

/* ---------- the same ballot again, after a crash, with another entry ---------- */

#ifdef BALLOT_REUSE
#define RESEND(b,a)	if :: owner[b] != a && first[IX(b,a)] != ACCEPTED -> first[IX(b,a)] = SENT :: else -> first[IX(b,a)] = NOT_SENT fi
#define REUSE(b) \
	:: d_step { OWN_PHASE_2(b) && entry[b] == b && told[b] == NOTHING -> told[b] = GONE; \
		entry[b] = AGAIN(b); value[b] = AGAIN(b); RESEND(b,0); RESEND(b,1); RESEND(b,2) }
#else
#define REUSE(b)
#endif

/* ---------- everything that can happen ---------- */

#define AT(b,a)			PROMISE(b,a) ACCEPT(first,b,a) ACCEPT(again,b,a) ACCEPT_EARLY(b,a)
#define EACH_PAIR(b)	PROPOSE(b,0,1) PROPOSE(b,1,0) PROPOSE(b,0,2) PROPOSE(b,2,0) PROPOSE(b,1,2) PROPOSE(b,2,1)
#define BALLOT(b)		BEGIN(b) AT(b,0) AT(b,1) AT(b,2) EACH_PAIR(b) COMMIT(b) SETTLED(b) REUSE(b)

active proctype world()
{
	/* regions are alike: these are all the ways in which three ballots can belong to them */
	if
	:: owner[2] = 0; owner[3] = 0
	:: owner[2] = 0; owner[3] = 1
	:: owner[2] = 1; owner[3] = 0
	:: owner[2] = 1; owner[3] = 1
	:: owner[2] = 1; owner[3] = 2
	fi;
end:
	do
	BALLOT(1)
	BALLOT(2)
	BALLOT(3)
	REPEATS
	MOVE_ON(2,1)
	MOVE_ON(3,1)
	MOVE_ON(3,2)
	SAY(1)
	SAY(2)
	SAY(3)
	od
}
