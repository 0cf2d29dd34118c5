/*
 * policy.c: the group's policy; see policy.h.  Runs anywhere, takes no lock, reads no table.
 */
#include "compat.h"

#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "store/entry.h"
#include "store/policy.h"

/* ---- a lock ---- */

/* "*" is any number of any characters, all else is itself; the same patterns as those of "local" */
bool
sd_pattern_matches(const char *text, const char *pattern)
{
	const char *star = NULL;
	const char *resume = NULL;

	while (*text)
	{
		if (*pattern == '*')
		{
			star = pattern++;
			resume = text;
		}
		else if (*pattern == *text)
		{
			pattern++;
			text++;
		}
		else if (star)
		{
			/* let the last star swallow one more */
			pattern = star + 1;
			text = ++resume;
		}
		else
			return false;
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool
sd_policy_is_locked(const SdPolicy *policy)
{
	const SdPolicyLock *lock = &policy->lock;

	return (lock->all || lock->schemas != NIL || lock->objects != NIL) && lock->until > GetCurrentTimestamp();
}

bool
sd_policy_lock_covers(const SdPolicyLock *lock, const char *schema, const char *name)
{
	char	   *full = psprintf("%s.%s", schema, name);
	ListCell   *lc;

	if (lock->all)
		return true;
	foreach(lc, lock->schemas)
		if (strcmp(lfirst(lc), schema) == 0)
			return true;
	foreach(lc, lock->objects)
	{
		const char *pattern = lfirst(lc);

		/* what is done to a schema is done to what is in it */
		if (sd_pattern_matches(full, name[0] ? pattern : pnstrdup(pattern, strchr(pattern, '.') - pattern + 1)))
			return true;
	}
	return false;
}

/* ---- a whole policy ---- */

bool
sd_policy_value(Jsonb *policy, const SdPolicyKey *key, SdPolicyValue *value)
{
	Jsonb	   *item = policy ? sd_json_object(policy, key->name) : NULL;

	memset(value, 0, sizeof(*value));
	if (item && JB_ROOT_IS_OBJECT(item))
		value->value = sd_json_object(item, "value");
	if (value->value == NULL)
	{
		if (key->initial)
			value->value = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(key->initial)));
		return false;
	}
	value->since = sd_json_int64(item, "version", 0);
	value->by = sd_json_text(item, "by");
	value->at = sd_json_text(item, "at");
	return true;
}

void
sd_policy_parse(Jsonb *json, SdPolicy *policy)
{
	*policy = (SdPolicy) {.mode = SD_MODE_COORDINATE, .auto_rejoin = true,
		.on_unsafe = {SD_REACTION_REFUSE, SD_REACTION_WARN}};
	policy->lock.until = DT_NOEND;
	policy->says = palloc0(sizeof(char *) * sd_policy_n_keys);
	for (int i = 0; i < sd_policy_n_keys; i++)
	{
		const SdPolicyKey *key = &sd_policy_keys[i];
		SdPolicyValue value;
		SdPolicy	before = *policy;

		if (!sd_policy_value(json, key, &value))
		{
			policy->says[i] = psprintf("Policy \"%s\" is not set, which means %s.", key->name,
									   key->initial ? key->initial : "the setting of each region");
			continue;
		}
		policy->says[i] = psprintf("Policy \"%s\" is %s, set by %s in version " INT64_FORMAT " at %s.", key->name,
								   sd_json_serialized(value.value), value.by ? value.by : "?", value.since, value.at ? value.at : "?");
		if (!sd_policy_legal(key, value.value, policy))
		{
			*policy = before;
			policy->unknown = key->name;
		}
	}
}

const char *
sd_policy_says(const SdPolicy *policy, const char *key)
{
	return policy->says[sd_policy_key(key) - sd_policy_keys];
}

int
sd_policy_hold_limit_ms(const SdPolicy *policy)
{
	return policy->ddl_hold_limit_ms > 0 ? policy->ddl_hold_limit_ms : sd_ddl_hold_limit;
}

List *
sd_policy_local(Jsonb *policy)
{
	const SdPolicyKey *key = sd_policy_key("local");
	SdPolicyValue value;
	SdPolicy	only;

	sd_policy_value(policy, key, &value);
	return value.value && sd_policy_legal(key, value.value, &only) ? only.local : NIL;
}
