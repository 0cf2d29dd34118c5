/*
 * alerts.h: everything that is wrong now, as one region sees it: what view alerts shows, and status puts in a sentence.
 *
 * Runs in backends, on a look at tables and shared memory (look.h).  There is one place that knows what is wrong: what status
 * says is always one of the alerts, in the same words.
 */
#ifndef SD_FUNCTIONS_ALERTS_H
#define SD_FUNCTIONS_ALERTS_H

#include "functions/look.h"

typedef enum SdSeverity
{
	SD_CRITICAL,				/* schema changes stop, or regions are not the same: now */
	SD_WARNING,					/* somebody has to do something, today */
	SD_NOTICE					/* as somebody wanted it, or passing: to be known */
} SdSeverity;

typedef struct SdAlert
{
	const char *id;				/* a word that never changes: docs/monitoring/alerts.md has a section on it */
	SdSeverity	severity;
	const char *region;
	const char *what;
	TimestampTz since;			/* 0: not known */
	const char *remedy;
} SdAlert;

/* How this region is. */
typedef struct SdStatus
{
	const char *state;
	SdAlert		alert;			/* why it is not healthy; id NULL: nothing is the matter */
} SdStatus;

extern SdStatus sd_status(const SdHere *here);

/* Of SdAlert *, that of the status included; the worst first. */
extern List *sd_alerts(const SdHere *here, const SdStatus *status);

#endif							/* SD_FUNCTIONS_ALERTS_H */
