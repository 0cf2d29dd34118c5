/*
 * invariants.c: the invariants of protocol.md, checked where something changes.
 *
 * The checks look from above, at every server at once; nothing in them is known to the code under test.
 */
#include "sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void
sim_violation(World *w, int invariant, const char *format,...)
{
	va_list		args;

	if (w->violated != 0 || (w->harm_only && invariant >= 2 && invariant <= 6))
		return;
	w->violated = invariant;
	va_start(args, format);
	vsnprintf(w->violation, sizeof(w->violation), format, args);
	va_end(args);
	sim_say(w, -1, "*** invariant %d violated: %s", invariant, w->violation);
}

/* ---------- evidence: who accepted what, under which incarnation ---------- */

static Acceptance *
find_acceptance(World *w, int64_t version, const SdBallot *ballot)
{
	for (int i = w->n_acceptances - 1; i >= 0; i--)
	{
		Acceptance *a = &w->acceptances[i];

		if (a->version == version && sd_ballot_compare(&a->ballot, ballot) == 0)
			return a;
	}
	return NULL;
}

/* Invariant 4, "one entry per (version, ballot)": looked at when it is sent and when it is accepted. */
static Acceptance *
evidence(World *w, int region, int64_t version, const SdBallot *ballot, int entry)
{
	Acceptance *a = find_acceptance(w, version, ballot);

	if (a == NULL)
	{
		if (w->n_acceptances == w->max_acceptances)
		{
			w->max_acceptances = w->max_acceptances ? 2 * w->max_acceptances : 256;
			w->acceptances = realloc(w->acceptances, sizeof(Acceptance) * (size_t) w->max_acceptances);
			if (w->acceptances == NULL)
				abort();
		}
		a = &w->acceptances[w->n_acceptances++];
		memset(a, 0, sizeof(*a));
		a->version = version;
		a->ballot = *ballot;
		a->entry = entry;
	}
	if (a->entry != entry)
		sim_violation(w, 4, "version %lld, ballot %s carries %s and, at %s, %s", (long long) version,
					  sim_ballot(w, ballot), sim_entry(w, a->entry), w->region[region].label, sim_entry(w, entry));
	return a;
}

/* votes of the configuration in force for this version, "by (region, incarnation)": a majority? */
static bool
is_majority(World *w, int64_t version, const uint32_t *incarnations)
{
	const Members *m = sim_true_members(w, version);
	int			votes = 0;

	for (int i = 0; i < m->config.n; i++)
	{
		if (sd_member_votes(&m->config.member[i]) &&
			(incarnations[m->place[i]] & (1u << m->config.member[i].incarnation)))
			votes++;
	}
	return votes >= sd_config_quorum(&m->config);
}

static Promise *
find_promise(World *w, const SdBallot *ballot)
{
	for (int i = w->n_promises - 1; i >= 0; i--)
	{
		if (sd_ballot_compare(&w->promises[i].ballot, ballot) == 0)
			return &w->promises[i];
	}
	return NULL;
}

void
sim_note_promise(World *w, int region, const SdBallot *ballot)
{
	const Region *r = &w->region[region];
	Promise    *p = find_promise(w, ballot);

	if (p == NULL)
	{
		if (w->n_promises == w->max_promises)
		{
			w->max_promises = w->max_promises ? 2 * w->max_promises : 256;
			w->promises = realloc(w->promises, sizeof(Promise) * (size_t) w->max_promises);
			if (w->promises == NULL)
				abort();
		}
		p = &w->promises[w->n_promises++];
		memset(p, 0, sizeof(*p));
		p->ballot = *ballot;
	}
	p->incarnations[r->place] |= 1u << r->mem.incarnation;
}

/* The highest acceptance below this ballot that this voter has given at this version. */
static const Acceptance *
highest_below(World *w, int64_t version, const SdBallot *ballot, int place, int32_t incarnation)
{
	const Acceptance *highest = NULL;

	for (int i = 0; i < w->n_acceptances; i++)
	{
		const Acceptance *a = &w->acceptances[i];

		if (a->version == version && (a->incarnations[place] & (1u << incarnation)) &&
			sd_ballot_compare(&a->ballot, ballot) < 0 &&
			(highest == NULL || sd_ballot_compare(&a->ballot, &highest->ballot) > 0))
			highest = a;
	}
	return highest;
}

/*
 * What makes Paxos safe: there is a majority of voters that promised the ballot, and of what they had accepted at this
 * version before, the highest is this entry, or there is nothing.  (Who has promised a ballot accepts nothing below it any
 * more, so this can be seen later.)
 */
static bool
is_free_or(World *w, int64_t version, const SdBallot *ballot, const Promise *p, int entry)
{
	const Members *m = sim_true_members(w, version);
	const Acceptance *had[MAX_PLACES];
	int			n = 0;

	for (int i = 0; i < m->config.n; i++)
	{
		const SdMember *member = &m->config.member[i];

		if (sd_member_votes(member) && (p->incarnations[m->place[i]] & (1u << member->incarnation)))
			had[n++] = highest_below(w, version, ballot, m->place[i], member->incarnation);
	}
	for (int i = 0; i < n; i++)
	{
		int			votes = 0;

		if (had[i] != NULL && had[i]->entry != entry)
			continue;
		for (int j = 0; j < n; j++)
		{
			if (had[j] == NULL || (had[i] != NULL && sd_ballot_compare(&had[j]->ballot, &had[i]->ballot) <= 0))
				votes++;
		}
		if (votes >= sd_config_quorum(&m->config))
			return true;
	}
	return false;
}

/* Looked at when something is sent to be accepted; a kept ballot is as good as a new one. */
void
sim_note_sent(World *w, int region, int64_t version, const SdBallot *ballot, int entry)
{
	const Promise *p = find_promise(w, ballot);
	bool		first = find_acceptance(w, version, ballot) == NULL;

	(void) evidence(w, region, version, ballot, entry);
	if (p == NULL || !is_majority(w, version, p->incarnations))
		sim_violation(w, 2, "%s proposes %s at version %lld with ballot %s, which no majority has promised",
					  w->region[region].label, sim_entry(w, entry), (long long) version, sim_ballot(w, ballot));
	else if (first && !is_free_or(w, version, ballot, p, entry))
		sim_violation(w, 2, "%s proposes %s at version %lld with ballot %s, but who promised that held something else",
					  w->region[region].label, sim_entry(w, entry), (long long) version, sim_ballot(w, ballot));
}

/* Has its incarnation given votes that this server does not know of? */
bool
sim_lacks_votes(const World *w, int region)
{
	const Region *r = &w->region[region];

	return r->mem.vote_seq < w->given[r->place][r->mem.incarnation];
}

/*
 * Invariant 6, "a void incarnation never votes".  The votes of an incarnation are one chain: whoever lacks one of them
 * and gives another makes it two.
 */
void
sim_note_vote(World *w, int region)
{
	const Region *r = &w->region[region];
	int64_t    *given = &w->given[r->place][r->mem.incarnation];

	if (r->mem.is_void || r->mem.vote_seq <= *given)
		sim_violation(w, 6, "%s votes as incarnation %d, %s", r->label, r->mem.incarnation,
					  r->mem.is_void ? "and is void" : "of which it has lost votes");
	else
		*given = r->mem.vote_seq;
}

void
sim_note_accepted(World *w, int region, int64_t version, const SdBallot *ballot, int entry)
{
	const Region *r = &w->region[region];

	evidence(w, region, version, ballot, entry)->incarnations[r->place] |= 1u << r->mem.incarnation;
}

/* an acceptance that never reached the disk never happened; one that was lost later did */
void
sim_note_unflushed(World *w, int region, int64_t version, const SdBallot *ballot)
{
	const Region *r = &w->region[region];

	find_acceptance(w, version, ballot)->incarnations[r->place] &= ~(1u << r->mem.incarnation);
}

static bool
has_majority(World *w, int64_t version, int entry)
{
	for (int i = 0; i < w->n_acceptances; i++)
	{
		Acceptance *a = &w->acceptances[i];

		if (a->version == version && a->entry == entry && is_majority(w, version, a->incarnations))
			return true;
	}
	return false;
}

/* ---------- the log ---------- */

void
sim_note_log(World *w, int region, int64_t version, int entry)
{
	Attempt    *a = w->attempt[entry];
	const char *where = w->region[region].label;

	if (w->chosen[version] != 0 && w->chosen[version] != entry)
		sim_violation(w, 1, "version %lld holds %s and, at %s, %s", (long long) version,
					  sim_entry(w, w->chosen[version]), where, sim_entry(w, entry));
	if (a->in_log_at != 0 && a->in_log_at != version)
		sim_violation(w, 8, "%s is in the log at version %lld and at %lld", sim_entry(w, entry),
					  (long long) a->in_log_at, (long long) version);
	if (!has_majority(w, version, entry))
		sim_violation(w, 2, "%s has %s in its log at version %lld, which no majority accepted at one ballot", where,
					  sim_entry(w, entry), (long long) version);
	if (a->outcome == CLIENT_DEFINITE || a->answer == ANSWER_NO)
		sim_violation(w, 8, "the client was told that %s never happened, and it is in the log at version %lld",
					  sim_entry(w, entry), (long long) version);
	if (w->chosen[version] == 0 && !a->noop)
	{
		for (int i = 1; i <= w->n_attempts; i++)
		{
			Attempt    *b = w->attempt[i];

			if (b->outcome == CLIENT_SUCCESS && b->ended < a->started && b->in_log_at >= version)
				sim_violation(w, 9, "%s succeeded before %s began, but has version %lld, and that has %lld",
							  sim_entry(w, i), sim_entry(w, entry), (long long) b->in_log_at, (long long) version);
		}
	}
	if (w->chosen[version] == 0)
		sim_check_hlc(w, version, entry);
	if (w->chosen[version] == 0 && a->members != NULL)
	{
		w->times[SIM_CONFIG_CHOSEN]++;
		a->members->config.since = version;
	}
	if (w->chosen[version] == 0)
	{
		w->chosen[version] = entry;
		sim_check_hlc(w, version, entry);
		sim_note_schema(w, version, entry);
	}
	w->chosen[version] = entry;
	a->in_log_at = version;
}

/* ---------- votes that were counted ---------- */

/* Invariant 5: "every counted vote survives kill -9 and power loss" (or its incarnation is void: see 6). */
void
sim_check_counted(World *w, int region)
{
	Region	   *r = &w->region[region];

	for (int i = 0; i < w->n_counted && w->fencing != region; i++)
	{
		const CountedVote *vote = &w->counted[i];

		if (vote->region != region || vote->incarnation != r->disk.incarnation || r->disk.is_void)
			continue;
		if (sd_ballot_compare(&r->disk.promised, &vote->ballot) < 0 && vote->version > r->disk.head)
			sim_violation(w, 5, "%s lost its promise to %s for version %lld, which was counted", r->label,
						  sim_ballot(w, &vote->ballot), (long long) vote->version);
		if (vote->accept && vote->version > r->disk.head &&
			(!r->disk.accepted[vote->version].known ||
			 sd_ballot_compare(&r->disk.accepted[vote->version].ballot, &vote->ballot) < 0))
			sim_violation(w, 5, "%s lost its acceptance of %s at version %lld, ballot %s, which was counted", r->label,
						  sim_entry(w, vote->entry), (long long) vote->version, sim_ballot(w, &vote->ballot));
	}
}

void
sim_count_vote(World *w, int region, int32_t incarnation, bool accept, int64_t version, const SdBallot *ballot, int entry)
{
	CountedVote *vote;

	if (w->n_counted == w->max_counted)
	{
		w->max_counted = w->max_counted ? 2 * w->max_counted : 256;
		w->counted = realloc(w->counted, sizeof(CountedVote) * (size_t) w->max_counted);
		if (w->counted == NULL)
			abort();
	}
	vote = &w->counted[w->n_counted++];
	vote->region = region;
	vote->incarnation = incarnation;
	vote->accept = accept;
	vote->version = version;
	vote->ballot = *ballot;
	vote->entry = entry;
}

/* ---------- clients ---------- */

/* Invariants 8 and 10, from the client's side. */
void
sim_client_told(World *w, Attempt *a, ClientOutcome outcome, const char *why)
{
	static const char *const names[] = {"open", "success", "nothing happened", "unknown"};

	if (a->outcome != CLIENT_OPEN)
		return;
	a->outcome = outcome;
	a->ended = w->now;
	a->state = ATTEMPT_OVER;
	sim_say(w, a->region, "client of %s is told: %s (%s)", sim_entry(w, a->entry), names[outcome], why);
	if (outcome == CLIENT_SUCCESS && a->in_log_at == 0)
		sim_violation(w, 8, "success of %s, which is in no log", sim_entry(w, a->entry));
	else if (outcome == CLIENT_SUCCESS && !has_majority(w, a->in_log_at, a->entry))
		sim_violation(w, 10, "success of %s without a majority", sim_entry(w, a->entry));
	if (outcome == CLIENT_DEFINITE && a->in_log_at != 0)
		sim_violation(w, 8, "\"nothing happened\" about %s, which is in the log at version %lld", sim_entry(w, a->entry),
					  (long long) a->in_log_at);
	if (w->fair.going && !w->fair.over)
		sim_fair_told(w, a);
	if (outcome == CLIENT_UNKNOWN && w->chaos.calm)
		sim_violation(w, 12, "no fault in this schedule, and %s ends as unknown", sim_entry(w, a->entry));
}

void
sim_client_asked(World *w, Attempt *a, Answer answer)
{
	sim_say(w, a->region, "outcome of %s: %s", sim_entry(w, a->entry), answer == ANSWER_YES ? "in the log" : "never happened");
	if (a->answer != ANSWER_NONE && a->answer != answer)
		sim_violation(w, 8, "outcome of %s changed its answer", sim_entry(w, a->entry));
	a->answer = answer;
	if (answer == ANSWER_NO && a->in_log_at != 0)
		sim_violation(w, 8, "outcome says that %s never happened, and it is in the log at version %lld",
					  sim_entry(w, a->entry), (long long) a->in_log_at);
}

/* ---------- at the end ---------- */

/* One member: is it what the log says, with nothing left to do? */
static bool
member_is_well(World *w, const Members *m, int i, const Tables *first, char *why, size_t size)
{
	const SdMember *member = &m->config.member[i];
	const Region *r = &w->region[w->at[m->place[i]]];
	const Tables *t = &r->mem;
	int64_t		open;

	if (t->head != first->head || t->chain[t->head] != first->chain[first->head])
		snprintf(why, size, "the log of %s differs from that of others: heads %lld and %lld", r->label,
				 (long long) t->head, (long long) first->head);
	else if (t->applied != t->head)
		snprintf(why, size, "%s has applied %lld of %lld", r->label, (long long) t->applied, (long long) t->head);
	else if (t->is_void || t->incarnation != member->incarnation)
		snprintf(why, size, "%s is %sincarnation %d, the log says %d", r->label, t->is_void ? "void, " : "",
				 t->incarnation, member->incarnation);
	else if (member->suspended)
		snprintf(why, size, "%s is suspended", r->label);
	else if (!sd_member_votes(member) && w->wants_vote[m->place[i]])
		snprintf(why, size, "%s was not promoted", r->label);
	else if (!r->witness && memcmp(t->schema, w->schema[t->head], sizeof(t->schema)) != 0)
		snprintf(why, size, "the schema of %s is not what the log says", r->label);
	else if (!r->witness && (open = sim_open_task(t)) != 0)
		snprintf(why, size, "online version %lld is still open in %s", (long long) open, r->label);
	else if (t->accepted[t->head + 1].known)
		snprintf(why, size, "%s holds an undecided entry at version %lld", r->label, (long long) t->head + 1);
	else
		return true;
	return false;
}

/* Invariant 12, first half: no doubt left, everyone equal, who was void votes again. */
bool
sim_all_equal(World *w, char *why, size_t size)
{
	int64_t		head = sim_true_head(w);
	const Members *m = sim_true_members(w, head + 1);
	const Tables *first = &w->region[w->at[m->place[0]]].mem;

	for (int i = 1; i <= w->n_attempts; i++)
	{
		Attempt    *a = w->attempt[i];

		if (!a->noop && a->outcome == CLIENT_OPEN)
		{
			snprintf(why, size, "the transaction of %s does not end", sim_entry(w, i));
			return false;
		}
		if (a->outcome == CLIENT_UNKNOWN && a->answer == ANSWER_NONE)
		{
			snprintf(why, size, "%s is still in doubt", sim_entry(w, i));
			return false;
		}
		if (a->outcome == CLIENT_SUCCESS && (first->head < a->in_log_at || first->log[a->in_log_at] != i))
		{
			snprintf(why, size, "%s succeeded and is not in the log of %s", sim_entry(w, i), w->region[w->at[m->place[0]]].label);
			return false;
		}
	}
	for (int i = 0; i < m->config.n; i++)
	{
		if (!member_is_well(w, m, i, first, why, size))
			return false;
	}
	return true;
}
