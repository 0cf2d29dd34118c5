/*
 * form_add_column.c: ALTER TABLE ... ADD COLUMN.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/heirs.h"
#include "analysis/type.h"

typedef struct Added
{
	ColumnDef  *column;
	Oid			type;			/* InvalidOid: not known (yet) */
	int32		typmod;
	bool		serial;
	char		identity;		/* ATTRIBUTE_IDENTITY_...; '\0': none */
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
			added->identity = constraint->generated_when;
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
	sd_type_must_exist(form, column->typeName);
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
		return table->filled != SD_HAS_NONE;
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

	switch (sd_form_volatility(form, added->raw_default, added->type, added->typmod, &note))
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

	sd_match_cast_whole(form, match, SD_ROLE_REFERENCED, other);
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
			sd_form_fails(form, ERRCODE_DUPLICATE_COLUMN, "column \"%s\" of relation \"%s\" already exists", column->colname, table->name);
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
	remembered.identity = added.identity;
	remembered.generated = added.generated;
	(void) sd_thing_change_column(table, &remembered);
	if (stmt->relation->inh)
		sd_heirs_add_column(form, table, &remembered);
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
