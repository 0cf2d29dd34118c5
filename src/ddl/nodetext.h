/*
 * nodetext.h: the text of a pg_node_tree, read into a tree without knowing the node types.
 *
 * The grammar is that of the server's outfuncs.c and read.c, the same in all supported majors: {TAG :field value ...},
 * lists in parentheses, atoms, backslash escapes.  A field's value is one item, except for a constant's
 * (length [ bytes ]).
 */
#ifndef SD_DDL_NODETEXT_H
#define SD_DDL_NODETEXT_H

#include "compat.h"

typedef enum SdNodeKind
{
	SD_NODE_ATOM,				/* number, word, string, <> */
	SD_NODE_LIST,				/* (...), items; for "(o 1 2)" the first item is the atom "o" */
	SD_NODE_STRUCT				/* {TAG ...}, items are the fields, each with its name */
} SdNodeKind;

typedef struct SdNode
{
	SdNodeKind	kind;
	int			length;
	const char *text;			/* where it stands in the source: of a struct or list with its brackets */
	const char *tag;			/* of a struct */
	const char *field;			/* of a field's value: the field's name, without the colon */
	int			tag_length;
	int			field_length;
	const char *rest;			/* of a field's value with more than one item: all of them, else NULL */
	int			rest_length;
	int			nitems;
	struct SdNode *items;
} SdNode;						/* a line of the processor's cache */

/* Allocates in the current memory context; text must outlive the tree. */
extern SdNode *sd_node_parse(const char *text);

/* The value of a field, or NULL. */
extern SdNode *sd_node_field(const SdNode *node, const char *field);

/* Asked many times of each node, mostly about a literal: here, where its length is known to the compiler. */
static inline bool
sd_node_is(const SdNode *node, const char *tag)
{
	return node != NULL && node->kind == SD_NODE_STRUCT &&
		node->tag_length == (int) strlen(tag) && memcmp(node->tag, tag, node->tag_length) == 0;
}

static inline bool
sd_node_is_atom(const SdNode *node, const char *text)
{
	return node->kind == SD_NODE_ATOM && node->length == (int) strlen(text) && memcmp(node->text, text, node->length) == 0;
}

/* Is it the value of that field? */
static inline bool
sd_node_is_field(const SdNode *value, const char *field)
{
	return value->field_length == (int) strlen(field) && memcmp(value->field, field, value->field_length) == 0;
}

extern bool sd_node_is_null(const SdNode *node);	/* NULL, <> or () */
extern long sd_node_int(const SdNode *node);	/* of an atom; NULL and <> are 0 */
extern Oid	sd_node_oid(const SdNode *node);

/* The source text of a node, as a string of its own. */
extern char *sd_node_text(const SdNode *node);

/* An atom's text without escapes and quotes. */
extern char *sd_node_string(const SdNode *node);

/* A constant's bytes, "length [ bytes ]", as the value that they are of a type that is passed by value, or is not. */
extern Datum sd_node_datum(const SdNode *value, bool by_value);

#endif							/* SD_DDL_NODETEXT_H */
