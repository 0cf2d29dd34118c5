/*
 * compare.h: this database's schema beside another region's, object by object.
 *
 * Runs in backends; reads, and changes nothing.
 */
#ifndef SD_FUNCTIONS_COMPARE_H
#define SD_FUNCTIONS_COMPARE_H

#include "compat.h"

#include "nodes/pg_list.h"
#include "utils/uuid.h"

#include "functions/sides.h"
#include "peer/client.h"

/* What a region tells to who is not a member yet. */
typedef struct SdGroupInfo
{
	pg_uuid_t	group_id;
	int32		generation;
	char	   *region;
	int64		head;
	int64		applied;
} SdGroupInfo;

/* Connects; the client is the caller's to close. */
extern SdClient *sd_compare_connect(const char *via, SdGroupInfo *info);

/*
 * Tables in which migration tools write down what they have done, as that region has them: list of SdHistoryTable.  NIL of a region
 * that is too old to say.
 */
typedef struct SdHistoryTable
{
	char	   *schema;
	char	   *table;
	bool		equal;			/* it is here, too, with the same rows */
	bool		here;
} SdHistoryTable;

extern List *sd_compare_history(SdClient *client);

/* List of SdDifference, ordered by kind and identity.  Needs no scope. */
extern List *sd_compare_differences(SdClient *client, const char *region);

#endif							/* SD_FUNCTIONS_COMPARE_H */
