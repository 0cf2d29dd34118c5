/*
 * analyze.h: what a script would do, statement by statement, found without doing it.
 *
 * Changes nothing, asks no other region, needs no group.  Takes at most ACCESS SHARE on users' relations, and never waits for a
 * lock on them.  Errors only for what is no SQL.
 */
#ifndef SD_ANALYSIS_ANALYZE_H
#define SD_ANALYSIS_ANALYZE_H

#include "compat.h"

#include "nodes/parsenodes.h"

#include "analysis/rules.h"
#include "ddl/classify.h"

/* Defined in docs/analysis.md. */
typedef enum SdStepVerdict
{
	SD_STEP_SAFE,
	SD_STEP_CAUTION,
	SD_STEP_UNSAFE
} SdStepVerdict;

/* Rules that are no row of the matrix. */
#define SD_RULE_REFUSED		"SD004"	/* cannot be coordinated */
#define SD_RULE_LOCAL		"local"	/* stays in this region */
#define SD_RULE_ROLES		"roles"	/* on roles, which policy "roles" makes the group's */
#define SD_RULE_FAILS		"fails"	/* the server would refuse it */
#define SD_RULE_UNKNOWN		"unknown"	/* it may fail: that depends on what cannot be followed */
#define SD_RULE_CODE		"code"	/* runs code that was not looked at */
#define SD_RULE_OTHER		"other"	/* changes the schema in a form of which the matrix has no row */
#define SD_RULE_NONE		"none"	/* changes no schema and no rows */

typedef struct SdStepRelation
{
	Oid			oid;			/* InvalidOid: it stands for several ... */
	List	   *members;		/* ... which are these; of Oid */
	char	   *name;			/* as in the texts below */
	LOCKMODE	lock;			/* NoLock: none */
	bool		rewritten;		/* it, and so its indexes */
	bool		indexes;		/* its indexes are built again */
	bool		scanned;
} SdStepRelation;

typedef struct SdStep
{
	int			number;			/* from 1 */
	int			line;
	const char *command;		/* its tag */
	List	   *objects;		/* of char * */
	char	   *lock;			/* "public.t: ACCESS EXCLUSIVE, ...", strongest first; "none" */
	LOCKMODE	strongest;
	List	   *relations;		/* of SdStepRelation: those that are there already */
	List	   *rewrites;		/* of char *: relations */
	List	   *scans;
	SdRuleAnswer backward;		/* does the old application go on to work */
	SdRuleAnswer forward;		/* does the new one work where the change is not yet */
	const char *gate;
	SdRuleGate	gate_class;
	const char *reversible;
	SdRuleRestores restores;
	SdStepVerdict verdict;
	const char *rule;			/* the worst */
	bool		by_rows;		/* SD004 for rows that are there, or may be when it runs */
	List	   *rules;			/* of char *: all of them */
	List	   *unsafe;			/* of char *: those that make it unsafe by themselves */
	List	   *caution;		/* ... a case for caution */
	char	   *why;			/* NULL: nothing to say */
	char	   *otherwise;		/* of one that is said to fail: the reasons, should it not; NULL: none */
	List	   *dropped;		/* for analyze.c: SdDropped */
	char	   *safer;			/* statements to run instead; NULL: it needs none, or there are none */
} SdStep;

extern const char *sd_step_verdict_name(SdStepVerdict verdict);
extern const char *sd_step_restores_name(SdRuleRestores restores);	/* NULL: nothing to restore */

/* What the group's policy says, and the options of the change. */
typedef struct SdGroundRules
{
	void		(*classify) (Node *stmt, SdVerdict *verdict);	/* what it is for this group */
	List	   *history;		/* patterns, as for sd_history_is() */
	TimestampTz frozen_at;		/* as for sd_fill_reason() */
} SdGroundRules;

/* Of SdStep. */
extern List *sd_analyze(const char *script, const SdGroundRules *ground);

#endif							/* SD_ANALYSIS_ANALYZE_H */
