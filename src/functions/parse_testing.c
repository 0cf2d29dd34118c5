/*
 * parse_testing.c: test build only: everything that reads bytes from outside, by name, on any bytes.
 *
 * t/050_bytes.pl gives it the corpus and what once broke something; the fuzzers (t/fuzz/driver.c) give it what they
 * invent.  Each target does with the bytes what the library does with them, and nothing else: no table is written.
 * A clean error is an answer like any other; XX000 is not, it says that something impossible happened.  A release has no
 * such symbol.
 */
#ifdef SD_TESTING

#include "compat.h"

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "causality/hlc.h"
#include "causality/vector.h"
#include "ddl/capture.h"
#include "ddl/classify.h"
#include "ddl/history_rows.h"
#include "ddl/moment.h"
#include "ddl/nodetext.h"
#include "ddl/online.h"
#include "ddl/options.h"
#include "ddl/properties.h"
#include "ddl/script.h"
#include "functions/parse_testing.h"
#include "peer/calls.h"
#include "peer/endpoint.h"
#include "store/entry.h"
#include "store/policy.h"
#include "store/protocol.h"
#include "store/state.h"
#include "store/telemetry.h"

PG_FUNCTION_INFO_V1(sd_testing_parse);

/* What a parser says must not leave it half read: a text that it gives is valid in the database's encoding. */
static void
must_be_text(const char *text)
{
	if (text && !pg_verifymbstr(text, strlen(text), true))
		elog(PANIC, "a parser gave bytes that are no text");
}

static void
must_be_texts(List *texts)
{
	ListCell   *lc;

	foreach(lc, texts)
		must_be_text(lfirst(lc));
}

/* Texts reach the parsers of texts as PostgreSQL's own input functions let them in. */
static char *
text_of(const char *data, size_t size)
{
	char	   *text = pnstrdup(data, size);

	(void) pg_verifymbstr(text, strlen(text), false);
	return text;
}

static Jsonb *
json_of(const char *data, size_t size)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text_of(data, size))));
}

/* ---- entries ---- */

static void
parse_entry(const char *data, size_t size)
{
	bytea	   *bytes = palloc(VARHDRSZ + size);
	SdEntry    *entry;
	const char *what;

	SET_VARSIZE(bytes, VARHDRSZ + size);
	memcpy(VARDATA(bytes), data, size);
	entry = sd_entry_decode(bytes);
	must_be_text(entry->kind);
	must_be_text(entry->name);
	must_be_text(entry->origin);
	must_be_text(entry->author);
	sd_entry_require_sound(entry);
	(void) sd_protocol_needed(entry->kind, sd_entry_payload(entry), &what);
}

static void
check_run_as(const SdRunAs *run_as)
{
	must_be_text(run_as->user);
	must_be_text(run_as->session_user);
	for (int i = 0; i < run_as->n_settings; i++)
	{
		must_be_text(run_as->names[i]);
		must_be_text(run_as->values[i]);
	}
}

static void
parse_commands(const char *data, size_t size)
{
	ListCell   *lc;

	foreach(lc, sd_commands_from_json(text_of(data, size)))
	{
		const SdCommand *command = lfirst(lc);

		check_run_as(command->run_as);
		must_be_text(command->tag);
		must_be_text(command->text);
	}
}

static void
parse_rows(const char *data, size_t size)
{
	Jsonb	   *json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text_of(data, size))));
	ListCell   *lc;
	ListCell   *image;

	foreach(lc, sd_history_from_json(json))
	{
		const SdHistoryRows *rows = lfirst(lc);

		must_be_text(rows->schema);
		must_be_text(rows->table);
		check_run_as(rows->run_as);
		must_be_texts(rows->columns);
		must_be_texts(rows->key);
		foreach(image, list_concat_copy(rows->deleted, rows->inserted))
			for (int i = 0; i < list_length(rows->columns); i++)
				must_be_text(((char **) lfirst(image))[i]);
	}
}

static void
parse_run_as(const char *data, size_t size)
{
	check_run_as(sd_run_as_from_json(text_of(data, size)));
}

static void
parse_steps(const char *data, size_t size)
{
	List	   *steps = sd_online_steps_read(json_of(data, size));
	ListCell   *lc;

	must_be_text(sd_online_steps_json(steps));
	foreach(lc, steps)
		must_be_text(sd_online_inverse(lfirst(lc)));
}

static void
parse_names(const char *data, size_t size)
{
	must_be_texts(sd_online_names_read(json_of(data, size)));
}

static void
parse_members(const char *data, size_t size)
{
	SdMembers	members;

	sd_members_parse(json_of(data, size), 1, &members);
	if (members.config.n < 0 || members.config.n > SD_MAX_REGIONS)
		elog(PANIC, "a config entry has %d members", members.config.n);
	for (int i = 0; i < members.config.n; i++)
		must_be_text(members.config.member[i].region);
}

static void
parse_options(const char *data, size_t size)
{
	Jsonb	   *options = json_of(data, size);

	sd_options_check(options);
	/* what was found good may be asked for */
	(void) sd_options_timeout_ms(options);
	(void) sd_options_barrier(options, 1);
	must_be_texts(sd_options_needs(options));
}

static void
parse_policy(const char *data, size_t size)
{
	Jsonb	   *json = json_of(data, size);
	SdPolicy	policy;

	sd_policy_parse(json, &policy);
	(void) sd_policy_is_locked(&policy);
	(void) sd_policy_lock_covers(&policy.lock, "public", "t");
	for (int i = 0; i < sd_policy_n_keys; i++)
		must_be_text(sd_policy_says(&policy, sd_policy_keys[i].name));
}

/* ---- answers ---- */

typedef struct Bytes
{
	const uint8 *at;
	const uint8 *end;
} Bytes;

static int
next_byte(Bytes *bytes)
{
	return bytes->at < bytes->end ? *bytes->at++ : 0;
}

/* columns, rows, and for each cell a format and a length: 255 is null, 254 text, else so many bytes of binary */
static PGresult *
answer_of(const char *data, size_t size)
{
	Bytes		bytes = {(const uint8 *) data, (const uint8 *) data + size};
	PGresult   *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc columns[16] = {0};
	int			n_columns = next_byte(&bytes) % lengthof(columns);
	int			n_rows = next_byte(&bytes) % 8;
	int			as_text = next_byte(&bytes);
	bool		good;

	for (int i = 0; i < n_columns; i++)
	{
		columns[i].name = "c";
		columns[i].format = as_text == i + 1 ? 0 : 1;
	}
	good = result && PQsetResultAttrs(result, n_columns, columns);
	for (int row = 0; good && row < n_rows; row++)
		for (int i = 0; good && i < n_columns; i++)
		{
			int			length = next_byte(&bytes);

			if (length < 255)
				length = Min(length, (int) (bytes.end - bytes.at));
			good = PQsetvalue(result, row, i, length == 255 ? NULL : unconstify(char *, (const char *) bytes.at),
							  length == 255 ? -1 : length);
			bytes.at += length == 255 ? 0 : length;
		}
	if (!good)
		elog(ERROR, "out of memory");
	return result;
}

static void
must_be_telemetry(const SdTelemetry *told)
{
	must_be_text(told->halt_error);
	must_be_text(told->lease.region);
	must_be_text(told->granted.region);
	must_be_text(told->standing.vector);
	must_be_text(told->verify_error);
	for (int i = 0; i < SD_MAX_TASKS; i++)
	{
		must_be_text(told->tasks[i].state);
		must_be_text(told->tasks[i].what);
	}
}

static void
decode_all(const PGresult *result)
{
	SdVoteAnswer vote;
	SdHandover	handover;
	SdAcceptorVerdict verdict;
	SdTelemetry told;
	int64		number;
	List	   *rows;
	char	   *names;

	if (sd_call_decode_vote(result, &vote))
	{
		must_be_text(vote.reason);
		must_be_text(vote.promised.region);
	}
	(void) sd_call_decode_learn(result, &verdict, &number);
	if (sd_call_decode_handover(result, &handover))
	{
		must_be_text(handover.subject);
		must_be_text(handover.next);
	}
	(void) sd_call_decode_rows(result, &rows);
	if (sd_call_decode_exchange(result, &told, &number, &names))
	{
		must_be_text(names);
		must_be_telemetry(&told);
	}
}

static void
parse_answer(const char *data, size_t size)
{
	PGresult   *result = answer_of(data, size);

	PG_TRY();
	{
		decode_all(result);
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();
}

static void
parse_notes(const char *data, size_t size)
{
	SdTelemetry told;
	SdTelemetry again;
	char	   *written;

	memset(&told, 0, sizeof(told));
	sd_telemetry_read_notes(text_of(data, size), &told);
	must_be_telemetry(&told);
	/* what was understood is what is told on */
	memset(&again, 0, sizeof(again));
	written = sd_telemetry_write_notes(&told);
	sd_telemetry_read_notes(written, &again);
	if (strcmp(written, sd_telemetry_write_notes(&again)) != 0)
		elog(PANIC, "notes do not survive being written and read");
}

/* What libpq and a server say: its bytes may be anything. */
static void
parse_reason(const char *data, size_t size)
{
	char	   *message = pnstrdup(data, size);
	char		reason[64];

	sd_libpq_reason(message, reason, sizeof(reason));
	must_be_text(reason);
}

static void
parse_conninfo(const char *data, size_t size)
{
	char	   *error = NULL;
	SdConninfo *info = sd_conninfo_parse(text_of(data, size), &error);

	if (info == NULL && error == NULL)
		elog(PANIC, "a conninfo is refused without a reason");
}

/* ---- texts of people and of the catalogs ---- */

static void
parse_script(const char *data, size_t size)
{
	char	   *text = text_of(data, size);
	SdScript   *script = data && size % 2 ? sd_script_parse_online(text) : sd_script_parse(text);
	const char *hint;

	for (int i = 0; i < sd_script_statements(script); i++)
	{
		ListCell   *lc;

		/* each statement is a text of its own, of one statement */
		foreach(lc, sd_parse_quietly(sd_script_statement(script, i)))
		{
			(void) sd_moment_reason(lfirst_node(RawStmt, lc)->stmt, &hint);
			(void) sd_online_kind(lfirst_node(RawStmt, lc)->stmt);
		}
	}
}

static void
walk_node(const SdNode *node)
{
	(void) sd_node_text(node);
	(void) sd_node_string(node);
	(void) sd_node_int(node);
	(void) sd_node_is_null(node);
	for (int i = 0; i < node->nitems; i++)
		walk_node(&node->items[i]);
}

static void
parse_node(const char *data, size_t size)
{
	walk_node(sd_node_parse(text_of(data, size)));
}

/* Two definitions, the second from the middle on.  A definition does not differ from itself, and differences go both ways. */
static void
parse_properties(const char *data, size_t size)
{
	char	   *a = text_of(data, size / 2);
	char	   *b = text_of(data + size / 2, size - size / 2);
	List	   *differences = sd_properties_differ(a, b);

	if (sd_properties_differ(a, a) != NIL)
		elog(PANIC, "a definition differs from itself");
	if (list_length(differences) != list_length(sd_properties_differ(b, a)))
		elog(PANIC, "definitions differ in one direction only");
	must_be_text(sd_properties_names(differences, 3));
}

/* ---- types: through their functions, as COPY and clients call them ---- */

extern Datum sd_version_vector_in(PG_FUNCTION_ARGS);
extern Datum sd_version_vector_out(PG_FUNCTION_ARGS);
extern Datum sd_version_vector_recv(PG_FUNCTION_ARGS);
extern Datum sd_version_vector_send(PG_FUNCTION_ARGS);
extern Datum sd_version_vector_merge(PG_FUNCTION_ARGS);
extern Datum sd_hlc_type_in(PG_FUNCTION_ARGS);
extern Datum sd_hlc_type_out(PG_FUNCTION_ARGS);
extern Datum sd_hlc_type_recv(PG_FUNCTION_ARGS);

static Datum
receive(PGFunction function, const char *data, size_t size)
{
	StringInfoData buffer;

	initStringInfo(&buffer);
	appendBinaryStringInfo(&buffer, data, (int) size);
	return DirectFunctionCall1(function, PointerGetDatum(&buffer));
}

static void
must_be_same(Datum vector, Datum other)
{
	const struct varlena *a = (const struct varlena *) DatumGetPointer(vector);
	const struct varlena *b = (const struct varlena *) DatumGetPointer(other);

	if (VARSIZE(a) != VARSIZE(b) || memcmp(a, b, VARSIZE(a)) != 0)
		elog(PANIC, "a version vector became another");
}

/* Both forms of a vector that was read, and its merge with itself, are the vector. */
static void
check_vector(Datum vector)
{
	const struct varlena *datum = (const struct varlena *) DatumGetPointer(vector);
	Datum		text = DirectFunctionCall1(sd_version_vector_out, vector);
	const bytea *sent = DatumGetByteaPP(DirectFunctionCall1(sd_version_vector_send, vector));

	if (!sd_vector_is_canonical((SdVector) {(const unsigned char *) VARDATA(datum), VARSIZE(datum) - VARHDRSZ}))
		elog(PANIC, "a version vector is not canonical");
	must_be_text(DatumGetCString(text));
	must_be_same(vector, DirectFunctionCall1(sd_version_vector_in, text));
	must_be_same(vector, receive(sd_version_vector_recv, VARDATA_ANY(sent), VARSIZE_ANY_EXHDR(sent)));
	must_be_same(vector, DirectFunctionCall2(sd_version_vector_merge, vector, vector));
}

static void
parse_vector(const char *data, size_t size)
{
	check_vector(DirectFunctionCall1(sd_version_vector_in, CStringGetDatum(text_of(data, size))));
}

static void
parse_vector_binary(const char *data, size_t size)
{
	check_vector(receive(sd_version_vector_recv, data, size));
}

static void
check_hlc(Datum hlc)
{
	Datum		text = DirectFunctionCall1(sd_hlc_type_out, hlc);

	must_be_text(DatumGetCString(text));
	if (DatumGetInt64(hlc) < 0 || DatumGetInt64(DirectFunctionCall1(sd_hlc_type_in, text)) != DatumGetInt64(hlc))
		elog(PANIC, "an hlc became another");
}

static void
parse_hlc_text(const char *data, size_t size)
{
	check_hlc(DirectFunctionCall1(sd_hlc_type_in, CStringGetDatum(text_of(data, size))));
}

static void
parse_hlc_binary(const char *data, size_t size)
{
	check_hlc(receive(sd_hlc_type_recv, data, size));
}

/* Arithmetic, and the only text it has: what any eight bytes are shown as, and that a clock never goes back. */
static void
parse_hlc(const char *data, size_t size)
{
	SdHlcClock	clock;
	uint64		number[3] = {0};
	char		text[SD_HLC_TEXT_SIZE];
	SdHlc		before;

	memcpy(number, data, Min(size, sizeof(number)));
	sd_hlc_init(&clock, number[0] >> 1, 60000);
	before = clock.last;
	(void) sd_hlc_receive(&clock, number[1] >> 1, number[2] >> 20);
	if (sd_hlc_now(&clock, number[2] >> 20) <= before)
		elog(PANIC, "the clock went back");
	(void) sd_hlc_format(number[0], text, sizeof(text));
	must_be_text(text);
}

static const struct
{
	const char *name;
	void		(*parse) (const char *data, size_t size);
}			targets[] = {
	{"answer", parse_answer},
	{"commands", parse_commands},
	{"conninfo", parse_conninfo},
	{"entry", parse_entry},
	{"hlc", parse_hlc},
	{"hlc_binary", parse_hlc_binary},
	{"hlc_text", parse_hlc_text},
	{"members", parse_members},
	{"names", parse_names},
	{"node", parse_node},
	{"notes", parse_notes},
	{"options", parse_options},
	{"policy", parse_policy},
	{"properties", parse_properties},
	{"reason", parse_reason},
	{"rows", parse_rows},
	{"run_as", parse_run_as},
	{"script", parse_script},
	{"steps", parse_steps},
	{"vector", parse_vector},
	{"vector_binary", parse_vector_binary},
};

void
sd_testing_parse_bytes(const char *target, const char *data, size_t size)
{
	for (size_t i = 0; i < lengthof(targets); i++)
		if (strcmp(targets[i].name, target) == 0)
		{
			targets[i].parse(data, size);
			return;
		}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no target \"%s\"", target)));
}

/* (target text, bytes bytea) returns void */
Datum
sd_testing_parse(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(1);

	sd_testing_parse_bytes(text_to_cstring(PG_GETARG_TEXT_PP(0)), VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	PG_RETURN_VOID();
}

#endif							/* SD_TESTING */
