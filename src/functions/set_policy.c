/*
 * set_policy.c: the group's policy, changed and shown.
 *
 * Runs in backends.  A change is an entry of the log with the whole resulting policy (store/policy.h).
 */
#include "compat.h"

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "functions/group.h"
#include "gate/change.h"
#include "gate/judge.h"
#include "gate/policy.h"
#include "store/policy.h"

PG_FUNCTION_INFO_V1(sd_set_policy);
PG_FUNCTION_INFO_V1(sd_policy_rows);

static char *
known_keys(void)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < sd_policy_n_keys; i++)
		appendStringInfo(&out, "%s\"%s\"", i > 0 ? ", " : "", sd_policy_keys[i].name);
	return out.data;
}

/* Every key known, every value legal or null. */
static void
check_changes(Jsonb *changes)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(changes))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("policy must be a JSON object"),
				 errhint("Its keys may be: %s.", known_keys())));

	iterator = JsonbIteratorInit(&changes->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		const SdPolicyKey *key;
		SdPolicy	ignored;
		Jsonb	   *wanted;
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		key = sd_policy_key(name);
		if (key == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown policy key \"%s\"", name),
					 errhint("Keys are: %s.", known_keys())));
		wanted = sd_json_object(changes, name);
		if (wanted && !sd_policy_legal(key, wanted, &ignored))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value for policy key \"%s\": %s", name,
							sd_json_serialized(wanted)),
					 errhint("It must be %s; null takes it back to %s.", key->wanted,
							 key->initial ? key->initial : "the setting of each region")));
	}
}

static bool
mentions(Jsonb *changes, const char *key)
{
	JsonbValue	value;

	return getKeyJsonValueFromContainer(&changes->root, key, strlen(key), &value) != NULL;
}

static void
append_key(StringInfo out, const SdPolicyKey *key, Jsonb *value, int64 version, const char *by, const char *at)
{
	appendStringInfoString(out, out->data[out->len - 1] == '{' ? "" : ",");
	escape_json(out, key->name);
	appendStringInfo(out, ":{\"value\":%s,\"version\":" INT64_FORMAT ",\"by\":",
					 sd_policy_kept_as(key, value), version);
	escape_json(out, by);
	appendStringInfoString(out, ",\"at\":");
	escape_json(out, at);
	appendStringInfoChar(out, '}');
}

/* "Merged by key, null removes."  Keys that only a newer library knows stay as they are. */
static char *
merged(Jsonb *current, Jsonb *changes, int64 version)
{
	const char *by = GetUserNameFromId(GetSessionUserId(), false);
	char	   *at = sd_time_text(GetCurrentTimestamp());
	StringInfoData out;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	initStringInfo(&out);
	appendStringInfoString(&out, "\"policy\":{");
	iterator = current ? JsonbIteratorInit(&current->root) : NULL;
	while (iterator && (token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char	   *name;
		Jsonb	   *item;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		item = sd_json_object(current, name);
		if (mentions(changes, name) || item == NULL)
			continue;
		appendStringInfoString(&out, out.data[out.len - 1] == '{' ? "" : ",");
		escape_json(&out, name);
		appendStringInfo(&out, ":%s", sd_json_serialized(item));
	}
	for (int i = 0; i < sd_policy_n_keys; i++)
	{
		Jsonb	   *wanted = sd_json_object(changes, sd_policy_keys[i].name);

		if (wanted)
			append_key(&out, &sd_policy_keys[i], wanted, version, by, at);
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}

static bool
has_vote(const SdMembers *members, const char *region)
{
	int			i = sd_config_find(&members->config, region);

	return i >= 0 && sd_member_votes(&members->config.member[i]);
}

/* A policy that would refuse everything, or that says nothing, is a mistake. */
static void
check_whole(const char *payload, const SdMembers *members)
{
	Jsonb	   *json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("{%s}", payload))));
	SdPolicy	policy;
	ListCell   *lc;

	sd_policy_parse(sd_json_object(json, "policy"), &policy);
	foreach(lc, policy.quorum.regions)
		if (!has_vote(members, lfirst(lc)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("policy \"quorum\" names region \"%s\", which has no vote in this group", (char *) lfirst(lc)),
					 errdetail("No change of the schema could get its agreement."),
					 errhint("SELECT region, role FROM schemadrift.regions;")));
}

/* A lock that is over before it begins was meant for another day. */
static void
check_lock(Jsonb *changes)
{
	Jsonb	   *wanted = sd_json_object(changes, "lock");
	SdPolicy	policy;

	if (wanted && sd_policy_legal(sd_policy_key("lock"), wanted, &policy) && policy.lock.until <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("policy \"lock\" would be over already"),
				 errdetail("Its \"until\" is %s.", timestamptz_to_str(policy.lock.until)),
				 errhint("null takes a lock back.")));
}

static void
check_roles(Jsonb *changes)
{
	Jsonb	   *wanted = sd_json_object(changes, "roles");
	SdPolicy	policy = {0};

	if (wanted && sd_policy_legal(sd_policy_key("roles"), wanted, &policy) && policy.roles)
		sd_gate_require_own_servers("policy \"roles\"");
}

/* A rule that there is not would never except anything. */
static void
check_exceptions(Jsonb *changes)
{
	Jsonb	   *wanted = sd_json_object(changes, "exceptions");
	SdPolicy	policy;
	ListCell   *lc;

	if (wanted == NULL || !sd_policy_legal(sd_policy_key("exceptions"), wanted, &policy))
		return;
	foreach(lc, policy.exceptions)
	{
		SdException *exception = lfirst(lc);

		if (!sd_gate_is_rule(exception->rule))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("policy \"exceptions\" names rule \"%s\", which there is not", exception->rule),
					 errhint("SELECT rule, form FROM schemadrift.compatibility_matrix;")));
	}
}

/* The policy in force, in the current context; NULL: none.  False: no member of a group. */
static bool
read_policy(Jsonb **policy)
{
	SdScope		scope;
	SdSelf		self;
	Jsonb	   *read;
	bool		joined;

	*policy = NULL;
	sd_store_enter(&scope);
	joined = sd_self_read(&self) && sd_self_removed(&self) == 0;
	read = joined ? sd_policy_read() : NULL;
	if (read)
	{
		*policy = MemoryContextAlloc(scope.caller, VARSIZE(read));
		memcpy(*policy, read, VARSIZE(read));
	}
	sd_store_leave(&scope);
	return joined;
}

/*
 * The policy is not changed by the way: what somebody wanted to be in every quorum may be wanted still, of another region.
 */
void
sd_group_check_policy(const SdMembers *members)
{
	SdMembers	before;
	SdScope		scope;
	Jsonb	   *current;
	SdPolicy	policy;
	ListCell   *lc;

	(void) read_policy(&current);
	sd_policy_parse(current, &policy);
	if (policy.quorum.regions == NIL)
		return;
	sd_store_enter(&scope);
	sd_group_members(scope.caller, &before);
	sd_store_leave(&scope);
	foreach(lc, policy.quorum.regions)
		if (has_vote(&before, lfirst(lc)) && !has_vote(members, lfirst(lc)))
			ereport(ERROR,
					(errcode(SD_ERRCODE_POLICY),
					 errmsg("region \"%s\" cannot lose its vote while the policy wants it in every quorum", (char *) lfirst(lc)),
					 errdetail("%s", sd_policy_says(&policy, "quorum")),
					 errhint("SELECT schemadrift.set_policy('{\"quorum\": ...}') first: \"majority\", or a list without it.")));
}

Datum
sd_set_policy(PG_FUNCTION_ARGS)
{
	Jsonb	   *changes;
	Jsonb	   *current;
	SdSelf		self;
	SdMembers	members;
	char	   *payload;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "policy")));
	changes = PG_GETARG_JSONB_P(0);
	sd_group_check_session("set_policy");
	check_changes(changes);
	check_lock(changes);
	check_exceptions(changes);
	sd_group_require(&self, &members);
	sd_group_begin("set_policy", "set_policy");

	/* members and policy as they are now that nothing can come in between */
	sd_group_require(&self, &members);
	(void) read_policy(&current);
	payload = merged(current, changes, sd_change_version());
	check_whole(payload, &members);
	check_roles(changes);
	sd_change_describe(SD_KIND_POLICY, NULL, 0, payload, true);
	sd_change_set_subject("policy");
	PG_RETURN_INT64(sd_change_version());
}

/* The view "policy": every key, as set or as it is without. */
Datum
sd_policy_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	Jsonb	   *policy;
	bool		joined;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	joined = read_policy(&policy);

	for (int i = 0; joined && i < sd_policy_n_keys; i++)
	{
		const SdPolicyKey *key = &sd_policy_keys[i];
		SdPolicyValue value;
		bool		set = sd_policy_value(policy, key, &value);
		Datum		values[] = {
			CStringGetTextDatum(key->name),
			value.value ? JsonbPGetDatum(value.value) : (Datum) 0,
			Int64GetDatum(value.since),
			value.by ? CStringGetTextDatum(value.by) : (Datum) 0,
			value.at ? DirectFunctionCall3(timestamptz_in, CStringGetDatum(value.at), ObjectIdGetDatum(InvalidOid),
										   Int32GetDatum(-1)) : (Datum) 0,
			CStringGetTextDatum(key->description)
		};
		bool		nulls[lengthof(values)] = {
			false, value.value == NULL, !set, value.by == NULL, value.at == NULL, false
		};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
