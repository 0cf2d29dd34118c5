/*
 * log.c: the log, and what it decides for the next version; see state.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "store/protocol.h"
#include "store/rows.h"
#include "store/state.h"

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
	sd_row_hash(0, 2, head->chain.sha);
}

int64
sd_log_newest_hlc(void)
{
	static SdStatement statement = {
		.sql = "SELECT hlc FROM schemadrift_store.log ORDER BY version DESC LIMIT 1"
	};

	return sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) == 0 ? 0 : sd_store_int64(0, 1);
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
		sd_row_hash(0, 1, chain->sha);
	if (entry)
		sd_row_ref(0, 2, entry);
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
		Int64GetDatum(version), SD_UUID(&entry->id), CStringGetTextDatum(entry->kind),
		entry->name ? CStringGetTextDatum(entry->name) : (Datum) 0, CStringGetTextDatum(entry->origin),
		Int32GetDatum(entry->incarnation), Int64GetDatum(entry->n), Int64GetDatum(entry->barrier),
		Int64GetDatum(entry->hlc), CStringGetTextDatum(entry->author), Int32GetDatum(entry->protocol),
		Int64GetDatum(entry->target), PointerGetDatum(entry->bytes), sd_row_hash_datum(entry->hash), sd_row_hash_datum(chain->sha)
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

	if (sd_store_run(&statement, (Datum[]) {SD_UUID(entry_id)}, NULL, SD_ANY_ROWS) == 0)
		return 0;
	return sd_store_int64(0, 1);
}

int64
sd_log_next_dot(const char *origin, int32 incarnation)
{
	static SdStatement statement = {
		.sql = "SELECT greatest((SELECT n FROM schemadrift_store.log WHERE origin = $1 AND incarnation = $2 "
		"ORDER BY n DESC LIMIT 1), "
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
		"self", "acceptor", "accepted", "log", "applied", "execution", "attempt", "peer", "bypass", "peer_address",
		"life", "task", "drift"
	};

	for (size_t i = 0; i < lengthof(tables); i++)
		if (sd_store_has(tables[i]) &&
			SPI_execute(psprintf("DELETE FROM schemadrift_store.%s", tables[i]), false, 0) < 0)
			elog(ERROR, "could not clear table %s", tables[i]);
}

/* ---- what the log decides for the next version ---- */

/*
 * The newest of two kinds is the larger of two maxima, and so two looks into index log_kind: to sort by version and
 * take the first of either kind would read the log backwards, as far as the entry is old.
 */

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

Jsonb *
sd_policy_read(void)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE version = greatest("
		"(SELECT max(version) FROM schemadrift_store.log WHERE kind = 'baseline'), "
		"(SELECT max(version) FROM schemadrift_store.log WHERE kind = 'policy'))"
	};
	Jsonb	   *payload;
	int64		version;

	payload = newest_payload(&statement, &version);
	return payload ? sd_json_object(payload, "policy") : NULL;
}

Jsonb *
sd_policy_applied(void)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE version = ("
		"SELECT greatest((SELECT max(version) FROM schemadrift_store.log WHERE kind = 'baseline' AND version <= a.version), "
		"(SELECT max(version) FROM schemadrift_store.log WHERE kind = 'policy' AND version <= a.version)) "
		"FROM (SELECT coalesce((SELECT version FROM schemadrift_store.applied), 9223372036854775807) AS version) a)"
	};
	Jsonb	   *payload;
	int64		version;

	payload = newest_payload(&statement, &version);
	return payload ? sd_json_object(payload, "policy") : NULL;
}
