/*
 * heirs.c: partitions and children by inheritance, which get what their parent gets.
 *
 * As the catalog has them, without those that the script took away, with those that it added.  Runs in a backend; reads system
 * caches, takes no lock.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "analysis/follow.h"
#include "analysis/heirs.h"

static void
add_heirs(SdForm *form, SdThing *table, List **heirs)
{
	ListCell   *cell;
	List	   *own = list_copy(table->heirs);

	check_stack_depth();
	foreach(cell, sd_fact_children(table->oid))
	{
		SdThing    *heir = sd_world_of(form->world, lfirst_oid(cell));

		if (heir && !list_member_ptr(table->left, heir))
			own = lappend(own, heir);
	}
	foreach(cell, own)
	{
		SdThing    *heir = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		/* a child may have it from several */
		if (heir->gone || (table->kind != RELKIND_PARTITIONED_TABLE && list_member_ptr(*heirs, heir)))
			continue;
		*heirs = lappend(*heirs, heir);
		add_heirs(form, heir, heirs);
	}
}

List *
sd_heirs(SdForm *form, SdThing *table)
{
	List	   *heirs = NIL;

	add_heirs(form, table, &heirs);
	return heirs;
}

void
sd_heirs_join(SdForm *form, SdThing *parent, SdThing *heir)
{
	MemoryContext old;

	if (heir == parent || list_member_ptr(sd_heirs(form, heir), parent))
	{
		sd_form_fails(form, ERRCODE_DUPLICATE_TABLE, "circular inheritance not allowed");
		return;
	}
	old = MemoryContextSwitchTo(GetMemoryChunkContext(parent));
	parent->left = list_delete_ptr(parent->left, heir);
	parent->heirs = list_append_unique_ptr(parent->heirs, heir);
	MemoryContextSwitchTo(old);
}

void
sd_heirs_leave(SdThing *parent, SdThing *heir)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(parent));

	parent->heirs = list_delete_ptr(parent->heirs, heir);
	parent->left = list_append_unique_ptr(parent->left, heir);
	MemoryContextSwitchTo(old);
}

void
sd_heirs_choose(SdForm *form, SdThing *table)
{
	ListCell   *cell;

	foreach(cell, sd_heirs(form, table))
		sd_world_choose(form->world, lfirst(cell));
}

/* ---- columns ---- */

void
sd_heirs_add_column(SdForm *form, SdThing *table, const SdColumn *column)
{
	SdColumn	inherited = *column;
	ListCell   *cell;

	inherited.inherited = true;
	foreach(cell, sd_heirs(form, table))
	{
		SdThing    *heir = lfirst(cell);

		/* one that it has is merged with it */
		if (!heir->made && sd_thing_column(heir, column->name) == NULL)
			(void) sd_thing_change_column(heir, &inherited);
	}
}

void
sd_heirs_rename_column(SdForm *form, SdThing *table, const char *name, const char *to)
{
	ListCell   *cell;

	foreach(cell, sd_heirs(form, table))
	{
		SdThing    *heir = lfirst(cell);
		SdColumn   *column = sd_thing_column(heir, name);

		if (column)
			sd_thing_rename_column(heir, column, to);
	}
}

/* One that is the child's own as well, or that it has from another parent too, stays. */
static bool
is_only_inherited(Oid table, AttrNumber number)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(table), Int16GetDatum(number));
	bool		only = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_attribute form = (Form_pg_attribute) GETSTRUCT(tuple);

		only = form->attinhcount == 1 && !form->attislocal;
		ReleaseSysCache(tuple);
	}
	return only;
}

void
sd_heirs_drop_column(SdForm *form, SdThing *table, const char *name)
{
	ListCell   *cell;

	foreach(cell, sd_heirs(form, table))
	{
		SdThing    *heir = lfirst(cell);
		SdColumn   *column = sd_thing_column(heir, name);

		if (column == NULL)
			continue;
		if (column->inherited)
			sd_thing_change_column(heir, column)->gone = true;
		else if (column->number > 0 && is_only_inherited(heir->oid, column->number))
			sd_follow_drop(form->world, RelationRelationId, heir->oid, column->number);
	}
}

/* ---- constraints ---- */

static bool
is_index(char type)
{
	return type == CONSTRAINT_PRIMARY || type == CONSTRAINT_UNIQUE || type == CONSTRAINT_EXCLUSION;
}

static void
remember(SdThing *heir, const SdConstraint *constraint)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(heir));
	SdConstraint *copy = palloc(sizeof(SdConstraint));

	*copy = *constraint;
	copy->name = pstrdup(constraint->name);
	copy->columns = list_copy(constraint->columns);
	copy->object = InvalidOid;
	copy->inherited = true;
	/* another one there may have the name, and then it gets another one */
	copy->chosen |= constraint->type != CONSTRAINT_CHECK;
	heir->constraints = lappend(heir->constraints, copy);
	MemoryContextSwitchTo(old);
}

void
sd_heirs_add_constraint(SdForm *form, SdThing *table, const SdConstraint *constraint)
{
	ListCell   *cell;

	if ((constraint->type == CONSTRAINT_FOREIGN || is_index(constraint->type)) && table->kind != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(cell, sd_heirs(form, table))
	{
		SdThing    *heir = lfirst(cell);
		SdConstraint *known = sd_thing_constraint(heir, constraint->name);

		if (is_index(constraint->type))
			sd_world_choose(form->world, heir);
		else if ((known == NULL || known->gone) && sd_follow_constraint(form->world, heir, constraint->name) == NULL)
			remember(heir, constraint);
	}
}

/* A CHECK of a child is none of pg_depend's. */
static bool
goes_along(const SdTableConstraint *constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint->oid));
	bool		goes = false;

	if (HeapTupleIsValid(tuple))
	{
		goes = !constraint->local && ((Form_pg_constraint) GETSTRUCT(tuple))->coninhcount == 1;
		ReleaseSysCache(tuple);
	}
	return goes;
}

void
sd_heirs_drop_constraint(SdForm *form, SdThing *table, const char *name)
{
	ListCell   *cell;

	foreach(cell, sd_heirs(form, table))
	{
		SdThing    *heir = lfirst(cell);
		SdConstraint *known = sd_thing_constraint(heir, name);
		SdTableConstraint *catalog = sd_follow_constraint(form->world, heir, name);

		if (known && known->inherited)
			known->gone = true;
		else if (catalog && goes_along(catalog))
		{
			sd_follow_drop(form->world, ConstraintRelationId, catalog->oid, 0);
			if (known)
				known->gone = true;
		}
	}
}
