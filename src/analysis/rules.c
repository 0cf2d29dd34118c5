/*
 * rules.c: the compatibility matrix, looked up.
 *
 * Runs in backends; static data, no locks.
 */
#include "compat.h"

#include <limits.h>

#include "analysis/rules.h"

#include "analysis/rules_data.h"

const int	sd_n_rules = lengthof(sd_rules);

const SdRule *
sd_rule_for(const char *id, int major)
{
	for (int i = 0; i < sd_n_rules; i++)
	{
		const SdRule *rule = &sd_rules[i];

		if (major >= rule->min_major && major <= rule->max_major && strcmp(rule->id, id) == 0)
			return rule;
	}
	return NULL;
}

const SdRule *
sd_rule(const char *id)
{
	return sd_rule_for(id, SD_COMPAT_MAJOR);
}
