/*
 * carry_out.c: the ways in which a statement of DDL runs; see carry_out.h.
 *
 * Runs in backends, and in the applier; the DDL lock by the grant (gate/change.h).
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "tcop/pquery.h"
#include "utils/guc.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "ddl/capture.h"
#include "ddl/fill.h"
#include "ddl/history_rows.h"
#include "ddl/kept.h"
#include "ddl/roles.h"
#include "ddl/script.h"
#include "ddl/touched.h"
#include "errors.h"
#include "gate/carry_out.h"
#include "gate/change.h"
#include "gate/internal.h"
#include "gate/judge.h"
#include "gate/mode.h"
#include "gate/online.h"
#include "gate/policy.h"
#include "gate/suspect.h"
#include "store/entry.h"

/* A statement that was taken for temporary reached further, for example by CASCADE. */
static void
refuse_mixture(const SdVerdict *verdict)
{
	ereport(ERROR,
			(errcode(SD_ERRCODE_CANNOT_COORDINATE),
			 errmsg("%s of a temporary object cannot change permanent objects with it", GetCommandTagName(verdict->tag)),
			 errdetail("It names temporary objects only, but reached permanent ones, which the regions must agree on."),
			 errhint("Change the permanent objects first, by a statement that names them.")));
}

static SdDisposition
disposition_of(SdDdlMode mode)
{
	switch (mode)
	{
		case SD_MODE_OBSERVE:
			return SD_DISPOSE_OBSERVE;
		case SD_MODE_OFF:
			return SD_DISPOSE_BYPASS;
		default:
			return SD_DISPOSE_COORDINATE;
	}
}

void
sd_carry_out_temporary(const SdUtility *u, const SdVerdict *verdict)
{
	SdRunning	statement = {0};
	SdDdlMode	mode;

	sd_running_watch(u, &statement);
	if (!statement.seen_ordinary)
		return;
	mode = sd_gate_mode();
	if (sd_gate_mode_refuses(mode))
		refuse_mixture(verdict);
	if (sd_executing() == SD_EXECUTING_NOTHING)
		sd_capture_add(sd_capture_make(u->pstmt, u->query_string, disposition_of(mode), verdict->class));
}

/*
 * It commits by itself, so it was not refused only because the mode refuses nothing.  The note comes first: its first
 * commit is where notes are written down, and everything of this transaction is gone afterwards.
 */
void
sd_carry_out_alone(const SdUtility *u, const SdVerdict *verdict, SdDdlMode mode)
{
	sd_capture_require_outside();
	sd_capture_add(sd_capture_make(u->pstmt, u->query_string, disposition_of(mode), verdict->class));
	PG_TRY();
	{
		sd_running_pass_by(u);
	}
	PG_CATCH();
	{
		sd_suspect_note_failed();
		PG_RE_THROW();
	}
	PG_END_TRY();
	sd_suspect_note();			/* what it did is found by looking */
}

void
sd_carry_out_check_policy(Node *stmt, const SdVerdict *verdict, SdDdlMode mode)
{
	if (mode != SD_MODE_OFF)
		sd_gate_check_scope(verdict->tag);
	if (sd_gate_mode_refuses(mode))
		sd_gate_check_statement(stmt, verdict->tag);
	if (sd_gate_mode_refuses(mode) && sd_roles_is_statement(stmt))
		sd_gate_require_own_servers(GetCommandTagName(verdict->tag));
}

/*
 * While a statement of a client's own waits for the DDL lock or for other regions it shall hold no snapshot: a build of an index
 * would wait for it.  It gets a new one afterwards, as after a COMMIT in a procedure.
 */
static bool
let_go_of_snapshot(ProcessUtilityContext context)
{
	if (context != PROCESS_UTILITY_TOPLEVEL || ActivePortal == NULL || ActivePortal->portalSnapshot == NULL ||
		!ActiveSnapshotSet() || ActivePortal->portalSnapshot != GetActiveSnapshot())
		return false;
	PopActiveSnapshot();
	ActivePortal->portalSnapshot = NULL;
	return true;
}

/* The group has agreed to this transaction without one. */
static void
refuse_late_barrier(const SdJudged *judged, const SdCommand *command)
{
	if (judged->tightens && sd_change.barrier < sd_change.version - 1)
		ereport(ERROR,
				(errcode(sd_ask_refused(SD_ERRCODE_POLICY)),
				 errmsg("%s is refused: it has to wait for every serving region, which comes too late in this transaction", command->tag),
				 errdetail("It forbids or takes away something, and the transaction has begun to change the schema without a barrier.\n%s",
						   sd_policy_says(sd_gate_policy(), "barriers")),
				 errhint("Run it in a transaction of its own, or all of it by schemadrift.apply().")));
}

/*
 * Ask for the promise, once, and for names that this transaction has not asked for yet.  True: this was the grant.
 */
static bool
begin_change(Node *stmt, const SdCommand *command, const SdJudged *judged, ProcessUtilityContext context)
{
	List	   *needs = sd_classify_needs(stmt);
	bool		first = !sd_change_active();
	List	   *demands = NIL;
	bool		let_go;

#ifdef SD_TESTING
	/* a mode that a test set by hand: there is no group to ask */
	if (sd_testing_group_mode_is_set())
		return false;
#endif
	needs = lappend(needs, psprintf("role:%s", command->run_as->session_user));
	if (strcmp(command->run_as->user, command->run_as->session_user) != 0)
		needs = lappend(needs, psprintf("role:%s", command->run_as->user));

	sd_gate_require_allowed_run_as(command->run_as);

	if (!first)
	{
		needs = sd_capture_new_needs(needs);
		refuse_late_barrier(judged, command);
	}
	else
	{
		demands = sd_gate_judged_needs(judged);
		/* at commit it is checked again: refused there, the work would be lost */
		if (sd_migration_name && sd_migration_name[0])
			sd_entry_check_name(sd_migration_name);
		sd_change_set_subject(GetCommandTagName(CreateCommandTag(stmt)));
	}
	let_go = let_go_of_snapshot(context);
	sd_change_begin(list_concat(demands, needs));
	if (let_go)
		EnsurePortalSnapshotExists();
	sd_capture_add_needs(needs);
	return first;
}

/* only temporary objects after all: a name that could not be resolved beforehand */
static bool
was_temporary(Node *stmt, const SdRunning *statement)
{
	/* these also revoke privileges, which makes no object access */
	if (IsA(stmt, DropOwnedStmt) || IsA(stmt, ReassignOwnedStmt))
		return false;
	return statement->seen_temporary && !statement->seen_ordinary && !statement->seen_other;
}

void
sd_carry_out_note_role(Node *stmt)
{
	const char *made = sd_roles_made(stmt);

	if (!sd_change_active())
		return;
	if (made)
	{
		sd_change_note_role(made);
		sd_capture_add_needs(list_make1(psprintf("role:%s", made)));
	}
	if (sd_roles_names_database(stmt))
		sd_change_note_database();
}

/* As if it were that time, if there is a time and that makes a difference; in the statement's own frame. */
static bool
freeze(SdUtility *u, PlannedStmt *pstmt, TimestampTz at)
{
	Node	   *stmt = at != 0 ? sd_fill_freeze(u->pstmt->utilityStmt, u->query_string, at) : u->pstmt->utilityStmt;

	if (stmt == u->pstmt->utilityStmt)
		return false;
	*pstmt = *u->pstmt;
	pstmt->utilityStmt = stmt;
	u->pstmt = pstmt;
	return true;
}

/* What would write other values into the same rows in each region is refused, or run as if it were one time in all of them. */
static void
settle_fill(SdUtility *u, PlannedStmt *pstmt, CommandTag tag, bool script)
{
	SdVerdict	verdict = {.class = SD_CLASS_REFUSED,.tag = tag};
	TimestampTz at = script ? sd_fill_frozen_at() : sd_gate_freezes_at(NULL);

	verdict.reason = sd_fill_reason(u->pstmt->utilityStmt, u->query_string, at, &verdict.hint);
	if (verdict.reason)
		sd_classify_refuse(&verdict);
	if (freeze(u, pstmt, at) && sd_change_active())
		sd_change_freeze();
}

/* What was written; parse analysis replaces a query, and reads its constants. */
static Node *
as_written(const SdUtility *u)
{
	Node	   *stmt = u->pstmt->utilityStmt;

	return IsA(stmt, CreateTableAsStmt) ? sd_capture_as_written(u->pstmt, u->query_string) : stmt;
}

/* Constants that would be others in each region: where only the finished definition tells, the error takes it back. */
static void
refuse_kept(const SdKept *kept, CommandTag tag)
{
	SdVerdict	verdict = {.class = SD_CLASS_REFUSED,.tag = tag};

	verdict.reason = sd_kept_reason(kept, &verdict.hint);
	if (verdict.reason)
		sd_classify_refuse(&verdict);
}

void
sd_carry_out_captured(const SdUtility *u, const SdVerdict *verdict, SdDdlMode mode)
{
	Node	   *stmt = u->pstmt->utilityStmt;
	SdUtility	changed = *u;
	PlannedStmt pstmt;
	SdRunning	statement = {.owns_inner = true,.collects = true};
	bool		script = sd_executing() == SD_EXECUTING_SCRIPT;
	SdCommand  *command = NULL;
	SdKept	   *kept = NULL;
	SdNoop		noop;
	CommandId	from;
	SdJudged	judged;
	int			nest_level = 0;

	if (!script)
	{
		if (mode == SD_MODE_REQUIRE_APPLY)
			sd_gate_refuse_plain(verdict->tag);
		if (mode == SD_MODE_COORDINATE)
		{
			sd_capture_require_plain();
			sd_gate_require_down(NULL, true);
			sd_gate_require_dry_run(NULL, NULL, NULL);
		}
		else
			sd_capture_require_outside();
	}
	sd_carry_out_check_policy(stmt, verdict, mode);
	if (!script)
	{
		command = sd_capture_make(u->pstmt, u->query_string, disposition_of(mode), verdict->class);
		if (mode == SD_MODE_COORDINATE)
			sd_gate_judge(&judged, NULL, command->text, NULL);
		if (mode == SD_MODE_COORDINATE && begin_change(stmt, command, &judged, u->context))
		{
			/* another policy may have come while we waited for the grant; none can any more */
			if (sd_gate_mode() == SD_MODE_REQUIRE_APPLY)
				sd_gate_refuse_plain(verdict->tag);
			sd_gate_require_down(NULL, true);
			sd_gate_require_dry_run(NULL, NULL, NULL);
			sd_carry_out_check_policy(stmt, verdict, mode);
			sd_change_set_barrier(sd_gate_judged_barrier(&judged, 0));
		}
		if (mode == SD_MODE_COORDINATE)
			sd_gate_judge_granted(&judged);
	}
	/* also of what is looked at before it runs */
	if (command && mode == SD_MODE_COORDINATE)
		nest_level = sd_gate_limit_lock_wait();
	if (script || mode == SD_MODE_COORDINATE)
	{
		sd_online_refuse_statement(stmt);
		if (IsA(stmt, CreateTableAsStmt))
			sd_classify_refuse_constants(as_written(u));
		kept = sd_kept_before(as_written(u));
		settle_fill(&changed, &pstmt, verdict->tag, script);
	}
	noop = sd_classify_noop(stmt);
	sd_touched_statement(sd_capture_touched(), stmt);
	statement.tag = verdict->tag;
	statement.watches_lock = (script || sd_gate_mode_refuses(mode)) && sd_gate_watches_lock();
	statement.watches_made = statement.watches_lock ||
		((script || sd_gate_mode_refuses(mode)) && OidIsValid(LookupNamespaceNoError("pg_temp")));

	from = sd_history_text_begin();
	sd_running_watch(&changed, &statement);
	if (nest_level > 0)
		AtEOXact_GUC(true, nest_level);
	sd_history_text_end(from);

	if (statement.watches_lock)
		sd_gate_check_made(statement.made, statement.tag);
	sd_running_refuse_leaning(&statement, verdict);
	if (script || mode == SD_MODE_COORDINATE)
		sd_carry_out_note_role(stmt);
	if (!was_temporary(stmt, &statement))
		refuse_kept(kept, verdict->tag);
	if (command == NULL || noop == SD_NOOP_CERTAIN || (noop == SD_NOOP_POSSIBLE && !statement.seen) ||
		was_temporary(stmt, &statement))
		return;
	sd_capture_add(command);
}

/* As far as it is not done in this server already; false: it is. */
static bool
settle_role(SdUtility *u, PlannedStmt *pstmt)
{
	Node	   *stmt = sd_roles_replay(u->pstmt->utilityStmt);

	if (stmt && stmt != u->pstmt->utilityStmt)
	{
		*pstmt = *u->pstmt;
		pstmt->utilityStmt = stmt;
		u->pstmt = pstmt;
	}
	return stmt != NULL;
}

/* Is what runs as if it were an entry a rehearsal, of a change that would be made here? */
static bool as_origin = false;

void
sd_carry_out_as_origin(void (*work) (void *arg), void *arg)
{
	as_origin = true;
	PG_TRY();
	{
		work(arg);
	}
	PG_FINALLY();
	{
		as_origin = false;
	}
	PG_END_TRY();
}

/* What is refused where a change is made, when it runs; not what runs inside of another statement of DDL, which belongs to that. */
static void
run_as_origin(SdUtility *u, PlannedStmt *pstmt)
{
	SdVerdict	verdict;
	SdKept	   *kept;

	sd_gate_classify(u->pstmt->utilityStmt, &verdict);
	if ((verdict.class == SD_CLASS_REFUSED || verdict.class == SD_CLASS_ALONE) && sd_gate_mode_refuses(sd_gate_mode()))
		sd_classify_refuse(&verdict);
	if (verdict.class != SD_CLASS_COORDINATED)
	{
		sd_running_pass_on(u);
		return;
	}
	kept = sd_kept_before(as_written(u));
	settle_fill(u, pstmt, verdict.tag, true);
	as_origin = false;
	PG_TRY();
	{
		sd_running_pass_on(u);
	}
	PG_FINALLY();
	{
		as_origin = true;
	}
	PG_END_TRY();
	refuse_kept(kept, verdict.tag);
}

/*
 * A statement of an entry.  A function's body was checked at its origin, perhaps with help from what exists only there
 * (a temporary table, a local one), and the check leaves nothing behind: failing it here would halt this region over
 * a function that is the same everywhere.
 */
void
sd_carry_out_entry(const SdUtility *u)
{
	SdUtility	changed = *u;
	PlannedStmt pstmt;
	int			nest_level;

	sd_touched_statement(sd_capture_touched(), u->pstmt->utilityStmt);
	if (as_origin)
	{
		run_as_origin(&changed, &pstmt);
		return;
	}
	if (!IsA(u->pstmt->utilityStmt, CreateFunctionStmt))
	{
		(void) freeze(&changed, &pstmt, sd_fill_frozen_at());
		if (settle_role(&changed, &pstmt))
			sd_running_pass_on(&changed);
		return;
	}
	nest_level = NewGUCNestLevel();
	(void) set_config_option("check_function_bodies", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	sd_running_pass_on(u);
	AtEOXact_GUC(true, nest_level);
}
