/*
 * lag.c: how far the replication of rows is behind: its standbys, those who subscribe, and what this server subscribes to.
 *
 * Process: the coordinator.  Every few seconds one of a server's coordinators looks, for all of them: what is looked at is the
 * server's.  Writes nothing to a table.  What is told moves in steps: a number that is another one each time would be told to
 * everybody with each heartbeat.
 */
#include "compat.h"

#include "store/sql.h"
#include "worker/coordinator.h"

#define LOOK_EVERY_US	(5 * SD_US_PER_S)

/* Less than that is nothing new; nor is less than a quarter. */
#define STEP_MS			INT64CONST(1000)
#define STEP_BYTES		(INT64CONST(16) * 1024 * 1024)

typedef struct Lag
{
	int64		ms;
	int64		bytes;
} Lag;

static void
read_lag(SdCoordinator *c, void *arg)
{
	/* the time of a subscription's last message says nothing: on an idle one there is none for half a minute */
	static SdStatement statement = {
		.sql = "SELECT count(*), coalesce(max(ms), 0)::bigint, coalesce(max(bytes), 0)::bigint FROM ("
		"SELECT extract(epoch FROM greatest(write_lag, flush_lag, replay_lag)) * 1000 AS ms, "
		"pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) AS bytes FROM pg_stat_replication WHERE state <> 'backup' "
		"UNION ALL SELECT NULL, pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(confirmed_flush_lsn, restart_lsn)) "
		"FROM pg_replication_slots WHERE NOT temporary AND restart_lsn IS NOT NULL "
		"UNION ALL SELECT NULL, pg_wal_lsn_diff(received_lsn, latest_end_lsn) FROM pg_stat_subscription WHERE received_lsn IS NOT NULL) l"
	};
	Lag		   *lag = arg;

	(void) c;
	sd_store_run(&statement, NULL, NULL, 1);
	if (sd_store_int64(0, 1) > 0)
		*lag = (Lag) {sd_store_int64(0, 2), Max(sd_store_int64(0, 3), 0)};
}

/* False: another coordinator of this server looked a moment ago, and this is what it saw. */
static bool
is_my_turn(int64 now, Lag *seen)
{
	bool		mine;

	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	mine = sd_shared->lag_at_us == 0 || now - sd_shared->lag_at_us >= LOOK_EVERY_US;
	if (mine)
		sd_shared->lag_at_us = now;
	*seen = (Lag) {sd_shared->lag_ms, sd_shared->lag_bytes};
	LWLockRelease(&sd_shared->lock);
	return mine;
}

static void
step(int64 *shown, int64 now, int64 least)
{
	if (*shown < 0 || now < 0 || llabs((long long) (now - *shown)) > Max(least, *shown / 4))
		*shown = now;
}

void
sd_lag_look(SdCoordinator *c, int64 now)
{
	Lag			lag;

	if (is_my_turn(now, &lag))
	{
		lag = (Lag) {-1, -1};
		if (!sd_coordinator_transaction(c, read_lag, &lag, false))
			return;
		LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
		sd_shared->lag_ms = lag.ms;
		sd_shared->lag_bytes = lag.bytes;
		LWLockRelease(&sd_shared->lock);
	}
	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	step(&c->db->lag_ms, lag.ms, STEP_MS);
	step(&c->db->lag_bytes, lag.bytes, STEP_BYTES);
	LWLockRelease(&c->db->lock);
}
