/*
 * group_reach.c: who can be reached now; see group.h.
 *
 * Runs in backends; reads what the coordinator wrote into shared memory, under SdDatabase.lock.  Nothing here decides
 * safety: it keeps people from changes of the group after which the group could not decide anything.
 */
#include "compat.h"

#include "clock.h"
#include "errors.h"
#include "functions/group.h"
#include "settings.h"
#include "waits.h"

/* Not every heartbeat is news that waiters are woken for. */
#define LOOK_AGAIN_MS	200

/* Heartbeats come every interval; a few may get lost. */
static bool
lately(int64 us)
{
	int64		limit = Max(4 * (int64) sd_heartbeat_interval * SD_US_PER_MS, 4 * SD_US_PER_S);

	return us > 0 && sd_monotonic_us() - us < limit;
}

bool
sd_group_reaches(const SdSelf *self, const SdMember *member, const char **why)
{
	SdDatabase *db = sd_shared_mine();

	*why = NULL;
	if (strcmp(member->region, self->region) == 0)
	{
		if (!self->valid)
			*why = "its identity is not valid";
		return *why == NULL;
	}
	if (db == NULL)
	{
		*why = "no coordinator runs in this region";
		return false;
	}

	*why = "never heard of it";
	LWLockAcquire(&db->lock, LW_SHARED);
	for (int i = 0; i < db->n_peers; i++)
	{
		const SdPeerState *peer = &db->peers[i];

		if (strcmp(peer->region, member->region) != 0 || peer->last_heard_us == 0)
			continue;
		if (peer->told.incarnation != member->incarnation)
			*why = "heard of another incarnation only";
		else if (peer->circuit != SD_CIRCUIT_CLOSED)
			*why = "connections to it fail";
		else if (!lately(peer->last_heard_us))
			*why = "it does not answer";
		else if (peer->told.state == SD_REGION_VOID)
			*why = "its identity is not valid";
		else
			*why = NULL;
	}
	LWLockRelease(&db->lock);
	return *why == NULL;
}

static bool
calls_us(const SdSelf *self, const SdMember *member)
{
	SdDatabase *db = sd_shared_mine();
	bool		calls = strcmp(member->region, self->region) == 0;

	if (db == NULL || calls)
		return calls;
	LWLockAcquire(&db->lock, LW_SHARED);
	for (int i = 0; i < db->n_peers; i++)
		if (strcmp(db->peers[i].region, member->region) == 0)
			calls = lately(db->peers[i].last_called_us);
	LWLockRelease(&db->lock);
	return calls;
}

/* Voters reached, and, if both_ways, that reach us; a line for each other one. */
static int
count_reached(const SdSelf *self, const SdMembers *members, bool both_ways, StringInfo missing)
{
	int			reached = 0;

	initStringInfo(missing);
	for (int i = 0; i < members->config.n; i++)
	{
		const SdMember *member = &members->config.member[i];
		const char *why;

		if (!sd_member_votes(member))
			continue;
		if (!sd_group_reaches(self, member, &why))
			appendStringInfo(missing, "\n%s: %s", member->region, why);
		else if (both_ways && !calls_us(self, member))
			appendStringInfo(missing, "\n%s: it has not called this region lately", member->region);
		else
			reached++;
	}
	return reached;
}

static void
require_quorum(const SdSelf *self, const SdMembers *members, const char *what, bool both_ways, int64 deadline)
{
	SdDatabase *db = sd_shared_mine();
	int			quorum = sd_config_quorum(&members->config);
	int			voters = sd_config_voters(&members->config);
	int			reached;
	StringInfoData missing;

	if (db && deadline > 0)
		ConditionVariablePrepareToSleep(&db->changed);
	while ((reached = count_reached(self, members, both_ways, &missing)) < quorum && db && sd_monotonic_us() < deadline)
		ConditionVariableTimedSleep(&db->changed, Min(sd_monotonic_timeout_ms(deadline, sd_monotonic_us()), LOOK_AGAIN_MS),
									sd_wait_event(SD_WAIT_QUORUM));
	ConditionVariableCancelSleep();
	if (reached < quorum)
		ereport(ERROR,
				(errcode(SD_ERRCODE_NO_QUORUM),
				 errmsg("%s would leave a group that cannot decide", what),
				 errdetail("%d of its %d voters can be reached, %d are needed:%s", reached, voters, quorum, missing.data),
				 errhint("Bring the regions named back first: SELECT * FROM schemadrift.regions;")));
}

void
sd_group_require_quorum(const SdSelf *self, const SdMembers *members, const char *what)
{
	require_quorum(self, members, what, false, 0);
}

void
sd_group_await_quorum(const SdSelf *self, const SdMembers *members, const char *what)
{
	require_quorum(self, members, what, true, sd_monotonic_us() + (int64) sd_quorum_timeout * SD_US_PER_MS);
}
