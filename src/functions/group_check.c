/*
 * group_check.c: arguments and circumstances of the functions that make and change a group; see group.h.
 *
 * Runs in backends.  Takes no row lock.
 */
#include "compat.h"

#include <libpq-fe.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "attempt.h"
#include "ddl/lock.h"
#include "errors.h"
#include "functions/group.h"
#include "peer/client.h"
#include "peer/endpoint.h"

char *
sd_group_text_arg(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name),
				 errhint("In psql, \\df schemadrift.* tells which arguments a function has, and \\df+ what they are.")));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* Names go into ballots, file names of dumps and messages: plain ones only, equal in every encoding. */
void
sd_group_check_region(const char *region)
{
	size_t		length = strlen(region);
	bool		legal = length > 0 && length < SD_NAME_SIZE &&
		strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length &&
		region[0] != '_' && region[0] != '-';

	if (!legal)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid region name \"%s\"", region),
				 errdetail("A name is 1 to 63 lower-case letters, digits, \"-\" and \"_\", and begins with a letter or digit.")));
}

static void
require_parsable(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

	if (options == NULL && (strcasestr(conninfo, "password") != NULL || strchr(conninfo, '@') != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("conninfo cannot be used"),
				 errdetail("It cannot be parsed; what is wrong is not shown, because it seems to contain a password."),
				 errhint("Write it like \"host=db.example.com port=5432 dbname=app user=schemadrift\".")));
	PQconninfoFree(options);
}

void
sd_group_check_own_conninfo(const char *conninfo)
{
	require_parsable(conninfo);
	sd_conninfo_check(conninfo);
}

static bool
is_secret(const PQconninfoOption *option)
{
	return strcmp(option->keyword, "password") == 0 || strcmp(option->keyword, "sslpassword") == 0 ||
		strcmp(option->keyword, "oauth_client_secret") == 0 || strcmp(option->keyword, "scram_client_key") == 0 ||
		strcmp(option->keyword, "scram_server_key") == 0;
}

/*
 * "Entries are for ever: a conninfo in an entry may not contain a password."  Messages do not show the conninfo, and
 * libpq's own words neither where they might quote a password.
 */
void
sd_group_check_conninfo(const char *conninfo)
{
	PQconninfoOption *options;
	const char *secret = NULL;

	require_parsable(conninfo);
	options = PQconninfoParse(conninfo, NULL);
	for (PQconninfoOption *o = options; o && o->keyword && !secret; o++)
		if (is_secret(o) && o->val && o->val[0])
			secret = pstrdup(o->keyword);
	PQconninfoFree(options);
	if (secret)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("conninfo must not contain a password"),
				 errdetail("It has the option \"%s\"; it becomes part of the log, which every region keeps for ever.", secret),
				 errhint("Use a service file, a passfile or a client certificate on each server, and name that in the conninfo.")));
	sd_conninfo_check(conninfo);
}

char *
sd_group_show_conninfo(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	StringInfoData out;

	initStringInfo(&out);
	for (PQconninfoOption *o = options; o && o->keyword; o++)
	{
		if (o->val == NULL || o->val[0] == '\0' || is_secret(o))
			continue;
		appendStringInfo(&out, "%s%s=", out.len > 0 ? " " : "", o->keyword);
		if (strpbrk(o->val, " '\\") == NULL)
			appendStringInfoString(&out, o->val);
		else
		{
			appendStringInfoChar(&out, '\'');
			for (const char *c = o->val; *c; c++)
			{
				if (*c == '\'' || *c == '\\')
					appendStringInfoChar(&out, '\\');
				appendStringInfoChar(&out, *c);
			}
			appendStringInfoChar(&out, '\'');
		}
	}
	PQconninfoFree(options);
	return out.data;
}

SdRole
sd_group_check_role(const char *role)
{
	if (strcmp(role, "voter") == 0)
		return SD_ROLE_VOTER;
	if (strcmp(role, "observer") == 0)
		return SD_ROLE_OBSERVER;
	if (strcmp(role, "witness") == 0)
		return SD_ROLE_WITNESS;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid role \"%s\"", role),
			 errhint("Use \"voter\", \"observer\" or \"witness\".")));
}

bool
sd_group_has_role(const char *role)
{
	Oid			oid = get_role_oid(role, true);

	return OidIsValid(oid) && has_privs_of_role(GetUserId(), oid);
}

void
sd_group_check_session(const char *function)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot run schemadrift.%s() on a standby", function),
				 errhint("Run it on the primary.")));
	if (XactIsoLevel > XACT_READ_COMMITTED)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("schemadrift.%s() needs READ COMMITTED", function),
				 errdetail("An older snapshot would hide the newest state of the group."),
				 errhint("BEGIN ISOLATION LEVEL READ COMMITTED.")));
	if (IsSubTransaction())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot run schemadrift.%s() in a subtransaction", function),
				 errdetail("What the group agreed on could be rolled back here alone."),
				 errhint("Run it outside of savepoints and of blocks with an EXCEPTION clause.")));
	if (SessionReplicationRole != SESSION_REPLICATION_ROLE_ORIGIN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("session_replication_role is not \"origin\""),
				 errhint("RESET session_replication_role.")));
}

void
sd_group_check_no_block(const char *function)
{
	if (IsTransactionBlock())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("schemadrift.%s() cannot run inside a transaction block", function),
				 errdetail("ROLLBACK would not take back what it does in other regions.")));
}

/* In a scope; texts go to the caller's context. */
void
sd_group_members(MemoryContext context, SdMembers *members)
{
	SdMembers  *read = palloc(sizeof(SdMembers));
	MemoryContext old;

	sd_members_read(read);
	old = MemoryContextSwitchTo(context);
	sd_members_copy(members, read);
	MemoryContextSwitchTo(old);
}

void
sd_group_require(SdSelf *self, SdMembers *members)
{
	SdScope		scope;
	bool		joined;
	int64		removed = 0;

	sd_store_enter(&scope);
	joined = sd_self_read(self);
	if (joined)
	{
		removed = sd_self_removed(self);
		sd_group_members(scope.caller, members);
	}
	sd_store_leave(&scope);
	if (!joined)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is in no group"),
				 errhint("Make one with schemadrift.init(), or join one with schemadrift.join().")));
	if (removed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" is no member of its group any more", self->region),
				 errdetail("It was removed by version " INT64_FORMAT ".", removed),
				 errhint("SELECT schemadrift.leave() forgets the group here; schemadrift.join() joins it again.")));
}

int
sd_group_find(const SdMembers *members, const char *region)
{
	int			i = sd_config_find(&members->config, region);

	if (i < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no region \"%s\" in this group", region),
				 errhint("SELECT region FROM schemadrift.regions;")));
	return i;
}

void
sd_group_require_voter(const SdMembers *members, const char *region)
{
	if (sd_config_check(&members->config) == SD_CONFIG_NO_VOTER || members->config.n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" is the group's last voter", region),
				 errdetail("Without it the other members could never change the schema again."),
				 errhint("Let another region become a voter first, or remove the observers.")));
}

void
sd_group_warn_of_two(const SdMembers *members)
{
	int			voters = 0;

	for (int i = 0; i < members->config.n; i++)
		voters += members->wants[i] != SD_ROLE_OBSERVER && !members->stepped_down[i];
	if (voters == 2)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("a group of two voters can decide nothing while either is away"),
				 errhint("Join a third region, or a witness: schemadrift.join(..., role => 'witness').")));
}

/* Does this member have the version in its log?  NULL: yes; else why that is not known. */
static const char *
ask_learned(const SdSelf *self, const char *region, const char *conninfo, int64 version)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "schemadrift ask", ALLOCSET_SMALL_SIZES);
	const char *volatile answer = NULL;

	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		SdClient   *client = sd_client_connect(conninfo, self->region);
		const char *values[] = {psprintf("%d", sd_protocol_own())};
		const PGresult *result;

		sd_client_set_region(client, region);
		result = sd_client_query(client, "SELECT group_id, head FROM schemadrift_rpc.describe($1)", 1, NULL, values, false);
		if (PQntuples(result) != 1 || strcmp(PQgetvalue(result, 0, 0), sd_uuid_text(&self->group_id)) != 0)
			answer = "is in this group no more";
		else if (strtoll(PQgetvalue(result, 0, 1), NULL, 10) < version)
			answer = "has not learned it yet";
	}
	PG_CATCH();
	{
		ErrorData  *error;

		/* a cancel is a cancel; anything else is one member that cannot be asked */
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (sd_is_cancel(error))
			PG_RE_THROW();
		FlushErrorState();
		answer = error->detail ? error->detail : error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);	/* closes the connection */
	return answer;
}

/*
 * "Removed" is forgotten only when those who stay can do without us: they may need our acceptor to finish the very
 * entry that removed us, as long as none of their logs has it.
 */
static void
require_learned(const SdSelf *self, const SdMembers *members, int64 version)
{
	int			learned = 0;
	int			quorum = sd_config_quorum(&members->config);
	StringInfoData missing;

	initStringInfo(&missing);
	for (int i = 0; i < members->config.n && learned < quorum; i++)
	{
		const SdMember *member = &members->config.member[i];
		const char *why;
		int64		applied;
		SdScope		scope;

		if (!sd_member_votes(member))
			continue;
		sd_store_enter(&scope);
		applied = sd_peer_applied(member->region, member->incarnation);
		sd_store_leave(&scope);
		why = applied >= version ? NULL : ask_learned(self, member->region, members->conninfo[i], version);
		if (why == NULL)
			learned++;
		else
			appendStringInfo(&missing, "\n%s: %s", member->region, why);
	}
	if (learned < quorum)
		ereport(ERROR,
				(errcode(SD_ERRCODE_NO_QUORUM),
				 errmsg("the other regions may still need this one to settle its removal"),
				 errdetail("Version " INT64_FORMAT " removed it; %d of %d voters needed confirm that they have it in their log:%s",
						   version, learned, quorum, missing.data),
				 errhint("Try again when they can be reached. If that group is gone: DROP EXTENSION schemadrift, CREATE EXTENSION schemadrift.")));
}

void
sd_group_require_none(void)
{
	SdScope		scope;
	SdSelf		self;
	SdMembers	members;
	int64		removed = 0;

	sd_ddl_lock();
	sd_store_enter(&scope);
	if (sd_self_read(&self))
	{
		removed = sd_self_removed(&self);
		if (removed == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("this database is in a group already"),
					 errdetail("It is region \"%s\".", self.region),
					 errhint("SELECT schemadrift.leave() first.")));
		sd_group_members(scope.caller, &members);
		sd_addresses_override(&members);
	}
	sd_store_leave(&scope);
	if (removed > 0)
	{
		require_learned(&self, &members, removed);
		sd_group_clear();
	}
}
