/*
 * preflight_roles.c: are roles the same here as in the region that asks?  See preflight.h.
 *
 * Runs in backends, of who calls preflight() and of the regions that are asked.  Reads catalogs with the rights of the extension's owner;
 * what it tells of a role is a hash.  Left out are those that PostgreSQL and schemadrift bring, the one whom initdb made, whose name differs, and
 * passwords, which each server salts in its own way.
 */
#include "compat.h"

#include "functions/preflight.h"
#include "gate/mode.h"
#include "store/sql.h"

#define SHOWN	5				/* roles, of those that differ */

static uint64
read_roles(void)
{
	static SdStatement statement = {
		.sql = "SELECT rolname::text, md5(concat_ws('|', rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, "
		"rolconnlimit, extract(epoch FROM rolvaliduntil), "
		"ARRAY(SELECT DISTINCT (g.rolname || CASE WHEN m.admin_option THEN '*' ELSE '' END) COLLATE \"C\" FROM pg_auth_members m "
		"JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid ORDER BY 1)::text, "
		"ARRAY(SELECT (s.setdatabase = 0)::text || s.setconfig::text FROM pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase IN "
		"(0, (SELECT oid FROM pg_database WHERE datname = current_database())) ORDER BY s.setdatabase)::text)) "
		"FROM pg_roles r WHERE oid <> 10 AND rolname !~ '^(pg_|schemadrift_)' AND strpos(rolname, E'\\n') = 0 ORDER BY rolname COLLATE \"C\""
	};

	return sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
}

List *
sd_preflight_tell_roles(void)
{
	List	   *lines = NIL;
	SdScope		scope;
	uint64		n;

	if (sd_gate_group_mode() == SD_MODE_DEFAULT || !sd_gate_policy()->roles)
		return NIL;
	sd_store_enter(&scope);
	n = read_roles();
	MemoryContextSwitchTo(scope.caller);
	for (uint64 i = 0; i < n; i++)
		lines = lappend(lines, psprintf(SD_PREFLIGHT_ROLE "%s %s", sd_store_text(i, 2), sd_store_text(i, 1)));
	sd_store_leave(&scope);
	return lines;
}

/* Of the lines, that of this role; NULL: none. */
static const char *
find_line(List *told, const char *role)
{
	ListCell   *cell;

	foreach(cell, told)
	{
		const char *name = strchr((char *) lfirst(cell) + strlen(SD_PREFLIGHT_ROLE), ' ');

		if (name && strcmp(name + 1, role) == 0)
			return lfirst(cell);
	}
	return NULL;
}

List *
sd_preflight_unlike_roles(List *told)
{
	List	   *unlike = NIL;
	List	   *own = NIL;
	SdScope		scope;
	uint64		n;
	ListCell   *cell;

	sd_store_enter(&scope);
	n = read_roles();
	MemoryContextSwitchTo(scope.caller);
	for (uint64 i = 0; i < n; i++)
	{
		char	   *role = sd_store_text(i, 1);
		char	   *line = psprintf(SD_PREFLIGHT_ROLE "%s %s", sd_store_text(i, 2), role);
		const char *theirs = find_line(told, role);

		own = lappend(own, line);
		if (theirs == NULL)
			unlike = lappend(unlike, psprintf("role \"%s\" is here only", role));
		else if (strcmp(theirs, line) != 0)
			unlike = lappend(unlike, psprintf("role \"%s\" has other attributes, memberships or settings here", role));
	}
	sd_store_leave(&scope);
	foreach(cell, told)
	{
		const char *name = strchr((char *) lfirst(cell) + strlen(SD_PREFLIGHT_ROLE), ' ');

		if (name && find_line(own, name + 1) == NULL)
			unlike = lappend(unlike, psprintf("role \"%s\" is not here", name + 1));
	}
	if (list_length(unlike) > SHOWN)
	{
		int			more = list_length(unlike) - SHOWN;

		unlike = list_truncate(unlike, SHOWN);
		unlike = lappend(unlike, psprintf("%d more roles are not as they are where this was asked", more));
	}
	return unlike;
}
