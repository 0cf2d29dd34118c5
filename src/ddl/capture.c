/*
 * capture.c: which schema changes the current transaction made, as text that others can run.
 *
 * Runs in a backend; no locking: everything is this transaction's own.  Memory lives in TopTransactionContext.
 *
 * Commands are kept in one array in the order in which they ran, each with the nesting level of the subtransaction
 * that owns it.  When that subtransaction is released, its commands (always the array's tail) move to the parent's
 * level; when it is rolled back, they are cut off.  So what was rolled back is never part of the change.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "ddl/capture.h"
#include "errors.h"

/*
 * The settings that change what a statement of DDL means or what it leaves behind; docs/statements.md argues about each of the
 * server's.  Those without a usual value travel with each command, if the server knows them.  The others travel where they are
 * not at their usual value, and are at it where an entry does not name them: regions of older releases refuse what they do not
 * know, and hardly anybody sets these.
 */
static const struct
{
	const char *name;
	const char *usual;
}			meaning[] =
{
	{"search_path", NULL},		/* which objects names mean, where new ones go */
	{"check_function_bodies", NULL},
	{"default_tablespace", NULL},
	{"default_table_access_method", NULL},
	{"default_toast_compression", NULL},
	{"default_text_search_config", NULL},	/* to_tsvector() in defaults and views' rows */
	{"standard_conforming_strings", NULL},	/* how the text is read at all */
	{"backslash_quote", NULL},
	{"transform_null_equals", NULL},	/* how it is parsed */
	{"array_nulls", NULL},
	{"quote_all_identifiers", NULL},	/* pg_get_*def() in a DO block that builds statements */
	{"TimeZone", NULL},			/* values that defaults compute for existing rows, and literals in expressions */
	{"timezone_abbreviations", NULL},
	{"DateStyle", NULL},
	{"IntervalStyle", NULL},
	{"lc_monetary", NULL},
	{"lc_numeric", NULL},
	{"lc_time", NULL},
	{"extra_float_digits", NULL},
	{"bytea_output", NULL},
	{"xmlbinary", NULL},
	{"xmloption", NULL},
	{"row_security", NULL},		/* which rows a constraint's or default's query sees */
	{"session_replication_role", "origin"},	/* which event triggers fire, and which triggers and rules in a script */
	{"event_triggers", "on"},	/* 17 */
	{"allow_system_table_mods", "off"},
	{"createrole_self_grant", ""},	/* 16; CREATE ROLE in a script */
	{"icu_validation_level", "warning"},	/* 16 */
	{"restrict_nonsystem_relation_kind", ""},
	{"plpgsql.variable_conflict", "error"}, /* DO in a script, functions that a statement calls */
	{"plpgsql.extra_errors", "none"},
	{"plpgsql.check_asserts", "on"},
};

static void
set_one(const char *name, const char *value, GucContext context, Oid user, GucAction action)
{
	const char *now = GetConfigOption(name, true, false);

	if (now == NULL || strcmp(now, value) != 0)
		(void) set_config_option_ext(name, value, context, PGC_S_SESSION, user, action, true, 0, false);
}

/* What not everybody may set, its author may have set before SET ROLE, or only in a function. */
static Oid
who_may_set(const char *name, const SdRunAs *run_as)
{
	Oid			user = get_role_oid(run_as->user, true);

	if (OidIsValid(user) && pg_parameter_aclcheck(name, user, ACL_SET) == ACLCHECK_OK)
		return user;
	return get_role_oid(run_as->session_user, true);
}

void
sd_capture_set_settings(const SdRunAs *run_as, GucAction action)
{
	for (int i = 0; i < run_as->n_settings; i++)
	{
		if (!sd_capture_takes_setting(run_as->names[i]))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the entry sets \"%s\", which no entry may", run_as->names[i]),
					 errhint("If its origin runs a newer schemadrift, upgrade this region.")));

		/*
		 * A setting that this server does not have cannot have changed anything here, but that of a library which is not loaded yet
		 * may: it waits under its name.
		 */
		if (GetConfigOption(run_as->names[i], true, false) || strchr(run_as->names[i], '.'))
			set_one(run_as->names[i], run_as->values[i], PGC_USERSET, who_may_set(run_as->names[i], run_as), action);
	}
	for (size_t m = 0; m < lengthof(meaning); m++)
	{
		bool		named = false;

		for (int i = 0; i < run_as->n_settings; i++)
			named = named || pg_strcasecmp(run_as->names[i], meaning[m].name) == 0;
		if (!named && meaning[m].usual && GetConfigOption(meaning[m].name, true, false))
			set_one(meaning[m].name, meaning[m].usual, PGC_SUSET, BOOTSTRAP_SUPERUSERID, action);
	}
}

bool
sd_capture_takes_setting(const char *name)
{
	for (size_t i = 0; i < lengthof(meaning); i++)
	{
		if (pg_strcasecmp(meaning[i].name, name) == 0)
			return true;
	}
	return false;
}

typedef struct Captured
{
	int			level;			/* subtransaction that owns it */
	SdCommand  *command;		/* NULL: a script */
} Captured;

static Captured *captured = NULL;
int			sd_capture_n = 0;
static int	max_captured = 0;

static SdRunAs *last_run_as = NULL;
static SdTouched *touched = NULL;
static List *known_needs = NIL;

static void
forget_all(void)
{
	captured = NULL;
	sd_capture_n = max_captured = 0;
	last_run_as = NULL;
	touched = NULL;
	known_needs = NIL;
}

static void
capture_xact_callback(XactEvent event, void *arg)
{
	(void) arg;
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:

			/*
			 * The gate refuses PREPARE TRANSACTION before it runs; this is the net below it: a prepared transaction
			 * would commit later without anybody's agreement.
			 */
			sd_capture_refuse_prepare();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			forget_all();
			break;
		default:
			break;
	}
}

static void
capture_subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	(void) mine;
	(void) parent;
	(void) arg;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (int i = sd_capture_n - 1; i >= 0 && captured[i].level >= level; i--)
			captured[i].level = level - 1;
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (sd_capture_n > 0 && captured[sd_capture_n - 1].level >= level)
			sd_capture_n--;
	}
}

/* There is something to forget at the end: transactions of sessions that run no DDL do not pay for it. */
static void
watch_transaction(void)
{
	static bool watching = false;

	if (watching)
		return;
	RegisterXactCallback(capture_xact_callback, NULL);
	RegisterSubXactCallback(capture_subxact_callback, NULL);
	watching = true;
}

List *
sd_capture_new_needs(List *needs)
{
	List	   *left = NIL;
	ListCell   *cell;
	ListCell   *known;

	foreach(cell, needs)
	{
		bool		found = false;

		foreach(known, known_needs)
			found = found || strcmp(lfirst(known), lfirst(cell)) == 0;
		if (!found)
			left = lappend(left, lfirst(cell));
	}
	return left;
}

void
sd_capture_add_needs(List *needs)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	ListCell   *cell;

	watch_transaction();
	foreach(cell, sd_capture_new_needs(needs))
		known_needs = lappend(known_needs, pstrdup(lfirst(cell)));
	MemoryContextSwitchTo(old);
}

SdTouched *
sd_capture_touched(void)
{
	watch_transaction();
	if (touched == NULL)
		touched = sd_touched_create(TopTransactionContext);
	return touched;
}

static void
remember(SdCommand *command)
{
	watch_transaction();
	if (sd_capture_n == max_captured)
	{
		int			larger = Max(16, max_captured * 2);

		if (captured)
			captured = repalloc_huge(captured, larger * sizeof(Captured));
		else
			captured = MemoryContextAlloc(TopTransactionContext, larger * sizeof(Captured));
		max_captured = larger;
	}
	captured[sd_capture_n].level = GetCurrentTransactionNestLevel();
	captured[sd_capture_n].command = command;
	sd_capture_n++;
}

SdCaptureKind
sd_capture_kind(void)
{
	for (int i = 0; i < sd_capture_n; i++)
	{
		if (captured[i].command == NULL)
			return SD_CAPTURE_SCRIPT;
		if (captured[i].command->disposition == SD_DISPOSE_COORDINATE)
			return SD_CAPTURE_PLAIN;
	}
	return SD_CAPTURE_NONE;
}

List *
sd_capture_commands(SdDisposition disposition)
{
	List	   *commands = NIL;

	for (int i = 0; i < sd_capture_n; i++)
	{
		if (captured[i].command && captured[i].command->disposition == disposition)
			commands = lappend(commands, captured[i].command);
	}
	return commands;
}

static void
refuse_second(void)
{
	ereport(ERROR,
			(errcode(SD_ERRCODE_CANNOT_COORDINATE),
			 errmsg("a second migration in one transaction cannot be coordinated"),
			 sd_capture_kind() == SD_CAPTURE_SCRIPT ?
			 errdetail("This transaction already ran schemadrift.apply().") :
			 errdetail("This transaction already changed the schema by plain DDL."),
			 errhint("Commit first, or put all statements into one schemadrift.apply().")));
}

/* The digests of both would be told as those of one. */
static void
refuse_mixture(void)
{
	ereport(ERROR,
			(errcode(SD_ERRCODE_CANNOT_COORDINATE),
			 errmsg("one transaction cannot change the schema both through the log and outside of it"),
			 errdetail("This transaction already changed it %s.",
					   sd_capture_kind() != SD_CAPTURE_NONE ? "through the log" : "outside of the log"),
			 errhint("COMMIT first.")));
}

static void
require_none_outside(void)
{
	for (int i = 0; i < sd_capture_n; i++)
		if (captured[i].command && captured[i].command->disposition != SD_DISPOSE_COORDINATE)
			refuse_mixture();
}

void
sd_capture_require_outside(void)
{
	if (sd_capture_kind() != SD_CAPTURE_NONE)
		refuse_mixture();
}

void
sd_capture_require_plain(void)
{
	require_none_outside();
	if (sd_capture_kind() == SD_CAPTURE_SCRIPT)
		refuse_second();
}

void
sd_capture_begin_script(void)
{
	require_none_outside();
	if (sd_capture_kind() != SD_CAPTURE_NONE)
		refuse_second();
	remember(NULL);
}

void
sd_capture_refuse_prepare(void)
{
	/*
	 * Of what mode off let pass the record must not be lost, and a prepared transaction would hold our rows.  Under
	 * observe nothing is refused; such a change is seen by the digest only.
	 */
	if (sd_capture_kind() != SD_CAPTURE_NONE || sd_capture_commands(SD_DISPOSE_BYPASS) != NIL)
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("a transaction that changed the schema cannot be prepared"),
				 errdetail("The regions agree on a change at its commit, and COMMIT PREPARED may come from anybody at any time."),
				 errhint("Use COMMIT, and put other work into a transaction of its own.")));
}

static bool
same_run_as(const SdRunAs *a, const SdRunAs *b)
{
	if (strcmp(a->session_user, b->session_user) != 0 || strcmp(a->user, b->user) != 0 ||
		a->local_user != b->local_user || a->n_settings != b->n_settings)
		return false;
	for (int i = 0; i < a->n_settings; i++)
	{
		if (strcmp(a->names[i], b->names[i]) != 0 || strcmp(a->values[i], b->values[i]) != 0)
			return false;
	}
	return true;
}

SdRunAs *
sd_capture_run_as(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	SdRunAs    *run_as = palloc0(sizeof(SdRunAs));
	Oid			user;
	int			security;
	SdRunAs		probe = {0};
	const char *names[lengthof(meaning)];
	char	   *values[lengthof(meaning)];

	/* first without copies: a dump's thousands of statements all run under the same settings */
	GetUserIdAndSecContext(&user, &security);
	probe.session_user = GetUserNameFromId(GetSessionUserId(), false);
	probe.user = GetUserNameFromId(user, false);
	probe.local_user = (security & SECURITY_LOCAL_USERID_CHANGE) != 0;
	probe.names = names;
	probe.values = values;
	for (size_t i = 0; i < lengthof(meaning); i++)
	{
		char	   *value = GetConfigOptionByName(meaning[i].name, NULL, true);

		if (value == NULL)
			continue;
		if (meaning[i].usual && strcmp(value, meaning[i].usual) == 0)
		{
			pfree(value);
			continue;
		}
		names[probe.n_settings] = meaning[i].name;
		values[probe.n_settings++] = value;
	}
	if (last_run_as && same_run_as(last_run_as, &probe))
	{
		for (int i = 0; i < probe.n_settings; i++)
			pfree(values[i]);
		pfree(probe.session_user);
		pfree(probe.user);
		pfree(run_as);
		MemoryContextSwitchTo(old);
		return last_run_as;
	}
	*run_as = probe;
	run_as->names = palloc(sizeof(char *) * probe.n_settings);
	run_as->values = palloc(sizeof(char *) * probe.n_settings);
	memcpy(run_as->names, names, sizeof(char *) * probe.n_settings);
	memcpy(run_as->values, values, sizeof(char *) * probe.n_settings);
	watch_transaction();
	last_run_as = run_as;
	MemoryContextSwitchTo(old);
	return run_as;
}

/* the statement's own text out of the string that it came in */
static char *
statement_text(const PlannedStmt *pstmt, const char *query_string)
{
	const char *start = query_string;
	Size		length;

	if (pstmt->stmt_location > 0)
		start += pstmt->stmt_location;
	length = pstmt->stmt_len > 0 ? (Size) pstmt->stmt_len : strlen(start);
	while (length > 0 && isspace((unsigned char) *start))
	{
		start++;
		length--;
	}
	while (length > 0 && (isspace((unsigned char) start[length - 1]) || start[length - 1] == ';'))
		length--;
	return pnstrdup(start, length);
}

static bool
has_parameter(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind == PARAM_EXTERN;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_parameter, context, 0);
	return expression_tree_walker(node, has_parameter, context);
}

/* parse without the warnings about backslashes, which the client had when it sent the text */
List *
sd_parse_quietly(const char *text)
{
	bool		warn = escape_string_warning;
	List	   *volatile parsed = NIL;

	escape_string_warning = false;
	PG_TRY();
	{
		parsed = raw_parser(text, RAW_PARSE_DEFAULT);
	}
	PG_FINALLY();
	{
		escape_string_warning = warn;
	}
	PG_END_TRY();
	return parsed;
}

Node *
sd_capture_as_written(PlannedStmt *pstmt, const char *query_string)
{
	List	   *parsed = sd_parse_quietly(statement_text(pstmt, query_string));

	/* an extension may have built the statement, and pass any text with it */
	return list_length(parsed) == 1 ? linitial_node(RawStmt, parsed)->stmt : pstmt->utilityStmt;
}

/*
 * Does the text say what is executed?  An extension written in C may build a statement and pass any string with it, a
 * hook may rewrite it, and standard_conforming_strings may have changed since it was parsed; what the other regions
 * run is the text.
 */
static bool
text_is_statement(const char *text, Node *stmt)
{
	List	   *parsed = sd_parse_quietly(text);
	Node	   *again;

	if (list_length(parsed) != 1)
		return false;
	again = linitial_node(RawStmt, parsed)->stmt;
	if (IsA(stmt, CreateTableAsStmt))	/* parse analysis has replaced its query */
		return IsA(again, CreateTableAsStmt) &&
			equal(((CreateTableAsStmt *) again)->into->rel, ((CreateTableAsStmt *) stmt)->into->rel);
	return equal(again, stmt);
}

static void
check_text(const char *text, Node *stmt, CommandTag tag)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "schemadrift statement check",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);

	if (!text_is_statement(text, stmt))
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("%s cannot be coordinated: its text does not say what it does", GetCommandTagName(tag)),
				 errdetail("It was built or changed by an extension, or standard_conforming_strings changed since it was parsed."),
				 errhint("Run the change as text, for example by schemadrift.apply().")));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);

	if (IsA(stmt, CreateTableAsStmt) && has_parameter(((CreateTableAsStmt *) stmt)->query, NULL))
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("%s with parameters cannot be coordinated", GetCommandTagName(tag)),
				 errdetail("The values exist in this session only, as variables of a function or parameters of a prepared statement."),
				 errhint("Put the values into the text, for example by EXECUTE format(...).")));
}

SdCommand *
sd_capture_make(PlannedStmt *pstmt, const char *query_string, SdDisposition disposition, SdStatementClass class)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	SdCommand  *command = palloc0(sizeof(SdCommand));
	CommandTag	tag = CreateCommandTag(pstmt->utilityStmt);

	command->text = statement_text(pstmt, query_string);
	command->tag = GetCommandTagName(tag);
	command->run_as = sd_capture_run_as();
	command->disposition = disposition;
	command->class = class;
	MemoryContextSwitchTo(old);
	if (disposition == SD_DISPOSE_COORDINATE)
		check_text(command->text, pstmt->utilityStmt, tag);
	return command;
}

void
sd_capture_add(SdCommand *command)
{
	Assert(IsTransactionState());
	remember(command);
}
