/*
 * beside.c: what an object has beside its digest; see beside.h.
 *
 * Backend and applier, in the transaction that made the change.  No locking: writers hold what writers of digests hold.
 */
#include "compat.h"

#include "catalog/pg_class.h"
#include "catalog/pg_default_acl.h"

#include "ddl/beside.h"

const char *
sd_beside_kind_of(const char *kind)
{
	return strncmp(kind, SD_BESIDE_KIND, strlen(SD_BESIDE_KIND)) == 0 ? kind + strlen(SD_BESIDE_KIND) : NULL;
}

bool
sd_beside_any_changed(List *changes)
{
	ListCell   *cell;

	foreach(cell, changes)
		if (((SdBesideChange *) lfirst(cell))->now)
			return true;
	return false;
}

int
sd_beside_compare(const ListCell *a, const ListCell *b)
{
	const SdBeside *x = lfirst(a);
	const SdBeside *y = lfirst(b);
	int			order = strcmp(x->kind, y->kind);

	return order ? order : strcmp(x->identity, y->identity);
}

/* --- keeping it --- */

static int
compare_names(const void *a, const void *b)
{
	const SdObjectRow *left = *(const SdObjectRow *const *) a;
	const SdObjectRow *right = *(const SdObjectRow *const *) b;
	int			order = strcmp(left->kind, right->kind);

	return order ? order : strcmp(left->identity, right->identity);
}

static bool
is_among(const SdObjectRow *row, const SdObjectRow **rows, int n)
{
	return bsearch(&row, rows, n, sizeof(SdObjectRow *), compare_names) != NULL;
}

/* Only these can have the privilege. */
static bool
may_have(const SdObjectRow *row)
{
	return (row->classid == RelationRelationId && strcmp(row->kind, "index") != 0) || row->classid == DefaultAclRelationId;
}

static List *
kept_of(const SdObjectRow **before, int nbefore, const SdObjectRow **after, int nafter)
{
	List	   *kinds = NIL;
	List	   *identities = NIL;

	for (int i = 0; i < nbefore + nafter; i++)
	{
		const SdObjectRow *row = i < nbefore ? before[i] : after[i - nbefore];

		if (!may_have(row))
			continue;
		kinds = lappend(kinds, row->kind);
		identities = lappend(identities, row->identity);
	}
	return sd_beside_find(kinds, identities);
}

static void
report(List **changes, MemoryContext caller, const SdObjectRow *row, const char *was, const char *now)
{
	MemoryContext saved;
	SdBesideChange *change;

	if (changes == NULL)
		return;
	saved = MemoryContextSwitchTo(caller);
	change = palloc(sizeof(SdBesideChange));
	change->kind = pstrdup(row->kind);
	change->identity = pstrdup(row->identity);
	change->was = pstrdup(was);
	change->now = now ? pstrdup(now) : NULL;
	*changes = lappend(*changes, change);
	MemoryContextSwitchTo(saved);
}

void
sd_beside_settle(const SdObjectRow **before, int nbefore, const SdObjectRow **after, int nafter, bool whole, List **changes,
				 MemoryContext caller)
{
	bool		first;
	List	   *rows;

	if (changes)
		*changes = NIL;
	if (!sd_beside_kept())
		return;
	/* of what was never looked at nobody can say that it has changed */
	first = whole && !sd_beside_filled();
	rows = whole ? sd_beside_all() : kept_of(before, nbefore, after, nafter);
	qsort(before, nbefore, sizeof(SdObjectRow *), compare_names);
	qsort(after, nafter, sizeof(SdObjectRow *), compare_names);
	for (int i = 0; i < nbefore; i++)
		if (may_have(before[i]) && !is_among(before[i], after, nafter))
		{
			const SdBeside *was = sd_beside_row(rows, before[i]->kind, before[i]->identity);

			if (was)
				sd_beside_put(before[i]->kind, before[i]->identity, "", false);
			report(changes, caller, before[i], was ? was->text : "", NULL);
		}
	for (int i = 0; i < nafter; i++)
	{
		const SdBeside *row;
		const char *was;

		/* NULL: its digest was kept, and nobody has looked at it */
		if (after[i]->beside == NULL || !may_have(after[i]))
			continue;
		row = sd_beside_row(rows, after[i]->kind, after[i]->identity);
		was = row ? row->text : "";
		if (strcmp(was, after[i]->beside) == 0 && (row && row->apart) == after[i]->beside_apart)
			continue;
		sd_beside_put(after[i]->kind, after[i]->identity, after[i]->beside, after[i]->beside_apart);
		if (!first && strcmp(was, after[i]->beside) != 0 && is_among(after[i], before, nbefore))
			report(changes, caller, after[i], was, after[i]->beside);
	}
	if (first)
		sd_beside_set_filled();
}
