/*
 * lag.c: how far the replication of rows is behind: its standbys, those who subscribe, and what this server subscribes to.
 *
 * Process: the coordinator.  Every few seconds one of a server's coordinators looks, for all of them: what is looked at is the
 * server's.  Writes nothing to a table.  What is told moves in steps: a number that is another one each time would be told to
 * everybody with each heartbeat.
 *
 * The lags of pg_stat_replication are measured when a standby answers: of one that hangs, or is away and has a slot, they say
 * nothing.  So we keep in mind where the end of the WAL was and when, and how long a position is behind follows.
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

typedef struct Seen
{
	Lag			lag;			/* as PostgreSQL says */
	int64		end;			/* of the WAL; 0: nothing is replicated */
	int64		least;			/* the position of who is furthest behind it */
} Seen;

static void
read_lag(SdCoordinator *c, void *arg)
{
	/* the time of a subscription's last message says nothing: on an idle one there is none for half a minute */
	static SdStatement statement = {
		.sql = "SELECT count(*), coalesce(max(ms), 0)::bigint, coalesce(max(greatest(pg_wal_lsn_diff(e.lsn, at), bytes)), 0)::bigint, "
		"pg_wal_lsn_diff(min(e.lsn), '0/0')::bigint, pg_wal_lsn_diff(least(min(at), min(e.lsn)), '0/0')::bigint "
		"FROM (SELECT pg_current_wal_lsn() AS lsn) e, ("
		"SELECT extract(epoch FROM greatest(write_lag, flush_lag, replay_lag)) * 1000 AS ms, replay_lsn AS at, NULL::numeric AS bytes "
		"FROM pg_stat_replication WHERE state <> 'backup' "
		"UNION ALL SELECT NULL, coalesce(confirmed_flush_lsn, restart_lsn), NULL "
		"FROM pg_replication_slots WHERE NOT temporary AND restart_lsn IS NOT NULL "
		"UNION ALL SELECT NULL, NULL, pg_wal_lsn_diff(received_lsn, latest_end_lsn) FROM pg_stat_subscription WHERE received_lsn IS NOT NULL) l"
	};
	Seen	   *seen = arg;

	(void) c;
	sd_store_run(&statement, NULL, NULL, 1);
	if (sd_store_int64(0, 1) > 0)
		*seen = (Seen) {{sd_store_int64(0, 2), Max(sd_store_int64(0, 3), 0)}, sd_store_int64(0, 4), sd_store_int64(0, 5)};
}

/* One in two of the older half goes: the longer ago, the less it matters when exactly. */
static void
make_room(void)
{
	int			n = 0;

	for (int i = 0; i < SD_WAL_MARKS; i++)
		if (i >= SD_WAL_MARKS / 2 || i % 2 == 0)
			sd_shared->lag_marks[n++] = sd_shared->lag_marks[i];
	sd_shared->n_lag_marks = n;
}

/* For how long, at least, there has been something to replicate beyond that position.  Caller holds SdShared.lock. */
static int64
behind_ms(const Seen *seen, int64 now)
{
	SdWalMark  *marks = sd_shared->lag_marks;

	if (sd_shared->n_lag_marks == 0 || marks[sd_shared->n_lag_marks - 1].position < seen->end)
	{
		if (sd_shared->n_lag_marks == SD_WAL_MARKS)
			make_room();
		marks[sd_shared->n_lag_marks++] = (SdWalMark) {now, seen->end};
	}
	for (int i = 0; i < sd_shared->n_lag_marks; i++)
		if (marks[i].position > seen->least)
			return (now - marks[i].at_us) / SD_US_PER_MS;
	return 0;
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
		Seen		seen = {{-1, -1}, 0, 0};

		if (!sd_coordinator_transaction(c, read_lag, &seen, false))
			return;
		LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
		lag = seen.lag;
		if (seen.end > 0)
			lag.ms = Max(lag.ms, behind_ms(&seen, now));
		else
			sd_shared->n_lag_marks = 0;
		sd_shared->lag_ms = lag.ms;
		sd_shared->lag_bytes = lag.bytes;
		LWLockRelease(&sd_shared->lock);
	}
	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	step(&c->db->lag_ms, lag.ms, STEP_MS);
	step(&c->db->lag_bytes, lag.bytes, STEP_BYTES);
	LWLockRelease(&c->db->lock);
}
