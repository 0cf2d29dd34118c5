/*
 * identity.c: the fence.  "A region that may have lost a promise must not vote."
 *
 * A server's identity is true of one system identifier and timeline.  What it stores may be older than what it
 * has said: a standby that was promoted, a base backup, a disk that was rolled back.  Two things tell: the server is
 * not the one that the identity is true of, or somebody remembers more votes of it than it does itself.
 */
#include "sim.h"

#include <string.h>

/* "after Q - 1 other voters answered": enough of them have told what they remember since this server started */
static bool
is_trusted(World *w, int region)
{
	const Region *r = &w->region[region];
	const Members *m = sim_members(w, region, r->mem.head + 1);
	int			heard = 0;

	for (int i = 0; i < m->config.n; i++)
	{
		if (m->place[i] != r->place && sd_member_votes(&m->config.member[i]) && r->heard[m->place[i]])
			heard++;
	}
	return heard >= sd_config_quorum(&m->config) - 1;
}

bool
sim_identity_valid(World *w, int region)
{
	const Region *r = &w->region[region];

	return !r->mem.is_void && !r->unfit && r->mem.server == r->server && (SIM_MISTAKE(NO_FENCE) || is_trusted(w, region));
}

static void
trust(Region *r)
{
	for (int i = 0; i < MAX_PLACES; i++)
		r->heard[i] = true;
}

/* REJOIN_READ: take over what a majority of the others holds, then vote as if nothing had been lost. */
static void
read_and_rejoin(World *w, int region, void *p)
{
	Region	   *r = &w->region[region];
	const Members *m = sim_members(w, region, r->mem.head + 1);
	int			read = 0;

	(void) p;
	for (int i = 0; i < m->config.n; i++)
	{
		const Region *other = &w->region[w->at[m->place[i]]];

		if (!sd_member_votes(&m->config.member[i]) || other->place == r->place || !other->up || other->mem.is_void)
			continue;
		read++;
		if (sd_ballot_compare(&other->disk.promised, &r->mem.promised) > 0)
			r->mem.promised = other->disk.promised;
		for (int64_t v = r->mem.head + 1; v <= MAX_VERSION; v++)
		{
			const Accepted *theirs = &other->disk.accepted[v];

			if (theirs->known && (!r->mem.accepted[v].known ||
								  sd_ballot_compare(&theirs->ballot, &r->mem.accepted[v].ballot) > 0))
				r->mem.accepted[v] = *theirs;
		}
	}
	if (read < sd_config_quorum(&m->config))
	{
		sim_post_coordinator(w, region, 300 * MS, read_and_rejoin, NULL);
		return;
	}
	sim_say(w, region, "copies what %d others hold, and votes again", read);
	r->mem.server = r->server;
	r->mem.vote_seq += 1000;
	r->disk = r->mem;
	trust(r);
}

/* "Any difference -> void": durably, and with a new life under which it will ask to be readmitted. */
void
sim_become_void(World *w, int region, const char *why)
{
	Region	   *r = &w->region[region];

	sim_say(w, region, "is void: %s", why);
	if (!r->mem.is_void || !SIM_MISTAKE(LIFE_REUSE))
		r->mem.life = sim_random(w);
	r->mem.is_void = true;
	r->mem.server = r->server;
	r->disk.life = r->mem.life;
	r->disk.is_void = true;
	r->disk.server = r->server;
	if (w->fencing == region)
		w->fencing = -1;
}

static void
votes_may_be_missing(World *w, int region, const char *why)
{
	Region	   *r = &w->region[region];

	if (!r->mem.is_void && SIM_MISTAKE(NO_FENCE))
		r->mem.server = r->disk.server = r->server;
	else if (!r->mem.is_void && SIM_MISTAKE(REJOIN_READ))
	{
		r->mem.server = r->disk.server = 0;
		sim_post_coordinator(w, region, 300 * MS, read_and_rejoin, NULL);
	}
	else
		sim_become_void(w, region, why);
}

void
sim_identity_start(World *w, int region)
{
	Region	   *r = &w->region[region];

	memset(r->heard, 0, sizeof(r->heard));
	if (r->mem.server != r->server)
		votes_may_be_missing(w, region, "not the server that this identity was given to");
}

/*
 * Somebody tells which votes of this region it remembers.  Anything said may contradict; only the answer to a question
 * asked since this server started (from_place >= 0) confirms: a call may have been sent before the votes were lost.  Nor
 * does a void region confirm anything: it may have lost what it heard with what it said.
 */
void
sim_told(World *w, int region, int from_place, const Remembered *remembered)
{
	Region	   *r = &w->region[region];

	if (r->mem.is_void)
		return;
	if (remembered->incarnation > r->mem.incarnation)
		sim_become_void(w, region, "others have heard a later incarnation of it");
	else if (remembered->incarnation == r->mem.incarnation && remembered->vote_seq > r->mem.vote_seq)
	{
		w->times[SIM_TOLD_VOID]++;
		votes_may_be_missing(w, region, "others remember votes of it that it does not");
	}
	else if (from_place >= 0)
		r->heard[from_place] = true;
}

/* What was heard of another place; durable at once, before the vote that told it is counted. */
void
sim_remember(World *w, int region, int place, int32_t incarnation, int64_t vote_seq)
{
	Region	   *r = &w->region[region];
	Remembered *had = &r->mem.peer[place];

	if (incarnation < had->incarnation || (incarnation == had->incarnation && vote_seq <= had->vote_seq))
		return;
	had->incarnation = incarnation;
	had->vote_seq = vote_seq;
	r->disk.peer[place] = *had;
}

/*
 * A config entry is applied here.  "Voter again when that is in its log and applied": in the same transaction the
 * identity becomes true of this server, votes are counted from zero, acceptances above that version are dropped
 * (they are another incarnation's), the promise is kept.  Only if it asked under this life: another server may
 * have been given the place, or this one may be a copy that was made before the incarnation began to vote.
 */
void
sim_adopt(World *w, int region, int64_t version, const Members *m)
{
	Region	   *r = &w->region[region];
	const SdMember *member = sim_member(m, r->place);
	Tables	   *t = &r->mem;

	if (member == NULL || member->incarnation <= t->incarnation)
		return;
	if (m->life[r->place] != t->life)
	{
		if (!t->is_void)
			sim_become_void(w, region, "another server was given its place");
		return;
	}
	/* readmitted twice, having asked two members: it follows, void or not, having lost nothing in between */
	sim_say(w, region, "is incarnation %d now", member->incarnation);
	w->times[t->incarnation == 0 ? SIM_ADMITTED : SIM_REJOINED]++;
	t->incarnation = member->incarnation;
	t->is_void = false;
	t->server = r->server;
	t->vote_seq = 0;
	for (int64_t v = version + 1; v <= MAX_VERSION; v++)
		t->accepted[v].known = false;
	r->wants_in = false;

	/* this may be a copy made before the incarnation began to vote: others may know more about it, again */
	memset(r->heard, 0, sizeof(r->heard));
}

/*
 * Would enough others contradict a server that came up with these older tables, without any other sign?  "A rollback
 * of storage on the same timeline that no reachable peer can contradict" is not promised to be noticed, so
 * schedules do it only where every Q - 1 other voters have one among them that knows better, in each configuration
 * that the server will pass through.
 */
bool
sim_is_contradicted(World *w, int region, const Tables *older)
{
	int			place = w->region[region].place;
	int64_t		head = sim_true_head(w);

	for (int64_t version = older->head + 1; version <= head + 1; version++)
	{
		const Members *m = sim_true_members(w, version);
		int			silent = 0;

		for (int i = 0; i < m->config.n; i++)
		{
			const Remembered *memory = &w->region[w->at[m->place[i]]].disk.peer[place];

			if (m->place[i] == place || !sd_member_votes(&m->config.member[i]))
				continue;
			if (memory->incarnation < older->incarnation ||
				(memory->incarnation == older->incarnation && memory->vote_seq <= older->vote_seq))
				silent++;
		}
		if (silent >= sd_config_quorum(&m->config) - 1)
			return false;
	}
	return true;
}
