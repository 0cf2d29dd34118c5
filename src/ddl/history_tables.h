/*
 * history_tables.h: the tables in which migration tools write down what they have done.
 *
 * Runs in backends and workers; takes no lock, reads the catalogs through their caches.
 */
#ifndef SD_DDL_HISTORY_TABLES_H
#define SD_DDL_HISTORY_TABLES_H

#include "compat.h"

#include "nodes/pg_list.h"

/*
 * Is this relation a tool's history?  By its name and its columns, or by a pattern of policy "history_tables", where "-" in front
 * means that it is none.  Temporary, foreign and schemadrift's own ones are not.
 */
extern bool sd_history_is(Oid relation, List *patterns);

/* The same of a permanent table that is yet to be made; columns: of char *. */
extern bool sd_history_will_be(const char *schema, const char *name, List *columns, List *patterns);

/* Of a partition: the table that it is a part of, which has the name; else the relation itself. */
extern Oid	sd_history_root(Oid relation);

/* All of this database, of Oid, by name; of those with partitions the partitions. */
extern List *sd_history_all(List *patterns);

#endif							/* SD_DDL_HISTORY_TABLES_H */
