/*
 * calls.c: the calls between regions, encoded and decoded; see calls.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"

#include "peer/calls.h"
#include "store/drift.h"
#include "store/telemetry.h"
#include "store/vote.h"

/* ---- encoding ---- */

#define MAX_PARAMS 20

typedef struct Params
{
	MemoryContext context;		/* of the values, until the call is done */
	int			n;
	Oid			types[MAX_PARAMS];
	const char *values[MAX_PARAMS];
	int			lengths[MAX_PARAMS];
	int			formats[MAX_PARAMS];
	bool		repeated;
	bool		at_once;
	SdCallDone	done;
	void	   *arg;
} Params;

static Params *
params_create(SdCallDone done, void *arg)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "schemadrift call", ALLOCSET_SMALL_SIZES);
	Params	   *p = MemoryContextAllocZero(context, sizeof(Params));

	p->context = context;
	p->done = done;
	p->arg = arg;
	return p;
}

static void
put_binary(Params *p, Oid type, const void *data, int size)
{
	Assert(p->n < MAX_PARAMS);
	p->types[p->n] = type;
	p->values[p->n] = data;
	p->lengths[p->n] = size;
	p->formats[p->n] = 1;
	p->n++;
}

static void
put_text(Params *p, const char *value)
{
	Assert(p->n < MAX_PARAMS);
	p->types[p->n] = TEXTOID;
	p->values[p->n] = MemoryContextStrdup(p->context, value);
	p->n++;
}

static void
put_array(Params *p, const char *literal)
{
	put_text(p, literal);
	p->types[p->n - 1] = TEXTARRAYOID;
}

static void
put_int64(Params *p, int64 value)
{
	uint64	   *data = MemoryContextAlloc(p->context, sizeof(uint64));

	*data = pg_hton64((uint64) value);
	put_binary(p, INT8OID, data, sizeof(uint64));
}

static void
put_int32(Params *p, int32 value)
{
	uint32	   *data = MemoryContextAlloc(p->context, sizeof(uint32));

	*data = pg_hton32((uint32) value);
	put_binary(p, INT4OID, data, sizeof(uint32));
}

static void
put_copy(Params *p, Oid type, const void *data, int size)
{
	void	   *copy = MemoryContextAlloc(p->context, size);

	memcpy(copy, data, size);
	put_binary(p, type, copy, size);
}

/* a large body is not copied: the caller keeps it */
static void
put_body(Params *p, const bytea *body)
{
	put_binary(p, BYTEAOID, body ? VARDATA_ANY(body) : NULL, body ? (int) VARSIZE_ANY_EXHDR(body) : 0);
}

char *
sd_call_texts(List *texts)
{
	StringInfoData out;
	ListCell   *lc;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	foreach(lc, texts)
	{
		appendStringInfoString(&out, foreach_current_index(lc) > 0 ? ",\"" : "\"");
		for (const char *c = lfirst(lc); *c; c++)
		{
			if (*c == '"' || *c == '\\')
				appendStringInfoChar(&out, '\\');
			appendStringInfoChar(&out, *c);
		}
		appendStringInfoChar(&out, '"');
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}

static void
put_head(Params *p, SdPeer *peer, const SdCallHead *head)
{
	put_int32(p, head->protocol);
	put_copy(p, UUIDOID, &head->self->group_id, UUID_LEN);
	put_int32(p, head->self->generation);
	put_text(p, sd_peer_region(peer));
	put_text(p, head->self->region);
	put_int32(p, head->self->incarnation);
	put_int64(p, head->known_vote_seq);
}

/* what prepare and accept have in common */
static void
put_vote(Params *p, SdPeer *peer, const SdCallHead *head, const SdBallot *ballot, int64 version, const SdChain *chain)
{
	put_head(p, peer, head);
	put_int64(p, ballot->round);
	put_int64(p, (int64) ballot->nonce);
	put_int64(p, version);
	put_copy(p, BYTEAOID, chain->sha, SD_SHA_SIZE);
}

static void
finish(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	Params	   *p = arg;
	SdCallDone	done = p->done;
	void	   *done_arg = p->arg;

	/* nothing is sent any more; what the callee raises must not leak the parameters */
	MemoryContextDelete(p->context);
	done(peer, call, result, done_arg);
}

static SdCall *
submit(SdPeer *peer, Params *p, const char *sql, SdPriority priority, int64 deadline_us)
{
	SdCallSpec	spec = {
		.sql = sql, .n_params = p->n, .types = p->types, .values = p->values, .lengths = p->lengths,
		.formats = p->formats, .binary_result = true, .repeated = p->repeated, .at_once = p->at_once, .priority = priority,
		.deadline_us = deadline_us, .done = finish, .arg = p
	};

	return sd_peer_submit(peer, &spec);
}

bool
sd_call_has_leases(const SdCallHead *head)
{
	return Min(head->protocol, head->callee_protocol) >= 2;
}

SdCall *
sd_call_prepare(SdPeer *peer, const SdCallHead *head, const SdBallot *ballot, int64 version, const SdChain *chain,
				int64 lease_us, const SdBallot *over, bool at_once, int64 deadline_us, SdCallDone done, void *arg)
{
	Params	   *p = params_create(done, arg);

	p->at_once = at_once;
	put_vote(p, peer, head, ballot, version, chain);
	if (!sd_call_has_leases(head))
		return submit(peer, p, "SELECT * FROM schemadrift_rpc.prepare($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)",
					  SD_PRIORITY_VOTE, deadline_us);
	put_int32(p, (int32) (lease_us / 1000));
	put_int64(p, over->round);
	put_text(p, over->region);
	put_int64(p, (int64) over->nonce);
	return submit(peer, p, "SELECT * FROM schemadrift_rpc.prepare($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)",
				  SD_PRIORITY_VOTE, deadline_us);
}

SdCall *
sd_call_accept(SdPeer *peer, const SdCallHead *head, const SdBallot *ballot, int64 version,
			   const SdChain *chain, const bytea *body, int64 lease_us,
			   int64 deadline_us, SdCallDone done, void *arg)
{
	Params	   *p = params_create(done, arg);

	put_vote(p, peer, head, ballot, version, chain);
	put_body(p, body);
	if (!sd_call_has_leases(head))
		return submit(peer, p, "SELECT * FROM schemadrift_rpc.accept($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)",
					  SD_PRIORITY_VOTE, deadline_us);
	put_int32(p, (int32) (lease_us / 1000));
	return submit(peer, p, "SELECT * FROM schemadrift_rpc.accept($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)",
				  SD_PRIORITY_VOTE, deadline_us);
}

SdCall *
sd_call_handover(SdPeer *peer, const SdCallHead *head, const SdBallot *lease, int64 waited_ms, const SdBallot *tried,
				 int64 deadline_us, SdCallDone done, void *arg)
{
	Params	   *p = params_create(done, arg);

	put_head(p, peer, head);
	put_int64(p, lease->round);
	put_int64(p, (int64) lease->nonce);
	put_int64(p, waited_ms);
	put_int64(p, tried->round);
	put_int64(p, (int64) tried->nonce);
	return submit(peer, p, "SELECT * FROM schemadrift_rpc.handover($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)",
				  SD_PRIORITY_VOTE, deadline_us);
}

SdCall *
sd_call_learn(SdPeer *peer, const SdCallHead *head, int64 version, const SdEntryRef *entry,
			  const SdChain *chain, const bytea *body, int64 deadline_us, SdCallDone done, void *arg)
{
	Params	   *p = params_create(done, arg);

	put_head(p, peer, head);
	put_int64(p, version);
	put_copy(p, UUIDOID, entry->id, SD_ENTRY_ID_SIZE);
	put_copy(p, BYTEAOID, entry->sha, SD_SHA_SIZE);
	put_copy(p, BYTEAOID, chain->sha, SD_SHA_SIZE);
	put_body(p, body);
	return submit(peer, p, "SELECT * FROM schemadrift_rpc.learn($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)",
				  SD_PRIORITY_LEARN, deadline_us);
}

/* Rows come in pieces, so that a long absence neither fills memory nor holds up a vote for long. */
#define FETCH_BYTES (4 * 1024 * 1024)

SdCall *
sd_call_fetch(SdPeer *peer, const SdCallHead *head, int64 from, int64 deadline_us, SdCallDone done, void *arg)
{
	Params	   *p = params_create(done, arg);

	put_head(p, peer, head);
	put_int64(p, from);
	put_int64(p, FETCH_BYTES);
	return submit(peer, p, "SELECT * FROM schemadrift_rpc.fetch($1,$2,$3,$4,$5,$6,$7,$8,$9)",
				  SD_PRIORITY_FETCH, deadline_us);
}

SdCall *
sd_call_exchange(SdPeer *peer, const SdCallHead *head, const SdTelemetry *own, int64 names_seen, bool notes,
				 int64 deadline_us, SdCallDone done, void *arg)
{
	Params	   *p = params_create(done, arg);

	put_head(p, peer, head);
	put_int64(p, own->boot_id);
	put_int64(p, own->head);
	put_int64(p, own->applied);
	put_copy(p, BYTEAOID, own->digest, SD_SHA_SIZE);
	put_int64(p, own->vote_seq);
	put_int64(p, own->hlc);
	put_text(p, sd_region_state_text(own->state));
	put_int64(p, own->halted_at);
	put_int32(p, own->attempts);
	put_text(p, own->halt_error);
	put_int64(p, names_seen);
	if (!notes)
		return submit(peer, p, "SELECT * FROM schemadrift_rpc.exchange($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18)",
					  SD_PRIORITY_HEARTBEAT, deadline_us);
	put_text(p, sd_telemetry_write_notes(own));
	return submit(peer, p, "SELECT * FROM schemadrift_rpc.exchange($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19)",
				  SD_PRIORITY_HEARTBEAT, deadline_us);
}

SdCall *
sd_call_pulse(SdPeer *peer, int64 pulse, int64 deadline_us, SdCallDone done, void *arg)
{
	Params	   *p = params_create(done, arg);

	put_int64(p, pulse);
	p->repeated = true;
	return submit(peer, p, "SELECT schemadrift_rpc.pulse($1)", SD_PRIORITY_HEARTBEAT, deadline_us);
}

SdCall *
sd_call_drift(SdPeer *peer, const SdCallHead *head, int64 deadline_us, SdCallDone done, void *arg)
{
	Params	   *p = params_create(done, arg);

	put_head(p, peer, head);
	return submit(peer, p, "SELECT * FROM schemadrift_rpc.drift($1,$2,$3,$4,$5,$6,$7)", SD_PRIORITY_FETCH, deadline_us);
}

SdCall *
sd_call_definitions(SdPeer *peer, const SdCallHead *head, const char *kinds, const char *identities,
					int64 deadline_us, SdCallDone done, void *arg)
{
	Params	   *p = params_create(done, arg);

	put_int32(p, head->protocol);
	put_array(p, kinds);
	put_array(p, identities);
	return submit(peer, p, "SELECT kind, identity, hash, definition FROM schemadrift_rpc.definitions($1,$2,$3,false)",
				  SD_PRIORITY_FETCH, deadline_us);
}

SdCall *
sd_call_promote(SdPeer *peer, const SdCallHead *head, int64 deadline_us, SdCallDone done, void *arg)
{
	Params	   *p = params_create(done, arg);

	put_head(p, peer, head);
	return submit(peer, p, "SELECT schemadrift_rpc.promote($1,$2,$3,$4,$5,$6,$7)", SD_PRIORITY_FETCH, deadline_us);
}

SdCall *
sd_call_readmit(SdPeer *peer, const SdCallHead *call_head, const SdHead *head, int64 deadline_us, SdCallDone done, void *arg)
{
	Params	   *p = params_create(done, arg);

	put_head(p, peer, call_head);
	put_copy(p, UUIDOID, &call_head->self->life, UUID_LEN);
	put_int64(p, head->version);
	put_copy(p, BYTEAOID, head->chain.sha, SD_SHA_SIZE);
	return submit(peer, p, "SELECT schemadrift_rpc.readmit($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)", SD_PRIORITY_FETCH, deadline_us);
}

/* ---- decoding ---- */

/* A cell that is not null and, with size >= 0, has exactly that many bytes. */
static const char *
cell(const PGresult *r, int row, int column, int size)
{
	if (PQgetisnull(r, row, column) || PQfformat(r, column) != 1)
		return NULL;
	if (size >= 0 && PQgetlength(r, row, column) != size)
		return NULL;
	return PQgetvalue(r, row, column);
}

static bool
get_int64(const PGresult *r, int row, int column, int64 *value)
{
	const char *data = cell(r, row, column, sizeof(uint64));
	uint64		raw;

	if (data == NULL)
		return false;
	memcpy(&raw, data, sizeof(raw));
	*value = (int64) pg_ntoh64(raw);
	return true;
}

static bool
get_int32(const PGresult *r, int row, int column, int32 *value)
{
	const char *data = cell(r, row, column, sizeof(uint32));
	uint32		raw;

	if (data == NULL)
		return false;
	memcpy(&raw, data, sizeof(raw));
	*value = (int32) pg_ntoh32(raw);
	return true;
}

static bool
get_text(const PGresult *r, int row, int column, char **value)
{
	const char *data = cell(r, row, column, -1);

	/* libpq does not look whether it is text in our encoding */
	if (data == NULL || !pg_verifymbstr(data, PQgetlength(r, row, column), true))
		return false;
	*value = pnstrdup(data, PQgetlength(r, row, column));
	return true;
}

static bool
get_sha(const PGresult *r, int row, int column, uint8 *sha)
{
	const char *data = cell(r, row, column, SD_SHA_SIZE);

	if (data == NULL)
		return false;
	memcpy(sha, data, SD_SHA_SIZE);
	return true;
}

static bool
get_bytea(const PGresult *r, int row, int column, bytea **value)
{
	const char *data = cell(r, row, column, -1);
	int			size;

	if (data == NULL)
		return false;
	size = PQgetlength(r, row, column);
	*value = palloc(VARHDRSZ + size);
	SET_VARSIZE(*value, VARHDRSZ + size);
	memcpy(VARDATA(*value), data, size);
	return true;
}

static bool
get_ballot(const PGresult *r, int row, int column, SdBallot *ballot)
{
	int64		round;
	int64		nonce;
	char	   *region;

	if (!get_int64(r, row, column, &round) || !get_text(r, row, column + 1, &region) ||
		!get_int64(r, row, column + 2, &nonce) || strlen(region) >= SD_NAME_SIZE)
		return false;
	sd_ballot_set(ballot, round, region, (uint64) nonce);
	return true;
}

/* answer, incarnation, vote_seq, at_version, ballot (3), reason, chain, body; from protocol 2 on left_ms */
bool
sd_call_decode_vote(const PGresult *r, SdVoteAnswer *answer)
{
	char	   *word;

	memset(answer, 0, sizeof(*answer));
	if (PQnfields(r) < 10 || PQntuples(r) < 1)
		return false;
	if (!get_text(r, 0, 0, &word) || !sd_verdict_parse(word, &answer->verdict) ||
		!get_int32(r, 0, 1, &answer->incarnation) || !get_int64(r, 0, 2, &answer->vote_seq) ||
		!get_int64(r, 0, 3, &answer->head))
		return false;
	if (!PQgetisnull(r, 0, 4) && !get_ballot(r, 0, 4, &answer->promised))
		return false;
	if (!PQgetisnull(r, 0, 7) && !get_text(r, 0, 7, &answer->reason))
		return false;
	if (answer->verdict == SD_ACCEPTOR_LEASED &&
		(PQnfields(r) < 11 || !get_int32(r, 0, 10, &answer->left_ms) || sd_ballot_is_none(&answer->promised)))
		return false;

	for (int i = 1; i < PQntuples(r); i++)
	{
		int64		version;

		if (!get_text(r, i, 0, &word) || !get_int64(r, i, 3, &version))
			return false;
		if (strcmp(word, "report") == 0)
		{
			SdAccepted *report = palloc0(sizeof(SdAccepted));

			report->version = version;
			if (!get_ballot(r, i, 4, &report->ballot) || !get_bytea(r, i, 9, &report->bytes))
				return false;
			answer->reports = lappend(answer->reports, report);
		}
		else if (strcmp(word, "log") == 0)
		{
			SdLogRow   *row = palloc0(sizeof(SdLogRow));

			row->version = version;
			if (!get_sha(r, i, 8, row->chain.sha) || !get_bytea(r, i, 9, &row->bytes))
				return false;
			answer->rows = lappend(answer->rows, row);
		}
		else
			return false;
	}
	return true;
}

bool
sd_call_decode_learn(const PGresult *r, SdAcceptorVerdict *verdict, int64 *head)
{
	char	   *word;

	return PQnfields(r) == 2 && PQntuples(r) == 1 && get_text(r, 0, 0, &word) &&
		sd_verdict_parse(word, verdict) && get_int64(r, 0, 1, head);
}

bool
sd_call_decode_handover(const PGresult *r, SdHandover *answer)
{
	const char *released;

	if (PQnfields(r) != 7 || PQntuples(r) != 1 || (released = cell(r, 0, 0, 1)) == NULL)
		return false;
	answer->released = released[0] != 0;
	return get_int32(r, 0, 1, &answer->pid) && get_text(r, 0, 2, &answer->subject) &&
		get_int64(r, 0, 3, &answer->held_ms) && get_int64(r, 0, 4, &answer->left_ms) && get_text(r, 0, 5, &answer->next) &&
		get_int64(r, 0, 6, &answer->upto);
}

bool
sd_call_decode_rows(const PGresult *r, List **rows)
{
	*rows = NIL;
	if (PQnfields(r) != 3)
		return false;
	for (int i = 0; i < PQntuples(r); i++)
	{
		SdLogRow   *row = palloc0(sizeof(SdLogRow));

		if (!get_int64(r, i, 0, &row->version) || !get_sha(r, i, 1, row->chain.sha) ||
			!get_bytea(r, i, 2, &row->bytes))
			return false;
		*rows = lappend(*rows, row);
	}
	return true;
}

bool
sd_call_decode_exchange(const PGresult *r, SdTelemetry *told, int64 *names_version, char **names)
{
	char	   *state;
	char	   *error;
	char	   *notes;

	sd_telemetry_clear(told);
	*names = NULL;
	if (PQnfields(r) < 13 || PQntuples(r) != 1)
		return false;
	if (!get_int32(r, 0, 0, &told->incarnation) || !get_int64(r, 0, 1, &told->boot_id) ||
		!get_int64(r, 0, 2, &told->head) || !get_int64(r, 0, 3, &told->applied) ||
		!get_sha(r, 0, 4, told->digest) || !get_int64(r, 0, 5, &told->vote_seq) ||
		!get_int64(r, 0, 6, &told->hlc) || !get_text(r, 0, 7, &state) ||
		!get_int64(r, 0, 8, &told->halted_at) || !get_int32(r, 0, 9, &told->attempts) ||
		!get_text(r, 0, 10, &error) || !get_int64(r, 0, 11, names_version))
		return false;
	if (!PQgetisnull(r, 0, 12) && !get_text(r, 0, 12, names))
		return false;
	if (PQnfields(r) > 13 && !PQgetisnull(r, 0, 13))
	{
		if (!get_text(r, 0, 13, &notes))
			return false;
		sd_telemetry_read_notes(notes, told);
	}
	told->state = sd_region_state_parse(state);
	sd_shared_copy(told->halt_error, SD_TEXT_SIZE, error);
	return true;
}

bool
sd_call_decode_pulse(const PGresult *r, bool *same, TimestampTz *answered_at)
{
	*answered_at = 0;
	if (PQnfields(r) != 1 || PQntuples(r) != 1)
		return false;
	*same = !PQgetisnull(r, 0, 0);
	return !*same || get_int64(r, 0, 0, answered_at);
}

/* Null, or a digest; false for nonsense. */
static bool
get_digest(const PGresult *r, int row, int column, bool *has, uint8 *digest)
{
	*has = !PQgetisnull(r, row, column);
	return !*has || get_sha(r, row, column, digest);
}

/* Null, or a text; false for nonsense. */
static bool
get_text_or_null(const PGresult *r, int row, int column, int most, char **value)
{
	*value = NULL;
	return PQgetisnull(r, row, column) || (PQgetlength(r, row, column) <= most && get_text(r, row, column, value));
}

/* A text from outside that takes a place in our tables. */
#define NAME_BYTES			65536
#define DEFINITION_BYTES	(1024 * 1024)

static bool
get_name(const PGresult *r, int row, int column, char **value)
{
	return get_text_or_null(r, row, column, NAME_BYTES, value) && *value != NULL;
}

/* tag, kind, identity, expected, actual, expected_definition, actual_definition, since, change, found, acknowledged, author */
bool
sd_call_decode_drift(const PGresult *r, int64 *tag, List **rows)
{
	*tag = 0;
	*rows = NIL;
	if (PQnfields(r) < 12)
		return false;
	for (int i = 0; i < PQntuples(r); i++)
	{
		SdDriftRow *row = palloc0(sizeof(SdDriftRow));

		if (!get_int64(r, i, 0, tag) || !get_name(r, i, 1, &row->kind) || !get_name(r, i, 2, &row->identity) ||
			!get_digest(r, i, 3, &row->has_expected, row->expected) || !get_digest(r, i, 4, &row->has_actual, row->actual) ||
			!get_text_or_null(r, i, 5, DEFINITION_BYTES, &row->expected_definition) ||
			!get_text_or_null(r, i, 6, DEFINITION_BYTES, &row->actual_definition) ||
			!get_int64(r, i, 7, &row->since) || !get_int64(r, i, 8, &row->change) ||
			!get_name(r, i, 9, &row->found) || !get_text_or_null(r, i, 10, NAME_BYTES, &row->acknowledged) ||
			!get_text_or_null(r, i, 11, NAME_BYTES, &row->author))
			return false;
		*rows = lappend(*rows, row);
	}
	return true;
}

bool
sd_call_decode_definitions(const PGresult *r, List **definitions)
{
	*definitions = NIL;
	if (PQnfields(r) != 4)
		return false;
	for (int i = 0; i < PQntuples(r); i++)
	{
		SdDefinition *d = palloc0(sizeof(SdDefinition));

		if (!get_name(r, i, 0, &d->kind) || !get_name(r, i, 1, &d->identity) || !get_sha(r, i, 2, d->hash.byte) ||
			!get_text_or_null(r, i, 3, DEFINITION_BYTES, &d->definition))
			return false;
		*definitions = lappend(*definitions, d);
	}
	return true;
}
