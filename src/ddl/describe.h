/*
 * describe.h: the canonical definition of one object of the schema, as text of lines "property: value".
 *
 * docs/digest.md lists what each kind has.  Properties that are absent, false or default are left out, so that a property
 * that is new in some major changes nothing where it is not used.  Reads system catalogs and caches; locks no user's object.
 */
#ifndef SD_DDL_DESCRIBE_H
#define SD_DDL_DESCRIBE_H

#include "compat.h"

#include "access/htup.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/hsearch.h"

/* What several descriptions share: create one, describe, let its memory context go. */
typedef struct SdDescriber
{
	HTAB	   *namespaces;		/* by oid: is what lies in it covered? */
	HTAB	   *members;		/* objects that belong to extensions; NULL: looked up one by one */
	List	   *local;			/* the policy's patterns of local objects */
} SdDescriber;

typedef struct SdDescription
{
	const char *kind;
	Oid			classid;
	Oid			objid;
	StringInfoData identity;
	StringInfoData definition;
	uint64		names;			/* over the names that other objects' definitions may contain; never leaves this region */
} SdDescription;

/* all_members: for describing everything, read once which objects are members of extensions. */
extern SdDescriber *sd_describer_create(bool all_members, List *local);

/* The catalogs whose rows are objects of the schema. */
extern int	sd_described_catalogs(const Oid **catalogs);

/*
 * Fills *description, whose strings the caller has initialized (and may reset and use again).  Returns false for what is not covered:
 * system, temporary, our own, an extension's member, or no object by itself.
 */
extern bool sd_describe_tuple(SdDescriber *describer, Oid classid, HeapTuple tuple, SdDescription *description);

/* The same by OID, and false also if there is no such object. */
extern bool sd_describe_object(SdDescriber *describer, Oid classid, Oid objid, SdDescription *description);

/* name: of the object in it, or of the table that it hangs on */
extern bool sd_name_is_covered(SdDescriber *describer, Oid namespace, const char *name);
extern bool sd_is_extension_member(SdDescriber *describer, Oid classid, Oid objid);

/* Building blocks for definitions. */
extern void sd_put(SdDescription *description, const char *property, const char *value);	/* not if NULL or "" */
extern void sd_put_flag(SdDescription *description, const char *property, bool value);	/* not if false */
extern void sd_put_int(SdDescription *description, const char *property, int64 value, int64 usual);
extern void sd_put_char(SdDescription *description, const char *property, char value, char usual);
extern void sd_put_options(SdDescription *description, const char *property, Datum options, bool isnull);
extern void sd_put_expression(SdDescription *description, const char *property, Datum tree, bool isnull, Oid relation);
typedef void (*SdAppendName) (StringInfo out, Oid oid);
extern void sd_put_name(SdDescription *description, const char *property, SdAppendName append, Oid oid);	/* not if invalid */
extern void sd_put_type(SdDescription *description, const char *property, Oid type, int32 typmod);
extern char *sd_join_options(Datum options, bool isnull);	/* NULL if none */
extern char *sd_join_columns(Oid relation, const int16 *numbers, int n);
extern void sd_add_name(SdDescription *description, const char *name, int number);

/* By kind; tuples of pg_class and of the catalogs of what hangs on relations. */
extern bool sd_describe_relation(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_constraint(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_trigger(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_rule(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_policy(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_type(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_function(SdDescriber *describer, HeapTuple tuple, SdDescription *description);

#endif							/* SD_DDL_DESCRIBE_H */
