/*
 * core.c: unit tests of consensus/, alone, under ASan and UBSan; the program that runs all unit tests.
 *
 * The proposer's tests compare a readable trace: what it was told, what it wanted done.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/acceptor.h"
#include "consensus/ballot.h"
#include "consensus/lease.h"
#include "consensus/membership.h"
#include "consensus/mistakes.h"
#include "consensus/proposer.h"
#include "unit.h"

static int	n_passed;
static int	n_failed;

void
sd_unit_check(bool ok, const char *what, const char *where, int line)
{
	if (ok)
		n_passed++;
	else
	{
		n_failed++;
		printf("not ok - %s line %d: %s\n", where, line, what);
	}
}

/* ---------- small things to build tests from ---------- */

static SdBallot
ballot(int64_t round, const char *region, uint64_t nonce)
{
	SdBallot	b;

	sd_ballot_set(&b, round, region, nonce);
	return b;
}

static SdEntryRef
entry(char letter)
{
	SdEntryRef	e;

	memset(&e, 0, sizeof(e));
	e.id[0] = (uint8_t) letter;
	e.sha[0] = (uint8_t) letter;
	return e;
}

static SdChain
chain(char letter)
{
	SdChain		c;

	memset(&c, 0, sizeof(c));
	c.sha[0] = (uint8_t) letter;
	return c;
}

/* regions a, b, c, ...; one letter of roles each: v voter, o observer, w witness */
static SdConfig
config(const char *roles)
{
	SdConfig	c;

	memset(&c, 0, sizeof(c));
	for (; roles[c.n] != '\0'; c.n++)
	{
		c.member[c.n].region[0] = (char) ('a' + c.n);
		c.member[c.n].incarnation = 1;
		c.member[c.n].role = roles[c.n] == 'v' ? SD_ROLE_VOTER : roles[c.n] == 'o' ? SD_ROLE_OBSERVER : SD_ROLE_WITNESS;
	}
	return c;
}

/* ---------- ballots, membership ---------- */

static void
test_ballots(void)
{
	SdBallot	none = {0};
	SdBallot	b1 = ballot(1, "b", 7);
	SdBallot	long_name;
	char		name[200];

	OK(sd_ballot_is_none(&none) && !sd_ballot_is_none(&b1));
	OK(sd_ballot_compare(&none, &b1) < 0);
	OK(sd_ballot_compare(&b1, &b1) == 0);
	OK(sd_ballot_compare(&(SdBallot) {2, "a", 0}, &b1) > 0);	/* round first */
	OK(sd_ballot_compare(&(SdBallot) {1, "a", 99}, &b1) < 0);	/* then region */
	OK(sd_ballot_compare(&(SdBallot) {1, "b", 8}, &b1) > 0);	/* then nonce */
	OK(sd_ballot_compare(&(SdBallot) {1, "b", UINT64_MAX}, &b1) > 0);	/* unsigned */
	OK(sd_ballot_compare(&(SdBallot) {1, "\xc3\xa9", 0}, &(SdBallot) {1, "z", 0}) > 0);	/* bytes unsigned */
	OK(sd_ballot_compare(&(SdBallot) {1, "ab", 0}, &(SdBallot) {1, "a", 9}) > 0);
	memset(name, 'x', sizeof(name));
	name[199] = '\0';
	long_name = ballot(1, name, 1);
	OK(strlen(long_name.region) == SD_NAME_SIZE - 1);
}

static void
test_membership(void)
{
	SdConfig	c = config("vvvow");
	bool		reach[5] = {true, true, false, true, false};

	OK(sd_quorum_size(1) == 1 && sd_quorum_size(2) == 2 && sd_quorum_size(3) == 2 && sd_quorum_size(4) == 3 && sd_quorum_size(5) == 3);
	OK(sd_config_voters(&c) == 4);
	OK(sd_config_quorum(&c) == 3);
	OK(sd_config_find(&c, "d") == 3 && sd_config_find(&c, "x") == -1);
	OK(sd_config_find_voter(&c, "b", 1) == 1);
	OK(sd_config_find_voter(&c, "b", 2) == -1);	/* another incarnation has no vote */
	OK(sd_config_find_voter(&c, "d", 1) == -1);	/* observer */
	OK(sd_config_find_voter(&c, "e", 1) == 4);	/* witness */
	OK(sd_config_others_needed(&c, "a", 1) == 2);
	OK(sd_config_others_needed(&c, "a", 2) == 3);
	OK(sd_config_others_needed(&c, "d", 1) == 3);
	OK(!sd_config_has_quorum(&c, reach));	/* a, b and an observer */
	reach[4] = true;
	OK(sd_config_has_quorum(&c, reach));
	c.member[1].suspended = true;
	OK(sd_config_find_voter(&c, "b", 1) == 1);	/* suspended: vote unchanged */

	OK(sd_config_check(&c) == SD_CONFIG_LEGAL);
	c.member[2].incarnation = 0;
	OK(sd_config_check(&c) == SD_CONFIG_INCARNATION);
	c.member[2].incarnation = 1;
	c.member[2].region[0] = 'a';
	OK(sd_config_check(&c) == SD_CONFIG_DUPLICATE);
	memset(c.member[2].region, 'x', SD_NAME_SIZE);
	OK(sd_config_check(&c) == SD_CONFIG_NAME);
	c.member[2].region[0] = '\0';
	OK(sd_config_check(&c) == SD_CONFIG_NAME);
	c = config("oww");
	OK(sd_config_check(&c) == SD_CONFIG_NO_VOTER);
	c.n = 0;
	OK(sd_config_check(&c) == SD_CONFIG_SIZE);
}

/* ---------- acceptor ---------- */

static SdAcceptorView
view_at(int64_t head, SdBallot promised)
{
	SdAcceptorView v;

	memset(&v, 0, sizeof(v));
	v.identity_valid = true;
	v.promised = promised;
	v.head = head;
	v.chain_known = true;
	v.chain = chain('h');
	return v;
}

static void
test_acceptor(void)
{
	SdAcceptorView v = view_at(4, ballot(3, "b", 1));
	SdBallot	low = ballot(2, "c", 9);
	SdBallot	same = ballot(3, "b", 1);
	SdBallot	other_nonce = ballot(3, "b", 0);
	SdBallot	high = ballot(4, "a", 0);
	SdChain		right = chain('h');
	SdChain		wrong = chain('x');
	SdEntryRef	e = entry('e');
	SdEntryRef	f = entry('f');
	SdAcceptorDecision d;

	d = sd_acceptor_prepare(&v, &high, 5, &right);
	OK(d.verdict == SD_ACCEPTOR_PROMISED && d.store_promise && d.count_vote && !d.store_accepted && !d.behind);
	OK(sd_ballot_compare(&d.promised, &high) == 0);
	d = sd_acceptor_prepare(&v, &same, 5, &right);	/* a repeat commits again */
	OK(d.verdict == SD_ACCEPTOR_PROMISED && d.store_promise);
	d = sd_acceptor_prepare(&v, &low, 5, &right);
	OK(d.verdict == SD_ACCEPTOR_REFUSED && !d.store_promise && !d.count_vote && sd_ballot_compare(&d.promised, &same) == 0);
	d = sd_acceptor_prepare(&v, &other_nonce, 5, &right);	/* another nonce is another ballot */
	OK(d.verdict == SD_ACCEPTOR_REFUSED);
	d = sd_acceptor_prepare(&v, &high, 5, &wrong);
	OK(d.verdict == SD_ACCEPTOR_DIVERGED && !d.store_promise);
	v.chain_known = false;
	d = sd_acceptor_prepare(&v, &high, 9, &wrong);
	OK(d.verdict == SD_ACCEPTOR_PROMISED && d.behind);
	v = view_at(4, same);
	v.identity_valid = false;
	OK(sd_acceptor_prepare(&v, &high, 5, &right).verdict == SD_ACCEPTOR_NO_VOTE);
	OK(sd_acceptor_accept(&v, &high, 5, &right, &e).verdict == SD_ACCEPTOR_NO_VOTE);
	v = view_at(5, same);
	v.chosen_known = true;
	v.chosen = e;
	OK(sd_acceptor_prepare(&v, &high, 5, &right).verdict == SD_ACCEPTOR_CHOSEN);
	d = sd_acceptor_accept(&v, &high, 5, &right, &f);
	OK(d.verdict == SD_ACCEPTOR_CHOSEN && !d.store_accepted && !d.store_promise);

	v = view_at(4, same);
	d = sd_acceptor_accept(&v, &same, 5, &right, &e);
	OK(d.verdict == SD_ACCEPTOR_ACCEPTED && d.store_accepted && d.store_promise && d.count_vote);
	d = sd_acceptor_accept(&v, &high, 5, &right, &e);	/* an accept raises the promise */
	OK(d.verdict == SD_ACCEPTOR_ACCEPTED && sd_ballot_compare(&d.promised, &high) == 0);
	d = sd_acceptor_accept(&v, &low, 5, &right, &e);
	OK(d.verdict == SD_ACCEPTOR_REFUSED && !d.store_accepted);
	v.accepted_known = true;
	v.accepted_ballot = same;
	v.accepted = e;
	OK(sd_acceptor_accept(&v, &same, 5, &right, &e).verdict == SD_ACCEPTOR_ACCEPTED);
	d = sd_acceptor_accept(&v, &same, 5, &right, &f);
	OK(d.verdict == SD_ACCEPTOR_BALLOT_REUSED && d.stop_voting && !d.store_accepted);
	OK(sd_acceptor_accept(&v, &high, 5, &right, &f).verdict == SD_ACCEPTOR_ACCEPTED);

	/* learn */
	v = view_at(4, same);
	OK(sd_acceptor_learn(&v, 5, &e, true, &right, &right).store_log);
	OK(sd_acceptor_learn(&v, 5, &e, false, &right, &right).verdict == SD_ACCEPTOR_BODY_MISSING);
	OK(sd_acceptor_learn(&v, 5, &e, true, &right, &wrong).verdict == SD_ACCEPTOR_DIVERGED);
	OK(sd_acceptor_learn(&v, 6, &e, true, &right, &right).verdict == SD_ACCEPTOR_BEHIND);
	v.chosen_known = true;
	v.chosen = e;
	OK(sd_acceptor_learn(&v, 4, &e, true, &right, &right).verdict == SD_ACCEPTOR_KNOWN);
	OK(sd_acceptor_learn(&v, 4, &f, true, &right, &right).verdict == SD_ACCEPTOR_DIVERGED);
	v = view_at(4, same);
	v.identity_valid = false;
	OK(sd_acceptor_learn(&v, 5, &e, true, &right, &right).verdict == SD_ACCEPTOR_LEARNED);	/* void goes on learning */
}

static void
test_final(void)
{
	SdBallot	mine = ballot(3, "b", 1);
	SdBallot	high = ballot(4, "a", 0);
	SdAcceptorView v = view_at(4, mine);
	SdChain		right = chain('h');
	SdChain		wrong = chain('x');
	SdEntryRef	e = entry('e');

	OK(sd_acceptor_final(&v, &mine, 5, &right, &e, false) == SD_FINAL_VOTE);
	OK(sd_acceptor_final(&v, &mine, 5, &wrong, &e, false) == SD_FINAL_DIVERGED);
	OK(sd_acceptor_final(&v, &mine, 6, &right, &e, false) == SD_FINAL_DIVERGED);
	v.promised = high;
	OK(sd_acceptor_final(&v, &mine, 5, &right, &e, false) == SD_FINAL_PREEMPTED);
	OK(sd_acceptor_final(&v, &mine, 5, &right, &e, true) == SD_FINAL_CHOSEN);
	v.promised = mine;
	v.identity_valid = false;
	OK(sd_acceptor_final(&v, &mine, 5, &right, &e, false) == SD_FINAL_IDENTITY);
	v.chosen_known = true;
	v.chosen = e;
	OK(sd_acceptor_final(&v, &mine, 5, &right, &e, false) == SD_FINAL_CHOSEN);
	v.chosen = entry('f');
	OK(sd_acceptor_final(&v, &mine, 5, &right, &e, true) == SD_FINAL_LOST);
}

/* ---------- proposer: a trace in, a trace out ---------- */

static SdProposer p;
static char trace[4096];
static int64_t clock_now;

static void
say(const char *format,...)
{
	size_t		used = strlen(trace);
	va_list		args;

	va_start(args, format);
	vsnprintf(trace + used, sizeof(trace) - used, format, args);
	va_end(args);
}

static const char *const outcome_names[] = {"none", "success", "nothing_sent", "taken", "lost", "refused", "unknown",
"no_quorum", "preempted", "leased", "settled", "nothing"};

/* "Pb1" prepare to b at round 1, "pb1" the same again, "Ae1:x" accept of x to e at round 1 */
static void
drain(void)
{
	SdEffect	e;

	while (sd_proposer_next(&p, &e))
	{
		switch (e.kind)
		{
			case SD_EFFECT_SEND_PREPARE:
				say("%s%s%d ", e.again ? "p" : "P", p.config.member[e.voter].region, (int) e.ballot.round);
				break;
			case SD_EFFECT_SEND_ACCEPT:
				say("A%s%d:%c ", p.config.member[e.voter].region, (int) e.ballot.round, e.entry.id[0]);
				break;
			case SD_EFFECT_GRANTED:
				say("granted ");
				break;
			case SD_EFFECT_MUST_SETTLE:
				say("must_settle:%c ", e.entry.id[0]);
				break;
			case SD_EFFECT_READY:
				say("ready%s ", e.chosen ? "(chosen)" : "");
				break;
			case SD_EFFECT_CHOSEN:
				say("chosen:%c ", e.entry.id[0]);
				break;
			case SD_EFFECT_UNDECIDED:
				say("undecided ");
				break;
			case SD_EFFECT_WAIT:
				break;
			case SD_EFFECT_DONE:
				say("done(%s) ", outcome_names[e.outcome]);
				break;
		}
	}
}

/* compare and forget the trace */
static bool
traced(const char *expected)
{
	size_t		n;
	bool		same;

	drain();
	n = strlen(trace);
	if (n > 0 && trace[n - 1] == ' ')
		trace[n - 1] = '\0';
	same = strcmp(trace, expected) == 0;
	if (!same)
		printf("  expected: %s\n  got:      %s\n", expected, trace);
	trace[0] = '\0';
	return same;
}

#define TRACE(expected) OK(traced(expected))

static const bool *required = NULL;	/* voters that the next attempt requires */

static void
begin_with(const char *roles, const char *self, SdProposerMode mode, bool noop, const SdKept *kept)
{
	SdConfig	c = config(roles);
	SdProposerStart s;

	memset(&s, 0, sizeof(s));
	s.mode = mode;
	s.config = &c;
	s.region = self;
	s.incarnation = 1;
	s.version = kept ? kept->version : 5;
	s.kept = kept;
	s.required = required;
	s.seed = 42;
	s.deadline = 1000;
	s.retry_after = 10;
	s.backoff_base = 8;
	s.backoff_max = 64;
	s.max_ballots = 3;
	s.has_noop = noop;
	s.noop = entry('n');
	clock_now = 0;
	trace[0] = '\0';
	sd_proposer_start(&p, &s, clock_now);
}

static void
begin(const char *roles, const char *self, SdProposerMode mode, bool noop)
{
	begin_with(roles, self, mode, noop, NULL);
}

static SdAnswer
from(char region, int round)
{
	SdAnswer	a;

	memset(&a, 0, sizeof(a));
	a.voter = region - 'a';
	a.region[0] = region;
	a.incarnation = 1;
	a.ballot = p.ballot;
	if (round != p.ballot.round)
		a.ballot.round = round;
	return a;
}

static void
promise(char region)
{
	SdAnswer	a = from(region, (int) p.ballot.round);

	sd_proposer_promise(&p, &a, NULL, 0, clock_now);
	drain();
}

static void
promise_reporting(char region, int round, char letter)
{
	SdAnswer	a = from(region, (int) p.ballot.round);
	SdReport	r[2] = {{5, ballot(round, "z", 1), entry(letter)}, {6, ballot(round + 1, "z", 1), entry('Z')}};

	sd_proposer_promise(&p, &a, r, 2, clock_now);
	drain();
}

static void
accepted(char region)
{
	SdAnswer	a = from(region, (int) p.ballot.round);

	a.accept = true;
	sd_proposer_accepted(&p, &a, clock_now);
	drain();
}

static void
refused(char region, int round)
{
	SdAnswer	a = from(region, (int) p.ballot.round);
	SdBallot	b = ballot(round, "z", 0);

	a.accept = p.spent_known;
	sd_proposer_refused(&p, &a, &b, clock_now);
	drain();
}

static void
failed(char region, SdVoterStatus why)
{
	sd_proposer_failed(&p, region - 'a', p.spent_known, &p.ballot, why, clock_now);
	drain();
}

static void
tick(int64_t later)
{
	clock_now += later;
	sd_proposer_tick(&p, clock_now);
	drain();
}

static void
propose(char letter)
{
	SdEntryRef	e = entry(letter);

	sd_proposer_propose(&p, &e, clock_now + 1000, clock_now);
	drain();
}

static void
chosen(char letter)
{
	SdEntryRef	e = entry(letter);

	sd_proposer_chosen(&p, 5, &e, clock_now);
	drain();
}

static void
own(SdOwnVote what)
{
	sd_proposer_own_vote(&p, what, clock_now);
	drain();
}

static void
test_change_succeeds(void)
{
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	TRACE("Pa1 Pb1 Pc1");
	promise('a');
	TRACE("");
	promise('b');
	TRACE("granted");
	promise('c');
	propose('e');
	TRACE("Ab1:e Ac1:e");		/* never to the own acceptor */
	accepted('c');
	TRACE("ready");
	own(SD_OWN_COMMITTED);
	TRACE("chosen:e done(success)");
	accepted('b');
	TRACE("");
}

static void
test_change_alone_and_observer(void)
{
	begin("v", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	TRACE("Pa1 granted");
	propose('e');
	TRACE("ready");
	own(SD_OWN_COMMITTED);
	TRACE("chosen:e done(success)");

	/* an observer needs Q others, and then its commit decides nothing any more */
	begin("vvvo", "d", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('e');
	TRACE("Pa1 Pb1 Pc1 granted Aa1:e Ab1:e Ac1:e");
	accepted('a');
	TRACE("");
	accepted('b');
	TRACE("chosen:e ready(chosen)");
	own(SD_OWN_COMMITTED);
	TRACE("done(success)");
}

static void
test_no_quorum_at_once(void)
{
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	failed('b', SD_VOTER_UNSENT);
	TRACE("Pa1 Pb1 Pc1");
	failed('c', SD_VOTER_NO_VOTE);
	TRACE("done(no_quorum)");
	OK(p.voter[1].status == SD_VOTER_UNSENT && p.voter[2].status == SD_VOTER_NO_VOTE);
	OK(sd_outcome_is_definite(p.outcome));

	/* a vote of another incarnation is not counted */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	{
		SdAnswer	a = from('b', 1);

		a.incarnation = 2;
		sd_proposer_promise(&p, &a, NULL, 0, 0);
	}
	failed('c', SD_VOTER_UNANSWERED);
	TRACE("Pa1 Pb1 Pc1 done(no_quorum)");
	OK(p.voter[1].status == SD_VOTER_WRONG_INCARNATION);

	/* who could not be asked is asked again while another one hangs: as a repeat, which need not wait for a connection */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	failed('c', SD_VOTER_UNSENT);
	tick(10);
	TRACE("Pa1 Pb1 Pc1 pc1");
	failed('c', SD_VOTER_UNSENT);
	failed('b', SD_VOTER_UNSENT);
	TRACE("done(no_quorum)");

	/* time is up in phase 1 */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	tick(999);
	TRACE("Pa1 Pb1 Pc1");
	tick(1);
	TRACE("done(no_quorum)");
}

/* voters that people want in it: waited for besides a majority, and never instead of one */
static void
test_required(void)
{
	const bool	c_required[SD_MAX_REGIONS] = {false, false, true};
	const bool	a_required[SD_MAX_REGIONS] = {true};
	const bool	all_required[SD_MAX_REGIONS] = {true, true, true};
	SdKept		kept = {.known = true, .version = 5};

	/* a majority is there, and waits for it, in both phases */
	required = c_required;
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	TRACE("Pa1 Pb1 Pc1");
	promise('c');
	TRACE("granted");
	propose('e');
	accepted('b');
	TRACE("Ab1:e Ac1:e");
	accepted('c');
	/* b and c are a majority without us */
	TRACE("chosen:e ready(chosen)");
	own(SD_OWN_COMMITTED);
	TRACE("done(success)");

	/* it alone is no majority */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('c');
	TRACE("Pa1 Pb1 Pc1");
	failed('b', SD_VOTER_UNSENT);
	failed('a', SD_VOTER_ERROR);
	TRACE("done(no_quorum)");
	begin("vvvvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	promise('c');
	propose('e');
	accepted('c');
	TRACE("Pa1 Pb1 Pc1 Pd1 Pe1 granted Ab1:e Ac1:e Ad1:e Ae1:e");
	accepted('b');
	TRACE("ready");

	/* known to be missing: at once, whatever the others say */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	failed('c', SD_VOTER_UNSENT);
	TRACE("Pa1 Pb1 Pc1 done(no_quorum)");
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	failed('c', SD_VOTER_NO_VOTE);
	TRACE("Pa1 Pb1 Pc1 done(no_quorum)");
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	tick(1000);
	TRACE("Pa1 Pb1 Pc1 done(no_quorum)");

	/* it has promised to somebody else: a higher ballot */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	refused('c', 7);
	TRACE("Pa1 Pb1 Pc1");
	tick(20);
	TRACE("Pa8 Pb8 Pc8");
	promise('a');
	promise('b');
	failed('c', SD_VOTER_LEASED);
	TRACE("done(leased)");

	/* it vanishes in phase 2: asked again, and then what a majority has accepted is settled, not thrown away */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	promise('c');
	propose('e');
	accepted('b');
	failed('c', SD_VOTER_UNANSWERED);
	TRACE("Pa1 Pb1 Pc1 granted Ab1:e Ac1:e");
	tick(10);
	TRACE("Ac1:e");
	failed('c', SD_VOTER_NO_VOTE);
	TRACE("undecided");
	chosen('e');
	TRACE("chosen:e ready(chosen)");

	/* the same where others are a majority by themselves: chosen, as soon as it is known not to come, or at the deadline */
	begin("vvvvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	promise('c');
	propose('e');
	accepted('b');
	accepted('d');
	accepted('e');
	TRACE("Pa1 Pb1 Pc1 Pd1 Pe1 granted Ab1:e Ac1:e Ad1:e Ae1:e");
	failed('c', SD_VOTER_UNANSWERED);
	TRACE("");
	tick(10);
	TRACE("Ac1:e");
	tick(990);
	TRACE("chosen:e ready(chosen)");

	/* time is up with less than a majority: nobody knows */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	promise('c');
	propose('e');
	accepted('b');
	tick(1000);
	TRACE("Pa1 Pb1 Pc1 granted Ab1:e Ac1:e done(unknown)");

	/* our own promise is one, our own vote the commit; alone, all is one */
	required = a_required;
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('b');
	promise('c');
	TRACE("Pa1 Pb1 Pc1");
	promise('a');
	propose('e');
	accepted('c');
	TRACE("granted Ab1:e Ac1:e ready");
	begin("v", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	propose('e');
	TRACE("Pa1 granted ready");

	/* a kept ballot was promised some time ago: those who are required are asked now */
	required = all_required;
	kept.ballot = ballot(1, "a", 1);
	begin_with("vvv", "a", SD_PROPOSER_CHANGE, false, &kept);
	TRACE("Pa1 Pb1 Pc1");
	promise('a');
	promise('b');
	TRACE("");
	promise('c');
	TRACE("granted");

	/* an observer has no vote that could be required */
	begin("vo", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	propose('e');
	TRACE("Pa1 granted ready");
	required = NULL;
}

static void
test_phase1_preempted(void)
{
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	refused('b', 7);
	TRACE("Pa1 Pb1 Pc1");
	refused('c', 4);
	TRACE("");
	OK(p.phase == SD_PHASE_BACKOFF && p.wake > 0 && p.wake <= 9);
	tick(9);
	TRACE("Pa8 Pb8 Pc8");		/* above everything seen */
	promise('a');
	promise('c');
	TRACE("granted");
	sd_proposer_close(&p, 0);
	TRACE("done(nothing_sent)");

	/* bounded */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	for (int i = 0; i < 3; i++)
	{
		refused('b', 10 * (i + 1));
		refused('c', 10 * (i + 1));
		tick(64);
	}
	TRACE("Pa1 Pb1 Pc1 Pa11 Pb11 Pc11 Pa21 Pb21 Pc21 done(preempted)");
}

static void
test_stale_answers(void)
{
	SdAnswer	old;
	SdBallot	first;

	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	first = p.ballot;
	refused('b', 7);
	refused('c', 7);
	tick(9);
	trace[0] = '\0';
	old = from('a', 1);
	old.ballot = first;
	sd_proposer_promise(&p, &old, NULL, 0, clock_now);	/* answers round 1 */
	promise('b');
	promise('b');				/* twice the same answer is one vote */
	TRACE("");
	OK(p.phase == SD_PHASE_PREPARE);
	promise('a');
	TRACE("granted");
}

/* Under one ballot a voter is asked twice: what it says to the prepare, late, is not its answer to the accept. */
static void
test_late_prepares(void)
{
	static const SdVoterStatus late[] = {SD_VOTER_NO_VOTE, SD_VOTER_LEASED, SD_VOTER_UNSENT, SD_VOTER_ERROR, SD_VOTER_UNANSWERED};

	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++)
	{
		begin("vvv", "a", SD_PROPOSER_CHANGE, false);
		promise('a');
		promise('b');
		propose('x');
		trace[0] = '\0';
		sd_proposer_failed(&p, 2, false, &p.ballot, late[i], clock_now);
		failed('b', SD_VOTER_UNSENT);
		OK(p.voter[2].first_accept == SD_VOTER_ASKED);
		accepted('c');
		TRACE("ready");
		own(SD_OWN_ABORTED);
		OK(p.outcome == SD_OUTCOME_UNKNOWN);
	}

	/* nor is a refusal, though it tells the round; and what it reported is of no use any more */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('x');
	{
		SdAnswer	a = from('c', 1);
		SdBallot	higher = ballot(7, "z", 0);
		SdReport	r = {5, ballot(0, "z", 1), entry('z')};

		sd_proposer_refused(&p, &a, &higher, clock_now);
		OK(p.voter[2].status == SD_VOTER_ASKED && p.max_round == 7);
		sd_proposer_promise(&p, &a, &r, 1, clock_now);
		OK(p.voter[2].status == SD_VOTER_ASKED && !p.reported_known);
	}
	trace[0] = '\0';
	accepted('c');
	TRACE("ready");

	/* a refusal, and one that has no vote: nobody has it, and the next ballot may win */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('x');
	refused('b', 7);
	failed('c', SD_VOTER_NO_VOTE);
	OK(p.phase == SD_PHASE_BACKOFF);
}

static void
test_must_settle_first(void)
{
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise_reporting('a', 1, 'x');
	promise_reporting('c', 2, 'y');	/* the higher ballot's entry, version 6 left alone */
	TRACE("Pa1 Pb1 Pc1 must_settle:y Aa1:y Ab1:y Ac1:y");
	accepted('a');
	accepted('b');
	TRACE("chosen:y done(taken)");
	OK(sd_outcome_is_definite(p.outcome));

	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	chosen('q');
	TRACE("Pa1 Pb1 Pc1 chosen:q done(taken)");
}

static void
test_refused_everywhere_is_definite(void)
{
	/* all refuse: new ballot, phase 1 again, entry of our own once more */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('e');
	refused('b', 3);
	TRACE("Pa1 Pb1 Pc1 granted Ab1:e Ac1:e");
	refused('c', 3);
	tick(9);
	TRACE("Pa4 Pb4 Pc4");
	promise('a');
	promise('b');
	TRACE("Ab4:e Ac4:e");
	/* refused again, and closed: definite */
	refused('b', 9);
	refused('c', 9);
	sd_proposer_close(&p, clock_now);
	TRACE("done(refused)");
	OK(sd_outcome_is_definite(p.outcome));

	/* one refusal is missing: unknown */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('e');
	refused('b', 3);
	sd_proposer_close(&p, clock_now);
	TRACE("Pa1 Pb1 Pc1 granted Ab1:e Ac1:e done(unknown)");

	/* a refusal that carries no higher promise says nothing about a late copy */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('e');
	refused('b', 3);
	refused('c', 0);
	sd_proposer_close(&p, clock_now);
	TRACE("Pa1 Pb1 Pc1 granted Ab1:e Ac1:e undecided done(unknown)");
}

static void
test_refused_repeat_is_unknown(void)
{
	/* REF_RETRY: the first copy went unanswered, its repeat is refused */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('e');
	failed('b', SD_VOTER_UNANSWERED);
	failed('c', SD_VOTER_UNSENT);
	tick(10);
	TRACE("Pa1 Pb1 Pc1 granted Ab1:e Ac1:e Ab1:e Ac1:e");
	refused('b', 3);
	refused('c', 3);
	TRACE("");
	OK(p.phase == SD_PHASE_BACKOFF);
	/* REF_LAST: the last ballot alone would be definite */
	tick(9);
	promise('a');
	promise('b');
	refused('b', 9);
	refused('c', 9);
	sd_proposer_close(&p, clock_now);
	TRACE("Pa4 Pb4 Pc4 Ab4:e Ac4:e done(unknown)");

	/* never sent is not unanswered */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('e');
	failed('c', SD_VOTER_UNSENT);
	refused('b', 3);
	OK(p.phase == SD_PHASE_BACKOFF);
	sd_proposer_close(&p, clock_now);
	TRACE("Pa1 Pb1 Pc1 granted Ab1:e Ac1:e done(refused)");

	/* REF_MAJ: five regions, three of four others refuse, the fourth is silent */
	begin("vvvvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	promise('c');
	propose('e');
	trace[0] = '\0';
	refused('b', 3);
	refused('c', 3);
	refused('d', 3);
	failed('e', SD_VOTER_UNANSWERED);
	TRACE("undecided");
	sd_proposer_close(&p, clock_now);
	TRACE("done(unknown)");
}

static void
test_mixed_answers_are_settled(void)
{
	/* five regions: one accepted, the others refused */
	begin("vvvvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	promise('c');
	propose('e');
	trace[0] = '\0';
	accepted('b');
	refused('c', 3);
	refused('d', 3);
	TRACE("");					/* e may still accept */
	refused('e', 3);
	TRACE("undecided");
	chosen('e');				/* the settlement found it */
	TRACE("chosen:e ready(chosen)");
	own(SD_OWN_COMMITTED);
	TRACE("done(success)");

	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('e');
	accepted('b');
	TRACE("Pa1 Pb1 Pc1 granted Ab1:e Ac1:e ready");
	own(SD_OWN_PREEMPTED);
	TRACE("undecided");
	chosen('n');
	TRACE("chosen:n done(lost)");

	/* both others accepted after all: a majority without us */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('e');
	accepted('b');
	own(SD_OWN_PREEMPTED);
	trace[0] = '\0';
	accepted('c');
	TRACE("chosen:e ready(chosen)");

	/* nobody settles: unknown at the deadline, after the own vote failed */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('e');
	accepted('b');
	own(SD_OWN_PREEMPTED);
	trace[0] = '\0';
	tick(1000);
	TRACE("done(unknown)");
	OK(!sd_outcome_is_definite(p.outcome));
}

/* who has answered "no vote" has not accepted, and is sent nothing more */
static void
test_no_vote_is_definite(void)
{
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('x');
	failed('b', SD_VOTER_NO_VOTE);
	failed('c', SD_VOTER_UNSENT);
	TRACE("Pa1 Pb1 Pc1 granted Ab1:x Ac1:x");
	tick(2000);
	TRACE("done(refused)");

	/* an error says nothing of the sort */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('x');
	failed('b', SD_VOTER_NO_VOTE);
	failed('c', SD_VOTER_ERROR);
	tick(2000);
	TRACE("Pa1 Pb1 Pc1 granted Ab1:x Ac1:x done(unknown)");
}

static void
test_abort_after_acceptance(void)
{
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('e');
	accepted('b');
	trace[0] = '\0';
	tick(5000);					/* no deadline while the backend commits */
	TRACE("");
	own(SD_OWN_ABORTED);
	TRACE("done(unknown)");
}

static void
test_another_entry_appears_at_the_new_ballot(void)
{
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('e');
	refused('b', 3);
	refused('c', 3);
	tick(9);
	trace[0] = '\0';
	promise('a');
	promise_reporting('b', 3, 'f');
	TRACE("must_settle:f Aa4:f Ab4:f Ac4:f");
	accepted('a');
	accepted('c');
	TRACE("chosen:f done(lost)");
}

static void
test_settle(void)
{
	begin("vvv", "a", SD_PROPOSER_SETTLE, false);
	promise('b');
	promise('c');
	TRACE("Pa1 Pb1 Pc1 done(nothing)");

	begin("vvv", "a", SD_PROPOSER_SETTLE, true);
	promise('b');
	promise('c');
	accepted('a');
	accepted('c');
	TRACE("Pa1 Pb1 Pc1 Aa1:n Ab1:n Ac1:n chosen:n done(settled)");

	begin("vvv", "a", SD_PROPOSER_SETTLE, true);
	promise_reporting('b', 1, 'x');
	promise('c');
	accepted('a');
	refused('b', 6);
	refused('c', 6);
	tick(9);
	TRACE("Pa1 Pb1 Pc1 must_settle:x Aa1:x Ab1:x Ac1:x Pa7 Pb7 Pc7");
	promise('b');
	promise_reporting('a', 1, 'x');
	failed('a', SD_VOTER_UNANSWERED);
	failed('b', SD_VOTER_UNANSWERED);
	TRACE("must_settle:x Aa7:x Ab7:x Ac7:x done(no_quorum)");
}

/* what the round that has just ended keeps */
static SdKept
kept(void)
{
	SdKept		k;

	sd_proposer_keep(&p, &k);
	return k;
}

static void
test_kept_ballot(void)
{
	SdKept		k;

	/* our own entry is chosen: the next version under the same ballot, without phase 1 */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('x');
	accepted('b');
	own(SD_OWN_COMMITTED);
	k = kept();
	OK(k.known && k.version == 6 && k.ballot.round == 1 && sd_ballot_compare(&k.ballot, &p.ballot) == 0);
	begin_with("vvv", "a", SD_PROPOSER_CHANGE, false, &k);
	TRACE("granted");
	OK(sd_ballot_compare(&k.ballot, &p.ballot) == 0 && p.version == 6);
	propose('y');
	TRACE("Ab1:y Ac1:y");
	accepted('c');
	TRACE("ready");
	own(SD_OWN_COMMITTED);
	TRACE("chosen:y done(success)");
	OK(kept().version == 7);

	/* a kept ballot that others have overtaken meanwhile: as any other */
	begin_with("vvv", "a", SD_PROPOSER_CHANGE, false, &k);
	propose('y');
	refused('b', 3);
	refused('c', 3);
	tick(100);
	TRACE("granted Ab1:y Ac1:y Pa4 Pb4 Pc4");
	OK(!kept().known);

	/* nothing was sent under it: it may be used for the same version */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	sd_proposer_own_vote(&p, SD_OWN_ABORTED, clock_now);
	k = kept();
	OK(k.known && k.version == 5);

	/* spent on an entry of which nobody knows: dropped */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('x');
	sd_proposer_own_vote(&p, SD_OWN_ABORTED, clock_now);
	OK(!kept().known);

	/* spent on ours, and another one is chosen: dropped */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	propose('x');
	chosen('y');
	OK(!kept().known);

	/* taken before anything was sent: dropped, too */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	chosen('y');
	OK(!kept().known);

	/* a promise that reported a later version: it would have to be proposed there first */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	{
		SdAnswer	a = from('b', 1);
		SdReport	r = {6, ballot(0, "z", 1), entry('z')};

		sd_proposer_promise(&p, &a, &r, 1, clock_now);
	}
	promise('a');
	propose('x');
	accepted('c');
	own(SD_OWN_COMMITTED);
	OK(p.outcome == SD_OUTCOME_SUCCESS && !kept().known);

	/* no majority ever promised */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	sd_proposer_close(&p, clock_now);
	OK(!kept().known);

	/* what a settlement chose is not ours */
	begin("vvv", "a", SD_PROPOSER_SETTLE, true);
	promise('a');
	promise('b');
	accepted('a');
	accepted('b');
	OK(p.outcome == SD_OUTCOME_SETTLED && !kept().known);
}

static void
test_leased(void)
{
	/* at once, not at the deadline: the caller asks the holder */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	failed('a', SD_VOTER_LEASED);
	failed('b', SD_VOTER_LEASED);
	TRACE("Pa1 Pb1 Pc1 done(leased)");
	OK(sd_outcome_is_definite(p.outcome));

	/* one that has granted it and one that is away */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	failed('b', SD_VOTER_UNSENT);
	failed('c', SD_VOTER_LEASED);
	TRACE("Pa1 Pb1 Pc1 done(leased)");

	/* one that is away, and one of which nothing is known: perhaps there is no majority at all */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	failed('a', SD_VOTER_LEASED);
	failed('b', SD_VOTER_UNSENT);
	TRACE("Pa1 Pb1 Pc1");
	failed('c', SD_VOTER_UNSENT);
	TRACE("done(no_quorum)");

	/* two that are away: without them it would not help to ask */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	failed('b', SD_VOTER_UNSENT);
	failed('c', SD_VOTER_UNSENT);
	failed('a', SD_VOTER_LEASED);
	TRACE("Pa1 Pb1 Pc1 done(no_quorum)");

	/* enough without it */
	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	failed('b', SD_VOTER_LEASED);
	promise('c');
	TRACE("Pa1 Pb1 Pc1 granted");

	begin("vvv", "a", SD_PROPOSER_SETTLE, false);
	failed('a', SD_VOTER_LEASED);
	failed('b', SD_VOTER_LEASED);
	TRACE("Pa1 Pb1 Pc1 done(leased)");
}

static void
test_grant(void)
{
	SdGrant		g = {0};
	SdBallot	none = {0};
	SdBallot	b = ballot(3, "a", 7);
	SdBallot	later = ballot(4, "c", 9);

	OK(!sd_grant_forbids(&g, "b", &none, 100));
	sd_grant_note(&g, &b, 50, 100);
	OK(sd_grant_forbids(&g, "b", &none, 149));
	OK(!sd_grant_forbids(&g, "b", &none, 150));
	OK(!sd_grant_forbids(&g, "a", &none, 120));		/* the holder itself */
	OK(!sd_grant_forbids(&g, "b", &b, 120));		/* given up by its holder */
	OK(sd_grant_forbids(&g, "b", &later, 120));		/* that was another lease */
	{
		SdBallot	before = ballot(2, "a", 9);
		SdBallot	after = ballot(4, "a", 1);

		OK(sd_grant_forbids(&g, "b", &before, 120));	/* an earlier one of the same region */
		OK(!sd_grant_forbids(&g, "b", &after, 120));	/* all up to that round */
	}
	sd_grant_note(&g, &b, 50, 90);					/* an older call, handled late */
	OK(sd_grant_forbids(&g, "b", &none, 149));
	sd_grant_note(&g, &b, 50, 140);					/* renewed */
	OK(sd_grant_forbids(&g, "b", &none, 189) && !sd_grant_forbids(&g, "b", &none, 190));
	sd_grant_note(&g, &later, 0, 150);				/* settled by c, who wants no lease */
	OK(!sd_grant_forbids(&g, "b", &none, 151));
	sd_grant_note(&g, &b, 50, 150);
	sd_grant_note(&g, &b, 0, 151);
	OK(sd_grant_forbids(&g, "b", &none, 152));
}

static void
test_lease(void)
{
	SdConfig	c = config("vvvo");
	SdBallot	b = ballot(1, "a", 1);
	SdBallot	other = ballot(2, "a", 1);
	SdLease		l = {0};

	OK(sd_lease_until(&l, &c) == 0 && !sd_lease_usable(&l, &c, 5, 0));
	sd_lease_begin(&l, &b);
	sd_lease_granted(&l, &b, 0, 1000, 100);
	OK(sd_lease_until(&l, &c) == 0);				/* one of three is no quorum */
	sd_lease_granted(&l, &b, 3, 1000, 100);
	OK(sd_lease_until(&l, &c) == 0);				/* nor with an observer */
	sd_lease_granted(&l, &b, 1, 1020, 100);
	OK(sd_lease_until(&l, &c) == 1090);				/* 9/10, from sending */
	sd_lease_granted(&l, &b, 2, 1040, 100);
	OK(sd_lease_until(&l, &c) == 1110);
	sd_lease_granted(&l, &b, 2, 900, 100);
	OK(sd_lease_until(&l, &c) == 1110);				/* never shortened */
	sd_lease_granted(&l, &other, 0, 5000, 100);
	OK(sd_lease_until(&l, &c) == 1110);				/* another ballot's */

	begin("vvvo", "a", SD_PROPOSER_CHANGE, false);
	promise('a');
	promise('b');
	sd_lease_begin(&l, &p.ballot);
	OK(sd_lease_until(&l, &c) == 0);
	sd_lease_granted(&l, &p.ballot, 0, 1000, 100);
	sd_lease_granted(&l, &p.ballot, 1, 1000, 100);
	sd_proposer_close(&p, clock_now);
	sd_lease_keep(&l, &p);
	OK(sd_lease_usable(&l, &c, 5, 1089));
	OK(!sd_lease_usable(&l, &c, 5, 1090));			/* over */
	OK(!sd_lease_usable(&l, &c, 6, 1000));			/* not for that version */
	c.since = 4;
	OK(!sd_lease_usable(&l, &c, 5, 1000));			/* the voters are others now */
	c.since = p.config.since;

	/* a voter that refuses it for a higher promise, however late, would never vote under it again */
	sd_lease_refused(&l, &b, &other);				/* another ballot was refused */
	sd_lease_refused(&l, &p.ballot, &p.ballot);		/* and that is no higher promise */
	OK(sd_lease_usable(&l, &c, 5, 1000));
	other = p.ballot;
	other.nonce++;
	sd_lease_refused(&l, &p.ballot, &other);
	OK(!sd_lease_usable(&l, &c, 5, 1000));
	sd_lease_begin(&l, &p.ballot);					/* while a round of it goes on */
	sd_lease_keep(&l, &p);
	OK(!sd_lease_usable(&l, &c, 5, 1000) && sd_lease_until(&l, &c) == 0);
}

static void
test_line(void)
{
	SdLine		l = {0};
	const int64_t patience = SD_LINE_PATIENCE;
	char		name[] = "r000";

	OK(sd_line_first(&l, 0) == NULL);
	OK(sd_line_ask(&l, "b", 100, false, true, false, 200) == SD_LINE_KEPT);
	OK(sd_line_ask(&l, "c", 150, false, false, false, 200) == SD_LINE_OTHER);	/* b waits longer */
	OK(sd_line_ask(&l, "d", 50, false, true, true, 200) == SD_LINE_ENDED);	/* and d longer still */
	OK(strcmp(sd_line_first(&l, 200)->region, "b") == 0);	/* d has left */
	OK(sd_line_ask(&l, "c", 150, true, true, false, 200) == SD_LINE_KEPT);
	OK(sd_line_ask(&l, "b", 100, true, true, false, 200) == SD_LINE_GIVEN);	/* given up before: to who is first */
	OK(sd_line_ask(&l, "c", 150, false, false, false, 200) == SD_LINE_GIVEN && sd_line_first(&l, 200) == NULL);

	OK(sd_line_ask(&l, "b", 100, false, true, false, 200) == SD_LINE_KEPT);
	OK(sd_line_first(&l, 200 + patience) == NULL);	/* it has not asked again */
	OK(sd_line_ask(&l, "c", 900, false, false, false, 200 + patience) == SD_LINE_GIVEN);
	memset(&l, 0, sizeof(l));
	for (int i = 0; i < SD_LINE_PLACES + 1; i++)
	{
		snprintf(name, sizeof(name), "r%03d", i);
		OK(sd_line_ask(&l, name, 1000 + i, false, true, false, 2000) == (i == 0 ? SD_LINE_KEPT : SD_LINE_OTHER));
	}
	OK(l.n == SD_LINE_PLACES);		/* full: somebody loses a place, nothing else does */
}

static void
test_nonces_differ(void)
{
	uint64_t	first;

	begin("vvv", "a", SD_PROPOSER_CHANGE, false);
	first = p.ballot.nonce;
	refused('b', 3);
	refused('c', 3);
	tick(9);
	OK(p.ballot.nonce != first && p.ballot.round == 4);
}

int
main(void)
{
	test_ballots();
	test_membership();
	test_acceptor();
	test_final();
	test_change_succeeds();
	test_change_alone_and_observer();
	test_no_quorum_at_once();
	test_required();
	test_phase1_preempted();
	test_stale_answers();
	test_late_prepares();
	test_must_settle_first();
	test_refused_everywhere_is_definite();
	test_refused_repeat_is_unknown();
	test_mixed_answers_are_settled();
	test_no_vote_is_definite();
	test_abort_after_acceptance();
	test_another_entry_appears_at_the_new_ballot();
	test_settle();
	test_kept_ballot();
	test_leased();
	test_grant();
	test_lease();
	test_line();
	test_nonces_differ();
	test_causality();
	printf("unit: %d passed, %d failed\n", n_passed, n_failed);
	return n_failed == 0 ? 0 : 1;
}
