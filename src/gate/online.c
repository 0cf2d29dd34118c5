/*
 * online.c: online entries at the gate: routing a statement, and what others may not touch meanwhile; see online.h.
 *
 * Backend only.  Locking: the DDL lock for the moment in which the intent is agreed; never while the work goes on.
 */
#include "compat.h"

#include "access/xact.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "ddl/online.h"
#include "errors.h"
#include "gate/change.h"
#include "gate/online.h"
#include "gate/policy.h"
#include "online_regions.h"
#include "settings.h"
#include "store/history.h"
#include "store/task.h"

/* ---- what an online entry works on is left alone ---- */

void
sd_online_refuse(int64 version, const char *identity)
{
	SdDatabase *db = sd_shared_mine();
	SdOnlineView view;
	SdScope		scope;
	SdTask		task;
	char	   *lines = NULL;
	char	   *name = "";

	sd_store_enter(&scope);
	if (db)
	{
		sd_online_view(db, version, &view);
		lines = sd_online_lines(&view);
	}
	if (sd_task_read(version, &task))
		name = task.name;
	sd_store_leave(&scope);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("%s is being worked on by version " INT64_FORMAT " \"%s\"", identity, version, name),
			 lines ? errdetail_internal("%s", lines) : 0,
			 errhint("Wait for it: SELECT * FROM schemadrift.tasks; or take it back: SELECT schemadrift.revert(%s).", quote_literal_cstr(name))));
}

/*
 * The relations of all open online entries.  A function of the log up to the version before the change's, so it is read
 * once for all statements of a change.  After schemadrift.leave() and init() the same version is another log's.
 */
static List *
open_relations(void)
{
	static MemoryContext context = NULL;
	static int64 of_version = 0;
	static pg_uuid_t of_change;
	static List *relations = NIL;
	SdScope		scope;
	MemoryContext old;

	if (of_version == sd_change_version() && memcmp(&of_change, sd_change_entry_id(), UUID_LEN) == 0)
		return relations;
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "schemadrift open relations", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(context);
	of_version = 0;
	old = MemoryContextSwitchTo(context);
	sd_store_enter(&scope);
	relations = sd_task_relations();
	MemoryContextSwitchTo(context);
	sd_store_leave(&scope);
	MemoryContextSwitchTo(old);
	of_version = sd_change_version();
	of_change = *sd_change_entry_id();
	return relations;
}

void
sd_online_refuse_conflict(List *relations)
{
	List	   *open = open_relations();
	ListCell   *lc;
	ListCell   *other;

	foreach(lc, open)
	{
		SdTaskRelation *relation = lfirst(lc);

		foreach(other, relations)
			if (strcmp(relation->identity, lfirst(other)) == 0)
				sd_online_refuse(relation->version, relation->identity);
	}
}

void
sd_online_refuse_statement(Node *stmt)
{
	List	   *relations = NIL;

	if (!sd_change_active() || open_relations() == NIL)
		return;
	(void) sd_online_relations(stmt, &relations);
	sd_online_refuse_conflict(relations);
}

void
sd_online_refuse_reindex(ReindexStmt *stmt)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *named = NIL;
	List	   *open;
	SdScope		scope;
	bool		all = !sd_online_relations((Node *) stmt, &named);
	ListCell   *lc;
	ListCell   *other;

	sd_store_enter(&scope);
	MemoryContextSwitchTo(context);
	open = sd_task_relations();
	sd_store_leave(&scope);
	foreach(lc, open)
	{
		SdTaskRelation *relation = lfirst(lc);

		if (all)
			sd_online_refuse(relation->version, relation->identity);
		foreach(other, named)
			if (strcmp(relation->identity, lfirst(other)) == 0)
				sd_online_refuse(relation->version, relation->identity);
	}
}

/* ---- the entry ---- */

/* What is told in each exchange has room for so many. */
static void
refuse_too_many(void)
{
	SdScope		scope;
	int			n;

	sd_store_enter(&scope);
	n = list_length(sd_task_list());
	sd_store_leave(&scope);
	if (n >= SD_MAX_TASKS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("%d online migrations are under way already", n),
				 errhint("Wait for one of them: SELECT * FROM schemadrift.tasks;")));
}

void
sd_online_describe(const char *name, const char *up, const char *down, Jsonb *options, int64 target,
				   List *steps, List *relations, const SdRunAs *run_as)
{
	StringInfoData out;

	refuse_too_many();
	sd_online_refuse_conflict(relations);
	initStringInfo(&out);
	appendStringInfo(&out, "%s,\"steps\":%s,\"relations\":%s", sd_script_to_json(up, down, options, run_as),
					 sd_online_steps_json(steps), sd_online_names_json(relations));
	if (sd_online_has_plain(steps))
		appendStringInfoString(&out, ",\"plain\":1");
	sd_change_describe(SD_KIND_ONLINE, name, target, out.data, true);
}

/* ---- routing ---- */

/* Asked before the grant, so that nobody is asked in vain, and after it, when no other policy can come in between. */
static void
check_policy(Node *stmt, CommandTag tag)
{
	/* a build is taken back by dropping what it made */
	sd_gate_require_down(sd_online_kind(stmt) == SD_ONLINE_CREATE_INDEX ? "DROP INDEX" : NULL, true);
	sd_gate_check_statement(stmt, tag);
}

/*
 * The transaction that the client's statement began in becomes the one that agrees on the intent: the statement commits by
 * itself, so it is the only one in it.  Its snapshot goes first: who waits for the DDL lock or for other regions must not
 * hold up the end of a build.
 */
void
sd_online_route(PlannedStmt *pstmt, const char *query_string, bool top_level, QueryCompletion *completion)
{
	Node	   *stmt = pstmt->utilityStmt;
	CommandTag	tag = CreateCommandTag(stmt);
	const char *name = sd_online_kind(stmt) == SD_ONLINE_CREATE_INDEX ? "CREATE INDEX CONCURRENTLY" :
		sd_online_kind(stmt) == SD_ONLINE_DROP_INDEX ? "DROP INDEX CONCURRENTLY" : "ALTER TABLE ... DETACH CONCURRENTLY";
	SdCommand  *command;
	SdOnlineStep step;
	List	   *relations = NIL;
	List	   *needs;
	int64		version;
	int64		open;

	PreventInTransactionBlock(top_level, name);
	check_policy(stmt, tag);
	command = sd_capture_make(pstmt, query_string, SD_DISPOSE_COORDINATE, SD_CLASS_ALONE);
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	needs = list_make1(psprintf("role:%s", command->run_as->session_user));
	if (strcmp(command->run_as->user, command->run_as->session_user) != 0)
		needs = lappend(needs, psprintf("role:%s", command->run_as->user));
	sd_gate_require_allowed_run_as(command->run_as);
	if (sd_migration_name && sd_migration_name[0])
		sd_entry_check_name(sd_migration_name);
	sd_change_set_subject(command->tag);
	sd_change_begin(list_concat(needs, sd_classify_needs(stmt)));

	check_policy(stmt, tag);
	if (sd_online_look(stmt, &step, &relations))
	{
		sd_online_describe(NULL, command->text, NULL, NULL, 0, list_make1(&step), relations, command->run_as);
		version = sd_change_version();
		ereport(NOTICE,
				(errmsg("entry %s for version " INT64_FORMAT ": every region does it, one waits for all",
						sd_uuid_text(sd_change_entry_id()), version),
				 errdetail("SELECT * FROM schemadrift.tasks shows how far they are.")));
		open = version;
	}
	else
		open = 0;				/* nothing to do: the grant ends with the transaction */

	CommitTransactionCommand();
	if (open > 0)
		sd_online_wait(open);
	StartTransactionCommand();
	if (completion)
		SetQueryCompletion(completion, tag, 0);
}
