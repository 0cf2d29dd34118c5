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
#include "ddl/canonical_writer.h"
#include "ddl/datum.h"
#include "ddl/names.h"
#include "ddl/nodetext.h"

/* Zero, false, NULL, empty: as if the field were not there. */
static bool
says_nothing(const SdNode *value)
{
	if (value->rest)
		return false;
	if (value->kind == SD_NODE_LIST)
		return value->nitems == 0 || (value->nitems == 1 && sd_node_is_atom(&value->items[0], "b"));
	return sd_node_is_atom(value, "<>") || sd_node_is_atom(value, "false") || sd_node_is_atom(value, "0");
}

void
sd_write_label(SdWriter *w, const SdNode *value)
{
	appendStringInfoString(w->out, " :");
	/* 18's name of the same numbers in the comparison of rows */
	if (sd_node_is_field(value, "cmptype"))
		appendStringInfoString(w->out, "rctype");
	else
		appendBinaryStringInfo(w->out, value->field, value->field_length);
	appendStringInfoChar(w->out, ' ');
}

void
sd_write_field(SdWriter *w, const SdNode *value)
{
	SdTreatment	treatment;

	if (says_nothing(value))
		return;
	treatment = sd_field_treatment(value);
	if (treatment == SD_FIELD_SKIP || (treatment == SD_FIELD_MODIFIER && sd_node_int(value) < 0))
		return;
	sd_write_label(w, value);
	if (treatment == SD_FIELD_TABLE)
		appendStringInfo(w->out, "%ld", sd_node_int(value) - w->frame->placeholders);
	else if (treatment == SD_FIELD_COPY || treatment == SD_FIELD_MODIFIER)
	{
		if (value->rest)
			appendBinaryStringInfo(w->out, value->rest, value->rest_length);
		else
			sd_write_node(w, value);
	}
	else
		sd_write_references(w->out, treatment, value);
}

void
sd_open_struct(SdWriter *w, const SdNode *node)
{
	appendStringInfoChar(w->out, '{');
	appendBinaryStringInfo(w->out, node->tag, node->tag_length);
}

void
sd_close_struct(SdWriter *w)
{
	appendStringInfoChar(w->out, '}');
}

/* A field that is true. */
static bool
is_true(const SdNode *node, const char *field)
{
	const SdNode *value = sd_node_field(node, field);

	return value && sd_node_is_atom(value, "true");
}

/* A constant, by its type's output function. */
static void
write_const(SdWriter *w, const SdNode *node)
{
	Oid			type = sd_node_oid(sd_node_field(node, "consttype"));

	appendStringInfoString(w->out, "{CONST ");
	sd_append_type(w->out, type, sd_node_int(sd_node_field(node, "consttypmod")));
	if (is_true(node, "constisnull"))
		appendStringInfoString(w->out, " NULL");
	else
	{
		appendStringInfoChar(w->out, ' ');
		sd_append_datum(w->out, type, sd_node_datum(sd_node_field(node, "constvalue"), is_true(node, "constbyval")));
	}
	sd_close_struct(w);
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
write_function_column(SdWriter *w, const SdNode *rte, long number)
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
 * What the query groups by, itself: that is how it is stored where there is no table of such expressions.
 */
static bool
write_grouped(SdWriter *w, SdFrame *frame, long varno, long number)
{
	SdFrame    *saved = w->frame;
	const SdNode *rte;
	const SdNode *grouped;

	if (frame->rtable == NULL || varno < 1 || varno > frame->rtable->nitems)
		return false;
	rte = &frame->rtable->items[varno - 1];
	grouped = sd_node_field(rte, "groupexprs");
	if (sd_node_int(sd_node_field(rte, "rtekind")) != SD_COMPAT_RTE_GROUP || sd_node_is_null(grouped) ||
		number < 1 || number > grouped->nitems)
		return false;
	w->frame = frame;
	sd_write_node(w, &grouped->items[number - 1]);
	w->frame = saved;
	return true;
}

/*
 * A column reference.  A join's column is written as what it stands for: its number depends on dropped columns of the
 * tables joined.
 */
static void
write_var(SdWriter *w, const SdNode *node)
{
	long		varno = sd_node_int(sd_node_field(node, "varno"));
	long		number = sd_node_int(sd_node_field(node, "varattno"));
	long		levels = sd_node_int(sd_node_field(node, "varlevelsup"));
	long		returning = sd_node_int(sd_node_field(node, "varreturningtype"));
	SdFrame    *frame = w->frame;
	const SdNode *rte;
	const SdNode *behind;

	for (long i = 0; i < levels && frame->parent; i++)
		frame = frame->parent;
	if (write_grouped(w, frame, varno, number))
		return;
	appendStringInfoString(w->out, "{VAR ");
	if (returning != 0)
		appendStringInfo(w->out, ":varreturningtype %ld ", returning);
	for (long i = 0; i < levels; i++)
		appendStringInfoChar(w->out, '^');

	if (frame->rtable == NULL)
	{
		/* OLD and NEW are 1 and 2 */
		appendStringInfo(w->out, "%ld.", varno);
		sd_append_column(w->out, frame->relation, number);
		sd_close_struct(w);
		return;
	}
	if (varno < 1 || varno > frame->rtable->nitems)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a stored query in the system catalogs refers to a table that it does not have")));
	rte = &frame->rtable->items[varno - 1];
	varno -= frame->placeholders;

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
			if (!sd_node_is_null(behind) && number >= 1 && number <= behind->nitems)
			{
				SdFrame    *saved = w->frame;

				w->frame = frame;
				sd_write_node(w, &behind->items[number - 1]);
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
			if (sd_node_is_atom(&names->items[i], "\"\""))
				continue;
			appendStringInfoChar(w->out, ' ');
			appendBinaryStringInfo(w->out, names->items[i].text, names->items[i].length);
		}
	}
	sd_close_struct(w);
}

/* a AND (b AND c) and a AND b AND c are stored differently, and a restored dump has the second. */
static void
write_bool_args(SdWriter *w, const SdNode *node, const SdNode *op)
{
	const SdNode *args = sd_node_field(node, "args");

	for (int i = 0; args && i < args->nitems; i++)
	{
		const SdNode *arg = &args->items[i];
		const SdNode *inner = sd_node_field(arg, "boolop");

		if (sd_node_is(arg, "BOOLEXPR") && !sd_node_is_atom(op, "not") && inner && inner->length == op->length &&
			memcmp(inner->text, op->text, op->length) == 0)
			write_bool_args(w, arg, op);
		else
		{
			appendStringInfoChar(w->out, ' ');
			sd_write_node(w, arg);
		}
	}
}

static void
write_bool(SdWriter *w, const SdNode *node)
{
	const SdNode *op = sd_node_field(node, "boolop");

	sd_open_struct(w, node);
	appendStringInfoChar(w->out, ' ');
	appendBinaryStringInfo(w->out, op->text, op->length);
	write_bool_args(w, node, op);
	sd_close_struct(w);
}

static void
write_array(SdWriter *w, const SdNode *node, const SdNode *coercion)
{
	const SdNode *elements = sd_node_field(node, "elements");

	sd_open_struct(w, node);
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
			sd_write_node(w, element);
		else if (sd_node_is(element, "ARRAYEXPR"))
			write_array(w, element, coercion);
		else
		{
			const SdNode *saved = w->element;

			w->element = element;
			sd_write_node(w, coercion);
			w->element = saved;
		}
	}
	sd_close_struct(w);
}

/*
 * A coerced ARRAY[] is written as an ARRAY[] of coerced elements: "x IN ('a', 'b')" on a varchar column is stored in the
 * first form, and its restored dump in the second.
 */
static void
write_array_coercion(SdWriter *w, const SdNode *node)
{
	const SdNode *arg = sd_node_field(node, "arg");

	if (sd_node_is(arg, "ARRAYEXPR") && !sd_node_is_null(sd_node_field(arg, "elements")))
	{
		write_array(w, arg, sd_node_field(node, "elemexpr"));
		return;
	}
	sd_open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
		sd_write_field(w, &node->items[i]);
	sd_close_struct(w);
}

static void
write_case_test(SdWriter *w, const SdNode *node)
{
	const SdNode *element = w->element;

	if (element == NULL)
	{
		sd_open_struct(w, node);
		sd_close_struct(w);
		return;
	}
	/* inside the element it has its own meaning again */
	w->element = NULL;
	sd_write_node(w, element);
	w->element = element;
}

/* CASE gives CASETESTEXPR a meaning of its own. */
static void
write_case(SdWriter *w, const SdNode *node)
{
	const SdNode *saved = w->element;

	w->element = NULL;
	sd_open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
		sd_write_field(w, &node->items[i]);
	sd_close_struct(w);
	w->element = saved;
}

static void
write_composite_column(SdWriter *w, Oid relation, long number)
{
	char	   *name = OidIsValid(relation) ? sd_live_column(relation, number) : NULL;

	appendStringInfoChar(w->out, ' ');
	if (name)
		sd_append_identifier(w->out, name);
	else
		appendStringInfo(w->out, "%ld", number);
}

static void
write_field_select(SdWriter *w, const SdNode *node)
{
	const SdNode *arg = sd_node_field(node, "arg");

	sd_open_struct(w, node);
	write_composite_column(w, composite_relation(type_of(arg)), sd_node_int(sd_node_field(node, "fieldnum")));
	appendStringInfoChar(w->out, ' ');
	sd_write_node(w, arg);
	sd_close_struct(w);
}

static void
write_field_store(SdWriter *w, const SdNode *node)
{
	Oid			type = sd_node_oid(sd_node_field(node, "resulttype"));
	Oid			relation = composite_relation(type);
	const SdNode *numbers = sd_node_field(node, "fieldnums");
	const SdNode *values = sd_node_field(node, "newvals");

	sd_open_struct(w, node);
	appendStringInfoChar(w->out, ' ');
	sd_append_type(w->out, type, -1);
	appendStringInfoChar(w->out, ' ');
	sd_write_node(w, sd_node_field(node, "arg"));
	for (int i = 1; numbers && i < numbers->nitems; i++)
		write_composite_column(w, relation, sd_node_int(&numbers->items[i]));
	appendStringInfoChar(w->out, ' ');
	if (values)
		sd_write_node(w, values);
	sd_close_struct(w);
}

/* ROW(...) of a named type has a NULL for each dropped column, which a restored copy has not. */
static void
write_row(SdWriter *w, const SdNode *node)
{
	Oid			type = sd_node_oid(sd_node_field(node, "row_typeid"));
	Oid			relation = composite_relation(type);
	const SdNode *args = sd_node_field(node, "args");

	sd_open_struct(w, node);
	appendStringInfoChar(w->out, ' ');
	sd_append_type(w->out, type, -1);
	for (int i = 0; args && i < args->nitems; i++)
	{
		if (OidIsValid(relation) && sd_live_column(relation, i + 1) == NULL)
			continue;
		appendStringInfoChar(w->out, ' ');
		sd_write_node(w, &args->items[i]);
	}
	sd_close_struct(w);
}

/* Its "type" is no type: which of JSON_OBJECT(), JSON_ARRAY(), JSON_SERIALIZE() ... it is. */
static void
write_json_constructor(SdWriter *w, const SdNode *node)
{
	sd_open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
	{
		const SdNode *value = &node->items[i];

		if (!sd_node_is_field(value, "type"))
		{
			sd_write_field(w, value);
			continue;
		}
		sd_write_label(w, value);
		sd_write_node(w, value);
	}
	sd_close_struct(w);
}

/* A dump leaves out what is so anyway: FORMAT JSON, and with it the only encoding that there is. */
static void
write_json_returning(SdWriter *w, const SdNode *node)
{
	sd_open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
		if (!sd_node_is_field(&node->items[i], "format"))
			sd_write_field(w, &node->items[i]);
	sd_close_struct(w);
}

typedef struct StructRule
{
	const char *tag;
	void		(*write) (SdWriter *w, const SdNode *node);
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
	{"JSONCONSTRUCTOREXPR", write_json_constructor},
	{"JSONRETURNING", write_json_returning},
	{"SUBLINK", sd_write_sublink},
	{"QUERY", sd_write_named_query},
};

static void
write_struct(SdWriter *w, const SdNode *node)
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
	sd_open_struct(w, node);
	for (int i = 0; i < node->nitems; i++)
		sd_write_field(w, &node->items[i]);
	sd_close_struct(w);
}

void
sd_write_node(SdWriter *w, const SdNode *node)
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
				sd_write_node(w, &node->items[i]);
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
	SdFrame		frame = {NULL, NULL, relation, 0};
	SdWriter		w = {out, &frame, NULL};

	sd_write_node(&w, sd_node_parse(text));
}

void
sd_append_canonical_view(StringInfo out, const char *text)
{
	SdFrame		frame = {NULL, NULL, InvalidOid, 0};
	SdWriter		w = {out, &frame, NULL};
	SdNode	   *list = sd_node_parse(text);

	for (int i = 0; i < list->nitems; i++)
		sd_write_query(&w, &list->items[i], false, SD_VIEW_PLACEHOLDERS);
}

List *
sd_canonical_members(const char *text, Oid relation)
{
	SdFrame		frame = {NULL, NULL, relation, 0};
	SdNode	   *list = sd_node_parse(text);
	List	   *result = NIL;

	for (int i = 0; i < list->nitems; i++)
	{
		StringInfoData member;
		SdWriter		w = {&member, &frame, NULL};

		initStringInfo(&member);
		sd_write_node(&w, &list->items[i]);
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
