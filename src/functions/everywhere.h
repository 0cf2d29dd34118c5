/*
 * everywhere.h: one question to all regions at once.
 *
 * Runs in backends, as a client of the regions.  A region that is away is an answer, not an error, and is not waited for.
 */
#ifndef SD_FUNCTIONS_EVERYWHERE_H
#define SD_FUNCTIONS_EVERYWHERE_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "functions/regions.h"

/* A member of the group, and what it says. */
typedef struct SdAsked
{
	const char *region;
	bool		here;			/* it is this one: nothing is asked */
	bool		witness;		/* ... nor of one that has no schema */
	bool		suspended;		/* the group does not wait for it */
	SdClient   *client;			/* NULL: it was not reached, or has failed */
	const PGresult *answer;		/* NULL: none; belongs to the client */
	ErrorData  *error;			/* why not; NULL: there is an answer, or nothing was asked */
	const char *unreached;		/* why it was not even asked; NULL: it was */
} SdAsked;

/*
 * Sends the call of function (of schemadrift_rpc) to every other region with a schema.  arguments: as text, after the seven that every call has.
 * patience: how long a region may be silent, in ms.  Returns a list of SdAsked, in the order of the members.
 */
extern List *sd_everywhere_ask(const SdRegions *regions, const char *function, int n_arguments, const char *const *arguments, int patience);

/* Waits for the answers; whoever has not answered is marked.  The caller closes with sd_everywhere_end(). */
extern void sd_everywhere_wait(List *asked);
extern void sd_everywhere_end(List *asked);

/* What a region says, as a remedy: this one's as it is, another one's as a comment that begins with its name. */
extern const char *sd_everywhere_words(const SdAsked *asked, const char *words);

#endif							/* SD_FUNCTIONS_EVERYWHERE_H */
