/*
 * names.c: the names an entry may need in a region; see names.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "clock.h"
#include "shared.h"
#include "store/entry.h"
#include "store/names.h"
#include "store/sql.h"
#include "waitpoint.h"

/* extension control files come and go without a notice to us; one process of a database looks for all */
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

static bool
is_young(int64 at)
{
	return sd_monotonic_us() - at < (int64) NAMES_MAX_AGE_MS * SD_US_PER_MS;
}

/* Did another process read the same since? */
static bool
read_by_others(void)
{
	SdDatabase *db = sd_shared_mine();
	bool		same = false;

	if (db == NULL)
		return false;
	LWLockAcquire(&db->lock, LW_SHARED);
	if (db->names_version == names_version && db->names_at > names_at)
	{
		names_at = db->names_at;
		same = true;
	}
	LWLockRelease(&db->lock);
	return same && is_young(names_at);
}

static void
tell_others(void)
{
	SdDatabase *db = sd_shared_mine();

	if (db == NULL)
		return;
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->names_version = names_version;
	db->names_at = names_at;
	LWLockRelease(&db->lock);
}

bool
sd_names_fresh(void)
{
	return names && !names_stale && (is_young(names_at) || read_by_others());
}

char *
sd_names_own(int64 *version)
{
	static SdStatement statement = {
		.sql = "SELECT string_agg(line, E'\\n' ORDER BY line COLLATE \"C\") || E'\\n' FROM ("
		"SELECT 'role:' || rolname AS line FROM pg_roles "
		"UNION SELECT 'tablespace:' || spcname FROM pg_tablespace "
		"UNION SELECT 'collation:' || collname FROM pg_collation "
		"UNION SELECT 'extension:' || name FROM pg_available_extensions "
		"UNION SELECT 'postgres:' || n FROM generate_series($1, $2) n) l",
		.nargs = 2, .types = {INT4OID, INT4OID}
	};
	static bool registered = false;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(AUTHOID, invalidate, (Datum) 0);
		CacheRegisterSyscacheCallback(COLLOID, invalidate, (Datum) 0);
		CacheRegisterSyscacheCallback(TABLESPACEOID, invalidate, (Datum) 0);
		registered = true;
	}
	if (!sd_names_fresh())
	{
		int64		now = sd_monotonic_us();
		uint8		hash[SD_SHA_SIZE];
		char	   *fresh;

		names_stale = false;	/* before reading: a change meanwhile sets it again */
		sd_store_run(&statement, (Datum[]) {Int32GetDatum(SD_COMPAT_OLDEST), Int32GetDatum(SD_COMPAT_MAJOR)}, NULL, 1);
		fresh = MemoryContextStrdup(TopMemoryContext, sd_store_text(0, 1));
		if (names)
			pfree(names);
		names = fresh;
		names_at = now;
		sd_sha256(names, strlen(names), hash);
		memcpy(&names_version, hash, sizeof(names_version));
		tell_others();
	}
	*version = names_version;
	sd_waitpoint("names-read");
	return names;
}

int
sd_names_major(const char *where)
{
	int			major = 0;

	for (const char *at = where; (at = strstr(at, "postgres:")) != NULL; at++)
		if (at == where || at[-1] == '\n')
			major = Max(major, atoi(at + strlen("postgres:")));
	return major;
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
		/* schemadrift 0.1 does not tell what its server understands */
		bool		found = strncmp(need, "postgres:", 9) == 0 && sd_names_major(where) == 0;

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
