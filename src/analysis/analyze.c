/*
 * analyze.c: what a script would do, statement by statement; see analyze.h.
 *
 * Runs in a backend.  The script's own SET of search_path, TimeZone and lock_timeout count for what follows it, as when it runs, and end
 * with the analysis.
 */
#include "compat.h"

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "analysis/advice.h"
#include "analysis/analyze.h"
#include "analysis/verdict.h"
#include "attempt.h"
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

static void
find_forms(SdForm *form)
{
	switch (nodeTag(form->stmt))
	{
		case T_AlterTableStmt:
			sd_form_alter_table(form, (AlterTableStmt *) form->stmt);
			break;
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			sd_form_create_table(form, (CreateStmt *) form->stmt);
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
follow_set_config(SelectStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->targetList)
	{
		FuncCall   *call = (FuncCall *) lfirst_node(ResTarget, cell)->val;

		if (!IsA(call, FuncCall) || strcmp(strVal(llast(call->funcname)), "set_config") != 0 || list_length(call->args) != 3)
			continue;
		if (text_constant(linitial(call->args)) && text_constant(lsecond(call->args)))
			follow_setting(text_constant(linitial(call->args)), text_constant(lsecond(call->args)));
	}
}

static void
follow_settings(Node *stmt)
{
	if (IsA(stmt, SelectStmt))
		follow_set_config((SelectStmt *) stmt);
	else if (IsA(stmt, VariableSetStmt))
	{
		VariableSetStmt *set = (VariableSetStmt *) stmt;

		if (set->kind == VAR_SET_VALUE && counts(set->name))
			follow_setting(set->name, ExtractSetVariableArgs(set));
		else if ((set->kind == VAR_SET_DEFAULT || set->kind == VAR_RESET) && counts(set->name))
			follow_setting(set->name, NULL);
	}
}

/* ---- one statement ---- */

typedef struct Trial
{
	SdForm	   *form;
	SdIsLocalName is_local;
	SdVerdict  *class;
} Trial;

static void
try_forms(void *arg)
{
	Trial	   *trial = arg;

	sd_classify(trial->form->stmt, trial->is_local, trial->class);
	find_forms(trial->form);
}

/* what is scratch goes with the context; the step is made in the caller's */
static SdStep *
look(SdWorld *world, SdAdvice *advice, Node *stmt, const char *text, const SdGroundRules *ground, MemoryContext scratch)
{
	MemoryContext result = MemoryContextSwitchTo(scratch);
	SdForm		form = {.world = world,.stmt = stmt,.text = text,.frozen_at = ground->frozen_at,.history = ground->history};
	SdVerdict	class = {.class = SD_CLASS_NOT_DDL,.tag = CreateCommandTag(stmt)};
	Trial		trial = {.form = &form,.is_local = ground->is_local,.class = &class};
	ErrorData  *error = sd_attempt(try_forms, &trial, true);
	SdStep	   *step;
	ListCell   *cell;

	/* what the server would refuse already when it looks up names */
	if (error)
		sd_form_fails(&form, "%s", error->message);
	follow_settings(stmt);
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

List *
sd_analyze(const char *text, const SdGroundRules *ground)
{
	int			nest_level = NewGUCNestLevel();
	List	   *parsed;
	SdScript   *script = sd_script_read(text, &parsed);
	MemoryContext each = AllocSetContextCreate(CurrentMemoryContext, "schemadrift analysis", ALLOCSET_DEFAULT_SIZES);
	SdWorld    *world = sd_world_create();
	SdAdvice	advice = {0};
	List	   *steps = NIL;
	ListCell   *cell;

	foreach(cell, parsed)
	{
		int			i = foreach_current_index(cell);
		SdStep	   *step;

		CHECK_FOR_INTERRUPTS();
		step = look(world, &advice, lfirst_node(RawStmt, cell)->stmt, sd_script_statement(script, i), ground, each);
		step->number = i + 1;
		step->line = sd_script_line(script, i);
		steps = lappend(steps, step);
		MemoryContextReset(each);
	}
	MemoryContextDelete(each);
	AtEOXact_GUC(false, nest_level);
	foreach(cell, steps)
		look_behind(lfirst(cell));
	return steps;
}
