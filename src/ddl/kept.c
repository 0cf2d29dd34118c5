/*
 * kept.c: constants that a statement of DDL wrote into the schema, whose type nothing but their place in it says; see kept.h.
 *
 * Runs in a backend, in the utility hook, before and after a statement at its origin.  Takes AccessShareLock on catalogs, for a moment, and
 * only where a statement has such a string.
 *
 * In c > 'now' the string is what the operator that PostgreSQL chooses takes it for, and nobody else can tell.  So it is looked for where
 * PostgreSQL has put it: in the trees that this very statement wrote into the catalogs, where it is a constant of its type.  It came from the
 * string if it is what the type makes of the string, now, in this transaction: by the type's input function, as the statement did.
 * A text 'today' is none, and a date that was written as such is another value (but for 'today' beside this day's date).
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "attempt.h"
#include "ddl/kept.h"
#include "ddl/moment.h"
#include "ddl/nodetext.h"
#include "ddl/own_oid.h"
#include "ddl/stored.h"

struct SdKept
{
	List	   *words;			/* of char *: the strings */
	CommandId	from;			/* what it writes has this number of its transaction, or a higher one */
};

/* What such a string may be. */
typedef struct Sort
{
	bool		(*is_word) (const char *text);
	bool		(*is_type) (Oid type);
	const char *(*reason) (const char **hint);
} Sort;

static const Sort sorts[] = {
	{sd_moment_is_word, sd_moment_is_type, sd_moment_constant_reason},
	{sd_own_oid_is_number, sd_own_oid_is_type, sd_own_oid_constant_reason}
};

/* Who has a column of type pg_node_tree that is part of a definition; publications are local. */
static const Oid catalogs[] = {
	AttrDefaultRelationId, ConstraintRelationId, RewriteRelationId, IndexRelationId, PolicyRelationId, TriggerRelationId,
	StatisticExtRelationId, ProcedureRelationId, TypeRelationId, PartitionedRelationId, RelationRelationId
};

SdKept *
sd_kept_before(Node *stmt)
{
	SdKept	   *kept = NULL;
	ListCell   *cell;

	foreach(cell, sd_stored_strings(stmt))
	{
		if (!sd_kept_is_word(lfirst(cell)))
			continue;
		if (kept == NULL)
			kept = palloc0(sizeof(SdKept));
		kept->words = lappend(kept->words, pstrdup(lfirst(cell)));
	}
	if (kept)
		kept->from = GetCurrentCommandId(false);
	return kept;
}

/* ---- a constant ---- */

typedef struct Reading
{
	char	   *word;
	Oid			type;
	int32		modifier;
	Datum		value;
} Reading;

static void
read_word(void *arg)
{
	Reading    *reading = arg;
	Oid			input;
	Oid			parameter;

	getTypeInputInfo(reading->type, &input, &parameter);
	reading->value = OidInputFunctionCall(input, reading->word, parameter, reading->modifier);
}

static bool
is_word_read(const SdNode *node, char *word, Oid type)
{
	Reading		reading = {.word = word,.type = type,.modifier = (int32) sd_node_int(sd_node_field(node, "consttypmod"))};
	Datum		value;
	int16		length;
	bool		by_value;

	/* it cannot read it: then this came from elsewhere */
	if (sd_attempt(read_word, &reading, false) != NULL)
		return false;
	get_typlenbyval(type, &length, &by_value);
	value = sd_node_datum(sd_node_field(node, "constvalue"), by_value);
	if (length == -1)
		reading.value = PointerGetDatum(PG_DETOAST_DATUM(reading.value));
	return datumIsEqual(value, reading.value, by_value, length);
}

static const Sort *
sort_of_constant(const SdNode *node, List *words)
{
	Oid			type = sd_node_oid(sd_node_field(node, "consttype"));
	ListCell   *cell;

	if (sd_node_is_atom(sd_node_field(node, "constisnull"), "true"))
		return NULL;
	for (size_t i = 0; i < lengthof(sorts); i++)
	{
		if (!sorts[i].is_type(type))
			continue;
		foreach(cell, words)
			if (sorts[i].is_word(lfirst(cell)) && is_word_read(node, lfirst(cell), type))
				return &sorts[i];
	}
	return NULL;
}

static const Sort *
sort_in_tree(const SdNode *node, List *words)
{
	const Sort *sort = NULL;

	check_stack_depth();
	if (sd_node_is(node, "CONST"))
		return sort_of_constant(node, words);
	for (int i = 0; i < node->nitems && sort == NULL; i++)
		sort = sort_in_tree(&node->items[i], words);
	return sort;
}

/* ---- what a statement wrote ---- */

static const Sort *
sort_in_row(HeapTuple tuple, TupleDesc columns, List *words)
{
	const Sort *sort = NULL;

	for (int i = 0; i < columns->natts && sort == NULL; i++)
	{
		Datum		value;
		bool		isnull;

		if (TupleDescAttr(columns, i)->atttypid != PG_NODE_TREEOID)
			continue;
		value = heap_getattr(tuple, i + 1, columns, &isnull);
		if (!isnull)
			sort = sort_in_tree(sd_node_parse(TextDatumGetCString(value)), words);
	}
	return sort;
}

static bool
is_written(HeapTupleHeader row, CommandId from)
{
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row)) && HeapTupleHeaderGetCmin(row) >= from;
}

static const Sort *
sort_in_catalog(Oid catalog, const SdKept *kept)
{
	Relation	relation = table_open(catalog, AccessShareLock);
	SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	const Sort *sort = NULL;
	HeapTuple	tuple;

	while (sort == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
		if (is_written(tuple->t_data, kept->from))
			sort = sort_in_row(tuple, RelationGetDescr(relation), kept->words);
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return sort;
}

const char *
sd_kept_reason(const SdKept *kept, const char **hint)
{
	MemoryContext scratch;
	MemoryContext old;
	const Sort *sort = NULL;

	if (kept == NULL)
		return NULL;
	CommandCounterIncrement();
	/* the memory that looking takes may be much */
	scratch = AllocSetContextCreate(CurrentMemoryContext, "schemadrift kept constants", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	for (size_t i = 0; i < lengthof(catalogs) && sort == NULL; i++)
		sort = sort_in_catalog(catalogs[i], kept);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return sort ? sort->reason(hint) : NULL;
}

const char *
sd_kept_reason_in(const SdKept *kept, const char *tree, const char **hint)
{
	const Sort *sort = sort_in_tree(sd_node_parse(tree), kept->words);

	return sort ? sort->reason(hint) : NULL;
}

bool
sd_kept_is_word(const char *text)
{
	for (size_t i = 0; i < lengthof(sorts); i++)
		if (sorts[i].is_word(text))
			return true;
	return false;
}
