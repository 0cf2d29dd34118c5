/*
 * options.h: the options of a migration, as apply() takes them and its entry carries them.
 */
#ifndef SD_DDL_OPTIONS_H
#define SD_DDL_OPTIONS_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Error for a key that is unknown or a value that cannot be; NULL options are none. */
extern void sd_options_check(Jsonb *options);

/* "require" and "barrier" as needs of sd_change_begin(): "voter:NAME", "voter:*", "barrier:N". */
extern List *sd_options_needs(Jsonb *options);

/* "barrier": the version that every serving region must have applied before; 0: none.  previous: the newest one. */
extern int64 sd_options_barrier(Jsonb *options, int64 previous);

/*
 * "freeze_time": do defaults that follow the clock give the rows that are there one value in all regions (ddl/fill.h)?  otherwise: where
 * the option is not given.
 */
extern bool sd_options_freeze_time(Jsonb *options, bool otherwise);

/* "allow": rules of analysis that do not count for this migration. */
typedef struct SdAllowed
{
	char	   *rule;
	char	   *reason;			/* NULL: none was given */
} SdAllowed;

extern List *sd_options_allowed(Jsonb *options);	/* of SdAllowed */

/*
 * "timeout": the longest that the migration's text may run, in each region; 0: none.  Armed by the same clock as
 * statement_timeout, which a longer one does not weaken.
 */
extern int	sd_options_timeout_ms(Jsonb *options);

typedef struct SdTimeLimit
{
	bool		armed;
	TimestampTz restore;		/* statement_timeout's own end; 0: it was not running */
} SdTimeLimit;

/* An error in between leaves the timer to the abort, which disarms it. */
extern SdTimeLimit sd_time_limit_start(int timeout_ms);
extern void sd_time_limit_end(const SdTimeLimit *limit);
/* ... ended by an error as well, which a caller of ours may catch; 0: no limit */
extern void sd_time_limit_work(int timeout_ms, void (*work) (void *arg), void *arg);

#endif							/* SD_DDL_OPTIONS_H */
