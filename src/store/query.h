/*
 * query.h: queries that live versions of an application rely on, as the log has them.
 *
 * An entry of kind "query" says what one or several of them have become: {"queries": [{"name": ..., "query": ..., "since": ...,
 * "until": ..., "run_as": {...}}, {"name": ..., "removed": true}]}.  The newest word on a name counts, so every region that has the same
 * log has the same queries.
 */
#ifndef SD_STORE_QUERY_H
#define SD_STORE_QUERY_H

#include "compat.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct SdQuery
{
	char	   *name;
	char	   *text;			/* one statement */
	TimestampTz since;			/* DT_NOBEGIN: always was */
	TimestampTz until;			/* DT_NOEND: until it is taken back; then it is live no more */
	char	   *run_as;			/* JSON; ddl/capture.h */
	int64		version;		/* of the log, that says so */
	char	   *author;
	int64		hlc;
} SdQuery;

/* Of SdQuery, by name, in that context.  Needs a scope (sql.h). */
extern List *sd_queries_read(MemoryContext context);

/* NULL: there is none of that name. */
extern SdQuery *sd_query_find(List *queries, const char *name);

extern bool sd_query_is_live(const SdQuery *query, TimestampTz now);

/* Can it be read from such a payload, whoever wrote it?  May raise the error of a time's input function, too. */
extern bool sd_queries_sound(Jsonb *payload);

/* One of the objects in "queries". */
extern char *sd_query_to_json(const SdQuery *query);
extern char *sd_query_removed_json(const char *name);

#endif							/* SD_STORE_QUERY_H */
