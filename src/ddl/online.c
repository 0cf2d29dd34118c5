/*
 * online.c: statements that commit by themselves in the middle, as steps of an online entry; see online.h.
 *
 * Backend, under the DDL lock.  Takes no lock on any relation: a build elsewhere must not wait for who only looks.
 */
#include "compat.h"

#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "ddl/kept.h"
#include "ddl/names.h"
#include "ddl/online.h"
#include "ddl/targets.h"
#include "errors.h"
#include "texts.h"

static PartitionCmd *
detached(AlterTableStmt *stmt)
{
	AlterTableCmd *cmd = linitial_node(AlterTableCmd, stmt->cmds);

	if ((cmd->subtype == AT_DetachPartition && castNode(PartitionCmd, cmd->def)->concurrent) ||
		cmd->subtype == AT_DetachPartitionFinalize)
		return castNode(PartitionCmd, cmd->def);
	return NULL;
}

SdOnlineKind
sd_online_kind(Node *stmt)
{
	if (IsA(stmt, IndexStmt) && ((IndexStmt *) stmt)->concurrent)
		return SD_ONLINE_CREATE_INDEX;
	if (IsA(stmt, DropStmt) && ((DropStmt *) stmt)->concurrent)
		return SD_ONLINE_DROP_INDEX;
	if (IsA(stmt, AlterTableStmt) && detached((AlterTableStmt *) stmt))
		return SD_ONLINE_DETACH;
	return SD_ONLINE_PLAIN;
}

static char *
identity_of(Oid relation)
{
	StringInfoData name;

	initStringInfo(&name);
	sd_append_relation(&name, relation);
	return name.data;
}

static char *
identity_of_name(const char *schema, const char *name)
{
	StringInfoData out;

	initStringInfo(&out);
	sd_append_identifier(&out, schema);
	appendStringInfoChar(&out, '.');
	sd_append_identifier(&out, name);
	return out.data;
}

static void
require_owner(Oid relation, const char *name)
{
	if (!sd_compat_owns_relation(relation, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relation)), name);
}

static void
refuse_form(const char *message)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", message)));
}

/* ---- CREATE INDEX CONCURRENTLY ---- */

/* PostgreSQL would choose by what names are free when it builds, and that may differ from region to region. */
static char *
choose_name(IndexStmt *stmt, Oid table)
{
	StringInfoData columns;
	ListCell   *cell;

	initStringInfo(&columns);
	foreach(cell, stmt->indexParams)
	{
		IndexElem  *element = lfirst_node(IndexElem, cell);

		appendStringInfo(&columns, "%s%s", columns.len > 0 ? "_" : "", element->name ? element->name : "expr");
		if (columns.len >= NAMEDATALEN)
			break;
	}
	return ChooseRelationName(get_rel_name(table), columns.data, "idx", get_rel_namespace(table), false);
}

static void
check_columns(IndexStmt *stmt, Oid table)
{
	ListCell   *cell;

	foreach(cell, list_concat_copy(stmt->indexParams, stmt->indexIncludingParams))
	{
		IndexElem  *element = lfirst_node(IndexElem, cell);

		if (element->name && get_attnum(table, element->name) == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" does not exist", element->name)));
	}
}

/* What a type makes of them is known before it runs only by looking at the table. */
static void
refuse_constants(Node *stmt)
{
	SdVerdict	verdict = {.class = SD_CLASS_REFUSED,.tag = CreateCommandTag(stmt)};

	verdict.reason = sd_kept_reason_later(stmt, NULL, &verdict.hint);
	if (verdict.reason)
		sd_classify_refuse(&verdict);
}

static bool
look_create(IndexStmt *stmt, SdOnlineStep *step, List **relations)
{
	Oid			table = RangeVarGetRelid(stmt->relation, NoLock, false);
	char		relkind = get_rel_relkind(table);

	step->kind = SD_ONLINE_CREATE_INDEX;
	step->table = get_rel_name(table);
	step->schema = get_namespace_name(get_rel_namespace(table));
	if (relkind == RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot create index on partitioned table \"%s\" concurrently", step->table),
				 errhint("CREATE INDEX ON ONLY it, build one CONCURRENTLY on each partition, and ATTACH these.")));
	if (relkind != RELKIND_RELATION && relkind != RELKIND_MATVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table or materialized view", step->table)));
	require_owner(table, step->table);
	check_columns(stmt, table);
	refuse_constants((Node *) stmt);
	step->name = stmt->idxname ? pstrdup(stmt->idxname) : choose_name(stmt, table);
	if (OidIsValid(get_relname_relid(step->name, get_rel_namespace(table))))
	{
		if (!stmt->if_not_exists)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("relation \"%s\" already exists", step->name)));
		ereport(NOTICE,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists, skipping", step->name)));
		return false;
	}
	*relations = sd_texts_add(*relations, identity_of(table));
	*relations = sd_texts_add(*relations, identity_of_name(step->schema, step->name));
	return true;
}

/* ---- DROP INDEX CONCURRENTLY ---- */

static bool
look_drop(DropStmt *stmt, SdOnlineStep *step, List **relations)
{
	RangeVar   *range;
	Oid			index;
	Oid			table;
	Oid			constraint;

	if (list_length(stmt->objects) != 1)
		refuse_form("DROP INDEX CONCURRENTLY does not support dropping multiple objects");
	if (stmt->behavior == DROP_CASCADE)
		refuse_form("DROP INDEX CONCURRENTLY does not support CASCADE");
	range = makeRangeVarFromNameList(linitial_node(List, stmt->objects));
	step->kind = SD_ONLINE_DROP_INDEX;
	index = sd_target_relation(range);
	if (!OidIsValid(index))
	{
		if (!stmt->missing_ok)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("index \"%s\" does not exist", range->relname)));
		ereport(NOTICE, (errmsg("index \"%s\" does not exist, skipping", range->relname)));
		return false;
	}
	if (get_rel_relkind(index) == RELKIND_PARTITIONED_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot drop partitioned index \"%s\" concurrently", range->relname)));
	if (get_rel_relkind(index) != RELKIND_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an index", range->relname)));
	require_owner(index, range->relname);
	table = IndexGetRelation(index, false);
	constraint = get_index_constraint(index);
	if (OidIsValid(constraint))
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop index %s because constraint %s on table %s requires it",
						range->relname, get_constraint_name(constraint), get_rel_name(table)),
				 errhint("You can drop constraint %s on table %s instead.",
						 get_constraint_name(constraint), get_rel_name(table))));
	step->table = get_rel_name(table);
	step->schema = get_namespace_name(get_rel_namespace(index));
	step->name = get_rel_name(index);
	*relations = sd_texts_add(*relations, identity_of(table));
	*relations = sd_texts_add(*relations, identity_of(index));
	return true;
}

/* ---- DETACH PARTITION CONCURRENTLY, FINALIZE ---- */

static bool
look_detach(AlterTableStmt *stmt, SdOnlineStep *step, List **relations)
{
	PartitionCmd *cmd = detached(stmt);
	Oid			parent;
	Oid			partition;

	step->kind = SD_ONLINE_DETACH;
	parent = RangeVarGetRelid(stmt->relation, NoLock, stmt->missing_ok);
	if (!OidIsValid(parent))
	{
		ereport(NOTICE, (errmsg("relation \"%s\" does not exist, skipping", stmt->relation->relname)));
		return false;
	}
	require_owner(parent, stmt->relation->relname);
	partition = RangeVarGetRelid(cmd->name, NoLock, false);
	if (!get_rel_relispartition(partition) || get_partition_parent(partition, true) != parent)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" is not a partition of relation \"%s\"", get_rel_name(partition), get_rel_name(parent))));
	if (OidIsValid(get_default_partition_oid(parent)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot detach partitions concurrently when a default partition exists")));
	step->table = get_rel_name(parent);
	step->schema = get_namespace_name(get_rel_namespace(parent));
	step->name = get_rel_name(partition);
	step->name_schema = get_namespace_name(get_rel_namespace(partition));
	*relations = sd_texts_add(*relations, identity_of(parent));
	*relations = sd_texts_add(*relations, identity_of(partition));
	return true;
}

bool
sd_online_look(Node *stmt, SdOnlineStep *step, List **relations)
{
	memset(step, 0, sizeof(*step));
	switch (sd_online_kind(stmt))
	{
		case SD_ONLINE_CREATE_INDEX:
			return look_create((IndexStmt *) stmt, step, relations);
		case SD_ONLINE_DROP_INDEX:
			return look_drop((DropStmt *) stmt, step, relations);
		case SD_ONLINE_DETACH:
			return look_detach((AlterTableStmt *) stmt, step, relations);
		case SD_ONLINE_PLAIN:
			break;
	}
	step->kind = SD_ONLINE_PLAIN;
	step->is_ddl = GetCommandLogLevel(stmt) == LOGSTMT_DDL;
	return true;
}

/* ---- which relations a statement is about ---- */

static List *
add_range(List *relations, const RangeVar *range)
{
	Oid			relation = range ? sd_target_relation(range) : InvalidOid;
	Oid			table;

	if (!OidIsValid(relation))
		return relations;
	relations = sd_texts_add(relations, identity_of(relation));
	table = IndexGetRelation(relation, true);
	return OidIsValid(table) ? sd_texts_add(relations, identity_of(table)) : relations;
}

static bool
add_objects(ObjectType type, List *objects, List **relations)
{
	ListCell   *cell;

	foreach(cell, objects)
	{
		Node	   *object = lfirst(cell);

		switch (type)
		{
			case OBJECT_TABLE:
			case OBJECT_INDEX:
			case OBJECT_SEQUENCE:
			case OBJECT_VIEW:
			case OBJECT_MATVIEW:
			case OBJECT_FOREIGN_TABLE:
				*relations = add_range(*relations, IsA(object, RangeVar) ? (RangeVar *) object :
									   makeRangeVarFromNameList(castNode(List, object)));
				break;
			case OBJECT_COLUMN:
			case OBJECT_TRIGGER:
			case OBJECT_RULE:
			case OBJECT_POLICY:
			case OBJECT_TABCONSTRAINT:
				if (list_length(castNode(List, object)) < 2)
					return false;
				*relations = add_range(*relations, makeRangeVarFromNameList(
										   list_truncate(list_copy((List *) object), list_length((List *) object) - 1)));
				break;
			default:
				return false;
		}
	}
	return true;
}

/* the other side of foreign keys that a statement makes: it is locked, too, and that waits for a build */
static List *
add_references(List *relations, List *elements)
{
	ListCell   *cell;

	foreach(cell, elements)
	{
		Node	   *element = lfirst(cell);

		if (element && IsA(element, ColumnDef))
			relations = add_references(relations, ((ColumnDef *) element)->constraints);
		else if (element && IsA(element, Constraint))
			relations = add_range(relations, ((Constraint *) element)->pktable);
	}
	return relations;
}

bool
sd_online_relations(Node *stmt, List **relations)
{
	ListCell   *cell;

	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			*relations = add_range(*relations, ((AlterTableStmt *) stmt)->relation);
			foreach(cell, ((AlterTableStmt *) stmt)->cmds)
			{
				AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

				if (command->def && IsA(command->def, PartitionCmd))
					*relations = add_range(*relations, ((PartitionCmd *) command->def)->name);
				else if (command->def && IsA(command->def, RangeVar))
					*relations = add_range(*relations, (RangeVar *) command->def);
				*relations = add_references(*relations, list_make1(command->def));
			}
			return true;
		case T_CreateStmt:
			foreach(cell, ((CreateStmt *) stmt)->inhRelations)
				*relations = add_range(*relations, lfirst_node(RangeVar, cell));
			*relations = add_references(*relations, ((CreateStmt *) stmt)->tableElts);
			return false;		/* the table itself is not there yet */
		case T_IndexStmt:
			*relations = add_range(*relations, ((IndexStmt *) stmt)->relation);
			return true;
		case T_ReindexStmt:
			*relations = add_range(*relations, ((ReindexStmt *) stmt)->relation);
			return ((ReindexStmt *) stmt)->relation != NULL;
		case T_CreateTrigStmt:
			*relations = add_range(*relations, ((CreateTrigStmt *) stmt)->relation);
			return true;
		case T_CreatePolicyStmt:
			*relations = add_range(*relations, ((CreatePolicyStmt *) stmt)->table);
			return true;
		case T_AlterPolicyStmt:
			*relations = add_range(*relations, ((AlterPolicyStmt *) stmt)->table);
			return true;
		case T_RuleStmt:
			*relations = add_range(*relations, ((RuleStmt *) stmt)->relation);
			return true;
		case T_DropStmt:
			return add_objects(((DropStmt *) stmt)->removeType, ((DropStmt *) stmt)->objects, relations);
		case T_CommentStmt:
			return add_objects(((CommentStmt *) stmt)->objtype, list_make1(((CommentStmt *) stmt)->object), relations);
		case T_RenameStmt:
			*relations = add_range(*relations, ((RenameStmt *) stmt)->relation);
			return ((RenameStmt *) stmt)->relation != NULL;
		case T_AlterObjectSchemaStmt:
			*relations = add_range(*relations, ((AlterObjectSchemaStmt *) stmt)->relation);
			return ((AlterObjectSchemaStmt *) stmt)->relation != NULL;
		case T_AlterOwnerStmt:
			*relations = add_range(*relations, ((AlterOwnerStmt *) stmt)->relation);
			return ((AlterOwnerStmt *) stmt)->relation != NULL;
		case T_GrantStmt:
			if (((GrantStmt *) stmt)->targtype != ACL_TARGET_OBJECT)
				return false;
			return add_objects(((GrantStmt *) stmt)->objtype, ((GrantStmt *) stmt)->objects, relations);
		default:
			return false;
	}
}

static void
refuse_plain(Node *stmt)
{
	ereport(ERROR,
			(errcode(SD_ERRCODE_CANNOT_COORDINATE),
			 errmsg("%s cannot be part of an online migration", GetCommandTagName(CreateCommandTag(stmt))),
			 errdetail("Regions reach it at different times, and other changes go on meanwhile, except of relations that an "
					   "online migration names; this is about something else."),
			 errhint("Put it into schemadrift.apply(), before or after.")));
}

List *
sd_online_steps(const SdScript *script, List **relations)
{
	List	   *steps = NIL;

	for (int i = 0; i < sd_script_statements(script); i++)
	{
		Node	   *stmt = linitial_node(RawStmt, sd_parse_quietly(sd_script_statement(script, i)))->stmt;
		SdOnlineStep *step = palloc(sizeof(SdOnlineStep));
		SdVerdict	verdict;

		if (IsA(stmt, VariableSetStmt))
			ereport(ERROR,
					(errcode(SD_ERRCODE_CANNOT_COORDINATE),
					 errmsg("SET cannot be part of an online migration"),
					 errdetail("Each of its statements is a transaction of its own, and none knows what another has set."),
					 errhint("SET it in this session before the CALL.")));
		(void) sd_online_look(stmt, step, relations);
		if (step->kind == SD_ONLINE_PLAIN && step->is_ddl)
		{
			sd_classify(stmt, NULL, &verdict);
			if (verdict.class == SD_CLASS_REFUSED)
				sd_classify_refuse(&verdict);
			if (!sd_online_relations(stmt, relations))
				refuse_plain(stmt);
			if (IsA(stmt, AlterTableStmt) || IsA(stmt, IndexStmt))
				refuse_constants(stmt);
		}
		steps = lappend(steps, step);
	}
	return steps;
}

/* ---- the way back ---- */

char *
sd_online_inverse(const SdOnlineStep *step)
{
	if (step->kind != SD_ONLINE_CREATE_INDEX)
		return NULL;
	return psprintf("DROP INDEX CONCURRENTLY IF EXISTS %s", quote_qualified_identifier(step->schema, step->name));
}

bool
sd_online_has_plain(List *steps)
{
	ListCell   *cell;

	foreach(cell, steps)
		if (((SdOnlineStep *) lfirst(cell))->kind == SD_ONLINE_PLAIN)
			return true;
	return false;
}

bool
sd_online_reverts_itself(List *steps)
{
	ListCell   *cell;

	foreach(cell, steps)
	{
		SdOnlineStep *step = lfirst(cell);

		if (step->kind != SD_ONLINE_CREATE_INDEX)
			return false;
	}
	return steps != NIL;
}
