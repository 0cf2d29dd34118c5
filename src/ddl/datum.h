/*
 * datum.h: a value as text, without locks.
 */
#ifndef SD_DDL_DATUM_H
#define SD_DDL_DATUM_H

#include "compat.h"

#include "lib/stringinfo.h"

/* In double quotes, by the type's output function, composites by their columns; sd_canonical_enter() must have pinned the settings. */
extern void sd_append_datum(StringInfo out, Oid type, Datum value);

/*
 * May the definition have a composite constant in it that the server's own output functions must not see: one that does not fit
 * its type as it is now, or one with bytes in it that nobody checked?
 */
extern bool sd_datum_is_doubtful(const char *definition);

/* A string in the same quotes. */
extern void sd_append_quoted(StringInfo out, const char *string);

#endif							/* SD_DDL_DATUM_H */
