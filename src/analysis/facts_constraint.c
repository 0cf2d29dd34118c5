/*
 * facts_constraint.c: constraints, and what they prove; see facts.h.
 *
 * Runs in a backend.  Scans catalogs by their indexes, so that a question costs the same in a large database.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "texts.h"

Bitmapset *
sd_fact_numbers(Datum array)
{
	ArrayType  *numbers = DatumGetArrayTypeP(array);
	Bitmapset  *set = NULL;

	for (int i = 0; i < ArrayGetNItems(ARR_NDIM(numbers), ARR_DIMS(numbers)); i++)
	{
		int16		number = ((int16 *) ARR_DATA_PTR(numbers))[i];

		if (number > 0)
			set = bms_add_member(set, number);
	}
	return set;
}

static Bitmapset *
constraint_columns(Relation catalog, HeapTuple tuple, int attribute)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attribute, RelationGetDescr(catalog), &isnull);

	return isnull ? NULL : sd_fact_numbers(value);
}

/* of a table, or of a domain */
static List *
constraints_of(Oid table, Oid domain)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	List	   *constraints = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (OidIsValid(table))
		ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	else
		ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(domain));
	scan = systable_beginscan(catalog, OidIsValid(table) ? ConstraintRelidTypidNameIndexId : ConstraintTypidIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		SdTableConstraint *constraint = palloc0(sizeof(SdTableConstraint));

		constraint->oid = form->oid;
		constraint->name = pstrdup(NameStr(form->conname));
		constraint->type = form->contype;
		constraint->valid = form->convalidated;
		constraint->local = form->conislocal;
		constraint->no_inherit = form->connoinherit;
		constraint->index = form->conindid;
		constraint->other = form->confrelid;
		constraint->columns = constraint_columns(catalog, tuple, Anum_pg_constraint_conkey);
		constraints = lappend(constraints, constraint);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return constraints;
}

List *
sd_fact_constraints(Oid table)
{
	return OidIsValid(table) ? constraints_of(table, InvalidOid) : NIL;
}

List *
sd_fact_domain_constraints(Oid domain)
{
	return constraints_of(InvalidOid, domain);
}

SdTableConstraint *
sd_fact_constraint(Oid table, const char *name)
{
	ListCell   *cell;

	foreach(cell, sd_fact_constraints(table))
	{
		if (strcmp(((SdTableConstraint *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	}
	return NULL;
}

static SdForeignKey *
foreign_key(Relation catalog, HeapTuple tuple, int attribute)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	SdForeignKey *key = palloc0(sizeof(SdForeignKey));

	key->constraint = form->oid;
	key->parent = form->conparentid;
	key->index = form->conindid;
	key->name = pstrdup(NameStr(form->conname));
	key->from = form->conrelid;
	key->to = form->confrelid;
	key->valid = form->convalidated;
	key->columns = constraint_columns(catalog, tuple, attribute);
	return key;
}

List *
sd_fact_foreign_keys(Oid table)
{
	Relation	catalog;
	List	   *keys = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(table))
		return NIL;
	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_FOREIGN)
			keys = lappend(keys, foreign_key(catalog, tuple, Anum_pg_constraint_conkey));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return keys;
}

/* pg_constraint has no index for this question, but they depend on the table */
List *
sd_fact_referencing(Oid table)
{
	Relation	catalog;
	List	   *keys = NIL;
	Oid			last = InvalidOid;
	ListCell   *cell;

	if (!OidIsValid(table))
		return NIL;
	catalog = table_open(ConstraintRelationId, AccessShareLock);
	foreach(cell, sd_fact_dependents(RelationRelationId, table, 0))
	{
		SdDependent *dependent = lfirst(cell);
		HeapTuple	tuple;
		Form_pg_constraint form;

		if (dependent->object.classId != ConstraintRelationId || dependent->object.objectId == last)
			continue;
		tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(dependent->object.objectId));
		if (!HeapTupleIsValid(tuple))
			continue;
		form = (Form_pg_constraint) GETSTRUCT(tuple);
		/* a key of several columns depends on each */
		if (form->contype == CONSTRAINT_FOREIGN && form->confrelid == table && !OidIsValid(form->conparentid))
		{
			ListCell   *known;
			bool		seen = false;

			foreach(known, keys)
				seen |= ((SdForeignKey *) lfirst(known))->constraint == form->oid;
			if (!seen)
				keys = lappend(keys, foreign_key(catalog, tuple, Anum_pg_constraint_confkey));
			last = form->oid;
		}
		ReleaseSysCache(tuple);
	}
	table_close(catalog, AccessShareLock);
	return keys;
}

List *
sd_fact_domain_checks(Oid domain)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	List	   *checks = NIL;
	HeapTuple	type;

	for (; HeapTupleIsValid(type = SearchSysCache1(TYPEOID, ObjectIdGetDatum(domain))); ReleaseSysCache(type))
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(domain));
		scan = systable_beginscan(catalog, ConstraintTypidIndexId, true, NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			if (((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_CHECK)
				checks = lappend_oid(checks, ((Form_pg_constraint) GETSTRUCT(tuple))->oid);
		}
		systable_endscan(scan);
		/* none, of what is no domain */
		domain = ((Form_pg_type) GETSTRUCT(type))->typbasetype;
	}
	table_close(catalog, AccessShareLock);
	return checks;
}

bool
sd_fact_checks_references(Oid table)
{
	HeapTuple	tuple = OidIsValid(table) ? SearchSysCache1(RELOID, ObjectIdGetDatum(table)) : NULL;
	bool		checks;

	if (!HeapTupleIsValid(tuple))
		return false;
	/* as heap_truncate_check_FKs() */
	checks = ((Form_pg_class) GETSTRUCT(tuple))->relhastriggers || ((Form_pg_class) GETSTRUCT(tuple))->relkind == RELKIND_PARTITIONED_TABLE;
	ReleaseSysCache(tuple);
	return checks;
}

static Node *
constraint_expression(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Node	   *expression = NULL;
	Datum		value;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	value = SysCacheGetAttr(CONSTROID, tuple, Anum_pg_constraint_conbin, &isnull);
	if (!isnull)
		expression = stringToNode(TextDatumGetCString(value));
	ReleaseSysCache(tuple);
	return expression;
}

bool
sd_fact_is_not_null_check(Oid constraint, AttrNumber column)
{
	NullTest   *test = (NullTest *) constraint_expression(constraint);

	return test && IsA(test, NullTest) && test->nulltesttype == IS_NOT_NULL && IsA(test->arg, Var) &&
		((Var *) test->arg)->varattno == column;
}

bool
sd_fact_proves_not_null(Oid table, AttrNumber column, bool *unknown)
{
	Relation	relation = sd_fact_open(table);
	NullTest   *test = makeNode(NullTest);
	Form_pg_attribute attribute;
	bool		proven;

	*unknown = relation == NULL;
	if (relation == NULL)
		return false;
	if (column > RelationGetNumberOfAttributes(relation))
		proven = false;
	else
	{
		attribute = TupleDescAttr(RelationGetDescr(relation), column - 1);
		test->arg = (Expr *) makeVar(1, column, attribute->atttypid, attribute->atttypmod, attribute->attcollation, 0);
		test->nulltesttype = IS_NOT_NULL;
		test->argisrow = false;
		test->location = -1;
		proven = PartConstraintImpliedByRelConstraint(relation, list_make1(test));
	}
	relation_close(relation, AccessShareLock);
	return proven;
}
