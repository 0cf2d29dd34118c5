/*
 * calls.c: the network, and the answering side: an acceptor's transaction with its row locks and its flush.
 *
 * A call is one statement on one connection: it is executed once or not at all (a repeat is a new call), it may
 * be executed long after the caller has closed the socket, and its answer may be lost.  Requests that may be
 * repeated without harm (prepare, learn) are also repeated by the network, to show that they may.
 */
#include "sim.h"

#include <string.h>

/*
 * The server that an address leads to: the newest there that the caller has heard of.  While an old primary lives
 * on, some still talk to it, and to it only.
 */
int
sim_resolve(const World *w, int from, int place)
{
	if (w->region[from].place == place)
		return from;
	for (int i = w->n - 1; i >= 0; i--)
	{
		if (w->region[i].place == place && !w->region[i].retired && !w->region[i].elsewhere && !w->hidden[from][i])
			return i;
	}
	return w->at[place];
}

Call *
sim_call(World *w, int from, int to_place, CallKind kind)
{
	Call	   *call = sim_alloc(w, sizeof(Call));

	call->kind = kind;
	call->from = from;
	call->to_place = to_place;
	call->to = sim_resolve(w, from, to_place);
	call->remembered = w->region[from].mem.peer[to_place];
	call->from_boot = w->region[from].boot;
	call->from_life = w->region[from].life;
	call->session = ++w->next_session;
	return call;
}

/* ---------- the caller's end ---------- */

static void
caller_answered(World *w, int region, void *p)
{
	Call	   *call = p;

	(void) region;
	if (call->over)
		return;
	call->over = true;
	sim_coordinator_answer(w, call, SD_VOTER_IDLE);
}

static void
caller_unanswered(World *w, int region, void *p)
{
	Call	   *call = p;

	(void) region;
	if (call->over)
		return;
	call->over = true;
	sim_coordinator_answer(w, call, SD_VOTER_UNANSWERED);
}

static void
caller_unsent(World *w, int region, void *p)
{
	Call	   *call = p;

	(void) region;
	if (call->over)
		return;
	call->over = true;
	sim_coordinator_answer(w, call, SD_VOTER_UNSENT);
}

/* ---------- the answering end ---------- */

static bool
message_lost(World *w, int from, int to)
{
	return from != to && (w->cut[from][to] || w->hidden[from][to] || sim_chance(w, w->chaos.loss));
}

static int64_t
message_delay(World *w, int from, int to)
{
	return from == to ? 1 + sim_below(w, 200) : sim_about(w, w->chaos.delay);
}

/*
 * Answers to a prepare take their time on some links, each for itself: others make a majority meanwhile, and the accept is
 * sent, or the round is over.
 */
static int64_t
held_up(World *w, const Call *call)
{
	if (call->kind != CALL_PREPARE || call->to == call->from || !w->slow[call->to][call->from] || !sim_chance(w, w->chaos.slow_answers))
		return 0;
	return sim_about(w, w->chaos.slow_answer);
}

static void
answer(World *w, Call *call)
{
	if (call->silent || message_lost(w, call->to, call->from))
		return;
	if (call->kind == CALL_ACCEPT && call->to != call->from && sim_chance(w, w->chaos.answer_loss))
		return;
	sim_post(w, call->from, message_delay(w, call->to, call->from) + held_up(w, call), caller_answered, call);
}

static void
rows_for(World *w, Call *call, int64_t from)
{
	const Tables *t = &w->region[call->to].mem;

	call->rows_from = from;
	call->n_rows = 0;
	if (call->kind == CALL_EXCHANGE && sim_chance(w, w->chaos.fetch_loss))
		return;
	for (int64_t v = from; v <= t->head && call->n_rows < MAX_ROWS; v++)
	{
		call->rows[call->n_rows] = t->log[v];
		call->chains[call->n_rows++] = t->chain[v];
	}
}

static void
call_error(World *w, int region, void *p)
{
	Call	   *call = p;

	sim_say(w, region, "cannot lock its rows in time for a call of %s", w->region[call->from].label);
	call->error = true;
	answer(w, call);
}

/* what the decision says is written and committed, in one go with the flush */
static void
call_commit(World *w, int region, void *p)
{
	Call	   *call = p;
	Region	   *r = &w->region[region];

	if (call->kind == CALL_LEARN)
	{
		for (int i = 0; i < call->n_rows; i++)
		{
			int64_t		v = call->rows_from + i;
			SdAcceptorView view;
			SdEntryRef	entry = sim_entry_ref(call->rows[i]);
			SdChain		told = sim_chain(call->chains[i]);
			SdChain		computed = {{0}};

			sim_view(w, region, v, &view);
			if (v == r->mem.head + 1)
				computed = sim_chain(sim_next_chain(r->mem.chain[v - 1], call->rows[i]));
			call->decision = sd_acceptor_learn(&view, v, &entry, true, &told, &computed);
			if (call->decision.verdict == SD_ACCEPTOR_DIVERGED && !SIM_MISTAKE(ALPHA2))
				sim_violation(w, 1, "%s learns %s for version %lld, which does not fit its log", r->label,
							  sim_entry(w, call->rows[i]), (long long) v);
			if (call->decision.store_log)
			{
				sim_say(w, region, "learns %s at version %lld", sim_entry(w, call->rows[i]), (long long) v);
				sim_store_log(w, region, v, call->rows[i]);
				sim_coordinator_learned(w, region, v, call->rows[i]);
			}
		}
		sim_applier_wake(w, region);
	}
	else
	{
		/* row `self` is locked, too, by whoever changes it: that was then the one that came first */
		if (call->decision.count_vote && (!sim_identity_valid(w, region) || call->incarnation != r->mem.incarnation))
		{
			memset(&call->decision, 0, sizeof(call->decision));
			call->decision.verdict = SD_ACCEPTOR_NO_VOTE;
		}
		if (call->decision.store_promise)
			sim_store_promise(w, region, &call->decision.promised);
		if (call->decision.verdict == SD_ACCEPTOR_PROMISED)
			sim_note_promise(w, region, &call->ballot);
		if (call->decision.store_accepted)
			sim_store_accepted(w, region, call->version, &call->ballot, call->entry);
		if (call->decision.count_vote)
			sim_lease_grant(w, region, call);
		call->vote_seq = r->mem.vote_seq;
	}
	sim_commit(w, region);
	sim_unlock(w, region, &r->rows, call->session);
	if (!(SIM_MISTAKE(ACK_EARLY) && call->kind != CALL_LEARN))
	{
		/* the classic: stored, and nobody told */
		if (call->kind == CALL_ACCEPT && sim_crash_point(w, region, "after its acceptance is flushed, before the answer"))
			return;
		answer(w, call);
	}
}

/* rows are locked: decide */
static void
call_decide(World *w, int region, void *p)
{
	static const char *const verdicts[] = {
		[SD_ACCEPTOR_PROMISED] = "promises", [SD_ACCEPTOR_ACCEPTED] = "accepts", [SD_ACCEPTOR_REFUSED] = "refuses",
		[SD_ACCEPTOR_CHOSEN] = "has chosen already", [SD_ACCEPTOR_NO_VOTE] = "does not vote:",
		[SD_ACCEPTOR_DIVERGED] = "DIVERGED:", [SD_ACCEPTOR_BALLOT_REUSED] = "BALLOT REUSED:"
	};
	Call	   *call = p;
	Region	   *r = &w->region[region];
	SdAcceptorView view;
	SdChain		chain = sim_chain(call->chain);

	if (call->kind != CALL_LEARN)
	{
		sim_told(w, region, -1, &call->remembered);
		call->incarnation = r->mem.incarnation;
		call->vote_seq = r->mem.vote_seq;
		sim_view(w, region, call->version, &view);
		if (call->kind == CALL_PREPARE)
			call->decision = sd_acceptor_prepare(&view, &call->ballot, call->version, &chain);
		else
		{
			SdEntryRef	entry = sim_entry_ref(call->entry);

			call->decision = sd_acceptor_accept(&view, &call->ballot, call->version, &chain, &entry);
		}
		call->head = r->mem.head;
		sim_say(w, region, "%s %s %s for version %lld from %s%s%s", verdicts[call->decision.verdict],
				call->kind == CALL_PREPARE ? "prepare" : "accept", sim_ballot(w, &call->ballot),
				(long long) call->version, w->region[call->from].label,
				call->kind == CALL_ACCEPT ? " of " : "", call->kind == CALL_ACCEPT ? sim_entry(w, call->entry) : "");

		if (call->decision.verdict == SD_ACCEPTOR_BALLOT_REUSED)
			sim_violation(w, 4, "%s sees ballot %s with two entries at version %lld", r->label,
						  sim_ballot(w, &call->ballot), (long long) call->version);
		if (call->decision.verdict == SD_ACCEPTOR_DIVERGED && !SIM_MISTAKE(ALPHA2))
			sim_violation(w, 1, "the log of %s and that of %s differ before version %lld", r->label,
						  w->region[call->from].label, (long long) call->version);
		if (call->decision.verdict == SD_ACCEPTOR_PROMISED)
		{
			/* "the accepted entries of all versions >= s" */
			for (int64_t v = call->version; v <= MAX_VERSION && call->n_reports < MAX_REPORTS; v++)
			{
				const Accepted *accepted = &r->mem.accepted[v];

				if (!accepted->known || (SIM_MISTAKE(PREP_ONE) && v > call->version))
					continue;
				call->reports[call->n_reports].version = v;
				call->reports[call->n_reports].ballot = accepted->ballot;
				call->reports[call->n_reports++].entry = sim_entry_ref(accepted->entry);
			}
		}
		if (call->decision.verdict == SD_ACCEPTOR_CHOSEN)
			rows_for(w, call, call->version);
		if (SIM_MISTAKE(ACK_EARLY))
			answer(w, call);
	}
	/* what writes nothing flushes nothing */
	if (call->kind == CALL_LEARN || call->decision.store_promise || call->decision.store_accepted)
		sim_post_process(w, region, sim_flush_time(w, region), call_commit, call);
	else
		call_commit(w, region, call);
}

static void
call_arrives(World *w, int region, void *p)
{
	Call	   *call = p;
	Region	   *r = &w->region[region];

	if (!r->up)
	{
		/* connection reset, if the way back is open */
		if (!call->silent && !message_lost(w, region, call->from))
			sim_post(w, call->from, message_delay(w, region, call->from), caller_unanswered, call);
		return;
	}
	if (call->kind == CALL_ASK)
	{
		sim_asked(w, region, call);
		return;
	}
	if (call->kind == CALL_HANDOVER)
	{
		sim_handover_asked(w, region, call);
		answer(w, call);
		return;
	}
	if (sim_lease_forbids(w, region, call))
	{
		answer(w, call);
		return;
	}
	if (call->kind == CALL_EXCHANGE)
	{
		/* writes nothing, locks nothing; what is heard about oneself is a row lock's business, so another time if it is taken */
		if (r->rows.holder == 0)
			sim_told(w, region, -1, &call->remembered);
		call->head = r->mem.head;
		call->incarnation = r->mem.incarnation;
		call->vote_seq = r->mem.vote_seq;
		sim_lease_renew(w, region, call);
		call->is_void = r->mem.is_void;
		call->hlc = r->hlc;
		call->applied = r->mem.applied;
		memcpy(call->task, r->mem.task, sizeof(call->task));
		if (!r->mem.is_void)
			sim_note_reported(w, region);
		call->remembers = r->mem.peer[w->region[call->from].place];
		rows_for(w, call, call->version);
		answer(w, call);
		return;
	}

	/* no detector sees a cycle of row locks over several servers: only the timeout ends it */
	sim_lock(w, region, &r->rows, call->session, SIM_MISTAKE(SELF_FIRST) ? 0 : LOCK_TIMEOUT, call_decide, call_error, call);
}

/*
 * Thrifty: who asks no more voters than it needs, and the others after a while.  The product asks all at once; the core takes
 * a voter that was not asked for one that could not be reached, and repeats.
 */
static bool
sim_spared(World *w, const Call *call)
{
	if (call->from == call->to || call->settle || (call->kind != CALL_PREPARE && call->kind != CALL_ACCEPT))
		return false;
	return !w->healing && sim_chance(w, w->chaos.thrifty * 0.5);
}

void
sim_send(World *w, Call *call)
{
	int			from = call->from;
	int			to = call->to;

	if (((w->cut[from][to] || w->hidden[from][to]) && sim_chance(w, 0.5)) || sim_spared(w, call))
	{
		/* the connection is known to be gone, or it is not asked yet */
		sim_post_coordinator(w, from, 1 + sim_below(w, 100), caller_unsent, call);
		return;
	}
	if (!SIM_MISTAKE(SELF_FIRST) || call->kind != CALL_ACCEPT)
		sim_post_coordinator(w, from, CALL_TIMEOUT, caller_unanswered, call);
	if (!message_lost(w, from, to) && !(call->kind == CALL_LEARN && from != to && sim_chance(w, w->chaos.learn_loss)))
		sim_post(w, to, message_delay(w, from, to), call_arrives, call);
	if (from != to && (call->kind == CALL_PREPARE || call->kind == CALL_LEARN) && sim_chance(w, w->chaos.repeat))
	{
		Call	   *again = sim_call(w, from, call->to_place, call->kind);
		int64_t		session = again->session;

		*again = *call;
		again->session = session;
		again->silent = true;
		sim_post(w, to, message_delay(w, from, to) * 4, call_arrives, again);
	}
}

/* Kill the region right here, now and then.  True if it died: the caller must touch nothing of it any more. */
bool
sim_crash_point(World *w, int region, const char *where)
{
	if (w->healing || !sim_chance(w, w->chaos.crash_at_point))
		return false;
	sim_crash(w, region, where);
	return true;
}
