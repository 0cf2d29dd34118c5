/*
 * testing.c: a loop over several peers, callable from SQL, for t/020_peer.pl.
 *
 * Only in builds with SD_TESTING; the install script does not know it, the test creates the function itself.
 * Process: any backend.  It drives the same objects as the coordinator, through the same loop.
 */
#include "compat.h"

#ifdef SD_TESTING

#include <dirent.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "clock.h"
#include "peer/endpoint.h"
#include "peer/loop.h"
#include "settings.h"

#define MAX_SAMPLES 20000
#define REPEATED	"/* repeated */"	/* begins a statement that shall be prepared */

typedef struct Run
{
	int			n_sqls;
	const char **sqls;			/* call number k makes sqls[k % n_sqls] */
	char	   *body;			/* NULL: no parameter */
	int64		timeout_us;
	int64		interval_us;
	bool		at_once;
	int			max_calls;		/* a peer; 0 no limit */
} Run;

typedef struct Subject
{
	Run		   *run;
	SdPeer	   *peer;
	bool		waiting;		/* for a call */
	int64		next_at;
	int			calls;
	int			count[4];		/* by SdCallStatus */
	int			warnings;
	int64		elapsed[MAX_SAMPLES];	/* of answered calls */
	int			n_elapsed;
	int64		not_sent_max;	/* longest time until NOT_SENT */
	int			not_sent_late;	/* NOT_SENT after more than half a connect_timeout */
	int64		submitted_at;
	char		sqlstate[6];
	char		text[1024];		/* message of the last call that was not plainly OK */
	char		value[256];		/* of the last that was */
} Subject;

PG_FUNCTION_INFO_V1(sd_testing_peers);
PG_FUNCTION_INFO_V1(sd_testing_conninfo);
PG_FUNCTION_INFO_V1(sd_testing_rules);

static void
subject_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	Subject    *s = arg;

	if (sd_call_arg(call) != arg || sd_peer_arg(peer) != arg)
		elog(ERROR, "done() called with somebody else's argument");
	s->waiting = false;
	s->calls++;
	s->count[result->status]++;
	s->warnings += result->warning;
	s->next_at = sd_monotonic_us() + s->run->interval_us;
	if (result->status == SD_CALL_OK || result->status == SD_CALL_ERROR)
	{
		if (s->n_elapsed < MAX_SAMPLES)
			s->elapsed[s->n_elapsed++] = result->elapsed_us;
	}
	else if (result->status == SD_CALL_NOT_SENT)
	{
		int64		took = sd_monotonic_us() - s->submitted_at;

		s->not_sent_max = Max(s->not_sent_max, took);
		s->not_sent_late += took > sd_connect_timeout * SD_US_PER_MS / 2;
	}
	if (result->sqlstate)
		strlcpy(s->sqlstate, unpack_sql_state(result->sqlstate), sizeof(s->sqlstate));
	if (result->message)
		snprintf(s->text, sizeof(s->text), "%s|%s|%s", result->message,
				 result->detail ? result->detail : "", result->hint ? result->hint : "");
	if (result->rows && PQntuples(result->rows) > 0)
		strlcpy(s->value, PQgetvalue(result->rows, 0, 0), sizeof(s->value));
}

static void
subject_submit(Subject *s, int64 now_us)
{
	Run		   *run = s->run;
	Oid			types[] = {TEXTOID};
	const char *values[] = {run->body};
	SdCallSpec	spec = {
		.sql = run->sqls[s->calls % run->n_sqls],
		.n_params = run->body ? 1 : 0,
		.types = types,
		.values = values,
		.repeated = strncmp(run->sqls[s->calls % run->n_sqls], REPEATED, strlen(REPEATED)) == 0,
		.priority = SD_PRIORITY_VOTE,
		.deadline_us = now_us + run->timeout_us,
		.at_once = run->at_once,
		.done = subject_done,
		.arg = s,
	};

	s->waiting = true;
	s->submitted_at = now_us;
	sd_peer_submit(s->peer, &spec);
}

static int
compare_int64(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

static int
count_entries(const char *directory)
{
	DIR		   *dir = opendir(directory);
	int			n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static void
report_text(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, ", \"%s\": ", name);
	escape_json(out, value);
}

static void
report_subject(StringInfo out, Subject *s)
{
	static const char *const circuits[] = {"closed", "half-open", "open"};
	static const char *const phases[] = {"waiting", "resolving", "connecting", "ready", "busy"};

	qsort(s->elapsed, s->n_elapsed, sizeof(int64), compare_int64);
	appendStringInfo(out, "{\"ok\": %d, \"error\": %d, \"unanswered\": %d, \"not_sent\": %d, \"warnings\": %d",
					 s->count[SD_CALL_OK], s->count[SD_CALL_ERROR], s->count[SD_CALL_UNANSWERED],
					 s->count[SD_CALL_NOT_SENT], s->warnings);
	appendStringInfo(out, ", \"median_us\": " INT64_FORMAT ", \"max_us\": " INT64_FORMAT ", \"not_sent_us\": " INT64_FORMAT ", \"late\": %d",
					 s->n_elapsed ? s->elapsed[s->n_elapsed / 2] : -1,
					 s->n_elapsed ? s->elapsed[s->n_elapsed - 1] : -1, s->not_sent_max, s->not_sent_late);
	report_text(out, "sqlstate", s->sqlstate);
	report_text(out, "text", s->text);
	report_text(out, "value", s->value);
	report_text(out, "phase", phases[sd_peer_phase(s->peer)]);
	report_text(out, "circuit", circuits[sd_peer_circuit(s->peer)]);
	report_text(out, "last_error", sd_peer_last_error(s->peer));
	appendStringInfo(out, ", \"failures\": %d}", sd_peer_failures(s->peer));
}

/* Drive all subjects until the end; returns the longest time the loop was not waiting. */
static int64
run_loop(SdLoop *loop, Subject **subjects, int n, int64 end_us)
{
	const int64 nap_us = 10 * SD_US_PER_MS;
	int64		longest = 0;

	for (;;)
	{
		int64		before = sd_monotonic_us();
		int64		deadline = Min(before + nap_us, end_us);
		int			finished = 0;

		for (int i = 0; i < n; i++)
		{
			Subject    *s = subjects[i];

			if (s->run->max_calls > 0 && s->calls >= s->run->max_calls)
				finished++;
			else if (!s->waiting && s->next_at <= before)
				subject_submit(s, before);
			else if (!s->waiting)
				deadline = Min(deadline, s->next_at);
		}
		if (before >= end_us || finished == n)
			return longest;
		if (sd_loop_wait(loop, deadline, PG_WAIT_EXTENSION))
			CHECK_FOR_INTERRUPTS();
		/* it may wait until the deadline, rounded up to a millisecond, and no longer */
		longest = Max(longest, sd_monotonic_us() - Max(deadline, before) - SD_US_PER_MS);
	}
}

/*
 * sd_testing_peers(conninfos text[], sqls text[], seconds float8, interval_ms int, timeout_ms int,
 *					body_bytes int, at_once bool, max_calls int) RETURNS json
 */
Datum
sd_testing_peers(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "schemadrift testing",
												  ALLOCSET_DEFAULT_SIZES);
	Datum	   *conninfos;
	Datum	   *sqls;
	int			n;
	Run			run = {0};
	Subject   **subjects;
	SdLoop	   *loop;
	int64		longest;
	int			fds = count_entries("/proc/self/fd");
	StringInfoData out;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &conninfos, NULL, &n);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &sqls, NULL, &run.n_sqls);
	run.sqls = palloc(run.n_sqls * sizeof(char *));
	for (int i = 0; i < run.n_sqls; i++)
		run.sqls[i] = TextDatumGetCString(sqls[i]);
	run.interval_us = PG_GETARG_INT32(3) * SD_US_PER_MS;
	run.timeout_us = PG_GETARG_INT32(4) * SD_US_PER_MS;
	if (PG_GETARG_INT32(5) > 0)
	{
		run.body = MemoryContextAllocHuge(context, (Size) PG_GETARG_INT32(5) + 1);
		memset(run.body, 'x', PG_GETARG_INT32(5));
		run.body[PG_GETARG_INT32(5)] = '\0';
	}
	run.at_once = PG_GETARG_BOOL(6);
	run.max_calls = PG_GETARG_INT32(7);

	loop = sd_loop_create(context);
	subjects = palloc(n * sizeof(Subject *));
	for (int i = 0; i < n; i++)
	{
		Subject    *s = subjects[i] = palloc0(sizeof(Subject));

		s->run = &run;
		s->peer = sd_peer_create(context, "here", psprintf("peer-%d", i), TextDatumGetCString(conninfos[i]));
		sd_peer_set_arg(s->peer, s);
		sd_loop_add(loop, s->peer);
	}

	longest = run_loop(loop, subjects, n,
					   sd_monotonic_us() + (int64) (PG_GETARG_FLOAT8(2) * SD_US_PER_S));

	initStringInfo(&out);
	appendStringInfo(&out, "{\"longest_block_us\": " INT64_FORMAT ", \"threads\": %d, \"peers\": [",
					 longest, count_entries("/proc/self/task") - 2);
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoString(&out, ", ");
		report_subject(&out, subjects[i]);
	}
	/* half of them in order, the others the way an error would */
	for (int i = 0; i < n; i += 2)
	{
		sd_loop_remove(loop, subjects[i]->peer);
		sd_peer_free(subjects[i]->peer);
	}
	MemoryContextDelete(context);
	appendStringInfo(&out, "], \"descriptors\": %d}", count_entries("/proc/self/fd") - fds);
	PG_RETURN_TEXT_P(cstring_to_text(out.data));
}

/* sd_testing_conninfo(conninfo text) RETURNS void: the check that functions do. */
Datum
sd_testing_conninfo(PG_FUNCTION_ARGS)
{
	sd_conninfo_check(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/* ---- the rules of connection.h, one after another ---- */

typedef struct Trace
{
	StringInfoData text;
	int			outstanding;
	bool		raise;			/* the next done() raises an error */
	bool		again;			/* the next done() submits another call */
} Trace;

static SdCall *trace_submit(SdPeer *peer, Trace *trace, SdPriority priority, const char *sql,
							int timeout_ms);

static void
trace_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	static const char *const statuses[] = {"ok", "error", "unanswered", "not sent"};
	Trace	   *trace = arg;

	trace->outstanding--;
	appendStringInfoString(&trace->text, statuses[result->status]);
	if (result->rows)
		appendStringInfo(&trace->text, " %s", PQgetvalue(result->rows, 0, 0));
	if (result->message)
		appendStringInfo(&trace->text, " (%s)", result->message);
	appendStringInfoString(&trace->text, "; ");
	if (sd_call_withdraw(call) != (result->status == SD_CALL_NOT_SENT))
		elog(ERROR, "a call that has ended was withdrawn");
	if (trace->again)
	{
		trace->again = false;
		trace_submit(peer, trace, SD_PRIORITY_VOTE, "SELECT 'again'", 15000);
	}
	if (trace->raise)
	{
		trace->raise = false;
		elog(ERROR, "raised in done()");
	}
}

static SdCall *
trace_submit(SdPeer *peer, Trace *trace, SdPriority priority, const char *sql, int timeout_ms)
{
	SdCallSpec	spec = {
		.sql = sql,
		.priority = priority,
		.deadline_us = sd_monotonic_us() + timeout_ms * SD_US_PER_MS,
		.done = trace_done,
		.arg = trace,
	};

	trace->outstanding++;
	return sd_peer_submit(peer, &spec);
}

/* Wait until all calls have ended, or only until the phase is reached. */
static void
trace_wait(SdLoop *loop, SdPeer *peer, Trace *trace, int phase)
{
	int64		end = sd_monotonic_us() + 60 * SD_US_PER_S;

	while (phase >= 0 ? (int) sd_peer_phase(peer) != phase : trace->outstanding > 0)
	{
		if (sd_monotonic_us() > end)
			elog(ERROR, "waited in vain; so far: %s", trace->text.data);
		if (sd_loop_wait(loop, end, PG_WAIT_EXTENSION))
			CHECK_FOR_INTERRUPTS();
	}
}

static void
trace_wait_error(SdLoop *loop, SdPeer *peer, Trace *trace)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		trace_wait(loop, peer, trace, -1);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		appendStringInfoString(&trace->text, "caught; ");
	}
	PG_END_TRY();
}

/* sd_testing_rules(conninfo text, other_conninfo text) RETURNS text: a line a rule. */
Datum
sd_testing_rules(PG_FUNCTION_ARGS)
{
	char	   *conninfo = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *other = text_to_cstring(PG_GETARG_TEXT_PP(1));
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "schemadrift testing",
												  ALLOCSET_DEFAULT_SIZES);
	SdLoop	   *loop = sd_loop_create(context);
	SdPeer	   *peer = sd_peer_create(context, "here", "there", conninfo);
	Trace		trace = {0};
	SdCall	   *first;
	SdCall	   *second;

	sd_loop_add(loop, peer);
	initStringInfo(&trace.text);

	appendStringInfoString(&trace.text, "priorities: ");
	trace_submit(peer, &trace, SD_PRIORITY_HEARTBEAT, "SELECT 'heartbeat'", 15000);
	trace_submit(peer, &trace, SD_PRIORITY_LEARN, "SELECT 'learn'", 15000);
	trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT 'vote'", 15000);
	trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT 'vote 2'", 15000);
	trace_wait(loop, peer, &trace, -1);

	appendStringInfoString(&trace.text, "\nwithdraw: ");
	first = trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT 'flying' FROM pg_sleep(0.3)", 15000);
	trace_wait(loop, peer, &trace, SD_PEER_BUSY);
	second = trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT 'queued'", 15000);
	trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT 'late'", 100);
	appendStringInfo(&trace.text, "%d; ", sd_call_withdraw(first));
	appendStringInfo(&trace.text, "%d; ", sd_call_withdraw(second));
	trace_wait(loop, peer, &trace, -1);

	appendStringInfoString(&trace.text, "\nin done: ");
	trace.again = true;
	trace_submit(peer, &trace, SD_PRIORITY_FETCH, "SELECT 'once'", 15000);
	trace_submit(peer, &trace, SD_PRIORITY_HEARTBEAT, "SELECT 'last'", 15000);
	trace_wait(loop, peer, &trace, -1);
	trace.raise = true;
	trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT 'raises'", 15000);
	trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT 'next'", 15000);
	trace_wait_error(loop, peer, &trace);
	trace_wait(loop, peer, &trace, -1);

	appendStringInfoString(&trace.text, "\nnew conninfo: ");
	trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT current_database() FROM pg_sleep(0.1)", 15000);
	trace_wait(loop, peer, &trace, SD_PEER_BUSY);
	sd_peer_set_conninfo(peer, other);
	trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT current_database()", 15000);
	trace_wait(loop, peer, &trace, -1);

	appendStringInfoString(&trace.text, "\nwake: ");
	sd_peer_set_conninfo(peer, "host=/nonexistent");
	trace_wait(loop, peer, &trace, SD_PEER_WAITING);
	trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT 1", 15000);
	trace_wait(loop, peer, &trace, -1);
	sd_peer_wake(peer);
	appendStringInfo(&trace.text, "%d; ", sd_peer_retry_at(peer) <= sd_monotonic_us() + SD_US_PER_S);
	sd_peer_set_conninfo(peer, conninfo);
	trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT 'found'", 15000);
	trace_wait(loop, peer, &trace, -1);

	appendStringInfoString(&trace.text, "\nfree: ");
	trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT pg_sleep(1)", 15000);
	trace_wait(loop, peer, &trace, SD_PEER_BUSY);
	trace_submit(peer, &trace, SD_PRIORITY_VOTE, "SELECT 1", 15000);
	sd_loop_remove(loop, peer);
	trace.again = true;
	sd_peer_free(peer);
	if (trace.outstanding != 0)
		elog(ERROR, "%d calls did not end", trace.outstanding);
	MemoryContextDelete(context);
	PG_RETURN_TEXT_P(cstring_to_text(trace.text.data));
}

#endif							/* SD_TESTING */
