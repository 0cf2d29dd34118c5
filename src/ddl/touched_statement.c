/*
 * touched_statement.c: what a statement touches beside what the object access hook tells; see touched.h.
 *
 * Backend and applier, before the statement runs.  Names of relations are resolved without a lock; other objects get the lock
 * that COMMENT and the like would wait for anyway.  What does not exist is left to the statement, which will say so itself.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_shdepend.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/policy.h"
#include "commands/proclang.h"
#include "commands/trigger.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteSupport.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "ddl/classify.h"
#include "ddl/touched.h"
#include "ddl/touched_set.h"

static void
note(SdTouched *set, Oid classid, Oid objid)
{
	if (OidIsValid(objid))
		sd_touched_add(set, classid, objid);
}

static Oid
find_range(const RangeVar *range)
{
	return range ? RangeVarGetRelidExtended(range, NoLock, RVR_MISSING_OK, NULL, NULL) : InvalidOid;
}

static void
note_range(SdTouched *set, const RangeVar *range)
{
	note(set, RelationRelationId, find_range(range));
}

/* --- objects as COMMENT and the like spell them --- */

/* a part of a relation, or the relation itself, of which a column is a part */
static void
note_attached(SdTouched *set, ObjectType type, Oid relation, const char *name)
{
	if (!OidIsValid(relation))
		return;
	switch (type)
	{
		case OBJECT_TRIGGER:
			note(set, TriggerRelationId, get_trigger_oid(relation, name, true));
			break;
		case OBJECT_RULE:
			note(set, RewriteRelationId, get_rewrite_oid(relation, name, true));
			break;
		case OBJECT_POLICY:
			note(set, PolicyRelationId, get_relation_policy_oid(relation, name, true));
			break;
		case OBJECT_TABCONSTRAINT:
			note(set, ConstraintRelationId, get_relation_constraint_oid(relation, name, true));
			break;
		default:
			note(set, RelationRelationId, relation);
			break;
	}
}

static void
note_named(SdTouched *set, ObjectType type, Node *object)
{
	ObjectAddress address;
	Relation	relation = NULL;
	List	   *names;

	switch (type)
	{
		case OBJECT_TABLE:
		case OBJECT_INDEX:
		case OBJECT_SEQUENCE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_FOREIGN_TABLE:
			note_range(set, makeRangeVarFromNameList(castNode(List, object)));
			return;
		case OBJECT_COLUMN:
		case OBJECT_TRIGGER:
		case OBJECT_RULE:
		case OBJECT_POLICY:
		case OBJECT_TABCONSTRAINT:
			names = castNode(List, object);
			if (list_length(names) > 1)
				note_attached(set, type,
							  find_range(makeRangeVarFromNameList(list_truncate(list_copy(names), list_length(names) - 1))),
							  strVal(llast(names)));
			return;
		default:
			break;
	}
	if (sd_is_local_object_type(type))
		return;
	address = get_object_address(type, object, &relation, AccessShareLock, true);
	if (relation)
		table_close(relation, NoLock);
	note(set, address.classId, address.objectId);
}

static void
note_depends(SdTouched *set, AlterObjectDependsStmt *stmt)
{
	if (stmt->relation)
		note_attached(set, stmt->objectType, find_range(stmt->relation),
					  stmt->objectType == OBJECT_TRIGGER ? strVal(llast(castNode(List, stmt->object))) : NULL);
	else
		note_named(set, stmt->objectType, stmt->object);
}

/* --- privileges --- */

/* Of pg_class, pg_proc: no index leads from a schema to what is in it. */
static void
note_all_in(SdTouched *set, Oid catalog_oid, AttrNumber oid_column, AttrNumber namespace_column, Oid namespace)
{
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(namespace))
		return;
	catalog = table_open(catalog_oid, AccessShareLock);
	ScanKeyInit(&key, namespace_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(namespace));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		char		relkind = catalog_oid == RelationRelationId ? ((Form_pg_class) GETSTRUCT(tuple))->relkind : '\0';

		if (relkind != RELKIND_INDEX && relkind != RELKIND_PARTITIONED_INDEX)
			note(set, catalog_oid, DatumGetObjectId(heap_getattr(tuple, oid_column, RelationGetDescr(catalog), &isnull)));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
note_granted(SdTouched *set, ObjectType type, Node *object)
{
	switch (type)
	{
		case OBJECT_TABLE:
		case OBJECT_SEQUENCE:
			note_range(set, castNode(RangeVar, object));
			break;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
			note(set, ProcedureRelationId, LookupFuncWithArgs(type, castNode(ObjectWithArgs, object), true));
			break;
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			note(set, TypeRelationId, LookupTypeNameOid(NULL, makeTypeNameFromNameList(castNode(List, object)), true));
			break;
		case OBJECT_SCHEMA:
			note(set, NamespaceRelationId, get_namespace_oid(strVal(object), true));
			break;
		case OBJECT_LANGUAGE:
			note(set, LanguageRelationId, get_language_oid(strVal(object), true));
			break;
		case OBJECT_FDW:
			note(set, ForeignDataWrapperRelationId, get_foreign_data_wrapper_oid(strVal(object), true));
			break;
		case OBJECT_FOREIGN_SERVER:
			note(set, ForeignServerRelationId, get_foreign_server_oid(strVal(object), true));
			break;
		default:
			break;				/* databases and the like are local; default privileges are announced */
	}
}

static void
note_grant(SdTouched *set, GrantStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->objects)
	{
		if (stmt->targtype != ACL_TARGET_ALL_IN_SCHEMA)
			note_granted(set, stmt->objtype, lfirst(cell));
		else if (stmt->objtype == OBJECT_TABLE || stmt->objtype == OBJECT_SEQUENCE)
			note_all_in(set, RelationRelationId, Anum_pg_class_oid, Anum_pg_class_relnamespace,
						get_namespace_oid(strVal(lfirst(cell)), true));
		else
			note_all_in(set, ProcedureRelationId, Anum_pg_proc_oid, Anum_pg_proc_pronamespace,
						get_namespace_oid(strVal(lfirst(cell)), true));
	}
}

/* Whatever of this database names the role: as owner, in privileges, in policies. */
static void
note_of_role(SdTouched *set, Oid role)
{
	Relation	catalog;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(role))
		return;
	catalog = table_open(SharedDependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_shdepend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(AuthIdRelationId));
	ScanKeyInit(&keys[1], Anum_pg_shdepend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(role));
	scan = systable_beginscan(catalog, SharedDependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_shdepend depend = (Form_pg_shdepend) GETSTRUCT(tuple);

		if (depend->dbid == MyDatabaseId)
			note(set, depend->classid, depend->objid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* --- statements --- */

static void
note_alter_table(SdTouched *set, AlterTableStmt *stmt)
{
	ListCell   *cell;

	note_range(set, stmt->relation);
	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		/* ATTACH and DETACH PARTITION: the other table or index */
		if (command->def && IsA(command->def, PartitionCmd))
			note_range(set, ((PartitionCmd *) command->def)->name);
	}
}

void
sd_touched_statement(SdTouched *set, Node *parsetree)
{
	ListCell   *cell;

	switch (nodeTag(parsetree))
	{
		case T_AlterTableStmt:
			note_alter_table(set, (AlterTableStmt *) parsetree);
			break;
		case T_IndexStmt:
			note_range(set, ((IndexStmt *) parsetree)->relation);
			break;
		case T_AlterExtensionContentsStmt:
			sd_touched_everything(set);
			break;
		case T_ReindexStmt:
			note_range(set, ((ReindexStmt *) parsetree)->relation);
			break;
		case T_CommentStmt:
			note_named(set, ((CommentStmt *) parsetree)->objtype, ((CommentStmt *) parsetree)->object);
			break;
		case T_SecLabelStmt:
			note_named(set, ((SecLabelStmt *) parsetree)->objtype, ((SecLabelStmt *) parsetree)->object);
			break;
		case T_AlterObjectDependsStmt:
			note_depends(set, (AlterObjectDependsStmt *) parsetree);
			break;
		case T_GrantStmt:
			note_grant(set, (GrantStmt *) parsetree);
			break;
		case T_DropOwnedStmt:
			foreach(cell, ((DropOwnedStmt *) parsetree)->roles)
				note_of_role(set, get_rolespec_oid(lfirst_node(RoleSpec, cell), true));
			break;
		case T_RenameStmt:
			if (((RenameStmt *) parsetree)->renameType == OBJECT_ROLE)
			{
				note_of_role(set, get_role_oid(((RenameStmt *) parsetree)->subname, true));
				note_of_role(set, get_role_oid(((RenameStmt *) parsetree)->newname, true));
			}
			break;
		default:
			break;
	}
}
