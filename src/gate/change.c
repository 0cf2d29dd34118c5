/*
 * change.c: the schema change of the current transaction.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "access/xact.h"

#include "gate/change.h"

static bool active;

static void
forget_change(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		active = false;
}

void
sd_change_begin(List *needs)
{
	static bool registered = false;

	(void) needs;
	if (!registered)
	{
		RegisterXactCallback(forget_change, NULL);
		registered = true;
	}
	active = true;
}

bool
sd_change_active(void)
{
	return active;
}
