/*
 * fill.c: values that a statement of DDL writes into the rows that are there, and that each region would make for itself.
 *
 * Runs in a backend, in the utility hook, under the DDL lock.  Takes ACCESS SHARE on the table and what inherits from it, and gives it
 * back: the statement itself waits for more.
 *
 * ADD COLUMN ... DEFAULT now() computes one value in each region, DEFAULT random() one for each row, a serial numbers the rows as they
 * lie.  The schema would be the same everywhere, and the data would not.  On an empty table nothing of this happens.
 * Stable functions that only follow settings are the same everywhere, because settings go with the entry.
 */
#include "compat.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/heap.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_node.h"
#include "parser/parse_type.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "ddl/fill.h"
#include "ddl/moment.h"
#include "ddl/targets.h"

typedef enum Fill
{
	FILL_EQUAL,
	FILL_MOMENT,				/* one value for all rows, another in each region */
	FILL_EACH					/* a value a row, another in each region */
} Fill;

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

static bool
any_has_rows(Oid relation)
{
	List	   *relations;
	bool		found = false;
	ListCell   *cell;

	/* that of the first one is the caller's business there */
	LockRelationOid(relation, AccessShareLock);
	relations = find_all_inheritors(relation, AccessShareLock, NULL);
	foreach(cell, relations)
		found = found || has_rows(lfirst_oid(cell));
	foreach(cell, relations)
		UnlockRelationOid(lfirst_oid(cell), AccessShareLock);
	return found;
}

/* ---- what would be filled in ---- */

/* Functions that are stable and no more: whom they follow goes with the entry (settings, users), or does not (clock, server, tables). */
static bool
is_of_the_moment(Oid function, void *context)
{
	(void) context;
	if (func_volatile(function) != PROVOLATILE_STABLE)
		return false;
	/* a user's may read tables */
	if (function >= FirstNormalObjectId)
		return true;
	switch (function)
	{
		case F_AGE_TIMESTAMP:
		case F_AGE_TIMESTAMPTZ:
		case F_AGE_XID:
			return true;
		case F_PG_CLIENT_ENCODING:
		case F_CURRENT_SCHEMA:
			return false;
		default:				/* now(), inet_server_addr(), pg_backend_pid() ... */
			return get_func_nargs(function) == 0;
	}
}

static bool
has_moment(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
	{
		switch (((SQLValueFunction *) node)->op)
		{
			case SVFOP_CURRENT_ROLE:
			case SVFOP_CURRENT_USER:
			case SVFOP_USER:
			case SVFOP_SESSION_USER:
			case SVFOP_CURRENT_SCHEMA:
				return false;
			default:
				return true;
		}
	}
	if (check_functions_in_node(node, is_of_the_moment, NULL))
		return true;
	return expression_tree_walker(node, has_moment, context);
}

static Fill
fill_of_expression(Node *cooked)
{
	cooked = (Node *) expression_planner((Expr *) cooked);
	if (contain_volatile_functions(cooked))
		return FILL_EACH;
	return has_moment(cooked, NULL) ? FILL_MOMENT : FILL_EQUAL;
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

/* As ALTER TABLE does it: the default that is given, else the type's, which may be a domain's. */
static Fill
fill_of_column(ColumnDef *column, const char *source)
{
	ParseState *pstate = make_parsestate(NULL);
	Node	   *given = column->raw_default;
	Node	   *cooked;
	Oid			type;
	int32		typmod;
	ListCell   *cell;

	if (is_serial(column->typeName))
		return FILL_EACH;
	foreach(cell, column->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, cell);

		if (constraint->contype == CONSTR_IDENTITY)
			return FILL_EACH;
		if (constraint->contype == CONSTR_GENERATED)
			return FILL_EQUAL;
		if (constraint->contype == CONSTR_DEFAULT)
			given = constraint->raw_expr;
	}
	pstate->p_sourcetext = source;
	typenameTypeIdAndMod(pstate, column->typeName, &type, &typmod);
	cooked = given ? cookDefault(pstate, copyObject(given), type, typmod, column->colname, '\0') : get_typdefault(type);
	free_parsestate(pstate);
	return cooked ? fill_of_expression(cooked) : FILL_EQUAL;
}

static Fill
fill_of_command(Oid relation, AlterTableCmd *command, const char *source)
{
	ColumnDef  *column = (ColumnDef *) command->def;

	switch (command->subtype)
	{
		case AT_AddColumn:
			if (command->missing_ok && get_attnum(relation, column->colname) != InvalidAttrNumber)
				return FILL_EQUAL;
			return fill_of_column(column, source);
		case AT_AlterColumnType:	/* USING */
			return sd_moment_in_expression(column->raw_default) ? FILL_EACH : FILL_EQUAL;
		default:
			return FILL_EQUAL;
	}
}

const char *
sd_fill_reason(Node *stmt, const char *source, const char **hint)
{
	AlterTableStmt *alter = (AlterTableStmt *) stmt;
	Fill		worst = FILL_EQUAL;
	const char *of = NULL;
	Oid			relation;
	ListCell   *cell;

	if (!IsA(stmt, AlterTableStmt) || !(alter->objtype == OBJECT_TABLE || alter->objtype == OBJECT_MATVIEW))
		return NULL;
	relation = sd_target_relation(alter->relation);
	if (!OidIsValid(relation))
		return NULL;
	foreach(cell, alter->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);
		Fill		fill = fill_of_command(relation, command, source);

		if (fill <= worst)
			continue;
		worst = fill;
		of = command->name ? command->name : ((ColumnDef *) command->def)->colname;
	}
	if (worst == FILL_EQUAL || !any_has_rows(relation))
		return NULL;
	*hint = worst == FILL_MOMENT ?
		"Give the rows that are there one value, and let the default follow: ADD COLUMN ... DEFAULT 'a value', then ALTER COLUMN ... SET DEFAULT with the expression." :
		"Add the column without a default, then ALTER COLUMN ... SET DEFAULT (or ADD GENERATED), and fill the rows in one region, from where they are replicated.";
	return psprintf("%s has rows, and each region would compute the values of column \"%s\" for itself: they would differ.",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation)), of);
}
