/*
 * past.c: C code as another extension may have it, which changes the schema behind ProcessUtility_hook; for t/247_past_hooks.pl,
 * which compiles it.  Nothing here is part of schemadrift.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/tablecmds.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(past_define);
PG_FUNCTION_INFO_V1(past_drop);
PG_FUNCTION_INFO_V1(past_not_null);
PG_FUNCTION_INFO_V1(past_comment);

/* a table: the object access hook hears of it */
Datum
past_define(PG_FUNCTION_ARGS)
{
	CreateStmt *statement = makeNode(CreateStmt);

	statement->relation = makeRangeVar("public", text_to_cstring(PG_GETARG_TEXT_PP(0)), -1);
	statement->tableElts = list_make1(makeColumnDef("a", INT4OID, -1, InvalidOid));
	statement->oncommit = ONCOMMIT_NOOP;
	DefineRelation(statement, RELKIND_RELATION, GetUserId(), NULL, NULL);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

/* and of its end */
Datum
past_drop(PG_FUNCTION_ARGS)
{
	ObjectAddress table = {RelationRelationId, PG_GETARG_OID(0), 0};

	performDeletion(&table, DROP_RESTRICT, 0);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

/* a row of a catalog: nothing hears of that */
Datum
past_not_null(PG_FUNCTION_ARGS)
{
	Oid			table = PG_GETARG_OID(0);
	Relation	catalog = table_open(AttributeRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopyAttName(table, text_to_cstring(PG_GETARG_TEXT_PP(1)));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "there is no such column");
	((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull = PG_GETARG_BOOL(2);
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(table);
	PG_RETURN_VOID();
}

/* nor of this */
Datum
past_comment(PG_FUNCTION_ARGS)
{
	CreateComments(PG_GETARG_OID(0), RelationRelationId, 0, PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}
