/*
 * advice.h: rules O of the matrix: what linters say of the text, and nothing that changes a verdict.
 */
#ifndef SD_ANALYSIS_ADVICE_H
#define SD_ANALYSIS_ADVICE_H

#include "compat.h"

#include "analysis/analyze.h"
#include "analysis/form.h"

/* What earlier statements of the script left. */
typedef struct SdAdvice
{
	bool		in_block;		/* after BEGIN */
	bool		locked;			/* a table that was there is locked against reads */
} SdAdvice;

/* Adds the rules to a step that has its verdict, and a line to its reasons. */
extern void sd_advise(SdAdvice *state, const SdForm *form, SdStep *step);

#endif							/* SD_ANALYSIS_ADVICE_H */
