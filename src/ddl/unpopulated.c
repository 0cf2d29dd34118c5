/*
 * unpopulated.c: materialized views that cannot be filled where what they read was not.
 *
 * Runs in the applier, and wherever an entry's text runs.  Takes ACCESS SHARE on what the query reads, as the statement itself does next.
 *
 * REFRESH MATERIALIZED VIEW is local: when, and from which rows, is each region's own business.  So a view that one region has populated
 * may be empty in another, and PostgreSQL refuses there to make another one from it.  The definition is what regions
 * agree on; so that one is empty there, too, and is filled like the first.
 */
#include "compat.h"

#include "catalog/pg_class.h"
#include "commands/matview.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "ddl/unpopulated.h"

/* Stops at the first one. */
static bool
find_unpopulated(Node *node, void *found)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;
		Relation	rel;

		if (entry->rtekind != RTE_RELATION || entry->relkind != RELKIND_MATVIEW)
			return false;
		rel = RelationIdGetRelation(entry->relid);
		if (rel == NULL)
			return false;
		if (!RelationIsPopulated(rel))
			*(Oid *) found = entry->relid;
		RelationClose(rel);
		return OidIsValid(*(Oid *) found);
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_unpopulated, found, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, find_unpopulated, found);
}

void
sd_unpopulated_leave_empty(PlannedStmt *planned)
{
	CreateTableAsStmt *create = (CreateTableAsStmt *) planned->utilityStmt;
	Oid			found = InvalidOid;
	ListCell   *cell;

	if (create == NULL || !IsA(create, CreateTableAsStmt) || create->objtype != OBJECT_MATVIEW || create->into->skipData)
		return;
	/* what views in it read is there after rewriting only, which scribbles on its argument */
	foreach(cell, QueryRewrite(copyObject(castNode(Query, create->query))))
		(void) find_unpopulated(lfirst(cell), &found);
	if (!OidIsValid(found))
		return;
	create->into->skipData = true;
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("materialized view \"%s\" is made without rows in this region", create->into->rel->relname),
			 errdetail("It reads materialized view \"%s\", which has not been populated here.", get_rel_name(found)),
			 errhint("REFRESH MATERIALIZED VIEW both, here: it is local.")));
}
