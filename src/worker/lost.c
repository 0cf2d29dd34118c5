/*
 * lost.c: whether this region may vote, and how it comes back when it may not.
 *
 * Process: the coordinator.  "A region that may have lost a promise must not vote."  What differs of the server is in
 * the tables (store/life.h); here what the other regions remember of this one's votes is compared, being void is made
 * durable, and a void region asks to be readmitted under a new incarnation.  docs/protocol.md, "Membership and lost state".
 */
#include "compat.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "consensus/mistakes.h"
#include "paste.h"
#include "settings.h"
#include "store/protocol.h"
#include "worker/coordinator.h"

/* Not longer, so that a group whose majority comes back has its void region within ten heartbeats. */
#define ASK_AGAIN_HEARTBEATS	2
#define PREPARED_INTERVAL_US	(2 * SD_US_PER_S)

/* ---- a look ---- */

/* In look()'s transaction: another incarnation of this region is in force. */
static void
look_at_successor(SdCoordinator *c)
{
	const SdMember *me = c->me >= 0 ? &c->members.config.member[c->me] : NULL;

	if (me == NULL || me->incarnation == c->self.incarnation)
	{
		memset(&c->successor, 0, sizeof(c->successor));
		return;
	}
	sd_life_successor(&c->self, &c->successor);
	/* an incarnation that was made for us and has been replaced since is nobody's to take up */
	c->successor.ours = c->successor.ours && c->successor.incarnation == me->incarnation;
	if (strcmp(c->self.state, "void") != 0)
	{
		c->self.valid = false;
		snprintf(c->self.mismatch, sizeof(c->self.mismatch),
				 "another server took the place of this one as region \"%s\", with version " INT64_FORMAT,
				 c->self.region, c->successor.version);
	}
}

static void
look_for_prepared(SdCoordinator *c)
{
	char	   *remedy;
	char	   *found;

	if (!c->prepared_due)
		return;
	c->prepared_due = false;
	found = sd_old_prepared(&remedy);
	if (c->old_prepared)
	{
		pfree(c->old_prepared);
		pfree(c->old_prepared_remedy);
	}
	c->old_prepared = found ? MemoryContextStrdup(c->context, found) : NULL;
	c->old_prepared_remedy = found ? MemoryContextStrdup(c->context, remedy) : NULL;
	/* as long as there is one; none can come that is older */
	if (found == NULL)
		c->look_prepared_us = SD_NEVER;
}

void
sd_lost_look(SdCoordinator *c)
{
	look_at_successor(c);
	c->lacks_life = !c->self.has_life && sd_store_has("life");
	c->life_foreign = c->lacks_life || (c->self.has_life && !c->self.life_fits);
	c->finds_token = c->self.has_life && !c->self.has_token && sd_token_read(c->token);
	c->unfit = sd_store_unfit();
	look_for_prepared(c);
}

void
sd_lost_forget(SdCoordinator *c)
{
	memset(&c->successor, 0, sizeof(c->successor));
	c->unproved[0] = '\0';
	c->log_checked = false;
	c->look_prepared_us = 0;
	c->rejoining = false;
	c->rejoin_after_us = c->rejoin_pause_us = 0;
	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	c->db->proved = 0;
	c->db->rejoin_error[0] = c->db->rejoin_detail[0] = '\0';
	LWLockRelease(&c->db->lock);
}

/* ---- becoming void, durably ---- */

typedef struct Ending
{
	const char *cause;
	const char *reason;
} Ending;

/* The local flush is enough: a standby that lacks this is void by its timeline. */
static void
end_life(SdCoordinator *c, void *arg)
{
	Ending	   *ending = arg;

	sd_life_end(c->self.incarnation, ending->cause, ending->reason);
	ForceSyncCommit();
}

static void
become_void(SdCoordinator *c, const char *cause, const char *reason)
{
	Ending		ending = {.cause = cause, .reason = reason};

	/* if it cannot be written now it will be tried again: what showed it is still there */
	if (!sd_coordinator_transaction(c, end_life, &ending, false))
		return;
	sd_shared_decide(c->db, "identity", c->self.region, "void", "", reason);
	c->look = true;
}

static void
renew_life(SdCoordinator *c, void *arg)
{
	(void) c;
	(void) arg;
	sd_life_renew();
	ForceSyncCommit();
}

#ifdef SD_TESTING
static void
go_on(SdCoordinator *c, void *arg)
{
	(void) arg;
	sd_life_confirm(sd_role_text(c->members.config.member[c->me].role));
}

/* The mistake REJOIN_READ: who lost votes reads all that a majority of the others holds, and votes as before. */
static bool
rejoins_by_reading(SdCoordinator *c)
{
	int			heard = 0;
	ListCell   *lc;

	if (!SD_MISTAKE(REJOIN_READ) || c->self.differs != SD_DIFFERS_TIMELINE || c->me < 0)
		return false;
	foreach(lc, c->remotes)
	{
		const SdRemote *remote = lfirst(lc);

		heard += remote->role == SD_ROLE_VOTER && remote->heard_us > 0 && remote->told.head <= c->head.version;
	}
	if (heard >= sd_config_quorum(&c->members.config) - 1)
		c->look |= sd_coordinator_transaction(c, go_on, NULL, false);
	return true;
}
#else
#define rejoins_by_reading(c) false
#endif

/*
 * "Generated durably before it asks": what was only seen so far is written down, with the life that it asks for.  That is
 * bound to this server as it is.
 */
static void
write_down(SdCoordinator *c)
{
	if (c->self.valid || rejoins_by_reading(c))
		return;
	if (strcmp(c->self.state, "void") == 0)
	{
		if (c->life_foreign)
			c->look |= sd_coordinator_transaction(c, renew_life, NULL, false);
		return;
	}
	become_void(c, c->successor.version > 0 ? SD_VOID_REPLACED : sd_void_cause(c->self.differs), c->self.mismatch);
}

/* ---- the row of table life ---- */

static void
begin_life(SdCoordinator *c, void *arg)
{
	SdMemberHistory history;

	(void) arg;
	sd_members_history(c->self.region, c->self.incarnation, &history);
	sd_life_begin(&c->self, history.admitted_by);
}

static void
keep_token(SdCoordinator *c, void *arg)
{
	(void) arg;
	sd_life_keep_token(c->token);
	ForceSyncCommit();
}

static void
check_log(SdCoordinator *c, void *arg)
{
	*(int64 *) arg = sd_log_damaged();
	(void) c;
}

static void
mind_life(SdCoordinator *c)
{
	int64		damaged = 0;

	if (!c->self.valid)
		return;
	if (!c->log_checked && sd_coordinator_transaction(c, check_log, &damaged, false))
	{
		c->log_checked = damaged == 0;
		if (damaged > 0)
		{
			become_void(c, SD_VOID_LOG,
						psprintf("the log in this database is damaged: version " INT64_FORMAT " does not fit its hash", damaged));
			return;
		}
	}
	if (c->lacks_life)
		c->look |= sd_coordinator_transaction(c, begin_life, NULL, false);
	else if (c->finds_token)
		c->look |= sd_coordinator_transaction(c, keep_token, NULL, false);
}

/* ---- what others remember ---- */

static void
compare(SdCoordinator *c, void *arg)
{
	SdRemote   *remote = arg;
	SdSelf		self;

	(void) c;
	/* our row may have moved on since the last look: votes are cast by backends */
	remote->contradicted = sd_self_read(&self) &&
		sd_life_contradicted(&self, remote->region, remote->told.remembers_of, remote->told.remembers);
}

void
sd_lost_hear(SdCoordinator *c, SdRemote *remote, const SdTelemetry *told, int64 now)
{
	SdPeerState *state;

	if (c->self.valid && told->cloned == c->self.incarnation)
		become_void(c, SD_VOID_CLONE, psprintf("region \"%s\" hears two servers speak in the name of this region", remote->region));

	if (told->remembers_of == c->self.incarnation && told->remembers > c->self.vote_seq)
	{
		c->look = true;
		if (!sd_coordinator_transaction(c, compare, remote, false) || remote->contradicted)
			return;
	}
	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	state = sd_shared_peer(c->db, remote->region);
	if (state)
		sd_shared_confirm(state, told, c->self.incarnation, now);
	LWLockRelease(&c->db->lock);
}

void
sd_lost_generation(SdCoordinator *c, SdRemote *remote, const char *detail)
{
	int			generation = 0;

	/* who is behind us is told so by us, when it calls */
	if (detail == NULL || sscanf(detail, "generation %d", &generation) != 1 || generation <= c->self.generation)
		return;
	/* of a void region only what a person could still confirm matters */
	if (!c->self.valid && strcmp(c->self.cause, SD_VOID_PROMOTED) != 0)
		return;
	become_void(c, SD_VOID_GENERATION,
				psprintf("region \"%s\" goes on in generation %d of the group, without this region", remote->region, generation));
}

/*
 * "After Q - 1 other voters answered; the rest when first heard."  Counted anew each time: an entry that this region
 * lacked may have brought more voters.  A region that was no voter in the log it had cannot know that it never
 * became one: it asks one voter at least.
 */
static void
prove(SdCoordinator *c)
{
	const SdConfig *config = &c->members.config;
	bool		votes = c->me >= 0 && sd_member_votes(&config->member[c->me]);
	int			others = sd_config_voters(config) - (votes ? 1 : 0);
	int			needed = Min(others, votes ? sd_config_quorum(config) - 1 : Max(sd_config_quorum(config) - 1, 1));
	int			heard = 0;
	char		waiting[SD_TEXT_SIZE] = "";
	int32		proved;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	for (int i = 0; i < config->n; i++)
	{
		const SdMember *member = &config->member[i];
		bool		confirmed = false;

		if (i == c->me || !sd_member_votes(member))
			continue;
		for (int p = 0; p < c->db->n_peers; p++)
			if (strcmp(c->db->peers[p].region, member->region) == 0)
				confirmed = c->db->peers[p].confirmed == c->self.incarnation;
		if (confirmed)
			heard++;
		else
		{
			strlcat(waiting, waiting[0] ? ", " : "", sizeof(waiting));
			strlcat(waiting, member->region, sizeof(waiting));
		}
	}
	proved = c->self.valid && heard >= needed ? c->self.incarnation : 0;
	c->db->proved = proved;
	LWLockRelease(&c->db->lock);

	c->unproved[0] = '\0';
	if (c->self.valid && proved == 0)
		snprintf(c->unproved, sizeof(c->unproved),
				 "its server was started, and %d more of %s must say which of its votes they remember",
				 needed - heard, waiting);
}

const char *
sd_lost_no_vote(SdCoordinator *c)
{
	if (!c->self.valid)
		return c->self.mismatch;
	if (c->me < 0 || !sd_member_votes(&c->members.config.member[c->me]))
		return NULL;
	return c->unfit ? c->unfit : c->unproved[0] ? c->unproved : NULL;
}

/* ---- coming back ---- */

static void
adopt(SdCoordinator *c, void *arg)
{
	SdMembers  *members = palloc(sizeof(SdMembers));
	SdApplied	applied;
	SdSelf		self;
	SdBallot	promised;
	int			me;

	sd_applied_lock(&applied);
	if (!sd_self_lock(&self) || applied.version < c->successor.version || strcmp(self.state, "void") != 0)
		return;
	sd_promise_lock(&promised);
	sd_members_read(members);
	me = sd_config_find(&members->config, self.region);
	if (me < 0 || members->config.member[me].incarnation != c->successor.incarnation)
		return;
	sd_life_adopt(self.generation, c->successor.incarnation, c->successor.version,
				  sd_role_text(members->config.member[me].role));
	ForceSyncCommit();
	*(bool *) arg = true;
}

/* "Voter again when that is in its log and applied." */
static void
come_back(SdCoordinator *c)
{
	bool		adopted = false;

	if (!c->successor.ours || strcmp(c->self.state, "void") != 0 || c->applied.version < c->successor.version)
		return;
	if (sd_coordinator_transaction(c, adopt, &adopted, false) && adopted)
	{
		c->look = true;
		sd_shared_decide(c->db, "identity", c->self.region, "rejoined", "",
						 psprintf("incarnation %d, by version " INT64_FORMAT, c->successor.incarnation, c->successor.version));
		ereport(LOG,
				(errmsg("schemadrift: region \"%s\" goes on as incarnation %d, by version " INT64_FORMAT,
						c->self.region, c->successor.incarnation, c->successor.version)));
	}
}

static void
readmit_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	SdCoordinator *c = arg;
	int64		now = sd_monotonic_us();
	int64		soon = ASK_AGAIN_HEARTBEATS * (int64) sd_heartbeat_interval * SD_US_PER_MS;
	bool		for_good = result->status == SD_CALL_ERROR && result->sqlstate == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	char		before[SD_TEXT_SIZE];
	const char *error;

	(void) call;
	c->rejoining = false;
	c->rejoin_turn++;
	c->rejoin_pause_us = for_good ? Min(Max(2 * c->rejoin_pause_us, soon), (int64) sd_retry_max_interval * SD_US_PER_MS) : soon;
	c->rejoin_after_us = now + c->rejoin_pause_us;
	strlcpy(before, c->db->rejoin_error, sizeof(before));

	error = result->status == SD_CALL_OK ? "" :
		psprintf("region \"%s\": %s", sd_peer_region(peer), result->message ? result->message : "no answer");
	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	c->db->rejoin_attempts++;
	c->db->rejoin_sqlstate = result->status == SD_CALL_OK ? 0 : result->sqlstate ? result->sqlstate : ERRCODE_CONNECTION_FAILURE;
	sd_shared_copy(c->db->rejoin_error, SD_TEXT_SIZE, error);
	sd_shared_copy(c->db->rejoin_detail, SD_DETAIL_SIZE, result->status != SD_CALL_OK ? result->detail : NULL);
	LWLockRelease(&c->db->lock);
	ConditionVariableBroadcast(&c->db->changed);

	if (c->db->rejoin_error[0] && strcmp(before, c->db->rejoin_error) != 0)
		ereport(LOG,
				(errmsg("schemadrift: this void region is not readmitted yet: %s", c->db->rejoin_error),
				 c->db->rejoin_detail[0] ? errdetail_internal("%s", c->db->rejoin_detail) : 0));
}

/* Is there anything to ask for?  A damaged log, or a group that went on without us, is beyond a new incarnation. */
static bool
may_rejoin(SdCoordinator *c)
{
	return c->me >= 0 && !c->self.valid && strcmp(c->self.state, "void") == 0 && c->self.has_life && c->self.life_fits && !c->successor.ours &&
		strcmp(c->self.cause, SD_VOID_LOG) != 0 && strcmp(c->self.cause, SD_VOID_GENERATION) != 0;
}

/*
 * Judged by the voter that is asked; another one each time, in case that one cannot.  Not before we have what it has: a
 * version in doubt could not be told from one that is lost.
 */
static void
ask(SdCoordinator *c, int64 now)
{
	bool		by_hand;
	int			n = list_length(c->remotes);

	LWLockAcquire(&c->db->lock, LW_SHARED);
	by_hand = c->db->rejoin_until_us > now;
	LWLockRelease(&c->db->lock);
	if (c->rejoining || !may_rejoin(c) || (!by_hand && (!c->policy.auto_rejoin || c->rejoin_after_us > now)))
		return;
	for (int i = 0; i < n; i++)
	{
		SdRemote   *remote = list_nth(c->remotes, (c->rejoin_turn + i) % n);

		if (remote->role == SD_ROLE_VOTER && remote->heard_us > 0 && remote->told.state != SD_REGION_VOID &&
			remote->told.head >= c->head.version && sd_peer_phase(remote->peer) == SD_PEER_READY)
		{
			SdCallHead	head = sd_gossip_head(c, remote);

			LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
			c->db->rejoin_until_us = 0;
			LWLockRelease(&c->db->lock);
			c->rejoining = true;
			sd_call_readmit(remote->peer, &head, &c->head, now + 3 * SD_CALL_TIMEOUT_US, readmit_done, c);
			return;
		}
	}
}

/* ---- one turn ---- */

void
sd_lost_drive(SdCoordinator *c, int64 now)
{
	write_down(c);
	mind_life(c);
	come_back(c);
	prove(c);
	ask(c, now);
	if (c->look_prepared_us <= now)
	{
		c->look_prepared_us = now + PREPARED_INTERVAL_US;
		c->look = c->prepared_due = true;
	}
}

int64
sd_lost_deadline(SdCoordinator *c, int64 now)
{
	int64		deadline = c->look_prepared_us;

	if (!c->joined)
		return SD_NEVER;
	if (may_rejoin(c) && c->policy.auto_rejoin && !c->rejoining && list_length(c->remotes) > 0)
		deadline = Min(deadline, Max(c->rejoin_after_us, now + (int64) sd_heartbeat_interval * SD_US_PER_MS / 4));
	return deadline;
}

void
sd_lost_describe(SdCoordinator *c, char *reason, char *remedy, Size size)
{
	char		refused[SD_TEXT_SIZE];

	LWLockAcquire(&c->db->lock, LW_SHARED);
	strlcpy(refused, c->db->rejoin_error, sizeof(refused));
	LWLockRelease(&c->db->lock);

	strlcpy(reason, c->self.mismatch, size);
	if (c->successor.ours)
		snprintf(remedy, size, "-- nothing to do: it votes again when version " INT64_FORMAT " is applied here", c->successor.version);
	else if (strcmp(c->self.cause, SD_VOID_GENERATION) == 0)
		strlcpy(remedy, "SELECT schemadrift.leave(); -- then join the group again", size);
	else if (strcmp(c->self.cause, SD_VOID_LOG) == 0)
		strlcpy(remedy, "SELECT schemadrift.leave(); -- remove_region() elsewhere, then join the group again", size);
	else if (c->me >= 0 && sd_config_voters(&c->members.config) == 1 && sd_member_votes(&c->members.config.member[c->me]))
		snprintf(remedy, size, "SELECT schemadrift.confirm_failover(); -- if a synchronous standby was promoted; it is the only voter, else force_new_group('%s')",
				 c->self.region);
	else if (refused[0])
		sd_shared_copy(remedy, size, sd_paste_comment(psprintf("not readmitted yet: %s", refused)));
	else if (c->policy.auto_rejoin)
		strlcpy(remedy, "-- nothing to do: it asks to come back as soon as it reaches a majority of the others", size);
	else
		strlcpy(remedy, strcmp(c->self.cause, SD_VOID_PROMOTED) == 0 ?
				"SELECT schemadrift.confirm_failover(); -- if the standby was synchronous, else SELECT schemadrift.rejoin();" :
				"SELECT schemadrift.rejoin();", size);
}
