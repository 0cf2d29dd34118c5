/*
 * parse_testing.h: test build only: what reads bytes from outside, by name; see parse_testing.c.
 */
#ifndef SD_FUNCTIONS_PARSE_TESTING_H
#define SD_FUNCTIONS_PARSE_TESTING_H

#include "compat.h"

/* May raise an error: a clean one is an answer. */
extern void sd_testing_parse_bytes(const char *target, const char *data, size_t size);

#endif							/* SD_FUNCTIONS_PARSE_TESTING_H */
