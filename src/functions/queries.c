/*
 * queries.c: register_query(), unregister_query(), and the rows of view "registered_queries".
 *
 * Runs in backends.  Each call is part of an entry of the log (store/query.h); several calls in one transaction make one entry.
 */
#include "compat.h"

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "analysis/query_plan.h"
#include "attempt.h"
#include "causality/hlc.h"
#include "ddl/script.h"
#include "errors.h"
#include "functions/change.h"
#include "functions/group.h"
#include "functions/look.h"
#include "functions/rehearse_queries.h"
#include "gate/change.h"
#include "gate/policy.h"
#include "store/query.h"

PG_FUNCTION_INFO_V1(sd_register_query);
PG_FUNCTION_INFO_V1(sd_unregister_query);
PG_FUNCTION_INFO_V1(sd_query_rows);

/* ---- arguments ---- */

static TimestampTz
time_arg(FunctionCallInfo fcinfo, int arg, TimestampTz missing, const char *name)
{
	TimestampTz time;

	if (PG_ARGISNULL(arg))
		return missing;
	time = PG_GETARG_TIMESTAMPTZ(arg);
	if (TIMESTAMP_NOT_FINITE(time) && time != missing)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" cannot be %s", name, time == DT_NOEND ? "infinity" : "-infinity")));
	return time;
}

static void
read_args(FunctionCallInfo fcinfo, SdQuery *query)
{
	memset(query, 0, sizeof(*query));
	query->name = sd_group_text_arg(fcinfo, 0, "name");
	sd_entry_check_name(query->name);
	query->text = sd_group_text_arg(fcinfo, 1, "query");
	(void) sd_query_parse(query->text);
	query->since = time_arg(fcinfo, 2, DT_NOBEGIN, "since");
	query->until = time_arg(fcinfo, 3, DT_NOEND, "until");
	if (query->since >= query->until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query \"%s\" would never be live", query->name),
				 errdetail("\"since\" is not before \"until\".")));
}

/* ---- the entry ---- */

static List *
registered(void)
{
	SdScope		scope;
	List	   *queries;

	sd_store_enter(&scope);
	queries = sd_queries_read(scope.caller);
	sd_store_leave(&scope);
	return queries;
}

/* The grant, once a transaction; what it is has been described before, if it is one of ours. */
static const char *
begin(const char *function, const char *name, const SdRunAs *run_as)
{
	const char *payload = sd_change_active() ? sd_change_payload(SD_KIND_QUERY) : NULL;

	sd_group_check_session(function);
	if (sd_executing() != SD_EXECUTING_NOTHING || (sd_change_active() && payload == NULL))
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("cannot run schemadrift.%s() in a transaction that has changed the schema", function),
				 errdetail("One transaction makes one entry of the log."),
				 errhint("COMMIT first.")));
	sd_gate_require_group_scope(function);
	if (payload == NULL)
	{
		sd_change_set_subject(name);
		sd_change_begin(run_as ? sd_change_needs(NIL, run_as) : NIL);
	}
	return payload;
}

static int64
propose(const char *payload, const char *item)
{
	StringInfoData out;

	initStringInfo(&out);
	if (payload)
	{
		appendBinaryStringInfo(&out, payload, strlen(payload) - 1);
		appendStringInfo(&out, ",%s]", item);
		sd_change_extend(out.data);
	}
	else
	{
		appendStringInfo(&out, "\"queries\":[%s]", item);
		sd_change_describe(SD_KIND_QUERY, NULL, 0, out.data, true);
		sd_change_set_subject("register_query");
	}
	return sd_change_version();
}

static bool
is_same(const SdQuery *a, const SdQuery *b)
{
	/* JSON of ours on one side, as jsonb writes it on the other */
	Jsonb	   *run_as[2];

	run_as[0] = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(a->run_as)));
	run_as[1] = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(b->run_as)));
	return strcmp(a->text, b->text) == 0 && a->since == b->since && a->until == b->until &&
		compareJsonbContainers(&run_as[0]->root, &run_as[1]->root) == 0;
}

static void
plan(void *arg)
{
	SdQueryPlan ignored;

	sd_query_plan(((SdQuery *) arg)->text, &ignored);
}

/* A query of a version to come may need what is not there yet. */
static void
warn_if_broken(SdQuery *query)
{
	ErrorData  *error = sd_attempt(plan, query, false);

	if (error)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("query \"%s\" cannot be planned here now: %s", query->name, error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 errhint("It says nothing about a change until it can be; unregister_query() takes it back.")));
}

/* Is it the query of a role that the caller may become?  Of one that is gone here nobody is. */
static bool
is_own(const SdQuery *query)
{
	Oid			role = sd_query_role(query);

	return OidIsValid(role) && sd_compat_may_set_role(GetUserId(), role);
}

/* Another text by that name takes back what is there, which not everybody may who may register. */
static void
require_replaceable(const SdQuery *known)
{
	if (known && !is_own(known) && !sd_group_has_role("schemadrift_migrator") && !sd_group_has_role("schemadrift_admin"))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("query \"%s\" is somebody else's", known->name),
				 errdetail("It was registered by role \"%s\", in version " INT64_FORMAT ".", known->author, known->version),
				 errhint("Take another name, or let a migrator call schemadrift.unregister_query(%s).", quote_literal_cstr(known->name))));
}

Datum
sd_register_query(PG_FUNCTION_ARGS)
{
	SdQuery		query;
	SdQuery    *known;
	SdRunAs    *run_as;
	const char *payload;

	read_args(fcinfo, &query);
	sd_change_require_group();
	run_as = sd_capture_run_as();
	sd_gate_require_allowed_run_as(run_as);
	query.run_as = sd_run_as_to_json(run_as);
	payload = sd_change_active() ? sd_change_payload(SD_KIND_QUERY) : NULL;
	known = sd_query_find(registered(), query.name);
	require_replaceable(known);
	if (known && payload == NULL && is_same(known, &query))
	{
		ereport(NOTICE,
				(errmsg("query \"%s\" is registered so already, by version " INT64_FORMAT, query.name, known->version)));
		PG_RETURN_INT64(known->version);
	}
	warn_if_broken(&query);
	payload = begin("register_query", query.name, run_as);
	PG_RETURN_INT64(propose(payload, sd_query_to_json(&query)));
}

Datum
sd_unregister_query(PG_FUNCTION_ARGS)
{
	char	   *name = sd_group_text_arg(fcinfo, 0, "name");
	const char *payload;

	sd_change_require_group();
	payload = sd_change_active() ? sd_change_payload(SD_KIND_QUERY) : NULL;
	/* what this transaction has registered is not in the log yet */
	if (payload == NULL && sd_query_find(registered(), name) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no registered query \"%s\"", name),
				 errhint("SELECT name FROM schemadrift.registered_queries;")));
	payload = begin("unregister_query", name, NULL);
	PG_RETURN_INT64(propose(payload, sd_query_removed_json(name)));
}

/* ---- view registered_queries ---- */

static void
put_time(SdViewRow *row, TimestampTz time)
{
	sd_view_put(row, TimestampTzGetDatum(time), TIMESTAMP_NOT_FINITE(time));
}

Datum
sd_query_rows(PG_FUNCTION_ARGS)
{
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, registered())
	{
		SdQuery    *query = lfirst(cell);
		Jsonb	   *run_as = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(query->run_as)));
		Jsonb	   *settings = sd_json_object(run_as, "settings");
		SdViewRow	row = {0};

		sd_view_text(&row, query->name);
		sd_view_text(&row, query->text);
		put_time(&row, query->since);
		put_time(&row, query->until);
		sd_view_put(&row, BoolGetDatum(sd_query_is_live(query, GetCurrentTimestamp())), false);
		sd_view_text(&row, sd_json_text(run_as, "user"));
		sd_view_text(&row, settings ? sd_json_text(settings, "search_path") : NULL);
		sd_view_int64(&row, query->version);
		sd_view_text(&row, query->author);
		sd_view_time(&row, time_t_to_timestamptz(0) + sd_hlc_ms((SdHlc) query->hlc) * INT64CONST(1000));
		sd_view_finish(fcinfo, &row);
	}
	return (Datum) 0;
}
