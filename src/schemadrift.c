/*
 * schemadrift.c: the library's entry, an ordered list of what starts.
 */
#include "compat.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/varlena.h"

#include "gate/change.h"
#include "gate/hooks.h"
#include "settings.h"
#include "shared.h"
#include "waitpoint.h"
#include "worker/launcher.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/*
 * Pre-commit callbacks run in the reverse order of registration, so only the library that is loaded first has the last
 * word: one loaded earlier could still fail after the other regions have agreed.
 */
static void
check_first(void)
{
	char	   *libraries = pstrdup(shared_preload_libraries_string);
	List	   *names;

	if (SplitDirectoriesString(libraries, ',', &names) && names != NIL &&
		strstr((char *) linitial(names), "schemadrift") == NULL)
		ereport(WARNING,
				(errmsg("schemadrift is not first in shared_preload_libraries"),
				 errdetail("A library loaded before it can fail a transaction after the other regions have agreed to its schema change."),
				 errhint("Put schemadrift first.")));
}

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("schemadrift must be preloaded"),
				 errdetail("The gate and the workers exist only in a server that loaded the library at its start."),
				 errhint("Put schemadrift first in shared_preload_libraries and restart the server.")));
	check_first();
#ifdef SD_TESTING
	sd_testing_init();			/* first: what the other one does not know of, it removes */
#endif
	sd_settings_init();
	sd_shared_init();
	sd_change_init();
	/* transaction callbacks run in the reverse order: the change, which decides, comes last at pre-commit */
	sd_launcher_init();
	sd_hooks_init();
}
