/*
 * repair_table.c: tables, foreign tables, views and sequences elsewhere made what they are here; see repair_item.h.
 *
 * Backends.  repair_column.c has their columns.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "ddl/repair_item.h"

/* --- properties that relations of several kinds have --- */

static char *
alter(const SdRepairItem *item)
{
	return psprintf("ALTER %s %s", item->how->word, item->name);
}

static void
change_options(SdRepairItem *item, const char *property, const char *prefix)
{
	const char *here = sd_repair_here(item, property);
	const char *there = sd_repair_there(item, property);
	char	   *set = sd_repair_options(here, there);
	char	   *reset = sd_repair_options_gone(there, here);

	if (set)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s SET (%s)", alter(item), sd_repair_prefix(set, prefix));
	if (reset)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s RESET (%s)", alter(item), sd_repair_prefix(reset, prefix));
}

/* Of a table that is in both; of a new one as far as CREATE TABLE does not say it. */
static void
change_row_security(SdRepairItem *item)
{
	if (sd_repair_differs(item, "row security"))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s %s ROW LEVEL SECURITY", alter(item),
					 *sd_repair_here(item, "row security") ? "ENABLE" : "DISABLE");
	if (sd_repair_differs(item, "force row security"))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s %s ROW LEVEL SECURITY", alter(item),
					 *sd_repair_here(item, "force row security") ? "FORCE" : "NO FORCE");
}

static void
change_replica_identity(SdRepairItem *item)
{
	static SdStatement statement = {
		.sql = "SELECT quote_ident(c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
		"WHERE i.indrelid = $1 AND i.indisreplident",
		.nargs = 1, .types = {OIDOID}
	};
	const char *here = sd_repair_here(item, "replica identity");

	if (!sd_repair_differs(item, "replica identity"))
		return;
	if (*here == REPLICA_IDENTITY_INDEX)
	{
		char	   *index = sd_repair_ask(&statement, item->objid);

		if (index)
			sd_repair_do(item, SD_REPAIR_LINK, NULL, "%s REPLICA IDENTITY USING INDEX %s", alter(item), index);
		else
			sd_repair_cannot(item, "replica identity: its index is gone here: say REPLICA IDENTITY here, in all regions");
	}
	else
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s REPLICA IDENTITY %s", alter(item),
					 *here == REPLICA_IDENTITY_FULL ? "FULL" : *here == REPLICA_IDENTITY_NOTHING ? "NOTHING" : "DEFAULT");
}

static void
change_persistence(SdRepairItem *item)
{
	if (sd_repair_differs(item, "persistence"))
		sd_repair_do(item, SD_REPAIR_MAKE, strcmp(item->kind, "table") == 0 ? "writes the table again" : NULL, "%s SET %s", alter(item),
					 *sd_repair_here(item, "persistence") == RELPERSISTENCE_UNLOGGED ? "UNLOGGED" : "LOGGED");
}

/* --- parents and partitions --- */

static char *
partition_bound(Oid relation)
{
	static SdStatement statement = {
		.sql = "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = $1", .nargs = 1, .types = {OIDOID}
	};

	return sd_repair_ask(&statement, relation);
}

/* Last, when it has the constraints and indexes that a partition needs, under their names. */
static void
attach(SdRepairItem *item)
{
	char	   *bound = partition_bound(item->objid);

	if (bound)
		sd_repair_do(item, SD_REPAIR_LINK, "reads the partition, unless a CHECK constraint says what the bounds say",
					 "ALTER TABLE ONLY %s ATTACH PARTITION %s %s", sd_repair_quote(sd_repair_here(item, "inherits")), item->name, bound);
}

/* By INHERIT it gets only what it has already: so each column is one of its own. */
static bool
has_all_columns(SdRepairItem *item)
{
	ListCell   *lc;

	foreach(lc, sd_columns_parse(item->here, "column"))
		if (((SdColumnText *) lfirst(lc))->part[SD_COLUMN_LOCAL] == NULL)
			return false;
	return true;
}

/* The order says something, too: which parent's default comes first. */
static void
change_plain_parents(SdRepairItem *item, List *here, List *there)
{
	bool		in_order = list_length(there) <= list_length(here);
	ListCell   *lc;

	for (int i = 0; in_order && i < list_length(there); i++)
		in_order = strcmp(list_nth(here, i), list_nth(there, i)) == 0;
	foreach(lc, there)
		if (!in_order)
			sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s NO INHERIT %s", alter(item), sd_repair_quote(lfirst(lc)));
	foreach(lc, here)
		if (!in_order || foreach_current_index(lc) >= list_length(there))
			sd_repair_do(item, SD_REPAIR_LINK, NULL, "%s INHERIT %s", alter(item), sd_repair_quote(lfirst(lc)));
}

static void
change_parents(SdRepairItem *item)
{
	List	   *here = sd_properties_all(item->here, "inherits");
	List	   *there = sd_properties_all(item->there, "inherits");
	bool		is_partition = *sd_repair_here(item, "partition bound") != '\0';
	bool		was_partition = *sd_repair_there(item, "partition bound") != '\0';
	ListCell   *lc;

	if (!sd_repair_differs(item, "inherits") && !sd_repair_differs(item, "partition bound"))
		return;
	foreach(lc, there)
		if (was_partition)
			sd_repair_do(item, SD_REPAIR_DROP, NULL, "ALTER TABLE %s DETACH PARTITION %s", sd_repair_quote(lfirst(lc)), item->name);
	if (is_partition)
		attach(item);
	else if (here == NIL || has_all_columns(item))
		change_plain_parents(item, here, was_partition ? NIL : there);
	else
		sd_repair_cannot(item, "inherits: by INHERIT a table gets columns of its own, which differs from columns that it has from its parents only: "
						 "make the table anew and copy its rows, or SELECT schemadrift.accept_drift() there");
}

/* --- tables --- */

static void
append_parents(StringInfo out, SdRepairItem *item)
{
	List	   *parents = sd_properties_all(item->here, "inherits");
	ListCell   *lc;

	/* a partition is made by itself, and attached: so it keeps the order of its columns */
	if (parents == NIL || *sd_repair_here(item, "partition bound"))
		return;
	appendStringInfoString(out, " INHERITS (");
	foreach(lc, parents)
		appendStringInfo(out, "%s%s", foreach_current_index(lc) > 0 ? ", " : "", sd_repair_quote(lfirst(lc)));
	appendStringInfoChar(out, ')');
}

/* All options, those of the TOAST table with its name before them; NULL: none. */
static char *
all_options(const SdRepairItem *item)
{
	char	   *own = sd_repair_options(sd_repair_here(item, "options"), NULL);
	char	   *toast = sd_repair_options(sd_repair_here(item, "toast options"), NULL);

	if (toast == NULL)
		return own;
	return psprintf("%s%s%s", own ? own : "", own ? ", " : "", sd_repair_prefix(toast, "toast."));
}

void
sd_repair_create_table(SdRepairItem *item)
{
	static SdStatement key = {.sql = "SELECT pg_get_partkeydef($1)", .nargs = 1, .types = {OIDOID}};
	bool		foreign = strcmp(item->kind, "foreign table") == 0;
	char	   *partition_key = sd_repair_ask(&key, item->objid);
	const char *access_method = sd_repair_here(item, "access method");
	char	   *options = all_options(item);
	StringInfoData statement;

	initStringInfo(&statement);
	appendStringInfo(&statement, "CREATE %s%s %s (%s\n)", *sd_repair_here(item, "persistence") == RELPERSISTENCE_UNLOGGED ? "UNLOGGED " : "",
					 item->how->word, item->name, sd_repair_column_list(item));
	append_parents(&statement, item);
	if (foreign)
	{
		char	   *foreign_options = sd_repair_foreign_list(sd_repair_here(item, "foreign options"));

		appendStringInfo(&statement, " SERVER %s", quote_identifier(sd_repair_here(item, "server")));
		if (foreign_options)
			appendStringInfo(&statement, " OPTIONS (%s)", foreign_options);
	}
	if (partition_key)
		appendStringInfo(&statement, " PARTITION BY %s", partition_key);
	if (*access_method && strcmp(access_method, "heap") != 0)
		appendStringInfo(&statement, " USING %s", sd_repair_quote(access_method));
	if (options)
		appendStringInfo(&statement, " WITH (%s)", options);
	sd_repair_do(item, SD_REPAIR_MAKE, *sd_repair_here(item, "persistence") || foreign ? NULL : "its rows are not made: copy them from a region that has them",
				 "%s", statement.data);
	sd_repair_column_details(item);
	if (*sd_repair_here(item, "of type"))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s OF %s", alter(item), sd_repair_quote(sd_repair_here(item, "of type")));
	change_row_security(item);
	change_replica_identity(item);
	if (*sd_repair_here(item, "partition bound"))
		attach(item);
}

void
sd_repair_alter_table(SdRepairItem *item)
{
	static const char *const fixed[] = {"partition strategy", "partition key", "server", "kind", "detach pending"};
	char	   *foreign = sd_repair_foreign_options(sd_repair_here(item, "foreign options"), sd_repair_there(item, "foreign options"));

	for (size_t i = 0; i < lengthof(fixed); i++)
		if (sd_repair_differs(item, fixed[i]))
			sd_repair_cannot(item, "%s: PostgreSQL cannot change it: make the table anew beside this one, copy the rows, rename, "
							 "or SELECT schemadrift.accept_drift() there", fixed[i]);
	change_parents(item);
	sd_repair_columns(item);
	change_persistence(item);
	if (sd_repair_differs(item, "access method"))
		sd_repair_do(item, SD_REPAIR_MAKE, "writes the table again", "%s SET ACCESS METHOD %s", alter(item),
					 sd_repair_quote(sd_repair_here(item, "access method")));
	if (sd_repair_differs(item, "of type"))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, *sd_repair_here(item, "of type") ? "%s OF %s" : "%s NOT OF%s", alter(item),
					 sd_repair_quote(sd_repair_here(item, "of type")));
	change_options(item, "options", "");
	change_options(item, "toast options", "toast.");
	if (foreign)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s OPTIONS (%s)", alter(item), foreign);
	change_row_security(item);
	change_replica_identity(item);
	if (sd_repair_differs(item, "trigger state"))
		sd_repair_cannot(item, "trigger state: triggers that enforce a foreign key of the whole are switched otherwise for this partition: "
						 "their names are made of OIDs; see pg_trigger where tgrelid is the table, and ALTER TABLE ... ENABLE or DISABLE TRIGGER");
}

/* --- views --- */

static char *
view_query(Oid view)
{
	static SdStatement statement = {.sql = "SELECT rtrim(pg_get_viewdef($1), ';')", .nargs = 1, .types = {OIDOID}};

	return sd_repair_ask(&statement, view);
}

static void
put_view(SdRepairItem *item, bool replace)
{
	bool		materialized = strcmp(item->kind, "view") != 0;
	const char *access_method = sd_repair_here(item, "access method");
	char	   *options = all_options(item);
	StringInfoData statement;

	initStringInfo(&statement);
	appendStringInfo(&statement, "CREATE %s%s %s", replace ? "OR REPLACE " : "", item->how->word, item->name);
	if (*access_method && strcmp(access_method, "heap") != 0)
		appendStringInfo(&statement, " USING %s", sd_repair_quote(access_method));
	if (options)
		appendStringInfo(&statement, " WITH (%s)", options);
	appendStringInfo(&statement, " AS\n%s", view_query(item->objid));
	sd_repair_do(item, SD_REPAIR_MAKE, materialized ? "runs its query" : NULL, "%s", statement.data);
}

void
sd_repair_create_view(SdRepairItem *item)
{
	put_view(item, false);
	sd_repair_column_details(item);
}

static const char *
text_or_none(const char *text)
{
	return text ? text : "";
}

/* CREATE OR REPLACE VIEW can add columns at the end, and nothing else. */
static bool
can_replace(SdRepairItem *item)
{
	List	   *here = sd_columns_parse(item->here, "column");
	List	   *there = sd_columns_parse(item->there, "column");
	ListCell   *x;
	ListCell   *y;

	if (strcmp(item->kind, "view") != 0 || list_length(there) > list_length(here))
		return false;
	forboth(x, here, y, there)
	{
		SdColumnText *ours = lfirst(x);
		SdColumnText *theirs = lfirst(y);

		if (strcmp(ours->identifier, theirs->identifier) != 0 ||
			strcmp(ours->part[SD_COLUMN_TYPE], theirs->part[SD_COLUMN_TYPE]) != 0 ||
			strcmp(text_or_none(ours->part[SD_COLUMN_COLLATION]), text_or_none(theirs->part[SD_COLUMN_COLLATION])) != 0)
			return false;
	}
	return true;
}

static bool
only_details(const SdRepairItem *item)
{
	ListCell   *lc;

	foreach(lc, item->differences)
	{
		const char *property = ((SdPropertyDifference *) lfirst(lc))->property;
		const char *part = strstr(property, ": ");

		if (strncmp(property, "column ", 7) == 0 && part && strcmp(part, ": type") != 0 && strcmp(part, ": collation") != 0)
			continue;
		if (strcmp(property, "options") != 0 && strcmp(property, "toast options") != 0 && strcmp(property, "replica identity") != 0 &&
			strcmp(property, "persistence") != 0 && !sd_repair_is_right(property))
			return false;
	}
	return true;
}

void
sd_repair_alter_view(SdRepairItem *item)
{
	if (!only_details(item))
	{
		if (!can_replace(item))
		{
			sd_repair_replace(item, NULL);
			return;
		}
		/* with all options that it says, and no others */
		put_view(item, true);
	}
	else
		change_options(item, "options", "");
	change_options(item, "toast options", "toast.");
	change_replica_identity(item);
	sd_repair_view_columns(item);
}

/* --- sequences --- */

static char *
sequence_options(Oid sequence)
{
	static SdStatement statement = {
		.sql = "SELECT format('AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s %s', format_type(seqtypid, NULL), "
		"seqincrement, seqmin, seqmax, seqstart, seqcache, CASE WHEN seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) "
		"FROM pg_sequence WHERE seqrelid = $1",
		.nargs = 1, .types = {OIDOID}
	};

	return sd_repair_ask(&statement, sequence);
}

static void
put_owner_column(SdRepairItem *item)
{
	const char *column = sd_repair_here(item, "owned by");

	sd_repair_do(item, SD_REPAIR_LINK, NULL, "%s OWNED BY %s", alter(item), *column ? sd_repair_quote(column) : "NONE");
}

void
sd_repair_create_sequence(SdRepairItem *item)
{
	sd_repair_do(item, SD_REPAIR_MAKE, "it begins at the start: setval() it beyond what is in use", "CREATE %sSEQUENCE %s %s",
				 *sd_repair_here(item, "persistence") == RELPERSISTENCE_UNLOGGED ? "UNLOGGED " : "", item->name,
				 sequence_options(item->objid));
	if (*sd_repair_here(item, "owned by"))
		put_owner_column(item);
}

void
sd_repair_alter_sequence(SdRepairItem *item)
{
	static const char *const not_options[] = {"owned by", "persistence", NULL};

	if (!sd_repair_only(item, not_options))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s %s", alter(item), sequence_options(item->objid));
	change_persistence(item);
	if (sd_repair_differs(item, "owned by"))
		put_owner_column(item);
}
