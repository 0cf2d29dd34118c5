/*
 * form_other.c: types, schemas, rights, comments, statistics, sequences, publications, extensions.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/routine.h"
#include "analysis/type.h"

/* ---- types ---- */

static List *
names_of(const RangeVar *name)
{
	List	   *names = list_make1(makeString(name->relname));

	return name->schemaname ? lcons(makeString(name->schemaname), names) : names;
}

static void
make_type(SdForm *form, List *names, const char *rule)
{
	sd_form_object(form, NameListToString(names));
	sd_form_match(form, rule);
	sd_type_make(form, names);
}

/* Where it is not given, its name follows from the range's. */
static void
make_multirange(SdForm *form, CreateRangeStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->params)
	{
		DefElem    *parameter = lfirst_node(DefElem, cell);

		if (strcmp(parameter->defname, "multirange_type_name") == 0 && parameter->arg)
			sd_type_make(form, defGetQualifiedName(parameter));
	}
}

static void
alter_enum(SdForm *form, AlterEnumStmt *stmt)
{
	bool		made;
	int32		typmod;
	Oid			type = sd_form_type(form, makeTypeNameFromNameList(stmt->typeName), &typmod, &made);
	SdMatch    *match;

	sd_form_object(form, NameListToString(stmt->typeName));
	if (!OidIsValid(type) && !made)
		sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "type \"%s\" does not exist", NameListToString(stmt->typeName));
	match = sd_form_match(form, stmt->oldVal ? "I2" : "I1");
	match->fresh = !OidIsValid(type) && made;
	if (OidIsValid(type))
	{
		bool		renamed = sd_world_noted(form->world, "label", psprintf("%u %s", type, stmt->newVal), NULL);
		bool		there = !renamed && SearchSysCacheExists2(ENUMTYPOIDNAME, ObjectIdGetDatum(type), CStringGetDatum(stmt->newVal));

		if (there && stmt->skipIfNewValExists)
			match->harmless = true;
		else if (there)
			sd_form_fails(form, ERRCODE_DUPLICATE_OBJECT, "enum label \"%s\" already exists", stmt->newVal);
		/* nobody locks them, but their rows are what is affected */
		sd_match_cast_oids(form, match, SD_ROLE_TABLE, sd_fact_type_users(type));
	}
	if (stmt->oldVal && OidIsValid(type))
		sd_world_note(form->world, "label", psprintf("%u %s", type, stmt->oldVal), InvalidOid);
	if (stmt->oldVal)
	{
		/* where it sorts as the other one does */
		sd_match_safer(match, "ALTER TYPE %s ADD VALUE %s BEFORE %s", NameListToQuotedString(stmt->typeName),
					   quote_literal_cstr(stmt->newVal), quote_literal_cstr(stmt->oldVal));
		sd_match_safer(match, "-- when all regions have it and all applications understand it, in batches, in ONE region:\n"
					   "-- UPDATE <table> SET <column> = %s WHERE <column> = %s AND <a range of the key>",
					   sd_paste_literal(stmt->newVal), sd_paste_literal(stmt->oldVal));
	}
}

/* Tables that use it are read when it is validated, not when the constraint is added. */
static void
advise_domain(SdForm *form, AlterDomainStmt *stmt, Oid type, const char *rule, SdMatch *match)
{
	const char *domain = NameListToQuotedString(stmt->typeName);
	Constraint *constraint = strcmp(rule, "I9") == 0 ? castNode(Constraint, stmt->def) : NULL;
	bool		not_null = strcmp(rule, "I12") == 0 || (constraint && constraint->contype != CONSTR_CHECK);
	const char *name;
	Oid			schema = InvalidOid;

	if (constraint == NULL && !not_null)
		return;
	if (OidIsValid(type))
	{
		HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));

		if (HeapTupleIsValid(tuple))
		{
			schema = ((Form_pg_type) GETSTRUCT(tuple))->typnamespace;
			ReleaseSysCache(tuple);
		}
	}
	name = constraint && constraint->conname ? constraint->conname :
		ChooseConstraintName(strVal(llast(stmt->typeName)), NULL, not_null ? "not_null" : "check", schema, NIL);
	name = sd_quoted(name);
	sd_match_safer(match, "ALTER DOMAIN %s ADD CONSTRAINT %s %s NOT VALID", domain, name,
				   not_null ? "CHECK (VALUE IS NOT NULL)" : sd_words_constraint(form->words, constraint));
	sd_match_safer(match, "-- VALIDATE takes SHARE on every table that uses it (rule I11): when that is bearable\n"
				   "ALTER DOMAIN %s VALIDATE CONSTRAINT %s", domain, name);
}

static void
alter_domain(SdForm *form, AlterDomainStmt *stmt)
{
	bool		made;
	int32		typmod;
	Oid			type = sd_form_type(form, makeTypeNameFromNameList(stmt->typeName), &typmod, &made);
	const char *name = NameListToString(stmt->typeName);
	bool		not_valid = false;
	const char *rule = "I13";
	SdMatch    *match;

	sd_form_object(form, name);
	if (!OidIsValid(type))
	{
		if (!made && !stmt->missing_ok)
			sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "type \"%s\" does not exist", name);
	}
	switch (stmt->subtype)
	{
		case 'C':
			not_valid = stmt->def && castNode(Constraint, stmt->def)->skip_validation;
			rule = not_valid ? "I10" : "I9";
			break;
		case 'V':
			rule = "I11";
			break;
		case 'O':
			rule = "I12";
			break;
		default:
			break;
	}
	match = sd_form_match(form, rule);
	if (OidIsValid(type))
		sd_match_cast_oids(form, match, SD_ROLE_TABLE, sd_fact_type_users(type));
	advise_domain(form, stmt, type, rule, match);
}

static void
define(SdForm *form, DefineStmt *stmt)
{
	sd_form_object(form, NameListToString(stmt->defnames));
	if (stmt->kind == OBJECT_TYPE)
		sd_type_make(form, stmt->defnames);
	if (stmt->kind == OBJECT_AGGREGATE)
		sd_routine_make_aggregate(form, stmt->defnames);
	sd_form_match(form, "I4");
}

/* ---- GRANT, COMMENT ---- */

static void
grant(SdForm *form, GrantStmt *stmt)
{
	SdMatch    *match = sd_form_match(form, stmt->is_grant ? "J22" : "J23");
	ListCell   *cell;

	if (stmt->targtype != ACL_TARGET_OBJECT || stmt->objtype != OBJECT_TABLE)
		return;
	foreach(cell, stmt->objects)
	{
		SdThing    *thing = sd_form_relation(form, lfirst_node(RangeVar, cell), false);

		sd_match_cast(match, SD_ROLE_TABLE, thing);
	}
}

static void
comment(SdForm *form, CommentStmt *stmt)
{
	SdMatch    *match = sd_form_match(form, "G21");
	List	   *names;

	switch (stmt->objtype)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_INDEX:
		case OBJECT_FOREIGN_TABLE:
			names = castNode(List, stmt->object);
			break;
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
		case OBJECT_RULE:
		case OBJECT_POLICY:
			/* of what belongs to a table the server only looks up the table */
			if (stmt->objtype != OBJECT_COLUMN)
				match->lock = AccessShareLock;
			names = castNode(List, stmt->object);
			names = list_copy_head(names, list_length(names) - 1);
			break;
		default:
			return;
	}
	if (names)
	{
		SdThing    *table = sd_form_relation(form, makeRangeVarFromNameList(names), false);

		sd_match_cast(match, SD_ROLE_TABLE, table);
		if (table && (stmt->objtype == OBJECT_TRIGGER || stmt->objtype == OBJECT_RULE || stmt->objtype == OBJECT_POLICY))
			(void) sd_form_attached(form, stmt->objtype, table, strVal(llast(castNode(List, stmt->object))), false);
	}
}

/* ---- sequences ---- */

static bool
only_owner(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "owned_by") != 0)
			return false;
	}
	return options != NIL;
}

static bool
sets_owner(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "owned_by") == 0)
			return true;
	}
	return false;
}

static void
make_sequence(SdForm *form, CreateSeqStmt *stmt)
{
	char	   *shown = sd_world_shown(form->world, stmt->sequence);
	SdThing    *known = sd_world_find(form->world, makeRangeVar(stmt->sequence->schemaname, stmt->sequence->relname, -1));

	sd_form_object(form, shown);
	if (known && strcmp(known->shown, shown) == 0)
	{
		if (!stmt->if_not_exists)
			sd_form_fails(form, ERRCODE_DUPLICATE_TABLE, "relation \"%s\" already exists", stmt->sequence->relname);
		else
			sd_form_match(form, "G3")->harmless = true;
		return;
	}
	sd_match_cast(sd_form_match(form, "K1"), SD_ROLE_SEQUENCE, sd_world_make(form->world, stmt->sequence, RELKIND_SEQUENCE));
}

static void
alter_sequence(SdForm *form, AlterSeqStmt *stmt)
{
	SdThing    *thing = sd_form_relation(form, stmt->sequence, stmt->missing_ok);

	if (thing == NULL)
		return;
	sd_match_cast(sd_form_match(form, only_owner(stmt->options) ? "K3" : "K2"), SD_ROLE_SEQUENCE, thing);
	if (sets_owner(stmt->options))
	{
		thing->table = NULL;
		sd_follow_change(form->world, RelationRelationId, thing->oid);
	}
}

/* ---- publications, extensions ---- */

static void
publish(SdForm *form, List *objects, const char *rule)
{
	SdMatch    *match = sd_form_match(form, rule);
	ListCell   *cell;

	foreach(cell, objects)
	{
		PublicationObjSpec *object = lfirst_node(PublicationObjSpec, cell);

		if (object->pubobjtype == PUBLICATIONOBJ_TABLE && object->pubtable)
			sd_match_cast(match, SD_ROLE_TABLE, sd_form_relation(form, object->pubtable->relation, false));
	}
}

static void
alter_publication(SdForm *form, AlterPublicationStmt *stmt)
{
	sd_form_object(form, stmt->pubname);
	publish(form, stmt->pubobjects, stmt->pubobjects != NIL && stmt->action != AP_AddObjects ? "L2" : "L1");
}

/* ---- everything else ---- */

/* Their names lead into the new schema first; made in this order. */
static void
make_elements(SdForm *form, List *elements, const char *schema)
{
	static const NodeTag order[] = {T_CreateSeqStmt, T_CreateStmt, T_ViewStmt, T_IndexStmt, T_CreateTrigStmt, T_GrantStmt};
	int			nest_level = NewGUCNestLevel();
	Node	   *whole = form->stmt;
	const char *path = namespace_search_path + strspn(namespace_search_path, " \t\n\r\f");
	ListCell   *cell;

	(void) set_config_option("search_path", psprintf("%s%s%s", sd_quoted(schema), path[0] ? ", " : "", path),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, WARNING, false);
	for (size_t i = 0; i < lengthof(order); i++)
	{
		foreach(cell, elements)
		{
			if (nodeTag(lfirst(cell)) != order[i])
				continue;
			form->stmt = lfirst(cell);
			sd_form_statement(form);
		}
	}
	form->stmt = whole;
	AtEOXact_GUC(false, nest_level);
}

static void
make_schema(SdForm *form, CreateSchemaStmt *stmt)
{
	/* a role by its name may be the script's own */
	const char *name = stmt->schemaname ? stmt->schemaname : stmt->authrole->roletype == ROLESPEC_CSTRING ? stmt->authrole->rolename :
		get_rolespec_name(stmt->authrole);

	sd_form_object(form, sd_quoted(name));
	if (sd_world_has_schema(form->world, name))
	{
		if (!stmt->if_not_exists)
			sd_form_fails(form, ERRCODE_DUPLICATE_SCHEMA, "schema \"%s\" already exists", name);
		else
			sd_form_match(form, "G3")->harmless = true;
		return;
	}
	sd_form_match(form, "I4");
	sd_world_make_schema(form->world, name);
	if (stmt->schemaElts != NIL)
		make_elements(form, stmt->schemaElts, name);
}

void
sd_form_other(SdForm *form)
{
	Node	   *stmt = form->stmt;

	switch (nodeTag(stmt))
	{
			/* types */
		case T_CompositeTypeStmt:
			make_type(form, names_of(((CompositeTypeStmt *) stmt)->typevar), "I4");
			(void) sd_world_make(form->world, ((CompositeTypeStmt *) stmt)->typevar, RELKIND_COMPOSITE_TYPE);
			break;
		case T_CreateEnumStmt:
			make_type(form, ((CreateEnumStmt *) stmt)->typeName, "I4");
			break;
		case T_CreateRangeStmt:
			make_type(form, ((CreateRangeStmt *) stmt)->typeName, "I4");
			make_multirange(form, (CreateRangeStmt *) stmt);
			break;
		case T_CreateDomainStmt:
			make_type(form, ((CreateDomainStmt *) stmt)->domainname, "I4");
			break;
		case T_AlterEnumStmt:
			alter_enum(form, (AlterEnumStmt *) stmt);
			break;
		case T_AlterDomainStmt:
			alter_domain(form, (AlterDomainStmt *) stmt);
			break;
		case T_DefineStmt:
			define(form, (DefineStmt *) stmt);
			break;
		case T_CreateSchemaStmt:
			make_schema(form, (CreateSchemaStmt *) stmt);
			break;

			/* rights, comments, statistics */
		case T_GrantStmt:
			grant(form, (GrantStmt *) stmt);
			break;
		case T_AlterDefaultPrivilegesStmt:
			sd_form_match(form, ((AlterDefaultPrivilegesStmt *) stmt)->action->is_grant ? "J22" : "J23");
			break;
		case T_CommentStmt:
			comment(form, (CommentStmt *) stmt);
			break;
		case T_CreateStatsStmt:
			{
				ListCell   *cell;
				SdMatch    *match = sd_form_match(form, "J24");

				foreach(cell, ((CreateStatsStmt *) stmt)->relations)
				{
					if (IsA(lfirst(cell), RangeVar))
						sd_match_cast(match, SD_ROLE_TABLE, sd_form_relation(form, lfirst(cell), false));
				}
			}
			break;
		case T_AlterStatsStmt:
			sd_form_match(form, "J24");
			break;

			/* sequences */
		case T_CreateSeqStmt:
			make_sequence(form, (CreateSeqStmt *) stmt);
			break;
		case T_AlterSeqStmt:
			alter_sequence(form, (AlterSeqStmt *) stmt);
			break;

		case T_DropOwnedStmt:
			/* what that is, in this database and others, is not looked for */
			sd_world_lose_sight(form->world, "DROP OWNED");
			break;

			/* publications, extensions */
		case T_CreatePublicationStmt:
			sd_form_object(form, ((CreatePublicationStmt *) stmt)->pubname);
			publish(form, ((CreatePublicationStmt *) stmt)->pubobjects, "L1");
			break;
		case T_AlterPublicationStmt:
			alter_publication(form, (AlterPublicationStmt *) stmt);
			break;
		case T_CreateExtensionStmt:
			{
				SdMatch    *match = sd_form_match(form, "L4");
				ListCell   *cell;

				sd_form_object(form, ((CreateExtensionStmt *) stmt)->extname);
				if (!OidIsValid(get_extension_oid(((CreateExtensionStmt *) stmt)->extname, true)))
					sd_world_lose_sight(form->world, psprintf("CREATE EXTENSION %s", sd_quoted(((CreateExtensionStmt *) stmt)->extname)));
				foreach(cell, ((CreateExtensionStmt *) stmt)->options)
				{
					if (strcmp(lfirst_node(DefElem, cell)->defname, "new_version") == 0)
						return;
				}
				sd_match_safer(match, "CREATE EXTENSION %s VERSION '<the one that all regions have>'",
							   sd_quoted(((CreateExtensionStmt *) stmt)->extname));
			}
			break;
		case T_AlterExtensionStmt:
		case T_AlterExtensionContentsStmt:
			sd_form_object(form, IsA(stmt, AlterExtensionStmt) ? ((AlterExtensionStmt *) stmt)->extname :
						   ((AlterExtensionContentsStmt *) stmt)->extname);
			sd_form_match(form, "L5");
			if (IsA(stmt, AlterExtensionStmt))
				sd_world_lose_sight(form->world, psprintf("ALTER EXTENSION %s UPDATE", sd_quoted(((AlterExtensionStmt *) stmt)->extname)));
			break;
		case T_ImportForeignSchemaStmt:
			sd_world_lose_sight(form->world, "IMPORT FOREIGN SCHEMA");
			break;
		default:
			break;
	}
}
