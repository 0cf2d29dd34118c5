/*
 * round.c: carries out what consensus/proposer.h says.
 *
 * Two rounds at most run in a coordinator: `change`, for the local backend that holds the DDL lock, and
 * `settle`, finishing what others (or an earlier change of ours) began.  A round's effects become calls on the peers'
 * connections, transactions on the own acceptor, and results for the waiting backend.
 */
#include "compat.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "store/vote.h"
#include "worker/coordinator.h"

#define MAX_BALLOTS			8
#define BACKOFF_BASE_US		(20 * SD_US_PER_MS)
#define BACKOFF_MAX_US		(1 * SD_US_PER_S)

void
sd_round_init(SdRound *round, SdCoordinator *c)
{
	round->coordinator = c;
	round->wake_us = round->put_at_us = SD_NEVER;
	round->context = AllocSetContextCreate(c->context, "schemadrift round", ALLOCSET_SMALL_SIZES);
}

/* ---- bodies ---- */

SdBody *
sd_round_find_body(SdRound *round, const SdEntryRef *ref)
{
	ListCell   *lc;

	foreach(lc, round->bodies)
	{
		SdBody	   *body = lfirst(lc);

		if (sd_entry_equal(&body->ref, ref))
			return body;
	}
	return NULL;
}

void
sd_round_release_body(SdBody *body)
{
	if (--body->holders > 0)
		return;
	pfree(body->bytes);
	pfree(body);
}

void
sd_round_forget_bodies(SdRound *round)
{
	ListCell   *lc;

	foreach(lc, round->bodies)
		sd_round_release_body(lfirst(lc));
	MemoryContextReset(round->context);
	round->bodies = NIL;
}

void
sd_round_keep_body(SdRound *round, const SdEntryRef *ref, const bytea *bytes)
{
	MemoryContext old;
	SdBody	   *body;

	if (sd_round_find_body(round, ref))
		return;
	old = MemoryContextSwitchTo(round->coordinator->context);
	body = palloc0(sizeof(SdBody));
	body->ref = *ref;
	body->holders = 1;
	body->bytes = palloc(VARSIZE_ANY_EXHDR(bytes) + VARHDRSZ);
	SET_VARSIZE(body->bytes, VARSIZE_ANY_EXHDR(bytes) + VARHDRSZ);
	memcpy(VARDATA(body->bytes), VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	MemoryContextSwitchTo(round->context);
	round->bodies = lappend(round->bodies, body);
	MemoryContextSwitchTo(old);
}

/* ---- how it stands, in words ---- */

/* One line a voter that did not say yes, and why. */
char *
sd_round_missing(SdRound *round, const char *lead)
{
	SdCoordinator *c = round->coordinator;
	StringInfoData out;
	int64		now = sd_monotonic_us();

	initStringInfo(&out);
	appendStringInfoString(&out, lead);
	for (int i = 0; i < round->p.config.n; i++)
	{
		SdProposerVoter *voter = &round->p.voter[i];
		const char *region = round->p.config.member[i].region;
		SdRemote   *remote = sd_gossip_find(c, region);
		const char *why = NULL;

		/* in phase 2 our own vote is the last one: it was not asked for; and a lease is not what is missing here */
		if (!voter->votes || (voter->self && (voter->status == SD_VOTER_IDLE || voter->status == SD_VOTER_LEASED)))
			continue;
		switch (voter->status)
		{
			case SD_VOTER_PROMISED:
			case SD_VOTER_ACCEPTED:
				continue;
			case SD_VOTER_REFUSED:
				why = psprintf("has promised version " INT64_FORMAT " to region %s", round->p.version, voter->promise.region);
				break;
			case SD_VOTER_WRONG_INCARNATION:
				why = "answered under another incarnation";
				break;
			case SD_VOTER_IDLE:
			case SD_VOTER_ASKED:
			case SD_VOTER_UNANSWERED:
			case SD_VOTER_UNSENT:
				why = round->errors[i][0] ? round->errors[i] : "no answer";
				if (remote && sd_peer_last_error(remote->peer)[0])
					why = sd_peer_last_error(remote->peer);
				break;
			case SD_VOTER_LEASED:
			case SD_VOTER_NO_VOTE:
			case SD_VOTER_ERROR:
				why = round->errors[i];
				break;
		}
		appendStringInfo(&out, "%sRegion %s: %s", out.len > 0 ? "\n" : "", region, why);
		if (remote && remote->heard_us > 0 && voter->status != SD_VOTER_REFUSED)
			appendStringInfo(&out, "; last heard %.1f s ago", (double) (now - remote->heard_us) / SD_US_PER_S);
		else if (remote && remote->heard_us == 0)
			appendStringInfoString(&out, "; never heard since this server started");
		appendStringInfoChar(&out, '.');
	}
	return out.data;
}

char *
sd_round_votes(SdRound *round, bool own_commit)
{
	int			yes = own_commit && sd_config_find_voter(&round->p.config, round->p.region, round->p.incarnation) >= 0 ? 1 : 0;

	for (int i = 0; i < round->p.config.n; i++)
		if (round->p.voter[i].votes && !(own_commit && round->p.voter[i].self) &&
			(round->p.voter[i].status == SD_VOTER_PROMISED || round->p.voter[i].status == SD_VOTER_ACCEPTED))
			yes++;
	return psprintf("%d of %d", yes, sd_config_voters(&round->p.config));
}

/* ---- the attempt ---- */

static void
note_attempt(SdCoordinator *c, void *arg)
{
	SdRound    *round = arg;

	sd_attempt_insert(&c->asked.entry_id, round->p.version, c->asked.subject);
}

bool
sd_round_note(SdRound *round)
{
	if (!round->noted)
		round->noted = sd_coordinator_transaction(round->coordinator, note_attempt, round, true);
	return round->noted;
}

/* ---- effects ---- */

/* The statements may run; a round that is only to lead has reached its end. */
static void
granted(SdRound *round)
{
	SdCoordinator *c = round->coordinator;

	if (c->acquiring)
	{
		sd_proposer_close(&round->p, sd_monotonic_us());
		return;
	}
	sd_lead_unblocked(c);
	sd_shared_decide(c->db, "grant", c->asked.subject, round->by_lease ? "by lease" : "granted",
					 round->by_lease ? "" : sd_round_votes(round, false), "");
	sd_request_finish(c, SD_RESULT_GRANTED, NULL, NULL, NULL);
	/* while the statements run: before an accept leaves, outcome() must be able to answer after a crash */
	(void) sd_round_note(round);
}

typedef struct Chosen
{
	SdRound    *round;
	const SdBody *body;
	int64		version;
} Chosen;

static void
learn_chosen(SdCoordinator *c, void *arg)
{
	Chosen	   *chosen = arg;
	SdEntry    *entry;
	SdChain		chain;

	(void) c;
	/* our own commit put it there: nothing to lock, write and flush before the others are told */
	if (sd_log_find(chosen->version, NULL, NULL))
		return;
	entry = sd_entry_decode(chosen->body->bytes);
	chain = sd_entry_chain(&chosen->round->chain, entry);
	(void) sd_vote_learn(chosen->version, &chosen->body->ref, &chain, entry);
}

/* Chosen: into our log, unless our own commit put it there, and to everybody. */
void
sd_round_put_chosen(SdRound *round)
{
	SdCoordinator *c = round->coordinator;
	Chosen		chosen = {.round = round, .body = sd_round_find_body(round, &round->p.chosen), .version = round->p.version};

	round->put_at_us = SD_NEVER;
	/* where that cannot be written, the others are not told either, and it is settled again */
	if (chosen.body && c->head.version < chosen.version && sd_gossip_keep_votes(c))
		(void) sd_coordinator_transaction(c, learn_chosen, &chosen, true);
	sd_gossip_push(c, chosen.version);
	c->look = true;
}

/*
 * Others are a majority without us while our backend commits the same: it writes the row.  If both did, each would wait
 * for the other's locks and flush.  It is ours to write if the commit comes to nothing, or does not come.
 */
static void
note_chosen(SdRound *round)
{
	if (round == &round->coordinator->change && round->p.phase == SD_PHASE_OWN_VOTE &&
		round->coordinator->head.version < round->p.version)
		round->put_at_us = sd_monotonic_us() + SD_YIELD_US;
	else
		sd_round_put_chosen(round);
}

static bool
votes_here(const SdRound *round, const SdEffect *effects, int n)
{
	for (int i = 0; i < n; i++)
		if ((effects[i].kind == SD_EFFECT_SEND_PREPARE || effects[i].kind == SD_EFFECT_SEND_ACCEPT) &&
			round->p.voter[effects[i].voter].self)
			return true;
	return false;
}

/* Time passed: what the sockets had brought by then was heard. */
void
sd_round_tick(SdRound *round)
{
	SdCoordinator *c = round->coordinator;

	if (round->wake_us > sd_loop_looked_at(c->loop))
		return;
	sd_proposer_see_round(&round->p, c->max_round);	/* the other round may have used it */
	sd_proposer_tick(&round->p, sd_loop_looked_at(c->loop));
	sd_round_carry_out(round);
}

void
sd_round_carry_out(SdRound *round)
{
	SdCoordinator *c = round->coordinator;
	SdEffect	effects[SD_PROPOSER_EFFECTS];
	int			n;

	/* all effects of an event are taken before the next event, and the own vote is such an event */
	for (;;)
	{
		n = 0;
		while (n < SD_PROPOSER_EFFECTS && sd_proposer_next(&round->p, &effects[n]))
			n++;
		if (n == 0)
			break;
		round->wake_us = SD_NEVER;
		/* a ballot that is on its way to somebody is never to be repeated with another nonce, which may be the lower one */
		c->max_round = Max(c->max_round, round->p.max_round);
		if (round == &c->change && round->p.mode == SD_PROPOSER_CHANGE)
			sd_lead_begin(c, &round->p.ballot);
		for (int i = 0; i < n; i++)
		{
			const SdEffect *effect = &effects[i];

			switch (effect->kind)
			{
				case SD_EFFECT_SEND_PREPARE:
				case SD_EFFECT_SEND_ACCEPT:
					if (round->p.voter[effect->voter].self)
						break;	/* below, after the others are on their way */
					sd_votes_send(round, effect);
					break;
				case SD_EFFECT_GRANTED:
					granted(round);
					break;
				case SD_EFFECT_READY:
					if (sd_gossip_keep_votes(c))
						sd_request_finish(c, effect->chosen ? SD_RESULT_CHOSEN : SD_RESULT_ACCEPTED, NULL, NULL, NULL);
					else
						sd_request_finish(c, SD_RESULT_UNKNOWN, NULL, "this region could not write down which votes it has counted.", NULL);
					break;
				case SD_EFFECT_CHOSEN:
					note_chosen(round);
					break;
				case SD_EFFECT_UNDECIDED:
					c->doubt = effect->version;
					c->settle_at_us = 0;
					break;
				case SD_EFFECT_WAIT:
					round->wake_us = Min(round->wake_us, effect->until);
					break;
				case SD_EFFECT_MUST_SETTLE:
					break;		/* its body was kept when it was reported */
				case SD_EFFECT_DONE:
					if (round->put_at_us != SD_NEVER)
						sd_round_put_chosen(round);
					round->active = false;
					round->outcome = effect->outcome;
					if (round == &c->change)
						sd_request_change_done(round, effect->outcome);
					else
						sd_settle_done(round, effect->outcome);
					break;
			}
		}
		if (votes_here(round, effects, n))
			sd_loop_send(c->loop);	/* while our own disk is flushed */
		for (int i = 0; i < n; i++)
			if ((effects[i].kind == SD_EFFECT_SEND_PREPARE || effects[i].kind == SD_EFFECT_SEND_ACCEPT) &&
				round->p.voter[effects[i].voter].self)
				sd_votes_cast_here(round, &effects[i]);
	}
}

/* ---- starting rounds ---- */

void
sd_round_start(SdRound *round, SdProposerMode mode, int64 deadline, const SdEntryRef *noop, const SdKept *kept)
{
	SdCoordinator *c = round->coordinator;
	const bool *required = round == &c->change && !c->acquiring ? c->required : NULL;
	SdProposerStart s = {
		.mode = mode,
		.config = &c->members.config,
		.region = c->self.region,
		.incarnation = c->self.incarnation,
		.version = c->head.version + 1,
		.max_round = c->max_round,
		.deadline = deadline,
		.retry_after = SD_US_PER_S / 2,
		.backoff_base = BACKOFF_BASE_US,
		.backoff_max = BACKOFF_MAX_US,
		.max_ballots = MAX_BALLOTS,
		.has_noop = noop != NULL,
		.required = required,
	};

	pg_uuid_t	entry_id;

	/* who must agree besides a majority is to be heard now */
	for (int i = 0; required && i < c->members.config.n; i++)
		if (required[i])
			kept = NULL;
	s.kept = kept;
	if (noop)
		s.noop = *noop;
	else
		sd_round_forget_bodies(round);
	if (!pg_strong_random(&s.seed, sizeof(s.seed)))
		elog(ERROR, "could not generate random values");
	round->number++;
	round->active = true;
	round->outcome = SD_OUTCOME_NONE;
	round->wake_us = round->put_at_us = SD_NEVER;
	/* a change that is tried again for the same version has its attempt in the tables */
	entry_id = round == &c->change && !c->acquiring ? c->asked.entry_id : (pg_uuid_t) {{0}};
	round->noted = round->noted && round->p.version == s.version && memcmp(&round->entry_id, &entry_id, UUID_LEN) == 0;
	round->entry_id = entry_id;
	round->chain = c->head.chain;
	memset(&round->lease, 0, sizeof(round->lease));
	round->lease_until_us = 0;
	memset(round->errors, 0, sizeof(round->errors));
	/* our own higher ballot is the end of the one that we kept */
	if (kept == NULL)
		sd_lead_drop(c);
	sd_proposer_start(&round->p, &s, sd_monotonic_us());
	round->by_lease = kept != NULL && sd_ballot_compare(&round->p.ballot, &kept->ballot) == 0;
	sd_round_carry_out(round);
}

/* ---- the log moved ---- */

typedef struct Decided
{
	int64		version;
	SdEntryRef	entry;
	bool		found;
} Decided;

static void
read_decided(SdCoordinator *c, void *arg)
{
	Decided    *decided = arg;

	(void) c;
	decided->found = sd_log_find(decided->version, NULL, &decided->entry);
}

/* The log moved past a round's version: whatever brought it, that decides the round. */
void
sd_round_notice(SdRound *round, int64 now)
{
	SdCoordinator *c = round->coordinator;
	Decided		decided = {.version = round->p.version};

	if (!round->active || c->head.version < round->p.version)
		return;
	if (sd_coordinator_transaction(c, read_decided, &decided, false) && decided.found)
	{
		sd_proposer_chosen(&round->p, decided.version, &decided.entry, now);
		sd_round_carry_out(round);
	}
}
