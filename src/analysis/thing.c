/*
 * thing.c: columns and constraints of a relation as the script has left them; see world.h.
 *
 * Runs in a backend; reads system caches, takes no lock.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "analysis/world.h"

static SdColumn *
script_column(const SdThing *thing, const char *name)
{
	ListCell   *cell;

	/* the last word counts */
	for (int i = list_length(thing->columns) - 1; i >= 0; i--)
	{
		cell = list_nth_cell(thing->columns, i);
		if (strcmp(((SdColumn *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	}
	return NULL;
}

SdColumn *
sd_thing_column(SdThing *thing, const char *name)
{
	SdColumn   *column = script_column(thing, name);
	HeapTuple	tuple;
	Form_pg_attribute form;

	if (column)
		return column->gone ? NULL : column;
	if (!OidIsValid(thing->oid))
	{
		column = palloc0(sizeof(SdColumn));
		column->name = pstrdup(name);
		return column;
	}
	tuple = SearchSysCacheAttName(thing->oid, name);
	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_attribute) GETSTRUCT(tuple);
	column = palloc0(sizeof(SdColumn));
	column->name = pstrdup(name);
	column->number = form->attnum;
	column->type = form->atttypid;
	column->typmod = form->atttypmod;
	column->collation = form->attcollation;
	column->not_null = form->attnotnull;
	column->has_default = form->atthasdef && !form->attgenerated;
	column->identity = form->attidentity;
	column->generated = form->attgenerated;
	ReleaseSysCache(tuple);
	return column;
}

/* The context of the world: that of the thing. */
static MemoryContext
context_of(SdThing *thing)
{
	return GetMemoryChunkContext(thing);
}

SdColumn *
sd_thing_change_column(SdThing *thing, const SdColumn *column)
{
	MemoryContext old = MemoryContextSwitchTo(context_of(thing));
	SdColumn   *changed = palloc(sizeof(SdColumn));

	*changed = *column;
	changed->name = pstrdup(column->name);
	thing->columns = lappend(thing->columns, changed);
	MemoryContextSwitchTo(old);
	return changed;
}

void
sd_thing_add_column(SdThing *thing, const char *name)
{
	(void) sd_thing_change_column(thing, &(SdColumn) {.name = unconstify(char *, name)});
}

void
sd_thing_rename_column(SdThing *thing, const SdColumn *column, const char *name)
{
	SdColumn	renamed = *column;

	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, thing->constraints)
	{
		SdConstraint *constraint = lfirst(cell);

		foreach(inner, constraint->columns)
		{
			if (strcmp(lfirst(inner), column->name) == 0)
				lfirst(inner) = MemoryContextStrdup(context_of(thing), name);
		}
		if (constraint->not_null && strcmp(constraint->not_null, column->name) == 0)
			constraint->not_null = MemoryContextStrdup(context_of(thing), name);
	}
	sd_thing_change_column(thing, column)->gone = true;
	renamed.name = unconstify(char *, name);
	(void) sd_thing_change_column(thing, &renamed);
}

const SdColumn *
sd_thing_numbered(const SdThing *thing, AttrNumber number)
{
	const SdColumn *last = NULL;
	ListCell   *cell;

	/* a renamed one is gone by its old name first */
	foreach(cell, thing->columns)
	{
		const SdColumn *column = lfirst(cell);

		if (column->number == number)
			last = column;
	}
	return last;
}

void
sd_thing_lose_column(SdThing *thing, AttrNumber number)
{
	const SdColumn *known = sd_thing_numbered(thing, number);
	SdColumn	lost = {.number = number};
	char	   *name = known ? known->name : get_attname(thing->oid, number, true);

	if (name == NULL || (known && known->gone))
		return;
	lost.name = name;
	sd_thing_change_column(thing, &lost)->gone = true;
}

SdConstraint *
sd_thing_constraint(const SdThing *thing, const char *name)
{
	/* the last word counts */
	for (int i = list_length(thing->constraints) - 1; i >= 0; i--)
	{
		SdConstraint *constraint = list_nth(thing->constraints, i);

		if (strcmp(constraint->name, name) == 0)
			return constraint;
	}
	return NULL;
}
