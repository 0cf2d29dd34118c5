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

#include "analysis/clause.h"
#include "analysis/rules.h"
#include "analysis/world.h"
#include "paste.h"

/* A relation in its role. */
typedef struct SdCast
{
	SdRuleRole	role;
	SdThing    *thing;
	const char *shown;			/* what it is called when the statement begins */
	bool		alone;			/* partitioned, and what is below it has casts of its own, or is not meant */
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
	uint32		roles;			/* SD_ROLE_BIT()s of these */
	SdColumn   *column;			/* NULL: it is about none */
	SdProbed	probed;
	LOCKMODE	lock;			/* of what it names, whatever the rule says; NoLock: as the rule says */
	bool		lossless;		/* whatever the rule says: nothing is lost */
	bool		harmless;		/* whatever the rule says: does nothing */
	bool		fresh;			/* it is about what the script made itself, which is no relation */
	bool		deterministic;	/* whatever the rule says: the same rows in every region */
	bool		differs;		/* rows: certainly other ones in each region */
	SdRuleAnswer backward;		/* SD_ANSWER_NONE: as the rule says */
	List	   *why;			/* of char *: sentences, what was found */
	List	   *safer;			/* SdInstead, in order; NIL: as the rule says */
	int			command;		/* of ALTER TABLE, from 0: the last one that has this form */
	bool		whole;			/* safer stands for the whole statement, whatever other commands it has */
	int			verdict;		/* SdStepVerdict, when it has been judged; 0 also where it is about what is new */
} SdMatch;

/* A statement to run instead, or lines of comment. */
typedef struct SdInstead
{
	int			command;		/* instead of this one */
	char	   *text;
	char	   *remark;			/* behind it; NULL: none */
} SdInstead;

/* A column of the catalog that the statement drops. */
typedef struct SdDropped
{
	SdThing    *table;
	AttrNumber	number;
	char	   *name;
} SdDropped;

/* What becomes of roles, which the matrix has no rows for; the worse comes later. */
typedef enum SdRolesChange
{
	SD_ROLES_NOT,				/* it is no statement on roles */
	SD_ROLES_SAID,				/* a comment, a label */
	SD_ROLES_GIVEN,				/* a new one, or one that may do more */
	SD_ROLES_ALTERED,			/* somebody may be refused what he was not */
	SD_ROLES_TAKEN
} SdRolesChange;

typedef struct SdForm
{
	SdWorld    *world;
	Node	   *stmt;
	const char *text;			/* of the statement, without comments */
	const SdWords *words;
	char	   *head;			/* of an ALTER TABLE of several commands, "ALTER TABLE t"; NULL: it is none */
	List	   *commands;		/* of char *: these */
	List	   *order;			/* of int: in which order they are done */
	int			command;		/* the one that is looked at, from 0 */
	TimestampTz frozen_at;		/* as for sd_fill_reason() */
	List	   *history;		/* as for sd_history_is() */
	List	   *matches;		/* SdMatch */
	List	   *objects;		/* of char *: what it is about */
	char	   *fails;			/* the server's message where it will fail, and its SQLSTATE; NULL: it will not, as far as is known */
	bool		denied;			/* for want of a right: who runs it may not be who asks, so all else is told, too */
	const char *refused;		/* why the gate will refuse it for the rows that are there: SD004; NULL: it will not */
	const char *refused_hint;
	char	   *unsure;			/* ... where it may, and that is not known */
	List	   *dropped;		/* SdDropped */
	List	   *before;			/* SdInstead: what is better done before a table is dropped */
	char	   *runs;			/* code that is not looked at: "DO", "function f"; NULL: none */
	List	   *takes;			/* of char *: what goes with it that it does not name */
	SdRolesChange roles;
	List	   *roles_why;		/* of char * */
	const char *refused_by_apply;	/* why apply() will not have it in a script, even if it stays local; NULL: it will */
} SdForm;

/* The first word decides which is the primary form; the same rule again adds to the match that is there. */
extern SdMatch *sd_form_match(SdForm *form, const char *rule);
extern void sd_match_cast(SdMatch *match, SdRuleRole role, SdThing *thing);
extern void sd_match_cast_new(SdMatch *match, SdRuleRole role, SdThing *thing);	/* one that is not in it */
extern void sd_match_cast_oids(SdForm *form, SdMatch *match, SdRuleRole role, List *oids);

/* ... with all that is below it in the same role, if it is partitioned */
extern void sd_match_cast_whole(SdForm *form, SdMatch *match, SdRuleRole role, SdThing *thing);
extern void sd_match_why(SdMatch *match, const char *format,...) pg_attribute_printf(2, 3);
extern void sd_match_safer(SdMatch *match, const char *format,...) pg_attribute_printf(2, 3);

/* What is to be known of the statement that sd_match_safer() was given last. */
extern void sd_match_remark(SdMatch *match, const char *format,...) pg_attribute_printf(2, 3);

/* CHECK ... NOT VALID, and what makes it NOT NULL without reading it under a strong lock; columns: of char * */
extern void sd_match_safer_not_null(SdMatch *match, const SdThing *table, List *columns);

/* The statement; of an ALTER TABLE of several commands one with that alone which is looked at. */
extern char *sd_form_part(const SdForm *form);

/*
 * A match on a table: itself, and where the statement goes on to them its partitions or children.  Those of a partitioned
 * table, many of them, are one cast.
 */
extern SdMatch *sd_form_match_table(SdForm *form, const char *rule, SdThing *table, bool recurse);

/* ... where it says ONLY, and the server locks the next below all the same, to tell them that it is their own now. */
extern void sd_match_cast_children(SdForm *form, SdMatch *match, SdThing *table);

extern void sd_form_object(SdForm *form, const char *name);
/* The server would say this; not certain: if it is still as the catalog says.  After code that was not looked at nothing is certain. */
extern void sd_form_fails(SdForm *form, int sqlerrcode, const char *format,...) pg_attribute_printf(3, 4);
extern void sd_form_unsure(SdForm *form, const char *format,...) pg_attribute_printf(2, 3);

/* Relations that a raw query names; of RangeVar. */
extern List *sd_form_relations_in(Node *query);

/* of SdThing: what a view reads, and by way of other views */
extern List *sd_form_sources(SdForm *form, const SdThing *view);

/* ... in the role of tables */
extern void sd_form_cast_query(SdForm *form, SdMatch *match, Node *query);

/* NULL: there is none, which sd_form_fails() was told unless missing_ok. */
extern SdThing *sd_form_relation(SdForm *form, const RangeVar *name, bool missing_ok);
extern SdColumn *sd_form_column(SdForm *form, SdThing *table, const char *name, bool missing_ok);

/*
 * Is it, or one below it, partitioned by the column?  Then sd_form_fails() was told that it cannot be altered, or dropped, as the word is.
 */
extern bool sd_form_in_partition_key(SdForm *form, SdThing *table, const SdColumn *column, const char *what);

/* CREATE INDEX ... as CREATE INDEX CONCURRENTLY ... */
extern char *sd_form_concurrently(const SdWords *words);

/* ---- the families ---- */

extern void sd_form_statement(SdForm *form);	/* each by its kind of statement */

extern void sd_form_alter_table(SdForm *form, AlterTableStmt *stmt);
extern void sd_form_create_table(SdForm *form, CreateStmt *stmt);
extern void sd_form_create_table_as(SdForm *form, IntoClause *into, Node *query, ObjectType type, bool if_not_exists);
extern void sd_form_index(SdForm *form, IndexStmt *stmt);
extern void sd_form_reindex(SdForm *form, ReindexStmt *stmt);
extern void sd_form_drop(SdForm *form, DropStmt *stmt);
extern void sd_form_rename(SdForm *form, RenameStmt *stmt);
extern void sd_form_set_schema(SdForm *form, AlterObjectSchemaStmt *stmt);
extern void sd_form_code(SdForm *form);
extern void sd_form_rows(SdForm *form);
extern void sd_form_run_query(SdForm *form, Node *query);	/* it runs: functions in it may be code that nobody looks into */
extern void sd_form_roles(SdForm *form);	/* what sd_roles_is_statement() says is one on roles */
extern bool sd_form_has_role(SdForm *form, const char *name);
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
/* What a new partition locks of the tables at the other end of foreign keys, by these two rows of the matrix. */
extern SdThing *sd_form_default_of(SdForm *form, const SdThing *parent);	/* its default partition; NULL: none in the catalog */
extern void sd_form_new_partition(SdForm *form, SdThing *parent, const char *referenced, const char *referencing);
extern void sd_form_detach(SdForm *form, SdThing *parent, AlterTableCmd *command);

/* The name of a constraint, its own or the one that the server would choose, quoted.  keys: its columns, of String. */
extern const char *sd_form_constraint_name(SdForm *form, const SdThing *table, const Constraint *constraint, List *keys);

/*
 * UNIQUE and PRIMARY KEY by an index that is built online, as constraint has it; columns that may be null first.  nullable: of char *.
 */
extern void sd_form_advise_unique(SdForm *form, SdThing *table, const Constraint *constraint, List *keys, List *nullable, SdMatch *match);

/* A constraint that the script makes, with its index. */
extern void sd_form_remember(SdForm *form, SdThing *table, const Constraint *constraint, List *keys, bool valid, SdThing *other);

/* Partitions and children that have to be read before a column of the table is NOT NULL in them, too; of Oid. */
extern List *sd_form_nulls_below(SdForm *form, SdThing *table, const SdColumn *column);

/* Tables of this composite type; of SdThing. */
extern List *sd_form_typed_tables(SdForm *form, Oid type);

/* There is none of that name, as far as is known. */
extern void sd_form_no_constraint(SdForm *form, SdThing *table, const char *name);

/* Of an index; NULL: it is not known. */
extern SdThing *sd_form_table_of(SdForm *form, SdThing *index);

/* Triggers, rules and policies.  Is there one of that name?  If certainly not, sd_form_fails() was told unless missing_ok. */
extern bool sd_form_attached(SdForm *form, ObjectType type, const SdThing *table, const char *name, bool missing_ok);
extern void sd_form_make_attached(SdForm *form);
extern void sd_form_drop_attached(SdForm *form, DropStmt *stmt, List *names);
extern void sd_form_rename_attached(SdForm *form, RenameStmt *stmt);

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
extern SdVolatility sd_form_volatility(SdForm *form, Node *expression, Oid type, int32 typmod, char **note);

/* Of functions in a query, by their names alone. */
extern SdVolatility sd_form_query_volatility(SdForm *form, Node *query);

/*
 * Does it certainly give something else in each region, or each time?  Of functions in SQL and procedural languages that is not known: most are
 * volatile because nobody said otherwise.  *doubtful: such a one; NULL: there is none.
 */
extern bool sd_form_query_differs(SdForm *form, Node *query, const char **doubtful);

/* quoted where needed, in one line */
#define sd_quoted(name) sd_paste_identifier(name)

#endif							/* SD_ANALYSIS_FORM_H */
