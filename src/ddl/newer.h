/*
 * newer.h: what a statement says that other majors of PostgreSQL do not understand.
 */
#ifndef SD_DDL_NEWER_H
#define SD_DDL_NEWER_H

#include "compat.h"

/* The oldest major that understands this raw statement; 0: each that schemadrift supports, as far as is known. */
extern int	sd_newer_major(Node *stmt);

#endif							/* SD_DDL_NEWER_H */
