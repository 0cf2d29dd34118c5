/*
 * limit.c: work for somebody else that has to end in time; see limit.h.
 *
 * Runs in backends, of clients and of other regions.  It may hold strong locks where nobody sees them, and a client that has gone away ends
 * nothing.  Not one within another.
 */
#include "compat.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "ddl/options.h"
#include "ddl/script.h"
#include "functions/limit.h"

static volatile sig_atomic_t overdue = false;

/*
 * A signal handler.  The end of the process cannot be caught, and releases its locks.  But what we do ourselves, a rollback above all, takes
 * its time; and where the cancel is still pending, nobody has caught it: a DROP of a thousand tables looks for it at its end.
 */
static void
end_process(void)
{
	if (sd_executing() == SD_EXECUTING_NOTHING || QueryCancelPending)
		return;
	overdue = true;
	ProcDiePending = InterruptPending = true;
	SetLatch(MyLatch);
}

static void
overdue_context(void *arg)
{
	if (overdue)
		errcontext("%s that went on when its time was over", (const char *) arg);
}

void
sd_limit_work(int limit_ms, const char *what, void (*work) (void *arg), void *arg)
{
	static TimeoutId last_resort = MAX_TIMEOUTS;
	ErrorContextCallback callback = {error_context_stack, overdue_context, unconstify(char *, what)};
	SdTimeLimit limit = sd_time_limit_start(limit_ms);

	if (last_resort == MAX_TIMEOUTS)
		last_resort = RegisterTimeout(USER_TIMEOUT, end_process);
	error_context_stack = &callback;
	enable_timeout_every(last_resort, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) limit_ms + SD_LIMIT_GRACE_MS), SD_LIMIT_GRACE_MS);
	PG_TRY();
	{
		work(arg);
	}
	PG_FINALLY();
	{
		disable_timeout(last_resort, false);
		sd_time_limit_end(&limit);
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
}
