/*
 * facts.h: questions to the live catalogs.
 *
 * Without a lock on anybody's relation, unless said otherwise; what is gone meanwhile is simply not there.
 */
#ifndef SD_ANALYSIS_FACTS_H
#define SD_ANALYSIS_FACTS_H

#include "compat.h"

#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "catalog/dependency.h"
#include "utils/relcache.h"

/*
 * Open a relation of any kind with ACCESS SHARE, which relation_close() has to give back.  NULL: it is gone, or somebody holds it
 * exclusively, who is not waited for.
 */
extern Relation sd_fact_open(Oid relation);

/* Bytes of a relation with its TOAST table; of a partitioned one, of all partitions.  Looks at the files if it can at once. */
extern int64 sd_fact_bytes(Oid relation);
extern int64 sd_fact_bytes_of_all(List *relations); /* of each by itself; of Oid */

typedef struct SdForeignKey
{
	Oid			constraint;
	Oid			parent;			/* the constraint that it is a part of, as one side is partitioned; InvalidOid: none */
	Oid			index;			/* of the referenced table, by which it goes */
	char	   *name;
	Oid			from;			/* the referencing table */
	Oid			to;
	Bitmapset  *columns;		/* of the table that was asked for; attribute numbers */
	bool		valid;
} SdForeignKey;

extern List *sd_fact_foreign_keys(Oid table);	/* its own */
extern List *sd_fact_referencing(Oid table);	/* those of others that refer to it */

typedef struct SdIndex
{
	Oid			oid;
	bool		unique;
	bool		primary;
	bool		exclusion;
	bool		valid;
	bool		identity;		/* REPLICA IDENTITY */
	AttrNumber	leading;		/* first column; 0: an expression */
	Bitmapset  *keys;			/* plain columns, included ones too */
	Bitmapset  *own;			/* ... without these */
	Bitmapset  *expressions;	/* columns in expressions */
	Bitmapset  *predicate;		/* columns in the predicate */
} SdIndex;

extern List *sd_fact_indexes(Oid table);

/* CHECKs of a domain, with those of the one that it is made of; of Oid. */
extern List *sd_fact_domain_checks(Oid domain);

/* May TRUNCATE fail for those that refer to it?  Only where it has triggers, which keys that are NOT ENFORCED do not make. */
extern bool sd_fact_checks_references(Oid table);

/* The index by which updates and deletes are published: its OID; InvalidOid: none. */
extern Oid	sd_fact_replica_index(Oid table);

typedef struct SdTableConstraint
{
	Oid			oid;
	char	   *name;
	char		type;			/* CONSTRAINT_... */
	bool		valid;
	bool		local;			/* not only inherited */
	bool		no_inherit;
	Oid			index;
	Oid			other;			/* referenced table */
	Bitmapset  *columns;
} SdTableConstraint;

/* An array of attribute numbers, as catalogs have it, without those of the system. */
extern Bitmapset *sd_fact_numbers(Datum array);

extern List *sd_fact_constraints(Oid table);
extern SdTableConstraint *sd_fact_constraint(Oid table, const char *name);	/* NULL: none */
extern List *sd_fact_domain_constraints(Oid domain);

/* Does a CHECK that is nothing but "column IS NOT NULL" say so?  By its name, if there is one. */
extern bool sd_fact_is_not_null_check(Oid constraint, AttrNumber column);

typedef struct SdDependent
{
	ObjectAddress object;		/* what depends */
	AttrNumber	column;			/* on which column; 0: on all of it */
	char		type;			/* DEPENDENCY_... */
	bool		doubtful;		/* for follow.c: it was replaced since, and may not depend on it any more */
} SdDependent;

/* What depends on a relation, or on one column of it (number > 0). */
extern List *sd_fact_dependents(Oid class_id, Oid object, AttrNumber column);

/* The view or table that a rewrite rule, default, policy or trigger belongs to; InvalidOid: of another kind. */
extern Oid	sd_fact_owner_of(const ObjectAddress *object);

/* The entry of pg_attrdef; InvalidOid: none. */
extern Oid	sd_fact_default(Oid table, AttrNumber column);

/* Sequences that a column of the table owns, or with 0 any of them; of Oid. */
extern List *sd_fact_owned_sequences(Oid table, AttrNumber column);

/* What a view reads; of Oid. */
extern List *sd_fact_sources(Oid view);

/* Tables with a column of this type, also of a domain over it or an array of it; of Oid. */
extern List *sd_fact_type_users(Oid type);

/* Tables of a composite type (CREATE TABLE ... OF), each column of which is an attribute; of Oid. */
extern List *sd_fact_typed_tables(Oid type);

/* Partitions and children by inheritance, at any depth, without itself; of Oid. */
extern List *sd_fact_descendants(Oid table);
extern List *sd_fact_children(Oid table);	/* ... its own only */
extern Oid	sd_fact_partition_parent(Oid table);	/* InvalidOid: no partition */

/* The columns by which a table is partitioned, those in expressions, too; NULL: it is not. */
extern Bitmapset *sd_fact_partition_key(Oid table);

/* How rows of a table go to other servers, or come from them. */
typedef struct SdReplicated
{
	bool		published;
	bool		subscribed;
	bool		listed;			/* by each publication only with a list of columns */
	Bitmapset  *columns;		/* those of any of the lists; by attribute number */
	List	   *publications;	/* of char * */
	List	   *subscriptions;	/* of char * */
} SdReplicated;

/* schema: where a table that is not there yet will be; its Oid, or InvalidOid. */
extern void sd_fact_replicated(Oid table, Oid schema, SdReplicated *replicated);

/* Do the statistics, as far as this user may see them, say that the column has nulls? */
extern bool sd_fact_has_nulls(Oid table, AttrNumber column);

/*
 * Do the constraints of a table prove that a column has no nulls?  Takes ACCESS SHARE for a moment, if it can at once;
 * otherwise *unknown.
 */
extern bool sd_fact_proves_not_null(Oid table, AttrNumber column, bool *unknown);

#endif							/* SD_ANALYSIS_FACTS_H */
