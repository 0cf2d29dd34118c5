/*
 * type.h: types, as they are when a script gets there.
 *
 * The catalogs, and over them what the script made, renamed, moved and dropped before, each by its schema and its name.
 */
#ifndef SD_ANALYSIS_TYPE_H
#define SD_ANALYSIS_TYPE_H

#include "compat.h"

#include "nodes/parsenodes.h"

#include "analysis/form.h"

/* names: of String, with or without a schema */
extern void sd_type_make(SdForm *form, List *names);
extern void sd_type_drop(SdForm *form, List *names);
extern void sd_type_must_exist(SdForm *form, const TypeName *name);	/* else the statement fails */
extern void sd_type_move(SdForm *form, List *names, const char *schema, const char *name);	/* NULL: that stays */

/* Those of the script go with their schema; to NULL: it is dropped. */
extern List *sd_types_in_schema(SdForm *form, const char *schema);	/* of ObjectAddress: those of the catalog that are in it now */
extern void sd_type_move_schema(SdForm *form, const char *schema, const char *to);

#endif							/* SD_ANALYSIS_TYPE_H */
