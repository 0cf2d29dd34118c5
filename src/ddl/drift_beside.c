/*
 * drift_beside.c: drift in what no digest counts; see drift.h and beside.h.
 *
 * Its rows are of a kind of their own, beside that of the object itself, so that the digests of an object's row stay those of the object.
 * They halt nobody: what an entry leaves otherwise becomes a row, whatever policy "on_drift" says, since regions may have come to their
 * majors in different ways, and differ here without anybody's fault.
 *
 * Backend, applier and the worker that verifies.  Locking as in drift.c.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "ddl/beside.h"
#include "ddl/drift.h"
#include "ddl/hash.h"
#include "store/drift.h"
#include "store/entry.h"

static char *
drift_kind(const char *kind)
{
	return psprintf(SD_BESIDE_KIND "%s", kind);
}

/* ---- rows ---- */

static SdDriftRow *
row_of(List *rows, const char *kind, const char *identity)
{
	return sd_drift_row_of(rows, drift_kind(kind), identity);
}

static List *
rows_of(List *changes)
{
	List	   *kinds = NIL;
	List	   *identities = NIL;
	ListCell   *cell;

	foreach(cell, changes)
	{
		SdBesideChange *change = lfirst(cell);

		kinds = lappend(kinds, drift_kind(change->kind));
		identities = lappend(identities, change->identity);
	}
	return sd_drift_find(NULL, kinds, identities);
}

static void
put_row(SdDriftRow *row, const char *expected, const char *actual)
{
	SdHasher   *hasher = sd_hasher_create();
	SdDigest	digest;

	row->has_expected = row->has_actual = true;
	row->expected_definition = pstrdup(expected);
	row->actual_definition = pstrdup(actual);
	sd_hash_text(hasher, expected, strlen(expected), &digest);
	memcpy(row->expected, digest.byte, SD_DIGEST_LENGTH);
	sd_hash_text(hasher, actual, strlen(actual), &digest);
	memcpy(row->actual, digest.byte, SD_DIGEST_LENGTH);
	sd_hasher_free(hasher);
	row->acknowledged = NULL;
	sd_drift_put(NULL, row);
}

/* One of this object says that it should be so and is so; old: what there was, or NULL. */
static void
set_row(const char *kind, const char *identity, const SdDriftRow *old, const char *expected, const char *actual, int64 change, const char *found)
{
	SdDriftRow	row = {.kind = drift_kind(kind), .identity = unconstify(char *, identity), .since = GetCurrentTimestamp()};

	if (strcmp(expected, actual) == 0)
	{
		if (old)
			sd_drift_delete(NULL, old->kind, old->identity);
		return;
	}
	if (old)
		row = *old;
	row.change = change;
	row.found = unconstify(char *, found);
	put_row(&row, expected, actual);
}

/* ---- a change outside the log ---- */

void
sd_drift_beside_outside(List *changes, int64 dot, const char *found)
{
	List	   *rows = rows_of(changes);
	ListCell   *cell;

	foreach(cell, changes)
	{
		SdBesideChange *change = lfirst(cell);
		SdDriftRow *old = row_of(rows, change->kind, change->identity);

		if (change->now)
			set_row(change->kind, change->identity, old, old ? old->expected_definition : change->was, change->now, dot, found);
		else if (old)
			sd_drift_delete(NULL, old->kind, old->identity);
	}
}

/* ---- at the origin ---- */

void
sd_drift_beside_refuse(List *changes)
{
	List	   *rows = rows_of(changes);
	List	   *refused = NIL;
	ListCell   *cell;

	foreach(cell, changes)
	{
		SdBesideChange *change = lfirst(cell);
		SdDriftRow *row = row_of(rows, change->kind, change->identity);

		if (row && change->now)
			refused = lappend(refused, row);
		else if (row)
			sd_drift_delete(NULL, row->kind, row->identity);
	}
	if (refused != NIL)
		sd_drift_refuse_rows(refused);
}

SdBesideChange *
sd_drift_beside_accepted(const SdDriftRow *row)
{
	SdBesideChange *change = palloc0(sizeof(SdBesideChange));

	change->kind = pstrdup(sd_beside_kind_of(row->kind));
	change->identity = pstrdup(row->identity);
	change->was = pstrdup(row->expected_definition);
	change->now = pstrdup(row->actual_definition);
	return change;
}

char *
sd_drift_beside_to_json(List *changes)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, changes)
	{
		SdBesideChange *change = lfirst(cell);

		if (change->now == NULL)
			continue;
		appendStringInfo(&out, "%s{\"kind\":", out.len > 0 ? "," : "");
		escape_json(&out, change->kind);
		appendStringInfoString(&out, ",\"identity\":");
		escape_json(&out, change->identity);
		appendStringInfoString(&out, ",\"definition\":");
		escape_json(&out, change->now);
		appendStringInfoChar(&out, '}');
	}
	return out.len > 0 ? out.data : NULL;
}

/* ---- an applied entry ---- */

static List *
here_of(List *said)
{
	List	   *kinds = NIL;
	List	   *identities = NIL;
	ListCell   *cell;

	foreach(cell, said)
	{
		kinds = lappend(kinds, ((SdBeside *) lfirst(cell))->kind);
		identities = lappend(identities, ((SdBeside *) lfirst(cell))->identity);
	}
	return sd_beside_find(kinds, identities);
}

bool
sd_drift_beside_already(Jsonb *payload)
{
	List	   *said = sd_beside_said(sd_json_object(payload, SD_BESIDE_KEY));
	List	   *here = here_of(said);
	ListCell   *cell;

	foreach(cell, said)
	{
		SdBeside   *object = lfirst(cell);

		if (strcmp(object->text, sd_beside_text(here, object->kind, object->identity)) != 0)
			return false;
	}
	return true;
}

static bool
has_line(const char *text, const char *line, size_t length)
{
	for (; *text; text += strcspn(text, "\n") + 1)
		if (strncmp(text, line, length) == 0)
			return true;
	return false;
}

/* Those lines of text that are not in another one, and not there yet. */
static void
add_lines(StringInfo out, const char *text, const char *not_in)
{
	for (; *text; text += strcspn(text, "\n") + 1)
	{
		size_t		length = strcspn(text, "\n") + 1;

		if (!has_line(not_in, text, length) && !has_line(out->data, text, length))
			appendBinaryStringInfo(out, text, length);
	}
}

/* What a row expected, after a change that the log made of the lines that were into those that are. */
static char *
follow(const char *expected, const SdBesideChange *change)
{
	StringInfoData out;
	StringInfoData gone;

	initStringInfo(&gone);
	add_lines(&gone, change->was, change->now);
	initStringInfo(&out);
	add_lines(&out, expected, gone.data);
	add_lines(&out, change->now, change->was);
	return out.data;
}

static SdBesideChange *
find_change(List *changes, const char *kind, const char *identity)
{
	ListCell   *cell;

	foreach(cell, changes)
	{
		SdBesideChange *change = lfirst(cell);

		if (strcmp(change->kind, kind) == 0 && strcmp(change->identity, identity) == 0)
			return change;
	}
	return NULL;
}

/* Had the object itself drifted, and is it now what the log says? */
static bool
was_settled(List *rows, const char *kind, const char *identity)
{
	ListCell   *cell;

	foreach(cell, rows)
	{
		SdDriftRow *row = lfirst(cell);

		if (strcmp(row->kind, kind) == 0 && strcmp(row->identity, identity) == 0)
			return sd_drift_find(NULL, list_make1(row->kind), list_make1(row->identity)) == NIL;
	}
	return false;
}

static bool
is_said(List *said, const char *kind, const char *identity)
{
	ListCell   *cell;

	foreach(cell, said)
		if (strcmp(((SdBeside *) lfirst(cell))->kind, kind) == 0 && strcmp(((SdBeside *) lfirst(cell))->identity, identity) == 0)
			return true;
	return false;
}

static void
apply_said(List *said, List *rows)
{
	List	   *here = here_of(said);
	ListCell   *cell;

	foreach(cell, said)
	{
		SdBeside   *object = lfirst(cell);
		SdDriftRow *old = row_of(rows, object->kind, object->identity);

		set_row(object->kind, object->identity, old, object->text, sd_beside_text(here, object->kind, object->identity), old ? old->change : 0,
				SD_FOUND_REPLAY);
	}
}

/* Of these its origin said nothing, not knowing it, or because nothing changed there. */
static void
apply_unsaid(SdDriftRow *row, List *rows, List *changes)
{
	const char *kind = sd_beside_kind_of(row->kind);
	SdBesideChange *change = find_change(changes, kind, row->identity);

	if (change && change->now)
		set_row(kind, row->identity, row, follow(row->expected_definition, change), change->now, row->change, row->found);
	else if (change || was_settled(rows, kind, row->identity))
		sd_drift_delete(NULL, row->kind, row->identity);
}

void
sd_drift_beside_applied(Jsonb *payload, List *rows, List *changes)
{
	List	   *said = sd_beside_said(sd_json_object(payload, SD_BESIDE_KEY));
	ListCell   *cell;

	apply_said(said, rows);
	foreach(cell, rows)
	{
		SdDriftRow *row = lfirst(cell);
		const char *kind = sd_beside_kind_of(row->kind);

		if (kind && !is_said(said, kind, row->identity))
			apply_unsaid(row, rows, changes);
	}
	if (said != NIL || rows != NIL)
		sd_bypass_settle();
}
