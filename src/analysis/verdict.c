/*
 * verdict.c: from the forms that a statement has, and the live facts, to a verdict and advice; see docs/analysis.md.
 *
 * Runs in a backend; no locking of its own.  The rules of the matrix say what a form does; which relations those are, how
 * large, and whether their rows go to other servers is asked here.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "analysis/effects.h"
#include "analysis/facts.h"
#include "analysis/safer.h"
#include "analysis/verdict.h"
#include "settings.h"
#include "texts.h"

typedef struct Judgement
{
	const SdForm *form;
	SdStep	   *step;
	List	   *effects;		/* SdEffect */
	List	   *reasons;		/* of char * */
	bool		idle;			/* a part of it does nothing, as it is so already */
	const SdMatch *worst;
	const SdRule *worst_rule;
	SdStepVerdict worst_verdict;
} Judgement;

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
		thing->bytes = thing->made ? 0 : sd_fact_bytes(thing->oid);
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
	return text_to_cstring(DatumGetTextPP(DirectFunctionCall1(pg_size_pretty, Int64GetDatum(bytes_of(thing)))));
}

static bool
is_subject(SdRuleRole role)
{
	return role != SD_ROLE_REFERENCED && role != SD_ROLE_REFERENCING;
}

/* Is everything that it is about made by the script itself?  Nobody knows that yet. */
static bool
is_fresh(const SdMatch *match)
{
	bool		any = false;
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
reason(Judgement *j, SdStepVerdict *verdict, SdStepVerdict level, char *text)
{
	*verdict = Max(*verdict, level);
	j->reasons = sd_texts_add(j->reasons, text);
}

static bool
works_long(const SdEffect *effect)
{
	return effect->rewritten || effect->indexes || effect->scanned;
}

/* Long work under a lock that others wait for. */
static void
judge_work(Judgement *j, const SdMatch *match, SdStepVerdict *verdict)
{
	ListCell   *cell;

	foreach(cell, match->casts)
	{
		SdCast	   *cast = lfirst(cell);
		SdThing    *thing = cast->thing;
		SdEffect	   *effect;
		const char *what;

		if (thing->made)
			continue;
		effect = sd_effect_on(&j->effects, cast);
		if (!works_long(effect) || effect->lock < ShareLock || bytes_of(thing) == 0)
			continue;
		what = effect->rewritten ? "is rewritten with its indexes" : effect->indexes ? "gets indexes built again" : "is read from end to end";
		if (is_large(thing))
			reason(j, verdict, SD_STEP_UNSAFE, psprintf("%s (%s, large) %s under %s: %s for as long as that takes.", cast->shown,
														size_text(thing), what, sd_lock_name(effect->lock), waits(effect->lock)));
		else
			reason(j, verdict, SD_STEP_CAUTION, psprintf("%s (%s) %s under %s: %s meanwhile.", cast->shown, size_text(thing), what,
														 sd_lock_name(effect->lock), waits(effect->lock)));
	}
}

/* Locks alone. */
static void
judge_locks(Judgement *j, const SdRule *rule, const SdMatch *match, SdStepVerdict *verdict)
{
	ListCell   *cell;

	foreach(cell, match->casts)
	{
		SdCast	   *cast = lfirst(cell);
		LOCKMODE	mode = sd_effect_lock(rule, match, cast->role);

		if (cast->thing->made || mode < ShareLock)
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

static char *
joined(List *names)
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
		return psprintf("is published by %s and subscribed by %s", joined(replicated->publications), joined(replicated->subscriptions));
	return replicated->published ? psprintf("is published by %s", joined(replicated->publications)) :
		psprintf("is subscribed by %s", joined(replicated->subscriptions));
}

static bool
is_bad(SdRuleReplication what)
{
	return what >= SD_REPLICATION_STALLS;
}

static bool
is_replicated(const SdThing *thing, SdReplicated *replicated)
{
	Oid			schema = OidIsValid(thing->oid) ? InvalidOid : get_namespace_oid(thing->schema, true);

	sd_fact_replicated(thing->oid, schema, replicated);
	return replicated->published || replicated->subscribed;
}

/* What is done to a new table matters only where publications take new tables by themselves. */
static void
judge_new_replication(Judgement *j, const SdRule *rule, const SdMatch *match, SdStepVerdict *verdict)
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
judge_replication(Judgement *j, const SdRule *rule, const SdMatch *match, SdStepVerdict *verdict)
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

static bool
may_have_rows(const SdMatch *match)
{
	ListCell   *cell;

	foreach(cell, match->casts)
	{
		SdCast	   *cast = lfirst(cell);

		if (cast->role == SD_ROLE_TABLE && (!cast->thing->made || cast->thing->filled))
			return true;
	}
	return match->casts == NIL;
}

/* Rows of tables in a script. */
static void
judge_rows(Judgement *j, const SdRule *rule, const SdMatch *match, SdStepVerdict *verdict)
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

static SdRuleAnswer
backward_of(const SdRule *rule, const SdMatch *match)
{
	if (match->harmless || is_fresh(match))
		return SD_ANSWER_YES;
	return match->backward != SD_ANSWER_NONE ? match->backward : rule->backward;
}

static SdStepVerdict
judge_match(Judgement *j, const SdRule *rule, const SdMatch *match)
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
	else if (rule->gate_class == SD_GATE_NONDETERMINISTIC && !match->deterministic && may_have_rows(match))
		reason(j, &verdict, SD_STEP_UNSAFE, "The result differs from region to region.");
	judge_new_replication(j, rule, match, &verdict);
	if (is_fresh(match))
		return verdict;
	if (!rows)
		judge_replication(j, rule, match, &verdict);
	if (backward_of(rule, match) == SD_ANSWER_NO && !rows)
		reason(j, &verdict, SD_STEP_CAUTION, "The application of today can fail with it: it is not backward compatible.");
	if (loses_data(rule) && !match->lossless && !rows)
		reason(j, &verdict, SD_STEP_CAUTION, psprintf("What it takes away, taking it back does not bring back (undo: %s).", rule->undo));
	return verdict;
}

/* ---- the step ---- */

static void
merge_answers(SdStep *step, const SdRule *rule, const SdMatch *match)
{
	static const int order[] = {
		[SD_ANSWER_NONE] = 0,[SD_ANSWER_YES] = 1,[SD_ANSWER_DEPENDS] = 2,[SD_ANSWER_NO] = 3
	};
	SdRuleAnswer backward = backward_of(rule, match);
	SdRuleAnswer forward = match->harmless ? SD_ANSWER_YES : rule->forward;
	SdRuleGate	class;
	bool		fresh;			/* no more than what holds for anything new */

	if (order[backward] > order[step->backward])
		step->backward = backward;
	if (order[forward] > order[step->forward])
		step->forward = forward;
	if (match->harmless)
		return;
	/* what is done to a relation that comes with the same change is done where it is made */
	fresh = is_fresh(match) && rule->gate_class > SD_GATE_ALL_THEN_USE &&
		(rule->gate_class != SD_GATE_NONDETERMINISTIC || !may_have_rows(match));
	fresh |= match->deterministic && rule->gate_class == SD_GATE_NONDETERMINISTIC;
	class = fresh ? SD_GATE_ALL_THEN_USE : rule->gate_class;
	if (step->gate == NULL || class > step->gate_class)
	{
		step->gate = fresh ? "G1" : rule->gate;
		step->gate_class = class;
	}
}

static void
merge_undo(SdStep *step, const SdRule *rule, const SdMatch *match, SdRuleUndo *worst)
{
	SdRuleUndo	undo = match->harmless ? SD_UNDO_NOTHING : match->lossless ? SD_UNDO_LOSSLESS : rule->undoes;
	static const int order[] = {
		[SD_UNDO_NOTHING] = 0,[SD_UNDO_LOSSLESS] = 1,[SD_UNDO_DEPENDS] = 2,[SD_UNDO_LOSSY] = 3,[SD_UNDO_IMPOSSIBLE] = 4
	};

	if (step->reversible && order[undo] <= order[*worst])
		return;
	*worst = undo;
	step->reversible = match->harmless ? "nothing to undo" : match->lossless ? "lossless" : rule->undo;
}

static void
merge_restores(Judgement *j, const SdRule *rule, const SdMatch *match)
{
	/* what the script made goes with it */
	if (is_fresh(match) && rule->restores != SD_RESTORES_YES)
		return;
	/* it is so already */
	if (rule->restores != SD_RESTORES_NOTHING && (rule->undoes == SD_UNDO_NOTHING || (match->harmless && rule->undoes == SD_UNDO_IMPOSSIBLE)))
		j->idle = true;
	else if (match->harmless)
		return;
	j->step->restores = Max(j->step->restores, rule->restores);
}

static void
judge_matches(Judgement *j)
{
	SdRuleUndo	undo = SD_UNDO_NOTHING;
	ListCell   *cell;

	/* all effects first: what one part scans another one may have locked */
	foreach(cell, j->form->matches)
	{
		const SdRule *rule = sd_rule(((SdMatch *) lfirst(cell))->rule);

		if (rule)
			sd_effects_collect(&j->effects, rule, lfirst(cell));
	}
	foreach(cell, j->form->matches)
	{
		SdMatch    *match = lfirst(cell);
		const SdRule *rule = sd_rule(match->rule);
		SdStepVerdict verdict;

		if (rule == NULL)
			continue;
		j->step->rules = lappend(j->step->rules, unconstify(char *, rule->id));
		merge_answers(j->step, rule, match);
		merge_undo(j->step, rule, match, &undo);
		merge_restores(j, rule, match);
		verdict = judge_match(j, rule, match);
		if (verdict == SD_STEP_UNSAFE)
			j->step->unsafe = sd_texts_add(j->step->unsafe, rule->id);
		else if (verdict == SD_STEP_CAUTION)
			j->step->caution = sd_texts_add(j->step->caution, rule->id);
		if (j->worst == NULL || verdict > j->worst_verdict)
		{
			j->worst = match;
			j->worst_rule = rule;
			j->worst_verdict = verdict;
		}
	}
}

static void
append_sentence(StringInfo out, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	if (out->len)
		appendStringInfoChar(out, '\n');
	appendStringInfoString(out, text);
}

static void
explain(Judgement *j, const SdVerdict *class)
{
	StringInfoData out;
	ListCell   *cell;
	ListCell   *inner;

	initStringInfo(&out);
	if (j->form->fails)
		append_sentence(&out, psprintf("It will fail: %s.", j->form->fails));
	else if (j->form->unsure)
		append_sentence(&out, psprintf("Whether it fails is not known: %s.", j->form->unsure));
	append_sentence(&out, class->reason);
	/* what it would do matters little then */
	if (j->form->fails)
		j->reasons = NIL;
	foreach(cell, j->reasons)
		append_sentence(&out, lfirst(cell));
	if (j->form->takes)
		append_sentence(&out, psprintf("It takes more than it names: %s.", joined(j->form->takes)));
	foreach(cell, j->form->matches)
	{
		foreach(inner, ((SdMatch *) lfirst(cell))->why)
			append_sentence(&out, lfirst(inner));
	}
	if (j->step->verdict != SD_STEP_SAFE && j->worst_rule && j->worst_rule->note[0] && (!j->form->fails || j->worst_rule->fails))
		append_sentence(&out, psprintf("%s: %s", j->worst_rule->id, j->worst_rule->note));
	if (j->idle && j->form->fails == NULL)
		append_sentence(&out, "It is so already: a down that takes it back takes away what was there before.");
	if (out.len)
		j->step->why = out.data;
}

/* What the statement's class says, beside the matrix. */
static void
apply_class(Judgement *j, const SdVerdict *class)
{
	SdStep	   *step = j->step;

	switch (class->class)
	{
		case SD_CLASS_REFUSED:
			step->verdict = SD_STEP_UNSAFE;
			step->rule = SD_RULE_REFUSED;
			step->rules = lcons(SD_RULE_REFUSED, step->rules);
			if (class->hint && step->safer == NULL)
				step->safer = psprintf("-- %s", class->hint);
			break;
		case SD_CLASS_LOCAL:
			step->restores = SD_RESTORES_NOTHING;
			step->rules = lappend(step->rules, SD_RULE_LOCAL);
			step->gate = "local";
			step->gate_class = SD_GATE_ANY;
			j->reasons = lappend(j->reasons, "It stays in this region: the others do not run it.");
			break;
		case SD_CLASS_TEMPORARY:
			step->restores = SD_RESTORES_NOTHING;
			step->rules = lappend(step->rules, SD_RULE_LOCAL);
			step->gate = "local";
			step->gate_class = SD_GATE_ANY;
			break;
		case SD_CLASS_ALONE:
			if (class->hint && step->safer == NULL)
				step->safer = psprintf("-- %s", class->hint);
			break;
		case SD_CLASS_COORDINATED:
			if (step->rules == NIL && j->form->fails == NULL && j->form->unsure == NULL)
			{
				step->verdict = Max(step->verdict, SD_STEP_CAUTION);
				step->rule = SD_RULE_OTHER;
				step->rules = list_make1(SD_RULE_OTHER);
				step->gate = "G1";
				step->gate_class = SD_GATE_ALL_THEN_USE;
				step->backward = step->forward = SD_ANSWER_DEPENDS;
				step->reversible = "depends";
				step->restores = SD_RESTORES_REHEARSE;
				j->reasons = lappend(j->reasons, "The matrix has no row for this form.");
			}
			break;
		case SD_CLASS_NOT_DDL:
			if (step->rules != NIL)
				break;
			if (j->form->runs)
			{
				step->verdict = Max(step->verdict, SD_STEP_CAUTION);
				step->rule = SD_RULE_CODE;
				step->gate = "depends";
				step->backward = step->forward = SD_ANSWER_DEPENDS;
				step->reversible = "depends";
				step->restores = SD_RESTORES_REHEARSE;
				j->reasons = lappend(j->reasons, psprintf("It runs code (%s), which was not looked at. Its DDL is captured statement by statement when it runs; analysis cannot see it: schemadrift.dry_run() does.",
														  j->form->runs));
			}
			else
				step->rule = SD_RULE_NONE;
			step->rules = list_make1(unconstify(char *, step->rule));
			break;
	}
}

/* The gate will refuse it for the rows that are there, in these words. */
static void
apply_refusal(Judgement *j)
{
	SdStep	   *step = j->step;

	step->verdict = SD_STEP_UNSAFE;
	step->rule = SD_RULE_REFUSED;
	step->rules = lcons(SD_RULE_REFUSED, step->rules);
	step->by_rows = true;
	j->reasons = lcons(unconstify(char *, j->form->refused), j->reasons);
}

static List *
copied(List *texts)
{
	List	   *copy = NIL;
	ListCell   *cell;

	foreach(cell, texts)
		copy = lappend(copy, pstrdup(lfirst(cell)));
	return copy;
}

void
sd_verdict(const SdForm *form, const SdVerdict *class, SdStep *step)
{
	Judgement	j = {.form = form,.step = step};

	step->backward = step->forward = SD_ANSWER_NONE;
	step->objects = copied(form->objects);
	judge_matches(&j);
	step->verdict = j.worst_verdict;
	step->rule = j.worst_rule ? j.worst_rule->id : SD_RULE_NONE;
	if (form->takes)
		step->verdict = Max(step->verdict, SD_STEP_CAUTION);
	apply_class(&j, class);
	if (form->refused && class->class == SD_CLASS_COORDINATED)
		apply_refusal(&j);
	sd_effects_tell(&j.effects, step);
	if (form->fails)
	{
		step->verdict = SD_STEP_UNSAFE;
		/* a row of the matrix says it better, if it is one that always fails */
		if (j.worst_rule == NULL || !j.worst_rule->fails)
			step->rule = SD_RULE_FAILS;
		step->rules = lcons(SD_RULE_FAILS, step->rules);
	}
	else if (form->unsure)
	{
		step->verdict = Max(step->verdict, SD_STEP_CAUTION);
		if (step->rules == NIL || strcmp(step->rule, SD_RULE_NONE) == 0)
			step->rule = SD_RULE_UNKNOWN;
		step->rules = lappend(step->rules, SD_RULE_UNKNOWN);
		step->caution = sd_texts_add(step->caution, SD_RULE_UNKNOWN);
		if (step->reversible == NULL)
			step->reversible = "depends";
		step->restores = Max(step->restores, SD_RESTORES_REHEARSE);
		if (step->backward == SD_ANSWER_NONE)
			step->backward = SD_ANSWER_DEPENDS;
		if (step->forward == SD_ANSWER_NONE)
			step->forward = SD_ANSWER_DEPENDS;
	}
	if (step->backward == SD_ANSWER_NONE)
		step->backward = form->fails ? SD_ANSWER_NONE : SD_ANSWER_YES;
	if (step->forward == SD_ANSWER_NONE)
		step->forward = form->fails ? SD_ANSWER_NONE : SD_ANSWER_YES;
	if (step->gate == NULL)
		step->gate = "G0";
	if (step->reversible == NULL)
		step->reversible = "nothing to undo";
	if (j.worst && j.worst_verdict != SD_STEP_SAFE && !j.worst->harmless && !is_fresh(j.worst))
	{
		char	   *safer = sd_safer(form, j.worst, j.worst_rule);

		/* the class may have its own */
		if (safer)
			step->safer = step->by_rows ? psprintf("-- %s\n%s", form->refused_hint, safer) : safer;
	}
	if (step->by_rows && step->safer == NULL)
		step->safer = psprintf("-- %s", form->refused_hint);
	/* by what no row says: it takes more than it names, or has no row */
	if (step->verdict == SD_STEP_CAUTION && step->caution == NIL)
		step->caution = list_make1(unconstify(char *, step->rule));
	explain(&j, class);
}
