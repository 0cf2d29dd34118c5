/*
 * waitpoint.c: places where a test can stop a process; see waitpoint.h.
 */
#include "compat.h"

#include <signal.h>
#include <unistd.h>

#include "utils/guc.h"

#include "waitpoint.h"

#ifdef SD_TESTING

static char *waitpoint = NULL;

void
sd_testing_init(void)
{
	DefineCustomStringVariable("schemadrift.testing_waitpoint", "Where this session's process stops itself.",
							   NULL, &waitpoint, "", PGC_USERSET, 0, NULL, NULL, NULL);
}

void
sd_testing_waitpoint(const char *name)
{
	if (waitpoint && strcmp(waitpoint, name) == 0)
	{
		fprintf(stderr, "schemadrift: stopped at wait point %s, pid %d\n", name, (int) getpid());
		raise(SIGSTOP);
	}
}

#endif
