/*
 * repair_type.c: types and domains elsewhere made what they are here; see repair_item.h.
 *
 * Backends.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "ddl/names.h"
#include "ddl/repair_item.h"
#include "texts.h"

/* --- enums --- */

/* A label as definitions quote it, as itself. */
static char *
unquoted(const char *quoted)
{
	StringInfoData label;

	initStringInfo(&label);
	for (const char *c = quoted + (*quoted == '"'); *c && !(*c == '"' && c[1] == '\0'); c++)
	{
		c += *c == '\\' && c[1];
		appendStringInfoChar(&label, *c);
	}
	return label.data;
}

static List *
labels_of(List *properties)
{
	List	   *labels = NIL;
	ListCell   *lc;

	foreach(lc, sd_properties_all(properties, "label"))
		labels = lappend(labels, quote_literal_cstr(unquoted(lfirst(lc))));
	return labels;
}

/* Are the second's labels all in the first, in the same order? */
static bool
has_in_order(List *all, List *some)
{
	int			found = 0;
	ListCell   *lc;

	foreach(lc, all)
		if (found < list_length(some) && strcmp(lfirst(lc), list_nth(some, found)) == 0)
			found++;
	return found == list_length(some);
}

/* Do they differ only in labels that are on one side, in the same places? */
static bool
are_renamed(List *here, List *there)
{
	if (list_length(here) != list_length(there))
		return false;
	for (int i = 0; i < list_length(here); i++)
		if (strcmp(list_nth(here, i), list_nth(there, i)) != 0 && (sd_texts_have(there, list_nth(here, i)) || sd_texts_have(here, list_nth(there, i))))
			return false;
	return true;
}

static void
change_labels(SdRepairItem *item)
{
	List	   *here = labels_of(item->here);
	List	   *there = labels_of(item->there);

	if (has_in_order(here, there))
	{
		for (int i = 0; i < list_length(here); i++)
			if (!sd_texts_have(there, list_nth(here, i)))
				sd_repair_do(item, SD_REPAIR_LABELS, NULL, "ALTER TYPE %s ADD VALUE %s%s%s", item->name, (char *) list_nth(here, i),
							 i > 0 ? " AFTER " : there ? " BEFORE " : "",
							 i > 0 ? (char *) list_nth(here, i - 1) : there ? (char *) linitial(there) : "");
	}
	else if (are_renamed(here, there))
	{
		for (int i = 0; i < list_length(here); i++)
			if (strcmp(list_nth(here, i), list_nth(there, i)) != 0)
				sd_repair_do(item, SD_REPAIR_RENAME, "all other labels are the same: it was renamed", "ALTER TYPE %s RENAME VALUE %s TO %s",
							 item->name, (char *) list_nth(there, i), (char *) list_nth(here, i));
	}
	else
		sd_repair_cannot(item, "labels: PostgreSQL cannot take labels away, or change their order: make the type under another name, "
						 "ALTER TABLE ... ALTER COLUMN ... TYPE it USING column::text::it for each of its columns, drop the old one, rename; "
						 "or SELECT schemadrift.accept_drift() there");
}

static void
create_enum(SdRepairItem *item)
{
	StringInfoData labels;
	ListCell   *lc;

	initStringInfo(&labels);
	foreach(lc, labels_of(item->here))
		appendStringInfo(&labels, "%s%s", labels.len > 0 ? ", " : "", (char *) lfirst(lc));
	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE TYPE %s AS ENUM (%s)", item->name, labels.data);
}

/* --- composite types --- */

typedef struct Attribute
{
	char	   *identifier;
	const char *name;
	char	   *clause;			/* type and collation */
} Attribute;

static List *
read_attributes(Oid type)
{
	static SdStatement statement = {
		.sql = "SELECT a.attname::text, concat(format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation <> t.typcollation THEN "
		"(SELECT format(' COLLATE %I.%I', n.nspname, c.collname) FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace "
		"WHERE c.oid = a.attcollation) END) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
		"WHERE a.attrelid = (SELECT typrelid FROM pg_type WHERE oid = $1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
		.nargs = 1, .types = {OIDOID}
	};
	Datum		values[] = {ObjectIdGetDatum(type)};
	int			n = (int) sd_store_run(&statement, values, NULL, SD_ANY_ROWS);
	List	   *attributes = NIL;

	for (int i = 0; i < n; i++)
	{
		Attribute  *attribute = palloc(sizeof(Attribute));
		char	   *name = sd_store_text(i, 1);
		StringInfoData identifier;

		initStringInfo(&identifier);
		sd_append_identifier(&identifier, name);
		attribute->identifier = identifier.data;
		attribute->name = quote_identifier(name);
		attribute->clause = sd_store_text(i, 2);
		attributes = lappend(attributes, attribute);
	}
	return attributes;
}

static void
create_composite(SdRepairItem *item)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, read_attributes(item->objid))
	{
		Attribute  *attribute = lfirst(lc);

		appendStringInfo(&list, "%s%s %s", list.len > 0 ? ", " : "", attribute->name, attribute->clause);
	}
	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE TYPE %s AS (%s)", item->name, list.data);
}

static bool
has_attribute(List *attributes, const char *identifier)
{
	ListCell   *lc;

	foreach(lc, attributes)
		if (strcmp(((Attribute *) lfirst(lc))->identifier, identifier) == 0)
			return true;
	return false;
}

static void
change_attributes(SdRepairItem *item)
{
	List	   *attributes = read_attributes(item->objid);
	List	   *here = sd_columns_parse(item->here, "attribute");
	List	   *there = sd_columns_parse(item->there, "attribute");
	bool		added = false;
	ListCell   *lc;

	foreach(lc, attributes)
	{
		Attribute  *attribute = lfirst(lc);
		SdColumnText *ours = sd_columns_find(here, attribute->identifier);
		SdColumnText *theirs = sd_columns_find(there, attribute->identifier);

		if (theirs == NULL)
		{
			sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER TYPE %s ADD ATTRIBUTE %s %s CASCADE", item->name, attribute->name, attribute->clause);
			added = true;
		}
		else if (ours && strcmp(ours->line, theirs->line) != 0)
			sd_repair_do(item, SD_REPAIR_MAKE, "refused while a table has a column of this type", "ALTER TYPE %s ALTER ATTRIBUTE %s TYPE %s CASCADE",
						 item->name, attribute->name, attribute->clause);
		if (theirs && added)
		{
			sd_repair_cannot(item, "attribute order: a new attribute is always the last one: drop and add those behind it, too, or SELECT "
							 "schemadrift.accept_drift() there");
			added = false;
		}
	}
	foreach(lc, there)
	{
		SdColumnText *theirs = lfirst(lc);

		if (!has_attribute(attributes, theirs->identifier))
			sd_repair_do(item, SD_REPAIR_LOSE, "loses what is in the attribute, in all columns of the type", "ALTER TYPE %s DROP ATTRIBUTE %s CASCADE",
						 item->name, sd_repair_quote(theirs->identifier));
	}
	if (sd_repair_differs(item, "attribute order"))
		sd_repair_cannot(item, "attribute order: PostgreSQL cannot move attributes: drop and add them, or SELECT schemadrift.accept_drift() there");
}

/* --- all types --- */

static void
create_range(SdRepairItem *item)
{
	static SdStatement statement = {
		.sql = "SELECT format('SUBTYPE = %s, SUBTYPE_OPCLASS = %s', format_type(r.rngsubtype, NULL), "
		"(SELECT format('%I.%I', n.nspname, c.opcname) FROM pg_opclass c JOIN pg_namespace n ON n.oid = c.opcnamespace WHERE c.oid = r.rngsubopc)) "
		"|| coalesce((SELECT format(', COLLATION = %I.%I', n.nspname, c.collname) FROM pg_collation c "
		"JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = r.rngcollation), '') "
		"|| CASE WHEN r.rngsubdiff <> 0 THEN format(', SUBTYPE_DIFF = %s', r.rngsubdiff::regproc) ELSE '' END "
		"|| coalesce((SELECT format(', MULTIRANGE_TYPE_NAME = %I.%I', n.nspname, t.typname) FROM pg_type t "
		"JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = r.rngmultitypid), '') "
		"FROM pg_range r WHERE r.rngtypid = $1 AND r.rngcanonical = 0",
		.nargs = 1, .types = {OIDOID}
	};
	char	   *clause = sd_repair_ask(&statement, item->objid);

	if (clause)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE TYPE %s AS RANGE (%s)", item->name, clause);
	else
		sd_repair_cannot(item, "a range with a canonical function needs a shell type first: take it from pg_dump --schema-only of this region");
}

void
sd_repair_create_type(SdRepairItem *item)
{
	switch (*sd_repair_here(item, "kind"))
	{
		case TYPTYPE_ENUM:
			create_enum(item);
			break;
		case TYPTYPE_COMPOSITE:
			create_composite(item);
			break;
		case TYPTYPE_RANGE:
			create_range(item);
			break;
		default:
			sd_repair_cannot(item, "a base type is functions of a library: install that there, then take the type from pg_dump --schema-only of this region");
			break;
	}
}

void
sd_repair_alter_type(SdRepairItem *item)
{
	char		kind = *sd_repair_here(item, "kind");

	if (sd_repair_differs(item, "kind"))
		sd_repair_cannot(item, "it is a type of another kind there: drop what uses it, then DROP TYPE %s, and ask again", item->name);
	else if (kind == TYPTYPE_ENUM && sd_repair_differs(item, "labels"))
		change_labels(item);
	else if (kind == TYPTYPE_COMPOSITE)
		change_attributes(item);
	else if (kind == TYPTYPE_RANGE)
		sd_repair_replace(item, "refused while a column has this type");
	else
		sd_repair_cannot(item, "how a base type is changed depends on its library: see ALTER TYPE ... SET, and its definition in schemadrift.drift");
}

/* --- domains --- */

static char *
domain_default(Oid domain)
{
	static SdStatement statement = {.sql = "SELECT pg_get_expr(typdefaultbin, 0) FROM pg_type WHERE oid = $1", .nargs = 1, .types = {OIDOID}};

	return sd_repair_ask(&statement, domain);
}

void
sd_repair_create_domain(SdRepairItem *item)
{
	static SdStatement base = {
		.sql = "SELECT concat(format_type(d.typbasetype, d.typtypmod), CASE WHEN d.typcollation <> t.typcollation THEN "
		"(SELECT format(' COLLATE %I.%I', n.nspname, c.collname) FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace "
		"WHERE c.oid = d.typcollation) END) FROM pg_type d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.oid = $1",
		.nargs = 1, .types = {OIDOID}
	};
	char	   *initial = domain_default(item->objid);

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE DOMAIN %s AS %s%s%s%s", item->name, sd_repair_ask(&base, item->objid),
				 initial ? " DEFAULT " : "", initial ? initial : "", *sd_repair_here(item, "not null") ? " NOT NULL" : "");
}

void
sd_repair_alter_domain(SdRepairItem *item)
{
	char	   *initial = domain_default(item->objid);

	if (sd_repair_differs(item, "base") || sd_repair_differs(item, "collation"))
		sd_repair_cannot(item, "base: PostgreSQL cannot change what a domain is made of: make it under another name, ALTER TABLE ... ALTER COLUMN ... "
						 "TYPE it for each of its columns, drop the old one, rename; or SELECT schemadrift.accept_drift() there");
	if (sd_repair_differs(item, "default"))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, initial ? "ALTER DOMAIN %s SET DEFAULT %s" : "ALTER DOMAIN %s DROP DEFAULT%s", item->name,
					 initial ? initial : "");
	if (sd_repair_differs(item, "not null"))
		sd_repair_do(item, SD_REPAIR_MAKE, *sd_repair_here(item, "not null") ? "reads every table with a column of it" : NULL, "ALTER DOMAIN %s %s NOT NULL",
					 item->name, *sd_repair_here(item, "not null") ? "SET" : "DROP");
}
