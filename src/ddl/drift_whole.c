/*
 * drift_whole.c: the whole schema against the digests that are kept of it; see drift.h.
 *
 * The worker that verifies, and backends that call verify(); who applies or proposes a policy.  Locking: sd_drift_suspect() takes none;
 * the others need the DDL lock, and lock our rows in the store's order.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "ddl/drift.h"
#include "ddl/hash.h"
#include "store/drift.h"
#include "store/state.h"

static void
forget_rows(void)
{
	ListCell   *cell;

	foreach(cell, sd_drift_rows(NULL))
	{
		SdDriftRow *row = lfirst(cell);

		sd_drift_delete(NULL, row->kind, row->identity);
	}
	sd_bypass_settle();
}

static void
follow_patterns(List *changed, List *beside)
{
	List	   *found = NIL;
	ListCell   *cell;

	foreach(cell, changed)
	{
		SdObjectDigest *object = lfirst(cell);

		if (object->dropped)
			sd_drift_delete(NULL, object->kind, object->identity);
		else
			found = lappend(found, object);
	}
	sd_drift_found(found, beside);
	sd_bypass_settle();
}

static bool
has_other_form(bool *other_patterns)
{
	SdDigestRow row;
	char	   *joined;

	(void) sd_local_patterns(&joined);
	if (!sd_digest_row_read(&row))
		return *other_patterns = false;
	*other_patterns = strcmp(row.local, joined) != 0;
	return row.form != SD_DIGEST_FORM;
}

bool
sd_drift_rebase(SdDigest *root)
{
	bool		other_patterns;
	bool		other_form = has_other_form(&other_patterns);
	List	   *changed;
	List	   *beside;

	if (!other_form && !other_patterns)
		return false;
	*root = sd_digest_rebuild_changed(&changed, &beside);
	sd_applied_set_digest(root->byte);
	if (other_form)
		forget_rows();
	else
		follow_patterns(changed, beside);
	return true;
}

int64
sd_drift_suspect(SdTouched *set, int *n)
{
	bool		other_patterns;
	int64		objects = sd_digest_suspects(set, n);

	/* then the rows are to be made anew, whatever they say */
	if (has_other_form(&other_patterns) || other_patterns)
		*n = Max(*n, 1);
	return objects;
}

/*
 * REINDEX CONCURRENTLY does not wait for the DDL lock: an index that is gone since somebody suspected it may be there with another OID, and
 * with another one again since.  Returns what bears the names of indexes that are gone and was not looked at yet; NULL: nothing.
 */
static SdTouched *
made_anew(List *changed, List **looked_at)
{
	SdTouched  *set = NULL;
	ListCell   *cell;

	AcceptInvalidationMessages();
	foreach(cell, changed)
	{
		SdObjectDigest *object = lfirst(cell);
		Oid			now;

		if (!object->dropped || strcmp(object->kind, "index") != 0)
			continue;
		now = RangeVarGetRelid(makeRangeVarFromNameList(sd_compat_name_list(object->identity)), NoLock, true);
		if (get_rel_relkind(now) != RELKIND_INDEX || list_member_oid(*looked_at, now))
			continue;
		*looked_at = lappend_oid(*looked_at, now);
		if (set == NULL)
			set = sd_touched_create(CurrentMemoryContext);
		sd_touched_add(set, RelationRelationId, now);
	}
	return set;
}

void
sd_drift_settle(SdTouched *set)
{
	SdApplied	applied;
	SdDigest	root;
	List	   *changed;
	List	   *more;
	List	   *beside;
	List	   *looked_at = NIL;
	List	   *found = NIL;
	ListCell   *cell;

	sd_digest_row_lock();
	sd_applied_lock(&applied);
	if (sd_drift_rebase(&root))
		return;
	root = sd_digest_update(set, &changed, &beside);
	while ((set = made_anew(changed, &looked_at)) != NULL)
	{
		root = sd_digest_update(set, &more, NULL);
		changed = sd_digest_net_changes(list_concat(changed, more));
	}
	if (memcmp(root.byte, applied.digest, SD_DIGEST_LENGTH) != 0)
		sd_applied_set_digest(root.byte);
	foreach(cell, changed)
	{
		SdObjectDigest *object = lfirst(cell);

		if (object->frozen_by == 0)
			found = lappend(found, object);
	}
	sd_drift_found(found, beside);
}
