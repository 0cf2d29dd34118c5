/*
 * causality.c: unit tests of causality/: laws of version vectors, clocks and the failure detector, on random input.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "causality/hlc.h"
#include "causality/offset.h"
#include "causality/phi.h"
#include "causality/vector.h"
#include "unit.h"

#define ROUNDS	20000

/* splitmix64: the same numbers in every run */
static uint64_t
any(void)
{
	static uint64_t state = 2026;
	uint64_t	z = (state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static uint64_t
below(uint64_t n)
{
	return any() % n;
}

/* ---------- hybrid logical clock ---------- */

static void
test_hlc(void)
{
	SdHlcClock	c;
	SdHlc		a;
	SdHlc		b;
	char		text[SD_HLC_TEXT_SIZE];

	sd_hlc_init(&c, 0, 500);
	a = sd_hlc_now(&c, 1000);
	b = sd_hlc_now(&c, 1000);
	OK(sd_hlc_ms(a) == 1000 && sd_hlc_counter(a) == 0 && sd_hlc_counter(b) == 1 && b > a);
	OK(sd_hlc_now(&c, 900) > b);	/* wall clock set back */
	OK(sd_hlc_ms(sd_hlc_now(&c, 1001)) == 1001);

	OK(!sd_hlc_receive(&c, sd_hlc_make(1502, 0), 1001));	/* too far ahead */
	OK(sd_hlc_ms(sd_hlc_now(&c, 1001)) == 1001);
	a = sd_hlc_make(1501, 7);
	OK(sd_hlc_receive(&c, a, 1001));
	OK(sd_hlc_now(&c, 1002) > a);
	OK(sd_hlc_receive(&c, sd_hlc_make(3, 0), 1001));	/* the past is harmless */
	OK(sd_hlc_now(&c, 1002) > a);

	sd_hlc_init(&c, sd_hlc_make(2000, 65535), 500);	/* restart, clock set back, counter full */
	a = sd_hlc_now(&c, 100);
	OK(sd_hlc_ms(a) == 2001 && sd_hlc_counter(a) == 0);

	OK(strcmp(sd_hlc_format(sd_hlc_make(0, 0), text, sizeof(text)), "1970-01-01T00:00:00.000Z+0000") == 0);
	OK(strcmp(sd_hlc_format(sd_hlc_make(UINT64_C(1709210096789), 3), text, sizeof(text)), "2024-02-29T12:34:56.789Z+0003") == 0);
	OK(strcmp(sd_hlc_format(sd_hlc_make(UINT64_C(951868799999), 65535), text, sizeof(text)), "2000-02-29T23:59:59.999Z+65535") == 0);
	OK((int64_t) sd_hlc_make(UINT64_MAX, UINT64_MAX) > 0);
	OK(strlen(sd_hlc_format(sd_hlc_make(UINT64_MAX, UINT64_MAX), text, sizeof(text))) < SD_HLC_TEXT_SIZE);
}

static void
test_hlc_text(void)
{
	static const struct
	{
		const char *text;
		size_t		at;
	}			wrong[] = {
		{"", 0}, {"  ", 2}, {"1969-12-31T23:59:59.999Z+0000", 0}, {"2024-13-01T00:00:00Z", 5},
		{"2023-02-29T00:00:00Z", 8}, {"2100-02-29T00:00:00Z", 8}, {"2024-01-00T00:00:00Z", 8}, {"2024-01-01 00:00:00Z", 10},
		{"2024-01-01T24:00:00Z", 11}, {"2024-01-01T00:60:00Z", 14}, {"2024-01-01T00:00:60Z", 17}, {"2024-01-01T00:00:00", 19},
		{"2024-01-01T00:00:00.Z", 20}, {"2024-01-01T00:00:00.1234Z", 23}, {"2024-01-01T00:00:00.000Z+", 25},
		{"2024-01-01T00:00:00.000Z+65536", 25}, {"2024-01-01T00:00:00.000Z+000001", 30}, {"2024-01-01T00:00:00.000Z+1 x", 27},
		{"6429-10-17T02:45:55.328Z", 0}, {"9999-01-01T00:00:00Z", 0}
	};
	SdHlc		hlc;
	size_t		at;
	char		text[SD_HLC_TEXT_SIZE];

	OK(!sd_hlc_parse("1970-01-01T00:00:00Z", 20, &hlc, &at) && hlc == 0);
	OK(!sd_hlc_parse("2000-02-29T00:00:00.000Z", 24, &hlc, &at) && hlc == sd_hlc_make(UINT64_C(951782400000), 0));
	OK(!sd_hlc_parse("\t2024-02-29T12:34:56.7Z+3\n", 26, &hlc, &at) && hlc == sd_hlc_make(UINT64_C(1709210096700), 3));
	OK(!sd_hlc_parse("6429-10-17T02:45:55.327Z+65535", 30, &hlc, &at) && hlc == (SdHlc) INT64_MAX);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		const char *error = sd_hlc_parse(wrong[i].text, strlen(wrong[i].text), &hlc, &at);

		OK(error != NULL);
		OK(at == wrong[i].at);
	}
	for (int i = 0; i < ROUNDS; i++)
	{
		SdHlc		any_hlc = any() >> (1 + below(50));
		const char *error;

		sd_hlc_format(any_hlc, text, sizeof(text));
		error = sd_hlc_parse(text, strlen(text), &hlc, &at);
		if (error || hlc != any_hlc)
			OK(!"parse(format(hlc)) = hlc");
	}
}

/* ---------- version vectors ---------- */

typedef struct Made
{
	unsigned char bytes[4096];
	SdVector	v;
} Made;

static SdVectorEntry
member(const char *name, int32_t incarnation, int64_t counter)
{
	return (SdVectorEntry) {name, strlen(name), incarnation, counter};
}

static SdVectorError
parse(Made *m, const char *text, size_t *at)
{
	SdVectorBuilder b;

	sd_vector_begin(&b, m->bytes, sizeof(m->bytes));
	return sd_vector_parse(text, strlen(text), &b, &m->v, at);
}

/* Of few members and small counters, so that all relations come up; now and then of any names and numbers. */
static void
random_vector(Made *m)
{
	static const char *const names[] = {"us-east", "us-west", "eu", "a b", "\"q\\", "\xc3\xa9", "us"};
	SdVectorBuilder b;
	bool		wild = below(8) == 0;

	sd_vector_begin(&b, m->bytes, sizeof(m->bytes));
	for (uint64_t n = below(6); n > 0; n--)
	{
		char		name[SD_VECTOR_NAME_MAX + 1];
		SdVectorEntry e = member(names[below(7)], (int32_t) below(2) + 1, (int64_t) below(4));

		if (wild)
		{
			e.name = name;
			e.length = below(SD_VECTOR_NAME_MAX) + 1;
			for (size_t i = 0; i < e.length; i++)
				name[i] = (char) (below(255) + 1);
			for (char *c; (c = memchr(name, '~', e.length)) != NULL;)
				*c = '!';
			e.incarnation = (int32_t) (any() >> 33) | 1;
			e.counter = (int64_t) (any() >> 1);
		}
		(void) sd_vector_add(&b, &e);	/* SD_VECTOR_DUPLICATE is nothing wrong here */
	}
	m->v = sd_vector_end(&b);
}

static bool
equal(SdVector a, SdVector b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

static void
merge(Made *m, SdVector a, SdVector b)
{
	SdVectorBuilder builder;

	sd_vector_begin(&builder, m->bytes, a.size + b.size);
	if (sd_vector_merge(a, b, &builder, &m->v) != SD_VECTOR_OK)
		OK(!"two vectors can be merged in their sizes");
}

static bool
not_above(SdVector a, SdVector b)
{
	SdVectorOrder order = sd_vector_compare(a, b);

	return order == SD_VECTOR_EQUAL || order == SD_VECTOR_BEHIND;
}

/* The definition, without knowledge of the form: for all members a[i] <= b[i]. */
static bool
not_above_slowly(SdVector a, SdVector b)
{
	size_t		at = 0;
	SdVectorEntry e;

	while (sd_vector_next(a, &at, &e))
		if (e.counter > sd_vector_get(b, &e))
			return false;
	return true;
}

static bool
text_is_same(SdVector v)
{
	static char text[8192];
	static Made back;
	size_t		length = sd_vector_format(v, text, sizeof(text));
	size_t		at;
	char		cut[10];
	SdVectorBuilder b;

	if (length >= sizeof(text) || strlen(text) != length)
		return false;
	if (sd_vector_format(v, cut, sizeof(cut)) != length || strlen(cut) != (length < 9 ? length : 9))
		return false;
	if (sd_vector_parse_room(length) > sizeof(back.bytes))
		return false;
	sd_vector_begin(&b, back.bytes, sd_vector_parse_room(length));
	return sd_vector_parse(text, length, &b, &back.v, &at) == SD_VECTOR_OK && at == length && equal(back.v, v);
}

/* Random triples: the laws of a join semilattice and of its partial order. */
static void
test_vector_laws(void)
{
	static Made a, b, c, ab, ba, bc, ab_c, a_bc, aa, more;
	int			seen[4] = {0};
	int			wrong = 0;

#define LAW(condition) do { if (!(condition)) { wrong++; OK(!#condition); } } while (0)
	for (int i = 0; i < ROUNDS && wrong < 5; i++)
	{
		SdVectorEntry e = member(below(2) ? "us-east" : "new", (int32_t) below(3) + 1, -1);
		SdVectorBuilder builder;
		SdVectorOrder order;

		random_vector(&a);
		random_vector(&b);
		random_vector(&c);
		LAW(sd_vector_is_canonical(a.v));
		LAW(text_is_same(a.v));

		merge(&ab, a.v, b.v);
		merge(&ba, b.v, a.v);
		merge(&bc, b.v, c.v);
		merge(&ab_c, ab.v, c.v);
		merge(&a_bc, a.v, bc.v);
		merge(&aa, a.v, a.v);
		LAW(sd_vector_is_canonical(ab.v));
		LAW(equal(ab.v, ba.v));
		LAW(equal(ab_c.v, a_bc.v));
		LAW(equal(aa.v, a.v));
		LAW(not_above(a.v, ab.v) && not_above(b.v, ab.v));
		/* the least upper bound */
		LAW(!(not_above(a.v, c.v) && not_above(b.v, c.v)) || not_above(ab.v, c.v));
		LAW(not_above(a.v, b.v) == equal(ab.v, b.v));

		order = sd_vector_compare(a.v, b.v);
		seen[order]++;
		LAW((order == SD_VECTOR_EQUAL) == equal(a.v, b.v));
		LAW(not_above(a.v, b.v) == not_above_slowly(a.v, b.v));
		LAW(not_above(b.v, a.v) == not_above_slowly(b.v, a.v));
		LAW((order == SD_VECTOR_CONCURRENT) == (!not_above_slowly(a.v, b.v) && !not_above_slowly(b.v, a.v)));
		LAW((order == SD_VECTOR_BEHIND) == (sd_vector_compare(b.v, a.v) == SD_VECTOR_AHEAD));
		LAW(sd_vector_compare(a.v, a.v) == SD_VECTOR_EQUAL);
		LAW(!(not_above(a.v, b.v) && not_above(b.v, c.v)) || not_above(a.v, c.v));

		sd_vector_begin(&builder, more.bytes, a.v.size + SD_VECTOR_ENTRY_SIZE);
		LAW(sd_vector_increment(a.v, &e, &builder, &more.v) == SD_VECTOR_OK);
		LAW(sd_vector_is_canonical(more.v));
		LAW(sd_vector_compare(a.v, more.v) == SD_VECTOR_BEHIND);
		LAW(sd_vector_get(more.v, &e) == sd_vector_get(a.v, &e) + 1);
	}
#undef LAW
	OK(wrong == 0);
	/* the random vectors were worth it */
	for (int i = 0; i < 4; i++)
		OK(seen[i] > ROUNDS / 50);
}

static void
test_vector_text(void)
{
	static const struct
	{
		const char *text;
		const char *same;
	}			right[] = {
		{"{}", "{}"}, {" { } ", "{}"}, {"{a:0}", "{}"},
		{"{us-east~2:1,us-east:7, eu-west : 7\n,ap-south:3}", "{ap-south:3,eu-west:7,us-east:7,us-east~2:1}"},
		{"{us-east~10:1,us-east~9:2,us-east-2:3}", "{us-east~9:2,us-east~10:1,us-east-2:3}"},
		{"{a~1:1}", "{a:1}"}, {"{a:001}", "{a:1}"}, {"{\"a\":1,\"b~2\":2}", "{a:1,b~2:2}"},
		{"{\"a b\":1,\"c\\\"d\":2,\"e\\\\f\":3}", "{\"a b\":1,\"c\\\"d\":2,\"e\\\\f\":3}"},
		{"{\"a b~3\":1}", "{\"a b~3\":1}"}, {"{\"\\a\":1}", "{a:1}"}, {"{\"{:,}\":1}", "{\"{:,}\":1}"},
		{"{a~2147483647:9223372036854775807}", "{a~2147483647:9223372036854775807}"},
		{"{b:1,a:0,c:2}", "{b:1,c:2}"}, {"{\xc3\xa9:1}", "{\xc3\xa9:1}"}
	};
	static const struct
	{
		const char *text;
		SdVectorError error;
		size_t		at;
	}			wrong[] = {
		{"", SD_VECTOR_NO_BRACE, 0}, {"  a", SD_VECTOR_NO_BRACE, 2}, {"{", SD_VECTOR_NO_NAME, 1}, {"{,}", SD_VECTOR_NO_NAME, 1},
		{"{a:1,}", SD_VECTOR_NO_NAME, 5}, {"{:1}", SD_VECTOR_NO_NAME, 1}, {"{\"\":1}", SD_VECTOR_NO_NAME, 1},
		{"{~2:1}", SD_VECTOR_NO_NAME, 1}, {"{ \"a:1}", SD_VECTOR_OPEN_QUOTE, 2}, {"{\"a\\", SD_VECTOR_OPEN_QUOTE, 1},
		{"{a~:1}", SD_VECTOR_INCARNATION, 1}, {"{a~0:1}", SD_VECTOR_INCARNATION, 1}, {"{a~2~3:1}", SD_VECTOR_INCARNATION, 1},
		{"{a~2147483648:1}", SD_VECTOR_INCARNATION, 1}, {"{a~-1:1}", SD_VECTOR_INCARNATION, 1}, {"{a~00000000001:1}", SD_VECTOR_INCARNATION, 1},
		{"{a}", SD_VECTOR_NO_COLON, 2}, {"{a 1}", SD_VECTOR_NO_COLON, 3}, {"{a", SD_VECTOR_NO_COLON, 2}, {"{\"a\"b:1}", SD_VECTOR_NO_COLON, 4},
		{"{a:}", SD_VECTOR_NO_COUNTER, 3}, {"{a: -}", SD_VECTOR_NO_COUNTER, 4}, {"{a:x}", SD_VECTOR_NO_COUNTER, 3},
		{"{a:-1}", SD_VECTOR_COUNTER_RANGE, 3}, {"{a:9223372036854775808}", SD_VECTOR_COUNTER_RANGE, 3},
		{"{a:99999999999999999999999999}", SD_VECTOR_COUNTER_RANGE, 3}, {"{a:1 b:2}", SD_VECTOR_NO_COMMA, 5}, {"{a:1.5}", SD_VECTOR_NO_COMMA, 4},
		{"{a:1", SD_VECTOR_NO_COMMA, 4}, {"{a:1}}", SD_VECTOR_TRAILING, 5}, {"{} x", SD_VECTOR_TRAILING, 3},
		{"{a:1,b:2, a:1}", SD_VECTOR_DUPLICATE, 10}, {"{a:0,\"a~1\":1}", SD_VECTOR_DUPLICATE, 5}
	};
	static Made m;
	char		text[256];
	size_t		at;

	for (unsigned i = 0; i < sizeof(right) / sizeof(right[0]); i++)
	{
		OK(parse(&m, right[i].text, &at) == SD_VECTOR_OK);
		sd_vector_format(m.v, text, sizeof(text));
		OK(strcmp(text, right[i].same) == 0);
		OK(sd_vector_is_canonical(m.v));
	}
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		SdVectorError error = parse(&m, wrong[i].text, &at);

		sd_unit_check(error == wrong[i].error && at == wrong[i].at, wrong[i].text, __func__, __LINE__);
		OK(strlen(sd_vector_error(error)) > 10);
	}
}

static void
test_vector_limits(void)
{
	static unsigned char bytes[SD_VECTOR_SIZE_MAX];
	static unsigned char other[SD_VECTOR_SIZE_MAX + SD_VECTOR_ENTRY_SIZE];
	static char text[SD_VECTOR_ENTRIES_MAX * 12 + 100];
	char		name[80];
	char		again[SD_MEMBER_TEXT_SIZE];
	Made		m;
	SdVectorBuilder b;
	SdVectorEntry e;
	SdVector	full;
	SdVector	v;
	size_t		at;

	/* names */
	memset(name, 'x', sizeof(name));
	OK(sd_member_parse(name, 63, &e) == SD_VECTOR_OK && e.length == 63 && e.incarnation == 1);
	OK(sd_member_parse(name, 64, &e) == SD_VECTOR_NAME_LENGTH);
	OK(sd_member_parse("", 0, &e) == SD_VECTOR_NO_NAME);
	OK(sd_member_parse("a\0b", 3, &e) == SD_VECTOR_NAME_BYTES);
	memcpy(name + 63, "~2147483647", 11);
	OK(sd_member_parse(name, 74, &e) == SD_VECTOR_OK && e.incarnation == INT32_MAX);
	sd_member_format(&e, again);
	OK(strlen(again) == 74 && memcmp(again, name, 74) == 0);
	e = member("a~b", 1, 1);
	sd_vector_begin(&b, bytes, sizeof(bytes));
	OK(sd_vector_add(&b, &e) == SD_VECTOR_NAME_BYTES);
	e = member("a", 0, 1);
	OK(sd_vector_add(&b, &e) == SD_VECTOR_INCARNATION);
	e = member("a", 1, -1);
	OK(sd_vector_add(&b, &e) == SD_VECTOR_COUNTER_RANGE);
	/* a word that is much too long is not taken for its beginning */
	strcpy(text, "{a~");
	memset(text + 3, '0', 100);
	strcpy(text + 103, "2:1}");
	OK(parse(&m, text, &at) == SD_VECTOR_INCARNATION);

	/* counters */
	OK(parse(&m, "{a:9223372036854775806}", &at) == SD_VECTOR_OK);
	e = member("a", 1, 0);
	sd_vector_begin(&b, bytes, sizeof(bytes));
	OK(sd_vector_increment(m.v, &e, &b, &v) == SD_VECTOR_OK && sd_vector_get(v, &e) == INT64_MAX);
	sd_vector_begin(&b, other, sizeof(other));
	OK(sd_vector_increment(v, &e, &b, &v) == SD_VECTOR_OVERFLOW);

	/* entries: backwards, which is the slow way */
	sd_vector_begin(&b, bytes, sizeof(bytes));
	for (int i = SD_VECTOR_ENTRIES_MAX; i > 0; i--)
	{
		e = member("r", i, i);
		if (sd_vector_add(&b, &e) != SD_VECTOR_OK)
			OK(!"so many entries can be added");
	}
	e = member("s", 1, 1);
	OK(sd_vector_add(&b, &e) == SD_VECTOR_TOO_MANY);
	full = sd_vector_end(&b);
	OK(sd_vector_is_canonical(full));
	sd_vector_begin(&b, other, sizeof(other));
	OK(sd_vector_increment(full, &e, &b, &v) == SD_VECTOR_TOO_MANY);
	e = member("r", SD_VECTOR_ENTRIES_MAX, 0);
	sd_vector_begin(&b, other, sizeof(other));
	OK(sd_vector_increment(full, &e, &b, &v) == SD_VECTOR_OK && sd_vector_get(v, &e) == SD_VECTOR_ENTRIES_MAX + 1);
	OK(sd_vector_format(full, text, sizeof(text)) < sizeof(text));
	sd_vector_begin(&b, other, sizeof(other));
	OK(sd_vector_parse(text, strlen(text), &b, &v, &at) == SD_VECTOR_OK && equal(v, full));
	OK(sd_vector_parse_room(strlen(text)) >= full.size && sd_vector_parse_room(SIZE_MAX / 2) == SD_VECTOR_SIZE_MAX);
	at = strlen(text) - 1;
	strcpy(text + at, ",s:1}");
	sd_vector_begin(&b, other, sizeof(other));
	OK(sd_vector_parse(text, strlen(text), &b, &v, &at) == SD_VECTOR_TOO_MANY && strcmp(text + at, "s:1}") == 0);

	/* room */
	for (size_t room = 0; room < 14 * 2; room++)
	{
		sd_vector_begin(&b, other, room);
		OK(sd_vector_parse("{a:1,b:2}", 9, &b, &v, &at) == SD_VECTOR_NO_ROOM);
	}
	sd_vector_begin(&b, other, 28);
	OK(sd_vector_parse("{a:1,b:2}", 9, &b, &v, &at) == SD_VECTOR_OK && v.size == 28);
	OK(sd_vector_format((SdVector) {NULL, 0}, NULL, 0) == 2);
}

static void
test_vector_canonical(void)
{
	/* "a" in incarnation 1 with counter 1, and what else could come before or after it */
#define ENTRY(name, incarnation, counter) "\1" name "\0\0\0" incarnation "\0\0\0\0\0\0\0" counter
	static const struct
	{
		const char *bytes;
		size_t		size;
		bool		canonical;
	}			all[] = {
		{ENTRY("a", "\1", "\1"), 14, true}, {ENTRY("a", "\1", "\1") ENTRY("a", "\2", "\1"), 28, true},
		{ENTRY("a", "\1", "\1") ENTRY("a", "\1", "\1"), 28, false}, {ENTRY("a", "\2", "\1") ENTRY("a", "\1", "\1"), 28, false},
		{ENTRY("b", "\1", "\1") ENTRY("a", "\1", "\1"), 28, false}, {ENTRY("a", "\1", "\0"), 14, false},
		{ENTRY("a", "\0", "\1"), 14, false}, {ENTRY("~", "\1", "\1"), 14, false}, {ENTRY("a", "\1", "\1") "\1", 15, false},
		{ENTRY("a", "\1", "\1"), 13, false}, {"", 0, true}
	};
#undef ENTRY

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		OK(sd_vector_is_canonical((SdVector) {(const unsigned char *) all[i].bytes, all[i].size}) == all[i].canonical);
}

/* Bytes from anywhere are read within their bounds, and are not taken for a vector. */
static void
test_vector_bytes(void)
{
	static Made m;
	static Made n;
	int			taken = 0;
	int			wrong = 0;
	char		text[8192];

	for (int i = 0; i < ROUNDS; i++)
	{
		SdVectorBuilder b;
		SdVectorEntry e;
		size_t		at = 0;

		random_vector(&m);
		if (m.v.size == 0)
			continue;
		m.bytes[below(m.v.size)] ^= (unsigned char) (1u << below(8));
		m.v.size -= below(3) == 0 ? below(m.v.size) : 0;
		if (sd_vector_is_canonical(m.v))
			taken += text_is_same(m.v);
		while (sd_vector_next(m.v, &at, &e))
			;
		wrong += at > m.v.size;
		(void) sd_vector_compare(m.v, (SdVector) {0});
		wrong += sd_vector_format(m.v, text, sizeof(text)) < 2;
		sd_vector_begin(&b, n.bytes, m.v.size + SD_VECTOR_ENTRY_SIZE);
		e = member("us", 1, 0);
		(void) sd_vector_increment(m.v, &e, &b, &n.v);
	}
	OK(wrong == 0);
	OK(taken > 0);				/* another counter is as good */
}

/* ---------- phi ---------- */

static const SdPhiSettings phi_settings = {1000, SD_PHI_PAUSE_MS, SD_PHI_DEVIATION_MS, 5000, SD_PHI_THRESHOLD};

#define MS	INT64_C(1000)

/* Heartbeats every interval +- jitter until a time, with a look between them. */
static int64_t
beat(SdPhi *phi, int64_t from_us, int64_t until_us, int64_t interval_us, int64_t jitter_us)
{
	int64_t		now = from_us;

	while (now < until_us)
	{
		int64_t		next = now + interval_us + (jitter_us ? (int64_t) below((uint64_t) jitter_us * 2) - jitter_us : 0);

		sd_phi_tick(phi, (now + next) / 2);
		sd_phi_heard(phi, next);
		now = next;
	}
	return now;
}

static double
silence(SdPhi *phi, int64_t from_us, int64_t us)
{
	for (int64_t at = 0; at < us; at += 1000 * MS)
		sd_phi_tick(phi, from_us + at);
	sd_phi_tick(phi, from_us + us);
	return sd_phi_value(phi, from_us + us);
}

static void
test_phi(void)
{
	SdPhi		phi;
	SdPhi		before;
	int64_t		now;
	double		last;

	/* at once, a region that is not heard at all becomes suspect too */
	sd_phi_init(&phi, &phi_settings, 0);
	OK(fabs(sd_phi_mean_ms(&phi) - 1000) < 1 && fabs(sd_phi_deviation_ms(&phi) - 250) < 1);
	OK(sd_phi_value(&phi, 0) < 0.01);
	before = phi;
	OK(silence(&before, 0, 10000 * MS) > 8);
	before = phi;
	sd_phi_heard(&before, 1500 * MS);
	OK(before.n == 2);			/* since we began is no interval */

	/* the published form, where it can be computed: mean 1000, deviation 100, pause 3000 */
	now = beat(&phi, 0, 1000000 * MS, 1000 * MS, 0);
	OK(phi.n == SD_PHI_WINDOW && fabs(sd_phi_mean_ms(&phi) - 1000) < 0.001 && sd_phi_deviation_ms(&phi) < 0.001);
	OK(phi.sum == SD_PHI_WINDOW * 1000 && phi.squares == SD_PHI_WINDOW * UINT64_C(1000000));
	for (int64_t ms = 3700; ms < 4300; ms += 50)
	{
		double		y = (double) (ms - 4000) / 100;
		double		e = exp(-y * (1.5976 + 0.070566 * y * y));

		OK(fabs(sd_phi_value(&phi, now + ms * MS) - (ms > 4000 ? -log10(e / (1 + e)) : -log10(1 - 1 / (1 + e)))) < 1e-9);
	}
	OK(fabs(sd_phi_value(&phi, now + 4000 * MS) - log10(2)) < 1e-9);

	/* the longer, the more; never beyond its bounds, whatever the time */
	last = 0;
	for (int64_t ms = 0; ms < 100000000; ms += ms / 7 + 13)
	{
		double		value;

		before = phi;
		value = silence(&before, now, ms > 100000 ? 100000 * MS : ms * MS);
		OK(value >= last && value <= SD_PHI_MAX);
		last = value;
	}
	OK(last == SD_PHI_MAX);
	OK(sd_phi_value(&phi, now - 5000 * MS) < 0.01);	/* a clock that goes back, which ours does not */
	before = phi;
	sd_phi_heard(&before, now - 5000 * MS);
	OK(before.sum == phi.sum && before.heard_us == phi.heard_us);
	OK(isfinite(sd_phi_value(&phi, INT64_MAX / 2)) && isfinite(sd_phi_value(&phi, INT64_MIN / 2)));
}

static void
test_phi_outage(void)
{
	SdPhi		phi;
	SdPhi		before;
	int64_t		now;

	sd_phi_init(&phi, &phi_settings, 0);
	now = beat(&phi, 0, 300000 * MS, 1000 * MS, 100 * MS);
	before = phi;
	OK(silence(&phi, now, 60000 * MS) > SD_PHI_THRESHOLD);
	sd_phi_heard(&phi, now + 60000 * MS);
	OK(phi.sum == before.sum && phi.squares == before.squares);	/* an outage is no rhythm */
	OK(sd_phi_value(&phi, now + 60000 * MS) < 0.01);
	now = beat(&phi, now + 60000 * MS, now + 63000 * MS, 1000 * MS, 0);
	OK(phi.sum != before.sum);

	/* another rhythm is learned, and does not look like outages for ever */
	for (int i = 0; i < 20; i++)
	{
		(void) silence(&phi, now, 10000 * MS);
		now += 10000 * MS;
		sd_phi_heard(&phi, now);
	}
	OK(silence(&phi, now, 10000 * MS) < SD_PHI_THRESHOLD / 2);

	/* sums stay exact, whatever comes */
	for (int i = 0; i < 5000; i++)
	{
		int64_t		pause = i % 100 < 8 ? (int64_t) below(INT64_C(100000000) * MS) : (int64_t) below(3000 * MS);
		uint64_t	sum = 0;
		uint64_t	squares = 0;

		phi.settings.own_gap_ms = INT32_MAX;
		now += pause;
		sd_phi_heard(&phi, now);
		for (uint32_t k = 0; k < phi.n; k++)
		{
			if (phi.interval_ms[k] > 1 << 22)
				OK(!"an interval has a limit");
			sum += phi.interval_ms[k];
			squares += (uint64_t) phi.interval_ms[k] * phi.interval_ms[k];
		}
		if (sum != phi.sum || squares != phi.squares || !isfinite(sd_phi_deviation_ms(&phi)))
			OK(!"sums are the window's");
	}
}

static void
test_phi_own_pause(void)
{
	SdPhi		phi;
	SdPhi		before;
	int64_t		now;

	sd_phi_init(&phi, &phi_settings, 0);
	now = beat(&phi, 0, 300000 * MS, 1000 * MS, 100 * MS);

	/* stopped for two minutes: whoever looks meanwhile sees what was known, and nobody looks dead afterwards */
	before = phi;
	OK(sd_phi_value(&phi, now + 120000 * MS) < 0.01);
	sd_phi_tick(&phi, now + 120000 * MS);
	OK(sd_phi_value(&phi, now + 120000 * MS) < 0.01);
	OK(sd_phi_value(&phi, now + 120500 * MS) < 0.01);
	sd_phi_heard(&phi, now + 120500 * MS);
	OK(phi.sum == before.sum);	/* nothing was measured */
	now = beat(&phi, now + 120500 * MS, now + 122000 * MS, 1000 * MS, 0);
	OK(phi.sum != before.sum);

	/* the heartbeat itself is what wakes us */
	before = phi;
	sd_phi_heard(&phi, now + 120000 * MS);
	OK(phi.sum == before.sum);
	now += 120000 * MS;

	/* and a silence that we watched still counts after a pause */
	(void) silence(&phi, now, 60000 * MS);
	sd_phi_tick(&phi, now + 200000 * MS);
	OK(sd_phi_value(&phi, now + 200000 * MS) > SD_PHI_THRESHOLD);
}

/* ---------- clock offset ---------- */

/* One exchange with a clock that is truth ahead, by a way of so much and back. */
static bool
exchange(SdOffset *o, int64_t at, int64_t wall, int64_t truth, int64_t there, int64_t busy, int64_t back)
{
	SdExchangeTimes t;

	t.asked_us = at;
	t.their_arrival_us = at + there + wall + truth;
	t.their_answer_us = t.their_arrival_us + busy;
	t.heard_us = at + there + busy + back;
	t.heard_wall_us = t.heard_us + wall;
	return sd_offset_add(o, &t);
}

static void
test_offset(void)
{
	SdOffset	o;
	int64_t		offset;
	int64_t		error;
	int64_t		wall = INT64_C(1700000000000000);
	int			wrong = 0;

	sd_offset_init(&o);
	OK(!sd_offset_get(&o, 0, &offset, &error));
	OK(sd_offset_round_trip_us(&o) == -1 && sd_offset_round_trip_min_us(&o) == -1);
	OK(exchange(&o, 0, wall, 5000, 10000, 700, 10000));
	OK(sd_offset_get(&o, 20700, &offset, &error) && offset == 5000 && error >= 10000 && error < 10010);
	OK(sd_offset_round_trip_us(&o) == 20000 && sd_offset_round_trip_min_us(&o) == 20000);
	/* a queue on one way: the old one knows it better */
	OK(exchange(&o, 1000000, wall, 5000, 90000, 700, 10000));
	OK(sd_offset_get(&o, 1100700, &offset, &error) && offset == 5000);
	OK(sd_offset_round_trip_us(&o) == 30000 && sd_offset_round_trip_min_us(&o) == 20000);

	/* random ways, random clocks: never wrong by more than it says; and the best of eight is mostly much better than one */
	for (int i = 0; i < ROUNDS / 10; i++)
	{
		int64_t		truth = (int64_t) below(2000000) - 1000000;
		int64_t		at = 0;

		sd_offset_init(&o);
		for (int k = 0; k < 20; k++)
		{
			at += (int64_t) below(2000000);
			if (!exchange(&o, at, wall, truth, (int64_t) below(200000), (int64_t) below(5000), (int64_t) below(200000)) ||
				!sd_offset_get(&o, at + 500000, &offset, &error) ||
				offset - truth > error || truth - offset > error)
				wrong++;
			at += 500000;
		}
		OK(error < 150000);
	}
	OK(wrong == 0);
}

static void
test_offset_steps(void)
{
	SdOffset	o;
	int64_t		offset;
	int64_t		error;
	int64_t		wall = INT64_C(1700000000000000);
	const int64_t hour = INT64_C(3600000000);
	SdExchangeTimes t;

	/* theirs is set: seen with the next exchange, however good the old ones were */
	sd_offset_init(&o);
	for (int i = 0; i < 8; i++)
		OK(exchange(&o, i * 1000000, wall, 0, 1000, 100, 1000));
	OK(exchange(&o, 8000000, wall, hour, 50000, 100, 50000));
	OK(sd_offset_get(&o, 8100100, &offset, &error) && offset == hour && error >= 50000);
	OK(sd_offset_round_trip_min_us(&o) == 100000);

	/* ours is set: the same, and the good samples are kept */
	OK(exchange(&o, 9000000, wall, hour, 1000, 100, 1000));
	OK(exchange(&o, 10000000, wall - 2 * hour, 3 * hour, 50000, 100, 50000));
	OK(sd_offset_get(&o, 10100100, &offset, &error) && offset == 3 * hour && error < 2000);
	/* in the middle of an exchange, too: T1 by the wall clock would be hours wrong */
	t = (SdExchangeTimes) {11000000, 11001000 + wall + hour, 11001100 + wall + hour, 11002100, 11002100 + wall + 5 * hour};
	OK(sd_offset_add(&o, &t) && sd_offset_get(&o, 11002100, &offset, &error) && offset == -4 * hour && error < 2000);

	/* nonsense */
	t.their_arrival_us = INT64_MAX;
	OK(!sd_offset_add(&o, &t));
	t.their_arrival_us = INT64_MIN;
	OK(!sd_offset_add(&o, &t));
	t = (SdExchangeTimes) {100, 5, 4, 200, 200};	/* answered before it was asked */
	OK(!sd_offset_add(&o, &t));
	t = (SdExchangeTimes) {100, 0, 1000000, 200, 200};	/* took longer than it took */
	OK(!sd_offset_add(&o, &t));
	t = (SdExchangeTimes) {200, 0, 0, 100, 100};
	OK(!sd_offset_add(&o, &t));
	OK(sd_offset_get(&o, 11002100, &offset, &error) && offset == -4 * hour);
	/* far from everything, but not impossible */
	t = (SdExchangeTimes) {0, INT64_C(1) << 59, INT64_C(1) << 59, 100, -(INT64_C(1) << 59)};
	OK(sd_offset_add(&o, &t) && sd_offset_get(&o, INT64_MAX, &offset, &error) && offset > 0 && error > 0);

	/* the older, the less certain */
	sd_offset_init(&o);
	OK(exchange(&o, 0, wall, 0, 1000, 100, 1000));
	OK(sd_offset_get(&o, 2100 + hour, &offset, &error) && error > 54000 && error < 56000);
}

void
test_causality(void)
{
	test_hlc();
	test_hlc_text();
	test_vector_laws();
	test_vector_text();
	test_vector_limits();
	test_vector_canonical();
	test_vector_bytes();
	test_phi();
	test_phi_outage();
	test_phi_own_pause();
	test_offset();
	test_offset_steps();
}
