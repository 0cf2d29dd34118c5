/*
 * outcome.c: what may be told about a change whose attempt is closed.  Pure; see outcome.h.
 */
#include "consensus/outcome.h"

#include "consensus/mistakes.h"

static bool
voter_first_answer_is_harmless(const SdProposerVoter *v)
{
	return v->first_accept == SD_VOTER_IDLE || v->first_accept == SD_VOTER_UNSENT ||
		v->first_accept == SD_VOTER_REFUSED || v->first_accept == SD_VOTER_NO_VOTE;
}

/*
 * Did every other voter's *first* answer at the ballot under way refuse with a higher promise?  A voter to
 * whom no copy ever left this process cannot have accepted one; nor has one that answered "no vote", and who has said
 * that is sent no other copy.
 */
bool
sd_outcome_ballot_is_harmless(const SdProposer *p)
{
	int			refused = 0;
	bool		harmless = true;

	for (int i = 0; i < p->config.n; i++)
	{
		const SdProposerVoter *v = &p->voter[i];

		if (!v->votes)
			continue;
		if (v->first_accept == SD_VOTER_REFUSED)
			refused++;
		if (!v->self && !voter_first_answer_is_harmless(v))
			harmless = false;
	}
	if (SD_MISTAKE(REF_MAJ) && refused > sd_config_voters(&p->config) - sd_config_quorum(&p->config))
		return true;
	return harmless;
}

/*
 * Outcome of a closed attempt.
 *
 * "Definite, nothing happened: no accept sent; or another entry chosen at s; or, at every ballot under which
 * this entry was ever sent, every other voter's first answer was a refusal carrying a promise higher than that
 * ballot, no copy went unanswered, own vote not cast, and the attempt is closed.  Unknown: anything else."
 */
SdOutcome
sd_outcome_judge(const SdProposer *p)
{
	if (!p->sent || SD_MISTAKE(LIE_ABORT))
		return SD_OUTCOME_NOTHING_SENT;
	if (p->chosen_known)
		return sd_entry_equal(&p->chosen, &p->entry) ? SD_OUTCOME_UNKNOWN : SD_OUTCOME_LOST;
	if (!p->tainted && sd_outcome_ballot_is_harmless(p))
		return SD_OUTCOME_REFUSED;
	return SD_OUTCOME_UNKNOWN;
}

bool
sd_outcome_is_definite(SdOutcome outcome)
{
	switch (outcome)
	{
		case SD_OUTCOME_NOTHING_SENT:
		case SD_OUTCOME_TAKEN:
		case SD_OUTCOME_LOST:
		case SD_OUTCOME_REFUSED:
		case SD_OUTCOME_NO_QUORUM:
		case SD_OUTCOME_PREEMPTED:
		case SD_OUTCOME_LEASED:
			return true;
		case SD_OUTCOME_NONE:
		case SD_OUTCOME_SUCCESS:
		case SD_OUTCOME_UNKNOWN:
		case SD_OUTCOME_SETTLED:
		case SD_OUTCOME_NOTHING:
			break;
	}
	return false;
}
