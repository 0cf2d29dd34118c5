/*
 * world.h: the relations that a script names, as they are when it gets there.
 *
 * The catalogs, and over them what earlier statements of the same script made, dropped, renamed and altered.  Read without a
 * lock on anybody's object.  Lives in the memory context in which it was made.
 */
#ifndef SD_ANALYSIS_WORLD_H
#define SD_ANALYSIS_WORLD_H

#include "compat.h"

#include "nodes/parsenodes.h"
#include "storage/lockdefs.h"

#include "ddl/fill.h"

typedef struct SdWorld SdWorld;

/* A column; found by name, so that a script's ADD, DROP and RENAME are seen by what follows. */
typedef struct SdColumn
{
	char	   *name;
	AttrNumber	number;			/* in the catalog; 0: made by the script, and what follows is not known */
	bool		gone;			/* dropped or renamed by the script */
	bool		altered;		/* the script gave it another type */
	bool		inherited;		/* ... gave it to a parent */
	Oid			type;
	int32		typmod;
	Oid			collation;
	bool		not_null;
	bool		has_default;
	char		identity;
	char		generated;
} SdColumn;

/* A constraint that the script made, validated or dropped. */
typedef struct SdConstraint
{
	char	   *name;
	Oid			object;			/* one of the catalog that the script renamed; InvalidOid: none, or of the same name */
	bool		gone;
	char		type;			/* CONSTRAINT_... */
	bool		valid;
	bool		chosen;			/* the server chooses the name; this one, as far as can be told */
	bool		inherited;		/* it has it from a parent, to which the script gave it */
	char	   *not_null;		/* CHECK (column IS NOT NULL): the column */
	bool		no_inherit;
	List	   *columns;		/* of char *: a key's own */
	struct SdThing *other;		/* foreign key: the referenced table */
} SdConstraint;

/* A relation of any kind. */
typedef struct SdThing
{
	Oid			oid;			/* InvalidOid: the script made it */
	char	   *schema;			/* as named at this point of the script */
	char	   *name;
	char	   *shown;			/* for people, quoted where needed */
	char		kind;			/* RELKIND_... */
	bool		made;			/* by the script: nobody else knows it yet */
	bool		gone;			/* dropped by the script */
	bool		temporary;
	SdHasRows	filled;			/* what the script has written into it */
	bool		emptied;		/* the script took all of its rows away, and wrote none since */
	bool		vague;			/* made, and not all of its columns are known */
	bool		many;			/* stands for several, of which shown is the number */
	bool		has_primary;	/* made, with a primary key */
	bool		untyped;		/* the script made it NOT OF its type */
	bool		chosen;			/* it has indexes, constraints or sequences whose names the server chose, and which are not followed */
	List	   *heirs;			/* SdThing: partitions and children that the script gave it, its own only */
	List	   *left;			/* SdThing: those of the catalog that the script took from it */
	struct SdThing *table;		/* of an index that the script made, or whose column owns a sequence that it made */
	struct SdThing *parent;		/* of a partition that the script made or attached */
	struct SdThing *below;		/* all of its partitions, or children, as one; NULL: not asked for yet */
	List	   *members;		/* of Oid: what it stands for, if it stands for several */
	List	   *columns;		/* SdColumn, as far as the script changed them */
	List	   *defined;		/* of char *: of a table that the script made, those that CREATE TABLE names */
	List	   *constraints;	/* SdConstraint */
	List	   *leading;		/* of char *: first columns of indexes that the script made on it */
	List	   *over;			/* of char *: columns of an index that the script made, or the column that owns a sequence */
	List	   *sources;		/* SdThing: what a view reads that the script made or replaced */
	List	   *words;			/* of char *: all names that its query has, "*" where it has a star */
	int			alters;			/* ALTER TABLE statements of the script so far */
	int64		bytes;			/* -1: not asked yet */
	struct SdReplicated *replicated;	/* of one that was there before; NULL: not asked yet */
	int			effect;			/* for effects.c: its place among those of the statement that is judged */
	LOCKMODE	held;			/* see sd_world_hold() ... */
	int			held_in;		/* ... in this transaction of the script */
} SdThing;

extern SdWorld *sd_world_create(void);

/* NULL: there is no such relation.  Later ones in the script see the same SdThing, whatever its name then is. */
extern SdThing *sd_world_find(SdWorld *world, const RangeVar *name);
extern SdThing *sd_world_find_names(SdWorld *world, List *names);
extern SdThing *sd_world_of(SdWorld *world, Oid relation);
extern SdThing *sd_world_known(SdWorld *world, Oid relation);	/* NULL: nobody asked for it before */

/* All partitions or children of a table, by OID, as one thing; the same one whenever it is asked for. */
extern SdThing *sd_world_below(SdWorld *world, SdThing *table, List *members);

/* "public.t", of a name that need not be anything's; where a new one would be made */
extern char *sd_world_shown(SdWorld *world, const RangeVar *name);

/* What the script does.  make: one of that name must not be there. */
extern SdThing *sd_world_make(SdWorld *world, const RangeVar *name, char kind);
extern SdThing *sd_world_make_beside(SdWorld *world, const SdThing *table, const char *name, char kind);
extern List *sd_world_made_indexes(SdWorld *world, const SdThing *table);	/* SdThing: those that the script made on it, as far as they are known */
extern void sd_world_drop(SdWorld *world, SdThing *thing);
extern void sd_world_read(SdWorld *world, SdThing *view, List *sources, List *words);	/* what it reads from now on */
extern void sd_world_drop_column(SdWorld *world, SdThing *thing, const char *name);	/* indexes and constraints with it */
extern void sd_world_rename(SdWorld *world, SdThing *thing, const char *name);
extern void sd_world_move(SdWorld *world, SdThing *thing, const char *schema);

/* The relation of the catalog that had this name before the script dropped or renamed it; NULL: there was none. */
extern SdThing *sd_world_was(SdWorld *world, const char *schema, const char *name);

/* Schemas. */
extern bool sd_world_has_schema(SdWorld *world, const char *name);
extern bool sd_world_made_schema(SdWorld *world, const char *name);
extern Oid	sd_world_schema_oid(SdWorld *world, const char *name);	/* InvalidOid: made, or there is none */
extern char *sd_world_schema_in_catalog(SdWorld *world, const char *name);	/* what the catalog calls it; NULL: made, or there is none */
extern void sd_world_make_schema(SdWorld *world, const char *name);
extern void sd_world_drop_schema(SdWorld *world, const char *name);
extern void sd_world_rename_schema(SdWorld *world, const char *name, const char *to);
extern List *sd_world_in_schema(SdWorld *world, const char *name);	/* of SdThing, without indexes and sequences */
extern List *sd_world_sequences_in_schema(SdWorld *world, const char *name);	/* of SdThing */

/*
 * Objects that are no relations, by kind and last name: did the script make one so called?  object: one of the catalog, if it only got
 * this name.
 */
extern void sd_world_note(SdWorld *world, const char *kind, const char *name, Oid object);
extern void sd_world_forget(SdWorld *world, const char *kind, const char *name);
extern bool sd_world_noted(SdWorld *world, const char *kind, const char *name, Oid *object);
extern bool sd_world_noted_since(SdWorld *world, const char *kind, const char *name);	/* ... and nothing was dropped CASCADE since */

/* Names that the server chose for what a statement made of it beside: there may be relations so called. */
extern void sd_world_choose(SdWorld *world, SdThing *thing);
extern void sd_world_unclear(SdWorld *world, const char *name);	/* one that may have this name now */
extern bool sd_world_may_be_chosen(SdWorld *world, const char *name);

/* For type.h: types that the script made, or that have another name or schema; lives in the world's context. */
extern List **sd_world_types(SdWorld *world);

/* For routine.h: functions that are not as the catalog has them, and who uses functions; live in the world's context. */
extern List **sd_world_routines(SdWorld *world);
extern List **sd_world_uses(SdWorld *world);
extern MemoryContext sd_world_context(const SdWorld *world);

/* The schema of a new object without one in its name, "public" if there is none; is that one searched? */
extern char *sd_world_creation_schema(SdWorld *world);
extern bool sd_world_in_path(SdWorld *world, const char *schema);
extern List *sd_world_path(SdWorld *world); /* of char *: what is searched, in order */

/* The script changed somebody's rights, or its own role: which schemas are searched is not known by the catalog any more. */
extern void sd_world_change_rights(SdWorld *world);

/* ... or who owns, or may do, anything else */
extern void sd_world_change_owners(SdWorld *world);
extern bool sd_world_rights_changed(const SdWorld *world);	/* either */

/* Something was dropped CASCADE: what the script made before, and is not followed, may have gone along.  How often that was. */
extern void sd_world_cascade(SdWorld *world);
extern int	sd_world_cascades(const SdWorld *world);

/* What became of an object of the catalog; see follow.h. */
typedef enum SdFate
{
	SD_FATE_NONE,
	SD_FATE_CHANGED,
	SD_FATE_GOING,
	SD_FATE_GONE
} SdFate;

extern void sd_world_mark(SdWorld *world, Oid class_id, Oid object, AttrNumber column, SdFate fate);
extern SdFate sd_world_fate(SdWorld *world, Oid class_id, Oid object, AttrNumber column);
extern List *sd_world_going(SdWorld *world);	/* of ObjectAddress, as they were marked */
extern void sd_world_gone(SdWorld *world);	/* all of these are */

/* Code ran that was not looked at: from here on anything may be there, or be gone.  what: "DO", as it is told; NULL: none did. */
extern void sd_world_lose_sight(SdWorld *world, const char *what);
extern const char *sd_world_out_of_sight(const SdWorld *world);

/* Something ran that may have put rows anywhere. */
extern void sd_world_filled(SdWorld *world);

/* Locks of earlier statements, which last until their transaction ends; of one that stands for several, on each of them, too. */
extern void sd_world_hold(SdWorld *world, SdThing *thing, LOCKMODE lock);
extern LOCKMODE sd_world_held(const SdWorld *world, const SdThing *thing);	/* NoLock: none */
extern void sd_world_let_go(SdWorld *world);

/* NULL: no such column.  Of a table that the script made: always one, number 0. */
extern SdColumn *sd_thing_column(SdThing *thing, const char *name);
extern SdColumn *sd_thing_change_column(SdThing *thing, const SdColumn *column);	/* a copy that may be written to */
extern void sd_thing_add_column(SdThing *thing, const char *name);
extern void sd_thing_rename_column(SdThing *thing, const SdColumn *column, const char *name);

/* What the script made of the column that has this number in the catalog; NULL: nothing. */
extern const SdColumn *sd_thing_numbered(const SdThing *thing, AttrNumber number);
extern void sd_thing_lose_column(SdThing *thing, AttrNumber number);

/* One of the script's, NULL: none of this name. */
extern SdConstraint *sd_thing_constraint(const SdThing *thing, const char *name);

#endif							/* SD_ANALYSIS_WORLD_H */
