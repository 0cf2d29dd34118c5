/*
 * judge.c: what the group's policy does with what analysis says of a change; see judge.h.
 *
 * Runs in a backend, at the change's origin only: the applier runs what was judged there.  Analysis lets go of every lock
 * that it takes, so it may run before the DDL lock is there.
 */
#include "compat.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"

#include "analysis/analyze.h"
#include "analysis/facts.h"
#include "attempt.h"
#include "ddl/capture.h"
#include "ddl/classify.h"
#include "ddl/fill.h"
#include "ddl/options.h"
#include "ddl/targets.h"
#include "errors.h"
#include "gate/change.h"
#include "gate/internal.h"
#include "gate/judge.h"
#include "gate/mode.h"
#include "gate/policy.h"
#include "settings.h"
#include "shared.h"
#include "store/entry.h"
#include "texts.h"

#define RULE_CLOCK "A4"			/* ADD COLUMN ... DEFAULT now() */

/* A statement that policy would refuse or warn of. */
typedef struct SdFinding
{
	const SdStep *step;
	bool		unsafe;
	List	   *rules;			/* of char *: those that no exception covers */
	List	   *used;			/* of char *: exceptions, for people */
	SdReaction	reaction;
} SdFinding;

/* ---- rules and exceptions ---- */

bool
sd_gate_is_rule(const char *id)
{
	for (int i = 0; i < sd_n_rules; i++)
		if (strcmp(sd_rules[i].id, id) == 0)
			return true;
	return strcmp(id, SD_RULE_CODE) == 0 || strcmp(id, SD_RULE_OTHER) == 0 || strcmp(id, SD_RULE_ROLES) == 0;
}

static void
check_allowed(Jsonb *options)
{
	ListCell   *lc;

	foreach(lc, sd_options_allowed(options))
	{
		const char *rule = ((SdAllowed *) lfirst(lc))->rule;

		if (!sd_gate_is_rule(rule))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"allow\" names rule \"%s\", which there is not", rule),
					 errhint("SELECT rule, form FROM schemadrift.compatibility_matrix; schemadrift.analyze() says which rules a script meets.")));
	}
}

static bool
covers(const SdException *exception, const char *rule, List *objects)
{
	ListCell   *lc;
	ListCell   *inner;

	if (strcmp(exception->rule, rule) != 0 || exception->until <= GetCurrentTimestamp())
		return false;
	if (exception->objects != NIL && objects == NIL)
		return false;
	foreach(lc, exception->objects == NIL ? NIL : objects)
	{
		bool		matches = false;

		foreach(inner, exception->objects)
			matches |= sd_pattern_matches(lfirst(lc), lfirst(inner));
		if (!matches)
			return false;
	}
	return true;
}

/* By what the rule does not count here; NULL: it does. */
static char *
exception_of(const SdJudged *judged, const SdStep *step, const char *rule)
{
	ListCell   *lc;

	foreach(lc, sd_options_allowed(judged->options))
	{
		SdAllowed  *allowed = lfirst(lc);

		if (strcmp(allowed->rule, rule) == 0)
			return psprintf("option \"allow\"%s%s", allowed->reason ? ": " : "", allowed->reason ? allowed->reason : "");
	}
	foreach(lc, sd_gate_policy()->exceptions)
	{
		SdException *exception = lfirst(lc);

		if (covers(exception, rule, step->objects))
			return psprintf("policy \"exceptions\": %s", exception->reason);
	}
	return NULL;
}

/* ---- looking ---- */

static SdReaction
reaction_to(const SdJudged *judged, bool unsafe)
{
	const SdReactions *reactions = unsafe ? &sd_gate_policy()->on_unsafe : &sd_gate_policy()->on_caution;

	return judged->name ? reactions->apply : reactions->plain;
}

static char *
object_texts(List *objects)
{
	StringInfoData out;
	ListCell   *lc;

	initStringInfo(&out);
	foreach(lc, objects)
		appendStringInfo(&out, "%s%s", foreach_current_index(lc) > 0 ? ", " : " of ", (char *) lfirst(lc));
	return out.data;
}

/* frozen: what a clock would make of it differs between regions no more, whatever else is to be said of it */
static void
find(SdJudged *judged, const SdStep *step, bool unsafe, bool frozen)
{
	SdReaction	reaction = reaction_to(judged, unsafe);
	SdFinding  *finding;
	ListCell   *lc;

	if (reaction == SD_REACTION_PASS || (unsafe ? step->unsafe : step->caution) == NIL)
		return;
	finding = palloc0(sizeof(SdFinding));
	finding->step = step;
	finding->unsafe = unsafe;
	finding->reaction = reaction;
	foreach(lc, unsafe ? step->unsafe : step->caution)
	{
		const SdRule *rule = sd_rule(lfirst(lc));
		char	   *exception;

		if ((frozen && strcmp(lfirst(lc), RULE_CLOCK) == 0) || (rule && rule->fails))
			continue;
		exception = exception_of(judged, step, lfirst(lc));
		if (exception == NULL)
			finding->rules = lappend(finding->rules, lfirst(lc));
		else
			finding->used = lappend(finding->used,
									psprintf("rule %s, %s%s, by %s; %s", (char *) lfirst(lc), step->command, object_texts(step->objects),
											 GetUserNameFromId(GetSessionUserId(), false), exception));
	}
	judged->found = lappend(judged->found, finding);
}

/* Does it have a part that is about another table, too? */
static bool
names_another(AlterTableStmt *stmt)
{
	ListCell   *lc;
	ListCell   *inner;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, lc);

		switch (command->subtype)
		{
			case AT_AttachPartition:
			case AT_DetachPartition:
			case AT_AddInherit:
				return true;
			case AT_AddConstraint:
				if (castNode(Constraint, command->def)->contype == CONSTR_FOREIGN)
					return true;
				break;
			case AT_AddColumn:
				foreach(inner, castNode(ColumnDef, command->def)->constraints)
					if (lfirst_node(Constraint, inner)->contype == CONSTR_FOREIGN)
						return true;
				break;
			default:
				break;
		}
	}
	return false;
}

/* Did this transaction make it? */
static bool
is_new(Oid oid)
{
	Relation	relation;
	LOCKTAG		tag;
	bool		result;

	/* its maker holds this lock, and the relation cache keeps it until the end */
	SET_LOCKTAG_RELATION(tag, MyDatabaseId, oid);
	if (!sd_compat_lock_held(&tag, AccessExclusiveLock))
		return false;
	relation = RelationIdGetRelation(oid);
	result = RelationIsValid(relation) && relation->rd_createSubid != InvalidSubTransactionId;
	if (RelationIsValid(relation))
		RelationClose(relation);
	return result;
}

/* Of nothing but tables that this transaction itself made: nobody else knows them, and rows that they were given stay here. */
static bool
is_of_new_table(Node *stmt)
{
	RangeVar   *name = IsA(stmt, AlterTableStmt) ? ((AlterTableStmt *) stmt)->relation : IsA(stmt, IndexStmt) ? ((IndexStmt *) stmt)->relation : NULL;
	Oid			oid = name ? sd_target_relation(name) : InvalidOid;
	ListCell   *lc;

	if (!OidIsValid(oid) || !is_new(oid) || (IsA(stmt, AlterTableStmt) && names_another((AlterTableStmt *) stmt)))
		return false;
	/* what is done to it is done to its partitions, which it may have been given */
	foreach(lc, sd_fact_descendants(oid))
		if (!is_new(lfirst_oid(lc)))
			return false;
	return true;
}

typedef struct Filling
{
	Node	   *stmt;
	const char *text;
	TimestampTz frozen_at;
	bool		refused;
	bool		frozen;			/* it fills in the same everywhere, because the time is frozen */
} Filling;

static void
look_at_filling(void *arg)
{
	Filling    *filling = arg;
	const char *hint;

	sd_set_lock_timeout(SD_FREE_LOCK_MS, GUC_ACTION_LOCAL);
	filling->refused = sd_fill_reason(filling->stmt, filling->text, filling->frozen_at, &hint) != NULL;
	filling->frozen = !filling->refused && filling->frozen_at != 0 &&
		sd_fill_freeze(filling->stmt, filling->text, filling->frozen_at) != filling->stmt;
}

/*
 * Would classification refuse it when it runs (SD004), so that no exception helps?  An attempt, as it may fail over what the script has yet
 * to make: then it is judged like any other.  Where somebody holds the table nobody waits: whether it has rows is seen when it runs.
 */
static bool
is_refused_anyway(const SdJudged *judged, Node *stmt, bool *frozen)
{
	Filling		filling = {.stmt = stmt,.text = judged->text,.frozen_at = sd_gate_freezes_at(judged->options)};

	ErrorData  *error = sd_attempt(look_at_filling, &filling, false);

	*frozen = filling.frozen;
	return filling.refused || (error && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE);
}

/* What is said to fail is judged like anything else: analysis can be mistaken, and then it runs. */
static bool
is_judged(const SdJudged *judged, const SdStep *step, Node *stmt, bool *frozen)
{
	SdVerdict	verdict;

	*frozen = false;
	sd_gate_classify(stmt, &verdict);
	if ((verdict.class != SD_CLASS_COORDINATED && verdict.class != SD_CLASS_NOT_DDL) || is_of_new_table(stmt))
		return false;
	return step->gate_class != SD_GATE_NONDETERMINISTIC || !IsA(stmt, AlterTableStmt) || !is_refused_anyway(judged, stmt, frozen);
}

static bool
is_watching(const SdJudged *judged)
{
	return reaction_to(judged, true) != SD_REACTION_PASS || reaction_to(judged, false) != SD_REACTION_PASS ||
		sd_gate_policy()->gate_barriers;
}

static int64
applied_here(void)
{
	SdDatabase *db = sd_shared_mine();
	int64		applied = 0;

	if (db)
	{
		LWLockAcquire(&db->lock, LW_SHARED);
		applied = db->applied;
		LWLockRelease(&db->lock);
	}
	return applied;
}

static bool
is_tightening(SdRuleGate class)
{
	return class == SD_GATE_DRAIN_FIRST || class == SD_GATE_CONTRACT || class == SD_GATE_CUT_OVER;
}

/* Does it forbid, or take away, what other regions may still need? */
static bool
tightens(const SdStep *step)
{
	ListCell   *lc;

	/* the worst gate is the step's; this one hides those below it */
	if (step->gate_class != SD_GATE_NONDETERMINISTIC)
		return is_tightening(step->gate_class);
	foreach(lc, step->rules)
	{
		const SdRule *rule = sd_rule(lfirst(lc));

		if (rule && is_tightening(rule->gate_class))
			return true;
	}
	return false;
}

static void
look(SdJudged *judged)
{
	List	   *parsed;
	List	   *steps;
	SdGroundRules ground;

	judged->found = NIL;
	judged->tightens = false;
	judged->applied = applied_here();
	if (!is_watching(judged))
		return;
	ground = sd_gate_ground_rules(judged->options);
	parsed = sd_parse_quietly(judged->text);
	steps = parsed == NIL ? NIL : sd_analyze(judged->text, &ground);
	for (int i = 0; i < list_length(steps); i++)
	{
		SdStep	   *step = list_nth(steps, i);
		bool		frozen;

		if (!is_judged(judged, step, list_nth_node(RawStmt, parsed, i)->stmt, &frozen))
			continue;
		find(judged, step, true, frozen);
		find(judged, step, false, frozen);
		judged->tightens |= sd_gate_policy()->gate_barriers && tightens(step);
	}
}

/* ---- saying so ---- */

static char *
rule_texts(List *rules, const char *quote)
{
	StringInfoData out;
	ListCell   *lc;

	initStringInfo(&out);
	foreach(lc, rules)
		appendStringInfo(&out, "%s%s%s%s", foreach_current_index(lc) > 0 ? ", " : "", quote, (char *) lfirst(lc), quote);
	return out.data;
}

static char *
first_line(const char *text)
{
	return pnstrdup(text, strcspn(text, "\n"));
}

static const char *
policy_key(const SdFinding *finding)
{
	return finding->unsafe ? "on_unsafe" : "on_caution";
}

static const char *
what_it_is(const SdFinding *finding)
{
	return finding->unsafe ? "unsafe" : "a case for caution";
}

static void
append_finding(StringInfo out, const SdJudged *judged, const SdFinding *finding)
{
	const SdStep *step = finding->step;

	if (judged->name)
		appendStringInfo(out, "Statement %d (line %d), ", step->number, step->line);
	appendStringInfo(out, "%s%s, rule %s: %s\n", step->command, object_texts(step->objects), rule_texts(finding->rules, ""),
					 step->why ? step->why : what_it_is(finding));
	if (step->otherwise)
		appendStringInfo(out, "Should it not: %s\n", step->otherwise);
}

static void
refuse(const SdJudged *judged)
{
	StringInfoData detail;
	StringInfoData hint;
	List	   *rules = NIL;
	const SdFinding *first = NULL;
	const char *safer = NULL;
	int			n = 0;
	ListCell   *lc;
	ListCell   *inner;

	initStringInfo(&detail);
	foreach(lc, judged->found)
	{
		const SdFinding *finding = lfirst(lc);

		if (finding->reaction != SD_REACTION_REFUSE || finding->rules == NIL)
			continue;
		first = first ? first : finding;
		n++;
		append_finding(&detail, judged, finding);
		safer = safer ? safer : finding->step->safer;
		foreach(inner, finding->rules)
			if (!sd_texts_have(rules, lfirst(inner)))
				rules = lappend(rules, lfirst(inner));
	}
	if (first == NULL)
		return;
	appendStringInfoString(&detail, sd_policy_says(sd_gate_policy(), policy_key(first)));
	initStringInfo(&hint);
	if (safer)
		appendStringInfo(&hint, "Rather: %s\nAll of it: SELECT safer FROM schemadrift.analyze(...). ", first_line(safer));
	if (judged->name)
		appendStringInfo(&hint, "If it has to be as it is: options => '{\"allow\": [%s]}'.", rule_texts(rules, "\""));
	else
		appendStringInfo(&hint, "If it has to be as it is: schemadrift.apply() with options => '{\"allow\": [%s]}', or policy \"exceptions\".",
						 rule_texts(rules, "\""));
	ereport(ERROR,
			(errcode(sd_ask_refused(SD_ERRCODE_POLICY)),
			 judged->name == NULL ? errmsg("%s is refused: it is %s", first->step->command, what_it_is(first)) :
			 n == 1 ? errmsg("migration \"%s\" is refused: statement %d is %s", judged->name, first->step->number, what_it_is(first)) :
			 errmsg("migration \"%s\" is refused: for %d of its statements", judged->name, n),
			 errdetail_internal("%s", detail.data),
			 errhint("%s", hint.data)));
}

static void
warn(const SdJudged *judged, const SdFinding *finding)
{
	const SdStep *step = finding->step;

	if (finding->rules == NIL || finding->reaction != SD_REACTION_WARN)
		return;
	ereport(WARNING,
			(judged->name ? errmsg("statement %d, %s%s, is %s (rule %s)", step->number, step->command, object_texts(step->objects),
								   what_it_is(finding), rule_texts(finding->rules, "")) :
			 errmsg("%s%s is %s (rule %s)", step->command, object_texts(step->objects), what_it_is(finding),
					rule_texts(finding->rules, "")),
			 step->why ? errdetail("%s", step->why) : 0,
			 step->safer ? errhint("Rather: %s", first_line(step->safer)) :
			 errhint("SELECT * FROM schemadrift.analyze(...); what is meant to be so is an exception: policy \"exceptions\".")));
}

void
sd_gate_judge(SdJudged *judged, const char *name, const char *text, Jsonb *options)
{
	memset(judged, 0, sizeof(*judged));
	judged->name = name;
	judged->text = text;
	judged->options = options;
	check_allowed(options);
	look(judged);
	refuse(judged);
}

void
sd_gate_judge_granted(SdJudged *judged)
{
	bool		tightens = judged->tightens;
	SdDatabase *db = sd_shared_mine();
	ListCell   *lc;
	ListCell   *inner;

	if (judged->applied != applied_here())
	{
		look(judged);
		refuse(judged);
		if (judged->tightens && !tightens)
			ereport(ERROR,
					(errcode(sd_ask_refused(SD_ERRCODE_POLICY)),
					 errmsg("the schema change is refused: the schema or the policy changed while it waited"),
					 errdetail("It has to wait for every serving region now.\n%s", sd_policy_says(sd_gate_policy(), "barriers")),
					 errhint("Run the transaction again.")));
	}
	foreach(lc, judged->found)
	{
		const SdFinding *finding = lfirst(lc);

		warn(judged, finding);
		foreach(inner, finding->used)
		{
			const char *subject = judged->name ? judged->name : finding->step->command;

			/* view decisions has only the newest, and ends with the server */
			ereport(LOG,
					(errmsg("schemadrift allowed \"%s\" by exception: %s", subject, (char *) lfirst(inner))));
			if (db)
				sd_shared_decide(db, "exception", subject, "allowed", "", lfirst(inner));
		}
	}
}

/* ---- barriers, waits ---- */

int64
sd_gate_judged_barrier(const SdJudged *judged, int64 explicit_barrier)
{
	return judged->tightens ? Max(explicit_barrier, sd_change_version() - 1) : explicit_barrier;
}

List *
sd_gate_judged_needs(const SdJudged *judged)
{
	return judged->tightens ? list_make1("barrier:-1") : NIL;
}

int
sd_gate_limit_lock_wait(void)
{
	int			limit = sd_gate_policy()->max_lock_wait_ms;
	int			nest_level;

	if (limit == 0 || (LockTimeout > 0 && LockTimeout <= limit))
		return 0;
	nest_level = NewGUCNestLevel();
	sd_set_lock_timeout(limit, GUC_ACTION_SAVE);
	return nest_level;
}
