/*
 * preflight.c: schemadrift.preflight(): what may be in the way of a script, in every region at once; and the call by which a region asks
 * another.
 *
 * Runs in backends: here as a client of the other regions.  Each looks by itself (preflight_here.c); what is between the regions (reach,
 * latency, clocks, quorum, lease) is what this one's coordinator knows.  Changes nothing.
 */
#include "compat.h"

#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "ddl/options.h"
#include "ddl/script.h"
#include "errors.h"
#include "functions/change.h"
#include "functions/everywhere.h"
#include "functions/group.h"
#include "functions/limit.h"
#include "functions/look.h"
#include "functions/preflight.h"
#include "functions/propagation.h"
#include "functions/rpc.h"
#include "gate/mode.h"
#include "gate/policy.h"
#include "settings.h"
#include "store/entry.h"

PG_FUNCTION_INFO_V1(sd_preflight_all);
PG_FUNCTION_INFO_V1(sd_rpc_preflight);

/* How long a region may look, and how long who asks waits for it to say so. */
#define LOOK_MS			15000
#define PATIENCE_MS		(LOOK_MS + SD_LIMIT_GRACE_MS + 4000)

enum
{
	OUT_CHECK, OUT_STATUS, OUT_DETAIL, OUT_REMEDY, OUT_COLUMNS
};

/* ---- another region asks ---- */

/* As joined() wrote them. */
static List *
lines_of(const char *text)
{
	List	   *lines = NIL;
	StringInfoData line;

	initStringInfo(&line);
	for (; *text; text++)
	{
		if (*text == '\\' && text[1] != '\0')
		{
			text++;
			appendStringInfoChar(&line, *text == 'n' ? '\n' : *text);
		}
		else if (*text != '\n')
			appendStringInfoChar(&line, *text);
		else if (line.len > 0)
		{
			lines = lappend(lines, pstrdup(line.data));
			resetStringInfo(&line);
		}
	}
	return line.len > 0 ? lappend(lines, line.data) : lines;
}

typedef struct Look
{
	const char *up;
	const SdRunAs *run_as;
	List	   *needs;
	List	   *extensions;
	bool		queries;
	TimestampTz frozen_at;
	List	   *findings;
} Look;

static void
look_here(void *arg)
{
	Look	   *look = arg;

	look->findings = sd_preflight(look->up, look->run_as, look->needs, look->extensions, look->queries, look->frozen_at);
}

Datum
sd_rpc_preflight(PG_FUNCTION_ARGS)
{
	SdCaller	caller = sd_rpc_guard(fcinfo, false);
	SdSelf		self;
	SdMembers	members;
	Look		look = {0};
	ListCell   *cell;
	Oid			author;
	int			me;

	sd_rpc_require_args(fcinfo, 7, 11);
	sd_group_require(&self, &members);
	(void) sd_rpc_member(&caller, &members, false);
	me = sd_config_find(&members.config, self.region);
	if (!self.valid || me < 0 || sd_members_is_witness(&members, me))
		sd_rpc_refuse(SD_ERRCODE_MAY_NOT_ORIGINATE, psprintf("region \"%s\" runs nothing: it is %s", self.region, self.valid ? "a witness" : "void"), NULL);
	look.up = text_to_cstring(PG_GETARG_TEXT_PP(7));
	look.needs = lines_of(text_to_cstring(PG_GETARG_TEXT_PP(8)));
	look.run_as = sd_run_as_from_json(text_to_cstring(PG_GETARG_TEXT_PP(9)));
	/* by the rights that the author has there, and here */
	author = get_role_oid(look.run_as->user, true);
	look.queries = PG_GETARG_BOOL(10) && OidIsValid(author) && has_privs_of_role(author, ROLE_PG_READ_ALL_STATS);
	look.extensions = lines_of(text_to_cstring(PG_GETARG_TEXT_PP(11)));
	look.frozen_at = PG_ARGISNULL(12) ? 0 : PG_GETARG_TIMESTAMPTZ(12);
	/* planning evaluates functions of the author, for whom nobody waits any longer */
	sd_limit_work(LOOK_MS, "preflight", look_here, &look);
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, look.findings)
	{
		SdFinding  *finding = lfirst(cell);
		SdViewRow	row = {0};

		sd_view_text(&row, finding->check);
		sd_view_text(&row, finding->status);
		sd_view_text(&row, finding->detail);
		sd_view_text(&row, finding->remedy);
		sd_view_finish(fcinfo, &row);
	}
	return (Datum) 0;
}

/* ---- rows ---- */

static void
put(FunctionCallInfo fcinfo, const char *region, const char *check, const char *status, const char *detail, const char *remedy)
{
	SdViewRow	row = {0};

	sd_view_text(&row, check);
	sd_view_text(&row, region);
	sd_view_text(&row, status);
	sd_view_text(&row, detail);
	sd_view_text(&row, strcmp(status, SD_FINDING_OK) == 0 ? NULL : remedy);
	sd_view_finish(fcinfo, &row);
}

/* What is to be typed elsewhere says where, and who says so: before the first line, where there are several. */
static char *
remedy_in(const char *remedy, const char *region)
{
	return strpbrk(remedy, "\n\r") ? psprintf("-- in %s, which says:\n%s", region, remedy) : psprintf("%s -- in %s", remedy, region);
}

static void
put_finding(FunctionCallInfo fcinfo, const SdAsked *asked, int row)
{
	bool		fits = PQnfields(asked->answer) == OUT_COLUMNS;
	const char *check = fits ? sd_client_text(asked->answer, row, OUT_CHECK) : NULL;
	const char *status = fits ? sd_client_text(asked->answer, row, OUT_STATUS) : NULL;
	const char *remedy = fits ? sd_client_text(asked->answer, row, OUT_REMEDY) : NULL;

	if (check && status)
		put(fcinfo, asked->region, check, status, sd_client_text(asked->answer, row, OUT_DETAIL), remedy ? remedy_in(remedy, asked->region) : NULL);
	else
		put(fcinfo, asked->region, "reach", SD_FINDING_UNKNOWN, "it answered with nonsense", "-- bring it to the same version of schemadrift");
}

static void
put_answer(FunctionCallInfo fcinfo, const SdAsked *asked)
{
	if (asked->unreached)
		put(fcinfo, asked->region, "reach", SD_FINDING_FAILED, psprintf("not reached: %s", asked->unreached), "SELECT * FROM schemadrift.regions;");
	else if (asked->error)
		put(fcinfo, asked->region, "reach", SD_FINDING_FAILED,
			psprintf("%s%s%s%s", sd_client_unreached(asked->error) ? "not reached: " : "it did not look: ",
					 asked->error->message, asked->error->detail ? ": " : "", asked->error->detail ? asked->error->detail : ""),
			asked->error->hint ? sd_everywhere_words(asked, asked->error->hint) : "SELECT * FROM schemadrift.regions;");
	else
		for (int i = 0; i < PQntuples(asked->answer); i++)
			put_finding(fcinfo, asked, i);
}

/* ---- between the regions ---- */

static void
put_quorum(FunctionCallInfo fcinfo, const SdRegions *regions)
{
	const SdConfig *config = &regions->members.config;
	int			reached = 0;

	for (int i = 0; i < config->n; i++)
	{
		const char *why;

		if (sd_member_votes(&config->member[i]) && sd_group_reaches(&regions->self, &config->member[i], &why))
			reached++;
	}
	put(fcinfo, regions->self.region, "quorum", reached < sd_config_quorum(config) ? SD_FINDING_FAILED :
		reached == sd_config_quorum(config) && sd_config_voters(config) > reached ? SD_FINDING_WARNING : SD_FINDING_OK,
		psprintf("%d of %d voters can be reached, %d are needed", reached, sd_config_voters(config), sd_config_quorum(config)),
		"SELECT * FROM schemadrift.regions;");
}

static void
put_lease(FunctionCallInfo fcinfo, const SdHere *here)
{
	SdLeader	leader = {0};

	if (here->db == NULL || !sd_shared_leader(here->db, sd_monotonic_us(), &leader))
		put(fcinfo, here->self.region, "lease", SD_FINDING_OK, "nobody leads just now: the first change asks for it", NULL);
	else if (leader.pid != 0)
		put(fcinfo, here->self.region, "lease", SD_FINDING_WARNING,
			psprintf("region \"%s\" leads, and its pid %d has had a schema change open for %.1f s", leader.ballot.region, leader.pid,
					 (double) leader.held_us / SD_US_PER_S), "SELECT * FROM schemadrift.lease;");
	else
		put(fcinfo, here->self.region, "lease", SD_FINDING_OK, psprintf("region \"%s\" leads", leader.ballot.region), NULL);
}

static void
put_between(FunctionCallInfo fcinfo, const SdHere *here, const char *region)
{
	const SdPeerState *peer = sd_here_peer(here, region);
	int64		offset = peer ? (int64) llabs((long long) peer->clock_offset_us) / 1000 : 0;
	bool		off = sd_clock_offset_limit > 0 && offset > sd_clock_offset_limit;

	if (peer == NULL || peer->rtt_us < 0)
		put(fcinfo, region, "latency", SD_FINDING_UNKNOWN, "no round trip was measured yet", "SELECT * FROM schemadrift.regions;");
	else
		put(fcinfo, region, "latency", SD_FINDING_OK, psprintf("a round trip takes %.1f ms", peer->rtt_us / 1000.0), NULL);
	if (peer == NULL || !peer->clock_known)
		put(fcinfo, region, "clock", SD_FINDING_UNKNOWN, "its clock was not compared yet", "SELECT * FROM schemadrift.regions;");
	else
		put(fcinfo, region, "clock", off ? SD_FINDING_WARNING : SD_FINDING_OK,
			psprintf("its clock differs by " INT64_FORMAT " ms", offset), "-- look at time synchronization on both servers");
}

/* Of regions that have answered: what else there is to say of the others has been said. */
static void
put_propagation(FunctionCallInfo fcinfo, const SdHere *here, List *asked)
{
	List	   *regions = NIL;
	SdPropagation p;
	char	   *ago;
	ListCell   *cell;

	foreach(cell, asked)
		if (((SdAsked *) lfirst(cell))->answer)
			regions = lappend(regions, unconstify(char *, ((SdAsked *) lfirst(cell))->region));
	if (!sd_preflight_propagation || regions == NIL)
		return;
	sd_propagation_measure(here, regions, &p);
	if (p.why_not)
	{
		put(fcinfo, here->self.region, "propagation", SD_FINDING_UNKNOWN, psprintf("not measured: %s", p.why_not), "-- call preflight() again");
		return;
	}
	ago = p.age_us > 10 * SD_US_PER_S ? psprintf(", " INT64_FORMAT " s ago", p.age_us / SD_US_PER_S) : "";
	put(fcinfo, here->self.region, "propagation", SD_FINDING_OK,
		psprintf("a no-op, version " INT64_FORMAT ", was decided in %.1f ms%s", p.version, p.chosen_us / 1000.0, ago), NULL);
	foreach(cell, regions)
	{
		int64		us = p.applied_us[foreach_current_index(cell)];

		put(fcinfo, lfirst(cell), "propagation", us < 0 || us > SD_PROPAGATION_LIMIT_US ? SD_FINDING_WARNING : SD_FINDING_OK,
			us < 0 ? psprintf("version " INT64_FORMAT ", a no-op, is not applied there yet", p.version) :
			psprintf("version " INT64_FORMAT " was applied there after %.1f ms%s", p.version, us / 1000.0, ago), "SELECT * FROM schemadrift.regions;");
	}
}

/* ---- preflight() ---- */

/* A line each; a name may have several. */
static char *
joined(List *texts)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, texts)
	{
		for (const char *c = lfirst(cell); *c; c++)
		{
			if (*c == '\n' || *c == '\\')
				appendStringInfoChar(&out, '\\');
			appendStringInfoChar(&out, *c == '\n' ? 'n' : *c);
		}
		appendStringInfoChar(&out, '\n');
	}
	return out.data;
}

Datum
sd_preflight_all(PG_FUNCTION_ARGS)
{
	char	   *up = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *options = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	TimestampTz frozen_at;
	SdRegions	regions;
	SdRunAs    *run_as;
	SdHere	   *here;
	List	   *needs;
	List	   *extensions;
	List	   *list;
	ListCell   *cell;
	bool		queries = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);

	if (up == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no script to look at"),
						errdetail("It is null."),
						errhint("SELECT * FROM schemadrift.preflight('the statements').")));
	sd_options_check(options);
	sd_group_check_session("preflight");
	sd_regions_read(&regions);
	(void) sd_gate_group_mode();	/* with the policy, which may freeze the time */
	frozen_at = sd_gate_freezes_at(options);
	run_as = sd_capture_run_as();
	/* an error for what can be in no script */
	needs = list_concat(sd_change_needs(sd_script_needs(sd_script_parse(up)), run_as), sd_preflight_tell_roles());
	extensions = sd_wanted_extensions(up);
	list = sd_everywhere_ask(&regions, "preflight", 6,
							 (const char *[]) {up, joined(needs), sd_run_as_to_json(run_as), queries ? "true" : "false", joined(extensions),
											   frozen_at != 0 ? sd_time_text(frozen_at) : NULL}, PATIENCE_MS);
	here = sd_here();
	InitMaterializedSRF(fcinfo, 0);
	put_quorum(fcinfo, &regions);
	put_lease(fcinfo, here);
	sd_everywhere_wait(list);
	foreach(cell, list)
	{
		SdAsked    *asked = lfirst(cell);
		ListCell   *inner;

		if (asked->here)
			foreach(inner, sd_preflight(up, run_as, needs, extensions, queries, frozen_at))
			{
				SdFinding  *finding = lfirst(inner);

				put(fcinfo, asked->region, finding->check, finding->status, finding->detail, finding->remedy);
			}
		else if (!asked->witness)
			put_answer(fcinfo, asked);
		if (asked->answer)
			put_between(fcinfo, here, asked->region);
	}
	put_propagation(fcinfo, here, list);
	sd_everywhere_end(list);
	return (Datum) 0;
}
