/*
 * entry.h: what a version of the log holds, and its bytes.
 *
 * The bytes of an entry are UTF-8: one line of JSON, the header (what acceptors and the log look at),
 * a newline, and the payload, JSON too (what the applier looks at).  Whoever votes or learns reads the
 * header only, so a script of many megabytes is never parsed in a vote.  The same bytes travel, are
 * hashed and are kept, in every region.
 */
#ifndef SD_STORE_ENTRY_H
#define SD_STORE_ENTRY_H

#include "compat.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "consensus/ballot.h"

/* Kinds of entries, by name in the log (protocol.h); an unknown one halts the applier, never the vote. */
#define SD_KIND_BASELINE	"baseline"
#define SD_KIND_MIGRATION	"migration"
#define SD_KIND_REVERT		"revert"
#define SD_KIND_SUPERSEDE	"supersede"
#define SD_KIND_CONFIG		"config"
#define SD_KIND_POLICY		"policy"
#define SD_KIND_NOOP		"noop"
#define SD_KIND_ONLINE		"online"	/* the intent of what cannot run in a transaction */
#define SD_KIND_RESULT		"result"	/* of an online entry, its target */
#define SD_KIND_QUERY		"query"		/* what applications rely on; query.h */

typedef struct SdEntry
{
	pg_uuid_t	id;
	char	   *kind;
	char	   *name;			/* NULL: has none */
	char	   *origin;
	int32		incarnation;
	int64		n;				/* dot (origin, incarnation, n) */
	int64		barrier;
	int64		hlc;
	char	   *author;
	int32		protocol;		/* the oldest that understands it (protocol.h) */
	int64		target;			/* revert, supersede, online: the version taken back; result: of its online entry; else 0 */

	bytea	   *bytes;			/* header and payload */
	uint8		hash[SD_SHA_SIZE];	/* SHA-256 of bytes */
} SdEntry;

/*
 * Raise an error unless it may be a migration's name.  Everybody indexes names: one that is too long for the index could
 * be accepted, and then be written to no region's log, so that nothing was ever decided again.
 */
extern void sd_entry_check_name(const char *name);

/*
 * Make entry->bytes and entry->hash from the other fields and a payload (JSON text in the server's
 * encoding).  Errors: 54000 when larger than schemadrift.max_entry_size.
 */
extern void sd_entry_encode(SdEntry *entry, const char *payload);

/* Read the header.  Bytes from another region: any nonsense is a clean error, 08P01 or of class 22. */
extern SdEntry *sd_entry_decode(bytea *bytes);

/*
 * Raise 08P01 unless the payload is one that every process which will read it from the log can read: what is chosen is there
 * for ever.  For entries that come from another region, before they are accepted or learned.
 */
extern void sd_entry_require_sound(const SdEntry *entry);

/* The payload, in the server's encoding, parsed. */
extern Jsonb *sd_entry_payload(const SdEntry *entry);

/* chain of a version := SHA-256(chain of the version before, hash of its entry) */
extern SdChain sd_entry_chain(const SdChain *previous, const SdEntry *entry);
extern SdEntryRef sd_entry_ref(const SdEntry *entry);

extern void sd_sha256(const void *data, size_t size, uint8 *hash);

/*
 * Does a migration's payload make the group's what its origin had of its own (accept_drift)?  Then it is not run where its objects are
 * already what it says: at its origin, and wherever somebody has done the same.
 */
extern bool sd_entry_accepts(Jsonb *payload);
#define SD_ENTRY_ACCEPTS ",\"accepts\":1"

/* When its origin's transaction began, for statements that run as if it were that time (ddl/fill.h); 0: the entry does not say. */
extern TimestampTz sd_entry_frozen_at(Jsonb *payload);
#define SD_FROZEN_KEY "frozen_at"

/* Roles that the entry makes, names in an array; how its origin's database is called, where a statement names it (ddl/roles.h). */
#define SD_ROLES_KEY "roles"
#define SD_DATABASE_KEY "database"

/* Small helpers for JSON of ours: text or int8 value of a top-level key; NULL / missing if absent. */
extern char *sd_json_text(Jsonb *json, const char *key);
extern int64 sd_json_int64(Jsonb *json, const char *key, int64 missing);
extern Jsonb *sd_json_object(Jsonb *json, const char *key);

/* All of it, as text; palloc'd. */
extern char *sd_json_serialized(Jsonb *json);

/* A number of milliseconds, or the text of an interval (whose input function may raise an error); -1: neither. */
extern int64 sd_json_milliseconds(const JsonbValue *value);

/* A moment as every region reads it, whatever its settings: ISO 8601, in UTC. */
extern char *sd_time_text(TimestampTz time);

extern char *sd_uuid_text(const pg_uuid_t *uuid);
extern void sd_uuid_make(pg_uuid_t *uuid);

#endif							/* SD_STORE_ENTRY_H */
