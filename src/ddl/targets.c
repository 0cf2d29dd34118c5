/*
 * targets.c: where the objects that a statement names live, before it runs.
 *
 * Runs in a backend, in the utility hook.  Names are resolved through the catalog caches without a lock on anything: the
 * gate must decide before the first lock on a user's object.  A name may mean something else by the time the
 * statement runs; so an answer "temporary" is checked again afterwards (gate/hooks.c), and an answer "ordinary" is
 * harmless where it is wrong: it costs a quorum that was not needed.
 *
 * Therefore every doubt is answered SD_TARGET_ORDINARY.
 */
#include "compat.h"

#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl/local.h"
#include "ddl/targets.h"

static const char *const own_schemas[] = {"schemadrift", "schemadrift_store", "schemadrift_rpc"};

bool
sd_is_own_schema(const char *name)
{
	for (size_t i = 0; i < lengthof(own_schemas); i++)
	{
		if (strcmp(name, own_schemas[i]) == 0)
			return true;
	}
	return false;
}

static int
place_of(Oid namespace, const char *name, SdIsLocalName is_local)
{
	char	   *schema;

	if (!OidIsValid(namespace))
		return SD_TARGET_ORDINARY;
	if (isTempNamespace(namespace))
		return SD_TARGET_TEMPORARY;
	schema = get_namespace_name(namespace);
	if (schema == NULL)
		return SD_TARGET_ORDINARY;
	if (sd_is_own_schema(schema))
		return SD_TARGET_OWN;
	if (is_local && is_local(schema, name))
		return SD_TARGET_LOCAL;
	return SD_TARGET_ORDINARY;
}

/* where an unqualified new object goes */
static Oid
creation_namespace(void)
{
	List	   *path = fetch_search_path(false);
	Oid			first = path == NIL ? InvalidOid : linitial_oid(path);

	list_free(path);
	return first;
}

static int
place_in_schema(const char *schema, const char *name, SdIsLocalName is_local)
{
	/* the alias works before the session's temporary schema exists */
	if (strcmp(schema, "pg_temp") == 0)
		return SD_TARGET_TEMPORARY;
	return place_of(get_namespace_oid(schema, true), name, is_local);
}

Oid
sd_target_relation(const RangeVar *rv)
{
	Oid			namespace;

	if (rv->schemaname == NULL)
		return RelnameGetRelid(rv->relname);
	if (strcmp(rv->schemaname, "pg_temp") == 0)
		namespace = LookupNamespaceNoError("pg_temp");
	else
		namespace = get_namespace_oid(rv->schemaname, true);
	return OidIsValid(namespace) ? get_relname_relid(rv->relname, namespace) : InvalidOid;
}

/* an index is where its table is: a policy's pattern names tables */
static int
place_of_relid(Oid relid, SdIsLocalName is_local)
{
	char	   *name;

	if (get_rel_relkind(relid) == RELKIND_INDEX)
	{
		name = get_rel_name(relid);
		if (name && sd_local_is_leftover(name, get_index_isvalid(relid)))
			return SD_TARGET_LOCAL;
		if (is_local)
			relid = IndexGetRelation(relid, true);
	}
	name = get_rel_name(relid);
	return name ? place_of(get_rel_namespace(relid), name, is_local) : SD_TARGET_ORDINARY;
}

static int
place_of_relation(const RangeVar *rv, SdIsLocalName is_local)
{
	Oid			relid;

	if (rv == NULL)
		return SD_TARGET_ORDINARY;
	relid = sd_target_relation(rv);
	if (OidIsValid(relid))
		return place_of_relid(relid, is_local);
	return rv->schemaname ? place_in_schema(rv->schemaname, rv->relname, is_local) : SD_TARGET_ORDINARY;
}

static int
place_of_new_relation(const RangeVar *rv, SdIsLocalName is_local)
{
	if (rv->relpersistence == RELPERSISTENCE_TEMP)
		return SD_TARGET_TEMPORARY;
	if (rv->schemaname)
		return place_in_schema(rv->schemaname, rv->relname, is_local);
	return place_of(creation_namespace(), rv->relname, is_local);
}

static int
place_of_relation_names(List *names, SdIsLocalName is_local)
{
	if (names == NIL || list_length(names) > 3)
		return SD_TARGET_ORDINARY;
	return place_of_relation(makeRangeVarFromNameList(names), is_local);
}

/*
 * Functions, operators, collations ...: PostgreSQL never looks for these in the temporary schema by a bare name, so an
 * existing one is temporary only where the schema is written down.
 */
static int
place_of_names(List *names, bool creation, SdIsLocalName is_local)
{
	const char *name;

	if (names == NIL)
		return SD_TARGET_ORDINARY;
	name = strVal(llast(names));
	if (list_length(names) == 1)
		return creation ? place_of(creation_namespace(), name, is_local) : SD_TARGET_ORDINARY;
	return place_in_schema(strVal(list_nth(names, list_length(names) - 2)), name, is_local);
}

/* A bare name is looked up where a pattern may name the schema it is in; an ambiguous one is the statement's own error. */
static int
place_of_function(ObjectType type, ObjectWithArgs *object, SdIsLocalName is_local)
{
	Oid			function;

	if (is_local == NULL || list_length(object->objname) != 1)
		return place_of_names(object->objname, false, is_local);
	function = LookupFuncWithArgs(type, object, true);
	if (!OidIsValid(function))
		return SD_TARGET_ORDINARY;
	return place_of(get_func_namespace(function), strVal(linitial(object->objname)), is_local);
}

/* types are looked for in the temporary schema: every temporary table brings one */
static int
place_of_type_names(List *names, SdIsLocalName is_local)
{
	Oid			type;
	HeapTuple	tuple;
	int			place;

	if (list_length(names) != 1)
		return place_of_names(names, false, is_local);
	type = TypenameGetTypid(strVal(linitial(names)));
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return SD_TARGET_ORDINARY;
	place = place_of(((Form_pg_type) GETSTRUCT(tuple))->typnamespace, strVal(linitial(names)), is_local);
	ReleaseSysCache(tuple);
	return place;
}

/* statistics on a temporary table lie in an ordinary schema, and vanish with the table */
static int
place_of_statistics(List *names, SdIsLocalName is_local)
{
	HeapTuple	tuple;
	Oid			relid;
	bool		goes;

	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(get_statistics_object_oid(names, true)));
	if (!HeapTupleIsValid(tuple))
		return place_of_names(names, false, is_local);
	relid = ((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxrelid;
	goes = isTempNamespace(((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxnamespace);
	ReleaseSysCache(tuple);
	return goes ? SD_TARGET_TEMPORARY : place_of_relid(relid, is_local);
}

/* An object as COMMENT, DROP, ALTER ... OWNER and the like spell it: the node depends on the kind. */
static int
place_of_object(ObjectType type, Node *object, SdIsLocalName is_local)
{
	List	   *names;

	if (object == NULL)
		return SD_TARGET_ORDINARY;
	switch (type)
	{
		case OBJECT_TABLE:
		case OBJECT_INDEX:
		case OBJECT_SEQUENCE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_FOREIGN_TABLE:
			if (IsA(object, RangeVar))
				return place_of_relation((RangeVar *) object, is_local);
			return place_of_relation_names(castNode(List, object), is_local);

			/* the relation's name, then that of its part */
		case OBJECT_COLUMN:
		case OBJECT_TRIGGER:
		case OBJECT_RULE:
		case OBJECT_POLICY:
		case OBJECT_TABCONSTRAINT:
			names = castNode(List, object);
			if (list_length(names) < 2)
				return SD_TARGET_ORDINARY;
			return place_of_relation_names(list_truncate(list_copy(names), list_length(names) - 1), is_local);

		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			if (IsA(object, TypeName))
				return place_of_type_names(((TypeName *) object)->names, is_local);
			return place_of_type_names(castNode(List, object), is_local);

		case OBJECT_DOMCONSTRAINT:
			if (IsA(object, List) && IsA(linitial((List *) object), TypeName))
				return place_of_type_names(linitial_node(TypeName, (List *) object)->names, is_local);
			if (IsA(object, List))
				return place_of_type_names((List *) object, is_local);
			return SD_TARGET_ORDINARY;

		case OBJECT_AGGREGATE:
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
			if (IsA(object, ObjectWithArgs))
				return place_of_function(type, (ObjectWithArgs *) object, is_local);
			return SD_TARGET_ORDINARY;

		case OBJECT_OPERATOR:
			if (IsA(object, ObjectWithArgs))
				return place_of_names(((ObjectWithArgs *) object)->objname, false, is_local);
			return SD_TARGET_ORDINARY;

		case OBJECT_COLLATION:
		case OBJECT_CONVERSION:
		case OBJECT_TSPARSER:
		case OBJECT_TSDICTIONARY:
		case OBJECT_TSTEMPLATE:
		case OBJECT_TSCONFIGURATION:
			return place_of_names(castNode(List, object), false, is_local);

		case OBJECT_STATISTIC_EXT:
			return place_of_statistics(castNode(List, object), is_local);

		case OBJECT_OPCLASS:
		case OBJECT_OPFAMILY:
			/* the access method comes first */
			names = castNode(List, object);
			return place_of_names(list_length(names) > 1 ? list_copy_tail(names, 1) : names, false, is_local);

		case OBJECT_SCHEMA:
			return place_in_schema(strVal(object), "", is_local);

		case OBJECT_EXTENSION:
			return strcmp(strVal(object), "schemadrift") == 0 ? SD_TARGET_OWN : SD_TARGET_ORDINARY;

		default:
			return SD_TARGET_ORDINARY;
	}
}

static int
places_of_objects(ObjectType type, List *objects, SdIsLocalName is_local)
{
	int			places = 0;
	ListCell   *cell;

	foreach(cell, objects)
		places |= place_of_object(type, (Node *) lfirst(cell), is_local);
	return places;
}

/* objects named either by a relation or by an object node */
static int
place_of_either(ObjectType type, RangeVar *relation, Node *object, SdIsLocalName is_local)
{
	if (relation)
		return place_of_relation(relation, is_local);
	return place_of_object(type, object, is_local);
}

typedef struct TempSearch
{
	List	   *relations;
	List	   *cte_names;
} TempSearch;

static bool
collect_relations(Node *node, void *context)
{
	TempSearch *search = context;

	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
		search->relations = lappend(search->relations, node);
	else if (IsA(node, CommonTableExpr))
		search->cte_names = lappend(search->cte_names, makeString(((CommonTableExpr *) node)->ctename));
	return raw_expression_tree_walker(node, collect_relations, context);
}

/*
 * PostgreSQL makes a view temporary by itself when its query reads a temporary relation.  A bare name that a WITH
 * clause defines anywhere in the query is left out: taking it for the temporary table of that name would let a
 * permanent view pass.
 */
static bool
query_reads_temporary(Node *query)
{
	TempSearch	search = {NIL, NIL};
	ListCell   *cell;

	collect_relations(query, &search);
	foreach(cell, search.relations)
	{
		RangeVar   *rv = lfirst_node(RangeVar, cell);

		if (rv->schemaname == NULL && list_member(search.cte_names, makeString(rv->relname)))
			continue;
		if (place_of_relation(rv, NULL) == SD_TARGET_TEMPORARY && OidIsValid(sd_target_relation(rv)))
			return true;
	}
	return false;
}

/* the same for a query after parse analysis */
static bool
analyzed_reads_temporary(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->rtekind == RTE_RELATION &&
			isTempNamespace(get_rel_namespace(((RangeTblEntry *) node)->relid));
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, analyzed_reads_temporary, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, analyzed_reads_temporary, context);
}

/* A permanent table made after a temporary one: nothing of it remains, but the text cannot be run elsewhere. */
static int
place_of_new_table(CreateStmt *stmt, SdIsLocalName is_local)
{
	int			places = place_of_new_relation(stmt->relation, is_local);
	ListCell   *cell;

	if (places == SD_TARGET_TEMPORARY)
		return places;
	foreach(cell, stmt->tableElts)
	{
		if (IsA(lfirst(cell), TableLikeClause))
			places |= place_of_relation(((TableLikeClause *) lfirst(cell))->relation, NULL) & SD_TARGET_TEMPORARY;
	}
	return places;
}

static int
place_of_new_table_as(RangeVar *relation, Node *query, SdIsLocalName is_local)
{
	int			places = place_of_new_relation(relation, is_local);

	/* what was prepared names nothing here */
	if (places != SD_TARGET_TEMPORARY && !IsA(query, ExecuteStmt) &&
		(IsA(query, Query) ? analyzed_reads_temporary(query, NULL) : query_reads_temporary(query)))
		places |= SD_TARGET_TEMPORARY;
	return places;
}

static int
places_of_grant(GrantStmt *stmt, SdIsLocalName is_local)
{
	if (stmt->targtype == ACL_TARGET_ALL_IN_SCHEMA)
		return places_of_objects(OBJECT_SCHEMA, stmt->objects, is_local);
	if (stmt->targtype != ACL_TARGET_OBJECT)
		return SD_TARGET_ORDINARY;
	return places_of_objects(stmt->objtype, stmt->objects, is_local);
}

/* for all schemas they are the group's */
static int
places_of_default_privileges(AlterDefaultPrivilegesStmt *stmt, SdIsLocalName is_local)
{
	int			places = 0;
	ListCell   *cell;

	foreach(cell, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "schemas") == 0)
			places |= places_of_objects(OBJECT_SCHEMA, castNode(List, option->arg), is_local);
	}
	return places != 0 ? places : SD_TARGET_ORDINARY;
}

/*
 * A new name or schema can take an object over the border of what the policy calls local: it would stay in this region
 * alone, or vanish from it alone.  So the place it goes to counts as well.
 */
static int
with_new_name(int old, const char *schema, const char *name, SdIsLocalName is_local)
{
	/* PostgreSQL moves nothing into or out of the temporary schema */
	if (old == SD_TARGET_TEMPORARY || old == SD_TARGET_OWN)
		return old;
	if (sd_is_own_schema(schema))
		return SD_TARGET_OWN;
	return old | (is_local && is_local(schema, name) ? SD_TARGET_LOCAL : SD_TARGET_ORDINARY);
}

static List *
names_of_object(Node *object)
{
	switch (object ? nodeTag(object) : T_Invalid)
	{
		case T_List:
			return (List *) object;
		case T_ObjectWithArgs:
			return ((ObjectWithArgs *) object)->objname;
		case T_TypeName:
			return ((TypeName *) object)->names;
		default:
			return NIL;
	}
}

static int
places_of_rename(RenameStmt *stmt, SdIsLocalName is_local)
{
	int			old;
	char	   *schema = NULL;

	if (stmt->renameType == OBJECT_SCHEMA)
		return with_new_name(place_in_schema(stmt->subname, "", is_local), stmt->newname, "", is_local);
	old = place_of_either(stmt->renameType, stmt->relation, stmt->object, is_local);
	switch (stmt->renameType)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_FOREIGN_TABLE:
			{
				Oid			relid = sd_target_relation(stmt->relation);

				/* ALTER TABLE renames indexes, too, and these are where their table is */
				if (OidIsValid(relid) && get_rel_relkind(relid) != RELKIND_INDEX)
					schema = get_namespace_name(get_rel_namespace(relid));
				break;
			}
		case OBJECT_AGGREGATE:
		case OBJECT_COLLATION:
		case OBJECT_CONVERSION:
		case OBJECT_DOMAIN:
		case OBJECT_FUNCTION:
		case OBJECT_OPCLASS:
		case OBJECT_OPFAMILY:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_STATISTIC_EXT:
		case OBJECT_TSCONFIGURATION:
		case OBJECT_TSDICTIONARY:
		case OBJECT_TSPARSER:
		case OBJECT_TSTEMPLATE:
		case OBJECT_TYPE:
			{
				List	   *names = names_of_object(stmt->object);

				if (list_length(names) > 1)
					schema = strVal(list_nth(names, list_length(names) - 2));
				else if (OidIsValid(creation_namespace()))
					schema = get_namespace_name(creation_namespace());
				break;
			}
		default:
			break;				/* a part of something, which stays where it is */
	}
	return schema ? with_new_name(old, schema, stmt->newname, is_local) : old;
}

static int
places_of_move(AlterObjectSchemaStmt *stmt, SdIsLocalName is_local)
{
	int			old = place_of_either(stmt->objectType, stmt->relation, stmt->object, is_local);
	List	   *names = names_of_object(stmt->object);
	const char *name = stmt->relation ? stmt->relation->relname : names != NIL ? strVal(llast(names)) : "";

	return with_new_name(old, stmt->newschema, name, is_local);
}

int
sd_targets_of(Node *stmt, SdIsLocalName is_local)
{
	int			places = 0;
	ListCell   *cell;

	switch (nodeTag(stmt))
	{
			/* new relations */
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			return place_of_new_table((CreateStmt *) stmt, is_local);
		case T_CreateTableAsStmt:
			return place_of_new_table_as(((CreateTableAsStmt *) stmt)->into->rel, ((CreateTableAsStmt *) stmt)->query, is_local);
		case T_SelectStmt:
			return place_of_new_relation(((SelectStmt *) stmt)->intoClause->rel, is_local);
		case T_CreateSeqStmt:
			return place_of_new_relation(((CreateSeqStmt *) stmt)->sequence, is_local);
		case T_CompositeTypeStmt:
			return place_of_new_relation(((CompositeTypeStmt *) stmt)->typevar, is_local);
		case T_ViewStmt:
			places = place_of_new_relation(((ViewStmt *) stmt)->view, is_local);
			if (places == SD_TARGET_ORDINARY && ((ViewStmt *) stmt)->view->schemaname == NULL &&
				query_reads_temporary(((ViewStmt *) stmt)->query))
				return SD_TARGET_TEMPORARY;
			return places;

			/* on one relation */
		case T_AlterTableStmt:
			return place_of_relation(((AlterTableStmt *) stmt)->relation, is_local);
		case T_IndexStmt:
			return place_of_relation(((IndexStmt *) stmt)->relation, is_local);
		case T_AlterSeqStmt:
			return place_of_relation(((AlterSeqStmt *) stmt)->sequence, is_local);
		case T_RuleStmt:
			return place_of_relation(((RuleStmt *) stmt)->relation, is_local);
		case T_CreateTrigStmt:
			return place_of_relation(((CreateTrigStmt *) stmt)->relation, is_local);
		case T_CreatePolicyStmt:
			return place_of_relation(((CreatePolicyStmt *) stmt)->table, is_local);
		case T_AlterPolicyStmt:
			return place_of_relation(((AlterPolicyStmt *) stmt)->table, is_local);
		case T_CreateStatsStmt:
			foreach(cell, ((CreateStatsStmt *) stmt)->relations)
			{
				if (IsA(lfirst(cell), RangeVar))
					places |= place_of_relation(lfirst_node(RangeVar, cell), is_local);
			}
			/* of a permanent table, and goes with this session */
			if (place_of_names(((CreateStatsStmt *) stmt)->defnames, true, NULL) == SD_TARGET_TEMPORARY)
				return SD_TARGET_TEMPORARY;
			/* of no relation: PostgreSQL says what is wrong with it */
			return places != 0 ? places : SD_TARGET_ORDINARY;
		case T_AlterStatsStmt:
			return place_of_statistics(((AlterStatsStmt *) stmt)->defnames, is_local);

			/* new objects of other kinds */
		case T_CreateFunctionStmt:
			return place_of_names(((CreateFunctionStmt *) stmt)->funcname, true, is_local);
		case T_DefineStmt:
			return place_of_names(((DefineStmt *) stmt)->defnames, true, is_local);
		case T_CreateEnumStmt:
			return place_of_names(((CreateEnumStmt *) stmt)->typeName, true, is_local);
		case T_CreateRangeStmt:
			return place_of_names(((CreateRangeStmt *) stmt)->typeName, true, is_local);
		case T_CreateDomainStmt:
			return place_of_names(((CreateDomainStmt *) stmt)->domainname, true, is_local);
		case T_CreateConversionStmt:
			return place_of_names(((CreateConversionStmt *) stmt)->conversion_name, true, is_local);
		case T_CreateOpClassStmt:
			return place_of_names(((CreateOpClassStmt *) stmt)->opclassname, true, is_local);
		case T_CreateOpFamilyStmt:
			return place_of_names(((CreateOpFamilyStmt *) stmt)->opfamilyname, true, is_local);
		case T_CreateSchemaStmt:
			if (((CreateSchemaStmt *) stmt)->schemaname == NULL)
				return SD_TARGET_ORDINARY;
			if (sd_is_own_schema(((CreateSchemaStmt *) stmt)->schemaname))
				return SD_TARGET_OWN;
			if (is_local && is_local(((CreateSchemaStmt *) stmt)->schemaname, ""))
				return SD_TARGET_LOCAL;
			return SD_TARGET_ORDINARY;

			/* existing objects of other kinds */
		case T_AlterFunctionStmt:
			return place_of_object(((AlterFunctionStmt *) stmt)->objtype,
								   (Node *) ((AlterFunctionStmt *) stmt)->func, is_local);
		case T_AlterOperatorStmt:
			return place_of_object(OBJECT_OPERATOR, (Node *) ((AlterOperatorStmt *) stmt)->opername, is_local);
		case T_AlterTypeStmt:
			return place_of_type_names(((AlterTypeStmt *) stmt)->typeName, is_local);
		case T_AlterEnumStmt:
			return place_of_type_names(((AlterEnumStmt *) stmt)->typeName, is_local);
		case T_AlterDomainStmt:
			return place_of_type_names(((AlterDomainStmt *) stmt)->typeName, is_local);
		case T_AlterOpFamilyStmt:
			return place_of_names(((AlterOpFamilyStmt *) stmt)->opfamilyname, false, is_local);
		case T_AlterTSDictionaryStmt:
			return place_of_names(((AlterTSDictionaryStmt *) stmt)->dictname, false, is_local);
		case T_AlterTSConfigurationStmt:
			return place_of_names(((AlterTSConfigurationStmt *) stmt)->cfgname, false, is_local);
		case T_AlterCollationStmt:
			return place_of_names(((AlterCollationStmt *) stmt)->collname, false, is_local);

			/* any kind of object */
		case T_DropStmt:
			return places_of_objects(((DropStmt *) stmt)->removeType, ((DropStmt *) stmt)->objects, is_local);
		case T_CommentStmt:
			return place_of_object(((CommentStmt *) stmt)->objtype, ((CommentStmt *) stmt)->object, is_local);
		case T_SecLabelStmt:
			return place_of_object(((SecLabelStmt *) stmt)->objtype, ((SecLabelStmt *) stmt)->object, is_local);
		case T_RenameStmt:
			return places_of_rename((RenameStmt *) stmt, is_local);
		case T_AlterObjectSchemaStmt:
			return places_of_move((AlterObjectSchemaStmt *) stmt, is_local);
		case T_AlterObjectDependsStmt:
			return place_of_either(((AlterObjectDependsStmt *) stmt)->objectType,
								   ((AlterObjectDependsStmt *) stmt)->relation,
								   ((AlterObjectDependsStmt *) stmt)->object, is_local);
		case T_AlterOwnerStmt:
			return place_of_either(((AlterOwnerStmt *) stmt)->objectType, ((AlterOwnerStmt *) stmt)->relation,
								   ((AlterOwnerStmt *) stmt)->object, is_local);
		case T_GrantStmt:
			return places_of_grant((GrantStmt *) stmt, is_local);
		case T_AlterDefaultPrivilegesStmt:
			return places_of_default_privileges((AlterDefaultPrivilegesStmt *) stmt, is_local);

		default:
			return SD_TARGET_ORDINARY;
	}
}
