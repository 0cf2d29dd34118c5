/*
 * type.c: types, as they are when a script gets there; see type.h.
 *
 * Runs in a backend; reads system caches, takes no lock.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "analysis/follow.h"
#include "analysis/type.h"

/* One that is not as the catalog has it. */
typedef struct SdNamedType
{
	char	   *schema;
	char	   *name;
	Oid			oid;			/* of the catalog, which is so called now; InvalidOid: made */
} SdNamedType;

static const char *
schema_in(List *names)
{
	return list_length(names) > 1 ? strVal(list_nth(names, list_length(names) - 2)) : NULL;
}

static SdNamedType *
by_script(SdForm *form, const char *schema, const char *name)
{
	ListCell   *cell;

	foreach(cell, *sd_world_types(form->world))
	{
		SdNamedType *type = lfirst(cell);

		if (strcmp(type->name, name) == 0 && strcmp(type->schema, schema) == 0)
			return type;
	}
	return NULL;
}

static Oid
by_catalog(SdForm *form, const char *schema, const char *name)
{
	Oid			namespace = sd_world_schema_oid(form->world, schema);
	Oid			oid;

	if (!OidIsValid(namespace))
		return InvalidOid;
	oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name), ObjectIdGetDatum(namespace));
	/* renamed, or moved: it is known by its other name */
	if (sd_follow_is_gone(form->world, TypeRelationId, oid) || sd_follow_is_changed(form->world, TypeRelationId, oid))
		return InvalidOid;
	return oid;
}

/* The schema where the name leads; NULL: there is none.  *named: the script's own word on it; NULL: it is as in the catalog. */
static const char *
resolve(SdForm *form, List *names, SdNamedType **named, Oid *oid)
{
	const char *schema = schema_in(names);
	const char *name = strVal(llast(names));
	ListCell   *cell;

	foreach(cell, schema ? list_make1(unconstify(char *, schema)) : sd_world_path(form->world))
	{
		*named = by_script(form, lfirst(cell), name);
		*oid = *named ? (*named)->oid : by_catalog(form, lfirst(cell), name);
		if (*named || OidIsValid(*oid))
			return lfirst(cell);
	}
	return NULL;
}

Oid
sd_form_type(SdForm *form, const TypeName *name, int32 *typmod, bool *made)
{
	TypeName   *resolved = unconstify(TypeName *, name);
	SdNamedType *named;
	Oid			oid;
	Type		type;

	*typmod = -1;
	if (made)
		*made = false;
	if (name->names != NIL && !name->pct_type)
	{
		if (!resolve(form, name->names, &named, &oid))
			return InvalidOid;
		if (made)
			*made = !OidIsValid(oid);
		if (OidIsValid(oid) && name->arrayBounds != NIL)
			oid = get_array_type(oid);
		if (!OidIsValid(oid))
			return InvalidOid;
		resolved = makeTypeNameFromOid(oid, name->typemod);
		resolved->typmods = name->typmods;
	}
	type = LookupTypeName(NULL, resolved, typmod, true);
	if (type == NULL)
		return InvalidOid;
	oid = typeTypeId(type);
	ReleaseSysCache(type);
	return oid;
}

/* A relation's rows, an array by its own name, what comes with a range, a temporary one: the script need not say CREATE TYPE. */
static bool
comes_along(SdForm *form, const TypeName *name)
{
	const char *last = strVal(llast(name->names));
	Type		type;

	if (last[0] == '_' || strstr(last, "multirange") ||
		sd_world_find(form->world, makeRangeVar((char *) schema_in(name->names), (char *) last, -1)))
		return true;
	type = LookupTypeName(NULL, name, NULL, true);
	if (type)
		ReleaseSysCache(type);
	return type != NULL;
}

void
sd_type_must_exist(SdForm *form, const TypeName *name)
{
	SdNamedType *named;
	Oid			oid;

	if (name == NULL || name->names == NIL || name->pct_type || sd_form_is_serial(name) || resolve(form, name->names, &named, &oid) ||
		comes_along(form, name))
		return;
	sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "type \"%s\" does not exist", NameListToString(name->names));
}

static void
note(SdForm *form, const char *schema, const char *name, Oid oid)
{
	List	  **types = sd_world_types(form->world);
	MemoryContext old = MemoryContextSwitchTo(sd_world_context(form->world));
	SdNamedType *type = palloc(sizeof(SdNamedType));

	type->schema = pstrdup(schema);
	type->name = pstrdup(name);
	type->oid = oid;
	*types = lcons(type, *types);
	MemoryContextSwitchTo(old);
}

/* A composite type is a relation as well. */
static SdThing *
relation_of(SdForm *form, const char *schema, List *names)
{
	SdThing    *thing = sd_world_find(form->world, makeRangeVar(pstrdup(schema), strVal(llast(names)), -1));

	return thing && thing->kind == RELKIND_COMPOSITE_TYPE ? thing : NULL;
}

void
sd_type_make(SdForm *form, List *names)
{
	const char *schema = schema_in(names);

	note(form, schema ? schema : sd_world_creation_schema(form->world), strVal(llast(names)), InvalidOid);
}

void
sd_type_drop(SdForm *form, List *names)
{
	SdNamedType *named;
	Oid			oid;
	const char *found = resolve(form, names, &named, &oid);
	SdThing    *relation = found ? relation_of(form, found, names) : NULL;

	if (found && named)
		*sd_world_types(form->world) = list_delete_ptr(*sd_world_types(form->world), named);
	/* one of the catalog goes when the statement is done */
	if (relation && relation->made)
		sd_world_drop(form->world, relation);
}

void
sd_type_move(SdForm *form, List *names, const char *schema, const char *name)
{
	SdNamedType *named;
	Oid			oid;
	const char *found = resolve(form, names, &named, &oid);
	SdThing    *relation = found ? relation_of(form, found, names) : NULL;

	if (found == NULL)
		return;
	if (relation && schema)
		sd_world_move(form->world, relation, schema);
	if (relation && name)
		sd_world_rename(form->world, relation, name);
	note(form, schema ? schema : found, name ? name : strVal(llast(names)), oid);
	if (named)
		*sd_world_types(form->world) = list_delete_ptr(*sd_world_types(form->world), named);
	sd_follow_change(form->world, TypeRelationId, oid);
}

static List *
add_object(List *objects, Oid oid)
{
	ObjectAddress *object = palloc(sizeof(ObjectAddress));

	ObjectAddressSet(*object, TypeRelationId, oid);
	return lappend(objects, object);
}

List *
sd_types_in_schema(SdForm *form, const char *schema)
{
	Oid			namespace = sd_world_schema_oid(form->world, schema);
	List	   *objects = NIL;
	ListCell   *cell;

	foreach(cell, OidIsValid(namespace) ? sd_fact_dependents(NamespaceRelationId, namespace, 0) : NIL)
	{
		const ObjectAddress *object = &((SdDependent *) lfirst(cell))->object;

		if (object->classId == TypeRelationId && sd_world_fate(form->world, TypeRelationId, object->objectId, 0) == SD_FATE_NONE)
			objects = add_object(objects, object->objectId);
	}
	foreach(cell, *sd_world_types(form->world))
	{
		SdNamedType *type = lfirst(cell);

		if (OidIsValid(type->oid) && strcmp(type->schema, schema) == 0 && !sd_follow_is_gone(form->world, TypeRelationId, type->oid))
			objects = add_object(objects, type->oid);
	}
	return objects;
}

void
sd_type_move_schema(SdForm *form, const char *schema, const char *to)
{
	List	  **types = sd_world_types(form->world);
	ListCell   *cell;

	foreach(cell, *types)
	{
		SdNamedType *type = lfirst(cell);

		if (strcmp(type->schema, schema) != 0)
			continue;
		if (to)
			type->schema = MemoryContextStrdup(sd_world_context(form->world), to);
		else
			*types = foreach_delete_current(*types, cell);
	}
}
