/*
 * names.h: the names an entry may need in a region: roles, collations, extensions that can be created, and the majors of
 * PostgreSQL whose language its server understands.
 *
 * Travels as text, a line each ("role:alice", "postgres:17"), in the exchange, and only when it changed.
 */
#ifndef SD_STORE_NAMES_H
#define SD_STORE_NAMES_H

#include "compat.h"

#include "nodes/pg_list.h"

/* The names here and a number that changes with them.  Cached; needs a scope (sql.h). */
extern char *sd_names_own(int64 *version);

/* Is what sd_names_own() said last still true?  Cheap; needs no scope. */
extern bool sd_names_fresh(void);

/* The first of the needs that is not among the names; NULL if all are there. */
extern const char *sd_names_missing(const char *names, List *needs);

/* The newest major among them; 0: that region does not tell. */
extern int	sd_names_major(const char *names);

#endif							/* SD_STORE_NAMES_H */
