/*
 * views.c: rows of the views that show how a region and its group are: status, regions, migration_status, decisions.
 *
 * Runs in backends.  Tables are read in a scope; shared memory is copied under its locks, one at a time, and looked at
 * afterwards.  Works in every state: not in a group, without a coordinator, on a standby.
 */
#include "compat.h"

#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "clock.h"
#include "databases.h"
#include "functions/group.h"
#include "gate/mode.h"
#include "progress.h"
#include "settings.h"
#include "shared.h"
#include "store/state.h"

PG_FUNCTION_INFO_V1(sd_status_rows);
PG_FUNCTION_INFO_V1(sd_region_rows);
PG_FUNCTION_INFO_V1(sd_progress_rows);
PG_FUNCTION_INFO_V1(sd_decision_rows);

/* ---- rows ---- */

/* A row in the making: columns are put from left to right. */
typedef struct Row
{
	int			n;
	Datum		values[16];
	bool		nulls[16];
} Row;

static void
put(Row *row, Datum value, bool isnull)
{
	Assert(row->n < (int) lengthof(row->values));
	row->values[row->n] = value;
	row->nulls[row->n++] = isnull;
}

static void
put_null(Row *row)
{
	put(row, (Datum) 0, true);
}

/* Null where empty.  A text that was cut to fit shared memory may end within a character. */
static void
put_text(Row *row, const char *text)
{
	int			length = text ? pg_mbcliplen(text, strlen(text), strlen(text)) : 0;

	put(row, length > 0 ? PointerGetDatum(cstring_to_text_with_len(text, length)) : (Datum) 0, length == 0);
}

static void
put_int64(Row *row, int64 value)
{
	put(row, Int64GetDatum(value), false);
}

static void
put_time(Row *row, TimestampTz value)
{
	put(row, TimestampTzGetDatum(value), value == 0);
}

static void
finish(FunctionCallInfo fcinfo, Row *row)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	/* the SQL objects may be older than this library, and lack the last columns */
	Assert(row->n >= result->setDesc->natts);
	tuplestore_putvalues(result->setResult, result->setDesc, row->values, row->nulls);
}

/* ---- what is known of this database ---- */

typedef struct Here
{
	bool		standby;
	bool		joined;
	SdSelf		self;
	SdMembers	members;
	SdApplied	applied;
	SdHead		head;
	char	   *objects;		/* version of the SQL objects */
	bool		coordinator;	/* it runs */
	SdDatabase *db;				/* a copy, peers and decisions included; NULL: this database has none */
} Here;

static void
read_tables(Here *here)
{
	SdScope		scope;

	sd_store_enter(&scope);
	here->joined = sd_self_read(&here->self);
	if (here->joined)
	{
		sd_group_members(scope.caller, &here->members);
		sd_applied_read(&here->applied);
		sd_log_head(&here->head);
	}
	here->objects = sd_store_objects_version();
	sd_store_leave(&scope);
}

static void
copy_shared(Here *here)
{
	SdDatabase *db = sd_shared_mine();
	Size		size = offsetof(SdDatabase, peers) + sizeof(SdPeerState) * sd_max_regions;

	if (db == NULL)
		return;
	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	here->coordinator = db->coordinator_pid != 0;
	LWLockRelease(&sd_shared->lock);

	here->db = palloc(size);
	LWLockAcquire(&db->lock, LW_SHARED);
	memcpy(here->db, db, size);
	LWLockRelease(&db->lock);
}

static Here *
look(void)
{
	Here	   *here = palloc0(sizeof(Here));

	here->standby = RecoveryInProgress();
	if (!here->standby)
		read_tables(here);
	copy_shared(here);
	return here;
}

/* False once the log says that this region was removed.  One whose place another server took is void, not removed. */
static bool
is_member(const Here *here)
{
	int			at = sd_config_find(&here->members.config, here->self.region);

	return at >= 0 && here->members.config.member[at].incarnation >= here->self.incarnation;
}

static SdPeerState *
find_peer(const Here *here, const char *region)
{
	for (int i = 0; here->db && i < here->db->n_peers; i++)
		if (strcmp(here->db->peers[i].region, region) == 0)
			return &here->db->peers[i];
	return NULL;
}

/* ---- status ---- */

static const char *
mode_text(SdDdlMode mode)
{
	switch (mode)
	{
		case SD_MODE_OBSERVE:
			return "observe";
		case SD_MODE_COORDINATE:
			return "coordinate";
		case SD_MODE_REQUIRE_APPLY:
			return "require_apply";
		case SD_MODE_DEFAULT:
		case SD_MODE_OFF:
			break;
	}
	return NULL;
}

static long
seconds_since(TimestampTz since)
{
	return TimestampDifferenceMilliseconds(since, GetCurrentTimestamp()) / 1000;
}

/* Who changes the schema just now, so that others wait. */
static char *
blocked_by(const Here *here)
{
	const SdDatabase *db = here->db;

	if (db == NULL)
		return NULL;
	if (db->blocked_by_pid != 0 && !sd_ballot_is_none(&db->blocked_by))
		return psprintf("pid %d of %s for %ld s, has the lease", db->blocked_by_pid, db->blocked_by.region, seconds_since(db->blocked_by_since));
	if (!sd_ballot_is_none(&db->blocked_by))
		return psprintf("region %s, has the lease", db->blocked_by.region);
	if (db->ddl_pid != 0)
		return psprintf("pid %d of %s for %ld s%s", db->ddl_pid, db->region, seconds_since(db->ddl_since),
						db->doomed ? ", its version is taken" : "");
	if (db->applying != 0)
		return psprintf("applier, version " INT64_FORMAT ", for %ld s", db->applying, seconds_since(db->applying_since));
	if (db->undecided != 0)
		return psprintf("version " INT64_FORMAT " is not decided yet", db->undecided);
	return NULL;
}

/* All is well otherwise: are library and SQL objects the same version?  The remedy. */
static const char *
compare_versions(const Here *here, const char **reason)
{
	if (here->objects == NULL || strcmp(here->objects, SD_VERSION) == 0)
		return NULL;
	*reason = psprintf("the library of schemadrift is of version %s, the SQL objects in this database of %s", SD_VERSION,
					   here->objects);
	return "ALTER EXTENSION schemadrift UPDATE; if the library is the older one: restart the server with the newer";
}

/* A member whose coordinator has not said yet how it is. */
static bool
is_starting(const Here *here)
{
	return here->db->state == SD_REGION_NOT_JOINED && is_member(here);
}

/*
 * One row, whatever happens: where the coordinator cannot say how the region is, we can say why it does not.
 */
Datum
sd_status_rows(PG_FUNCTION_ARGS)
{
	Here	   *here = look();
	const char *state = "not_joined";
	const char *reason = NULL;
	const char *remedy = NULL;
	SdLeader	leader;
	Row			row = {0};

	InitMaterializedSRF(fcinfo, 0);
	if (here->standby)
	{
		reason = "this server is a standby: nothing of schemadrift runs here";
		remedy = "look at its primary";
	}
	else if (!here->joined)
	{
		reason = "this database is in no group of regions";
		remedy = "SELECT schemadrift.init(region, conninfo), or join(via, region, conninfo)";
	}
	else if (!here->self.valid && is_member(here))
	{
		bool		told = here->coordinator && here->db->state == SD_REGION_VOID;

		state = sd_region_state_text(SD_REGION_VOID);
		reason = here->self.mismatch;
		remedy = told ? here->db->remedy : SD_REMEDY_VOID;
	}
	else if (!here->coordinator)
	{
		char	   *trouble = sd_databases_trouble();

		state = sd_region_state_text(SD_REGION_NO_QUORUM);
		reason = trouble ? trouble : "the coordinator of this database is not running";
		remedy = "look for \"schemadrift\" in the server's log";
	}
	else if (is_starting(here))
	{
		state = sd_region_state_text(SD_REGION_NO_QUORUM);
		reason = "the coordinator of this database has just started, and looks at its tables";
		remedy = "wait a moment";
	}
	else if (sd_shared_waits_for_standby(sd_shared_mine()))
	{
		state = sd_region_state_text(SD_REGION_NO_QUORUM);
		reason = "the coordinator waits for a synchronous standby to confirm a vote";
		remedy = "bring the standby back, or take it out of synchronous_standby_names and SELECT pg_reload_conf()";
	}
	else
	{
		state = sd_region_state_text(here->db->state);
		reason = here->db->reason;
		if (here->db->halted_at > 0 && here->db->halt_detail[0])
			reason = psprintf("%s\n%s", reason, here->db->halt_detail);
		remedy = here->db->remedy;
	}

	if (reason == NULL || reason[0] == '\0')
		remedy = compare_versions(here, &reason);

	put_text(&row, here->joined ? here->self.region : NULL);
	put_text(&row, state);
	put(&row, Int64GetDatum(here->applied.version), !here->joined);
	put(&row, Int64GetDatum(here->head.version), !here->joined);
	put_text(&row, here->joined ? mode_text(sd_gate_group_mode()) : NULL);
	put_text(&row, blocked_by(here));
	put_text(&row, reason);
	put_text(&row, remedy);
	put_text(&row, here->db && sd_shared_leader(here->db, sd_monotonic_us(), &leader) ? leader.ballot.region : NULL);
	finish(fcinfo, &row);
	return (Datum) 0;
}

/* ---- regions ---- */

static const char *
circuit_text(SdCircuit circuit)
{
	switch (circuit)
	{
		case SD_CIRCUIT_CLOSED:
			return "closed";
		case SD_CIRCUIT_HALF_OPEN:
			return "half_open";
		case SD_CIRCUIT_OPEN:
			return "open";
	}
	return NULL;
}

/* What it told of itself, unless that is too long ago to be true. */
static const char *
peer_state(const SdPeerState *peer)
{
	int64		lately = Max(4 * (int64) sd_heartbeat_interval * SD_US_PER_MS, 4 * SD_US_PER_S);

	if (peer->last_heard == 0 || sd_monotonic_us() - peer->last_heard_us > lately)
		return "unreachable";
	return sd_region_state_text(peer->told.state);
}

static void
put_own_region(Row *row, const Here *here)
{
	put_text(row, !here->self.valid ? sd_region_state_text(SD_REGION_VOID) :
			 sd_region_state_text(here->coordinator && !is_starting(here) ? here->db->state : SD_REGION_NO_QUORUM));
	put_int64(row, here->applied.version);
	put_time(row, GetCurrentTimestamp());
	put_null(row);
	put_null(row);
	put_text(row, here->db ? here->db->halt_error : NULL);
}

static void
put_peer(Row *row, const SdPeerState *peer)
{
	put_text(row, peer ? peer_state(peer) : "unreachable");
	put(row, peer ? Int64GetDatum(peer->told.applied) : (Datum) 0, peer == NULL || peer->last_heard == 0);
	put_time(row, peer ? peer->last_heard : 0);
	put(row, peer ? Float8GetDatum(peer->rtt_us / 1000.0) : (Datum) 0, peer == NULL || peer->rtt_us < 0);
	put_text(row, peer ? circuit_text(peer->circuit) : NULL);
	put_text(row, peer == NULL ? NULL : peer->last_error[0] ? peer->last_error : peer->told.halt_error);
}

/* What people did to it, if it does not take part as it could. */
static char *
why_not_serving(const SdMembers *members, int i)
{
	if (members->config.member[i].suspended)
		return psprintf("suspended by %s at %s: %s", members->suspended_by[i], members->suspended_at[i], members->suspended_reason[i]);
	if (members->stepped_down[i])
		return psprintf("stepped down: it was a %s", sd_role_text(members->wants[i]));
	if (members->wants[i] != members->config.member[i].role)
		return psprintf("becomes a %s once it has applied everything", sd_role_text(members->wants[i]));
	return NULL;
}

/* Who tells none is older than the notes in which it would be. */
static void
put_protocol(Row *row, Here *here, const char *region)
{
	const SdPeerState *peer = find_peer(here, region);
	bool		own = strcmp(region, here->self.region) == 0;
	int32		protocol = own ? sd_protocol_own() : peer ? Max(peer->told.protocol, SD_PROTOCOL_OLDEST) : 0;

	put(row, Int32GetDatum(protocol), !own && (peer == NULL || peer->last_heard_us == 0));
}

Datum
sd_region_rows(PG_FUNCTION_ARGS)
{
	Here	   *here = look();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < here->members.config.n; i++)
	{
		const SdMember *member = &here->members.config.member[i];
		Row			row = {0};

		put_text(&row, member->region);
		put_text(&row, sd_role_text(member->role));
		put(&row, Int32GetDatum(member->incarnation), false);
		if (strcmp(member->region, here->self.region) == 0)
			put_own_region(&row, here);
		else
			put_peer(&row, find_peer(here, member->region));
		put(&row, Int32GetDatum(here->members.priority[i]), false);
		put(&row, BoolGetDatum(member->suspended), false);
		put_text(&row, why_not_serving(&here->members, i));
		put_protocol(&row, here, member->region);
		finish(fcinfo, &row);
	}
	return (Datum) 0;
}

/* ---- how far each region is ---- */

Datum
sd_progress_rows(PG_FUNCTION_ARGS)
{
	Here	   *here = look();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < here->members.config.n; i++)
	{
		const SdMember *member = &here->members.config.member[i];
		bool		own = strcmp(member->region, here->self.region) == 0;
		const SdPeerState *peer = own ? NULL : find_peer(here, member->region);
		const SdDatabase *db = here->db;
		Row			row = {0};

		if (sd_members_is_witness(&here->members, i))
			continue;
		put_text(&row, member->region);
		put(&row, BoolGetDatum(own), false);
		put_int64(&row, own ? here->applied.version : peer ? peer->told.applied : 0);
		put_int64(&row, own ? (db ? db->halted_at : 0) : peer ? peer->told.halted_at : 0);
		put(&row, Int32GetDatum(own ? (db ? db->attempts : 0) : peer ? peer->told.attempts : 0), false);
		put_text(&row, own ? (db ? db->halt_error : NULL) : peer ? peer->told.halt_error : NULL);
		put_int64(&row, own && db ? db->applying : 0);
		put_time(&row, own && db ? db->applying_since : 0);
		put(&row, BoolGetDatum(own ? db && sd_progress_is_held(db) : peer && peer->told.held), false);
		finish(fcinfo, &row);
	}
	return (Datum) 0;
}

/* ---- decisions ---- */

/* The newest SD_DECISIONS since the server's start, oldest first. */
Datum
sd_decision_rows(PG_FUNCTION_ARGS)
{
	Here		here = {0};

	InitMaterializedSRF(fcinfo, 0);
	copy_shared(&here);
	if (here.db == NULL)
		return (Datum) 0;
	for (int i = Max(here.db->n_decisions - SD_DECISIONS, 0); i < here.db->n_decisions; i++)
	{
		const SdDecision *d = &here.db->decisions[i % SD_DECISIONS];
		Row			row = {0};

		put_time(&row, d->at);
		put_int64(&row, d->hlc);
		put_text(&row, d->kind);
		put_text(&row, d->subject);
		put_text(&row, d->outcome);
		put_text(&row, d->votes);
		put_text(&row, d->reason);
		finish(fcinfo, &row);
	}
	return (Datum) 0;
}
