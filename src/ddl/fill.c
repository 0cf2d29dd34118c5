/*
 * fill.c: values that a statement of DDL writes into the rows that are there, and that each region would make for itself.
 *
 * Runs in a backend, in the utility hook, under the DDL lock.  Takes ACCESS SHARE on the table and what inherits from it, and gives it
 * back: the statement itself waits for more.
 *
 * ADD COLUMN ... DEFAULT now() computes one value in each region, DEFAULT random() one for each row, a serial numbers the rows as they
 * lie.  The schema would be the same everywhere, and the data would not.  On an empty table nothing of this happens.
 *
 * Freezing: ADD COLUMN c DEFAULT now() becomes ADD COLUMN c DEFAULT 'value', ALTER COLUMN c SET DEFAULT now() in one ALTER TABLE, in which
 * PostgreSQL fills the rows by the first and keeps the second.  The value goes through the type's output and input functions, as in a dump.
 */
#include "compat.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "attempt.h"
#include "ddl/fill.h"
#include "ddl/moment.h"
#include "ddl/targets.h"
#include "ddl/value.h"

static TimestampTz now_frozen_at = 0;

TimestampTz
sd_fill_frozen_at(void)
{
	return now_frozen_at;
}

void
sd_fill_work_frozen(TimestampTz at, void (*work) (void *arg), void *arg)
{
	TimestampTz before = now_frozen_at;

	now_frozen_at = at;
	PG_TRY();
	{
		work(arg);
	}
	PG_FINALLY();
	{
		now_frozen_at = before;
	}
	PG_END_TRY();
}

/* ---- is there anything to fill? ---- */

static bool
has_rows(Oid relation)
{
	Relation	rel = table_open(relation, AccessShareLock);
	bool		found = false;

	if (RELKIND_HAS_TABLE_AM(rel->rd_rel->relkind) && RelationGetNumberOfBlocks(rel) > 0)
	{
		SnapshotData dirty;
		TupleTableSlot *slot = table_slot_create(rel, NULL);
		TableScanDesc scan;

		/* rows that are not committed yet will be there, too, when the statement has waited for its lock */
		InitDirtySnapshot(dirty);
		scan = table_beginscan(rel, &dirty, 0, NULL);
		found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
		table_endscan(scan);
		ExecDropSingleTupleTableSlot(slot);
	}
	table_close(rel, AccessShareLock);
	return found;
}

/* Whether it has rows is for those to know who may read them. */
static bool
may_look(Oid relation)
{
	return sd_compat_owns_relation(relation, GetUserId()) || pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* The server will refuse it to others than the owner: for them nobody waits, and nobody looks. */
static bool
any_has_rows(Oid relation)
{
	List	   *relations;
	bool		found = false;
	ListCell   *cell;

	if (!sd_compat_owns_relation(relation, GetUserId()))
		return false;
	/* that of the first one is the caller's business there */
	LockRelationOid(relation, AccessShareLock);
	relations = find_all_inheritors(relation, AccessShareLock, NULL);
	foreach(cell, relations)
		found = found || has_rows(lfirst_oid(cell));
	foreach(cell, relations)
		UnlockRelationOid(lfirst_oid(cell), AccessShareLock);
	return found;
}

/* perhaps: somebody holds it, or the user may not know */
static SdHasRows
rows_at_once(Oid relation)
{
	SdHasRows	rows = SD_HAS_NONE;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relation, NoLock, NULL))
	{
		bool		there;

		if (!ConditionalLockRelationOid(lfirst_oid(cell), AccessShareLock))
		{
			rows = SD_HAS_PERHAPS;
			continue;
		}
		there = SearchSysCacheExists1(RELOID, ObjectIdGetDatum(lfirst_oid(cell)));
		if (there && !may_look(lfirst_oid(cell)))
			rows = SD_HAS_PERHAPS;
		else if (there && has_rows(lfirst_oid(cell)))
			rows = SD_HAS_SOME;
		UnlockRelationOid(lfirst_oid(cell), AccessShareLock);
		if (rows == SD_HAS_SOME)
			break;
	}
	return rows;
}

/* ---- a column ---- */

/* The default does not go to a child's column of that name, which is there already; setting it afterwards would. */
static bool
any_has_column(Oid relation, const char *name)
{
	ListCell   *cell;

	/* one of another region */
	if (!OidIsValid(relation))
		return false;
	foreach(cell, find_all_inheritors(relation, NoLock, NULL))
		if (get_attnum(lfirst_oid(cell), name) != InvalidAttrNumber)
			return true;
	return false;
}

static bool
can_freeze(Oid relation, const char *column, Node *cooked, TimestampTz at)
{
	return sd_value_of(sd_value_frozen(cooked, at)) == SD_VALUE_EQUAL && !any_has_column(relation, column);
}

static bool
is_serial(TypeName *type)
{
	static const char *const names[] = {"smallserial", "serial2", "serial", "serial4", "bigserial", "serial8"};

	if (list_length(type->names) != 1 || type->pct_type)
		return false;
	for (size_t i = 0; i < lengthof(names); i++)
		if (strcmp(strVal(linitial(type->names)), names[i]) == 0)
			return true;
	return false;
}

/* The default that its definition gives; *place: where that stands.  NULL: none. */
static Node *
given_default(ColumnDef *column, Node ***place)
{
	Node	  **found = &column->raw_default;
	ListCell   *cell;

	foreach(cell, column->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, cell);

		if (constraint->contype == CONSTR_DEFAULT)
			found = &constraint->raw_expr;
	}
	if (place)
		*place = found;
	return *found;
}

/* As ALTER TABLE does it: the default that is given, else the type's, which may be a domain's. */
static Node *
cooked_default(ColumnDef *column, const char *source)
{
	ParseState *pstate = make_parsestate(NULL);
	Node	   *given = given_default(column, NULL);
	Node	   *cooked;
	Oid			type;
	int32		typmod;

	pstate->p_sourcetext = source;
	typenameTypeIdAndMod(pstate, column->typeName, &type, &typmod);
	cooked = given ? cookDefault(pstate, copyObject(given), type, typmod, column->colname, '\0') : get_typdefault(type);
	free_parsestate(pstate);
	return cooked;
}

static bool
has_constraint(ColumnDef *column, ConstrType type)
{
	ListCell   *cell;

	foreach(cell, column->constraints)
		if (lfirst_node(Constraint, cell)->contype == type)
			return true;
	return false;
}

static SdValue
fill_of_column(Oid relation, ColumnDef *column, const char *source, TimestampTz frozen_at)
{
	Node	   *cooked;
	SdValue		fill;

	if (is_serial(column->typeName) || has_constraint(column, CONSTR_IDENTITY))
		return SD_VALUE_EACH;
	if (has_constraint(column, CONSTR_GENERATED))
		return SD_VALUE_EQUAL;
	cooked = cooked_default(column, source);
	fill = cooked ? sd_value_of(cooked) : SD_VALUE_EQUAL;
	/* a domain's default is not the column's to set */
	if (fill == SD_VALUE_MOMENT && frozen_at != 0 && given_default(column, NULL) && can_freeze(relation, column->colname, cooked, frozen_at))
		return SD_VALUE_EQUAL;
	return fill;
}

/*
 * The server computes a default that is not volatile when the column is added, rows or not: a region that has not got the setting would
 * halt.
 */
static bool
column_needs_setting(ColumnDef *column, const char *source)
{
	Node	   *cooked;

	if (is_serial(column->typeName) || has_constraint(column, CONSTR_IDENTITY) || has_constraint(column, CONSTR_GENERATED))
		return false;
	cooked = cooked_default(column, source);
	return cooked != NULL && sd_value_needs_setting(cooked);
}

/* ---- USING ---- */

typedef struct Using
{
	Oid			relation;
	ColumnDef  *column;			/* its new type, and the expression as its default */
	const char *source;
	SdValue		fill;
} Using;

static void
judge_using(void *arg)
{
	Using	   *using = arg;
	ParseState *pstate = make_parsestate(NULL);
	Relation	rel = table_open(using->relation, NoLock);
	ParseNamespaceItem *item;
	Node	   *cooked;
	Node	   *coerced;
	Oid			type;
	int32		typmod;

	pstate->p_sourcetext = using->source;
	item = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL, false, true);
	addNSItemToQuery(pstate, item, false, true, true);
	typenameTypeIdAndMod(pstate, using->column->typeName, &type, &typmod);
	cooked = transformExpr(pstate, copyObject(using->column->raw_default), EXPR_KIND_ALTER_COL_TRANSFORM);
	/* where that is not possible, the statement will say so */
	coerced = coerce_to_target_type(pstate, cooked, exprType(cooked), type, typmod, COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	cooked = coerced ? coerced : cooked;
	assign_expr_collations(pstate, cooked);
	using->fill = sd_value_of(cooked);
	table_close(rel, NoLock);
	free_parsestate(pstate);
}

/* Which of the functions of that name it calls is not known.  Where there is none, the script makes it first, or the statement fails. */
static bool
may_differ(Node *node, void *context)
{
	FuncCall   *call = (FuncCall *) node;
	FuncCandidateList candidates;

	if (node == NULL)
		return false;
	if (!IsA(node, FuncCall))
		return raw_expression_tree_walker(node, may_differ, context);
	candidates = FuncnameGetCandidates(call->funcname, list_length(call->args), NIL, true, true, false, true);
	for (; candidates; candidates = candidates->next)
		if (!OidIsValid(candidates->oid) || func_volatile(candidates->oid) == PROVOLATILE_VOLATILE || sd_value_function_is_of_moment(candidates->oid, NULL))
			return true;
	return raw_expression_tree_walker(node, may_differ, context);
}

/* Waits for nobody: where the table cannot be looked at now, or does not have these columns yet, the names must do. */
static SdValue
fill_of_using(Oid relation, ColumnDef *column, const char *source)
{
	Using		using = {relation, column, source, SD_VALUE_EQUAL};
	bool		known = false;

	if (column->raw_default == NULL)
		return SD_VALUE_EQUAL;
	if (OidIsValid(relation) && ConditionalLockRelationOid(relation, AccessShareLock))
	{
		known = SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)) && sd_attempt(judge_using, &using, true) == NULL;
		UnlockRelationOid(relation, AccessShareLock);
	}
	if (!known && (sd_moment_in_expression(column->raw_default) || may_differ(column->raw_default, NULL)))
		using.fill = SD_VALUE_EACH;
	/* one of the moment cannot be frozen here */
	return using.fill == SD_VALUE_EQUAL ? SD_VALUE_EQUAL : SD_VALUE_EACH;
}

bool
sd_fill_using_differs(Oid relation, ColumnDef *column)
{
	return fill_of_using(relation, column, "") != SD_VALUE_EQUAL;
}

/* ---- a command ---- */

/* IF NOT EXISTS, and it does */
static bool
adds_column(Oid relation, AlterTableCmd *command)
{
	return command->subtype == AT_AddColumn &&
		!(command->missing_ok && get_attnum(relation, ((ColumnDef *) command->def)->colname) != InvalidAttrNumber);
}

static SdValue
fill_of_command(Oid relation, AlterTableCmd *command, const char *source, TimestampTz frozen_at)
{
	if (adds_column(relation, command))
		return fill_of_column(relation, (ColumnDef *) command->def, source, frozen_at);
	if (command->subtype == AT_AlterColumnType)
		return fill_of_using(relation, (ColumnDef *) command->def, source);
	return SD_VALUE_EQUAL;
}

/* *of: the column that is the reason */
static SdValue
worst_of(Oid relation, AlterTableStmt *alter, const char *source, TimestampTz frozen_at, const char **of)
{
	SdValue		worst = SD_VALUE_EQUAL;
	ListCell   *cell;

	foreach(cell, alter->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);
		SdValue		fill = fill_of_command(relation, command, source, frozen_at);

		if (fill <= worst)
			continue;
		worst = fill;
		*of = command->name ? command->name : ((ColumnDef *) command->def)->colname;
	}
	return worst;
}

/* The first column whose default needs a setting that other regions may not have; NULL: none. */
static const char *
needing_setting(Oid relation, AlterTableStmt *alter, const char *source)
{
	ListCell   *cell;

	foreach(cell, alter->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (adds_column(relation, command) && column_needs_setting((ColumnDef *) command->def, source))
			return ((ColumnDef *) command->def)->colname;
	}
	return NULL;
}

/* ---- a statement ---- */

/* The table whose rows it may fill, or InvalidOid. */
static Oid
filled_table(Node *stmt)
{
	AlterTableStmt *alter = (AlterTableStmt *) stmt;

	if (!IsA(stmt, AlterTableStmt) || !(alter->objtype == OBJECT_TABLE || alter->objtype == OBJECT_MATVIEW))
		return InvalidOid;
	return sd_target_relation(alter->relation);
}

static bool
has_using(const AlterTableStmt *alter)
{
	ListCell   *cell;

	foreach(cell, alter->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype == AT_AlterColumnType && castNode(ColumnDef, command->def)->raw_default)
			return true;
	}
	return false;
}

static const char *
hint_for(Oid relation, AlterTableStmt *alter, const char *source, SdValue worst)
{
	const char *of;

	if (worst == SD_VALUE_EACH)
		return "Add the column without a default, then ALTER COLUMN ... SET DEFAULT (or ADD GENERATED), and fill the rows in one region, from where they are replicated.";
	if (worst_of(relation, alter, source, GetCurrentTransactionStartTimestamp(), &of) == SD_VALUE_EQUAL)
		return "Freeze the time, so that these rows get one value in all regions and the default still follows the clock: schemadrift.apply() with options => '{\"freeze_time\": true}', "
			"or policy \"freeze_time\". Or by hand: ADD COLUMN ... DEFAULT 'a value', then ALTER COLUMN ... SET DEFAULT with the expression.";
	return "Give the rows that are there one value, and let the default follow: ADD COLUMN ... DEFAULT 'a value', then ALTER COLUMN ... SET DEFAULT with the expression.";
}

static const char *
reason_text(const char *table, const char *has, const char *column)
{
	return psprintf("%s %s rows, and each region would compute the values of column \"%s\" for itself: they would differ.", table, has, column);
}

static const char *
setting_text(const char *column, const char **hint)
{
	*hint = "Add the column without a default, then ALTER COLUMN ... SET DEFAULT with the expression: that computes nothing.";
	return psprintf("The default of column \"%s\" reads a setting that does not go with the change, and is computed at once: a region without that setting would halt.",
					column);
}

const char *
sd_fill_reason(Node *stmt, const char *source, TimestampTz frozen_at, const char **hint)
{
	AlterTableStmt *alter = (AlterTableStmt *) stmt;
	Oid			relation = filled_table(stmt);
	const char *of = NULL;
	SdValue		worst;
	bool		waits;

	if (!OidIsValid(relation))
		return NULL;
	/* so that what is judged is what is there; the statement waits for whoever has the table anyhow */
	waits = has_using(alter) && sd_compat_owns_relation(relation, GetUserId());
	if (waits)
		LockRelationOid(relation, AccessShareLock);
	worst = worst_of(relation, alter, source, frozen_at, &of);
	if (waits)
		UnlockRelationOid(relation, AccessShareLock);
	if (worst == SD_VALUE_EQUAL)
		return NULL;
	if (!any_has_rows(relation))
	{
		of = needing_setting(relation, alter, source);
		return of ? setting_text(of, hint) : NULL;
	}
	*hint = hint_for(relation, alter, source, worst);
	return reason_text(quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation)), "has", of);
}

const char *
sd_fill_foreseen(Node *stmt, Oid relation, const char *shown, SdHasRows *rows, TimestampTz frozen_at, bool *always, const char **hint)
{
	AlterTableStmt *alter = castNode(AlterTableStmt, stmt);
	const char *of = NULL;
	SdValue		worst = worst_of(relation, alter, "", frozen_at, &of);

	*always = false;
	if (worst == SD_VALUE_EQUAL)
		return NULL;
	if (*rows != SD_HAS_SOME && OidIsValid(relation))
		*rows = Max(*rows, rows_at_once(relation));
	if (*rows == SD_HAS_NONE)
	{
		of = needing_setting(relation, alter, "");
		*always = of != NULL;
		return of ? setting_text(of, hint) : NULL;
	}
	*hint = hint_for(relation, alter, "", worst);
	return reason_text(shown, *rows == SD_HAS_SOME ? "has" : "may have", of);
}

const char *
sd_fill_elsewhere(Node *stmt, Oid relation, const char *shown, TimestampTz frozen_at, const char **hint)
{
	AlterTableStmt *alter = castNode(AlterTableStmt, stmt);
	const char *of = NULL;
	SdValue		worst = worst_of(InvalidOid, alter, "", frozen_at, &of);
	SdHasRows	rows = worst == SD_VALUE_EQUAL ? SD_HAS_NONE : rows_at_once(relation);

	if (rows == SD_HAS_NONE)
		return NULL;
	if (worst_of(InvalidOid, alter, "", GetCurrentTransactionStartTimestamp(), &of) == SD_VALUE_EQUAL)
		*hint = "Freeze the time, so that rows that are there get one value in the other regions: SELECT schemadrift.set_policy('{\"freeze_time\": true}'). Or make the column equal by hand.";
	else
		*hint = "Make the column equal by hand: in the other regions with ddl_mode = off and the values that are wanted, or drop it here, and add it by schemadrift.apply() without a default, then SET DEFAULT.";
	return reason_text(shown, rows == SD_HAS_SOME ? "has" : "may have", of);
}

static bool
is_to_freeze(Oid relation, AlterTableCmd *command, const char *source, TimestampTz frozen_at)
{
	return adds_column(relation, command) &&
		fill_of_column(relation, (ColumnDef *) command->def, source, 0) == SD_VALUE_MOMENT &&
		fill_of_column(relation, (ColumnDef *) command->def, source, frozen_at) == SD_VALUE_EQUAL;
}

static AlterTableCmd *
set_default(const char *column, Node *expression)
{
	AlterTableCmd *command = makeNode(AlterTableCmd);

	command->subtype = AT_ColumnDefault;
	command->name = pstrdup(column);
	command->def = expression;
	command->behavior = DROP_RESTRICT;
	return command;
}

Node *
sd_fill_freeze(Node *stmt, const char *source, TimestampTz frozen_at)
{
	Oid			relation = filled_table(stmt);
	AlterTableStmt *copy = NULL;
	int			inserted = 0;

	if (!OidIsValid(relation))
		return stmt;
	for (int i = 0; i < list_length(((AlterTableStmt *) stmt)->cmds); i++)
	{
		AlterTableCmd *command = list_nth_node(AlterTableCmd, ((AlterTableStmt *) stmt)->cmds, i);
		ColumnDef  *column;
		Node	  **place;
		Node	   *given;

		if (!is_to_freeze(relation, command, source, frozen_at))
			continue;
		copy = copy ? copy : copyObject((AlterTableStmt *) stmt);
		column = (ColumnDef *) list_nth_node(AlterTableCmd, copy->cmds, i + inserted)->def;
		given = given_default(column, &place);
		*place = sd_value_constant(cooked_default(column, source), frozen_at);
		/* before what the statement itself may say of it afterwards */
		copy->cmds = list_insert_nth(copy->cmds, i + ++inserted, set_default(column->colname, given));
	}
	return copy ? (Node *) copy : stmt;
}
