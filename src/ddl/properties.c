/*
 * properties.c: canonical definitions taken apart, and what differs between two of them; see properties.h.
 *
 * Any process; text only.
 */
#include "compat.h"

#include "mb/pg_wchar.h"

#include "lib/stringinfo.h"

#include "ddl/properties.h"

/* --- lines --- */

static char *
unescape(const char *value, int length)
{
	char	   *result = palloc(length + 1);
	char	   *out = result;

	for (int i = 0; i < length; i++)
	{
		if (value[i] == '\\' && i + 1 < length)
			*out++ = value[++i] == 'n' ? '\n' : value[i];
		else
			*out++ = value[i];
	}
	*out = '\0';
	return result;
}

List *
sd_properties_parse(const char *definition)
{
	List	   *properties = NIL;

	for (const char *line = definition; *line;)
	{
		int			length = strcspn(line, "\n");
		const char *colon = strstr(line, ": ");
		SdProperty *property = palloc(sizeof(SdProperty));

		if (colon == NULL || colon > line + length)
		{
			property->name = pnstrdup(line, length);
			property->value = pstrdup("");
		}
		else
		{
			property->name = pnstrdup(line, colon - line);
			property->value = unescape(colon + 2, length - (colon + 2 - line));
		}
		properties = lappend(properties, property);
		line += length;
		if (*line)
			line++;
	}
	return properties;
}

char *
sd_properties_get(List *properties, const char *name)
{
	ListCell   *lc;

	foreach(lc, properties)
	{
		SdProperty *property = lfirst(lc);

		if (strcmp(property->name, name) == 0)
			return property->value;
	}
	return NULL;
}

List *
sd_properties_all(List *properties, const char *name)
{
	List	   *values = NIL;
	ListCell   *lc;

	foreach(lc, properties)
	{
		SdProperty *property = lfirst(lc);

		if (strcmp(property->name, name) == 0)
			values = lappend(values, property->value);
	}
	return values;
}

/* --- columns --- */

typedef struct PartWord
{
	const char *word;			/* as describe_relation.c writes it after what comes before */
	const char *property;		/* as we call it */
	bool		bare;			/* the word is all there is to say */
	bool		bracketed;
} PartWord;

static const PartWord parts[SD_COLUMN_PARTS] = {
	[SD_COLUMN_TYPE] = {"", "type", false, false},
	[SD_COLUMN_COLLATION] = {" collate ", "collation", false, false},
	[SD_COLUMN_NOT_NULL] = {" not null", "not null", true, false},
	[SD_COLUMN_IDENTITY] = {" identity ", "identity", false, false},
	[SD_COLUMN_GENERATED] = {" generated ", "generated", false, false},
	[SD_COLUMN_STORAGE] = {" storage ", "storage", false, false},
	[SD_COLUMN_COMPRESSION] = {" compression ", "compression", false, false},
	[SD_COLUMN_STATISTICS] = {" statistics ", "statistics", false, false},
	[SD_COLUMN_LOCAL] = {" local", "defined locally", true, false},
	[SD_COLUMN_OPTIONS] = {" options (", "options", false, true},
	[SD_COLUMN_FDW_OPTIONS] = {" fdw options (", "foreign options", false, true},
	[SD_COLUMN_DEFAULT] = {" default ", "default", false, false},
};

/* Past what the identifier is quoted with; what follows need not be an identifier. */
static const char *
skip_identifier(const char *text)
{
	if (*text != '"')
		return text + strcspn(text, " ");
	for (text++; *text; text++)
	{
		if (*text == '"' && *++text != '"')
			break;
	}
	return text;
}

/* Which part begins here, if it is one after the last? */
static int
part_at(const char *text, int last)
{
	if (*text != ' ')
		return -1;
	for (int i = last + 1; i < SD_COLUMN_PARTS; i++)
	{
		size_t		length = strlen(parts[i].word);

		if (strncmp(text, parts[i].word, length) == 0 &&
			(!parts[i].bare || text[length] == ' ' || text[length] == '\0'))
			return i;
	}
	return -1;
}

/* Where the next part begins: outside of quotes and brackets. */
static const char *
part_end(const char *text, int part, int depth)
{
	for (; *text; text++)
	{
		if (*text == '"')
		{
			text = skip_identifier(text);
			if (*text == '\0')
				break;
		}
		if (*text == '(')
			depth++;
		else if (*text == ')')
			depth--;
		else if (depth == 0 && part_at(text, part) >= 0)
			break;
	}
	return text;
}

SdColumnText *
sd_column_parse(const char *line)
{
	SdColumnText *column = palloc0(sizeof(SdColumnText));
	const char *rest = skip_identifier(line);
	int			part = SD_COLUMN_TYPE;

	column->line = pstrdup(line);
	column->identifier = pnstrdup(line, rest - line);
	if (*rest == ' ')
		rest++;
	while (part >= 0)
	{
		const char *end = part == SD_COLUMN_DEFAULT ? rest + strlen(rest) : part_end(rest, part, parts[part].bracketed);
		int			length = end - rest;

		if (parts[part].bare)
			column->part[part] = pstrdup("yes");
		else
			column->part[part] = pnstrdup(rest, length > 0 && parts[part].bracketed ? length - 1 : length);
		part = part_at(end, part);
		rest = end + (part >= 0 ? strlen(parts[part].word) : 0);
	}
	return column;
}

List *
sd_columns_parse(List *properties, const char *name)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, sd_properties_all(properties, name))
		columns = lappend(columns, sd_column_parse(lfirst(lc)));
	return columns;
}

SdColumnText *
sd_columns_find(List *columns, const char *identifier)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		SdColumnText *column = lfirst(lc);

		if (strcmp(column->identifier, identifier) == 0)
			return column;
	}
	return NULL;
}

/* --- differences --- */

static List *
add(List *list, char *property, char *a, char *b)
{
	SdPropertyDifference *difference;

	if (a == NULL ? b == NULL : b != NULL && strcmp(a, b) == 0)
		return list;
	difference = palloc(sizeof(SdPropertyDifference));
	difference->property = property;
	difference->a = a;
	difference->b = b;
	return lappend(list, difference);
}

/* The columns that both have, as a has them in order: "a, b". */
static char *
common_order(List *columns, List *others)
{
	StringInfoData order;
	ListCell   *lc;

	initStringInfo(&order);
	foreach(lc, columns)
	{
		SdColumnText *column = lfirst(lc);

		if (sd_columns_find(others, column->identifier))
			appendStringInfo(&order, "%s%s", order.len > 0 ? ", " : "", column->identifier);
	}
	return order.data;
}

/* The values of all lines of a name, as one; NULL: none. */
static char *
joined(List *properties, const char *name)
{
	StringInfoData values;
	ListCell   *lc;
	int			n = 0;

	initStringInfo(&values);
	foreach(lc, sd_properties_all(properties, name))
		appendStringInfo(&values, "%s%s", n++ > 0 ? ", " : "", (char *) lfirst(lc));
	return n > 0 ? values.data : NULL;
}

static bool
have_names_of_their_own(List *columns)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		if (sd_columns_find(columns, ((SdColumnText *) lfirst(lc))->identifier) != lfirst(lc))
			return false;
	}
	return true;
}

static List *
columns_differ(List *list, List *a, List *b, const char *name)
{
	List	   *ours = sd_columns_parse(a, name);
	List	   *theirs = sd_columns_parse(b, name);
	ListCell   *lc;

	/* no table has two columns of one name, but a text may come from anywhere */
	if (!have_names_of_their_own(ours) || !have_names_of_their_own(theirs))
		return add(list, pstrdup(name), joined(a, name), joined(b, name));
	foreach(lc, ours)
	{
		SdColumnText *x = lfirst(lc);
		SdColumnText *y = sd_columns_find(theirs, x->identifier);

		if (y == NULL)
			list = add(list, psprintf("%s %s", name, x->identifier), x->line, NULL);
		for (int i = 0; y && i < SD_COLUMN_PARTS; i++)
			list = add(list, psprintf("%s %s: %s", name, x->identifier, parts[i].property), x->part[i], y->part[i]);
	}
	foreach(lc, theirs)
	{
		SdColumnText *y = lfirst(lc);

		if (sd_columns_find(ours, y->identifier) == NULL)
			list = add(list, psprintf("%s %s", name, y->identifier), NULL, y->line);
	}
	return add(list, psprintf("%s order", name), common_order(ours, theirs), common_order(theirs, ours));
}

static bool
is_column(const char *name)
{
	return strcmp(name, "column") == 0 || strcmp(name, "attribute") == 0;
}

/* Where there may be several lines of one name, they are compared together, and so named. */
static char *
shown_name(const char *name)
{
	static const char *const lists[][2] = {
		{"label", "labels"}, {"argument", "arguments"}, {"role", "roles"}, {"key", "keys"}, {"include", "included columns"},
		{"with", "operators"}, {"transform", "transforms"},
	};

	for (size_t i = 0; i < lengthof(lists); i++)
		if (strcmp(name, lists[i][0]) == 0)
			return pstrdup(lists[i][1]);
	return pstrdup(name);
}

/* The properties of a name that comes up for the first time in this place of its list. */
static bool
is_first(List *properties, const ListCell *cell)
{
	const char *name = ((SdProperty *) lfirst(cell))->name;

	return sd_properties_get(properties, name) == ((SdProperty *) lfirst(cell))->value;
}

static List *
name_differs(List *list, List *a, List *b, const char *name)
{
	if (is_column(name))
		return columns_differ(list, a, b, name);
	return add(list, shown_name(name), joined(a, name), joined(b, name));
}

List *
sd_properties_differ(const char *a, const char *b)
{
	List	   *ours;
	List	   *theirs;
	List	   *list = NIL;
	ListCell   *lc;

	if (a == NULL || b == NULL)
		return NIL;
	ours = sd_properties_parse(a);
	theirs = sd_properties_parse(b);
	foreach(lc, ours)
		if (is_first(ours, lc))
			list = name_differs(list, ours, theirs, ((SdProperty *) lfirst(lc))->name);
	foreach(lc, theirs)
	{
		const char *name = ((SdProperty *) lfirst(lc))->name;

		if (is_first(theirs, lc) && sd_properties_get(ours, name) == NULL)
			list = name_differs(list, ours, theirs, name);
	}
	return list;
}

char *
sd_properties_names(List *differences, int most)
{
	StringInfoData names;
	int			n = 0;
	ListCell   *lc;

	if (differences == NIL)
		return NULL;
	initStringInfo(&names);
	foreach(lc, differences)
	{
		SdPropertyDifference *difference = lfirst(lc);

		if (n == most)
		{
			appendStringInfo(&names, " and %d more", list_length(differences) - n);
			break;
		}
		appendStringInfo(&names, "%s%s", n++ > 0 ? ", " : "", difference->property);
	}
	return names.data;
}

/* ---- values, short ---- */

/* In characters: both sides on one line of a terminal. */
#define SHOWN_LENGTH	40
#define SHOWN_BEFORE	10		/* of what both have, before the first difference */

static const char *
forward(const char *text, int characters)
{
	while (*text && characters-- > 0)
		text += pg_mblen(text);
	return text;
}

char *
sd_property_shown(const char *value, const char *other)
{
	const char *from = value;
	StringInfoData out;
	const char *end;
	int			same = 0;

	if (other && pg_mbstrlen(value) > SHOWN_LENGTH)
	{
		const char *x = value;
		const char *y = other;

		while (*x && *y && pg_mblen(x) == pg_mblen(y) && memcmp(x, y, pg_mblen(x)) == 0)
		{
			x += pg_mblen(x);
			y += pg_mblen(y);
			same++;
		}
		from = forward(value, Max(Min(same - SHOWN_BEFORE, pg_mbstrlen(value) - SHOWN_LENGTH), 0));
	}
	end = forward(from, SHOWN_LENGTH);
	initStringInfo(&out);
	if (from > value)
		appendStringInfoString(&out, "...");
	appendBinaryStringInfo(&out, from, end - from);
	if (*end)
		appendStringInfoString(&out, "...");
	for (char *c = out.data; *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	return out.data;
}
