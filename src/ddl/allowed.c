/*
 * allowed.c: whose entries this region runs; see allowed.h.
 *
 * Backend and applier; needs a transaction, takes no lock.
 *
 * schemadrift.allowed_roles is a list of roles; "*" is every role that is no superuser here, and the superuser whom initdb
 * made.  That one is what most groups are made with, and has the same name in all regions; without it a new group would stop
 * at its first change.  Other superusers count only by name: a superuser of one region is not by that alone one of another.
 * Who trusts nobody with a superuser's rights writes a list without "*".
 */
#include "compat.h"

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "ddl/allowed.h"
#include "errors.h"
#include "settings.h"

const char *
sd_role_refused(const char *role)
{
	Oid			oid = get_role_oid(role, true);
	List	   *names;
	ListCell   *lc;
	bool		everybody = false;

	/* a role that is missing fails where its text is to be run, with an error that says so */
	if (!OidIsValid(oid))
		return NULL;
	/* the setting was checked when it was made */
	(void) SplitIdentifierString(pstrdup(sd_allowed_roles), ',', &names);
	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), role) == 0)
			return NULL;
		everybody |= strcmp(lfirst(lc), "*") == 0;
	}
	if (everybody && (oid == BOOTSTRAP_SUPERUSERID || !superuser_arg(oid)))
		return NULL;
	return everybody ?
		psprintf("schemadrift.allowed_roles is \"%s\", and role \"%s\", a superuser here, is not named", sd_allowed_roles, role) :
		psprintf("schemadrift.allowed_roles is \"%s\"", sd_allowed_roles);
}

/* The setting is a list of identifiers, in a literal. */
const char *
sd_role_allow_hint(const char *role)
{
	StringInfoData quoted;

	initStringInfo(&quoted);
	appendStringInfoChar(&quoted, '"');
	for (const char *c = role; *c; c++)
	{
		if (*c == '"')
			appendStringInfoChar(&quoted, '"');
		appendStringInfoChar(&quoted, *c);
	}
	appendStringInfoChar(&quoted, '"');
	return psprintf("ALTER SYSTEM SET schemadrift.allowed_roles = %s%s%s; SELECT pg_reload_conf().",
					sd_allowed_roles[0] ? quote_literal_cstr(sd_allowed_roles) : "", sd_allowed_roles[0] ? ", " : "",
					quote_literal_cstr(quoted.data));
}

void
sd_allowed_require(const char *author)
{
	const char *why = sd_role_refused(author);

	if (why)
		ereport(ERROR,
				(errcode(SD_ERRCODE_POLICY),
				 errmsg("held: this region does not run what role \"%s\" changes", author),
				 errdetail("%s.", why),
				 errhint("%s Then SELECT schemadrift.retry().", sd_role_allow_hint(author))));
}

void
sd_allowed_require_run_as(const SdRunAs *run_as)
{
	sd_allowed_require(run_as->session_user);
	sd_allowed_require(run_as->user);
}
