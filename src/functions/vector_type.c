/*
 * vector_type.c: SQL type version_vector, over causality/vector.h.
 *
 * Runs in backends; touches no table and no shared memory.  A datum is a varlena that holds the canonical bytes, so that
 * equality and hash are those of the bytes.  Names are in the database's encoding.
 *
 * Binary form: a byte 1, the number of entries (int4), and for each the member's name (int4 length, bytes in the client's
 * encoding), incarnation (int4) and counter (int8).  In any order: it depends on the encoding.
 */
#include "compat.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "causality/vector.h"

#define BINARY_FORM	1

PG_FUNCTION_INFO_V1(sd_version_vector_in);
PG_FUNCTION_INFO_V1(sd_version_vector_out);
PG_FUNCTION_INFO_V1(sd_version_vector_recv);
PG_FUNCTION_INFO_V1(sd_version_vector_send);
PG_FUNCTION_INFO_V1(sd_version_vector_eq);
PG_FUNCTION_INFO_V1(sd_version_vector_ne);
PG_FUNCTION_INFO_V1(sd_version_vector_lt);
PG_FUNCTION_INFO_V1(sd_version_vector_le);
PG_FUNCTION_INFO_V1(sd_version_vector_gt);
PG_FUNCTION_INFO_V1(sd_version_vector_ge);
PG_FUNCTION_INFO_V1(sd_version_vector_concurrent);
PG_FUNCTION_INFO_V1(sd_version_vector_merge);
PG_FUNCTION_INFO_V1(sd_version_vector_counter);
PG_FUNCTION_INFO_V1(sd_version_vector_increment);
PG_FUNCTION_INFO_V1(sd_version_vector_hash);
PG_FUNCTION_INFO_V1(sd_version_vector_hash_extended);

/* ---- datums ---- */

static SdVector
vector_arg(FunctionCallInfo fcinfo, int arg)
{
	const struct varlena *datum = PG_GETARG_VARLENA_PP(arg);

	return (SdVector) {(const unsigned char *) VARDATA_ANY(datum), VARSIZE_ANY_EXHDR(datum)};
}

/* A datum with room for so many bytes, and what writes them there. */
static struct varlena *
begin_datum(SdVectorBuilder *builder, size_t room)
{
	struct varlena *datum = palloc(VARHDRSZ + Min(room, SD_VECTOR_SIZE_MAX));

	sd_vector_begin(builder, VARDATA(datum), Min(room, SD_VECTOR_SIZE_MAX));
	return datum;
}

static Datum
end_datum(struct varlena *datum, SdVector v)
{
	Assert((const char *) v.bytes == VARDATA(datum));
	SET_VARSIZE(datum, VARHDRSZ + v.size);
	return PointerGetDatum(datum);
}

/* ---- errors ---- */

/* What is written as it should be, and is too large; of all else otherwise. */
static int
errcode_of(SdVectorError error, int otherwise)
{
	switch (error)
	{
		case SD_VECTOR_COUNTER_RANGE:
		case SD_VECTOR_OVERFLOW:
			return ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
		case SD_VECTOR_TOO_MANY:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case SD_VECTOR_NAME_LENGTH:
			return ERRCODE_NAME_TOO_LONG;
		default:
			return otherwise;
	}
}

/* A result that is too large, or a counter that is. */
static void
require(SdVectorError error)
{
	if (error != SD_VECTOR_OK)
		ereport(ERROR,
				(errcode(errcode_of(error, ERRCODE_INTERNAL_ERROR)),
				 errmsg("version vector out of range: %s", sd_vector_error(error))));
}

static SdVectorEntry
member_arg(FunctionCallInfo fcinfo, int arg)
{
	const text *name = PG_GETARG_TEXT_PP(arg);
	SdVectorEntry member;
	SdVectorError error = sd_member_parse(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), &member);

	if (error != SD_VECTOR_OK)
		ereport(ERROR,
				(errcode(errcode_of(error, ERRCODE_INVALID_NAME)),
				 errmsg("invalid member of a version vector: \"%s\"", text_to_cstring(name)),
				 errdetail("In it, %s.", sd_vector_error(error)),
				 errhint("A member is the name of a region, and \"~n\" after it if the incarnation is not the first.")));
	return member;
}

/* ---- input and output ---- */

Datum
sd_version_vector_in(PG_FUNCTION_ARGS)
{
	char	   *str = PG_GETARG_CSTRING(0);
	size_t		length = strlen(str);
	SdVectorBuilder builder;
	struct varlena *datum = begin_datum(&builder, sd_vector_parse_room(length));
	SdVector	v;
	size_t		at;
	SdVectorError error = sd_vector_parse(str, length, &builder, &v, &at);

	if (error == SD_VECTOR_OK)
		return end_datum(datum, v);
	at = (size_t) pg_mbstrlen_with_len(str, (int) at) + 1;
	if (errcode_of(error, 0) != 0)
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(errcode_of(error, 0)),
				 errmsg("version vector out of range: %s", sd_vector_error(error)),
				 errdetail("This was seen at character %d.", (int) at)));
	ereturn(fcinfo->context, (Datum) 0,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", "version_vector", str),
			 errdetail("At character %d, %s.", (int) at, sd_vector_error(error)),
			 errhint("Write it like {eu-west:3,us-east:7,us-east~2:1}, and in double quotes a name with space or one of {}:,\"\\ in it.")));
}

Datum
sd_version_vector_out(PG_FUNCTION_ARGS)
{
	SdVector	v = vector_arg(fcinfo, 0);
	size_t		size = sd_vector_format(v, NULL, 0) + 1;
	char	   *str = palloc(size);

	(void) sd_vector_format(v, str, size);
	PG_RETURN_CSTRING(str);
}

Datum
sd_version_vector_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			form = pq_getmsgbyte(buf);
	uint32		n = pq_getmsgint(buf, 4);
	SdVectorBuilder builder;
	struct varlena *datum;

	if (form != BINARY_FORM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("unsupported version number %d of the binary form of version_vector", form)));
	if (n > SD_VECTOR_ENTRIES_MAX)
		require(SD_VECTOR_TOO_MANY);
	datum = begin_datum(&builder, (size_t) n * SD_VECTOR_ENTRY_SIZE);
	for (uint32 i = 0; i < n; i++)
	{
		int			raw = (int) pq_getmsgint(buf, 4);
		int			length;
		SdVectorEntry entry = {.name = pq_getmsgtext(buf, raw, &length)};
		SdVectorError error;

		entry.length = (size_t) length;
		entry.incarnation = (int32) pq_getmsgint(buf, 4);
		entry.counter = pq_getmsgint64(buf);
		error = sd_vector_add(&builder, &entry);
		if (error != SD_VECTOR_OK)
			ereport(ERROR,
					(errcode(errcode_of(error, ERRCODE_INVALID_BINARY_REPRESENTATION)),
					 errmsg("invalid binary form of type %s", "version_vector"),
					 errdetail("In entry %u, %s.", i + 1, sd_vector_error(error))));
	}
	return end_datum(datum, sd_vector_end(&builder));
}

Datum
sd_version_vector_send(PG_FUNCTION_ARGS)
{
	SdVector	v = vector_arg(fcinfo, 0);
	StringInfoData buf;
	SdVectorEntry entry;
	uint32		n = 0;

	for (size_t at = 0; sd_vector_next(v, &at, &entry);)
		n++;
	pq_begintypsend(&buf);
	pq_sendint8(&buf, BINARY_FORM);
	pq_sendint32(&buf, n);
	for (size_t at = 0; sd_vector_next(v, &at, &entry);)
	{
		const char *name = pg_server_to_client(entry.name, (int) entry.length);
		int			length = name == entry.name ? (int) entry.length : (int) strlen(name);

		pq_sendint32(&buf, (uint32) length);
		pq_sendbytes(&buf, name, length);
		pq_sendint32(&buf, (uint32) entry.incarnation);
		pq_sendint64(&buf, (uint64) entry.counter);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* ---- operators ---- */

static bool
is_equal(FunctionCallInfo fcinfo)
{
	SdVector	a = vector_arg(fcinfo, 0);
	SdVector	b = vector_arg(fcinfo, 1);

	return a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0;
}

static SdVectorOrder
order_of(FunctionCallInfo fcinfo)
{
	return sd_vector_compare(vector_arg(fcinfo, 0), vector_arg(fcinfo, 1));
}

Datum
sd_version_vector_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_equal(fcinfo));
}

Datum
sd_version_vector_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!is_equal(fcinfo));
}

Datum
sd_version_vector_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(order_of(fcinfo) == SD_VECTOR_BEHIND);
}

Datum
sd_version_vector_le(PG_FUNCTION_ARGS)
{
	SdVectorOrder order = order_of(fcinfo);

	PG_RETURN_BOOL(order == SD_VECTOR_BEHIND || order == SD_VECTOR_EQUAL);
}

Datum
sd_version_vector_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(order_of(fcinfo) == SD_VECTOR_AHEAD);
}

Datum
sd_version_vector_ge(PG_FUNCTION_ARGS)
{
	SdVectorOrder order = order_of(fcinfo);

	PG_RETURN_BOOL(order == SD_VECTOR_AHEAD || order == SD_VECTOR_EQUAL);
}

Datum
sd_version_vector_concurrent(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(order_of(fcinfo) == SD_VECTOR_CONCURRENT);
}

Datum
sd_version_vector_merge(PG_FUNCTION_ARGS)
{
	SdVector	a = vector_arg(fcinfo, 0);
	SdVector	b = vector_arg(fcinfo, 1);
	SdVectorBuilder builder;
	struct varlena *datum = begin_datum(&builder, a.size + b.size);
	SdVector	v = {0};

	require(sd_vector_merge(a, b, &builder, &v));
	return end_datum(datum, v);
}

/* version_vector -> text */
Datum
sd_version_vector_counter(PG_FUNCTION_ARGS)
{
	SdVectorEntry member = member_arg(fcinfo, 1);

	PG_RETURN_INT64(sd_vector_get(vector_arg(fcinfo, 0), &member));
}

Datum
sd_version_vector_increment(PG_FUNCTION_ARGS)
{
	SdVector	before = vector_arg(fcinfo, 0);
	SdVectorEntry member = member_arg(fcinfo, 1);
	SdVectorBuilder builder;
	struct varlena *datum = begin_datum(&builder, before.size + SD_VECTOR_ENTRY_SIZE);
	SdVector	v = {0};

	require(sd_vector_increment(before, &member, &builder, &v));
	return end_datum(datum, v);
}

/* ---- hash class ---- */

Datum
sd_version_vector_hash(PG_FUNCTION_ARGS)
{
	SdVector	v = vector_arg(fcinfo, 0);

	return hash_any(v.bytes, (int) v.size);
}

Datum
sd_version_vector_hash_extended(PG_FUNCTION_ARGS)
{
	SdVector	v = vector_arg(fcinfo, 0);

	return hash_any_extended(v.bytes, (int) v.size, (uint64) PG_GETARG_INT64(1));
}
