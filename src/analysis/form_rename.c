/*
 * form_rename.c: what is renamed, or moved to another schema.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/heirs.h"
#include "analysis/routine.h"
#include "analysis/type.h"

static void
rename_column(SdForm *form, RenameStmt *stmt)
{
	SdThing    *thing = sd_form_relation(form, stmt->relation, stmt->missing_ok);
	SdColumn   *column;
	SdMatch    *match;
	const char *new_name = sd_quoted(stmt->newname);
	const char *name = sd_quoted(stmt->subname);
	ListCell   *cell;

	if (thing == NULL)
		return;
	foreach(cell, thing->kind == RELKIND_COMPOSITE_TYPE && !thing->made ? sd_form_typed_tables(form, get_rel_type_id(thing->oid)) : NIL)
	{
		SdThing    *typed = lfirst(cell);
		SdColumn   *attribute = sd_thing_column(typed, stmt->subname);

		if (stmt->behavior != DROP_CASCADE)
			sd_form_fails(form, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot alter type \"%s\" because it is the type of a typed table", thing->name);
		if (attribute == NULL)
			continue;
		sd_form_match_table(form, "B10", typed, true)->column = attribute;
		sd_heirs_rename_column(form, typed, stmt->subname, stmt->newname);
		sd_thing_rename_column(typed, attribute, stmt->newname);
	}
	if (thing->kind == RELKIND_VIEW || thing->kind == RELKIND_COMPOSITE_TYPE)
	{
		sd_match_cast(sd_form_match(form, thing->kind == RELKIND_VIEW ? "J5" : "I7"), SD_ROLE_VIEW, thing);
		thing->vague = true;
		return;
	}
	column = sd_form_column(form, thing, stmt->subname, false);
	if (column == NULL)
		return;
	if (!thing->made && sd_thing_column(thing, stmt->newname))
		sd_form_fails(form, ERRCODE_DUPLICATE_COLUMN, "column \"%s\" of relation \"%s\" already exists", stmt->newname, thing->name);
	match = sd_form_match_table(form, thing->kind == RELKIND_PARTITIONED_TABLE ? "B11" : "B10", thing, stmt->relation->inh);
	match->column = column;
	sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s %s", thing->shown, new_name, OidIsValid(column->type) ?
				   format_type_with_typemod(column->type, column->typmod) : "<its type>");
	sd_match_safer(match, "-- a trigger BEFORE INSERT OR UPDATE that keeps %s and %s equal, then\n"
				   "ALTER TABLE %s ENABLE ALWAYS TRIGGER <its name>", name, new_name, thing->shown);
	sd_match_remark(match, "so that rows of other regions get both, too");
	sd_match_safer(match, "-- in batches, in ONE region: UPDATE %s SET %s = %s WHERE %s IS NULL AND <a range of the key>", thing->shown, new_name,
				   name, new_name);
	sd_match_safer(match, "-- when no application names %s: drop the trigger, and ALTER TABLE %s DROP COLUMN %s as rule B2 says", name,
				   thing->shown, name);
	if (stmt->relation->inh)
		sd_heirs_rename_column(form, thing, stmt->subname, stmt->newname);
	sd_thing_rename_column(thing, column, stmt->newname);
}

/* A constraint of a table, if there is one so called. */
static void
rename_key(SdForm *form, SdThing *table, const char *name, const char *to)
{
	SdConstraint *changed = table ? sd_thing_constraint(table, name) : NULL;
	SdTableConstraint *known = table ? sd_follow_constraint(form->world, table, name) : NULL;
	MemoryContext old;

	if (changed && !changed->gone)
		changed->name = MemoryContextStrdup(GetMemoryChunkContext(table), to);
	else if (known)
	{
		old = MemoryContextSwitchTo(GetMemoryChunkContext(table));
		changed = palloc0(sizeof(SdConstraint));
		changed->name = pstrdup(to);
		changed->type = known->type;
		changed->valid = known->valid;
		table->constraints = lappend(table->constraints, changed);
		MemoryContextSwitchTo(old);
	}
	if (known)
	{
		changed->object = known->oid;
		sd_follow_change(form->world, ConstraintRelationId, known->oid);
	}
}

static void
rename_relation(SdForm *form, RenameStmt *stmt)
{
	SdThing    *thing = sd_form_relation(form, stmt->relation, stmt->missing_ok);
	SdMatch    *match;

	if (thing == NULL)
	{
		if (stmt->missing_ok)
			sd_form_match(form, "B20")->harmless = true;
		else if (form->unsure)
			sd_world_unclear(form->world, stmt->newname);
		return;
	}
	if (sd_world_find(form->world, makeRangeVar(thing->schema, stmt->newname, -1)))
		sd_form_fails(form, ERRCODE_DUPLICATE_TABLE, "relation \"%s\" already exists", stmt->newname);
	switch (thing->kind)
	{
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			match = sd_form_match(form, "F16");
			/* ALTER TABLE locks it like a table */
			if (stmt->renameType != OBJECT_INDEX)
				match->lock = AccessExclusiveLock;
			sd_match_cast(match, SD_ROLE_INDEX, thing);
			break;
		case RELKIND_VIEW:
			match = sd_form_match(form, "J5");
			sd_match_cast(match, SD_ROLE_VIEW, thing);
			break;
		case RELKIND_SEQUENCE:
			match = sd_form_match(form, "B12");
			sd_match_cast(match, SD_ROLE_TABLE, thing);
			break;
		default:
			match = sd_form_match_table(form, "B12", thing, false);
			sd_match_safer(match, "-- in one transaction; statements of the old application go on through the view\n%s", form->text);
			sd_match_safer(match, "CREATE VIEW %s AS SELECT * FROM %s", thing->shown,
						   quote_qualified_identifier(thing->schema, stmt->newname));
			sd_match_safer(match, "-- where it is published replication matches names: there only pausing writes and draining helps, or keep the name");
			break;
	}
	/* another table of that name was there when the script began */
	if (thing->made)
	{
		SdThing    *was = sd_world_was(form->world, thing->schema, stmt->newname);

		if (was)
		{
			match = sd_form_match(form, "G23");
			match->probed = SD_PROBED_NOTHING;
			sd_match_cast(match, SD_ROLE_TABLE, was);
		}
	}
	if (thing->kind == RELKIND_INDEX || thing->kind == RELKIND_PARTITIONED_INDEX)
		rename_key(form, sd_form_table_of(form, thing), thing->name, stmt->newname);
	sd_world_rename(form->world, thing, stmt->newname);
}

static void
rename_constraint(SdForm *form, RenameStmt *stmt)
{
	SdThing    *table = sd_form_relation(form, stmt->relation, stmt->missing_ok);
	SdTableConstraint *known;
	SdConstraint *changed;
	SdThing    *index;
	char		type;
	ListCell   *cell;

	if (table == NULL)
		return;
	known = sd_follow_constraint(form->world, table, stmt->subname);
	changed = sd_thing_constraint(table, stmt->subname);
	if (!table->made && known == NULL && (changed == NULL || changed->gone))
		sd_form_no_constraint(form, table, stmt->subname);
	sd_form_match_table(form, "E30", table, stmt->relation->inh);
	/* those of an index or a foreign key have their own names */
	type = known ? known->type : changed && !changed->gone ? changed->type : '\0';
	if ((type == CONSTRAINT_CHECK || type == SD_COMPAT_CONSTRAINT_NOTNULL) && stmt->relation->inh)
	{
		foreach(cell, sd_heirs(form, table))
			rename_key(form, lfirst(cell), stmt->subname, stmt->newname);
	}
	rename_key(form, table, stmt->subname, stmt->newname);
	/* its index has the same name */
	index = sd_world_find(form->world, makeRangeVar(table->schema, stmt->subname, -1));
	if (index && (index->kind == RELKIND_INDEX || index->kind == RELKIND_PARTITIONED_INDEX) && sd_form_table_of(form, index) == table)
		sd_world_rename(form->world, index, stmt->newname);
}

void
sd_form_rename(SdForm *form, RenameStmt *stmt)
{
	switch (stmt->renameType)
	{
		case OBJECT_COLUMN:
		case OBJECT_ATTRIBUTE:
			rename_column(form, stmt);
			break;
		case OBJECT_TABLE:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_INDEX:
			rename_relation(form, stmt);
			break;
		case OBJECT_TABCONSTRAINT:
			rename_constraint(form, stmt);
			break;
		case OBJECT_SCHEMA:
			sd_form_object(form, sd_quoted(stmt->subname));
			if (!sd_world_has_schema(form->world, stmt->subname))
			{
				sd_form_fails(form, ERRCODE_UNDEFINED_SCHEMA, "schema \"%s\" does not exist", stmt->subname);
				return;
			}
			if (sd_world_has_schema(form->world, stmt->newname))
			{
				sd_form_fails(form, ERRCODE_DUPLICATE_SCHEMA, "schema \"%s\" already exists", stmt->newname);
				return;
			}
			{
				SdMatch    *match = sd_form_match(form, "B14");
				List	   *things = sd_world_in_schema(form->world, stmt->subname);
				ListCell   *cell;

				/* what is affected, although nothing of it is locked */
				foreach(cell, things)
				{
					if (((SdThing *) lfirst(cell))->kind != RELKIND_VIEW)
						sd_match_cast_new(match, SD_ROLE_TABLE, lfirst(cell));
				}
				if (sd_world_made_schema(form->world, stmt->subname) || things == NIL)
					match->harmless = true;
				sd_world_rename_schema(form->world, stmt->subname, stmt->newname);
				sd_type_move_schema(form, stmt->subname, stmt->newname);
				sd_routine_move_schema(form, stmt->subname, stmt->newname);
			}
			break;
		case OBJECT_TRIGGER:
		case OBJECT_RULE:
		case OBJECT_POLICY:
			sd_form_rename_attached(form, stmt);
			break;
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
		case OBJECT_DOMCONSTRAINT:
			sd_form_object(form, NameListToString(castNode(List, stmt->object)));
			sd_form_match(form, "I5");
			if (stmt->renameType != OBJECT_DOMCONSTRAINT)
				sd_type_move(form, castNode(List, stmt->object), NULL, stmt->newname);
			break;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_AGGREGATE:
			sd_routine_rename(form, stmt->renameType, castNode(ObjectWithArgs, stmt->object), NULL, stmt->newname);
			break;
		default:
			break;
	}
}

void
sd_form_set_schema(SdForm *form, AlterObjectSchemaStmt *stmt)
{
	SdThing    *thing = NULL;
	SdMatch    *match;

	/* with IF EXISTS nobody looks at the schema where there is nothing to move */
	if (stmt->relation)
	{
		thing = sd_form_relation(form, stmt->relation, stmt->missing_ok);
		if (thing == NULL)
		{
			if (stmt->missing_ok)
				sd_form_match(form, "B20")->harmless = true;
			return;
		}
	}
	if (!sd_world_has_schema(form->world, stmt->newschema))
		sd_form_fails(form, ERRCODE_UNDEFINED_SCHEMA, "schema \"%s\" does not exist", stmt->newschema);
	switch (stmt->objectType)
	{
		case OBJECT_TABLE:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_VIEW:
			if (thing->kind == RELKIND_VIEW)
			{
				sd_match_cast(sd_form_match(form, "J5"), SD_ROLE_VIEW, thing);
			}
			else
			{
				match = sd_form_match_table(form, "B13", thing, false);
				sd_match_cast_oids(form, match, SD_ROLE_SEQUENCE, sd_fact_owned_sequences(thing->oid, 0));
			}
			sd_world_move(form->world, thing, stmt->newschema);
			break;
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			sd_form_object(form, NameListToString(castNode(List, stmt->object)));
			sd_form_match(form, "I5");
			sd_type_move(form, castNode(List, stmt->object), stmt->newschema, NULL);
			break;
		case OBJECT_EXTENSION:
			/* with all that it has */
			sd_world_lose_sight(form->world, psprintf("ALTER EXTENSION %s SET SCHEMA", sd_quoted(strVal(stmt->object))));
			break;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_AGGREGATE:
			sd_routine_rename(form, stmt->objectType, castNode(ObjectWithArgs, stmt->object), stmt->newschema, NULL);
			break;
		default:
			break;
	}
}
