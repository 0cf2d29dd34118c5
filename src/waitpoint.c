/*
 * waitpoint.c: places where a test can stop a process; see waitpoint.h.
 */
#include "compat.h"

#include <signal.h>
#include <unistd.h>

#include "access/xact.h"
#include "commands/seclabel.h"
#include "utils/guc.h"

#include "consensus/mistakes.h"
#include "waitpoint.h"

#ifdef SD_TESTING

static char *waitpoint = NULL;
static const char *at_commit = NULL;

/* The commit record is flushed, the client has not heard of it. */
static void
stop_at_commit(XactEvent event, void *arg)
{
	(void) arg;
	if (at_commit && event == XACT_EVENT_PRE_COMMIT)
	{
		/* a message takes with it what was put out so far: all of the answer, but for the word that it is over */
		if (SD_MISTAKE(ACK_EARLY))
			ereport(INFO, (errmsg("told before the commit")));
		sd_testing_waitpoint(strncmp(at_commit, "accept", 6) == 0 ? "accept-precommit" : "promise-precommit");
	}
	if (at_commit && event == XACT_EVENT_COMMIT)
		sd_testing_waitpoint(at_commit);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		at_commit = NULL;
}

/* Security labels need somebody who knows what they mean. */
static void
accept_label(const ObjectAddress *object, const char *label)
{
	(void) object;
	(void) label;
}

void
sd_testing_init(void)
{
	register_label_provider("testing", accept_label);
	DefineCustomStringVariable("schemadrift.testing_waitpoint", "Where this session's process stops itself.",
							   NULL, &waitpoint, "", PGC_USERSET, 0, NULL, NULL, NULL);
	RegisterXactCallback(stop_at_commit, NULL);
	sd_testing_mistakes_init();
}

void
sd_testing_waitpoint(const char *name)
{
	if (waitpoint && strcmp(waitpoint, name) == 0)
	{
		(void) fprintf(stderr, "schemadrift: stopped at wait point %s, pid %d\n", name, (int) getpid());
		(void) raise(SIGSTOP);
	}
}

void
sd_testing_waitpoint_at_commit(const char *name)
{
	at_commit = name;
}

#endif
