/*
 * describe.c: how this region is, in a word and a sentence, for views and alerts.
 *
 * Runs in the coordinator, without a transaction.  Takes db->lock for moments.
 */
#include "compat.h"

#include "utils/timestamp.h"

#include "progress.h"
#include "settings.h"
#include "worker/coordinator.h"

/* What is said of the region. */
typedef struct Words
{
	SdRegionState state;
	const char *alert;			/* what reason is about: docs/monitoring has a page on each; "": nothing is wrong */
	char		reason[SD_TEXT_SIZE];
	char		remedy[SD_TEXT_SIZE];
} Words;

static void say(Words *words, SdRegionState state, const char *alert, const char *remedy, const char *reason,...) pg_attribute_printf(5, 6);

static void
say(Words *words, SdRegionState state, const char *alert, const char *remedy, const char *reason,...)
{
	va_list		args;

	words->state = state;
	words->alert = alert;
	sd_shared_copy(words->remedy, sizeof(words->remedy), remedy);
	va_start(args, reason);
	vsnprintf(words->reason, sizeof(words->reason), reason, args);
	va_end(args);
}

int
sd_coordinator_reachable(SdCoordinator *c, bool *by_index)
{
	int64		now = sd_monotonic_us();
	int64		lately = Max(4 * (int64) sd_heartbeat_interval * SD_US_PER_MS, 4 * SD_US_PER_S);
	int			votes = 0;

	for (int i = 0; i < c->members.config.n; i++)
	{
		const SdMember *member = &c->members.config.member[i];
		SdRemote   *remote = sd_gossip_find(c, member->region);
		bool		reachable = i == c->me ? sd_lost_no_vote(c) == NULL :
			remote != NULL && remote->heard_us > 0 && now - remote->heard_us < lately &&
			remote->told.state != SD_REGION_VOID && sd_peer_circuit(remote->peer) == SD_CIRCUIT_CLOSED;

		if (by_index)
			by_index[i] = reachable;
		if (reachable && sd_member_votes(member))
			votes++;
	}
	return votes;
}

/* Who cannot be reached and should be, by name; each remote is told so. */
static int
look_for_missing(SdCoordinator *c, char *missing, Size size)
{
	bool		reachable[SD_MAX_REGIONS];
	int			votes = sd_coordinator_reachable(c, reachable);

	for (int i = 0; i < c->members.config.n; i++)
	{
		SdRemote   *remote = sd_gossip_find(c, c->members.config.member[i].region);
		bool		missed = !reachable[i] && sd_members_missed(c, i);

		if (remote)
			remote->missed = missed;
		if (!missed)
			continue;
		if (missing[0])
			strlcat(missing, ", ", size);
		strlcat(missing, c->members.config.member[i].region, size);
		if (remote && remote->told.state == SD_REGION_VOID)
			strlcat(missing, " (void)", size);
	}
	return votes;
}

/* A member that applies what is chosen: does it vote, and do enough of the others? */
static void
describe_serving(SdCoordinator *c, Words *words, int votes, const char *missing)
{
	static const char look_at_regions[] = "SELECT region, state, error FROM schemadrift.regions; -- mend the network or the regions named";
	int			voters = sd_config_voters(&c->members.config);
	int			quorum = sd_config_quorum(&c->members.config);

	if (c->learn_error[0])
		say(words, SD_REGION_DEGRADED, "log_stuck",
			"SELECT l.* FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'log' AND c.relnamespace::regnamespace::text = 'schemadrift_store'; -- the server's log has the details",
			"version " INT64_FORMAT " cannot be written to the log here: %.180s", c->head.version + 1, c->learn_error);
	else if (sd_lost_no_vote(c) && c->members.config.member[c->me].role != SD_ROLE_OBSERVER)
		say(words, votes < quorum ? SD_REGION_NO_QUORUM : SD_REGION_DEGRADED, votes < quorum ? "no_quorum" : "no_vote",
			c->unfit ? "-- mend that" : look_at_regions, "this region does not vote: %.220s", sd_lost_no_vote(c));
	else if (votes < quorum)
		say(words, SD_REGION_NO_QUORUM, "no_quorum", look_at_regions,
			"%d of %d voters are there, %d needed; missing: %.150s", votes, voters, quorum, missing);
	else if (missing[0])
		say(words, SD_REGION_DEGRADED, "unreachable", "SELECT region, state, error FROM schemadrift.regions;", "missing: %.200s", missing);
	else if (sd_members_say(c, &words->state, words->reason, words->remedy))
		words->alert = "not_serving";
	else if (voters == 2)
		say(words, SD_REGION_DEGRADED, "two_voters", "-- join a third region, or a witness: schemadrift.join(..., role => 'witness')",
			"two voters: the loss of either stops schema changes");
	else if (c->old_prepared)
		say(words, SD_REGION_DEGRADED, "prepared", c->old_prepared_remedy, "%s", c->old_prepared);
}

/* Is it stopped at a version?  Then why. */
static bool
describe_halt(SdCoordinator *c, Words *words)
{
	bool		halted;

	LWLockAcquire(&c->db->lock, LW_SHARED);
	halted = c->db->halted_at > 0;
	if (halted && sd_progress_is_held(c->db))
		say(words, SD_REGION_HALTED, "held",
			"SELECT schemadrift.retry(); -- after adding the role to schemadrift.allowed_roles (ALTER SYSTEM, SELECT pg_reload_conf();); "
			"or take it back: SELECT schemadrift.revert(name);",
			"version " INT64_FORMAT " cannot be applied: %.180s", c->db->halted_at, c->db->halt_error);
	else if (halted)
		say(words, SD_REGION_HALTED, "halted",
			"SELECT schemadrift.retry(); -- when the cause is mended; or take it back: SELECT schemadrift.revert(name); without a down: mark_applied(name, reason)",
			"version " INT64_FORMAT " cannot be applied: %.180s", c->db->halted_at, c->db->halt_error);
	LWLockRelease(&c->db->lock);
	return halted;
}

void
sd_coordinator_describe(SdCoordinator *c)
{
	Words		words = {.state = SD_REGION_HEALTHY,.alert = ""};
	char		missing[SD_TEXT_SIZE] = "";
	int			votes = c->joined ? look_for_missing(c, missing, sizeof(missing)) : 0;

	if (!c->joined)
		words.state = SD_REGION_NOT_JOINED;
	else if (c->me < 0)
		say(&words, SD_REGION_NOT_JOINED, "removed", "SELECT schemadrift.leave(); -- forgets the group; schemadrift.join() joins it again",
			"region \"%s\" was taken out of its group by version " INT64_FORMAT " or before", c->self.region, c->members.config.since);
	else if (!c->self.valid)
	{
		words.state = SD_REGION_VOID;
		words.alert = "void";
		sd_lost_describe(c, words.reason, words.remedy, sizeof(words.reason));
	}
	else if (!describe_halt(c, &words))
		describe_serving(c, &words, votes, missing);
	if (c->why_not && words.state == SD_REGION_NOT_JOINED)
		strlcpy(words.reason, c->why_not, sizeof(words.reason));

	if (c->joined && words.state != c->db->state)
	{
		if (words.state == SD_REGION_VOID || words.state == SD_REGION_NO_QUORUM)
			sd_coordinator_notify(c, sd_region_state_text(words.state), 0, words.reason);
		else if (words.state == SD_REGION_HEALTHY)
			sd_coordinator_notify(c, "healthy", 0, NULL);
	}

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	c->db->state = words.state;
	c->db->connected = words.state != SD_REGION_NO_QUORUM;
	strlcpy(c->db->reason, words.reason, sizeof(c->db->reason));
	strlcpy(c->db->remedy, words.remedy, sizeof(c->db->remedy));
	if (strcmp(c->db->alert, words.alert) != 0)
	{
		strlcpy(c->db->alert, words.alert, sizeof(c->db->alert));
		c->db->alert_since = words.alert[0] ? GetCurrentTimestamp() : 0;
	}
	sd_watch_own(c);
	LWLockRelease(&c->db->lock);
}
