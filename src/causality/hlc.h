/*
 * hlc.h: hybrid logical clock (Kulkarni et al., 2014), 48 bits of Unix milliseconds and a 16-bit counter.
 *
 * It labels entries and orders what people read ("what happened before what"); it decides nothing: no safety
 * rule depends on a clock.  Pure C11: physical time is passed in.
 */
#ifndef SD_HLC_H
#define SD_HLC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* milliseconds << 16 | counter: compares as a plain number, fits an int8 column until the year 6429 */
typedef uint64_t SdHlc;

#define SD_HLC_COUNTER_BITS 16
#define SD_HLC_COUNTER_MAX	UINT64_C(0xFFFF)
#define SD_HLC_MS_MAX		UINT64_C(0x7FFFFFFFFFFF)	/* 47 bits: the stored value stays positive as int8 */
#define SD_HLC_TEXT_SIZE	40

typedef struct SdHlcClock
{
	SdHlc		last;			/* highest value given out or taken in */
	uint64_t	max_offset_ms;	/* how far ahead of our own clock another's may be */
} SdHlcClock;

/* persisted: highest value known from before (the log's maximum): a clock set back does not set us back. */
extern void sd_hlc_init(SdHlcClock *clock, SdHlc persisted, uint64_t max_offset_ms);

/* A new value, greater than all before. */
extern SdHlc sd_hlc_now(SdHlcClock *clock, uint64_t wall_ms);

/*
 * Take in another's value.  False, and nothing changed, if it is more than max_offset ahead of wall_ms: one
 * region with a bad clock would otherwise push everybody's into the future for ever.
 */
extern bool sd_hlc_receive(SdHlcClock *clock, SdHlc remote, uint64_t wall_ms);

extern SdHlc sd_hlc_make(uint64_t ms, uint64_t counter);
extern uint64_t sd_hlc_ms(SdHlc hlc);
extern uint32_t sd_hlc_counter(SdHlc hlc);

/* "2024-05-01T12:34:56.789Z+0003"; returns buffer */
extern char *sd_hlc_format(SdHlc hlc, char *buffer, size_t size);

/*
 * From the same text, spaces around it allowed; a counter of 0 may be left out, and so may the fraction of the second.
 * NULL: it is read; else what is wrong, as the beginning of a sentence ("... at character 7"), and *at is the offset of
 * the byte at which it was seen.
 */
extern const char *sd_hlc_parse(const char *text, size_t length, SdHlc *hlc, size_t *at);

#endif							/* SD_HLC_H */
