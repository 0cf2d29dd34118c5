/*
 * effects.c: what the rules of a statement come to on each relation; see effects.h.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"

#include "analysis/effects.h"
#include "analysis/facts.h"

#define NAMED_MOST	100			/* relations and their locks, in a text for people */

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
	return (match->roles & SD_ROLE_BIT(role)) != 0;
}

SdEffect *
sd_effect_on(List **effects, const SdCast *cast)
{
	SdThing    *thing = cast->thing;
	SdEffect   *effect;

	/* its place in another list of effects means nothing in this one */
	if (thing->effect < list_length(*effects))
	{
		effect = list_nth(*effects, thing->effect);
		if (effect->thing == thing)
			return effect;
	}
	effect = palloc0(sizeof(SdEffect));
	effect->thing = thing;
	effect->shown = cast->shown;
	thing->effect = list_length(*effects);
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

/* ALTER COLUMN TYPE */
static bool
is_of_type(const SdRule *rule)
{
	return rule->id[0] == 'C';
}

/* The lock that a rule means for a relation in this role; NoLock: none. */
LOCKMODE
sd_effect_lock(const SdRule *rule, const SdMatch *match, SdRuleRole role)
{
	LOCKMODE	mode = NoLock;

	if (match->lock != NoLock && role != SD_ROLE_REFERENCED && role != SD_ROLE_REFERENCING)
		return match->lock;
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
			/* its foreign key is made again with another type */
			if (is_of_type(rule))
				(void) rule_locks(rule, SD_ROLE_TABLE, &mode);
			return mode;
		case SD_ROLE_REFERENCING:
		case SD_ROLE_VIEW:
		case SD_ROLE_MATVIEW:
		case SD_ROLE_SEQUENCE:
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

/* A partitioned table has none, but what is done to its rows is done to those below it. */
static bool
has_files(const SdCast *cast)
{
	const SdThing *thing = cast->thing;

	if (thing->many || RELKIND_HAS_STORAGE(thing->kind))
		return true;
	return thing->kind == RELKIND_PARTITIONED_TABLE && !cast->alone && sd_fact_descendants(thing->oid) != NIL;
}

static void
probed_effect(SdEffect *effect, const SdMatch *match, SdRuleRole role)
{
	/* rows of a new type are checked against those at the other end of a foreign key */
	if (role == SD_ROLE_REFERENCED || role == SD_ROLE_REFERENCING)
		effect->scanned |= match->probed == SD_PROBED_REWRITE;
	if (role != SD_ROLE_TABLE && role != SD_ROLE_PARTITIONS && role != SD_ROLE_CHILD && role != SD_ROLE_PARTITION && role != SD_ROLE_DEFAULT)
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
	if (is_of_type(rule) && (role == SD_ROLE_REFERENCED || role == SD_ROLE_REFERENCING))
		effect->scanned |= rule->rewrites == SD_REWRITE_ALL || rule->rewrites == SD_REWRITE_RELATION;
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
		if (!has_files(cast) || match->harmless)
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
	relation->members = list_copy(effect->thing->members);
	relation->name = pstrdup(effect->shown);
	relation->lock = effect->lock;
	relation->rewritten = effect->rewritten;
	relation->indexes = effect->indexes;
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
	int			locked = 0;
	ListCell   *cell;

	initStringInfo(&lock);
	list_sort(*effects, stronger_first);
	foreach(cell, *effects)
	{
		SdEffect	   *effect = lfirst(cell);

		if (effect->lock != NoLock && locked++ < NAMED_MOST)
			appendStringInfo(&lock, "%s%s: %s", lock.len ? ", " : "", effect->shown, sd_lock_name(effect->lock));
		step->strongest = Max(step->strongest, effect->lock);
		if (effect->rewritten)
			step->rewrites = lappend(step->rewrites, pstrdup(effect->shown));
		else if (effect->indexes)
			step->rewrites = lappend(step->rewrites, psprintf("indexes of %s", effect->shown));
		if (OidIsValid(effect->thing->oid) || effect->thing->members != NIL)
			step->relations = lappend(step->relations, step_relation(effect));
		if (effect->scanned && !effect->rewritten)
			step->scans = lappend(step->scans, pstrdup(effect->shown));
	}
	if (locked > NAMED_MOST)
		appendStringInfo(&lock, ", and %d more", locked - NAMED_MOST);
	step->lock = lock.len ? lock.data : pstrdup("none");
}
