/*
 * repair_attached.c: indexes, constraints, triggers, rules and policies elsewhere made what they are here; see repair_item.h.
 *
 * Backends.
 */
#include "compat.h"

#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "ddl/describe.h"
#include "ddl/repair_item.h"

/* The relation, or domain, that it hangs on, and its own name, as SQL. */
static char *
base(const SdRepairItem *item)
{
	return sd_repair_quote(sd_repair_owner_of(item->identity));
}

static const char *
last(const SdRepairItem *item)
{
	return quote_identifier(llast(sd_repair_parts(item->identity)));
}

/* --- indexes --- */

static void
attach_index(SdRepairItem *item)
{
	const char *parent = sd_repair_here(item, "attached to");

	if (*parent)
		sd_repair_do(item, SD_REPAIR_LINK, NULL, "ALTER INDEX %s ATTACH PARTITION %s", sd_repair_quote(parent), item->name);
}

static void
put_replica_identity(SdRepairItem *item)
{
	if (*sd_repair_here(item, "replica identity"))
		sd_repair_do(item, SD_REPAIR_LINK, NULL, "ALTER TABLE %s REPLICA IDENTITY USING INDEX %s",
					 sd_repair_quote(sd_repair_here(item, "table")), last(item));
}

/* " statistics 100" at the end of a key's line, which CREATE INDEX cannot say; NULL: none. */
static const char *
key_statistics(const char *key)
{
	for (const char *at = strstr(key, " statistics "); at; at = strstr(at + 1, " statistics "))
		if (at[12 + strspn(at + 12, "0123456789")] == '\0')
			return at;
	return NULL;
}

static char *
without_statistics(const char *key)
{
	const char *statistics = key_statistics(key);

	return statistics ? pnstrdup(key, statistics - key) : pstrdup(key);
}

static void
change_key_statistics(SdRepairItem *item)
{
	List	   *here = sd_properties_all(item->here, "key");
	List	   *there = sd_properties_all(item->there, "key");

	for (int i = 0; i < list_length(here); i++)
	{
		const char *ours = key_statistics(list_nth(here, i));
		const char *theirs = i < list_length(there) ? key_statistics(list_nth(there, i)) : NULL;

		if (ours ? theirs == NULL || strcmp(ours, theirs) != 0 : theirs != NULL)
			sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER INDEX %s ALTER COLUMN %d SET STATISTICS %s", item->name, i + 1,
						 ours ? ours + 12 : "-1");
	}
}

static bool
same_keys(SdRepairItem *item)
{
	List	   *here = sd_properties_all(item->here, "key");
	List	   *there = sd_properties_all(item->there, "key");

	if (list_length(here) != list_length(there))
		return false;
	for (int i = 0; i < list_length(here); i++)
		if (strcmp(without_statistics(list_nth(here, i)), without_statistics(list_nth(there, i))) != 0)
			return false;
	return true;
}

void
sd_repair_create_index(SdRepairItem *item)
{
	static SdStatement statement = {.sql = "SELECT pg_get_indexdef($1)", .nargs = 1, .types = {OIDOID}};

	if (*sd_repair_here(item, "invalid"))
		sd_repair_cannot(item, "it is invalid where this was asked: the one below is not, and so differs");
	sd_repair_do(item, SD_REPAIR_MAKE,
				 "stops writes to the table while it is built: of a large one, CREATE INDEX CONCURRENTLY before the transaction of the rest",
				 "%s", sd_repair_ask(&statement, item->objid));
	change_key_statistics(item);
	attach_index(item);
	put_replica_identity(item);
}

/* The constraint here that it stands for. */
static SdRepairItem *
constraint_of(SdRepairItem *index)
{
	static SdStatement statement = {
		.sql = "SELECT oid::bigint::text FROM pg_constraint WHERE conindid = $1 AND contype IN ('p', 'u', 'x')", .nargs = 1, .types = {OIDOID}
	};
	char	   *oid = sd_repair_ask(&statement, index->objid);

	return oid ? sd_repair_item_of(index->plan, ConstraintRelationId, (Oid) strtoul(oid, NULL, 10)) : NULL;
}

void
sd_repair_alter_index(SdRepairItem *item)
{
	static const char *const changeable[] = {"options", "keys", "attached to", "replica identity", NULL};
	const char *here = sd_repair_here(item, "options");
	const char *there = sd_repair_there(item, "options");
	SdRepairItem *constraint;
	char	   *set;

	if (!sd_repair_only(item, changeable) || !same_keys(item))
	{
		if ((constraint = constraint_of(item)) == NULL)
			sd_repair_replace(item, "a partly built or different index serves nothing: it is made again below");
		else if (!sd_repair_is_again(item->plan, constraint))
		{
			constraint->make_order = item->make_order;
			constraint->drop_order = item->drop_order;
			sd_repair_replace(constraint, "has an index that is different: both are made again below");
		}
		return;
	}
	if ((set = sd_repair_options(here, there)) != NULL)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER INDEX %s SET (%s)", item->name, set);
	if ((set = sd_repair_options_gone(there, here)) != NULL)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER INDEX %s RESET (%s)", item->name, set);
	change_key_statistics(item);
	if (sd_repair_differs(item, "attached to"))
	{
		if (*sd_repair_there(item, "attached to"))
			sd_repair_cannot(item, "attached to: an index cannot be detached: detach the partition, or drop %s",
							 sd_repair_quote(sd_repair_there(item, "attached to")));
		else
			attach_index(item);
	}
	if (sd_repair_differs(item, "replica identity"))
		put_replica_identity(item);
}

/* --- constraints --- */

static bool
is_of_domain(const SdRepairItem *item)
{
	return strcmp(item->kind, "domain constraint") == 0;
}

static char
constraint_type(const SdRepairItem *item)
{
	return *sd_repair_here(item, "type");
}

/* Triggers of a foreign key, or of what is deferrable, that a superuser switched off, or has on here: their names are made of OIDs. */
static void
put_trigger_states(SdRepairItem *item)
{
	if (sd_repair_differs(item, "trigger state"))
		sd_repair_cannot(item, "trigger state: triggers that enforce it are switched %s there: their names are made of OIDs; see pg_trigger where "
						 "tgconstraint is the one of %s, and ALTER TABLE ... %s TRIGGER",
						 *sd_repair_here(item, "trigger state") ? "otherwise" : "off", last(item),
						 *sd_repair_here(item, "trigger state") ? "ENABLE or DISABLE" : "ENABLE");
}

void
sd_repair_create_constraint(SdRepairItem *item)
{
	static SdStatement definition = {.sql = "SELECT pg_get_constraintdef($1)", .nargs = 1, .types = {OIDOID}};
	/* each partition has its own key, with its own name, which is attached: as pg_dump does it */
	static SdStatement only = {
		.sql = "SELECT CASE WHEN c.contype IN ('p', 'u', 'x') AND r.relkind = 'p' THEN 'ONLY ' ELSE '' END "
		"FROM pg_constraint c LEFT JOIN pg_class r ON r.oid = c.conrelid WHERE c.oid = $1",
		.nargs = 1, .types = {OIDOID}
	};
	static SdStatement parent_index = {
		.sql = "SELECT format('ALTER INDEX %I.%I ATTACH PARTITION %I.%I', pn.nspname, p.relname, n.nspname, i.relname) "
		"FROM pg_constraint c JOIN pg_class i ON i.oid = c.conindid JOIN pg_namespace n ON n.oid = i.relnamespace "
		"JOIN pg_inherits h ON h.inhrelid = i.oid JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace "
		"WHERE c.oid = $1 AND c.contype IN ('p', 'u', 'x')",
		.nargs = 1, .types = {OIDOID}
	};
	bool		foreign_key = constraint_type(item) == CONSTRAINT_FOREIGN;
	bool		valid = *sd_repair_here(item, "not valid") == '\0';
	char	   *attach;

	sd_repair_do(item, foreign_key ? SD_REPAIR_LINK : SD_REPAIR_MAKE,
				 valid ? "reads the whole table; fails where a row violates it" : NULL, "ALTER %s %s%s ADD CONSTRAINT %s %s",
				 is_of_domain(item) ? "DOMAIN" : "TABLE", sd_repair_ask(&only, item->objid), base(item), last(item),
				 sd_repair_ask(&definition, item->objid));
	attach = sd_repair_ask(&parent_index, item->objid);
	if (attach)
		sd_repair_do(item, SD_REPAIR_LINK, NULL, "%s", attach);
	put_trigger_states(item);
}

void
sd_repair_alter_constraint(SdRepairItem *item)
{
	static const char *const validity[] = {"not valid", "trigger state", NULL};
	static const char *const timing[] = {"deferrable", "initially deferred", "trigger state", NULL};
	static const char *const inheritance[] = {"no inherit", NULL};
	static const char *const local[] = {"defined locally", NULL};

	if (item->differences != NIL && sd_repair_only(item, local))
	{
		if (*sd_repair_here(item, "defined locally"))
			sd_repair_create_constraint(item);	/* it merges with what is inherited */
		else
			sd_repair_cannot(item, "whether a child has a CHECK of its own or its parent's cannot be changed, other than by NO INHERIT, "
							 "DROP CONSTRAINT and INHERIT");
	}
	else if (sd_repair_only(item, validity) && *sd_repair_here(item, "not valid") == '\0')
	{
		if (sd_repair_differs(item, "not valid"))
			sd_repair_do(item, SD_REPAIR_LINK, "reads the whole table; fails where a row violates it", "ALTER %s %s VALIDATE CONSTRAINT %s",
						 is_of_domain(item) ? "DOMAIN" : "TABLE", base(item), last(item));
		put_trigger_states(item);
	}
	else if (constraint_type(item) == CONSTRAINT_FOREIGN && sd_repair_only(item, timing))
	{
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER TABLE %s ALTER CONSTRAINT %s %s %s", base(item), last(item),
					 *sd_repair_here(item, "deferrable") ? "DEFERRABLE" : "NOT DEFERRABLE",
					 *sd_repair_here(item, "initially deferred") ? "INITIALLY DEFERRED" : "INITIALLY IMMEDIATE");
		put_trigger_states(item);
	}
	else if (constraint_type(item) == SD_COMPAT_CONSTRAINT_NOTNULL && sd_repair_only(item, inheritance))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER TABLE %s ALTER CONSTRAINT %s %s", base(item), last(item),
					 *sd_repair_here(item, "no inherit") ? "NO INHERIT" : "INHERIT");
	else
		sd_repair_replace(item, NULL);
}

bool
sd_repair_is_not_null(const SdRepairItem *item)
{
	return (strcmp(item->kind, "constraint") == 0 || is_of_domain(item)) &&
		*sd_repair_there(item, "type") == SD_COMPAT_CONSTRAINT_NOTNULL;
}

/* Its table's, or domain's, own statement takes it away. */
static bool
goes_with_not_null(const SdRepairItem *item)
{
	static const char *const kinds[] = {"table", "foreign table", "domain"};
	char	   *owner = sd_repair_owner_of(item->identity);

	for (size_t i = 0; i < lengthof(kinds); i++)
	{
		SdRepairItem *whole = sd_repair_find(item->plan, kinds[i], owner);
		ListCell   *lc;

		foreach(lc, whole ? whole->differences : NIL)
		{
			SdPropertyDifference *difference = lfirst(lc);
			size_t		length = strlen(difference->property);

			if (difference->a == NULL && length >= 8 && strcmp(difference->property + length - 8, "not null") == 0)
				return true;
		}
	}
	return false;
}

/*
 * Extra is not the constraint, but that there is something to say of it.  To drop it would let nulls in, which the column's own line
 * forbids here as there.
 */
void
sd_repair_plain_not_null(SdRepairItem *item)
{
	const char *columns = sd_repair_there(item, "columns");	/* a domain's has none */

	if (goes_with_not_null(item))
		return;
	item->here_text = psprintf("type: %c\n%s", SD_COMPAT_CONSTRAINT_NOTNULL, *columns ? psprintf("columns: %s\n", columns) : "");
	item->here = sd_properties_parse(item->here_text);
	item->differences = sd_properties_differ(item->here_text, item->there_text);
}

/* --- triggers --- */

static const char *
enabled_word(const char *state)
{
	switch (*state)
	{
		case TRIGGER_DISABLED:
			return "DISABLE";
		case TRIGGER_FIRES_ON_REPLICA:
			return "ENABLE REPLICA";
		case TRIGGER_FIRES_ALWAYS:
			return "ENABLE ALWAYS";
		default:
			return "ENABLE";
	}
}

static void
put_enabled(SdRepairItem *item, const char *only)
{
	if (sd_repair_differs(item, "enabled"))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER TABLE %s%s %s %s %s", only, base(item),
					 enabled_word(sd_repair_here(item, "enabled")), item->how->word, last(item));
}

void
sd_repair_create_trigger(SdRepairItem *item)
{
	static SdStatement statement = {.sql = "SELECT pg_get_triggerdef($1)", .nargs = 1, .types = {OIDOID}};

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s", sd_repair_ask(&statement, item->objid));
	put_enabled(item, "ONLY ");
}

void
sd_repair_alter_trigger(SdRepairItem *item)
{
	static const char *const changeable[] = {"enabled", NULL};

	if (sd_repair_only(item, changeable))
		put_enabled(item, "ONLY ");
	else
		sd_repair_replace(item, NULL);
}

/* --- rules --- */

void
sd_repair_create_rule(SdRepairItem *item)
{
	static SdStatement statement = {.sql = "SELECT rtrim(pg_get_ruledef($1), ';')", .nargs = 1, .types = {OIDOID}};

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s", sd_repair_ask(&statement, item->objid));
	put_enabled(item, "");
}

void
sd_repair_alter_rule(SdRepairItem *item)
{
	static const char *const changeable[] = {"enabled", NULL};

	if (sd_repair_only(item, changeable))
		put_enabled(item, "");
	else
		sd_repair_replace(item, NULL);
}

/* --- policies --- */

void
sd_repair_create_policy(SdRepairItem *item)
{
	static SdStatement statement = {
		.sql = "SELECT concat(CASE WHEN polpermissive THEN '' ELSE ' AS RESTRICTIVE' END, "
		"' FOR ', CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END, "
		"' TO ', (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ') FROM unnest(polroles) r), "
		"' USING (' || pg_get_expr(polqual, polrelid) || ')', ' WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')') "
		"FROM pg_policy WHERE oid = $1",
		.nargs = 1, .types = {OIDOID}
	};

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE POLICY %s ON %s%s", last(item), base(item), sd_repair_ask(&statement, item->objid));
}
