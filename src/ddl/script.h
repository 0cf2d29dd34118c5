/*
 * script.h: running a migration's text inside the current transaction, the same way at the origin and elsewhere.
 */
#ifndef SD_DDL_SCRIPT_H
#define SD_DDL_SCRIPT_H

#include "nodes/pg_list.h"

#include "ddl/capture.h"
#include "ddl/classify.h"

/* What the current process is executing on behalf of schemadrift; the gate looks at it. */
typedef enum SdExecuting
{
	SD_EXECUTING_NOTHING,
	SD_EXECUTING_SCRIPT,		/* apply() at the origin: classified, not captured */
	SD_EXECUTING_ENTRY			/* the applier: decided elsewhere, neither classified nor captured */
} SdExecuting;

typedef struct SdScript SdScript;

extern SdExecuting sd_executing(void);

/*
 * Parse a script and refuse, by statement and line, what can never be in one (transaction control, CONCURRENTLY,
 * VACUUM, COPY FROM STDIN, passwords ...).  Runs nothing, so it comes before the quorum.  Lives in the current
 * memory context, and points into the text.
 */
extern SdScript *sd_script_parse(const char *text);

/* The same for a text that the log has: what 0.1 let into it is let pass. */
extern SdScript *sd_script_parse_agreed(const char *text);

/* The same for a text whose statements run one by one, so that those which commit by themselves may be among them. */
extern SdScript *sd_script_parse_online(const char *text);

/* Why a statement can never be in one, whatever the catalogs say (the rest is the gate's when it runs); NULL: it can. */
extern const char *sd_script_refusal(Node *stmt, const char **hint);

/* The same as an error, of a statement that code in a script runs. */
extern void sd_script_check(Node *stmt);

/* Only parse: nothing is refused but what is no SQL; *parsed: of RawStmt, one for each statement. */
extern SdScript *sd_script_read(const char *text, List **parsed);
extern int	sd_script_line(const SdScript *script, int i);	/* where statement i begins, from 1 */
extern int	sd_script_start(const SdScript *script, int i);	/* ... and in the text, from 0 */

/*
 * The same checks for a way back, whose text is kept and not run now, and whether a statement is of a form that is refused when it runs;
 * errors say that it is that text.  NULL: there is none.
 */
extern void sd_script_check_down(const char *down, bool online, SdIsLocalName is_local);

extern char *sd_script_statement(const SdScript *script, int i);	/* text of statement i, from 0; a copy */
extern List *sd_script_needs(const SdScript *script);	/* as sd_classify_needs(), of all its statements */
extern int	sd_script_statements(const SdScript *script);

/*
 * Run it: statement by statement, results discarded, settings and role that it changes restored at its end.
 * Errors carry statement number and line in their context.
 */
extern void sd_script_run(const SdScript *script, SdExecuting as);

/* both in one, for texts that are known to be good: an entry of the log, a down script */
extern void sd_script_execute(const char *text, SdExecuting as);

/*
 * One statement of an entry that commits by itself in the middle: runs outside of any transaction, at top level, with the
 * session's user, role and settings.  name: of an index that the statement does not name; else NULL.
 */
extern void sd_script_run_alone(const char *text, const char *name);

/*
 * Become who ran it and set what was set, run, restore.  Errors leave the restoring to the transaction's or
 * subtransaction's abort.
 */
extern void sd_command_execute(const SdCommand *command);
extern void sd_script_execute_as(const char *text, const SdRunAs *run_as, SdExecuting as);

/*
 * What the text of an entry left for the end of the transaction runs now, as the user who left it: at commit it would run as
 * the session's user, who may have more rights (deferred triggers, cursors WITH HOLD).  Not inside a query.
 */
extern void sd_script_settle_as(const SdRunAs *run_as);

/* The same for work of ours that is no text. */
extern void sd_script_work_as(const SdRunAs *run_as, SdExecuting as, void (*work) (void *arg), void *arg);

/*
 * The same for work that whose role it is has not asked for, such as to plan a query of it: whoever is connected, there is no way out
 * of that role, and nothing is left in the session.
 */
extern void sd_script_work_confined(const SdRunAs *run_as, SdExecuting as, void (*work) (void *arg), void *arg);

#endif							/* SD_DDL_SCRIPT_H */
