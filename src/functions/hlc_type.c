/*
 * hlc_type.c: SQL type hlc, a hybrid logical clock's value, over causality/hlc.h.
 *
 * Runs in backends; touches no table and no shared memory.  A datum is an int8 of the same number, never negative: order,
 * hash, minimum and maximum are int8's own functions (src/sql/07-types.sql).  Here is what is not.
 */
#include "compat.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"

#include "causality/hlc.h"

PG_FUNCTION_INFO_V1(sd_hlc_type_in);
PG_FUNCTION_INFO_V1(sd_hlc_type_out);
PG_FUNCTION_INFO_V1(sd_hlc_type_recv);
PG_FUNCTION_INFO_V1(sd_hlc_type_send);
PG_FUNCTION_INFO_V1(sd_hlc_type_from_bigint);
PG_FUNCTION_INFO_V1(sd_hlc_type_to_timestamptz);

#define EPOCH_US	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

Datum
sd_hlc_type_in(PG_FUNCTION_ARGS)
{
	char	   *str = PG_GETARG_CSTRING(0);
	SdHlc		hlc = 0;
	size_t		at;
	const char *error = sd_hlc_parse(str, strlen(str), &hlc, &at);

	if (error)
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"", "hlc", str),
				 errdetail("At character %d, %s.", pg_mbstrlen_with_len(str, (int) at) + 1, error),
				 errhint("Write it like 2024-05-01T12:34:56.789Z+0003: a time in UTC, and a counter.")));
	PG_RETURN_INT64((int64) hlc);
}

Datum
sd_hlc_type_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(sd_hlc_format((SdHlc) PG_GETARG_INT64(0), palloc(SD_HLC_TEXT_SIZE), SD_HLC_TEXT_SIZE));
}

Datum
sd_hlc_type_recv(PG_FUNCTION_ARGS)
{
	int64		hlc = pq_getmsgint64((StringInfo) PG_GETARG_POINTER(0));

	if (hlc < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary form of type %s", "hlc"),
				 errdetail("It is a negative number.")));
	PG_RETURN_INT64(hlc);
}

Datum
sd_hlc_type_send(PG_FUNCTION_ARGS)
{
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendint64(&buf, (uint64) PG_GETARG_INT64(0));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

Datum
sd_hlc_type_from_bigint(PG_FUNCTION_ARGS)
{
	int64		number = PG_GETARG_INT64(0);

	if (number < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("hlc out of range: " INT64_FORMAT " is negative", number)));
	PG_RETURN_INT64(number);
}

/* Its physical part.  After every local event that it follows, and up to max_offset after our clock. */
Datum
sd_hlc_type_to_timestamptz(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) sd_hlc_ms((SdHlc) PG_GETARG_INT64(0)) * 1000 - EPOCH_US);
}
