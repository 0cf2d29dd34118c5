/*
 * form_table.c: CREATE TABLE and ALTER TABLE, of which other files have the parts.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "access/reloptions.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "commands/tablespace.h"
#include "catalog/index.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "analysis/form.h"
#include "analysis/heirs.h"
#include "analysis/routine.h"
#include "analysis/type.h"
#include "attempt.h"
#include "ddl/fill.h"

/* ---- ALTER TABLE ---- */

static bool
names_option(AlterTableCmd *command, const char *name)
{
	ListCell   *cell;

	foreach(cell, (List *) command->def)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, name) == 0)
			return true;
	}
	return false;
}

static char
persistence_of(Oid oid)
{
	return OidIsValid(oid) ? get_rel_persistence(oid) : RELPERSISTENCE_PERMANENT;
}

static void
set_persistence(SdForm *form, SdThing *table, char wanted)
{
	SdMatch    *match = sd_form_match_table(form, wanted == RELPERSISTENCE_UNLOGGED ? "G8" : "G9", table, false);

	if (!table->made && persistence_of(table->oid) == wanted)
	{
		match->probed = SD_PROBED_NOTHING;
		sd_match_why(match, "It is so already.");
	}
	else
		sd_match_cast_oids(form, match, SD_ROLE_SEQUENCE, sd_fact_owned_sequences(table->oid, 0));
}

static Oid
column_of_class(Oid oid, bool tablespace)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	Oid			value = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		value = tablespace ? form->reltablespace : form->relam;
		ReleaseSysCache(tuple);
	}
	return value;
}

static void
set_access_method(SdForm *form, SdThing *table, AlterTableCmd *command)
{
	SdMatch    *match = sd_form_match_table(form, "G10", table, false);
	Oid			wanted = command->name ? get_table_am_oid(command->name, true) : InvalidOid;

	if (command->name && !OidIsValid(wanted))
		sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "access method \"%s\" does not exist", command->name);
	match->probed = !table->made && column_of_class(table->oid, false) == wanted ? SD_PROBED_NOTHING : SD_PROBED_REWRITE;
}

static void
set_tablespace(SdForm *form, SdThing *table, AlterTableCmd *command)
{
	SdMatch    *match = sd_form_match_table(form, "G11", table, false);

	Oid			wanted = get_tablespace_oid(command->name, true);

	if (!OidIsValid(wanted))
		sd_form_fails(form, ERRCODE_UNDEFINED_OBJECT, "tablespace \"%s\" does not exist", command->name);
	/* none is written for the database's own */
	if (!table->made && column_of_class(table->oid, true) == (wanted == MyDatabaseTableSpace ? InvalidOid : wanted))
		match->probed = SD_PROBED_NOTHING;
}

static void
set_identity(SdForm *form, SdThing *table, AlterTableCmd *command)
{
	ReplicaIdentityStmt *identity = castNode(ReplicaIdentityStmt, command->def);
	SdMatch    *match;

	switch (identity->identity_type)
	{
		case REPLICA_IDENTITY_FULL:
			sd_form_match_table(form, "G15", table, false);
			break;
		case REPLICA_IDENTITY_NOTHING:
			sd_form_match_table(form, "G17", table, false);
			break;
		default:
			match = sd_form_match_table(form, "G16", table, false);
			sd_match_safer(match, "ALTER TABLE %s REPLICA IDENTITY FULL", table->shown);
			sd_match_remark(match, "in all regions first, and until rows under way have arrived");
			sd_match_safer(match, "%s", sd_form_part(form));
			break;
	}
}

static void
inherit(SdForm *form, SdThing *table, AlterTableCmd *command)
{
	SdThing    *parent = sd_form_relation(form, castNode(RangeVar, command->def), false);
	SdMatch    *match = sd_form_match(form, "G19");

	sd_match_cast(match, SD_ROLE_CHILD, table);
	sd_match_cast(match, SD_ROLE_PARENT, parent);
	if (parent == NULL)
		return;
	if (command->subtype == AT_AddInherit)
		sd_heirs_join(form, parent, table);
	else
		sd_heirs_leave(parent, table);
}

/* What an attribute becomes, the column of a table of that type does. */
static void
alter_typed(SdForm *form, SdThing *type, SdThing *table, AlterTableStmt *stmt, AlterTableCmd *command)
{
	if (command->behavior != DROP_CASCADE)
	{
		sd_form_fails(form, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, "cannot alter type \"%s\" because it is the type of a typed table", type->name);
		return;
	}
	switch (command->subtype)
	{
		case AT_AddColumn:
			sd_form_add_column(form, table, stmt, castNode(ColumnDef, command->def), false);
			break;
		case AT_DropColumn:
			sd_form_drop_column(form, table, stmt, command);
			break;
		case AT_AlterColumnType:
			sd_form_alter_type(form, table, stmt, command);
			break;
		default:
			break;
	}
}

static void
alter_composite(SdForm *form, SdThing *thing, AlterTableStmt *stmt, AlterTableCmd *command)
{
	List	   *users = thing->made ? NIL : sd_fact_type_users(get_rel_type_id(thing->oid));
	List	   *typed = thing->made ? NIL : sd_form_typed_tables(form, get_rel_type_id(thing->oid));
	AlterTableStmt *down;
	SdMatch    *match;
	ListCell   *cell;

	if (command->subtype == AT_AlterColumnType && users != NIL)
	{
		sd_form_match(form, "I8");
		sd_form_fails(form, ERRCODE_FEATURE_NOT_SUPPORTED, "cannot alter type \"%s\" because column of a table uses it", thing->name);
		return;
	}
	if (users != NIL || typed == NIL || command->subtype == AT_ChangeOwner)
	{
		match = sd_form_match(form, "I7");
		match->harmless = users == NIL;
		sd_match_cast_oids(form, match, SD_ROLE_TABLE, users);
	}
	if (command->subtype == AT_ChangeOwner)
		return;
	/* the grammar says ONLY of a type; the server goes on to children of its tables */
	down = copyObject(stmt);
	down->relation->inh = true;
	foreach(cell, typed)
		alter_typed(form, thing, lfirst(cell), down, command);
}

List *
sd_form_typed_tables(SdForm *form, Oid type)
{
	List	   *tables = NIL;
	ListCell   *cell;

	foreach(cell, sd_fact_typed_tables(type))
	{
		SdThing    *table = sd_world_of(form->world, lfirst_oid(cell));

		if (table && !table->gone && !table->untyped)
			tables = lappend(tables, table);
	}
	return tables;
}

/* relations other than tables go through ALTER TABLE, too */
static bool
alter_other(SdForm *form, SdThing *thing, AlterTableStmt *stmt, AlterTableCmd *command)
{
	SdMatch    *match;

	switch (thing->kind)
	{
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			if (command->subtype == AT_AttachPartition)
				match = sd_form_match(form, "F8");
			else
				match = sd_form_match(form, command->subtype == AT_SetTableSpace ? "G11" : "F17");
			/* some options of some kinds of indexes are changed with every reader away */
			if (command->subtype == AT_SetRelOptions || command->subtype == AT_ResetRelOptions)
				match->lock = Max(match->lock, AlterTableGetRelOptionsLockLevel((List *) command->def));
			sd_match_cast(match, SD_ROLE_INDEX, thing);
			if (command->subtype == AT_SetTableSpace)
				sd_match_cast(match, SD_ROLE_TABLE, thing);
			if (command->subtype == AT_AttachPartition && OidIsValid(thing->oid))
				sd_match_cast_oids(form, match, SD_ROLE_PARENT, list_make1_oid(IndexGetRelation(thing->oid, true)));
			return true;
		case RELKIND_VIEW:
			sd_match_cast(sd_form_match(form, "J5"), SD_ROLE_VIEW, thing);
			return true;
		case RELKIND_SEQUENCE:
			match = sd_form_match(form, command->subtype == AT_ChangeOwner ? "G14" : "K2");
			if (command->subtype == AT_SetLogged || command->subtype == AT_SetUnLogged)
				match->lock = AccessExclusiveLock;
			sd_match_cast(match, SD_ROLE_SEQUENCE, thing);
			return true;
		case RELKIND_COMPOSITE_TYPE:
			alter_composite(form, thing, stmt, command);
			return true;
		default:
			return false;
	}
}

/* What it names that is no relation and no column. */
static void
look_at_names(SdForm *form, SdThing *table, AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_AddColumn:
			/* where the column is there already nobody looks */
			if (!command->missing_ok)
				sd_routine_use_column(form, table, castNode(ColumnDef, command->def));
			break;
		case AT_ColumnDefault:
			sd_routine_use(form, table, command->def, NULL);
			break;
		case AT_AddConstraint:
			sd_routine_use_constraint(form, table, castNode(Constraint, command->def));
			break;
		case AT_EnableTrig:
		case AT_DisableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
			(void) sd_form_attached(form, OBJECT_TRIGGER, table, command->name, false);
			break;
		case AT_EnableRule:
		case AT_DisableRule:
		case AT_EnableAlwaysRule:
		case AT_EnableReplicaRule:
			(void) sd_form_attached(form, OBJECT_RULE, table, command->name, false);
			break;
		default:
			break;
	}
}

static void
alter(SdForm *form, SdThing *table, AlterTableStmt *stmt, AlterTableCmd *command)
{
	bool		recurse = stmt->relation->inh;

	if (alter_other(form, table, stmt, command))
		return;
	look_at_names(form, table, command);
	switch (command->subtype)
	{
		case AT_AddColumn:
			sd_form_add_column(form, table, stmt, castNode(ColumnDef, command->def), command->missing_ok);
			break;
		case AT_DropColumn:
			sd_form_drop_column(form, table, stmt, command);
			break;
		case AT_AlterColumnType:
			sd_form_alter_type(form, table, stmt, command);
			break;
		case AT_ColumnDefault:
		case AT_SetNotNull:
		case AT_DropNotNull:
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
		case AT_AddIdentity:
		case AT_SetIdentity:
		case AT_DropIdentity:
		case AT_DropExpression:
			sd_form_alter_column(form, table, stmt, command);
			break;
		case AT_AddConstraint:
		case AT_AddIndexConstraint:
		case AT_DropConstraint:
		case AT_ValidateConstraint:
		case AT_AlterConstraint:
			sd_form_constraint(form, table, stmt, command);
			break;
		case AT_AttachPartition:
			sd_form_attach(form, table, command);
			break;
		case AT_DetachPartition:
		case AT_DetachPartitionFinalize:
			sd_form_detach(form, table, command);
			break;
		case AT_SetLogged:
			set_persistence(form, table, RELPERSISTENCE_PERMANENT);
			break;
		case AT_SetUnLogged:
			set_persistence(form, table, RELPERSISTENCE_UNLOGGED);
			break;
		case AT_SetAccessMethod:
			set_access_method(form, table, command);
			break;
		case AT_SetTableSpace:
			set_tablespace(form, table, command);
			break;
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
		case AT_ReplaceRelOptions:
			sd_form_match_table(form, names_option(command, "user_catalog_table") ? "G13" : "G12", table, false);
			break;
		case AT_ChangeOwner:
			sd_match_cast_oids(form, sd_form_match_table(form, "G14", table, false), SD_ROLE_SEQUENCE,
							   sd_fact_owned_sequences(table->oid, 0));
			break;
		case AT_ReplicaIdentity:
			set_identity(form, table, command);
			break;
		case AT_ClusterOn:
		case AT_DropCluster:
			sd_form_match_table(form, "G18", table, false);
			break;
		case AT_AddInherit:
		case AT_DropInherit:
			inherit(form, table, command);
			break;
		case AT_AddOf:
		case AT_DropOf:
			sd_form_match_table(form, "G20", table, false);
			table->untyped |= command->subtype == AT_DropOf;
			break;
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
			sd_form_match_table(form, "J13", table, recurse && table->kind == RELKIND_PARTITIONED_TABLE);
			break;
		case AT_EnableTrig:
		case AT_DisableTrig:
		case AT_EnableTrigAll:
		case AT_DisableTrigAll:
		case AT_EnableTrigUser:
		case AT_DisableTrigUser:
			sd_form_match_table(form, "J17", table, recurse && table->kind == RELKIND_PARTITIONED_TABLE);
			break;
		case AT_EnableRule:
		case AT_EnableAlwaysRule:
		case AT_EnableReplicaRule:
		case AT_DisableRule:
			sd_form_match_table(form, "J18", table, false);
			break;
		case AT_EnableRowSecurity:
		case AT_DisableRowSecurity:
			sd_form_match_table(form, "J19", table, false);
			break;
		case AT_ForceRowSecurity:
		case AT_NoForceRowSecurity:
			sd_form_match_table(form, "J20", table, false);
			break;
		default:
			if (SD_COMPAT_AT_SET_EXPRESSION(command->subtype))
				sd_form_alter_column(form, table, stmt, command);
			break;
	}
}

typedef struct Filling
{
	SdForm	   *form;
	SdThing    *table;
	const char *reason;
	const char *hint;
	SdHasRows	rows;
	bool		always;			/* whatever rows there are */
	bool		frozen;			/* it is the same everywhere only because the time is frozen */
} Filling;

static void
look_at_filling(void *arg)
{
	Filling    *filling = arg;
	SdThing    *table = filling->table;
	SdForm	   *form = filling->form;
	SdHasRows	rows = table->filled;
	bool		always;
	const char *hint;

	filling->rows = table->filled;
	filling->reason = sd_fill_foreseen(form->stmt, table->oid, table->shown, &filling->rows, form->frozen_at,
									   &filling->always, &filling->hint);
	filling->frozen = filling->reason == NULL && form->frozen_at != 0 &&
		sd_fill_foreseen(form->stmt, table->oid, table->shown, &rows, 0, &always, &hint) != NULL;
}

/* The server's own judgement of what the script made or changed is not to be had yet. */
static bool
fills_by_script(SdForm *form)
{
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, castNode(AlterTableStmt, form->stmt)->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype != AT_AddColumn)
			continue;
		foreach(inner, castNode(ColumnDef, command->def)->constraints)
		{
			if (sd_routine_by_script(form, lfirst_node(Constraint, inner)->raw_expr))
				return true;
		}
	}
	return false;
}

/*
 * Values that each region would compute for itself, for rows that are there: the gate refuses that.  An attempt, as a type or function may be
 * the script's own: then the matrix speaks.
 */
static void
fill(SdForm *form, SdThing *table)
{
	Filling		filling = {.form = form,.table = table};
	ListCell   *cell;

	if (table->emptied || table->temporary || form->fails || fills_by_script(form))
		return;
	if (sd_attempt(look_at_filling, &filling, false) != NULL)
		return;
	if (filling.rows == SD_HAS_SOME || filling.always)
	{
		form->refused = filling.reason;
		form->refused_hint = filling.hint;
	}
	else if (filling.reason && form->matches != NIL)
		sd_match_why(linitial(form->matches), "%s Then it is refused (SD004). %s", filling.reason, filling.hint);
	if (!filling.frozen)
		return;
	foreach(cell, form->matches)
	{
		SdMatch    *match = lfirst(cell);

		if (strcmp(match->rule, "A4") != 0)
			continue;
		match->deterministic = true;
		match->why = list_make1("The time is frozen: the rows that are there get one value in all regions.");
	}
}

#define LAST_PASS 3

static int
pass_of(const AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_DropColumn:
		case AT_DropConstraint:
		case AT_DropNotNull:
		case AT_DropIdentity:
		case AT_DropExpression:
			return 0;
		case AT_ColumnDefault:
			return command->def ? LAST_PASS : 0;
		case AT_AlterColumnType:
			return 1;
		case AT_AddColumn:
			return 2;
		default:
			return LAST_PASS;
	}
}

void
sd_form_alter_table(SdForm *form, AlterTableStmt *stmt)
{
	SdThing    *table = sd_form_relation(form, stmt->relation, stmt->missing_ok);
	ListCell   *cell;

	if (table == NULL)
	{
		if (stmt->missing_ok)
			sd_form_match(form, "B20")->harmless = true;
		return;
	}
	form->commands = sd_words_commands(form->words, stmt, &form->head);
	if (form->commands == NIL)
		form->head = NULL;
	/* as the server does it: what goes, then types, then new columns, then the rest */
	for (int pass = 0; pass <= LAST_PASS; pass++)
	{
		foreach(cell, stmt->cmds)
		{
			AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

			if (pass_of(command) != pass)
				continue;
			form->command = foreach_current_index(cell);
			form->order = lappend_int(form->order, form->command);
			alter(form, table, stmt, command);
		}
	}
	if (stmt->objtype == OBJECT_TABLE || stmt->objtype == OBJECT_MATVIEW)
		fill(form, table);
}

/* ---- CREATE TABLE ---- */

static void
reference(SdForm *form, SdThing *made, Constraint *constraint, ColumnDef *column)
{
	List	   *own = column ? list_make1(makeString(column->colname)) : NIL;
	SdThing    *other;

	switch (constraint->contype)
	{
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
			sd_form_remember(form, made, constraint, own ? own : constraint->keys, true, NULL);
			return;
		case CONSTR_EXCLUSION:
		case CONSTR_CHECK:
			sd_form_remember(form, made, constraint, NIL, true, NULL);
			return;
		case CONSTR_FOREIGN:
			break;
		default:
			return;
	}
	other = sd_world_find(form->world, constraint->pktable);
	sd_form_remember(form, made, constraint, own ? own : constraint->fk_attrs, true, other);
	if (other == NULL)
		sd_form_fails(form, ERRCODE_UNDEFINED_TABLE, "relation \"%s\" does not exist", constraint->pktable->relname);
	else if (other != made)
	{
		SdMatch    *match = sd_form_match(form, "G2");

		sd_match_cast(match, SD_ROLE_TABLE, made);
		sd_match_cast_whole(form, match, SD_ROLE_REFERENCED, other);
	}
}

static void
elements(SdForm *form, SdThing *made, List *table_elements)
{
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, table_elements)
	{
		Node	   *element = lfirst(cell);

		if (IsA(element, Constraint))
			reference(form, made, (Constraint *) element, NULL);
		else if (IsA(element, TableLikeClause))
		{
			/* indexes, sequences */
			if (((TableLikeClause *) element)->options & (CREATE_TABLE_LIKE_INDEXES | CREATE_TABLE_LIKE_IDENTITY))
				sd_world_choose(form->world, made);
		}
		else if (IsA(element, ColumnDef))
		{
			sd_form_owned_sequence(form, made, (ColumnDef *) element);
			foreach(inner, ((ColumnDef *) element)->constraints)
				reference(form, made, lfirst_node(Constraint, inner), (ColumnDef *) element);
		}
	}
}

static void
remember_columns(SdThing *made, List *table_elements)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(made));
	ListCell   *cell;

	foreach(cell, table_elements)
	{
		if (IsA(lfirst(cell), ColumnDef))
			made->defined = lappend(made->defined, pstrdup(lfirst_node(ColumnDef, cell)->colname));
	}
	MemoryContextSwitchTo(old);
}

static void
partition_of(SdForm *form, SdThing *made, CreateStmt *stmt)
{
	SdThing    *parent = sd_form_relation(form, linitial_node(RangeVar, stmt->inhRelations), false);
	SdMatch    *match;
	Oid			default_oid;

	if (parent == NULL)
		return;
	if (parent->kind != RELKIND_PARTITIONED_TABLE)
		sd_form_fails(form, ERRCODE_INVALID_OBJECT_DEFINITION, "\"%s\" is not partitioned", parent->name);
	made->parent = parent;
	sd_heirs_join(form, parent, made);
	sd_world_choose(form->world, made);
	default_oid = parent->made ? InvalidOid : get_default_partition_oid(parent->oid);
	match = sd_form_match(form, OidIsValid(default_oid) ? "H2" : "H1");
	sd_match_cast(match, SD_ROLE_PARENT, parent);
	sd_match_cast(match, SD_ROLE_PARTITION, made);
	if (OidIsValid(default_oid))
		sd_match_cast_whole(form, match, SD_ROLE_DEFAULT, sd_world_of(form->world, default_oid));
	sd_form_new_partition(form, parent, "H17", "H22");
	sd_match_safer(match, "CREATE TABLE %s (LIKE %s INCLUDING ALL)", made->shown, parent->shown);
	if (OidIsValid(default_oid))
		sd_match_safer(match, "-- a CHECK on the default partition that excludes these bounds, NOT VALID, then VALIDATE: it is not scanned then");
	sd_match_safer(match, "ALTER TABLE %s ATTACH PARTITION %s <the bounds>", parent->shown, made->shown);
}

void
sd_form_create_table(SdForm *form, CreateStmt *stmt)
{
	RangeVar   *name = stmt->relation;
	RangeVar   *there = makeRangeVar(name->schemaname, name->relname, -1);
	SdThing    *known;
	SdThing    *made;
	ListCell   *cell;
	char	   *shown = sd_world_shown(form->world, name);

	sd_form_object(form, shown);
	/* not anywhere in search_path: where it would be made */
	known = sd_world_find(form->world, there);
	if (known && strcmp(known->shown, shown) == 0)
	{
		if (stmt->if_not_exists)
		{
			SdMatch    *match = sd_form_match(form, "G3");

			sd_match_cast(match, SD_ROLE_TABLE, known);
			match->harmless = true;
		}
		else
			sd_form_fails(form, ERRCODE_DUPLICATE_TABLE, "relation \"%s\" already exists", name->relname);
		return;
	}
	if (name->schemaname && !sd_world_has_schema(form->world, name->schemaname))
		sd_form_fails(form, ERRCODE_UNDEFINED_SCHEMA, "schema \"%s\" does not exist", name->schemaname);
	for (int i = 0; i < list_length(stmt->tableElts); i++)
	{
		for (int k = 0; k < i; k++)
		{
			ColumnDef  *column = list_nth(stmt->tableElts, i);
			ColumnDef  *other = list_nth(stmt->tableElts, k);

			if (IsA(column, ColumnDef) && IsA(other, ColumnDef) && strcmp(column->colname, other->colname) == 0)
				sd_form_fails(form, ERRCODE_DUPLICATE_COLUMN, "column \"%s\" specified more than once", column->colname);
		}
	}
	made = sd_world_make(form->world, name, IsA(stmt, CreateForeignTableStmt) ? RELKIND_FOREIGN_TABLE :
						 stmt->partspec ? RELKIND_PARTITIONED_TABLE : RELKIND_RELATION);
	remember_columns(made, stmt->tableElts);
	elements(form, made, stmt->tableElts);
	foreach(cell, stmt->tableElts)
	{
		if (IsA(lfirst(cell), ColumnDef))
		{
			sd_type_must_exist(form, lfirst_node(ColumnDef, cell)->typeName);
			sd_routine_use_column(form, made, lfirst(cell));
		}
		else if (IsA(lfirst(cell), Constraint))
			sd_routine_use_constraint(form, made, lfirst(cell));
	}
	if (stmt->partbound)
		partition_of(form, made, stmt);
	else
	{
		foreach(cell, stmt->inhRelations)
		{
			SdThing    *parent = sd_form_relation(form, lfirst_node(RangeVar, cell), false);
			SdMatch    *match = sd_form_match(form, "G5");

			sd_match_cast(match, SD_ROLE_TABLE, made);
			sd_match_cast(match, SD_ROLE_PARENT, parent);
			if (parent)
				sd_heirs_join(form, parent, made);
		}
	}
	if (form->matches == NIL)
		sd_match_cast(sd_form_match(form, "G1"), SD_ROLE_TABLE, made);
}

void
sd_form_create_table_as(SdForm *form, IntoClause *into, Node *query, ObjectType type, bool if_not_exists)
{
	RangeVar   *name = into->rel;
	char	   *shown = sd_world_shown(form->world, name);
	SdThing    *known = sd_world_find(form->world, makeRangeVar(name->schemaname, name->relname, -1));
	SdMatch    *match;
	SdThing    *made;
	ListCell   *cell;
	ListCell   *inner;

	sd_form_object(form, shown);
	if (known && strcmp(known->shown, shown) == 0)
	{
		if (if_not_exists)
			sd_form_match(form, "G3")->harmless = true;
		else
			sd_form_fails(form, ERRCODE_DUPLICATE_TABLE, "relation \"%s\" already exists", name->relname);
		return;
	}
	match = sd_form_match(form, type == OBJECT_MATVIEW ? "J6" : into->skipData ? "G1" : "G4");
	foreach(cell, sd_form_relations_in(query))
	{
		SdThing    *source = sd_world_find(form->world, lfirst_node(RangeVar, cell));

		if (source == NULL || strcmp(match->rule, "G1") == 0)
			continue;
		sd_match_cast(match, SD_ROLE_TABLE, source);
		foreach(inner, source->kind == RELKIND_VIEW ? sd_form_sources(form, source) : NIL)
			sd_match_cast(match, SD_ROLE_TABLE, lfirst(inner));
	}
	if (into->skipData)
		match->probed = SD_PROBED_NOTHING;
	else
		sd_form_run_query(form, query);
	made = sd_world_make(form->world, name, type == OBJECT_MATVIEW ? RELKIND_MATVIEW : RELKIND_RELATION);
	made->filled = into->skipData ? SD_HAS_NONE : SD_HAS_PERHAPS;
	if (type == OBJECT_MATVIEW)
		sd_form_remember_query(form, made, query);
	if (match->rule[0] == 'G' && match->rule[1] == '4')
	{
		sd_match_safer(match, "CREATE TABLE %s AS <the query> WITH NO DATA", shown);
		sd_match_safer(match, "-- then fill it in ONE region, if replication takes its rows to the others; else in each\n"
					   "INSERT INTO %s <the query>", shown);
	}
}
