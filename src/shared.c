/*
 * shared.c: allocation of and small operations on shared memory; the rules are in shared.h.
 */
#include "compat.h"

#include <signal.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "causality/hlc.h"
#include "clock.h"
#include "settings.h"
#include "shared.h"

SdShared   *sd_shared = NULL;

static char *slots = NULL;
static int	tranche;
static SdDatabase *mine = NULL;
static SdDatabase *wake_at_commit = NULL;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static Size
slot_size(void)
{
	return MAXALIGN(offsetof(SdDatabase, peers) + sizeof(SdPeerState) * sd_max_regions);
}

/* Each of our databases needs a coordinator, so more slots than workers would be of no use. */
static Size
total_size(void)
{
	return add_size(MAXALIGN(sizeof(SdShared)), mul_size(slot_size(), max_worker_processes));
}

static void
request(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(total_size());
	RequestNamedLWLockTranche("schemadrift", 1);
}

static void
startup(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	sd_shared = ShmemInitStruct("schemadrift", total_size(), &found);
	slots = (char *) sd_shared + MAXALIGN(sizeof(SdShared));
	tranche = GetNamedLWLockTranche("schemadrift")->lock.tranche;
	if (!found)
	{
		memset(sd_shared, 0, total_size());
		LWLockInitialize(&sd_shared->lock, tranche);
		sd_shared->n_databases = max_worker_processes;
		sd_shared->check_all = true;
		for (int i = 0; i < sd_shared->n_databases; i++)
		{
			LWLockInitialize(&sd_shared_slot(i)->lock, tranche);
			ConditionVariableInit(&sd_shared_slot(i)->changed);
			pg_atomic_init_u64(&sd_shared_slot(i)->history_policy, 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	(void) arg;
	if (wake_at_commit == NULL)
		return;
	if (event == XACT_EVENT_COMMIT)
		sd_shared_wake(wake_at_commit);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		wake_at_commit = NULL;
}

void
sd_shared_wake_at_commit(SdDatabase *db)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(at_end_of_transaction, NULL);
	registered = true;
	wake_at_commit = db;
}

void
sd_shared_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup;
}

SdDatabase *
sd_shared_slot(int i)
{
	Assert(i >= 0 && i < sd_shared->n_databases);
	return (SdDatabase *) (slots + slot_size() * i);
}

/* Everything but the lock and the condition variable, which come first, starts from zero. */
static void
slot_reset(SdDatabase *db, Oid database)
{
	const Size	kept = offsetof(SdDatabase, database);

	memset((char *) db + kept, 0, slot_size() - kept);
	pg_atomic_init_u64(&db->history_policy, 0);
	db->database = database;
}

SdDatabase *
sd_shared_find(Oid database, bool create)
{
	SdDatabase *unused = NULL;

	Assert(LWLockHeldByMe(&sd_shared->lock));
	for (int i = 0; i < sd_shared->n_databases; i++)
	{
		SdDatabase *db = sd_shared_slot(i);

		if (db->database == database)
			return db;
		if (db->database == InvalidOid && unused == NULL)
			unused = db;
	}
	if (!create || unused == NULL)
		return NULL;
	Assert(LWLockHeldByMeInMode(&sd_shared->lock, LW_EXCLUSIVE));
	slot_reset(unused, database);
	return unused;
}

SdDatabase *
sd_shared_database(Oid database)
{
	SdDatabase *found;

	if (sd_shared == NULL)
		return NULL;
	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	found = sd_shared_find(database, false);
	LWLockRelease(&sd_shared->lock);
	return found;
}

SdDatabase *
sd_shared_mine(void)
{
	/* the launcher frees the slot when the extension is dropped; it may come back in another one */
	if (mine == NULL || mine->database != MyDatabaseId)
		mine = sd_shared_database(MyDatabaseId);
	return mine;
}

void
sd_shared_wake(SdDatabase *db)
{
	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	if (db->coordinator_latch)
		SetLatch(db->coordinator_latch);
	LWLockRelease(&sd_shared->lock);
}

void
sd_shared_wake_applier(SdDatabase *db)
{
	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	if (db->applier_latch)
		SetLatch(db->applier_latch);
	LWLockRelease(&sd_shared->lock);
}

void
sd_shared_stop(SdDatabase *db)
{
	if (db->coordinator_pid != 0)
	{
		db->told_to_stop = true;
		(void) kill(db->coordinator_pid, SIGTERM);
	}
	if (db->applier_pid != 0)
		(void) kill(db->applier_pid, SIGTERM);
	if (db->task_pid != 0)
		(void) kill(db->task_pid, SIGTERM);
	if (db->result_pid != 0)
		(void) kill(db->result_pid, SIGTERM);
	if (db->verify_pid != 0)
		(void) kill(db->verify_pid, SIGTERM);
}

void
sd_shared_wake_launcher(void)
{
	Assert(LWLockHeldByMe(&sd_shared->lock));
	if (sd_shared->launcher_latch)
		SetLatch(sd_shared->launcher_latch);
}

bool
sd_shared_waits_for_standby(SdDatabase *db)
{
	PGPROC	   *coordinator;
	int			pid;
	int64		turn_us;

	LWLockAcquire(&db->lock, LW_SHARED);
	turn_us = db->turn_us;
	LWLockRelease(&db->lock);
	/* every vote waits for it for a moment */
	if (sd_monotonic_us() - turn_us < SD_US_PER_S)
		return false;
	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	pid = db->coordinator_pid;
	LWLockRelease(&sd_shared->lock);
	coordinator = pid != 0 ? BackendPidGetProc(pid) : NULL;
	return coordinator && *((volatile uint32 *) &coordinator->wait_event_info) == WAIT_EVENT_SYNC_REP;
}

int64
sd_shared_next_hlc(SdDatabase *db, int64 seen)
{
	SdHlcClock	clock;
	int64		hlc;
	uint64		wall_ms = (uint64) ((GetCurrentTimestamp() + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000);

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	sd_hlc_init(&clock, Max(db->hlc, (uint64) seen), 0);
	hlc = (int64) sd_hlc_now(&clock, wall_ms);
	db->hlc = (uint64) hlc;
	LWLockRelease(&db->lock);
	return hlc;
}

/*
 * Cut in the middle of a character it would be no text any more: strlcpy is for ASCII, so take whole characters, up to the first
 * that is none.  (pg_mbcliplen() believes a first byte: half a character at the end would be read beyond it.)
 */
void
sd_shared_copy(char *to, Size size, const char *from)
{
	int			length = from ? pg_encoding_verifymbstr(GetDatabaseEncoding(), from, (int) strnlen(from, size - 1)) : 0;

	memcpy(to, from ? from : "", length);
	to[length] = '\0';
}

void
sd_shared_count_event(SdDatabase *db, SdCounter what)
{
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->counts[what]++;
	LWLockRelease(&db->lock);
}

void
sd_shared_decide(SdDatabase *db, const char *kind, const char *subject,
				 const char *outcome, const char *votes, const char *reason)
{
	TimestampTz now = GetCurrentTimestamp();
	SdDecision *d;

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	d = &db->decisions[db->n_decisions % SD_DECISIONS];
	d->at = now;
	d->hlc = (int64) db->hlc;
	strlcpy(d->kind, kind, sizeof(d->kind));
	sd_shared_copy(d->subject, sizeof(d->subject), subject);
	strlcpy(d->outcome, outcome, sizeof(d->outcome));
	sd_shared_copy(d->votes, sizeof(d->votes), votes);
	sd_shared_copy(d->reason, sizeof(d->reason), reason);
	db->n_decisions++;
	LWLockRelease(&db->lock);
}

SdPeerState *
sd_shared_peer(SdDatabase *db, const char *region)
{
	SdPeerState *peer;

	Assert(LWLockHeldByMeInMode(&db->lock, LW_EXCLUSIVE));
	for (int i = 0; i < db->n_peers; i++)
		if (strcmp(db->peers[i].region, region) == 0)
			return &db->peers[i];
	if (db->n_peers >= sd_max_regions)
		return NULL;
	peer = &db->peers[db->n_peers++];
	memset(peer, 0, sizeof(*peer));
	strlcpy(peer->region, region, sizeof(peer->region));
	peer->rtt_us = peer->rtt_min_us = -1;
	return peer;
}

void
sd_shared_count(SdPeerState *peer, int32 incarnation, int64 vote_seq)
{
	if (incarnation > peer->counted)
	{
		peer->counted = incarnation;
		peer->vote_seq = 0;
	}
	if (incarnation == peer->counted)
		peer->vote_seq = Max(peer->vote_seq, vote_seq);
}

void
sd_shared_confirm(SdPeerState *peer, const SdTelemetry *told, int32 incarnation, int64 now_us)
{
	/* a void region may have lost what it remembered */
	if (told->state == SD_REGION_VOID || (told->remembers_of != incarnation && told->protocol > 1))
		return;
	peer->confirmed = incarnation;
	peer->confirmed_us = now_us;
}

/*
 * "A peer that sees the boot ids of one (region, incarnation) alternate": a server that was started again has a new one and
 * never the old one again; two servers with one identity take turns.
 *
 * So it seems, too, when what a dead server had sent comes long after, as it does once a cut is healed, perhaps from several
 * connections.  But only who lives has heard what we told after its successor had spoken.
 */
static void
watch_boot_id(const SdDatabase *db, SdPeerState *peer, const SdTelemetry *told, int64 now_us)
{
	if (peer->told.incarnation != told->incarnation)
	{
		peer->other_boot_id = 0;
		peer->both_us = 0;
		peer->cloned = 0;
		peer->cloned_at = 0;
		return;
	}
	if (told->state == SD_REGION_VOID || peer->told.boot_id == 0)
		return;
	if (peer->told.boot_id != told->boot_id)
	{
		bool		lived = peer->other_lives;

		peer->doubted_us = now_us;
		peer->other_lives = peer->lives;
		peer->lives = lived;
		if (peer->other_boot_id != told->boot_id)
		{
			peer->both_us = now_us;
			peer->lives = peer->other_lives = false;
		}
		peer->other_boot_id = peer->told.boot_id;
	}
	if (peer->both_us > 0 && told->heard_boot_id == (int64) db->boot_id && told->heard_at >= peer->both_us)
		peer->lives = true;
	if (peer->both_us > 0 && peer->lives && peer->other_lives)
	{
		peer->cloned = told->incarnation;
		if (peer->cloned_at == 0)
			peer->cloned_at = GetCurrentTimestamp();
	}
}

bool
sd_shared_doubted(int64 doubted_us, int64 now_us)
{
	return doubted_us > 0 && now_us - doubted_us < 4 * (int64) sd_heartbeat_interval * 1000;
}

static void
see_noop(const SdDatabase *db, SdPeerState *peer)
{
	if (peer->noop_version == db->noop_version || peer->told.applied < db->noop_version)
		return;
	peer->noop_version = db->noop_version;
	peer->noop_us = peer->applied_us;
}

void
sd_shared_noop_chosen(SdDatabase *db, int64 version, int64 begun_us, int64 now_us)
{
	Assert(LWLockHeldByMeInMode(&db->lock, LW_EXCLUSIVE));
	db->noop_version = version;
	db->noop_begun_us = begun_us;
	db->noop_chosen_us = now_us;
	/* who has told of it sooner than its proposer came to say so */
	for (int i = 0; i < db->n_peers; i++)
		see_noop(db, &db->peers[i]);
}

bool
sd_shared_hear(SdDatabase *db, SdPeerState *peer, const SdTelemetry *told, int64 now_us)
{
	bool		news = peer->told.head != told->head || peer->told.applied != told->applied ||
		peer->told.state != told->state || peer->last_heard == 0 ||
		sd_ballot_compare(&peer->told.lease, &told->lease) != 0 || peer->told.lease_in_use != told->lease_in_use ||
		memcmp(&peer->told.life, &told->life, UUID_LEN) != 0 ||
		peer->told.standing.drift_tag != told->standing.drift_tag ||
		memcmp(peer->told.tasks, told->tasks, sizeof(told->tasks)) != 0;

	Assert(LWLockHeldByMeInMode(&db->lock, LW_EXCLUSIVE));
	watch_boot_id(db, peer, told, now_us);
	sd_shared_count(peer, told->incarnation, told->vote_seq);
	/* the ballot it had a lease for was in its memory only: nobody need wait for it */
	if (peer->told.boot_id != told->boot_id && peer->told.boot_id != 0 &&
		strcmp(db->grant.ballot.region, peer->region) == 0)
		memset(&db->grant, 0, sizeof(db->grant));
	if (peer->told.applied < told->applied)
		peer->applied_us = now_us;
	peer->told = *told;
	see_noop(db, peer);
	peer->last_heard = GetCurrentTimestamp();
	peer->last_heard_us = now_us;
	if (told->head > db->heard_head)
		db->heard_head = told->head;
	return news;
}

/* The newest lease that anybody told of; what its holder says is more than what a grantor knows. */
static void
consider(SdLeader *leader, const SdBallot *ballot, int64 left_us, int pid, int64 held_us)
{
	int			newer = sd_ballot_compare(ballot, &leader->ballot);

	if (sd_ballot_is_none(ballot) || left_us <= 0 || newer < 0)
		return;
	if (newer > 0)
	{
		memset(leader, 0, sizeof(*leader));
		leader->ballot = *ballot;
	}
	leader->left_us = Max(leader->left_us, left_us);
	if (pid != 0)
	{
		leader->pid = pid;
		leader->held_us = held_us;
	}
}

bool
sd_shared_leader(const SdDatabase *db, int64 now_us, SdLeader *leader)
{
	memset(leader, 0, sizeof(*leader));
	consider(leader, &db->grant.ballot, db->grant.until - now_us, 0, 0);
	if (!db->holding.handed)
		consider(leader, &db->holding.ballot, db->holding.until_us - now_us,
				 db->holding.in_use ? db->ddl_pid : 0, now_us - db->ddl_since_us);
	for (int i = 0; i < db->n_peers; i++)
	{
		const SdPeerState *peer = &db->peers[i];
		int64		age = now_us - peer->last_heard_us;

		consider(leader, &peer->told.granted, peer->told.granted_ms * INT64CONST(1000) - age, 0, 0);
		consider(leader, &peer->told.lease, peer->told.lease_ms * INT64CONST(1000) - age,
				 peer->told.lease_pid, peer->told.lease_held_ms * INT64CONST(1000) + age);
	}
	return !sd_ballot_is_none(&leader->ballot);
}

static const char *const state_texts[] = {
	[SD_REGION_NOT_JOINED] = "not_joined",
	[SD_REGION_HEALTHY] = "healthy",
	[SD_REGION_DEGRADED] = "degraded",
	[SD_REGION_NO_QUORUM] = "no_quorum",
	[SD_REGION_HALTED] = "halted",
	[SD_REGION_VOID] = "void",
};

const char *
sd_region_state_text(SdRegionState state)
{
	return state_texts[state];
}

SdRegionState
sd_region_state_parse(const char *text)
{
	for (size_t i = 0; i < lengthof(state_texts); i++)
		if (strcmp(state_texts[i], text) == 0)
			return (SdRegionState) i;
	return SD_REGION_NOT_JOINED;
}
