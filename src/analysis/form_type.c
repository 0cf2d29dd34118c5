/*
 * form_type.c: ALTER TABLE ... ALTER COLUMN ... TYPE.
 *
 * Runs in a backend.  Which row of the matrix it is follows from the two types and what depends on the column; what becomes
 * of the files is tried out on an empty copy (probe.h) where that is possible.
 */
#include "compat.h"

#include "catalog/dependency.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "parser/parse_type.h"
#include "pgtime.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "catalog/namespace.h"
#include "parser/parse_coerce.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "analysis/facts.h"
#include "analysis/follow.h"
#include "analysis/form.h"
#include "analysis/routine.h"
#include "analysis/probe.h"
#include "analysis/type.h"
#include "ddl/fill.h"

#define TRIED_MOST	8			/* partitions and children, each with a copy of its own */

typedef struct Change
{
	SdColumn   *column;
	ColumnDef  *definition;
	Oid			from;
	Oid			to;				/* InvalidOid: not known (yet) */
	int32		from_mod;
	int32		to_mod;
	bool		collation;		/* it is another one */
	bool		using;
	bool		made;			/* the new type is the script's own */
	bool		by_expression;	/* an index has it in an expression */
	bool		by_predicate;
	bool		by_index;		/* a plain one */
	bool		by_check;
} Change;

/* ---- what depends on the column ---- */

static void
look_at_indexes(SdForm *form, SdThing *table, Change *change)
{
	ListCell   *cell;

	foreach(cell, sd_follow_indexes(form->world, table))
	{
		SdIndex    *index = lfirst(cell);

		change->by_expression |= bms_is_member(change->column->number, index->expressions);
		change->by_predicate |= bms_is_member(change->column->number, index->predicate);
		change->by_index |= bms_is_member(change->column->number, index->keys);
	}
	foreach(cell, sd_follow_constraints(form->world, table))
	{
		SdTableConstraint *constraint = lfirst(cell);

		change->by_check |= constraint->type == CONSTRAINT_CHECK && bms_is_member(change->column->number, constraint->columns);
	}
}

/* What makes the server refuse it, whatever the types are.  Returns whether something does. */
static bool
refused(SdForm *form, SdThing *table, const Change *change)
{
	ListCell   *cell;

	foreach(cell, sd_follow_dependents(form->world, RelationRelationId, table->oid, change->column->number))
	{
		SdDependent *dependent = lfirst(cell);
		const char *rule = NULL;
		const char *by = NULL;
		Oid			owner = sd_fact_owner_of(&dependent->object);
		SdThing    *thing;

		switch (dependent->object.classId)
		{
			case RewriteRelationId:
				thing = OidIsValid(owner) ? sd_world_of(form->world, owner) : NULL;
				if (thing == NULL || thing->gone)
					continue;
				rule = "C34";
				by = "a view or rule";
				break;
			case TriggerRelationId:
				rule = "C35";
				by = "a trigger definition";
				break;
			case PolicyRelationId:
				rule = "C35";
				by = "a policy definition";
				break;
			case ProcedureRelationId:
				rule = "C35";
				by = "a function or procedure";
				break;
			case RelationRelationId:
			case AttrDefaultRelationId:
				/* 15 has the column that is generated, later ones its expression */
				if (dependent->object.classId == RelationRelationId &&
					(dependent->object.objectId != table->oid || dependent->object.objectSubId <= 0))
					continue;
				/* its own default */
				if (dependent->object.classId == AttrDefaultRelationId &&
					dependent->object.objectId == sd_fact_default(table->oid, change->column->number))
					continue;
				rule = "C35";
				by = "a generated column";
				break;
			default:
				continue;
		}
		if (dependent->doubtful)
		{
			sd_form_unsure(form, "a view that the script replaced may read the column still");
			continue;
		}
		sd_match_why(sd_form_match_table(form, rule, table, true), "%s uses the column.",
					 getObjectDescription(&dependent->object, true));
		sd_form_fails(form, ERRCODE_FEATURE_NOT_SUPPORTED, "cannot alter type of a column used by %s", by);
		return true;
	}
	return false;
}

/* ---- rows of the matrix ---- */

static int
integer_size(Oid type)
{
	return type == INT2OID ? 2 : type == INT4OID ? 4 : type == INT8OID ? 8 : 0;
}

static bool
is_enum(Oid type)
{
	return get_typtype(type) == TYPTYPE_ENUM;
}

/* metadata only, unless something that depends on the column makes it more */
static const char *
unless_dependent(const Change *change, const char *plain, const char *indexed)
{
	if (change->by_expression)
		return "C3";
	if (change->by_predicate)
		return "C4";
	if (change->by_check)
		return "C5";
	return change->by_index ? indexed : plain;
}

static const char *
rule_of_numeric(const Change *change)
{
	int			from_precision = (change->from_mod - VARHDRSZ) >> 16 & 0xffff;
	int			to_precision = (change->to_mod - VARHDRSZ) >> 16 & 0xffff;
	/* as numeric_typmod_scale() */
	int			from_scale = (((change->from_mod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
	int			to_scale = (((change->to_mod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;

	if (change->to_mod < 0)
		return unless_dependent(change, "C16", "C16");
	if (change->from_mod < 0 || to_scale < from_scale)
		return "C18";
	if (to_scale > from_scale)
		return to_precision - to_scale >= from_precision - from_scale ? "C17" : "C18";
	return to_precision >= from_precision ? unless_dependent(change, "C16", "C16") : "C18";
}

static bool
narrows(int32 from, int32 to)
{
	return to >= 0 && (from < 0 || to < from);
}

/* time, timestamp: typmods are precisions; interval: above it the fields that it has */
static bool
has_precision(Oid type)
{
	return type == TIMEOID || type == TIMETZOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID || type == INTERVALOID;
}

static bool
loses_precision(const Change *change)
{
	if (change->to_mod < 0)
		return false;
	if (change->to == INTERVALOID)
		return change->from_mod < 0 || INTERVAL_RANGE(change->from_mod) != INTERVAL_RANGE(change->to_mod) ||
			INTERVAL_PRECISION(change->to_mod) < INTERVAL_PRECISION(change->from_mod);
	/* of most other types nothing is known but that some function looks at each value */
	return !has_precision(change->to) || narrows(change->from_mod, change->to_mod);
}

static const char *
rule_of_length(const Change *change)
{
	switch (change->to)
	{
		case VARCHAROID:
			if (narrows(change->from_mod, change->to_mod))
				return "C8";
			return change->to_mod < 0 ? unless_dependent(change, "C6", "C6") : unless_dependent(change, "C1", "C2");
		case BPCHAROID:
			return narrows(change->from_mod, change->to_mod) ? "C8" : "C10";
		case BITOID:
			return "C8";
		case VARBITOID:
			return narrows(change->from_mod, change->to_mod) ? "C8" : unless_dependent(change, "C24", "C24");
		case NUMERICOID:
			return rule_of_numeric(change);
		default:
			return loses_precision(change) ? "C23" : unless_dependent(change, "C22", "C22");
	}
}

static const char *
rule_of_text(const Change *change)
{
	if (change->from == BPCHAROID)
		return change->to == BPCHAROID ? rule_of_length(change) : "C9";
	if (change->to == TEXTOID)
		return unless_dependent(change, "C6", "C6");
	if (change->to == VARCHAROID)
		return change->to_mod >= 0 ? "C8" : unless_dependent(change, "C7", "C7");
	return "C8";
}

static bool
is_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID;
}

static bool
is_utc(void)
{
	const char *name = session_timezone ? pg_get_timezone_name(session_timezone) : "";

	return pg_strcasecmp(name, "UTC") == 0 || pg_strcasecmp(name, "Etc/UTC") == 0 || pg_strcasecmp(name, "GMT") == 0 ||
		pg_strcasecmp(name, "Zulu") == 0 || pg_strcasecmp(name, "Etc/Zulu") == 0 || pg_strcasecmp(name, "UCT") == 0;
}

static const char *
rule_of_same(const Change *change)
{
	if (change->using)
		return "C31";
	if (change->from_mod != change->to_mod)
		return rule_of_length(change);
	if (change->collation)
		return change->by_index || change->by_expression || change->by_predicate ? "C33" : "C32";
	return unless_dependent(change, "C24", "C24");
}

/* Between a type and a domain over it nothing changes, unless a length does. */
static const char *
rule_of_domain(const Change *change, const char *plain)
{
	Change		base = *change;
	const char *rule;

	base.from = getBaseTypeAndTypmod(change->from, &base.from_mod);
	base.to = getBaseTypeAndTypmod(change->to, &base.to_mod);
	if (base.to_mod < 0 || (base.from_mod == base.to_mod && base.from == change->from))
		return unless_dependent(change, plain, plain);
	rule = rule_of_length(&base);
	if (sd_rule(rule) && sd_rule(rule)->rewrites == SD_REWRITE_ALL)
		return rule;
	/* the server does not see which length a domain has, and looks at each value */
	return base.from != change->from ? "C15" : unless_dependent(change, plain, plain);
}

static const char *
rule_of(const Change *change)
{
	Oid			from = change->from;
	Oid			to = change->to;

	if (from == to)
		return rule_of_same(change);
	if (get_typtype(to) == TYPTYPE_DOMAIN)
		return DomainHasConstraints(to) ? "C30" : getBaseType(to) == from ? rule_of_domain(change, "C29") : "C15";
	if (get_typtype(from) == TYPTYPE_DOMAIN && getBaseType(from) == to)
		return rule_of_domain(change, "C24");
	if (integer_size(from) && integer_size(to))
		return integer_size(to) > integer_size(from) ? "C11" : "C14";
	if (is_text(from) && is_text(to))
		return rule_of_text(change);
	if (from == TIMESTAMPOID && to == TIMESTAMPTZOID)
		return is_utc() && !change->using ? "C19" : "C20";
	if (from == TIMESTAMPTZOID && to == TIMESTAMPOID)
		return "C21";
	if (from == INETOID && to == CIDROID)
		return "C25";
	if ((from == JSONOID && to == JSONBOID) || (from == JSONBOID && to == JSONOID))
		return "C26";
	if (is_enum(from))
		return is_enum(to) ? "I3" : is_text(to) ? "C28" : "C27";
	/* each in a few bits the other, and no function between them */
	if (IsBinaryCoercible(from, to) && !change->using)
		return unless_dependent(change, "C24", "C24");
	if (is_text(from) || change->using)
		return "C27";
	return "C15";
}

/* ---- advice ---- */

static void
advise(SdMatch *match, SdThing *table, const Change *change)
{
	const char *column = sd_quoted(change->column->name);
	const char *new_column = sd_quoted(makeObjectName(change->column->name, NULL, "new"));
	const char *type = OidIsValid(change->to) ? format_type_with_typemod(change->to, change->to_mod) :
		TypeNameToString(change->definition->typeName);
	const char *name = sd_quoted(makeObjectName(table->name, change->column->name, "check"));
	const char *function = sd_quoted(makeObjectName(table->name, change->column->name, "sync"));

	if (change->from == TIMESTAMPOID && change->to == TIMESTAMPTZOID && !change->using)
		sd_match_safer(match, "-- never by the session's TimeZone: say which one the values are in, the same in all regions\n"
					   "--   ... USING %s AT TIME ZONE 'UTC'", column);
	if (strcmp(match->rule, "C8") == 0 && is_text(change->from) && change->to_mod > 0)
	{
		sd_match_safer(match, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (length(%s) <= %d) NOT VALID", table->shown, name, column,
					   change->to_mod - VARHDRSZ);
		sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, name);
		return;
	}
	sd_match_safer(match, "ALTER TABLE %s ADD COLUMN %s %s", table->shown, new_column, type);
	sd_match_safer(match, "CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS\n"
				   "  $$ BEGIN NEW.%s := NEW.%s; RETURN NEW; END $$", function, new_column, column);
	sd_match_safer(match, "CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s()",
				   function, table->shown, function);
	sd_match_safer(match, "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", table->shown, function);
	sd_match_remark(match, "or rows that replication brings lack it");
	sd_match_safer(match, "-- in batches, in ONE region: UPDATE %s SET %s = %s WHERE <a range of the key>", table->shown, new_column, column);
	sd_match_safer(match, "-- when all applications read %s: drop the trigger, and %s as B2 says", new_column, column);
}

/* Only under a lock that keeps them from going, and that need not be waited for. */
static bool
lock_briefly(SdThing *table)
{
	return OidIsValid(table->oid) && ConditionalLockRelationOid(table->oid, AccessShareLock);
}

/* Out of the way, and made again online, if no index of a constraint is among them. */
static bool
advise_indexes(SdForm *form, SdMatch *match, SdThing *table, const Change *change)
{
	List	   *again = NIL;
	ListCell   *cell;

	if (table->kind != RELKIND_RELATION || !lock_briefly(table))
		return false;
	foreach(cell, sd_follow_indexes(form->world, table))
	{
		SdIndex    *index = lfirst(cell);

		if (!bms_is_member(change->column->number, index->expressions) && !bms_is_member(change->column->number, index->predicate) &&
			!(change->collation && bms_is_member(change->column->number, index->keys)))
			continue;
		if (OidIsValid(get_index_constraint(index->oid)))
		{
			again = NIL;
			break;
		}
		again = lappend_oid(again, index->oid);
	}
	foreach(cell, again)
	{
		sd_match_safer(match, "DROP INDEX CONCURRENTLY %s", quote_qualified_identifier(table->schema, get_rel_name(lfirst_oid(cell))));
		sd_match_remark(match, "by itself, or in schemadrift.apply_online()");
	}
	if (again)
		sd_match_safer(match, "%s", sd_form_part(form));
	foreach(cell, again)
	{
		sd_match_safer(match, "%s", sd_form_concurrently(sd_words(pg_get_indexdef_string(lfirst_oid(cell)), 0)));
		sd_match_remark(match, "by itself, too");
	}
	UnlockRelationOid(table->oid, AccessShareLock);
	return again != NIL;
}

static bool
advise_checks(SdForm *form, SdMatch *match, SdThing *table, const Change *change)
{
	List	   *checks = NIL;
	ListCell   *cell;

	if (table->kind != RELKIND_RELATION || !lock_briefly(table))
		return false;
	foreach(cell, sd_follow_constraints(form->world, table))
	{
		SdTableConstraint *constraint = lfirst(cell);

		if (constraint->type == CONSTRAINT_CHECK && constraint->valid && bms_is_member(change->column->number, constraint->columns))
			checks = lappend(checks, constraint);
	}
	foreach(cell, checks)
		sd_match_safer(match, "ALTER TABLE %s DROP CONSTRAINT %s", table->shown, sd_quoted(((SdTableConstraint *) lfirst(cell))->name));
	sd_match_safer(match, "%s", sd_form_part(form));
	foreach(cell, checks)
		sd_match_safer(match, "%s NOT VALID", pg_get_constraintdef_command(((SdTableConstraint *) lfirst(cell))->oid));
	foreach(cell, checks)
	{
		sd_match_safer(match, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table->shown, sd_quoted(((SdTableConstraint *) lfirst(cell))->name));
		sd_match_remark(match, "in a transaction of its own");
	}
	UnlockRelationOid(table->oid, AccessShareLock);
	return checks != NIL;
}

static bool
rewrites(const SdMatch *match)
{
	const SdRule *rule = sd_rule(match->rule);

	if (match->probed != SD_PROBED_NOT)
		return match->probed != SD_PROBED_NOTHING;
	return rule && (rule->rewrites != SD_REWRITE_NONE || rule->scanned != 0);
}

/* ---- foreign keys ---- */

/* They are made anew, and for that the table at their other end is locked. */
static void
look_at_foreign_keys(SdForm *form, SdThing *table, const Change *change, SdMatch *match)
{
	bool		wider = integer_size(change->from) && integer_size(change->to) > integer_size(change->from);
	SdMatch    *with;
	ListCell   *cell;

	foreach(cell, sd_follow_referencing(form->world, table))
	{
		SdForeignKey *key = lfirst(cell);

		if (!bms_is_member(change->column->number, key->columns))
			continue;
		with = wider ? sd_form_match_table(form, "C12", table, true) : match;
		sd_match_cast_whole(form, with, SD_ROLE_REFERENCING, sd_world_of(form->world, key->from));
		sd_match_why(with, "Foreign key %s of %s is checked again, with ACCESS EXCLUSIVE on both tables.", sd_quoted(key->name),
					 sd_world_of(form->world, key->from) ? sd_world_of(form->world, key->from)->shown : "?");
	}
	foreach(cell, sd_follow_foreign_keys(form->world, table))
	{
		SdForeignKey *key = lfirst(cell);

		if (!bms_is_member(change->column->number, key->columns))
			continue;
		with = wider ? sd_form_match_table(form, "C13", table, true) : match;
		sd_match_cast(with, SD_ROLE_REFERENCED, sd_world_of(form->world, key->to));
		if (key->to != table->oid)
			sd_match_why(with, "Its foreign key %s is made again, with ACCESS EXCLUSIVE on the other table, too.", sd_quoted(key->name));
	}
}

/* ---- the statement ---- */

/* What the script did to the table before, as far as it stands in the way of a type: a default, CHECK constraints. */
static List *
changes_before(SdForm *form, SdThing *table, const SdColumn *column, const char *name)
{
	List	   *commands = NIL;
	ListCell   *cell;

	if (sd_follow_is_gone(form->world, AttrDefaultRelationId, sd_fact_default(table->oid, column->number)))
	{
		AlterTableCmd *command = makeNode(AlterTableCmd);

		command->subtype = AT_ColumnDefault;
		command->name = pstrdup(name);
		commands = lappend(commands, command);
	}
	foreach(cell, sd_fact_constraints(table->oid))
	{
		SdTableConstraint *constraint = lfirst(cell);
		AlterTableCmd *command;

		if (constraint->type != CONSTRAINT_CHECK || !sd_follow_is_gone(form->world, ConstraintRelationId, constraint->oid))
			continue;
		command = makeNode(AlterTableCmd);
		command->subtype = AT_DropConstraint;
		command->name = constraint->name;
		command->missing_ok = true;
		commands = lappend(commands, command);
	}
	return commands;
}

static List *
indexes_gone(SdForm *form, SdThing *table)
{
	List	   *gone = NIL;
	ListCell   *cell;

	foreach(cell, sd_fact_indexes(table->oid))
	{
		SdIndex    *index = lfirst(cell);

		if (sd_follow_is_gone(form->world, RelationRelationId, index->oid))
			gone = lappend_oid(gone, index->oid);
	}
	return gone;
}

static void
probe(SdForm *form, SdThing *table, AlterTableCmd *command, const Change *change, SdMatch *match)
{
	AlterTableCmd *as_it_is = copyObject(command);
	SdProbe		probe;

	if (table->made)
		return;
	if (sd_routine_by_script(form, change->definition->raw_default))
	{
		sd_match_why(match, "It was not tried on an empty copy (it calls a function that the script makes or changes); this is what the matrix says of such types.");
		return;
	}
	/* the copy has the names of the catalog */
	as_it_is->name = get_attname(table->oid, change->column->number, false);
	sd_probe(table, indexes_gone(form, table), changes_before(form, table, change->column, as_it_is->name), as_it_is, &probe);
	if (probe.error && (table->columns != NIL || table->constraints != NIL))
		probe.not_made = psprintf("such a copy refuses it, %s, which what the script did to the table before may have mended", probe.error);
	if (probe.not_made)
	{
		sd_match_why(match, "It was not tried on an empty copy (%s); this is what the matrix says of such types.", probe.not_made);
		return;
	}
	if (probe.error)
	{
		sd_form_fails(form, probe.sqlerrcode, "%s", probe.error);
		return;
	}
	/* an index of a partitioned table has no files that the new one could take over, and neither have those of its partitions then */
	if (table->kind == RELKIND_PARTITIONED_TABLE && (probe.seen == SD_PROBED_NOTHING || probe.seen == SD_PROBED_SCAN) &&
		(change->by_index || change->by_expression || change->by_predicate))
		probe.seen = SD_PROBED_INDEXES;
	match->probed = probe.seen;
	if (probe.seen == SD_PROBED_INDEXES && !change->by_expression && !change->by_predicate && !change->collation)
		sd_match_why(match, "An index that it is in is built again.");
}

static void
describe_change(SdForm *form, SdThing *table, ColumnDef *definition, SdColumn *column, Change *change)
{
	memset(change, 0, sizeof(*change));
	change->column = column;
	change->definition = definition;
	change->from = column->type;
	change->from_mod = column->typmod;
	change->to_mod = -1;
	change->using = definition->raw_default != NULL;
	sd_type_must_exist(form, definition->typeName);
	change->to = sd_form_type(form, definition->typeName, &change->to_mod, &change->made);
	if (OidIsValid(change->to))
	{
		Oid			collation = get_typcollation(change->to);

		if (definition->collClause)
			collation = get_collation_oid(definition->collClause->collname, true);
		change->collation = change->from == change->to && OidIsValid(collation) && collation != column->collation;
	}
	if (column->number > 0 && OidIsValid(table->oid))
		look_at_indexes(form, table, change);
}

/* What the column of one below it has is its own: an index or CHECK that the table has none of. */
static bool
has_more(const Change *own, const Change *change)
{
	return (own->by_expression && !change->by_expression) || (own->by_predicate && !change->by_predicate) ||
		(own->by_check && !change->by_check) || (own->by_index && !change->by_index);
}

static void
alter_one_below(SdForm *form, SdThing *below, AlterTableCmd *command, const Change *own, SdMatch *match, bool try)
{
	const char *rule = own->by_expression ? "C3" : own->by_predicate ? "C4" : own->by_check ? "C5" : rule_of(own);
	SdMatch		tried = {0};
	SdMatch    *with;

	/* else the matrix speaks */
	if (try)
		probe(form, below, command, own, &tried);
	if (tried.probed == SD_PROBED_NOTHING)
		return;
	with = sd_form_match(form, rule);
	if (with != match && with->casts == NIL)
	{
		with->column = own->column;
		with->deterministic = match->deterministic;
		with->probed = tried.probed;
	}
	else if (tried.probed != SD_PROBED_NOT)
		with->probed = Max(with->probed, tried.probed);
	sd_match_cast(with, SD_ROLE_TABLE, below);
	sd_match_why(with, "%s has an index or a constraint on the column that %s has not.", below->shown,
				 ((SdCast *) linitial(match->casts))->shown);
	with->why = list_concat(with->why, tried.why);
}

/* Partitions and children that have more than the table are tried as well, each on a copy of its own. */
static void
alter_below(SdForm *form, SdThing *table, AlterTableCmd *command, const Change *change, SdMatch *match)
{
	int			tried = 0;
	ListCell   *cell;

	foreach(cell, sd_fact_descendants(table->oid))
	{
		SdThing    *below = sd_world_of(form->world, lfirst_oid(cell));
		Change		own = *change;

		CHECK_FOR_INTERRUPTS();
		if (below == NULL || below->gone || below->kind == RELKIND_FOREIGN_TABLE || match->probed == SD_PROBED_REWRITE)
			continue;
		own.column = sd_thing_column(below, command->name);
		if (own.column == NULL || own.column->number <= 0)
			continue;
		own.by_expression = own.by_predicate = own.by_index = own.by_check = false;
		look_at_indexes(form, below, &own);
		if (has_more(&own, change))
			alter_one_below(form, below, command, &own, match, tried++ < TRIED_MOST);
	}
}

/* By the gate's judgement; functions of the script are not there yet. */
static bool
using_is_equal(SdForm *form, SdThing *table, ColumnDef *definition)
{
	if (sd_routine_by_script(form, definition->raw_default))
		return sd_form_query_volatility(form, definition->raw_default) == SD_VALUES_CONSTANT;
	return !sd_fill_using_differs(table->oid, definition);
}

void
sd_form_alter_type(SdForm *form, SdThing *table, AlterTableStmt *stmt, AlterTableCmd *command)
{
	SdColumn   *column = sd_form_column(form, table, command->name, false);
	bool		recurse = stmt->relation->inh;
	Change		change;
	SdMatch    *match;
	SdColumn   *changed;

	if (column == NULL)
		return;
	describe_change(form, table, castNode(ColumnDef, command->def), column, &change);
	if (!table->made && column->number > 0 &&
		(sd_form_in_partition_key(form, table, column, "alter") || refused(form, table, &change)))
		return;
	if (OidIsValid(change.from) && OidIsValid(change.to))
		match = sd_form_match_table(form, rule_of(&change), table, recurse);
	else
	{
		match = sd_form_match_table(form, OidIsValid(change.from) && is_enum(change.from) && change.made ? "I3" :
									change.using ? "C27" : "C15", table, recurse);
		if (!table->made)
			sd_match_why(match, "One of the types is not known before the script runs.");
	}
	match->column = column;
	/* an entry takes the session's TimeZone along; an expression of the row alone gives the same everywhere */
	match->deterministic = !change.using || using_is_equal(form, table, change.definition);
	if (column->number > 0 && !column->altered && OidIsValid(change.to))
		probe(form, table, command, &change, match);
	if (table->kind == RELKIND_PARTITIONED_TABLE)
		sd_form_match_table(form, "C36", table, recurse)->probed = match->probed;
	if (column->number > 0 && !column->altered && OidIsValid(change.from) && OidIsValid(change.to) && recurse && !table->made)
		alter_below(form, table, command, &change, match);
	if (column->number > 0 && !table->made)
		look_at_foreign_keys(form, table, &change, match);
	if (rewrites(match))
	{
		ListCell   *cell;

		if (match->probed == SD_PROBED_REWRITE || match->probed == SD_PROBED_NOT ||
			!(match->probed == SD_PROBED_INDEXES ? advise_indexes(form, match, table, &change) :
			  advise_checks(form, match, table, &change)))
			advise(match, table, &change);
		foreach(cell, form->matches)
		{
			SdMatch    *other = lfirst(cell);

			if (other != match && other->rule[0] == 'C' && other->safer == NIL)
				other->safer = match->safer;
		}
	}
	changed = sd_thing_change_column(table, column);
	changed->altered = true;
	changed->type = change.to;
	changed->typmod = change.to_mod;
}
