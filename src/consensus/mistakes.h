/*
 * mistakes.h: deliberate mistakes, so that the tests can show that they would notice one.
 *
 * Each is planted where the real code makes the right choice, and exists only with -DSD_TESTING; otherwise
 * SD_MISTAKE() is the constant false and nothing is left of it in the object file.
 */
#ifndef SD_MISTAKES_H
#define SD_MISTAKES_H

#ifdef SD_TESTING

#include <assert.h>
#include <stdint.h>

#define SD_MISTAKE_ANNOUNCE_FIRST	(1u << 0)	/* told as chosen before the commit record is flushed */
#define SD_MISTAKE_NO_SELFCHECK		(1u << 1)	/* own promise not read again before the own vote */
#define SD_MISTAKE_BALLOT_REUSE		(1u << 2)	/* ballots without a nonce */
#define SD_MISTAKE_REF_LAST			(1u << 3)	/* definite abort concluded from the last ballot only */
#define SD_MISTAKE_REF_RETRY		(1u << 4)	/* ... from a refused repeat */
#define SD_MISTAKE_REF_MAJ			(1u << 5)	/* ... from a majority of refusals */
#define SD_MISTAKE_LIE_ABORT		(1u << 6)	/* "aborted" after an accept was sent */
#define SD_MISTAKE_LEASE_REUSE		(1u << 7)	/* a ballot kept although its entry is not known to be chosen */
#define SD_MISTAKE_KEEP_OVER_CONFIG (1u << 8)	/* a ballot kept although the voters have changed */
#define SD_MISTAKE_COUNT_ANY_INCARNATION (1u << 9)	/* votes counted by the region's name alone */
#define SD_MISTAKE_LATE_ANSWER		(1u << 14)	/* a late answer to a prepare taken for the one to the accept behind it */
/* in a server only; the simulator's server is another one, and makes these in its own way */
#define SD_MISTAKE_NO_FENCE			(1u << 10)	/* who may have lost votes votes */
#define SD_MISTAKE_ASYNC_COMMIT		(1u << 11)	/* votes are not flushed before they are told */
#define SD_MISTAKE_NO_CAS			(1u << 12)	/* table applied moved without a look at where it was */
#define SD_MISTAKE_SELF_FIRST		(1u << 13)	/* own vote before the others' */
/* from here on bits that the simulator uses for its own */
#define SD_MISTAKE_ACK_EARLY		(1u << 16)	/* a vote is told, and counted, before its commit */
#define SD_MISTAKE_SELF_READ		(1u << 17)	/* the own promise is read, not given */
#define SD_MISTAKE_PREP_ONE			(1u << 18)	/* a promise tells of one version only */
#define SD_MISTAKE_REJOIN_READ		(1u << 19)	/* who lost votes copies what others hold, and votes */
#define SD_MISTAKE_PAUSED_HOLDER	(1u << 20)	/* the lease that ran is trusted instead of the own promise, at the last moment */
#define SD_MISTAKE_LIFE_REUSE		(1u << 21)	/* a void server that is restored asks under the life that the copy has */
#define SD_MISTAKE_REPLICATED_STATE (1u << 22)	/* rows of ours that come by data replication are not discarded */

extern uint32_t sd_mistakes;

#define SD_MISTAKE(name) ((sd_mistakes & SD_MISTAKE_##name) != 0)

#define SD_CHECK(condition) assert(condition)

#else

#define SD_MISTAKE(name) false
#define SD_CHECK(condition) ((void) 0)

#endif

#endif							/* SD_MISTAKES_H */
