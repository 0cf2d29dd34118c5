/*
 * telemetry.h: what this region tells of itself: tables for what decides, shared memory for the rest.
 */
#ifndef SD_STORE_TELEMETRY_H
#define SD_STORE_TELEMETRY_H

#include "shared.h"
#include "store/state.h"

/* Nothing is said yet. */
extern void sd_telemetry_clear(SdTelemetry *telemetry);

/*
 * What the tables say, which changes with them, and what shared memory says, which changes at any time and is added to the first.
 * self: as in the tables; valid: of it.  The first needs a scope (sql.h), both take db->lock.  Neither says when it is told.
 */
extern void sd_telemetry_from_tables(SdDatabase *db, const SdSelf *self, SdTelemetry *own);
extern void sd_telemetry_add_shared(SdDatabase *db, bool valid, SdTelemetry *own);

/*
 * A number that databases of one running server have in common, and no others.  Not the system identifier: two servers have the same one
 * if one was made of the other's files.
 */
extern uint64 sd_telemetry_server(void);

/*
 * What is told to one region only: how many votes it is known to have cast under that incarnation, kept of them in table peer,
 * and whether two servers speak in its name.  Takes db->lock.
 */
extern void sd_telemetry_remember(SdDatabase *db, const char *region, int32 incarnation, int64 kept, SdTelemetry *own);

/*
 * Notes: whatever is told besides the columns that every protocol number has, as lines "name value".  A name that the
 * reader does not know is passed over, so that a newer region can tell more.  Adding one is adding a line to each of
 * the two functions.  Neither needs a transaction; the text comes from outside and is believed in nothing.
 */
extern char *sd_telemetry_write_notes(const SdTelemetry *own);
extern void sd_telemetry_read_notes(const char *notes, SdTelemetry *told);

#endif							/* SD_STORE_TELEMETRY_H */
