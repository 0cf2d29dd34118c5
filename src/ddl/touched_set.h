/*
 * touched_set.h: the inside of SdTouched, for touched.c, touched_statement.c and update.c.
 */
#ifndef SD_DDL_TOUCHED_SET_H
#define SD_DDL_TOUCHED_SET_H

#include "compat.h"

#include "catalog/objectaddress.h"
#include "utils/hsearch.h"

typedef struct SdTouchedKey
{
	Oid			classid;
	Oid			objid;
} SdTouchedKey;

typedef struct SdTouchedObject
{
	SdTouchedKey key;
	bool		created;
	bool		dropped;
	bool		was_index;		/* dropped: it was an index that may have a row */
} SdTouchedObject;

struct SdTouched
{
	MemoryContext context;
	HTAB	   *objects;		/* of SdTouchedObject */
	bool		everything;
};

extern ObjectAddress sd_not_null_of(Oid constraint);
extern Oid	sd_family_of(Oid classid, Oid objid);

#endif							/* SD_DDL_TOUCHED_SET_H */
