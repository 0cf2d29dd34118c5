/*
 * compat.h: the only file that knows PostgreSQL's major versions.
 *
 * Supported: 15, 16, 17, 18.  Everything that differs between them is given one name here.
 */
#ifndef SD_COMPAT_H
#define SD_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "schemadrift needs PostgreSQL 15 or later"
#endif

/* Custom wait events have names since 17. */
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 170000
#define sd_compat_wait_event(name) WaitEventExtensionNew(name)
#else
#define sd_compat_wait_event(name) ((void) (name), PG_WAIT_EXTENSION)
#endif

#endif							/* SD_COMPAT_H */
