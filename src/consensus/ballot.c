/*
 * ballot.c: comparing ballots, entries and chains.  Pure; see ballot.h.
 */
#include "consensus/ballot.h"

#include <string.h>

#include "consensus/mistakes.h"

#ifdef SD_TESTING
uint32_t	sd_mistakes = 0;
#endif

int
sd_ballot_compare(const SdBallot *a, const SdBallot *b)
{
	int			order;

	if (a->round != b->round)
		return a->round < b->round ? -1 : 1;
	/* strncmp compares as unsigned char, whatever the locale */
	order = strncmp(a->region, b->region, SD_NAME_SIZE);
	if (order != 0)
		return order < 0 ? -1 : 1;
	if (a->nonce != b->nonce)
		return a->nonce < b->nonce ? -1 : 1;
	return 0;
}

bool
sd_ballot_is_none(const SdBallot *b)
{
	return b->round == 0;
}

void
sd_ballot_set(SdBallot *b, int64_t round, const char *region, uint64_t nonce)
{
	/* all bytes defined, so that a ballot can be hashed or compared as memory too */
	memset(b, 0, sizeof(*b));
	b->round = round;
	strncpy(b->region, region, SD_NAME_SIZE - 1);
	b->nonce = nonce;
}

bool
sd_entry_equal(const SdEntryRef *a, const SdEntryRef *b)
{
	return memcmp(a->id, b->id, SD_ENTRY_ID_SIZE) == 0 &&
		memcmp(a->sha, b->sha, SD_SHA_SIZE) == 0;
}

bool
sd_chain_equal(const SdChain *a, const SdChain *b)
{
	return memcmp(a->sha, b->sha, SD_SHA_SIZE) == 0;
}
