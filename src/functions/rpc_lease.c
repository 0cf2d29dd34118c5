/*
 * rpc_lease.c: calls between regions about who leads: handing a lease over, asking a region to lead.
 *
 * Runs in a backend that another region's coordinator, or a person's transfer_lease() there, connected to.  Reads and
 * writes shared memory only, under SdDatabase.lock; tables are read by the guard.  docs/protocol.md, "Leases".
 */
#include "compat.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "clock.h"
#include "errors.h"
#include "functions/rpc.h"
#include "settings.h"
#include "shared.h"

PG_FUNCTION_INFO_V1(sd_rpc_handover);
PG_FUNCTION_INFO_V1(sd_rpc_lead);

/* Who was removed, or is another life of a member, must not end anybody's change. */
static void
require_member(const SdCaller *caller)
{
	SdMembers	members;
	SdScope		scope;

	sd_store_enter(&scope);
	sd_members_read(&members);
	(void) sd_rpc_member(caller, &members, false);
	sd_store_leave(&scope);
}

static SdDatabase *
require_database(void)
{
	SdDatabase *db = sd_shared_mine();

	if (db == NULL)
		ereport(ERROR,
				(errcode(SD_ERRCODE_NO_COORDINATOR),
				 errmsg("no coordinator runs in this region")));
	return db;
}

/* A commit is asked about again after so long. */
#define COMMIT_US	(50 * SD_US_PER_MS)

/*
 * Another region wants to change the schema and our lease is in its way.  Between changes it is given up at once, to
 * the region that waits longest.  An open change is protected for ddl_hold_limit, then it is doomed and the lease is
 * given up all the same.
 */
Datum
sd_rpc_handover(PG_FUNCTION_ARGS)
{
	SdCaller	caller = sd_rpc_guard(fcinfo, false);
	SdDatabase *db = require_database();
	int64		now = sd_monotonic_us();
	int64		waited = PG_GETARG_INT64(9) * SD_US_PER_MS;	/* below 0: it would like to lead, and has no change to make */
	SdBallot	lease;
	SdBallot	tried;
	SdHolding  *holding = &db->holding;
	bool		released = false;
	bool		ended = false;
	int			pid = 0;
	int64		held = 0;
	int64		left = 0;
	bool		commits;
	char		next[SD_NAME_SIZE] = "";
	char		subject[SD_TEXT_SIZE] = "";
	TupleDesc	tupdesc;
	int64		upto = 0;
	Datum		values[7];
	bool		nulls[7] = {false};

	for (int i = 7; i < PG_NARGS(); i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a call between regions lacks an argument")));
	require_member(&caller);
	sd_ballot_set(&lease, PG_GETARG_INT64(7), caller.self.region, (uint64) PG_GETARG_INT64(8));
	sd_ballot_set(&tried, PG_GETARG_INT64(10), caller.region, (uint64) PG_GETARG_INT64(11));

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	commits = holding->commits_until_us > now;
	if (sd_ballot_compare(&holding->ballot, &lease) != 0 && holding->until_us <= now)
	{
		/*
		 * It is over, or never was one, and no other has come after it (for which the caller waits like for the one that it
		 * knows of).  But two that ask at once have only some acceptors' grants, each in the other's way, and wait for each other;
		 * or we are about to get ours.  "The lower ballot yields": both compare the newest ballots of both.
		 */
		bool		waits_for_caller = strcmp(db->blocked_by.region, caller.region) == 0;

		released = (!holding->asking && !waits_for_caller) || sd_ballot_compare(&db->tried, &tried) < 0;
		if (!released && waits_for_caller)
			strlcpy(next, caller.self.region, sizeof(next));
		else if (!released && waited >= 0)
			(void) sd_line_ask(&holding->line, caller.region, now - waited, false, true, false, now);
	}
	else if (waited < 0)
	{
		released = !holding->in_use && !holding->handed && sd_line_first(&holding->line, now) == NULL;
		holding->handed |= released;
	}
	else
	{
		switch (sd_line_ask(&holding->line, caller.region, now - waited, holding->handed, holding->in_use,
							db->ddl_pid != 0 && now - db->ddl_since_us >= db->ddl_hold_limit_us && !commits, now))
		{
			case SD_LINE_KEPT:
				break;
			case SD_LINE_OTHER:
				strlcpy(next, sd_line_first(&holding->line, now)->region, sizeof(next));
				break;
			case SD_LINE_ENDED:
				ended = db->doomed = db->overstayed = true;
				/* fall through */
			case SD_LINE_GIVEN:
				released = holding->handed = true;
				break;
		}
	}
	upto = db->tried.round;
	if (!released && db->ddl_pid != 0)
	{
		pid = db->ddl_pid;
		held = now - db->ddl_since_us;
		left = Max(db->ddl_hold_limit_us - held, commits ? COMMIT_US : 0);
		strlcpy(subject, db->proposal.subject, sizeof(subject));
	}
	LWLockRelease(&db->lock);
	if (released)
		sd_shared_wake(db);
	if (ended)
		sd_shared_decide(db, "handover", NULL, "limit", NULL,
						 psprintf("the open change had its time (ddl_hold_limit); region %s goes on", caller.region));

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = BoolGetDatum(released);
	values[1] = Int32GetDatum(pid);
	values[2] = CStringGetTextDatum(subject);
	values[3] = Int64GetDatum(held / SD_US_PER_MS);
	values[4] = Int64GetDatum(left / SD_US_PER_MS);
	values[5] = CStringGetTextDatum(next);
	values[6] = Int64GetDatum(upto);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

/* transfer_lease() elsewhere wants this region to lead: its coordinator tries for as long. */
Datum
sd_rpc_lead(PG_FUNCTION_ARGS)
{
	SdCaller	caller = sd_rpc_guard(fcinfo, false);
	SdDatabase *db = require_database();

	require_member(&caller);
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->lead_until_us = sd_monotonic_us() + (int64) sd_quorum_timeout * SD_US_PER_MS;
	LWLockRelease(&db->lock);
	sd_shared_wake(db);
	PG_RETURN_VOID();
}
