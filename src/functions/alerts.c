/*
 * alerts.c: everything that is wrong now; see alerts.h.
 *
 * Runs in backends.  What needs a memory (since when) is judged by the coordinator, see worker/watch.c; here it gets its words.
 *
 * A remedy can be pasted into psql as it is: statements, each with its semicolon, and a comment, which begins with the region where
 * they belong, if that is another one.  What no SQL can mend is a comment only.
 */
#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "databases.h"
#include "ddl/history_tables.h"
#include "functions/alerts.h"
#include "online_regions.h"
#include "paste.h"
#include "progress.h"
#include "settings.h"
#include "store/drift.h"
#include "store/policy.h"
#include "store/protocol.h"

PG_FUNCTION_INFO_V1(sd_alert_rows);

/* Every alert that there is.  Tests read this table, to see that each is explained, and brought about (t/lib/SchemaDrift/Alerts.pm). */
static const struct
{
	const char *id;
	SdSeverity	severity;
}			known[] = {
	{"no_quorum", SD_CRITICAL},
	{"void", SD_CRITICAL},
	{"halted", SD_CRITICAL},
	{"diverged", SD_CRITICAL},
	{"cloned", SD_CRITICAL},
	{"log_stuck", SD_CRITICAL},
	{"not_running", SD_CRITICAL},
	{"workers_missing", SD_CRITICAL},
	{"standby_wait", SD_CRITICAL},
	{"removed", SD_CRITICAL},
	{"unreachable", SD_WARNING},
	{"held", SD_WARNING},
	{"no_vote", SD_WARNING},
	{"behind", SD_WARNING},
	{"undecided", SD_WARNING},
	{"drift", SD_WARNING},
	{"drift_stale", SD_WARNING},
	{"bypass", SD_WARNING},
	{"unverified", SD_WARNING},
	{"verify_overdue", SD_WARNING},
	{"clock_offset", SD_WARNING},
	{"replication_lag", SD_WARNING},
	{"ddl_hold", SD_WARNING},
	{"task_failing", SD_WARNING},
	{"task_waiting", SD_WARNING},
	{"history_replicated", SD_WARNING},
	{"two_voters", SD_WARNING},
	{"prepared", SD_WARNING},
	{"version_mismatch", SD_WARNING},
	{"not_serving", SD_NOTICE},
	{"drift_known", SD_NOTICE},
	{"protocol_older", SD_NOTICE},
	{"starting", SD_NOTICE},
	{"standby", SD_NOTICE},
	{"not_joined", SD_NOTICE}
};

static SdSeverity
severity_of(const char *id)
{
	for (size_t i = 0; i < lengthof(known); i++)
		if (strcmp(known[i].id, id) == 0)
			return known[i].severity;
	elog(ERROR, "there is no alert \"%s\"", id);
}

static SdAlert
alert(const char *id, const char *region, TimestampTz since, const char *what, const char *remedy)
{
	return (SdAlert) {.id = id, .severity = severity_of(id), .region = region, .since = since, .what = what, .remedy = remedy};
}

static long
seconds_since(TimestampTz since)
{
	return TimestampDifferenceMilliseconds(since, GetCurrentTimestamp()) / 1000;
}

/* For longer than the setting allows, which may say "never". */
static bool
too_long(TimestampTz since, int limit_ms)
{
	return since != 0 && limit_ms > 0 && TimestampDifferenceMilliseconds(since, GetCurrentTimestamp()) > limit_ms;
}

/* ---- this region, in a word ---- */

/* All is well otherwise: are library and SQL objects the same version? */
static SdAlert
compare_versions(const SdHere *here)
{
	if (here->objects == NULL || strcmp(here->objects, SD_VERSION) == 0)
		return (SdAlert) {0};
	return alert("version_mismatch", here->joined ? here->self.region : NULL, PgStartTime,
				 psprintf("the library of schemadrift is of version %s, the SQL objects in this database of %s", SD_VERSION, here->objects),
				 "ALTER EXTENSION schemadrift UPDATE; -- or, if the library is the older one, restart the server with the newer");
}

/* As the coordinator says. */
static SdStatus
status_told(const SdHere *here)
{
	const SdDatabase *db = here->db;
	const char *what = db->reason;

	if (db->halted_at > 0 && db->halt_detail[0])
		what = psprintf("%s\n%s", what, db->halt_detail);
	return (SdStatus) {
		.state = sd_region_state_text(db->state),
		.alert = db->alert[0] ? alert(db->alert, db->region, db->alert_since, what, db->remedy) : (SdAlert) {0}
	};
}

/* There is none, or it does nothing. */
static SdAlert
no_coordinator(const SdHere *here)
{
	bool		workers;
	char	   *trouble = sd_databases_trouble(&workers);
	TimestampTz since = here->coordinator_since ? here->coordinator_since : PgStartTime;

	if (here->coordinator)
		return alert("not_running", here->self.region, sd_here_wall(here->db->turn_us),
					 psprintf("the coordinator of this database hangs: process %d has done nothing for " INT64_FORMAT " s",
							  here->coordinator_pid, (sd_monotonic_us() - here->db->turn_us) / SD_US_PER_S),
					 psprintf("SELECT pg_terminate_backend(%d); -- another one is started", here->coordinator_pid));
	if (workers)
		return alert("workers_missing", here->self.region, since, trouble,
					 "-- raise max_worker_processes and restart the server, or stop what else uses them");
	return alert("not_running", here->self.region, since,
				 psprintf("the coordinator of this database is not running%s%s", trouble ? ": " : "", trouble ? trouble : ""),
				 "-- look for \"schemadrift\" in the server's log");
}

/*
 * Whatever happens: where the coordinator cannot say how the region is, we can say why it does not.
 */
SdStatus
sd_status(const SdHere *here)
{
	const char *region = here->joined ? here->self.region : NULL;
	SdStatus	status = {.state = "not_joined"};

	if (here->standby)
		status.alert = alert("standby", NULL, PgStartTime, "this server is a standby: nothing of schemadrift runs here",
							 "-- look at its primary");
	else if (!here->joined)
		status.alert = alert("not_joined", NULL, 0, "this database is in no group of regions",
							 "-- schemadrift.init(region, conninfo) begins a group, schemadrift.join(via, region, conninfo) joins one");
	else if (!here->self.valid && sd_here_is_member(here))
	{
		bool		told = here->coordinator && here->db->state == SD_REGION_VOID;

		status.state = sd_region_state_text(SD_REGION_VOID);
		status.alert = alert("void", region, told ? here->db->alert_since : 0, here->self.mismatch,
							 told ? here->db->remedy : SD_REMEDY_VOID);
	}
	else if (!here->coordinator)
	{
		status.state = sd_region_state_text(SD_REGION_NO_QUORUM);
		status.alert = no_coordinator(here);
	}
	else if (sd_shared_waits_for_standby(sd_shared_mine()))
	{
		status.state = sd_region_state_text(SD_REGION_NO_QUORUM);
		status.alert = alert("standby_wait", region, sd_here_wall(here->db->turn_us),
							 "the coordinator waits for a synchronous standby to confirm a vote",
							 "SELECT * FROM pg_stat_replication; -- bring the standby back, or take it out of synchronous_standby_names "
							 "and SELECT pg_reload_conf();");
	}
	else if (sd_here_coordinator_hangs(here))
	{
		status.state = sd_region_state_text(SD_REGION_NO_QUORUM);
		status.alert = no_coordinator(here);
	}
	else if (sd_here_is_starting(here))
	{
		status.state = sd_region_state_text(SD_REGION_NO_QUORUM);
		status.alert = alert("starting", region, here->coordinator_since,
							 "the coordinator of this database has just started, and looks at its tables",
							 "-- this takes a moment; if it stays, look for \"schemadrift\" in the server's log, and for locks on tables "
							 "of schemadrift_store");
	}
	else
		status = status_told(here);
	if (status.alert.id == NULL)
		status.alert = compare_versions(here);
	return status;
}

/* ---- what tables say of this region ---- */

static void
add(List **alerts, const char *id, const char *region, TimestampTz since, const char *what, const char *remedy)
{
	SdAlert    *one = palloc(sizeof(SdAlert));

	*one = alert(id, region, since, what, remedy);
	*alerts = lappend(*alerts, one);
}

static TimestampTz
time_of(uint64 row, int column)
{
	bool		isnull;
	Datum		value = sd_store_value(row, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

static char *
repair_remedy(const char *region, bool own)
{
	return own ? psprintf("SELECT * FROM schemadrift.repair_plan(%s); -- or SELECT schemadrift.accept_drift(%s, object);",
						  quote_literal_cstr(region), quote_literal_cstr(region)) :
		psprintf("SELECT * FROM schemadrift.repair_plan(%s); -- or in %s: SELECT schemadrift.accept_drift(%s, object);",
				 quote_literal_cstr(region), region, quote_literal_cstr(region));
}

/* Changes outside the log that left something. */
static void
add_bypass(List **alerts, const char *region)
{
	static SdStatement statement = {
		.sql = "SELECT count(*), min(at) FROM schemadrift_store.bypass WHERE settled IS NULL"
	};
	int64		n;

	if (!sd_drift_kept())
		return;
	sd_store_run(&statement, NULL, NULL, 1);
	n = sd_store_int64(0, 1);
	if (n > 0)
		add(alerts, "bypass", region, time_of(0, 2),
			psprintf(n == 1 ? INT64_FORMAT " change outside the log is part of this region's schema" :
					 INT64_FORMAT " changes outside the log are part of this region's schema", n),
			psprintf("SELECT * FROM schemadrift.drift WHERE region = %s; -- take it back, or SELECT schemadrift.accept_drift(%s, object);",
					 quote_literal_cstr(region), quote_literal_cstr(region)));
}

/* Objects that are not what the log says, here and, as they told, elsewhere. */
static void
add_drift(List **alerts, const SdHere *here)
{
	static SdStatement statement = {
		.sql = "SELECT region, count(*) FILTER (WHERE acknowledged IS NULL), min(since) FILTER (WHERE acknowledged IS NULL), "
		"count(acknowledged), min(since) FILTER (WHERE acknowledged IS NOT NULL) FROM schemadrift_store.drift GROUP BY region ORDER BY region"
	};
	uint64		n;

	if (!sd_drift_kept())
		return;
	n = sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
	for (uint64 i = 0; i < n; i++)
	{
		char	   *region = sd_store_text(i, 1);
		int64		unknown = sd_store_int64(i, 2);
		int64		adopted = sd_store_int64(i, 4);

		/* a copy of what a region told that has gone, or tells otherwise by now */
		if (sd_config_find(&here->members.config, region) < 0)
			continue;
		if (unknown > 0)
			add(alerts, "drift", region, time_of(i, 3),
				psprintf(INT64_FORMAT " object%s not what the log says", unknown, unknown == 1 ? " is" : "s are"),
				repair_remedy(region, sd_here_is_own(here, region)));
		if (adopted > 0)
			add(alerts, "drift_known", region, time_of(i, 5),
				psprintf(INT64_FORMAT " object%s otherwise than the log says since the region joined", adopted,
						 adopted == 1 ? " is" : "s are"),
				psprintf("SELECT * FROM schemadrift.repair_plan(%s, acknowledged => true);", quote_literal_cstr(region)));
	}
}

static void
add_tasks(List **alerts, const char *region, TimestampTz since, const SdTaskReport *tasks)
{
	for (int i = 0; i < SD_MAX_TASKS; i++)
		if (sd_online_fails(&tasks[i]))
			add(alerts, "task_failing", region, since,
				psprintf("online version " INT64_FORMAT " (%s): %s", tasks[i].version, tasks[i].state, tasks[i].what),
				psprintf("SELECT * FROM schemadrift.tasks WHERE version = " INT64_FORMAT "; -- mend the cause: it is tried again; "
						 "or SELECT schemadrift.revert(name);", tasks[i].version));
}

/*
 * A build waits for everybody who may still use what it has not built, without an end of its own: giving up would mean to begin again.
 * Only seen where it waits.  Not of what fails: there the wait is one attempt of many.
 */
static void
add_waiting(List **alerts, const SdHere *here, const SdTaskReport *task)
{
	static SdStatement statement = {
		.sql = "SELECT l.waitstart, extract(epoch FROM clock_timestamp() - l.waitstart)::bigint, "
		"(SELECT string_agg(p::text, ', ' ORDER BY p) FROM unnest(pg_blocking_pids(l.pid)) p WHERE p > 0) FROM pg_locks l "
		"WHERE l.pid = $1 AND NOT l.granted AND l.waitstart < clock_timestamp() - make_interval(secs => $2::float8 / 1000)",
		.nargs = 2, .types = {INT4OID, INT4OID}
	};
	Datum		values[] = {Int32GetDatum(here->db->task_runner), Int32GetDatum(sd_behind_limit)};
	char	   *pids;

	if (sd_behind_limit == 0 || sd_online_fails(task) || sd_store_run(&statement, values, NULL, SD_ANY_ROWS) == 0)
		return;
	pids = sd_store_text(0, 3);
	add(alerts, "task_waiting", here->self.region, time_of(0, 1),
		psprintf("online version " INT64_FORMAT " (%s) has waited for %s for " INT64_FORMAT " s", task->version,
				 task->what[0] ? task->what : task->state, pids ? psprintf("the transaction of pid %s", pids) : "a prepared transaction",
				 sd_store_int64(0, 2)),
		pids ? psprintf("SELECT pid, usename, state, xact_start, query FROM pg_stat_activity WHERE pid IN (%s); "
						"-- SELECT pg_terminate_backend(pid) ends it", pids) :
		"SELECT * FROM pg_prepared_xacts ORDER BY prepared; -- COMMIT PREPARED or ROLLBACK PREPARED");
}

/* Tables of one subscription; none: nothing is the matter. */
static void
add_subscription(List **alerts, const char *region, const char *subscription, const char *publication, const StringInfoData *tables)
{
	if (tables->len > 0)
		add(alerts, "history_replicated", region, 0,
			psprintf("rows of %s come by subscription %s, and with changes of the schema, too", tables->data, quote_identifier(subscription)),
			psprintf("ALTER PUBLICATION %s DROP TABLE %s; -- in the region that publishes; then here: ALTER SUBSCRIPTION %s REFRESH PUBLICATION",
					 sd_paste_identifier(publication), tables->data, sd_paste_identifier(subscription)));
}

/*
 * Both replication and the log bring these rows: the second to come meets the first.  What a publication gives away is seen where it
 * is subscribed to.
 */
static void
add_history(List **alerts, const char *region)
{
	static SdStatement statement = {
		.sql = "SELECT r.srrelid, s.subname::text, s.subpublications[1], n.nspname::text, c.relname::text "
		"FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid JOIN pg_class c ON c.oid = r.srrelid "
		"JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY s.subname, n.nspname, c.relname"
	};
	uint64		n = sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
	Oid		   *tables = palloc(sizeof(Oid) * Max(n, 1));
	char	 *(*texts)[3] = palloc(sizeof(*texts) * Max(n, 1));
	SdPolicy	policy;
	StringInfoData found;

	for (uint64 i = 0; i < n; i++)
	{
		bool		isnull;

		tables[i] = DatumGetObjectId(sd_store_value(i, 1, &isnull));
		texts[i][0] = sd_store_text(i, 2);
		texts[i][1] = sd_store_text(i, 3);
		texts[i][2] = sd_paste_qualified(sd_store_text(i, 4), sd_store_text(i, 5));
	}
	if (n == 0)
		return;
	sd_policy_parse(sd_policy_read(), &policy);
	initStringInfo(&found);
	for (uint64 i = 0; i < n; i++)
	{
		if (sd_history_is(sd_history_root(tables[i]), policy.history_tables))
			appendStringInfo(&found, "%s%s", found.len > 0 ? ", " : "", texts[i][2]);
		if (i + 1 < n && strcmp(texts[i][0], texts[i + 1][0]) == 0)
			continue;
		add_subscription(alerts, region, texts[i][0], texts[i][1], &found);
		resetStringInfo(&found);
	}
}

static void
add_from_tables(List **alerts, const SdHere *here)
{
	SdTaskReport tasks[SD_MAX_TASKS];
	SdScope		scope;

	sd_store_enter(&scope);
	add_drift(alerts, here);
	add_bypass(alerts, here->self.region);
	add_history(alerts, here->self.region);
	sd_online_own_reports(sd_shared_mine(), tasks);
	add_tasks(alerts, here->self.region, here->db ? here->db->since[SD_WATCH_TASK] : 0, tasks);
	for (int i = 0; i < SD_MAX_TASKS && here->db && here->db->task_runner != 0; i++)
		if (tasks[i].version > 0 && tasks[i].version == here->db->task_version)
			add_waiting(alerts, here, &tasks[i]);
	sd_store_leave(&scope);
}

/* ---- what the coordinator knows of this region ---- */

#define SD_REMEDY_LAG "SELECT * FROM pg_stat_replication; SELECT * FROM pg_replication_slots;"

static const char *
lag_text(int64 ms, int64 bytes)
{
	return psprintf("replication is " INT64_FORMAT " s behind, " INT64_FORMAT " MB of WAL", ms / 1000, Max(bytes, 0) / (1024 * 1024));
}

static char *
hold_remedy(int pid, const char *region, bool own)
{
	return own ? psprintf("SELECT pg_terminate_backend(%d);", pid) :
		psprintf("SELECT pg_terminate_backend(%d); -- in %s", pid, region);
}

static void
add_verification(List **alerts, const SdHere *here)
{
	const SdDatabase *db = here->db;
	const char *remedy = "SELECT * FROM schemadrift.verify();";

	if (db->verify_error[0])
		add(alerts, "unverified", db->region, db->verify_failed_at,
			psprintf("comparing the schema with its digests fails: %s", db->verify_error), remedy);
	else if (sd_here_verify_overdue(db->verified_at))
		add(alerts, "verify_overdue", db->region, db->verified_at,
			psprintf("the schema was not compared with its digests for %ld s", seconds_since(db->verified_at)), remedy);
}

static void
add_own(List **alerts, const SdHere *here)
{
	const SdDatabase *db = here->db;
	int64		now = sd_monotonic_us();

	if (too_long(db->since[SD_WATCH_BEHIND], sd_behind_limit) && db->halted_at == 0)
		add(alerts, "behind", db->region, db->since[SD_WATCH_BEHIND],
			psprintf("has applied version " INT64_FORMAT " of " INT64_FORMAT, db->applied, Max(db->head, db->heard_head)),
			"SELECT pid, wait_event, pg_blocking_pids(pid), query FROM pg_stat_activity "
			"WHERE backend_type = 'schemadrift applier' AND datname = current_database();");
	if (too_long(db->since[SD_WATCH_UNDECIDED], sd_behind_limit))
		add(alerts, "undecided", db->region, db->since[SD_WATCH_UNDECIDED],
			psprintf("version " INT64_FORMAT " is accepted and not decided", db->undecided),
			"SELECT region, state, error FROM schemadrift.regions; -- bring back a majority of the voters");
	if (db->since[SD_WATCH_LAG])
		add(alerts, "replication_lag", db->region, db->since[SD_WATCH_LAG],
			lag_text(db->lag_ms, db->lag_bytes), SD_REMEDY_LAG);
	if (db->ddl_pid != 0 && now - db->ddl_since_us > db->ddl_hold_limit_us)
		add(alerts, "ddl_hold", db->region, db->ddl_since,
			psprintf("pid %d has changed the schema and not committed for %ld s", db->ddl_pid, seconds_since(db->ddl_since)),
			hold_remedy(db->ddl_pid, db->region, true));
	add_verification(alerts, here);
}

/* ---- other regions ---- */

static const char *
regions_remedy(const char *region)
{
	return psprintf("SELECT * FROM schemadrift.regions WHERE region = %s; -- mend the network or the server", quote_literal_cstr(region));
}

/* What a region that cannot be asked told last says little: only that it is away. */
static bool
add_absent(List **alerts, const SdPeerState *peer)
{
	if (!peer->since[SD_WATCH_UNREACHABLE])
		return false;
	add(alerts, "unreachable", peer->region, peer->since[SD_WATCH_UNREACHABLE],
		psprintf("%s%s", peer->last_heard == 0 ? "not heard of since this server's start" :
				 sd_here_is_silent(peer) ? psprintf("not heard of for %ld s", seconds_since(peer->last_heard)) :
				 "calls us, but cannot be called",
				 peer->last_error[0] ? psprintf(": %s", peer->last_error) : ""),
		regions_remedy(peer->region));
	return true;
}

static void
add_its_state(List **alerts, const SdPeerState *peer)
{
	const SdTelemetry *told = &peer->told;

	if (peer->cloned)
		add(alerts, "cloned", peer->region, peer->cloned_at, "two servers speak in its name",
			"SELECT schemadrift.void_identity('a copy'); -- in the copy; then stop it, or SELECT schemadrift.leave();");
	if (peer->since[SD_WATCH_VOID])
		add(alerts, "void", peer->region, peer->since[SD_WATCH_VOID], "it does not vote: its identity is void",
			psprintf("SELECT schemadrift.rejoin(); -- in %s, if it does not by itself", peer->region));
	if (peer->since[SD_WATCH_HALTED])
		add(alerts, told->held ? "held" : "halted", peer->region, peer->since[SD_WATCH_HALTED],
			psprintf("version " INT64_FORMAT " cannot be applied: %s", told->halted_at, told->halt_error),
			psprintf(told->held ? "SELECT schemadrift.retry(); -- in %s, after adding the role to schemadrift.allowed_roles" :
					 "SELECT schemadrift.retry(); -- in %s, when the cause is mended", peer->region));
	if (peer->since[SD_WATCH_NO_QUORUM])
		add(alerts, "no_quorum", peer->region, peer->since[SD_WATCH_NO_QUORUM], "it says that it reaches no majority",
			psprintf("SELECT * FROM schemadrift.status; -- in %s", peer->region));
	if (too_long(peer->since[SD_WATCH_BEHIND], sd_behind_limit) && told->halted_at == 0)
		add(alerts, "behind", peer->region, peer->since[SD_WATCH_BEHIND],
			psprintf("has applied version " INT64_FORMAT, told->applied), psprintf("SELECT * FROM schemadrift.alerts; -- in %s", peer->region));
	add_tasks(alerts, peer->region, peer->since[SD_WATCH_TASK], told->tasks);
	if (told->lease_in_use && told->lease_pid != 0 && told->lease_held_ms > sd_ddl_hold_limit)
		add(alerts, "ddl_hold", peer->region, peer->last_heard - (TimestampTz) told->lease_held_ms * 1000,
			psprintf("pid %d has changed the schema and not committed for %d s", told->lease_pid, told->lease_held_ms / 1000),
			hold_remedy(told->lease_pid, peer->region, false));
}

static bool
has_drift(List *alerts, const char *region)
{
	ListCell   *lc;

	foreach(lc, alerts)
	{
		const SdAlert *one = lfirst(lc);

		if (strncmp(one->id, "drift", strlen("drift")) == 0 && strcmp(one->region, region) == 0)
			return true;
	}
	return false;
}

static void
add_its_schema(List **alerts, const SdHere *here, const SdPeerState *peer)
{
	if (peer->since[SD_WATCH_DIVERGED])
		add(alerts, "diverged", peer->region, peer->since[SD_WATCH_DIVERGED],
			psprintf("at version " INT64_FORMAT " the log means another schema there than here", peer->told.standing.version),
			psprintf("SELECT * FROM schemadrift.diff(%s, %s);", quote_literal_cstr(here->self.region), quote_literal_cstr(peer->region)));
	/* it has told so, and which objects these are is not known here yet */
	if (peer->since[SD_WATCH_DRIFT] && !has_drift(*alerts, peer->region))
		add(alerts, "drift", peer->region, peer->since[SD_WATCH_DRIFT],
			psprintf("%d object%s not what the log says", peer->told.standing.drifted, peer->told.standing.drifted == 1 ? " is" : "s are"),
			repair_remedy(peer->region, false));
	if (peer->since[SD_WATCH_UNCOPIED])
		add(alerts, "drift_stale", peer->region, peer->since[SD_WATCH_UNCOPIED],
			"what is shown of its drift is old: what it has now cannot be copied; the server's log here says why",
			psprintf("SELECT * FROM schemadrift.verify(%s);", quote_literal_cstr(peer->region)));
	if (peer->since[SD_WATCH_UNVERIFIED])
		add(alerts, "unverified", peer->region, peer->since[SD_WATCH_UNVERIFIED],
			psprintf("comparing the schema with its digests fails: %s", peer->told.verify_error),
			psprintf("SELECT * FROM schemadrift.verify(%s);", quote_literal_cstr(peer->region)));
}

static void
add_its_surroundings(List **alerts, const SdPeerState *peer)
{
	if (peer->since[SD_WATCH_CLOCK])
		add(alerts, "clock_offset", peer->region, peer->since[SD_WATCH_CLOCK],
			psprintf("its clock is %.0f ms %s ours, give or take %.0f", fabs(peer->clock_offset_us / 1000.0),
					 peer->clock_offset_us > 0 ? "ahead of" : "behind", peer->clock_error_us / 1000.0),
			"-- look at time synchronization on both servers: chronyc tracking");
	if (peer->since[SD_WATCH_LAG])
		add(alerts, "replication_lag", peer->region, peer->since[SD_WATCH_LAG],
			lag_text(peer->told.lag_ms, peer->told.lag_bytes), psprintf(SD_REMEDY_LAG " -- in %s", peer->region));
	if (peer->since[SD_WATCH_OLDER])
		add(alerts, "protocol_older", peer->region, peer->since[SD_WATCH_OLDER],
			psprintf("it speaks protocol %d", Max(peer->told.protocol, SD_PROTOCOL_OLDEST)),
			psprintf("ALTER EXTENSION schemadrift UPDATE; -- in %s, with the new library", peer->region));
}

/* As suspend_region() writes it.  It comes out of the log: a view must not fail by it. */
static TimestampTz
parse_utc(const char *text)
{
	struct pg_tm tm = {0};
	int			utc = 0;
	TimestampTz time;

	if (text == NULL || sscanf(text, "%4d-%2d-%2d %2d:%2d:%2d UTC", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
							   &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6 ||
		ValidateDate(DTK_M(YEAR) | DTK_M(MONTH) | DTK_M(DAY), false, false, false, &tm) != 0 ||
		tm2timestamp(&tm, 0, &utc, &time) != 0)
		return 0;
	return time;
}

/* What people did to it. */
static void
add_membership(List **alerts, const SdMembers *members, int i, const SdPeerState *peer)
{
	const char *region = members->config.member[i].region;

	if (members->config.member[i].suspended)
		add(alerts, "not_serving", region, parse_utc(members->suspended_at[i]),
			psprintf("suspended by %s at %s: %s", members->suspended_by[i], members->suspended_at[i], members->suspended_reason[i]),
			psprintf("SELECT schemadrift.resume_region(%s);", quote_literal_cstr(region)));
	else if (members->stepped_down[i])
		add(alerts, "not_serving", region, peer ? peer->since[SD_WATCH_DOWN] : 0, "has stepped down: it does not vote",
			sd_members_is_witness(members, i) ?
			psprintf("SELECT schemadrift.alter_region(%s, role => 'witness');", quote_literal_cstr(region)) :
			psprintf("SELECT schemadrift.step_up(); -- in %s", region));
}

static void
add_others(List **alerts, const SdHere *here)
{
	for (int i = 0; i < here->members.config.n; i++)
	{
		const char *region = here->members.config.member[i].region;
		const SdPeerState *peer = sd_here_peer(here, region);

		if (sd_here_is_own(here, region))
			continue;
		if (peer)
		{
			if (!add_absent(alerts, peer))
			{
				add_its_state(alerts, peer);
				add_its_surroundings(alerts, peer);
			}
			add_its_schema(alerts, here, peer);
		}
		add_membership(alerts, &here->members, i, peer);
	}
}

/* ---- all of them ---- */

static int
compare_alerts(const ListCell *a, const ListCell *b)
{
	const SdAlert *x = lfirst(a);
	const SdAlert *y = lfirst(b);
	int			order = (int) x->severity - (int) y->severity;

	if (order == 0)
		order = strcmp(x->id, y->id);
	if (order == 0)
		order = strcmp(x->region ? x->region : "", y->region ? y->region : "");
	return order;
}

List *
sd_alerts(const SdHere *here, const SdStatus *status)
{
	List	   *alerts = NIL;
	SdAlert    *own;

	/* who is missing has an alert for each */
	if (status->alert.id && strcmp(status->alert.id, "unreachable") != 0)
	{
		own = palloc(sizeof(SdAlert));
		*own = status->alert;
		alerts = lappend(alerts, own);
	}
	if (here->joined && sd_here_is_member(here))
		add_from_tables(&alerts, here);
	/* what it knew when it stopped is told as if it were so now, and a pid in it may have become somebody else's */
	if (here->joined && here->coordinator && !sd_here_is_starting(here) && !sd_here_coordinator_stands(here))
	{
		add_own(&alerts, here);
		add_others(&alerts, here);
	}
	list_sort(alerts, compare_alerts);
	return alerts;
}

Datum
sd_alert_rows(PG_FUNCTION_ARGS)
{
	static const char *const severities[] = {[SD_CRITICAL] = "critical", [SD_WARNING] = "warning", [SD_NOTICE] = "notice"};
	SdHere	   *here = sd_here();
	SdStatus	status = sd_status(here);
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, sd_alerts(here, &status))
	{
		const SdAlert *one = lfirst(lc);
		SdViewRow	row = {0};

		sd_view_text(&row, one->id);
		sd_view_text(&row, severities[one->severity]);
		sd_view_text(&row, one->region);
		sd_view_text(&row, one->what);
		sd_view_time(&row, one->since);
		sd_view_text(&row, one->remedy);
		sd_view_finish(fcinfo, &row);
	}
	return (Datum) 0;
}
