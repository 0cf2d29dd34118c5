/*
 * drift.c: what the coordinator knows of drift elsewhere, and asks others about its own.
 *
 * Process: the coordinator.  Each region tells a number over its drift with every exchange; where it is not the number over the
 * copy here, the rows are fetched and replace the copy as a whole.  And of its own objects that are otherwise than the log says
 * it may not know how the log says they are, only the digest: any region whose definition has that digest can tell.
 * Nothing waits for either; what fails is tried again later.
 */
#include "compat.h"

#include "utils/memutils.h"

#include "clock.h"
#include "ddl/define.h"
#include "ddl/drift.h"
#include "errors.h"
#include "store/drift.h"
#include "worker/coordinator.h"

#define CALL_TIMEOUT_US		(60 * SD_US_PER_S)
#define RETRY_MIN_US		SD_US_PER_S
#define RETRY_MAX_US		(300 * SD_US_PER_S)
#define DEFINED_AT_ONCE		500

static int64
back_off(int *failures)
{
	int64		wait = RETRY_MIN_US << Min(*failures, 10);

	(*failures)++;
	return sd_monotonic_us() + Min(wait, RETRY_MAX_US);
}

static bool
is_connected(const SdRemote *remote)
{
	SdPeerPhase phase = sd_peer_phase(remote->peer);

	return phase == SD_PEER_READY || phase == SD_PEER_BUSY;
}

/* It has a schema, and the calls that are made here. */
static bool
can_tell(const SdRemote *remote)
{
	return is_connected(remote) && remote->serves && remote->told.standing.version > 0;
}

/* ---- copies ---- */

/* What an earlier coordinator left; regions that are gone are forgotten. */
static void
look_at_copies(SdCoordinator *c, void *arg)
{
	List	   *regions = NIL;
	ListCell   *lc;

	(void) arg;
	foreach(lc, c->remotes)
	{
		SdRemote   *remote = lfirst(lc);

		regions = lappend(regions, remote->region);
		if (!remote->drift_known)
			remote->drift_tag = sd_drift_tag_of(sd_drift_rows(remote->region));
		remote->drift_known = true;
	}
	sd_drift_keep_regions(regions);
}

typedef struct Copy
{
	const char *region;
	List	   *rows;
} Copy;

static void
replace_copy(SdCoordinator *c, void *arg)
{
	Copy	   *copy = arg;

	(void) c;
	sd_drift_replace(copy->region, copy->rows);
}

static bool
is_found(const char *word)
{
	static const char *const words[] = {SD_FOUND_BYPASS, SD_FOUND_OBSERVE, SD_FOUND_VERIFY, SD_FOUND_ADOPT, SD_FOUND_REPLAY};

	for (size_t i = 0; i < lengthof(words); i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

static bool
has_digest(const char *definition, bool has, const uint8 *hash)
{
	SdDigest	digest;

	if (definition == NULL)
		return true;
	memcpy(digest.byte, hash, SD_DIGEST_LENGTH);
	return has && sd_define_matches(definition, &digest);
}

/* What a region says of itself is believed, as far as it is not nonsense. */
static bool
rows_make_sense(List *rows)
{
	ListCell   *lc;

	foreach(lc, rows)
	{
		SdDriftRow *row = lfirst(lc);

		if (!is_found(row->found) || !has_digest(row->expected_definition, row->has_expected, row->expected) ||
			!has_digest(row->actual_definition, row->has_actual, row->actual) ||
			row->since < MIN_TIMESTAMP || row->since >= END_TIMESTAMP)
			return false;
	}
	return true;
}

/* In a transaction of its own: the hashes need no table, but memory and the library's contexts that an error frees. */
static void
take_copy(SdCoordinator *c, void *arg)
{
	Copy	   *copy = arg;

	if (!rows_make_sense(copy->rows))
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("region \"%s\" told nonsense about its drift", copy->region)));
	replace_copy(c, arg);
}

static void
fetch_failed(SdRemote *remote, const char *why)
{
	/* the first time only: it is tried for as long as it takes */
	if (remote->drift_failures == 0)
		ereport(LOG,
				(errmsg("schemadrift: what region \"%s\" says of its drift could not be copied: %s", remote->region, why)));
	remote->drift_after_us = back_off(&remote->drift_failures);
}

static void
fetch_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	SdRemote   *remote = arg;
	Copy		copy = {.region = remote->region};
	int64		tag;

	(void) peer;
	(void) call;
	remote->drift_asking = false;
	if (result->status != SD_CALL_OK)
		fetch_failed(remote, result->message ? result->message : "no answer");
	else if (!sd_call_decode_drift(result->rows, &tag, &copy.rows))
		fetch_failed(remote, "it answered with nonsense");
	else if (!sd_coordinator_transaction(remote->coordinator, take_copy, &copy, false))
		fetch_failed(remote, remote->coordinator->step_error);
	else
	{
		remote->drift_failures = 0;
		remote->drift_tag = tag;
		/* it has changed, and tells that with its next pulse, unless it is as it was by then */
		if (tag == remote->told.standing.drift_tag)
			remote->drift_others = 0;
		else
			remote->drift_after_us = back_off(&remote->drift_others);
	}
}

/* Its rows are not those that we have. */
static bool
is_stale(const SdRemote *remote)
{
	return remote->drift_known && remote->heard_us > 0 && remote->told.standing.version > 0 &&
		remote->told.standing.drift_tag != remote->drift_tag;
}

bool
sd_drift_uncopied(const SdRemote *remote)
{
	return remote->drift_failures > 0 && is_stale(remote);
}

static void
drive_copy(SdCoordinator *c, SdRemote *remote, int64 now)
{
	Copy		copy = {.region = remote->region};

	if (!is_stale(remote) || remote->drift_asking || remote->drift_after_us > now)
		return;
	if (remote->told.standing.drift_tag == 0)
	{
		/* there is nothing to ask for */
		if (sd_coordinator_transaction(c, replace_copy, &copy, false))
			remote->drift_tag = 0;
		else
			fetch_failed(remote, c->step_error);
	}
	else if (is_connected(remote))
	{
		SdCallHead	head = sd_gossip_head(c, remote);

		remote->drift_asking = true;
		sd_call_drift(remote->peer, &head, now + CALL_TIMEOUT_US, fetch_done, remote);
	}
}

/* ---- definitions by the log ---- */

typedef struct Unknown
{
	int			n;
	List	   *rows;			/* of SdDriftRow */
	char	   *kinds;			/* for the call */
	char	   *identities;
} Unknown;

static void
read_unknown(SdCoordinator *c, void *arg)
{
	Unknown    *unknown = arg;
	List	   *rows = list_concat(sd_said_undefined(DEFINED_AT_ONCE / 2), sd_drift_undefined(DEFINED_AT_ONCE / 2));
	List	   *kinds = NIL;
	List	   *identities = NIL;
	MemoryContext old = MemoryContextSwitchTo(c->turn);
	ListCell   *lc;

	foreach(lc, rows)
	{
		SdDriftRow *row = lfirst(lc);

		kinds = lappend(kinds, row->kind);
		identities = lappend(identities, row->identity);
	}
	unknown->n = list_length(rows);
	unknown->kinds = sd_call_texts(kinds);
	unknown->identities = sd_call_texts(identities);
	MemoryContextSwitchTo(old);
}

typedef struct Told
{
	List	   *definitions;
	int			learned;
} Told;

/* Only an own row, or an object of the entry, that has the digest takes it. */
static void
learn_definitions(SdCoordinator *c, void *arg)
{
	Told	   *told = arg;
	ListCell   *lc;

	(void) c;
	foreach(lc, told->definitions)
	{
		SdDefinition *d = lfirst(lc);

		if (d->definition == NULL || !sd_define_matches(d->definition, &d->hash))
			continue;
		if (sd_drift_learn_definition(d->kind, d->identity, d->hash.byte, d->definition))
			told->learned++;
		if (sd_said_learn_definition(d->kind, d->identity, d->hash.byte, d->definition))
			told->learned++;
	}
}

static void
definitions_done(SdPeer *peer, SdCall *call, SdCallResult *result, void *arg)
{
	SdCoordinator *c = arg;
	Told		told = {0};

	(void) call;
	c->defining = false;
	if (result->status == SD_CALL_OK && sd_call_decode_definitions(result->rows, &told.definitions) &&
		sd_coordinator_transaction(c, learn_definitions, &told, false) && told.learned > 0)
	{
		/* there may be more */
		c->define_failures = 0;
		c->look = true;
		return;
	}
	if (result->status == SD_CALL_ERROR && result->sqlstate != ERRCODE_UNDEFINED_FUNCTION)
		ereport(LOG,
				(errmsg("schemadrift: region \"%s\" told no definitions: %s", sd_peer_region(peer), result->message)));
	c->define_turn++;
}

/* The n-th of those that could tell, beginning with the first again; NULL: none can. */
static SdRemote *
whom_to_ask(SdCoordinator *c, int *n)
{
	List	   *able = NIL;
	ListCell   *lc;

	foreach(lc, c->remotes)
		if (can_tell(lfirst(lc)))
			able = lappend(able, lfirst(lc));
	*n = list_length(able);
	return able == NIL ? NULL : list_nth(able, c->define_turn % *n);
}

static void
drive_definitions(SdCoordinator *c, int64 now)
{
	int64		tag = c->db->standing.drift_tag;
	Unknown		unknown = {0};
	SdRemote   *remote;
	SdCallHead	head;
	int			able;

	if ((tag == c->defined_tag && !c->said_wanted) || c->defining || c->define_after_us > now)
		return;
	remote = whom_to_ask(c, &able);
	if (remote == NULL)
		return;
	if (c->define_turn >= able)
	{
		/* all were asked; one that has it may come back */
		c->define_turn = 0;
		c->define_after_us = back_off(&c->define_failures);
		return;
	}
	if (!sd_coordinator_transaction(c, read_unknown, &unknown, false))
	{
		c->define_after_us = back_off(&c->define_failures);
		return;
	}
	if (unknown.n == 0)
	{
		c->defined_tag = tag;
		c->said_wanted = false;
		c->define_turn = c->define_failures = 0;
		return;
	}
	head = sd_gossip_head(c, remote);
	c->defining = true;
	sd_call_definitions(remote->peer, &head, unknown.kinds, unknown.identities, now + CALL_TIMEOUT_US, definitions_done, c);
}

/* ---- in what a replay differs ---- */

/* 0: we are not halted over what an entry left. */
static int64
differs_at(SdCoordinator *c)
{
	int64		version;

	LWLockAcquire(&c->db->lock, LW_SHARED);
	version = c->db->halt_sqlstate == SD_ERRCODE_DIVERGED ? c->db->halted_at : 0;
	LWLockRelease(&c->db->lock);
	return version;
}

static void
replace_said(SdCoordinator *c, void *arg)
{
	(void) c;
	sd_said_replace(*(int64 *) arg);
}

/* The next attempt says in what, if another region has told meanwhile how the objects should be. */
static void
drive_said(SdCoordinator *c, int64 now)
{
	int64		version = differs_at(c);

	if (version == c->said_version || c->said_after_us > now)
		return;
	if (!sd_coordinator_transaction(c, replace_said, &version, false))
	{
		c->said_after_us = now + RETRY_MIN_US;
		return;
	}
	c->said_version = version;
	c->said_wanted = version > 0;
	/* those who had nothing to tell so far may have this */
	c->define_turn = c->define_failures = 0;
	c->define_after_us = 0;
}

/* ---- one turn ---- */

void
sd_drift_drive(SdCoordinator *c, int64 now)
{
	ListCell   *lc;

	if (c->me < 0)
		return;
	if (c->drift_look && c->drift_after_us <= now)
	{
		c->drift_look = !sd_coordinator_transaction(c, look_at_copies, NULL, false);
		c->drift_after_us = c->drift_look ? now + RETRY_MAX_US : 0;
	}
	foreach(lc, c->remotes)
		drive_copy(c, lfirst(lc), now);
	drive_said(c, now);
	drive_definitions(c, now);
}

int64
sd_drift_deadline(const SdCoordinator *c, int64 now)
{
	int64		deadline = SD_NEVER;
	ListCell   *lc;

	foreach(lc, c->remotes)
	{
		const SdRemote *remote = lfirst(lc);

		if (is_stale(remote) && !remote->drift_asking && remote->drift_after_us > now)
			deadline = Min(deadline, remote->drift_after_us);
	}
	if ((c->db->standing.drift_tag != c->defined_tag || c->said_wanted) && !c->defining && c->define_after_us > now)
		deadline = Min(deadline, c->define_after_us);
	return deadline;
}
