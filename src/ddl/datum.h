/*
 * datum.h: a value as text, without locks.
 */
#ifndef SD_DDL_DATUM_H
#define SD_DDL_DATUM_H

#include "compat.h"

#include "lib/stringinfo.h"

/* In double quotes, by the type's output function; sd_canonical_enter() must have pinned the settings. */
extern void sd_append_datum(StringInfo out, Oid type, Datum value);

/* A string in the same quotes. */
extern void sd_append_quoted(StringInfo out, const char *string);

#endif							/* SD_DDL_DATUM_H */
