/*
 * policy.c: the group's policy; see policy.h.  Runs anywhere, takes no lock, reads no table.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "store/entry.h"
#include "store/policy.h"

static const struct
{
	const char *name;
	SdDdlMode	mode;
}			modes[] = {
	{"observe", SD_MODE_OBSERVE},
	{"coordinate", SD_MODE_COORDINATE},
	{"require_apply", SD_MODE_REQUIRE_APPLY},
};

/* ---- single values ---- */

static char *
scalar_text(Jsonb *value)
{
	JsonbValue	scalar;

	if (!JB_ROOT_IS_SCALAR(value) || !JsonbExtractScalar(&value->root, &scalar) || scalar.type != jbvString)
		return NULL;
	return pnstrdup(scalar.val.string.val, scalar.val.string.len);
}

static bool
find_mode(const char *name, SdDdlMode *mode)
{
	for (size_t i = 0; name && i < lengthof(modes); i++)
		if (strcmp(modes[i].name, name) == 0)
		{
			*mode = modes[i].mode;
			return true;
		}
	return false;
}

static bool
mode_legal(Jsonb *value)
{
	SdDdlMode	mode;

	return find_mode(scalar_text(value), &mode);
}

static bool
patterns_legal(Jsonb *value)
{
	if (!JB_ROOT_IS_ARRAY(value) || JB_ROOT_IS_SCALAR(value))
		return false;
	for (uint32 i = 0; i < JB_ROOT_COUNT(value); i++)
	{
		JsonbValue *pattern = getIthJsonbValueFromContainer(&value->root, i);

		/* without a dot it would be taken for a schema by some and for a table by others */
		if (pattern->type != jbvString ||
			memchr(pattern->val.string.val, '.', pattern->val.string.len) == NULL)
			return false;
	}
	return true;
}

const SdPolicyKey sd_policy_keys[] = {
	{
		"local", "[]",
		"Objects that each region has for itself: patterns matched with \"schema.name\", where * stands for anything.",
		"an array of patterns, such as [\"scratch.*\", \"public.tmp_*\"]",
		patterns_legal
	},
	{
		"mode", "\"coordinate\"",
		"What happens to DDL: observe only records it, coordinate has the other regions agree and follow, "
		"require_apply refuses what does not come through schemadrift.apply().",
		"\"observe\", \"coordinate\" or \"require_apply\"",
		mode_legal
	},
};
const int	sd_policy_n_keys = lengthof(sd_policy_keys);

const SdPolicyKey *
sd_policy_key(const char *name)
{
	for (int i = 0; i < sd_policy_n_keys; i++)
		if (strcmp(sd_policy_keys[i].name, name) == 0)
			return &sd_policy_keys[i];
	return NULL;
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
		value->value = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(key->initial)));
		return false;
	}
	value->since = sd_json_int64(item, "version", 0);
	value->by = sd_json_text(item, "by");
	value->at = sd_json_text(item, "at");
	return true;
}

SdDdlMode
sd_policy_mode(Jsonb *policy)
{
	SdPolicyValue value;
	SdDdlMode	mode;

	sd_policy_value(policy, sd_policy_key("mode"), &value);
	if (!find_mode(scalar_text(value.value), &mode))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the group's policy has a mode that this version does not know"),
				 errhint("Upgrade schemadrift in this region.")));
	return mode;
}

List *
sd_policy_local(Jsonb *policy)
{
	SdPolicyValue value;
	List	   *patterns = NIL;

	sd_policy_value(policy, sd_policy_key("local"), &value);
	if (!patterns_legal(value.value))
		return NIL;
	for (uint32 i = 0; i < JB_ROOT_COUNT(value.value); i++)
	{
		JsonbValue *pattern = getIthJsonbValueFromContainer(&value.value->root, i);

		patterns = lappend(patterns, pnstrdup(pattern->val.string.val, pattern->val.string.len));
	}
	return patterns;
}
