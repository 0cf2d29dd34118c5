/*
 * rehearsed.h: which scripts dry_run() has found to be good, for policy.
 *
 * Kept in shared memory of the region where dry_run() was called: the newest SD_REHEARSED, until the server restarts.
 */
#ifndef SD_GATE_REHEARSED_H
#define SD_GATE_REHEARSED_H

#include "compat.h"

#include "datatype/timestamp.h"

/* down: NULL for none.  It ran in every region with a schema, left the same in all, and down restored it. */
extern void sd_dry_run_note(const char *up, const char *down);

/* Was it, and when?  Of the same texts, to the byte. */
extern bool sd_dry_run_noted(const char *up, const char *down, TimestampTz *at);

#endif							/* SD_GATE_REHEARSED_H */
