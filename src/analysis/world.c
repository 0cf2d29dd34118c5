/*
 * world.c: the relations that a script names, as they are when it gets there; see world.h.
 *
 * Runs in a backend; reads system caches, takes no lock.  Names are resolved as the server would, but by the names of the
 * schemas in search_path, because the script may have made some of them.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_constraint.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "analysis/world.h"

#define KEY_LENGTH (2 * NAMEDATALEN + 2)

typedef struct Schema
{
	char	   *name;
	Oid			oid;			/* InvalidOid: made by the script */
	bool		gone;
} Schema;

typedef struct ByName
{
	char		key[KEY_LENGTH];	/* "schema", a dot, "name"; neither can be mistaken: no key is read back */
	SdThing    *thing;			/* NULL: nothing of that name any more */
} ByName;

typedef struct ByOid
{
	Oid			oid;
	SdThing    *thing;
} ByOid;

typedef struct Noted
{
	char		key[KEY_LENGTH];
	Oid			object;			/* InvalidOid: the script made it */
} Noted;

typedef struct Marked
{
	ObjectAddress object;
	SdFate		fate;
} Marked;

struct SdWorld
{
	MemoryContext context;
	HTAB	   *by_name;
	HTAB	   *by_oid;
	HTAB	   *noted;			/* Noted */
	HTAB	   *marked;			/* Marked */
	const char *unseen;			/* what ran; NULL: nothing */
	List	   *schemas;		/* Schema: those that the script changed */
	List	   *made;			/* SdThing */
	List	   *readers;		/* SdThing: views that the script made or replaced */
};

SdWorld *
sd_world_create(void)
{
	SdWorld    *world = palloc0(sizeof(SdWorld));
	HASHCTL		control = {.keysize = KEY_LENGTH,.entrysize = sizeof(ByName),.hcxt = CurrentMemoryContext};

	world->context = CurrentMemoryContext;
	world->by_name = hash_create("schemadrift names", 256, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	control.entrysize = sizeof(Noted);
	world->noted = hash_create("schemadrift noted", 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(ByOid);
	world->by_oid = hash_create("schemadrift relations", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	control.keysize = sizeof(ObjectAddress);
	control.entrysize = sizeof(Marked);
	world->marked = hash_create("schemadrift dropped", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return world;
}

/* ---- names ---- */

static void
make_key(char *key, const char *schema, const char *name)
{
	snprintf(key, KEY_LENGTH, "%s.%s", schema, name);
}

static ByName *
entry_of(SdWorld *world, const char *schema, const char *name, bool make)
{
	char		key[KEY_LENGTH];
	bool		found;
	ByName	   *entry;

	make_key(key, schema, name);
	entry = hash_search(world->by_name, key, make ? HASH_ENTER : HASH_FIND, &found);
	if (make && !found)
		entry->thing = NULL;
	return entry;
}

static Schema *
schema_of(SdWorld *world, const char *name)
{
	ListCell   *cell;

	foreach(cell, world->schemas)
	{
		if (strcmp(((Schema *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	}
	return NULL;
}

static Oid
schema_oid(SdWorld *world, const char *name)
{
	Schema	   *schema = schema_of(world, name);

	if (schema)
		return schema->gone ? InvalidOid : schema->oid;
	if (strcmp(name, "pg_temp") == 0)
		return LookupNamespaceNoError(name);
	return get_namespace_oid(name, true);
}

bool
sd_world_has_schema(SdWorld *world, const char *name)
{
	Schema	   *schema = schema_of(world, name);

	return schema ? !schema->gone : OidIsValid(schema_oid(world, name)) || strcmp(name, "pg_temp") == 0;
}

bool
sd_world_made_schema(SdWorld *world, const char *name)
{
	Schema	   *schema = schema_of(world, name);

	return schema && !schema->gone && !OidIsValid(schema->oid);
}

/* The schemas of search_path, pg_temp and pg_catalog where they are implied, in order; of char *. */
static List *
path_of(SdWorld *world, bool creation)
{
	List	   *names;
	List	   *path = NIL;
	bool		catalog = false;
	bool		temporary = false;
	ListCell   *cell;

	if (!SplitIdentifierString(pstrdup(namespace_search_path), ',', &names))
		names = NIL;
	foreach(cell, names)
	{
		char	   *name = lfirst(cell);

		if (strcmp(name, "$user") == 0)
			name = GetUserNameFromId(GetUserId(), false);
		catalog |= strcmp(name, "pg_catalog") == 0;
		temporary |= strcmp(name, "pg_temp") == 0;
		if (sd_world_has_schema(world, name))
			path = lappend(path, name);
	}
	if (!creation && !catalog)
		path = lcons("pg_catalog", path);
	if (!creation && !temporary)
		path = lcons("pg_temp", path);
	return path;
}

static char *
shown(const char *schema, const char *name)
{
	return quote_qualified_identifier(schema, name);
}

static SdThing *
of_catalog(SdWorld *world, Oid oid)
{
	MemoryContext old;
	HeapTuple	tuple;
	Form_pg_class form;
	ByOid	   *by_oid;
	bool		found;
	SdThing    *thing;

	by_oid = hash_search(world->by_oid, &oid, HASH_FIND, NULL);
	if (by_oid)
		return by_oid->thing;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_class) GETSTRUCT(tuple);
	old = MemoryContextSwitchTo(world->context);
	thing = palloc0(sizeof(SdThing));
	thing->oid = oid;
	thing->temporary = form->relpersistence == RELPERSISTENCE_TEMP;
	thing->schema = thing->temporary ? pstrdup("pg_temp") : get_namespace_name(form->relnamespace);
	thing->name = pstrdup(NameStr(form->relname));
	thing->kind = form->relkind;
	thing->bytes = -1;
	if (thing->schema == NULL)
		thing->schema = pstrdup("?");
	thing->shown = shown(thing->schema, thing->name);
	MemoryContextSwitchTo(old);
	ReleaseSysCache(tuple);

	by_oid = hash_search(world->by_oid, &oid, HASH_ENTER, &found);
	by_oid->thing = thing;
	return thing;
}

SdThing *
sd_world_of(SdWorld *world, Oid relation)
{
	SdThing    *thing = of_catalog(world, relation);
	ByName	   *entry;

	if (thing == NULL || thing->gone)
		return thing;
	entry = entry_of(world, thing->schema, thing->name, false);
	if (entry == NULL)
		entry_of(world, thing->schema, thing->name, true)->thing = thing;
	return thing;
}

static SdThing *
find_in(SdWorld *world, const char *schema, const char *name)
{
	ByName	   *entry = entry_of(world, schema, name, false);
	Oid			namespace;
	Oid			oid;

	if (entry)
		return entry->thing;
	namespace = schema_oid(world, schema);
	oid = OidIsValid(namespace) ? get_relname_relid(name, namespace) : InvalidOid;
	return OidIsValid(oid) ? sd_world_of(world, oid) : NULL;
}

SdThing *
sd_world_find(SdWorld *world, const RangeVar *name)
{
	ListCell   *cell;

	if (name->schemaname)
		return find_in(world, name->schemaname, name->relname);
	foreach(cell, path_of(world, false))
	{
		SdThing    *thing = find_in(world, lfirst(cell), name->relname);

		if (thing)
			return thing;
	}
	return NULL;
}

SdThing *
sd_world_find_names(SdWorld *world, List *names)
{
	if (names == NIL || list_length(names) > 3)
		return NULL;
	return sd_world_find(world, makeRangeVarFromNameList(names));
}

static const char *
creation_schema(SdWorld *world, const RangeVar *name)
{
	List	   *path;

	if (name->relpersistence == RELPERSISTENCE_TEMP)
		return "pg_temp";
	if (name->schemaname)
		return name->schemaname;
	path = path_of(world, true);
	return path ? linitial(path) : "public";
}

char *
sd_world_shown(SdWorld *world, const RangeVar *name)
{
	return shown(creation_schema(world, name), name->relname);
}

/* ---- what the script does ---- */

static SdThing *
make(SdWorld *world, const char *schema, const char *name, char kind)
{
	MemoryContext old = MemoryContextSwitchTo(world->context);
	SdThing    *thing = palloc0(sizeof(SdThing));

	thing->schema = pstrdup(schema);
	thing->name = pstrdup(name);
	thing->shown = shown(schema, name);
	thing->kind = kind;
	thing->made = true;
	thing->temporary = strcmp(schema, "pg_temp") == 0;
	entry_of(world, schema, name, true)->thing = thing;
	world->made = lappend(world->made, thing);
	MemoryContextSwitchTo(old);
	return thing;
}

SdThing *
sd_world_make(SdWorld *world, const RangeVar *name, char kind)
{
	return make(world, creation_schema(world, name), name->relname, kind);
}

SdThing *
sd_world_make_beside(SdWorld *world, const SdThing *table, const char *name, char kind)
{
	return make(world, table->schema, name, kind);
}

/* What the script made for it goes with it: its indexes, its sequences, and, as it cannot be otherwise, views that read it. */
void
sd_world_drop(SdWorld *world, SdThing *thing)
{
	ByName	   *entry = entry_of(world, thing->schema, thing->name, true);
	ListCell   *cell;

	check_stack_depth();
	if (entry->thing == thing)
		entry->thing = NULL;
	thing->gone = true;
	foreach(cell, world->made)
	{
		SdThing    *other = lfirst(cell);

		if (!other->gone && other->table == thing)
			sd_world_drop(world, other);
	}
	foreach(cell, world->readers)
	{
		SdThing    *other = lfirst(cell);

		if (!other->gone && list_member_ptr(other->sources, thing))
			sd_world_drop(world, other);
	}
}

void
sd_world_read(SdWorld *world, SdThing *view, List *sources, List *words)
{
	MemoryContext old = MemoryContextSwitchTo(world->context);
	ListCell   *cell;

	view->sources = list_copy(sources);
	view->words = NIL;
	foreach(cell, words)
		view->words = lappend(view->words, pstrdup(lfirst(cell)));
	world->readers = list_append_unique_ptr(world->readers, view);
	MemoryContextSwitchTo(old);
}

void
sd_world_drop_column(SdWorld *world, SdThing *thing, const char *name)
{
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, world->made)
	{
		SdThing    *other = lfirst(cell);

		if (other->gone || other->table != thing)
			continue;
		foreach(inner, other->over)
		{
			if (!other->gone && strcmp(lfirst(inner), name) == 0)
				sd_world_drop(world, other);
		}
	}
	foreach(cell, thing->constraints)
	{
		SdConstraint *constraint = lfirst(cell);

		foreach(inner, constraint->columns)
			constraint->gone |= strcmp(lfirst(inner), name) == 0;
		if (constraint->gone && constraint->type == CONSTRAINT_PRIMARY)
			thing->has_primary = false;
	}
}

static void
move(SdWorld *world, SdThing *thing, const char *schema, const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(world->context);

	if (!thing->gone)
		entry_of(world, thing->schema, thing->name, true)->thing = NULL;
	thing->schema = pstrdup(schema);
	thing->name = pstrdup(name);
	thing->shown = shown(schema, name);
	entry_of(world, schema, name, true)->thing = thing;
	MemoryContextSwitchTo(old);
}

void
sd_world_rename(SdWorld *world, SdThing *thing, const char *name)
{
	move(world, thing, thing->schema, name);
}

void
sd_world_move(SdWorld *world, SdThing *thing, const char *schema)
{
	move(world, thing, schema, thing->name);
}

SdThing *
sd_world_was(SdWorld *world, const char *schema, const char *name)
{
	ByName	   *entry = entry_of(world, schema, name, false);
	Oid			namespace = schema_oid(world, schema);
	Oid			oid;

	if (entry == NULL || entry->thing != NULL || !OidIsValid(namespace))
		return NULL;
	oid = get_relname_relid(name, namespace);
	return OidIsValid(oid) ? of_catalog(world, oid) : NULL;
}

/* ---- schemas ---- */

static Schema *
change_schema(SdWorld *world, const char *name)
{
	Schema	   *schema = schema_of(world, name);
	MemoryContext old;

	if (schema)
		return schema;
	old = MemoryContextSwitchTo(world->context);
	schema = palloc0(sizeof(Schema));
	schema->name = pstrdup(name);
	schema->oid = get_namespace_oid(name, true);
	world->schemas = lappend(world->schemas, schema);
	MemoryContextSwitchTo(old);
	return schema;
}

void
sd_world_make_schema(SdWorld *world, const char *name)
{
	Schema	   *schema = change_schema(world, name);

	schema->gone = false;
	schema->oid = InvalidOid;
}

/* SdThing: what the script knows in it, and what the catalog has */
List *
sd_world_in_schema(SdWorld *world, const char *name)
{
	Oid			namespace = schema_oid(world, name);
	List	   *things = NIL;
	HASH_SEQ_STATUS status;
	ByName	   *entry;

	if (OidIsValid(namespace))
	{
		Relation	catalog = table_open(RelationRelationId, AccessShareLock);
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(namespace));
		scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

			if (form->relkind != RELKIND_INDEX && form->relkind != RELKIND_PARTITIONED_INDEX &&
				form->relkind != RELKIND_SEQUENCE)
				(void) sd_world_of(world, form->oid);
		}
		systable_endscan(scan);
		table_close(catalog, AccessShareLock);
	}
	hash_seq_init(&status, world->by_name);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->thing && strcmp(entry->thing->schema, name) == 0 && entry->thing->kind != RELKIND_INDEX &&
			entry->thing->kind != RELKIND_PARTITIONED_INDEX && entry->thing->kind != RELKIND_SEQUENCE)
			things = lappend(things, entry->thing);
	}
	return things;
}

static int
by_shown(const ListCell *a, const ListCell *b)
{
	return strcmp(((SdThing *) lfirst(a))->shown, ((SdThing *) lfirst(b))->shown);
}

void
sd_world_drop_schema(SdWorld *world, const char *name)
{
	Schema	   *schema = change_schema(world, name);
	ListCell   *cell;
	HASH_SEQ_STATUS status;
	ByName	   *entry;

	foreach(cell, sd_world_in_schema(world, name))
		sd_world_drop(world, lfirst(cell));
	hash_seq_init(&status, world->by_name);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->thing && strcmp(entry->thing->schema, name) == 0)
		{
			entry->thing->gone = true;
			entry->thing = NULL;
		}
	}
	schema->gone = true;
}

void
sd_world_rename_schema(SdWorld *world, const char *name, const char *to)
{
	Schema	   *schema = change_schema(world, name);
	List	   *things = sd_world_in_schema(world, name);
	Schema	   *renamed;
	ListCell   *cell;

	list_sort(things, by_shown);
	renamed = change_schema(world, to);
	renamed->gone = false;
	renamed->oid = schema->oid;
	schema->gone = true;
	foreach(cell, things)
		sd_world_move(world, lfirst(cell), to);
}

/* ---- other objects ---- */

void
sd_world_note(SdWorld *world, const char *kind, const char *name, Oid object)
{
	char		key[KEY_LENGTH];
	Noted	   *noted;

	make_key(key, kind, name);
	noted = hash_search(world->noted, key, HASH_ENTER, NULL);
	noted->object = object;
}

void
sd_world_forget(SdWorld *world, const char *kind, const char *name)
{
	char		key[KEY_LENGTH];

	make_key(key, kind, name);
	(void) hash_search(world->noted, key, HASH_REMOVE, NULL);
}

bool
sd_world_noted(SdWorld *world, const char *kind, const char *name, Oid *object)
{
	char		key[KEY_LENGTH];
	Noted	   *noted;

	make_key(key, kind, name);
	noted = hash_search(world->noted, key, HASH_FIND, NULL);
	if (object)
		*object = noted ? noted->object : InvalidOid;
	return noted != NULL;
}

/* ---- objects of the catalog ---- */

void
sd_world_mark(SdWorld *world, Oid class_id, Oid object, AttrNumber column, SdFate fate)
{
	ObjectAddress address;
	Marked	   *marked;

	ObjectAddressSubSet(address, class_id, object, column);
	marked = hash_search(world->marked, &address, HASH_ENTER, NULL);
	marked->fate = fate;
}

SdFate
sd_world_fate(SdWorld *world, Oid class_id, Oid object, AttrNumber column)
{
	ObjectAddress address;
	Marked	   *marked;

	ObjectAddressSubSet(address, class_id, object, 0);
	marked = hash_search(world->marked, &address, HASH_FIND, NULL);
	if (marked && (column == 0 || marked->fate >= SD_FATE_GOING))
		return marked->fate;
	ObjectAddressSubSet(address, class_id, object, column);
	marked = hash_search(world->marked, &address, HASH_FIND, NULL);
	return marked ? marked->fate : SD_FATE_NONE;
}

List *
sd_world_going(SdWorld *world)
{
	HASH_SEQ_STATUS status;
	Marked	   *marked;
	List	   *going = NIL;

	hash_seq_init(&status, world->marked);
	while ((marked = hash_seq_search(&status)) != NULL)
	{
		ObjectAddress *object;

		if (marked->fate != SD_FATE_GOING)
			continue;
		object = palloc(sizeof(ObjectAddress));
		*object = marked->object;
		going = lappend(going, object);
	}
	return going;
}

void
sd_world_lose_sight(SdWorld *world, const char *what)
{
	if (world->unseen == NULL)
		world->unseen = MemoryContextStrdup(world->context, what);
}

const char *
sd_world_out_of_sight(const SdWorld *world)
{
	return world->unseen;
}

void
sd_world_filled(SdWorld *world)
{
	ListCell   *cell;

	foreach(cell, world->made)
		((SdThing *) lfirst(cell))->filled = true;
}
