/*
 * rehearse_apart.h: what another region asks to be tried, in a process of its own.
 */
#ifndef SD_FUNCTIONS_REHEARSE_APART_H
#define SD_FUNCTIONS_REHEARSE_APART_H

#include "compat.h"

#include "functions/rehearse.h"

/*
 * As sd_rehearse(), but connected as the applier would be: as who makes the change, so that SET ROLE in the script goes where it goes when
 * the entry is applied, and nowhere else.  The process has ended, and with it all that it held, when this returns.  Needs a free
 * background worker.
 */
extern void sd_rehearse_apart(const SdTrial *what, const char *asked_by, SdRehearsal *result);

extern PGDLLEXPORT void sd_rehearsal_main(Datum main_arg);

#endif							/* SD_FUNCTIONS_REHEARSE_APART_H */
