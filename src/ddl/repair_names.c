/*
 * repair_names.c: names and options of canonical definitions as SQL; see repair_item.h.
 *
 * Backends.  Definitions quote names without regard to keywords (names.h); SQL needs that.
 */
#include "compat.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "ddl/repair_item.h"

/* --- names --- */

/* Reads one part, advances *rest past it and its dot. */
static char *
next_part(const char **rest)
{
	StringInfoData part;
	const char *c = *rest;

	initStringInfo(&part);
	if (*c == '"')
	{
		for (c++; *c && (*c != '"' || c[1] == '"'); c++)
		{
			c += *c == '"';
			appendStringInfoChar(&part, *c);
		}
		c += *c == '"';
	}
	else
	{
		size_t		length = strcspn(c, ".(");

		appendBinaryStringInfo(&part, c, length);
		c += length;
	}
	*rest = c + (*c == '.');
	return part.data;
}

static List *
split(const char *identity, const char **arguments)
{
	List	   *parts = NIL;
	const char *rest = identity;

	while (*rest && *rest != '(')
	{
		const char *before = rest;

		parts = lappend(parts, next_part(&rest));
		if (rest == before)
			break;
	}
	*arguments = rest;
	return parts;
}

List *
sd_repair_parts(const char *identity)
{
	const char *arguments;

	return split(identity, &arguments);
}

static char *
quote_parts(List *parts, int n)
{
	StringInfoData name;
	ListCell   *lc;

	initStringInfo(&name);
	foreach(lc, parts)
		if (foreach_current_index(lc) < n)
			appendStringInfo(&name, "%s%s", name.len > 0 ? "." : "", quote_identifier(lfirst(lc)));
	return name.data;
}

char *
sd_repair_quote(const char *identity)
{
	const char *arguments;
	List	   *parts = split(identity, &arguments);

	return psprintf("%s%s", quote_parts(parts, list_length(parts)), arguments);
}

/* A function without its arguments. */
char *
sd_repair_routine(const char *signature)
{
	const char *arguments;

	(void) split(signature, &arguments);
	return pnstrdup(signature, arguments - signature);
}

char *
sd_repair_owner_of(const char *identity)
{
	const char *rest = identity;
	const char *last = identity;

	while (*rest && *rest != '(')
	{
		const char *before = rest;

		(void) next_part(&rest);
		if (rest == before)
			break;
		if (*rest && *rest != '(')
			last = rest;
	}
	return last == identity ? NULL : pnstrdup(identity, last - 1 - identity);
}

/* public.-(-,integer): one operand only */
static char *
operator_name(const char *identity)
{
	const char *arguments = strchr(identity, '(');

	if (arguments == NULL || strncmp(arguments, "(-,", 3) != 0)
		return pstrdup(identity);
	return psprintf("%.*s(NONE,%s", (int) (arguments - identity), identity, arguments + 3);
}

char *
sd_repair_call(const SdRepairKind *how, const char *identity)
{
	List	   *parts = sd_repair_parts(identity);
	int			n = list_length(parts);

	switch (how->call)
	{
		case SD_CALL_ON:
		case SD_CALL_CONSTRAINT:
			if (n < 2)
				break;
			return psprintf("%s %s ON %s%s", how->word, quote_identifier(llast(parts)),
							strcmp(how->kind, "domain constraint") == 0 ? "DOMAIN " : "", quote_parts(parts, n - 1));
		case SD_CALL_OPERATOR:
			return psprintf("%s %s", how->word, operator_name(identity));
		case SD_CALL_VERBATIM:
			return psprintf("%s %s", how->word, identity);
		case SD_CALL_NAME:
		case SD_CALL_SIGNATURE:
			break;
	}
	return psprintf("%s %s", how->word, sd_repair_quote(identity));
}

/* --- options --- */

typedef struct Option
{
	char	   *name;
	char	   *value;
} Option;

/* The next ", " that is not escaped, or the end. */
static const char *
next_comma(const char *text)
{
	for (; *text; text++)
	{
		if (*text == '\\' && (text[1] == '\\' || text[1] == ','))
			text++;
		else if (strncmp(text, ", ", 2) == 0)
			break;
	}
	return text;
}

/* Does another option begin behind this comma, or does it belong to a list as "search_path=a, b"? */
static bool
ends_option(const char *comma)
{
	return *comma == '\0' || memchr(comma + 2, '=', next_comma(comma + 2) - (comma + 2)) != NULL;
}

/* What describe.c has escaped: it looks like two, or ends like an escape; nothing else does. */
static char *
unescaped_option(char *option)
{
	const char *comma = strstr(option, ", ");
	size_t		length = strlen(option);
	char	   *to = option;

	if ((comma && strchr(comma, '=')) || (length > 0 && option[length - 1] == '\\'))
	{
		for (const char *from = option; *from; from++)
		{
			if (*from == '\\' && from[1])
				from++;
			*to++ = *from;
		}
		*to = '\0';
	}
	return option;
}

static List *
split_options(const char *text)
{
	List	   *options = NIL;

	while (text && strchr(text, '='))
	{
		Option	   *option = palloc(sizeof(Option));
		const char *end = next_comma(text);
		char	   *whole;
		char	   *value;

		while (!ends_option(end))
			end = next_comma(end + 2);
		whole = unescaped_option(pnstrdup(text, end - text));
		value = strchr(whole, '=');
		if (value == NULL)
			break;
		option->name = pnstrdup(whole, value - whole);
		option->value = value + 1;
		options = lappend(options, option);
		text = *end ? end + 2 : NULL;
	}
	return options;
}

static Option *
find_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		Option	   *option = lfirst(lc);

		if (strcmp(option->name, name) == 0)
			return option;
	}
	return NULL;
}

char *
sd_repair_options(const char *options, const char *other)
{
	List	   *others = split_options(other);
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, split_options(options))
	{
		Option	   *option = lfirst(lc);
		Option	   *same = find_option(others, option->name);

		if (same == NULL || strcmp(same->value, option->value) != 0)
			appendStringInfo(&list, "%s%s = %s", list.len > 0 ? ", " : "", option->name, quote_literal_cstr(option->value));
	}
	return list.len > 0 ? list.data : NULL;
}

char *
sd_repair_options_gone(const char *options, const char *other)
{
	List	   *others = split_options(other);
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, split_options(options))
	{
		Option	   *option = lfirst(lc);

		if (find_option(others, option->name) == NULL)
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", option->name);
	}
	return list.len > 0 ? list.data : NULL;
}

char *
sd_repair_foreign_options(const char *here, const char *there)
{
	List	   *ours = split_options(here);
	List	   *theirs = split_options(there);
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, ours)
	{
		Option	   *option = lfirst(lc);
		Option	   *same = find_option(theirs, option->name);

		if (same == NULL || strcmp(same->value, option->value) != 0)
			appendStringInfo(&list, "%s%s %s %s", list.len > 0 ? ", " : "", same ? "SET" : "ADD",
							 quote_identifier(option->name), quote_literal_cstr(option->value));
	}
	foreach(lc, theirs)
	{
		Option	   *option = lfirst(lc);

		if (find_option(ours, option->name) == NULL)
			appendStringInfo(&list, "%sDROP %s", list.len > 0 ? ", " : "", quote_identifier(option->name));
	}
	return list.len > 0 ? list.data : NULL;
}

char *
sd_repair_foreign_list(const char *options)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, split_options(options))
	{
		Option	   *option = lfirst(lc);

		appendStringInfo(&list, "%s%s %s", list.len > 0 ? ", " : "", quote_identifier(option->name), quote_literal_cstr(option->value));
	}
	return list.len > 0 ? list.data : NULL;
}

char *
sd_repair_prefix(const char *list, const char *prefix)
{
	StringInfoData result;
	bool		quoted = false;

	initStringInfo(&result);
	appendStringInfoString(&result, prefix);
	for (const char *c = list; *c; c++)
	{
		quoted ^= *c == '\'';
		appendStringInfoChar(&result, *c);
		if (!quoted && strncmp(c, ", ", 2) == 0)
		{
			appendStringInfo(&result, " %s", prefix);
			c++;
		}
	}
	return result.data;
}
