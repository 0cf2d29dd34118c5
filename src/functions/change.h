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

/* The name of a migration, checked. */
extern char *sd_change_name_arg(FunctionCallInfo fcinfo, int arg);

/*
 * May this session change the schema by a function now?  Not inside of a migration, not outside of a group, not in mode
 * observe or off.
 */
extern void sd_change_require(const char *function);

/* This database is in a group; an error that says what to do if not. */
extern void sd_change_require_group(void);

/* Needs of a text to be run: those it has by itself, and the roles of who runs it. */
extern List *sd_change_needs(List *needs, const SdRunAs *run_as);

/* Tell the client under which id it can ask for the outcome. */
extern void sd_change_notice(void);

#endif							/* SD_FUNCTIONS_CHANGE_H */
