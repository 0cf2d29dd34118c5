/*
 * coordinator.c: the process that speaks for one database; its loop, its look at the tables.
 *
 * Runs as a background worker that the launcher keeps, one a database that has the extension.  Holds no lock
 * and no transaction while it waits, so DROP EXTENSION and DROP DATABASE never wait for it.  It never runs a
 * migration and never waits for one peer.
 */
#include "compat.h"

#include "access/xact.h"
#include "commands/async.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "clock.h"
#include "progress.h"
#include "settings.h"
#include "store/protocol.h"
#include "store/vote.h"
#include "waits.h"
#include "worker/applier.h"
#include "worker/coordinator.h"
#include "worker/worker.h"

/* "accepted, unlearned entry at head + 1 for longer than a bound" */
#define SETTLE_BOUND_US		(1500 * SD_US_PER_MS)

/* ---- transactions ---- */

bool
sd_coordinator_transaction(SdCoordinator *c, void (*body) (SdCoordinator *, void *), void *arg, bool vote)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PG_TRY();
	{
		SdScope		scope;

		if (vote)
			sd_vote_force_sync();
		PushActiveSnapshot(GetTransactionSnapshot());
		sd_store_enter(&scope);
		body(c, arg);
		sd_store_leave(&scope);
		PopActiveSnapshot();
		CommitTransactionCommand();
		done = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(c->turn);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		strlcpy(c->step_error, error->message, sizeof(c->step_error));
		ereport(LOG,
				(errmsg("schemadrift: the coordinator of \"%s\" could not do a step: %s", c->self.region, error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	/* told to end while it waited for a synchronous standby: then that vote is not told */
	if (vote)
		CHECK_FOR_INTERRUPTS();
	(void) pgstat_report_stat(false);	/* autovacuum learns of our dead rows */
	pgstat_report_activity(STATE_IDLE, NULL);
	return done;
}

void
sd_coordinator_notify(SdCoordinator *c, const char *event, int64 version, const char *reason)
{
	MemoryContext old = MemoryContextSwitchTo(c->context);
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"event\":\"%s\"", event);
	if (version > 0)
		appendStringInfo(&json, ",\"version\":" INT64_FORMAT, version);
	if (reason && reason[0])
	{
		appendStringInfoString(&json, ",\"reason\":");
		escape_json(&json, reason);
	}
	appendStringInfoChar(&json, '}');
	c->notices = lappend(c->notices, json.data);
	MemoryContextSwitchTo(old);
}

static void
send_notices(SdCoordinator *c, void *arg)
{
	ListCell   *lc;

	(void) c;
	foreach(lc, (List *) arg)
		Async_Notify("schemadrift", lfirst(lc));
}

/* Lost only if the queue of NOTIFY is full, which the server's log says. */
static void
flush_notices(SdCoordinator *c)
{
	if (c->notices == NIL)
		return;
	(void) sd_coordinator_transaction(c, send_notices, c->notices, false);
	list_free_deep(c->notices);
	c->notices = NIL;
}

#define LEARN_AGAIN_US	(4 * SD_US_PER_S)

typedef struct Learn
{
	List	   *rows;
	int64		head;
	bool		moved;
} Learn;

static void
learn_rows(SdCoordinator *c, void *arg)
{
	Learn	   *learn = arg;
	ListCell   *lc;

	(void) c;
	foreach(lc, learn->rows)
	{
		SdLogRow   *row = lfirst(lc);
		SdEntry    *entry = sd_entry_decode(row->bytes);
		SdEntryRef	ref = sd_entry_ref(entry);
		SdVote		vote;

		sd_entry_require_sound(entry);
		vote = sd_vote_learn(row->version, &ref, &row->chain, entry);
		if (vote.verdict == SD_ACCEPTOR_DIVERGED)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("another region's log differs from ours at version " INT64_FORMAT, row->version)));
		if (vote.verdict == SD_ACCEPTOR_BEHIND)
			break;
		learn->moved |= vote.verdict == SD_ACCEPTOR_LEARNED;
	}
}

bool
sd_coordinator_learn(SdCoordinator *c, List *rows)
{
	Learn		learn = {.rows = rows};

	if (rows == NIL)
		return false;
	c->learn_error[0] = '\0';
	c->learn_after_us = 0;
	if (!sd_coordinator_transaction(c, learn_rows, &learn, true))
	{
		strlcpy(c->learn_error, c->step_error, sizeof(c->learn_error));
		/* it may have waited for a lock as long as it may, and heartbeats waited for it */
		c->learn_after_us = sd_monotonic_us() + LEARN_AGAIN_US;
	}
	else if (learn.moved)
		c->look = true;
	return learn.moved;
}

/* ---- a look at the tables ---- */

static void
look_at_policy(SdCoordinator *c)
{
	Jsonb	   *json = sd_policy_read();
	SdPolicyValue history;
	MemoryContext old;

	MemoryContextReset(c->policy_context);
	old = MemoryContextSwitchTo(c->policy_context);
	sd_policy_parse(json, &c->policy);
	MemoryContextSwitchTo(old);
	(void) sd_policy_value(json, sd_policy_key("history_tables"), &history);
	pg_atomic_write_u64(&c->db->history_policy, (uint64) history.since);
}

static void
look(SdCoordinator *c, void *arg)
{
	SdHead		head;
	SdBallot	promised;
	SdBallot	accepted;
	bool		joined;
	SdSelf		self;

	(void) arg;
	sd_gossip_speak(c, sd_protocol_own());
	joined = sd_self_read(&self);

	/* it left, and perhaps it is in another group already: what we know of the old one goes first */
	if (!joined || (c->joined && (memcmp(&self.group_id, &c->self.group_id, UUID_LEN) != 0 ||
								  self.incarnation != c->self.incarnation ||
								  strcmp(self.region, c->self.region) != 0)))
	{
		c->joined = false;
		return;
	}
	MemoryContextSwitchTo(c->context);
	if (self.state)
		self.state = pstrdup(self.state);	/* a handful of bytes at a change of state; see below */
	if (c->joined && c->self.state && self.state && strcmp(c->self.state, self.state) == 0)
	{
		char	   *kept = c->self.state;

		pfree(self.state);
		self.state = kept;
	}
	c->self = self;
	MemoryContextSwitchTo(c->turn);

	sd_log_head(&head);
	sd_applied_read(&c->applied);
	if (!c->joined || head.version != c->head.version)
		look_at_policy(c);
	/* what an earlier coordinator was at: nobody alive knows whether accepts were sent, so others must be asked */
	if (!c->joined && sd_attempt_is_open(head.version + 1))
		c->doubt = head.version + 1;
	/* nothing fails between these: votes for a version are counted by the members at its start */
	sd_members_look(c, &head);
	c->joined = true;
	c->head = head;
	c->me = sd_config_find(&c->members.config, c->self.region);
	if (c->me >= 0 && c->members.config.member[c->me].incarnation < c->self.incarnation)
		c->me = -1;
	if (c->me >= 0 && sd_members_is_witness(&c->members, c->me))
		sd_members_follow_log(c);
	sd_lost_look(c);

	/* the role is what the log says, as far as it is applied */
	if (c->me >= 0 && c->self.valid && c->applied.version >= c->members.config.since &&
		strcmp(c->self.state, sd_role_text(c->members.config.member[c->me].role)) != 0)
		sd_self_set_role(sd_role_text(c->members.config.member[c->me].role));

	/* what an earlier coordinator had granted can only fail, once its version is taken: nobody else is in its round */
	if (!c->change.active)
	{
		LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
		if (c->db->ddl_pid != 0 && c->db->ddl_version <= head.version && c->db->proposal.request == SD_REQUEST_NONE)
			c->db->doomed = true;
		LWLockRelease(&c->db->lock);
	}

	sd_task_drive_look(c);
	sd_promise_read(&promised);
	c->max_round = Max(c->max_round, promised.round);
	sd_lead_refused(c, &c->lease.ballot, &promised);	/* nor is our own acceptor asked before the end */

	if (c->me >= 0 && sd_accepted_ballot(head.version + 1, &accepted))
	{
		if (c->undecided != head.version + 1 || sd_ballot_compare(&c->undecided_ballot, &accepted) != 0)
		{
			c->undecided_since_us = sd_monotonic_us();
			c->settle_at_us = c->undecided_since_us + SETTLE_BOUND_US +
				(int64) (pg_prng_double(&pg_global_prng_state) * SETTLE_BOUND_US);
		}
		c->undecided = head.version + 1;
		c->undecided_ballot = accepted;
	}
	else
		c->undecided = 0;
}

/* The group that this region was in means nothing to it any more. */
static void
forget(SdCoordinator *c)
{
	sd_gossip_members(c);		/* closes the connections, so every call ends */
	sd_lead_members(c);
	c->change.active = c->settle.active = false;
	c->undecided = c->doubt = 0;
	c->acquiring = false;
	sd_lead_unblocked(c);
	c->promoting = false;
	c->promote_after_us = 0;
	c->learn_error[0] = '\0';
	c->me = -1;
	sd_lost_forget(c);

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	c->db->heard_head = 0;
	c->db->halted_at = 0;
	c->db->retry_us = 0;
	c->db->attempts = 0;
	c->db->halt_error[0] = c->db->halt_detail[0] = '\0';
	memset(&c->db->standing, 0, sizeof(c->db->standing));
	LWLockRelease(&c->db->lock);
}

static void
publish(SdCoordinator *c)
{
	bool		moved;
	bool		drifted;
	bool		passed;
	int64		head_before;

	/* the applier and a committing backend write db->applied themselves, so that is not what the others were told */
	moved = c->told_head != c->head.version || c->told_applied != c->applied.version;
	drifted = memcmp(c->told_digest, c->applied.digest, SD_SHA_SIZE) != 0;
	c->told_head = c->head.version;
	c->told_applied = c->applied.version;
	memcpy(c->told_digest, c->applied.digest, SD_SHA_SIZE);

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	head_before = c->db->head;
	c->db->head = c->joined ? c->head.version : 0;
	/* the applier may be ahead of our look */
	c->db->applied = c->joined ? Max(c->applied.version, c->db->applied) : 0;
	c->db->undecided = c->undecided;
	c->db->ddl_hold_limit_us = (int64) sd_policy_hold_limit_ms(&c->policy) * SD_US_PER_MS;
	strlcpy(c->db->region, c->joined ? c->self.region : "", SD_NAME_SIZE);
	passed = c->db->halted_at > 0 && c->db->halted_at <= c->db->applied;
	LWLockRelease(&c->db->lock);
	/* by its own transaction, which stood in the applier's way and has found its version chosen */
	if (passed)
		sd_progress_applied(c->db, c->applied.version);
	if (moved || drifted)
		sd_heartbeat_hurry(c);		/* others wait for what we have applied, and people for what is wrong */
	if (moved)
	{
		ConditionVariableBroadcast(&c->db->changed);
		sd_shared_wake_applier(c->db);

		/* not at the first look after a start: these were told before */
		for (int64 v = head_before + 1; head_before > 0 && v <= c->head.version; v++)
			sd_coordinator_notify(c, "chosen", v, NULL);
	}
}

/* ---- the applier ---- */

static void
start_applier(SdCoordinator *c, void *arg)
{
	SdEntry    *entry = sd_log_entry(c->applied.version + 1);
	MemoryContext old;

	(void) arg;
	if (entry == NULL)
		elog(ERROR, "version " INT64_FORMAT " is not in the log", c->applied.version + 1);
	old = MemoryContextSwitchTo(c->context);
	c->applier = sd_applier_start(MyDatabaseId, entry->author);
	MemoryContextSwitchTo(old);
}

static bool
has_work(const SdCoordinator *c)
{
	return c->joined && c->me >= 0 && c->applied.version < c->head.version && !sd_members_is_witness(&c->members, c->me);
}

/* One at a time; after a failure not before its time. */
static void
drive_applier(SdCoordinator *c)
{
	bool		due;
	bool		waits;
	pid_t		pid;

	if (c->applier)
	{
		if (GetBackgroundWorkerPid(c->applier, &pid) != BGWH_STOPPED)
			return;
		pfree(c->applier);
		c->applier = NULL;
		LWLockAcquire(&c->db->lock, LW_SHARED);
		waits = c->db->waits_for_task == c->applied.version + 1;
		LWLockRelease(&c->db->lock);
		if (c->applied.version == c->applier_from && !waits)
		{
			/* it ended without a word: count it as a failure, so that a crash cannot loop at full speed */
			LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
			if (c->db->retry_us <= sd_monotonic_us() && !c->db->retry_now)
				c->db->retry_us = sd_monotonic_us() + SD_US_PER_S;
			LWLockRelease(&c->db->lock);
		}
	}
	if (!has_work(c))
		return;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	due = (c->db->retry_now || c->db->retry_us <= sd_monotonic_us()) &&
		c->db->waits_for_task != c->applied.version + 1;
	c->db->retry_now = false;
	LWLockRelease(&c->db->lock);
	if (!due)
		return;
	c->applier_from = c->applied.version;
	if (!sd_coordinator_transaction(c, start_applier, NULL, false) || c->applier == NULL)
	{
		LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
		c->db->retry_us = sd_monotonic_us() + SD_US_PER_S;
		LWLockRelease(&c->db->lock);
	}
}

static int64
applier_deadline(SdCoordinator *c, int64 now)
{
	int64		deadline = SD_NEVER;

	if (c->applier || !has_work(c))
		return deadline;
	LWLockAcquire(&c->db->lock, LW_SHARED);
	if (c->db->waits_for_task != c->applied.version + 1)
		deadline = Max(c->db->retry_us, now);
	LWLockRelease(&c->db->lock);
	return deadline;
}

/* ---- the process ---- */

/* Nobody answers any more: who waits for us must not wait for ever. */
static void
at_exit(int code, Datum arg)
{
	SdCoordinator *c = (SdCoordinator *) DatumGetPointer(arg);
	SdDatabase *db = c->db;

	(void) code;
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	/* accepts that we took over may be out; of anything else nothing was sent */
	if (db->proposal.result == SD_RESULT_NONE)
		db->proposal.result = c->serving == SD_REQUEST_ACCEPT ? SD_RESULT_UNKNOWN : SD_RESULT_NO_COORDINATOR;
	/* who has the DDL lock keeps it, and is shown, beyond this coordinator */
	if (db->proposal.request == SD_REQUEST_ABORTED || db->proposal.request == SD_REQUEST_COMMITTED)
		db->ddl_pid = 0;
	db->proposal.request = SD_REQUEST_NONE;
	db->doomed = db->overstayed = false;
	LWLockRelease(&db->lock);
	ConditionVariableBroadcast(&db->changed);
}

static SdCoordinator *
create(SdDatabase *db)
{
	SdCoordinator *c = MemoryContextAllocZero(TopMemoryContext, sizeof(SdCoordinator));

	c->context = AllocSetContextCreate(TopMemoryContext, "schemadrift coordinator", ALLOCSET_DEFAULT_SIZES);
	c->turn = AllocSetContextCreate(c->context, "schemadrift turn", ALLOCSET_DEFAULT_SIZES);
	c->members_context = AllocSetContextCreate(c->context, "schemadrift members", ALLOCSET_SMALL_SIZES);
	c->policy_context = AllocSetContextCreate(c->context, "schemadrift policy", ALLOCSET_SMALL_SIZES);
	sd_policy_parse(NULL, &c->policy);
	c->needs_context = AllocSetContextCreate(c->context, "schemadrift needs", ALLOCSET_SMALL_SIZES);
	c->db = db;
	c->me = -1;
	c->said_version = -1;
	c->look = true;
	c->loop = sd_loop_create(c->context);
	c->tasks = sd_task_drive_create(c->context);
	c->counted = sd_standing_create(c->context);
	sd_round_init(&c->change, c);
	sd_round_init(&c->settle, c);
	sd_verify_create(c);

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->boot_id = pg_prng_uint64(&pg_global_prng_state) >> 1;
	/* a change that an earlier coordinator had granted: its ballot is gone with it */
	memset(&db->holding, 0, sizeof(db->holding));
	memset(&db->blocked_by, 0, sizeof(db->blocked_by));
	db->lead_until_us = 0;
	db->doomed = db->overstayed = false;
	db->lag_ms = db->lag_bytes = -1;
	LWLockRelease(&db->lock);
	before_shmem_exit(at_exit, PointerGetDatum(c));
	return c;
}

/*
 * Nobody cancels a coordinator but its own lock_timeout, which comes as this signal, too: a cancelled wait for a synchronous standby
 * answers "success", and a vote is waited for, or ends with this process.
 */
static void
cancel_lock_wait(SIGNAL_ARGS)
{
	if (get_timeout_indicator(LOCK_TIMEOUT, false))
		StatementCancelHandler(postgres_signal_arg);
}

void
sd_coordinator_main(Datum main_arg)
{
	int64		look_again_us = SD_NEVER;
	SdDatabase *db;
	SdCoordinator *c;

	sd_worker_signals();
	pqsignal(SIGINT, cancel_lock_wait);
	db = sd_worker_claim(SD_WORKER_COORDINATOR, DatumGetObjectId(main_arg));
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(main_arg), InvalidOid, 0);
	if (!sd_worker_has_extension(db))
		proc_exit(0);
	sd_worker_pin_settings();
	SetConfigOption("lock_timeout", "1s", PGC_SUSET, PGC_S_OVERRIDE);
	/* if a DROP EXTENSION ever waits for us while we wait for it, we are the one to give way */
	SetConfigOption("deadlock_timeout", "100ms", PGC_SUSET, PGC_S_OVERRIDE);
	/* what a vote writes is flushed all the same; the rest is heard again after a crash */
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_OVERRIDE);
	c = create(db);
	MemoryContextSwitchTo(c->turn);

	for (;;)
	{
		int64		now;
		int64		deadline;

		MemoryContextReset(c->turn);
		sd_worker_check(0);
		LWLockAcquire(&db->lock, LW_EXCLUSIVE);
		db->turn_us = sd_monotonic_us();
		LWLockRelease(&db->lock);

		sd_request_take(c);
		if (c->look || look_again_us <= sd_monotonic_us())
		{
			bool		was = c->joined;

			c->look = false;
			/* what came meanwhile wakes us once: if somebody holds our tables, we come back to it by ourselves */
			look_again_us = sd_monotonic_us() + SD_US_PER_S;
			if (sd_coordinator_transaction(c, look, NULL, false))
			{
				look_again_us = SD_NEVER;
				if (was && !c->joined)
				{
					forget(c);
					c->look = true;	/* there may be another group already */
				}
				else if (was != c->joined || c->reconnect)
				{
					sd_gossip_members(c);
					sd_lead_members(c);
				}
				c->reconnect = false;
				publish(c);
			}
			else if (!was)
				c->joined = false;	/* half of a first look is none: nobody was told who we are, or connected to others */
		}
		now = sd_monotonic_us();
		if (c->joined)
		{
			sd_lost_drive(c, now);	/* whether we vote is known before anything is asked of us */
			sd_round_notice(&c->change, now);
			sd_round_notice(&c->settle, now);
			sd_request_drive(c, now);
			sd_lead_drive(c, now);
			sd_settle_drive(c, now);
			sd_gossip_drive(c, now);
			sd_task_drive(c, now);
			sd_drift_drive(c, now);
			sd_verify_drive(c, now);
		}
		drive_applier(c);
		sd_coordinator_describe(c);
		flush_notices(c);

		/* something done above may have moved the tables */
		if (c->look)
			continue;
		now = sd_monotonic_us();
		deadline = Min(sd_request_deadline(c), sd_settle_deadline(c, now));
		deadline = Min(deadline, sd_heartbeat_deadline(c));
		deadline = Min(deadline, sd_lost_deadline(c, now));
		deadline = Min(deadline, applier_deadline(c, now));
		deadline = Min(deadline, sd_task_deadline(c, now));
		deadline = Min(deadline, sd_drift_deadline(c, now));
		deadline = Min(deadline, sd_verify_deadline(c, now));
		deadline = Min(deadline, look_again_us);
		if (sd_loop_wait(c->loop, deadline, sd_wait_event(SD_WAIT_COORDINATOR)))
			c->look = true;
	}
}
