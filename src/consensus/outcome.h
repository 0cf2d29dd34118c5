/*
 * outcome.h: what may be told about a change whose attempt is closed: step 5 of "Committing a change".
 *
 * Of all the core this is where a reasonable shortcut is most tempting and most wrong: each of the three that
 * come to mind (the last ballot only, a refused repeat, a majority of refusals) has a counter-example.
 */
#ifndef SD_OUTCOME_H
#define SD_OUTCOME_H

#include "consensus/proposer.h"

/*
 * Did every other voter's *first* answer at the ballot under way refuse with a higher promise?  A voter to whom
 * no copy ever left this process cannot have accepted one, nor has one that answered "no vote": they do no harm either.
 */
extern bool sd_outcome_ballot_is_harmless(const SdProposer *p);

/* Outcome of an attempt that sends and votes no more: definite, or SD_OUTCOME_UNKNOWN. */
extern SdOutcome sd_outcome_judge(const SdProposer *p);

#endif							/* SD_OUTCOME_H */
