/*
 * rehearse.c: a script run in this database, and rolled back; see rehearse.h.
 *
 * Everything runs in a subtransaction that is always rolled back: what the script did, the digests of it, and its locks go with
 * it.  The DDL lock alone belongs to the transaction (ddl/lock.c), and is released by hand.  The gate takes the script for an entry that
 * is applied: it captures nothing.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "analysis/analyze.h"
#include "analysis/facts.h"
#include "attempt.h"
#include "clock.h"
#include "ddl/allowed.h"
#include "ddl/fill.h"
#include "ddl/lock.h"
#include "ddl/options.h"
#include "ddl/roles.h"
#include "ddl/script.h"
#include "errors.h"
#include "functions/limit.h"
#include "functions/rehearse.h"
#include "gate/carry_out.h"
#include "gate/mode.h"
#include "gate/policy.h"
#include "settings.h"
#include "store/sql.h"
#include "texts.h"

/* A relation that the script locked; its name is looked up when all is as it was. */
typedef struct Locked
{
	Oid			relation;
	char	   *mode;
} Locked;

typedef struct Run
{
	const SdTrial *what;
	SdRehearsal *result;
	MemoryContext context;		/* for what outlives the subtransaction */
	int64		deadline;
	bool		has_ddl_lock;
	List	   *locked;			/* of Locked, the strongest first */
} Run;

/* ---- a part of it, of which an error is an answer ---- */

static void
note_error(ErrorData *error, SdRehearsalError *note)
{
	bool		late = sd_is_cancel(error);

	strlcpy(note->sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(note->sqlstate));
	note->message = late ? psprintf("it took longer than schemadrift.dry_run_timeout, %d ms", sd_dry_run_timeout) : error->message;
	note->hint = late ? pstrdup("SET schemadrift.dry_run_timeout = '30s' here, and ALTER SYSTEM SET the same in each other region; locks are held as long.") :
		error->hint;
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && note->hint == NULL)
		note->hint = pstrdup("SELECT * FROM schemadrift.preflight(...) says who holds it.");
	if (error->detail && error->context)
		note->detail = psprintf("%s\n%s", error->detail, error->context);
	else
		note->detail = error->detail ? error->detail : error->context;
}

/* A person's wish to end it all; later it is the deadline's. */
static bool
is_cancelled(const ErrorData *error, const void *deadline)
{
	return sd_is_cancel(error) && sd_monotonic_us() < *(const int64 *) deadline;
}

ErrorData *
sd_rehearsal_try(void (*work) (void *arg), void *arg, bool keep, int64 deadline)
{
	return sd_attempt_judged(work, arg, keep, is_cancelled, &deadline);
}

static void
try(Run *run, void (*work) (void *run), bool keep, SdRehearsalError *note)
{
	ErrorData  *error = sd_rehearsal_try(work, run, keep, run->deadline);

	if (error)
		note_error(error, note);
}

/* ---- the script ---- */

static void
refuse_large(const SdStep *step)
{
	ListCell   *cell;

	foreach(cell, step->relations)
	{
		SdStepRelation *relation = lfirst(cell);
		int64		bytes;

		if (!relation->rewritten && !relation->indexes && !relation->scanned)
			continue;
		bytes = relation->members ? sd_fact_bytes_of_all(relation->members) : sd_fact_bytes(relation->oid);
		if (bytes >= (int64) sd_large_table * 1024)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("not run: it would %s %s, which %s %s", relation->rewritten ? "rewrite" : relation->indexes ? "build again the indexes of" : "scan", relation->name,
							relation->members ? "have" : "has", sd_text_of_bytes(bytes)),
					 errdetail("Statement %d, at line %d, %s, under %s.  A table of schemadrift.large_table, %s, or more is too large to try.",
							   step->number, step->line, step->command, step->lock, sd_text_of_bytes((int64) sd_large_table * 1024)),
					 step->safer ? errhint("%s", step->safer) :
					 errhint("SELECT * FROM schemadrift.analyze(...) says what it would do; try it on a copy.")));
	}
}

/* What can be known before it runs. */
static void
look_before(const char *text)
{
	SdGroundRules ground = sd_gate_ground_rules(NULL);
	ListCell   *cell;

	ground.frozen_at = sd_fill_frozen_at();
	foreach(cell, sd_analyze(text, &ground))
	{
		SdStep	   *step = lfirst(cell);

		/* for rows that are there: what the origin says of its own when it runs */
		if (strcmp(step->rule, SD_RULE_REFUSED) == 0 && !step->by_rows)
			ereport(ERROR,
					(errcode(SD_ERRCODE_CANNOT_COORDINATE),
					 errmsg("%s cannot be coordinated", step->command),
					 step->why ? errdetail("%s", step->why) : 0,
					 step->safer ? errhint("%s", step->safer) : 0));
		refuse_large(step);
	}
}

/* As the author. */
static void
run_text(void *arg)
{
	const char *text = arg;

	/* first: what can never be in a script */
	(void) sd_script_parse(text);
	look_before(text);
	sd_script_execute(text, SD_EXECUTING_ENTRY);
	/* what waits for the commit, which does not come */
	sd_script_execute("SET CONSTRAINTS ALL IMMEDIATE", SD_EXECUTING_ENTRY);
}

static void
note_locks(Run *run)
{
	static SdStatement statement = {
		.sql = "SELECT relation::int8, upper(regexp_replace(replace(mode, 'Lock', ''), '([a-z])([A-Z])', '\\1 \\2', 'g')) FROM ("
		"SELECT DISTINCT ON (relation) relation, mode, array_position(ARRAY['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', "
		"'ShareLock', 'ShareUpdateExclusiveLock', 'RowExclusiveLock', 'RowShareLock'], mode) AS place "
		"FROM pg_locks WHERE pid = pg_backend_pid() AND granted AND locktype = 'relation' AND mode <> 'AccessShareLock' "
		"AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation >= 16384 ORDER BY relation, place) l "
		"ORDER BY place, relation"
	};
	SdScope		scope;
	uint64		n;

	sd_store_enter(&scope);
	n = sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
	for (uint64 i = 0; i < n; i++)
	{
		Oid			relation = (Oid) sd_store_int64(i, 1);
		MemoryContext old = MemoryContextSwitchTo(run->context);
		Locked	   *locked = palloc(sizeof(Locked));

		locked->relation = relation;
		locked->mode = sd_store_text(i, 2);
		run->locked = lappend(run->locked, locked);
		MemoryContextSwitchTo(old);
	}
	sd_store_leave(&scope);
}

static void
note_effect(SdRehearsal *result, List *changed)
{
	List	   *made = NIL;
	List	   *dropped = NIL;
	ListCell   *cell;

	foreach(cell, changed)
	{
		SdObjectDigest *object = lfirst(cell);

		if (object->dropped)
			dropped = lappend(dropped, object);
		else
			made = lappend(made, object);
	}
	result->made = sd_digest_root_of(made);
	result->dropped = sd_digest_root_of(dropped);
}

/* What the schema has become; with note: and what was changed.  Needs no scope. */
static SdDigest
digest(SdRehearsal *note)
{
	SdScope		scope;
	SdDigest	root;
	List	   *changed;

	sd_store_enter(&scope);
	root = sd_digest_update(sd_capture_touched(), &changed, NULL);
	if (note)
		note_effect(note, changed);
	sd_store_leave(&scope);
	return root;
}

static void
run_up(Run *run)
{
	int64		start = sd_monotonic_us();

	sd_script_work_as(run->what->run_as, SD_EXECUTING_ENTRY, run_text, unconstify(char *, run->what->up));
	run->result->up_ms = (sd_monotonic_us() - start) / 1000.0;
}

static void
run_down(void *arg)
{
	Run		   *run = arg;
	int64		start = sd_monotonic_us();

	sd_script_work_as(run->what->run_as, SD_EXECUTING_ENTRY, run_text, unconstify(char *, run->what->down));
	run->result->down_ms = (sd_monotonic_us() - start) / 1000.0;
	run->result->restored = digest(NULL);
}

/* A part of the time that is left: the rest is the script's. */
static int64
part_of_time(const Run *run, int parts)
{
	int64		now = sd_monotonic_us();

	return now + Max(run->deadline - now, 0) / parts;
}

static void
run_all(void *arg)
{
	Run		   *run = arg;
	SdQueryWatch *watch;
	SdScope		scope;

	sd_allowed_require_run_as(run->what->run_as);
	sd_set_lock_timeout(sd_dry_run_lock_timeout, GUC_ACTION_LOCAL);
	sd_ddl_lock();
	run->has_ddl_lock = true;
	sd_store_enter(&scope);
	run->result->before = sd_digest_root();
	sd_store_leave(&scope);

	watch = sd_queries_before(run->what->queries, get_role_oid(run->what->run_as->user, false), part_of_time(run, 4));
	run_up(run);
	note_locks(run);
	run->result->after = digest(run->result);
	sd_queries_after(watch, part_of_time(run, 2), &run->result->queries);
	if (run->what->down)
		try(run, run_down, true, &run->result->down);
}

/* ---- afterwards ---- */

/* Those that are there, as they are called when nothing has happened. */
static char *
locks_text(List *locked)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, locked)
	{
		Locked	   *lock = lfirst(cell);
		char	   *name = get_rel_name(lock->relation);
		char		kind = name ? get_rel_relkind(lock->relation) : '\0';
		char	   *schema = name ? get_namespace_name(get_rel_namespace(lock->relation)) : NULL;

		if (schema == NULL || kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX || kind == RELKIND_TOASTVALUE ||
			strcmp(schema, "schemadrift_store") == 0)
			continue;
		appendStringInfo(&out, "%s%s: %s", out.len > 0 ? ", " : "", quote_qualified_identifier(schema, name), lock->mode);
	}
	return out.data;
}

static void
try_all(void *arg)
{
	Run		   *run = arg;

	try(run, run_all, false, &run->result->up);
}

/* As the applier runs it, where another region has made the change; or as who makes it. */
static void
run_as_there(void *arg)
{
	Run		   *run = arg;

	if (run->what->database)
		sd_roles_work_of_entry(run->what->database, try_all, run);
	else
		sd_carry_out_as_origin(try_all, run);
}

static void
work_frozen(void *arg)
{
	Run		   *run = arg;

	sd_fill_work_frozen(run->what->frozen_at, run_as_there, run);
}

void
sd_rehearse(const SdTrial *what, SdRehearsal *result)
{
	Run			run = {.what = what, .result = result, .context = CurrentMemoryContext};

	memset(result, 0, sizeof(*result));
	result->down_ms = -1;
	/* which objects are local is the policy's, and a session that only answers calls has not read it */
	(void) sd_gate_group_mode();
	run.deadline = sd_monotonic_us() + (int64) sd_dry_run_timeout * SD_US_PER_MS;
	sd_limit_work(sd_dry_run_timeout, "dry run", work_frozen, &run);
	if (run.has_ddl_lock)
		sd_ddl_unlock();
	result->locks = locks_text(run.locked);
}
