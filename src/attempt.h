/*
 * attempt.h: work whose failure is an answer.
 */
#ifndef SD_ATTEMPT_H
#define SD_ATTEMPT_H

#include "postgres.h"

/*
 * Do it in a subtransaction.  NULL: it succeeded, and what it did is kept, or rolled back as well if it is only to be seen.  Else the
 * error, in the memory context that was current, in which the work runs, too; nothing of it is left.
 *
 * Raised again is what says nothing about the work: a cancel, a shutdown, a deadlock, memory or disk space that is
 * exhausted.
 */
extern ErrorData *sd_attempt(void (*work) (void *arg), void *arg, bool keep);

/* The same, but who calls says what is raised again. */
typedef bool (*SdRaiseAgain) (const ErrorData *error, const void *judge_arg);

extern bool sd_attempt_is_about_the_moment(const ErrorData *error, const void *judge_arg);

extern ErrorData *sd_attempt_judged(void (*work) (void *arg), void *arg, bool keep, SdRaiseAgain raise_again, const void *judge_arg);

/*
 * Was this session cancelled, by a person or its own time limit?  Any text can raise the same SQLSTATE, and another region answers with it
 * when something was cancelled there; but only PostgreSQL's own ProcessInterrupts() is about this session, and what PL/Python makes of it.
 */
extern bool sd_is_cancel(const ErrorData *error);

#endif							/* SD_ATTEMPT_H */
