/*
 * rehearse_queries.c: the live registered queries, planned before and after a script that is tried; see rehearse_queries.h.
 *
 * Run, if asked for, with a limit of their own each, as long as the rehearsal has time for it.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "attempt.h"
#include "clock.h"
#include "ddl/allowed.h"
#include "ddl/options.h"
#include "ddl/script.h"
#include "functions/rehearse.h"
#include "functions/rehearse_queries.h"
#include "paste.h"
#include "store/sql.h"

/* A query that can be planned before. */
typedef struct Watched
{
	SdQuery    *query;
	SdQueryPlan plan;
	bool		ran;
} Watched;

struct SdQueryWatch
{
	SdDryRunQueries mode;
	List	   *watched;		/* of Watched */
	char	   *withheld;		/* of the first query that the caller may not look at, what to do; NULL: there is none */
	int			late;			/* queries for which there was no time */
	int			slow;			/* ... or none to run them */
	StringInfoData warnings;
	StringInfoData notes;
};

/* ---- one query ---- */

typedef struct Attempt
{
	const SdQuery *query;
	SdQueryPlan *plan;			/* NULL: run it */
} Attempt;

static void
plan_now(void *arg)
{
	Attempt    *a = arg;

	sd_query_plan(a->query->text, a->plan);
}

static void
run_now(void *arg)
{
	Attempt    *a = arg;

	/* until the end of the subtransaction: what is called says of itself that it is not VOLATILE, which may be untrue */
	XactReadOnly = true;
	sd_script_execute(a->query->text, SD_EXECUTING_ENTRY);
}

static void
work_as(void *arg)
{
	Attempt    *a = arg;
	SdRunAs    *run_as = sd_run_as_from_json(a->query->run_as);

	sd_allowed_require_run_as(run_as);
	sd_script_work_confined(run_as, SD_EXECUTING_ENTRY, a->plan ? plan_now : run_now, a);
}

typedef struct Registrar
{
	const SdQuery *query;
	const char *role;
} Registrar;

static void
read_role(void *arg)
{
	Registrar  *registrar = arg;

	registrar->role = sd_run_as_from_json(registrar->query->run_as)->user;
}

Oid
sd_query_role(const SdQuery *query)
{
	Registrar	registrar = {query, NULL};

	/* what another region wrote may be nonsense */
	return sd_attempt(read_role, &registrar, true) == NULL ? get_role_oid(registrar.role, true) : InvalidOid;
}

char *
sd_query_withheld(const SdQuery *query, Oid asker)
{
	Oid			role = sd_query_role(query);

	/* that there is none is the error of becoming it */
	if (!OidIsValid(role) || sd_compat_may_set_role(asker, role))
		return NULL;
	return psprintf("query \"%s\" was not looked at: it is role \"%s\"'s, which role \"%s\" may not become", query->name,
					GetUserNameFromId(role, false), GetUserNameFromId(asker, false));
}

ErrorData *
sd_query_try(const SdQuery *query, SdQueryPlan *plan)
{
	Attempt		attempt = {query, plan};

	return sd_attempt(work_as, &attempt, false);
}

/* Within its own limit; NULL: it ran. */
static ErrorData *
run_query(const SdQuery *query)
{
	Attempt		attempt = {query, NULL};
	int64		deadline = sd_monotonic_us() + (int64) sd_dry_run_query_timeout * SD_US_PER_MS;
	SdTimeLimit limit = sd_time_limit_start(sd_dry_run_query_timeout);
	ErrorData  *error = sd_rehearsal_try(work_as, &attempt, false, deadline);

	sd_time_limit_end(&limit);
	return error;
}

/* But that planning it took longer than there was time for is said of the query: it does not end the rehearsal. */
static bool
ends_rehearsal(const ErrorData *error, const void *until)
{
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		return sd_is_cancel(error) && sd_monotonic_us() < *(const int64 *) until;
	return sd_attempt_is_about_the_moment(error, NULL);
}

/* NULL: it is planned. */
static ErrorData *
plan_query(const SdQuery *query, SdQueryPlan *plan, int64 until)
{
	Attempt		attempt = {query, plan};
	int			left_ms = (int) Max((until - sd_monotonic_us()) / SD_US_PER_MS + 1, 1);
	SdTimeLimit limit = sd_time_limit_start(left_ms);
	ErrorData  *error = sd_attempt_judged(work_as, &attempt, false, ends_rehearsal, &until);

	sd_time_limit_end(&limit);
	if (error && sd_is_cancel(error))
		error->message = psprintf("planning it takes longer than %d ms", left_ms);
	return error;
}

/* Nothing is known of the query by that, neither good nor bad. */
static bool
was_not_planned(const ErrorData *error, bool ran)
{
	return error && (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || (error->sqlerrcode == ERRCODE_QUERY_CANCELED && !ran));
}

static bool
has_time_to_run(int64 until)
{
	return sd_monotonic_us() + (int64) sd_dry_run_query_timeout * SD_US_PER_MS < until;
}

List *
sd_queries_live(void)
{
	SdScope		scope;
	List	   *all;
	List	   *live = NIL;
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *cell;

	sd_store_enter(&scope);
	all = sd_queries_read(scope.caller);
	sd_store_leave(&scope);
	foreach(cell, all)
		if (sd_query_is_live(lfirst(cell), now))
			live = lappend(live, lfirst(cell));
	return live;
}

/* ---- before ---- */

static void
add_line(StringInfo lines, const char *line)
{
	appendStringInfo(lines, "%s%s", lines->len > 0 ? "\n" : "", line);
}

/* True: it is not to be looked at for this role. */
static bool
withhold(SdQueryWatch *watch, const SdQuery *query, Oid asker)
{
	char	   *why = sd_query_withheld(query, asker);

	if (why == NULL)
		return false;
	add_line(&watch->warnings, why);
	if (watch->withheld == NULL)
		watch->withheld = psprintf("-- call dry_run() as a member of that role, or register query %s as the role of the application",
								   sd_paste_literal(query->name));
	return true;
}

SdQueryWatch *
sd_queries_before(SdDryRunQueries mode, Oid asker, int64 until)
{
	List	   *live = mode == SD_DRY_RUN_QUERIES_OFF ? NIL : sd_queries_live();
	SdQueryWatch *watch;
	ListCell   *cell;

	if (live == NIL)
		return NULL;
	watch = palloc0(sizeof(SdQueryWatch));
	watch->mode = mode;
	initStringInfo(&watch->warnings);
	initStringInfo(&watch->notes);
	foreach(cell, live)
	{
		Watched    *w = palloc0(sizeof(Watched));
		ErrorData  *error;

		w->query = lfirst(cell);
		if (withhold(watch, w->query, asker))
			continue;
		if (sd_monotonic_us() > until)
		{
			watch->late++;
			continue;
		}
		error = plan_query(w->query, &w->plan, until);
		if (error == NULL && mode == SD_DRY_RUN_QUERIES_RUN && w->plan.may_be_run)
		{
			w->ran = has_time_to_run(until);
			watch->slow += !w->ran;
			error = w->ran ? run_query(w->query) : NULL;
		}
		if (error == NULL && mode == SD_DRY_RUN_QUERIES_RUN && w->plan.calls_volatile)
			add_line(&watch->notes, psprintf("query \"%s\" was only planned: it calls a function that is VOLATILE", w->query->name));
		if (was_not_planned(error, w->ran))
			add_line(&watch->warnings, psprintf("query \"%s\" was not planned: %s", w->query->name, error->message));
		else if (error)
			add_line(&watch->notes, psprintf("query \"%s\" already fails before: %s", w->query->name, error->message));
		else
			watch->watched = lappend(watch->watched, w);
	}
	return watch;
}

/* ---- after ---- */

typedef struct Findings
{
	StringInfoData errors;
	StringInfo	warnings;
	StringInfo	notes;
	char	   *remedy;
} Findings;

static char *
table_name(Oid table)
{
	char	   *name = get_rel_name(table);

	return name ? quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), name) : psprintf("%u", table);
}

/* What does the query read from end to end that it did not before?  InvalidOid: nothing. */
static Oid
newly_whole(const SdQueryPlan *before, const SdQueryPlan *after)
{
	ListCell   *cell;

	foreach(cell, after->whole)
		if (!list_member_oid(before->whole, lfirst_oid(cell)))
			return lfirst_oid(cell);
	return InvalidOid;
}

static SdIndexUse *
newly_used(const SdQueryPlan *before, const SdQueryPlan *after)
{
	ListCell   *cell;

	foreach(cell, after->indexes)
		if (sd_query_plan_uses(before, lfirst(cell)) == NULL)
			return lfirst(cell);
	return NULL;
}

static void
compare_plans(Findings *f, const Watched *w, const SdQueryPlan *after)
{
	Oid			whole = newly_whole(&w->plan, after);
	SdIndexUse *instead = newly_used(&w->plan, after);
	ListCell   *cell;

	foreach(cell, w->plan.indexes)
	{
		SdIndexUse *use = lfirst(cell);

		if (sd_query_plan_uses(after, use))
			continue;
		if (OidIsValid(whole))
			add_line(f->warnings, psprintf("query \"%s\" no longer uses index %s, and reads all of %s", w->query->name, use->name, table_name(whole)));
		else if (instead == NULL)
			add_line(f->warnings, psprintf("query \"%s\" no longer uses index %s", w->query->name, use->name));
		else
			add_line(f->notes, psprintf("query \"%s\" uses index %s instead of %s", w->query->name, instead->name, use->name));
	}
}

static void
note_failure(Findings *f, const SdQuery *query, const ErrorData *error)
{
	add_line(&f->errors, psprintf("query \"%s\" fails afterwards: %s (%s)", query->name, error->message, unpack_sql_state(error->sqlerrcode)));
	if (f->remedy == NULL)
		f->remedy = psprintf("SELECT schemadrift.unregister_query(%s); -- if no live version of the application runs it; else expand and contract",
							 sd_paste_literal(query->name));
}

/* False: nothing was learned of it. */
static bool
look_after(Findings *f, SdQueryWatch *watch, const Watched *w, int64 until)
{
	SdQueryPlan after;
	ErrorData  *error = plan_query(w->query, &after, until);

	if (was_not_planned(error, false))
	{
		add_line(f->warnings, psprintf("query \"%s\" was not planned afterwards: %s", w->query->name, error->message));
		return false;
	}
	if (error == NULL)
	{
		compare_plans(f, w, &after);
		if (!w->ran)
			return true;
		if (!after.may_be_run)
		{
			add_line(f->notes, psprintf("query \"%s\" was only planned afterwards: by then it calls a function that is VOLATILE, or changes rows", w->query->name));
			return true;
		}
		if (!has_time_to_run(until))
		{
			watch->slow++;
			return true;
		}
		error = run_query(w->query);
	}
	if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		add_line(f->warnings, psprintf("query \"%s\" takes longer than schemadrift.dry_run_query_timeout, %d ms, and did not before", w->query->name,
										sd_dry_run_query_timeout));
	else if (error)
		note_failure(f, w->query, error);
	return true;
}

static char *
text_or_null(const StringInfoData *text)
{
	return text->len > 0 ? text->data : NULL;
}

void
sd_queries_after(SdQueryWatch *watch, int64 until, SdRehearsedQueries *result)
{
	Findings	f = {0};
	ListCell   *cell;

	memset(result, 0, sizeof(*result));
	if (watch == NULL)
		return;
	initStringInfo(&f.errors);
	f.warnings = &watch->warnings;
	f.notes = &watch->notes;
	foreach(cell, watch->watched)
	{
		if (sd_monotonic_us() > until)
			watch->late++;
		else
			result->planned += look_after(&f, watch, lfirst(cell), until);
	}
	if (watch->late > 0)
		add_line(f.warnings, psprintf("for %d registered queries there was no time: schemadrift.dry_run_timeout is %d ms", watch->late, sd_dry_run_timeout));
	if (watch->slow > 0)
		add_line(f.notes, psprintf("%d registered queries were planned, and there was no time to run them", watch->slow));
	result->errors = text_or_null(&f.errors);
	result->warnings = text_or_null(f.warnings);
	result->notes = text_or_null(f.notes);
	result->remedy = f.remedy ? f.remedy : watch->withheld;
}
