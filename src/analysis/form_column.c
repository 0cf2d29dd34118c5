/*
 * form_column.c: ALTER TABLE ... DROP and ALTER COLUMN; ADD is in form_add_column.c, TYPE in form_type.c.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/heirs.h"

/* ---- DROP COLUMN ---- */

/* What CASCADE takes with it, and what stands in the way without. */
static void
look_at_dependents(SdForm *form, SdThing *table, SdColumn *column, bool cascade, SdMatch *match)
{
	bool		others = false;
	bool		doubtful = false;
	ListCell   *cell;

	foreach(cell, sd_follow_dependents(form->world, RelationRelationId, table->oid, column->number))
	{
		SdDependent *dependent = lfirst(cell);
		Oid			owner = sd_fact_owner_of(&dependent->object);
		SdThing    *thing;

		/* a policy that names it twice depends on it twice; of its own constraints and indexes the rules tell */
		if (dependent->type != DEPENDENCY_NORMAL || (dependent->object.classId == ConstraintRelationId && owner == table->oid))
			continue;
		if (dependent->object.classId == RewriteRelationId && owner != table->oid && OidIsValid(owner))
		{
			thing = sd_world_of(form->world, owner);
			if (thing == NULL || thing->gone)
				continue;
			if (dependent->doubtful && !cascade)
			{
				doubtful = true;
				continue;
			}
			others = true;
			match = cascade ? sd_form_match_table(form, "B4", table, true) : match;
			sd_match_cast(match, thing->kind == RELKIND_MATVIEW ? SD_ROLE_MATVIEW : SD_ROLE_VIEW, thing);
			form->takes = lappend(form->takes, psprintf("%s %s", thing->kind == RELKIND_MATVIEW ? "materialized view" : "view",
														thing->shown));
		}
		else if (dependent->object.classId == ConstraintRelationId && OidIsValid(owner))
		{
			thing = sd_world_of(form->world, owner);
			if (thing == NULL || thing->gone)
				continue;
			others = true;
			sd_match_cast(match, SD_ROLE_REFERENCING, thing);
			form->takes = lappend(form->takes, psprintf("a foreign key of %s", thing->shown));
		}
		else if (dependent->object.classId == PolicyRelationId || dependent->object.classId == TriggerRelationId)
		{
			others = true;
			match = sd_form_match_table(form, cascade ? "B4" : "B8", table, true);
			form->takes = lappend(form->takes, getObjectDescription(&dependent->object, true));
		}
		else
		{
			ObjectAddress object = dependent->object;

			/* no other default stands in the way than the expression of a generated column, which goes with it */
			if (object.classId == AttrDefaultRelationId)
			{
				object = GetAttrDefaultColumnAddress(object.objectId);
				if (cascade && object.objectId == table->oid)
					sd_thing_lose_column(table, (AttrNumber) object.objectSubId);
			}
			others = true;
			form->takes = lappend(form->takes, getObjectDescription(&object, true));
		}
	}
	if (others && !cascade)
	{
		sd_form_fails(form, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot drop column %s of table %s because other objects depend on it", column->name, table->name);
		form->takes = NIL;
	}
	else if (doubtful)
		sd_form_unsure(form, "a view that the script replaced may read column %s of table %s still", column->name, table->name);
}

const char *
sd_form_behind(const SdDropped *dropped)
{
	if (dropped->table->gone)
		return NULL;
	for (AttrNumber number = dropped->number + 1;; number++)
	{
		HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(dropped->table->oid), Int16GetDatum(number));
		const SdColumn *known = sd_thing_numbered(dropped->table, number);
		bool		gone;
		char	   *name;

		if (!HeapTupleIsValid(tuple))
			return NULL;
		gone = ((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped;
		name = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
		ReleaseSysCache(tuple);
		if (!gone && (known == NULL || !known->gone))
			return known ? known->name : name;
	}
}

static void
remember_dropped(SdForm *form, SdThing *table, const SdColumn *column)
{
	SdDropped  *dropped;

	if (column->number == 0 || !OidIsValid(table->oid))
		return;
	dropped = palloc(sizeof(SdDropped));
	dropped->table = table;
	dropped->number = column->number;
	dropped->name = pstrdup(column->name);
	form->dropped = lappend(form->dropped, dropped);
}

static void
drop_safer(SdMatch *match, SdThing *table, const SdColumn *column)
{
	if (column->not_null && !column->has_default && !column->identity)
	{
		sd_match_safer(match, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", table->shown, sd_quoted(column->name));
		sd_match_remark(match, "everywhere, before anybody stops writing it");
	}
	sd_match_safer(match, "-- when no application names it any more, and it is in no publication's list of columns in any region:\n"
				   "ALTER TABLE %s DROP COLUMN %s", table->shown, sd_quoted(column->name));
}

/* Children by inheritance lose theirs, too. */
static void
lose_column(SdForm *form, SdThing *table, const SdColumn *column, bool recurse, bool cascade)
{
	if (recurse)
		sd_heirs_drop_column(form, table, column->name);
	sd_follow_done(form->world, cascade);
	sd_world_drop_column(form->world, table, column->name);
	sd_thing_change_column(table, column)->gone = true;
}

void
sd_form_drop_column(SdForm *form, SdThing *table, AlterTableStmt *stmt, AlterTableCmd *command)
{
	SdColumn   *column = sd_form_column(form, table, command->name, command->missing_ok);
	bool		recurse = stmt->relation->inh;
	int			before = list_length(form->matches);
	ListCell   *cell;

	if (column == NULL)
	{
		if (command->missing_ok)
			sd_form_match_table(form, "B9", table, recurse)->harmless = true;
		return;
	}
	(void) sd_form_in_partition_key(form, table, column, "drop");
	if (column->number > 0 && column->not_null && !column->has_default && !column->identity && !column->generated)
		sd_form_match_table(form, "B3", table, recurse);
	if (table->kind == RELKIND_PARTITIONED_TABLE)
		sd_form_match_table(form, "B7", table, recurse);
	if (column->number > 0)
	{
		foreach(cell, sd_follow_foreign_keys(form->world, table))
		{
			SdForeignKey *key = lfirst(cell);

			if (bms_is_member(column->number, key->columns))
				sd_match_cast_whole(form, sd_form_match_table(form, "B5", table, recurse), SD_ROLE_REFERENCED, sd_world_of(form->world, key->to));
		}
		foreach(cell, sd_follow_indexes(form->world, table))
		{
			SdIndex    *index = lfirst(cell);

			if (!bms_is_member(column->number, index->keys) && !bms_is_member(column->number, index->expressions) &&
				!bms_is_member(column->number, index->predicate))
				continue;
			sd_match_why(sd_form_match_table(form, "B6", table, recurse), "Index %s goes with it.",
						 sd_quoted(get_rel_name(index->oid)));
			if (index->oid == sd_fact_replica_index(table->oid))
				sd_form_match_table(form, "F12", table, recurse);
		}
		sd_follow_drop(form->world, RelationRelationId, table->oid, column->number);
		look_at_dependents(form, table, column, command->behavior == DROP_CASCADE,
						   sd_form_match_table(form, list_length(form->matches) > before ?
											   ((SdMatch *) list_nth(form->matches, before))->rule : "B1", table, recurse));
	}
	if (list_length(form->matches) == before)
		sd_form_match_table(form, "B1", table, recurse);
	remember_dropped(form, table, column);
	for (int i = before; i < list_length(form->matches); i++)
	{
		SdMatch    *match = list_nth(form->matches, i);

		match->column = column;
		if (!recurse)
			sd_match_cast_children(form, match, table);
		drop_safer(match, table, column);
	}
	lose_column(form, table, column, recurse, command->behavior == DROP_CASCADE);
}

/* ---- ALTER COLUMN ---- */

/* Does a CHECK of the script say that the column has no nulls?  *below: in what inherits from it, too; *not_valid: it was not validated. */
static bool
script_proves_not_null(const SdThing *table, const char *column, bool *below, bool *not_valid)
{
	bool		proven = false;
	ListCell   *cell;

	foreach(cell, table->constraints)
	{
		SdConstraint *constraint = lfirst(cell);

		if (constraint->gone || constraint->not_null == NULL || strcmp(constraint->not_null, column) != 0)
			continue;
		proven |= constraint->valid;
		*below |= constraint->valid && !constraint->no_inherit;
		*not_valid |= !constraint->valid;
	}
	return proven;
}

/* Not by what the script has dropped, here or with a parent's. */
static bool
catalog_proves_not_null(SdForm *form, const SdThing *table, const SdThing *parent, AttrNumber number, bool *unknown)
{
	ListCell   *cell;

	foreach(cell, sd_fact_constraints(table->oid))
	{
		SdTableConstraint *constraint = lfirst(cell);
		SdTableConstraint *above = parent && !constraint->local ? sd_fact_constraint(parent->oid, constraint->name) : NULL;

		if (constraint->type == CONSTRAINT_CHECK && bms_is_member(number, constraint->columns) &&
			(sd_follow_is_gone(form->world, ConstraintRelationId, constraint->oid) ||
			 (above && sd_follow_is_gone(form->world, ConstraintRelationId, above->oid))))
			return false;
	}
	return sd_fact_proves_not_null(table->oid, number, unknown);
}

/* Has the script shown, or has the catalog, that the column has no nulls?  *not_valid: a check says so that was not validated. */
static bool
proves_not_null(SdForm *form, SdThing *table, const SdColumn *column, bool *below, bool *not_valid, bool *unknown)
{
	ListCell   *cell;

	*below = *not_valid = *unknown = false;
	if (script_proves_not_null(table, column->name, below, not_valid))
		return true;
	if (column->number == 0)
		return false;
	foreach(cell, sd_follow_constraints(form->world, table))
	{
		SdTableConstraint *constraint = lfirst(cell);
		SdConstraint *changed = sd_thing_constraint(table, constraint->name);

		if (constraint->type != CONSTRAINT_CHECK ||
			!sd_fact_is_not_null_check(constraint->oid, column->number))
			continue;
		if (changed && changed->valid)
		{
			*below = !constraint->no_inherit;
			return true;
		}
		if (!constraint->valid)
			*not_valid = true;
	}
	return catalog_proves_not_null(form, table, NULL, column->number, unknown);
}

List *
sd_form_nulls_below(SdForm *form, SdThing *table, const SdColumn *column)
{
	char	   *before = column->number > 0 && OidIsValid(table->oid) ? get_attname(table->oid, column->number, true) : NULL;
	List	   *below = NIL;
	ListCell   *cell;

	foreach(cell, sd_fact_descendants(table->oid))
	{
		SdThing    *child = sd_world_of(form->world, lfirst_oid(cell));
		SdColumn   *its = child && !child->gone ? sd_thing_column(child, column->name) : NULL;
		bool		any = false;

		/* renamed with its parent's */
		if (its == NULL && child && !child->gone && before)
			its = sd_thing_column(child, before);
		if (its && !its->not_null && !script_proves_not_null(child, its->name, &any, &any) &&
			(its->number == 0 || !catalog_proves_not_null(form, child, table, its->number, &any)))
			below = lappend_oid(below, child->oid);
	}
	return below;
}

static bool
has_unvalidated_not_null(SdForm *form, SdThing *table, const SdColumn *column)
{
	ListCell   *cell;

	foreach(cell, sd_follow_constraints(form->world, table))
	{
		SdTableConstraint *constraint = lfirst(cell);

		if (constraint->type == SD_COMPAT_CONSTRAINT_NOTNULL && !constraint->valid &&
			bms_is_member(column->number, constraint->columns))
			return true;
	}
	return false;
}

static void
advise_not_null(SdMatch *match, const SdThing *table, const SdColumn *column, bool not_valid)
{
	if (!not_valid)
	{
		sd_match_safer_not_null(match, table, list_make1(column->name));
		return;
	}
	sd_match_safer(match, "-- the constraint that is there first:\nALTER TABLE %s VALIDATE CONSTRAINT <its name>", table->shown);
	sd_match_safer(match, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", table->shown, sd_quoted(column->name));
}

static void
set_not_null(SdForm *form, SdThing *table, SdColumn *column, bool recurse)
{
	SdMatch    *match;
	List	   *read;
	bool		below;
	bool		not_valid;
	bool		unknown;

	if (column->number > 0 && has_unvalidated_not_null(form, table, column))
	{
		match = sd_form_match_table(form, "D9", table, recurse);
		sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT <its name>", table->shown);
		return;
	}
	if (column->not_null)
	{
		sd_form_match_table(form, "D11", table, recurse)->harmless = true;
		return;
	}
	if (proves_not_null(form, table, column, &below, &not_valid, &unknown))
	{
		match = sd_form_match_table(form, "D4", table, recurse);
		match->column = column;
		read = recurse && !below ? sd_form_nulls_below(form, table, column) : NIL;
		if (read != NIL)
		{
			match = sd_form_match(form, "D3");
			match->column = column;
			sd_match_cast_oids(form, match, table->kind == RELKIND_PARTITIONED_TABLE ? SD_ROLE_PARTITIONS : SD_ROLE_CHILD, read);
			sd_match_why(match, "The constraint that proves it of %s does not hold in what inherits from it.", table->shown);
			advise_not_null(match, table, column, false);
		}
	}
	else
	{
		match = sd_form_match_table(form, table->kind == RELKIND_PARTITIONED_TABLE ? "D10" : not_valid ? "D5" : "D3", table, recurse);
		match->column = column;
		if (unknown)
			sd_match_why(match, "Somebody holds %s exclusively; whether its constraints prove this was not looked at.", table->shown);
		if (column->number > 0 && sd_fact_has_nulls(table->oid, column->number))
			sd_match_why(match, "The statistics of %s.%s say that it has nulls: it will fail.", table->shown, sd_quoted(column->name));
		advise_not_null(match, table, column, not_valid);
	}
	sd_thing_change_column(table, column)->not_null = true;
}

static void
drop_not_null(SdForm *form, SdThing *table, SdColumn *column, bool recurse)
{
	ListCell   *cell;

	if (column->number > 0)
	{
		foreach(cell, sd_follow_indexes(form->world, table))
		{
			SdIndex    *index = lfirst(cell);

			if (!bms_is_member(column->number, index->own))
				continue;
			if (index->primary)
				sd_form_fails(form, ERRCODE_INVALID_TABLE_DEFINITION, "column \"%s\" is in a primary key", column->name);
			else if (index->identity)
				sd_form_fails(form, ERRCODE_INVALID_TABLE_DEFINITION, "column \"%s\" is in index used as replica identity", column->name);
		}
	}
	sd_form_match_table(form, "D12", table, recurse)->column = column;
	sd_thing_change_column(table, column)->not_null = false;
}

static void
alter_identity(SdForm *form, SdThing *table, SdColumn *column, AlterTableCmd *command, const char *rule)
{
	SdMatch    *match = sd_form_match_table(form, rule, table, false);

	match->column = column;
	if (column->number > 0 && command->subtype != AT_AddIdentity)
		sd_match_cast_oids(form, match, SD_ROLE_SEQUENCE, sd_fact_owned_sequences(table->oid, column->number));
	if (command->subtype == AT_AddIdentity)
	{
		sd_match_safer(match, "%s", sd_form_part(form));
		sd_match_safer(match, "-- its sequence begins at 1: above what is there, and apart in each region:\n"
					   "SELECT setval(pg_get_serial_sequence(%s, %s), (SELECT max(%s) FROM %s) + <this region's share>)",
					   quote_literal_cstr(table->shown), quote_literal_cstr(column->name), sd_quoted(column->name), table->shown);
	}
}

void
sd_form_alter_column(SdForm *form, SdThing *table, AlterTableStmt *stmt, AlterTableCmd *command)
{
	bool		recurse = stmt->relation->inh;
	SdColumn   *column;

	/* SET STATISTICS of an index names a column by number */
	if (command->name == NULL)
	{
		sd_form_match_table(form, "D13", table, false);
		return;
	}
	column = sd_form_column(form, table, command->name, false);
	if (column == NULL)
		return;
	switch (command->subtype)
	{
		case AT_ColumnDefault:
			if (command->def)
				sd_form_match_table(form, "D1", table, recurse)->column = column;
			else
			{
				SdMatch    *match = sd_form_match_table(form, "D2", table, recurse);

				match->column = column;
				match->backward = column->not_null && column->has_default ? SD_ANSWER_NO : SD_ANSWER_YES;
			}
			sd_follow_default(form->world, table, column);
			sd_thing_change_column(table, column)->has_default = command->def != NULL;
			break;
		case AT_SetNotNull:
			set_not_null(form, table, column, recurse);
			break;
		case AT_DropNotNull:
			drop_not_null(form, table, column, recurse);
			break;
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
			sd_form_match_table(form, "D13", table, recurse);
			break;
		case AT_SetStorage:
			sd_form_match_table(form, "D14", table, recurse);
			break;
		case AT_SetCompression:
			sd_form_match_table(form, "D15", table, recurse);
			break;
		case AT_AddIdentity:
			alter_identity(form, table, column, command, "D16");
			break;
		case AT_SetIdentity:
			alter_identity(form, table, column, command, "D17");
			break;
		case AT_DropIdentity:
			alter_identity(form, table, column, command, "D18");
			break;
		case AT_DropExpression:
			sd_form_match_table(form, "D21", table, recurse)->column = column;
			sd_follow_default(form->world, table, column);
			break;
		default:
			if (SD_COMPAT_AT_SET_EXPRESSION(command->subtype))
				sd_form_match_table(form, column->generated == ATTRIBUTE_GENERATED_STORED ? "D19" : "D20", table, recurse);
			break;
	}
}
