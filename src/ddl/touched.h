/*
 * touched.h: the set of catalog objects that a transaction's DDL touched.
 *
 * The gate fills it while a captured change executes, from the object access hook and from the statements themselves;
 * sd_digest_update() consumes it.  An object too many costs microseconds, an object too few is drift nobody
 * sees: so everything here errs to the first side, and entries of a rolled-back subtransaction simply stay.
 */
#ifndef SD_TOUCHED_H
#define SD_TOUCHED_H

#include "catalog/objectaccess.h"
#include "nodes/nodes.h"
#include "utils/palloc.h"

typedef struct SdTouched SdTouched;

/* An empty set in a context of its own below parent; it lives as long as parent, or until it is freed. */
extern SdTouched *sd_touched_create(MemoryContext parent);
extern void sd_touched_free(SdTouched *set);

/* The body of an object_access_hook.  Takes no lock on a user's object and reads little: it may run anywhere. */
extern void sd_touched_object_access(SdTouched *set, ObjectAccessType access, Oid classid, Oid objid, int subid,
									 void *arg);

/*
 * What the object access hook misses (row security, replica identity, attached indexes; privileges, comments, security labels):
 * the targets of a utility statement, resolved by name without locks on relations.  To be called as the executing user before
 * the statement runs.
 */
extern void sd_touched_statement(SdTouched *set, Node *parsetree);

/* One object by hand. */
extern void sd_touched_add(SdTouched *set, Oid classid, Oid objid);

/* It cannot be told what was touched: hash everything again. */
extern void sd_touched_everything(SdTouched *set);

extern bool sd_touched_is_empty(const SdTouched *set);

#endif							/* SD_TOUCHED_H */
