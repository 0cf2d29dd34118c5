/*
 * canonical_query.c: stored queries as canonical text; see canonical.c.
 *
 * Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "miscadmin.h"
#include "nodes/nodes.h"
#include "nodes/parsenodes.h"

#include "ddl/canonical_writer.h"
#include "ddl/names.h"

/*
 * Result columns.  Those of INSERT and UPDATE are numbered as the target's columns, so are named by them; those of SELECT count
 * as written.
 */
static void
write_targets(SdWriter *w, const SdNode *list, Oid target, bool names)
{
	appendStringInfoChar(w->out, '(');
	for (int i = 0; i < list->nitems; i++)
	{
		const SdNode *entry = &list->items[i];
		bool		junk = sd_node_is_atom(sd_node_field(entry, "resjunk"), "true");

		sd_open_struct(w, entry);
		for (int j = 0; j < entry->nitems; j++)
		{
			const SdNode *value = &entry->items[j];
			bool		is_number = value->field_length == 5 && memcmp(value->field, "resno", 5) == 0;
			bool		is_name = value->field_length == 7 && memcmp(value->field, "resname", 7) == 0;

			/* columns for internal use are found by ressortgroupref; where they stand depends on dropped columns */
			if (is_number && junk)
				continue;
			if (is_number && OidIsValid(target))
			{
				sd_write_label(w, value);
				sd_append_column(w->out, target, sd_node_int(value));
			}
			else if (!is_name || (names && !OidIsValid(target) && !junk))
				sd_write_field(w, value);
		}
		sd_close_struct(w);
	}
	appendStringInfoChar(w->out, ')');
}

/* ON CONFLICT and MERGE have lists of the target's columns too. */
static void
write_with_targets(SdWriter *w, const SdNode *node, Oid target)
{
	sd_open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
	{
		const SdNode *value = &node->items[i];

		if ((sd_node_is_field(value, "onConflictSet") || sd_node_is_field(value, "targetList")) && !sd_node_is_null(value))
		{
			sd_write_label(w, value);
			write_targets(w, value, target, false);
		}
		else
			sd_write_field(w, value);
	}
	sd_close_struct(w);
}

/* 17 has three kinds of WHEN; before there were two, and "matched" said which. */
#define NOT_MATCHED_BY_TARGET	2

static void
write_merge_action(SdWriter *w, const SdNode *action, Oid target)
{
	long		command = sd_node_int(sd_node_field(action, "commandType"));
	const SdNode *matched = sd_node_field(action, "matched");
	long		kind = matched == NULL ? sd_node_int(sd_node_field(action, "matchKind")) :
		sd_node_is_atom(matched, "true") ? 0 : NOT_MATCHED_BY_TARGET;

	appendStringInfo(w->out, " %ld ", kind);
	write_with_targets(w, action, command == CMD_UPDATE || command == CMD_INSERT ? target : InvalidOid);
}

/* The rest of a MERGE.  Until 16 its condition stands where WHERE does, and in another place the whole of it. */
static void
write_merge(SdWriter *w, const SdNode *query, Oid target)
{
	const SdNode *condition = sd_node_field(query, "mergeJoinCondition");
	const SdNode *actions = sd_node_field(query, "mergeActionList");
	const SdNode *relation = sd_node_field(query, "mergeTargetRelation");

	if (condition == NULL)
		condition = sd_node_field(sd_node_field(query, "jointree"), "quals");
	appendStringInfoString(w->out, " :on ");
	sd_write_node(w, condition);
	if (relation && sd_node_int(relation) != sd_node_int(sd_node_field(query, "resultRelation")))
		sd_write_field(w, relation);
	appendStringInfoString(w->out, " :when (");
	for (int i = 0; actions && i < actions->nitems; i++)
		write_merge_action(w, &actions->items[i], target);
	appendStringInfoChar(w->out, ')');
}

static bool
is_of_merge(const SdNode *value)
{
	return sd_node_is_field(value, "mergeActionList") || sd_node_is_field(value, "mergeTargetRelation") ||
		sd_node_is_field(value, "mergeJoinCondition") || sd_node_is_field(value, "mergeUseOuterJoin");
}

/* What a MERGE takes its rows from. */
static void
write_merge_source(SdWriter *w, const SdNode *jointree)
{
	sd_write_label(w, jointree);
	sd_open_struct(w, jointree);
	for (int i = 0; i < jointree->nitems; i++)
		if (!sd_node_is_field(&jointree->items[i], "quals"))
			sd_write_field(w, &jointree->items[i]);
	sd_close_struct(w);
}

static int
compare_field(const void *a, const void *b)
{
	const SdNode *first = *(const SdNode *const *) a;
	const SdNode *second = *(const SdNode *const *) b;
	int			result = memcmp(first->field, second->field, Min(first->field_length, second->field_length));

	return result != 0 ? result : first->field_length - second->field_length;
}

/* Is it written?  What stands for a group expression is written where it is used. */
static bool
table_counts(const SdNode *rtable, int i, int placeholders)
{
	return i >= placeholders && sd_node_int(sd_node_field(&rtable->items[i], "rtekind")) != SD_COMPAT_RTE_GROUP;
}

static bool
any_table_counts(const SdNode *rtable, int placeholders)
{
	for (int i = 0; i < rtable->nitems; i++)
		if (table_counts(rtable, i, placeholders))
			return true;
	return false;
}

static void
write_rtable(SdWriter *w, const SdNode *rtable, bool names)
{
	appendStringInfoChar(w->out, '(');
	for (int i = 0; i < rtable->nitems; i++)
	{
		const SdNode *rte = &rtable->items[i];
		long		kind = sd_node_int(sd_node_field(rte, "rtekind"));
		const SdNode **fields;

		if (!table_counts(rtable, i, w->frame->placeholders))
			continue;

		/* majors have the fields in different orders */
		fields = palloc(rte->nitems * sizeof(SdNode *));
		for (int j = 0; j < rte->nitems; j++)
			fields[j] = &rte->items[j];
		qsort(fields, rte->nitems, sizeof(SdNode *), compare_field);

		sd_open_struct(w, rte);
		for (int j = 0; j < rte->nitems; j++)
		{
			const SdNode *value = fields[j];

			if (sd_node_is_field(value, "subquery") && sd_node_is(value, "QUERY"))
			{
				sd_write_label(w, value);
				sd_write_query(w, value, names, 0);
			}
			/* copied from what the table stands for; a view's, kept by 16 and later, is only its name */
			else if (sd_node_is_field(value, "coltypes") || sd_node_is_field(value, "coltypmods") ||
					 (sd_node_is_field(value, "relid") && kind != RTE_RELATION))
				continue;
			else
				sd_write_field(w, value);
		}
		sd_close_struct(w);
		pfree(fields);
	}
	appendStringInfoChar(w->out, ')');
}

/*
 * A query, as a new level of column references.  names: those of its result columns matter to somebody outside.
 * placeholders: this many tables at the beginning are left out, and not counted.
 */
void
sd_write_query(SdWriter *w, const SdNode *node, bool names, int placeholders)
{
	SdFrame		frame;
	const SdNode *saved = w->element;
	long		command = sd_node_int(sd_node_field(node, "commandType"));
	long		result = sd_node_int(sd_node_field(node, "resultRelation"));
	bool		is_setop = !sd_node_is_null(sd_node_field(node, "setOperations"));
	Oid			target = InvalidOid;

	check_stack_depth();
	frame.parent = w->frame;
	frame.relation = InvalidOid;
	frame.placeholders = placeholders;
	frame.rtable = sd_node_field(node, "rtable");
	if (frame.rtable && result >= 1 && result <= frame.rtable->nitems)
		target = sd_node_oid(sd_node_field(&frame.rtable->items[result - 1], "relid"));
	w->frame = &frame;
	w->element = NULL;

	sd_open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
	{
		const SdNode *value = &node->items[i];

		if (sd_node_is_null(value) || is_of_merge(value))
			continue;
		if (command == CMD_MERGE && sd_node_is_field(value, "jointree"))
			write_merge_source(w, value);
		else if (sd_node_is_field(value, "targetList"))
		{
			sd_write_label(w, value);
			write_targets(w, value, command == CMD_INSERT || command == CMD_UPDATE ? target : InvalidOid, names);
		}
		else if (sd_node_is_field(value, "returningList"))
		{
			sd_write_label(w, value);
			write_targets(w, value, InvalidOid, names);
		}
		else if (sd_node_is_field(value, "onConflict"))
		{
			sd_write_label(w, value);
			write_with_targets(w, value, target);
		}
		else if (sd_node_is_field(value, "rtable"))
		{
			if (!any_table_counts(value, placeholders))
				continue;
			sd_write_label(w, value);
			/* the members of a UNION are named by the whole */
			write_rtable(w, value, !is_setop);
		}
		else
			sd_write_field(w, value);
	}
	if (command == CMD_MERGE)
		write_merge(w, node, target);
	sd_close_struct(w);
	w->frame = frame.parent;
	w->element = saved;
}

/* The names of the result columns of a subquery in an expression are seen by nobody. */
void
sd_write_sublink(SdWriter *w, const SdNode *node)
{
	sd_open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
	{
		const SdNode *value = &node->items[i];

		if (sd_node_is(value, "QUERY"))
		{
			sd_write_label(w, value);
			sd_write_query(w, value, false, 0);
		}
		else
			sd_write_field(w, value);
	}
	sd_close_struct(w);
}

void
sd_write_named_query(SdWriter *w, const SdNode *node)
{
	sd_write_query(w, node, true, 0);
}
