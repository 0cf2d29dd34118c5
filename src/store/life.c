/*
 * life.c: a region's own life; see life.h.
 */
#include "compat.h"

#include <sys/stat.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "consensus/mistakes.h"
#include "paste.h"
#include "settings.h"
#include "shared.h"
#include "store/life.h"
#include "store/protocol.h"
#include "store/rows.h"

const char *
sd_void_cause(SdDiffers differs)
{
	switch (differs)
	{
		case SD_DIFFERS_NOTHING:
			break;
		case SD_DIFFERS_SERVER:
			return SD_VOID_SERVER;
		case SD_DIFFERS_DATABASE:
			return SD_VOID_DATABASE;
		case SD_DIFFERS_TOKEN:
			return SD_VOID_TOKEN;
		case SD_DIFFERS_TIMELINE:
			return SD_VOID_PROMOTED;
	}
	return SD_VOID_DECLARED;
}

/* ---- token ---- */

#define TOKEN_MAX_SIZE (1024 * 1024)

/* What the file was when it was hashed last: a vote costs a stat(), no more. */
static struct
{
	bool		known;
	char	   *path;
	dev_t		device;
	ino_t		inode;
	off_t		size;
	struct timespec changed;
	uint8		hash[SD_SHA_SIZE];
}			token;

static bool
token_same(const struct stat *st)
{
	return token.known && strcmp(token.path, sd_token_file) == 0 && token.device == st->st_dev &&
		token.inode == st->st_ino && token.size == st->st_size &&
		token.changed.tv_sec == st->st_ctim.tv_sec && token.changed.tv_nsec == st->st_ctim.tv_nsec;
}

static bool
token_load(const struct stat *st)
{
	int			fd;
	char	   *data;
	ssize_t		size;

	if (!S_ISREG(st->st_mode) || st->st_size == 0 || st->st_size > TOKEN_MAX_SIZE)
		return false;
	fd = OpenTransientFile(sd_token_file, O_RDONLY | PG_BINARY);
	if (fd < 0)
		return false;
	data = palloc(st->st_size);
	size = read(fd, data, st->st_size);
	CloseTransientFile(fd);
	if (size == st->st_size)
	{
		if (token.path)
			pfree(token.path);
		token.path = MemoryContextStrdup(TopMemoryContext, sd_token_file);
		token.device = st->st_dev;
		token.inode = st->st_ino;
		token.size = st->st_size;
		token.changed = st->st_ctim;
		sd_sha256(data, size, token.hash);
		token.known = true;
	}
	pfree(data);
	return size == st->st_size;
}

bool
sd_token_read(uint8 *hash)
{
	struct stat st;

	if (sd_token_file == NULL || sd_token_file[0] == '\0' || stat(sd_token_file, &st) != 0)
		return false;
	if (!token_same(&st) && !token_load(&st))
		return false;
	memcpy(hash, token.hash, SD_SHA_SIZE);
	return true;
}

const char *
sd_token_wrong(const bytea *kept)
{
	uint8		hash[SD_SHA_SIZE];

	if (sd_token_file == NULL || sd_token_file[0] == '\0')
		return "this region has a token, and schemadrift.token_file is not set here";
	if (!sd_token_read(hash))
		return "the file that schemadrift.token_file names cannot be read, or is empty";
	if (VARSIZE_ANY_EXHDR(kept) != SD_SHA_SIZE || memcmp(VARDATA_ANY(kept), hash, SD_SHA_SIZE) != 0)
		return "the token in schemadrift.token_file is not this region's";
	return NULL;
}

static Datum
token_datum(bool *isnull)
{
	uint8		hash[SD_SHA_SIZE];

	*isnull = !sd_token_read(hash);
	return *isnull ? (Datum) 0 : sd_row_hash_datum(hash);
}

/* ---- the row ---- */

void
sd_life_begin(const SdSelf *self, int64 since)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.life (life, since, begun, token, replicated) "
		"VALUES ($1, $2, clock_timestamp(), $3, $4)",
		.nargs = 4, .types = {UUIDOID, INT8OID, BYTEAOID, BOOLOID}
	};
	pg_uuid_t	life;
	bool		nulls[4] = {false};
	Datum		values[4];

	sd_uuid_make(&life);
	values[0] = SD_UUID(&life);
	values[1] = Int64GetDatum(since);
	values[2] = token_datum(&nulls[2]);
	/* of votes that were cast before anybody kept account nothing is known */
	values[3] = BoolGetDatum(self->vote_seq == 0);
	sd_store_run(&statement, values, nulls, 1);
}

void
sd_life_keep_token(const uint8 *hash)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.life SET token = $1 WHERE token IS NULL", .nargs = 1, .types = {BYTEAOID}
	};

	sd_store_run(&statement, (Datum[]) {sd_row_hash_datum(hash)}, NULL, SD_ANY_ROWS);
}

void
sd_life_note_replication(void)
{
	static SdStatement statement = {
		.sql = "UPDATE schemadrift_store.life SET replicated = false WHERE replicated"
	};

	if (!SyncRepRequested() || SyncRepStandbyNames == NULL || SyncRepStandbyNames[0] == '\0')
		sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
}

void
sd_life_renew(void)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.life AS l (life, since, begun, replicated, system_identifier, timeline, database) "
		"VALUES ($1, 0, clock_timestamp(), false, $2, $3, $4) ON CONFLICT (one) DO UPDATE SET life = excluded.life, "
		"system_identifier = excluded.system_identifier, timeline = excluded.timeline, database = excluded.database",
		.nargs = 4, .types = {UUIDOID, INT8OID, INT4OID, OIDOID}
	};
	pg_uuid_t	life;
	Datum		values[] = {
		SD_UUID(&life), Int64GetDatum((int64) GetSystemIdentifier()), Int32GetDatum((int32) GetWALInsertionTimeLine()),
		ObjectIdGetDatum(MyDatabaseId)
	};

	sd_uuid_make(&life);
	sd_store_run(&statement, values, NULL, 1);
}

void
sd_life_end(int32 incarnation, const char *cause, const char *reason)
{
	static SdStatement self = {
		.sql = "UPDATE schemadrift_store.self SET state = 'void' WHERE state <> 'void' AND $1 IN (0, incarnation)",
		.nargs = 1, .types = {INT4OID}
	};
	static SdStatement ended = {
		.sql = "UPDATE schemadrift_store.life SET cause = $1, reason = $2", .nargs = 2, .types = {TEXTOID, TEXTOID}
	};
	/* a promotion may be confirmed, what is found out later may not */
	static SdStatement worse = {
		.sql = "UPDATE schemadrift_store.life SET cause = $1, reason = $2 WHERE cause = 'promoted'",
		.nargs = 2, .types = {TEXTOID, TEXTOID}
	};
	uint64		rows = sd_store_run(&self, (Datum[]) {Int32GetDatum(incarnation)}, NULL, SD_ANY_ROWS);

	/* whoever found it out: it is the coordinator that says so to all, and asks to come back */
	sd_shared_wake_at_commit(sd_shared_mine());
	if (!sd_store_has("life"))
		return;
	if (rows == 0)
	{
		sd_store_run(&worse, (Datum[]) {CStringGetTextDatum(cause), CStringGetTextDatum(reason)}, NULL, SD_ANY_ROWS);
		return;
	}
	sd_life_renew();
	sd_store_run(&ended, (Datum[]) {CStringGetTextDatum(cause), CStringGetTextDatum(reason)}, NULL, 1);
	ereport(LOG,
			(errmsg("schemadrift: this region does not vote any more, its identity is void: %s", reason),
			 errhint("SELECT * FROM schemadrift.status;")));
}

void
sd_life_adopt(int32 generation, int32 incarnation, int64 since, const char *state)
{
	static SdStatement self = {
		.sql = "UPDATE schemadrift_store.self SET generation = $1, incarnation = $2, state = $3, vote_seq = 0, "
		"system_identifier = $4, timeline = $5, database = $6",
		.nargs = 6, .types = {INT4OID, INT4OID, TEXTOID, INT8OID, INT4OID, OIDOID}
	};
	static SdStatement life = {
		.sql = "UPDATE schemadrift_store.life SET since = $1, token = $2, replicated = true, cause = NULL, reason = NULL",
		.nargs = 2, .types = {INT8OID, BYTEAOID}
	};
	static SdStatement accepted = {
		.sql = "DELETE FROM schemadrift_store.accepted WHERE version > $1", .nargs = 1, .types = {INT8OID}
	};
	Datum		values[] = {
		Int32GetDatum(generation), Int32GetDatum(incarnation), CStringGetTextDatum(state),
		Int64GetDatum((int64) GetSystemIdentifier()), Int32GetDatum((int32) GetWALInsertionTimeLine()),
		ObjectIdGetDatum(MyDatabaseId)
	};
	bool		nulls[2] = {false, false};
	Datum		lived[2] = {Int64GetDatum(since), token_datum(&nulls[1])};

	sd_store_run(&self, values, NULL, 1);
	sd_store_run(&accepted, (Datum[]) {Int64GetDatum(since)}, NULL, SD_ANY_ROWS);
	sd_store_run(&life, lived, nulls, 1);
}

void
sd_life_confirm(const char *state)
{
	static SdStatement self = {
		.sql = "UPDATE schemadrift_store.self SET state = $1, timeline = $2", .nargs = 2, .types = {TEXTOID, INT4OID}
	};
	static SdStatement life = {
		.sql = "UPDATE schemadrift_store.life SET cause = NULL, reason = NULL"
	};

	sd_store_run(&self, (Datum[]) {CStringGetTextDatum(state), Int32GetDatum((int32) GetWALInsertionTimeLine())}, NULL, 1);
	sd_store_run(&life, NULL, NULL, SD_ANY_ROWS);
}

/* ---- what others say ---- */

bool
sd_life_contradicted(const SdSelf *self, const char *by, int32 incarnation, int64 vote_seq)
{
	SdSelf		now;

	/* of a void region only what a person could still confirm is of interest; what else differs is written down first */
	if (SD_MISTAKE(NO_FENCE) || incarnation != self->incarnation || vote_seq <= self->vote_seq ||
		!(self->valid || strcmp(self->cause, SD_VOID_PROMOTED) == 0))
		return false;
	if (!sd_self_lock(&now) || incarnation != now.incarnation || vote_seq <= now.vote_seq)
		return false;
#ifdef SD_TESTING
	if (SD_MISTAKE(REJOIN_READ))
	{
		static SdStatement copy = {
			.sql = "UPDATE schemadrift_store.self SET vote_seq = $1", .nargs = 1, .types = {INT8OID}
		};

		sd_store_run(&copy, (Datum[]) {Int64GetDatum(vote_seq)}, NULL, 1);
		return false;
	}
#endif
	sd_life_end(incarnation, SD_VOID_VOTES,
				psprintf("region \"%s\" remembers vote " INT64_FORMAT " of this region, which knows of " INT64_FORMAT
						 " only: it was rolled back, or is a copy", by, vote_seq, now.vote_seq));
	ForceSyncCommit();
	return true;
}

const char *
sd_life_unproved(const SdSelf *self)
{
	SdDatabase *db = sd_shared_mine();
	int32		proved = 0;

	if (db)
	{
		LWLockAcquire(&db->lock, LW_SHARED);
		proved = db->proved;
		LWLockRelease(&db->lock);
	}
	return proved == self->incarnation || SD_MISTAKE(NO_FENCE) ? NULL :
		"it was started and waits to hear from other regions which votes of its they remember";
}

/* Of the config entries since our incarnation ended: the one that was made for the life of this database. */
static bool
find_ours(const SdSelf *self, SdSuccessor *successor)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE kind = 'config' AND version >= $1 ORDER BY version",
		.nargs = 1, .types = {INT8OID}
	};
	const char *ours = sd_uuid_text(&self->life);
	uint64		rows = sd_store_run(&statement, (Datum[]) {Int64GetDatum(successor->version)}, NULL, SD_ANY_ROWS);

	for (uint64 i = 0; i < rows; i++)
	{
		Jsonb	   *payload = sd_entry_payload(sd_entry_decode(sd_store_bytea(i, 2)));
		char	   *life = sd_json_text(payload, "life");
		char	   *region = sd_json_text(payload, "region");

		if (life == NULL || region == NULL || strcmp(life, ours) != 0 || strcmp(region, self->region) != 0)
			continue;
		successor->version = sd_store_int64(i, 1);
		successor->incarnation = (int32) sd_json_int64(payload, "incarnation", 0);
		return successor->incarnation > self->incarnation;
	}
	return false;
}

void
sd_life_successor(const SdSelf *self, SdSuccessor *successor)
{
	SdMemberHistory history;

	memset(successor, 0, sizeof(*successor));
	sd_members_history(self->region, self->incarnation, &history);
	successor->version = history.replaced_by;
	successor->ours = history.replaced_by > 0 && self->has_life && self->life_fits && find_ours(self, successor);
}

/* ---- the log ---- */

int64
sd_log_damaged(void)
{
	static SdStatement statement = {
		.sql = "SELECT min(version) FROM (SELECT version, body, hash, chain, row_number() OVER w AS n, "
		"lag(chain, 1, decode(repeat('00', 32), 'hex')) OVER w AS before FROM schemadrift_store.log "
		"WINDOW w AS (ORDER BY version)) l "
		"WHERE version <> n OR chain <> sha256(before || hash) OR sha256(body) <> hash"
	};
	bool		isnull;
	Datum		version;

	sd_store_run(&statement, NULL, NULL, 1);
	version = sd_store_value(0, 1, &isnull);
	return isnull ? 0 : DatumGetInt64(version);
}

/*
 * PREPARE TRANSACTION of coordinated DDL is refused, but one from before this database was a region holds what the gate
 * never saw, and COMMIT PREPARED asks nobody.
 */
char *
sd_old_prepared(char **remedy)
{
	static SdStatement statement = {
		.sql = "SELECT p.gid, p.owner::text, p.prepared::timestamptz(0)::text "
		"FROM pg_prepared_xacts p, schemadrift_store.life l "
		"WHERE p.database = current_database() AND p.prepared < l.begun ORDER BY p.prepared LIMIT 1"
	};
	char	   *gid;

	if (!sd_store_has("life") || sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return NULL;
	gid = sd_paste_literal(sd_store_text(0, 1));
	*remedy = psprintf("-- COMMIT PREPARED or ROLLBACK PREPARED %s; then SELECT * FROM schemadrift.compare(...) with another region", gid);
	return psprintf("prepared transaction %.60s of role %.60s, from %s, is older than this region: a schema change in it would be made here alone",
					gid, sd_store_text(0, 2), sd_store_text(0, 3));
}

bool
sd_prepared_before(TransactionId xid)
{
	static SdStatement statement = {
		.sql = "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database() AND age(transaction) > age($1))",
		.nargs = 1, .types = {XIDOID}
	};
	bool		isnull;

	sd_store_run(&statement, (Datum[]) {TransactionIdGetDatum(xid)}, NULL, 1);
	return DatumGetBool(sd_store_value(0, 1, &isnull));
}
