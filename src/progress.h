/*
 * progress.h: how far this region's schema has followed the log, told to the other processes of the database.
 *
 * Tables decide (schemadrift_store.applied, .execution); this is their shadow in shared memory: it wakes whoever waits
 * and shows people why a version cannot be applied.  Every function takes db->lock, none may be called with it held.
 */
#ifndef SD_PROGRESS_H
#define SD_PROGRESS_H

#include "shared.h"

/* Attempts of one version after which a passing trouble (a lock, a full disk) counts as a halt. */
#define SD_PASSING_ATTEMPTS 3

/* ... and after which it is given up, if it is taken back: a few minutes, so that a later version that needs it finds it. */
#define SD_GIVE_UP_ATTEMPTS 10

/* The applier starts an attempt; returns how many failed before it. */
extern int	sd_progress_start(SdDatabase *db, int64 version);

/* The applier is idle, or ends. */
extern void sd_progress_stop(SdDatabase *db);

/* Committed: the region is at this version, and whatever halted it is over. */
extern void sd_progress_applied(SdDatabase *db, int64 version);

/* The same once the current transaction commits. */
extern void sd_progress_applied_at_commit(SdDatabase *db, int64 version);

/* The attempt failed: sets when to try again.  True if this halted the region, which it was not before. */
extern bool sd_progress_failed(SdDatabase *db, int64 version, const ErrorData *error);

/* An attempt of what our log takes back fails: shall it be skipped, instead of tried again? */
extern bool sd_progress_gives_up(SdDatabase *db, const ErrorData *error);

/* The whole schema was compared with its digests; or could not be. */
extern void sd_progress_verified(SdDatabase *db, int64 objects, int64 took_us);
extern void sd_progress_not_verified(SdDatabase *db, const char *error);

/* Is it halted because schemadrift.allowed_roles holds the version?  Caller holds db->lock, or a copy. */
extern bool sd_progress_is_held(const SdDatabase *db);

/* A trouble that may pass by itself, and says nothing about the entry. */
extern bool sd_error_passes(int sqlstate);

#endif							/* SD_PROGRESS_H */
