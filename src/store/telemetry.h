/*
 * telemetry.h: what this region tells of itself: tables for what decides, shared memory for the rest.
 */
#ifndef SD_STORE_TELEMETRY_H
#define SD_STORE_TELEMETRY_H

#include "shared.h"

/* Needs a scope (sql.h); takes db->lock. */
extern void sd_telemetry_own(SdDatabase *db, SdTelemetry *own);

#endif							/* SD_STORE_TELEMETRY_H */
