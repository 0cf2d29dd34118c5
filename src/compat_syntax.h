/*
 * compat_syntax.h: which major of PostgreSQL was the first to understand a piece of a statement.
 *
 * Beside compat.h the only file that knows PostgreSQL's majors.  Each function looks at one node of a raw statement, not at
 * what is below it, and answers with a major, or 0 where all supported ones know it.  Raw, because it is asked before the
 * statement runs; so what only the analysis could tell (a MERGE into a view, identity columns of partitions) is not here,
 * nor what the scanner has swallowed (1_000).  What is missed halts the regions that cannot run it, with their error.
 */
#ifndef SD_COMPAT_SYNTAX_H
#define SD_COMPAT_SYNTAX_H

#include "compat.h"

#include "catalog/pg_attribute.h"
#include "nodes/parsenodes.h"

/* Functions of pg_catalog; what an older server calls by such a name is a user's. */
static inline int
sd_compat_syntax_function(const char *name, int nargs)
{
	static const struct
	{
		const char *name;
		int			major;
	}			functions[] = {
		{"any_value", 16}, {"array_sample", 16}, {"array_shuffle", 16}, {"date_add", 16}, {"date_subtract", 16},
		{"erf", 16}, {"erfc", 16}, {"pg_input_error_info", 16}, {"pg_input_is_valid", 16}, {"random_normal", 16},
		{"system_user", 16},
		{"to_bin", 17}, {"to_oct", 17}, {"unicode_assigned", 17}, {"uuid_extract_timestamp", 17},
		{"uuid_extract_version", 17}, {"xmltext", 17},
		{"array_reverse", 18}, {"array_sort", 18}, {"casefold", 18}, {"crc32", 18}, {"crc32c", 18}, {"gamma", 18},
		{"lgamma", 18}, {"uuidv4", 18}, {"uuidv7", 18},
	};

	for (size_t i = 0; i < lengthof(functions); i++)
		if (strcmp(functions[i].name, name) == 0)
			return functions[i].major <= SD_COMPAT_MAJOR ? functions[i].major : 0;
	if (strcmp(name, "random") == 0 && nargs == 2 && SD_COMPAT_MAJOR >= 17)
		return 17;
	/* AT LOCAL */
	if (strcmp(name, "timezone") == 0 && nargs == 1 && SD_COMPAT_MAJOR >= 17)
		return 17;
	return 0;
}

/* In a query or an expression. */
static inline int
sd_compat_syntax_expression(Node *node)
{
	switch (nodeTag(node))
	{
#if PG_VERSION_NUM >= 160000
		case T_JsonObjectConstructor:
		case T_JsonArrayConstructor:
		case T_JsonArrayQueryConstructor:
		case T_JsonObjectAgg:
		case T_JsonArrayAgg:
		case T_JsonIsPredicate:
			return 16;
		case T_RangeSubselect:
			return ((RangeSubselect *) node)->alias == NULL ? 16 : 0;
#endif
#if PG_VERSION_NUM >= 170000
		case T_JsonFuncExpr:
		case T_JsonTable:
		case T_JsonParseExpr:
		case T_JsonScalarExpr:
		case T_JsonSerializeExpr:
			return 17;
		case T_MergeWhenClause:
			return ((MergeWhenClause *) node)->matchKind == MERGE_WHEN_NOT_MATCHED_BY_SOURCE ? 17 : 0;
#endif
#if PG_VERSION_NUM >= 180000
		case T_MergeStmt:
			return ((MergeStmt *) node)->returningClause ? 17 : 0;
		case T_ReturningClause:
			return ((ReturningClause *) node)->options ? 18 : 0;
#elif PG_VERSION_NUM >= 170000
		case T_MergeStmt:
			return ((MergeStmt *) node)->returningList ? 17 : 0;
#endif
		default:
			return 0;
	}
}

static inline int
sd_compat_syntax_column(const ColumnDef *column)
{
#if PG_VERSION_NUM >= 160000
	return column->storage_name ? 16 : 0;
#else
	(void) column;
	return 0;
#endif
}

static inline int
sd_compat_syntax_constraint(const Constraint *constraint)
{
#if PG_VERSION_NUM >= 180000
	switch (constraint->contype)
	{
		case CONSTR_GENERATED:
			return constraint->generated_kind == ATTRIBUTE_GENERATED_VIRTUAL ? 18 : 0;
		case CONSTR_NOTNULL:
			/* with keys: it stands for itself in the table */
			return constraint->keys || constraint->is_no_inherit || constraint->skip_validation ? 18 : 0;
		case CONSTR_ATTR_ENFORCED:
		case CONSTR_ATTR_NOT_ENFORCED:
			return 18;
		case CONSTR_CHECK:
		case CONSTR_FOREIGN:
			return !constraint->is_enforced || constraint->fk_with_period || constraint->pk_with_period ? 18 : 0;
		default:
			return constraint->without_overlaps ? 18 : 0;
	}
#else
	(void) constraint;
	return 0;
#endif
}

/* Part of an ALTER TABLE. */
static inline int
sd_compat_syntax_command(const AlterTableCmd *command)
{
	switch (command->subtype)
	{
#if PG_VERSION_NUM >= 160000
		case AT_SetStorage:
			return command->def && IsA(command->def, String) && strcmp(strVal(command->def), "default") == 0 ? 16 : 0;
#endif
#if PG_VERSION_NUM >= 170000
		case AT_SetExpression:
			return 17;
		case AT_SetAccessMethod:
			return command->name == NULL ? 17 : 0;
		case AT_SetStatistics:
			return command->def == NULL ? 17 : 0;
#endif
#if PG_VERSION_NUM >= 180000
		case AT_AlterConstraint:
			return ((ATAlterConstraint *) command->def)->alterEnforceability ||
				((ATAlterConstraint *) command->def)->alterInheritability ? 18 : 0;
#endif
		default:
			return 0;
	}
}

/* Of a whole statement, what none of its parts says. */
static inline int
sd_compat_syntax_statement(Node *stmt)
{
	switch (nodeTag(stmt))
	{
#if PG_VERSION_NUM >= 160000
		case T_CreateStatsStmt:
			return ((CreateStatsStmt *) stmt)->defnames == NIL ? 16 : 0;
#endif
#if PG_VERSION_NUM >= 170000
		case T_CreateStmt:
			return ((CreateStmt *) stmt)->partspec && ((CreateStmt *) stmt)->accessMethod ? 17 : 0;
		case T_AlterDomainStmt:
			return ((AlterDomainStmt *) stmt)->def && IsA(((AlterDomainStmt *) stmt)->def, Constraint) &&
				((Constraint *) ((AlterDomainStmt *) stmt)->def)->contype == CONSTR_NOTNULL ? 17 : 0;
		case T_CreateEventTrigStmt:
			return strcmp(((CreateEventTrigStmt *) stmt)->eventname, "login") == 0 ? 17 : 0;
		case T_GrantStmt:
			foreach_node(AccessPriv, privilege, ((GrantStmt *) stmt)->privileges)
				if (privilege->priv_name && strcmp(privilege->priv_name, "maintain") == 0)
					return 17;
			return 0;
#endif
#if PG_VERSION_NUM >= 180000
		case T_CreateForeignTableStmt:
			foreach_ptr(Node, element, ((CreateForeignTableStmt *) stmt)->base.tableElts)
				if (IsA(element, TableLikeClause))
					return 18;
			return 0;
		case T_AlterDefaultPrivilegesStmt:
			return ((AlterDefaultPrivilegesStmt *) stmt)->action->objtype == OBJECT_LARGEOBJECT ? 18 : 0;
#endif
		default:
			return 0;
	}
}

#endif							/* SD_COMPAT_SYNTAX_H */
