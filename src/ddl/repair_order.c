/*
 * repair_order.c: several objects that differ at once: what is needed first, what follows from another, what was renamed; see
 * repair_item.h.
 *
 * Definitions name what they need, so that "needs" is "names", on either side, with or without catalogs.  Backends.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "ddl/repair_item.h"

/* Beyond that, the order of kinds has to do: every definition would be searched for every name. */
#define MOST_SEARCHED	1500

/* --- order --- */

static bool
is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '"' || IS_HIGHBIT_SET(c);
}

static bool
names(const char *definition, const char *identity)
{
	size_t		length = strlen(identity);

	for (const char *at = strstr(definition, identity); at; at = strstr(at + 1, identity))
		if ((at == definition || (!is_name_character(at[-1]) && at[-1] != '.')) && !is_name_character(at[length]))
			return true;
	return false;
}

/* By definition or by name: what lies in a schema, or hangs on a table, has its name in its own. */
static bool
needs(const SdRepairItem *item, const char *text, const SdRepairItem *other)
{
	return names(text, other->identity) || names(item->identity, other->identity);
}

static int
rank(const SdRepairItem *item)
{
	return item->how ? item->how->rank : 1000;
}

static int
compare_rank(const ListCell *a, const ListCell *b)
{
	const SdRepairItem *x = lfirst(a);
	const SdRepairItem *y = lfirst(b);

	return rank(x) != rank(y) ? rank(x) - rank(y) : strcmp(x->identity, y->identity);
}

static const char *
text_of(const SdRepairItem *item, bool there)
{
	return there ? item->there_text : item->here_text;
}

/* Puts the item behind what it names, depth first.  Where they name each other, the order of kinds stays. */
static void
place(SdRepairItem **items, int n, int i, bool there, bool *seen, List **ordered)
{
	const char *text = text_of(items[i], there);

	if (seen[i])
		return;
	seen[i] = true;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	/* a sequence that a column owns is there before the table, whose default needs it */
	if (strcmp(items[i]->kind, "sequence") == 0)
		text = NULL;
	for (int j = 0; text && n <= MOST_SEARCHED && j < n; j++)
		if (!seen[j] && text_of(items[j], there) && needs(items[i], text, items[j]))
			place(items, n, j, there, seen, ordered);
	*ordered = lappend(*ordered, items[i]);
}

static List *
put_in_order(List *list, bool there)
{
	int			n = list_length(list);
	SdRepairItem **items = palloc(Max(n, 1) * sizeof(SdRepairItem *));
	bool	   *seen = palloc0(Max(n, 1) * sizeof(bool));
	List	   *ordered = NIL;

	for (int i = 0; i < n; i++)
		items[i] = list_nth(list, i);
	for (int i = 0; i < n; i++)
		place(items, n, i, there, seen, &ordered);
	return ordered;
}

void
sd_repair_order(SdRepairPlan *plan)
{
	int			order = 0;
	ListCell   *lc;

	list_sort(plan->items, compare_rank);
	foreach(lc, put_in_order(plan->items, true))
		((SdRepairItem *) lfirst(lc))->drop_order = -++order;
	plan->items = put_in_order(plan->items, false);
	order = 0;
	foreach(lc, plan->items)
		((SdRepairItem *) lfirst(lc))->make_order = ++order;
}

/* --- what follows from another --- */

static const char *const relations[] = {"table", "foreign table", "view", "materialized view"};

static SdRepairItem *
find_relation(SdRepairPlan *plan, const char *identity)
{
	for (size_t i = 0; identity && i < lengthof(relations); i++)
	{
		SdRepairItem *item = sd_repair_find(plan, relations[i], identity);

		if (item)
			return item;
	}
	return NULL;
}

static bool
is_extra(const SdRepairItem *item)
{
	return item && item->here_text == NULL && item->there_text;
}

static bool
is_missing(const SdRepairItem *item)
{
	return item && item->here_text && item->there_text == NULL;
}

static bool
is_kind(const SdRepairItem *item, const char *kind)
{
	return strcmp(item->kind, kind) == 0;
}

/* The relation, or domain, that it hangs on. */
static char *
base_of(const SdRepairItem *item, List *properties)
{
	if (is_kind(item, "index"))
		return sd_properties_get(properties, "table");
	if (is_kind(item, "sequence"))
	{
		char	   *column = sd_properties_get(properties, "owned by");

		return column ? sd_repair_owner_of(column) : NULL;
	}
	if (item->how && (item->how->call == SD_CALL_ON || item->how->call == SD_CALL_CONSTRAINT))
		return sd_repair_owner_of(item->identity);
	return NULL;
}

/* The sequence of a column that has gone, or is no identity column any more, goes with that. */
static bool
goes_with_column(SdRepairPlan *plan, const SdRepairItem *sequence)
{
	char	   *column = sd_properties_get(sequence->there, "owned by");
	SdRepairItem *table = column ? find_relation(plan, sd_repair_owner_of(column)) : NULL;
	char	   *name;
	SdColumnText *ours;
	SdColumnText *theirs;

	if (table == NULL || table->here_text == NULL || table->there_text == NULL)
		return false;
	name = column + strlen(sd_repair_owner_of(column)) + 1;
	ours = sd_columns_find(sd_columns_parse(table->here, "column"), name);
	theirs = sd_columns_find(sd_columns_parse(table->there, "column"), name);
	return theirs && theirs->part[SD_COLUMN_IDENTITY] && (ours == NULL || ours->part[SD_COLUMN_IDENTITY] == NULL);
}

/* A constraint that has this index, there. */
static bool
is_constraint_index(SdRepairPlan *plan, const char *index)
{
	ListCell   *lc;

	foreach(lc, plan->items)
	{
		SdRepairItem *item = lfirst(lc);

		if (is_kind(item, "constraint") && item->there_text && strcmp(sd_repair_there(item, "index"), index) == 0)
			return true;
	}
	return false;
}

/* What a table's parents have under the same name, in the plan as well. */
static bool
is_inherited_extra(SdRepairPlan *plan, const SdRepairItem *item)
{
	static SdStatement statement = {
		.sql = "WITH RECURSIVE above(oid) AS (SELECT inhparent FROM pg_inherits WHERE inhrelid = to_regclass($1) "
		"UNION SELECT i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.oid) "
		"SELECT quote_ident(n.nspname), quote_ident(c.relname) FROM above a "
		"JOIN pg_class c ON c.oid = a.oid JOIN pg_namespace n ON n.oid = c.relnamespace",
		.nargs = 1, .types = {TEXTOID}
	};
	char	   *table = sd_repair_owner_of(item->identity);
	const char *name = llast(sd_repair_parts(item->identity));
	Datum		values[] = {CStringGetTextDatum(sd_repair_quote(table))};
	int			n = (int) sd_store_run(&statement, values, NULL, SD_ANY_ROWS);

	for (int i = 0; i < n; i++)
	{
		char	   *parent = psprintf("%s.%s", sd_store_text(i, 1), sd_store_text(i, 2));
		ListCell   *lc;

		foreach(lc, plan->items)
		{
			SdRepairItem *other = lfirst(lc);

			if (is_extra(other) && is_kind(other, item->kind) &&
				strcmp(sd_repair_quote(sd_repair_owner_of(other->identity)), parent) == 0 &&
				strcmp(llast(sd_repair_parts(other->identity)), name) == 0)
				return true;
		}
	}
	return false;
}

/* The functions and the cast that come with a range and go with it. */
static bool
is_of_extra_range(SdRepairPlan *plan, const SdRepairItem *item)
{
	ListCell   *lc;

	foreach(lc, plan->items)
	{
		SdRepairItem *type = lfirst(lc);
		const char *multirange;

		if (!is_extra(type) || !is_kind(type, "type") || *(multirange = sd_repair_there(type, "multirange")) == '\0')
			continue;
		if (is_kind(item, "function") &&
			(strcmp(sd_repair_routine(item->identity), type->identity) == 0 || strcmp(sd_repair_routine(item->identity), multirange) == 0))
			return true;
		if (is_kind(item, "cast") && strcmp(item->identity, psprintf("(%s as %s)", type->identity, multirange)) == 0)
			return true;
	}
	return false;
}

static bool
is_extra_implied(SdRepairPlan *plan, const SdRepairItem *item)
{
	char	   *base = base_of(item, item->there);

	if (is_of_extra_range(plan, item))
		return true;

	if (base && (is_extra(find_relation(plan, base)) || is_extra(sd_repair_find(plan, "domain", base))))
		return true;
	if (is_kind(item, "index"))
		return is_constraint_index(plan, item->identity) ||
			is_extra(sd_repair_find(plan, "index", sd_repair_there(item, "attached to")));
	if (is_kind(item, "sequence"))
		return goes_with_column(plan, item);
	if (is_kind(item, "constraint") && is_extra(sd_repair_find(plan, "index", sd_repair_there(item, "index"))) &&
		sd_properties_get(sd_repair_find(plan, "index", sd_repair_there(item, "index"))->there, "attached to"))
		return true;
	if (is_kind(item, "constraint") || is_kind(item, "trigger"))
		return is_inherited_extra(plan, item);
	return false;
}

/*
 * Made by the server with what it belongs to: here, an identity column's sequence, a constraint's index, a parent's part of a
 * child, a range's functions.
 */
static bool
is_made_with(SdRepairPlan *plan, const SdRepairItem *item)
{
	static SdStatement sequence = {
		.sql = "SELECT 'yes' FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = $1 AND deptype = 'i' "
		"AND refclassid = 'pg_class'::regclass AND refobjsubid > 0",
		.nargs = 1, .types = {OIDOID}
	};
	static SdStatement constraint = {
		.sql = "SELECT CASE WHEN contype IN ('p', 'u', 'x') THEN 'no' WHEN coninhcount > 0 AND NOT conislocal OR conparentid <> 0 THEN 'yes' END "
		"FROM pg_constraint WHERE oid = $1",
		.nargs = 1, .types = {OIDOID}
	};
	static SdStatement trigger = {
		.sql = "SELECT CASE WHEN tgparentid <> 0 THEN 'yes' END FROM pg_trigger WHERE oid = $1", .nargs = 1, .types = {OIDOID}
	};
	static SdStatement index = {
		.sql = "SELECT 'yes' FROM pg_constraint WHERE conindid = $1 AND contype IN ('p', 'u', 'x')", .nargs = 1, .types = {OIDOID}
	};
	static SdStatement function = {
		.sql = "SELECT 'yes' FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = $1 AND deptype = 'i' LIMIT 1", .nargs = 1, .types = {OIDOID}
	};
	static SdStatement cast = {
		.sql = "SELECT 'yes' FROM pg_depend WHERE classid = 'pg_cast'::regclass AND objid = $1 AND deptype = 'i' LIMIT 1", .nargs = 1, .types = {OIDOID}
	};
	const char *answer = NULL;

	if (is_kind(item, "function"))
		answer = sd_repair_ask(&function, item->objid);
	else if (is_kind(item, "cast"))
		answer = sd_repair_ask(&cast, item->objid);
	else if (is_kind(item, "sequence"))
		answer = sd_repair_ask(&sequence, item->objid);
	else if (is_kind(item, "constraint") && !is_missing(find_relation(plan, sd_repair_owner_of(item->identity))))
		answer = sd_repair_ask(&constraint, item->objid);
	else if (is_kind(item, "trigger"))
		answer = sd_repair_ask(&trigger, item->objid);
	else if (is_kind(item, "index"))
		answer = sd_repair_ask(&index, item->objid);
	return answer && strcmp(answer, "yes") == 0;
}

void
sd_repair_imply(SdRepairPlan *plan)
{
	ListCell   *lc;

	foreach(lc, plan->items)
	{
		SdRepairItem *item = lfirst(lc);

		if (is_extra(item))
			item->implied |= is_extra_implied(plan, item);
		else if (is_missing(item))
			item->implied |= is_made_with(plan, item);
	}
}

/* Its phase, for those that it names. */
static SdRepairPhase
phase_of_user(const SdRepairItem *item)
{
	if (item->there_text == NULL)
		return SD_REPAIR_DROP;
	return is_extra(item) ? item->drop_phase : SD_REPAIR_TIDY;
}

static int
compare_drop_order(const ListCell *a, const ListCell *b)
{
	return ((SdRepairItem *) lfirst(a))->drop_order - ((SdRepairItem *) lfirst(b))->drop_order;
}

void
sd_repair_drop_phases(SdRepairPlan *plan)
{
	List	   *items = list_copy(plan->items);
	ListCell   *lc;

	foreach(lc, items)
	{
		SdRepairItem *item = lfirst(lc);

		item->drop_phase = item->how && item->how->loss ? SD_REPAIR_LOSE : SD_REPAIR_DROP;
	}
	/* what uses something comes before it */
	list_sort(items, compare_drop_order);
	foreach(lc, items)
	{
		SdRepairItem *user = lfirst(lc);
		char	   *base = base_of(user, user->there);
		SdRepairItem *relation = base ? find_relation(plan, base) : NULL;
		ListCell   *other;

		CHECK_FOR_INTERRUPTS();
		if (is_extra(user) && user->implied && is_extra(relation))
			user->drop_phase = relation->drop_phase;
		if (list_length(items) > MOST_SEARCHED || phase_of_user(user) == SD_REPAIR_DROP)
			continue;
		foreach(other, items)
		{
			SdRepairItem *used = lfirst(other);

			if (is_extra(used) && used != user && used->drop_phase < phase_of_user(user) && needs(user, user->there_text, used))
				used->drop_phase = phase_of_user(user);
		}
	}
}

/* --- what was renamed --- */

/* By no other way do two objects get the same definition, but the simplest do. */
static SdRepairItem *
same_as(SdRepairPlan *plan, const SdRepairItem *extra)
{
	SdRepairItem *found = NULL;
	ListCell   *lc;

	foreach(lc, plan->items)
	{
		SdRepairItem *item = lfirst(lc);

		if (is_missing(item) && is_kind(item, extra->kind) && strcmp(item->here_text, extra->there_text) == 0)
		{
			if (found)
				return NULL;
			found = item;
		}
	}
	return found;
}

static bool
is_only_one(SdRepairPlan *plan, const SdRepairItem *extra)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, plan->items)
	{
		SdRepairItem *item = lfirst(lc);

		n += is_extra(item) && is_kind(item, extra->kind) && strcmp(item->there_text, extra->there_text) == 0;
	}
	return n == 1;
}

/* What hangs on either name is there twice in the plan, and will be right. */
static void
imply_what_hangs_on(SdRepairPlan *plan, const SdRepairItem *relation)
{
	ListCell   *lc;

	foreach(lc, plan->items)
	{
		SdRepairItem *item = lfirst(lc);
		const char *base = base_of(item, item->here_text ? item->here : item->there);

		if (base && strcmp(base, relation->identity) == 0)
			item->implied = true;
	}
}

static void
rename_to(SdRepairItem *extra, SdRepairItem *missing)
{
	List	   *from = sd_repair_parts(extra->identity);
	List	   *to = sd_repair_parts(missing->identity);
	const char *name = quote_identifier(llast(to));
	const char *note = "its definition is the same: it was renamed; ask for the plan again afterwards";

	if (extra->how->call == SD_CALL_CONSTRAINT)
		sd_repair_do(extra, SD_REPAIR_RENAME, note, "ALTER %s %s RENAME CONSTRAINT %s TO %s",
					 is_kind(extra, "constraint") ? "TABLE" : "DOMAIN", sd_repair_quote(sd_repair_owner_of(extra->identity)),
					 quote_identifier(llast(from)), name);
	else if (strcmp(llast(from), llast(to)) != 0)
		sd_repair_do(extra, SD_REPAIR_RENAME, note, "ALTER %s RENAME TO %s", extra->called, name);
	else
		sd_repair_do(extra, SD_REPAIR_RENAME, note, "ALTER %s SET SCHEMA %s", extra->called, quote_identifier(linitial(to)));
	extra->implied = missing->implied = true;
}

void
sd_repair_renames(SdRepairPlan *plan)
{
	static const char *const kinds[] = {
		"table", "foreign table", "view", "materialized view", "sequence", "type", "domain", "function", "procedure", "aggregate",
		"constraint", "domain constraint", "trigger", "rule", "policy", "statistics object", "schema"
	};
	ListCell   *lc;

	foreach(lc, plan->items)
	{
		SdRepairItem *extra = lfirst(lc);
		SdRepairItem *missing;
		bool		known = false;
		List	   *from;
		List	   *to;

		for (size_t i = 0; i < lengthof(kinds); i++)
			known |= is_kind(extra, kinds[i]);
		if (!known || !is_extra(extra) || extra->implied || !is_only_one(plan, extra) || (missing = same_as(plan, extra)) == NULL)
			continue;
		/* one step only: another name, or another schema; of what hangs on a relation, another name on the same one */
		from = sd_repair_parts(extra->identity);
		to = sd_repair_parts(missing->identity);
		if (list_length(from) > 1 && strcmp(linitial(from), linitial(to)) != 0 &&
			(strcmp(llast(from), llast(to)) != 0 || extra->how->loss == NULL))
			continue;
		if (list_length(from) == 3 && strcmp(sd_repair_owner_of(extra->identity), sd_repair_owner_of(missing->identity)) != 0)
			continue;
		rename_to(extra, missing);
		imply_what_hangs_on(plan, extra);
		imply_what_hangs_on(plan, missing);
	}
}
