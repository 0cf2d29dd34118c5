/*
 * constants.h: constants like 'now' whose type nothing but their place says (ddl/kept.h), foretold.
 */
#ifndef SD_ANALYSIS_CONSTANTS_H
#define SD_ANALYSIS_CONSTANTS_H

#include "compat.h"

#include "analysis/form.h"

typedef struct SdConstants
{
	const char *reason;			/* why the gate will refuse the statement when it has run; NULL: it will not, as far as is known */
	const char *hint;
	bool		unknown;
} SdConstants;

/* Before the world is as the statement leaves it. */
extern SdConstants sd_constants_look(const SdForm *form);

#endif							/* SD_ANALYSIS_CONSTANTS_H */
