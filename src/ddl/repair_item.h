/*
 * repair_item.h: between the parts of the repair generator (repair.h).
 *
 * repair.c finds the objects and puts them in order, repair_kinds.c knows what each kind is called, the others make the statements of
 * their kinds.  All in a scope (sql.h), with the settings of sd_canonical_enter().
 */
#ifndef SD_DDL_REPAIR_ITEM_H
#define SD_DDL_REPAIR_ITEM_H

#include "ddl/properties.h"
#include "ddl/repair.h"
#include "store/sql.h"

typedef struct SdRepairPlan
{
	List	   *items;			/* of SdRepairItem */
	List	   *steps;			/* of SdRepairStep */
	List	   *again;			/* of SdRepairItem: what was dropped for something else and made again, so as it is here */
	struct SdDescriber *describer;
} SdRepairPlan;

typedef struct SdRepairItem
{
	SdRepairPlan *plan;
	const struct SdRepairKind *how;
	const char *kind;
	const char *identity;
	char	   *name;			/* as SQL: public."user", public.f(integer) */
	char	   *called;			/* as COMMENT ON and DROP call it: TRIGGER x ON public.t */
	Oid			classid;		/* here; invalid: it is not here */
	Oid			objid;
	const char *here_text;		/* definitions; NULL: none */
	const char *there_text;
	List	   *here;			/* of SdProperty */
	List	   *there;
	List	   *differences;	/* of SdPropertyDifference: a here, b there */
	bool		implied;		/* another item's statements do what there is to do */
	SdRepairPhase drop_phase;	/* of what is extra there */
	bool		again;			/* it is dropped for another one, and made again */
	int			make_order;
	int			drop_order;
} SdRepairItem;

/* Makes statements of one object; create: as if it were not there; alter: it is in both, and differs. */
typedef void (*SdRepairMaker) (SdRepairItem *item);

typedef enum SdRepairCall
{
	SD_CALL_NAME,				/* DROP TABLE a.b */
	SD_CALL_ON,					/* DROP TRIGGER c ON a.b */
	SD_CALL_CONSTRAINT,			/* ALTER TABLE a.b DROP CONSTRAINT c */
	SD_CALL_SIGNATURE,			/* DROP FUNCTION a.b(integer) */
	SD_CALL_OPERATOR,			/* DROP OPERATOR a.+(integer,integer) */
	SD_CALL_VERBATIM			/* as the identity has it */
} SdRepairCall;

typedef struct SdRepairKind
{
	const char *kind;
	int			rank;			/* in which order kinds are made, as far as nothing else says it */
	const char *word;
	SdRepairCall call;
	const char *loss;			/* what is lost when it is dropped; NULL: nothing but its definition */
	const char *grant;			/* as GRANT calls it; NULL: it has no privileges */
	SdRepairMaker create;		/* NULL: not known how */
	SdRepairMaker alter;		/* NULL: dropped and made */
} SdRepairKind;

extern const SdRepairKind *sd_repair_kind(const char *kind);	/* NULL: an unknown one */

/* --- names: repair_names.c --- */

/* The parts of an identity, or of another qualified name in a definition, without quotes; of a function without the arguments. */
extern List *sd_repair_parts(const char *identity);

/* The same quoted as this server's parser wants it; the arguments of a function as they are. */
extern char *sd_repair_quote(const char *identity);
extern char *sd_repair_routine(const char *signature);	/* a function without its arguments */
extern char *sd_repair_call(const SdRepairKind *how, const char *identity);

/* "public.t" of "public.t.t_pkey", in either form; NULL: there is no more than one part. */
extern char *sd_repair_owner_of(const char *identity);

/* "a=1, b=2" -> "a = '1', b = '2'"; of those of `options` that are not the same in `other`.  NULL: none.  other: NULL for none. */
extern char *sd_repair_options(const char *options, const char *other);

/* The names in `options` that `other` has not: "a, b"; NULL: none. */
extern char *sd_repair_options_gone(const char *options, const char *other);

/* Puts the prefix before each name of such a list. */
extern char *sd_repair_prefix(const char *list, const char *prefix);

/* "a '1', b '2'", of foreign objects; NULL: none. */
extern char *sd_repair_foreign_list(const char *options);

/* OPTIONS (...) of foreign objects, from `there` to `here`; NULL: nothing to do. */
extern char *sd_repair_foreign_options(const char *here, const char *there);

/* --- items: repair.c --- */

extern void sd_repair_do(SdRepairItem *item, SdRepairPhase phase, const char *note, const char *format,...)
			pg_attribute_printf(4, 5);
extern void sd_repair_cannot(SdRepairItem *item, const char *format,...) pg_attribute_printf(2, 3);

/* The item of that name in the plan, or NULL. */
extern SdRepairItem *sd_repair_find(SdRepairPlan *plan, const char *kind, const char *identity);

/* An object that is here, in no plan; NULL: it is not covered, or no object by itself. */
extern SdRepairItem *sd_repair_item_of(SdRepairPlan *plan, Oid classid, Oid objid);

/* Has it been dropped for something else, and made again? */
extern bool sd_repair_is_again(SdRepairPlan *plan, const SdRepairItem *item);

/* Values of one property; "" where there is none. */
extern const char *sd_repair_here(const SdRepairItem *item, const char *property);
extern const char *sd_repair_there(const SdRepairItem *item, const char *property);
extern bool sd_repair_differs(const SdRepairItem *item, const char *property);

/* Do all differences have one of these names?  The list ends with NULL. */
extern bool sd_repair_only(const SdRepairItem *item, const char *const *properties);

/* First column of the only row of a statement with one oid as its argument; NULL: no row, or null. */
extern char *sd_repair_ask(SdStatement *statement, Oid oid);

extern void sd_repair_drop(SdRepairItem *item, SdRepairPhase phase);

/* Drops it and makes it again, with what depends on it here and all that hangs on it. */
extern void sd_repair_replace(SdRepairItem *item, const char *note);

/* What stands in the way of another type for a column: dropped, and made again. */
extern void sd_repair_drop_dependents(SdRepairItem *item, int column);

/* All of a new object: itself, and its owner, privileges, comments. */
extern void sd_repair_make(SdRepairItem *item);

/* --- several items: repair_order.c --- */

/* Gives them their orders, and sorts the plan's items: what is needed first. */
extern void sd_repair_order(SdRepairPlan *plan);

/* Marks those that the statements of others bring about. */
extern void sd_repair_imply(SdRepairPlan *plan);

/* When what is extra can go: not before what still uses it. */
extern void sd_repair_drop_phases(SdRepairPlan *plan);

/* What is missing under one name and extra under another was renamed. */
extern void sd_repair_renames(SdRepairPlan *plan);

/* --- owner, privileges, comments, labels: repair_rights.c --- */
extern void sd_repair_rights(SdRepairItem *item);
extern bool sd_repair_is_right(const char *property);

/* --- by kind --- */
extern void sd_repair_create_table(SdRepairItem *item);
extern void sd_repair_alter_table(SdRepairItem *item);
extern void sd_repair_columns(SdRepairItem *item);	/* repair_column.c: those of a relation that is in both */
extern void sd_repair_view_columns(SdRepairItem *item);	/* of a view that is in both, with the same columns */
extern char *sd_repair_column_list(SdRepairItem *item);	/* of CREATE TABLE */
extern void sd_repair_column_details(SdRepairItem *item);	/* what CREATE TABLE cannot say */
extern void sd_repair_create_view(SdRepairItem *item);
extern void sd_repair_alter_view(SdRepairItem *item);
extern void sd_repair_create_sequence(SdRepairItem *item);
extern void sd_repair_alter_sequence(SdRepairItem *item);
extern void sd_repair_create_index(SdRepairItem *item);
extern void sd_repair_alter_index(SdRepairItem *item);
extern void sd_repair_create_constraint(SdRepairItem *item);
extern void sd_repair_alter_constraint(SdRepairItem *item);
extern bool sd_repair_is_not_null(const SdRepairItem *item);	/* there */
extern void sd_repair_plain_not_null(SdRepairItem *item);	/* it is extra there: here it becomes what its column alone says, unless that takes it away */
extern void sd_repair_create_trigger(SdRepairItem *item);
extern void sd_repair_alter_trigger(SdRepairItem *item);
extern void sd_repair_create_rule(SdRepairItem *item);
extern void sd_repair_alter_rule(SdRepairItem *item);
extern void sd_repair_create_policy(SdRepairItem *item);
extern void sd_repair_create_type(SdRepairItem *item);
extern void sd_repair_alter_type(SdRepairItem *item);
extern void sd_repair_create_domain(SdRepairItem *item);
extern void sd_repair_alter_domain(SdRepairItem *item);
extern void sd_repair_create_function(SdRepairItem *item);
extern void sd_repair_alter_function(SdRepairItem *item);
extern void sd_repair_create_schema(SdRepairItem *item);
extern void sd_repair_create_extension(SdRepairItem *item);
extern void sd_repair_alter_extension(SdRepairItem *item);
extern void sd_repair_create_statistics(SdRepairItem *item);
extern void sd_repair_alter_statistics(SdRepairItem *item);
extern void sd_repair_create_event_trigger(SdRepairItem *item);
extern void sd_repair_alter_event_trigger(SdRepairItem *item);
extern void sd_repair_create_foreign_data_wrapper(SdRepairItem *item);
extern void sd_repair_alter_foreign_data_wrapper(SdRepairItem *item);
extern void sd_repair_create_server(SdRepairItem *item);
extern void sd_repair_alter_server(SdRepairItem *item);
extern void sd_repair_create_collation(SdRepairItem *item);
extern void sd_repair_create_conversion(SdRepairItem *item);
extern void sd_repair_create_cast(SdRepairItem *item);
extern void sd_repair_create_operator(SdRepairItem *item);
extern void sd_repair_create_language(SdRepairItem *item);
extern void sd_repair_create_transform(SdRepairItem *item);
extern void sd_repair_create_access_method(SdRepairItem *item);
extern void sd_repair_create_ts_dictionary(SdRepairItem *item);
extern void sd_repair_create_ts_configuration(SdRepairItem *item);
extern void sd_repair_create_ts_parser(SdRepairItem *item);
extern void sd_repair_create_ts_template(SdRepairItem *item);

#endif							/* SD_DDL_REPAIR_ITEM_H */
