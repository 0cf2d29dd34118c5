/*
 * lease.pml: two versions of the log, three voters, three ballots, checked exhaustively: a ballot kept over two
 * versions, a config entry between them, and a region that loses its votes.
 *
 * What it models beyond commit.pml: whoever has a majority's promises for version 1 may use them for version 2.  An
 * acceptor may hold version 2 accepted before it has learned version 1.  Other regions prepare at either version at any
 * time: a handover, a settlement, or a holder that is paused or cut off.  A region's first change fails, and the next
 * one comes.  A change goes on with its entry under a new ballot.  The own vote is the commit, the last one.
 * Version 2 is proposed only by somebody who has learned version 1.
 *
 * Any region may learn an entry as soon as it is chosen, or never.  So "chosen", as seen from above, is all of the log
 * that is kept here; whoever proposes version 2 looks at that.
 *
 * -DCONFIG	Entries of version 1 are config entries.  They make acceptor 3 the vote of region 2, in place of
 *			acceptor 2, from version 2 on: another region instead of it, or its own new incarnation.  (Nobody looks at an
 *			entry's kind before it is chosen, so this and the run without it are all mixtures, too.)
 * -DREJOIN	Besides, acceptor 3 may begin as a copy of an earlier state of acceptor 2: a backup restored, an
 *			asynchronous standby promoted.  It is void and gives no vote before the config entry is chosen and it
 *			knows that.  The old acceptor may live on, as an unfenced old primary does, or never act again.
 * -DTELL	Clients whose change was refused everywhere are told that nothing happened.
 *
 * It allows more than the code does where that is simpler; all of that must be safe, too.  -DEXACT takes it away again,
 * so that a mistake can be shown to do harm without it:
 * - A ballot is kept whatever entry it was spent on, if only the version's entry is known.  (In the code: if that is
 *   its own change's.)  A new phase 1 of the same region drops nothing.
 * - A change may go on with a new ballot at any time.  (In the code: if all others refused.)
 * - A region that knows the version's entry goes on as if it did not.  (In the code it answers "chosen".)
 *
 * Faults: an accept that was sent is taken by each acceptor at any time later, or never; sessions stop anywhere.  A crash
 * of an acceptor loses nothing, so it is no step.
 *
 * What keeps the state small, and loses nothing:
 * - Phase 2 begins with the promise that completes the majority: what may be late is its accepts.
 * - A promise that nobody counts only takes behaviour away, except for refusals, which are read with -DTELL only.
 * - An accept taken twice changes nothing, so only those that change something are steps.
 * - What can do nothing any more is forgotten.
 *
 * Safety only.  The deliberate mistakes are -D switches: see t/model/check.
 */
#ifndef NB
#define NB		3				/* ballots 1 .. NB, each of one region */
#endif
#define IX(s,b)	(((s) - 1) * (NB + 1) + (b))		/* by version and ballot, or version and change */
#define AT(s,a)	(((s) - 1) * 4 + (a))				/* by version and acceptor */

/* values, for each version: 1 .. NB entries of changes, then a noop a ballot, then second entries of a ballot */
#define NOOP(b)		(NB + (b))
#define AGAIN(b)	(2 * NB + (b))

#ifdef REJOIN
#define CONFIG
#endif

/* sessions, by ballot */
#define IDLE		0
#define PREPARING	1			/* one promise is counted */
#define ACCEPTING	2
#define LEFT		3			/* nobody works at it; its accepts may still be under way */

byte promised[4];				/* acceptors: durable */
byte acc_ballot[8];
byte acc_value[8];

byte state[NB + 1];
byte owner[NB + 1];				/* its region */
byte version[NB + 1];			/* which it works at */
byte entry[NB + 1];				/* the change it works for */
byte who[NB + 1];				/* PREPARING: whose promise is counted, and what it reported for the version */
byte report_ballot[NB + 1];
byte report_value[NB + 1];
bool later[NB + 1];				/* a counted promise reported an accepted entry of a later version */
bool kept[NB + 1];				/* at version 2 without a phase 1 of its own */

byte value[2 * NB + 2];			/* what a ballot is spent on at a version */
bool own[2 * NB + 2];			/* ... which is the session's own change: the owner's vote is its commit */
byte votes[2 * NB + 2];			/* ... and who accepted it: a bit a region */

#ifdef EXACT
bool knows[3];					/* regions that have learned version 1 */
#define NEW_TO(s,r)		((s) == 2 || !knows[r])
#define LEARN(s,b)		if :: s == 2 && chosen[1] != 0 -> knows[owner[b]] = true :: else fi
#define COMMITTED(s,r)	if :: s == 1 -> knows[r] = true :: else fi
#define MOVES(s,o)		(REFUSING(s,o,0) && REFUSING(s,o,1) && REFUSING(s,o,2))
#define REFUSING(s,o,r)	(owner[o] == (r) || promised[VOTER(s,r)] > o)
#else
#define NEW_TO(s,r)		true
#define LEARN(s,b)		skip
#define COMMITTED(s,r)	skip
#define MOVES(s,o)		true
#endif

byte chosen[3];					/* seen from above, by version: accepted at one ballot by two of three voters */
#ifdef CONFIG
#define CHANGES_VOTERS	(chosen[1] != 0)
#else
#define CHANGES_VOTERS	false
#endif
#if defined(TELL) || defined(LIE_ABORT)
#define TELLS
bool denied[2 * NB + 2];		/* entries of which a client was told "nothing happened" */
#endif
#ifdef REJOIN
bool copied;					/* acceptor 3 has been made from acceptor 2 */
#endif
#if defined(NO_FENCE) || defined(REJOIN_READ)
bool lost;						/* acceptor 2 has been put back to what was copied */
#endif

/* ---------- what must hold ---------- */

#define TWO(m)	((m) == 3 || (m) >= 5)
#define BIT(r)	(1 << (r))

/* 8: "nothing happened" => never in the log */
#ifdef TELLS
#define NOT_DENIED(s,v)	assert((v) > NB || !denied[IX(s,v)]);
#else
#define NOT_DENIED(s,v)
#endif

/* 1: one entry per version, everywhere, for ever */
#define NOTE_VOTE(s,b,r) \
	votes[IX(s,b)] = votes[IX(s,b)] | BIT(r); \
	if :: TWO(votes[IX(s,b)]) -> assert(chosen[s] == 0 || chosen[s] == value[IX(s,b)]); \
		NOT_DENIED(s,value[IX(s,b)]) \
		chosen[s] = value[IX(s,b)]; printf("   chosen at version %d: entry %d\n", s, chosen[s]) \
	:: else fi

/* 4: one entry per (version, ballot).  HARM_ONLY: look only at what that leads to. */
#ifdef HARM_ONLY
#define ONE_ENTRY(s,b,v)
#else
#define ONE_ENTRY(s,b,v) assert(value[IX(s,b)] == 0 || value[IX(s,b)] == (v));
#endif
#define SPEND(s,b,v) \
	ONE_ENTRY(s,b,v) value[IX(s,b)] = v; own[IX(s,b)] = (entry[b] == (v)); \
	printf("ballot %d: sends entry %d for version %d\n", b, v, s)

/* ---------- that the interesting things happen at all: each must be found ---------- */

#define REACHED_COMMIT(s,b)
#define REACHED_REPORT(s,a)
#define REACHED_ACCEPT(s,b)
#define REACHED_SAY(s,b)
#if defined(REACH_KEPT)				/* a change commits at version 2 on a kept ballot */
#undef REACHED_COMMIT
#define REACHED_COMMIT(s,b)	assert(!(s == 2 && kept[b]));
#elif defined(REACH_HANDOVER)		/* another region's change commits at version 2 while the holder has one open there */
#define OPEN_ELSEWHERE(b,o)	(o < b && kept[o] && owner[o] != owner[b] && state[o] == ACCEPTING && votes[IX(2,o)] == 0)
#undef REACHED_COMMIT
#define REACHED_COMMIT(s,b)	assert(!(s == 2 && !kept[b] && value[IX(2,b)] == b && (OPEN_ELSEWHERE(b,1) || OPEN_ELSEWHERE(b,2))));
#elif defined(REACH_FINISHED)		/* the holder's open change is chosen by another region's ballot */
#undef REACHED_ACCEPT
#define REACHED_ACCEPT(s,b)	assert(!(s == 2 && chosen[2] != 0 && chosen[2] < b && kept[chosen[2]] && owner[b] != owner[chosen[2]]));
#elif defined(REACH_FAILED_FIRST)	/* a region's change fails on a kept ballot, its next one commits on a new one */
#define FAILED_BEFORE(b,o)	(o < b && kept[o] && owner[o] == owner[b] && value[IX(2,b)] == b)
#undef REACHED_COMMIT
#define REACHED_COMMIT(s,b)	assert(!(s == 2 && (FAILED_BEFORE(b,1) || FAILED_BEFORE(b,2))));
#elif defined(REACH_GO_ON)			/* a change that was sent on a kept ballot commits on a new one */
#undef REACHED_COMMIT
#define REACHED_COMMIT(s,b)	assert(!(s == 2 && value[IX(2,b)] != b && kept[value[IX(2,b)]]));
#elif defined(REACH_LATER)			/* a promise for version 1 reports an accepted entry of version 2 */
#undef REACHED_REPORT
#define REACHED_REPORT(s,a)	assert(!(s == 1 && acc_ballot[AT(2,a)] != 0));
#elif defined(REACH_CONFIG)			/* a config entry, then a change with the vote of the new acceptor */
#undef REACHED_COMMIT
#define REACHED_COMMIT(s,b)	assert(!(s == 2 && CHANGES_VOTERS && votes[IX(2,b)] >= 5));
#elif defined(REACH_REJOIN)			/* ... with its vote, where it had lost one for version 1 */
#undef REACHED_COMMIT
#define REACHED_COMMIT(s,b)	assert(!(s == 2 && CHANGES_VOTERS && votes[IX(2,b)] >= 5 && \
	acc_ballot[AT(1,2)] > acc_ballot[AT(1,3)] && acc_ballot[AT(1,3)] != 0));
#elif defined(REACH_DENIED)			/* a client is told "nothing happened" of a change sent on a kept ballot */
#undef REACHED_SAY
#define REACHED_SAY(s,b)	assert(!(s == 2 && kept[b]));
#endif

/* ---------- who votes ---------- */

/* the acceptor whose answer is a vote of region r at version s: everybody who knows version s - 1 knows that */
#ifdef CONFIG
#define VOTER(s,r)		((r) == 2 && (s) == 2 && CHANGES_VOTERS -> 3 : (r))
#else
#define VOTER(s,r)		(r)
#endif

#ifdef COUNT_ANY_INCARNATION	/* whatever calls itself region 2 */
#define COUNTS(s,r,a)	(VOTER(s,r) == (a) || ((s) == 2 && (a) == 2))
#else
#define COUNTS(s,r,a)	(VOTER(s,r) == (a))
#endif

#ifdef ALPHA2
#define MAY_BEGIN(s)	true
#else
#define MAY_BEGIN(s)	((s) == 1 || chosen[1] != 0)
#endif

/* ---------- forgetting ---------- */

#define CAN_TAKE(s,b,a)	(promised[a] <= b && acc_ballot[AT(s,a)] < b)
#define CAN_COUNT(s,b)	((promised[0] <= b) + (promised[1] <= b) + (promised[VOTER(s,2)] <= b))

#ifdef KEEP_OVER_CONFIG
#define SAME_VOTERS		true
#else
#define SAME_VOTERS		(!CHANGES_VOTERS)
#endif
#define MAY_BE_KEPT(b)	(version[b] == 1 && !later[b] && SAME_VOTERS && CAN_COUNT(2,b) > 0)

#if defined(PAUSED_HOLDER) || defined(EXACT)	/* it is still looked at */
#define FINISHED(s,b)	false
#else
#define FINISHED(s,b)	(!CAN_TAKE(s,b,0) && !CAN_TAKE(s,b,1) && !CAN_TAKE(s,b,VOTER(s,2)))
#endif
#ifdef TELLS
#define NOT_READ(s,b)	(!own[IX(s,b)] || chosen[s] != 0)
#else
#define NOT_READ(s,b)	true
#endif

#define LEAVE(b)	state[b] = LEFT; entry[b] = 0; version[b] = 0; later[b] = false; FORGET_KEPT(b)
#if defined(REACH_FAILED_FIRST) || defined(REACH_GO_ON)
#define FORGET_KEPT(b)	skip
#else
#define FORGET_KEPT(b)	kept[b] = false
#endif

#define FORGET_VALUE(s,b) \
	if :: value[IX(s,b)] != 0 && FINISHED(s,b) && NOT_READ(s,b) -> value[IX(s,b)] = 0; own[IX(s,b)] = false; votes[IX(s,b)] = 0 \
	:: else fi
#define FORGET_SESSION(b) \
	if :: state[b] == PREPARING && CAN_COUNT(version[b],b) < 2 -> LEAVE(b); \
		who[b] = 0; report_ballot[b] = 0; report_value[b] = 0 \
	:: state[b] == ACCEPTING && value[IX(version[b],b)] == 0 && !MAY_BE_KEPT(b) -> LEAVE(b) \
	:: else fi
#define FORGET_BALLOT(b)	FORGET_VALUE(1,b); FORGET_VALUE(2,b); FORGET_SESSION(b)

/* ---------- phase 1 ---------- */

#ifdef PREP_ONE					/* promises report the version that was asked for, and no later one */
#define REPORTS_LATER(s,a)	false
#else
#define REPORTS_LATER(s,a)	((s) == 1 && acc_ballot[AT(2,a)] != 0)
#endif

#define PROMISE(s,b,a) \
	REACHED_REPORT(s,a) \
	printf("ballot %d of region %d: promise of acceptor %d for version %d, reports entry %d of ballot %d; later ones: %d\n", \
		b, owner[b], a, s, acc_value[AT(s,a)], acc_ballot[AT(s,a)], REPORTS_LATER(s,a)); \
	promised[a] = b; later[b] = later[b] || REPORTS_LATER(s,a)

/* the first promise that is counted: a session begins, for a new change or for one that goes on */
#define FIRST(s,b,r,a) \
	:: d_step { state[b] == IDLE && (entry[b] == 0 || version[b] == s) && MAY_BEGIN(s) && \
		NEW_TO(s,owner[b]) && NEW_TO(s,r) && COUNTS(s,r,a) && promised[a] < b -> \
		LEARN(s,b); \
		state[b] = PREPARING; version[b] = s; who[b] = r; \
		report_ballot[b] = acc_ballot[AT(s,a)]; report_value[b] = acc_value[AT(s,a)]; \
		PROMISE(s,b,a); \
		if :: entry[b] == 0 -> entry[b] = b :: else fi }

/*
 * The second one makes a majority.  What they reported at the highest ballot must be proposed, as the session's own
 * change if it is that; if they reported nothing, the change, or a noop in a settlement.
 */
#define SECOND(s,b,r,a,what) \
	:: d_step { state[b] == PREPARING && version[b] == s && who[b] != r && NEW_TO(s,r) && COUNTS(s,r,a) && promised[a] < b && \
		(what == entry[b] || (report_ballot[b] == 0 && acc_ballot[AT(s,a)] == 0)) -> \
		if :: acc_ballot[AT(s,a)] > report_ballot[b] -> report_value[b] = acc_value[AT(s,a)] \
		:: acc_ballot[AT(s,a)] == 0 && report_ballot[b] == 0 -> report_value[b] = what \
		:: else fi; \
		PROMISE(s,b,a); \
		state[b] = ACCEPTING; \
		SPEND(s,b,report_value[b]); \
		who[b] = 0; report_ballot[b] = 0; report_value[b] = 0 }
#define SECOND_CHANGE(s,b,r,a)		SECOND(s,b,r,a,entry[b])
#define SECOND_SETTLEMENT(s,b,r,a)	SECOND(s,b,r,a,NOOP(b))

/* a promise that nobody counts */
#ifdef TELL
#define LATE(b,a) :: d_step { state[b] != IDLE && promised[a] < b -> promised[a] = b }
#else
#define LATE(b,a)
#endif

/* ---------- the kept ballot: version 2 without a phase 1 ---------- */

#if defined(ALPHA2)
#define LEARNED(b)	true
#elif defined(EXACT)
#define LEARNED(b)	(chosen[1] != 0 && chosen[1] == value[IX(1,b)] && own[IX(1,b)])
#else
#define LEARNED(b)	(chosen[1] != 0)
#endif

#define KEEP(b) \
	:: d_step { state[b] == ACCEPTING && version[b] == 1 && !later[b] && LEARNED(b) && SAME_VOTERS -> \
		version[b] = 2; kept[b] = true; entry[b] = b; LEARN(2,b); \
		printf("ballot %d of region %d: kept for version 2\n", b, owner[b]); \
		SPEND(2,b,b) }

/* an entry was sent and is not learned, and the next change uses the ballot again */
#ifdef LEASE_REUSE
#define REUSE(b) \
	:: d_step { IS_OWN(version[b],b) && entry[b] == b && chosen[version[b]] == 0 -> \
		entry[b] = AGAIN(b); votes[IX(version[b],b)] = 0; \
		SPEND(version[b],b,AGAIN(b)) }
#else
#define REUSE(b)
#endif

/* ---------- a change goes on under a new ballot ---------- */

#define GO_ON(b,old) \
	:: d_step { state[b] == IDLE && entry[b] == 0 && owner[b] == owner[old] && state[old] == ACCEPTING && \
		own[IX(version[old],old)] && entry[old] <= NB && \
		chosen[version[old]] == 0 && MOVES(version[old],old) -> \
		entry[b] = entry[old]; version[b] = version[old]; \
		printf("ballot %d: entry %d goes on under ballot %d\n", old, entry[b], b); \
		LEAVE(old) }

/* ---------- phase 2 ---------- */

/* a change's own vote is its commit, the last one; everything else goes to all voters */
#define SENT(s,b,r)		(value[IX(s,b)] != 0 && !(own[IX(s,b)] && owner[b] == r))
#define IS_OWN(s,b)		(state[b] == ACCEPTING && version[b] == s && own[IX(s,b)])

#define VOTE(s,b,r,a) \
	promised[a] = b; acc_ballot[AT(s,a)] = b; acc_value[AT(s,a)] = value[IX(s,b)]; NOTE_VOTE(s,b,r)

#define ACCEPT(s,b,r,a) \
	:: d_step { SENT(s,b,r) && NEW_TO(s,r) && COUNTS(s,r,a) && CAN_TAKE(s,b,a) -> \
		printf("ballot %d: acceptor %d accepts entry %d for version %d\n", b, a, value[IX(s,b)], s); \
		VOTE(s,b,r,a); \
		REACHED_ACCEPT(s,b) }

#ifdef PAUSED_HOLDER			/* the lease is trusted, not the promise */
#define FINAL_CHECK(s,b,a)	((promised[a] <= b || kept[b]) && acc_ballot[AT(s,a)] != b)
#else
#define FINAL_CHECK(s,b,a)	CAN_TAKE(s,b,a)
#endif

#define COMMIT(s,b,r,a) \
	:: d_step { IS_OWN(s,b) && owner[b] == r && COUNTS(s,r,a) && votes[IX(s,b)] != 0 && FINAL_CHECK(s,b,a) -> \
		printf("ballot %d: region %d commits entry %d for version %d at acceptor %d\n", b, r, value[IX(s,b)], s, a); \
		VOTE(s,b,r,a); \
		assert(chosen[s] == value[IX(s,b)]);		/* the client is told SUCCESS */ \
		COMMITTED(s,r); \
		REACHED_COMMIT(s,b) }

/* ---------- "nothing happened" ---------- */

#define REFUSES(s,b,r)	(owner[b] == (r) || (promised[VOTER(s,r)] > b && (votes[IX(s,b)] & BIT(r)) == 0))
#define REFUSED(s,b,e)	(value[IX(s,b)] != (e) || !own[IX(s,b)] || (REFUSES(s,b,0) && REFUSES(s,b,1) && REFUSES(s,b,2)))
#ifdef LIE_ABORT
#define ALL_REFUSED(s,e)	true
#else
#define ALL_REFUSED(s,e)	(EACH_REFUSED(s,e))
#endif

#ifdef TELLS
#define SAY(s,b) \
	:: d_step { IS_OWN(s,b) && entry[b] <= NB && chosen[s] == 0 && ALL_REFUSED(s,entry[b]) -> \
		printf("ballot %d: entry %d for version %d: nothing happened\n", b, entry[b], s); \
		REACHED_SAY(s,b) \
		denied[IX(s,entry[b])] = true; LEAVE(b) }
#else
#define SAY(s,b)
#endif

/* ---------- lost state ---------- */

#define COPY_ACCEPTED(s,from,to) \
	acc_ballot[AT(s,to)] = acc_ballot[AT(s,from)]; acc_value[AT(s,to)] = acc_value[AT(s,from)]

#ifdef REJOIN
#define COPY \
	:: d_step { !copied && chosen[1] == 0 && promised[2] != 0 -> copied = true; \
		printf("acceptor 2 is copied: promise %d, accepted %d\n", promised[2], acc_ballot[AT(1,2)]); \
		promised[3] = promised[2]; COPY_ACCEPTED(1,2,3) }
#else
#define COPY
#endif

#define READ_ACCEPTED(s,from) \
	if :: acc_ballot[AT(s,from)] > acc_ballot[AT(s,2)] -> COPY_ACCEPTED(s,from,2) :: else fi
#define READ_FROM(from) \
	if :: promised[from] > promised[2] -> promised[2] = promised[from] :: else fi; \
	READ_ACCEPTED(1,from); READ_ACCEPTED(2,from)

#if defined(NO_FENCE)			/* put back to an earlier state, it votes on */
#define REPAIR	skip
#elif defined(REJOIN_READ)		/* it reads both others first */
#define REPAIR	READ_FROM(0); READ_FROM(1)
#endif
#ifdef REPAIR
#define LOSE \
	:: d_step { !lost && promised[2] != promised[3] -> lost = true; \
		printf("acceptor 2 is put back: promise %d, was %d\n", promised[3], promised[2]); \
		promised[2] = promised[3]; COPY_ACCEPTED(1,3,2); COPY_ACCEPTED(2,3,2); REPAIR }
#else
#define LOSE
#endif

/* ---------- everything that can happen ---------- */

#ifdef CONFIG
#define OF_NEW(s,b,step)	step(s,b,2,3)
#else
#define OF_NEW(s,b,step)
#endif
#define EACH(s,b,step)	step(s,b,0,0) step(s,b,1,1) step(s,b,2,2)
#define STEPS(s,b)		EACH(s,b,FIRST) EACH(s,b,SECOND_CHANGE) EACH(s,b,SECOND_SETTLEMENT) EACH(s,b,ACCEPT) EACH(s,b,COMMIT) SAY(s,b)
#define NEW_STEPS(b)	OF_NEW(2,b,FIRST) OF_NEW(2,b,SECOND_CHANGE) OF_NEW(2,b,SECOND_SETTLEMENT) OF_NEW(2,b,ACCEPT) OF_NEW(2,b,COMMIT)
#define BALLOT(b)		STEPS(1,b) STEPS(2,b) NEW_STEPS(b) KEEP(b) REUSE(b) LATE(b,0) LATE(b,1) LATE(b,2)

#if NB == 3
#define BALLOTS			BALLOT(1) BALLOT(2) BALLOT(3) GO_ON(2,1) GO_ON(3,1) GO_ON(3,2)
#define FORGET			FORGET_BALLOT(1); FORGET_BALLOT(2); FORGET_BALLOT(3)
#define EACH_REFUSED(s,e)	REFUSED(s,1,e) && REFUSED(s,2,e) && REFUSED(s,3,e)
#elif NB == 4
#define BALLOTS			BALLOT(1) BALLOT(2) BALLOT(3) BALLOT(4) \
	GO_ON(2,1) GO_ON(3,1) GO_ON(3,2) GO_ON(4,1) GO_ON(4,2) GO_ON(4,3)
#define FORGET			FORGET_BALLOT(1); FORGET_BALLOT(2); FORGET_BALLOT(3); FORGET_BALLOT(4)
#define EACH_REFUSED(s,e)	REFUSED(s,1,e) && REFUSED(s,2,e) && REFUSED(s,3,e) && REFUSED(s,4,e)
#endif

active proctype world()
{
	/*
	 * The ways in which ballots can belong to regions, of which 0 and 1 are alike; so is 2, unless it loses its vote.
	 * -DO1=.. to -DO4=..: only this one.
	 */
	atomic {
#if defined(O1)
		owner[1] = O1; owner[2] = O2; owner[3] = O3;
#if NB == 4
		owner[4] = O4
#endif
#elif defined(CONFIG)
		if :: owner[1] = 0 :: owner[1] = 2 fi;
		if :: owner[2] = 0 :: owner[1] == 0 -> owner[2] = 1 :: owner[2] = 2 fi;
		if :: owner[3] = 0 :: owner[1] == 0 || owner[2] == 0 -> owner[3] = 1 :: owner[3] = 2 fi;
#if NB == 4
		if :: owner[4] = 0 :: owner[1] == 0 || owner[2] == 0 || owner[3] == 0 -> owner[4] = 1 :: owner[4] = 2 fi
#endif
#else
		if :: owner[2] = 0 :: owner[2] = 1 fi;
		if :: owner[3] = 0 :: owner[3] = 1 :: owner[2] == 1 -> owner[3] = 2 fi;
#if NB == 4
		if :: owner[4] = 0 :: owner[4] = 1 :: owner[2] == 1 || owner[3] == 1 -> owner[4] = 2 fi
#endif
#endif
	}
end:
	do
	:: atomic {
			if
			BALLOTS
			COPY
			LOSE
			fi;
			d_step { FORGET }
		}
	od
}
