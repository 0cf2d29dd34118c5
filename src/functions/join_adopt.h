/*
 * join_adopt.h: joining with a schema that is not the group's: what differs becomes drift that is known.
 */
#ifndef SD_FUNCTIONS_JOIN_ADOPT_H
#define SD_FUNCTIONS_JOIN_ADOPT_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "ddl/digest.h"
#include "peer/client.h"

/*
 * How the schema here differs from that of the member that the client is connected to, if that is what the log says it is: if its
 * root is `logged`.  False: it is not, now.  *changed: of SdObjectDigest, as if the group's schema had been changed here into what it is.
 */
extern bool sd_join_differences(SdClient *client, const SdDigest *logged, List **changed);

#endif							/* SD_FUNCTIONS_JOIN_ADOPT_H */
