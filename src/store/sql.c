/*
 * sql.c: scopes and statements; see sql.h.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "jit/jit.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "store/sql.h"

void
sd_store_enter(SdScope *scope)
{
	scope->caller = CurrentMemoryContext;
	scope->guc_level = NewGUCNestLevel();
	GetUserIdAndSecContext(&scope->user, &scope->security_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   scope->security_context | SECURITY_LOCAL_USERID_CHANGE);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	/* as "replica" our guard triggers would discard what we write ourselves */
	if (SessionReplicationRole != SESSION_REPLICATION_ROLE_ORIGIN)
		(void) set_config_option("session_replication_role", "origin", PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	/* our queries are short; where settings make them look dear (enable_seqscan off), to compile them takes seconds */
	if (jit_enabled)
		(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	scope->xact_read_only = XactReadOnly;
	XactReadOnly = false;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	PushActiveSnapshot(GetTransactionSnapshot());

	/* not in SPI's memory, which ends with the scope: what is read from rows is used after it */
	MemoryContextSwitchTo(scope->caller);
}

void
sd_store_leave(SdScope *scope)
{
	PopActiveSnapshot();
	SPI_finish();
	XactReadOnly = scope->xact_read_only;
	SetUserIdAndSecContext(scope->user, scope->security_context);
	AtEOXact_GUC(false, scope->guc_level);
	MemoryContextSwitchTo(scope->caller);
}

void
sd_store_commit(void)
{
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	SPI_commit();
	SPI_finish();
}

static void
prepare(SdStatement *statement)
{
	SPIPlanPtr	plan;

	if (statement->plan)
		return;
	/* parameters pick rows by key: to plan five times for them is five times for nothing, in a short session all of it */
	plan = SPI_prepare_cursor(statement->sql, statement->nargs, statement->types, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", statement->sql, SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	statement->plan = plan;
}

uint64
sd_store_run(SdStatement *statement, const Datum *values, const bool *nulls, int rows)
{
	MemoryContext context = CurrentMemoryContext;
	char		flags[SD_STATEMENT_MAX_ARGS];
	int			result;

	prepare(statement);
	for (int i = 0; i < statement->nargs; i++)
		flags[i] = nulls && nulls[i] ? 'n' : ' ';

	/* not read-only: each statement takes a new snapshot, so rows that others changed are seen as they are now */
	result = SPI_execute_plan(statement->plan, (Datum *) values, flags, false, 0);
	MemoryContextSwitchTo(context); /* SPI leaves its own behind */
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->sql, SPI_result_code_string(result));
	if (rows >= 0 && SPI_processed != (uint64) rows)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the state of this region is not what the protocol left there"),
				 errdetail("Expected %d rows, found " UINT64_FORMAT ": %s", rows, SPI_processed, statement->sql),
				 errhint("Somebody changed the tables of schema schemadrift_store by hand.")));
	return SPI_processed;
}

typedef struct Receiver
{
	DestReceiver receiver;
	SdStoreVisitor visit;
	void	   *arg;
	MemoryContext context;
} Receiver;

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver   *receiver = (Receiver *) self;
	MemoryContext executor = MemoryContextSwitchTo(receiver->context);

	slot_getallattrs(slot);
	receiver->visit(receiver->arg, slot);
	MemoryContextSwitchTo(executor);
	return true;
}

static void
receive_nothing(DestReceiver *self, int operation, TupleDesc type)
{
	(void) self;
	(void) operation;
	(void) type;
}

static void
stop_receiving(DestReceiver *self)
{
	(void) self;
}

void
sd_store_each(SdStatement *statement, SdStoreVisitor visit, void *arg)
{
	Receiver	receiver = {
		.receiver = {receive, receive_nothing, stop_receiving, stop_receiving, DestNone},
		.visit = visit, .arg = arg, .context = CurrentMemoryContext
	};
	SPIExecuteOptions options = {.dest = &receiver.receiver};
	int			result;

	prepare(statement);
	result = SPI_execute_plan_extended(statement->plan, &options);
	MemoryContextSwitchTo(receiver.context);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->sql, SPI_result_code_string(result));
}

uint64
sd_store_changes(void)
{
	/* READ COMMITTED: the snapshot is a new one each time, and says as of how many transactions it was taken */
	return IsolationUsesXactSnapshot() || TransactionIdIsValid(GetTopTransactionIdIfAny()) ? 0 :
		GetTransactionSnapshot()->snapXactCompletionCount;
}

Datum
sd_store_value(uint64 row, int column, bool *isnull)
{
	Assert(row < SPI_processed);
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

int64
sd_store_int64(uint64 row, int column)
{
	bool		isnull;
	Datum		value = sd_store_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

int32
sd_store_int32(uint64 row, int column)
{
	bool		isnull;
	Datum		value = sd_store_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

/*
 * SPI's own context goes away with SPI_finish, so what is handed out is copied to the upper context
 * (SPI_palloc allocates where SPI_connect was called).
 */
char *
sd_store_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = sd_store_value(row, column, &isnull);
	char	   *string;
	char	   *copy;
	Size		size;

	if (isnull)
		return NULL;
	string = TextDatumGetCString(value);
	size = strlen(string) + 1;
	copy = SPI_palloc(size);
	memcpy(copy, string, size);
	return copy;
}

bytea *
sd_store_bytea(uint64 row, int column)
{
	bool		isnull;
	Datum		value = sd_store_value(row, column, &isnull);
	bytea	   *bytes;
	bytea	   *copy;

	if (isnull)
		return NULL;
	bytes = DatumGetByteaPP(value);
	copy = SPI_palloc(VARSIZE_ANY_EXHDR(bytes) + VARHDRSZ);
	SET_VARSIZE(copy, VARSIZE_ANY_EXHDR(bytes) + VARHDRSZ);
	memcpy(VARDATA(copy), VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	return copy;
}
