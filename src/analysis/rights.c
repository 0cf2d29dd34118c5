/*
 * rights.c: what fails for want of a right, or of a role; see rights.h.
 *
 * Runs in a backend; asks the catalogs for the current user's rights, and takes no lock.  Only what PostgreSQL looks at before anything else,
 * so that it is certain: who owns the relation that a statement changes, who may create in the schema that a new object goes to.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "analysis/rights.h"
#include "ddl/describe.h"

/* Whoever analyzes may not be who will run it. */
static char *
denied(const char *what)
{
	return psprintf("%s (42501), as role \"%s\"", what, GetUserNameFromId(GetUserId(), false));
}

/* ---- relations ---- */

/* One of the catalog, and where somebody looks for it by a schema's name, may he? */
static SdThing *
known(const SdForm *form, const RangeVar *name, char **missing)
{
	Oid			schema = name->schemaname ? sd_world_schema_oid(form->world, name->schemaname) : InvalidOid;
	SdThing    *thing;

	if (OidIsValid(schema) && !isAnyTempNamespace(schema) && !sd_compat_may_use_schema(schema, GetUserId()))
	{
		*missing = denied(psprintf("permission denied for schema %s", name->schemaname));
		return NULL;
	}
	thing = sd_world_find(form->world, name);
	return thing && !thing->made && OidIsValid(thing->oid) && sd_relation_kind(thing->kind) ? thing : NULL;
}

static char *
must_own(const SdForm *form, const RangeVar *name)
{
	char	   *missing = NULL;
	SdThing    *thing = known(form, name, &missing);

	if (thing == NULL || sd_compat_owns_relation(thing->oid, GetUserId()))
		return missing;
	return denied(psprintf("must be owner of %s %s", sd_relation_kind(thing->kind), thing->name));
}

/* Also the owner of its schema may. */
static char *
may_drop(const SdForm *form, const RangeVar *name)
{
	char	   *missing = NULL;
	SdThing    *thing = known(form, name, &missing);

	if (thing == NULL || sd_compat_owns_relation(thing->oid, GetUserId()) ||
		sd_compat_owns_schema(get_rel_namespace(thing->oid), GetUserId()))
		return missing;
	return denied(psprintf("must be owner of %s %s", sd_relation_kind(thing->kind), thing->name));
}

static char *
may_trigger(const SdForm *form, const RangeVar *name)
{
	char	   *missing = NULL;
	SdThing    *thing = known(form, name, &missing);

	if (thing == NULL || pg_class_aclcheck(thing->oid, GetUserId(), ACL_TRIGGER) == ACLCHECK_OK)
		return missing;
	return denied(psprintf("permission denied for %s %s", sd_relation_kind(thing->kind), thing->name));
}

static char *
may_drop_all(const SdForm *form, const DropStmt *stmt)
{
	ListCell   *cell;

	switch (stmt->removeType)
	{
		case OBJECT_TABLE:
		case OBJECT_SEQUENCE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_INDEX:
		case OBJECT_FOREIGN_TABLE:
			break;
		default:
			return NULL;
	}
	foreach(cell, stmt->objects)
	{
		char	   *missing = may_drop(form, makeRangeVarFromNameList(lfirst_node(List, cell)));

		if (missing)
			return missing;
	}
	return NULL;
}

/* ---- schemas ---- */

/* schema: NULL: the first of search_path. */
static char *
may_create_in(const SdForm *form, const char *schema)
{
	const char *name = schema ? schema : sd_world_creation_schema(form->world);
	Oid			oid = sd_world_schema_oid(form->world, name);

	if (!OidIsValid(oid) || isAnyTempNamespace(oid))
		return NULL;
	if (sd_compat_may_create_in(oid, GetUserId()) && (schema == NULL || sd_compat_may_use_schema(oid, GetUserId())))
		return NULL;
	return denied(psprintf("permission denied for schema %s", name));
}

static char *
may_make(const SdForm *form, const RangeVar *name)
{
	return name->relpersistence == RELPERSISTENCE_TEMP ? NULL : may_create_in(form, name->schemaname);
}

static char *
may_make_named(const SdForm *form, List *names)
{
	return list_length(names) > 2 ? NULL : may_create_in(form, list_length(names) == 2 ? strVal(linitial(names)) : NULL);
}

static char *
may_make_index(const SdForm *form, const IndexStmt *stmt)
{
	char	   *missing = must_own(form, stmt->relation);
	SdThing    *table = missing ? NULL : sd_world_find(form->world, stmt->relation);

	if (table == NULL || table->made || table->temporary)
		return missing;
	return may_create_in(form, table->schema);
}

static char *
may_make_schema(void)
{
	if (sd_compat_may_create_schema(MyDatabaseId, GetUserId()))
		return NULL;
	return denied(psprintf("permission denied for database %s", get_database_name(MyDatabaseId)));
}

/* ---- statements ---- */

static char *
missing_for(const SdForm *form, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			return must_own(form, ((AlterTableStmt *) stmt)->relation);
		case T_IndexStmt:
			return may_make_index(form, (IndexStmt *) stmt);
		case T_DropStmt:
			return may_drop_all(form, (DropStmt *) stmt);
		case T_RenameStmt:
			return ((RenameStmt *) stmt)->relation ? must_own(form, ((RenameStmt *) stmt)->relation) : NULL;
		case T_AlterObjectSchemaStmt:
			return ((AlterObjectSchemaStmt *) stmt)->relation ? must_own(form, ((AlterObjectSchemaStmt *) stmt)->relation) : NULL;
		case T_CreatePolicyStmt:
			return must_own(form, ((CreatePolicyStmt *) stmt)->table);
		case T_AlterPolicyStmt:
			return must_own(form, ((AlterPolicyStmt *) stmt)->table);
		case T_RuleStmt:
			return must_own(form, ((RuleStmt *) stmt)->relation);
		case T_AlterSeqStmt:
			return must_own(form, ((AlterSeqStmt *) stmt)->sequence);
		case T_CreateTrigStmt:
			return may_trigger(form, ((CreateTrigStmt *) stmt)->relation);
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			return may_make(form, ((CreateStmt *) stmt)->relation);
		case T_CreateTableAsStmt:
			return may_make(form, ((CreateTableAsStmt *) stmt)->into->rel);
		case T_ViewStmt:
			return may_make(form, ((ViewStmt *) stmt)->view);
		case T_CreateSeqStmt:
			return may_make(form, ((CreateSeqStmt *) stmt)->sequence);
		case T_CompositeTypeStmt:
			return may_make(form, ((CompositeTypeStmt *) stmt)->typevar);
		case T_CreateEnumStmt:
			return may_make_named(form, ((CreateEnumStmt *) stmt)->typeName);
		case T_CreateDomainStmt:
			return may_make_named(form, ((CreateDomainStmt *) stmt)->domainname);
		case T_CreateFunctionStmt:
			return may_make_named(form, ((CreateFunctionStmt *) stmt)->funcname);
		case T_CreateSchemaStmt:
			return may_make_schema();
		default:
			return NULL;
	}
}

char *
sd_rights_missing(const SdForm *form)
{
	if (superuser() || sd_world_rights_changed(form->world) || sd_world_out_of_sight(form->world))
		return NULL;
	return missing_for(form, form->stmt);
}

bool
sd_rights_change(Node *stmt)
{
	ListCell   *cell;

	switch (nodeTag(stmt))
	{
		case T_GrantStmt:
		case T_AlterOwnerStmt:
		case T_AlterDefaultPrivilegesStmt:
		case T_GrantRoleStmt:
		case T_AlterRoleStmt:
		case T_AlterRoleSetStmt:
		case T_DropRoleStmt:
		case T_ReassignOwnedStmt:
		case T_DropOwnedStmt:
		case T_DiscardStmt:
			return true;
		case T_AlterTableStmt:
			foreach(cell, ((AlterTableStmt *) stmt)->cmds)
				if (lfirst_node(AlterTableCmd, cell)->subtype == AT_ChangeOwner)
					return true;
			return false;
		default:
			return false;
	}
}

/* ---- roles ---- */

static void
require(SdForm *form, const RoleSpec *role)
{
	if (role && role->roletype == ROLESPEC_CSTRING && !sd_form_has_role(form, role->rolename))
		sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "role \"%s\" does not exist", role->rolename);
}

static void
require_all(SdForm *form, List *roles)
{
	ListCell   *cell;

	foreach(cell, roles)
		require(form, lfirst_node(RoleSpec, cell));
}

/* Behind PUBLIC nobody looks at them. */
static void
require_of_policy(SdForm *form, List *roles)
{
	ListCell   *cell;

	foreach(cell, roles)
	{
		if (lfirst_node(RoleSpec, cell)->roletype == ROLESPEC_PUBLIC)
			return;
		require(form, lfirst_node(RoleSpec, cell));
	}
}

void
sd_rights_roles(SdForm *form)
{
	Node	   *stmt = form->stmt;
	ListCell   *cell;

	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			foreach(cell, ((AlterTableStmt *) stmt)->cmds)
				if (lfirst_node(AlterTableCmd, cell)->subtype == AT_ChangeOwner)
					require(form, lfirst_node(AlterTableCmd, cell)->newowner);
			break;
		case T_AlterOwnerStmt:
			require(form, ((AlterOwnerStmt *) stmt)->newowner);
			break;
		case T_GrantStmt:
			require_all(form, ((GrantStmt *) stmt)->grantees);
			break;
		case T_AlterDefaultPrivilegesStmt:
			require_all(form, ((AlterDefaultPrivilegesStmt *) stmt)->action->grantees);
			break;
		case T_CreateSchemaStmt:
			require(form, ((CreateSchemaStmt *) stmt)->authrole);
			break;
		case T_CreatePolicyStmt:
			require_of_policy(form, ((CreatePolicyStmt *) stmt)->roles);
			break;
		case T_AlterPolicyStmt:
			require_of_policy(form, ((AlterPolicyStmt *) stmt)->roles);
			break;
		default:
			break;
	}
}
