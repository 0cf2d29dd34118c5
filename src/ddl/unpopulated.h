/*
 * unpopulated.h: materialized views that cannot be filled where what they read was not.
 */
#ifndef SD_DDL_UNPOPULATED_H
#define SD_DDL_UNPOPULATED_H

#include "nodes/plannodes.h"

/*
 * Before an entry's statement runs: CREATE MATERIALIZED VIEW that reads a materialized view which has not been populated in this region is
 * made WITH NO DATA here, with a warning.  Changes the plan in place.
 */
extern void sd_unpopulated_leave_empty(PlannedStmt *planned);

#endif							/* SD_DDL_UNPOPULATED_H */
