/*
 * online_regions.c: how far each region is with an online entry; see online_regions.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"

#include "clock.h"
#include "online_regions.h"
#include "settings.h"
#include "store/task.h"

/* ---- the own region ---- */

/* Of the build that runs in a process: what it does, and how far that is. */
static void
read_progress(int pid, SdTaskReport *report)
{
	static SdStatement statement = {
		.sql = "SELECT phase, CASE WHEN blocks_total > 0 THEN blocks_done ELSE tuples_done END, "
		"CASE WHEN blocks_total > 0 THEN blocks_total ELSE tuples_total END FROM pg_stat_progress_create_index WHERE pid = $1",
		.nargs = 1, .types = {INT4OID}
	};

	if (sd_store_run(&statement, (Datum[]) {Int32GetDatum(pid)}, NULL, SD_ANY_ROWS) == 0)
		return;
	sd_shared_copy(report->what, sizeof(report->what), sd_store_text(0, 1));
	report->done = sd_store_int64(0, 2);
	/* 0 is for a task that does nothing just now: what it says is why */
	report->total = Max(sd_store_int64(0, 3), 1);
}

void
sd_online_own_reports(SdDatabase *db, SdTaskReport *reports)
{
	List	   *tasks = sd_task_list();
	int64		running;
	int			pid;
	ListCell   *lc;
	int			n = 0;

	memset(reports, 0, sizeof(SdTaskReport) * SD_MAX_TASKS);
	if (tasks == NIL)
		return;
	LWLockAcquire(&db->lock, LW_SHARED);
	running = db->task_version;
	pid = db->task_runner;
	LWLockRelease(&db->lock);
	foreach(lc, tasks)
	{
		SdTask	   *task = lfirst(lc);
		SdTaskReport *report = &reports[n++];

		report->version = task->version;
		strlcpy(report->state, sd_task_state_text(task->state), sizeof(report->state));
		sd_shared_copy(report->what, sizeof(report->what), task->error);
		if (task->version == running && pid != 0)
			read_progress(pid, report);
		if (n == SD_MAX_TASKS)
			break;
	}
}

/* ---- all regions ---- */

bool
sd_online_fails(const SdTaskReport *report)
{
	return report->version > 0 && report->total == 0 && report->what[0] && strcmp(report->state, "done") != 0;
}

bool
sd_online_any_fails(const SdTaskReport *reports)
{
	for (int i = 0; i < SD_MAX_TASKS; i++)
		if (sd_online_fails(&reports[i]))
			return true;
	return false;
}

static const SdTaskReport *
find_report(const SdTaskReport *reports, int64 version)
{
	for (int i = 0; i < SD_MAX_TASKS; i++)
		if (reports[i].version == version)
			return &reports[i];
	return NULL;
}

void
sd_online_view(SdDatabase *db, int64 version, SdOnlineView *view)
{
	int64		lately = Max(4 * (int64) sd_heartbeat_interval * SD_US_PER_MS, 4 * SD_US_PER_S);
	int64		now = sd_monotonic_us();
	SdTaskReport own[SD_MAX_TASKS];
	SdMembers	members;
	SdSelf		self;

	memset(view, 0, sizeof(*view));
	if (!sd_self_read(&self))
		return;
	sd_members_read(&members);
	sd_online_own_reports(db, own);

	LWLockAcquire(&db->lock, LW_SHARED);
	for (int i = 0; i < members.config.n; i++)
	{
		const SdMember *member = &members.config.member[i];
		SdOnlineRegion *region = &view->region[view->n];
		const SdTaskReport *report = NULL;

		if (member->role == SD_ROLE_WITNESS)
			continue;
		view->n++;
		strlcpy(region->region, member->region, sizeof(region->region));
		region->serves = !member->suspended;
		region->own = strcmp(member->region, self.region) == 0;
		if (region->own)
		{
			region->heard = true;
			report = find_report(own, version);
		}
		for (int p = 0; !region->own && p < db->n_peers; p++)
		{
			const SdPeerState *peer = &db->peers[p];

			if (strcmp(peer->region, member->region) != 0 || peer->last_heard == 0 ||
				peer->told.incarnation != member->incarnation)
				continue;
			region->heard = now - peer->last_heard_us < lately;
			report = find_report(peer->told.tasks, version);
		}
		if (report)
			region->report = *report;
	}
	LWLockRelease(&db->lock);
}

SdOnlineVerdict
sd_online_verdict(const SdOnlineView *view, int *who)
{
	SdOnlineVerdict verdict = view->n > 0 ? SD_ONLINE_OK : SD_ONLINE_WAIT;

	*who = -1;
	for (int i = 0; i < view->n; i++)
	{
		const SdOnlineRegion *region = &view->region[i];

		if (strcmp(region->report.state, "failed") == 0)
		{
			*who = i;
			return SD_ONLINE_FAILED;
		}
		if (!region->serves || strcmp(region->report.state, "done") == 0)
			continue;
		verdict = SD_ONLINE_WAIT;
		/* one that is there is waited for rather than one that is not */
		if (*who < 0 || region->heard)
			*who = i;
	}
	return verdict;
}

char *
sd_online_lines(const SdOnlineView *view)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < view->n; i++)
	{
		const SdOnlineRegion *region = &view->region[i];

		appendStringInfo(&out, "%s%s: %s", out.len > 0 ? "\n" : "", region->region,
						 region->report.state[0] ? region->report.state :
						 region->heard ? "has not recorded it yet" : "not heard of lately");
		if (region->report.total > 0)
			appendStringInfo(&out, ", " INT64_FORMAT " of " INT64_FORMAT, region->report.done, region->report.total);
		if (region->report.what[0])
			appendStringInfo(&out, ", %s", region->report.what);
	}
	return out.data;
}
