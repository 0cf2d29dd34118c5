/*
 * change.h: the schema change of the current transaction, as the gate sees it.
 *
 * Backend only.  What the transaction did is kept by ddl/capture.h; this is the side that asks the coordinator:
 * docs/protocol.md, "Committing a change", steps 1, 3, 4 and 5.
 */
#ifndef SD_GATE_CHANGE_H
#define SD_GATE_CHANGE_H

#include "compat.h"

#include "nodes/pg_list.h"
#include "utils/uuid.h"

extern void sd_change_init(void);

/*
 * Before PostgreSQL executes a coordinated statement, so before any lock on a user's object: takes the DDL lock and
 * gets the promise of a majority, once a transaction; the needs ("role:x", "extension:y", "collation:z") are looked
 * at for every statement.  Of the first call of a transaction they may also be "voter:NAME" and "voter:*" (this region, all,
 * must agree besides a majority) and "barrier:N" (the version that every serving region must have applied; -1 is the
 * newest one).  Refuses by an error.
 */
extern void sd_change_begin(List *needs);

/* As sd_change_begin, for an entry that takes back what this region itself may be unable to apply. */
extern void sd_change_begin_supersede(List *needs);

/*
 * As sd_change_begin, for a change of the group itself: its members, its policy.  Policy "quorum" does not hold for what may
 * have to change it.
 */
extern void sd_change_begin_config(void);

/*
 * As sd_change_begin, for rows of a migration tool's history, which go with whatever the entry is: also after it was described, if
 * it is one that regions run.
 */
extern void sd_change_begin_rows(List *needs);

/* The entry's barrier, a version of the log. */
extern void sd_change_set_barrier(int64 version);

/*
 * The entry says when this transaction began, for statements that were run as if it were that time (ddl/fill.h).  An error if not all
 * regions understand that.
 */
extern void sd_change_freeze(void);

/* What regions have to know besides of an entry with statements on roles (ddl/roles.h): one that it makes; how this database is called. */
extern void sd_change_note_role(const char *name);
extern void sd_change_note_database(void);

/* true between the first sd_change_begin() and the end of the transaction */
extern bool sd_change_active(void);

/* Of the active change: the version it will be if it is chosen. */
extern int64 sd_change_version(void);
extern const pg_uuid_t *sd_change_entry_id(void);

/*
 * What the entry will be, where plain DDL's captured commands are not it.  payload: the fields of a JSON
 * object without its braces.  applies: this region's schema follows the log to this version with the
 * commit; false only for a supersede proposed by a region that is halted.  All are copied.
 */
extern void sd_change_describe(const char *kind, const char *name, int64 target, const char *payload, bool applies);

/* What was described, if that is an entry of this kind; else NULL.  More of the same kind in its place, which needs no other protocol; copied. */
extern const char *sd_change_payload(const char *kind);
extern void sd_change_extend(const char *payload);

/* Of the entry described: it makes this region's drift the group's; rows of SdDriftRow (store/drift.h), which are copied. */
extern void sd_change_accept(List *rows);

/* The protocol that the entry described needs. */
extern int32 sd_change_protocol(void);

/* The entry's name, shown in messages; before sd_change_describe where it is known earlier. */
extern void sd_change_set_subject(const char *name);

#endif							/* SD_GATE_CHANGE_H */
