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
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
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
	SdVolatility volatility;	/* of the default */
	char	   *base;			/* name and type, as they are to be pasted */
	bool		replaced;		/* ... that is another type than the column's */
	List	   *clauses;		/* SdColumnClause */
	List	   *advised;		/* SdMatch: those that the safe way is written for */
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
	added->clauses = sd_words_column(form->words, column, &added->base);
}

/* The type that a serial column has. */
static const char *
integer_of(const TypeName *serial)
{
	const char *name = strVal(linitial(serial->names));

	return strncmp(name, "small", 5) == 0 || name[6] == '2' ? "smallint" :
		strncmp(name, "big", 3) == 0 || name[6] == '8' ? "bigint" : "integer";
}

static bool
may_have_rows(SdThing *table)
{
	if (table->made)
		return table->filled != SD_HAS_NONE;
	return true;
}

/* ---- the safe way ---- */

/* Does it settle NOT NULL, as it is one for all rows? */
static bool
has_one_value(const Added *added)
{
	return added->raw_default && added->volatility != SD_VALUES_VOLATILE;
}

/* Is it done by statements of its own, so that adding the column reads no row and builds nothing? */
static bool
comes_later(const Added *added, const SdColumnClause *clause)
{
	switch (clause->constraint->contype)
	{
		case CONSTR_DEFAULT:
			return added->raw_default && added->volatility != SD_VALUES_CONSTANT;
		case CONSTR_NOTNULL:
			return !has_one_value(added);
		case CONSTR_CHECK:
		case CONSTR_FOREIGN:
			return !clause->not_enforced;
		case CONSTR_IDENTITY:
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
			return true;
		default:
			return false;
	}
}

static void
advise_column(SdThing *table, const Added *added, SdMatch *match)
{
	StringInfoData kept;
	ListCell   *cell;

	initStringInfo(&kept);
	foreach(cell, added->clauses)
	{
		const SdColumnClause *clause = lfirst(cell);

		if (!comes_later(added, clause))
			appendStringInfo(&kept, " %s%s", clause->constraint->conname ? psprintf("CONSTRAINT %s ", sd_quoted(clause->constraint->conname)) : "",
							 clause->text);
		else if (clause->constraint->contype == CONSTR_DEFAULT && added->volatility == SD_VALUES_STABLE)
			appendStringInfoString(&kept, " DEFAULT '<one value for all regions>'");
	}
	sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s%s", table->shown, added->base, kept.data);
	foreach(cell, added->clauses)
	{
		const SdColumnClause *clause = lfirst(cell);

		if (clause->constraint->contype == CONSTR_DEFAULT && comes_later(added, clause))
			sd_match_safer(match, "ALTER TABLE %s ALTER COLUMN %s SET %s", table->shown, sd_quoted(added->column->colname), clause->text);
	}
}

static bool
has_to_have_value(const Added *added)
{
	return added->not_null || added->primary || added->serial || added->identity;
}

/* of rows that are there */
static void
advise_values(SdThing *table, const Added *added, SdMatch *match)
{
	const char *column = sd_quoted(added->column->colname);

	if (added->serial || added->identity)
	{
		sd_match_safer(match, "-- fill it in ONE region, in batches, and let replication bring it to the others (or from the key: the same everywhere):\n"
					   "-- UPDATE %s SET %s = ... WHERE %s IS NULL AND ... LIMIT-sized ranges of the key", table->shown, column, column);
		sd_match_safer(match, "-- then a sequence that starts elsewhere in each region:\n"
					   "-- CREATE SEQUENCE ... INCREMENT BY <regions> START WITH <this region>; ALTER TABLE %s ALTER COLUMN %s SET DEFAULT nextval(...)",
					   table->shown, column);
	}
	else if (added->raw_default && added->volatility == SD_VALUES_VOLATILE)
		sd_match_safer(match, "-- fill it in ONE region, in batches (or with an expression of the key that is the same everywhere):\n"
					   "-- UPDATE %s SET %s = ... WHERE %s IS NULL AND <a range of the key>", table->shown, column, column);
	else if (has_to_have_value(added) && !has_one_value(added))
		sd_match_safer(match, "-- in batches, in ONE region: UPDATE %s SET %s = <value> WHERE %s IS NULL AND <a range of the key>",
					   table->shown, column, column);
}

/* ... that come later: without reading the rows under a strong lock */
static void
advise_constraints(SdForm *form, SdThing *table, const Added *added, SdMatch *match)
{
	const char *column = sd_quoted(added->column->colname);
	List	   *keys = list_make1(makeString(added->column->colname));
	ListCell   *cell;

	if (has_to_have_value(added) && !has_one_value(added))
		sd_match_safer_not_null(match, table, list_make1(added->column->colname));
	foreach(cell, added->clauses)
	{
		const SdColumnClause *clause = lfirst(cell);
		Constraint	constraint = *clause->constraint;
		const char *name;

		if (!comes_later(added, clause))
			continue;
		switch (constraint.contype)
		{
			case CONSTR_CHECK:
			case CONSTR_FOREIGN:
				name = sd_form_constraint_name(form, table, &constraint, keys);
				sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s %s%s NOT VALID", table->shown, name,
							   constraint.contype == CONSTR_FOREIGN ? psprintf("FOREIGN KEY (%s) ", column) : "", clause->text);
				sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, name);
				break;
			case CONSTR_PRIMARY:
			case CONSTR_UNIQUE:
				constraint.deferrable = clause->deferrable;
				constraint.initdeferred = clause->deferred;
				sd_form_advise_unique(form, table, &constraint, keys, NIL, match);
				break;
			default:
				break;
		}
	}
}

/* What a domain asks of its values, of a column that is not of its type. */
static char *
of_column(Oid constraint, const char *column)
{
	SdWords    *words = sd_words(pg_get_constraintdef_command(constraint), 0);
	int			i = 0;
	StringInfoData out;

	initStringInfo(&out);
	while (i < words->n && !sd_words_is(words, i, "check"))
		i++;
	for (; i < words->n; i++)
	{
		if (out.len && words->words[i - 1].to < words->words[i].from)
			appendStringInfoChar(&out, ' ');
		appendStringInfoString(&out, sd_words_is(words, i, "value") ? column : sd_words_some(words, i, i + 1));
	}
	return out.data;
}

static void
advise_domain(SdForm *form, SdThing *table, const Added *added, SdMatch *match)
{
	ListCell   *cell;

	foreach(cell, sd_fact_domain_checks(added->type))
	{
		int			n = foreach_current_index(cell);
		const char *name = sd_quoted(sd_form_chosen_name(form, table, list_make1(added->column->colname), n ? psprintf("domain%d", n) : "domain"));

		sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", table->shown, name,
					   of_column(lfirst_oid(cell), sd_quoted(added->column->colname)));
		sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, name);
	}
}

/* One way for all forms that the column has. */
static void
advise(SdForm *form, SdThing *table, const Added *added)
{
	ListCell   *cell;

	foreach(cell, added->advised)
	{
		SdMatch    *match = lfirst(cell);

		advise_column(table, added, match);
		if (may_have_rows(table))
			advise_values(table, added, match);
		if (added->replaced)
			advise_domain(form, table, added, match);
		advise_constraints(form, table, added, match);
	}
}

/* ---- its forms ---- */

static SdMatch *
match_advised(SdForm *form, const char *rule, SdThing *table, Added *added)
{
	SdMatch    *match = sd_form_match_table(form, rule, table, true);

	added->advised = lappend(added->advised, match);
	return match;
}

/* Values that differ from row to row, and between regions. */
static void
add_volatile(SdForm *form, SdThing *table, Added *added, const char *rule)
{
	SdMatch    *match = match_advised(form, rule, table, added);

	if (may_have_rows(table))
		sd_match_why(match, "Each region would give the rows that are there other values of %s.", sd_quoted(added->column->colname));
	if (added->serial)
		added->base = psprintf("%s %s", sd_quoted(added->column->colname), integer_of(added->column->typeName));
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
	sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s", table->shown, added->base);
	sd_match_safer(match, "-- a trigger BEFORE INSERT OR UPDATE that sets %s, then\n"
				   "ALTER TABLE %s ENABLE ALWAYS TRIGGER <its name>", column, table->shown);
	sd_match_remark(match, "so that replicated rows get it, too");
	sd_match_safer(match, "-- in batches: UPDATE %s SET %s = <expression> WHERE %s IS NULL AND <a range of the key>",
				   table->shown, column, column);
	advise_constraints(form, table, added, match);
}

static void
add_default(SdForm *form, SdThing *table, Added *added)
{
	char	   *note;
	SdMatch    *match;

	added->volatility = sd_form_volatility(form, added->raw_default, added->type, added->typmod, &note);
	switch (added->volatility)
	{
		case SD_VALUES_CONSTANT:
			sd_form_match_table(form, added->not_null ? "A3" : "A2", table, true);
			return;
		case SD_VALUES_STABLE:
			match = match_advised(form, "A4", table, added);
			if (may_have_rows(table))
				sd_match_why(match, "The default is computed once in each region, at the moment when that region runs the statement.");
			return;
		case SD_VALUES_VOLATILE:
			add_volatile(form, table, added, added->type == UUIDOID ? "A6" : "A5");
			if (note)
				sd_match_why(llast(form->matches), "The default was not understood (%s), and is taken for volatile.", note);
			return;
	}
}

static void
add_reference(SdForm *form, SdThing *table, Added *added)
{
	SdThing    *other = sd_form_relation(form, added->reference->pktable, false);

	sd_match_cast_whole(form, match_advised(form, added->raw_default ? "A17" : "A16", table, added), SD_ROLE_REFERENCED, other);
}

static void
add_checked(SdForm *form, SdThing *table, Added *added)
{
	if (added->check && !added->generated)
		(void) match_advised(form, "A13", table, added);
	if (added->unique || added->primary)
		(void) match_advised(form, "A14", table, added);
}

/* Instead of its own type another one, and what else it has. */
static void
advise_type(SdForm *form, SdThing *table, Added *added, const char *rule, const char *type)
{
	added->base = psprintf("%s %s", sd_quoted(added->column->colname), type);
	added->replaced = true;
	(void) match_advised(form, rule, table, added);
}

static bool
add_by_type(SdForm *form, SdThing *table, Added *added)
{
	if (added->type == JSONOID)
	{
		advise_type(form, table, added, "A20", "jsonb");
		return true;
	}
	if (!OidIsValid(added->type) || get_typtype(added->type) != TYPTYPE_DOMAIN)
		return false;
	if (!DomainHasConstraints(added->type))
	{
		sd_form_match_table(form, "A19", table, true);
		return true;
	}
	advise_type(form, table, added, "A18", format_type_be(getBaseType(added->type)));
	return true;
}

/* fails where there are rows, and elsewhere for those that replication brings */
static void
add_not_null(SdForm *form, SdThing *table, Added *added)
{
	SdMatch    *match = match_advised(form, "A12", table, added);

	if (!table->made && sd_fact_bytes(table->oid) > 0 && table->kind != RELKIND_FOREIGN_TABLE)
		sd_match_why(match, "It fails if there is one row in %s, and it has some or had.", table->shown);
	else if (!table->made)
		sd_match_why(match, "It fails in each region where there is a row in %s; here it is empty.", table->shown);
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
	advise(form, table, &added);
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
