/*
 * verdict.h: from the forms that a statement has, and the live facts, to a verdict and advice.
 */
#ifndef SD_ANALYSIS_VERDICT_H
#define SD_ANALYSIS_VERDICT_H

#include "compat.h"

#include "analysis/analyze.h"
#include "analysis/form.h"

/*
 * Fills a step, but for its number, line and command; in the current memory context, and with no pointer into the form.
 * What it locks is held from here on, for the statements after it.
 */
extern void sd_verdict(const SdForm *form, const SdVerdict *class, SdStep *step);

#endif							/* SD_ANALYSIS_VERDICT_H */
