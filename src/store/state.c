/*
 * state.c: the rows of a region's state; see state.h for the lock order.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "store/state.h"

#define UUID(u) UUIDPGetDatum((pg_uuid_t *) (u))

static Datum
hash_datum(const uint8 *hash)
{
	bytea	   *bytes = palloc(VARHDRSZ + SD_SHA_SIZE);

	SET_VARSIZE(bytes, VARHDRSZ + SD_SHA_SIZE);
	memcpy(VARDATA(bytes), hash, SD_SHA_SIZE);
	return PointerGetDatum(bytes);
}

static void
read_hash(uint64 row, int column, uint8 *hash)
{
	bytea	   *bytes = sd_store_bytea(row, column);

	if (bytes == NULL || VARSIZE_ANY_EXHDR(bytes) != SD_SHA_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a hash in schema schemadrift_store has the wrong size")));
	memcpy(hash, VARDATA_ANY(bytes), SD_SHA_SIZE);
	pfree(bytes);
}

static pg_uuid_t
read_uuid(uint64 row, int column)
{
	bool		isnull;

	return *DatumGetUUIDP(sd_store_value(row, column, &isnull));
}

/* two columns: entry id, hash */
static void
read_ref(uint64 row, int column, SdEntryRef *ref)
{
	pg_uuid_t	id = read_uuid(row, column);

	memcpy(ref->id, id.data, SD_ENTRY_ID_SIZE);
	read_hash(row, column + 1, ref->sha);
}

static void
read_ballot(uint64 row, int column, SdBallot *ballot)
{
	memset(ballot, 0, sizeof(*ballot));
	ballot->round = sd_store_int64(row, column);
	strlcpy(ballot->region, sd_store_text(row, column + 1), SD_NAME_SIZE);
	ballot->nonce = (uint64) sd_store_int64(row, column + 2);
}

/* ---- self ---- */

#define SELF_COLUMNS "group_id, generation, region, incarnation, vote_seq, state, " \
	"system_identifier, timeline, database FROM schemadrift_store.self"

static bool
self_fill(SdSelf *self, SdStatement *statement)
{
	int64		system;
	int32		timeline;
	Oid			database;
	bool		isnull;

	memset(self, 0, sizeof(*self));
	if (sd_store_run(statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return false;
	self->group_id = read_uuid(0, 1);
	self->generation = sd_store_int32(0, 2);
	strlcpy(self->region, sd_store_text(0, 3), SD_NAME_SIZE);
	self->incarnation = sd_store_int32(0, 4);
	self->vote_seq = sd_store_int64(0, 5);
	self->state = sd_store_text(0, 6);
	system = sd_store_int64(0, 7);
	timeline = sd_store_int32(0, 8);
	database = DatumGetObjectId(sd_store_value(0, 9, &isnull));

	/*
	 * A region that may have lost a promise must not vote: a promoted standby lacks the newest votes of
	 * its old primary, and a copied database would vote beside its original.
	 */
	if (system != (int64) GetSystemIdentifier())
		self->mismatch = "this server is not the one that joined the group";
	else if (timeline != (int32) GetWALInsertionTimeLine())
		self->mismatch = "this server was promoted or restored since it joined the group";
	else if (database != MyDatabaseId)
		self->mismatch = "this database is a copy of the one that joined the group";
	self->valid = self->mismatch == NULL && strcmp(self->state, "void") != 0;
	if (!self->valid && self->mismatch == NULL)
		self->mismatch = "its identity was declared void";
	return true;
}

bool
sd_self_read(SdSelf *self)
{
	static SdStatement statement = {.sql = "SELECT " SELF_COLUMNS};

	return self_fill(self, &statement);
}

bool
sd_self_lock(SdSelf *self)
{
	static SdStatement statement = {.sql = "SELECT " SELF_COLUMNS " FOR UPDATE"};

	return self_fill(self, &statement);
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
		UUID(group_id), Int32GetDatum(generation), CStringGetTextDatum(region), Int32GetDatum(incarnation),
		CStringGetTextDatum(state), Int64GetDatum((int64) GetSystemIdentifier()),
		Int32GetDatum((int32) GetWALInsertionTimeLine()), ObjectIdGetDatum(MyDatabaseId)
	};

	sd_store_run(&self, values, NULL, 1);
	sd_store_run(&acceptor, NULL, NULL, 1);
}

void
sd_self_set_state(const char *state)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.self SET state = $1", .nargs = 1, .types = {TEXTOID}
	};

	sd_store_run(&statement, (Datum[]) {CStringGetTextDatum(state)}, NULL, 1);
}

void
sd_self_count_vote(void)
{
	static SdStatement statement = {.sql = "UPDATE schemadrift_store.self SET vote_seq = vote_seq + 1"};

	sd_store_run(&statement, NULL, NULL, 1);
}

/* ---- acceptor ---- */

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

List *
sd_accepted_from(int64 version)
{
	static SdStatement statement = {
		.sql = "SELECT version, round, region, nonce, entry_id, hash, body FROM schemadrift_store.accepted "
		"WHERE version >= $1 ORDER BY version FOR UPDATE",
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
		read_ref(i, 5, &accepted->entry);
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
		Int64GetDatum((int64) ballot->nonce), UUID(&entry->id), PointerGetDatum(entry->bytes), hash_datum(entry->hash)
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

/* ---- log ---- */

void
sd_log_head(SdHead *head)
{
	static SdStatement statement = {
		.sql = "SELECT version, chain FROM schemadrift_store.log ORDER BY version DESC LIMIT 1"
	};

	memset(head, 0, sizeof(*head));
	if (sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return;
	head->version = sd_store_int64(0, 1);
	read_hash(0, 2, head->chain.sha);
}

bool
sd_log_find(int64 version, SdChain *chain, SdEntryRef *entry)
{
	static SdStatement statement = {
		.sql = "SELECT chain, entry_id, hash FROM schemadrift_store.log WHERE version = $1",
		.nargs = 1, .types = {INT8OID}
	};

	if (sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) == 0)
		return false;
	if (chain)
		read_hash(0, 1, chain->sha);
	if (entry)
		read_ref(0, 2, entry);
	return true;
}

SdEntry *
sd_log_entry(int64 version)
{
	static SdStatement statement = {
		.sql = "SELECT body FROM schemadrift_store.log WHERE version = $1", .nargs = 1, .types = {INT8OID}
	};
	bytea	   *bytes;

	if (sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) == 0)
		return NULL;
	bytes = sd_store_bytea(0, 1);
	return bytes ? sd_entry_decode(bytes) : NULL;
}

void
sd_log_insert(int64 version, const SdEntry *entry, const SdChain *chain)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.log (version, entry_id, kind, name, origin, incarnation, n, barrier, "
		"hlc, author, protocol, target, body, hash, chain) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
		.nargs = 15, .types = {INT8OID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT8OID, INT8OID,
		INT8OID, TEXTOID, INT4OID, INT8OID, BYTEAOID, BYTEAOID, BYTEAOID}
	};
	Datum		values[] = {
		Int64GetDatum(version), UUID(&entry->id), CStringGetTextDatum(entry->kind),
		entry->name ? CStringGetTextDatum(entry->name) : (Datum) 0, CStringGetTextDatum(entry->origin),
		Int32GetDatum(entry->incarnation), Int64GetDatum(entry->n), Int64GetDatum(entry->barrier),
		Int64GetDatum(entry->hlc), CStringGetTextDatum(entry->author), Int32GetDatum(entry->protocol),
		Int64GetDatum(entry->target), PointerGetDatum(entry->bytes), hash_datum(entry->hash), hash_datum(chain->sha)
	};
	bool		nulls[lengthof(values)] = {[3] = entry->name == NULL, [11] = entry->target == 0};

	sd_store_run(&statement, values, nulls, 1);
}

int64
sd_log_find_id(const pg_uuid_t *entry_id)
{
	static SdStatement statement = {
		.sql = "SELECT version FROM schemadrift_store.log WHERE entry_id = $1", .nargs = 1, .types = {UUIDOID}
	};

	if (sd_store_run(&statement, (Datum[]) {UUID(entry_id)}, NULL, SD_ANY_ROWS) == 0)
		return 0;
	return sd_store_int64(0, 1);
}

bool
sd_log_superseded(int64 version, int64 *by)
{
	static SdStatement statement = {
		.sql = "SELECT version FROM schemadrift_store.log WHERE target = $1 AND kind = 'supersede' LIMIT 1",
		.nargs = 1, .types = {INT8OID}
	};

	if (sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) == 0)
		return false;
	*by = sd_store_int64(0, 1);
	return true;
}

int64
sd_log_next_dot(const char *origin, int32 incarnation)
{
	static SdStatement statement = {
		.sql = "SELECT greatest((SELECT max(n) FROM schemadrift_store.log WHERE origin = $1 AND incarnation = $2), "
		"(SELECT max(n) FROM schemadrift_store.bypass), 0) + 1",
		.nargs = 2, .types = {TEXTOID, INT4OID}
	};

	sd_store_run(&statement, (Datum[]) {CStringGetTextDatum(origin), Int32GetDatum(incarnation)}, NULL, 1);
	return sd_store_int64(0, 1);
}

void
sd_log_clear(void)
{
	static const char *const tables[] = {
		"self", "acceptor", "accepted", "log", "applied", "execution", "attempt", "peer", "bypass"
	};

	for (size_t i = 0; i < lengthof(tables); i++)
		if (SPI_execute(psprintf("DELETE FROM schemadrift_store.%s", tables[i]), false, 0) < 0)
			elog(ERROR, "could not clear table %s", tables[i]);
}

/* ---- applied ---- */

static void
applied_fill(SdApplied *applied, SdStatement *statement)
{
	sd_store_run(statement, NULL, NULL, 1);
	applied->version = sd_store_int64(0, 1);
	read_hash(0, 2, applied->chain.sha);
	read_hash(0, 3, applied->digest);
}

void
sd_applied_read(SdApplied *applied)
{
	static SdStatement statement = {.sql = "SELECT version, chain, digest FROM schemadrift_store.applied"};

	applied_fill(applied, &statement);
}

void
sd_applied_lock(SdApplied *applied)
{
	static SdStatement statement = {.sql = "SELECT version, chain, digest FROM schemadrift_store.applied FOR UPDATE"};

	applied_fill(applied, &statement);
}

void
sd_applied_insert(const SdApplied *applied)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.applied (version, chain, digest) VALUES ($1, $2, $3)",
		.nargs = 3, .types = {INT8OID, BYTEAOID, BYTEAOID}
	};
	Datum		values[] = {Int64GetDatum(applied->version), hash_datum(applied->chain.sha), hash_datum(applied->digest)};

	sd_store_run(&statement, values, NULL, 1);
}

void
sd_applied_advance(int64 version, const SdChain *chain, const uint8 *digest)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.applied SET version = $1, chain = $2, digest = $3 WHERE version = $1 - 1",
		.nargs = 3, .types = {INT8OID, BYTEAOID, BYTEAOID}
	};
	Datum		values[] = {Int64GetDatum(version), hash_datum(chain->sha), hash_datum(digest)};

	sd_store_run(&statement, values, NULL, 1);
}

void
sd_applied_set_digest(const uint8 *digest)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.applied SET digest = $1", .nargs = 1, .types = {BYTEAOID}
	};

	sd_store_run(&statement, (Datum[]) {hash_datum(digest)}, NULL, 1);
}

void
sd_execution_insert(int64 version, const char *state, TimestampTz since, int attempts, const char *reason)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.execution (version, state, at, duration_ms, attempts, reason) "
		"VALUES ($1, $2, $3, extract(epoch FROM clock_timestamp() - $3) * 1000, $4, $5)",
		.nargs = 5, .types = {INT8OID, TEXTOID, TIMESTAMPTZOID, INT4OID, TEXTOID}
	};
	Datum		values[] = {
		Int64GetDatum(version), CStringGetTextDatum(state), TimestampTzGetDatum(since), Int32GetDatum(attempts),
		reason ? CStringGetTextDatum(reason) : (Datum) 0
	};
	bool		nulls[lengthof(values)] = {[4] = reason == NULL};

	sd_store_run(&statement, values, nulls, 1);
}

/* ---- attempts ---- */

void
sd_attempt_insert(const pg_uuid_t *entry_id, int64 version, const char *name)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.attempt (entry_id, version, name) VALUES ($1, $2, nullif($3, '')) "
		"ON CONFLICT (entry_id) DO UPDATE SET version = excluded.version, at = excluded.at",
		.nargs = 3, .types = {UUIDOID, INT8OID, TEXTOID}
	};
	Datum		values[] = {UUID(entry_id), Int64GetDatum(version), CStringGetTextDatum(name)};

	sd_store_run(&statement, values, NULL, 1);
}

void
sd_attempt_close(const pg_uuid_t *entry_id)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.attempt SET closed = true WHERE entry_id = $1",
		.nargs = 1, .types = {UUIDOID}
	};

	sd_store_run(&statement, (Datum[]) {UUID(entry_id)}, NULL, SD_ANY_ROWS);
}

/* ---- what the log decides for the next version ---- */

static Jsonb *
newest_payload(SdStatement *statement, int64 *version)
{
	bytea	   *bytes;

	if (sd_store_run(statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return NULL;
	*version = sd_store_int64(0, 1);
	bytes = sd_store_bytea(0, 2);
	return sd_entry_payload(sd_entry_decode(bytes));
}

int64
sd_self_removed(const SdSelf *self)
{
	SdMembers  *members = palloc(sizeof(SdMembers));
	int64		removed = 0;
	int			me;

	sd_members_read(members);
	me = sd_config_find(&members->config, self->region);
	if (members->config.n > 0 && (me < 0 || members->config.member[me].incarnation != self->incarnation))
	{
		SdMemberHistory history;

		sd_members_history(self->region, self->incarnation, &history);
		removed = history.removed_by;
	}
	pfree(members);
	return removed;
}

static SdRole
role_from_text(const char *text)
{
	if (strcmp(text, "voter") == 0)
		return SD_ROLE_VOTER;
	if (strcmp(text, "witness") == 0)
		return SD_ROLE_WITNESS;
	return SD_ROLE_OBSERVER;
}

const char *
sd_role_text(SdRole role)
{
	switch (role)
	{
		case SD_ROLE_VOTER:
			return "voter";
		case SD_ROLE_WITNESS:
			return "witness";
		case SD_ROLE_OBSERVER:
			return "observer";
	}
	return "observer";
}

static void
members_parse(const SdEntry *entry, int64 since, SdMembers *members)
{
	Jsonb	   *list = sd_json_object(sd_entry_payload(entry), "members");
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	memset(members, 0, sizeof(*members));
	members->config.since = since;
	if (list == NULL || !JB_ROOT_IS_ARRAY(list))
		elog(ERROR, "config entry " INT64_FORMAT " has no members", since);

	iterator = JsonbIteratorInit(&list->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		int			i = members->config.n;
		SdMember   *member = &members->config.member[i];
		Jsonb	   *one;
		char	   *region;
		char	   *role;
		char	   *wants;

		if (token != WJB_ELEM)
			continue;
		if (i >= SD_MAX_REGIONS)
			elog(ERROR, "config entry " INT64_FORMAT " has more than %d members", since, SD_MAX_REGIONS);
		one = JsonbValueToJsonb(&value);
		region = sd_json_text(one, "region");
		role = sd_json_text(one, "role");
		wants = sd_json_text(one, "wants");
		if (region == NULL || role == NULL)
			elog(ERROR, "config entry " INT64_FORMAT " has a member without region or role", since);
		strlcpy(member->region, region, SD_NAME_SIZE);
		member->incarnation = (int32) sd_json_int64(one, "incarnation", 1);
		member->role = role_from_text(role);
		member->suspended = sd_json_int64(one, "suspended", 0) != 0;
		members->conninfo[i] = sd_json_text(one, "conninfo");
		members->priority[i] = (int32) sd_json_int64(one, "priority", 0);
		members->wants[i] = wants ? role_from_text(wants) : member->role;
		members->config.n++;
	}
}

void
sd_members_read(SdMembers *members)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE kind IN ('baseline', 'config') "
		"ORDER BY version DESC LIMIT 1"
	};

	memset(members, 0, sizeof(*members));
	if (sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return;
	members_parse(sd_entry_decode(sd_store_bytea(0, 2)), sd_store_int64(0, 1), members);
}

void
sd_members_history(const char *region, int32 incarnation, SdMemberHistory *history)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE kind IN ('baseline', 'config') ORDER BY version"
	};
	uint64		rows = sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
	SdMembers  *members = palloc(sizeof(SdMembers));
	bool		was_in = false;

	memset(history, 0, sizeof(*history));
	for (uint64 i = 0; i < rows; i++)
	{
		bytea	   *bytes = sd_store_bytea(i, 2);
		int			m;
		bool		is_in;

		members_parse(sd_entry_decode(bytes), sd_store_int64(i, 1), members);
		m = sd_config_find(&members->config, region);
		if (m >= 0)
			history->last_incarnation = Max(history->last_incarnation, members->config.member[m].incarnation);
		is_in = m >= 0 && members->config.member[m].incarnation == incarnation;
		if (was_in && !is_in)
			history->removed_by = members->config.since;
		was_in = is_in;
		pfree(bytes);
	}
	if (was_in)
		history->removed_by = 0;
	pfree(members);
}

void
sd_members_copy(SdMembers *to, const SdMembers *from)
{
	*to = *from;
	for (int i = 0; i < from->config.n; i++)
		to->conninfo[i] = from->conninfo[i] ? pstrdup(from->conninfo[i]) : NULL;
}

char *
sd_members_json(const SdMembers *members)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < members->config.n; i++)
	{
		const SdMember *member = &members->config.member[i];

		appendStringInfoString(&out, i > 0 ? ",{\"region\":" : "{\"region\":");
		escape_json(&out, member->region);
		appendStringInfo(&out, ",\"incarnation\":%d,\"role\":\"%s\",\"suspended\":%d,\"priority\":%d,\"conninfo\":",
						 member->incarnation, sd_role_text(member->role), member->suspended ? 1 : 0, members->priority[i]);
		escape_json(&out, members->conninfo[i] ? members->conninfo[i] : "");
		if (members->wants[i] != member->role)
			appendStringInfo(&out, ",\"wants\":\"%s\"", sd_role_text(members->wants[i]));
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoChar(&out, ']');
	return out.data;
}

Jsonb *
sd_policy_read(void)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE kind IN ('baseline', 'policy') "
		"ORDER BY version DESC LIMIT 1"
	};
	Jsonb	   *payload;
	int64		version;

	payload = newest_payload(&statement, &version);
	return payload ? sd_json_object(payload, "policy") : NULL;
}

/* ---- others ---- */

void
sd_peer_remember(const char *region, int32 incarnation, int64 applied, int64 vote_seq, int64 boot_id)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.peer AS p (region, incarnation, applied, vote_seq, boot_id) "
		"VALUES ($1, $2, $3, $4, $5) ON CONFLICT (region, incarnation) DO UPDATE SET "
		"applied = greatest(p.applied, excluded.applied), vote_seq = greatest(p.vote_seq, excluded.vote_seq), "
		"boot_id = excluded.boot_id",
		.nargs = 5, .types = {TEXTOID, INT4OID, INT8OID, INT8OID, INT8OID}
	};
	Datum		values[] = {
		CStringGetTextDatum(region), Int32GetDatum(incarnation), Int64GetDatum(applied),
		Int64GetDatum(vote_seq), Int64GetDatum(boot_id)
	};

	sd_store_run(&statement, values, NULL, 1);
}

void
sd_bypass_insert(int64 n, const char *author, const char *mode, const char *reason, const char *command)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.bypass (n, at, author, mode, reason, command) "
		"VALUES ($1, clock_timestamp(), $2, $3, $4, $5)",
		.nargs = 5, .types = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
	};
	Datum		values[] = {
		Int64GetDatum(n), CStringGetTextDatum(author), CStringGetTextDatum(mode),
		CStringGetTextDatum(reason), CStringGetTextDatum(command)
	};

	sd_store_run(&statement, values, NULL, 1);
}

/* The tables are looked at again only when some relation's definition changed. */
static bool tables_looked_at = false;
static bool tables_fit;

static void
relation_changed(Datum arg, Oid relid)
{
	(void) arg;
	(void) relid;
	tables_looked_at = false;
}

const char *
sd_store_unfit(void)
{
	/* our own triggers are the only ones, rules there are none, and a crash must not empty a table */
	static SdStatement statement = {
		.sql = "SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'schemadrift_store'::regnamespace "
		"AND c.relkind = 'r' AND (c.relpersistence <> 'p' OR c.relhasrules OR c.relrowsecurity "
		"OR (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid) <> 2 "
		"OR (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'guard_row' AND t.tgenabled = 'R') <> 1 "
		"OR (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'guard_truncate' AND t.tgenabled = 'A') <> 1)"
	};
	static bool registered = false;

	if (!registered)
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	registered = true;
	if (!enableFsync)
		return "fsync is off: a vote would not survive a power cut";
	if (!tables_looked_at)
	{
		tables_looked_at = true;	/* before looking: a change meanwhile unsets it */
		sd_store_run(&statement, NULL, NULL, 1);
		tables_fit = sd_store_int64(0, 1) == 0;
	}
	return tables_fit ? NULL : "tables of schema schemadrift_store were changed: unlogged, or with other triggers or rules";
}
