/*
 * vector.c: version vectors.  Pure; see vector.h.
 *
 * Two vectors are compared and merged in one pass over both, as both are sorted.
 */
#include "causality/vector.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "consensus/ballot.h"

_Static_assert(SD_VECTOR_NAME_MAX == SD_NAME_SIZE - 1, "a vector's members have the names that regions have");

#define NUMBERS_SIZE	(4 + 8)
#define INCARNATION_DIGITS	10

const char *
sd_vector_error(SdVectorError error)
{
	switch (error)
	{
		case SD_VECTOR_OK:
			return "no error";
		case SD_VECTOR_NO_BRACE:
			return "\"{\" is expected";
		case SD_VECTOR_NO_NAME:
			return "the name of a region is expected";
		case SD_VECTOR_NAME_LENGTH:
			return "the name of a region has more than 63 bytes";
		case SD_VECTOR_NAME_BYTES:
			return "the name of a region has a byte that it cannot have";
		case SD_VECTOR_OPEN_QUOTE:
			return "a quoted name does not end";
		case SD_VECTOR_INCARNATION:
			return "an incarnation from 1 to 2147483647 is expected after \"~\"";
		case SD_VECTOR_NO_COLON:
			return "\":\" is expected";
		case SD_VECTOR_NO_COUNTER:
			return "a counter is expected";
		case SD_VECTOR_COUNTER_RANGE:
			return "a counter is not from 0 to 9223372036854775807";
		case SD_VECTOR_NO_COMMA:
			return "\",\" or \"}\" is expected";
		case SD_VECTOR_TRAILING:
			return "there is more after the closing \"}\"";
		case SD_VECTOR_DUPLICATE:
			return "a member is there twice";
		case SD_VECTOR_TOO_MANY:
			return "there are more than 4096 members";
		case SD_VECTOR_OVERFLOW:
			return "the counter is 9223372036854775807 already";
		case SD_VECTOR_NO_ROOM:
			return "there is too little memory for it";
	}
	return "unknown error";
}

/* ---- entries as bytes ---- */

static uint64_t
get_number(const unsigned char *bytes, int n)
{
	uint64_t	number = 0;

	for (int i = 0; i < n; i++)
		number = number << 8 | bytes[i];
	return number;
}

static void
put_number(unsigned char *bytes, int n, uint64_t number)
{
	for (int i = n - 1; i >= 0; i--, number >>= 8)
		bytes[i] = (unsigned char) number;
}

bool
sd_vector_next(SdVector v, size_t *at, SdVectorEntry *entry)
{
	size_t		left = *at < v.size ? v.size - *at : 0;
	const unsigned char *bytes;

	if (left == 0)
		return false;
	bytes = v.bytes + *at;
	/* bytes that nobody has checked must not lead beyond their end */
	if (left < (size_t) 1 + bytes[0] + NUMBERS_SIZE)
		return false;
	entry->length = bytes[0];
	entry->name = (const char *) bytes + 1;
	bytes += 1 + entry->length;
	entry->incarnation = (int32_t) (uint32_t) get_number(bytes, 4);
	entry->counter = (int64_t) get_number(bytes + 4, 8);
	*at += 1 + entry->length + NUMBERS_SIZE;
	return true;
}

static size_t
entry_size(const SdVectorEntry *entry)
{
	return 1 + entry->length + NUMBERS_SIZE;
}

static void
put_entry(unsigned char *bytes, const SdVectorEntry *entry)
{
	bytes[0] = (unsigned char) entry->length;
	memcpy(bytes + 1, entry->name, entry->length);
	bytes += 1 + entry->length;
	put_number(bytes, 4, (uint32_t) entry->incarnation);
	put_number(bytes + 4, 8, (uint64_t) entry->counter);
}

static int
member_compare(const SdVectorEntry *a, const SdVectorEntry *b)
{
	int			order = memcmp(a->name, b->name, a->length < b->length ? a->length : b->length);

	if (order != 0)
		return order;
	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;
	return (a->incarnation > b->incarnation) - (a->incarnation < b->incarnation);
}

static SdVectorError
member_check(const SdVectorEntry *member)
{
	if (member->length == 0)
		return SD_VECTOR_NO_NAME;
	if (member->length > SD_VECTOR_NAME_MAX)
		return SD_VECTOR_NAME_LENGTH;
	if (memchr(member->name, '\0', member->length) || memchr(member->name, '~', member->length))
		return SD_VECTOR_NAME_BYTES;
	if (member->incarnation < 1)
		return SD_VECTOR_INCARNATION;
	return SD_VECTOR_OK;
}

/* ---- making one ---- */

void
sd_vector_begin(SdVectorBuilder *builder, void *bytes, size_t room)
{
	builder->bytes = bytes;
	builder->room = room;
	builder->size = 0;
	builder->last = 0;
	builder->n = 0;
}

static SdVectorError
insert(SdVectorBuilder *builder, size_t at, const SdVectorEntry *entry)
{
	size_t		size = entry_size(entry);

	if (builder->n >= SD_VECTOR_ENTRIES_MAX)
		return SD_VECTOR_TOO_MANY;
	if (builder->room - builder->size < size)
		return SD_VECTOR_NO_ROOM;
	if (at < builder->size)
		memmove(builder->bytes + at + size, builder->bytes + at, builder->size - at);
	put_entry(builder->bytes + at, entry);
	builder->last = at < builder->size ? builder->last + size : at;
	builder->size += size;
	builder->n++;
	return SD_VECTOR_OK;
}

static SdVectorError
append(SdVectorBuilder *builder, const SdVectorEntry *entry)
{
	return insert(builder, builder->size, entry);
}

SdVectorError
sd_vector_add(SdVectorBuilder *builder, const SdVectorEntry *entry)
{
	SdVector	v = {builder->bytes, builder->size};
	SdVectorError error = member_check(entry);
	SdVectorEntry other;
	size_t		here = 0;
	size_t		next = builder->last;
	int			order;

	if (error != SD_VECTOR_OK)
		return error;
	if (entry->counter < 0)
		return SD_VECTOR_COUNTER_RANGE;
	if (!sd_vector_next(v, &next, &other) || member_compare(&other, entry) < 0)
		return append(builder, entry);
	next = 0;
	while (sd_vector_next(v, &next, &other) && (order = member_compare(&other, entry)) <= 0)
	{
		if (order == 0)
			return SD_VECTOR_DUPLICATE;
		here = next;
	}
	return insert(builder, here, entry);
}

SdVector
sd_vector_end(SdVectorBuilder *builder)
{
	SdVector	v = {builder->bytes, builder->size};
	SdVectorEntry entry;
	size_t		at = 0;
	size_t		kept = 0;

	while (sd_vector_next(v, &at, &entry))
	{
		size_t		size = entry_size(&entry);

		if (entry.counter == 0)
			continue;
		if (kept != at - size)
			memmove(builder->bytes + kept, builder->bytes + at - size, size);
		kept += size;
	}
	return (SdVector) {builder->bytes, kept};
}

SdVectorError
sd_vector_merge(SdVector a, SdVector b, SdVectorBuilder *builder, SdVector *result)
{
	size_t		at_a = 0;
	size_t		at_b = 0;
	SdVectorEntry ea;
	SdVectorEntry eb;
	bool		has_a = sd_vector_next(a, &at_a, &ea);
	bool		has_b = sd_vector_next(b, &at_b, &eb);

	while (has_a || has_b)
	{
		int			order = !has_a ? 1 : !has_b ? -1 : member_compare(&ea, &eb);
		SdVectorError error = append(builder, order < 0 || (order == 0 && ea.counter > eb.counter) ? &ea : &eb);

		if (error != SD_VECTOR_OK)
			return error;
		if (order <= 0)
			has_a = sd_vector_next(a, &at_a, &ea);
		if (order >= 0)
			has_b = sd_vector_next(b, &at_b, &eb);
	}
	*result = (SdVector) {builder->bytes, builder->size};
	return SD_VECTOR_OK;
}

SdVectorError
sd_vector_increment(SdVector v, const SdVectorEntry *member, SdVectorBuilder *builder, SdVector *result)
{
	SdVectorEntry more = *member;
	unsigned char bytes[SD_VECTOR_ENTRY_SIZE];
	SdVectorError error = member_check(member);

	if (error != SD_VECTOR_OK)
		return error;
	more.counter = sd_vector_get(v, member);
	if (more.counter == SD_VECTOR_COUNTER_MAX)
		return SD_VECTOR_OVERFLOW;
	more.counter++;
	/* the maximum of the two is v, with one more of the member */
	put_entry(bytes, &more);
	return sd_vector_merge(v, (SdVector) {bytes, entry_size(&more)}, builder, result);
}

/* ---- reading one ---- */

SdVectorOrder
sd_vector_compare(SdVector a, SdVector b)
{
	size_t		at_a = 0;
	size_t		at_b = 0;
	SdVectorEntry ea;
	SdVectorEntry eb;
	bool		has_a = sd_vector_next(a, &at_a, &ea);
	bool		has_b = sd_vector_next(b, &at_b, &eb);
	bool		a_more = false;
	bool		b_more = false;

	while ((has_a || has_b) && !(a_more && b_more))
	{
		int			order = !has_a ? 1 : !has_b ? -1 : member_compare(&ea, &eb);

		a_more |= order < 0 || (order == 0 && ea.counter > eb.counter);
		b_more |= order > 0 || (order == 0 && ea.counter < eb.counter);
		if (order <= 0)
			has_a = sd_vector_next(a, &at_a, &ea);
		if (order >= 0)
			has_b = sd_vector_next(b, &at_b, &eb);
	}
	if (a_more)
		return b_more ? SD_VECTOR_CONCURRENT : SD_VECTOR_AHEAD;
	return b_more ? SD_VECTOR_BEHIND : SD_VECTOR_EQUAL;
}

const char *
sd_vector_order_name(SdVectorOrder order)
{
	switch (order)
	{
		case SD_VECTOR_EQUAL:
			return "equal";
		case SD_VECTOR_BEHIND:
			return "behind";
		case SD_VECTOR_AHEAD:
			return "ahead";
		case SD_VECTOR_CONCURRENT:
			return "concurrent";
	}
	return "unknown";
}

int64_t
sd_vector_get(SdVector v, const SdVectorEntry *member)
{
	size_t		at = 0;
	SdVectorEntry entry;

	while (sd_vector_next(v, &at, &entry))
		if (member_compare(&entry, member) == 0)
			return entry.counter;
	return 0;
}

bool
sd_vector_is_canonical(SdVector v)
{
	size_t		at = 0;
	uint32_t	n = 0;
	SdVectorEntry before = {0};
	SdVectorEntry entry;

	for (; sd_vector_next(v, &at, &entry); before = entry, n++)
		if (member_check(&entry) != SD_VECTOR_OK || entry.counter <= 0 ||
			(n > 0 && member_compare(&before, &entry) >= 0))
			return false;
	return at == v.size && n <= SD_VECTOR_ENTRIES_MAX;
}

/* ---- members ---- */

/* Digits only, at least one; false: not such a number, or above max. */
static bool
parse_number(const char *text, size_t length, uint64_t max, uint64_t *number)
{
	*number = 0;
	for (size_t i = 0; i < length; i++)
	{
		unsigned	digit = (unsigned char) text[i] - (unsigned) '0';

		if (digit > 9 || *number > (max - digit) / 10)
			return false;
		*number = *number * 10 + digit;
	}
	return length > 0;
}

SdVectorError
sd_member_parse(const char *text, size_t length, SdVectorEntry *entry)
{
	const char *tilde = length > 0 ? memchr(text, '~', length) : NULL;
	size_t		digits;
	uint64_t	incarnation = 1;

	*entry = (SdVectorEntry) {.name = text, .length = tilde ? (size_t) (tilde - text) : length};
	digits = tilde ? length - entry->length - 1 : 0;
	if (tilde && entry->length > 0 &&
		(digits > INCARNATION_DIGITS || !parse_number(tilde + 1, digits, INT32_MAX, &incarnation)))
		return SD_VECTOR_INCARNATION;
	entry->incarnation = (int32_t) incarnation;
	return member_check(entry);
}

char *
sd_member_format(const SdVectorEntry *entry, char *buffer)
{
	size_t		length = entry->length < SD_VECTOR_NAME_MAX ? entry->length : SD_VECTOR_NAME_MAX;

	memcpy(buffer, entry->name, length);
	buffer[length] = '\0';
	if (entry->incarnation != 1)
		(void) snprintf(buffer + length, SD_MEMBER_TEXT_SIZE - length, "~%" PRId32, entry->incarnation);
	return buffer;
}

/* ---- text ---- */

/* Not the locale's: the same text means the same everywhere. */
static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_bare(char c)
{
	return !is_space(c) && c != '\0' && !strchr("{}:,\"\\", c);
}

typedef struct Reader
{
	const char *text;
	size_t		length;
	size_t		at;
} Reader;

static void
skip_spaces(Reader *r)
{
	while (r->at < r->length && is_space(r->text[r->at]))
		r->at++;
}

static bool
skip(Reader *r, char c)
{
	skip_spaces(r);
	if (r->at == r->length || r->text[r->at] != c)
		return false;
	r->at++;
	return true;
}

/* A word, quoted or not, without its quotes; of one that is longer than any member, its beginning. */
static SdVectorError
read_word(Reader *r, char word[SD_MEMBER_TEXT_SIZE], size_t *length)
{
	bool		quoted = skip(r, '"');

	*length = 0;
	for (; r->at < r->length; r->at++)
	{
		char		c = r->text[r->at];

		if (quoted ? c == '"' : !is_bare(c))
			break;
		if (quoted && c == '\\' && ++r->at < r->length)
			c = r->text[r->at];
		if (*length < SD_MEMBER_TEXT_SIZE)
			word[(*length)++] = c;
	}
	if (!quoted)
		return SD_VECTOR_OK;
	if (r->at >= r->length)
		return SD_VECTOR_OPEN_QUOTE;
	r->at++;
	return SD_VECTOR_OK;
}

/* Leaves the reader where an error was seen. */
static SdVectorError
read_counter(Reader *r, int64_t *counter)
{
	size_t		begin;
	uint64_t	number;
	bool		negative;

	skip_spaces(r);
	begin = r->at;
	negative = r->at < r->length && r->text[r->at] == '-';
	r->at += negative;
	while (r->at < r->length && r->text[r->at] >= '0' && r->text[r->at] <= '9')
		r->at++;
	if (r->at == begin + negative)
	{
		r->at = begin;
		return SD_VECTOR_NO_COUNTER;
	}
	if (negative || !parse_number(r->text + begin, r->at - begin, SD_VECTOR_COUNTER_MAX, &number))
	{
		r->at = begin;
		return SD_VECTOR_COUNTER_RANGE;
	}
	*counter = (int64_t) number;
	return SD_VECTOR_OK;
}

/* member : counter; of an error in the member, the reader is where that begins */
static SdVectorError
read_entry(Reader *r, SdVectorBuilder *builder)
{
	char		word[SD_MEMBER_TEXT_SIZE];
	size_t		length;
	size_t		begin;
	SdVectorEntry entry;
	SdVectorError error;

	skip_spaces(r);
	begin = r->at;
	error = read_word(r, word, &length);
	if (error == SD_VECTOR_OK)
		error = sd_member_parse(word, length, &entry);
	if (error != SD_VECTOR_OK)
	{
		r->at = begin;
		return error;
	}
	if (!skip(r, ':'))
		return SD_VECTOR_NO_COLON;
	error = read_counter(r, &entry.counter);
	if (error != SD_VECTOR_OK)
		return error;
	error = sd_vector_add(builder, &entry);
	if (error != SD_VECTOR_OK)
		r->at = begin;
	return error;
}

static SdVectorError
read_vector(Reader *r, SdVectorBuilder *builder)
{
	if (!skip(r, '{'))
		return SD_VECTOR_NO_BRACE;
	if (!skip(r, '}'))
	{
		do
		{
			SdVectorError error = read_entry(r, builder);

			if (error != SD_VECTOR_OK)
				return error;
		} while (skip(r, ','));
		if (!skip(r, '}'))
			return SD_VECTOR_NO_COMMA;
	}
	skip_spaces(r);
	return r->at == r->length ? SD_VECTOR_OK : SD_VECTOR_TRAILING;
}

SdVectorError
sd_vector_parse(const char *text, size_t length, SdVectorBuilder *builder, SdVector *result, size_t *at)
{
	Reader		r = {text, length, 0};
	SdVectorError error = read_vector(&r, builder);

	*at = r.at;
	if (error == SD_VECTOR_OK)
		*result = sd_vector_end(builder);
	return error;
}

size_t
sd_vector_parse_room(size_t length)
{
	/* the shortest entry is "a:1", with what comes before or after it; a name may take what it has in the text */
	size_t		entries = length / 4 + 1;

	if (entries > SD_VECTOR_ENTRIES_MAX)
		return SD_VECTOR_SIZE_MAX;
	return entries * (1 + NUMBERS_SIZE) + length;
}

/* Text that may be cut off, its whole length counted. */
typedef struct Writer
{
	char	   *text;
	size_t		room;
	size_t		length;
} Writer;

static void
write_char(Writer *w, char c)
{
	if (w->length + 1 < w->room)
		w->text[w->length] = c;
	w->length++;
}

static void
write_entry(Writer *w, const SdVectorEntry *entry)
{
	char		member[SD_MEMBER_TEXT_SIZE];
	char		number[24];
	bool		quote = false;

	for (const char *c = sd_member_format(entry, member); *c; c++)
		quote |= !is_bare(*c);
	if (quote)
		write_char(w, '"');
	for (const char *c = member; *c; c++)
	{
		if (*c == '"' || *c == '\\')
			write_char(w, '\\');
		write_char(w, *c);
	}
	if (quote)
		write_char(w, '"');
	(void) snprintf(number, sizeof(number), ":%" PRId64, entry->counter);
	for (const char *c = number; *c; c++)
		write_char(w, *c);
}

size_t
sd_vector_format(SdVector v, char *text, size_t room)
{
	Writer		w = {text, room, 0};
	size_t		at = 0;
	SdVectorEntry entry;

	write_char(&w, '{');
	while (sd_vector_next(v, &at, &entry))
	{
		if (w.length > 1)
			write_char(&w, ',');
		write_entry(&w, &entry);
	}
	write_char(&w, '}');
	if (room > 0)
		text[w.length < room ? w.length : room - 1] = '\0';
	return w.length;
}
