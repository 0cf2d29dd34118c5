/*
 * noop.c: statements that may turn out to have done nothing.
 *
 * Runs in a backend under the DDL lock, just before the statement, so that nothing coordinated can change what it sees; takes
 * no lock itself.
 *
 * A no-op must not become an entry: tools run CREATE TABLE IF NOT EXISTS at every start, and nobody wants a version
 * for each.  Whether a statement did something is told by object accesses, and these are reliable where core
 * returns early on IF EXISTS and IF NOT EXISTS; elsewhere they are not, so there the statement counts.
 */
#include "compat.h"

#include "catalog/pg_enum.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/syscache.h"

#include "ddl/classify.h"
#include "ddl/targets.h"

static bool
alter_table_may_be_noop(AlterTableStmt *stmt)
{
	ListCell   *cell;

	/* asked under the DDL lock, so that no relation can turn up before the statement looks */
	if (stmt->missing_ok && !OidIsValid(sd_target_relation(stmt->relation)))
		return true;

	/*
	 * One subcommand without IF EXISTS and the statement counts: row security and REPLICA IDENTITY, for example,
	 * make no object access.
	 */
	foreach(cell, stmt->cmds)
	{
		if (!lfirst_node(AlterTableCmd, cell)->missing_ok)
			return false;
	}
	return stmt->cmds != NIL;
}

/* PostgreSQL reports an access to the type even where ADD VALUE IF NOT EXISTS found the label, so look for it */
static bool
enum_label_exists(AlterEnumStmt *stmt)
{
	Oid			type = LookupTypeNameOid(NULL, makeTypeNameFromNameList(stmt->typeName), true);

	return OidIsValid(type) &&
		SearchSysCacheExists2(ENUMTYPOIDNAME, ObjectIdGetDatum(type), CStringGetDatum(stmt->newVal));
}

SdNoop
sd_classify_noop(Node *stmt)
{
	bool		may_be = false;

	switch (nodeTag(stmt))
	{
		case T_AlterEnumStmt:
			if (((AlterEnumStmt *) stmt)->skipIfNewValExists && enum_label_exists((AlterEnumStmt *) stmt))
				return SD_NOOP_CERTAIN;
			return SD_NOOP_NEVER;
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			may_be = ((CreateStmt *) stmt)->if_not_exists;
			break;
		case T_CreateTableAsStmt:
			may_be = ((CreateTableAsStmt *) stmt)->if_not_exists;
			break;
		case T_CreateSeqStmt:
			may_be = ((CreateSeqStmt *) stmt)->if_not_exists;
			break;
		case T_CreateSchemaStmt:
			may_be = ((CreateSchemaStmt *) stmt)->if_not_exists;
			break;
		case T_CreateExtensionStmt:
			may_be = ((CreateExtensionStmt *) stmt)->if_not_exists;
			break;
		case T_AlterExtensionStmt:	/* UPDATE to the version that it has */
			may_be = true;
			break;
		case T_CreateForeignServerStmt:
			may_be = ((CreateForeignServerStmt *) stmt)->if_not_exists;
			break;
		case T_CreateStatsStmt:
			may_be = ((CreateStatsStmt *) stmt)->if_not_exists;
			break;
		case T_DefineStmt:
			may_be = ((DefineStmt *) stmt)->if_not_exists;
			break;
		case T_IndexStmt:
			may_be = ((IndexStmt *) stmt)->if_not_exists;
			break;
		case T_DropRoleStmt:
			may_be = ((DropRoleStmt *) stmt)->missing_ok;
			break;
		case T_DropStmt:
			may_be = ((DropStmt *) stmt)->missing_ok;
			break;
		case T_RenameStmt:
			may_be = ((RenameStmt *) stmt)->missing_ok;
			break;
		case T_AlterObjectSchemaStmt:
			may_be = ((AlterObjectSchemaStmt *) stmt)->missing_ok;
			break;
		case T_AlterSeqStmt:
			may_be = ((AlterSeqStmt *) stmt)->missing_ok;
			break;
		case T_AlterStatsStmt:
			may_be = ((AlterStatsStmt *) stmt)->missing_ok;
			break;
		case T_AlterDomainStmt:
			may_be = ((AlterDomainStmt *) stmt)->missing_ok;
			break;
		case T_AlterTSConfigurationStmt:
			may_be = ((AlterTSConfigurationStmt *) stmt)->missing_ok;
			break;
		case T_AlterTableStmt:
			may_be = alter_table_may_be_noop((AlterTableStmt *) stmt);
			break;
		default:
			break;
	}
	return may_be ? SD_NOOP_POSSIBLE : SD_NOOP_NEVER;
}
