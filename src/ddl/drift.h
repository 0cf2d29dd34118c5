/*
 * drift.h: where this region's schema is otherwise than the log says.
 *
 * The log says what each object is: an entry carries the digest of each object that it changed, the baseline stands for the
 * rest.  Drift is a row for each object for which it is otherwise here, written in the transaction that changes schema or
 * digest.  So no other region is needed to know one's own drift.  Rules:
 *
 * - A change outside the log makes rows; one that takes another back removes them, and settles that one's dot.
 * - A coordinated change that touches an object with a row is refused at its origin.
 * - An object that an applied entry changed must be what the entry says; then its row goes.
 *
 * The logged root is the digest of the schema as the log says it is: the root here, less what is otherwise, plus what that
 * should be.  It is the same in all regions at the same version that skipped nothing, and is what entries carry.
 *
 * All functions need a scope (store/sql.h), and the digest table up to date; those that write need the DDL lock.
 */
#ifndef SD_DDL_DRIFT_H
#define SD_DDL_DRIFT_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "ddl/beside.h"
#include "ddl/digest.h"
#include "store/drift.h"

/* Of the digest table's root, or of another one that the same rows are about. */
extern SdDigest sd_drift_logged_root(void);
extern SdDigest sd_drift_logged_root_of(const SdDigest *root);

/* A number over this region's rows that differs when one does; 0: there are none.  *count, unless NULL: how many. */
extern int64 sd_drift_tag(int64 *count);

/* The same over rows that were read already (store/drift.h): of a true copy it is the number that the region tells. */
extern int64 sd_drift_tag_of(List *rows);

/*
 * changed: of SdObjectDigest, by a change outside the log.  change: its dot, or 0.  found: a word of SD_FOUND_... (store/drift.h).
 * Of objects that an online version works on there is no digest to compare: they get a row all the same, until its result is applied.
 */
extern void sd_drift_outside(List *changed, int64 change, const char *found);

/*
 * The same for what was found to have gone past every hook: it gets a dot of its own, of mode "found", unless there is one of which
 * nothing was seen yet.
 */
extern void sd_drift_found(List *changed, List *beside);

/* The same for what is known to differ when this region joins: acknowledged with this reason, and of one dot of mode "adopt". */
extern void sd_drift_adopt(List *changed, const char *reason);

/*
 * The digest table was made in another canonical form, or without regard to the patterns of local objects that policy has now: made
 * anew, and *root is its root.  An object that became local is no drift any more; one that is local no longer is in no version of the log,
 * and becomes drift.  In another form nothing can be said of what was known as drift: it is forgotten.  False: it fits.
 */
extern bool sd_drift_rebase(SdDigest *root);

/*
 * The whole schema against the digest table.  First without the DDL lock: adds to the set what may have changed past every hook; returns
 * how many objects there are.  Then, if that found any, with it: looks at those again, and what did change becomes drift.
 */
extern int64 sd_drift_suspect(SdTouched *set, int *n);
extern void sd_drift_settle(SdTouched *set);

/*
 * At the origin of an entry that makes these rows (of SdDriftRow) the group's: they go.  Returns the objects as the entry is to have them, of
 * SdObjectDigest; adds to *beside what no digest counts.  40001 if one of them is not what it was when the rows were read.
 */
extern List *sd_drift_accept(List *accepted, List **beside);

/* At the origin of a coordinated change: error SD008 if it changed an object that is otherwise here than the log says. */
extern void sd_drift_refuse(List *changed);
extern void sd_drift_refuse_rows(List *rows) pg_attribute_noreturn();

/* The same for the relations (of char *) that an online entry is to work on, and for what hangs on them. */
extern void sd_drift_refuse_relations(List *relations);

/*
 * Is it of this relation, by its identity?  An index, or a sequence that a column owns, is by what its definition says, the rest by name;
 * the relation itself is, too.
 */
extern bool sd_drift_hangs_on(const SdDriftRow *row, const char *relation);

/*
 * An entry was applied: objects as it has them (the array of its payload), changed as it came out here.
 *	 SD_DRIFT_ALL	what the entry did not change at its origin must not change here, unless it had drifted
 *	 SD_DRIFT_SOME	this region was not where the origin was: only the entry's objects are looked at
 *	 SD_DRIFT_HAND	somebody did it by hand: what else changed is drift
 *	 SD_DRIFT_ADOPTED	it adopts what another region has of its own: what else changed is drift, until that is adopted, too
 * Returns what is otherwise than the entry says, a line each; NULL: nothing.  warn: it has become drift then; else the caller
 * raises an error.
 */
typedef enum SdDriftExtent
{
	SD_DRIFT_ALL,
	SD_DRIFT_SOME,
	SD_DRIFT_HAND,
	SD_DRIFT_ADOPTED
} SdDriftExtent;

/* Are these objects of an entry here as it says, before it is run? */
extern bool sd_drift_already(Jsonb *objects);

extern char *sd_drift_applied(Jsonb *objects, List *changed, SdDriftExtent extent, bool warn);

/*
 * The same for what no digest counts (beside.h; drift_beside.c): changes are of SdBesideChange.  An entry halts nobody over it: what it leaves
 * otherwise is drift.  rows: this region's, of SdDriftRow, as they were before the entry.
 */
extern void sd_drift_beside_outside(List *changes, int64 change, const char *found);
extern void sd_drift_beside_refuse(List *changes);
extern SdBesideChange *sd_drift_beside_accepted(const SdDriftRow *row);
extern char *sd_drift_beside_to_json(List *changes);	/* elements of the entry's array; NULL: none */
extern bool sd_drift_beside_already(Jsonb *payload);
extern void sd_drift_beside_applied(Jsonb *payload, List *rows, List *changes);

/* An online version has its result: what was noted of the objects it worked on is drift by now, or nothing. */
extern void sd_drift_thaw(void);

/* An entry with digests of another canonical form: what it says of its objects cannot be checked, and is believed. */
extern void sd_drift_applied_unchecked(Jsonb *objects);

#endif							/* SD_DDL_DRIFT_H */
