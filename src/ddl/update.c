/*
 * update.c: digests after a change: the touched objects, and what names them; see digest.h.
 *
 * Touched objects are described and hashed again.  Other objects follow in two cases, found in pg_depend: parts of
 * a touched relation (its indexes, constraints, triggers ...), because commands change those without announcing it;
 * and, when the names that definitions may contain have changed, everything that depends on the object.  So the work
 * is proportional to what was touched, except that a new column of a table with a thousand views looks at these.
 *
 * Backend and applier, in the transaction that made the change.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catversion.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/partition.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "rewrite/rewriteSupport.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl/beside.h"
#include "ddl/canonical.h"
#include "ddl/digest.h"
#include "ddl/frozen.h"
#include "ddl/hash.h"
#include "ddl/touched_set.h"
#include "store/object.h"
#include "store/sql.h"

typedef struct Work
{
	SdTouchedKey key;
	bool		touched;		/* by the transaction, not only reached from something touched */
	bool		created;
	bool		dropped;
	bool		was_index;
	bool		spread;			/* its name changed with another object's */
	bool		exists;			/* and is covered: now is valid */
	SdObjectRow *old;
	SdObjectRow now;
} Work;

typedef struct Update
{
	HTAB	   *known;			/* of WorkEntry */
	Work	  **queue;
	int			n;
	int			size;
	bool		everything;		/* found on the way that it cannot be done in parts */
	SdDescriber *describer;
	SdHasher   *hasher;
	SdFrozen   *frozen;
} Update;

typedef struct WorkEntry
{
	SdTouchedKey key;
	Work	   *work;
} WorkEntry;

/* A row of a catalog by OID, and what to look for in it. */
static HeapTuple
get_row(Oid catalog_oid, AttrNumber oid_column, Oid oid)
{
	Relation	catalog = table_open(catalog_oid, AccessShareLock);
	HeapTuple	tuple = get_catalog_object_by_oid(catalog, oid_column, oid);

	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	table_close(catalog, AccessShareLock);
	return tuple;
}

/* The object of the schema that a catalog row is part of: a default is its table's, a view's rule is the view. */
static void
find_whole(Oid *classid, Oid *objid)
{
	if (*classid == AttrDefaultRelationId)
	{
		ObjectAddress column = GetAttrDefaultColumnAddress(*objid);

		*classid = RelationRelationId;
		*objid = column.objectId;
	}
	else if (*classid == RewriteRelationId)
	{
		HeapTuple	tuple = get_row(RewriteRelationId, Anum_pg_rewrite_oid, *objid);

		if (HeapTupleIsValid(tuple) &&
			strcmp(NameStr(((Form_pg_rewrite) GETSTRUCT(tuple))->rulename), ViewSelectRuleName) == 0)
		{
			*classid = RelationRelationId;
			*objid = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class;
		}
	}
	else if (*classid == TriggerRelationId)
	{
		HeapTuple	tuple = get_row(TriggerRelationId, Anum_pg_trigger_oid, *objid);

		if (HeapTupleIsValid(tuple) && ((Form_pg_trigger) GETSTRUCT(tuple))->tgisinternal &&
			OidIsValid(((Form_pg_trigger) GETSTRUCT(tuple))->tgconstraint))
		{
			/* of a partition's share of a foreign key, the table tells it */
			bool		share = OidIsValid(((Form_pg_trigger) GETSTRUCT(tuple))->tgparentid);

			*classid = share ? RelationRelationId : ConstraintRelationId;
			*objid = share ? ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid : ((Form_pg_trigger) GETSTRUCT(tuple))->tgconstraint;
		}
	}
	else if (*classid == AccessMethodOperatorRelationId || *classid == AccessMethodProcedureRelationId)
	{
		Oid			family = sd_family_of(*classid, *objid);

		if (OidIsValid(family))
		{
			*classid = OperatorFamilyRelationId;
			*objid = family;
		}
	}
	else if (*classid == RelationRelationId && get_rel_relkind(*objid) == RELKIND_COMPOSITE_TYPE)
	{
		*classid = TypeRelationId;
		*objid = get_rel_type_id(*objid);
	}
}

static Work *
add(Update *u, Oid classid, Oid objid, bool spread)
{
	SdTouchedKey key;
	WorkEntry  *entry;
	bool		found;

	find_whole(&classid, &objid);
	key.classid = classid;
	key.objid = objid;
	entry = hash_search(u->known, &key, HASH_ENTER, &found);
	if (!found)
	{
		entry->work = palloc0(sizeof(Work));
		entry->work->key = key;
	}
	else if (!spread || entry->work->spread)
		return entry->work;

	/* one looked at already is looked at again if only now its dependents turn out to be concerned */
	entry->work->spread = spread;
	if (u->n == u->size)
	{
		u->size *= 2;
		u->queue = repalloc(u->queue, u->size * sizeof(Work *));
	}
	u->queue[u->n++] = entry->work;
	return entry->work;
}

/* Row types of tables, array types, multiranges: no objects by themselves, but named in others' definitions. */
static bool
is_shadow(Oid classid, char deptype)
{
	return classid == TypeRelationId && deptype == DEPENDENCY_INTERNAL;
}

static bool
is_part(Oid classid, Oid objid, char deptype)
{
	char		relkind;

	if (deptype == DEPENDENCY_NORMAL)
		return false;
	if (classid == ConstraintRelationId || classid == TriggerRelationId || classid == RewriteRelationId ||
		classid == PolicyRelationId)
		return true;
	if (classid != RelationRelationId)
		return false;
	relkind = get_rel_relkind(objid);
	return relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX || relkind == RELKIND_SEQUENCE;
}

static void
add_dependents(Update *u, Oid classid, Oid objid, bool all)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(objid));
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);

		if (is_shadow(depend->classid, depend->deptype))
		{
			if (all)
				(void) add(u, depend->classid, depend->objid, true);
		}
		else if (all || is_part(depend->classid, depend->objid, depend->deptype))
			/* of a schema: what is in it has another name now, and what is an extension's has no row that would tell so */
			(void) add(u, depend->classid, depend->objid, all && classid == NamespaceRelationId);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/*
 * Where NOT NULL is a constraint, only that is announced: of a domain (17), and of a partition's or child's column, which gets it
 * from its parent (18).
 */
static void
add_not_null(Update *u, Oid constraint)
{
	ObjectAddress of = sd_not_null_of(constraint);

	if (OidIsValid(of.objectId))
		(void) add(u, of.classId, of.objectId, false);
}

/* An index of partitions that became valid may make the one that it is attached to valid, and so on: nothing is announced of these. */
static void
add_whole_index(Update *u, const Work *work)
{
	bool		same = work->old && work->exists && memcmp(work->old->hash, work->now.hash, SD_OBJECT_HASH_SIZE) == 0;

	if (!same && get_rel_relkind(work->key.objid) == RELKIND_PARTITIONED_INDEX && get_rel_relispartition(work->key.objid))
		(void) add(u, RelationRelationId, get_partition_parent(work->key.objid, true), false);
}

/* Operators tell each other's names, and the making of one changes the other; a class brings members for its family. */
static void
add_operators(Update *u, Oid classid, Oid objid)
{
	HeapTuple	tuple;

	if (classid == OperatorRelationId)
	{
		tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(objid));
		if (HeapTupleIsValid(tuple))
		{
			Form_pg_operator operator = (Form_pg_operator) GETSTRUCT(tuple);

			if (OidIsValid(operator->oprcom))
				(void) add(u, OperatorRelationId, operator->oprcom, false);
			if (OidIsValid(operator->oprnegate))
				(void) add(u, OperatorRelationId, operator->oprnegate, false);
			ReleaseSysCache(tuple);
		}
	}
	else if (classid == OperatorClassRelationId)
	{
		tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(objid));
		if (HeapTupleIsValid(tuple))
		{
			(void) add(u, OperatorFamilyRelationId, ((Form_pg_opclass) GETSTRUCT(tuple))->opcfamily, false);
			ReleaseSysCache(tuple);
		}
	}
}

/* A CHECK that a parent gets or loses is merged with its children's of that name, or is theirs alone again: nothing is announced of these. */
static void
add_heirs(Update *u, Oid relation)
{
	char		relkind = get_rel_relkind(relation);
	ListCell   *cell;

	if ((relkind != RELKIND_RELATION && relkind != RELKIND_FOREIGN_TABLE) || !has_subclass(relation))
		return;
	foreach(cell, find_inheritance_children(relation, NoLock))
		(void) add(u, RelationRelationId, lfirst_oid(cell), false);
}

static void
follow(Update *u, Work *work, bool renamed)
{
	Oid			classid = work->key.classid;
	Oid			objid = work->key.objid;

	if (renamed || classid == RelationRelationId || classid == ConstraintRelationId || classid == TypeRelationId)
		add_dependents(u, classid, objid, renamed);
	if (classid == TypeRelationId && renamed)
	{
		/* who uses a composite type's columns depends on the relation behind it */
		Oid			relation = get_typ_typrelid(objid);
		Oid			range = get_multirange_range(objid);

		if (OidIsValid(relation))
			add_dependents(u, RelationRelationId, relation, true);
		/* a range names its multirange, and depends on nothing of it */
		if (OidIsValid(range))
			(void) add(u, TypeRelationId, range, false);
	}
	if (classid == ConstraintRelationId)
		add_not_null(u, objid);
	add_operators(u, classid, objid);
	if (classid == RelationRelationId)
	{
		/* an index and its constraint are renamed together, and announced as one */
		Oid			constraint = get_index_constraint(objid);

		add_whole_index(u, work);
		add_heirs(u, objid);
		if (OidIsValid(constraint))
			(void) add(u, ConstraintRelationId, constraint, false);
	}
}

static void
look_at(Update *u, Work *work, SdDescription *description)
{
	SdObjectRow *old = work->old;
	bool		renamed;

	/* REINDEX CONCURRENTLY, which is local, gives indexes other OIDs: then rows cannot be found by OID */
	if (work->touched && !work->created && old == NULL && work->was_index)
		u->everything = true;
	work->exists = sd_describe_object(u->describer, work->key.classid, work->key.objid, description);
	/* still there: the subtransaction that dropped it was rolled back */
	if (work->dropped && !work->exists)
		return;
	if (work->exists)
	{
		work->now = sd_hash_description(u->hasher, description);
		if (old == NULL && !work->created && strcmp(work->now.kind, "index") == 0 &&
			sd_frozen_by(u->frozen, work->key.classid, work->key.objid, work->now.identity) == 0)
			u->everything = true;
	}

	renamed = work->spread ||
		(old && (!work->exists || old->names != work->now.names)) ||
		(old == NULL && work->touched && !work->created);
	follow(u, work, renamed);
}

static void
load_rows(Update *u, int from, int to)
{
	int			n = to - from;
	Oid		   *classids = palloc(n * sizeof(Oid));
	Oid		   *objids = palloc(n * sizeof(Oid));
	SdObjectRow *rows;
	int			n_found;

	for (int i = 0; i < n; i++)
	{
		classids[i] = u->queue[from + i]->key.classid;
		objids[i] = u->queue[from + i]->key.objid;
	}
	rows = sd_objects_find(classids, objids, n, &n_found);
	for (int i = 0; i < n_found; i++)
	{
		SdTouchedKey key = {rows[i].classid, rows[i].objid};
		WorkEntry  *entry = hash_search(u->known, &key, HASH_FIND, NULL);

		entry->work->old = &rows[i];
	}
}

static void
work_through(Update *u)
{
	SdDescription description;

	initStringInfo(&description.identity);
	initStringInfo(&description.definition);
	for (int from = 0; from < u->n && !u->everything;)
	{
		int			to = u->n;

		load_rows(u, from, to);
		for (; from < to; from++)
		{
			CHECK_FOR_INTERRUPTS();
			look_at(u, u->queue[from], &description);
		}
	}
}

static void
add_touched(Update *u, SdTouched *set)
{
	HASH_SEQ_STATUS status;
	SdTouchedObject *object;

	hash_seq_init(&status, set->objects);
	while ((object = hash_seq_search(&status)) != NULL)
	{
		Work	   *work = add(u, object->key.classid, object->key.objid, false);

		work->touched = true;
		/* of the object itself, not of one that it is part of */
		if (work->key.classid == object->key.classid && work->key.objid == object->key.objid)
		{
			work->created = object->created;
			work->dropped = object->dropped;
			work->was_index = object->was_index;
		}
	}
}

static int
compare_changes(const ListCell *a, const ListCell *b)
{
	const SdObjectDigest *left = lfirst(a);
	const SdObjectDigest *right = lfirst(b);
	int			result = strcmp(left->kind, right->kind);

	if (result == 0)
		result = strcmp(left->identity, right->identity);
	return result != 0 ? result : (int) right->dropped - (int) left->dropped;
}

List *
sd_digest_net_changes(List *changes)
{
	List	   *net = NIL;
	SdObjectDigest *gone = NULL;
	ListCell   *cell;

	list_sort(changes, compare_changes);
	foreach(cell, changes)
	{
		SdObjectDigest *object = lfirst(cell);

		if (gone && strcmp(gone->kind, object->kind) == 0 && strcmp(gone->identity, object->identity) == 0)
		{
			net = list_delete_last(net);
			if (!sd_digest_equal(&gone->hash, &object->hash))
			{
				object->existed = true;
				object->was = gone->hash;
				net = lappend(net, object);
			}
		}
		else
			net = lappend(net, object);
		gone = object->dropped ? object : NULL;
	}
	return net;
}

/* What belongs to the work of an online entry keeps the row it has. */
static int64
frozen_by(const Update *u, const SdObjectRow *old, const SdObjectRow *now)
{
	int64		version = 0;

	if (old)
		version = sd_frozen_by(u->frozen, old->classid, old->objid, old->identity);
	if (version == 0 && now)
		version = sd_frozen_by(u->frozen, now->classid, now->objid, now->identity);
	return version;
}

static List *
add_frozen(List *changed, const SdObjectRow *row, const SdObjectRow *old, int64 version, MemoryContext caller)
{
	MemoryContext saved = MemoryContextSwitchTo(caller);
	SdObjectDigest *object = sd_object_digest(row, false, old);

	object->frozen_by = version;
	changed = lappend(changed, object);
	MemoryContextSwitchTo(saved);
	return changed;
}

static void
apply_work(Update *u, SdDigest *root, List **changed, List **beside, MemoryContext caller)
{
	SdObjectRow *put = palloc(Max(u->n, 1) * sizeof(SdObjectRow));
	Oid		   *classids = palloc(Max(u->n, 1) * sizeof(Oid));
	Oid		   *objids = palloc(Max(u->n, 1) * sizeof(Oid));
	const SdObjectRow **before = palloc(Max(u->n, 1) * sizeof(SdObjectRow *));
	const SdObjectRow **after = palloc(Max(u->n, 1) * sizeof(SdObjectRow *));
	int			nput = 0;
	int			ndelete = 0;
	int			nbefore = 0;
	int			nafter = 0;
	HASH_SEQ_STATUS status;
	WorkEntry  *entry;

	hash_seq_init(&status, u->known);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		Work	   *work = entry->work;
		SdObjectRow *old = work->old;
		SdObjectRow *now = work->exists ? &work->now : NULL;
		bool		same_name = old && now && strcmp(old->kind, now->kind) == 0 &&
			strcmp(old->identity, now->identity) == 0;
		bool		same_hash = old && now && memcmp(old->hash, now->hash, SD_OBJECT_HASH_SIZE) == 0;
		int64		frozen = u->frozen ? frozen_by(u, old, now) : 0;
		MemoryContext saved;

		if (frozen != 0)
		{
			if (changed && work->touched)
				*changed = add_frozen(*changed, old ? old : now, old, frozen, caller);
			continue;
		}
		if (old)
			before[nbefore++] = old;
		if (now)
			after[nafter++] = now;
		if ((old == NULL && now == NULL) || (same_name && same_hash && old->names == now->names))
			continue;
		if (old)
			sd_root_subtract(u->hasher, root, old);
		if (now)
		{
			sd_root_add(u->hasher, root, now);
			put[nput++] = *now;
		}
		else
		{
			classids[ndelete] = old->classid;
			objids[ndelete++] = old->objid;
		}
		if (changed == NULL)
			continue;
		saved = MemoryContextSwitchTo(caller);
		if (old && !same_name)
			*changed = lappend(*changed, sd_object_digest(old, true, old));
		if (now && !(same_name && same_hash))
			*changed = lappend(*changed, sd_object_digest(now, false, same_name ? old : NULL));
		MemoryContextSwitchTo(saved);
	}
	if (changed)
	{
		MemoryContext saved = MemoryContextSwitchTo(caller);

		*changed = sd_digest_net_changes(*changed);
		MemoryContextSwitchTo(saved);
	}
	sd_objects_delete(classids, objids, ndelete);
	sd_objects_put(put, nput);
	sd_beside_settle(before, nbefore, after, nafter, false, beside, caller);
}

/* The same where everything was hashed again: of what was touched, as far as it has rows, and those of the work were kept. */
static void
add_touched_frozen(SdTouched *set, List **changed, MemoryContext caller)
{
	SdFrozen   *frozen = sd_frozen_read();
	int			n = (int) hash_get_num_entries(set->objects);
	Oid		   *classids = palloc(Max(n, 1) * sizeof(Oid));
	Oid		   *objids = palloc(Max(n, 1) * sizeof(Oid));
	SdObjectRow *rows;
	HASH_SEQ_STATUS status;
	SdTouchedObject *object;
	int			n_found;

	if (frozen == NULL)
		return;
	n = 0;
	hash_seq_init(&status, set->objects);
	while ((object = hash_seq_search(&status)) != NULL)
	{
		classids[n] = object->key.classid;
		objids[n++] = object->key.objid;
	}
	rows = sd_objects_find(classids, objids, n, &n_found);
	for (int i = 0; i < n_found; i++)
	{
		int64		version = sd_frozen_by(frozen, rows[i].classid, rows[i].objid, rows[i].identity);

		if (version != 0)
			*changed = add_frozen(*changed, &rows[i], &rows[i], version, caller);
	}
}

/*
 * With its parts and its row, one of many costs several times what it costs in a scan of all: GRANT ... ON ALL TABLES touches
 * thousands.
 */
static bool
is_most(SdTouched *set)
{
	int64		n = hash_get_num_entries(set->objects);

	return n > 1000 && 8 * n > sd_objects_count();
}

/* Returns false if everything has to be hashed again. */
static bool
update_parts(SdTouched *set, SdDigest *root, List **changed, List **beside, MemoryContext caller)
{
	HASHCTL		control = {.keysize = sizeof(SdTouchedKey), .entrysize = sizeof(WorkEntry), .hcxt = CurrentMemoryContext};
	Update		u = {.size = 64};
	SdDigestRow row;
	char	   *joined;
	List	   *local = sd_local_patterns(&joined);

	if (set->everything || !sd_digest_row_read(&row) || row.form != SD_DIGEST_FORM ||
		row.catalog_version != CATALOG_VERSION_NO || strcmp(row.local, joined) != 0 || is_most(set) ||
		(sd_beside_kept() && !sd_beside_filled()))
		return false;
	memcpy(root->byte, row.root, SD_DIGEST_LENGTH);
	u.known = hash_create("schemadrift update", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	u.queue = palloc(u.size * sizeof(Work *));
	u.describer = sd_describer_create(false, local);
	u.hasher = sd_hasher_create();
	u.frozen = sd_frozen_read();

	add_touched(&u, set);
	work_through(&u);
	if (!u.everything)
	{
		apply_work(&u, root, changed, beside, caller);
		memcpy(row.root, root->byte, SD_DIGEST_LENGTH);
		sd_digest_row_write(&row);
	}
	sd_hasher_free(u.hasher);
	return !u.everything;
}

SdDigest
sd_digest_update(SdTouched *set, List **changed, List **beside)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "schemadrift digest", ALLOCSET_DEFAULT_SIZES);
	SdScope		scope;
	SdDigest	root;
	int			guc_level;
	bool		done;

	if (changed)
		*changed = NIL;
	MemoryContextSwitchTo(context);
	CommandCounterIncrement();
	sd_store_enter(&scope);
	guc_level = sd_canonical_enter();
	done = update_parts(set, &root, changed, beside, caller);
	sd_canonical_leave(guc_level);
	sd_store_leave(&scope);
	MemoryContextSwitchTo(caller);
	if (!done)
	{
		root = sd_digest_rebuild_changed(changed, beside);
		MemoryContextSwitchTo(context);
		sd_store_enter(&scope);
		if (changed)
			add_touched_frozen(set, changed, caller);
		sd_store_leave(&scope);
		MemoryContextSwitchTo(caller);
	}
	MemoryContextDelete(context);
	return root;
}
