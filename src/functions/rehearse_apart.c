/*
 * rehearse_apart.c: a rehearsal in a process of its own; see rehearse_apart.h.
 *
 * The session of another region is connected as its peer role: whatever user is set there, RESET ROLE and SET SESSION AUTHORIZATION would
 * reach that one.  So a background worker is started that is connected like the applier of such an entry, question and answer go through
 * a segment of shared memory, and the worker ends.  Its limits are those of the session that asks, not what the author has set for himself.
 */
#include "compat.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "clock.h"
#include "ddl/options.h"
#include "errors.h"
#include "functions/rehearse_apart.h"
#include "settings.h"
#include "worker/applier.h"
#include "worker/worker.h"

/* What does not fit is sent in parts. */
#define QUEUE_SIZE	65536

/* What the process may need on top of schemadrift.dry_run_timeout, to start and to end; less than who asks waits for all of it. */
#define START_AND_END_MS	5000

/* How often to see whether somebody waits for the answer yet. */
#define CLIENT_CHECK_MS		1000

/* ---- what goes to and fro: a record, and after it the texts that it points to ---- */

static const struct
{
	const char *name;
	const int  *value;
}			limits[] = {
	{"schemadrift.large_table", &sd_large_table},
	{"schemadrift.dry_run_lock_timeout", &sd_dry_run_lock_timeout},
	{"schemadrift.dry_run_timeout", &sd_dry_run_timeout},
	{"schemadrift.dry_run_query_timeout", &sd_dry_run_query_timeout},
};

typedef struct Question
{
	Oid			role;			/* to connect as */
	TimestampTz frozen_at;
	SdDryRunQueries queries;
	int			limit[lengthof(limits)];
	char	   *up;
	char	   *down;
	char	   *run_as;
	char	   *database;
	char	   *asked_by;
} Question;

typedef struct Answer
{
	int			sqlerrcode;		/* 0: there is a result; else the error instead of one */
	SdRehearsal rehearsal;
	char	   *message;
	char	   *detail;
	char	   *hint;
	char	   *context;
} Answer;

static const size_t question_texts[] = {
	offsetof(Question, up), offsetof(Question, down), offsetof(Question, run_as), offsetof(Question, database), offsetof(Question, asked_by)
};

static const size_t answer_texts[] = {
	offsetof(Answer, rehearsal.up.message), offsetof(Answer, rehearsal.up.detail), offsetof(Answer, rehearsal.up.hint),
	offsetof(Answer, rehearsal.down.message), offsetof(Answer, rehearsal.down.detail), offsetof(Answer, rehearsal.down.hint),
	offsetof(Answer, rehearsal.locks), offsetof(Answer, rehearsal.queries.errors), offsetof(Answer, rehearsal.queries.warnings),
	offsetof(Answer, rehearsal.queries.notes), offsetof(Answer, rehearsal.queries.remedy),
	offsetof(Answer, message), offsetof(Answer, detail), offsetof(Answer, hint), offsetof(Answer, context)
};

static char **
text_of(void *record, size_t offset)
{
	return (char **) ((char *) record + offset);
}

static void
pack(StringInfo out, void *record, Size size, const size_t *texts, int n_texts)
{
	initStringInfo(out);
	appendBinaryStringInfo(out, record, (int) size);
	for (int i = 0; i < n_texts; i++)
	{
		const char *text = *text_of(record, texts[i]);

		if (text)
			appendBinaryStringInfo(out, text, (int) strlen(text) + 1);
	}
}

/* The pointers of the other process say no more than whether there is a text. */
static void
unpack(const char *bytes, void *record, Size size, const size_t *texts, int n_texts)
{
	memcpy(record, bytes, size);
	bytes += size;
	for (int i = 0; i < n_texts; i++)
	{
		char	  **text = text_of(record, texts[i]);

		if (*text == NULL)
			continue;
		*text = pstrdup(bytes);
		bytes += strlen(bytes) + 1;
	}
}

/* The segment: the queue of the answer, then the question. */
static char *
question_in(dsm_segment *segment)
{
	return (char *) dsm_segment_address(segment) + QUEUE_SIZE;
}

static shm_mq *
queue_in(dsm_segment *segment)
{
	return dsm_segment_address(segment);
}

/* ---- who asks ---- */

typedef struct Asked
{
	const char *author;
	BackgroundWorkerHandle *worker;
	shm_mq_handle *queue;
	Answer		answer;
} Asked;

static void
await_answer(void *arg)
{
	Asked	   *asked = arg;
	Size		size;
	void	   *data;

	if (shm_mq_receive(asked->queue, &size, &data, false) != SHM_MQ_SUCCESS)
		ereport(ERROR,
				(errcode(ERRCODE_ADMIN_SHUTDOWN),
				 errmsg("the process that ran the script ended"),
				 errdetail("It was connected as role \"%s\". A script that goes on when schemadrift.dry_run_timeout, %d ms, is over ends with its process.",
						   asked->author, sd_dry_run_timeout),
				 errhint("See the server's log of that region.")));
	unpack(data, &asked->answer, sizeof(asked->answer), answer_texts, lengthof(answer_texts));
	(void) WaitForBackgroundWorkerShutdown(asked->worker);
}

/*
 * Who has closed its connection waits no more, and this session ends, with what it has started (client_connection_check_interval).
 * A backend that answers quickly does not look; so it is for this transaction only.
 */
static void
watch_client(void)
{
	if (MyProcPort == NULL)
		return;
	(void) set_config_option("client_connection_check_interval", psprintf("%d", CLIENT_CHECK_MS), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
							 true, 0, false);
	enable_timeout_after(CLIENT_CONNECTION_CHECK_TIMEOUT, CLIENT_CHECK_MS);
}

/* Not by ending this session: who waits for an answer gets one. */
static void
await_in_time(Asked *asked)
{
	int64		began = sd_monotonic_us();
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		/* the limit of the session is for calls that are quick */
		disable_timeout(STATEMENT_TIMEOUT, false);
		watch_client();
		sd_time_limit_work(sd_dry_run_timeout + START_AND_END_MS, await_answer, asked);
	}
	PG_CATCH();
	{
		int			waited_ms = (int) ((sd_monotonic_us() - began) / SD_US_PER_MS);

		/* before, somebody has cancelled this session */
		if (geterrcode() != ERRCODE_QUERY_CANCELED || waited_ms < sd_dry_run_timeout + START_AND_END_MS / 2)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("the process that runs the script gave no answer in %d ms", waited_ms),
				 errdetail("It cannot start, or stands still; it is told to end."),
				 errhint("SELECT * FROM pg_stat_activity WHERE backend_type = 'schemadrift dry run'; -- and see the server's log of that region")));
	}
	PG_END_TRY();
}

/* However this session stops waiting, by an error or its own end, the process does not go on for nobody. */
static void
end_worker(dsm_segment *segment, Datum worker)
{
	(void) segment;
	TerminateBackgroundWorker((BackgroundWorkerHandle *) DatumGetPointer(worker));
}

void
sd_rehearse_apart(const SdTrial *what, const char *asked_by, SdRehearsal *result)
{
	const char *author = what->run_as->session_user;
	Question	question = {.role = sd_applier_role(MyDatabaseId, author), .frozen_at = what->frozen_at, .queries = what->queries,
		.up = unconstify(char *, what->up), .down = unconstify(char *, what->down), .run_as = sd_run_as_to_json(what->run_as),
	.database = unconstify(char *, what->database), .asked_by = unconstify(char *, asked_by)};
	Asked		asked = {.author = author};
	Answer	   *answer = &asked.answer;
	StringInfoData bytes;
	dsm_segment *segment;
	dsm_handle	handle;
	MemoryContext context;

	for (size_t i = 0; i < lengthof(limits); i++)
		question.limit[i] = *limits[i].value;
	pack(&bytes, &question, sizeof(question), question_texts, lengthof(question_texts));
	segment = dsm_create(QUEUE_SIZE + bytes.len, 0);
	memcpy(question_in(segment), bytes.data, bytes.len);
	shm_mq_set_receiver(shm_mq_create(queue_in(segment), QUEUE_SIZE), MyProc);
	handle = dsm_segment_handle(segment);
	context = MemoryContextSwitchTo(TopTransactionContext); /* end_worker() is called when portals are gone */
	asked.worker = sd_worker_start_with(SD_WORKER_REHEARSAL, MyDatabaseId, get_database_name(MyDatabaseId), &handle, sizeof(handle));
	if (asked.worker == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker is free to run the script"),
				 errdetail("All %d of the server are in use.", max_worker_processes),
				 errhint("Try again; or set max_worker_processes to more in that region and restart its server.")));
	MemoryContextSwitchTo(context);
	on_dsm_detach(segment, end_worker, PointerGetDatum(asked.worker));
	asked.queue = shm_mq_attach(queue_in(segment), segment, asked.worker);
	await_in_time(&asked);
	dsm_detach(segment);
	if (answer->sqlerrcode)
		ereport(ERROR,
				(errcode(answer->sqlerrcode),
				 errmsg_internal("%s", answer->message),
				 answer->detail ? errdetail_internal("%s", answer->detail) : 0,
				 answer->hint ? errhint("%s", answer->hint) : 0,
				 answer->context ? errcontext("%s", answer->context) : 0));
	*result = answer->rehearsal;
}

/* ---- who runs it ---- */

/* Where the applier cannot be connected as the author, there is no SET ROLE in his text. */
static void
explain_local_user(const Question *question, const SdTrial *what, SdRehearsalError *error)
{
	const char *author;

	if (strcmp(error->sqlstate, unpack_sql_state(ERRCODE_INSUFFICIENT_PRIVILEGE)) != 0 || error->hint != NULL ||
		question->role == get_role_oid(what->run_as->session_user, true))
		return;
	author = quote_identifier(what->run_as->session_user);
	error->hint = psprintf("Role %s cannot be connected to this database, so SET ROLE and RESET ROLE fail in what it runs here. If that is the reason: "
						   "%sGRANT CONNECT ON DATABASE %s TO %s; or leave them out.",
						   author, SD_COMPAT_ANY_ROLE ? "" : psprintf("ALTER ROLE %s LOGIN; ", author),
						   quote_identifier(get_database_name(MyDatabaseId)), author);
}

static void
rehearse(const Question *question, SdRehearsal *rehearsal)
{
	SdTrial		what = {.up = question->up, .down = question->down, .run_as = sd_run_as_from_json(question->run_as),
	.frozen_at = question->frozen_at, .database = question->database, .queries = question->queries};

	sd_rehearse(&what, rehearsal);
	explain_local_user(question, &what, &rehearsal->up);
	explain_local_user(question, &what, &rehearsal->down);
}

static void
note_failure(const ErrorData *error, Answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->sqlerrcode = error->sqlerrcode;
	answer->message = error->message;
	answer->detail = error->detail;
	answer->hint = error->hint;
	answer->context = error->context;
}

static void
run(const Question *question, MemoryContext context, Answer *answer)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		rehearse(question, &answer->rehearsal);
		/* nothing of it is to be kept, and no lock is left when the answer is heard */
		AbortCurrentTransaction();
	}
	PG_CATCH();
	{
		note_failure(sd_worker_recover(context), answer);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

void
sd_rehearsal_main(Datum main_arg)
{
	MemoryContext context;
	dsm_handle	handle;
	dsm_segment *segment;
	shm_mq_handle *queue;
	Question	question;
	Answer		answer = {0};
	StringInfoData bytes;

	memcpy(&handle, MyBgworkerEntry->bgw_extra, sizeof(handle));
	sd_worker_signals();
	context = AllocSetContextCreate(TopMemoryContext, "schemadrift dry run", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	segment = dsm_attach(handle);
	if (segment == NULL)
		proc_exit(0);			/* who asked has gone away */
	shm_mq_set_sender(queue_in(segment), MyProc);
	queue = shm_mq_attach(queue_in(segment), segment, NULL);
	unpack(question_in(segment), &question, sizeof(question), question_texts, lengthof(question_texts));

	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(main_arg), question.role, SD_COMPAT_ANY_ROLE_FLAG);
	sd_worker_pin_settings();
	for (size_t i = 0; i < lengthof(limits); i++)
		SetConfigOption(limits[i].name, psprintf("%d", question.limit[i]), PGC_SUSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_RUNNING, psprintf("dry run asked for by region %s", question.asked_by));
	MemoryContextSwitchTo(context);
	run(&question, context, &answer);
	pack(&bytes, &answer, sizeof(answer), answer_texts, lengthof(answer_texts));
	/* nobody is there any more: then nobody is told */
	(void) shm_mq_send(queue, bytes.len, bytes.data, false, true);
	proc_exit(0);
}
