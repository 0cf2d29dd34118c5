/*
 * world_object.c: what becomes of objects that are no relations, of what is not followed, and of locks; see world.h.
 *
 * Runs in a backend; reads no catalog, takes no lock.
 */
#include "compat.h"

#include "analysis/world_state.h"

/* ---- other objects, by kind and name ---- */

static void
make_key(char *key, const char *kind, const char *name)
{
	snprintf(key, SD_NOTED_KEY_LENGTH, "%s.%s", kind, name);
}

void
sd_world_note(SdWorld *world, const char *kind, const char *name, Oid object)
{
	char		key[SD_NOTED_KEY_LENGTH];
	SdNoted    *noted;

	make_key(key, kind, name);
	noted = hash_search(world->noted, key, HASH_ENTER, NULL);
	noted->object = object;
	noted->cascades = world->cascades;
}

void
sd_world_forget(SdWorld *world, const char *kind, const char *name)
{
	char		key[SD_NOTED_KEY_LENGTH];

	make_key(key, kind, name);
	(void) hash_search(world->noted, key, HASH_REMOVE, NULL);
}

bool
sd_world_noted(SdWorld *world, const char *kind, const char *name, Oid *object)
{
	char		key[SD_NOTED_KEY_LENGTH];
	SdNoted    *noted;

	make_key(key, kind, name);
	noted = hash_search(world->noted, key, HASH_FIND, NULL);
	if (object)
		*object = noted ? noted->object : InvalidOid;
	return noted != NULL;
}

bool
sd_world_noted_since(SdWorld *world, const char *kind, const char *name)
{
	char		key[SD_NOTED_KEY_LENGTH];
	SdNoted    *noted;

	make_key(key, kind, name);
	noted = hash_search(world->noted, key, HASH_FIND, NULL);
	return noted && noted->cascades == world->cascades;
}

/* ---- names that the server chose ---- */

void
sd_world_choose(SdWorld *world, SdThing *thing)
{
	MemoryContext old = MemoryContextSwitchTo(world->context);

	if (!thing->chosen)
		world->chosen = lappend(world->chosen, thing);
	thing->chosen = true;
	MemoryContextSwitchTo(old);
}

void
sd_world_unclear(SdWorld *world, const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(world->context);

	world->unclear = lappend(world->unclear, pstrdup(name));
	MemoryContextSwitchTo(old);
}

/* Such a name begins with the table's, or with what room was left of it. */
#define KEPT_OF_NAME	20

bool
sd_world_may_be_chosen(SdWorld *world, const char *name)
{
	ListCell   *cell;

	foreach(cell, world->chosen)
	{
		const char *table = ((SdThing *) lfirst(cell))->name;

		if (strncmp(name, table, Min(strlen(table), KEPT_OF_NAME)) == 0)
			return true;
	}
	foreach(cell, world->unclear)
	{
		if (strcmp(name, lfirst(cell)) == 0)
			return true;
	}
	return false;
}

void
sd_world_cascade(SdWorld *world)
{
	world->cascades++;
}

int
sd_world_cascades(const SdWorld *world)
{
	return world->cascades;
}

/* ---- objects of the catalog ---- */

void
sd_world_mark(SdWorld *world, Oid class_id, Oid object, AttrNumber column, SdFate fate)
{
	ObjectAddress address;
	SdMarked   *marked;

	ObjectAddressSubSet(address, class_id, object, column);
	marked = hash_search(world->marked, &address, HASH_ENTER, NULL);
	marked->fate = fate;
	if (fate == SD_FATE_GOING)
	{
		MemoryContext old = MemoryContextSwitchTo(world->context);
		ObjectAddress *going = palloc(sizeof(ObjectAddress));

		*going = address;
		world->going = lappend(world->going, going);
		MemoryContextSwitchTo(old);
	}
}

SdFate
sd_world_fate(SdWorld *world, Oid class_id, Oid object, AttrNumber column)
{
	ObjectAddress address;
	SdMarked   *marked;

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
	return list_copy(world->going);
}

void
sd_world_gone(SdWorld *world)
{
	list_free_deep(world->going);
	world->going = NIL;
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
		((SdThing *) lfirst(cell))->filled = Max(((SdThing *) lfirst(cell))->filled, SD_HAS_PERHAPS);
}

/* ---- locks ---- */

LOCKMODE
sd_world_held(const SdWorld *world, const SdThing *thing)
{
	return thing->held_in == world->transaction ? thing->held : NoLock;
}

void
sd_world_hold(SdWorld *world, SdThing *thing, LOCKMODE lock)
{
	ListCell   *cell;

	if (sd_world_held(world, thing) >= lock)
		return;
	thing->held = lock;
	thing->held_in = world->transaction;
	foreach(cell, thing->members)
	{
		SdThing    *member = sd_world_of(world, lfirst_oid(cell));

		if (member)
			sd_world_hold(world, member, lock);
	}
}

void
sd_world_let_go(SdWorld *world)
{
	world->transaction++;
}
