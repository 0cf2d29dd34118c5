/*
 * membership.c: configurations and quorum arithmetic.  Pure; see membership.h.
 */
#include "consensus/membership.h"

#include <string.h>

bool
sd_member_votes(const SdMember *member)
{
	/* "Suspended: ... vote unchanged" */
	return member->role == SD_ROLE_VOTER || member->role == SD_ROLE_WITNESS;
}

int
sd_config_find(const SdConfig *config, const char *region)
{
	for (int i = 0; i < config->n; i++)
	{
		if (strncmp(config->member[i].region, region, SD_NAME_SIZE) == 0)
			return i;
	}
	return -1;
}

int
sd_config_find_voter(const SdConfig *config, const char *region, int32_t incarnation)
{
	int			i = sd_config_find(config, region);

	/* "identity is (region, incarnation), never the name alone" */
	if (i < 0 || config->member[i].incarnation != incarnation || !sd_member_votes(&config->member[i]))
		return -1;
	return i;
}

int
sd_config_voters(const SdConfig *config)
{
	int			voters = 0;

	for (int i = 0; i < config->n; i++)
	{
		if (sd_member_votes(&config->member[i]))
			voters++;
	}
	return voters;
}

int
sd_quorum_size(int voters)
{
	return voters / 2 + 1;
}

int
sd_config_quorum(const SdConfig *config)
{
	return sd_quorum_size(sd_config_voters(config));
}

int
sd_config_others_needed(const SdConfig *config, const char *region, int32_t incarnation)
{
	int			quorum = sd_config_quorum(config);

	return sd_config_find_voter(config, region, incarnation) >= 0 ? quorum - 1 : quorum;
}

bool
sd_config_has_quorum(const SdConfig *config, const bool *reachable)
{
	int			voters = 0;

	for (int i = 0; i < config->n; i++)
	{
		if (reachable[i] && sd_member_votes(&config->member[i]))
			voters++;
	}
	return voters >= sd_config_quorum(config);
}

SdConfigFault
sd_config_check(const SdConfig *config)
{
	bool		has_voter = false;

	if (config->n < 1 || config->n > SD_MAX_REGIONS)
		return SD_CONFIG_SIZE;
	for (int i = 0; i < config->n; i++)
	{
		const SdMember *member = &config->member[i];

		if (member->region[0] == '\0' || memchr(member->region, '\0', SD_NAME_SIZE) == NULL)
			return SD_CONFIG_NAME;
		if (member->incarnation < 1)
			return SD_CONFIG_INCARNATION;
		if (sd_config_find(config, member->region) != i)
			return SD_CONFIG_DUPLICATE;
		/* witnesses alone could vote, but nobody with a schema would be left among them to check what they keep */
		if (member->role == SD_ROLE_VOTER)
			has_voter = true;
	}
	return has_voter ? SD_CONFIG_LEGAL : SD_CONFIG_NO_VOTER;
}
