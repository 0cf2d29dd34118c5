/*
 * suspect.h: changes of the catalogs that the gate does not look at.
 *
 * A superuser's UPDATE of pg_class, an extension's C code that makes a table: nothing is refused, and nothing is known of what it
 * did.  But once such a transaction has committed, the coordinator is told to have the whole schema looked at.
 */
#ifndef SD_GATE_SUSPECT_H
#define SD_GATE_SUSPECT_H

#include "compat.h"

#include "nodes/parsenodes.h"

extern void sd_suspect_init(void);

/* This transaction did so. */
extern void sd_suspect_note(void);

/* It fails, and left something all the same: it has committed in between. */
extern void sd_suspect_note_failed(void);

/* It changed what the schemas of this server's other databases name: a role. */
extern void sd_suspect_note_elsewhere(void);

/* A transaction is about to be committed that was prepared, by whomever. */
extern void sd_suspect_commit_prepared(void);

/* A statement is about to write rows: those of histories are looked at, too (history.h).  The executor does not tell of COPY. */
extern void sd_suspect_before_copy(const CopyStmt *stmt);

/* An access to an object outside of any statement that the gate looks at. */
extern void sd_suspect_object(Oid class_id, Oid object_id);

#endif							/* SD_GATE_SUSPECT_H */
