/*
 * attempt.c: work whose failure is an answer; see attempt.h.
 *
 * Runs in backends and workers, inside a transaction; takes no locks of its own, and gives back those of work that is rolled back.
 */
#include "compat.h"

#include "access/xact.h"
#include "utils/resowner.h"

#include "attempt.h"

bool
sd_attempt_is_about_the_moment(const ErrorData *error, const void *judge_arg)
{
	(void) judge_arg;
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_TRANSACTION_ROLLBACK:
			return true;
		default:
			return false;
	}
}

ErrorData *
sd_attempt_judged(void (*work) (void *arg), void *arg, bool keep, SdRaiseAgain raise_again, const void *judge_arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error && raise_again(error, judge_arg))
		ReThrowError(error);
	return error;
}

ErrorData *
sd_attempt(void (*work) (void *arg), void *arg, bool keep)
{
	return sd_attempt_judged(work, arg, keep, sd_attempt_is_about_the_moment, NULL);
}

bool
sd_is_cancel(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->funcname &&
		(strcmp(error->funcname, "ProcessInterrupts") == 0 || strncmp(error->funcname, "PLy_elog", strlen("PLy_elog")) == 0);
}
