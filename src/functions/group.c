/*
 * group.c: making a group, leaving it, removing a region from it.
 *
 * Runs in backends.  init and leave take the DDL lock and write the tables themselves; a change of an existing group's
 * members is an entry of the log like any other (gate/change.h).  docs/protocol.md, "Membership and
 * lost state".
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "causality/hlc.h"
#include "ddl/digest.h"
#include "ddl/lock.h"
#include "errors.h"
#include "functions/group.h"
#include "gate/change.h"
#include "gate/mode.h"
#include "settings.h"

PG_FUNCTION_INFO_V1(sd_init);
PG_FUNCTION_INFO_V1(sd_leave);
PG_FUNCTION_INFO_V1(sd_remove_region);

/* ---- changes of the group, as entries ---- */

void
sd_group_begin(const char *function, const char *subject)
{
	if (sd_change_active())
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("cannot run schemadrift.%s() in a transaction that has changed the schema", function),
				 errdetail("One transaction makes one entry of the log."),
				 errhint("COMMIT first.")));
	sd_change_set_subject(subject);
	sd_change_begin_config();
}

int64
sd_group_propose(const SdMembers *members, const char *action, const char *region)
{
	return sd_group_propose_more(members, action, region, "");
}

int64
sd_group_propose_more(const SdMembers *members, const char *action, const char *region, const char *more)
{
	StringInfoData payload;
	SdConfigFault fault = sd_config_check(&members->config);

	if (fault == SD_CONFIG_NO_VOTER)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a group needs a voter")));
	if (fault != SD_CONFIG_LEGAL)
		elog(ERROR, "illegal configuration (%d)", (int) fault);
	sd_group_check_policy(members);

	initStringInfo(&payload);
	appendStringInfo(&payload, "\"members\":%s,\"action\":\"%s\",\"region\":", sd_members_json(members), action);
	escape_json(&payload, region);
	appendStringInfoString(&payload, more);
	sd_change_describe(SD_KIND_CONFIG, NULL, 0, payload.data, true);
	sd_change_set_subject(psprintf("%s %s", action, region));
	return sd_change_version();
}

/* ---- init ---- */

static bool
has_user_tables(void)
{
	static SdStatement statement = {
		.sql = "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
		"WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' "
		"AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT 1 FROM pg_depend d "
		"WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') LIMIT 1"
	};

	return sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) > 0;
}

static void
append_hex(StringInfo out, const uint8 *bytes, int size)
{
	for (int i = 0; i < size; i++)
		appendStringInfo(out, "%02x", bytes[i]);
}

/* Version 1, the baseline: who begins, with which policy, and the digest of the schema as it is. */
static SdEntry
baseline(const char *region, const char *conninfo, const char *mode, const SdDigest *digest)
{
	SdEntry		entry = {0};
	SdMembers	members = {0};
	StringInfoData payload;
	SdHlcClock	clock;
	const char *author = GetUserNameFromId(GetSessionUserId(), false);
	TimestampTz now = GetCurrentTimestamp();

	members.config.n = 1;
	strlcpy(members.config.member[0].region, region, SD_NAME_SIZE);
	members.config.member[0].incarnation = 1;
	members.config.member[0].role = SD_ROLE_VOTER;
	members.wants[0] = SD_ROLE_VOTER;
	members.conninfo[0] = pstrdup(conninfo);

	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"members\":%s,\"policy\":{\"mode\":{\"value\":\"%s\",\"version\":1,\"by\":",
					 sd_members_json(&members), mode);
	escape_json(&payload, author);
	appendStringInfo(&payload, ",\"at\":\"%s\"}},\"after\":\"", sd_time_text(now));
	append_hex(&payload, digest->byte, SD_DIGEST_LENGTH);
	appendStringInfo(&payload, "\",\"form\":%d}", SD_DIGEST_FORM);

	sd_hlc_init(&clock, 0, 0);
	sd_uuid_make(&entry.id);
	entry.kind = SD_KIND_BASELINE;
	entry.origin = pstrdup(region);
	entry.incarnation = 1;
	entry.n = 1;
	entry.hlc = (int64) sd_hlc_now(&clock, (uint64) ((now + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000));
	entry.author = pstrdup(author);
	entry.protocol = SD_PROTOCOL_OLDEST;
	sd_entry_encode(&entry, payload.data);
	return entry;
}

static void
write_baseline(const char *region, const char *conninfo, const char *mode)
{
	SdChain		nothing = {{0}};
	SdApplied	applied = {.version = 1};
	SdDigest	digest = sd_digest_rebuild();
	SdEntry		entry = baseline(region, conninfo, mode, &digest);
	pg_uuid_t	group;

	sd_uuid_make(&group);
	applied.chain = sd_entry_chain(&nothing, &entry);
	memcpy(applied.digest, digest.byte, SD_DIGEST_LENGTH);
	sd_applied_insert(&applied);
	sd_self_insert(&group, 1, region, 1, "voter");
	sd_log_insert(1, &entry, &applied.chain);
	sd_execution_insert(1, "applied", GetCurrentTransactionStartTimestamp(), 1, NULL);
}

static void
wake_coordinator(void)
{
	SdDatabase *db = sd_shared_mine();

	/* none yet: the launcher starts it, and it looks at the tables first of all */
	if (db)
		sd_shared_wake_at_commit(db);
}

Datum
sd_init(PG_FUNCTION_ARGS)
{
	char	   *region = sd_group_text_arg(fcinfo, 0, "region");
	char	   *conninfo = sd_group_text_arg(fcinfo, 1, "conninfo");
	char	   *role = sd_group_text_arg(fcinfo, 2, "role");
	const char *mode;
	SdScope		scope;

	sd_group_check_session("init");
	sd_group_check_region(region);
	if (sd_group_check_role(role) != SD_ROLE_VOTER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the first region of a group must be a voter"),
				 errdetail("Nobody else could decide anything.")));
	sd_group_check_conninfo(conninfo);
	sd_group_require_none();

	sd_store_enter(&scope);
	mode = has_user_tables() ? "observe" : "coordinate";
	write_baseline(region, conninfo, mode);
	sd_store_leave(&scope);
	sd_gate_forget_policy();
	wake_coordinator();

	if (strcmp(mode, "observe") == 0)
		ereport(NOTICE,
				(errmsg("the group starts in mode \"observe\", because this database has tables: DDL is recorded, not sent"),
				 errhint("When the other regions have joined: SELECT schemadrift.set_policy('{\"mode\": \"coordinate\"}').")));
	else
		ereport(NOTICE,
				(errmsg("the group starts in mode \"coordinate\": DDL happens in every region, or nowhere"),
				 errhint("To record DDL only: SELECT schemadrift.set_policy('{\"mode\": \"observe\"}').")));
	PG_RETURN_VOID();
}

/* ---- leave, remove_region ---- */

void
sd_group_clear(void)
{
	SdScope		scope;

	sd_ddl_lock();
	sd_store_enter(&scope);
	sd_log_clear();
	sd_store_leave(&scope);
	sd_gate_forget_policy();
	wake_coordinator();
}

/* The configuration without a region; an error if those who stay could not decide. */
static void
take_out(const SdSelf *self, SdMembers *members, const char *region)
{
	sd_members_remove(members, sd_group_find(members, region));
	sd_group_require_voter(members, region);
	sd_group_require_quorum(self, members, psprintf("removing region \"%s\"", region));
}

Datum
sd_remove_region(PG_FUNCTION_ARGS)
{
	char	   *region = sd_group_text_arg(fcinfo, 0, "region");
	SdSelf		self;
	SdMembers	members;

	sd_group_check_session("remove_region");
	/* first to refuse what needs no quorum to be refused, then as the log is once nobody else can change it */
	for (int pass = 1; pass <= 2; pass++)
	{
		if (pass == 2)
			sd_group_begin("remove_region", region);
		sd_group_require(&self, &members);
		(void) sd_group_find(&members, region);
		if (strcmp(region, self.region) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a region cannot remove itself"),
					 errhint("SELECT schemadrift.leave() here, or remove_region() in another region.")));
		take_out(&self, &members, region);
	}
	sd_group_warn_of_two(&members);
	PG_RETURN_INT64(sd_group_propose(&members, "remove", region));
}

/*
 * Once it was removed, and whoever stays knows it, a region forgets; alone it may do so at once.  So may a void one, such
 * as a copy of a region's database: it has no vote that anybody could still need.
 */
static bool
leave_now(void)
{
	SdScope		scope;
	SdSelf		self;
	SdMembers	members;
	bool		joined;
	int64		removed = 0;

	sd_store_enter(&scope);
	joined = sd_self_read(&self);
	if (joined)
	{
		removed = sd_self_removed(&self);
		sd_group_members(scope.caller, &members);
	}
	sd_store_leave(&scope);
	if (!joined)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is in no group")));
	if (removed > 0)
	{
		sd_group_require_none();
		return true;
	}
	if (!self.valid)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("the group still has region \"%s\" as a member", self.region),
				 errdetail("This database forgets the group without asking it: %s.", self.mismatch),
				 errhint("Unless the original lives on, SELECT schemadrift.remove_region('%s') in another region.", self.region)));
	if (!self.valid || members.config.n == 1)
	{
		sd_group_clear();
		return true;
	}
	return false;
}

static void
refuse_witness(const SdSelf *self, const SdMembers *members)
{
	if (sd_members_is_witness(members, sd_group_find(members, self->region)))
		ereport(ERROR,
				(errcode(SD_ERRCODE_MAY_NOT_ORIGINATE),
				 errmsg("a witness changes nothing by itself"),
				 errhint("SELECT schemadrift.remove_region('%s') in another region; then leave() here forgets the group.",
						 self->region)));
}

Datum
sd_leave(PG_FUNCTION_ARGS)
{
	SdSelf		self;
	SdMembers	members;
	int64		version;

	(void) fcinfo;
	sd_group_check_session("leave");
	sd_group_check_no_block("leave");
	if (leave_now())
	{
		ereport(NOTICE, (errmsg("this database is in no group any more; its schema is as it was")));
		PG_RETURN_VOID();
	}

	for (int pass = 1; pass <= 2; pass++)
	{
		if (pass == 2)
			sd_group_begin("leave", "leave");
		sd_group_require(&self, &members);
		refuse_witness(&self, &members);
		take_out(&self, &members, self.region);
	}
	version = sd_group_propose(&members, "leave", self.region);
	ereport(NOTICE,
			(errmsg("region \"%s\" leaves the group with version " INT64_FORMAT, self.region, version),
			 errdetail("Its schema stays as it is. Its copy of the log is kept until the others have that version."),
			 errhint("SELECT schemadrift.leave() once more forgets the group here; so do init() and join().")));
	PG_RETURN_VOID();
}
