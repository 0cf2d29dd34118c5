/*
 * endpoint.h: what a conninfo means: the places to try, and the parameters for each.
 *
 * A conninfo may name several hosts, a service, and leave things to defaults.  libpq would try the hosts
 * one after another by itself, but without a time limit when driven asynchronously: one black hole and
 * the next host is never tried.  So each place is tried by us, alone, with connect_timeout of its own.
 *
 * Process: the coordinator; sd_conninfo_check also in backends.  No locking, no network.
 */
#ifndef SD_ENDPOINT_H
#define SD_ENDPOINT_H

#include "compat.h"

#include <libpq-fe.h>

#include "peer/resolve.h"

/* One place: what is given to libpq as host, hostaddr and port.  NULL: not given. */
typedef struct SdEndpoint
{
	char	   *host;			/* kept beside hostaddr: certificates and passfile go by it */
	char	   *hostaddr;
	char	   *port;
	int			lookup;			/* index of the name to look up first, -1 none */
} SdEndpoint;

typedef struct SdConninfo
{
	int			n_params;		/* everything but the place and what we decide ourselves */
	const char **keywords;
	const char **values;
	const char *options;		/* the conninfo's own "options", NULL none */
	int			n_endpoints;
	SdEndpoint *endpoints;
	int			n_names;		/* to be looked up */
	const char **names;
} SdConninfo;

/*
 * Understand a conninfo, service file and environment included.  NULL if it cannot be used: *error is then a
 * text without secrets.  Result in the current memory context.
 */
extern SdConninfo *sd_conninfo_parse(const char *conninfo, char **error);

/* Put the addresses found in the place of the names.  New endpoints in the current context; *error if none is left. */
extern SdEndpoint *sd_conninfo_resolve(const SdConninfo *info, const SdLookup *lookup,
									   int *n_endpoints, char **error);

/* Start connecting to one place.  NULL only if out of memory; otherwise ask PQstatus. */
extern PGconn *sd_endpoint_connect(const SdConninfo *info, const SdEndpoint *endpoint,
								   const char *own_region);

/* For functions that take a conninfo from a person: raises an error with libpq's words if it cannot be used. */
extern void sd_conninfo_check(const char *conninfo);

/* A message of libpq or of a server as a short reason: one line, without the place and the severity. */
extern void sd_libpq_reason(const char *message, char *reason, Size size);

/*
 * A field of an error or notice that another server sent.  Nobody has checked that its bytes are text in our encoding: a
 * server that fails before it knows our encoding uses its own, and one that is no region of ours sends what it likes.
 */
extern const char *sd_libpq_field(const PGresult *result, int code);

/*
 * What is called there must be ours: a hostile function would run with the rights as which we are logged in there.  So where
 * these are a superuser's, the schema of our calls must belong to a superuser, too; then nobody else has made what is in it.
 * The query's one row and column says why not, or is null.
 */
extern bool sd_endpoint_is_superuser(PGconn *conn);
extern const char sd_endpoint_check[];

#endif							/* SD_ENDPOINT_H */
