/*
 * coordinator.c: the region's coordinator around the two proposer machines: sends what they want sent, brings the
 * answers back, settles what others left, fetches what is missing.
 */
#include "sim.h"

#include <string.h>

static void run_change(World *w, int region);
static void run_settle(World *w, int region);

/* ---------- starting a machine ---------- */

static void
start_machine(World *w, int region, SdProposer *machine, SdProposerMode mode, int64_t version, const Members *members,
			  int64_t deadline, int noop)
{
	Region	   *r = &w->region[region];
	SdProposerStart start;
	bool		required[SD_MAX_REGIONS] = {false};

	memset(&start, 0, sizeof(start));
	start.mode = mode;
	start.config = &members->config;
	start.region = r->name;
	start.incarnation = r->mem.incarnation;
	start.version = version;
	/* "a ballot is never read back from tables"; without a nonce, a sequence that a crash takes back is as bad */
	start.max_round = (w->mistakes & SD_MISTAKE_BALLOT_REUSE) ? r->mem.round_seq : r->max_round;
	start.seed = sim_random(w);
	start.deadline = deadline;
	if (mode == SD_PROPOSER_CHANGE && !w->healing && sim_chance(w, w->chaos.required))
	{
		/* who is required is to be heard now, so the kept ballot does not do */
		required[sim_below(w, members->config.n)] = true;
		start.required = required;
		w->times[SIM_REQUIRED]++;
	}
	if (mode == SD_PROPOSER_CHANGE && start.required == NULL)
		start.kept = sim_lease_take(w, region, &members->config, version);
	else
		sd_lease_drop(&r->lease);
	start.retry_after = 200 * MS;
	start.backoff_base = 50 * MS;
	start.backoff_max = 1 * SECOND;
	start.max_ballots = 8;
	if (noop != 0)
	{
		start.has_noop = true;
		start.noop = sim_entry_ref(noop);
	}
	sd_proposer_start(machine, &start, w->now);
	r->mem.round_seq = machine->max_round;
	sim_say(w, region, "%s version %lld with ballot %s", mode == SD_PROPOSER_CHANGE ? "asks for" : "settles",
			(long long) start.version, sim_ballot(w, &machine->ballot));
}

/* ---------- carrying out effects ---------- */

/* "the own promise is a durable call like any other"; SELF_READ looks at the tables instead */
typedef struct SelfRead
{
	int			serial;
	SdAnswer	answer;
} SelfRead;

static void
self_read(World *w, int region, void *p)
{
	SelfRead   *read = p;
	Region	   *r = &w->region[region];
	const Accepted *accepted = &r->mem.accepted[r->change.version];
	SdReport	report;

	if (r->changing == NULL || read->serial != r->change_serial)
		return;
	report.version = r->change.version;
	report.ballot = accepted->ballot;
	report.entry = sim_entry_ref(accepted->known ? accepted->entry : 1);
	if (sd_ballot_compare(&r->mem.promised, &read->answer.ballot) > 0)
		sd_proposer_refused(&r->change, &read->answer, &r->mem.promised, w->now);
	else
		sd_proposer_promise(&r->change, &read->answer, &report, accepted->known ? 1 : 0, w->now);
	run_change(w, region);
}

static void
send(World *w, int region, const SdProposer *machine, const SdEffect *e, bool settle, int serial)
{
	Region	   *r = &w->region[region];
	int			place = (settle ? r->settle.members : r->change_members)->place[e->voter];
	Call	   *call;

	if (e->kind == SD_EFFECT_SEND_PREPARE && place == r->place && !settle && SIM_MISTAKE(SELF_READ))
	{
		SelfRead   *read = sim_alloc(w, sizeof(SelfRead));

		read->serial = serial;
		read->answer.voter = e->voter;
		read->answer.accept = false;
		read->answer.ballot = e->ballot;
		memcpy(read->answer.region, r->name, SD_NAME_SIZE);
		read->answer.incarnation = r->mem.incarnation;
		sim_post_coordinator(w, region, 1, self_read, read);
		return;
	}
	call = sim_call(w, region, place, e->kind == SD_EFFECT_SEND_PREPARE ? CALL_PREPARE : CALL_ACCEPT);
	call->settle = settle;
	call->serial = serial;
	call->voter = e->voter;
	call->ballot = e->ballot;
	call->version = e->version;
	call->lease_wanted = settle ? 0 : w->chaos.lease;
	call->sent = sim_clock(w, region);
	if (!settle)
		call->over_lease = r->over;
	call->chain = settle ? r->mem.chain[machine->version - 1] : r->changing->chain;
	if (e->kind == SD_EFFECT_SEND_ACCEPT)
	{
		call->entry = sim_entry_number(&e->entry);
		sim_note_sent(w, region, e->version, &e->ballot, call->entry);
	}
	sim_send(w, call);
}

static void
learn_here(World *w, int region, int64_t from, int n, const int *rows, const uint64_t *chains)
{
	Call	   *call = sim_call(w, region, w->region[region].place, CALL_LEARN);

	call->rows_from = from;
	call->n_rows = n;
	memcpy(call->rows, rows, sizeof(int) * (size_t) n);
	memcpy(call->chains, chains, sizeof(uint64_t) * (size_t) n);
	sim_send(w, call);
}

/* everybody: the members that voted on it, who may be leaving by it, and this server itself */
static void
tell_everybody(World *w, int region, int64_t version, int entry, uint64_t chain, const Members *m)
{
	for (int i = 0; i < m->config.n; i++)
	{
		Call	   *call = sim_call(w, region, m->place[i], CALL_LEARN);

		call->rows_from = version;
		call->n_rows = 1;
		call->rows[0] = entry;
		call->chains[0] = chain;
		sim_send(w, call);
	}
}

static void
tick_change(World *w, int region, void *p)
{
	Region	   *r = &w->region[region];

	(void) p;
	if (r->changing == NULL)
		return;
	sd_proposer_tick(&r->change, w->now);
	run_change(w, region);
}

static void
tick_settle(World *w, int region, void *p)
{
	Region	   *r = &w->region[region];

	(void) p;
	if (!r->settle.active)
		return;
	sd_proposer_tick(&r->settle.machine, w->now);
	run_settle(w, region);
}

typedef struct Note
{
	Attempt    *a;
	int			serial;
	SdEffect	effect;
} Note;

/* the backend finds it in its slot of shared memory, a moment later */
static void
tell_backend(World *w, int region, void *p)
{
	Note	   *note = p;
	Attempt    *a = note->a;

	(void) region;
	if (a->state == ATTEMPT_OVER || a->serial != note->serial)
		return;
	switch (note->effect.kind)
	{
		case SD_EFFECT_GRANTED:
			a->version = note->effect.version;
			sim_backend_granted(w, a);
			break;
		case SD_EFFECT_READY:
			sim_backend_ready(w, a, &note->effect.ballot, note->effect.chosen);
			break;
		case SD_EFFECT_DONE:
			sim_backend_done(w, a, note->effect.outcome);
			break;
		default:
			break;
	}
}

static void
run_machine(World *w, int region, SdProposer *machine, bool settle, int serial)
{
	Region	   *r = &w->region[region];
	SdEffect	e;
	bool		first_accept = true;
	int			boot = r->boot;

	if (machine->max_round > r->max_round)
		r->max_round = machine->max_round;
	r->mem.round_seq = machine->max_round;
	if (!settle)
		sd_lease_begin(&r->lease, &machine->ballot);
	while (r->boot == boot && sd_proposer_next(machine, &e))
	{
		switch (e.kind)
		{
			case SD_EFFECT_SEND_ACCEPT:
				if (first_accept && sim_crash_point(w, region, "before the accept is sent"))
					return;
				first_accept = false;
				send(w, region, machine, &e, settle, serial);
				break;
			case SD_EFFECT_SEND_PREPARE:
				send(w, region, machine, &e, settle, serial);
				break;
			case SD_EFFECT_MUST_SETTLE:
				sim_say(w, region, "must first propose %s at version %lld", sim_entry(w, sim_entry_number(&e.entry)),
						(long long) e.version);
				break;
			case SD_EFFECT_CHOSEN:
				sim_say(w, region, "knows that %s is chosen at version %lld", sim_entry(w, sim_entry_number(&e.entry)),
						(long long) e.version);
				tell_everybody(w, region, e.version, sim_entry_number(&e.entry),
							   sim_next_chain(settle ? r->mem.chain[e.version - 1] : r->changing->chain,
											  sim_entry_number(&e.entry)),
							   settle ? r->settle.members : r->change_members);
				break;
			case SD_EFFECT_UNDECIDED:
				sim_say(w, region, "cannot tell what became of %s at version %lld", sim_entry(w, sim_entry_number(&e.entry)),
						(long long) e.version);
				r->doubt[e.version] = true;
				sim_coordinator_settle(w, region);
				break;
			case SD_EFFECT_WAIT:
				sim_post_coordinator(w, region, e.until > w->now ? e.until - w->now : 1, settle ? tick_settle : tick_change, NULL);
				break;
			case SD_EFFECT_READY:
				if (sim_crash_point(w, region, "after the majority, before the own vote"))
					return;
				/* fall through */
			case SD_EFFECT_GRANTED:
			case SD_EFFECT_DONE:
				if (!settle && e.kind == SD_EFFECT_GRANTED)
					sim_lease_unblocked(w, region);
				else if (!settle && e.kind == SD_EFFECT_DONE && e.outcome == SD_OUTCOME_LEASED)
					sim_lease_blocked(w, region);
				if (settle)
				{
					sim_say(w, region, "settlement of version %lld is over: %d", (long long) e.version, (int) e.outcome);
					r->settle.active = false;
					r->settle.not_before = w->now + 100 * MS + sim_below(w, 900 * MS);
				}
				else
				{
					Note	   *note = sim_alloc(w, sizeof(Note));

					note->a = r->changing;
					note->serial = serial;
					note->effect = e;
					if (e.kind == SD_EFFECT_DONE)
					{
						r->changing = NULL;
						sim_lease_end(w, region);
					}
					sim_post_process(w, region, 1 + sim_below(w, 300), tell_backend, note);
				}
				break;
		}
	}
	if (r->boot == boot && !first_accept)
		(void) sim_crash_point(w, region, "after the accepts are sent");
}

static void
run_change(World *w, int region)
{
	run_machine(w, region, &w->region[region].change, false, w->region[region].change_serial);
}

static void
run_settle(World *w, int region)
{
	run_machine(w, region, &w->region[region].settle.machine, true, w->region[region].settle.serial);
}

/* ---------- answers ---------- */

void
sim_coordinator_answer(World *w, Call *call, SdVoterStatus failure)
{
	int			region = call->from;
	Region	   *r = &w->region[region];
	SdProposer *machine = call->settle ? &r->settle.machine : &r->change;
	SdAnswer	answer;

	if (!r->up || r->boot != call->from_boot || r->life != call->from_life)
		return;
	if (call->kind == CALL_HANDOVER && failure == SD_VOTER_IDLE)
		sim_handover_answered(w, call);
	if (call->kind == CALL_LEARN || call->kind == CALL_ASK || call->kind == CALL_HANDOVER)
		return;
	if (failure == SD_VOTER_IDLE && !call->error)
		sim_remember(w, region, call->to_place, call->incarnation, call->vote_seq);
	if (call->kind == CALL_EXCHANGE)
	{
		if (failure == SD_VOTER_IDLE && r->rows.holder == 0)
			sim_told(w, region, call->is_void ? -1 : call->to_place, &call->remembers);
		if (failure == SD_VOTER_IDLE && call->leased)
			sim_lease_granted(w, call, &call->lease);
		if (failure == SD_VOTER_IDLE)
		{
			sim_hlc_heard(w, region, call->hlc);
			r->told[call->to_place].incarnation = call->is_void ? 0 : call->incarnation;
			r->told[call->to_place].applied = call->applied;
			memcpy(r->told[call->to_place].task, call->task, sizeof(call->task));
		}
		if (failure == SD_VOTER_IDLE && call->n_rows > 0 && call->rows_from + call->n_rows > r->mem.head + 1)
			learn_here(w, region, call->rows_from, call->n_rows, call->rows, call->chains);
		return;
	}
	if (failure == SD_VOTER_IDLE && call->n_rows > 0)
		learn_here(w, region, call->rows_from, call->n_rows, call->rows, call->chains);

	/* late or not */
	if (failure == SD_VOTER_IDLE && !call->error && !call->leased && call->decision.verdict == SD_ACCEPTOR_REFUSED)
		sd_lease_refused(&r->lease, &call->ballot, &call->decision.promised);

	if (call->settle ? (!r->settle.active || r->settle.serial != call->serial) :
		(r->changing == NULL || r->change_serial != call->serial))
		return;

	if (failure == SD_VOTER_IDLE && call->kind == CALL_PREPARE && call->decision.verdict == SD_ACCEPTOR_NO_VOTE &&
		machine->sent && machine->voter[call->voter].status == SD_VOTER_ASKED &&
		sd_ballot_compare(&machine->ballot, &call->ballot) == 0)
		w->times[SIM_OUTRUN]++;

	memset(&answer, 0, sizeof(answer));
	answer.voter = call->voter;
	answer.accept = call->kind == CALL_ACCEPT;
	answer.ballot = call->ballot;
	memcpy(answer.region, w->region[call->to].name, SD_NAME_SIZE);
	answer.incarnation = call->incarnation;
	if (failure != SD_VOTER_IDLE)
		sd_proposer_failed(machine, call->voter, call->kind == CALL_ACCEPT, &call->ballot, failure, w->now);
	else if (call->error)
		sd_proposer_failed(machine, call->voter, call->kind == CALL_ACCEPT, &call->ballot, SD_VOTER_ERROR, w->now);
	else if (call->leased)
	{
		if (!call->settle)
			sim_lease_told(w, call);
		sd_proposer_failed(machine, call->voter, call->kind == CALL_ACCEPT, &call->ballot, SD_VOTER_LEASED, w->now);
	}
	else
	{
		switch (call->decision.verdict)
		{
			case SD_ACCEPTOR_PROMISED:
				sim_lease_granted(w, call, &call->ballot);
				sim_count_vote(w, call->to, call->incarnation, false, call->version, &call->ballot, 0);
				sd_proposer_promise(machine, &answer, call->reports, call->n_reports, w->now);
				break;
			case SD_ACCEPTOR_ACCEPTED:
				sim_lease_granted(w, call, &call->ballot);
				sim_count_vote(w, call->to, call->incarnation, true, call->version, &call->ballot, call->entry);
				sd_proposer_accepted(machine, &answer, w->now);
				break;
			case SD_ACCEPTOR_REFUSED:
				sd_proposer_refused(machine, &answer, &call->decision.promised, w->now);
				break;
			case SD_ACCEPTOR_CHOSEN:
				{
					SdEntryRef	entry = sim_entry_ref(call->rows[0]);

					sd_proposer_chosen(machine, call->version, &entry, w->now);
					break;
				}
			default:
				sd_proposer_failed(machine, call->voter, call->kind == CALL_ACCEPT, &call->ballot, SD_VOTER_NO_VOTE, w->now);
				break;
		}
	}
	run_machine(w, region, machine, call->settle, call->serial);
}

/* Something new is in the log here, however it came. */
void
sim_coordinator_learned(World *w, int region, int64_t version, int entry)
{
	Region	   *r = &w->region[region];
	SdEntryRef	ref = sim_entry_ref(entry);

	if (r->changing != NULL)
	{
		sd_proposer_chosen(&r->change, version, &ref, w->now);
		run_change(w, region);
	}
	if (r->up && r->settle.active)
	{
		sd_proposer_chosen(&r->settle.machine, version, &ref, w->now);
		run_settle(w, region);
	}
}

/* ---------- the backend's requests ---------- */

void
sim_coordinator_change(World *w, int region, Attempt *a, int64_t version)
{
	Region	   *r = &w->region[region];

	r->changing = a;
	a->serial = ++r->change_serial;
	a->version = version;
	a->chain = r->mem.chain[r->mem.head];
	if (version > r->mem.head + 1)
		a->chain = sim_next_chain(a->chain, r->mem.accepted[r->mem.head + 1].entry);
	r->change_members = sim_members(w, region, a->version);
	start_machine(w, region, &r->change, SD_PROPOSER_CHANGE, a->version, r->change_members, a->deadline, 0);
	run_change(w, region);
}

void
sim_coordinator_propose(World *w, int region, Attempt *a)
{
	Region	   *r = &w->region[region];
	SdEntryRef	entry = sim_entry_ref(a->entry);
	int64_t		deadline = w->now + QUORUM_TIMEOUT;

	if (r->changing != a)
		return;					/* it is done already, and the backend is about to hear so */
	if (SIM_MISTAKE(SELF_FIRST))
		deadline += 1000000 * SECOND;
	a->trusts_lease = sd_lease_until(&r->lease, &r->change_members->config) > sim_clock(w, region);
	sd_proposer_propose(&r->change, &entry, deadline, w->now);
	run_change(w, region);
}

void
sim_coordinator_own_vote(World *w, int region, Attempt *a, SdOwnVote what)
{
	Region	   *r = &w->region[region];

	if (r->changing != a)
		return;
	sd_proposer_own_vote(&r->change, what, w->now);
	run_change(w, region);
}

void
sim_coordinator_close(World *w, int region, Attempt *a)
{
	Region	   *r = &w->region[region];

	if (r->changing != a)
		return;
	sd_proposer_close(&r->change, w->now);
	run_change(w, region);
}

/* ---------- settlement ---------- */

static int
new_noop(World *w, int region)
{
	int			entry = sim_new_entry(w, region, true);

	if (entry != 0)
		sim_hlc_label(w, region, w->attempt[entry]);
	return entry;
}

/*
 * "A coordinator that sees an accepted, unlearned entry at head + 1 for longer than a bound, or has a client in
 * doubt: look first (a live proposer with a higher promise -> wait), then a higher ballot ... the accepted value
 * with the highest ballot, else a noop if somebody needs a definite answer."
 */
void
sim_coordinator_settle(World *w, int region)
{
	Region	   *r = &w->region[region];
	int64_t		v = r->mem.head + 1;
	bool		old = r->mem.accepted[v].known && w->now - r->accepted_seen[v] > SETTLE_AFTER;

	if (r->settle.active || w->now < r->settle.not_before || (!old && !r->doubt[v]) || !sim_takes_part(w, region))
		return;
	if (r->changing != NULL && r->change.version == v && r->change.phase != SD_PHASE_GRANTED &&
		r->change.phase != SD_PHASE_UNDECIDED)
		return;					/* the live proposer is this region */
	if (w->now - r->promise_seen < 300 * MS && !sd_ballot_is_none(&r->mem.promised) &&
		strcmp(r->mem.promised.region, r->name) != 0)
		return;
	r->settle.active = true;
	r->settle.serial++;
	r->settle.members = sim_members(w, region, v);
	start_machine(w, region, &r->settle.machine, SD_PROPOSER_SETTLE, v, r->settle.members, w->now + QUORUM_TIMEOUT,
				  r->doubt[v] ? new_noop(w, region) : 0);
	run_settle(w, region);
}

/* ---------- life ---------- */

static void
heartbeat(World *w, int region, void *p)
{
	Region	   *r = &w->region[region];
	const Members *m = sim_members(w, region, r->mem.head + 1);

	(void) p;
	for (int i = 0; i < m->config.n; i++)
	{
		if (m->place[i] != r->place)
		{
			Call	   *call = sim_call(w, region, m->place[i], CALL_EXCHANGE);

			call->version = r->mem.head + 1;
			sim_lease_want(w, region, call);
			sim_send(w, call);
		}
	}
	sim_post_coordinator(w, region, HEARTBEAT, heartbeat, NULL);
}

static void
look_around(World *w, int region, void *p)
{
	(void) p;
	sim_coordinator_settle(w, region);
	sim_post_coordinator(w, region, 100 * MS + sim_below(w, 200 * MS), look_around, NULL);
}

void
sim_coordinator_start(World *w, int region)
{
	Region	   *r = &w->region[region];

	r->changing = NULL;
	sim_lease_forget(w, region);
	r->settle.active = false;
	r->settle.not_before = 0;
	r->max_round = r->mem.promised.round;
	memset(r->doubt, 0, sizeof(r->doubt));
	for (int v = 0; v < MAX_VERSION + 2; v++)
		r->accepted_seen[v] = w->now;
	sim_post_coordinator(w, region, sim_below(w, 10 * MS), heartbeat, NULL);
	sim_post_coordinator(w, region, sim_below(w, 500 * MS), sim_ask_around, NULL);
	for (int v = 0; v <= MAX_VERSION; v++)
		r->open_since[v] = w->now;
	sim_post_coordinator(w, region, sim_below(w, 200 * MS), look_around, NULL);
	sim_post_coordinator(w, region, sim_below(w, 200 * MS), sim_online_look, NULL);
	sim_applier_wake(w, region);
}

void
sim_coordinator_kill(World *w, int region)
{
	Region	   *r = &w->region[region];

	sim_say(w, region, "--- coordinator killed");
	r->life++;
	sim_backend_coordinator_gone(w, region);
	sim_coordinator_start(w, region);
}
