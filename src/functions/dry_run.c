/*
 * dry_run.c: schemadrift.dry_run(): a script run in every region at once, and rolled back; and the call by which a region asks another.
 *
 * Runs in backends: here as a client of the other regions.  Rehearsals run at the same time in all regions (rehearse.h).  Nothing is left
 * of it but a note, in shared memory, that the script is good.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "ddl/options.h"
#include "ddl/script.h"
#include "errors.h"
#include "functions/everywhere.h"
#include "functions/group.h"
#include "functions/look.h"
#include "functions/rehearse.h"
#include "functions/rehearse_apart.h"
#include "functions/rpc.h"
#include "gate/change.h"
#include "gate/mode.h"
#include "gate/policy.h"
#include "gate/rehearsed.h"
#include "paste.h"
#include "settings.h"
#include "store/entry.h"
#include "texts.h"
#include "waits.h"

PG_FUNCTION_INFO_V1(sd_dry_run);
PG_FUNCTION_INFO_V1(sd_rpc_dry_run);

/* A region that has not applied yet what was applied where it is asked may do so within this time. */
#define CATCH_UP_US		(2 * SD_US_PER_S)

/* What a region may need on top of schemadrift.dry_run_timeout, which is its own, before it counts as lost. */
#define PATIENCE_MS		10000

/* ---- as a row between regions ---- */

enum
{
	OUT_SQLSTATE, OUT_MESSAGE, OUT_DETAIL, OUT_HINT, OUT_DOWN_SQLSTATE, OUT_DOWN_MESSAGE, OUT_DOWN_DETAIL, OUT_DOWN_HINT,
	OUT_UP_MS, OUT_DOWN_MS, OUT_LOCKS, OUT_BEFORE, OUT_AFTER, OUT_RESTORED, OUT_MADE, OUT_DROPPED,
	OUT_QUERIES, OUT_QUERY_ERRORS, OUT_QUERY_WARNINGS, OUT_QUERY_NOTES, OUT_QUERY_REMEDY, OUT_COLUMNS
};

static char *
digest_text(const SdDigest *digest)
{
	char	   *text = palloc(2 * SD_DIGEST_LENGTH + 1);

	hex_encode((const char *) digest->byte, SD_DIGEST_LENGTH, text);
	text[2 * SD_DIGEST_LENGTH] = '\0';
	return text;
}

static void
put_error(SdViewRow *row, const SdRehearsalError *error)
{
	sd_view_text(row, error->sqlstate);
	sd_view_text(row, error->message);
	sd_view_text(row, error->detail);
	sd_view_text(row, error->hint);
}

static void
put_rehearsal(FunctionCallInfo fcinfo, const SdRehearsal *rehearsal)
{
	SdViewRow	row = {0};

	put_error(&row, &rehearsal->up);
	put_error(&row, &rehearsal->down);
	sd_view_put(&row, Float8GetDatum(rehearsal->up_ms), false);
	sd_view_put(&row, Float8GetDatum(rehearsal->down_ms), false);
	sd_view_text(&row, rehearsal->locks);
	sd_view_text(&row, digest_text(&rehearsal->before));
	sd_view_text(&row, digest_text(&rehearsal->after));
	sd_view_text(&row, digest_text(&rehearsal->restored));
	sd_view_text(&row, digest_text(&rehearsal->made));
	sd_view_text(&row, digest_text(&rehearsal->dropped));
	sd_view_put(&row, Int32GetDatum(rehearsal->queries.planned), false);
	sd_view_text(&row, rehearsal->queries.errors);
	sd_view_text(&row, rehearsal->queries.warnings);
	sd_view_text(&row, rehearsal->queries.notes);
	sd_view_text(&row, rehearsal->queries.remedy);
	sd_view_finish(fcinfo, &row);
}

static char *
cell(const PGresult *answer, int column)
{
	return sd_client_text(answer, 0, column);
}

static bool
get_digest(const PGresult *answer, int column, SdDigest *digest)
{
	const char *hex = cell(answer, column);

	if (hex == NULL || strlen(hex) != 2 * SD_DIGEST_LENGTH || strspn(hex, "0123456789abcdef") != 2 * SD_DIGEST_LENGTH)
		return false;
	(void) hex_decode(hex, 2 * SD_DIGEST_LENGTH, (char *) digest->byte);
	return true;
}

static void
get_error(const PGresult *answer, int column, SdRehearsalError *error)
{
	strlcpy(error->sqlstate, cell(answer, column) ? cell(answer, column) : "", sizeof(error->sqlstate));
	error->message = cell(answer, column + 1);
	error->detail = cell(answer, column + 2);
	error->hint = cell(answer, column + 3);
}

/* False: nonsense. */
static bool
get_rehearsal(const PGresult *answer, SdRehearsal *rehearsal)
{
	memset(rehearsal, 0, sizeof(*rehearsal));
	if (PQntuples(answer) != 1 || PQnfields(answer) != OUT_COLUMNS)
		return false;
	get_error(answer, OUT_SQLSTATE, &rehearsal->up);
	get_error(answer, OUT_DOWN_SQLSTATE, &rehearsal->down);
	rehearsal->up_ms = cell(answer, OUT_UP_MS) ? strtod(cell(answer, OUT_UP_MS), NULL) : 0;
	rehearsal->down_ms = cell(answer, OUT_DOWN_MS) ? strtod(cell(answer, OUT_DOWN_MS), NULL) : -1;
	rehearsal->locks = cell(answer, OUT_LOCKS);
	rehearsal->queries.planned = cell(answer, OUT_QUERIES) ? atoi(cell(answer, OUT_QUERIES)) : 0;
	rehearsal->queries.errors = cell(answer, OUT_QUERY_ERRORS);
	rehearsal->queries.warnings = cell(answer, OUT_QUERY_WARNINGS);
	rehearsal->queries.notes = cell(answer, OUT_QUERY_NOTES);
	rehearsal->queries.remedy = cell(answer, OUT_QUERY_REMEDY);
	return get_digest(answer, OUT_BEFORE, &rehearsal->before) && get_digest(answer, OUT_AFTER, &rehearsal->after) &&
		get_digest(answer, OUT_RESTORED, &rehearsal->restored) && get_digest(answer, OUT_MADE, &rehearsal->made) &&
		get_digest(answer, OUT_DROPPED, &rehearsal->dropped);
}

/* The version that could not be applied here; 0: it is not halted. */
static int64
halted_at(void)
{
	SdDatabase *db = sd_shared_mine();
	int64		version;

	if (db == NULL)
		return 0;
	LWLockAcquire(&db->lock, LW_SHARED);
	version = db->halted_at;
	LWLockRelease(&db->lock);
	return version;
}

/* ---- another region asks ---- */

/* Only where entries are applied, too, and on the schema that the other region means. */
static void
require_serving(const SdCaller *caller, int64 version)
{
	SdDatabase *db = sd_shared_mine();
	int64		give_up = sd_monotonic_us() + CATCH_UP_US;
	int64		halted;
	SdSelf		self;
	SdMembers	members;
	SdApplied	applied;
	int			me;

	sd_group_require(&self, &members);
	(void) sd_rpc_member(caller, &members, false);
	me = sd_config_find(&members.config, self.region);
	if (!self.valid)
		sd_rpc_refuse(SD_ERRCODE_MAY_NOT_ORIGINATE, psprintf("region \"%s\" is void: it runs nothing", self.region), NULL);
	if (me < 0 || sd_members_is_witness(&members, me))
		sd_rpc_refuse(SD_ERRCODE_MAY_NOT_ORIGINATE, psprintf("region \"%s\" is a witness: it has no schema", self.region), NULL);
	if (me >= 0 && members.config.member[me].suspended)
		sd_rpc_refuse(SD_ERRCODE_MAY_NOT_ORIGINATE, psprintf("region \"%s\" is suspended", self.region), NULL);
	if (!sd_dry_run_for_regions)
		ereport(ERROR,
				(errcode(SD_ERRCODE_POLICY),
				 errmsg("region \"%s\" runs no dry run for other regions", self.region),
				 errhint("ALTER SYSTEM SET schemadrift.dry_run_for_regions = on; SELECT pg_reload_conf(); -- in %s", self.region)));
	if (db)
		ConditionVariablePrepareToSleep(&db->changed);
	for (;;)
	{
		int64		now = sd_monotonic_us();
		SdScope		scope;

		sd_store_enter(&scope);
		sd_applied_read(&applied);
		sd_store_leave(&scope);
		if (applied.version >= version || now >= give_up || db == NULL)
			break;
		ConditionVariableTimedSleep(&db->changed, sd_monotonic_timeout_ms(give_up, now), sd_wait_event(SD_WAIT_APPLIED));
	}
	ConditionVariableCancelSleep();
	halted = halted_at();
	if (applied.version < version && halted > 0)
		ereport(ERROR,
				(errcode(SD_ERRCODE_BEHIND),
				 errmsg("region \"%s\" is halted at version " INT64_FORMAT, self.region, halted),
				 errhint("SELECT * FROM schemadrift.status;")));
	if (applied.version != version)
		ereport(ERROR,
				(errcode(SD_ERRCODE_BEHIND),
				 errmsg("region \"%s\" has applied version " INT64_FORMAT ", region \"%s\" version " INT64_FORMAT,
						self.region, applied.version, caller->region, version),
				 errhint("CALL schemadrift.wait_for(" INT64_FORMAT "), and try again.", Max(version, applied.version))));
}

Datum
sd_rpc_dry_run(PG_FUNCTION_ARGS)
{
	SdCaller	caller = sd_rpc_guard(fcinfo, false);
	SdRehearsal rehearsal;
	SdTrial what = {0};

	sd_rpc_require_args(fcinfo, 7, 8);
	sd_rpc_require_args(fcinfo, 10, 11);
	sd_rpc_require_args(fcinfo, 13, 13);
	if (!sd_dry_run_queries_parse(text_to_cstring(PG_GETARG_TEXT_PP(11)), &what.queries))
		sd_rpc_refuse(ERRCODE_INVALID_PARAMETER_VALUE, "queries can be off, planned or run", NULL);
	require_serving(&caller, PG_GETARG_INT64(7));
	what.up = text_to_cstring(PG_GETARG_TEXT_PP(8));
	what.down = PG_ARGISNULL(9) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(9));
	what.run_as = sd_run_as_from_json(text_to_cstring(PG_GETARG_TEXT_PP(10)));
	what.frozen_at = PG_ARGISNULL(12) ? 0 : PG_GETARG_TIMESTAMPTZ(12);
	what.database = text_to_cstring(PG_GETARG_TEXT_PP(13));
	if (strlen(what.up) + (what.down ? strlen(what.down) : 0) > (size_t) sd_max_entry_size * 1024)
		sd_rpc_refuse(ERRCODE_PROGRAM_LIMIT_EXCEEDED, "script is too large for a dry run", NULL);

	/* the log of changes does not have it; this one does, without the text, which may have data in it */
	ereport(LOG,
			(errmsg("schemadrift dry run of %zu bytes as role \"%s\", asked for by region \"%s\"", strlen(what.up), what.run_as->user, caller.region)));
	InitMaterializedSRF(fcinfo, 0);
	sd_rehearse_apart(&what, caller.region, &rehearsal);
	put_rehearsal(fcinfo, &rehearsal);
	return (Datum) 0;
}

/* ---- dry_run() ---- */

typedef struct Outcome
{
	const SdAsked *asked;
	SdRehearsal rehearsal;
	const char *status;
	StringInfoData detail;
	const char *sqlstate;
	const char *remedy;
} Outcome;

static void
say(Outcome *outcome, const char *text)
{
	if (text && text[0])
		appendStringInfo(&outcome->detail, "%s%s", outcome->detail.len > 0 ? "\n" : "", text);
}

static void
fail(Outcome *outcome, const char *sqlstate, const char *message, const char *detail, const char *remedy)
{
	outcome->status = "failed";
	outcome->sqlstate = sqlstate;
	outcome->remedy = remedy;
	say(outcome, message);
	say(outcome, detail);
}

static void
warn(Outcome *outcome, const char *text, const char *remedy)
{
	if (strcmp(outcome->status, "ok") == 0)
		outcome->status = "warning";
	if (outcome->remedy == NULL)
		outcome->remedy = remedy;
	say(outcome, text);
}

static void
judge_queries(Outcome *outcome)
{
	const SdRehearsedQueries *queries = &outcome->rehearsal.queries;

	if (queries->errors)
		warn(outcome, queries->errors, sd_everywhere_words(outcome->asked, queries->remedy));
	if (queries->warnings)
		warn(outcome, queries->warnings, queries->remedy ? sd_everywhere_words(outcome->asked, queries->remedy) : "-- make the index that is missed in the same script, or unregister the query");
	say(outcome, queries->notes);
}

/* What one region says by itself.  False: nothing was run. */
static bool
judge_alone(Outcome *outcome, const char *down)
{
	const SdAsked *asked = outcome->asked;
	const SdRehearsal *r = &outcome->rehearsal;

	if (asked->unreached)
		fail(outcome, NULL, psprintf("not reached: %s", asked->unreached), NULL, "SELECT * FROM schemadrift.regions;");
	else if (asked->error)
		fail(outcome, unpack_sql_state(asked->error->sqlerrcode), asked->error->message, asked->error->detail,
			 asked->error->hint ? sd_everywhere_words(asked, asked->error->hint) : "SELECT * FROM schemadrift.regions;");
	else if (r->up.sqlstate[0])
		fail(outcome, r->up.sqlstate, r->up.message, r->up.detail, r->up.hint ? sd_everywhere_words(asked, r->up.hint) : "-- mend the script, or that region");
	if (strcmp(outcome->status, "failed") == 0)
		return false;
	if (r->down.sqlstate[0])
	{
		warn(outcome, psprintf("down fails: %s", r->down.message), r->down.hint ? sd_everywhere_words(asked, r->down.hint) : "-- mend the way back");
		say(outcome, r->down.detail);
		outcome->sqlstate = r->down.sqlstate;
	}
	else if (down && !sd_rehearsal_restores(r))
		warn(outcome, "down does not restore the schema: another fingerprint comes out",
			 "-- mend the way back; on a copy, SELECT * FROM schemadrift.diff(...) says in what");
	judge_queries(outcome);
	return true;
}

/* Beside the first region in which it ran: this one, if it ran here. */
static bool
judge_beside(Outcome *outcome, const Outcome *first)
{
	const SdRehearsal *a = &outcome->rehearsal;
	const SdRehearsal *b = &first->rehearsal;
	bool		same_effect = sd_digest_equal(&a->made, &b->made) && sd_digest_equal(&a->dropped, &b->dropped);

	if (sd_digest_equal(&a->after, &b->after))
		return true;
	if (!same_effect)
		warn(outcome, psprintf("it leaves something else here than in region \"%s\"", first->asked->region),
			 psprintf("SELECT * FROM schemadrift.diff(%s, %s);", quote_literal_cstr(outcome->asked->region),
					  quote_literal_cstr(first->asked->region)));
	else
		warn(outcome, psprintf("the schema is not that of region \"%s\" already; the script does the same in both", first->asked->region),
			 psprintf("SELECT * FROM schemadrift.diff(%s, %s);", quote_literal_cstr(outcome->asked->region),
					  quote_literal_cstr(first->asked->region)));
	return false;
}

static void
put_outcome(FunctionCallInfo fcinfo, Outcome *outcome, bool ran, bool same, bool has_down)
{
	SdViewRow	row = {0};
	const SdRehearsal *r = &outcome->rehearsal;

	sd_view_text(&row, outcome->asked->region);
	sd_view_text(&row, outcome->status);
	sd_view_put(&row, Float8GetDatum(r->up_ms), !ran);
	sd_view_put(&row, Float8GetDatum(r->down_ms), !ran || r->down_ms < 0);
	sd_view_text(&row, ran ? r->locks : NULL);
	sd_view_text(&row, ran ? digest_text(&r->after) : NULL);
	sd_view_put(&row, BoolGetDatum(same), !ran);
	sd_view_put(&row, BoolGetDatum(sd_rehearsal_restores(r)), !ran || !has_down);
	sd_view_text(&row, outcome->sqlstate);
	sd_view_text(&row, outcome->detail.data);
	sd_view_text(&row, strcmp(outcome->status, "ok") == 0 ? NULL : outcome->remedy);
	sd_view_put(&row, Int32GetDatum(r->queries.planned), !ran);
	sd_view_finish(fcinfo, &row);
}

static bool
put_outcomes(FunctionCallInfo fcinfo, List *list, const SdRehearsal *here, const char *down)
{
	int			n = list_length(list);
	Outcome    *outcomes = palloc0(sizeof(Outcome) * n);
	bool	   *ran = palloc0(sizeof(bool) * n);
	Outcome    *first = NULL;
	bool		good = true;

	for (int i = 0; i < n; i++)
	{
		Outcome    *outcome = &outcomes[i];
		SdAsked    *asked = list_nth(list, i);

		outcome->asked = asked;
		outcome->status = "ok";
		initStringInfo(&outcome->detail);
		if (asked->witness)
			continue;
		if (asked->here)
			outcome->rehearsal = *here;
		else if (asked->answer && !get_rehearsal(asked->answer, &outcome->rehearsal))
			fail(outcome, NULL, "it answered with nonsense", NULL, "-- bring it to the same version of schemadrift");
		ran[i] = strcmp(outcome->status, "ok") == 0 && judge_alone(outcome, down);
		if (ran[i] && (first == NULL || asked->here))
			first = outcome;
	}
	for (int i = 0; i < n; i++)
	{
		bool		same = ran[i] && first && judge_beside(&outcomes[i], first);

		if (outcomes[i].asked->witness)
			continue;
		/* nobody waits for a suspended region: it keeps nothing from being applied elsewhere */
		good &= strcmp(outcomes[i].status, "ok") == 0 || outcomes[i].asked->suspended;
		put_outcome(fcinfo, &outcomes[i], ran[i], same, down != NULL);
	}
	return good;
}

static void
require_quiet(void)
{
	sd_group_check_session("dry_run");
	if (sd_executing() != SD_EXECUTING_NOTHING || sd_change_active() || !sd_capture_is_empty())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("schemadrift.dry_run() cannot be in a transaction that changes the schema"),
				 errdetail("The other regions would not see that change."),
				 errhint("ROLLBACK or COMMIT first.")));
}

/* Where a change could begin: elsewhere it would not be known what it does there. */
static void
require_origin(const SdRegions *regions)
{
	int			me = sd_config_find(&regions->members.config, regions->self.region);
	int64		halted = halted_at();

	if (me < 0 || sd_members_is_witness(&regions->members, me))
		ereport(ERROR,
				(errcode(SD_ERRCODE_MAY_NOT_ORIGINATE),
				 errmsg("region \"%s\" is a witness: it has no schema", regions->self.region),
				 errhint("Call dry_run() in another region.")));
	if (!regions->self.valid)
		ereport(ERROR,
				(errcode(SD_ERRCODE_MAY_NOT_ORIGINATE),
				 errmsg("region \"%s\" is void: no change is made here", regions->self.region),
				 errhint("SELECT * FROM schemadrift.status; or call dry_run() in another region.")));
	if (regions->members.config.member[me].suspended)
		ereport(ERROR,
				(errcode(SD_ERRCODE_MAY_NOT_ORIGINATE),
				 errmsg("region \"%s\" is suspended: no change is made here", regions->self.region),
				 errhint("SELECT schemadrift.resume_region(%s); or call dry_run() in another region.", sd_paste_literal(regions->self.region))));
	if (halted > 0)
		ereport(ERROR,
				(errcode(SD_ERRCODE_BEHIND),
				 errmsg("region \"%s\" is halted at version " INT64_FORMAT ": the others are ahead of it", regions->self.region, halted),
				 errhint("SELECT * FROM schemadrift.status; or call dry_run() in another region.")));
}

Datum
sd_dry_run(PG_FUNCTION_ARGS)
{
	char	   *up = PG_ARGISNULL(0) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *down = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *options = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	SdTrial what = {0};
	SdRegions	regions;
	SdRehearsal here;
	SdScope		scope;
	SdApplied	applied;
	List	   *asked;

	if (sd_text_is_blank(up))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no script to try"),
						errdetail("It is null, or blank."),
						errhint("SELECT * FROM schemadrift.dry_run('the statements', 'the statements that undo them').")));
	if (down && sd_text_is_blank(down))
		down = NULL;
	sd_options_check(options);
	require_quiet();
	sd_regions_read(&regions);
	require_origin(&regions);
	(void) sd_gate_group_mode();	/* with the policy, which may freeze the time */
	what = (SdTrial) {up, down, sd_capture_run_as(), sd_gate_freezes_at(options), NULL, (SdDryRunQueries) sd_dry_run_queries};
	sd_store_enter(&scope);
	sd_applied_read(&applied);
	sd_store_leave(&scope);

	asked = sd_everywhere_ask(&regions, "dry_run", 7,
							  (const char *[]) {psprintf(INT64_FORMAT, applied.version), up, down, sd_run_as_to_json(what.run_as), sd_dry_run_queries_text(),
												what.frozen_at != 0 ? sd_time_text(what.frozen_at) : NULL, get_database_name(MyDatabaseId)},
							  sd_dry_run_timeout + PATIENCE_MS);
	sd_rehearse(&what, &here);
	sd_everywhere_wait(asked);
	InitMaterializedSRF(fcinfo, 0);
	/* who looks away has not found that nothing is bad */
	if (put_outcomes(fcinfo, asked, &here, down) && sd_dry_run_queries != SD_DRY_RUN_QUERIES_OFF)
		sd_dry_run_note(up, down);
	sd_everywhere_end(asked);
	return (Datum) 0;
}
