/*
 * waitpoint.h: places where a test can stop a process.  Compiled only with -DSD_TESTING.
 *
 * With the setting schemadrift.testing_waitpoint naming it, a process stops there (it raises SIGSTOP to itself) so that
 * a test can kill it, or the server, at exactly that place.
 */
#ifndef SD_WAITPOINT_H
#define SD_WAITPOINT_H

#ifdef SD_TESTING
extern void sd_testing_waitpoint(const char *name);
extern void sd_testing_waitpoint_at_commit(const char *name);
extern void sd_testing_init(void);
extern void sd_testing_mistakes_init(void);	/* mistakes.c */
#define sd_waitpoint(name) sd_testing_waitpoint(name)
/* once this transaction's commit is flushed, before the client hears of it */
#define sd_waitpoint_at_commit(name) sd_testing_waitpoint_at_commit(name)
#else
#define sd_waitpoint(name) ((void) 0)
#define sd_waitpoint_at_commit(name) ((void) 0)
#endif

#endif							/* SD_WAITPOINT_H */
