/*
 * own_oid.c: numbers in a statement of DDL that mean another object in each region.
 *
 * Runs in a backend, in the utility hook, on the raw statement; looks types up in the catalogs, and takes no lock.
 *
 * 17658::regclass and '17658'::regclass are the table that has this OID here.  As a text the one is the same everywhere, and would be
 * another table in each region; the other is kept as the table, and would halt every region but this one.  What initdb's own scripts have
 * numbered by hand is the same everywhere.  A plain oid may be any number, and is no concern here.
 */
#include "compat.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"

#include "ddl/own_oid.h"
#include "ddl/stored.h"

static bool
names_objects(Oid type)
{
	switch (type)
	{
		case REGCLASSOID:
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCOLLATIONOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			return false;
	}
}

static bool
is_number_type(List *names)
{
	static const char *const types[] = {"oid", "int4", "int8"};

	if (names == NIL || list_length(names) > 2 ||
		(list_length(names) == 2 && strcmp(strVal(linitial(names)), "pg_catalog") != 0))
		return false;
	for (size_t i = 0; i < lengthof(types); i++)
		if (strcmp(strVal(llast(names)), types[i]) == 0)
			return true;
	return false;
}

/* A number, or an array with one in it, that is no hand-made OID.  What is in a row may be anything. */
bool
sd_own_oid_is_number(const char *text)
{
	static const char between[] = "{},\" ";

	if (text[0] != '{' ? text[strspn(text, "0123456789\" ")] != '\0' : strchr(text, '(') != NULL)
		return false;
	for (text += strspn(text, between); *text; text += strspn(text, between))
	{
		size_t		length = strcspn(text, between);

		if (strspn(text, "0123456789") == length && strtoul(text, NULL, 10) >= FirstGenbkiObjectId)
			return true;
		text += length;
	}
	return false;
}

static bool
is_own_oid(Node *node)
{
	while (node && IsA(node, TypeCast) && is_number_type(((TypeCast *) node)->typeName->names))
		node = ((TypeCast *) node)->arg;
	if (node == NULL || !IsA(node, A_Const) || ((A_Const *) node)->isnull)
		return false;
	switch (nodeTag(&((A_Const *) node)->val))
	{
		case T_Integer:
			return intVal(&((A_Const *) node)->val) >= FirstGenbkiObjectId;
		case T_Float:
			return sd_own_oid_is_number(((A_Const *) node)->val.fval.fval);
		case T_String:
			return sd_own_oid_is_number(strVal(&((A_Const *) node)->val));
		default:
			return false;
	}
}

bool
sd_own_oid_is_type(Oid type)
{
	return sd_stored_holds(type, names_objects);
}

static bool
is_own_object(Node *value, Oid type)
{
	return is_own_oid(value) && sd_own_oid_is_type(type);
}

const char *
sd_own_oid_constant_reason(const char **hint)
{
	*hint = "Write the object's name: 'public.orders'::regclass.";
	return "A number that stands for an object by its OID stands for another one, or none, in each region.";
}

const char *
sd_own_oid_reason(Node *stmt, const char **hint)
{
	return sd_stored_any(stmt, is_own_object) ? sd_own_oid_constant_reason(hint) : NULL;
}
