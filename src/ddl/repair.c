/*
 * repair.c: the DDL that makes objects elsewhere what they are here: objects, steps, what is dropped and made again; see
 * repair.h.
 *
 * Backends, in a transaction.  Reads catalogs; the server's deparsers take AccessShareLock.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "ddl/canonical.h"
#include "ddl/datum.h"
#include "ddl/define.h"
#include "ddl/describe.h"
#include "ddl/hash.h"
#include "ddl/repair_item.h"
#include "settings.h"
#include "store/object.h"

/* For each lock that a deparser takes. */
#define LOCK_TIMEOUT_MS	2000

/* --- items --- */

/* Names come from other regions, too: has this one the parts that we shall take it apart into? */
static void
require_name(const SdRepairKind *how, const char *kind, const char *identity)
{
	int			parts = list_length(sd_repair_parts(identity));
	bool		good = parts > 0;

	if (strcmp(kind, "default privileges") == 0)
		good = strncmp(identity, "for role ", strlen("for role ")) == 0;
	else if (how == NULL || how->call == SD_CALL_VERBATIM)
		good = *identity != '\0';
	else if (how && (how->call == SD_CALL_ON || how->call == SD_CALL_CONSTRAINT))
		good = parts == 3;
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("a %s is said to have a name that is none: \"%s\"", kind, identity)));
}

static SdRepairItem *
make_item(SdRepairPlan *plan, const char *kind, const char *identity, const char *there)
{
	SdRepairItem *item = palloc0(sizeof(SdRepairItem));

	item->plan = plan;
	item->kind = kind;
	item->identity = identity;
	item->how = sd_repair_kind(kind);
	require_name(item->how, kind, identity);
	item->name = sd_repair_quote(identity);
	item->called = item->how ? sd_repair_call(item->how, identity) : psprintf("%s %s", kind, identity);
	item->there_text = there;
	if (there)
		item->there = sd_properties_parse(there);
	return item;
}

/* What it is here; false: that object is another one by now, or none. */
static bool
look_here(SdRepairItem *item, Oid classid, Oid objid)
{
	SdDescription description;

	initStringInfo(&description.identity);
	initStringInfo(&description.definition);
	if (!sd_describe_object(item->plan->describer, classid, objid, &description) ||
		strcmp(description.kind, item->kind) != 0 || strcmp(description.identity.data, item->identity) != 0)
		return false;
	item->classid = classid;
	item->objid = objid;
	item->here_text = description.definition.data;
	item->here = sd_properties_parse(item->here_text);
	item->differences = sd_properties_differ(item->here_text, item->there_text);
	return true;
}

SdRepairItem *
sd_repair_item_of(SdRepairPlan *plan, Oid classid, Oid objid)
{
	SdDescription description;
	SdRepairItem *item;

	initStringInfo(&description.identity);
	initStringInfo(&description.definition);
	if (!sd_describe_object(plan->describer, classid, objid, &description))
		return NULL;
	item = make_item(plan, pstrdup(description.kind), description.identity.data, NULL);
	return look_here(item, classid, objid) ? item : NULL;
}

SdRepairItem *
sd_repair_find(SdRepairPlan *plan, const char *kind, const char *identity)
{
	ListCell   *lc;

	foreach(lc, plan->items)
	{
		SdRepairItem *item = lfirst(lc);

		if (strcmp(item->kind, kind) == 0 && strcmp(item->identity, identity) == 0)
			return item;
	}
	return NULL;
}

static void
add_items(SdRepairPlan *plan, List *objects)
{
	List	   *kinds = NIL;
	List	   *identities = NIL;
	SdObjectRow *rows;
	int			n;
	ListCell   *lc;

	foreach(lc, objects)
	{
		SdRepairObject *object = lfirst(lc);

		plan->items = lappend(plan->items, make_item(plan, object->kind, object->identity, object->there));
		kinds = lappend(kinds, unconstify(char *, object->kind));
		identities = lappend(identities, unconstify(char *, object->identity));
	}
	rows = sd_objects_named(kinds, identities, &n);
	for (int i = 0; i < n; i++)
	{
		SdRepairItem *item = sd_repair_find(plan, rows[i].kind, rows[i].identity);

		if (item)
			(void) look_here(item, rows[i].classid, rows[i].objid);
	}
}

const char *
sd_repair_here(const SdRepairItem *item, const char *property)
{
	const char *value = sd_properties_get(item->here, property);

	return value ? value : "";
}

const char *
sd_repair_there(const SdRepairItem *item, const char *property)
{
	const char *value = sd_properties_get(item->there, property);

	return value ? value : "";
}

bool
sd_repair_differs(const SdRepairItem *item, const char *property)
{
	ListCell   *lc;

	foreach(lc, item->differences)
		if (strcmp(((SdPropertyDifference *) lfirst(lc))->property, property) == 0)
			return true;
	return false;
}

bool
sd_repair_only(const SdRepairItem *item, const char *const *properties)
{
	ListCell   *lc;

	foreach(lc, item->differences)
	{
		const char *property = ((SdPropertyDifference *) lfirst(lc))->property;
		bool		found = sd_repair_is_right(property);

		for (int i = 0; !found && properties[i]; i++)
			found = strcmp(property, properties[i]) == 0;
		if (!found)
			return false;
	}
	return true;
}

/* --- steps --- */

static void
add_step(SdRepairItem *item, SdRepairPhase phase, char *statement, const char *note)
{
	SdRepairStep *step = palloc(sizeof(SdRepairStep));

	step->phase = item->again && phase == SD_REPAIR_MAKE ? SD_REPAIR_AGAIN : phase;
	step->order = phase == SD_REPAIR_DROP || phase == SD_REPAIR_TIDY || phase == SD_REPAIR_LOSE ? item->drop_order : item->make_order;
	step->kind = item->kind;
	step->identity = item->identity;
	step->statement = statement;
	step->note = note ? pstrdup(note) : NULL;
	item->plan->steps = lappend(item->plan->steps, step);
}

static char *format_text(const char *format, va_list arguments) pg_attribute_printf(1, 0);

static char *
format_text(const char *format, va_list arguments)
{
	StringInfoData text;

	initStringInfo(&text);
	for (;;)
	{
		va_list		copy;
		int			needed;

		va_copy(copy, arguments);
		needed = appendStringInfoVA(&text, format, copy);
		va_end(copy);
		if (needed == 0)
			return text.data;
		enlargeStringInfo(&text, needed);
	}
}

void
sd_repair_do(SdRepairItem *item, SdRepairPhase phase, const char *note, const char *format,...)
{
	va_list		arguments;
	char	   *statement;

	va_start(arguments, format);
	statement = format_text(format, arguments);
	va_end(arguments);
	add_step(item, phase, statement, note);
}

void
sd_repair_cannot(SdRepairItem *item, const char *format,...)
{
	va_list		arguments;
	char	   *note;

	va_start(arguments, format);
	note = format_text(format, arguments);
	va_end(arguments);
	add_step(item, SD_REPAIR_CANNOT, NULL, note);
}

char *
sd_repair_ask(SdStatement *statement, Oid oid)
{
	Datum		values[] = {ObjectIdGetDatum(oid)};

	return sd_store_run(statement, values, NULL, SD_ANY_ROWS) == 1 ? sd_store_text(0, 1) : NULL;
}

/* --- dropped, and made again --- */

void
sd_repair_drop(SdRepairItem *item, SdRepairPhase phase)
{
	const SdRepairKind *how = item->how;

	if (how == NULL)
		sd_repair_cannot(item, "it is extra there, and of a kind (%s) that is not known here: drop it by hand", item->kind);
	else if (how->call == SD_CALL_CONSTRAINT)
		sd_repair_do(item, phase, NULL, "ALTER %s %s DROP CONSTRAINT IF EXISTS %s",
					 strcmp(item->kind, "domain constraint") == 0 ? "DOMAIN" : "TABLE",
					 sd_repair_quote(sd_repair_owner_of(item->identity)),
					 quote_identifier(llast(sd_repair_parts(item->identity))));
	else
		sd_repair_do(item, phase, how->loss || phase != SD_REPAIR_LOSE ? how->loss : "is in use by what else is commented out", "DROP %s IF EXISTS %s", how->word, item->called + strlen(how->word) + 1);
}

bool
sd_repair_is_again(SdRepairPlan *plan, const SdRepairItem *item)
{
	ListCell   *lc;

	foreach(lc, plan->again)
	{
		SdRepairItem *other = lfirst(lc);

		if (other->classid == item->classid && other->objid == item->objid)
			return true;
	}
	return false;
}

/*
 * What depends on an object, or on a column of it, however indirectly; a view for its rule.  Of what hangs on relations, what goes
 * away with them.  In an order in which it can be made.
 */
static List *
dependents(SdRepairItem *item, int column)
{
	static SdStatement statement = {
		.sql = "WITH RECURSIVE found(classid, objid, subid, depth) AS ("
		"SELECT $1, $2, $3, 0 "
		"UNION "
		"SELECT CASE WHEN r.rulename = '_RETURN' THEN 'pg_class'::regclass::oid ELSE d.classid END, "
		"CASE WHEN r.rulename = '_RETURN' THEN r.ev_class ELSE d.objid END, 0, f.depth + 1 "
		"FROM found f JOIN pg_depend d ON d.refclassid = f.classid AND d.refobjid = f.objid "
		"AND (f.subid = 0 OR d.refobjsubid = f.subid) "
		"AND (d.deptype IN ('n', 'a') OR d.deptype = 'i' AND d.classid = 'pg_type'::regclass) "
		"LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid "
		"WHERE f.depth < 50 AND NOT (d.classid = f.classid AND d.objid = f.objid)) "
		"SELECT classid::bigint, objid::bigint FROM found f WHERE NOT (classid = $1 AND objid = $2) "
		/* a range's functions go and come with it */
		"AND NOT (classid = 'pg_proc'::regclass AND EXISTS (SELECT FROM pg_depend i WHERE i.classid = f.classid AND i.objid = f.objid "
		"AND i.deptype = 'i' AND i.refclassid = 'pg_type'::regclass)) "
		"GROUP BY classid, objid ORDER BY max(depth), classid, objid",
		.nargs = 3, .types = {OIDOID, OIDOID, INT4OID}
	};
	Datum		values[] = {ObjectIdGetDatum(item->classid), ObjectIdGetDatum(item->objid), Int32GetDatum(column)};
	int			n = (int) sd_store_run(&statement, values, NULL, SD_ANY_ROWS);
	Oid		   *oids = palloc(Max(n, 1) * 2 * sizeof(Oid));
	List	   *found = NIL;

	for (int i = 0; i < n; i++)
	{
		oids[2 * i] = (Oid) sd_store_int64(i, 1);
		oids[2 * i + 1] = (Oid) sd_store_int64(i, 2);
	}
	for (int i = 0; i < n; i++)
	{
		SdRepairItem *dependent = sd_repair_item_of(item->plan, oids[2 * i], oids[2 * i + 1]);

		if (dependent && !sd_repair_is_again(item->plan, dependent))
			found = lappend(found, dependent);
	}
	return found;
}

/* The identity of the relation that it hangs on; NULL: it stands by itself. */
static char *
relation_of(const SdRepairItem *item)
{
	if (item->how && (item->how->call == SD_CALL_ON || item->how->call == SD_CALL_CONSTRAINT))
		return sd_repair_owner_of(item->identity);
	return sd_properties_get(item->here, "table");
}

static bool
goes_with(const SdRepairItem *item, List *others)
{
	char	   *relation = relation_of(item);
	ListCell   *lc;

	foreach(lc, others)
	{
		SdRepairItem *other = lfirst(lc);

		if (relation && other != item && strcmp(other->identity, relation) == 0)
			return true;
	}
	return false;
}

/* Drops them in reverse, and makes them again. */
static void
drop_and_make(SdRepairItem *item, List *others, List *gone)
{
	char	   *note = psprintf("depends on %s %s, and is made again below", item->kind, item->identity);
	ListCell   *lc;

	for (int i = list_length(others) - 1; i >= 0; i--)
	{
		SdRepairItem *other = list_nth(others, i);

		other->make_order = item->make_order;
		other->drop_order = item->drop_order;
		other->again = true;
		if (other->how == NULL || other->how->create == NULL || other->how->loss)
			sd_repair_cannot(item, "%s %s depends on it, and is in the way", other->kind, other->identity);
		else if (!goes_with(other, gone))
		{
			sd_repair_drop(other, SD_REPAIR_DROP);
			((SdRepairStep *) llast(item->plan->steps))->note = note;
		}
	}
	item->plan->again = list_concat(item->plan->again, others);
	foreach(lc, others)
	{
		SdRepairItem *other = lfirst(lc);

		if (other->how && other->how->create && !other->how->loss)
			sd_repair_make(other);
	}
}

void
sd_repair_drop_dependents(SdRepairItem *item, int column)
{
	/* a column's indexes, constraints and statistics follow the change of its type; these do not */
	static const char *const kinds[] = {"view", "materialized view", "rule", "policy", "trigger", "function", "procedure"};
	List	   *all = dependents(item, column);
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, all)
	{
		SdRepairItem *other = lfirst(lc);
		bool		resists = goes_with(other, others);

		for (size_t i = 0; !resists && i < lengthof(kinds); i++)
			resists = strcmp(other->kind, kinds[i]) == 0;
		if (resists)
			others = lappend(others, other);
	}
	drop_and_make(item, others, others);
}

void
sd_repair_replace(SdRepairItem *item, const char *note)
{
	List	   *others;

	item->plan->again = lappend(item->plan->again, item);
	others = dependents(item, 0);
	drop_and_make(item, others, lappend(list_copy(others), item));
	sd_repair_drop(item, SD_REPAIR_DROP);
	((SdRepairStep *) llast(item->plan->steps))->note = note ? pstrdup(note) : "is made again below";
	sd_repair_make(item);
}

void
sd_repair_make(SdRepairItem *item)
{
	int			steps = list_length(item->plan->steps);

	item->there = NIL;
	item->differences = sd_properties_differ(item->here_text, "");
	item->how->create(item);
	/* unless it could not be said how it is made */
	if (list_length(item->plan->steps) > steps && ((SdRepairStep *) list_nth(item->plan->steps, steps))->phase != SD_REPAIR_CANNOT)
		sd_repair_rights(item);
}

/* --- plans --- */

static void
repair_changed(SdRepairItem *item)
{
	static const char *const none[] = {NULL};

	if (item->how == NULL)
	{
		sd_repair_cannot(item, "changes of this kind (%s) cannot be written here: compare the definitions in table schemadrift_store.drift", item->kind);
		return;
	}
	if (!sd_repair_only(item, none))
	{
		if (item->how->alter)
			item->how->alter(item);
		else if (item->how->create)
			sd_repair_replace(item, NULL);
		else
			sd_repair_cannot(item, "changes of this kind (%s) cannot be written here: compare the definitions in table schemadrift_store.drift", item->kind);
	}
	if (!sd_repair_is_again(item->plan, item))
		sd_repair_rights(item);
}

static void
repair_item(SdRepairItem *item)
{
	if (item->implied || sd_repair_is_again(item->plan, item))
		return;
	/* pg_get_viewdef() and its like take the bytes for what the type says: that may end the server */
	if (item->here_text && sd_datum_is_doubtful(item->here_text))
	{
		sd_repair_cannot(item, "a constant of a row type in it may have been made before the type changed, and cannot be shown safely: "
						 "write the statement by hand, with the constant anew");
		return;
	}
	if (item->here_text == NULL && sd_repair_is_not_null(item))
	{
		sd_repair_plain_not_null(item);
		if (item->here_text)
			repair_changed(item);
	}
	else if (strcmp(item->kind, "default privileges") == 0)
		sd_repair_rights(item);		/* there is nothing else to it */
	else if (item->here_text && item->there_text)
	{
		if (item->differences != NIL)
			repair_changed(item);
	}
	else if (item->there_text)
		sd_repair_drop(item, item->drop_phase);
	else if (item->here_text && item->how && item->how->create)
		sd_repair_make(item);
	else if (item->here_text)
		sd_repair_cannot(item, "it is missing there, and its kind (%s) cannot be written here: take it from pg_dump --schema-only of this region",
						 item->kind);
}

static void
note_item(void *arg)
{
	const SdRepairItem *item = arg;

	errcontext("statements for %s %s", item->kind, item->identity);
}

static void
repair_with_context(SdRepairItem *item)
{
	ErrorContextCallback callback = {.previous = error_context_stack, .callback = note_item, .arg = item};

	error_context_stack = &callback;
	repair_item(item);
	error_context_stack = callback.previous;
}

static int
compare_steps(const ListCell *a, const ListCell *b)
{
	const SdRepairStep *x = lfirst(a);
	const SdRepairStep *y = lfirst(b);

	if (x->phase != y->phase)
		return x->phase < y->phase ? -1 : 1;
	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->serial < y->serial ? -1 : x->serial > y->serial;
}

void
sd_repair_sort(List *steps)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, steps)
		((SdRepairStep *) lfirst(lc))->serial = n++;
	list_sort(steps, compare_steps);
}

List *
sd_repair_steps(List *objects)
{
	SdRepairPlan plan = {0};
	SdScope		scope;
	int			guc_level;
	ListCell   *lc;

	sd_store_enter(&scope);
	guc_level = sd_canonical_enter();
	/* somebody's DDL in flight: said, and not waited for without an end */
	sd_set_lock_timeout(LOCK_TIMEOUT_MS, GUC_ACTION_SAVE);
	MemoryContextSwitchTo(scope.caller);
	plan.describer = sd_describer_create(false, sd_local_patterns(NULL));
	add_items(&plan, objects);
	sd_repair_order(&plan);
	sd_repair_renames(&plan);
	sd_repair_imply(&plan);
	sd_repair_drop_phases(&plan);
	foreach(lc, plan.items)
	{
		CHECK_FOR_INTERRUPTS();
		repair_with_context(lfirst(lc));
	}
	sd_canonical_leave(guc_level);
	sd_store_leave(&scope);
	sd_repair_sort(plan.steps);
	return plan.steps;
}

List *
sd_repair_sound(List *objects, List **others)
{
	List	   *kinds = NIL;
	List	   *identities = NIL;
	List	   *definitions;
	List	   *sound = NIL;
	ListCell   *lc;

	foreach(lc, objects)
	{
		SdRepairObject *object = lfirst(lc);

		kinds = lappend(kinds, unconstify(char *, object->kind));
		identities = lappend(identities, unconstify(char *, object->identity));
	}
	definitions = sd_define(kinds, identities, true);
	foreach(lc, objects)
	{
		SdRepairObject *object = lfirst(lc);
		SdDefinition *found = NULL;
		ListCell   *other;

		foreach(other, definitions)
		{
			SdDefinition *definition = lfirst(other);

			if (strcmp(definition->kind, object->kind) == 0 && strcmp(definition->identity, object->identity) == 0)
				found = definition;
		}
		if (found ? object->has_expected && sd_digest_equal(&found->hash, &object->expected) : !object->has_expected)
			sound = lappend(sound, object);
		else
			*others = lappend(*others, object);
	}
	return sound;
}

List *
sd_repair_statements(const char *kind, const char *identity, const char *there)
{
	SdRepairObject object = {.kind = kind, .identity = identity, .there = there};

	return sd_repair_steps(list_make1(&object));
}
