/*
 * gossip.c: what the coordinator tells the other members and hears from them, outside of votes.
 *
 * Heartbeats (heartbeat.c) tell both sides how far the other is; learn is pushed by whoever decided a version;
 * fetch brings what is missing.  None of them decides anything: a lost call is repeated by the next heartbeat.
 */
#include "compat.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "settings.h"
#include "worker/coordinator.h"

#define FETCH_TIMEOUT_US	(60 * SD_US_PER_S)

SdCallHead
sd_gossip_head(SdCoordinator *c, SdRemote *remote)
{
	int			i = sd_config_find(&c->members.config, remote->region);

	/* "carry the caller's memory of the callee": of the incarnation in force, or of none */
	return (SdCallHead) {
		.self = &c->self,
		.known_vote_seq = i >= 0 && c->members.config.member[i].incarnation == remote->incarnation ? remote->known_vote_seq : 0,
		.protocol = c->protocol, .callee_protocol = remote->told.protocol
	};
}

/*
 * What this region speaks, as of a transaction just now.  After ALTER EXTENSION UPDATE everybody is told so, also those
 * that knew no notes when we tried last.
 */
void
sd_gossip_speak(SdCoordinator *c, int32 protocol)
{
	ListCell   *lc;

	if (c->protocol == protocol)
		return;
	c->protocol = protocol;
	c->look = true;				/* there may be tables that were not there */
	foreach(lc, c->remotes)
		((SdRemote *) lfirst(lc))->plain = false;
}

SdRemote *
sd_gossip_find(SdCoordinator *c, const char *region)
{
	ListCell   *lc;

	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);

		if (strcmp(remote->region, region) == 0)
			return remote;
	}
	return NULL;
}

/* ---- memory of the others ---- */

static void
recall(SdCoordinator *c, void *arg)
{
	SdRemote   *remote = arg;

	(void) c;
	remote->known_vote_seq = remote->remembered_vote_seq = sd_peer_vote_seq(remote->region, remote->incarnation);
	remote->remembered_applied = sd_peer_applied(remote->region, remote->incarnation);
}

/* What is remembered is remembered of one incarnation; an older one tells nothing about it. */
static void
remember_of(SdRemote *remote, int32 incarnation)
{
	if (incarnation <= remote->incarnation)
		return;
	remote->incarnation = incarnation;
	remote->known_vote_seq = remote->remembered_vote_seq = 0;
	remote->remembered_applied = remote->remembered_boot_id = 0;
	(void) sd_coordinator_transaction(remote->coordinator, recall, remote, false);
}

static void
count(SdRemote *remote, int32 incarnation, int64 vote_seq)
{
	remember_of(remote, incarnation);
	if (incarnation == remote->incarnation)
		remote->known_vote_seq = Max(remote->known_vote_seq, vote_seq);
}

void
sd_gossip_count(SdRemote *remote, int32 incarnation, int64 vote_seq)
{
	SdDatabase *db = remote->coordinator->db;
	SdPeerState *state;

	count(remote, incarnation, vote_seq);
	/* our backends tell it when that region calls */
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	state = sd_shared_peer(db, remote->region);
	if (state)
		sd_shared_count(state, incarnation, vote_seq);
	LWLockRelease(&db->lock);
}

static void
keep_votes(SdCoordinator *c, void *arg)
{
	ListCell   *lc;

	(void) arg;
	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);

		if (remote->known_vote_seq > remote->remembered_vote_seq)
			sd_peer_count(remote->region, remote->incarnation, remote->known_vote_seq);
	}
}

/*
 * Before votes that were counted come to anything, they are in our table: a region that loses one of them is to meet our memory of
 * it, be it that we lose power the next moment.  Nobody waits for a flush here: the commit record that the votes lead to comes
 * later in the write-ahead log, and is flushed with all before it.
 */
bool
sd_gossip_keep_votes(SdCoordinator *c)
{
	bool		news = false;
	ListCell   *lc;

	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);

		news |= remote->known_vote_seq > remote->remembered_vote_seq;
	}
	if (!news)
		return true;
	if (!sd_coordinator_transaction(c, keep_votes, NULL, false))
		return false;
	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);

		remote->remembered_vote_seq = remote->known_vote_seq;
	}
	return true;
}

/* ---- connections ---- */

static void
remote_free(SdCoordinator *c, SdRemote *remote)
{
	sd_loop_remove(c->loop, remote->peer);
	sd_peer_free(remote->peer);
	pfree(remote->conninfo);
	if (remote->names)
		pfree(remote->names);
	pfree(remote);
}

static SdRemote *
remote_create(SdCoordinator *c, const SdMember *member, const char *conninfo)
{
	SdRemote   *remote = MemoryContextAllocZero(c->context, sizeof(SdRemote));

	remote->coordinator = c;
	strlcpy(remote->region, member->region, SD_NAME_SIZE);
	remote->conninfo = MemoryContextStrdup(c->context, conninfo);
	remote->peer = sd_peer_create(c->context, c->self.region, member->region, conninfo);
	sd_peer_set_arg(remote->peer, remote);
	sd_loop_add(c->loop, remote->peer);
	sd_watch_begin(remote);
	return remote;
}

void
sd_gossip_members(SdCoordinator *c)
{
	List	   *kept = NIL;
	List	   *before;
	ListCell   *lc;
	MemoryContext old = MemoryContextSwitchTo(c->context);

	for (int i = 0; c->joined && i < c->members.config.n; i++)
	{
		const SdMember *member = &c->members.config.member[i];
		const char *conninfo = c->members.conninfo[i];
		SdRemote   *remote;

		if (i == c->me || conninfo == NULL)
			continue;
		remote = sd_gossip_find(c, member->region);
		if (remote == NULL)
			remote = remote_create(c, member, conninfo);
		else if (strcmp(remote->conninfo, conninfo) != 0)
		{
			pfree(remote->conninfo);
			remote->conninfo = pstrdup(conninfo);
			sd_peer_set_conninfo(remote->peer, conninfo);
		}
		remote->role = member->role;
		remote->serves = sd_members_serves(&c->members, i);
		remember_of(remote, member->incarnation);
		kept = lappend(kept, remote);
	}
	/* the ends of their calls look for other remotes: none that is gone may be found */
	before = c->remotes;
	c->remotes = kept;
	foreach(lc, before)
		if (!list_member_ptr(kept, lfirst(lc)))
			remote_free(c, lfirst(lc));
	list_free(before);
	c->drift_look = true;
	MemoryContextSwitchTo(old);

	/* views show members only */
	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	for (int i = 0; i < c->db->n_peers;)
	{
		if (sd_gossip_find(c, c->db->peers[i].region))
			i++;
		else
			c->db->peers[i] = c->db->peers[--c->db->n_peers];
	}
	LWLockRelease(&c->db->lock);
}

/* ---- learn ---- */

typedef struct Push
{
	SdRemote   *remote;
	int64		version;
	MemoryContext context;
	SdEntryRef	entry;
	SdChain		chain;
	bytea	   *bytes;
	bool		found;
	bool		with_body;		/* sent already */
} Push;

static void
read_push(SdCoordinator *c, void *arg)
{
	Push	   *push = arg;
	MemoryContext old;
	SdEntry    *entry;

	(void) c;
	push->found = sd_log_find(push->version, &push->chain, &push->entry);
	entry = push->found ? sd_log_entry(push->version) : NULL;
	push->found = entry != NULL;
	if (entry)
	{
		old = MemoryContextSwitchTo(push->context);
		push->bytes = palloc(VARSIZE_ANY(entry->bytes));
		memcpy(push->bytes, entry->bytes, VARSIZE_ANY(entry->bytes));
		MemoryContextSwitchTo(old);
	}
}

static void learn(Push *push, bool with_body);

static void
learn_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	Push	   *push = arg;
	SdRemote   *remote = push->remote;
	SdAcceptorVerdict verdict;
	int64		head;

	(void) peer;
	(void) call;
	remote->learning = false;
	if (result->status == SD_CALL_OK && sd_call_decode_learn(result->rows, &verdict, &head) &&
		verdict == SD_ACCEPTOR_BODY_MISSING && !push->with_body)
	{
		learn(push, true);
		return;
	}
	if (result->status == SD_CALL_ERROR)
		ereport(LOG,
				(errmsg("schemadrift: region \"%s\" did not learn version " INT64_FORMAT ": %s",
						remote->region, push->version, result->message)));
	/* a region that is further behind fetches by itself: the call told it our head */
	if (remote->push == push->version)
		remote->push = 0;
	MemoryContextDelete(push->context);
}

/* "The body is sent only if the peer does not hold it as accepted." */
static void
learn(Push *push, bool with_body)
{
	SdCallHead	head = sd_gossip_head(push->remote->coordinator, push->remote);

	push->remote->learning = true;
	push->with_body = with_body;
	sd_call_learn(push->remote->peer, &head, push->version, &push->entry, &push->chain,
				  with_body ? push->bytes : NULL, sd_monotonic_us() + FETCH_TIMEOUT_US, learn_done, push);
}

static void
start_learn(SdRemote *remote)
{
	MemoryContext context = AllocSetContextCreate(remote->coordinator->context, "schemadrift learn",
												  ALLOCSET_SMALL_SIZES);
	Push	   *push = MemoryContextAllocZero(context, sizeof(Push));

	push->context = context;
	push->remote = remote;
	push->version = remote->push;
	if (!sd_coordinator_transaction(remote->coordinator, read_push, push, false) || !push->found)
	{
		remote->push = 0;
		MemoryContextDelete(context);
		return;
	}
	learn(push, false);
}

void
sd_gossip_push(SdCoordinator *c, int64 version)
{
	ListCell   *lc;

	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);

		if (remote->told.head < version)
			remote->push = version;
	}
}

/* ---- fetch ---- */

static void
fetch_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	SdRemote   *remote = arg;
	List	   *rows;

	(void) peer;
	(void) call;
	remote->fetching = false;
	remote->fetch_after_us = sd_monotonic_us() + SD_US_PER_S;	/* unless it brings us forward */
	if (result->status != SD_CALL_OK)
		return;
	if (!sd_call_decode_rows(result->rows, &rows))
	{
		ereport(LOG, (errmsg("schemadrift: region \"%s\" answered a fetch with nonsense", remote->region)));
		return;
	}
	if (sd_coordinator_learn(remote->coordinator, rows))
		remote->fetch_after_us = 0;
}

/* Who says nothing for longer may hang, and another one is asked besides: what comes twice is known. */
#define FETCH_PATIENCE_US	(2 * SD_US_PER_S)

/* From the nearest of those that have what we lack; one fetch at a time, or a second where the first is silent. */
static void
start_fetch(SdCoordinator *c, int64 now)
{
	SdRemote   *best = NULL;
	int			silent = 0;
	ListCell   *lc;

	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);
		SdPeerPhase phase = sd_peer_phase(remote->peer);

		if (remote->fetching)
		{
			/* a large answer takes its time, and shares the line with every other one */
			if (now - Max(remote->fetch_began_us, sd_peer_heard_us(remote->peer)) < FETCH_PATIENCE_US || ++silent > 1)
				return;
			continue;
		}
		if (phase != SD_PEER_READY && phase != SD_PEER_BUSY)
			continue;
		if (remote->told.head <= c->head.version || Max(remote->fetch_after_us, c->learn_after_us) > now)
			continue;
		if (best == NULL || sd_peer_rtt(remote->peer) < sd_peer_rtt(best->peer))
			best = remote;
	}
	if (best)
	{
		SdCallHead	head = sd_gossip_head(c, best);

		best->fetching = true;
		best->fetch_began_us = now;
		sd_call_fetch(best->peer, &head, c->head.version + 1, now + FETCH_TIMEOUT_US, fetch_done, best);
	}
}

/* ---- promotion ---- */

static void
promote_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	SdCoordinator *c = arg;

	(void) call;
	c->promoting = false;
	c->promote_after_us = sd_monotonic_us() + 2 * SD_US_PER_S;
	if (result->status == SD_CALL_ERROR)
		ereport(LOG,
				(errmsg("schemadrift: region \"%s\" does not promote this region yet: %s",
						sd_peer_region(peer), result->message)));
}

/*
 * "Every join is admitted as observer and becomes voter by a second entry, once it has applied the head and both
 * directions are connected": asked by the newcomer, judged by the member that is asked.
 */
static void
ask_promotion(SdCoordinator *c, int64 now)
{
	ListCell   *lc;

	if (c->promoting || c->promote_after_us > now || c->me < 0 || !c->self.valid ||
		c->members.config.member[c->me].role == c->members.wants[c->me] || c->members.stepped_down[c->me] ||
		c->applied.version < c->head.version || c->db->heard_head > c->head.version)
		return;
	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);

		if (remote->role == SD_ROLE_VOTER && remote->heard_us > 0 && sd_peer_phase(remote->peer) == SD_PEER_READY)
		{
			SdCallHead	head = sd_gossip_head(c, remote);

			c->promoting = true;
			sd_call_promote(remote->peer, &head, now + FETCH_TIMEOUT_US, promote_done, c);
			return;
		}
	}
}

/* ---- one turn ---- */

/* Copy what people may ask; and when a region called us, do not wait out our back-off.  Caller holds db->lock. */
static void
show_peer(SdRemote *remote, SdPeerState *state, int64 now)
{
	int64		retry = sd_peer_retry_at(remote->peer);

	state->circuit = sd_peer_circuit(remote->peer);
	state->retry_at = retry == SD_NEVER ? 0 : GetCurrentTimestamp() + (retry - now);
	if (strcmp(state->last_error, sd_peer_last_error(remote->peer)) != 0)
		strlcpy(state->last_error, sd_peer_last_error(remote->peer), SD_TEXT_SIZE);
	if (state->circuit == SD_CIRCUIT_OPEN && state->last_called_us > remote->heard_us &&
		now - state->last_called_us < 2 * (int64) sd_heartbeat_interval * SD_US_PER_MS)
		sd_peer_wake(remote->peer);
	/* its own calls tell as much as its answers to ours */
	if (state->last_heard_us > remote->heard_us && state->last_heard_us != remote->shown_us)
	{
		remote->told = state->told;
		remote->plain &= state->told.protocol < 2;
		remote->shown_us = state->last_heard_us;
	}
	remote->called_us = state->last_called_us;
	remote->doubted_us = state->doubted_us;
	remote->cloned = state->cloned;
	remote->counted = state->counted;
	remote->counted_vote_seq = state->vote_seq;
	sd_watch_show(remote, state, now);
}

static void
show_peers(SdCoordinator *c)
{
	int64		now = sd_monotonic_us();
	ListCell   *lc;

	LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);
		SdPeerState *state = sd_shared_peer(c->db, remote->region);

		if (state)
		{
			show_peer(remote, state, now);
			/* what it told by calling us is newer: its drift is copied without waiting for our turn */
			if (state->last_heard_us > remote->heard_us && state->told.incarnation == remote->incarnation)
				remote->told.standing = state->told.standing;
		}
	}
	LWLockRelease(&c->db->lock);
	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);

		if (remote->counted > 0)
			count(remote, remote->counted, remote->counted_vote_seq);
	}
}

void
sd_gossip_drive(SdCoordinator *c, int64 now)
{
	ListCell   *lc;

	show_peers(c);
	sd_heartbeat_drive(c, now);
	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);

		if (remote->push > 0 && !remote->learning)
			start_learn(remote);
	}
	if (c->me >= 0 && c->db->heard_head > c->head.version)
		start_fetch(c, now);
	ask_promotion(c, now);
}
