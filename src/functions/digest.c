/*
 * digest.c: SQL functions on digests, of schema schemadrift_store: for the owner, for tests and for support.
 */
#include "compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "ddl/canonical.h"
#include "ddl/digest.h"
#include "ddl/hash.h"
#include "store/object.h"
#include "store/sql.h"

PG_FUNCTION_INFO_V1(sd_sql_digest_root);
PG_FUNCTION_INFO_V1(sd_sql_digest_rebuild);
PG_FUNCTION_INFO_V1(sd_sql_digest_scan);

static bytea *
digest_bytea(const uint8 *digest)
{
	return (bytea *) cstring_to_text_with_len((const char *) digest, SD_DIGEST_LENGTH);
}

Datum
sd_sql_digest_root(PG_FUNCTION_ARGS)
{
	static const SdDigest none = {{0}};
	SdDigest	root = sd_digest_root();

	(void) fcinfo;
	if (sd_digest_equal(&root, &none))
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(digest_bytea(root.byte));
}

Datum
sd_sql_digest_rebuild(PG_FUNCTION_ARGS)
{
	SdDigest	root = sd_digest_rebuild();

	(void) fcinfo;
	PG_RETURN_BYTEA_P(digest_bytea(root.byte));
}

static void
put_row(void *arg, const SdDescription *description, SdObjectRow *row)
{
	ReturnSetInfo *result = arg;
	Datum		values[4];
	bool		nulls[4] = {false, false, false, false};

	values[0] = CStringGetTextDatum(row->kind);
	values[1] = CStringGetTextDatum(row->identity);
	values[2] = PointerGetDatum(digest_bytea(row->hash));
	values[3] = PointerGetDatum(cstring_to_text_with_len(description->definition.data, description->definition.len));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
sd_sql_digest_scan(PG_FUNCTION_ARGS)
{
	int			guc_level;
	SdHasher   *hasher;

	InitMaterializedSRF(fcinfo, 0);
	guc_level = sd_canonical_enter();
	hasher = sd_hasher_create();
	sd_scan_objects(hasher, put_row, fcinfo->resultinfo);
	sd_hasher_free(hasher);
	sd_canonical_leave(guc_level);
	return (Datum) 0;
}
