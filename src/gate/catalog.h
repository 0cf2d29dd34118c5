/*
 * catalog.h: rows of system catalogs that this transaction wrote by itself: a superuser's INSERT, UPDATE, DELETE, MERGE or COPY.
 *
 * Other regions run the statements of an entry, not these.  So a transaction that has both makes no entry; docs/drift.md.
 */
#ifndef SD_GATE_CATALOG_H
#define SD_GATE_CATALOG_H

#include "compat.h"

#include "tcop/cmdtag.h"

/* The command that is about to begin writes to it. */
extern void sd_catalog_note(Oid catalog, CommandTag tag);

/* An entry is about to be proposed: error if rows were written, and were not rolled back. */
extern void sd_catalog_refuse(const char *subject);

#endif							/* SD_GATE_CATALOG_H */
