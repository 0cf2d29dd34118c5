/*
 * form.h: which forms of the compatibility matrix a statement has, and on which relations.
 *
 * One file a family of statements (form_*.c); each says what it found by sd_form_match(), and changes the world as the
 * statement would.  Nothing is judged here: verdict.h.
 */
#ifndef SD_ANALYSIS_FORM_H
#define SD_ANALYSIS_FORM_H

#include "compat.h"

#include "nodes/parsenodes.h"

#include "analysis/rules.h"
#include "analysis/world.h"

/* A relation in its role. */
typedef struct SdCast
{
	SdRuleRole	role;
	SdThing    *thing;
	const char *shown;			/* what it is called when the statement begins */
} SdCast;

/* What was found out about files and scans, instead of what the rule says. */
typedef enum SdProbed
{
	SD_PROBED_NOT,				/* the rule counts */
	SD_PROBED_NOTHING,			/* neither rewritten nor scanned */
	SD_PROBED_SCAN,
	SD_PROBED_INDEXES,			/* indexes built again, and scanned for that */
	SD_PROBED_REWRITE
} SdProbed;

/* A form that the statement has. */
typedef struct SdMatch
{
	const char *rule;
	List	   *casts;			/* SdCast */
	SdColumn   *column;			/* NULL: it is about none */
	SdProbed	probed;
	bool		lossless;		/* whatever the rule says: nothing is lost */
	bool		harmless;		/* whatever the rule says: does nothing */
	bool		deterministic;	/* whatever the rule says: the same rows in every region */
	bool		differs;		/* rows: certainly other ones in each region */
	SdRuleAnswer backward;		/* SD_ANSWER_NONE: as the rule says */
	List	   *why;			/* of char *: sentences, what was found */
	List	   *safer;			/* of char *: statements instead, in order; NIL: as the rule says */
} SdMatch;

/* A column of the catalog that the statement drops. */
typedef struct SdDropped
{
	SdThing    *table;
	AttrNumber	number;
	char	   *name;
} SdDropped;

typedef struct SdForm
{
	SdWorld    *world;
	Node	   *stmt;
	const char *text;			/* of the statement */
	TimestampTz frozen_at;		/* as for sd_fill_reason() */
	List	   *history;		/* as for sd_history_is() */
	List	   *matches;		/* SdMatch */
	List	   *objects;		/* of char *: what it is about */
	char	   *fails;			/* the server's message where it will fail; NULL: it will not, as far as is known */
	const char *refused;		/* why the gate will refuse it for the rows that are there: SD004; NULL: it will not */
	const char *refused_hint;
	char	   *unsure;			/* ... where it may, and that is not known */
	List	   *dropped;		/* SdDropped */
	char	   *runs;			/* code that is not looked at: "DO", "function f"; NULL: none */
	List	   *takes;			/* of char *: what goes with it that it does not name */
} SdForm;

/* The first word decides which is the primary form; the same rule again adds to the match that is there. */
extern SdMatch *sd_form_match(SdForm *form, const char *rule);
extern void sd_match_cast(SdMatch *match, SdRuleRole role, SdThing *thing);
extern void sd_match_cast_oids(SdForm *form, SdMatch *match, SdRuleRole role, List *oids);
extern void sd_match_why(SdMatch *match, const char *format,...) pg_attribute_printf(2, 3);
extern void sd_match_safer(SdMatch *match, const char *format,...) pg_attribute_printf(2, 3);

/*
 * A match on a table: itself, and where the statement goes on to them its partitions or children.  Those of a partitioned
 * table, many of them, are one cast.
 */
extern SdMatch *sd_form_match_table(SdForm *form, const char *rule, SdThing *table, bool recurse);

extern void sd_form_object(SdForm *form, const char *name);
/* The server would say this; not certain: if it is still as the catalog says.  After code that was not looked at nothing is certain. */
extern void sd_form_fails(SdForm *form, const char *format,...) pg_attribute_printf(2, 3);
extern void sd_form_unsure(SdForm *form, const char *format,...) pg_attribute_printf(2, 3);

/* Relations that a raw query names; of RangeVar. */
extern List *sd_form_relations_in(Node *query);

/* NULL: there is none, which sd_form_fails() was told unless missing_ok. */
extern SdThing *sd_form_relation(SdForm *form, const RangeVar *name, bool missing_ok);
extern SdColumn *sd_form_column(SdForm *form, SdThing *table, const char *name, bool missing_ok);

/* CREATE INDEX ... as CREATE INDEX CONCURRENTLY ... */
extern char *sd_form_concurrently(const char *text);

/* ---- the families ---- */

extern void sd_form_alter_table(SdForm *form, AlterTableStmt *stmt);
extern void sd_form_create_table(SdForm *form, CreateStmt *stmt);
extern void sd_form_create_table_as(SdForm *form, IntoClause *into, Node *query, ObjectType type, bool if_not_exists);
extern void sd_form_index(SdForm *form, IndexStmt *stmt);
extern void sd_form_reindex(SdForm *form, ReindexStmt *stmt);
extern void sd_form_drop(SdForm *form, DropStmt *stmt);
extern void sd_form_rename(SdForm *form, RenameStmt *stmt);
extern void sd_form_set_schema(SdForm *form, AlterObjectSchemaStmt *stmt);
extern void sd_form_other(SdForm *form);	/* everything else */

/* When the script is done: a column that stays and stands behind the one that was dropped, which so cannot come back to its place; or NULL. */
extern const char *sd_form_behind(const SdDropped *dropped);

/* parts of ALTER TABLE */
extern void sd_form_add_column(SdForm *form, SdThing *table, AlterTableStmt *stmt, ColumnDef *column, bool if_not_exists);
extern void sd_form_drop_column(SdForm *form, SdThing *table, AlterTableStmt *stmt, AlterTableCmd *command);
extern void sd_form_alter_column(SdForm *form, SdThing *table, AlterTableStmt *stmt, AlterTableCmd *command);
extern void sd_form_alter_type(SdForm *form, SdThing *table, AlterTableStmt *stmt, AlterTableCmd *command);
extern void sd_form_add_constraint(SdForm *form, SdThing *table, AlterTableStmt *stmt, Constraint *constraint);
extern void sd_form_constraint(SdForm *form, SdThing *table, AlterTableStmt *stmt, AlterTableCmd *command);
extern void sd_form_attach(SdForm *form, SdThing *parent, AlterTableCmd *command);
extern void sd_form_detach(SdForm *form, SdThing *parent, AlterTableCmd *command);

/* A constraint that the script makes, with its index. */
extern void sd_form_remember(SdForm *form, SdThing *table, const Constraint *constraint, List *keys, bool valid, SdThing *other);

/* There is none of that name, as far as is known. */
extern void sd_form_no_constraint(SdForm *form, SdThing *table, const char *name);

/* Of an index; NULL: it is not known. */
extern SdThing *sd_form_table_of(SdForm *form, SdThing *index);

/* A trigger, rule or policy of a table, as it is called now; InvalidOid: there is none in the catalog. */
extern const char *sd_form_attached_kind(ObjectType type);
extern Oid sd_form_attached(SdForm *form, ObjectType type, const SdThing *table, const char *name, Oid *class_id);

/* The sequence of a serial or identity column that the script makes. */
extern void sd_form_owned_sequence(SdForm *form, SdThing *table, ColumnDef *column);

extern bool sd_form_is_serial(const TypeName *type);

/* What a view reads, for what becomes of it later in the script. */
extern void sd_form_remember_query(SdForm *form, SdThing *view, Node *query);

/* The name that the server would choose for an index or a constraint; columns: of char *, or NIL. */
extern char *sd_form_chosen_name(SdForm *form, const SdThing *table, List *columns, const char *label);

/*
 * A type, as its name is understood at this point of the script.  InvalidOid: there is none, or *made, which may be NULL: it is the
 * script's own.
 */
extern Oid sd_form_type(SdForm *form, const TypeName *name, int32 *typmod, bool *made);

/* How far the values of an expression can differ: from row to row, from run to run. */
typedef enum SdVolatility
{
	SD_VALUES_CONSTANT,
	SD_VALUES_STABLE,			/* one for all rows, another for each run */
	SD_VALUES_VOLATILE			/* or not known */
} SdVolatility;

/* Of a raw DEFAULT of a column of this type; *note: why it is not known, NULL otherwise. */
extern SdVolatility sd_form_volatility(Node *expression, Oid type, int32 typmod, char **note);

/* Of functions in a query, by their names alone. */
extern SdVolatility sd_form_query_volatility(Node *query);

/*
 * Does it certainly give something else in each region, or each time?  Of functions in SQL and procedural languages that is not known: most are
 * volatile because nobody said otherwise.  *doubtful: such a one; NULL: there is none.
 */
extern bool sd_form_query_differs(Node *query, const char **doubtful);

/* "app.t" quoted where needed; a column */
#define sd_quoted(name) quote_identifier(name)

#endif							/* SD_ANALYSIS_FORM_H */
