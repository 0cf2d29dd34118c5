/*
 * rpc_diff.c: calls by regions that want to know what differs between their schema and this one.
 *
 * Runs in a backend that the other region's coordinator, or a person's diff(), verify(), compare() or join() there, connected to.
 * Reads catalogs and our tables, and but for verify writes nothing and takes no lock that anybody could wait for.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "ddl/beside.h"
#include "ddl/define.h"
#include "ddl/digest.h"
#include "ddl/drift.h"
#include "ddl/history_rows.h"
#include "ddl/history_tables.h"
#include "ddl/repair.h"
#include "errors.h"
#include "functions/group.h"
#include "functions/rpc.h"
#include "functions/verify.h"
#include "store/drift.h"
#include "store/policy.h"

PG_FUNCTION_INFO_V1(sd_rpc_beside);
PG_FUNCTION_INFO_V1(sd_rpc_buckets);
PG_FUNCTION_INFO_V1(sd_rpc_bucket_objects);
PG_FUNCTION_INFO_V1(sd_rpc_definitions);
PG_FUNCTION_INFO_V1(sd_rpc_drift);
PG_FUNCTION_INFO_V1(sd_rpc_history_rows);
PG_FUNCTION_INFO_V1(sd_rpc_repair);
PG_FUNCTION_INFO_V1(sd_rpc_verify);

/* Of the callee's memory, and of the caller's: what one call may ask for and get. */
#define MAX_ROWS			10000
#define MAX_NAMES			1000
#define MAX_NAME_LENGTH		65536
#define MAX_DEFINITION		(1024 * 1024)
#define MAX_DEFINITIONS		(16 * 1024 * 1024)

/* ---- arguments ---- */

static void
refuse(const char *message, const char *detail)
{
	sd_rpc_refuse(ERRCODE_INVALID_PARAMETER_VALUE, message, detail);
}

/* The elements of a one-dimensional array without nulls. */
static Datum *
array_arg(FunctionCallInfo fcinfo, int arg, Oid type, int max, int *n)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(arg);
	Datum	   *elements;

	if (ARR_NDIM(array) > 1 || array_contains_nulls(array))
		refuse("a call between regions has a list that is none", NULL);
	*n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (*n > max)
		refuse("a call between regions asks for too much", psprintf("It names %d, at most %d can be asked for at once.", *n, max));
	if (type == INT4OID)
		deconstruct_array(array, type, sizeof(int32), true, TYPALIGN_INT, &elements, NULL, n);
	else
		deconstruct_array(array, type, -1, false, TYPALIGN_INT, &elements, NULL, n);
	return elements;
}

static List *
texts_arg(FunctionCallInfo fcinfo, int arg, int max, size_t max_length)
{
	int			n;
	Datum	   *elements = array_arg(fcinfo, arg, TEXTOID, max, &n);
	List	   *names = NIL;

	for (int i = 0; i < n; i++)
	{
		char	   *name = TextDatumGetCString(elements[i]);

		if (strlen(name) > max_length)
			refuse("a call between regions has a text that is too long", NULL);
		names = lappend(names, name);
	}
	return names;
}

/* A witness has a database, but what is in it is nobody's business. */
static int64
require_schema(void)
{
	SdScope		scope;
	SdSelf		self;
	SdMembers	members;
	SdApplied	applied;
	int			me;

	sd_group_require(&self, &members);
	me = sd_config_find(&members.config, self.region);
	if (me >= 0 && sd_members_is_witness(&members, me))
		sd_rpc_refuse(SD_ERRCODE_MAY_NOT_ORIGINATE, psprintf("region \"%s\" is a witness: it has no schema", self.region), NULL);
	sd_store_enter(&scope);
	sd_applied_read(&applied);
	sd_store_leave(&scope);
	return applied.version;
}

static int64
begin(FunctionCallInfo fcinfo)
{
	sd_rpc_require_args(fcinfo, 0, PG_NARGS() - 1);
	sd_rpc_guard_session(PG_GETARG_INT32(0));
	return require_schema();
}

/* ---- answers ---- */

static List *
scan(void)
{
	SdScope		scope;
	List	   *objects;

	sd_store_enter(&scope);
	objects = sd_digest_scan();
	sd_store_leave(&scope);
	return objects;
}

Datum
sd_rpc_buckets(PG_FUNCTION_ARGS)
{
	int64		version = begin(fcinfo);
	SdDigest   *sums = palloc(SD_BUCKETS * sizeof(SdDigest));
	TupleDesc	tupdesc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	sd_digest_buckets(scan(), sums);
	values[0] = Int64GetDatum(version);
	values[1] = sd_rpc_bytea((const uint8 *) sums, SD_BUCKETS * sizeof(SdDigest));
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

Datum
sd_rpc_bucket_objects(PG_FUNCTION_ARGS)
{
	bool		wanted[SD_BUCKETS] = {false};
	ReturnSetInfo *result;
	Datum	   *elements;
	int			n;
	ListCell   *lc;

	(void) begin(fcinfo);
	elements = array_arg(fcinfo, 1, INT4OID, SD_BUCKETS, &n);
	for (int i = 0; i < n; i++)
	{
		int32		bucket = DatumGetInt32(elements[i]);

		if (bucket < 0 || bucket >= SD_BUCKETS)
			refuse("a call between regions asks for a bucket that there is not", psprintf("It is %d.", bucket));
		wanted[bucket] = true;
	}
	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(lc, sd_digest_in_buckets(scan(), wanted))
	{
		SdObjectDigest *object = lfirst(lc);
		Datum		values[] = {
			CStringGetTextDatum(object->kind), CStringGetTextDatum(object->identity),
			sd_rpc_bytea(object->hash.byte, SD_DIGEST_LENGTH)
		};
		bool		nulls[lengthof(values)] = {false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
sd_rpc_beside(PG_FUNCTION_ARGS)
{
	SdBeside	looked = {.kind = "", .identity = "", .text = ""};
	List	   *rows = NIL;
	SdScope		scope;
	ReturnSetInfo *result;
	ListCell   *lc;

	(void) begin(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	sd_store_enter(&scope);
	if (sd_beside_kept() && sd_beside_filled())
		rows = lcons(&looked, sd_beside_all());
	sd_store_leave(&scope);
	foreach(lc, rows)
	{
		SdBeside   *row = lfirst(lc);
		Datum		values[] = {
			CStringGetTextDatum(row->kind), CStringGetTextDatum(row->identity), CStringGetTextDatum(row->text), BoolGetDatum(row->apart)
		};
		bool		nulls[lengthof(values)] = {false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* Needs no scope. */
static List *
history_tables(void)
{
	SdScope		scope;
	SdPolicy	policy;
	List	   *tables;

	sd_store_enter(&scope);
	sd_policy_parse(sd_policy_read(), &policy);
	tables = sd_history_all(policy.history_tables);
	sd_store_leave(&scope);
	return tables;
}

Datum
sd_rpc_history_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	ListCell   *lc;

	(void) begin(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(lc, history_tables())
	{
		SdDigest	digest = sd_history_digest(lfirst_oid(lc));
		char	   *namespace = get_namespace_name(get_rel_namespace(lfirst_oid(lc)));
		char	   *name = get_rel_name(lfirst_oid(lc));
		Datum		values[3];
		bool		nulls[lengthof(values)] = {false};

		/* its lock is gone with the digest, and so may be the table */
		if (namespace == NULL || name == NULL)
			continue;
		values[0] = CStringGetTextDatum(namespace);
		values[1] = CStringGetTextDatum(name);
		values[2] = sd_rpc_bytea(digest.byte, SD_DIGEST_LENGTH);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
sd_rpc_definitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	List	   *kinds;
	List	   *identities;
	Size		sent = 0;
	ListCell   *lc;

	(void) begin(fcinfo);
	kinds = texts_arg(fcinfo, 1, MAX_NAMES, MAX_NAME_LENGTH);
	identities = texts_arg(fcinfo, 2, MAX_NAMES, MAX_NAME_LENGTH);
	if (list_length(kinds) != list_length(identities))
		refuse("a call between regions has lists of different lengths", NULL);
	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(lc, sd_define(kinds, identities, PG_GETARG_BOOL(3)))
	{
		SdDefinition *definition = lfirst(lc);
		Size		length = strlen(definition->definition);
		Datum		values[] = {
			CStringGetTextDatum(definition->kind), CStringGetTextDatum(definition->identity),
			sd_rpc_bytea(definition->hash.byte, SD_DIGEST_LENGTH), CStringGetTextDatum(definition->definition)
		};
		bool		nulls[lengthof(values)] = {false};

		nulls[3] = length > MAX_DEFINITION || sent + length > MAX_DEFINITIONS;
		sent += nulls[3] ? 0 : length;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* ---- drift ---- */

static Datum
text_datum(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

static Datum
hash_datum(bool has, const uint8 *hash, bool *isnull)
{
	*isnull = !has;
	return has ? sd_rpc_bytea(hash, SD_OBJECT_HASH_SIZE) : (Datum) 0;
}

/* As long as the whole is not too large: who asks can ask for a definition by itself. */
static Datum
definition_datum(const char *definition, Size *sent, bool *isnull)
{
	Size		length = definition ? strlen(definition) : 0;

	if (length > MAX_DEFINITION || *sent + length > MAX_DEFINITIONS)
		definition = NULL;
	else
		*sent += length;
	return text_datum(definition, isnull);
}

static void
put_rows(FunctionCallInfo fcinfo, List *rows)
{
	ReturnSetInfo *result;
	int64		tag = sd_drift_tag_of(rows);
	Size		sent = 0;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(lc, rows)
	{
		SdDriftRow *row = lfirst(lc);
		Datum		values[12];
		bool		nulls[lengthof(values)] = {false};

		if (foreach_current_index(lc) == MAX_ROWS)
			break;
		values[0] = Int64GetDatum(tag);
		values[1] = CStringGetTextDatum(row->kind);
		values[2] = CStringGetTextDatum(row->identity);
		values[3] = hash_datum(row->has_expected, row->expected, &nulls[3]);
		values[4] = hash_datum(row->has_actual, row->actual, &nulls[4]);
		values[5] = definition_datum(row->expected_definition, &sent, &nulls[5]);
		values[6] = definition_datum(row->actual_definition, &sent, &nulls[6]);
		values[7] = TimestampTzGetDatum(row->since);
		values[8] = Int64GetDatum(row->change);
		values[9] = CStringGetTextDatum(row->found);
		values[10] = text_datum(row->acknowledged, &nulls[10]);
		values[11] = text_datum(row->author, &nulls[11]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

Datum
sd_rpc_drift(PG_FUNCTION_ARGS)
{
	List	   *rows;
	SdScope		scope;

	(void) sd_rpc_guard(fcinfo, false);
	sd_store_enter(&scope);
	rows = sd_drift_rows(NULL);
	sd_store_leave(&scope);
	put_rows(fcinfo, rows);
	return (Datum) 0;
}

Datum
sd_rpc_verify(PG_FUNCTION_ARGS)
{
	(void) sd_rpc_guard(fcinfo, false);
	/* a change that stays open here is not waited for longer than who asks would wait */
	sd_rpc_wait_a_while_only();
	put_rows(fcinfo, sd_verify_now());
	return (Datum) 0;
}

/* ---- how to mend it ---- */

/* "" for none, else with a + before it */
static List *
repair_objects(FunctionCallInfo fcinfo)
{
	List	   *kinds = texts_arg(fcinfo, 1, SD_REPAIR_MAX_OBJECTS, MAX_NAME_LENGTH);
	List	   *identities = texts_arg(fcinfo, 2, SD_REPAIR_MAX_OBJECTS, MAX_NAME_LENGTH);
	List	   *expected = texts_arg(fcinfo, 3, SD_REPAIR_MAX_OBJECTS, 2 * SD_DIGEST_LENGTH);
	List	   *definitions = texts_arg(fcinfo, 4, SD_REPAIR_MAX_OBJECTS, MAX_DEFINITION + 1);
	List	   *objects = NIL;

	if (list_length(kinds) != list_length(identities) || list_length(kinds) != list_length(expected) ||
		list_length(kinds) != list_length(definitions))
		refuse("a call between regions has lists of different lengths", NULL);
	for (int i = 0; i < list_length(kinds); i++)
	{
		SdRepairObject *object = palloc0(sizeof(SdRepairObject));
		const char *digest = list_nth(expected, i);
		const char *definition = list_nth(definitions, i);

		object->kind = list_nth(kinds, i);
		object->identity = list_nth(identities, i);
		object->there = *definition == '+' ? definition + 1 : NULL;
		object->has_expected = *digest != '\0';
		if (object->has_expected &&
			(strlen(digest) != 2 * SD_DIGEST_LENGTH || strspn(digest, "0123456789abcdef") != 2 * SD_DIGEST_LENGTH))
			refuse("a call between regions has a digest that is none", NULL);
		if (object->has_expected)
			(void) hex_decode(digest, 2 * SD_DIGEST_LENGTH, (char *) object->expected.byte);
		objects = lappend(objects, object);
	}
	return objects;
}

static void
put_step(FunctionCallInfo fcinfo, const char *kind, const char *identity, const SdRepairStep *step)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[6] = {CStringGetTextDatum(kind), CStringGetTextDatum(identity)};
	bool		nulls[6] = {false};

	nulls[2] = nulls[3] = step == NULL;
	nulls[4] = step == NULL || step->statement == NULL;
	nulls[5] = step == NULL || step->note == NULL;
	if (step)
	{
		values[2] = Int32GetDatum(step->phase);
		values[3] = Int32GetDatum(step->order);
	}
	if (!nulls[4])
		values[4] = CStringGetTextDatum(step->statement);
	if (!nulls[5])
		values[5] = CStringGetTextDatum(step->note);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
sd_rpc_repair(PG_FUNCTION_ARGS)
{
	List	   *others = NIL;
	List	   *objects;
	ListCell   *lc;

	(void) begin(fcinfo);
	objects = sd_repair_sound(repair_objects(fcinfo), &others);
	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, others)
	{
		SdRepairObject *object = lfirst(lc);

		put_step(fcinfo, object->kind, object->identity, NULL);
	}
	foreach(lc, sd_repair_steps(objects))
	{
		SdRepairStep *step = lfirst(lc);

		put_step(fcinfo, step->kind, step->identity, step);
	}
	return (Datum) 0;
}
