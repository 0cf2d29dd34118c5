/*
 * judge.h: what the group's policy does with what analysis says of a change, before it runs.
 *
 * Policies "on_unsafe", "on_caution", "exceptions" and "barriers", and a migration's option "allow".  What the server or the
 * classification refuses is left to them: their errors say it better; but what else there is to be said of a statement that analysis
 * takes for a failure counts.  Refusals are SD005.
 */
#ifndef SD_GATE_JUDGE_H
#define SD_GATE_JUDGE_H

#include "compat.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* A change that was looked at. */
typedef struct SdJudged
{
	const char *name;			/* of the migration; NULL: plain DDL */
	const char *text;
	Jsonb	   *options;		/* NULL: none */
	List	   *found;			/* of SdFinding, see judge.c */
	bool		tightens;		/* by policy "barriers" it waits for every serving region */
	int64		applied;		/* by this region, when it was looked at */
} SdJudged;

/* Is this a rule that option "allow" and policy "exceptions" may name? */
extern bool sd_gate_is_rule(const char *id);

/*
 * Refuses by an error, warns of nothing yet.  A script's, or one statement's.  An unknown rule in "allow" is an error.  Before anybody is asked,
 * so that nobody is asked in vain: takes no lock that it keeps.
 */
extern void sd_gate_judge(SdJudged *judged, const char *name, const char *text, Jsonb *options);

/*
 * With the grant, when neither schema nor policy can change any more: the same again, if one of them has; then warnings, and a decision
 * for each exception that was used.
 */
extern void sd_gate_judge_granted(SdJudged *judged);

/* What the change's barrier comes to, explicit: that of its option, 0: none; and as needs of sd_change_begin(). */
extern int64 sd_gate_judged_barrier(const SdJudged *judged, int64 explicit_barrier);
extern List *sd_gate_judged_needs(const SdJudged *judged);

/* Policy "max_lock_wait" as lock_timeout, unless that is shorter; 0: nothing was set, else the level for AtEOXact_GUC(). */
extern int	sd_gate_limit_lock_wait(void);

#endif							/* SD_GATE_JUDGE_H */
