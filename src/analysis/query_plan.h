/*
 * query_plan.h: how the server would run a query now.
 *
 * Planned as a prepared statement is after its first executions, for parameters of any value.  Runs as the current user, whose rights
 * are checked; takes the locks that the query would take, and leaves them to the caller's subtransaction.
 */
#ifndef SD_ANALYSIS_QUERY_PLAN_H
#define SD_ANALYSIS_QUERY_PLAN_H

#include "compat.h"

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"

typedef struct SdIndexUse
{
	Oid			index;
	Oid			table;
	char	   *name;			/* of the index, as it was then */
} SdIndexUse;

typedef struct SdQueryPlan
{
	List	   *indexes;		/* of SdIndexUse */
	List	   *whole;			/* of Oid: tables that are read from end to end */
	List	   *relations;		/* of Oid: all that it depends on */
	bool		may_be_run;		/* it only reads, and has no parameters, nor calls what is VOLATILE */
	bool		calls_volatile; /* ... but for the last */
} SdQueryPlan;

/* One statement that reads or changes rows, or an error that says what is wrong with it. */
extern RawStmt *sd_query_parse(const char *text);

/* An error is the query's.  The plan is made in the current memory context. */
extern void sd_query_plan(const char *text, SdQueryPlan *plan);

extern SdIndexUse *sd_query_plan_uses(const SdQueryPlan *plan, const SdIndexUse *use);	/* that index, or one of its name; or NULL */

#endif							/* SD_ANALYSIS_QUERY_PLAN_H */
