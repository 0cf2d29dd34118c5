/*
 * members.c: what the coordinator makes of the group's members: their addresses, a witness's position, and what people
 * decided about this region.
 *
 * Process: the coordinator.  sd_members_look and sd_members_follow_log run in its transaction that looks at the tables; the
 * second locks the applied row, the first of the store's order.
 */
#include "compat.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/coordinator.h"

void
sd_members_look(SdCoordinator *c, const SdHead *head)
{
	char	   *addresses = sd_addresses_text();
	bool		moved = strcmp(addresses ? addresses : "", c->addresses ? c->addresses : "") != 0;
	SdMembers	members;
	SdMembers	fresh;
	MemoryContext old;

	if (c->joined && head->version == c->head.version && !moved)
		return;
	sd_members_read(&members);
	if (c->joined && members.config.since == c->members.config.since && !moved)
		return;
	if (c->joined && members.config.since != c->members.config.since)
		sd_coordinator_notify(c, "members", members.config.since, members.event);
	sd_addresses_override(&members);

	MemoryContextReset(c->members_context);
	old = MemoryContextSwitchTo(c->members_context);
	sd_members_copy(&fresh, &members);
	c->addresses = addresses ? pstrdup(addresses) : NULL;
	MemoryContextSwitchTo(old);
	c->members = fresh;
	c->reconnect = true;
}

/*
 * A witness runs nothing, so nothing can halt it: "its position is its log head".  It has no schema, and no digest of one:
 * zeros.
 */
void
sd_members_follow_log(SdCoordinator *c)
{
	static const uint8 no_digest[SD_SHA_SIZE];

	while (c->applied.version < c->head.version)
	{
		int64		version = c->applied.version + 1;

		if (!sd_log_find(version, &c->applied.chain, NULL))
			elog(ERROR, "version " INT64_FORMAT " is not in the log", version);
		sd_applied_advance(version, &c->applied.chain, no_digest);
		sd_execution_insert(version, "skipped", GetCurrentTimestamp(), 1, "this region is a witness");
		c->applied.version = version;
	}
}

bool
sd_members_missed(const SdCoordinator *c, int i)
{
	const SdMember *member = &c->members.config.member[i];

	return sd_member_votes(member) || !member->suspended;
}

bool
sd_members_say(const SdCoordinator *c, SdRegionState *state, char *reason, char *remedy)
{
	const SdMembers *members = &c->members;
	const SdMember *me = &members->config.member[c->me];

	if (me->suspended)
	{
		snprintf(reason, SD_TEXT_SIZE, "suspended by %s at %s: %.120s", members->suspended_by[c->me],
				 members->suspended_at[c->me], members->suspended_reason[c->me]);
		snprintf(remedy, SD_TEXT_SIZE, "SELECT schemadrift.resume_region('%s'); -- anywhere", me->region);
	}
	else if (members->stepped_down[c->me])
	{
		strlcpy(reason, "this region has stepped down: it does not vote", SD_TEXT_SIZE);
		if (sd_members_is_witness(members, c->me))
			snprintf(remedy, SD_TEXT_SIZE, "SELECT schemadrift.alter_region('%s', role => 'witness'); -- elsewhere", me->region);
		else
			strlcpy(remedy, "SELECT schemadrift.step_up();", SD_TEXT_SIZE);
	}
	else
		return false;
	*state = SD_REGION_DEGRADED;
	return true;
}
