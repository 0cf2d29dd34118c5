/*
 * options.c: the options of a migration; see options.h.
 *
 * Backend and applier; no locking.
 */
#include "compat.h"

#include <limits.h>

#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "ddl/options.h"
#include "store/entry.h"

static const char *const known[] = {"timeout"};
static const char *const later[] = {"require", "barrier", "allow", "feature"};

static bool
is_among(const JsonbValue *key, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if ((int) strlen(names[i]) == key->val.string.len &&
			memcmp(names[i], key->val.string.val, key->val.string.len) == 0)
			return true;
	return false;
}

static void
check_key(const JsonbValue *key)
{
	if (is_among(key, known, lengthof(known)))
		return;
	if (is_among(key, later, lengthof(later)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option \"%.*s\" is not supported in this version", key->val.string.len, key->val.string.val)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%.*s\" is unknown", key->val.string.len, key->val.string.val),
			 errhint("Options are: timeout.")));
}

void
sd_options_check(Jsonb *options)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (options == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object"),
				 errhint("For example '{\"timeout\": \"30s\"}'.")));
	iterator = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY)
			check_key(&value);
	(void) sd_options_timeout_ms(options);
}

int
sd_options_timeout_ms(Jsonb *options)
{
	JsonbValue	value;
	int64		ms;

	if (options == NULL || getKeyJsonValueFromContainer(&options->root, "timeout", strlen("timeout"), &value) == NULL ||
		value.type == jbvNull)
		return 0;
	ms = sd_json_milliseconds(&value);
	if (ms < 1 || ms > INT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"timeout\" must be an interval, or a number of milliseconds, from 1 ms to 24 days")));
	return (int) ms;
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
	if (limit->restore != 0)
		enable_timeout_at(STATEMENT_TIMEOUT, limit->restore);
	else
		disable_timeout(STATEMENT_TIMEOUT, false);
}
