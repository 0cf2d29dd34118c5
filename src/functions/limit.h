/*
 * limit.h: work for somebody else that has to end in time.
 */
#ifndef SD_FUNCTIONS_LIMIT_H
#define SD_FUNCTIONS_LIMIT_H

/* How long work may go on after it was cancelled. */
#define SD_LIMIT_GRACE_MS	1000

/*
 * Cancelled after that time; a text that goes on all the same (sd_executing()), because it catches the cancel, ends with the process
 * SD_LIMIT_GRACE_MS later.  what: for the context of that error.
 */
extern void sd_limit_work(int limit_ms, const char *what, void (*work) (void *arg), void *arg);

#endif							/* SD_FUNCTIONS_LIMIT_H */
