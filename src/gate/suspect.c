/*
 * suspect.c: changes of the catalogs that the gate does not look at; see suspect.h.
 *
 * Runs in every backend.  A query that changes nothing pays for one comparison, one that changes rows for one more a table.
 * Takes SdDatabase.lock, after the commit of a transaction that is suspected.  One that is prepared is remembered there by its
 * xid, until the verify worker sees that none so old is prepared any more (worker/verify.c): meanwhile each COMMIT PREPARED is
 * suspected.  After a start of the server each transaction is that was prepared before it.
 */
#include "compat.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "tcop/utility.h"

#include "ddl/capture.h"
#include "ddl/describe.h"
#include "ddl/place.h"
#include "ddl/script.h"
#include "ddl/targets.h"
#include "gate/catalog.h"
#include "gate/history.h"
#include "gate/running.h"
#include "gate/suspect.h"
#include "shared.h"

static ExecutorStart_hook_type previous_start = NULL;
static bool noted = false;
static bool noted_elsewhere = false;
static bool noted_failed = false;

static void
have_looked_at(SdDatabase *db)
{
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->verify_called++;
	LWLockRelease(&db->lock);
	sd_shared_wake(db);
}

static void
remember_prepared(bool elsewhere)
{
	SdDatabase *mine = sd_shared_mine();
	TransactionId xid = GetTopTransactionIdIfAny();
	TransactionId before;

	if (mine == NULL || !TransactionIdIsValid(xid))
		return;
	before = xid;
	TransactionIdAdvance(before);
	LWLockAcquire(&mine->lock, LW_EXCLUSIVE);
	if (!TransactionIdIsValid(mine->prepared_before) || TransactionIdPrecedes(mine->prepared_before, before))
		mine->prepared_before = before;
	mine->prepared_notes++;
	mine->prepared_elsewhere |= elsewhere;
	LWLockRelease(&mine->lock);
}

/* Nothing here can fail: it runs in the commit callback.  A slot that no database has is made anew when one takes it. */
static void
at_end(XactEvent event, void *arg)
{
	SdDatabase *mine;
	bool		here = event == XACT_EVENT_ABORT ? noted_failed : noted;
	bool		elsewhere = noted_elsewhere && event == XACT_EVENT_COMMIT;

	(void) arg;
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (event == XACT_EVENT_PREPARE && (noted || noted_elsewhere))
		remember_prepared(noted_elsewhere);
	noted = noted_elsewhere = noted_failed = false;
	if ((!here && !elsewhere) || event == XACT_EVENT_PREPARE)
		return;
	mine = sd_shared_mine();
	if (here && mine)
		have_looked_at(mine);
	for (int i = 0; elsewhere && i < sd_shared->n_databases; i++)
		if (sd_shared_slot(i) != mine)
			have_looked_at(sd_shared_slot(i));
}

static void
note(bool *what)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(at_end, NULL);
	registered = true;
	*what = true;
}

void
sd_suspect_note(void)
{
	note(&noted);
}

void
sd_suspect_note_failed(void)
{
	note(&noted_failed);
}

void
sd_suspect_note_elsewhere(void)
{
	note(&noted_elsewhere);
}

void
sd_suspect_commit_prepared(void)
{
	SdDatabase *mine = sd_shared_mine();
	bool		here;
	bool		elsewhere;

	if (mine == NULL)
		return;
	LWLockAcquire(&mine->lock, LW_SHARED);
	here = !mine->prepared_known || TransactionIdIsValid(mine->prepared_before);
	elsewhere = here && (!mine->prepared_known || mine->prepared_elsewhere);
	LWLockRelease(&mine->lock);
	if (here)
		sd_suspect_note();
	if (elsewhere)
		sd_suspect_note_elsewhere();
}

void
sd_suspect_object(Oid class_id, Oid object_id)
{
	const Oid  *catalogs;
	int			n = sd_described_catalogs(&catalogs);

	/* it drops what sessions that crashed left in their temporary schemas */
	if (noted || MyBackendType == B_AUTOVAC_WORKER)
		return;
	for (int i = 0; i < n; i++)
	{
		if (catalogs[i] != class_id)
			continue;
		switch (sd_place_of(class_id, object_id))
		{
			case SD_PLACE_TEMPORARY:
			case SD_PLACE_WITH_TABLE:	/* of a temporary one, mostly: they go at the end of every session */
				break;
			case SD_PLACE_UNKNOWN:	/* it is being made */
			case SD_PLACE_ORDINARY:
			case SD_PLACE_OTHER:
				sd_suspect_note();
				break;
		}
		return;
	}
}

/* The script of an extension, an event trigger: it comes with the statement wherever that is run. */
static bool
is_part_of_statement(void)
{
	return sd_running_statement() && sd_running_statement()->owns_inner;
}

static pg_noinline void
look_at_catalog(Oid catalog, CommandTag tag)
{
	/* of a text it is what all regions do, but nobody can tell what it is about */
	if (sd_executing() != SD_EXECUTING_NOTHING || is_part_of_statement())
	{
		sd_touched_everything(sd_capture_touched());
		return;
	}
	sd_suspect_note();
	/* our own extension's script */
	if (!creating_extension)
		sd_catalog_note(catalog, tag);
}

static pg_noinline void
look_at_targets(const QueryDesc *query)
{
	ListCell   *cell;

	foreach(cell, query->plannedstmt->resultRelations)
	{
		Oid			relation = rt_fetch(lfirst_int(cell), query->plannedstmt->rtable)->relid;

		if (relation >= FirstNormalObjectId)
			sd_history_before_write(relation);
		else
			look_at_catalog(relation, CreateCommandTag((Node *) query->plannedstmt));
	}
}

void
sd_suspect_before_copy(const CopyStmt *stmt)
{
	Oid			relation = stmt->is_from && stmt->relation ? sd_target_relation(stmt->relation) : InvalidOid;

	if (relation >= FirstNormalObjectId)
		sd_history_before_write(relation);
	else if (OidIsValid(relation))
		look_at_catalog(relation, CMDTAG_COPY);
}

static void
start(QueryDesc *query, int flags)
{
	if (unlikely(query->plannedstmt->resultRelations != NIL && (flags & EXEC_FLAG_EXPLAIN_ONLY) == 0))
		look_at_targets(query);
	if (previous_start)
		previous_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

void
sd_suspect_init(void)
{
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = start;
}
