/*
 * members.c: configurations as the log makes them, and everybody who wants one changed.
 *
 * "The configuration in force for version s is a function of the entries up to s - 1": each server reads it from its
 * own log.  A config entry is an ordinary entry, proposed by a member's backend; it carries all members as they are
 * afterwards.
 */
#include "sim.h"

#include <string.h>

/* ---------- what the log says ---------- */

const Members *
sim_members(World *w, int region, int64_t version)
{
	const Tables *t = &w->region[region].mem;
	int64_t		v = version - 1 < t->head ? version - 1 : t->head;

	while (v > 1 && w->attempt[t->log[v]]->members == NULL)
		v--;
	return w->attempt[t->log[v]]->members;
}

int64_t
sim_true_head(World *w)
{
	int64_t		head = 1;

	while (head < MAX_VERSION && w->chosen[head + 1] != 0)
		head++;
	return head;
}

/* the same from above: what is in anybody's log */
const Members *
sim_true_members(World *w, int64_t version)
{
	int64_t		v = version - 1;

	while (v > 1 && (w->chosen[v] == 0 || w->attempt[w->chosen[v]]->members == NULL))
		v--;
	return w->attempt[1]->members == NULL || v <= 1 ? w->attempt[1]->members : w->attempt[w->chosen[v]]->members;
}

const SdMember *
sim_member(const Members *m, int place)
{
	for (int i = 0; i < m->config.n; i++)
	{
		if (m->place[i] == place)
			return &m->config.member[i];
	}
	return NULL;
}

/* Is this server, as far as it knows, the member of its name?  Else it originates nothing and settles nothing. */
bool
sim_takes_part(World *w, int region)
{
	const Region *r = &w->region[region];
	const SdMember *member = sim_member(sim_members(w, region, r->mem.head + 1), r->place);

	return member != NULL && !r->mem.is_void && member->incarnation == r->mem.incarnation;
}

/* ---------- how many may be missing: the assumption that every schedule keeps to ---------- */

/*
 * A voter whose votes are all there.  (With a mistake that lets it vote without them it is taken at its word, or nothing
 * would ever be changed again.)
 */
static bool
is_good(World *w, const SdMember *member, int place)
{
	const Region *r = &w->region[w->at[place]];

	if (!SIM_MISTAKE(NO_FENCE) && !SIM_MISTAKE(REJOIN_READ) && sim_lacks_votes(w, w->at[place]))
		return false;
	return sd_member_votes(member) && !r->mem.is_void && r->mem.server == r->server &&
		r->mem.incarnation == member->incarnation;
}

/* Are these, without lost_place, a majority of m? */
static bool
has_good_majority(World *w, const Members *m, int lost_place)
{
	int			good = 0;

	for (int i = 0; i < m->config.n; i++)
	{
		if (m->place[i] != lost_place && is_good(w, &m->config.member[i], m->place[i]))
			good++;
	}
	return good >= sd_config_quorum(&m->config);
}

static bool
is_pending(World *w, const Attempt *a)
{
	return a->members != NULL && a->outcome != CLIENT_DEFINITE && a->in_log_at == 0 && w->chosen[a->version] == 0;
}

/* How far other members know the log: what only that place knows to be chosen, they have to find out. */
static int64_t
head_without(World *w, int lost_place)
{
	const Members *m = sim_true_members(w, sim_true_head(w) + 1);
	int64_t		head = 1;

	for (int i = 0; i < m->config.n; i++)
	{
		const Region *r = &w->region[w->at[m->place[i]]];

		if (m->place[i] != lost_place && r->disk.head > head)
			head = r->disk.head;
	}
	return head;
}

/*
 * "At most a minority": if this place loses its state now, is a majority left in the configuration in force, in the one
 * that the others know of, and in each that may be about to be?
 */
bool
sim_quorum_remains(World *w, int lost_place)
{
	if (!has_good_majority(w, sim_true_members(w, sim_true_head(w) + 1), lost_place) ||
		!has_good_majority(w, sim_true_members(w, head_without(w, lost_place) + 1), lost_place))
		return false;
	for (int i = 1; i <= w->n_attempts; i++)
	{
		if (is_pending(w, w->attempt[i]) && !has_good_majority(w, w->attempt[i]->members, lost_place))
			return false;
	}
	return true;
}

bool
sim_members_pending(World *w)
{
	for (int i = 1; i <= w->n_attempts; i++)
	{
		if (is_pending(w, w->attempt[i]))
			return true;
	}
	return false;
}

/* ---------- building a config entry ---------- */

static void
remove_member(Members *m, int i)
{
	for (; i + 1 < m->config.n; i++)
	{
		m->config.member[i] = m->config.member[i + 1];
		m->place[i] = m->place[i + 1];
	}
	m->config.n--;
}

static void
add_member(World *w, Members *m, int place)
{
	int			i = m->config.n++;

	memset(&m->config.member[i], 0, sizeof(SdMember));
	memcpy(m->config.member[i].region, w->region[w->at[place]].name, SD_NAME_SIZE);
	m->config.member[i].role = SD_ROLE_OBSERVER;
	m->place[i] = place;
}

static void
new_incarnation(Members *m, SdMember *member, int place, uint64_t life)
{
	member->incarnation = ++m->ever[place];
	m->life[place] = life;
}

/* Do what the attempt is for to m.  False if that makes no sense, or not any more. */
static bool
change_members(World *w, const Attempt *a, Members *m)
{
	SdMember   *member = (SdMember *) sim_member(m, a->target);

	if (member == NULL)
	{
		if (a->change != MEMBER_ADMIT || m->ever[a->target] >= MAX_INCARNATION)
			return false;
		add_member(w, m, a->target);
		new_incarnation(m, &m->config.member[m->config.n - 1], a->target, a->life);
		return true;
	}
	if (member->incarnation != a->incarnation)
		return false;
	switch (a->change)
	{
		case MEMBER_PROMOTE:
			if (member->role != SD_ROLE_OBSERVER)
				return false;
			member->role = w->region[w->at[a->target]].witness ? SD_ROLE_WITNESS : SD_ROLE_VOTER;
			return true;
		case MEMBER_STEP_DOWN:
			if (member->role != SD_ROLE_VOTER)
				return false;
			member->role = SD_ROLE_OBSERVER;
			return true;
		case MEMBER_REMOVE:
			remove_member(m, (int) (member - m->config.member));
			return true;
		case MEMBER_SUSPEND:
		case MEMBER_RESUME:
			if (member->suspended == (a->change == MEMBER_SUSPEND))
				return false;
			member->suspended = !member->suspended;
			return true;
		case MEMBER_REJOIN:
			if (m->ever[a->target] >= MAX_INCARNATION)
				return false;
			new_incarnation(m, member, a->target, a->life);
			return true;
		case MEMBER_NONE:
		case MEMBER_ADMIT:
			break;
	}
	return false;
}

/*
 * The entry's content, made for a->version of the origin's log; NULL if it is not to be proposed.  "An admission,
 * removal or step-down whose new quorum is not reachable now is refused": here it is seen from above, because it is
 * also what keeps the schedule within its assumption.
 */
Members *
sim_build_members(World *w, const Attempt *a)
{
	Members    *m = sim_alloc(w, sizeof(Members));

	*m = *sim_members(w, a->region, a->version);
	if (w->fencing >= 0 || (w->shared_address && a->change != MEMBER_REJOIN) || !change_members(w, a, m))
		return NULL;
	if (sd_config_check(&m->config) != SD_CONFIG_LEGAL || !has_good_majority(w, m, -1))
		return NULL;
	return m;
}

/* ---------- who asks for what ---------- */

/* A call that asks this server to propose something: "proposed by a member's backend". */
void
sim_asked(World *w, int region, const Call *call)
{
	Region	   *r = &w->region[region];
	const SdMember *member = sim_member(sim_members(w, region, r->mem.head + 1), w->region[call->from].place);

	if (r->witness || !sim_takes_part(w, region) || (call->change != MEMBER_ADMIT && member == NULL))
		return;
	/* "the region is where its address is": of two servers in one name the other one is not readmitted */
	if (call->change == MEMBER_REJOIN && sim_resolve(w, region, w->region[call->from].place) != call->from)
		return;
	/* "voter by a second entry, once it has applied the head" */
	if (call->change == MEMBER_PROMOTE && call->applied < r->mem.head)
		return;
	for (int i = w->n_attempts; i >= 1; i--)
	{
		const Attempt *a = w->attempt[i];

		if (a->region == region && a->outcome == CLIENT_OPEN && a->change != MEMBER_NONE)
			return;				/* one after another */
	}
	sim_member_change_start(w, region, call->change, w->region[call->from].place, call->life, call->remembered.incarnation);
}

/* What this server wants to be changed about itself and asks for, without a person. */
static MemberChange
wanted(World *w, int region, const SdMember *member)
{
	const Region *r = &w->region[region];

	if (member == NULL)
		return r->wants_in && r->mem.is_void && !w->healing ? MEMBER_ADMIT : MEMBER_NONE;
	if (r->mem.is_void)
		return r->mem.applied == r->mem.head ? MEMBER_REJOIN : MEMBER_NONE;
	if (member->suspended && w->healing)
		return MEMBER_RESUME;
	if (!sd_member_votes(member) && w->wants_vote[r->place] && r->mem.applied == r->mem.head)
		return MEMBER_PROMOTE;
	return MEMBER_NONE;
}

void
sim_ask_around(World *w, int region, void *p)
{
	Region	   *r = &w->region[region];
	const Members *m = sim_members(w, region, r->mem.head + 1);
	const SdMember *member = sim_member(m, r->place);
	MemberChange what = wanted(w, region, member);
	int			place = m->place[sim_below(w, m->config.n)];

	(void) p;
	if (what != MEMBER_NONE && (place != r->place || !r->mem.is_void))
	{
		Call	   *call = sim_call(w, region, place, CALL_ASK);

		call->change = what;
		call->life = r->mem.life;
		call->applied = r->mem.applied;
		call->remembered.incarnation = member != NULL ? member->incarnation : 0;
		sim_send(w, call);
	}
	sim_post_coordinator(w, region, 300 * MS + sim_below(w, 600 * MS), sim_ask_around, NULL);
}

/* ---------- people who change the members ---------- */

static void
operate_on(World *w, int region, int place)
{
	const SdMember *member = sim_member(sim_members(w, region, w->region[region].mem.head + 1), place);
	int			own = w->region[region].place;
	MemberChange change = MEMBER_NONE;

	if (member == NULL)
	{
		/* leave() and join() there; "observer first" */
		if (w->fencing < 0 && !sim_members_pending(w) && sim_quorum_remains(w, place) &&
			sim_member(sim_true_members(w, sim_true_head(w) + 1), place) == NULL)
		{
			w->wants_vote[place] = sim_chance(w, 0.85);
			sim_wipe(w, place);
		}
		return;
	}
	switch (sim_below(w, 6))
	{
		case 0:
			change = MEMBER_REMOVE;
			break;
		case 1:
			change = member->suspended ? MEMBER_RESUME : MEMBER_SUSPEND;
			break;
		case 2:
			change = MEMBER_RESUME;
			break;
		case 3:
			change = MEMBER_STEP_DOWN;
			break;
		default:
			change = MEMBER_PROMOTE;
			break;
	}
	/* step_down() and step_up() are called in the region itself, others by anybody */
	if (change == MEMBER_STEP_DOWN || change == MEMBER_PROMOTE)
	{
		place = own;
		member = sim_member(sim_members(w, region, w->region[region].mem.head + 1), own);
		w->wants_vote[place] = change == MEMBER_PROMOTE;
	}
	sim_member_change_start(w, region, change, place, 0, member->incarnation);
}

void
sim_operate(World *w, int region, void *p)
{
	int			i = (int) sim_below(w, w->n);
	int			place = (int) sim_below(w, w->places);

	(void) region;
	(void) p;
	if (w->healing)
		return;
	if (w->region[i].up && !w->region[i].witness && sim_takes_part(w, i))
		operate_on(w, i, place);
	sim_post(w, -1, sim_about(w, w->chaos.operate_every), sim_operate, NULL);
}
