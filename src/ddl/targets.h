/*
 * targets.h: where the objects that a statement names live.
 */
#ifndef SD_DDL_TARGETS_H
#define SD_DDL_TARGETS_H

#include "nodes/parsenodes.h"

#include "ddl/classify.h"

/* a set of these, over all objects that a statement names */
#define SD_TARGET_ORDINARY		0x01	/* the group's, or not there (yet) */
#define SD_TARGET_TEMPORARY		0x02	/* in this session's temporary schema */
#define SD_TARGET_OWN			0x04	/* schemadrift's own */
#define SD_TARGET_LOCAL			0x08	/* local by the group's policy */

extern int	sd_targets_of(Node *stmt, SdIsLocalName is_local);

/* the relation that a RangeVar names now, without a lock; InvalidOid if there is none */
extern Oid	sd_target_relation(const RangeVar *rv);

#endif							/* SD_DDL_TARGETS_H */
