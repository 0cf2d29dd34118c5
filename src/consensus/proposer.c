/*
 * proposer.c: one attempt to get one version decided.  Pure; see proposer.h for the caller's part.
 *
 * Order of the file: small helpers, ballots and phase 1, phase 2, verdicts, events.
 */
#include "consensus/proposer.h"

#include <string.h>

#include "consensus/mistakes.h"
#include "consensus/outcome.h"

/* ---------- helpers ---------- */

/* splitmix64: every value of a fresh 64-bit seed is as good a nonce as the seed itself */
static uint64_t
proposer_random(SdProposer *p)
{
	uint64_t	z = (p->random += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static SdEffect *
proposer_emit(SdProposer *p, SdEffectKind kind)
{
	SdEffect   *effect;

	SD_CHECK(p->n_effects < SD_PROPOSER_EFFECTS);

	/*
	 * A caller that does not take its effects loses the newest.  That is safe: a send that is lost here is one
	 * that is never answered.
	 */
	effect = p->n_effects < SD_PROPOSER_EFFECTS ? &p->effects[p->n_effects++] : &p->dropped;
	memset(effect, 0, sizeof(*effect));
	effect->kind = kind;
	effect->version = p->version;
	effect->ballot = p->ballot;
	return effect;
}

static int
proposer_count(const SdProposer *p, SdVoterStatus status)
{
	int			n = 0;

	for (int i = 0; i < p->config.n; i++)
	{
		if (p->voter[i].votes && p->voter[i].status == status)
			n++;
	}
	return n;
}

/* Voters that a repeated call may reach, or that may answer it this time. */
static int
proposer_count_repeatable(const SdProposer *p)
{
	return proposer_count(p, SD_VOTER_UNSENT) + proposer_count(p, SD_VOTER_UNANSWERED) + proposer_count(p, SD_VOTER_ERROR);
}

#define ONE_OF(status) (1u << (status))

/*
 * Has every required voter come to one of these?  In phase 2 our own vote is the last one, so it is not asked for.
 */
static bool
proposer_required(const SdProposer *p, unsigned statuses)
{
	for (int i = 0; i < p->config.n; i++)
	{
		const SdProposerVoter *v = &p->voter[i];

		if (v->required && !(v->self && p->phase == SD_PHASE_ACCEPT) && (statuses & ONE_OF(v->status)) == 0)
			return false;
	}
	return true;
}

static bool
proposer_self_votes(const SdProposer *p)
{
	return sd_config_find_voter(&p->config, p->region, p->incarnation) >= 0;
}

static bool
proposer_is_over(const SdProposer *p)
{
	return p->phase == SD_PHASE_IDLE || p->phase == SD_PHASE_DONE;
}

static bool
proposer_is_ours(const SdProposer *p, const SdEntryRef *entry)
{
	return p->proposed && sd_entry_equal(entry, &p->entry);
}

static void
proposer_done(SdProposer *p, SdOutcome outcome)
{
	p->phase = SD_PHASE_DONE;
	p->outcome = outcome;
	p->closed = true;
	p->wake = 0;
	proposer_emit(p, SD_EFFECT_DONE)->outcome = outcome;
}

/* Every event ends here: tell the caller how long nothing happens by itself. */
static void
proposer_end_event(SdProposer *p)
{
	int64_t		until = p->deadline;

	/* statements may run as long as they like, and a commit is not ours to hurry */
	if (proposer_is_over(p) || p->phase == SD_PHASE_GRANTED || p->phase == SD_PHASE_OWN_VOTE)
		return;
	if (p->wake != 0 && p->wake < until)
		until = p->wake;
	proposer_emit(p, SD_EFFECT_WAIT)->until = until;
}

/* ---------- giving up, and what that means ---------- */

/* The ballot under way is given up: remember whether our entry may live on under it. */
static void
proposer_leave_ballot(SdProposer *p)
{
	/* "at every ballot under which this entry was ever sent" */
	if (p->sent && !sd_outcome_ballot_is_harmless(p) && !SD_MISTAKE(REF_LAST))
		p->tainted = true;
}

static void
proposer_undecided(SdProposer *p)
{
	p->phase = SD_PHASE_UNDECIDED;
	p->wake = 0;
	proposer_emit(p, SD_EFFECT_UNDECIDED)->entry = p->entry;
}

/*
 * This attempt can do no more by itself.  otherwise: what that means while nothing of ours has been sent.
 * "the attempt is closed": after a definite answer this machine never sends the entry again.
 */
static void
proposer_give_up(SdProposer *p, SdOutcome otherwise)
{
	SdOutcome	verdict;

	if (p->mode == SD_PROPOSER_SETTLE || !p->sent)
	{
		proposer_done(p, otherwise);
		return;
	}
	verdict = sd_outcome_judge(p);
	if (sd_outcome_is_definite(verdict))
		proposer_done(p, verdict);
	else
		proposer_undecided(p);
}

/* ---------- ballots and phase 1 ---------- */

static void
proposer_start_ballot(SdProposer *p)
{
	uint64_t	nonce = SD_MISTAKE(BALLOT_REUSE) ? 0 : proposer_random(p);

	proposer_leave_ballot(p);
	p->ballots++;
	p->max_round++;
	sd_ballot_set(&p->ballot, p->max_round, p->region, nonce);
	p->phase = SD_PHASE_PREPARE;
	p->wake = 0;
	p->reported_known = false;
	p->promised = false;
	p->reported_later = false;
	p->spent_known = false;
	p->settling = false;

	for (int i = 0; i < p->config.n; i++)
	{
		SdProposerVoter *v = &p->voter[i];

		v->first_accept = SD_VOTER_IDLE;
		v->status = SD_VOTER_IDLE;
		if (v->votes)
		{
			v->status = SD_VOTER_ASKED;
			proposer_emit(p, SD_EFFECT_SEND_PREPARE)->voter = i;
		}
	}
}

/*
 * Others have promised something higher.  "Random exponential back-off; the lower ballot yields"; bounded.
 * The first time the pause is short: most often the higher promise is a finished proposer's.
 */
static void
proposer_preempted(SdProposer *p, int64_t now)
{
	int64_t		pause = p->backoff_base;

	if (p->ballots >= p->max_ballots || p->max_round >= INT64_MAX - 1)
	{
		proposer_give_up(p, SD_OUTCOME_PREEMPTED);
		return;
	}
	for (int i = 1; i < p->ballots && pause < p->backoff_max; i++)
		pause *= 2;
	if (pause > p->backoff_max)
		pause = p->backoff_max;
	p->phase = SD_PHASE_BACKOFF;
	p->wake = now + 1;
	if (pause > 0)
		p->wake += (int64_t) (proposer_random(p) % (uint64_t) pause);
}

static void
proposer_send_accept(SdProposer *p, int i)
{
	SdProposerVoter *v = &p->voter[i];
	SdEffect   *effect;

	v->status = SD_VOTER_ASKED;
	if (!p->settling && p->mode == SD_PROPOSER_CHANGE)
	{
		p->sent = true;
		if (v->first_accept == SD_VOTER_IDLE || v->first_accept == SD_VOTER_UNSENT)
			v->first_accept = SD_VOTER_ASKED;
	}
	effect = proposer_emit(p, SD_EFFECT_SEND_ACCEPT);
	effect->voter = i;
	effect->entry = p->spent;
}

static void proposer_look_at_accepts(SdProposer *p, int64_t now);

/*
 * Phase 2.  ours: our own change goes to the *other* voters only; the own vote is the commit, and it is the
 * last one.  Everything else goes to all voters.
 */
static void
proposer_start_accepts(SdProposer *p, const SdEntryRef *entry, bool ours, int64_t now)
{
	/* "A (version, ballot) carries one entry, ever." */
	SD_CHECK(!p->spent_known || sd_entry_equal(&p->spent, entry));
	p->spent_known = true;
	p->spent = *entry;
	p->settling = !ours;
	p->phase = SD_PHASE_ACCEPT;
	p->wake = 0;

	for (int i = 0; i < p->config.n; i++)
	{
		p->voter[i].status = SD_VOTER_IDLE;
		if (p->voter[i].votes && !(ours && p->voter[i].self))
			proposer_send_accept(p, i);
	}
	proposer_look_at_accepts(p, now);
}

static void
proposer_granted(SdProposer *p, int64_t now)
{
	p->promised = true;
	if (p->reported_known)
	{
		bool		ours = p->mode == SD_PROPOSER_CHANGE && proposer_is_ours(p, &p->reported.entry);

		/*
		 * "The highest-ballot entry that any promise reported for a version must be proposed there before
		 * anything of ours."
		 */
		if (!ours)
			proposer_emit(p, SD_EFFECT_MUST_SETTLE)->entry = p->reported.entry;
		proposer_start_accepts(p, &p->reported.entry, ours, now);
	}
	else if (p->proposed)
		proposer_start_accepts(p, &p->entry, true, now);
	else if (p->mode == SD_PROPOSER_CHANGE)
	{
		p->phase = SD_PHASE_GRANTED;
		p->wake = 0;
		proposer_emit(p, SD_EFFECT_GRANTED);
	}
	else if (p->has_noop)
		proposer_start_accepts(p, &p->noop, false, now);
	else
		proposer_done(p, SD_OUTCOME_NOTHING);
}

static void
proposer_look_at_promises(SdProposer *p, int64_t now)
{
	int			quorum = sd_config_quorum(&p->config);
	int			promised = proposer_count(p, SD_VOTER_PROMISED);
	int			asked = proposer_count(p, SD_VOTER_ASKED);
	int			leased = proposer_count(p, SD_VOTER_LEASED);
	int			refused = proposer_count(p, SD_VOTER_REFUSED);
	int			possible = promised + asked;
	unsigned	open = ONE_OF(SD_VOTER_PROMISED) | ONE_OF(SD_VOTER_ASKED);

	if (promised >= quorum && proposer_required(p, ONE_OF(SD_VOTER_PROMISED)))
		proposer_granted(p, now);
	else if ((possible >= quorum && proposer_required(p, open)) ||
			 (leased > 0 && asked > 0 && possible + leased >= quorum && promised + leased < quorum))
	{
		/* who could not be asked may be there in a moment, while the one we wait for hangs */
		if (p->wake == 0 && proposer_count_repeatable(p) > 0)
			p->wake = now + p->retry_after;
	}
	else if (leased > 0 && promised + leased + refused >= quorum &&
			 proposer_required(p, open | ONE_OF(SD_VOTER_REFUSED) | ONE_OF(SD_VOTER_LEASED)))
		proposer_give_up(p, SD_OUTCOME_LEASED);	/* a majority is there: it would promise if the holder let it */
	else if (possible + refused >= quorum && proposer_required(p, open | ONE_OF(SD_VOTER_REFUSED)))
		proposer_preempted(p, now);
	else
		proposer_give_up(p, SD_OUTCOME_NO_QUORUM);	/* at once: the rest, or who is required, is down, void or in error */
}

/* ---------- phase 2 ---------- */

static void
proposer_ready(SdProposer *p, bool chosen)
{
	SdEffect   *effect;

	p->phase = SD_PHASE_OWN_VOTE;
	p->wake = 0;
	effect = proposer_emit(p, SD_EFFECT_READY);
	effect->entry = p->entry;
	effect->chosen = chosen;
}

static void
proposer_now_chosen(SdProposer *p, const SdEntryRef *entry)
{
	SdProposerPhase before = p->phase;

	p->chosen_known = true;
	p->chosen = *entry;
	p->wake = 0;
	proposer_emit(p, SD_EFFECT_CHOSEN)->entry = *entry;

	if (p->mode == SD_PROPOSER_SETTLE)
		proposer_done(p, SD_OUTCOME_SETTLED);
	else if (!proposer_is_ours(p, entry))
		proposer_done(p, p->sent ? SD_OUTCOME_LOST : SD_OUTCOME_TAKEN);
	else if (before != SD_PHASE_OWN_VOTE)
		proposer_ready(p, true);
}

/* Others' entry, or a noop: majority of all voters. */
static void
proposer_look_at_settling(SdProposer *p, int64_t now)
{
	int			quorum = sd_config_quorum(&p->config);
	int			accepted = proposer_count(p, SD_VOTER_ACCEPTED);

	if (accepted >= quorum)
		proposer_now_chosen(p, &p->spent);
	else if (accepted + proposer_count(p, SD_VOTER_ASKED) >= quorum)
		return;
	else if (proposer_count(p, SD_VOTER_REFUSED) > 0)
		proposer_preempted(p, now);
	else
		proposer_give_up(p, SD_OUTCOME_NO_QUORUM);
}

/*
 * Our own entry: Q - 1 others, or Q if this region is no voter; and who is required, as long as it may still say yes: what
 * a majority has accepted is chosen without it.
 */
static void
proposer_look_at_own(SdProposer *p, int64_t now)
{
	unsigned	accepts = ONE_OF(SD_VOTER_ACCEPTED);
	unsigned	may_accept = accepts | ONE_OF(SD_VOTER_UNSENT) | ONE_OF(SD_VOTER_UNANSWERED) | ONE_OF(SD_VOTER_ERROR);
	bool		majority = proposer_count(p, SD_VOTER_ACCEPTED) >= sd_config_quorum(&p->config);
	int			needed = sd_config_others_needed(&p->config, p->region, p->incarnation);
	int			others = sd_config_voters(&p->config) - (proposer_self_votes(p) ? 1 : 0);
	int			accepted = proposer_count(p, SD_VOTER_ACCEPTED);
	int			refused = proposer_count(p, SD_VOTER_REFUSED);
	int			harmless = proposer_count(p, SD_VOTER_UNSENT) + proposer_count(p, SD_VOTER_NO_VOTE);
	int			repeatable = proposer_count_repeatable(p);

	if (accepted >= needed &&
		(proposer_required(p, accepts) || (majority && !proposer_required(p, may_accept | ONE_OF(SD_VOTER_ASKED)))))
	{
		if (majority)
			proposer_now_chosen(p, &p->entry);	/* a majority without us: chosen already */
		else
		{
			if (SD_MISTAKE(ANNOUNCE_FIRST))
			{
				p->chosen = p->entry;
				proposer_emit(p, SD_EFFECT_CHOSEN)->entry = p->entry;
			}
			proposer_ready(p, false);
		}
	}
	else if (proposer_count(p, SD_VOTER_ASKED) > 0)
	{
		/* as in phase 1: who hangs must not keep us from asking the others again */
		if (p->wake == 0 && refused == 0 && repeatable > 0)
			p->wake = now + p->retry_after;
	}
	else if (refused > 0 && refused + harmless == others)
	{
		/* "Preempted, and every accept of the old ballot answered refused -> a new ballot and phase 1 again" */
		proposer_preempted(p, now);
	}
	else if (refused == 0 && accepted + repeatable >= needed && proposer_required(p, may_accept))
		p->wake = now + p->retry_after;
	else
	{
		/* some accepted or may have, and this ballot cannot win: only a settlement can tell */
		proposer_undecided(p);
	}
}

static void
proposer_look_at_accepts(SdProposer *p, int64_t now)
{
	if (p->settling)
		proposer_look_at_settling(p, now);
	else
		proposer_look_at_own(p, now);
}

/* A repeat is never answered from memory, so it is as good as the first. */
static void
proposer_repeat(SdProposer *p)
{
	p->wake = 0;
	for (int i = 0; i < p->config.n; i++)
	{
		SdProposerVoter *v = &p->voter[i];

		if (!v->votes || (v->status != SD_VOTER_UNANSWERED && v->status != SD_VOTER_ERROR && v->status != SD_VOTER_UNSENT))
			continue;
		if (p->phase == SD_PHASE_ACCEPT)
			proposer_send_accept(p, i);
		else
		{
			SdEffect   *effect = proposer_emit(p, SD_EFFECT_SEND_PREPARE);

			v->status = SD_VOTER_ASKED;
			effect->voter = i;
			effect->again = true;
		}
	}
}

/* The promises were given in an earlier round: what it kept says that they hold for this version. */
static void
proposer_use_kept(SdProposer *p, const SdKept *kept, int64_t now)
{
	SD_CHECK(p->mode == SD_PROPOSER_CHANGE && kept->known && kept->version == p->version);
	p->ballots = 1;
	p->ballot = kept->ballot;
	sd_proposer_see_round(p, kept->ballot.round);
	proposer_granted(p, now);
}

static void
proposer_judge(SdProposer *p)
{
	p->closed = true;
	if (p->mode == SD_PROPOSER_SETTLE)
		proposer_done(p, p->phase == SD_PHASE_BACKOFF ? SD_OUTCOME_PREEMPTED : SD_OUTCOME_NO_QUORUM);
	else
		proposer_done(p, sd_outcome_judge(p));
}

/* ---------- events ---------- */

void
sd_proposer_start(SdProposer *p, const SdProposerStart *start, int64_t now)
{
	int			self;
	bool		any_required = false;

	memset(p, 0, sizeof(*p));
	p->mode = start->mode;
	p->config = *start->config;
	strncpy(p->region, start->region, SD_NAME_SIZE - 1);
	p->incarnation = start->incarnation;
	p->version = start->version;
	p->max_round = start->max_round;
	p->random = start->seed;
	p->deadline = start->deadline;
	p->retry_after = start->retry_after;
	p->backoff_base = start->backoff_base;
	p->backoff_max = start->backoff_max;
	p->max_ballots = start->max_ballots;
	p->has_noop = start->has_noop;
	p->noop = start->noop;

	self = sd_config_find_voter(&p->config, p->region, p->incarnation);
	for (int i = 0; i < p->config.n; i++)
	{
		p->voter[i].votes = sd_member_votes(&p->config.member[i]);
		p->voter[i].self = (i == self);
		p->voter[i].required = start->required && start->required[i] && p->voter[i].votes;
		any_required |= p->voter[i].required;
	}
	if (start->kept && !any_required)
		proposer_use_kept(p, start->kept, now);
	else
		proposer_start_ballot(p);
	proposer_end_event(p);
}

/*
 * The voter an answer speaks for, NULL if it answers something that is no longer asked.  A vote counts only
 * under the incarnation that the configuration in force names.
 */
static SdProposerVoter *
proposer_answering(SdProposer *p, int voter, bool accept, const SdBallot *ballot)
{
	/* once the ballot is spent accepts are what is out, and a prepare is never out again */
	if (accept != p->spent_known && !SD_MISTAKE(LATE_ANSWER))
		return NULL;
	if (proposer_is_over(p) || voter < 0 || voter >= p->config.n || !p->voter[voter].votes)
		return NULL;
	if (sd_ballot_compare(ballot, &p->ballot) != 0 || p->voter[voter].status != SD_VOTER_ASKED)
		return NULL;
	return &p->voter[voter];
}

static SdVoterStatus
proposer_counted(const SdProposer *p, const SdAnswer *answer, SdVoterStatus status)
{
	if (sd_config_find_voter(&p->config, answer->region, answer->incarnation) != answer->voter &&
		!SD_MISTAKE(COUNT_ANY_INCARNATION))
		return SD_VOTER_WRONG_INCARNATION;
	return status;
}

/* An answer, or the lack of one, to an accept: the first is kept, it decides what can be told to the client. */
static void
proposer_note_answer(SdProposer *p, SdProposerVoter *v, SdVoterStatus status)
{
	v->status = status;
	if (p->phase == SD_PHASE_PREPARE || p->settling || p->mode == SD_PROPOSER_SETTLE)
		return;
	if (v->first_accept == SD_VOTER_ASKED || SD_MISTAKE(REF_RETRY))
		v->first_accept = status;
}

static void
proposer_look(SdProposer *p, int64_t now)
{
	switch (p->phase)
	{
		case SD_PHASE_PREPARE:
			proposer_look_at_promises(p, now);
			break;
		case SD_PHASE_ACCEPT:
			proposer_look_at_accepts(p, now);
			break;
		case SD_PHASE_OWN_VOTE:
		case SD_PHASE_UNDECIDED:
			/* late acceptances can still make it a majority without us */
			if (!p->chosen_known && !p->settling && p->spent_known &&
				proposer_count(p, SD_VOTER_ACCEPTED) >= sd_config_quorum(&p->config))
				proposer_now_chosen(p, &p->entry);
			break;
		case SD_PHASE_IDLE:
		case SD_PHASE_BACKOFF:
		case SD_PHASE_GRANTED:
		case SD_PHASE_DONE:
			break;
	}
}

void
sd_proposer_promise(SdProposer *p, const SdAnswer *answer, const SdReport *reports, int n_reports, int64_t now)
{
	SdProposerVoter *v = proposer_answering(p, answer->voter, answer->accept, &answer->ballot);

	if (v == NULL || p->phase != SD_PHASE_PREPARE)
	{
		/* late: more than a majority had promised already */
		if (v != NULL && p->phase == SD_PHASE_GRANTED)
			v->status = proposer_counted(p, answer, SD_VOTER_PROMISED);
		return;
	}
	v->status = proposer_counted(p, answer, SD_VOTER_PROMISED);

	for (int i = 0; i < n_reports; i++)
	{
		const SdReport *report = &reports[i];

		sd_proposer_see_round(p, report->ballot.round);

		/*
		 * A ballot that is kept would have to propose later versions' reports first; so it is not kept, and the next
		 * phase 1 asks for them again.
		 */
		if (report->version > p->version && v->status == SD_VOTER_PROMISED)
			p->reported_later = true;
		if (report->version != p->version || v->status != SD_VOTER_PROMISED)
			continue;
		if (!p->reported_known || sd_ballot_compare(&report->ballot, &p->reported.ballot) > 0)
		{
			p->reported_known = true;
			p->reported = *report;
		}
		if (p->sent && proposer_is_ours(p, &report->entry))
			p->tainted = true;	/* somebody accepted it after all */
	}
	proposer_look(p, now);
	proposer_end_event(p);
}

void
sd_proposer_accepted(SdProposer *p, const SdAnswer *answer, int64_t now)
{
	SdProposerVoter *v = proposer_answering(p, answer->voter, answer->accept, &answer->ballot);

	if (v == NULL)
		return;
	proposer_note_answer(p, v, proposer_counted(p, answer, SD_VOTER_ACCEPTED));
	proposer_look(p, now);
	proposer_end_event(p);
}

void
sd_proposer_refused(SdProposer *p, const SdAnswer *answer, const SdBallot *promise, int64_t now)
{
	SdProposerVoter *v = proposer_answering(p, answer->voter, answer->accept, &answer->ballot);
	SdVoterStatus status;

	sd_proposer_see_round(p, promise->round);
	if (v == NULL)
		return;
	status = proposer_counted(p, answer, SD_VOTER_REFUSED);

	/* only "a refusal carrying a promise higher than that ballot" says that this copy can never be accepted */
	if (sd_ballot_compare(promise, &p->ballot) <= 0)
		status = SD_VOTER_ERROR;
	v->promise = *promise;
	proposer_note_answer(p, v, status);
	proposer_look(p, now);
	proposer_end_event(p);
}

void
sd_proposer_failed(SdProposer *p, int voter, bool accept, const SdBallot *ballot, SdVoterStatus why, int64_t now)
{
	SdProposerVoter *v = proposer_answering(p, voter, accept, ballot);

	if (v == NULL)
		return;
	proposer_note_answer(p, v, why);
	proposer_look(p, now);
	proposer_end_event(p);
}

void
sd_proposer_chosen(SdProposer *p, int64_t version, const SdEntryRef *entry, int64_t now)
{
	(void) now;
	if (proposer_is_over(p) || version != p->version || p->chosen_known)
		return;
	proposer_now_chosen(p, entry);
	proposer_end_event(p);
}

void
sd_proposer_propose(SdProposer *p, const SdEntryRef *entry, int64_t deadline, int64_t now)
{
	/* s may have been decided while the statements ran: then the attempt is done, and says so */
	if (p->phase != SD_PHASE_GRANTED)
		return;
	p->proposed = true;
	p->entry = *entry;
	p->deadline = deadline;
	proposer_start_accepts(p, entry, true, now);
	proposer_end_event(p);
}

void
sd_proposer_own_vote(SdProposer *p, SdOwnVote what, int64_t now)
{
	int			self = sd_config_find_voter(&p->config, p->region, p->incarnation);

	(void) now;
	if (proposer_is_over(p))
		return;
	switch (what)
	{
		case SD_OWN_COMMITTED:
			/* "The commit record is the decision.  Nobody is told before it is flushed." */
			SD_CHECK(p->phase == SD_PHASE_OWN_VOTE);
			if (!p->chosen_known)
				proposer_emit(p, SD_EFFECT_CHOSEN)->entry = p->entry;
			p->chosen_known = true;
			p->chosen = p->entry;
			proposer_done(p, SD_OUTCOME_SUCCESS);
			break;
		case SD_OWN_PREEMPTED:
			if (self >= 0)
				p->voter[self].first_accept = SD_VOTER_REFUSED;
			if (p->chosen_known && proposer_is_ours(p, &p->chosen))
				proposer_ready(p, true);
			else if (p->phase == SD_PHASE_OWN_VOTE)
				proposer_undecided(p);
			break;
		case SD_OWN_LOST:
			proposer_done(p, SD_OUTCOME_LOST);
			break;
		case SD_OWN_ABORTED:
			proposer_judge(p);
			break;
	}
	proposer_end_event(p);
}

void
sd_proposer_close(SdProposer *p, int64_t now)
{
	(void) now;
	if (!proposer_is_over(p))
		proposer_judge(p);
}

void
sd_proposer_keep(const SdProposer *p, SdKept *kept)
{
	bool		ours = p->spent_known && !p->settling && p->mode == SD_PROPOSER_CHANGE;
	bool		unspent = !p->spent_known && !p->chosen_known;
	bool		chosen = ours && p->chosen_known && sd_entry_equal(&p->spent, &p->chosen);

	memset(kept, 0, sizeof(*kept));
	if (!p->promised || p->reported_later)
		return;
	if (!unspent && !chosen && !(SD_MISTAKE(LEASE_REUSE) && ours))
		return;
	kept->known = true;
	kept->ballot = p->ballot;
	kept->version = p->version + (chosen ? 1 : 0);
	kept->config_since = p->config.since;
}

void
sd_proposer_see_round(SdProposer *p, int64_t round)
{
	if (round > p->max_round)
		p->max_round = round;
}

void
sd_proposer_tick(SdProposer *p, int64_t now)
{
	if (proposer_is_over(p))
		return;
	if (p->phase != SD_PHASE_GRANTED && p->phase != SD_PHASE_OWN_VOTE && now >= p->deadline)
	{
		if (p->phase == SD_PHASE_ACCEPT && !p->settling && p->mode == SD_PROPOSER_CHANGE &&
			proposer_count(p, SD_VOTER_ACCEPTED) >= sd_config_quorum(&p->config))
			proposer_now_chosen(p, &p->entry);	/* only who is required is missing */
		else if (p->mode == SD_PROPOSER_CHANGE && !p->sent && p->phase != SD_PHASE_UNDECIDED)
			proposer_done(p, p->phase == SD_PHASE_BACKOFF ? SD_OUTCOME_PREEMPTED : SD_OUTCOME_NO_QUORUM);
		else
			proposer_judge(p);
	}
	else if (p->wake != 0 && now >= p->wake)
	{
		if (p->phase == SD_PHASE_BACKOFF)
			proposer_start_ballot(p);
		else if (p->phase == SD_PHASE_PREPARE || p->phase == SD_PHASE_ACCEPT)
			proposer_repeat(p);
	}
	proposer_end_event(p);
}

bool
sd_proposer_next(SdProposer *p, SdEffect *effect)
{
	if (p->first_effect == p->n_effects)
	{
		p->first_effect = p->n_effects = 0;
		return false;
	}
	*effect = p->effects[p->first_effect++];
	return true;
}
