/*
 * revert.c: schemadrift.revert(): a migration taken back, as a new version.
 *
 * Runs in a backend, in the caller's transaction.  The recorded text runs with the rights of who wrote it, never with the
 * caller's: a superuser who takes back a user's migration must not run that user's text as superuser.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "ddl/fill.h"
#include "ddl/history_rows.h"
#include "ddl/online.h"
#include "ddl/options.h"
#include "ddl/script.h"
#include "errors.h"
#include "functions/change.h"
#include "gate/change.h"
#include "gate/online.h"
#include "gate/policy.h"
#include "shared.h"
#include "store/history.h"
#include "store/protocol.h"
#include "store/state.h"
#include "store/task.h"

PG_FUNCTION_INFO_V1(sd_revert);

/* A migration that is in the log, and what taking it back needs. */
typedef struct Target
{
	const char *name;
	int64		version;
	char	   *down;			/* NULL: none recorded */
	SdRunAs    *run_as;
	Jsonb	   *options;
	Jsonb	   *objects;		/* that it changed; NULL: not known */
	List	   *rows;			/* of tools' histories (SdHistoryRows), that take back those which came with it */
	const char *emptied;		/* table of which it removed rows that are not recorded; NULL: none */
	bool		online;			/* it is an online entry */
	bool		open;			/* ... which has no result yet */
	bool		alone;			/* ... and whose way back commits by itself in the middle */
	bool		applied_here;
	bool		applied_everywhere;
	bool		applied_nowhere;	/* as far as every serving region told us */
} Target;

/* "retry and revert run text as its original author: the caller must be allowed to SET ROLE to that author" */
static void
check_author(const Target *target)
{
	const char *roles[] = {target->run_as->session_user, target->run_as->user};

	for (int i = 0; i < (int) lengthof(roles); i++)
		if (!sd_compat_may_set_role(GetUserId(), get_role_oid(roles[i], false)))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to revert migration \"%s\"", target->name),
					 errdetail("Its text runs as role \"%s\", to which \"%s\" may not SET ROLE.",
							   roles[i], GetUserNameFromId(GetUserId(), false))));
}

/* Who has applied it: our tables for ourselves, what the others told for them. */
static void
look_around(Target *target)
{
	SdDatabase *db = sd_shared_mine();
	SdMembers	members;
	SdApplied	applied;
	SdSelf		self;

	if (!sd_self_read(&self))
		elog(ERROR, "this database is in no group");
	sd_members_read(&members);
	sd_applied_read(&applied);
	target->applied_here = applied.version >= target->version;
	target->applied_everywhere = target->applied_here;
	target->applied_nowhere = !target->applied_here;
	for (int i = 0; i < members.config.n; i++)
	{
		const SdMember *member = &members.config.member[i];
		int64		told = -1;

		if (sd_members_is_witness(&members, i) || strcmp(member->region, self.region) == 0)
			continue;
		if (db)
		{
			LWLockAcquire(&db->lock, LW_SHARED);
			for (int p = 0; p < db->n_peers; p++)
				if (strcmp(db->peers[p].region, member->region) == 0 && db->peers[p].last_heard != 0 &&
					db->peers[p].told.incarnation == member->incarnation)
					told = db->peers[p].told.applied;
			LWLockRelease(&db->lock);
		}
		/* "region r has applied x" is stable; of a region that we have not heard, nothing is known */
		if (told < target->version)
			target->applied_everywhere = false;
		if (told < 0 || told >= target->version)
			target->applied_nowhere = false;
	}
}

/* a table's constraints, triggers and policies carry its name and a dot before their own */
static SdStatement in_common = {
	.sql = "SELECT CASE WHEN length(a.identity) <= length(b.identity) THEN a.kind || ' ' || a.identity ELSE b.kind || ' ' || b.identity END "
	"FROM jsonb_to_recordset($1) AS a(kind text, identity text), jsonb_to_recordset($2) AS b(kind text, identity text) WHERE a.identity = b.identity "
	"OR starts_with(a.identity, b.identity || '.') OR starts_with(b.identity, a.identity || '.') LIMIT 1",
	.nargs = 2, .types = {JSONBOID, JSONBOID}
};

/* what went with a table but does not carry its name: digests still know it, the catalogs do not */
static SdStatement gone = {
	.sql = "SELECT a.kind || ' ' || a.identity FROM jsonb_to_recordset($1) AS a(kind text, identity text) "
	"JOIN schemadrift_store.object o ON o.kind = a.kind AND o.identity = a.identity "
	"WHERE pg_describe_object(o.classid, o.objid, 0) IS NULL LIMIT 1",
	.nargs = 1, .types = {JSONBOID}
};

/*
 * "revert refuses while a later, unreverted version touches the same objects, and names it": ask of the objects of each
 * such version, newest first, whether the statement finds one that is.  NULL objects: those of the target are not known.
 */
static void
refuse_later(const Target *target, SdStatement *statement, Jsonb *objects)
{
	static SdStatement later = {
		.sql = "SELECT l.version, l.name FROM schemadrift_store.log l WHERE l.version > $1 "
		"AND ((l.kind = 'migration' AND schemadrift_store.taken_back(l.version) IS NULL) OR "
		"(l.kind = 'result' AND l.target <> $1 AND schemadrift_store.result_outcome(l.body) = 'ok' "
		"AND schemadrift_store.taken_back(l.target) IS NULL)) ORDER BY l.version DESC",
		.nargs = 1, .types = {INT8OID}
	};
	static SdStatement older = {
		.sql = "SELECT l.version, l.name FROM schemadrift_store.log l WHERE l.version > $1 AND l.kind = 'migration' "
		"AND NOT EXISTS (SELECT FROM schemadrift_store.log t WHERE t.target = l.version AND t.kind IN ('revert', 'supersede')) "
		"ORDER BY l.version DESC",
		.nargs = 1, .types = {INT8OID}
	};
	uint64		n = sd_store_run(sd_store_has("task") ? &later : &older, (Datum[]) {Int64GetDatum(target->version)}, NULL, SD_ANY_ROWS);
	int64	   *versions = palloc(sizeof(int64) * Max(n, 1));
	char	  **names = palloc(sizeof(char *) * Max(n, 1));

	for (uint64 i = 0; i < n; i++)
	{
		versions[i] = sd_store_int64(i, 1);
		names[i] = sd_store_text(i, 2);
	}
	for (uint64 i = 0; i < n; i++)
	{
		SdEntry    *entry = sd_log_entry(versions[i]);
		Jsonb	   *theirs = entry ? sd_json_object(sd_entry_payload(entry), "objects") : NULL;
		bool		known = theirs != NULL && objects != NULL;
		Datum		values[] = {JsonbPGetDatum(theirs), JsonbPGetDatum(objects)};

		if (known && sd_store_run(statement, values, NULL, SD_ANY_ROWS) == 0)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot revert migration \"%s\" before version " INT64_FORMAT " \"%s\"",
						target->name, versions[i], names[i]),
				 known ? errdetail("Both change %s.", sd_store_text(0, 1)) :
				 errdetail("It is not recorded which objects they changed."),
				 errhint("Newest first: SELECT schemadrift.revert(%s).", quote_literal_cstr(names[i]))));
	}
}

/* Does any of these statements commit by itself in the middle? */
static bool
has_alone(const char *text)
{
	ListCell   *lc;

	foreach(lc, sd_parse_quietly(text))
		if (sd_online_kind(lfirst_node(RawStmt, lc)->stmt) != SD_ONLINE_PLAIN)
			return true;
	return false;
}

/* Builds of indexes are taken back by dropping these, newest first. */
static char *
inverse_of(List *steps)
{
	StringInfoData out;

	if (!sd_online_reverts_itself(steps))
		return NULL;
	initStringInfo(&out);
	for (int i = list_length(steps) - 1; i >= 0; i--)
		appendStringInfo(&out, "%s%s", out.len > 0 ? ";\n" : "", sd_online_inverse(list_nth(steps, i)));
	return out.data;
}

/* What is different where the target is an online entry: what it changed, its result says. */
static void
look_at_online(Target *target, Jsonb *payload)
{
	int64		result = sd_task_result(target->version, NULL);
	SdEntry    *entry = result > 0 ? sd_log_entry(result) : NULL;

	target->online = true;
	target->open = result == 0;
	if (target->down == NULL)
		target->down = inverse_of(sd_online_steps_read(sd_json_object(payload, "steps")));
	target->alone = target->down && has_alone(target->down);
	target->objects = entry ? sd_json_object(sd_entry_payload(entry), "objects") : NULL;
	if (target->open && target->down == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("online migration \"%s\" cannot be cancelled", target->name),
				 errdetail("It has no recorded way back, and regions may have done part of it."),
				 errhint("SELECT * FROM schemadrift.tasks shows what is in its way; mend that.")));
}

/*
 * Find it and refuse what cannot be taken back.  Returns the version that has taken it back already, else 0.
 */
static int64
find_target(Target *target)
{
	SdScope		scope;
	SdEntry    *entry;
	Jsonb	   *payload;
	Jsonb	   *run_as;
	int64		taken_back;
	MemoryContext caller = CurrentMemoryContext;

	sd_store_enter(&scope);
	target->version = sd_history_newest(target->name, &taken_back);
	if (target->version == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no migration \"%s\"", target->name),
				 errhint("SELECT version, name FROM schemadrift.migrations;")));
	if (taken_back > 0)
	{
		sd_store_leave(&scope);
		return taken_back;
	}
	entry = sd_log_entry(target->version);
	if (entry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the text of migration \"%s\" is not kept in this region any more", target->name)));
	payload = sd_entry_payload(entry);
	look_around(target);

	MemoryContextSwitchTo(caller);
	target->down = sd_json_text(payload, "down");
	target->options = sd_json_object(payload, "options");
	target->objects = sd_json_object(payload, "objects");
	/* those that were written beside it go, those that were deleted come back */
	target->rows = sd_history_inverse(sd_history_from_json(sd_json_object(payload, SD_ROWS_KEY)), &target->emptied);
	if (strcmp(entry->kind, SD_KIND_ONLINE) == 0)
		look_at_online(target, payload);
	if (!target->open)
		refuse_later(target, &in_common, target->objects);
	MemoryContextSwitchTo(caller);
	run_as = sd_json_object(payload, "run_as");
	target->run_as = run_as ? sd_run_as_from_json(sd_json_serialized(run_as)) : NULL;
	sd_store_leave(&scope);

	if (target->down == NULL && !target->applied_nowhere)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" has no recorded way back", target->name),
				 target->run_as ? errdetail("It was applied without \"down\".") :
				 errdetail("It was made by plain DDL, which records no way back."),
				 errhint("Apply a new migration that undoes it. A region that is halted at it comes to that one when the cause is mended there, "
						 "or when it is done there by hand (schemadrift.ddl_mode = off): then SELECT schemadrift.mark_applied(%s, 'why').",
						 quote_literal_cstr(target->name))));
	if (target->down && target->run_as == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("migration \"%s\" does not say as whom its way back runs", target->name),
				 errhint("Apply a new migration that undoes it.")));
	if (target->down)
		check_author(target);
	return 0;
}

static void
say_whose(void *arg)
{
	const Target *target = arg;

	errcontext("way back of migration \"%s\", run with the rights of role \"%s\", who wrote it", target->name, target->run_as->user);
}

static void
execute_down(void *arg)
{
	const Target *target = arg;

	sd_script_execute_as(target->down, target->run_as, SD_EXECUTING_SCRIPT);
}

/*
 * The recorded text, as its author, who may leave nothing behind that would run with the caller's rights (ddl/script.c).  What
 * waits for the commit is run before it and after each of its statements: the caller's by the caller, its own by its author.
 */
static void
run_limited(void *arg)
{
	Target	   *target = arg;
	ErrorContextCallback whose = {error_context_stack, say_whose, target};

	error_context_stack = &whose;
	sd_fill_work_frozen(sd_gate_freezes_at(target->options), execute_down, target);
	error_context_stack = whose.previous;
	target->rows = sd_history_existing(target->rows);
	sd_history_write(target->rows, SD_EXECUTING_SCRIPT);
}

static void
run_down(Target *target)
{
	SdScope		scope;
	CommandId	from = sd_history_text_begin();

	sd_script_execute("SET CONSTRAINTS ALL IMMEDIATE", SD_EXECUTING_SCRIPT);
	sd_time_limit_work(sd_options_timeout_ms(target->options), run_limited, target);
	sd_history_text_end(from);
	sd_store_enter(&scope);
	refuse_later(target, &gone, target->objects);
	sd_store_leave(&scope);
}

static char *
make_payload(const Target *target)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "\"reverts\":" INT64_FORMAT, target->version);
	if (target->down)
	{
		appendStringInfoString(&out, ",\"up\":");
		escape_json(&out, target->down);
		appendStringInfo(&out, ",\"run_as\":%s", sd_run_as_to_json(target->run_as));
	}
	if (target->down && target->rows != NIL)
		appendStringInfo(&out, ",\"" SD_UNDO_ROWS_KEY "\":%s", sd_history_to_json(target->rows));
	if (target->options)
		appendStringInfo(&out, ",\"options\":%s", sd_json_serialized(target->options));
	return out.data;
}

/*
 * An online entry that is under way is cancelled by a result that says so: tasks stop and clean up.  One that is finished is
 * taken back by another online entry, if its way back cannot run in a transaction.
 */
static int64
revert_online(const Target *target)
{
	StringInfoData out;

	sd_change_notice();
	if (target->open)
	{
		initStringInfo(&out);
		appendStringInfoString(&out, "\"outcome\":\"cancelled\",\"by\":");
		escape_json(&out, GetUserNameFromId(GetUserId(), false));
		sd_change_describe(SD_KIND_RESULT, target->name, target->version, out.data, false);
	}
	else
	{
		List	   *relations = NIL;
		List	   *steps = sd_online_steps(sd_script_parse_online(target->down), &relations);

		sd_online_describe(target->name, target->down, NULL, target->options, target->version, steps, relations,
						   target->run_as);
	}
	return sd_change_version();
}

/*
 * revert(name): where every serving region has applied it, the way back is run everywhere.  Otherwise it is a supersede:
 * a region that has not applied it skips both, one that has runs the way back; so a region that cannot apply it gets past
 * it, and may itself be the one that proposes.
 */
Datum
sd_revert(PG_FUNCTION_ARGS)
{
	Target		target = {.name = sd_change_name_arg(fcinfo, 0)};
	List	   *needs = NIL;
	int64		taken_back;
	bool		applied_here;
	bool		open;

	sd_change_require("revert");
	taken_back = find_target(&target);
	if (taken_back == 0)
	{
		if (target.down)
			needs = sd_change_needs(sd_script_needs(target.online ? sd_script_parse_online(target.down) :
													sd_script_parse_agreed(target.down)), target.run_as);
		applied_here = target.applied_here;
		/* where it was not applied, perhaps because it is held, nothing of it runs */
		if (target.down && applied_here)
			sd_gate_require_allowed_run_as(target.run_as);
		open = target.open;
		sd_change_set_subject(target.name);
		sd_capture_begin_script();
		if (applied_here)
			sd_change_begin(needs);
		else
			sd_change_begin_supersede(needs);
		/* the log, and what regions have applied, may have moved while we waited */
		taken_back = find_target(&target);
		if (taken_back == 0 && (target.applied_here != applied_here || target.open != open))
			ereport(ERROR,
					(errcode(SD_ERRCODE_PREEMPTED),
					 errmsg("this region has applied migration \"%s\" meanwhile", target.name),
					 errhint("Nothing happened. Run the transaction again.")));
	}
	if (taken_back > 0)
	{
		ereport(NOTICE,
				(errmsg("migration \"%s\" was taken back by version " INT64_FORMAT " already, nothing was run",
						target.name, taken_back)));
		PG_RETURN_INT64(taken_back);
	}
	sd_change_require("revert");
	/* it is not run here, but it is where the migration was applied */
	if (target.down && !target.open && (!target.applied_here || target.alone))
		sd_gate_check_text(target.down);
	/* the regions that run it need the time, whether or not this one does */
	if (target.down && !target.open && sd_gate_freezes_at(target.options) != 0)
		sd_change_freeze();
	if (target.online && (target.open || target.alone))
		PG_RETURN_INT64(revert_online(&target));
	sd_change_notice();
	if (target.emptied)
		ereport(WARNING,
				(errmsg("rows that migration \"%s\" removed from %s do not come back", target.name, target.emptied),
				 errdetail("It emptied that table, and what was in it is not recorded.")));
	if (target.applied_here)
		run_down(&target);
	sd_change_describe(target.applied_everywhere ? SD_KIND_REVERT : SD_KIND_SUPERSEDE, target.name, target.version,
					   make_payload(&target), target.applied_here);
	PG_RETURN_INT64(sd_change_version());
}
