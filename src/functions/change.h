/*
 * change.h: what the functions that change the schema have in common.
 *
 * Runs in backends.
 */
#ifndef SD_FUNCTIONS_CHANGE_H
#define SD_FUNCTIONS_CHANGE_H

#include "compat.h"

#include "fmgr.h"
#include "utils/jsonb.h"

#include "ddl/capture.h"
#include "ddl/script.h"
#include "gate/judge.h"

/* The name of a migration, checked. */
extern char *sd_change_name_arg(FunctionCallInfo fcinfo, int arg);

/*
 * May this session change the schema by a function now?  Not inside of a migration, not outside of a group, not in mode
 * observe or off.
 */
extern void sd_change_require(const char *function);

/* This database is in a group; an error that says what to do if not. */
extern void sd_change_require_group(void);

/* up, down and options: arguments 1 to 3 of a function that takes a migration, checked without asking anybody. */
typedef struct SdScriptArgs
{
	char	   *up;
	char	   *down;			/* NULL: none */
	Jsonb	   *options;		/* NULL: none */
} SdScriptArgs;

extern void sd_change_script_args(FunctionCallInfo fcinfo, const char *name, SdScriptArgs *args);

/*
 * Is a migration of that name and text in the log already, and not taken back?  Then its version, with a NOTICE; 0 if
 * not; an error if the name carries another text.
 */
extern int64 sd_change_already_there(const char *name, const char *up);

/*
 * The way of a script to its grant: all that can be refused without asking anybody is refused first; then the grant; then what may have
 * changed while it was waited for is looked at again.  Returns 0, and it may run as the next version; else the version in which it
 * is already, and nothing was begun.
 */
typedef struct SdGranted
{
	SdScript   *script;
	SdRunAs    *run_as;
	SdJudged	judged;
} SdGranted;

extern int64 sd_change_begin_script(const char *name, const SdScriptArgs *args, bool online, SdGranted *granted);

/* Needs of a text to be run: those it has by itself, and the roles of who runs it. */
extern List *sd_change_needs(List *needs, const SdRunAs *run_as);

/* Tell the client under which id it can ask for the outcome. */
extern void sd_change_notice(void);

/* Error unless this procedure was CALLed by itself, so that it may commit; name: with its schema and "()". */
extern void sd_change_require_top_call(FunctionCallInfo fcinfo, const char *name);

#endif							/* SD_FUNCTIONS_CHANGE_H */
