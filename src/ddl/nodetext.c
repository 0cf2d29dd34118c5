/*
 * nodetext.c: reading a pg_node_tree's text; see nodetext.h.
 *
 * Backend and workers; touches no catalog.
 */
#include "compat.h"

#include "miscadmin.h"

#include "ddl/nodetext.h"

typedef struct Reader
{
	const char *at;
	SdNode	   *stack;			/* items of unfinished lists and structs */
	int			nstack;
	int			size;
} Reader;

static void read_item(Reader *reader, SdNode *node);

static void
skip_space(Reader *reader)
{
	while (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t')
		reader->at++;
}

/* As pg_strtok(): up to white space or a bracket; a backslash takes the next character with it. */
static int
atom_length(const char *s)
{
	static const bool special[256] = {
		['\0'] = true, [' '] = true, ['\n'] = true, ['\t'] = true, ['('] = true, [')'] = true, ['{'] = true, ['}'] = true,
		['\\'] = true
	};
	const char *start = s;

	for (;;)
	{
		while (!special[(unsigned char) *s])
			s++;
		if (*s != '\\')
			return s - start;
		s += s[1] ? 2 : 1;
	}
}

static SdNode *
push(Reader *reader)
{
	if (reader->nstack == reader->size)
	{
		reader->size *= 2;
		reader->stack = repalloc(reader->stack, reader->size * sizeof(SdNode));
	}
	return &reader->stack[reader->nstack++];
}

static void
pop_items(Reader *reader, int base, SdNode *node)
{
	node->nitems = reader->nstack - base;
	if (node->nitems > 0)
	{
		node->items = palloc(node->nitems * sizeof(SdNode));
		memcpy(node->items, reader->stack + base, node->nitems * sizeof(SdNode));
	}
	reader->nstack = base;
}

static void
malformed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("a stored expression in the system catalogs cannot be read")));
}

static void
read_list(Reader *reader, SdNode *node)
{
	int			base = reader->nstack;

	node->kind = SD_NODE_LIST;
	reader->at++;
	for (skip_space(reader); *reader->at != ')'; skip_space(reader))
	{
		SdNode		item;

		if (*reader->at == '\0' || *reader->at == '}')
			malformed();
		read_item(reader, &item);
		*push(reader) = item;
	}
	reader->at++;
	pop_items(reader, base, node);
}

/* Past an item of a value that has several: the bytes of a datum in brackets, all at once, as there may be many. */
static void
skip_more(Reader *reader)
{
	SdNode		more;

	if (*reader->at == '[')
	{
		reader->at = strchr(reader->at, ']');
		if (reader->at == NULL)
			malformed();
		reader->at++;
		return;
	}
	read_item(reader, &more);
}

static void
read_struct(Reader *reader, SdNode *node)
{
	int			base = reader->nstack;

	node->kind = SD_NODE_STRUCT;
	reader->at++;
	skip_space(reader);
	node->tag = reader->at;
	node->tag_length = atom_length(reader->at);
	reader->at += node->tag_length;

	for (skip_space(reader); *reader->at != '}'; skip_space(reader))
	{
		SdNode		value;
		const char *field;
		int			field_length;

		if (*reader->at != ':')
			malformed();
		field = reader->at + 1;
		field_length = atom_length(field);
		reader->at = field + field_length;
		skip_space(reader);

		/* the first item may begin with a colon (a name may), further ones may not */
		read_item(reader, &value);
		value.field = field;
		value.field_length = field_length;
		for (skip_space(reader); *reader->at != ':' && *reader->at != '}'; skip_space(reader))
		{
			skip_more(reader);
			value.rest = value.text;
			value.rest_length = reader->at - value.text;
		}
		*push(reader) = value;
	}
	reader->at++;
	pop_items(reader, base, node);
}

static void
read_item(Reader *reader, SdNode *node)
{
	check_stack_depth();
	memset(node, 0, sizeof(*node));
	node->text = reader->at;
	switch (*reader->at)
	{
		case '(':
			read_list(reader, node);
			break;
		case '{':
			read_struct(reader, node);
			break;
		case '\0':
		case ')':
		case '}':
			malformed();
			break;
		default:
			node->kind = SD_NODE_ATOM;
			reader->at += atom_length(reader->at);
			break;
	}
	node->length = reader->at - node->text;
}

SdNode *
sd_node_parse(const char *text)
{
	Reader		reader;
	SdNode	   *node = palloc(sizeof(SdNode));

	reader.at = text;
	reader.size = 64;
	reader.nstack = 0;
	reader.stack = palloc(reader.size * sizeof(SdNode));
	skip_space(&reader);
	read_item(&reader, node);
	pfree(reader.stack);
	return node;
}

SdNode *
sd_node_field(const SdNode *node, const char *field)
{
	int			length = strlen(field);

	if (node == NULL || node->kind != SD_NODE_STRUCT)
		return NULL;
	for (int i = 0; i < node->nitems; i++)
		if (node->items[i].field_length == length && memcmp(node->items[i].field, field, length) == 0)
			return &node->items[i];
	return NULL;
}

bool
sd_node_is_null(const SdNode *node)
{
	if (node == NULL)
		return true;
	if (node->kind == SD_NODE_LIST)
		return node->nitems == 0;
	return node->kind == SD_NODE_ATOM && node->length == 2 && memcmp(node->text, "<>", 2) == 0;
}

long
sd_node_int(const SdNode *node)
{
	if (node == NULL || node->kind != SD_NODE_ATOM)
		return 0;
	return strtol(node->text, NULL, 10);	/* an atom ends at a character that is no digit */
}

Oid
sd_node_oid(const SdNode *node)
{
	if (node == NULL || node->kind != SD_NODE_ATOM)
		return InvalidOid;
	return (Oid) strtoul(node->text, NULL, 10);
}

char *
sd_node_text(const SdNode *node)
{
	return pnstrdup(node->text, node->length);
}

char *
sd_node_string(const SdNode *node)
{
	const char *in = node->text;
	const char *end = node->text + node->length;
	char	   *result = palloc(node->length + 1);
	char	   *out = result;

	if (node->length >= 2 && *in == '"' && end[-1] == '"')
	{
		in++;
		end--;
	}
	while (in < end)
	{
		if (*in == '\\' && in + 1 < end)
			in++;
		*out++ = *in++;
	}
	*out = '\0';
	return result;
}

/* A byte as a number, signed or not as the machine has it; returns where it ends. */
static const char *
read_byte(const char *at, char *byte)
{
	bool		minus;
	int			number = 0;
	const char *digits;

	while (*at == ' ')
		at++;
	minus = *at == '-';
	digits = at + minus;
	for (at = digits; *at >= '0' && *at <= '9'; at++)
		number = (number * 10 + *at - '0') & 0xff;
	if (at == digits)
		malformed();
	*byte = (char) (minus ? -number : number);
	return at;
}

Datum
sd_node_datum(const SdNode *value, bool by_value)
{
	const char *bracket = value->rest ? memchr(value->rest, '[', value->rest_length) : NULL;
	Size		length = value->rest ? strtoul(value->rest, NULL, 10) : 0;
	Datum		datum = (Datum) 0;
	char	   *bytes = (char *) &datum;

	if (bracket == NULL || (by_value && length > sizeof(Datum)))
		malformed();
	if (by_value)
		length = sizeof(Datum);
	else
		datum = PointerGetDatum(bytes = palloc(Max(length, 1)));
	bracket++;
	for (Size i = 0; i < length; i++)
		bracket = read_byte(bracket, &bytes[i]);
	return datum;
}
