/*
 * online_wait.c: waiting for the result of an online entry.
 *
 * Backend only.  Holds no snapshot and no lock while it waits, nor a transaction that ever had one: a build waits for whoever does.
 */
#include "compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "clock.h"
#include "errors.h"
#include "gate/online.h"
#include "online_regions.h"
#include "settings.h"
#include "store/task.h"
#include "waitpoint.h"
#include "waits.h"

typedef struct Look
{
	SdOnlineView view;
	SdTask		task;
	bool		known;			/* here, with a task */
	int64		result;			/* version; 0: none yet */
	bool		result_applied;
	char	   *outcome;
	char	   *region;			/* that could not */
	char	   *error;
} Look;

static void
look(SdDatabase *db, int64 version, Look *l)
{
	SdScope		scope;
	SdApplied	applied;

	memset(l, 0, sizeof(*l));
	sd_store_enter(&scope);
	sd_applied_read(&applied);
	l->known = sd_task_read(version, &l->task);
	l->result = sd_task_result(version, &l->outcome);
	l->result_applied = l->result > 0 && applied.version >= l->result;
	if (l->result > 0)
	{
		SdEntry    *entry = sd_log_entry(l->result);
		Jsonb	   *payload = entry ? sd_entry_payload(entry) : NULL;

		l->region = payload ? sd_json_text(payload, "region") : NULL;
		l->error = payload ? sd_json_text(payload, "error") : NULL;
	}
	sd_online_view(db, version, &l->view);
	MemoryContextSwitchTo(scope.caller);
	l->region = l->region ? pstrdup(l->region) : NULL;
	l->error = l->error ? pstrdup(l->error) : NULL;
	sd_waitpoint("online-look");
	sd_store_leave(&scope);
}

/* "23505: could not create ...": the code that a region's error had, and the rest of it */
static int
error_code(const char **error)
{
	const char *e = *error;

	for (int i = 0; i < 5; i++)
		if (!((e[i] >= '0' && e[i] <= '9') || (e[i] >= 'A' && e[i] <= 'Z')))
			return ERRCODE_INTERNAL_ERROR;
	if (strncmp(e + 5, ": ", 2) != 0)
		return ERRCODE_INTERNAL_ERROR;
	*error += 7;
	return MAKE_SQLSTATE(e[0], e[1], e[2], e[3], e[4]);
}

static void
raise_outcome(int64 version, const Look *l)
{
	const char *error = l->error ? l->error : "";
	int			code;

	if (strcmp(l->outcome, "cancelled") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("version " INT64_FORMAT " was taken back by version " INT64_FORMAT, version, l->result),
				 errdetail("Somebody called schemadrift.revert(); every region cleans up.")));
	code = error_code(&error);
	ereport(ERROR,
			(errcode(code),
			 errmsg_internal("%s", error),
			 errdetail("Region \"%s\" could not do version " INT64_FORMAT ", so every region takes it back.",
					   l->region ? l->region : "?", version),
			 errhint("Mend the cause there, then run the statement again.")));
}

/* who cancels the wait is told that the work is not cancelled by it */
static void
tell_that_it_goes_on(void *arg)
{
	int64	   *version = arg;

	errdetail("Version " INT64_FORMAT " is agreed, and every region goes on with it.", *version);
	errhint("SELECT * FROM schemadrift.tasks; SELECT schemadrift.revert(name) takes it back.");
}

static void
check_interrupts(int64 version, bool in_transaction)
{
	ErrorContextCallback callback = {error_context_stack, tell_that_it_goes_on, &version};

	if (!InterruptPending)
		return;
	/* an error wants a transaction that it can abort */
	if (!in_transaction)
		StartTransactionCommand();
	error_context_stack = &callback;
	CHECK_FOR_INTERRUPTS();
	error_context_stack = callback.previous;
	if (!in_transaction)
		CommitTransactionCommand();
}

/* true: done; false: go on waiting.  lonely_since: since when only regions that are away are waited for. */
static bool
judge(int64 version, const Look *l, int64 *lonely_since)
{
	int64		now = sd_monotonic_us();
	int			who;

	if (l->result > 0 && strcmp(l->outcome, "ok") != 0)
		raise_outcome(version, l);
	/* a region that has done it and knows that all have needs not wait to have recorded that */
	if (l->result > 0)
		return l->result_applied || (l->known && l->task.state == SD_TASK_DONE);
	if (sd_online_verdict(&l->view, &who) != SD_ONLINE_WAIT || !l->known || l->task.state != SD_TASK_DONE ||
		who < 0 || l->view.region[who].heard)
	{
		*lonely_since = 0;
		return false;
	}
	if (*lonely_since == 0)
		*lonely_since = now;
	if (now - *lonely_since < sd_quorum_timeout * SD_US_PER_MS)
		return false;
	ereport(WARNING,
			(errmsg("version " INT64_FORMAT " is done here, and not everywhere yet", version),
			 errdetail_internal("%s", sd_online_lines(&l->view)),
			 errhint("Regions that are away do it when they are back; until then its relations cannot be changed again.")));
	return true;
}

void
sd_online_wait(int64 version)
{
	SdDatabase *db = sd_shared_mine();
	bool		in_transaction = IsTransactionState();
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(PortalContext, "schemadrift online wait", ALLOCSET_DEFAULT_SIZES);
	int64		lonely_since = 0;
	bool		done = false;

	if (db == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database has left schemadrift while version " INT64_FORMAT " was under way", version)));
	ConditionVariablePrepareToSleep(&db->changed);
	while (!done)
	{
		Look	   *l;

		check_interrupts(version, in_transaction);
		if (!in_transaction)
			StartTransactionCommand();
		MemoryContextSwitchTo(context);
		l = palloc(sizeof(Look));
		look(db, version, l);
		done = judge(version, l, &lonely_since);
		/* a transaction that has looked at the tables is in the way of the very build, until its end */
		if (in_transaction)
			sd_store_commit();
		else
			CommitTransactionCommand();
		MemoryContextReset(context);
		if (done)
			break;
		HOLD_INTERRUPTS();
		ConditionVariableTimedSleep(&db->changed, 1000, sd_wait_event(SD_WAIT_APPLIED));
		RESUME_INTERRUPTS();
	}
	ConditionVariableCancelSleep();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}
