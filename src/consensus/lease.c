/*
 * lease.c: granting, holding and keeping, waiting.  Pure; see lease.h.
 */
#include "consensus/lease.h"

#include <string.h>

#include "consensus/mistakes.h"

bool
sd_grant_forbids(const SdGrant *grant, const char *caller, const SdBallot *over, int64_t now)
{
	return !sd_ballot_is_none(&grant->ballot) && now < grant->until &&
		strcmp(grant->ballot.region, caller) != 0 &&
		!(strcmp(grant->ballot.region, over->region) == 0 && grant->ballot.round <= over->round);
}

void
sd_grant_note(SdGrant *grant, const SdBallot *ballot, int64_t duration, int64_t now)
{
	if (duration <= 0)
	{
		/* somebody who settles has the higher ballot now; a late call under the old one changes nothing */
		if (sd_ballot_compare(ballot, &grant->ballot) != 0)
			memset(grant, 0, sizeof(*grant));
		return;
	}
	/* never shortened: calls may be handled in another order than they were sent */
	if (sd_ballot_compare(ballot, &grant->ballot) != 0 || grant->until < now + duration)
		grant->until = now + duration;
	grant->ballot = *ballot;
}

void
sd_lease_drop(SdLease *lease)
{
	memset(lease, 0, sizeof(*lease));
}

void
sd_lease_begin(SdLease *lease, const SdBallot *ballot)
{
	if (sd_ballot_compare(&lease->ballot, ballot) == 0)
		return;
	sd_lease_drop(lease);
	lease->ballot = *ballot;
}

void
sd_lease_granted(SdLease *lease, const SdBallot *ballot, int voter, int64_t sent, int64_t duration)
{
	int64_t		until = sent + duration - duration / 10;

	if (sd_ballot_is_none(ballot) || sd_ballot_compare(&lease->ballot, ballot) != 0 ||
		voter < 0 || voter >= SD_MAX_REGIONS)
		return;
	if (lease->until[voter] < until)
		lease->until[voter] = until;
}

/* The quorum-th largest: by insertion, there are few. */
int64_t
sd_lease_until(const SdLease *lease, const SdConfig *config)
{
	int64_t		longest[SD_MAX_REGIONS];
	int			quorum = sd_config_quorum(config);
	int			n = 0;

	for (int i = 0; i < config->n; i++)
	{
		int			at;

		if (!sd_member_votes(&config->member[i]))
			continue;
		for (at = n; at > 0 && longest[at - 1] < lease->until[i]; at--)
			longest[at] = longest[at - 1];
		longest[at] = lease->until[i];
		n++;
	}
	return n >= quorum ? longest[quorum - 1] : 0;
}

void
sd_lease_refused(SdLease *lease, const SdBallot *ballot, const SdBallot *promise)
{
	if (sd_ballot_is_none(ballot) || sd_ballot_compare(&lease->ballot, ballot) != 0)
		return;
	if (sd_ballot_compare(promise, ballot) > 0)
		lease->overtaken = true;
}

void
sd_lease_keep(SdLease *lease, const SdProposer *p)
{
	memset(&lease->kept, 0, sizeof(lease->kept));
	if (!sd_ballot_is_none(&lease->ballot) && sd_ballot_compare(&lease->ballot, &p->ballot) == 0 && !lease->overtaken)
		sd_proposer_keep(p, &lease->kept);
	if (!lease->kept.known)
		sd_lease_drop(lease);
}

bool
sd_lease_usable(const SdLease *lease, const SdConfig *config, int64_t version, int64_t now)
{
	return lease->kept.known && !lease->overtaken && lease->kept.version == version &&
		(lease->kept.config_since == config->since || SD_MISTAKE(KEEP_OVER_CONFIG)) &&
		now < sd_lease_until(lease, config);
}

const SdWaiting *
sd_line_first(const SdLine *line, int64_t now)
{
	const SdWaiting *first = NULL;

	for (int i = 0; i < line->n; i++)
	{
		const SdWaiting *w = &line->place[i];

		if (now - w->heard < SD_LINE_PATIENCE && (first == NULL || w->since < first->since))
			first = w;
	}
	return first;
}

/* Remember that a region waits; a new one takes the place of one that has not asked for long. */
static void
line_note(SdLine *line, const char *region, int64_t since, int64_t now)
{
	SdWaiting  *w = NULL;

	for (int i = 0; i < line->n; i++)
	{
		if (strcmp(line->place[i].region, region) == 0)
		{
			w = &line->place[i];
			break;
		}
		if (w == NULL && now - line->place[i].heard >= SD_LINE_PATIENCE)
			w = &line->place[i];
	}
	if (w == NULL)
		w = line->n < SD_LINE_PLACES ? &line->place[line->n++] : &line->place[0];
	memset(w, 0, sizeof(*w));
	strncpy(w->region, region, SD_NAME_SIZE - 1);
	w->since = since;
	w->heard = now;
}

static void
line_leave(SdLine *line, const char *region)
{
	for (int i = 0; i < line->n; i++)
	{
		if (strcmp(line->place[i].region, region) == 0)
		{
			line->place[i] = line->place[--line->n];
			return;
		}
	}
}

SdLineVerdict
sd_line_ask(SdLine *line, const char *region, int64_t since, bool handed, bool in_use, bool overstayed, int64_t now)
{
	SdLineVerdict verdict = SD_LINE_KEPT;
	const SdWaiting *first;

	line_note(line, region, since, now);
	first = sd_line_first(line, now);
	if (first == NULL || strcmp(first->region, region) != 0)
		return handed ? SD_LINE_KEPT : SD_LINE_OTHER;
	if (handed || !in_use)
		verdict = SD_LINE_GIVEN;
	else if (overstayed)
		verdict = SD_LINE_ENDED;
	if (verdict != SD_LINE_KEPT)
		line_leave(line, region);
	return verdict;
}
