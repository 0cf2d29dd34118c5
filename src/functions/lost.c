/*
 * lost.c: the ways back of a region that may have lost votes, for people.
 *
 * Runs in backends.  rejoin() only asks the coordinator (worker/lost.c), which does by itself what can be done without a
 * person; the others write the tables, self first in the store's order.  docs/protocol.md, "Membership and lost state".
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "causality/hlc.h"
#include "clock.h"
#include "ddl/lock.h"
#include "errors.h"
#include "functions/group.h"
#include "settings.h"
#include "store/life.h"
#include "store/vote.h"
#include "waits.h"

PG_FUNCTION_INFO_V1(sd_rejoin);
PG_FUNCTION_INFO_V1(sd_void_identity);
PG_FUNCTION_INFO_V1(sd_confirm_failover);
PG_FUNCTION_INFO_V1(sd_force_new_group);

static void
wake_coordinator(void)
{
	SdDatabase *db = sd_shared_mine();

	if (db)
		sd_shared_wake_at_commit(db);
}

/* ---- rejoin ---- */

static bool
coordinator_runs(const SdDatabase *db)
{
	bool		runs;

	if (db == NULL)
		return false;
	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	runs = db->coordinator_pid != 0;
	LWLockRelease(&sd_shared->lock);
	return runs;
}

static void
raise_refusal(SdDatabase *db)
{
	int			sqlstate;
	char		error[SD_TEXT_SIZE];
	char		detail[SD_DETAIL_SIZE];

	/* the coordinator asks again, and writes another answer */
	LWLockAcquire(&db->lock, LW_SHARED);
	sqlstate = db->rejoin_sqlstate;
	strlcpy(error, db->rejoin_error, sizeof(error));
	strlcpy(detail, db->rejoin_detail, sizeof(detail));
	LWLockRelease(&db->lock);
	if (sqlstate == 0)
		return;
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("this region is not readmitted: %s", error),
			 detail[0] ? errdetail_internal("%s", detail) : 0,
			 errhint("SELECT * FROM schemadrift.status, here and there.")));
}

/* Until the coordinator has been answered; the incarnation then, 0 if it is admitted but has not applied that yet. */
static int32
wait_for_answer(SdDatabase *db, int64 deadline, int32 before)
{
	uint32		attempts;
	bool		admitted = false;
	int32		now = 0;

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	attempts = db->rejoin_attempts;
	db->rejoin_until_us = deadline;
	LWLockRelease(&db->lock);
	sd_shared_wake(db);

	ConditionVariablePrepareToSleep(&db->changed);
	while (now == 0 && sd_monotonic_us() < deadline)
	{
		SdScope		scope;
		SdSelf		self;
		bool		refused;

		LWLockAcquire(&db->lock, LW_SHARED);
		refused = db->rejoin_attempts != attempts && db->rejoin_sqlstate != 0;
		admitted = db->rejoin_attempts != attempts && db->rejoin_sqlstate == 0;
		LWLockRelease(&db->lock);
		if (refused)
			raise_refusal(db);
		sd_store_enter(&scope);
		if (sd_self_read(&self) && self.valid && self.incarnation > before)
			now = self.incarnation;
		sd_store_leave(&scope);
		if (now == 0)
			ConditionVariableTimedSleep(&db->changed, Min(sd_monotonic_timeout_ms(deadline, sd_monotonic_us()), 100),
										sd_wait_event(SD_WAIT_QUORUM));
	}
	ConditionVariableCancelSleep();
	if (now == 0 && !admitted)
		ereport(ERROR,
				(errcode(SD_ERRCODE_NO_QUORUM),
				 errmsg("no voter answers that could readmit this region"),
				 errhint("SELECT * FROM schemadrift.regions;")));
	return now;
}

typedef struct Wish
{
	SdDatabase *db;
	int64		until_us;
	int32		incarnation;	/* out: 0 if it is admitted but has not applied that yet */
} Wish;

/* The wish ends with who had it, however that ends: what it is for, nobody wants any more.  Unless somebody else wishes it by now. */
static void
end_wish(int code, Datum arg)
{
	const Wish *wish = (const Wish *) DatumGetPointer(arg);

	(void) code;
	LWLockAcquire(&wish->db->lock, LW_EXCLUSIVE);
	if (wish->db->rejoin_until_us == wish->until_us)
		wish->db->rejoin_until_us = 0;
	LWLockRelease(&wish->db->lock);
}

static void
wish_for_answer(Wish *wish, int32 before)
{
	PG_ENSURE_ERROR_CLEANUP(end_wish, PointerGetDatum(wish));
	{
		wish->incarnation = wait_for_answer(wish->db, wish->until_us, before);
	}
	PG_END_ENSURE_ERROR_CLEANUP(end_wish, PointerGetDatum(wish));
	end_wish(0, PointerGetDatum(wish));
}

Datum
sd_rejoin(PG_FUNCTION_ARGS)
{
	SdDatabase *db = sd_shared_mine();
	SdSelf		self;
	SdMembers	members;
	Wish		wish;

	sd_group_check_session("rejoin");
	sd_group_check_no_block("rejoin");
	sd_group_require(&self, &members);
	if (self.valid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the identity of region \"%s\" is valid", self.region),
				 errhint("If this database was restored: SELECT schemadrift.void_identity().")));
	if (strcmp(self.cause, SD_VOID_LOG) == 0 || strcmp(self.cause, SD_VOID_GENERATION) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" cannot rejoin", self.region),
				 errdetail("It is void because %s.", self.mismatch),
				 errhint("SELECT schemadrift.leave(), and join() the group again.")));
	if (sd_config_voters(&members.config) == 1 && sd_config_find_voter(&members.config, self.region, self.incarnation) >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" is the only voter: nobody else can readmit it", self.region),
				 errhint("After promotion of a synchronous standby SELECT schemadrift.confirm_failover(), else SELECT schemadrift.force_new_group('%s').",
						 self.region)));
	if (!coordinator_runs(db))
		ereport(ERROR,
				(errcode(SD_ERRCODE_NO_COORDINATOR),
				 errmsg("no coordinator runs in this region"),
				 errhint("SELECT * FROM schemadrift.status;")));
	wish = (Wish) {.db = db, .until_us = sd_monotonic_us() + 2 * (int64) sd_quorum_timeout * SD_US_PER_MS};
	wish_for_answer(&wish, self.incarnation);
	if (wish.incarnation > 0)
		PG_RETURN_INT32(wish.incarnation);
	ereport(NOTICE,
			(errmsg("region \"%s\" is readmitted; it votes as soon as it has applied that", self.region),
			 errhint("SELECT * FROM schemadrift.status;")));
	PG_RETURN_NULL();
}

/* ---- void_identity ---- */

Datum
sd_void_identity(PG_FUNCTION_ARGS)
{
	const char *author = GetUserNameFromId(GetSessionUserId(), false);
	char	   *why = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	SdScope		scope;
	SdSelf		self;

	sd_group_check_session("void_identity");
	sd_vote_force_sync();		/* before the scope, whose settings end with it */
	sd_store_enter(&scope);
	sd_self_lock_joined(&self);
	if (strcmp(self.state, "void") == 0)
		ereport(NOTICE,
				(errmsg("the identity of region \"%s\" is void already: %s", self.region, self.mismatch)));
	sd_life_end(0, SD_VOID_DECLARED, why ? psprintf("declared void by %s: %.160s", author, why) :
				psprintf("declared void by %s", author));
	sd_store_leave(&scope);
	PG_RETURN_VOID();
}

/* ---- confirm_failover ---- */

/* "ALL other voters answer and remember no more": a line for each that has not said so lately. */
static void
append_silent(StringInfo out, const SdSelf *self, const SdMembers *members)
{
	SdDatabase *db = sd_shared_mine();
	int64		lately = sd_monotonic_us() - Max(4 * (int64) sd_heartbeat_interval * SD_US_PER_MS, 4 * SD_US_PER_S);

	for (int i = 0; i < members->config.n; i++)
	{
		const SdMember *member = &members->config.member[i];
		bool		confirmed = false;

		if (!sd_member_votes(member) || strcmp(member->region, self->region) == 0)
			continue;
		if (db)
		{
			LWLockAcquire(&db->lock, LW_SHARED);
			for (int p = 0; p < db->n_peers; p++)
				if (strcmp(db->peers[p].region, member->region) == 0)
					confirmed = db->peers[p].confirmed == self->incarnation && db->peers[p].confirmed_us > lately;
			LWLockRelease(&db->lock);
		}
		if (!confirmed)
			appendStringInfo(out, "Region %s has not said lately which votes of this region it remembers.\n", member->region);
	}
}

Datum
sd_confirm_failover(PG_FUNCTION_ARGS)
{
	StringInfoData unproven;
	SdScope		scope;
	SdSelf		self;
	SdMembers	members;
	SdSuccessor successor;
	int			me;

	(void) fcinfo;
	sd_group_check_session("confirm_failover");
	sd_group_check_no_block("confirm_failover");
	sd_group_require(&self, &members);
	sd_vote_force_sync();
	sd_store_enter(&scope);
	sd_self_lock_joined(&self);
	if (self.valid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the identity of region \"%s\" is valid: there is nothing to confirm", self.region)));
	sd_life_successor(&self, &successor);

	initStringInfo(&unproven);
	if (self.differs != SD_DIFFERS_TIMELINE)
		appendStringInfoString(&unproven, "This is not the same server on a new timeline.\n");
	if (strcmp(self.state, "void") == 0 && strcmp(self.cause, SD_VOID_PROMOTED) != 0)
		appendStringInfo(&unproven, "It is void for another reason: %s.\n", self.mismatch);
	if (!self.replicated)
		appendStringInfo(&unproven, "Not every vote of incarnation %d was committed with a synchronous standby configured.\n",
						 self.incarnation);
	if (successor.version > 0)
		appendStringInfo(&unproven, "Version " INT64_FORMAT " has put another incarnation in its place already.\n", successor.version);
	append_silent(&unproven, &self, &members);
	if (unproven.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("it is not proven that no vote of region \"%s\" was lost", self.region),
				 errdetail("%.*s", unproven.len - 1, unproven.data),
				 errhint("SELECT schemadrift.rejoin(): it goes on as a new incarnation.")));

	me = sd_config_find(&members.config, self.region);
	if (me < 0)
		elog(ERROR, "region \"%s\" is no member of its group", self.region);
	sd_life_confirm(sd_role_text(members.config.member[me].role));
	sd_store_leave(&scope);
	wake_coordinator();
	ereport(NOTICE,
			(errmsg("region \"%s\" goes on as incarnation %d", self.region, self.incarnation)));
	PG_RETURN_VOID();
}

/* ---- force_new_group ---- */

/* What is known to be lost, or kept without a majority; lines. */
typedef struct Losses
{
	StringInfoData lines;
	SdAccepted *kept;			/* accepted here at head + 1; NULL: nothing */
} Losses;

static void
find_undecided(const SdHead *head, Losses *losses)
{
	ListCell   *lc;

	foreach(lc, sd_accepted_from(head->version + 1))
	{
		SdAccepted *accepted = lfirst(lc);
		SdEntry    *entry = VARSIZE_ANY_EXHDR(accepted->bytes) > 0 ? sd_entry_decode(accepted->bytes) : NULL;

		if (entry == NULL)
			continue;
		if (accepted->version == head->version + 1)
			losses->kept = accepted;
		appendStringInfo(&losses->lines, "Version " INT64_FORMAT ", %s%s%s by %s, is undecided: %s.\n", accepted->version, entry->kind,
						 entry->name ? " " : "", entry->name ? entry->name : "", entry->author,
						 accepted->version == head->version + 1 ? "it was accepted here and is kept" : "it is lost");
	}
}

static void
find_told(const SdSelf *self, const SdMembers *members, int64 have, Losses *losses)
{
	SdDatabase *db = sd_shared_mine();

	for (int i = 0; i < members->config.n; i++)
	{
		const SdMember *member = &members->config.member[i];
		int64		known = sd_peer_applied(member->region, member->incarnation);

		if (strcmp(member->region, self->region) == 0)
			continue;
		if (db)
		{
			LWLockAcquire(&db->lock, LW_SHARED);
			for (int p = 0; p < db->n_peers; p++)
				if (strcmp(db->peers[p].region, member->region) == 0)
					known = Max(known, db->peers[p].told.head);
			LWLockRelease(&db->lock);
		}
		appendStringInfo(&losses->lines, "Region %s is left out; it must leave() and join() again.", member->region);
		if (known > have)
			appendStringInfo(&losses->lines, " It has told of version " INT64_FORMAT ": what came after " INT64_FORMAT " is lost.",
							 known, have);
		appendStringInfoChar(&losses->lines, '\n');
	}
	appendStringInfoString(&losses->lines, members->config.n > 1 ?
						   "What others decided since they were last heard of is not known here." :
						   "No other region is in the group.");
}

/* A group that can decide must: two groups would come of this. */
static void
refuse_while_reachable(const SdSelf *self, const SdMembers *members)
{
	int			reached = 0;
	int			quorum = sd_config_quorum(&members->config);
	const char *why;

	for (int i = 0; i < members->config.n; i++)
		if (sd_member_votes(&members->config.member[i]) && sd_group_reaches(self, &members->config.member[i], &why))
			reached++;
	if (reached >= quorum)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the group can decide: %d of %d voters can be reached", reached, sd_config_voters(&members->config)),
				 errhint("SELECT schemadrift.remove_region('name') for each region that is gone; SELECT schemadrift.rejoin() in a void one.")));
}

/* The entry by which this region becomes the only one. */
static SdEntry
alone(const SdSelf *self, const SdMembers *members, const SdHead *head)
{
	SdEntry		entry = {0};
	SdEntry    *last = sd_log_entry(head->version);
	SdMembers  *after = palloc0(sizeof(SdMembers));
	int			me = sd_config_find(&members->config, self->region);
	StringInfoData payload;
	SdMemberHistory history;
	SdHlcClock	clock;

	if (me < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" is no member of its group any more", self->region)));
	if (members->config.member[me].role == SD_ROLE_WITNESS)
		ereport(ERROR,
				(errcode(SD_ERRCODE_MAY_NOT_ORIGINATE),
				 errmsg("this region is a witness: it has no schema that a group could go on with"),
				 errhint("Run it in a region that has one.")));
	sd_members_history(self->region, self->incarnation, &history);
	after->config.n = 1;
	after->config.member[0] = members->config.member[me];
	after->config.member[0].incarnation = history.last_incarnation + 1;
	after->config.member[0].role = after->wants[0] = SD_ROLE_VOTER;
	after->config.member[0].suspended = false;
	after->conninfo[0] = members->conninfo[me];
	after->priority[0] = members->priority[me];

	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"members\":%s,\"action\":\"force_new_group\",\"generation\":%d,\"region\":",
					 sd_members_json(after), self->generation + 1);
	escape_json(&payload, self->region);
	appendStringInfoChar(&payload, '}');

	sd_uuid_make(&entry.id);
	entry.kind = SD_KIND_CONFIG;
	entry.origin = pstrdup(self->region);
	entry.incarnation = after->config.member[0].incarnation;
	entry.n = sd_log_next_dot(self->region, entry.incarnation);
	sd_hlc_init(&clock, last ? (uint64) last->hlc : 0, 0);
	entry.hlc = (int64) sd_hlc_now(&clock, (uint64) ((GetCurrentTimestamp() +
													  (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000));
	entry.author = GetUserNameFromId(GetSessionUserId(), false);
	entry.protocol = SD_PROTOCOL;	/* "generation" is new */
	sd_entry_encode(&entry, payload.data);
	return entry;
}

/* One more entry at the end of the log, without a vote. */
static void
append_entry(SdHead *head, const SdEntry *entry)
{
	head->version++;
	head->chain = sd_entry_chain(&head->chain, entry);
	sd_log_insert(head->version, entry, &head->chain);
}

/* If everything before it is applied the config entry is, too; else the applier comes to it. */
static void
go_on_alone(const SdSelf *self, const SdMembers *members, const SdApplied *applied, SdHead *head, const Losses *losses)
{
	SdEntry		entry;

	if (losses->kept)
	{
		append_entry(head, sd_entry_decode(losses->kept->bytes));
		sd_accepted_strip(head->version);
	}
	entry = alone(self, members, head);
	append_entry(head, &entry);
	if (!self->has_life)
		sd_life_begin(self, head->version);
	sd_life_adopt(self->generation + 1, entry.incarnation, head->version, "voter");
	if (applied->version == head->version - 1)
	{
		sd_applied_advance(head->version, &head->chain, applied->digest);
		sd_execution_insert(head->version, "applied", GetCurrentTransactionStartTimestamp(), 1, NULL);
	}
}

Datum
sd_force_new_group(PG_FUNCTION_ARGS)
{
	char	   *confirm = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	SdScope		scope;
	SdSelf		self;
	SdMembers	members;
	SdApplied	applied;
	SdBallot	promised;
	SdHead		head;
	Losses		losses = {.kept = NULL};

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to run schemadrift.force_new_group()")));
	sd_group_check_session("force_new_group");
	sd_group_check_no_block("force_new_group");
	sd_group_require(&self, &members);
	refuse_while_reachable(&self, &members);

	sd_ddl_lock();
	initStringInfo(&losses.lines);
	sd_vote_force_sync();
	sd_store_enter(&scope);
	sd_applied_lock(&applied);
	sd_self_lock_joined(&self);
	sd_promise_lock(&promised);
	sd_log_head(&head);
	find_undecided(&head, &losses);
	find_told(&self, &members, head.version + (losses.kept ? 1 : 0), &losses);
	if (confirm == NULL || strcmp(confirm, self.region) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("force_new_group() makes region \"%s\" the only one, and cannot be taken back", self.region),
				 errdetail("%s", losses.lines.data),
				 errhint("When all other voters are shut down for ever: SELECT schemadrift.force_new_group('%s').", self.region)));
	go_on_alone(&self, &members, &applied, &head, &losses);
	sd_store_leave(&scope);
	wake_coordinator();
	ereport(NOTICE,
			(errmsg("region \"%s\" goes on alone, as generation %d of the group, from version " INT64_FORMAT,
					self.region, self.generation + 1, head.version),
			 errdetail("%s", losses.lines.data)));
	PG_RETURN_INT64(head.version);
}
