/*
 * constants.c: constants whose type nothing but their place says, foretold; see constants.h.
 *
 * Runs in a backend.  PostgreSQL's analysis knows relations as the catalogs have them: of what the script made or altered nothing is told.
 */
#include "compat.h"

#include "analysis/constants.h"
#include "ddl/kept.h"
#include "ddl/targets.h"

static bool
is_as_in_catalog(const SdForm *form, const RangeVar *name)
{
	SdThing    *thing = sd_world_find(form->world, name);
	Oid			relation = sd_target_relation(name);

	/* WITH has names, too */
	if (thing == NULL)
		return !OidIsValid(relation);
	return !thing->made && thing->oid == relation && thing->columns == NIL;
}

/* of RangeVar: whose columns its expressions may name */
static List *
relations_of(Node *stmt)
{
	List	   *relations = NIL;
	ListCell   *cell;

	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			relations = list_copy(((CreateStmt *) stmt)->inhRelations);
			foreach(cell, ((CreateStmt *) stmt)->tableElts)
				if (IsA(lfirst(cell), TableLikeClause))
					relations = lappend(relations, ((TableLikeClause *) lfirst(cell))->relation);
			return relations;
		case T_AlterTableStmt:
			return list_make1(((AlterTableStmt *) stmt)->relation);
		case T_IndexStmt:
			return list_make1(((IndexStmt *) stmt)->relation);
		case T_CreateStatsStmt:
			return ((CreateStatsStmt *) stmt)->relations;
		case T_CreateTrigStmt:
			return list_make1(((CreateTrigStmt *) stmt)->relation);
		case T_CreatePolicyStmt:
			relations = list_concat(sd_form_relations_in(((CreatePolicyStmt *) stmt)->qual), sd_form_relations_in(((CreatePolicyStmt *) stmt)->with_check));
			return lappend(relations, ((CreatePolicyStmt *) stmt)->table);
		case T_AlterPolicyStmt:
			relations = list_concat(sd_form_relations_in(((AlterPolicyStmt *) stmt)->qual), sd_form_relations_in(((AlterPolicyStmt *) stmt)->with_check));
			return lappend(relations, ((AlterPolicyStmt *) stmt)->table);
		case T_ViewStmt:
			return sd_form_relations_in(((ViewStmt *) stmt)->query);
		case T_CreateTableAsStmt:
			return sd_form_relations_in(((CreateTableAsStmt *) stmt)->query);
		default:
			return NIL;
	}
}

SdConstants
sd_constants_look(const SdForm *form)
{
	SdConstants constants = {0};
	ListCell   *cell;

	if (sd_kept_before(form->stmt) == NULL)
		return constants;
	constants.unknown = sd_world_out_of_sight(form->world) != NULL;
	foreach(cell, relations_of(form->stmt))
		constants.unknown |= !is_as_in_catalog(form, lfirst_node(RangeVar, cell));
	if (!constants.unknown)
		constants.reason = sd_kept_reason_later(form->stmt, &constants.unknown, &constants.hint);
	return constants;
}
