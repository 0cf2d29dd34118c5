/*
 * canonical.c: stored expressions and queries as canonical text; see canonical.h.
 *
 * The tree is copied field by field with four changes.  Fields without meaning of their own are left out: positions in
 * the source, permissions, caches, how a cast was spelled, and everything that follows from the rest (the result type
 * of a function named beside it); so are fields that are zero, false or empty, so that a field added by a later major
 * changes nothing where it is not used.  OIDs become names.  Constants become their text.  Column references
 * become column names, because column numbers count dropped columns, which a restored copy does not have.
 * What is not known here is copied as it is: at worst sensitive to OIDs, never an error.
 *
 * Backend and workers, inside a transaction.  Locks nothing: see datum.c about composite constants.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl/canonical.h"
#include "ddl/datum.h"
#include "ddl/names.h"
#include "ddl/nodetext.h"

/* One level of query nesting: what a column reference's varno counts in. */
typedef struct Frame
{
	struct Frame *parent;
	const SdNode *rtable;		/* NULL at the outermost level of an expression */
	Oid			relation;		/* there: the relation it belongs to */
} Frame;

typedef struct Writer
{
	StringInfo	out;
	Frame	   *frame;
	const SdNode *element;		/* stands for CASETESTEXPR in an array coercion taken apart */
} Writer;

static void write_node(Writer *w, const SdNode *node);
static void write_query(Writer *w, const SdNode *node, bool names);

/* What to do with a field, whatever struct it is in. */
typedef enum Treatment
{
	SKIP,						/* no meaning of its own */
	FUNCTION, OPERATOR, TYPE, COLLATION, OPCLASS, OPFAMILY, RELATION, CONSTRAINT,	/* an OID or a list of them */
	MODIFIER,					/* a type modifier: -1 says nothing */
	COPY						/* not in the table */
} Treatment;

typedef struct FieldRule
{
	const char *field;
	Treatment	treatment;
} FieldRule;

/* In the order of strcmp(), for bsearch(). */
static const FieldRule field_rules[] = {
	{"aggargtypes", SKIP},
	{"aggcollid", SKIP},
	{"aggfnoid", FUNCTION},
	{"aggno", SKIP},
	{"aggsplit", SKIP},
	{"aggtransno", SKIP},
	{"aggtranstype", SKIP},
	{"aggtype", SKIP},
	{"alias", SKIP},
	{"array_collid", SKIP},
	{"array_typeid", SKIP},
	{"canSetTag", SKIP},
	{"casecollid", SKIP},
	{"casetype", SKIP},
	{"checkAsUser", SKIP},
	{"coalescecollid", SKIP},
	{"coalescetype", SKIP},
	{"coerceformat", SKIP},
	{"coercionformat", SKIP},
	{"colCollations", SKIP},
	{"colTypes", SKIP},
	{"colTypmods", SKIP},
	{"colcollations", SKIP},
	{"collOid", COLLATION},
	{"collation", SKIP},
	{"colnames", SKIP},
	{"coltypes", TYPE},
	{"constraint", CONSTRAINT},
	{"constraintDeps", CONSTRAINT},
	{"convertformat", SKIP},
	{"ctecolcollations", SKIP},
	{"ctecolnames", SKIP},
	{"ctecoltypes", SKIP},
	{"ctecoltypmods", SKIP},
	{"cterefcount", SKIP},
	{"element_typeid", SKIP},
	{"elemfuncid", FUNCTION},
	{"endInRangeFunc", FUNCTION},
	{"eqop", OPERATOR},
	{"eref", SKIP},
	{"exclRelTlist", SKIP},
	{"extraUpdatedCols", SKIP},
	{"funccolcollations", SKIP},
	{"funccolcount", SKIP},
	{"funccollid", SKIP},
	{"funccoltypes", TYPE},
	{"funcformat", SKIP},
	{"funcid", FUNCTION},
	{"funcresulttype", SKIP},
	{"funcretset", SKIP},
	{"groupexprs", SKIP},
	{"hasAggs", SKIP},
	{"hasForUpdate", SKIP},
	{"hasGroupRTE", SKIP},
	{"hasModifyingCTE", SKIP},
	{"hasRowSecurity", SKIP},
	{"hasSubLinks", SKIP},
	{"hasTargetSRFs", SKIP},
	{"hasWindowFuncs", SKIP},
	{"hashable", SKIP},
	{"hashfuncid", SKIP},
	{"inFromCl", SKIP},
	{"inRangeColl", SKIP},
	{"infercollid", COLLATION},
	{"inferopclass", OPCLASS},
	{"inputcollid", SKIP},
	{"inputcollids", SKIP},
	{"insertedCols", SKIP},
	{"isNatural", SKIP},
	{"join_using_alias", SKIP},
	{"joinaliasvars", SKIP},
	{"joinleftcols", SKIP},
	{"joinrightcols", SKIP},
	{"list_end", SKIP},
	{"list_start", SKIP},
	{"location", SKIP},
	{"minmaxcollid", SKIP},
	{"minmaxtype", SKIP},
	{"negfuncid", SKIP},
	{"opcollid", SKIP},
	{"operName", SKIP},
	{"opfamilies", OPFAMILY},
	{"opfuncid", SKIP},
	{"opno", OPERATOR},
	{"opnos", OPERATOR},
	{"opresulttype", SKIP},
	{"opretset", SKIP},
	{"paramcollid", SKIP},
	{"paramtype", TYPE},
	{"paramtypmod", MODIFIER},
	{"perminfoindex", SKIP},
	{"queryId", SKIP},
	{"querySource", SKIP},
	{"refcollid", SKIP},
	{"refcontainertype", SKIP},
	{"refelemtype", SKIP},
	{"refrestype", SKIP},
	{"reftypmod", SKIP},
	{"relabelformat", SKIP},
	{"relid", RELATION},
	{"relkind", SKIP},
	{"rellockmode", SKIP},
	{"requiredPerms", SKIP},
	{"resorigcol", SKIP},
	{"resorigtbl", SKIP},
	{"resultcollid", SKIP},
	{"resulttype", TYPE},
	{"resulttypmod", MODIFIER},
	{"row_format", SKIP},
	{"row_typeid", TYPE},
	{"rteperminfos", SKIP},
	{"securityQuals", SKIP},
	{"selectedCols", SKIP},
	{"seqid", RELATION},
	{"sortop", OPERATOR},
	{"startInRangeFunc", FUNCTION},
	{"stmt_len", SKIP},
	{"stmt_location", SKIP},
	{"tsmhandler", FUNCTION},
	{"type", TYPE},
	{"typeId", SKIP},
	{"typeMod", SKIP},
	{"typmod", MODIFIER},
	{"updatedCols", SKIP},
	{"usingClause", SKIP},
	{"varattnosyn", SKIP},
	{"varnosyn", SKIP},
	{"varnullingrels", SKIP},
	{"wincollid", SKIP},
	{"winfnoid", FUNCTION},
	{"wintype", SKIP},
};

static int
compare_rule(const void *key, const void *rule)
{
	const SdNode *value = key;
	const char *field = ((const FieldRule *) rule)->field;
	int			result = strncmp(value->field, field, value->field_length);

	return result != 0 ? result : -(field[value->field_length] != '\0');
}

static Treatment
field_treatment(const SdNode *value)
{
	const FieldRule *rule = bsearch(value, field_rules, lengthof(field_rules), sizeof(FieldRule), compare_rule);

	return rule ? rule->treatment : COPY;
}

static bool
atom_is(const SdNode *node, const char *text)
{
	return node->kind == SD_NODE_ATOM && node->length == (int) strlen(text) &&
		memcmp(node->text, text, node->length) == 0;
}

/* Zero, false, NULL, empty: as if the field were not there. */
static bool
says_nothing(const SdNode *value)
{
	if (value->rest)
		return false;
	if (value->kind == SD_NODE_LIST)
		return value->nitems == 0 || (value->nitems == 1 && atom_is(&value->items[0], "b"));
	return atom_is(value, "<>") || atom_is(value, "false") || atom_is(value, "0");
}

static void
write_reference(StringInfo out, Treatment treatment, Oid oid)
{
	switch (treatment)
	{
		case FUNCTION:
			sd_append_function(out, oid);
			break;
		case OPERATOR:
			sd_append_operator(out, oid);
			break;
		case TYPE:
			sd_append_type(out, oid, -1);
			break;
		case COLLATION:
			sd_append_collation(out, oid);
			break;
		case OPCLASS:
			sd_append_opclass(out, oid);
			break;
		case OPFAMILY:
			sd_append_opfamily(out, oid);
			break;
		case RELATION:
			sd_append_relation(out, oid);
			break;
		case CONSTRAINT:
			sd_append_constraint(out, oid);
			break;
		default:
			Assert(false);
	}
}

/* An OID or a list "(o 1 2)" of them. */
static void
write_references(StringInfo out, Treatment treatment, const SdNode *value)
{
	if (value->kind != SD_NODE_LIST)
	{
		write_reference(out, treatment, sd_node_oid(value));
		return;
	}
	appendStringInfoChar(out, '(');
	for (int i = 1; i < value->nitems; i++)
	{
		if (i > 1)
			appendStringInfoChar(out, ' ');
		write_reference(out, treatment, sd_node_oid(&value->items[i]));
	}
	appendStringInfoChar(out, ')');
}

static void
write_label(Writer *w, const SdNode *value)
{
	appendStringInfoString(w->out, " :");
	appendBinaryStringInfo(w->out, value->field, value->field_length);
	appendStringInfoChar(w->out, ' ');
}

static void
write_field(Writer *w, const SdNode *value)
{
	Treatment	treatment = field_treatment(value);

	if (treatment == SKIP || says_nothing(value) || (treatment == MODIFIER && sd_node_int(value) < 0))
		return;
	write_label(w, value);
	if (treatment == COPY || treatment == MODIFIER)
	{
		if (value->rest)
			appendBinaryStringInfo(w->out, value->rest, value->rest_length);
		else
			write_node(w, value);
	}
	else
		write_references(w->out, treatment, value);
}

static void
open_struct(Writer *w, const SdNode *node)
{
	appendStringInfoChar(w->out, '{');
	appendBinaryStringInfo(w->out, node->tag, node->tag_length);
}

static void
close_struct(Writer *w)
{
	appendStringInfoChar(w->out, '}');
}

/*
 * A constant, by its type's output function.  The server's own reader decodes the bytes.
 */
static void
write_const(Writer *w, const SdNode *node)
{
	Const	   *constant = stringToNode(sd_node_text(node));

	appendStringInfoString(w->out, "{CONST ");
	sd_append_type(w->out, constant->consttype, constant->consttypmod);
	if (constant->constisnull)
		appendStringInfoString(w->out, " NULL");
	else
	{
		appendStringInfoChar(w->out, ' ');
		sd_append_datum(w->out, constant->consttype, constant->constvalue);
	}
	close_struct(w);
}

char *
sd_live_column(Oid relation, int number)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(number));
	char	   *name = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	if (!((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped)
		name = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
	ReleaseSysCache(tuple);
	return name;
}

/* The relation that holds the columns of a composite type (or a domain over one), or InvalidOid. */
static Oid
composite_relation(Oid type)
{
	return OidIsValid(type) ? get_typ_typrelid(getBaseType(type)) : InvalidOid;
}

static Oid
type_of(const SdNode *node)
{
	return exprType(stringToNode(sd_node_text(node)));
}

/* A column of a function in FROM: by name where the function returns a composite type, which may have dropped columns. */
static void
write_function_column(Writer *w, const SdNode *rte, long number)
{
	const SdNode *functions = sd_node_field(rte, "functions");
	long		before = 0;

	for (int i = 0; functions && i < functions->nitems; i++)
	{
		const SdNode *function = &functions->items[i];
		long		count = sd_node_int(sd_node_field(function, "funccolcount"));

		if (number <= before + count)
		{
			Oid			relation = composite_relation(type_of(sd_node_field(function, "funcexpr")));
			char	   *name = OidIsValid(relation) ? sd_live_column(relation, number - before) : NULL;

			if (name)
			{
				appendStringInfo(w->out, "%d.", i + 1);
				sd_append_identifier(w->out, name);
				return;
			}
			break;
		}
		before += count;
	}
	appendStringInfo(w->out, "%ld", number);
}

/*
 * A column reference.  A join's column is written as what it stands for: its number depends on dropped columns of the
 * tables joined.
 */
static void
write_var(Writer *w, const SdNode *node)
{
	long		varno = sd_node_int(sd_node_field(node, "varno"));
	long		number = sd_node_int(sd_node_field(node, "varattno"));
	long		levels = sd_node_int(sd_node_field(node, "varlevelsup"));
	Frame	   *frame = w->frame;
	const SdNode *rte;
	const SdNode *behind;

	for (long i = 0; i < levels && frame->parent; i++)
		frame = frame->parent;
	appendStringInfoString(w->out, "{VAR ");
	for (long i = 0; i < levels; i++)
		appendStringInfoChar(w->out, '^');

	if (frame->rtable == NULL)
	{
		/* OLD and NEW are 1 and 2 */
		appendStringInfo(w->out, "%ld.", varno);
		sd_append_column(w->out, frame->relation, number);
		close_struct(w);
		return;
	}
	if (varno < 1 || varno > frame->rtable->nitems)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a stored query in the system catalogs refers to a table that it does not have")));
	rte = &frame->rtable->items[varno - 1];

	switch (sd_node_int(sd_node_field(rte, "rtekind")))
	{
		case RTE_RELATION:
			appendStringInfo(w->out, "%ld.", varno);
			sd_append_column(w->out, sd_node_oid(sd_node_field(rte, "relid")), number);
			break;
		case RTE_FUNCTION:
			appendStringInfo(w->out, "%ld.", varno);
			write_function_column(w, rte, number);
			break;
		default:
			behind = sd_node_field(rte, "joinaliasvars");
			if (sd_node_is_null(behind))
				behind = sd_node_field(rte, "groupexprs");
			if (!sd_node_is_null(behind) && number >= 1 && number <= behind->nitems)
			{
				Frame	   *saved = w->frame;

				w->frame = frame;
				write_node(w, &behind->items[number - 1]);
				w->frame = saved;
				break;
			}
			appendStringInfo(w->out, "%ld.%ld", varno, number);
			break;
	}

	/* a whole row shows the names of its columns to row_to_json() and its like */
	if (number == 0 && sd_node_int(sd_node_field(rte, "rtekind")) != RTE_RELATION)
	{
		const SdNode *names = sd_node_field(sd_node_field(rte, "eref"), "colnames");

		for (int i = 0; names && i < names->nitems; i++)
		{
			/* dropped columns have no name */
			if (atom_is(&names->items[i], "\"\""))
				continue;
			appendStringInfoChar(w->out, ' ');
			appendBinaryStringInfo(w->out, names->items[i].text, names->items[i].length);
		}
	}
	close_struct(w);
}

/* a AND (b AND c) and a AND b AND c are stored differently, and a restored dump has the second. */
static void
write_bool_args(Writer *w, const SdNode *node, const SdNode *op)
{
	const SdNode *args = sd_node_field(node, "args");

	for (int i = 0; args && i < args->nitems; i++)
	{
		const SdNode *arg = &args->items[i];
		const SdNode *inner = sd_node_field(arg, "boolop");

		if (sd_node_is(arg, "BOOLEXPR") && !atom_is(op, "not") && inner && inner->length == op->length &&
			memcmp(inner->text, op->text, op->length) == 0)
			write_bool_args(w, arg, op);
		else
		{
			appendStringInfoChar(w->out, ' ');
			write_node(w, arg);
		}
	}
}

static void
write_bool(Writer *w, const SdNode *node)
{
	const SdNode *op = sd_node_field(node, "boolop");

	open_struct(w, node);
	appendStringInfoChar(w->out, ' ');
	appendBinaryStringInfo(w->out, op->text, op->length);
	write_bool_args(w, node, op);
	close_struct(w);
}

static void
write_array(Writer *w, const SdNode *node, const SdNode *coercion)
{
	const SdNode *elements = sd_node_field(node, "elements");

	open_struct(w, node);
	if (sd_node_is_null(elements))
	{
		appendStringInfoChar(w->out, ' ');
		sd_append_type(w->out, sd_node_oid(sd_node_field(node, "element_typeid")), -1);
	}
	for (int i = 0; elements && i < elements->nitems; i++)
	{
		const SdNode *element = &elements->items[i];

		appendStringInfoChar(w->out, ' ');
		if (coercion == NULL)
			write_node(w, element);
		else if (sd_node_is(element, "ARRAYEXPR"))
			write_array(w, element, coercion);
		else
		{
			const SdNode *saved = w->element;

			w->element = element;
			write_node(w, coercion);
			w->element = saved;
		}
	}
	close_struct(w);
}

/*
 * A coerced ARRAY[] is written as an ARRAY[] of coerced elements: "x IN ('a', 'b')" on a varchar column is stored in the
 * first form, and its restored dump in the second.
 */
static void
write_array_coercion(Writer *w, const SdNode *node)
{
	const SdNode *arg = sd_node_field(node, "arg");

	if (sd_node_is(arg, "ARRAYEXPR") && !sd_node_is_null(sd_node_field(arg, "elements")))
	{
		write_array(w, arg, sd_node_field(node, "elemexpr"));
		return;
	}
	open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
		write_field(w, &node->items[i]);
	close_struct(w);
}

static void
write_case_test(Writer *w, const SdNode *node)
{
	const SdNode *element = w->element;

	if (element == NULL)
	{
		open_struct(w, node);
		close_struct(w);
		return;
	}
	/* inside the element it has its own meaning again */
	w->element = NULL;
	write_node(w, element);
	w->element = element;
}

/* CASE gives CASETESTEXPR a meaning of its own. */
static void
write_case(Writer *w, const SdNode *node)
{
	const SdNode *saved = w->element;

	w->element = NULL;
	open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
		write_field(w, &node->items[i]);
	close_struct(w);
	w->element = saved;
}

static void
write_composite_column(Writer *w, Oid relation, long number)
{
	char	   *name = OidIsValid(relation) ? sd_live_column(relation, number) : NULL;

	appendStringInfoChar(w->out, ' ');
	if (name)
		sd_append_identifier(w->out, name);
	else
		appendStringInfo(w->out, "%ld", number);
}

static void
write_field_select(Writer *w, const SdNode *node)
{
	const SdNode *arg = sd_node_field(node, "arg");

	open_struct(w, node);
	write_composite_column(w, composite_relation(type_of(arg)), sd_node_int(sd_node_field(node, "fieldnum")));
	appendStringInfoChar(w->out, ' ');
	write_node(w, arg);
	close_struct(w);
}

static void
write_field_store(Writer *w, const SdNode *node)
{
	Oid			type = sd_node_oid(sd_node_field(node, "resulttype"));
	Oid			relation = composite_relation(type);
	const SdNode *numbers = sd_node_field(node, "fieldnums");
	const SdNode *values = sd_node_field(node, "newvals");

	open_struct(w, node);
	appendStringInfoChar(w->out, ' ');
	sd_append_type(w->out, type, -1);
	appendStringInfoChar(w->out, ' ');
	write_node(w, sd_node_field(node, "arg"));
	for (int i = 1; numbers && i < numbers->nitems; i++)
		write_composite_column(w, relation, sd_node_int(&numbers->items[i]));
	appendStringInfoChar(w->out, ' ');
	if (values)
		write_node(w, values);
	close_struct(w);
}

/* ROW(...) of a named type has a NULL for each dropped column, which a restored copy has not. */
static void
write_row(Writer *w, const SdNode *node)
{
	Oid			type = sd_node_oid(sd_node_field(node, "row_typeid"));
	Oid			relation = composite_relation(type);
	const SdNode *args = sd_node_field(node, "args");

	open_struct(w, node);
	appendStringInfoChar(w->out, ' ');
	sd_append_type(w->out, type, -1);
	for (int i = 0; args && i < args->nitems; i++)
	{
		if (OidIsValid(relation) && sd_live_column(relation, i + 1) == NULL)
			continue;
		appendStringInfoChar(w->out, ' ');
		write_node(w, &args->items[i]);
	}
	close_struct(w);
}

/*
 * Result columns.  Those of INSERT and UPDATE are numbered as the target's columns, so are named by them; those of SELECT count
 * as written.
 */
static void
write_targets(Writer *w, const SdNode *list, Oid target, bool names)
{
	appendStringInfoChar(w->out, '(');
	for (int i = 0; i < list->nitems; i++)
	{
		const SdNode *entry = &list->items[i];
		bool		junk = atom_is(sd_node_field(entry, "resjunk"), "true");

		open_struct(w, entry);
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
				write_label(w, value);
				sd_append_column(w->out, target, sd_node_int(value));
			}
			else if (!is_name || (names && !OidIsValid(target) && !junk))
				write_field(w, value);
		}
		close_struct(w);
	}
	appendStringInfoChar(w->out, ')');
}

static bool
field_is(const SdNode *value, const char *field)
{
	return value->field_length == (int) strlen(field) && memcmp(value->field, field, value->field_length) == 0;
}

/* ON CONFLICT and MERGE have lists of the target's columns too. */
static void
write_with_targets(Writer *w, const SdNode *node, Oid target)
{
	long		command = sd_node_int(sd_node_field(node, "commandType"));

	if (sd_node_is(node, "MERGEACTION") && command != CMD_UPDATE && command != CMD_INSERT)
		target = InvalidOid;
	open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
	{
		const SdNode *value = &node->items[i];

		if ((field_is(value, "onConflictSet") || field_is(value, "targetList")) && !sd_node_is_null(value))
		{
			write_label(w, value);
			write_targets(w, value, target, false);
		}
		else
			write_field(w, value);
	}
	close_struct(w);
}

static void
write_rtable(Writer *w, const SdNode *rtable, bool names)
{
	appendStringInfoChar(w->out, '(');
	for (int i = 0; i < rtable->nitems; i++)
	{
		const SdNode *rte = &rtable->items[i];
		bool		is_relation = sd_node_int(sd_node_field(rte, "rtekind")) == RTE_RELATION;

		open_struct(w, rte);
		for (int j = 0; j < rte->nitems; j++)
		{
			const SdNode *value = &rte->items[j];

			if (field_is(value, "subquery") && sd_node_is(value, "QUERY"))
			{
				write_label(w, value);
				write_query(w, value, names);
			}
			/* copied from what the table stands for; a view's, kept by 16 and later, is only its name */
			else if (field_is(value, "coltypes") || field_is(value, "coltypmods") ||
					 (field_is(value, "relid") && !is_relation))
				continue;
			else
				write_field(w, value);
		}
		close_struct(w);
	}
	appendStringInfoChar(w->out, ')');
}

/*
 * A query, as a new level of column references.  names: those of its result columns matter to somebody outside.
 */
static void
write_query(Writer *w, const SdNode *node, bool names)
{
	Frame		frame;
	const SdNode *saved = w->element;
	long		command = sd_node_int(sd_node_field(node, "commandType"));
	long		result = sd_node_int(sd_node_field(node, "resultRelation"));
	bool		is_setop = !sd_node_is_null(sd_node_field(node, "setOperations"));
	Oid			target = InvalidOid;

	check_stack_depth();
	frame.parent = w->frame;
	frame.relation = InvalidOid;
	frame.rtable = sd_node_field(node, "rtable");
	if (frame.rtable && result >= 1 && result <= frame.rtable->nitems)
		target = sd_node_oid(sd_node_field(&frame.rtable->items[result - 1], "relid"));
	w->frame = &frame;
	w->element = NULL;

	open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
	{
		const SdNode *value = &node->items[i];

		if (sd_node_is_null(value))
			continue;
		if (field_is(value, "targetList"))
		{
			write_label(w, value);
			write_targets(w, value, command == CMD_INSERT || command == CMD_UPDATE ? target : InvalidOid, names);
		}
		else if (field_is(value, "returningList"))
		{
			write_label(w, value);
			write_targets(w, value, InvalidOid, names);
		}
		else if (field_is(value, "onConflict"))
		{
			write_label(w, value);
			write_with_targets(w, value, target);
		}
		else if (field_is(value, "mergeActionList"))
		{
			write_label(w, value);
			for (int j = 0; j < value->nitems; j++)
				write_with_targets(w, &value->items[j], target);
		}
		else if (field_is(value, "rtable"))
		{
			write_label(w, value);
			/* the members of a UNION are named by the whole */
			write_rtable(w, value, !is_setop);
		}
		else
			write_field(w, value);
	}
	close_struct(w);
	w->frame = frame.parent;
	w->element = saved;
}

/* The names of the result columns of a subquery in an expression are seen by nobody. */
static void
write_sublink(Writer *w, const SdNode *node)
{
	open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
	{
		const SdNode *value = &node->items[i];

		if (sd_node_is(value, "QUERY"))
		{
			write_label(w, value);
			write_query(w, value, false);
		}
		else
			write_field(w, value);
	}
	close_struct(w);
}

static void
write_whole_query(Writer *w, const SdNode *node)
{
	write_query(w, node, true);
}

typedef struct StructRule
{
	const char *tag;
	void		(*write) (Writer *w, const SdNode *node);
} StructRule;

static const StructRule struct_rules[] = {
	{"VAR", write_var},
	{"CONST", write_const},
	{"BOOLEXPR", write_bool},
	{"ARRAYCOERCEEXPR", write_array_coercion},
	{"CASETESTEXPR", write_case_test},
	{"CASEEXPR", write_case},
	{"CASE", write_case},
	{"FIELDSELECT", write_field_select},
	{"FIELDSTORE", write_field_store},
	{"ROWEXPR", write_row},
	{"ROW", write_row},
	{"SUBLINK", write_sublink},
	{"QUERY", write_whole_query},
};

static void
write_struct(Writer *w, const SdNode *node)
{
	if (sd_node_is(node, "ARRAYEXPR") || sd_node_is(node, "ARRAY"))
	{
		write_array(w, node, NULL);
		return;
	}
	for (size_t i = 0; i < lengthof(struct_rules); i++)
	{
		if (sd_node_is(node, struct_rules[i].tag))
		{
			struct_rules[i].write(w, node);
			return;
		}
	}
	open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
		write_field(w, &node->items[i]);
	close_struct(w);
}

static void
write_node(Writer *w, const SdNode *node)
{
	check_stack_depth();
	switch (node->kind)
	{
		case SD_NODE_ATOM:
			appendBinaryStringInfo(w->out, node->text, node->length);
			break;
		case SD_NODE_LIST:
			appendStringInfoChar(w->out, '(');
			for (int i = 0; i < node->nitems; i++)
			{
				if (i > 0)
					appendStringInfoChar(w->out, ' ');
				write_node(w, &node->items[i]);
			}
			appendStringInfoChar(w->out, ')');
			break;
		case SD_NODE_STRUCT:
			write_struct(w, node);
			break;
	}
}

void
sd_append_canonical(StringInfo out, const char *text, Oid relation)
{
	Frame		frame = {NULL, NULL, relation};
	Writer		w = {out, &frame, NULL};

	write_node(&w, sd_node_parse(text));
}

void
sd_append_canonical_view(StringInfo out, const char *text)
{
	Frame		frame = {NULL, NULL, InvalidOid};
	Writer		w = {out, &frame, NULL};
	SdNode	   *list = sd_node_parse(text);

	for (int i = 0; i < list->nitems; i++)
		write_query(&w, &list->items[i], false);
}

List *
sd_canonical_members(const char *text, Oid relation)
{
	Frame		frame = {NULL, NULL, relation};
	SdNode	   *list = sd_node_parse(text);
	List	   *result = NIL;

	for (int i = 0; i < list->nitems; i++)
	{
		StringInfoData member;
		Writer		w = {&member, &frame, NULL};

		initStringInfo(&member);
		write_node(&w, &list->items[i]);
		result = lappend(result, member.data);
	}
	return result;
}

int
sd_canonical_enter(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"}, {"DateStyle", "ISO, YMD"}, {"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"}, {"extra_float_digits", "1"}, {"bytea_output", "hex"}, {"lc_monetary", "C"},
		{"quote_all_identifiers", "off"}, {"xmlbinary", "base64"},
	};
	int			guc_level = NewGUCNestLevel();

	for (size_t i = 0; i < lengthof(settings); i++)
	{
		const char *value = GetConfigOption(settings[i][0], false, false);

		if (strcmp(value, settings[i][1]) != 0)
			(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
									 GUC_ACTION_SAVE, true, 0, false);
	}
	return guc_level;
}

void
sd_canonical_leave(int guc_level)
{
	AtEOXact_GUC(true, guc_level);
}
