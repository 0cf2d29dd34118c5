/*
 * define.h: canonical definitions of objects that are known by kind and name.
 */
#ifndef SD_DDL_DEFINE_H
#define SD_DDL_DEFINE_H

#include "compat.h"

#include "ddl/digest.h"

typedef struct SdDefinition
{
	char	   *kind;
	char	   *identity;
	SdDigest	hash;			/* of the definition */
	char	   *definition;		/* as of now, whatever table object says */
} SdDefinition;

/*
 * Of these objects, as far as they are found: a List of SdDefinition, in no particular order.  kinds and identities: lists of
 * char *, equally long.  They are found by table object, which has all that a hook has seen; those that are not, with
 * everything, by looking at every object there is.
 */
extern List *sd_define(List *kinds, List *identities, bool everything);

/* Is it the digest of that text? */
extern bool sd_define_matches(const char *definition, const SdDigest *hash);

#endif							/* SD_DDL_DEFINE_H */
