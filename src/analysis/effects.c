/*
 * effects.c: what the rules of a statement come to on each relation; see effects.h.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"

#include "analysis/effects.h"

const char *
sd_lock_name(LOCKMODE mode)
{
	switch (mode)
	{
		case AccessShareLock:
			return "ACCESS SHARE";
		case RowShareLock:
			return "ROW SHARE";
		case RowExclusiveLock:
			return "ROW EXCLUSIVE";
		case ShareUpdateExclusiveLock:
			return "SHARE UPDATE EXCLUSIVE";
		case ShareLock:
			return "SHARE";
		case ShareRowExclusiveLock:
			return "SHARE ROW EXCLUSIVE";
		case ExclusiveLock:
			return "EXCLUSIVE";
		default:
			return "ACCESS EXCLUSIVE";
	}
}

static bool
has_role(const SdMatch *match, SdRuleRole role)
{
	ListCell   *cell;

	foreach(cell, match->casts)
	{
		if (((SdCast *) lfirst(cell))->role == role)
			return true;
	}
	return false;
}

SdEffect *
sd_effect_on(List **effects, const SdCast *cast)
{
	SdEffect	   *effect;
	ListCell   *cell;

	foreach(cell, *effects)
	{
		effect = lfirst(cell);
		if (effect->thing == cast->thing)
			return effect;
	}
	effect = palloc0(sizeof(SdEffect));
	effect->thing = cast->thing;
	effect->shown = cast->shown;
	*effects = lappend(*effects, effect);
	return effect;
}

static bool
rule_locks(const SdRule *rule, SdRuleRole role, LOCKMODE *mode)
{
	for (int i = 0; i < rule->n_locks; i++)
	{
		if (rule->locks[i].role != role)
			continue;
		*mode = rule->locks[i].mode;
		return true;
	}
	return false;
}

/* The lock that a rule means for a relation in this role; NoLock: none. */
LOCKMODE
sd_effect_lock(const SdRule *rule, const SdMatch *match, SdRuleRole role)
{
	LOCKMODE	mode = NoLock;

	if (rule_locks(rule, role, &mode))
		return mode;
	switch (role)
	{
		case SD_ROLE_PARTITIONS:
		case SD_ROLE_CHILD:
			/* what is done to a table is done to those below it */
			if (!rule_locks(rule, SD_ROLE_PARTITIONS, &mode) && !rule_locks(rule, SD_ROLE_CHILD, &mode))
				(void) rule_locks(rule, SD_ROLE_TABLE, &mode);
			return mode;
		case SD_ROLE_PARENT:
			return mode;
		case SD_ROLE_TABLE:
			if (has_role(match, SD_ROLE_PARENT))
				(void) rule_locks(rule, SD_ROLE_PARENT, &mode);
			return mode;
		case SD_ROLE_REFERENCED:
			return mode;
		case SD_ROLE_REFERENCING:
		case SD_ROLE_VIEW:
		case SD_ROLE_MATVIEW:
			/* they go, or are made anew, with it */
			(void) rule_locks(rule, SD_ROLE_TABLE, &mode);
			if (mode == NoLock)
				(void) rule_locks(rule, SD_ROLE_VIEW, &mode);
			return mode == AccessExclusiveLock ? mode : NoLock;
		default:
			return mode;
	}
}

/* Does one of these bits mean the relation in this role? */
static bool
means(uint32 bits, const SdMatch *match, SdRuleRole role)
{
	if (bits & SD_ROLE_BIT(role))
		return true;
	if ((role == SD_ROLE_PARTITIONS || role == SD_ROLE_CHILD) && (bits & SD_ROLE_BIT(SD_ROLE_TABLE)))
		return true;
	return role == SD_ROLE_TABLE && has_role(match, SD_ROLE_PARENT) && (bits & SD_ROLE_BIT(SD_ROLE_PARENT));
}

static bool
has_files(const SdThing *thing)
{
	return thing->many || RELKIND_HAS_STORAGE(thing->kind);
}

static void
probed_effect(SdEffect *effect, const SdMatch *match, SdRuleRole role)
{
	if (role != SD_ROLE_TABLE && role != SD_ROLE_PARTITIONS && role != SD_ROLE_CHILD)
		return;
	effect->rewritten |= match->probed == SD_PROBED_REWRITE;
	effect->indexes |= match->probed == SD_PROBED_INDEXES;
	effect->scanned |= match->probed == SD_PROBED_SCAN || match->probed == SD_PROBED_INDEXES;
}

static void
ruled_effect(SdEffect *effect, const SdRule *rule, const SdMatch *match, SdRuleRole role)
{
	if (means(rule->rewritten, match, role))
	{
		effect->rewritten |= rule->rewrites == SD_REWRITE_ALL || rule->rewrites == SD_REWRITE_RELATION;
		effect->indexes |= rule->rewrites == SD_REWRITE_INDEXES;
	}
	effect->scanned |= means(rule->scanned, match, role);
}

void
sd_effects_collect(List **effects, const SdRule *rule, const SdMatch *match)
{
	ListCell   *cell;

	foreach(cell, match->casts)
	{
		SdCast	   *cast = lfirst(cell);
		SdEffect	   *effect;

		if (cast->thing->made)
			continue;
		effect = sd_effect_on(effects, cast);
		effect->lock = Max(effect->lock, sd_effect_lock(rule, match, cast->role));
		if (!has_files(cast->thing) || match->harmless)
			continue;
		if (match->probed == SD_PROBED_NOT)
			ruled_effect(effect, rule, match, cast->role);
		else
			probed_effect(effect, match, cast->role);
	}
}

static SdStepRelation *
step_relation(const SdEffect *effect)
{
	SdStepRelation *relation = palloc0(sizeof(SdStepRelation));

	relation->oid = effect->thing->oid;
	relation->name = pstrdup(effect->shown);
	relation->lock = effect->lock;
	relation->rewritten = effect->rewritten || effect->indexes;
	relation->scanned = effect->scanned;
	return relation;
}

static int
stronger_first(const ListCell *a, const ListCell *b)
{
	const SdEffect *x = lfirst(a);
	const SdEffect *y = lfirst(b);

	return y->lock != x->lock ? y->lock - x->lock : strcmp(x->shown, y->shown);
}

void
sd_effects_tell(List **effects, SdStep *step)
{
	StringInfoData lock;
	ListCell   *cell;

	initStringInfo(&lock);
	list_sort(*effects, stronger_first);
	foreach(cell, *effects)
	{
		SdEffect	   *effect = lfirst(cell);

		if (effect->lock != NoLock)
			appendStringInfo(&lock, "%s%s: %s", lock.len ? ", " : "", effect->shown, sd_lock_name(effect->lock));
		step->strongest = Max(step->strongest, effect->lock);
		if (effect->rewritten)
			step->rewrites = lappend(step->rewrites, pstrdup(effect->shown));
		else if (effect->indexes)
			step->rewrites = lappend(step->rewrites, psprintf("indexes of %s", effect->shown));
		if (OidIsValid(effect->thing->oid))
			step->relations = lappend(step->relations, step_relation(effect));
		if (effect->scanned && !effect->rewritten)
			step->scans = lappend(step->scans, pstrdup(effect->shown));
	}
	step->lock = lock.len ? lock.data : pstrdup("none");
}
