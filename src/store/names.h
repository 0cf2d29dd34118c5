/*
 * names.h: the names an entry may need in a region: roles, collations, extensions that can be created.
 *
 * Travels as text, a line each ("role:alice"), in the exchange, and only when it changed.
 */
#ifndef SD_STORE_NAMES_H
#define SD_STORE_NAMES_H

#include "compat.h"

#include "nodes/pg_list.h"

/* The names here and a number that changes with them.  Cached; needs a scope (sql.h). */
extern char *sd_names_own(int64 *version);

/* The first of the needs that is not among the names; NULL if all are there. */
extern const char *sd_names_missing(const char *names, List *needs);

#endif							/* SD_STORE_NAMES_H */
