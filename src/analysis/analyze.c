/*
 * analyze.c: what a script would do, statement by statement; see analyze.h.
 *
 * Runs in a backend.  The script's own SET of search_path, TimeZone and lock_timeout count for what follows it, as when it runs, and end
 * with the analysis.
 */
#include "compat.h"

#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "analysis/advice.h"
#include "analysis/analyze.h"
#include "analysis/constants.h"
#include "analysis/rights.h"
#include "analysis/verdict.h"
#include "attempt.h"
#include "ddl/online.h"
#include "ddl/roles.h"
#include "ddl/script.h"

const char *
sd_step_verdict_name(SdStepVerdict verdict)
{
	switch (verdict)
	{
		case SD_STEP_SAFE:
			return "safe";
		case SD_STEP_CAUTION:
			return "caution";
		case SD_STEP_UNSAFE:
			return "unsafe";
	}
	elog(ERROR, "unrecognized verdict: %d", (int) verdict);
}

const char *
sd_step_restores_name(SdRuleRestores restores)
{
	switch (restores)
	{
		case SD_RESTORES_NOTHING:
			return NULL;
		case SD_RESTORES_YES:
			return "yes";
		case SD_RESTORES_REHEARSE:
			return "rehearse";
		case SD_RESTORES_NO:
			return "no";
	}
	elog(ERROR, "unrecognized way back: %d", (int) restores);
}

/* EXPLAIN that runs the statement */
static bool
explains_by_running(const ExplainStmt *stmt)
{
	bool		runs = false;
	ListCell   *cell;

	foreach(cell, stmt->options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "analyze") == 0)
			runs = defGetBoolean(lfirst_node(DefElem, cell));
	}
	return runs;
}

void
sd_form_statement(SdForm *form)
{
	Node	   *explain = form->stmt;

	if (IsA(explain, ExplainStmt) && explains_by_running((ExplainStmt *) explain))
	{
		form->stmt = ((ExplainStmt *) explain)->query;
		sd_form_statement(form);
		form->stmt = explain;
		return;
	}
	switch (nodeTag(form->stmt))
	{
		case T_AlterTableStmt:
			sd_form_alter_table(form, (AlterTableStmt *) form->stmt);
			break;
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			sd_form_create_table(form, (CreateStmt *) form->stmt);
			break;
		case T_CreateTableAsStmt:
			sd_form_create_table_as(form, ((CreateTableAsStmt *) form->stmt)->into, ((CreateTableAsStmt *) form->stmt)->query,
									((CreateTableAsStmt *) form->stmt)->objtype, ((CreateTableAsStmt *) form->stmt)->if_not_exists);
			break;
		case T_IndexStmt:
			sd_form_index(form, (IndexStmt *) form->stmt);
			break;
		case T_ReindexStmt:
			sd_form_reindex(form, (ReindexStmt *) form->stmt);
			break;
		case T_DropStmt:
			sd_form_drop(form, (DropStmt *) form->stmt);
			break;
		case T_RenameStmt:
			sd_form_rename(form, (RenameStmt *) form->stmt);
			break;
		case T_AlterObjectSchemaStmt:
			sd_form_set_schema(form, (AlterObjectSchemaStmt *) form->stmt);
			break;
		case T_ViewStmt:
		case T_RefreshMatViewStmt:
		case T_CreateFunctionStmt:
		case T_AlterFunctionStmt:
		case T_CreateTrigStmt:
		case T_RuleStmt:
		case T_CreatePolicyStmt:
		case T_AlterPolicyStmt:
			sd_form_code(form);
			break;
		case T_VacuumStmt:
		case T_ClusterStmt:
		case T_TruncateStmt:
		case T_LockStmt:
		case T_UpdateStmt:
		case T_MergeStmt:
		case T_DeleteStmt:
		case T_InsertStmt:
		case T_CopyStmt:
		case T_SelectStmt:
		case T_DoStmt:
		case T_CallStmt:
		case T_ExecuteStmt:
			sd_form_rows(form);
			break;
		default:
			sd_form_other(form);
			break;
	}
}

/* ---- settings that the script changes ---- */

static bool
counts(const char *name)
{
	return pg_strcasecmp(name, "search_path") == 0 || pg_strcasecmp(name, "timezone") == 0 ||
		pg_strcasecmp(name, "lock_timeout") == 0;
}

static void
follow_setting(const char *name, const char *value)
{
	/* a wrong value is the statement's own failure */
	if (counts(name))
		(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, WARNING, false);
}

static const char *
text_constant(Node *node)
{
	if (node && IsA(node, A_Const) && !((A_Const *) node)->isnull && IsA(&((A_Const *) node)->val, String))
		return strVal(&((A_Const *) node)->val);
	return NULL;
}

/* SELECT set_config('search_path', '', false), as pg_dump writes it */
static void
follow_set_config(SdForm *form, SelectStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->targetList)
	{
		FuncCall   *call = (FuncCall *) lfirst_node(ResTarget, cell)->val;

		if (!IsA(call, FuncCall) || strcmp(strVal(llast(call->funcname)), "set_config") != 0 || list_length(call->args) != 3)
			continue;
		if (text_constant(linitial(call->args)) == NULL || !counts(text_constant(linitial(call->args))))
			sd_world_change_rights(form->world);	/* as it can, too */
		else if (text_constant(lsecond(call->args)))
			follow_setting(text_constant(linitial(call->args)), text_constant(lsecond(call->args)));
	}
}

typedef struct Value
{
	VariableSetStmt *set;
	char	   *text;
} Value;

static void
read_value(void *arg)
{
	Value	   *value = arg;

	value->text = ExtractSetVariableArgs(value->set);
}

/* Read in an attempt, and set after it: what is set in a subtransaction ends with that. */
static void
follow_settings(SdForm *form)
{
	VariableSetStmt *set = (VariableSetStmt *) form->stmt;
	Value		value = {.set = set};
	ErrorData  *error = NULL;

	if (IsA(form->stmt, SelectStmt))
		follow_set_config(form, (SelectStmt *) form->stmt);
	if (!IsA(set, VariableSetStmt) || set->kind == VAR_SET_CURRENT || set->kind == VAR_SET_MULTI || set->kind == VAR_RESET_ALL ||
		!counts(set->name))
		return;
	if (set->kind == VAR_SET_VALUE)
		error = sd_attempt(read_value, &value, true);
	if (error)
		sd_form_fails(form, error->sqlerrcode, "%s", error->message);
	else
		follow_setting(set->name, value.text);
}

/* ---- one statement ---- */

typedef struct Trial
{
	SdForm	   *form;
	void		(*classify) (Node *stmt, SdVerdict *verdict);
	SdVerdict  *class;
} Trial;

/* Who may use which schema, or who it is that runs the rest. */
static bool
changes_rights(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_GrantStmt:
			return ((GrantStmt *) stmt)->objtype == OBJECT_SCHEMA;
		case T_AlterOwnerStmt:
			return ((AlterOwnerStmt *) stmt)->objectType == OBJECT_SCHEMA;
		case T_VariableSetStmt:
			return ((VariableSetStmt *) stmt)->name == NULL || strcmp(((VariableSetStmt *) stmt)->name, "role") == 0 ||
				strcmp(((VariableSetStmt *) stmt)->name, "session_authorization") == 0;
		case T_GrantRoleStmt:
		case T_AlterRoleStmt:
		case T_ReassignOwnedStmt:
		case T_DropOwnedStmt:
			return true;
		default:
			return false;
	}
}

static void
try_forms(void *arg)
{
	Trial	   *trial = arg;
	SdConstants constants = {0};
	char	   *missing;

	trial->classify(trial->form->stmt, trial->class);
	if (trial->class->class == SD_CLASS_COORDINATED || trial->class->class == SD_CLASS_ALONE)
		constants = sd_constants_look(trial->form);
	missing = sd_rights_missing(trial->form);
	if (sd_roles_is_statement(trial->form->stmt))
		sd_form_roles(trial->form);
	else
		sd_form_statement(trial->form);
	sd_rights_roles(trial->form);
	/* the server looks at rights before all else but whether there is such a relation, and who is named as the owner of a schema */
	if (missing && (trial->form->fails == NULL || !IsA(trial->form->stmt, CreateSchemaStmt)))
	{
		trial->form->fails = missing;
		trial->form->denied = true;
	}
	if (constants.unknown)
		sd_form_unsure(trial->form, "it has 'now' or the like, or a number in quotes; where that becomes a constant of a time, or stands for an object, it is refused (SD004)");
	else if (constants.reason && trial->form->fails == NULL)
	{
		trial->class->class = SD_CLASS_REFUSED;
		trial->class->reason = constants.reason;
		trial->class->hint = constants.hint;
	}
	if (changes_rights(trial->form->stmt))
		sd_world_change_rights(trial->form->world);
	if (sd_rights_change(trial->form->stmt))
		sd_world_change_owners(trial->form->world);
}

/* Does the server refuse it in a transaction block, whatever it is about? */
static bool
needs_no_block(Node *stmt, const SdVerdict *class)
{
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			/* FINALIZE may */
			return class->class == SD_CLASS_ALONE &&
				linitial_node(AlterTableCmd, ((AlterTableStmt *) stmt)->cmds)->subtype == AT_DetachPartition;
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
		case T_DropSubscriptionStmt:
			return false;		/* depending on the slot */
		default:
			return class->class == SD_CLASS_ALONE || sd_classify_needs_no_block(stmt);
	}
}

/* what is scratch goes with the context; the step is made in the caller's */
static SdStep *
look(SdWorld *world, SdAdvice *advice, Node *stmt, const char *text, int start, const SdGroundRules *ground, MemoryContext scratch)
{
	MemoryContext result = MemoryContextSwitchTo(scratch);
	SdWords    *words = sd_words(text, start);
	SdForm		form = {.world = world,.stmt = stmt,.text = sd_words_whole(words),.words = words,.frozen_at = ground->frozen_at,.history = ground->history};
	SdVerdict	class = {.class = SD_CLASS_NOT_DDL,.tag = CreateCommandTag(stmt)};
	Trial		trial = {.form = &form,.classify = ground->classify,.class = &class};
	ErrorData  *error = sd_attempt(try_forms, &trial, true);
	SdStep	   *step;
	ListCell   *cell;

	/* what the server would refuse already when it looks up names */
	if (error)
		sd_form_fails(&form, error->sqlerrcode, "%s", error->message);
	else if (advice->in_block && form.fails == NULL && needs_no_block(stmt, &class))
		form.fails = psprintf("%s%s cannot run inside a transaction block (25001)", GetCommandTagName(class.tag),
							  class.class != SD_CLASS_ALONE ? "" : IsA(stmt, AlterTableStmt) ? " ... DETACH CONCURRENTLY" : " CONCURRENTLY");
	follow_settings(&form);
	MemoryContextSwitchTo(result);
	step = palloc0(sizeof(SdStep));
	step->command = GetCommandTagName(CreateCommandTag(stmt));
	sd_verdict(&form, &class, step);
	sd_advise(advice, &form, step);
	foreach(cell, form.dropped)
	{
		SdDropped  *dropped = palloc(sizeof(SdDropped));

		*dropped = *(SdDropped *) lfirst(cell);
		dropped->name = pstrdup(dropped->name);
		step->dropped = lappend(step->dropped, dropped);
	}
	return step;
}

/* A column comes back as the last one: known when the whole script has been seen, as that may drop what stands behind it, too. */
static void
look_behind(SdStep *step)
{
	ListCell   *cell;

	foreach(cell, step->dropped)
	{
		SdDropped  *dropped = lfirst(cell);
		const char *behind = sd_form_behind(dropped);
		char	   *why;

		if (behind == NULL)
			continue;
		why = psprintf("A down that only adds %s again leaves another schema: it would come back as the last column, and %s stands behind it now.",
					   sd_quoted(dropped->name), sd_quoted(behind));
		step->restores = SD_RESTORES_NO;
		step->why = step->why ? psprintf("%s\n%s", step->why, why) : why;
		return;
	}
}

/* Where statements are among them that commit by themselves, each is its own transaction. */
static bool
runs_apart(List *parsed)
{
	ListCell   *cell;

	foreach(cell, parsed)
		if (sd_online_kind(lfirst_node(RawStmt, cell)->stmt) != SD_ONLINE_PLAIN)
			return true;
	return false;
}

static bool
ends_transaction(Node *stmt)
{
	return IsA(stmt, TransactionStmt) &&
		(((TransactionStmt *) stmt)->kind == TRANS_STMT_COMMIT || ((TransactionStmt *) stmt)->kind == TRANS_STMT_ROLLBACK);
}

List *
sd_analyze(const char *text, const SdGroundRules *ground)
{
	int			nest_level = NewGUCNestLevel();
	List	   *parsed;
	SdScript   *script = sd_script_read(text, &parsed);
	MemoryContext each = AllocSetContextCreate(CurrentMemoryContext, "schemadrift analysis", ALLOCSET_DEFAULT_SIZES);
	SdWorld    *world = sd_world_create();
	SdAdvice	advice = {0};
	bool		apart = runs_apart(parsed);
	List	   *steps = NIL;
	ListCell   *cell;

	foreach(cell, parsed)
	{
		int			i = foreach_current_index(cell);
		SdStep	   *step;

		CHECK_FOR_INTERRUPTS();
		step = look(world, &advice, lfirst_node(RawStmt, cell)->stmt, sd_script_statement(script, i), sd_script_start(script, i), ground, each);
		step->number = i + 1;
		step->line = sd_script_line(script, i);
		steps = lappend(steps, step);
		if (apart || ends_transaction(lfirst_node(RawStmt, cell)->stmt))
		{
			sd_world_let_go(world);
			advice.locked = false;
		}
		MemoryContextReset(each);
	}
	MemoryContextDelete(each);
	AtEOXact_GUC(false, nest_level);
	foreach(cell, steps)
		look_behind(lfirst(cell));
	return steps;
}
