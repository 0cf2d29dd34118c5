/*
 * world.c: the relations that a script names, as they are when it gets there; see world.h.
 *
 * Runs in a backend; reads system caches, takes no lock.  Names are resolved as the server would, but by the names of the
 * schemas in search_path, because the script may have made some of them.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "analysis/world_state.h"
#include "paste.h"

SdWorld *
sd_world_create(void)
{
	SdWorld    *world = palloc0(sizeof(SdWorld));
	HASHCTL		control = {.keysize = sizeof(SdQualified),.entrysize = sizeof(SdByName),.hcxt = CurrentMemoryContext};

	world->context = CurrentMemoryContext;
	world->transaction = 1;
	world->by_name = hash_create("schemadrift names", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	control.keysize = SD_NOTED_KEY_LENGTH;
	control.entrysize = sizeof(SdNoted);
	world->noted = hash_create("schemadrift noted", 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(SdByOid);
	world->by_oid = hash_create("schemadrift relations", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	control.keysize = sizeof(ObjectAddress);
	control.entrysize = sizeof(SdMarked);
	world->marked = hash_create("schemadrift dropped", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return world;
}

/* ---- names ---- */

static SdByName *
entry_of(SdWorld *world, const char *schema, const char *name, bool make)
{
	SdQualified	key;
	bool		found;
	SdByName   *entry;

	namestrcpy(&key.schema, schema);
	namestrcpy(&key.name, name);
	entry = hash_search(world->by_name, &key, make ? HASH_ENTER : HASH_FIND, &found);
	if (make && !found)
		entry->thing = NULL;
	return entry;
}

static SdThing *
of_catalog(SdWorld *world, Oid oid)
{
	MemoryContext old;
	HeapTuple	tuple;
	Form_pg_class form;
	SdByOid    *by_oid;
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
	thing->schema = thing->temporary ? pstrdup("pg_temp") : sd_world_schema_name(world, form->relnamespace);
	thing->name = pstrdup(NameStr(form->relname));
	thing->kind = form->relkind;
	thing->bytes = -1;
	if (thing->schema == NULL)
		thing->schema = pstrdup("?");
	thing->shown = sd_paste_qualified(thing->schema, thing->name);
	MemoryContextSwitchTo(old);
	ReleaseSysCache(tuple);

	by_oid = hash_search(world->by_oid, &oid, HASH_ENTER, &found);
	by_oid->thing = thing;
	thing->gone = sd_world_fate(world, RelationRelationId, oid, 0) == SD_FATE_GONE;
	return thing;
}

SdThing *
sd_world_known(SdWorld *world, Oid relation)
{
	SdByOid    *by_oid = hash_search(world->by_oid, &relation, HASH_FIND, NULL);

	return by_oid ? by_oid->thing : NULL;
}

SdThing *
sd_world_of(SdWorld *world, Oid relation)
{
	SdThing    *thing = of_catalog(world, relation);
	SdByName   *entry;

	if (thing == NULL || thing->gone)
		return thing;
	entry = entry_of(world, thing->schema, thing->name, false);
	if (entry == NULL)
		entry_of(world, thing->schema, thing->name, true)->thing = thing;
	return thing;
}

SdThing *
sd_world_below(SdWorld *world, SdThing *table, List *members)
{
	SdThing    *below = table->below;
	MemoryContext old = MemoryContextSwitchTo(world->context);

	if (below == NULL)
	{
		below = palloc0(sizeof(SdThing));
		below->kind = RELKIND_RELATION;
		below->many = true;
		below->members = list_copy(members);
		below->bytes = -1;
		table->below = below;
	}
	/* the table may have another name by now */
	below->shown = psprintf("%d %s of %s", list_length(below->members), table->kind == RELKIND_PARTITIONED_TABLE ? "partitions" : "children",
							table->shown);
	below->name = below->schema = below->shown;
	MemoryContextSwitchTo(old);
	return below;
}

static SdThing *
find_in(SdWorld *world, const char *schema, const char *name)
{
	SdByName   *entry = entry_of(world, schema, name, false);
	Oid			namespace;
	Oid			oid;
	SdThing    *thing;

	if (entry)
		return entry->thing;
	namespace = sd_world_schema_oid(world, schema);
	oid = OidIsValid(namespace) ? get_relname_relid(name, namespace) : InvalidOid;
	thing = OidIsValid(oid) ? sd_world_of(world, oid) : NULL;
	return thing && !thing->gone ? thing : NULL;
}

SdThing *
sd_world_find(SdWorld *world, const RangeVar *name)
{
	ListCell   *cell;

	if (name->schemaname)
		return find_in(world, name->schemaname, name->relname);
	foreach(cell, sd_world_path(world))
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
	if (name->relpersistence == RELPERSISTENCE_TEMP)
		return "pg_temp";
	if (name->schemaname)
		return name->schemaname;
	return sd_world_creation_schema(world);
}

char *
sd_world_shown(SdWorld *world, const RangeVar *name)
{
	return sd_paste_qualified(creation_schema(world, name), name->relname);
}

/* ---- what the script does ---- */

static SdThing *
make(SdWorld *world, const char *schema, const char *name, char kind)
{
	MemoryContext old = MemoryContextSwitchTo(world->context);
	SdThing    *thing = palloc0(sizeof(SdThing));

	thing->schema = pstrdup(schema);
	thing->name = pstrdup(name);
	thing->shown = sd_paste_qualified(schema, name);
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
List *
sd_world_made_indexes(SdWorld *world, const SdThing *table)
{
	List	   *indexes = NIL;
	ListCell   *cell;

	foreach(cell, world->made)
	{
		SdThing    *thing = lfirst(cell);

		if (!thing->gone && thing->table == table && (thing->kind == RELKIND_INDEX || thing->kind == RELKIND_PARTITIONED_INDEX))
			indexes = lappend(indexes, thing);
	}
	return indexes;
}

void
sd_world_drop(SdWorld *world, SdThing *thing)
{
	SdByName   *entry = entry_of(world, thing->schema, thing->name, true);
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
	thing->shown = sd_paste_qualified(schema, name);
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
	SdByName   *entry = entry_of(world, schema, name, false);
	Oid			namespace = sd_world_schema_oid(world, schema);
	Oid			oid;

	if ((entry && entry->thing != NULL) || !OidIsValid(namespace))
		return NULL;
	oid = get_relname_relid(name, namespace);
	if (entry == NULL && sd_world_fate(world, RelationRelationId, oid, 0) != SD_FATE_GONE)
		return NULL;
	return OidIsValid(oid) ? of_catalog(world, oid) : NULL;
}

List **
sd_world_types(SdWorld *world)
{
	return &world->types;
}

List **
sd_world_routines(SdWorld *world)
{
	return &world->routines;
}

List **
sd_world_uses(SdWorld *world)
{
	return &world->uses;
}

MemoryContext
sd_world_context(const SdWorld *world)
{
	return world->context;
}
