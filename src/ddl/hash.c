/*
 * hash.c: from canonical definitions to digests, and their sum; see hash.h.
 *
 * Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/table.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "ddl/hash.h"
#include "ddl/rows.h"
#include "store/policy.h"
#include "store/sql.h"
#include "store/state.h"

#define SCRATCH_SIZE	(128 * 1024)

struct SdHasher
{
	pg_cryptohash_ctx *context;
};

StaticAssertDecl(SD_DIGEST_LENGTH == PG_SHA256_DIGEST_LENGTH && SD_DIGEST_LENGTH == SD_OBJECT_HASH_SIZE,
				 "digests are SHA-256");

SdHasher *
sd_hasher_create(void)
{
	SdHasher   *hasher = palloc(sizeof(SdHasher));

	hasher->context = pg_cryptohash_create(PG_SHA256);
	if (hasher->context == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return hasher;
}

/* After an error the resource owner frees the library's part. */
void
sd_hasher_free(SdHasher *hasher)
{
	pg_cryptohash_free(hasher->context);
	pfree(hasher);
}

static void
check(SdHasher *hasher, int result)
{
	if (result < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute SHA-256: %s", pg_cryptohash_error(hasher->context))));
}

static void
update(SdHasher *hasher, const char *string, int length)
{
	char	   *utf8 = pg_server_to_any(string, length, PG_UTF8);

	if (utf8 == string)
		check(hasher, pg_cryptohash_update(hasher->context, (const uint8 *) string, length));
	else
	{
		check(hasher, pg_cryptohash_update(hasher->context, (const uint8 *) utf8, strlen(utf8)));
		pfree(utf8);
	}
}

void
sd_hash_text(SdHasher *hasher, const char *string, int length, SdDigest *digest)
{
	check(hasher, pg_cryptohash_init(hasher->context));
	update(hasher, string, length);
	check(hasher, pg_cryptohash_final(hasher->context, digest->byte, SD_DIGEST_LENGTH));
}

static void
hash_row(SdHasher *hasher, const SdObjectRow *row, SdDigest *digest)
{
	check(hasher, pg_cryptohash_init(hasher->context));
	update(hasher, row->kind, strlen(row->kind));
	check(hasher, pg_cryptohash_update(hasher->context, (const uint8 *) "", 1));
	update(hasher, row->identity, strlen(row->identity));
	check(hasher, pg_cryptohash_update(hasher->context, (const uint8 *) "", 1));
	check(hasher, pg_cryptohash_update(hasher->context, row->hash, SD_OBJECT_HASH_SIZE));
	check(hasher, pg_cryptohash_final(hasher->context, digest->byte, SD_DIGEST_LENGTH));
}

int
sd_hash_bucket(SdHasher *hasher, const char *kind, const char *identity)
{
	SdDigest	name;

	check(hasher, pg_cryptohash_init(hasher->context));
	update(hasher, kind, strlen(kind));
	check(hasher, pg_cryptohash_update(hasher->context, (const uint8 *) "", 1));
	update(hasher, identity, strlen(identity));
	check(hasher, pg_cryptohash_final(hasher->context, name.byte, SD_DIGEST_LENGTH));
	return name.byte[0];
}

/* Modulo 2^256, most significant byte first. */
void
sd_root_add(SdHasher *hasher, SdDigest *root, const SdObjectRow *row)
{
	SdDigest	term;
	unsigned	carry = 0;

	hash_row(hasher, row, &term);
	for (int i = SD_DIGEST_LENGTH - 1; i >= 0; i--)
	{
		carry += (unsigned) root->byte[i] + term.byte[i];
		root->byte[i] = (uint8) carry;
		carry >>= 8;
	}
}

void
sd_root_subtract(SdHasher *hasher, SdDigest *root, const SdObjectRow *row)
{
	SdDigest	term;
	int			borrow = 0;

	hash_row(hasher, row, &term);
	for (int i = SD_DIGEST_LENGTH - 1; i >= 0; i--)
	{
		int			difference = (int) root->byte[i] - term.byte[i] - borrow;

		root->byte[i] = (uint8) difference;
		borrow = difference < 0;
	}
}

SdObjectRow
sd_hash_description(SdHasher *hasher, const SdDescription *description)
{
	SdObjectRow row;
	SdDigest	digest;

	sd_hash_text(hasher, description->definition.data, description->definition.len, &digest);
	row.classid = description->classid;
	row.objid = description->objid;
	row.kind = pstrdup(description->kind);
	row.identity = pstrdup(description->identity.data);
	memcpy(row.hash, digest.byte, SD_OBJECT_HASH_SIZE);
	row.names = (int64) description->names;
	row.beside = description->beside ? pstrdup(description->beside) : "";
	row.beside_apart = description->beside_apart;
	return row;
}

List *
sd_local_patterns(char **joined)
{
	MemoryContext caller = CurrentMemoryContext;
	SdScope		scope;
	Jsonb	   *policy;
	List	   *patterns;

	sd_store_enter(&scope);
	policy = sd_policy_applied();
	MemoryContextSwitchTo(caller);
	patterns = sd_policy_local(policy);
	sd_store_leave(&scope);
	if (joined)
	{
		StringInfoData text;
		ListCell   *cell;

		initStringInfo(&text);
		foreach(cell, patterns)
			appendStringInfo(&text, "%s\n", (char *) lfirst(cell));
		*joined = text.data;
	}
	return patterns;
}

void
sd_scan_objects(SdHasher *hasher, SdScanVisitor visit, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext rows = AllocSetContextCreate(caller, "schemadrift catalog rows", ALLOCSET_DEFAULT_SIZES);
	/* its first block, which a reset keeps, has room for most objects */
	MemoryContext scratch = AllocSetContextCreate(caller, "schemadrift object", SCRATCH_SIZE, SCRATCH_SIZE, ALLOCSET_DEFAULT_MAXSIZE);
	SdDescriber *describer = sd_describer_create(true, sd_local_patterns(NULL));
	SdDescription description;
	const Oid  *catalogs;
	int			ncatalogs = sd_described_catalogs(&catalogs);

	initStringInfo(&description.identity);
	initStringInfo(&description.definition);
	MemoryContextSwitchTo(rows);
	sd_rows_preload();
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < ncatalogs; i++)
	{
		Relation	catalog = table_open(catalogs[i], AccessShareLock);
		SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
		HeapTuple	tuple;

		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			bool		covered;

			CHECK_FOR_INTERRUPTS();
			MemoryContextSwitchTo(scratch);
			covered = sd_describe_tuple(describer, catalog, tuple, &description);
			MemoryContextSwitchTo(caller);
			if (covered)
			{
				SdObjectRow row = sd_hash_description(hasher, &description);

				visit(arg, &description, &row);
			}
			MemoryContextReset(scratch);
		}
		systable_endscan(scan);
		table_close(catalog, AccessShareLock);
	}
	MemoryContextDelete(scratch);
	MemoryContextDelete(rows);
}
