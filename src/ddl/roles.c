/*
 * roles.c: statements on roles, as entries of the log; see roles.h.
 *
 * Runs in a backend and in the applier, in the utility hook; takes no lock of its own.
 *
 * A role that is there already is compared with what the statement makes: it makes a role of another name, in a subtransaction that is
 * rolled back.  So PostgreSQL itself says what its options mean, in each major, with the author's rights and settings.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/user.h"
#include "lib/stringinfo.h"
#include "libpq/crypt.h"
#include "miscadmin.h"
#include "parser/parse_node.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "attempt.h"
#include "ddl/capture.h"
#include "ddl/moment.h"
#include "ddl/roles.h"
#include "texts.h"

#define MODEL_NAME	"schemadrift model"

/* Does what runs come from the log; and how is the database called where it comes from?  NULL: that plays no part in it. */
static bool of_log = false;
static const char *origin_database = NULL;

void
sd_roles_begin_entry(const char *database)
{
	of_log = true;
	origin_database = database;
}

void
sd_roles_end_entry(void)
{
	of_log = false;
	origin_database = NULL;
}

void
sd_roles_work_of_entry(const char *database, void (*work) (void *arg), void *arg)
{
	sd_roles_begin_entry(database);
	PG_TRY();
	{
		work(arg);
	}
	PG_CATCH();					/* not PG_FINALLY, of which gcc warns here on 16 */
	{
		sd_roles_end_entry();
		PG_RE_THROW();
	}
	PG_END_TRY();
	sd_roles_end_entry();
}

/* ---- what it is ---- */

static bool
is_of_this_database(const AlterRoleSetStmt *stmt)
{
	return stmt->database == NULL || get_database_oid(stmt->database, true) == MyDatabaseId;
}

bool
sd_roles_is_statement(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateRoleStmt:
		case T_AlterRoleStmt:
		case T_DropRoleStmt:
		case T_GrantRoleStmt:
			return true;
		case T_AlterRoleSetStmt:
			return is_of_this_database((AlterRoleSetStmt *) stmt);
		case T_RenameStmt:
			return ((RenameStmt *) stmt)->renameType == OBJECT_ROLE;
		case T_CommentStmt:
			return ((CommentStmt *) stmt)->objtype == OBJECT_ROLE;
		case T_SecLabelStmt:
			return ((SecLabelStmt *) stmt)->objtype == OBJECT_ROLE;
		default:
			return false;
	}
}

static DefElem *
option_of(Node *stmt, const char *name)
{
	List	   *options = IsA(stmt, CreateRoleStmt) ? ((CreateRoleStmt *) stmt)->options :
		IsA(stmt, AlterRoleStmt) ? ((AlterRoleStmt *) stmt)->options : NIL;
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return option;
	}
	return NULL;
}

bool
sd_roles_has_password(Node *stmt)
{
	return option_of(stmt, "password") != NULL;
}

/* An MD5 hash is as good as the password for who wants to log in with it. */
bool
sd_roles_tells_password(Node *stmt)
{
	DefElem    *password = option_of(stmt, "password");

	return password && get_password_type(strVal(password->arg)) != PASSWORD_TYPE_SCRAM_SHA_256;
}

const char *
sd_roles_reason(Node *stmt, const char **hint)
{
	DefElem    *until = option_of(stmt, "validUntil");

	if (sd_roles_tells_password(stmt))
	{
		*hint = SD_HINT_PASSWORD;
		return SD_REASON_PASSWORD;
	}
	if (until && sd_moment_is_word(strVal(until->arg)))
	{
		*hint = "Write the time: VALID UNTIL '2030-01-31 18:00+00'.";
		return "'now', 'today', 'tomorrow' and 'yesterday' become a time when a region runs the statement, each at another one.";
	}
	if (IsA(stmt, AlterRoleSetStmt) && ((AlterRoleSetStmt *) stmt)->setstmt->kind == VAR_SET_CURRENT &&
		!sd_capture_takes_setting(((AlterRoleSetStmt *) stmt)->setstmt->name))
	{
		*hint = "Write the value: SET name TO value.";
		return "SET ... FROM CURRENT takes a value that this session has and the other regions do not know.";
	}
	return NULL;
}

const char *
sd_roles_made(Node *stmt)
{
	if (IsA(stmt, CreateRoleStmt))
		return ((CreateRoleStmt *) stmt)->role;
	if (IsA(stmt, RenameStmt) && ((RenameStmt *) stmt)->renameType == OBJECT_ROLE)
		return ((RenameStmt *) stmt)->newname;
	return NULL;
}

bool
sd_roles_names_database(Node *stmt)
{
	return IsA(stmt, AlterRoleSetStmt) && ((AlterRoleSetStmt *) stmt)->database != NULL && is_of_this_database((AlterRoleSetStmt *) stmt);
}

/* ---- one that is there already ---- */

/* "is a member of admins, admin_option f", "has member bob, ...": whatever options this major has; not who granted it */
static char *
membership_text(TupleDesc desc, HeapTuple tuple, Oid role)
{
	Form_pg_auth_members form = (Form_pg_auth_members) GETSTRUCT(tuple);
	StringInfoData out;

	initStringInfo(&out);
	if (form->member == role)
		appendStringInfo(&out, "is a member of \"%s\"", GetUserNameFromId(form->roleid, true));
	else
		appendStringInfo(&out, "has member \"%s\"", GetUserNameFromId(form->member, true));
	for (int i = 1; i <= desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i - 1);
		bool		isnull;

		if (attribute->atttypid == BOOLOID)
			appendStringInfo(&out, ", %s %s", NameStr(attribute->attname), DatumGetBool(heap_getattr(tuple, i, desc, &isnull)) ? "on" : "off");
	}
	return out.data;
}

static List *
memberships_of(Oid role)
{
	static const struct
	{
		AttrNumber	column;
		Oid			index;
	}			sides[] = {
		{Anum_pg_auth_members_member, AuthMemMemRoleIndexId},
		{Anum_pg_auth_members_roleid, AuthMemRoleMemIndexId},
	};
	Relation	catalog = table_open(AuthMemRelationId, AccessShareLock);
	List	   *texts = NIL;

	for (size_t i = 0; i < lengthof(sides); i++)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, sides[i].column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(role));
		scan = systable_beginscan(catalog, sides[i].index, true, NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			char	   *text = membership_text(RelationGetDescr(catalog), tuple, role);

			if (!sd_texts_have(texts, text))
				texts = lappend(texts, text);
		}
		systable_endscan(scan);
	}
	table_close(catalog, AccessShareLock);
	return texts;
}

static void
append_missing(StringInfo out, List *from, List *in, const char *says)
{
	ListCell   *lc;

	foreach(lc, from)
		if (!sd_texts_have(in, lfirst(lc)))
			appendStringInfo(out, "%s%s: %s.", out->len > 0 ? "\n" : "", says, (char *) lfirst(lc));
}

static char *
value_text(Form_pg_attribute attribute, Datum value, bool isnull)
{
	Oid			output;
	bool		varlena;

	if (isnull)
		return "none";
	getTypeOutputInfo(attribute->atttypid, &output, &varlena);
	return OidOutputFunctionCall(output, value);
}

static void
append_attribute(StringInfo out, Form_pg_attribute attribute, Datum here, bool here_null, Datum model, bool model_null)
{
	if (here_null == model_null && (here_null || datumIsEqual(here, model, attribute->attbyval, attribute->attlen)))
		return;
	appendStringInfo(out, "%s%s is another one", out->len > 0 ? "\n" : "", NameStr(attribute->attname));
	/* nobody is shown what a server keeps of a password */
	if (strcmp(NameStr(attribute->attname), "rolpassword") != 0)
		appendStringInfo(out, ": %s here, and %s by the statement", value_text(attribute, here, here_null),
						 value_text(attribute, model, model_null));
	appendStringInfoChar(out, '.');
}

/* Empty: there is no difference. */
static void
append_differences(StringInfo out, Oid here, Oid model)
{
	Relation	catalog = table_open(AuthIdRelationId, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(catalog);
	HeapTuple	one = SearchSysCache1(AUTHOID, ObjectIdGetDatum(here));
	HeapTuple	other = SearchSysCache1(AUTHOID, ObjectIdGetDatum(model));
	List	   *ones = memberships_of(here);
	List	   *others = memberships_of(model);

	if (!HeapTupleIsValid(one) || !HeapTupleIsValid(other))
		elog(ERROR, "cache lookup failed for role %u or %u", here, model);
	for (int i = 1; i <= desc->natts; i++)
	{
		bool		one_null;
		bool		other_null;
		Datum		one_value = heap_getattr(one, i, desc, &one_null);
		Datum		other_value = heap_getattr(other, i, desc, &other_null);

		if (i != Anum_pg_authid_oid && i != Anum_pg_authid_rolname)
			append_attribute(out, TupleDescAttr(desc, i - 1), one_value, one_null, other_value, other_null);
	}
	append_missing(out, ones, others, "Here, and not by the statement, it");
	append_missing(out, others, ones, "By the statement, and not here, it");
	ReleaseSysCache(one);
	ReleaseSysCache(other);
	table_close(catalog, AccessShareLock);
}

typedef struct Comparison
{
	CreateRoleStmt *stmt;
	Oid			here;
	StringInfoData differences;
} Comparison;

static void
compare_with_model(void *arg)
{
	Comparison *comparison = arg;
	CreateRoleStmt *model = copyObject(comparison->stmt);
	Oid			made;

	model->role = MODEL_NAME;
	made = CreateRole(make_parsestate(NULL), model);
	CommandCounterIncrement();
	append_differences(&comparison->differences, comparison->here, made);
}

static void
require_same(CreateRoleStmt *stmt, Oid here)
{
	Comparison	comparison = {.stmt = stmt,.here = here};
	ErrorData  *error;

	initStringInfo(&comparison.differences);
	error = sd_attempt(compare_with_model, &comparison, false);
	if (error)
		ReThrowError(error);
	if (comparison.differences.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("role \"%s\" exists in this server, and is not what the log makes", stmt->role),
				 errdetail_internal("%s", comparison.differences.data),
				 errhint("Make it so (SET schemadrift.ddl_mode = off), or rename it, then SELECT schemadrift.retry(...); "
						 "or keep it: SELECT schemadrift.mark_applied(...).")));
}

Node *
sd_roles_replay(Node *stmt)
{
	if (!of_log)
		return stmt;
	if (IsA(stmt, CreateRoleStmt))
	{
		Oid			here = get_role_oid(((CreateRoleStmt *) stmt)->role, true);

		if (!OidIsValid(here))
			return stmt;
		require_same((CreateRoleStmt *) stmt, here);
		return NULL;
	}
	if (IsA(stmt, DropRoleStmt))
	{
		DropRoleStmt *copy = copyObject((DropRoleStmt *) stmt);

		copy->missing_ok = true;
		return (Node *) copy;
	}
	if (IsA(stmt, RenameStmt) && ((RenameStmt *) stmt)->renameType == OBJECT_ROLE)
		return !OidIsValid(get_role_oid(((RenameStmt *) stmt)->subname, true)) &&
			OidIsValid(get_role_oid(((RenameStmt *) stmt)->newname, true)) ? NULL : stmt;
	/* "this database", whatever it is called here */
	if (IsA(stmt, AlterRoleSetStmt) && ((AlterRoleSetStmt *) stmt)->database != NULL && origin_database &&
		strcmp(((AlterRoleSetStmt *) stmt)->database, origin_database) == 0)
	{
		AlterRoleSetStmt *copy = copyObject((AlterRoleSetStmt *) stmt);

		copy->database = get_database_name(MyDatabaseId);
		return (Node *) copy;
	}
	return stmt;
}
