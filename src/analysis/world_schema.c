/*
 * world_schema.c: schemas, and which of them are searched, as they are when a script gets there; see world.h.
 *
 * Runs in a backend; reads system caches, takes no lock.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "analysis/facts.h"
#include "analysis/world_state.h"

/* ---- names ---- */

static SdWorldSchema *
schema_of(SdWorld *world, const char *name)
{
	ListCell   *cell;

	foreach(cell, world->schemas)
	{
		if (strcmp(((SdWorldSchema *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	}
	return NULL;
}

Oid
sd_world_schema_oid(SdWorld *world, const char *name)
{
	SdWorldSchema *schema = schema_of(world, name);

	if (schema)
		return schema->gone ? InvalidOid : schema->oid;
	if (strcmp(name, "pg_temp") == 0)
		return LookupNamespaceNoError(name);
	return get_namespace_oid(name, true);
}

bool
sd_world_has_schema(SdWorld *world, const char *name)
{
	SdWorldSchema *schema = schema_of(world, name);

	return schema ? !schema->gone : OidIsValid(sd_world_schema_oid(world, name)) || strcmp(name, "pg_temp") == 0;
}

char *
sd_world_schema_in_catalog(SdWorld *world, const char *name)
{
	Oid			oid = sd_world_schema_oid(world, name);

	return OidIsValid(oid) ? get_namespace_name(oid) : NULL;
}

bool
sd_world_made_schema(SdWorld *world, const char *name)
{
	SdWorldSchema *schema = schema_of(world, name);

	return schema && !schema->gone && !OidIsValid(schema->oid);
}

/* The server leaves out of search_path what the user may not use; what the script itself has made of that is not known. */
static bool
may_use(SdWorld *world, const char *schema)
{
	Oid			oid = sd_world_schema_oid(world, schema);

	return world->rights || !OidIsValid(oid) || strcmp(schema, "pg_temp") == 0 || sd_compat_may_use_schema(oid, GetUserId());
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
		if (sd_world_has_schema(world, name) && may_use(world, name))
			path = lappend(path, name);
	}
	if (!creation && !catalog)
		path = lcons("pg_catalog", path);
	if (!creation && !temporary)
		path = lcons("pg_temp", path);
	return path;
}

/* What it is called now. */
char *
sd_world_schema_name(SdWorld *world, Oid oid)
{
	ListCell   *cell;

	foreach(cell, world->schemas)
	{
		SdWorldSchema *schema = lfirst(cell);

		if (schema->oid == oid && !schema->gone)
			return pstrdup(schema->name);
	}
	return get_namespace_name(oid);
}

/* ---- what is searched ---- */

void
sd_world_change_rights(SdWorld *world)
{
	world->rights = true;
}

void
sd_world_change_owners(SdWorld *world)
{
	world->owners = true;
}

bool
sd_world_rights_changed(const SdWorld *world)
{
	return world->rights || world->owners;
}

char *
sd_world_creation_schema(SdWorld *world)
{
	List	   *path = path_of(world, true);

	return path ? linitial(path) : pstrdup("public");
}

List *
sd_world_path(SdWorld *world)
{
	return path_of(world, false);
}

bool
sd_world_in_path(SdWorld *world, const char *schema)
{
	ListCell   *cell;

	foreach(cell, path_of(world, false))
	{
		if (strcmp(lfirst(cell), schema) == 0)
			return true;
	}
	return false;
}

/* ---- what the script does ---- */

static SdWorldSchema *
change_schema(SdWorld *world, const char *name)
{
	SdWorldSchema *schema = schema_of(world, name);
	MemoryContext old;

	if (schema)
		return schema;
	old = MemoryContextSwitchTo(world->context);
	schema = palloc0(sizeof(SdWorldSchema));
	schema->name = pstrdup(name);
	schema->oid = get_namespace_oid(name, true);
	world->schemas = lappend(world->schemas, schema);
	MemoryContextSwitchTo(old);
	return schema;
}

void
sd_world_make_schema(SdWorld *world, const char *name)
{
	SdWorldSchema *schema = change_schema(world, name);

	schema->gone = false;
	schema->oid = InvalidOid;
}

/* SdThing: what the script knows in it, and what the catalog has: by pg_depend, as pg_class has no index for that question */
static List *
in_schema(SdWorld *world, const char *name, bool (*wanted) (char kind))
{
	Oid			namespace = sd_world_schema_oid(world, name);
	List	   *things = NIL;
	HASH_SEQ_STATUS status;
	SdByName   *entry;
	ListCell   *cell;

	foreach(cell, OidIsValid(namespace) ? sd_fact_dependents(NamespaceRelationId, namespace, 0) : NIL)
	{
		ObjectAddress *object = &((SdDependent *) lfirst(cell))->object;
		Oid			relation = InvalidOid;

		if (object->classId == RelationRelationId)
			relation = object->objectId;
		else if (object->classId == TypeRelationId)
			relation = get_typ_typrelid(object->objectId);
		if (OidIsValid(relation) && wanted(get_rel_relkind(relation)))
			(void) sd_world_of(world, relation);
	}
	hash_seq_init(&status, world->by_name);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->thing && strcmp(entry->thing->schema, name) == 0 && wanted(entry->thing->kind))
			things = lappend(things, entry->thing);
	}
	return things;
}

static bool
is_whole(char kind)
{
	return kind != RELKIND_INDEX && kind != RELKIND_PARTITIONED_INDEX && kind != RELKIND_SEQUENCE;
}

static bool
is_sequence(char kind)
{
	return kind == RELKIND_SEQUENCE;
}

List *
sd_world_in_schema(SdWorld *world, const char *name)
{
	return in_schema(world, name, is_whole);
}

List *
sd_world_sequences_in_schema(SdWorld *world, const char *name)
{
	return in_schema(world, name, is_sequence);
}

static int
by_shown(const ListCell *a, const ListCell *b)
{
	return strcmp(((SdThing *) lfirst(a))->shown, ((SdThing *) lfirst(b))->shown);
}

void
sd_world_drop_schema(SdWorld *world, const char *name)
{
	SdWorldSchema *schema = change_schema(world, name);
	ListCell   *cell;
	HASH_SEQ_STATUS status;
	SdByName   *entry;

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
	SdWorldSchema *schema = change_schema(world, name);
	List	   *things = sd_world_in_schema(world, name);
	SdWorldSchema *renamed;
	ListCell   *cell;

	list_sort(things, by_shown);
	renamed = change_schema(world, to);
	renamed->gone = false;
	renamed->oid = schema->oid;
	schema->gone = true;
	foreach(cell, things)
		sd_world_move(world, lfirst(cell), to);
}
