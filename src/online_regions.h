/*
 * online_regions.h: how far each region is with an online entry, and what that makes of it.
 *
 * Backend and workers: tables decide for the own region, what others told (SdDatabase.peers) for them.
 */
#ifndef SD_ONLINE_REGIONS_H
#define SD_ONLINE_REGIONS_H

#include "compat.h"

#include "shared.h"
#include "store/state.h"

typedef struct SdOnlineRegion
{
	char		region[SD_NAME_SIZE];
	bool		own;
	bool		serves;			/* its result is waited for */
	bool		heard;			/* lately */
	SdTaskReport report;		/* state "": it has not recorded the entry, or not told */
} SdOnlineRegion;

typedef struct SdOnlineView
{
	int			n;
	SdOnlineRegion region[SD_MAX_REGIONS];
} SdOnlineView;

/* Needs a scope (store/sql.h); takes db->lock. */
extern void sd_online_view(SdDatabase *db, int64 version, SdOnlineView *view);

typedef enum SdOnlineVerdict
{
	SD_ONLINE_WAIT,
	SD_ONLINE_OK,				/* every serving region has finished */
	SD_ONLINE_FAILED			/* a region cannot, for good */
} SdOnlineVerdict;

/* An attempt failed, and it is tried again; or it failed for good, and the result is to come.  Any of SD_MAX_TASKS reports. */
extern bool sd_online_fails(const SdTaskReport *report);
extern bool sd_online_any_fails(const SdTaskReport *reports);

/* who: index of the region that failed, or of one that is waited for. */
extern SdOnlineVerdict sd_online_verdict(const SdOnlineView *view, int *who);

/* A line for each region: "eu: open, 12 of 40" */
extern char *sd_online_lines(const SdOnlineView *view);

/* The own region's reports, for telemetry and views; needs a scope. */
extern void sd_online_own_reports(SdDatabase *db, SdTaskReport *reports);

#endif							/* SD_ONLINE_REGIONS_H */
