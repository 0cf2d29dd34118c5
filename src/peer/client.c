/*
 * client.c: a connection to another region, for functions; see client.h.
 *
 * Process: backends only.  No locking.
 */
#include "compat.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "clock.h"
#include "peer/client.h"
#include "peer/endpoint.h"
#include "settings.h"
#include "waits.h"

/* A region that sends nothing for so long will not answer: hashing a large schema takes a few seconds. */
#define SILENCE_US	(60 * SD_US_PER_S)

/* The least time to wait for data at once. */
#define LAST_LOOK_US	(SD_US_PER_S / 2)

struct SdClient
{
	PGconn	   *conn;
	PGresult   *result;
	SdLookup   *lookup;
	int64		patience_us;
	int64		heard_us;		/* monotonic: when data last came or went; the question, at first */
	bool		descriptor;		/* counted by AcquireExternalFD */
	char	   *where;			/* for messages */
	char		warning[256];	/* newest WARNING of the region; empty none */
	MemoryContextCallback at_end;
};

static void
release(void *arg)
{
	SdClient   *client = arg;

	PQclear(client->result);
	client->result = NULL;
	PQfinish(client->conn);
	client->conn = NULL;
	if (client->lookup)
		sd_lookup_release(client->lookup);
	client->lookup = NULL;
	if (client->descriptor)
		ReleaseExternalFD();
	client->descriptor = false;
}

/* What happened; 0: the deadline has passed. */
static int
wait_socket(pgsocket socket, int events, int64 deadline)
{
	int64		now = sd_monotonic_us();
	int			seen;

	if (now >= deadline)
		return 0;
	seen = WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH | events, socket,
							 sd_monotonic_timeout_ms(deadline, now), sd_wait_event(SD_WAIT_PEER));
	if (seen & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return seen;
}

static void
note_warning(void *arg, const PGresult *result)
{
	SdClient   *client = arg;
	const char *message = sd_libpq_field(result, PG_DIAG_MESSAGE_PRIMARY);

	strlcpy(client->warning, message ? message : "", sizeof(client->warning));
}

/* ---- connecting ---- */

static SdEndpoint *
find_endpoints(SdClient *client, const SdConninfo *info, int *n, char **error)
{
	int64		deadline = sd_monotonic_us() + (int64) sd_connect_timeout * SD_US_PER_MS;
	SdEndpoint *endpoints;

	if (info->n_names > 0)
	{
		const char *reason = NULL;

		client->lookup = sd_lookup_start(info->n_names, info->names, &reason);
		if (client->lookup == NULL)
		{
			*error = pstrdup(reason);
			*n = 0;
			return NULL;
		}
		while (!sd_lookup_finished(client->lookup))
			if (!wait_socket(sd_lookup_socket(client->lookup), WL_SOCKET_READABLE, deadline))
			{
				*error = pstrdup("the name server does not answer");
				*n = 0;
				return NULL;
			}
	}
	endpoints = sd_conninfo_resolve(info, client->lookup, n, error);
	if (client->lookup)
		sd_lookup_release(client->lookup);
	client->lookup = NULL;
	return endpoints;
}

static bool
try_endpoint(SdClient *client, const SdConninfo *info, const SdEndpoint *endpoint, const char *own_region,
			 char **error)
{
	int64		deadline = sd_monotonic_us() + (int64) sd_connect_timeout * SD_US_PER_MS;
	PostgresPollingStatusType polling = PGRES_POLLING_WRITING;
	int			seen;

	client->conn = sd_endpoint_connect(info, endpoint, own_region);
	if (client->conn == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	PQsetNoticeReceiver(client->conn, note_warning, client);

	while (PQstatus(client->conn) != CONNECTION_BAD && polling != PGRES_POLLING_OK)
	{
		seen = wait_socket(PQsocket(client->conn),
						   polling == PGRES_POLLING_READING ? WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE, deadline);
		if (seen == 0)
		{
			*error = pstrdup("it does not answer");
			break;
		}
		/* libpq takes being called for "ready", and would send before it is connected */
		if ((seen & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE)) == 0)
			continue;
		polling = PQconnectPoll(client->conn);
		if (polling == PGRES_POLLING_FAILED)
			break;
	}
	/* a question that is larger than the socket takes is sent as the other side reads it: waiting is our own */
	if (PQstatus(client->conn) == CONNECTION_OK && polling == PGRES_POLLING_OK && PQsetnonblocking(client->conn, 1) == 0)
		return true;

	if (*error == NULL)
	{
		char		reason[256];

		sd_libpq_reason(PQerrorMessage(client->conn), reason, sizeof(reason));
		*error = pstrdup(reason);
	}
	PQfinish(client->conn);
	client->conn = NULL;
	return false;
}

static void
require_extension(SdClient *client)
{
	const PGresult *result = sd_client_query(client, sd_endpoint_check, 0, NULL, NULL, false);

	if (PQntuples(result) != 1 || !PQgetisnull(result, 0, 0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the other database cannot be a region"),
				 errdetail_internal("%s", PQntuples(result) == 1 ? pstrdup(PQgetvalue(result, 0, 0)) : "It gave no answer."),
				 errhint("CREATE EXTENSION schemadrift there as a superuser.")));
}

SdClient *
sd_client_connect(const char *conninfo, const char *own_region)
{
	SdClient   *client = palloc0(sizeof(SdClient));
	char	   *error = NULL;
	SdConninfo *info;
	SdEndpoint *endpoints;
	int			n;

	client->patience_us = SILENCE_US;
	client->at_end.func = release;
	client->at_end.arg = client;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &client->at_end);

	info = sd_conninfo_parse(conninfo, &error);
	if (info == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("conninfo of the other region cannot be used"),
				 errdetail_internal("%s", error)));
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to the other region"),
				 errdetail("There are too many open files."),
				 errhint("Raise max_files_per_process or the system's limit.")));
	client->descriptor = true;

	endpoints = find_endpoints(client, info, &n, &error);
	for (int i = 0; i < n && client->conn == NULL; i++)
	{
		error = NULL;
		(void) try_endpoint(client, info, &endpoints[i], own_region, &error);
	}
	if (client->conn == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to the other region"),
				 errdetail_internal("%s", error ? error : "its conninfo names no place"),
				 errhint("Connect with psql and the same conninfo, as the user the server runs as.")));
	client->where = psprintf("%s, database %s", PQhost(client->conn), PQdb(client->conn));
	if (sd_endpoint_is_superuser(client->conn))
		require_extension(client);
	return client;
}

void
sd_client_set_region(SdClient *client, const char *region)
{
	pfree(client->where);
	client->where = psprintf("region \"%s\"", region);
}

void
sd_client_set_patience(SdClient *client, int ms)
{
	client->patience_us = (int64) ms * SD_US_PER_MS;
}

int
sd_client_major(const SdClient *client)
{
	return PQserverVersion(client->conn) / 10000;
}

void
sd_client_require_encoding(const SdClient *client)
{
	const char *theirs = PQparameterStatus(client->conn, "server_encoding");

	if (theirs == NULL || pg_valid_server_encoding(theirs) != GetDatabaseEncoding())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the regions of a group must have one encoding"),
				 errdetail("This database has encoding %s, that of %s has %s.",
						   GetDatabaseEncodingName(), client->where, theirs ? theirs : "one that it does not tell"),
				 errhint("CREATE DATABASE ... ENCODING '%s' TEMPLATE template0, and join from there.", theirs ? theirs : "UTF8")));
}

void
sd_client_close(SdClient *client)
{
	release(client);
}

/* ---- asking ---- */

static void
pg_attribute_noreturn()
raise_broken(SdClient *client, const char *reason)
{
	char	   *detail = pstrdup(reason);

	/* what it did is unknown, and no answer to come is of use */
	PQfinish(client->conn);
	client->conn = NULL;
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("lost the connection to %s", client->where),
			 errdetail_internal("%s", detail)));
}

static void
raise_libpq(SdClient *client)
{
	char		reason[256];

	sd_libpq_reason(PQerrorMessage(client->conn), reason, sizeof(reason));
	raise_broken(client, reason);
}

static char *
field(const PGresult *result, int code)
{
	const char *text = sd_libpq_field(result, code);

	return text ? pstrdup(text) : NULL;
}

/* The region's error as ours. */
static void
pg_attribute_noreturn()
raise_remote(SdClient *client, const PGresult *result)
{
	char	   *state = field(result, PG_DIAG_SQLSTATE);
	char	   *message = field(result, PG_DIAG_MESSAGE_PRIMARY);
	char	   *detail = field(result, PG_DIAG_MESSAGE_DETAIL);
	char	   *hint = field(result, PG_DIAG_MESSAGE_HINT);

	if (message == NULL)
		raise_libpq(client);
	ereport(ERROR,
			(errcode(state && strlen(state) == 5 ?
					 MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]) : ERRCODE_CONNECTION_FAILURE),
			 errmsg_internal("%s", message),
			 detail ? errdetail_internal("%s", detail) : 0,
			 hint ? errhint("%s", hint) : 0,
			 errcontext("call to %s", client->where)));
}

bool
sd_client_unreached(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_CONNECTION_EXCEPTION && error->sqlerrcode != ERRCODE_PROTOCOL_VIOLATION;
}

/* Data that comes, and data that goes, puts off the deadline. */
static void
wait_for_data(SdClient *client, bool unsent)
{
	int64		deadline = client->heard_us + client->patience_us;
	int			seen = wait_socket(PQsocket(client->conn), WL_SOCKET_READABLE | (unsent ? WL_SOCKET_WRITEABLE : 0), deadline);

	if (seen == 0)
		raise_broken(client, psprintf("it sent nothing for %d s", (int) (client->patience_us / SD_US_PER_S)));
	if (seen & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
		client->heard_us = sd_monotonic_us();
	if (!PQconsumeInput(client->conn))
		raise_libpq(client);
}

/* Until the whole question is on its way. */
static void
flush(SdClient *client)
{
	int			unsent;

	while ((unsent = PQflush(client->conn)) > 0)
		wait_for_data(client, true);
	if (unsent < 0)
		raise_libpq(client);
}

/* Until the whole answer is here. */
static void
wait_answer(SdClient *client)
{
	while (PQisBusy(client->conn))
		wait_for_data(client, false);
}

void
sd_client_send(SdClient *client, const char *sql, int n_params, const Oid *types, const char *const *values, bool binary_result)
{
	Assert(client->conn != NULL);
	PQclear(client->result);
	client->result = NULL;
	client->warning[0] = '\0';
	client->heard_us = sd_monotonic_us();

	if (!PQsendQueryParams(client->conn, sql, n_params, types, values, NULL, NULL, binary_result ? 1 : 0))
		raise_libpq(client);
	flush(client);
}

const PGresult *
sd_client_receive(SdClient *client)
{
	PGresult   *more;

	/* while others were waited for the deadline may have passed: what has come meanwhile is to be read */
	client->heard_us = Max(client->heard_us, sd_monotonic_us() + LAST_LOOK_US - client->patience_us);
	do
	{
		wait_answer(client);
		more = PQgetResult(client->conn);
		/* of these there is one after the other, until somebody copies */
		if (more && (PQresultStatus(more) == PGRES_COPY_OUT || PQresultStatus(more) == PGRES_COPY_IN || PQresultStatus(more) == PGRES_COPY_BOTH))
		{
			PQclear(more);
			raise_broken(client, "it answered with nonsense");
		}
		/* its transaction commits after the rows were sent: an error may follow them, and then nothing happened */
		if (more && (client->result == NULL || PQresultStatus(more) == PGRES_FATAL_ERROR))
		{
			PQclear(client->result);
			client->result = more;
		}
		else
			PQclear(more);
	} while (more != NULL);

	if (client->result == NULL)
		raise_libpq(client);
	if (PQresultStatus(client->result) != PGRES_TUPLES_OK)
		raise_remote(client, client->result);
	if (client->warning[0])
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg_internal("%s", client->warning),
				 errcontext("call to %s", client->where)));
	return client->result;
}

const PGresult *
sd_client_query(SdClient *client, const char *sql, int n_params, const Oid *types, const char *const *values,
				bool binary_result)
{
	sd_client_send(client, sql, n_params, types, values, binary_result);
	return sd_client_receive(client);
}

char *
sd_client_text(const PGresult *result, int row, int column)
{
	if (PQgetisnull(result, row, column) || !pg_verifymbstr(PQgetvalue(result, row, column), PQgetlength(result, row, column), true))
		return NULL;
	return pnstrdup(PQgetvalue(result, row, column), PQgetlength(result, row, column));
}
