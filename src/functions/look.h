/*
 * look.h: what the functions behind the views look at, and how they make rows.
 *
 * Runs in backends.  Works in every state: not in a group, without a coordinator, on a standby.
 */
#ifndef SD_FUNCTIONS_LOOK_H
#define SD_FUNCTIONS_LOOK_H

#include "compat.h"

#include "fmgr.h"
#include "nodes/pg_list.h"

#include "shared.h"
#include "store/state.h"

/* ---- what is known of this database ---- */

typedef struct SdHere
{
	bool		standby;
	bool		joined;
	SdSelf		self;
	SdMembers	members;
	SdApplied	applied;
	SdHead		head;
	char	   *objects;		/* version of the SQL objects */
	bool		coordinator;	/* it runs */
	int			coordinator_pid;
	TimestampTz coordinator_since;	/* since when it does, or does not; 0: it has not since the server's start */
	SdDatabase *db;				/* a copy, peers and decisions included; NULL: this database has none */
} SdHere;

/* Tables in a scope, then shared memory, copied under its locks, one at a time. */
extern SdHere *sd_here(void);

/* Shared memory only. */
extern void sd_here_shared(SdHere *here);

/* False once the log says that this region was removed.  One whose place another server took is void, not removed. */
extern bool sd_here_is_member(const SdHere *here);

extern bool sd_here_is_own(const SdHere *here, const char *region);

/* What is known of another region; NULL: nothing. */
extern SdPeerState *sd_here_peer(const SdHere *here, const char *region);

/* Not heard of for so long that what it told may not be true any more. */
extern bool sd_here_is_silent(const SdPeerState *peer);

/* Is it too long ago that the schema was compared with its digests?  0: it was not since the server's start, which is known of nobody. */
extern bool sd_here_verify_overdue(TimestampTz verified_at);

/* It runs, and has done nothing for so long that it hangs, or is stopped. */
extern bool sd_here_coordinator_hangs(const SdHere *here);

/* So, or it waits for a synchronous standby: what it last knew of others, and of an open change here, may not be true any more. */
extern bool sd_here_coordinator_stands(const SdHere *here);

/* A time that was measured by this server's monotonic clock. */
extern TimestampTz sd_here_wall(int64 monotonic_us);

/* A member whose coordinator has not said yet how it is. */
extern bool sd_here_is_starting(const SdHere *here);

/* ---- rows ---- */

/* A row in the making: columns are put from left to right. */
typedef struct SdViewRow
{
	int			n;
	Datum		values[32];
	bool		nulls[32];
} SdViewRow;

extern void sd_view_put(SdViewRow *row, Datum value, bool isnull);
extern void sd_view_null(SdViewRow *row);

/* Null where empty.  A text that was cut to fit shared memory may end within a character. */
extern void sd_view_text(SdViewRow *row, const char *text);
extern void sd_view_int64(SdViewRow *row, int64 value);
extern void sd_view_time(SdViewRow *row, TimestampTz value);	/* null where 0 */

/* Into the result of a function that has called InitMaterializedSRF(). */
extern void sd_view_finish(FunctionCallInfo fcinfo, SdViewRow *row);

#endif							/* SD_FUNCTIONS_LOOK_H */
