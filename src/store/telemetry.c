/*
 * telemetry.c: what this region tells of itself; see telemetry.h.
 */
#include "compat.h"

#include "lib/stringinfo.h"

#include "store/state.h"
#include "progress.h"
#include "store/telemetry.h"

void
sd_telemetry_own(SdDatabase *db, SdTelemetry *own)
{
	SdSelf		self;
	SdHead		head;
	SdApplied	applied;

	memset(own, 0, sizeof(*own));
	own->protocol = SD_PROTOCOL;
	if (!sd_self_read(&self))
		return;
	sd_log_head(&head);
	sd_applied_read(&applied);
	own->incarnation = self.incarnation;
	own->vote_seq = self.vote_seq;
	own->head = head.version;
	own->applied = applied.version;
	memcpy(own->digest, applied.digest, SD_SHA_SIZE);

	LWLockAcquire(&db->lock, LW_SHARED);
	own->boot_id = (int64) db->boot_id;
	own->hlc = (int64) db->hlc;
	own->state = self.valid ? db->state : SD_REGION_VOID;
	own->halted_at = db->halted_at;
	own->attempts = db->attempts;
	own->held = sd_progress_is_held(db);
	strlcpy(own->halt_error, db->halt_error, SD_TEXT_SIZE);
	LWLockRelease(&db->lock);
}

/* ---- notes ---- */

char *
sd_telemetry_write_notes(const SdTelemetry *own)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "protocol %d\n", own->protocol);
	if (own->held)
		appendStringInfoString(&out, "held 1\n");
	return out.data;
}

void
sd_telemetry_read_notes(const char *notes, SdTelemetry *told)
{
	char	   *copy = pstrdup(notes);
	char	   *rest = NULL;

	for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
	{
		char	   *value = strchr(line, ' ');

		if (value == NULL)
			continue;
		*value++ = '\0';
		if (strcmp(line, "protocol") == 0)
			told->protocol = atoi(value);
		else if (strcmp(line, "held") == 0)
			told->held = atoi(value) != 0;
	}
	pfree(copy);
}
