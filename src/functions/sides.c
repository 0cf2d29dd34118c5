/*
 * sides.c: two schemas side by side; see sides.h.
 *
 * Runs in backends.  Takes no lock.  What another region answers is believed only as far as it fits: the objects of a bucket must
 * have the sum that was told before, a definition its digest.
 */
#include "compat.h"

#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"

#include "ddl/beside.h"
#include "ddl/define.h"
#include "functions/sides.h"
#include "peer/calls.h"
#include "store/protocol.h"
#include "store/state.h"

/* A schema that changes while it is looked at is looked at again, so many times. */
#define ATTEMPTS		3

/* In one call; the callee has its own limit. */
#define NAMES_AT_ONCE	500

/* ---- what another region says ---- */

static void
pg_attribute_noreturn()
raise_nonsense(const SdSide *side)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("region \"%s\" answered with nonsense", side->region)));
}

/* One of the newer calls; NULL: an older region lacks it, and *error is what it says. */
static const PGresult *
try_ask(SdSide *side, const char *sql, int n, const char *const *values, ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	const PGresult *volatile result = NULL;

	PG_TRY();
	{
		result = sd_client_query(side->client, sql, n, NULL, values, true);
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_UNDEFINED_FUNCTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		*error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	return result;
}

static const PGresult *
ask(SdSide *side, const char *sql, int n, const char *const *values)
{
	ErrorData  *error;
	const PGresult *result = try_ask(side, sql, n, values, &error);

	if (result)
		return result;
	error->sqlerrcode = ERRCODE_FEATURE_NOT_SUPPORTED;
	error->detail = psprintf("It answered: %s", error->message);
	error->message = psprintf("region \"%s\" cannot be compared: it is of an older version of schemadrift", side->region);
	error->hint = pstrdup("Upgrade it: the library, then ALTER EXTENSION schemadrift UPDATE.");
	ReThrowError(error);
}

static char *
text_cell(const SdSide *side, const PGresult *result, int row, int column)
{
	char	   *text = sd_client_text(result, row, column);

	if (text == NULL)
		raise_nonsense(side);
	return text;
}

static void
digest_cell(const SdSide *side, const PGresult *result, int row, int column, SdDigest *digest)
{
	if (PQgetisnull(result, row, column) || PQgetlength(result, row, column) != SD_DIGEST_LENGTH)
		raise_nonsense(side);
	memcpy(digest->byte, PQgetvalue(result, row, column), SD_DIGEST_LENGTH);
}

static void
ask_sums(SdSide *side)
{
	const char *values[] = {sd_protocol_text()};
	const PGresult *result = ask(side, "SELECT version, sums FROM schemadrift_rpc.buckets($1)", 1, values);
	uint64		version;

	if (PQntuples(result) != 1 || PQnfields(result) != 2 || PQgetlength(result, 0, 0) != sizeof(version) ||
		PQgetlength(result, 0, 1) != sizeof(side->sums))
		raise_nonsense(side);
	memcpy(&version, PQgetvalue(result, 0, 0), sizeof(version));
	side->version = (int64) pg_ntoh64(version);
	memcpy(side->sums, PQgetvalue(result, 0, 1), sizeof(side->sums));
}

static List *
ask_objects(SdSide *side, const bool *wanted)
{
	StringInfoData list;
	const char *values[] = {sd_protocol_text(), NULL};
	const PGresult *result;
	List	   *objects = NIL;

	initStringInfo(&list);
	for (int i = 0; i < SD_BUCKETS; i++)
		if (wanted[i])
			appendStringInfo(&list, "%s%d", list.len > 0 ? "," : "{", i);
	appendStringInfoChar(&list, '}');
	values[1] = list.data;
	result = ask(side, "SELECT kind, identity, hash FROM schemadrift_rpc.bucket_objects($1,$2)", 2, values);
	if (PQnfields(result) != 3)
		raise_nonsense(side);
	for (int i = 0; i < PQntuples(result); i++)
	{
		SdObjectDigest *object = palloc0(sizeof(SdObjectDigest));

		object->kind = text_cell(side, result, i, 0);
		object->identity = text_cell(side, result, i, 1);
		digest_cell(side, result, i, 2, &object->hash);
		objects = lappend(objects, object);
	}
	return objects;
}

/* ---- sides ---- */

SdSide *
sd_side_here(const char *region)
{
	SdSide	   *side = palloc0(sizeof(SdSide));

	side->region = region;
	side->major = atoi(PG_MAJORVERSION);
	return side;
}

SdSide *
sd_side_there(SdClient *client, const char *region)
{
	SdSide	   *side = palloc0(sizeof(SdSide));

	side->client = client;
	side->region = region;
	side->major = sd_client_major(client);
	return side;
}

static void
read_here(SdSide *side)
{
	SdScope		scope;
	SdApplied	applied = {0};

	sd_store_enter(&scope);
	if (side->region)
		sd_applied_read(&applied);
	side->version = applied.version;
	MemoryContextSwitchTo(scope.caller);
	side->objects = sd_digest_scan();
	sd_store_leave(&scope);
	sd_digest_buckets(side->objects, side->sums);
}

static void
look(SdSide *side)
{
	if (side->client)
		ask_sums(side);
	else
		read_here(side);
}

/* False: they are not those of which the sums were told, because something has changed since. */
static bool
look_into(SdSide *side, const bool *wanted, List **objects)
{
	SdDigest   *sums;

	if (side->client == NULL)
	{
		*objects = sd_digest_in_buckets(side->objects, wanted);
		return true;
	}
	*objects = ask_objects(side, wanted);
	sums = palloc(sizeof(side->sums));
	sd_digest_buckets(*objects, sums);
	for (int i = 0; i < SD_BUCKETS; i++)
		if (wanted[i] && !sd_digest_equal(&sums[i], &side->sums[i]))
			return false;
	return true;
}

/* ---- differences ---- */

static List *
add_difference(List *list, const SdObjectDigest *object, const char *difference)
{
	SdDifference *d = palloc(sizeof(SdDifference));

	d->kind = object->kind;
	d->identity = object->identity;
	d->difference = difference;
	return lappend(list, d);
}

static List *
merge(List *of_a, List *of_b)
{
	List	   *differences = NIL;
	int			i = 0;
	int			j = 0;

	list_sort(of_a, sd_object_digest_compare);
	list_sort(of_b, sd_object_digest_compare);
	while (i < list_length(of_a) || j < list_length(of_b))
	{
		int			order = i >= list_length(of_a) ? 1 : j >= list_length(of_b) ? -1 :
			sd_object_digest_compare(list_nth_cell(of_a, i), list_nth_cell(of_b, j));

		if (order < 0)
			differences = add_difference(differences, list_nth(of_a, i), SD_EXTRA);
		else if (order > 0)
			differences = add_difference(differences, list_nth(of_b, j), SD_MISSING);
		else if (!sd_digest_equal(&((SdObjectDigest *) list_nth(of_a, i))->hash,
								  &((SdObjectDigest *) list_nth(of_b, j))->hash))
			differences = add_difference(differences, list_nth(of_a, i), SD_CHANGED);
		i += order <= 0;
		j += order >= 0;
	}
	return differences;
}

List *
sd_sides_differ(SdSide *a, SdSide *b)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++)
	{
		bool		differs[SD_BUCKETS];
		bool		any = false;
		List	   *of_a;
		List	   *of_b;

		CHECK_FOR_INTERRUPTS();
		look(a);
		look(b);
		for (int i = 0; i < SD_BUCKETS; i++)
			any |= differs[i] = !sd_digest_equal(&a->sums[i], &b->sums[i]);
		if (!any)
			return NIL;
		if (look_into(a, differs, &of_a) && look_into(b, differs, &of_b))
			return merge(of_a, of_b);
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("the schemas cannot be compared just now"),
			 errdetail("Each of %d times the schema of a region changed while it was looked at.", ATTEMPTS),
			 errhint("Try again.")));
}

/* ---- definitions ---- */

static List *
definitions_here(List *kinds, List *identities)
{
	return sd_define(kinds, identities, true);
}

static List *
definitions_there(SdSide *side, List *kinds, List *identities)
{
	const char *values[4] = {sd_protocol_text(), NULL, NULL, "true"};
	const PGresult *result;
	List	   *found;
	ListCell   *lc;

	values[1] = sd_call_texts(kinds);
	values[2] = sd_call_texts(identities);
	result = ask(side, "SELECT kind, identity, hash, definition FROM schemadrift_rpc.definitions($1,$2,$3,$4)", 4, values);
	if (!sd_call_decode_definitions(result, &found) || list_length(found) > list_length(kinds))
		raise_nonsense(side);
	foreach(lc, found)
	{
		SdDefinition *definition = lfirst(lc);

		if (definition->definition && !sd_define_matches(definition->definition, &definition->hash))
			raise_nonsense(side);
	}
	return found;
}

/* In the order of the names. */
static char *
pick(List *found, const char *kind, const char *identity)
{
	ListCell   *lc;

	foreach(lc, found)
	{
		SdDefinition *definition = lfirst(lc);

		if (strcmp(definition->kind, kind) == 0 && strcmp(definition->identity, identity) == 0)
			return definition->definition;
	}
	return NULL;
}

static List *
part(List *list, int from, int n)
{
	List	   *result = NIL;

	for (int i = from; i < Min(from + n, list_length(list)); i++)
		result = lappend(result, list_nth(list, i));
	return result;
}

List *
sd_side_definitions(SdSide *side, List *kinds, List *identities)
{
	List	   *definitions = NIL;

	for (int from = 0; from < list_length(kinds); from += NAMES_AT_ONCE)
	{
		List	   *some_kinds = part(kinds, from, NAMES_AT_ONCE);
		List	   *some_identities = part(identities, from, NAMES_AT_ONCE);
		List	   *found = side->client ? definitions_there(side, some_kinds, some_identities)
			: definitions_here(some_kinds, some_identities);
		ListCell   *kind;
		ListCell   *identity;

		forboth(kind, some_kinds, identity, some_identities)
			definitions = lappend(definitions, pick(found, lfirst(kind), lfirst(identity)));
	}
	return definitions;
}

/* ---- what no digest counts ---- */

static bool
beside_here(List **rows)
{
	SdScope		scope;
	bool		known;

	sd_store_enter(&scope);
	known = sd_beside_kept() && sd_beside_filled();
	*rows = known ? sd_beside_all() : NIL;
	sd_store_leave(&scope);
	return known;
}

List *
sd_side_beside(SdSide *side, bool *known)
{
	const char *values[] = {sd_protocol_text()};
	const PGresult *result;
	ErrorData  *error;
	List	   *rows = NIL;

	*known = side->client ? side->major >= 17 : beside_here(&rows);
	if (!*known || side->client == NULL)
		return rows;
	result = try_ask(side, "SELECT kind, identity, definition, apart FROM schemadrift_rpc.beside($1)", 1, values, &error);
	/* no row at all: it has not looked at its objects yet */
	*known = result && PQntuples(result) > 0;
	if (result && PQnfields(result) != 4)
		raise_nonsense(side);
	for (int i = 0; result && i < PQntuples(result); i++)
	{
		SdBeside   *row = palloc(sizeof(SdBeside));

		row->kind = text_cell(side, result, i, 0);
		row->identity = text_cell(side, result, i, 1);
		row->text = text_cell(side, result, i, 2);
		row->apart = PQgetlength(result, i, 3) == 1 && *PQgetvalue(result, i, 3) != 0;
		if (*row->kind)
			rows = lappend(rows, row);
	}
	list_sort(rows, sd_beside_compare);
	return rows;
}
