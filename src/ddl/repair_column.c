/*
 * repair_column.c: columns of a table elsewhere made what they are here; see repair_item.h.
 *
 * Backends.  A statement for each property, because what is wrong is rarely more than one; but a type with its default at
 * once, because each fits the other only.  ONLY where a change of the parent would overwrite what a child has of its own, which is in no
 * plan if it is right.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "nodes/readfuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"

#include "ddl/names.h"
#include "ddl/repair_item.h"
#include "texts.h"

typedef struct Column
{
	char	   *identifier;		/* as definitions have it */
	const char *name;			/* as SQL has it */
	int			number;
	char	   *type;
	char	   *collation;		/* NULL: the type's */
	char	   *expression;		/* default or generated from; NULL: none */
	char		identity;
	char		generated;
	bool		not_null;
	bool		inherited;
	bool		local;
	char		storage;
	char	   *sequence;		/* options of an identity column's */
	char	   *missing;		/* the value of rows from before the column, where its default may differ from region to region; else NULL */
	SdColumnText *text;			/* what the definition here says of it */
} Column;

static List *
read_columns(SdRepairItem *item)
{
	static SdStatement statement = {
		.sql = "SELECT a.attname::text, a.attnum::int, format_type(a.atttypid, a.atttypmod), "
		"CASE WHEN a.attcollation <> t.typcollation THEN (SELECT quote_ident(n.nspname) || '.' || quote_ident(c.collname) "
		"FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation) END, "
		"pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, a.attgenerated::text, a.attnotnull::text, "
		"(a.attinhcount > 0)::text, a.attislocal::text, a.attstorage::text, "
		"(SELECT format('SEQUENCE NAME %I.%I START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s', "
		"n.nspname, c.relname, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END) "
		"FROM pg_depend p JOIN pg_class c ON c.oid = p.objid JOIN pg_namespace n ON n.oid = c.relnamespace "
		"JOIN pg_sequence s ON s.seqrelid = c.oid WHERE p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass "
		"AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.deptype = 'i'), "
		"CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END, d.adbin::text "
		"FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
		"LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
		"WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
		.nargs = 1, .types = {OIDOID}
	};
	Datum		values[] = {ObjectIdGetDatum(item->objid)};
	int			n = (int) sd_store_run(&statement, values, NULL, SD_ANY_ROWS);
	List	   *texts = sd_columns_parse(item->here, "column");
	List	   *columns = NIL;

	for (int i = 0; i < n; i++)
	{
		Column	   *column = palloc0(sizeof(Column));
		char	   *name = sd_store_text(i, 1);
		StringInfoData identifier;

		initStringInfo(&identifier);
		sd_append_identifier(&identifier, name);
		column->identifier = identifier.data;
		column->name = quote_identifier(name);
		column->number = sd_store_int32(i, 2);
		column->type = sd_store_text(i, 3);
		column->collation = sd_store_text(i, 4);
		column->expression = sd_store_text(i, 5);
		column->identity = *sd_store_text(i, 6);
		column->generated = *sd_store_text(i, 7);
		column->not_null = *sd_store_text(i, 8) == 't';
		column->inherited = *sd_store_text(i, 9) == 't';
		column->local = *sd_store_text(i, 10) == 't';
		column->storage = *sd_store_text(i, 11);
		column->sequence = sd_store_text(i, 12);
		if (column->expression && contain_mutable_functions(stringToNode(sd_store_text(i, 14))))
			column->missing = sd_store_text(i, 13);
		column->text = sd_columns_find(texts, column->identifier);
		if (column->text)
			columns = lappend(columns, column);
	}
	return columns;
}

static Column *
find_column(List *columns, const char *identifier)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		Column	   *column = lfirst(lc);

		if (strcmp(column->identifier, identifier) == 0)
			return column;
	}
	return NULL;
}

/* --- words --- */

static const char *
storage_word(char storage)
{
	switch (storage)
	{
		case TYPSTORAGE_PLAIN:
			return "PLAIN";
		case TYPSTORAGE_EXTERNAL:
			return "EXTERNAL";
		case TYPSTORAGE_MAIN:
			return "MAIN";
		default:
			return "EXTENDED";
	}
}

static const char *
identity_word(char identity)
{
	return identity == ATTRIBUTE_IDENTITY_ALWAYS ? "ALWAYS" : "BY DEFAULT";
}

static char *
type_clause(const Column *column)
{
	return column->collation ? psprintf("%s COLLATE %s", column->type, column->collation) : column->type;
}

/* name, type and all that can be said with them; added: to a table that may have rows, and not with it */
static char *
column_clause(const Column *column, bool added)
{
	StringInfoData clause;

	initStringInfo(&clause);
	appendStringInfo(&clause, "%s %s", column->name, type_clause(column));
	if (column->generated && column->expression)
		appendStringInfo(&clause, " GENERATED ALWAYS AS (%s) %s", column->expression,
						 column->generated == ATTRIBUTE_GENERATED_STORED ? "STORED" : "VIRTUAL");
	else if (column->identity)
		appendStringInfo(&clause, " GENERATED %s AS IDENTITY%s%s%s", identity_word(column->identity),
						 column->sequence ? " (" : "", column->sequence ? column->sequence : "", column->sequence ? ")" : "");
	else if (column->expression)
		appendStringInfo(&clause, " DEFAULT %s", added && column->missing ? quote_literal_cstr(column->missing) : column->expression);
	if (column->not_null)
		appendStringInfoString(&clause, " NOT NULL");
	return clause.data;
}

/* ALTER TABLE ONLY a.b ALTER COLUMN c */
static char *
alter_one(const SdRepairItem *item, const char *column)
{
	bool		is_table = strcmp(item->kind, "table") == 0 || strcmp(item->kind, "foreign table") == 0;

	return psprintf("ALTER %s %s%s ALTER COLUMN %s", item->how->word, is_table ? "ONLY " : "", item->name, column);
}

/* --- properties that CREATE TABLE cannot say, or not the same way in all majors --- */

static const char *
part_of(const SdColumnText *text, SdColumnPart part)
{
	return text && text->part[part] ? text->part[part] : "";
}

static bool
part_differs(const Column *column, const SdColumnText *there, SdColumnPart part)
{
	return strcmp(part_of(column->text, part), part_of(there, part)) != 0;
}

static void
details(SdRepairItem *item, const Column *column, const SdColumnText *there)
{
	char	   *alter = alter_one(item, column->name);
	const char *here = part_of(column->text, SD_COLUMN_OPTIONS);
	char	   *set;

	if (part_differs(column, there, SD_COLUMN_STORAGE))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s SET STORAGE %s", alter, storage_word(column->storage));
	if (part_differs(column, there, SD_COLUMN_COMPRESSION))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s SET COMPRESSION %s", alter,
					 column->text->part[SD_COLUMN_COMPRESSION] == NULL ? "DEFAULT" :
					 *column->text->part[SD_COLUMN_COMPRESSION] == 'l' ? "lz4" : "pglz");
	if (part_differs(column, there, SD_COLUMN_STATISTICS))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s SET STATISTICS %s", alter,
					 column->text->part[SD_COLUMN_STATISTICS] ? column->text->part[SD_COLUMN_STATISTICS] : "-1");
	if ((set = sd_repair_options(here, part_of(there, SD_COLUMN_OPTIONS))) != NULL)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s SET (%s)", alter, set);
	if ((set = sd_repair_options_gone(part_of(there, SD_COLUMN_OPTIONS), here)) != NULL)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s RESET (%s)", alter, set);
	if ((set = sd_repair_foreign_options(part_of(column->text, SD_COLUMN_FDW_OPTIONS), part_of(there, SD_COLUMN_FDW_OPTIONS))) != NULL)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s OPTIONS (%s)", alter, set);
}

/* --- properties of a column that is in both --- */

static void
change_default(SdRepairItem *item, const Column *column)
{
	if (column->expression)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s SET DEFAULT %s", alter_one(item, column->name), column->expression);
	else
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s DROP DEFAULT", alter_one(item, column->name));
}

static void
change_type(SdRepairItem *item, const Column *column, const SdColumnText *there)
{
	bool		plain = column->generated == '\0' && there->part[SD_COLUMN_GENERATED] == NULL;
	StringInfoData statement;

	sd_repair_drop_dependents(item, column->number);
	initStringInfo(&statement);
	appendStringInfo(&statement, "ALTER %s %s ", item->how->word, item->name);
	if (plain && there->part[SD_COLUMN_DEFAULT])
		appendStringInfo(&statement, "ALTER COLUMN %s DROP DEFAULT, ", column->name);
	appendStringInfo(&statement, "ALTER COLUMN %s TYPE %s", column->name, type_clause(column));
	if (plain && strcmp(item->kind, "table") == 0)
		appendStringInfo(&statement, " USING %s::%s", column->name, column->type);
	if (plain && column->expression)
		appendStringInfo(&statement, ", ALTER COLUMN %s SET DEFAULT %s", column->name, column->expression);
	sd_repair_do(item, SD_REPAIR_MAKE,
				 "locks the table and may write all of it again; fails at a value that does not fit: look at USING first",
				 "%s", statement.data);
}

static void
change_identity(SdRepairItem *item, const Column *column, const SdColumnText *there)
{
	char	   *alter = psprintf("ALTER %s %s ALTER COLUMN %s", item->how->word, item->name, column->name);

	if (column->identity == '\0')
		sd_repair_do(item, SD_REPAIR_MAKE, "drops its sequence", "%s DROP IDENTITY", alter);
	else if (there->part[SD_COLUMN_IDENTITY])
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s SET GENERATED %s", alter, identity_word(column->identity));
	else
	{
		if (there->part[SD_COLUMN_DEFAULT])
			sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s DROP DEFAULT", alter);
		sd_repair_do(item, SD_REPAIR_MAKE, "its sequence begins at the start: setval() it beyond what the column has",
					 "%s ADD GENERATED %s AS IDENTITY (%s)", alter, identity_word(column->identity),
					 column->sequence ? column->sequence : "");
	}
}

static void
change_generated(SdRepairItem *item, const Column *column, const SdColumnText *there)
{
	if (column->generated == '\0' && there->part[SD_COLUMN_GENERATED] && *there->part[SD_COLUMN_GENERATED] == ATTRIBUTE_GENERATED_STORED)
	{
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER TABLE %s ALTER COLUMN %s DROP EXPRESSION", item->name, column->name);
		if (column->expression)
			change_default(item, column);
	}
	else if (column->generated && there->part[SD_COLUMN_GENERATED] && !part_differs(column, there, SD_COLUMN_GENERATED) &&
			 SD_COMPAT_MAJOR >= 17)
		sd_repair_do(item, SD_REPAIR_MAKE, "writes the table again", "ALTER TABLE %s ALTER COLUMN %s SET EXPRESSION AS (%s)",
					 item->name, column->name, column->expression);
	else
		sd_repair_cannot(item, "column %s: PostgreSQL cannot make a column generated, or change how it is: DROP it and ADD COLUMN %s, "
						 "which moves it to the end", column->name, column_clause(column, false));
}

static void
change_not_null(SdRepairItem *item, const Column *column)
{
	if (column->not_null)
		sd_repair_do(item, SD_REPAIR_MAKE, "reads the whole table; fails where it is null", "ALTER %s %s ALTER COLUMN %s SET NOT NULL",
					 item->how->word, item->name, column->name);
	else
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER %s %s ALTER COLUMN %s DROP NOT NULL", item->how->word, item->name, column->name);
}

static void
change_column(SdRepairItem *item, const Column *column, const SdColumnText *there)
{
	bool		retyped = part_differs(column, there, SD_COLUMN_TYPE) || part_differs(column, there, SD_COLUMN_COLLATION);
	bool		generated = column->generated || there->part[SD_COLUMN_GENERATED];

	/* a child's columns have their types from the parent, which is in the plan as well */
	if (retyped && !column->inherited)
		change_type(item, column, there);
	if (generated && (part_differs(column, there, SD_COLUMN_GENERATED) || (!retyped && part_differs(column, there, SD_COLUMN_DEFAULT))))
		change_generated(item, column, there);
	if (part_differs(column, there, SD_COLUMN_NOT_NULL) && column->not_null)
		change_not_null(item, column);
	if (part_differs(column, there, SD_COLUMN_IDENTITY))
		change_identity(item, column, there);
	if (part_differs(column, there, SD_COLUMN_NOT_NULL) && !column->not_null)
		change_not_null(item, column);
	if (!generated && (!retyped || column->inherited) && column->identity == '\0' && part_differs(column, there, SD_COLUMN_DEFAULT))
		change_default(item, column);
	if (part_differs(column, there, SD_COLUMN_LOCAL) && !sd_repair_differs(item, "inherits"))
		sd_repair_cannot(item, "column %s: whether a child has a column of its own or its parent's cannot be changed: "
						 "NO INHERIT and INHERIT make it its own", column->name);
	details(item, column, there);
}

/* --- which columns --- */

/* As a has it from the first space on: all but the name. */
static const char *
but_name(const SdColumnText *text)
{
	return text->line + strlen(text->identifier);
}

/* The one in the same place that has another name here and nothing else. */
static SdColumnText *
renamed(List *columns, List *there, const Column *column)
{
	int			place = 0;
	SdColumnText *other;
	ListCell   *lc;

	foreach(lc, columns)
	{
		if (lfirst(lc) == column)
			break;
		place++;
	}
	if (list_length(columns) != list_length(there))
		return NULL;
	other = list_nth(there, place);
	return find_column(columns, other->identifier) == NULL && strcmp(but_name(other), but_name(column->text)) == 0 ? other : NULL;
}

static void
add_column(SdRepairItem *item, const Column *column)
{
	if (column->inherited)
		return;
	sd_repair_do(item, SD_REPAIR_MAKE,
				 column->not_null && column->expression == NULL && column->identity == '\0' ?
				 "fails if the table has rows: add it without NOT NULL, fill it, then SET NOT NULL" : NULL,
				 "ALTER %s %s ADD COLUMN %s", item->how->word, item->name, column_clause(column, true));
	/* rows that are there get the value that those here have, at whatever time it is done */
	if (column->missing)
		change_default(item, column);
	details(item, column, NULL);
}

/* The parent has it as well, so it goes there. */
static bool
parent_drops(SdRepairItem *item, const char *identifier)
{
	ListCell   *lc;

	foreach(lc, sd_properties_all(item->there, "inherits"))
	{
		SdRepairItem *parent = sd_repair_find(item->plan, "table", lfirst(lc));

		if (parent && sd_columns_find(sd_columns_parse(parent->there, "column"), identifier))
			return true;
	}
	return false;
}

/* names: of the columns there, as they are called in the end.  Where new ones are not the last, nothing helps. */
static void
check_order(SdRepairItem *item, List *columns, List *names)
{
	StringInfoData here;
	StringInfoData result;
	ListCell   *lc;

	/* the parent says it, or the order means nothing */
	if (sd_properties_get(item->here, "inherits"))
		return;
	initStringInfo(&here);
	initStringInfo(&result);
	foreach(lc, names)
		if (find_column(columns, lfirst(lc)))
			appendStringInfo(&result, "%s%s", result.len > 0 ? ", " : "", (char *) lfirst(lc));
	foreach(lc, columns)
	{
		char	   *name = ((Column *) lfirst(lc))->identifier;

		appendStringInfo(&here, "%s%s", here.len > 0 ? ", " : "", name);
		if (!sd_texts_have(names, name))
			appendStringInfo(&result, "%s%s", result.len > 0 ? ", " : "", name);
	}
	if (strcmp(here.data, result.data) != 0)
		sd_repair_cannot(item, "column order: it will be (%s) instead of (%s), and PostgreSQL cannot move columns: "
						 "make the table anew and copy its rows, or SELECT schemadrift.accept_drift() there",
						 result.data, here.data);
}

void
sd_repair_columns(SdRepairItem *item)
{
	List	   *columns = read_columns(item);
	List	   *there = sd_columns_parse(item->there, "column");
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, there)
		names = lappend(names, ((SdColumnText *) lfirst(lc))->identifier);
	foreach(lc, columns)
	{
		Column	   *column = lfirst(lc);
		SdColumnText *other = sd_columns_find(there, column->identifier);

		if (other)
			change_column(item, column, other);
		else if ((other = renamed(columns, there, column)) != NULL)
		{
			if (!column->inherited)
				sd_repair_do(item, SD_REPAIR_RENAME, "the column is the same but for its name: it was renamed",
							 "ALTER %s %s RENAME COLUMN %s TO %s", item->how->word, item->name,
							 sd_repair_quote(other->identifier), column->name);
			list_nth_cell(names, foreach_current_index(lc))->ptr_value = column->identifier;
		}
		else
			add_column(item, column);
	}
	foreach(lc, there)
	{
		SdColumnText *other = lfirst(lc);

		if (sd_texts_have(names, other->identifier) && find_column(columns, other->identifier) == NULL && !parent_drops(item, other->identifier))
			sd_repair_do(item, SD_REPAIR_LOSE, "loses what is in the column", "ALTER %s %s DROP COLUMN %s",
						 item->how->word, item->name, sd_repair_quote(other->identifier));
	}
	check_order(item, columns, names);
}

void
sd_repair_view_columns(SdRepairItem *item)
{
	List	   *there = sd_columns_parse(item->there, "column");
	ListCell   *lc;

	foreach(lc, read_columns(item))
	{
		Column	   *column = lfirst(lc);
		SdColumnText *other = sd_columns_find(there, column->identifier);

		if (part_differs(column, other, SD_COLUMN_DEFAULT))
			change_default(item, column);
		details(item, column, other);
	}
}

/* --- of a new table --- */

static bool
is_plain_child(const SdRepairItem *item)
{
	return sd_properties_get(item->here, "inherits") && sd_properties_get(item->here, "partition bound") == NULL;
}

char *
sd_repair_column_list(SdRepairItem *item)
{
	bool		child = is_plain_child(item);
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, read_columns(item))
	{
		Column	   *column = lfirst(lc);

		if (!child || column->local)
			appendStringInfo(&list, "%s\n\t%s", list.len > 0 ? "," : "", column_clause(column, false));
	}
	return list.data;
}

void
sd_repair_column_details(SdRepairItem *item)
{
	bool		child = is_plain_child(item);
	bool		is_view = strcmp(item->kind, "view") == 0;
	ListCell   *lc;

	foreach(lc, read_columns(item))
	{
		Column	   *column = lfirst(lc);

		if (is_view ? column->expression != NULL : child && !column->local && column->generated == '\0')
			change_default(item, column);
		if (child && !column->local && column->not_null)
			change_not_null(item, column);
		details(item, column, NULL);
	}
}
