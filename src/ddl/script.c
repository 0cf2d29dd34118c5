/*
 * script.c: running a migration's text inside the current transaction.
 *
 * Runs in the backend that called apply() and in the applier, by the same code, so that a text means the same in the
 * region where it was written and in the others.  No locking of its own.
 *
 * The text is parsed as a whole once, to find its statements and to refuse at once what can never be in one; each
 * statement is then parsed again by itself just before it runs, so that it is analyzed in the world its predecessors
 * made, its error positions count from its own beginning, and no layer below is handed a string of many megabytes a
 * hundred thousand times.  The loop follows execute_sql_string() of PostgreSQL's extension.c.
 */
#include "compat.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "parser/parser.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "ddl/classify.h"
#include "ddl/roles.h"
#include "ddl/script.h"
#include "ddl/unpopulated.h"
#include "errors.h"

#define SHOWN_STATEMENT	200		/* bytes of a statement shown in an error's context */

typedef struct Statement
{
	int			start;			/* offset of its first word */
	int			length;
	int			line;			/* 1 is the script's first */
	bool		secret;			/* its text may have a password, or what a server keeps of one, which logs must not */
} Statement;

struct SdScript
{
	const char *text;
	int			n_statements;
	Statement  *statements;
	List	   *needs;
};

static SdExecuting executing = SD_EXECUTING_NOTHING;

SdExecuting
sd_executing(void)
{
	return executing;
}

/* what is under way, for the error context */
typedef struct ScriptPlace
{
	const SdScript *script;
	int			current;		/* statement, from 0 */
} ScriptPlace;

static void
script_error_context(void *arg)
{
	ScriptPlace *place = arg;
	const Statement *statement = &place->script->statements[place->current];
	const char *text = place->script->text + statement->start;
	int			shown = Min(statement->length, SHOWN_STATEMENT);

	if (statement->secret)
	{
		errcontext("statement %d of the script, at line %d", place->current + 1, statement->line);
		return;
	}
	shown = pg_mbcliplen(text, statement->length, shown);
	errcontext("statement %d of the script, at line %d: %.*s%s",
			   place->current + 1, statement->line, shown, text,
			   shown < statement->length ? " ..." : "");
}

/*
 * Positions in errors count from the beginning of the text that was parsed, which the client has never seen: show it,
 * or of a long one the lines around the place.  Returns where in the text that is; NULL without a position.
 */
static const char *
show_error_position(const char *text)
{
	int			position = geterrposition();
	const char *place = text;
	const char *from;

	if (position <= 0)
		return NULL;
	for (int i = 1; i < position && *place; i++)
		place += pg_mblen(place);
	from = Max(text, place - SHOWN_STATEMENT);
	/* only whole lines, so that no character is cut */
	while (from > text && from[-1] != '\n')
		from--;
	errposition(0);
	internalerrposition(pg_mbstrlen_with_len(from, place - from) + 1);
	internalerrquery(pnstrdup(from, (place - from) + strcspn(place, "\n")));
	return place;
}

/* NULL: not to be shown */
static void
statement_error_position(void *arg)
{
	if (arg == NULL)
	{
		errposition(0);
		return;
	}
	(void) show_error_position(arg);
}

/* In rows that follow COPY ... FROM STDIN, as a dump has them?  Told by the line with its end. */
static bool
is_after_copy(const char *text, const char *place)
{
	const char *end = strstr(place, "\n\\.");
	const char *copy = end ? strcasestr(text, "from stdin;") : NULL;

	return copy && copy < place;
}

/* a syntax error anywhere in the script: statements are not known yet, lines are */
static void
script_error_position(void *arg)
{
	const char *text = arg;
	const char *place = show_error_position(text);
	int			line = 1;

	if (place == NULL)
		return;
	for (; text < place; text++)
		line += *text == '\n';
	errcontext("line %d of the script", line);
	if (*place == '\\')
		errhint("A line that begins with a backslash is psql's, and no SQL: leave it out, or run the file with psql.");
	else if (is_after_copy(arg, place))
		errhint("Rows for COPY ... FROM STDIN are no SQL: leave them out, or write INSERT.");
}

/* Behind the comment that begins there, as the lexer has it: one with an asterisk may have others in it.  At end: there is nothing else. */
static int
skip_comment(const char *text, int at, int end)
{
	int			depth = 0;

	if (text[at] == '-')
	{
		while (at < end && text[at] != '\n' && text[at] != '\r')
			at++;
		return at;
	}
	while (at + 1 < end)
	{
		if (text[at] == '/' && text[at + 1] == '*')
			depth++;
		else if (text[at] == '*' && text[at + 1] == '/')
			depth--;
		else
		{
			at++;
			continue;
		}
		at += 2;
		if (depth == 0)
			return at;
	}
	return end;
}

/* Up to 17 the parser lets a statement begin where the one before it ends, later ones at its first word. */
static int
first_word(const char *text, int at, int end)
{
	while (at < end)
	{
		if (isspace((unsigned char) text[at]))
			at++;
		else if (at + 1 < end && ((text[at] == '-' && text[at + 1] == '-') || (text[at] == '/' && text[at + 1] == '*')))
			at = skip_comment(text, at, end);
		else
			break;
	}
	return at;
}

static void
find_statements(SdScript *script, List *parsed)
{
	const char *text = script->text;
	int			seen = 0;		/* lines are counted up to here */
	int			line = 1;
	ListCell   *cell;

	script->statements = MemoryContextAllocHuge(CurrentMemoryContext,
												sizeof(Statement) * Max(1, list_length(parsed)));
	foreach(cell, parsed)
	{
		RawStmt    *raw = lfirst_node(RawStmt, cell);
		Statement  *statement = &script->statements[script->n_statements++];
		int			end;

		statement->start = Max(raw->stmt_location, 0);
		end = raw->stmt_len > 0 ? statement->start + raw->stmt_len : (int) strlen(text);
		statement->start = first_word(text, statement->start, end);
		statement->length = end - statement->start;
		for (; seen < statement->start; seen++)
		{
			if (text[seen] == '\n')
				line++;
		}
		statement->line = line;
		statement->secret = false;
	}
}

/* the log keeps a script's text for ever, and everybody who may see migrations sees it */
static bool
carries_secret(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateUserMappingStmt:
			return ((CreateUserMappingStmt *) stmt)->options != NIL;
		case T_AlterUserMappingStmt:
			return ((AlterUserMappingStmt *) stmt)->options != NIL;
		default:
			return false;
	}
}

/* Inside of functions it is not seen, like anything that functions do with rows. */
static const char *
copy_refusal(const CopyStmt *copy, const char **hint)
{
	*hint = copy->is_from ? "Use INSERT, or load the rows beside the migration." : "Run it by itself where it is wanted.";
	if (copy->filename == NULL)
		return "A script has no client to send or receive rows.";
	if (copy->is_program)
		return "Each region would run the program on its own server.";
	return copy->is_from ? "Each region would read the file of that name on its own server." :
		"Each region would write a file on its own server.";
}

static const char *
copy_name(const CopyStmt *copy)
{
	if (copy->is_program)
		return copy->is_from ? "COPY FROM PROGRAM" : "COPY TO PROGRAM";
	if (copy->filename)
		return copy->is_from ? "COPY FROM a file" : "COPY TO a file";
	return copy->is_from ? "COPY FROM STDIN" : "COPY TO STDOUT";
}

const char *
sd_script_refusal(Node *stmt, const char **hint)
{
	*hint = "Run it by itself in each region where it is wanted.";
	if (IsA(stmt, TransactionStmt))
	{
		*hint = "Leave out transaction control.";
		return "A migration is one transaction: all of it happens, or nothing.";
	}
	if (IsA(stmt, CopyStmt))
		return copy_refusal((CopyStmt *) stmt, hint);
	if (sd_roles_tells_password(stmt))
	{
		*hint = SD_HINT_PASSWORD;
		return "It has a password, or a hash that serves as one, and the text of a migration is kept for ever.";
	}
	if (carries_secret(stmt))
		return "It may carry a password, and the text of a migration is kept for ever.";
	if (sd_classify_needs_no_block(stmt))
		return "It cannot run inside a transaction.";
	if (IsA(stmt, ListenStmt))
	{
		*hint = "Leave it out: clients LISTEN by themselves.";
		return "The other regions run the text in a process that has no client, and PostgreSQL refuses it there.";
	}
	return NULL;
}

void
sd_script_check(Node *stmt)
{
	const char *name = GetCommandTagName(CreateCommandTag(stmt));
	const char *hint;
	const char *reason = sd_script_refusal(stmt, &hint);

	if (reason == NULL)
		return;
	if (IsA(stmt, CopyStmt))
		name = copy_name((CopyStmt *) stmt);
	ereport(ERROR,
			(errcode(SD_ERRCODE_CANNOT_COORDINATE),
			 errmsg("%s cannot be part of a migration's script", name),
			 errdetail_internal("%s", reason),
			 errhint("%s", hint)));
}

static List *
list_concat_unique_strings(List *into, List *strings)
{
	ListCell   *cell;
	ListCell   *known;

	foreach(cell, strings)
	{
		bool		found = false;

		foreach(known, into)
			found = found || strcmp(lfirst(known), lfirst(cell)) == 0;
		if (!found)
			into = lappend(into, lfirst(cell));
	}
	return into;
}

SdScript *
sd_script_read(const char *text, List **parsed)
{
	SdScript   *script = palloc0(sizeof(SdScript));
	ErrorContextCallback position_callback = {error_context_stack, script_error_position,
	unconstify(char *, text)};

	script->text = text;
	error_context_stack = &position_callback;
	*parsed = sd_parse_quietly(text);
	error_context_stack = position_callback.previous;
	find_statements(script, *parsed);
	return script;
}

/* 0.1 let these pass: an entry that has one is carried out, as it was where it came from. */
static bool
copies_file(Node *stmt)
{
	return IsA(stmt, CopyStmt) && ((CopyStmt *) stmt)->filename != NULL;
}

static SdScript *
parse_script(const char *text, bool agreed, bool online, SdIsLocalName for_later)
{
	SdScript   *script = palloc0(sizeof(SdScript));
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "schemadrift script parse",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	ErrorContextCallback position_callback = {error_context_stack, script_error_position,
	unconstify(char *, text)};
	ErrorContextCallback place_callback;
	ScriptPlace place = {.script = script};
	List	   *parsed;
	List	   *needs = NIL;
	ListCell   *cell;

	script->text = text;

	error_context_stack = &position_callback;
	old = MemoryContextSwitchTo(scratch);
	parsed = sd_parse_quietly(text);
	MemoryContextSwitchTo(old);
	error_context_stack = position_callback.previous;

	find_statements(script, parsed);

	place_callback.previous = error_context_stack;
	place_callback.callback = script_error_context;
	place_callback.arg = &place;
	error_context_stack = &place_callback;
	MemoryContextSwitchTo(scratch);
	foreach(cell, parsed)
	{
		Node	   *stmt = lfirst_node(RawStmt, cell)->stmt;

		place.current = foreach_current_index(cell);
		script->statements[place.current].secret = carries_secret(stmt) || sd_roles_has_password(stmt);
		CHECK_FOR_INTERRUPTS();
		if (!agreed || !copies_file(stmt))
			sd_script_check(stmt);
		if (!online)
			sd_classify_refuse_alone(stmt);
		if (for_later)
			sd_classify_refuse_for_good(stmt, for_later);
		needs = list_concat_unique_strings(needs, sd_classify_needs(stmt));
	}
	MemoryContextSwitchTo(old);
	error_context_stack = place_callback.previous;

	foreach(cell, needs)
		script->needs = lappend(script->needs, pstrdup(lfirst(cell)));
	MemoryContextDelete(scratch);
	return script;
}

SdScript *
sd_script_parse(const char *text)
{
	return parse_script(text, false, false, NULL);
}

SdScript *
sd_script_parse_agreed(const char *text)
{
	return parse_script(text, true, false, NULL);
}

SdScript *
sd_script_parse_online(const char *text)
{
	return parse_script(text, false, true, NULL);
}

int
sd_script_line(const SdScript *script, int i)
{
	return script->statements[i].line;
}

int
sd_script_start(const SdScript *script, int i)
{
	return script->statements[i].start;
}

static void
down_error_context(void *arg)
{
	(void) arg;
	errcontext("text \"down\" of the migration");
}

void
sd_script_check_down(const char *down, bool online, SdIsLocalName is_local)
{
	ErrorContextCallback callback = {.callback = down_error_context,.previous = error_context_stack};

	if (down == NULL)
		return;
	error_context_stack = &callback;
	(void) parse_script(down, false, online, online ? NULL : is_local);
	error_context_stack = callback.previous;
}

char *
sd_script_statement(const SdScript *script, int i)
{
	return pnstrdup(script->text + script->statements[i].start, script->statements[i].length);
}

List *
sd_script_needs(const SdScript *script)
{
	return script->needs;
}

int
sd_script_statements(const SdScript *script)
{
	return script->n_statements;
}

/* an optimizable statement, from plan to end; its rows go nowhere */
static void
run_planned(PlannedStmt *planned, const char *text)
{
	QueryDesc  *query = CreateQueryDesc(planned, text, GetActiveSnapshot(), InvalidSnapshot,
										None_Receiver, NULL, NULL, 0);

	ExecutorStart(query, 0);
	sd_executor_run(query, ForwardScanDirection, 0);
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
}

static void
run_statement(const char *text)
{
	List	   *parsed = pg_parse_query(text);
	List	   *queries;
	List	   *plans;
	ListCell   *cell;

	/* the first parse saw the settings of the script's beginning; a statement may have changed how strings end */
	if (list_length(parsed) != 1 || IsA(linitial_node(RawStmt, parsed)->stmt, TransactionStmt))
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("the script changes how its own text is read"),
				 errhint("Set standard_conforming_strings and backslash_quote before schemadrift.apply(), not in its text.")));

	/* make the previous statement's effects visible, as its own transaction command would have */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	queries = pg_analyze_and_rewrite_fixedparams(linitial_node(RawStmt, parsed), text, NULL, 0, NULL);
	plans = pg_plan_queries(queries, text, CURSOR_OPT_PARALLEL_OK, NULL);
	PopActiveSnapshot();

	foreach(cell, plans)
	{
		PlannedStmt *planned = lfirst_node(PlannedStmt, cell);

		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		if (executing == SD_EXECUTING_ENTRY)
			sd_unpopulated_leave_empty(planned);
		if (planned->utilityStmt == NULL)
			run_planned(planned, text);
		else
			ProcessUtility(planned, text, false, PROCESS_UTILITY_QUERY, NULL, NULL, None_Receiver, NULL);
		PopActiveSnapshot();
	}
	CommandCounterIncrement();
}

static void
run_statements(const SdScript *script)
{
	ScriptPlace place = {.script = script};
	ErrorContextCallback place_callback = {error_context_stack, script_error_context, &place};
	ErrorContextCallback position_callback = {&place_callback, statement_error_position, NULL};
	MemoryContext each = AllocSetContextCreate(CurrentMemoryContext, "schemadrift script statement",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(each);

	error_context_stack = &position_callback;
	for (place.current = 0; place.current < script->n_statements; place.current++)
	{
		const Statement *statement = &script->statements[place.current];
		char	   *text = pnstrdup(script->text + statement->start, statement->length);

		CHECK_FOR_INTERRUPTS();
		position_callback.arg = statement->secret ? NULL : text;
		run_statement(text);
		MemoryContextReset(each);
	}
	error_context_stack = place_callback.previous;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(each);
}

void
sd_script_run(const SdScript *script, SdExecuting as)
{
	SdExecuting before = executing;
	int			nest_level = NewGUCNestLevel();

	Assert(as != SD_EXECUTING_NOTHING);
	executing = as;
	PG_TRY();
	{
		run_statements(script);
	}
	PG_FINALLY();
	{
		executing = before;
	}
	PG_END_TRY();

	/* what the script set, role included, ends with it: the next entry must not depend on it */
	AtEOXact_GUC(false, nest_level);
}

/*
 * As a backend runs what a client sends, because that is the only way in which it may commit in the middle.  The trees must
 * outlive these commits.
 */
void
sd_script_run_alone(const char *text, const char *name)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "schemadrift statement", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SdExecuting before = executing;
	List	   *parsed;
	List	   *plans;
	PlannedStmt *planned;
	Portal		portal;
	QueryCompletion completion;

	Assert(!IsTransactionState());
	executing = SD_EXECUTING_ENTRY;
	PG_TRY();
	{
		StartTransactionCommand();
		MemoryContextSwitchTo(context);
		parsed = pg_parse_query(text);
		plans = pg_plan_queries(pg_analyze_and_rewrite_fixedparams(linitial_node(RawStmt, parsed), text, NULL, 0, NULL),
								text, 0, NULL);
		planned = linitial_node(PlannedStmt, plans);
		if (name && IsA(planned->utilityStmt, IndexStmt) && ((IndexStmt *) planned->utilityStmt)->idxname == NULL)
			((IndexStmt *) planned->utilityStmt)->idxname = pstrdup(name);

		portal = CreatePortal("", true, true);
		portal->visible = false;
		PortalDefineQuery(portal, NULL, text, CreateCommandTag(planned->utilityStmt), plans, NULL);
		PortalStart(portal, NULL, 0, InvalidSnapshot);
		(void) sd_compat_portal_run(portal, None_Receiver, &completion);
		PortalDrop(portal, false);
		CommitTransactionCommand();
	}
	PG_FINALLY();
	{
		executing = before;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
sd_script_execute(const char *text, SdExecuting as)
{
	sd_script_run(sd_script_parse_agreed(text), as);
}

/*
 * Become who ran it.  Where this process is connected as the author's session user, the role is set like any client
 * sets it, so that SET and RESET ROLE in the text reach nobody else.  Otherwise, and for the body of a SECURITY DEFINER
 * function, the user is switched locally, in which SET ROLE is refused.  Ended by AtEOXact_GUC() and
 * SetUserIdAndSecContext(), or by the abort.
 *
 * Before a client who is somebody else the switch is a restricted one as well: the author's text leaves nothing behind in
 * that client's session (a temporary table before the real one, a prepared statement, a cursor WITH HOLD, a deferred
 * trigger), which would then run with the client's rights.
 */
static void
become(const SdRunAs *run_as, SdExecuting as, bool confined)
{
	Oid			user = get_role_oid(run_as->user, false);
	Oid			current;
	int			security;

	sd_capture_set_settings(run_as, GUC_ACTION_SAVE);
	GetUserIdAndSecContext(&current, &security);
	if (!confined && !run_as->local_user && security == 0 &&
		GetSessionUserId() == get_role_oid(run_as->session_user, true))
	{
		if (current != user)
			(void) set_config_option("role", run_as->user, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	}
	else
		SetUserIdAndSecContext(user, security | SECURITY_LOCAL_USERID_CHANGE |
							   (confined || as == SD_EXECUTING_SCRIPT ? SECURITY_RESTRICTED_OPERATION : 0));
}

static void
work_as(const SdRunAs *run_as, SdExecuting as, bool confined, void (*work) (void *arg), void *arg)
{
	SdExecuting before = executing;
	int			nest_level = NewGUCNestLevel();
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	become(run_as, as, confined);
	executing = as;
	PG_TRY();
	{
		work(arg);
	}
	PG_FINALLY();
	{
		executing = before;
	}
	PG_END_TRY();
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, security);
}

void
sd_script_work_as(const SdRunAs *run_as, SdExecuting as, void (*work) (void *arg), void *arg)
{
	work_as(run_as, as, false, work, arg);
}

void
sd_script_work_confined(const SdRunAs *run_as, SdExecuting as, void (*work) (void *arg), void *arg)
{
	work_as(run_as, as, true, work, arg);
}

typedef struct Text
{
	const char *text;
	SdExecuting as;
	bool		deferred_triggers;	/* first, what waits for the end of the transaction */
} Text;

static void
run_text(void *arg)
{
	const Text *text = arg;

	if (text->deferred_triggers)
		AfterTriggerFireDeferred();
	sd_script_execute(text->text, text->as);
}

void
sd_script_execute_as(const char *text, const SdRunAs *run_as, SdExecuting as)
{
	sd_script_work_as(run_as, as, run_text, &(Text) {text, as, false});
}

/*
 * Not SET CONSTRAINTS ALL IMMEDIATE: a trigger that this fires may defer others again, which would then run at commit.
 * Cursors are closed last, because a trigger may have opened one.
 */
void
sd_script_settle_as(const SdRunAs *run_as)
{
	sd_script_work_as(run_as, SD_EXECUTING_ENTRY, run_text, &(Text) {"CLOSE ALL", SD_EXECUTING_ENTRY, true});
}

void
sd_command_execute(const SdCommand *command)
{
	sd_script_execute_as(command->text, command->run_as, SD_EXECUTING_ENTRY);
}
