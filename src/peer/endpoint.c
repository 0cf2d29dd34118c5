/*
 * endpoint.c: what a conninfo means: the places to try, and the parameters for each.
 *
 * Process: the coordinator; sd_conninfo_check also in backends.  No locking, no network.
 */
#include "compat.h"

#include <netdb.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "peer/endpoint.h"

/* A value no libpq accepts, see conninfo_expand. */
#define NOT_TO_BE_CONNECTED "schemadrift-asks-only"

/*
 * Used unless the conninfo, its service or the environment says something else.  A dead peer is noticed by the
 * deadlines of calls; keepalives are for an idle connection and for the kernel's memory of a large
 * body.  GSSAPI encryption would ask the KDC from within PQconnectPoll, blocking the loop.
 */
static const struct
{
	const char *keyword;
	const char *value;
}			our_defaults[] =
{
	{"gssencmode", "disable"},
	{"keepalives_idle", "10"},
	{"keepalives_interval", "3"},
	{"keepalives_count", "3"},
	{"tcp_user_timeout", "20000"},
};

/*
 * Settings of the peer's session, whatever its roles and databases have as theirs:
 * - client_min_messages: a hidden WARNING ("... canceling wait for synchronous replication") would make
 *	 a vote out of an answer that is none.
 * - default_transaction_*: a call refuses anything but READ COMMITTED, and a vote is a write.
 * - search_path: names in our calls are qualified; operators must be pg_catalog's.
 * - statement_timeout: a call whose caller has long given up does not stay for ever; longer than any deadline of ours.
 * - the rest: text values mean the same everywhere.
 */
static const char session_options[] =
"-c client_min_messages=warning"
" -c default_transaction_isolation=read\\ committed"
" -c default_transaction_read_only=off"
" -c search_path=pg_catalog"
" -c statement_timeout=90s"
" -c idle_session_timeout=0"
" -c datestyle=ISO"
" -c intervalstyle=postgres"
" -c timezone=UTC"
" -c bytea_output=hex"
" -c extra_float_digits=3";

/*
 * Decided by sd_endpoint_connect, or already worked into the other values; the last two are for nobody: an address comes from
 * another region, and they would make this server write a file, and lend its credentials.
 */
static bool
keyword_is_ours(const char *keyword)
{
	static const char *const ours[] = {
		"host", "hostaddr", "port", "service", "servicefile", "options", "application_name",
		"fallback_application_name", "client_encoding", "target_session_attrs", "connect_timeout",
		"load_balance_hosts", "sslkeylogfile", "gssdelegation",
	};

	for (int i = 0; i < (int) lengthof(ours); i++)
	{
		if (strcmp(ours[i], keyword) == 0)
			return true;
	}
	return false;
}

static PQconninfoOption *
option_find(PQconninfoOption *options, const char *keyword)
{
	for (PQconninfoOption *o = options; o && o->keyword; o++)
	{
		if (strcmp(o->keyword, keyword) == 0)
			return o;
	}
	return NULL;
}

static const char *
option_value(PQconninfoOption *options, const char *keyword)
{
	PQconninfoOption *o = option_find(options, keyword);

	return o && o->val && o->val[0] != '\0' ? o->val : NULL;
}

/* Words of OpenSSL and libpq that do not say whose certificate or password it is, and who found fault with it. */
static const struct
{
	const char *words;
	const char *meaning;
}			cryptic[] =
{
	{"alert unknown ca", "the other server does not trust our certificate"},
	{"alert certificate expired", "our certificate has expired"},
	{"certificate verify failed", "we do not trust the other server's certificate, or it has expired"},
	{"no password supplied", "it wants a password, and our passfile has none for it"},
};

static void
explain(char *reason, Size size)
{
	for (int i = 0; i < (int) lengthof(cryptic); i++)
	{
		Size		length = strlen(reason);

		if (strstr(reason, cryptic[i].words) != NULL)
		{
			snprintf(reason + length, size - length, " (%s)", cryptic[i].meaning);
			return;
		}
	}
}

/* Bytes that are no text in our encoding: ASCII remains. */
static void
make_valid(char *text)
{
	if (pg_verifymbstr(text, strlen(text), true))
		return;
	for (; *text; text++)
		if (IS_HIGHBIT_SET(*text))
			*text = '?';
}

const char *
sd_libpq_field(const PGresult *result, int code)
{
	const char *text = PQresultErrorField(result, code);

	return text && !pg_verifymbstr(text, strlen(text), true) ? "(text in another encoding)" : text;
}

bool
sd_endpoint_is_superuser(PGconn *conn)
{
	const char *is = PQparameterStatus(conn, "is_superuser");

	return is == NULL || strcmp(is, "on") == 0;
}

const char	sd_endpoint_check[] =
"SELECT CASE WHEN n.oid IS NULL THEN pg_catalog.format('database \"%s\" has no extension schemadrift', pg_catalog.current_database()) "
"WHEN NOT r.rolsuper THEN 'schema schemadrift_rpc there belongs to somebody who is no superuser: it is not the extension''s' END "
"FROM (VALUES (1)) AS one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) 'schemadrift_rpc' "
"LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner";

void
sd_libpq_reason(const char *message, char *reason, Size size)
{
	static const char *const severities[] = {"FATAL:  ", "ERROR:  ", "PANIC:  "};
	const char *start = message;
	const char *failed;
	Size		length;

	if (strncmp(start, "connection to server ", 21) == 0 &&
		(failed = strstr(start, " failed: ")) != NULL)
		start = failed + strlen(" failed: ");
	for (int i = 0; i < (int) lengthof(severities); i++)
	{
		if (strncmp(start, severities[i], strlen(severities[i])) == 0)
			start += strlen(severities[i]);
	}
	length = strcspn(start, "\n");
	if (length == 0)
	{
		strlcpy(reason, "unknown error", size);
		return;
	}
	if (length >= size)
		length = pg_mbcliplen(start, length, size - 1);
	memmove(reason, start, length);
	reason[length] = '\0';
	make_valid(reason);

	/* "Connection refused" in the middle of our sentences; but "SSL ..." stays */
	if (reason[0] >= 'A' && reason[0] <= 'Z' && reason[1] >= 'a' && reason[1] <= 'z')
		reason[0] += 'a' - 'A';
	explain(reason, size);
}

/* All options libpq would use, service and environment included.  To be freed with PQconninfoFree. */
static PQconninfoOption *
conninfo_expand(const char *conninfo, char **error)
{
	const char *keywords[] = {"dbname", "target_session_attrs", NULL};
	const char *values[] = {conninfo, NOT_TO_BE_CONNECTED, NULL};
	PQconninfoOption *options = NULL;
	PGconn	   *conn;
	char		reason[256];

	/*
	 * libpq reads service files only on its way to a connection, after which it looks up names at
	 * once.  So it gets one value that it refuses after everything else was read and checked and before
	 * anything is opened; then it knows all options.
	 */
	conn = PQconnectStartParams(keywords, values, true);
	if (conn == NULL)
		strlcpy(reason, "out of memory", sizeof(reason));
	else if (strstr(PQerrorMessage(conn), NOT_TO_BE_CONNECTED) != NULL)
	{
		options = PQconninfo(conn);
		if (options == NULL)
			strlcpy(reason, "out of memory", sizeof(reason));
	}
	else
		sd_libpq_reason(PQerrorMessage(conn), reason, sizeof(reason));
	PQfinish(conn);
	if (options == NULL)
		*error = pstrdup(reason);
	return options;
}

/* Element i of a comma separated list as libpq counts them; NULL if the list ends before. */
static char *
comma_element(const char *list, int i)
{
	const char *end;

	if (list == NULL)
		return NULL;
	for (; i > 0; i--)
	{
		list = strchr(list, ',');
		if (list == NULL)
			return NULL;
		list++;
	}
	end = strchr(list, ',');
	return end ? pnstrdup(list, end - list) : pstrdup(list);
}

static int
comma_count(const char *list)
{
	int			n = 1;

	for (; *list; list++)
		n += *list == ',';
	return n;
}

/* libpq has checked that the lists fit each other. */
static void
conninfo_fill_endpoints(SdConninfo *info, PQconninfoOption *options)
{
	const char *host = option_value(options, "host");
	const char *hostaddr = option_value(options, "hostaddr");
	const char *port = option_value(options, "port");
	int			n = hostaddr ? comma_count(hostaddr) : host ? comma_count(host) : 1;

	info->n_endpoints = n;
	info->endpoints = palloc0(n * sizeof(SdEndpoint));
	info->names = palloc0(n * sizeof(char *));
	for (int i = 0; i < n; i++)
	{
		SdEndpoint *e = &info->endpoints[i];

		e->lookup = -1;
		e->host = comma_element(host, i);
		e->hostaddr = comma_element(hostaddr, i);
		e->port = comma_element(port, i);
		if (e->port == NULL)
			e->port = comma_element(port, 0);	/* one for all */
		if (e->hostaddr && e->hostaddr[0] == '\0')
			e->hostaddr = NULL;
		if (e->hostaddr == NULL && (e->host == NULL || e->host[0] == '\0'))
			e->host = pstrdup(DEFAULT_PGSOCKET_DIR[0] ? DEFAULT_PGSOCKET_DIR : "127.0.0.1");
		if (e->hostaddr == NULL && sd_lookup_needed(e->host))
		{
			e->lookup = info->n_names;
			info->names[info->n_names++] = e->host;
		}
	}
}

/*
 * `given` are the conninfo's own options.  A value that only the service or the environment gives counts as given,
 * too, if it is not what libpq uses anyway.
 */
static void
conninfo_fill_params(SdConninfo *info, PQconninfoOption *options, PQconninfoOption *given)
{
	int			n = lengthof(our_defaults);

	for (PQconninfoOption *o = options; o->keyword; o++)
		n++;
	info->keywords = palloc(n * sizeof(char *));
	info->values = palloc(n * sizeof(char *));
	for (int i = 0; i < (int) lengthof(our_defaults); i++)
	{
		PQconninfoOption *o = option_find(options, our_defaults[i].keyword);

		if (o == NULL || option_value(given, o->keyword) ||
			(o->val && (o->compiled == NULL || strcmp(o->val, o->compiled) != 0)))
			continue;
		info->keywords[info->n_params] = our_defaults[i].keyword;
		info->values[info->n_params++] = our_defaults[i].value;
	}
	n = info->n_params;
	for (PQconninfoOption *o = options; o->keyword; o++)
	{
		bool		ours = keyword_is_ours(o->keyword) || option_value(options, o->keyword) == NULL;

		for (int i = 0; i < n; i++)
			ours = ours || strcmp(info->keywords[i], o->keyword) == 0;
		if (ours)
			continue;
		info->keywords[info->n_params] = pstrdup(o->keyword);
		info->values[info->n_params++] = pstrdup(o->val);
	}
	if (option_value(options, "options"))
		info->options = pstrdup(option_value(options, "options"));
}

SdConninfo *
sd_conninfo_parse(const char *conninfo, char **error)
{
	SdConninfo *volatile info = NULL;
	PQconninfoOption *volatile options = NULL;
	PQconninfoOption *given;

	/* not libpq's words: they may quote the conninfo, password and all */
	given = PQconninfoParse(conninfo, NULL);
	if (given == NULL)
	{
		*error = pstrdup("the conninfo cannot be parsed");
		return NULL;
	}

	PG_TRY();
	{
		options = conninfo_expand(conninfo, error);
		if (options)
		{
			info = palloc0(sizeof(SdConninfo));
			conninfo_fill_endpoints(info, options);
			conninfo_fill_params(info, options, given);
		}
	}
	PG_FINALLY();
	{
		PQconninfoFree(given);
		PQconninfoFree(options);
	}
	PG_END_TRY();
	return info;
}

/* One endpoint an address. */
static SdEndpoint *
endpoint_add_addresses(SdEndpoint *out, const SdEndpoint *from, const struct addrinfo *addresses)
{
	for (const struct addrinfo *a = addresses; a; a = a->ai_next)
	{
		char		text[NI_MAXHOST];

		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0)
			continue;
		*out = *from;
		out->hostaddr = pstrdup(text);
		out->lookup = -1;
		out++;
	}
	return out;
}

SdEndpoint *
sd_conninfo_resolve(const SdConninfo *info, const SdLookup *lookup, int *n_endpoints, char **error)
{
	int			most = info->n_endpoints;
	SdEndpoint *endpoints;
	SdEndpoint *out;
	int			code;

	for (int i = 0; i < info->n_names; i++)
	{
		for (const struct addrinfo *a = sd_lookup_result(lookup, i, &code); a; a = a->ai_next)
			most++;
	}
	endpoints = out = palloc0(most * sizeof(SdEndpoint));
	for (int i = 0; i < info->n_endpoints; i++)
	{
		const SdEndpoint *e = &info->endpoints[i];
		const struct addrinfo *addresses;

		if (e->lookup < 0)
		{
			*out++ = *e;
			continue;
		}
		addresses = sd_lookup_result(lookup, e->lookup, &code);
		if (addresses)
			out = endpoint_add_addresses(out, e, addresses);
		else
			*error = psprintf("could not look up host \"%s\": %s", e->host, gai_strerror(code));
	}
	*n_endpoints = out - endpoints;
	if (*n_endpoints == 0 && *error == NULL)
		*error = pstrdup("the name server gave no address that can be used");
	return endpoints;
}

/*
 * target_session_attrs: "primary", because a hot standby can neither vote nor learn and the next place may be the
 * primary; not "read-write", which also turns away a primary whose DBA set default_transaction_read_only
 * (its votes are not users' writes, see session_options).  Servers from 14 on report what is asked: no extra
 * round trip.
 */
PGconn *
sd_endpoint_connect(const SdConninfo *info, const SdEndpoint *endpoint, const char *own_region)
{
	int			n = info->n_params;
	const char **keywords = palloc((n + 8) * sizeof(char *));
	const char **values = palloc((n + 8) * sizeof(char *));
	PGconn	   *conn;

#define ADD(k, v) (keywords[n] = (k), values[n++] = (v))
	memcpy(keywords, info->keywords, n * sizeof(char *));
	memcpy(values, info->values, n * sizeof(char *));
	if (endpoint->host)
		ADD("host", endpoint->host);
	if (endpoint->hostaddr)
		ADD("hostaddr", endpoint->hostaddr);
	if (endpoint->port)
		ADD("port", endpoint->port);
	ADD("application_name", psprintf("schemadrift %s", own_region));
	ADD("client_encoding", GetDatabaseEncodingName());
	ADD("options", info->options ? psprintf("%s %s", info->options, session_options) : session_options);
	ADD("target_session_attrs", "primary");
	keywords[n] = values[n] = NULL;
#undef ADD

	conn = PQconnectStartParams(keywords, values, false);
	pfree(keywords);
	pfree(values);
	return conn;
}

void
sd_conninfo_check(const char *conninfo)
{
	char	   *libpq_error = NULL;
	char	   *error = NULL;
	PQconninfoOption *options = PQconninfoParse(conninfo, &libpq_error);

	if (options == NULL)
	{
		/* shown to who typed it, so libpq may quote it */
		error = libpq_error ? pchomp(libpq_error) : pstrdup("out of memory");
		PQfreemem(libpq_error);
	}
	else
	{
		PQconninfoFree(options);
		(void) sd_conninfo_parse(conninfo, &error);
	}
	if (error)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("conninfo cannot be used"),
				 errdetail_internal("%s", error),
				 errhint("Write it like \"host=db.example.com port=5432 dbname=app user=schemadrift\".")));
}
