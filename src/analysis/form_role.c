/*
 * form_role.c: roles, memberships, settings of a role.
 *
 * Runs in a backend; reads shared catalogs, takes no lock.  The matrix is about schemas and has no rows for roles: what such a statement comes to
 * is told by its kind alone.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/indexing.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_shdepend.h"
#include "commands/defrem.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "analysis/form.h"
#include "ddl/roles.h"

/* What the script made of a role: kinds of sd_world_note(). */
#define MADE	"role"
#define LOST	"lost role"

static void
note_made(SdForm *form, const char *name)
{
	sd_world_forget(form->world, LOST, name);
	sd_world_note(form->world, MADE, name, InvalidOid);
}

static void
note_lost(SdForm *form, const char *name)
{
	sd_world_forget(form->world, MADE, name);
	sd_world_note(form->world, LOST, name, InvalidOid);
}

static bool
is_there(SdForm *form, const char *name)
{
	if (sd_world_noted(form->world, MADE, name, NULL))
		return true;
	return !sd_world_noted(form->world, LOST, name, NULL) && OidIsValid(get_role_oid(name, true));
}

bool
sd_form_has_role(SdForm *form, const char *name)
{
	return is_there(form, name);
}

/* A name that is a role's own, not CURRENT_USER and the like, which are always there. */
static const char *
name_of(const RoleSpec *role)
{
	return role && role->roletype == ROLESPEC_CSTRING ? role->rolename : NULL;
}

static bool
require_role(SdForm *form, const RoleSpec *role, bool missing_ok)
{
	const char *name = name_of(role);

	if (name == NULL)
		return true;
	sd_form_object(form, sd_quoted(name));
	if (is_there(form, name))
		return true;
	if (!missing_ok)
		sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "role \"%s\" does not exist", name);
	return false;
}

static void
says(SdForm *form, SdRolesChange change, const char *text)
{
	form->roles = Max(form->roles, change);
	if (text)
		form->roles_why = lappend(form->roles_why, pstrdup(text));
}

static void
make_role(SdForm *form, CreateRoleStmt *stmt)
{
	ListCell   *cell;

	sd_form_object(form, sd_quoted(stmt->role));
	if (IsReservedName(stmt->role))
		sd_form_fails(form, ERRCODE_RESERVED_NAME, "role name \"%s\" is reserved", stmt->role);
	else if (is_there(form, stmt->role))
		sd_form_fails(form, ERRCODE_DUPLICATE_OBJECT, "role \"%s\" already exists", stmt->role);
	says(form, SD_ROLES_GIVEN, "A region whose server has a role of that name already compares it, and halts if it is another one (42710).");
	foreach(cell, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);
		ListCell   *inner;

		if (strcmp(option->defname, "addroleto") != 0 && strcmp(option->defname, "rolemembers") != 0 && strcmp(option->defname, "adminmembers") != 0)
			continue;
		foreach(inner, (List *) option->arg)
			(void) require_role(form, lfirst_node(RoleSpec, inner), false);
	}
	note_made(form, stmt->role);
}

/* Can nobody be refused by it what he was not before? */
static bool
only_gives(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "rolemembers") != 0 &&
			(option->arg == NULL || !IsA(option->arg, Boolean) || !boolVal(option->arg)))
			return false;
	}
	return true;
}

static void
alter_role(SdForm *form, AlterRoleStmt *stmt)
{
	(void) require_role(form, stmt->role, false);
	/* ALTER GROUP ... ADD USER, DROP USER */
	if (stmt->action < 0)
		says(form, SD_ROLES_TAKEN, "What an application does by that membership fails from then on.");
	else if (only_gives(stmt->options))
		says(form, SD_ROLES_GIVEN, NULL);
	else
		says(form, SD_ROLES_ALTERED, "Who logs in as that role may be refused what worked before.");
}

/* What of the server, in any of its databases, depends on the role? */
static int
count_dependent(Oid role)
{
	Relation	catalog = table_open(SharedDependRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	int			n = 0;

	ScanKeyInit(&key[0], Anum_pg_shdepend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(AuthIdRelationId));
	ScanKeyInit(&key[1], Anum_pg_shdepend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(role));
	scan = systable_beginscan(catalog, SharedDependReferenceIndexId, true, NULL, 2, key);
	while (HeapTupleIsValid(systable_getnext(scan)))
		n++;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return n;
}

static void
drop_roles(SdForm *form, DropRoleStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->roles)
	{
		RoleSpec   *role = lfirst_node(RoleSpec, cell);
		const char *name = name_of(role);
		Oid			oid;
		int			n;

		if (name == NULL || !require_role(form, role, stmt->missing_ok))
			continue;
		oid = sd_world_noted(form->world, MADE, name, NULL) ? InvalidOid : get_role_oid(name, true);
		n = OidIsValid(oid) ? count_dependent(oid) : 0;
		/* what the script does about them before is not followed */
		if (n > 0)
			sd_form_unsure(form, "%s of this server depend%s on role \"%s\"; REASSIGN OWNED BY and DROP OWNED BY it, in each database that has some, come first",
						   n == 1 ? "a right or an object" : psprintf("%d rights and objects", n), n == 1 ? "s" : "", name);
		note_lost(form, name);
	}
	says(form, SD_ROLES_TAKEN, "A region whose server has objects or rights of the role, in any database, halts there (2BP01); memberships go along.");
}

static void
grant_role(SdForm *form, GrantRoleStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->granted_roles)
	{
		AccessPriv *granted = lfirst_node(AccessPriv, cell);

		if (granted->priv_name == NULL)
			continue;
		sd_form_object(form, sd_quoted(granted->priv_name));
		if (!is_there(form, granted->priv_name))
			sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "role \"%s\" does not exist", granted->priv_name);
	}
	foreach(cell, stmt->grantee_roles)
		(void) require_role(form, lfirst_node(RoleSpec, cell), false);
	if (stmt->is_grant)
		says(form, SD_ROLES_GIVEN, NULL);
	else
		says(form, SD_ROLES_TAKEN, "What an application does by that membership fails from then on.");
}

static void
rename_role(SdForm *form, RenameStmt *stmt)
{
	sd_form_object(form, sd_quoted(stmt->subname));
	if (!is_there(form, stmt->subname))
		sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "role \"%s\" does not exist", stmt->subname);
	else if (is_there(form, stmt->newname))
		sd_form_fails(form, ERRCODE_DUPLICATE_OBJECT, "role \"%s\" already exists", stmt->newname);
	note_lost(form, stmt->subname);
	note_made(form, stmt->newname);
	says(form, SD_ROLES_TAKEN, "Who logs in by the old name is refused from then on; a password kept as MD5 is cleared.");
}

void
sd_form_roles(SdForm *form)
{
	Node	   *stmt = form->stmt;

	switch (nodeTag(stmt))
	{
		case T_CreateRoleStmt:
			make_role(form, (CreateRoleStmt *) stmt);
			break;
		case T_AlterRoleStmt:
			alter_role(form, (AlterRoleStmt *) stmt);
			break;
		case T_AlterRoleSetStmt:
			if (((AlterRoleSetStmt *) stmt)->role)
				(void) require_role(form, ((AlterRoleSetStmt *) stmt)->role, false);
			says(form, SD_ROLES_ALTERED, "New sessions of the role get the setting; those that are open keep theirs.");
			break;
		case T_DropRoleStmt:
			drop_roles(form, (DropRoleStmt *) stmt);
			break;
		case T_GrantRoleStmt:
			grant_role(form, (GrantRoleStmt *) stmt);
			break;
		case T_RenameStmt:
			rename_role(form, (RenameStmt *) stmt);
			break;
		default:				/* a comment, a label */
			says(form, SD_ROLES_SAID, NULL);
			break;
	}
	form->refused_by_apply = sd_roles_tells_password(stmt) ? SD_REASON_PASSWORD : NULL;
}
