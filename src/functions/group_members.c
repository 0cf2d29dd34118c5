/*
 * group_members.c: what a member is, changed: role, address, priority, stepping down and up, suspended and back.
 *
 * Runs in backends.  Each is a config entry with the whole resulting members, like every change of the group
 * (group.c, gate/change.h): it takes effect at commit, with a quorum, or nothing happened.
 */
#include "compat.h"

#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "functions/group.h"

PG_FUNCTION_INFO_V1(sd_alter_region);
PG_FUNCTION_INFO_V1(sd_step_down);
PG_FUNCTION_INFO_V1(sd_step_up);
PG_FUNCTION_INFO_V1(sd_suspend_region);
PG_FUNCTION_INFO_V1(sd_resume_region);

#define PRIORITY_MAX	1000
#define REASON_MAX		200

typedef struct Edit
{
	const char *function;
	const char *action;			/* in the entry */
	const char *region;			/* NULL: this one */
	void		(*edit) (struct Edit *edit);

	/* alter_region; NULL: leave as it is */
	const char *conninfo;
	const char *role;
	const int32 *priority;

	/* suspend_region */
	const char *reason;

	/* as of the pass */
	int			pass;
	SdSelf		self;
	SdMembers	members;
	int			at;				/* the region's index there */
} Edit;

/*
 * First what needs no quorum to be refused, then as the log is once nobody else can change it.  0: it is so already.
 */
static int64
run(Edit *edit)
{
	sd_group_check_session(edit->function);
	for (edit->pass = 1; edit->pass <= 2; edit->pass++)
	{
		char	   *before;

		if (edit->pass == 2)
			sd_group_begin(edit->function, edit->region);
		sd_group_require(&edit->self, &edit->members);
		if (edit->region == NULL)
			edit->region = pstrdup(edit->self.region);
		edit->at = sd_group_find(&edit->members, edit->region);
		before = sd_members_json(&edit->members);
		edit->edit(edit);
		if (strcmp(before, sd_members_json(&edit->members)) == 0)
			return 0;
	}
	return sd_group_propose(&edit->members, edit->action, edit->region);
}

/* It loses its vote: the others must be able to go on without it, now. */
static void
take_vote(Edit *edit)
{
	SdMember   *member = &edit->members.config.member[edit->at];
	bool		voted = sd_member_votes(member);

	member->role = SD_ROLE_OBSERVER;
	if (!voted)
		return;
	sd_group_require_voter(&edit->members, edit->region);
	sd_group_require_quorum(&edit->self, &edit->members, psprintf("taking the vote of region \"%s\"", edit->region));
}

/* ---- alter_region ---- */

/*
 * Downwards at once; upwards by the region itself, which asks when it has applied everything.  With or without a schema is
 * for life: a witness's database was never compared with anything.
 */
static void
alter_role(Edit *edit, SdRole role)
{
	SdMembers  *members = &edit->members;
	bool		witness = sd_members_is_witness(members, edit->at);

	if (witness ? role == SD_ROLE_VOTER : role == SD_ROLE_WITNESS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" cannot become a %s", edit->region, edit->role),
				 witness ? errdetail("It is a witness, and has no schema.")
				 : errdetail("It has the schema, and a witness has none."),
				 errhint("Take it out of the group, then join again with that role.")));
	if (role == SD_ROLE_OBSERVER)
	{
		members->wants[edit->at] = witness ? SD_ROLE_WITNESS : SD_ROLE_OBSERVER;
		members->stepped_down[edit->at] = witness;
		take_vote(edit);
	}
	else
	{
		members->wants[edit->at] = role;
		members->stepped_down[edit->at] = false;
	}
}

static void
alter(Edit *edit)
{
	if (edit->conninfo)
		edit->members.conninfo[edit->at] = pstrdup(edit->conninfo);
	if (edit->priority)
		edit->members.priority[edit->at] = *edit->priority;
	if (edit->role)
		alter_role(edit, sd_group_check_role(edit->role));
}

Datum
sd_alter_region(PG_FUNCTION_ARGS)
{
	Edit		edit = {.function = "alter_region", .action = "alter", .edit = alter};
	int32		priority = 0;
	int64		version;

	edit.region = sd_group_text_arg(fcinfo, 0, "region");
	if (!PG_ARGISNULL(1))
		edit.conninfo = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (!PG_ARGISNULL(2))
		edit.role = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (!PG_ARGISNULL(3))
	{
		priority = PG_GETARG_INT32(3);
		edit.priority = &priority;
	}
	if (edit.conninfo)
		sd_group_check_conninfo(edit.conninfo);
	if (edit.role)
		(void) sd_group_check_role(edit.role);
	if (priority < 0 || priority > PRIORITY_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("priority must be between 0 and %d", PRIORITY_MAX)));

	version = run(&edit);
	if (version == 0)
	{
		ereport(NOTICE, (errmsg("region \"%s\" is so already, nothing was changed", edit.region)));
		PG_RETURN_NULL();
	}
	if (edit.role)
	{
		if (edit.members.wants[edit.at] != edit.members.config.member[edit.at].role && !edit.members.stepped_down[edit.at])
			ereport(NOTICE,
					(errmsg("region \"%s\" becomes a %s once it has applied everything", edit.region, edit.role),
					 errhint("SELECT * FROM schemadrift.regions;")));
		sd_group_warn_of_two(&edit.members);
	}
	PG_RETURN_INT64(version);
}

/* ---- step_down, step_up ---- */

static void
refuse_witness(const Edit *edit, const char *role)
{
	if (sd_members_is_witness(&edit->members, edit->at))
		ereport(ERROR,
				(errcode(SD_ERRCODE_MAY_NOT_ORIGINATE),
				 errmsg("a witness changes nothing by itself"),
				 errhint("In another region: SELECT schemadrift.alter_region('%s', role => '%s').", edit->region, role)));
}

static void
down(Edit *edit)
{
	refuse_witness(edit, "observer");
	if (!sd_member_votes(&edit->members.config.member[edit->at]))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 edit->members.stepped_down[edit->at] ? errmsg("region \"%s\" has stepped down already", edit->region)
				 : errmsg("region \"%s\" does not vote", edit->region),
				 errdetail("It is an observer.")));
	edit->members.stepped_down[edit->at] = true;
	take_vote(edit);
}

Datum
sd_step_down(PG_FUNCTION_ARGS)
{
	Edit		edit = {.function = "step_down", .action = "step_down", .edit = down};
	int64		version;

	(void) fcinfo;
	version = run(&edit);
	ereport(NOTICE,
			(errmsg("region \"%s\" does not vote any more from version " INT64_FORMAT " on", edit.region, version),
			 errdetail("Once this transaction has committed, and the others have that version, nobody needs its vote any more."),
			 errhint("CALL schemadrift.wait_for(" INT64_FORMAT ") before the server is stopped; SELECT schemadrift.step_up() brings it back.",
					 version)));
	sd_group_warn_of_two(&edit.members);
	PG_RETURN_INT64(version);
}

/* As a promotion: "once it has applied the head and both directions are connected"; the first is so for every origin. */
static void
up(Edit *edit)
{
	SdMember   *member = &edit->members.config.member[edit->at];
	bool		pending = edit->members.wants[edit->at] != member->role;
	char	   *what = psprintf("making region \"%s\" a voter", edit->region);

	refuse_witness(edit, "witness");
	if (!edit->members.stepped_down[edit->at])
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" has not stepped down", edit->region),
				 sd_member_votes(member) ? errdetail("It votes.")
				 : pending ? errdetail("It becomes a %s by itself once it has applied everything.",
									   sd_role_text(edit->members.wants[edit->at]))
				 : errdetail("It is an observer by its role."),
				 sd_member_votes(member) || pending ? 0
				 : errhint("SELECT schemadrift.alter_region('%s', role => 'voter').", edit->region)));
	if (!edit->self.valid)
		ereport(ERROR,
				(errcode(SD_ERRCODE_MAY_NOT_ORIGINATE),
				 errmsg("this region cannot become a voter: its identity is void"),
				 errdetail("Nothing happened. Reason: %s.", edit->self.mismatch),
				 errhint("SELECT * FROM schemadrift.status says what to do.")));
	member->role = edit->members.wants[edit->at];
	edit->members.stepped_down[edit->at] = false;
	if (edit->pass == 1)
		sd_group_await_quorum(&edit->self, &edit->members, what);
	else
		sd_group_require_quorum(&edit->self, &edit->members, what);
}

Datum
sd_step_up(PG_FUNCTION_ARGS)
{
	Edit		edit = {.function = "step_up", .action = "step_up", .edit = up};

	(void) fcinfo;
	PG_RETURN_INT64(run(&edit));
}

/* ---- suspend_region, resume_region ---- */

/* The same in every region, whoever reads it. */
static char *
utc_now(void)
{
	pg_time_t	now = timestamptz_to_time_t(GetCurrentTimestamp());
	char		text[64];

	pg_strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", pg_gmtime(&now));
	return pstrdup(text);
}

static int
count_serving(const SdMembers *members)
{
	int			n = 0;

	for (int i = 0; i < members->config.n; i++)
		n += sd_members_serves(members, i);
	return n;
}

static void
suspend(Edit *edit)
{
	SdMembers  *members = &edit->members;
	SdMember   *member = &members->config.member[edit->at];

	if (member->suspended)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" is suspended already", edit->region),
				 errdetail("By %s at %s: %s", members->suspended_by[edit->at], members->suspended_at[edit->at],
						   members->suspended_reason[edit->at])));
	if (sd_members_is_witness(members, edit->at))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" is a witness: nobody waits for it", edit->region),
				 errhint("To take its vote: SELECT schemadrift.alter_region('%s', role => 'observer').", edit->region)));
	member->suspended = true;
	members->suspended_by[edit->at] = GetUserNameFromId(GetSessionUserId(), false);
	members->suspended_at[edit->at] = utc_now();
	members->suspended_reason[edit->at] = pstrdup(edit->reason);
	if (count_serving(members) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" is the last one that serves", edit->region),
				 errdetail("All others are suspended, or have no schema: nobody could change it any more."),
				 errhint("Resume another region first.")));
}

Datum
sd_suspend_region(PG_FUNCTION_ARGS)
{
	Edit		edit = {.function = "suspend_region", .action = "suspend", .edit = suspend};

	edit.region = sd_group_text_arg(fcinfo, 0, "region");
	edit.reason = sd_group_text_arg(fcinfo, 1, "reason");
	if (edit.reason[strspn(edit.reason, " \t\r\n")] == '\0' || strlen(edit.reason) > REASON_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a reason must have 1 to %d bytes", REASON_MAX),
				 errdetail("It is shown to whoever is refused because of it.")));
	PG_RETURN_INT64(run(&edit));
}

static void
resume(Edit *edit)
{
	SdMember   *member = &edit->members.config.member[edit->at];

	if (!member->suspended)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("region \"%s\" is not suspended", edit->region)));
	member->suspended = false;
	edit->members.suspended_by[edit->at] = NULL;
	edit->members.suspended_at[edit->at] = NULL;
	edit->members.suspended_reason[edit->at] = NULL;
}

Datum
sd_resume_region(PG_FUNCTION_ARGS)
{
	Edit		edit = {.function = "resume_region", .action = "resume", .edit = resume};

	edit.region = sd_group_text_arg(fcinfo, 0, "region");
	PG_RETURN_INT64(run(&edit));
}
