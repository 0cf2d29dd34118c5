/*
 * names.h: catalog objects by name, the same in every region, whatever the search_path.
 *
 * Reads system caches only: never locks or opens a user's relation.  What does not exist (any more) is written as
 * "?" and its OID: a dangling reference is drift to be seen, not a reason to fail.
 */
#ifndef SD_DDL_NAMES_H
#define SD_DDL_NAMES_H

#include "compat.h"

#include "lib/stringinfo.h"

/* quoted where not plain lower case; unlike quote_identifier() without regard to keywords, which differ between majors */
extern void sd_append_identifier(StringInfo out, const char *name);
extern void sd_append_qualified(StringInfo out, Oid namespace, const char *name);

extern void sd_append_namespace(StringInfo out, Oid oid);
extern void sd_append_relation(StringInfo out, Oid oid);
extern void sd_append_column(StringInfo out, Oid relation, AttrNumber number);
extern void sd_append_type(StringInfo out, Oid oid, int32 typmod);
extern void sd_append_function(StringInfo out, Oid oid);
extern void sd_append_operator(StringInfo out, Oid oid);
extern void sd_append_opclass(StringInfo out, Oid oid);
extern void sd_append_opfamily(StringInfo out, Oid oid);
extern void sd_append_collation(StringInfo out, Oid oid);
extern void sd_append_constraint(StringInfo out, Oid oid);
extern void sd_append_access_method(StringInfo out, Oid oid);
extern void sd_append_language(StringInfo out, Oid oid);
extern void sd_append_ts_parser(StringInfo out, Oid oid);
extern void sd_append_ts_template(StringInfo out, Oid oid);
extern void sd_append_ts_dictionary(StringInfo out, Oid oid);
extern void sd_append_foreign_data_wrapper(StringInfo out, Oid oid);
extern void sd_append_role(StringInfo out, Oid oid);

#endif							/* SD_DDL_NAMES_H */
