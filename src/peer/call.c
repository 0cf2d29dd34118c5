/*
 * call.c: calls to a peer: queue, send, complete, deliver.
 *
 * Process: the coordinator.  No locking.
 *
 * "A vote counts only when every result was OK, the result stream has ended, the connection is idle, and no
 * WARNING came" (protocol.md): a row can be read before the commit that makes it true, which happens at
 * Sync.  So SD_CALL_OK needs ReadyForQuery with no transaction open.  Whatever ends otherwise after the
 * first byte went out is SD_CALL_UNANSWERED.  Nothing is ever cancelled: a cancelled wait for synchronous
 * replication answers "success".
 */
#include "compat.h"

#include "storage/latch.h"

#include "clock.h"
#include "consensus/mistakes.h"
#include "peer/peer.h"

/* libpq never gives back what its buffers grew to; after larger calls than this a connection is replaced. */
#define LARGE_CALL			(16 * 1024 * 1024)
#define RECYCLE_DELAY_US	(10 * SD_US_PER_S)

#define PREPARED_NAME		"schemadrift"

/* ---- queue ---- */

static void *
copy_array(char **space, const void *from, Size size)
{
	void	   *to = *space;

	if (from == NULL)
		return NULL;
	memcpy(to, from, size);
	*space += MAXALIGN(size);
	return to;
}

SdCall *
sd_peer_submit(SdPeer *peer, const SdCallSpec *spec)
{
	int			n = spec->n_params;
	SdCall	   *call;
	char	   *space;

	Assert(spec->done != NULL);
	Assert(n >= 0 && n <= PQ_QUERY_PARAM_MAX_LIMIT);

	space = MemoryContextAllocZero(peer->context,
								   MAXALIGN(sizeof(SdCall)) + MAXALIGN(n * sizeof(Oid)) +
								   MAXALIGN(n * sizeof(char *)) + 2 * MAXALIGN(n * sizeof(int)));
	call = (SdCall *) space;
	space += MAXALIGN(sizeof(SdCall));
	call->peer = peer;
	call->spec = *spec;
	call->spec.types = copy_array(&space, spec->types, n * sizeof(Oid));
	call->spec.values = copy_array(&space, spec->values, n * sizeof(char *));
	call->spec.lengths = copy_array(&space, spec->lengths, n * sizeof(int));
	call->spec.formats = copy_array(&space, spec->formats, n * sizeof(int));

	dlist_push_tail(&peer->queue[spec->priority], &call->node);
	peer->n_queued++;
	sd_peer_admit(peer, call);
	return call;
}

static void
call_end(SdCall *call, SdCallStatus status, const char *reason)
{
	SdPeer	   *peer = call->peer;

	call->state = SD_CALL_ENDED;
	call->result.status = status;
	if (reason)
	{
		strlcpy(call->reason, reason, sizeof(call->reason));
		call->result.message = call->reason;
	}
	dlist_push_tail(&peer->ended, &call->node);
}

/* A call that was never sent. */
void
sd_call_refuse(SdCall *call, const char *reason)
{
	Assert(call->state == SD_CALL_QUEUED);
	dlist_delete(&call->node);
	call->peer->n_queued--;
	call_end(call, SD_CALL_NOT_SENT, reason);
}

bool
sd_call_withdraw(SdCall *call)
{
	if (call->state == SD_CALL_QUEUED)
		sd_call_refuse(call, "withdrawn");
	return call->state == SD_CALL_ENDED && call->result.status == SD_CALL_NOT_SENT;
}

void *
sd_call_arg(const SdCall *call)
{
	return call->spec.arg;
}

void
sd_peer_refuse_calls(SdPeer *peer, const char *reason)
{
	for (int i = 0; i < SD_PRIORITIES; i++)
	{
		dlist_mutable_iter iter;

		dlist_foreach_modify(iter, &peer->queue[i])
			sd_call_refuse(dlist_container(SdCall, node, iter.cur), reason);
	}
}

void
sd_peer_expire_calls(SdPeer *peer, int64 now_us)
{
	const char *reason = peer->phase == SD_PEER_BUSY ?
		"timed out behind an earlier call" : "timed out before there was a connection";

	for (int i = 0; i < SD_PRIORITIES; i++)
	{
		dlist_mutable_iter iter;

		dlist_foreach_modify(iter, &peer->queue[i])
		{
			SdCall	   *call = dlist_container(SdCall, node, iter.cur);

			if (call->spec.deadline_us <= now_us)
				sd_call_refuse(call, reason);
		}
	}
}

int64
sd_peer_calls_deadline(const SdPeer *peer)
{
	int64		least = SD_NEVER;

	if (!dlist_is_empty(unconstify(dlist_head *, &peer->ended)))
		return 0;
	if (peer->current)
		least = peer->current->spec.deadline_us;
	for (int i = 0; i < SD_PRIORITIES; i++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, unconstify(dlist_head *, &peer->queue[i]))
			least = Min(least, dlist_container(SdCall, node, iter.cur)->spec.deadline_us);
	}
	return least;
}

static void
call_clear_results(SdCall *call)
{
	PQclear(call->result.rows);
	PQclear(call->error);
}

static void
call_free(SdCall *call)
{
	call_clear_results(call);
	pfree(call);
}

#ifdef SD_TESTING
/* The mistake: a row is taken for the answer, although the commit that makes it true is yet to come. */
static void
call_tell_early(SdPeer *peer)
{
	SdCall	   *call = peer->current;

	if (!SD_MISTAKE(ACK_EARLY) || call == NULL || call->told_early ||
		PQresultStatus(call->result.rows) != PGRES_TUPLES_OK)
		return;
	call->told_early = true;
	call->result.status = SD_CALL_OK;
	call->spec.done(peer, call, &call->result, call->spec.arg);
}

#define call_was_told_early(call) ((call)->told_early)
#else
#define call_tell_early(peer) ((void) 0)
#define call_was_told_early(call) false
#endif

/*
 * Each call is out of all lists before its done(), so an error raised there loses nothing: the next step frees that
 * call and delivers the others.  What done() makes end by itself also waits for the next step: no recursion.
 */
void
sd_peer_deliver(SdPeer *peer)
{
	int			n = 0;
	dlist_iter	iter;

	call_tell_early(peer);
	dlist_foreach(iter, &peer->ended)
		n++;
	if (peer->delivering)
		call_free(peer->delivering);
	peer->delivering = NULL;
	for (; n > 0; n--)
	{
		SdCall	   *call = dlist_container(SdCall, node, dlist_pop_head_node(&peer->ended));

		peer->delivering = call;
		if (!call_was_told_early(call))
			call->spec.done(peer, call, &call->result, call->spec.arg);
		peer->delivering = NULL;
		call_free(call);
	}
}

void
sd_peer_clear_results(SdPeer *peer)
{
	dlist_iter	iter;

	if (peer->current)
		call_clear_results(peer->current);
	if (peer->delivering)
		call_clear_results(peer->delivering);
	dlist_foreach(iter, &peer->ended)
		call_clear_results(dlist_container(SdCall, node, iter.cur));
}

/* ---- completion ---- */

/* Fill in what the peer said about its error. */
static void
call_note_error(SdCall *call)
{
	const char *sqlstate = PQresultErrorField(call->error, PG_DIAG_SQLSTATE);
	const char *message = sd_libpq_field(call->error, PG_DIAG_MESSAGE_PRIMARY);

	if (sqlstate && strlen(sqlstate) == 5)
		call->result.sqlstate = MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2],
											  sqlstate[3], sqlstate[4]);
	if (message)
		call->result.message = message;
	call->result.detail = sd_libpq_field(call->error, PG_DIAG_MESSAGE_DETAIL);
	call->result.hint = sd_libpq_field(call->error, PG_DIAG_MESSAGE_HINT);
}

/* Take the call in flight off the connection. */
static SdCall *
call_detach(SdPeer *peer, int64 now_us)
{
	SdCall	   *call = peer->current;

	peer->current = NULL;
	peer->flushing = false;
	call->result.sent_us = call->sent_us;
	call->result.elapsed_us = now_us - call->sent_us;
	if (call->result.warning)
		call->result.message = call->warning;
	return call;
}

void
sd_peer_abandon_call(SdPeer *peer, const char *reason, int64 now_us)
{
	SdCall	   *call;

	if (peer->current == NULL)
		return;
	call = call_detach(peer, now_us);
	PQclear(call->result.rows);
	call->result.rows = NULL;
	call_end(call, SD_CALL_UNANSWERED, reason);
	if (call->error)
		call_note_error(call);
}

/* The connection broke during a call.  What the server said last is in libpq's buffer, perhaps; none of it blocks. */
static void
call_broken(SdPeer *peer, int64 now_us)
{
	char		reason[SD_REASON_SIZE];
	PGresult   *res;

	sd_libpq_reason(PQerrorMessage(peer->conn), reason, sizeof(reason));
	while (peer->current->error == NULL && PQstatus(peer->conn) == CONNECTION_BAD &&
		   (res = PQgetResult(peer->conn)) != NULL)
	{
		/* with an SQLSTATE it is the server's, else rows, or libpq's own complaint, which we have */
		if (PQresultErrorField(res, PG_DIAG_SQLSTATE))
			peer->current->error = res;
		else
			PQclear(res);
	}
	/* which may have no message */
	if (peer->current->error && PQresultErrorField(peer->current->error, PG_DIAG_MESSAGE_PRIMARY))
		sd_libpq_reason(PQresultErrorField(peer->current->error, PG_DIAG_MESSAGE_PRIMARY),
						reason, sizeof(reason));
	sd_peer_abandon_call(peer, reason, now_us);
	sd_peer_lost(peer, reason, now_us);
}

/* Will libpq's send buffer be large after it? */
static bool
call_is_large(const SdCall *call)
{
	const SdCallSpec *spec = &call->spec;
	Size		size = 0;

	for (int i = 0; i < spec->n_params && size <= LARGE_CALL; i++)
	{
		if (spec->values[i] == NULL)
			continue;
		if (spec->formats && spec->formats[i])
			size += spec->lengths[i];
		else
			size += strnlen(spec->values[i], LARGE_CALL + 1);
	}
	return size > LARGE_CALL;
}

static bool call_execute(SdPeer *peer);

/* It may be the connection that does not keep what was prepared: from now on it is asked without. */
static void
note_prepared(SdPeer *peer, const SdCall *call)
{
	switch (call->result.sqlstate)
	{
		case ERRCODE_UNDEFINED_PSTATEMENT:
		case ERRCODE_DUPLICATE_PSTATEMENT:
		case ERRCODE_FEATURE_NOT_SUPPORTED: /* "cached plan must not change result type" */
			peer->cannot_prepare = true;
			peer->prepared = NULL;
			break;
		default:
			break;
	}
}

/* ReadyForQuery was seen. */
static void
call_complete(SdPeer *peer, int64 now_us)
{
	SdCall	   *call;

	if (PQtransactionStatus(peer->conn) != PQTRANS_IDLE)
	{
		sd_peer_abandon_call(peer, "the call left a transaction open", now_us);
		sd_peer_lost(peer, "a call left a transaction open", now_us);
		return;
	}

	if (peer->preparing && peer->current->error == NULL)
	{
		call = peer->current;
		peer->preparing = false;
		peer->prepared = call->spec.sql;
		PQclear(call->result.rows);
		call->result.rows = NULL;
		call->sent_us = now_us;
		if (!call_execute(peer))
			call_broken(peer, now_us);
		return;
	}

	peer->preparing = false;
	call = call_detach(peer, now_us);
	peer->phase = SD_PEER_READY;
	peer->rtt = call->result.elapsed_us;
	if (call_is_large(call) || PQresultMemorySize(call->result.rows) > LARGE_CALL)
		peer->recycle_at = now_us + RECYCLE_DELAY_US;
	sd_peer_answered(peer);
	if (call->error)
	{
		PQclear(call->result.rows);
		call->result.rows = NULL;
		call_end(call, SD_CALL_ERROR, "the peer answered with an error");
		call_note_error(call);
		if (call->spec.repeated)
			note_prepared(peer, call);
		sd_libpq_reason(call->result.message, peer->last_error, sizeof(peer->last_error));
	}
	else
		call_end(call, SD_CALL_OK, NULL);
}

/* Take one result.  False if it cannot belong to a call. */
static bool
call_take_result(SdCall *call, PGresult *res)
{
	switch (PQresultStatus(res))
	{
		case PGRES_TUPLES_OK:
		case PGRES_COMMAND_OK:
			if (call->result.rows != NULL)
				break;			/* one statement, one result */
			call->result.rows = res;
			return true;
		case PGRES_FATAL_ERROR:
		case PGRES_BAD_RESPONSE:
		case PGRES_NONFATAL_ERROR:
			if (call->error == NULL)
				call->error = res;
			else
				PQclear(res);
			return true;
		default:
			break;
	}
	PQclear(res);
	return false;
}

/* Take what libpq has read, without blocking. */
static void
call_read(SdPeer *peer, int64 now_us)
{
	while (!PQisBusy(peer->conn))
	{
		PGresult   *res = PQgetResult(peer->conn);

		if (PQstatus(peer->conn) == CONNECTION_BAD)
		{
			if (res && PQresultErrorField(res, PG_DIAG_SQLSTATE))
				call_take_result(peer->current, res);
			else
				PQclear(res);
			call_broken(peer, now_us);
			return;
		}
		if (res == NULL)
		{
			call_complete(peer, now_us);
			return;
		}
		if (!call_take_result(peer->current, res))
		{
			sd_peer_abandon_call(peer, "the peer gave an answer of an unexpected kind", now_us);
			sd_peer_lost(peer, "an answer of an unexpected kind", now_us);
			return;
		}
	}
}

/* False if the connection broke. */
static bool
call_flush(SdPeer *peer)
{
	int			left = PQflush(peer->conn);

	peer->flushing = left > 0;
	return left >= 0;
}

void
sd_peer_continue_call(SdPeer *peer, uint32 events, int64 now_us)
{
	/*
	 * A TLS record (16 kB) may be larger than the space libpq had for it; then the rest is inside OpenSSL
	 * and no socket event will tell.  Asking again fetches it.
	 */
	int			reads = PQsslInUse(peer->conn) ? 3 : 1;

	Assert(peer->phase == SD_PEER_BUSY && peer->current);

	/* also while sending: the peer may wait for us to read, and an early error is an answer */
	if (events & WL_SOCKET_READABLE)
	{
		peer->heard_at = now_us;
		for (; reads > 0; reads--)
		{
			if (!PQconsumeInput(peer->conn))
			{
				call_broken(peer, now_us);
				return;
			}
		}
	}
	if (peer->flushing && !call_flush(peer))
	{
		call_broken(peer, now_us);
		return;
	}
	if (events & WL_SOCKET_READABLE)
		call_read(peer, now_us);
	if (peer->current && peer->current->spec.deadline_us <= now_us)
	{
		char		reason[SD_REASON_SIZE];

		snprintf(reason, sizeof(reason), "timed out after %.1f s (no answer to a call)",
				 (now_us - peer->current->sent_us) / (double) SD_US_PER_S);
		sd_peer_abandon_call(peer, reason, now_us);
		sd_peer_lost(peer, reason, now_us);
	}
}

/* ---- sending ---- */

static SdCall *
queue_first(SdPeer *peer)
{
	for (int i = 0; i < SD_PRIORITIES; i++)
	{
		if (!dlist_is_empty(&peer->queue[i]))
			return dlist_head_element(SdCall, node, &peer->queue[i]);
	}
	return NULL;
}

/* Hand the current call to libpq, or what has to come before it; false if the connection broke. */
static bool
call_execute(SdPeer *peer)
{
	const SdCallSpec *spec = &peer->current->spec;
	int			sent;

	if (!spec->repeated || peer->cannot_prepare)
		sent = PQsendQueryParams(peer->conn, spec->sql, spec->n_params, spec->types, spec->values,
								 spec->lengths, spec->formats, spec->binary_result);
	else if (peer->prepared == spec->sql)
		sent = PQsendQueryPrepared(peer->conn, PREPARED_NAME, spec->n_params, spec->values,
								   spec->lengths, spec->formats, spec->binary_result);
	else
	{
		sent = PQsendPrepare(peer->conn, PREPARED_NAME, spec->sql, spec->n_params, spec->types);
		peer->preparing = true;
	}
	return sent && call_flush(peer);
}

void
sd_peer_send_next(SdPeer *peer, int64 now_us)
{
	SdCall	   *call = queue_first(peer);

	Assert(peer->phase == SD_PEER_READY && peer->current == NULL);
	if (call == NULL)
		return;

	/*
	 * A server that was restarted has closed its end: seen now, the call stays in the queue for the next connection; seen
	 * after sending, its outcome would be unknown.
	 */
	if (!PQconsumeInput(peer->conn) || PQstatus(peer->conn) == CONNECTION_BAD)
	{
		sd_peer_lost(peer, NULL, now_us);
		return;
	}

	dlist_delete(&call->node);
	peer->n_queued--;
	peer->current = call;
	peer->phase = SD_PEER_BUSY;
	call->state = SD_CALL_IN_FLIGHT;
	call->sent_us = now_us;
	if (!call_execute(peer))
		call_broken(peer, now_us);
}

/*
 * Called by libpq in the middle of its work.  A WARNING belongs to the call in flight: one call at a time, and the
 * next is not sent before the answer is complete.
 */
void
sd_peer_notice(void *arg, const PGresult *notice)
{
	SdPeer	   *peer = arg;
	const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *message = sd_libpq_field(notice, PG_DIAG_MESSAGE_PRIMARY);

	if (severity == NULL || message == NULL)
		return;
	if (strcmp(severity, "WARNING") == 0)
	{
		if (peer->current && !peer->current->result.warning)
		{
			peer->current->result.warning = true;
			strlcpy(peer->current->warning, message, sizeof(peer->current->warning));
		}
	}
	else if (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0)
		sd_libpq_reason(message, peer->farewell, sizeof(peer->farewell));
}
