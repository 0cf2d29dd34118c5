/*
 * routine.h: functions, procedures and aggregates, as they are when a script gets there.
 *
 * The catalogs, and over them what the script made, replaced, altered, renamed and dropped before.
 */
#ifndef SD_ANALYSIS_ROUTINE_H
#define SD_ANALYSIS_ROUTINE_H

#include "compat.h"

#include "catalog/namespace.h"
#include "nodes/parsenodes.h"

#include "analysis/form.h"

/* One that is not as the catalog has it. */
typedef struct SdRoutine
{
	char	   *schema;
	char	   *name;
	char	   *arguments;		/* types of what it takes, as one text; NULL: not known */
	int			n_arguments;	/* -1: any number */
	int			n_defaults;
	char		volatility;		/* PROVOLATILE_... */
	bool		inlined;		/* in SQL: what it contains counts, if that is less volatile */
	bool		gone;
	Oid			oid;			/* of the catalog, which it was or replaces; InvalidOid: made */
	int			cascades;		/* sd_world_cascades() when it was made: it may have gone with a later one */
} SdRoutine;

/* What a call may mean; of all that are called so and take as many arguments. */
typedef struct SdCalled
{
	bool		found;
	bool		by_script;		/* one of them is not as the catalog has it */
	char		worst;			/* the most volatile: PROVOLATILE_... */
	bool		all_mutable;	/* none is IMMUTABLE, nor in SQL */
} SdCalled;

extern void sd_routine_called(SdForm *form, List *names, int n_arguments, SdCalled *called);

/* Does the expression call what the script made or changed, so that the server's own judgement is not to be had? */
extern bool sd_routine_by_script(SdForm *form, Node *expression);

/*
 * The functions that an expression of a table calls: that there are any so called, or sd_form_fails(), and that this table uses them.
 * immutable: what the server says where none of them is IMMUTABLE; NULL: they need not be.  by: the trigger; NULL: something else of the table.
 */
extern void sd_routine_use(SdForm *form, SdThing *table, Node *expression, const char *immutable);
extern void sd_routine_use_constraint(SdForm *form, SdThing *table, const Constraint *constraint);
extern void sd_routine_use_column(SdForm *form, SdThing *table, const ColumnDef *column);
extern void sd_routine_use_by(SdForm *form, SdThing *table, List *names, const char *by);
extern void sd_routine_unuse(SdForm *form, SdThing *table, const char *by);
extern List *sd_routine_users(SdForm *form, const SdRoutine *routine, Oid oid);		/* of SdThing, that are there still */

/* Statements. */
extern void sd_form_function(SdForm *form, CreateFunctionStmt *stmt);
extern void sd_form_alter_function(SdForm *form, AlterFunctionStmt *stmt);
extern void sd_routine_make_aggregate(SdForm *form, List *names);
extern void sd_routine_rename(SdForm *form, ObjectType type, ObjectWithArgs *object, const char *schema, const char *name);

/* Those of a schema go with it; to NULL: it is dropped. */
extern List *sd_routines_in_schema(SdForm *form, const char *schema);	/* of ObjectAddress: those of the catalog that are in it now */
extern void sd_routine_move_schema(SdForm *form, const char *schema, const char *to);

/* As FuncnameGetCandidates() and LookupFuncWithArgs(): what the catalog has, by what its schemas and types are called now. */
extern FuncCandidateList sd_routine_candidates(SdForm *form, List *names, int n_arguments, bool expand);
extern Oid	sd_routine_in_catalog(SdForm *form, ObjectType type, ObjectWithArgs *object);

/*
 * The function that is so called now: *routine, or the Oid of one that is as the catalog has it, or neither.  Dropped: not any more.
 */
extern Oid	sd_routine_resolve(SdForm *form, ObjectType type, ObjectWithArgs *object, SdRoutine **routine);

#endif							/* SD_ANALYSIS_ROUTINE_H */
