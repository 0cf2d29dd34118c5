/*
 * telemetry.c: what this region tells of itself; see telemetry.h.
 */
#include "compat.h"

#include <ctype.h>

#include "access/xlog.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "settings.h"
#include "online_regions.h"
#include "store/protocol.h"
#include "store/state.h"
#include "progress.h"
#include "store/telemetry.h"

void
sd_telemetry_clear(SdTelemetry *telemetry)
{
	memset(telemetry, 0, sizeof(*telemetry));
	telemetry->lag_ms = telemetry->lag_bytes = -1;
}

uint64
sd_telemetry_server(void)
{
	return hash_combine64(hash_combine64(GetSystemIdentifier(), (uint64) PgStartTime), (uint64) PostmasterPid) | 1;
}

void
sd_telemetry_from_tables(SdDatabase *db, const SdSelf *self, SdTelemetry *own)
{
	SdHead		head;
	SdApplied	applied;

	sd_telemetry_clear(own);
	own->protocol = sd_protocol_own();
	own->server = sd_telemetry_server();
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
	own->standing = db->standing;
	own->verified_at = db->verified_at;
	strlcpy(own->verify_error, db->verify_error, SD_TEXT_SIZE);
	own->lag_ms = db->lag_ms;
	own->lag_bytes = db->lag_bytes;
	memcpy(own->counts, db->counts, sizeof(own->counts));
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

/* A line is a line, whatever the text. */
static void
write_line(StringInfo out, const char *text)
{
	for (const char *c = text; *c; c++)
		appendStringInfoChar(out, *c == '\n' ? ' ' : *c);
	appendStringInfoChar(out, '\n');
}

static void
write_text(StringInfo out, const char *name, const char *text)
{
	appendStringInfo(out, "%s ", name);
	write_line(out, text);
}

/* "task 17 open 12 40 building index" */
static void
write_task(StringInfo out, const SdTaskReport *report)
{
	if (report->version == 0)
		return;
	appendStringInfo(out, "task " INT64_FORMAT " %s " INT64_FORMAT " " INT64_FORMAT " ",
					 report->version, report->state, report->done, report->total);
	write_line(out, report->what);
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

/* "standing 17 1 0 0 0 0 <64 hexadecimal digits>", and the vector on a line of its own */
static void
write_standing(StringInfo out, const SdStanding *standing)
{
	appendStringInfo(out, "standing " INT64_FORMAT " %d %d " INT64_FORMAT " " INT64_FORMAT " " INT64_FORMAT " ",
					 standing->version, standing->form, standing->drifted, standing->drift_tag, standing->outside,
					 standing->skipped);
	for (int i = 0; i < SD_SHA_SIZE; i++)
		appendStringInfo(out, "%02x", standing->logged[i]);
	appendStringInfoChar(out, '\n');
	if (standing->vector[0])
		write_text(out, "vector", standing->vector);
}

static void
read_standing(const char *value, SdTelemetry *told)
{
	SdStanding	read = {0};
	int			at = 0;

	if (sscanf(value, INT64_FORMAT " %d %d " INT64_FORMAT " " INT64_FORMAT " " INT64_FORMAT " %n", &read.version, &read.form,
			   &read.drifted, &read.drift_tag, &read.outside, &read.skipped, &at) < 6 || at == 0 ||
		read.version <= 0 || read.drifted < 0 || read.outside < 0)
		return;
	value += at;
	for (int i = 0; i < SD_SHA_SIZE; i++)
	{
		unsigned int byte;

		if (!isxdigit((unsigned char) value[0]) || !isxdigit((unsigned char) value[1]) || sscanf(value, "%2x", &byte) != 1)
			return;
		read.logged[i] = (uint8) byte;
		value += 2;
	}
	memcpy(read.vector, told->standing.vector, SD_VECTOR_TEXT_SIZE);
	told->standing = read;
}

/* Those that are not yet zero; a newer region may have more of them. */
static void
write_counts(StringInfo out, const int64 *counts)
{
	int			last = SD_COUNTERS;

	while (last > 0 && counts[last - 1] == 0)
		last--;
	if (last == 0)
		return;
	appendStringInfoString(out, "counts");
	for (int i = 0; i < last; i++)
		appendStringInfo(out, " " INT64_FORMAT, counts[i]);
	appendStringInfoChar(out, '\n');
}

static void
read_counts(const char *value, SdTelemetry *told)
{
	for (int i = 0; i < SD_COUNTERS && value && *value; i++)
	{
		char	   *end;

		told->counts[i] = strtoll(value, &end, 10);
		value = end > value ? end : NULL;
	}
}

char *
sd_telemetry_write_notes(const SdTelemetry *own)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "protocol %d\n", own->protocol);
	if (own->server != 0)
		appendStringInfo(&out, "server " UINT64_FORMAT "\n", own->server);
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
	if (own->standing.version > 0)
		write_standing(&out, &own->standing);
	if (own->verified_at != 0)
		appendStringInfo(&out, "verified " INT64_FORMAT "\n", own->verified_at);
	if (own->verify_error[0])
		write_text(&out, "unverified", own->verify_error);
	if (own->lag_ms >= 0 || own->lag_bytes >= 0)
		appendStringInfo(&out, "lag " INT64_FORMAT " " INT64_FORMAT "\n", own->lag_ms, own->lag_bytes);
	write_counts(&out, own->counts);
	if (own->asked_at != 0)
		appendStringInfo(&out, "clock " INT64_FORMAT " " INT64_FORMAT "\n", own->asked_at, own->answered_at);
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
		else if (strcmp(line, "server") == 0)
			told->server = strtoull(value, NULL, 10);
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
		else if (strcmp(line, "standing") == 0)
			read_standing(value, told);
		else if (strcmp(line, "vector") == 0 && strlen(value) < SD_VECTOR_TEXT_SIZE)
			sd_shared_copy(told->standing.vector, SD_VECTOR_TEXT_SIZE, value);
		else if (strcmp(line, "verified") == 0)
			told->verified_at = strtoll(value, NULL, 10);
		else if (strcmp(line, "unverified") == 0)
			sd_shared_copy(told->verify_error, SD_TEXT_SIZE, value);
		else if (strcmp(line, "lag") == 0 && strchr(value, ' '))
		{
			told->lag_ms = strtoll(value, NULL, 10);
			told->lag_bytes = strtoll(strchr(value, ' ') + 1, NULL, 10);
		}
		else if (strcmp(line, "counts") == 0)
			read_counts(value, told);
		else if (strcmp(line, "clock") == 0 && strchr(value, ' '))
		{
			told->asked_at = strtoll(value, NULL, 10);
			told->answered_at = strtoll(strchr(value, ' ') + 1, NULL, 10);
		}
	}
	pfree(copy);
}
