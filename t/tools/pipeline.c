/*
 * pipeline.c: a client that sends DDL by the extended protocol, for t/tools.pl.
 *
 *	pipeline CONNINFO prepared|pipelined|one STATEMENT...
 *
 * prepared: each statement is prepared, then executed, in a transaction of its own.  pipelined: all are sent before any answer is
 * read, each with its own sync.  one: all before one sync, so they are one transaction.  The first error is shown, and its
 * SQLSTATE; the exit status is that of the whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libpq-fe.h"

static int	failed = 0;

static void
look(PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_PIPELINE_SYNC && status != PGRES_PIPELINE_ABORTED &&
		failed++ == 0)
		printf("%s %s", PQresultErrorField(result, PG_DIAG_SQLSTATE), PQresultErrorMessage(result));
	PQclear(result);
}

int
main(int argc, char **argv)
{
	PGconn	   *conn;
	int			one = argc > 2 && strcmp(argv[2], "one") == 0;
	int			syncs = 0;

	if (argc < 4)
		return 2;
	conn = PQconnectdb(argv[1]);
	if (PQstatus(conn) != CONNECTION_OK)
	{
		printf("%s", PQerrorMessage(conn));
		return 2;
	}
	if (strcmp(argv[2], "prepared") == 0)
		for (int i = 3; i < argc; i++)
		{
			look(PQprepare(conn, "ddl", argv[i], 0, NULL));
			look(PQexecPrepared(conn, "ddl", 0, NULL, NULL, NULL, 0));
			look(PQexec(conn, "DEALLOCATE ddl"));
		}
	else
	{
		if (!PQenterPipelineMode(conn))
			return 2;
		for (int i = 3; i < argc; i++)
		{
			if (!PQsendQueryParams(conn, argv[i], 0, NULL, NULL, NULL, NULL, 0))
				return 2;
			if (one && i + 1 < argc)
				continue;
			if (!PQpipelineSync(conn))
				return 2;
			syncs++;
		}
		/* each statement's results end with a null; a sync's has none after it */
		while (syncs > 0)
		{
			PGresult   *result = PQgetResult(conn);

			if (result == NULL)
				continue;
			if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
				syncs--;
			look(result);
		}
	}
	PQfinish(conn);
	return failed ? 1 : 0;
}
