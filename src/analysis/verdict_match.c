/*
 * verdict_match.c: what one match of a statement with a rule of the matrix comes to, with the live facts; see verdict_match.h.
 *
 * Runs in a backend; no locking of its own.  The rules of the matrix say what a form does; which relations those are, how
 * large, and whether their rows go to other servers is asked here.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "utils/lsyscache.h"

#include "analysis/effects.h"
#include "analysis/facts.h"
#include "analysis/verdict_match.h"
#include "settings.h"
#include "texts.h"

static const char *
waits(LOCKMODE mode)
{
	return mode == AccessExclusiveLock ? "reads and writes wait" : "writes wait";
}

/* ---- facts about things ---- */

static int64
bytes_of(SdThing *thing)
{
	if (thing->bytes < 0)
		thing->bytes = thing->made ? 0 : thing->many ? sd_fact_bytes_of_all(thing->members) : sd_fact_bytes(thing->oid);
	return thing->bytes;
}

static bool
is_large(SdThing *thing)
{
	return !thing->made && bytes_of(thing) >= (int64) sd_large_table * 1024;
}

static char *
size_text(SdThing *thing)
{
	return sd_text_of_bytes(bytes_of(thing));
}

static bool
is_subject(SdRuleRole role)
{
	return role != SD_ROLE_REFERENCED && role != SD_ROLE_REFERENCING;
}

bool
sd_judge_is_fresh(const SdMatch *match)
{
	bool		any = match->fresh;
	ListCell   *cell;

	foreach(cell, match->casts)
	{
		SdCast	   *cast = lfirst(cell);

		if (!is_subject(cast->role))
			continue;
		if (!cast->thing->made && !cast->thing->temporary)
			return false;
		any = true;
	}
	return any;
}

/* ---- reasons ---- */

static void
reason(SdJudgement *j, SdStepVerdict *verdict, SdStepVerdict level, char *text)
{
	*verdict = Max(*verdict, level);
	j->reasons = sd_texts_add(j->reasons, text);
}

static bool
works_long(const SdEffect *effect)
{
	return effect->rewritten || effect->indexes || effect->scanned;
}

/* effect: what it does to that relation, or to those of which it is one */
static void
judge_work_on(SdJudgement *j, SdThing *thing, const char *shown, const SdEffect *effect, SdStepVerdict *verdict)
{
	LOCKMODE	lock = Max(effect->lock, sd_world_held(j->form->world, thing));
	const char *what = effect->rewritten ? "is rewritten with its indexes" : effect->indexes ? "gets indexes built again" : "is read from end to end";
	const char *before = lock > effect->lock ? ", which an earlier statement holds until the commit" : "";

	if (lock < ShareLock || bytes_of(thing) == 0)
		return;
	j->apart |= effect->lock < ShareLock;
	if (is_large(thing))
		reason(j, verdict, SD_STEP_UNSAFE, psprintf("%s (%s, large) %s under %s%s: %s for as long as that takes.", shown,
													size_text(thing), what, sd_lock_name(lock), before, waits(lock)));
	else
		reason(j, verdict, SD_STEP_CAUTION, psprintf("%s (%s) %s under %s%s: %s meanwhile.", shown, size_text(thing), what,
													 sd_lock_name(lock), before, waits(lock)));
}

/* Of those that it stands for, the ones that an earlier statement holds by themselves. */
static void
judge_work_on_members(SdJudgement *j, SdThing *several, const SdEffect *effect, SdStepVerdict *verdict)
{
	SdWorld    *world = j->form->world;
	LOCKMODE	all = Max(effect->lock, sd_world_held(world, several));
	ListCell   *cell;

	foreach(cell, several->members)
	{
		SdThing    *member = sd_world_known(world, lfirst_oid(cell));

		if (member && !member->gone && sd_world_held(world, member) > all)
			judge_work_on(j, member, member->shown, effect, verdict);
	}
}

/* Long work under a lock that others wait for, its own or one that an earlier statement holds. */
static void
judge_work(SdJudgement *j, const SdMatch *match, SdStepVerdict *verdict)
{
	ListCell   *cell;

	foreach(cell, match->casts)
	{
		SdCast	   *cast = lfirst(cell);
		SdEffect   *effect;

		if (cast->thing->made)
			continue;
		effect = sd_effect_on(&j->effects, cast);
		if (!works_long(effect))
			continue;
		judge_work_on(j, cast->thing, cast->shown, effect, verdict);
		judge_work_on_members(j, cast->thing, effect, verdict);
	}
}

/* Is it named in its own right?  A foreign key may refer to its own table. */
static bool
is_named(const SdMatch *match, const SdThing *thing)
{
	ListCell   *cell;

	foreach(cell, match->casts)
	{
		SdCast	   *cast = lfirst(cell);

		if (cast->thing == thing && is_subject(cast->role))
			return true;
	}
	return false;
}

/* Locks alone. */
static void
judge_locks(SdJudgement *j, const SdRule *rule, const SdMatch *match, SdStepVerdict *verdict)
{
	ListCell   *cell;

	foreach(cell, match->casts)
	{
		SdCast	   *cast = lfirst(cell);
		LOCKMODE	mode = sd_effect_lock(rule, match, cast->role);

		if (cast->thing->made || mode < ShareLock)
			continue;
		if (!is_subject(cast->role) && is_named(match, cast->thing))
			continue;
		if (!is_subject(cast->role))
			reason(j, verdict, SD_STEP_CAUTION, psprintf("The other table, %s, is locked with %s: %s, and it waits for those under way.",
														 cast->shown, sd_lock_name(mode), waits(mode)));
		else if (mode == AccessExclusiveLock && is_large(cast->thing) && !works_long(sd_effect_on(&j->effects, cast)))
			reason(j, verdict, SD_STEP_CAUTION, psprintf("ACCESS EXCLUSIVE on %s (%s): short, but it waits for every transaction that uses it, and all others wait behind it.",
														 cast->shown, size_text(cast->thing)));
	}
}

/* Is it about a column that no publication of the table takes? */
static bool
column_is_left_out(const SdRule *rule, const SdMatch *match, const SdReplicated *replicated)
{
	if (!replicated->published || !replicated->listed || replicated->subscribed)
		return false;
	if (rule->gate_class == SD_GATE_NARROW_FIRST)
		return true;
	return match->column && match->column->number > 0 && !bms_is_member(match->column->number, replicated->columns);
}

static const char *
replication_does(SdRuleReplication what)
{
	switch (what)
	{
		case SD_REPLICATION_STALLS:
			return "stops until the other region has the change, too";
		case SD_REPLICATION_WRITER_FAILS:
			return "makes UPDATE and DELETE fail where the change is";
		case SD_REPLICATION_WEDGES:
			return "stops, and the change in the other region does not mend it";
		default:
			return "leaves rows that differ, and nothing says so";
	}
}

char *
sd_judge_joined(List *names)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, names)
		appendStringInfo(&out, "%s%s", out.len ? ", " : "", (char *) lfirst(cell));
	return out.data;
}

static char *
replicated_by(const SdReplicated *replicated)
{
	if (replicated->published && replicated->subscribed)
		return psprintf("is published by %s and subscribed by %s", sd_judge_joined(replicated->publications), sd_judge_joined(replicated->subscriptions));
	return replicated->published ? psprintf("is published by %s", sd_judge_joined(replicated->publications)) :
		psprintf("is subscribed by %s", sd_judge_joined(replicated->subscriptions));
}

static bool
is_bad(SdRuleReplication what)
{
	return what >= SD_REPLICATION_STALLS;
}

static bool
is_replicated(SdThing *thing, SdReplicated *replicated)
{
	if (!OidIsValid(thing->oid))
		sd_fact_replicated(InvalidOid, get_namespace_oid(thing->schema, true), replicated);
	else
	{
		if (thing->replicated == NULL)
		{
			/* in the context of the steps, which is the world's */
			thing->replicated = palloc(sizeof(SdReplicated));
			sd_fact_replicated(thing->oid, InvalidOid, thing->replicated);
		}
		*replicated = *thing->replicated;
	}
	return replicated->published || replicated->subscribed;
}

/* What is done to a new table matters only where publications take new tables by themselves. */
static void
judge_new_replication(SdJudgement *j, const SdRule *rule, const SdMatch *match, SdStepVerdict *verdict)
{
	ListCell   *cell;
	SdReplicated replicated;

	if (!rule->needs_refresh)
		return;
	foreach(cell, match->casts)
	{
		SdThing    *thing = ((SdCast *) lfirst(cell))->thing;

		if (thing->made && !thing->temporary && is_replicated(thing, &replicated))
		{
			reason(j, verdict, SD_STEP_CAUTION,
				   psprintf("%s %s: rows written before every region has it and ran ALTER SUBSCRIPTION ... REFRESH PUBLICATION are lost without a word.",
							thing->shown, replicated_by(&replicated)));
			return;
		}
	}
}

static void
judge_replication(SdJudgement *j, const SdRule *rule, const SdMatch *match, SdStepVerdict *verdict)
{
	ListCell   *cell;

	if (rule->gate_class == SD_GATE_ANY || (!is_bad(rule->receiving) && !is_bad(rule->sending)))
		return;
	foreach(cell, match->casts)
	{
		SdCast	   *cast = lfirst(cell);
		SdReplicated replicated;

		if (cast->thing->made || cast->thing->temporary || cast->thing->many || !is_subject(cast->role) ||
			cast->role == SD_ROLE_VIEW || cast->role == SD_ROLE_INDEX || cast->role == SD_ROLE_DEFAULT)
			continue;
		if (!is_replicated(cast->thing, &replicated) || column_is_left_out(rule, match, &replicated))
			continue;
		if (is_bad(rule->receiving))
			reason(j, verdict, SD_STEP_UNSAFE, psprintf("%s %s: applying rows of a region without the change in one that has it %s.",
														cast->shown, replicated_by(&replicated), replication_does(rule->receiving)));
		if (is_bad(rule->sending))
			reason(j, verdict, SD_STEP_UNSAFE, psprintf("%s %s: sending rows from a region with the change to one without %s.",
														cast->shown, replicated_by(&replicated), replication_does(rule->sending)));
		return;
	}
}

bool
sd_judge_may_have_rows(const SdMatch *match)
{
	ListCell   *cell;

	foreach(cell, match->casts)
	{
		SdCast	   *cast = lfirst(cell);

		if (cast->role == SD_ROLE_TABLE && (!cast->thing->made || cast->thing->filled != SD_HAS_NONE))
			return true;
	}
	return match->casts == NIL;
}

/* Rows of tables in a script. */
static void
judge_rows(SdJudgement *j, const SdRule *rule, const SdMatch *match, SdStepVerdict *verdict)
{
	const SdCast *cast = match->casts ? linitial(match->casts) : NULL;
	SdReplicated replicated;

	if (rule->gate_class != SD_GATE_NONDETERMINISTIC || match->deterministic)
		return;
	if (cast && !cast->thing->made && is_replicated(cast->thing, &replicated))
		reason(j, verdict, SD_STEP_UNSAFE, psprintf("%s %s: run in every region its rows meet those that replication brings. Run it in one region, outside of the migration.",
													cast->shown, replicated_by(&replicated)));
	else if (match->differs)
		reason(j, verdict, SD_STEP_UNSAFE, "Each region would write other rows.");
	else
		reason(j, verdict, SD_STEP_CAUTION, "As part of apply() it runs in every region, on that region's own rows; as plain SQL beside DDL its rows stay in this region.");
}

static bool
loses_data(const SdRule *rule)
{
	return (rule->undoes == SD_UNDO_LOSSY || rule->undoes == SD_UNDO_IMPOSSIBLE) && rule->forward != SD_ANSWER_NO &&
		rule->gate_class != SD_GATE_ANY;
}

SdRuleAnswer
sd_judge_backward(const SdRule *rule, const SdMatch *match)
{
	if (match->harmless || sd_judge_is_fresh(match))
		return SD_ANSWER_YES;
	return match->backward != SD_ANSWER_NONE ? match->backward : rule->backward;
}

SdStepVerdict
sd_judge_match(SdJudgement *j, const SdRule *rule, const SdMatch *match)
{
	SdStepVerdict verdict = SD_STEP_SAFE;
	bool		rows = rule->id[0] == 'N' || strcmp(rule->id, "K5") == 0;

	if (rule->fails && j->form->fails == NULL)
		reason(j, &verdict, SD_STEP_UNSAFE, psprintf("It always fails: %s.", rule->form));
	judge_work(j, match, &verdict);
	judge_locks(j, rule, match, &verdict);
	if (match->harmless)
		return verdict;
	if (rows)
		judge_rows(j, rule, match, &verdict);
	else if (rule->gate_class == SD_GATE_NONDETERMINISTIC && !match->deterministic && sd_judge_may_have_rows(match))
		reason(j, &verdict, SD_STEP_UNSAFE, SD_JUDGE_DIFFERS);
	judge_new_replication(j, rule, match, &verdict);
	if (sd_judge_is_fresh(match))
		return verdict;
	if (!rows)
		judge_replication(j, rule, match, &verdict);
	if (sd_judge_backward(rule, match) == SD_ANSWER_NO && !rows)
		reason(j, &verdict, SD_STEP_CAUTION, "The application of today can fail with it: it is not backward compatible.");
	if (loses_data(rule) && !match->lossless && !rows)
		reason(j, &verdict, SD_STEP_CAUTION, psprintf("What it takes away, taking it back does not bring back (undo: %s).", rule->undo));
	return verdict;
}
