/*
 * digest.h: one hash for each object of the schema, and one over all.
 *
 * An object's digest is SHA-256 over its canonical definition (docs/fingerprint.md): by kind and name, never by OID, so that it is
 * the same in every region, in a restored dump, and whatever the session's settings.  Digests are kept in
 * schemadrift_store.object.  The root is the sum, modulo 2^256, of SHA-256(kind, identity, digest) over all objects: it is
 * maintained in time proportional to what changed.  It tells accidents apart, not adversaries: somebody who may
 * create thousands of crafted objects could make two schemas with the same root.
 *
 * Nothing here waits for a lock on a user's object.  All functions need a transaction, an active snapshot, and the
 * rights of the extension's owner; the caller provides these.
 */
#ifndef SD_DIGEST_H
#define SD_DIGEST_H

#include "nodes/pg_list.h"

#include "ddl/touched.h"

#define SD_DIGEST_LENGTH	32

/* Version of the canonical form.  Digests of different forms say nothing about each other. */
#define SD_DIGEST_FORM		2

typedef struct SdDigest
{
	uint8		byte[SD_DIGEST_LENGTH];
} SdDigest;

typedef struct SdObjectDigest
{
	Oid			classid;		/* where it is, or was, in this region */
	Oid			objid;
	char	   *kind;			/* table, index, constraint, function, ... */
	char	   *identity;		/* public.t, public.t.t_pkey, public.f(integer) */
	SdDigest	hash;			/* of a dropped object: the last one */
	bool		dropped;
	bool		existed;		/* in a list of changes: there was one of that kind and name before ... */
	SdDigest	was;			/* ... with this digest */
	int64		frozen_by;		/* touched, but it belongs to the work of this online version: nothing was hashed; else 0 */
} SdObjectDigest;

/* Hashes everything and makes the table equal to it. */
extern SdDigest sd_digest_rebuild(void);

/*
 * Hashes the touched objects and those whose definition names them, writes the table, returns the new root.
 * *changed, unless NULL, becomes a List of SdObjectDigest; a renamed object is there twice: dropped, and new.  *beside, unless NULL, a List
 * of SdBesideChange: what no digest counts (beside.h).
 */
extern SdDigest sd_digest_update(SdTouched *set, List **changed, List **beside);

/* Of changes, one after the other: dropped and made again under the same name, as ALTER TABLE does with indexes, is one, or none.  Sorts its argument. */
extern List *sd_digest_net_changes(List *changes);

/*
 * Hashes everything, as one's snapshots show it, and adds to the set whatever does not fit the table: an object that is new, gone or changed, or
 * was while this looked.  Changes nothing.  Returns how many objects there are; *n: how many were added.
 */
extern int64 sd_digest_suspects(SdTouched *set, int *n);

/* The root as of the last update or rebuild; of a table never filled: all zeroes. */
extern SdDigest sd_digest_root(void);

/* Hashes everything, uses no table: a List of SdObjectDigest, in no particular order. */
extern List *sd_digest_scan(void);

/* By kind and identity: for list_sort(). */
extern int	sd_object_digest_compare(const ListCell *a, const ListCell *b);

/* The root of such a list. */
extern SdDigest sd_digest_root_of(List *objects);

/*
 * The tree by which two regions find what differs: the root is the sum of SD_BUCKETS sums, each over the objects of one bucket
 * (hash.h).  sums has SD_BUCKETS elements.
 */
#define SD_BUCKETS			256
extern void sd_digest_buckets(List *objects, SdDigest *sums);

/* Of such a list those that lie in the wanted ones: SD_BUCKETS flags. */
extern List *sd_digest_in_buckets(List *objects, const bool *wanted);

static inline bool
sd_digest_equal(const SdDigest *a, const SdDigest *b)
{
	return memcmp(a->byte, b->byte, SD_DIGEST_LENGTH) == 0;
}

#endif							/* SD_DIGEST_H */
