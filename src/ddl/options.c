/*
 * options.c: the options of a migration; see options.h.
 *
 * Backend and applier; no locking.
 */
#include "compat.h"

#include <limits.h>
#include <math.h>

#include "lib/stringinfo.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "ddl/options.h"
#include "store/entry.h"
#include "store/policy.h"

/* ---- values ---- */

static bool
scalar_of(Jsonb *value, JsonbValue *scalar)
{
	return JB_ROOT_IS_SCALAR(value) && JsonbExtractScalar(&value->root, scalar);
}

static void pg_attribute_noreturn()
refuse_value(const char *option, Jsonb *value, const char *must, const char *example)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" must be %s", option, must),
			 errdetail("It is %s.", sd_json_serialized(value)),
			 errhint("For example '{\"%s\": %s}'.", option, example)));
}

/* A number of milliseconds, or an interval. */
static int
timeout_ms(Jsonb *value)
{
	JsonbValue	scalar;
	int64		ms = scalar_of(value, &scalar) ? sd_json_milliseconds(&scalar) : -1;

	if (ms < 1 || ms > INT_MAX)
		refuse_value("timeout", value, "an interval, or a number of milliseconds, from 1 ms to 24 days", "\"30s\"");
	return (int) ms;
}

static void
check_timeout(Jsonb *value)
{
	(void) timeout_ms(value);
}

static void
check_require(Jsonb *value)
{
	SdRequired	required;
	ListCell   *lc;
	bool		good = sd_required_parse(value, &required);

	/* each is a line of what the coordinator is asked for */
	foreach(lc, required.regions)
		good = good && strchr(lfirst(lc), '\n') == NULL && strcmp(lfirst(lc), "*") != 0;
	if (!good)
		refuse_value("require", value, "\"majority\", \"all\", or an array of regions", "\"all\"");
}

/* A version; previous for true and "previous", 0 for false. */
static int64
parse_barrier(Jsonb *value, int64 previous)
{
	JsonbValue	scalar;

	if (scalar_of(value, &scalar))
	{
		if (scalar.type == jbvBool)
			return scalar.val.boolean ? previous : 0;
		if (scalar.type == jbvString && scalar.val.string.len == 8 && memcmp(scalar.val.string.val, "previous", 8) == 0)
			return previous;
		if (scalar.type == jbvNumeric)
		{
			double		version = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(scalar.val.numeric)));

			if (version >= 0 && version <= 1e15 && version == floor(version))
				return (int64) version;
		}
	}
	refuse_value("barrier", value, "a version, or \"previous\" for the newest one", "\"previous\"");
}

static bool
parse_bool(Jsonb *value, bool *result)
{
	JsonbValue	scalar;

	if (!scalar_of(value, &scalar) || scalar.type != jbvBool)
		return false;
	*result = scalar.val.boolean;
	return true;
}

static void
check_freeze_time(Jsonb *value)
{
	bool		freeze;

	if (!parse_bool(value, &freeze))
		refuse_value("freeze_time", value, "true or false", "true");
}

static void
check_barrier(Jsonb *value)
{
	(void) parse_barrier(value, -1);
}

static SdAllowed *
make_allowed(const JsonbValue *rule, const JsonbValue *reason)
{
	SdAllowed  *allowed = palloc0(sizeof(SdAllowed));

	allowed->rule = pnstrdup(rule->val.string.val, rule->val.string.len);
	if (reason)
		allowed->reason = pnstrdup(reason->val.string.val, reason->val.string.len);
	return allowed;
}

/* Rules, or an object of rules with reasons; false: neither. */
static bool
parse_allowed(Jsonb *value, List **allowed)
{
	bool		reasons = JB_ROOT_IS_OBJECT(value);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	JsonbValue	reason;

	*allowed = NIL;
	if (JB_ROOT_IS_SCALAR(value))
		return false;
	iterator = JsonbIteratorInit(&value->root);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token != WJB_KEY && token != WJB_ELEM)
			continue;
		if (item.type != jbvString)
			return false;
		if (reasons && (JsonbIteratorNext(&iterator, &reason, true) != WJB_VALUE || reason.type != jbvString))
			return false;
		*allowed = lappend(*allowed, make_allowed(&item, reasons ? &reason : NULL));
	}
	return true;
}

static void
check_allow(Jsonb *value)
{
	List	   *allowed;

	if (!parse_allowed(value, &allowed))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"allow\" must be an array of rules, or an object of rules with a reason each"),
				 errhint("For example {\"allow\": [\"C8\"]} or {\"allow\": {\"C8\": \"nobody uses the table at night\"}}.")));
}

/* ---- options ---- */

/* One row an option.  check: an error unless the value, which is not null, is one of this option's. */
static const struct
{
	const char *name;
	void		(*check) (Jsonb *value);	/* NULL: not in this version */
}			known[] = {
	{"timeout", check_timeout},
	{"require", check_require},
	{"barrier", check_barrier},
	{"allow", check_allow},
	{"freeze_time", check_freeze_time},
	{"feature", NULL},
};

static char *
known_names(void)
{
	StringInfoData out;

	initStringInfo(&out);
	for (size_t i = 0; i < lengthof(known); i++)
		if (known[i].check)
			appendStringInfo(&out, "%s%s", out.len > 0 ? ", " : "", known[i].name);
	return out.data;
}

static void
check_option(Jsonb *options, const char *name)
{
	for (size_t i = 0; i < lengthof(known); i++)
	{
		Jsonb	   *value;

		if (strcmp(known[i].name, name) != 0)
			continue;
		if (known[i].check == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("option \"%s\" is not supported in this version", name),
					 errhint("Options are: %s.", known_names())));
		value = sd_json_object(options, name);
		if (value)
			known[i].check(value);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" is unknown", name),
			 errhint("Options are: %s.", known_names())));
}

void
sd_options_check(Jsonb *options)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;

	if (options == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object"),
				 errhint("For example '{\"timeout\": \"30s\"}'.  Options are: %s.", known_names())));
	iterator = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
		if (token == WJB_KEY)
			check_option(options, pnstrdup(key.val.string.val, key.val.string.len));
}

int
sd_options_timeout_ms(Jsonb *options)
{
	Jsonb	   *value = options ? sd_json_object(options, "timeout") : NULL;

	return value ? timeout_ms(value) : 0;
}

bool
sd_options_freeze_time(Jsonb *options, bool otherwise)
{
	Jsonb	   *value = options ? sd_json_object(options, "freeze_time") : NULL;

	if (value)
		(void) parse_bool(value, &otherwise);
	return otherwise;
}

List *
sd_options_allowed(Jsonb *options)
{
	Jsonb	   *value = options ? sd_json_object(options, "allow") : NULL;
	List	   *allowed = NIL;

	if (value)
		(void) parse_allowed(value, &allowed);
	return allowed;
}

List *
sd_options_needs(Jsonb *options)
{
	Jsonb	   *value = options ? sd_json_object(options, "require") : NULL;
	SdRequired	required = {0};
	List	   *needs = NIL;
	ListCell   *lc;

	if (value)
		(void) sd_required_parse(value, &required);
	if (required.all)
		needs = lappend(needs, "voter:*");
	foreach(lc, required.regions)
		needs = lappend(needs, psprintf("voter:%s", (char *) lfirst(lc)));
	value = options ? sd_json_object(options, "barrier") : NULL;
	if (value && parse_barrier(value, -1) != 0)
		needs = lappend(needs, psprintf("barrier:" INT64_FORMAT, parse_barrier(value, -1)));
	return needs;
}

int64
sd_options_barrier(Jsonb *options, int64 previous)
{
	Jsonb	   *value = options ? sd_json_object(options, "barrier") : NULL;

	return value ? parse_barrier(value, previous) : 0;
}

SdTimeLimit
sd_time_limit_start(int timeout_ms)
{
	SdTimeLimit limit = {false, 0};
	TimestampTz now = GetCurrentTimestamp();

	if (timeout_ms <= 0)
		return limit;
	if (get_timeout_active(STATEMENT_TIMEOUT))
	{
		limit.restore = get_timeout_finish_time(STATEMENT_TIMEOUT);
		if (limit.restore <= TimestampTzPlusMilliseconds(now, timeout_ms))
			return limit;
	}
	limit.armed = true;
	enable_timeout_after(STATEMENT_TIMEOUT, timeout_ms);
	return limit;
}

void
sd_time_limit_end(const SdTimeLimit *limit)
{
	if (!limit->armed)
		return;
	/* it may have come too late to stop anything, and what it was for is over: nobody has cancelled what comes next */
	disable_timeout(STATEMENT_TIMEOUT, true);
	if (get_timeout_indicator(STATEMENT_TIMEOUT, true))
		QueryCancelPending = false;
	if (limit->restore != 0)
		enable_timeout_at(STATEMENT_TIMEOUT, limit->restore);
}

/* Written so that gcc does not take the limit, or a variable of PG_FINALLY's, for one that an error may clobber. */
static void
work_until(const SdTimeLimit *limit, void (*work) (void *arg), void *arg)
{
	PG_TRY();
	{
		work(arg);
	}
	PG_CATCH();
	{
		sd_time_limit_end(limit);
		PG_RE_THROW();
	}
	PG_END_TRY();
	sd_time_limit_end(limit);
}

void
sd_time_limit_work(int timeout_ms, void (*work) (void *arg), void *arg)
{
	SdTimeLimit limit = sd_time_limit_start(timeout_ms);

	work_until(&limit, work, arg);
}
