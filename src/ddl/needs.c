/*
 * needs.c: what a statement needs that the log does not bring: roles, tablespaces, extensions, collations of the machine, a
 * major of PostgreSQL that understands it.
 *
 * Runs in a backend, before the statement.  The coordinator compares the names with what the serving regions announced,
 * so that an entry which some region could never apply is not proposed.  It errs on the side of too few: what is
 * missed here halts that region with a clear error, what is named wrongly would refuse a good change.
 */
#include "compat.h"

#include <unistd.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "ddl/classify.h"
#include "ddl/newer.h"

static List *
add_need(List *needs, const char *kind, const char *name)
{
	char	   *need = psprintf("%s:%s", kind, name);
	ListCell   *cell;

	foreach(cell, needs)
	{
		if (strcmp(lfirst(cell), need) == 0)
			return needs;
	}
	return lappend(needs, need);
}

static List *
need_role_named(List *needs, const char *name)
{
	/* what does not exist here either is PostgreSQL's to say, or the script makes it first */
	return OidIsValid(get_role_oid(name, true)) ? add_need(needs, "role", name) : needs;
}

/* What is not installed on this server is PostgreSQL's to say, too.  From 18 on there may be other folders. */
static List *
need_extension(List *needs, const char *name)
{
	const char *folders = GetConfigOption("extension_control_path", true, false);
	char		share[MAXPGPATH];

	get_share_path(my_exec_path, share);
	if ((folders == NULL || strcmp(folders, "$system") == 0) && access(psprintf("%s/extension/%s.control", share, name), F_OK) != 0)
		return needs;
	return add_need(needs, "extension", name);
}

static List *
need_role(List *needs, const RoleSpec *role)
{
	/* CURRENT_USER and the like are the author, whom the gate adds */
	if (role == NULL || role->roletype != ROLESPEC_CSTRING)
		return needs;
	return need_role_named(needs, role->rolename);
}

static List *
need_roles(List *needs, List *roles)
{
	ListCell   *cell;

	foreach(cell, roles)
		needs = need_role(needs, lfirst_node(RoleSpec, cell));
	return needs;
}

/* IN ROLE, ROLE, ADMIN, USER */
static List *
need_of_role_options(List *needs, List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (option->arg && (strcmp(option->defname, "addroleto") == 0 || strcmp(option->defname, "rolemembers") == 0 ||
							strcmp(option->defname, "adminmembers") == 0))
			needs = need_roles(needs, (List *) option->arg);
	}
	return needs;
}

/* a collation of the user's own comes by the log; one in pg_catalog comes with the machine */
static List *
need_collation(List *needs, List *name)
{
	Oid			collation;
	HeapTuple	tuple;
	Form_pg_collation form;

	if (name == NIL)
		return needs;
	collation = get_collation_oid(name, true);
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	if (!HeapTupleIsValid(tuple))
		return needs;
	form = (Form_pg_collation) GETSTRUCT(tuple);
	if (form->collnamespace == PG_CATALOG_NAMESPACE && form->collprovider != COLLPROVIDER_DEFAULT &&
		collation != C_COLLATION_OID && strcmp(NameStr(form->collname), "POSIX") != 0)
		needs = add_need(needs, "collation", NameStr(form->collname));
	ReleaseSysCache(tuple);
	return needs;
}

static List *
need_of_columns(List *needs, List *elements)
{
	ListCell   *cell;

	foreach(cell, elements)
	{
		Node	   *element = lfirst(cell);

		if (IsA(element, ColumnDef) && ((ColumnDef *) element)->collClause)
			needs = need_collation(needs, ((ColumnDef *) element)->collClause->collname);
	}
	return needs;
}

static List *
need_of_tablespace(List *needs, const char *name)
{
	return name && OidIsValid(get_tablespace_oid(name, true)) ? add_need(needs, "tablespace", name) : needs;
}

static List *
need_of_alter_table(List *needs, AlterTableStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, cell);

		if (cmd->def && IsA(cmd->def, ColumnDef))
			needs = need_of_columns(needs, list_make1(cmd->def));
		if (cmd->subtype == AT_ChangeOwner)
			needs = need_role(needs, cmd->newowner);
		if (cmd->subtype == AT_SetTableSpace)
			needs = need_of_tablespace(needs, cmd->name);
	}
	return needs;
}

static List *
need_of_default_privileges(List *needs, AlterDefaultPrivilegesStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "roles") == 0)
			needs = need_roles(needs, (List *) option->arg);
	}
	return need_roles(needs, stmt->action->grantees);
}

static List *
need_of_elements(List *needs, List *statements)
{
	ListCell   *cell;

	foreach(cell, statements)
		needs = list_concat(needs, sd_classify_needs(lfirst(cell)));
	return needs;
}

static List *
needed_names(Node *stmt)
{
	List	   *needs = NIL;
	ListCell   *cell;

	switch (nodeTag(stmt))
	{
		case T_GrantStmt:
			return need_roles(NIL, ((GrantStmt *) stmt)->grantees);
		case T_CreateRoleStmt:
			return need_of_role_options(NIL, ((CreateRoleStmt *) stmt)->options);
		case T_AlterRoleStmt:
			needs = need_role(NIL, ((AlterRoleStmt *) stmt)->role);
			return need_of_role_options(needs, ((AlterRoleStmt *) stmt)->options);
		case T_AlterRoleSetStmt:
			return need_role(NIL, ((AlterRoleSetStmt *) stmt)->role);
		case T_GrantRoleStmt:
			foreach(cell, ((GrantRoleStmt *) stmt)->granted_roles)
				needs = need_role_named(needs, lfirst_node(AccessPriv, cell)->priv_name);
			return need_roles(needs, ((GrantRoleStmt *) stmt)->grantee_roles);
		case T_RenameStmt:
			return ((RenameStmt *) stmt)->renameType == OBJECT_ROLE ? need_role_named(NIL, ((RenameStmt *) stmt)->subname) : NIL;
		case T_CommentStmt:
			return ((CommentStmt *) stmt)->objtype == OBJECT_ROLE ? need_role_named(NIL, strVal(((CommentStmt *) stmt)->object)) : NIL;
		case T_SecLabelStmt:
			return ((SecLabelStmt *) stmt)->objtype == OBJECT_ROLE ? need_role_named(NIL, strVal(((SecLabelStmt *) stmt)->object)) : NIL;
		case T_AlterDefaultPrivilegesStmt:
			return need_of_default_privileges(NIL, (AlterDefaultPrivilegesStmt *) stmt);
		case T_AlterOwnerStmt:
			return need_role(NIL, ((AlterOwnerStmt *) stmt)->newowner);
		case T_CreateSchemaStmt:
			needs = need_role(NIL, ((CreateSchemaStmt *) stmt)->authrole);
			return need_of_elements(needs, ((CreateSchemaStmt *) stmt)->schemaElts);
		case T_CreatePolicyStmt:
			return need_roles(NIL, ((CreatePolicyStmt *) stmt)->roles);
		case T_AlterPolicyStmt:
			return need_roles(NIL, ((AlterPolicyStmt *) stmt)->roles);
		case T_ReassignOwnedStmt:
			needs = need_roles(NIL, ((ReassignOwnedStmt *) stmt)->roles);
			return need_role(needs, ((ReassignOwnedStmt *) stmt)->newrole);
		case T_DropOwnedStmt:
			return need_roles(NIL, ((DropOwnedStmt *) stmt)->roles);
		case T_CreateExtensionStmt:
			return need_extension(NIL, ((CreateExtensionStmt *) stmt)->extname);
		case T_AlterTableStmt:
			return need_of_alter_table(NIL, (AlterTableStmt *) stmt);
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			needs = need_of_columns(NIL, ((CreateStmt *) stmt)->tableElts);
			return need_of_tablespace(needs, ((CreateStmt *) stmt)->tablespacename);
		case T_CreateTableAsStmt:
			return need_of_tablespace(NIL, ((CreateTableAsStmt *) stmt)->into->tableSpaceName);
		case T_CompositeTypeStmt:
			return need_of_columns(NIL, ((CompositeTypeStmt *) stmt)->coldeflist);
		case T_CreateDomainStmt:
			if (((CreateDomainStmt *) stmt)->collClause)
				needs = need_collation(NIL, ((CreateDomainStmt *) stmt)->collClause->collname);
			return needs;
		case T_IndexStmt:
			foreach(cell, ((IndexStmt *) stmt)->indexParams)
				needs = need_collation(needs, lfirst_node(IndexElem, cell)->collation);
			return need_of_tablespace(needs, ((IndexStmt *) stmt)->tableSpace);
		default:
			return NIL;
	}
}

List *
sd_classify_needs(Node *stmt)
{
	List	   *needs = needed_names(stmt);
	int			major = sd_newer_major(stmt);

	if (major > SD_COMPAT_OLDEST)
		needs = add_need(needs, "postgres", psprintf("%d", major));
	return needs;
}
