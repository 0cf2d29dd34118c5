/*
 * rehearse_queries.h: the live registered queries, planned before and after a script that is tried.
 *
 * Runs in backends, inside of a rehearsal (rehearse.h): under its lock timeout and its limit.  Each query is planned as the role, and
 * with the search_path, that registered it, in a subtransaction that is rolled back: no lock of it is left.
 *
 * Planning evaluates IMMUTABLE functions, and reading a literal the CHECKs of domains: of whatever the script, or the owner of a table, has
 * put where the query's names lead.  So a query is only looked at for somebody who may become its role, who gets no right by that.
 */
#ifndef SD_FUNCTIONS_REHEARSE_QUERIES_H
#define SD_FUNCTIONS_REHEARSE_QUERIES_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "analysis/query_plan.h"
#include "settings.h"
#include "store/query.h"

/* What a script does to them. */
typedef struct SdRehearsedQueries
{
	int			planned;		/* before and after */
	char	   *errors;			/* a line each, for people; NULL: none.  These fail afterwards, and did not before, ... */
	char	   *warnings;		/* ... these no longer use an index, ... */
	char	   *notes;			/* ... and these are no reason to do otherwise */
	char	   *remedy;			/* of the first error, or of the first query that was not looked at for who asks; NULL: none */
} SdRehearsedQueries;

typedef struct SdQueryWatch SdQueryWatch;

/* The role that registered it; InvalidOid: there is none of that name here. */
extern Oid	sd_query_role(const SdQuery *query);

/* May this role have that query looked at?  NULL: it may; else why not, for people. */
extern char *sd_query_withheld(const SdQuery *query, Oid asker);

/* For whom: the role that asks.  NULL: there is nothing to watch.  until: monotonic; who was not planned by then is not planned at all. */
extern SdQueryWatch *sd_queries_before(SdDryRunQueries mode, Oid asker, int64 until);

/* watch: may be NULL */
extern void sd_queries_after(SdQueryWatch *watch, int64 until, SdRehearsedQueries *result);

/* One query as it is planned now, by the rules above.  NULL: it is; else the error. */
extern ErrorData *sd_query_try(const SdQuery *query, SdQueryPlan *plan);

/* Those that are live now. */
extern List *sd_queries_live(void);

#endif							/* SD_FUNCTIONS_REHEARSE_QUERIES_H */
