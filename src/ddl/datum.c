/*
 * datum.c: a value as text, without locks; see datum.h.
 *
 * Output functions take no locks, with one exception: record_out() opens the relation behind a composite type, and so waits
 * behind somebody's ALTER TABLE when the type is a table's row type.  So composites are taken apart here, by
 * system caches, and columns are named: a restored copy has no dropped ones.
 *
 * A composite constant in a stored tree keeps the layout of the day it was made, and ALTER TABLE ... TYPE does not look
 * for constants.  So nothing inside a composite is believed: each length is checked against what is there, contents
 * go to output functions only for types whose whole form is checked here first, and what does not fit today's columns makes the
 * whole value "unreadable".  What another type's bytes look like by chance is read as that: bounded, and the same each time.
 * Bytes that do not fit are not hashed: OIDs may be among them, and they differ between regions.
 *
 * Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/pg_class.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/inet.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/multirangetypes.h"
#include "utils/rangetypes.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varbit.h"

#include "ddl/datum.h"
#include "ddl/names.h"

void
sd_append_quoted(StringInfo out, const char *string)
{
	appendStringInfoChar(out, '"');
	for (; *string; string++)
	{
		if (*string == '"' || *string == '\\')
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, *string);
	}
	appendStringInfoChar(out, '"');
}

#define UNREADABLE		"unreadable ("
#define HASHED			"sha256:"

/* The bytes of several values, one after the other; aligned as the first of them was. */
typedef struct Reader
{
	char	   *start;
	Size		at;
	Size		length;
} Reader;

/* The bytes of one value, without the length word of a varlena; not aligned. */
typedef struct Piece
{
	const char *bytes;
	Size		length;
} Piece;

static bool append_piece(StringInfo out, Oid type, Piece piece);

/* --- finding values --- */

static bool
next_varlena(Reader *reader, Piece *piece)
{
	const char *start = reader->start + reader->at;
	Size		room = reader->length - reader->at;
	uint32		word;
	Size		size;
	Size		before;

	if (room < 1 || VARATT_IS_1B_E(start))
		return false;
	if (VARATT_IS_1B(start))
	{
		size = VARSIZE_1B(start);
		before = VARHDRSZ_SHORT;
	}
	else
	{
		if (room < VARHDRSZ)
			return false;
		memcpy(&word, start, VARHDRSZ);
		if (!VARATT_IS_4B_U(&word))
			return false;
		size = VARSIZE_4B(&word);
		before = VARHDRSZ;
	}
	if (size < before || size > room)
		return false;
	piece->bytes = start + before;
	piece->length = size - before;
	reader->at += size;
	return true;
}

/* The next value, as heap_deform_tuple() and deconstruct_array() find it, but for what does not fit. */
static bool
next_piece(Reader *reader, int16 length, char align, Piece *piece)
{
	if (reader->at > reader->length)
		return false;
	if (length == -1)
	{
		if (reader->at < reader->length && !VARATT_NOT_PAD_BYTE(reader->start + reader->at))
			reader->at = att_align_nominal(reader->at, align);
		return reader->at < reader->length && next_varlena(reader, piece);
	}
	reader->at = att_align_nominal(reader->at, align);
	if (length <= 0 || reader->at > reader->length || (Size) length > reader->length - reader->at)
		return false;
	piece->bytes = reader->start + reader->at;
	piece->length = length;
	reader->at += length;
	return true;
}

/* A copy that is aligned, with a length word in front. */
static struct varlena *
as_varlena(Piece piece)
{
	struct varlena *result = palloc0(VARHDRSZ + piece.length + 1);

	SET_VARSIZE(result, VARHDRSZ + piece.length);
	memcpy(VARDATA(result), piece.bytes, piece.length);
	return result;
}

static Datum
as_datum(Piece piece, int16 length, bool byval)
{
	char	   *copy;

	if (length == -1)
		return PointerGetDatum(as_varlena(piece));
	copy = palloc0(piece.length + 1);
	memcpy(copy, piece.bytes, piece.length);
	return fetch_att(copy, byval, length);
}

/* --- what holds other values --- */

static bool
append_composite(StringInfo out, Oid relation, Piece piece)
{
	HeapTupleHeader header = (HeapTupleHeader) as_varlena(piece);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Size		size = VARHDRSZ + piece.length;
	Size		least = SizeofHeapTupleHeader;
	bits8	   *present = NULL;
	Reader		reader = {(char *) header, 0, size};
	int			natts;
	int			stored;

	if (!HeapTupleIsValid(tuple))
		return false;
	natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	if (size < least)
		return false;
	stored = HeapTupleHeaderGetNatts(header);
	if (header->t_infomask & HEAP_HASNULL)
	{
		present = header->t_bits;
		least += BITMAPLEN(stored);
	}
	reader.at = header->t_hoff;
	if (stored > natts || reader.at < least || reader.at > size || reader.at != MAXALIGN(reader.at))
		return false;
	reader.start += reader.at;
	reader.length -= reader.at;
	reader.at = 0;

	appendStringInfoChar(out, '(');
	for (int i = 0; i < stored; i++)
	{
		Form_pg_attribute column;
		bool		fits = true;

		if (present && att_isnull(i, present))
			continue;
		tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(i + 1));
		if (!HeapTupleIsValid(tuple))
			return false;
		column = (Form_pg_attribute) GETSTRUCT(tuple);
		fits = next_piece(&reader, column->attlen, column->attalign, &piece);
		if (fits && !column->attisdropped)
		{
			appendStringInfoChar(out, ' ');
			sd_append_identifier(out, NameStr(column->attname));
			appendStringInfoChar(out, ' ');
			fits = append_piece(out, column->atttypid, piece);
		}
		ReleaseSysCache(tuple);
		if (!fits)
			return false;
	}
	appendStringInfoChar(out, ')');
	return reader.at == reader.length;
}

static bool
append_array(StringInfo out, Oid element, Piece piece)
{
	ArrayType  *array = (ArrayType *) as_varlena(piece);
	Reader		reader = {(char *) array, 0, VARHDRSZ + piece.length};
	int16		length;
	bool		byval;
	char		align;
	bits8	   *present;
	int64		n = 1;
	int			ndim;

	if (reader.length < sizeof(ArrayType))
		return false;
	ndim = ARR_NDIM(array);
	if (ndim < 0 || ndim > MAXDIM || ARR_ELEMTYPE(array) != element || reader.length < (Size) ARR_OVERHEAD_NONULLS(ndim))
		return false;
	for (int i = 0; i < ndim; i++)
	{
		n *= ARR_DIMS(array)[i];
		if (ARR_DIMS(array)[i] <= 0 || n > (int64) MaxArraySize)
			return false;
	}
	if (ndim == 0)
		n = 0;
	if (ARR_HASNULL(array) && array->dataoffset != (int32) ARR_OVERHEAD_WITHNULLS(ndim, n))
		return false;
	reader.at = ARR_DATA_OFFSET(array);
	if (reader.at > reader.length)
		return false;
	present = ARR_NULLBITMAP(array);

	get_typlenbyvalalign(element, &length, &byval, &align);
	appendStringInfoChar(out, '[');
	for (int i = 0; i < ndim; i++)
		appendStringInfo(out, " %d:%d", ARR_LBOUND(array)[i], ARR_DIMS(array)[i]);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		appendStringInfoChar(out, ' ');
		if (present && att_isnull(i, present))
			appendStringInfoString(out, "NULL");
		else if (!next_piece(&reader, length, align, &piece) || !append_piece(out, element, piece))
			return false;
	}
	appendStringInfoChar(out, ']');
	return reader.at <= reader.length && reader.length - reader.at < MAXIMUM_ALIGNOF;
}

static bool
append_bounds(StringInfo out, Oid subtype, char flags, Reader *reader)
{
	int16		length;
	bool		byval;
	char		align;
	Piece		piece;

	if (flags & RANGE_EMPTY)
	{
		appendStringInfoString(out, "empty");
		return true;
	}
	get_typlenbyvalalign(subtype, &length, &byval, &align);
	appendStringInfoString(out, flags & RANGE_LB_INC ? "[ " : "( ");
	if (RANGE_HAS_LBOUND(flags) && !(next_piece(reader, length, align, &piece) && append_piece(out, subtype, piece)))
		return false;
	appendStringInfoString(out, " , ");
	if (RANGE_HAS_UBOUND(flags) && !(next_piece(reader, length, align, &piece) && append_piece(out, subtype, piece)))
		return false;
	appendStringInfoString(out, flags & RANGE_UB_INC ? " ]" : " )");
	return true;
}

static bool
append_range(StringInfo out, Oid type, Piece piece)
{
	RangeType  *range = (RangeType *) as_varlena(piece);
	Reader		reader = {(char *) range, sizeof(RangeType), VARHDRSZ + piece.length};

	if (reader.length <= sizeof(RangeType) || RangeTypeGetOid(range) != type)
		return false;
	reader.length--;
	return append_bounds(out, get_range_subtype(type), reader.start[reader.length], &reader) && reader.at == reader.length;
}

/* Its flags stand in front, after the places of all ranges but the first; the bounds follow one another. */
static bool
append_multirange(StringInfo out, Oid type, Piece piece)
{
	MultirangeType *multirange = (MultirangeType *) as_varlena(piece);
	Reader		reader = {(char *) multirange, sizeof(MultirangeType), VARHDRSZ + piece.length};
	Oid			subtype = get_range_subtype(get_multirange_range(type));
	Size		flags;
	Size		n;
	int16		length;
	bool		byval;
	char		align;

	if (reader.length < sizeof(MultirangeType) || MultirangeTypeGetOid(multirange) != type)
		return false;
	n = multirange->rangeCount;
	if (n > reader.length)
		return false;
	flags = sizeof(MultirangeType) + (n > 0 ? n - 1 : 0) * sizeof(uint32);
	if (n > 0 && flags + n > reader.length)
		return false;
	reader.at = flags + n;
	get_typlenbyvalalign(subtype, &length, &byval, &align);
	appendStringInfoChar(out, '{');
	for (Size i = 0; i < n; i++)
	{
		appendStringInfoChar(out, ' ');
		reader.at = att_align_nominal(reader.at, align);
		if (!append_bounds(out, subtype, reader.start[flags + i], &reader))
			return false;
	}
	appendStringInfoString(out, " }");
	return reader.at <= reader.length && reader.length - reader.at < MAXIMUM_ALIGNOF;
}

/* --- single values --- */

static bool
is_string(Piece piece)
{
	return pg_verify_mbstr(GetDatabaseEncoding(), piece.bytes, piece.length, true);
}

static bool
is_timestamp(Piece piece)
{
	Timestamp	value;

	memcpy(&value, piece.bytes, sizeof(value));
	return TIMESTAMP_NOT_FINITE(value) || IS_VALID_TIMESTAMP(value);
}

static bool
is_date(Piece piece)
{
	DateADT		value;

	memcpy(&value, piece.bytes, sizeof(value));
	return DATE_NOT_FINITE(value) || IS_VALID_DATE(value);
}

static bool
is_time(Piece piece)
{
	TimeADT		value;

	memcpy(&value, piece.bytes, sizeof(value));
	return value >= 0 && value <= USECS_PER_DAY;
}

/* A zone of less than a day in front of or behind UTC. */
static bool
is_timetz(Piece piece)
{
	int32		zone;

	memcpy(&zone, piece.bytes + sizeof(TimeADT), sizeof(zone));
	return is_time(piece) && zone > -SECS_PER_DAY && zone < SECS_PER_DAY;
}

/* Up to 15, more hours than an int has are an error of its output function. */
static bool
is_interval(Piece piece)
{
	int64		time;

	memcpy(&time, piece.bytes + offsetof(Interval, time), sizeof(time));
	return time / USECS_PER_HOUR < PG_INT32_MAX && time / USECS_PER_HOUR > PG_INT32_MIN;
}

/* A header of two bytes, or of four with the upper bits 00; NaN and infinity, 11, have no digits; digits below 10000. */
static bool
is_numeric(Piece piece)
{
	uint16		word;
	Size		at;

	if (piece.length < sizeof(word))
		return false;
	memcpy(&word, piece.bytes, sizeof(word));
	at = (word & 0x8000) ? 2 : 4;
	if (piece.length < at || piece.length % sizeof(word) != 0)
		return false;
	if ((word & 0xC000) == 0xC000)
		return piece.length == at;
	for (; at < piece.length; at += sizeof(word))
	{
		memcpy(&word, piece.bytes + at, sizeof(word));
		if (word >= 10000)
			return false;
	}
	return true;
}

static bool
is_bits(Piece piece)
{
	int32		bits;

	if (piece.length < sizeof(bits))
		return false;
	memcpy(&bits, piece.bytes, sizeof(bits));
	return bits >= 0 && bits <= VARBITMAXLEN && piece.length - sizeof(bits) == ((Size) bits + BITS_PER_BYTE - 1) / BITS_PER_BYTE;
}

static bool
is_address(Piece piece)
{
	const unsigned char *bytes = (const unsigned char *) piece.bytes;

	if (piece.length < 2)
		return false;
	if (bytes[0] == PGSQL_AF_INET)
		return piece.length == 2 + 4 && bytes[1] <= 32;
	return bytes[0] == PGSQL_AF_INET6 && piece.length == 2 + 16 && bytes[1] <= 128;
}

static bool
is_name(Piece piece)
{
	const char *end = memchr(piece.bytes, '\0', piece.length);

	return end && pg_verify_mbstr(GetDatabaseEncoding(), piece.bytes, end - piece.bytes, true);
}

static bool
is_ascii(Piece piece)
{
	return !IS_HIGHBIT_SET(piece.bytes[0]);
}

/* Types of whose output functions it is known that they are safe with any bytes that pass the check (NULL: with any). */
typedef struct KnownType
{
	Oid			type;
	bool		(*is_sound) (Piece piece);
} KnownType;

static const KnownType known_types[] = {
	{BOOLOID, NULL}, {CHAROID, is_ascii}, {INT2OID, NULL}, {INT4OID, NULL}, {INT8OID, NULL},
	{FLOAT4OID, NULL}, {FLOAT8OID, NULL}, {NUMERICOID, is_numeric}, {CASHOID, NULL},
	{TEXTOID, is_string}, {NAMEOID, is_name}, {VARCHAROID, is_string}, {BPCHAROID, is_string}, {JSONOID, is_string},
	{BYTEAOID, NULL},
	{DATEOID, is_date}, {TIMEOID, is_time}, {TIMETZOID, is_timetz}, {TIMESTAMPOID, is_timestamp}, {TIMESTAMPTZOID, is_timestamp},
	{INTERVALOID, is_interval}, {UUIDOID, NULL}, {INETOID, is_address}, {CIDROID, is_address},
	{MACADDROID, NULL}, {MACADDR8OID, NULL}, {BITOID, is_bits}, {VARBITOID, is_bits},
	{POINTOID, NULL}, {LSEGOID, NULL}, {BOXOID, NULL}, {LINEOID, NULL}, {CIRCLEOID, NULL},
	{OIDOID, NULL}, {REGCLASSOID, NULL}, {REGTYPEOID, NULL}, {REGPROCOID, NULL},
	{REGPROCEDUREOID, NULL}, {REGOPEROID, NULL}, {REGOPERATOROID, NULL}, {REGNAMESPACEOID, NULL},
	{REGROLEOID, NULL}, {REGCONFIGOID, NULL}, {REGDICTIONARYOID, NULL}, {REGCOLLATIONOID, NULL},
};

static void
append_output(StringInfo out, Oid type, Datum value)
{
	Oid			function;
	bool		is_varlena;

	getTypeOutputInfo(type, &function, &is_varlena);
	sd_append_quoted(out, OidOutputFunctionCall(function, value));
}

static bool
append_enum(StringInfo out, Oid type, Piece piece)
{
	HeapTuple	tuple;
	Oid			label;
	bool		fits;

	memcpy(&label, piece.bytes, sizeof(label));
	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(label));
	if (!HeapTupleIsValid(tuple))
		return false;
	fits = ((Form_pg_enum) GETSTRUCT(tuple))->enumtypid == type;
	if (fits)
		sd_append_quoted(out, NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel));
	ReleaseSysCache(tuple);
	return fits;
}

/* Of a type that is not known here (jsonb, tsvector, most of extensions'): its bytes. */
static void
append_hash(StringInfo out, Piece piece)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) piece.bytes, piece.length) < 0 ||
		pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute SHA-256: %s", pg_cryptohash_error(context))));
	pg_cryptohash_free(context);
	appendStringInfoString(out, HASHED);
	for (int i = 0; i < PG_SHA256_DIGEST_LENGTH; i++)
		appendStringInfo(out, "%02x", digest[i]);
}

static bool
append_single(StringInfo out, Oid type, Piece piece)
{
	for (size_t i = 0; i < lengthof(known_types); i++)
	{
		int16		length;
		bool		byval;

		if (known_types[i].type != type)
			continue;
		get_typlenbyval(type, &length, &byval);
		if (known_types[i].is_sound && !known_types[i].is_sound(piece))
			return false;
		append_output(out, type, as_datum(piece, length, byval));
		return true;
	}
	append_hash(out, piece);
	return true;
}

/* False where the bytes are none of this type; what was written till then is to be taken back. */
static bool
append_piece(StringInfo out, Oid type, Piece piece)
{
	Oid			base = getBaseType(type);
	Oid			element;

	check_stack_depth();
	switch (get_typtype(base))
	{
		case TYPTYPE_COMPOSITE:
			return append_composite(out, get_typ_typrelid(base), piece);
		case TYPTYPE_RANGE:
			return append_range(out, base, piece);
		case TYPTYPE_MULTIRANGE:
			return append_multirange(out, base, piece);
		case TYPTYPE_ENUM:
			return append_enum(out, base, piece);
		default:
			element = get_element_type(base);
			return OidIsValid(element) ? append_array(out, element, piece) : append_single(out, base, piece);
	}
}

/* Is a composite type in it, on whichever level? */
static bool
holds_composite(Oid type)
{
	Oid			base = getBaseType(type);

	check_stack_depth();
	switch (get_typtype(base))
	{
		case TYPTYPE_COMPOSITE:
			return true;
		case TYPTYPE_RANGE:
			return holds_composite(get_range_subtype(base));
		case TYPTYPE_MULTIRANGE:
			return holds_composite(get_multirange_range(base));
		default:
			base = get_element_type(base);
			return OidIsValid(base) && holds_composite(base);
	}
}

void
sd_append_datum(StringInfo out, Oid type, Datum value)
{
	struct varlena *whole;
	Piece		piece;
	int			start = out->len;

	if (!holds_composite(type))
	{
		append_output(out, getBaseType(type), value);
		return;
	}
	whole = PG_DETOAST_DATUM(value);
	piece.bytes = VARDATA(whole);
	piece.length = VARSIZE(whole) - VARHDRSZ;
	if (append_piece(out, type, piece))
		return;
	out->len = start;
	out->data[start] = '\0';
	appendStringInfo(out, UNREADABLE "%u bytes)", (unsigned) (VARSIZE(whole) - VARHDRSZ));
}

bool
sd_datum_is_doubtful(const char *definition)
{
	return strstr(definition, "{CONST ") && (strstr(definition, " " UNREADABLE) || strstr(definition, " " HASHED));
}
