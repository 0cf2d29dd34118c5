/*
 * form_column.c: ALTER TABLE ... ADD, DROP and ALTER COLUMN; its types are in form_type.c.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"

/* ---- ADD COLUMN ---- */

typedef struct Added
{
	ColumnDef  *column;
	Oid			type;			/* InvalidOid: not known (yet) */
	int32		typmod;
	bool		serial;
	bool		identity;
	bool		not_null;
	bool		null;
	bool		unique;
	bool		primary;
	char		generated;
	Node	   *raw_default;	/* NULL: none, or DEFAULT NULL */
	Node	   *check;
	Constraint *reference;
} Added;

static bool
is_null(Node *expression)
{
	return IsA(expression, A_Const) && ((A_Const *) expression)->isnull;
}

static void
look_at_constraint(Added *added, Constraint *constraint)
{
	switch (constraint->contype)
	{
		case CONSTR_DEFAULT:
			if (!is_null(constraint->raw_expr))
				added->raw_default = constraint->raw_expr;
			break;
		case CONSTR_NOTNULL:
			added->not_null = true;
			break;
		case CONSTR_NULL:
			added->null = true;
			break;
		case CONSTR_IDENTITY:
			added->identity = true;
			break;
		case CONSTR_GENERATED:
			added->generated = sd_compat_generated_kind(constraint);
			break;
		case CONSTR_CHECK:
			added->check = constraint->raw_expr;
			break;
		case CONSTR_PRIMARY:
			added->primary = true;
			break;
		case CONSTR_UNIQUE:
			added->unique = true;
			break;
		case CONSTR_FOREIGN:
			added->reference = constraint;
			break;
		default:
			break;
	}
}

static void
look_at_column(SdForm *form, Added *added, ColumnDef *column)
{
	ListCell   *cell;

	memset(added, 0, sizeof(*added));
	added->column = column;
	added->typmod = -1;
	if (column->raw_default && !is_null(column->raw_default))
		added->raw_default = column->raw_default;
	added->not_null = column->is_not_null;
	added->serial = sd_form_is_serial(column->typeName);
	if (!added->serial)
		added->type = sd_form_type(form, column->typeName, &added->typmod, NULL);
	foreach(cell, column->constraints)
		look_at_constraint(added, lfirst_node(Constraint, cell));
}

/* how it was written, for statements to paste */
static char *
type_text(const Added *added)
{
	if (added->serial)
	{
		const char *name = strVal(linitial(added->column->typeName->names));

		return strncmp(name, "small", 5) == 0 || name[6] == '2' ? "smallint" :
			strncmp(name, "big", 3) == 0 || name[6] == '8' ? "bigint" : "integer";
	}
	return OidIsValid(added->type) ? format_type_with_typemod(added->type, added->typmod) :
		TypeNameToString(added->column->typeName);
}

static bool
may_have_rows(SdThing *table)
{
	if (table->made)
		return table->filled;
	return true;
}

/* Values that differ from row to row, and between regions. */
static void
add_volatile(SdForm *form, SdThing *table, const Added *added, const char *rule)
{
	SdMatch    *match = sd_form_match_table(form, rule, table, true);
	const char *column = sd_quoted(added->column->colname);
	const char *type = type_text(added);

	if (may_have_rows(table))
		sd_match_why(match, "Each region would give the rows that are there other values of %s.", column);
	sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s %s", table->shown, column, type);
	if (added->serial || added->identity)
	{
		sd_match_safer(match, "-- fill it in ONE region, in batches, and let replication bring it to the others (or from the key: the same everywhere):\n"
					   "-- UPDATE %s SET %s = ... WHERE %s IS NULL AND ... LIMIT-sized ranges of the key", table->shown, column, column);
		sd_match_safer(match, "-- then a sequence that starts elsewhere in each region:\n"
					   "-- CREATE SEQUENCE ... INCREMENT BY <regions> START WITH <this region>; ALTER TABLE %s ALTER COLUMN %s SET DEFAULT nextval(...)",
					   table->shown, column);
	}
	else
	{
		sd_match_safer(match, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT <the expression>", table->shown, column);
		sd_match_safer(match, "-- fill it in ONE region, in batches (or with an expression of the key that is the same everywhere):\n"
					   "-- UPDATE %s SET %s = ... WHERE %s IS NULL AND <a range of the key>", table->shown, column, column);
	}
	if (added->not_null)
	{
		const char *name = sd_quoted(makeObjectName(table->name, added->column->colname, "not_null"));

		sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID", table->shown, name, column);
		sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, name);
		sd_match_safer(match, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", table->shown, column);
		sd_match_safer(match, "ALTER TABLE %s DROP CONSTRAINT %s", table->shown, name);
	}
}

static void
add_generated(SdForm *form, SdThing *table, const Added *added)
{
	SdMatch    *match;
	const char *column = sd_quoted(added->column->colname);

	if (added->generated != ATTRIBUTE_GENERATED_STORED)
	{
		sd_form_match_table(form, added->not_null || added->check ? "A11" : "A10", table, true);
		return;
	}
	match = sd_form_match_table(form, "A9", table, true);
	sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s %s", table->shown, column, type_text(added));
	sd_match_safer(match, "-- a trigger BEFORE INSERT OR UPDATE that sets %s, then\n"
				   "ALTER TABLE %s ENABLE ALWAYS TRIGGER <its name>  -- so that replicated rows get it, too", column, table->shown);
	sd_match_safer(match, "-- in batches: UPDATE %s SET %s = <expression> WHERE %s IS NULL AND <a range of the key>",
				   table->shown, column, column);
}

/* Returns whether the default is one that settles NOT NULL. */
static void
add_default(SdForm *form, SdThing *table, const Added *added)
{
	char	   *note;
	SdMatch    *match;
	const char *column = sd_quoted(added->column->colname);

	switch (sd_form_volatility(added->raw_default, added->type, added->typmod, &note))
	{
		case SD_VALUES_CONSTANT:
			sd_form_match_table(form, added->not_null ? "A3" : "A2", table, true);
			return;
		case SD_VALUES_STABLE:
			match = sd_form_match_table(form, "A4", table, true);
			if (may_have_rows(table))
				sd_match_why(match, "The default is computed once in each region, at the moment when that region runs the statement.");
			sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s %s DEFAULT '<one value for all regions>'%s", table->shown, column,
						   type_text(added), added->not_null ? " NOT NULL" : "");
			sd_match_safer(match, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT <the expression>", table->shown, column);
			return;
		case SD_VALUES_VOLATILE:
			add_volatile(form, table, added, added->type == UUIDOID ? "A6" : "A5");
			if (note)
				sd_match_why(llast(form->matches), "The default was not understood (%s), and is taken for volatile.", note);
			return;
	}
}

static void
add_reference(SdForm *form, SdThing *table, const Added *added)
{
	SdThing    *other = sd_form_relation(form, added->reference->pktable, false);
	SdMatch    *match = sd_form_match_table(form, added->raw_default ? "A17" : "A16", table, true);
	const char *column = sd_quoted(added->column->colname);
	const char *name = sd_quoted(makeObjectName(table->name, added->column->colname, "fkey"));
	StringInfoData keys;
	ListCell   *cell;

	sd_match_cast(match, SD_ROLE_REFERENCED, other);
	initStringInfo(&keys);
	foreach(cell, added->reference->pk_attrs)
		appendStringInfo(&keys, "%s%s", keys.len ? ", " : " (", sd_quoted(strVal(lfirst(cell))));
	if (keys.len)
		appendStringInfoChar(&keys, ')');
	sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s %s", table->shown, column, type_text(added));
	sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s%s NOT VALID", table->shown, name,
				   column, other ? other->shown : sd_quoted(added->reference->pktable->relname), keys.data);
	sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, name);
}

static void
add_checked(SdForm *form, SdThing *table, const Added *added)
{
	const char *column = sd_quoted(added->column->colname);
	const char *type = type_text(added);
	const char *name;
	SdMatch    *match;

	if (added->check && !added->generated)
	{
		name = sd_quoted(makeObjectName(table->name, added->column->colname, "check"));
		match = sd_form_match_table(form, "A13", table, true);
		sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s %s", table->shown, column, type);
		sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (<the condition>) NOT VALID", table->shown, name);
		sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, name);
	}
	if (added->unique || added->primary)
	{
		name = sd_quoted(makeObjectName(table->name, added->column->colname, "key"));
		match = sd_form_match_table(form, "A14", table, true);
		sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s %s", table->shown, column, type);
		sd_match_safer(match, "CREATE UNIQUE INDEX CONCURRENTLY %s ON %s (%s)  -- by itself, or in schemadrift.apply_online()", name,
					   table->shown, column);
		sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s", table->shown, name,
					   added->primary ? "PRIMARY KEY" : "UNIQUE", name);
	}
}

static bool
add_by_type(SdForm *form, SdThing *table, const Added *added)
{
	SdMatch    *match;

	if (added->type == JSONOID)
	{
		match = sd_form_match_table(form, "A20", table, true);
		sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s jsonb", table->shown, sd_quoted(added->column->colname));
		return true;
	}
	if (!OidIsValid(added->type) || get_typtype(added->type) != TYPTYPE_DOMAIN)
		return false;
	if (!DomainHasConstraints(added->type))
	{
		sd_form_match_table(form, "A19", table, true);
		return true;
	}
	match = sd_form_match_table(form, "A18", table, true);
	sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s %s", table->shown, sd_quoted(added->column->colname),
				   format_type_be(getBaseType(added->type)));
	sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (<the domain's condition>) NOT VALID", table->shown,
				   sd_quoted(makeObjectName(table->name, added->column->colname, "check")));
	sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown,
				   sd_quoted(makeObjectName(table->name, added->column->colname, "check")));
	return true;
}

/* fails where there are rows, and elsewhere for those that replication brings */
static void
add_not_null(SdForm *form, SdThing *table, const Added *added)
{
	SdMatch    *match = sd_form_match_table(form, "A12", table, true);
	const char *column = sd_quoted(added->column->colname);
	const char *name = sd_quoted(makeObjectName(table->name, added->column->colname, "not_null"));

	if (!table->made && sd_fact_bytes(table->oid) > 0 && table->kind != RELKIND_FOREIGN_TABLE)
		sd_match_why(match, "It fails if there is one row in %s, and it has some or had.", table->shown);
	else if (!table->made)
		sd_match_why(match, "It fails in each region where there is a row in %s; here it is empty.", table->shown);
	sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s %s", table->shown, column, type_text(added));
	sd_match_safer(match, "-- in batches, in ONE region: UPDATE %s SET %s = <value> WHERE %s IS NULL AND <a range of the key>",
				   table->shown, column, column);
	sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID", table->shown, name, column);
	sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, name);
	sd_match_safer(match, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", table->shown, column);
	sd_match_safer(match, "ALTER TABLE %s DROP CONSTRAINT %s", table->shown, name);
}

static int
columns_added(AlterTableStmt *stmt)
{
	ListCell   *cell;
	int			n = 0;

	foreach(cell, stmt->cmds)
		n += lfirst_node(AlterTableCmd, cell)->subtype == AT_AddColumn;
	return n;
}

static void
add_by_table(SdForm *form, SdThing *table, AlterTableStmt *stmt)
{
	if (table->kind == RELKIND_PARTITIONED_TABLE)
		sd_form_match_table(form, "A22", table, true);
	else if (stmt->relation->inh && sd_fact_descendants(table->oid) != NIL)
		sd_form_match_table(form, "A23", table, true);
	if (columns_added(stmt) > 1)
		sd_form_match_table(form, "A24", table, true);
}

void
sd_form_add_column(SdForm *form, SdThing *table, AlterTableStmt *stmt, ColumnDef *column, bool if_not_exists)
{
	Added		added;
	int			before = list_length(form->matches);
	SdColumn   *known = table->made ? NULL : sd_thing_column(table, column->colname);
	SdColumn	remembered = {.name = column->colname,.typmod = -1};
	ListCell   *cell;

	if (known)
	{
		if (if_not_exists)
			sd_form_match_table(form, "A21", table, stmt->relation->inh)->harmless = true;
		else
			sd_form_fails(form, "column \"%s\" of relation \"%s\" already exists", column->colname, table->name);
		return;
	}
	look_at_column(form, &added, column);
	if ((added.serial || added.identity) && added.primary)
		add_volatile(form, table, &added, "A15");
	else if (added.serial)
		add_volatile(form, table, &added, "A7");
	else if (added.identity)
		add_volatile(form, table, &added, "A8");
	else if (added.generated)
		add_generated(form, table, &added);
	else
	{
		bool		typed = add_by_type(form, table, &added);

		if (added.raw_default)
			add_default(form, table, &added);
		if (added.reference)
			add_reference(form, table, &added);
		if ((added.not_null || added.primary) && !added.raw_default)
			add_not_null(form, table, &added);
		add_checked(form, table, &added);
		if (!typed && list_length(form->matches) == before && columns_added(stmt) == 1)
			sd_form_match_table(form, "A1", table, true);
	}
	add_by_table(form, table, stmt);
	if (list_length(form->matches) == before)
		sd_form_match_table(form, "A1", table, true);
	remembered.type = added.type;
	remembered.typmod = added.typmod;
	remembered.not_null = added.not_null || added.primary || added.serial || added.identity;
	remembered.has_default = added.raw_default || added.serial;
	(void) sd_thing_change_column(table, &remembered);
	sd_form_owned_sequence(form, table, column);
	foreach(cell, column->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, cell);

		if (constraint->contype == CONSTR_PRIMARY || constraint->contype == CONSTR_UNIQUE || constraint->contype == CONSTR_FOREIGN ||
			constraint->contype == CONSTR_CHECK)
			sd_form_remember(form, table, constraint, list_make1(makeString(column->colname)), true,
							 constraint->contype == CONSTR_FOREIGN ? sd_world_find(form->world, constraint->pktable) : NULL);
	}
}

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
		else if (dependent->object.classId != AttrDefaultRelationId)
		{
			others = true;
			form->takes = lappend(form->takes, getObjectDescription(&dependent->object, true));
		}
	}
	if (others && !cascade)
	{
		sd_form_fails(form, "cannot drop column %s of table %s because other objects depend on it", column->name, table->name);
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
		sd_match_safer(match, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL  -- everywhere, before anybody stops writing it", table->shown,
					   sd_quoted(column->name));
	sd_match_safer(match, "-- when no application names it any more, and it is in no publication's list of columns in any region:\n"
				   "ALTER TABLE %s DROP COLUMN %s", table->shown, sd_quoted(column->name));
}

/* Children by inheritance lose theirs, too. */
static void
lose_column(SdForm *form, SdThing *table, const SdColumn *column, bool recurse, bool cascade)
{
	ListCell   *cell;

	if (column->number > 0 && recurse)
	{
		foreach(cell, sd_fact_descendants(table->oid))
			sd_follow_drop(form->world, RelationRelationId, lfirst_oid(cell), get_attnum(lfirst_oid(cell), column->name));
	}
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
				sd_match_cast(sd_form_match_table(form, "B5", table, recurse), SD_ROLE_REFERENCED, sd_world_of(form->world, key->to));
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
		drop_safer(match, table, column);
	}
	lose_column(form, table, column, recurse, command->behavior == DROP_CASCADE);
}

/* ---- ALTER COLUMN ---- */

/* Has the script shown, or has the catalog, that the column has no nulls?  *not_valid: a check says so that was not validated. */
static bool
proves_not_null(SdForm *form, SdThing *table, const SdColumn *column, bool *not_valid, bool *unknown)
{
	ListCell   *cell;

	*not_valid = *unknown = false;
	foreach(cell, table->constraints)
	{
		SdConstraint *constraint = lfirst(cell);

		if (constraint->gone || constraint->not_null == NULL || strcmp(constraint->not_null, column->name) != 0)
			continue;
		if (constraint->valid)
			return true;
		*not_valid = true;
	}
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
			return true;
		if (!constraint->valid)
			*not_valid = true;
	}
	return sd_fact_proves_not_null(table->oid, column->number, unknown);
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
set_not_null(SdForm *form, SdThing *table, SdColumn *column, bool recurse)
{
	SdMatch    *match;
	bool		not_valid;
	bool		unknown;
	const char *name = sd_quoted(makeObjectName(table->name, column->name, "not_null"));
	const char *quoted = sd_quoted(column->name);

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
	if (proves_not_null(form, table, column, &not_valid, &unknown))
	{
		match = sd_form_match_table(form, "D4", table, recurse);
		match->column = column;
	}
	else
	{
		match = sd_form_match_table(form, table->kind == RELKIND_PARTITIONED_TABLE ? "D10" : not_valid ? "D5" : "D3", table, recurse);
		match->column = column;
		if (unknown)
			sd_match_why(match, "Somebody holds %s exclusively; whether its constraints prove this was not looked at.", table->shown);
		if (column->number > 0 && sd_fact_has_nulls(table->oid, column->number))
			sd_match_why(match, "The statistics of %s.%s say that it has nulls: it will fail.", table->shown, quoted);
		if (not_valid)
			sd_match_safer(match, "-- the constraint that is there first:\nALTER TABLE %s VALIDATE CONSTRAINT <its name>", table->shown);
		else
		{
			sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID", table->shown, name, quoted);
			sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, name);
		}
		sd_match_safer(match, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", table->shown, quoted);
		if (!not_valid)
			sd_match_safer(match, "ALTER TABLE %s DROP CONSTRAINT %s", table->shown, name);
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

			if (index->primary && bms_is_member(column->number, index->keys))
				sd_form_fails(form, "column \"%s\" is in a primary key", column->name);
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
	if (column->number > 0)
		sd_match_cast_oids(form, match, SD_ROLE_SEQUENCE, sd_fact_owned_sequences(table->oid, column->number));
	if (command->subtype == AT_AddIdentity)
	{
		sd_match_safer(match, "%s", pstrdup(form->text));
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
			break;
		default:
			if (SD_COMPAT_AT_SET_EXPRESSION(command->subtype))
				sd_form_match_table(form, column->generated == ATTRIBUTE_GENERATED_STORED ? "D19" : "D20", table, recurse);
			break;
	}
}
