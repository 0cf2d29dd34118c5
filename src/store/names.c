/*
 * names.c: the names an entry may need in a region; see names.h.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "clock.h"
#include "store/entry.h"
#include "store/names.h"
#include "store/sql.h"

/* extension control files come and go without a notice to us */
#define NAMES_MAX_AGE_MS 60000

static char *names = NULL;
static int64 names_version;
static int64 names_at;
static bool names_stale = true;

static void
invalidate(Datum arg, int cacheid, uint32 hashvalue)
{
	(void) arg;
	(void) cacheid;
	(void) hashvalue;
	names_stale = true;
}

char *
sd_names_own(int64 *version)
{
	static SdStatement statement = {
		.sql = "SELECT string_agg(line, E'\\n' ORDER BY line COLLATE \"C\") || E'\\n' FROM ("
		"SELECT 'role:' || rolname AS line FROM pg_roles "
		"UNION SELECT 'tablespace:' || spcname FROM pg_tablespace "
		"UNION SELECT 'collation:' || collname FROM pg_collation "
		"UNION SELECT 'extension:' || name FROM pg_available_extensions) l"
	};
	static bool registered = false;
	int64		now = sd_monotonic_us();

	if (!registered)
	{
		CacheRegisterSyscacheCallback(AUTHOID, invalidate, (Datum) 0);
		CacheRegisterSyscacheCallback(COLLOID, invalidate, (Datum) 0);
		CacheRegisterSyscacheCallback(TABLESPACEOID, invalidate, (Datum) 0);
		registered = true;
	}
	if (names_stale || now - names_at >= (int64) NAMES_MAX_AGE_MS * SD_US_PER_MS)
	{
		uint8		hash[SD_SHA_SIZE];
		char	   *fresh;

		names_stale = false;	/* before reading: a change meanwhile sets it again */
		sd_store_run(&statement, NULL, NULL, 1);
		fresh = MemoryContextStrdup(TopMemoryContext, sd_store_text(0, 1));
		if (names)
			pfree(names);
		names = fresh;
		names_at = now;
		sd_sha256(names, strlen(names), hash);
		memcpy(&names_version, hash, sizeof(names_version));
	}
	*version = names_version;
	return names;
}

const char *
sd_names_missing(const char *where, List *needs)
{
	ListCell   *lc;

	foreach(lc, needs)
	{
		const char *need = lfirst(lc);
		size_t		length = strlen(need);
		const char *at = where;
		bool		found = false;

		while (!found && (at = strstr(at, need)) != NULL)
		{
			found = (at == where || at[-1] == '\n') && at[length] == '\n';
			at += length;
		}
		if (!found)
			return need;
	}
	return NULL;
}
