/*
 * rules.h: the compatibility matrix: what each form of DDL locks, rewrites, breaks, and needs in a group of regions.
 *
 * rules.tsv is the one source.  The build makes static data of it (rules.pl), and stops at a word that it does not know.
 * A form that differs between majors of PostgreSQL has a row for each range of them.  Texts are for people, as view
 * compatibility_matrix shows them; the enums say the same to programs.
 */
#ifndef SD_ANALYSIS_RULES_H
#define SD_ANALYSIS_RULES_H

#include "compat.h"

#include "storage/lockdefs.h"

/* What a relation is to the statement. */
typedef enum SdRuleRole
{
	SD_ROLE_TABLE,				/* the one that is named, or whose index, trigger, rule, policy, comment it is */
	SD_ROLE_PARENT,				/* partitioned table, or parent by inheritance */
	SD_ROLE_PARTITIONS,			/* every partition */
	SD_ROLE_PARTITION,			/* the one that is attached, detached or dropped */
	SD_ROLE_DEFAULT,			/* the default partition */
	SD_ROLE_CHILD,				/* by inheritance */
	SD_ROLE_REFERENCED,			/* by a foreign key of the table */
	SD_ROLE_REFERENCING,		/* by a foreign key to the table */
	SD_ROLE_VIEW,
	SD_ROLE_MATVIEW,
	SD_ROLE_SEQUENCE,
	SD_ROLE_INDEX
} SdRuleRole;

#define SD_RULE_LOCKS		4
#define SD_ROLE_BIT(role)	(1 << (role))

typedef struct SdRuleLock
{
	SdRuleRole	role;
	LOCKMODE	mode;			/* the strongest that it comes to */
} SdRuleLock;

typedef enum SdRuleRewrite
{
	SD_REWRITE_NONE,
	SD_REWRITE_INDEXES,			/* only indexes are built again */
	SD_REWRITE_RELATION,		/* new files, with every row in them */
	SD_REWRITE_ALL,				/* that, and all of its indexes */
	SD_REWRITE_EMPTY			/* new empty files */
} SdRuleRewrite;

typedef enum SdRuleAnswer
{
	SD_ANSWER_YES,
	SD_ANSWER_DEPENDS,
	SD_ANSWER_NO,
	SD_ANSWER_NONE				/* no question: the statement always fails */
} SdRuleAnswer;

/* What happens to statements that clients of the old application have prepared. */
typedef enum SdRulePrepared
{
	SD_PREPARED_NOTHING,
	SD_PREPARED_STAR,			/* SELECT *, RETURNING * and COPY without columns fail */
	SD_PREPARED_ALL,			/* those that name the column, too */
	SD_PREPARED_RESULTS			/* they give other results */
} SdRulePrepared;

/* What logical replication of rows does while one region is ahead; in ascending badness. */
typedef enum SdRuleReplication
{
	SD_REPLICATION_NONE,		/* the statement always fails */
	SD_REPLICATION_WORKS,
	SD_REPLICATION_DEPENDS,
	SD_REPLICATION_UNTIL_USED,	/* until the application writes what only the new schema takes: then it stalls */
	SD_REPLICATION_REPLICATED,	/* the statement's own effect arrives in the other regions */
	SD_REPLICATION_STALLS,		/* stops, and goes on by itself when the other region has the change */
	SD_REPLICATION_WRITER_FAILS,
	SD_REPLICATION_WEDGES,		/* stops, and the change in the other region does not help */
	SD_REPLICATION_DIVERGES		/* rows differ, and nothing says so */
} SdRuleReplication;

/* What the regions must do together; in the matrix's words G0 to G5 and GD. */
typedef enum SdRuleGate
{
	SD_GATE_NONE,				/* the statement always fails, or is never right */
	SD_GATE_ANY,				/* G0: any region, any time */
	SD_GATE_ALL_THEN_USE,		/* G1 */
	SD_GATE_NARROW_FIRST,		/* G2 */
	SD_GATE_DRAIN_FIRST,		/* G3 */
	SD_GATE_CONTRACT,			/* G4 */
	SD_GATE_CUT_OVER,			/* G5 */
	SD_GATE_NONDETERMINISTIC	/* GD */
} SdRuleGate;

typedef enum SdRuleUndo
{
	SD_UNDO_LOSSLESS,
	SD_UNDO_NOTHING,			/* there is nothing to take back */
	SD_UNDO_DEPENDS,
	SD_UNDO_LOSSY,
	SD_UNDO_IMPOSSIBLE
} SdRuleUndo;

/* Can a down bring back exactly the schema that was there?  From good to bad. */
typedef enum SdRuleRestores
{
	SD_RESTORES_NOTHING,		/* nothing of the schema is changed */
	SD_RESTORES_YES,			/* one that takes away what was added, or the old name */
	SD_RESTORES_REHEARSE,		/* one that has the old definition to the letter: only a rehearsal tells */
	SD_RESTORES_NO				/* of no rule by itself: a column would come back as the last one */
} SdRuleRestores;

typedef struct SdRule
{
	const char *id;				/* public, the same for ever */
	const char *section;
	const char *form;
	int			min_major;		/* of PostgreSQL */
	int			max_major;		/* INT_MAX: none is known where it is otherwise */

	/* texts */
	const char *lock;
	const char *rewrite;
	const char *scan;
	const char *old_app;		/* does the old application work on the new schema */
	const char *new_app;		/* ... the new one on the old schema */
	const char *prepared;
	const char *receives;		/* the region that has the change, rows of one that has not */
	const char *sends;
	const char *gate;
	const char *undo;
	const char *linters;		/* which of them warn */
	const char *note;			/* what else is to be known */
	const char *safer;			/* statements instead, a line each; what is in <angle brackets> is to be filled in; empty: none is safer */
	const char *evidence;
	const char *untested;		/* why no test runs the example; empty: one does */
	const char *example;

	/* the same for programs */
	bool		fails;			/* always an error */
	bool		advice;			/* about the text: it says nothing of locks, regions and such */
	int			n_locks;		/* 0: none, or it depends */
	SdRuleLock	locks[SD_RULE_LOCKS];
	SdRuleRewrite rewrites;
	uint32		rewritten;		/* SD_ROLE_BIT()s: what is rewritten */
	uint32		scanned;		/* SD_ROLE_BIT()s: what is scanned apart from that */
	SdRuleAnswer backward;		/* of old_app */
	SdRuleAnswer forward;		/* of new_app */
	SdRulePrepared prepares;
	SdRuleReplication receiving;	/* the worst that the text says */
	SdRuleReplication sending;
	SdRuleGate	gate_class;		/* the strictest that the text says */
	bool		needs_refresh;	/* ALTER SUBSCRIPTION ... REFRESH PUBLICATION before rows are written */
	SdRuleUndo	undoes;
	SdRuleRestores restores;
} SdRule;

/* All rows, of all majors, in the order of the matrix. */
extern const SdRule sd_rules[];
extern const int sd_n_rules;

/* The row of this rule for a major; NULL: that major has no such form. */
extern const SdRule *sd_rule_for(const char *id, int major);

/* ... for the server's own major. */
extern const SdRule *sd_rule(const char *id);

#endif							/* SD_ANALYSIS_RULES_H */
