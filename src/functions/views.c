/*
 * views.c: rows of the views that show how a region is and what it does: status, migration_status, decisions.
 *
 * Runs in backends, on a look at tables and shared memory (look.h).
 */
#include "compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "functions/alerts.h"
#include "gate/mode.h"
#include "progress.h"

PG_FUNCTION_INFO_V1(sd_status_rows);
PG_FUNCTION_INFO_V1(sd_progress_rows);
PG_FUNCTION_INFO_V1(sd_decision_rows);

/* ---- status ---- */

static const char *
mode_text(SdDdlMode mode)
{
	switch (mode)
	{
		case SD_MODE_OBSERVE:
			return "observe";
		case SD_MODE_COORDINATE:
			return "coordinate";
		case SD_MODE_REQUIRE_APPLY:
			return "require_apply";
		case SD_MODE_DEFAULT:
		case SD_MODE_OFF:
			break;
	}
	return NULL;
}

static long
seconds_since(TimestampTz since)
{
	return TimestampDifferenceMilliseconds(since, GetCurrentTimestamp()) / 1000;
}

/* Who changes the schema just now, so that others wait. */
static char *
blocked_by(const SdHere *here)
{
	const SdDatabase *db = here->db;

	if (db == NULL || sd_here_coordinator_stands(here))
		return NULL;
	if (db->blocked_by_pid != 0 && !sd_ballot_is_none(&db->blocked_by))
		return psprintf("pid %d of %s for %ld s, has the lease", db->blocked_by_pid, db->blocked_by.region, seconds_since(db->blocked_by_since));
	if (!sd_ballot_is_none(&db->blocked_by))
		return psprintf("region %s, has the lease", db->blocked_by.region);
	if (db->ddl_pid != 0)
		return psprintf("pid %d of %s for %ld s%s", db->ddl_pid, db->region, seconds_since(db->ddl_since),
						db->doomed ? ", its version is taken" : "");
	if (db->applying != 0)
		return psprintf("applier, version " INT64_FORMAT ", for %ld s", db->applying, seconds_since(db->applying_since));
	if (db->undecided != 0)
		return psprintf("version " INT64_FORMAT " is not decided yet", db->undecided);
	return NULL;
}

/* One row, whatever happens.  Where this region itself is well, the worst of what it sees elsewhere is worth a word. */
Datum
sd_status_rows(PG_FUNCTION_ARGS)
{
	SdHere	   *here = sd_here();
	SdStatus	status = sd_status(here);
	SdAlert		why = status.alert;
	SdLeader	leader;
	SdViewRow	row = {0};

	InitMaterializedSRF(fcinfo, 0);
	if (why.id == NULL)
	{
		List	   *alerts = sd_alerts(here, &status);

		if (alerts != NIL && ((SdAlert *) linitial(alerts))->severity < SD_NOTICE)
		{
			why = *(SdAlert *) linitial(alerts);
			if (why.region && !sd_here_is_own(here, why.region))
				why.what = psprintf("%s: %s", why.region, why.what);
		}
	}

	sd_view_text(&row, here->joined ? here->self.region : NULL);
	sd_view_text(&row, status.state);
	sd_view_put(&row, Int64GetDatum(here->applied.version), !here->joined);
	sd_view_put(&row, Int64GetDatum(here->head.version), !here->joined);
	sd_view_text(&row, here->joined ? mode_text(sd_gate_group_mode()) : NULL);
	sd_view_text(&row, blocked_by(here));
	sd_view_text(&row, why.what);
	sd_view_text(&row, why.remedy);
	sd_view_text(&row, here->db && sd_shared_leader(here->db, sd_monotonic_us(), &leader) ? leader.ballot.region : NULL);
	sd_view_finish(fcinfo, &row);
	return (Datum) 0;
}

/* ---- how far each region is ---- */

Datum
sd_progress_rows(PG_FUNCTION_ARGS)
{
	SdHere	   *here = sd_here();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < here->members.config.n; i++)
	{
		const SdMember *member = &here->members.config.member[i];
		bool		own = sd_here_is_own(here, member->region);
		const SdPeerState *peer = own ? NULL : sd_here_peer(here, member->region);
		const SdDatabase *db = here->db;
		SdViewRow			row = {0};

		if (sd_members_is_witness(&here->members, i))
			continue;
		sd_view_text(&row, member->region);
		sd_view_put(&row, BoolGetDatum(own), false);
		sd_view_int64(&row, own ? here->applied.version : peer ? peer->told.applied : 0);
		sd_view_int64(&row, own ? (db ? db->halted_at : 0) : peer ? peer->told.halted_at : 0);
		sd_view_put(&row, Int32GetDatum(own ? (db ? db->attempts : 0) : peer ? peer->told.attempts : 0), false);
		sd_view_text(&row, own ? (db ? db->halt_error : NULL) : peer ? peer->told.halt_error : NULL);
		sd_view_int64(&row, own && db ? db->applying : 0);
		sd_view_time(&row, own && db ? db->applying_since : 0);
		sd_view_put(&row, BoolGetDatum(own ? db && sd_progress_is_held(db) : peer && peer->told.held), false);
		sd_view_finish(fcinfo, &row);
	}
	return (Datum) 0;
}

/* ---- decisions ---- */

/* The newest SD_DECISIONS since the server's start, oldest first. */
Datum
sd_decision_rows(PG_FUNCTION_ARGS)
{
	SdHere		here = {0};

	InitMaterializedSRF(fcinfo, 0);
	sd_here_shared(&here);
	if (here.db == NULL)
		return (Datum) 0;
	for (int i = Max(here.db->n_decisions - SD_DECISIONS, 0); i < here.db->n_decisions; i++)
	{
		const SdDecision *d = &here.db->decisions[i % SD_DECISIONS];
		SdViewRow			row = {0};

		sd_view_time(&row, d->at);
		sd_view_int64(&row, d->hlc);
		sd_view_text(&row, d->kind);
		sd_view_text(&row, d->subject);
		sd_view_text(&row, d->outcome);
		sd_view_text(&row, d->votes);
		sd_view_text(&row, d->reason);
		sd_view_finish(fcinfo, &row);
	}
	return (Datum) 0;
}
