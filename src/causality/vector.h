/*
 * vector.h: version vectors: of each member how many events are contained (protocol.md, "Version vectors").
 *
 * Pure C11, allocates nothing: a vector is bytes that belong to the caller, and what makes one writes into memory that
 * the caller gave.  The bytes are canonical: one entry a member, sorted by name (as bytes) and incarnation, none with
 * counter 0, which is what an absent member has.  So equal vectors are equal bytes.  An entry is: length of the name (1
 * byte), name, incarnation (4 bytes), counter (8 bytes), numbers with the high byte first.
 *
 * Text form: {ap-south:3,eu-west:7,us-east:7,us-east~2:1}.  A member is the name of a region, and ~n if the incarnation
 * is not the first; in double quotes, with backslash before " and \, when there is space or one of {}:,"\ in it.
 */
#ifndef SD_VECTOR_H
#define SD_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SD_VECTOR_NAME_MAX		63	/* bytes of a region's name; any but zero and ~ */
#define SD_VECTOR_ENTRIES_MAX	4096	/* members of one vector: every incarnation that there ever was */
#define SD_VECTOR_COUNTER_MAX	INT64_MAX

/* Room that is always enough: for one entry, for any vector; for a member's text with its zero. */
#define SD_VECTOR_ENTRY_SIZE	(1 + SD_VECTOR_NAME_MAX + 4 + 8)
#define SD_VECTOR_SIZE_MAX		((size_t) SD_VECTOR_ENTRIES_MAX * SD_VECTOR_ENTRY_SIZE)
#define SD_MEMBER_TEXT_SIZE		(SD_VECTOR_NAME_MAX + 1 + 10 + 1)

typedef struct SdVector
{
	const unsigned char *bytes;
	size_t		size;			/* 0: empty, and bytes may be null */
} SdVector;

/* A member, and where it is one of a vector's how many of its events are contained. */
typedef struct SdVectorEntry
{
	const char *name;			/* not zero-terminated */
	size_t		length;
	int32_t		incarnation;	/* from 1 */
	int64_t		counter;
} SdVectorEntry;

typedef enum SdVectorError
{
	SD_VECTOR_OK,
	SD_VECTOR_NO_BRACE,
	SD_VECTOR_NO_NAME,
	SD_VECTOR_NAME_LENGTH,
	SD_VECTOR_NAME_BYTES,
	SD_VECTOR_OPEN_QUOTE,
	SD_VECTOR_INCARNATION,
	SD_VECTOR_NO_COLON,
	SD_VECTOR_NO_COUNTER,
	SD_VECTOR_COUNTER_RANGE,
	SD_VECTOR_NO_COMMA,
	SD_VECTOR_TRAILING,
	SD_VECTOR_DUPLICATE,
	SD_VECTOR_TOO_MANY,
	SD_VECTOR_OVERFLOW,			/* a counter that is at its highest cannot be incremented */
	SD_VECTOR_NO_ROOM			/* the caller gave too little memory */
} SdVectorError;

/* What is wrong, as the beginning of a sentence: no period, for "... at character 7." */
extern const char *sd_vector_error(SdVectorError error);

/* ---- making one ---- */

typedef struct SdVectorBuilder
{
	unsigned char *bytes;
	size_t		room;
	size_t		size;
	size_t		last;			/* where the last entry begins */
	uint32_t	n;				/* entries, those with 0 too */
} SdVectorBuilder;

extern void sd_vector_begin(SdVectorBuilder *builder, void *bytes, size_t room);

/* Entries in any order (the sorted one is quick), each member once. */
extern SdVectorError sd_vector_add(SdVectorBuilder *builder, const SdVectorEntry *entry);

/* Leaves out what has counter 0.  The vector lies in the builder's memory. */
extern SdVector sd_vector_end(SdVectorBuilder *builder);

/* From text; *at: of an error, the offset of the byte at which it was seen.  The text need not end with a zero. */
extern SdVectorError sd_vector_parse(const char *text, size_t length, SdVectorBuilder *builder, SdVector *result, size_t *at);

/* The memory that a text of so many bytes may need. */
extern size_t sd_vector_parse_room(size_t length);

/* The pointwise maximum; needs a.size + b.size at most.  The builder's memory is neither a's nor b's. */
extern SdVectorError sd_vector_merge(SdVector a, SdVector b, SdVectorBuilder *builder, SdVector *result);

/* One event more of that member (its counter is not looked at); needs SD_VECTOR_ENTRY_SIZE more than v has. */
extern SdVectorError sd_vector_increment(SdVector v, const SdVectorEntry *member, SdVectorBuilder *builder, SdVector *result);

/* ---- reading one ---- */

typedef enum SdVectorOrder
{
	SD_VECTOR_EQUAL,
	SD_VECTOR_BEHIND,			/* a contains less than b, and nothing that b does not */
	SD_VECTOR_AHEAD,
	SD_VECTOR_CONCURRENT
} SdVectorOrder;

extern SdVectorOrder sd_vector_compare(SdVector a, SdVector b);

/* "equal", "behind", "ahead", "concurrent" */
extern const char *sd_vector_order_name(SdVectorOrder order);

/* 0 where the member is absent. */
extern int64_t sd_vector_get(SdVector v, const SdVectorEntry *member);

/* The entry at *at, which becomes the next one's offset; begin with 0.  False: there is none. */
extern bool sd_vector_next(SdVector v, size_t *at, SdVectorEntry *entry);

/* As snprintf: zero-terminated within room, returns the length that the whole text has. */
extern size_t sd_vector_format(SdVector v, char *text, size_t room);

/* Bytes from outside: are they such as this file makes? */
extern bool sd_vector_is_canonical(SdVector v);

/* ---- members ---- */

/* "us-east" or "us-east~2", without quotes; entry->name points into text. */
extern SdVectorError sd_member_parse(const char *text, size_t length, SdVectorEntry *entry);

/* The same text, zero-terminated; buffer: SD_MEMBER_TEXT_SIZE. */
extern char *sd_member_format(const SdVectorEntry *entry, char *buffer);

#endif							/* SD_VECTOR_H */
