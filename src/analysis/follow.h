/*
 * follow.h: the live catalogs without what the script dropped before.
 *
 * What a DROP takes with it is found as the server finds it, by pg_depend.  An object is going while the statement that drops
 * it is looked at, and gone after it.
 */
#ifndef SD_ANALYSIS_FOLLOW_H
#define SD_ANALYSIS_FOLLOW_H

#include "compat.h"

#include "analysis/facts.h"
#include "analysis/world.h"

/* It, and what goes without CASCADE: its own columns, indexes, constraints, triggers, sequences, types.  column 0: all of it. */
extern void sd_follow_drop(SdWorld *world, Oid class_id, Oid object, AttrNumber column);

/* What depends on what is going is going, too. */
extern void sd_follow_cascade(SdWorld *world);

/* The statement has run: what was going is gone; with CASCADE what depends on it, too. */
extern void sd_follow_done(SdWorld *world, bool cascade);

/* Another name, owner or definition: it is there still, but not as the catalog has it. */
extern void sd_follow_change(SdWorld *world, Oid class_id, Oid object);

extern bool sd_follow_is_gone(SdWorld *world, Oid class_id, Oid object);
extern bool sd_follow_is_changed(SdWorld *world, Oid class_id, Oid object);

/* As sd_fact_...(), without what is gone; dependents: nor going. */
extern List *sd_follow_indexes(SdWorld *world, const SdThing *table);
extern List *sd_follow_constraints(SdWorld *world, const SdThing *table);
extern SdTableConstraint *sd_follow_constraint(SdWorld *world, const SdThing *table, const char *name);	/* by the name it has now */
extern List *sd_follow_foreign_keys(SdWorld *world, const SdThing *table);
extern List *sd_follow_referencing(SdWorld *world, const SdThing *table);
extern List *sd_follow_dependents(SdWorld *world, Oid class_id, Oid object, AttrNumber column);

/* The default of the column in the catalog is no longer that. */
extern void sd_follow_default(SdWorld *world, const SdThing *table, const SdColumn *column);

/* Has a column of the table this type still, or one that is made of it? */
extern bool sd_follow_uses_type(SdThing *table, Oid type);

#endif							/* SD_ANALYSIS_FOLLOW_H */
