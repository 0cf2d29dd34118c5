/*
 * online.h: statements that commit by themselves in the middle, as steps of an online entry.
 *
 * A script's steps are its statements.  What a name means is settled once, at the origin, and travels with the entry: which
 * schema, and for an index without a name, which name.
 */
#ifndef SD_DDL_ONLINE_H
#define SD_DDL_ONLINE_H

#include "compat.h"

#include "nodes/parsenodes.h"
#include "utils/jsonb.h"

#include "ddl/script.h"

typedef enum SdOnlineKind
{
	SD_ONLINE_PLAIN,			/* runs in a transaction */
	SD_ONLINE_CREATE_INDEX,
	SD_ONLINE_DROP_INDEX,
	SD_ONLINE_DETACH			/* with FINALIZE, too: both end in the same */
} SdOnlineKind;

typedef struct SdOnlineStep
{
	SdOnlineKind kind;
	bool		is_ddl;			/* PLAIN: changes the schema */
	char	   *schema;			/* of the table that is worked on, and of an index */
	char	   *table;			/* its table; DETACH: the parent */
	char	   *name_schema;	/* DETACH: the partition's */
	char	   *name;			/* of the index or partition; NULL: there was none, and IF EXISTS says that this is well */
} SdOnlineStep;

/* Does it commit by itself in the middle?  The statement's form alone says so. */
extern SdOnlineKind sd_online_kind(Node *stmt);

/*
 * What a statement is as a step; relations (of char *) get the identities it works on.  Refuses what PostgreSQL would
 * refuse at once, with PostgreSQL's own codes.  Returns false, after the NOTICE that PostgreSQL gives, for what IF EXISTS or
 * IF NOT EXISTS makes a no-op.
 */
extern bool sd_online_look(Node *stmt, SdOnlineStep *step, List **relations);

/* All statements of a script; plain DDL in it must be about relations. */
extern List *sd_online_steps(const SdScript *script, List **relations);

/*
 * Identities of the relations that any statement names, and for indexes of their tables; as far as they exist.  False: it
 * is about something else.
 */
extern bool sd_online_relations(Node *stmt, List **relations);

/* Can all that its steps do be taken back without a "down"? */
extern bool sd_online_reverts_itself(List *steps);

/* Is there any that is not told by its own form what it changes? */
extern bool sd_online_has_plain(List *steps);

/* The statement that takes a step back; NULL: nothing to take back. */
extern char *sd_online_inverse(const SdOnlineStep *step);

extern char *sd_online_steps_json(List *steps);
extern List *sd_online_steps_read(Jsonb *json);
extern char *sd_online_names_json(List *names);	/* of char * */
extern List *sd_online_names_read(Jsonb *json);

#endif							/* SD_DDL_ONLINE_H */
