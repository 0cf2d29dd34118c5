/*
 * paste.c: names and other people's words in text that a person shall paste; see paste.h.
 *
 * Any process; no locking.  Bytes below 0x80 are characters of their own in every encoding that a server may have.
 */
#include "compat.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "paste.h"

static bool
is_control(char c)
{
	return (unsigned char) c < ' ' || c == 0x7f;
}

static bool
has_control(const char *text)
{
	for (; *text; text++)
		if (is_control(*text))
			return true;
	return false;
}

char *
sd_paste_literal(const char *text)
{
	StringInfoData out;

	if (!has_control(text))
		return quote_literal_cstr(text);
	initStringInfo(&out);
	appendStringInfoString(&out, "E'");
	for (; *text; text++)
	{
		if (*text == '\n')
			appendStringInfoString(&out, "\\n");
		else if (is_control(*text))
			appendStringInfo(&out, "\\x%02x", *text);
		else if (*text == '\'' || *text == '\\')
			appendStringInfo(&out, "%c%c", *text, *text);
		else
			appendStringInfoChar(&out, *text);
	}
	appendStringInfoChar(&out, '\'');
	return out.data;
}

const char *
sd_paste_identifier(const char *name)
{
	StringInfoData out;

	if (!has_control(name))
		return quote_identifier(name);
	initStringInfo(&out);
	appendStringInfoString(&out, "U&\"");
	for (; *name; name++)
	{
		if (is_control(*name))
			appendStringInfo(&out, "\\%04x", *name);
		else if (*name == '"' || *name == '\\')
			appendStringInfo(&out, "%c%c", *name, *name);
		else
			appendStringInfoChar(&out, *name);
	}
	appendStringInfoChar(&out, '"');
	return out.data;
}

char *
sd_paste_qualified(const char *schema, const char *name)
{
	return psprintf("%s.%s", sd_paste_identifier(schema), sd_paste_identifier(name));
}

/* A carriage return ends a comment, too. */
char *
sd_paste_comment(const char *words)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "-- ");
	for (; *words; words++)
	{
		appendStringInfoChar(&out, *words);
		if (*words == '\n' || (*words == '\r' && words[1] != '\n'))
			appendStringInfoString(&out, "-- ");
	}
	return out.data;
}
