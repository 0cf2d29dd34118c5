/*
 * applied.c: how far the schema followed the log, and what else this region remembers; see state.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "consensus/mistakes.h"
#include "store/rows.h"
#include "store/state.h"

/* ---- applied ---- */

static void
applied_fill(SdApplied *applied, SdStatement *statement)
{
	sd_store_run(statement, NULL, NULL, 1);
	applied->version = sd_store_int64(0, 1);
	sd_row_hash(0, 2, applied->chain.sha);
	sd_row_hash(0, 3, applied->digest);
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
	Datum		values[] = {Int64GetDatum(applied->version), sd_row_hash_datum(applied->chain.sha), sd_row_hash_datum(applied->digest)};

	sd_store_run(&statement, values, NULL, 1);
}

void
sd_applied_advance(int64 version, const SdChain *chain, const uint8 *digest)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.applied SET version = $1, chain = $2, digest = $3 WHERE version = $1 - 1",
		.nargs = 3, .types = {INT8OID, BYTEAOID, BYTEAOID}
	};
	Datum		values[] = {Int64GetDatum(version), sd_row_hash_datum(chain->sha), sd_row_hash_datum(digest)};

#ifdef SD_TESTING
	static SdStatement without_look = {
		.sql = "UPDATE schemadrift_store.applied SET version = $1, chain = $2, digest = $3",
		.nargs = 3, .types = {INT8OID, BYTEAOID, BYTEAOID}
	};

	if (SD_MISTAKE(NO_CAS))
	{
		sd_store_run(&without_look, values, NULL, 1);
		return;
	}
#endif
	sd_store_run(&statement, values, NULL, 1);
}

void
sd_applied_set_digest(const uint8 *digest)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.applied SET digest = $1", .nargs = 1, .types = {BYTEAOID}
	};

	sd_store_run(&statement, (Datum[]) {sd_row_hash_datum(digest)}, NULL, 1);
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
	Datum		values[] = {SD_UUID(entry_id), Int64GetDatum(version), CStringGetTextDatum(name)};

	sd_store_run(&statement, values, NULL, 1);
}

void
sd_attempt_close(const pg_uuid_t *entry_id)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.attempt SET closed = true WHERE entry_id = $1",
		.nargs = 1, .types = {UUIDOID}
	};

	sd_store_run(&statement, (Datum[]) {SD_UUID(entry_id)}, NULL, SD_ANY_ROWS);
}

bool
sd_attempt_is_open(int64 version)
{
	static SdStatement statement = {
		.sql = "SELECT 1 FROM schemadrift_store.attempt WHERE version = $1 AND NOT closed LIMIT 1",
		.nargs = 1, .types = {INT8OID}
	};

	return sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) > 0;
}

/* ---- others ---- */

int64
sd_peer_applied(const char *region, int32 incarnation)
{
	static SdStatement statement = {
		.sql = "SELECT applied FROM schemadrift_store.peer WHERE region = $1 AND incarnation = $2",
		.nargs = 2, .types = {TEXTOID, INT4OID}
	};

	if (sd_store_run(&statement, (Datum[]) {CStringGetTextDatum(region), Int32GetDatum(incarnation)}, NULL,
					 SD_ANY_ROWS) == 0)
		return 0;
	return sd_store_int64(0, 1);
}

int64
sd_peer_vote_seq(const char *region, int32 incarnation)
{
	static SdStatement statement = {
		.sql = "SELECT vote_seq FROM schemadrift_store.peer WHERE region = $1 AND incarnation = $2",
		.nargs = 2, .types = {TEXTOID, INT4OID}
	};

	if (sd_store_run(&statement, (Datum[]) {CStringGetTextDatum(region), Int32GetDatum(incarnation)}, NULL,
					 SD_ANY_ROWS) == 0)
		return 0;
	return sd_store_int64(0, 1);
}

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
sd_peer_count(const char *region, int32 incarnation, int64 vote_seq)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.peer AS p (region, incarnation, applied, vote_seq, boot_id) "
		"VALUES ($1, $2, 0, $3, 0) ON CONFLICT (region, incarnation) DO UPDATE SET vote_seq = greatest(p.vote_seq, excluded.vote_seq)",
		.nargs = 3, .types = {TEXTOID, INT4OID, INT8OID}
	};

	sd_store_run(&statement, (Datum[]) {CStringGetTextDatum(region), Int32GetDatum(incarnation), Int64GetDatum(vote_seq)}, NULL, 1);
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
