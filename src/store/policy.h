/*
 * policy.h: the group's policy: what its keys mean, and what it says now.
 *
 * The policy is an object in the newest baseline or policy entry of the log, so every region that has the same log has
 * the same policy: {"mode": {"value": "coordinate", "version": 3, "by": "alice", "at": "..."}, ...}.  Adding
 * a key is adding a row to the table in policy.c.
 */
#ifndef SD_STORE_POLICY_H
#define SD_STORE_POLICY_H

#include "compat.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "settings.h"

typedef struct SdPolicyKey
{
	const char *name;
	const char *initial;		/* JSON: the value in force where none is set */
	const char *description;
	const char *wanted;			/* what a value must be, for the DETAIL of an error */
	bool		(*legal) (Jsonb *value);
} SdPolicyKey;

extern const SdPolicyKey sd_policy_keys[];
extern const int sd_policy_n_keys;

extern const SdPolicyKey *sd_policy_key(const char *name);	/* NULL: unknown */

/* One key of a policy as sd_policy_read() (state.h) gives it.  False: not set, only value is filled. */
typedef struct SdPolicyValue
{
	Jsonb	   *value;			/* never NULL */
	int64		since;			/* version of the entry that set it */
	char	   *by;
	char	   *at;
} SdPolicyValue;

extern bool sd_policy_value(Jsonb *policy, const SdPolicyKey *key, SdPolicyValue *value);

/* What the gate asks.  policy: NULL is one without any key.  Results in the current memory context. */
extern SdDdlMode sd_policy_mode(Jsonb *policy);
extern List *sd_policy_local(Jsonb *policy);	/* patterns, of char * */

#endif							/* SD_STORE_POLICY_H */
