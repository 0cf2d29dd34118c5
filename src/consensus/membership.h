/*
 * membership.h: who takes part, who votes, and how many votes choose an entry.
 *
 * The configuration in force for version s is a function of the entries up to s - 1 (alpha = 1), so whoever
 * proposes s knows it.  A vote counts by (region, incarnation), never by name, address or position alone: a
 * region that lost its promises comes back under a new incarnation, and its old votes must not be counted for
 * the new one, nor the other way round.
 */
#ifndef SD_MEMBERSHIP_H
#define SD_MEMBERSHIP_H

#include "consensus/ballot.h"

#define SD_MAX_REGIONS		64

typedef enum SdRole
{
	SD_ROLE_VOTER,				/* has the schema, votes */
	SD_ROLE_OBSERVER,			/* has the schema, its vote never counts */
	SD_ROLE_WITNESS				/* votes, has no schema, is never an origin */
} SdRole;

typedef struct SdMember
{
	char		region[SD_NAME_SIZE];
	int32_t		incarnation;	/* from 1 */
	SdRole		role;
	bool		suspended;		/* not waited for by barriers; its vote is unchanged */
} SdMember;

typedef struct SdConfig
{
	int64_t		since;			/* version of the entry that made it; in force from since + 1 on */
	int			n;
	SdMember	member[SD_MAX_REGIONS];
} SdConfig;

typedef enum SdConfigFault
{
	SD_CONFIG_LEGAL,
	SD_CONFIG_SIZE,				/* no member, or more than SD_MAX_REGIONS */
	SD_CONFIG_NAME,				/* empty or unterminated region name */
	SD_CONFIG_INCARNATION,		/* below 1 */
	SD_CONFIG_DUPLICATE,		/* one region twice */
	SD_CONFIG_NO_VOTER			/* nobody votes and has the schema: nothing could ever be proposed and chosen */
} SdConfigFault;

/* Index of a region, -1 if it is no member. */
extern int	sd_config_find(const SdConfig *config, const char *region);

/* Index of the member whose vote this is, -1 if (region, incarnation) has no vote in this configuration. */
extern int	sd_config_find_voter(const SdConfig *config, const char *region, int32_t incarnation);

extern bool sd_member_votes(const SdMember *member);
extern int	sd_config_voters(const SdConfig *config);

/* Smallest number of voters of which any two sets of that size meet: floor(n / 2) + 1. */
extern int	sd_quorum_size(int voters);
extern int	sd_config_quorum(const SdConfig *config);

/*
 * How many *other* voters an origin needs before its own commit: Q - 1 for a voter, whose commit is the last
 * vote; Q for anybody else.
 */
extern int	sd_config_others_needed(const SdConfig *config, const char *region, int32_t incarnation);

/* Could this configuration choose an entry with only these members (by index) reachable? */
extern bool sd_config_has_quorum(const SdConfig *config, const bool *reachable);

extern SdConfigFault sd_config_check(const SdConfig *config);

#endif							/* SD_MEMBERSHIP_H */
