/*
 * unit.h: the unit tests of the pure core: one program, a file for each part of it.
 */
#ifndef SD_UNIT_H
#define SD_UNIT_H

#include <stdbool.h>

#define OK(condition) sd_unit_check((condition), #condition, __func__, __LINE__)

extern void sd_unit_check(bool ok, const char *what, const char *where, int line);

extern void test_causality(void);

#endif							/* SD_UNIT_H */
