/*
 * change.c: schemadrift.apply().
 *
 * Runs in a backend, in the caller's transaction and with the caller's rights: the text runs here and now, the other
 * regions are asked at commit (gate/change.c).  Locks: the DDL lock through sd_change_begin(), before anything of the
 * caller's.
 */
#include "compat.h"

#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "ddl/fill.h"
#include "ddl/history_rows.h"
#include "ddl/options.h"
#include "ddl/script.h"
#include "errors.h"
#include "functions/change.h"
#include "gate/change.h"
#include "gate/judge.h"
#include "gate/mode.h"
#include "gate/policy.h"
#include "settings.h"
#include "store/history.h"
#include "store/state.h"
#include "texts.h"

PG_FUNCTION_INFO_V1(sd_apply);

/* ---- what these functions have in common ---- */

char *
sd_change_name_arg(FunctionCallInfo fcinfo, int arg)
{
	char	   *name;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a migration needs a name"),
				 errdetail("It is null."),
				 errhint("SELECT schemadrift.apply('a name', 'the statements'): the name is the same in every region, and the script is run once under it.")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	sd_entry_check_name(name);
	return name;
}

void
sd_change_require_group(void)
{
	SdScope		scope;
	SdSelf		self;
	bool		joined;

	sd_store_enter(&scope);
	joined = sd_self_read(&self);
	sd_store_leave(&scope);
	if (!joined)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is in no group of regions"),
				 errhint("SELECT schemadrift.init(region, conninfo) starts a group, SELECT schemadrift.join(via, region, conninfo) enters one.")));
}

void
sd_change_require(const char *function)
{
	if (sd_executing() != SD_EXECUTING_NOTHING)
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("schemadrift.%s() cannot be part of a migration's text", function),
				 errhint("Call it by itself.")));
	sd_change_require_group();
	switch (sd_gate_mode())
	{
		case SD_MODE_OBSERVE:
			ereport(ERROR,
					(errcode(SD_ERRCODE_POLICY),
					 errmsg("schemadrift.%s() is refused: the group only observes", function),
					 errdetail("In mode \"observe\" nothing is sent to other regions, so a migration would happen here alone.\n%s",
							   sd_policy_says(sd_gate_policy(), "mode")),
					 errhint("SELECT schemadrift.set_policy('{\"mode\": \"coordinate\"}'), or run the statements as plain DDL.")));
		case SD_MODE_OFF:
			ereport(ERROR,
					(errcode(SD_ERRCODE_POLICY),
					 errmsg("schemadrift.%s() is refused: this session has switched schemadrift off", function),
					 errhint("RESET schemadrift.ddl_mode, or run the statements as plain DDL.")));
		default:
			break;
	}
	sd_gate_require_group_scope(function);
}

List *
sd_change_needs(List *needs, const SdRunAs *run_as)
{
	needs = lappend(needs, psprintf("role:%s", run_as->session_user));
	if (strcmp(run_as->user, run_as->session_user) != 0)
		needs = lappend(needs, psprintf("role:%s", run_as->user));
	return needs;
}

void
sd_change_notice(void)
{
	char	   *id = sd_uuid_text(sd_change_entry_id());

	ereport(NOTICE,
			(errmsg("entry %s for version " INT64_FORMAT, id, sd_change_version()),
			 errdetail("SELECT schemadrift.outcome('%s') tells what became of it.", id)));
}

/* ---- apply ---- */

int64
sd_change_already_there(const char *name, const char *up)
{
	SdScope		scope;
	SdApplied	applied;
	SdEntry    *entry;
	int64		version;
	int64		taken_back;
	char	   *recorded = NULL;

	sd_store_enter(&scope);
	version = sd_history_newest(name, &taken_back);
	if (version > 0 && taken_back == 0)
	{
		sd_applied_read(&applied);
		entry = sd_log_entry(version);
		if (entry)
			recorded = sd_json_text(sd_entry_payload(entry), "up");
	}
	else
		version = 0;
	/* compared in the scope: a text of many megabytes is not copied again */
	if (version > 0 && (recorded == NULL || strcmp(recorded, up) != 0))
		ereport(ERROR,
				(errcode(SD_ERRCODE_NAME_USED),
				 errmsg("migration \"%s\" is version " INT64_FORMAT " already, with another text", name, version),
				 recorded ? errdetail("The recorded text has %zu bytes, this one %zu.", strlen(recorded), strlen(up)) :
				 errdetail("That version was made by plain DDL, or its text is not kept here any more."),
				 errhint("A migration that was applied is never changed: give the new one a name of its own.")));
	sd_store_leave(&scope);
	if (version > 0)
		ereport(NOTICE,
				(errmsg("migration \"%s\" is version " INT64_FORMAT " already, nothing was run", name, version),
				 applied.version < version ? errdetail("This region has not applied it yet.") : 0));
	return version;
}

static void
check_size(const char *up, const char *down)
{
	size_t		size = strlen(up) + (down ? strlen(down) : 0);

	if (size > (size_t) sd_max_entry_size * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("migration is too large"),
				 errdetail("It has %zu bytes; the limit is %d kB.", size, sd_max_entry_size),
				 errhint("Split it into several migrations, or raise schemadrift.max_entry_size in every region.")));
}

void
sd_change_script_args(FunctionCallInfo fcinfo, const char *name, SdScriptArgs *args)
{
	args->up = PG_ARGISNULL(1) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(1));
	args->down = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	args->options = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	if (sd_text_is_blank(args->up))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("migration \"%s\" has no text", name)));
	/* a tool without a down file passes an empty text: that is no way back */
	if (args->down && sd_text_is_blank(args->down))
		args->down = NULL;
	check_size(args->up, args->down);
	sd_options_check(args->options);
}

void
sd_change_require_top_call(FunctionCallInfo fcinfo, const char *name)
{
	CallContext *call = fcinfo->context && IsA(fcinfo->context, CallContext) ? (CallContext *) fcinfo->context : NULL;

	if (call == NULL || call->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block or a function", name),
				 errdetail("It would hold a snapshot, and a lock perhaps, for which builds and other regions' changes wait."),
				 errhint("COMMIT first, and CALL it by itself.")));
}

/* What the group's policy asks of a script by itself. */
static void
require_by_policy(const SdScriptArgs *args, bool online)
{
	sd_change_require(online ? "apply_online" : "apply");
	sd_gate_require_down(args->down, false);
	/* nobody can try what commits by itself */
	if (!online)
		sd_gate_require_dry_run(args->up, args->down, args->options);
}

int64
sd_change_begin_script(const char *name, const SdScriptArgs *args, bool online, SdGranted *granted)
{
	int64		version;

	sd_change_require(online ? "apply_online" : "apply");
	version = sd_change_already_there(name, args->up);
	if (version > 0)
		return version;
	require_by_policy(args, online);
	granted->script = online ? sd_script_parse_online(args->up) : sd_script_parse(args->up);
	sd_script_check_down(args->down, online, sd_gate_is_local_name);
	granted->run_as = sd_capture_run_as();
	sd_gate_require_allowed_run_as(granted->run_as);
	sd_gate_check_text(args->up);
	sd_gate_judge(&granted->judged, name, args->up, args->options);

	sd_change_set_subject(name);
	sd_capture_begin_script();
	sd_change_begin(list_concat(sd_change_needs(sd_script_needs(granted->script), granted->run_as),
								list_concat(sd_options_needs(args->options), sd_gate_judged_needs(&granted->judged))));
	/* the log may have grown while we waited for the grant */
	version = sd_change_already_there(name, args->up);
	if (version > 0)
		return version;
	/* ... and another policy may have come with it; none can any more */
	require_by_policy(args, online);
	sd_gate_check_text(args->up);
	sd_gate_judge_granted(&granted->judged);
	sd_change_set_barrier(sd_gate_judged_barrier(&granted->judged, sd_options_barrier(args->options, sd_change_version() - 1)));
	sd_change_notice();
	return 0;
}

typedef struct Run
{
	SdScript   *script;
	TimestampTz frozen_at;
} Run;

static void
run_script(void *arg)
{
	sd_script_run(arg, SD_EXECUTING_SCRIPT);
}

static void
run_frozen(void *arg)
{
	sd_fill_work_frozen(((Run *) arg)->frozen_at, run_script, ((Run *) arg)->script);
}

/*
 * apply(name, up, down, options): the text runs once it is granted; what it is becomes the entry at commit.  Described only after the
 * text has run: an error that the caller catches leaves a grant without an entry, which proposes nothing.
 */
Datum
sd_apply(PG_FUNCTION_ARGS)
{
	char	   *name = sd_change_name_arg(fcinfo, 0);
	SdScriptArgs args;
	SdGranted	granted;
	Run			run;
	CommandId	from;
	int64		version;
	int			nest_level;

	sd_change_script_args(fcinfo, name, &args);
	version = sd_change_begin_script(name, &args, false, &granted);
	if (version > 0)
		PG_RETURN_INT64(version);

	run.script = granted.script;
	run.frozen_at = sd_gate_freezes_at(args.options);
	from = sd_history_text_begin();
	nest_level = sd_gate_limit_lock_wait();
	sd_time_limit_work(sd_options_timeout_ms(args.options), run_frozen, &run);
	if (nest_level > 0)
		AtEOXact_GUC(true, nest_level);
	sd_history_text_end(from);

	sd_change_describe(SD_KIND_MIGRATION, name, 0,
					   sd_script_to_json(args.up, args.down, args.options, granted.run_as), true);
	PG_RETURN_INT64(sd_change_version());
}
