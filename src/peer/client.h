/*
 * client.h: a connection to another region, for functions: ask, wait, read the answer.
 *
 * Process: backends only (the coordinator has connection.h, which never waits for one peer).  No locking.
 *
 * Every wait is on the latch and the socket, with an end, and can be cancelled.  Trouble is an error of ours:
 * class 08 when the region cannot be reached or falls silent, else the region's own error with its SQLSTATE, DETAIL
 * and HINT, and a context that names the region.  No message contains the conninfo.
 *
 * The connection and what it holds belong to the memory context that was current at sd_client_connect(); it is
 * closed when that goes, so nothing is left open by an error.
 */
#ifndef SD_CLIENT_H
#define SD_CLIENT_H

#include "compat.h"

#include <libpq-fe.h>

typedef struct SdClient SdClient;

/* own_region: becomes part of the application_name there.  Tries each place the conninfo names. */
extern SdClient *sd_client_connect(const char *conninfo, const char *own_region);

/* The name to use in messages from now on. */
extern void sd_client_set_region(SdClient *client, const char *region);

extern int	sd_client_major(const SdClient *client);	/* of PostgreSQL there */

/*
 * Raise an error unless the database there has the encoding of this one.  Entries travel as UTF-8; of a name that this
 * encoding does not have, the region could not even learn, and nothing after it.
 */
extern void sd_client_require_encoding(const SdClient *client);

/*
 * One statement, in a transaction of its own, with text parameters (types: NULL lets the region infer them).
 * Returns its rows; they are valid until the next query or the close.
 */
extern const PGresult *sd_client_query(SdClient *client, const char *sql, int n_params, const Oid *types,
									   const char *const *values, bool binary_result);

/* The same in two parts, so that several regions work at once.  Between them the client can only be closed. */
extern void sd_client_send(SdClient *client, const char *sql, int n_params, const Oid *types, const char *const *values, bool binary_result);
extern const PGresult *sd_client_receive(SdClient *client);

/* Of an error that was caught: the region cannot be reached, or is reached no more.  Not one that speaks another protocol. */
extern bool sd_client_unreached(const ErrorData *error);

/* A copy of a cell; NULL: it has none, or what is no text in this database's encoding. */
extern char *sd_client_text(const PGresult *result, int row, int column);

/* How long it may be silent before it counts as lost; a minute if nobody says otherwise. */
extern void sd_client_set_patience(SdClient *client, int ms);

extern void sd_client_close(SdClient *client);

#endif							/* SD_CLIENT_H */
