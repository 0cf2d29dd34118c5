/*
 * canonical_writer.h: the inside of canonical.c, shared with the files that hold its table of fields and its queries.
 */
#ifndef SD_DDL_CANONICAL_WRITER_H
#define SD_DDL_CANONICAL_WRITER_H

#include "compat.h"

#include "lib/stringinfo.h"

#include "ddl/nodetext.h"

/* One level of query nesting: what a column reference's varno counts in. */
typedef struct SdFrame
{
	struct SdFrame *parent;
	const SdNode *rtable;		/* NULL at the outermost level of an expression */
	Oid			relation;		/* there: the relation it belongs to */
	int			placeholders;	/* tables at the beginning of rtable that do not count */
} SdFrame;

typedef struct SdWriter
{
	StringInfo	out;
	SdFrame    *frame;
	const SdNode *element;		/* stands for CASETESTEXPR in an array coercion taken apart */
} SdWriter;

/* What to do with a field, whatever struct it is in. */
typedef enum SdTreatment
{
	SD_FIELD_SKIP,				/* says nothing of its own */
	SD_FIELD_FUNCTION,			/* an OID or a list of them, as are ... */
	SD_FIELD_OPERATOR,
	SD_FIELD_TYPE,
	SD_FIELD_COLLATION,
	SD_FIELD_OPCLASS,
	SD_FIELD_OPFAMILY,
	SD_FIELD_RELATION,
	SD_FIELD_CONSTRAINT,		/* ... these */
	SD_FIELD_MODIFIER,			/* a type modifier: -1 says nothing */
	SD_FIELD_TABLE,				/* a number of a table of the query */
	SD_FIELD_COPY				/* has no row */
} SdTreatment;

/* canonical_fields.c */
extern SdTreatment sd_field_treatment(const SdNode *value);
extern void sd_write_references(StringInfo out, SdTreatment treatment, const SdNode *value);	/* an OID or "(o 1 2)" */

/* canonical_query.c */
extern void sd_write_query(SdWriter *w, const SdNode *node, bool names, int placeholders);
extern void sd_write_named_query(SdWriter *w, const SdNode *node);
extern void sd_write_sublink(SdWriter *w, const SdNode *node);

/* canonical.c */
extern void sd_write_node(SdWriter *w, const SdNode *node);
extern void sd_write_field(SdWriter *w, const SdNode *value);
extern void sd_write_label(SdWriter *w, const SdNode *value);
extern void sd_open_struct(SdWriter *w, const SdNode *node);
extern void sd_close_struct(SdWriter *w);

#endif							/* SD_DDL_CANONICAL_WRITER_H */
