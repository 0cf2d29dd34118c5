/*
 * advice.c: rules O of the matrix: what linters say of the text; see advice.h.
 *
 * Runs in a backend; reads the catalog for indexes under foreign keys, takes no lock.
 */
#include "compat.h"

#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "storage/proc.h"

#include "analysis/advice.h"
#include "analysis/facts.h"
#include "texts.h"

#define COLUMNS_MOST	3		/* of an index, before O9 */

typedef struct Looking
{
	SdAdvice   *state;
	const SdForm *form;
	SdStep	   *step;
	List	   *ids;			/* of char * */
} Looking;

static void
advise(Looking *l, const char *rule)
{
	ListCell   *cell;

	foreach(cell, l->ids)
	{
		if (strcmp(lfirst(cell), rule) == 0)
			return;
	}
	l->ids = lappend(l->ids, unconstify(char *, rule));
}

/* ---- columns ---- */

static bool
is_type(const TypeName *type, const char *const *names)
{
	const char *name;

	if (type == NULL || type->names == NIL || type->setof)
		return false;
	name = strVal(llast(type->names));
	for (; *names; names++)
	{
		if (strcmp(name, *names) == 0)
			return true;
	}
	return false;
}

static const char *const small_types[] = {"int2", "int4", "smallserial", "serial2", "serial", "serial4", NULL};
static const char *const serial_types[] = {"smallserial", "serial2", "serial", "serial4", "bigserial", "serial8", NULL};
static const char *const limited_types[] = {"bpchar", "varchar", NULL};
static const char *const local_times[] = {"timestamp", NULL};

static bool
is_key(const ColumnDef *column, List *elements)
{
	ListCell   *cell;
	ListCell   *key;

	foreach(cell, column->constraints)
	{
		if (lfirst_node(Constraint, cell)->contype == CONSTR_PRIMARY)
			return true;
	}
	foreach(cell, elements)
	{
		Constraint *constraint = (Constraint *) lfirst(cell);

		if (!IsA(constraint, Constraint) || constraint->contype != CONSTR_PRIMARY)
			continue;
		foreach(key, constraint->keys)
		{
			if (strcmp(strVal(lfirst(key)), column->colname) == 0)
				return true;
		}
	}
	return false;
}

static void
look_at_column(Looking *l, const ColumnDef *column, List *elements)
{
	ListCell   *cell;

	if (column->typeName == NULL)
		return;
	if (is_type(column->typeName, small_types) && is_key(column, elements))
		advise(l, "O1");
	if (is_type(column->typeName, limited_types) && column->typeName->typmods != NIL)
		advise(l, "O2");
	if (is_type(column->typeName, local_times))
		advise(l, "O3");
	if (list_length(column->typeName->names) == 1 && is_type(column->typeName, serial_types))
		advise(l, "O4");
	if (elements != NIL)
		return;
	foreach(cell, column->constraints)
	{
		if (lfirst_node(Constraint, cell)->contype == CONSTR_FOREIGN)
			advise(l, "O8");
	}
}

static void
look_at_columns(Looking *l, List *elements)
{
	ListCell   *cell;
	ListCell   *before;

	foreach(cell, elements)
	{
		ColumnDef  *column = (ColumnDef *) lfirst(cell);

		if (!IsA(column, ColumnDef))
			continue;
		look_at_column(l, column, elements);
		foreach(before, elements)
		{
			ColumnDef  *other = (ColumnDef *) lfirst(before);

			if (other == column)
				break;
			if (IsA(other, ColumnDef) && strcmp(other->colname, column->colname) == 0)
				advise(l, "O17");
		}
	}
}

/* Of ResTarget or String; a[1] and a[2] are two things, which PostgreSQL lets be assigned. */
static void
look_at_names(Looking *l, List *names)
{
	ListCell   *cell;
	List	   *seen = NIL;

	foreach(cell, names)
	{
		Node	   *node = lfirst(cell);
		char	   *name = IsA(node, String) ? strVal(node) : IsA(node, ResTarget) && ((ResTarget *) node)->indirection == NIL ?
			((ResTarget *) node)->name : NULL;

		if (name == NULL)
			continue;
		if (sd_texts_have(seen, name))
			advise(l, "O17");
		seen = lappend(seen, name);
	}
}

/* ---- foreign keys, indexes ---- */

static bool
has_index(SdThing *table, List *names)
{
	SdColumn   *column = names ? sd_thing_column(table, strVal(linitial(names))) : NULL;
	ListCell   *cell;

	if (column == NULL)
		return true;
	foreach(cell, table->leading)
	{
		if (strcmp(lfirst(cell), column->name) == 0)
			return true;
	}
	if (column->number == 0)
		return false;
	foreach(cell, sd_fact_indexes(table->oid))
	{
		SdIndex    *index = lfirst(cell);

		if (index->leading == column->number && index->predicate == NULL)
			return true;
	}
	return false;
}

static void
look_at_alter(Looking *l, AlterTableStmt *stmt)
{
	SdThing    *table = sd_world_find(l->form->world, stmt->relation);
	bool		apart = false;
	ListCell   *cell;

	if (table == NULL)
		return;
	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);
		Constraint *constraint = (Constraint *) command->def;

		apart |= command->subtype == AT_ValidateConstraint;
		if (command->subtype == AT_AddColumn)
			look_at_column(l, castNode(ColumnDef, command->def), NIL);
		else if (command->subtype == AT_AddConstraint && constraint->contype == CONSTR_FOREIGN &&
				 !has_index(table, constraint->fk_attrs))
			advise(l, "O8");
	}
	/* what is validated was made NOT VALID in order not to be one with it */
	if (!table->made && !apart && table->alters++ > 0)
		advise(l, "O10");
}

/* ---- the text ---- */

/* Words and quoted names; the lexer has cut them where the tree has them. */
static bool
has_long_name(const char *text)
{
	int			length = 0;
	char		quote = 0;

	for (; *text; text++)
	{
		if (quote == '\'')
		{
			if (*text == '\'')
				quote = 0;
			continue;
		}
		if (*text == '"')
		{
			quote = quote ? 0 : '"';
			length = 0;
			continue;
		}
		if (quote == 0 && *text == '\'')
			quote = '\'';
		if (quote == '"' || isalnum((unsigned char) *text) || *text == '_' || *text == '$' || IS_HIGHBIT_SET(*text))
		{
			if (++length >= NAMEDATALEN)
				return true;
		}
		else
			length = 0;
	}
	return false;
}

/* the relation that the statement names first; NULL: it names none */
static const RangeVar *
named_relation(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			return ((CreateStmt *) stmt)->relation;
		case T_AlterTableStmt:
			return ((AlterTableStmt *) stmt)->relation;
		case T_IndexStmt:
			return ((IndexStmt *) stmt)->relation;
		case T_ViewStmt:
			return ((ViewStmt *) stmt)->view;
		case T_RenameStmt:
			return ((RenameStmt *) stmt)->relation;
		default:
			return NULL;
	}
}

static bool
fails_again(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			return !((CreateStmt *) stmt)->if_not_exists;
		case T_IndexStmt:
			return !((IndexStmt *) stmt)->if_not_exists;
		case T_CreateSchemaStmt:
			return !((CreateSchemaStmt *) stmt)->if_not_exists;
		case T_CreateSeqStmt:
			return !((CreateSeqStmt *) stmt)->if_not_exists;
		case T_DropStmt:
			return !((DropStmt *) stmt)->missing_ok;
		default:
			return false;
	}
}

static bool
is_concurrent(Node *stmt)
{
	return (IsA(stmt, IndexStmt) && ((IndexStmt *) stmt)->concurrent) || (IsA(stmt, DropStmt) && ((DropStmt *) stmt)->concurrent);
}

static void
look_at_block(Looking *l, TransactionStmt *stmt)
{
	advise(l, "O14");
	switch (stmt->kind)
	{
		case TRANS_STMT_BEGIN:
		case TRANS_STMT_START:
			l->state->in_block = true;
			break;
		case TRANS_STMT_COMMIT:
		case TRANS_STMT_ROLLBACK:
			l->state->in_block = l->state->locked = false;
			break;
		default:
			break;
	}
}

static void
look_at_statement(Looking *l)
{
	Node	   *stmt = l->form->stmt;
	const RangeVar *named = named_relation(stmt);

	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			look_at_columns(l, ((CreateStmt *) stmt)->tableElts);
			break;
		case T_AlterTableStmt:
			look_at_alter(l, (AlterTableStmt *) stmt);
			break;
		case T_UpdateStmt:
			look_at_names(l, ((UpdateStmt *) stmt)->targetList);
			break;
		case T_InsertStmt:
			look_at_names(l, ((InsertStmt *) stmt)->cols);
			if (((InsertStmt *) stmt)->onConflictClause)
				look_at_names(l, ((InsertStmt *) stmt)->onConflictClause->targetList);
			break;
		case T_ViewStmt:
			look_at_names(l, ((ViewStmt *) stmt)->aliases);
			break;
		case T_CreateTableAsStmt:
			look_at_names(l, ((CreateTableAsStmt *) stmt)->into->colNames);
			break;
		case T_IndexStmt:
			if (list_length(((IndexStmt *) stmt)->indexParams) > COLUMNS_MOST && !((IndexStmt *) stmt)->unique)
				advise(l, "O9");
			break;
		case T_AlterEnumStmt:
			if (((AlterEnumStmt *) stmt)->oldVal == NULL && ((AlterEnumStmt *) stmt)->newValNeighbor == NULL)
				advise(l, "O7");
			break;
		case T_CreateEnumStmt:
			advise(l, "O15");
			break;
		case T_CreateDomainStmt:
			if (((CreateDomainStmt *) stmt)->constraints != NIL)
				advise(l, "O16");
			break;
		case T_DropdbStmt:
			advise(l, "O18");
			break;
		case T_TransactionStmt:
			look_at_block(l, (TransactionStmt *) stmt);
			break;
		default:
			break;
	}
	if (named && named->schemaname == NULL && named->relpersistence != RELPERSISTENCE_TEMP)
		advise(l, "O5");
	if (has_long_name(l->form->text))
		advise(l, "O6");
	if (fails_again(stmt))
		advise(l, "O13");
	if (l->state->in_block && is_concurrent(stmt))
		advise(l, "O19");
}

/* Said of almost every statement: listed, not explained. */
static bool
is_small_talk(const char *rule)
{
	return strcmp(rule, "O5") == 0 || strcmp(rule, "O12") == 0 || strcmp(rule, "O13") == 0 || strcmp(rule, "O14") == 0;
}

void
sd_advise(SdAdvice *state, const SdForm *form, SdStep *step)
{
	Looking		l = {.state = state,.form = form,.step = step};
	StringInfoData out;
	ListCell   *cell;

	look_at_statement(&l);
	if (state->locked && (step->rewrites != NIL || step->scans != NIL))
		advise(&l, "O11");
	if (step->strongest >= ShareLock && LockTimeout == 0)
		advise(&l, "O12");
	if (step->strongest == AccessExclusiveLock)
		state->locked = true;

	initStringInfo(&out);
	foreach(cell, l.ids)
	{
		const SdRule *rule = sd_rule(lfirst(cell));

		if (rule == NULL)
			continue;
		if (step->rules && strcmp(linitial(step->rules), SD_RULE_NONE) == 0)
			step->rules = NIL;
		step->rules = lappend(step->rules, unconstify(char *, rule->id));
		if (!is_small_talk(rule->id))
			appendStringInfo(&out, "%s%s (%s)", out.len ? ", " : "Advice on the text: ", rule->id, rule->form);
	}
	if (out.len && form->fails == NULL)
		step->why = step->why ? psprintf("%s\n%s.", step->why, out.data) : psprintf("%s.", out.data);
}
