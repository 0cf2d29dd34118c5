/*
 * repair.h: the DDL that makes an object elsewhere what it is here.
 *
 * Here is this database's catalogs; there is known by a canonical definition only (describe.h).  So what is said of it is
 * as true as that definition: nothing here is run, it is shown to a person, or proposed by accept_drift() as a migration.
 *
 * Backends, inside a transaction, not in a scope (sql.h).  The server's own deparsers make the text: they take AccessShareLock on what
 * they describe, and may wait for it as long as lock_timeout says.  So never in a vote.
 */
#ifndef SD_DDL_REPAIR_H
#define SD_DDL_REPAIR_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "ddl/digest.h"

typedef struct SdRepairObject
{
	const char *kind;
	const char *identity;
	const char *there;			/* its definition there; NULL: there is no such object there */
	bool		has_expected;	/* for sd_repair_sound(): by the log there is such an object, ... */
	SdDigest	expected;		/* ... with this digest */
} SdRepairObject;

/* Steps are to be run in the order of their phases. */
typedef enum SdRepairPhase
{
	SD_REPAIR_LABELS,			/* new labels of enums: outside of the transaction of the rest, which may use them */
	SD_REPAIR_RENAME,
	SD_REPAIR_DROP,
	SD_REPAIR_MAKE,				/* and change */
	SD_REPAIR_AGAIN,			/* what was dropped because something else depended on it */
	SD_REPAIR_LINK,				/* what joins objects: foreign keys, partitions, who owns a sequence */
	SD_REPAIR_TIDY,				/* what is extra, and was in use until then */
	SD_REPAIR_LOSE,				/* destroys data: never to be run unless somebody has decided so */
	SD_REPAIR_CANNOT			/* no statement: the note says why, and what to do */
} SdRepairPhase;

typedef struct SdRepairStep
{
	SdRepairPhase phase;
	int			order;			/* within the phase */
	int			serial;			/* of sd_repair_sort() */
	const char *kind;			/* of the object for which it is done */
	const char *identity;
	char	   *statement;		/* without a semicolon; NULL in SD_REPAIR_CANNOT */
	char	   *note;			/* NULL: there is nothing to say */
} SdRepairStep;

/* What ends a step's SET LOCAL ROLE, for a session that runs the plan as who it connected as. */
#define SD_REPAIR_ROLE_AS_BEFORE "RESET ROLE"

/* How many of another region's one call between regions may name. */
#define SD_REPAIR_MAX_OBJECTS	10000

/* objects: of SdRepairObject, any that differ.  Of SdRepairStep, in the order in which they are to be run. */
extern List *sd_repair_steps(List *objects);

/* The same for one object.  Accepting the drift of this region: there is the expected definition. */
extern List *sd_repair_statements(const char *kind, const char *identity, const char *there);

/*
 * Of what no digest counts (beside.h): to make what is there what is here, both texts of the object of this kind (as its drift has it: "maintain on
 * table").  Says nothing of catalogs, but for the owner.
 */
extern List *sd_repair_beside(const char *kind, const char *identity, const char *here, const char *there);

/* Those that are here as is expected of them; the others are added to *others. */
extern List *sd_repair_sound(List *objects, List **others);

/* Steps of several answers, put in order. */
extern void sd_repair_sort(List *steps);

#endif							/* SD_DDL_REPAIR_H */
