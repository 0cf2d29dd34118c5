/*
 * describe.h: the canonical definition of one object of the schema, as text of lines "property: value".
 *
 * docs/fingerprint.md lists what each kind has.  Properties that are absent, false or default are left out, so that a property
 * that is new in some major changes nothing where it is not used.  Reads system catalogs and caches; locks no user's object.
 */
#ifndef SD_DDL_DESCRIBE_H
#define SD_DDL_DESCRIBE_H

#include "compat.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"
#include "utils/hsearch.h"
#include "utils/relcache.h"

/* What several descriptions share: create one, describe, let its memory context go. */
typedef struct SdDescriber
{
	HTAB	   *namespaces;		/* by oid: is what lies in it covered? */
	HTAB	   *members;		/* objects that belong to extensions; NULL: looked up one by one */
	HTAB	   *notes;			/* comments and labels by object; NULL: looked up one by one */
	struct SdArrayTypes *arrays;	/* types that are the array type of another; NULL: looked up one by one */
	List	   *local;			/* the policy's patterns of local objects */
} SdDescriber;

typedef struct SdDescription
{
	const char *kind;
	TupleDesc	catalog;		/* of the row that is described */
	Oid			classid;
	Oid			objid;
	StringInfoData identity;
	StringInfoData definition;
	char	   *beside;			/* what no digest counts (beside.h); NULL: nothing */
	bool		beside_apart;	/* and it is otherwise than the rest would have it */
	uint64		names;			/* over the names that other objects' definitions may contain; never leaves this region */
} SdDescription;

/* everything: read once, for all objects, which are members of extensions, and their comments. */
extern SdDescriber *sd_describer_create(bool everything, List *local);

/* The catalogs whose rows are objects of the schema. */
extern int	sd_described_catalogs(const Oid **catalogs);

typedef enum SdCoverage
{
	SD_COVERAGE_UNKNOWN,		/* nothing is said of it: t/031_kinds.pl wants a reason in docs/fingerprint.md */
	SD_COVERAGE_OBJECT,
	SD_COVERAGE_PART,			/* described with the object it is part of */
	SD_COVERAGE_LOCAL			/* the gate lets it be */
} SdCoverage;

/* What becomes of the rows of a catalog. */
extern SdCoverage sd_coverage_of(Oid classid);

/*
 * Fills *description, whose strings the caller has initialized (and may reset and use again).  Returns false for what is not covered:
 * system, temporary, our own, an extension's member, or no object by itself.
 */
extern bool sd_describe_tuple(SdDescriber *describer, Relation catalog, HeapTuple tuple, SdDescription *description);

/* The same by OID, and false also if there is no such object. */
extern bool sd_describe_object(SdDescriber *describer, Oid classid, Oid objid, SdDescription *description);

/* name: of the object in it, or of the table that it hangs on */
extern bool sd_name_is_covered(SdDescriber *describer, Oid namespace, const char *name);
extern bool sd_is_extension_member(SdDescriber *describer, Oid classid, Oid objid);

/*
 * Kind, OID and, for what lies in a schema, the identity.  False: not covered.  What lies in no schema is the system's by its
 * OID; its identity is left to the caller.
 */
extern bool sd_begin_in_schema(SdDescriber *describer, SdDescription *description, const char *kind,
							   Oid objid, Oid namespace, const char *name);
extern bool sd_begin_without_schema(SdDescriber *describer, SdDescription *description, const char *kind, Oid objid);

/* Building blocks for definitions. */
extern void sd_put(SdDescription *description, const char *property, const char *value);	/* not if NULL or "" */
extern void sd_put_beside(SdDescription *description, const char *property, const char *value);
extern void sd_put_flag(SdDescription *description, const char *property, bool value);	/* not if false */
extern void sd_put_int(SdDescription *description, const char *property, int64 value, int64 usual);
extern void sd_put_char(SdDescription *description, const char *property, char value, char usual);
extern void sd_put_options(SdDescription *description, const char *property, Datum options, bool isnull);
extern void sd_put_expression(SdDescription *description, const char *property, Datum tree, bool isnull, Oid relation);
typedef void (*SdAppendName) (StringInfo out, Oid oid);
extern void sd_put_name(SdDescription *description, const char *property, SdAppendName append, Oid oid);	/* not if invalid */
extern void sd_put_type(SdDescription *description, const char *property, Oid type, int32 typmod);
/* Disabled triggers of what partitions have of foreign keys, which are no objects of their own. */
extern void sd_put_share_states(SdDescription *description, Oid relation);

extern char *sd_join_options(Datum options, bool isnull);	/* NULL if none */
extern char *sd_join_columns(Oid relation, const int16 *numbers, int n);
extern void sd_add_name(SdDescription *description, const char *name, int number);

/*
 * describe_properties.c.  A line for each grantee and grantor whose rights are not those of usual (of acldefault(), or NULL):
 * "grantee" by "grantor": all, or the rights in words, with a star where they may be handed on; "none" was taken away.
 */
extern void sd_put_privileges(SdDescription *description, const char *property, Datum acl, ObjectType type, const Acl *usual);

/* Comments, security labels and ALTER ... DEPENDS ON EXTENSION of an object and its columns. */
extern void sd_put_notes(SdDescriber *describer, SdDescription *description, Oid classid, Oid objid);
extern bool sd_has_notes(SdDescriber *describer, Oid classid, Oid objid);
extern HTAB *sd_read_notes(void);
extern void sd_note_extension(HTAB *notes, Oid classid, Oid objid, Oid extension);

/* describe_type.c: all of them. */
extern struct SdArrayTypes *sd_read_array_types(void);

extern const char *sd_relation_kind(char relkind);	/* "table", also of a partitioned one; NULL: no kind of its own */

/* By kind; tuples of the kind's catalog. */
extern bool sd_describe_relation(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_constraint(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_trigger(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_rule(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_policy(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_type(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_is_range_constructor(HeapTuple function);
extern bool sd_describe_function(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_statistics(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_operator(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_opclass(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_opfamily(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_cast(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_access_method(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_collation(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_conversion(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_ts_parser(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_ts_template(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_ts_dictionary(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_ts_configuration(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_language(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_transform(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_foreign_data_wrapper(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_server(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_event_trigger(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
extern bool sd_describe_default_privileges(SdDescriber *describer, HeapTuple tuple, SdDescription *description);

#endif							/* SD_DDL_DESCRIBE_H */
