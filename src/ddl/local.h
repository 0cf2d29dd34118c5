/*
 * local.h: objects that the group's policy calls local.
 */
#ifndef SD_DDL_LOCAL_H
#define SD_DDL_LOCAL_H

#include "nodes/pg_list.h"

/*
 * A pattern (of sd_policy_local()) is matched with "schema.name", of an index or a constraint that of its table; "*"
 * stands for anything.  A schema itself (name is "") is local where all in it is: if "schema." matches.
 */
extern bool sd_local_matches(List *patterns, const char *schema, const char *name);

/*
 * Is an index of this name what REINDEX CONCURRENTLY has while it runs, and leaves behind when it fails?  REINDEX is local, so that is, too:
 * never in the digest, dropped here alone.
 */
extern bool sd_local_is_leftover(const char *index, bool valid);

#endif							/* SD_DDL_LOCAL_H */
