/*
 * policy_keys.c: the keys of the group's policy, and what their values mean; see policy.h.  Runs anywhere, takes no lock, reads no table.
 */
#include "compat.h"

#include <limits.h>

#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "store/entry.h"
#include "store/policy.h"
#include "texts.h"

static const struct
{
	const char *name;
	SdDdlMode	mode;
}			modes[] = {
	{"observe", SD_MODE_OBSERVE},
	{"coordinate", SD_MODE_COORDINATE},
	{"require_apply", SD_MODE_REQUIRE_APPLY},
};

static const struct
{
	const char *name;
	SdLeadership leadership;
}			leaderships[] = {
	{"work", SD_LEADERSHIP_WORK},
	{"rotate", SD_LEADERSHIP_ROTATE},
	{"priority", SD_LEADERSHIP_PRIORITY},
};

static const struct
{
	const char *name;
	SdReaction	reaction;
}			reactions[] = {
	{"pass", SD_REACTION_PASS},
	{"warn", SD_REACTION_WARN},
	{"refuse", SD_REACTION_REFUSE},
};

static void
append_texts(StringInfo out, const char *key, List *texts)
{
	ListCell   *lc;

	if (texts == NIL)
		return;
	appendStringInfo(out, "\"%s\":[", key);
	foreach(lc, texts)
	{
		appendStringInfoString(out, foreach_current_index(lc) > 0 ? "," : "");
		escape_json(out, lfirst(lc));
	}
	appendStringInfoString(out, "],");
}

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
scalar_bool(Jsonb *value, bool *result)
{
	JsonbValue	scalar;

	if (!JB_ROOT_IS_SCALAR(value) || !JsonbExtractScalar(&value->root, &scalar) || scalar.type != jbvBool)
		return false;
	*result = scalar.val.boolean;
	return true;
}

static int64
scalar_ms(Jsonb *value)
{
	JsonbValue	scalar;

	if (!JB_ROOT_IS_SCALAR(value) || !JsonbExtractScalar(&value->root, &scalar))
		return -1;
	return sd_json_milliseconds(&scalar);
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
find_leadership(const char *name, SdLeadership *leadership)
{
	for (size_t i = 0; name && i < lengthof(leaderships); i++)
		if (strcmp(leaderships[i].name, name) == 0)
		{
			*leadership = leaderships[i].leadership;
			return true;
		}
	return false;
}

static bool
parse_reaction(Jsonb *value, SdReaction *reaction)
{
	const char *name = value ? scalar_text(value) : NULL;

	for (size_t i = 0; name && i < lengthof(reactions); i++)
		if (strcmp(reactions[i].name, name) == 0)
		{
			*reaction = reactions[i].reaction;
			return true;
		}
	return false;
}

/* A word for both ways, or an object with a word for either; a way that it does not have stays as it is. */
static bool
parse_reactions(Jsonb *value, SdReactions *result)
{
	Jsonb	   *apply;
	Jsonb	   *plain;

	if (!JB_ROOT_IS_OBJECT(value))
	{
		if (!parse_reaction(value, &result->apply))
			return false;
		result->plain = result->apply;
		return true;
	}
	apply = sd_json_object(value, "apply");
	plain = sd_json_object(value, "plain");
	return JB_ROOT_COUNT(value) > 0 && JB_ROOT_COUNT(value) == (uint32) (apply != NULL) + (plain != NULL) &&
		(apply == NULL || parse_reaction(apply, &result->apply)) && (plain == NULL || parse_reaction(plain, &result->plain));
}

/* An array of texts, none empty; with_dot: each has one. */
static bool
parse_texts(Jsonb *value, bool with_dot, List **texts)
{
	*texts = NIL;
	if (!JB_ROOT_IS_ARRAY(value) || JB_ROOT_IS_SCALAR(value))
		return false;
	for (uint32 i = 0; i < JB_ROOT_COUNT(value); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(&value->root, i);

		if (item == NULL || item->type != jbvString || item->val.string.len == 0 ||
			(with_dot && memchr(item->val.string.val, '.', item->val.string.len) == NULL))
			return false;
		*texts = lappend(*texts, pnstrdup(item->val.string.val, item->val.string.len));
	}
	return true;
}

bool
sd_required_parse(Jsonb *value, SdRequired *required)
{
	char	   *word = scalar_text(value);

	memset(required, 0, sizeof(*required));
	if (word == NULL)
		return parse_texts(value, false, &required->regions);
	required->all = strcmp(word, "all") == 0;
	return required->all || strcmp(word, "majority") == 0;
}

static TimestampTz
parse_time(const char *text)
{
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
}

/* {} is no lock; any other one says what, and why. */
static bool
parse_lock(Jsonb *value, SdPolicyLock *lock)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;
	int			n_keys = 0;

	memset(lock, 0, sizeof(*lock));
	lock->until = DT_NOEND;
	if (!JB_ROOT_IS_OBJECT(value))
		return false;
	iterator = JsonbIteratorInit(&value->root);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		char	   *name;
		Jsonb	   *item;

		if (token != WJB_KEY)
			continue;
		n_keys++;
		name = pnstrdup(key.val.string.val, key.val.string.len);
		item = sd_json_object(value, name);
		if (item == NULL)
			return false;
		if (strcmp(name, "all") == 0)
		{
			if (!scalar_bool(item, &lock->all))
				return false;
		}
		else if (strcmp(name, "schemas") == 0)
		{
			if (!parse_texts(item, false, &lock->schemas))
				return false;
		}
		else if (strcmp(name, "objects") == 0)
		{
			/* without a dot it would be taken for a schema by some and for a table by others */
			if (!parse_texts(item, true, &lock->objects))
				return false;
		}
		else if (strcmp(name, "until") == 0)
		{
			if (scalar_text(item) == NULL)
				return false;
			lock->until = parse_time(scalar_text(item));
		}
		else if (strcmp(name, "reason") == 0)
		{
			lock->reason = scalar_text(item);
			if (lock->reason == NULL)
				return false;
		}
		else
			return false;
	}
	return n_keys == 0 ||
		((lock->all || lock->schemas != NIL || lock->objects != NIL) &&
		 lock->reason && !sd_text_is_blank(lock->reason));
}

/* {"rule": ..., "reason": ...}, perhaps "objects" and "until" */
static bool
parse_exception(Jsonb *value, SdException *exception)
{
	Jsonb	   *rule = sd_json_object(value, "rule");
	Jsonb	   *reason = sd_json_object(value, "reason");
	Jsonb	   *objects = sd_json_object(value, "objects");
	Jsonb	   *until = sd_json_object(value, "until");

	if (JB_ROOT_COUNT(value) != (uint32) (rule != NULL) + (reason != NULL) + (objects != NULL) + (until != NULL))
		return false;
	exception->rule = rule ? scalar_text(rule) : NULL;
	exception->reason = reason ? scalar_text(reason) : NULL;
	exception->until = DT_NOEND;
	if (exception->rule == NULL || exception->reason == NULL || sd_text_is_blank(exception->reason))
		return false;
	if (objects && (!parse_texts(objects, true, &exception->objects) || exception->objects == NIL))
		return false;
	if (until && scalar_text(until) == NULL)
		return false;
	if (until)
		exception->until = parse_time(scalar_text(until));
	return true;
}

static bool
parse_exceptions(Jsonb *value, List **exceptions)
{
	*exceptions = NIL;
	if (!JB_ROOT_IS_ARRAY(value) || JB_ROOT_IS_SCALAR(value))
		return false;
	for (uint32 i = 0; i < JB_ROOT_COUNT(value); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(&value->root, i);
		SdException *exception = palloc0(sizeof(SdException));
		Jsonb	   *object;

		if (item == NULL || item->type != jbvBinary)
			return false;
		object = JsonbValueToJsonb(item);
		if (!JB_ROOT_IS_OBJECT(object) || !parse_exception(object, exception))
			return false;
		*exceptions = lappend(*exceptions, exception);
	}
	return true;
}

/* ---- the keys ---- */

/* Each parses its value into the policy; false: it is none. */
static bool
take_mode(Jsonb *value, SdPolicy *policy)
{
	return find_mode(scalar_text(value), &policy->mode);
}

static bool
take_local(Jsonb *value, SdPolicy *policy)
{
	return parse_texts(value, true, &policy->local);
}

static bool
take_history_tables(Jsonb *value, SdPolicy *policy)
{
	return parse_texts(value, true, &policy->history_tables);
}

static bool
take_quorum(Jsonb *value, SdPolicy *policy)
{
	return sd_required_parse(value, &policy->quorum);
}

static bool
take_lock(Jsonb *value, SdPolicy *policy)
{
	return parse_lock(value, &policy->lock);
}

static bool
take_require_down(Jsonb *value, SdPolicy *policy)
{
	return scalar_bool(value, &policy->require_down);
}

/* true, false, or an interval */
static bool
take_require_dry_run(Jsonb *value, SdPolicy *policy)
{
	bool		any_age;

	if (scalar_bool(value, &any_age))
	{
		policy->require_dry_run_ms = any_age ? -1 : 0;
		return true;
	}
	policy->require_dry_run_ms = scalar_ms(value);
	return policy->require_dry_run_ms >= 1;
}

static bool
take_roles(Jsonb *value, SdPolicy *policy)
{
	const char *word = scalar_text(value);

	policy->roles = word && strcmp(word, "coordinate") == 0;
	return policy->roles || (word && strcmp(word, "local") == 0);
}

static bool
take_freeze_time(Jsonb *value, SdPolicy *policy)
{
	return scalar_bool(value, &policy->freeze_time);
}

static bool
take_auto_rejoin(Jsonb *value, SdPolicy *policy)
{
	return scalar_bool(value, &policy->auto_rejoin);
}

static bool
take_on_drift(Jsonb *value, SdPolicy *policy)
{
	const char *word = scalar_text(value);

	policy->drift_warns = word && strcmp(word, "warn") == 0;
	return policy->drift_warns || (word && strcmp(word, "halt") == 0);
}

static bool
take_on_unsafe(Jsonb *value, SdPolicy *policy)
{
	return parse_reactions(value, &policy->on_unsafe);
}

static bool
take_on_caution(Jsonb *value, SdPolicy *policy)
{
	return parse_reactions(value, &policy->on_caution);
}

static bool
take_exceptions(Jsonb *value, SdPolicy *policy)
{
	return parse_exceptions(value, &policy->exceptions);
}

static bool
take_barriers(Jsonb *value, SdPolicy *policy)
{
	const char *word = scalar_text(value);

	policy->gate_barriers = word && strcmp(word, "gate") == 0;
	return policy->gate_barriers || (word && strcmp(word, "off") == 0);
}

static bool
take_max_lock_wait(Jsonb *value, SdPolicy *policy)
{
	int64		ms = scalar_ms(value);

	policy->max_lock_wait_ms = (int) ms;
	return ms >= 1 && ms <= INT_MAX;
}

static bool
take_hold_limit(Jsonb *value, SdPolicy *policy)
{
	int64		ms = scalar_ms(value);

	policy->ddl_hold_limit_ms = (int) ms;
	return ms >= 1 && ms <= INT_MAX;
}

static bool
take_leadership(Jsonb *value, SdPolicy *policy)
{
	return find_leadership(scalar_text(value), &policy->leadership);
}

const SdPolicyKey sd_policy_keys[] = {
	{
		"auto_rejoin", "true",
		"Whether a region that may have lost votes asks by itself to be a member again.",
		"true or false",
		take_auto_rejoin
	},
	{
		"barriers", "\"off\"",
		"Whether a change that forbids or takes away something (gate G3, G4 or G5 of compatibility_matrix) waits until every serving region "
		"has applied the version before it: gate, or off.",
		"\"gate\" or \"off\"",
		take_barriers
	},
	{
		"ddl_hold_limit", NULL,
		"How long an open transaction that has changed the schema may keep another region waiting; "
		"not set: each region's setting schemadrift.ddl_hold_limit.",
		"an interval such as \"5 min\", or a number of milliseconds, from 1 ms to 24 days",
		take_hold_limit
	},
	{
		"exceptions", "[]",
		"Rules of analysis that neither refuse nor warn: [{\"rule\": ..., \"reason\": ...}], for some objects only with \"objects\": [patterns], "
		"for some time only with \"until\". Each use is a row of view decisions.",
		"an array of objects such as {\"rule\": \"B1\", \"objects\": [\"public.tmp_*\"], \"reason\": \"unused\", \"until\": \"2030-01-31 18:00+00\"} "
		"with a \"rule\" and a \"reason\"",
		take_exceptions
	},
	{
		"freeze_time", "false",
		"Whether a new column whose default follows the clock, such as now(), gives the rows that are there one value in all regions: the time of "
		"the transaction that made the change. Else it is refused where there are rows.",
		"true or false",
		take_freeze_time
	},
	{
		"history_tables", "[]",
		"Tables besides those of known tools in which a migration tool writes down what it has done, so that their rows go to all "
		"regions: patterns as in local; with - in front tables that are none.",
		"an array of patterns, such as [\"ops.deployments\", \"-public.schema_migrations\"]",
		take_history_tables
	},
	{
		"leadership", "\"work\"",
		"Who keeps the lease that saves a round trip: work is whoever changes the schema, rotate each region in its turn, "
		"priority the reachable region of the highest priority.",
		"\"work\", \"rotate\" or \"priority\"",
		take_leadership
	},
	{
		"local", "[]",
		"Objects that each region has for itself: patterns matched with \"schema.name\", where * stands for anything.",
		"an array of patterns, such as [\"scratch.*\", \"public.tmp_*\"]",
		take_local
	},
	{
		"lock", "{}",
		"What no change may touch for the time being: {\"all\": true}, {\"schemas\": [...]} or {\"objects\": [patterns]}, "
		"with \"reason\", and \"until\" unless it is to last until it is removed.",
		"an object such as {\"schemas\": [\"billing\"], \"until\": \"2030-01-31 18:00+00\", \"reason\": \"year-end\"} "
		"with \"all\": true, \"schemas\" or \"objects\", and a \"reason\"",
		take_lock
	},
	{
		"max_lock_wait", NULL,
		"The longest that a statement that changes the schema waits for a lock where it is made, unless the session's lock_timeout is shorter; "
		"other regions have their setting schemadrift.lock_timeout.",
		"an interval such as \"2 s\", or a number of milliseconds, from 1 ms to 24 days",
		take_max_lock_wait
	},
	{
		"mode", "\"coordinate\"",
		"What happens to DDL: observe only records it, coordinate has the other regions agree and follow, "
		"require_apply refuses what does not come through schemadrift.apply().",
		"\"observe\", \"coordinate\" or \"require_apply\"",
		take_mode
	},
	{
		"on_caution", "\"pass\"",
		"What becomes of a change in which analyze() finds a statement to be careful with: as on_unsafe.",
		"\"refuse\", \"warn\" or \"pass\", or an object with such a word for \"apply\", \"plain\" or both",
		take_on_caution
	},
	{
		"on_drift", "\"halt\"",
		"What a region does with a change that leaves something else there than at its origin: halt takes it back and stops "
		"at that version, warn keeps it and shows the difference as drift. In force at once, also for versions before.",
		"\"halt\" or \"warn\"",
		take_on_drift
	},
	{
		"on_unsafe", "{\"apply\": \"refuse\", \"plain\": \"warn\"}",
		"What becomes of a change in which analyze() finds an unsafe statement, by the way on which it comes: refuse, unless the option allow or "
		"exceptions has its rule; warn; pass.",
		"\"refuse\", \"warn\" or \"pass\", or an object with such a word for \"apply\", \"plain\" or both",
		take_on_unsafe
	},
	{
		"quorum", "\"majority\"",
		"Voters that must agree to each change of the schema: a majority, all, or a majority with the regions listed.",
		"\"majority\", \"all\", or an array of regions that must be in it, such as [\"us-east\", \"eu-west\"]",
		take_quorum
	},
	{
		"require_down", "false",
		"Whether a change needs the script that takes it back: apply() without \"down\" and plain DDL are refused.",
		"true or false",
		take_require_down
	},
	{
		"require_dry_run", "false",
		"Whether a change needs a dry_run() of the same up and down, in the region where it is made, that found nothing bad in any region: "
		"true, or an interval for within that time. Else apply() and plain DDL are refused.",
		"true, false, an interval such as \"1 day\", or a number of milliseconds from 1",
		take_require_dry_run
	},
	{
		"roles", "\"local\"",
		"Whose business roles, their memberships and settings are: local is each region's own, coordinate that of all regions, like the schema. "
		"No two regions may share a server then.",
		"\"local\" or \"coordinate\"",
		take_roles
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

/* The input functions that refuse a text hold nothing but memory, so their error can be let go of. */
bool
sd_policy_legal(const SdPolicyKey *key, Jsonb *value, SdPolicy *policy)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = false;

	PG_TRY();
	{
		good = key->take(value, policy);
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return good;
}

/* {"all": ..., "until": ...}: the same lock in any region's time zone */
static char *
lock_text(const SdPolicyLock *lock)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	if (lock->all)
		appendStringInfoString(&out, "\"all\":true,");
	append_texts(&out, "schemas", lock->schemas);
	append_texts(&out, "objects", lock->objects);
	if (!TIMESTAMP_IS_NOEND(lock->until))
		appendStringInfo(&out, "\"until\":\"%s\",", sd_time_text(lock->until));
	if (lock->reason)
	{
		appendStringInfoString(&out, "\"reason\":");
		escape_json(&out, lock->reason);
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}

static char *
exceptions_text(List *exceptions)
{
	StringInfoData out;
	ListCell   *lc;

	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	foreach(lc, exceptions)
	{
		SdException *exception = lfirst(lc);

		appendStringInfoString(&out, foreach_current_index(lc) > 0 ? ",{\"rule\":" : "{\"rule\":");
		escape_json(&out, exception->rule);
		appendStringInfoChar(&out, ',');
		append_texts(&out, "objects", exception->objects);
		if (!TIMESTAMP_IS_NOEND(exception->until))
			appendStringInfo(&out, "\"until\":\"%s\",", sd_time_text(exception->until));
		appendStringInfoString(&out, "\"reason\":");
		escape_json(&out, exception->reason);
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoChar(&out, ']');
	return out.data;
}

char *
sd_policy_kept_as(const SdPolicyKey *key, Jsonb *value)
{
	SdPolicyLock lock;
	List	   *exceptions;

	if (key->take == take_lock && parse_lock(value, &lock))
		return lock_text(&lock);
	if (key->take == take_exceptions && parse_exceptions(value, &exceptions))
		return exceptions_text(exceptions);
	return sd_json_serialized(value);
}
