/*
 * demands.c: what a change wants of the other regions before it may be proposed.
 *
 * Process: the coordinator.  Names (roles, extensions, collations, a major of PostgreSQL) that must exist wherever the schema is; regions that
 * must agree besides a majority, by policy "quorum" or by the change's own option "require"; a barrier: the version that
 * every serving region must have applied.  All of it is asked for before phase 1, so before any lock on a user's object.
 *
 * Required regions are waited for by the proposer (consensus/proposer.h); here it is said who they are.
 */
#include "compat.h"

#include "store/names.h"
#include "utils/memutils.h"
#include "texts.h"
#include "worker/coordinator.h"

/* How long what is missing is looked for again before the change is refused. */
#define PATIENCE_US		(1500 * SD_US_PER_MS)

void
sd_demands_take(SdCoordinator *c, char *lines)
{
	MemoryContext old = MemoryContextSwitchTo(c->needs_context);

	c->needs = NIL;
	c->require = (SdRequired) {0};
	c->barrier = 0;
	c->barrier_newest = false;
	for (char *line = lines ? strtok(lines, "\n") : NULL; line; line = strtok(NULL, "\n"))
	{
		if (strcmp(line, "voter:*") == 0)
			c->require.all = true;
		else if (strncmp(line, "voter:", 6) == 0)
			c->require.regions = lappend(c->require.regions, line + 6);
		else if (strcmp(line, "barrier:-1") == 0)
			c->barrier_newest = true;
		else if (strncmp(line, "barrier:", 8) == 0)
			c->barrier = strtoll(line + 8, NULL, 10);
		else
			c->needs = lappend(c->needs, line);
	}
	MemoryContextSwitchTo(old);
}

/*
 * What was told since the change asked is an answer.  Otherwise ask once more, if that region is there and there is time:
 * true, come back later.
 */
static bool
ask_again(SdCoordinator *c, SdRemote *remote, int64 told_us)
{
	int64		now = sd_monotonic_us();

	if (told_us >= c->asked_us || now - c->asked_us >= PATIENCE_US ||
		sd_peer_circuit(remote->peer) != SD_CIRCUIT_CLOSED)
		return false;
	if (!remote->exchanging)
		remote->next_exchange_us = 0;
	return true;
}

/* ---- names ---- */

/* A sentence, and what to do about it. */
static char *
missing_name(const SdRemote *remote, const char *need, const char **hint)
{
	const char *name = strchr(need, ':') + 1;

	if (strncmp(need, "postgres:", name - need) == 0)
	{
		*hint = psprintf("Write it so that PostgreSQL %d understands it, or upgrade that server first.", sd_names_major(remote->names));
		return psprintf("region %s runs PostgreSQL %d, and this statement is understood from PostgreSQL %s on",
						remote->region, sd_names_major(remote->names), name);
	}
	*hint = strncmp(need, "extension:", name - need) == 0 ? "Install its files on that server first, then run the change again: files are seen within a minute." :
		"Create it there first, then run the change again.";
	return psprintf("%.*s \"%s\" does not exist in region %s", (int) (name - need - 1), need, name, remote->region);
}

/* How far back it is looked for who made a role. */
#define LOOKED_AT	1000

/* Roles that the log makes behind the version that the region has told of: they will be there before what comes now. */
typedef struct Coming
{
	int64		after;
	List	   *roles;			/* of char *: needs */
} Coming;

static void
read_coming(SdCoordinator *c, void *arg)
{
	Coming	   *coming = arg;

	for (int64 version = Max(coming->after, c->head.version - LOOKED_AT) + 1; version <= c->head.version; version++)
	{
		SdEntry    *entry = sd_log_entry(version);
		Jsonb	   *roles = entry ? sd_json_object(sd_entry_payload(entry), SD_ROLES_KEY) : NULL;
		MemoryContext old = MemoryContextSwitchTo(c->needs_context);

		for (uint32 i = 0; roles && JB_ROOT_IS_ARRAY(roles) && i < JB_ROOT_COUNT(roles); i++)
		{
			JsonbValue *name = getIthJsonbValueFromContainer(&roles->root, i);

			if (name->type == jbvString)
				coming->roles = lappend(coming->roles, psprintf("role:%.*s", name->val.string.len, name->val.string.val));
		}
		MemoryContextSwitchTo(old);
	}
}

static List *
without_coming(SdCoordinator *c, SdRemote *remote)
{
	Coming		coming = {.after = remote->told.applied};
	List	   *needs = NIL;
	MemoryContext old;
	ListCell   *lc;

	if (coming.after >= c->head.version || sd_names_missing(remote->names, c->needs) == NULL ||
		!sd_coordinator_transaction(c, read_coming, &coming, false))
		return c->needs;
	old = MemoryContextSwitchTo(c->needs_context);
	foreach(lc, c->needs)
		if (!sd_texts_have(coming.roles, lfirst(lc)))
			needs = lappend(needs, lfirst(lc));
	MemoryContextSwitchTo(old);
	return needs;
}

char *
sd_demands_missing_name(SdCoordinator *c, bool *wait, const char **hint)
{
	ListCell   *lc;

	*wait = false;
	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);
		const char *need;

		if (!remote->serves || remote->names == NULL)
			continue;
		need = sd_names_missing(remote->names, without_coming(c, remote));
		if (need == NULL)
			continue;
		if (ask_again(c, remote, remote->names_us))
		{
			/* it may have been created since the last exchange */
			*wait = true;
			continue;
		}
		return missing_name(remote, need, hint);
	}
	return NULL;
}

/* ---- regions that must agree ---- */

static bool
require(SdCoordinator *c, const SdRequired *required, const char *says, char **detail)
{
	const SdConfig *config = &c->members.config;
	ListCell   *lc;

	if (required->all)
		for (int i = 0; i < config->n; i++)
			c->required[i] |= sd_member_votes(&config->member[i]);
	foreach(lc, required->regions)
	{
		int			i = sd_config_find(config, lfirst(lc));

		if (i >= 0 && sd_member_votes(&config->member[i]))
			c->required[i] = true;
		else
		{
			*detail = psprintf("Region %s: %s.\n%s", (char *) lfirst(lc),
							   i < 0 ? "is no member of the group" : "has no vote now", says);
			return false;
		}
	}
	return true;
}

static const char *
why_required(SdCoordinator *c)
{
	return c->policy.quorum.all || c->policy.quorum.regions != NIL ? sd_policy_says(&c->policy, "quorum") :
		"The change's own option \"require\" says so.";
}

/* Who must agree to this change, into c->required; false: it was refused. */
static bool
choose_required(SdCoordinator *c)
{
	char	   *detail = NULL;

	memset(c->required, 0, sizeof(c->required));
	if (c->asked.config)
		return true;
	if (require(c, &c->policy.quorum, sd_policy_says(&c->policy, "quorum"), &detail) &&
		require(c, &c->require, "The change's own option \"require\" names it.", &detail))
		return true;
	sd_request_finish(c, SD_RESULT_POLICY, "the schema change was refused: a region that must agree to it has no vote",
					  psprintf("Nothing happened.\n%s", detail), "SELECT region, role FROM schemadrift.regions;");
	return false;
}

bool
sd_demands_required_missing(SdCoordinator *c, SdRound *round)
{
	int			promised = 0;
	int			possible = 0;
	bool		missing = false;
	bool		failed = false;
	int			quorum = sd_config_quorum(&round->p.config);

	for (int i = 0; i < round->p.config.n; i++)
	{
		const SdProposerVoter *voter = &round->p.voter[i];

		if (!voter->votes)
			continue;
		promised += voter->status == SD_VOTER_PROMISED;
		/* who has promised something to another region is there, and may follow in a moment */
		if (voter->status == SD_VOTER_PROMISED || voter->status == SD_VOTER_ASKED ||
			voter->status == SD_VOTER_REFUSED || voter->status == SD_VOTER_LEASED)
			possible++;
		else
			failed |= voter->required;
		missing |= voter->required && voter->status != SD_VOTER_PROMISED;
	}
	/* without a majority that is the greater trouble */
	if (!missing || (promised < quorum && !(failed && possible >= quorum)))
		return false;
	sd_request_finish(c, SD_RESULT_POLICY, "the schema change was refused: a region that must agree to it is missing",
					  psprintf("Nothing happened.\n%s\n%s", sd_round_missing(round, ""), why_required(c)),
					  "SELECT * FROM schemadrift.regions; policies can be changed without these regions, "
					  "by SELECT schemadrift.set_policy(...).");
	return true;
}

/* ---- the barrier ---- */

/*
 * "Region r has applied x" is stable, so what it told long ago, or before this server started, is only cautious.  It is
 * counted for the incarnation that is a member now: a restore can move a region back.
 */
static void
read_applied(SdCoordinator *c, void *arg)
{
	int64	   *applied = arg;

	for (int i = 0; i < c->members.config.n; i++)
	{
		const SdMember *member = &c->members.config.member[i];
		SdRemote   *remote = sd_gossip_find(c, member->region);

		applied[i] = i == c->me ? c->applied.version : sd_peer_applied(member->region, member->incarnation);
		if (remote && remote->heard_us > 0 && remote->told.incarnation == member->incarnation)
			applied[i] = Max(applied[i], remote->told.applied);
	}
}

typedef enum Barrier
{
	BARRIER_MET,
	BARRIER_WAIT,
	BARRIER_REFUSED
} Barrier;

static Barrier
look_at_barrier(SdCoordinator *c)
{
	int64		barrier = c->barrier_newest ? Max(c->barrier, c->head.version) : c->barrier;
	StringInfoData detail;
	int64		applied[SD_MAX_REGIONS] = {0};
	bool		met = true;
	bool		wait = false;

	if (barrier == 0)
		return BARRIER_MET;
	(void) sd_coordinator_transaction(c, read_applied, applied, false);
	initStringInfo(&detail);
	appendStringInfoString(&detail, "Nothing happened.");
	for (int i = 0; i < c->members.config.n; i++)
	{
		const SdMember *member = &c->members.config.member[i];
		SdRemote   *remote = sd_gossip_find(c, member->region);

		if (!sd_members_serves(&c->members, i))
			continue;
		if (applied[i] >= barrier)
			continue;
		met = false;
		wait |= remote != NULL && barrier <= c->head.version && ask_again(c, remote, remote->heard_us);
		appendStringInfo(&detail, "\nRegion %s: has applied version " INT64_FORMAT "%s.", member->region, applied[i],
						 remote == NULL || sd_peer_circuit(remote->peer) == SD_CIRCUIT_CLOSED ? "" :
						 psprintf(" when it was heard last (%s)", sd_peer_last_error(remote->peer)));
	}
	if (met)
		return BARRIER_MET;
	if (wait)
		return BARRIER_WAIT;
	sd_request_finish(c, SD_RESULT_POLICY,
					  psprintf("the schema change was refused: its barrier, version " INT64_FORMAT ", is not met", barrier),
					  detail.data,
					  barrier > c->head.version ? "The log does not have that version yet." :
					  psprintf("CALL schemadrift.wait_for(" INT64_FORMAT "); then run the change again.", barrier));
	return BARRIER_REFUSED;
}

bool
sd_demands_met(SdCoordinator *c)
{
	return choose_required(c) && look_at_barrier(c) == BARRIER_MET;
}
