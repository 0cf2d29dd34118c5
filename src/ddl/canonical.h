/*
 * canonical.h: stored expressions and queries as text that is the same wherever they mean the same.
 *
 * The server's pg_get_expr() and its like lock the relations they read and wait behind DDL in flight; this works from the
 * pg_node_tree's text and system caches alone.  docs/fingerprint.md says what the canonical form keeps.
 */
#ifndef SD_DDL_CANONICAL_H
#define SD_DDL_CANONICAL_H

#include "compat.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

/*
 * Constants are written by their types' output functions, which look at settings: this pins them all.
 * Returns what sd_canonical_leave() wants; an error in between is cleaned up by the transaction's abort.
 */
extern int	sd_canonical_enter(void);
extern void sd_canonical_leave(int guc_level);

/*
 * text is a pg_node_tree's.  Column references outside a query are to relation (InvalidOid: there are none).
 */
extern void sd_append_canonical(StringInfo out, const char *text, Oid relation);

/* The same for the query of a view: names of result columns are left out, the view's own columns have them. */
extern void sd_append_canonical_view(StringInfo out, const char *text);

/* Each member of a stored list by itself: a List of char *. */
extern List *sd_canonical_members(const char *text, Oid relation);

/* The live column's name, or NULL if there is none (any more). */
extern char *sd_live_column(Oid relation, int number);

#endif							/* SD_DDL_CANONICAL_H */
