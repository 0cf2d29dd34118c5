/*
 * chaos.c: what kind of schedule: how often what goes wrong.
 *
 * Most schedules draw everything apart.  One in five is biased towards an order of events that is rare otherwise; nothing
 * happens in it that could not happen in the others.
 */
#include "sim.h"

const char *const sim_bias_names[BIASES] = {
	[BIAS_NONE] = "none", [BIAS_OWN_ROWS] = "own_rows", [BIAS_LIVES] = "lives", [BIAS_RESTORE] = "restore",
	[BIAS_MEMBERS] = "members", [BIAS_OVERTAKE] = "overtake", [BIAS_HOLDER] = "holder", [BIAS_LATE] = "late",
	[BIAS_FAIR] = "fair"
};

static int64_t
pick(World *w, int64_t a, int64_t b, int64_t c)
{
	switch (sim_below(w, 3))
	{
		case 0:
			return a;
		case 1:
			return b;
		default:
			return c;
	}
}

static void
draw_everything(World *w)
{
	Chaos	   *c = &w->chaos;

	c->delay = pick(w, 2 * MS, 20 * MS, 80 * MS);
	c->flush = pick(w, 1 * MS, 1 * MS, 20 * MS);
	c->statements = pick(w, 2 * MS, 50 * MS, 400 * MS);
	c->think = pick(w, 300 * MS, 1500 * MS, 4 * SECOND);
	c->client_rollback = 0.05;
	c->required = (double) pick(w, 0, 0, 20) / 100;
	c->thrifty = (double) pick(w, 0, 0, 80) / 100;
	c->lease = pick(w, 0, 2 * SECOND, 10 * SECOND);
	c->operate_every = pick(w, 0, 1 * SECOND, 4 * SECOND);
	c->online = (double) pick(w, 0, 10, 30) / 100;
	c->take_back = (double) pick(w, 0, 5, 20) / 100;
	c->calm = sim_chance(w, 0.1);
	if (c->calm)
	{
		if (c->delay > 20 * MS)
			c->delay = 20 * MS;
		c->flush = 1 * MS;
		c->thrifty = 0;
		return;
	}
	c->loss = (double) pick(w, 0, 5, 20) / 100;
	c->repeat = 0.1;
	c->learn_loss = (double) pick(w, 0, 0, 70) / 100;
	c->crash_at_point = (double) pick(w, 0, 3, 15) / 100;
	c->coordinator_kill = 0.3;
	c->client_cancel = 0.1;
	c->forget = c->lease > 0 ? 0.02 : 0;
	c->late_failure = 0.05;
	c->poison = (double) pick(w, 0, 5, 20) / 100;
	c->depends = (double) pick(w, 0, 20, 50) / 100;
	c->crash_every = pick(w, 0, 1500 * MS, 5 * SECOND);
	c->cut_every = pick(w, 0, 2 * SECOND, 6 * SECOND);
	c->cut_length = 1500 * MS;
	c->one_link = 0.3;
	c->one_way = 0.3;
	c->pause_every = pick(w, 0, 1500 * MS, 5 * SECOND);
	c->jump_every = pick(w, 0, 500 * MS, 3 * SECOND);
	c->lose_every = pick(w, 0, 2 * SECOND, 6 * SECOND);
	c->backup_every = 4 * SECOND;
	c->fail_over = 0.4;
	c->old_primary_lives = 0.5;
	c->clone = 0.5;
}

/* Answers to a prepare that others have made needless; and servers that may not vote for a moment. */
static void
draw_late_answers(World *w)
{
	Chaos	   *c = &w->chaos;

	c->slow_links = (double) pick(w, 0, 0, 50) / 100;
	c->slow_answers = 0.5;
	c->slow_answer = 300 * MS;
	c->unfit_every = pick(w, 0, 0, 2 * SECOND);
	c->unfit_length = 300 * MS;
}

/* Everything is quick, and nothing goes wrong but what the bias asks for. */
static void
draw_quick(World *w)
{
	Chaos	   *c = &w->chaos;

	draw_everything(w);
	c->calm = false;
	c->delay = 2 * MS;
	c->flush = 1 * MS;
	c->statements = 2 * MS;
	c->think = 300 * MS;
	c->loss = c->learn_loss = c->crash_at_point = c->client_cancel = c->forget = c->late_failure = c->required = c->thrifty = 0;
	c->client_rollback = c->online = c->take_back = c->poison = c->depends = 0;
	c->repeat = 0.1;
	c->cut_length = 1500 * MS;
	c->crash_every = c->cut_every = c->pause_every = c->lose_every = c->operate_every = c->lease = 0;
	c->backup_every = 4 * SECOND;
	c->clone = 0;
}

void
sim_choose_chaos(World *w, Bias bias)
{
	Chaos	   *c = &w->chaos;

	if (bias == BIAS_DRAWN)
		bias = sim_chance(w, 0.2) ? (Bias) (1 + sim_below(w, BIAS_FAIR - 1)) : BIAS_NONE;
	w->bias = bias;
	if (bias == BIAS_NONE)
	{
		draw_everything(w);
		if (!w->chaos.calm)
			draw_late_answers(w);
		return;
	}
	draw_quick(w);
	switch (bias)
	{
		case BIAS_OWN_ROWS:
			/* origins die after others have their accept, before anything of it is on their own disk */
			c->delay = pick(w, 2 * MS, 20 * MS, 20 * MS);
			c->slow_disk = 150 * MS;
			c->loss = 0.25;
			c->crash_at_point = 0.1;
			c->crash_every = 1500 * MS;
			break;
		case BIAS_LIVES:
			/* servers of one name after each other, and beside each other */
			c->lose_every = 800 * MS;
			c->fail_over = 0.8;
			c->clone = 0.5;
			c->old_primary_lives = 0.9;
			break;
		case BIAS_RESTORE:
			/* backups that are taken often and restored often, also of servers that are void already */
			c->lose_every = 500 * MS;
			c->backup_every = 700 * MS;
			c->delay = pick(w, 2 * MS, 20 * MS, 20 * MS);
			c->learn_loss = 0.3;
			break;
		case BIAS_MEMBERS:
			/* entries that change who votes, while others do not hear of what is chosen */
			c->operate_every = 300 * MS;
			c->learn_loss = 0.7;
			c->fetch_loss = 0.5;
			c->delay = pick(w, 2 * MS, 20 * MS, 20 * MS);
			c->crash_every = pick(w, 0, 1500 * MS, 5 * SECOND);
			c->lease = pick(w, 0, 2 * SECOND, 2 * SECOND);
			break;
		case BIAS_OVERTAKE:
			/* one settles what another has begun, and goes on; that one comes late, and asks those who have not heard of it */
			c->answer_loss = 0.3;
			c->learn_loss = 0.9;
			c->fetch_loss = 0.9;
			c->cut_every = 1500 * MS;
			c->cut_length = 3 * SECOND;
			c->one_link = 1;
			c->lease = 600 * MS;
			break;
		case BIAS_HOLDER:
			/* who has a lease stands still, just before it commits or anywhere else */
			c->lease = 2 * SECOND;
			c->flush = 20 * MS;
			c->statements = pick(w, 2 * MS, 50 * MS, 400 * MS);
			c->pause_every = 300 * MS;
			c->loss = 0.05;
			break;
		case BIAS_LATE:
			/* answers to a prepare come when the accepts are out, of servers that can vote and cannot, in turns */
			c->slow_links = 0.5;
			c->slow_answers = 0.7;
			c->slow_answer = 100 * MS;
			c->unfit_every = 20 * MS;
			c->unfit_length = 30 * MS;
			c->think = 100 * MS;
			c->delay = 20 * MS;
			break;
		case BIAS_FAIR:
			c->calm = true;
			c->repeat = 0;
			c->delay = pick(w, 2 * MS, 10 * MS, 20 * MS);
			c->statements = pick(w, 2 * MS, 2 * MS, 50 * MS);
			c->lease = pick(w, 2 * SECOND, 2 * SECOND, 10 * SECOND);
			break;
		case BIAS_NONE:
		case BIAS_DRAWN:
			break;
	}
}

/* v voter, o observer, w witness, . a region that may join later */
const char *
sim_choose_shape(World *w)
{
	static const char *const shapes[] = {"vvv", "vvv", "vvv.", "vvv..", "vvvvv", "vvvvv", "vvvvv.", "vvvv.", "vvvo", "vvvo.",
		"vvw", "vvw.", "vvvvw.", "vv", "vv..", "v", "v..", "vo"};
	static const char *const biased[BIASES][3] = {
		[BIAS_OWN_ROWS] = {"vvv", "vvvvv", "vvvo"}, [BIAS_LIVES] = {"vvv", "vvv", "vvvvv"}, [BIAS_RESTORE] = {"vvv", "vvvvv", "vvw"},
		[BIAS_MEMBERS] = {"vvv..", "vvv.", "vv.."}, [BIAS_OVERTAKE] = {"vvv", "vvv", "vvv"}, [BIAS_HOLDER] = {"vvv", "vvv", "vvvvv"},
		[BIAS_LATE] = {"vvv", "vvv", "vvvo"}, [BIAS_FAIR] = {"vvv", "vvvvv", "vvvo"}
	};

	return w->bias == BIAS_NONE ? shapes[sim_below(w, sizeof(shapes) / sizeof(shapes[0]))] : biased[w->bias][sim_below(w, 3)];
}
