/*
 * own_oid.h: numbers in a statement of DDL that mean another object in each region.
 */
#ifndef SD_DDL_OWN_OID_H
#define SD_DDL_OWN_OID_H

#include "nodes/nodes.h"

/* Why such a statement cannot be the same everywhere, a sentence, and what to write instead; NULL if it can. */
extern const char *sd_own_oid_reason(Node *stmt, const char **hint);

/* A string of such a number, or of several; may a value of this type stand for objects?  Why such a constant cannot be the same everywhere. */
extern bool sd_own_oid_is_number(const char *text);
extern bool sd_own_oid_is_type(Oid type);
extern const char *sd_own_oid_constant_reason(const char **hint);

#endif							/* SD_DDL_OWN_OID_H */
