/*
 * facts_replication.c: what logical replication does with a table; see facts.h.
 *
 * Runs in a backend.  Scans catalogs by their indexes, so that a question costs the same in a large database.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_subscription_rel.h"
#include "nodes/makefuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "analysis/facts.h"
#include "texts.h"

static void
published_by(List *publications, SdReplicated *replicated)
{
	ListCell   *cell;

	foreach(cell, publications)
	{
		char	   *name = get_publication_name(lfirst_oid(cell), true);

		if (name == NULL)
			continue;
		replicated->published = true;
		replicated->listed = false;
		replicated->publications = sd_texts_add(replicated->publications, name);
	}
}

/* publications that name it, each with or without a list of its columns */
static void
published_itself(Oid table, Oid asked, SdReplicated *replicated)
{
	Relation	catalog = table_open(PublicationRelRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	/* a list in the syscache for each of thousands of partitions takes time with the square of their number */
	ScanKeyInit(&key, Anum_pg_publication_rel_prrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	scan = systable_beginscan(catalog, PublicationRelPrrelidPrpubidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		char	   *name = get_publication_name(((Form_pg_publication_rel) GETSTRUCT(tuple))->prpubid, true);
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_publication_rel_prattrs, RelationGetDescr(catalog), &isnull);

		if (!replicated->published)
			replicated->listed = true;
		replicated->published = true;
		/* a partition's numbers are its own */
		if (isnull || table != asked)
			replicated->listed = false;
		else
			replicated->columns = bms_union(replicated->columns, sd_fact_numbers(value));
		if (name)
			replicated->publications = sd_texts_add(replicated->publications, name);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
subscribed(Oid table, SdReplicated *replicated)
{
	Relation	catalog = table_open(SubscriptionRelRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_subscription_rel_srrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	scan = systable_beginscan(catalog, SubscriptionRelSrrelidSrsubidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		char	   *name = get_subscription_name(((Form_pg_subscription_rel) GETSTRUCT(tuple))->srsubid, true);

		replicated->subscribed = true;
		if (name)
			replicated->subscriptions = sd_texts_add(replicated->subscriptions, name);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

void
sd_fact_replicated(Oid table, Oid schema, SdReplicated *replicated)
{
	List	   *tables = NIL;
	ListCell   *cell;

	memset(replicated, 0, sizeof(*replicated));
	if (OidIsValid(table))
	{
		tables = list_make1_oid(table);
		if (get_rel_relispartition(table))
			tables = list_concat(tables, get_partition_ancestors(table));
		schema = get_rel_namespace(table);
	}
	/* of a partitioned table the partitions may be published, each by itself */
	foreach(cell, list_concat_copy(tables, sd_fact_descendants(table)))
	{
		published_itself(lfirst_oid(cell), table, replicated);
		subscribed(lfirst_oid(cell), replicated);
	}
	published_by(GetAllTablesPublications(), replicated);
	if (OidIsValid(schema))
		published_by(GetSchemaPublications(schema), replicated);
}
