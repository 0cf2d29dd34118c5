/*
 * define.c: canonical definitions of objects that are known by kind and name; see define.h.
 *
 * Backend and workers, inside a transaction.  Reads catalogs and table object, writes nothing, locks no user's object.
 */
#include "compat.h"

#include "utils/hsearch.h"

#include "ddl/canonical.h"
#include "ddl/define.h"
#include "ddl/describe.h"
#include "ddl/hash.h"
#include "store/object.h"
#include "store/sql.h"

typedef struct Wanted
{
	uint8		name[SD_DIGEST_LENGTH];	/* SHA-256 of kind and identity */
	bool		found;
} Wanted;

typedef struct Search
{
	HTAB	   *wanted;
	SdHasher   *hasher;
	List	   *found;
} Search;

static void
hash_name(SdHasher *hasher, const char *kind, const char *identity, Wanted *key)
{
	char	   *name = psprintf("%s\n%s", kind, identity);
	SdDigest	digest;

	sd_hash_text(hasher, name, strlen(name), &digest);
	memcpy(key->name, digest.byte, SD_DIGEST_LENGTH);
	pfree(name);
}

/* A visitor of sd_scan_objects(), too. */
static void
take(void *arg, const SdDescription *description, SdObjectRow *row)
{
	Search	   *search = arg;
	SdDefinition *definition;
	Wanted		key;
	Wanted	   *wanted;

	hash_name(search->hasher, row->kind, row->identity, &key);
	wanted = hash_search(search->wanted, key.name, HASH_FIND, NULL);
	if (wanted == NULL || wanted->found)
		return;
	wanted->found = true;
	definition = palloc(sizeof(SdDefinition));
	definition->kind = pstrdup(row->kind);
	definition->identity = pstrdup(row->identity);
	memcpy(definition->hash.byte, row->hash, SD_DIGEST_LENGTH);
	definition->definition = pstrdup(description->definition.data);
	search->found = lappend(search->found, definition);
}

/* Where table object says that they are. */
static void
look_up(Search *search, List *kinds, List *identities)
{
	int			n;
	SdObjectRow *rows = sd_objects_named(kinds, identities, &n);
	SdDescriber *describer = sd_describer_create(false, sd_local_patterns(NULL));
	SdDescription description;

	initStringInfo(&description.identity);
	initStringInfo(&description.definition);
	for (int i = 0; i < n; i++)
	{
		if (sd_describe_object(describer, rows[i].classid, rows[i].objid, &description))
		{
			SdObjectRow row = sd_hash_description(search->hasher, &description);

			take(search, &description, &row);
		}
	}
}

List *
sd_define(List *kinds, List *identities, bool everything)
{
	HASHCTL		control = {.keysize = SD_DIGEST_LENGTH, .entrysize = sizeof(Wanted), .hcxt = CurrentMemoryContext};
	MemoryContext caller = CurrentMemoryContext;
	Search		search = {0};
	SdScope		scope;
	int			guc_level;
	ListCell   *kind;
	ListCell   *identity;

	sd_store_enter(&scope);
	guc_level = sd_canonical_enter();
	MemoryContextSwitchTo(caller);
	search.hasher = sd_hasher_create();
	search.wanted = hash_create("schemadrift wanted definitions", Max(list_length(kinds), 16), &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	forboth(kind, kinds, identity, identities)
	{
		Wanted		key;

		hash_name(search.hasher, lfirst(kind), lfirst(identity), &key);
		((Wanted *) hash_search(search.wanted, key.name, HASH_ENTER, NULL))->found = false;
	}
	look_up(&search, kinds, identities);
	MemoryContextSwitchTo(caller);
	if (everything && list_length(search.found) < hash_get_num_entries(search.wanted))
		sd_scan_objects(search.hasher, take, &search);
	sd_hasher_free(search.hasher);
	sd_canonical_leave(guc_level);
	sd_store_leave(&scope);
	return search.found;
}

bool
sd_define_matches(const char *definition, const SdDigest *hash)
{
	SdHasher   *hasher = sd_hasher_create();
	SdDigest	digest;

	sd_hash_text(hasher, definition, strlen(definition), &digest);
	sd_hasher_free(hasher);
	return sd_digest_equal(&digest, hash);
}
