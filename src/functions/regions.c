/*
 * regions.c: the other regions of the group, for functions that ask them something as a client; see regions.h.
 *
 * Runs in backends.  Addresses are those that the coordinator uses; none is shown.
 */
#include "compat.h"

#include "errors.h"
#include "functions/compare.h"
#include "functions/group.h"
#include "functions/regions.h"

void
sd_regions_read(SdRegions *regions)
{
	SdScope		scope;

	sd_group_require(&regions->self, &regions->members);
	sd_store_enter(&scope);
	MemoryContextSwitchTo(scope.caller);
	sd_addresses_override(&regions->members);
	sd_store_leave(&scope);
}

static void
note_region(void *region)
{
	errcontext("asking region \"%s\"", (const char *) region);
}

/* An error of a connection, said of the region, with what a DBA can do. */
static SdClient *
connect_to(const char *conninfo, const char *region, SdGroupInfo *info)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback callback = {.previous = error_context_stack, .callback = note_region, .arg = unconstify(char *, region)};
	SdClient   *volatile client = NULL;

	error_context_stack = &callback;
	PG_TRY();
	{
		client = sd_compare_connect(conninfo, info);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!sd_client_unreached(error))
			PG_RE_THROW();
		FlushErrorState();
		error->message = psprintf("region \"%s\" cannot be reached, and only it knows its schema", region);
		error->hint = pstrdup("SELECT * FROM schemadrift.regions says since when; view drift shows what it told before.");
		ReThrowError(error);
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
	return client;
}

SdClient *
sd_region_connect(const SdRegions *regions, const char *region)
{
	int			i = sd_group_find(&regions->members, region);
	SdGroupInfo info;
	SdClient   *client;

	if (sd_members_is_witness(&regions->members, i))
		ereport(ERROR,
				(errcode(SD_ERRCODE_MAY_NOT_ORIGINATE),
				 errmsg("region \"%s\" is a witness: it has no schema", region)));
	if (strcmp(region, regions->self.region) == 0)
		return NULL;
	client = connect_to(regions->members.conninfo[i], region, &info);
	if (memcmp(&info.group_id, &regions->self.group_id, UUID_LEN) != 0 || strcmp(info.region, region) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("at the address of region \"%s\" there is another one", region),
				 errdetail("It is region \"%s\" of %s group.", info.region,
						   memcmp(&info.group_id, &regions->self.group_id, UUID_LEN) == 0 ? "this" : "another"),
				 errhint("SELECT * FROM schemadrift.peer_conninfo shows the addresses; set_peer_conninfo() and alter_region() change them.")));
	return client;
}
