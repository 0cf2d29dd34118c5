/*
 * describe_attached.c: canonical definitions of what hangs on a relation: constraints, triggers, rules, policies; see
 * describe.h.
 *
 * Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "nodes/parsenodes.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteSupport.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl/canonical.h"
#include "ddl/datum.h"
#include "ddl/describe.h"
#include "ddl/names.h"
#include "ddl/rows.h"

/* Is the relation that the object hangs on covered?  Then its identity is the relation's and the name. */
static bool
begin_attached(SdDescriber *describer, SdDescription *description, Oid relation, const char *name)
{
	HeapTuple	tuple = sd_rows_relation(relation);
	Form_pg_class class;
	bool		covered;

	if (!HeapTupleIsValid(tuple))
		return false;
	class = (Form_pg_class) GETSTRUCT(tuple);
	covered = class->relpersistence != RELPERSISTENCE_TEMP &&
		sd_name_is_covered(describer, class->relnamespace, NameStr(class->relname)) &&
		!sd_is_extension_member(describer, RelationRelationId, relation);
	if (covered)
	{
		sd_append_qualified(&description->identity, class->relnamespace, NameStr(class->relname));
		appendStringInfoChar(&description->identity, '.');
		sd_append_identifier(&description->identity, name);
	}
	return covered;
}

static bool
begin_domain_constraint(SdDescriber *describer, SdDescription *description, Oid domain, const char *name)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(domain));
	Form_pg_type type;
	bool		covered;

	if (!HeapTupleIsValid(tuple))
		return false;
	type = (Form_pg_type) GETSTRUCT(tuple);
	covered = sd_name_is_covered(describer, type->typnamespace, NameStr(type->typname)) &&
		!sd_is_extension_member(describer, TypeRelationId, domain);
	if (covered)
	{
		sd_append_qualified(&description->identity, type->typnamespace, NameStr(type->typname));
		appendStringInfoChar(&description->identity, '.');
		sd_append_identifier(&description->identity, name);
	}
	ReleaseSysCache(tuple);
	return covered;
}

/* --- constraints --- */

static int
get_array(HeapTuple tuple, TupleDesc descriptor, AttrNumber column, Oid type, int size, Datum **elements)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, descriptor, &isnull);
	int			n;

	if (isnull)
		return 0;
	deconstruct_array(DatumGetArrayTypeP(value), type, size, true,
					  size == 2 ? TYPALIGN_SHORT : TYPALIGN_INT, elements, NULL, &n);
	return n;
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

static void
put_columns(SdDescription *description, HeapTuple tuple, TupleDesc descriptor, AttrNumber attribute,
			const char *property, Oid relation)
{
	Datum	   *elements;
	int			n = get_array(tuple, descriptor, attribute, INT2OID, 2, &elements);
	int16	   *numbers;

	if (n == 0)
		return;
	numbers = palloc(n * sizeof(int16));
	for (int i = 0; i < n; i++)
		numbers[i] = DatumGetInt16(elements[i]);
	sd_put(description, property, sd_join_columns(relation, numbers, n));
}

static void
put_exclusion_operators(SdDescription *description, HeapTuple tuple, TupleDesc descriptor)
{
	Datum	   *elements;
	int			n = get_array(tuple, descriptor, Anum_pg_constraint_conexclop, OIDOID, 4, &elements);

	for (int i = 0; i < n; i++)
		sd_put_name(description, "with", sd_append_operator, DatumGetObjectId(elements[i]));
}

static int
compare_states(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

static void
put_states(SdDescription *description, List *states)
{
	ListCell   *lc;

	list_sort(states, compare_states);
	foreach(lc, states)
		sd_put(description, "trigger state", lfirst(lc));
}

/* A foreign key, and what is deferrable, is enforced by internal triggers, and a superuser can switch them off one by one. */
static void
put_disabled_triggers(SdDescription *description, Oid constraint)
{
	SdRows		rows = sd_rows_find(SD_ROWS_CONSTRAINT_TRIGGER, constraint);
	List	   *states = NIL;

	for (int row = 0; row < rows.n; row++)
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(rows.tuple[row]);

		if (trigger->tgenabled != TRIGGER_FIRES_ON_ORIGIN && !OidIsValid(trigger->tgparentid))
			states = lappend(states, psprintf("type %d %c", trigger->tgtype, trigger->tgenabled));
	}
	put_states(description, states);
}

/* The table's columns in a foreign key, from whichever side. */
static char *
columns_in_key(Oid constraint, Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	AttrNumber	attribute = Anum_pg_constraint_confkey;
	Datum	   *elements;
	int16	   *numbers;
	Datum		value;
	bool		isnull;
	int			n = 0;

	if (!HeapTupleIsValid(tuple))
		return "";
	if (((Form_pg_constraint) GETSTRUCT(tuple))->conrelid == relation)
		attribute = Anum_pg_constraint_conkey;
	value = SysCacheGetAttr(CONSTROID, tuple, attribute, &isnull);
	if (!isnull)
		deconstruct_array(DatumGetArrayTypeP(value), INT2OID, 2, true, TYPALIGN_SHORT, &elements, NULL, &n);
	numbers = palloc(Max(n, 1) * sizeof(int16));
	for (int i = 0; i < n; i++)
		numbers[i] = DatumGetInt16(elements[i]);
	ReleaseSysCache(tuple);
	return sd_join_columns(relation, numbers, n);
}

void
sd_put_share_states(SdDescription *description, Oid relation)
{
	SdRows		rows = sd_rows_find(SD_ROWS_TRIGGER, relation);
	List	   *states = NIL;

	for (int row = 0; row < rows.n; row++)
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(rows.tuple[row]);

		if (trigger->tgisinternal && trigger->tgenabled != TRIGGER_FIRES_ON_ORIGIN && OidIsValid(trigger->tgparentid) &&
			OidIsValid(trigger->tgconstraint))
			states = lappend(states, psprintf("(%s) type %d %c", columns_in_key(trigger->tgconstraint, relation), trigger->tgtype,
											  trigger->tgenabled));
	}
	put_states(description, states);
}

static void
put_foreign_key(SdDescription *description, HeapTuple tuple, TupleDesc descriptor)
{
	Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);

	sd_put_name(description, "references", sd_append_relation, constraint->confrelid);
	put_columns(description, tuple, descriptor, Anum_pg_constraint_confkey, "referenced columns",
				constraint->confrelid);
	sd_put_char(description, "on update", constraint->confupdtype, FKCONSTR_ACTION_NOACTION);
	sd_put_char(description, "on delete", constraint->confdeltype, FKCONSTR_ACTION_NOACTION);
	put_columns(description, tuple, descriptor, Anum_pg_constraint_confdelsetcols, "on delete set",
				constraint->conrelid);
	sd_put_char(description, "match", constraint->confmatchtype, FKCONSTR_MATCH_SIMPLE);
}

/*
 * Is it an object by itself?  Constraint triggers are described as triggers, NOT NULL with its column if there is no more
 * to say of it (not even a comment), and a partition's share of a foreign key follows from the whole, under a name that depends on the order of creation.
 */
static bool
is_own_constraint(SdDescriber *describer, Form_pg_constraint constraint)
{
	switch (constraint->contype)
	{
		case CONSTRAINT_CHECK:
		case CONSTRAINT_PRIMARY:
		case CONSTRAINT_UNIQUE:
		case CONSTRAINT_EXCLUSION:
			return true;
		case CONSTRAINT_FOREIGN:
			return !OidIsValid(constraint->conparentid);
		case SD_COMPAT_CONSTRAINT_NOTNULL:
			return (OidIsValid(constraint->conrelid) && (constraint->connoinherit || !constraint->convalidated)) ||
				sd_has_notes(describer, ConstraintRelationId, constraint->oid);
		default:
			return false;
	}
}

/* A partition has the constraints of its table, however they came; a child of plain parents keeps its own when theirs is dropped. */
static bool
is_of_partition(Oid relation)
{
	HeapTuple	tuple = sd_rows_relation(relation);

	return HeapTupleIsValid(tuple) && ((Form_pg_class) GETSTRUCT(tuple))->relispartition;
}

bool
sd_describe_constraint(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);
	char		type = constraint->contype;
	TupleDesc	descriptor = description->catalog;
	Datum		value;
	bool		isnull;

	if (!is_own_constraint(describer, constraint))
		return false;
	if (OidIsValid(constraint->conrelid))
	{
		if (!begin_attached(describer, description, constraint->conrelid, NameStr(constraint->conname)))
			return false;
		description->kind = "constraint";
	}
	else
	{
		if (!begin_domain_constraint(describer, description, constraint->contypid, NameStr(constraint->conname)))
			return false;
		description->kind = "domain constraint";
	}
	description->objid = constraint->oid;

	sd_put_char(description, "type", type, '\0');
	sd_put_flag(description, "deferrable", constraint->condeferrable);
	sd_put_flag(description, "initially deferred", constraint->condeferred);
	sd_put_flag(description, "not valid", !constraint->convalidated);
	sd_put_flag(description, "not enforced", !sd_compat_is_enforced(constraint));
	sd_put_flag(description, "period", sd_compat_is_period(constraint));
	if (type == CONSTRAINT_CHECK || type == SD_COMPAT_CONSTRAINT_NOTNULL)
		sd_put_flag(description, "no inherit", constraint->connoinherit);
	if (type == CONSTRAINT_CHECK)
		sd_put_flag(description, "defined locally", constraint->coninhcount > 0 && constraint->conislocal &&
					!is_of_partition(constraint->conrelid));
	if (type == CONSTRAINT_CHECK)
	{
		value = heap_getattr(tuple, Anum_pg_constraint_conbin, descriptor, &isnull);
		sd_put_expression(description, "check", value, isnull, constraint->conrelid);
	}
	else
	{
		put_columns(description, tuple, descriptor, Anum_pg_constraint_conkey, "columns", constraint->conrelid);
		put_exclusion_operators(description, tuple, descriptor);
		if (type == CONSTRAINT_FOREIGN)
			put_foreign_key(description, tuple, descriptor);
		else if (type != SD_COMPAT_CONSTRAINT_NOTNULL)
			sd_put_name(description, "index", sd_append_relation, constraint->conindid);
		put_disabled_triggers(description, constraint->oid);
	}
	return true;
}

/* --- triggers --- */

bool
sd_describe_trigger(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);
	TupleDesc	descriptor = description->catalog;
	Datum		value;
	bool		isnull;

	if (trigger->tgisinternal ||
		!begin_attached(describer, description, trigger->tgrelid, NameStr(trigger->tgname)))
		return false;
	description->kind = "trigger";
	description->objid = trigger->oid;

	sd_put_int(description, "type", trigger->tgtype, 0);
	sd_put_name(description, "function", sd_append_function, trigger->tgfoid);
	sd_put_char(description, "enabled", trigger->tgenabled, TRIGGER_FIRES_ON_ORIGIN);
	sd_put_flag(description, "constraint", OidIsValid(trigger->tgconstraint));
	sd_put_name(description, "from", sd_append_relation, trigger->tgconstrrelid);
	sd_put_flag(description, "deferrable", trigger->tgdeferrable);
	sd_put_flag(description, "initially deferred", trigger->tginitdeferred);
	if (trigger->tgattr.dim1 > 0)
		sd_put(description, "of", sd_join_columns(trigger->tgrelid, trigger->tgattr.values, trigger->tgattr.dim1));

	value = heap_getattr(tuple, Anum_pg_trigger_tgargs, descriptor, &isnull);
	if (!isnull && trigger->tgnargs > 0)
	{
		const char *argument = VARDATA_ANY(DatumGetByteaPP(value));

		for (int i = 0; i < trigger->tgnargs; i++)
		{
			StringInfoData quoted;

			initStringInfo(&quoted);
			sd_append_quoted(&quoted, argument);
			sd_put(description, "argument", quoted.data);
			argument += strlen(argument) + 1;
		}
	}
	value = heap_getattr(tuple, Anum_pg_trigger_tgoldtable, descriptor, &isnull);
	sd_put(description, "old table", isnull ? NULL : NameStr(*DatumGetName(value)));
	value = heap_getattr(tuple, Anum_pg_trigger_tgnewtable, descriptor, &isnull);
	sd_put(description, "new table", isnull ? NULL : NameStr(*DatumGetName(value)));
	value = heap_getattr(tuple, Anum_pg_trigger_tgqual, descriptor, &isnull);
	sd_put_expression(description, "when", value, isnull, trigger->tgrelid);
	return true;
}

/* --- rules --- */

bool
sd_describe_rule(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_rewrite rule = (Form_pg_rewrite) GETSTRUCT(tuple);
	Datum		value;
	bool		isnull;

	/* a view's own rule is described with the view */
	if (strcmp(NameStr(rule->rulename), ViewSelectRuleName) == 0 ||
		!begin_attached(describer, description, rule->ev_class, NameStr(rule->rulename)))
		return false;
	description->kind = "rule";
	description->objid = rule->oid;

	sd_put_char(description, "event", rule->ev_type, '\0');
	sd_put_char(description, "enabled", rule->ev_enabled, RULE_FIRES_ON_ORIGIN);
	sd_put_flag(description, "instead", rule->is_instead);
	value = heap_getattr(tuple, Anum_pg_rewrite_ev_qual, description->catalog, &isnull);
	sd_put_expression(description, "where", value, isnull, rule->ev_class);
	value = heap_getattr(tuple, Anum_pg_rewrite_ev_action, description->catalog, &isnull);
	sd_put_expression(description, "do", value, isnull, rule->ev_class);
	return true;
}

/* --- policies --- */

bool
sd_describe_policy(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_policy policy = (Form_pg_policy) GETSTRUCT(tuple);
	TupleDesc	descriptor = description->catalog;
	Datum	   *roles;
	char	  **names;
	int			n;
	Datum		value;
	bool		isnull;

	if (!begin_attached(describer, description, policy->polrelid, NameStr(policy->polname)))
		return false;
	description->kind = "policy";
	description->objid = policy->oid;

	sd_put_char(description, "command", policy->polcmd, '\0');
	sd_put_flag(description, "restrictive", !policy->polpermissive);
	n = get_array(tuple, descriptor, Anum_pg_policy_polroles, OIDOID, 4, &roles);
	names = palloc(Max(n, 1) * sizeof(char *));
	for (int i = 0; i < n; i++)
	{
		StringInfoData name;

		initStringInfo(&name);
		sd_append_role(&name, DatumGetObjectId(roles[i]));
		names[i] = name.data;
	}
	qsort(names, n, sizeof(char *), compare_strings);
	for (int i = 0; i < n; i++)
		sd_put(description, "role", names[i]);
	value = heap_getattr(tuple, Anum_pg_policy_polqual, descriptor, &isnull);
	sd_put_expression(description, "using", value, isnull, policy->polrelid);
	value = heap_getattr(tuple, Anum_pg_policy_polwithcheck, descriptor, &isnull);
	sd_put_expression(description, "with check", value, isnull, policy->polrelid);
	return true;
}
