/*
 * classify.c: what a statement is for the gate, decided before it runs.
 *
 * Runs in a backend, in the utility hook, before any lock on a user's object; takes none itself.
 *
 * PostgreSQL's own GetCommandLogLevel() says what DDL is, so that a statement kind of a newer server is coordinated
 * until somebody decides otherwise.  On top of it: the local class (one list by kind of object, which the digest
 * uses too, and the maintenance statements), what cannot be the same everywhere, what commits by itself, and where
 * the named objects live (targets.c).
 */
#include "compat.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_largeobject_metadata.h"
#include "catalog/pg_parameter_acl.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_namespace.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_tablespace.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "tcop/utility.h"

#include "ddl/capture.h"
#include "ddl/classify.h"
#include "ddl/moment.h"
#include "ddl/own_oid.h"
#include "ddl/targets.h"
#include "errors.h"

/*
 * The local class by kind of object.  Other rules of the local class: LOCAL in classify_by_kind() below (maintenance,
 * sequence values, options of foreign servers), temporary objects, schemadrift's own, the policy's patterns.
 */
static const struct
{
	ObjectType	type;
	Oid			catalog;
}			local_objects[] =
{
	{OBJECT_DATABASE, DatabaseRelationId},
	{OBJECT_TABLESPACE, TableSpaceRelationId},
	{OBJECT_ROLE, AuthIdRelationId},
	{OBJECT_PARAMETER_ACL, ParameterAclRelationId},
	{OBJECT_PUBLICATION, PublicationRelationId},
	{OBJECT_PUBLICATION_REL, PublicationRelRelationId},
	{OBJECT_PUBLICATION_NAMESPACE, PublicationNamespaceRelationId},
	{OBJECT_SUBSCRIPTION, SubscriptionRelationId},
	{OBJECT_USER_MAPPING, UserMappingRelationId},
	{OBJECT_LARGEOBJECT, LargeObjectMetadataRelationId},	/* contents, not schema */
};

bool
sd_is_local_object_type(ObjectType type)
{
	for (size_t i = 0; i < lengthof(local_objects); i++)
	{
		if (local_objects[i].type == type)
			return true;
	}
	return false;
}

bool
sd_is_local_catalog(Oid class_id)
{
	for (size_t i = 0; i < lengthof(local_objects); i++)
	{
		if (local_objects[i].catalog == class_id)
			return true;
	}
	return false;
}

const char *
sd_class_name(SdStatementClass class)
{
	switch (class)
	{
		case SD_CLASS_NOT_DDL:
			return "not DDL";
		case SD_CLASS_LOCAL:
			return "local";
		case SD_CLASS_TEMPORARY:
			return "temporary";
		case SD_CLASS_COORDINATED:
			return "coordinated";
		case SD_CLASS_REFUSED:
			return "refused";
		case SD_CLASS_ALONE:
			return "alone";
	}
	elog(ERROR, "unrecognized statement class: %d", (int) class);
}

static void
refuse(SdVerdict *verdict, SdStatementClass class, const char *reason, const char *hint)
{
	verdict->class = class;
	verdict->reason = reason;
	verdict->hint = hint;
}

/* the kind of object that a statement is about, where its class can depend on that alone */
static bool
object_type_of(Node *stmt, ObjectType *type)
{
	switch (nodeTag(stmt))
	{
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_AlterDatabaseStmt:
		case T_AlterDatabaseRefreshCollStmt:
		case T_AlterDatabaseSetStmt:
			*type = OBJECT_DATABASE;
			return true;
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
		case T_AlterTableSpaceOptionsStmt:
			*type = OBJECT_TABLESPACE;
			return true;
		case T_CreateRoleStmt:
		case T_AlterRoleStmt:
		case T_AlterRoleSetStmt:
		case T_DropRoleStmt:
		case T_GrantRoleStmt:
			*type = OBJECT_ROLE;
			return true;
		case T_CreatePublicationStmt:
		case T_AlterPublicationStmt:
			*type = OBJECT_PUBLICATION;
			return true;
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
		case T_DropSubscriptionStmt:
			*type = OBJECT_SUBSCRIPTION;
			return true;
		case T_CreateUserMappingStmt:
		case T_AlterUserMappingStmt:
		case T_DropUserMappingStmt:
			*type = OBJECT_USER_MAPPING;
			return true;
		case T_GrantStmt:
			*type = ((GrantStmt *) stmt)->objtype;
			return true;
		case T_DropStmt:
			*type = ((DropStmt *) stmt)->removeType;
			return true;
		case T_RenameStmt:
			*type = ((RenameStmt *) stmt)->renameType;
			return true;
		case T_AlterOwnerStmt:
			*type = ((AlterOwnerStmt *) stmt)->objectType;
			return true;
		case T_CommentStmt:
			*type = ((CommentStmt *) stmt)->objtype;
			return true;
		case T_SecLabelStmt:
			*type = ((SecLabelStmt *) stmt)->objtype;
			return true;
		default:
			return false;
	}
}

static bool
only_restarts(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "restart") != 0)
			return false;
	}
	return options != NIL;
}

/* is every subcommand of this ALTER TABLE a RESTART of an identity column? */
static bool
alters_only_values(AlterTableStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, cell);

		if (cmd->subtype != AT_SetIdentity || !only_restarts((List *) cmd->def))
			return false;
	}
	return stmt->cmds != NIL;
}

/* storage of our own tables is the administrator's business, as autovacuum's settings are */
static bool
alters_only_storage(Node *stmt)
{
	ListCell   *cell;

	if (!IsA(stmt, AlterTableStmt))
		return false;
	foreach(cell, ((AlterTableStmt *) stmt)->cmds)
	{
		switch (lfirst_node(AlterTableCmd, cell)->subtype)
		{
			case AT_SetRelOptions:
			case AT_ResetRelOptions:
			case AT_SetStatistics:
			case AT_SetTableSpace:
				break;
			default:
				return false;
		}
	}
	return true;
}

static void
classify_alter_table(AlterTableStmt *stmt, SdVerdict *verdict)
{
	ListCell   *cell;

	if (alters_only_values(stmt))
	{
		verdict->class = SD_CLASS_LOCAL;
		return;
	}
	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, cell);

		if (cmd->subtype == AT_DetachPartition && cmd->def && IsA(cmd->def, PartitionCmd) &&
			((PartitionCmd *) cmd->def)->concurrent)
			refuse(verdict, SD_CLASS_ALONE,
				   "DETACH PARTITION CONCURRENTLY commits by itself in the middle, so it cannot be agreed as one change.",
				   "Run it by itself outside a transaction block, or CALL schemadrift.apply_online(name, text); "
				   "or use DETACH PARTITION without CONCURRENTLY.");
		else if (cmd->subtype == AT_DetachPartitionFinalize)
			refuse(verdict, SD_CLASS_ALONE,
				   "DETACH PARTITION ... FINALIZE waits for old snapshots, so it cannot be agreed as one change.",
				   "Run it by itself outside a transaction block, or CALL schemadrift.apply_online(name, text).");
	}
}

static void
classify_create_as(IntoClause *into, Node *query, ObjectType type, SdVerdict *verdict)
{
	if (query && IsA(query, Query) && ((Query *) query)->commandType == CMD_UTILITY &&
		IsA(((Query *) query)->utilityStmt, ExecuteStmt))
		refuse(verdict, SD_CLASS_REFUSED,
			   "The prepared statement that it executes exists in this session only.",
			   "Write the query into the statement itself.");
	else if (type == OBJECT_TABLE && !into->skipData)
		refuse(verdict, SD_CLASS_REFUSED,
			   "The rows would be computed by each region from its own data.",
			   "Use CREATE TABLE ... AS ... WITH NO DATA, then fill the table with INSERT.");
}

static void
classify_server_options(AlterForeignServerStmt *stmt, SdVerdict *verdict)
{
	if (stmt->options == NIL)
		return;
	if (stmt->has_version)
		refuse(verdict, SD_CLASS_REFUSED,
			   "Options of foreign servers belong to a region, the version of a server to the group.",
			   "Use one ALTER SERVER for VERSION and another for OPTIONS.");
	else
		verdict->class = SD_CLASS_LOCAL;
}

/* SET x FROM CURRENT takes a value of this session, which is known elsewhere only for settings that are captured */
static void
classify_function_settings(List *options, SdVerdict *verdict)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "set") == 0 && castNode(VariableSetStmt, option->arg)->kind == VAR_SET_CURRENT &&
			!sd_capture_takes_setting(castNode(VariableSetStmt, option->arg)->name))
			refuse(verdict, SD_CLASS_REFUSED,
				   "SET ... FROM CURRENT takes a value that this session has and the other regions do not know.",
				   "Write the value: SET name TO value.");
	}
}

/* CREATE, ALTER and DROP EXTENSION schemadrift; COMMENT on it */
static bool
is_own_extension(Node *stmt)
{
	const char *name = NULL;
	ListCell   *cell;

	switch (nodeTag(stmt))
	{
		case T_CreateExtensionStmt:
			name = ((CreateExtensionStmt *) stmt)->extname;
			break;
		case T_AlterExtensionStmt:
			name = ((AlterExtensionStmt *) stmt)->extname;
			break;
		case T_AlterExtensionContentsStmt:
			name = ((AlterExtensionContentsStmt *) stmt)->extname;
			break;
		case T_AlterObjectSchemaStmt:
			if (((AlterObjectSchemaStmt *) stmt)->objectType == OBJECT_EXTENSION)
				name = strVal(((AlterObjectSchemaStmt *) stmt)->object);
			break;
		case T_DropStmt:
			if (((DropStmt *) stmt)->removeType == OBJECT_EXTENSION)
			{
				/* with others in one statement it is left to the check of targets, which refuses the mixture */
				foreach(cell, ((DropStmt *) stmt)->objects)
				{
					name = strVal(lfirst(cell));
					if (strcmp(name, "schemadrift") != 0)
						return false;
				}
			}
			break;
		default:
			break;
	}
	return name && strcmp(name, "schemadrift") == 0;
}

bool
sd_classify_drops_own(Node *stmt)
{
	return IsA(stmt, DropStmt) && is_own_extension(stmt);
}

bool
sd_classify_updates_own(Node *stmt)
{
	return IsA(stmt, AlterExtensionStmt) && is_own_extension(stmt);
}

/* constants that would be others in each region */
static void
classify_constants(Node *stmt, SdVerdict *verdict)
{
	const char *reason;
	const char *hint;

	if ((reason = sd_moment_reason(stmt, &hint)) != NULL || (reason = sd_own_oid_reason(stmt, &hint)) != NULL)
		refuse(verdict, SD_CLASS_REFUSED, reason, hint);
}

/* what the kind of statement alone says; leaves COORDINATED where the objects have a say */
static void
classify_by_kind(Node *stmt, SdVerdict *verdict)
{
	ObjectType	type;

	if (object_type_of(stmt, &type) && sd_is_local_object_type(type))
	{
		verdict->class = SD_CLASS_LOCAL;
		return;
	}
	classify_constants(stmt, verdict);
	switch (nodeTag(stmt))
	{
			/* maintenance: the same schema before and after */
		case T_VacuumStmt:
		case T_ReindexStmt:
		case T_ClusterStmt:
		case T_RefreshMatViewStmt:
		case T_TruncateStmt:
		case T_LockStmt:
		case T_AlterSystemStmt:
		case T_AlterCollationStmt:	/* REFRESH VERSION: of this machine's library */
			verdict->class = SD_CLASS_LOCAL;
			break;

		case T_AlterSeqStmt:
			if (only_restarts(((AlterSeqStmt *) stmt)->options))
				verdict->class = SD_CLASS_LOCAL;
			break;

		case T_AlterForeignServerStmt:
			classify_server_options((AlterForeignServerStmt *) stmt, verdict);
			break;

		case T_AlterTableStmt:
			classify_alter_table((AlterTableStmt *) stmt, verdict);
			break;

		case T_IndexStmt:
			if (((IndexStmt *) stmt)->concurrent)
				refuse(verdict, SD_CLASS_ALONE,
					   "CREATE INDEX CONCURRENTLY commits by itself in the middle, so it cannot be agreed as one change.",
					   "Run it by itself outside a transaction block, or CALL schemadrift.apply_online(name, text); "
				   "or use CREATE INDEX without CONCURRENTLY.");
			break;

		case T_DropStmt:
			if (((DropStmt *) stmt)->concurrent)
				refuse(verdict, SD_CLASS_ALONE,
					   "DROP INDEX CONCURRENTLY commits by itself in the middle, so it cannot be agreed as one change.",
					   "Run it by itself outside a transaction block, or CALL schemadrift.apply_online(name, text); "
				   "or use DROP INDEX without CONCURRENTLY.");
			break;

		case T_CreateTableAsStmt:
			classify_create_as(((CreateTableAsStmt *) stmt)->into, ((CreateTableAsStmt *) stmt)->query,
							   ((CreateTableAsStmt *) stmt)->objtype, verdict);
			break;
		case T_SelectStmt:
			if (((SelectStmt *) stmt)->intoClause)
				classify_create_as(((SelectStmt *) stmt)->intoClause, NULL, OBJECT_TABLE, verdict);
			break;

		case T_ExplainStmt:
			refuse(verdict, SD_CLASS_REFUSED,
				   "EXPLAIN ANALYZE runs the statement that it explains.",
				   "Use EXPLAIN without ANALYZE, or create a temporary table.");
			break;

		case T_CreateFunctionStmt:
			classify_function_settings(((CreateFunctionStmt *) stmt)->options, verdict);
			break;
		case T_AlterFunctionStmt:
			classify_function_settings(((AlterFunctionStmt *) stmt)->actions, verdict);
			break;

		case T_ImportForeignSchemaStmt:
			refuse(verdict, SD_CLASS_REFUSED,
				   "What it makes depends on what the foreign server holds when a region asks it.",
				   "Write out the CREATE FOREIGN TABLE statements.");
			break;

		case T_AlterTableMoveAllStmt:
			refuse(verdict, SD_CLASS_REFUSED,
				   "Which objects lie in a tablespace differs between regions.",
				   "Name the objects: ALTER TABLE ... SET TABLESPACE.");
			break;

		default:
			break;
	}
}

/* what the objects say, where the kind said "coordinated", "refused" or "alone" */
static void
classify_by_targets(Node *stmt, int targets, SdVerdict *verdict)
{
	int			mixture = targets;

	if (targets == SD_TARGET_TEMPORARY)
	{
		verdict->class = SD_CLASS_TEMPORARY;
		verdict->reason = verdict->hint = NULL;
	}
	else if (targets == SD_TARGET_LOCAL)
	{
		verdict->class = SD_CLASS_LOCAL;
		verdict->reason = verdict->hint = NULL;
	}
	else if (targets == SD_TARGET_OWN)
	{
		if (IsA(stmt, GrantStmt) || IsA(stmt, CommentStmt) || IsA(stmt, SecLabelStmt) || alters_only_storage(stmt))
			verdict->class = SD_CLASS_LOCAL;
		else
			refuse(verdict, SD_CLASS_REFUSED,
				   "The objects of schemadrift itself are changed by ALTER EXTENSION schemadrift UPDATE only.",
				   "Put objects of your own into another schema.");
	}
	else if (targets != SD_TARGET_ORDINARY)
	{
		if (mixture & SD_TARGET_OWN)
			refuse(verdict, SD_CLASS_REFUSED,
				   "It names objects of schemadrift itself beside others.",
				   "Leave the objects of schemadrift out.");
		else if (mixture & SD_TARGET_TEMPORARY)
			refuse(verdict, SD_CLASS_REFUSED,
				   "It names temporary objects of this session beside others.",
				   "Use one statement for the temporary objects and another for the rest.");
		else
			refuse(verdict, SD_CLASS_REFUSED,
				   "It names objects that the group's policy calls local beside others.",
				   "Use one statement for the local objects and another for the rest.");
	}
}

/* the statement that an EXPLAIN would run */
static Node *
explained_statement(ExplainStmt *stmt)
{
	Node	   *query = stmt->query;

	if (query && IsA(query, Query) && ((Query *) query)->commandType == CMD_UTILITY)
		return ((Query *) query)->utilityStmt;
	return query;
}

void
sd_classify(Node *stmt, SdIsLocalName is_local, SdVerdict *verdict)
{
	int			targets;

	memset(verdict, 0, sizeof(*verdict));
	verdict->tag = CreateCommandTag(stmt);
	verdict->class = GetCommandLogLevel(stmt) == LOGSTMT_DDL ? SD_CLASS_COORDINATED : SD_CLASS_NOT_DDL;

	if (is_own_extension(stmt))
	{
		verdict->class = SD_CLASS_LOCAL;
		return;
	}
	if (verdict->class == SD_CLASS_NOT_DDL)
	{
		/* TRUNCATE, VACUUM, REINDEX and LOCK are local, not nothing: the digest and people ask for the difference */
		if (IsA(stmt, TruncateStmt) || IsA(stmt, VacuumStmt) || IsA(stmt, ReindexStmt) || IsA(stmt, LockStmt))
			verdict->class = SD_CLASS_LOCAL;
		return;
	}
	classify_by_kind(stmt, verdict);
	if (verdict->class == SD_CLASS_LOCAL)
		return;
	if (IsA(stmt, ExplainStmt))
	{
		Node	   *explained = explained_statement((ExplainStmt *) stmt);

		targets = IsA(explained, CreateTableAsStmt) ? sd_targets_of(explained, is_local) : SD_TARGET_ORDINARY;
	}
	else
		targets = sd_targets_of(stmt, is_local);
	classify_by_targets(stmt, targets, verdict);
}

void
sd_classify_refuse(const SdVerdict *verdict)
{
	Assert(verdict->class == SD_CLASS_REFUSED || verdict->class == SD_CLASS_ALONE);
	ereport(ERROR,
			(errcode(SD_ERRCODE_CANNOT_COORDINATE),
			 errmsg("%s cannot be coordinated in this form", GetCommandTagName(verdict->tag)),
			 errdetail_internal("%s", verdict->reason),
			 errhint("%s", verdict->hint)));
}

void
sd_classify_refuse_alone(Node *stmt)
{
	SdVerdict	verdict = {.tag = CreateCommandTag(stmt), .class = SD_CLASS_COORDINATED};

	classify_by_kind(stmt, &verdict);
	if (verdict.class == SD_CLASS_ALONE)
		sd_classify_refuse(&verdict);
}

void
sd_classify_refuse_for_good(Node *stmt, SdIsLocalName is_local)
{
	SdVerdict	verdict = {.class = SD_CLASS_COORDINATED};

	classify_by_kind(stmt, &verdict);
	if (verdict.class != SD_CLASS_REFUSED)
		return;
	/* it may be none of the group's, for what it names */
	sd_classify(stmt, is_local, &verdict);
	if (verdict.class == SD_CLASS_REFUSED)
		sd_classify_refuse(&verdict);
}

void
sd_classify_refuse_constants(Node *stmt)
{
	SdVerdict	verdict = {.tag = CreateCommandTag(stmt), .class = SD_CLASS_COORDINATED};

	classify_constants(stmt, &verdict);
	if (verdict.class == SD_CLASS_REFUSED)
		sd_classify_refuse(&verdict);
}

static bool
has_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, name) == 0)
			return true;
	}
	return false;
}

bool
sd_classify_needs_no_block(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_VacuumStmt:
			return ((VacuumStmt *) stmt)->is_vacuumcmd;
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
		case T_AlterSystemStmt:
			return true;
		case T_AlterDatabaseStmt:
			return has_option(((AlterDatabaseStmt *) stmt)->options, "tablespace");
		case T_ReindexStmt:
			return ((ReindexStmt *) stmt)->relation == NULL ||
				has_option(((ReindexStmt *) stmt)->params, "concurrently");
		case T_ClusterStmt:
			return ((ClusterStmt *) stmt)->relation == NULL;
		case T_DiscardStmt:
			return ((DiscardStmt *) stmt)->target == DISCARD_ALL;
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
		case T_DropSubscriptionStmt:
			return true;		/* depending on the slot: too much to know beforehand */
		default:
			return false;
	}
}
