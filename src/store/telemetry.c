/*
 * telemetry.c: what this region tells of itself; see telemetry.h.
 */
#include "compat.h"

#include "lib/stringinfo.h"

#include "clock.h"
#include "settings.h"
#include "online_regions.h"
#include "store/protocol.h"
#include "store/state.h"
#include "progress.h"
#include "store/telemetry.h"

void
sd_telemetry_from_tables(SdDatabase *db, const SdSelf *self, SdTelemetry *own)
{
	SdHead		head;
	SdApplied	applied;

	memset(own, 0, sizeof(*own));
	own->protocol = sd_protocol_own();
	sd_log_head(&head);
	sd_applied_read(&applied);
	own->incarnation = self->incarnation;
	own->life = self->life;
	own->vote_seq = self->vote_seq;
	own->head = head.version;
	own->applied = applied.version;
	memcpy(own->digest, applied.digest, SD_SHA_SIZE);
	sd_online_own_reports(db, own->tasks);
}

void
sd_telemetry_add_shared(SdDatabase *db, bool valid, SdTelemetry *own)
{
	int64		now = sd_monotonic_us();

	LWLockAcquire(&db->lock, LW_SHARED);
	own->boot_id = (int64) db->boot_id;
	own->hlc = (int64) db->hlc;
	own->state = valid ? db->state : SD_REGION_VOID;
	own->halted_at = db->halted_at;
	own->attempts = db->attempts;
	own->held = sd_progress_is_held(db);
	strlcpy(own->halt_error, db->halt_error, SD_TEXT_SIZE);
	if (db->holding.until_us > now && !db->holding.handed)
	{
		own->lease = db->holding.ballot;
		own->lease_ms = (int32) ((db->holding.until_us - now) / SD_US_PER_MS);
		own->lease_wanted_ms = db->holding.in_use || db->holding.keep ? sd_lease_duration : 0;
		own->lease_in_use = db->holding.in_use;
		own->lease_pid = db->holding.in_use ? db->ddl_pid : 0;
		own->lease_held_ms = own->lease_pid ? (int32) Min((now - db->ddl_since_us) / SD_US_PER_MS, PG_INT32_MAX) : 0;
	}
	if (db->grant.until > now)
	{
		own->granted = db->grant.ballot;
		own->granted_ms = (int32) ((db->grant.until - now) / SD_US_PER_MS);
	}
	LWLockRelease(&db->lock);
}

void
sd_telemetry_remember(SdDatabase *db, const char *region, int32 incarnation, int64 kept, SdTelemetry *own)
{
	SdPeerState *peer = NULL;

	own->cloned = 0;
	LWLockAcquire(&db->lock, LW_SHARED);
	for (int i = 0; i < db->n_peers; i++)
		if (strcmp(db->peers[i].region, region) == 0)
			peer = &db->peers[i];
	if (peer && peer->counted == incarnation)
		kept = Max(kept, peer->vote_seq);
	if (peer && peer->cloned == incarnation)
		own->cloned = incarnation;
	LWLockRelease(&db->lock);
	own->remembers_of = incarnation;
	own->remembers = kept;
}

/* ---- notes ---- */

static void
write_ballot(StringInfo out, const SdBallot *ballot)
{
	appendStringInfo(out, INT64_FORMAT " %s " UINT64_FORMAT, ballot->round, ballot->region, ballot->nonce);
}

/* "round region nonce ..."; the rest of the line, NULL if it is none */
static const char *
read_ballot(const char *value, SdBallot *ballot)
{
	char		region[SD_NAME_SIZE];
	long long	round;
	unsigned long long nonce;
	int			used = 0;

	StaticAssertStmt(SD_NAME_SIZE == 64, "the format below knows the size of a name");
	if (sscanf(value, "%lld %63s %llu %n", &round, region, &nonce, &used) != 3 || used == 0 || round <= 0)
		return NULL;
	sd_ballot_set(ballot, round, region, nonce);
	return value + used;
}

/* "task 17 open 12 40 building index" */
static void
write_task(StringInfo out, const SdTaskReport *report)
{
	if (report->version == 0)
		return;
	appendStringInfo(out, "task " INT64_FORMAT " %s " INT64_FORMAT " " INT64_FORMAT " ",
					 report->version, report->state, report->done, report->total);
	for (const char *c = report->what; *c; c++)
		appendStringInfoChar(out, *c == '\n' ? ' ' : *c);
	appendStringInfoChar(out, '\n');
}

static void
read_task(const char *value, SdTelemetry *told)
{
	SdTaskReport report = {0};
	int			at = 0;

	if (sscanf(value, INT64_FORMAT " %15s " INT64_FORMAT " " INT64_FORMAT " %n",
			   &report.version, report.state, &report.done, &report.total, &at) < 4 || report.version <= 0)
		return;
	if (at > 0)
		sd_shared_copy(report.what, sizeof(report.what), value + at);
	for (int i = 0; i < SD_MAX_TASKS; i++)
		if (told->tasks[i].version == 0)
		{
			told->tasks[i] = report;
			return;
		}
}

char *
sd_telemetry_write_notes(const SdTelemetry *own)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "protocol %d\n", own->protocol);
	if (own->held)
		appendStringInfoString(&out, "held 1\n");
	if (!sd_ballot_is_none(&own->lease))
	{
		appendStringInfoString(&out, "lease ");
		write_ballot(&out, &own->lease);
		appendStringInfo(&out, " %d %d %d %d %d\n", own->lease_ms, own->lease_wanted_ms, own->lease_in_use,
						 own->lease_pid, own->lease_held_ms);
	}
	if (!sd_ballot_is_none(&own->granted))
	{
		appendStringInfoString(&out, "granted ");
		write_ballot(&out, &own->granted);
		appendStringInfo(&out, " %d\n", own->granted_ms);
	}
	appendStringInfo(&out, "life %s\n", sd_uuid_text(&own->life));
	if (own->remembers_of > 0)
		appendStringInfo(&out, "remembers %d " INT64_FORMAT "\n", own->remembers_of, own->remembers);
	if (own->cloned > 0)
		appendStringInfo(&out, "cloned %d\n", own->cloned);
	appendStringInfo(&out, "at " INT64_FORMAT "\n", own->at);
	if (own->heard_at > 0)
		appendStringInfo(&out, "heard " INT64_FORMAT " " INT64_FORMAT "\n", own->heard_boot_id, own->heard_at);
	if (own->pulse != 0)
		appendStringInfo(&out, "pulse " INT64_FORMAT "\n", own->pulse);
	for (int i = 0; i < SD_MAX_TASKS; i++)
		write_task(&out, &own->tasks[i]);
	return out.data;
}

static void
read_lease(const char *value, SdTelemetry *told)
{
	int			in_use;

	value = read_ballot(value, &told->lease);
	if (value == NULL || sscanf(value, "%d %d %d %d %d", &told->lease_ms, &told->lease_wanted_ms, &in_use,
								&told->lease_pid, &told->lease_held_ms) != 5)
		memset(&told->lease, 0, sizeof(told->lease));
	else
		told->lease_in_use = in_use != 0;
}

static void
read_granted(const char *value, SdTelemetry *told)
{
	value = read_ballot(value, &told->granted);
	if (value == NULL || sscanf(value, "%d", &told->granted_ms) != 1)
		memset(&told->granted, 0, sizeof(told->granted));
}

/* 32 hexadecimal digits and hyphens; what is none stays zero. */
static void
read_uuid(const char *text, pg_uuid_t *uuid)
{
	pg_uuid_t	read = {{0}};
	int			digits = 0;

	for (; *text && digits < 2 * UUID_LEN; text++)
	{
		const char *hex = "0123456789abcdef";
		const char *at = strchr(hex, *text);

		if (*text == '-')
			continue;
		if (at == NULL)
			return;
		read.data[digits / 2] = (unsigned char) (read.data[digits / 2] << 4 | (at - hex));
		digits++;
	}
	if (digits == 2 * UUID_LEN)
		*uuid = read;
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
		else if (strcmp(line, "lease") == 0)
			read_lease(value, told);
		else if (strcmp(line, "granted") == 0)
			read_granted(value, told);
		else if (strcmp(line, "life") == 0)
			read_uuid(value, &told->life);
		else if (strcmp(line, "cloned") == 0)
			told->cloned = atoi(value);
		else if (strcmp(line, "remembers") == 0 && strchr(value, ' '))
		{
			told->remembers_of = atoi(value);
			told->remembers = strtoll(strchr(value, ' ') + 1, NULL, 10);
		}
		else if (strcmp(line, "at") == 0)
			told->at = strtoll(value, NULL, 10);
		else if (strcmp(line, "heard") == 0 && strchr(value, ' '))
		{
			told->heard_boot_id = strtoll(value, NULL, 10);
			told->heard_at = strtoll(strchr(value, ' ') + 1, NULL, 10);
		}
		else if (strcmp(line, "pulse") == 0)
			told->pulse = strtoll(value, NULL, 10);
		else if (strcmp(line, "task") == 0)
			read_task(value, told);
	}
	pfree(copy);
}
