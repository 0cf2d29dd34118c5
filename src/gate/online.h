/*
 * online.h: online entries at the gate: proposing one, waiting for it, and keeping other changes off what it works on.
 */
#ifndef SD_GATE_ONLINE_H
#define SD_GATE_ONLINE_H

#include "compat.h"

#include "nodes/plannodes.h"
#include "tcop/cmdtag.h"
#include "utils/jsonb.h"

#include "ddl/capture.h"

/*
 * A statement that commits by itself in the middle, sent by a client at top level: it becomes an online entry, which every
 * region works on; returns when it is done, in a new transaction.
 */
extern void sd_online_route(PlannedStmt *pstmt, const char *query_string, bool top_level, QueryCompletion *completion);

/*
 * The entry of the active change: a text whose statements every region runs one by one.  name NULL: a generated one.
 * target: the version that it takes back; else 0.
 */
extern void sd_online_describe(const char *name, const char *up, const char *down, Jsonb *options, int64 target,
							   List *steps, List *relations, const SdRunAs *run_as);

/*
 * Until the result of an online version is in the log, or only regions that cannot be reached are waited for.  In no
 * transaction, or in that of a procedure CALLed by itself: each look then ends it, and begins another.  An error if the work
 * failed or was cancelled.
 */
extern void sd_online_wait(int64 version);

/* 55006 if an online entry works on one of these (of char *); under the DDL lock. */
extern void sd_online_refuse_conflict(List *relations);

/* The same for a statement that is about to run in the active change. */
extern void sd_online_refuse_statement(Node *stmt);

/*
 * The same for REINDEX, which is local and asks nobody: it would make an index valid that is to be taken back, and what it leaves when
 * it fails would be there in one region only when the result is compared.
 */
extern void sd_online_refuse_reindex(ReindexStmt *stmt);

/* The error for an object that turned out to belong to the work of an online version. */
extern void sd_online_refuse(int64 version, const char *identity) pg_attribute_noreturn();

#endif							/* SD_GATE_ONLINE_H */
