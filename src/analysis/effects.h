/*
 * effects.h: what the rules of a statement come to on each relation that was there before: locks, rewrites, scans.
 */
#ifndef SD_ANALYSIS_EFFECTS_H
#define SD_ANALYSIS_EFFECTS_H

#include "compat.h"

#include "analysis/analyze.h"
#include "analysis/form.h"

/* What the statement does to one relation. */
typedef struct SdEffect
{
	SdThing    *thing;
	const char *shown;			/* as it was called when the statement began */
	LOCKMODE	lock;
	bool		rewritten;
	bool		indexes;
	bool		scanned;
} SdEffect;

/* Of a list of SdEffect: the one on this relation, made where there is none. */
extern SdEffect *sd_effect_on(List **effects, const SdCast *cast);

/* The lock that a rule means for a relation in this role; NoLock: none. */
extern LOCKMODE sd_effect_lock(const SdRule *rule, const SdMatch *match, SdRuleRole role);

extern void sd_effects_collect(List **effects, const SdRule *rule, const SdMatch *match);

/* Into the step, the strongest lock first. */
extern void sd_effects_tell(List **effects, SdStep *step);

extern const char *sd_lock_name(LOCKMODE mode);

#endif							/* SD_ANALYSIS_EFFECTS_H */
