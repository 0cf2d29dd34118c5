/*
 * verdict_match.h: what one match of a statement with a rule of the matrix comes to; for verdict.c and verdict_match.c only.
 */
#ifndef SD_ANALYSIS_VERDICT_MATCH_H
#define SD_ANALYSIS_VERDICT_MATCH_H

#include "compat.h"

#include "analysis/verdict.h"

#define SD_JUDGE_DIFFERS	"The result differs from region to region."

typedef struct SdJudgement
{
	const SdForm *form;
	SdStep	   *step;
	List	   *effects;		/* SdEffect */
	bool		apart;			/* it belongs into a transaction of its own */
	List	   *reasons;		/* of char * */
	bool		idle;			/* a part of it does nothing, as it is so already */
	const SdMatch *worst;
	const SdRule *worst_rule;
	SdStepVerdict worst_verdict;
} SdJudgement;

/* Adds its reasons to those of the statement, and what it does to relations to the effects. */
extern SdStepVerdict sd_judge_match(SdJudgement *j, const SdRule *rule, const SdMatch *match);

/* Is everything that it is about made by the script itself?  Nobody knows that yet. */
extern bool sd_judge_is_fresh(const SdMatch *match);
extern bool sd_judge_may_have_rows(const SdMatch *match);

/* Does the application of today work with the schema after it? */
extern SdRuleAnswer sd_judge_backward(const SdRule *rule, const SdMatch *match);

/* Names with commas between them. */
extern char *sd_judge_joined(List *names);

#endif							/* SD_ANALYSIS_VERDICT_MATCH_H */
