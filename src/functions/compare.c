/*
 * compare.c: this database's schema beside another region's; see compare.h.
 *
 * Runs in backends.  Takes no lock; both sides are hashed as their snapshots show them.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "ddl/history_rows.h"
#include "errors.h"
#include "functions/compare.h"
#include "functions/group.h"

PG_FUNCTION_INFO_V1(sd_compare);

/* The other side has no such function or schema, or not for us: say what to do about it. */
static const PGresult *
ask_describe(SdClient *client)
{
	const char *values[] = {sd_protocol_text()};
	const PGresult *volatile result = NULL;
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		result = sd_client_query(client, "SELECT group_id, generation, region, head, applied, form, digest IS NULL FROM schemadrift_rpc.describe($1)",
								 1, NULL, values, false);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (error->sqlerrcode == ERRCODE_INVALID_SCHEMA_NAME || error->sqlerrcode == ERRCODE_UNDEFINED_FUNCTION)
		{
			error->detail = psprintf("The other database answered: %s", error->message);
			error->message = pstrdup("the other database has no schemadrift of this version");
			error->hint = pstrdup("CREATE EXTENSION schemadrift there, then schemadrift.init().");
		}
		else if (error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE && error->hint == NULL)
			error->hint = pstrdup("GRANT schemadrift_peer to the role that the conninfo names, in the other region.");
		ReThrowError(error);
	}
	PG_END_TRY();
	return result;
}

SdClient *
sd_compare_connect(const char *via, SdGroupInfo *info)
{
	SdDatabase *db = sd_shared_mine();
	char		own[SD_NAME_SIZE] = "";
	SdClient   *client;
	const PGresult *result;

	if (db)
	{
		LWLockAcquire(&db->lock, LW_SHARED);
		strlcpy(own, db->region, sizeof(own));
		LWLockRelease(&db->lock);
	}
	client = sd_client_connect(via, own[0] ? own : "(new)");
	result = ask_describe(client);
	if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the other database is in no group"),
				 errhint("Make one there: SELECT schemadrift.init(region, conninfo).")));
	info->group_id = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(PQgetvalue(result, 0, 0))));
	info->generation = atoi(PQgetvalue(result, 0, 1));
	info->region = pstrdup(PQgetvalue(result, 0, 2));
	info->head = strtoll(PQgetvalue(result, 0, 3), NULL, 10);
	info->applied = strtoll(PQgetvalue(result, 0, 4), NULL, 10);
	if (strcmp(PQgetvalue(result, 0, 6), "t") == 0)
		ereport(ERROR,
				(errcode(SD_ERRCODE_MAY_NOT_ORIGINATE),
				 errmsg("region \"%s\" is a witness: it has no schema, and admits nobody", info->region),
				 errhint("Name another region of its group.")));
	if (atoi(PQgetvalue(result, 0, 5)) != SD_DIGEST_FORM)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the schemas cannot be compared"),
				 errdetail("Region \"%s\" makes digests of form %s, this one of form %d.",
						   info->region, PQgetvalue(result, 0, 5), SD_DIGEST_FORM),
				 errhint("Bring both to the same version of schemadrift.")));
	sd_client_set_region(client, info->region);
	sd_client_require_encoding(client);
	return client;
}

List *
sd_compare_differences(SdClient *client, const char *region)
{
	return sd_sides_differ(sd_side_here(NULL), sd_side_there(client, region));
}

/* An older region lacks the call. */
static const PGresult *
ask_history(SdClient *client)
{
	const char *values[] = {sd_protocol_text()};
	const PGresult *volatile result = NULL;
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		result = sd_client_query(client, "SELECT schema_name, table_name, hash FROM schemadrift_rpc.history_rows($1)", 1, NULL, values, true);
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_UNDEFINED_FUNCTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return result;
}

static Oid
find_table(const SdHistoryTable *table)
{
	Oid			schema = get_namespace_oid(table->schema, true);
	Oid			relation = OidIsValid(schema) ? get_relname_relid(table->table, schema) : InvalidOid;

	return OidIsValid(relation) && get_rel_relkind(relation) == RELKIND_RELATION ? relation : InvalidOid;
}

static char *
name_cell(const PGresult *result, int row, int column)
{
	char	   *text = sd_client_text(result, row, column);

	if (text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("the other region answered with nonsense")));
	return text;
}

List *
sd_compare_history(SdClient *client)
{
	const PGresult *result = ask_history(client);
	List	   *tables = NIL;
	SdScope		scope;

	if (result == NULL || PQnfields(result) != 3)
		return NIL;
	sd_store_enter(&scope);
	for (int i = 0; i < PQntuples(result); i++)
	{
		SdHistoryTable *table = palloc0(sizeof(SdHistoryTable));
		Oid			relation;
		SdDigest	digest;

		table->schema = name_cell(result, i, 0);
		table->table = name_cell(result, i, 1);
		relation = find_table(table);
		table->here = OidIsValid(relation);
		if (table->here)
		{
			digest = sd_history_digest(relation);
			table->equal = PQgetlength(result, i, 2) == SD_DIGEST_LENGTH &&
				memcmp(digest.byte, PQgetvalue(result, i, 2), SD_DIGEST_LENGTH) == 0;
		}
		tables = lappend(tables, table);
	}
	sd_store_leave(&scope);
	return tables;
}

/* Rows are no part of the schema, but a tool that finds others here begins from another point. */
static List *
history_differences(SdClient *client)
{
	List	   *differences = NIL;
	ListCell   *lc;

	foreach(lc, sd_compare_history(client))
	{
		SdHistoryTable *table = lfirst(lc);
		SdDifference *d;

		if (!table->here || table->equal)
			continue;
		d = palloc(sizeof(SdDifference));
		d->kind = "history rows";
		d->identity = quote_qualified_identifier(table->schema, table->table);
		d->difference = SD_CHANGED;
		differences = lappend(differences, d);
	}
	return differences;
}

Datum
sd_compare(PG_FUNCTION_ARGS)
{
	char	   *via = sd_group_text_arg(fcinfo, 0, "via");
	SdGroupInfo info;
	SdClient   *client = sd_compare_connect(via, &info);
	List	   *differences = list_concat(sd_compare_differences(client, info.region), history_differences(client));
	ReturnSetInfo *result;
	ListCell   *lc;

	sd_client_close(client);
	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(lc, differences)
	{
		SdDifference *d = lfirst(lc);
		Datum		values[] = {
			CStringGetTextDatum(d->kind), CStringGetTextDatum(d->identity), CStringGetTextDatum(d->difference)
		};
		bool		nulls[lengthof(values)] = {false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
