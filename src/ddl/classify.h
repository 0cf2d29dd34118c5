/*
 * classify.h: what a statement is for the gate, decided before it runs.
 *
 * Reads the statement and the catalogs, takes no lock on any user's object, changes nothing.
 */
#ifndef SD_DDL_CLASSIFY_H
#define SD_DDL_CLASSIFY_H

#include "nodes/parsenodes.h"
#include "tcop/cmdtag.h"

typedef enum SdStatementClass
{
	SD_CLASS_NOT_DDL,			/* changes no schema by itself */
	SD_CLASS_LOCAL,				/* never gated, never in the digest */
	SD_CLASS_TEMPORARY,			/* only this session's temporary objects */
	SD_CLASS_COORDINATED,
	SD_CLASS_REFUSED,			/* cannot be the same everywhere */
	SD_CLASS_ALONE				/* commits by itself: cannot be part of a transaction's change */
} SdStatementClass;

typedef struct SdVerdict
{
	SdStatementClass class;
	CommandTag	tag;
	const char *reason;			/* REFUSED and ALONE: a sentence for DETAIL; NULL otherwise */
	const char *hint;			/* REFUSED and ALONE: the form that can be coordinated */
} SdVerdict;

/* does the group's policy call this object local?  NULL where there is no policy */
typedef bool (*SdIsLocalName) (const char *schema, const char *name);

/* stmt is a raw statement or the utilityStmt of a planned one */
extern void sd_classify(Node *stmt, SdIsLocalName is_local, SdVerdict *verdict);
extern const char *sd_class_name(SdStatementClass class);

/* the error that a REFUSED or ALONE verdict is, where the gate refuses */
extern void sd_classify_refuse(const SdVerdict *verdict) pg_attribute_noreturn();

/* the same for a statement that nothing but its form makes ALONE; before a script runs */
extern void sd_classify_refuse_alone(Node *stmt);

/* The same for one that is REFUSED for its form, whatever is there when it runs; before a text is kept that is to run later. */
extern void sd_classify_refuse_for_good(Node *stmt, SdIsLocalName is_local);

/* Error if the statement, as it was written, keeps constants that would be others in each region. */
extern void sd_classify_refuse_constants(Node *stmt);

/*
 * May this statement turn out to have done nothing (IF EXISTS, IF NOT EXISTS)?  POSSIBLE: it is part of the change
 * only if an object access was seen while it ran.  NEVER: it counts, seen or not, because not every change makes an
 * object access (GRANT, COMMENT, SECURITY LABEL, row security, REPLICA IDENTITY).  To be asked under the DDL lock, just
 * before the statement runs.
 */
typedef enum SdNoop
{
	SD_NOOP_NEVER,
	SD_NOOP_POSSIBLE,
	SD_NOOP_CERTAIN
} SdNoop;

extern SdNoop sd_classify_noop(Node *stmt);

/* DROP EXTENSION schemadrift */
extern bool sd_classify_drops_own(Node *stmt);

/* ALTER EXTENSION schemadrift UPDATE */
extern bool sd_classify_updates_own(Node *stmt);

/* can it not run inside a function or transaction block, whatever its class (VACUUM, CREATE DATABASE ...)? */
extern bool sd_classify_needs_no_block(Node *stmt);

/* what must exist in every serving region before it may be proposed: list of char *, "role:x", "extension:y", "postgres:17" ... */
extern List *sd_classify_needs(Node *stmt);

/* The local class by kind of object: one list for the gate and for the digest. */
extern bool sd_is_local_object_type(ObjectType type);
extern bool sd_is_local_catalog(Oid class_id);
extern bool sd_is_own_schema(const char *name);

#endif							/* SD_DDL_CLASSIFY_H */
