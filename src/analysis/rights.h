/*
 * rights.h: statements that fail because whoever asks has not the right, or because a role that they name is not there.
 */
#ifndef SD_ANALYSIS_RIGHTS_H
#define SD_ANALYSIS_RIGHTS_H

#include "compat.h"

#include "analysis/form.h"

/*
 * Before the world is as the statement leaves it: what the server would say, "must be owner of table t (42501), ..."; NULL: nothing, as far
 * as is known.  Nothing is known once the script has changed who it is that runs it, or anybody's rights.
 */
extern char *sd_rights_missing(const SdForm *form);

/* Tells sd_form_fails() of a role that is not there. */
extern void sd_rights_roles(SdForm *form);

/* Does the statement change who owns something, or may do something? */
extern bool sd_rights_change(Node *stmt);

#endif							/* SD_ANALYSIS_RIGHTS_H */
