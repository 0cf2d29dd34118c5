/*
 * form_attached.c: what hangs on a table and is called by its name and the table's: triggers, rules, policies.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "commands/policy.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "rewrite/rewriteSupport.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/routine.h"

static const char *
kind_of(ObjectType type)
{
	return type == OBJECT_TRIGGER ? "trigger" : type == OBJECT_RULE ? "rule" : "policy";
}

static const char *
rule_for(ObjectType type)
{
	return type == OBJECT_TRIGGER ? "J16" : type == OBJECT_RULE ? "J18" : "J21";
}

/* Names are a table's own, and two that the script made may have had the same. */
static char *
key_of(const SdThing *table, const char *name)
{
	return psprintf("%p %s", (const void *) table, name);
}

/* InvalidOid: there is none in the catalog that is so called now. */
static Oid
known(SdForm *form, ObjectType type, const SdThing *table, const char *name, Oid *class_id)
{
	Oid			object;

	*class_id = type == OBJECT_TRIGGER ? TriggerRelationId : type == OBJECT_RULE ? RewriteRelationId : PolicyRelationId;
	if (sd_world_noted(form->world, kind_of(type), key_of(table, name), &object))
		return object;
	if (!OidIsValid(table->oid))
		return InvalidOid;
	object = type == OBJECT_TRIGGER ? get_trigger_oid(table->oid, name, true) :
		type == OBJECT_RULE ? get_rewrite_oid(table->oid, name, true) : get_relation_policy_oid(table->oid, name, true);
	/* one that has another name now is not so called, and a view's rule that was replaced is */
	if (!OidIsValid(object) || sd_follow_is_gone(form->world, *class_id, object) ||
		(type != OBJECT_RULE && sd_follow_is_changed(form->world, *class_id, object)))
		return InvalidOid;
	return object;
}

/* Is one of that name there?  Where it was made before something was dropped CASCADE it may be, and may not: *certain. */
static bool
is_there(SdForm *form, ObjectType type, const SdThing *table, const char *name, bool *certain)
{
	Oid			class_id;

	*certain = true;
	if (OidIsValid(known(form, type, table, name, &class_id)))
		return true;
	if (sd_world_noted(form->world, kind_of(type), key_of(table, name), NULL))
	{
		*certain = sd_world_noted_since(form->world, kind_of(type), key_of(table, name));
		return true;
	}
	/* those of a partitioned table come to its partitions, as they are made or attached */
	*certain = !table->vague && table->parent == NULL && table->kind != RELKIND_VIEW &&
		(!OidIsValid(table->oid) || !OidIsValid(sd_fact_partition_parent(table->oid)));
	return false;
}

static void
require_new(SdForm *form, ObjectType type, const SdThing *table, const char *name)
{
	bool		certain;

	if (!is_there(form, type, table, name, &certain))
		return;
	if (certain)
		sd_form_fails(form, ERRCODE_DUPLICATE_OBJECT, "%s \"%s\" for %s \"%s\" already exists", kind_of(type), name, type == OBJECT_POLICY ? "table" : "relation", table->name);
	else
		sd_form_unsure(form, "%s \"%s\" exists already, unless it went with what was dropped CASCADE", kind_of(type), name);
}

bool
sd_form_attached(SdForm *form, ObjectType type, const SdThing *table, const char *name, bool missing_ok)
{
	bool		certain;

	if (is_there(form, type, table, name, &certain))
		return true;
	if (!missing_ok && certain)
		sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "%s \"%s\" for %s \"%s\" does not exist", kind_of(type), name, type == OBJECT_RULE ? "relation" : "table", table->name);
	return !certain;
}

static void
note_made(SdForm *form, ObjectType type, const SdThing *table, const char *name, Oid object)
{
	sd_world_note(form->world, kind_of(type), key_of(table, name), object);
}

static void
note_lost(SdForm *form, ObjectType type, SdThing *table, const char *name)
{
	sd_world_forget(form->world, kind_of(type), key_of(table, name));
	if (type == OBJECT_TRIGGER)
		sd_routine_unuse(form, table, name);
}

/* ---- statements ---- */

/* Children have none of it, and partitions only one for each row. */
static bool
has_clones(const SdThing *table, bool row)
{
	return table->kind == RELKIND_PARTITIONED_TABLE && row;
}

static void
make_trigger(SdForm *form, CreateTrigStmt *stmt)
{
	SdThing    *table = sd_form_relation(form, stmt->relation, false);
	SdCalled	called;
	bool		certain;
	bool		there;

	if (table == NULL)
		return;
	there = is_there(form, OBJECT_TRIGGER, table, stmt->trigname, &certain);
	if (!stmt->replace)
		require_new(form, OBJECT_TRIGGER, table, stmt->trigname);
	sd_form_match_table(form, there && stmt->replace ? "J15" : table->kind == RELKIND_PARTITIONED_TABLE ? "J14" : "J12", table,
						has_clones(table, stmt->row));
	sd_routine_called(form, stmt->funcname, 0, &called);
	if (!called.found)
		sd_form_fails(form, ERRCODE_UNDEFINED_FUNCTION, "function %s() does not exist", NameListToString(stmt->funcname));
	sd_routine_use(form, table, stmt->whenClause, NULL);
	if (there)
		sd_routine_unuse(form, table, stmt->trigname);
	sd_routine_use_by(form, table, stmt->funcname, stmt->trigname);
	if (!there || !certain)
		note_made(form, OBJECT_TRIGGER, table, stmt->trigname, InvalidOid);
}

static void
make_rule(SdForm *form, RuleStmt *stmt)
{
	SdThing    *table = sd_form_relation(form, stmt->relation, false);

	if (table == NULL)
		return;
	if (!stmt->replace)
		require_new(form, OBJECT_RULE, table, stmt->rulename);
	sd_form_match_table(form, "J18", table, false);
	note_made(form, OBJECT_RULE, table, stmt->rulename, InvalidOid);
}

static void
make_policy(SdForm *form, CreatePolicyStmt *stmt)
{
	SdThing    *table = sd_form_relation(form, stmt->table, false);

	if (table == NULL)
		return;
	require_new(form, OBJECT_POLICY, table, stmt->policy_name);
	sd_form_match_table(form, "J21", table, false);
	sd_routine_use(form, table, stmt->qual, NULL);
	sd_routine_use(form, table, stmt->with_check, NULL);
	note_made(form, OBJECT_POLICY, table, stmt->policy_name, InvalidOid);
}

static void
alter_policy(SdForm *form, AlterPolicyStmt *stmt)
{
	SdThing    *table = sd_form_relation(form, stmt->table, false);

	if (table == NULL)
		return;
	(void) sd_form_attached(form, OBJECT_POLICY, table, stmt->policy_name, false);
	sd_form_match_table(form, "J21", table, false);
	sd_routine_use(form, table, stmt->qual, NULL);
	sd_routine_use(form, table, stmt->with_check, NULL);
}

void
sd_form_make_attached(SdForm *form)
{
	switch (nodeTag(form->stmt))
	{
		case T_CreateTrigStmt:
			make_trigger(form, (CreateTrigStmt *) form->stmt);
			break;
		case T_RuleStmt:
			make_rule(form, (RuleStmt *) form->stmt);
			break;
		case T_CreatePolicyStmt:
			make_policy(form, (CreatePolicyStmt *) form->stmt);
			break;
		default:
			alter_policy(form, castNode(AlterPolicyStmt, form->stmt));
			break;
	}
}

void
sd_form_drop_attached(SdForm *form, DropStmt *stmt, List *names)
{
	List	   *table_names = list_copy_head(names, list_length(names) - 1);
	SdThing    *table = sd_form_relation(form, makeRangeVarFromNameList(table_names), stmt->missing_ok);
	const char *name = strVal(llast(names));
	ObjectType	type = stmt->removeType;
	SdMatch    *match;
	Oid			class_id;
	Oid			object;

	if (table == NULL || (!sd_form_attached(form, type, table, name, stmt->missing_ok) && stmt->missing_ok))
	{
		if (stmt->missing_ok)
			sd_form_match(form, "B20")->harmless = true;
		if (table == NULL)
			return;
	}
	/* it locks the table also where there is nothing to drop */
	match = sd_form_match_table(form, rule_for(type), table, has_clones(table, type == OBJECT_TRIGGER));
	sd_match_cast(match, SD_ROLE_VIEW, table->kind == RELKIND_VIEW ? table : NULL);
	object = known(form, type, table, name, &class_id);
	sd_follow_drop(form->world, class_id, object, 0);
	note_lost(form, type, table, name);
}

void
sd_form_rename_attached(SdForm *form, RenameStmt *stmt)
{
	SdThing    *table = sd_form_relation(form, stmt->relation, stmt->missing_ok);
	ObjectType	type = stmt->renameType;
	Oid			class_id;
	Oid			object;

	if (table == NULL)
		return;
	(void) sd_form_attached(form, type, table, stmt->subname, stmt->missing_ok);
	require_new(form, type, table, stmt->newname);
	sd_form_match_table(form, rule_for(type), table, has_clones(table, type == OBJECT_TRIGGER));
	object = known(form, type, table, stmt->subname, &class_id);
	sd_follow_change(form->world, class_id, object);
	note_lost(form, type, table, stmt->subname);
	note_made(form, type, table, stmt->newname, object);
}
