/*
 * history.h: questions about what was proposed and what became of it in this region.
 *
 * All of them need a scope (sql.h) and lock nothing.
 */
#ifndef SD_STORE_HISTORY_H
#define SD_STORE_HISTORY_H

#include "compat.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"


/* The newest migration of a name; taken_back: the version that reverts or supersedes it, else 0.  0: none. */
extern int64 sd_history_newest(const char *name, int64 *taken_back);

/* The version that takes this one back; 0: none. */
extern int64 sd_history_taken_back(int64 version);

/* 'applied', 'skipped'; NULL: before this region's time, or not dealt with yet. */
extern const char *sd_history_execution(int64 version);

/* What became of an entry: applied, chosen, rejected, undecided; NULL: never heard of. */
extern const char *sd_history_outcome(const pg_uuid_t *entry_id);

/* What became of the newest entry or attempt of that name, in the same words, or reverted; NULL: never heard of. */
extern const char *sd_history_outcome_of_name(const char *name);

#endif							/* SD_STORE_HISTORY_H */
