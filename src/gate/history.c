/*
 * history.c: rows of migration tools' histories; see history.h.
 *
 * Runs in backends.  Whether a table is a tool's history is decided once a table and session: a slot of a small array says "this
 * one is not", so that an ordinary statement pays for two comparisons.  Slots are emptied when a table or schema changes, and when
 * the policy says something else about it, which the coordinator tells by a number in shared memory.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/inval.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl/capture.h"
#include "ddl/classify.h"
#include "ddl/history_rows.h"
#include "ddl/history_tables.h"
#include "ddl/script.h"
#include "ddl/targets.h"
#include "errors.h"
#include "gate/change.h"
#include "gate/history.h"
#include "gate/hooks.h"
#include "gate/internal.h"
#include "gate/mode.h"
#include "gate/policy.h"
#include "gate/running.h"
#include "shared.h"
#include "store/entry.h"
#include "store/protocol.h"
#include "store/sql.h"

/* ---- which tables ---- */

#define SLOTS	256

static Oid	ordinary[SLOTS];		/* tables that are no history, by their OID modulo SLOTS */
static bool watching = false;

/* What the policy says, as of which of its versions; in TopMemoryContext. */
static List *patterns = NIL;
static uint64 patterns_of = 0;
static SdDatabase *database = NULL;

/* The last table written to that is no history, and in which transaction. */
static Oid	other_table = InvalidOid;
static LocalTransactionId other_in = InvalidLocalTransactionId;

static void
forget_table(Datum arg, Oid relation)
{
	(void) arg;
	if (!OidIsValid(relation))
		memset(ordinary, 0, sizeof(ordinary));
	else if (ordinary[relation % SLOTS] == relation)
		ordinary[relation % SLOTS] = InvalidOid;
}

/* A schema was renamed, or the extension was made, dropped, made again. */
static void
forget_tables(Datum arg, int cache, uint32 hash)
{
	(void) arg;
	(void) cache;
	(void) hash;
	memset(ordinary, 0, sizeof(ordinary));
	database = NULL;
}

static void
watch(void)
{
	if (watching)
		return;
	CacheRegisterRelcacheCallback(forget_table, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget_tables, (Datum) 0);
	watching = true;
}

/* The policy's patterns are in force when this region's coordinator has seen them; 0: there are none. */
static bool
policy_moved(void)
{
	return database && pg_atomic_read_u64(&database->history_policy) != patterns_of;
}

static void
read_patterns(void)
{
	uint64		version;
	List	   *read = NIL;
	ListCell   *lc;
	MemoryContext old;

	database = sd_shared_mine();
	version = database ? pg_atomic_read_u64(&database->history_policy) : 0;
	if (version == patterns_of)
		return;
	memset(ordinary, 0, sizeof(ordinary));
	if (version > 0 && sd_gate_group_mode() != SD_MODE_DEFAULT)
		read = sd_gate_policy()->history_tables;
	old = MemoryContextSwitchTo(TopMemoryContext);
	list_free_deep(patterns);
	patterns = NIL;
	foreach(lc, read)
		patterns = lappend(patterns, pstrdup(lfirst(lc)));
	patterns_of = version;
	MemoryContextSwitchTo(old);
}

/* ---- what this transaction has written ---- */

bool		sd_history_noted = false;
static List *notes = NIL;			/* of SdHistoryNote; in TopTransactionContext */

static SdHistoryNote *
find_note(Oid relation)
{
	ListCell   *lc;

	foreach(lc, notes)
		if (((SdHistoryNote *) lfirst(lc))->relation == relation)
			return lfirst(lc);
	return NULL;
}

static void
forget_notes(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_PRE_PREPARE && sd_history_noted)
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("a transaction that wrote a migration tool's history cannot be prepared"),
				 errdetail("The regions agree on its rows at its commit, and COMMIT PREPARED may come from anybody at any time."),
				 errhint("Use COMMIT.")));
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	notes = NIL;
	sd_history_noted = false;
}

static SdRunAs *
who_writes(void)
{
	SdRunAs    *run_as = palloc0(sizeof(SdRunAs));
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	run_as->session_user = GetUserNameFromId(GetSessionUserId(), false);
	run_as->user = GetUserNameFromId(user, false);
	run_as->local_user = (security & SECURITY_LOCAL_USERID_CHANGE) != 0;
	run_as->n_settings = 1;
	run_as->names = palloc(sizeof(char *));
	run_as->values = palloc(sizeof(char *));
	run_as->names[0] = "search_path";
	run_as->values[0] = pstrdup(GetConfigOption("search_path", false, false));
	return run_as;
}

static void
note(Oid relation, SdRunAs *run_as, bool truncated, bool outside)
{
	static bool registered = false;
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	SdHistoryNote *one = find_note(relation);

	if (!registered)
		RegisterXactCallback(forget_notes, NULL);
	registered = true;
	if (one == NULL)
	{
		one = palloc0(sizeof(SdHistoryNote));
		one->relation = relation;
		one->run_as = run_as;
		one->outside = outside;
		notes = lappend(notes, one);
	}
	one->truncated |= truncated;
	sd_history_noted = true;
	MemoryContextSwitchTo(old);
}

/* Before anything of it is written: may it be, and do enough regions answer? */
static void
begin(Oid relation, SdRunAs *run_as)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relation));
	char	   *name = get_rel_name(relation);
	List	   *needs = NIL;
	bool		first = !sd_change_active();
	SdScope		scope;

	sd_gate_check_rows(schema, name);
	sd_gate_require_allowed_run_as(run_as);
	needs = lappend(needs, psprintf("role:%s", run_as->session_user));
	if (strcmp(run_as->user, run_as->session_user) != 0)
		needs = lappend(needs, psprintf("role:%s", run_as->user));
	if (first)
	{
		/* at commit it is checked again: refused there, the work would be lost */
		if (sd_migration_name && sd_migration_name[0])
			sd_entry_check_name(sd_migration_name);
		sd_change_set_subject(psprintf("rows of %s.%s", schema, name));
	}
	else
		needs = sd_capture_new_needs(needs);
	sd_change_begin_rows(needs);
	sd_capture_add_needs(needs);
	/* another policy may have come while we waited */
	if (first)
		sd_gate_check_rows(schema, name);
	sd_store_enter(&scope);
	sd_protocol_require(2, "rows of a migration tool's history");
	sd_store_leave(&scope);
}

static void
write_history(Oid relation, bool truncated)
{
	SdHistoryNote *known = find_note(relation);
	SdDdlMode	mode;
	SdRunAs    *run_as;
	MemoryContext old;

	if (known && known->outside)
		return;
	mode = sd_gate_mode();
	if (mode == SD_MODE_DEFAULT || sd_gate_is_local_name(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation)))
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	run_as = known ? known->run_as : who_writes();
	MemoryContextSwitchTo(old);
	if (sd_gate_mode_refuses(mode))
		begin(relation, run_as);
	note(relation, run_as, truncated, mode == SD_MODE_OBSERVE || mode == SD_MODE_OFF);
}

/* ---- statements ---- */

/* What is inside one of these is run by all regions, or by none but this. */
static bool
is_ours_to_see(void)
{
	return sd_executing() == SD_EXECUTING_NOTHING && !sd_running_any() && sd_hooks_apply() && !XactReadOnly;
}

static pg_noinline void
look_at_table(Oid relation, bool truncated)
{
	Oid			root;

	watch();
	if (database == NULL || policy_moved())
		read_patterns();
	root = sd_history_root(relation);
	if (sd_history_is(root, patterns))
	{
		if (is_ours_to_see())
			write_history(root, truncated);
	}
	else if (get_rel_persistence(relation) != RELPERSISTENCE_TEMP)
		ordinary[relation % SLOTS] = relation;
}

void
sd_history_before_write(Oid relation)
{
	if (unlikely(ordinary[relation % SLOTS] != relation || policy_moved()))
	{
		look_at_table(relation, false);
		if (ordinary[relation % SLOTS] != relation)
			return;
	}
	/* what a text does, or a trigger of DDL, other regions do by themselves */
	if (sd_executing() == SD_EXECUTING_NOTHING && !sd_running_any())
	{
		other_table = relation;
		other_in = sd_compat_lxid();
	}
}

void
sd_history_before_truncate(const TruncateStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->relations)
	{
		Oid			relation = sd_target_relation(lfirst_node(RangeVar, lc));

		if (OidIsValid(relation))
			look_at_table(relation, true);
	}
}

/* ---- the end of the transaction ---- */

static void
decide_outside(List *outside)
{
	SdDatabase *db = sd_shared_mine();
	ListCell   *lc;

	foreach(lc, sd_history_collect(outside))
	{
		const SdHistoryRows *rows = lfirst(lc);
		bool		off = sd_ddl_mode == SD_MODE_OFF;

		if (db)
			sd_shared_decide(db, off ? "bypass" : "would-have", psprintf("rows of %s.%s", rows->schema, rows->table),
							 "not coordinated", "", off ? sd_bypass_reason : "policy \"mode\" is \"observe\"");
	}
}

List *
sd_history_rows(void)
{
	List	   *coordinated = NIL;
	List	   *outside = NIL;
	ListCell   *lc;

	if (!sd_history_noted)
		return NIL;
	foreach(lc, notes)
	{
		SdHistoryNote *one = lfirst(lc);

		if (one->outside)
			outside = lappend(outside, one);
		else
			coordinated = lappend(coordinated, one);
	}
	decide_outside(outside);
	return sd_history_collect(coordinated);
}

void
sd_history_tell_others(void)
{
	char	   *name = other_in == sd_compat_lxid() ? get_rel_name(other_table) : NULL;
	char	   *schema = name ? get_namespace_name(get_rel_namespace(other_table)) : NULL;

	if (schema == NULL || sd_is_own_schema(schema))
		return;
	ereport(NOTICE,
			(errmsg("rows written to %s.%s stay in this region", schema, name),
			 errdetail("What goes to other regions is the schema change, and rows of migration tools' histories."),
			 errhint("Use schemadrift.apply() for statements that every region shall run.")));
}
