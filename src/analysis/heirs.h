/*
 * heirs.h: partitions and children by inheritance, which get what their parent gets.
 */
#ifndef SD_ANALYSIS_HEIRS_H
#define SD_ANALYSIS_HEIRS_H

#include "compat.h"

#include "analysis/form.h"

/* At any depth, as the script has left them; of SdThing. */
extern List *sd_heirs(SdForm *form, SdThing *table);

/* ATTACH, INHERIT, a new one; DETACH, NO INHERIT. */
extern void sd_heirs_join(SdForm *form, SdThing *parent, SdThing *heir);
extern void sd_heirs_leave(SdThing *parent, SdThing *heir);

/* The server makes something on each, and chooses a name for it. */
extern void sd_heirs_choose(SdForm *form, SdThing *table);

/* What the table gets or loses, where the statement goes on to them. */
extern void sd_heirs_add_column(SdForm *form, SdThing *table, const SdColumn *column);
extern void sd_heirs_rename_column(SdForm *form, SdThing *table, const char *name, const char *to);
extern void sd_heirs_drop_column(SdForm *form, SdThing *table, const char *name);
extern void sd_heirs_add_constraint(SdForm *form, SdThing *table, const SdConstraint *constraint);
extern void sd_heirs_drop_constraint(SdForm *form, SdThing *table, const char *name);

#endif							/* SD_ANALYSIS_HEIRS_H */
