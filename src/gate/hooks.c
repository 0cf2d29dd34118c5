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
#include "catalog/objectaccess.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "tcop/utility.h"

#include "analysis/probe.h"
#include "databases.h"
#include "ddl/capture.h"
#include "ddl/classify.h"
#include "ddl/lock.h"
#include "ddl/script.h"
#include "ddl/touched.h"
#include "gate/carry_out.h"
#include "gate/history.h"
#include "gate/hooks.h"
#include "gate/mode.h"
#include "gate/online.h"
#include "gate/policy.h"
#include "gate/running.h"
#include "gate/suspect.h"

static object_access_hook_type previous_access = NULL;

/* ---- objects ---- */

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
	sd_running_object(access, class_id, object_id, sub_id, arg);
}

/* Each function that a query uses comes here: it is not kept waiting. */
static void
sd_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (unlikely(access != OAT_FUNCTION_EXECUTE || previous_access != NULL))
		object_accessed(access, class_id, object_id, sub_id, arg);
}

/* ---- statements ---- */

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

static void
gate_statement(const SdUtility *u)
{
	Node	   *stmt = u->pstmt->utilityStmt;
	const SdRunning *running = sd_running_statement();
	SdVerdict	verdict;
	SdDdlMode	mode;

	if (sd_probing)
	{
		sd_running_pass_on(u);
		return;
	}
	/* parts of a statement that this hook has already seen */
	if (u->context == PROCESS_UTILITY_SUBCOMMAND || (running && running->owns_inner))
	{
		if (running && running->collects)
			sd_touched_statement(sd_capture_touched(), stmt);
		sd_running_pass_on(u);
		return;
	}
	if (sd_executing() == SD_EXECUTING_ENTRY)
	{
		sd_carry_out_entry(u);
		return;
	}
	/* PostgreSQL refuses DDL in a read-only transaction; nobody has to be asked */
	if (in_own_script())
	{
		sd_running_pass_by(u);
		return;
	}
	if (!sd_hooks_apply() || XactReadOnly || is_in_no_group(stmt))
	{
		sd_running_pass_on(u);
		return;
	}

	sd_gate_classify(stmt, &verdict);
	switch (verdict.class)
	{
		case SD_CLASS_NOT_DDL:
		case SD_CLASS_LOCAL:
			if (sd_classify_drops_own(stmt) && sd_gate_mode() != SD_MODE_OFF)
				sd_running_refuse_drop();
			/* nothing is applied meanwhile; some minors of PostgreSQL lock the extension, with the same effect, others do not */
			if (sd_classify_updates_own(stmt))
				sd_ddl_lock();
			/* in a script it is part of what all regions do: a role's other name is in digests */
			if (sd_executing() != SD_EXECUTING_NOTHING)
				sd_touched_statement(sd_capture_touched(), stmt);
			sd_running_pass_by(u);
			if (sd_executing() == SD_EXECUTING_SCRIPT)
				sd_carry_out_note_role(stmt);
			break;
		case SD_CLASS_TEMPORARY:
			sd_carry_out_temporary(u, &verdict);
			break;
		case SD_CLASS_REFUSED:
		case SD_CLASS_ALONE:
			mode = sd_gate_mode();
			if (verdict.class == SD_CLASS_ALONE && mode == SD_MODE_COORDINATE && sd_executing() == SD_EXECUTING_NOTHING)
			{
				sd_carry_out_check_policy(stmt, &verdict, mode);
				sd_online_route(u->pstmt, u->query_string, u->context == PROCESS_UTILITY_TOPLEVEL, u->completion);
				break;
			}
			if (sd_gate_mode_refuses(mode))
				sd_classify_refuse(&verdict);
			if (verdict.class == SD_CLASS_ALONE)
				sd_carry_out_alone(u, &verdict, mode);
			else
				sd_carry_out_captured(u, &verdict, mode);
			break;
		case SD_CLASS_COORDINATED:
			sd_carry_out_captured(u, &verdict, sd_gate_mode());
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
		case T_UnlistenStmt:
		case T_DiscardStmt:
		case T_ConstraintsSetStmt:
		case T_CheckPointStmt:
		case T_LoadStmt:
			/* maintenance: local, and nothing has to be known about it */
		case T_LockStmt:
			break;

			/* in a DO block: what the other regions could not run */
		case T_ListenStmt:
			if (sd_executing() == SD_EXECUTING_SCRIPT)
				sd_script_check(pstmt->utilityStmt);
			break;

			/* the executor does not tell of them */
		case T_CopyStmt:
			sd_suspect_before_copy((CopyStmt *) pstmt->utilityStmt);
			break;
		case T_TruncateStmt:
			sd_history_before_truncate((TruncateStmt *) pstmt->utilityStmt);
			break;
		case T_VacuumStmt:
			sd_running_pass_by(&u);
			return;
		case T_ReindexStmt:
			/* of an invalid index it makes a valid one; in a script, everywhere */
			if (sd_executing() != SD_EXECUTING_NOTHING)
				sd_touched_statement(sd_capture_touched(), pstmt->utilityStmt);
			else if (sd_hooks_apply() && !XactReadOnly && sd_gate_mode_refuses(sd_gate_mode()))
				sd_online_refuse_reindex((ReindexStmt *) pstmt->utilityStmt);
			sd_running_pass_by(&u);
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
	sd_running_pass_on(&u);
}

void
sd_hooks_init(void)
{
	sd_running_init();
	ProcessUtility_hook = sd_process_utility;
	previous_access = object_access_hook;
	object_access_hook = sd_object_access;
	sd_suspect_init();
}
