/*
 * ballot.h: ballots, and the short names under which entries and log prefixes travel.
 *
 * Pure C11, used unchanged by the server and the simulator: no PostgreSQL header, no allocation, no
 * clock, no logging in this folder.
 */
#ifndef SD_BALLOT_H
#define SD_BALLOT_H

#include <stdbool.h>
#include <stdint.h>

#define SD_NAME_SIZE		64		/* region name with its terminating zero */
#define SD_ENTRY_ID_SIZE	16
#define SD_SHA_SIZE			32

/*
 * "ballot: (round, region, 64-bit random nonce), compared in that order."
 *
 * The nonce is what makes a ballot unique: a round can come back (a sequence value that a crash took away
 * is handed out again, measured), and then one ballot would carry two entries.
 */
typedef struct SdBallot
{
	int64_t		round;			/* from 1; 0 is "no ballot" */
	char		region[SD_NAME_SIZE];	/* zero-terminated */
	uint64_t	nonce;
} SdBallot;

/*
 * An entry as the core knows it.  Bodies (up to 64 MB) never pass through the core: the caller keeps them.
 * Two references are the same entry only if both fields agree.
 */
typedef struct SdEntryRef
{
	uint8_t		id[SD_ENTRY_ID_SIZE];
	uint8_t		sha[SD_SHA_SIZE];	/* SHA-256 of the body */
} SdEntryRef;

/* The chain of a version: SHA-256 over the previous chain and the entry's bytes; all zero before version 1. */
typedef struct SdChain
{
	uint8_t		sha[SD_SHA_SIZE];
} SdChain;

/* <0, 0, >0.  Rounds as numbers, regions bytewise (no collation: it differs between servers), nonces unsigned. */
extern int	sd_ballot_compare(const SdBallot *a, const SdBallot *b);
extern bool sd_ballot_is_none(const SdBallot *b);
extern void sd_ballot_set(SdBallot *b, int64_t round, const char *region, uint64_t nonce);

extern bool sd_entry_equal(const SdEntryRef *a, const SdEntryRef *b);
extern bool sd_chain_equal(const SdChain *a, const SdChain *b);

#endif							/* SD_BALLOT_H */
