/*
 * ask.c: a backend's requests to its coordinator, and what their results are as errors.
 *
 * A request and its result go through SdDatabase.proposal, which belongs to the holder of the DDL lock, under
 * SdDatabase.lock; waiting is on SdDatabase.changed.
 */
#include "compat.h"

#include "common/string.h"
#include "storage/proc.h"
#include "utils/snapmgr.h"

#include "clock.h"
#include "errors.h"
#include "gate/change.h"
#include "gate/internal.h"
#include "settings.h"
#include "store/vote.h"
#include "waits.h"

/* Wait for something in shared memory; returns false when the deadline has passed. */
bool
sd_ask_wait(SdDatabase *db, int64 deadline)
{
	int64		left = deadline - sd_monotonic_us();

	if (left <= 0)
		return false;
	ConditionVariableTimedSleep(&db->changed, Max(left / 1000, 1), sd_wait_event(SD_WAIT_QUORUM));
	return true;
}

bool
sd_ask_coordinator_runs(SdDatabase *db)
{
	bool		runs;

	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	runs = db->coordinator_pid != 0;
	LWLockRelease(&sd_shared->lock);
	return runs;
}

static void
sd_ask_put(SdRequest request, dsm_handle data, Size data_size, int64 deadline)
{
	SdProposal *p = &sd_change.db->proposal;

	LWLockAcquire(&sd_change.db->lock, LW_EXCLUSIVE);
	p->request = request;
	p->pid = MyProcPid;
	p->entry_id = sd_change.entry_id;
	p->version = sd_change.version;
	strlcpy(p->subject, sd_change.subject, sizeof(p->subject));
	p->supersedes = sd_change.supersedes;
	p->config = sd_change.config;
	p->deadline_us = deadline;
	p->data = data;
	p->data_size = data_size;
	p->result = SD_RESULT_NONE;
	p->message[0] = p->detail[0] = p->hint[0] = '\0';
	LWLockRelease(&sd_change.db->lock);
	sd_shared_wake(sd_change.db);
}

/*
 * Tell the coordinator how it ended.  Nothing here can fail: it runs in the commit callback.  The request
 * is picked up even if nobody waits; the next change waits for the slot to be free.
 */
void
sd_ask_tell_end(SdRequest request)
{
	if (sd_change.db != NULL && sd_change.stage >= SD_STAGE_ASKED)
		sd_ask_put(request, DSM_HANDLE_INVALID, 0, 0);
}

bool
sd_ask_withdraw_accept(void)
{
	SdDatabase *db = sd_change.db;
	bool		untaken;

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	untaken = db->proposal.request == SD_REQUEST_ACCEPT && db->proposal.pid == MyProcPid && db->proposal.result == SD_RESULT_NONE;
	if (untaken)
		db->proposal.request = SD_REQUEST_NONE;
	LWLockRelease(&db->lock);
	return untaken;
}

/*
 * Put a request and wait for its result, at most until the deadline (and a little: the coordinator judges
 * the deadline, this is the net under it).  Interruptible.
 */
SdResult
sd_ask(SdRequest request, const void *data, Size size, int64 deadline, SdProposal *answer)
{
	SdDatabase *db = sd_change.db;
	dsm_segment *segment = NULL;
	int64		net = deadline + 1000000;
	SdResult	result = SD_RESULT_NONE;

	InvalidateCatalogSnapshot();	/* builds of indexes would wait for it */

	/* the end of the transaction before ours may still lie there */
	ConditionVariablePrepareToSleep(&db->changed);
	for (;;)
	{
		SdRequest	pending;

		LWLockAcquire(&db->lock, LW_SHARED);
		pending = db->proposal.request;
		LWLockRelease(&db->lock);
		/* within a change the slot is ours; a new one waits until the end of the last is taken */
		if (pending == SD_REQUEST_NONE || request != SD_REQUEST_GRANT)
			break;
		if (!sd_ask_coordinator_runs(db))
			break;
		if (!sd_ask_wait(db, net))
		{
			/* what lies there is another change's: it must be heard */
			ConditionVariableCancelSleep();
			return SD_RESULT_NO_COORDINATOR;
		}
	}

	if (size > 0)
	{
		segment = dsm_create(size, 0);
		memcpy(dsm_segment_address(segment), data, size);
	}
	if (request == SD_REQUEST_GRANT)
		sd_change.stage = SD_STAGE_ASKED;	/* from here on its end is told */
	sd_ask_put(request, segment ? dsm_segment_handle(segment) : DSM_HANDLE_INVALID, size, deadline);

	for (;;)
	{
		LWLockAcquire(&db->lock, LW_SHARED);
		result = db->proposal.result;
		*answer = db->proposal;
		LWLockRelease(&db->lock);
		if (result != SD_RESULT_NONE)
			break;
		if (!sd_ask_coordinator_runs(db) || !sd_ask_wait(db, net))
		{
			if (request == SD_REQUEST_GRANT || request == SD_REQUEST_NEEDS)
				result = SD_RESULT_NO_COORDINATOR;
			else
				result = request == SD_REQUEST_ACCEPT && sd_ask_withdraw_accept() ? SD_RESULT_NO_COORDINATOR : SD_RESULT_UNKNOWN;
			break;
		}
	}
	ConditionVariableCancelSleep();
	if (segment)
		dsm_detach(segment);
	return result;
}

/* ---- refusals ---- */

int
sd_ask_refused(int sqlstate)
{
	static const struct
	{
		int			sqlstate;
		SdCounter	counter;
	}			counters[] = {
		{SD_ERRCODE_NO_QUORUM, SD_COUNT_NO_QUORUM},
		{SD_ERRCODE_MAY_NOT_ORIGINATE, SD_COUNT_NOT_ORIGIN},
		{SD_ERRCODE_BEHIND, SD_COUNT_BEHIND},
		{SD_ERRCODE_CANNOT_COORDINATE, SD_COUNT_NAMES_MISSING},
		{SD_ERRCODE_POLICY, SD_COUNT_POLICY},
		{SD_ERRCODE_NO_COORDINATOR, SD_COUNT_NO_COORDINATOR},
		{ERRCODE_LOCK_NOT_AVAILABLE, SD_COUNT_BLOCKED}
	};
	SdDatabase *db = sd_shared_mine();

	for (size_t i = 0; db && i < lengthof(counters); i++)
		if (counters[i].sqlstate == sqlstate)
			sd_shared_count_event(db, counters[i].counter);
	return sqlstate;
}

void
sd_ask_raise(SdResult result, const SdProposal *answer)
{
	const char *message = answer->message;
	const char *detail = answer->detail;
	const char *hint = answer->hint;
	int			code = 0;

	switch (result)
	{
		case SD_RESULT_NO_QUORUM:
			code = SD_ERRCODE_NO_QUORUM;
			message = "no quorum: the schema change was refused, nothing happened";
			break;
		case SD_RESULT_BLOCKED:
			code = ERRCODE_LOCK_NOT_AVAILABLE;
			message = "another region is changing the schema";
			break;
		case SD_RESULT_NOT_ORIGIN:
			code = SD_ERRCODE_MAY_NOT_ORIGINATE;
			break;
		case SD_RESULT_BEHIND:
			code = SD_ERRCODE_BEHIND;
			break;
		case SD_RESULT_POLICY:
			code = SD_ERRCODE_POLICY;
			break;
		case SD_RESULT_NAMES_MISSING:
			code = SD_ERRCODE_CANNOT_COORDINATE;
			break;
		case SD_RESULT_NO_COORDINATOR:
			code = SD_ERRCODE_NO_COORDINATOR;
			message = "schemadrift's coordinator is not running in this database";
			detail = "Nothing happened.";
			hint = "Look for \"schemadrift\" in the server's log; max_worker_processes may be too small.";
			if (sd_change.db && sd_ask_coordinator_runs(sd_change.db))
			{
				message = "schemadrift's coordinator does not answer";
				hint = "Look for \"schemadrift\" in the server's log.";
			}
			if (sd_change.db && sd_shared_waits_for_standby(sd_change.db))
			{
				detail = "It waits for a synchronous standby to confirm a vote. Nothing happened.";
				hint = "Bring the standby back, or take it out of synchronous_standby_names and SELECT pg_reload_conf().";
			}
			break;
		case SD_RESULT_LOST:
			code = SD_ERRCODE_PREEMPTED;
			message = "another region changed the schema first";
			hint = "Nothing happened. Run the transaction again.";
			break;
		default:
			elog(ERROR, "unexpected result %d of a proposal", (int) result);
	}
	ereport(ERROR,
			(errcode(sd_ask_refused(code)),
			 errmsg_internal("%s", message),
			 detail[0] ? errdetail_internal("%s", detail) : 0,
			 hint[0] ? errhint("%s", hint) : 0));
}

int
sd_ask_err_unknown(const char *why)
{
	errcode(SD_ERRCODE_UNKNOWN_OUTCOME);
	errmsg("it is not known yet whether the schema change happens");
	errdetail("Entry %s for version " INT64_FORMAT " may have been accepted by other regions: %s%s",
			  sd_uuid_text(&sd_change.entry_id), sd_change.version, why,
			  pg_str_endswith(why, ".") ? "" : ".");
	return errhint("Ask SELECT schemadrift.outcome('%s'); do not run the change again before it answers.",
				   sd_uuid_text(&sd_change.entry_id));
}

void
sd_ask_raise_unknown(const char *why)
{
	ereport(ERROR, (sd_ask_err_unknown(why)));
}

/* "own deadline = least of our setting and what was left of statement_timeout" */
int64
sd_ask_deadline(void)
{
	int64		deadline = sd_monotonic_us() + (int64) sd_quorum_timeout * 1000;

	if (StatementTimeout > 0)
	{
		int64		used = GetCurrentTimestamp() - GetCurrentStatementStartTimestamp();
		int64		left = (int64) StatementTimeout * 1000 - used;

		deadline = Min(deadline, sd_monotonic_us() + Max(left, 1000));
	}
	return deadline;
}
