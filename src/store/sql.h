/*
 * sql.h: how our C code runs SQL on its own tables.
 *
 * A scope (sd_store_enter .. sd_store_leave) is a stretch of C code that may run statements: SPI is
 * connected, a snapshot is active, the rights are the extension owner's, search_path is pinned to
 * pg_catalog, the transaction may write even if its user made it READ ONLY.  Scopes nest.  An error
 * inside is cleaned up by the (sub)transaction's abort, as for any SPI use.
 *
 * It works in every place we need it: functions, workers, and XACT_EVENT_PRE_COMMIT, where SPI
 * otherwise lacks a snapshot and runs with the user's role and path.
 */
#ifndef SD_STORE_SQL_H
#define SD_STORE_SQL_H

#include "compat.h"

#include "executor/spi.h"

typedef struct SdScope
{
	Oid			user;
	int			security_context;
	int			guc_level;
	bool		xact_read_only;
	MemoryContext caller;		/* results are copied here */
} SdScope;

extern void sd_store_enter(SdScope *scope);
extern void sd_store_leave(SdScope *scope);

/*
 * Outside of a scope, in a procedure that was CALLed by itself: ends its transaction and begins the next.  With it goes whatever
 * others might wait for: not its snapshot alone, for CREATE INDEX CONCURRENTLY waits for the end of a transaction that had one
 * at the moment when it looked.
 */
extern void sd_store_commit(void);

#define SD_STATEMENT_MAX_ARGS 16

/* One SQL statement of ours, planned at first use and kept for the life of the process. */
typedef struct SdStatement
{
	const char *sql;
	int			nargs;
	Oid			types[SD_STATEMENT_MAX_ARGS];
	SPIPlanPtr	plan;
} SdStatement;

#define SD_ANY_ROWS (-1)

/*
 * Run it.  nulls is NULL or an array of flags.  With rows >= 0 any other number of rows (returned or
 * processed) is an error: it means that the tables are not what the protocol left there.  Returns the
 * number of rows; they stay in SPI_tuptable until the next statement.
 */
extern uint64 sd_store_run(SdStatement *statement, const Datum *values, const bool *nulls, int rows);

/*
 * Run a statement without arguments, and hand over each row as it is found, instead of keeping them all: the slot is valid during the
 * call, which is made in the current memory context and may run no statement.
 */
typedef void (*SdStoreVisitor) (void *arg, TupleTableSlot *slot);
extern void sd_store_each(SdStatement *statement, SdStoreVisitor visit, void *arg);

/*
 * A number that is another one whenever a statement that is run now might find other rows than before; 0: nothing is certain,
 * because this transaction has written something.  PostgreSQL counts the transactions that wrote and have ended, in any
 * database, to know whether it can use a snapshot again.  Needs a transaction, no scope.
 */
extern uint64 sd_store_changes(void);

/* Columns of row i of the last result; pass-by-reference values are valid until the scope ends. */
extern Datum sd_store_value(uint64 row, int column, bool *isnull);
extern int64 sd_store_int64(uint64 row, int column);
extern int32 sd_store_int32(uint64 row, int column);
/* copied to the memory context in which the scope was entered; NULL for null */
extern char *sd_store_text(uint64 row, int column);
extern bytea *sd_store_bytea(uint64 row, int column);

#endif							/* SD_STORE_SQL_H */
