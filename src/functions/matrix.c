/*
 * matrix.c: rows of view schemadrift.compatibility_matrix.
 *
 * Runs in backends; static data.
 */
#include "compat.h"

#include <limits.h>

#include "fmgr.h"
#include "funcapi.h"

#include "analysis/rules.h"
#include "functions/look.h"

PG_FUNCTION_INFO_V1(sd_matrix_rows);

/* Of PostgreSQL, as people say it. */
static const char *
versions(const SdRule *rule)
{
	if (rule->min_major <= SD_COMPAT_OLDEST && rule->max_major == INT_MAX)
		return "all";
	if (rule->max_major == INT_MAX)
		return psprintf("%d and later", rule->min_major);
	if (rule->min_major <= SD_COMPAT_OLDEST)
		return psprintf("up to %d", rule->max_major);
	return psprintf("%d to %d", rule->min_major, rule->max_major);
}

Datum
sd_matrix_rows(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < sd_n_rules; i++)
	{
		const SdRule *rule = &sd_rules[i];
		SdViewRow	row = {0};

		sd_view_text(&row, rule->id);
		sd_view_text(&row, rule->section);
		sd_view_text(&row, rule->form);
		sd_view_text(&row, versions(rule));
		sd_view_put(&row, BoolGetDatum(rule->min_major <= SD_COMPAT_MAJOR && rule->max_major >= SD_COMPAT_MAJOR), false);
		sd_view_text(&row, rule->lock);
		sd_view_text(&row, rule->rewrite);
		sd_view_text(&row, rule->scan);
		sd_view_text(&row, rule->old_app);
		sd_view_text(&row, rule->new_app);
		sd_view_text(&row, rule->prepared);
		sd_view_text(&row, rule->receives);
		sd_view_text(&row, rule->sends);
		sd_view_text(&row, rule->gate);
		sd_view_text(&row, rule->undo);
		sd_view_text(&row, rule->linters);
		sd_view_text(&row, rule->note);
		sd_view_text(&row, rule->safer);
		sd_view_text(&row, rule->evidence);
		sd_view_text(&row, rule->untested);
		sd_view_text(&row, rule->example);
		sd_view_finish(fcinfo, &row);
	}
	return (Datum) 0;
}
