/*
 * entry.c: the bytes of an entry; see entry.h.  Runs anywhere; takes no lock.
 */
#include "compat.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "utils/timestamp.h"
#include "causality/hlc.h"
#include "settings.h"
#include "store/entry.h"
#include "store/query.h"

void
sd_sha256(const void *data, size_t size, uint8 *hash)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL ||
		pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, data, size) < 0 ||
		pg_cryptohash_final(context, hash, SD_SHA_SIZE) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(context);
}

SdChain
sd_entry_chain(const SdChain *previous, const SdEntry *entry)
{
	uint8		both[2 * SD_SHA_SIZE];
	SdChain		chain;

	memcpy(both, previous->sha, SD_SHA_SIZE);
	memcpy(both + SD_SHA_SIZE, entry->hash, SD_SHA_SIZE);
	sd_sha256(both, sizeof(both), chain.sha);
	return chain;
}

SdEntryRef
sd_entry_ref(const SdEntry *entry)
{
	SdEntryRef	ref;

	memcpy(ref.id, entry->id.data, SD_ENTRY_ID_SIZE);
	memcpy(ref.sha, entry->hash, SD_SHA_SIZE);
	return ref;
}

char *
sd_uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}

void
sd_uuid_make(pg_uuid_t *uuid)
{
	if (!pg_strong_random(uuid, UUID_LEN))
		elog(ERROR, "could not generate random values");
	uuid->data[6] = (uuid->data[6] & 0x0f) | 0x40;
	uuid->data[8] = (uuid->data[8] & 0x3f) | 0x80;
}

/* bytes: a name travels in shared memory, too */
#define NAME_LENGTH		200
#define KIND_LENGTH		32

#define HLC_YEAR_3000_MS	UINT64_C(32503680000000)

static bool
has_control(const char *text)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			return true;
	return false;
}

void
sd_entry_check_name(const char *name)
{
	if (name[0] == '\0' || strlen(name) > NAME_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a migration's name must have 1 to %d bytes", NAME_LENGTH),
				 errdetail("This one has %zu.", strlen(name))));
	if (has_control(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a migration's name may not contain control characters")));
}

static void
append_text(StringInfo out, const char *key, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(out, "%s\"%s\":", out->len > 1 ? "," : "", key);
	escape_json(out, value);
}

static void
append_int64(StringInfo out, const char *key, int64 value)
{
	appendStringInfo(out, "%s\"%s\":" INT64_FORMAT, out->len > 1 ? "," : "", key, value);
}

void
sd_entry_encode(SdEntry *entry, const char *payload)
{
	StringInfoData header;
	char	   *header_utf8;
	char	   *payload_utf8;
	size_t		header_size,
				payload_size,
				size;

	if (entry->name)
		sd_entry_check_name(entry->name);
	initStringInfo(&header);
	appendStringInfoChar(&header, '{');
	append_text(&header, "id", sd_uuid_text(&entry->id));
	append_text(&header, "kind", entry->kind);
	append_text(&header, "name", entry->name);
	append_text(&header, "origin", entry->origin);
	append_int64(&header, "incarnation", entry->incarnation);
	append_int64(&header, "n", entry->n);
	append_int64(&header, "barrier", entry->barrier);
	append_int64(&header, "hlc", entry->hlc);
	append_text(&header, "author", entry->author);
	append_int64(&header, "protocol", entry->protocol);
	if (entry->target > 0)
		append_int64(&header, "target", entry->target);
	appendStringInfoString(&header, "}\n");

	header_utf8 = pg_server_to_any(header.data, header.len, PG_UTF8);
	payload_utf8 = pg_server_to_any(payload, strlen(payload), PG_UTF8);
	header_size = strlen(header_utf8);
	payload_size = strlen(payload_utf8);
	size = header_size + payload_size;
	if (size > (size_t) sd_max_entry_size * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("migration is too large"),
				 errdetail("It takes %zu bytes; the limit is %d kB.", size, sd_max_entry_size),
				 errhint("Split it into several migrations, or raise schemadrift.max_entry_size in every region.")));

	entry->bytes = palloc(VARHDRSZ + size);
	SET_VARSIZE(entry->bytes, VARHDRSZ + size);
	memcpy(VARDATA(entry->bytes), header_utf8, header_size);
	memcpy(VARDATA(entry->bytes) + header_size, payload_utf8, payload_size);
	sd_sha256(VARDATA(entry->bytes), size, entry->hash);
}

static void
pg_attribute_noreturn()
nonsense(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("entry is malformed"),
			 errdetail("%s", what)));
}

/* pnstrdup() would end at a zero byte, and the conversion then read beyond the copy; so it sees the byte, and refuses it. */
static char *
text_from_utf8(const char *data, size_t size)
{
	char	   *copy = palloc(size + 1);

	memcpy(copy, data, size);
	copy[size] = '\0';
	return pg_any_to_server(copy, (int) size, PG_UTF8);
}

SdEntry *
sd_entry_decode(bytea *bytes)
{
	const char *data = VARDATA_ANY(bytes);
	size_t		size = VARSIZE_ANY_EXHDR(bytes);
	const char *newline = memchr(data, '\n', size);
	SdEntry    *entry = palloc0(sizeof(SdEntry));
	char	   *line;
	char	   *id;
	Jsonb	   *header;
	int64		incarnation;
	int64		protocol;

	if (size > (size_t) sd_max_entry_size * 1024)
		nonsense("It is larger than schemadrift.max_entry_size allows here.");
	if (newline == NULL || newline - data > 64 * 1024)
		nonsense("It has no header line.");
	line = text_from_utf8(data, newline - data);
	header = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(line)));
	if (!JB_ROOT_IS_OBJECT(header))
		nonsense("Its header is not a JSON object.");

	id = sd_json_text(header, "id");
	entry->kind = sd_json_text(header, "kind");
	entry->name = sd_json_text(header, "name");
	entry->origin = sd_json_text(header, "origin");
	incarnation = sd_json_int64(header, "incarnation", 0);
	entry->n = sd_json_int64(header, "n", 0);
	entry->barrier = sd_json_int64(header, "barrier", 0);
	entry->hlc = sd_json_int64(header, "hlc", 0);
	entry->author = sd_json_text(header, "author");
	protocol = sd_json_int64(header, "protocol", 0);
	entry->target = sd_json_int64(header, "target", 0);
	if (id == NULL || entry->kind == NULL || entry->origin == NULL || entry->author == NULL ||
		strlen(entry->origin) >= SD_NAME_SIZE)
		nonsense("Its header lacks id, kind, origin or author.");
	/* what no table here could hold is refused before it is accepted, not when it is learned */
	if (strlen(entry->kind) > KIND_LENGTH || strlen(entry->author) >= NAMEDATALEN ||
		(entry->name && (strlen(entry->name) > NAME_LENGTH || has_control(entry->name))))
		nonsense("Its kind, author or name is not one.");
	if (incarnation != (int32) incarnation || protocol != (int32) protocol)
		nonsense("Its incarnation or protocol is out of range.");
	entry->incarnation = (int32) incarnation;
	entry->protocol = (int32) protocol;
	entry->id = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(id)));
	entry->bytes = bytes;
	sd_sha256(data, size, entry->hash);
	return entry;
}

Jsonb *
sd_entry_payload(const SdEntry *entry)
{
	const char *data = VARDATA_ANY(entry->bytes);
	size_t		size = VARSIZE_ANY_EXHDR(entry->bytes);
	const char *newline = memchr(data, '\n', size);
	size_t		rest;
	char	   *text;

	if (newline == NULL)
		nonsense("It has no header line.");
	rest = size - (newline + 1 - data);
	text = text_from_utf8(newline + 1, rest);
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

/* Of a list of members: each an object with the texts that make it one. */
static bool
names_members(Jsonb *list)
{
	if (list == NULL || !JB_ROOT_IS_ARRAY(list) || JB_ROOT_IS_SCALAR(list) || JB_ROOT_COUNT(list) == 0)
		return false;
	for (uint32 i = 0; i < JB_ROOT_COUNT(list); i++)
	{
		Jsonb	   *member = JsonbValueToJsonb(getIthJsonbValueFromContainer(&list->root, i));

		if (sd_json_text(member, "region") == NULL || sd_json_text(member, "role") == NULL ||
			sd_json_text(member, "conninfo") == NULL)
			return false;
	}
	return true;
}

void
sd_entry_require_sound(const SdEntry *entry)
{
	Jsonb	   *payload = sd_entry_payload(entry);

	if (!JB_ROOT_IS_OBJECT(payload))
		nonsense("It is not a JSON object.");
	/* the next entry's must be greater: one at the end of time would be the last */
	if (entry->hlc < 0 || sd_hlc_ms((SdHlc) entry->hlc) > HLC_YEAR_3000_MS)
		nonsense("Its time is none.");
	if ((strcmp(entry->kind, SD_KIND_CONFIG) == 0 || strcmp(entry->kind, SD_KIND_BASELINE) == 0) &&
		!names_members(sd_json_object(payload, "members")))
		nonsense("It does not say who the members are.");
	if (strcmp(entry->kind, SD_KIND_RESULT) == 0 && (entry->target <= 0 || sd_json_text(payload, "outcome") == NULL))
		nonsense("It does not say how what ended.");
	if (strcmp(entry->kind, SD_KIND_QUERY) == 0 && !sd_queries_sound(payload))
		nonsense("It does not say what which query is.");
}

static JsonbValue *
lookup(Jsonb *json, const char *key, JsonbValue *value)
{
	/* what another region sent may be anything that is JSON */
	return JB_ROOT_IS_OBJECT(json) ? getKeyJsonValueFromContainer(&json->root, key, strlen(key), value) : NULL;
}

char *
sd_json_text(Jsonb *json, const char *key)
{
	JsonbValue	value;

	if (lookup(json, key, &value) == NULL || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

int64
sd_json_int64(Jsonb *json, const char *key, int64 missing)
{
	JsonbValue	value;

	if (lookup(json, key, &value) == NULL || value.type != jbvNumeric)
		return missing;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value.val.numeric)));
}

char *
sd_json_serialized(Jsonb *json)
{
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

Jsonb *
sd_json_object(Jsonb *json, const char *key)
{
	JsonbValue	value;

	if (lookup(json, key, &value) == NULL || value.type == jbvNull)
		return NULL;
	return JsonbValueToJsonb(&value);
}

int64
sd_json_milliseconds(const JsonbValue *value)
{
	double		ms;

	if (value->type == jbvString)
	{
		char	   *text = pnstrdup(value->val.string.val, value->val.string.len);
		Interval   *interval = DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(text),
																	 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));

		ms = (interval->time + (interval->day + interval->month * (double) DAYS_PER_MONTH) * USECS_PER_DAY) / 1000.0;
	}
	else if (value->type == jbvNumeric)
		ms = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
	else
		return -1;
	return ms >= 0 && ms <= 1e15 ? (int64) ms : -1;
}

char *
sd_time_text(TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[MAXDATELEN + 1];

	if (TIMESTAMP_NOT_FINITE(time) || timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "time is out of range");
	tm.tm_isdst = 0;			/* or the time zone is left out */
	EncodeDateTime(&tm, fsec, true, 0, NULL, USE_XSD_DATES, text);
	return pstrdup(text);
}

bool
sd_entry_accepts(Jsonb *payload)
{
	return sd_json_int64(payload, "accepts", 0) == 1;
}

TimestampTz
sd_entry_frozen_at(Jsonb *payload)
{
	char	   *text = sd_json_text(payload, SD_FROZEN_KEY);

	return text == NULL ? 0 : DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
																	  Int32GetDatum(-1)));
}
