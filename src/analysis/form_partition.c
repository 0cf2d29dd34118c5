/*
 * form_partition.c: ALTER TABLE ... ATTACH and DETACH PARTITION.
 *
 * Runs in a backend.  For ATTACH takes ACCESS SHARE on the parent and the table for a moment, if it can at once.
 */
#include "compat.h"

#include "access/attmap.h"
#include "access/relation.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_utilcmd.h"
#include "partitioning/partbounds.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/heirs.h"
#include "analysis/routine.h"
#include "attempt.h"

typedef struct Proof
{
	Oid			parent_oid;
	Oid			partition_oid;
	Oid			default_oid;
	PartitionBoundSpec *bound;
	bool		looked;
	bool		evaluated;		/* the bound is there, without any code but IMMUTABLE one having run */
	bool		partition;		/* its constraints say that all of its rows belong there */
	bool		whole_default;	/* those of the default partition say that none of its rows do */
	bool		check_but_null;	/* but for nulls in the key */
} Proof;

/* Is a value constant once it is planned?  Any other the server would evaluate, volatile or not, and the CHECK of a domain with it. */
static bool
is_constant(ParseState *pstate, PartitionKey key, int column, Node *value)
{
	Oid			type = get_partition_col_typid(key, column);

	/* MINVALUE and MAXVALUE */
	if (IsA(value, ColumnRef))
		return true;
	value = transformExpr(pstate, copyObject(value), EXPR_KIND_PARTITION_BOUND);
	value = coerce_to_target_type(pstate, value, exprType(value), type, get_partition_col_typmod(key, column), COERCION_ASSIGNMENT,
								  COERCE_IMPLICIT_CAST, -1);
	if (value == NULL)
		return true;
	assign_expr_collations(pstate, value);
	return IsA(expression_planner((Expr *) value), Const);
}

/* As many as the key has columns: others are refused before they are evaluated. */
static bool
are_constant(ParseState *pstate, PartitionKey key, List *values, bool each_a_column)
{
	int			column = 0;
	ListCell   *cell;

	foreach(cell, values)
	{
		if (column >= get_partition_natts(key))
			break;
		if (!is_constant(pstate, key, column, lfirst(cell)))
			return false;
		if (each_a_column)
			column++;
	}
	return true;
}

static bool
is_constant_bound(ParseState *pstate, PartitionKey key, const PartitionBoundSpec *bound)
{
	return are_constant(pstate, key, bound->listdatums, false) && are_constant(pstate, key, bound->lowerdatums, true) &&
		are_constant(pstate, key, bound->upperdatums, true);
}

/* an attempt: bounds may be wrong in many ways */
static void
look_for_proof(void *arg)
{
	Proof	   *proof = arg;
	Relation	parent = sd_fact_open(proof->parent_oid);
	Relation	partition = sd_fact_open(proof->partition_oid);
	PartitionBoundSpec *bound;
	ParseState *pstate = make_parsestate(NULL);
	List	   *constraint;

	pstate->p_sourcetext = "";
	proof->looked = parent && partition && RelationGetPartitionKey(parent);
	if (proof->looked)
		proof->evaluated = is_constant_bound(pstate, RelationGetPartitionKey(parent), proof->bound);
	if (proof->evaluated)
	{
		bound = transformPartitionBound(pstate, parent, copyObject(proof->bound));
		constraint = list_concat(get_qual_from_partbound(parent, bound), RelationGetPartitionQual(parent));
		constraint = (List *) eval_const_expressions(NULL, (Node *) constraint);
		constraint = (List *) canonicalize_qual((Expr *) constraint, false);
		constraint = list_make1(make_ands_explicit(constraint));
		proof->partition = PartConstraintImpliedByRelConstraint(partition,
																map_partition_varattnos(copyObject(constraint), 1, partition, parent));
		if (!proof->partition)
		{
			List	   *without_nulls = NIL;
			ListCell   *cell;

			/* would it, if the key could not be null? */
			foreach(cell, make_ands_implicit(linitial(constraint)))
			{
				if (!IsA(lfirst(cell), NullTest))
					without_nulls = lappend(without_nulls, lfirst(cell));
			}
			proof->check_but_null = without_nulls != NIL &&
				PartConstraintImpliedByRelConstraint(partition, map_partition_varattnos(without_nulls, 1, partition, parent));
		}
		if (OidIsValid(proof->default_oid))
		{
			Relation	other = sd_fact_open(proof->default_oid);

			if (other)
			{
				proof->whole_default = PartConstraintImpliedByRelConstraint(other,
																			map_partition_varattnos(get_proposed_default_constraint(constraint), 1, other, parent));
				relation_close(other, AccessShareLock);
			}
		}
	}
	if (partition)
		relation_close(partition, AccessShareLock);
	if (parent)
		relation_close(parent, AccessShareLock);
	free_parsestate(pstate);
}

static bool
by_script(SdForm *form, const PartitionBoundSpec *bound)
{
	return sd_routine_by_script(form, (Node *) bound->listdatums) || sd_routine_by_script(form, (Node *) bound->lowerdatums) ||
		sd_routine_by_script(form, (Node *) bound->upperdatums);
}

/* ---- indexes and foreign keys ---- */

/* What the partition gets of its parent, as it has no equal of its own. */
typedef struct Lacking
{
	SdForm	   *form;
	SdThing    *parent;
	SdThing    *partition;
	List	   *indexes;		/* of char *: the parent's */
	List	   *equal;			/* of Oid: the parent's foreign keys that it has */
} Lacking;

/* An index of the catalog. */
typedef struct Known
{
	Relation	relation;
	IndexInfo  *info;
	Oid			constraint;
	bool		taken;			/* by an index of the parent */
} Known;

static List *
known_indexes(SdForm *form, Relation table, bool whatever)
{
	List	   *known = NIL;
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(table))
	{
		Known	   *index;

		if (sd_follow_is_gone(form->world, RelationRelationId, lfirst_oid(cell)))
			continue;
		/* attached to another parent's it is not free */
		if (!whatever && get_rel_relispartition(lfirst_oid(cell)))
			continue;
		index = palloc0(sizeof(Known));
		index->relation = sd_fact_open(lfirst_oid(cell));
		if (index->relation == NULL)
			continue;
		index->info = BuildIndexInfo(index->relation);
		index->constraint = get_relation_idx_constraint_oid(RelationGetRelid(table), lfirst_oid(cell));
		known = lappend(known, index);
	}
	return known;
}

static void
close_indexes(List *known)
{
	ListCell   *cell;

	foreach(cell, known)
		relation_close(((Known *) lfirst(cell))->relation, AccessShareLock);
}

/* of char *: those of its columns that are plain ones */
static List *
plain_columns(Oid table, const IndexInfo *info)
{
	List	   *names = NIL;

	for (int i = 0; i < info->ii_NumIndexKeyAttrs; i++)
	{
		if (info->ii_IndexAttrNumbers[i] > 0)
			names = lappend(names, get_attname(table, info->ii_IndexAttrNumbers[i], true));
	}
	return names;
}

static bool
same_names(List *a, List *b)
{
	ListCell   *x;
	ListCell   *y;

	if (list_length(a) != list_length(b))
		return false;
	forboth(x, a, y, b)
	{
		if (strcmp(lfirst(x), lfirst(y)) != 0)
			return false;
	}
	return true;
}

/* Of those that the script made little more is known than the columns. */
static bool
is_made(Lacking *lacking, List *columns, bool by_constraint)
{
	ListCell   *cell;

	if (by_constraint)
	{
		foreach(cell, lacking->partition->constraints)
		{
			SdConstraint *constraint = lfirst(cell);

			if (!constraint->gone && (constraint->type == CONSTRAINT_PRIMARY || constraint->type == CONSTRAINT_UNIQUE) &&
				same_names(constraint->columns, columns))
				return true;
		}
		return false;
	}
	foreach(cell, sd_world_made_indexes(lacking->form->world, lacking->partition))
	{
		if (same_names(((SdThing *) lfirst(cell))->over, columns))
			return true;
	}
	return false;
}

static bool
has_equal(Known *index, List *own, AttrMap *columns)
{
	ListCell   *cell;

	foreach(cell, own)
	{
		Known	   *other = lfirst(cell);

		/* that of a constraint is one only to that of a constraint */
		if (other->taken || (OidIsValid(index->constraint) && !OidIsValid(other->constraint)))
			continue;
		if (!CompareIndexInfo(other->info, index->info, other->relation->rd_indcollation, index->relation->rd_indcollation,
							  other->relation->rd_opfamily, index->relation->rd_opfamily, columns))
			continue;
		other->taken = true;
		return true;
	}
	return false;
}

static void
look_for_indexes(Lacking *lacking, Relation parent, Relation partition)
{
	List	   *theirs = known_indexes(lacking->form, parent, true);
	List	   *own = known_indexes(lacking->form, partition, false);
	AttrMap    *columns = theirs ? sd_compat_columns_by_name(RelationGetDescr(partition), RelationGetDescr(parent)) : NULL;
	ListCell   *cell;

	foreach(cell, theirs)
	{
		Known	   *index = lfirst(cell);

		if (!has_equal(index, own, columns) &&
			!is_made(lacking, plain_columns(RelationGetRelid(parent), index->info), OidIsValid(index->constraint)))
			lacking->indexes = lappend(lacking->indexes, pstrdup(RelationGetRelationName(index->relation)));
	}
	close_indexes(theirs);
	close_indexes(own);
}

static const char *
definition(Oid constraint)
{
	return TextDatumGetCString(DirectFunctionCall1(pg_get_constraintdef, ObjectIdGetDatum(constraint)));
}

/* A key that says the same, and is valid: the server takes it for the parent's. */
static bool
has_equal_key(Lacking *lacking, const SdForeignKey *key)
{
	const char *wanted = definition(key->constraint);
	ListCell   *cell;

	foreach(cell, sd_follow_foreign_keys(lacking->form->world, lacking->partition))
	{
		const SdForeignKey *own = lfirst(cell);

		if (own->valid && own->to == key->to && strcmp(definition(own->constraint), wanted) == 0)
			return true;
	}
	/* one that the script made */
	foreach(cell, lacking->partition->constraints)
	{
		SdConstraint *constraint = lfirst(cell);

		if (!constraint->gone && constraint->type == CONSTRAINT_FOREIGN && constraint->valid && constraint->other &&
			constraint->other->oid == key->to)
			return true;
	}
	return false;
}

static void
look_for_keys(Lacking *lacking)
{
	ListCell   *cell;

	foreach(cell, sd_follow_foreign_keys(lacking->form->world, lacking->parent))
	{
		SdForeignKey *key = lfirst(cell);

		if (key->valid && has_equal_key(lacking, key))
			lacking->equal = lappend_oid(lacking->equal, key->constraint);
	}
}

/* an attempt: the columns may be others */
static void
look_for_lacking(void *arg)
{
	Lacking    *lacking = arg;
	Relation	parent = sd_fact_open(lacking->parent->oid);
	Relation	partition = sd_fact_open(lacking->partition->oid);

	if (parent && partition)
	{
		look_for_keys(lacking);
		if (partition->rd_rel->relkind != RELKIND_FOREIGN_TABLE)
			look_for_indexes(lacking, parent, partition);
	}
	if (partition)
		relation_close(partition, AccessShareLock);
	if (parent)
		relation_close(parent, AccessShareLock);
}

/* One of a key between partitioned tables is a part of another one. */
static bool
is_part(List *keys, const SdForeignKey *key)
{
	ListCell   *cell;

	foreach(cell, keys)
	{
		if (OidIsValid(key->parent) && ((SdForeignKey *) lfirst(cell))->constraint == key->parent)
			return true;
	}
	return false;
}

static void
cast_referenced(SdForm *form, const char *rule, SdThing *other, SdThing *parent)
{
	if (other && !other->gone && other != parent)
		sd_match_cast_whole(form, sd_form_match(form, rule), SD_ROLE_REFERENCED, other);
}

/* equal: of Oid, those that another row is about. */
static void
cast_all_referenced(SdForm *form, const char *rule, SdThing *parent, List *equal, const char *equal_rule)
{
	List	   *keys = sd_follow_foreign_keys(form->world, parent);
	ListCell   *cell;

	foreach(cell, keys)
	{
		SdForeignKey *key = lfirst(cell);

		if (!is_part(keys, key))
			cast_referenced(form, list_member_oid(equal, key->constraint) ? equal_rule : rule, sd_world_of(form->world, key->to), parent);
	}
	foreach(cell, parent->constraints)
	{
		SdConstraint *constraint = lfirst(cell);

		if (!constraint->gone && constraint->type == CONSTRAINT_FOREIGN)
			cast_referenced(form, rule, constraint->other, parent);
	}
}

/* The locks of those that refer to a partitioned table; what is below them is not locked, but read for it, unless it refers to itself. */
static void
cast_all_referencing(SdForm *form, const char *rule, SdThing *parent)
{
	SdThing    *above = parent;
	ListCell   *cell;

	/* who refers to a partitioned table refers to what is below it, too */
	while (above)
	{
		Oid			oid = above->made ? InvalidOid : sd_fact_partition_parent(above->oid);

		foreach(cell, sd_follow_referencing(form->world, above))
		{
			SdThing    *from = sd_world_of(form->world, ((SdForeignKey *) lfirst(cell))->from);

			if (from == above)
				sd_match_cast_whole(form, sd_form_match(form, rule), SD_ROLE_REFERENCING, from);
			else if (from && !from->gone)
				sd_match_cast(sd_form_match(form, rule), SD_ROLE_REFERENCING, from);
		}
		above = above->parent ? above->parent : OidIsValid(oid) && !sd_follow_is_changed(form->world, RelationRelationId, above->oid) ?
			sd_world_of(form->world, oid) : NULL;
	}
}

SdThing *
sd_form_default_of(SdForm *form, const SdThing *parent)
{
	Oid			oid = parent == NULL || parent->made ? InvalidOid : get_default_partition_oid(parent->oid);
	SdThing    *other = OidIsValid(oid) ? sd_world_of(form->world, oid) : NULL;

	return other && !other->gone ? other : NULL;
}

void
sd_form_new_partition(SdForm *form, SdThing *parent, const char *referenced, const char *referencing)
{
	cast_all_referenced(form, referenced, parent, NIL, NULL);
	cast_all_referencing(form, referencing, parent);
}

static SdMatch *
match_there(SdForm *form, const char *rule)
{
	ListCell   *cell;

	foreach(cell, form->matches)
	{
		if (strcmp(((SdMatch *) lfirst(cell))->rule, rule) == 0)
			return lfirst(cell);
	}
	return NULL;
}

/* What ATTACH does besides: indexes that are built, foreign keys that are made and checked. */
static void
attach_to_all(SdForm *form, SdThing *parent, SdThing *partition)
{
	Lacking		lacking = {.form = form,.parent = parent,.partition = partition};
	bool		both = !parent->made && !partition->made;
	SdMatch    *match;
	ListCell   *cell;

	if (both)
		(void) sd_attempt(look_for_lacking, &lacking, false);
	if (!partition->made)
	{
		foreach(cell, sd_world_made_indexes(form->world, parent))
		{
			SdThing    *index = lfirst(cell);

			if (!is_made(&lacking, index->over, false))
				lacking.indexes = lappend(lacking.indexes, index->name);
		}
	}
	if (lacking.indexes)
	{
		match = sd_form_match(form, "H15");
		sd_match_cast(match, SD_ROLE_PARENT, parent);
		sd_match_cast_whole(form, match, SD_ROLE_PARTITION, partition);
		foreach(cell, lacking.indexes)
			sd_match_why(match, "%s has no equal of index %s of %s: it is built.", partition->shown, sd_quoted((char *) lfirst(cell)), parent->shown);
	}
	cast_all_referenced(form, "H16", parent, lacking.equal, "H20");
	match = match_there(form, "H16");
	if (match)
	{
		sd_match_cast(match, SD_ROLE_PARENT, parent);
		sd_match_cast_whole(form, match, SD_ROLE_PARTITION, partition);
		if (partition->made && partition->filled == SD_HAS_NONE)
			match->probed = SD_PROBED_NOTHING;
	}
	cast_all_referencing(form, "H21", parent);
}

/* ---- the statements ---- */

/* In which row of the matrix it is for the rows of the partition itself. */
static SdMatch *
match_partition(SdForm *form, const char *rule, SdThing *parent, SdThing *partition)
{
	SdMatch    *match = sd_form_match(form, rule);
	const char *name = sd_quoted(makeObjectName(partition->name, "bounds", "check"));

	sd_match_cast(match, SD_ROLE_PARENT, parent);
	sd_match_cast_whole(form, match, SD_ROLE_PARTITION, partition);
	if (strcmp(rule, "H3") != 0 && strcmp(rule, "H5") != 0)
		return match;
	sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (<the key> IS NOT NULL AND <within its bounds>) NOT VALID", partition->shown, name);
	sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", partition->shown, name);
	sd_match_safer(match, "%s", form->text);
	sd_match_safer(match, "ALTER TABLE %s DROP CONSTRAINT %s", partition->shown, name);
	return match;
}

/* What the script did to the columns of either the catalog does not know. */
static bool
prove(SdForm *form, SdThing *parent, SdThing *partition, Proof *proof)
{
	ErrorData  *error;

	if (parent->made || partition->made || by_script(form, proof->bound))
		return true;
	proof->parent_oid = parent->oid;
	proof->partition_oid = partition->oid;
	error = sd_attempt(look_for_proof, proof, false);
	if (error && parent->columns == NIL && partition->columns == NIL)
		sd_form_fails(form, error->sqlerrcode, "%s", error->message);
	return error || !proof->looked || proof->evaluated;
}

void
sd_form_attach(SdForm *form, SdThing *parent, AlterTableCmd *command)
{
	PartitionCmd *cmd = castNode(PartitionCmd, command->def);
	SdThing    *partition = sd_form_relation(form, cmd->name, false);
	Oid			default_oid = parent->made ? InvalidOid : get_default_partition_oid(parent->oid);
	SdThing    *other = OidIsValid(default_oid) ? sd_world_of(form->world, default_oid) : NULL;
	Proof		proof = {.default_oid = default_oid,.bound = cmd->bound};
	SdMatch    *match;

	if (partition == NULL)
		return;
	/* ALTER INDEX ... ATTACH PARTITION, of a table */
	if (cmd->bound == NULL)
	{
		sd_form_fails(form, ERRCODE_WRONG_OBJECT_TYPE, "\"%s\" is not an index", parent->name);
		return;
	}
	if (cmd->bound->is_default)
		(void) match_partition(form, "H7", parent, partition);
	else
	{
		bool		known = prove(form, parent, partition, &proof);

		if (other && !other->gone)
		{
			match = sd_form_match(form, "H6");
			sd_match_cast(match, SD_ROLE_PARENT, parent);
			sd_match_cast(match, SD_ROLE_PARTITION, partition);
			if (!proof.whole_default)
				sd_match_cast_whole(form, match, SD_ROLE_DEFAULT, other);
			else
			{
				sd_match_cast(match, SD_ROLE_DEFAULT, other);
				match->probed = SD_PROBED_NOTHING;
				sd_match_why(match, "A constraint of the default partition %s proves that none of its rows belong there: it is locked, not scanned.",
							 other->shown);
			}
		}
		match = match_partition(form, proof.partition ? "H4" : proof.check_but_null ? "H5" : "H3", parent, partition);
		if (!known)
			sd_match_why(match, "Its bounds are known only when it runs, as they call what is not IMMUTABLE: so no constraint is taken to prove them.");
	}
	attach_to_all(form, parent, partition);
	partition->parent = parent;
	sd_heirs_join(form, parent, partition);
	/* indexes and foreign keys of the parent */
	sd_world_choose(form->world, partition);
	sd_heirs_choose(form, partition);
}

void
sd_form_detach(SdForm *form, SdThing *parent, AlterTableCmd *command)
{
	PartitionCmd *cmd = castNode(PartitionCmd, command->def);
	SdThing    *partition = sd_form_relation(form, cmd->name, false);
	const char *rule = command->subtype == AT_DetachPartitionFinalize ? "H10" : cmd->concurrent ? "H9" : "H8";
	SdMatch    *match;
	Oid			default_oid;

	if (partition == NULL)
		return;
	match = sd_form_match(form, rule);
	sd_match_cast(match, SD_ROLE_PARENT, parent);
	sd_match_cast_whole(form, match, SD_ROLE_PARTITION, partition);
	/* what belongs into it changes */
	if (rule[1] == '8')
		sd_match_cast(match, SD_ROLE_PARTITION, sd_form_default_of(form, parent));
	if (!partition->made && !parent->made && partition->parent != parent && !sd_follow_is_changed(form->world, RelationRelationId, partition->oid) &&
		sd_fact_partition_parent(partition->oid) != parent->oid)
		sd_form_fails(form, ERRCODE_UNDEFINED_TABLE, "relation \"%s\" is not a partition of relation \"%s\"", partition->name, parent->name);
	default_oid = parent->made ? InvalidOid : get_default_partition_oid(parent->oid);
	if (rule[1] == '8')
	{
		sd_match_safer(match, "ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY", parent->shown, partition->shown);
		sd_match_remark(match, "by itself, or in schemadrift.apply_online()%s", OidIsValid(default_oid) ? "; not while it has a default partition" : "");
	}
	else if (rule[1] == '9' && OidIsValid(default_oid))
		sd_form_fails(form, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "cannot detach partitions concurrently when a default partition exists");
	if (rule[1] != '1')
	{
		/* rows that refer to those of the partition are looked for */
		cast_all_referencing(form, "H18", parent);
		cast_all_referenced(form, "H19", parent, NIL, NULL);
	}
	partition->parent = NULL;
	sd_heirs_leave(parent, partition);
	sd_follow_change(form->world, RelationRelationId, partition->oid);
}
