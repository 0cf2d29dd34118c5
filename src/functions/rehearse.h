/*
 * rehearse.h: a script run in this database, and rolled back: how long, under which locks, to what effect.
 *
 * Runs in the backend of who calls dry_run(), and in a worker where another region asks (rehearse_apart.h).  Takes the DDL lock, waits for no
 * lock longer than schemadrift.dry_run_lock_timeout, takes no longer than schemadrift.dry_run_timeout (a script that goes on all the same
 * ends with the process, limit.h), and has released everything when it returns.
 * What a rollback does not take back stays: values of sequences, session locks, prepared statements, what a function did outside.
 */
#ifndef SD_FUNCTIONS_REHEARSE_H
#define SD_FUNCTIONS_REHEARSE_H

#include "compat.h"

#include "datatype/timestamp.h"

#include "ddl/capture.h"
#include "ddl/digest.h"
#include "functions/rehearse_queries.h"

typedef struct SdRehearsalError
{
	char		sqlstate[6];	/* empty: none */
	char	   *message;
	char	   *detail;			/* NULL: none; where in the script is part of it */
	char	   *hint;
} SdRehearsalError;

typedef struct SdRehearsal
{
	SdRehearsalError up;
	SdRehearsalError down;
	double		up_ms;
	double		down_ms;		/* < 0: there is none, or it was not run */
	char	   *locks;			/* "public.t: ACCESS EXCLUSIVE, ..."; ACCESS SHARE is left out; of up */
	SdRehearsedQueries queries;
	SdDigest	before;			/* the schema */
	SdDigest	after;
	SdDigest	restored;		/* after down */
	SdDigest	made;			/* over the objects that up left otherwise than they were, and ... */
	SdDigest	dropped;		/* ... over those that it removed: in equal schemas equal regions have equal ones */
} SdRehearsal;

/* What is to be run. */
typedef struct SdTrial
{
	const char *up;
	const char *down;			/* NULL: none */
	const SdRunAs *run_as;		/* as who and under which settings, with no more rights */
	TimestampTz frozen_at;		/* ddl/fill.h; 0: the time is not frozen */
	const char *database;		/* how the region calls its database where the change would be made; NULL: it would be made here */
	SdDryRunQueries queries;
} SdTrial;

/* Errors of the script are in the result; only a cancelled query is an error.  Not inside of a change of the schema. */
extern void sd_rehearse(const SdTrial *what, SdRehearsal *result);

/*
 * A part of it, in a subtransaction that is rolled back if the work fails, and in any case if it is not to be kept.  NULL: it succeeded; else
 * the error, in the current memory context, in which the work runs, too.  A cancel is one only after the deadline, which is monotonic.
 */
extern ErrorData *sd_rehearsal_try(void (*work) (void *arg), void *arg, bool keep, int64 deadline);

static inline bool
sd_rehearsal_restores(const SdRehearsal *rehearsal)
{
	return rehearsal->down_ms >= 0 && sd_digest_equal(&rehearsal->before, &rehearsal->restored);
}

#endif							/* SD_FUNCTIONS_REHEARSE_H */
