/*
 * join_adopt.c: joining with a schema that is not the group's; see join_adopt.h.
 *
 * Runs in the backend that joins.  What the group's objects are is asked of one member, and believed because the log says the same: the
 * sum over the digests is the root that the newest entry left.
 */
#include "compat.h"

#include <libpq-fe.h>

#include "ddl/hash.h"
#include "functions/join_adopt.h"
#include "store/protocol.h"
#include "store/sql.h"

static List *
read_objects(SdClient *client)
{
	const char *values[] = {psprintf("%d", sd_protocol_own())};
	const PGresult *result = sd_client_query(client, "SELECT kind, identity, hash FROM schemadrift_rpc.objects($1)", 1, NULL,
											 values, true);
	List	   *objects = NIL;

	for (int i = 0; i < PQntuples(result); i++)
	{
		SdObjectDigest *object = palloc0(sizeof(SdObjectDigest));

		if (PQnfields(result) == 3)
		{
			object->kind = sd_client_text(result, i, 0);
			object->identity = sd_client_text(result, i, 1);
		}
		if (object->kind == NULL || object->identity == NULL || PQgetlength(result, i, 2) != SD_DIGEST_LENGTH)
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("the other region answered with nonsense")));
		memcpy(object->hash.byte, PQgetvalue(result, i, 2), SD_DIGEST_LENGTH);
		objects = lappend(objects, object);
	}
	return objects;
}

static List *
differences(List *ours, List *theirs)
{
	List	   *changed = NIL;
	int			i = 0;
	int			j = 0;

	list_sort(ours, sd_object_digest_compare);
	list_sort(theirs, sd_object_digest_compare);
	while (i < list_length(ours) || j < list_length(theirs))
	{
		int			order = i >= list_length(ours) ? 1 : j >= list_length(theirs) ? -1 :
			sd_object_digest_compare(list_nth_cell(ours, i), list_nth_cell(theirs, j));
		SdObjectDigest *object = order <= 0 ? list_nth(ours, i) : list_nth(theirs, j);

		object->existed = order >= 0;
		object->dropped = order > 0;
		if (order >= 0)
			object->was = ((SdObjectDigest *) list_nth(theirs, j))->hash;
		if (order != 0 || !sd_digest_equal(&object->hash, &object->was))
			changed = lappend(changed, object);
		i += order <= 0;
		j += order >= 0;
	}
	return changed;
}

bool
sd_join_differences(SdClient *client, const SdDigest *logged, List **changed)
{
	List	   *theirs = read_objects(client);
	SdDigest	root = sd_digest_root_of(theirs);
	List	   *ours;
	SdScope		scope;

	if (!sd_digest_equal(&root, logged))
		return false;
	sd_store_enter(&scope);
	MemoryContextSwitchTo(scope.caller);
	ours = sd_digest_scan();
	sd_store_leave(&scope);
	*changed = differences(ours, theirs);
	return true;
}
