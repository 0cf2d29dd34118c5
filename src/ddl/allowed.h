/*
 * allowed.h: whose entries this region runs: schemadrift.allowed_roles.
 */
#ifndef SD_DDL_ALLOWED_H
#define SD_DDL_ALLOWED_H

#include "nodes/pg_list.h"

#include "ddl/capture.h"

/* Why entries of this role are not run here, in words; NULL: they are, or there is no such role. */
extern const char *sd_role_refused(const char *role);

/* What to type so that they are. */
extern const char *sd_role_allow_hint(const char *role);

/* Error, SD005, "held: ...", unless this region runs what these are; for an entry of the log, before anything of it runs. */
extern void sd_allowed_require(const char *author);
extern void sd_allowed_require_run_as(const SdRunAs *run_as);

#endif							/* SD_DDL_ALLOWED_H */
