/*
 * form_partition.c: ALTER TABLE ... ATTACH and DETACH PARTITION.
 *
 * Runs in a backend.  For ATTACH takes ACCESS SHARE on the parent and the table for a moment, if it can at once.
 */
#include "compat.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_node.h"
#include "parser/parse_utilcmd.h"
#include "partitioning/partbounds.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "attempt.h"

typedef struct Proof
{
	Oid			parent_oid;
	Oid			partition_oid;
	Oid			default_oid;
	PartitionBoundSpec *bound;
	bool		partition;		/* its constraints say that all of its rows belong there */
	bool		whole_default;	/* those of the default partition say that none of its rows do */
	bool		check_but_null;	/* but for nulls in the key */
} Proof;

static Relation
open_briefly(Oid oid)
{
	Relation	relation;

	if (!ConditionalLockRelationOid(oid, AccessShareLock))
		return NULL;
	relation = try_relation_open(oid, NoLock);
	if (relation == NULL)
		UnlockRelationOid(oid, AccessShareLock);
	return relation;
}

/* an attempt: bounds may be wrong in many ways */
static void
look_for_proof(void *arg)
{
	Proof	   *proof = arg;
	Relation	parent = open_briefly(proof->parent_oid);
	Relation	partition = open_briefly(proof->partition_oid);
	PartitionBoundSpec *bound;
	ParseState *pstate = make_parsestate(NULL);
	List	   *constraint;

	if (parent && partition && RelationGetPartitionKey(parent))
	{
		pstate->p_sourcetext = "";
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
			Relation	other = open_briefly(proof->default_oid);

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

void
sd_form_attach(SdForm *form, SdThing *parent, AlterTableCmd *command)
{
	PartitionCmd *cmd = castNode(PartitionCmd, command->def);
	SdThing    *partition = sd_form_relation(form, cmd->name, false);
	Oid			default_oid = parent->made ? InvalidOid : get_default_partition_oid(parent->oid);
	SdThing    *other = OidIsValid(default_oid) ? sd_world_of(form->world, default_oid) : NULL;
	Proof		proof = {0};
	SdMatch    *match;
	const char *rule;

	if (partition == NULL)
		return;
	/* ALTER INDEX ... ATTACH PARTITION, of a table */
	if (cmd->bound == NULL)
	{
		sd_form_fails(form, "\"%s\" is not an index", parent->name);
		return;
	}
	if (cmd->bound->is_default)
		rule = "H7";
	else
	{
		if (!parent->made && !partition->made)
		{
			ErrorData  *error;

			proof.parent_oid = parent->oid;
			proof.partition_oid = partition->oid;
			proof.default_oid = default_oid;
			proof.bound = cmd->bound;
			error = sd_attempt(look_for_proof, &proof, true);
			if (error)
				sd_form_fails(form, "%s", error->message);
		}
		rule = other && !other->gone ? "H6" : proof.partition ? "H4" : proof.check_but_null ? "H5" : "H3";
	}
	match = sd_form_match(form, rule);
	sd_match_cast(match, SD_ROLE_PARENT, parent);
	sd_match_cast(match, SD_ROLE_PARTITION, partition);
	if (other && !other->gone)
	{
		sd_match_cast(match, SD_ROLE_DEFAULT, other);
		if (proof.whole_default)
		{
			match->probed = proof.partition || partition->made ? SD_PROBED_NOTHING : SD_PROBED_SCAN;
			sd_match_why(match, "A constraint of the default partition %s proves that none of its rows belong there: it is locked, not scanned.",
						 other->shown);
		}
	}
	if (strcmp(rule, "H3") == 0 || strcmp(rule, "H5") == 0)
	{
		const char *name = sd_quoted(makeObjectName(partition->name, "bounds", "check"));

		sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (<the key> IS NOT NULL AND <within its bounds>) NOT VALID",
					   partition->shown, name);
		sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", partition->shown, name);
		sd_match_safer(match, "%s", form->text);
		sd_match_safer(match, "ALTER TABLE %s DROP CONSTRAINT %s", partition->shown, name);
	}
	partition->parent = parent;
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
	sd_match_cast(match, SD_ROLE_PARTITION, partition);
	if (!partition->made && !parent->made && partition->parent != parent && !sd_follow_is_changed(form->world, RelationRelationId, partition->oid) &&
		sd_fact_partition_parent(partition->oid) != parent->oid)
		sd_form_fails(form, "relation \"%s\" is not a partition of relation \"%s\"", partition->name, parent->name);
	default_oid = parent->made ? InvalidOid : get_default_partition_oid(parent->oid);
	if (rule[1] == '8')
		sd_match_safer(match, "ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY  -- by itself, or in schemadrift.apply_online()%s",
					   parent->shown, partition->shown, OidIsValid(default_oid) ? "; not while it has a default partition" : "");
	else if (rule[1] == '9' && OidIsValid(default_oid))
		sd_form_fails(form, "cannot detach partitions concurrently when a default partition exists");
	partition->parent = NULL;
	sd_follow_change(form->world, RelationRelationId, partition->oid);
}
