/*
 * probe.c: what an ALTER COLUMN TYPE does to files, tried on an empty copy; see probe.h.
 *
 * Runs in a backend, in a subtransaction that is always rolled back: with it go the copy, a temporary schema that was made
 * for it, and its locks.  The statements do not go through the utility hook, and count as parts of another statement, so that
 * no event trigger runs; the gate passes by what it sees of them while sd_probing.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "analysis/probe.h"
#include "attempt.h"

#define COPY_NAME "schemadrift probe"

bool		sd_probing = false;

static void
run(Node *stmt)
{
	PlannedStmt *wrapper = makeNode(PlannedStmt);

	wrapper->commandType = CMD_UTILITY;
	wrapper->canSetTag = false;
	wrapper->utilityStmt = stmt;
	wrapper->stmt_location = -1;
	standard_ProcessUtility(wrapper, "schemadrift probe", false, PROCESS_UTILITY_SUBCOMMAND, NULL, NULL, None_Receiver, NULL);
	CommandCounterIncrement();
}

static RangeVar *
copy_name(void)
{
	RangeVar   *name = makeRangeVar("pg_temp", COPY_NAME, -1);

	name->relpersistence = RELPERSISTENCE_TEMP;
	return name;
}

static void
make_copy(Oid table)
{
	CreateStmt *create = makeNode(CreateStmt);
	TableLikeClause *like = makeNode(TableLikeClause);

	like->relation = makeRangeVar(get_namespace_name(get_rel_namespace(table)), get_rel_name(table), -1);
	/* nothing that no ALTER COLUMN TYPE looks at */
	like->options = CREATE_TABLE_LIKE_ALL & ~(CREATE_TABLE_LIKE_COMMENTS | CREATE_TABLE_LIKE_STATISTICS | CREATE_TABLE_LIKE_IDENTITY);
	create->relation = copy_name();
	create->tableElts = list_make1(like);
	create->oncommit = ONCOMMIT_NOOP;
	run((Node *) create);
}

static List *
indexes_of(Oid table)
{
	Relation	relation = table_open(table, NoLock);
	List	   *indexes = RelationGetIndexList(relation);

	table_close(relation, NoLock);
	return indexes;
}

/* LIKE makes them in the order of the table's, which is that of their OIDs. */
static void
drop_indexes(Oid table, Oid copy, List *gone)
{
	List	   *of_table = indexes_of(table);
	List	   *of_copy = indexes_of(copy);
	ListCell   *theirs;
	ListCell   *ours;

	if (list_length(of_table) != list_length(of_copy))
		elog(ERROR, "its copy has other indexes");
	forboth(theirs, of_table, ours, of_copy)
	{
		ObjectAddress address;
		Oid			constraint;

		if (!list_member_oid(gone, lfirst_oid(theirs)))
			continue;
		constraint = get_index_constraint(lfirst_oid(ours));
		if (OidIsValid(constraint))
			ObjectAddressSet(address, ConstraintRelationId, constraint);
		else
			ObjectAddressSet(address, RelationRelationId, lfirst_oid(ours));
		performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	}
	CommandCounterIncrement();
}

typedef struct Files
{
	Oid			table;
	List	   *indexes;		/* of Oid */
	int64		scans;
} Files;

static Oid
file_of(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			file = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		file = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
		ReleaseSysCache(tuple);
	}
	return file;
}

static void
look_at_files(Oid copy, Files *files)
{
	Relation	relation = table_open(copy, NoLock);
	ListCell   *cell;

	files->table = file_of(copy);
	files->indexes = NIL;
	foreach(cell, RelationGetIndexList(relation))
		files->indexes = lappend_oid(files->indexes, file_of(lfirst_oid(cell)));
	table_close(relation, NoLock);
	files->scans = DatumGetInt64(DirectFunctionCall1(pg_stat_get_xact_numscans, ObjectIdGetDatum(copy)));
}

static void
alter_copy(List *commands)
{
	AlterTableStmt *alter = makeNode(AlterTableStmt);

	alter->relation = copy_name();
	alter->cmds = copyObject(commands);
	alter->objtype = OBJECT_TABLE;
	run((Node *) alter);
}

static SdProbed
try_it(AlterTableCmd *command)
{
	Oid			copy = RangeVarGetRelid(copy_name(), NoLock, false);
	Files		before;
	Files		after;

	look_at_files(copy, &before);
	alter_copy(list_make1(command));
	look_at_files(copy, &after);
	if (after.table != before.table)
		return SD_PROBED_REWRITE;
	if (list_difference_oid(after.indexes, before.indexes) != NIL)
		return SD_PROBED_INDEXES;
	return after.scans > before.scans ? SD_PROBED_SCAN : SD_PROBED_NOTHING;
}

/* NULL: it can be made */
static char *
why_not(SdThing *table)
{
	if (RecoveryInProgress())
		return "this server is a standby";
	if (XactReadOnly)
		return "the transaction is read-only";
	if (InSecurityRestrictedOperation())
		return "no temporary table can be made here";
	if (!sd_compat_may_make_temporary(MyDatabaseId, GetUserId()))
		return "you may not make temporary tables";
	if (pg_class_aclcheck(table->oid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return "you may not read the table";
	if (!pgstat_track_counts)
		return "track_counts is off";
	if (table->temporary || (table->kind != RELKIND_RELATION && table->kind != RELKIND_PARTITIONED_TABLE))
		return "it is no ordinary table";
	return NULL;
}

typedef struct Trial
{
	SdThing    *table;
	List	   *gone;
	List	   *before;
	AlterTableCmd *command;
	SdProbe    *probe;
	bool		copied;
} Trial;

static void
probe_copy(void *arg)
{
	Trial	   *trial = arg;

	if (!ConditionalLockRelationOid(trial->table->oid, AccessShareLock))
	{
		trial->probe->not_made = "somebody holds the table exclusively";
		return;
	}
	make_copy(trial->table->oid);
	if (trial->gone)
		drop_indexes(trial->table->oid, RangeVarGetRelid(copy_name(), NoLock, false), trial->gone);
	trial->copied = true;
	if (trial->before)
		alter_copy(trial->before);
	trial->probe->seen = try_it(trial->command);
}

void
sd_probe(SdThing *table, List *gone, List *before, AlterTableCmd *command, SdProbe *probe)
{
	Trial		trial = {.table = table,.gone = gone,.before = before,.command = command,.probe = probe};
	bool		had_temporary = (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) != 0;
	ErrorData  *volatile error = NULL;

	memset(probe, 0, sizeof(*probe));
	probe->not_made = why_not(table);
	if (probe->not_made)
		return;
	sd_probing = true;
	PG_TRY();
	{
		error = sd_attempt(probe_copy, &trial, false);
	}
	PG_FINALLY();
	{
		sd_probing = false;
	}
	PG_END_TRY();
	/* nothing temporary was left, so that the transaction may still be prepared */
	if (!had_temporary)
		MyXactFlags &= ~XACT_FLAGS_ACCESSEDTEMPNAMESPACE;
	if (error && trial.copied)
	{
		probe->error = error->message;
		probe->sqlerrcode = error->sqlerrcode;
	}
	else if (error)
		probe->not_made = error->message;
}
