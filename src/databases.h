/*
 * databases.h: what a backend does for the launcher: tells it of extensions and databases that come and go, and
 * empties a database of our processes before a command that needs it empty.
 */
#ifndef SD_DATABASES_H
#define SD_DATABASES_H

#include "catalog/objectaccess.h"
#include "nodes/nodes.h"
#include "tcop/utility.h"

/* Something was made, altered or dropped: the gate's hook hands it on. */
extern void sd_databases_object_access(ObjectAccessType access, Oid class_id, Oid object_id);

/*
 * Before a utility statement runs.  DROP DATABASE, CREATE DATABASE ... TEMPLATE, ALTER DATABASE ... RENAME and
 * SET TABLESPACE fail after five seconds where a worker or a peer's connection is; so these are stopped, and none is
 * started before the transaction ends, however it ends.  Any other statement: does nothing.
 */
extern void sd_databases_before(Node *stmt, ProcessUtilityContext context);

/* Why this database may be without its coordinator, in words, for `status`; NULL: no reason is known.  workers: too few of them. */
extern char *sd_databases_trouble(bool *workers);

#endif							/* SD_DATABASES_H */
