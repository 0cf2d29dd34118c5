/*
 * moment.h: values in a statement of DDL that are fixed when it runs, and differ from one run to the next.
 */
#ifndef SD_DDL_MOMENT_H
#define SD_DDL_MOMENT_H

#include "nodes/primnodes.h"

/* Why such a statement cannot be the same everywhere, a sentence, and what to write instead; NULL if it can. */
extern const char *sd_moment_reason(Node *stmt, const char **hint);

/* Does a raw expression call what PostgreSQL computes anew each time, or is of the moment (now(), random(), 'today'::date)?  By names. */
extern bool sd_moment_in_expression(Node *expression);

/* A string that the date and time types read as the time at which they read it, or a day counted from it. */
extern bool sd_moment_is_word(const char *text);

/* Is a value of this type a time, or could it hold one?  Why a constant of the moment cannot be the same everywhere, and what to write instead. */
extern bool sd_moment_is_type(Oid type);
extern const char *sd_moment_constant_reason(const char **hint);

/* CURRENT_DATE and its kin: of the time at which it is computed.  (The others are of who computes it, or where.) */
extern bool sd_moment_is_clock(const SQLValueFunction *function);

#endif							/* SD_DDL_MOMENT_H */
