/*
 * hooks.c: where PostgreSQL calls the gate.
 *
 * Runs in every backend of every database; no locking of its own.  A statement that is no DDL pays for one switch on
 * its kind.  DDL in a database that is in no group pays for the look at our tables that tells so.
 *
 * What the gate does with a statement depends on its class (ddl/classify.h) and on the mode (gate/mode.h):
 *
 *				   observe		 coordinate		require_apply	off
 *	local, temporary  run		 run			run				run
 *	coordinated	   run, record	 change, run	refuse			run, record
 *	refused			   run, record	 refuse			refuse			run, record
 *	alone			   run, record	 online entry	refuse			run, record
 *
 * Statements that run inside another captured statement belong to it: CREATE EXTENSION's script, users' event triggers,
 * the parts of CREATE SCHEMA.  They will run again wherever the outer one is run.  Functions, DO and CALL are no DDL, so
 * what they run is captured statement by statement.
 *
 * While one of our own scripts runs (ddl/script.h) its text is the entry: statements are looked at as above, but nothing
 * is captured.  The applier's statements were decided elsewhere and pass.
 */
#include "compat.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "analysis/probe.h"
#include "databases.h"
#include "ddl/capture.h"
#include "ddl/classify.h"
#include "ddl/fill.h"
#include "ddl/lock.h"
#include "ddl/place.h"
#include "ddl/roles.h"
#include "ddl/script.h"
#include "ddl/touched.h"
#include "errors.h"
#include "ddl/history_rows.h"
#include "gate/change.h"
#include "gate/history.h"
#include "gate/hooks.h"
#include "gate/internal.h"
#include "gate/judge.h"
#include "gate/mode.h"
#include "gate/online.h"
#include "gate/policy.h"
#include "gate/suspect.h"
#include "store/entry.h"

static ProcessUtility_hook_type previous_utility = NULL;
static object_access_hook_type previous_access = NULL;

/* A statement of DDL under way, in the hook's own stack frame. */
typedef struct SdRunning
{
	struct SdRunning *outer;
	bool		owns_inner;		/* statements inside are part of this one */
	bool		collects;		/* its objects go to the change's touched set */
	bool		seen;			/* any object access: it did something */
	bool		seen_temporary;
	bool		seen_ordinary;
	bool		seen_other;		/* of a kind whose place was not looked at */
	List	   *unsettled;		/* ObjectAddress: made, not visible yet */
	bool		watches_made;	/* has what it made or altered to be looked at, once it is visible? */
	bool		watches_lock;	/* for policy "lock", and what it drops, too */
	CommandTag	tag;
	List	   *made;			/* then: ObjectAddress of what it made or altered */
} SdRunning;

static SdRunning *running = NULL;

bool
sd_hooks_in_statement(void)
{
	return running != NULL;
}

/* Under a statement that changes no schema, whatever it does to catalogs. */
static bool passing = false;

/* The arguments of the hook, handed on as they are. */
typedef struct SdUtility
{
	PlannedStmt *pstmt;
	const char *query_string;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *dest;
	QueryCompletion *completion;
} SdUtility;

static void
pass_on(const SdUtility *u)
{
	ErrorContextCallback callback;
	bool		entered = sd_doomed_enter(&callback);

	if (previous_utility)
		previous_utility(u->pstmt, u->query_string, u->read_only_tree, u->context,
						 u->params, u->environment, u->dest, u->completion);
	else
		standard_ProcessUtility(u->pstmt, u->query_string, u->read_only_tree, u->context,
								u->params, u->environment, u->dest, u->completion);
	if (entered)
		sd_doomed_leave(&callback);
}

/* The same for what is maintenance, or none of ours. */
static void
pass_by(const SdUtility *u)
{
	bool		was = passing;

	passing = true;
	PG_TRY();
	{
		pass_on(u);
	}
	PG_FINALLY();
	{
		passing = was;
	}
	PG_END_TRY();
}

/* ---- objects that a statement touches ---- */

static void
note_place(SdRunning *statement, SdPlace place)
{
	statement->seen_temporary |= place == SD_PLACE_TEMPORARY;
	statement->seen_ordinary |= place == SD_PLACE_ORDINARY;
	statement->seen_other |= place == SD_PLACE_OTHER;
}

static List *
add_address(List *list, Oid class_id, Oid object_id, int sub_id)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSubSet(*address, class_id, object_id, sub_id);
	list = lappend(list, address);
	MemoryContextSwitchTo(old);
	return list;
}

static void
note_object(SdRunning *statement, ObjectAccessType access, Oid class_id, Oid object_id, int sub_id)
{
	SdPlace		place;

	statement->seen = true;
	if (statement->watches_made && access != OAT_DROP)
		statement->made = add_address(statement->made, class_id, object_id, sub_id);
	if (statement->seen_ordinary)
		return;					/* nothing more to learn: CREATE EXTENSION may make thousands */
	place = sd_place_of(class_id, object_id);
	if (place == SD_PLACE_UNKNOWN)
		statement->unsettled = add_address(statement->unsettled, class_id, object_id, 0);
	else
		note_place(statement, place);
}

/* look again at what was not visible while it was being made */
static void
settle_objects(SdRunning *statement)
{
	ListCell   *cell;

	if (statement->unsettled == NIL)
		return;
	CommandCounterIncrement();
	foreach(cell, statement->unsettled)
	{
		ObjectAddress *address = lfirst(cell);

		note_place(statement, sd_place_of(address->classId, address->objectId));
	}
	list_free_deep(statement->unsettled);
	statement->unsettled = NIL;
}

/* a member that vanishes without a word leaves the others one vote short */
static void
refuse_drop(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("cannot drop extension schemadrift while this database is a region of a group"),
			 errdetail("The other regions would go on waiting for its vote."),
			 errhint("SELECT schemadrift.leave() first, or schemadrift.remove_region() in another region.")));
}

static void
object_touched(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (running == NULL && sd_executing() == SD_EXECUTING_NOTHING)
	{
		if (!passing)
			sd_suspect_object(class_id, object_id);
		return;
	}
	/* by DROP OWNED or a CASCADE; the statement itself is looked at before it runs */
	if (access == OAT_DROP && class_id == ExtensionRelationId && object_id == get_extension_oid("schemadrift", true))
		refuse_drop();
	if (running)
		note_object(running, access, class_id, object_id, sub_id);
	/* afterwards nobody knows what it was */
	if (running && running->watches_lock && access == OAT_DROP)
	{
		ObjectAddress dropped = {class_id, object_id, sub_id};

		sd_gate_check_dropped(&dropped, running->tag);
	}
	if ((running && running->collects) || sd_executing() != SD_EXECUTING_NOTHING)
		sd_touched_object_access(sd_capture_touched(), access, class_id, object_id, sub_id, arg);
}

static pg_noinline void
object_accessed(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_access)
		previous_access(access, class_id, object_id, sub_id, arg);
	if (access != OAT_POST_CREATE && access != OAT_POST_ALTER && access != OAT_DROP)
		return;
	/* of a copy that is rolled back */
	if (sd_probing)
		return;
	sd_databases_object_access(access, class_id, object_id);
	object_touched(access, class_id, object_id, sub_id, arg);
}

/* Each function that a query uses comes here: it is not kept waiting. */
static void
sd_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (unlikely(access != OAT_FUNCTION_EXECUTE || previous_access != NULL))
		object_accessed(access, class_id, object_id, sub_id, arg);
}

/* ---- statements ---- */

/* run a statement and watch what it touches */
static void
run_watched(const SdUtility *u, SdRunning *statement)
{
	statement->outer = running;
	running = statement;
	PG_TRY();
	{
		pass_on(u);
		settle_objects(statement);
	}
	PG_FINALLY();
	{
		running = statement->outer;
	}
	PG_END_TRY();
}

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

/* What it made is permanent, but would go with this session's temporary objects; and elsewhere cannot be made. */
static void
refuse_leaning(const SdRunning *statement, const SdVerdict *verdict)
{
	ListCell   *cell;

	if (statement->made == NIL)
		return;
	CommandCounterIncrement();
	foreach(cell, statement->made)
	{
		ObjectAddress *object = lfirst(cell);
		ObjectAddress on;

		if (sd_place_leans_on_temporary(object, &on))
			ereport(ERROR,
					(errcode(SD_ERRCODE_CANNOT_COORDINATE),
					 errmsg("%s cannot make a permanent object depend on a temporary one", GetCommandTagName(verdict->tag)),
					 errdetail("%s depends on %s, which exists in this session only.",
							   getObjectDescription(object, false), getObjectDescription(&on, false)),
					 errhint("Make it temporary too, by writing pg_temp before its name, or make the other one permanent.")));
	}
	list_free_deep(statement->made);
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

static bool
refuses(SdDdlMode mode)
{
	return mode == SD_MODE_COORDINATE || mode == SD_MODE_REQUIRE_APPLY;
}

static void
run_temporary(const SdUtility *u, const SdVerdict *verdict)
{
	SdRunning	statement = {0};
	SdDdlMode	mode;

	run_watched(u, &statement);
	if (!statement.seen_ordinary)
		return;
	mode = sd_gate_mode();
	if (refuses(mode))
		refuse_mixture(verdict);
	if (sd_executing() == SD_EXECUTING_NOTHING)
		sd_capture_add(sd_capture_make(u->pstmt, u->query_string, disposition_of(mode), verdict->class));
}

/*
 * It commits by itself, so it was not refused only because the mode refuses nothing.  The note comes first: its first
 * commit is where notes are written down, and everything of this transaction is gone afterwards.
 */
static void
run_alone(const SdUtility *u, const SdVerdict *verdict, SdDdlMode mode)
{
	sd_capture_require_outside();
	sd_capture_add(sd_capture_make(u->pstmt, u->query_string, disposition_of(mode), verdict->class));
	PG_TRY();
	{
		pass_by(u);
	}
	PG_CATCH();
	{
		sd_suspect_note_failed();
		PG_RE_THROW();
	}
	PG_END_TRY();
	sd_suspect_note();			/* what it did is found by looking */
}

/*
 * What the policy and the session's scope refuse by the statement itself.  "off" is for emergencies; "observe" refuses
 * nothing but what the session asked to have refused.
 */
static void
check_policy(Node *stmt, const SdVerdict *verdict, SdDdlMode mode)
{
	if (mode != SD_MODE_OFF)
		sd_gate_check_scope(verdict->tag);
	if (refuses(mode))
		sd_gate_check_statement(stmt, verdict->tag);
	if (refuses(mode) && sd_roles_is_statement(stmt))
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

/* What regions have to know of roles before they have heard of them: ddl/roles.h. */
static void
note_role(Node *stmt)
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

/* coordinated DDL; under observe and off also what would be refused */
static void
run_captured(const SdUtility *u, const SdVerdict *verdict, SdDdlMode mode)
{
	Node	   *stmt = u->pstmt->utilityStmt;
	SdUtility	changed = *u;
	PlannedStmt pstmt;
	SdRunning	statement = {.owns_inner = true,.collects = true};
	bool		script = sd_executing() == SD_EXECUTING_SCRIPT;
	SdCommand  *command = NULL;
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
			sd_gate_require_dry_run(NULL, NULL);
		}
		else
			sd_capture_require_outside();
	}
	check_policy(stmt, verdict, mode);
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
			sd_gate_require_dry_run(NULL, NULL);
			check_policy(stmt, verdict, mode);
			sd_change_set_barrier(sd_gate_judged_barrier(&judged, 0));
		}
		if (mode == SD_MODE_COORDINATE)
			sd_gate_judge_granted(&judged);
	}
	if (script || mode == SD_MODE_COORDINATE)
	{
		sd_online_refuse_statement(stmt);
		settle_fill(&changed, &pstmt, verdict->tag, script);
	}
	noop = sd_classify_noop(stmt);
	sd_touched_statement(sd_capture_touched(), stmt);
	statement.tag = verdict->tag;
	statement.watches_lock = (script || refuses(mode)) && sd_gate_watches_lock();
	statement.watches_made = statement.watches_lock ||
		((script || refuses(mode)) && OidIsValid(LookupNamespaceNoError("pg_temp")));

	from = sd_history_text_begin();
	if (command && mode == SD_MODE_COORDINATE)
		nest_level = sd_gate_limit_lock_wait();
	run_watched(&changed, &statement);
	if (nest_level > 0)
		AtEOXact_GUC(true, nest_level);
	sd_history_text_end(from);

	if (statement.watches_lock)
		sd_gate_check_made(statement.made, statement.tag);
	refuse_leaning(&statement, verdict);
	if (script || mode == SD_MODE_COORDINATE)
		note_role(stmt);
	if (command == NULL || noop == SD_NOOP_CERTAIN || (noop == SD_NOOP_POSSIBLE && !statement.seen) ||
		was_temporary(stmt, &statement))
		return;
	sd_capture_add(command);
}

bool
sd_hooks_apply(void)
{
	return IsUnderPostmaster && !IsBinaryUpgrade && OidIsValid(MyDatabaseId) &&
		!IsParallelWorker() && !IsLogicalWorker() && MyBackendType != B_AUTOVAC_WORKER &&
		!RecoveryInProgress();
}

/*
 * CREATE or ALTER EXTENSION schemadrift, perhaps as another extension's requirement: its script makes the tables in which
 * the policy would be looked up.
 */
static bool
in_own_script(void)
{
	return creating_extension && CurrentExtensionObject == get_extension_oid("schemadrift", true);
}

/*
 * Is there no group?  One may be made, or joined, while our transaction is open, and would take the schema for what it is
 * without us: so init() and join() wait for our end, or we for theirs, and then look again.
 */
static bool
is_in_no_group(Node *stmt)
{
	SdVerdict	verdict;

	if (sd_gate_group_mode() != SD_MODE_DEFAULT)
		return false;
	if (!OidIsValid(get_extension_oid("schemadrift", true)))
		return true;
	sd_classify(stmt, sd_gate_is_local_name, &verdict);
	if (verdict.class == SD_CLASS_NOT_DDL || verdict.class == SD_CLASS_LOCAL || verdict.class == SD_CLASS_TEMPORARY)
		return true;
	sd_ddl_lock_shared();
	sd_gate_forget_policy();
	return sd_gate_group_mode() == SD_MODE_DEFAULT;
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

/*
 * A statement of an entry.  A function's body was checked at its origin, perhaps with help from what exists only there
 * (a temporary table, a local one), and the check leaves nothing behind: failing it here would halt this region over
 * a function that is the same everywhere.
 */
static void
run_entry(const SdUtility *u)
{
	SdUtility	changed = *u;
	PlannedStmt pstmt;
	int			nest_level;

	sd_touched_statement(sd_capture_touched(), u->pstmt->utilityStmt);
	if (!IsA(u->pstmt->utilityStmt, CreateFunctionStmt))
	{
		(void) freeze(&changed, &pstmt, sd_fill_frozen_at());
		if (settle_role(&changed, &pstmt))
			pass_on(&changed);
		return;
	}
	nest_level = NewGUCNestLevel();
	(void) set_config_option("check_function_bodies", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	pass_on(u);
	AtEOXact_GUC(true, nest_level);
}

static void
gate_statement(const SdUtility *u)
{
	Node	   *stmt = u->pstmt->utilityStmt;
	SdVerdict	verdict;
	SdDdlMode	mode;

	if (sd_probing)
	{
		pass_on(u);
		return;
	}
	/* parts of a statement that this hook has already seen */
	if (u->context == PROCESS_UTILITY_SUBCOMMAND || (running && running->owns_inner))
	{
		if (running && running->collects)
			sd_touched_statement(sd_capture_touched(), stmt);
		pass_on(u);
		return;
	}
	if (sd_executing() == SD_EXECUTING_ENTRY)
	{
		run_entry(u);
		return;
	}
	/* PostgreSQL refuses DDL in a read-only transaction; nobody has to be asked */
	if (in_own_script())
	{
		pass_by(u);
		return;
	}
	if (!sd_hooks_apply() || XactReadOnly || is_in_no_group(stmt))
	{
		pass_on(u);
		return;
	}

	sd_gate_classify(stmt, &verdict);
	switch (verdict.class)
	{
		case SD_CLASS_NOT_DDL:
		case SD_CLASS_LOCAL:
			if (sd_classify_drops_own(stmt) && sd_gate_mode() != SD_MODE_OFF)
				refuse_drop();
			/* nothing is applied meanwhile; some minors of PostgreSQL lock the extension, with the same effect, others do not */
			if (sd_classify_updates_own(stmt))
				sd_ddl_lock();
			/* in a script it is part of what all regions do: a role's other name is in digests */
			if (sd_executing() != SD_EXECUTING_NOTHING)
				sd_touched_statement(sd_capture_touched(), stmt);
			pass_by(u);
			if (sd_executing() == SD_EXECUTING_SCRIPT)
				note_role(stmt);
			break;
		case SD_CLASS_TEMPORARY:
			run_temporary(u, &verdict);
			break;
		case SD_CLASS_REFUSED:
		case SD_CLASS_ALONE:
			mode = sd_gate_mode();
			if (verdict.class == SD_CLASS_ALONE && mode == SD_MODE_COORDINATE && sd_executing() == SD_EXECUTING_NOTHING)
			{
				check_policy(stmt, &verdict, mode);
				sd_online_route(u->pstmt, u->query_string, u->context == PROCESS_UTILITY_TOPLEVEL, u->completion);
				break;
			}
			if (refuses(mode))
				sd_classify_refuse(&verdict);
			if (verdict.class == SD_CLASS_ALONE)
				run_alone(u, &verdict, mode);
			else
				run_captured(u, &verdict, mode);
			break;
		case SD_CLASS_COORDINATED:
			run_captured(u, &verdict, sd_gate_mode());
			break;
	}
}

/* Of a script this database's digests follow by themselves. */
static void
note_renamed_role(void)
{
	if (sd_executing() == SD_EXECUTING_NOTHING)
		sd_suspect_note();
	sd_suspect_note_elsewhere();
}

static void
sd_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
				   ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				   DestReceiver *dest, QueryCompletion *completion)
{
	SdUtility	u = {pstmt, query_string, read_only_tree, context, params, environment, dest, completion};

	switch (nodeTag(pstmt->utilityStmt))
	{
			/* never DDL by themselves */
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_DoStmt:
		case T_CallStmt:
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_DeallocateStmt:
		case T_DeclareCursorStmt:
		case T_FetchStmt:
		case T_ClosePortalStmt:
		case T_NotifyStmt:
		case T_ListenStmt:
		case T_UnlistenStmt:
		case T_DiscardStmt:
		case T_ConstraintsSetStmt:
		case T_CheckPointStmt:
		case T_LoadStmt:
			/* maintenance: local, and nothing has to be known about it */
		case T_LockStmt:
			break;

			/* the executor does not tell of them */
		case T_CopyStmt:
			sd_history_before_copy((CopyStmt *) pstmt->utilityStmt);
			break;
		case T_TruncateStmt:
			sd_history_before_truncate((TruncateStmt *) pstmt->utilityStmt);
			break;
		case T_VacuumStmt:
			pass_by(&u);
			return;
		case T_ReindexStmt:
			/* of an invalid index it makes a valid one; in a script, everywhere */
			if (sd_executing() != SD_EXECUTING_NOTHING)
				sd_touched_statement(sd_capture_touched(), pstmt->utilityStmt);
			else if (sd_hooks_apply() && !XactReadOnly && refuses(sd_gate_mode()))
				sd_online_refuse_reindex((ReindexStmt *) pstmt->utilityStmt);
			pass_by(&u);
			/* and CONCURRENTLY gives indexes other OIDs: best written down before the next change meets one and looks at everything */
			if (sd_executing() == SD_EXECUTING_NOTHING)
				sd_suspect_note();
			return;

		case T_TransactionStmt:
			if (((TransactionStmt *) pstmt->utilityStmt)->kind == TRANS_STMT_PREPARE)
				sd_capture_refuse_prepare();
			else if (((TransactionStmt *) pstmt->utilityStmt)->kind == TRANS_STMT_COMMIT_PREPARED)
				sd_suspect_commit_prepared();
			break;

		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_AlterDatabaseStmt:
		case T_RenameStmt:
			sd_databases_before(pstmt->utilityStmt, context);
			gate_statement(&u);
			/* roles are local, but definitions name them: owners, privileges, policies */
			if (IsA(pstmt->utilityStmt, RenameStmt) && ((RenameStmt *) pstmt->utilityStmt)->renameType == OBJECT_ROLE)
				note_renamed_role();
			return;

		default:
			if (GetCommandLogLevel(pstmt->utilityStmt) == LOGSTMT_DDL)
			{
				gate_statement(&u);
				return;
			}
			break;
	}
	pass_on(&u);
}

void
sd_hooks_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = sd_process_utility;
	previous_access = object_access_hook;
	object_access_hook = sd_object_access;
	sd_suspect_init();
}
