/*
 * look.c: what the functions behind the views look at, and how they make rows; see look.h.
 */
#include "compat.h"

#include "access/xlog.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "clock.h"
#include "functions/group.h"
#include "functions/look.h"
#include "settings.h"

/* ---- what is known of this database ---- */

static void
read_tables(SdHere *here)
{
	SdScope		scope;

	sd_store_enter(&scope);
	here->joined = sd_self_read(&here->self);
	if (here->joined)
	{
		sd_group_members(scope.caller, &here->members);
		sd_applied_read(&here->applied);
		sd_log_head(&here->head);
	}
	here->objects = sd_store_objects_version();
	sd_store_leave(&scope);
}

void
sd_here_shared(SdHere *here)
{
	SdDatabase *db = sd_shared_mine();
	Size		size = offsetof(SdDatabase, peers) + sizeof(SdPeerState) * sd_max_regions;

	if (db == NULL)
		return;
	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	here->coordinator_pid = db->coordinator_pid;
	here->coordinator = db->coordinator_pid != 0;
	here->coordinator_since = here->coordinator ? sd_here_wall(db->started_us) : db->ended_at;
	LWLockRelease(&sd_shared->lock);

	here->db = palloc(size);
	LWLockAcquire(&db->lock, LW_SHARED);
	memcpy(here->db, db, size);
	LWLockRelease(&db->lock);
}

SdHere *
sd_here(void)
{
	SdHere	   *here = palloc0(sizeof(SdHere));

	here->standby = RecoveryInProgress();
	if (!here->standby)
		read_tables(here);
	sd_here_shared(here);
	return here;
}

bool
sd_here_is_member(const SdHere *here)
{
	int			at = sd_config_find(&here->members.config, here->self.region);

	return at >= 0 && here->members.config.member[at].incarnation >= here->self.incarnation;
}

SdPeerState *
sd_here_peer(const SdHere *here, const char *region)
{
	for (int i = 0; here->db && i < here->db->n_peers; i++)
		if (strcmp(here->db->peers[i].region, region) == 0)
			return &here->db->peers[i];
	return NULL;
}

TimestampTz
sd_here_wall(int64 monotonic_us)
{
	return GetCurrentTimestamp() - (sd_monotonic_us() - monotonic_us);
}

/* Where there are others it turns with each heartbeat; alone it may have nothing to do. */
bool
sd_here_coordinator_hangs(const SdHere *here)
{
	int64		long_us = 5 * (SD_US_PER_S + (int64) sd_heartbeat_interval * SD_US_PER_MS);

	return here->coordinator && here->joined && here->members.config.n > 1 && here->db->turn_us > 0 &&
		sd_monotonic_us() - here->db->turn_us > long_us;
}

bool
sd_here_coordinator_stands(const SdHere *here)
{
	return sd_shared_waits_for_standby(sd_shared_mine()) || sd_here_coordinator_hangs(here);
}

bool
sd_here_is_starting(const SdHere *here)
{
	return here->db->state == SD_REGION_NOT_JOINED && sd_here_is_member(here);
}

bool
sd_here_is_own(const SdHere *here, const char *region)
{
	return strcmp(region, here->self.region) == 0;
}

bool
sd_here_is_silent(const SdPeerState *peer)
{
	int64		lately = Max(4 * (int64) sd_heartbeat_interval * SD_US_PER_MS, 4 * SD_US_PER_S);

	return peer->last_heard == 0 || sd_monotonic_us() - peer->last_heard_us > lately;
}

bool
sd_here_verify_overdue(TimestampTz verified_at)
{
	return sd_verify_interval > 0 && verified_at != 0 &&
		TimestampDifferenceMilliseconds(verified_at, GetCurrentTimestamp()) > 3000 * (int64) sd_verify_interval;
}

/* ---- rows ---- */

void
sd_view_put(SdViewRow *row, Datum value, bool isnull)
{
	Assert(row->n < (int) lengthof(row->values));
	row->values[row->n] = value;
	row->nulls[row->n++] = isnull;
}

void
sd_view_null(SdViewRow *row)
{
	sd_view_put(row, (Datum) 0, true);
}

void
sd_view_text(SdViewRow *row, const char *text)
{
	int			length = text ? pg_mbcliplen(text, strlen(text), strlen(text)) : 0;

	sd_view_put(row, length > 0 ? PointerGetDatum(cstring_to_text_with_len(text, length)) : (Datum) 0, length == 0);
}

void
sd_view_int64(SdViewRow *row, int64 value)
{
	sd_view_put(row, Int64GetDatum(value), false);
}

void
sd_view_time(SdViewRow *row, TimestampTz value)
{
	sd_view_put(row, TimestampTzGetDatum(value), value == 0);
}

void
sd_view_finish(FunctionCallInfo fcinfo, SdViewRow *row)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	/* the SQL objects may be older than this library, and lack the last columns */
	Assert(row->n >= result->setDesc->natts);
	tuplestore_putvalues(result->setResult, result->setDesc, row->values, row->nulls);
}
