/*
 * world_state.h: what a world consists of; for world.c, world_schema.c and world_object.c only.
 */
#ifndef SD_ANALYSIS_WORLD_STATE_H
#define SD_ANALYSIS_WORLD_STATE_H

#include "compat.h"

#include "catalog/objectaddress.h"
#include "utils/hsearch.h"

#include "analysis/world.h"

#define SD_NOTED_KEY_LENGTH (2 * NAMEDATALEN + 2)

typedef struct SdWorldSchema
{
	char	   *name;
	Oid			oid;			/* InvalidOid: made by the script */
	bool		gone;
} SdWorldSchema;

/* Zeros behind each: any character may be in a name. */
typedef struct SdQualified
{
	NameData	schema;
	NameData	name;
} SdQualified;

typedef struct SdByName
{
	SdQualified	key;
	SdThing    *thing;			/* NULL: nothing of that name any more */
} SdByName;

typedef struct SdByOid
{
	Oid			oid;
	SdThing    *thing;
} SdByOid;

typedef struct SdNoted
{
	char		key[SD_NOTED_KEY_LENGTH];	/* kind, a dot, which no kind has, name */
	Oid			object;			/* InvalidOid: the script made it */
	int			cascades;		/* before */
} SdNoted;

typedef struct SdMarked
{
	ObjectAddress object;
	SdFate		fate;
} SdMarked;

struct SdWorld
{
	MemoryContext context;
	HTAB	   *by_name;
	HTAB	   *by_oid;
	HTAB	   *noted;			/* SdNoted */
	HTAB	   *marked;			/* SdMarked */
	List	   *going;			/* ObjectAddress: marked so by the statement that is looked at */
	const char *unseen;			/* what ran; NULL: nothing */
	List	   *schemas;		/* SdWorldSchema: those that the script changed */
	List	   *made;			/* SdThing */
	List	   *readers;		/* SdThing: views that the script made or replaced */
	List	   *chosen;			/* SdThing: of which there are relations whose names the server chose */
	List	   *unclear;		/* of char *: names that a relation may have which is not known */
	List	   *types;			/* for type.c */
	List	   *routines;		/* for routine.c */
	List	   *uses;			/* for routine.c */
	int			cascades;
	int			transaction;	/* of the script, from 1 */
	bool		owners;			/* the script changed who owns, or may do, something */
	bool		rights;			/* the script changed somebody's, or who it is that runs it */
};

/* What a schema is called now; NULL: there is none. */
extern char *sd_world_schema_name(SdWorld *world, Oid oid);

#endif							/* SD_ANALYSIS_WORLD_STATE_H */
