/*
 * lock.c: the DDL lock of a region; see lock.h.
 *
 * Backend and applier.  First in the lock order: before any user's object and before rows of our tables.
 */
#include "compat.h"

#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "storage/lmgr.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "ddl/lock.h"

/*
 * Under the top transaction's resource owner: a lock first taken in a subtransaction would vanish at ROLLBACK TO,
 * while the grant it protects lives on.
 */
static void
change_lock(bool take, LOCKMODE mode)
{
	ResourceOwner owner = CurrentResourceOwner;
	Oid			extension = get_extension_oid("schemadrift", false);

	/* looking that up took a snapshot of the catalogs, which builds of indexes would wait for as long as we wait */
	InvalidateCatalogSnapshot();
	CurrentResourceOwner = TopTransactionResourceOwner;
	PG_TRY();
	{
		if (take)
			LockDatabaseObject(ExtensionRelationId, extension, 0, mode);
		else
			UnlockDatabaseObject(ExtensionRelationId, extension, 0, mode);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();
}

void
sd_ddl_lock(void)
{
	change_lock(true, ExclusiveLock);
}

void
sd_ddl_unlock(void)
{
	change_lock(false, ExclusiveLock);
}

void
sd_ddl_lock_shared(void)
{
	change_lock(true, RowExclusiveLock);
}
