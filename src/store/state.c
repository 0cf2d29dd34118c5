/*
 * state.c: who this region is and what it voted for; see state.h for the lock order.
 */
#include "compat.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "consensus/mistakes.h"
#include "settings.h"
#include "store/life.h"
#include "store/protocol.h"
#include "store/rows.h"

/* ---- self ---- */

#define SELF_COLUMNS "s.group_id, s.generation, s.region, s.incarnation, s.vote_seq, s.state, " \
	"s.system_identifier, s.timeline, s.database, "
#define LIFE_COLUMNS "l.life, l.since, l.replicated, l.token, l.cause, l.reason, " \
	"l.system_identifier, l.timeline, l.database " \
	"FROM schemadrift_store.self s LEFT JOIN schemadrift_store.life l ON true"
/* the library may be newer than the SQL objects: then ALTER EXTENSION UPDATE has not made the table yet */
#define NO_LIFE_COLUMNS "NULL::uuid, NULL::bigint, NULL::boolean, NULL::bytea, NULL::text, NULL::text, " \
	"NULL::bigint, NULL::integer, NULL::oid " \
	"FROM schemadrift_store.self s"

/* Table life, as of the last result's row. */
static void
life_fill(SdSelf *self, bytea **token, char **reason)
{
	bool		isnull;
	char	   *cause;

	(void) sd_store_value(0, 10, &isnull);
	*token = NULL;
	*reason = NULL;
	if (isnull)
		return;
	self->has_life = true;
	self->life = sd_row_uuid(0, 10);
	self->since = sd_store_int64(0, 11);
	self->replicated = DatumGetBool(sd_store_value(0, 12, &isnull));
	*token = sd_store_bytea(0, 13);
	self->has_token = *token != NULL;
	cause = sd_store_text(0, 14);
	strlcpy(self->cause, cause ? cause : "", sizeof(self->cause));
	*reason = sd_store_text(0, 15);

	(void) sd_store_value(0, 16, &isnull);
	self->life_fits = !isnull && (SD_MISTAKE(LIFE_REUSE) || (sd_store_int64(0, 16) == (int64) GetSystemIdentifier() &&
		sd_store_int32(0, 17) == (int32) GetWALInsertionTimeLine() &&
		DatumGetObjectId(sd_store_value(0, 18, &isnull)) == MyDatabaseId));
}

/*
 * "A region that may have lost a promise must not vote": a promoted standby lacks the newest votes of its old
 * primary, and a copied database would vote beside its original.  The timeline comes last: that nothing but it
 * differs is what confirm_failover() asks.
 */
static SdDiffers
compare_identity(int64 system, int32 timeline, Oid database, const char *wrong_token)
{
	if (SD_MISTAKE(NO_FENCE))
		return SD_DIFFERS_NOTHING;
	if (system != (int64) GetSystemIdentifier())
		return SD_DIFFERS_SERVER;
	if (database != MyDatabaseId)
		return SD_DIFFERS_DATABASE;
	if (wrong_token)
		return SD_DIFFERS_TOKEN;
	if (timeline != (int32) GetWALInsertionTimeLine())
		return SD_DIFFERS_TIMELINE;
	return SD_DIFFERS_NOTHING;
}

static const char *
differs_text(SdDiffers differs, const char *wrong_token)
{
	switch (differs)
	{
		case SD_DIFFERS_NOTHING:
			break;
		case SD_DIFFERS_SERVER:
			return "this server is not the one that joined the group";
		case SD_DIFFERS_DATABASE:
			return "this database is a copy of the one that joined the group";
		case SD_DIFFERS_TOKEN:
			return wrong_token;
		case SD_DIFFERS_TIMELINE:
			return "this server was promoted or restored since it joined the group";
	}
	return "";
}

static bool
self_fill(SdSelf *self, SdStatement *statement)
{
	int64		system;
	int32		timeline;
	Oid			database;
	bool		isnull;
	bytea	   *token;
	char	   *reason;
	const char *wrong_token;

	memset(self, 0, sizeof(*self));
	if (sd_store_run(statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return false;
	self->group_id = sd_row_uuid(0, 1);
	self->generation = sd_store_int32(0, 2);
	strlcpy(self->region, sd_store_text(0, 3), SD_NAME_SIZE);
	self->incarnation = sd_store_int32(0, 4);
	self->vote_seq = sd_store_int64(0, 5);
	self->state = sd_store_text(0, 6);
	system = sd_store_int64(0, 7);
	timeline = sd_store_int32(0, 8);
	database = DatumGetObjectId(sd_store_value(0, 9, &isnull));
	life_fill(self, &token, &reason);

	wrong_token = token ? sd_token_wrong(token) : NULL;
	self->differs = compare_identity(system, timeline, database, wrong_token);
	self->valid = self->differs == SD_DIFFERS_NOTHING && strcmp(self->state, "void") != 0;
	if (strcmp(self->state, "void") == 0)
		strlcpy(self->mismatch, reason ? reason : "its identity was declared void", SD_REASON_SIZE);
	else
		strlcpy(self->mismatch, differs_text(self->differs, wrong_token), SD_REASON_SIZE);
	return true;
}

bool
sd_self_read(SdSelf *self)
{
	static SdStatement statement = {.sql = "SELECT " SELF_COLUMNS LIFE_COLUMNS};
	static SdStatement without_life = {.sql = "SELECT " SELF_COLUMNS NO_LIFE_COLUMNS};

	return self_fill(self, sd_store_has("life") ? &statement : &without_life);
}

bool
sd_self_exists_now(void)
{
	Relation	rel = table_openrv(makeRangeVar("schemadrift_store", "self", -1), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	bool		exists = heap_getnext(scan, ForwardScanDirection) != NULL;

	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return exists;
}

bool
sd_self_lock(SdSelf *self)
{
	static SdStatement statement = {.sql = "SELECT 1 FROM schemadrift_store.self FOR UPDATE"};

	/* read afterwards: a row that was waited for comes in its newest version, what is joined to it would not */
	return sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) > 0 && sd_self_read(self);
}

void
sd_self_lock_joined(SdSelf *self)
{
	if (!sd_self_lock(self))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is in no group")));
}

void
sd_self_insert(const pg_uuid_t *group_id, int32 generation, const char *region, int32 incarnation, const char *state)
{
	static SdStatement self = {
		.sql = "INSERT INTO schemadrift_store.self (group_id, generation, region, incarnation, state, vote_seq, "
		"system_identifier, timeline, database) VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8)",
		.nargs = 8, .types = {UUIDOID, INT4OID, TEXTOID, INT4OID, TEXTOID, INT8OID, INT4OID, OIDOID}
	};
	static SdStatement acceptor = {
		.sql = "INSERT INTO schemadrift_store.acceptor (round, region, nonce) VALUES (0, '', 0)"
	};
	Datum		values[] = {
		SD_UUID(group_id), Int32GetDatum(generation), CStringGetTextDatum(region), Int32GetDatum(incarnation),
		CStringGetTextDatum(state), Int64GetDatum((int64) GetSystemIdentifier()),
		Int32GetDatum((int32) GetWALInsertionTimeLine()), ObjectIdGetDatum(MyDatabaseId)
	};

	sd_store_run(&self, values, NULL, 1);
	sd_store_run(&acceptor, NULL, NULL, 1);
}

/* Who has become void since we read the row, or does so while we wait for it, stays void: that identity never votes again. */
void
sd_self_set_role(const char *role)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.self SET state = $1 WHERE state <> 'void'", .nargs = 1, .types = {TEXTOID}
	};

	sd_store_run(&statement, (Datum[]) {CStringGetTextDatum(role)}, NULL, SD_ANY_ROWS);
}

void
sd_self_count_vote(bool replicated)
{
	static SdStatement statement = {.sql = "UPDATE schemadrift_store.self SET vote_seq = vote_seq + 1"};

	sd_store_run(&statement, NULL, NULL, 1);
	if (replicated)
		sd_life_note_replication();
}

/* ---- acceptor ---- */

static void
read_ballot(uint64 row, int column, SdBallot *ballot)
{
	memset(ballot, 0, sizeof(*ballot));
	ballot->round = sd_store_int64(row, column);
	strlcpy(ballot->region, sd_store_text(row, column + 1), SD_NAME_SIZE);
	ballot->nonce = (uint64) sd_store_int64(row, column + 2);
}

void
sd_promise_read(SdBallot *promised)
{
	static SdStatement statement = {.sql = "SELECT round, region, nonce FROM schemadrift_store.acceptor"};

	sd_store_run(&statement, NULL, NULL, 1);
	read_ballot(0, 1, promised);
}

void
sd_promise_lock(SdBallot *promised)
{
	static SdStatement statement = {
		.sql = "SELECT round, region, nonce FROM schemadrift_store.acceptor FOR UPDATE"
	};

	sd_store_run(&statement, NULL, NULL, 1);
	read_ballot(0, 1, promised);
}

void
sd_promise_store(const SdBallot *promised)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.acceptor SET round = $1, region = $2, nonce = $3",
		.nargs = 3, .types = {INT8OID, TEXTOID, INT8OID}
	};
	Datum		values[] = {
		Int64GetDatum(promised->round), CStringGetTextDatum(promised->region), Int64GetDatum((int64) promised->nonce)
	};

	sd_store_run(&statement, values, NULL, 1);
}

/* ---- accepted ---- */

bool
sd_accepted_ballot(int64 version, SdBallot *ballot)
{
	static SdStatement statement = {
		.sql = "SELECT round, region, nonce FROM schemadrift_store.accepted WHERE version = $1",
		.nargs = 1, .types = {INT8OID}
	};

	if (sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) == 0)
		return false;
	read_ballot(0, 1, ballot);
	return true;
}

List *
sd_accepted_from(int64 version)
{
	static SdStatement statement = {
		/* with a lower bound alone the planner expects a third of the table, and reads all of it at each vote */
		.sql = "SELECT version, round, region, nonce, entry_id, hash, body FROM schemadrift_store.accepted "
		"WHERE version BETWEEN $1 AND 9223372036854775807 ORDER BY version FOR UPDATE",
		.nargs = 1, .types = {INT8OID}
	};
	uint64		rows = sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS);
	List	   *list = NIL;

	for (uint64 i = 0; i < rows; i++)
	{
		SdAccepted *accepted = SPI_palloc(sizeof(SdAccepted));
		MemoryContext old;

		accepted->version = sd_store_int64(i, 1);
		read_ballot(i, 2, &accepted->ballot);
		sd_row_ref(i, 5, &accepted->entry);
		accepted->bytes = sd_store_bytea(i, 7);
		old = MemoryContextSwitchTo(GetMemoryChunkContext(accepted));
		list = lappend(list, accepted);
		MemoryContextSwitchTo(old);
	}
	return list;
}

void
sd_accepted_store(int64 version, const SdBallot *ballot, const SdEntry *entry)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.accepted AS a (version, round, region, nonce, entry_id, body, hash) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (version) DO UPDATE SET round = excluded.round, "
		"region = excluded.region, nonce = excluded.nonce, entry_id = excluded.entry_id, "
		"body = CASE WHEN a.hash = excluded.hash THEN a.body ELSE excluded.body END, hash = excluded.hash",
		.nargs = 7, .types = {INT8OID, INT8OID, TEXTOID, INT8OID, UUIDOID, BYTEAOID, BYTEAOID}
	};
	Datum		values[] = {
		Int64GetDatum(version), Int64GetDatum(ballot->round), CStringGetTextDatum(ballot->region),
		Int64GetDatum((int64) ballot->nonce), SD_UUID(&entry->id), PointerGetDatum(entry->bytes), sd_row_hash_datum(entry->hash)
	};

	sd_store_run(&statement, values, NULL, 1);
}

void
sd_accepted_strip(int64 version)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.accepted SET body = '' WHERE version = $1", .nargs = 1, .types = {INT8OID}
	};

	sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS);
}

/* ---- may it vote? ---- */

/*
 * The tables are looked at again when one of them changed.  What other relations' changes say is not listened to: every
 * schema change is one, and each of its votes would pay for the look.  A table made anew in the place of another is noticed
 * because the other's end is a change, and as long as one that votes need is missing every change counts.
 */
#define MAX_TABLES	32
#define VOTE_TABLES "'self', 'acceptor', 'accepted', 'log'"
#define N_VOTE_TABLES 4

static uint64 changes = 1;
static uint64 looked_at = 0;	/* after so many changes */
static bool tables_fit;
static bool all_count = true;
static Oid	tables[MAX_TABLES];
static int	n_tables;

static void
relation_changed(Datum arg, Oid relid)
{
	bool		counts = all_count || !OidIsValid(relid);

	(void) arg;
	for (int i = 0; i < n_tables && !counts; i++)
		counts = tables[i] == relid;
	if (counts)
		changes++;
}

static void
look_at_tables(void)
{
	/* our own triggers are the only ones, rules and policies there are none, a crash must not empty a table, nobody made it anew */
	static SdStatement statement = {
		.sql = "SELECT c.oid, c.relname IN (" VOTE_TABLES "), c.relpersistence <> 'p' "
		"OR EXISTS (SELECT 1 FROM pg_policy y WHERE y.polrelid = c.oid) "
		"OR EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = c.oid) "
		"OR (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid) <> 2 "
		"OR (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'guard_row' AND t.tgenabled = 'R') <> 1 "
		"OR (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'guard_truncate' AND t.tgenabled = 'A') <> 1 "
		"OR NOT EXISTS (SELECT 1 FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extowner = c.relowner "
		"WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass "
		"AND d.deptype = 'e' AND e.extname = 'schemadrift') "
		"FROM pg_class c WHERE c.relnamespace = 'schemadrift_store'::regnamespace AND c.relkind = 'r'"
	};
	uint64		before = changes;
	uint64		rows;
	int			needed = 0;

	/* until we know them again */
	all_count = true;
	rows = sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
	tables_fit = true;
	n_tables = 0;
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;

		if (n_tables < MAX_TABLES)
			tables[n_tables++] = DatumGetObjectId(sd_store_value(i, 1, &isnull));
		if (DatumGetBool(sd_store_value(i, 2, &isnull)))
			needed++;
		if (DatumGetBool(sd_store_value(i, 3, &isnull)))
			tables_fit = false;
	}
	all_count = needed < N_VOTE_TABLES || rows > MAX_TABLES;
	looked_at = before;
}

const char *
sd_store_unfit(void)
{
	static bool registered = false;

	if (!registered)
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	registered = true;
	if (!enableFsync)
		return "fsync is off: a vote would not survive a power cut";
	if (!fullPageWrites && !sd_atomic_page_writes)
		return "full_page_writes is off and schemadrift.atomic_page_writes too: a torn page could lose a vote";
	if (looked_at != changes)
		look_at_tables();
	return tables_fit ? NULL : "tables of schema schemadrift_store were changed: unlogged, not the extension's, or with other triggers, rules or policies";
}
