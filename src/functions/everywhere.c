/*
 * everywhere.c: one question to all regions at once; see everywhere.h.
 *
 * Runs in backends.  Connections are made one after another, each within connect_timeout; a region that the coordinator has not heard of
 * lately is not even tried.  Then all work at once.
 */
#include "compat.h"

#include "attempt.h"
#include "functions/everywhere.h"
#include "functions/group.h"
#include "paste.h"
#include "store/protocol.h"

#define COMMON		7			/* arguments of every call */
#define MOST		8			/* more arguments */

typedef struct Question
{
	const SdRegions *regions;
	const char *sql;
	int			n;
	const char *values[COMMON + MOST];
	int			patience;
	MemoryContext context;
} Question;

/* An error of one region is its answer.  Nothing but a socket was in use, so no subtransaction has to be rolled back. */
static void
note_error(SdAsked *asked, MemoryContext context)
{
	MemoryContextSwitchTo(context);
	asked->error = CopyErrorData();
	if (sd_is_cancel(asked->error))
		PG_RE_THROW();
	FlushErrorState();
	if (asked->client)
		sd_client_close(asked->client);
	asked->client = NULL;
	asked->answer = NULL;
}

static void
ask(SdAsked *asked, Question *question, const char *conninfo)
{
	PG_TRY();
	{
		asked->client = sd_client_connect(conninfo, question->regions->self.region);
		sd_client_set_region(asked->client, asked->region);
		sd_client_set_patience(asked->client, question->patience);
		question->values[3] = asked->region;
		sd_client_send(asked->client, question->sql, question->n, NULL, question->values, false);
	}
	PG_CATCH();
	{
		note_error(asked, question->context);
	}
	PG_END_TRY();
}

static char *
call_text(const char *function, int n)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT * FROM schemadrift_rpc.%s(", function);
	for (int i = 1; i <= n; i++)
		appendStringInfo(&sql, "%s$%d", i > 1 ? "," : "", i);
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

List *
sd_everywhere_ask(const SdRegions *regions, const char *function, int n_arguments, const char *const *arguments, int patience)
{
	Question	question = {.regions = regions, .n = COMMON + n_arguments, .patience = patience, .context = CurrentMemoryContext};
	List	   *list = NIL;

	Assert(n_arguments <= MOST);
	question.sql = call_text(function, question.n);
	question.values[0] = psprintf("%d", sd_protocol_own());
	question.values[1] = sd_uuid_text(&regions->self.group_id);
	question.values[2] = psprintf("%d", regions->self.generation);
	question.values[4] = regions->self.region;
	question.values[5] = psprintf("%d", regions->self.incarnation);
	question.values[6] = "0";
	for (int i = 0; i < n_arguments; i++)
		question.values[COMMON + i] = arguments[i];
	for (int i = 0; i < regions->members.config.n; i++)
	{
		SdAsked    *asked = palloc0(sizeof(SdAsked));

		asked->region = regions->members.config.member[i].region;
		asked->here = strcmp(asked->region, regions->self.region) == 0;
		asked->witness = sd_members_is_witness(&regions->members, i);
		asked->suspended = regions->members.config.member[i].suspended;
		list = lappend(list, asked);
		if (asked->here || asked->witness)
			continue;
		if (sd_group_reaches(&regions->self, &regions->members.config.member[i], &asked->unreached))
			ask(asked, &question, regions->members.conninfo[i]);
	}
	return list;
}

void
sd_everywhere_wait(List *list)
{
	MemoryContext context = CurrentMemoryContext;
	ListCell   *cell;

	foreach(cell, list)
	{
		SdAsked    *asked = lfirst(cell);

		if (asked->client == NULL)
			continue;
		PG_TRY();
		{
			asked->answer = sd_client_receive(asked->client);
		}
		PG_CATCH();
		{
			note_error(asked, context);
		}
		PG_END_TRY();
	}
}

void
sd_everywhere_end(List *list)
{
	ListCell   *cell;

	foreach(cell, list)
		if (((SdAsked *) lfirst(cell))->client)
			sd_client_close(((SdAsked *) lfirst(cell))->client);
}

const char *
sd_everywhere_words(const SdAsked *asked, const char *words)
{
	if (words == NULL || asked->here)
		return words;
	return sd_paste_comment(psprintf("%s says: %s", asked->region, strncmp(words, "-- ", 3) == 0 ? words + 3 : words));
}
