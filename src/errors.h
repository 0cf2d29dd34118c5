/*
 * errors.h: the SQLSTATEs of schemadrift (class SD) and those of the standard that we use.
 *
 * docs/sql.md has the table for people.  One macro a condition, no other spelling anywhere.
 */
#ifndef SD_ERRORS_H
#define SD_ERRORS_H

#include "utils/elog.h"

#define SD_ERRCODE_NO_QUORUM		MAKE_SQLSTATE('S','D','0','0','1')	/* blocked before anything was locked */
#define SD_ERRCODE_MAY_NOT_ORIGINATE MAKE_SQLSTATE('S','D','0','0','2')	/* void, witness, suspended */
#define SD_ERRCODE_BEHIND			MAKE_SQLSTATE('S','D','0','0','3')	/* halted or behind, did not catch up in time */
#define SD_ERRCODE_CANNOT_COORDINATE MAKE_SQLSTATE('S','D','0','0','4')	/* statement cannot be coordinated */
#define SD_ERRCODE_POLICY			MAKE_SQLSTATE('S','D','0','0','5')	/* refused by policy or an unmet barrier */
#define SD_ERRCODE_NAME_USED		MAKE_SQLSTATE('S','D','0','0','7')	/* name already used by another text */
#define SD_ERRCODE_DIVERGED			MAKE_SQLSTATE('S','D','0','0','8')	/* the schema here is not what the log says */
#define SD_ERRCODE_NO_COORDINATOR	MAKE_SQLSTATE('S','D','0','0','9')	/* coordinator not running */

/* between regions only: the group was made anew by force_new_group() */
#define SD_ERRCODE_GENERATION		MAKE_SQLSTATE('S','D','0','1','0')

#define SD_ERRCODE_PREEMPTED		ERRCODE_T_R_SERIALIZATION_FAILURE	/* 40001: nothing happened, retry */
#define SD_ERRCODE_UNKNOWN_OUTCOME	ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN	/* 40003 */

#endif							/* SD_ERRORS_H */
