/*
 * drift.c: where this region's schema is otherwise than the log says; see drift.h.
 *
 * Backend, applier and the worker that verifies, in the transaction that changes schema or digest.  Locking: rows of this region
 * are written by the holder of the DDL lock only.
 */
#include "compat.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "ddl/beside.h"
#include "ddl/canonical.h"
#include "ddl/describe.h"
#include "ddl/drift.h"
#include "ddl/frozen.h"
#include "ddl/hash.h"
#include "ddl/properties.h"
#include "errors.h"
#include "paste.h"
#include "shared.h"
#include "store/drift.h"
#include "store/entry.h"
#include "store/rows.h"
#include "store/state.h"

#define SHOWN_OBJECTS	20
#define SHOWN_PROPERTIES	3		/* of each */

/* ---- roots ---- */

static SdObjectRow
as_object(const SdDriftRow *row, const uint8 *hash)
{
	SdObjectRow object = {.kind = row->kind, .identity = row->identity};

	memcpy(object.hash, hash, SD_OBJECT_HASH_SIZE);
	return object;
}

SdDigest
sd_drift_logged_root_of(const SdDigest *root)
{
	List	   *rows = sd_drift_rows(NULL);
	SdDigest	logged = *root;
	SdHasher   *hasher;
	ListCell   *cell;

	if (rows == NIL)
		return logged;
	hasher = sd_hasher_create();
	foreach(cell, rows)
	{
		SdDriftRow *row = lfirst(cell);
		SdObjectRow object;

		/* what no digest counts is in no root */
		if (sd_beside_kind_of(row->kind))
			continue;
		if (row->has_actual)
		{
			object = as_object(row, row->actual);
			sd_root_subtract(hasher, &logged, &object);
		}
		if (row->has_expected)
		{
			object = as_object(row, row->expected);
			sd_root_add(hasher, &logged, &object);
		}
	}
	sd_hasher_free(hasher);
	return logged;
}

SdDigest
sd_drift_logged_root(void)
{
	SdDigest	root = sd_digest_root();

	return sd_drift_logged_root_of(&root);
}

static void
append_hash(StringInfo out, bool has, const uint8 *hash)
{
	appendStringInfoChar(out, has ? '+' : '-');
	if (has)
		appendBinaryStringInfo(out, (const char *) hash, SD_OBJECT_HASH_SIZE);
}

static void
append_text(StringInfo out, const char *text)
{
	appendBinaryStringInfo(out, text ? text : "", (text ? strlen(text) : 0) + 1);
}

int64
sd_drift_tag_of(List *rows)
{
	uint8		hash[SD_SHA_SIZE];
	StringInfoData bytes;
	ListCell   *cell;
	int64		tag;

	if (rows == NIL)
		return 0;
	initStringInfo(&bytes);
	foreach(cell, rows)
	{
		SdDriftRow *row = lfirst(cell);

		append_text(&bytes, row->kind);
		append_text(&bytes, row->identity);
		append_hash(&bytes, row->has_expected, row->expected);
		append_hash(&bytes, row->has_actual, row->actual);
		appendBinaryStringInfo(&bytes, (const char *) &row->since, sizeof(row->since));
		appendBinaryStringInfo(&bytes, (const char *) &row->change, sizeof(row->change));
		append_text(&bytes, row->found);
		append_text(&bytes, row->acknowledged);
		/* its text follows from the digest; whether it is known does not */
		appendStringInfoChar(&bytes, row->expected_definition ? '+' : '-');
	}
	sd_sha256(bytes.data, bytes.len, hash);
	pfree(bytes.data);
	memcpy(&tag, hash, sizeof(tag));
	return tag == 0 ? 1 : tag;
}

int64
sd_drift_tag(int64 *count)
{
	List	   *rows = sd_drift_rows(NULL);

	if (count)
		*count = list_length(rows);
	return sd_drift_tag_of(rows);
}

/* ---- rows of some objects ---- */

static List *
rows_of(List *changed)
{
	List	   *kinds = NIL;
	List	   *identities = NIL;
	ListCell   *cell;

	foreach(cell, changed)
	{
		SdObjectDigest *object = lfirst(cell);

		kinds = lappend(kinds, object->kind);
		identities = lappend(identities, object->identity);
	}
	return sd_drift_find(NULL, kinds, identities);
}

/* ---- definitions ---- */

typedef struct Definer
{
	SdDescriber *describer;		/* made at first use */
} Definer;

static char *
define(Definer *definer, Oid classid, Oid objid)
{
	int			guc_level = sd_canonical_enter();
	SdDescription description;
	bool		covered;

	if (definer->describer == NULL)
		definer->describer = sd_describer_create(false, sd_local_patterns(NULL));
	initStringInfo(&description.identity);
	initStringInfo(&description.definition);
	covered = sd_describe_object(definer->describer, classid, objid, &description);
	sd_canonical_leave(guc_level);
	pfree(description.identity.data);
	return covered ? description.definition.data : NULL;
}

/* ---- a change outside the log ---- */

static bool
is_as_expected(const SdDriftRow *row)
{
	return row->has_expected == row->has_actual &&
		(!row->has_expected || memcmp(row->expected, row->actual, SD_OBJECT_HASH_SIZE) == 0);
}

static SdDriftRow
new_row(const SdObjectDigest *object)
{
	SdDriftRow	row = {.kind = object->kind, .identity = object->identity, .since = GetCurrentTimestamp()};

	row.has_expected = object->existed;
	memcpy(row.expected, object->was.byte, SD_OBJECT_HASH_SIZE);
	return row;
}

/* Its digest stands still, so the roots do: the row says only that somebody was there. */
static void
note_frozen(const SdObjectDigest *object, const SdDriftRow *old, int64 change, const char *found)
{
	SdDriftRow	row = new_row(object);

	if (old)
		row = *old;
	row.has_actual = row.has_expected;
	memcpy(row.actual, row.expected, SD_OBJECT_HASH_SIZE);
	row.change = change;
	row.found = (char *) found;
	sd_drift_put(NULL, &row);
}

static void
note_change(const SdObjectDigest *object, const SdDriftRow *old, int64 change, const char *found, Definer *definer)
{
	SdDriftRow	row = new_row(object);

	if (old)
		row = *old;
	row.has_actual = !object->dropped;
	memcpy(row.actual, object->hash.byte, SD_OBJECT_HASH_SIZE);
	if (is_as_expected(&row))
	{
		if (old)
			sd_drift_delete(NULL, row.kind, row.identity);
		return;
	}
	row.actual_definition = object->dropped ? NULL : define(definer, object->classid, object->objid);
	row.change = change;
	row.found = (char *) found;
	row.acknowledged = NULL;	/* what was acknowledged is not what it is now */
	sd_drift_put(NULL, &row);
}

void
sd_drift_outside(List *changed, int64 change, const char *found)
{
	List	   *rows;
	Definer		definer = {0};
	ListCell   *cell;

	if (!sd_drift_kept())
		return;
	rows = rows_of(changed);
	foreach(cell, changed)
	{
		SdObjectDigest *object = lfirst(cell);
		SdDriftRow *old = sd_drift_row_of(rows, object->kind, object->identity);

		if (object->frozen_by != 0)
			note_frozen(object, old, change, found);
		else
			note_change(object, old, change, found, &definer);
	}
}

/* A dot for what has no statements that are known: its objects are named. */
static int64
new_dot(const SdSelf *self, List *changed, List *beside, const char *author, const char *mode, const char *reason)
{
	int64		dot = sd_log_next_dot(self->region, self->incarnation);
	StringInfoData what;
	ListCell   *cell;

	initStringInfo(&what);
	foreach(cell, changed)
	{
		SdObjectDigest *object = lfirst(cell);

		if (foreach_current_index(cell) < SHOWN_OBJECTS)
			appendStringInfo(&what, "%s%s %s", what.len > 0 ? ", " : "", object->kind, object->identity);
	}
	foreach(cell, beside)
	{
		SdBesideChange *change = lfirst(cell);

		if (list_length(changed) + foreach_current_index(cell) < SHOWN_OBJECTS)
			appendStringInfo(&what, "%s" SD_BESIDE_KIND "%s %s", what.len > 0 ? ", " : "", change->kind, change->identity);
	}
	sd_bypass_insert(dot, author, mode, reason, what.data);
	return dot;
}

void
sd_drift_found(List *changed, List *beside)
{
	int64		dot;
	SdSelf		self;

	if ((changed == NIL && beside == NIL) || !sd_drift_kept() || !sd_self_read(&self))
		return;
	/* that an object is gone is told of the object */
	if (changed == NIL && !sd_beside_any_changed(beside))
	{
		sd_drift_beside_outside(beside, 0, SD_FOUND_VERIFY);
		return;
	}
	dot = sd_bypass_unseen();
	if (dot == 0)
		dot = new_dot(&self, changed, beside, "", "found", "seen by comparing the schema with the digests kept of it");
	sd_drift_outside(changed, dot, SD_FOUND_VERIFY);
	sd_drift_beside_outside(beside, dot, SD_FOUND_VERIFY);
	sd_bypass_settle();
	if (sd_shared_mine())
		sd_shared_wake_at_commit(sd_shared_mine());
}

void
sd_drift_adopt(List *changed, const char *reason)
{
	SdSelf		self;
	ListCell   *cell;

	if (changed == NIL || !sd_self_read(&self))
		return;
	sd_drift_outside(changed, new_dot(&self, changed, NIL, GetUserNameFromId(GetSessionUserId(), false), "adopt", reason), SD_FOUND_ADOPT);
	foreach(cell, sd_drift_rows(NULL))
	{
		SdDriftRow *row = lfirst(cell);

		row->acknowledged = (char *) reason;
		sd_drift_put(NULL, row);
	}
}

/* ---- at the origin of a coordinated change ---- */

void
sd_drift_refuse_rows(List *rows)
{
	List	   *kinds = NIL;
	List	   *identities = NIL;
	SdDriftRow *first = linitial(rows);
	SdSelf		self;
	ListCell   *cell;
	char	   *lines;

	(void) sd_self_read(&self);
	foreach(cell, rows)
	{
		SdDriftRow *row = lfirst(cell);

		kinds = lappend(kinds, row->kind);
		identities = lappend(identities, row->identity);
	}
	lines = sd_drift_lines(kinds, identities, SHOWN_OBJECTS);
	ereport(ERROR,
			(errcode(SD_ERRCODE_DIVERGED),
			 errmsg("%s %s is not what the log says it is, so this region cannot change it for the others", first->kind, first->identity),
			 lines ? errdetail_internal("Nothing happened. This region has drifted:\n%s", lines) : 0,
			 errhint("Take it back with schemadrift.ddl_mode = off: SELECT * FROM schemadrift.repair_plan(); "
					 "or make it the group's: SELECT schemadrift.accept_drift(%s, %s); or change the schema in another region.",
					 sd_paste_literal(self.region), sd_paste_literal(psprintf("%s %s", first->kind, first->identity)))));
}

void
sd_drift_refuse(List *changed)
{
	List	   *rows = rows_of(changed);

	if (rows != NIL)
		sd_drift_refuse_rows(rows);
}

static bool
hangs_on(const char *identity, const char *relation)
{
	size_t		length = strlen(relation);

	return strncmp(identity, relation, length) == 0 && (identity[length] == '\0' || identity[length] == '.');
}

bool
sd_drift_hangs_on(const SdDriftRow *row, const char *relation)
{
	bool		sequence = strcmp(row->kind, "sequence") == 0;
	const char *definition = row->actual_definition ? row->actual_definition : row->expected_definition;
	char	   *whole;

	if (hangs_on(row->identity, relation))
		return true;
	if (definition == NULL || !(sequence || strcmp(row->kind, "index") == 0))
		return false;
	whole = sd_properties_get(sd_properties_parse(definition), sequence ? "owned by" : "table");
	return whole && hangs_on(whole, relation);
}

void
sd_drift_refuse_relations(List *relations)
{
	List	   *found = NIL;
	ListCell   *cell;
	ListCell   *other;

	foreach(cell, sd_drift_rows(NULL))
	{
		SdDriftRow *row = lfirst(cell);

		foreach(other, relations)
			if (hangs_on(row->identity, lfirst(other)))
			{
				found = lappend(found, row);
				break;
			}
	}
	if (found != NIL)
		sd_drift_refuse_rows(found);
}

List *
sd_drift_accept(List *accepted, List **beside)
{
	List	   *rows = sd_drift_rows(NULL);
	List	   *objects = NIL;
	ListCell   *cell;

	foreach(cell, accepted)
	{
		SdDriftRow *wanted = lfirst(cell);
		SdDriftRow *row = sd_drift_row_of(rows, wanted->kind, wanted->identity);
		SdObjectDigest *object = palloc0(sizeof(SdObjectDigest));

		if (row == NULL || row->has_actual != wanted->has_actual ||
			(row->has_actual && memcmp(row->actual, wanted->actual, SD_OBJECT_HASH_SIZE) != 0))
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("%s %s was changed while it was being accepted", wanted->kind, wanted->identity),
					 errdetail("Nothing happened."),
					 errhint("Look at it again, then accept it again.")));
		object->kind = row->kind;
		object->identity = row->identity;
		object->dropped = !row->has_actual;
		memcpy(object->hash.byte, row->actual, SD_OBJECT_HASH_SIZE);
		if (sd_beside_kind_of(row->kind))
			*beside = lappend(*beside, sd_drift_beside_accepted(row));
		else
			objects = lappend(objects, object);
		sd_drift_delete(NULL, row->kind, row->identity);
	}
	sd_bypass_settle();
	return objects;
}

/* ---- an applied entry ---- */

static bool
is_as_said(const SdSaid *said)
{
	return said->exists == said->is_here &&
		(!said->exists || memcmp(said->hash, said->here.hash, SD_OBJECT_HASH_SIZE) == 0);
}

bool
sd_drift_already(Jsonb *objects)
{
	ListCell   *cell;

	foreach(cell, sd_drift_said(objects))
		if (!is_as_said(lfirst(cell)))
			return false;
	return true;
}

static void
append_line(StringInfo lines, int *n, const char *kind, const char *identity, const char *how)
{
	if ((*n)++ < SHOWN_OBJECTS)
		appendStringInfo(lines, "%s%s %s %s", lines->len > 0 ? "\n" : "", kind, identity, how);
}

/* In what, where a region has told how it is by the entry: nobody is asked now, since an answer may never come. */
static const char *
how_not_as_said(const SdSaid *said, Definer *definer)
{
	StringInfoData how;
	char	   *expected;
	char	   *here;
	List	   *differences;
	ListCell   *cell;

	if (!said->exists || !said->is_here)
		return said->exists ? "does not exist here" : "still exists here";
	initStringInfo(&how);
	appendStringInfoString(&how, "is defined differently here");
	expected = sd_said_definition(said->here.kind, said->here.identity, said->hash);
	here = expected ? define(definer, said->here.classid, said->here.objid) : NULL;
	differences = here ? sd_properties_differ(expected, here) : NIL;
	foreach(cell, differences)
	{
		SdPropertyDifference *d = lfirst(cell);

		if (foreach_current_index(cell) == SHOWN_PROPERTIES)
		{
			appendStringInfo(&how, "; and %d more", list_length(differences) - SHOWN_PROPERTIES);
			break;
		}
		appendStringInfo(&how, "%s %s: at its origin %s, here %s", foreach_current_index(cell) > 0 ? ";" : ",", d->property,
						 d->a ? sd_property_shown(d->a, d->b) : "none", d->b ? sd_property_shown(d->b, d->a) : "none");
	}
	return how.data;
}

/* The row of an object that the entry left otherwise than it says. */
static void
note_said(const SdSaid *said, List *rows, Definer *definer)
{
	SdDriftRow	row = {.kind = said->here.kind, .identity = said->here.identity, .since = GetCurrentTimestamp()};
	SdDriftRow *old = sd_drift_row_of(rows, row.kind, row.identity);

	if (old)
	{
		row.since = old->since;
		row.change = old->change;
	}
	row.has_expected = said->exists;
	memcpy(row.expected, said->hash, SD_OBJECT_HASH_SIZE);
	row.has_actual = said->is_here;
	memcpy(row.actual, said->here.hash, SD_OBJECT_HASH_SIZE);
	if (said->is_here)
		row.actual_definition = define(definer, said->here.classid, said->here.objid);
	row.found = SD_FOUND_REPLAY;
	sd_drift_put(NULL, &row);
}

static void
name_of_said(const void *item, const char **kind, const char **identity)
{
	*kind = ((const SdSaid *) item)->here.kind;
	*identity = ((const SdSaid *) item)->here.identity;
}

static bool
is_said(List *said, const char *kind, const char *identity)
{
	return sd_row_of_object(said, kind, identity, name_of_said) != NULL;
}

/* What changed here and is not in the entry; without those that an online version works on. */
static List *
unsaid(List *changed, List *said)
{
	List	   *others = NIL;
	ListCell   *cell;

	foreach(cell, changed)
	{
		SdObjectDigest *object = lfirst(cell);

		if (object->frozen_by == 0 && !is_said(said, object->kind, object->identity))
			others = lappend(others, object);
	}
	return others;
}

/* What this region had of its own changed with the rest: a column's name in its own view, say. */
static void
note_others(List *others, List *rows, SdDriftExtent extent, bool warn, StringInfo lines, int *n, Definer *definer)
{
	ListCell   *cell;

	foreach(cell, others)
	{
		SdObjectDigest *object = lfirst(cell);
		SdDriftRow *old = sd_drift_row_of(rows, object->kind, object->identity);

		if (old)
			note_change(object, old, old->change, old->found, definer);
		else if (extent == SD_DRIFT_ADOPTED)
			note_change(object, NULL, 0, SD_FOUND_REPLAY, definer);
		else if (extent == SD_DRIFT_ALL)
		{
			append_line(lines, n, object->kind, object->identity,
						object->dropped ? "was dropped here, not at its origin" :
						object->existed ? "was changed here, not at its origin" : "was made here, not at its origin");
			if (warn)
				note_change(object, NULL, 0, SD_FOUND_REPLAY, definer);
		}
	}
}

char *
sd_drift_applied(Jsonb *objects, List *changed, SdDriftExtent extent, bool warn)
{
	List	   *said = sd_drift_said(objects);
	List	   *rows = sd_drift_rows(NULL);
	List	   *others = unsaid(changed, said);
	Definer		definer = {0};
	StringInfoData lines;
	int			n = 0;
	ListCell   *cell;

	initStringInfo(&lines);
	foreach(cell, said)
	{
		SdSaid	   *object = lfirst(cell);

		if (!is_as_said(object))
		{
			append_line(&lines, &n, object->here.kind, object->here.identity, how_not_as_said(object, &definer));
			if (warn)
				note_said(object, rows, &definer);
		}
	}
	if (n > 0 && !warn)
		return lines.data;
	foreach(cell, said)
	{
		SdSaid	   *object = lfirst(cell);

		if (is_as_said(object) && sd_drift_row_of(rows, object->here.kind, object->here.identity))
			sd_drift_delete(NULL, object->here.kind, object->here.identity);
	}
	if (extent == SD_DRIFT_HAND)
		sd_drift_found(others, NIL);
	else
		note_others(others, rows, extent, warn, &lines, &n, &definer);
	if (n > SHOWN_OBJECTS)
		appendStringInfo(&lines, "\nand %d more", n - SHOWN_OBJECTS);
	sd_bypass_settle();
	return n > 0 ? lines.data : NULL;
}

void
sd_drift_thaw(void)
{
	SdFrozen   *frozen = sd_frozen_read();
	ListCell   *cell;

	foreach(cell, sd_drift_rows(NULL))
	{
		SdDriftRow *row = lfirst(cell);

		if (is_as_expected(row) && sd_frozen_by(frozen, InvalidOid, InvalidOid, row->identity) == 0)
			sd_drift_delete(NULL, row->kind, row->identity);
	}
	sd_bypass_settle();
}

void
sd_drift_applied_unchecked(Jsonb *objects)
{
	ListCell   *cell;

	if (sd_drift_rows(NULL) == NIL)
		return;
	foreach(cell, sd_drift_said(objects))
	{
		SdSaid	   *object = lfirst(cell);

		sd_drift_delete(NULL, object->here.kind, object->here.identity);
	}
	sd_bypass_settle();
}
