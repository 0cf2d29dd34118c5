/*
 * verdict.c: from the forms that a statement has, and the live facts, to a verdict and advice; see docs/analysis.md.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "lib/stringinfo.h"

#include "analysis/effects.h"
#include "analysis/safer.h"
#include "analysis/verdict_match.h"
#include "ddl/script.h"
#include "texts.h"

static void
merge_answers(SdStep *step, const SdRule *rule, const SdMatch *match)
{
	static const int order[] = {
		[SD_ANSWER_NONE] = 0,[SD_ANSWER_YES] = 1,[SD_ANSWER_DEPENDS] = 2,[SD_ANSWER_NO] = 3
	};
	SdRuleAnswer backward = sd_judge_backward(rule, match);
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
	fresh = sd_judge_is_fresh(match) && rule->gate_class > SD_GATE_ALL_THEN_USE &&
		(rule->gate_class != SD_GATE_NONDETERMINISTIC || !sd_judge_may_have_rows(match));
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
merge_restores(SdJudgement *j, const SdRule *rule, const SdMatch *match)
{
	/* what the script made goes with it */
	if (sd_judge_is_fresh(match) && rule->restores != SD_RESTORES_YES)
		return;
	/* it is so already */
	if (rule->restores != SD_RESTORES_NOTHING && (rule->undoes == SD_UNDO_NOTHING || (match->harmless && rule->undoes == SD_UNDO_IMPOSSIBLE)))
		j->idle = true;
	else if (match->harmless)
		return;
	j->step->restores = Max(j->step->restores, rule->restores);
}

static void
judge_matches(SdJudgement *j)
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
		verdict = sd_judge_match(j, rule, match);
		match->verdict = match->harmless || sd_judge_is_fresh(match) ? SD_STEP_SAFE : verdict;
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

/* Has the gate's own reason said what the rule says, that rows would differ? */
static bool
is_said(const SdJudgement *j, const SdRule *rule)
{
	return j->step->by_rows && rule && rule->gate_class == SD_GATE_NONDETERMINISTIC;
}

static void
explain(SdJudgement *j, const SdVerdict *class)
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
	if (j->form->fails && !j->form->denied)
	{
		StringInfoData otherwise;

		initStringInfo(&otherwise);
		foreach(cell, j->reasons)
			append_sentence(&otherwise, lfirst(cell));
		j->step->otherwise = otherwise.len ? otherwise.data : NULL;
		j->reasons = NIL;
	}
	foreach(cell, j->reasons)
		append_sentence(&out, lfirst(cell));
	if (j->form->takes)
		append_sentence(&out, psprintf("It takes more than it names: %s.", sd_judge_joined(j->form->takes)));
	foreach(cell, j->form->matches)
	{
		if (is_said(j, sd_rule(((SdMatch *) lfirst(cell))->rule)))
			continue;
		foreach(inner, ((SdMatch *) lfirst(cell))->why)
			append_sentence(&out, lfirst(inner));
	}
	if (j->step->verdict != SD_STEP_SAFE && !j->apart && j->worst_rule && !is_said(j, j->worst_rule) && j->worst_rule->note[0] &&
		(!j->form->fails || j->form->denied || j->worst_rule->fails))
		append_sentence(&out, psprintf("%s: %s", j->worst_rule->id, j->worst_rule->note));
	if (j->idle && j->form->fails == NULL)
		append_sentence(&out, "It is so already: a down that takes it back takes away what was there before.");
	if (out.len)
		j->step->why = out.data;
}

static void
apply_local(SdJudgement *j)
{
	SdStep	   *step = j->step;

	step->restores = SD_RESTORES_NOTHING;
	if (j->worst_rule == NULL)
		step->rule = SD_RULE_LOCAL;
	step->rules = lappend(step->rules, SD_RULE_LOCAL);
	step->gate = "local";
	step->gate_class = SD_GATE_ANY;
}

/* Roles are the group's: the matrix is about schemas. */
static void
apply_roles(SdJudgement *j)
{
	static const struct
	{
		SdStepVerdict verdict;
		SdRuleAnswer backward;
		SdRuleAnswer forward;
		const char *gate;
		SdRuleGate	class;
		const char *undo;
	}			come_to[] = {
		[SD_ROLES_SAID] = {SD_STEP_SAFE, SD_ANSWER_YES, SD_ANSWER_YES, "G0", SD_GATE_ANY, "lossless"},
		[SD_ROLES_GIVEN] = {SD_STEP_SAFE, SD_ANSWER_YES, SD_ANSWER_NO, "G1", SD_GATE_ALL_THEN_USE, "lossless"},
		[SD_ROLES_ALTERED] = {SD_STEP_CAUTION, SD_ANSWER_DEPENDS, SD_ANSWER_DEPENDS, "G1", SD_GATE_ALL_THEN_USE, "depends"},
		[SD_ROLES_TAKEN] = {SD_STEP_CAUTION, SD_ANSWER_NO, SD_ANSWER_YES, "G4", SD_GATE_CONTRACT, "lossy"},
	};
	SdStep	   *step = j->step;
	SdRolesChange change = j->form->roles;

	step->rule = SD_RULE_ROLES;
	step->rules = lappend(step->rules, SD_RULE_ROLES);
	step->verdict = come_to[change].verdict;
	step->backward = come_to[change].backward;
	step->forward = come_to[change].forward;
	step->gate = come_to[change].gate;
	step->gate_class = come_to[change].class;
	step->reversible = come_to[change].undo;
	step->restores = SD_RESTORES_NOTHING;
	j->reasons = lappend(j->reasons, "Policy \"roles\" makes it the group's: every region runs it.");
	j->reasons = list_concat(j->reasons, j->form->roles_why);
}

/* What the statement's class says, beside the matrix. */
static void
apply_class(SdJudgement *j, const SdVerdict *class)
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
			apply_local(j);
			j->reasons = lappend(j->reasons, "As plain SQL it stays in this region, and the others do not run it; in the text of apply() all of them do.");
			if (j->form->refused_by_apply)
			{
				step->verdict = Max(step->verdict, SD_STEP_CAUTION);
				j->reasons = lappend(j->reasons, psprintf("In the text of apply() it is refused (SD004). %s", j->form->refused_by_apply));
			}
			break;
		case SD_CLASS_TEMPORARY:
			apply_local(j);
			break;
		case SD_CLASS_ALONE:
			if (class->hint && step->safer == NULL)
				step->safer = psprintf("-- %s", class->hint);
			break;
		case SD_CLASS_COORDINATED:
			if (j->form->roles != SD_ROLES_NOT)
				apply_roles(j);
			else if (step->rules == NIL && j->form->fails == NULL && j->form->unsure == NULL)
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

/* The caller's own psql may run it, apply() may not. */
static void
apply_script(SdJudgement *j)
{
	const char *hint;
	const char *refusal = sd_script_refusal(j->form->stmt, &hint);

	if (refusal == NULL)
		return;
	j->reasons = lcons(psprintf("apply() refuses it: %s", refusal), j->reasons);
	if (j->step->safer == NULL)
		j->step->safer = psprintf("-- %s", hint);
}

/* The gate will refuse it for the rows that are there, in these words. */
static void
apply_refusal(SdJudgement *j)
{
	SdStep	   *step = j->step;
	ListCell   *cell;

	step->verdict = SD_STEP_UNSAFE;
	step->rule = SD_RULE_REFUSED;
	step->rules = lcons(SD_RULE_REFUSED, step->rules);
	step->by_rows = true;
	/* which it says better */
	foreach(cell, j->reasons)
	{
		if (strcmp(lfirst(cell), SD_JUDGE_DIFFERS) == 0)
			j->reasons = foreach_delete_current(j->reasons, cell);
	}
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

/* They last until the commit. */
static void
hold_locks(SdWorld *world, List *effects)
{
	ListCell   *cell;

	foreach(cell, effects)
	{
		SdEffect   *effect = lfirst(cell);

		if (effect->lock >= ShareLock)
			sd_world_hold(world, effect->thing, effect->lock);
	}
}

void
sd_verdict(const SdForm *form, const SdVerdict *class, SdStep *step)
{
	SdJudgement	j = {.form = form,.step = step};

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
	apply_script(&j);
	sd_effects_tell(&j.effects, step);
	hold_locks(form->world, j.effects);
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
	if (j.worst && j.worst_verdict != SD_STEP_SAFE && !j.worst->harmless && !sd_judge_is_fresh(j.worst))
	{
		char	   *safer = sd_safer(form, j.worst, j.worst_rule);

		/* whatever is safer for the rest of it, it has to be written otherwise first */
		if (safer && step->by_rows)
			step->safer = psprintf("-- %s\n%s", form->refused_hint, safer);
		else if (safer && class->class == SD_CLASS_REFUSED && class->hint)
			step->safer = psprintf("-- %s\n%s", class->hint, safer);
		else if (safer)
			step->safer = safer;
	}
	if (j.apart && step->safer == NULL)
		step->safer = psprintf(SD_SAFER_APART "\n%s;", form->text);
	if (step->by_rows && step->safer == NULL)
		step->safer = psprintf("-- %s", form->refused_hint);
	/* by what no row says: it takes more than it names, or has no row */
	if (step->verdict == SD_STEP_CAUTION && step->caution == NIL)
		step->caution = list_make1(unconstify(char *, step->rule));
	explain(&j, class);
}
