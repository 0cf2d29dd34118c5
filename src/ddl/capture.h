/*
 * capture.h: which schema changes the current transaction made, as text that others can run.
 *
 * Backend and applier; memory lives in TopTransactionContext; follows subtransactions, so that what was rolled back
 * is not in the change.
 */
#ifndef SD_DDL_CAPTURE_H
#define SD_DDL_CAPTURE_H

#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "ddl/classify.h"
#include "ddl/touched.h"

/* Who ran it and under which settings; shared by neighbouring commands. */
typedef struct SdRunAs
{
	char	   *session_user;
	char	   *user;			/* effective user when the statement began */
	bool		local_user;		/* effective user by SECURITY DEFINER or the like, not by SET ROLE */
	int			n_settings;
	const char **names;			/* settings that change what DDL means, see capture.c */
	char	  **values;
} SdRunAs;

/* What becomes of a command at commit. */
typedef enum SdDisposition
{
	SD_DISPOSE_COORDINATE,		/* part of the transaction's entry */
	SD_DISPOSE_OBSERVE,			/* mode observe: record what would have happened */
	SD_DISPOSE_BYPASS			/* mode off: record a change outside the log */
} SdDisposition;

typedef struct SdCommand
{
	char	   *text;			/* one statement */
	const char *tag;			/* its command tag, for people */
	SdRunAs    *run_as;
	SdDisposition disposition;
	SdStatementClass class;		/* COORDINATED; under observe and bypass also REFUSED or ALONE */
} SdCommand;

/* What the transaction's migration is so far; two migrations in one transaction are refused (SD004). */
typedef enum SdCaptureKind
{
	SD_CAPTURE_NONE,
	SD_CAPTURE_PLAIN,			/* plain DDL */
	SD_CAPTURE_SCRIPT			/* schemadrift.apply() and its like: the entry's text is the caller's */
} SdCaptureKind;

/* needs that were found to be there, so that the next statement does not ask again; the first gives those left */
extern List *sd_capture_new_needs(List *needs);
extern void sd_capture_add_needs(List *needs);

/* the objects that this transaction's changes touched, never NULL; ddl/touched.h */
extern struct SdTouched *sd_capture_touched(void);

extern SdCaptureKind sd_capture_kind(void);
/* Was nothing at all captured?  Each transaction of each session asks, so no call is made for it. */
extern int	sd_capture_n;

static inline bool
sd_capture_is_empty(void)
{
	return sd_capture_n == 0;
}
extern List *sd_capture_commands(SdDisposition disposition);	/* of SdCommand, in order */
extern void sd_capture_require_plain(void);		/* error if a script already ran here, or a change outside the log */
extern void sd_capture_require_outside(void);	/* error if the transaction already holds a migration */
extern void sd_capture_begin_script(void);	/* the same, or a change outside the log */
extern void sd_capture_refuse_prepare(void);	/* error if the transaction holds a migration */
extern SdCommand *sd_capture_make(PlannedStmt *pstmt, const char *query_string, SdDisposition disposition,
								 SdStatementClass class);
extern Node *sd_capture_as_written(PlannedStmt *pstmt, const char *query_string);	/* the statement, parsed again from its text */
extern void sd_capture_add(SdCommand *command);

/* needs that were found to be there, so that the next statement does not ask again; the first gives those left */
extern List *sd_capture_new_needs(List *needs);
extern void sd_capture_add_needs(List *needs);

/* the objects that this transaction's changes touched, whatever their disposition; made at first use */
extern SdTouched *sd_capture_touched(void);

/* may this setting travel with a command? */
extern bool sd_capture_takes_setting(const char *name);

/* Set what an entry brings, and to their usual values what it does not; with its author's rights.  Error: one that no entry may set. */
extern void sd_capture_set_settings(const SdRunAs *run_as, GucAction action);

/* who runs the current statement and under which settings: for a script's entry */
extern SdRunAs *sd_capture_run_as(void);

extern List *sd_parse_quietly(const char *text);	/* of RawStmt */

/* a command list as JSON text in the database's encoding, and back */
extern char *sd_commands_to_json(List *commands);
extern List *sd_commands_from_json(const char *json);

/* the same for the circumstances of a script alone */
extern char *sd_run_as_to_json(const SdRunAs *run_as);
extern SdRunAs *sd_run_as_from_json(const char *json);

/* members "up", "down", "options" and "run_as" of an entry's payload, without braces: others may follow; down, options: or NULL */
extern char *sd_script_to_json(const char *up, const char *down, Jsonb *options, const SdRunAs *run_as);

#endif							/* SD_DDL_CAPTURE_H */
