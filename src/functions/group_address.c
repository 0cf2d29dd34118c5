/*
 * group_address.c: under which address this region reaches another one, where that is not what the log says.
 *
 * Runs in backends; takes no lock.  The coordinator reads the table whenever it looks (worker/coordinator.c) and is woken
 * at commit.  Such an address stays in this database, so it may have a password; only the extension's owner can read the
 * table, and the view shows it without.
 */
#include "compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "functions/group.h"
#include "peer/endpoint.h"

PG_FUNCTION_INFO_V1(sd_set_peer_conninfo);
PG_FUNCTION_INFO_V1(sd_peer_conninfo_rows);

Datum
sd_set_peer_conninfo(PG_FUNCTION_ARGS)
{
	char	   *region = sd_group_text_arg(fcinfo, 0, "region");
	char	   *conninfo = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	SdDatabase *db = sd_shared_mine();
	SdSelf		self;
	SdMembers	members;
	SdScope		scope;

	sd_group_check_session("set_peer_conninfo");
	sd_group_require(&self, &members);
	if (conninfo)
	{
		(void) sd_group_find(&members, region);
		if (strcmp(region, self.region) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a region does not call itself"),
					 errhint("How the others reach it is in the log: SELECT schemadrift.alter_region('%s', conninfo => ...).",
							 region)));
		sd_group_check_own_conninfo(conninfo);
	}
	sd_store_enter(&scope);
	sd_address_set(region, conninfo);
	sd_store_leave(&scope);
	if (db)
		sd_shared_wake_at_commit(db);
	PG_RETURN_VOID();
}

static Datum
shown(const char *conninfo, bool *isnull)
{
	*isnull = conninfo == NULL;
	return conninfo ? CStringGetTextDatum(sd_group_show_conninfo(conninfo)) : (Datum) 0;
}

Datum
sd_peer_conninfo_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	SdScope		scope;
	SdSelf		self;
	SdMembers  *log = palloc0(sizeof(SdMembers));
	SdMembers  *used = palloc0(sizeof(SdMembers));

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	sd_store_enter(&scope);
	if (sd_self_read(&self))
	{
		sd_group_members(scope.caller, log);
		*used = *log;
		sd_addresses_override(used);
		for (int i = 0; i < log->config.n; i++)
		{
			Datum		values[4];
			bool		nulls[4] = {false, false, false, false};

			values[0] = CStringGetTextDatum(log->config.member[i].region);
			values[1] = shown(used->conninfo[i], &nulls[1]);
			values[2] = BoolGetDatum(used->conninfo[i] != log->conninfo[i]);
			values[3] = shown(log->conninfo[i], &nulls[3]);
			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		}
	}
	sd_store_leave(&scope);
	return (Datum) 0;
}
