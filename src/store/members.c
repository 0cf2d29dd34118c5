/*
 * members.c: who takes part, as config entries of the log say it, and where this region reaches them; see state.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "store/protocol.h"
#include "store/rows.h"
#include "store/state.h"

/* ---- the words ---- */

static SdRole
role_from_text(const char *text)
{
	if (strcmp(text, "voter") == 0)
		return SD_ROLE_VOTER;
	if (strcmp(text, "witness") == 0)
		return SD_ROLE_WITNESS;
	return SD_ROLE_OBSERVER;
}

const char *
sd_role_text(SdRole role)
{
	switch (role)
	{
		case SD_ROLE_VOTER:
			return "voter";
		case SD_ROLE_WITNESS:
			return "witness";
		case SD_ROLE_OBSERVER:
			return "observer";
	}
	return "observer";
}

/* ---- read from the log ---- */

static void
pg_attribute_noreturn()
malformed(int64 since, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("config entry " INT64_FORMAT " does not say who is a member", since),
			 errdetail("%s", what)));
}

void
sd_members_parse(Jsonb *payload, int64 since, SdMembers *members)
{
	Jsonb	   *list = sd_json_object(payload, "members");
	char	   *action = sd_json_text(payload, "action");
	char	   *about = sd_json_text(payload, "region");
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	memset(members, 0, sizeof(*members));
	members->config.since = since;
	if (action && about)
		members->event = psprintf("%s %s", action, about);
	if (list == NULL || !JB_ROOT_IS_ARRAY(list))
		malformed(since, "It has no members.");

	iterator = JsonbIteratorInit(&list->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		int			i = members->config.n;
		SdMember   *member = &members->config.member[i];
		Jsonb	   *one;
		char	   *region;
		char	   *role;
		char	   *wants;

		if (token != WJB_ELEM)
			continue;
		if (i >= SD_MAX_REGIONS)
			malformed(since, "It has more members than a group can have.");
		one = JsonbValueToJsonb(&value);
		region = sd_json_text(one, "region");
		role = sd_json_text(one, "role");
		wants = sd_json_text(one, "wants");
		if (region == NULL || role == NULL || strlen(region) >= SD_NAME_SIZE)
			malformed(since, "One of its members lacks region or role.");
		strlcpy(member->region, region, SD_NAME_SIZE);
		member->incarnation = (int32) sd_json_int64(one, "incarnation", 1);
		member->role = role_from_text(role);
		member->suspended = sd_json_int64(one, "suspended", 0) != 0;
		members->conninfo[i] = sd_json_text(one, "conninfo");
		members->priority[i] = (int32) sd_json_int64(one, "priority", 0);
		members->wants[i] = wants ? role_from_text(wants) : member->role;
		members->stepped_down[i] = sd_json_int64(one, "stepped_down", 0) != 0;
		if (member->suspended)
		{
			members->suspended_by[i] = sd_json_text(one, "suspended_by");
			members->suspended_at[i] = sd_json_text(one, "suspended_at");
			members->suspended_reason[i] = sd_json_text(one, "suspended_reason");
		}
		members->config.n++;
	}
}

/*
 * What was parsed last, with its texts: every exchange asks, and the members are rarely others.  The chain names the whole
 * log up to the entry, so nothing has to tell that it is out of date, be it a rollback, a leave() or another group.
 */
static struct
{
	MemoryContext context;		/* NULL: nothing yet */
	SdChain		chain;			/* of members.config.since */
	SdMembers	members;
}			known;

static void
members_remember(int64 since, const SdChain *chain)
{
	MemoryContext old;
	SdMembers	parsed;
	SdEntry    *entry = sd_log_entry(since);

	if (entry == NULL)
		elog(ERROR, "config entry " INT64_FORMAT " has no body", since);
	sd_members_parse(sd_entry_payload(entry), since, &parsed);
	if (known.context == NULL)
		known.context = AllocSetContextCreate(TopMemoryContext, "schemadrift members read", ALLOCSET_SMALL_SIZES);
	memset(&known.chain, 0, sizeof(known.chain));	/* should we run out of memory here */
	MemoryContextReset(known.context);
	old = MemoryContextSwitchTo(known.context);
	sd_members_copy(&known.members, &parsed);
	MemoryContextSwitchTo(old);
	known.chain = *chain;
}

void
sd_members_read(SdMembers *members)
{
	static SdStatement statement = {
		.sql = "SELECT version, chain FROM schemadrift_store.log WHERE version = greatest("
		"(SELECT max(version) FROM schemadrift_store.log WHERE kind = 'baseline'), "
		"(SELECT max(version) FROM schemadrift_store.log WHERE kind = 'config'))"
	};
	int64		since;
	SdChain		chain;

	memset(members, 0, sizeof(*members));
	if (sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return;
	since = sd_store_int64(0, 1);
	sd_row_hash(0, 2, chain.sha);
	if (since != known.members.config.since || memcmp(&chain, &known.chain, sizeof(chain)) != 0)
		members_remember(since, &chain);
	sd_members_copy(members, &known.members);
}

void
sd_members_history(const char *region, int32 incarnation, SdMemberHistory *history)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE kind IN ('baseline', 'config') ORDER BY version"
	};
	uint64		rows = sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
	SdMembers  *members = palloc(sizeof(SdMembers));
	bool		was_in = false;
	bool		named = false;

	memset(history, 0, sizeof(*history));
	for (uint64 i = 0; i < rows; i++)
	{
		bytea	   *bytes = sd_store_bytea(i, 2);
		int			m;
		bool		is_in;

		sd_members_parse(sd_entry_payload(sd_entry_decode(bytes)), sd_store_int64(i, 1), members);
		m = sd_config_find(&members->config, region);
		if (m >= 0)
			history->last_incarnation = Max(history->last_incarnation, members->config.member[m].incarnation);
		is_in = m >= 0 && members->config.member[m].incarnation == incarnation;
		if (is_in && history->admitted_by == 0)
			history->admitted_by = members->config.since;
		/* incarnations only count up: what has ended does not come back */
		if (was_in && m >= 0 && !is_in)
			history->replaced_by = members->config.since;
		named = named || is_in;
		if (named && m < 0 && history->removed_by == 0)
			history->removed_by = members->config.since;
		was_in = is_in;
		pfree(bytes);
	}
	pfree(members);
}

int64
sd_self_removed(const SdSelf *self)
{
	SdMembers  *members = palloc(sizeof(SdMembers));
	int64		removed = 0;
	int			me;

	sd_members_read(members);
	me = sd_config_find(&members->config, self->region);
	if (members->config.n > 0 && (me < 0 || members->config.member[me].incarnation != self->incarnation))
	{
		SdMemberHistory history;

		sd_members_history(self->region, self->incarnation, &history);
		removed = history.removed_by;
	}
	pfree(members);
	return removed;
}

/* ---- in memory ---- */

static char *
copy_text(const char *text)
{
	return text ? pstrdup(text) : NULL;
}

void
sd_members_copy(SdMembers *to, const SdMembers *from)
{
	*to = *from;
	for (int i = 0; i < from->config.n; i++)
	{
		to->conninfo[i] = copy_text(from->conninfo[i]);
		to->suspended_by[i] = copy_text(from->suspended_by[i]);
		to->suspended_at[i] = copy_text(from->suspended_at[i]);
		to->suspended_reason[i] = copy_text(from->suspended_reason[i]);
	}
	to->event = copy_text(from->event);
}

void
sd_members_remove(SdMembers *members, int i)
{
	int			last = --members->config.n;

	Assert(i >= 0 && i <= last);
	members->config.member[i] = members->config.member[last];
	members->conninfo[i] = members->conninfo[last];
	members->priority[i] = members->priority[last];
	members->wants[i] = members->wants[last];
	members->stepped_down[i] = members->stepped_down[last];
	members->suspended_by[i] = members->suspended_by[last];
	members->suspended_at[i] = members->suspended_at[last];
	members->suspended_reason[i] = members->suspended_reason[last];
}

void
sd_members_put(SdMembers *members, int i, const char *region, int32 incarnation, const char *conninfo, SdRole wants)
{
	SdMember   *member = &members->config.member[i];

	Assert(i >= 0 && i <= members->config.n && i < SD_MAX_REGIONS);
	if (i == members->config.n)
		members->config.n++;
	memset(member, 0, sizeof(*member));
	strlcpy(member->region, region, SD_NAME_SIZE);
	member->incarnation = incarnation;
	member->role = SD_ROLE_OBSERVER;
	members->conninfo[i] = pstrdup(conninfo);
	members->priority[i] = 0;
	members->wants[i] = wants;
	members->stepped_down[i] = false;
	members->suspended_by[i] = members->suspended_at[i] = members->suspended_reason[i] = NULL;
}

bool
sd_members_is_witness(const SdMembers *members, int i)
{
	return members->config.member[i].role == SD_ROLE_WITNESS || members->wants[i] == SD_ROLE_WITNESS;
}

bool
sd_members_serves(const SdMembers *members, int i)
{
	return !members->config.member[i].suspended && !sd_members_is_witness(members, i);
}

static void
append_text(StringInfo out, const char *key, const char *text)
{
	appendStringInfo(out, ",\"%s\":", key);
	escape_json(out, text);
}

char *
sd_members_json(const SdMembers *members)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < members->config.n; i++)
	{
		const SdMember *member = &members->config.member[i];

		appendStringInfoString(&out, i > 0 ? ",{\"region\":" : "{\"region\":");
		escape_json(&out, member->region);
		appendStringInfo(&out, ",\"incarnation\":%d,\"role\":\"%s\",\"suspended\":%d,\"priority\":%d",
						 member->incarnation, sd_role_text(member->role), member->suspended ? 1 : 0, members->priority[i]);
		append_text(&out, "conninfo", members->conninfo[i] ? members->conninfo[i] : "");
		if (members->wants[i] != member->role)
			append_text(&out, "wants", sd_role_text(members->wants[i]));
		if (members->stepped_down[i])
			appendStringInfoString(&out, ",\"stepped_down\":1");
		if (member->suspended && members->suspended_reason[i])
		{
			append_text(&out, "suspended_by", members->suspended_by[i]);
			append_text(&out, "suspended_at", members->suspended_at[i]);
			append_text(&out, "suspended_reason", members->suspended_reason[i]);
		}
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoChar(&out, ']');
	return out.data;
}

/* ---- addresses of our own ---- */

char *
sd_addresses_text(void)
{
	static SdStatement statement = {
		.sql = "SELECT string_agg(region || E'\\t' || conninfo, E'\\n' ORDER BY region) FROM schemadrift_store.peer_address"
	};

	if (!sd_store_has("peer_address"))
		return NULL;
	sd_store_run(&statement, NULL, NULL, 1);
	return sd_store_text(0, 1);
}

void
sd_addresses_override(SdMembers *members)
{
	static SdStatement statement = {.sql = "SELECT region, conninfo FROM schemadrift_store.peer_address"};
	uint64		rows = sd_store_has("peer_address") ? sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) : 0;

	for (uint64 i = 0; i < rows; i++)
	{
		int			m = sd_config_find(&members->config, sd_store_text(i, 1));

		if (m >= 0)
			members->conninfo[m] = sd_store_text(i, 2);
	}
}

void
sd_address_set(const char *region, const char *conninfo)
{
	static SdStatement set = {
		.sql = "INSERT INTO schemadrift_store.peer_address (region, conninfo) VALUES ($1, $2) "
		"ON CONFLICT (region) DO UPDATE SET conninfo = excluded.conninfo",
		.nargs = 2, .types = {TEXTOID, TEXTOID}
	};
	static SdStatement clear = {
		.sql = "DELETE FROM schemadrift_store.peer_address WHERE region = $1", .nargs = 1, .types = {TEXTOID}
	};
	Datum		values[] = {CStringGetTextDatum(region), conninfo ? CStringGetTextDatum(conninfo) : (Datum) 0};

	if (conninfo)
		sd_store_run(&set, values, NULL, 1);
	else
		sd_store_run(&clear, values, NULL, SD_ANY_ROWS);
}
